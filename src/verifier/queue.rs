//! Who is verified next. Addresses take turns, and within an address its connections do, so that whoever
//! waits is before everybody else's second share, however many those have sent. Claimed blocks take
//! turns of their own, before all the rest.
//!
//! It is bounded three times. Where a limit is reached, the longest queue pays: its newest share makes
//! room for one of somebody who has fewer.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    hash::Hash,
    net::IpAddr,
};

/// Where a share comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Whose address it is, as `networks::party` has it: an IPv4 address, or a /64 of IPv6.
    pub address: IpAddr,
    /// The number of the connection, different for each.
    pub connection: u64,
}

/// How many may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) connection: usize,
    pub(super) address: usize,
    /// Claimed blocks of an address. More of them wait as shares do.
    pub(super) candidates: usize,
    pub(super) all: usize,
}

/// What became of a share that was put in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Put<T> {
    /// It waits.
    In,
    /// It waits, and this one, put in before by somebody who has more, does no longer.
    InPlaceOf(T),
    /// Its own side has too many that wait.
    Full(T),
}

/// Everything that waits.
#[derive(Debug)]
pub(super) struct Queue<T> {
    limits: Limits,
    candidates: Shares<T>,
    shares: Shares<T>,
}

impl<T> Queue<T> {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            candidates: Turns::default(),
            shares: Turns::default(),
        }
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.candidates.len + self.shares.len
    }

    /// How many may wait in all from now on. What waits already stays.
    pub(super) fn limit(&mut self, all: usize) {
        self.limits.all = all;
    }

    /// Puts a share at the end of its connection's.
    pub(super) fn put(&mut self, from: Origin, is_candidate: bool, share: T) -> Put<T> {
        let waiting =
            |turns: &Shares<T>| turns.queues.get(&from.address).map_or(0, Waiting::waiting);
        if is_candidate && waiting(&self.candidates) < self.limits.candidates {
            add(&mut self.candidates, from, share);
            return Put::In;
        }
        let ours = waiting(&self.shares);
        let of_connection = self.shares.queues.get(&from.address).map_or(0, |address| {
            let queue = address.queues.get(&from.connection);
            queue.map_or(0, VecDeque::len)
        });
        if of_connection >= self.limits.connection {
            return Put::Full(share);
        }
        let removed = if ours >= self.limits.address {
            self.shares.of(from.address, |address| {
                let longest = address.longest_above(of_connection + 1);
                longest.and_then(|connection| address.of(connection, VecDeque::pop_back))
            })
        } else if self.shares.len >= self.limits.all {
            let longest = self.shares.longest_above(ours + 1);
            longest.and_then(|address| {
                self.shares.of(address, |address| {
                    let longest = address.longest_above(0);
                    longest.and_then(|connection| address.of(connection, VecDeque::pop_back))
                })
            })
        } else {
            add(&mut self.shares, from, share);
            return Put::In;
        };
        match removed {
            Some(removed) => {
                add(&mut self.shares, from, share);
                Put::InPlaceOf(removed)
            }
            None => Put::Full(share),
        }
    }

    /// Takes the one whose turn it is.
    pub(super) fn take(&mut self) -> Option<T> {
        let take = |address: &mut Turns<u64, VecDeque<T>>| address.next(VecDeque::pop_front);
        self.candidates
            .next(take)
            .or_else(|| self.shares.next(take))
    }
}

fn add<T>(turns: &mut Shares<T>, from: Origin, share: T) {
    turns.add(from.address, |address| {
        address.add(from.connection, |queue| queue.push_back(share));
    });
}

/// Addresses take turns, and in them connections, each with its shares.
type Shares<T> = Turns<IpAddr, Turns<u64, VecDeque<T>>>;

/// Something in which shares wait.
trait Waiting: Default {
    fn waiting(&self) -> usize;
}

impl<T> Waiting for VecDeque<T> {
    fn waiting(&self) -> usize {
        self.len()
    }
}

impl<K: Copy + Eq + Hash, Q: Waiting> Waiting for Turns<K, Q> {
    fn waiting(&self) -> usize {
        self.len
    }
}

