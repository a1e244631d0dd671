//! A pool of Monero's family that does what its test says, written with the pool's side of the wire, and
//! judges each share by hashing it itself.

use std::{
    collections::BTreeMap,
    num::NonZeroU64,
    sync::{Arc, Mutex},
};

use mining::cryptonote::ShareTarget;
use pow::{
    Hash,
    randomx::{Cache, Memory, Pages, Variant, Vm},
};
use wire::cryptonote::{
    ClientMessage, Extensions, Job as WireJob, JobId, OwnedId, Reason, Request, Work, reply,
};

use super::super::pool::{self, Pool};

pub(super) const SEED: [u8; 32] = [7; 32];
pub(super) const OTHER_SEED: [u8; 32] = [8; 32];
pub(super) const SESSION: &str = "a-session";

/// A worker that has connected.
pub(super) struct Miner {
    pub(super) line: pool::Miner,
    pub(super) extensions: Extensions,
    jobs: u8,
}

/// A job as it is sent.
#[derive(Clone)]
pub(super) struct Job {
    pub(super) id: u32,
    pub(super) blob: Vec<u8>,
    pub(super) target: ShareTarget,
    pub(super) algorithm: &'static str,
    pub(super) seed: [u8; 32],
    pub(super) next: Option<[u8; 32]>,
}

/// What a worker has logged in as.
pub(super) struct Login {
    pub(super) id: OwnedId,
    pub(super) login: String,
    pub(super) password: Option<String>,
    pub(super) agent: Option<String>,
    pub(super) rig: Option<String>,
    pub(super) algorithms: Vec<String>,
}

/// A share as it came.
#[derive(Debug)]
pub(super) struct Share {
    pub(super) id: OwnedId,
    pub(super) session: Option<String>,
    pub(super) job: u32,
    pub(super) nonce: [u8; 4],
    pub(super) result: Hash,
    pub(super) algorithm: Option<String>,
}

pub(super) async fn accept(pool: &Pool) -> Miner {
    Miner {
        line: pool.accept().await,
        extensions: Extensions {
            algorithm: true,
            ..Extensions::default()
        },
        jobs: 0,
    }
}

impl Job {
    /// After the same block as all others that are given so, at this difficulty.
    pub(super) fn new(id: u32, difficulty: u64) -> Self {
        // Version 16 twice, a time of five bytes, the block before, a nonce, a root and a count.
        let mut blob = vec![16, 16, 0x80, 0x80, 0x80, 0x80, 6];
        blob.extend([0x11; 32]);
        blob.extend([0; 4]);
        blob.extend(id.to_le_bytes().repeat(8));
        blob.push(1);
        Self {
            id,
            blob,
            target: ShareTarget::new(NonZeroU64::new(difficulty).unwrap()),
            algorithm: "rx/0",
            seed: SEED,
            next: None,
        }
    }

    fn wire(&self) -> WireJob<'_> {
        WireJob {
            work: Work::Blob(&self.blob),
            job_id: JobId(self.id),
            target: self.target.as_bytes(),
            algorithm: self.algorithm,
            height: 100,
            seed_hash: self.seed,
            next_seed_hash: self.next,
        }
    }

    /// Panics unless the share is one for this job.
    #[track_caller]
    pub(super) fn verify(&self, share: &Share) {
        assert_eq!(share.job, self.id, "the job is the one sent");
        assert_eq!(share.session.as_deref(), Some(SESSION));
        let mut blob = self.blob.clone();
        blob[39..43].copy_from_slice(&share.nonce);
        let hash = hash(self.seed, &blob);
        assert_eq!(hash, share.result);
        // As consensus' rule has it for the upper 64 bits, by the target as it was told.
        let [.., upper] = hash.limbs();
        let bound = match *self.target.as_bytes() {
            [a, b, c, d] => {
                let told = u64::from(u32::from_le_bytes([a, b, c, d]));
                u64::MAX / (u64::from(u32::MAX) / told)
            }
            ref eight => u64::from_le_bytes(eight.try_into().unwrap()),
        };
        assert!(upper < bound, "{upper} is not below {bound}");
    }
}

impl Miner {
    /// Reads the login and gives it this first job.
    pub(super) async fn let_in(&mut self, job: &Job) -> Login {
        let login = self.login().await;
        let extensions = self.extensions;
        self.write(|out| {
            let id = login.id.as_id();
            reply::logged_in(out, id, SESSION, &job.wire(), extensions);
        });
        login
    }

    pub(super) async fn login(&mut self) -> Login {
        let line = self.line.next_line().await.expect("the worker is there");
        let request = Request::parse(line.trim_end().as_bytes()).unwrap();
        let ClientMessage::Login(login) = request.message else {
            panic!("no login: {line}");
        };
        let owned = |text: std::borrow::Cow<'_, str>| text.into_owned();
        Login {
            id: request.id.to_owned(),
            login: login.login.into_owned(),
            password: login.password.map(owned),
            agent: login.agent.map(owned),
            rig: login.rig.map(owned),
            algorithms: login.algorithms.into_iter().map(owned).collect(),
        }
    }

    /// The worker's next line, which has to be a share.
    pub(super) async fn share(&mut self) -> Share {
        let line = self.line.next_line().await.expect("the worker is there");
        share(&line).unwrap_or_else(|| panic!("no share: {line}"))
    }

    /// Takes shares until one is for this job, and has it verified; the others are answered as over.
    pub(super) async fn share_of(&mut self, job: &Job) -> Share {
        loop {
            let share = self.share().await;
            if share.job == job.id {
                job.verify(&share);
                return share;
            }
            self.refuse(&share, Reason::BlockExpired);
        }
    }

    pub(super) fn send(&mut self, job: &Job) {
        self.write(|out| job.wire().write(out));
    }

    pub(super) fn accept(&mut self, share: &Share) {
        self.write(|out| reply::accepted(out, share.id.as_id()));
    }

    pub(super) fn refuse(&mut self, share: &Share, reason: Reason) {
        self.write(|out| reply::refused(out, share.id.as_id(), reason));
    }

    pub(super) fn write(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut out = Vec::new();
        write(&mut out);
        self.line.send_bytes(&out);
    }

    /// A job that no other of this connection resembles.
    pub(super) fn next_job(&mut self, difficulty: u64) -> Job {
        self.jobs += 1;
        Job::new(self.jobs.into(), difficulty)
    }
}

pub(super) fn share(line: &str) -> Option<Share> {
    let request = Request::parse(line.trim_end().as_bytes()).ok()?;
    let ClientMessage::Submit(submit) = request.message else {
        return None;
    };
    assert_eq!(submit.commitment, None, "rx/0 has none");
    Some(Share {
        id: request.id.to_owned(),
        session: submit.session.map(|text| text.into_owned()),
        job: submit.job_id?.0,
        nonce: submit.nonce,
        result: Hash(submit.result),
        algorithm: submit.algorithm.map(|text| text.into_owned()),
    })
}

/// By caches that all tests share.
fn hash(seed: [u8; 32], blob: &[u8]) -> Hash {
    static MACHINES: Mutex<BTreeMap<[u8; 32], Vm>> = Mutex::new(BTreeMap::new());
    let mut machines = MACHINES.lock().unwrap_or_else(|lock| lock.into_inner());
    let machine = machines.entry(seed).or_insert_with(|| {
        let cache = Cache::new(Variant::Rx0, &seed, Pages::Usual).unwrap();
        Vm::new(Memory::Light(Arc::new(cache)), Pages::Usual).unwrap()
    });
    machine.hash(blob)
}
