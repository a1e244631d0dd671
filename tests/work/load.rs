//! What workers of HTTP cost: 100 of them send shares one after the other and ask for jobs between them; what a
//! thousand can send, and how soon a hundred that wait hear of a block, are in files beside this one. `make load` runs
//! all in a release build; ordinary test runs leave them out.

// A test may spawn what it waits for itself.
#![allow(clippy::disallowed_methods)]

mod new_block;
mod saturated;

use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::worker::{Worker, sha256d};
use crate::{
    load::cores::Cores,
    soak::figures::percentile,
    support::{ADDRESS, FIXED_DIFFICULTY, Pool, PoolSettings, Rig, loopback, runtime},
};

const WORKERS: usize = 100;
const TIME: Duration = Duration::from_secs(15);
/// A job is asked for after so many shares.
const SHARES_OF_JOB: usize = 20;

/// One connection that is kept.
struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    async fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(loopback(port)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    async fn ask(&mut self, request: &str) -> (u16, String) {
        self.stream.write_all(request.as_bytes()).await.unwrap();
        self.buffer.clear();
        loop {
            let mut bytes = [0; 8 * 1024];
            let count = self.stream.read(&mut bytes).await.unwrap();
            assert!(count > 0, "the pool hung up");
            self.buffer.extend_from_slice(&bytes[..count]);
            if let Some((status, body)) = answer(&self.buffer) {
                return (status, body.to_owned());
            }
        }
    }
}

/// Status and body of an answer, once all of it is there.
fn answer(bytes: &[u8]) -> Option<(u16, &str)> {
    let text = std::str::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n")?;
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let is_whole = body.len() == length.unwrap().parse::<usize>().unwrap();
    is_whole.then(|| (head[9..12].parse().unwrap(), body))
}

/// The request of a worker for a job, with this more in its query.
fn job_request(id: &str, bearer: &str, more: &str) -> String {
    format!(
        "GET /pool/job?worker_id={id}{more} HTTP/1.1\r\nhost: x\r\nauthorization: {bearer}\r\n\r\n"
    )
}

/// The request of a worker that sends a share.
fn share_request(bearer: &str, body: &str) -> String {
    format!(
        "POST /pool/share HTTP/1.1\r\nhost: x\r\nauthorization: {bearer}\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A pool with processors of its own, where there are some. What the calling thread starts from then on has the rest,
/// so that what its miners cost is not counted as the pool's.
fn pool_apart(cores: &Cores, folder: &TempDir, daemons: String) -> Pool {
    let settings = PoolSettings {
        log: "filter = \"info\"",
        // Work that has not changed is not offered again meanwhile.
        pool: "refresh_s = 3600\n",
        daemons,
        ..PoolSettings::default()
    };
    cores.take_those_of_the_pool();
    let pool = Pool::start_without_waiting(folder, &settings);
    cores.take_the_rest();
    pool.wait_until_ready();
    pool
}

fn told(name: &str, mut waits: Vec<Duration>) {
    waits.sort_unstable();
    let at = |percent| percentile(&waits, percent);
    println!("{name}: p50 {:?}, p99 {:?}", at(50), at(99));
}

#[derive(Default)]
struct Waits {
    shares: Vec<Duration>,
    jobs: Vec<Duration>,
    too_fast: usize,
}

async fn work(worker: Worker, port: u16) -> Waits {
    let mut client = Client::connect(port).await;
    let mut waits = Waits::default();
    let (begun, bearer) = (Instant::now(), worker.bearer());
    // A job is the same one for a while.
    let mut nonce = 0;
    while begun.elapsed() < TIME {
        let asked = Instant::now();
        let (status, job) = client.ask(&job_request(worker.id(), &bearer, "")).await;
        waits.jobs.push(asked.elapsed());
        assert_eq!(status, 200, "{job}");
        let job: Value = serde_json::from_str(&job).unwrap();
        let target = job["share_target"].as_str().unwrap();
        let mut hash = sha256d(&job, worker.range().0);
        for _ in 0..SHARES_OF_JOB {
            let digits = loop {
                nonce += 1;
                let digits = hash(nonce);
                if digits.as_str() <= target {
                    break digits;
                }
            };
            let body = format!(
                r#"{{"worker_id":"{}","job_id":{},"nonce":{nonce},"extra_nonce":{},"hash":"{digits}"}}"#,
                worker.id(),
                job["job_id"],
                worker.range().0
            );
            let request = share_request(&bearer, &body);
            let sent = Instant::now();
            let (status, text) = client.ask(&request).await;
            match status {
                200 => waits.shares.push(sent.elapsed()),
                429 => {
                    waits.too_fast += 1;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                other => panic!("{other}: {text}"),
            }
        }
    }
    waits
}

#[test]
#[ignore = "measures: make load"]
fn a_hundred_workers_of_http_send_shares_as_fast_as_they_are_answered() {
    // No share is a block, which would make the others' jobs stale.
    let rig = Rig::heavy(FIXED_DIFFICULTY);
    let port = rig.pool.miners;
    let workers: Vec<Worker> = (0..WORKERS)
        .map(|number| Worker::register(port, &format!("rig{number}"), ADDRESS))
        .collect();
    let all = runtime().block_on(async {
        let tasks: Vec<_> = workers
            .into_iter()
            .map(|worker| tokio::spawn(work(worker, port)))
            .collect();
        let mut all = Waits::default();
        for task in tasks {
            let waits = task.await.unwrap();
            all.shares.extend(waits.shares);
            all.jobs.extend(waits.jobs);
            all.too_fast += waits.too_fast;
        }
        all
    });
    let stored = rig.pool.status()["shares"]["stored"].as_u64().unwrap();
    assert_eq!(stored, u64::try_from(all.shares.len()).unwrap());
    let (shares, jobs) = (all.shares.len(), all.jobs.len());
    let per_second = u64::try_from(shares).unwrap() / TIME.as_secs();
    println!(
        "{WORKERS} workers, {per_second} shares a second, {} too fast",
        all.too_fast
    );
    told("answer to a share", all.shares);
    told(&format!("answer with a job, of {jobs}"), all.jobs);
}
