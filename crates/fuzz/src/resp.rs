//! RESP: whatever pieces the bytes arrive in, the same requests or replies are found, or the same error.

use sessile_resp::{Decoder, Limits, Parser, ProtocolError, ReplyLimits, Value, encode_request};

/// A request's arguments, and its length in bytes.
type Request = (Vec<Vec<u8>>, usize);

/// Reads requests; the first byte says how long the pieces are and whether the client has authenticated.
pub(crate) fn request(data: &[u8]) {
    let Some((&how, data)) = data.split_first() else { return };
    let limits = Limits { unauthenticated: how & 1 == 1, ..Limits::default() };
    let whole = requests(data, data.len(), &limits);
    let pieces = requests(data, 1 + usize::from(how >> 1), &limits);
    // Of what is too long, the pieces see less before they see that.
    if !matches!(&whole.1, Some(error) if is_about_length(error))
        && pieces.1.as_ref().is_none_or(|e| !is_about_length(e))
    {
        assert_eq!(whole, pieces);
    }
    for (args, _) in whole.0.iter().filter(|(args, _)| !args.is_empty()) {
        let mut encoded = Vec::new();
        encode_request(&mut encoded, args);
        let again = requests(&encoded, encoded.len(), &Limits::default());
        assert_eq!(again, (vec![(args.clone(), encoded.len())], None));
    }
}

fn is_about_length(error: &ProtocolError) -> bool {
    matches!(
        error,
        ProtocolError::TooBigInline | ProtocolError::TooBigMbulkCount | ProtocolError::TooBigBulkCount
    )
}

fn requests(data: &[u8], piece: usize, limits: &Limits) -> (Vec<Request>, Option<ProtocolError>) {
    let mut parser = Parser::new();
    let (mut found, mut at) = (Vec::new(), 0);
    for end in ends(data.len(), piece) {
        while at < end {
            let buf = &data[at..end];
            match parser.next(buf, limits) {
                Ok(None) => break,
                Ok(Some(len)) => {
                    found.push((parser.args(buf).iter().map(<[u8]>::to_vec).collect(), len));
                    parser.reset();
                    at += len;
                }
                Err(error) => return (found, Some(error)),
            }
        }
        assert!(parser.heap_bytes() <= 64 * (data.len() + 4096), "memory grows with what has arrived only");
    }
    (found, None)
}

/// Where the pieces end.
fn ends(len: usize, piece: usize) -> impl Iterator<Item = usize> {
    let piece = piece.max(1);
    (0..len.div_ceil(piece)).map(move |index| len.min((index + 1) * piece))
}

/// Reads replies as the client does; the first byte says how long the pieces are.
pub(crate) fn reply(data: &[u8]) {
    let Some((&how, data)) = data.split_first() else { return };
    let whole = replies(data, data.len());
    let pieces = replies(data, 1 + usize::from(how));
    // NaN is not equal to itself; its text is.
    assert_eq!(format!("{whole:?}"), format!("{pieces:?}"));
}

fn replies(data: &[u8], piece: usize) -> (Vec<(Value, usize)>, Option<ProtocolError>) {
    let mut decoder = Decoder::new(ReplyLimits::default());
    let (mut found, mut at) = (Vec::new(), 0);
    for end in ends(data.len(), piece) {
        while at < end {
            match decoder.next(&data[at..end]) {
                Ok(None) => break,
                Ok(Some((value, len))) => {
                    assert!(len > 0 && len <= end - at);
                    found.push((value, len));
                    at += len;
                }
                Err(error) => return (found, Some(error)),
            }
        }
    }
    (found, None)
}
