//! The whole way: balances in a real database, a real wallet and chain, and the task that pays, which may
//! end anywhere. The books and the wallet agree to the piconero.

use std::{sync::Arc, time::Duration};

use mining::{
    Amount, Coin, Network,
    accounting::Percent,
    cryptonote::address::Tags,
    ledger::{Account, Entry, Transfer},
    payout::{BatchState, Policy},
};
use store::{PaymentRow, Payout, PoolId, Store};
use tokio_util::sync::CancellationToken;

use super::rig::Rig;
use crate::{
    clock,
    metrics::Metrics,
    payout::{Config, Payer, Purse, Trouble},
};

const CONFIRMATIONS: u32 = 3;
/// What a miner has, so that fees are a small part of it.
const OWED: u64 = 1_000_000_000_001;

struct Books {
    store: Store,
    pool: PoolId,
    _folder: tempfile::TempDir,
}

impl Books {
    /// In which each of these is owed so much.
    async fn owing(miners: &[String]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("adit.db").display());
        let store = Store::open(&url).await.unwrap();
        let pool = store.pool("main", monero(), Network::Regtest).await;
        let books = Self {
            store,
            pool: pool.unwrap(),
            _folder: folder,
        };
        for (place, miner) in miners.iter().enumerate() {
            let owed = OWED + u64::try_from(place).unwrap();
            let miner = Account::Miner(miner.clone());
            let owed = Amount::from_units(owed);
            let transfer = Transfer::new(Account::Operator, miner, owed).unwrap();
            let entry = Entry::correction(&format!("test:{place}"), transfer, "for a start");
            let entered = books.store.enter(books.pool, &entry, clock::now_ms());
            assert!(entered.await.unwrap());
        }
        books
    }

    fn payer(&self, rig: &Rig, holder: &str) -> Payer {
        let config = Config {
            coin: monero(),
            network: Network::Regtest,
            policy: Policy {
                threshold: Amount::from_units(1_000),
                least: Amount::from_units(1_000),
                payments_max: 15,
                batch_min: Amount::ZERO,
                fee_max: Percent::from_hundredths(500).unwrap(),
            },
            confirmations: CONFIRMATIONS,
            every: Duration::ZERO,
            fee_rate: None,
            fee_addresses: Vec::new(),
            unclear_after: Duration::from_secs(600),
            shared_wallet: false,
        };
        Payer::new(
            self.store.clone(),
            self.pool,
            Purse::Monero(Box::new(rig.purse(Tags::MONERO))),
            config,
            holder,
            Arc::new(Metrics::new("main", "monero")),
            CancellationToken::new(),
        )
    }

    /// Oldest first.
    async fn payouts(&self) -> Vec<Payout> {
        let mut payouts = self.store.payouts(self.pool, None, 100).await.unwrap();
        payouts.reverse();
        payouts
    }

    async fn posted(&self, account: Account) -> i64 {
        let balance = self.store.balance(self.pool, &account).await.unwrap();
        balance.posted
    }

    async fn assert_paid(&self, rig: &Rig, miners: &[String], before: u64) {
        let mut fees = 0;
        let mut whole = 0;
        for payout in self.payouts().await {
            if payout.state == BatchState::Confirmed {
                fees += payout.signed.unwrap().network_fee.units();
                whole += payout.total.units();
            }
        }
        let count = u64::try_from(miners.len()).unwrap();
        assert_eq!(whole, OWED * count + count * (count - 1) / 2);
        for miner in miners {
            assert_eq!(self.posted(Account::Miner(miner.clone())).await, 0);
        }
        assert_eq!(
            self.posted(Account::Paid).await,
            i64::try_from(whole).unwrap()
        );
        assert_eq!(
            self.posted(Account::NetworkFee).await,
            i64::try_from(fees).unwrap()
        );
        assert!(self.store.check_books(self.pool).await.unwrap().balance());
        // What left the wallet is what the books say, to the piconero.
        let after = rig.purse.look().await.unwrap().all.units();
        assert_eq!(before - after, whole + fees);
        assert_eq!(rig.miner_has().await.units(), whole);
    }
}

fn monero() -> &'static Coin {
    "monero".parse().unwrap()
}

