//! One random call: a command's argument tree filled in.

use std::rc::Rc;

use crate::docs::{Arg, ArgType, CommandDoc};
use crate::generate::{CLASSES, Generator};
use crate::kinds::{self, Kind};
use crate::rng::Rng;
use crate::scripts;
use crate::step::{Cmd, Inner, Words, words};
use crate::values::value;

/// Sorted sets whose scores are all 0: over others the lexicographic commands have no defined result
/// (and with Redis' skip list it depends on chance).
pub(crate) const LEX_CLASS: u8 = b'y';
/// Types of keys that hold sorted sets with any scores.
const SCORED_CLASSES: &[u8] = b"zg";
/// Commands whose last words are times or sizes: swapping or replacing words could stall the run.
const DELICATE: &[&str] = &[
    "expire",
    "pexpire",
    "expireat",
    "pexpireat",
    "set",
    "setex",
    "psetex",
    "getex",
    "restore",
    "restore-asking",
    "wait",
    "srandmember",
    "hrandfield",
    "zrandmember",
    "setbit",
    "setrange",
    "bitfield",
    "xclaim",
    "xautoclaim",
    "xpending",
    "xread",
    "xreadgroup",
    "acl|setuser",
    "acl|deluser",
];

/// One call in the making.
struct Call {
    doc: Rc<CommandDoc>,
    class: u8,
    valid: bool,
    numkeys: Option<usize>,
    range_by: Kind,
    auto_id: bool,
    long_block: bool,
    /// Many elements at once, all different, to pass the limits of the compact encodings.
    burst: bool,
}

impl Generator {
    /// A random call of a command; `long_block` makes a blocking one wait until it is woken.
    pub(crate) fn call(&mut self, doc: &Rc<CommandDoc>, valid: bool, long_block: bool) -> Cmd {
        let range_by = *self.rng.pick(&[Kind::Index, Kind::Index, Kind::ScoreBound, Kind::LexBound]);
        let ranged = matches!(doc.name.as_str(), "zrange" | "zrangestore");
        let class =
            if ranged && range_by == Kind::LexBound { LEX_CLASS } else { class_of(doc, &mut self.rng) };
        let mut call = Call {
            doc: Rc::clone(doc),
            class,
            valid,
            numkeys: None,
            range_by,
            auto_id: self.rng.chance(4),
            long_block,
            burst: false,
        };
        let mut cmd = Cmd::plain(name_words(&doc.name, &mut self.rng));
        if !self.special(&mut call, &mut cmd) {
            self.args(&mut call, &doc.args, &mut cmd.words);
        }
        if !valid && cmd.inner == Inner::None && call.class != LEX_CLASS && self.rng.chance(12) {
            self.mutate(doc, &mut cmd.words);
        }
        if doc.name == "watch" {
            cmd.words.retain(|w| !matches!(w.first(), Some(b'p' | b'x')));
        }
        if matches!(doc.name.as_str(), "zrank" | "zrevrank") {
            // WITHSCORE, or something in its place, which Redis 7.0 counts as one word too many.
            cmd.words.truncate(3);
        }
        cmd
    }

    fn args(&mut self, call: &mut Call, args: &[Arg], out: &mut Words) {
        for arg in args {
            self.arg(call, arg, out);
        }
    }

