//! The program `crash`.
#![forbid(unsafe_code)]
use sessile_crash::rounds::{Options, run};
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let o = Options { bin: a[1].clone().into(), base: "/tmp".into(), rounds: a[2].parse().unwrap(), seed: a[3].parse().unwrap(), acks_min: 1000, cut_bytes: 0 };
    let t = std::time::Instant::now();
    let r = run(&o);
    if let Ok(r) = r { println!("{} passed, {} failed {:?} acks {}", r.passed, r.failed, t.elapsed(), r.acks) } else { println!("{r:?}") }
}
