//! What the books should say, computed the plain way: all shares in a list, all blocks in a list, every
//! balance added up anew. It calls nothing of what it is compared with.

use std::collections::{BTreeMap, BTreeSet};

use bitcoin::BlockHash;
use mining::payout::BatchState;

use super::{MATURITY, POOL_FEE, WINDOW, address_of, fees, payments::Seen};

/// The part of a reward in hundredths of a percent that is not the miners'.
const WHOLE: u64 = 10_000;
/// A share that is not written by then never comes.
const WRITTEN_WITHIN_MS: i64 = 60_000;
/// Mature blocks are looked at until they are so many times as deep as that takes, and the last so many
/// blocks may be orphans that come back.
const LOOKED_AT_TIMES: i64 = 3;
const ORPHANS: usize = 50;

/// Amounts by account, posted and pending.
pub(super) type Balances = BTreeMap<String, (i128, i128)>;

/// A way of being paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    Pplns,
    Prop,
    Solo,
}

/// Where a block stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stand {
    Submitted,
    Immature,
    Mature,
    Orphaned,
}

#[derive(Clone, Debug)]
pub(super) struct Share {
    /// Its place among [`super::WORKERS`].
    pub(super) worker: usize,
    pub(super) work: u128,
    pub(super) time_ms: i64,
    /// The block it is, if it is one.
    pub(super) block: Option<BlockHash>,
}

/// The shares of a way of being paid, in their order, and where a stretch of them ends that was added up.
#[derive(Debug, Default)]
struct Log {
    shares: Vec<Share>,
    ends: BTreeSet<usize>,
    added_up: usize,
    /// The pool's own fees, and how many shares there were when they were changed to that.
    fees: Vec<(usize, u64)>,
}

#[derive(Debug)]
pub(super) struct Block {
    pub(super) hash: BlockHash,
    pub(super) height: u32,
    pub(super) reward: u64,
    pub(super) way: Way,
    /// Who found it, by its place among the workers.
    pub(super) worker: usize,
    pub(super) found_ms: i64,
    pub(super) stand: Stand,
    confirmations: i64,
    /// The stand that it was booked in.
    pub(super) booked: Option<Stand>,
    /// How many shares were before the end of what it pays for, its own among them.
    end: Option<usize>,
    /// Who gets what, once that was worked out.
    parts: Option<Vec<(String, u64)>>,
    is_entered: bool,
    pub(super) is_posted: bool,
    is_charged: bool,
}

/// All that is known.
#[derive(Debug, Default)]
pub(super) struct Reference {
    logs: BTreeMap<Way, Log>,
    pub(super) blocks: Vec<Block>,
    pub(super) payouts: BTreeMap<u64, Seen>,
    /// Payouts that a person gave back.
    pub(super) by_hand: BTreeSet<u64>,
}

impl Block {
    pub(super) fn new(
        (hash, height, reward): (BlockHash, u32, u64),
        way: Way,
        worker: usize,
        found_ms: i64,
    ) -> Self {
        Self {
            hash,
            height,
            reward,
            way,
            worker,
            found_ms,
            stand: Stand::Submitted,
            confirmations: 0,
            booked: None,
            end: None,
            parts: None,
            is_entered: false,
            is_posted: false,
            is_charged: false,
        }
    }

    pub(super) fn is_located(&self) -> bool {
        self.end.is_some()
    }

    /// What the chain makes of it, one step at a time.
    fn follow(&mut self, confirmations: i64) {
        let mature = i64::from(MATURITY);
        self.stand = match self.stand {
            _ if confirmations < 0 => Stand::Orphaned,
            Stand::Mature => Stand::Mature,
            Stand::Orphaned => Stand::Immature,
            _ if confirmations >= mature => Stand::Mature,
            _ => Stand::Immature,
        };
        self.confirmations = confirmations.max(0);
    }
}

impl Reference {
    pub(super) fn append(&mut self, way: Way, shares: impl IntoIterator<Item = Share>) {
        self.logs.entry(way).or_default().shares.extend(shares);
    }

