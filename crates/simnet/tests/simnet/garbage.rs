//! Bytes that mean nothing: a verdict or an error for all of them, never a panic.

use std::sync::LazyLock;

use bitcoin::consensus;
use proptest::{collection::vec, prelude::*};
use serde_json::{Value, json};
use simnet::Verdict;

use crate::{
    client::Node,
    maker::{NOW, chain_of, coinbase_at, next_block, spend},
};

/// A good block with a payment in it, serialised.
static GOOD: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let chain = chain_of(101);
    let payment = spend(&[coinbase_at(&chain, 1)], 1);
    consensus::serialize(&next_block(&chain, vec![payment]))
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn random_bytes_are_no_block(bytes in vec(any::<u8>(), 0..400)) {
        let mut chain = chain_of(1);
        let verdict = chain.submit(&bytes, NOW);
        prop_assert!(!matches!(verdict, Verdict::Accepted | Verdict::Inconclusive));
    }

    #[test]
    fn a_good_block_with_a_changed_byte_is_never_accepted_as_another(
        at in any::<prop::sample::Index>(),
        flip in 1_u8..=255,
    ) {
        let mut chain = chain_of(101);
        let mut bytes = GOOD.clone();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        let verdict = chain.submit(&bytes, NOW);
        // Half of all changed headers still have regtest's proof: those fail elsewhere or are fine.
        if at >= 80 {
            prop_assert!(verdict != Verdict::Accepted, "byte {} by {}", at, flip);
        }
        chain.submit(&GOOD, NOW);
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[0-9a-f]{0,70}".prop_map(Value::from),
        Just(json!("00".repeat(32))),
        Just(json!("bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080")),
        ".{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        let key = prop_oneof![
            Just("txid".to_owned()),
            Just("vout".to_owned()),
            Just("rules".to_owned()),
            Just("mode".to_owned()),
            Just("data".to_owned()),
            ".{0,8}",
        ];
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((key, inner), 0..4).prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

#[test]
fn every_method_answers_any_parameters_with_json() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let node = runtime.block_on(Node::regtest());
    runtime.block_on(node.mine_to_wallet(3));
    let help = runtime.block_on(node.call("help", json!([])));
    let spared = [
        "stop",
        "waitfornewblock",
        "simnet_fault",
        "simnet_reorganise",
        "generatetoaddress",
    ];
    let names = help
        .as_str()
        .unwrap()
        .lines()
        .map(|line| line.split(' ').next().unwrap());
    let methods: Vec<String> = names
        .filter(|name| !spared.contains(name))
        .map(str::to_owned)
        .collect();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(600));
    let strategy = (prop::sample::select(methods), vec(any_json(), 0..5));
    runner
        .run(&strategy, |(method, params)| {
            let (status, answer) = runtime.block_on(node.request(&method, json!(params)));
            prop_assert!(
                status == 200 || status == 500,
                "{} {}: {}",
                method,
                status,
                answer
            );
            prop_assert!(answer.get("result").is_some());
            Ok(())
        })
        .unwrap();
    let bodies = vec(any::<u8>(), 0..200);
    runner
        .run(&bodies, |body| {
            let (status, _) = runtime.block_on(node.post(body));
            prop_assert!(status == 500 || status == 400);
            Ok(())
        })
        .unwrap();
    assert_eq!(runtime.block_on(node.call("getblockcount", json!([]))), 3);
    runtime.block_on(node.stop());
}
