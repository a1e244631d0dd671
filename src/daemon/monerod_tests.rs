//! Against a real `monerod`, where one is installed, and against answers that none gives.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use mining::{
    Coin,
    coin::CryptoNoteRules,
    cryptonote::{Template, block::id_of, id},
};
use pow::{
    Hash,
    randomx::{Cache, Memory, Pages, Variant, Vm},
};
use serde_json::{Value, json};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout},
};

use super::{
    CallError, Config,
    bitcoind::{BlockStatus, NoTemplate, Submitted},
    fake::{Fake, Play},
    monerod::{
        Monerod, RESERVE,
        announcement::CHAIN_MAIN,
        parent_of, submit_request,
        transactions::{Fault, Sent, Spent, Standing, Transactions},
    },
    notify,
    rpc::{Dialect, Lane, Rpc, plain},
};
use crate::free_port::free_port;

const LIMIT: Duration = Duration::from_secs(120);

/// The donation address of Monero's documents, good on its private networks too.
const ADDRESS: &str = "44AFFq5kSiGBoZ4NMDwYtN18obc8AemS33DBLWs3H7otXft3XjrpDtQGv7SqSsaBYBb98uNbr2VBBEt7f2wfn3RVGQBEP3A";

const GENESIS: &str = "418015bb9ae982a1975da7d79277c2705727a56894ba0fb246adaabb1f4632e3";

fn installed(program: &str) -> Option<PathBuf> {
    let found = std::env::var_os(program.to_uppercase().replace('-', "_")).map(PathBuf::from);
    let usual = ["/usr/bin", "/usr/local/bin"].map(|folder| Path::new(folder).join(program));
    let found = found.into_iter().chain(usual).find(|path| path.is_file());
    if found.is_none() {
        eprintln!("skipped: no {program} in /usr/bin");
    }
    found
}

/// A program that is ended with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Node {
    config: Config,
    peer: u16,
    _process: Running,
    _folder: tempfile::TempDir,
}

impl Node {
    /// On a chain of its own on which each hash is a block.
    async fn start(binary: &Path, more: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (rpc, peer, zmq) = (free_port(), free_port(), free_port());
        let process = Command::new(binary)
            .args(["--regtest", "--keep-fakechain", "--fixed-difficulty", "1"])
            .args([
                "--no-igd",
                "--check-updates",
                "disabled",
                "--disable-dns-checkpoints",
            ])
            .args(["--non-interactive", "--rpc-bind-ip", "127.0.0.1"])
            .args([
                "--p2p-bind-ip",
                "127.0.0.1",
                "--zmq-rpc-bind-ip",
                "127.0.0.1",
            ])
            .arg(format!("--data-dir={}", folder.path().display()))
            .arg(format!("--rpc-bind-port={rpc}"))
            .arg(format!("--p2p-bind-port={peer}"))
            .arg(format!("--zmq-rpc-bind-port={}", free_port()))
            .arg(format!("--zmq-pub=tcp://127.0.0.1:{zmq}"))
            .args(more)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut config = Config::at(format!("http://127.0.0.1:{rpc}"));
        config.zmq = Some(format!("tcp://127.0.0.1:{zmq}"));
        let node = Self {
            config,
            peer,
            _process: Running(process),
            _folder: folder,
        };
        until("an answer", async || {
            !matches!(
                node.monerod().chain_info().await,
                Err(CallError::Unreachable(_))
            )
        })
        .await;
        node
    }

    fn monerod(&self) -> Monerod {
        Monerod::new(&self.config, rules(), ADDRESS).unwrap()
    }

    fn transactions(&self) -> Transactions {
        Transactions::new(&self.config).unwrap()
    }

    async fn call(&self, method: &str, params: Value) -> Value {
        let rpc = Rpc::monero(&self.config).unwrap();
        rpc.call(Lane::Wait, method, params).await.unwrap()
    }

    async fn ask(&self, path: &str, params: Value) -> Value {
        let rpc = Rpc::monero(&self.config).unwrap();
        rpc.ask_with(Lane::Wait, path, params, |body| plain::<Value>(body))
            .await
            .unwrap()
    }

