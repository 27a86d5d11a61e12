//! Scripts run on a real redis-server and here have to give the same bytes.

mod support;

use sessile_oracle::{Connection, Oracle, Random};
use sessile_resp::{OwnedArgs, Proto, Reply};
use sessile_script::{Options, Progress, ScriptHost};

use crate::support::{ForwardingHost, connect};

const SCRIPTS: &str = include_str!("scripts.txt");

/// Scripts whose reply differs on purpose from that of the installed 7.0, with why.
const DIFFERENCES: &[(&str, &str)] = &[
    ("return redis.call('echo',1e17)", "since 7.2 whole numbers are passed in full"),
    (
        "return redis.call('echo',-0)",
        "since 7.2 whole numbers are passed as integers, which have no negative zero",
    ),
    ("return redis.call('echo',0.1)", "since 7.2 numbers are passed as their shortest digits"),
    ("return {double=0.1}", "since 7.2 doubles are replied as their shortest digits"),
    ("return os.time", "later versions have os.clock, so the table os exists"),
];

/// What EVAL replies here.
fn eval(scripts: &mut ScriptHost, host: &mut ForwardingHost, body: &[u8], proto: Proto) -> Vec<u8> {
    let (keys, argv) = (OwnedArgs::from_iter(["k1", "k2"]), OwnedArgs::from_iter(["a1", "a2"]));
    let mut out = Vec::new();
    match scripts.load(body) {
        Ok(script) => {
            let progress = scripts.eval(host, &script, keys.as_args(), argv.as_args(), proto, &mut out);
            assert!(matches!(progress, Progress::Done(_)));
        }
        Err(error) => Reply::new(&mut out, proto).error(format!("ERR {error}").as_bytes()),
    }
    out
}

fn eval_redis(redis: &mut Connection, body: &[u8]) -> Vec<u8> {
    redis.raw(&[b"EVAL", body, b"2", b"k1", b"k2", b"a1", b"a2"])
}

fn check(body: &str, ours: &[u8], redis: &[u8], failures: &mut Vec<String>) {
    let difference = DIFFERENCES.iter().find(|(script, _)| *script == body);
    let show = |reply: &[u8]| reply.escape_ascii().to_string().chars().take(400).collect::<String>();
    match (ours == redis, difference) {
        (true, None) | (false, Some(_)) => {}
        (true, Some((_, reason))) => failures.push(format!("{body}\n  no longer differs: {reason}")),
        (false, None) => failures.push(format!("{body}\n  redis {}\n  ours  {}", show(redis), show(ours))),
    }
}

#[test]
fn scripts_reply_as_in_redis() {
    let server = Oracle::start(&[]);
    let mut host = ForwardingHost::new(&server);
    let mut admin = connect(&server, Proto::Resp2);
    let mut failures = Vec::new();
    // One for both protocols: what scripts set in cjson stays, as it does in Redis.
    let mut scripts = ScriptHost::new(Options::default());
    for proto in [Proto::Resp2, Proto::Resp3] {
        let mut redis = connect(&server, proto);
        for line in SCRIPTS.lines().filter(|line| !line.is_empty() && !line.starts_with("# ")) {
            let body = line.replace('⏎', "\n");
            admin.call(["FLUSHALL"]);
            let expected = eval_redis(&mut redis, body.as_bytes());
            admin.call(["FLUSHALL"]);
            let ours = eval(&mut scripts, &mut host, body.as_bytes(), proto);
            check(line, &ours, &expected, &mut failures);
        }
    }
    assert!(failures.is_empty(), "{} scripts differ:\n{}", failures.len(), failures.join("\n"));
}

/// Draws Lua expressions and texts for the libraries to work on.
struct Generator(Random);

impl Generator {
    fn below(&mut self, limit: usize) -> usize {
        self.0.below(limit)
    }

    fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        self.0.pick(choices)
    }

    fn number(&mut self) -> String {
        let exponent = self.below(40) as i32 - 20;
        match self.below(4) {
            0 => format!("{}", self.below(300) as i64 - 150),
            1 => format!("{}", self.0.integer() >> self.below(63)),
            2 => format!("{}e{exponent}", self.below(1_000_000)),
            _ => format!("{}.{}e{exponent}", self.below(1000), self.below(100_000)),
        }
    }

    fn text(&mut self) -> String {
        let len = self.below(12);
        (0..len).map(|_| format!("\\{:03}", self.below(256))).collect()
    }

    /// An expression of Lua.
    fn value(&mut self, depth: u32) -> String {
        match self.below(if depth == 0 { 6 } else { 9 }) {
            0 | 1 => self.number(),
            2 | 3 => format!("'{}'", self.text()),
            4 => self.pick(&["true", "false", "cjson.null"]).into(),
            5 => self.pick(&["{}", "2^53", "-2^31", "1/3", "''"]).into(),
            6 | 7 => {
                let items: Vec<_> = (0..self.below(5)).map(|_| self.value(depth - 1)).collect();
                format!("{{{}}}", items.join(","))
            }
            _ => {
                let items: Vec<_> = (0..self.below(4))
                    .map(|_| format!("['{}']={}", self.text(), self.value(depth - 1)))
                    .collect();
                format!("{{{}}}", items.join(","))
            }
        }
    }

    /// JSON or something near it, as a Lua string.
    fn json(&mut self) -> String {
        let parts = [
            "[",
            "]",
            "{",
            "}",
            ",",
            ":",
            "1",
            "-2.5e3",
            "\"a\"",
            "true",
            "null",
            " ",
            "\"\\\\u00e9\"",
            "0x1",
            "nan",
            "x",
        ];
        (0..=self.below(9)).map(|_| self.pick(&parts)).collect()
    }

    fn script(&mut self) -> String {
        match self.below(7) {
            0 => format!("return cjson.encode({})", self.value(3)),
            1 => format!("return redis.sha1hex(cmsgpack.pack({}))", self.value(3)),
            2 => format!("local s = cjson.encode({}) return cjson.encode(cjson.decode(s))", self.value(3)),
            3 => format!("return cjson.encode({{cmsgpack.unpack(cmsgpack.pack({}))}})", self.value(3)),
            4 => format!("return cjson.encode({{cjson.decode('{}')}})", self.json()),
            5 => {
                let bytes = self.text();
                format!("local t = {{cmsgpack.unpack('{bytes}')}} return #t")
            }
            _ => {
                let endian = self.pick(&["<", ">", "<!4", ">!8"]);
                let format: String = (0..4)
                    .map(|_| self.pick(&["b", "B", "h", "H", "i4", "I2", "l", "L", "d", "f", "i8"]))
                    .collect();
                let values: Vec<_> = (0..4).map(|_| format!("({}) % 2^31", self.number())).collect();
                format!(
                    "local s = struct.pack('{endian}{format}',{}) local t = {{struct.unpack('{endian}{format}',s)}} for i=1,#t do t[i]=tostring(t[i]) end t[#t+1]=s return t",
                    values.join(",")
                )
            }
        }
    }
}

#[test]
fn libraries_agree_on_random_values() {
    let server = Oracle::start(&[]);
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0x5e55_11e0);
    println!("SEED={seed}");
    let mut generator = Generator(Random::new(seed));
    let mut host = ForwardingHost::new(&server);
    let mut redis = connect(&server, Proto::Resp2);
    let mut scripts = ScriptHost::new(Options::default());
    let mut failures = Vec::new();
    for _ in 0..3000 {
        let body = generator.script();
        let expected = eval_redis(&mut redis, body.as_bytes());
        let ours = eval(&mut scripts, &mut host, body.as_bytes(), Proto::Resp2);
        check(&body, &ours, &expected, &mut failures);
    }
    assert!(failures.is_empty(), "{} scripts differ:\n{}", failures.len(), failures.join("\n"));
}
