//! A pool that does what its test says, and judges shares by what it has sent.
//!
//! Nothing of the worker is used to judge: coinbase, tree and header are those of rust-bitcoin.

use bitcoin::{
    Amount, CompactTarget, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness,
    absolute::LockTime,
    block::{Header, Version},
    consensus::{deserialize, serialize},
    hashes::Hash as _,
    transaction,
};
use mining::{Difficulty, merkle::Branch};
use pow::{Algorithm, Hash};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use super::PATIENCE;

/// The listener.
pub(crate) struct Pool(TcpListener);

/// A worker that has connected.
pub(crate) struct Miner {
    stream: BufReader<TcpStream>,
    pub(crate) extranonce1: Vec<u8>,
    pub(crate) extranonce2_size: usize,
    pub(crate) version_mask: Option<u32>,
    pub(crate) algorithm: Algorithm,
    jobs: u8,
}

/// A job as it was sent, with the terms of that moment.
#[derive(Clone)]
pub(crate) struct Job {
    pub(crate) notify: Value,
    previous: bitcoin::BlockHash,
    others: Vec<Txid>,
    extranonce1: Vec<u8>,
    extranonce2_size: usize,
}

const NTIME: u32 = 1_700_000_000;
const VERSION: i32 = 0x2000_2000;
const BITS: u32 = 0x1d00_ffff;

impl Pool {
    pub(crate) async fn new() -> Self {
        Self::at(0).await
    }

    pub(crate) async fn at(port: u16) -> Self {
        Self(TcpListener::bind(("127.0.0.1", port)).await.unwrap())
    }

    pub(crate) fn port(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }

    pub(crate) fn url(&self) -> String {
        format!("stratum+tcp://127.0.0.1:{}", self.port())
    }

    pub(crate) async fn accept(&self) -> Miner {
        let accepted = timeout(PATIENCE, self.0.accept()).await;
        let (stream, _) = accepted.expect("the worker comes").unwrap();
        Miner {
            stream: BufReader::new(stream),
            extranonce1: vec![8, 0, 0, 2],
            extranonce2_size: 4,
            version_mask: Some(super::MASK),
            algorithm: Algorithm::Sha256d,
            jobs: 0,
        }
    }
}

impl Miner {
    /// Grants what is asked for, up to the first job.
    pub(crate) async fn shake_hands(&mut self) {
        if self.algorithm == Algorithm::Sha256d {
            let configure = self.request("mining.configure").await;
            let granted = match self.version_mask {
                Some(mask) => json!({"version-rolling": true,
                    "version-rolling.mask": format!("{mask:08x}")}),
                None => json!({"version-rolling": false}),
            };
            self.answer(&configure, granted);
        }
        let subscribe = self.request("mining.subscribe").await;
        let extranonce1 = hex::encode(&self.extranonce1);
        self.answer(
            &subscribe,
            json!([[["mining.notify", "1"]], extranonce1, self.extranonce2_size]),
        );
        let authorize = self.request("mining.authorize").await;
        self.answer(&authorize, json!(true));
        let extranonce = self.request("mining.extranonce.subscribe").await;
        self.answer(&extranonce, json!(true));
    }

