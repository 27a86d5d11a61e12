//! What an argument means, found from its name in the docs.

use crate::docs::{Arg, ArgType};

/// The meaning of an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any string.
    Value,
    /// A set member, list element or the like, from a small pool.
    Member,
    /// A hash or stream field.
    Field,
    /// Any integer.
    Int,
    /// A position in a list, string or sorted set.
    Index,
    /// A number of elements.
    Count,
    /// A number of elements that is never a large negative number, which would mean as many random picks.
    RandomCount,
    /// A number of elements for which memory is set aside at once.
    SmallCount,
    /// A bit offset, also as `#n`.
    BitOffset,
    /// A byte offset that may extend a string.
    ByteOffset,
    /// 0 or 1.
    Bit,
    /// A BITFIELD type.
    BitType,
    /// A BITOP operation.
    BitOperation,
    /// A floating-point number.
    Double,
    /// A bound of a score range.
    ScoreBound,
    /// A bound of a lexicographic range.
    LexBound,
    /// A relative time-out far away, or refused, or negative.
    TtlSeconds,
    /// As `TtlSeconds`, in milliseconds.
    TtlMs,
    /// An absolute expiry, far away or past.
    UnixSeconds,
    /// As `UnixSeconds`, in milliseconds.
    UnixMs,
    /// RESTORE's ttl: relative or absolute, far away both ways.
    RestoreTtl,
    /// How long to block, in seconds.
    BlockSeconds,
    /// How long to block, in milliseconds.
    BlockMs,
    /// A minimum idle time: nothing or everything is that old.
    MinIdle,
    /// An idle time to set.
    IdleMs,
    /// A delivery time to set.
    DeliveryMs,
    /// An id for a new stream entry.
    NewId,
    /// An id of a recent stream entry.
    RecentId,
    /// A bound of an id range.
    RangeId,
    /// Where XREAD goes on.
    ReadId,
    /// Where XREADGROUP goes on.
    GroupReadId,
    /// MAXLEN's or MINID's threshold.
    Threshold,
    /// A consumer group.
    Group,
    /// A consumer.
    Consumer,
    /// A SCAN cursor.
    Cursor,
    /// A glob pattern.
    Pattern,
    /// SORT's BY and GET.
    SortPattern,
    /// Degrees.
    Longitude,
    /// Degrees.
    Latitude,
    /// A distance.
    Radius,
    /// A database number.
    Db,
    /// A user name, never `default`.
    User,
    /// One of a fixed list of words.
    OneOf(&'static [&'static str]),
}

const ACL_RULES: &[&str] = &[
    "on",
    "off",
    "nopass",
    "resetpass",
    ">pw",
    "<pw",
    "+@all",
    "-@all",
    "+get",
    "-set",
    "+@read",
    "-@write",
    "~*",
    "~s*",
    "%R~h*",
    "%W~l*",
    "%RW~z*",
    "resetkeys",
    "allkeys",
    "&*",
    "&ch*",
    "resetchannels",
    "allchannels",
    "reset",
    "(+set ~s*)",
    "(%R~x* +@read)",
    "clearselectors",
    "+config|get",
    "-client|kill",
    "+@nosuch",
    "+nosuch",
    "#e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "allcommands",
    "nocommands",
    "+select|0",
    "(bad",
];
const CONFIG_NAMES: &[&str] =
    &["proto-max-bulk-len", "databases", "maxmemory-samples", "nosuch", "maxmemory-policy"];
const SECTIONS: &[&str] = &["server", "clients", "memory", "keyspace", "stats", "nosuch", "everything"];

/// The meaning of an argument of a command (`container|sub` for subcommands) in its docs' group.
#[must_use]
pub fn of(command: &str, group: &str, arg: &Arg) -> Kind {
    by_command(command, arg).or_else(|| by_name(group, arg)).unwrap_or(match arg.kind {
        ArgType::Integer => Kind::Int,
        ArgType::Double => Kind::Double,
        ArgType::UnixTime => Kind::UnixSeconds,
        ArgType::Pattern => Kind::Pattern,
        _ => Kind::Value,
    })
}

