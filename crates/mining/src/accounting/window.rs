//! The PPLNS window: the last so many hashes of work before a block, whatever the time they took.
//!
//! Work comes newest first, in [`Bucket`]s: a bucket is one share, or many that were added up by the
//! miner. The one at the edge counts in part, its miners in proportion, so the window holds its
//! length to the hash. Because a block is paid from the work before it, and that is the same work
//! whoever finds the block, it does not matter when a miner comes or goes (Rosenfeld,
//! arXiv 1112.4980, section 5.4): `tests` simulates one who tries.

use std::{collections::BTreeMap, fmt};

use ruint::aliases::U256;

use super::{apportion::apportion, hundredths::serde_as_number};
use crate::Work;

/// How many times the work of a block a window is long, in hundredths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Multiple(u32);

/// The work of some miners in a stretch of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket<M> {
    /// Each miner's, in any order.
    pub work: Vec<(M, Work)>,
}

/// Who did how much of the work that a reward is split by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window<M> {
    work: BTreeMap<M, Work>,
    total: Work,
    length: Work,
}

/// A sum of work that does not fit 128 bits, which no network will ever do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a sum of work does not fit 128 bits")]
pub struct TooMuchWork;

impl Multiple {
    /// The least: a hundredth of a block's work.
    pub const MIN: Self = Self(1);
    /// The most: a hundred thousand blocks' work.
    pub const MAX: Self = Self(10_000_000);
    /// Twice the work of a block, as most pools have it.
    pub const DEFAULT: Self = Self(200);

    /// From hundredths, within [`MIN`](Self::MIN) and [`MAX`](Self::MAX).
    pub fn from_hundredths(hundredths: u32) -> Option<Self> {
        let multiple = Self(hundredths);
        (Self::MIN..=Self::MAX)
            .contains(&multiple)
            .then_some(multiple)
    }

    /// In hundredths.
    pub fn hundredths(self) -> u32 {
        self.0
    }

    /// So many times `block`, rounded down; at least one hash.
    pub fn times(self, block: Work) -> Work {
        let product = U256::from(block.hashes()) * U256::from(self.0) / U256::from(100);
        Work::from_hashes(u128::try_from(product).unwrap_or(u128::MAX).max(1))
    }
}

/// Without zeros behind the point.
impl fmt::Display for Multiple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 100, self.0 % 100);
        match (rest, rest % 10) {
            (0, _) => write!(f, "{whole}"),
            (_, 0) => write!(f, "{whole}.{}", rest / 10),
            _ => write!(f, "{whole}.{rest:02}"),
        }
    }
}

serde_as_number!(
    Multiple,
    "a number from 0.01 to 100000 with at most two decimals"
);

impl<M: Ord + Copy> Window<M> {
    /// The window of `length` at a block, of the work up to that block, newest first. Nothing more
    /// is taken from `newest_first` once the window is full.
    pub fn new(
        length: Work,
        newest_first: impl IntoIterator<Item = Bucket<M>>,
    ) -> Result<Self, TooMuchWork> {
        let mut window = Self::empty(length);
        let mut buckets = newest_first.into_iter();
        while !window.is_full()
            && let Some(bucket) = buckets.next()
        {
            window.add(&bucket)?;
        }
        Ok(window)
    }

    /// A window of `length` that nothing was added to yet.
    pub fn empty(length: Work) -> Self {
        Self {
            work: BTreeMap::new(),
            total: Work::ZERO,
            length,
        }
    }

    /// Of what was added a round, which is as long as its work, however much that is.
    pub fn into_round(mut self) -> Self {
        self.length = self.total;
        self
    }

    /// Whether it holds all that it can.
    pub fn is_full(&self) -> bool {
        self.total >= self.length
    }

    /// Adds the work that lies before what was added last: as much of it as there is room for.
    pub fn add(&mut self, bucket: &Bucket<M>) -> Result<(), TooMuchWork> {
        let work = bucket.work.iter().map(|(_, work)| *work);
        let total = work
            .clone()
            .try_fold(Work::ZERO, Work::checked_add)
            .ok_or(TooMuchWork)?;
        let room = self.length.hashes() - self.total.hashes();
        if total.hashes() <= room {
            for (miner, work) in &bucket.work {
                self.credit(*miner, *work)?;
            }
            self.total = self.total.checked_add(total).ok_or(TooMuchWork)?;
            return Ok(());
        }
        let weights: Vec<u128> = work.map(Work::hashes).collect();
        let parts = apportion(room, &weights).ok_or(TooMuchWork)?;
        for ((miner, _), part) in bucket.work.iter().zip(parts) {
            self.credit(*miner, Work::from_hashes(part))?;
        }
        self.total = self.length;
        Ok(())
    }

    fn credit(&mut self, miner: M, work: Work) -> Result<(), TooMuchWork> {
        if work > Work::ZERO {
            let sum = self.work.entry(miner).or_default();
            *sum = sum.checked_add(work).ok_or(TooMuchWork)?;
        }
        Ok(())
    }

    /// Each miner's work in it, in the miners' order.
    pub fn work(&self) -> &BTreeMap<M, Work> {
        &self.work
    }

    /// All work in it.
    pub fn total(&self) -> Work {
        self.total
    }

