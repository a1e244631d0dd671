//! A miner of Monero changes how it is paid by what its wallet signs.

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    NETWORK, ONE_IN_20,
    chain::{Chain, SOMEBODY, Wallet},
    miner::Miner,
    pool,
};

/// What wallets of both kinds of address sign holds here, and what another one signs does not.
#[test]
fn settings_of_a_miner_of_monero_change_by_a_text_that_its_wallet_signs() {
    let (folder, miners_folder) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let chain = Chain::start(&folder, NETWORK);
    let wallet = Wallet::start(&miners_folder, &chain);
    let first = wallet.create("miners");
    let other = wallet.subaddresses(1).remove(0);
    let pool = pool(&folder, &chain, SOMEBODY, "", ONE_IN_20);
    for (address, index) in [(&first, 0), (&other, 1)] {
        let mut miner = Miner::ready(pool.miners, &format!("{address}.rig"));
        miner.earn(index << 28, NETWORK);
        let path = format!("/api/v1/miners/{address}/payout-settings");
        let (status, body) = pool.get(&path).unwrap();
        assert_eq!(status, 200, "{body}");
        let settings: Value = serde_json::from_str(&body).unwrap();
        let text = settings["pools"][0]["to_sign"]["settings"]
            .as_str()
            .unwrap();
        let changed = text.replace("threshold: default", "threshold: 700000000000");
        assert_ne!(changed, text);
        let number: u64 = text.rsplit_once(' ').unwrap().1.parse().unwrap();
        let ask = |index: u32, kind: &str| {
            let told = wallet.ask(
                "sign",
                json!({"data": changed, "address_index": index, "signature_type": kind}),
            );
            let signature = told["signature"].clone();
            let body = json!({"threshold": "700000000000", "schedule": "threshold",
                "pay_to": "default", "paused": false, "number": number, "signature": signature});
            pool.send("PUT", &path, Some("application/json"), body.to_string())
        };
        let (status, told) = ask(1 - index, "spend");
        assert_eq!(status, 403, "{told}");
        let (status, told) = ask(index, "view");
        assert_eq!(status, 403, "{told}");
        let (status, told) = ask(index, "spend");
        assert_eq!(status, 200, "{told}");
        let (_, body) = pool.get(&path).unwrap();
        assert!(body.contains("700000000000"), "{body}");
    }
}

/// Monero's addresses are longer than Bitcoin's, and integrated ones are the longest.
#[test]
fn each_kind_of_address_of_monero_is_looked_up() {
    let (folder, miners_folder) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let chain = Chain::start(&folder, NETWORK);
    let wallet = Wallet::start(&miners_folder, &chain);
    let first = wallet.create("miners");
    let other = wallet.subaddresses(1).remove(0);
    let made = wallet.ask("make_integrated_address", json!({}));
    let integrated = made["integrated_address"].as_str().unwrap();
    let pool = pool(&folder, &chain, SOMEBODY, "", ONE_IN_20);
    for (address, place) in [&first, &other, integrated].into_iter().zip(0..) {
        let mut miner = Miner::ready(pool.miners, &format!("{address}.rig"));
        miner.earn(place << 28, NETWORK);
        for path in ["/api/v1/miners/", "/miners/"] {
            let (status, body) = pool.get(&format!("{path}{address}")).unwrap();
            assert_eq!(status, 200, "{path}{address}: {body}");
            assert!(body.contains(address), "{path}: {body}");
        }
        let found = pool.get(&format!("/miners?address={address}")).unwrap();
        assert_eq!(found.0, 200, "{}", found.1);
    }
    let (status, body) = pool
        .get(&format!("/api/v1/miners/{}", "4".repeat(129)))
        .unwrap();
    assert_eq!(status, 400);
    assert!(
        body.contains("an address has at most 128 characters"),
        "{body}"
    );
}
