//! What it costs to close the window of a block and to post its credits, with 10,000 miners: each call
//! of the store that `accounting` makes for a block, on SQLite, and on PostgreSQL where
//! `ADIT_TEST_POSTGRES` names a new server. Prints a table for each. `make bench`, or alone:
//!
//! ```text
//! scripts/postgres cargo bench -p benches --bench money
//! ADIT_BENCH_SHARES=100000000 ADIT_BENCH_BEHIND=0 ADIT_BENCH_PRUNE=1 cargo bench -p benches --bench money
//! ```
//!
//! `ADIT_BENCH_SHARES` is the number of shares in the window, 1,000,000 unless told otherwise. Blocks
//! are closed with a tenth of that behind the window, 1,000,000 at most, and once more with
//! `ADIT_BENCH_BEHIND`, which is 2,000,000; 0 leaves that out. With `ADIT_BENCH_PRUNE=1` single shares
//! go when they are two minutes old, as on a small disk.

use std::{
    collections::BTreeMap,
    env, fs,
    io::Write as _,
    sync::Arc,
    time::{Duration, Instant},
};

use mining::{
    Amount, Network, Scheme, Work,
    accounting::{Credits, Fee, Fees, Window},
    block::BlockState,
    ledger::{Account, BlockBooks, BlockEntries, BlockStep, Outcome},
};
use pow::Hash;
use store::{
    BlockChange, BlockCredit, BlockCredits, BlockFee, Located, Minute, NewBlock, PoolId,
    ShareRecord, ShareRow, StepEntry, Store, WorkerId, WorkerName,
};
use tokio::runtime::Runtime;

const COIN: &str = "bitcoin";
const MINERS: usize = 10_000;
/// The most shares of one commit, as in the share log.
const BATCH: u64 = 4_096;
/// What every share is worth; whose it is differs.
const SHARE: u128 = 1 << 32;
/// As in `accounting`.
const GRAINS: u64 = 500;
const WINDOWS_KEPT: u64 = 5;
/// The pool has 20,000 shares a second.
const SHARES_A_MS: u64 = 20;
/// The bench begins here, in milliseconds since 1970.
const START_MS: u64 = 1_800_000_000_000;
/// Shares of a height.
const SHARES_A_BLOCK: u64 = 1_000_000;
/// `accounting` joins buckets every minute.
const JOIN_EVERY: u64 = 60_000 * SHARES_A_MS;
/// How long single shares are kept where they are pruned, in minutes.
const MINUTES_KEPT: u32 = 2;
const REWARD: Amount = Amount::from_units(312_500_000);
/// The most shares behind the window at first.
const LITTLE_MAX: u64 = 1_000_000;
/// Blocks that are closed one after the other. The first makes the accounts.
const BLOCKS: u64 = 5;

fn main() {
    // As criterion: without `--bench` it is a test run, and another name is another bench.
    let arguments: Vec<String> = env::args().skip(1).collect();
    let is_asked = arguments.iter().any(|argument| argument == "--bench");
    let mut names = arguments.iter().filter(|name| !name.starts_with('-'));
    if !is_asked || names.any(|name| !"money".contains(name.as_str())) {
        return;
    }
    let plan = Plan {
        window: number("ADIT_BENCH_SHARES", 1_000_000),
        behind: number("ADIT_BENCH_BEHIND", 2_000_000),
        is_pruned: number("ADIT_BENCH_PRUNE", 0) > 0,
    };
    let runtime = Runtime::new().expect("a runtime starts");
    runtime.block_on(async {
        let dir = tempfile::tempdir().expect("a directory for the bench");
        let url = format!("sqlite:{}", dir.path().join("pool.db").display());
        run("SQLite", &url, plan).await;
        drop(dir);
        match env::var("ADIT_TEST_POSTGRES") {
            Ok(url) => run("PostgreSQL", &url, plan).await,
            Err(_) => println!("PostgreSQL: not measured, ADIT_TEST_POSTGRES is not set"),
        }
    });
}

/// What is measured, in shares.
#[derive(Clone, Copy)]
struct Plan {
    window: u64,
    behind: u64,
    is_pruned: bool,
}

fn number(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is a whole number"))
    })
}

async fn run(database: &str, url: &str, plan: Plan) {
    let mut place = Place::new(url, plan).await;
    let little = (plan.window / 10).min(LITTLE_MAX);
    place.append(plan.window + little).await;
    close(database, &mut place, little).await;
    let more = plan.behind.saturating_sub(little);
    if more > 0 {
        place.append(more).await;
        close(database, &mut place, plan.behind).await;
    }
    let books = place.store.check_books(place.pool).await;
    assert!(books.expect("the books are read").balance());
    place.upkeep.print(place.number);
    place.store.close().await;
}

