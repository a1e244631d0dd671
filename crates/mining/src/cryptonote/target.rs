//! Difficulties of CryptoNote: whole numbers of hashes, and the two ways to tell a miner.
//!
//! Called for each job and each share. A block is judged by all 256 bits of its hash, which
//! [`Target::of_hashes`] does. A share is judged by the upper 64 bits: they must be below a bound, and
//! the miner is told that bound either in 8 bytes or in 4, from which it makes 64 bits again. What it
//! makes of them is what a share must be judged by.
//!
//! | told | bound |
//! |---|---|
//! | 8 bytes | `(2^64 - 1) / difficulty` |
//! | 4 bytes, `(2^32 - 1) / difficulty` | `(2^64 - 1) / ((2^32 - 1) / those 4 bytes)` |
//!
//! All divisions drop their remainder, so four bytes make a share somewhat harder than was meant: up to
//! twice at a difficulty of 2^31, a 65,000th at one of 2^16. [`ShareTarget::difficulty`] says how hard it
//! really is, and that is what such a share is worth.

use std::num::{NonZeroU64, NonZeroU128};

use pow::Hash;

use crate::{Difficulty, Target, Work};

/// How a bound is told, with bytes in the order of the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Told {
    Four([u8; 4]),
    Eight([u8; 8]),
}

/// What a share must meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ShareTarget {
    difficulty: NonZeroU64,
    bound: NonZeroU64,
    told: Told,
}

/// Why bytes are no target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadShareTarget {
    /// Neither 4 nor 8 bytes.
    #[error("a target has 4 or 8 bytes")]
    Length,
    /// No hash can meet it.
    #[error("the target is zero")]
    Zero,
}

impl ShareTarget {
    /// A target that is told in 8 bytes, which all miners of today read.
    pub fn new(difficulty: NonZeroU64) -> Self {
        let bound = quotient(NonZeroU64::MAX, difficulty);
        Self {
            difficulty,
            bound,
            told: Told::Eight(bound.get().to_le_bytes()),
        }
    }

    /// A target that is told in 4 bytes, for miners of old; in 8 where the difficulty has more than 32
    /// bits.
    pub fn compact(difficulty: NonZeroU64) -> Self {
        u32::try_from(difficulty.get())
            .ok()
            .and_then(|difficulty| Self::expanded(u32::MAX / difficulty))
            .unwrap_or_else(|| Self::new(difficulty))
    }

    /// The target of a difficulty that the pool's rules keep: there, difficulty 1 is one hash.
    pub fn of(difficulty: Difficulty) -> Self {
        Self::new(hashes(difficulty))
    }

    /// The same, told in 4 bytes.
    pub fn compact_of(difficulty: Difficulty) -> Self {
        Self::compact(hashes(difficulty))
    }

    /// This one, or where `most` hashes are fewer, the hardest that takes no more and can be told
    /// in as many bytes.
    pub fn at_most(self, most: NonZeroU64) -> Self {
        if self.difficulty <= most {
            return self;
        }
        let Told::Four(_) = self.told else {
            return Self::new(most);
        };
        let compact = Self::compact(most);
        match compact.told {
            // The next one is somewhat easier.
            Told::Four(told) if compact.difficulty > most => {
                Self::expanded(u32::from_le_bytes(told).saturating_add(1)).unwrap_or(compact)
            }
            _ => compact,
        }
    }

    /// As a miner is told.
    pub fn read(bytes: &[u8]) -> Result<Self, BadShareTarget> {
        if let Ok(four) = bytes.try_into() {
            return Self::expanded(u32::from_le_bytes(four)).ok_or(BadShareTarget::Zero);
        }
        let eight: [u8; 8] = bytes.try_into().map_err(|_| BadShareTarget::Length)?;
        let bound = NonZeroU64::new(u64::from_le_bytes(eight)).ok_or(BadShareTarget::Zero)?;
        Ok(Self {
            difficulty: quotient(NonZeroU64::MAX, bound),
            bound,
            told: Told::Eight(eight),
        })
    }

