//! Payouts: from balances that are due to transactions that are deep in the chain, exactly once.
//!
//! One task a pool, and of all processes on a database only the one that holds the lease. A payout is
//! claimed in the books, signed, kept, and only then sent; what was kept is sent again as often as it
//! takes. So a process may end at any instant: what is only claimed is given back, what is kept goes
//! on. What is next is said by `mining::payout::next`; what nobody can tell stops new payouts and calls
//! for a person.

mod descriptor;
mod follow;
mod key;
mod monero;
mod purse;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use mining::{
    Address, Amount, Coin, Network,
    ledger::Account,
    payout::{BatchState, Kept, Owner, Payment, Policy, batches, total},
};
use store::{Lease, PaymentRow, Payout, PoolId, Store};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

pub use self::{
    descriptor::{BadDescriptor, Descriptor},
    key::{Depth, Key},
    monero::{Monero, Proof},
    purse::Purse,
};
use self::{follow::Held, key::Taken, purse::Made};
use crate::{
    clock,
    daemon::wallet::{Outgoing, SignError},
    metrics::Metrics,
    tasks::{Stage, Tasks},
};

/// How often payouts that are under way are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long the right to pay lasts after the last look.
const LEASE_MS: i64 = 60_000;
/// A transaction that waits for its block is sent again so often: a daemon may have forgotten it.
const SEND_AGAIN_EVERY: Duration = Duration::from_secs(600);
/// A payout that is under way for longer is shown as one that waits: a day of blocks has passed it by.
const SLOW_AFTER_MS: i64 = 24 * 60 * 60 * 1000;

/// Where each account is paid.
type Addresses = BTreeMap<Account, Address>;

/// How a pool pays.
#[derive(Clone, Debug)]
pub struct Config {
    /// The coin.
    pub coin: &'static Coin,
    /// Its network.
    pub network: Network,
    /// Who is due.
    pub policy: Policy,
    /// Confirmations after which a payment is done.
    pub confirmations: u32,
    /// Between two times at which balances are looked at.
    pub every: Duration,
    /// What the chain gets for a thousand bytes; the daemon's estimate if nothing is said.
    pub fee_rate: Option<Amount>,
    /// Where fees are paid, by name.
    pub fee_addresses: Vec<(String, Address)>,
    /// Inputs may be gone without a trace for so long before a person has to look.
    pub unclear_after: Duration,
    /// The wallet also sends what is no payout, so its history says nothing.
    pub shared_wallet: bool,
}

/// What stands in the way of payouts, as the last look found it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trouble {
    /// For people, one line each; none if all is well.
    pub lines: Vec<String>,
    /// Why the wallet gets nothing of the pool's blocks, if that is so: one day it has nothing to pay with.
    pub misses_blocks: Option<String>,
}

/// The payouts of a pool, as the API sees them.
#[derive(Clone, Debug)]
pub struct Payouts {
    trouble: watch::Receiver<Trouble>,
}

impl Payouts {
    /// What stands in their way.
    pub fn trouble(&self) -> Trouble {
        self.trouble.borrow().clone()
    }
}

/// Starts to pay, as `holder`: a name that no other process bears at the same time, and this one's
/// successor does.
pub fn start(
    store: Store,
    pool: PoolId,
    purse: Purse,
    config: Config,
    holder: &str,
    metrics: Arc<Metrics>,
    tasks: &Tasks,
) -> Payouts {
    let ending = tasks.ending(Stage::Books);
    let payer = Payer::new(store, pool, purse, config, holder, metrics, ending.clone());
    let trouble = payer.telling.subscribe();
    tasks.spawn(Stage::Books, "payouts", payer.run(ending));
    Payouts { trouble }
}

/// The task that pays.
pub(crate) struct Payer {
    store: Store,
    pool: PoolId,
    purse: Purse,
    config: Config,
    holder: String,
    next_batch: Instant,
    /// Nothing before the first time.
    sent_again: Option<Instant>,
    /// Whether the wallet gets the pool's blocks; nothing before it was asked.
    misses_blocks: Option<Option<String>>,
    /// Addresses that the wallet does not know. Their balances wait, and nobody else's.
    unpayable: HashSet<Address>,
    /// Since when nobody can tell what became of a payout.
    unclear_since: HashMap<u64, Instant>,
    telling: watch::Sender<Trouble>,
    metrics: Arc<Metrics>,
    ending: CancellationToken,
}

