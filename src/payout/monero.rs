//! A wallet of Monero's and the daemon beside it. The wallet makes transactions, which are checked here
//! with the secret keys that it has drawn for them, and it relays what is kept; what became of a payment
//! is said by the daemon alone. Called by `payout::purse`.
//!
//! A wallet knows nothing of what it has made and not relayed, and forgets what it has relayed if it is
//! killed too soon. So no transaction is kept that uses a coin of a payout under way: the coins, by
//! their key images, are compared with those of all payouts, and with the daemon.

mod bundle;

use std::collections::HashSet;

use mining::{
    Address, Amount,
    cryptonote::{self, address::Tags, payment},
    payout::Standing,
};
use pow::Hash;
use store::{Payout, Signed};
use tracing::{debug, warn};

use self::bundle::{Bundle, Member};
use crate::daemon::{
    CallError,
    monero_wallet::{MoneroWallet, WalletError},
    monerod::transactions::{self, Fault, Spent, Standing as Place, Transactions},
    wallet::{Holdings, Outgoing, Sent, SignError},
};

/// What proves that an address was paid, to whoever does not believe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The transaction.
    pub id: Hash,
    /// Its secret keys, in hexadecimal: what a wallet's `check_tx_key` takes.
    pub key: String,
    /// What it pays the address.
    pub received: Amount,
}

/// Blocks that are looked at again: more than any branch has undone.
const LOOK_BACK: u64 = 100;

/// A wallet, and the daemon that is asked what became of its transactions.
#[derive(Debug)]
pub struct Monero {
    wallet: MoneroWallet,
    chain: Transactions,
    /// What addresses of the pool's network begin with.
    tags: Tags,
    priority: u8,
    /// Where blocks pay, if that is known.
    blocks_pay: Option<cryptonote::Address>,
}

impl Monero {
    /// A wallet and the pool's daemon, on the network whose addresses have these tags. `priority` is 0
    /// to 4, where 0 is the wallet's own choice.
    pub fn new(wallet: MoneroWallet, chain: Transactions, tags: Tags, priority: u8) -> Self {
        Self {
            wallet,
            chain,
            tags,
            priority,
            blocks_pay: None,
        }
    }

    /// The same, which knows where the pool's blocks pay.
    pub fn with_blocks_that_pay(mut self, address: Option<cryptonote::Address>) -> Self {
        self.blocks_pay = address;
        self
    }

    /// Why the wallet gets nothing of the pool's blocks; nothing if it does.
    pub(super) async fn misses_blocks(&self) -> Result<Option<String>, WalletError> {
        let Some(address) = &self.blocks_pay else {
            return Ok(None);
        };
        let own = self.own_address().await?;
        // With a payment id or without.
        let is_own = (own.spend_key(), own.view_key()) == (address.spend_key(), address.view_key());
        Ok((!is_own).then(|| {
            let (address, own) = (address.as_str(), own.as_str());
            format!("blocks pay {address}, and the wallet that pays miners has the address {own}")
        }))
    }

    /// Has transactions made that pay all of these together, each in full, for fees of at most
    /// `fee_max`, from coins that no payout under way has.
    pub(super) async fn sign(
        &self,
        payments: &[(Address, Amount)],
        fee_max: Amount,
        open: &[Payout],
    ) -> Result<Signed, SignError> {
        let parsed = payments.iter().map(|(address, amount)| {
            let address = cryptonote::Address::parse(&self.tags, address.as_str());
            Ok((
                address.map_err(|failure| SignError::Address(failure.to_string()))?,
                *amount,
            ))
        });
        let parsed: Vec<_> = parsed.collect::<Result<_, SignError>>()?;
        self.sign_for(&parsed, fee_max, open).await
    }

    async fn sign_for(
        &self,
        payments: &[(cryptonote::Address, Amount)],
        fee_max: Amount,
        open: &[Payout],
    ) -> Result<Signed, SignError> {
        if self.wallet.is_exposed().await? {
            return Err(SignError::Exposed);
        }
        let own = self.own_address().await?;
        self.wallet.refresh().await?;
        let height = self.wallet.height().await?;
        let wanted: Vec<(&str, Amount)> = payments
            .iter()
            .map(|(address, amount)| (address.as_str(), *amount))
            .collect();
        let made = self.wallet.make(&wanted, self.priority).await?;
        let bundle = Bundle::of(height, made).map_err(SignError::Wrong)?;
        let proven: Vec<_> = bundle
            .members
            .iter()
            .map(|member| (member.transaction.clone(), member.keys.clone()))
            .collect();
        payment::check(&proven, payments, Some(&own)).map_err(|not| {
            warn!(%not, "the wallet made another transaction than it was asked for");
            SignError::Wrong("it does not pay what it was made for")
        })?;
        let fee = bundle.fee().ok_or(SignError::Wrong("a fee that is none"))?;
        if fee > fee_max {
            return Err(SignError::Fee(fee));
        }
        self.are_free(&bundle, open).await?;
        Ok(Signed {
            txid: bundle.first_id(),
            raw: bundle.to_bytes(),
            network_fee: fee,
        })
    }

