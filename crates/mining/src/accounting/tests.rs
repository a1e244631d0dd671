//! Rewards as the seeds split them, as they should be split, and a miner that tries to hop.

use proptest::prelude::*;

use super::*;
use crate::Scheme;

/// Fees by name and percent; what cannot be split goes to the last.
fn fees(list: &[(&str, &str)]) -> Fees {
    let fee = |(name, percent): &(&str, &str)| Fee {
        name: (*name).into(),
        percent: percent.parse().unwrap(),
    };
    Fees::new(list.iter().map(fee).collect(), list.last().unwrap().0).unwrap()
}

fn amounts(units: &[u64]) -> Vec<Amount> {
    units.iter().copied().map(Amount::from_units).collect()
}

fn credits(reward: u64, fees: &Fees, work: &[u128]) -> Credits<usize> {
    let work = work.iter().copied().map(Work::from_hashes).enumerate();
    Credits::new(Amount::from_units(reward), fees, work).unwrap()
}

fn of_miners(credits: &Credits<usize>) -> Vec<Amount> {
    credits
        .miners()
        .iter()
        .map(|credit| credit.amount)
        .collect()
}

#[test]
fn the_vision_pool_s_own_example() {
    let fees = fees(&[("pool", "2"), ("foundation", "1")]);
    let credits = credits(3_200_000_000, &fees, &[70, 30]);
    assert_eq!(credits.fees(), amounts(&[64_000_000, 32_000_000]));
    assert_eq!(of_miners(&credits), amounts(&[2_172_800_000, 931_200_000]));
}

/// Seed 001 rounds every part down and gives the dust to the foundation; here whoever is nearest
/// to the next unit gets it. Nobody gets less than by that rule, and nothing vanishes by either.
#[test]
fn dust_goes_to_whom_it_belongs() {
    let fees = fees(&[("pool", "1.5"), ("foundation", "1")]);
    let credits = credits(1_000_003, &fees, &[1, 1, 1]);
    assert_eq!(credits.fees(), amounts(&[15_000, 10_000]));
    assert_eq!(of_miners(&credits), amounts(&[325_001, 325_001, 325_001]));
    let (foundation, pool) = (1_000_003_u64 * 100 / 10_000, 1_000_003_u64 * 150 / 10_000);
    let each = (1_000_003 - foundation - pool) / 3;
    for credit in credits.miners() {
        assert!(credit.amount.units() >= each);
    }
}

/// Seed 003: 30, 50 and 20 of 100 shares, 1 % fee, a reward of 2.0.
#[test]
fn the_chiral_pool_s_example() {
    let fees = fees(&[("pool", "1")]);
    let credits = credits(200_000_000, &fees, &[30, 50, 20]);
    assert_eq!(credits.fees(), amounts(&[2_000_000]));
    assert_eq!(
        of_miners(&credits),
        amounts(&[59_400_000, 99_000_000, 39_600_000])
    );
}

#[test]
fn a85_a_reward_without_work_is_not_lost() {
    let fees = fees(&[("pool", "1.5"), ("foundation", "1")]);
    for work in [&[][..], &[0, 0]] {
        let credits = credits(1000, &fees, work);
        assert_eq!(credits.fees(), amounts(&[15, 985]));
        assert!(credits.miners().is_empty());
    }
}

#[test]
fn a_pool_without_a_fee_and_one_that_takes_all() {
    let none = fees(&[("foundation", "0")]);
    assert_eq!(of_miners(&credits(7, &none, &[1, 1])), amounts(&[4, 3]));
    let all = fees(&[("foundation", "100")]);
    let taken = credits(7, &all, &[1, 1]);
    assert_eq!(taken.fees(), amounts(&[7]));
    assert_eq!(of_miners(&taken), amounts(&[0, 0]));
}

#[test]
fn a84_work_past_all_bounds_is_refused() {
    let fees = fees(&[("foundation", "1")]);
    let work = [(0, Work::from_hashes(u128::MAX)), (1, Work::from_hashes(1))];
    assert_eq!(Credits::new(Amount::from_units(1), &fees, work), None);
    assert_eq!(
        credits(u64::MAX, &fees, &[1, 2]).sum(),
        Some(Amount::from_units(u64::MAX))
    );
}

