//! What an operator decides about one payout: it is sent again, held, given back, or was signed
//! elsewhere.

use std::{io::Read as _, path::Path};

use anyhow::{Context as _, bail, ensure};
use bitcoin::{Psbt, Transaction, base64::prelude::*, consensus, hashes::Hash as _};
use mining::{
    Address, Amount,
    payout::{BatchState, Standing},
};
use pow::Hash;
use serde::Serialize;
use store::{Payout, Signed};

use super::Desk;
use crate::{clock, payout::Proof, pool};

/// The largest file that can hold a transaction: 4 million weight units in base64, with what a PSBT
/// says of each input.
const FILE_MAX: u64 = 32 << 20;

#[derive(Serialize)]
struct Draft {
    number: u64,
    psbt: String,
    total: String,
    network_fee: Option<String>,
    unit: &'static str,
}

pub(super) async fn retry(desk: &Desk, number: u64, reason: &str) -> anyhow::Result<()> {
    let retried = desk
        .store
        .retry_payout(desk.pool, number, reason, clock::now_ms());
    retried.await?;
    println!("Payout {number} is sent again.");
    Ok(())
}

pub(super) async fn hold(desk: &Desk, number: u64, reason: &str) -> anyhow::Result<()> {
    let held = desk
        .store
        .hold_payout(desk.pool, number, reason, clock::now_ms());
    held.await?;
    println!(
        "Payout {number} waits for you. What was sent can confirm all the same; no other payout \
         begins before you retry or void this one."
    );
    Ok(())
}

pub(super) async fn void(
    desk: &Desk,
    number: u64,
    reason: &str,
    without_proof: bool,
) -> anyhow::Result<()> {
    let payout = open(desk, number).await?;
    let purse = pool::purse(&desk.settings)?;
    if !without_proof {
        let Some(signed) = &payout.signed else {
            bail!(
                "payout {number} is to be signed elsewhere, and what is signed there can confirm: if \
                 you know that nobody signs it, say --without-proof"
            );
        };
        let depth = desk.settings.payout.confirmations;
        match purse.standing(signed).await.context("the wallet")? {
            Standing::Conflicted(now) if now >= depth => {}
            standing => bail!(
                "payout {number} could still confirm: {}; if you know that it cannot, say \
                 --without-proof",
                said(standing)
            ),
        }
    }
    let coin = desk.coin.name;
    desk.store
        .void_payout(desk.pool, coin, number, reason, clock::now_ms())
        .await?;
    purse.unlock(&payout).await;
    println!("Payout {number} was given back: its balances are due again.");
    Ok(())
}

fn said(standing: Standing) -> String {
    match standing {
        Standing::Confirmed(0) => "it waits for a block".into(),
        Standing::Confirmed(depth) => format!("it is {depth} blocks deep"),
        Standing::Conflicted(depth) => {
            format!("another transaction with its inputs is only {depth} blocks deep")
        }
        Standing::Unknown | Standing::Unclear => "nothing shows that it cannot".into(),
    }
}

pub(super) async fn psbt(desk: &Desk, number: u64, json: bool) -> anyhow::Result<()> {
    let payout = open(desk, number).await?;
    let draft = draft(&payout)?;
    let psbt = BASE64_STANDARD.encode(draft);
    if !json {
        println!("{psbt}");
        return Ok(());
    }
    let fee = Psbt::deserialize(draft)
        .ok()
        .and_then(|psbt| psbt.fee().ok());
    let shown = Draft {
        number,
        psbt,
        total: payout.total.to_string(),
        network_fee: fee.map(|fee| fee.to_sat().to_string()),
        unit: desk.coin.unit,
    };
    println!("{}", serde_json::to_string_pretty(&shown)?);
    Ok(())
}

pub(super) async fn signed(desk: &Desk, number: u64, file: &Path) -> anyhow::Result<()> {
    let payout = open(desk, number).await?;
    let draft = Psbt::deserialize(draft(&payout)?).context("the draft that is kept")?;
    let purse = pool::purse(&desk.settings)?;
    let wallet = purse
        .drafts()
        .context("payout.from is not \"psbt\": nothing is signed elsewhere")?;
    let raw = match read(file)? {
        Brought::Transaction(raw) => raw,
        Brought::Psbt(psbt) => {
            ensure!(
                psbt.unsigned_tx == draft.unsigned_tx,
                "this is another transaction than that of payout {number}"
            );
            let whole = wallet.finalize(&psbt).await.context("the daemon")?;
            whole.context("signatures are missing")?
        }
    };
    let transaction: Transaction = consensus::deserialize(&raw)?;
    ensure!(
        bare(&transaction) == draft.unsigned_tx,
        "this is another transaction than that of payout {number}"
    );
    if let Err(reason) = wallet.would_take(&raw).await.context("the daemon")? {
        bail!("the daemon would not take it: {reason}");
    }
    let fee = draft.fee().context("the draft has no fee")?;
    let signed = Signed {
        txid: Hash(transaction.compute_txid().to_byte_array()),
        raw,
        network_fee: Amount::from_units(fee.to_sat()),
    };
    desk.store
        .sign_draft(desk.pool, number, &signed, clock::now_ms())
        .await?;
    println!(
        "Payout {number} is signed, and the pool sends it: {}",
        signed.txid
    );
    Ok(())
}

