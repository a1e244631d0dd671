//! A chain that mines by VisionX: blocks made here from templates, what is wrong with them, branches, payments,
//! and epochs.

use bitcoin::{
    Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, VarInt, Witness,
    absolute::LockTime, consensus, hashes::Hash as _, script::Builder, transaction,
};
use pow::{
    Hash,
    visionx::{self, Dataset, EpochSeed, Figures, Header, Machine, target_of},
};
use serde_json::{Value, json};
use simnet::{Config, Params};

use crate::{
    client::Node,
    maker::{anyone, spend},
};

/// Hashes of a block: enough that a wrong block has no proof by luck, nearly always.
const DIFFICULTY: u64 = 50;

/// A block as it is sent.
#[derive(Clone)]
struct Block {
    header: Header,
    transactions: Vec<Transaction>,
}

async fn node() -> Node {
    start(Params::visionx(visionx::Params::LITE)).await
}

async fn start(params: Params) -> Node {
    Node::start(Config::new(params.with_difficulty(DIFFICULTY))).await
}

/// The dataset that a template says.
fn dataset(template: &Value, height: u64) -> Dataset {
    let vision = &template["visionx"];
    assert_eq!(vision["header_version"], 1);
    let params: visionx::Params = serde_json::from_value(vision.clone()).unwrap();
    let mut genesis = [0; 32];
    hex::decode_to_slice(vision["genesis_pow_hash"].as_str().unwrap(), &mut genesis).unwrap();
    let epoch = params.epoch_of(height);
    let seed = EpochSeed::of(vision["chain_id"].as_str().unwrap(), &genesis, epoch);
    Dataset::computed(params, &seed, epoch)
}

