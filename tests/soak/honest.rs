//! An honest miner: a share every two seconds, and now and then it leaves and comes back, half the
//! time with the session it had.

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use pow::{Algorithm, Hash};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    net::{
        TcpSocket, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::{Instant, sleep, sleep_until, timeout},
};
use wire::sv1::{Notify, ServerMessage};

use super::dice::Dice;
use crate::support::{ADDRESS, DEVICES, Miner, loopback, miner};

/// The mean time between two shares.
const SHARE_MS: u64 = 2_000;
/// One of so many shares is the last of its connection: about one connection of a hundred goes
/// each second.
const SHARES_A_CONNECTION: u64 = 50;
/// All come within this time at the start.
const ARRIVAL_MS: u64 = 5_000;
/// An answer that takes longer is none.
const ANSWER_MAX: Duration = Duration::from_secs(20);
/// A share is called stale so long before its miner has heard of the new tip, at most.
const TIP_MAX: Duration = Duration::from_secs(2);

/// What all honest miners have seen.
#[derive(Default)]
pub(super) struct Seen {
    /// The pool is told to end: from now on hanging up is no fault.
    pub(super) ending: AtomicBool,
    accepted: Mutex<Vec<Hash>>,
    faults: Mutex<Vec<String>>,
    stale: AtomicU64,
    connections: AtomicU64,
}

impl Seen {
    pub(super) fn accept(&self, hash: Hash) {
        self.accepted.lock().unwrap().push(hash);
    }

    pub(super) fn fault(&self, fault: String) {
        if !self.is_ending() {
            self.faults.lock().unwrap().push(fault);
        }
    }

    fn is_ending(&self) -> bool {
        self.ending.load(Ordering::SeqCst)
    }

    /// Every share that was answered "accepted", in the order of the answers.
    pub(super) fn accepted(&self) -> Vec<Hash> {
        self.accepted.lock().unwrap().clone()
    }

    pub(super) fn faults(&self) -> Vec<String> {
        self.faults.lock().unwrap().clone()
    }

    pub(super) fn stale(&self) -> u64 {
        self.stale.load(Ordering::Relaxed)
    }

    pub(super) fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }
}

/// A miner.
pub(super) struct Honest {
    port: u16,
    number: usize,
    seen: Arc<Seen>,
    dice: Dice,
    user: String,
    /// Never the same twice, as the pool may give back an earlier extranonce1.
    extranonce2: u64,
    session: Option<String>,
}

/// A connection of one.
struct Connection {
    lines: Lines<BufReader<OwnedReadHalf>>,
    writer: OwnedWriteHalf,
    extranonce1: Vec<u8>,
    extranonce2_size: usize,
    job: Option<Notify>,
    target: Option<mining::Target>,
    next_id: u64,
    /// Shares without an answer, the oldest first.
    sent: Vec<Sent>,
    /// Called stale while no newer tip was heard of.
    suspect: Option<(Instant, [u8; 32])>,
}

struct Sent {
    id: u64,
    hash: Hash,
    previous_block: [u8; 32],
    at: Instant,
}

impl Honest {
    pub(super) fn new(port: u16, number: usize, seen: Arc<Seen>) -> Self {
        Self {
            port,
            number,
            seen,
            dice: Dice::new(1000 + u64::try_from(number).unwrap()),
            user: format!("{ADDRESS}.rig{number}"),
            extranonce2: 0,
            session: None,
        }
    }

    /// Mines until the pool ends.
    pub(super) async fn mine(mut self) {
        sleep(Duration::from_millis(self.dice.below(ARRIVAL_MS))).await;
        while !self.seen.is_ending() {
            self.seen.connections.fetch_add(1, Ordering::Relaxed);
            if let Err(fault) = self.connection().await {
                self.seen.fault(format!("miner {}: {fault}", self.number));
                sleep(Duration::from_secs(1)).await;
            }
        }
    }

