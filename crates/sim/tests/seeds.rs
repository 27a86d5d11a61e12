//! A thousand lives, each from its seed; `SESSILE_SEED=n` repeats one.

use sessile_sim::run::run;
use sessile_sim::tally::Tally;

#[test]
fn a_thousand_lives_keep_what_they_promised() {
    let one = std::env::var("SESSILE_SEED").ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = one.map_or(0..1000, |seed| seed..seed + 1);
    let mut tally = Tally::default();
    for seed in seeds {
        match run(seed) {
            Ok(seen) => tally.add(&seen),
            Err(why) => panic!("{why}"),
        }
    }
    let missing = tally.missing();
    assert!(one.is_some() || missing.is_empty(), "never occurred: {missing:?}");
}

#[test]
fn one_seed_lives_one_life() {
    for seed in 0..20 {
        let counts = |seed| match run(seed) {
            Ok(tally) => tally.iter().map(|(what, count)| (what.to_owned(), count)).collect::<Vec<_>>(),
            Err(why) => panic!("{why}"),
        };
        assert_eq!(counts(seed), counts(seed), "seed {seed} lived two lives");
    }
}