    /// The 4 or 8 bytes that a miner is told.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.told {
            Told::Four(bytes) => bytes,
            Told::Eight(bytes) => bytes,
        }
    }

    /// The hashes that a share stands for.
    pub fn difficulty(&self) -> NonZeroU64 {
        self.difficulty
    }

    /// The same, as the ledger counts it.
    pub fn work(&self) -> Work {
        Work::from_hashes(self.difficulty.get().into())
    }

    /// Below this must be the upper 64 bits.
    pub fn bound(&self) -> NonZeroU64 {
        self.bound
    }

    /// The same of all 256 bits.
    pub fn target(&self) -> Target {
        Target::below_upper_bits(self.bound)
    }

    /// Whether a hash counts as a share.
    pub fn is_met_by(&self, hash: &Hash) -> bool {
        hash.limbs()[3] < self.bound.get()
    }

    /// Of four bytes; nothing if they are zero.
    fn expanded(told: u32) -> Option<Self> {
        let difficulty = u32::MAX.checked_div(told)?;
        let difficulty = NonZeroU64::new(difficulty.into())?;
        Some(Self {
            difficulty,
            bound: quotient(NonZeroU64::MAX, difficulty),
            told: Told::Four(told.to_le_bytes()),
        })
    }
}

/// The difficulty of the network, from the two halves that a daemon tells: `difficulty` and
/// `difficulty_top64`. Nothing if it is zero.
pub fn network_difficulty(difficulty: u64, top64: u64) -> Option<NonZeroU128> {
    NonZeroU128::new(u128::from(top64) << 64 | u128::from(difficulty))
}

/// The whole hashes of a difficulty.
fn hashes(difficulty: Difficulty) -> NonZeroU64 {
    let hashes = NonZeroU64::new(difficulty.steps() >> 32);
    hashes.unwrap_or(NonZeroU64::MIN)
}

