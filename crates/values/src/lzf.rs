//! LZF, the compression of long strings and list nodes in DUMP payloads and RDB files.
//!
//! ```text
//! 000LLLLL                       L + 1 literal bytes follow
//! LLLooooo oooooooo              copy L + 2 bytes from o + 1 back, L < 7
//! 111ooooo LLLLLLLL oooooooo     copy L + 9 bytes from o + 1 back
//! ```

/// The longest distance and the longest copy that the format can name.
const DISTANCE_MAX: usize = 1 << 13;
const COPY_MAX: usize = 264;
const LITERALS_MAX: usize = 32;
/// Three bytes in give at most [`COPY_MAX`] out.
const EXPANSION_MAX: usize = COPY_MAX / 3;
/// What compression must save to be worth it, as in Redis.
const SAVING_MIN: usize = 4;

/// Bytes that are not the compressed form of as many bytes as stated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadLzf;

impl std::fmt::Display for BadLzf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LZF: the compressed bytes are malformed")
    }
}

impl std::error::Error for BadLzf {}

/// Expands `input` to exactly `len` bytes. Memory is taken only for a `len` that `input` can reach.
pub fn decompress(input: &[u8], len: usize) -> Result<Vec<u8>, BadLzf> {
    if len > input.len().saturating_mul(EXPANSION_MAX) {
        return Err(BadLzf);
    }
    let mut out = Vec::with_capacity(len);
    let mut rest = input;
    while let [control, tail @ ..] = rest {
        let control = usize::from(*control);
        rest = if control < LITERALS_MAX {
            let (literals, tail) = tail.split_at_checked(control + 1).ok_or(BadLzf)?;
            if literals.len() > len - out.len() {
                return Err(BadLzf);
            }
            out.extend_from_slice(literals);
            tail
        } else {
            let (count, low, tail) = match (control >> 5, tail) {
                (7, [more, low, tail @ ..]) => (usize::from(*more) + 9, *low, tail),
                (short @ 1..7, [low, tail @ ..]) => (short + 2, *low, tail),
                _ => return Err(BadLzf),
            };
            let distance = ((control & 0x1F) << 8 | usize::from(low)) + 1;
            if distance > out.len() || count > len - out.len() {
                return Err(BadLzf);
            }
            copy_back(&mut out, distance, count);
            tail
        };
    }
    if out.len() == len { Ok(out) } else { Err(BadLzf) }
}

/// Appends `count` bytes from `distance` back; they may overlap what is being appended.
fn copy_back(out: &mut Vec<u8>, distance: usize, mut count: usize) {
    let from = out.len() - distance;
    while count > 0 {
        // What has been appended repeats with the same period, so each round may copy all of it.
        let round = count.min(out.len() - from);
        out.extend_from_within(from..from + round);
        count -= round;
    }
}

/// Compresses `input`, or gives `None` if that saves less than four bytes.
pub fn compress(input: &[u8]) -> Option<Vec<u8>> {
    let limit = input.len().checked_sub(SAVING_MIN).filter(|&limit| limit > 0)?;
    // As many slots as positions, within what stays in the first-level cache; 0 means none, so positions count from 1.
    let bits = (usize::BITS - input.len().leading_zeros()).clamp(6, 13);
    let mut latest = vec![0u32; 1 << bits];
    let mut out = Vec::with_capacity(limit);
    let (mut at, mut literals_from) = (0, 0);
    while at + 2 < input.len() {
        let slot = slot(input, at, bits);
        let candidate = latest[slot] as usize;
        latest[slot] = u32::try_from(at + 1).ok()?;
        let found = candidate
            .checked_sub(1)
            .filter(|&from| at - from <= DISTANCE_MAX && input[from..from + 3] == input[at..at + 3]);
        let Some(from) = found else {
            at += 1;
            continue;
        };
        let count = 3 + input[at + 3..]
            .iter()
            .zip(&input[from + 3..])
            .take(COPY_MAX - 3)
            .take_while(|(a, b)| a == b)
            .count();
        put_literals(&input[literals_from..at], &mut out);
        put_copy(at - from, count, &mut out);
        if out.len() > limit {
            return None;
        }
        let end = at + count;
        // The last positions of the copy become findable too; all of them would cost more than they bring.
        for seen in (end - 2..end).filter(|seen| seen + 2 < input.len()) {
            latest[self::slot(input, seen, bits)] = u32::try_from(seen + 1).ok()?;
        }
        (at, literals_from) = (end, end);
    }
    put_literals(&input[literals_from..], &mut out);
    (out.len() <= limit).then_some(out)
}

fn slot(input: &[u8], at: usize, bits: u32) -> usize {
    let three = u32::from_be_bytes([0, input[at], input[at + 1], input[at + 2]]);
    (three.wrapping_mul(0x9E37_79B1) >> (32 - bits)) as usize
}

