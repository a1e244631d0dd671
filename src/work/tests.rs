//! Workers of HTTP at the routes of a port, with a real store and share log behind them, and a clock that a test
//! moves on.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode, header},
};
use http_body_util::BodyExt as _;
use mining::{
    Address, Amount, AnyTemplate, Coin, Difficulty, Network, Scheme, Target, Template,
    accounting::{Fee, Fees, Multiple},
    bucket::Limit,
    coinbase::Payees,
    extranonce::Allocator,
    payout::Policy,
    seen::Seen,
    template::{Room, TemplateKind, Transactions},
    vardiff,
};
use pow::{Algorithm, Hash};
use serde_json::{Value, json};
use store::{PoolId, Store};
use tempfile::TempDir;
use tokio::{
    sync::watch,
    time::{Instant, advance, pause, resume, sleep},
};
use tokio_util::sync::CancellationToken;
use tower_service::Service as _;

use super::{
    worker::{JOB_LASTS, SHARES_PER_SECOND},
    *,
};
use crate::{
    accounting::{self, Accounting, FeesNow, ReserveConfig},
    bans::{Bans, Settings},
    block::{Blocks, Maturity},
    clock,
    connection::Rules,
    daemon::{self, Feed, FirstBlock},
    devices::Devices,
    kept_sessions::KeptSessions,
    mailbox::Mailboxes,
    metrics::Metrics,
    networks::Networks,
    sessions::Sessions,
    share_log,
    systemd::Sockets,
    template_feed::{Follower, Headers, JobIds, Recipe},
};

const ADDRESS: &str = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";
/// Another miner's.
const OTHER: &str = "bcrt1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qzf4jry";
/// What a block pays.
const REWARD: u64 = 5_000_000_000;
const HOUR: Duration = Duration::from_secs(3600);

/// No hash is a block.
const HARD: u32 = 0x1700_ffff;
/// Every second one is.
const EASY: u32 = 0x207f_ffff;

/// A port whose every hash is a share, and no hash a block unless a test says so.
struct Host {
    routes: Router,
    store: Store,
    pool: PoolId,
    publish: watch::Sender<Newest>,
    feed: Follower,
    tips: u32,
    nonce: u32,
    folder: TempDir,
    context: Arc<Context>,
    terms: Arc<Terms>,
    bans: WorkerBans,
    /// Those of the port.
    tasks: Tasks,
}

struct Told {
    status: StatusCode,
    text: String,
}

impl Told {
    #[track_caller]
    fn json(&self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text);
        serde_json::from_str(&self.text).unwrap()
    }

    #[track_caller]
    fn is(&self, status: u16, text: &str) {
        assert_eq!((self.status.as_u16(), self.text.as_str()), (status, text));
    }
}

fn rules(scheme: Scheme) -> Rules {
    let step = Difficulty::from_steps(1);
    Rules {
        vardiff: vardiff::Limits {
            min: step,
            max: step,
            share_time_ms: 10_000,
            harder_only: false,
        },
        start_difficulty: step,
        extranonce2_size: 4,
        version_mask: 0,
        handshake: Duration::from_secs(10),
        idle: Duration::from_secs(600),
        shareless: Duration::from_secs(600),
        messages: Limit {
            per_second: 0,
            burst: 0,
        },
        shares_per_second: 0,
        heed_suggestions: false,
        default_address: None,
        scheme,
        only_address: None,
    }
}

/// A port where workers may come without a token.
fn port(context: &Arc<Context>, terms: &Arc<Terms>, bans: &WorkerBans, tasks: &Tasks) -> Router {
    let limits = Limits {
        connections: 100,
        per_address: 100,
        per_network: 100,
    };
    let at = (SocketAddr::from(([127, 0, 0, 1], 3333)), limits);
    routes(context, terms, "Main", at, true, bans, tasks).0
}

