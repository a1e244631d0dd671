//! A key of the operator's own: the pool finds its coins through a node without a wallet, chooses
//! among them, signs, and tells from the chain alone what became of a transaction. Called by
//! `payout::purse`.
//!
//! The change of payout N goes to script N of the descriptor, and script 0 is where blocks pay to. So
//! a coin at a script whose payout these books never signed is the change of a payout that they have
//! forgotten: whoever pays to that script has seen it in that payout. A descriptor without a range
//! has one script for all, and cannot tell.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use anyhow::{Context as _, bail};
use bitcoin::{OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, consensus};
use mining::{
    Address, Amount,
    payout::{CHANGE_MIN, NotChosen, Standing, choose},
};
use pow::Hash;
use store::{Payout, Signed};
use tokio::{sync::Mutex, time::Instant};

use super::descriptor::{Descriptor, unsigned};
use crate::daemon::{
    CallError,
    coins::Coins,
    wallet::{Sent, SignError, check},
};

/// Scripts after that of the newest payout in which coins are looked for: a copy of the database may
/// be as many payouts old.
const AHEAD: u32 = 1_000;
/// Scripts that are looked at where the books are not at hand.
const LOOK: u32 = 10_000;
/// The daemon rests so many times as long as it has searched.
const REST: u32 = 9;

/// A descriptor, and the node that knows its coins.
#[derive(Debug)]
pub struct Key {
    node: Coins,
    descriptor: Descriptor,
    depth: Depth,
    state: Mutex<State>,
}

/// When a coin can be spent.
#[derive(Clone, Copy, Debug)]
pub struct Depth {
    /// Confirmations of a block's own coin.
    pub coinbase: u32,
    /// Confirmations of any other.
    pub other: u32,
}

/// What open payouts have, and nobody else may use.
#[derive(Clone, Debug, Default)]
pub(super) struct Taken {
    inputs: HashSet<OutPoint>,
    /// Their own transactions: what these pay back is used once they are done.
    transactions: HashSet<Txid>,
}

#[derive(Debug, Default)]
struct State {
    scripts: HashMap<ScriptBuf, u32>,
    search: Option<Search>,
}

/// What the last search has found.
#[derive(Debug)]
struct Search {
    ended: Instant,
    took: Duration,
    coins: Vec<Coin>,
    newest_block: String,
    /// A coin that is spent, and not by a payout.
    lost: Option<OutPoint>,
}

#[derive(Clone, Debug)]
struct Coin {
    outpoint: OutPoint,
    /// The number of its script.
    index: u32,
    output: TxOut,
    confirmations: u32,
    coinbase: bool,
}

impl Taken {
    pub(super) fn by(payouts: &[Payout]) -> Self {
        let mut taken = Self::default();
        for payout in payouts {
            let raw = payout.signed.as_ref().map(|signed| &signed.raw);
            taken.inputs.extend(super::purse::inputs(
                payout.signed.as_ref(),
                payout.draft.as_deref(),
            ));
            let whole = raw.and_then(|raw| consensus::deserialize::<Transaction>(raw).ok());
            taken
                .transactions
                .extend(whole.map(|whole| whole.compute_txid()));
        }
        taken
    }

    fn has(&self, coin: &OutPoint) -> bool {
        self.inputs.contains(coin) || self.transactions.contains(&coin.txid)
    }
}

impl Key {
    /// The coins of a descriptor, as this node knows them.
    pub fn new(node: Coins, descriptor: Descriptor, depth: Depth) -> Self {
        Self {
            node,
            descriptor,
            depth,
            state: Mutex::default(),
        }
    }

    /// Whether blocks that pay to this address pay to script 0.
    pub fn is_paid_by(&self, address: &Address) -> bool {
        let first = self.descriptor.script(0);
        first.is_some_and(|script| Some(script.as_bytes()) == address.script())
    }

