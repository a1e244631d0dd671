//! JSON-RPC as Bitcoin Core speaks it: envelopes, errors, templates, waiting, ZMQ.

use std::time::{Duration, Instant};

use bitcoin::{
    Amount, Block, BlockHash, CompactTarget, OutPoint, ScriptBuf, Sequence, Transaction, TxIn,
    TxMerkleNode, TxOut, Witness,
    absolute::LockTime,
    block::{Header, Version},
    consensus::encode::{deserialize_hex, serialize_hex},
    hashes::Hash as _,
    script::Builder,
    transaction,
};
use serde_json::{Value, json};
use simnet::{Auth, Config, Params};
use zeromq::{Socket, SocketRecv, SubSocket};

use crate::{
    client::{Node, PATIENCE},
    maker::prove,
};

/// Assembles a block from a template as a pool does, with the template's own commitment.
fn assemble(template: &Value, script: ScriptBuf) -> Block {
    let height = template["height"].as_i64().unwrap();
    let commitment = template["default_witness_commitment"].as_str().unwrap();
    let output = |value, script_pubkey| TxOut {
        value: Amount::from_sat(value),
        script_pubkey,
    };
    let coinbase = Transaction {
        version: transaction::Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint::null(),
            script_sig: Builder::new()
                .push_int(height)
                .push_slice(b"pool")
                .into_script(),
            sequence: Sequence::MAX,
            witness: Witness::new(),
        }],
        output: vec![
            output(template["coinbasevalue"].as_u64().unwrap(), script),
            output(0, ScriptBuf::from_hex(commitment).unwrap()),
        ],
    };
    let listed = template["transactions"].as_array().unwrap().iter();
    let listed = listed.map(|tx| deserialize_hex(tx["data"].as_str().unwrap()).unwrap());
    let bits = template["bits"].as_str().unwrap();
    let mut block = Block {
        header: Header {
            version: Version::from_consensus(
                i32::try_from(template["version"].as_i64().unwrap()).unwrap(),
            ),
            prev_blockhash: template["previousblockhash"]
                .as_str()
                .unwrap()
                .parse()
                .unwrap(),
            merkle_root: TxMerkleNode::all_zeros(),
            time: u32::try_from(template["curtime"].as_u64().unwrap()).unwrap(),
            bits: CompactTarget::from_unprefixed_hex(bits).unwrap(),
            nonce: 0,
        },
        txdata: std::iter::once(coinbase).chain(listed).collect(),
    };
    block.header.merkle_root = block.compute_merkle_root().unwrap();
    block
}

fn anyone() -> ScriptBuf {
    crate::maker::anyone()
}

