//! Bans as connections and the listener see them, with a real store behind them.

use mining::{Coin, Network};

use super::*;

const RULE: Rule = Rule {
    invalid_percent: 10,
    shares_min: 100,
    window_ms: 600_000,
};
const HOUR_MS: i64 = 3_600_000;

fn bans() -> Bans {
    let settings = Settings {
        rule: Some(RULE),
        lasts: Duration::from_secs(3600),
        exempt: Networks::parse(&["127.0.0.0/8".into(), "2001:db8::/32".into()]).unwrap(),
    };
    Bans::new(
        settings,
        Mailboxes::default(),
        Arc::new(Metrics::new("main", "bitcoin")),
    )
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn ban(address: &str, since_ms: i64, until_ms: i64) -> Ban {
    Ban {
        address: ip(address),
        since_ms,
        until_ms,
        shares: 100,
        invalid: 50,
    }
}

/// Counts invalid shares until the ban, and says how many it took.
fn provoke(tally: &Tally, most: u64) -> Option<u64> {
    (1..=most).find(|_| tally.invalid(clock::now_ms()))
}

#[test]
fn reconnecting_wipes_nothing_and_all_connections_of_an_address_end() {
    let bans = bans();
    let first = bans.tally(ip("1.2.3.4"));
    assert_eq!(provoke(&first, 60), None);
    drop(first);
    let again = bans.tally(ip("::ffff:1.2.3.4"));
    let beside = bans.tally(ip("1.2.3.4"));
    let other = bans.tally(ip("1.2.3.5"));
    assert_eq!(provoke(&again, 60), Some(40));
    assert!(beside.banned.load(Ordering::Relaxed) && beside.invalid(clock::now_ms()));
    assert!(!other.banned.load(Ordering::Relaxed));
    assert!(bans.is_banned(ip("1.2.3.4")) && bans.is_banned(ip("::ffff:1.2.3.4")));
    assert!(!bans.is_banned(ip("1.2.3.5")));
    let (list, count) = bans.list(10);
    assert_eq!((list.len(), count), (1, 1));
    assert_eq!((list[0].shares, list[0].invalid), (100, 100));
    assert_eq!(list[0].until_ms - list[0].since_ms, HOUR_MS);
}

#[test]
fn one_bad_device_does_not_ban_its_farm() {
    let bans = bans();
    let farm = bans.tally(ip("1.2.3.4"));
    for _ in 0..1_000 {
        farm.valid();
    }
    // A tenth of all are 111 of 1,111; one more is more than that.
    assert_eq!(provoke(&farm, 200), Some(112));
}

#[test]
fn a_64_is_one_party_and_exempt_networks_are_none() {
    let bans = bans();
    assert_eq!(provoke(&bans.tally(ip("2a00:1:2:3::1")), 60), None);
    assert_eq!(provoke(&bans.tally(ip("2a00:1:2:3::2")), 60), Some(40));
    assert!(bans.is_banned(ip("2a00:1:2:3:ffff::")) && !bans.is_banned(ip("2a00:1:2:4::1")));
    for exempt in ["127.9.9.9", "::ffff:127.0.0.1", "2001:db8::1"] {
        assert_eq!(provoke(&bans.tally(ip(exempt)), 1_000), None, "{exempt}");
    }
    let nobody = Bans::new(
        Settings {
            rule: None,
            ..(*bans.0.settings()).clone()
        },
        Mailboxes::default(),
        Arc::clone(&bans.0.metrics),
    );
    assert_eq!(provoke(&nobody.tally(ip("1.2.3.4")), 1_000), None);
}

#[test]
fn a_ban_is_lifted_by_hand_and_by_time_and_starts_from_nothing() {
    let bans = bans();
    let address = ip("1.2.3.4");
    provoke(&bans.tally(address), 100);
    assert!(!bans.lift(ip("1.2.3.5")));
    assert!(bans.lift(address) && !bans.is_banned(address) && !bans.lift(address));
    assert_eq!(provoke(&bans.tally(address), 200), Some(100));
    let mut list = lock(&bans.0.list);
    let now = Instant::now();
    list.sweep(&RULE, clock::now_ms(), now + Duration::from_secs(3599));
    assert_eq!(list.bans.len(), 1);
    list.sweep(&RULE, clock::now_ms(), now + Duration::from_secs(3601));
    assert_eq!((list.bans.len(), list.over.len()), (0, 2));
}

#[test]
fn addresses_of_no_interest_are_forgotten_and_those_connected_are_not() {
    let bans = bans();
    let now = clock::now_ms();
    let connected = bans.tally(ip("1.1.1.1"));
    bans.tally(ip("1.1.1.2")).invalid(now);
    drop(bans.tally(ip("1.1.1.3")));
    let count = |now| {
        let mut list = lock(&bans.0.list);
        list.sweep(&RULE, now, Instant::now());
        list.tallies.len()
    };
    assert_eq!(count(now), 2, "nothing is known of the third");
    assert_eq!(count(now + RULE.window_ms + 1), 1);
    drop(connected);
    assert_eq!(count(now + RULE.window_ms + 1), 0);
}

#[test]
fn the_lists_have_an_end() {
    let bans = bans();
    let address = |number: u32| IpAddr::from(number.to_be_bytes());
    let tallies: Vec<_> = (0..u32::try_from(TALLIES_MAX).unwrap() + 10)
        .map(|number| bans.tally(address(number)))
        .collect();
    assert_eq!(lock(&bans.0.list).tallies.len(), TALLIES_MAX);
    // One that found no place is still counted, by connection.
    assert_eq!(provoke(&tallies[TALLIES_MAX + 5], 100), Some(100));
    for number in 0..BANS_MAX + 5 {
        bans.0.ban(address(number), Counts::default(), 0);
    }
    let list = lock(&bans.0.list);
    assert_eq!(list.bans.len(), usize::try_from(BANS_MAX).unwrap());
    assert!(list.bans.contains_key(&address(BANS_MAX + 4)));
}

#[test]
fn a_clock_that_jumped_bans_nobody_for_ever() {
    let bans = bans();
    let now = 10 * HOUR_MS;
    let kept = vec![
        ban("1.1.1.1", now - HOUR_MS / 2, now + HOUR_MS / 2),
        ban("1.1.1.2", 1_000 * HOUR_MS, 1_001 * HOUR_MS),
        ban("1.1.1.3", 0, HOUR_MS),
        ban("1.1.1.4", 0, i64::MAX),
        ban("1.1.1.5", i64::MIN, i64::MIN),
        ban("127.0.0.1", now, now + HOUR_MS),
    ];
    bans.take_over(kept, now);
    let list = lock(&bans.0.list);
    let found = |address: &str| list.bans.get(&ip(address));
    let left = |address: &str| found(address).unwrap().ends - Instant::now();
    assert!(left("1.1.1.1") <= Duration::from_secs(1800) && found("1.1.1.1").unwrap().is_kept);
    for future in ["1.1.1.2", "1.1.1.4"] {
        let entry = found(future).unwrap();
        assert!(left(future) <= Duration::from_secs(3600) && !entry.is_kept);
        assert!(entry.ban.since_ms <= now && entry.ban.until_ms == now + HOUR_MS);
    }
    for over in ["1.1.1.3", "1.1.1.5", "127.0.0.1"] {
        assert!(found(over).is_none() && list.over.contains(&ip(over)));
    }
}

#[tokio::test]
async fn a_restart_lifts_no_ban() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("adit.db").display());
    let (settings, metrics) = (
        (*bans().0.settings()).clone(),
        Arc::clone(&bans().0.metrics),
    );
    for restarted in [false, true] {
        let (tasks, _failures) = Tasks::new();
        let store = Store::open(&url).await.unwrap();
        let coin: &'static Coin = "bitcoin".parse().unwrap();
        let pool = store.pool("main", coin, Network::Regtest).await.unwrap();
        let metrics = Arc::clone(&metrics);
        let bans = start(
            settings.clone(),
            store.clone(),
            pool,
            Mailboxes::default(),
            metrics,
            &tasks,
        )
        .await
        .unwrap();
        if restarted {
            assert!(bans.is_banned(ip("1.2.3.4")) && !bans.is_banned(ip("1.2.3.5")));
            assert!(bans.lift(ip("1.2.3.4")));
        } else {
            provoke(&bans.tally(ip("1.2.3.4")), 100);
            provoke(&bans.tally(ip("1.2.3.5")), 100);
            bans.lift(ip("1.2.3.5"));
        }
        assert!(tasks.shut_down().await);
        let kept = store.bans(pool, 10).await.unwrap();
        assert_eq!(kept.len(), usize::from(!restarted));
        store.close().await;
    }
}