/// Of the largest number and another one, so that it is never zero.
fn quotient(largest: NonZeroU64, by: NonZeroU64) -> NonZeroU64 {
    NonZeroU64::new(largest.get() / by).expect("the largest number is not less than any")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ruint::aliases::U512;

    use super::*;

    fn hashes(difficulty: u64) -> NonZeroU64 {
        NonZeroU64::new(difficulty).unwrap()
    }

    /// A hash whose upper 64 bits are these, and the others all ones or all zeros.
    fn hash(upper: u64, others: u8) -> Hash {
        let mut bytes = [others; 32];
        bytes[24..].copy_from_slice(&upper.to_le_bytes());
        Hash(bytes)
    }

    #[test]
    fn eight_bytes_hold_the_bound_itself() {
        let case = |difficulty, bound: u64, told: &str| {
            let target = ShareTarget::new(hashes(difficulty));
            assert_eq!(target.bound().get(), bound, "{difficulty}");
            assert_eq!(target.difficulty().get(), difficulty);
            assert_eq!(target.work(), Work::from_hashes(difficulty.into()));
            assert_eq!(hex::encode(target.as_bytes()), told, "{difficulty}");
            let read = ShareTarget::read(target.as_bytes()).unwrap();
            assert_eq!(read.bound(), target.bound());
        };
        case(1, u64::MAX, "ffffffffffffffff");
        case(2, 0x7fff_ffff_ffff_ffff, "ffffffffffffff7f");
        case(50, 0x051e_b851_eb85_1eb8, "b81e85eb51b81e05");
        case(1000, 18_446_744_073_709_551, "efa7c64b37894100");
        case(1 << 32, 0xffff_ffff, "ffffffff00000000");
        case(u64::MAX, 1, "0100000000000000");
        case(u64::MAX / 2 + 1, 1, "0100000000000000");
        case(u64::MAX / 2, 2, "0200000000000000");
    }

    #[test]
    fn four_bytes_are_expanded_as_xmrig_does() {
        let case = |difficulty, told: &str, real: u64, bound: u64| {
            let target = ShareTarget::compact(hashes(difficulty));
            assert_eq!(hex::encode(target.as_bytes()), told, "{difficulty}");
            assert_eq!(target.difficulty().get(), real, "{difficulty}");
            assert_eq!(target.bound().get(), bound, "{difficulty}");
            let read = ShareTarget::read(target.as_bytes()).unwrap();
            assert_eq!(read.bound(), target.bound(), "{difficulty}");
        };
        case(1, "ffffffff", 1, u64::MAX);
        // As a pool on this wire told XMRig.
        case(50, "51b81e05", 50, u64::MAX / 50);
        case(10_000, "b88d0600", 10_000, u64::MAX / 10_000);
        case(1 << 16, "ffff0000", 65_537, u64::MAX / 65_537);
        case(100_000, "c5a70000", 100_001, u64::MAX / 100_001);
        // 4294 stands for 1,000,225 hashes.
        case(1_000_000, "c6100000", 1_000_225, u64::MAX / 1_000_225);
        case(
            (1 << 31) - 1,
            "02000000",
            (1 << 31) - 1,
            u64::MAX / ((1 << 31) - 1),
        );
        case(
            1 << 31,
            "01000000",
            (1 << 32) - 1,
            u64::MAX / ((1 << 32) - 1),
        );
        case(
            (1 << 32) - 1,
            "01000000",
            (1 << 32) - 1,
            u64::MAX / ((1 << 32) - 1),
        );
        // More than four bytes can say.
        case(1 << 32, "ffffffff00000000", 1 << 32, (1 << 32) - 1);
    }

    #[test]
    fn a_target_is_never_harder_than_the_network_and_is_told_in_as_many_bytes() {
        let case = |target: ShareTarget, most, told: &str, real: u64| {
            let target = target.at_most(hashes(most));
            assert_eq!(hex::encode(target.as_bytes()), told, "{most}");
            assert_eq!(target.difficulty().get(), real, "{most}");
        };
        let (eight, four) = (ShareTarget::new, ShareTarget::compact);
        case(eight(hashes(50)), 50, "b81e85eb51b81e05", 50);
        case(eight(hashes(51)), 50, "b81e85eb51b81e05", 50);
        case(four(hashes(50)), 1000, "51b81e05", 50);
        case(four(hashes(1000)), 50, "51b81e05", 50);
        // 4294 would stand for 1,000,225 hashes, and 4295 stands for 999,992.
        case(four(hashes(2_000_000)), 1_000_000, "c7100000", 999_992);
        case(
            four(hashes(u64::from(u32::MAX))),
            1 << 31,
            "02000000",
            (1 << 31) - 1,
        );
        case(four(hashes(9)), 1, "ffffffff", 1);
    }

    #[test]
    fn what_is_no_target_is_refused() {
        let case = |bytes: &[u8], fault| assert_eq!(ShareTarget::read(bytes), Err(fault));
        case(&[], BadShareTarget::Length);
        case(&[1, 2, 3], BadShareTarget::Length);
        case(&[1; 5], BadShareTarget::Length);
        case(&[1; 9], BadShareTarget::Length);
        case(&[1; 32], BadShareTarget::Length);
        case(&[0; 4], BadShareTarget::Zero);
        case(&[0; 8], BadShareTarget::Zero);
    }

    #[test]
    fn a_share_is_below_its_bound_and_not_at_it() {
        for difficulty in [
            1,
            2,
            50,
            1000,
            1_000_000,
            1 << 31,
            1 << 32,
            1 << 63,
            u64::MAX,
        ] {
            for target in [ShareTarget::new, ShareTarget::compact].map(|of| of(hashes(difficulty)))
            {
                let bound = target.bound().get();
                for others in [0, 0xff] {
                    let below = hash(bound - 1, others);
                    assert!(target.is_met_by(&below) && target.target().is_met_by(&below));
                    let at = hash(bound, others);
                    assert!(!target.is_met_by(&at) && !target.target().is_met_by(&at));
                }
            }
        }
    }

    #[test]
    fn the_pool_s_own_difficulties_are_hashes() {
        let case = |written: &str, expected| {
            let target = ShareTarget::of(written.parse().unwrap());
            assert_eq!(target.difficulty().get(), expected, "{written}");
        };
        case("0.001", 1);
        case("1", 1);
        case("1.99", 1);
        case("400000", 400_000);
        case("99999999999999", 1 << 30);
    }

    /// Consensus: the hash times the difficulty does not overflow 256 bits.
    fn monero_takes(hash: &Hash, difficulty: NonZeroU128) -> bool {
        let number = U512::from_limbs_slice(&hash.limbs());
        (number * U512::from(difficulty.get())) >> 256 == U512::ZERO
    }

    #[test]
    fn a_block_is_judged_by_all_its_bits() {
        let case = |difficulty: u128| {
            let difficulty = NonZeroU128::new(difficulty).unwrap();
            let target = Target::of_hashes(difficulty);
            let mut bytes = target.to_display_bytes();
            bytes.reverse();
            let at = Hash(bytes);
            assert!(target.is_met_by(&at) && monero_takes(&at, difficulty));
            // One more.
            let Some(carry) = bytes.iter().position(|byte| *byte != 0xff) else {
                assert_eq!(difficulty.get(), 1);
                return;
            };
            bytes[..carry].fill(0);
            bytes[carry] += 1;
            let above = Hash(bytes);
            assert!(!target.is_met_by(&above) && !monero_takes(&above, difficulty));
        };
        for difficulty in [
            1,
            2,
            3,
            255,
            256,
            1 << 32,
            400_000_000_000,
            1 << 64,
            u128::MAX,
        ] {
            case(difficulty);
        }
        assert_eq!(Target::of_hashes(NonZeroU128::MIN), Target::MAX);
    }

    #[test]
    fn the_halves_of_a_network_s_difficulty_make_one_number() {
        let case = |low, top, expected| {
            assert_eq!(network_difficulty(low, top).map(NonZeroU128::get), expected);
        };
        case(0, 0, None);
        case(1, 0, Some(1));
        case(u64::MAX, 0, Some(u64::MAX.into()));
        case(0, 1, Some(1 << 64));
        case(5, 2, Some((2 << 64) + 5));
        case(u64::MAX, u64::MAX, Some(u128::MAX));
    }

    proptest! {
        #[test]
        fn a_block_counts_exactly_where_monero_says_so(
            limbs: [u64; 4], shift in 0usize..256, difficulty in 1u128.., small in 0u32..128
        ) {
            let difficulty = NonZeroU128::new((difficulty >> small).max(1)).unwrap();
            let number = ruint::aliases::U256::from_limbs(limbs) >> shift;
            let hash = Hash(number.to_le_bytes());
            prop_assert_eq!(
                Target::of_hashes(difficulty).is_met_by(&hash),
                monero_takes(&hash, difficulty)
            );
        }

        #[test]
        fn a_miner_and_the_pool_hold_a_share_against_the_same_number(difficulty in 1u64.., shift in 0u32..64) {
            let difficulty = NonZeroU64::new((difficulty >> shift).max(1)).unwrap();
            for target in [ShareTarget::new(difficulty), ShareTarget::compact(difficulty)] {
                let miner = ShareTarget::read(target.as_bytes()).unwrap();
                prop_assert_eq!(miner.bound(), target.bound());
                // Never easier than was meant.
                prop_assert!(target.difficulty() >= difficulty);
                prop_assert!(target.bound() <= ShareTarget::new(difficulty).bound());
            }
        }

        #[test]
        fn a_share_counts_where_all_256_bits_say_so(limbs: [u64; 4], difficulty in 1u64.., shift in 0u32..64, easy in 0u32..64) {
            let difficulty = NonZeroU64::new((difficulty >> shift).max(1)).unwrap();
            let [a, b, c, d] = limbs;
            let hash = Hash(ruint::aliases::U256::from_limbs([a, b, c, d >> easy]).to_le_bytes());
            let target = ShareTarget::new(difficulty);
            prop_assert_eq!(target.is_met_by(&hash), target.target().is_met_by(&hash));
            // What meets the share's target is a proof of so much work by consensus' rule, too.
            if target.is_met_by(&hash) {
                prop_assert!(Target::of_hashes(difficulty.into()).is_met_by(&hash));
            }
        }
    }
}
