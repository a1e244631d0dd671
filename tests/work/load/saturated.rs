//! How many shares a second the pool takes by HTTP where no worker comes near its own limit: a thousand of them have a
//! hundred connections together. Beside it stand a hundred connections of Stratum, as many shares, of the same pool.
//!
//! All shares are found beforehand. Each connection has one under way, and sends the next when it is answered.

use std::time::{Duration, Instant};

use pow::Hash;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use wire::sv1::{ServerMessage, client};

use super::{Client, answer, job_request, pool_apart, share_request, told};
use crate::{
    load::cores::{Cores, spent},
    support::{ADDRESS, Miner, Node, Pool, heavy::HeavyNode, loopback, runtime},
    work::worker::header,
};

const WORKERS: usize = 1_000;
const CONNECTIONS: usize = 100;
/// Shares of each connection.
const SHARES: usize = 3_000;
/// What a worker may send in a second. It may begin with as many at once.
const OF_WORKER_MAX: u64 = 100;

/// A connection, and what it sends.
struct Seat {
    stream: std::net::TcpStream,
    requests: Vec<Vec<u8>>,
}

#[test]
#[ignore = "measures: make load"]
fn a_thousand_workers_send_as_many_shares_as_the_pool_takes() {
    // It keeps to some processors, which other tests need not.
    std::thread::spawn(measure).join().unwrap();
}

fn measure() {
    let folder = TempDir::new().unwrap();
    let cores = Cores::halves();
    cores.take_the_rest();
    let node = Node::regtest(&folder);
    // No share is a block, which would make the others' jobs stale.
    let heavy = HeavyNode::before(&node.rpc);
    let daemons = heavy.rpc.daemon() + "subsidy_only = false\n";
    let pool = pool_apart(&cores, &folder, daemons);

    let requests = runtime().block_on(by_http(pool.miners));
    let seats = requests.into_iter().map(|requests| Seat {
        stream: std::net::TcpStream::connect(loopback(pool.miners)).unwrap(),
        requests,
    });
    let seats: Vec<Seat> = seats.collect();
    let name = format!("{WORKERS} workers of HTTP over {CONNECTIONS} connections");
    let (shares, time) = run(&pool, &name, seats, 0, is_accepted_by_http);
    // Or it would be their limit that was measured.
    let workers = u64::try_from(WORKERS).unwrap();
    assert!(shares < workers * OF_WORKER_MAX * (1 + time.as_secs()));

    let seats = (0..CONNECTIONS).map(|number| by_stratum(pool.miners, number));
    let seats: Vec<Seat> = seats.collect();
    let name = format!("{CONNECTIONS} connections of Stratum");
    run(&pool, &name, seats, shares, is_accepted_by_stratum);
}

/// Sends all, and says how long it took; how many were stored, and the time.
fn run(
    pool: &Pool,
    name: &str,
    seats: Vec<Seat>,
    stored_before: u64,
    is_accepted: fn(&[u8]) -> bool,
) -> (u64, Duration) {
    let shares: usize = seats.iter().map(|seat| seat.requests.len()).sum();
    let shares = u64::try_from(shares).unwrap();
    let process = pool.process.id();
    let (begun, used) = (Instant::now(), spent(&process));
    let waits = runtime().block_on(async {
        let tasks = seats.into_iter().map(|seat| send(seat, is_accepted));
        let tasks: Vec<_> = tasks.map(tokio::spawn).collect();
        let mut waits = Vec::new();
        for task in tasks {
            waits.extend(task.await.unwrap());
        }
        waits
    });
    let (time, used) = (begun.elapsed(), spent(&process) - used);
    let stored = pool.status()["shares"]["stored"].as_u64().unwrap();
    assert_eq!(stored - stored_before, shares);
    let ms = u64::try_from(time.as_millis()).unwrap();
    println!(
        "{name}: {} shares a second, all {shares} stored, in {time:.1?}; the pool used {:?} of a processor for each",
        shares * 1_000 / ms,
        used / u32::try_from(shares).unwrap()
    );
    told("answer to a share", waits);
    (shares, time)
}

/// Sends one after the other; how long each answer took.
async fn send(seat: Seat, is_accepted: fn(&[u8]) -> bool) -> Vec<Duration> {
    seat.stream.set_nodelay(true).unwrap();
    seat.stream.set_nonblocking(true).unwrap();
    let mut stream = tokio::net::TcpStream::from_std(seat.stream).unwrap();
    let mut waits = Vec::with_capacity(seat.requests.len());
    let mut buffer = Vec::new();
    for request in &seat.requests {
        let sent = Instant::now();
        stream.write_all(request).await.unwrap();
        buffer.clear();
        while !is_accepted(&buffer) {
            let count = stream.read_buf(&mut buffer).await.unwrap();
            assert!(count > 0, "the pool hung up");
        }
        waits.push(sent.elapsed());
    }
    waits
}

