//! Target, difficulty and work, and the only conversions between them.
//!
//! The truth is the [`Target`], a 256-bit integer. A [`Difficulty`] is what a miner is told; it is
//! kept in steps of 2^-32 and with at most 53 significant bits, so the JSON number a miner reads is
//! exactly ours. [`Work`] is what a share is worth: the expected number of hashes behind it.

use std::{
    fmt,
    iter::Sum,
    num::{NonZeroU64, NonZeroU128},
    str::FromStr,
};

use pow::{Algorithm, Hash, ProofOfWork};
use ruint::aliases::{U256, U320};

use crate::decimal::{BadDecimal, Decimal};

/// A hash counts when it is not above this number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target(U256);

/// The expected number of hashes behind a proof: `2^256 / (target + 1)`, rounded down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Work(u128);

/// How hard a network makes its blocks, in the terms of its coin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NetworkDifficulty {
    /// Bitcoin's: the target in compact form, as headers carry it.
    Bits(u32),
    /// CryptoNote's and Vision's: a number of hashes.
    Hashes(NonZeroU64),
}

/// How many times harder than difficulty 1 of the algorithm, in steps of 2^-32.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Difficulty(u64);

/// Why a number is no target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotATarget {
    /// Zero can be met by no hash.
    #[error("target is zero")]
    Zero,
    /// The compact form has its sign bit set.
    #[error("compact target {0:08x} is negative")]
    Negative(u32),
    /// The compact form does not fit 256 bits.
    #[error("compact target {0:08x} overflows")]
    Overflow(u32),
    /// Its work would not fit 128 bits; no chain is near that.
    #[error("target is below 2^128")]
    TooHard,
    /// Not 64 hexadecimal digits.
    #[error("a target is 64 hexadecimal digits")]
    NotHex,
}

impl Target {
    /// Met by every hash.
    pub const MAX: Self = Self(U256::MAX);

    /// A target from the number itself. Targets below 2^128 are refused.
    fn new(number: U256) -> Result<Self, NotATarget> {
        if number.is_zero() {
            Err(NotATarget::Zero)
        } else if number < U256::from(1) << 128 {
            Err(NotATarget::TooHard)
        } else {
            Ok(Self(number))
        }
    }

    /// Decodes the `bits` of a header, as Bitcoin's `SetCompact` does.
    pub fn from_compact(bits: u32) -> Result<Self, NotATarget> {
        let exponent = bits >> 24;
        let mantissa = bits & 0x007f_ffff;
        if mantissa != 0 && bits & 0x0080_0000 != 0 {
            return Err(NotATarget::Negative(bits));
        }
        let number = if exponent <= 3 {
            U256::from(mantissa >> (8 * (3 - exponent)))
        } else {
            let shift = 8 * (exponent - 3);
            let bits_used = 32 - mantissa.leading_zeros();
            if mantissa != 0 && bits_used + shift > 256 {
                return Err(NotATarget::Overflow(bits));
            }
            U256::from(mantissa) << shift
        };
        Self::new(number)
    }

    /// Reads the `target` of a template: 64 hexadecimal digits, most significant first.
    pub fn from_hex(text: &str) -> Result<Self, NotATarget> {
        let number: Hash = text.parse().map_err(|_| NotATarget::NotHex)?;
        Self::new(U256::from_limbs(number.limbs()))
    }

    /// Reads what a miner suggests: 32 bytes, most significant first.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, NotATarget> {
        Self::new(U256::from_be_bytes(bytes))
    }

    /// The target of CryptoNote's rule, by which a hash counts if it does not overflow 256 bits when
    /// multiplied with the difficulty.
    pub fn of_hashes(difficulty: NonZeroU128) -> Self {
        Self(U256::MAX / U256::from(difficulty.get()))
    }

    /// The target of the hashes whose upper 64 bits are below this number.
    pub fn below_upper_bits(bound: NonZeroU64) -> Self {
        Self(U256::from(bound.get() - 1) << 192 | U256::MAX >> 64)
    }

    /// A share's target: that of the difficulty, or the network's where that is easier, so that
    /// every block is also a share.
    pub fn of_share(difficulty: Difficulty, proof: impl Into<ProofOfWork>, network: Self) -> Self {
        difficulty.target(proof).max(network)
    }

    /// `hash <= target`, as consensus has it: equality counts.
    pub fn is_met_by(self, hash: &Hash) -> bool {
        U256::from_limbs(hash.limbs()) <= self.0
    }

    /// The expected number of hashes to meet this target.
    pub fn work(self) -> Work {
        // 2^256 / (t + 1) = (2^256 - 1 - t) / (t + 1) + 1; the left side does not fit 256 bits.
        let work = match self.0.checked_add(U256::from(1)) {
            None => U256::from(1),
            Some(divisor) => (!self.0 / divisor) + U256::from(1),
        };
        Work(
            work.try_into()
                .expect("a target of at least 2^128 has at most 2^128 - 1 of work"),
        )
    }

    /// The number with the most significant byte first.
    pub fn to_display_bytes(self) -> [u8; 32] {
        self.0.to_be_bytes()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.to_display_bytes() {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({self})")
    }
}

