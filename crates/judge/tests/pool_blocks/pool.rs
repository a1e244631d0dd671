//! A pool on a chain of its own: from the template to the judge's opinion of the block.

use std::{collections::VecDeque, sync::Arc};

use bitcoin::{
    Block, BlockHash, CompactTarget, ScriptBuf, Transaction, TxMerkleNode,
    absolute::LockTime,
    block::{Header, Version},
    consensus,
    hashes::Hash as _,
    transaction,
};
use bitcoinkernel::ChainType;
use mining::{
    Difficulty, Job, Target, Template,
    coinbase::{Output, Payees},
    device::CoinbaseClass,
    extranonce::{Allocator, Prefix},
    job::JobTemplate,
    seen::Seen,
    share::{Reject, Rules, Solved, Submission, validate},
    template::{Room, TemplateKind, Transactions},
};
use pow::{Algorithm, Hash};

use crate::{
    kernel::{Judge, Opinion},
    purse::{Coin, Kind, coins},
};

/// The version bits that BIP 320 leaves to miners.
pub(crate) const MASK: u32 = 0x1fff_e000;
/// Coinbases mature after this many blocks.
const MATURITY: u32 = 100;

/// A pool on a chain of its own.
pub(crate) struct Pool {
    pub(crate) judge: Judge,
    bits: u32,
    prefix: Prefix,
    seen: Seen,
    jobs: u32,
    mined: VecDeque<(u32, Vec<Coin>)>,
}

/// How a block is to be mined.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) class: CoinbaseClass,
    pub(crate) payees: Payees,
    pub(crate) extranonce2: Vec<u8>,
    pub(crate) version_bits: Option<u32>,
    /// After the template's time.
    pub(crate) seconds: u32,
    pub(crate) tag: &'static [u8],
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            class: CoinbaseClass::Stock,
            payees: Payees {
                outputs: Vec::new(),
                keeper: Kind::P2wpkh.script().into_bytes(),
            },
            extranonce2: vec![0; 4],
            version_bits: None,
            seconds: 0,
            tag: b"/adit/",
        }
    }
}

impl Pool {
    pub(crate) fn on_regtest() -> Self {
        Self::new(
            Judge::open(|context| context.chain_type(ChainType::Regtest)),
            0x207f_ffff,
        )
    }

    pub(crate) fn new(judge: Judge, bits: u32) -> Self {
        let allocator = Allocator::default();
        allocator.lease(0x0a0b_0c0d..0x0a0b_0c0e);
        Self {
            judge,
            bits,
            prefix: allocator.allocate().unwrap(),
            seen: Seen::default(),
            jobs: 0,
            mined: VecDeque::new(),
        }
    }

    /// What `getblocktemplate` gives after the tip for these transactions, which pay `fees`.
    pub(crate) fn template(&self, transactions: &[Transaction], fees: u64) -> Template {
        let tip = self.judge.tip();
        let height = tip.height + 1;
        let txids: Vec<Hash> = transactions
            .iter()
            .map(|transaction| Hash(transaction.compute_txid().to_byte_array()))
            .collect();
        let hex = transactions.iter().map(consensus::encode::serialize_hex);
        Template {
            height,
            version: 0x2000_0000,
            previous: Hash(tip.hash.to_byte_array()),
            bits: self.bits,
            target: Target::from_compact(self.bits).unwrap(),
            time: tip.median_time + 600,
            min_time: tip.median_time + 1,
            value: mining::Amount::from_units(self.subsidy(height) + fees),
            fees: mining::Amount::from_units(fees),
            witness_commitment: Some(commitment(transactions)),
            coinbase_flags: Vec::new(),
            transactions: Transactions::new(hex.collect(), &txids),
            tail: String::new(),
            room: room(transactions),
            kind: TemplateKind::Full,
        }
    }

    fn subsidy(&self, height: u32) -> u64 {
        let halving = if self.bits == 0x207f_ffff {
            150
        } else {
            210_000
        };
        5_000_000_000 >> (height / halving)
    }

    /// A job as the plan wants it.
    pub(crate) fn job(&mut self, template: Template, plan: &Plan) -> Job {
        self.jobs += 1;
        let templates = JobTemplate::for_all_classes(
            &Arc::new(template),
            plan.tag,
            &plan.payees,
            plan.extranonce2.len(),
            1,
            Algorithm::Sha256d,
        )
        .unwrap();
        let shared = Arc::clone(&templates[plan.class.index()]);
        assert_eq!(shared.class, plan.class);
        Job::new(self.jobs, shared, Difficulty::ONE)
    }

