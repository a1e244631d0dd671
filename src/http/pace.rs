//! How fast anybody may ask: a bucket for each address or key and each kind of request, so that a flood of
//! one kind leaves the others alone. Called before each request, and by the keys of the operator.

use std::{
    net::IpAddr,
    num::NonZeroU32,
    sync::{Arc, RwLock},
    time::Duration,
};

use axum::http::Method;
use governor::{
    Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
    state::keyed::DefaultKeyedStateStore,
};
use mining::api_key::KeyHash;

/// Addresses and keys that are counted of each kind. Beyond that all are forgotten: whoever has so many
/// addresses gains no more by that than he has already.
const COUNTED_MAX: usize = 65_536;
/// What costs more may be asked so many times less often.
const DEARER: u32 = 10;
/// Logins and keys that are not known, at once and then one in each ten seconds. A key cannot be guessed;
/// this keeps those who try away from the database and the log.
const LOGINS: (u32, Duration) = (5, Duration::from_secs(10));

/// What a request costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It reads a little.
    Cheap,
    /// It reads much: a whole list, a diagnosis.
    Dear,
    /// It changes something.
    Write,
    /// It shows a key that may be none.
    Login,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Asker {
    /// Whoever is at an address, or in a /64.
    Address(IpAddr),
    /// Whoever has a key.
    Key(KeyHash),
}

/// The buckets. Clones share them.
#[derive(Clone)]
pub(crate) struct Pace(Arc<[Option<Buckets>; 4]>);

type Limiter = RateLimiter<Asker, DefaultKeyedStateStore<Asker>, DefaultClock>;

struct Buckets {
    quota: Quota,
    counted: RwLock<Limiter>,
}

impl Kind {
    /// Of a request. What is dear reads all that ever happened, or counts it up.
    pub(crate) fn of(method: &Method, path: &str) -> Self {
        const DEAR: [&str; 6] = [".csv", "/doctor", "/why", "/luck", "/verify", "/metrics"];
        if method == Method::OPTIONS {
            return Self::Cheap;
        }
        if !(method == Method::GET || method == Method::HEAD) {
            return Self::Write;
        }
        match DEAR.iter().any(|end| path.ends_with(end)) {
            true => Self::Dear,
            false => Self::Cheap,
        }
    }
}

impl Pace {
    /// So many cheap requests a second, and so many at once; all else a tenth of it. Zero a second is no
    /// limit, but for logins.
    pub(crate) fn new(per_second: u32, burst: u32) -> Self {
        let buckets = |quota: Option<Quota>| {
            quota.map(|quota| Buckets {
                quota,
                counted: RwLock::new(RateLimiter::keyed(quota)),
            })
        };
        let of = |times: u32| {
            let every = Duration::from_secs(1)
                .checked_mul(times)?
                .checked_div(per_second)?;
            quota(every, burst / times)
        };
        let (logins, every) = LOGINS;
        Self(Arc::new([
            buckets(of(1)),
            buckets(of(DEARER)),
            buckets(of(DEARER)),
            buckets(quota(every, logins)),
        ]))
    }

    /// Takes a request out of the bucket, or says how long to wait.
    pub(crate) fn ask(&self, asker: Asker, kind: Kind) -> Result<(), Duration> {
        let Some(buckets) = self.of(kind) else {
            return Ok(());
        };
        let counted = buckets.counted.read().expect(NO_PANIC);
        let asked = counted.check_key(&asker);
        let is_full = counted.len() > COUNTED_MAX;
        let now = counted.clock().now();
        drop(counted);
        if is_full {
            buckets.make_room();
        }
        asked.map_err(|until| until.wait_time_from(now))
    }

    /// Forgets those whose buckets are full again.
    pub(crate) fn sweep(&self) {
        for buckets in self.0.iter().flatten() {
            let counted = buckets.counted.read().expect(NO_PANIC);
            counted.retain_recent();
            counted.shrink_to_fit();
        }
    }

