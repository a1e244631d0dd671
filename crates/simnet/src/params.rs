//! The consensus parameters of a chain: Bitcoin Core's regtest, or a chain of our own with real work.
//!
//! Regtest never retargets, so every other hash is a block. The simnet retargets at every block from
//! the last few headers alone, so that blocks come about every `spacing` on whatever CPU mines.

use std::time::Duration;

use bitcoin::{
    Amount, Block, BlockHash, CompactTarget, Network, OutPoint, ScriptBuf, Sequence, Transaction,
    TxIn, TxMerkleNode, TxOut, Witness,
    absolute::LockTime,
    block::{Header, Version},
    constants::genesis_block,
    hashes::Hash as _,
    opcodes::all::OP_PUSHNUM_1,
    script, transaction,
};
use pow::Algorithm;
use ruint::aliases::U256;

use crate::{
    sealed::Sealed,
    target,
    vision::{self, Vision},
};

/// Blocks whose time and work estimate the hash rate: few enough to follow a CPU that comes or goes,
/// enough that chance alone moves the target by about a third at most.
pub(crate) const RETARGET_WINDOW: usize = 12;
/// Blocks at the newest target, each of one spacing, that are added to the estimate: they keep one
/// lucky block of a young chain from being taken for a fast machine.
const RETARGET_INERTIA: u32 = 2;
/// A target moves by at most this factor between two blocks.
pub(crate) const RETARGET_FACTOR: u32 = 4;
/// A block counts at most this many spacings, so that a night switched off is not slow mining.
const LONGEST_BLOCK: u64 = 6;

/// Hashes for the first block: two to five seconds of one CPU thread at 2-5 MH/s (sha256d) or
/// 3-5 kH/s (scrypt).
const FIRST_WORK_SHA256D: u32 = 1 << 23;
const FIRST_WORK_SCRYPT: u32 = 1 << 13;
/// How much easier than the first block a block may become.
const EASIEST: u32 = 1 << 7;
/// The nonces that solve the two standard genesis blocks, found by [`solve_genesis`].
const GENESIS_NONCE_SHA256D: u32 = 4_265_011;
const GENESIS_NONCE_SCRYPT: u32 = 37_294;
/// 2025-01-01 00:00:00 UTC.
const GENESIS_TIME: u32 = 1_735_689_600;

/// What a chain agrees on.
#[derive(Clone, Debug)]
pub struct Params {
    pub(crate) proof: Proof,
    /// The human-readable part of bech32 addresses.
    pub hrp: &'static str,
    /// Confirmations after which a coinbase output may be spent.
    pub maturity: u32,
    /// Blocks between two halvings of the subsidy, which starts at 50 coins.
    pub halving: u32,
    /// The version byte of pay-to-script-hash addresses in base58.
    pub(crate) script_hash_version: u8,
    pub(crate) pow_limit: U256,
    /// Seconds between blocks when the chain retargets.
    pub(crate) spacing: Option<u32>,
    pub(crate) genesis: Sealed,
}

/// What is hashed, and how.
#[derive(Clone, Debug)]
pub(crate) enum Proof {
    /// Bitcoin's header. Block ids are SHA-256d with either function.
    Header(Algorithm),
    /// VisionX's header. Block ids are the proof itself.
    VisionX(Vision),
}

/// A header as far as retargeting needs it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Solved {
    pub(crate) time: u32,
    pub(crate) target: U256,
}

impl Params {
    /// Bitcoin Core's regtest: its genesis, bits `207fffff` for ever, halving every 150 blocks.
    pub fn regtest() -> Self {
        Self {
            proof: Proof::Header(Algorithm::Sha256d),
            hrp: "bcrt",
            maturity: 100,
            halving: 150,
            script_hash_version: 196,
            pow_limit: U256::MAX >> 1,
            spacing: None,
            genesis: Sealed::bitcoin(genesis_block(Network::Regtest)),
        }
    }

