//! The request parser: how bytes arrive must not matter, and no bytes may hurt.

use sessile_resp::{Limits, OwnedArgs, Parser, ProtocolError, encode_request};

/// All requests in `stream`, and the error that ended it, if one did.
type Outcome = (Vec<OwnedArgs>, Option<ProtocolError>);

/// Feeds `stream` in pieces that end at `cuts`.
fn parse(stream: &[u8], cuts: impl IntoIterator<Item = usize>, limits: &Limits) -> Outcome {
    let (mut parser, mut requests, mut start) = (Parser::new(), Vec::new(), 0);
    for end in cuts.into_iter().chain([stream.len()]) {
        loop {
            match parser.next(&stream[start..end], limits) {
                Ok(None) => break,
                Ok(Some(len)) => {
                    requests.push(parser.args(&stream[start..]).to_owned());
                    parser.reset();
                    start += len;
                }
                Err(error) => return (requests, Some(error)),
            }
        }
        // A span for each argument that has arrived, each at least 6 bytes long, and twice for a growing vector.
        assert!(parser.heap_bytes() <= 32 * 1024 + 16 * (end - start));
    }
    (requests, None)
}

fn check(stream: &[u8], requests: &[&[&str]], error: Option<&str>) {
    let limits = Limits::default();
    let whole = parse(stream, [], &limits);
    let expected: Vec<_> = requests.iter().map(|args| OwnedArgs::from_iter(*args)).collect();
    assert_eq!(whole.0, expected, "{}", stream.escape_ascii());
    assert_eq!(whole.1.map(|error| error.to_string()), error.map(|text| format!("Protocol error: {text}")));
    check_cuts(stream, &whole, &limits);
}

fn check_cuts(stream: &[u8], whole: &Outcome, limits: &Limits) {
    assert_eq!(&parse(stream, 0..stream.len(), limits), whole, "{}", stream.escape_ascii());
    if stream.len() < 300 {
        for cut in 0..stream.len() {
            assert_eq!(&parse(stream, [cut], limits), whole, "cut at {cut}: {}", stream.escape_ascii());
        }
    }
}

#[test]
fn requests() {
    check(b"*1\r\n$4\r\nPING\r\n", &[&["PING"]], None);
    check(b"*2\r\n$3\r\nGET\r\n$0\r\n\r\n*1\r\n$1\r\nX\r\n*1\r\n$", &[&["GET", ""], &["X"]], None);
    check(b"*0\r\n*-1\r\n*-77\r\n\r\n\n  \r\nPING\n", &[&[], &[], &[], &[], &[], &[], &["PING"]], None);
    check(b"set key \"a\\x41\" 'b c'\r\nget key\r\n", &[&["set", "key", "aA", "b c"], &["get", "key"]], None);
    check(b"*1\r\n$0000000001\r\n", &[], Some("invalid bulk length"));
    check(b"*1\r\n$10\r\n0123456789\r\n", &[&["0123456789"]], None);
    // What follows the bytes of an argument, and the `\r` of a header, is not looked at.
    check(b"*1\rX$4\rYPINGZZ*1\r\n", &[&["PING"]], None);
}

#[test]
fn malformed_requests() {
    check(b"*x\r\n", &[], Some("invalid multibulk length"));
    check(b"*\r\n", &[], Some("invalid multibulk length"));
    check(b"*01\r\n", &[], Some("invalid multibulk length"));
    check(b"*2147483648\r\n", &[], Some("invalid multibulk length"));
    check(b"*99999999999999999999\r\n", &[], Some("invalid multibulk length"));
    check(b"PING\r\n*1\r\n$-1\r\n", &[&["PING"]], Some("invalid bulk length"));
    check(b"*1\r\n$536870913\r\n", &[], Some("invalid bulk length"));
    check(b"*1\r\n:1\r\n", &[], Some("expected '$', got ':'"));
    check(b"*1\r\n\r\n", &[], Some("expected '$', got '\r'"));
    check(b"set \"a\r\n", &[], Some("unbalanced quotes in request"));
    check(&[b'a'; 70_000], &[], Some("too big inline request"));
    check(&[b'*'; 70_000], &[], Some("too big mbulk count string"));
    check(&[&b"*1\r\n"[..], &[b'$'; 70_000]].concat(), &[], Some("too big bulk count string"));
}

#[test]
fn unauthenticated_clients_have_small_limits() {
    let limits = Limits { unauthenticated: true, ..Limits::default() };
    let error = |stream: &[u8]| parse(stream, [], &limits).1;
    assert_eq!(error(b"*10\r\n$16384\r\n"), None);
    assert_eq!(error(b"*11\r\n"), Some(ProtocolError::UnauthenticatedMultibulkLength));
    assert_eq!(error(b"*1\r\n$16385\r\n"), Some(ProtocolError::UnauthenticatedBulkLength));
}

#[test]
fn announced_sizes_take_no_memory() {
    let mut parser = Parser::new();
    let limits = Limits::default();
    assert_eq!(parser.next(b"*1000000\r\n$500000000\r\nabc", &limits), Ok(None));
    assert_eq!((parser.wanted(), parser.heap_bytes()), (500_000_000 + 2 - 3, 0));
}

#[test]
fn any_requests_in_any_pieces() {
    let seed = 0x5e55_11e0;
    println!("seed {seed:#x}");
    let mut random = Random(seed);
    for _ in 0..500 {
        let (mut stream, mut expected) = (Vec::new(), Vec::new());
        for _ in 0..=random.below(4) {
            let args: Vec<Vec<u8>> = (0..=random.below(12)).map(|_| random.bytes(40)).collect();
            encode_request(&mut stream, &args);
            expected.push(args.into_iter().collect::<OwnedArgs>());
        }
        check_cuts(&stream, &(expected, None), &Limits::default());
    }
}

#[test]
fn any_bytes_do_no_harm() {
    let seed = 0x50_0b;
    println!("seed {seed:#x}");
    let mut random = Random(seed);
    let limits = Limits { max_bulk_len: 64, max_args: 32, max_inline: 48, unauthenticated: false };
    for _ in 0..20_000 {
        let stream: Vec<u8> = (0..random.below(120)).map(|_| random.soup()).collect();
        let whole = parse(&stream, [], &limits);
        assert_eq!(parse(&stream, 0..stream.len(), &limits), whole, "{}", stream.escape_ascii());
        let cuts: Vec<usize> = (0..stream.len()).filter(|_| random.below(4) == 0).collect();
        assert_eq!(parse(&stream, cuts, &limits), whole, "{}", stream.escape_ascii());
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % bound
    }

    fn bytes(&mut self, max_len: u64) -> Vec<u8> {
        (0..self.below(max_len)).map(|_| self.below(256) as u8).collect()
    }

    /// Mostly bytes that mean something.
    fn soup(&mut self) -> u8 {
        const MEANINGFUL: &[u8] = b"*$\r\n\r\n0123-\"'\\x a:";
        match self.below(8) {
            0 => self.below(256) as u8,
            _ => MEANINGFUL[self.below(MEANINGFUL.len() as u64) as usize],
        }
    }
}
