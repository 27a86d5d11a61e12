//! The Lua bridge: whatever a script does or is given, there is a reply, and the next script finds everything as it should be.

use std::cell::RefCell;

use sessile_resp::{Value, decode};

use crate::input::Input;
use crate::node::Node;

/// How deep generated expressions and blocks nest.
const DEPTH_MAX: u32 = 5;
/// Longest script that is generated, in bytes.
const SCRIPT_BYTES_MAX: usize = 4096;

thread_local! {
    static NODE: RefCell<Option<Node>> = const { RefCell::new(None) };
}

/// Runs a script on the node of this thread.
fn eval(script: &[u8], keys_and_args: &[&[u8]]) -> Value {
    NODE.with_borrow_mut(|slot| {
        let node = slot.get_or_insert_with(Node::new);
        let mut args: Vec<&[u8]> = vec![b"EVAL", script, b"2"];
        args.extend_from_slice(keys_and_args);
        let Some(reply) = node.ask(&args) else {
            // It wrote and does not end: an operator would stop the server.
            *slot = None;
            return Value::Null;
        };
        let decoded = decode(&reply);
        let Ok(Some((value, len))) = decoded else { panic!("no reply: {reply:?}") };
        assert_eq!(len, reply.len(), "one reply");
        let after = node.ask(&[b"EVAL", b"return {KEYS[1], #ARGV, type(cjson), 1}", b"1", b"key", b"x"]);
        assert_eq!(
            String::from_utf8_lossy(&after.unwrap_or_default()),
            "*4\r\n$3\r\nkey\r\n:1\r\n$5\r\ntable\r\n:1\r\n",
            "the next script's world is whole"
        );
        node.ask(&[b"FLUSHALL"]);
        node.engine.take_log();
        value
    })
}

/// Runs a script: the bytes themselves, or one made up from them; the first byte decides.
pub(crate) fn script(data: &[u8]) {
    let mut input = Input::new(data);
    if input.byte() & 1 == 0 {
        eval(input.rest(), &[b"k1", b"k2", b"a", b"1", b"\xff\x00"]);
    } else {
        let mut text = String::new();
        while !input.is_empty() && text.len() < SCRIPT_BYTES_MAX {
            statement(&mut input, &mut text, 0);
        }
        eval(text.as_bytes(), &[b"k1", b"k2", b"a", b"1", b"\xff\x00"]);
    }
}

const COMMANDS: &[&str] = &[
    "'SET',KEYS[1]",
    "'GET',KEYS[1]",
    "'HSET',KEYS[2],'f'",
    "'HGETALL',KEYS[2]",
    "'LPUSH',KEYS[1]",
    "'LRANGE',KEYS[1],0",
    "'ZADD',KEYS[2],1",
    "'ZRANGE',KEYS[2],0,-1,'WITHSCORES'",
    "'XADD',KEYS[1],'*','f'",
    "'XRANGE',KEYS[1],'-','+'",
    "'INCR',KEYS[1]",
    "'DEL',KEYS[1]",
    "'EVAL','return 1'",
    "'PUBLISH','c'",
    "'EXPIRE',KEYS[1]",
    "'DUMP',KEYS[1]",
    "'RESTORE',KEYS[2],0",
    "'SORT',KEYS[1]",
    "'TYPE',KEYS[1]",
    "'KEYS'",
];

const FUNCTIONS: &[&str] = &[
    "cjson.encode",
    "cjson.decode",
    "cmsgpack.pack",
    "cmsgpack.unpack",
    "struct.size",
    "tostring",
    "tonumber",
    "type",
    "#",
    "-",
    "not",
    "string.reverse",
    "string.byte",
    "table.concat",
    "unpack",
    "next",
    "pairs",
    "redis.sha1hex",
    "redis.status_reply",
    "redis.error_reply",
    "redis.setresp",
    "bit.bnot",
    "math.floor",
    "string.dump",
    "loadstring",
    "getmetatable",
    "coroutine.wrap",
    "table.sort",
    "select",
    "assert",
    "error",
    "redis.log",
    "redis.set_repl",
];

const CONSTANTS: &[&str] = &[
    "nil",
    "true",
    "false",
    "0",
    "1",
    "-1",
    "1e308",
    "-1e-320",
    "0/0",
    "1/0",
    "2^53",
    "-2^63",
    "2^31",
    "KEYS",
    "ARGV",
    "KEYS[1]",
    "ARGV[3]",
    "x",
    "y",
    "{}",
    "''",
    "'%s %d'",
    "cjson.null",
    "{ok='fine'}",
    "{err='ERR bad'}",
    "{double=1.5}",
    "{map={a=1}}",
    "{set={a=true}}",
    "{big_number='12'}",
    "{verbatim_string={string='a',format='txt'}}",
    "_G",
    "redis",
    "string",
    "function(a,b) return b,a end",
    "x[1]",
    "y.f",
    "ARGV[1]..ARGV[2]",
];