    fn of(&self, kind: Kind) -> Option<&Buckets> {
        let place = match kind {
            Kind::Cheap => 0,
            Kind::Dear => 1,
            Kind::Write => 2,
            Kind::Login => 3,
        };
        self.0[place].as_ref()
    }
}

impl Buckets {
    fn make_room(&self) {
        let mut counted = self.counted.write().expect(NO_PANIC);
        if counted.len() > COUNTED_MAX {
            *counted = RateLimiter::keyed(self.quota);
        }
    }
}

const NO_PANIC: &str = "nothing panics while holding this lock";

/// One in each `every`, and `burst` at once, at least one.
fn quota(every: Duration, burst: u32) -> Option<Quota> {
    let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
    Quota::with_period(every).map(|quota| quota.allow_burst(burst))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u32) -> Asker {
        Asker::Address(std::net::Ipv4Addr::from(number).into())
    }

    #[test]
    fn each_asker_and_each_kind_has_a_bucket_of_its_own() {
        let pace = Pace::new(1, 20);
        for _ in 0..20 {
            assert_eq!(pace.ask(address(1), Kind::Cheap), Ok(()));
        }
        let wait = pace.ask(address(1), Kind::Cheap).unwrap_err();
        assert!(
            wait > Duration::ZERO && wait <= Duration::from_secs(1),
            "{wait:?}"
        );
        assert_eq!(pace.ask(address(2), Kind::Cheap), Ok(()));
        assert_eq!(
            pace.ask(Asker::Key(KeyHash::from_bytes([1; 32])), Kind::Cheap),
            Ok(())
        );
        for kind in [Kind::Dear, Kind::Write] {
            for _ in 0..2 {
                assert_eq!(pace.ask(address(1), kind), Ok(()));
            }
            let wait = pace.ask(address(1), kind).unwrap_err();
            assert!(wait > Duration::from_secs(8), "{kind:?} {wait:?}");
        }
        for _ in 0..5 {
            assert_eq!(pace.ask(address(1), Kind::Login), Ok(()));
        }
        assert!(pace.ask(address(1), Kind::Login).is_err());
    }

    #[test]
    fn zero_is_no_limit_but_for_logins() {
        let pace = Pace::new(0, 0);
        for kind in [Kind::Cheap, Kind::Dear, Kind::Write] {
            for _ in 0..10_000 {
                assert_eq!(pace.ask(address(1), kind), Ok(()));
            }
        }
        let logins = (0..100).filter(|_| pace.ask(address(1), Kind::Login).is_ok());
        assert_eq!(logins.count(), 5);
    }

    #[test]
    fn memory_is_bounded_whoever_asks() {
        let pace = Pace::new(1, 1);
        for number in 0..200_000 {
            assert_eq!(pace.ask(address(number), Kind::Cheap), Ok(()));
        }
        let buckets = pace.of(Kind::Cheap).unwrap();
        let counted = || buckets.counted.read().unwrap().len();
        assert!(counted() <= COUNTED_MAX + 1, "{}", counted());
        assert!(pace.ask(address(199_999), Kind::Cheap).is_err());
        std::thread::sleep(Duration::from_millis(2_500));
        pace.sweep();
        assert_eq!(counted(), 0);
    }

    #[test]
    fn requests_are_told_apart_by_what_they_cost() {
        let kind = |method, path| Kind::of(&method, path);
        assert_eq!(kind(Method::GET, "/api/v1/status"), Kind::Cheap);
        assert_eq!(kind(Method::HEAD, "/"), Kind::Cheap);
        assert_eq!(kind(Method::OPTIONS, "/api/v1/luck"), Kind::Cheap);
        for dear in [
            "/api/v1/miners/x/doctor",
            "/miners/x/why",
            "/api/v1/miners/x/statement.csv",
            "/api/v1/luck",
            "/metrics",
        ] {
            assert_eq!(kind(Method::GET, dear), Kind::Dear, "{dear}");
        }
        assert_eq!(kind(Method::POST, "/operator/login"), Kind::Write);
        assert_eq!(kind(Method::DELETE, "/api/v1/luck"), Kind::Write);
    }
}
