//! The shares that are not rolled up yet. Each figure is made of what is rolled up and of these, so that
//! they are asked for again and again: those that were read once stay in memory, and only newer ones are
//! read. A batch never changes, and none comes before one that is there.

use std::{
    collections::{HashMap, VecDeque},
    sync::Mutex,
};

use crate::{
    PoolId,
    database::Connection,
    packed::{self, Packed},
    sql,
};

/// The most shares of a pool that are kept, 4 MB. There are more only while rolling up is behind by
/// minutes, and then they are read each time.
const KEPT_MAX: usize = 65_536;

/// What was read of each pool, by its number.
#[derive(Default)]
pub(crate) struct Tails(Mutex<HashMap<i64, Kept>>);

/// Every batch of a pool after one number and up to another.
#[derive(Default)]
struct Kept {
    after: i64,
    last: i64,
    batches: VecDeque<Batch>,
}

/// A batch with its number.
type Batch = (i64, Vec<Packed>);

impl Tails {
    /// The shares of a pool that are not rolled up, in their order, as the transaction of `connection`
    /// sees them.
    pub(crate) async fn read(
        &self,
        connection: &mut Connection,
        pool: PoolId,
    ) -> sqlx::Result<Vec<Packed>> {
        let ends: Option<(i64, i64)> = sql::query(
            "SELECT rolled_seq,
                    COALESCE((SELECT MAX(seq) FROM share_batches WHERE pool = $1), 0)
             FROM pools WHERE id = $1",
        )
        .bind(pool.0)
        .fetch_optional(connection)
        .await?;
        let Some((rolled, newest)) = ends else {
            return Ok(Vec::new());
        };
        let (mut shares, known_to) = self.known(pool, rolled, newest);
        if newest <= known_to {
            return Ok(shares);
        }
        let rows: Vec<(i64, Vec<u8>)> = sql::query(
            "SELECT seq, shares FROM share_batches
             WHERE pool = $1 AND seq > $2 AND seq <= $3 ORDER BY seq",
        )
        .bind(pool.0)
        .bind(known_to)
        .bind(newest)
        .fetch_all(connection)
        .await?;
        let mut batches = Vec::with_capacity(rows.len());
        for (seq, bytes) in rows {
            let batch: Vec<Packed> = packed::unpack(&bytes)?.collect();
            shares.extend_from_slice(&batch);
            batches.push((seq, batch));
        }
        self.keep(pool, rolled, known_to, newest, batches);
        Ok(shares)
    }

    /// What is known of the batches after `rolled` and up to `newest`, and up to which number it is all.
    fn known(&self, pool: PoolId, rolled: i64, newest: i64) -> (Vec<Packed>, i64) {
        let pools = self.0.lock().expect(NO_PANIC);
        match pools.get(&pool.0) {
            Some(kept) if kept.after <= rolled && kept.last > rolled => {
                let asked = kept.batches.iter();
                let asked = asked.filter(|(seq, _)| (rolled + 1..=newest).contains(seq));
                let shares = asked.flat_map(|(_, batch)| batch).copied().collect();
                (shares, kept.last)
            }
            _ => (Vec::new(), rolled),
        }
    }

    /// Keeps the batches after `from` and up to `to`, and no longer what is rolled up.
    fn keep(&self, pool: PoolId, rolled: i64, from: i64, to: i64, batches: Vec<Batch>) {
        let mut pools = self.0.lock().expect(NO_PANIC);
        let kept = pools.entry(pool.0).or_default();
        // Somebody else may have read as much or more since.
        if from > kept.last || kept.batches.is_empty() && to > kept.last {
            *kept = Kept {
                after: from,
                last: to,
                batches: batches.into(),
            };
        } else if from == kept.last {
            kept.batches.extend(batches);
            kept.last = to;
        }
        while kept.batches.front().is_some_and(|(seq, _)| *seq <= rolled) {
            kept.batches.pop_front();
        }
        kept.after = kept.after.max(rolled.min(kept.last));
        let count: usize = kept.batches.iter().map(|(_, batch)| batch.len()).sum();
        if count > KEPT_MAX {
            pools.remove(&pool.0);
        }
    }
}

const NO_PANIC: &str = "nothing panics while holding this lock";

#[cfg(test)]
mod tests {
    use mining::Work;

    use super::*;
    use crate::ShareRecord;

    const POOL: PoolId = PoolId(1);

    fn batch(seq: i64, count: usize) -> Batch {
        let work = Work::from_hashes(16);
        let share = ShareRecord::new(pow::Hash([0; 32]), work, 1, seq).unwrap();
        let packed = Packed { share, worker: seq };
        (seq, vec![packed; count])
    }

    fn workers((shares, to): (Vec<Packed>, i64)) -> (Vec<i64>, i64) {
        (shares.iter().map(|packed| packed.worker).collect(), to)
    }

    #[test]
    fn what_was_read_is_known_to_whoever_sees_no_more() {
        let tails = Tails::default();
        let known = |rolled, newest| workers(tails.known(POOL, rolled, newest));
        assert_eq!(known(0, 9), (vec![], 0));
        // Another pool has 2 and 4.
        tails.keep(POOL, 0, 0, 5, vec![batch(1, 1), batch(3, 2), batch(5, 1)]);
        assert_eq!(known(0, 5), (vec![1, 3, 3, 5], 5));
        assert_eq!(known(0, 9), (vec![1, 3, 3, 5], 5));
        // An older commit.
        assert_eq!(known(0, 3), (vec![1, 3, 3], 5));
        assert_eq!(known(1, 5), (vec![3, 3, 5], 5));
        // Two who read the same: it is kept once.
        tails.keep(POOL, 1, 5, 6, vec![batch(6, 1)]);
        tails.keep(POOL, 1, 5, 6, vec![batch(6, 1)]);
        assert_eq!(known(1, 6), (vec![3, 3, 5, 6], 6));
        // Who sees what was not rolled up yet then reads it itself.
        assert_eq!(known(0, 6), (vec![], 0));
        // All is rolled up, and more than was ever seen.
        tails.keep(POOL, 8, 8, 9, vec![batch(9, 1)]);
        assert_eq!(known(8, 9), (vec![9], 9));
        assert_eq!(known(6, 9), (vec![], 6));
        assert_eq!(workers(tails.known(PoolId(2), 0, 9)), (vec![], 0));
    }

    #[test]
    fn a_long_tail_is_not_kept() {
        let tails = Tails::default();
        tails.keep(POOL, 0, 0, 1, vec![batch(1, KEPT_MAX)]);
        assert_eq!(tails.known(POOL, 0, 1).0.len(), KEPT_MAX);
        tails.keep(POOL, 0, 1, 2, vec![batch(2, 1)]);
        assert_eq!(workers(tails.known(POOL, 0, 2)), (vec![], 0));
        assert!(tails.0.lock().unwrap().is_empty());
    }
}