pub(super) async fn accept(desk: &Desk, txid: &str, reason: &str) -> anyhow::Result<()> {
    let txid: Hash = serde_json::from_value(txid.into()).context("a transaction's id")?;
    desk.store
        .accept_send(desk.pool, txid, reason, clock::now_ms())
        .await?;
    println!("{txid} is known. The books do not change by that.");
    Ok(())
}

#[derive(Serialize)]
struct Proven {
    number: u64,
    address: String,
    transactions: Vec<ProvenTransaction>,
    unit: &'static str,
}

#[derive(Serialize)]
struct ProvenTransaction {
    txid: String,
    key: String,
    received: String,
}

/// What a miner shows to his own wallet, and believes nobody for.
pub(super) async fn proof(
    desk: &Desk,
    number: u64,
    address: &str,
    json: bool,
) -> anyhow::Result<()> {
    let address = Address::parse(desk.coin, desk.settings.network, address)?;
    let after = number.checked_add(1);
    let payouts = desk.store.payouts(desk.pool, after, 1).await?;
    let payout = payouts.into_iter().find(|payout| payout.number == number);
    let payout = payout.with_context(|| format!("there is no payout {number}"))?;
    let signed = payout.signed.as_ref();
    let signed = signed.with_context(|| format!("payout {number} is not signed yet"))?;
    let proofs = pool::purse(&desk.settings)?.proof(signed, &address).await;
    let Some(proofs) = proofs.context("the wallet")? else {
        bail!(
            "the chain itself shows whom payout {number} pays, by its transaction {}",
            signed.txid
        );
    };
    ensure!(
        !proofs.is_empty(),
        "payout {number} pays nothing to that address"
    );
    if !json {
        for proof in &proofs {
            let received = i64::try_from(proof.received.units()).unwrap_or(i64::MAX);
            println!("{} by payout {number}. To see it:", desk.coins(received));
            println!("check_tx_key {} {} {address}", proof.id, proof.key);
        }
        return Ok(());
    }
    let shown = |proof: Proof| ProvenTransaction {
        txid: proof.id.to_string(),
        key: proof.key,
        received: proof.received.to_string(),
    };
    let shown = Proven {
        number,
        address: address.as_str().to_owned(),
        transactions: proofs.into_iter().map(shown).collect(),
        unit: desk.coin.unit,
    };
    println!("{}", serde_json::to_string_pretty(&shown)?);
    Ok(())
}

/// A payout that is neither confirmed nor released.
async fn open(desk: &Desk, number: u64) -> anyhow::Result<Payout> {
    let payouts = desk.store.open_payouts(desk.pool).await?;
    let mut payouts = payouts.into_iter();
    payouts
        .find(|payout| payout.number == number)
        .with_context(|| format!("no payout {number} is under way"))
}

fn draft(payout: &Payout) -> anyhow::Result<&[u8]> {
    match &payout.draft {
        Some(draft) if payout.state == BatchState::Reserved => Ok(draft),
        _ => bail!(
            "payout {} is not one that waits for its signature",
            payout.number
        ),
    }
}

/// What a signer gave back.
enum Brought {
    Psbt(Psbt),
    Transaction(Vec<u8>),
}

fn read(file: &Path) -> anyhow::Result<Brought> {
    let mut bytes = Vec::new();
    let name = file.display();
    if file == Path::new("-") {
        std::io::stdin().take(FILE_MAX).read_to_end(&mut bytes)?;
    } else {
        let opened = std::fs::File::open(file).with_context(|| format!("cannot read {name}"))?;
        opened.take(FILE_MAX).read_to_end(&mut bytes)?;
    }
    if let Ok(psbt) = Psbt::deserialize(&bytes) {
        return Ok(Brought::Psbt(psbt));
    }
    let text = bytes.trim_ascii();
    if let Ok(raw) = hex::decode(text) {
        return Ok(Brought::Transaction(raw));
    }
    let psbt = BASE64_STANDARD.decode(text).ok();
    let psbt = psbt.and_then(|bytes| Psbt::deserialize(&bytes).ok());
    let psbt = psbt.with_context(|| format!("{name} is neither a PSBT nor a transaction"))?;
    Ok(Brought::Psbt(psbt))
}

/// The transaction without its signatures, as a draft has it.
fn bare(transaction: &Transaction) -> Transaction {
    let mut bare = transaction.clone();
    for input in &mut bare.input {
        input.script_sig = bitcoin::ScriptBuf::new();
        input.witness = bitcoin::Witness::new();
    }
    bare
}