impl NetworkDifficulty {
    /// What a block's hash has to meet.
    pub fn target(self) -> Result<Target, NotATarget> {
        match self {
            Self::Bits(bits) => Target::from_compact(bits),
            Self::Hashes(hashes) => Ok(Target::of_hashes(hashes.into())),
        }
    }

    /// The expected number of hashes behind a block.
    pub fn work(self) -> Result<Work, NotATarget> {
        match self {
            Self::Bits(bits) => Target::from_compact(bits).map(Target::work),
            Self::Hashes(hashes) => Ok(Work::from_hashes(hashes.get().into())),
        }
    }
}

impl Work {
    /// No work.
    pub const ZERO: Self = Self(0);

    /// An expected number of hashes.
    pub const fn from_hashes(hashes: u128) -> Self {
        Self(hashes)
    }

    /// The expected number of hashes.
    pub const fn hashes(self) -> u128 {
        self.0
    }

    /// The sum, or nothing when it does not fit.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// Work per second over `millis` milliseconds, rounded down: the one definition of hashrate.
    pub fn per_second(self, millis: u64) -> u128 {
        self.0.saturating_mul(1000) / u128::from(millis.max(1))
    }
}

impl Sum for Work {
    /// Panics past 2^128, which is 10^8 years of a network of 10^23 hashes per second.
    fn sum<I: Iterator<Item = Self>>(mut iter: I) -> Self {
        iter.try_fold(Self::ZERO, Self::checked_add)
            .expect("all work of all time fits 128 bits")
    }
}

/// The target of difficulty 2^-32. Difficulty 1 is 0xffff * 2^208 for SHA-256d, and 65,536 times easier for scrypt,
/// as every miner and every pool of these coins has it. For RandomX and VisionX it is one hash.
fn target_of_one_step(proof: ProofOfWork) -> U320 {
    let shift = match proof {
        ProofOfWork::Header(Algorithm::Sha256d) => 208,
        ProofOfWork::Header(Algorithm::Scrypt) => 224,
        ProofOfWork::RandomX | ProofOfWork::VisionX => return U320::from(U256::MAX) << 32_usize,
    };
    U320::from(0xffff) << (shift + 32)
}

impl Difficulty {
    /// The easiest difficulty there is: 2^-32.
    pub const MIN: Self = Self(1);

    /// The hardest one, 2^30: the work of such a share fits 63 bits, and at that difficulty a
    /// connection of 5 EH/s still sends a share a second.
    pub const MAX: Self = Self(1 << 62);

    /// Difficulty 1.
    pub const ONE: Self = Self(1 << 32);

    /// From steps of 2^-32, brought into [`MIN`](Self::MIN) to [`MAX`](Self::MAX) and rounded down
    /// to 53 significant bits.
    pub fn from_steps(steps: u128) -> Self {
        let steps = u64::try_from(steps)
            .unwrap_or(u64::MAX)
            .clamp(Self::MIN.0, Self::MAX.0);
        Self::keep_bits(steps, 53)
    }

    /// The number of steps of 2^-32.
    pub const fn steps(self) -> u64 {
        self.0
    }

