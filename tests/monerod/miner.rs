//! A miner that speaks CryptoNote's Stratum and hashes by itself, light.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpStream,
    ops::Range,
    sync::{Arc, Mutex},
};

use pow::randomx::{Cache, Memory, Pages, Variant, Vm};
use serde_json::{Value, json};

use crate::support::{PATIENCE, loopback};

/// The cache of the first seed that was asked for; private networks begin with the same block.
static CACHE: Mutex<Option<Arc<Cache>>> = Mutex::new(None);

pub(crate) struct Miner {
    reader: BufReader<TcpStream>,
    id: u64,
    /// What the login's answer called the session.
    pub(crate) session: Value,
    /// The newest job.
    pub(crate) job: Value,
}

/// A share of a job.
#[derive(Clone)]
pub(crate) struct Share {
    pub(crate) job: Value,
    pub(crate) nonce: String,
    pub(crate) result: String,
}

fn machine(seed: &str) -> Vm {
    let key = hex::decode(seed).unwrap();
    let mut kept = CACHE.lock().unwrap();
    let cache = match &*kept {
        Some(cache) if cache.key() == key => Arc::clone(cache),
        _ => {
            let cache = Arc::new(Cache::new(Variant::Rx0, &key, Pages::Usual).unwrap());
            Arc::clone(kept.insert(cache))
        }
    };
    Vm::new(Memory::Light(cache), Pages::Usual).unwrap()
}

impl Miner {
    pub(crate) fn connect(port: u16) -> Self {
        Self::over(TcpStream::connect(loopback(port)).unwrap())
    }

    pub(crate) fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self {
            reader: BufReader::new(stream),
            id: 0,
            session: Value::Null,
            job: Value::Null,
        }
    }

    /// Connected and logged in.
    pub(crate) fn ready(port: u16, login: &str) -> Self {
        let mut miner = Self::connect(port);
        let told = miner.log_in(login);
        assert_eq!(told["result"]["status"], "OK", "{told}");
        miner
    }

    /// The answer to a login.
    pub(crate) fn log_in(&mut self, login: &str) -> Value {
        let params = json!({
            "login": login, "pass": "x", "agent": "XMRig/6.22.2", "algo": ["cn/r", "rx/0"],
        });
        let told = self.ask("login", params);
        self.session = told["result"]["id"].clone();
        self.job = told["result"]["job"].clone();
        told
    }

    /// For whoever writes more than a line at a time.
    pub(crate) fn stream(&mut self) -> &mut TcpStream {
        self.reader.get_mut()
    }

    pub(crate) fn say(&mut self, line: &str) {
        self.try_say(line).unwrap();
    }

    /// For whoever may have been hung up on.
    pub(crate) fn try_say(&mut self, line: &str) -> std::io::Result<()> {
        let line = [line.as_bytes(), b"\n"].concat();
        self.reader.get_mut().write_all(&line)
    }

    /// The next line; nothing once the pool has hung up.
    pub(crate) fn line(&mut self) -> Option<Value> {
        let mut line = String::new();
        match self.reader.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => Some(serde_json::from_str(&line).unwrap()),
            // It hung up while something was on its way to it.
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => None,
            Err(error) => panic!("{error}"),
        }
    }

    /// The next line that is no job. Jobs that come meanwhile are taken up.
    pub(crate) fn answer(&mut self) -> Option<Value> {
        loop {
            let line = self.line()?;
            if line["method"] != "job" {
                return Some(line);
            }
            self.job = line["params"].clone();
        }
    }

    /// The answer to a request; nothing once the pool has hung up.
    pub(crate) fn try_ask(&mut self, method: &str, params: Value) -> Option<Value> {
        self.id += 1;
        let id = self.id;
        let request = json!({"id": id, "jsonrpc": "2.0", "method": method, "params": params});
        self.try_say(&request.to_string()).ok()?;
        self.answer()
    }

    /// The answer to a request.
    #[track_caller]
    pub(crate) fn ask(&mut self, method: &str, params: Value) -> Value {
        let told = self.try_ask(method, params).expect("an answer");
        assert_eq!(told["id"], self.id, "{told}");
        told
    }

    /// Waits for a job of another block than the newest: each half a minute there is one of the same.
    pub(crate) fn hear_new_job(&mut self) {
        let height = self.job["height"].clone();
        while self.job["height"] == height {
            let line = self.line().expect("a job");
            assert_eq!(line["method"], "job", "{line}");
            self.job = line["params"].clone();
        }
    }

    /// Solves the newest job, from a nonce on.
    pub(crate) fn share(&self, from: u32) -> Share {
        self.solve(from, 0..self.bound())
    }

    /// A share that is no block where one takes so many hashes.
    pub(crate) fn no_block(&self, from: u32, network: u64) -> Share {
        self.solve(from, u64::MAX / network + 1..self.bound())
    }

    /// A share that is a block, too.
    pub(crate) fn block(&self, from: u32, network: u64) -> Share {
        self.solve(from, 0..u64::MAX / network)
    }

    /// A hash that does not meet the target.
    pub(crate) fn too_easy(&self) -> Share {
        self.solve(0, self.bound()..u64::MAX)
    }

    /// Below it are the upper bits of a share.
    fn bound(&self) -> u64 {
        let target = self.job["target"].as_str().unwrap();
        match hex::decode(target).unwrap()[..] {
            [a, b, c, d] => u64::MAX / u64::from(u32::MAX / u32::from_le_bytes([a, b, c, d])),
            ref eight => u64::from_le_bytes(eight.try_into().unwrap()),
        }
    }

    /// With upper bits in this range.
    fn solve(&self, from: u32, wanted: Range<u64>) -> Share {
        let text = |name: &str| self.job[name].as_str().unwrap();
        let mut blob = hex::decode(text("blob")).unwrap();
        let mut machine = machine(text("seed_hash"));
        for nonce in from.. {
            let nonce = nonce.to_le_bytes();
            blob[39..43].copy_from_slice(&nonce);
            let hash = machine.hash(&blob);
            if wanted.contains(&hash.limbs()[3]) {
                return Share {
                    job: self.job["job_id"].clone(),
                    nonce: hex::encode(nonce),
                    result: hex::encode(hash.0),
                };
            }
        }
        unreachable!("some nonce does")
    }

    /// The answer to a share.
    pub(crate) fn submit(&mut self, share: &Share) -> Value {
        let params = json!({
            "id": self.session, "job_id": share.job, "nonce": share.nonce,
            "result": share.result, "algo": "rx/0",
        });
        self.ask("submit", params)
    }

    /// Submits a share, which is accepted.
    #[track_caller]
    pub(crate) fn mine(&mut self, from: u32) {
        self.accepted(&self.share(from));
    }

    /// Submits a share that takes nobody's job away: it is no block where one takes so many hashes.
    #[track_caller]
    pub(crate) fn earn(&mut self, from: u32, network: u64) {
        self.accepted(&self.no_block(from, network));
    }

    #[track_caller]
    fn accepted(&mut self, share: &Share) {
        let told = self.submit(share);
        assert_eq!(told["result"]["status"], "OK", "{told}");
    }
}