    /// Whether nothing has the coins of new transactions, and no two of them the same one.
    async fn are_free(&self, bundle: &Bundle, open: &[Payout]) -> Result<(), SignError> {
        let images = bundle.key_images();
        let distinct: HashSet<_> = images.iter().collect();
        if distinct.len() != images.len() {
            return Err(SignError::Wrong("a coin is spent twice"));
        }
        for payout in open {
            let Some(signed) = &payout.signed else {
                continue;
            };
            let taken = Bundle::read(&signed.raw).map_err(unreadable)?.key_images();
            if taken.iter().any(|image| distinct.contains(image)) {
                return Err(SignError::Refused(format!(
                    "it has chosen a coin of payout {}, which is under way: it does not know of that \
                     one yet",
                    payout.number
                )));
            }
        }
        let spent = self.chain.spent(&images).await?;
        if spent.iter().any(|spent| *spent != Spent::No) {
            let why =
                "it has chosen a coin that is spent: it has forgotten by what, or has yet to see";
            return Err(SignError::Refused(why.into()));
        }
        Ok(())
    }

    /// The wallet's first address, which must be of this network.
    async fn own_address(&self) -> Result<cryptonote::Address, WalletError> {
        let text = self.wallet.address().await?;
        cryptonote::Address::parse(&self.tags, &text)
            .map_err(|failure| WalletError::Network(failure.to_string()))
    }

    /// Sends what was kept, as far as the daemon does not have it: by the wallet, which then knows of it,
    /// or without the wallet if it cannot.
    pub(super) async fn send(&self, raw: &[u8]) -> Result<Sent, CallError> {
        let bundle = Bundle::read(raw).map_err(unreadable)?;
        let places = self.chain.standings(&bundle.ids()).await?;
        let mut worst = Sent::Taken;
        let mut relayed = false;
        let members = bundle.members.iter().zip(places);
        for (member, _) in members.filter(|(_, place)| *place == Place::Missing) {
            match self.relay(member).await? {
                Sent::Taken => relayed = true,
                gone @ Sent::InputsGone(_) => worst = gone,
                refused if worst == Sent::Taken => worst = refused,
                Sent::Refused(_) => {}
            }
        }
        if relayed && let Err(failure) = self.wallet.store().await {
            // It may forget the coins, and is then refused their next use.
            debug!(%failure, "the wallet has not stored what it has relayed");
        }
        Ok(worst)
    }

    async fn relay(&self, member: &Member) -> Result<Sent, CallError> {
        match self.wallet.relay(&member.metadata).await {
            Ok(id) if id == member.id() => return Ok(Sent::Taken),
            Ok(other) => warn!(id = %member.id(), %other, "the wallet says it has relayed another"),
            // What is wrong with it the daemon says better.
            Err(failure) => debug!(%failure, id = %member.id(), "the wallet does not relay"),
        }
        // The wallet may have sent it all the same, and its answer is lost.
        if self.chain.standings(&[member.id()]).await? != [Place::Missing] {
            return Ok(Sent::Taken);
        }
        Ok(match self.chain.send(&member.blob).await? {
            transactions::Sent::Taken => Sent::Taken,
            transactions::Sent::Refused(why) if why.faults.contains(&Fault::DoubleSpend) => {
                Sent::InputsGone(why.to_string())
            }
            transactions::Sent::Refused(why) => Sent::Refused(why.to_string()),
        })
    }

    /// Where the transactions of a payout stand together: as deep as the one that is least deep.
    pub(super) async fn standing(&self, signed: &Signed) -> Result<Standing, CallError> {
        let bundle = Bundle::read(&signed.raw).map_err(unreadable)?;
        let missing = match self.seen(&bundle).await? {
            Seen::All(depth) => return Ok(Standing::Confirmed(depth)),
            Seen::Not(missing) => missing,
        };
        let images: Vec<[u8; 32]> = missing.iter().flat_map(|member| member.images()).collect();
        let spent = self.chain.spent(&images).await?;
        if spent.iter().all(|spent| *spent == Spent::No) {
            return Ok(Standing::Unknown);
        }
        // They may have come between the two questions.
        let missing = match self.seen(&bundle).await? {
            Seen::All(depth) => return Ok(Standing::Confirmed(depth)),
            Seen::Not(missing) => missing,
        };
        // What is not known to be gone for good could still pay.
        if missing.len() < bundle.members.len() {
            return Ok(Standing::Unclear);
        }
        let rivals = self.rivals(&bundle).await?;
        let depth = missing.iter().map(|member| {
            let images: HashSet<_> = member.images().collect();
            let with_it = rivals
                .iter()
                .filter(|(rival, _)| rival.iter().any(|image| images.contains(image)));
            with_it.map(|(_, depth)| *depth).max()
        });
        let depth: Option<Vec<u32>> = depth.collect();
        let least = depth.and_then(|depth| depth.into_iter().min());
        Ok(least.map_or(Standing::Unclear, Standing::Conflicted))
    }