    async fn generate(&self, count: u32, address: &str) {
        let params = json!({
            "amount_of_blocks": count, "wallet_address": address, "starting_nonce": 0,
        });
        self.call("generateblocks", params).await;
    }

    async fn submit(&self, block: &[u8]) -> Result<Submitted, CallError> {
        let hash = id_of(block).map_or(Hash([9; 32]), id::of_bytes);
        let request = submit_request(&hex::encode(block));
        self.monerod().submit(request, hash).await
    }
}

/// Monero's.
fn rules() -> &'static CryptoNoteRules {
    let monero: &'static Coin = "monero".parse().unwrap();
    monero.cryptonote().unwrap()
}

async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < LIMIT, "no {what}");
        sleep(Duration::from_millis(100)).await;
    }
}

/// A block of a template, solved with the first nonce. Its bytes, its id, and its hash by RandomX.
fn mine(template: &Template, reserve: u8) -> (Vec<u8>, Hash, Hash) {
    let cache = Cache::new(template.variant(), &template.seed().0, Pages::Usual).unwrap();
    let mut vm = Vm::new(Memory::Light(Arc::new(cache)), Pages::Usual).unwrap();
    let (block, reserve) = (template.block(), vec![reserve; RESERVE]);
    let mut blob = block.hashing_blob(&reserve).unwrap();
    let at = block.nonce_offset();
    let (nonce, hash) = (0u32..)
        .map(|nonce| {
            blob[at..at + 4].copy_from_slice(&nonce.to_le_bytes());
            (nonce.to_le_bytes(), vm.hash(&blob))
        })
        .find(|(_, hash)| template.target().is_met_by(hash))
        .unwrap();
    let id = id::of_bytes(block.id(&reserve, nonce).unwrap());
    (block.block(&reserve, nonce).unwrap(), id, hash)
}

/// The same block on another one.
fn onto(block: &[u8], parent: Hash) -> (Vec<u8>, Hash) {
    let mut block = block.to_vec();
    block[7..39].copy_from_slice(&id::to_bytes(parent));
    let id = id::of_bytes(id_of(&block).unwrap());
    (block, id)
}

fn at(height: u32, confirmations: i64) -> Result<Option<BlockStatus>, CallError> {
    Ok(Some(BlockStatus {
        height,
        confirmations,
    }))
}