struct Place {
    store: Store,
    pool: PoolId,
    plan: Plan,
    miners: Vec<Arc<WorkerName>>,
    /// The shares so far; also the number of the last.
    number: u64,
    upkeep: Upkeep,
}

/// What was spent on shares before any block.
#[derive(Default)]
struct Upkeep {
    append: Duration,
    roll_up: Duration,
    join: Duration,
    prune: Duration,
    /// Calls that join or look whether there is something to join; each holds the writer.
    joins: u32,
    longest_join: Duration,
}

impl Place {
    async fn new(url: &str, plan: Plan) -> Self {
        let store = Store::open(url).await.expect("a new database opens");
        let coin = COIN.parse().expect("bitcoin is in the table");
        let pool = store.pool("money", coin, Network::Regtest).await;
        let miner = |number: usize| {
            let address = format!("bcrt1q{number:038}");
            Arc::new(WorkerName::new(&address, "rig").expect("a short name"))
        };
        Self {
            store,
            pool: pool.expect("a new pool"),
            plan,
            miners: (0..MINERS).map(miner).collect(),
            number: 0,
            upkeep: Upkeep::default(),
        }
    }

    /// Adds shares and does with them what the pool does until it finds a block.
    async fn append(&mut self, shares: u64) {
        let end = self.number + shares;
        while self.number < end {
            let count = BATCH.min(end - self.number);
            let rows: Vec<ShareRow> = (0..count).map(|_| self.share()).collect();
            let appended = timed(
                &mut self.upkeep.append,
                self.store.append_shares(self.pool, &rows),
            );
            appended.await.expect("shares are written");
            while !timed(&mut self.upkeep.roll_up, self.store.roll_up(self.pool))
                .await
                .expect("shares are rolled up")
                .done
            {}
            if self.number / JOIN_EVERY > (self.number - count) / JOIN_EVERY {
                self.keep().await;
            }
        }
        self.keep().await;
    }

    /// A share of any miner, with a hash like any other.
    fn share(&mut self) -> ShareRow {
        self.number += 1;
        let hash = hash(self.number);
        let index = usize::from(u16::from_le_bytes([hash.0[0], hash.0[1]])) % MINERS;
        let height = u32::try_from(self.number / SHARES_A_BLOCK).expect("the bench ends before");
        let work = Work::from_hashes(SHARE);
        let share = ShareRecord::new(hash, work, height + 1, time_ms(self.number));
        ShareRow {
            scheme: Scheme::Pplns,
            share: share.expect("less than 2^63"),
            worker: Arc::clone(&self.miners[index]),
        }
    }

    /// Joins buckets as `accounting` does, as if they were old enough, and prunes.
    async fn keep(&mut self) {
        let (store, pool) = (&self.store, self.pool);
        let grain = work(self.plan.window / GRAINS);
        // All that the plan wants behind a window, even if it is more than the pool would keep.
        let keep = work((self.plan.window * WINDOWS_KEPT).max(self.plan.window + self.plan.behind));
        let scheme = Scheme::Pplns.name();
        loop {
            let start = Instant::now();
            let joined = store.join_buckets(pool, scheme, grain, keep, i64::MAX);
            let is_more = joined.await.expect("buckets are joined");
            let took = start.elapsed();
            self.upkeep.join += took;
            self.upkeep.joins += 1;
            self.upkeep.longest_join = self.upkeep.longest_join.max(took);
            if !is_more {
                break;
            }
        }
        if self.plan.is_pruned {
            let before = Minute::of_ms(time_ms(self.number)).back(MINUTES_KEPT);
            while timed(&mut self.upkeep.prune, store.prune_shares(pool, before))
                .await
                .expect("shares are pruned")
                > 0
            {}
        }
    }

    /// A block that is share `number`.
    fn block(&self, number: u64) -> NewBlock {
        NewBlock {
            hash: hash(number),
            proof: hash(number),
            height: u32::try_from(number / SHARES_A_BLOCK).expect("as the share") + 1,
            worker: (*self.miners[0]).clone(),
            network: mining::NetworkDifficulty::Bits(0x207f_ffff),
            time: 1,
            found_ms: time_ms(number),
            reward: REWARD,
            coinbase: None,
            scheme: Scheme::Pplns,
        }
    }
}