    pub(super) fn add_up(&mut self) {
        for log in self.logs.values_mut() {
            if log.added_up < log.shares.len() {
                log.added_up = log.shares.len();
                log.ends.insert(log.added_up);
            }
        }
    }

    /// The pool's own fee changes.
    pub(super) fn change_fee(&mut self, pool_fee: u64) {
        for way in [Way::Pplns, Way::Prop] {
            let log = self.logs.entry(way).or_default();
            log.fees.push((log.shares.len(), pool_fee));
        }
    }

    fn newest_fee(&self) -> u64 {
        let log = self.logs.get(&Way::Prop);
        let newest = log.and_then(|log| log.fees.last());
        newest.map_or(POOL_FEE, |(_, fee)| *fee)
    }

    /// The pool's own fee that was told when the round of a block began.
    fn pool_fee(&self, place: usize) -> u64 {
        let start = self.round_start(place);
        let fees = self.logs.get(&self.blocks[place].way).map(|log| &log.fees);
        let told = fees.into_iter().flatten();
        told.filter(|(shares, _)| *shares <= start)
            .map(|(_, fee)| *fee)
            .next_back()
            .unwrap_or(POOL_FEE)
    }

    /// Looks at the blocks that may change, with what the chain says of each.
    pub(super) fn follow(&mut self, confirmations: impl Fn(&Block) -> i64) {
        let first_orphan = self.blocks.len().saturating_sub(ORPHANS);
        for (place, block) in self.blocks.iter_mut().enumerate() {
            let is_looked_at = match block.stand {
                Stand::Submitted | Stand::Immature => true,
                Stand::Orphaned => place >= first_orphan,
                Stand::Mature => block.confirmations < LOOKED_AT_TIMES * i64::from(MATURITY),
            };
            if is_looked_at {
                let confirmations = confirmations(block);
                block.follow(confirmations);
            }
        }
    }

