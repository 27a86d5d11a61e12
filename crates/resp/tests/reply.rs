//! Replies: what the sink writes, and what the decoder makes of it.

use sessile_resp::{Decoder, Proto, ProtocolError, Reply, ReplyLimits, Value, decode};

/// Writes one reply in both versions of the protocol.
fn check(write: impl Fn(&mut Reply<'_>), resp2: &str, resp3: &str) {
    for (proto, expected) in [(Proto::Resp2, resp2), (Proto::Resp3, resp3)] {
        let mut out = Vec::new();
        write(&mut Reply::new(&mut out, proto));
        assert_eq!(out.escape_ascii().to_string(), expected.as_bytes().escape_ascii().to_string());
        for cut in 0..out.len() {
            assert_eq!(decode(&out[..cut]), Ok(None), "a part of a reply");
        }
        let (_, len) = decode(&out).unwrap().expect("a whole reply");
        assert_eq!(len, out.len());
    }
}

#[test]
fn every_type() {
    check(|r| (r.ok(), ()).1, "+OK\r\n", "+OK\r\n");
    check(|r| r.simple("PONG"), "+PONG\r\n", "+PONG\r\n");
    check(|r| r.error(b"ERR a\r\nb\n"), "-ERR a  b\r\n", "-ERR a  b\r\n");
    check(|r| r.error(b"\r\n"), "-\r\n", "-\r\n");
    check(|r| r.int(-1), ":-1\r\n", ":-1\r\n");
    check(|r| r.int(7), ":7\r\n", ":7\r\n");
    check(|r| r.int(42), ":42\r\n", ":42\r\n");
    check(|r| r.int(i64::MIN), ":-9223372036854775808\r\n", ":-9223372036854775808\r\n");
    check(|r| r.bulk(b""), "$0\r\n\r\n", "$0\r\n\r\n");
    check(|r| r.bulk(b"a\r\nb"), "$4\r\na\r\nb\r\n", "$4\r\na\r\nb\r\n");
    check(|r| r.bulk_int(-12), "$3\r\n-12\r\n", "$3\r\n-12\r\n");
    check(|r| r.bulk_with(2, |out| out.extend_from_slice(b"xy")), "$2\r\nxy\r\n", "$2\r\nxy\r\n");
    check(|r| (r.null(), ()).1, "$-1\r\n", "_\r\n");
    check(|r| (r.null_array(), ()).1, "*-1\r\n", "_\r\n");
    check(|r| r.bool(true), ":1\r\n", "#t\r\n");
    check(|r| r.double(1.5), "$3\r\n1.5\r\n", ",1.5\r\n");
    check(|r| r.double(-1.797e308), "$11\r\n-1.797e+308\r\n", ",-1.797e+308\r\n");
    check(|r| r.double(f64::NEG_INFINITY), "$4\r\n-inf\r\n", ",-inf\r\n");
    check(|r| r.big_number("123"), "$3\r\n123\r\n", "(123\r\n");
    check(|r| r.verbatim("txt", b"hi"), "$2\r\nhi\r\n", "=6\r\ntxt:hi\r\n");
    check(|r| r.verbatim("x", b""), "$0\r\n\r\n", "=4\r\nx  :\r\n");
    check(|r| (r.array(0), ()).1, "*0\r\n", "*0\r\n");
    check(|r| (r.map(1), r.int(1), r.null(), ()).3, "*2\r\n:1\r\n$-1\r\n", "%1\r\n:1\r\n_\r\n");
    check(|r| (r.set(1), r.int(1), ()).2, "*1\r\n:1\r\n", "~1\r\n:1\r\n");
    check(|r| (r.push(1), r.int(1), ()).2, "*1\r\n:1\r\n", ">1\r\n:1\r\n");
}

#[test]
fn lengths_known_afterwards() {
    let nested = |r: &mut Reply<'_>| {
        let all = r.mark();
        r.int(1);
        let inner = r.mark();
        r.reborrow().bulk(b"a");
        r.int(2);
        r.map_at(inner, 1);
        let dropped = r.mark();
        r.ok();
        r.truncate(dropped);
        let empty = r.mark();
        r.set_at(empty, 0);
        r.array_at(all, 3);
    };
    check(nested, "*3\r\n:1\r\n*2\r\n$1\r\na\r\n:2\r\n*0\r\n", "*3\r\n:1\r\n%1\r\n$1\r\na\r\n:2\r\n~0\r\n");
}