async fn look(payer: &mut Payer) -> Result<Trouble, String> {
    let mut trouble = Trouble::default();
    let looked = payer.look(&mut trouble).await;
    looked
        .map(|()| trouble)
        .map_err(|failure| format!("{failure:#}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a75_forty_and_an_integrated_address_are_paid_by_four_payouts_and_the_wallet_agrees() {
    let Some(rig) = Rig::start(80).await else {
        return;
    };
    let mut miners = rig.miners[..40].to_vec();
    miners.push(rig.integrated.clone());
    let books = Books::owing(&miners).await;
    let before = rig.purse.look().await.unwrap().all.units();
    let mut payer = books.payer(&rig, "one");
    assert_eq!(look(&mut payer).await, Ok(Trouble::default()));
    let payouts = books.payouts().await;
    let mut sizes = Vec::new();
    for payout in &payouts {
        assert_eq!(payout.state, BatchState::Broadcast);
        let payments = books.store.payments(books.pool, payout.number).await;
        sizes.push(payments.unwrap().len());
    }
    assert_eq!(sizes, [15, 15, 10, 1]);
    rig.bury(CONFIRMATIONS).await;
    assert_eq!(look(&mut payer).await, Ok(Trouble::default()));
    books.assert_paid(&rig, &miners, before).await;
    // Nothing is left to pay, and nothing is paid again.
    assert_eq!(look(&mut payer).await, Ok(Trouble::default()));
    assert_eq!(books.payouts().await.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_ends_between_making_and_relaying_pays_once() {
    let Some(mut rig) = Rig::start(30).await else {
        return;
    };
    let miners = rig.miners[..5].to_vec();
    let books = Books::owing(&miners).await;
    // Nothing is unlocked yet: nothing is claimed, however often it is tried, and no number taken.
    let mut payer = books.payer(&rig, "one");
    for _ in 0..3 {
        let locked = look(&mut payer).await.unwrap_err();
        assert_eq!(
            locked,
            "a payout of 5.000000000015 waits for the wallet, of whose coins 0.000000000000 are unlocked"
        );
    }
    assert_eq!(books.payouts().await, []);
    let owed = books.posted(Account::Miner(miners[0].clone())).await;
    assert_eq!(owed, i64::try_from(OWED).unwrap());
    rig.mine(50).await;
    let before = rig.purse.look().await.unwrap().all.units();

    // Claimed, made and kept; then the process is gone, and the wallet too.
    let now = clock::now_ms();
    let lease = books.store.lease_payer(books.pool, "one", now, now + 1_000);
    let lease = lease.await.unwrap().unwrap();
    let rows: Vec<PaymentRow> = miners
        .iter()
        .zip(OWED..)
        .map(|(miner, owed)| PaymentRow {
            account: Account::Miner(miner.clone()),
            address: miner.clone(),
            amount: Amount::from_units(owed),
        })
        .collect();
    let number = books.store.reserve_payout(&lease, "monero", &rows, now);
    let number = number.await.unwrap();
    let payments: Vec<_> = rows
        .iter()
        .map(|row| {
            let address = mining::Address::parse(monero(), Network::Regtest, &row.address);
            (address.unwrap(), row.amount)
        })
        .collect();
    let fee_max = Amount::from_units(OWED / 10);
    let signed = rig.purse.sign(&payments, fee_max, &[]).await.unwrap();
    let kept = books.store.sign_payout(&lease, number, &signed, now);
    kept.await.unwrap();
    rig.kill_wallet();

    // The next one sends what was kept without the wallet, and begins nothing new meanwhile.
    let mut payer = books.payer(&rig, "one");
    let _ = look(&mut payer).await;
    assert_eq!(books.payouts().await[0].state, BatchState::Broadcast);
    assert_eq!(books.payouts().await.len(), 1);
    rig.start_wallet().await;
    rig.bury(CONFIRMATIONS - 1).await;
    look(&mut payer).await.unwrap();
    // Its block is undone, and the daemon forgets it: the same one is sent again.
    rig.undo(CONFIRMATIONS - 1).await;
    rig.forget().await;
    look(&mut payer).await.unwrap();
    assert_eq!(books.payouts().await[0].state, BatchState::Broadcast);
    rig.bury(CONFIRMATIONS).await;
    look(&mut payer).await.unwrap();
    look(&mut payer).await.unwrap();
    let payouts = books.payouts().await;
    assert_eq!(payouts.len(), 1);
    assert_eq!(payouts[0].signed.as_ref(), Some(&signed));
    books.assert_paid(&rig, &miners, before).await;
}

/// Where it mines to another wallet, miners could be paid only from what somebody puts in.
#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_that_gets_nothing_of_the_blocks_is_told_of_and_pays_all_the_same() {
    let Some(rig) = Rig::start(80).await else {
        return;
    };
    let miners = rig.miners[..2].to_vec();
    let books = Books::owing(&miners).await;
    let blocks_pay = |address: &str| {
        let address = crate::payout::monero::cryptonote::Address::parse(&Tags::MONERO, address);
        let purse = rig.purse(Tags::MONERO);
        Purse::Monero(Box::new(purse.with_blocks_that_pay(address.ok())))
    };
    let mut payer = books.payer(&rig, "one");
    payer.purse = blocks_pay(&rig.own);
    assert_eq!(look(&mut payer).await, Ok(Trouble::default()));
    let mut payer = books.payer(&rig, "one");
    payer.purse = blocks_pay(&rig.miners[0]);
    let told = look(&mut payer).await.unwrap();
    let why = format!(
        "blocks pay {}, and the wallet that pays miners has the address {}",
        rig.miners[0], rig.own
    );
    assert_eq!(told.misses_blocks, Some(why));
    assert!(told.lines.is_empty(), "{told:?}");
    assert_eq!(books.payouts().await[0].state, BatchState::Broadcast);
}