    /// Searches for coins, unless it did a short while ago. `newest` is the number of the newest
    /// payout. Gives the transactions that have paid to the script of a payout, each with the number
    /// of that.
    pub(super) async fn search(
        &self,
        newest: u64,
        taken: &Taken,
    ) -> anyhow::Result<(Vec<(Hash, u64)>, String)> {
        let mut state = self.state.lock().await;
        let rests = state
            .search
            .as_ref()
            .is_some_and(|search| search.ended.elapsed() < search.took * REST);
        if !rests {
            let last = u32::try_from(newest).ok();
            let last = last.and_then(|newest| newest.checked_add(AHEAD));
            let last = last.context("more payouts than a descriptor has scripts")?;
            let search = self.scan(&mut state.scripts, last, Some(taken)).await?;
            state.search = Some(search);
        }
        let search = state.search.as_ref().context("no search")?;
        if let Some(lost) = search.lost {
            bail!(
                "a coin of the descriptor, {lost}, was spent, and by no payout of these books: nothing \
                 is paid before that is clear"
            );
        }
        let change = search
            .coins
            .iter()
            .filter(|coin| !coin.coinbase && coin.index > 0);
        let paid = change.map(|coin| (hash(coin.outpoint.txid), u64::from(coin.index)));
        Ok((paid.collect(), search.newest_block.clone()))
    }

    /// All coins, of which the node says more if it is known which are taken.
    async fn scan(
        &self,
        scripts: &mut HashMap<ScriptBuf, u32>,
        last: u32,
        taken: Option<&Taken>,
    ) -> anyhow::Result<Search> {
        let began = Instant::now();
        let last = self.descriptor.is_ranged().then_some(last);
        let known = u32::try_from(scripts.len())?;
        if known <= last.unwrap_or(0) {
            let descriptor = self.descriptor.clone();
            let derive = move || {
                let all = known..=last.unwrap_or(0);
                all.filter_map(|index| Some((descriptor.script(index)?, index)))
                    .collect::<Vec<_>>()
            };
            scripts.extend(tokio::task::spawn_blocking(derive).await?);
        }
        let scanned = self.node.scan(&self.descriptor.public(), last).await?;
        let (found, newest_block) =
            scanned.context("the daemon searches for coins already, and does one at a time")?;
        let mut search = Search {
            ended: Instant::now(),
            took: Duration::ZERO,
            coins: Vec::with_capacity(found.len()),
            newest_block,
            lost: None,
        };
        for found in found {
            let index = scripts.get(&found.script);
            let mut coin = Coin {
                outpoint: found.outpoint,
                index: *index.context("the daemon gave a coin of another script")?,
                output: TxOut {
                    value: bitcoin::Amount::from_sat(found.amount.units()),
                    script_pubkey: found.script,
                },
                confirmations: 0,
                coinbase: false,
            };
            if let Some(taken) = taken
                && !taken.has(&coin.outpoint)
            {
                match self.node.unspent(&coin.outpoint).await? {
                    Some(unspent) => {
                        coin.confirmations = unspent.confirmations;
                        coin.coinbase = unspent.coinbase;
                    }
                    None => search.lost = Some(coin.outpoint),
                }
            }
            search.coins.push(coin);
        }
        search.ended = Instant::now();
        search.took = search.ended - began;
        Ok(search)
    }

