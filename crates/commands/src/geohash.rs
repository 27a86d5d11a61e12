//! Geohashes as the scores of sorted sets: coordinates to 52 bits and back, distances, and the cells that a search
//! has to look into.
//!
//! The arithmetic follows Redis' operation by operation, because its replies carry the digits.

/// Limits of what can be indexed, in degrees.
pub(crate) const LON_MAX: f64 = 180.0;
/// Beyond it the projection has no place.
pub(crate) const LAT_MAX: f64 = 85.05112878;

/// Bits a coordinate at full precision.
const STEPS_MAX: u32 = 26;
const EARTH_RADIUS_M: f64 = 6372797.560856;
/// Half the length of the equator in the projection, in metres.
const MERCATOR_MAX_M: f64 = 20037726.37;
const EVEN_BITS: u64 = 0x5555_5555_5555_5555;
const ODD_BITS: u64 = 0xaaaa_aaaa_aaaa_aaaa;

fn radians(degrees: f64) -> f64 {
    degrees * (std::f64::consts::PI / 180.0)
}

fn degrees(radians: f64) -> f64 {
    radians / (std::f64::consts::PI / 180.0)
}

/// A point in degrees.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Point {
    pub(crate) lon: f64,
    pub(crate) lat: f64,
}

/// A cell: `2 * steps` bits, longitude and latitude interleaved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    bits: u64,
    steps: u32,
}

/// What a cell covers, in degrees.
struct Area {
    lon: (f64, f64),
    lat: (f64, f64),
}

/// Spreads the lower half of the bits over the even places.
fn spread(value: u32) -> u64 {
    (0..32).fold(0, |bits, i| bits | u64::from(value >> i & 1) << (2 * i))
}

/// Gathers the even places.
fn gather(bits: u64) -> u32 {
    (0..32).fold(0, |value, i| value | ((bits >> (2 * i) & 1) as u32) << i)
}

impl Cell {
    fn new(point: Point, lat_max: f64, steps: u32) -> Self {
        let scale = (1u64 << steps) as f64;
        let lat = (point.lat + lat_max) / (lat_max + lat_max) * scale;
        let lon = (point.lon + LON_MAX) / (LON_MAX + LON_MAX) * scale;
        Self { bits: spread(lat as u32) | spread(lon as u32) << 1, steps }
    }

    fn area(self) -> Area {
        let scale = (1u64 << self.steps) as f64;
        let (lat, lon) = (f64::from(gather(self.bits)), f64::from(gather(self.bits >> 1)));
        let along = |at: f64, max: f64| -max + at / scale * (max + max);
        Area {
            lon: (along(lon, LON_MAX), along(lon + 1.0, LON_MAX)),
            lat: (along(lat, LAT_MAX), along(lat + 1.0, LAT_MAX)),
        }
    }

    /// The scores in the cell: the first, and the one behind the last.
    pub(crate) fn scores(self) -> (f64, f64) {
        let shift = 52 - 2 * self.steps;
        ((self.bits << shift) as f64, ((self.bits + 1) << shift) as f64)
    }

    /// The cell that many places to the east and to the north (each -1, 0 or 1), around the world if need be.
    fn neighbour(self, east: i8, north: i8) -> Self {
        let low = |mask: u64| mask >> (64 - self.steps * 2);
        // The other coordinate's places are filled with ones, so that a carry runs through them. A coordinate that
        // does not move keeps a bit beyond its places, which a point on the very edge of the world has.
        let moved = |mask: u64, other: u64, by: i8| match by {
            0 => self.bits & mask,
            1 => (self.bits & mask).wrapping_add(low(other) + 1) & low(mask),
            _ => (self.bits & mask | low(other)).wrapping_sub(low(other) + 1) & low(mask),
        };
        Self { bits: moved(ODD_BITS, EVEN_BITS, east) | moved(EVEN_BITS, ODD_BITS, north), steps: self.steps }
    }
}

/// The score that stands for a point.
pub(crate) fn encode(point: Point) -> u64 {
    Cell::new(point, LAT_MAX, STEPS_MAX).bits
}

/// The cell that a score names; ZADD may have given it any score, and Redis reads those as the processor does.
fn bits_of(score: f64) -> u64 {
    const BEYOND: f64 = 18_446_744_073_709_551_616.0;
    match score {
        ..0.0 => score as i64 as u64,
        BEYOND.. => 0,
        _ => score as u64,
    }
}

/// The middle of the smallest cell that a score names.
pub(crate) fn decode(score: f64) -> Point {
    let area = Cell { bits: bits_of(score), steps: STEPS_MAX }.area();
    let middle = |(low, high): (f64, f64), max: f64| ((low + high) / 2.0).clamp(-max, max);
    Point { lon: middle(area.lon, LON_MAX), lat: middle(area.lat, LAT_MAX) }
}

/// The standard geohash text of a score's point: eleven characters, the last always `0` for want of bits.
pub(crate) fn text(score: f64) -> [u8; 11] {
    const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
    // The standard counts latitudes up to the poles.
    let bits = Cell::new(decode(score), 90.0, STEPS_MAX).bits;
    std::array::from_fn(|i| if i == 10 { b'0' } else { ALPHABET[(bits >> (47 - i * 5) & 31) as usize] })
}

fn lat_distance_m(a: f64, b: f64) -> f64 {
    EARTH_RADIUS_M * (radians(b) - radians(a)).abs()
}

