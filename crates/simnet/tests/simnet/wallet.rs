//! The wallet through RPC: receive, send, confirm, reorganise, PSBT.

use bitcoin::{Transaction, consensus::encode::deserialize_hex};
use serde_json::{Value, json};
use simnet::{Config, Params};

use crate::client::Node;

#[tokio::test]
async fn a_payment_waits_confirms_and_is_listed() {
    let node = Node::regtest().await;
    node.mine_to_wallet(101).await;
    assert_eq!(node.call("getbalance", json!([])).await, 50.0);
    let balances = node.call("getbalances", json!([])).await;
    assert_eq!(balances["mine"]["immature"], 5000.0);
    let stranger = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";
    let txid = node
        .call("sendtoaddress", json!([stranger, "10.00000001"]))
        .await;

    let waiting = node.call("gettransaction", json!([txid])).await;
    assert_eq!(waiting["confirmations"], 0);
    assert_eq!(waiting["amount"], -10.00000001);
    let fee = waiting["fee"].as_f64().unwrap();
    assert!((-0.0001..0.0).contains(&fee), "{fee}");
    assert_eq!(waiting["details"][0]["category"], "send");
    assert_eq!(
        waiting["details"].as_array().unwrap().len(),
        1,
        "change is left out"
    );
    assert_eq!(node.call("getrawmempool", json!([])).await, json!([txid]));
    let entry = node.call("getmempoolentry", json!([txid])).await;
    assert_eq!(entry["fees"]["base"].as_f64(), Some(-fee));
    assert_eq!(node.call("getmempoolinfo", json!([])).await["size"], 1);

    node.mine_to_wallet(1).await;
    let confirmed = node.call("gettransaction", json!([txid])).await;
    assert_eq!(confirmed["confirmations"], 1);
    assert_eq!(confirmed["blockhash"], json!(node.simnet.tip_hash()));
    let raw = node.call("getrawtransaction", json!([txid, true])).await;
    assert_eq!(raw["confirmations"], 1);
    let paid = raw["vout"].as_array().unwrap().iter();
    let paid = paid.filter(|out| out["scriptPubKey"]["address"] == stranger);
    assert_eq!(
        paid.map(|out| out["value"].clone()).collect::<Vec<_>>(),
        [json!(10.00000001)]
    );
    let listed = node.call("listtransactions", json!(["*", 2])).await;
    let listed: Vec<_> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|e| &e["category"])
        .collect();
    assert_eq!(listed, ["send", "immature"]);
    let since = node
        .call(
            "listsinceblock",
            json!([node.call("getblockhash", json!([101])).await]),
        )
        .await;
    assert_eq!(since["transactions"].as_array().unwrap().len(), 2);
    assert_eq!(since["lastblock"], json!(node.simnet.tip_hash()));

    let hex = confirmed["hex"].clone();
    let again = node.fail("sendrawtransaction", json!([hex])).await;
    assert_eq!(
        again,
        (-27, "Transaction outputs already in utxo set".to_owned())
    );
    node.stop().await;
}

#[tokio::test]
async fn a_payment_of_a_left_block_waits_again() {
    let node = Node::regtest().await;
    node.mine_to_wallet(101).await;
    let before = node.call("getblockhash", json!([101])).await;
    let txid = node
        .call("sendtoaddress", json!([node.simnet.new_address(), 1]))
        .await;
    node.mine_to_wallet(1).await;
    let left = node.simnet.tip_hash();
    node.call("simnet_reorganise", json!([1])).await;
    assert_eq!(
        node.call("gettransaction", json!([txid])).await["confirmations"],
        0
    );
    assert_eq!(node.call("getrawmempool", json!([])).await, json!([txid]));
    // The coinbase of the block that was left is an orphan.
    let listed = node.call("listtransactions", json!(["*", 1000])).await;
    let orphans = listed
        .as_array()
        .unwrap()
        .iter()
        .filter(|e| e["category"] == "orphan");
    assert_eq!(orphans.count(), 1);
    let since = node.call("listsinceblock", json!([left])).await;
    assert!(
        since["removed"]
            .as_array()
            .unwrap()
            .iter()
            .any(|entry| entry["txid"] == txid)
    );
    assert_eq!(node.call("getblockhash", json!([101])).await, before);
    node.mine_to_wallet(1).await;
    assert_eq!(
        node.call("gettransaction", json!([txid])).await["confirmations"],
        1
    );
    node.stop().await;
}

