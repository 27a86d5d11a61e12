//! Searches in geo indexes: GEOSEARCH, GEOSEARCHSTORE and the older GEORADIUS forms.

use sessile_command::{Args, ArgsExt, Effect, Error, Event, Expire, Outcome, ReadCx, Reply, WriteCx, is};
use sessile_values::{Value, Zset, digits, dump};

use crate::geo::{read_point, read_unit, reply_distance, reply_point};
use crate::geohash::{self, Point, Shape};
use crate::keys::delete;

/// Which of the commands it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// GEORADIUS, which may store.
    Radius {
        may_store: bool,
    },
    /// GEORADIUSBYMEMBER, which may store.
    RadiusByMember {
        may_store: bool,
    },
    Search,
    SearchStore,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    AsFound,
    Nearest,
    Farthest,
}

/// A search as asked for.
struct Query<'a> {
    centre: Option<Point>,
    shape: Option<Shape>,
    /// Metres in the unit of replies.
    unit_m: f64,
    with_point: bool,
    with_distance: bool,
    with_hash: bool,
    order: Order,
    count: usize,
    any: bool,
    store: Option<&'a [u8]>,
    store_distance: bool,
}

/// A member inside the shape.
struct Found {
    member: Vec<u8>,
    score: f64,
    point: Point,
    distance_m: f64,
}

/// Keys of GEORADIUS: the index, and the last STORE's or STOREDIST's destination.
pub(crate) fn radius_keys(args: Args<'_>) -> Result<Vec<usize>, Error> {
    Ok(store_keys(args, 6))
}

/// Keys of GEORADIUSBYMEMBER.
pub(crate) fn radius_by_member_keys(args: Args<'_>) -> Result<Vec<usize>, Error> {
    Ok(store_keys(args, 5))
}

fn store_keys(args: Args<'_>, first: usize) -> Vec<usize> {
    let stores = |at: &usize| is(&args[*at], "STORE") || is(&args[*at], "STOREDIST");
    let last = (first..args.len().saturating_sub(1)).rfind(stores);
    std::iter::once(1).chain(last.map(|at| at + 1)).collect()
}

/// A distance of the query at `args[at]`, not negative.
fn read_length(args: Args<'_>, at: usize, not_numeric: &'static str) -> Result<f64, Error> {
    digits::parse_f64(&args[at]).ok_or(Error::new(not_numeric))
}

/// A radius and its unit, in metres, with the unit.
fn read_radius(args: Args<'_>, at: usize) -> Result<(Shape, f64), Error> {
    let radius = read_length(args, at, "ERR need numeric radius")?;
    if radius < 0.0 {
        return Err(Error::new("ERR radius cannot be negative"));
    }
    let unit_m = read_unit(&args[at + 1])?;
    Ok((Shape::Circle(radius * unit_m), unit_m))
}

/// A box and its unit, in metres, with the unit.
fn read_box(args: Args<'_>, at: usize) -> Result<(Shape, f64), Error> {
    let width = read_length(args, at, "ERR need numeric width")?;
    let height = read_length(args, at + 1, "ERR need numeric height")?;
    if width < 0.0 || height < 0.0 {
        return Err(Error::new("ERR height or width cannot be negative"));
    }
    let unit_m = read_unit(&args[at + 2])?;
    Ok((Shape::Box(width * unit_m, height * unit_m), unit_m))
}

/// The place of a member; any place where the index is absent, since then nothing is found.
fn member_point(cx: ReadCx<'_>, zset: Option<&Zset>, member: &[u8]) -> Result<Point, Error> {
    let Some(zset) = zset else { return Ok(Point { lon: 0.0, lat: 0.0 }) };
    zset.score(&cx.hash_key(), member)
        .map(geohash::decode)
        .ok_or(Error::new("ERR could not decode requested zset member"))
}

impl<'a> Query<'a> {
    fn read(cx: ReadCx<'_>, args: Args<'a>, form: Form, zset: Option<&Zset>) -> Result<Self, Error> {
        let mut query = Self {
            centre: None,
            shape: None,
            unit_m: 1.0,
            with_point: false,
            with_distance: false,
            with_hash: false,
            order: Order::AsFound,
            count: 0,
            any: false,
            store: None,
            store_distance: false,
        };
        let mut at = match form {
            Form::Radius { .. } => {
                query.centre = Some(read_point(args, 2)?);
                query.set_shape(read_radius(args, 4)?);
                6
            }
            Form::RadiusByMember { .. } => {
                query.centre = Some(member_point(cx, zset, &args[2])?);
                // Without an index Redis does not look at the radius.
                query.set_shape(if zset.is_some() {
                    read_radius(args, 3)?
                } else {
                    (Shape::Circle(0.0), 1.0)
                });
                5
            }
            Form::Search => 2,
            Form::SearchStore => {
                query.store = args.get(1);
                3
            }
        };
        while at < args.len() {
            at += match query.read_option(args, at, form)? {
                0 => query.read_place(cx, args, at, form, zset)?,
                taken => taken,
            };
        }
        query.check(args, form)?;
        Ok(query)
    }

