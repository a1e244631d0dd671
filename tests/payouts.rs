//! Payouts when the wallet, the database or a signer is not what it should be: nobody is paid twice,
//! nothing is lost, and an operator hears of it.

use std::{fs, path::Path, process::Output, time::Duration};

use serde_json::{Value, json};

use crate::{
    money::{Mint, OTHER, PAYING, is_open, miner, on_chain},
    support::{ADDRESS, adit, wait_for},
};

/// Two miners' parts of two blocks, of which the second was all of the first one's work too.
const OWED: i64 = 4_875_000_000;

impl Mint {
    /// A mature block of this miner's.
    pub(crate) fn owe(&self, address: &str) {
        self.find_block(address);
        self.bury(5);
        wait_for("a balance", || {
            (self.balance(&miner(address)).0 > 0 || self.payouts().is_some()).then_some(())
        });
    }

    /// All payouts, newest first, once there is one.
    pub(crate) fn payouts(&self) -> Option<Vec<Value>> {
        let payouts = self.ask(&["payout", "list"]);
        let payouts = payouts.as_array().unwrap().clone();
        (!payouts.is_empty()).then_some(payouts)
    }

    pub(crate) fn wait_for_state(&self, state: &str) -> Value {
        wait_for(&format!("a payout that is {state}"), || {
            let newest = self.payouts()?.remove(0);
            (newest["state"] == state).then_some(newest)
        })
    }

    /// Blocks come until all is paid.
    pub(crate) fn settle(&self) {
        wait_for("all to be paid", || {
            self.bury(1);
            let open = self.balances().keys().any(|name| is_open(name));
            (!open).then_some(())
        });
        self.assert_balanced();
    }

    pub(crate) fn try_say(&self, words: &[&str]) -> Output {
        let config = self.folder.path().join("adit.toml");
        let arguments = [words, &["-c", config.to_str().unwrap()]].concat();
        adit(&arguments).output().unwrap()
    }

    #[track_caller]
    pub(crate) fn assert_refused(&self, words: &[&str], because: &str) {
        let output = self.try_say(words);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{words:?}: {text}");
        assert!(text.contains(because), "{words:?}: {text}");
    }

    /// What `/health` says of payouts, once it says this.
    pub(crate) fn wait_for_trouble(&self, text: &str) -> String {
        wait_for(&format!("trouble with payouts: {text}"), || {
            let (_, body) = self.pool.get("/health")?;
            let health: Value = serde_json::from_str(&body).unwrap();
            let components = health["components"].as_array().unwrap();
            let payouts = components.iter().find(|part| part["name"] == "payouts")?;
            let detail = payouts["detail"].as_str().unwrap();
            let says = payouts["healthy"] == false && detail.contains(text);
            says.then(|| detail.to_owned())
        })
    }

    pub(crate) fn fault(&self, fault: &str, options: Value) {
        self.node.rpc.call("simnet_fault", json!([fault, options]));
    }

    pub(crate) fn restart(&mut self) {
        self.pool.process.kill();
        self.pool.start_again();
        self.pool.wait_until_ready();
    }
}

