//! What a miner hears, read and hashed the way a miner does it, with nothing of the pool's own code.

use bitcoin::hashes::{Hash as _, sha256d};
use serde_json::Value;

/// A line from the pool.
#[derive(Debug)]
pub(super) enum Heard {
    Answer {
        id: Value,
        result: Value,
        error: Value,
        reason: Option<String>,
    },
    /// In steps of 2^-32.
    Difficulty(u64),
    Mask(u32),
    Message,
    Job(Box<Notified>),
}

/// A `mining.notify`.
#[derive(Clone, Debug)]
pub(super) struct Notified {
    pub(super) id: String,
    /// In the order of the header.
    pub(super) previous: [u8; 32],
    pub(super) coinbase1: Vec<u8>,
    pub(super) coinbase2: Vec<u8>,
    pub(super) branch: Vec<[u8; 32]>,
    pub(super) version: u32,
    pub(super) bits: u32,
    pub(super) time: u32,
    pub(super) clean: bool,
}

/// All lines of an output, each of which has to be one that firmware can read.
pub(super) fn read(out: &[u8]) -> Result<Vec<Heard>, String> {
    let text = std::str::from_utf8(out).map_err(|error| error.to_string())?;
    if !text.is_empty() && !text.ends_with('\n') {
        return Err(format!("no end of line: {text}"));
    }
    text.lines()
        .map(|line| line_of(line).ok_or_else(|| format!("cannot be read: {line}")))
        .collect()
}

fn line_of(line_text: &str) -> Option<Heard> {
    let mut line: Value = serde_json::from_str(line_text).ok()?;
    let Some(method) = line.get("method") else {
        return Some(Heard::Answer {
            reason: line.get("reject-reason").map(|r| r.to_string()),
            id: line.get_mut("id")?.take(),
            result: line.get_mut("result")?.take(),
            error: line.get_mut("error")?.take(),
        });
    };
    let params = line.get("params")?;
    if !line.get("id")?.is_null() {
        return None;
    }
    Some(match method.as_str()? {
        "mining.set_difficulty" => {
            params.get(0)?.as_number()?;
            // Rounded correctly, as the reader of JSON does not.
            let (_, text) = line_text.split_once(r#""params":["#)?;
            Heard::Difficulty(steps_of(text.strip_suffix("]}")?.parse().ok()?)?)
        }
        "mining.set_version_mask" => Heard::Mask(number(params.get(0)?)?),
        "client.show_message" => {
            (params.get(0)?.as_str()?.len() <= 256).then_some(Heard::Message)?
        }
        "mining.notify" => Heard::Job(Box::new(notified(params)?)),
        _ => return None,
    })
}

/// Only what is a whole number of steps can be judged exactly.
fn steps_of(difficulty: f64) -> Option<u64> {
    let steps = difficulty * 4_294_967_296.0;
    let whole = format!("{steps:.0}").parse().ok()?;
    (steps.fract() == 0.0).then_some(whole)
}

fn notified(params: &Value) -> Option<Notified> {
    let bytes = |at: usize| hex::decode(params.get(at)?.as_str()?).ok();
    let mut previous: [u8; 32] = bytes(1)?.try_into().ok()?;
    previous.chunks_mut(4).for_each(|word| word.reverse());
    let branch = params.get(4)?.as_array()?.iter().map(|hash| {
        let bytes = hex::decode(hash.as_str()?).ok()?;
        bytes.try_into().ok()
    });
    Some(Notified {
        id: params.get(0)?.as_str()?.to_owned(),
        previous,
        coinbase1: bytes(2)?,
        coinbase2: bytes(3)?,
        branch: branch.collect::<Option<_>>()?,
        version: number(params.get(5)?)?,
        bits: number(params.get(6)?)?,
        time: number(params.get(7)?)?,
        clean: params.get(8)?.as_bool()?,
    })
}

/// Eight digits in lower case.
pub(super) fn number(value: &Value) -> Option<u32> {
    let text = value.as_str()?;
    let mut bytes = [0; 4];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    (text == text.to_ascii_lowercase()).then(|| u32::from_be_bytes(bytes))
}

impl Notified {
    /// What makes it the work it is: time and version may be rolled, the rest may not.
    pub(super) fn work(&self, extranonce1: [u8; 4]) -> Vec<u8> {
        let mut work = extranonce1.to_vec();
        work.extend_from_slice(&self.previous);
        work.extend_from_slice(&self.coinbase1);
        work.extend_from_slice(&self.coinbase2);
        self.branch
            .iter()
            .for_each(|hash| work.extend_from_slice(hash));
        work
    }

    /// A header without its nonce.
    pub(super) fn header(
        &self,
        extranonce1: [u8; 4],
        extranonce2: &[u8],
        version: u32,
        ntime: u32,
    ) -> [u8; 80] {
        let parts = [
            &self.coinbase1,
            &extranonce1[..],
            extranonce2,
            &self.coinbase2,
        ];
        let mut root = sha256d::Hash::hash(&parts.concat()).to_byte_array();
        for sibling in &self.branch {
            let mut both = [0; 64];
            both[..32].copy_from_slice(&root);
            both[32..].copy_from_slice(sibling);
            root = sha256d::Hash::hash(&both).to_byte_array();
        }
        let mut header = [0; 80];
        header[..4].copy_from_slice(&version.to_le_bytes());
        header[4..36].copy_from_slice(&self.previous);
        header[36..68].copy_from_slice(&root);
        header[68..72].copy_from_slice(&ntime.to_le_bytes());
        header[72..76].copy_from_slice(&self.bits.to_le_bytes());
        header
    }
}

/// The hash of a header with this nonce.
pub(super) fn hash_of(mut header: [u8; 80], nonce: u32) -> [u8; 32] {
    header[76..].copy_from_slice(&nonce.to_le_bytes());
    sha256d::Hash::hash(&header).to_byte_array()
}

/// The target of a difficulty, most significant byte first: that of one step is `0xffff * 2^240`,
/// divided by hand.
pub(super) fn target_of(steps: u64) -> [u8; 32] {
    let steps = u128::from(steps);
    let mut target = [0; 32];
    let mut rest = 0;
    for (at, byte) in target.iter_mut().enumerate() {
        rest = rest << 8 | if at < 2 { 0xff } else { 0 };
        *byte = u8::try_from(rest / steps).expect("the rest was below the divisor");
        rest %= steps;
    }
    target
}

/// Whether a hash, least significant byte first, is not above a target.
pub(super) fn meets(hash: &[u8; 32], target: &[u8; 32]) -> bool {
    hash.iter().rev().le(target)
}

/// The hashes that are expected for a target, as another library has it.
pub(super) fn work_of(target: [u8; 32]) -> u128 {
    let work = bitcoin::Target::from_be_bytes(target).to_work();
    let bytes = work.to_be_bytes();
    let (high, low) = bytes.split_at(16);
    assert!(high.iter().all(|byte| *byte == 0));
    u128::from_be_bytes(low.try_into().expect("half of 32 bytes"))
}
