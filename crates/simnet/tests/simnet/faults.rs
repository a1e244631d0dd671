//! Faults: what a caller meets when the daemon is slow, wrong, lagging or half dead.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use simnet::{Calls, Fault};

use crate::client::Node;

fn only(method: &str) -> Calls {
    Calls {
        methods: Some(vec![method.to_owned()]),
        times: None,
    }
}

#[tokio::test]
async fn calls_meet_the_faults_set_for_them_and_others_do_not() {
    let node = Node::regtest().await;
    node.call("simnet_fault", json!(["error", {"code": -28, "message": "Loading", "methods": ["getblockcount"], "times": 1}])).await;
    assert!(node.call("uptime", json!([])).await.as_u64().unwrap() < 60);
    assert_eq!(
        node.fail("getblockcount", json!([])).await,
        (-28, "Loading".to_owned())
    );
    assert_eq!(node.call("getblockcount", json!([])).await, 0);

    node.call("simnet_fault", json!(["http", {"status": 503}]))
        .await;
    assert_eq!(
        node.request("getblockcount", json!([])).await,
        (503, Value::Null)
    );
    node.call("simnet_fault", json!(["clear"])).await;

    node.simnet.fault(Fault::Slow {
        ms: 120,
        calls: only("getblockcount"),
    });
    let started = Instant::now();
    node.call("getblockcount", json!([])).await;
    assert!(started.elapsed() >= Duration::from_millis(120));
    node.simnet.clear_faults();

    node.simnet.fault(Fault::Result {
        value: json!("inconclusive"),
        calls: only("submitblock"),
    });
    assert_eq!(
        node.call("submitblock", json!(["00"])).await,
        "inconclusive"
    );
    node.simnet.clear_faults();

    assert_eq!(node.fail("simnet_fault", json!(["nonsense"])).await.0, -8);
    assert_eq!(node.fail("simnet_fault", json!(["slow"])).await.0, -8);
    for _ in 0..64 {
        assert!(node.simnet.fault(Fault::Garbage {
            calls: only("nothing")
        }));
    }
    assert!(!node.simnet.fault(Fault::Garbage {
        calls: only("nothing")
    }));
    node.stop().await;
}

#[tokio::test]
async fn a_lost_answer_may_hide_a_taken_block() {
    let node = Node::regtest().await;
    node.simnet.fault(Fault::Garbage {
        calls: only("generatetoaddress"),
    });
    let address = node.simnet.new_address();
    assert_eq!(
        node.request("generatetoaddress", json!([1, address])).await,
        (200, Value::Null)
    );
    assert_eq!(node.simnet.height(), 1);
    node.simnet.clear_faults();

    node.simnet.fault(Fault::Silent {
        processed: true,
        calls: only("generatetoaddress"),
    });
    let mut tips = node.simnet.tips();
    let call = node.request("generatetoaddress", json!([1, address]));
    tokio::select! {
        answer = call => panic!("answered {answer:?}"),
        _ = tips.wait_for(|tip| tip.height == 2) => {}
    }
    node.simnet.clear_faults();

    node.simnet.fault(Fault::Silent {
        processed: false,
        calls: Calls::default(),
    });
    let silent = node.request("generatetoaddress", json!([1, address]));
    assert!(
        tokio::time::timeout(Duration::from_millis(80), silent)
            .await
            .is_err()
    );
    assert_eq!(node.simnet.height(), 2);
    node.stop().await;
}

#[tokio::test]
async fn a_lagging_node_reports_and_templates_an_older_tip() {
    let node = Node::regtest().await;
    node.mine_to_wallet(5).await;
    let tip = node.simnet.tip_hash();
    node.call("simnet_fault", json!(["lagging", {"blocks": 2}]))
        .await;
    let info = node.call("getblockchaininfo", json!([])).await;
    assert_eq!((&info["blocks"], &info["headers"]), (&json!(3), &json!(5)));
    assert_eq!(node.call("getblockcount", json!([])).await, 3);
    assert_eq!(node.fail("getblockhash", json!([4])).await.0, -8);
    assert_eq!(node.fail("getblockheader", json!([tip])).await.0, -5);
    let template = node.template().await;
    assert_eq!(template["height"], 4);
    assert_eq!(template["previousblockhash"], info["bestblockhash"]);
    node.mine_to_wallet(1).await;
    assert_eq!(
        node.call("getblockcount", json!([])).await,
        4,
        "it stays two blocks behind"
    );
    node.simnet.clear_faults();
    assert_eq!(node.template().await["height"], 7);
    node.call("simnet_fault", json!(["lagging", {"blocks": 200}]))
        .await;
    assert_eq!(node.template().await["height"], 1);
    node.stop().await;
}

#[tokio::test]
async fn an_unsynced_or_lonely_node_refuses_templates_and_an_old_one_says_so() {
    let node = Node::regtest().await;
    let request = json!([{"rules": ["segwit"]}]);
    node.call("simnet_fault", json!(["unsynced"])).await;
    assert_eq!(node.fail("getblocktemplate", request.clone()).await.0, -10);
    assert_eq!(
        node.call("getblockchaininfo", json!([])).await["initialblockdownload"],
        true
    );
    node.simnet.clear_faults();
    node.call("simnet_fault", json!(["peers", {"n": 0}])).await;
    assert_eq!(node.fail("getblocktemplate", request).await.0, -9);
    assert_eq!(node.call("getconnectioncount", json!([])).await, 0);
    node.call("simnet_fault", json!(["version", {"n": 210_000}]))
        .await;
    assert_eq!(
        node.call("getnetworkinfo", json!([])).await["version"],
        210_000
    );
    node.stop().await;
}