#[test]
fn decoded_values() {
    let value = |reply: &[u8]| decode(reply).unwrap().expect("a whole reply").0;
    let text = |text: &str| Value::Bulk(text.as_bytes().to_vec());
    assert_eq!(value(b"*2\r\n$1\r\na\r\n*1\r\n*0\r\n"), {
        Value::Array(vec![text("a"), Value::Array(vec![Value::Array(vec![])])])
    });
    assert_eq!(value(b"%1\r\n+a\r\n~1\r\n#f\r\n"), {
        Value::Map(vec![(Value::Simple(b"a".to_vec()), Value::Set(vec![Value::Bool(false)]))])
    });
    assert_eq!(value(b"|1\r\n+ttl\r\n:3\r\n*2\r\n|1\r\n+a\r\n*1\r\n:1\r\n:5\r\n:6\r\n"), {
        Value::Array(vec![Value::Int(5), Value::Int(6)])
    });
    assert_eq!(value(b"|0\r\n*1\r\n|0\r\n_\r\n"), Value::Array(vec![Value::Null]));
    assert_eq!(value(b">1\r\n,0.10000000000000001\r\n"), {
        Value::Push(vec![Value::Double(0.1, b"0.10000000000000001".to_vec())])
    });
    assert_eq!(value(b"!3\r\nERR\r\n"), Value::Error(b"ERR".to_vec()));
    assert_eq!(value(b"*-1\r\n"), Value::NullArray);
    assert_eq!(value(b"=5\r\ntxt:a\r\n"), Value::Verbatim(*b"txt", b"a".to_vec()));
}

#[test]
fn one_decoder_reads_reply_after_reply() {
    let stream = b"+OK\r\n*2\r\n:1\r\n$2\r\nab\r\n_\r\n";
    for piece in 1..stream.len() {
        let (mut decoder, mut start, mut count) = (Decoder::default(), 0, 0);
        for end in (0..stream.len()).step_by(piece).chain([stream.len()]) {
            while let Some((_, len)) = decoder.next(&stream[start..end]).unwrap() {
                start += len;
                count += 1;
            }
        }
        assert_eq!((start, count), (stream.len(), 3));
    }
}

#[test]
fn hostile_servers() {
    assert_eq!(decode(&b"*1\r\n".repeat(1_000_000)), Err(ProtocolError::ReplyTooDeep));
    assert_eq!(decode(b"*4000000000\r\n"), Ok(None));
    for (reply, error) in [
        (&b"*-2\r\n"[..], ProtocolError::MalformedReply),
        (b":1\n", ProtocolError::MalformedReply),
        (b"\r\n", ProtocolError::MalformedReply),
        (b"#x\r\n", ProtocolError::MalformedReply),
        (b",x\r\n", ProtocolError::MalformedReply),
        (b"=3\r\ntxt\r\n", ProtocolError::MalformedReply),
        (b"$1\r\nabc", ProtocolError::MalformedReply),
        (b"$99999999999\r\n", ProtocolError::ReplyTooBig),
        (b"?\r\n", ProtocolError::UnknownReplyType(b'?')),
    ] {
        assert_eq!(decode(reply), Err(error), "{}", reply.escape_ascii());
    }
}

#[test]
fn any_bytes_do_no_harm() {
    const MEANINGFUL: &[u8] = b"*$%~>|=!:+-_#,(\r\n\r\n\r\n\r\n0123tf";
    let mut state = 0x7e17_u64;
    println!("seed {state:#x}");
    let mut below = |bound: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 16) as usize % bound
    };
    let limits = ReplyLimits { max_bulk_len: 16, max_elements: 8, max_depth: 4, max_line: 16 };
    for _ in 0..50_000 {
        let mut soup: Vec<u8> = (0..below(60)).map(|_| MEANINGFUL[below(MEANINGFUL.len())]).collect();
        // Whole lines, most of the time, reach the deeper parts.
        soup.extend_from_slice(b"\r\n");
        let whole = Decoder::new(limits).next(&soup);
        let mut decoder = Decoder::new(limits);
        let pieces = (0..=soup.len()).map(|end| decoder.next(&soup[..end])).find(|step| *step != Ok(None));
        match whole {
            Ok(None) => assert_eq!(pieces, None),
            whole => assert_eq!(pieces, Some(whole), "{}", soup.escape_ascii()),
        }
    }
}
