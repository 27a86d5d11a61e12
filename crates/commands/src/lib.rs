//! The data commands, one file for a tight family, each table entry beside its handler.
//!
//! Handlers speak in domain terms: they look up through a context, decide, emit effects, reply. None knows of
//! connections, the journal or time beyond `now_ms`.
#![forbid(unsafe_code)]

use sessile_command::Command;

mod bitfield;
mod choice;
mod geo_search;
mod geohash;
mod hll;
mod lcs;

/// Declares the families: a module each, whose `COMMANDS` are its entries in order.
macro_rules! families {
    ($($family:ident,)*) => {
        $(mod $family;)*

        /// Every family's entries.
        const FAMILIES: &[&[Command]] = &[$($family::COMMANDS),*];
    };
}

families! {
    bits,
    dump,
    expiry,
    geo,
    hashes,
    hyperloglog,
    keys,
    list_blocking,
    lists,
    object,
    scan,
    set_algebra,
    sets,
    sort,
    streams,
    streams_claims,
    streams_groups,
    streams_info,
    streams_read,
    strings,
    zset_pops,
    zset_ranges,
    zset_store,
    zsets,
}

/// Every data command.
pub fn all() -> impl Iterator<Item = &'static Command> {
    FAMILIES.iter().flat_map(|family| family.iter())
}