    /// What it holds when it is full. A young pool's window is not: then the reward is split by the
    /// work that there is.
    pub fn length(&self) -> Work {
        self.length
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn work(hashes: u128) -> Work {
        Work::from_hashes(hashes)
    }

    fn share(miner: u32, hashes: u128) -> Bucket<u32> {
        Bucket {
            work: vec![(miner, work(hashes))],
        }
    }

    fn round(buckets: impl IntoIterator<Item = Bucket<u32>>) -> Result<Window<u32>, TooMuchWork> {
        Window::new(work(u128::MAX), buckets).map(Window::into_round)
    }

    fn sums(window: &Window<u32>) -> Vec<(u32, u128)> {
        let work = window.work().iter();
        work.map(|(miner, work)| (*miner, work.hashes())).collect()
    }

    #[test]
    fn a85_the_edge_of_a_window() {
        #[track_caller]
        fn case(length: u128, shares: &[(u32, u128)], expected: &[(u32, u128)]) {
            let newest_first = shares.iter().map(|(miner, work)| share(*miner, *work));
            let window = Window::new(work(length), newest_first).unwrap();
            assert_eq!(sums(&window), expected);
            let total: u128 = expected.iter().map(|(_, work)| work).sum();
            assert_eq!(window.total(), work(total));
        }
        // A share that ends exactly at the edge, one that crosses it, one that is larger than all.
        case(30, &[(1, 10), (2, 20), (3, 5)], &[(1, 10), (2, 20)]);
        case(
            30,
            &[(1, 10), (2, 15), (3, 50)],
            &[(1, 10), (2, 15), (3, 5)],
        );
        case(30, &[(1, 100), (2, 1)], &[(1, 30)]);
        // No share, the very first one, and a miner with some on both sides of the edge.
        case(30, &[], &[]);
        case(30, &[(7, 1)], &[(7, 1)]);
        case(30, &[(1, 25), (2, 4), (1, 25)], &[(1, 26), (2, 4)]);
        case(30, &[(1, 0), (2, 30)], &[(2, 30)]);
    }

    #[test]
    fn a85_a_bucket_at_the_edge_counts_in_proportion() {
        let bucket = Bucket {
            work: vec![(1, work(10)), (2, work(30)), (3, work(60))],
        };
        let window = Window::new(work(15), [share(9, 5), bucket.clone()]).unwrap();
        assert_eq!(sums(&window), [(1, 1), (2, 3), (3, 6), (9, 5)]);
        let round = round([share(9, 5), bucket]).unwrap();
        assert_eq!(round.total(), work(105));
        assert_eq!(round.length(), round.total());
    }

    #[test]
    fn nothing_beyond_the_window_is_looked_at() {
        let buckets = (0..).map(|number| {
            assert!(number < 3, "the window was full");
            share(number, 10)
        });
        let window = Window::new(work(30), buckets).unwrap();
        assert_eq!(window.total(), window.length());
    }

    #[test]
    fn a_length_is_a_multiple_of_a_blocks_work() {
        let twice = Multiple::DEFAULT;
        assert_eq!(twice.times(work(7)), work(14));
        let part = Multiple::from_hundredths(1).unwrap();
        assert_eq!(part.times(work(250)), work(2));
        assert_eq!(part.times(work(3)), work(1));
        assert_eq!(Multiple::MAX.times(work(u128::MAX)), work(u128::MAX));
        assert_eq!(Multiple::from_hundredths(0), None);
        assert_eq!(Multiple::from_hundredths(10_000_001), None);
    }

    #[test]
    fn a_multiple_is_read_as_it_is_written() {
        #[track_caller]
        fn case(text: &str, hundredths: Option<u32>) {
            let read: Option<Multiple> = serde_json::from_str(text).ok();
            assert_eq!(read.map(Multiple::hundredths), hundredths, "{text}");
        }
        case("2", Some(200));
        case("2.0", Some(200));
        case("0.07", Some(7));
        case("\"1.25\"", Some(125));
        case("100000", Some(10_000_000));
        for text in [
            "0",
            "0.001",
            "-1",
            "1e9",
            "100000.01",
            "null",
            "\"two\"",
            "1.234",
        ] {
            case(text, None);
        }
        assert_eq!(serde_json::to_string(&Multiple::DEFAULT).unwrap(), "2.0");
    }

    #[test]
    fn a84_work_past_all_bounds_is_an_error() {
        let most = share(1, u128::MAX);
        assert_eq!(
            round([most.clone(), share(1, 1)]).unwrap().total(),
            work(u128::MAX)
        );
        let both = Bucket {
            work: vec![(1, work(u128::MAX)), (2, work(1))],
        };
        assert_eq!(round([both]), Err(TooMuchWork));
    }

    proptest! {
        /// However shares are grouped into buckets, what is inside the window stays the same.
        #[test]
        fn a31_buckets_change_nothing_inside(
            shares in prop::collection::vec((0_u32..5, 1_u128..1000), 1..60),
            cut in 1_usize..8,
        ) {
            let total: u128 = shares.iter().map(|(_, work)| work).sum();
            let one_by_one = shares.iter().map(|(miner, work)| share(*miner, *work));
            let grouped = shares.chunks(cut).map(|chunk| Bucket {
                work: chunk.iter().map(|(miner, hashes)| (*miner, work(*hashes))).collect(),
            });
            let exact = Window::new(work(total), one_by_one.clone()).unwrap();
            prop_assert_eq!(&exact, &Window::new(work(total), grouped.clone()).unwrap());
            // At any other length only the bucket at the edge may differ.
            let length = work(total / 2 + 1);
            let exact = Window::new(length, one_by_one).unwrap();
            let coarse = Window::new(length, grouped).unwrap();
            prop_assert_eq!(exact.total(), coarse.total());
            let edge: u128 = 1000 * u128::try_from(cut).unwrap();
            for miner in 0..5 {
                let of = |window: &Window<u32>| {
                    window.work().get(&miner).copied().unwrap_or_default().hashes()
                };
                prop_assert!(of(&exact).abs_diff(of(&coarse)) <= edge);
            }
        }
    }
}