impl Host {
    async fn start(scheme: Scheme) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let coin: &'static Coin = "bitcoin".parse().unwrap();
        let network = Network::Regtest;
        let url = format!("sqlite:{}", folder.path().join("pool.db").display());
        let (tasks, _) = Tasks::new();
        let metrics = Arc::new(Metrics::new("main", coin.name));
        let store = Store::open(&url).await.unwrap();
        let pool = store.pool("main", coin, network).await.unwrap();
        let share_log = share_log::start(store.clone(), pool, share_log::Config::default(), &tasks);
        let kept = folder.path().join("blocks");
        let nobody = toml::from_str("url = \"http://127.0.0.1:1\"").unwrap();
        let daemons = daemon::start(
            vec![nobody],
            coin,
            network,
            "",
            kept.clone(),
            FirstBlock::any(),
            &tasks,
        );
        let maturity = Maturity {
            confirmations: 100,
            orphan_rate: "1".parse().unwrap(),
        };
        let blocks = Blocks::start(
            daemons.unwrap().0,
            store.clone(),
            pool,
            maturity,
            &kept,
            Arc::clone(&metrics),
            &tasks,
        );
        let address = Address::parse(coin, network, ADDRESS).unwrap();
        let job_ids = JobIds::new();
        let mailboxes = Mailboxes::default();
        let (publish, newest) = watch::channel(Newest::Nothing("no template yet".into()));
        let prefixes = Allocator::default();
        prefixes.lease(0..1 << 20);
        let nobody_is_banned = Settings {
            rule: None,
            lasts: HOUR,
            exempt: Networks::parse(&[]).unwrap(),
        };
        let recipe = Some(Recipe {
            tag: b"/test/".to_vec(),
            split: None,
            payees: Payees {
                outputs: vec![],
                keeper: address.script().unwrap().to_vec(),
            },
            extranonce2_size: 4,
            header: Headers::Bitcoin(Algorithm::Sha256d),
            mark: None,
        });
        let context = Arc::new(Context {
            coin,
            network,
            newest,
            recipe: recipe.clone(),
            verifier: None,
            view_key: None,
            job_ids: job_ids.clone(),
            prefixes,
            seen: Arc::new(Seen::default()),
            share_log,
            blocks,
            kept_sessions: KeptSessions::default(),
            store: store.clone(),
            pool,
            bans: Bans::new(nobody_is_banned, mailboxes.clone(), Arc::clone(&metrics)),
            mailboxes,
            sessions: Sessions::default(),
            connected: prometheus_client::metrics::gauge::Gauge::default(),
            metrics,
            devices: Devices::start(None, &tasks).unwrap(),
            sockets: Sockets::default(),
            stopping: CancellationToken::new(),
            rules: rules(scheme),
        });
        let fee = |name: &str, percent: &str| Fee {
            name: name.to_owned(),
            percent: percent.parse().unwrap(),
        };
        let fees = vec![fee("pool", "2"), fee(FOUNDATION, "1")];
        let fees = Fees::new(fees, FOUNDATION).unwrap();
        store.agree_fees(pool, &fees).await.unwrap();
        let accounting = accounting::Config {
            coin,
            schemes: vec![scheme],
            fees,
            window: Multiple::DEFAULT,
            reserve: ReserveConfig {
                every: Duration::from_secs(1),
                least: 0,
            },
            split: None,
        };
        let fees = FeesNow::default();
        let booking = Accounting::new(store.clone(), pool, accounting.clone());
        booking.tell_fees(&fees).await.unwrap();
        let terms = Arc::new(Terms {
            accounting,
            fees,
            policy: Policy {
                threshold: Amount::from_units(1),
                least: Amount::from_units(1),
                payments_max: 10,
                batch_min: Amount::ZERO,
                fee_max: "1".parse().unwrap(),
            },
            pays: false,
            operator: address,
        });
        let bans = WorkerBans::default();
        let mut host = Self {
            routes: port(&context, &terms, &bans, &tasks),
            store,
            pool,
            publish,
            feed: Follower::new(recipe, Duration::ZERO, job_ids),
            tips: 0,
            nonce: 0,
            folder,
            context,
            terms,
            bans,
            tasks,
        };
        host.new_tip();
        host
    }

    /// The port closes, and the pool opens another one.
    async fn open_again(&mut self) {
        let (tasks, _) = Tasks::new();
        let old = std::mem::replace(&mut self.tasks, tasks);
        assert!(old.shut_down().await);
        self.routes = port(&self.context, &self.terms, &self.bans, &self.tasks);
    }

    fn new_tip(&mut self) {
        self.new_tip_of(HARD);
    }

    fn new_tip_of(&mut self, bits: u32) {
        self.tips += 1;
        let time = clock::now_s();
        let mut previous = [7; 32];
        previous[..4].copy_from_slice(&self.tips.to_le_bytes());
        let template = Template {
            height: 100 + self.tips,
            version: 0x2000_0000,
            previous: Hash(previous),
            bits,
            target: Target::from_compact(bits).unwrap(),
            time,
            min_time: time - 600,
            value: Amount::from_units(REWARD),
            fees: Amount::ZERO,
            witness_commitment: None,
            coinbase_flags: vec![],
            transactions: Transactions::new(String::new(), &[]),
            tail: String::new(),
            room: Room::EMPTY_BLOCK,
            kind: TemplateKind::Full,
        };
        let feed = Feed::Template {
            template: AnyTemplate::Bitcoin(Arc::new(template)),
            received: Instant::now(),
            daemon: 0,
        };
        let newest = self.feed.newest(&feed).unwrap();
        self.publish.send_replace(newest);
    }

    async fn ask(&self, method: &str, path: &str, body: String) -> Told {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "pool.example:3333")
            .body(Body::from(body))
            .unwrap();
        let peer = SocketAddr::from(([127, 0, 0, 1], 1024));
        request.extensions_mut().insert(peer);
        let response = self.routes.clone().call(request).await.unwrap();
        let status = response.status();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        Told { status, text }
    }

    async fn get(&self, path: &str) -> Told {
        self.ask("GET", path, String::new()).await
    }

    async fn post(&self, path: &str, body: &Value) -> Told {
        self.ask("POST", path, body.to_string()).await
    }

    /// `name` is what it is called in the books.
    async fn register(&self, id: &str, wallet: &str, name: &str) -> Told {
        let body = json!({"worker_id": id, "wallet_address": wallet, "worker_name": name});
        self.post("/pool/register", &body).await
    }

    async fn job(&self, id: &str) -> Told {
        self.get(&format!("/pool/job?worker_id={id}")).await
    }

    /// A share of a worker's newest job.
    async fn share_of(&mut self, id: &str) -> Value {
        let job = self.job(id).await.json();
        let hash = loop {
            self.nonce += 1;
            let hash = hashed(&job, self.nonce);
            // One hash in 65,536 is none.
            if hash.as_str() <= job["share_target"].as_str().unwrap() {
                break hash;
            }
        };
        json!({"worker_id": id, "job_id": job["job_id"], "nonce": self.nonce,
               "extra_nonce": job["extra_nonce_start"], "hash": hash})
    }

    async fn share(&mut self, id: &str) -> Told {
        let share = self.share_of(id).await;
        self.post("/pool/share", &share).await
    }

    /// A share of its newest job that is a block, or is none.
    async fn share_that_is(&mut self, id: &str, is_block: bool) -> Value {
        loop {
            let share = self.share_of(id).await;
            let hash = share["hash"].as_str().unwrap();
            // What begins with 7f may be either.
            if is_block && hash < "7f" || !is_block && hash >= "80" {
                return share;
            }
        }
    }

    /// One that is not what it says.
    async fn forge(&mut self, id: &str) -> Told {
        let mut share = self.share_of(id).await;
        share["hash"] = json!("00".repeat(32));
        self.post("/pool/share", &share).await
    }

    async fn roll_up(&self) {
        while !self.store.roll_up(self.pool).await.unwrap().done {}
    }

    /// What each worker is told of a block, in the order of the list.
    async fn estimates(&self) -> Vec<(String, Option<u64>)> {
        let stats = self.get("/pool/stats").await.json();
        let workers = stats["workers"].as_array().unwrap();
        let told = |worker: &Value| {
            let id = worker["worker_id"].as_str().unwrap().to_owned();
            (id, worker["estimated_payout"].as_u64())
        };
        workers.iter().map(told).collect()
    }
}