/// As with Bitcoin Core: below zero by the depth of what has an input of it, and of what it stands on.
#[tokio::test]
async fn a_payment_that_another_one_has_beaten_says_how_deep() {
    let node = Node::regtest().await;
    node.mine_to_wallet(101).await;
    let confirmations = async |txid: &Value| {
        let seen = node.call("gettransaction", json!([txid])).await;
        seen["confirmations"].as_i64().unwrap()
    };
    let pay = json!([node.simnet.new_address(), 10]);
    let txid = node.call("sendtoaddress", pay.clone()).await;
    // Of its change, as there is no other coin.
    let child = node.call("sendtoaddress", pay).await;
    let first = node.call("gettransaction", json!([txid])).await;
    let first: Transaction = deserialize_hex(first["hex"].as_str().unwrap()).unwrap();
    let coin = first.input[0].previous_output;
    let inputs = json!([{"txid": coin.txid, "vout": coin.vout}]);
    let outputs = json!({node.simnet.new_address(): 49.9});
    let rival = node
        .call("createrawtransaction", json!([inputs, outputs]))
        .await;
    let rival = node
        .call("signrawtransactionwithwallet", json!([rival]))
        .await;
    let sent = json!([rival["hex"], 0]);
    node.call("sendrawtransaction", sent).await;
    // Only what is in a block has beaten anything.
    assert_eq!(confirmations(&txid).await, 0);
    node.mine_to_wallet(1).await;
    assert_eq!(confirmations(&txid).await, -1);
    node.mine_to_wallet(2).await;
    assert_eq!(confirmations(&txid).await, -3);
    assert_eq!(confirmations(&child).await, -3);
    node.stop().await;
}

/// What spends the coins of a block that was left is beaten by nothing: it may come back.
#[tokio::test]
async fn a_payment_from_a_block_that_was_left_is_not_beaten() {
    let node = Node::start(Config::new(Params::regtest().with_maturity(2))).await;
    node.mine_to_wallet(3).await;
    let block = node.call("getblockhash", json!([1])).await;
    let pay = json!([node.simnet.new_address(), 10]);
    let txid = node.call("sendtoaddress", pay).await;
    node.call("invalidateblock", json!([block])).await;
    assert_eq!(node.call("getrawmempool", json!([])).await, json!([]));
    let seen = node.call("gettransaction", json!([txid])).await;
    assert_eq!(seen["confirmations"], 0);
    node.stop().await;
}

#[tokio::test]
async fn many_are_paid_at_once_and_the_fee_may_be_theirs() {
    let node = Node::regtest().await;
    node.mine_to_wallet(102).await;
    let (a, b) = (node.simnet.new_address(), node.simnet.new_address());
    let amounts = json!({a.clone(): 60, b.clone(): 0.5});
    let txid = node
        .call(
            "sendmany",
            json!(["", amounts, 1, "", [a], false, null, null, 7]),
        )
        .await;
    let raw = node.call("getrawtransaction", json!([txid, true])).await;
    let value = |address: &str| {
        let outputs = raw["vout"].as_array().unwrap().iter();
        outputs
            .filter(|out| out["scriptPubKey"]["address"] == address)
            .map(|out| out["value"].as_f64().unwrap())
            .sum::<f64>()
    };
    assert!(value(&a) < 60.0 && value(&a) > 59.99);
    assert_eq!(value(&b), 0.5);
    assert_eq!(raw["vin"].as_array().unwrap().len(), 2);
    assert_eq!(
        node.fail("sendmany", json!(["", {a.clone(): 1000}])).await,
        (-6, "Insufficient funds".into())
    );
    assert_eq!(
        node.fail("sendmany", json!(["", {"nowhere": 1}])).await.0,
        -5
    );
    assert_eq!(
        node.fail("sendmany", json!(["x", {a.clone(): 1}])).await.0,
        -8
    );
    assert_eq!(node.fail("sendtoaddress", json!([a, 0])).await.0, -3);
    assert_eq!(node.fail("sendtoaddress", json!([a, -1])).await.0, -3);
    assert_eq!(node.fail("sendtoaddress", json!([a, 1e-9])).await.0, -3);
    node.stop().await;
}

