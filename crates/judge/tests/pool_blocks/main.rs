//! Blocks that the pool's rules build, judged by Bitcoin Core's consensus library.
//!
//! Each goes the whole way: a template as `getblocktemplate` gives it, a job for a class of devices,
//! a nonce that `share::validate` takes for a block, its hexadecimal form decoded and handed in. A
//! block counts only if it became the tip.

#[path = "../kernel/mod.rs"]
mod kernel;
#[path = "../purse/mod.rs"]
mod purse;

mod pool;

use bitcoin::{
    Amount, ScriptBuf, Transaction, TxOut, consensus, opcodes::all::OP_CHECKSIG, script::Builder,
};
use mining::{
    Template,
    coinbase::{Output, Payees},
    device::CoinbaseClass,
    share::{NTIME_AHEAD_MAX_S, Reject},
    template::TemplateKind,
};

use crate::{
    kernel::Judge,
    pool::{MASK, Plan, Pool, output},
    purse::{Coin, Kind, coins, pay, unsigned},
};

/// The weight and signature operations that Bitcoin Core keeps for the coinbase by default.
const RESERVED_WEIGHT: usize = 8_000;
const RESERVED_SIGOPS: usize = 400;
const MAX_WEIGHT: usize = 4_000_000;
const MAX_SIGOPS: usize = 80_000;

/// Payees of every kind of script, and then as many of the smallest, that fill what is left.
fn crowd(count: u64) -> Payees {
    let kinds = Kind::ALL.into_iter().cycle();
    let large = (0..count)
        .zip(kinds)
        .map(|(i, kind)| output(1_000 + i, kind.script()));
    // Pay to anchor has the smallest standard script.
    let anchor = ScriptBuf::from_bytes(vec![0x51, 0x02, 0x4e, 0x73]);
    let small = (0..count).map(|i| output(240 + i, anchor.clone()));
    Payees {
        outputs: large.chain(small).collect(),
        keeper: Kind::P2tr.script().into_bytes(),
    }
}

#[test]
fn every_class_of_devices_finds_valid_blocks_whoever_is_paid() {
    let mut pool = Pool::on_regtest();
    for count in [0, 1, 2, 5, 20, 60, 250, 600] {
        let mut sizes = Vec::new();
        for class in CoinbaseClass::ALL {
            for size in [2, 4, 8] {
                let template = pool.template(&[], 0);
                let plan = Plan {
                    class,
                    payees: crowd(count),
                    extranonce2: (0..size).map(|i| 0xf0 | i).collect(),
                    ..Plan::default()
                };
                let job = pool.mine(template, &plan);
                let coinbase = job
                    .shared
                    .coinbase
                    .transaction(1, [0; 4], &plan.extranonce2);
                let coinbase: Transaction = consensus::deserialize(&coinbase).unwrap();
                assert!(coinbase.base_size() <= class.budget());
                sizes.push((class, coinbase.base_size(), coinbase.output.len()));
            }
        }
        if count == 600 {
            for (class, size, _) in &sizes {
                // The smallest output has 13 bytes, and two may be spared at the count of outputs.
                assert!(class.budget() - size < 15, "{class:?} leaves room: {size}");
            }
            assert!(
                sizes.chunks(3).is_sorted_by(|a, b| a[2].2 < b[2].2),
                "{sizes:?}"
            );
        }
    }
}

#[test]
fn payees_may_take_the_whole_reward() {
    let mut pool = Pool::on_regtest();
    for class in CoinbaseClass::ALL {
        let template = pool.template(&[], 0);
        let units = template.value.units();
        let outputs = [3, units - 3].map(|units| output(units, Kind::P2tr.script()));
        let payees = Payees {
            outputs: outputs.to_vec(),
            ..crowd(0)
        };
        let job = pool.mine(
            template,
            &Plan {
                class,
                payees,
                ..Plan::default()
            },
        );
        assert_eq!(job.shared.coinbase.paid().len(), 2);
    }
}