    async fn seen<'a>(&self, bundle: &'a Bundle) -> Result<Seen<'a>, CallError> {
        let places = self.chain.standings(&bundle.ids()).await?;
        let mut least = u32::MAX;
        let mut missing = Vec::new();
        for (member, place) in bundle.members.iter().zip(places) {
            match place {
                Place::Missing => missing.push(member),
                Place::InPool { .. } => least = 0,
                Place::InBlock { confirmations, .. } => least = least.min(confirmations),
            }
        }
        Ok(match missing.is_empty() {
            true => Seen::All(least),
            false => Seen::Not(missing),
        })
    }

    /// What else the wallet has sent since a payout was made and is in a block: the coins, and how deep.
    /// Nobody else can spend them.
    async fn rivals(&self, bundle: &Bundle) -> Result<Vec<(Vec<[u8; 32]>, u32)>, CallError> {
        let since = bundle.height.saturating_sub(LOOK_BACK);
        self.wallet.refresh().await.map_err(CallError::from)?;
        let sent = self.wallet.sent_since(since).await;
        let ids: Vec<Hash> = sent
            .map_err(CallError::from)?
            .iter()
            .map(|sending| sending.id)
            .collect();
        let spending = self.chain.spending(&ids).await?;
        let in_blocks = spending
            .into_iter()
            .filter_map(|(place, images)| match place {
                Place::InBlock { confirmations, .. } => Some((images, confirmations)),
                Place::InPool { .. } | Place::Missing => None,
            });
        Ok(in_blocks.collect())
    }

    /// What the wallet has sent since it was last compared, by the height it had then.
    pub(super) async fn sent_since(&self, since: Option<&str>) -> Result<Outgoing, CallError> {
        let newest = async {
            self.wallet.refresh().await?;
            self.wallet.height().await
        };
        let newest = newest.await.map_err(CallError::from)?;
        let from: u64 = match since {
            Some(text) => text
                .parse()
                .map_err(|_| CallError::Malformed(format!("{text:?} is no height")))?,
            None => newest,
        };
        let from = from.saturating_sub(LOOK_BACK);
        let sent = self
            .wallet
            .sent_since(from)
            .await
            .map_err(CallError::from)?;
        let sent: Vec<Hash> = sent.iter().map(|sending| sending.id).collect();
        Ok(Outgoing {
            // The next time those in the blocks that are looked at again are seen once more.
            unconfirmed: sent.clone(),
            sent,
            newest_block: newest.to_string(),
        })
    }

    /// What proves to the owner of an address that a payout pays him: each transaction that does.
    pub(super) async fn proof(
        &self,
        signed: &Signed,
        address: &Address,
    ) -> Result<Vec<Proof>, CallError> {
        let bundle = Bundle::read(&signed.raw).map_err(unreadable)?;
        let mut proofs = Vec::new();
        for member in &bundle.members {
            let (id, keys) = (member.id(), member.key_bytes());
            let received = self.wallet.received(id, keys, address.as_str()).await;
            let received = received.map_err(CallError::from)?;
            if received != Amount::ZERO {
                let key = hex::encode(keys);
                proofs.push(Proof { id, key, received });
            }
        }
        Ok(proofs)
    }

    /// Keeps the wallet from using the coins of a payout for anything else, or lets it use them again.
    pub(super) async fn freeze(&self, signed: Option<&Signed>, frozen: bool) {
        let Some(Ok(bundle)) = signed.map(|signed| Bundle::read(&signed.raw)) else {
            return;
        };
        for image in bundle.key_images() {
            if let Err(failure) = self.wallet.freeze(&image, frozen).await {
                debug!(%failure, frozen, "a coin is not frozen or thawed");
            }
        }
    }

    /// Whether the wallet knows this for an address that can be paid.
    pub(super) async fn knows(&self, address: &Address) -> Result<bool, CallError> {
        let told = self.wallet.validate(address.as_str()).await;
        Ok(told.map_err(CallError::from)?.valid)
    }

    /// What the wallet has; an error if it is none that this pool can pay from.
    pub(super) async fn look(&self) -> Result<Holdings, SignError> {
        if self.wallet.is_exposed().await? {
            return Err(SignError::Exposed);
        }
        self.own_address().await?;
        // What it had when it last looked at the chain may be seconds old.
        self.wallet.refresh().await?;
        Ok(self.wallet.holdings().await?)
    }
}

/// What the daemon has of a payout's transactions.
enum Seen<'a> {
    /// All of them, at least so deep.
    All(u32),
    /// Not these.
    Not(Vec<&'a Member>),
}

/// The ids of a payout's transactions but the first, which it is known by.
pub(super) fn further_ids(signed: &Signed) -> Vec<Hash> {
    let bundle = Bundle::read(&signed.raw);
    bundle.map_or_else(|_| Vec::new(), |bundle| bundle.ids().split_off(1))
}

fn unreadable(why: &'static str) -> CallError {
    CallError::Malformed(format!("what is kept of a payout: {why}"))
}

#[cfg(test)]
mod paying;
#[cfg(test)]
mod rig;
#[cfg(test)]
mod tests;