#[test]
fn a_payout_is_signed_elsewhere() {
    let mut mint = Mint::new(&(PAYING.to_owned() + "from = \"psbt\"\n"));
    mint.owe(ADDRESS);
    let payout = mint.wait_for_state("reserved");
    let number = payout["number"].to_string();
    let draft = wait_for("the draft", || {
        let output = mint.try_say(&["payout", "psbt", &number]);
        let text = String::from_utf8(output.stdout).unwrap();
        output.status.success().then(|| text.trim().to_owned())
    });
    // It outlives the process, and is not given back as one that was never signed.
    mint.restart();
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(mint.wait_for_state("reserved")["number"], payout["number"]);
    assert_eq!(
        mint.ask(&["payout", "psbt", &number])["psbt"],
        draft.as_str()
    );

    let file = mint.folder.path().join("signed.psbt");
    let path = file.to_str().unwrap().to_owned();
    let signed = ["payout", "signed", &number, &path];
    fs::write(&file, &draft).unwrap();
    mint.assert_refused(&signed, "signatures are missing");
    fs::write(&file, "a shopping list").unwrap();
    mint.assert_refused(&signed, "neither a PSBT nor a transaction");
    // Another transaction, though one of this wallet.
    let rpc = mint.node.rpc.clone();
    let locked = rpc.call("listlockunspent", json!([]));
    let bare = rpc.call("createrawtransaction", json!([locked, {OTHER: "0.5"}]));
    let other = rpc.call("signrawtransactionwithwallet", json!([bare]));
    fs::write(&file, other["hex"].as_str().unwrap()).unwrap();
    mint.assert_refused(&signed, "another transaction than that of payout");
    let bare: bitcoin::Transaction =
        bitcoin::consensus::deserialize(&hex::decode(bare.as_str().unwrap()).unwrap()).unwrap();
    let other = bitcoin::Psbt::from_unsigned_tx(bare).unwrap();
    fs::write(&file, other.serialize()).unwrap();
    mint.assert_refused(&signed, "another transaction than that of payout");
    mint.assert_refused(&["payout", "signed", "99", &path], "no payout 99");

    let done = rpc.call("walletprocesspsbt", json!([draft]));
    assert_eq!(done["complete"], true);
    fs::write(&file, done["psbt"].as_str().unwrap()).unwrap();
    mint.say(&signed);
    mint.assert_refused(&signed, "not one that waits for its signature");
    mint.settle();
    assert_eq!(on_chain(&rpc, ADDRESS), OWED.unsigned_abs());
    assert_eq!(mint.balance("paid"), (OWED, 0));
}

/// Many signers send what they signed: the pool hears of it from its own wallet.
#[test]
fn a_payout_that_was_signed_and_sent_elsewhere_is_noticed() {
    let mut mint = Mint::new(&(PAYING.to_owned() + "from = \"psbt\"\n"));
    mint.owe(ADDRESS);
    let number = mint.wait_for_state("reserved")["number"].to_string();
    let draft = wait_for("the draft", || {
        let output = mint.try_say(&["payout", "psbt", &number]);
        let text = String::from_utf8(output.stdout).unwrap();
        output.status.success().then(|| text.trim().to_owned())
    });
    let rpc = mint.node.rpc.clone();
    let done = rpc.call("walletprocesspsbt", json!([draft]));
    rpc.call("sendrawtransaction", json!([done["hex"]]));
    mint.restart();
    mint.settle();
    assert_eq!(on_chain(&rpc, ADDRESS), OWED.unsigned_abs());
}

#[test]
fn a_draft_is_given_back_only_on_an_operator_s_word() {
    // The first look is before there is anything to pay, and the next one is an hour away.
    let hourly = PAYING.replacen("every_s = 1\n", "every_s = 3600\n", 1);
    let mut mint = Mint::new(&(hourly + "from = \"psbt\"\n"));
    mint.owe(ADDRESS);
    mint.restart();
    let number = mint.wait_for_state("reserved")["number"].to_string();
    wait_for("the draft", || {
        let output = mint.try_say(&["payout", "psbt", &number]);
        output.status.success().then_some(())
    });
    let void = ["payout", "void", &number, "--reason", "the signer is lost"];
    mint.assert_refused(&void, "what is signed there can confirm");
    assert_eq!(mint.balance(&miner(ADDRESS)).0, 0);
    mint.say(&[&void[..], &["--without-proof"]].concat());
    assert_eq!(mint.balance(&miner(ADDRESS)).0, OWED);
    let released = mint.wait_for_state("released");
    assert_eq!(released["reason"], "the signer is lost");
    assert_eq!(mint.node.rpc.call("listlockunspent", json!([])), json!([]));
    mint.assert_balanced();
}