    /// A chain of our own whose first block takes one CPU thread some seconds, with a block about
    /// every 5 s, coinbases mature after 10 and the subsidy halves every 210,000.
    pub fn simnet(algorithm: Algorithm) -> Self {
        let (first_work, nonce) = match algorithm {
            Algorithm::Sha256d => (FIRST_WORK_SHA256D, GENESIS_NONCE_SHA256D),
            Algorithm::Scrypt => (FIRST_WORK_SCRYPT, GENESIS_NONCE_SCRYPT),
        };
        Self::with_genesis(algorithm, first_work, nonce)
    }

    /// The simnet with `work` hashes (at least 2) expected for its first block. Takes that many
    /// hashes to make its genesis block: meant for tests that want real work cheaply. No effect with VisionX.
    #[must_use]
    pub fn with_first_work(self, work: u32) -> Self {
        let Proof::Header(algorithm) = self.proof else {
            return self;
        };
        let easy = Self::with_genesis(algorithm, work.max(2), 0);
        Self {
            pow_limit: easy.pow_limit,
            genesis: easy.genesis,
            ..self
        }
    }

    /// Blocks about every `spacing` (whole seconds, at least 1). No effect on regtest.
    #[must_use]
    pub fn with_spacing(self, spacing: Duration) -> Self {
        let seconds = u32::try_from(spacing.as_secs()).unwrap_or(u32::MAX).max(1);
        Self {
            spacing: self.spacing.map(|_| seconds),
            ..self
        }
    }

    /// Coinbase outputs may be spent after `blocks` confirmations.
    #[must_use]
    pub fn with_maturity(self, blocks: u32) -> Self {
        Self {
            maturity: blocks.max(1),
            ..self
        }
    }

    /// A chain of our own that mines by VisionX, with its difficulty of 1 to 248 that goes by one from block to block,
    /// and otherwise as [`Params::simnet`].
    pub fn visionx(params: pow::visionx::Params) -> Self {
        let vision = Vision::new(params);
        Self {
            genesis: vision_genesis(&vision),
            proof: Proof::VisionX(vision),
            hrp: "bcrt",
            maturity: 10,
            halving: 210_000,
            script_hash_version: 196,
            pow_limit: U256::MAX,
            spacing: Some(5),
        }
    }

    /// Every block of a VisionX chain has this difficulty (at least 1). No effect on others.
    #[must_use]
    pub fn with_difficulty(mut self, difficulty: u64) -> Self {
        if let Proof::VisionX(vision) = &mut self.proof {
            vision.fixed = Some(difficulty.max(1));
        }
        self
    }

