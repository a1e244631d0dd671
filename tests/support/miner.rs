//! A miner that says exactly what a test wants said: raw lines over a raw socket.

use std::{
    io::{BufRead, BufReader, Write},
    time::Duration,
};

use pow::{Algorithm, Hash};
use serde_json::{Value, json};
use wire::sv1::{Notify, ServerMessage};

use super::{
    ADDRESS, PATIENCE,
    transport::{Duplex, Plain, Transport},
};

/// A connection to a pool.
pub(crate) struct Miner {
    connection: BufReader<Box<dyn Duplex>>,
    next_id: u64,
    pub(crate) extranonce1: Vec<u8>,
    pub(crate) extranonce2_size: usize,
    pub(crate) job: Option<Notify>,
    pub(crate) difficulty: Option<f64>,
    pub(crate) algorithm: Algorithm,
}

/// A solution to a job, as it is submitted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Solution {
    pub(crate) job_id: String,
    pub(crate) extranonce2: Vec<u8>,
    pub(crate) ntime: u32,
    pub(crate) nonce: u32,
    pub(crate) version_bits: Option<u32>,
    pub(crate) hash: Hash,
}

impl Miner {
    pub(crate) fn connect(port: u16) -> Self {
        Self::over(&Plain, port)
    }

    pub(crate) fn over(transport: &dyn Transport, port: u16) -> Self {
        Self::on_any(transport.connect(port))
    }

    pub(crate) fn on(stream: impl Duplex + 'static) -> Self {
        Self::on_any(Box::new(stream))
    }

    fn on_any(connection: Box<dyn Duplex>) -> Self {
        connection.socket().set_nodelay(true).unwrap();
        let miner = Self {
            connection: BufReader::new(connection),
            next_id: 1,
            extranonce1: Vec::new(),
            extranonce2_size: 0,
            job: None,
            difficulty: None,
            algorithm: Algorithm::Sha256d,
        };
        miner.wait_at_most(PATIENCE);
        miner
    }

    fn wait_at_most(&self, time: Duration) {
        let socket = self.connection.get_ref().socket();
        socket.set_read_timeout(Some(time)).unwrap();
    }

    /// Connects, agrees on rolling versions and logs in.
    pub(crate) fn ready(port: u16) -> Self {
        let mut miner = Self::connect(port);
        miner.configure();
        miner.log_in(&format!("{ADDRESS}.test"));
        miner
    }

    pub(crate) fn configure(&mut self) -> Value {
        let options = json!({"version-rolling.mask": "ffffffff"});
        self.ask("mining.configure", json!([["version-rolling"], options]))
    }

    /// Subscribes, authorizes and waits for the first job.
    pub(crate) fn log_in(&mut self, user: &str) {
        self.log_in_as("test/1", user);
    }

    /// The same, as a device that calls itself this.
    pub(crate) fn log_in_as(&mut self, agent: &str, user: &str) {
        self.subscribe(agent);
        let reply = self.ask("mining.authorize", json!([user, "x"]));
        assert_eq!(reply["result"], true, "{reply}");
        while self.job.is_none() {
            self.hear();
        }
    }

    pub(crate) fn subscribe(&mut self, agent: &str) -> Value {
        let reply = self.ask("mining.subscribe", json!([agent]));
        self.extranonce1 = hex::decode(reply["result"][1].as_str().unwrap()).unwrap();
        self.extranonce2_size = usize::try_from(reply["result"][2].as_u64().unwrap()).unwrap();
        reply
    }

    pub(crate) fn say(&mut self, line: &str) {
        self.try_say(line).unwrap();
    }

    pub(crate) fn try_say(&mut self, line: &str) -> std::io::Result<()> {
        self.try_say_bytes(line.as_bytes())
    }

    /// A line that need not be text.
    pub(crate) fn try_say_bytes(&mut self, line: &[u8]) -> std::io::Result<()> {
        let connection = self.connection.get_mut();
        connection.write_all(&[line, b"\n"].concat())?;
        connection.flush()
    }

