//! The client beside the original, and on a terminal.

mod differential;
mod oracle;
mod replies;
mod reports;
mod status;
mod support;
mod terminal;
mod typing;
