//! Paid for each share, whatever blocks are found: a share of work `w` is worth `R * w / D`, where
//! `R` is what a block is expected to pay at that height and `D` the work that a block takes. The
//! pool's reserve pays, and gets the blocks.
//!
//! A share is worth less than the smallest unit as a rule, so what a miner is owed is kept in
//! fractions of it, of 2^-64; below that is rounded down, to the reserve. FPPS is the same with the
//! fees of the last blocks in `R` ([`average`]).
//!
//! What a block pays and takes is known from the templates ([`ExpectedBlock`]), before it is mined.

use ruint::aliases::{U256, U320};

use super::fees::Fees;
use crate::{Amount, AnyTemplate, NetworkDifficulty, Work, template::TemplateKind};

/// FPPS reckons with the fees of so many blocks: a day of Bitcoin's.
pub const AVERAGED_BLOCKS: u32 = 144;

/// What a block is expected to pay and to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpectedBlock {
    /// Its height.
    pub height: u32,
    /// How hard it is.
    pub network: NetworkDifficulty,
    /// What it pays beside fees.
    pub subsidy: Amount,
    /// The fees; nothing if no template with transactions was seen.
    pub fees: Option<Amount>,
}

/// What shares are worth at a height.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    reward: Amount,
    block: Work,
}

/// What somebody is owed: whole units, and a fraction below one that waits for more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owed {
    whole: Amount,
    /// In units of 2^-64.
    fraction: u64,
}

/// More than any coin has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what is owed is more than any coin has")]
pub struct TooMuchOwed;

impl ExpectedBlock {
    /// As a template says; nothing if its fees are more than it pays. CryptoNote's daemons do not tell
    /// fees apart: there, all that a block pays is its subsidy.
    pub fn of(template: &AnyTemplate) -> Option<Self> {
        let template = match template {
            AnyTemplate::Bitcoin(template) => template,
            AnyTemplate::Vision(vision) => {
                let body = vision.body();
                return Some(Self {
                    height: body.height,
                    network: template.network(),
                    subsidy: body.value.checked_sub(body.fees)?,
                    fees: Some(body.fees),
                });
            }
            AnyTemplate::CryptoNote(template) => {
                return Some(Self {
                    height: template.height(),
                    network: template.network(),
                    subsidy: template.reward(),
                    fees: Some(Amount::ZERO),
                });
            }
        };
        Some(Self {
            height: template.height,
            network: NetworkDifficulty::Bits(template.bits),
            subsidy: template.value.checked_sub(template.fees)?,
            fees: match template.kind {
                TemplateKind::Full => Some(template.fees),
                TemplateKind::SubsidyOnly => None,
            },
        })
    }

    /// At a height for which no template was kept, from the nearest below and above it: the one
    /// whose shares are worth more, so that nobody loses what the pool has missed. Nothing while no
    /// template is above it: its own may come yet.
    pub fn between(below: Option<Self>, above: Option<Self>) -> Option<Self> {
        let above = above?;
        let Some(below) = below else {
            return Some(above);
        };
        let worth = |block: Self, other: Self| {
            U256::from(block.subsidy.units()) * U256::from(other.work().hashes())
        };
        Some(if worth(below, above) > worth(above, below) {
            below
        } else {
            above
        })
    }

    /// What shares are worth where such a block pays its subsidy and so much in fees; nothing if its
    /// difficulty is none.
    pub fn price(self, fees: Amount) -> Option<Price> {
        Price::new(self.subsidy.checked_add(fees)?, self.work())
    }

    /// The work that it takes; none if its difficulty is none.
    fn work(self) -> Work {
        self.network.work().unwrap_or(Work::ZERO)
    }
}

impl Price {
    /// A block is expected to pay `reward` and takes `block` hashes; nothing if it takes none.
    pub fn new(reward: Amount, block: Work) -> Option<Self> {
        (block > Work::ZERO).then_some(Self { reward, block })
    }

    /// What `work` is worth to the miner, and beside it to each recipient of fees, in the order of
    /// the list. None of them is rounded up.
    pub fn of(self, work: Work, fees: &Fees) -> Result<(Owed, Vec<Owed>), TooMuchOwed> {
        let mut parts = fees.weights();
        let miner = parts.pop().expect("the last part is the miners'");
        let owed = |part: u128| self.part(work, part);
        let recipients = parts.into_iter().map(owed).collect::<Result<_, _>>()?;
        Ok((owed(miner)?, recipients))
    }

