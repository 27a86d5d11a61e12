//! LCS: the longest common subsequence of two strings.

use sessile_command::{Args, ArgsExt, Content, Error, Outcome, ReadCx, Reply, content_len, is};
use sessile_values::Value;

/// Most cells of the table: its memory is bounded whatever the strings' lengths.
const CELLS_MAX: usize = 1 << 30;

/// LCS's options.
#[derive(Default)]
struct Options {
    len_only: bool,
    ranges: bool,
    with_len: bool,
    min_len: usize,
}

fn options(args: Args<'_>) -> Result<Options, Error> {
    let mut options = Options::default();
    let mut at = 3;
    while at < args.len() {
        if is(&args[at], "IDX") {
            options.ranges = true;
        } else if is(&args[at], "LEN") {
            options.len_only = true;
        } else if is(&args[at], "WITHMATCHLEN") {
            options.with_len = true;
        } else if is(&args[at], "MINMATCHLEN") && at + 1 < args.len() {
            options.min_len = args.int(at + 1)?.max(0) as usize;
            at += 1;
        } else {
            return Err(Error::SYNTAX);
        }
        at += 1;
    }
    if options.ranges && options.len_only {
        return Err(Error::new("ERR If you want both the length and indexes, please just use IDX."));
    }
    Ok(options)
}

fn text(cx: ReadCx<'_>, key: &[u8]) -> Result<Vec<u8>, Error> {
    let wrong = Error::new("ERR The specified keys must contain string values");
    Ok(match cx.string(cx.key(key)).map_err(|_| wrong)? {
        None => Vec::new(),
        Some(Content::Short(text)) => text.to_vec(),
        Some(Content::Value(Value::Text(rope))) => rope.to_vec(),
        Some(content) => vec![0; content_len(content)],
    })
}

/// A run that both strings share: half-open ends and length.
struct Match {
    a: (usize, usize),
    b: (usize, usize),
}

pub(crate) fn lcs(cx: ReadCx<'_>, args: Args<'_>, out: &mut Reply<'_>) -> Outcome {
    let (a, b) = (text(cx, &args[1])?, text(cx, &args[2])?);
    let options = options(args)?;
    let width = b.len() + 1;
    if (a.len() + 1).checked_mul(width).is_none_or(|cells| cells > CELLS_MAX) {
        return Err(Error::new(
            "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len",
        ));
    }
    let mut table = vec![0u32; (a.len() + 1) * width];
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            table[i * width + j] = if a[i - 1] == b[j - 1] {
                table[(i - 1) * width + j - 1] + 1
            } else {
                table[(i - 1) * width + j].max(table[i * width + j - 1])
            };
        }
    }
    let total = table[a.len() * width + b.len()];
    if options.len_only {
        out.int(i64::from(total));
        return Ok(());
    }
    let (common, matches) = walk_back(&a, &b, &table);
    if options.ranges {
        reply_ranges(&matches, &options, total, out);
    } else {
        out.bulk(&common);
    }
    Ok(())
}

/// Follows the table from its end: the common text, and the runs it consists of, last first.
fn walk_back(a: &[u8], b: &[u8], table: &[u32]) -> (Vec<u8>, Vec<Match>) {
    let width = b.len() + 1;
    let (mut i, mut j) = (a.len(), b.len());
    let mut common = Vec::new();
    let mut matches: Vec<Match> = Vec::new();
    while i > 0 && j > 0 {
        if a[i - 1] == b[j - 1] {
            (i, j) = (i - 1, j - 1);
            common.push(a[i]);
            match matches.last_mut() {
                Some(run) if run.a.0 == i + 1 && run.b.0 == j + 1 => (run.a.0, run.b.0) = (i, j),
                _ => matches.push(Match { a: (i, i + 1), b: (j, j + 1) }),
            }
        } else if table[(i - 1) * width + j] > table[i * width + j - 1] {
            i -= 1;
        } else {
            j -= 1;
        }
    }
    common.reverse();
    (common, matches)
}

fn reply_ranges(matches: &[Match], options: &Options, total: u32, out: &mut Reply<'_>) {
    let long: Vec<&Match> = matches.iter().filter(|m| m.a.1 - m.a.0 >= options.min_len).collect();
    out.map(2);
    out.bulk(b"matches");
    out.array(long.len());
    for run in long {
        out.array(if options.with_len { 3 } else { 2 });
        for (start, end) in [run.a, run.b] {
            out.array(2);
            out.int(start as i64);
            out.int(end as i64 - 1);
        }
        if options.with_len {
            out.int((run.a.1 - run.a.0) as i64);
        }
    }
    out.bulk(b"len");
    out.int(i64::from(total));
}
