//! RDB files: a file is an error or a run of records, each an error or a value.

use std::convert::Infallible;

use sessile_values::{HashKey, Limits};

/// A file; its checksum is made right, or almost nothing would be looked at to the end.
pub(crate) fn file(data: &[u8]) {
    let mut sealed = data.to_vec();
    if data.len() > 17 {
        let body = sealed.len() - 8;
        let sum = sessile_values::crc64::crc64(&sealed[..body]);
        sealed[body..].copy_from_slice(&sum.to_le_bytes());
    }
    for bytes in [data, &sealed] {
        let _ = sessile_rdb::read(bytes, |record| -> Result<(), Infallible> {
            let _ = record.load(&HashKey(1, 2), &Limits::default());
            Ok(())
        });
    }
}