#[tokio::test]
async fn envelopes_statuses_and_error_codes_are_bitcoin_cores() {
    let node = Node::regtest().await;
    let body = |value: Value| value.to_string();

    let (status, answer) = node
        .post(body(json!({"id": "x", "method": "getblockcount"})))
        .await;
    assert_eq!(
        (status, answer),
        (200, json!({"result": 0, "error": null, "id": "x"}))
    );
    let (status, answer) = node
        .post(body(json!({"id": 1, "method": "nonsense"})))
        .await;
    let error = json!({"code": -32601, "message": "Method not found"});
    assert_eq!(
        (status, answer),
        (404, json!({"result": null, "error": error, "id": 1}))
    );
    let (status, answer) = node.post("{").await;
    assert_eq!((status, &answer["error"]["code"]), (500, &json!(-32700)));
    for request in [
        json!(1),
        json!({"id": 1}),
        json!({"method": 1}),
        json!({"method": "help", "params": 1}),
    ] {
        let (status, answer) = node.post(body(request)).await;
        assert_eq!((status, &answer["error"]["code"]), (400, &json!(-32600)));
    }
    assert_eq!(
        node.fail("getblockhash", json!([])).await,
        (-1, "getblockhash height".to_owned())
    );
    assert_eq!(node.fail("getblockcount", json!([1])).await.0, -1);
    assert_eq!(node.fail("getblockhash", json!(["1"])).await.0, -3);
    assert_eq!(node.fail("getblockhash", json!([1])).await.0, -8);
    assert_eq!(
        node.fail("getblockhash", json!({"height": 0, "width": 0}))
            .await
            .0,
        -8
    );
    assert_eq!(node.fail("getblock", json!(["00"])).await.0, -8);
    assert_eq!(
        node.fail("getblock", json!(["00".repeat(32)])).await,
        (-5, "Block not found".into())
    );
    assert!(
        node.call("getblockhash", json!({"height": 0}))
            .await
            .is_string()
    );

    // Version 2 has status 200 for every answer and none for notifications.
    let modern = json!({"jsonrpc": "2.0", "id": 5, "method": "nonsense"});
    let (status, answer) = node.post(body(modern)).await;
    assert_eq!(
        (status, answer),
        (
            200,
            json!({"jsonrpc": "2.0", "error": error_of(-32601), "id": 5})
        )
    );
    let notification = json!({"jsonrpc": "2.0", "method": "getblockcount"});
    assert_eq!(node.post(body(notification)).await, (204, Value::Null));

    let batch = json!([
        {"id": 1, "method": "getblockcount"},
        {"jsonrpc": "2.0", "id": 2, "method": "nonsense"},
        {"jsonrpc": "2.0", "method": "getblockcount"},
        7,
    ]);
    let (status, answer) = node.post(body(batch)).await;
    assert_eq!(status, 200);
    assert_eq!(answer.as_array().unwrap().len(), 3);
    assert_eq!(answer[1]["error"]["code"], -32601);
    let many = vec![json!({"id": 1, "method": "uptime"}); 1001];
    assert_eq!(node.post(body(json!(many))).await.0, 400);
    node.stop().await;
}

fn error_of(code: i32) -> Value {
    json!({"code": code, "message": "Method not found"})
}

