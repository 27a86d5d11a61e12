//! The table of directives: one row each, in files by subject, and a constant for each row.
//!
//! Names, bounds and defaults are those of Redis 7.2; what differs is named in `tests/defaults.rs`.

mod cluster;
mod encoding;
mod general;
mod memory;
mod network;
mod own;
mod persistence;
mod replication;
mod security;
mod tls;

pub use {
    cluster::*, encoding::*, general::*, memory::*, network::*, own::*, persistence::*, replication::*,
    security::*, tls::*,
};

use crate::directive::{Check, Directive, Kind, Standing};

/// Rows of the table, subject after subject.
const LEN: usize = tls::NEXT;

/// The whole table; an `Id` is a place in it.
#[expect(unused_qualifications, reason = "every subject has rows of this name")]
pub(crate) static TABLE: [Directive; LEN] = {
    let mut all = [network::ROWS[0]; LEN];
    let groups: [&[Directive]; 10] = [
        network::ROWS,
        general::ROWS,
        security::ROWS,
        memory::ROWS,
        persistence::ROWS,
        encoding::ROWS,
        own::ROWS,
        replication::ROWS,
        cluster::ROWS,
        tls::ROWS,
    ];
    let (mut group, mut at) = (0, 0);
    while group < groups.len() {
        let mut row = 0;
        while row < groups[group].len() {
            all[at] = groups[group][row];
            at += 1;
            row += 1;
        }
        group += 1;
    }
    assert!(at == LEN, "every subject's first place follows the last of the one before");
    all
};

/// Declares the rows of one subject and their constants; the first row's place is given.
macro_rules! rows {
    (from $base:expr; $($id:ident = $name:literal $(/ $alias:literal)*, $kind:expr, $default:literal,
        [$($flag:ident)*], $standing:expr;)+) => {
        #[expect(non_camel_case_types, clippy::upper_case_acronyms, reason = "named as the constants are")]
        #[repr(u16)]
        enum Place { $($id,)+ COUNT }

        $(
            #[doc = concat!("`", $name, "`")]
            pub const $id: crate::directive::Id = crate::directive::Id($base as u16 + Place::$id as u16);
        )+

        /// The place that follows the last row.
        pub(super) const NEXT: usize = $base + Place::COUNT as usize;

        pub(super) const ROWS: &[crate::directive::Directive] = &[$(crate::directive::Directive {
            name: $name,
            aliases: &[$($alias),*],
            kind: $kind,
            default: $default,
            flags: crate::directive::Flags::NONE$(.and(crate::directive::Flags::$flag))*,
            standing: $standing,
        }),+];
    };
}
use rows;

/// Shorthands of the rows.
const BOOL: Kind = Kind::Bool;
const PORT_NUMBER: Kind = Kind::Int { min: 0, max: 65535 };
const I32: Kind = Kind::Int { min: 0, max: i32::MAX as i64 };
const I64: Kind = Kind::Int { min: 0, max: i64::MAX };
const BYTES: Kind = Kind::Memory { min: 0, max: i64::MAX as u64 };
const BYTES_U64: Kind = Kind::Memory { min: 0, max: u64::MAX };
/// Text in which nothing and empty are the same.
const OPTIONAL: Kind = Kind::Text { empty_is_none: true, check: Check::Any };
/// Text that may be empty.
const TEXT: Kind = checked(Check::Any);
const HONOURED: Standing = Standing::Honoured;

const fn int(min: i64, max: i64) -> Kind {
    Kind::Int { min, max }
}

const fn i32_from(min: i64) -> Kind {
    Kind::Int { min, max: i32::MAX as i64 }
}

const fn checked(check: Check) -> Kind {
    Kind::Text { empty_is_none: false, check }
}

const fn accepted(reason: &'static str) -> Standing {
    Standing::Accepted(reason)
}

const fn stops(reason: &'static str, remedy: &'static str) -> Standing {
    Standing::StopsStart { reason, remedy }
}