/// What a share of this job hashes to.
fn hashed(job: &Value, nonce: u32) -> String {
    let text = |key: &str| hex::decode(job[key].as_str().unwrap()).unwrap();
    let number = |key: &str| {
        u32::try_from(job[key].as_u64().unwrap())
            .unwrap()
            .to_le_bytes()
    };
    let (mut previous, mut bits) = (text("prev_hash"), text("bits"));
    previous.reverse();
    bits.reverse();
    // Its root is that of the first extra nonce.
    let header = [
        &number("version")[..],
        &previous,
        &text("merkle_root"),
        &number("ntime"),
        &bits,
        &nonce.to_le_bytes(),
    ];
    pow::sha256d(&header.concat()).to_string()
}

/// Time passes. While it stands, nothing may be read: whoever waits for the store has it run on.
async fn pass(time: Duration) {
    pause();
    advance(time).await;
    resume();
}

fn told(of: &[(&str, Option<u64>)]) -> Vec<(String, Option<u64>)> {
    of.iter()
        .map(|(id, units)| ((*id).to_owned(), *units))
        .collect()
}

#[tokio::test]
async fn a_worker_is_told_what_its_work_in_the_round_would_be_paid() {
    let mut host = Host::start(Scheme::Prop).await;
    for (id, wallet) in [
        ("one", ADDRESS),
        ("two", ADDRESS),
        ("three", OTHER),
        ("idle", OTHER),
    ] {
        host.register(id, wallet, id).await.json();
    }
    for (id, shares) in [("one", 1), ("two", 2), ("three", 1)] {
        for _ in 0..shares {
            host.share(id).await.json();
        }
    }
    host.roll_up().await;
    // None is being made while time passes, or it would seem to have taken as long.
    host.estimates().await;
    // What was kept is of before.
    pass(HOUR / 60).await;
    // The part of miners is 4,850,000,000: 97 %.
    let due = [
        ("idle", Some(0)),
        ("one", Some(1_212_500_000)),
        ("three", Some(1_212_500_000)),
        ("two", Some(2_425_000_000)),
    ];
    assert_eq!(host.estimates().await, told(&due));
    let share = host.share("one").await.json();
    assert_eq!(share["estimated_payout"], 1_212_500_000);
    // Work of another chain of blocks is told anew.
    host.new_tip();
    assert_eq!(
        host.share("two").await.json()["estimated_payout"],
        Value::Null
    );
}