    fn set_shape(&mut self, (shape, unit_m): (Shape, f64)) {
        (self.shape, self.unit_m) = (Some(shape), unit_m);
    }

    /// Reads an option that several forms share; gives the number of arguments taken, 0 if it is none.
    fn read_option(&mut self, args: Args<'a>, at: usize, form: Form) -> Result<usize, Error> {
        let option = &args[at];
        let value = args.get(at + 1);
        let may_store =
            matches!(form, Form::Radius { may_store: true } | Form::RadiusByMember { may_store: true });
        match value {
            _ if is(option, "WITHDIST") => self.with_distance = true,
            _ if is(option, "WITHHASH") => self.with_hash = true,
            _ if is(option, "WITHCOORD") => self.with_point = true,
            _ if is(option, "ANY") => self.any = true,
            _ if is(option, "ASC") => self.order = Order::Nearest,
            _ if is(option, "DESC") => self.order = Order::Farthest,
            Some(_) if is(option, "COUNT") => {
                let count = args.int(at + 1)?;
                self.count = usize::try_from(count)
                    .ok()
                    .filter(|&count| count > 0)
                    .ok_or(Error::new("ERR COUNT must be > 0"))?;
                return Ok(2);
            }
            Some(key) if may_store && (is(option, "STORE") || is(option, "STOREDIST")) => {
                self.store = Some(key);
                self.store_distance = is(option, "STOREDIST");
                return Ok(2);
            }
            _ => return Ok(0),
        }
        Ok(1)
    }

    /// Reads an option of GEOSEARCH alone; gives the number of arguments taken.
    fn read_place(
        &mut self,
        cx: ReadCx<'_>,
        args: Args<'a>,
        at: usize,
        form: Form,
        zset: Option<&Zset>,
    ) -> Result<usize, Error> {
        let option = &args[at];
        let left = args.len() - at - 1;
        if !matches!(form, Form::Search | Form::SearchStore) {
            return Err(Error::SYNTAX);
        }
        if is(option, "FROMMEMBER") && left >= 1 && self.centre.is_none() {
            self.centre = Some(member_point(cx, zset, &args[at + 1])?);
            Ok(2)
        } else if is(option, "FROMLONLAT") && left >= 2 && self.centre.is_none() {
            self.centre = Some(read_point(args, at + 1)?);
            Ok(3)
        } else if is(option, "BYRADIUS") && left >= 2 && self.shape.is_none() {
            self.set_shape(read_radius(args, at + 1)?);
            Ok(3)
        } else if is(option, "BYBOX") && left >= 3 && self.shape.is_none() {
            self.set_shape(read_box(args, at + 1)?);
            Ok(4)
        } else if is(option, "STOREDIST") && form == Form::SearchStore {
            self.store_distance = true;
            Ok(1)
        } else {
            Err(Error::SYNTAX)
        }
    }

    fn check(&mut self, args: Args<'_>, form: Form) -> Outcome {
        if self.store.is_some() && (self.with_distance || self.with_hash || self.with_point) {
            let what = if form == Form::SearchStore { "GEOSEARCHSTORE" } else { "STORE option in GEORADIUS" };
            return Err(Error::text(format!(
                "ERR {what} is not compatible with WITHDIST, WITHHASH and WITHCOORD options"
            )));
        }
        let missing = |text: &str| Error::text([text.as_bytes(), &args[0]].concat());
        if self.centre.is_none() {
            return Err(missing("ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for "));
        }
        if self.shape.is_none() {
            return Err(missing("ERR exactly one of BYRADIUS and BYBOX can be specified for "));
        }
        if self.any && self.count == 0 {
            return Err(Error::new("ERR the ANY argument requires COUNT argument"));
        }
        if self.count > 0 && self.order == Order::AsFound && !self.any {
            self.order = Order::Nearest;
        }
        Ok(())
    }

