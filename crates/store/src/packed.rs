//! Shares as bytes: a batch of them is one value of one row, so that a commit costs the same for
//! one share and for a thousand.
//!
//! ```text
//! hash 32 | worker 8 | work 8 | height 4 | time in ms since 1970 8     little-endian, 60 a share
//! ```

use crate::{ShareRecord, ShareRow, rows::corrupt};

/// The bytes of one share.
const RECORD: usize = 60;

/// A share of a batch, and the id of its worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packed {
    pub(crate) share: ShareRecord,
    pub(crate) worker: i64,
}

/// A batch of shares, each with the id of its worker.
pub(crate) fn pack(shares: &[(&ShareRow, i64)]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(shares.len() * RECORD);
    for (row, worker) in shares {
        push(&mut bytes, &row.share, *worker);
    }
    bytes
}

fn push(bytes: &mut Vec<u8>, share: &ShareRecord, worker: i64) {
    bytes.extend_from_slice(&share.hash.0);
    bytes.extend_from_slice(&worker.to_le_bytes());
    bytes.extend_from_slice(&share.work.to_le_bytes());
    bytes.extend_from_slice(&share.height.to_le_bytes());
    bytes.extend_from_slice(&share.time_ms.to_le_bytes());
}

/// The shares of a batch in the order in which they were accepted.
pub(crate) fn unpack(bytes: &[u8]) -> sqlx::Result<impl Iterator<Item = Packed>> {
    let (records, rest) = bytes.as_chunks::<RECORD>();
    if !rest.is_empty() {
        return Err(corrupt("the length of a batch of shares"));
    }
    Ok(records.iter().map(|record| Packed {
        share: ShareRecord {
            hash: pow::Hash(part(record, 0)),
            work: i64::from_le_bytes(part(record, 40)),
            height: u32::from_le_bytes(part(record, 48)),
            time_ms: i64::from_le_bytes(part(record, 52)),
        },
        worker: i64::from_le_bytes(part(record, 32)),
    }))
}

fn part<const N: usize>(record: &[u8; RECORD], at: usize) -> [u8; N] {
    let mut part = [0; N];
    part.copy_from_slice(&record[at..at + N]);
    part
}

#[cfg(test)]
mod tests {
    use mining::Work;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_packed_comes_back(
            shares in prop::collection::vec(
                (any::<[u8; 32]>(), any::<i64>(), 0..=i64::MAX, any::<u32>(), any::<i64>()), 0..20),
        ) {
            let shares: Vec<_> = shares.into_iter().map(|(hash, worker, work, height, time_ms)| {
                let work = Work::from_hashes(u128::from(work.unsigned_abs()));
                let share = ShareRecord::new(pow::Hash(hash), work, height, time_ms).unwrap();
                Packed { share, worker }
            }).collect();
            let mut bytes = Vec::new();
            for packed in &shares {
                push(&mut bytes, &packed.share, packed.worker);
            }
            prop_assert_eq!(bytes.len(), shares.len() * RECORD);
            prop_assert_eq!(unpack(&bytes).unwrap().collect::<Vec<_>>(), shares);
            bytes.push(0);
            prop_assert!(unpack(&bytes).is_err());
        }
    }
}
