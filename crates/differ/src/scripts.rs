//! Scripts, functions and the random calls of them.

use crate::rng::Rng;
use crate::step::{Inner, Words, words};

/// Runs the command in ARGV; an error ends the script.
pub const CALL: &str = "return redis.call(unpack(ARGV))";
/// Runs the command in ARGV; an error is the result.
pub const PCALL: &str = "return redis.pcall(unpack(ARGV))";

/// Scripts without inner commands that matter: conversions, libraries, errors.
pub const PURE: &[&str] = &[
    "return ARGV[1]",
    "return KEYS[1]",
    "return #ARGV",
    "return tonumber(ARGV[1])",
    "return tostring(tonumber(ARGV[1]))",
    "return {1, 2, {3, 'x', {ok='fine'}}, false, 4}",
    "return {1, nil, 3}",
    "return {double=3.25}",
    "return {err='MY error'}",
    "return {ok='STATUS'}",
    "return redis.error_reply('ERR mine')",
    "return redis.status_reply('mine')",
    "return true",
    "return false",
    "return nil",
    "return 3.99",
    "return -3.99",
    "return 'a\\0b'",
    "return redis.sha1hex(ARGV[1] or '')",
    "redis.setresp(3); return {map={a=1}}",
    "redis.setresp(3); return redis.call('hgetall', 'nosuch')",
    "redis.setresp(4)",
    "return cjson.encode({1, 2, 'x', true})",
    "return cjson.encode({a=1.5})",
    "return cjson.encode(cjson.decode('[1,2.5,\"a\",null,{\"k\":[]}]'))",
    "return cjson.decode(ARGV[1])",
    "return cmsgpack.pack({1, 'a', 2.5, true, -300, 70000})",
    "return cmsgpack.unpack(cmsgpack.pack({1, {2, 'x'}, 'abc'}))",
    "return struct.pack('>I2i4s', 7, -1, 'abc')",
    "return {struct.unpack('<I4', 'abcd')}",
    "return bit.tohex(bit.bxor(0xff00, 0x0ff0))",
    "return {bit.band(12, 10), bit.bor(12, 10), bit.lshift(1, 31), bit.arshift(-8, 1)}",
    "return string.format('%5.2f|%d|%s|%q|%x', 3.14159, 42, 'x', 'a\\nb', 255)",
    "return string.rep('ab', 10)",
    "return {string.find('hello world', 'o w')}",
    "return {string.match('k=v', '(%w+)=(%w+)')}",
    "return (string.gsub('hello', 'l', 'L'))",
    "local t = {3,1,2}; table.sort(t); return t",
    "return table.concat({1,2,3}, '-')",
    "return math.floor(7 / 2)",
    "return tostring(1/3)",
    "return tostring(10^15)",
    "return tostring(2^53)",
    "return tostring(-0)",
    "return type(redis.call)",
    "return {pcall(function() error('boom') end)}",
    "return {pcall(error, {code=1})}",
    "error('boom')",
    "error({err='My Err'})",
    "return nosuch",
    "nosuch = 1",
    "return redis.call('nosuch')",
    "return redis.call()",
    "return redis.call('get')",
    "return redis.pcall('get').err",
    "return redis.call('multi')",
    "return redis.call('get', {})",
    "return redis.call('set', 's1', 1.5)",
    "return redis.REDIS_VERSION_NUM == nil",
    "return loadstring('return 1')()",
    "return os.time == nil",
    "return {type(os.clock), type(string.dump), type(print), type(require)}",
    "local x = {}; x[1] = x; return 1",
    "return unpack({1, 2, 3})",
    "return select('#', 1, nil, nil)",
    "return #KEYS + #ARGV",
    "return redis.breakpoint()",
    "return {redis.LOG_DEBUG, redis.LOG_WARNING, redis.REPL_ALL}",
    "return redis.log(redis.LOG_DEBUG, 'x')",
    "return redis.set_repl(redis.REPL_ALL)",
    "return redis.replicate_commands()",
    "return redis.acl_check_cmd('get', 's1')",
    "syntax error here",
    "return 'unfinished",
    "#!lua flags=no-writes\nreturn redis.call('set', 's1', 'x')",
    "#!lua flags=allow-stale\nreturn 1",
    "#!lua flags=nosuch\nreturn 1",
    "#!lua\nreturn redis.call('get', 's1')",
    "#!nosuch\nreturn 1",
];

/// Libraries for FUNCTION LOAD; the first is always loaded at the start.
pub const LIBRARIES: &[&str] = &[
    "#!lua name=lib1\nredis.register_function('f_call', function(keys, args) return redis.pcall(unpack(args)) end)\nredis.register_function{function_name='f_ro', callback=function(keys, args) return redis.pcall(unpack(args)) end, flags={'no-writes'}}",
    "#!lua name=lib2\nredis.register_function('f_echo', function(keys, args) return {#keys, #args, args[1] or 'none'} end)",
    "#!lua name=lib2\nredis.register_function('f_echo', function(keys, args) return 'second' end)\nredis.register_function{function_name='f_err', callback=function() error('boom') end, description='fails'}",
    "#!lua name=lib3\nredis.register_function('f_call', function() end)",
    "#!lua name=lib4\nreturn 1",
    "#!lua name=lib5\nsyntax error",
    "#!lua name=bad-name\nreturn 1",
    "#!lua\nreturn 1",
    "no shebang",
    "#!lua name=lib6\nredis.register_function('bad name', function() end)",
    "#!lua name=lib7\nredis.register_function{function_name='f7', callback=function() end, flags={'nosuch'}}",
    "#!lua name=lib8\nredis.call('get', 'a')",
];

/// Commands that load the fixed scripts and the first library.
#[must_use]
pub fn preload() -> Vec<Words> {
    let mut commands: Vec<Words> =
        [CALL, PCALL].iter().chain(PURE).map(|s| words(&["SCRIPT", "LOAD", s])).collect();
    commands.push(words(&["FUNCTION", "LOAD", "REPLACE", LIBRARIES[0]]));
    commands
}

/// A script that runs `inner` one after the other, each error a result of its own, with its ARGV.
#[must_use]
pub fn sequence(inner: Vec<Words>, resp3: bool) -> (Vec<u8>, Words, Inner) {
    let mut source = String::from(if resp3 { "redis.setresp(3) return {" } else { "return {" });
    let mut argv = Words::new();
    for (i, command) in inner.iter().enumerate() {
        let from = argv.len() + 1;
        argv.extend(command.iter().cloned());
        let comma = if i > 0 { "," } else { "" };
        // Parentheses cut the call to one value.
        source.push_str(&format!("{comma}(redis.pcall(unpack(ARGV,{from},{})))", argv.len()));
    }
    source.push('}');
    (source.into_bytes(), argv, Inner::Each(inner))
}

/// One of the fixed scripts with its index in the order of [`preload`].
pub fn pure(rng: &mut Rng) -> (usize, &'static str) {
    let at = rng.below(PURE.len());
    (at + 2, PURE[at])
}