/// Queues that take turns. Each has something in it.
#[derive(Debug)]
struct Turns<K, Q> {
    /// Whose turn it is, first to last.
    order: VecDeque<K>,
    queues: HashMap<K, Q>,
    len: usize,
}

impl<K, Q> Default for Turns<K, Q> {
    fn default() -> Self {
        Self {
            order: VecDeque::new(),
            queues: HashMap::new(),
            len: 0,
        }
    }
}

impl<K: Copy + Eq + Hash, Q: Waiting> Turns<K, Q> {
    /// Adds one share to a queue. A new queue comes last.
    fn add(&mut self, key: K, add: impl FnOnce(&mut Q)) {
        let queue = match self.queues.entry(key) {
            Entry::Occupied(there) => there.into_mut(),
            Entry::Vacant(new) => {
                self.order.push_back(key);
                new.insert(Q::default())
            }
        };
        add(queue);
        self.len += 1;
    }

    /// Takes one share from the queue whose turn it is, which then comes last.
    fn next<T>(&mut self, take: impl FnOnce(&mut Q) -> Option<T>) -> Option<T> {
        let key = self.order.pop_front()?;
        self.order.push_back(key);
        self.of(key, take)
    }

    /// Takes one share from this queue, which is gone when nothing is left in it.
    fn of<T>(&mut self, key: K, take: impl FnOnce(&mut Q) -> Option<T>) -> Option<T> {
        let queue = self.queues.get_mut(&key)?;
        let taken = take(queue)?;
        self.len -= 1;
        if queue.waiting() == 0 {
            self.queues.remove(&key);
            self.order.retain(|waiting| *waiting != key);
        }
        Some(taken)
    }