#[tokio::test]
async fn a_payment_is_made_step_by_step_for_every_kind_of_address() {
    let node = Node::regtest().await;
    node.mine_to_wallet(101).await;
    let mut coins = Vec::new();
    for kind in ["legacy", "p2sh-segwit", "bech32", "bech32m"] {
        let address = node.call("getnewaddress", json!(["", kind])).await;
        let txid = node.call("sendtoaddress", json!([address, 1])).await;
        coins.push((address, txid));
    }
    node.mine_to_wallet(1).await;
    for (address, txid) in coins {
        let unspent = node.call("listunspent", json!([1, 9999, [address]])).await;
        let coin = &unspent[0];
        assert_eq!((&coin["txid"], &coin["amount"]), (&txid, &json!(1.0)));
        let inputs = json!([{"txid": txid, "vout": coin["vout"]}]);
        let outputs = json!([{node.simnet.new_address(): 0.9999}, {"data": "00ff"}]);
        let raw = node
            .call("createrawtransaction", json!([inputs, outputs]))
            .await;
        let unsigned = node.fail("sendrawtransaction", json!([raw])).await;
        assert_eq!(unsigned.0, -26, "{unsigned:?}");
        assert!(
            unsigned.1.starts_with("mempool-script-verify-flag-failed"),
            "{unsigned:?}"
        );
        let signed = node
            .call("signrawtransactionwithwallet", json!([raw]))
            .await;
        assert_eq!(signed["complete"], true, "{signed}");
        let tested = node
            .call("testmempoolaccept", json!([[signed["hex"]]]))
            .await;
        assert_eq!(tested[0]["allowed"], true, "{tested}");
        assert_eq!(tested[0]["fees"]["base"], 0.0001);
        let sent = node
            .call("sendrawtransaction", json!([signed["hex"]]))
            .await;
        // Once more is no error: it is there.
        assert_eq!(
            node.call("sendrawtransaction", json!([signed["hex"]]))
                .await,
            sent
        );
    }
    let waiting = node
        .call("getrawmempool", json!([true]))
        .await
        .as_object()
        .unwrap()
        .len();
    assert_eq!(waiting, 4);
    node.mine_to_wallet(1).await;
    assert_eq!(node.call("getrawmempool", json!([])).await, json!([]));
    node.stop().await;
}

#[tokio::test]
async fn a_psbt_is_funded_signed_finalised_and_sent() {
    let node = Node::regtest().await;
    node.mine_to_wallet(101).await;
    for kind in ["legacy", "p2sh-segwit", "bech32m"] {
        let address = node.call("getnewaddress", json!(["", kind])).await;
        node.call("sendtoaddress", json!([address, 5])).await;
    }
    node.mine_to_wallet(100).await;
    // All coins of one payment, so that every kind is signed.
    let all = node.call("getbalance", json!([])).await.as_f64().unwrap();
    let address = node.simnet.new_address();
    let options = json!({"lockUnspents": true, "subtractFeeFromOutputs": [0], "fee_rate": 5});
    let made = node
        .call(
            "walletcreatefundedpsbt",
            json!([[], [{address: all}], 0, options]),
        )
        .await;
    assert_eq!(made["changepos"], -1);
    let locked = node.call("listlockunspent", json!([])).await;
    let decoded = node.call("decodepsbt", json!([made["psbt"]])).await;
    assert_eq!(
        locked.as_array().unwrap().len(),
        decoded["inputs"].as_array().unwrap().len()
    );
    assert_eq!(decoded["fee"], made["fee"]);
    assert_eq!(
        node.fail("sendtoaddress", json!([node.simnet.new_address(), 1]))
            .await
            .0,
        -6
    );

    let unfinished = node.call("finalizepsbt", json!([made["psbt"]])).await;
    assert_eq!(unfinished["complete"], false);
    let signed = node
        .call(
            "walletprocesspsbt",
            json!([made["psbt"], true, "ALL", true, false]),
        )
        .await;
    assert_eq!(signed["complete"], true);
    let combined = node
        .call("combinepsbt", json!([[made["psbt"], signed["psbt"]]]))
        .await;
    let finished = node.call("finalizepsbt", json!([combined])).await;
    assert_eq!(finished["complete"], true);
    assert_eq!(finished["hex"], signed["hex"]);
    let transaction: Transaction = deserialize_hex(finished["hex"].as_str().unwrap()).unwrap();
    let txid = node
        .call("sendrawtransaction", json!([finished["hex"]]))
        .await;
    assert_eq!(txid, json!(transaction.compute_txid()));
    node.mine_to_wallet(1).await;
    assert_eq!(
        node.call("gettransaction", json!([txid])).await["confirmations"],
        1
    );
    assert_eq!(node.call("lockunspent", json!([true])).await, true);
    assert_eq!(
        node.fail("walletprocesspsbt", json!(["cHNidP8="])).await.0,
        -22
    );
    node.stop().await;
}

