//! Counts connections by where they come from. The lists have an entry for what is connected and
//! nothing else, so they are no longer than the connections are many.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard},
};

use crate::networks::{neighbourhood, party};

/// The counts of one listener. Clones share them.
#[derive(Clone)]
pub(crate) struct Addresses {
    per_address: usize,
    per_network: usize,
    counts: Arc<Mutex<Counts>>,
}

#[derive(Default)]
struct Counts {
    parties: HashMap<IpAddr, usize>,
    neighbourhoods: HashMap<IpAddr, usize>,
}

/// A counted connection; uncounted on drop.
pub(crate) struct Counted {
    address: IpAddr,
    counts: Arc<Mutex<Counts>>,
}

impl Addresses {
    pub(crate) fn new(per_address: usize, per_network: usize) -> Self {
        Self {
            per_address,
            per_network,
            counts: Arc::default(),
        }
    }

    /// Counts a connection; nothing where a limit is reached.
    pub(crate) fn enter(&self, address: IpAddr) -> Option<Counted> {
        let mut counts = lock(&self.counts);
        let Counts {
            parties,
            neighbourhoods,
        } = &mut *counts;
        let (one, around) = (party(address), neighbourhood(address));
        let count = |counts: &HashMap<IpAddr, usize>, of| counts.get(&of).copied().unwrap_or(0);
        if count(parties, one) >= self.per_address
            || count(neighbourhoods, around) >= self.per_network
        {
            return None;
        }
        *parties.entry(one).or_default() += 1;
        *neighbourhoods.entry(around).or_default() += 1;
        Some(Counted {
            address,
            counts: Arc::clone(&self.counts),
        })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = lock(&self.counts);
        leave(&mut counts.parties, party(self.address));
        leave(&mut counts.neighbourhoods, neighbourhood(self.address));
    }
}

fn leave(counts: &mut HashMap<IpAddr, usize>, address: IpAddr) {
    if let Some(count) = counts.get_mut(&address) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&address);
        }
    }
}

fn lock(counts: &Mutex<Counts>) -> MutexGuard<'_, Counts> {
    counts
        .lock()
        .expect("nothing panics while holding this lock")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_number_of_connections_and_gets_them_back() {
        let addresses = Addresses::new(2, 100);
        let enter = |text: &str| addresses.enter(text.parse().unwrap());
        let first = enter("1.2.3.4");
        let second = enter("::ffff:1.2.3.4");
        assert!(first.is_some() && second.is_some());
        assert!(enter("1.2.3.4").is_none());
        assert!(enter("1.2.3.5").is_some());
        drop(first);
        assert!(enter("1.2.3.4").is_some());
        let _one = enter("2001:db8:1:1::1");
        let _two = enter("2001:db8:1:1:ffff::2");
        assert!(enter("2001:db8:1:1::3").is_none());
        assert!(enter("2001:db8:1:2::1").is_some());
        drop(second);
        drop((_one, _two));
        let counts = lock(&addresses.counts);
        assert!(counts.parties.is_empty(), "no empty counts");
        assert!(counts.neighbourhoods.is_empty(), "no empty counts");
    }

    #[test]
    fn a_network_has_its_number_of_connections_whatever_the_addresses() {
        let addresses = Addresses::new(2, 3);
        let enter = |text: &str| addresses.enter(text.parse().unwrap());
        let inside: Vec<_> = ["1.2.3.1", "1.2.3.2", "1.2.3.3"].map(enter).into();
        assert!(inside.iter().all(Option::is_some));
        assert!(enter("1.2.3.4").is_none());
        assert!(enter("1.2.3.1").is_none());
        assert!(enter("1.2.4.1").is_some());
        let six: Vec<_> = (1..=3)
            .map(|subnet| enter(&format!("2001:db8:1:{subnet}::1")))
            .collect();
        assert!(six.iter().all(Option::is_some));
        assert!(enter("2001:db8:1:4::1").is_none());
        assert!(enter("2001:db8:2:1::1").is_some());
        drop(inside);
        assert!(enter("1.2.3.4").is_some());
    }
}
