//! What subscribers are told, from real sessions and from figures as the store gives them.

use mining::{Address, Coin, Network, Work, share::Reject, username::Username};
use store::{ConditionChange, Sums};

use super::*;
use crate::sessions::{Entry, Sessions};

const ADDRESS: &str = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";
const NOW: i64 = 1_800_000_000_000;

struct Case {
    miners: Miners,
    troubles: Troubles,
    subscribers: HashMap<String, Kinds>,
    sessions: Sessions,
}

impl Case {
    fn new() -> Self {
        Self {
            miners: Miners::new(&Config::default()),
            troubles: Troubles::default(),
            subscribers: HashMap::from([(ADDRESS.to_owned(), Kinds::of_miners())]),
            sessions: Sessions::default(),
        }
    }

    fn connect(&self, worker: &str) -> Entry {
        let coin: &Coin = "bitcoin".parse().unwrap();
        let address = Address::parse(coin, Network::Regtest, ADDRESS).unwrap();
        let worker = worker.to_owned();
        let peer = "127.0.0.1:1".parse().unwrap();
        self.sessions
            .enter(Username { address, worker }, String::new(), peer, NOW)
    }

    /// A look at workers and rejects, so many seconds later.
    fn look(&mut self, second: i64, has_work: bool) -> Vec<String> {
        let (mut seen, now_ms) = (Seen::default(), NOW + second * 1000);
        let sessions = self.sessions.list();
        let Self {
            miners,
            troubles,
            subscribers,
            ..
        } = self;
        let connected = miners.meet(&sessions, subscribers);
        miners.look_at_workers(&connected, has_work, troubles, &mut seen, now_ms);
        miners.look_at_rejects(sessions, subscribers, troubles, &mut seen, now_ms);
        texts(&seen)
    }
}

fn texts(seen: &Seen) -> Vec<String> {
    seen.alerts.iter().map(|alert| alert.event.text()).collect()
}

fn share(entry: &Entry, second: i64) {
    entry
        .last_share_ms
        .store(NOW + second * 1000, Ordering::Relaxed);
    entry.accepted.fetch_add(1, Ordering::Relaxed);
}

#[test]
fn a_worker_is_told_to_be_gone_once_and_to_be_back_with_its_share() {
    let mut case = Case::new();
    let entry = case.connect("rig");
    share(&entry, 0);
    assert_eq!(case.look(2, true), [""; 0]);
    drop(entry);
    assert_eq!(case.look(4, true), [""; 0]);
    assert_eq!(case.look(603, true), [""; 0]);
    assert_eq!(
        case.look(604, true),
        ["Worker rig was not seen for 10 minutes."]
    );
    assert_eq!(case.look(606, true), [""; 0]);
    // A connection alone is no return.
    let entry = case.connect("rig");
    assert_eq!(case.look(700, true), [""; 0]);
    share(&entry, 800);
    assert_eq!(
        case.look(802, true),
        ["Worker rig is back after 13 minutes."]
    );
    // One that comes and goes within the time is told of by nobody.
    drop(entry);
    assert_eq!(case.look(900, true), [""; 0]);
    let entry = case.connect("rig");
    share(&entry, 1_300);
    assert_eq!(case.look(1_400, true), [""; 0]);
}

#[test]
fn a_connection_without_a_share_is_no_worker() {
    let mut case = Case::new();
    let probe = case.connect("probe");
    assert_eq!(case.look(0, true), [""; 0]);
    drop(probe);
    assert_eq!(case.look(10, true), [""; 0]);
    assert_eq!(case.look(10_000, true), [""; 0]);
}

/// A pool without work loses its workers, and that is not theirs.
#[test]
fn nobody_is_told_to_be_gone_while_there_is_no_work() {
    let mut case = Case::new();
    share(&case.connect("rig"), 0);
    case.miners.note(ADDRESS, "rig", NOW);
    for second in [0, 601, 1_300] {
        assert_eq!(case.look(second, false), [""; 0]);
    }
    assert_eq!(case.look(1_302, true), [""; 0], "the wait begins now");
    assert_eq!(case.look(1_902, true).len(), 1);
}