    /// The queue with the most in it, if that is more than `count`.
    fn longest_above(&self, count: usize) -> Option<K> {
        let lengths = self
            .queues
            .iter()
            .map(|(key, queue)| (queue.waiting(), *key));
        let (length, key) = lengths.max_by_key(|(length, _)| *length)?;
        (length > count).then_some(key)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits {
        connection: 4,
        address: 8,
        candidates: 2,
        all: 20,
    };

    fn from(address: u8, connection: u64) -> Origin {
        Origin {
            address: Ipv4Addr::new(192, 0, 2, address).into(),
            connection,
        }
    }

    /// Puts in `count` shares of one connection; how many wait then.
    fn flood(
        queue: &mut Queue<&'static str>,
        from: Origin,
        count: usize,
        name: &'static str,
    ) -> usize {
        let put = |_: &usize| queue.put(from, false, name) == Put::In;
        (0..count).filter(put).count()
    }

    fn order<T>(queue: &mut Queue<T>) -> Vec<T> {
        std::iter::from_fn(|| queue.take()).collect()
    }

    #[test]
    fn whoever_comes_after_a_flood_waits_for_one_of_its_shares_and_not_for_all() {
        let mut queue = Queue::new(LIMITS);
        assert_eq!(flood(&mut queue, from(1, 1), 1_000, "flood"), 4);
        assert_eq!(flood(&mut queue, from(1, 2), 1_000, "flood"), 4);
        for _ in 0..3 {
            assert_eq!(queue.put(from(2, 3), false, "honest"), Put::In);
        }
        let order = order(&mut queue);
        assert_eq!(order[..6], ["flood", "honest"].repeat(3));
        assert_eq!(order.len(), 11);
    }

    #[test]
    fn connections_of_one_address_take_turns_and_have_one_turn_together() {
        let mut queue = Queue::new(LIMITS);
        for (from, name) in [
            (from(1, 1), "a"),
            (from(1, 1), "a"),
            (from(1, 1), "a"),
            (from(1, 2), "b"),
            (from(2, 3), "c"),
            (from(2, 3), "c"),
        ] {
            assert_eq!(queue.put(from, false, name), Put::In);
        }
        assert_eq!(order(&mut queue), ["a", "c", "b", "c", "a", "a"]);
    }

    #[test]
    fn a_claimed_block_goes_before_all_and_only_some_of_an_address_do() {
        let mut queue = Queue::new(LIMITS);
        flood(&mut queue, from(1, 1), 4, "flood");
        for (name, put) in [("1st", Put::In), ("2nd", Put::In), ("3rd", Put::In)] {
            assert_eq!(queue.put(from(2, 2), true, name), put);
        }
        assert_eq!(queue.put(from(3, 3), true, "other"), Put::In);
        let order = order(&mut queue);
        assert_eq!(order[..5], ["1st", "other", "2nd", "flood", "3rd"]);
    }

    #[test]
    fn a_full_connection_is_refused_and_an_address_shares_its_room() {
        let mut queue = Queue::new(LIMITS);
        flood(&mut queue, from(1, 1), 4, "1");
        flood(&mut queue, from(1, 2), 4, "2");
        assert_eq!(queue.put(from(1, 1), false, "more"), Put::Full("more"));
        let Put::InPlaceOf(removed) = queue.put(from(1, 3), false, "neighbour") else {
            panic!("the neighbour has fewer");
        };
        assert!(["1", "2"].contains(&removed));
        let order = order(&mut queue);
        assert_eq!(order.len(), 8);
        assert_eq!(order[2], "neighbour");
    }

    #[test]
    fn a_full_queue_takes_from_the_longest_and_refuses_whoever_would_have_as_many() {
        let mut queue = Queue::new(LIMITS);
        for (address, count) in [(1, 8), (2, 8), (3, 4)] {
            for number in 0..count {
                assert_eq!(
                    queue.put(from(address, number / 4), false, address),
                    Put::In
                );
            }
        }
        assert_eq!(queue.len(), 20);
        let mut removed = Vec::new();
        while let Put::InPlaceOf(address) = queue.put(from(4, removed.len() as u64), false, 4) {
            removed.push(address);
        }
        // 5 + 6 or 6 + 5 of the first two, 4 of the third, 5 of the new one.
        assert_eq!(removed.len(), 5);
        assert!(
            !removed.contains(&3) && !removed.contains(&4),
            "{removed:?}"
        );
        assert_eq!(queue.len(), 20);
        assert_eq!(order(&mut queue)[..4], [1, 2, 3, 4]);
    }

    proptest! {
        #[test]
        fn every_share_comes_out_once_or_is_given_back_at_once_and_no_limit_is_passed(
            steps in prop::collection::vec((1u8..6, 0u64..4, any::<bool>(), 0u8..4), 1..400),
        ) {
            let mut queue = Queue::new(LIMITS);
            let (mut out, mut count) = (Vec::new(), 0);
            for (address, connection, is_candidate, takes) in steps {
                match queue.put(from(address, connection), is_candidate, count) {
                    Put::In => {}
                    Put::InPlaceOf(other) => {
                        prop_assert!(other != count);
                        out.push(other);
                    }
                    Put::Full(own) => {
                        prop_assert_eq!(own, count);
                        out.push(own);
                    }
                }
                count += 1;
                prop_assert!(queue.shares.len <= LIMITS.all);
                for address in queue.shares.queues.values() {
                    prop_assert!(address.len <= LIMITS.address);
                    let allowed = 1..=LIMITS.connection;
                    let mut lengths = address.queues.values().map(VecDeque::len);
                    prop_assert!(lengths.all(|length| allowed.contains(&length)));
                    prop_assert_eq!(address.order.len(), address.queues.len());
                }
                if takes == 0 {
                    out.extend(queue.take());
                }
            }
            out.extend(std::iter::from_fn(|| queue.take()));
            out.sort_unstable();
            prop_assert_eq!(out, (0..count).collect::<Vec<_>>());
            prop_assert_eq!(queue.len(), 0);
            prop_assert!(queue.shares.order.is_empty() && queue.candidates.order.is_empty());
        }

        #[test]
        fn a_share_waits_for_no_more_than_one_of_each_other_address(
            floods in prop::collection::vec((1u8..6, 0u64..4), 0..200),
        ) {
            let mut queue = Queue::new(LIMITS);
            for (address, connection) in floods {
                queue.put(from(address, connection), false, false);
            }
            let others = queue.shares.queues.len();
            prop_assert!(queue.put(from(9, 9), false, true) != Put::Full(true));
            let before = order(&mut queue).iter().position(|honest| *honest);
            prop_assert!(before.is_some_and(|before| before <= others), "{:?}", before);
        }
    }
}