proptest! {
    #[test]
    fn a83_credits_and_fees_are_the_reward(
        reward: u64,
        percents in prop::collection::vec(0_u16..1000, 1..5),
        work in prop::collection::vec(0_u128..1 << 100, 0..200),
    ) {
        let fee = |(number, hundredths): (usize, &u16)| Fee {
            name: format!("fee{number}"),
            percent: Percent::from_hundredths(*hundredths).unwrap(),
        };
        let list = percents.iter().enumerate().map(fee).collect();
        let fees = Fees::new(list, "fee0").unwrap();
        let credits = credits(reward, &fees, &work);
        prop_assert_eq!(credits.sum(), Some(Amount::from_units(reward)));
        let some_work = work.iter().any(|work| *work > 0);
        for (place, (amount, fee)) in credits.fees().iter().zip(fees.list()).enumerate() {
            let due = u128::from(reward) * u128::from(fee.percent.hundredths());
            let got = u128::from(amount.units()) * 10_000;
            prop_assert!(got.abs_diff(due) < 10_000 || place == 0 && !some_work);
        }
    }
}

/// Numbers that look random and are the same in each run.
struct Random(u64);

impl Random {
    /// True once in `times`.
    fn one_in(&mut self, times: u64) -> bool {
        // splitmix64, <https://prng.di.unimi.it/splitmix64.c>
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = self.0;
        number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (number ^ (number >> 31)).is_multiple_of(times)
    }
}

const HONEST: u32 = 0;
const HOPPER: u32 = 1;
/// Shares that a block takes on average.
const SHARES_A_BLOCK: u64 = 20;
const REWARD: u64 = 1_000_000;

/// What the hopper gets for a share, in thousandths of what an honest miner gets, over so many
/// blocks. It mines here only while the round is young, and as much again as all others.
fn hopping(blocks: u32, scheme: Scheme) -> u128 {
    let mut random = Random(1);
    let fees = fees(&[("foundation", "0")]);
    let block = Work::from_hashes(SHARES_A_BLOCK.into());
    // Newest last; a share is one hash here.
    let mut shares: Vec<u32> = Vec::new();
    let mut round = 0;
    let (mut mined, mut earned) = ([0_u128; 2], [0_u128; 2]);
    let mut found = 0;
    while found < blocks {
        for miner in [HONEST, HOPPER] {
            // Below 43.5 % of a round hopping pays best (Rosenfeld, section 3.2).
            if miner == HOPPER && round * 1000 > SHARES_A_BLOCK * 435 {
                continue;
            }
            shares.push(miner);
            round += 1;
            mined[usize::try_from(miner).unwrap()] += 1;
            if !random.one_in(SHARES_A_BLOCK) {
                continue;
            }
            found += 1;
            let bucket = |miner: &u32| Bucket {
                work: vec![(*miner, Work::from_hashes(1))],
            };
            let newest_first = shares.iter().rev().map(bucket);
            let window = match scheme {
                Scheme::Pplns => Window::new(Multiple::DEFAULT.times(block), newest_first),
                _ => {
                    let round = newest_first.take(usize::try_from(round).unwrap());
                    Window::new(Work::from_hashes(u128::MAX), round).map(Window::into_round)
                }
            };
            let work = window.unwrap().work().clone();
            let credits = Credits::new(Amount::from_units(REWARD), &fees, work).unwrap();
            for credit in credits.miners() {
                earned[usize::try_from(credit.miner).unwrap()] += u128::from(credit.amount.units());
            }
            round = 0;
            let kept = shares.len().min(1000);
            shares.drain(..shares.len() - kept);
        }
    }
    (earned[1] * mined[0] * 1000 / mined[1]) / earned[0]
}

/// With PPLNS a hopper earns for its work what everyone does; with PROP it earns more, and
/// `docs/accounting.md` says how much.
#[test]
fn a86_hopping_gains_nothing_with_pplns() {
    let pplns = hopping(100_000, Scheme::Pplns);
    assert!((995..=1005).contains(&pplns), "{pplns} thousandths");
    let prop = hopping(100_000, Scheme::Prop);
    println!("PROP pays a hopper {prop} thousandths of what it pays others");
    assert!(prop > 1100, "{prop} thousandths");
}