impl Upkeep {
    fn print(&self, shares: u64) {
        println!(
            "  before that, for {} shares: append {:.1} s, roll up {:.1} s, prune {:.1} s; join {:.1} s \
             in {} calls, the longest {}\n",
            grouped(shares),
            self.append.as_secs_f64(),
            self.roll_up.as_secs_f64(),
            self.prune.as_secs_f64(),
            self.join.as_secs_f64(),
            self.joins,
            millis(self.longest_join),
        );
    }
}

/// Closes some blocks whose shares are among the last, and prints what it took.
async fn close(database: &str, place: &mut Place, behind: u64) {
    let before = memory("VmRSS");
    let mut closed = Vec::new();
    for nth in 0..BLOCKS {
        let number = place.number - BATCH / 4 + nth * (BATCH / 4 / BLOCKS);
        closed.push(close_one(place, number).await);
    }
    let (buckets, shares) = (closed[0].buckets, grouped(place.plan.window));
    println!(
        "{database}: {shares} shares in the window, {} behind it, {buckets} buckets, {MINERS} miners; \
         {} MiB before",
        grouped(behind),
        before / 1024,
    );
    println!(
        "  {:<34}{:>12}{:>16}{:>12}",
        "step", "first block", "next (median)", "peak MiB"
    );
    let mut sums = [Duration::ZERO; 2];
    for (place, step) in closed[0].steps.iter().enumerate() {
        let of = |block: &Closing| (block.steps[place].took, block.steps[place].peak_kib);
        let mut next: Vec<Duration> = closed[1..].iter().map(|block| of(block).0).collect();
        next.sort();
        let median = next[next.len() / 2];
        sums[0] += step.took;
        sums[1] += median;
        let peak = closed.iter().map(|block| of(block).1).max();
        println!(
            "  {:<34}{:>12}{:>16}{:>12}",
            step.name,
            millis(step.took),
            millis(median),
            peak.unwrap_or_default() / 1024,
        );
    }
    println!(
        "  {:<34}{:>12}{:>16}",
        "together",
        millis(sums[0]),
        millis(sums[1])
    );
    std::io::stdout().flush().expect("a place to print to");
}

/// What it took to close a block.
#[derive(Default)]
struct Closing {
    steps: Vec<Step>,
    buckets: usize,
}

struct Step {
    name: &'static str,
    took: Duration,
    peak_kib: u64,
}

impl Closing {
    async fn step<T>(&mut self, name: &'static str, work: impl Future<Output = T>) -> T {
        let is_reset = reset_peak();
        let start = Instant::now();
        let done = work.await;
        let took = start.elapsed();
        // Where the peak cannot be reset, what is held afterwards is the next best.
        let peak_kib = memory(if is_reset { "VmHWM" } else { "VmRSS" });
        self.steps.push(Step {
            name,
            took,
            peak_kib,
        });
        done
    }
}

/// All that `accounting` does for a block, from its share to its posted credits.
async fn close_one(place: &Place, number: u64) -> Closing {
    let (store, pool) = (&place.store, place.pool);
    let mut closing = Closing::default();
    let block = place.block(number);
    let hash = block.hash;
    store
        .record_block(pool, &block)
        .await
        .expect("a new block is recorded");
    let located = store.locate_block(pool, hash, block.found_ms);
    let located = closing.step("locate the block's share", located).await;
    let Located::At(end) = located.expect("blocks are read") else {
        panic!("the share of the block is there");
    };
    let length = work(place.plan.window);
    let scheme = Scheme::Pplns.name();
    let mut window = Window::empty(length);
    let filling = store.fill_window(pool, scheme, end, None, &mut window);
    let buckets = closing.step("read and add up its buckets", filling).await;
    closing.buckets = buckets.expect("buckets are read");
    assert_eq!(window.total(), length, "the window is full");
    let by_miner = by_miner(store, window.work());
    let by_miner = closing.step("addresses of its workers", by_miner).await;
    let split = async { split(&window, by_miner) };
    let credits = closing.step("split the reward", split).await;
    assert_eq!(credits.miners.len(), MINERS);
    let written = store.credit_block(pool, hash, &credits);
    let written = closing.step("write who gets what", written).await;
    assert_eq!(written, Ok(true));
    let read = store.block_credits(pool, hash);
    let read = closing.step("read it again", read).await;
    let read = read
        .expect("credits are read")
        .expect("they were written just now");
    assert_eq!(
        Amount::checked_sum(parts(&read).map(|(_, a)| a)),
        Some(REWARD)
    );
    post(place, &mut closing, hash, &read).await;
    closing
}