/// Whether all of an answer is there, which accepts a share.
fn is_accepted_by_http(bytes: &[u8]) -> bool {
    let Some((status, body)) = answer(bytes) else {
        return false;
    };
    assert_eq!(status, 200, "{body}");
    true
}

/// The same of lines, between which there may be a job.
fn is_accepted_by_stratum(bytes: &[u8]) -> bool {
    if !bytes.ends_with(b"\n") {
        return false;
    }
    let lines = bytes
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    let mut answers = lines.filter_map(|line| match ServerMessage::parse(line).unwrap() {
        ServerMessage::Response(answer) => Some(answer),
        _ => None,
    });
    let Some(answer) = answers.next() else {
        return false;
    };
    assert!(answer.accepted(), "{}", String::from_utf8_lossy(bytes));
    true
}

/// The nonces and hashes of so many shares of a header.
fn solve(mut header: [u8; 80], count: usize, is_share: impl Fn(&Hash) -> bool) -> Vec<(u32, Hash)> {
    let hashes = (0..=u32::MAX).map(|nonce| {
        header[76..].copy_from_slice(&nonce.to_le_bytes());
        (nonce, pow::sha256d(&header))
    });
    let shares = hashes.filter(|(_, hash)| is_share(hash));
    shares.take(count).collect()
}

/// Registers the workers, and finds the shares of each connection. Those of its workers take turns.
async fn by_http(port: u16) -> Vec<Vec<Vec<u8>>> {
    let mut client = Client::connect(port).await;
    let of_connection = WORKERS / CONNECTIONS;
    let mut connections = Vec::new();
    for connection in 0..CONNECTIONS {
        let mut of_workers = Vec::new();
        for number in 0..of_connection {
            let id = format!("rig{connection}-{number}");
            let requests = shares_of(&mut client, &id, SHARES / of_connection).await;
            of_workers.push(requests.into_iter());
        }
        let mut requests = Vec::new();
        while let Some(round) = of_workers
            .iter_mut()
            .map(Iterator::next)
            .collect::<Option<Vec<_>>>()
        {
            requests.extend(round);
        }
        connections.push(requests);
    }
    connections
}

/// Registers a worker, and finds so many shares.
async fn shares_of(client: &mut Client, id: &str, count: usize) -> Vec<Vec<u8>> {
    let body = json!({"worker_id": id, "wallet_address": ADDRESS}).to_string();
    let request = format!(
        "POST /pool/register HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let (status, told) = client.ask(&request).await;
    assert_eq!(status, 200, "{told}");
    let told: Value = serde_json::from_str(&told).unwrap();
    let bearer = format!("Bearer {}", told["token"].as_str().unwrap());
    let (status, job) = client.ask(&job_request(id, &bearer, "")).await;
    assert_eq!(status, 200, "{job}");
    let job: Value = serde_json::from_str(&job).unwrap();
    let target: Hash = job["share_target"].as_str().unwrap().parse().unwrap();
    let (job_id, extra_nonce) = (&job["job_id"], job["extra_nonce_start"].as_u64().unwrap());
    let header: [u8; 80] = header(&job, extra_nonce).try_into().unwrap();
    let shares = solve(header, count, |hash| *hash <= target).into_iter();
    shares
        .map(|(nonce, hash)| {
            let body = format!(
                r#"{{"worker_id":"{id}","job_id":{job_id},"nonce":{nonce},"extra_nonce":{extra_nonce},"hash":"{hash}"}}"#
            );
            share_request(&bearer, &body).into_bytes()
        })
        .collect()
}

/// Logs in, and finds the shares.
fn by_stratum(port: u16, number: usize) -> Seat {
    let stream = std::net::TcpStream::connect(loopback(port)).unwrap();
    let mut miner = Miner::on(stream.try_clone().unwrap());
    let user = format!("{ADDRESS}.miner{number}");
    miner.log_in(&user);
    let job = miner.job.as_ref().unwrap();
    let (target, ntime) = (miner.target(), job.work.ntime);
    let extranonce2 = vec![0; miner.extranonce2_size];
    let header = miner.header(job, &extranonce2, None, ntime, 0);
    let shares = solve(header, SHARES, |hash| target.is_met_by(hash));
    let request = |(nonce, id): (u32, u64)| {
        let share = client::Share {
            worker: &user,
            job_id: &job.job_id,
            extranonce2: &extranonce2,
            ntime,
            nonce,
            version_bits: None,
        };
        let mut line = Vec::new();
        client::submit(&mut line, id, &share);
        line
    };
    let nonces = shares.into_iter().map(|(nonce, _)| nonce);
    let requests = nonces.zip(10..).map(request).collect();
    Seat { stream, requests }
}
