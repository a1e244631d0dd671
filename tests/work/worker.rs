//! A worker of HTTP as a test drives it: it hashes for real.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    sync::atomic::AtomicBool,
    time::Duration,
};

use pow::visionx::{Dataset, EpochSeed, Figures, Machine, Params};
use serde_json::{Value, json};

use crate::support::{loopback, runtime};

/// More hashes than any share of a test takes.
const HASHES_MAX: u64 = 100_000;

pub(super) struct Worker {
    port: u16,
    id: String,
    wallet: String,
    token: Option<String>,
    range: (u64, u64),
}

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) text: String,
}

impl Answer {
    #[track_caller]
    pub(super) fn json(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text);
        serde_json::from_str(&self.text).unwrap()
    }
}

impl Worker {
    #[track_caller]
    pub(super) fn register(port: u16, id: &str, wallet: &str) -> Self {
        let mut worker = Self::with_token(port, id, wallet, None);
        let told = worker.registration().json();
        assert_eq!(told["ok"], true);
        worker.token = Some(told["token"].as_str().unwrap().to_owned());
        let number = |key: &str| told[key].as_u64().unwrap();
        worker.range = (number("extra_nonce_start"), number("extra_nonce_end"));
        worker
    }

    pub(super) fn with_token(port: u16, id: &str, wallet: &str, token: Option<&str>) -> Self {
        Self {
            port,
            id: id.to_owned(),
            wallet: wallet.to_owned(),
            token: token.map(str::to_owned),
            range: (0, 0),
        }
    }

    pub(super) fn registration(&self) -> Answer {
        let body = json!({"worker_id": self.id, "wallet_address": self.wallet,
                          "worker_name": self.id, "version": "test/1"});
        self.post("/pool/register", &body)
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn bearer(&self) -> String {
        format!("Bearer {}", self.token.as_deref().unwrap())
    }

    pub(super) fn range(&self) -> (u64, u64) {
        self.range
    }

    #[track_caller]
    pub(super) fn job(&self) -> Value {
        self.get(&format!("/pool/job?worker_id={}", self.id)).json()
    }

    pub(super) fn submit(&self, share: &Value) -> Answer {
        self.post("/pool/share", share)
    }

    /// No more than the 100 shares a second that a worker may send.
    pub(super) fn wait_for_rate(&self, sent: u64) {
        if sent.is_multiple_of(50) {
            std::thread::sleep(Duration::from_millis(600));
        }
    }

    /// A share of this job, as it is sent: another one each time.
    pub(super) fn mine(&self, job: &Value) -> Value {
        self.mine_to(job, job["share_target"].as_str().unwrap())
    }

    /// One that meets this target.
    pub(super) fn mine_to(&self, job: &Value, target: &str) -> Value {
        static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let from = NEXT.fetch_add(HASHES_MAX, std::sync::atomic::Ordering::Relaxed);
        let mut hash: Box<dyn FnMut(u64) -> String> = match job["algorithm"].as_str().unwrap() {
            "visionx" => visionx(job),
            "sha256d" => sha256d(job, self.range.0),
            other => panic!("{other}"),
        };
        for nonce in from..from + HASHES_MAX {
            let digits = hash(nonce);
            if digits.as_str() <= target {
                return json!({"worker_id": self.id, "wallet_address": self.wallet,
                    "job_id": job["job_id"], "nonce": nonce, "extra_nonce": self.range.0,
                    "hash": digits, "hashrate": 12.5});
            }
        }
        panic!("no share in {HASHES_MAX} hashes");
    }

    /// The statuses of so many answers, one after the other.
    pub(super) fn ask_on_one_connection(&self, path: &str, count: usize) -> Vec<u16> {
        let mut stream = TcpStream::connect(loopback(self.port)).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
        let mut statuses = Vec::new();
        for _ in 0..count {
            stream.write_all(request.as_bytes()).unwrap();
            let mut reader = BufReader::new(&stream);
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            statuses.push(line[9..12].parse().unwrap());
            let mut length = 0;
            while line != "\r\n" {
                line.clear();
                reader.read_line(&mut line).unwrap();
                if let Some(value) = line.strip_prefix("content-length: ") {
                    length = value.trim().parse().unwrap();
                }
            }
            std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink()).unwrap();
        }
        statuses
    }

    pub(super) fn get(&self, path: &str) -> Answer {
        self.send("GET", path, None)
    }

    pub(super) fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, Some(body))
    }

    fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        let mut request = reqwest::Client::new().request(method.parse().unwrap(), url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        runtime().block_on(async {
            let response = request.send().await.unwrap();
            let status = response.status().as_u16();
            let text = response.text().await.unwrap();
            Answer { status, text }
        })
    }
}

/// By the definition, from what the job says alone, with the whole dataset in memory.
fn visionx(job: &Value) -> Box<dyn FnMut(u64) -> String> {
    let message = hex::decode(job["message"].as_str().unwrap()).unwrap();
    let seed = hex::decode(job["epoch_seed"].as_str().unwrap()).unwrap();
    let seed = EpochSeed(seed.try_into().unwrap());
    let figures: Figures = serde_json::from_value(job["visionx"].clone()).unwrap();
    let params = Params::new(figures).unwrap();
    let epoch = job["epoch"].as_u64().unwrap();
    let dataset = Dataset::filled(params, &seed, epoch, &AtomicBool::new(false)).unwrap();
    let mut machine = Machine::new();
    Box::new(move |nonce| machine.hash(&dataset, &message, nonce).to_string())
}

/// Likewise: coinbase, branch and header are put together here.
pub(super) fn sha256d(job: &Value, extra_nonce: u64) -> Box<dyn FnMut(u64) -> String + Send> {
    let bytes = |key: &str| hex::decode(job[key].as_str().unwrap()).unwrap();
    let size = usize::try_from(job["extranonce2_size"].as_u64().unwrap()).unwrap();
    let extra = extra_nonce.to_be_bytes();
    let extra = &extra[8 - size..];
    let coinbase = [&bytes("coinbase1"), extra, &bytes("coinbase2")].concat();
    let mut root = pow::sha256d(&coinbase).0;
    for step in job["merkle_branch"].as_array().unwrap() {
        let step = hex::decode(step.as_str().unwrap()).unwrap();
        root = pow::sha256d(&[&root[..], &step].concat()).0;
    }
    assert_eq!(hex::encode(root), job["merkle_root"].as_str().unwrap());
    let mut previous = bytes("prev_hash");
    previous.reverse();
    let number = |key: &str| {
        u32::try_from(job[key].as_u64().unwrap())
            .unwrap()
            .to_le_bytes()
    };
    let bits = wire::hex::u32_padded(job["bits"].as_str().unwrap()).unwrap();
    let mut header = [
        &number("version")[..],
        &previous,
        &root,
        &number("ntime"),
        &bits.to_le_bytes(),
    ]
    .concat();
    header.extend([0; 4]);
    Box::new(move |nonce| {
        let nonce = u32::try_from(nonce).unwrap();
        header[76..].copy_from_slice(&nonce.to_le_bytes());
        pow::sha256d(&header).to_string()
    })
}
