//! Payouts signed by a descriptor of the operator's own, with a node whose wallet is never used.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use bitcoin::{
    NetworkKind, OutPoint, Psbt, Script, ScriptBuf, Transaction, TxIn, TxOut, absolute::LockTime,
    bip32::Xpriv, consensus, secp256k1::Secp256k1, transaction::Version,
};
use miniscript::{
    Descriptor, DescriptorPublicKey,
    descriptor::KeyMap,
    psbt::{PsbtExt as _, PsbtInputExt as _},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    money::{Mint, OTHER, PAYING, is_open, miner, on_chain},
    support::{ADDRESS, FIXED_DIFFICULTY, Node, Pool, PoolSettings, node::Rpc, run, wait_for},
};

/// What a pool without a wallet never calls.
const OF_WALLETS: [&str; 11] = [
    "createrawtransaction",
    "fundrawtransaction",
    "getbalance",
    "getbalances",
    "gettransaction",
    "getwalletinfo",
    "listsinceblock",
    "listunspent",
    "lockunspent",
    "signrawtransactionwithwallet",
    "walletcreatefundedpsbt",
];

/// A descriptor with its key, and the file that it is in.
pub(crate) struct Keeper {
    pub(crate) secret: String,
    text: String,
    public: Descriptor<DescriptorPublicKey>,
    keys: KeyMap,
}

impl Keeper {
    /// `form` has the word KEY where the private key goes.
    pub(crate) fn new(form: &str, seed: &[u8]) -> Self {
        let secret = Xpriv::new_master(NetworkKind::Test, seed).unwrap();
        let secret = secret.to_string();
        let text = form.replace("KEY", &secret);
        let (public, keys) = Descriptor::parse_descriptor(&Secp256k1::new(), &text).unwrap();
        Self {
            secret,
            text,
            public,
            keys,
        }
    }

