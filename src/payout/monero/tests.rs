//! Payouts of Monero by a real wallet on a real chain, to the piconero.

use std::ops::Range;

use mining::payout::BatchState;

use super::{rig::Rig, *};

/// A tenth of a coin: what the chain takes is far below.
const FEE_MAX: Amount = Amount::from_units(100_000_000_000);
/// Blocks after which some coins of blocks are unlocked, and there are others to hide among.
const BLOCKS: u32 = 80;

/// Each gets a different odd amount.
fn payments(rig: &Rig, places: Range<usize>) -> Vec<(cryptonote::Address, Amount)> {
    let payment = |place: usize| {
        let units = 1_000_000_000_001 + u64::try_from(place).unwrap() * 1_003;
        (address(&rig.miners[place]), Amount::from_units(units))
    };
    places.map(payment).collect()
}

fn address(text: &str) -> cryptonote::Address {
    cryptonote::Address::parse(&Tags::MONERO, text).unwrap()
}

fn sum(payments: &[(cryptonote::Address, Amount)]) -> Amount {
    Amount::checked_sum(payments.iter().map(|(_, amount)| *amount)).unwrap()
}

fn payout(number: u64, signed: &Signed) -> Payout {
    Payout {
        number,
        state: BatchState::Signed,
        made_ms: 0,
        changed_ms: 0,
        total: Amount::ZERO,
        signed: Some(signed.clone()),
        draft: None,
        confirmations: 0,
        reason: String::new(),
    }
}

impl Rig {
    async fn sign(&self, payments: &[(cryptonote::Address, Amount)]) -> Result<Signed, SignError> {
        self.purse.sign_for(payments, FEE_MAX, &[]).await
    }

    async fn stands(&self, signed: &Signed) -> Standing {
        self.purse.standing(signed).await.unwrap()
    }

    async fn send(&self, signed: &Signed) -> Sent {
        self.purse.send(&signed.raw).await.unwrap()
    }