    /// The worker's next line as it came; nothing if it has gone.
    pub(crate) async fn next_line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = timeout(PATIENCE, self.stream.read_line(&mut line)).await;
        match read.expect("the worker speaks") {
            Ok(1..) => Some(line),
            _ => None,
        }
    }

    /// The worker's next line; nothing if it has gone.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        let line = self.next_line().await?;
        Some(serde_json::from_str(&line).unwrap())
    }

    pub(crate) async fn line(&mut self) -> Value {
        self.next().await.expect("the worker is there")
    }

    /// The worker's next line, which has to be this request.
    pub(crate) async fn request(&mut self, method: &str) -> Value {
        let line = self.line().await;
        assert_eq!(line["method"], json!(method), "{line}");
        line
    }

    /// Until the worker hangs up, whatever it says before.
    pub(crate) async fn gone(mut self) {
        while self.next().await.is_some() {}
    }

    pub(crate) fn send(&mut self, line: Value) {
        self.send_bytes(format!("{line}\n").as_bytes());
    }

    /// What does not fit the socket's buffer is lost, as the worker has then gone.
    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        let _ = self.stream.get_ref().try_write(bytes);
    }

    /// All of it, or as much as the worker takes before it hangs up.
    pub(crate) async fn send_all(&mut self, bytes: &[u8]) {
        let _ = timeout(PATIENCE, self.stream.write_all(bytes)).await;
    }

    pub(crate) fn answer(&mut self, request: &Value, result: Value) {
        self.send(json!({"id": request["id"], "result": result, "error": null}));
    }

    pub(crate) fn refuse(&mut self, request: &Value, code: i32, text: &str) {
        let error = json!([code, text, null]);
        self.send(json!({"id": request["id"], "result": null, "error": error}));
    }

    pub(crate) fn set_difficulty(&mut self, difficulty: Difficulty) {
        self.send(json!({"id": null, "method": "mining.set_difficulty",
            "params": [difficulty.to_f64()]}));
    }

    /// Sends a job of its own: no two have the same previous block.
    pub(crate) fn notify(&mut self, id: &str, clean: bool) -> Job {
        self.jobs += 1;
        let previous: [u8; 32] = std::array::from_fn(|at| self.jobs ^ at.to_le_bytes()[0]);
        let others: Vec<Txid> = (0..5).map(|at| Txid::from_byte_array([at; 32])).collect();
        let leaves: Vec<Hash> = others.iter().map(|id| Hash(id.to_byte_array())).collect();
        let branch: Vec<String> = Branch::new(&leaves)
            .hashes()
            .iter()
            .map(hex::encode)
            .collect();

        let room = self.extranonce1.len() + self.extranonce2_size;
        let coinbase = serialize(&coinbase(room));
        // Version 4, count 1, outpoint 36, length 1, and three bytes of height.
        let (before, after) = (45, 45 + room);
        let mut words = previous;
        words
            .as_chunks_mut::<4>()
            .0
            .iter_mut()
            .for_each(|word| word.reverse());
        let notify = json!({"id": null, "method": "mining.notify", "params": [
            id,
            hex::encode(words),
            hex::encode(&coinbase[..before]),
            hex::encode(&coinbase[after..]),
            branch,
            format!("{VERSION:08x}"),
            format!("{BITS:08x}"),
            format!("{NTIME:08x}"),
            clean,
        ]});
        self.send(notify.clone());
        Job {
            notify,
            previous: bitcoin::BlockHash::from_byte_array(previous),
            others,
            extranonce1: self.extranonce1.clone(),
            extranonce2_size: self.extranonce2_size,
        }
    }

    /// Panics unless the share is one for the job, at the difficulty; gives the proof's hash.
    #[track_caller]
    pub(crate) fn verify(&self, job: &Job, share: &Value, difficulty: Difficulty) -> Hash {
        let sent = &job.notify["params"];
        let params = share["params"].as_array().unwrap();
        assert_eq!(params[1], sent[0], "the job is the one sent");
        let number = |digits: &Value| {
            let digits = digits.as_str().unwrap();
            assert_eq!(digits.len(), 8);
            u32::from_str_radix(digits, 16).unwrap()
        };
        let extranonce2 = hex::decode(params[2].as_str().unwrap()).unwrap();
        assert_eq!(extranonce2.len(), job.extranonce2_size);
        let half = |at: usize| hex::decode(sent[at].as_str().unwrap()).unwrap();
        let coinbase = [half(2), job.extranonce1.clone(), extranonce2, half(3)].concat();
        let coinbase: Transaction = deserialize(&coinbase).unwrap();
        let leaves = [coinbase.compute_txid()]
            .into_iter()
            .chain(job.others.clone());
        let root = bitcoin::merkle_tree::calculate_root(leaves).unwrap();

        let template = number(&sent[5]);
        let version = match self.version_mask {
            None => {
                assert_eq!(params.len(), 5, "rolling was not agreed");
                template
            }
            Some(mask) => {
                let bits = number(&params[5]);
                assert_eq!(bits & !mask, 0, "only bits of the mask are rolled");
                template & !mask | bits
            }
        };
        let time = number(&params[3]);
        assert!((NTIME..=NTIME + 600).contains(&time));
        let header = Header {
            version: Version::from_consensus(i32::from_le_bytes(version.to_le_bytes())),
            prev_blockhash: job.previous,
            merkle_root: root.to_raw_hash().into(),
            time,
            bits: CompactTarget::from_consensus(number(&sent[6])),
            nonce: number(&params[4]),
        };
        let bytes: [u8; 80] = serialize(&header).try_into().unwrap();
        let hash = match self.algorithm {
            Algorithm::Sha256d => Hash(header.block_hash().to_byte_array()),
            Algorithm::Scrypt => pow::scrypt::hash(&bytes),
        };
        let target = difficulty.target(self.algorithm);
        assert!(target.is_met_by(&hash), "{hash} is above {target}");
        hash
    }
}

fn coinbase(room: usize) -> Transaction {
    let script = [vec![2, 0x65, 0], vec![0; room], b"/pool/".to_vec()].concat();
    Transaction {
        version: transaction::Version::ONE,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint::null(),
            script_sig: ScriptBuf::from_bytes(script),
            sequence: Sequence::MAX,
            witness: Witness::new(),
        }],
        output: vec![TxOut {
            value: Amount::from_sat(5_000_000_000),
            script_pubkey: ScriptBuf::from_bytes(vec![0x51]),
        }],
    }
}