    /// Books each block as it stands, and says what happened.
    pub(super) fn account(&mut self, now_ms: i64) -> Vec<&'static str> {
        let mut happened = Vec::new();
        for place in 0..self.blocks.len() {
            let block = &self.blocks[place];
            let is_new = !block.is_located() && block.booked != Some(block.stand);
            if is_new && self.locate(place, now_ms) && self.own_share(place).is_none() {
                happened.push("a block whose share never came");
            }
        }
        for place in 0..self.blocks.len() {
            let block = &self.blocks[place];
            let stand = block.stand;
            if block.booked == Some(stand) || !block.is_located() {
                continue;
            }
            let is_orphan = stand == Stand::Orphaned;
            if !is_orphan && self.blocks[place].parts.is_none() {
                if self.blocks[place].way != Way::Solo && self.pool_fee(place) != self.newest_fee()
                {
                    happened.push("a block of a round whose fee is another one by now");
                }
                let parts = self.split(place);
                let sum: u64 = parts.iter().map(|(_, amount)| amount).sum();
                assert_eq!(sum, self.blocks[place].reward, "the model itself is wrong");
                self.blocks[place].parts = Some(parts);
            }
            let block = &mut self.blocks[place];
            if is_orphan && block.is_posted {
                happened.push("a block that left after it was mature");
                block.is_charged = true;
            } else if is_orphan && block.is_entered {
                happened.push("a block that left before it was mature");
                block.is_entered = false;
            } else if !is_orphan && block.is_charged {
                happened.push("a block that came back after it was mature");
                block.is_charged = false;
            } else if !is_orphan {
                block.is_entered = true;
            }
            if stand == Stand::Mature && !block.is_posted {
                happened.push("a block that was booked as mature");
                block.is_posted = true;
            }
            block.booked = Some(stand);
        }
        happened
    }

    /// Finds where what a block pays for ends. False while its share may come, or that of one before.
    fn locate(&mut self, place: usize, now_ms: i64) -> bool {
        let block = &self.blocks[place];
        let order = |place: usize| (self.blocks[place].found_ms, place);
        let is_before = |other: &usize| {
            let found = &self.blocks[*other];
            found.way == block.way
                && found.end.is_none()
                && found.booked != Some(found.stand)
                && order(*other) < order(place)
        };
        if (0..self.blocks.len()).any(|other| is_before(&other)) {
            return false;
        }
        let log = self.logs.get(&block.way);
        let end = match self.own_share(place) {
            Some(own) => own + 1,
            None if now_ms > block.found_ms + WRITTEN_WITHIN_MS => {
                let before = |share: &Share| share.time_ms <= block.found_ms;
                let last = log.and_then(|log| log.shares.iter().rposition(before));
                last.map_or(0, |last| last + 1)
            }
            None => return false,
        };
        if log.is_some_and(|log| log.added_up < end) {
            self.add_up();
        }
        let block = &mut self.blocks[place];
        block.end = Some(end);
        if end > 0 {
            self.logs.entry(block.way).or_default().ends.insert(end);
        }
        true
    }

    /// The place of the share that a block is.
    fn own_share(&self, place: usize) -> Option<usize> {
        let block = &self.blocks[place];
        let mut shares = self.logs.get(&block.way)?.shares.iter();
        shares.position(|share| share.block == Some(block.hash))
    }

    /// Who gets what of a block.
    fn split(&self, place: usize) -> Vec<(String, u64)> {
        let block = &self.blocks[place];
        if block.way == Way::Solo {
            return vec![(miner(block.worker), block.reward)];
        }
        let miners = self.miners(place);
        let fees = fees(self.pool_fee(place));
        let sum: u64 = fees.iter().map(|(_, hundredths)| hundredths).sum();
        let weights = fees.iter().map(|(_, hundredths)| *hundredths);
        let weights: Vec<u128> = weights.chain([WHOLE - sum]).map(u128::from).collect();
        let mut amounts = shared(block.reward.into(), &weights);
        let rest = amounts.pop().unwrap();
        let names = fees.iter().map(|(name, _)| format!("fee:{name}"));
        let mut parts: Vec<(String, u128)> = names.zip(amounts).collect();
        if miners.is_empty() {
            // Nobody did anything: the last fee keeps what is nobody's.
            parts.last_mut().unwrap().1 += rest;
        } else {
            let weights: Vec<u128> = miners.values().copied().collect();
            parts.extend(miners.into_keys().zip(shared(rest, &weights)));
        }
        let units = |(name, amount): (String, u128)| (name, u64::try_from(amount).unwrap());
        parts.into_iter().map(units).collect()
    }

    /// How many shares were before the round of a block: it begins with the block before it.
    fn round_start(&self, place: usize) -> usize {
        let order = |place: usize| {
            let block = &self.blocks[place];
            block.end.map(|end| (end, block.found_ms, place))
        };
        let same = |other: &usize| self.blocks[*other].way == self.blocks[place].way;
        let others = (0..self.blocks.len()).filter(same).filter_map(order);
        let before = others.filter(|other| Some(*other) < order(place)).max();
        before.map_or(0, |(end, ..)| end)
    }

    /// The work that a block pays for, by account.
    fn miners(&self, place: usize) -> BTreeMap<String, u128> {
        let block = &self.blocks[place];
        let Some(log) = self.logs.get(&block.way) else {
            return BTreeMap::new();
        };
        let end = block.end.unwrap();
        let (start, mut room) = match block.way {
            Way::Pplns => (0, WINDOW),
            _ => (self.round_start(place), u128::MAX),
        };
        let mut miners = BTreeMap::new();
        let mut last = end;
        while room > 0 && last > start {
            let first = log.ends.range(..last).next_back().copied().unwrap_or(0);
            let mut work: BTreeMap<usize, u128> = BTreeMap::new();
            for share in &log.shares[first..last] {
                *work.entry(share.worker).or_default() += share.work;
            }
            let weights: Vec<u128> = work.values().copied().collect();
            let total: u128 = weights.iter().sum();
            // Of what lies across the edge each counts in proportion.
            let counted = match total <= room {
                true => weights,
                false => shared(room, &weights),
            };
            room -= total.min(room);
            for (worker, work) in work.into_keys().zip(counted) {
                if work > 0 {
                    *miners.entry(miner(worker)).or_default() += work;
                }
            }
            last = first;
        }
        miners
    }

    /// What each account has.
    pub(super) fn balances(&self) -> Balances {
        let mut balances = Balances::new();
        let mut post = |account: &str, amount: i128| {
            balances.entry(account.to_owned()).or_default().0 += amount;
        };
        for block in &self.blocks {
            let reward = i128::from(block.reward);
            if block.is_posted {
                post("reward", -reward);
                let is_solo = block.way == Way::Solo;
                for (account, amount) in block.parts.iter().flatten() {
                    let to = if is_solo { "paid" } else { account };
                    post(to, i128::from(*amount));
                }
                if block.is_charged {
                    post(if is_solo { "paid" } else { "reserve" }, -reward);
                    post("reward", reward);
                }
            }
        }
        for (number, payout) in &self.payouts {
            if payout.state == BatchState::Released {
                continue;
            }
            for payment in &payout.payments {
                post(&payment.account, -i128::from(payment.amount));
            }
            let total = i128::from(payout.total());
            if payout.state == BatchState::Confirmed {
                let fee = i128::from(payout.signed.as_ref().unwrap().fee);
                post("paid", total);
                post("reserve", -fee);
                post("network-fee", fee);
            } else {
                post(&format!("batch:{number}"), total);
            }
        }
        for block in &self.blocks {
            if block.is_entered && !block.is_posted {
                let mut wait = |account: &str, amount: i128| {
                    balances.entry(account.to_owned()).or_default().1 += amount;
                };
                wait("reward", -i128::from(block.reward));
                for (account, amount) in block.parts.iter().flatten() {
                    let to = if block.way == Way::Solo {
                        "paid"
                    } else {
                        account
                    };
                    wait(to, i128::from(*amount));
                }
            }
        }
        balances.retain(|_, balance| *balance != (0, 0));
        balances
    }

    /// What an account can be paid.
    pub(super) fn available(&self, account: &str) -> u64 {
        let (posted, _) = self.balances().get(account).copied().unwrap_or_default();
        u64::try_from(posted).expect("nobody but the pool owes")
    }

    /// All that blocks have brought that are or were mature.
    pub(super) fn rewards(&self) -> i128 {
        let posted = self.blocks.iter().filter(|block| block.is_posted);
        posted.map(|block| i128::from(block.reward)).sum()
    }

    /// What solo blocks have paid that left the chain again.
    pub(super) fn taken_back(&self) -> i128 {
        let charged = self.blocks.iter().filter(|block| block.is_charged);
        let solo = charged.filter(|block| block.way == Way::Solo);
        solo.map(|block| i128::from(block.reward)).sum()
    }

    /// What an account got of blocks, ever.
    pub(super) fn credited(&self, account: &str) -> u64 {
        let posted = self.blocks.iter().filter(|block| block.is_posted);
        let paid_here = posted.filter(|block| block.way != Way::Solo);
        let parts = paid_here.flat_map(|block| block.parts.iter().flatten());
        parts
            .filter(|(name, _)| name == account)
            .map(|(_, amount)| amount)
            .sum()
    }
}

/// The account of a worker's miner.
pub(super) fn miner(worker: usize) -> String {
    format!("miner:{}", address_of(worker))
}

/// Shares something out by weight: whole units first, then one each to the largest rests, of equal ones
/// to the first.
fn shared(total: u128, weights: &[u128]) -> Vec<u128> {
    let sum: u128 = weights.iter().sum();
    let mut parts: Vec<u128> = weights.iter().map(|weight| total * weight / sum).collect();
    let mut left = total - parts.iter().sum::<u128>();
    let mut places: Vec<usize> = (0..weights.len()).collect();
    places.sort_by_key(|place| std::cmp::Reverse(total * weights[*place] % sum));
    for place in places {
        if left > 0 {
            parts[place] += 1;
            left -= 1;
        }
    }
    parts
}