    fn arg(&mut self, call: &mut Call, arg: &Arg, out: &mut Words) {
        let name = arg.name.as_str();
        if arg.optional {
            let wanted = match name {
                "sortby" if call.valid => call.range_by != Kind::Index,
                "milliseconds" if call.long_block => true,
                "mkstream" => self.rng.chance(80),
                _ => self.rng.chance(30),
            };
            if !wanted {
                return;
            }
        }
        if name == "numkeys" {
            let count = 1 + self.rng.below(3);
            call.numkeys = Some(count);
            let text = if call.valid || self.rng.chance(90) {
                count.to_string().into_bytes()
            } else {
                self.values.of(Kind::Int, false, &mut self.rng)
            };
            out.push(text);
            return;
        }
        if name == "streams" && arg.kind == ArgType::Block {
            out.extend(arg.token.clone());
            let count = 1 + usize::from(self.rng.chance(25));
            for child in &arg.children {
                (0..count).for_each(|_| self.one(call, child, out));
            }
            return;
        }
        let repeats = if arg.multiple { self.repeats(call, arg) } else { 1 };
        for i in 0..repeats {
            if arg.kind != ArgType::PureToken && (i == 0 || arg.multiple_token) {
                out.extend(arg.token.clone().map(|t| self.token(t)));
            }
            self.one(call, arg, out);
        }
    }

    fn repeats(&mut self, call: &mut Call, arg: &Arg) -> usize {
        let per_key = arg.kind == ArgType::Key || arg.name == "weight";
        match call.numkeys {
            Some(count) if per_key && (call.valid || self.rng.chance(90)) => count,
            _ => {
                let grows = ["set", "hash", "list", "sorted-set", "stream", "hyperloglog"]
                    .contains(&call.doc.group.as_str());
                if grows && call.doc.write && arg.kind != ArgType::Key && self.rng.rarely(150) {
                    call.burst = true;
                    let limit = *self.rng.pick(&[128, 128, 512, 300]);
                    return limit - 3 + self.rng.below(7);
                }
                let mut count = 1;
                while count < 12 && self.rng.chance(40) {
                    count += 1;
                }
                count
            }
        }
    }

    fn one(&mut self, call: &mut Call, arg: &Arg, out: &mut Words) {
        match arg.kind {
            ArgType::PureToken => {
                // Two words in one token (NO ONE) do not occur among the generated commands.
                out.extend(arg.token.clone().map(|t| self.token(t)));
            }
            ArgType::OneOf => {
                let allowed: Vec<&Arg> = arg
                    .children
                    .iter()
                    .filter(|c| match (arg.name.as_str(), c.name.as_str()) {
                        ("sortby", child) => (child == "bylex") == (call.range_by == Kind::LexBound),
                        ("id_or_auto", child) => (child == "auto_id") == call.auto_id,
                        _ => true,
                    })
                    .collect();
                if !allowed.is_empty() {
                    let child = *self.rng.pick(&allowed);
                    let required = Arg { optional: false, ..child.clone() };
                    self.arg(call, &required, out);
                }
            }
            ArgType::Block => self.args(call, &arg.children, out),
            ArgType::Key => {
                let class =
                    if arg.name == "destination" && call.doc.name == "sort" { b'l' } else { call.class };
                out.push(self.key(class, call.valid));
            }
            _ => {
                let word = self.scalar(call, arg, out.len());
                out.push(word);
            }
        }
    }

    fn scalar(&mut self, call: &Call, arg: &Arg, at: usize) -> Vec<u8> {
        let kind = kinds::of(&call.doc.name, &call.doc.group, arg);
        let ranged = matches!(call.doc.name.as_str(), "zrange" | "zrangestore");
        let kind = match arg.name.as_str() {
            "start" | "stop" | "min" | "max" if ranged => call.range_by,
            _ => kind,
        };
        match (kind, arg.name.as_str()) {
            (Kind::Double, _) if call.class == LEX_CLASS => b"0".to_vec(),
            (Kind::BlockSeconds, _) if call.long_block => {
                self.rng.pick(&[b"0".to_vec(), b"100".to_vec()]).clone()
            }
            (Kind::BlockMs, _) if call.long_block => {
                self.rng.pick(&[b"0".to_vec(), b"100000".to_vec()]).clone()
            }
            (_, "serialized-value") => self.payload(call),
            // A choice made once per call: the whole burst consists of integers, or of none.
            (Kind::Member | Kind::Field | Kind::Value, _) if call.burst => match call.range_by {
                Kind::Index => at.to_string().into_bytes(),
                _ => format!("b{at}").into_bytes(),
            },
            _ => self.values.of(kind, call.valid, &mut self.rng),
        }
    }