    /// The members to give, in order.
    fn run(&self, zset: Option<&Zset>) -> Vec<Found> {
        let (Some(zset), Some(centre), Some(shape)) = (zset, self.centre, self.shape) else {
            return Vec::new();
        };
        let limit = if self.any { self.count } else { usize::MAX };
        let mut found: Vec<Found> = Vec::new();
        for cell in shape.cells(centre) {
            if found.len() >= limit {
                break;
            }
            let (first, end) = cell.scores();
            zset.each_from(zset.partition(|score, _| score < first), |score, member| {
                if score >= end {
                    return false;
                }
                let point = geohash::decode(score);
                if let Some(distance_m) = shape.admits(centre, point) {
                    found.push(Found { member: member.to_vec(), score, point, distance_m });
                }
                found.len() < limit
            });
        }
        match self.order {
            Order::AsFound => {}
            Order::Nearest => found.sort_by(|a, b| a.distance_m.total_cmp(&b.distance_m)),
            Order::Farthest => found.sort_by(|a, b| b.distance_m.total_cmp(&a.distance_m)),
        }
        if self.count > 0 {
            found.truncate(self.count);
        }
        found
    }

    fn reply(&self, found: &[Found], out: &mut Reply<'_>) {
        out.array(found.len());
        let options =
            [self.with_distance, self.with_hash, self.with_point].iter().filter(|with| **with).count();
        for it in found {
            if options > 0 {
                out.array(options + 1);
            }
            out.bulk(&it.member);
            if self.with_distance {
                reply_distance(it.distance_m / self.unit_m, out);
            }
            if self.with_hash {
                out.int(it.score as i64);
            }
            if self.with_point {
                reply_point(it.point, out);
            }
        }
    }
}

fn read_only(cx: ReadCx<'_>, args: Args<'_>, form: Form, out: &mut Reply<'_>) -> Outcome {
    let zset = cx.zset(cx.key(&args[1]))?;
    let query = Query::read(cx, args, form, zset)?;
    query.reply(&query.run(zset), out);
    Ok(())
}

fn may_store(cx: &mut WriteCx<'_>, args: Args<'_>, form: Form, out: &mut Reply<'_>) -> Outcome {
    let source = cx.key(&args[if form == Form::SearchStore { 2 } else { 1 }]);
    let read = cx.read();
    let zset = read.zset(source)?;
    let query = Query::read(read, args, form, zset)?;
    let found = query.run(zset);
    let Some(store) = query.store else {
        query.reply(&found, out);
        return Ok(());
    };
    let key = cx.key(store);
    if found.is_empty() {
        if cx.read().lookup_in(cx.db(), key).is_some() {
            delete(cx, key);
        }
    } else {
        let payload = stored(cx.read(), &query, &found);
        let event = if form == Form::SearchStore { "geosearchstore" } else { "georadiusstore" };
        let effect = Effect::Restore { key, payload: &payload, expire: Expire::Never, access: 0 };
        cx.emit(&effect, Event::zset(event));
    }
    out.int(found.len() as i64);
    Ok(())
}

fn stored(cx: ReadCx<'_>, query: &Query<'_>, found: &[Found]) -> Vec<u8> {
    let mut zset = Zset::new();
    for it in found {
        let score = if query.store_distance { it.distance_m / query.unit_m } else { it.score };
        zset.add(&cx.hash_key(), cx.limits(), score, &it.member);
    }
    let mut payload = Vec::new();
    dump::encode_value(&Value::Zset(zset), &mut payload);
    payload
}

/// GEORADIUS.
pub(crate) fn georadius(cx: &mut WriteCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    may_store(cx, args, Form::Radius { may_store: true }, out)
}

/// GEORADIUS_RO.
pub(crate) fn georadius_ro(cx: ReadCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    read_only(cx, args, Form::Radius { may_store: false }, out)
}

/// GEORADIUSBYMEMBER.
pub(crate) fn georadiusbymember(cx: &mut WriteCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    may_store(cx, args, Form::RadiusByMember { may_store: true }, out)
}

/// GEORADIUSBYMEMBER_RO.
pub(crate) fn georadiusbymember_ro(cx: ReadCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    read_only(cx, args, Form::RadiusByMember { may_store: false }, out)
}

/// GEOSEARCH.
pub(crate) fn geosearch(cx: ReadCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    read_only(cx, args, Form::Search, out)
}

/// GEOSEARCHSTORE.
pub(crate) fn geosearchstore(cx: &mut WriteCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    may_store(cx, args, Form::SearchStore, out)
}
