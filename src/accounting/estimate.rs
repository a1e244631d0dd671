//! What the work that counts now would be paid, were a block found with it. Asked by the ports of HTTP
//! (`src/work/estimate.rs`) for their workers; nothing of it is booked.

use std::collections::{BTreeMap, HashMap};

use anyhow::Context as _;
use mining::{
    Amount, NetworkDifficulty, Scheme, Work,
    accounting::{Credits, Position, Window, apportion},
    ledger::Account,
};
use store::{WorkerId, WorkerName};

use super::Accounting;

/// Each worker's part of a reward.
pub(crate) type WorkerCredits = HashMap<WorkerName, Amount>;

impl Accounting {
    /// What each worker would be credited of `reward`, were a block of this difficulty found now: what its account
    /// would be, split by its part of the account's work in the window or round. The parts of an account's workers
    /// add up to its credit, to the unit. What is not rolled up, some seconds' shares, does not count yet.
    ///
    /// Nothing where shares are paid as they come, where a block pays its finder alone, and while it is not known
    /// where the open round begins.
    pub(crate) async fn credits_now(
        &self,
        scheme: Scheme,
        reward: Amount,
        network: NetworkDifficulty,
    ) -> anyhow::Result<Option<WorkerCredits>> {
        let (store, pool, name) = (&self.store, self.pool, scheme.name());
        // Read before the round's beginning: if a block is located in between, its round is empty and not two.
        let end = store.newest_bucket(pool, name).await?;
        let end = end.unwrap_or(Position::START);
        let (start, window) = match scheme {
            Scheme::Pplns => {
                let window = Window::empty(self.window_at(network)?);
                let window = self.filled(window, name, end, None).await?;
                (store.round_of_share(pool, name, end).await?, window)
            }
            Scheme::Prop => {
                let Some(start) = store.open_round(pool, name).await? else {
                    return Ok(None);
                };
                let all = Window::empty(Work::from_hashes(u128::MAX));
                let all = self.filled(all, name, end, Some(start)).await?;
                (start, all.into_round())
            }
            Scheme::Pps | Scheme::Fpps | Scheme::Solo => return Ok(None),
        };
        let workers: Vec<WorkerId> = window.work().keys().copied().collect();
        let names = store.worker_names(&workers).await?;
        let mut accounts: BTreeMap<Account, Vec<(&WorkerName, Work)>> = BTreeMap::new();
        for (worker, work) in window.work() {
            let name = names.get(worker).context("a worker without a name")?;
            let account = Account::Miner(name.address().to_owned());
            accounts.entry(account).or_default().push((name, *work));
        }
        let mut sums = Vec::with_capacity(accounts.len());
        for workers in accounts.values() {
            let works = workers.iter().map(|(_, work)| *work);
            let sum = works.into_iter().try_fold(Work::ZERO, Work::checked_add);
            sums.push((workers, sum.context("a sum of work")?));
        }
        let fees = self.fees(scheme, start).await?;
        let credits = Credits::new(reward, &fees, sums);
        let credits = credits.context("the work of a window does not fit 128 bits")?;
        let mut parts = WorkerCredits::new();
        for credit in credits.miners() {
            let weights: Vec<u128> = credit.miner.iter().map(|(_, work)| work.hashes()).collect();
            let units = apportion(credit.amount.units().into(), &weights);
            let units = units.context("a sum of work")?;
            for ((name, _), part) in credit.miner.iter().zip(units) {
                let part = u64::try_from(part).context("a part of an amount")?;
                parts.insert((*name).clone(), Amount::from_units(part));
            }
        }
        Ok(Some(parts))
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use mining::{
        Coin, Network,
        accounting::{Fee, Fees, Multiple},
    };
    use pow::Hash;
    use store::{NewBlock, PoolId, ShareRecord, ShareRow, Store};

    use super::{
        super::{Config, FeesNow, ReserveConfig},
        *,
    };
    use crate::clock;

    /// Each other hash is a block, so that a PPLNS window holds 100 hashes.
    const NETWORK: NetworkDifficulty = NetworkDifficulty::Bits(0x207f_ffff);
    const WINDOW_HUNDREDTHS: u32 = 5_000;
    const REWARD: Amount = Amount::from_units(5_000_000_007);

    struct Pool {
        store: Store,
        pool: PoolId,
        accounting: Accounting,
        shares: u8,
        _folder: tempfile::TempDir,
    }

    impl Pool {
        async fn start() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let url = format!("sqlite:{}", folder.path().join("pool.db").display());
            let coin: &'static Coin = "bitcoin".parse().unwrap();
            let store = Store::open(&url).await.unwrap();
            let pool = store.pool("main", coin, Network::Regtest).await.unwrap();
            let fee = |name: &str, percent: &str| Fee {
                name: name.to_owned(),
                percent: percent.parse().unwrap(),
            };
            let fees = vec![fee("pool", "1.5"), fee("foundation", "1")];
            let fees = Fees::new(fees, "foundation").unwrap();
            store.agree_fees(pool, &fees).await.unwrap();
            let config = Config {
                coin,
                schemes: vec![Scheme::Pplns, Scheme::Prop],
                fees,
                window: Multiple::from_hundredths(WINDOW_HUNDREDTHS).unwrap(),
                reserve: ReserveConfig {
                    every: Duration::from_secs(1),
                    least: 0,
                },
                split: None,
            };
            Self {
                accounting: Accounting::new(store.clone(), pool, config),
                store,
                pool,
                shares: 0,
                _folder: folder,
            }
        }

        /// A share of this work, rolled up; its proof.
        async fn share(&mut self, scheme: Scheme, who: (&str, &str), work: u128) -> Hash {
            self.shares += 1;
            let proof = Hash([self.shares; 32]);
            let work = Work::from_hashes(work);
            let row = ShareRow {
                share: ShareRecord::new(proof, work, 100, clock::now_ms()).unwrap(),
                worker: Arc::new(WorkerName::new(who.0, who.1).unwrap()),
                scheme,
            };
            self.store.append_shares(self.pool, &[row]).await.unwrap();
            while !self.store.roll_up(self.pool).await.unwrap().done {}
            proof
        }

        /// Its share is a block, by which nobody is credited yet.
        async fn block(&self, scheme: Scheme, proof: Hash) {
            let block = NewBlock {
                hash: proof,
                proof,
                height: 100,
                worker: WorkerName::new("a", "rig").unwrap(),
                network: NETWORK,
                time: 1,
                found_ms: clock::now_ms(),
                reward: REWARD,
                coinbase: None,
                scheme,
            };
            self.store.record_block(self.pool, &block).await.unwrap();
        }

        /// What the books credit for a block, by account.
        async fn credited(&self, hash: Hash) -> BTreeMap<String, u64> {
            let block = self.store.block(self.pool, hash).await.unwrap().unwrap();
            let end = self.accounting.end(&block).await.unwrap().unwrap();
            let start = self.store.round_start(self.pool, hash).await.unwrap();
            let start = start.unwrap_or(Position::START);
            let credits = self.accounting.split(&block, start, end).await.unwrap();
            let credits = credits.miners.iter();
            credits
                .map(|credit| (credit.account.to_string(), credit.amount.units()))
                .collect()
        }

        async fn now(&self, scheme: Scheme) -> Option<BTreeMap<(String, String), u64>> {
            let credits = self.accounting.credits_now(scheme, REWARD, NETWORK);
            let parts = credits.await.unwrap()?;
            let part = |(name, amount): (WorkerName, Amount)| {
                let name = (name.address().to_owned(), name.name().to_owned());
                (name, amount.units())
            };
            Some(parts.into_iter().map(part).collect())
        }
    }