    /// What a person wrote or a miner asked for. Not a number, zero and less are refused; what is
    /// out of range is brought into it.
    pub fn from_f64(number: f64) -> Option<Self> {
        if !number.is_finite() || number <= 0.0 {
            return None;
        }
        let steps = number * 4_294_967_296.0;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "positive; the cast saturates, and from_steps bounds the rest"
        )]
        Some(Self::from_steps(steps as u128))
    }

    /// The number for `mining.set_difficulty`: exact, as there are at most 53 significant bits.
    pub fn to_f64(self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "at most 53 significant bits")]
        let steps = self.0 as f64;
        steps / 4_294_967_296.0
    }

    /// Rounded down to two significant bits after the first (1, 1.25, 1.5, 1.75, 2, 2.5, ...): the
    /// ladder that vardiff walks, so that no proxy between us and the miner has to round.
    pub fn rounded_to_ladder(self) -> Self {
        Self::keep_bits(self.0, 3)
    }

    /// The target a miner at this difficulty has to meet, rounded down.
    pub fn target(self, proof: impl Into<ProofOfWork>) -> Target {
        let target = target_of_one_step(proof.into()) / U320::from(self.0);
        Target(U256::saturating_from(target))
    }

    /// The hardest difficulty whose target is not harder than `target`: what to tell a miner whose
    /// share difficulty is capped by the network's.
    pub fn at_most(target: Target, proof: impl Into<ProofOfWork>) -> Self {
        let steps = target_of_one_step(proof.into()) / U320::from(target.0);
        Self::from_steps(u128::try_from(steps).unwrap_or(u128::MAX))
    }

    fn keep_bits(steps: u64, bits: u32) -> Self {
        let dropped = (64 - steps.leading_zeros()).saturating_sub(bits);
        Self(steps >> dropped << dropped)
    }
}

/// From a decimal number such as `1000` or `0.00015`, exactly and without a float: `5e-7`, signs,
/// `inf` and zero are refused. What is out of range is brought into it.
impl FromStr for Difficulty {
    type Err = BadDecimal;

    fn from_str(text: &str) -> Result<Self, BadDecimal> {
        Ok(Self::from_steps(Decimal::parse(text)?.times(1 << 32)))
    }
}

impl fmt::Display for Difficulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_f64().fmt(f)
    }
}

