//! Malformed requests get the same words from us as from Redis.

use std::io::{Read, Write};

use sessile_oracle::Oracle;
use sessile_resp::{Limits, Parser, Proto, Reply};

/// What the server answers to `input` before it closes the connection.
fn redis_says(oracle: &Oracle, input: &[u8]) -> Vec<u8> {
    let mut stream = oracle.stream();
    stream.write_all(input).unwrap();
    let mut answer = Vec::new();
    // A reset after the answer is the server closing with bytes of ours unread.
    let _ = stream.read_to_end(&mut answer);
    answer
}

fn we_say(input: &[u8], limits: &Limits) -> Vec<u8> {
    let mut out = Vec::new();
    if let Err(error) = Parser::new().next(input, limits) {
        let mut text = b"ERR ".to_vec();
        text.extend(error.message());
        Reply::new(&mut out, Proto::Resp2).error(&text);
    }
    out
}

fn check(oracle: &Oracle, limits: &Limits, input: &[u8]) {
    let (theirs, ours) = (redis_says(oracle, input), we_say(input, limits));
    assert!(!theirs.is_empty());
    assert_eq!(
        ours.escape_ascii().to_string(),
        theirs.escape_ascii().to_string(),
        "{}",
        input[..input.len().min(80)].escape_ascii()
    );
}

#[test]
fn malformed_requests_are_answered_as_redis_does() {
    let oracle = Oracle::start(&[]);
    let limits = Limits::default();
    for input in [
        &b"*x\r\n"[..],
        b"*\r\n",
        b"*+1\r\n",
        b"*01\r\n",
        b"*1 \r\n",
        b"*-0\r\n",
        b"*2147483648\r\n",
        b"*9223372036854775808\r\n",
        b"*-9223372036854775809\r\n",
        b"*1\r\n$-1\r\n",
        b"*1\r\n$x\r\n",
        b"*1\r\n$\r\n",
        b"*1\r\n$01\r\n",
        b"*1\r\n$536870913\r\n",
        b"*1\r\n$9223372036854775808\r\n",
        b"*1\r\n:1\r\n",
        b"*1\r\n\r\n",
        b"*1\r\n\n\r\n",
        b"*1\r\n\xff1\r\n",
        b"*2\r\n$1\r\na\r\nxx\r\n",
        b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$-5\r\n",
        b"set \"a\r\n",
        b"set 'a\r\n",
        b"set \"a\"b\r\n",
        b"set 'a'b\r\n",
        b"set \"a\\\r\n",
    ] {
        check(&oracle, &limits, input);
    }
    check(&oracle, &limits, &[b'a'; 70_000]);
    check(&oracle, &limits, &[b'*'; 70_000]);
    check(&oracle, &limits, &[&b"*1\r\n"[..], &[b'$'; 70_000]].concat());
}

#[test]
fn unauthenticated_clients_are_limited_as_redis_does() {
    let oracle = Oracle::start(&["--requirepass", "secret"]);
    let limits = Limits { unauthenticated: true, ..Limits::default() };
    check(&oracle, &limits, b"*11\r\n");
    check(&oracle, &limits, b"*2147483648\r\n");
    check(&oracle, &limits, b"*1\r\n$16385\r\n");
    check(&oracle, &limits, b"*10\r\n$536870913\r\n");
}
