//! SCAN, and the options that the scans of all types share.

use sessile_command::{
    Acl, Args, ArgsExt, Arity, Command, Docs, Error, Flags, Keys, Outcome, ReadCx, Reply, Run, is,
};
use sessile_values::glob;

use crate::keys::type_name;

/// This family's entries.
pub(crate) static COMMANDS: &[Command] = &[Command {
    name: "scan",
    arity: Arity::AtLeast(2),
    keys: Keys::None,
    acl: Acl::KEYSPACE,
    flags: Flags::NONE,
    docs: Docs {
        summary: "Gives the db's keys a few at a time.",
        syntax: "cursor [MATCH pattern] [COUNT count] [TYPE type]",
        since: "2.8.0",
        group: "generic",
        complexity: "O(1) a call, O(N) in the keys for all calls",
    },
    run: Run::Read(scan),
}];

/// What a scan is asked for.
pub(crate) struct ScanOptions<'a> {
    /// Where to go on.
    pub(crate) cursor: u64,
    /// About how many to look at.
    pub(crate) count: usize,
    /// What names must match; `None` admits all.
    pub(crate) pattern: Option<&'a [u8]>,
    /// The only type wanted.
    pub(crate) wanted_type: Option<&'a [u8]>,
}

impl<'a> ScanOptions<'a> {
    /// Reads the options of a scan whose cursor stands at `args[cursor_at]`; only SCAN knows TYPE.
    pub(crate) fn read(args: Args<'a>, cursor_at: usize, has_type: bool) -> Result<Self, Error> {
        let cursor = args.get(cursor_at).and_then(read_cursor).ok_or(Error::BAD_CURSOR)?;
        let mut options = Self { cursor, count: 10, pattern: None, wanted_type: None };
        let mut at = cursor_at + 1;
        while at < args.len() {
            let option = &args[at];
            let value = args.get(at + 1).ok_or(Error::SYNTAX);
            if is(option, "COUNT") {
                value?;
                let count = args.int(at + 1)?;
                options.count =
                    usize::try_from(count).ok().filter(|&count| count > 0).ok_or(Error::SYNTAX)?;
            } else if is(option, "MATCH") {
                options.pattern = Some(value?).filter(|&pattern| pattern != b"*");
            } else if is(option, "TYPE") && has_type {
                options.wanted_type = Some(value?);
            } else {
                return Err(Error::SYNTAX);
            }
            at += 2;
        }
        Ok(options)
    }

    /// Whether the pattern admits a name.
    pub(crate) fn admits(&self, name: &[u8]) -> bool {
        self.pattern.is_none_or(|pattern| glob::matches(pattern, name, false))
    }
}

/// A cursor as `strtoul` reads it, but without spaces before it: a sign is fine, a minus wraps around, no text is 0,
/// and a NUL byte ends it.
fn read_cursor(text: &[u8]) -> Option<u64> {
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    let (negative, digits) = match text {
        [] => return Some(0),
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] | digits => (false, digits),
    };
    if digits.is_empty() {
        return None;
    }
    let value = digits.iter().try_fold(0u64, |value, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })?;
    Some(if negative { value.wrapping_neg() } else { value })
}

fn scan(cx: ReadCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let options = ScanOptions::read(args, 1, true)?;
    let mut found = Vec::new();
    let next = cx.whole_db(cx.db()).table().scan(options.cursor, options.count, |entry| {
        let type_name = type_name(entry.content()).as_bytes();
        let wanted = options.wanted_type.is_none_or(|wanted| wanted.eq_ignore_ascii_case(type_name));
        if wanted && options.admits(entry.key()) && !cx.is_due(entry) {
            found.push(entry.key().to_vec());
        }
    });
    out.array(2);
    out.bulk(next.to_string().as_bytes());
    out.array(found.len());
    found.iter().for_each(|key| out.bulk(key));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::read_cursor;

    fn check(text: &str, expected: Option<u64>) {
        assert_eq!(read_cursor(text.as_bytes()), expected, "{text:?}");
    }

    #[test]
    fn reads_cursors_as_strtoul() {
        check("", Some(0));
        check("0", Some(0));
        check("007", Some(7));
        check("+5", Some(5));
        check("-1", Some(u64::MAX));
        check("18446744073709551615", Some(u64::MAX));
        check("18446744073709551616", None);
        check(" 1", None);
        check("1 ", None);
        check("-", None);
        check("x", None);
    }
}