    fn by_account(parts: &BTreeMap<(String, String), u64>) -> BTreeMap<String, u64> {
        let mut sums = BTreeMap::new();
        for ((address, _), units) in parts {
            let account = Account::Miner(address.clone()).to_string();
            *sums.entry(account).or_default() += units;
        }
        sums
    }

    #[tokio::test]
    async fn what_is_told_is_what_the_books_credit_if_the_newest_share_is_a_block() {
        for scheme in [Scheme::Prop, Scheme::Pplns] {
            let mut pool = Pool::start().await;
            assert_eq!(pool.now(scheme).await, Some(BTreeMap::new()));
            let workers = [
                ("a", "one"),
                ("b", "rig"),
                ("a", "two"),
                ("c", ""),
                ("a", "one"),
            ];
            for round in 1..=3_u128 {
                let mut last = Hash([0; 32]);
                for (work, who) in (1..).zip(workers) {
                    last = pool.share(scheme, who, 7 * work + round).await;
                }
                let told = pool.now(scheme).await.unwrap();
                pool.block(scheme, last).await;
                assert_eq!(by_account(&told), pool.credited(last).await, "{scheme:?}");
                let all: u64 = told.values().sum();
                // 2.5 % are taken before, and what cannot be split.
                assert!((4_875_000_005..=4_875_000_008).contains(&all), "{all}");
                assert_eq!(told.len(), 4);
            }
        }
    }

