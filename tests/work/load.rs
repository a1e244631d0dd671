//! What workers of HTTP cost: 100 of them send shares one after the other and ask for jobs between them.
//! `make load` runs it in a release build; ordinary test runs leave it out.

// A test may spawn what it waits for itself.
#![allow(clippy::disallowed_methods)]

use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::worker::{Worker, sha256d};
use crate::{
    soak::figures::percentile,
    support::{ADDRESS, FIXED_DIFFICULTY, Rig, loopback, runtime},
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
    async fn ask(&mut self, request: &str) -> (u16, String) {
        self.stream.write_all(request.as_bytes()).await.unwrap();
        self.buffer.clear();
        loop {
            let mut bytes = [0; 8 * 1024];
            let count = self.stream.read(&mut bytes).await.unwrap();
            assert!(count > 0, "the pool hung up");
            self.buffer.extend_from_slice(&bytes[..count]);
            let text = std::str::from_utf8(&self.buffer).unwrap();
            let Some((head, body)) = text.split_once("\r\n\r\n") else {
                continue;
            };
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            if body.len() == length.unwrap().parse::<usize>().unwrap() {
                let status = head[9..12].parse().unwrap();
                return (status, body.to_owned());
            }
        }
    }
}

#[derive(Default)]
struct Waits {
    shares: Vec<Duration>,
    jobs: Vec<Duration>,
    too_fast: usize,
}

async fn work(worker: Worker, port: u16) -> Waits {
    let mut client = Client {
        stream: TcpStream::connect(loopback(port)).await.unwrap(),
        buffer: Vec::new(),
    };
    client.stream.set_nodelay(true).unwrap();
    let mut waits = Waits::default();
    let (begun, bearer) = (Instant::now(), worker.bearer());
    // A job is the same one for a while.
    let mut nonce = 0;
    while begun.elapsed() < TIME {
        let asked = Instant::now();
        let request = format!(
            "GET /pool/job?worker_id={} HTTP/1.1\r\nhost: x\r\nauthorization: {bearer}\r\n\r\n",
            worker.id()
        );
        let (status, job) = client.ask(&request).await;
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
            let request = format!(
                "POST /pool/share HTTP/1.1\r\nhost: x\r\nauthorization: {bearer}\r\n\
                 content-length: {}\r\n\r\n{body}",
                body.len()
            );
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
    let rig = Rig::with(FIXED_DIFFICULTY);
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
    let told = |name: &str, mut waits: Vec<Duration>| {
        waits.sort_unstable();
        let at = |percent| percentile(&waits, percent);
        println!("{name}: p50 {:?}, p99 {:?}", at(50), at(99));
    };
    println!(
        "{WORKERS} workers, {per_second} shares a second, {} too fast",
        all.too_fast
    );
    told("answer to a share", all.shares);
    told(&format!("answer with a job, of {jobs}"), all.jobs);
}
