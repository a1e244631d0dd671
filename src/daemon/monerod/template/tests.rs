//! Answers to `get_block_template` that a daemon gave, and odd ones.

use mining::Coin;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::daemon::monerod::reply::result;

/// Monero's.
fn rules() -> &'static CryptoNoteRules {
    let monero: &'static Coin = "monero".parse().unwrap();
    monero.cryptonote().unwrap()
}

/// What monerod answered for the first block of a chain of one's own.
fn answer() -> Value {
    let genesis = "418015bb9ae982a1975da7d79277c2705727a56894ba0fb246adaabb1f4632e3";
    let before = format!("1010bbe0a5d806{genesis}00000000");
    let transaction = "023d01ff0101808080f0ffff07036ef66d6d85e69979b570d9964a5483253c22d18c6d05c11757b7ca5f\
                       203001b80e3401afb11dbcb7fb7e0a1ee29efbf5289a35329796a972bd69d70e82e46b947470db0211";
    json!({
        "blocktemplate_blob": format!("{before}{transaction}{}", "00".repeat(19)),
        "blockhashing_blob": format!(
            "{before}d24652f51be4da288a61b39d675434feb3a41fed4ed527209bbf47cc2f1086ff01"
        ),
        "difficulty": 1, "difficulty_top64": 0, "expected_reward": 35_184_338_534_400u64,
        "height": 1, "next_seed_hash": "", "prev_hash": genesis, "reserved_offset": 126,
        "seed_hash": genesis, "seed_height": 0, "status": "OK", "untrusted": false,
        "wide_difficulty": "0x1",
    })
}

fn made_from(body: &[u8]) -> Result<Template, String> {
    let reply: BlockTemplate<'_> = result(body).map_err(|failure| failure.to_string())?;
    template(&reply, 17, rules()).map_err(|refused| refused.to_string())
}

fn made(answer: &Value) -> Result<Template, String> {
    made_from(
        json!({ "id": 0, "jsonrpc": "2.0", "result": answer })
            .to_string()
            .as_bytes(),
    )
}

#[test]
fn an_answer_becomes_a_template() {
    let template = made(&answer()).unwrap();
    assert_eq!(template.height(), 1);
    assert_eq!(template.previous().to_string(), answer()["prev_hash"]);
    assert_eq!(hex::encode(template.seed().0), answer()["seed_hash"]);
    assert_eq!(template.next_seed(), None);
    assert_eq!(template.reward().units(), 35_184_338_534_400);
    assert_eq!(template.block().reserve_len(), 17);
    // Old daemons tell the lower half alone.
    let mut old = answer();
    old.as_object_mut().unwrap().remove("wide_difficulty");
    old.as_object_mut().unwrap().remove("difficulty_top64");
    assert_eq!(made(&old), Ok(template));
}

#[test]
fn what_does_not_fit_is_refused() {
    #[track_caller]
    fn case(key: &str, value: Value, expected: &str) {
        let mut answer = answer();
        assert!(answer.get(key).is_some(), "{key}");
        answer[key] = value;
        let refused = made(&answer).unwrap_err();
        assert!(refused.contains(expected), "{key}: {refused}");
    }
    case("status", json!("BUSY"), "initial download");
    case("status", json!("PAYMENT REQUIRED"), "PAYMENT REQUIRED");
    case("status", json!(null), "malformed");
    case("untrusted", json!(true), "another daemon");
    case(
        "blocktemplate_blob",
        json!("1"),
        "blocktemplate_blob of the template is not hex",
    );
    case("blocktemplate_blob", json!(""), "cut off");
    case(
        "blockhashing_blob",
        json!("zz"),
        "blockhashing_blob of the template is not hex",
    );
    case("blockhashing_blob", json!("00"), "in another way");
    case("difficulty", json!(0), "wide_difficulty");
    case("difficulty", json!(-1), "malformed");
    case("difficulty", json!(1.5), "malformed");
    case("difficulty_top64", json!(1), "wide_difficulty");
    case("wide_difficulty", json!("0x2"), "wide_difficulty");
    case("wide_difficulty", json!("1"), "wide_difficulty");
    case("wide_difficulty", json!("0x"), "wide_difficulty");
    case("wide_difficulty", json!("0x+1"), "wide_difficulty");
    case(
        "wide_difficulty",
        json!(format!("0x1{}", "0".repeat(40))),
        "wide_difficulty",
    );
    case("expected_reward", json!(1u64 << 63), "expected_reward");
    case("expected_reward", json!(35_184_338_534_401u64), "pays");
    case("height", json!(2), "height");
    case("height", json!(u64::MAX), "height");
    case("height", json!(-1), "malformed");
    case("prev_hash", json!("00"), "malformed");
    case("prev_hash", json!("0".repeat(64)), "follows another block");
    case("reserved_offset", json!(0), "the reserve of 17 bytes at 0");
    case(
        "reserved_offset",
        json!(u64::MAX),
        "the reserve of 17 bytes",
    );
    case("seed_hash", json!(""), "malformed");
    case("seed_height", json!(2048), "said to come from block 2048");
    case(
        "next_seed_hash",
        json!("0".repeat(64)),
        "the next key is told",
    );
    case(
        "next_seed_hash",
        json!("00"),
        "next_seed_hash of the template is not hex",
    );
}

#[test]
fn a_difficulty_beyond_64_bits_is_refused_and_not_cut() {
    let mut answer = answer();
    answer["difficulty"] = json!(7);
    answer["difficulty_top64"] = json!(1);
    answer["wide_difficulty"] = json!("0x10000000000000007");
    let refused = made(&answer).unwrap_err();
    assert!(refused.contains("18446744073709551623"), "{refused}");
    answer["difficulty_top64"] = json!(0);
    answer["difficulty"] = json!(u64::MAX);
    answer["wide_difficulty"] = json!("0xffffffffffffffff");
    assert_eq!(made(&answer).unwrap().difficulty().get(), u64::MAX);
}

fn any_json() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(|b| json!(b)),
        any::<i64>().prop_map(|n| json!(n)),
        any::<u64>().prop_map(|n| json!(n)),
        any::<f64>().prop_map(|n| json!(n)),
        "[0-9a-f]{0,70}".prop_map(|t| json!(t)),
        "0x[0-9a-f]{0,40}".prop_map(|t| json!(t)),
        ".{0,20}".prop_map(|t| json!(t)),
        Just(json!([])),
        Just(json!({})),
    ]
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(body: Vec<u8>) {
        prop_assert!(made_from(&body).is_err());
    }

    #[test]
    fn no_value_at_any_key_makes_it_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any_json()), 1..4),
        flip: Option<(prop::sample::Index, u8)>,
    ) {
        let mut answer = answer();
        for (key, value) in changes {
            let object = answer.as_object_mut().unwrap();
            let key = key.get(&object.keys().cloned().collect::<Vec<_>>()).clone();
            object.insert(key, value);
        }
        if let Some((at, byte)) = flip
            && let Some(text) = answer["blocktemplate_blob"].as_str()
            && let Ok(mut bytes) = hex::decode(text)
            && !bytes.is_empty()
        {
            let at = at.index(bytes.len());
            bytes[at] = byte;
            answer["blocktemplate_blob"] = json!(hex::encode(bytes));
        }
        if let Ok(template) = made(&answer) {
            prop_assert!(template.height() > 0);
            prop_assert_eq!(template.block().reserve_len(), 17);
        }
    }
}
