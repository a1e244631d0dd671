//! What a program without a wallet asks for, in the form of Bitcoin Core.

use std::str::FromStr as _;

use serde_json::{Value, json};

use crate::client::Node;

/// The public key of BIP 32's first test vector, chain m/0h, as a test network has it.
const KEY: &str = "tpubD8eQVK4Kdxg3gHrF62jGP7dKVCoYiEB8dFSpuTawkL5YxTus5j5pf83vaKnii4bc6v2NVEy81P2gYrJczYne3QNNwMTS53p5uzDyHvnw2jm";

async fn scan(node: &Node, objects: Value) -> Value {
    node.call("scantxoutset", json!(["start", objects])).await
}

#[tokio::test]
async fn a_descriptor_s_coins_are_listed_as_bitcoin_core_lists_them() {
    let node = Node::regtest().await;
    let ranged = format!("wpkh({KEY}/7/*)");
    let empty = scan(&node, json!([{"desc": ranged, "range": 5}])).await;
    assert_eq!(empty["unspents"], json!([]));
    assert_eq!(empty["total_amount"], 0.0);
    assert_eq!(empty["success"], true);

    // Two blocks to script 3, and one to nobody that is asked for.
    let script = miniscript::Descriptor::<miniscript::DescriptorPublicKey>::from_str(&ranged)
        .unwrap()
        .at_derivation_index(3)
        .unwrap()
        .script_pubkey();
    node.simnet.mine(2, script.clone()).await.unwrap();
    node.mine_to_wallet(1).await;
    let found = scan(&node, json!([{"desc": ranged, "range": [2, 5]}])).await;
    assert_eq!(found["height"], 3);
    assert_eq!(found["txouts"], 3);
    assert_eq!(found["bestblock"], json!(node.simnet.tip_hash()));
    assert_eq!(found["total_amount"], 100.0);
    let unspents = found["unspents"].as_array().unwrap();
    assert_eq!(unspents.len(), 2);
    for unspent in unspents {
        let height = unspent["height"].as_u64().unwrap();
        assert_eq!(unspent["scriptPubKey"], json!(script.to_hex_string()));
        assert_eq!(unspent["amount"], 50.0);
        assert_eq!(unspent["vout"], 0);
        assert_eq!(unspent["coinbase"], true);
        assert_eq!(unspent["confirmations"], 4 - height);
        assert!(unspent["desc"].as_str().unwrap().starts_with("wpkh(0"));
        let coin = node
            .call("gettxout", json!([unspent["txid"], unspent["vout"]]))
            .await;
        assert_eq!(coin["scriptPubKey"]["hex"], unspent["scriptPubKey"]);
    }
    // Other scripts, and scripts behind the range, have none.
    for objects in [
        json!([{"desc": ranged, "range": 2}]),
        json!([format!("pkh({KEY}/7/3)")]),
        json!([]),
    ] {
        let none = scan(&node, objects.clone()).await;
        assert_eq!(none["unspents"], json!([]), "{objects}");
    }
    // A descriptor alone looks at a thousand scripts.
    assert_eq!(scan(&node, json!([ranged])).await["total_amount"], 100.0);
    node.stop().await;
}

#[tokio::test]
async fn what_is_no_scan_is_refused_as_bitcoin_core_refuses_it() {
    let node = Node::regtest().await;
    let refused = |params| node.fail("scantxoutset", params);
    assert_eq!(refused(json!(["look"])).await.0, -8);
    assert_eq!(refused(json!(["start"])).await.0, -1);
    assert_eq!(refused(json!(["start", [7]])).await.0, -8);
    assert_eq!(refused(json!(["start", [{"range": 7}]])).await.0, -8);
    assert_eq!(refused(json!(["start", ["a shopping list"]])).await.0, -5);
    let ranged = format!("wpkh({KEY}/*)");
    for range in [
        json!(-1),
        json!([5, 4]),
        json!([0, 1_000_000]),
        json!([-1, 4]),
        json!([1]),
        json!(1_i64 << 31),
    ] {
        let object = json!({"desc": ranged, "range": range});
        assert_eq!(refused(json!(["start", [object]])).await.0, -8, "{range}");
    }
    // A checksum that is not this one's, a hardened step, the main network, and a private key.
    let main = "xpub68Gmy5EdvgibQVfPdqkBBCHxA5htiqg55crXYuXoQRKfDBFA1WEjWgP6LHhwBZeNK1VTsfTFUHCdrfp1bgwQ9xv5ski8PX9rL2dZXvgGDnw";
    for text in [
        format!("{ranged}#00000000"),
        format!("wpkh({KEY}/*h)"),
        format!("wpkh({main}/*)"),
        "wpkh(cVpF924EspNh8KjYsfhgY96mmxvT6DgdWiTYMtMjuM74hJaU5psW)".to_owned(),
    ] {
        assert_eq!(refused(json!(["start", [text]])).await.0, -5, "{text}");
    }
    assert_eq!(
        node.call("scantxoutset", json!(["status"])).await,
        Value::Null
    );
    assert_eq!(node.call("scantxoutset", json!(["abort"])).await, false);
    node.stop().await;
}

#[tokio::test]
async fn a_fresh_node_cannot_estimate_fees() {
    let node = Node::regtest().await;
    let told = node.call("estimatesmartfee", json!([6])).await;
    assert_eq!(told["feerate"], Value::Null);
    assert_eq!(told["blocks"], 6);
    assert!(told["errors"][0].as_str().unwrap().contains("Insufficient"));
    for target in [0, 1009] {
        assert_eq!(node.fail("estimatesmartfee", json!([target])).await.0, -8);
    }
    node.stop().await;
}