    fn payload(&mut self, call: &Call) -> Vec<u8> {
        if call.doc.name == "function|restore" {
            return match self.material.libraries.as_slice() {
                [] => b"nothing".to_vec(),
                list => self.rng.pick(list).clone(),
            };
        }
        let of_class: Vec<&(u8, Vec<u8>)> = self
            .material
            .payloads
            .iter()
            .filter(|p| p.0 == call.class || !(call.valid || call.class == LEX_CLASS))
            .collect();
        let mut payload = match of_class.as_slice() {
            [] => b"nothing".to_vec(),
            list => self.rng.pick(list).1.clone(),
        };
        if !call.valid && self.rng.chance(20) && !payload.is_empty() {
            let at = self.rng.below(payload.len());
            payload[at] ^= 1 << self.rng.below(8);
        }
        payload
    }

    /// Commands whose arguments the docs describe as bare strings.
    fn special(&mut self, call: &mut Call, cmd: &mut Cmd) -> bool {
        match call.doc.name.as_str() {
            "eval" | "eval_ro" => self.eval(call, cmd),
            "evalsha" | "evalsha_ro" => self.evalsha(cmd),
            "fcall" | "fcall_ro" => self.fcall(call, cmd),
            "script|load" => cmd.words.push(scripts::pure(&mut self.rng).1.as_bytes().to_vec()),
            "script|exists" => {
                for _ in 0..=self.rng.below(3) {
                    cmd.words.push(self.digest(None));
                }
            }
            "function|load" => {
                let at =
                    if call.valid { self.rng.below(3) } else { self.rng.below(scripts::LIBRARIES.len()) };
                if self.rng.chance(70) {
                    cmd.words.push(b"REPLACE".to_vec());
                }
                cmd.words.push(scripts::LIBRARIES[at].as_bytes().to_vec());
            }
            "command|getkeys" | "command|getkeysandflags" => cmd.words.extend(self.inner().words),
            _ => return false,
        }
        true
    }

    fn eval(&mut self, call: &Call, cmd: &mut Cmd) {
        if self.rng.chance(30) {
            let (_, source) = scripts::pure(&mut self.rng);
            cmd.words.extend([source.as_bytes().to_vec(), b"1".to_vec(), self.key(call.class, true)]);
            for _ in 0..self.rng.below(3) {
                cmd.words.push(value(&mut self.rng, false));
            }
            return;
        }
        let mut inner: Vec<Words> = (0..=self.rng.below(4)).map(|_| self.scripted()).collect();
        let resp3 = self.rng.chance(15);
        // One field more puts all of a map into another order, and a script shows maps as flat arrays.
        inner.retain(|words| !resp3 || !words[0].eq_ignore_ascii_case(b"xinfo"));
        let (source, argv, inner) = scripts::sequence(inner, resp3);
        cmd.words.extend([source, b"1".to_vec(), self.key(call.class, true)]);
        cmd.words.extend(argv);
        cmd.inner = inner;
    }

    fn evalsha(&mut self, cmd: &mut Cmd) {
        if self.rng.chance(40) {
            let (at, _) = scripts::pure(&mut self.rng);
            cmd.words.extend([self.digest(Some(at)), b"0".to_vec(), value(&mut self.rng, false)]);
            return;
        }
        let at = self.rng.below(2);
        let inner = self.scripted();
        cmd.words.extend([self.digest(Some(at)), b"0".to_vec()]);
        cmd.words.extend(inner.iter().cloned());
        cmd.inner = Inner::Whole(inner);
    }

