//! Geo indexes: sorted sets whose scores are geohashes. GEOADD, GEOPOS, GEODIST, GEOHASH; searches stand in a file
//! of their own.

use std::collections::HashMap;

use sessile_command::{
    Acl, Args, ArgsExt, Arity, Command, Docs, Effect, Error, Event, Flags, Keys, Outcome, Proto, ReadCx,
    Reply, Run, Scores, WriteCx, is,
};
use sessile_values::digits::LongDouble;

use crate::geo_search;
use crate::geohash::{self, LAT_MAX, LON_MAX, Point};

const fn entry(name: &'static str, arity: Arity, keys: Keys, flags: Flags, docs: Docs, run: Run) -> Command {
    Command { name, arity, keys, acl: Acl::GEO, flags, docs, run }
}

const fn docs(
    summary: &'static str,
    syntax: &'static str,
    since: &'static str,
    complexity: &'static str,
) -> Docs {
    Docs { summary, syntax, since, group: "geo", complexity }
}

const SEARCH: &str = "O(N+log(M)) in the members N around the shape and the index's size M";

/// This family's entries.
pub(crate) static COMMANDS: &[Command] = &[
    entry(
        "geoadd",
        Arity::AtLeast(5),
        Keys::ONE,
        Flags::DENY_OOM,
        docs(
            "Adds members with their places to a geo index.",
            "key [NX | XX] [CH] longitude latitude member [longitude latitude member ...]",
            "3.2.0",
            "O(log(N)) a member",
        ),
        Run::Write(geoadd),
    ),
    entry(
        "geodist",
        Arity::AtLeast(4),
        Keys::ONE,
        Flags::NONE,
        docs("Gives the distance of two members.", "key member1 member2 [M | KM | FT | MI]", "3.2.0", "O(1)"),
        Run::Read(geodist),
    ),
    entry(
        "geohash",
        Arity::AtLeast(2),
        Keys::ONE,
        Flags::NONE,
        docs(
            "Gives members' places as geohash texts.",
            "key [member [member ...]]",
            "3.2.0",
            "O(1) a member",
        ),
        Run::Read(geohash_texts),
    ),
    entry(
        "geopos",
        Arity::AtLeast(2),
        Keys::ONE,
        Flags::NONE,
        docs("Gives members' places.", "key [member [member ...]]", "3.2.0", "O(1) a member"),
        Run::Read(geopos),
    ),
    entry(
        "georadius",
        Arity::AtLeast(6),
        Keys::Dynamic(geo_search::radius_keys),
        Flags::DENY_OOM,
        docs(
            "Gives or stores the members within a distance of a place.",
            "key longitude latitude radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] \
             [ASC | DESC] [STORE key | STOREDIST key]",
            "3.2.0",
            SEARCH,
        ),
        Run::Write(geo_search::georadius),
    ),
    entry(
        "georadius_ro",
        Arity::AtLeast(6),
        Keys::ONE,
        Flags::NONE,
        docs(
            "Gives the members within a distance of a place.",
            "key longitude latitude radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] \
             [ASC | DESC]",
            "3.2.10",
            SEARCH,
        ),
        Run::Read(geo_search::georadius_ro),
    ),
    entry(
        "georadiusbymember",
        Arity::AtLeast(5),
        Keys::Dynamic(geo_search::radius_by_member_keys),
        Flags::DENY_OOM,
        docs(
            "Gives or stores the members within a distance of a member.",
            "key member radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC | DESC] \
             [STORE key | STOREDIST key]",
            "3.2.0",
            SEARCH,
        ),
        Run::Write(geo_search::georadiusbymember),
    ),
    entry(
        "georadiusbymember_ro",
        Arity::AtLeast(5),
        Keys::ONE,
        Flags::NONE,
        docs(
            "Gives the members within a distance of a member.",
            "key member radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC | DESC]",
            "3.2.10",
            SEARCH,
        ),
        Run::Read(geo_search::georadiusbymember_ro),
    ),
    entry(
        "geosearch",
        Arity::AtLeast(7),
        Keys::ONE,
        Flags::NONE,
        docs(
            "Gives the members within a circle or a box.",
            "key <FROMMEMBER member | FROMLONLAT longitude latitude> <BYRADIUS radius <M | KM | FT | MI> | BYBOX width \
             height <M | KM | FT | MI>> [ASC | DESC] [COUNT count [ANY]] [WITHCOORD] [WITHDIST] [WITHHASH]",
            "6.2.0",
            SEARCH,
        ),
        Run::Read(geo_search::geosearch),
    ),
    entry(
        "geosearchstore",
        Arity::AtLeast(8),
        Keys::Range { first: 1, last: 2, step: 1 },
        Flags::DENY_OOM,
        docs(
            "Stores the members within a circle or a box.",
            "destination source <FROMMEMBER member | FROMLONLAT longitude latitude> <BYRADIUS radius <M | KM | FT | \
             MI> | BYBOX width height <M | KM | FT | MI>> [ASC | DESC] [COUNT count [ANY]] [STOREDIST]",
            "6.2.0",
            SEARCH,
        ),
        Run::Write(geo_search::geosearchstore),
    ),
];