#[tokio::test]
async fn a_raw_transaction_is_funded_and_coins_can_be_locked() {
    let node = Node::regtest().await;
    node.mine_to_wallet(103).await;
    let raw = node
        .call(
            "createrawtransaction",
            json!([[], {node.simnet.new_address(): 70}, 5]),
        )
        .await;
    let options = json!({"changePosition": 0, "feeRate": 0.0002});
    let funded = node.call("fundrawtransaction", json!([raw, options])).await;
    assert_eq!(funded["changepos"], 0);
    let transaction: Transaction = deserialize_hex(funded["hex"].as_str().unwrap()).unwrap();
    assert_eq!(transaction.input.len(), 2);
    assert_eq!(transaction.lock_time.to_consensus_u32(), 5);
    let coin = |index: usize| {
        let out = transaction.input[index].previous_output;
        json!({"txid": out.txid, "vout": out.vout})
    };
    assert_eq!(
        node.call("lockunspent", json!([false, [coin(0), coin(1)]]))
            .await,
        true
    );
    assert_eq!(
        node.fail("lockunspent", json!([false, [coin(0)]])).await.0,
        -8
    );
    assert_eq!(
        node.fail("fundrawtransaction", json!([raw])).await,
        (-6, "Insufficient funds".into())
    );
    assert_eq!(
        node.call("listunspent", json!([]))
            .await
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        node.call("lockunspent", json!([true, [coin(0)]])).await,
        true
    );
    node.call("fundrawtransaction", json!([raw])).await;
    node.stop().await;
}

#[tokio::test]
async fn the_pool_refuses_what_bitcoin_cores_pool_refuses() {
    let node = Node::regtest().await;
    node.mine_to_wallet(102).await;
    let coins = node.call("listunspent", json!([])).await;
    let coin = json!([{"txid": coins[0]["txid"], "vout": coins[0]["vout"]}]);
    let address = node.simnet.new_address();
    let make = async |outputs: Value, locktime: u32| {
        let raw = node
            .call("createrawtransaction", json!([coin, outputs, locktime]))
            .await;
        node.call("signrawtransactionwithwallet", json!([raw]))
            .await["hex"]
            .take()
    };
    let (spent, fee) = (49.999, 0.001);
    let good = make(json!({address.clone(): spent}), 0).await;
    let cases = [
        (
            make(json!({address.clone(): 50}), 0).await,
            (-26, "min relay fee not met, 0 < 11"),
        ),
        (
            make(json!({address.clone(): 51}), 0).await,
            (-26, "bad-txns-in-belowout"),
        ),
        (
            make(json!({address.clone(): 0.000001}), 0).await,
            (-26, "dust"),
        ),
        (
            make(json!({address.clone(): 40}), 0).await,
            (
                -25,
                "Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)",
            ),
        ),
        (
            make(json!({address.clone(): spent}), 103).await,
            (-26, "non-final"),
        ),
    ];
    for (hex, (code, message)) in cases {
        let error = node.fail("sendrawtransaction", json!([hex])).await;
        assert_eq!(error.0, code);
        assert!(error.1.starts_with(message), "{error:?}");
    }
    node.call("sendrawtransaction", json!([good, 0])).await;
    let _ = fee;
    // A rival has to pay more.
    let same = make(json!({node.simnet.new_address(): spent}), 0).await;
    let error = node.fail("sendrawtransaction", json!([same])).await;
    assert!(error.1.starts_with("insufficient fee"), "{error:?}");
    let more = make(json!({address: 49.998}), 0).await;
    let replaced = node.call("sendrawtransaction", json!([more])).await;
    assert_eq!(
        node.call("getrawmempool", json!([])).await,
        json!([replaced])
    );
    assert_eq!(node.fail("sendrawtransaction", json!(["00"])).await.0, -22);
    node.mine_to_wallet(1).await;
    let error = node.fail("sendrawtransaction", json!([good])).await;
    assert_eq!(error, (-25, "bad-txns-inputs-missingorspent".to_owned()));
    let tested = node.call("testmempoolaccept", json!([[good]])).await;
    assert_eq!(tested[0]["reject-reason"], "missing-inputs");
    let out = node.call("gettxout", json!([replaced, 0])).await;
    assert_eq!(
        (&out["confirmations"], &out["value"]),
        (&json!(1), &json!(49.998))
    );
    assert_eq!(
        node.call("gettxout", json!([coin[0]["txid"], coin[0]["vout"]]))
            .await,
        Value::Null
    );
    node.stop().await;
}