    /// One connection, until it is given up or the pool ends.
    async fn connection(&mut self) -> Result<(), String> {
        let mut connection = self.log_in().await?;
        let mut next_share = Instant::now() + self.pause();
        loop {
            tokio::select! {
                line = connection.lines.next_line() => {
                    match line {
                        Ok(Some(line)) => connection.hear(&line, &self.seen)?,
                        Ok(None) | Err(_) if self.seen.is_ending() => return Ok(()),
                        Ok(None) => return Err("the pool hung up".into()),
                        Err(error) => return Err(error.to_string()),
                    }
                }
                () = sleep_until(next_share) => {
                    connection.check()?;
                    if !self.seen.is_ending() {
                        self.extranonce2 += 1;
                        let share = connection.share(self.extranonce2, &self.user);
                        connection.say(&share).await?;
                        if self.dice.below(SHARES_A_CONNECTION) == 0 {
                            return Ok(());
                        }
                    }
                    next_share = Instant::now() + self.pause();
                }
            }
        }
    }

    fn pause(&mut self) -> Duration {
        Duration::from_millis(SHARE_MS / 2 + self.dice.below(SHARE_MS))
    }

    async fn log_in(&mut self) -> Result<Connection, String> {
        let stream = connect(&address(self.number), self.port)
            .await
            .map_err(|error| format!("cannot connect: {error}"))?;
        let mut connection = Connection::new(stream);
        let agent = DEVICES[self.number % DEVICES.len()];
        let session = match self.session.take() {
            Some(_) if self.dice.below(2) == 0 => None,
            session => session,
        };
        let params = session.map_or_else(|| json!([agent]), |session| json!([agent, session]));
        let reply = connection
            .ask("mining.subscribe", &params, &self.seen)
            .await?;
        let result = &reply["result"];
        let extranonce1 = hex::decode(result[1].as_str().ok_or(reply.to_string())?);
        connection.extranonce1 = extranonce1.map_err(|error| error.to_string())?;
        let size = result[2]
            .as_u64()
            .and_then(|size| usize::try_from(size).ok());
        connection.extranonce2_size = size.ok_or(reply.to_string())?;
        self.session = result[0][0][1].as_str().map(str::to_owned);
        let params = json!([self.user, "x"]);
        let reply = connection
            .ask("mining.authorize", &params, &self.seen)
            .await?;
        if reply["result"] != true {
            return Err(format!("not let in: {reply}"));
        }
        while connection.job.is_none() {
            let line = connection.line().await?;
            connection.hear(&line, &self.seen)?;
        }
        Ok(connection)
    }
}

/// The address of a miner: some live behind one, and no hostile peer has it.
fn address(number: usize) -> String {
    format!("127.1.{}.{}", number % 8, 1 + number / 8 % 50)
}

