//! How soon workers that wait by long poll hear of a new block. Each hears of it once.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Client, job_request, pool_apart};
use crate::{
    load::cores::Cores,
    soak::figures::percentile,
    support::{ADDRESS, Node, runtime},
    work::worker::Worker,
};

const WORKERS: usize = 100;
const BLOCKS: u64 = 20;
/// Between two blocks, in which nobody is told anything.
const PAUSE: Duration = Duration::from_millis(300);
/// The node's login, as a header has it.
const LOGIN: &str = "Basic YWRpdDphZGl0";

/// A worker that waits.
struct Seat {
    client: Client,
    id: String,
    bearer: String,
    /// The newest job.
    job: Value,
}

impl Seat {
    async fn new(port: u16, worker: &Worker) -> Self {
        let (client, id) = (Client::connect(port).await, worker.id().to_owned());
        let mut seat = Self {
            client,
            id,
            bearer: worker.bearer(),
            job: Value::Null,
        };
        let request = job_request(&seat.id, &seat.bearer, "");
        let (status, job) = seat.client.ask(&request).await;
        assert_eq!(status, 200, "{job}");
        seat.job = serde_json::from_str(&job).unwrap();
        seat
    }

    /// Waits for other work than it has, for so many seconds at most: the answer, and when it was there.
    async fn wait(mut self, seconds: u64) -> (Self, String, Instant) {
        let job_id = self.job["job_id"].as_str().unwrap();
        let more = format!("&wait={seconds}&have={job_id}");
        let request = job_request(&self.id, &self.bearer, &more);
        let (status, job) = self.client.ask(&request).await;
        let at = Instant::now();
        assert_eq!(status, 200, "{job}");
        (self, job, at)
    }
}

#[test]
#[ignore = "measures: make load"]
fn a_hundred_workers_that_wait_hear_of_each_block_once() {
    // It keeps to some processors, which other tests need not.
    std::thread::spawn(measure).join().unwrap();
}

fn measure() {
    let folder = TempDir::new().unwrap();
    let cores = Cores::halves();
    cores.take_the_rest();
    // Of two hashes a block: what is measured is how it is told, not how it is found.
    let node = Node::regtest(&folder);
    // There is one template of each block.
    let daemons = node.rpc.daemon() + "subsidy_only = false\n";
    let pool = pool_apart(&cores, &folder, daemons);
    let workers: Vec<Worker> = (0..WORKERS)
        .map(|number| Worker::register(pool.miners, &format!("rig{number}"), ADDRESS))
        .collect();
    let mut blocks = Vec::new();
    let mut calls = Vec::new();
    runtime().block_on(async {
        let mut seats = Vec::new();
        for worker in &workers {
            seats.push(Seat::new(pool.miners, worker).await);
        }
        let mut rpc = Client::connect(node.rpc.port).await;
        for height in 1..=BLOCKS {
            let waiting: Vec<_> = seats
                .drain(..)
                .map(|seat| tokio::spawn(seat.wait(60)))
                .collect();
            tokio::time::sleep(PAUSE).await;
            let early = waiting.iter().filter(|task| task.is_finished());
            assert_eq!(early.count(), 0, "told of something else before {height}");
            let sent = Instant::now();
            let (status, told) = rpc.ask(&generate()).await;
            calls.push(sent.elapsed());
            assert_eq!(status, 200, "{told}");
            let mut waits = Vec::new();
            for task in waiting {
                let (mut seat, job, at) = task.await.unwrap();
                let job: Value = serde_json::from_str(&job).unwrap();
                assert_eq!(job["height"], height + 1, "{job}");
                assert_ne!(job["prev_hash"], seat.job["prev_hash"]);
                waits.push(at - sent);
                seat.job = job;
                seats.push(seat);
            }
            waits.sort_unstable();
            blocks.push(waits);
        }
        // Nor is anything told after the last one.
        let waiting: Vec<_> = seats
            .into_iter()
            .map(|seat| tokio::spawn(seat.wait(1)))
            .collect();
        for task in waiting {
            let (seat, job, _) = task.await.unwrap();
            let job: Value = serde_json::from_str(&job).unwrap();
            assert_eq!(job["job_id"], seat.job["job_id"]);
        }
    });
    calls.sort_unstable();
    println!(
        "{WORKERS} workers that wait, {BLOCKS} blocks, from when the node is asked to make one (which takes p50 \
         {:?}):",
        percentile(&calls, 50)
    );
    for (name, percent) in [
        ("the first one told", 0),
        ("half of them told", 50),
        ("99 of 100 told", 99),
        ("the last one told", 100),
    ] {
        let mut of_blocks: Vec<Duration> = blocks
            .iter()
            .map(|waits| percentile(waits, percent))
            .collect();
        of_blocks.sort_unstable();
        let at = |percent| percentile(&of_blocks, percent);
        println!(
            "{name}: shortest {:?}, p50 {:?}, longest {:?}",
            at(0),
            at(50),
            at(100)
        );
    }
}

/// The call that has the node make a block.
fn generate() -> String {
    let body = json!({"jsonrpc": "1.0", "id": 1, "method": "generatetoaddress",
                      "params": [1, ADDRESS]});
    let body = body.to_string();
    format!(
        "POST / HTTP/1.1\r\nhost: x\r\nauthorization: {LOGIN}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}
