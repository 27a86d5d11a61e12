//! `--intrinsic-latency`: how long this machine keeps a busy program from running. It needs no server.

use std::{
    hint::black_box,
    io::{self, Write},
    time::{Duration, Instant},
};

use crate::session::Session;

impl Session<'_> {
    pub(crate) fn intrinsic_latency(&mut self, seconds: u64) -> io::Result<u8> {
        let limit = Duration::from_secs(seconds);
        let began = Instant::now();
        let (mut runs, mut worst_us) = (0_u64, 0);
        while began.elapsed() <= limit {
            let start = Instant::now();
            work();
            let us = start.elapsed().as_micros();
            runs += 1;
            if us > worst_us {
                worst_us = us;
                writeln!(self.console.stdout, "Max latency so far: {worst_us} microseconds.")?;
                self.console.stdout.flush()?;
            }
        }
        let average_us = began.elapsed().as_secs_f64() * 1e6 / runs.max(1) as f64;
        writeln!(
            self.console.stdout,
            "\n{runs} total runs (avg latency: {average_us:.4} microseconds / {:.2} nanoseconds per run).",
            average_us * 1e3
        )?;
        writeln!(
            self.console.stdout,
            "Worst run took {:.0}x longer than the average latency.",
            worst_us as f64 / average_us
        )?;
        self.console.stdout.flush()?;
        Ok(0)
    }
}

/// Something that takes well under a microsecond.
fn work() {
    let mut state = 0_u64;
    for step in 0..64 {
        state = black_box(state.wrapping_mul(0x100_0000_01b3) ^ step);
    }
}