/// The distance of two points on the sphere, in metres.
pub(crate) fn distance_m(a: Point, b: Point) -> f64 {
    let v = ((radians(b.lon) - radians(a.lon)) / 2.0).sin();
    if v == 0.0 {
        return lat_distance_m(a.lat, b.lat);
    }
    let (lat_a, lat_b) = (radians(a.lat), radians(b.lat));
    let u = ((lat_b - lat_a) / 2.0).sin();
    let a = u * u + lat_a.cos() * lat_b.cos() * v * v;
    2.0 * EARTH_RADIUS_M * a.sqrt().asin()
}

/// What a search looks for around its centre.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    /// Radius in metres.
    Circle(f64),
    /// Width and height in metres.
    Box(f64, f64),
}

impl Shape {
    /// The distance of a point from the centre in metres, if the point is inside.
    pub(crate) fn admits(self, centre: Point, point: Point) -> Option<f64> {
        let distance = || distance_m(centre, point);
        match self {
            Shape::Circle(radius) => Some(distance()).filter(|&m| m <= radius),
            Shape::Box(width, height) => {
                let inside = lat_distance_m(point.lat, centre.lat) <= height / 2.0
                    && distance_m(point, Point { lon: centre.lon, lat: point.lat }) <= width / 2.0;
                inside.then(distance)
            }
        }
    }

    /// The box around the shape, in degrees.
    fn bounds(self, centre: Point) -> Area {
        let (width, height) = match self {
            Shape::Circle(radius) => (radius, radius),
            Shape::Box(width, height) => (width / 2.0, height / 2.0),
        };
        let lat_delta = degrees(height / EARTH_RADIUS_M);
        let lon_delta = |lat: f64| degrees(width / EARTH_RADIUS_M / radians(lat).cos());
        // A degree of longitude is shortest on the side of the nearer pole.
        let lon_delta = if centre.lat < 0.0 {
            lon_delta(centre.lat - lat_delta)
        } else {
            lon_delta(centre.lat + lat_delta)
        };
        Area {
            lon: (centre.lon - lon_delta, centre.lon + lon_delta),
            lat: (centre.lat - lat_delta, centre.lat + lat_delta),
        }
    }

    fn reach_m(self) -> f64 {
        match self {
            Shape::Circle(radius) => radius,
            Shape::Box(width, height) => {
                ((width / 2.0) * (width / 2.0) + (height / 2.0) * (height / 2.0)).sqrt()
            }
        }
    }

    /// The cells to look into: the centre's, then its neighbours as far as they can hold anything, in Redis' order.
    pub(crate) fn cells(self, centre: Point) -> Vec<Cell> {
        let bounds = self.bounds(centre);
        let mut steps = steps_for(self.reach_m(), centre.lat);
        let mut cell = Cell::new(centre, LAT_MAX, steps);
        let too_small = cell.neighbour(0, 1).area().lat.1 < bounds.lat.1
            || cell.neighbour(0, -1).area().lat.0 > bounds.lat.0
            || cell.neighbour(1, 0).area().lon.1 < bounds.lon.1
            || cell.neighbour(-1, 0).area().lon.0 > bounds.lon.0;
        if steps > 1 && too_small {
            steps -= 1;
            cell = Cell::new(centre, LAT_MAX, steps);
        }
        let area = cell.area();
        let needed = |east: i8, north: i8| {
            steps < 2
                || !(north < 0 && area.lat.0 < bounds.lat.0
                    || north > 0 && area.lat.1 > bounds.lat.1
                    || east < 0 && area.lon.0 < bounds.lon.0
                    || east > 0 && area.lon.1 > bounds.lon.1)
        };
        let around = [(0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)];
        let mut cells = vec![cell];
        for (east, north) in around.into_iter().filter(|&(east, north)| needed(east, north)) {
            let neighbour = cell.neighbour(east, north);
            // Of huge shapes several neighbours are the same cell, one after the other.
            if cells.len() == 1 || cells.last() != Some(&neighbour) {
                cells.push(neighbour);
            }
        }
        cells
    }
}

/// How many bits a coordinate leave cells so large that nine of them hold the reach.
fn steps_for(mut reach_m: f64, lat: f64) -> u32 {
    if reach_m == 0.0 {
        return STEPS_MAX;
    }
    let mut steps = 1i32;
    while reach_m < MERCATOR_MAX_M {
        reach_m *= 2.0;
        steps += 1;
    }
    // Two less, so that most reaches are covered; wider still near the poles.
    steps -= 2 + i32::from(lat.abs() > 66.0) + i32::from(lat.abs() > 80.0);
    steps.clamp(1, STEPS_MAX as i32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interleaving_is_reversible() {
        for value in [0, 1, 0x8000_0000, u32::MAX, 0x1234_5678] {
            assert_eq!(gather(spread(value)), value);
        }
    }

    #[test]
    fn neighbours_wrap_and_return() {
        for steps in 1..=STEPS_MAX {
            let cell = Cell::new(Point { lon: 179.9, lat: 10.0 }, LAT_MAX, steps);
            assert_eq!(cell.neighbour(1, 0).neighbour(-1, 0), cell);
            assert_eq!(cell.neighbour(0, 1).neighbour(0, -1), cell);
            assert_eq!(cell.neighbour(1, 1).neighbour(-1, -1), cell);
        }
    }
}