#[tokio::test]
async fn only_the_right_password_a_post_and_a_known_wallet_are_let_in() {
    let mut config = Config::new(Params::regtest());
    config.auth = Auth::Password {
        user: "u".to_owned(),
        password: "p".to_owned(),
    };
    let node = Node::start(config).await;
    let url = node.simnet.url();
    let call = json!({"id": 1, "method": "getbalance"}).to_string();
    let status = |request: reqwest::RequestBuilder| async {
        request
            .body(call.clone())
            .send()
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    assert_eq!(status(node.http.post(&url)).await, 401);
    assert_eq!(
        status(node.http.post(&url).basic_auth("u", Some("q"))).await,
        401
    );
    assert_eq!(
        status(node.http.get(&url).basic_auth("u", Some("p"))).await,
        405
    );
    assert_eq!(
        status(node.http.post(&url).basic_auth("u", Some("p"))).await,
        200
    );
    for (path, expected) in [
        ("wallet/", 200),
        ("wallet/simnet", 200),
        ("wallet/other", 500),
        ("rest", 404),
    ] {
        let request = node
            .http
            .post(format!("{url}{path}"))
            .basic_auth("u", Some("p"));
        assert_eq!(status(request).await, expected, "{path}");
    }
    node.stop().await;
}

#[tokio::test]
async fn strangers_are_refused_before_their_body_and_stop_ends_the_node_alone() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let node = Node::regtest().await;
    let mut stream = tokio::net::TcpStream::connect(node.simnet.rpc_address())
        .await
        .unwrap();
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 33554432\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    let read = tokio::time::timeout(PATIENCE, stream.read_exact(&mut answer)).await;
    read.unwrap().unwrap();
    assert_eq!(&answer, b"HTTP/1.1 401");

    let huge = vec![b' '; 32 * 1024 * 1024 + 1];
    assert_eq!(node.post(huge).await.0, 413);
    // A request whose body never comes does not keep the node from stopping.
    let mut slow = tokio::net::TcpStream::connect(node.simnet.rpc_address())
        .await
        .unwrap();
    slow.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Le")
        .await
        .unwrap();
    node.call("stop", json!([])).await;
    assert!(node.simnet.is_stopping());
    assert!(!node.cancel.is_cancelled());
    tokio::time::timeout(PATIENCE, node.simnet.stopped())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_template_becomes_a_block() {
    let node = Node::regtest().await;
    node.mine_to_wallet(101).await;
    let address = node.simnet.new_address();
    let first = node.call("sendtoaddress", json!([address, 1])).await;
    let second = node
        .call(
            "sendtoaddress",
            json!({"address": address, "amount": "2.5", "fee_rate": 20}),
        )
        .await;

    assert_eq!(node.fail("getblocktemplate", json!([])).await.0, -8);
    let template = node.template().await;
    assert_eq!(template["height"], 102);
    assert_eq!(template["bits"], "207fffff");
    assert_eq!(template["target"].as_str().unwrap().len(), 64);
    assert_eq!(template["previousblockhash"], json!(node.simnet.tip_hash()));
    assert_eq!(template["rules"], json!(["csv", "!segwit", "taproot"]));
    let listed = template["transactions"].as_array().unwrap();
    assert_eq!(listed.len(), 2);
    // One coin is mature, so the second payment spends the first's change.
    assert_eq!((&listed[0]["txid"], &listed[1]["txid"]), (&first, &second));
    assert_eq!(
        (&listed[0]["depends"], &listed[1]["depends"]),
        (&json!([]), &json!([1]))
    );
    let fees: u64 = listed.iter().map(|tx| tx["fee"].as_u64().unwrap()).sum();
    assert!(fees > 0);
    assert_eq!(
        template["coinbasevalue"].as_u64().unwrap(),
        5_000_000_000 + fees
    );
    assert!(listed.iter().all(|tx| tx["sigops"].as_u64().unwrap() > 0));

    // The coinbase's witness may be left out of a submitted block, not of a proposal.
    let mut block = assemble(&template, anyone());
    let propose = |block: &Block| json!([{"mode": "proposal", "data": serialize_hex(block), "rules": ["segwit"]}]);
    assert_eq!(
        node.call("getblocktemplate", propose(&block)).await,
        "bad-witness-nonce-size"
    );
    let mut proposal = block.clone();
    proposal.txdata[0].input[0].witness = Witness::from_slice(&[[0; 32]]);
    assert_eq!(
        node.call("getblocktemplate", propose(&proposal)).await,
        Value::Null
    );
    proposal.txdata[0].output[0].value += Amount::from_sat(1);
    assert_eq!(
        node.call("getblocktemplate", propose(&proposal)).await,
        "bad-txnmrklroot"
    );
    proposal.header.merkle_root = proposal.compute_merkle_root().unwrap();
    assert_eq!(
        node.call("getblocktemplate", propose(&proposal)).await,
        "bad-cb-amount"
    );
    proposal.header.prev_blockhash = BlockHash::all_zeros();
    assert_eq!(
        node.call("getblocktemplate", propose(&proposal)).await,
        "inconclusive-not-best-prevblk"
    );

    while block.header.block_hash().to_byte_array()[31] < 0x80 {
        block.header.nonce += 1;
    }
    assert_eq!(
        node.call("submitblock", json!([serialize_hex(&block)]))
            .await,
        "high-hash"
    );
    prove(&mut block);
    assert_eq!(
        node.call("submitblock", json!([serialize_hex(&block)]))
            .await,
        Value::Null
    );
    assert_eq!(
        node.call("submitblock", json!([serialize_hex(&block)]))
            .await,
        "duplicate"
    );
    assert_eq!(node.simnet.tip_hash(), block.block_hash());
    let error = (-22, "Block decode failed".to_owned());
    assert_eq!(node.fail("submitblock", json!(["00"])).await, error);
    assert_eq!(node.fail("submitblock", json!(["zz"])).await, error);
    assert!(
        node.template().await["transactions"]
            .as_array()
            .unwrap()
            .is_empty()
    );

    let known = node.call("getblock", json!([block.block_hash(), 2])).await;
    assert_eq!(known["confirmations"], 1);
    assert_eq!(known["tx"][1]["txid"], first);
    assert!(known["tx"][1]["fee"].as_f64().unwrap() > 0.0);
    let raw = node.call("getblock", json!([block.block_hash(), 0])).await;
    let raw: Block = deserialize_hex(raw.as_str().unwrap()).unwrap();
    assert_eq!(
        raw.txdata[0].input[0].witness.len(),
        1,
        "the node completed the coinbase"
    );
    assert_eq!(known["size"], raw.total_size());
    assert_eq!(known["weight"], raw.weight().to_wu());
    node.stop().await;
}

#[tokio::test]
async fn time_may_run_ahead_of_the_clock_when_blocks_come_fast() {
    let node = Node::regtest().await;
    node.mine_to_wallet(60).await;
    let template = node.template().await;
    let (min, now) = (
        template["mintime"].as_u64().unwrap(),
        template["curtime"].as_u64().unwrap(),
    );
    assert!(min <= now);
    let info = node.call("getblockchaininfo", json!([])).await;
    assert_eq!(info["mediantime"].as_u64().unwrap() + 1, min);
    node.stop().await;
}

#[tokio::test]
async fn what_the_node_says_about_its_chain_agrees() {
    let node = Node::regtest().await;
    node.mine_to_wallet(5).await;
    let info = node.call("getblockchaininfo", json!([])).await;
    assert_eq!(info["chain"], "regtest");
    assert_eq!((&info["blocks"], &info["headers"]), (&json!(5), &json!(5)));
    assert_eq!(info["initialblockdownload"], false);
    // Six blocks of two hashes each.
    assert_eq!(info["chainwork"], format!("{:064x}", 12));
    let best = node.call("getbestblockhash", json!([])).await;
    assert_eq!(info["bestblockhash"], best);
    assert_eq!(node.call("getblockhash", json!([5])).await, best);
    let header = node.call("getblockheader", json!([best])).await;
    assert_eq!(header["height"], 5);
    assert!(header.get("nextblockhash").is_none());
    let hex = node.call("getblockheader", json!([best, false])).await;
    let parsed: Header = deserialize_hex(hex.as_str().unwrap()).unwrap();
    assert_eq!(json!(parsed.block_hash()), best);
    let network = node.call("getnetworkinfo", json!([])).await;
    assert_eq!(
        (&network["version"], &network["connections"]),
        (&json!(310_000), &json!(8))
    );
    assert_eq!(network["subversion"], "/adit-simnet:0.1/");
    let mining = node.call("getmininginfo", json!([])).await;
    assert_eq!(
        (&mining["blocks"], &mining["next"]["height"]),
        (&json!(5), &json!(6))
    );
    assert!(node.call("getnetworkhashps", json!([])).await.is_number());
    assert!(node.call("uptime", json!([])).await.is_number());
    assert!(
        node.call("help", json!([]))
            .await
            .as_str()
            .unwrap()
            .contains("submitblock hexdata")
    );
    let address = node.simnet.new_address();
    let valid = node.call("validateaddress", json!([address])).await;
    assert_eq!(
        (&valid["isvalid"], &valid["witness_version"]),
        (&json!(true), &json!(0))
    );
    assert_eq!(
        node.call("validateaddress", json!(["1x"])).await["isvalid"],
        false
    );
    let totals = node.call("gettxoutsetinfo", json!([])).await;
    assert_eq!(
        (&totals["txouts"], &totals["total_amount"]),
        (&json!(5), &json!(250.0))
    );
    node.stop().await;
}

#[tokio::test]
async fn blocks_beside_the_chain_have_minus_one_confirmations() {
    let node = Node::regtest().await;
    node.mine_to_wallet(4).await;
    let old = node.simnet.tip_hash();
    let hashes = node.call("simnet_reorganise", json!([{"depth": 2}])).await;
    assert_eq!(hashes.as_array().unwrap().len(), 3);
    assert_eq!(node.simnet.height(), 5);
    assert_eq!(
        node.call("getblockheader", json!([old])).await["confirmations"],
        -1
    );
    let tips = node.call("getchaintips", json!([])).await;
    let tip = |index: usize| {
        (
            tips[index]["status"].clone(),
            tips[index]["branchlen"].clone(),
        )
    };
    assert_eq!(tip(0), (json!("active"), json!(0)));
    assert_eq!(tip(1), (json!("valid-fork"), json!(2)));

    let new = node.simnet.tip_hash();
    node.call("invalidateblock", json!([hashes[0]])).await;
    assert_eq!(node.simnet.tip_hash(), old);
    assert_eq!(
        node.call("getblockheader", json!([new])).await["confirmations"],
        -1
    );
    node.call("reconsiderblock", json!([new])).await;
    assert_eq!(node.simnet.tip_hash(), new);
    assert_eq!(
        node.fail("invalidateblock", json!(["00".repeat(32)]))
            .await
            .0,
        -5
    );
    assert_eq!(node.fail("simnet_reorganise", json!([6])).await.0, -8);
    node.stop().await;
}

#[tokio::test]
async fn headers_may_come_before_their_blocks() {
    let node = Node::regtest().await;
    let mut block = assemble(&node.template().await, anyone());
    prove(&mut block);
    let header = serialize_hex(&block.header);
    assert_eq!(
        node.call("submitheader", json!([header])).await,
        Value::Null
    );
    assert_eq!(
        node.call("getchaintips", json!([])).await[0]["status"],
        "headers-only"
    );
    assert_eq!(
        node.fail("getblock", json!([block.block_hash()])).await.0,
        -1
    );
    assert_eq!(node.fail("submitheader", json!(["00"])).await.0, -22);
    let mut orphan = block.header;
    orphan.prev_blockhash = BlockHash::all_zeros();
    assert_eq!(
        node.fail("submitheader", json!([serialize_hex(&orphan)]))
            .await
            .0,
        -25
    );
    assert_eq!(
        node.call("submitblock", json!([serialize_hex(&block)]))
            .await,
        Value::Null
    );
    node.stop().await;
}

#[tokio::test]
async fn a_long_poll_wakes_on_a_new_tip_and_later_on_a_changed_pool() {
    let mut config = Config::new(Params::regtest());
    config.long_poll_refresh = Duration::from_millis(100);
    let node = Node::start(config).await;
    node.mine_to_wallet(101).await;
    let poll = |id: &Value| json!([{"rules": ["segwit"], "longpollid": id}]);

    let id = node.template().await["longpollid"].clone();
    let (template, ()) = tokio::join!(node.call("getblocktemplate", poll(&id)), async {
        tokio::time::sleep(Duration::from_millis(30)).await;
        node.mine_to_wallet(1).await;
    });
    assert_eq!(template["height"], 103);

    let id = template["longpollid"].clone();
    let address = node.simnet.new_address();
    let (template, txid) = tokio::join!(
        node.call("getblocktemplate", poll(&id)),
        node.call("sendtoaddress", json!([address, 1])),
    );
    assert_eq!(template["transactions"][0]["txid"], txid);
    // An id of another chain is answered at once.
    let stranger = json!("00".repeat(32));
    assert_eq!(
        node.call("getblocktemplate", poll(&stranger)).await["height"],
        103
    );

    // Stopping lets go of those who wait.
    let id = node.template().await["longpollid"].clone();
    let body = json!({"id": 1, "method": "getblocktemplate", "params": poll(&id)}).to_string();
    let started = Instant::now();
    let (_, ()) = tokio::join!(node.post(body), async {
        tokio::time::sleep(Duration::from_millis(30)).await;
        node.cancel.cancel();
    });
    assert!(started.elapsed() < Duration::from_secs(20));
    node.stop().await;
}

#[tokio::test]
async fn waiting_for_a_block_ends_with_it_or_with_the_timeout() {
    let node = Node::regtest().await;
    let same = node.call("waitfornewblock", json!([20])).await;
    assert_eq!(same["height"], 0);
    // Whoever comes after a block waits for the next: blocks come until the wait is over.
    let mining = async {
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            node.mine_to_wallet(1).await;
        }
    };
    let block = tokio::select! {
        block = node.call("waitfornewblock", json!([])) => block,
        () = mining => unreachable!("it has no end"),
    };
    let height = block["height"].as_u64().unwrap();
    assert!(height >= 1, "{block}");
    let hash = node.call("getblockhash", json!([height])).await;
    assert_eq!(block["hash"], hash);
    let late = node.call("waitfornewblock", json!([0, same["hash"]])).await;
    assert!(late["height"].as_u64().unwrap() >= height, "{late}");
    assert_eq!(node.fail("waitfornewblock", json!([-1])).await.0, -1);
    node.stop().await;
}