#[test]
fn heights_are_written_as_consensus_reads_them() {
    let mut pool = Pool::on_regtest();
    // Past the pushes of one byte, the sign bit at 128, two bytes at 256, the halvings at 150 and
    // 300, and the first period of version bits at 144.
    let plans = CoinbaseClass::ALL
        .into_iter()
        .cycle()
        .zip([2, 4, 8].into_iter().cycle());
    for (height, (class, size)) in (1..=310).zip(plans) {
        let template = pool.template(&[], 0);
        assert_eq!(template.height, height);
        let plan = Plan {
            class,
            extranonce2: vec![0xff; size],
            ..Plan::default()
        };
        pool.mine(template, &plan);
    }
}

#[test]
fn the_tag_and_the_daemons_flags_may_fill_the_coinbases_script() {
    let mut pool = Pool::on_regtest();
    #[track_caller]
    fn case(pool: &mut Pool, tag: &'static [u8], flags: &[u8], size: usize) {
        let template = Template {
            coinbase_flags: flags.to_vec(),
            ..pool.template(&[], 0)
        };
        let extranonce2 = vec![7; size];
        pool.mine(
            template,
            &Plan {
                tag,
                extranonce2,
                ..Plan::default()
            },
        );
    }
    case(&mut pool, b"", b"", 2);
    case(&mut pool, b"", b"/P2SH/", 8);
    // Heights below 17 take one byte, the extranonces 17 with their push: 82 are left, and a push
    // of more than 75 bytes takes two itself.
    case(&mut pool, &[b'x'; 75], b"", 8);
    case(&mut pool, &[b'x'; 76], b"", 8);
    case(&mut pool, &[b'x'; 80], b"", 8);
    case(&mut pool, &[b'x'; 40], &[b'y'; 41], 8);
}

#[test]
fn rolled_versions_make_valid_blocks() {
    let mut pool = Pool::on_regtest();
    let rolled = (13..29).map(|bit| Some(1 << bit));
    let others = [
        None,
        Some(0),
        Some(MASK),
        Some(0x1555_4000),
        Some(0x0aaa_a000),
    ];
    for bits in rolled.chain(others) {
        // The daemon itself may signal within the mask, or outside.
        for version in [0x2000_0000, 0x3000_0000, 0x2000_2000, 0x2000_0004] {
            let template = Template {
                version,
                ..pool.template(&[], 0)
            };
            pool.mine(
                template,
                &Plan {
                    version_bits: bits,
                    ..Plan::default()
                },
            );
        }
    }
}

#[test]
fn the_pools_limits_of_time_are_those_of_consensus() {
    let mut pool = Pool::on_regtest();
    // Times of different distance, so that the median is not simply the sixth block before.
    for i in 0..15 {
        let template = Template {
            time: pool.template(&[], 0).min_time + i * 37 % 50,
            ..pool.template(&[], 0)
        };
        pool.mine(template, &Plan::default());
    }
    let early = |pool: &Pool, seconds: u32| Template {
        time: pool.template(&[], 0).min_time - seconds,
        ..pool.template(&[], 0)
    };
    let template = early(&pool, 0);
    pool.mine(template, &Plan::default());
    let template = early(&pool, 1);
    let job = pool.job(template, &Plan::default());
    let (solved, share) = pool.solve(&job, &Plan::default());
    assert_eq!(share, Err(Reject::Ntime));
    assert_eq!(pool.submit(&solved).reason.as_deref(), Some("time-too-old"));

    let now = u32::try_from(
        std::time::SystemTime::UNIX_EPOCH
            .elapsed()
            .unwrap()
            .as_secs(),
    )
    .unwrap();
    let template = Template {
        time: now + 60,
        ..pool.template(&[], 0)
    };
    let late = Plan {
        seconds: NTIME_AHEAD_MAX_S,
        ..Plan::default()
    };
    let job = pool.job(template, &late);
    let (solved, share) = pool.solve(&job, &late);
    // By the pool's clock, a minute ahead of the judge's, it is just in time.
    assert_eq!(share, Ok(()));
    assert_eq!(pool.submit(&solved).reason.as_deref(), Some("time-too-new"));
    let template = Template {
        time: now,
        ..pool.template(&[], 0)
    };
    pool.mine(template, &late);
}