    fn fcall(&mut self, call: &Call, cmd: &mut Cmd) {
        let readonly = call.doc.name == "fcall_ro" || self.rng.chance(20);
        let name = match self.rng.below(10) {
            0 => "f_echo",
            1 => "f_err",
            2 if !call.valid => "nosuch",
            _ if readonly => "f_ro",
            _ => "f_call",
        };
        let inner = self.scripted();
        cmd.words.extend(words(&[name, "0"]));
        cmd.words.extend(inner.iter().cloned());
        if matches!(name, "f_ro" | "f_call") {
            cmd.inner = Inner::Whole(inner);
        }
    }

    fn digest(&mut self, at: Option<usize>) -> Vec<u8> {
        let known = self.material.digests.len();
        let at = at.unwrap_or_else(|| self.rng.below(known + 1));
        match self.material.digests.get(at) {
            Some(digest) if !self.rng.chance(4) => digest.clone(),
            _ => b"ffffffffffffffffffffffffffffffffffffffff".to_vec(),
        }
    }

    /// Every key that [`Self::key`] gives.
    pub(crate) fn all_keys(&self) -> Words {
        let of_class = |&class: &u8| {
            let numbered = (0..self.keys).map(move |i| [&[class], i.to_string().as_bytes()].concat());
            numbered.chain([odd_key(class)])
        };
        CLASSES.iter().flat_map(of_class).collect()
    }

    /// A key of a class, now and then a stray one.
    pub(crate) fn key(&mut self, class: u8, valid: bool) -> Vec<u8> {
        let stray = if valid { 3 } else { 12 };
        let other = if self.rng.chance(stray) { *self.rng.pick(CLASSES) } else { class };
        let mixes = |a: u8, b: u8| a == LEX_CLASS && SCORED_CLASSES.contains(&b);
        let class = if mixes(class, other) || mixes(other, class) { class } else { other };
        match self.rng.below(60) {
            0 => odd_key(class),
            1 if !valid => Vec::new(),
            _ => [&[class], self.rng.below(self.keys).to_string().as_bytes()].concat(),
        }
    }

    fn token(&mut self, token: Vec<u8>) -> Vec<u8> {
        if self.rng.chance(8) { token.to_ascii_lowercase() } else { token }
    }

    fn mutate(&mut self, doc: &CommandDoc, out: &mut Words) {
        let delicate = doc.blocking || DELICATE.contains(&doc.name.as_str());
        let first = if doc.name.contains('|') { 2 } else { 1 };
        if out.len() <= first || (self.rng.chance(30) && !delicate) {
            out.push(value(&mut self.rng, true));
            return;
        }
        let at = first + self.rng.below(out.len() - first);
        match self.rng.below(4) {
            0 if !delicate => out[at] = value(&mut self.rng, true),
            1 if !delicate => out.insert(at, out[at].clone()),
            2 => out.push(b"extra".to_vec()),
            _ => {
                out.pop();
            }
        }
    }
}

fn name_words(name: &str, rng: &mut Rng) -> Words {
    let lower = rng.chance(10);
    name.split('|').map(|p| if lower { p.to_owned() } else { p.to_uppercase() }.into_bytes()).collect()
}

/// The letter of the keys that a command is for.
pub(crate) fn class_of(doc: &CommandDoc, rng: &mut Rng) -> u8 {
    match (doc.name.as_str(), doc.group.as_str()) {
        ("sort" | "sort_ro", _) => *rng.pick(b"lltz"),
        (_, "string") => *rng.pick(b"sssb"),
        (_, "hash") => b'h',
        (_, "list") => b'l',
        (_, "set") => b't',
        ("zadd", _) => *rng.pick(b"zzzzyyg"),
        (name, "sorted-set") if name.contains("lex") => LEX_CLASS,
        (_, "sorted-set") => *rng.pick(b"zzzzzzg"),
        (_, "stream") => b'x',
        (_, "hyperloglog") => b'p',
        (_, "geo") => b'g',
        (_, "bitmap") => b'b',
        _ => *rng.pick(CLASSES),
    }
}
/// A key with bytes that texts do not have.
fn odd_key(class: u8) -> Vec<u8> {
    vec![class, 0, b'\r', b'\n', 0xff]
}
