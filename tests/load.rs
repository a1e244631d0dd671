//! The load: 1,000 miners submit shares at a steady rate while 1,000 people look at the pool and programs
//! ask its API 200 times a second. `make load` runs it in a release build; ordinary test runs leave it out.
//!
//! Turns without visitors and with them follow each other, and what is compared is how long miners wait
//! for the answers to 99 of 100 shares, from the moment at which each share was due. No share may be lost
//! or refused, no viewer cut off or left without news, and no question unanswered.
//!
//! `LOAD_TIME` is the seconds of a turn, `LOAD_SHARES` the shares a second, `LOAD_STREAM` the path that
//! viewers listen at.

// A test may spawn what it waits for itself.
#![allow(clippy::disallowed_methods)]

pub(crate) mod cores;
mod miners;
mod readers;
mod viewers;

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tokio::runtime::Runtime;

use self::{
    cores::{Cores, give_way},
    miners::{Miners, Turn},
    readers::Readers,
    viewers::Viewers,
};
use crate::{
    soak::figures::percentile,
    support::{
        FIXED_DIFFICULTY, Node, Pool, PoolSettings, heavy::HeavyNode, key::Key, stored, wait_for,
    },
};

/// Seconds of a turn, unless `LOAD_TIME` says otherwise.
const SECONDS: u64 = 20;
/// Shares a second of all miners together, unless `LOAD_SHARES` says otherwise: each has one a second, some
/// ten times as many as the pool's difficulty would ask of it.
const SHARES: u32 = 1_000;
const MINERS: usize = 1_000;
const VIEWERS: usize = 1_000;
/// Questions a second to the API.
const QUESTIONS: u32 = 200;
/// Whether there are visitors, turn by turn.
const TURNS: [bool; 5] = [false, true, false, true, false];
/// Shares before the first turn: a pool that has just started does some things for the first time.
const WARM_UP: Duration = Duration::from_secs(20);
/// Visitors come and go so long before a turn.
const SETTLE: Duration = Duration::from_secs(3);
/// A viewer hears something at least so often: each second turn of events.
const NEWS_EVERY: u64 = 4;
/// The wait of miners beside visitors, at most so many times theirs without.
const RATIO_MAX: f64 = 1.2;
/// What visitors come through. Each says by `X-Forwarded-For` who it is, so that the limits that are
/// shipped hold for all of them.
const PROXY: &str = "127.0.0.2";

fn number<T: std::str::FromStr>(name: &str, usual: T) -> T {
    let asked = std::env::var(name);
    asked.map_or(usual, |asked| {
        let number = asked.parse();
        number.unwrap_or_else(|_| panic!("{name} is a number"))
    })
}

/// What one turn showed.
struct Shown {
    with_visitors: bool,
    turn: Turn,
}