impl Block {
    /// A good block from a template, but for its nonce. `mark` makes it another block.
    fn draft(template: &Value, transactions: Vec<Transaction>, mark: i64) -> Self {
        let height = template["height"].as_u64().unwrap();
        let script_sig = Builder::new()
            .push_int(i64::try_from(height).unwrap())
            .push_int(mark)
            .into_script();
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
                script_sig,
                sequence: Sequence::MAX,
                witness: Witness::from_slice(&[[0; 32]]),
            }],
            output: vec![
                output(template["coinbasevalue"].as_u64().unwrap(), anyone()),
                output(0, ScriptBuf::from_hex(commitment).unwrap()),
            ],
        };
        let transactions: Vec<_> = [coinbase].into_iter().chain(transactions).collect();
        let parent = template["previousblockhash"].as_str().unwrap();
        let mut block = Self {
            header: Header {
                parent: parent.parse().unwrap(),
                height,
                timestamp: template["curtime"].as_u64().unwrap(),
                difficulty: template["difficulty"].as_u64().unwrap(),
                nonce: 0,
                tx_root: [0; 32],
                miner: "somebody".parse().unwrap(),
            },
            transactions,
        };
        block.root();
        block
    }

    /// The transactions that a template has, and a proof.
    fn from(template: &Value, mark: i64) -> Self {
        let transactions = template["transactions"].as_array().unwrap();
        let transactions = transactions
            .iter()
            .map(|transaction| {
                let bytes = hex::decode(transaction["data"].as_str().unwrap()).unwrap();
                consensus::deserialize(&bytes).unwrap()
            })
            .collect();
        let mut block = Self::draft(template, transactions, mark);
        block.prove(template);
        block
    }

    fn root(&mut self) {
        let leaves: Vec<[u8; 32]> = self
            .transactions
            .iter()
            .map(|transaction| transaction.compute_txid().to_byte_array())
            .collect();
        self.header.tx_root = visionx::root(&leaves);
    }

    /// Finds a nonce; the target is the template's whatever the header says.
    fn prove(&mut self, template: &Value) {
        self.prove_by(&dataset(template, self.header.height), template, true);
    }

    /// Finds a nonce that meets the target, or does not.
    fn prove_by(&mut self, dataset: &Dataset, template: &Value, meets: bool) {
        let target: Hash = template["target"].as_str().unwrap().parse().unwrap();
        let mut machine = Machine::new();
        while (self.header.hash(&mut machine, dataset) <= target) != meets {
            self.header.nonce += 1;
        }
    }

    fn hash(&self, template: &Value) -> String {
        let dataset = dataset(template, self.header.height);
        self.header.hash(&mut Machine::new(), &dataset).to_string()
    }

    fn hex(&self) -> String {
        let mut bytes = self.header.encode();
        bytes.extend(consensus::serialize(&VarInt::from(self.transactions.len())));
        for transaction in &self.transactions {
            bytes.extend(consensus::serialize(transaction));
        }
        hex::encode(bytes)
    }

    async fn submit(&self, node: &Node) -> Value {
        node.call("submitblock", json!([self.hex()])).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_are_mined_and_shown_by_their_proof() {
    let node = node().await;
    node.mine_to_wallet(3).await;
    let template = node.template().await;
    assert_eq!(template["difficulty"], DIFFICULTY);
    assert_eq!(
        template["target"],
        target_of(DIFFICULTY).to_string(),
        "{template}"
    );
    assert_eq!(template["bits"], Value::Null);
    let figures: Figures = serde_json::from_value(template["visionx"].clone()).unwrap();
    assert_eq!(figures, visionx::Params::LITE.figures());

    let block = Block::from(&template, 1);
    let hash = block.hash(&template);
    assert_eq!(block.submit(&node).await, Value::Null);
    assert_eq!(block.submit(&node).await, "duplicate");
    assert_eq!(node.call("getbestblockhash", json!([])).await, hash);
    assert_eq!(node.call("getblockhash", json!([4])).await, hash);
    let header = node.call("getblockheader", json!([hash])).await;
    assert_eq!(header["previousblockhash"], template["previousblockhash"]);
    assert_eq!(
        (&header["height"], &header["confirmations"]),
        (&json!(4), &json!(1))
    );
    assert_eq!(header["difficulty"], DIFFICULTY);
    assert_eq!(header["nonce"], block.header.nonce);
    assert_eq!(header["time"], block.header.timestamp);
    assert_eq!(header["miner"], "somebody");
    assert_eq!(header["merkleroot"], hex::encode(block.header.tx_root));
    let bytes = node.call("getblockheader", json!([hash, false])).await;
    assert_eq!(bytes, hex::encode(block.header.encode()));
    let shown = node.call("getblock", json!([hash])).await;
    let txid = block.transactions[0].compute_txid();
    assert_eq!(shown["tx"], json!([txid]));
    assert_eq!(
        node.call("getblock", json!([hash, 0])).await,
        block.hex(),
        "the block is given as it came"
    );
    for method in ["getmininginfo", "getblockchaininfo"] {
        let info = node.call(method, json!([])).await;
        assert_eq!(info["difficulty"], DIFFICULTY, "{method}");
        assert_eq!(info["target"], template["target"], "{method}");
    }
    assert_eq!(node.call("getdifficulty", json!([])).await, DIFFICULTY);
    assert_eq!(
        node.template().await["longpollid"].as_str().unwrap()[..64],
        hash
    );
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_wrong_field_is_refused_for_what_it_is() {
    let node = node().await;
    node.mine_to_wallet(3).await;
    let template = node.template().await;
    let good = Block::from(&template, 1);
    let median = template["mintime"].as_u64().unwrap() - 1;
    let now = template["curtime"].as_u64().unwrap();

    let mut lazy = good.clone();
    let dataset = dataset(&template, 4);
    lazy.prove_by(&dataset, &template, false);
    assert_eq!(lazy.submit(&node).await, "high-hash");

    type Change = Box<dyn Fn(&mut Header)>;
    let cases: [(&str, Change); 9] = [
        (
            "prev-blk-not-found",
            Box::new(|header| header.parent = Hash([7; 32])),
        ),
        ("bad-height", Box::new(|header| header.height = 5)),
        ("bad-height", Box::new(|header| header.height = 3)),
        ("high-hash", Box::new(|header| header.difficulty = 0)),
        (
            "high-hash",
            Box::new(|header| header.difficulty = DIFFICULTY - 1),
        ),
        ("bad-txnmrklroot", Box::new(|header| header.tx_root[0] ^= 1)),
        (
            "time-too-old",
            Box::new(move |header| header.timestamp = median),
        ),
        (
            "time-too-new",
            Box::new(move |header| header.timestamp = now + 7300),
        ),
        (
            "time-too-new",
            Box::new(move |header| header.timestamp = (1 << 32) + now),
        ),
    ];
    for (number, (reason, change)) in cases.iter().enumerate() {
        let mut block = good.clone();
        change(&mut block.header);
        block.prove(&template);
        assert_eq!(block.submit(&node).await, *reason, "case {number}");
    }

    let mut greedy = Block::draft(&template, Vec::new(), 2);
    greedy.transactions[0].output[0].value += Amount::from_sat(1);
    greedy.root();
    greedy.prove(&template);
    assert_eq!(greedy.submit(&node).await, "bad-cb-amount");
    let mut elsewhere = Block::draft(&template, Vec::new(), 3);
    elsewhere.transactions[0].input[0].script_sig =
        Builder::new().push_int(5).push_int(5).into_script();
    elsewhere.root();
    elsewhere.prove(&template);
    assert_eq!(elsewhere.submit(&node).await, "bad-cb-height");
    let nowhere = OutPoint {
        txid: good.transactions[0].compute_txid(),
        vout: 9,
    };
    let mut missing = Block::draft(&template, vec![spend(&[nowhere], 1)], 4);
    // No witness, no commitment to it.
    missing.transactions[0].input[0].witness = Witness::new();
    missing.transactions[0].output.truncate(1);
    missing.root();
    missing.prove(&template);
    assert_eq!(
        missing.submit(&node).await,
        "bad-txns-inputs-missingorspent"
    );
    let mut twice = good.clone();
    let coinbase = twice.transactions[0].clone();
    twice.transactions.push(coinbase);
    twice.root();
    twice.prove(&template);
    assert_eq!(twice.submit(&node).await, "bad-txns-duplicate");

    for text in [
        good.hex().replacen("56504f57", "56504f58", 1),
        good.hex().replacen("5701", "5702", 1),
        good.hex()[..230].to_owned(),
        String::new(),
    ] {
        let (code, _) = node.fail("submitblock", json!([text])).await;
        assert_eq!(code, -22, "{text}");
    }
    assert_eq!(good.submit(&node).await, Value::Null);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proposal_needs_no_proof_and_all_else() {
    let node = node().await;
    let template = node.template().await;
    let propose =
        |block: &Block| json!([{"mode": "proposal", "data": block.hex(), "rules": ["segwit"]}]);
    let mut block = Block::draft(&template, Vec::new(), 1);
    let dataset = dataset(&template, 1);
    block.prove_by(&dataset, &template, false);
    assert_eq!(
        node.call("getblocktemplate", propose(&block)).await,
        Value::Null
    );
    block.header.tx_root[0] ^= 1;
    assert_eq!(
        node.call("getblocktemplate", propose(&block)).await,
        "bad-txnmrklroot"
    );
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_heavier_branch_wins_and_the_first_of_equals_stays() {
    let node = node().await;
    node.mine_to_wallet(2).await;
    let template = node.template().await;
    let (first, rival) = (Block::from(&template, 1), Block::from(&template, 2));
    assert_eq!(first.submit(&node).await, Value::Null);
    assert_eq!(rival.submit(&node).await, "inconclusive");
    assert_eq!(node.simnet.tip_hash().to_string(), first.hash(&template));

    // A block on the rival: the next template, put on another parent.
    let mut next = node.template().await;
    next["previousblockhash"] = json!(rival.hash(&template));
    next["curtime"] = json!(next["curtime"].as_u64().unwrap() + 1);
    let last = Block::from(&next, 3);
    assert_eq!(last.submit(&node).await, Value::Null);
    assert_eq!(
        node.call("getblockhash", json!([3])).await,
        rival.hash(&template)
    );
    assert_eq!(node.simnet.tip_hash().to_string(), last.hash(&next));
    let left = node
        .call("getblockheader", json!([first.hash(&template)]))
        .await;
    assert_eq!(left["confirmations"], -1);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wallet_pays_and_the_payment_is_in_the_next_block() {
    let node = start(Params::visionx(visionx::Params::LITE).with_maturity(2)).await;
    node.mine_to_wallet(4).await;
    let address = node.call("getnewaddress", json!([])).await;
    let txid = node.call("sendtoaddress", json!([address, 1.5])).await;
    let template = node.template().await;
    assert_eq!(template["transactions"].as_array().unwrap().len(), 1);
    let block = Block::from(&template, 1);
    assert_eq!(block.submit(&node).await, Value::Null);
    let paid = node.call("gettransaction", json!([txid])).await;
    assert_eq!(paid["confirmations"], 1);
    assert_eq!(paid["blockhash"], block.hash(&template));
    let mut values = Vec::new();
    for vout in 0..2 {
        let coin = node.call("gettxout", json!([txid, vout])).await;
        values.push(coin["value"].clone());
    }
    assert!(values.contains(&json!(1.5)), "{values:?}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_epoch_has_its_own_words() {
    let params = visionx::Params::new(Figures {
        epoch_blocks: 3,
        ..visionx::Params::LITE.figures()
    });
    let node = start(Params::visionx(params.unwrap())).await;
    node.mine_to_wallet(2).await;
    let template = node.template().await;
    assert_eq!(template["height"], 3);
    // What meets the target by the epoch before does not by its own.
    let mut block = Block::draft(&template, Vec::new(), 1);
    let (before, own) = (dataset(&template, 2), dataset(&template, 3));
    let target = target_of(DIFFICULTY);
    let mut machine = Machine::new();
    while block.header.hash(&mut machine, &before) > target
        || block.header.hash(&mut machine, &own) <= target
    {
        block.header.nonce += 1;
    }
    assert_eq!(block.submit(&node).await, "high-hash");
    block.prove(&template);
    assert_eq!(block.submit(&node).await, Value::Null);
    node.mine_to_wallet(7).await;
    assert_eq!(node.simnet.height(), 10);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_difficulty_rises_by_one_while_blocks_come_too_fast() {
    let node = Node::start(Config::new(Params::visionx(visionx::Params::LITE))).await;
    node.mine_to_wallet(10).await;
    let mut difficulties = Vec::new();
    for height in 1..=10 {
        let hash = node.call("getblockhash", json!([height])).await;
        let header = node.call("getblockheader", json!([hash])).await;
        difficulties.push(header["difficulty"].as_u64().unwrap());
    }
    assert_eq!(difficulties, [1, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chain_is_there_after_a_restart_and_another_one_is_not_taken_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let config = |difficulty, figures: visionx::Params| Config {
        data: Some(folder.path().to_owned()),
        ..Config::new(Params::visionx(figures).with_difficulty(difficulty))
    };
    let node = Node::start(config(DIFFICULTY, visionx::Params::LITE)).await;
    node.mine_to_wallet(5).await;
    let tip = node.simnet.tip_hash();
    node.stop().await;
    let node = Node::start(config(DIFFICULTY, visionx::Params::LITE)).await;
    assert_eq!((node.simnet.height(), node.simnet.tip_hash()), (5, tip));
    node.mine_to_wallet(1).await;
    node.stop().await;
    let other = visionx::Params::new(Figures {
        mix_iters: 999,
        ..visionx::Params::LITE.figures()
    });
    let started = simnet::start(
        config(DIFFICULTY, other.unwrap()),
        tokio_util::sync::CancellationToken::new(),
    );
    let error = started.await.err().unwrap().to_string();
    assert!(error.contains("belongs to another chain"), "{error}");
}
