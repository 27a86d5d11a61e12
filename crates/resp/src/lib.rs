//! The Redis serialization protocol (RESP2 and RESP3): bytes in, frames out, within limits, without I/O.
//!
//! The server side is [`Parser`] (requests) and [`Reply`] (replies); the client side is
//! [`encode_request`] and [`Decoder`]. All input is untrusted: malformed bytes give a
//! [`ProtocolError`], and memory grows only with bytes that have arrived.

#![forbid(unsafe_code)]

mod args;
mod error;
mod number;
mod parser;
mod reply;
mod split;
mod writer;

pub use crate::args::{Args, Iter, OwnedArgs, Span, c_text};
pub use crate::error::ProtocolError;
pub use crate::number::{format_double, parse_i64};
pub use crate::parser::{Limits, Parser};
pub use crate::reply::{Decoder, ReplyLimits, Value, decode, encode_request};
pub use crate::split::split_args;
pub use crate::writer::{Mark, Proto, Reply};