pub(super) async fn connect(address: &str, port: u16) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(format!("{address}:0").parse().map_err(io::Error::other)?)?;
    let stream = socket.connect(loopback(port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl Connection {
    fn new(stream: TcpStream) -> Self {
        let (reader, writer) = stream.into_split();
        Self {
            lines: BufReader::new(reader).lines(),
            writer,
            extranonce1: Vec::new(),
            extranonce2_size: 0,
            job: None,
            target: None,
            next_id: 1,
            sent: Vec::new(),
            suspect: None,
        }
    }

    async fn say(&mut self, line: &str) -> Result<(), String> {
        let written = self.writer.write_all(line.as_bytes()).await;
        written.map_err(|error| format!("cannot say anything: {error}"))
    }

    async fn line(&mut self) -> Result<String, String> {
        let line = timeout(ANSWER_MAX, self.lines.next_line()).await;
        let line = line.map_err(|_| "the pool does not answer".to_owned())?;
        let line = line.map_err(|error| error.to_string())?;
        line.ok_or_else(|| "the pool hung up".to_owned())
    }

    fn request(&mut self, method: &str, params: &Value) -> (u64, String) {
        let id = self.next_id;
        self.next_id += 1;
        let request = json!({"id": id, "method": method, "params": params});
        (id, format!("{request}\n"))
    }

    async fn ask(&mut self, method: &str, params: &Value, seen: &Seen) -> Result<Value, String> {
        let (id, request) = self.request(method, params);
        self.say(&request).await?;
        loop {
            let line = self.line().await?;
            let message: Value = serde_json::from_str(&line).map_err(|e| e.to_string())?;
            if message["id"] == id {
                return Ok(message);
            }
            self.hear(&line, seen)?;
        }
    }

    /// Follows jobs and difficulties, and takes the answers to shares.
    fn hear(&mut self, line: &str, seen: &Seen) -> Result<(), String> {
        match ServerMessage::parse(line.as_bytes()).map_err(|e| format!("{e}: {line}"))? {
            ServerMessage::Notify(notify) => {
                let previous_block = notify.work.previous_block;
                self.suspect.take_if(|(_, tip)| *tip != previous_block);
                self.job = Some(notify);
            }
            ServerMessage::SetDifficulty(difficulty) => {
                let difficulty = mining::Difficulty::from_f64(difficulty.get());
                let difficulty = difficulty.ok_or("a difficulty that is none")?;
                self.target = Some(difficulty.target(Algorithm::Sha256d));
            }
            _ => {
                let answer: Value = serde_json::from_str(line).map_err(|e| e.to_string())?;
                let found = self.sent.iter().position(|sent| answer["id"] == sent.id);
                if let Some(at) = found {
                    let sent = self.sent.remove(at);
                    self.answered(&sent, &answer, seen)?;
                }
            }
        }
        Ok(())
    }

    fn answered(&mut self, sent: &Sent, answer: &Value, seen: &Seen) -> Result<(), String> {
        if answer["result"] == true {
            seen.accept(sent.hash);
        } else if answer["error"][1] == "Stale" {
            seen.stale.fetch_add(1, Ordering::Relaxed);
            let job = self.job.as_ref().ok_or("an answer before any job")?;
            if job.work.previous_block == sent.previous_block {
                self.suspect = Some((Instant::now(), sent.previous_block));
            }
        } else {
            return Err(format!("a good share was refused: {answer}"));
        }
        Ok(())
    }

    /// Whether the pool owes something for too long.
    fn check(&self) -> Result<(), String> {
        if self.suspect.is_some_and(|(at, _)| at.elapsed() > TIP_MAX) {
            return Err("a share of the newest tip was called stale".into());
        }
        match self.sent.first() {
            Some(sent) if sent.at.elapsed() > ANSWER_MAX => Err(format!(
                "no answer to a share after {:?}",
                sent.at.elapsed()
            )),
            _ => Ok(()),
        }
    }

    /// A share of the job in hand, as a line.
    fn share(&mut self, extranonce2: u64, user: &str) -> String {
        let target = self.target.expect("the difficulty comes before the job");
        let notify = self.job.as_ref().expect("there is a job");
        let extranonce2 = extranonce2.to_be_bytes()[8 - self.extranonce2_size..].to_vec();
        let extranonce = [&self.extranonce1[..], &extranonce2].concat();
        let ntime = notify.work.ntime;
        let (nonce, hash) = (0..=u32::MAX)
            .map(|nonce| {
                let header = miner::header(notify, &extranonce, None, ntime, nonce);
                (nonce, Algorithm::Sha256d.hash(&header))
            })
            .find(|(_, hash)| target.is_met_by(hash))
            .expect("one hash in sixteen is a share");
        let solution = miner::Solution {
            job_id: notify.job_id.clone(),
            extranonce2,
            ntime,
            nonce,
            version_bits: None,
            hash,
        };
        let previous_block = notify.work.previous_block;
        let (id, line) = self.request("mining.submit", &Miner::params(user, &solution));
        self.sent.push(Sent {
            id,
            hash,
            previous_block,
            at: Instant::now(),
        });
        line
    }
}
