//! Programs that ask the API, each on its own connection and once a second, whatever the answer takes.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    runtime::Runtime,
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval_at},
};

use super::PROXY;
use crate::soak::figures::percentile;

/// How often each asks.
const EVERY: Duration = Duration::from_secs(1);
/// An answer that takes longer is none.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// All of them.
pub(super) struct Readers {
    tasks: Vec<JoinHandle<()>>,
    began: Instant,
    seen: Arc<Mutex<Seen>>,
    leaving: Arc<AtomicBool>,
}

/// What they saw.
#[derive(Default)]
pub(super) struct Seen {
    /// By what was asked, how long each answer took.
    times: BTreeMap<&'static str, Vec<Duration>>,
    /// How many answers had which status; 0 is none.
    statuses: BTreeMap<u16, u64>,
    /// For how long they asked.
    time: Duration,
}

/// What is asked, in turn; `{}` is an address.
const PATHS: [&str; 8] = [
    "/api/v1/status",
    "/api/v1/pools",
    "/api/v1/pools/main",
    "/api/v1/pools/main/blocks",
    "/api/v1/pools/main/hashrate",
    "/api/v1/miners/{}",
    "/api/v1/miners/{}/workers",
    "/api/v1/miners/{}/hashrate",
];

impl Readers {
    pub(super) fn ask(crowd: &Runtime, port: u16, count: u32, addresses: &[String]) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let leaving = Arc::new(AtomicBool::new(false));
        let began = Instant::now();
        let tasks = (0..count).map(|number| {
            let (seen, leaving) = (Arc::clone(&seen), Arc::clone(&leaving));
            let place = usize::try_from(number).unwrap();
            let address = addresses[place % addresses.len()].clone();
            let client = reqwest::Client::builder()
                .local_address(PROXY.parse::<IpAddr>().unwrap())
                .timeout(ANSWER_WITHIN)
                .build()
                .unwrap();
            let mut ticks = interval_at(began + EVERY * number / count, EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
            crowd.spawn(async move {
                for path in PATHS.iter().cycle().skip(place) {
                    let due = ticks.tick().await;
                    if leaving.load(Ordering::SeqCst) {
                        break;
                    }
                    let url = format!("http://127.0.0.1:{port}{}", path.replace("{}", &address));
                    let asked = client.get(url);
                    let asked = asked.header("x-forwarded-for", format!("100.100.{number}.1"));
                    let status = async {
                        let answer = asked.send().await?;
                        let status = answer.status().as_u16();
                        answer.bytes().await?;
                        reqwest::Result::Ok(status)
                    };
                    let status = status.await.unwrap_or(0);
                    let mut seen = seen.lock().unwrap();
                    seen.times.entry(path).or_default().push(due.elapsed());
                    *seen.statuses.entry(status).or_default() += 1;
                }
            })
        });
        let tasks = {
            let _within = crowd.enter();
            tasks.collect()
        };
        Self {
            tasks,
            began,
            seen,
            leaving,
        }
    }

    /// No more questions; answers are waited for.
    pub(super) fn end(self, crowd: &Runtime) -> Seen {
        self.leaving.store(true, Ordering::SeqCst);
        let time = self.began.elapsed();
        crowd.block_on(async {
            for task in self.tasks {
                task.await.unwrap();
            }
        });
        let mut seen = std::mem::take(&mut *self.seen.lock().unwrap());
        seen.time = time;
        seen
    }
}

impl Seen {
    pub(super) fn add(&mut self, other: Self) {
        for (path, times) in other.times {
            self.times.entry(path).or_default().extend(times);
        }
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        self.time += other.time;
    }

    pub(super) fn print(&mut self) {
        println!(
            "answers of the API by status, in {:?}: {:?}",
            self.time, self.statuses
        );
        for (path, times) in &mut self.times {
            times.sort_unstable();
            println!(
                "{path}: {} answers, p50 {:?}, p99 {:?}, longest {:?}",
                times.len(),
                percentile(times, 50),
                percentile(times, 99),
                percentile(times, 100)
            );
        }
    }

    /// Fails unless each of so many questions a second was answered well.
    pub(super) fn check(&self, per_second: u32) {
        let good = self.statuses.get(&200).copied().unwrap_or(0);
        assert_eq!(self.statuses.len(), 1, "{:?}", self.statuses);
        let due = self.time.as_secs() * u64::from(per_second);
        assert!(good >= due * 95 / 100, "{good} answers to {due} questions");
    }
}