    /// So many ten-thousandths of the worth of `work`.
    fn part(self, work: Work, part: u128) -> Result<Owed, TooMuchOwed> {
        // 64 + 128 + 14 + 64 bits.
        let value = U320::from(self.reward.units()) * U320::from(work.hashes()) * U320::from(part);
        let fractions: U320 =
            (value << 64_usize) / (U320::from(self.block.hashes()) * U320::from(10_000));
        let whole = u64::try_from(fractions >> 64_usize).map_err(|_| TooMuchOwed)?;
        Ok(Owed {
            whole: Amount::from_units(whole),
            fraction: fractions.as_limbs()[0],
        })
    }
}

impl Owed {
    /// As it was kept: whole units, and a number of 2^-64 of one.
    pub const fn new(whole: Amount, fraction: u64) -> Self {
        Self { whole, fraction }
    }

    /// The sum.
    pub fn plus(self, other: Self) -> Result<Self, TooMuchOwed> {
        let (fraction, is_more) = self.fraction.overflowing_add(other.fraction);
        let whole = self
            .whole
            .checked_add(other.whole)
            .and_then(|whole| whole.checked_add(Amount::from_units(u64::from(is_more))));
        Ok(Self {
            whole: whole.ok_or(TooMuchOwed)?,
            fraction,
        })
    }

    /// Takes the whole units out; the fraction stays.
    pub fn take(&mut self) -> Amount {
        std::mem::take(&mut self.whole)
    }

    /// The whole units.
    pub fn whole(self) -> Amount {
        self.whole
    }

    /// What is left below one unit, in 2^-64 of it.
    pub fn fraction(self) -> u64 {
        self.fraction
    }
}