fn by_command(command: &str, arg: &Arg) -> Option<Kind> {
    Some(match (command, arg.name.as_str()) {
        ("setbit", "value") => Kind::Bit,
        ("bitfield", "value" | "increment") => Kind::Int,
        ("setrange", "offset") => Kind::ByteOffset,
        ("setbit" | "getbit" | "bitfield" | "bitfield_ro", "offset") => Kind::BitOffset,
        ("bitop", "operation") => Kind::BitOperation,
        ("restore" | "restore-asking", "seconds") => Kind::Count,
        ("restore" | "restore-asking", "ttl") => Kind::RestoreTtl,
        ("wait", "timeout") => Kind::BlockMs,
        ("wait", "numreplicas") => Kind::OneOf(&["0", "1", "2", "-1", "x"]),
        ("xread" | "xreadgroup", "milliseconds") => Kind::BlockMs,
        ("xread", "id") => Kind::ReadId,
        ("xreadgroup", "id") => Kind::GroupReadId,
        ("xadd", "id") => Kind::NewId,
        ("xsetid", "last-id") => Kind::NewId,
        ("xclaim", "ms") => Kind::IdleMs,
        ("xclaim", "unix-time-milliseconds") => Kind::DeliveryMs,
        ("xautoclaim", "count") => Kind::SmallCount,
        ("xautoclaim" | "xrange" | "xrevrange" | "xpending", "start" | "end") => Kind::RangeId,
        ("srandmember" | "hrandfield" | "zrandmember", "count") => Kind::RandomCount,
        ("select", "index") | ("swapdb", _) => Kind::Db,
        ("sort" | "sort_ro", "pattern") => Kind::SortPattern,
        ("scan", "type") => Kind::OneOf(&["string", "list", "set", "zset", "hash", "stream", "nosuch"]),
        ("zlexcount" | "zrangebylex" | "zrevrangebylex" | "zremrangebylex", "min" | "max") => Kind::LexBound,
        ("auth", "username") => Kind::OneOf(&["nosuchuser"]),
        ("acl|dryrun" | "acl|getuser", "username") => Kind::OneOf(&["default", "u1", "u2", "u3", "nosuch"]),
        ("acl|setuser", "rule") => Kind::OneOf(ACL_RULES),
        ("acl|dryrun", "command") => Kind::OneOf(&["get", "set", "nosuch", "config|get", "xadd"]),
        ("latency|histogram", "command") => Kind::OneOf(&["get", "nosuch"]),
        ("client|list" | "client|unblock", "client-id") => Kind::OneOf(&["999999", "0", "x"]),
        _ => return None,
    })
}

fn by_name(group: &str, arg: &Arg) -> Option<Kind> {
    let ranks = matches!(group, "string" | "list" | "sorted-set" | "bitmap");
    Some(match arg.name.as_str() {
        "seconds" => Kind::TtlSeconds,
        "milliseconds" => Kind::TtlMs,
        "unix-time-seconds" => Kind::UnixSeconds,
        "unix-time-milliseconds" => Kind::UnixMs,
        "timeout" => Kind::BlockSeconds,
        "min-idle-time" => Kind::MinIdle,
        "bit" => Kind::Bit,
        "encoding" => Kind::BitType,
        "start" | "end" | "stop" | "index" | "offset" | "rank" if ranks => Kind::Index,
        "offset" => Kind::Index,
        "min" | "max" => Kind::ScoreBound,
        "count" | "limit" | "len" | "num-matches" | "bits" | "frequency" | "entries_read"
        | "entries_added" => Kind::Count,
        "score" | "weight" => Kind::Double,
        "field" => Kind::Field,
        "longitude" => Kind::Longitude,
        "latitude" => Kind::Latitude,
        "radius" | "width" | "height" => Kind::Radius,
        "member" | "member1" | "member2" | "element" | "pivot" => Kind::Member,
        "id" | "lastid" | "last-id" => Kind::RecentId,
        "max_deleted_entry_id" => Kind::RecentId,
        "threshold" => Kind::Threshold,
        "group" | "groupname" => Kind::Group,
        "consumer" | "consumername" => Kind::Consumer,
        "cursor" => Kind::Cursor,
        "pattern" => Kind::Pattern,
        "db" | "destination-db" => Kind::Db,
        "username" => Kind::User,
        "section" => Kind::OneOf(SECTIONS),
        "parameter" => Kind::OneOf(CONFIG_NAMES),
        "category" | "categoryname" => {
            Kind::OneOf(&["read", "write", "string", "dangerous", "keyspace", "nosuch"])
        }
        "command-name" => Kind::OneOf(&["get", "set", "xadd", "object|freq", "config", "nosuch"]),
        "module-name" => Kind::OneOf(&["nosuch"]),
        "event" => Kind::OneOf(&["command", "fork", "nosuch"]),
        "channel" | "shardchannel" => Kind::OneOf(&["ch1", "ch2", "other"]),
        "connection-name" => Kind::OneOf(&["name1", "name2", "bad name", ""]),
        "library-name" | "library-name-pattern" => Kind::OneOf(&["lib1", "lib2", "lib*", "nosuch"]),
        "password" => Kind::OneOf(&["pw", ""]),
        _ => return None,
    })
}