/// Enters the credits of a block, pending, and posts them.
async fn post(place: &Place, closing: &mut Closing, hash: Hash, credits: &BlockCredits) {
    let (store, pool) = (&place.store, place.pool);
    let mut books = BlockBooks::default();
    let entries = BlockEntries {
        coin: COIN,
        block: hash,
    };
    let step = BlockStep::Credit(1);
    let pending = async {
        let entry = entries.credit(1, parts(credits));
        let new = StepEntry::New(&entry);
        store.step_block(pool, hash, books, step, new, 0).await
    };
    let entered = closing.step("enter the credits, pending", pending).await;
    assert_eq!(entered, Ok(true));
    books = books.after(step);
    for state in [BlockState::Immature, BlockState::Mature] {
        let change = BlockChange {
            state,
            confirmations: 1,
            verdict: None,
        };
        let changed = store.change_block(pool, hash, &change).await;
        changed.expect("a block grows up");
    }
    let id = entries.credit_id(1);
    let settle = StepEntry::Settle(&id, Outcome::Posted);
    let step = BlockStep::Settle(1, Outcome::Posted);
    let posted = store.step_block(pool, hash, books, step, settle, 0);
    assert_eq!(closing.step("post them", posted).await, Ok(true));
    let agreed = store.books_agree(pool, hash, BlockState::Mature).await;
    agreed.expect("the books agree");
}

async fn by_miner(store: &Store, work: &BTreeMap<WorkerId, Work>) -> BTreeMap<Account, Work> {
    let workers: Vec<WorkerId> = work.keys().copied().collect();
    let addresses = store.addresses(&workers).await.expect("addresses are read");
    let mut sums: BTreeMap<Account, Work> = BTreeMap::new();
    for (worker, work) in work {
        let sum = sums
            .entry(Account::Miner(addresses[worker].clone()))
            .or_default();
        *sum = sum.checked_add(*work).expect("the work fits");
    }
    sums
}

fn split(window: &Window<WorkerId>, by_miner: BTreeMap<Account, Work>) -> BlockCredits {
    let fee = |name: &str, percent: &str| Fee {
        name: name.into(),
        percent: percent.parse().expect("a percentage"),
    };
    let fees = vec![fee("pool", "1.5"), fee("foundation", "1")];
    let fees = Fees::new(fees, "foundation").expect("fees that make sense");
    let credits = Credits::new(REWARD, &fees, by_miner).expect("the work fits");
    let fee = |(fee, amount): (&Fee, &Amount)| BlockFee {
        name: fee.name.clone(),
        percent: fee.percent,
        amount: *amount,
    };
    BlockCredits {
        window: window.total(),
        length: window.length(),
        fees: fees.list().iter().zip(credits.fees()).map(fee).collect(),
        miners: credits
            .miners()
            .iter()
            .map(|credit| BlockCredit {
                account: credit.miner.clone(),
                work: credit.work,
                amount: credit.amount,
            })
            .collect(),
    }
}

fn parts(credits: &BlockCredits) -> impl Iterator<Item = (Account, Amount)> {
    let fees = credits.fees.iter();
    let fees = fees.map(|fee| (Account::Fee(fee.name.clone()), fee.amount));
    let miners = credits.miners.iter();
    fees.chain(miners.map(|credit| (credit.account.clone(), credit.amount)))
}

async fn timed<T>(sum: &mut Duration, work: impl Future<Output = T>) -> T {
    let start = Instant::now();
    let done = work.await;
    *sum += start.elapsed();
    done
}

fn hash(number: u64) -> Hash {
    pow::sha256d(&number.to_le_bytes())
}

fn time_ms(number: u64) -> i64 {
    i64::try_from(START_MS + number / SHARES_A_MS).expect("the bench ends before")
}

fn work(shares: u64) -> Work {
    Work::from_hashes(u128::from(shares) * SHARE)
}

/// The peak of this process's memory is what it holds now; false where that is not permitted.
fn reset_peak() -> bool {
    fs::write("/proc/self/clear_refs", "5").is_ok()
}

/// What the kernel says of this process's memory, in KiB; 0 where it says nothing.
fn memory(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(name));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number
        .and_then(|text| text.parse().ok())
        .unwrap_or_default()
}

fn millis(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1000.0)
}

/// 1234567 as 1,234,567.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