fn put_literals(literals: &[u8], out: &mut Vec<u8>) {
    for run in literals.chunks(LITERALS_MAX) {
        out.push(run.len() as u8 - 1);
        out.extend_from_slice(run);
    }
}

fn put_copy(distance: usize, count: usize, out: &mut Vec<u8>) {
    let [high, low] = (distance as u16 - 1).to_be_bytes();
    if count < 9 {
        out.push((count as u8 - 2) << 5 | high);
    } else {
        out.extend_from_slice(&[7 << 5 | high, (count - 9) as u8]);
    }
    out.push(low);
}

#[cfg(test)]
mod tests {
    use super::{compress, decompress};
    use sessile_oracle::{Oracle, Random};

    /// Bytes that repeat themselves now and then.
    fn sample(random: &mut Random) -> Vec<u8> {
        let mut bytes = Vec::new();
        for _ in 0..random.below(60) {
            if random.below(2) == 0 || bytes.is_empty() {
                let variety = 1 + random.below(256);
                bytes.extend((0..random.below(100)).map(|_| random.below(variety) as u8).collect::<Vec<_>>());
            } else {
                let from = random.below(bytes.len());
                let count = random.below(600);
                bytes.extend(bytes[from..].iter().copied().cycle().take(count).collect::<Vec<_>>());
            }
        }
        bytes
    }

    #[test]
    fn round_trips_and_survives_damage() {
        for seed in 0..2000 {
            let mut random = Random::new(seed);
            let bytes = sample(&mut random);
            let Some(mut packed) = compress(&bytes) else { continue };
            assert!(packed.len() + 4 <= bytes.len());
            assert_eq!(decompress(&packed, bytes.len()).as_ref(), Ok(&bytes), "seed {seed}");
            assert!(decompress(&packed, bytes.len() - 1).is_err());
            assert!(decompress(&packed, bytes.len() + 1).is_err());
            let hit = random.below(packed.len());
            packed[hit] ^= 1 << random.below(8);
            packed.truncate(packed.len() - random.below(2));
            if let Ok(other) = decompress(&packed, bytes.len()) {
                assert_eq!(other.len(), bytes.len());
            }
        }
    }

    #[test]
    fn refuses_lengths_that_the_input_cannot_reach() {
        assert!(decompress(b"\x00a", usize::MAX).is_err());
        assert!(decompress(b"", 1).is_err());
        assert_eq!(decompress(b"", 0), Ok(Vec::new()));
        assert!(decompress(b"\x20\x00", 3).is_err());
    }

    #[test]
    fn reads_and_feeds_the_real_server() {
        let oracle = Oracle::start(&[]);
        let mut server = oracle.connect();
        let mut compressed = (0, 0);
        for seed in 0..300 {
            let bytes = sample(&mut Random::new(seed));
            server.text(&[b"SET", b"k", &bytes]);
            let payload = server.text(&[b"DUMP", b"k"]);
            // Type 0, then 0xC3 for LZF and two lengths.
            if payload.get(1) != Some(&0xC3) {
                continue;
            }
            let (packed_len, used) = length(&payload[2..]);
            let (len, used_too) = length(&payload[2 + used..]);
            let packed = &payload[2 + used + used_too..][..packed_len];
            assert_eq!(decompress(packed, len).as_ref(), Ok(&bytes), "seed {seed}");

            let ours = compress(&bytes).expect("what Redis compresses, we do");
            compressed = (compressed.0 + ours.len(), compressed.1 + packed.len());
            let mut restored = vec![0, 0xC3];
            for len in [ours.len(), bytes.len()] {
                restored.push(0x80);
                restored.extend((len as u32).to_be_bytes());
            }
            restored.extend(&ours);
            restored.extend([10, 0]);
            restored.extend(crate::crc64::crc64(&restored).to_le_bytes());
            assert_eq!(server.text(&[b"RESTORE", b"k", b"0", &restored, b"REPLACE"]), b"OK", "seed {seed}");
            assert_eq!(server.text(&[b"GET", b"k"]), bytes, "seed {seed}");
        }
        let (ours, theirs) = compressed;
        assert!(theirs > 100_000 && ours * 10 <= theirs * 11, "{ours} bytes against {theirs}");
    }

    /// An RDB length and how many bytes it took.
    fn length(bytes: &[u8]) -> (usize, usize) {
        match bytes[0] >> 6 {
            0 => (bytes[0].into(), 1),
            1 => (usize::from(bytes[0] & 0x3F) << 8 | usize::from(bytes[1]), 2),
            _ => (u32::from_be_bytes(bytes[1..5].try_into().unwrap()) as usize, 5),
        }
    }
}