    /// Makes and signs a transaction that pays all of these, each in full, for a fee of at most
    /// `fee_max`, from coins that the last search has found and nobody has taken. `number` is that of
    /// the payout. The last output is the change.
    pub(super) async fn sign(
        &self,
        number: u64,
        payments: &[(Address, Amount)],
        fee_rate: Option<Amount>,
        fee_max: Amount,
        taken: &Taken,
    ) -> Result<Signed, SignError> {
        let rate = match fee_rate {
            Some(rate) => rate,
            None => self.node.fee_rate().await?.ok_or_else(|| {
                SignError::Refused("the daemon cannot estimate fees yet: set fee_rate".into())
            })?,
        };
        let index = match self.descriptor.is_ranged() {
            true => u32::try_from(number).unwrap_or(u32::MAX),
            false => 0,
        };
        let script = self.descriptor.script(index);
        let script = script.ok_or(SignError::Wrong("more payouts than scripts"))?;
        let mut outputs: Vec<TxOut> = payments
            .iter()
            .map(|(address, amount)| Some(output(*amount, address.script()?.to_vec().into())))
            .collect::<Option<_>>()
            .ok_or(SignError::Wrong("an address without a script"))?;
        outputs.push(output(CHANGE_MIN, script));
        let weight = self.descriptor.weight(&outputs);
        let weight = weight.ok_or(SignError::Wrong("no weight"))?;
        let whole = Amount::checked_sum(payments.iter().map(|(_, amount)| *amount));
        let whole = whole.ok_or(SignError::Wrong("more than any coin has"))?;

        let mut state = self.state.lock().await;
        let coins = state.search.iter().flat_map(|search| &search.coins);
        let coins: Vec<Coin> = coins
            .filter(|coin| self.is_ripe(coin) && !taken.has(&coin.outpoint))
            .cloned()
            .collect();
        let amounts: Vec<Amount> = coins
            .iter()
            .map(|coin| Amount::from_units(coin.output.value.to_sat()))
            .collect();
        let choice = choose(&amounts, whole, weight, rate)
            .map_err(|not: NotChosen| SignError::Refused(not.to_string()))?;
        if choice.fee > fee_max {
            return Err(SignError::Fee(choice.fee));
        }
        let chosen: Vec<&Coin> = choice.coins.iter().map(|place| &coins[*place]).collect();
        for coin in &chosen {
            let now = self.node.unspent(&coin.outpoint).await?;
            let same = now.is_some_and(|now| {
                now.amount.units() == coin.output.value.to_sat()
                    && now.script == coin.output.script_pubkey
                    && now.confirmations > 0
            });
            if !same {
                // The next search says what that means.
                state.search = None;
                return Err(SignError::Refused(format!(
                    "{} was spent since the last search",
                    coin.outpoint
                )));
            }
        }
        drop(state);
        if let Some(change) = outputs.last_mut() {
            change.value = bitcoin::Amount::from_sat(choice.change.units());
        }
        let inputs = chosen.iter().map(|coin| TxIn {
            previous_output: coin.outpoint,
            sequence: Sequence::ENABLE_LOCKTIME_NO_RBF,
            ..TxIn::default()
        });
        let spent: Vec<(u32, TxOut)> = chosen
            .iter()
            .map(|coin| (coin.index, coin.output.clone()))
            .collect();
        let transaction = unsigned(inputs.collect(), outputs);
        let signed = self.descriptor.sign(transaction.clone(), &spent);
        let signed = signed.map_err(SignError::Wrong)?;
        if signed.compute_ntxid() != transaction.compute_ntxid() {
            return Err(SignError::Wrong("another transaction was signed"));
        }
        check(&signed, payments)?;
        Ok(Signed {
            txid: hash(signed.compute_txid()),
            raw: consensus::serialize(&signed),
            network_fee: choice.fee,
        })
    }

    fn is_ripe(&self, coin: &Coin) -> bool {
        let depth = match coin.coinbase {
            true => self.depth.coinbase,
            false => self.depth.other,
        };
        coin.confirmations >= depth.max(1)
    }

    pub(super) async fn send(&self, raw: &[u8]) -> Result<Sent, CallError> {
        self.node.send(raw).await
    }

    /// Where a transaction of this key stands. Its change is there if it waits for a block or is in
    /// one; its inputs are there if it is nowhere.
    pub(super) async fn standing(&self, signed: &Signed) -> Result<Standing, CallError> {
        let unknown = || CallError::Malformed("what is kept is no transaction".into());
        let transaction: Transaction =
            consensus::deserialize(&signed.raw).map_err(|_| unknown())?;
        let last = transaction
            .output
            .len()
            .checked_sub(1)
            .ok_or_else(unknown)?;
        let change = OutPoint {
            txid: transaction.compute_txid(),
            vout: u32::try_from(last).map_err(|_| unknown())?,
        };
        if let Some(there) = self.node.unspent(&change).await? {
            return Ok(Standing::Confirmed(there.confirmations));
        }
        for input in &transaction.input {
            if self.node.unspent(&input.previous_output).await?.is_none() {
                // The daemon may have taken it, or connected its block, between the two looks: then
                // its change is there now, as both change in the same instant.
                let again = self.node.unspent(&change).await?;
                return Ok(again.map_or(Standing::Unclear, |there| {
                    Standing::Confirmed(there.confirmations)
                }));
            }
        }
        Ok(Standing::Unknown)
    }

    /// What all coins of the first scripts have together.
    pub(super) async fn look(&self) -> anyhow::Result<Amount> {
        let search = self.scan(&mut HashMap::new(), LOOK, None).await?;
        let amounts = search.coins.iter().map(|coin| coin.output.value.to_sat());
        Amount::checked_sum(amounts.map(Amount::from_units)).context("more than any coin has")
    }
}

fn output(amount: Amount, script_pubkey: ScriptBuf) -> TxOut {
    TxOut {
        value: bitcoin::Amount::from_sat(amount.units()),
        script_pubkey,
    }
}