#[test]
fn a_block_is_a_block_even_where_the_share_is_refused() {
    let mut pool = Pool::on_regtest();
    let outside = Plan {
        version_bits: Some(0x1),
        ..Plan::default()
    };
    let template = pool.template(&[], 0);
    let job = pool.job(template, &outside);
    let (solved, share) = pool.solve(&job, &outside);
    assert_eq!(share, Err(Reject::VersionMask));
    assert!(pool.submit(&solved).accepted);
    // The same job again: somebody else's block on the tip has been found meanwhile.
    let other = Plan {
        extranonce2: vec![9; 4],
        ..Plan::default()
    };
    let (late, _) = pool.solve(&job, &other);
    assert_eq!(pool.submit(&late).reason.as_deref(), Some("inconclusive"));
    assert_eq!(pool.submit(&solved).reason.as_deref(), Some("duplicate"));
    // A negative version is too old for consensus.
    let negative = Plan {
        version_bits: Some(0x8000_0000),
        ..Plan::default()
    };
    let template = pool.template(&[], 0);
    let job = pool.job(template, &negative);
    let (solved, share) = pool.solve(&job, &negative);
    assert_eq!(share, Err(Reject::VersionMask));
    assert_eq!(
        pool.submit(&solved).reason.as_deref(),
        Some("bad-version(0xa0000000)")
    );
}

#[test]
fn signed_spends_and_their_fees_are_mined_by_every_class() {
    let mut pool = Pool::on_regtest();
    for class in CoinbaseClass::ALL {
        for count in [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17] {
            let spent = pool.mature_coins(count);
            let transactions: Vec<Transaction> = spent[..count]
                .iter()
                .map(|coin| pay(std::slice::from_ref(coin), &Kind::ALL, 1_000))
                .collect();
            let plan = Plan {
                class,
                payees: crowd(30),
                version_bits: Some(0x0400_0000),
                ..Plan::default()
            };
            let template = pool.template(&transactions, 1_000 * count as u64);
            let value = template.value;
            let job = pool.mine(template, &plan);
            let paid = job
                .shared
                .coinbase
                .paid()
                .iter()
                .map(|output| output.amount);
            assert_eq!(mining::Amount::checked_sum(paid), Some(value));
        }
    }
}

#[test]
fn chains_of_spends_and_many_inputs_are_mined_in_their_order() {
    let mut pool = Pool::on_regtest();
    let spent = pool.mature_coins(20);
    let mut transactions = vec![pay(&spent, &Kind::ALL, 500)];
    for _ in 0..30 {
        let last: Vec<Coin> = coins(transactions.last().unwrap()).collect();
        transactions.push(pay(&last, &Kind::ALL, 500));
    }
    let template = pool.template(&transactions, 31 * 500);
    pool.mine(template, &Plan::default());
}

#[test]
fn blocks_without_witness_need_no_commitment() {
    let mut pool = Pool::on_regtest();
    for class in CoinbaseClass::ALL {
        let template = Template {
            witness_commitment: None,
            ..pool.template(&[], 0)
        };
        pool.mine(
            template,
            &Plan {
                class,
                payees: crowd(600),
                ..Plan::default()
            },
        );
        // As it is made from a new tip alone.
        let template = Template {
            witness_commitment: None,
            kind: TemplateKind::SubsidyOnly,
            ..pool.template(&[], 0)
        };
        pool.mine(
            template,
            &Plan {
                class,
                ..Plan::default()
            },
        );
        let spent: Vec<Coin> = pool
            .mature_coins(30)
            .into_iter()
            .filter(|coin| !coin.kind.has_witness())
            .collect();
        let transactions = [pay(&spent, &[Kind::P2pkh], 777)];
        let template = Template {
            witness_commitment: None,
            ..pool.template(&transactions, 777)
        };
        pool.mine(
            template,
            &Plan {
                class,
                payees: crowd(600),
                ..Plan::default()
            },
        );
    }
}