    /// The operator starts the pool with another fee: neither what is told of the open round nor what is told to whoever
    /// comes changes before that is over.
    #[tokio::test]
    async fn the_open_round_is_told_of_by_the_fees_that_it_began_with() {
        for scheme in [Scheme::Prop, Scheme::Pplns] {
            let mut pool = Pool::start().await;
            pool.share(scheme, ("a", "rig"), 10).await;
            let before = pool.now(scheme).await;
            let configured = pool.accounting.config.fees.clone();
            let free = vec![Fee {
                name: "foundation".into(),
                percent: "0".parse().unwrap(),
            }];
            let free = Fees::new(free, "foundation").unwrap();
            pool.store.agree_fees(pool.pool, &free).await.unwrap();
            let told = FeesNow::default();
            pool.accounting.tell_fees(&told).await.unwrap();
            assert_eq!(told.of(scheme), Some(configured.clone()));
            assert_eq!(pool.now(scheme).await, before);
            let last = pool.share(scheme, ("a", "rig"), 10).await;
            pool.block(scheme, last).await;
            // While nobody knows where the next one begins, nothing else is told.
            pool.accounting.tell_fees(&told).await.unwrap();
            assert_eq!(told.of(scheme), Some(configured));
            assert_eq!(
                by_account(&before.unwrap()),
                pool.credited(last).await,
                "{scheme:?}"
            );
            pool.accounting.tell_fees(&told).await.unwrap();
            assert_eq!(told.of(scheme), Some(free));
            pool.share(scheme, ("a", "rig"), 10).await;
            let all: u64 = pool.now(scheme).await.unwrap().values().sum();
            assert_eq!(all, REWARD.units());
        }
    }

    #[tokio::test]
    async fn the_credit_of_an_account_is_split_among_its_workers_by_their_work() {
        let mut pool = Pool::start().await;
        for (who, work) in [(("a", "one"), 10), (("a", "two"), 20), (("b", ""), 10)] {
            pool.share(Scheme::Prop, who, work).await;
        }
        let told = pool.now(Scheme::Prop).await.unwrap();
        let of = |address: &str, name: &str| told[&(address.to_owned(), name.to_owned())];
        // 4,875,000,007 are the miners' part; three quarters of it and one.
        assert_eq!(of("a", "one") + of("a", "two"), 3_656_250_005);
        assert_eq!(of("a", "two"), 2_437_500_003);
        assert_eq!(of("b", ""), 1_218_750_002);
    }

    #[tokio::test]
    async fn a_round_begins_anew_with_a_block_and_nobody_can_tell_before_that_is_located() {
        let mut pool = Pool::start().await;
        pool.share(Scheme::Prop, ("a", "rig"), 10).await;
        let last = pool.share(Scheme::Prop, ("b", "rig"), 10).await;
        pool.block(Scheme::Prop, last).await;
        assert_eq!(pool.now(Scheme::Prop).await, None);
        pool.credited(last).await;
        assert_eq!(pool.now(Scheme::Prop).await, Some(BTreeMap::new()));
        pool.share(Scheme::Prop, ("c", "rig"), 10).await;
        let told = pool.now(Scheme::Prop).await.unwrap();
        assert_eq!(
            told.keys().map(|(address, _)| address).collect::<Vec<_>>(),
            ["c"]
        );
        // Another scheme's shares and blocks are its own.
        assert_eq!(pool.now(Scheme::Pplns).await, Some(BTreeMap::new()));
    }

    #[tokio::test]
    async fn nothing_is_told_where_no_share_waits_for_a_block_or_the_store_cannot_be_read() {
        let mut pool = Pool::start().await;
        pool.share(Scheme::Prop, ("a", "rig"), 10).await;
        for scheme in [Scheme::Pps, Scheme::Fpps, Scheme::Solo] {
            assert_eq!(pool.now(scheme).await, None);
        }
        pool.store.close().await;
        let credits = pool.accounting.credits_now(Scheme::Prop, REWARD, NETWORK);
        assert!(credits.await.is_err());
    }
}