/// The average of the fees of the last blocks, rounded down; zero if there are none.
pub fn average(fees: &[Amount]) -> Amount {
    let sum: u128 = fees.iter().map(|fee| u128::from(fee.units())).sum();
    let count = u128::try_from(fees.len().max(1)).expect("a list is shorter than 2^128");
    Amount::from_units(u64::try_from(sum / count).expect("an average is not above the largest"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use pow::Hash;
    use proptest::prelude::*;

    use super::{super::fees::Fee, *};
    use crate::{
        Target, Template,
        template::{Room, Transactions},
    };

    fn fees() -> Fees {
        let fee = |name: &str, percent: &str| Fee {
            name: name.into(),
            percent: percent.parse().unwrap(),
        };
        Fees::new(vec![fee("pool", "1"), fee("foundation", "1")], "foundation").unwrap()
    }

    fn work(hashes: u128) -> Work {
        Work::from_hashes(hashes)
    }

    #[test]
    fn a_block_s_work_is_worth_a_block() {
        let price = Price::new(Amount::from_units(312_500_000), work(1 << 78)).unwrap();
        let (miner, recipients) = price.of(work(1 << 78), &fees()).unwrap();
        assert_eq!(miner, Owed::new(Amount::from_units(306_250_000), 0));
        assert_eq!(recipients, [Owed::new(Amount::from_units(3_125_000), 0); 2]);
        // Seed 003: a share of 1 in 1,000 of a reward of 2.0 at 2 %: 0.00196.
        let price = Price::new(Amount::from_units(200_000_000), work(1000)).unwrap();
        let (miner, _) = price.of(work(1), &fees()).unwrap();
        assert_eq!(miner, Owed::new(Amount::from_units(196_000), 0));
        assert_eq!(Price::new(Amount::ZERO, Work::ZERO), None);
    }

    #[test]
    fn what_is_below_a_unit_waits_for_more() {
        let price = Price::new(Amount::from_units(1), work(3)).unwrap();
        let none = Fees::new(vec![fees().list()[1].clone()], "foundation").unwrap();
        let mut owed = Owed::default();
        for _ in 0..300 {
            let (miner, _) = price.of(work(1), &none).unwrap();
            assert_eq!(miner.whole(), Amount::ZERO);
            owed = owed.plus(miner).unwrap();
        }
        // 99 units less what 300 times below 2^-64 of a unit makes.
        assert_eq!(owed.take(), Amount::from_units(98));
        assert!(owed.fraction() > u64::MAX - 300);
        assert_eq!(owed.take(), Amount::ZERO);
    }

    #[test]
    fn a84_more_than_any_coin_has_is_an_error() {
        let price = Price::new(Amount::from_units(u64::MAX), work(1)).unwrap();
        assert_eq!(price.of(work(u128::MAX), &fees()), Err(TooMuchOwed));
        let most = Owed::new(Amount::from_units(u64::MAX), u64::MAX);
        assert_eq!(most.plus(Owed::new(Amount::ZERO, 1)), Err(TooMuchOwed));
    }

    #[test]
    fn an_average_of_fees() {
        let amounts = |list: &[u64]| {
            list.iter()
                .map(|u| Amount::from_units(*u))
                .collect::<Vec<_>>()
        };
        assert_eq!(average(&[]), Amount::ZERO);
        assert_eq!(average(&amounts(&[1, 2])), Amount::from_units(1));
        assert_eq!(
            average(&amounts(&[u64::MAX, u64::MAX])),
            Amount::from_units(u64::MAX)
        );
    }

    fn expected(height: u32, bits: u32, subsidy: u64) -> ExpectedBlock {
        ExpectedBlock {
            height,
            network: NetworkDifficulty::Bits(bits),
            subsidy: Amount::from_units(subsidy),
            fees: None,
        }
    }

    #[test]
    fn a_height_that_was_missed_is_worth_what_its_neighbours_are() {
        let (easy, hard) = (0x1d00_ffff, 0x1c00_ffff);
        let below = expected(9, easy, 50);
        #[track_caller]
        fn case(
            below: Option<ExpectedBlock>,
            above: Option<ExpectedBlock>,
            chosen: Option<ExpectedBlock>,
        ) {
            assert_eq!(ExpectedBlock::between(below, above), chosen);
        }
        case(None, None, None);
        case(Some(below), None, None);
        case(None, Some(below), Some(below));
        // Across a halving and across a new difficulty: the dearer one.
        for (bits, subsidy) in [(easy, 25), (hard, 50)] {
            let above = expected(11, bits, subsidy);
            case(Some(below), Some(above), Some(below));
            case(Some(above), Some(below), Some(below));
        }
        // Twice the subsidy is more than a little more work.
        let harder = expected(9, 0x1d00_fffe, 50);
        let halved = expected(11, easy, 25);
        case(Some(harder), Some(halved), Some(harder));
        case(Some(halved), Some(harder), Some(harder));
    }

    #[test]
    fn a_template_says_what_a_block_is_expected_to_pay() {
        let template = |kind, value, fees| Template {
            height: 9,
            version: 4,
            previous: Hash::default(),
            bits: 0x1d00_ffff,
            target: Target::MAX,
            time: 0,
            min_time: 0,
            value: Amount::from_units(value),
            fees: Amount::from_units(fees),
            witness_commitment: None,
            coinbase_flags: vec![],
            transactions: Transactions::default(),
            tail: String::new(),
            room: Room::EMPTY_BLOCK,
            kind,
        };
        let block = ExpectedBlock {
            fees: Some(Amount::from_units(7)),
            ..expected(9, 0x1d00_ffff, 50)
        };
        let full = template(TemplateKind::Full, 57, 7);
        assert_eq!(
            ExpectedBlock::of(&AnyTemplate::Bitcoin(Arc::new(full))),
            Some(block)
        );
        // No fee was seen, which is not the same as one of nothing.
        let bare = template(TemplateKind::SubsidyOnly, 50, 0);
        assert_eq!(
            ExpectedBlock::of(&AnyTemplate::Bitcoin(Arc::new(bare))),
            Some(expected(9, 0x1d00_ffff, 50))
        );
        let absurd = template(TemplateKind::Full, 6, 7);
        assert_eq!(
            ExpectedBlock::of(&AnyTemplate::Bitcoin(Arc::new(absurd))),
            None
        );
    }

    #[test]
    fn an_expected_block_has_its_price() {
        let block = expected(9, 0x1d00_ffff, 5_000_000_000);
        let fees = Amount::from_units(7);
        let price = block.price(fees).unwrap();
        let hashes = Target::from_compact(0x1d00_ffff).unwrap().work();
        assert_eq!(
            Some(price),
            Price::new(Amount::from_units(5_000_000_007), hashes)
        );
        // Bits that are none, and more than an amount holds.
        assert_eq!(expected(9, 0, 50).price(fees), None);
        assert_eq!(expected(9, 0x1d00_ffff, u64::MAX).price(fees), None);
    }

    proptest! {
        /// All parts together never exceed the worth, and miss it by less than a unit of 2^-64 each.
        #[test]
        fn a83_the_parts_are_the_whole(reward in 1_u64..1 << 50, w in 1_u128..1 << 80) {
            let price = Price::new(Amount::from_units(reward), work(1 << 79)).unwrap();
            let (mut sum, recipients) = price.of(work(w), &fees()).unwrap();
            for owed in recipients {
                sum = sum.plus(owed).unwrap();
            }
            let worth = (U320::from(reward) * U320::from(w)) << 64_usize;
            let worth = worth / U320::from(1_u128 << 79);
            let given = (U320::from(sum.whole().units()) << 64_usize) + U320::from(sum.fraction());
            prop_assert!(given <= worth && worth - given < U320::from(3));
        }
    }
}