#[test]
fn a_coinbase_of_any_class_fits_a_template_as_heavy_as_it_may_be() {
    let mut refused = Vec::new();
    for class in CoinbaseClass::ALL {
        let mut pool = Pool::on_regtest();
        let spent = pool.mature_coins(4);
        let heavy = heavy(&spent, MAX_WEIGHT - RESERVED_WEIGHT);
        let template = pool.template(&[heavy], 0);
        let plan = Plan {
            class,
            payees: crowd(600),
            ..Plan::default()
        };
        let job = pool.job(template, &plan);
        let (solved, _) = pool.solve(&job, &plan);
        let opinion = pool.submit(&solved);
        if !opinion.accepted {
            refused.push((class, opinion.reason));
        }
    }
    assert_eq!(refused, []);
}

#[test]
fn a_coinbase_of_any_class_fits_a_template_with_as_many_sigops_as_it_may_have() {
    let mut refused = Vec::new();
    for class in CoinbaseClass::ALL {
        let mut pool = Pool::on_regtest();
        let spent = pool.mature_coins(4);
        // A signature operation in a script that is paid to costs four.
        let count = (MAX_SIGOPS - RESERVED_SIGOPS) / 4;
        let script = (0..count).fold(Builder::new(), |script, _| script.push_opcode(OP_CHECKSIG));
        let anyone = spent
            .into_iter()
            .find(|coin| coin.kind == Kind::True)
            .unwrap();
        let output = TxOut {
            value: anyone.output.value,
            script_pubkey: script.into_script(),
        };
        let template = pool.template(&[unsigned(&[anyone], vec![output])], 0);
        let outputs = vec![output_to_key(); 600];
        let payees = Payees {
            outputs,
            ..crowd(0)
        };
        let plan = Plan {
            class,
            payees,
            ..Plan::default()
        };
        let job = pool.job(template, &plan);
        let (solved, _) = pool.solve(&job, &plan);
        let opinion = pool.submit(&solved);
        if !opinion.accepted {
            refused.push((class, opinion.reason));
        }
    }
    assert_eq!(refused, []);
}

fn output_to_key() -> Output {
    output(1_000, Kind::P2pkh.script())
}

/// A transaction of exactly this weight.
fn heavy(spent: &[Coin], weight: usize) -> Transaction {
    let anyone = spent.iter().find(|coin| coin.kind == Kind::True).unwrap();
    let pad = |bytes: usize| {
        let mut script = vec![0x6a];
        script.resize(bytes, 0);
        TxOut {
            value: Amount::ZERO,
            script_pubkey: ScriptBuf::from_bytes(script),
        }
    };
    let make = |bytes| unsigned(std::slice::from_ref(anyone), vec![pad(bytes)]);
    let rest = weight - usize::try_from(make(100_000).weight().to_wu()).unwrap();
    make(100_000 + rest / 4)
}

#[test]
fn real_work_on_a_signet_makes_valid_blocks() {
    // Anyone may sign for OP_TRUE, so blocks need no signature.
    let judge = Judge::open(|context| context.signet(&[0x51]));
    let mut pool = Pool::new(judge, 0x1e03_77ae);
    for (height, class) in (1..).zip([CoinbaseClass::Rental, CoinbaseClass::Huge]) {
        let template = pool.template(&[], 0);
        let plan = Plan {
            class,
            payees: crowd(600),
            extranonce2: vec![1; 8],
            version_bits: Some(0x1fff_e000),
            ..Plan::default()
        };
        pool.mine(template, &plan);
        assert_eq!(pool.judge.tip().height, height);
    }
}