fn hash(txid: Txid) -> Hash {
    use bitcoin::hashes::Hash as _;
    Hash(txid.to_byte_array())
}

#[cfg(test)]
mod tests {
    use mining::{Coin as Kind, Network, payout::BatchState};
    use serde_json::{Value, json};
    use simnet::{Auth, Params, Simnet};
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::daemon;

    /// Another pays to it: BIP 173's example.
    const SOMEBODY: &str = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";
    const RATE: Option<Amount> = Some(Amount::from_units(5_000));
    const FEE_MAX: Amount = Amount::from_units(1_000_000);

    /// A node, and a key with some coins of blocks, of which the newest are not mature.
    struct Rig {
        node: Simnet,
        key: Key,
        _cancel: tokio_util::sync::DropGuard,
    }

    impl Rig {
        async fn new(blocks: u32) -> Self {
            let bitcoin: &Kind = "bitcoin".parse().unwrap();
            let cancel = CancellationToken::new();
            let mut config = simnet::Config::new(Params::regtest());
            config.auth = Auth::Password {
                user: "u".into(),
                password: "p".into(),
            };
            let node = simnet::start(config, cancel.clone()).await.unwrap();
            let mut daemon = daemon::Config::at(node.url());
            daemon.user = Some("u".into());
            daemon.password = Some("p".into());
            let descriptor = Descriptor::of_tests("wpkh(KEY/*)");
            let depth = Depth {
                coinbase: 100,
                other: 2,
            };
            let coins = Coins::new(&daemon, bitcoin).unwrap();
            let key = Key::new(coins, descriptor, depth);
            node.mine(blocks, key.descriptor.script(0).unwrap())
                .await
                .unwrap();
            let _cancel = cancel.drop_guard();
            Self { node, key, _cancel }
        }

        async fn sign(&self, coins: u64, taken: &Taken) -> Result<Signed, SignError> {
            self.key.search(0, taken).await.unwrap();
            let pays = [(somebody(), Amount::from_units(coins * 100_000_000))];
            self.key.sign(1, &pays, RATE, FEE_MAX, taken).await
        }

        fn fault(&self, fault: Value) {
            self.node.fault(serde_json::from_value(fault).unwrap());
        }
    }

    fn somebody() -> Address {
        let bitcoin: &Kind = "bitcoin".parse().unwrap();
        Address::parse(bitcoin, Network::Regtest, SOMEBODY).unwrap()
    }

    fn payout(signed: &Signed) -> Payout {
        Payout {
            number: 1,
            state: BatchState::Broadcast,
            made_ms: 0,
            changed_ms: 0,
            total: Amount::ZERO,
            signed: Some(signed.clone()),
            draft: None,
            confirmations: 0,
            reason: String::new(),
        }
    }

    fn read(signed: &Signed) -> Transaction {
        consensus::deserialize(&signed.raw).unwrap()
    }

    #[tokio::test]
    async fn what_open_payouts_have_is_used_by_nobody_else() {
        // Three coins of 50 are mature.
        let rig = Rig::new(102).await;
        let first = rig.sign(60, &Taken::default()).await.unwrap();
        assert_eq!(read(&first).input.len(), 2);
        let taken = Taken::by(&[payout(&first)]);
        let second = rig.sign(40, &taken).await.unwrap();
        for input in &read(&second).input {
            assert!(!taken.has(&input.previous_output));
        }
        let both = Taken::by(&[payout(&first), payout(&second)]);
        let none = rig.sign(1, &both).await.unwrap_err();
        assert!(
            matches!(&none, SignError::Refused(why) if why.contains("coins of 0 units")),
            "{none}"
        );
        // In the chain, and deep: what came back is free once the payout is done, and not before.
        assert_eq!(rig.key.send(&first.raw).await, Ok(Sent::Taken));
        let nowhere = ScriptBuf::from_bytes(vec![0x51]);
        rig.node.mine(1, nowhere.clone()).await.unwrap();
        rig.node.mine(1, nowhere).await.unwrap();
        // Two coins more are mature by then; 39 came back.
        rig.key.state.lock().await.search = None;
        assert!(rig.sign(110, &both).await.is_err());
        rig.key.state.lock().await.search = None;
        let second_only = Taken::by(&[payout(&second)]);
        assert!(rig.sign(110, &second_only).await.is_ok());
    }

