//! What survives a restart, a torn write included.

use std::{fs::OpenOptions, io::Write, path::Path};

use serde_json::json;
use simnet::{Config, Params};
use tokio_util::sync::CancellationToken;

use crate::client::Node;

fn config(folder: &Path) -> Config {
    Config {
        data: Some(folder.to_owned()),
        ..Config::new(Params::regtest())
    }
}

#[tokio::test]
async fn blocks_branches_and_the_wallet_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(config(folder.path())).await;
    node.mine_to_wallet(105).await;
    let address = node.simnet.new_address();
    node.call("sendtoaddress", json!([address, 3])).await;
    node.mine_to_wallet(1).await;
    node.call("simnet_reorganise", json!([1])).await;
    let (tip, cookie) = (node.simnet.tip(), node.simnet.cookie().unwrap().to_owned());
    let balances = node.call("getbalances", json!([])).await;
    let login = format!("{}:{}", node.simnet.user(), node.simnet.password());
    assert_eq!(std::fs::read_to_string(cookie).unwrap(), login);
    node.stop().await;

    let node = Node::start(config(folder.path())).await;
    assert_eq!(node.simnet.tip(), tip);
    // The payment went back to the pool in the reorganisation, and the pool is not kept.
    let after = node.call("getbalances", json!([])).await;
    assert!(after["mine"]["trusted"].as_f64() >= balances["mine"]["trusted"].as_f64());
    assert_eq!(after["mine"]["immature"], balances["mine"]["immature"]);
    assert_ne!(node.simnet.new_address(), address);
    assert_eq!(
        node.call("getaddressinfo", json!([address])).await["ismine"],
        true
    );
    assert_eq!(
        node.call("getchaintips", json!([]))
            .await
            .as_array()
            .unwrap()
            .len(),
        2
    );
    node.mine_to_wallet(1).await;
    node.stop().await;
}

#[tokio::test]
async fn a_torn_tail_is_cut_off_wherever_it_was_torn() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("blocks.dat");
    let node = Node::start(config(folder.path())).await;
    node.mine_to_wallet(3).await;
    let before = std::fs::metadata(&path).unwrap().len();
    node.mine_to_wallet(1).await;
    node.stop().await;
    let whole = std::fs::read(&path).unwrap();
    let before = usize::try_from(before).unwrap();
    for cut in [before + 1, before + 4, before + 50, whole.len() - 1] {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let node = Node::start(config(folder.path())).await;
        assert_eq!(node.simnet.height(), 3, "cut at {cut}");
        node.mine_to_wallet(1).await;
        node.stop().await;
        let node = Node::start(config(folder.path())).await;
        assert_eq!(node.simnet.height(), 4, "cut at {cut}");
        node.stop().await;
    }
    // A whole record that is no block, last in the file, was torn too.
    std::fs::write(&path, &whole).unwrap();
    OpenOptions::new()
        .append(true)
        .open(&path)
        .unwrap()
        .write_all(&[4, 0, 0, 0, 0, 0, 0, 0])
        .unwrap();
    let node = Node::start(config(folder.path())).await;
    assert_eq!(node.simnet.height(), 4);
    node.stop().await;
}

#[tokio::test]
async fn damage_before_the_end_and_another_chain_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("blocks.dat");
    let node = Node::start(config(folder.path())).await;
    node.mine_to_wallet(3).await;
    node.stop().await;
    let refuse = async |config: Config| {
        simnet::start(config, CancellationToken::new())
            .await
            .unwrap_err()
            .to_string()
    };
    let other = Params::simnet(pow::Algorithm::Scrypt).with_first_work(2);
    let error = refuse(Config {
        data: Some(folder.path().to_owned()),
        ..Config::new(other)
    })
    .await;
    assert!(error.contains("another chain"), "{error}");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[40 + 4 + 40] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let error = refuse(config(folder.path())).await;
    assert!(error.contains("damaged at byte 40"), "{error}");
}
