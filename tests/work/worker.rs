//! A worker of HTTP as a test drives it: it hashes for real.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    sync::atomic::AtomicBool,
    time::Duration,
};

use pow::visionx::{Dataset, EpochSeed, Figures, Machine, Params};
use serde_json::{Value, json};

use crate::support::{connect_from, runtime, wait_for};

/// More hashes than any share of a test takes.
const HASHES_MAX: u64 = 100_000;

pub(crate) struct Worker {
    port: u16,
    id: String,
    wallet: String,
    token: Option<String>,
    range: (u64, u64),
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) text: String,
}

impl Answer {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text);
        serde_json::from_str(&self.text).unwrap()
    }
}

impl Worker {
    #[track_caller]
    pub(crate) fn register(port: u16, id: &str, wallet: &str) -> Self {
        let mut worker = Self::with_token(port, id, wallet, None);
        let told = worker.registration().json();
        assert_eq!(told["ok"], true);
        worker.token = Some(told["token"].as_str().unwrap().to_owned());
        let number = |key: &str| told[key].as_u64().unwrap();
        worker.range = (number("extra_nonce_start"), number("extra_nonce_end"));
        worker
    }

    pub(crate) fn with_token(port: u16, id: &str, wallet: &str, token: Option<&str>) -> Self {
        Self {
            port,
            id: id.to_owned(),
            wallet: wallet.to_owned(),
            token: token.map(str::to_owned),
            range: (0, 0),
        }
    }

    pub(crate) fn registration(&self) -> Answer {
        self.try_registration().expect("the pool answers")
    }

    /// The same, where connections before it may still count.
    pub(crate) fn try_registration(&self) -> Option<Answer> {
        let body = json!({"worker_id": self.id, "wallet_address": self.wallet,
                          "worker_name": self.id, "version": "test/1"});
        self.try_send("POST", "/pool/register", Some(&body))
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn bearer(&self) -> String {
        format!("Bearer {}", self.token.as_deref().unwrap())
    }

    pub(crate) fn range(&self) -> (u64, u64) {
        self.range
    }

    #[track_caller]
    pub(crate) fn job(&self) -> Value {
        self.get(&format!("/pool/job?worker_id={}", self.id)).json()
    }

    pub(crate) fn submit(&self, share: &Value) -> Answer {
        self.post("/pool/share", share)
    }

    /// No more than the 100 shares a second that a worker may send.
    pub(crate) fn wait_for_rate(&self, sent: u64) {
        if sent.is_multiple_of(50) {
            std::thread::sleep(Duration::from_millis(600));
        }
    }

    /// A share of this job, as it is sent: another one each time.
    pub(crate) fn mine(&self, job: &Value) -> Value {
        self.mine_to(job, job["share_target"].as_str().unwrap())
    }

    /// One that meets this target.
    pub(crate) fn mine_to(&self, job: &Value, target: &str) -> Value {
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

    /// A block of a job of Bitcoin's, as it is sent. It takes millions of hashes, of which none is written down.
    pub(crate) fn bitcoin_block(&self, job: &Value) -> Value {
        let target: pow::Hash = job["target"].as_str().unwrap().parse().unwrap();
        let mut header = header(job, self.range.0);
        for nonce in 0..=u32::MAX {
            header[76..].copy_from_slice(&nonce.to_le_bytes());
            let hash = pow::sha256d(&header);
            if hash <= target {
                return json!({"worker_id": self.id, "wallet_address": self.wallet,
                    "job_id": job["job_id"], "nonce": nonce, "extra_nonce": self.range.0,
                    "hash": hash.to_string()});
            }
        }
        panic!("no block in all nonces");
    }

    /// The statuses of so many answers, one after the other, asked from an address of their own.
    pub(crate) fn ask_on_one_connection(&self, path: &str, count: usize) -> Vec<u16> {
        let mut stream = connect_from("127.0.0.2", self.port);
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

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send("GET", path, None)
    }

    pub(super) fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, Some(body))
    }

    /// A worker of a pool that may be away just now.
    pub(crate) fn try_register(port: u16, id: &str, wallet: &str) -> Option<Self> {
        let mut worker = Self::with_token(port, id, wallet, None);
        let answer = worker.try_registration()?;
        let told: Value = serde_json::from_str(&answer.text).ok()?;
        worker.token = Some(told["token"].as_str()?.to_owned());
        Some(worker)
    }

    /// Whether a share is accepted; nothing if the pool is gone or knows it no more.
    pub(crate) fn try_share(&self) -> Option<bool> {
        let path = format!("/pool/job?worker_id={}", self.id);
        let job = wait_for("work", || {
            let job = self.try_send("GET", &path, None);
            // There is none yet; its place is kept meanwhile.
            let is_early = job.as_ref().is_some_and(|job| job.status == 503);
            (!is_early).then_some(job)
        });
        let job: Value = serde_json::from_str(&job?.text).ok()?;
        let answer = self.try_send("POST", "/pool/share", Some(&self.mine(&job)))?;
        Some(answer.status == 200)
    }

    fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        self.try_send(method, path, body).expect("the pool answers")
    }

    fn try_send(&self, method: &str, path: &str, body: Option<&Value>) -> Option<Answer> {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        let mut request = reqwest::Client::new().request(method.parse().unwrap(), url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        runtime().block_on(async {
            let response = request.send().await.ok()?;
            let status = response.status().as_u16();
            let text = response.text().await.ok()?;
            Some(Answer { status, text })
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
pub(crate) fn sha256d(job: &Value, extra_nonce: u64) -> Box<dyn FnMut(u64) -> String + Send> {
    let mut header = header(job, extra_nonce);
    Box::new(move |nonce| {
        let nonce = u32::try_from(nonce).unwrap();
        header[76..].copy_from_slice(&nonce.to_le_bytes());
        pow::sha256d(&header).to_string()
    })
}

/// The header of a job of Bitcoin's with this extra nonce, and with a nonce of zero.
pub(super) fn header(job: &Value, extra_nonce: u64) -> Vec<u8> {
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
    [
        &number("version")[..],
        &previous,
        &root,
        &number("ntime"),
        &bits.to_le_bytes(),
        &[0; 4],
    ]
    .concat()
}