    /// What each of these got by what is kept, as the wallet and its daemon say.
    async fn received(
        &self,
        signed: &Signed,
        payments: &[(cryptonote::Address, Amount)],
    ) -> Vec<Amount> {
        let bundle = Bundle::read(&signed.raw).unwrap();
        let mut all = Vec::new();
        for (address, _) in payments {
            let mut got = Amount::ZERO;
            for member in &bundle.members {
                let keys = member.key_bytes();
                let part = self
                    .purse
                    .wallet
                    .received(member.id(), keys, address.as_str());
                got = got.checked_add(part.await.unwrap()).unwrap();
            }
            all.push(got);
        }
        all
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn five_are_paid_in_one_go_to_the_piconero() {
    let Some(rig) = Rig::start(BLOCKS).await else {
        return;
    };
    let payments = payments(&rig, 0..5);
    let before = rig.purse.look().await.unwrap();
    let signed = rig.sign(&payments).await.unwrap();
    // Nothing was sent.
    assert_eq!(rig.stands(&signed).await, Standing::Unknown);
    assert_eq!(rig.purse.look().await.unwrap(), before);
    let bundle = Bundle::read(&signed.raw).unwrap();
    assert_eq!(bundle.ids(), [signed.txid]);
    assert_eq!(further_ids(&signed), []);
    assert!(signed.network_fee > Amount::ZERO && signed.network_fee < FEE_MAX);

    assert_eq!(rig.send(&signed).await, Sent::Taken);
    assert_eq!(rig.stands(&signed).await, Standing::Confirmed(0));
    // As often as needed, and it is the same one.
    assert_eq!(rig.send(&signed).await, Sent::Taken);
    let amounts: Vec<Amount> = payments.iter().map(|(_, amount)| *amount).collect();
    assert_eq!(rig.received(&signed, &payments).await, amounts);
    let sent = rig.purse.sent_since(None).await.unwrap();
    assert_eq!(sent.sent, [signed.txid]);

    rig.mine(3).await;
    assert_eq!(rig.stands(&signed).await, Standing::Confirmed(3));
    assert_eq!(rig.send(&signed).await, Sent::Taken);
    assert_eq!(rig.miner_has().await, sum(&payments));
    let after = rig.purse.look().await.unwrap().all;
    // What was mined meanwhile has the fee in it.
    assert!(after.units() > before.all.units() - sum(&payments).units());
    let since = sent.newest_block.clone();
    let again = rig.purse.sent_since(Some(&since)).await.unwrap();
    assert_eq!(again.sent, [signed.txid], "in a block now");
    assert!(rig.purse.sent_since(Some("tip")).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_locked_too_much_or_too_dear_signs_nothing() {
    let Some(mut rig) = Rig::start(30).await else {
        return;
    };
    let few = payments(&rig, 0..2);
    let locked = rig.sign(&few).await;
    assert!(
        matches!(&locked, Err(SignError::Refused(why)) if why.contains("not all unlocked")),
        "{locked:?}"
    );
    let all = rig.purse.look().await.unwrap();
    assert_eq!(all.unlocked, Amount::ZERO);
    let too_much = [(
        address(&rig.miners[0]),
        all.all.checked_add(all.all).unwrap(),
    )];
    let poor = rig.sign(&too_much).await;
    assert!(
        matches!(&poor, Err(SignError::Refused(why)) if why.contains("too little")),
        "{poor:?}"
    );
    rig.mine(BLOCKS - 30).await;
    let low = Amount::from_units(1_000);
    let dear = rig.purse.sign_for(&few, low, &[]).await;
    assert!(
        matches!(&dear, Err(SignError::Fee(fee)) if *fee > low),
        "{dear:?}"
    );
    let signed = rig.sign(&few).await.unwrap();
    let exact = signed.network_fee;
    // Each has another fee by a little, as sizes differ.
    let most = Amount::from_units(exact.units() * 2);
    assert!(rig.purse.sign_for(&few, most, &[]).await.is_ok());

    // Another network's wallet, no wallet, and none that answers.
    let stage = rig.purse(Tags::MONERO_STAGE);
    assert!(matches!(stage.look().await, Err(SignError::Refused(why)) if why.contains("network")));
    rig.ask("close_wallet", serde_json::json!({})).await;
    let closed = rig.sign(&few).await;
    assert!(
        matches!(&closed, Err(SignError::Refused(why)) if why.contains("--wallet-file")),
        "{closed:?}"
    );
    rig.kill_wallet();
    assert!(matches!(rig.sign(&few).await, Err(SignError::Call(_))));
    assert!(rig.node_runs());
}

/// Nothing is sent, so that each is made of the same coins.
#[tokio::test(flavor = "multi_thread")]
async fn the_higher_the_priority_the_higher_the_fee() {
    let Some(mut rig) = Rig::start(BLOCKS).await else {
        return;
    };
    let few = payments(&rig, 0..2);
    let any = Amount::from_units(u64::MAX);
    let mut fees = Vec::new();
    for priority in 0..=4 {
        rig.purse = rig.purse_of(Tags::MONERO, priority);
        let signed = rig.purse.sign_for(&few, any, &[]).await.unwrap();
        fees.push(signed.network_fee.units());
    }
    let [own_choice, low, rest @ ..] = &fees[..] else {
        panic!("{fees:?}");
    };
    assert!(
        low < &rest[0] && rest.is_sorted_by(|one, next| one < next),
        "{fees:?}"
    );
    // Where blocks have room it is the least.
    assert!(own_choice < &rest[0], "{fees:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_that_is_killed_and_forgets_pays_once() {
    let Some(mut rig) = Rig::start(BLOCKS).await else {
        return;
    };
    let payments = payments(&rig, 0..3);
    let signed = rig.sign(&payments).await.unwrap();
    // Killed between making and relaying: what was kept is enough, with the wallet down.
    rig.kill_wallet();
    assert_eq!(rig.stands(&signed).await, Standing::Unknown);
    assert_eq!(rig.send(&signed).await, Sent::Taken);
    assert_eq!(rig.stands(&signed).await, Standing::Confirmed(0));
    rig.start_wallet().await;
    assert_eq!(rig.send(&signed).await, Sent::Taken);
    // It knows nothing of that, and would use the same coins again.
    let again = rig.purse.sign_for(&payments, FEE_MAX, &[]).await;
    assert!(
        matches!(&again, Err(SignError::Refused(why)) if why.contains("spent")),
        "{again:?}"
    );
    rig.forget().await;
    assert_eq!(rig.stands(&signed).await, Standing::Unknown);
    let open = [payout(7, &signed)];
    let again = rig.purse.sign_for(&payments, FEE_MAX, &open).await;
    assert!(
        matches!(&again, Err(SignError::Refused(why)) if why.contains("payout 7")),
        "{again:?}"
    );
    // The wallet that was started again relays what the old one had made, and knows of it then.
    assert_eq!(rig.send(&signed).await, Sent::Taken);
    let sent = rig.purse.sent_since(None).await.unwrap();
    assert_eq!(sent.unconfirmed, [signed.txid]);
    rig.kill_wallet();
    rig.start_wallet().await;
    let sent = rig.purse.sent_since(None).await.unwrap();
    assert_eq!(sent.unconfirmed, [signed.txid], "it was stored");
    rig.mine(2).await;
    assert_eq!(rig.stands(&signed).await, Standing::Confirmed(2));
    assert_eq!(rig.miner_has().await, sum(&payments));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rival_with_the_same_coins_is_found_and_is_as_deep_as_its_block() {
    let Some(rig) = Rig::start(BLOCKS).await else {
        return;
    };
    let payments = payments(&rig, 0..2);
    let signed = rig.sign(&payments).await.unwrap();
    // Somebody pays with the same wallet.
    let (to, amount) = (&rig.miners[7], 5_000_000_u64);
    let rival = serde_json::json!({"destinations": [{"address": to, "amount": amount}]});
    let rival = rig.ask("transfer", rival).await;
    let rival: Hash = rival["tx_hash"].as_str().unwrap().parse().unwrap();
    assert_eq!(rig.stands(&signed).await, Standing::Unclear);
    let refused = rig.send(&signed).await;
    assert!(matches!(refused, Sent::InputsGone(_)), "{refused:?}");
    rig.mine(1).await;
    assert_eq!(rig.stands(&signed).await, Standing::Conflicted(1));
    rig.mine(4).await;
    assert_eq!(rig.stands(&signed).await, Standing::Conflicted(5));
    // The wallet's history has it, and it is no payout.
    let sent = rig.purse.sent_since(None).await.unwrap();
    assert_eq!(sent.sent, [rival]);
    assert_eq!(rig.miner_has().await, Amount::from_units(amount));
    // Undone: nobody can tell again, and neither is lost.
    rig.undo(5).await;
    assert_eq!(rig.stands(&signed).await, Standing::Unclear);
    // The rival is forgotten by the daemon: what was kept can pay.
    rig.forget().await;
    assert_eq!(rig.stands(&signed).await, Standing::Unknown);
}

#[tokio::test(flavor = "multi_thread")]
async fn forty_are_paid_by_three_payouts_one_after_the_other() {
    let Some(rig) = Rig::start(BLOCKS).await else {
        return;
    };
    let all = payments(&rig, 0..40);
    let mut open = Vec::new();
    for (number, batch) in (1..).zip(all.chunks(payment::DESTINATIONS_MAX)) {
        let signed = rig.purse.sign_for(batch, FEE_MAX, &open).await.unwrap();
        assert_eq!(Bundle::read(&signed.raw).unwrap().members.len(), 1);
        rig.purse.freeze(Some(&signed), true).await;
        assert_eq!(rig.send(&signed).await, Sent::Taken);
        open.push(payout(number, &signed));
    }
    assert_eq!(open.len(), 3);
    // One more than a transaction has room for is cut in two by the wallet, and checked together.
    let two = rig
        .purse
        .sign_for(&all[..16], FEE_MAX, &open)
        .await
        .unwrap();
    assert_eq!(further_ids(&two).len(), 1);
    assert_eq!(rig.stands(&two).await, Standing::Unknown);
    assert_eq!(rig.send(&two).await, Sent::Taken);
    assert_eq!(rig.stands(&two).await, Standing::Confirmed(0));
    rig.mine(1).await;
    for payout in &open {
        let signed = payout.signed.as_ref().unwrap();
        assert_eq!(rig.stands(signed).await, Standing::Confirmed(1));
    }
    assert_eq!(rig.stands(&two).await, Standing::Confirmed(1));
    let whole = sum(&all).checked_add(sum(&all[..16])).unwrap();
    assert_eq!(rig.miner_has().await, whole);
}

#[tokio::test(flavor = "multi_thread")]
async fn coins_that_are_kept_for_a_payout_are_not_used_for_another() {
    let Some(rig) = Rig::start(BLOCKS).await else {
        return;
    };
    let first = rig.sign(&payments(&rig, 0..2)).await.unwrap();
    rig.purse.freeze(Some(&first), true).await;
    let open = [payout(1, &first)];
    let second = rig
        .purse
        .sign_for(&payments(&rig, 2..4), FEE_MAX, &open)
        .await
        .unwrap();
    // Frozen coins are sent all the same, in any order.
    assert_eq!(rig.send(&second).await, Sent::Taken);
    assert_eq!(rig.send(&first).await, Sent::Taken);
    rig.mine(1).await;
    assert_eq!(rig.stands(&first).await, Standing::Confirmed(1));
    assert_eq!(rig.stands(&second).await, Standing::Confirmed(1));
    assert_eq!(rig.miner_has().await, sum(&payments(&rig, 0..4)));

    // An integrated address, with its payment id.
    let paid = [(address(&rig.integrated), Amount::from_units(123_456_789))];
    let third = rig.sign(&paid).await.unwrap();
    assert_eq!(rig.send(&third).await, Sent::Taken);
    rig.mine(1).await;
    let id = paid[0].0.kind();
    let cryptonote::address::Kind::Integrated(id) = id else {
        panic!("{id:?}");
    };
    rig.open("miner").await;
    rig.purse.wallet.refresh().await.unwrap();
    let told = serde_json::json!({"payment_id": hex::encode(id)});
    let told = rig.ask("get_payments", told).await;
    assert_eq!(told["payments"][0]["amount"], 123_456_789_u64);
    assert_eq!(told["payments"][0]["tx_hash"], third.txid.to_string());
}