    /// Bytes that are no whole line, or the rest of one.
    pub(crate) fn say_part(&mut self, bytes: &[u8]) {
        let connection = self.connection.get_mut();
        connection.write_all(bytes).unwrap();
        connection.flush().unwrap();
    }

    /// The next line as it came; nothing once the pool has hung up.
    pub(crate) fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.connection.read_line(&mut line) {
            Ok(0) | Err(_) => None,
            Ok(_) => line.ends_with('\n').then(|| line.trim_end().to_owned()),
        }
    }

    /// Hears one message, and follows jobs and difficulties. Nothing once the pool has hung up.
    pub(crate) fn try_hear(&mut self) -> Option<Value> {
        let line = self.line()?;
        self.follow(&line);
        Some(serde_json::from_str(&line).unwrap())
    }

    /// Does what a line from the pool asks for.
    pub(crate) fn follow(&mut self, line: &str) {
        match ServerMessage::parse(line.as_bytes()).unwrap_or_else(|e| panic!("{e}: {line}")) {
            ServerMessage::Notify(notify) => self.job = Some(notify),
            ServerMessage::SetDifficulty(difficulty) => self.difficulty = Some(difficulty.get()),
            _ => {}
        }
    }

    #[track_caller]
    pub(crate) fn hear(&mut self) -> Value {
        self.try_hear()
            .expect("the pool should have said something")
    }

    /// Hears until the answer to `id` comes.
    #[track_caller]
    pub(crate) fn answer_to(&mut self, id: u64) -> Value {
        loop {
            let message = self.hear();
            if message["id"] == id {
                return message;
            }
        }
    }

    #[track_caller]
    pub(crate) fn ask(&mut self, method: &str, params: Value) -> Value {
        let id = self.send(method, params);
        self.answer_to(id)
    }

    pub(crate) fn send(&mut self, method: &str, params: Value) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.say(&json!({"id": id, "method": method, "params": params}).to_string());
        id
    }

    /// The first solution to the job in hand that `wanted` takes, by its hash, searching from this
    /// nonce with these version bits.
    pub(crate) fn solve(
        &self,
        extranonce2: u64,
        version_bits: Option<u32>,
        mut wanted: impl FnMut(&Hash) -> bool,
    ) -> Solution {
        let notify = self.job.as_ref().expect("there is a job");
        let extranonce2 = extranonce2.to_be_bytes()[8 - self.extranonce2_size..].to_vec();
        for nonce in 0.. {
            let header = self.header(notify, &extranonce2, version_bits, notify.work.ntime, nonce);
            let hash = self.algorithm.hash(&header);
            if wanted(&hash) {
                return Solution {
                    job_id: notify.job_id.clone(),
                    extranonce2,
                    ntime: notify.work.ntime,
                    nonce,
                    version_bits,
                    hash,
                };
            }
        }
        unreachable!("some nonce is wanted")
    }

    /// The header that a solution stands for, made by the miner's own rules.
    pub(crate) fn header(
        &self,
        notify: &Notify,
        extranonce2: &[u8],
        version_bits: Option<u32>,
        ntime: u32,
        nonce: u32,
    ) -> [u8; 80] {
        let extranonce = [&self.extranonce1, extranonce2].concat();
        header(notify, &extranonce, version_bits, ntime, nonce)
    }

    /// What a share must meet.
    pub(crate) fn target(&self) -> mining::Target {
        let difficulty = mining::Difficulty::from_f64(self.difficulty.unwrap()).unwrap();
        difficulty.target(self.algorithm)
    }

    /// What a block must meet.
    fn network_target(&self) -> mining::Target {
        let bits = self.job.as_ref().expect("there is a job").work.bits;
        mining::Target::from_compact(bits).unwrap()
    }

    /// A share of the job in hand. It is no block, as what comes after one is stale, unless blocks are
    /// about as easy as shares.
    pub(crate) fn share(&self, extranonce2: u64) -> Solution {
        let (target, network) = (self.target(), self.network_target());
        let may_be_block = network.work().hashes() <= 2 * target.work().hashes();
        self.solve(extranonce2, None, |hash| {
            target.is_met_by(hash) && (may_be_block || !network.is_met_by(hash))
        })
    }

    /// A block on the job in hand.
    pub(crate) fn block(&self, extranonce2: u64, version_bits: Option<u32>) -> Solution {
        let target = self.network_target();
        self.solve(extranonce2, version_bits, |hash| target.is_met_by(hash))
    }

    /// Hears until there is a job on another block than this one's.
    pub(crate) fn hear_new_tip(&mut self) {
        let before = self
            .job
            .as_ref()
            .expect("there is a job")
            .work
            .previous_block;
        while self.job.as_ref().unwrap().work.previous_block == before {
            self.hear();
        }
    }

    /// Hears until there is another job than this one.
    pub(crate) fn hear_new_job(&mut self) {
        let before = self.job.as_ref().expect("there is a job").job_id.clone();
        while self.job.as_ref().unwrap().job_id == before {
            self.hear();
        }
    }

    #[track_caller]
    pub(crate) fn submit(&mut self, solution: &Solution) -> Value {
        let id = self.send_share(solution);
        self.answer_to(id)
    }

    pub(crate) fn send_share(&mut self, solution: &Solution) -> u64 {
        self.send(
            "mining.submit",
            Self::params(&format!("{ADDRESS}.test"), solution),
        )
    }

    /// Sends a share if the pool still listens; gives the id of its answer.
    pub(crate) fn try_send_share(&mut self, solution: &Solution) -> Option<u64> {
        let id = self.next_id;
        self.next_id += 1;
        let params = Self::params(&format!("{ADDRESS}.test"), solution);
        let line = json!({"id": id, "method": "mining.submit", "params": params}).to_string();
        self.try_say(&line).ok().map(|()| id)
    }

    pub(crate) fn params(user: &str, solution: &Solution) -> Value {
        let mut params = vec![
            json!(user),
            json!(solution.job_id),
            json!(hex::encode(&solution.extranonce2)),
            json!(format!("{:08x}", solution.ntime)),
            json!(format!("{:08x}", solution.nonce)),
        ];
        if let Some(bits) = solution.version_bits {
            params.push(json!(format!("{bits:08x}")));
        }
        Value::Array(params)
    }

    /// Whether the pool hangs up within this time.
    pub(crate) fn is_hung_up(&mut self, within: Duration) -> bool {
        self.wait_at_most(within);
        let hung_up = loop {
            let mut line = String::new();
            match self.connection.read_line(&mut line) {
                Ok(0) => break true,
                Ok(_) => {}
                Err(error) => {
                    use std::io::ErrorKind::{TimedOut, WouldBlock};
                    break !matches!(error.kind(), TimedOut | WouldBlock);
                }
            }
        };
        self.wait_at_most(PATIENCE);
        hung_up
    }

    /// What comes within this time, though nothing should.
    pub(crate) fn overheard(&mut self, within: Duration) -> String {
        self.wait_at_most(within);
        let mut line = String::new();
        // Silence is an error here, and what was read before it stays.
        let _ = self.connection.read_line(&mut line);
        self.wait_at_most(PATIENCE);
        line
    }
}

/// The header of a job with this extranonce, both parts of it, made by a miner's rules.
pub(crate) fn header(
    notify: &Notify,
    extranonce: &[u8],
    version_bits: Option<u32>,
    ntime: u32,
    nonce: u32,
) -> [u8; 80] {
    let work = &notify.work;
    let coinbase = [&work.coinbase1[..], extranonce, &work.coinbase2].concat();
    let root = work
        .branch
        .iter()
        .fold(pow::sha256d(&coinbase), |node, sibling| {
            pow::sha256d(&[node.0, *sibling].concat())
        });
    let version = work.version | version_bits.unwrap_or(0);
    let mut header = [0; 80];
    header[..4].copy_from_slice(&version.to_le_bytes());
    header[4..36].copy_from_slice(&work.previous_block);
    header[36..68].copy_from_slice(&root.0);
    header[68..72].copy_from_slice(&ntime.to_le_bytes());
    header[72..76].copy_from_slice(&work.bits.to_le_bytes());
    header[76..].copy_from_slice(&nonce.to_le_bytes());
    header
}