/// The place at `args[at]` and the argument behind it.
pub(crate) fn read_point(args: Args<'_>, at: usize) -> Result<Point, Error> {
    let (lon, lat) = (args.float(at)?, args.float(at + 1)?);
    if lon.abs() <= LON_MAX && lat.abs() <= LAT_MAX {
        Ok(Point { lon, lat })
    } else {
        Err(Error::text(format!("ERR invalid longitude,latitude pair {lon:.6},{lat:.6}")))
    }
}

/// Metres in a unit.
pub(crate) fn read_unit(text: &[u8]) -> Result<f64, Error> {
    [("M", 1.0), ("KM", 1000.0), ("FT", 0.3048), ("MI", 1609.34)]
        .into_iter()
        .find(|(name, _)| is(text, name))
        .map(|(_, metres)| metres)
        .ok_or(Error::new("ERR unsupported unit provided. please use M, KM, FT, MI"))
}

/// A distance has four decimals, whatever its unit.
pub(crate) fn reply_distance(distance: f64, out: &mut Reply<'_>) {
    out.bulk(format!("{distance:.4}").as_bytes());
}

/// A place is written as long doubles are, with up to 17 decimals.
pub(crate) fn reply_point(point: Point, out: &mut Reply<'_>) {
    out.array(2);
    for degrees in [point.lon, point.lat] {
        let exact = format!("{degrees:.17}");
        let text = LongDouble::parse(exact.as_bytes()).map_or_else(|| exact.into_bytes(), LongDouble::to_vec);
        match out.proto() {
            Proto::Resp2 => out.bulk(&text),
            Proto::Resp3 => out.raw(&[b",", &text[..], b"\r\n"].concat()),
        }
    }
}

fn geoadd(cx: &mut WriteCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let (mut only_absent, mut only_present, mut count_changed) = (false, false, false);
    let mut at = 2;
    while at < args.len() {
        match &args[at] {
            option if is(option, "NX") => only_absent = true,
            option if is(option, "XX") => only_present = true,
            option if is(option, "CH") => count_changed = true,
            _ => break,
        }
        at += 1;
    }
    let items = args.len() - at;
    if !items.is_multiple_of(3) || only_absent && only_present {
        return Err(Error::SYNTAX);
    }
    let mut members = Vec::with_capacity(items / 3);
    for at in (at..args.len()).step_by(3) {
        members.push((geohash::encode(read_point(args, at)?) as f64, &args[at + 2]));
    }
    if members.is_empty() {
        return Err(Error::SYNTAX);
    }
    let key = cx.key(&args[1]);
    let read = cx.read();
    let zset = read.zset(key)?;
    // What this command has set already: a member may come twice.
    let mut new: HashMap<&[u8], f64> = HashMap::new();
    let (mut added, mut updated) = (0, 0);
    members.retain(|&(score, member)| {
        let old = new.get(member).copied().or_else(|| zset?.score(&read.hash_key(), member));
        let wanted = match old {
            None => !only_present,
            Some(old) => !only_absent && old != score,
        };
        if wanted {
            *(if old.is_none() { &mut added } else { &mut updated }) += 1;
            new.insert(member, score);
        }
        wanted
    });
    if !members.is_empty() {
        cx.emit(&Effect::ZsetAdd { key, scores: Scores::Slice(&members) }, Event::zset("zadd"));
    }
    out.int(if count_changed { added + updated } else { added });
    Ok(())
}

fn geopos(cx: ReadCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let zset = cx.zset(cx.key(&args[1]))?;
    out.array(args.len() - 2);
    for member in args.iter().skip(2) {
        match zset.and_then(|zset| zset.score(&cx.hash_key(), member)) {
            Some(score) => reply_point(geohash::decode(score), out),
            None => out.null_array(),
        }
    }
    Ok(())
}

fn geohash_texts(cx: ReadCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let zset = cx.zset(cx.key(&args[1]))?;
    out.array(args.len() - 2);
    for member in args.iter().skip(2) {
        match zset.and_then(|zset| zset.score(&cx.hash_key(), member)) {
            Some(score) => out.bulk(&geohash::text(score)),
            None => out.null(),
        }
    }
    Ok(())
}

fn geodist(cx: ReadCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let unit_m = match args.len() {
        4 => 1.0,
        5 => read_unit(&args[4])?,
        _ => return Err(Error::SYNTAX),
    };
    let zset = cx.zset(cx.key(&args[1]))?;
    let place = |member: &[u8]| zset?.score(&cx.hash_key(), member).map(geohash::decode);
    match (place(&args[2]), place(&args[3])) {
        (Some(a), Some(b)) => reply_distance(geohash::distance_m(a, b) / unit_m, out),
        _ => out.null(),
    }
    Ok(())
}
