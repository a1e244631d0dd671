//! A wallet that answers what it should not.

use serde_json::{Value, json};

use super::{reply::Made, *};

fn made(change: impl Fn(&mut Value)) -> Result<Vec<Unsent>, CallError> {
    let mut told = json!({
        "tx_hash_list": ["0".repeat(64), "1".repeat(64)],
        "tx_key_list": ["2".repeat(64), "3".repeat(128)],
        "tx_blob_list": ["02", "0200"],
        "tx_metadata_list": ["0a", "0b0c"],
        "fee_list": [1, 2],
    });
    change(&mut told);
    serde_json::from_value::<Made>(told).unwrap().transactions()
}

#[test]
fn the_lists_of_a_split_belong_together() {
    let unsent = made(|_| {}).unwrap();
    assert_eq!(unsent.len(), 2);
    assert_eq!(unsent[1].id.to_string(), "1".repeat(64));
    assert_eq!(unsent[1].keys, [0x33; 64]);
    assert_eq!(unsent[1].blob, [2, 0]);
    assert_eq!(unsent[1].metadata, "0b0c");
}

#[test]
fn lists_that_do_not_belong_together_are_refused() {
    #[track_caller]
    fn case(change: impl Fn(&mut Value), expected: &str) {
        let refused = made(change).unwrap_err().to_string();
        assert!(refused.contains(expected), "{refused}");
    }
    case(|told| told["tx_hash_list"] = json!([]), "0 transactions");
    let many = vec!["0".repeat(64); 65];
    case(|told| told["tx_hash_list"] = json!(many), "65 transactions");
    for list in ["tx_key_list", "tx_blob_list", "tx_metadata_list"] {
        case(
            |told| {
                told[list].as_array_mut().unwrap().pop();
            },
            "different lengths",
        );
    }
    // As a wallet that only watches gives them.
    case(|told| told["tx_metadata_list"][0] = json!(""), "its bytes");
    case(|told| told["tx_blob_list"][0] = json!(""), "its bytes");
    case(|told| told["tx_blob_list"][0] = json!("0"), "is none");
    case(|told| told["tx_key_list"][0] = json!(""), "a key");
    case(|told| told["tx_key_list"][0] = json!("22"), "a key");
    let long = "2".repeat(64 * 18);
    case(|told| told["tx_key_list"][0] = json!(long), "a key");
    case(|told| told["tx_metadata_list"][0] = json!("xy"), "metadata");
}

#[test]
fn only_what_went_out_is_a_sending() {
    let told = json!({
        "out": [{"txid": "0".repeat(64), "height": 7, "type": "out"}],
        "pending": [{"txid": "1".repeat(64), "height": 0, "type": "pending"}],
        "in": [{"txid": "2".repeat(64), "height": 7, "type": "in"}],
    });
    let told: reply::Transfers = serde_json::from_value(told).unwrap();
    let sendings = told.sendings();
    let heights: Vec<_> = sendings.iter().map(|sending| sending.height).collect();
    assert_eq!(heights, [Some(7), None]);
    let failed = json!({"txid": "0".repeat(64), "type": "failed"});
    let failed: reply::Transfer = serde_json::from_value(failed).unwrap();
    assert_eq!(failed.sending(), None);
}