impl fmt::Debug for Difficulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Difficulty({self})")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOTH: [Algorithm; 2] = [Algorithm::Sha256d, Algorithm::Scrypt];

    fn hash_of(number: U256) -> Hash {
        Hash(number.to_le_bytes())
    }

    #[test]
    fn a_difficulty_of_randomx_is_a_number_of_hashes() {
        for hashes in [1_u64, 2, 1000, 1 << 30] {
            let difficulty = Difficulty::from_steps(u128::from(hashes) << 32);
            let target = difficulty.target(ProofOfWork::RandomX);
            let network = NetworkDifficulty::Hashes(hashes.try_into().unwrap());
            assert_eq!(Ok(target), network.target());
            assert_eq!(
                Difficulty::at_most(target, ProofOfWork::RandomX),
                difficulty
            );
            assert_eq!(network.work(), Ok(Work::from_hashes(hashes.into())));
        }
        assert_eq!(Difficulty::MIN.target(ProofOfWork::RandomX), Target::MAX);
        let bits = NetworkDifficulty::Bits(0x1d00_ffff);
        assert_eq!(bits.work(), Ok(Work::from_hashes(0x1_0001_0001)));
        assert!(NetworkDifficulty::Bits(0).work().is_err());
    }

    #[test]
    fn compact_targets_decode_as_in_consensus() {
        #[track_caller]
        fn case(bits: u32, expected: Result<&str, NotATarget>) {
            assert_eq!(
                Target::from_compact(bits).map(|t| t.to_string()),
                expected.map(Into::into)
            );
        }
        case(
            0x1d00_ffff,
            Ok("00000000ffff0000000000000000000000000000000000000000000000000000"),
        );
        case(
            0x207f_ffff,
            Ok("7fffff0000000000000000000000000000000000000000000000000000000000"),
        );
        case(
            0x1e03_77ae,
            Ok("00000377ae000000000000000000000000000000000000000000000000000000"),
        );
        case(0x0000_0000, Err(NotATarget::Zero));
        case(0x01fe_dcba, Err(NotATarget::Negative(0x01fe_dcba)));
        case(0x0492_3456, Err(NotATarget::Negative(0x0492_3456)));
        case(0xff12_3456, Err(NotATarget::Overflow(0xff12_3456)));
        case(0x2201_0000, Err(NotATarget::Overflow(0x2201_0000)));
        case(0x0312_3456, Err(NotATarget::TooHard));
        assert!(Target::from_compact(0x2100_ffff).is_ok());
    }

    #[test]
    fn difficulty_one_is_that_of_every_miner() {
        let one = |algorithm| Difficulty::ONE.target(algorithm).to_string();
        assert_eq!(
            one(Algorithm::Sha256d),
            "00000000ffff0000000000000000000000000000000000000000000000000000"
        );
        assert_eq!(
            one(Algorithm::Scrypt),
            "0000ffff00000000000000000000000000000000000000000000000000000000"
        );
    }

    #[test]
    fn difficulty_one_of_bitcoin_is_about_two_to_the_32_of_work() {
        let work = Difficulty::ONE.target(Algorithm::Sha256d).work();
        assert_eq!(work.hashes(), 0x1_0001_0001);
        assert_eq!(Target::MAX.work(), Work::from_hashes(1));
    }

    #[test]
    fn the_hardest_share_has_work_of_63_bits() {
        for algorithm in BOTH {
            assert!(Difficulty::MAX.target(algorithm).work().hashes() < 1 << 63);
        }
    }

    #[test]
    fn numbers_that_are_no_difficulty_are_refused_and_the_rest_is_bounded() {
        for number in [f64::NAN, f64::INFINITY, -1.0, 0.0, -0.0] {
            assert_eq!(Difficulty::from_f64(number), None);
        }
        assert_eq!(Difficulty::from_f64(1e300), Some(Difficulty::MAX));
        assert_eq!(Difficulty::from_f64(1e-300), Some(Difficulty::MIN));
        assert_eq!(Difficulty::from_f64(0.5).unwrap().to_f64(), 0.5);
        assert_eq!(Difficulty::from_f64(65_535.75).unwrap().to_f64(), 65_535.75);
    }

    #[test]
    fn a_difficulty_is_read_from_decimals() {
        #[track_caller]
        fn case(text: &str, steps: u64) {
            assert_eq!(text.parse().map(Difficulty::steps), Ok(steps), "{text}");
        }
        case("1", 1 << 32);
        case("0.5", 1 << 31);
        case("65535.75", 281_473_902_968_832);
        // 0.00015 * 2^32 is 644,245.0944.
        case("0.00015", 644_245);
        case("0.0000000001", Difficulty::MIN.steps());
        case("9999999999999999999", Difficulty::MAX.steps());
        for text in ["", "0", "-1", "+1", "nan", "inf", "1e3", "0x10", "1."] {
            assert!(text.parse::<Difficulty>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_share_is_never_harder_than_a_block() {
        let network = Target::from_compact(0x207f_ffff).unwrap();
        for algorithm in BOTH {
            assert_eq!(
                Target::of_share(Difficulty::ONE, algorithm, network),
                network
            );
            let told = Difficulty::at_most(network, algorithm);
            assert!(told.target(algorithm) >= network);
        }
    }

    #[test]
    fn a29_hash_and_target_compare_as_their_digits_do() {
        let (share, network) = (
            Difficulty::from_steps(16).target(Algorithm::Sha256d),
            Target::from_compact(0x1d00_ffff).unwrap(),
        );
        for target in [share, network] {
            let one = U256::from(1);
            assert!(target.is_met_by(&hash_of(target.0 - one)));
            assert!(target.is_met_by(&hash_of(target.0)));
            assert!(!target.is_met_by(&hash_of(target.0 + one)));
        }
        // Numbers of one length compare as their digits do, most significant first.
        let mut state = 1u64;
        let mut number = |like: Option<U256>| {
            let limbs = std::array::from_fn(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                state
            });
            match like {
                // Alike in all but one limb, so that each limb decides once in a while.
                Some(like) if state >> 63 == 1 => {
                    let mut alike = *like.as_limbs();
                    let limb = usize::from((state >> 61).to_le_bytes()[0] & 3);
                    alike[limb] = limbs[limb];
                    U256::from_limbs(alike)
                }
                _ => U256::from_limbs(limbs),
            }
        };
        let mut met = 0;
        for _ in 0..100_000 {
            let target = number(None);
            let hash = number(Some(target));
            let expected = hash.to_be_bytes::<32>() <= target.to_be_bytes::<32>();
            assert_eq!(
                Target(target).is_met_by(&hash_of(hash)),
                expected,
                "{hash:x} {target:x}"
            );
            met += u32::from(expected);
        }
        assert!((10_000..90_000).contains(&met), "{met}");
    }

    #[test]
    fn a30_a_target_is_never_easier_than_what_was_said() {
        for number in [
            1e-9,
            0.001,
            0.5,
            1.0,
            931.1,
            65_535.99,
            9_007_199_254_740_993.0,
            1e300,
        ] {
            for algorithm in BOTH {
                let difficulty = Difficulty::from_f64(number).unwrap();
                assert_eq!(Difficulty::from_f64(difficulty.to_f64()), Some(difficulty));
                let exact = target_of_one_step(algorithm.into());
                let steps = U320::from(difficulty.steps());
                let target = U320::from(difficulty.target(algorithm).0);
                // The largest integer that is not easier, and no other.
                assert!(target * steps <= exact, "{number}");
                let is_all = target == U320::from(U256::MAX);
                assert!(
                    is_all || (target + U320::from(1)) * steps > exact,
                    "{number}"
                );
            }
        }
    }

    #[test]
    fn a31_a_million_shares_add_up_where_floats_do_not() {
        let mut sum = Work::from_hashes(1 << 53);
        for _ in 0..1_000_000 {
            sum = sum.checked_add(Work::from_hashes(1)).unwrap();
        }
        assert_eq!(sum.hashes(), (1 << 53) + 1_000_000);
    }

    fn any_target() -> impl Strategy<Value = Target> {
        (any::<[u64; 4]>(), 0usize..128).prop_map(|(limbs, shift)| {
            Target(U256::from_limbs(limbs) >> shift | U256::from(1) << 128)
        })
    }

    proptest! {
        #[test]
        fn a29_equality_meets_the_target_and_one_more_does_not(target in any_target()) {
            prop_assert!(target.is_met_by(&hash_of(target.0)));
            prop_assert!(target.is_met_by(&hash_of(target.0 - U256::from(1))));
            if let Some(above) = target.0.checked_add(U256::from(1)) {
                prop_assert!(!target.is_met_by(&hash_of(above)));
            }
        }

        #[test]
        fn work_agrees_with_the_wide_division(target in any_target()) {
            let wide = (U320::from(1) << 256) / (U320::from(target.0) + U320::from(1));
            prop_assert_eq!(U320::from(target.work().hashes()), wide);
            prop_assert_eq!(
                bitcoin::Target::from_be_bytes(target.to_display_bytes()).to_work().to_be_bytes(),
                U256::from(target.work().hashes()).to_be_bytes()
            );
        }

        #[test]
        fn a29_the_order_of_hashes_is_the_order_of_numbers(a in any::<[u64; 4]>(), b in any::<[u64; 4]>()) {
            let (a, b) = (U256::from_limbs(a), U256::from_limbs(b));
            prop_assert_eq!(hash_of(a).cmp(&hash_of(b)), a.cmp(&b));
        }

        #[test]
        fn a30_what_is_told_is_what_is_checked(steps in 1u64..=1 << 62, scrypt: bool) {
            let algorithm = if scrypt { Algorithm::Scrypt } else { Algorithm::Sha256d };
            let difficulty = Difficulty::from_steps(steps.into());
            prop_assert_eq!(Difficulty::from_f64(difficulty.to_f64()), Some(difficulty));
            let told = Difficulty::at_most(difficulty.target(algorithm), algorithm);
            prop_assert!(told <= Difficulty::MAX && told >= Difficulty::MIN);
            prop_assert!(told.target(algorithm) >= difficulty.target(algorithm));
        }

        #[test]
        fn harder_difficulties_have_smaller_targets(a in 1u64..=1 << 62, b in 1u64..=1 << 62) {
            let (a, b) = (Difficulty::from_steps(a.into()), Difficulty::from_steps(b.into()));
            prop_assert_eq!(a.cmp(&b), b.target(Algorithm::Sha256d).cmp(&a.target(Algorithm::Sha256d)));
        }

        #[test]
        fn the_ladder_rounds_down_by_less_than_a_quarter(steps in 1u64..=1 << 62) {
            let exact = Difficulty::from_steps(steps.into());
            let rounded = exact.rounded_to_ladder();
            prop_assert!(rounded <= exact && u128::from(rounded.0) * 4 > u128::from(exact.0) * 3);
        }

        #[test]
        fn a31_the_sum_of_work_does_not_depend_on_order_or_grouping(
            mut works in prop::collection::vec(any::<u64>(), 1..50), cut in any::<prop::sample::Index>()
        ) {
            let sum = |works: &[u64]| works.iter().map(|w| Work(u128::from(*w))).sum::<Work>();
            let whole = sum(&works);
            let (a, b) = works.split_at(cut.index(works.len()));
            prop_assert_eq!(sum(a).checked_add(sum(b)), Some(whole));
            works.reverse();
            prop_assert_eq!(sum(&works), whole);
        }
    }
}