    /// The name of the proof of work.
    pub fn proof_name(&self) -> &'static str {
        match &self.proof {
            Proof::Header(algorithm) => algorithm.name(),
            Proof::VisionX(_) => "visionx",
        }
    }

    fn with_genesis(algorithm: Algorithm, first_work: u32, nonce: u32) -> Self {
        let first = U256::MAX / U256::from(first_work);
        let (hrp, script_hash_version) = match algorithm {
            Algorithm::Sha256d => ("bcrt", 196),
            Algorithm::Scrypt => ("rltc", 58),
        };
        Self {
            proof: Proof::Header(algorithm),
            hrp,
            maturity: 10,
            halving: 210_000,
            script_hash_version,
            pow_limit: first
                .saturating_mul(U256::from(EASIEST))
                .min(U256::MAX >> 1),
            spacing: Some(5),
            genesis: Sealed::bitcoin(solve_genesis(algorithm, target::to_compact(first), nonce)),
        }
    }

    /// The block everything starts from.
    pub fn genesis(&self) -> &Block {
        &self.genesis.block
    }

    /// The hash of the block everything starts from.
    pub fn genesis_hash(&self) -> BlockHash {
        self.genesis.head.hash
    }

    /// What the coinbase at `height` may pay beside fees.
    pub fn subsidy(&self, height: u32) -> Amount {
        let halvings = height / self.halving;
        Amount::from_sat(if halvings < 64 {
            (50 * 100_000_000) >> halvings
        } else {
            0
        })
    }

    /// The bits of the block after `last`, the newest headers, oldest first, without the genesis
    /// block; at most `RETARGET_WINDOW + 1` of them are looked at.
    pub(crate) fn next_bits(&self, last: &[Solved]) -> CompactTarget {
        let first_bits = self.genesis.head.header.bits;
        let Some(spacing) = self.spacing.map(u64::from) else {
            return first_bits;
        };
        let last = &last[last.len().saturating_sub(RETARGET_WINDOW + 1)..];
        let Some(newest) = last.last() else {
            return first_bits;
        };
        if last.len() < 2 {
            return target::to_compact(newest.target);
        }
        // The hash rate is work done over time taken; each header ends the time of its own work.
        let longest = i64::try_from(LONGEST_BLOCK.saturating_mul(spacing)).unwrap_or(i64::MAX);
        let inertia = U256::from(RETARGET_INERTIA);
        let mut work = target::work(newest.target).saturating_mul(inertia);
        let inertia = spacing.saturating_mul(u64::from(RETARGET_INERTIA));
        let mut seconds = i64::try_from(inertia).unwrap_or(i64::MAX);
        for pair in last.windows(2) {
            let taken = i64::from(pair[1].time) - i64::from(pair[0].time);
            seconds = seconds.saturating_add(taken.clamp(-longest, longest));
            work = work.saturating_add(target::work(pair[1].target));
        }
        let seconds = u64::try_from(seconds).unwrap_or(0).max(1);
        let next_work = work.saturating_mul(U256::from(spacing)) / U256::from(seconds);
        let wanted = U256::MAX / next_work.max(U256::ONE);
        let factor = U256::from(RETARGET_FACTOR);
        let hardest = (newest.target / factor).max(U256::ONE);
        let easiest = newest.target.saturating_mul(factor).min(self.pow_limit);
        target::to_compact(wanted.max(hardest).min(easiest))
    }
}

/// The genesis block for `bits`, trying nonces from `nonce` on: the standard two are right at once.
fn solve_genesis(algorithm: Algorithm, bits: CompactTarget, nonce: u32) -> Block {
    let coinbase = genesis_coinbase();
    let mut header = Header {
        version: Version::from_consensus(0x2000_0000),
        prev_blockhash: BlockHash::all_zeros(),
        merkle_root: TxMerkleNode::from_byte_array(coinbase.compute_txid().to_byte_array()),
        time: GENESIS_TIME,
        bits,
        nonce,
    };
    let target =
        target::from_compact(bits).expect("the first target is neither zero nor too large");
    while target::proof(algorithm, &header) > target {
        let (nonce, wrapped) = header.nonce.overflowing_add(1);
        header.nonce = nonce;
        header.time += u32::from(wrapped);
    }
    Block {
        header,
        txdata: vec![coinbase],
    }
}

/// The genesis block of a VisionX chain: its difficulty is 1, so that any hash will do.
fn vision_genesis(vision: &Vision) -> Sealed {
    let txdata = vec![genesis_coinbase()];
    let header = pow::visionx::Header {
        parent: pow::Hash::default(),
        height: 0,
        timestamp: u64::from(GENESIS_TIME),
        difficulty: 1,
        nonce: 0,
        tx_root: vision::root(&txdata),
        miner: vision::MINER.parse().expect("it is short"),
    };
    Sealed::vision(vision, header, txdata)
}