#[tokio::test]
async fn a_new_tip_is_published_over_zmq() {
    let mut config = Config::new(Params::regtest());
    config.zmq = Some(([127, 0, 0, 1], 0).into());
    let node = Node::start(config).await;
    let endpoint = node.simnet.zmq_endpoint().unwrap().to_owned();
    let notifications = node.call("getzmqnotifications", json!([])).await;
    assert_eq!(notifications[0]["address"], endpoint);
    assert_eq!(notifications[0]["type"], "pubhashblock");
    let mut subscriber = SubSocket::new();
    subscriber.connect(&endpoint).await.unwrap();
    subscriber.subscribe("hashblock").await.unwrap();
    // The subscription takes a moment to arrive: mine until a block is heard of.
    let message = tokio::time::timeout(PATIENCE, async {
        loop {
            node.mine_to_wallet(1).await;
            let heard = tokio::time::timeout(Duration::from_millis(50), subscriber.recv()).await;
            if let Ok(message) = heard {
                return message.unwrap();
            }
        }
    })
    .await
    .unwrap();
    assert_eq!(message.get(0).unwrap().as_ref(), b"hashblock");
    let mut hash: [u8; 32] = message.get(1).unwrap().as_ref().try_into().unwrap();
    hash.reverse();
    let known = BlockHash::from_byte_array(hash);
    assert!(
        node.simnet
            .with_chain(|chain| chain.block(&known).is_some())
    );
    assert_eq!(message.get(2).unwrap().len(), 4);
    node.stop().await;
}

