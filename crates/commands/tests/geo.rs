//! Geo commands and HyperLogLog against a real server: tables, and random commands from a printed seed.

mod support;

use sessile_command::Rng;
use support::{Pair, check};

#[test]
fn geo_answers_as_redis() {
    check(&[
        "geoadd g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania",
        "geoadd g 13.361389 38.115556 Palermo",
        "geoadd g nx ch 13 38 Palermo 13 38 New",
        "geoadd g xx ch 13.5 38 New 13 38 Other",
        "geoadd g nx xx 13 38 a",
        "geoadd g 13 38",
        "geoadd g 13 38 a 14",
        "geoadd g x 38 a",
        "geoadd g 181 38 a",
        "geoadd g 1 86 a",
        "geoadd g ch 1 2 d 1 2 d 3 4 d",
        "zrange g 0 -1 withscores",
        "geopos g Palermo none Catania",
        "geopos none a",
        "geopos g",
        "geohash g Palermo none Catania",
        "geohash none a",
        "geodist g Palermo Catania",
        "geodist g Palermo Catania km",
        "geodist g Palermo Catania FT",
        "geodist g Palermo Catania mi",
        "geodist g Palermo Catania x",
        "geodist g Palermo none",
        "geodist g Palermo Palermo",
        "geodist none a b",
        "geodist g a b km x",
        "georadius g 15 37 200 km asc",
        "georadius g 15 37 200 km withdist withcoord withhash desc",
        "georadius g 15 37 200 km count 1 any",
        "georadius g 15 37 200 km count 0",
        "georadius g 15 37 200 km any",
        "georadius g 15 37 200 x",
        "georadius g 15 37 -1 km",
        "georadius g 15 37 x km",
        "georadius g 15 37 200 km store d withdist",
        "georadius g 15 37 200 km store d",
        "zrange d 0 -1 withscores",
        "georadius g 15 37 200 km storedist d",
        // The server here writes scores with more digits than Redis 7.2.
        "zrange d 0 -1",
        "zcount d 56.44 56.45",
        "georadius g 15 37 1 m store d",
        "exists d",
        "georadius_ro g 15 37 200 km store d",
        "georadius none 15 37 200 km",
        "georadius none 15 37 200 km store d",
        "georadiusbymember g Catania 200 km asc",
        "georadiusbymember g none 200 km",
        "georadiusbymember none none 200 km",
        "georadiusbymember none none x km nonsense",
        "georadiusbymember_ro g Catania 200 km desc withdist",
        "geosearch g fromlonlat 15 37 byradius 200 km asc",
        "geosearch g fromlonlat 15 37 bybox 400 400 km asc withdist withcoord",
        "geosearch g frommember Catania bybox 400 400 km desc count 2",
        "geosearch g frommember none bybox 400 400 km",
        "zadd edge -8 beyond 16 low",
        "geoadd edge 35.3310 77.6203 a -8.9802 -31.9934 b -65.1001 59.9589 c 34.6087 -66.8925 d",
        "geosearch edge frommember beyond bybox 1e21 90071992 ft",
        "geosearch edge frommember beyond byradius 1e21 ft",
        "geosearch edge frommember low bybox 1e21 90071992 ft",
        "geosearch edge fromlonlat 180 85.05 bybox 3000 3000 km",
        "geosearch edge fromlonlat -180 -85.05 bybox 3000 3000 km",
        "geosearch g bybox 400 400 km asc asc",
        "geosearch g fromlonlat 15 37 asc asc asc",
        "geosearch g fromlonlat 15 37 frommember Catania byradius 1 m",
        "geosearch g fromlonlat 15 37 bybox -1 1 km",
        "geosearch g fromlonlat 15 37 bybox x 1 km",
        "geosearch g fromlonlat 15 37 bybox 1 x km",
        "geosearch none fromlonlat 15 37 byradius 200 km",
        "geosearch g fromlonlat 15 37 byradius 200 km storedist",
        "geosearchstore d g fromlonlat 15 37 byradius 200 km storedist",
        "zrange d 0 -1",
        "zcount d 56.44 56.45",
        "geosearchstore d g fromlonlat 15 37 byradius 200 km withdist",
        "geosearchstore d none fromlonlat 15 37 byradius 200 km",
        "exists d",
        "set s 1",
        "geoadd s 1 1 a",
        "geopos s a",
        "geosearch s fromlonlat 15 37 nonsense",
        "hello 3",
        "geopos g Palermo none",
        "geodist g Palermo Catania",
        "geodist g Palermo none",
        "geohash g none",
        "geosearch g fromlonlat 15 37 byradius 200 km asc withdist withcoord withhash",
    ]);
}

#[test]
fn random_searches_equal() {
    for seed in 1..4 {
        println!("seed {seed}");
        let mut rng = Rng::new(seed);
        let mut pair = Pair::start();
        let lon = |rng: &mut Rng| rng.below(3_600_000) as f64 / 10_000.0 - 180.0;
        let lat = |rng: &mut Rng| rng.below(1_700_000) as f64 / 10_000.0 - 85.0;
        for i in 0..400 {
            let line = format!("geoadd g {} {} m{i}", lon(&mut rng), lat(&mut rng));
            pair.check(&line);
        }
        for _ in 0..600 {
            let km = |rng: &mut Rng| rng.next_u64() >> (49 + rng.below(15));
            let shape = if rng.below(2) == 0 {
                format!("byradius {} km", km(&mut rng))
            } else {
                format!("bybox {} {} km", km(&mut rng), km(&mut rng))
            };
            let more = ["", " asc", " desc withdist", " count 7", " count 5 any", " withhash"]
                [rng.below(6) as usize];
            pair.check(&format!("geosearch g fromlonlat {} {} {shape}{more}", lon(&mut rng), lat(&mut rng)));
            pair.check(&format!("geodist g m{} m{} km", rng.below(400), rng.below(400)));
            pair.check(&format!("geohash g m{}", rng.below(400)));
            pair.check(&format!("geopos g m{}", rng.below(400)));
        }
    }
}

#[test]
fn hyperloglogs_answer_as_redis() {
    check(&[
        "pfadd h",
        "pfadd h",
        "get h",
        "pfadd h a b c",
        "pfadd h a b c",
        "object encoding h",
        "get h",
        "pfcount h h",
        "pfcount h none",
        "pfcount none",
        "pfmerge m h none",
        "get m",
        "pfmerge n",
        "get n",
        "pfcount h",
        "set s 1",
        "pfadd s a",
        "pfcount s",
        "pfmerge x s",
        "pfcount h s",
        "lpush l 1",
        "pfadd l a",
        "pfcount l",
        "set bad HYLLaaaaaaaaaaaaaaaaaa",
        "pfadd bad a",
    ]);
}

/// The strings are equal byte for byte, through the sparse form, its promotion and the dense form.
#[test]
fn hyperloglog_strings_are_equal() {
    for seed in 1..3u64 {
        println!("seed {seed}");
        let mut rng = Rng::new(seed);
        let mut pair = Pair::start();
        for step in 0..3000 {
            let key = rng.below(3);
            let some: Vec<String> =
                (0..1 + rng.below(3)).map(|_| format!("element-{}", rng.below(1 << 20))).collect();
            pair.check(&format!("pfadd h{key} {}", some.join(" ")));
            if step % 50 == 0 {
                pair.check("pfcount h0 h1 h2");
                pair.check("pfmerge m h0 h1");
                pair.check("get m");
                pair.check(&format!("get h{key}"));
            }
        }
    }
}
