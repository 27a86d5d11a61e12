//! Suspension, SCRIPT KILL and the limits, wherever in Lua a script is.

use std::collections::VecDeque;
use std::rc::Rc;

use sessile_resp::{Args, OwnedArgs, Proto};
use sessile_script::{
    AclVerdict, CompileError, Flags, Host, Interrupt, Options, Outcome, Progress, ScriptHost,
};

/// Answers every command with its last argument, and interrupts by a plan; then it goes on for ever.
#[derive(Default)]
struct PlannedHost {
    plan: VecDeque<Interrupt>,
    calls: Vec<OwnedArgs>,
    interrupts: usize,
    log: Vec<(i64, Vec<u8>)>,
}

impl Host for PlannedHost {
    fn call(&mut self, args: Args<'_>, _proto: Proto, out: &mut Vec<u8>) {
        self.calls.push(args.to_owned());
        let last = &args[args.len() - 1];
        if last == b"fail" {
            return out.extend_from_slice(b"-WRONG kind\r\n");
        }
        out.extend_from_slice(format!("${}\r\n", last.len()).as_bytes());
        out.extend_from_slice(last);
        out.extend_from_slice(b"\r\n");
    }

    fn log(&mut self, level: i64, message: &[u8]) {
        self.log.push((level, message.to_vec()));
    }

    fn interrupt(&mut self) -> Interrupt {
        self.interrupts += 1;
        self.plan.pop_front().unwrap_or(Interrupt::Continue)
    }

    fn acl_check(&mut self, _args: Args<'_>) -> AclVerdict {
        AclVerdict::Denied
    }
}

fn start(scripts: &mut ScriptHost, host: &mut PlannedHost, body: &str, out: &mut Vec<u8>) -> Progress {
    let script = scripts.load(body.as_bytes()).expect("it compiles");
    let none = OwnedArgs::new();
    scripts.eval(host, &script, none.as_args(), none.as_args(), Proto::Resp2, out)
}

/// The whole reply of a script that may be suspended, and how often it was.
fn finish(scripts: &mut ScriptHost, host: &mut PlannedHost, body: &str) -> (String, usize) {
    let mut out = Vec::new();
    let mut suspensions = 0;
    let mut progress = start(scripts, host, body, &mut out);
    while progress == Progress::Suspended {
        assert!(out.is_empty() && scripts.is_suspended());
        suspensions += 1;
        // Another host in each turn: a suspended script keeps no pointer to the last one.
        let mut next = PlannedHost { plan: std::mem::take(&mut host.plan), ..PlannedHost::default() };
        progress = scripts.resume(&mut next, &mut out);
        host.plan = next.plan;
    }
    (String::from_utf8_lossy(&out).into_owned(), suspensions)
}

/// Places to be interrupted in: each runs long enough for some hooks, and returns 7.
const BUSY: &[&str] = &[
    "local n = 0 for i = 1, 200000 do n = n + 1 end return 7",
    "local ok, n = pcall(function() for i = 1, 200000 do end return 7 end) return n",
    "local ok, n = xpcall(function() for i = 1, 200000 do end return 7 end, function() end) return n",
    "return coroutine.wrap(function() for i = 1, 200000 do end coroutine.yield(7) end)()",
    "local f = coroutine.wrap(function() return coroutine.wrap(function() for i = 1, 200000 do end return 7 end)() end) return f()",
    "local t = setmetatable({}, {__index = function() for i = 1, 200000 do end return 7 end}) return t.x",
    "local t = setmetatable({}, {__lt = function() for i = 1, 200000 do end return true end}) return t < t and 7",
    "local t = {3, 1, 2} table.sort(t, function(a, b) for i = 1, 100000 do end return a < b end) return 7",
    "return tonumber((string.gsub('x', 'x', function() for i = 1, 200000 do end return '7' end)))",
    "local done return load(function() for i = 1, 200000 do end if not done then done = true return 'return 7' end end)()",
    "for i = 1, 100 do redis.call('echo', i) end return 7",
    "for i = 1, 100 do redis.pcall('echo', 'fail') end return 7",
    "local n = 0 while n < 100 do n = n + 1 pcall(redis.call, 'echo', 'fail') end return 7",
    "return string.find(string.rep('a', 80), '.-.-.-b') or 7",
    "return string.match(string.rep('a', 80), '(.*)(.*)[^b]*b') or 7",
    "for _ in string.gmatch(string.rep('(', 2000), '%b()') do end return 7",
    "return string.gsub(string.rep('a', 200), 'a+a+b', '') and 7",
    "local t = {1} for i = 1, 17 do t = {t, t} end return #cjson.encode(t) > 0 and 7",
    "local t = {1} for i = 1, 4 do t = {t, t, t, t, t, t, t, t, t, t, t, t, t, t, t, t, t} end return #cmsgpack.pack(t) > 0 and 7",
    "return #cjson.decode('[' .. string.rep('1,', 200000) .. '1]') and 7",
    "return #{cmsgpack.unpack(string.rep('\\147\\1\\2\\3', 7000))} and #cmsgpack.unpack('\\221\\0\\3\\13\\64' .. string.rep('\\1', 200000)) and 7",
    "local t = {} for i = 1, 5000 do t[i] = i * 7919 % 5003 end table.sort(t) return 7",
    "local t = {} for i = 1, 5000 do t[i] = i end for i = 1, 50 do table.insert(t, 1, 0) table.remove(t, 1) table.maxn(t) end return 7",
    "return coroutine.wrap(function() return string.find(string.rep('a', 400), '(a+)%1b') or 7 end)()",
];