#[tokio::test]
async fn whoever_is_paid_at_once_is_told_nothing_and_whoever_did_nothing_zero() {
    for (scheme, due) in [
        (Scheme::Pps, None),
        (Scheme::Fpps, None),
        (Scheme::Pplns, Some(0)),
    ] {
        let host = Host::start(scheme).await;
        host.register("one", ADDRESS, "rig").await.json();
        assert_eq!(host.estimates().await, told(&[("one", due)]), "{scheme:?}");
    }
}

#[tokio::test]
async fn a_store_that_cannot_be_read_hides_no_worker() {
    let host = Host::start(Scheme::Prop).await;
    host.register("one", ADDRESS, "rig").await.json();
    host.store.close().await;
    assert_eq!(host.estimates().await, told(&[("one", None)]));
}

#[tokio::test]
async fn workers_are_listed_once_a_second() {
    let host = Host::start(Scheme::Prop).await;
    host.register("one", ADDRESS, "rig").await.json();
    let listed = host.estimates().await;
    pause();
    host.register("two", ADDRESS, "rig").await.json();
    assert_eq!(host.estimates().await, listed);
    let stats = host.get("/api/pool/stats").await.json();
    assert_eq!(stats["worker_count"], 1);
    assert_eq!(stats["pool_name"], "Main");
    assert_eq!(stats["pool_url"], "http://pool.example:3333");
    assert_eq!(stats["pool_port"], 3333);
    resume();
    pass(Duration::from_secs(1)).await;
    // It came after estimates were made.
    let both = [listed[0].clone(), ("two".to_owned(), None)];
    assert_eq!(host.estimates().await, both);
    // They share what their name has earned.
    pass(HOUR / 60).await;
    assert_eq!(
        host.estimates().await,
        told(&[("one", Some(0)), ("two", Some(0))])
    );
}

