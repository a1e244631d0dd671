//! What rows are made of: ids, hashes and work in the form in which they are stored, and statements
//! of many rows. A statement a row costs ten times as much, in hops to the thread that owns the
//! connection.
//!
//! The number of rows in one statement is a power of two, so that few texts exist and all of them
//! stay prepared.

use mining::{Amount, NetworkDifficulty, Work};
use pow::Hash;
use sqlx::Error as SqlError;

use crate::{database::Connection, sql};

/// The most rows of a statement. More gain nothing, and at nine columns a row this is 4,608
/// parameters of the 32,766 that SQLite allows.
pub(crate) const MOST_ROWS: usize = 512;

/// Cuts `rows` into slices for one statement each.
pub(crate) fn chunks<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let length = rows
            .len()
            .min(MOST_ROWS)
            .checked_ilog2()
            .map(|log| 1_usize << log)?;
        let (chunk, rest) = rows.split_at(length);
        rows = rest;
        Some(chunk)
    })
}

/// Takes `count` ids that were never used before, and gives the first.
pub(crate) async fn take_ids(
    connection: &mut Connection,
    counter: &'static str,
    count: i64,
) -> sqlx::Result<i64> {
    let next: i64 =
        sql::query("UPDATE counters SET next = next + $1 WHERE name = $2 RETURNING next")
            .bind(count)
            .bind(counter)
            .fetch_value(connection)
            .await?;
    next.checked_sub(count)
        .ok_or_else(|| corrupt("counters.next"))
}

/// A hash, stored most significant byte first.
pub(crate) fn hash(bytes: &[u8]) -> sqlx::Result<Hash> {
    let mut bytes: [u8; 32] = bytes
        .try_into()
        .map_err(|_| corrupt("the length of a hash"))?;
    bytes.reverse();
    Ok(Hash(bytes))
}

/// A number that is never negative.
pub(crate) fn unsigned<T: TryFrom<i64>>(number: i64, what: &'static str) -> sqlx::Result<T> {
    T::try_from(number).map_err(|_| corrupt(what))
}

/// Work from the sums of its three parts: `top * 2^64 + middle * 2^32 + low`.
pub(crate) fn work(top: i64, middle: i64, low: i64) -> sqlx::Result<Work> {
    let part = |number: i64| u128::try_from(number).map_err(|_| corrupt("work"));
    let (top, middle, low) = (part(top)?, part(middle)?, part(low)?);
    // At most 2^63 each, so that this fits 128 bits.
    Ok(Work::from_hashes((top << 64) + (middle << 32) + low))
}

/// A network's difficulty from its two columns: hashes where it is counted so, bits elsewhere.
pub(crate) fn network(bits: i64, hashes: Option<i64>) -> sqlx::Result<NetworkDifficulty> {
    Ok(match hashes {
        None => NetworkDifficulty::Bits(unsigned(bits, "bits")?),
        Some(hashes) => {
            let hashes: u64 = unsigned(hashes, "hashes")?;
            NetworkDifficulty::Hashes(hashes.try_into().map_err(|_| corrupt("hashes"))?)
        }
    })
}

/// Its two columns.
pub(crate) fn of_network(network: NetworkDifficulty) -> sqlx::Result<(i64, Option<i64>)> {
    Ok(match network {
        NetworkDifficulty::Bits(bits) => (bits.into(), None),
        NetworkDifficulty::Hashes(hashes) => {
            let hashes = i64::try_from(hashes.get()).map_err(|_| corrupt("hashes"))?;
            (0, Some(hashes))
        }
    })
}

/// Where a page of a list, newest first, begins: before this, or with the newest.
pub(crate) fn cursor(before: Option<u64>) -> i64 {
    before.map_or(i64::MAX, |before| i64::try_from(before).unwrap_or(i64::MAX))
}

/// An amount, which is never negative.
pub(crate) fn amount(units: i64) -> sqlx::Result<Amount> {
    Ok(Amount::from_units(unsigned(units, "an amount")?))
}

/// Work in two halves: `high * 2^32 + low`.
pub(crate) fn halves(work: Work) -> sqlx::Result<(i64, i64)> {
    let hashes = work.hashes();
    let high = i64::try_from(hashes >> 32).map_err(|_| corrupt("a sum of work"))?;
    let low = i64::try_from(hashes & u128::from(u32::MAX)).expect("32 bits fit 63");
    Ok((high, low))
}

/// What is in the database is not what the schema says.
pub(crate) fn corrupt(what: &'static str) -> SqlError {
    SqlError::Decode(format!("{what} is out of range").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_cover_all_rows_in_order_with_few_lengths() {
        for length in [0, 1, 2, 3, 511, 512, 513, 1000, 5000] {
            let rows: Vec<usize> = (0..length).collect();
            let chunks: Vec<_> = chunks(&rows).collect();
            assert_eq!(chunks.concat(), rows);
            assert!(
                chunks
                    .iter()
                    .all(|c| c.len().is_power_of_two() && c.len() <= MOST_ROWS)
            );
        }
    }
}