#[test]
fn suspended_scripts_go_on_where_they_were() {
    let mut scripts = ScriptHost::new(Options::default());
    for body in BUSY {
        let mut host = PlannedHost { plan: vec![Interrupt::Suspend; 5].into(), ..PlannedHost::default() };
        // The plan is followed at each resumption too.
        assert_eq!(finish(&mut scripts, &mut host, body), (":7\r\n".into(), 5), "{body}");
        assert_eq!(finish(&mut scripts, &mut host, body), (":7\r\n".into(), 0), "{body}");
    }
}

#[test]
fn kill_is_not_to_be_caught() {
    let mut scripts = ScriptHost::new(Options::default());
    let stubborn = [
        "while true do pcall(function() while true do end end) end",
        "while true do xpcall(function() while true do end end, function() return 1 end) end",
        "while true do local co = coroutine.create(function() while true do end end) coroutine.resume(co) end",
        "while true do pcall(coroutine.wrap(function() while true do pcall(function() while true do end end) end end)) end",
        "while true do redis.pcall('echo', 'x') end",
        "while true do pcall(redis.call, 'echo', 'x') end",
        "local function f() pcall(f) f() end while true do pcall(f) end",
        "local t = setmetatable({}, {__index = function() while true do end end}) while true do pcall(function() return t.x end) end",
        "repeat until false",
        "while true do pcall(string.find, string.rep('a', 100), string.rep('.-', 20) .. 'b') end",
        "while true do pcall(string.gsub, 'x', 'x', function() string.match(string.rep('a', 100), string.rep('a?', 50) .. 'b') end) end",
        "for _ in string.gmatch(string.rep('a', 100), string.rep('.*', 20) .. 'b') do end",
    ];
    for body in stubborn.iter().chain(BUSY) {
        for plan in [
            vec![Interrupt::Kill],
            vec![Interrupt::Continue, Interrupt::Suspend, Interrupt::Suspend, Interrupt::Kill],
        ] {
            let mut host = PlannedHost { plan: plan.into(), ..PlannedHost::default() };
            let (reply, _) = finish(&mut scripts, &mut host, body);
            let expected = "-ERR Script killed by user with SCRIPT KILL... script: ";
            assert!(reply.starts_with(expected) && reply.contains("on @user_script:1."), "{body}: {reply}");
        }
        let (reply, _) = finish(&mut scripts, &mut PlannedHost::default(), "return 1");
        assert_eq!(reply, ":1\r\n", "after {body}");
    }
}

#[test]
fn a_host_may_be_dropped_while_a_script_is_suspended() {
    for body in BUSY {
        let mut scripts = ScriptHost::new(Options::default());
        let mut host = PlannedHost { plan: vec![Interrupt::Suspend].into(), ..PlannedHost::default() };
        assert_eq!(start(&mut scripts, &mut host, body, &mut Vec::new()), Progress::Suspended);
    }
}

#[test]
fn nothing_else_runs_while_a_script_is_suspended() {
    let mut scripts = ScriptHost::new(Options::default());
    let mut host = PlannedHost { plan: vec![Interrupt::Suspend].into(), ..PlannedHost::default() };
    let mut out = Vec::new();
    assert_eq!(start(&mut scripts, &mut host, BUSY[0], &mut out), Progress::Suspended);
    assert_eq!(scripts.load(b"return 2").err(), Some(CompileError::Busy));
    assert!(!scripts.flush());
    let progress = start(&mut scripts, &mut host, BUSY[0], &mut out);
    assert_eq!(progress, Progress::Done(Outcome::Failed { counted: false }));
    assert!(out.starts_with(b"-BUSY "));
    out.clear();
    assert_eq!(scripts.resume(&mut host, &mut out), Progress::Done(Outcome::Returned));
    assert_eq!(out, b":7\r\n");
    assert!(scripts.flush() && scripts.is_empty());
}

