//! Targets in their compact form, and the work behind them, as 256-bit integers.
//!
//! Called by `check` for every header, by `chain` to add up work, by `params` to retarget. A compact
//! form that is negative, zero or too large for 256 bits has no target: such a header has no proof.

use bitcoin::{CompactTarget, Target, block::Header, consensus};
use pow::Algorithm;
use ruint::aliases::U256;

/// The target of a compact form, `None` when it is zero, negative or overflows
/// (`arith_uint256::SetCompact` in Bitcoin Core).
pub(crate) fn from_compact(bits: CompactTarget) -> Option<U256> {
    let bits = bits.to_consensus();
    let (size, mantissa) = (bits >> 24, bits & 0x007f_ffff);
    let negative = bits & 0x0080_0000 != 0;
    let overflow = size > 34 || (mantissa > 0xff && size > 33) || (mantissa > 0xffff && size > 32);
    if mantissa == 0 || negative || overflow {
        return None;
    }
    let mantissa = U256::from(mantissa);
    let target = if size <= 3 {
        mantissa >> (8 * (3 - size) as usize)
    } else {
        mantissa << (8 * (size - 3) as usize)
    };
    (!target.is_zero()).then_some(target)
}

/// The largest compact form that is not above `target`.
pub(crate) fn to_compact(target: U256) -> CompactTarget {
    Target::from_be_bytes(target.to_be_bytes()).to_compact_lossy()
}

/// The number of hashes a solution takes on average: `2^256 / (target + 1)`.
pub(crate) fn work(target: U256) -> U256 {
    match target.checked_add(U256::ONE) {
        // 2^256 does not fit 256 bits; (2^256 - d) / d + 1 is the same quotient.
        Some(divisor) => (!target / divisor).saturating_add(U256::ONE),
        None => U256::ONE,
    }
}

/// A small number as a large one.
pub(crate) fn number(small: u32) -> U256 {
    U256::from(small)
}

/// The 80 bytes that are hashed.
pub(crate) fn header_bytes(header: &Header) -> [u8; 80] {
    consensus::serialize(header)
        .try_into()
        .expect("a header is 80 bytes long")
}

/// The proof-of-work hash of a header as a number.
pub(crate) fn proof(algorithm: Algorithm, header: &Header) -> U256 {
    U256::from_limbs(algorithm.hash(&header_bytes(header)).limbs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compact_forms_without_a_target_have_none() {
        for bits in [
            0,
            0x0080_0000,
            0x2080_ffff,
            0x2300_0001,
            0x2200_0100,
            0x0100_7fff,
            0xff7f_ffff,
        ] {
            assert_eq!(
                from_compact(CompactTarget::from_consensus(bits)),
                None,
                "{bits:08x}"
            );
        }
        let regtest = from_compact(CompactTarget::from_consensus(0x207f_ffff)).unwrap();
        assert_eq!(regtest, U256::from(0x7f_ffff) << 232);
        assert_eq!(to_compact(regtest).to_consensus(), 0x207f_ffff);
    }

    #[test]
    fn work_is_the_expected_number_of_hashes() {
        assert_eq!(work(U256::from(0x7f_ffff) << 232), U256::from(2));
        assert_eq!(work(U256::MAX), U256::ONE);
        // Difficulty 1 is 2^32 + 2^16 + 1 hashes.
        assert_eq!(
            work(U256::from(0xffff) << 208),
            U256::from(0x1_0001_0001_u64)
        );
    }
}
