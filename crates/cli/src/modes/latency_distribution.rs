//! `--latency-dist`: how often a PING takes how long, as a line of colours each time.

use std::{
    io::{self, Write},
    thread,
    time::{Duration, Instant},
};

use super::latency::SAMPLE_INTERVAL;
use crate::session::Session;

/// The longest time of a bucket in microseconds, and its mark. What takes longer has the mark `?`.
const BUCKETS: &[(u128, char)] = &[
    (10, '.'),
    (125, '-'),
    (250, '*'),
    (500, '#'),
    (1_000, '1'),
    (2_000, '2'),
    (3_000, '3'),
    (4_000, '4'),
    (5_000, '5'),
    (6_000, '6'),
    (7_000, '7'),
    (8_000, '8'),
    (9_000, '9'),
    (10_000, 'A'),
    (20_000, 'B'),
    (30_000, 'C'),
    (40_000, 'D'),
    (50_000, 'E'),
    (100_000, 'F'),
    (200_000, 'G'),
    (300_000, 'H'),
    (400_000, 'I'),
    (500_000, 'J'),
    (1_000_000, 'K'),
    (2_000_000, 'L'),
    (4_000_000, 'M'),
    (8_000_000, 'N'),
    (16_000_000, 'O'),
    (30_000_000, 'P'),
    (60_000_000, 'Q'),
];

/// Colours of a terminal that has 256, from rare to frequent.
const PALETTE: &[u8] =
    &[0, 233, 234, 235, 237, 239, 241, 243, 245, 247, 144, 143, 142, 184, 226, 214, 208, 202, 196];

/// Lines between two legends.
const LINES_PER_LEGEND: u32 = 20;

impl Session<'_> {
    pub(crate) fn latency_distribution(&mut self) -> io::Result<u8> {
        let interval = self.interval_or(Duration::from_secs(1));
        for line in 0.. {
            if line % LINES_PER_LEGEND == 0 {
                self.console.stdout.write_all(legend().as_bytes())?;
                self.console.stdout.flush()?;
            }
            let began = Instant::now();
            let mut counts = vec![0_u64; BUCKETS.len() + 1];
            while began.elapsed() <= interval {
                let asked = Instant::now();
                if self.poll(&["PING"])?.is_none() {
                    return Ok(1);
                }
                let us = asked.elapsed().as_micros();
                counts[BUCKETS.partition_point(|(max_us, _)| *max_us < us)] += 1;
                thread::sleep(SAMPLE_INTERVAL);
            }
            self.console.stdout.write_all(spectrum(&counts).as_bytes())?;
            self.console.stdout.flush()?;
        }
        Ok(0)
    }
}

fn spectrum(counts: &[u64]) -> String {
    let sum: u64 = counts.iter().sum();
    let mut line = String::from("\x1b[38;5;0m");
    let marks = BUCKETS.iter().map(|(_, mark)| *mark).chain(['?']);
    for (count, mark) in counts.iter().zip(marks) {
        // What was seen at all is not shown as never.
        let step = (count * (PALETTE.len() as u64 - 1)).div_ceil(sum.max(1));
        line.push_str(&format!("\x1b[48;5;{}m{mark}", PALETTE[step as usize]));
    }
    line + "\x1b[0m\n"
}

fn legend() -> String {
    let colours: String = PALETTE.iter().map(|colour| format!("\x1b[48;5;{colour}m ")).collect();
    format!(
        "---------------------------------------------\n\
         . - * #          .01 .125 .25 .5 milliseconds\n\
         1,2,3,...,9      from 1 to 9     milliseconds\n\
         A,B,C,D,E        10,20,30,40,50  milliseconds\n\
         F,G,H,I,J        .1,.2,.3,.4,.5       seconds\n\
         K,L,M,N,O,P,Q,?  1,2,4,8,16,30,60,>60 seconds\n\
         From 0 to 100%: {colours}\x1b[0m\n\
         ---------------------------------------------\n"
    )
}