#[tokio::test]
async fn a_worker_is_banned_for_an_hour_and_comes_back_as_if_it_were_new() {
    let mut host = Host::start(Scheme::Prop).await;
    for id in ["liar", "honest"] {
        host.register(id, ADDRESS, id).await.json();
    }
    for _ in 0..90 {
        assert_eq!(host.share("liar").await.json()["ok"], true);
    }
    // Nothing is written from here on.
    pause();
    advance(Duration::from_secs(2)).await;
    for _ in 0..10 {
        let forged = host.forge("liar").await;
        forged.is(400, "Rejected share: invalid result");
    }
    // Exactly a tenth of a hundred.
    host.job("liar").await.json();
    let forged = host.forge("liar").await;
    forged.is(400, "Rejected share: invalid result");
    let banned = async |host: &Host| {
        host.job("liar").await.is(403, "worker liar is banned");
        let share = json!({"worker_id": "liar", "job_id": "101-1", "nonce": 1, "hash": "00"});
        let share = host.post("/pool/share", &share).await;
        share.is(403, "worker liar is banned");
        let again = host.register("liar", ADDRESS, "liar").await;
        again.is(403, "worker liar is banned");
    };
    banned(&host).await;
    host.job("honest").await.json();
    // Forgotten like all who are silent, and banned all the same.
    advance(STALE + SWEEP_EVERY).await;
    sleep(Duration::from_millis(1)).await;
    host.job("honest")
        .await
        .is(400, "worker honest is unknown: register first");
    banned(&host).await;
    advance(HOUR - STALE - SWEEP_EVERY - Duration::from_secs(1)).await;
    banned(&host).await;
    advance(Duration::from_secs(2)).await;
    host.job("liar")
        .await
        .is(400, "worker liar is unknown: register first");
    host.register("liar", ADDRESS, "liar").await.json();
    // Of a hundred shares again more than a tenth: those of before do not count.
    for sent in 0..99 {
        if sent == 50 {
            advance(Duration::from_secs(2)).await;
        }
        let forged = host.forge("liar").await;
        forged.is(400, "Rejected share: invalid result");
    }
    host.job("liar").await.json();
    advance(Duration::from_secs(2)).await;
    host.forge("liar").await;
    banned(&host).await;
}

#[tokio::test]
async fn a_worker_that_is_banned_is_so_at_the_next_port_of_its_pool() {
    let mut host = Host::start(Scheme::Prop).await;
    for id in ["liar", "honest", "gone"] {
        host.register(id, ADDRESS, id).await.json();
    }
    // One of them was forgotten before the port closes.
    pause();
    for id in ["gone", "liar"] {
        advance(STALE + SWEEP_EVERY).await;
        sleep(Duration::from_millis(1)).await;
        host.register(id, ADDRESS, id).await.json();
        for sent in 0..100 {
            if sent == 50 {
                advance(Duration::from_secs(2)).await;
            }
            let forged = host.forge(id).await;
            forged.is(400, "Rejected share: invalid result");
        }
    }
    resume();
    let honest = host.register("honest", ADDRESS, "honest").await;
    let token = honest.json()["token"].clone();
    host.open_again().await;
    for id in ["liar", "gone"] {
        let banned = format!("worker {id} is banned");
        host.job(id).await.is(403, &banned);
        let again = host.register(id, ADDRESS, id).await;
        again.is(403, &banned);
    }
    // Everybody else begins anew.
    host.job("honest")
        .await
        .is(400, "worker honest is unknown: register first");
    let again = host.register("honest", ADDRESS, "honest").await.json();
    assert_ne!(again["token"], token);
    host.job("honest").await.json();
    // It lasts as long as it would have at the first port.
    pass(HOUR + Duration::from_secs(1)).await;
    for id in ["liar", "gone"] {
        host.register(id, ADDRESS, id).await.json();
    }
}

#[tokio::test]
async fn a_hundred_shares_a_second_are_judged_and_each_block() {
    let mut host = Host::start(Scheme::Prop).await;
    host.new_tip_of(EASY);
    for id in ["one", "two"] {
        host.register(id, ADDRESS, id).await.json();
    }
    let share = host.share_that_is("one", false).await;
    let block = host.share_that_is("one", true).await;
    let unknown = json!({"worker_id": "one", "job_id": "1-1", "nonce": 1, "extra_nonce": 0,
                         "hash": "00".repeat(32)});
    let too_many = "over the rate limit of 100 shares a second";
    // What is of no job writes nothing, so that the clock may stand.
    pause();
    for second in 0..3 {
        for _ in 0..SHARES_PER_SECOND {
            let told = host.post("/pool/share", &unknown).await;
            assert_eq!(told.status, 400, "{second}: {}", told.text);
        }
        host.post("/pool/share", &unknown).await.is(429, too_many);
        advance(Duration::from_secs(1)).await;
    }
    for _ in 0..SHARES_PER_SECOND {
        host.post("/pool/share", &unknown).await;
    }
    host.post("/pool/share", &share).await.is(429, too_many);
    // It is judged while the clock stands, and written down when it runs.
    let running = async {
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
        resume();
    };
    let (told, ()) = tokio::join!(host.post("/pool/share", &block), running);
    assert_eq!(told.json()["is_block"], true);
    // Whom it was told to wait, it was not seen before. Nobody else had to.
    pass(Duration::from_secs(1)).await;
    assert_eq!(host.post("/pool/share", &share).await.json()["ok"], true);
    assert_eq!(host.share("two").await.json()["ok"], true);
}