fn not_let_in(why: &str) -> CallError {
    CallError::Unauthorized(why.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn monerod_gives_templates_and_takes_our_blocks() {
    let Some(binary) = installed("monerod") else {
        return;
    };
    let node = Node::start(&binary, &["--offline"]).await;
    let monerod = node.monerod();
    let genesis: Hash = GENESIS.parse().unwrap();
    let chain = monerod.chain_info().await.unwrap();
    assert_eq!((chain.chain.as_str(), chain.best), ("fakechain", genesis));
    assert_eq!((chain.blocks, chain.headers), (0, 0));
    assert!(!chain.initial_download);
    let network = monerod.network_info().await.unwrap();
    assert!((180_000..200_000).contains(&network.version), "{network:?}");
    assert_eq!((network.connections, network.restricted), (0, false));
    assert_eq!(monerod.block_hash(0).await, Ok(genesis));
    let above = monerod.block_hash(7).await;
    assert!(
        matches!(above, Err(CallError::Rpc { code: -2, .. })),
        "{above:?}"
    );

    let (say, mut told) = mpsc::unbounded_channel();
    let endpoint = node.config.zmq.clone().unwrap();
    let listening = tokio::spawn(async move {
        notify::listen("monerod", &endpoint, CHAIN_MAIN, |tip| {
            say.send(tip).unwrap()
        })
        .await;
    });
    // Whoever subscribes hears what comes once the daemon has seen the subscription.
    sleep(Duration::from_secs(2)).await;

    // A block of ours.
    let template = monerod
        .template()
        .await
        .unwrap()
        .template
        .cryptonote()
        .unwrap()
        .clone();
    assert_eq!((template.height(), template.previous()), (1, genesis));
    assert_eq!(template.difficulty().get(), 1);
    assert_eq!(template.variant(), Variant::Rx0);
    let (first, first_id, hash) = mine(&template, 1);
    assert_eq!(monerod.status(first_id).await, Ok(None));
    assert_eq!(parent_of(&hex::encode(&first)), Some(genesis));
    assert_eq!(node.submit(&first).await, Ok(Submitted::Accepted));
    assert_eq!(monerod.status(first_id).await, at(1, 1));
    let tip = timeout(LIMIT, told.recv()).await.unwrap().unwrap();
    assert_eq!(tip, Some(first_id), "the notice of it");
    let header = monerod.header(first_id).await.unwrap();
    assert_eq!((header.hash, header.previous), (first_id, Some(genesis)));
    assert_eq!(header.time, template.time());
    let params = json!({ "hash": first_id, "fill_pow_hash": true });
    let header = node.call("get_block_header_by_hash", params).await;
    let pow_hash = header["block_header"]["pow_hash"].as_str().unwrap();
    assert_eq!(
        pow_hash,
        hex::encode(hash.0),
        "RandomX as the daemon has it"
    );
    assert_eq!(node.submit(&first).await, Ok(Submitted::Accepted), "again");

    // What is no block, or none of this chain.
    let wrong = |text: &str| Ok(Submitted::Rejected(text.to_owned()));
    assert_eq!(node.submit(&[0]).await, wrong("Wrong block blob"));
    let junk = monerod.submit(submit_request("not hex"), first_id).await;
    assert_eq!(junk, wrong("Wrong block blob"));
    let next = monerod
        .template()
        .await
        .unwrap()
        .template
        .cryptonote()
        .unwrap()
        .clone();
    assert_eq!((next.height(), next.previous()), (2, first_id));
    let (second, second_id, _) = mine(&next, 1);
    let mut locked_for_less = second.clone();
    locked_for_less[44] -= 1;
    let refused = node.submit(&locked_for_less).await;
    assert_eq!(refused, wrong("Block not accepted"));
    let (orphan, _) = onto(&second, Hash([8; 32]));
    assert_eq!(node.submit(&orphan).await, Ok(Submitted::NoParent));

    // Another first block, beside the chain until one more is on it.
    let (rival, rival_id, _) = mine(&template, 2);
    let beside = node.submit(&rival).await;
    assert!(matches!(beside, Ok(Submitted::Unclear(_))), "{beside:?}");
    assert_eq!(monerod.status(rival_id).await, at(1, -1));
    assert_eq!(monerod.is_invalid_tip(rival_id).await, Ok(false));
    assert_eq!(monerod.chain_info().await.unwrap().best, first_id);
    let (on_rival, on_rival_id) = onto(&second, rival_id);
    assert_eq!(node.submit(&on_rival).await, Ok(Submitted::Accepted));
    assert_eq!(monerod.status(rival_id).await, at(1, 2));
    assert_eq!(monerod.status(first_id).await, at(1, -1));
    assert_eq!(monerod.status(second_id).await, Ok(None));
    for expected in [rival_id, on_rival_id] {
        let tip = timeout(LIMIT, told.recv()).await.unwrap().unwrap();
        assert_eq!(tip, Some(expected), "a notice for each block that came in");
    }

    // A block that is taken off is not known any more.
    node.ask("/pop_blocks", json!({ "nblocks": 1 })).await;
    assert_eq!(monerod.status(on_rival_id).await, Ok(None));
    assert_eq!(monerod.chain_info().await.unwrap().blocks, 1);
    listening.abort();

    // An address that cannot be mined to.
    let refused = Monerod::new(&node.config, rules(), "4bad").unwrap();
    let refused = refused.template().await.unwrap_err();
    let told = NoTemplate::Call(CallError::Rpc {
        code: -4,
        message: "Failed to parse wallet address".to_owned(),
    });
    assert_eq!(refused, told);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn monerod_lets_in_who_knows_its_password() {
    let Some(binary) = installed("monerod") else {
        return;
    };
    let login = ["--offline", "--rpc-login", "pool:se:cret"];
    let mut node = Node::start(&binary, &login).await;
    let refused = node.monerod().chain_info().await.unwrap_err();
    assert_eq!(refused, not_let_in("set user and password"));
    node.config.user = Some("pool".to_owned());
    node.config.password = Some("wrong".into());
    let wrong = node.monerod();
    for _ in 0..2 {
        let refused = wrong.chain_info().await.unwrap_err();
        assert_eq!(refused, not_let_in("user or password is wrong"));
    }
    node.config.password = Some("se:cret".into());

    // More at once than there are connections, on both lanes and on other paths.
    let (monerod, transactions) = (Arc::new(node.monerod()), Arc::new(node.transactions()));
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..24 {
        let (monerod, transactions) = (Arc::clone(&monerod), Arc::clone(&transactions));
        calls.spawn(async move {
            match number % 3 {
                0 => monerod.chain_info().await.map(drop),
                1 => transactions.standings(&[Hash([1; 32])]).await.map(drop),
                _ => monerod
                    .template()
                    .await
                    .map(drop)
                    .map_err(|failure| match failure {
                        NoTemplate::Call(call) => call,
                        NoTemplate::Refused(refused) => panic!("{refused}"),
                    }),
            }
        });
    }
    for answer in timeout(LIMIT, calls.join_all()).await.unwrap() {
        assert_eq!(answer, Ok(()));
    }
    let template = monerod
        .template()
        .await
        .unwrap()
        .template
        .cryptonote()
        .unwrap()
        .clone();
    let (block, id, _) = mine(&template, 0);
    let request = submit_request(&hex::encode(&block));
    assert_eq!(monerod.submit(request, id).await, Ok(Submitted::Accepted));
    // Its connections are closed: what they counted to is worth nothing any more.
    monerod.hang_up();
    assert_eq!(monerod.status(id).await, at(1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn monerod_without_its_chain_gives_nothing_and_takes_nothing() {
    let Some(binary) = installed("monerod") else {
        return;
    };
    let restricted = free_port();
    let port = format!("--rpc-restricted-bind-port={restricted}");
    // A peer that is not there.
    let nobody = format!("--add-exclusive-node=127.0.0.1:{}", free_port());
    let lone = Node::start(&binary, &[&port, &nobody, "--allow-local-ip"]).await;
    let monerod = lone.monerod();
    assert!(monerod.chain_info().await.unwrap().initial_download);
    let template = monerod.template().await.unwrap_err();
    let busy = CallError::InitialDownload("Core is busy".to_owned());
    assert_eq!(template, NoTemplate::Call(busy.clone()));
    let submitted = monerod.submit(submit_request("00"), Hash([1; 32])).await;
    assert_eq!(submitted, Err(busy));
    let config = Config::at(format!("http://127.0.0.1:{restricted}/json_rpc"));
    let monerod = Monerod::new(&config, rules(), ADDRESS).unwrap();
    assert!(monerod.network_info().await.unwrap().restricted);
    assert!(monerod.chain_info().await.unwrap().initial_download);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_reaches_the_other_daemon_and_is_known_there_when_it_is_sent_again() {
    let Some(binary) = installed("monerod") else {
        return;
    };
    let first = Node::start(&binary, &["--allow-local-ip", "--hide-my-port"]).await;
    let peer = format!("--add-exclusive-node=127.0.0.1:{}", first.peer);
    let second = Node::start(&binary, &[&peer, "--allow-local-ip", "--hide-my-port"]).await;
    let (ours, theirs) = (first.monerod(), second.monerod());
    until("peers", async || {
        let chain = ours.chain_info().await.unwrap();
        ours.network_info().await.unwrap().connections > 0 && !chain.initial_download
    })
    .await;
    let template = ours
        .template()
        .await
        .unwrap()
        .template
        .cryptonote()
        .unwrap()
        .clone();
    let (block, id, _) = mine(&template, 3);
    assert_eq!(first.submit(&block).await, Ok(Submitted::Accepted));
    until("block at the other daemon", async || {
        theirs.status(id).await == at(1, 1)
    })
    .await;
    assert_eq!(second.submit(&block).await, Ok(Submitted::Accepted));
    assert_eq!(theirs.network_info().await.unwrap().connections, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn monerod_says_where_a_transaction_stands() {
    let (Some(binary), Some(wallet)) = (installed("monerod"), installed("monero-wallet-rpc"))
    else {
        return;
    };
    let node = Node::start(&binary, &["--offline"]).await;
    let daemon = node.config.url.trim_start_matches("http://");
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let process = Command::new(wallet)
        .args(["--trusted-daemon", "--rpc-bind-ip", "127.0.0.1"])
        .args(["--disable-rpc-login", "--non-interactive"])
        .arg(format!("--daemon-address={daemon}"))
        .arg(format!("--rpc-bind-port={port}"))
        .arg(format!("--wallet-dir={}", folder.path().display()))
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _process = Running(process);
    let wallet = Rpc::monero(&Config::at(format!("http://127.0.0.1:{port}"))).unwrap();
    let ask = async |method: &'static str, params: Value| -> Value {
        wallet.call(Lane::Block, method, params).await.unwrap()
    };
    until("wallet", async || {
        let version: Result<Value, _> = wallet.call(Lane::Quick, "get_version", json!({})).await;
        version.is_ok()
    })
    .await;
    let create = json!({ "filename": "pool", "password": "x", "language": "English" });
    ask("create_wallet", create).await;
    let address = ask("get_address", json!({})).await["address"].clone();
    node.generate(75, address.as_str().unwrap()).await;
    ask("refresh", json!({})).await;

    // Two that spend the same, as the wallet has forgotten the first.
    let transfer = json!({
        "destinations": [{ "amount": 1_000_000_000, "address": ADDRESS }],
        "do_not_relay": true, "get_tx_hex": true,
    });
    let first = ask("transfer", transfer.clone()).await;
    let mut other = ask("transfer", transfer.clone()).await;
    let images = |transfer: &Value| transfer["spent_key_images"]["key_images"].clone();
    for _ in 0..20 {
        let spends_the_same = images(&first)
            .as_array()
            .unwrap()
            .iter()
            .any(|image| images(&other).as_array().unwrap().contains(image));
        if spends_the_same {
            break;
        }
        other = ask("transfer", transfer.clone()).await;
    }
    let bytes = |transfer: &Value| hex::decode(transfer["tx_blob"].as_str().unwrap()).unwrap();
    let id: Hash = first["tx_hash"].as_str().unwrap().parse().unwrap();
    let missing = Hash([1; 32]);

    let transactions = node.transactions();
    let stand = async || {
        transactions
            .standings(&[missing, id, missing])
            .await
            .unwrap()
    };
    assert_eq!(stand().await, [Standing::Missing; 3]);
    assert_eq!(transactions.send(&bytes(&first)).await, Ok(Sent::Taken));
    assert_eq!(transactions.send(&bytes(&first)).await, Ok(Sent::Taken));
    let in_pool = Standing::InPool {
        double_spend_seen: false,
    };
    assert_eq!(
        stand().await,
        [Standing::Missing, in_pool, Standing::Missing]
    );
    let refused = transactions.send(&bytes(&other)).await.unwrap();
    let Sent::Refused(refusal) = refused else {
        panic!("{refused:?}");
    };
    assert!(refusal.faults.contains(&Fault::DoubleSpend), "{refusal:?}");
    assert_eq!(refusal.to_string(), "what it spends is spent");
    let image = first["spent_key_images"]["key_images"][0].as_str();
    let image: [u8; 32] = hex::decode(image.unwrap()).unwrap().try_into().unwrap();
    let spent = transactions.spent(&[[2; 32], image]).await;
    assert_eq!(spent, Ok(vec![Spent::No, Spent::InPool]));

    node.generate(2, ADDRESS).await;
    let in_block = |confirmations| Standing::InBlock {
        height: 76,
        confirmations,
    };
    assert_eq!(stand().await[1], in_block(2));
    assert_eq!(transactions.send(&bytes(&first)).await, Ok(Sent::Taken));
    let spent = transactions.spent(&[image]).await;
    assert_eq!(spent, Ok(vec![Spent::InBlock]));
    // A reorganisation brings it back to the pool.
    node.ask("/pop_blocks", json!({ "nblocks": 2 })).await;
    assert_eq!(stand().await[1], in_pool);

    let junk = transactions.send(&[0]).await.unwrap();
    assert!(matches!(junk, Sent::Refused(_)), "{junk:?}");
    let mut changed = bytes(&first);
    let last = changed.len() - 1;
    changed[last] ^= 1;
    let changed = transactions.send(&changed).await.unwrap();
    assert!(matches!(changed, Sent::Refused(_)), "{changed:?}");

    // More than are asked for at once, in their order.
    let template = node
        .monerod()
        .template()
        .await
        .unwrap()
        .template
        .cryptonote()
        .unwrap()
        .clone();
    assert_eq!(template.block().transactions(), [id::to_bytes(id)]);
    let mut many: Vec<Hash> = (2..40).map(|number| Hash([number; 32])).collect();
    many.insert(25, id);
    let stand = transactions.standings(&many).await.unwrap();
    assert_eq!(stand.len(), 39);
    let is_in_pool = |standing: &Standing| matches!(standing, Standing::InPool { .. });
    assert_eq!(stand.iter().position(is_in_pool), Some(25));
    // A block with it, made by hand.
    let (block, _, _) = mine(&template, 7);
    assert_eq!(node.submit(&block).await, Ok(Submitted::Accepted));
    assert_eq!(transactions.standings(&[id]).await, Ok(vec![in_block(1)]));
}

fn fake() -> (Fake, Monerod, Transactions) {
    let fake = Fake::start();
    let config = Config::at(fake.url());
    let monerod = Monerod::new(&config, rules(), ADDRESS).unwrap();
    (fake, monerod, Transactions::new(&config).unwrap())
}

#[tokio::test]
async fn what_no_daemon_says_is_told_as_malformed() {
    let (fake, monerod, transactions) = fake();
    let malformed = |what: &str, failure: CallError| {
        assert!(
            matches!(failure, CallError::Malformed(_)),
            "{what}: {failure:?}"
        );
    };
    for result in [
        json!(null),
        json!({}),
        json!({ "status": 1 }),
        json!({ "status": "OK" }),
    ] {
        fake.script("get_info", [Play::Result(result.clone())]);
        malformed("get_info", monerod.chain_info().await.unwrap_err());
        fake.script("get_block_header_by_hash", [Play::Result(result)]);
        malformed("header", monerod.header(Hash([1; 32])).await.unwrap_err());
    }
    for play in [
        Play::Http(200, "{}"),
        Play::Http(200, "{\"result\":"),
        Play::Http(404, ""),
        Play::Http(500, "no free thread"),
        Play::Huge(2 << 20),
        Play::Half,
    ] {
        fake.script("get_info", [play]);
        malformed("get_info", monerod.chain_info().await.unwrap_err());
    }
    let of_another = json!({
        "hash": Hash([2; 32]), "height": 1, "depth": 0, "orphan_status": false, "timestamp": 1,
        "prev_hash": GENESIS,
    });
    let of_another = json!({ "status": "OK", "block_header": of_another });
    fake.script("get_block_header_by_hash", [Play::Result(of_another)]);
    malformed("another", monerod.header(Hash([1; 32])).await.unwrap_err());
    fake.script("on_get_block_hash", [Play::Result(json!("00"))]);
    malformed("hash", monerod.block_hash(0).await.unwrap_err());
    for body in [
        "{}",
        "[]",
        "{\"status\":\"OK\"}",
        "{\"status\":\"OK\",\"txs\":[{\"tx_hash\":\"0101010101010101010101010101010101010101010101010101010101010101\",\"in_pool\":false}]}",
        "{\"status\":\"OK\",\"txs\":[{\"tx_hash\":\"01\",\"in_pool\":true}]}",
        "{\"status\":\"OK\",\"missed_tx\":[\"0202020202020202020202020202020202020202020202020202020202020202\"]}",
    ] {
        fake.script("/get_transactions", [Play::Http(200, body)]);
        let failure = transactions.standings(&[Hash([1; 32])]).await.unwrap_err();
        malformed(body, failure);
    }
    for body in [
        "{\"status\":\"OK\",\"spent_status\":[]}",
        "{\"status\":\"OK\",\"spent_status\":[3]}",
    ] {
        fake.script("/is_key_image_spent", [Play::Http(200, body)]);
        malformed(body, transactions.spent(&[[1; 32]]).await.unwrap_err());
    }
}

#[tokio::test]
async fn whatever_is_said_to_a_block_the_daemon_is_asked_what_became_of_it() {
    let (fake, monerod, _) = fake();
    let hash = Hash([1; 32]);
    let accepted = || Play::Result(json!({ "status": "OK" }));
    let unknown = || Play::Error(-5, "Internal error: can't get block by hash. Hash = 01.");
    let header = |is_beside: bool| {
        let header = json!({
            "hash": hash, "height": 5, "depth": 0, "orphan_status": is_beside, "timestamp": 1,
            "prev_hash": GENESIS,
        });
        Play::Result(json!({ "status": "OK", "block_header": header }))
    };
    let submit = async |said: Play, then: Option<Play>| {
        fake.script("submit_block", [said]);
        fake.script("get_block_header_by_hash", then);
        monerod.submit(submit_request("00"), hash).await
    };
    let not_accepted = || Play::Error(-7, "Block not accepted");
    let rejected = |text: &str| Ok(Submitted::Rejected(text.to_owned()));
    assert_eq!(
        submit(accepted(), Some(header(false))).await,
        Ok(Submitted::Accepted)
    );
    let beside = submit(accepted(), Some(header(true))).await;
    assert!(matches!(beside, Ok(Submitted::Unclear(_))));
    assert_eq!(
        submit(accepted(), Some(unknown())).await,
        Ok(Submitted::NoParent)
    );
    let by_a_peer = submit(not_accepted(), Some(header(false))).await;
    assert_eq!(by_a_peer, Ok(Submitted::Accepted));
    let refused = submit(not_accepted(), Some(unknown())).await;
    assert_eq!(refused, rejected("Block not accepted"));
    // Not known is one thing, not being able to say is another: the block is sent again.
    let failed = Play::Error(-5, "Internal error: produced an invalid header");
    assert!(submit(not_accepted(), Some(failed)).await.is_err());
    assert!(submit(accepted(), Some(Play::Close)).await.is_err());
    let too_big = Play::Error(-8, "Block bloc size is too big, rejecting block");
    let refused = submit(too_big, None).await;
    assert_eq!(
        refused,
        rejected("Block bloc size is too big, rejecting block")
    );
    for busy in [
        Play::Error(-9, "Core is busy"),
        Play::Result(json!({ "status": "BUSY" })),
    ] {
        let busy = submit(busy, None).await;
        assert!(
            matches!(busy, Err(CallError::InitialDownload(_))),
            "{busy:?}"
        );
    }
    let other = submit(Play::Result(json!({ "status": "PAYMENT REQUIRED" })), None).await;
    assert_eq!(other, Err(CallError::Status("PAYMENT REQUIRED".to_owned())));
}

#[test]
fn requests_are_those_of_json_rpc_2() {
    let request = Dialect::Monero.request(7, "get_info", json!({}));
    let request: Value = serde_json::from_slice(&request).unwrap();
    let expected = json!({ "jsonrpc": "2.0", "id": 7, "method": "get_info", "params": {} });
    assert_eq!(request, expected);
    let cookie = Config {
        cookie: Some("x".into()),
        ..Config::at("http://127.0.0.1:1")
    };
    let refused = Monerod::new(&cookie, rules(), ADDRESS).unwrap_err();
    assert!(refused.to_string().contains("no cookie"), "{refused}");
    assert_eq!(parent_of("00"), None);
    assert_eq!(parent_of("zz"), None);
}