    /// Tries nonces until there is a block, and gives it with what is thought of its share.
    pub(crate) fn solve(&self, job: &Job, plan: &Plan) -> (Solved, Result<(), Reject>) {
        let template = &job.shared.template;
        let rules = Rules {
            prefix: &self.prefix,
            extranonce2_size: plan.extranonce2.len(),
            version_mask: MASK,
            tip: 1,
            now: template.time,
            seen: &self.seen,
        };
        let submission = Submission {
            extranonce2: &plan.extranonce2,
            ntime: template.time + plan.seconds,
            nonce: 0,
            version_bits: plan.version_bits,
        };
        // Many nonces are tried where blocks are rare, so that is done on the header alone.
        let version = plan
            .version_bits
            .map_or(template.version, |bits| template.version & !MASK | bits);
        let mut header = job.shared.header(
            job.id,
            self.prefix.bytes(),
            submission.extranonce2,
            version,
            submission.ntime,
            0,
        );
        let nonce = (0..=u32::MAX)
            .find(|nonce| {
                header[76..].copy_from_slice(&nonce.to_le_bytes());
                template
                    .target
                    .is_met_by(&job.shared.algorithm.hash(&header))
            })
            .unwrap();
        let verdict = validate(
            job,
            &Submission {
                nonce,
                ..submission
            },
            &rules,
        );
        let solved = verdict.block.expect("the proof meets the target");
        assert_eq!(solved.header, header);
        (solved, verdict.share.map(drop))
    }

    /// Has a solved block judged, and keeps what it pays to the purse.
    #[track_caller]
    pub(crate) fn submit(&mut self, solved: &Solved) -> Opinion {
        let bytes = hex::decode(&solved.hex).unwrap();
        let opinion = self.judge.judge(&bytes);
        let tip = self.judge.tip();
        if opinion.accepted {
            assert_eq!(tip.hash.to_byte_array(), solved.id.0);
            let block: Block = consensus::deserialize(&bytes).unwrap();
            assert_eq!(
                block.txdata[0].compute_txid().to_byte_array(),
                solved.coinbase_id.0
            );
            self.mined
                .push_back((tip.height, coins(&block.txdata[0]).collect()));
        }
        opinion
    }

    /// Mines a block that must be good as a share and as a block.
    #[track_caller]
    pub(crate) fn mine(&mut self, template: Template, plan: &Plan) -> Job {
        let height = template.height;
        let job = self.job(template, plan);
        let (solved, share) = self.solve(&job, plan);
        assert_eq!(share, Ok(()), "the share at height {height}");
        let opinion = self.submit(&solved);
        assert!(
            opinion.accepted && opinion.tip_moved,
            "{:?} with {} payees at height {height}: {opinion:?}",
            plan.class,
            plan.payees.outputs.len()
        );
        assert_eq!(self.judge.tip().height, height);
        job
    }

    /// Mines empty blocks until coins are mature, and gives them.
    pub(crate) fn mature_coins(&mut self, count: usize) -> Vec<Coin> {
        let mut coins = Vec::new();
        while coins.len() < count {
            let next = self.judge.tip().height + 1;
            match self.mined.front() {
                Some((height, _)) if next - height >= MATURITY => {
                    coins.extend(self.mined.pop_front().unwrap().1);
                }
                _ => {
                    // Each block pays to all kinds, so that all are there to be spent.
                    let outputs = Kind::ALL.map(|kind| output(100_000_000, kind.script()));
                    let payees = Payees {
                        outputs: outputs.to_vec(),
                        keeper: Kind::P2wpkh.script().into_bytes(),
                    };
                    let template = self.template(&[], 0);
                    self.mine(
                        template,
                        &Plan {
                            payees,
                            ..Plan::default()
                        },
                    );
                }
            }
        }
        coins
    }
}

/// The commitment script of `default_witness_commitment`.
fn commitment(transactions: &[Transaction]) -> Vec<u8> {
    let coinbase = Transaction {
        version: transaction::Version::TWO,
        lock_time: LockTime::ZERO,
        input: Vec::new(),
        output: Vec::new(),
    };
    let block = Block {
        header: Header {
            version: Version::TWO,
            prev_blockhash: BlockHash::all_zeros(),
            merkle_root: TxMerkleNode::all_zeros(),
            time: 0,
            bits: CompactTarget::default(),
            nonce: 0,
        },
        txdata: [&[coinbase], transactions].concat(),
    };
    let root = block.witness_root().unwrap();
    let commitment = Block::compute_witness_commitment(&root, &[0; 32]);
    [
        &[0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed][..],
        commitment.as_byte_array(),
    ]
    .concat()
}

pub(crate) fn output(units: u64, script: ScriptBuf) -> Output {
    Output {
        amount: mining::Amount::from_units(units),
        script: script.into_bytes(),
    }
}

/// What the limits of Bitcoin leave beside these transactions, as the daemon's figures say it.
fn room(transactions: &[Transaction]) -> Room {
    let weight = transactions
        .iter()
        .map(|transaction| transaction.weight().to_wu())
        .sum();
    // Scripts that are paid to count four times; those of the spent coins are few and cost less
    // than the largest coinbase leaves.
    let scripts = transactions
        .iter()
        .flat_map(|transaction| &transaction.output);
    let sigops = scripts
        .map(|output| output.script_pubkey.count_sigops_legacy() * 4)
        .sum::<usize>();
    Room::beside(weight, sigops.try_into().unwrap(), 4_000_000, 80_000)
}