impl Payer {
    pub(crate) fn new(
        store: Store,
        pool: PoolId,
        purse: Purse,
        config: Config,
        holder: &str,
        metrics: Arc<Metrics>,
        ending: CancellationToken,
    ) -> Self {
        Self {
            store,
            pool,
            purse,
            config,
            holder: holder.to_owned(),
            next_batch: Instant::now(),
            sent_again: None,
            misses_blocks: None,
            unpayable: HashSet::new(),
            unclear_since: HashMap::new(),
            telling: watch::Sender::new(Trouble::default()),
            metrics,
            ending,
        }
    }

    async fn run(mut self, ending: CancellationToken) -> anyhow::Result<()> {
        loop {
            // Not cut off by the end: every step is bounded, and one that was begun is best ended.
            let mut trouble = Trouble::default();
            if let Err(failure) = self.look(&mut trouble).await {
                if ending.is_cancelled() {
                    // What waited for long was cut off.
                    return Ok(());
                }
                trouble.lines.push(format!("{failure:#}"));
            }
            self.tell(trouble);
            let pause = tokio::time::sleep(LOOK_EVERY);
            if ending.run_until_cancelled(pause).await.is_none() {
                return Ok(());
            }
        }
    }

    /// Logs what is new in it, once and not each second.
    fn tell(&self, trouble: Trouble) {
        let lines = i64::try_from(trouble.lines.len()).unwrap_or(i64::MAX);
        self.metrics.payouts_waiting.set(lines);
        let before = self.telling.send_replace(trouble.clone());
        for line in &trouble.lines {
            if !before.lines.contains(line) {
                error!(reason = line, "payouts wait");
            }
        }
        if let Some(reason) = &trouble.misses_blocks
            && before.misses_blocks.is_none()
        {
            warn!(reason, "the wallet gets nothing of the pool's blocks");
        }
        if trouble.lines.is_empty() && !before.lines.is_empty() {
            info!("payouts go on");
        }
    }

    /// Brings each payout further, and begins new ones where nothing stands in the way; says what does.
    pub(crate) async fn look(&mut self, trouble: &mut Trouble) -> anyhow::Result<()> {
        let now = clock::now_ms();
        let leased = self
            .store
            .lease_payer(self.pool, &self.holder, now, now + LEASE_MS);
        let Some(lease) = leased.await? else {
            // Another process pays.
            return Ok(());
        };
        let send_again = self
            .sent_again
            .is_none_or(|last| last.elapsed() >= SEND_AGAIN_EVERY);
        if send_again {
            self.sent_again = Some(Instant::now());
            self.misses_blocks = None;
            self.look_back().await?;
        }
        if self.misses_blocks.is_none() {
            // A wallet that does not answer is told of by whoever needs it.
            self.misses_blocks = self.purse.misses_blocks().await.ok();
        }
        trouble.misses_blocks = self.misses_blocks.clone().flatten();
        let open = self.store.open_payouts(self.pool).await?;
        self.unclear_since
            .retain(|number, _| open.iter().any(|payout| payout.number == *number));
        let mut clear = true;
        for payout in &open {
            let number = payout.number;
            match self.follow(&lease, payout, send_again).await {
                Ok(Held::No) => {}
                Ok(Held::Waits(why)) => trouble.lines.push(format!("payout {number}: {why}")),
                Ok(Held::Unclear(why)) => {
                    clear = false;
                    trouble.lines.push(format!("payout {number}: {why}"));
                }
                Ok(Held::Manual) => {
                    clear = false;
                    let line = format!(
                        "payout {number} waits for you: {}; see `adit payout list`, then `adit \
                         payout retry` or `void`",
                        payout.reason
                    );
                    trouble.lines.push(line);
                }
                Err(failure) => return Err(failure).context(format!("payout {number}")),
            }
            if clear && payout.draft.is_none() && now - payout.made_ms > SLOW_AFTER_MS {
                let line = format!("payout {number} is under way for more than a day");
                trouble.lines.push(line);
            }
        }
        for address in &self.unpayable {
            let line = format!("{address} is not paid: the wallet does not know this address");
            trouble.lines.push(line);
        }
        if !clear
            || Instant::now() < self.next_batch
            || self.store.payments_paused(self.pool).await?.is_some()
        {
            return Ok(());
        }
        let (due, addresses) = self.due().await?;
        // Without a wallet it takes the daemon minutes: only where there is something to pay.
        if self.purse.has_history() || !due.is_empty() {
            self.compare(&lease).await?;
        }
        self.next_batch = Instant::now() + self.config.every;
        for payments in due {
            self.pay(&lease, payments, &addresses).await?;
        }
        Ok(())
    }