    pub(crate) fn write(&self, folder: &Path) -> PathBuf {
        let path = folder.join("descriptor");
        fs::write(&path, self.text.clone() + "\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    pub(crate) fn script(&self, index: u32) -> ScriptBuf {
        self.public
            .at_derivation_index(index)
            .unwrap()
            .script_pubkey()
    }

    fn address(&self, index: u32) -> String {
        address(&self.script(index))
    }

    /// All that these coins have but for a fee, to an address: what a thief does, or an operator with
    /// another program. The coins are of script 0.
    fn spend(&self, rpc: &Rpc, coins: &[OutPoint], to: &Script) -> Transaction {
        let secp = Secp256k1::new();
        let script = self.script(0);
        let amounts: Vec<u64> = coins
            .iter()
            .map(|coin| {
                let coin = rpc.call("gettxout", json!([coin.txid, coin.vout]));
                units(&coin["value"])
            })
            .collect();
        let output = |sats, script_pubkey| TxOut {
            value: bitcoin::Amount::from_sat(sats),
            script_pubkey,
        };
        let transaction = Transaction {
            version: Version::TWO,
            lock_time: LockTime::ZERO,
            input: coins
                .iter()
                .map(|coin| TxIn {
                    previous_output: *coin,
                    ..TxIn::default()
                })
                .collect(),
            output: vec![output(amounts.iter().sum::<u64>() - 50_000, to.to_owned())],
        };
        let mut psbt = Psbt::from_unsigned_tx(transaction).unwrap();
        let definite = self.public.at_derivation_index(0).unwrap();
        for (input, amount) in psbt.inputs.iter_mut().zip(amounts) {
            input.witness_utxo = Some(output(amount, script.clone()));
            input.update_with_descriptor_unchecked(&definite).unwrap();
        }
        psbt.sign(&self.keys, &secp).unwrap();
        psbt.finalize_mut(&secp).unwrap();
        psbt.extract(&secp).unwrap()
    }
}

pub(crate) fn address(script: &Script) -> String {
    bitcoin::Address::from_script(script, bitcoin::Network::Regtest)
        .unwrap()
        .to_string()
}

fn units(coins: &Value) -> u64 {
    let text = format!("{:.8}", coins.as_f64().unwrap());
    text.replace('.', "").parse().unwrap()
}

/// A pool that is paid to script 0 of a descriptor and pays from it.
fn mint(keeper: &Keeper, settings: &str, log: &str) -> Mint {
    let folder = TempDir::new().unwrap();
    let node = Node::start(&folder, "node", &["--rules", "regtest", "--maturity", "3"]);
    let file = keeper.write(folder.path());
    let settings = format!(
        "{settings}from = \"key\"\ndescriptor_file = \"{}\"\n",
        file.display()
    );
    let pool = Pool::start(
        &folder,
        &PoolSettings {
            address: &keeper.address(0),
            pool: &settings,
            listener: FIXED_DIFFICULTY,
            daemons: node.rpc.daemon(),
            log,
            ..PoolSettings::default()
        },
    );
    Mint { pool, node, folder }
}

/// The same, on a node that refuses whatever is for a wallet.
fn without_wallet(keeper: &Keeper, settings: &str) -> Mint {
    let mint = mint(keeper, settings, PoolSettings::default().log);
    let none = json!({"code": -32601, "message": "Method not found", "methods": OF_WALLETS});
    mint.fault("error", none);
    mint
}

fn wpkh() -> Keeper {
    Keeper::new("wpkh(KEY/84h/1h/0h/0/*)", b"a pool's own key")
}

/// A block of this miner's, once the pool works on the tip that the node has.
fn find_block(mint: &Mint, address: &str) {
    wait_for("work on the tip", || {
        let next = mint.node.rpc.height() + 1;
        (mint.pool.status()["template"]["height"] == next).then_some(())
    });
    mint.find_block(address);
}

/// A transaction of the chain.
fn transaction(rpc: &Rpc, txid: &str) -> Transaction {
    for height in 1..=rpc.height() {
        let hash = rpc.call("getblockhash", json!([height]));
        let block = rpc.call("getblock", json!([hash, 0]));
        let block = hex::decode(block.as_str().unwrap()).unwrap();
        let block: bitcoin::Block = consensus::deserialize(&block).unwrap();
        let mut all = block.txdata.into_iter();
        if let Some(found) = all.find(|one| one.compute_txid().to_string() == txid) {
            return found;
        }
    }
    panic!("{txid} is not in the chain");
}

#[test]
fn several_rounds_are_paid_to_the_unit_from_every_kind_of_descriptor() {
    for form in [
        "wpkh(KEY/84h/1h/0h/0/*)",
        "tr(KEY/86h/1h/0h/0/*)",
        "pkh(KEY/*)",
        "sh(wpkh(KEY/7))",
    ] {
        let keeper = Keeper::new(form, form.as_bytes());
        let mint = without_wallet(&keeper, PAYING);
        let rpc = mint.node.rpc.clone();
        let (mut total, mut rounds) = (0, 0);
        for _ in 0..3 {
            find_block(&mint, OTHER);
            find_block(&mint, ADDRESS);
            total += 2 * 4_875_000_000_i64;
            mint.bury(3);
            wait_for("the round to be paid", || {
                mint.bury(1);
                // Rewards are halved at height 150.
                std::thread::sleep(Duration::from_millis(250));
                let paid = mint.balance("paid").0 == total;
                (paid && !mint.balances().keys().any(|name| is_open(name))).then_some(())
            });
            rounds += 1;
            assert!(mint.confirmed().len() >= rounds, "{form}");
        }
        mint.assert_balanced();
        assert_eq!(mint.balance("paid"), (total, 0), "{form}");
        let on_chain = on_chain(&rpc, ADDRESS) + on_chain(&rpc, OTHER);
        assert_eq!(i64::try_from(on_chain), Ok(total), "{form}");
        // What the chain took is in the books, to the unit, and the rest came back to the descriptor.
        let mut fees = 0;
        for payout in mint.confirmed() {
            let paid = transaction(&rpc, payout["txid"].as_str().unwrap());
            let change = paid.output.last().unwrap();
            let number = u32::try_from(payout["number"].as_u64().unwrap()).unwrap();
            let index = if form.contains('*') { number } else { 0 };
            assert_eq!(change.script_pubkey, keeper.script(index), "{form}");
            let brought: u64 = paid
                .input
                .iter()
                .map(|input| {
                    let from = input.previous_output;
                    let before = transaction(&rpc, &from.txid.to_string());
                    before.output[usize::try_from(from.vout).unwrap()]
                        .value
                        .to_sat()
                })
                .sum();
            let out: u64 = paid.output.iter().map(|output| output.value.to_sat()).sum();
            let fee: u64 = payout["network_fee"].as_str().unwrap().parse().unwrap();
            assert_eq!(brought - out, fee, "{form}");
            // 5 units a byte, of the largest size that it may have.
            let bytes = u64::try_from(paid.vsize()).unwrap();
            let most = bytes + 3 * u64::try_from(paid.input.len()).unwrap();
            assert!(
                (bytes * 5..=most * 5).contains(&fee),
                "{form}: {fee} for {bytes}"
            );
            fees += i64::try_from(fee).unwrap();
        }
        assert_eq!(mint.balance("reserve"), (-fees, 0), "{form}");
        let log = mint.pool.process.log_text();
        assert!(!log.contains("Method not found"), "{form}");
    }
}

#[test]
fn a76_a_key_that_is_killed_again_and_again_pays_once_and_batches_share_no_coin() {
    const MINERS: usize = 10;
    const KILLS_MAX: u32 = 60;
    let keeper = wpkh();
    let mut mint = without_wallet(&keeper, &(PAYING.to_owned() + "payments_max = 1\n"));
    let rpc = mint.node.rpc.clone();
    // Coins to spare: those of payouts under way, and their change, are not used.
    rpc.call("generatetoaddress", json!([MINERS, keeper.address(0)]));
    mint.say(&["payout", "pause", "--reason", "until all is mature"]);
    let other = Keeper::new("wpkh(KEY/*)", b"miners");
    let addresses: Vec<String> = (0..10).map(|index| other.address(index)).collect();
    for address in &addresses {
        find_block(&mint, address);
    }
    mint.bury(4);
    let reward = -5_000_000_000 * i64::try_from(MINERS).unwrap();
    wait_for("all to be mature", || {
        (mint.balance("reward") == (reward, 0)).then_some(())
    });
    let due = mint.balances();
    let methods = ["scantxoutset", "gettxout", "sendrawtransaction"];
    mint.fault("slow", json!({"ms": 30, "methods": methods}));
    mint.say(&["payout", "resume"]);
    let (mut chance, mut kills, mut side_by_side) = (7_u64, 0, 0);
    while mint.balances().keys().any(|name| is_open(name)) {
        assert!(kills < KILLS_MAX, "no end: {:?}", mint.balances());
        chance = chance
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        std::thread::sleep(Duration::from_millis(1500 + (chance >> 40) % 2500));
        mint.pool.process.kill();
        kills += 1;
        let payouts = mint.ask(&["payout", "list", "--limit", "1000"]);
        let under_way =
            payouts.as_array().unwrap().iter().filter(|payout| {
                ["signed", "broadcast"].contains(&payout["state"].as_str().unwrap())
            });
        side_by_side = side_by_side.max(under_way.count());
        mint.bury(1);
        mint.pool.start_again();
        mint.pool.wait_until_ready();
    }
    mint.assert_balanced();
    for address in &addresses {
        let owed = due[&miner(address)].0;
        assert!(owed > 0);
        assert_eq!(
            i64::try_from(on_chain(&rpc, address)),
            Ok(owed),
            "{address}"
        );
    }
    let payouts = mint.ask(&["payout", "list", "--limit", "1000"]);
    let payouts = payouts.as_array().unwrap();
    let signed: Vec<&Value> = payouts
        .iter()
        .filter(|one| !one["txid"].is_null())
        .collect();
    println!(
        "{kills} kills: {} payouts of which {} were signed, {side_by_side} at once",
        payouts.len(),
        signed.len()
    );
    // What was signed was paid, and no two with the same coin.
    let mut spent = Vec::new();
    for payout in &signed {
        assert_eq!(payout["state"], "confirmed", "{payout}");
        let paid = transaction(&rpc, payout["txid"].as_str().unwrap());
        spent.extend(paid.input.iter().map(|input| input.previous_output));
    }
    let count = spent.len();
    spent.sort_unstable();
    spent.dedup();
    assert_eq!(spent.len(), count);
    assert_eq!(signed.len(), MINERS);
    assert!(kills >= 3, "only {kills} kills");
    assert!(side_by_side >= 2, "never two at once");
}

#[test]
fn a_search_that_is_under_way_and_a_fee_that_is_unknown_are_waited_for() {
    let keeper = wpkh();
    let settings = PAYING.replace("fee_rate = \"0.00005\"\n", "");
    let mint = without_wallet(&keeper, &settings);
    let busy = json!({
        "code": -8,
        "message": "Scan already in progress, use action \"abort\" or \"status\"",
        "methods": ["scantxoutset"],
    });
    mint.fault("error", busy);
    mint.owe(ADDRESS);
    mint.wait_for_trouble("searches for coins already");
    assert_eq!(mint.payouts(), None, "nothing is claimed before");
    mint.fault("clear", json!({}));
    let released = mint.wait_for_state("released");
    let reason = released["reason"].as_str().unwrap();
    assert!(reason.contains("set fee_rate"), "{reason}");
    let estimate = json!({"feerate": 0.000_123_45, "blocks": 6});
    let told = json!({"value": estimate, "methods": ["estimatesmartfee"]});
    mint.fault("result", told);
    mint.settle();
    let payout = &mint.confirmed()[0];
    let fee: u64 = payout["network_fee"].as_str().unwrap().parse().unwrap();
    let paid = transaction(&mint.node.rpc, payout["txid"].as_str().unwrap());
    let bytes = u64::try_from(paid.vsize()).unwrap();
    let at = |bytes: u64| (bytes * 12_345).div_ceil(1000);
    assert!(
        (at(bytes)..=at(bytes + 2)).contains(&fee),
        "{fee} for {bytes}"
    );
    assert_eq!(on_chain(&mint.node.rpc, ADDRESS), 4_875_000_000);
}

#[test]
fn a_key_with_too_little_pays_nothing_and_takes_nothing() {
    let keeper = wpkh();
    // Blocks pay to somewhere else.
    let folder = TempDir::new().unwrap();
    let node = Node::start(&folder, "node", &["--rules", "regtest", "--maturity", "3"]);
    let file = keeper.write(folder.path());
    let settings = format!(
        "{PAYING}from = \"key\"\ndescriptor_file = \"{}\"\n",
        file.display()
    );
    let pool = Pool::start(
        &folder,
        &PoolSettings {
            address: OTHER,
            pool: &settings,
            daemons: node.rpc.daemon(),
            ..PoolSettings::default()
        },
    );
    let mint = Mint { pool, node, folder };
    let log = mint.pool.process.log_text();
    assert!(log.contains("payout_address is not script 0"), "{log}");
    mint.owe(ADDRESS);
    let released = mint.wait_for_state("released");
    let reason = released["reason"].as_str().unwrap();
    assert!(reason.contains("coins of 0 units can be spent"), "{reason}");
    wait_for("the balance to be back", || {
        (mint.balance(&miner(ADDRESS)) == (4_875_000_000, 0)).then_some(())
    });
    mint.assert_balanced();
    // Somebody pays in, and it is enough once that is deep.
    mint.node
        .rpc
        .call("generatetoaddress", json!([1, keeper.address(0)]));
    mint.settle();
    assert_eq!(on_chain(&mint.node.rpc, ADDRESS), 4_875_000_000);
}

fn copy_files(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

/// Yesterday's database is put back: first while the forgotten payout waits for a block, then after.
#[test]
fn a79_an_old_database_pays_nothing_again_with_a_key_either() {
    let mut mint = without_wallet(&wpkh(), PAYING);
    mint.owe(OTHER);
    mint.settle();
    assert_eq!(mint.confirmed().len(), 1);
    mint.say(&["payout", "pause", "--reason", "a copy"]);
    find_block(&mint, ADDRESS);
    mint.bury(5);
    wait_for("a balance", || {
        (mint.balance(&miner(ADDRESS)).0 > 0).then_some(())
    });
    assert_eq!(mint.pool.process.stop().code(), Some(0));
    let (data, copy) = (
        mint.folder.path().join("data"),
        mint.folder.path().join("copy"),
    );
    copy_files(&data, &copy);
    mint.pool.start_again();
    mint.pool.wait_until_ready();
    mint.say(&["payout", "resume"]);
    let rpc = mint.node.rpc.clone();
    wait_for("the payout", || {
        let waiting = rpc.call("getrawmempool", json!([]));
        (!waiting.as_array().unwrap().is_empty()).then_some(())
    });
    assert_eq!(mint.pool.process.stop().code(), Some(0));
    fs::remove_dir_all(&data).unwrap();
    copy_files(&copy, &data);
    mint.pool.start_again();
    mint.pool.wait_until_ready();
    mint.say(&["payout", "resume"]);
    mint.wait_for_trouble("was spent, and by no payout of these books");
    assert_eq!(rpc.call("getmempoolinfo", json!([]))["size"], 1);

    mint.bury(3);
    let trouble = mint.wait_for_trouble("which is no payout");
    let paid = on_chain(&rpc, ADDRESS);
    assert!(paid > 0);
    std::thread::sleep(Duration::from_secs(3));
    mint.bury(2);
    assert_eq!(on_chain(&rpc, ADDRESS), paid, "paid again");
    // Whoever has looked says so, and it goes on: here the balance is wrong, so nothing is due.
    mint.say(&["payout", "pause", "--reason", "the books are wrong"]);
    let txid = trouble.split([' ', ',']).nth(4).unwrap().to_owned();
    mint.say(&[
        "payout",
        "accept",
        &txid,
        "--reason",
        "paid before the copy",
    ]);
    wait_for("the trouble to end", || {
        let (_, body) = mint.pool.get("/health")?;
        body.contains("the books are wrong").then_some(())
    });
}

/// Everybody sees the pool's addresses, and may pay to them: that stops nothing. At a script that
/// nobody can have seen, something is wrong.
#[test]
fn what_strangers_pay_in_stops_nothing() {
    let keeper = wpkh();
    let mint = mint(&keeper, PAYING, PoolSettings::default().log);
    let rpc = mint.node.rpc.clone();
    let own = rpc.call("getnewaddress", json!([]));
    rpc.call("generatetoaddress", json!([4, own]));
    find_block(&mint, ADDRESS);
    mint.bury(5);
    wait_for("a payout", || mint.payouts());
    mint.settle();
    let seen = u32::try_from(mint.confirmed()[0]["number"].as_u64().unwrap()).unwrap();
    for index in [0, seen] {
        rpc.call("sendtoaddress", json!([keeper.address(index), "0.001"]));
    }
    mint.bury(3);
    let before = mint.confirmed().len();
    find_block(&mint, OTHER);
    wait_for("the next payout", || {
        mint.bury(1);
        std::thread::sleep(Duration::from_millis(250));
        (mint.confirmed().len() > before).then_some(())
    });
    mint.settle();
    let strange = rpc.call("sendtoaddress", json!([keeper.address(900), "0.001"]));
    mint.bury(3);
    find_block(&mint, ADDRESS);
    mint.bury(4);
    mint.wait_for_trouble(strange.as_str().unwrap());
    let strange = strange.as_str().unwrap();
    mint.say(&["payout", "accept", strange, "--reason", "a gift"]);
    mint.settle();
}

/// Somebody else has the key too.
#[test]
fn a_payout_whose_coins_somebody_else_has_spent_is_left_to_a_person() {
    let keeper = wpkh();
    let mut mint = without_wallet(&keeper, &(PAYING.to_owned() + "unclear_s = 2\n"));
    let rpc = mint.node.rpc.clone();
    let refused =
        json!({"code": -26, "message": "min relay fee not met", "methods": ["sendrawtransaction"]});
    mint.fault("error", refused);
    mint.owe(ADDRESS);
    let signed = mint.wait_for_state("signed");
    let number = signed["number"].to_string();
    mint.wait_for_trouble("min relay fee not met");
    mint.pool.process.kill();
    mint.fault("clear", json!({}));
    let public = json!([{"desc": keeper.public.to_string(), "range": 0}]);
    let scan = rpc.call("scantxoutset", json!(["start", public]));
    let mut coins: Vec<OutPoint> = Vec::new();
    for coin in scan["unspents"].as_array().unwrap() {
        if coin["confirmations"].as_u64() >= Some(3) {
            let vout = u32::try_from(coin["vout"].as_u64().unwrap()).unwrap();
            coins.push(OutPoint::new(
                coin["txid"].as_str().unwrap().parse().unwrap(),
                vout,
            ));
        }
    }
    let stranger = Keeper::new("wpkh(KEY/*)", b"a thief").script(0);
    let theft = keeper.spend(&rpc, &coins, &stranger);
    rpc.call(
        "sendrawtransaction",
        json!([consensus::encode::serialize_hex(&theft)]),
    );
    mint.pool.start_again();
    mint.pool.wait_until_ready();
    mint.wait_for_state("manual");
    let trouble = mint.wait_for_trouble(&format!("payout {number} waits for you"));
    assert!(trouble.contains("something has its inputs"), "{trouble}");
    mint.bury(4);
    // No other payout begins, and this one is given back on a person's word alone.
    find_block(&mint, OTHER);
    mint.bury(5);
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(mint.payouts().unwrap().len(), 1);
    mint.assert_refused(
        &["payout", "void", &number, "--reason", "stolen"],
        "could still confirm",
    );
    mint.assert_balanced();
}

#[test]
fn the_private_key_is_shown_nowhere() {
    let keeper = wpkh();
    let mint = mint(&keeper, PAYING, "filter = \"trace\"");
    mint.owe(ADDRESS);
    mint.settle();
    let config = mint.folder.path().join("adit.toml");
    let config = config.to_str().unwrap();
    let mut texts = vec![mint.pool.process.log_text()];
    for words in [
        &["config", "-c", config][..],
        &["config", "-c", config, "--json"],
        &["config", "-c", config, "--check"],
        &["payout", "list", "-c", config, "--json"],
    ] {
        let output = run(words);
        texts.push(String::from_utf8_lossy(&output.stdout).into_owned());
        texts.push(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    for path in ["/", "/api/v1/status", "/health", "/metrics"] {
        texts.push(mint.pool.get(path).unwrap().1);
    }
    for entry in fs::read_dir(mint.folder.path().join("data")).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap_or_default();
        texts.push(String::from_utf8_lossy(&bytes).into_owned());
    }
    // The whole log of the node is there too: it was told the public descriptor.
    texts.push(fs::read_to_string(mint.folder.path().join("node.log")).unwrap());
    assert!(texts[0].contains("TRACE"), "the log has everything");
    assert!(texts.iter().any(|text| text.contains("descriptor_file")));
    let root: Xpriv = keeper.secret.parse().unwrap();
    let bytes = hex::encode(root.private_key.secret_bytes());
    for text in texts {
        for canary in ["tprv", &keeper.secret[10..40], &bytes[..20]] {
            assert!(!text.contains(canary), "{canary} in {text}");
        }
    }
}

#[test]
fn a_check_says_what_a_key_has_or_what_is_wrong_with_its_file() {
    let keeper = wpkh();
    let mint = without_wallet(&keeper, PAYING);
    mint.node
        .rpc
        .call("generatetoaddress", json!([3, keeper.address(7)]));
    let file = mint.folder.path().join("adit.toml");
    let good = fs::read_to_string(&file).unwrap();
    let check = |text: &str| {
        fs::write(&file, text).unwrap();
        let output = run(&["config", "-c", file.to_str().unwrap(), "--check"]);
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
    };
    let told = check(&good);
    assert!(told.contains("has 150.00000000 BTC"), "{told}");
    let descriptor = mint.folder.path().join("descriptor");
    let named = format!("descriptor_file = \"{}\"\n", descriptor.display());
    let case = |text: &str, expected: &str| {
        let told = check(text);
        assert!(told.contains(expected), "{told}");
        assert!(!told.contains(&keeper.secret[..30]), "{told}");
    };
    case(&good.replace(&named, ""), "needs payout.descriptor_file");
    case(
        &good.replace("from = \"key\"", "from = \"wallet\""),
        "payout.descriptor_file goes with",
    );
    case(
        &good.replace("from = \"key\"", "from = \"key\"\nwallet = \"w\""),
        "payout.wallet: there is none",
    );
    let legacy = Keeper::new("pkh(KEY)", b"anybody").address(0);
    case(
        &good
            .replace("coin = \"bitcoin\"", "coin = \"dogecoin\"")
            .replace(&keeper.address(0), &legacy),
        "the daemon of Dogecoin cannot search for coins",
    );
    fs::set_permissions(&descriptor, fs::Permissions::from_mode(0o644)).unwrap();
    case(&good, "can be opened by others");
    fs::set_permissions(&descriptor, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&descriptor, format!("wpkh({}x/*)", keeper.secret)).unwrap();
    case(&good, "is not one line with an output descriptor");
    fs::write(&descriptor, keeper.public.to_string()).unwrap();
    case(&good, "has no private key");
    fs::remove_file(&descriptor).unwrap();
    case(&good, "cannot be read");
}