#[test]
fn memory_is_limited_and_comes_back() {
    let limit = 8 << 20;
    let mut scripts = ScriptHost::new(Options { memory_limit_bytes: limit, ..Options::default() });
    let bombs = [
        "return #string.rep('x', 2^31-1)",
        "local s = 'x' while true do s = s .. s end",
        "local t = {} while true do t[#t + 1] = {} end",
        "local t = {} for i = 1, 1e9 do t[i] = string.rep('x', 1000) .. i end",
        "return cjson.decode('[' .. string.rep('[],', 2000000) .. '1]')",
        "local t = {} for i = 1, 1e9 do t[i] = coroutine.create(function() end) end",
        "local t = {1} for i = 1, 100 do t = {t, t} end return cjson.encode(t)",
        "local t = {1} for i = 1, 15 do t = {t, t, t, t, t, t, t, t, t, t, t, t, t} end return cmsgpack.pack(t)",
        "local s, t = string.rep('x', 1000000), {} for i = 1, 20 do t[i] = s end return cjson.encode(t)",
        "local s, t = string.rep('x', 1000000), {} for i = 1, 20 do t[i] = s end return struct.pack(string.rep('s', 20), unpack(t))",
        "local s, t = string.rep('x', 1000000), {} for i = 1, 20 do t[i] = s end return redis.call('echo', unpack(t))",
        "local s, t = string.rep('x', 1000000), {} for i = 1, 20 do t[i] = s end redis.log(1, unpack(t))",
        "return loadstring('return \"' .. string.rep('x', 5000000) .. '\"')()",
    ];
    for body in bombs {
        let (reply, _) = finish(&mut scripts, &mut PlannedHost::default(), body);
        assert!(reply.starts_with("-ERR ") && reply.contains("not enough memory"), "{body}: {reply}");
        let caught = format!("return {{pcall(function() {body} end), 5}}");
        let (reply, _) = finish(&mut scripts, &mut PlannedHost::default(), &caught);
        assert_eq!(reply, "*2\r\n$-1\r\n:5\r\n", "{body}");
        // Garbage below the limit is no reason to fail.
        let churn = "for i = 1, 200 do local s = string.rep('y', 1000000) .. i end return 7";
        assert_eq!(finish(&mut scripts, &mut PlannedHost::default(), churn).0, ":7\r\n", "after {body}");
    }
    assert!(scripts.memory_bytes() < limit + (1 << 20));
}

#[test]
fn a_reply_is_limited_and_can_be_interrupted() {
    let limit = 8 << 20;
    let mut scripts = ScriptHost::new(Options { memory_limit_bytes: limit, ..Options::default() });
    for bomb in [
        "local t = {1} for i = 1, 100 do t = {t, t} end return t",
        "redis.setresp(3) local t = {1} for i = 1, 100 do t = {map = {[1] = t, [2] = t}} end return t",
        "local s, t = string.rep('x', 1000000), {} for i = 1, 20 do t[i] = s end return t",
    ] {
        let mut host = PlannedHost { plan: vec![Interrupt::Suspend; 3].into(), ..PlannedHost::default() };
        let reply = finish(&mut scripts, &mut host, bomb).0;
        assert_eq!(
            reply, "-ERR the script's reply is larger than the memory that scripts may use\r\n",
            "{bomb}"
        );
    }
    let long = "local t = {1} for i = 1, 17 do t = {t, t} end return t";
    let (reply, _) = finish(&mut scripts, &mut PlannedHost::default(), long);
    let mut host = PlannedHost { plan: vec![Interrupt::Suspend; 5].into(), ..PlannedHost::default() };
    assert_eq!(finish(&mut scripts, &mut host, long), (reply, 5));
    let mut host =
        PlannedHost { plan: vec![Interrupt::Suspend, Interrupt::Kill].into(), ..PlannedHost::default() };
    let killed = "-ERR Script killed by user with SCRIPT KILL...\r\n";
    assert_eq!(finish(&mut scripts, &mut host, long), (killed.into(), 1));
    assert_eq!(finish(&mut scripts, &mut PlannedHost::default(), "return 1").0, ":1\r\n");
}