/// The daemon takes the transaction, and nobody hears its answer.
#[test]
fn a77_an_answer_that_is_lost_pays_once() {
    let mint = Mint::new(PAYING);
    let lost = json!({"processed": true, "methods": ["sendrawtransaction"], "times": 1});
    mint.fault("silent", lost);
    mint.owe(ADDRESS);
    wait_for("the transaction", || {
        let pool = mint.node.rpc.call("getrawmempool", json!([]));
        (!pool.as_array().unwrap().is_empty()).then_some(())
    });
    mint.settle();
    assert_eq!(on_chain(&mint.node.rpc, ADDRESS), OWED.unsigned_abs());
    assert_eq!(mint.balance("paid"), (OWED, 0));
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

/// An operator puts yesterday's database back: it knows nothing of the last payout.
#[test]
fn a79_an_old_database_pays_nothing_again() {
    let mut mint = Mint::new(PAYING);
    mint.owe(OTHER);
    mint.settle();
    mint.say(&["payout", "pause", "--reason", "a copy"]);
    mint.owe(ADDRESS);
    wait_for("a balance", || {
        (mint.balance(&miner(ADDRESS)).0 > 0).then_some(())
    });
    let owed = mint.balance(&miner(ADDRESS)).0;
    assert_eq!(mint.pool.process.stop().code(), Some(0));
    let (data, copy) = (
        mint.folder.path().join("data"),
        mint.folder.path().join("copy"),
    );
    copy_files(&data, &copy);
    mint.pool.start_again();
    mint.pool.wait_until_ready();
    mint.say(&["payout", "resume"]);
    mint.settle();
    let rpc = mint.node.rpc.clone();
    let paid = on_chain(&rpc, ADDRESS);
    assert!(i64::try_from(paid).unwrap() >= owed, "{paid} of {owed}");
    let beside = mint.ask(&["ledger", "check", "--wallet"]);
    assert_eq!(beside["wallet"]["more"], "0", "{beside}");
    assert_eq!(beside["wallet"]["foreign"], json!([]), "{beside}");

    assert_eq!(mint.pool.process.stop().code(), Some(0));
    fs::remove_dir_all(&data).unwrap();
    copy_files(&copy, &data);
    mint.pool.start_again();
    mint.pool.wait_until_ready();
    mint.say(&["payout", "resume"]);
    let trouble = mint.wait_for_trouble("which is no payout");
    let txid = trouble.split([' ', ',']).nth(4).unwrap().to_owned();
    assert_eq!(txid.len(), 64, "{trouble}");
    mint.bury(2);
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(on_chain(&rpc, ADDRESS), paid, "paid again");
    assert!(mint.balance(&miner(ADDRESS)).0 >= owed);
    mint.assert_refused(
        &["ledger", "check", "--wallet"],
        "the wallet has less than the books say",
    );
    // Whoever has looked says so, and it goes on.
    mint.assert_refused(
        &["payout", "accept", "xyz", "--reason", "x"],
        "a transaction's id",
    );
    mint.say(&[
        "payout",
        "pause",
        "--reason",
        "the books are to be corrected",
    ]);
    mint.say(&[
        "payout",
        "accept",
        &txid,
        "--reason",
        "paid before the copy",
    ]);
    wait_for("the trouble to end", || {
        let (_, body) = mint.pool.get("/health")?;
        body.contains("the books are to be corrected").then_some(())
    });
}

/// The wallet has forgotten what it signed: the kept bytes are sent, and nothing is signed anew.
#[test]
fn a80_a_wallet_that_forgot_is_sent_the_same_bytes() {
    let mint = Mint::new(PAYING);
    let refused =
        json!({"code": -26, "message": "min relay fee not met", "methods": ["sendrawtransaction"]});
    mint.fault("error", refused);
    mint.owe(ADDRESS);
    let signed = mint.wait_for_state("signed");
    mint.wait_for_trouble("min relay fee not met");
    mint.fault("clear", json!({}));
    mint.settle();
    let confirmed = mint.confirmed();
    assert_eq!(confirmed.len(), 1, "{confirmed:?}");
    assert_eq!(confirmed[0]["txid"], signed["txid"]);
    assert_eq!(on_chain(&mint.node.rpc, ADDRESS), OWED.unsigned_abs());
}

/// Somebody else has spent the inputs of what was signed: nobody can tell why, and a person decides.
#[test]
fn a_payout_whose_inputs_are_gone_is_left_to_a_person() {
    let mut mint = Mint::new(&(PAYING.to_owned() + "unclear_s = 8\n"));
    let rpc = mint.node.rpc.clone();
    let refused =
        json!({"code": -26, "message": "min relay fee not met", "methods": ["sendrawtransaction"]});
    mint.fault("error", refused);
    mint.owe(ADDRESS);
    let number = mint.wait_for_state("signed")["number"].to_string();
    mint.pool.process.kill();
    mint.fault("clear", json!({}));
    let locked = rpc.call("listlockunspent", json!([]));
    let inputs = locked.as_array().unwrap();
    assert!(!inputs.is_empty());
    // All that these coins have, to another address.
    let address = rpc.call("getnewaddress", json!([]));
    let value: f64 = inputs
        .iter()
        .map(|input| {
            let coin = rpc.call("gettxout", json!([input["txid"], input["vout"]]));
            coin["value"].as_f64().unwrap()
        })
        .sum();
    let outputs = json!({address.as_str().unwrap(): format!("{:.8}", value - 0.001)});
    let theft = rpc.call("createrawtransaction", json!([locked, outputs]));
    let theft = rpc.call("signrawtransactionwithwallet", json!([theft]));
    let theft = rpc.call("sendrawtransaction", json!([theft["hex"]]));
    mint.bury(1);
    // An operator knows of it, so that it does not stand in the way by itself.
    let theft = theft.as_str().unwrap();
    mint.say(&["payout", "accept", theft, "--reason", "a theft"]);
    mint.pool.start_again();
    mint.pool.wait_until_ready();
    mint.wait_for_state("manual");
    let trouble = mint.wait_for_trouble(&format!("payout {number} waits for you"));
    assert!(trouble.contains("inputs are gone"), "{trouble}");
    // No other payout begins.
    mint.owe(OTHER);
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(mint.payouts().unwrap().len(), 1);
    mint.assert_refused(
        &["payout", "void", &number, "--reason", "stolen"],
        "could still confirm",
    );
    mint.assert_refused(
        &[
            "payout",
            "void",
            &number,
            "--reason",
            "stolen",
            "--without-proof",
        ],
        "ask again in a minute",
    );
    // It is sent again, and again nobody can tell.
    mint.say(&["payout", "retry", &number, "--reason", "once more"]);
    mint.assert_refused(
        &["payout", "retry", &number, "--reason", "once more"],
        "not decided by hand",
    );
    mint.wait_for_state("manual");
    assert_eq!(mint.balance(&format!("batch:{number}")).0, OWED);
    mint.assert_balanced();
}

/// The wallet does not know one address of a batch: that one waits, and nobody else does.
#[test]
fn a73_one_bad_address_delays_nobody_else() {
    let mint = Mint::new(PAYING);
    mint.say(&["payout", "pause", "--reason", "until both have something"]);
    mint.owe(OTHER);
    mint.owe(ADDRESS);
    wait_for("two balances", || {
        (mint.balance("reward") == (-10_000_000_000, 0)).then_some(())
    });
    let due = mint.balances();
    let unknown = json!({"code": -5, "message": "Invalid address", "methods": ["createrawtransaction"], "times": 1});
    mint.fault("error", unknown);
    let invalid = json!({"value": {"isvalid": false}, "methods": ["validateaddress"], "times": 1});
    mint.fault("result", invalid);
    mint.say(&["payout", "resume"]);
    let trouble = mint.wait_for_trouble("is not paid: the wallet does not know this address");
    // The first by name was asked about first.
    let (bad, good) = match ADDRESS < OTHER {
        true => (ADDRESS, OTHER),
        false => (OTHER, ADDRESS),
    };
    assert!(trouble.starts_with(bad), "{trouble}");
    wait_for("the other to be paid", || {
        mint.bury(1);
        (!mint.confirmed().is_empty()).then_some(())
    });
    let owed = |address: &str| due[&miner(address)].0;
    let paid = |address: &str| i64::try_from(on_chain(&mint.node.rpc, address)).unwrap();
    assert_eq!((paid(bad), paid(good)), (0, owed(good)));
    assert_eq!(mint.balance(&miner(bad)), (owed(bad), 0));
    mint.assert_balanced();
}