    #[tokio::test]
    async fn too_little_too_dear_and_nothing_searched_sign_nothing() {
        let rig = Rig::new(101).await;
        let pays = [(somebody(), Amount::from_units(1))];
        let none = Taken::default();
        let early = rig.key.sign(1, &pays, RATE, FEE_MAX, &none).await;
        assert!(matches!(early, Err(SignError::Refused(_))), "{early:?}");
        let much = rig.sign(100, &none).await;
        assert!(matches!(much, Err(SignError::Refused(_))), "{much:?}");
        let dear = Amount::from_units(5);
        let dear = rig.key.sign(1, &pays, RATE, dear, &none).await;
        assert!(matches!(dear, Err(SignError::Fee(_))), "{dear:?}");
        let blind = rig.key.sign(1, &pays, None, FEE_MAX, &none).await;
        assert!(
            matches!(&blind, Err(SignError::Refused(why)) if why.contains("set fee_rate")),
            "{blind:?}"
        );
        let late = rig.key.sign(u64::MAX, &pays, RATE, FEE_MAX, &none).await;
        assert!(matches!(late, Err(SignError::Wrong(_))), "{late:?}");
        assert!(rig.key.sign(1, &pays, RATE, FEE_MAX, &none).await.is_ok());
    }

    #[tokio::test]
    async fn a_transaction_stands_where_its_change_is() {
        let rig = Rig::new(102).await;
        let signed = rig.sign(60, &Taken::default()).await.unwrap();
        let standing = async || rig.key.standing(&signed).await;
        assert_eq!(standing().await, Ok(Standing::Unknown));
        assert_eq!(rig.key.send(&signed.raw).await, Ok(Sent::Taken));
        assert_eq!(standing().await, Ok(Standing::Confirmed(0)));
        // As if it came between the two looks: the first one finds nothing of it.
        let absent = json!({"result": {"value": null, "methods": ["gettxout"], "times": 1}});
        rig.fault(absent);
        assert_eq!(standing().await, Ok(Standing::Confirmed(0)));
        let nowhere = ScriptBuf::from_bytes(vec![0x51]);
        rig.node.mine(3, nowhere).await.unwrap();
        assert_eq!(standing().await, Ok(Standing::Confirmed(3)));
        // A daemon that cannot be asked says nothing.
        let broken = json!({"error": {"code": -1, "message": "x", "methods": ["gettxout"]}});
        rig.fault(broken);
        assert!(standing().await.is_err());
    }

    #[tokio::test]
    async fn a_transaction_whose_coins_another_one_has_cannot_be_told() {
        let rig = Rig::new(102).await;
        let first = rig.sign(60, &Taken::default()).await.unwrap();
        let rival = rig.sign(61, &Taken::default()).await.unwrap();
        assert_eq!(rig.key.send(&rival.raw).await, Ok(Sent::Taken));
        assert_eq!(rig.key.standing(&first).await, Ok(Standing::Unclear));
        // The books do not know the rival: nothing is paid.
        rig.key.state.lock().await.search = None;
        let lost = rig.key.search(0, &Taken::default()).await.unwrap_err();
        assert!(lost.to_string().contains("no payout of these"), "{lost}");
        // Once it is in a block, its change tells.
        let nowhere = ScriptBuf::from_bytes(vec![0x51]);
        rig.node.mine(1, nowhere).await.unwrap();
        rig.key.state.lock().await.search = None;
        let (paid, _) = rig.key.search(0, &Taken::default()).await.unwrap();
        assert_eq!(paid, [(rival.txid, 1)]);
        assert_eq!(rig.key.standing(&first).await, Ok(Standing::Unclear));
    }

    #[tokio::test]
    async fn a_daemon_is_searched_a_tenth_of_its_time() {
        let rig = Rig::new(101).await;
        let none = Taken::default();
        rig.fault(json!({"slow": {"ms": 3_000, "methods": ["scantxoutset"]}}));
        rig.key.search(0, &none).await.unwrap();
        let began = Instant::now();
        rig.key.search(0, &none).await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(2), "searched again");
        rig.key.state.lock().await.search.as_mut().unwrap().took = Duration::ZERO;
        let began = Instant::now();
        rig.key.search(0, &none).await.unwrap();
        assert!(began.elapsed() >= Duration::from_secs(3), "not again");
    }
}