fn expression(input: &mut Input<'_>, out: &mut String, depth: u32) {
    if depth > DEPTH_MAX || input.is_empty() {
        return out.push_str(input.pick(CONSTANTS));
    }
    match input.byte() % 10 {
        0..=2 => out.push_str(input.pick(CONSTANTS)),
        3 => {
            out.push('"');
            for &byte in input.short() {
                out.push_str(&format!("\\{byte:03}"));
            }
            out.push('"');
        }
        4 | 5 => {
            out.push_str(input.pick(FUNCTIONS));
            list(input, out, depth, "(", ")");
        }
        6 => {
            out.push_str(input.pick(&["redis.call(", "redis.pcall("]));
            out.push_str(input.pick(COMMANDS));
            list(input, out, depth, ",", ")");
        }
        7 => list(input, out, depth, "{", "}"),
        8 => {
            out.push_str("struct.");
            out.push_str(input.pick(&["pack", "unpack"]));
            let format =
                input.pick(&["'>I4hH'", "'s'", "'c0'", "'<i8d'", "'!4bL'", "'xf'", "'>I16'", "'Bc0'"]);
            out.push_str(&format!("({format}"));
            list(input, out, depth, ",", ")");
        }
        _ => {
            out.push('(');
            expression(input, out, depth + 1);
            out.push_str(input.pick(&["..", "+", "*", "/", "%", "^", "==", "<", " and ", " or "]));
            expression(input, out, depth + 1);
            out.push(')');
        }
    }
}

/// One to three expressions.
fn list(input: &mut Input<'_>, out: &mut String, depth: u32, before: &str, after: &str) {
    let mut between = before;
    for _ in 0..=input.byte() % 3 {
        out.push_str(between);
        expression(input, out, depth + 1);
        between = ",";
    }
    out.push_str(after);
}

fn statement(input: &mut Input<'_>, out: &mut String, depth: u32) {
    let (before, after) = match input.byte() % 9 {
        0 => ("local x=", " "),
        1 => ("y=", " "),
        2 => ("x={f=", ",1,2} "),
        3 => ("local y=", " "),
        4 => ("if ", " then "),
        5 => ("for i=1,3 do x=", " "),
        6 => ("pcall(function() local x=", " "),
        7 => ("redis.call('RPUSH',KEYS[1],tostring(", ")) "),
        _ => ("do return ", " end "),
    };
    out.push_str(before);
    expression(input, out, depth);
    out.push_str(after);
    let end = match before {
        "if " | "for i=1,3 do x=" => "end ",
        "pcall(function() local x=" => "end) ",
        _ => return,
    };
    if depth < DEPTH_MAX {
        statement(input, out, depth + 1);
    }
    out.push_str(end);
}

/// Gives any bytes to the decoders. What one has decoded can be encoded and decoded again.
pub(crate) fn codec(data: &[u8]) {
    let mut input = Input::new(data);
    let script: &[u8] = match input.byte() % 6 {
        0 => {
            b"local ok, v = pcall(cjson.decode, ARGV[1]) if not ok then return 'refused' end
            local ok, text = pcall(cjson.encode, v) if not ok then return 'deep' end
            local again = cjson.encode(cjson.decode(text))
            return #again == #text and 'same' or text .. again"
        }
        1 => {
            b"local ok, v = pcall(cmsgpack.unpack, ARGV[1]) if not ok then return 'refused' end
            local packed = cmsgpack.pack(v)
            -- nil stands for what is nested too deep, and is not there any more the next time
            if packed:find('\\192', 1, true) then return 'deep' end
            return #cmsgpack.pack((cmsgpack.unpack(packed))) == #packed and 'same' or packed"
        }
        2 => b"return select('#', pcall(cmsgpack.unpack_limit, ARGV[1], 3, 1)) > 0 and 'same'",
        3 => b"return pcall(struct.unpack, ARGV[2], ARGV[1]) and 'same' or 'refused'",
        4 => b"return pcall(struct.pack, ARGV[2], ARGV[1], 1, 2.5, ARGV[1]) and 'same' or 'refused'",
        _ => b"return pcall(string.format, ARGV[2], ARGV[1], 1, 2.5) and pcall(string.find, ARGV[1], ARGV[2]) and 'same' or 'refused'",
    };
    let format = input.short();
    let reply = eval(script, &[b"k1", b"k2", input.rest(), format]);
    let fine = matches!(&reply, Value::Bulk(text) if matches!(&text[..], b"same" | b"refused" | b"deep"));
    // Time and memory run out where the bytes ask for too much of them.
    let gave_up = matches!(&reply, Value::Error(_) | Value::Null);
    assert!(fine || gave_up, "{reply:?}");
}
