//! The bodies of the HTTP work protocol, as a worker writes and reads them.

use serde::{Deserialize, Serialize};

use crate::worker::{
    algorithm::{Algorithm, NotMined},
    status::shown,
};

/// The longest name of a job that is taken.
const ID_LEN_MAX: usize = 128;

/// `POST /pool/register`
#[derive(Serialize)]
pub(super) struct Register<'a> {
    pub(super) worker_id: &'a str,
    pub(super) wallet_address: &'a str,
    pub(super) worker_name: &'a str,
    pub(super) version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) token: Option<&'a str>,
}

/// The answer, as far as it concerns a worker. Older pools give no token, and tell the algorithm with the job.
#[derive(Deserialize)]
pub(super) struct Registered {
    #[serde(default)]
    pub(super) message: Option<String>,
    #[serde(default)]
    pub(super) token: Option<String>,
}

/// `POST /pool/share`
#[derive(Serialize)]
pub(super) struct Share<'a> {
    pub(super) worker_id: &'a str,
    pub(super) wallet_address: &'a str,
    pub(super) job_id: &'a str,
    pub(super) nonce: u64,
    pub(super) extra_nonce: u32,
    pub(super) hash: &'a str,
    pub(super) hashrate: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ntime: Option<u32>,
}

/// The answer.
#[derive(Deserialize)]
pub(super) struct Taken {
    pub(super) ok: bool,
}

impl Registered {
    pub(super) fn read(body: &[u8]) -> anyhow::Result<Self> {
        read("the registration", body)
    }
}

impl Taken {
    pub(super) fn read(body: &[u8]) -> anyhow::Result<Self> {
        read("what came of a share", body)
    }
}

/// A job as it was told: read as far as all algorithms have it in common.
pub(in crate::worker) struct Told {
    head: Head,
    number: u64,
    body: Vec<u8>,
}

#[derive(Deserialize)]
struct Head {
    job_id: String,
    prev_hash: String,
    share_target: String,
    #[serde(default)]
    algorithm: Option<String>,
    /// Which one of a family, where there are several.
    #[serde(default)]
    variant: Option<String>,
}

impl Told {
    /// `number` is its place among the jobs of the process.
    pub(super) fn new(body: Vec<u8>, number: u64) -> anyhow::Result<Self> {
        let head: Head = read("the job", &body)?;
        let is_name = (1..=ID_LEN_MAX).contains(&head.job_id.len());
        anyhow::ensure!(is_name, "a job's name of {} characters", head.job_id.len());
        Ok(Self { head, number, body })
    }

    /// As the pool calls it.
    pub(in crate::worker) fn id(&self) -> &str {
        &self.head.job_id
    }

    pub(in crate::worker) fn number(&self) -> u64 {
        self.number
    }

    /// 64 hexadecimal digits, if it is one.
    pub(in crate::worker) fn share_target(&self) -> &str {
        &self.head.share_target
    }

    /// What the block before is called; whatever was found for another one is worth nothing.
    pub(super) fn previous(&self) -> &str {
        &self.head.prev_hash
    }

    /// Whether the pool says what is to be hashed.
    pub(super) fn names_algorithm(&self) -> bool {
        self.head.algorithm.is_some()
    }

    /// What is to be hashed.
    pub(in crate::worker) fn algorithm(&self) -> Result<Algorithm, NotMined> {
        let Head {
            algorithm, variant, ..
        } = &self.head;
        let name = variant.as_ref().or(algorithm.as_ref());
        name.ok_or(NotMined::Unknown)?.parse()
    }

    /// What an algorithm needs besides.
    pub(in crate::worker) fn read<'a, T: Deserialize<'a>>(&'a self) -> anyhow::Result<T> {
        read("the job", &self.body)
    }
}

/// What is wrong with a body is told in the pool's own words, too.
fn read<'a, T: Deserialize<'a>>(what: &str, body: &'a [u8]) -> anyhow::Result<T> {
    serde_json::from_slice(body)
        .map_err(|error| anyhow::anyhow!("cannot read {what}: {}", shown(&error.to_string())))
}
