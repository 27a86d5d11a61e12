//! `--latency`, `--latency-history`: how long a PING takes.

use std::{
    io::{self, Write},
    thread,
    time::{Duration, Instant},
};

use crate::{options::Output, session::Session};

/// Time between two samples.
pub(super) const SAMPLE_INTERVAL: Duration = Duration::from_millis(10);

/// Milliseconds that were measured.
#[derive(Default)]
struct Samples {
    count: u64,
    min_ms: u128,
    max_ms: u128,
    sum_ms: u128,
}

impl Session<'_> {
    /// For ever on a terminal; `with_history`: anew after each interval.
    pub(crate) fn latency(&mut self, with_history: bool) -> io::Result<u8> {
        let interval = self.interval_or(Duration::from_secs(if with_history { 15 } else { 1 }));
        let (mut samples, mut began) = (Samples::default(), Instant::now());
        loop {
            let asked = Instant::now();
            if self.poll(&["PING"])?.is_none() {
                return Ok(1);
            }
            samples.add(asked.elapsed().as_millis());
            let is_over = began.elapsed() > interval;
            if self.options.output == Output::Standard {
                // Over the line of the last sample.
                self.console.stdout.write_all(b"\x1b[0G\x1b[2K")?;
            }
            if self.options.output == Output::Standard || with_history || is_over {
                let line = samples.line(self.options.output);
                self.console.stdout.write_all(line.as_bytes())?;
            }
            if is_over && with_history {
                writeln!(self.console.stdout, " -- {:.2} seconds range", began.elapsed().as_secs_f32())?;
                (samples, began) = (Samples::default(), Instant::now());
            }
            self.console.stdout.flush()?;
            if is_over && !with_history && self.options.output != Output::Standard {
                return Ok(0);
            }
            thread::sleep(SAMPLE_INTERVAL);
        }
    }
}

impl Samples {
    fn add(&mut self, ms: u128) {
        self.min_ms = if self.count == 0 { ms } else { self.min_ms.min(ms) };
        self.max_ms = self.max_ms.max(ms);
        self.sum_ms += ms;
        self.count += 1;
    }

    fn line(&self, output: Output) -> String {
        let Self { count, min_ms: min, max_ms: max, sum_ms } = self;
        let avg = *sum_ms as f64 / *count as f64;
        match output {
            Output::Standard => format!("min: {min}, max: {max}, avg: {avg:.2} ({count} samples)"),
            Output::Raw => format!("{min} {max} {avg:.2} {count}\n"),
            Output::Csv => format!("{min},{max},{avg:.2},{count}\n"),
            Output::Json | Output::QuotedJson => {
                format!("{{\"min\": {min}, \"max\": {max}, \"avg\": {avg:.2}, \"count\": {count}}}\n")
            }
        }
    }
}