#[test]
fn many_rejects_are_told_and_few_again() {
    let mut case = Case::new();
    let entry = case.connect("rig");
    let shares = |accepted, rejected| {
        entry.accepted.fetch_add(accepted, Ordering::Relaxed);
        (0..rejected).for_each(|_| entry.reject(Reject::Stale));
    };
    shares(100, 5);
    assert_eq!(case.look(0, true), [""; 0]);
    shares(0, 10);
    assert_eq!(
        case.look(2, true),
        ["15 of your last 115 shares were refused."]
    );
    shares(0, 100);
    assert_eq!(case.look(4, true), [""; 0], "once");
    // They count for a while, and then it must stay good for a while.
    let mut told = Vec::new();
    for minute in 0..60 {
        shares(100, 1);
        told.extend(case.look(60 * minute + 60, true));
    }
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].starts_with("Your shares are taken again"),
        "{told:?}"
    );
}

/// What a session did after the last look counts too, when it has ended.
#[test]
fn the_last_shares_of_a_session_count() {
    let mut case = Case::new();
    let entry = case.connect("rig");
    entry.accepted.store(60, Ordering::Relaxed);
    assert_eq!(case.look(0, true), [""; 0]);
    (0..60).for_each(|_| entry.reject(Reject::Stale));
    drop(entry);
    assert_eq!(
        case.look(2, true),
        ["60 of your last 120 shares were refused."]
    );
    // And once.
    assert_eq!(case.look(4, true), [""; 0]);
}

fn work(hashes: u128, shares: u64, first: Minute) -> Vec<AddressWork> {
    vec![AddressWork {
        address: ADDRESS.into(),
        sums: Sums {
            shares,
            work: Work::from_hashes(hashes),
        },
        first,
    }]
}

#[test]
fn a_drop_is_compared_with_what_was_usual_when_it_began() {
    let mut case = Case::new();
    // A full hour.
    let begin = Minute::from_number(30_000_000);
    let day = begin.back(24 * 60);
    let mut compare = |recent: u128, usual: u128, second: i64| {
        let mut seen = Seen::default();
        // 1,800 s of now, a day of what is usual, in hashes a second.
        let recent = work(recent * 1_800, 120, begin);
        let usual = work(usual * 86_400, 5_760, day);
        let now_ms = NOW + second * 1000;
        case.miners
            .compare(recent, usual, begin, &mut case.troubles, &mut seen, now_ms);
        seen
    };
    assert!(compare(900, 1_000, 0).is_empty());
    let begun = compare(400, 1_000, 60);
    assert_eq!(
        texts(&begun),
        ["Your hashrate is 400 H/s, where 1.00 kH/s are usual."]
    );
    let ConditionChange::Value { value, .. } = &begun.conditions[0] else {
        panic!("{begun:?}");
    };
    assert_eq!(value, "1000");
    // What is usual sinks with it, and still it is a drop.
    assert!(compare(400, 450, 120).is_empty());
    assert!(compare(700, 450, 180).is_empty());
    assert_eq!(
        texts(&compare(800, 450, 240)),
        ["Your hashrate is 800 H/s again."]
    );
    // After a day it is what is usual.
    assert_eq!(texts(&compare(100, 1_000, 300)).len(), 1);
    let later = compare(100, 100, 300 + 24 * 60 * 60);
    assert!(later.alerts.is_empty());
    assert!(matches!(
        later.conditions[..],
        [ConditionChange::Ends { .. }]
    ));
}

#[test]
fn somebody_without_any_work_now_has_dropped_and_one_with_few_shares_has_not() {
    let mut case = Case::new();
    let begin = Minute::from_number(30_000_000);
    let day = begin.back(24 * 60);
    for (shares, told) in [(100, 0), (5_760, 1)] {
        let mut seen = Seen::default();
        let usual = work(86_400_000, shares, day);
        case.miners
            .compare(Vec::new(), usual, begin, &mut case.troubles, &mut seen, NOW);
        assert_eq!(seen.alerts.len(), told, "{shares}");
    }
}

#[test]
fn a_record_is_told_when_it_is_beaten() {
    let (mut troubles, mut told) = (Troubles::default(), Vec::new());
    for byte in [0x40, 0x40, 0x50, 0x10, 0x10, 0x0f] {
        let mut bytes = [0xff; 32];
        bytes[31] = byte;
        let mut seen = Seen::default();
        let best = vec![(ADDRESS.to_owned(), Hash(bytes))];
        let shown = |target: Target| hex::encode(&target.to_display_bytes()[..1]);
        note_records(best, None, shown, &mut troubles, &mut seen, NOW);
        told.extend(texts(&seen));
    }
    assert_eq!(
        told,
        [
            "Your best share ever has difficulty 10.",
            "Your best share ever has difficulty 0f."
        ]
    );
}