fn genesis_coinbase() -> Transaction {
    Transaction {
        version: transaction::Version::ONE,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint::null(),
            script_sig: script::Builder::new()
                .push_slice(b"adit simnet: the level way into a mine")
                .into_script(),
            sequence: Sequence::MAX,
            witness: Witness::new(),
        }],
        output: vec![TxOut {
            value: Amount::from_int_btc(50),
            script_pubkey: ScriptBuf::from_bytes(vec![OP_PUSHNUM_1.to_u8()]),
        }],
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_standard_genesis_blocks_need_no_search() {
        for (algorithm, nonce) in [
            (Algorithm::Sha256d, GENESIS_NONCE_SHA256D),
            (Algorithm::Scrypt, GENESIS_NONCE_SCRYPT),
        ] {
            let genesis = Params::simnet(algorithm).genesis;
            assert_eq!(genesis.block.header.nonce, nonce, "{algorithm:?}");
        }
    }

    #[test]
    fn regtest_starts_from_bitcoin_cores_genesis() {
        assert_eq!(
            Params::regtest().genesis_hash().to_string(),
            "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206"
        );
    }

    #[test]
    fn the_subsidy_halves_and_ends() {
        let params = Params::regtest();
        assert_eq!(params.subsidy(1).to_sat(), 5_000_000_000);
        assert_eq!(params.subsidy(149).to_sat(), 5_000_000_000);
        assert_eq!(params.subsidy(150).to_sat(), 2_500_000_000);
        assert_eq!(params.subsidy(150 * 33).to_sat(), 0);
        assert_eq!(params.subsidy(u32::MAX).to_sat(), 0);
    }

    /// Mines with `rate` hashes a second and the average luck; gives the last block's seconds.
    fn settle(params: &Params, rate: u64, blocks: usize) -> u64 {
        let mut solved: Vec<Solved> = Vec::new();
        let mut millis = 1_000_000_u64;
        let mut taken = 0;
        for _ in 0..blocks {
            let target = target::from_compact(params.next_bits(&solved)).unwrap();
            let work: u64 = target::work(target).try_into().unwrap();
            taken = work * 1000 / rate;
            millis += taken;
            solved.push(Solved {
                time: u32::try_from(millis / 1000).unwrap(),
                target,
            });
        }
        taken
    }

    #[test]
    fn blocks_come_about_every_spacing_on_slow_and_fast_machines() {
        let params = Params::simnet(Algorithm::Sha256d);
        for rate in [200_000, 1_000_000, 3_000_000, 40_000_000, 2_000_000_000] {
            let millis = settle(&params, rate, 40);
            assert!(
                (3_500..=7_000).contains(&millis),
                "{rate} H/s: a block in {millis} ms"
            );
        }
    }

    #[test]
    fn luck_alone_does_not_move_the_average() {
        // Sixteen equally likely times of an exponential distribution, in thousandths of its mean.
        let luck = [
            3466, 2367, 1856, 1520, 1269, 1068, 901, 758, 633, 521, 421, 330, 247, 170, 98, 32,
        ];
        let params = Params::simnet(Algorithm::Sha256d);
        let rate = 3_000_000;
        let mut solved: Vec<Solved> = Vec::new();
        let (mut millis, mut random, mut longest) = (1_000_000_u64, 1_u32, 0);
        for _ in 0..1_000 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let target = target::from_compact(params.next_bits(&solved)).unwrap();
            let work: u64 = target::work(target).try_into().unwrap();
            longest = longest.max(work / rate);
            millis += work * luck[usize::try_from(random >> 28).unwrap()] / rate;
            solved.push(Solved {
                time: u32::try_from(millis / 1000).unwrap(),
                target,
            });
        }
        let average = (millis - 1_000_000) / 1_000;
        assert!(
            (4_000..=6_500).contains(&average),
            "a block in {average} ms"
        );
        assert!(
            longest <= 20,
            "at worst a block was expected to take {longest} s"
        );
    }

    proptest! {
        #[test]
        fn a_target_moves_by_four_at_most_and_never_above_the_limit(
            times in proptest::collection::vec(any::<u32>(), 1..40),
            shift in 0_usize..200,
            spacing in 1_u64..10_000,
        ) {
            let params =
                Params::simnet(Algorithm::Scrypt).with_spacing(Duration::from_secs(spacing));
            let target = (params.pow_limit >> shift).max(U256::from(1_000_000));
            let target = target::from_compact(target::to_compact(target)).unwrap();
            let solved: Vec<_> = times.iter().map(|&time| Solved { time, target }).collect();
            let next = target::from_compact(params.next_bits(&solved)).unwrap();
            prop_assert!(next <= params.pow_limit);
            prop_assert!(next <= target * U256::from(RETARGET_FACTOR));
            // The compact form cuts the lowest bits off.
            prop_assert!(next + (next >> 15) >= target / U256::from(RETARGET_FACTOR));
        }
    }
}