#[test]
fn recursion_ends_in_an_error() {
    let mut scripts = ScriptHost::new(Options::default());
    let check = |scripts: &mut ScriptHost, body: &str, expected: &str| {
        let (reply, _) = finish(scripts, &mut PlannedHost::default(), body);
        assert!(reply.starts_with('-') && reply.contains(expected), "{body}: {reply}");
    };
    for pattern in ["string.rep('a?', 300000)", "string.rep('a-', 300000)", "string.rep('a*', 300000) .. 'b'"]
    {
        check(
            &mut scripts,
            &format!("return string.find(string.rep('a', 300000), {pattern})"),
            "pattern too complex",
        );
        check(
            &mut scripts,
            &format!("return string.gsub(string.rep('a', 300000), {pattern}, '')"),
            "pattern too complex",
        );
    }
    check(&mut scripts, "return cmsgpack.unpack(string.rep('\\145', 1000000))", "stack overflow");
    check(
        &mut scripts,
        "cjson.decode_max_depth(1e9) return cjson.decode(string.rep('[', 1000000))",
        "too many nested",
    );
    check(
        &mut scripts,
        "cjson.encode_max_depth(1e9) local t = {} for i = 1, 100000 do t = {t} end return cjson.encode(t)",
        "excessive nesting",
    );
    check(&mut scripts, "local t = {} for i = 1, 100000 do t = {t} end error(t)", "unknown error");
    let nested = "local function f(n) if n > 0 then return (string.gsub('x', 'x', function() return f(n - 1) end)) end \
                  return #cmsgpack.unpack(string.rep('\\145', 3900) .. '\\1') end return f(180)";
    assert_eq!(finish(&mut scripts, &mut PlannedHost::default(), nested).0, "$1\r\n1\r\n");
    let long_pattern = "return string.find(string.rep('a', 1900), string.rep('a?', 1900))";
    assert_eq!(finish(&mut scripts, &mut PlannedHost::default(), long_pattern).0, ":1\r\n");
}

#[test]
fn scripts_are_kept_by_name() {
    let mut scripts = ScriptHost::new(Options::default());
    let script = scripts.load(b"#!lua flags=no-writes\nreturn 1").expect("it compiles");
    assert_eq!((script.body(), script.flags()), (&b"#!lua flags=no-writes\nreturn 1"[..], Flags::NO_WRITES));
    let other = scripts.load(b"return 1").expect("it compiles");
    assert_eq!(other.flags(), Flags::COMPATIBLE);
    for script in [&script, &other, &other, &script] {
        let upper = script.sha().to_ascii_uppercase();
        assert!(scripts.exists(&upper) && !scripts.exists(b"short"));
        assert!(scripts.find(&upper).is_some_and(|found| Rc::ptr_eq(&found, script)));
        assert!(scripts.find(script.sha()).is_some_and(|found| Rc::ptr_eq(&found, script)));
        assert!(scripts.load(script.body()).is_ok_and(|found| Rc::ptr_eq(&found, script)));
    }
    assert_eq!((scripts.len(), scripts.flush(), scripts.len()), (2, true, 0));
    assert!(!scripts.exists(script.sha()) && scripts.find(script.sha()).is_none());
    let mut out = Vec::new();
    let none = OwnedArgs::new();
    let progress = scripts.eval(
        &mut PlannedHost::default(),
        &script,
        none.as_args(),
        none.as_args(),
        Proto::Resp2,
        &mut out,
    );
    assert_eq!(progress, Progress::Done(Outcome::Failed { counted: false }));
    assert_eq!(out, b"-NOSCRIPT No matching script. Please use EVAL.\r\n");
}

#[test]
fn errors_of_commands_are_marked_as_counted() {
    let mut scripts = ScriptHost::new(Options::default());
    let mut check = |body: &str, expected: Outcome| {
        let progress = start(&mut scripts, &mut PlannedHost::default(), body, &mut Vec::new());
        assert_eq!(progress, Progress::Done(expected), "{body}");
    };
    check("return 1", Outcome::Returned);
    check("return redis.call('x', 'fail')", Outcome::Failed { counted: true });
    check("return redis.pcall('x', 'fail')", Outcome::Failed { counted: true });
    check("return redis.error_reply('MY error')", Outcome::Failed { counted: false });
    check("error('x')", Outcome::Failed { counted: false });
}

#[test]
fn the_log_gets_its_lines() {
    let mut host = PlannedHost::default();
    finish(
        &mut ScriptHost::new(Options::default()),
        &mut host,
        "redis.log(redis.LOG_NOTICE, 'a', 1, {}, 'b')",
    );
    assert_eq!(host.log, [(2, b"a 1 b".to_vec())]);
}
