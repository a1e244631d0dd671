//! A line of any bytes goes the whole way to its verdict. What is credited has a hash, made again
//! with rust-bitcoin, that meets the job's target, and is credited once. What is called a block is
//! one, and decodes to what was hashed.

#![no_main]

use std::sync::{Arc, LazyLock};

use bitcoin::{
    Block, BlockHash, CompactTarget, Transaction, TxMerkleNode, Txid,
    block::{Header, Version},
    consensus,
    hashes::Hash as _,
    merkle_tree,
};
use libfuzzer_sys::fuzz_target;
use mining::{
    Amount, Difficulty, Job, Target, Template,
    coinbase::Payees,
    extranonce::{Allocator, Prefix},
    job::JobTemplate,
    seen::Seen,
    share::{Reject, Rules, Submission, validate},
    template::{Room, TemplateKind, Transactions},
};
use pow::{Algorithm, Hash};
use wire::sv1::{ClientMessage, JobId, Request, Submit};

const MASK: u32 = 0x1fff_e000;
const TIME: u32 = 1_700_000_000;
const VERSION: u32 = 0x2000_0000;
/// One hash in 64 is a block.
const BITS: u32 = 0x2003_ffff;
/// One hash in 4 is a share.
const STEPS: u128 = 4;
const JOB_ID: u32 = 9;
const TIP: u64 = 7;
const EXTRANONCE2_SIZE: usize = 8;
const PREVIOUS: [u8; 32] = [1; 32];
/// Ids of transactions, for a merkle branch; their bytes are never asked for.
const TXIDS: [[u8; 32]; 4] = [[3; 32], [4; 32], [5; 32], [6; 32]];

/// A job with transactions, whose blocks cannot be decoded, and one without, whose blocks can.
static JOBS: LazyLock<[Job; 2]> = LazyLock::new(|| [job(&TXIDS), job(&[])]);
static PREFIX: LazyLock<Prefix> = LazyLock::new(|| {
    let allocator = Allocator::default();
    allocator.lease(0x0102_0304..0x0102_0305);
    allocator.allocate().expect("one is leased")
});

fn job(txids: &[[u8; 32]]) -> Job {
    let txids: Vec<Hash> = txids.iter().map(|txid| Hash(*txid)).collect();
    let template = Arc::new(Template {
        height: 101,
        version: VERSION,
        previous: Hash(PREVIOUS),
        bits: BITS,
        target: Target::from_compact(BITS).expect("a target"),
        time: TIME,
        min_time: TIME - 600,
        value: Amount::from_units(5_000_000_000),
        fees: Amount::ZERO,
        witness_commitment: Some([&[0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed][..], &[9; 32]].concat()),
        coinbase_flags: vec![],
        transactions: Transactions::new(String::new(), &txids),
        tail: String::new(),
        room: Room::EMPTY_BLOCK,
        kind: TemplateKind::Full,
    });
    let payees = Payees {
        outputs: vec![],
        keeper: vec![0x51],
    };
    let algorithm = Algorithm::Sha256d;
    let classes =
        JobTemplate::for_all_classes(&template, b"/f/", &payees, EXTRANONCE2_SIZE, TIP, algorithm)
            .expect("a coinbase for each class");
    Job::new(
        JOB_ID,
        Arc::clone(&classes[0]),
        Difficulty::from_steps(STEPS),
    )
}

fuzz_target!(|line: &[u8]| {
    let Ok(Request {
        message: ClientMessage::Submit(submit),
        ..
    }) = Request::parse(line)
    else {
        return;
    };
    if submit.job_id != Some(JobId(JOB_ID)) {
        return;
    }
    for (job, txids) in JOBS.iter().zip([&TXIDS[..], &[]]) {
        for version_mask in [MASK, 0] {
            judge(job, txids, &submit, version_mask);
        }
    }
});

fn judge(job: &Job, txids: &[[u8; 32]], submit: &Submit<'_>, version_mask: u32) {
    let seen = Seen::default();
    let rules = Rules {
        prefix: &PREFIX,
        extranonce2_size: EXTRANONCE2_SIZE,
        version_mask,
        tip: TIP,
        now: TIME,
        seen: &seen,
    };
    let submission = Submission {
        extranonce2: submit.extranonce2.as_bytes(),
        ntime: submit.ntime,
        nonce: submit.nonce,
        version_bits: submit.version_bits,
    };
    let verdict = validate(job, &submission, &rules);
    let again = validate(job, &submission, &rules);
    assert_eq!(verdict.block.is_some(), again.block.is_some());
    if submission.extranonce2.len() != EXTRANONCE2_SIZE {
        assert_eq!(verdict.share, Err(Reject::Extranonce2Size));
        assert!(verdict.block.is_none());
        return;
    }
    let header = header(job, txids, &submission, version_mask);
    let hash = header.block_hash();
    let meets =
        |target: Target| bitcoin::Target::from_be_bytes(target.to_display_bytes()).is_met_by(hash);
    if let Ok(share) = verdict.share {
        assert!(meets(job.target));
        assert_eq!(share.hash().0, hash.to_byte_array());
        assert_eq!(share.work(), job.target.work());
        assert_eq!(again.share, Err(Reject::Duplicate));
        let rolled = submission.version_bits.unwrap_or(0);
        assert_eq!(rolled & !version_mask, 0);
        assert!((TIME - 600..=TIME + 7_200).contains(&submission.ntime));
    } else {
        assert_eq!(
            again.share, verdict.share,
            "what is refused is not remembered"
        );
        assert_eq!(
            verdict.share == Err(Reject::LowDifficulty),
            !meets(job.target)
                && !matches!(verdict.share, Err(Reject::Ntime | Reject::VersionMask))
        );
    }
    let network = bitcoin::Target::from_compact(CompactTarget::from_consensus(BITS));
    assert_eq!(verdict.block.is_some(), network.is_met_by(hash));
    let Some(solved) = verdict.block else { return };
    assert_eq!(solved.id.0, hash.to_byte_array());
    assert_eq!(solved.header[..], consensus::serialize(&header));
    if txids.is_empty() {
        let bytes = unhex(&solved.hex);
        let block: Block = consensus::deserialize(&bytes).expect("a solved block decodes");
        assert_eq!(block.header, header);
        assert!(block.check_merkle_root());
    }
}

/// The header as anybody would make it who knows the protocol and none of our code.
fn header(job: &Job, txids: &[[u8; 32]], submission: &Submission<'_>, mask: u32) -> Header {
    let coinbase = [
        job.shared.coinbase.prefix(),
        &JOB_ID.to_be_bytes(),
        &PREFIX.bytes(),
        submission.extranonce2,
        job.shared.coinbase.suffix(),
    ]
    .concat();
    let coinbase: Transaction = consensus::deserialize(&coinbase).expect("a coinbase decodes");
    let txids = txids.iter().map(|txid| Txid::from_byte_array(*txid));
    let all = std::iter::once(coinbase.compute_txid()).chain(txids);
    let root = merkle_tree::calculate_root(all).expect("there is a coinbase");
    let version = match submission.version_bits {
        Some(bits) => VERSION & !mask | bits,
        None => VERSION,
    };
    Header {
        version: Version::from_consensus(version.cast_signed()),
        prev_blockhash: BlockHash::from_byte_array(PREVIOUS),
        merkle_root: TxMerkleNode::from_byte_array(root.to_byte_array()),
        time: submission.ntime,
        bits: CompactTarget::from_consensus(BITS),
        nonce: submission.nonce,
    }
}

fn unhex(digits: &str) -> Vec<u8> {
    wire::hex::vec(digits, digits.len()).expect("a block is hexadecimal")
}
