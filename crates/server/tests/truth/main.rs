//! Whether the node tells the truth: what a field of INFO or CLIENT LIST names is changed, and the field is seen to
//! change; a directive that is said to be honoured is set, and its effect is seen. Against the real program, over TCP.
//!
//! A field or directive that has no row in these tables fails the test, and so does a row without a field.

mod client_commands;
mod client_fields;
mod config_run;
mod config_start;
mod info;
mod info_memory;
mod info_stats;
mod support;