#[test]
#[ignore = "takes minutes: make load"]
fn miners_notice_nothing_of_a_thousand_viewers() {
    let time = Duration::from_secs(number("LOAD_TIME", SECONDS));
    let rate = number("LOAD_SHARES", SHARES);
    let stream = number("LOAD_STREAM", "/api/v1/events".to_owned());
    let folder = TempDir::new().unwrap();
    let cores = Cores::halves();
    cores.take_the_rest();
    let node = Node::regtest(&folder);
    // No share is a block: what a new block costs is another question.
    let heavy = HeavyNode::before(&node.rpc);
    let daemons = heavy.rpc.daemon() + "subsidy_only = false\n";
    let http = format!("proxy_from = [\"{PROXY}\"]\n");
    let settings = PoolSettings {
        log: "filter = \"info\"",
        http: &http,
        listener: FIXED_DIFFICULTY,
        daemons,
        ..PoolSettings::default()
    };
    cores.take_those_of_the_pool();
    let mut pool = Pool::start_without_waiting(&folder, &settings);
    cores.take_the_rest();
    pool.wait_until_ready();
    let crowd = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.rest())
        .on_thread_start(give_way)
        .enable_all()
        .build()
        .unwrap();

    let addresses: Vec<String> = (1..=200).map(|number| Key::new(number).address).collect();
    let mut miners = Miners::log_in(pool.miners, MINERS, &addresses);
    miners.mine(rate, WARM_UP);
    let mut shown = Vec::new();
    let mut readers_saw = readers::Seen::default();
    let mut fewest_news = u64::MAX;
    for with_visitors in TURNS {
        let visitors = with_visitors.then(|| Visitors::let_in(&crowd, &pool, &stream, &addresses));
        std::thread::sleep(SETTLE);
        let heard = visitors.as_ref().map(|visitors| visitors.viewers.heard());
        let (began, before) = (Instant::now(), cores::spent(&pool.process.id()));
        let turn = miners.mine(rate, time);
        let spent = cores::spent(&pool.process.id()) - before;
        let busy = 100.0 * spent.as_secs_f64() / began.elapsed().as_secs_f64();
        if let Some((visitors, heard)) = visitors.zip(heard) {
            let news = visitors.viewers.news_since(&heard);
            println!(
                "each viewer heard {} to {} events",
                news.first().unwrap(),
                news.last().unwrap()
            );
            fewest_news = fewest_news.min(news[0]);
            readers_saw.add(visitors.leave(&crowd));
        }
        println!("{}", line(with_visitors, &turn, busy));
        shown.push(Shown {
            with_visitors,
            turn,
        });
    }
    readers_saw.print();
    miners.end();
    let status = pool.process.stop();
    let accepted = miners.accepted();
    let stored = stored::hashes(&pool.database());
    println!(
        "{} shares accepted, {} in the database",
        accepted.len(),
        stored.len()
    );

    let log = pool.process.log_text();
    assert!(!log.contains("panicked"), "see {:?}", pool.process.log);
    assert!(status.success(), "{status}");
    miners.check();
    assert_eq!(
        accepted.iter().collect::<HashSet<_>>().len(),
        accepted.len()
    );
    let lost = accepted.iter().filter(|hash| !stored.contains_key(hash));
    assert_eq!(lost.count(), 0, "accepted and not in the database");
    readers_saw.check(QUESTIONS);
    let wanted = (time.as_secs() / NEWS_EVERY).max(1);
    assert!(
        fewest_news >= wanted,
        "a viewer heard {fewest_news} events in {time:?}"
    );
    let alone = together(&shown, false);
    let beside = together(&shown, true);
    let ratio = beside.as_secs_f64() / alone.as_secs_f64();
    println!("p99 without visitors {alone:?}, beside them {beside:?}: {ratio:.2} times");
    assert!(ratio <= RATIO_MAX, "{ratio:.2} is above {RATIO_MAX}");
}

/// Whoever is no miner.
struct Visitors {
    viewers: Viewers,
    readers: Readers,
}

impl Visitors {
    fn let_in(crowd: &Runtime, pool: &Pool, stream: &str, addresses: &[String]) -> Self {
        let viewers = Viewers::open(crowd, pool.http, stream, VIEWERS);
        wait_for("all viewers to listen", || viewers.all_listen());
        Self {
            viewers,
            readers: Readers::ask(crowd, pool.http, QUESTIONS, addresses),
        }
    }

    fn leave(self, crowd: &Runtime) -> readers::Seen {
        self.viewers.check();
        let seen = self.readers.end(crowd);
        self.viewers.close();
        seen
    }
}

fn line(with_visitors: bool, turn: &Turn, busy: f64) -> String {
    let who = match with_visitors {
        true => "beside visitors",
        false => "alone          ",
    };
    let of = |percent| percentile(&turn.waits, percent);
    format!(
        "{who}: {} shares, p50 {:?}, p99 {:?}, longest {:?}; sent late p99 {:?}; the pool used {busy:.1} % \
         of a processor",
        turn.waits.len(),
        of(50),
        of(99),
        of(100),
        percentile(&turn.late, 99)
    )
}

/// The wait for 99 of 100 shares of all turns of a kind.
fn together(shown: &[Shown], with_visitors: bool) -> Duration {
    let of_kind = shown
        .iter()
        .filter(|shown| shown.with_visitors == with_visitors);
    let mut waits: Vec<Duration> = of_kind.flat_map(|shown| shown.turn.waits.clone()).collect();
    waits.sort_unstable();
    percentile(&waits, 99)
}
