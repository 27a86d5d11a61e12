//! Reading arguments: numbers, options, expiry times, in Redis' own rules and error texts.

use sessile_resp::Args;
use sessile_values::digits;

use crate::error::Error;

/// Whether an argument is this option, whatever its case. `upper` is given in upper case.
pub fn is(arg: &[u8], upper: &str) -> bool {
    arg.eq_ignore_ascii_case(upper.as_bytes())
}

/// Typed reading of arguments.
pub trait ArgsExt {
    /// Argument `index` as i64.
    fn int(&self, index: usize) -> Result<i64, Error>;
    /// Argument `index` as what Redis reads as a C int.
    fn c_int(&self, index: usize) -> Result<i32, Error>;
    /// Argument `index` as a double; not NaN.
    fn float(&self, index: usize) -> Result<f64, Error>;
    /// The arguments from `index` on, as slices.
    fn slices(&self, index: usize) -> Vec<&[u8]>;
    /// Argument `index` as the number of keys that follow; at least one, all of them there.
    fn key_count(&self, index: usize) -> Result<usize, Error>;
    /// Argument `index` as a time-out in seconds: a finite fraction, not negative. In milliseconds, 0 for ever.
    fn timeout_ms(&self, index: usize) -> Result<u64, Error>;
}

impl ArgsExt for Args<'_> {
    fn int(&self, index: usize) -> Result<i64, Error> {
        digits::parse_i64(&self[index]).ok_or(Error::NOT_INTEGER)
    }

    fn c_int(&self, index: usize) -> Result<i32, Error> {
        i32::try_from(self.int(index)?).map_err(|_| {
            Error::new("ERR value is out of range, value must between -2147483648 and 2147483647")
        })
    }

    fn float(&self, index: usize) -> Result<f64, Error> {
        digits::parse_f64(&self[index]).ok_or(Error::NOT_FLOAT)
    }

    fn slices(&self, index: usize) -> Vec<&[u8]> {
        (index..self.len()).map(|i| &self[i]).collect()
    }

    fn key_count(&self, index: usize) -> Result<usize, Error> {
        let count = self.int(index)?;
        if count <= 0 {
            return Err(Error::new("ERR numkeys should be greater than 0"));
        }
        let count = count as usize;
        if count > self.len() - index - 1 { Err(Error::SYNTAX) } else { Ok(count) }
    }

    fn timeout_ms(&self, index: usize) -> Result<u64, Error> {
        let seconds = digits::parse_f64(&self[index]).ok_or(Error::BAD_TIMEOUT)?;
        let ms = (seconds * 1000.0).ceil();
        if ms < 0.0 {
            return Err(Error::NEGATIVE_TIMEOUT);
        }
        if ms > i64::MAX as f64 / 2.0 {
            return Err(Error::new("ERR timeout is out of range"));
        }
        Ok(ms as u64)
    }
}

/// The absolute expiry, in milliseconds, of a command's time argument: `unit_ms` is 1000 or 1; `relative` adds now.
/// `positive` refuses times that are not above 0, as SET does and EXPIRE does not. A time before the epoch gives 0.
pub fn expire_at(
    value: i64,
    unit_ms: i64,
    relative: bool,
    now_ms: u64,
    positive: bool,
    command: &str,
) -> Result<u64, Error> {
    let invalid = || Error::invalid_expire(command);
    if positive && value <= 0 {
        return Err(invalid());
    }
    let ms = value.checked_mul(unit_ms).ok_or_else(invalid)?;
    let at_ms = if relative { ms.checked_add(now_ms as i64).ok_or_else(invalid)? } else { ms };
    Ok(at_ms.max(0) as u64)
}
