//! The CRC-64 that ends DUMP payloads and RDB files: Jones' polynomial, reflected, from zero, without a final xor.

/// 0xad93d23594c935a9 with its bits reversed.
const POLYNOMIAL: u64 = 0x95AC_9329_AC4B_C9B5;
const LANES: usize = 8;

/// `TABLES[k][b]` is the effect of byte `b` followed by `k` zero bytes, so eight bytes take one step.
static TABLES: [[u64; 256]; LANES] = tables();

/// A running checksum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Crc64(u64);

impl Crc64 {
    /// The checksum of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in further bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        let mut crc = self.0;
        let (words, rest) = bytes.as_chunks::<LANES>();
        for word in words {
            let mixed = (crc ^ u64::from_le_bytes(*word)).to_le_bytes();
            crc = 0;
            for (lane, byte) in mixed.iter().enumerate() {
                crc ^= TABLES[LANES - 1 - lane][usize::from(*byte)];
            }
        }
        for byte in rest {
            crc = TABLES[0][usize::from(crc as u8 ^ byte)] ^ (crc >> 8);
        }
        self.0 = crc;
    }

    /// The checksum of all bytes so far.
    pub fn value(self) -> u64 {
        self.0
    }
}

/// The checksum of `bytes`.
pub fn crc64(bytes: &[u8]) -> u64 {
    let mut crc = Crc64::new();
    crc.update(bytes);
    crc.value()
}

const fn tables() -> [[u64; 256]; LANES] {
    let mut tables = [[0; 256]; LANES];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u64;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut lane = 1;
    while lane < LANES {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[lane - 1][byte];
            tables[lane][byte] = tables[0][(before & 0xFF) as usize] ^ (before >> 8);
            byte += 1;
        }
        lane += 1;
    }
    tables
}

#[cfg(test)]
mod tests {
    use super::{Crc64, crc64};

    #[test]
    fn known_values() {
        assert_eq!(crc64(b""), 0);
        assert_eq!(crc64(b"123456789"), 0xE9C6_D914_C4B8_D9CA);
    }

    #[test]
    fn pieces_give_the_whole() {
        let bytes: Vec<u8> = (0..1000u32).map(|i| ((i * i) >> 3) as u8).collect();
        for cut in 0..bytes.len() {
            let mut crc = Crc64::new();
            crc.update(&bytes[..cut]);
            crc.update(&bytes[cut..]);
            assert_eq!(crc.value(), crc64(&bytes), "cut at {cut}");
        }
    }

    #[test]
    fn ends_the_payloads_of_the_real_server() {
        let oracle = sessile_oracle::Oracle::start(&[]);
        let mut server = oracle.connect();
        for len in [0, 1, 7, 8, 9, 300, 5000] {
            let text: Vec<u8> = (0..len).map(|i: u32| ((i * 31) >> 2) as u8).collect();
            server.text(&[b"SET", b"k", &text]);
            let payload = server.text(&[b"DUMP", b"k"]);
            let (body, crc) = payload.split_at(payload.len() - 8);
            assert_eq!(crc64(body).to_le_bytes(), crc, "{len} bytes");
        }
    }
}