    /// Compares what the wallet has sent with the payouts. What is not among them may be a payout that
    /// this database has forgotten: nothing is paid before a person has looked.
    async fn compare(&self, lease: &Lease) -> anyhow::Result<()> {
        if self.config.shared_wallet {
            return Ok(());
        }
        let since = self.store.wallet_compared(self.pool).await?;
        let outgoing = match &self.purse {
            Purse::Key(key) => self.leased(self.sent_by(key)).await?,
            purse => {
                let sent = async { Ok(purse.sent_since(since.as_deref()).await?) };
                let sent = self.leased(sent).await?;
                sent.context("nothing that has a history")?
            }
        };
        if since.is_none() {
            // What was sent before the pool first paid is none of it.
            let now = clock::now_ms();
            for txid in outgoing.unconfirmed {
                let reason = "sent before the pool first paid";
                self.store.accept_send(self.pool, txid, reason, now).await?;
            }
        } else if let Some(txid) = self
            .store
            .foreign_sends(self.pool, &outgoing.sent)
            .await?
            .first()
        {
            anyhow::bail!(
                "the wallet has sent {txid}, which is no payout: if that is as it should be, say \
                 `adit payout accept {txid} --reason TEXT`"
            );
        }
        if since.as_ref() != Some(&outgoing.newest_block) {
            self.store
                .note_compared(lease, &outgoing.newest_block)
                .await?;
        }
        Ok(())
    }

    /// What a key has sent that the books do not know: its change is at the script of a payout that was
    /// never signed here. At the script of one that was, somebody else has paid in.
    async fn sent_by(&self, key: &Key) -> anyhow::Result<Outgoing> {
        let open = self.store.open_payouts(self.pool).await?;
        let newest = self.store.payouts(self.pool, None, 1).await?;
        let newest = newest.first().map_or(0, |payout| payout.number);
        let (paid, newest_block) = key.search(newest, &Taken::by(&open)).await?;
        let mut sent = Vec::new();
        for (txid, number) in paid {
            let payout = self.store.payouts(self.pool, Some(number + 1), 1).await?;
            let payout = payout.first().filter(|payout| payout.number == number);
            if payout.is_none_or(|payout| payout.signed.is_none()) {
                sent.push(txid);
            }
        }
        Ok(Outgoing {
            unconfirmed: sent.clone(),
            sent,
            newest_block,
        })
    }