#[tokio::test]
async fn a_job_is_the_same_for_half_a_minute_and_the_one_before_is_still_taken() {
    let mut host = Host::start(Scheme::Prop).await;
    host.register("one", ADDRESS, "rig").await.json();
    let share = host.share_of("one").await;
    pass(JOB_LASTS - Duration::from_secs(10)).await;
    assert_eq!(host.share_of("one").await["job_id"], share["job_id"]);
    pass(Duration::from_secs(10)).await;
    let newer = host.share_of("one").await;
    assert_ne!(newer["job_id"], share["job_id"]);
    for of in [&share, &newer] {
        assert_eq!(host.post("/pool/share", of).await.json()["ok"], true);
    }
    host.new_tip();
    let other = host.share_of("one").await;
    assert_ne!(other["job_id"], newer["job_id"]);
}

#[tokio::test]
async fn a_block_of_an_extra_nonce_that_is_not_the_worker_s_is_a_block_all_the_same() {
    let mut host = Host::start(Scheme::Prop).await;
    host.new_tip_of(EASY);
    host.register("one", ADDRESS, "rig").await.json();
    let job = host.job("one").await.json();
    let (start, end) = (
        job["extra_nonce_start"].as_u64().unwrap(),
        job["extra_nonce_end"].as_u64(),
    );
    let text = format!(
        "extra_nonce: yours are from {start} to below {}",
        end.unwrap()
    );
    let mut found = false;
    // Which of them is a block is not known here: half of them are.
    for nonce in 0..64 {
        let share = json!({"worker_id": "one", "job_id": job["job_id"], "nonce": nonce,
                           "extra_nonce": end, "hash": "00".repeat(32)});
        let told = host.post("/pool/share", &share).await;
        if told.text != text {
            found = true;
            // It goes to the daemons first, and what it says of its hash is not true.
            told.is(400, "Rejected share: invalid result");
        }
    }
    assert!(found);
    let blocks = host.folder.path().join("blocks");
    let is_kept = async {
        while std::fs::read_dir(&blocks).map_or(0, Iterator::count) == 0 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    let within = Duration::from_secs(60);
    tokio::time::timeout(within, is_kept).await.unwrap();
}

#[tokio::test]
async fn a_call_of_json_rpc_is_answered_as_one_and_is_nobody_s_share() {
    let mut host = Host::start(Scheme::Prop).await;
    host.register("one", ADDRESS, "rig").await.json();
    let mut call = host.share_of("one").await;
    for (key, value) in [
        ("jsonrpc", "2.0"),
        ("method", "submit_share"),
        ("id", "a-1"),
    ] {
        call[key] = json!(value);
    }
    for path in [
        "/pool/share",
        "/api/pool/share",
        "/pool/metrics",
        "/api/pool/metrics",
    ] {
        for _ in 0..100 {
            let answer = host.post(path, &call).await.json();
            let due = json!({"jsonrpc": "2.0", "id": "a-1",
                             "error": {"code": -32601, "message": "Method not found"}});
            assert_eq!(answer, due, "{path}");
        }
    }
    call["jsonrpc"] = json!("1.0");
    let answer = host.post("/pool/share", &call).await.json();
    assert_eq!(answer["error"]["code"], -32600);
    let no_call = host
        .post("/pool/metrics", &json!({"worker_id": "one"}))
        .await;
    no_call.is(405, "metrics are asked for by GET");
    let nonsense = host.ask("POST", "/pool/share", "{\"jsonrpc\":".to_owned());
    assert_eq!(nonsense.await.status, 400);
    let metrics = host.get("/pool/metrics").await.json();
    assert_eq!(metrics["total_shares_received"], 0);
    assert_eq!(metrics["invalid_shares_received"], 0);
    assert_eq!(host.share("one").await.json()["total_shares"], 1);
}