#[tokio::test]
async fn the_simnet_mines_with_real_work_on_both_algorithms() {
    for (algorithm, prefix) in [
        (pow::Algorithm::Sha256d, "bcrt1"),
        (pow::Algorithm::Scrypt, "rltc1"),
    ] {
        let params = Params::simnet(algorithm)
            .with_first_work(4)
            .with_maturity(3);
        let node = Node::start(Config::new(params)).await;
        let address = node.simnet.new_address();
        assert!(address.starts_with(prefix), "{address}");
        node.call("generatetoaddress", json!([6, address])).await;
        assert_eq!(node.simnet.height(), 6);
        let balances = node.call("getbalances", json!([])).await;
        // The wallet spends a coin with more than three confirmations.
        assert_eq!(balances["mine"]["trusted"], 150.0);
        assert_eq!(balances["mine"]["immature"], 150.0);
        let info = node.call("getblockchaininfo", json!([])).await;
        assert!(
            info["warnings"][0]
                .as_str()
                .unwrap()
                .contains("mature after 3")
        );
        // Blocks came far faster than every five seconds: the target fell by four each time.
        let easy = Params::simnet(algorithm)
            .with_first_work(4)
            .genesis()
            .header
            .bits;
        let bits = CompactTarget::from_unprefixed_hex(info["bits"].as_str().unwrap()).unwrap();
        assert!(bitcoin::Target::from_compact(bits) < bitcoin::Target::from_compact(easy));
        node.stop().await;
    }
}

#[tokio::test]
async fn traffic_fills_templates_once_coins_are_mature() {
    let mut config = Config::new(Params::regtest().with_maturity(2));
    config.traffic = Some(Duration::from_millis(10));
    let node = Node::start(config).await;
    node.mine_to_wallet(5).await;
    let filled = async {
        while node.template().await["transactions"]
            .as_array()
            .unwrap()
            .len()
            < 3
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, filled).await.unwrap();
    node.mine_to_wallet(1).await;
    let block = node.call("getblock", json!([node.simnet.tip_hash()])).await;
    assert!(block["nTx"].as_u64().unwrap() > 1);
    node.stop().await;
}