    /// Waits for what takes long, and keeps the right to pay meanwhile.
    async fn leased<T>(&self, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                () = self.ending.cancelled() => anyhow::bail!("the pool ends"),
                () = tokio::time::sleep(LOOK_EVERY) => {
                    let now = clock::now_ms();
                    self.store
                        .lease_payer(self.pool, &self.holder, now, now + LEASE_MS)
                        .await?;
                }
            }
        }
    }

    /// The batches of all who are due and have an address that can be paid, and those addresses.
    async fn due(&self) -> anyhow::Result<(Vec<Vec<Payment<Account>>>, Addresses)> {
        let mut owners = self.store.owners(self.pool).await?;
        let addresses: Addresses = owners
            .iter()
            .filter_map(|owner| Some((owner.account.clone(), self.address_of(owner)?)))
            .filter(|(_, address)| !self.unpayable.contains(address))
            .collect();
        owners.retain(|owner| addresses.contains_key(&owner.account));
        let alone = |owner: &Owner<Account>| {
            let address = addresses.get(&owner.account);
            address.is_some_and(stands_alone)
        };
        let due = batches(&owners, &self.config.policy, clock::now_ms(), alone);
        Ok((due, addresses))
    }

    fn address_of(&self, owner: &Owner<Account>) -> Option<Address> {
        let of_fee = |name: &str| {
            let mut list = self.config.fee_addresses.iter();
            list.find(|(fee, _)| fee == name)
                .map(|(_, address)| address.clone())
        };
        address_of(owner, self.config.coin, self.config.network, of_fee)
    }

    /// Claims, signs, keeps and sends.
    async fn pay(
        &mut self,
        lease: &Lease,
        payments: Vec<Payment<Account>>,
        addresses: &Addresses,
    ) -> anyhow::Result<()> {
        let coin = self.config.coin.name;
        let rows: Vec<PaymentRow> = payments
            .iter()
            .filter_map(|payment| {
                Some(PaymentRow {
                    account: payment.account.clone(),
                    address: addresses.get(&payment.account)?.as_str().to_owned(),
                    amount: payment.amount,
                })
            })
            .collect();
        let whole = total(&payments).context("more than any coin has")?;
        // What is sure to be refused takes no number, and leaves nothing in the books.
        let unlocked = self.leased(async { Ok(self.purse.unlocked().await?) });
        if let Some(unlocked) = unlocked.await?.filter(|unlocked| *unlocked < whole) {
            let in_coins = |amount: Amount| amount.in_coins(self.config.coin.decimals);
            anyhow::bail!(
                "a payout of {} waits for the wallet, of whose coins {} are unlocked",
                in_coins(whole),
                in_coins(unlocked)
            );
        }
        let now = clock::now_ms();
        let number = self.store.reserve_payout(lease, coin, &rows, now).await?;
        info!(number, payments = rows.len(), total = %whole, "payout claimed");
        let open = self.store.open_payouts(self.pool).await?;
        let now = clock::now_ms();
        let made = async { Ok(self.make(number, &rows, whole, &open).await) };
        match self.leased(made).await? {
            Ok(Made::Signed(signed)) => {
                // The wallet has sent these too, and a payout is known by one.
                for txid in self.purse.further_ids(&signed) {
                    let reason = format!("of payout {number}");
                    self.store
                        .accept_send(self.pool, txid, &reason, now)
                        .await?;
                }
                self.store.sign_payout(lease, number, &signed, now).await?;
                info!(number, txid = %signed.txid, fee = %signed.network_fee, "payout signed");
                // Until it is sent the wallet would use the same coins again.
                self.purse.lock(Some(&signed), None).await;
                self.send(lease, number, BatchState::Signed, &signed)
                    .await?;
            }
            Ok(Made::Unsigned(unsigned)) => {
                let psbt = &unsigned.psbt;
                self.store
                    .draft_payout(lease, number, psbt, unsigned.fee)
                    .await?;
                info!(
                    number,
                    "payout waits for its signature: see `adit payout psbt`"
                );
                self.purse.lock(None, Some(psbt)).await;
            }
            Err(failure) => {
                let reason = failure.to_string();
                self.store
                    .release_payout(lease, coin, number, &reason, now)
                    .await?;
                if matches!(failure, SignError::Address(_)) && self.find_unpayable(&rows).await? {
                    // The others are paid at the next look.
                    self.next_batch = Instant::now();
                    return Ok(());
                }
                return Err(failure).with_context(|| format!("payout {number} was given back"));
            }
        }
        Ok(())
    }

    /// Finds the addresses that the wallet does not know; whether there are any.
    async fn find_unpayable(&mut self, rows: &[PaymentRow]) -> anyhow::Result<bool> {
        let mut found = false;
        for row in rows {
            let address = Address::parse(self.config.coin, self.config.network, &row.address)?;
            if !self.purse.knows(&address).await? {
                self.unpayable.insert(address);
                found = true;
            }
        }
        Ok(found)
    }

    /// Has a transaction made. What goes to the same address, goes there together.
    async fn make(
        &self,
        number: u64,
        rows: &[PaymentRow],
        whole: Amount,
        open: &[Payout],
    ) -> Result<Made, SignError> {
        let mut payments: Vec<(Address, Amount)> = Vec::with_capacity(rows.len());
        for row in rows {
            let address = Address::parse(self.config.coin, self.config.network, &row.address);
            let address = address.map_err(|_| SignError::Wrong("an address that is none"))?;
            match payments.iter_mut().find(|(known, _)| *known == address) {
                Some((_, amount)) => {
                    let sum = amount.checked_add(row.amount);
                    *amount = sum.ok_or(SignError::Wrong("more than any coin has"))?;
                }
                None => payments.push((address, row.amount)),
            }
        }
        let fee_max = self.config.policy.fee_of(whole);
        let fee_rate = self.config.fee_rate;
        self.purse
            .make(number, open, &payments, fee_rate, fee_max)
            .await
    }
}

/// Where somebody is paid; nothing if that is no address, or he is not paid at all. `of_fee` is where a
/// fee of a name is.
pub fn address_of(
    owner: &Owner<Account>,
    coin: &Coin,
    network: Network,
    of_fee: impl Fn(&str) -> Option<Address>,
) -> Option<Address> {
    match &owner.account {
        Account::Miner(text) => {
            let text = owner.pay_to.as_ref().unwrap_or(text);
            Address::parse(coin, network, text).ok()
        }
        Account::Fee(name) => of_fee(name),
        _ => None,
    }
}

/// Whether a transaction that pays an address can pay nobody else.
pub fn stands_alone(address: &Address) -> bool {
    address.payment_id().is_some()
}

/// What is kept of a payout's transaction.
fn kept(payout: &Payout) -> Kept {
    match (&payout.signed, &payout.draft) {
        (Some(_), _) => Kept::Signed,
        (None, Some(_)) => Kept::Draft,
        (None, None) => Kept::Nothing,
    }
}
