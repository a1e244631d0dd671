//! What the operator is told, from how daemons are and from counters.

use store::{Audience, Seen};

use super::*;
use crate::daemon::breaker::Breaker;

const NOW: i64 = 1_800_000_000_000;

struct Case {
    operator: Operator,
    troubles: Troubles,
}

impl Case {
    fn new(settings: &Config, disk: Option<PathBuf>) -> Self {
        Self {
            operator: Operator::new(Counts::default(), settings, 1_000, disk, NOW),
            troubles: Troubles::default(),
        }
    }

    /// What is told of a look so many seconds later.
    fn look(
        &mut self,
        second: i64,
        look_at: impl FnOnce(&mut Operator, &mut Look<'_>),
    ) -> Vec<String> {
        let mut seen = Seen::default();
        let mut look = Look {
            troubles: &mut self.troubles,
            seen: &mut seen,
            now_ms: NOW + second * 1000,
        };
        look_at(&mut self.operator, &mut look);
        let alerts = seen.alerts.iter();
        alerts
            .map(|alert| {
                assert_eq!(alert.audience, Audience::Operator);
                alert.event.text()
            })
            .collect()
    }
}

fn daemon(name: &str, height: u32, fit: Result<(), &str>) -> Health {
    Health {
        name: name.into(),
        fit: fit.map_err(str::to_owned),
        breaker: Breaker::default().state(),
        height: Some(height),
        peers: None,
        version: None,
        template_age: None,
        notified_by: None,
    }
}

#[test]
fn a_daemon_is_told_to_be_down_or_to_lag_and_not_both() {
    let mut case = Case::new(&Config::default(), None);
    let mut look = |second, daemons: &[Health]| {
        case.look(second, |operator, look| {
            operator.look_at_daemons(daemons, look);
        })
    };
    let good = [daemon("a", 100, Ok(())), daemon("b", 99, Ok(()))];
    let bad = [
        daemon("a", 100, Err("it does not answer")),
        daemon("b", 98, Err("it is in initial download")),
    ];
    assert_eq!(look(0, &good), [""; 0]);
    assert_eq!(look(10, &bad), [""; 0]);
    assert_eq!(
        look(70, &bad),
        [
            "Daemon a cannot be mined with: it does not answer.",
            "Daemon b lags behind: it is 2 blocks behind another one."
        ]
    );
    assert_eq!(look(600, &bad), [""; 0]);
    assert_eq!(look(602, &good), [""; 0]);
    assert_eq!(
        look(632, &good),
        [
            "Daemon a can be mined with again.",
            "Daemon b has caught up."
        ]
    );
}

#[test]
fn many_invalid_shares_and_a_full_house_are_told() {
    let mut case = Case::new(&Config::default(), None);
    let counts = |valid, invalid| Counts { valid, invalid };
    let mut shares = |second, counts| {
        case.look(second, |operator, look| {
            operator.look_at_shares(counts, look);
        })
    };
    assert_eq!(shares(0, counts(100, 10)), [""; 0]);
    assert_eq!(
        shares(2, counts(100, 30)),
        ["Many shares are invalid: 30 of the last 130."]
    );
    assert_eq!(shares(4, counts(100, 60)), [""; 0]);
    let mut room =
        |second, taken| case.look(second, |operator, look| operator.look_at_room(taken, look));
    assert_eq!(room(0, 950), [""; 0]);
    assert_eq!(room(20, 700), [""; 0], "for a moment only");
    assert_eq!(room(30, 900), [""; 0]);
    assert_eq!(
        room(60, 901),
        ["Almost all connections are taken: 901 of 1000."]
    );
    assert_eq!(room(70, 850), [""; 0]);
    assert_eq!(room(100, 850), [""; 0], "between the bounds");
    assert_eq!(room(110, 700), [""; 0]);
    assert_eq!(
        room(140, 700),
        ["There is room for miners again: 700 of 1000."]
    );
}

#[test]
fn a_disk_without_room_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Config {
        disk_low_mb: u64::MAX,
        ..Config::default()
    };
    let mut case = Case::new(&settings, Some(folder.path().to_owned()));
    let mut look = |second| case.look(second, Operator::look_at_disk);
    let told = look(0);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("The disk is almost full: "), "{told:?}");
    assert_eq!(look(1), [""; 0]);
    let settings = Config {
        disk_low_mb: 0,
        ..settings
    };
    let mut case = Case::new(&settings, Some(folder.path().to_owned()));
    assert_eq!(case.look(0, Operator::look_at_disk), [""; 0]);
}
