//! All of it together, against daemons on real sockets.

use std::{sync::Arc, time::Duration};

use mining::{Amount, Coin, Network, Template, template::TemplateKind};
use pow::Hash;
use serde_json::{Value, json};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

use super::{
    BlockStatus, Config, Daemons, Feed, FirstBlock, Proposal, Source, Unanswered, Verdict, breaker,
    fake::{Fake, Play, block_id, now},
    rpc::Patience,
    start,
};
use crate::tasks::{Failures, Tasks};

/// Longer than anything here takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(20);

struct Pool {
    daemons: Daemons,
    feed: watch::Receiver<Feed>,
    tasks: Tasks,
    _failures: Failures,
    blocks: tempfile::TempDir,
}

fn bitcoin() -> &'static Coin {
    "bitcoin".parse().unwrap()
}

fn config(fake: &Fake) -> Config {
    let mut config = Config::at(fake.url());
    config.poll_ms = 50;
    config.check_s = 1;
    config.refresh_s = 1;
    config.patience = Patience {
        quick: Duration::from_secs(5),
        block: Duration::from_secs(5),
        template: Duration::from_secs(5),
        long_poll: Duration::from_secs(5),
        wait: Duration::from_secs(5),
        scan: Duration::from_secs(5),
        transfer: Duration::from_secs(5),
    };
    config
}

impl Pool {
    fn with(configs: Vec<Config>) -> Self {
        Self::on(configs, Network::Main, tempfile::tempdir().unwrap())
    }

    fn on(configs: Vec<Config>, network: Network, blocks: tempfile::TempDir) -> Self {
        let (tasks, failures) = Tasks::new();
        let folder = blocks.path().join("blocks");
        let (daemons, feed) = start(
            configs,
            bitcoin(),
            network,
            "",
            folder,
            FirstBlock::any(),
            &tasks,
        )
        .unwrap();
        Self {
            daemons,
            feed,
            tasks,
            _failures: failures,
            blocks,
        }
    }

    fn of(fakes: &[&Fake]) -> Self {
        Self::with(fakes.iter().map(|fake| config(fake)).collect())
    }

    async fn until<T>(&mut self, wanted: impl Fn(&Feed) -> Option<T>) -> T {
        let found = timeout(LIMIT, async {
            loop {
                if let Some(found) = wanted(&self.feed.borrow_and_update()) {
                    return found;
                }
                self.feed.changed().await.unwrap();
            }
        });
        match found.await {
            Ok(found) => found,
            Err(_) => panic!(
                "still {:?}, {:?}",
                *self.feed.borrow(),
                self.daemons.health()
            ),
        }
    }

    async fn template(&mut self, wanted: impl Fn(&Template, usize) -> bool) -> Arc<Template> {
        self.until(|feed| match feed {
            Feed::Template {
                template, daemon, ..
            } => template
                .bitcoin()
                .filter(|template| wanted(template, *daemon))
                .cloned(),
            _ => None,
        })
        .await
    }

    async fn mining_on(&mut self, tip: Hash) -> Arc<Template> {
        self.template(|template, _| template.previous == tip).await
    }

    async fn from(&mut self, index: usize) {
        self.template(|_, daemon| daemon == index).await;
    }

    async fn stopped(&mut self, because: &str) {
        self.until(|feed| match feed {
            Feed::Stopped { reason, .. } => reason.contains(because).then_some(()),
            _ => None,
        })
        .await;
    }
}

/// A block whose header has this parent.
fn block_on(parent: Hash) -> Arc<str> {
    format!("00000020{}{}", hex::encode(parent.0), "00".repeat(100)).into()
}

async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < LIMIT, "not in time: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn what_the_daemon_wants_mined_is_published() {
    let fake = Fake::start();
    let mut pool = Pool::of(&[&fake]);
    let template = pool.mining_on(fake.tip()).await;
    assert_eq!(template.height, 1001);
    assert_eq!(
        (template.value.units(), template.fees.units()),
        (5_000_001_000, 1000)
    );
    assert_eq!(template.transactions.hex(), "0102");
    assert_eq!(template.kind, TemplateKind::Full);
    let health = pool.daemons.health().remove(0);
    assert_eq!(health.fit, Ok(()));
    assert_eq!(
        (health.height, health.peers, health.version),
        (Some(1000), Some(8), Some(290_000))
    );
    assert_eq!(health.name, fake.url());
    assert!(pool.tasks.shut_down().await);
}

#[tokio::test]
async fn a_template_of_eight_megabytes_holds_up_nobody() {
    let fake = Fake::start();
    let mut pool = Pool::of(&[&fake]);
    pool.from(0).await;
    let transactions: Vec<Value> = (0..4000u16)
        .map(|index| {
            let mut txid = Hash([0; 32]);
            txid.0[..2].copy_from_slice(&index.to_le_bytes());
            json!({ "data": "ab".repeat(1000), "txid": txid, "hash": txid, "fee": 1, "depends": [] })
        })
        .collect();
    fake.set(|state| state.transactions = Some(json!(transactions)));
    let template = pool
        .template(|template, _| template.transactions.count() == 4000)
        .await;
    assert_eq!(template.transactions.hex().len(), 8_000_000);
    assert_eq!(template.fees.units(), 4000);
}

#[tokio::test]
async fn a_new_tip_is_mined_on_at_once_without_transactions_and_then_with() {
    let fake = Fake::start();
    let mut pool = Pool::of(&[&fake]);
    pool.mining_on(fake.tip()).await;
    fake.script("getblocktemplate", [Play::Slow(Duration::from_millis(700))]);
    let tip = fake.mine();
    let first = pool.mining_on(tip).await;
    assert_eq!(first.kind, TemplateKind::SubsidyOnly);
    assert_eq!(
        (first.value, first.fees),
        (Amount::from_units(5_000_000_000), Amount::ZERO)
    );
    assert_eq!((first.height, first.transactions.count()), (1002, 0));
    assert_eq!(first.bits, 0x1d00_ffff);
    let full = pool
        .template(|t, _| t.previous == tip && t.kind == TemplateKind::Full)
        .await;
    assert_eq!((full.height, full.transactions.count()), (1002, 1));
    assert!(first.min_time >= full.min_time);
}

#[tokio::test]
async fn a_wrong_subsidy_only_template_is_the_last_one() {
    let fake = Fake::start();
    let mut pool = Pool::of(&[&fake]);
    pool.mining_on(fake.tip()).await;
    // The subsidy changes where no rule told so.
    fake.set(|state| {
        state
            .always
            .insert("getblocktemplate", Play::Slow(Duration::from_millis(700)))
    });
    fake.set(|state| state.subsidy /= 2);
    let tip = fake.mine();
    assert_eq!(pool.mining_on(tip).await.kind, TemplateKind::SubsidyOnly);
    pool.template(|t, _| t.previous == tip && t.kind == TemplateKind::Full)
        .await;
    for _ in 0..3 {
        let tip = fake.mine();
        assert_eq!(pool.mining_on(tip).await.kind, TemplateKind::Full);
    }
}

#[tokio::test]
async fn subsidy_only_templates_can_be_switched_off() {
    let fake = Fake::start();
    let mut quiet = config(&fake);
    quiet.subsidy_only = false;
    let mut pool = Pool::with(vec![quiet]);
    pool.mining_on(fake.tip()).await;
    fake.set(|state| {
        state
            .always
            .insert("getblocktemplate", Play::Slow(Duration::from_millis(100)))
    });
    for _ in 0..3 {
        let tip = fake.mine();
        assert_eq!(pool.mining_on(tip).await.kind, TemplateKind::Full);
    }
}

/// A pool that would not look by itself for long.
async fn waiting_for_news(fake: &Fake) -> Pool {
    let mut slow = config(fake);
    slow.poll_ms = 10_000;
    slow.refresh_s = 300;
    let mut pool = Pool::with(vec![slow]);
    pool.mining_on(fake.tip()).await;
    pool
}

async fn is_told_by(pool: &mut Pool, tip: Hash, source: Source) {
    let begun = Instant::now();
    pool.mining_on(tip).await;
    assert!(begun.elapsed() < Duration::from_secs(8));
    assert_eq!(pool.daemons.health()[0].notified_by, Some(source));
    pool.template(|t, _| t.previous == tip && t.kind == TemplateKind::Full)
        .await;
}

#[tokio::test]
async fn a_poke_is_enough() {
    let fake = Fake::start();
    let mut pool = waiting_for_news(&fake).await;
    let tip = fake.mine();
    pool.daemons.poke();
    is_told_by(&mut pool, tip, Source::Poke).await;
}

#[tokio::test]
async fn a_long_poll_is_enough() {
    let fake = Fake::start();
    fake.set(|state| {
        state.waits = true;
        state
            .always
            .insert("waitfornewblock", Play::Error(-32601, "Method not found"));
    });
    let mut pool = waiting_for_news(&fake).await;
    for _ in 0..3 {
        let tip = fake.mine();
        is_told_by(&mut pool, tip, Source::LongPoll).await;
    }
}

#[tokio::test]
async fn wait_for_new_block_is_enough() {
    let fake = Fake::start();
    fake.set(|state| state.waits = true);
    // Templates that come by long poll come too late.
    let mut pool = waiting_for_news(&fake).await;
    eventually("a wait", || fake.calls("waitfornewblock") > 0).await;
    fake.set(|state| {
        state
            .always
            .insert("getblocktemplate", Play::Slow(Duration::from_millis(200)))
    });
    // On a busy machine a look may be there first; among so many blocks one is told by the wait.
    let mut told_by = Vec::new();
    let told = [Source::WaitForNewBlock, Source::LongPoll].map(Some);
    while told_by.len() < 3 || (told_by.len() < 20 && !told_by.iter().any(|by| told.contains(by))) {
        let calls = fake.calls("waitfornewblock");
        let tip = fake.mine();
        pool.template(|t, _| t.previous == tip && t.kind == TemplateKind::Full)
            .await;
        told_by.push(pool.daemons.health()[0].notified_by);
        eventually("the next wait", || fake.calls("waitfornewblock") > calls).await;
    }
    assert!(told_by.iter().any(|by| told.contains(by)), "{told_by:?}");
}

#[tokio::test]
async fn hashblock_is_enough_and_a_dead_publisher_is_no_harm() {
    use zeromq::{Socket, SocketSend};
    let fake = Fake::start();
    let mut publisher = zeromq::PubSocket::new();
    let endpoint = publisher
        .bind("tcp://127.0.0.1:0")
        .await
        .unwrap()
        .to_string();
    fake.set(|state| state.zmq = Some(endpoint));
    let mut pool = waiting_for_news(&fake).await;
    let tip = fake.mine();
    let mut printed = tip.0;
    printed.reverse();
    let frames: Vec<axum::body::Bytes> = vec![
        "hashblock".into(),
        printed.to_vec().into(),
        vec![0; 4].into(),
    ];
    // Published until somebody listens.
    let publishing = async {
        loop {
            let message = zeromq::ZmqMessage::try_from(frames.clone()).unwrap();
            let _ = publisher.send(message).await;
            sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        () = publishing => {}
        () = is_told_by(&mut pool, tip, Source::Zmq) => {}
    }
    drop(publisher);
    let tip = fake.mine();
    pool.daemons.poke();
    is_told_by(&mut pool, tip, Source::Poke).await;
}

#[tokio::test]
async fn a_daemon_whose_waits_return_at_once_is_not_flooded() {
    let fake = Fake::start();
    fake.set(|state| {
        state.waits = true;
        state.restless = true;
    });
    let mut pool = waiting_for_news(&fake).await;
    sleep(Duration::from_millis(1500)).await;
    for method in [
        "getblocktemplate",
        "waitfornewblock",
        "getblockchaininfo",
        "getblockheader",
    ] {
        let calls = fake.calls(method);
        assert!(calls <= 8, "{method} {calls} times");
    }
    let tip = fake.mine();
    pool.daemons.poke();
    pool.mining_on(tip).await;
}

#[tokio::test]
async fn a40_pokes_without_a_block_cost_little() {
    let fake = Fake::start();
    let begun = Instant::now();
    let pool = waiting_for_news(&fake).await;
    let before = fake.calls("getblocktemplate");
    for _ in 0..500 {
        pool.daemons.poke();
        tokio::task::yield_now().await;
    }
    sleep(Duration::from_millis(300)).await;
    // They are 20 ms apart, however long the machine takes.
    let most = begun.elapsed().as_millis() / 20 + 10;
    assert!(u128::try_from(fake.calls("getblockchaininfo")).unwrap() <= most);
    assert_eq!(fake.calls("getblocktemplate"), before);
}

#[tokio::test]
async fn a42_work_stops_with_the_reason_and_goes_on_without_a_restart() {
    let fake = Fake::start();
    let mut pool = Pool::of(&[&fake]);
    pool.mining_on(fake.tip()).await;
    fake.set(|state| state.chain = "regtest");
    pool.stopped("it is on the chain \"regtest\", not on \"main\"")
        .await;
    fake.set(|state| state.chain = "main");
    pool.from(0).await;
    fake.set(|state| state.initial_download = true);
    pool.stopped("initial download").await;
    fake.set(|state| state.initial_download = false);
    pool.from(0).await;
    fake.set(|state| state.peers = 0);
    pool.stopped("0 peers").await;
    fake.set(|state| state.peers = 3);
    pool.from(0).await;
    fake.set(|state| state.genesis = Hash([1; 32]));
    pool.stopped("first block").await;
    fake.set(|state| state.genesis = super::fake::GENESIS.parse().unwrap());
    pool.from(0).await;
    fake.set(|state| state.version = 240_000);
    pool.stopped("CVE-2024-35202").await;
    fake.set(|state| state.version = 250_000);
    pool.from(0).await;
    for (code, reason) in [
        (-9, "not connected"),
        (-10, "in initial download"),
        (-28, "starting"),
    ] {
        fake.set(|state| {
            state
                .always
                .insert("getblocktemplate", Play::Error(code, "no"))
        });
        pool.stopped(reason).await;
        fake.set(|state| state.always.clear());
        pool.from(0).await;
    }
    fake.set(|state| {
        state
            .always
            .insert("getblockchaininfo", Play::Error(-28, "Loading"))
    });
    pool.stopped("starting: Loading").await;
    fake.set(|state| state.always.clear());
    pool.from(0).await;
}

#[tokio::test]
async fn a42_an_old_tip_is_not_mined_on() {
    let fake = Fake::start();
    fake.set(|state| state.tip_time = now() - 20 * 600 - 60);
    let mut pool = Pool::of(&[&fake]);
    pool.stopped("its tip is 201 minutes old").await;
    let tip = fake.mine();
    pool.mining_on(tip).await;
}

#[tokio::test]
async fn a_template_that_cannot_be_mined_is_a_reason() {
    let fake = Fake::start();
    let template = Play::Result(json!({ "height": -1 }));
    fake.set(|state| state.always.insert("getblocktemplate", template));
    let mut pool = Pool::of(&[&fake]);
    pool.stopped("no template: malformed reply").await;
    fake.set(|state| state.always.clear());
    pool.from(0).await;
}

#[tokio::test]
async fn a_daemon_that_is_down_is_left_alone_and_found_again() {
    let fake = Fake::start();
    let mut pool = Pool::of(&[&fake]);
    pool.mining_on(fake.tip()).await;
    fake.stop();
    pool.stopped("unreachable").await;
    assert_ne!(pool.daemons.health()[0].breaker, breaker::State::Closed);
    fake.start_again();
    assert!(pool.daemons.reset_breaker(0));
    assert!(!pool.daemons.reset_breaker(1));
    pool.from(0).await;
    fake.stop();
    pool.stopped("unreachable").await;
    fake.start_again();
    let tip = fake.mine();
    // By itself, after the breaker's pause.
    pool.mining_on(tip).await;
    assert_eq!(pool.daemons.health()[0].breaker, breaker::State::Closed);
}

#[tokio::test]
async fn a_daemon_that_hangs_stops_work() {
    let fake = Fake::start();
    let mut hasty = config(&fake);
    hasty.patience.quick = Duration::from_millis(700);
    hasty.patience.template = Duration::from_millis(900);
    let mut pool = Pool::with(vec![hasty]);
    pool.mining_on(fake.tip()).await;
    // Whatever it is that hangs, be everything else answered.
    for method in ["getblockchaininfo", "getnetworkinfo", "getblocktemplate"] {
        fake.set(|state| state.always.insert(method, Play::Hang));
        pool.stopped("no answer in").await;
        fake.set(|state| state.always.clear());
        pool.from(0).await;
    }
}

#[tokio::test]
async fn every_kind_of_broken_reply_is_told_and_survived() {
    let fake = Fake::start();
    let mut pool = Pool::of(&[&fake]);
    pool.mining_on(fake.tip()).await;
    for (play, reason) in [
        (Play::Http(500, ""), "HTTP 500"),
        (
            Play::Http(503, "Work queue depth exceeded"),
            "HTTP 503: Work queue depth exceeded",
        ),
        (Play::Http(200, "null"), "malformed reply"),
        (Play::Http(200, "{}"), "neither result nor error"),
        (Play::Http(200, "{\"result\":[1e400]}"), "malformed reply"),
        (Play::Http(403, ""), "rpcallowip"),
        (Play::Half, "broke off"),
        (Play::WrongLength, "broke off"),
        (Play::Huge(2 << 20), "more than 1048576 bytes"),
        (Play::Close, "unreachable"),
    ] {
        fake.set(|state| state.always.insert("getblockchaininfo", play));
        pool.stopped(reason).await;
        fake.set(|state| state.always.clear());
        pool.daemons.reset_breaker(0);
        pool.from(0).await;
    }
}

#[tokio::test]
async fn one_bad_reply_is_an_accident() {
    let fake = Fake::start();
    let mut pool = Pool::of(&[&fake]);
    pool.mining_on(fake.tip()).await;
    fake.script("getblockchaininfo", [Play::Close, Play::Half]);
    fake.script("getblocktemplate", [Play::Close]);
    let calls = fake.calls("getblockchaininfo");
    eventually("more looks", || fake.calls("getblockchaininfo") > calls + 5).await;
    assert!(matches!(*pool.feed.borrow(), Feed::Template { .. }));
}

#[tokio::test]
async fn the_next_daemon_takes_over_and_the_first_one_comes_back() {
    let (first, second) = (Fake::start(), Fake::start());
    let mut pool = Pool::of(&[&first, &second]);
    pool.from(0).await;
    first.stop();
    pool.from(1).await;
    let tip = second.mine();
    pool.mining_on(tip).await;
    first.start_again();
    first.mine();
    pool.from(0).await;
    // Behind the other one, it is not used, and used again once it has caught up.
    let tip = second.mine();
    pool.template(|t, daemon| daemon == 1 && t.previous == tip)
        .await;
    eventually("a daemon that stays behind", || {
        let told = pool.daemons.health()[0].fit.clone();
        told.is_err_and(|reason| reason.contains("others' are for 1003"))
    })
    .await;
    first.mine();
    pool.from(0).await;
    first.set(|state| state.peers = 0);
    second.set(|state| state.peers = 0);
    pool.stopped(&format!(
        "{}: it has 0 peers, not 1; {}: it",
        first.url(),
        second.url()
    ))
    .await;
}

#[tokio::test]
async fn a_new_cookie_is_read_when_the_old_one_is_refused() {
    let fake = Fake::start();
    // "__cookie__:one" and "__cookie__:two".
    fake.set(|state| state.login = Some("X19jb29raWVfXzpvbmU=".into()));
    let folder = tempfile::tempdir().unwrap();
    let cookie = folder.path().join(".cookie");
    let mut with_cookie = config(&fake);
    with_cookie.cookie = Some(cookie.clone());
    let mut pool = Pool::with(vec![with_cookie]);
    pool.stopped("cookie file").await;
    std::fs::write(&cookie, "__cookie__:one").unwrap();
    pool.from(0).await;
    fake.set(|state| state.login = Some("X19jb29raWVfXzp0d28=".into()));
    pool.stopped("the cookie is not this daemon's").await;
    std::fs::write(&cookie, "__cookie__:two\n").unwrap();
    pool.from(0).await;
    // Written before the old one is refused: nobody notices.
    std::fs::write(&cookie, "__cookie__:one").unwrap();
    fake.set(|state| state.login = Some("X19jb29raWVfXzpvbmU=".into()));
    let tip = fake.mine();
    pool.template(|t, _| t.previous == tip && t.kind == TemplateKind::Full)
        .await;
    assert!(!matches!(*pool.feed.borrow(), Feed::Stopped { .. }));
}

#[tokio::test]
async fn a_wrong_password_is_told_without_showing_it() {
    let fake = Fake::start();
    fake.set(|state| state.login = Some("dTpw".into())); // u:p
    let mut wrong = config(&fake);
    (wrong.user, wrong.password) = (Some("u".into()), Some("hunter2".into()));
    let mut pool = Pool::with(vec![wrong.clone()]);
    pool.stopped("not let in: user or password is wrong").await;
    let shown = format!("{:?} {:?}", pool.daemons.health(), pool.daemons);
    assert!(!shown.contains("hunter2"));
    wrong.password = Some("p".into());
    Pool::with(vec![wrong]).from(0).await;
}

#[tokio::test]
async fn a34_each_answer_to_a_solved_block_has_its_verdict() {
    let fake = Fake::start();
    let mut hasty = config(&fake);
    // One answer is none.
    hasty.patience.block = Duration::from_secs(3);
    let mut pool = Pool::with(vec![hasty]);
    pool.from(0).await;
    let hash = block_id(2, 1001);
    let text = |text: &str| Play::Result(json!(text));
    let rejected = |reason: &str| Verdict::Rejected(reason.into());
    for (plays, expected) in [
        (vec![Play::Result(Value::Null)], Verdict::Accepted),
        (vec![text("duplicate")], Verdict::Accepted),
        (
            vec![text("duplicate-invalid")],
            rejected("duplicate-invalid"),
        ),
        (vec![text("high-hash")], rejected("high-hash")),
        (
            vec![text("bad-txns-vin-empty")],
            rejected("bad-txns-vin-empty"),
        ),
        (vec![text("rejected")], rejected("rejected")),
        (
            vec![Play::Error(-22, "Block decode failed")],
            rejected("Block decode failed"),
        ),
        (
            vec![Play::Error(-28, "Loading block index…")],
            Verdict::Accepted,
        ),
        (vec![Play::Error(-25, "error")], Verdict::Accepted),
        (vec![Play::Http(500, "")], Verdict::Accepted),
        (vec![Play::Http(401, "")], Verdict::Accepted),
        (vec![Play::Half], Verdict::Accepted),
        (vec![Play::WrongLength], Verdict::Accepted),
        (vec![Play::Close, text("duplicate")], Verdict::Accepted),
        (vec![Play::Hang], Verdict::Accepted),
        (vec![text("prev-blk-not-found")], Verdict::Accepted),
        (
            vec![text("inconclusive"), text("duplicate-invalid")],
            rejected("duplicate-invalid"),
        ),
    ] {
        let told = format!("{plays:?}");
        fake.set(|state| state.script.remove("submitblock"));
        fake.script("submitblock", plays);
        let mut submission = pool.daemons.submit(block_on(fake.tip()), hash);
        let verdict = timeout(LIMIT, submission.next()).await.unwrap();
        assert_eq!(verdict, Some((0, expected)), "{told}");
        assert_eq!(submission.next().await, None);
    }
}

#[tokio::test]
async fn a34_an_inconclusive_answer_is_asked_about() {
    let fake = Fake::start();
    let mut pool = Pool::of(&[&fake]);
    pool.from(0).await;
    for (reason, confirmations, status, expected) in [
        ("inconclusive", 1, "active", Verdict::Accepted),
        ("duplicate-inconclusive", 0, "active", Verdict::Accepted),
        ("inconclusive", -1, "valid-fork", Verdict::SideBranch),
        (
            "inconclusive",
            -1,
            "invalid",
            Verdict::Rejected("inconclusive".into()),
        ),
    ] {
        let hash = block_id(2, 1001);
        fake.script("submitblock", [Play::Result(json!(reason))]);
        let tips = json!([{ "height": 1001, "hash": hash, "branchlen": 1, "status": status }]);
        fake.set(|state| {
            state.known.insert(hash, confirmations);
            state.always.insert("getchaintips", Play::Result(tips));
        });
        let mut submission = pool.daemons.submit(block_on(fake.tip()), hash);
        assert_eq!(submission.next().await, Some((0, expected)));
    }
}

#[tokio::test]
async fn a36_a_block_goes_to_every_daemon_and_the_first_acceptance_is_known_at_once() {
    let (first, second, third) = (Fake::start(), Fake::start(), Fake::start());
    first.set(|state| state.always.insert("submitblock", Play::Hang));
    second.set(|state| {
        state
            .always
            .insert("submitblock", Play::Result(json!("bad-cb-height")))
    });
    let mut configs = [&first, &second, &third].map(config);
    // Whoever waited for the first one would know no earlier.
    configs[0].patience.block = Duration::from_secs(12);
    let mut pool = Pool::with(configs.into());
    pool.from(0).await;
    let block = block_on(third.tip());
    let begun = Instant::now();
    let mut submission = pool.daemons.submit(Arc::clone(&block), Hash([3; 32]));
    assert_eq!(submission.accepted().await, Ok(2));
    assert!(begun.elapsed() < Duration::from_secs(10));
    eventually("all have it", || {
        [&first, &second, &third]
            .iter()
            .all(|f| f.set(|state| state.submitted == [&*block]))
    })
    .await;
    // The others say what they think of it in the end.
    first.set(|state| state.always.clear());
    let mut others = Vec::new();
    while let Some(verdict) = timeout(LIMIT, submission.next()).await.unwrap() {
        others.push(verdict);
    }
    assert!(others.contains(&(0, Verdict::Accepted)), "{others:?}");
}

#[tokio::test]
async fn a_block_goes_over_an_open_connection_whatever_else_is_asked() {
    let fake = Fake::start();
    let mut patient = config(&fake);
    // A block that waited for the template, or went after it, would take as long.
    patient.patience.template = Duration::from_secs(20);
    patient.patience.block = Duration::from_secs(20);
    let mut pool = Pool::with(vec![patient]);
    pool.from(0).await;
    fake.set(|state| state.always.insert("getblocktemplate", Play::Hang));
    let asked = fake.calls("getblocktemplate");
    eventually("a template that hangs", || {
        fake.calls("getblocktemplate") > asked
    })
    .await;
    let looks = fake.calls("getblockchaininfo");
    eventually("a look", || fake.calls("getblockchaininfo") > looks).await;
    // A look of that moment may have the one connection that is open.
    for _ in 0..3 {
        let before = fake.set(|state| state.accepted);
        let begun = Instant::now();
        let mut submission = pool.daemons.submit(block_on(fake.tip()), Hash([3; 32]));
        assert_eq!(submission.accepted().await, Ok(0));
        assert!(begun.elapsed() < Duration::from_secs(10));
        if fake.set(|state| state.accepted) == before {
            return;
        }
    }
    panic!("each block opened a connection");
}

#[tokio::test]
async fn a37_a_block_waits_for_a_daemon_that_is_down_and_passes_its_breaker() {
    let fake = Fake::start();
    let mut pool = Pool::of(&[&fake]);
    pool.from(0).await;
    fake.stop();
    pool.stopped("unreachable").await;
    let tip = fake.tip();
    let mut submission = pool.daemons.submit(block_on(tip), Hash([3; 32]));
    assert!(
        timeout(Duration::from_millis(300), submission.next())
            .await
            .is_err()
    );
    fake.start_again();
    assert_eq!(timeout(LIMIT, submission.accepted()).await.unwrap(), Ok(0));
}

#[tokio::test]
async fn a37_a_block_that_is_buried_is_given_up() {
    let (up, down) = (Fake::start(), Fake::start());
    down.set(|state| state.always.insert("submitblock", Play::Http(500, "")));
    let mut pool = Pool::of(&[&up, &down]);
    pool.from(0).await;
    let mut submission = pool.daemons.submit(block_on(up.tip()), Hash([3; 32]));
    assert_eq!(submission.next().await, Some((0, Verdict::Accepted)));
    for _ in 0..6 {
        up.mine();
    }
    assert!(
        timeout(Duration::from_millis(1500), submission.next())
            .await
            .is_err()
    );
    up.mine();
    assert_eq!(
        timeout(LIMIT, submission.next()).await.unwrap(),
        Some((1, Verdict::Buried))
    );
}

#[tokio::test]
async fn a37_a_kept_block_is_sent_again_after_a_crash_until_it_is_forgotten() {
    let fake = Fake::start();
    let pool = Pool::of(&[&fake]);
    let (block, hash) = (block_on(fake.tip()), Hash([3; 32]));
    pool.daemons
        .submit(Arc::clone(&block), hash)
        .accepted()
        .await
        .unwrap();
    let file = pool.blocks.path().join(format!("blocks/{hash}.hex"));
    eventually("the file", || {
        std::fs::read_to_string(&file).is_ok_and(|kept| *kept == *block)
    })
    .await;
    assert!(pool.tasks.shut_down().await);
    fake.set(|state| state.submitted.clear());

    let pool = Pool::on(vec![config(&fake)], Network::Main, pool.blocks);
    eventually("sent again", || {
        fake.set(|state| state.submitted == [&*block])
    })
    .await;
    pool.daemons.forget(hash).await;
    assert!(!file.exists());
}

#[tokio::test]
async fn a37_a_block_nobody_answered_is_kept_when_the_process_ends() {
    let fake = Fake::start();
    fake.stop();
    let pool = Pool::of(&[&fake]);
    let hash = Hash([3; 32]);
    let mut submission = pool.daemons.submit(block_on(fake.tip()), hash);
    assert!(pool.tasks.shut_down().await);
    assert_eq!(
        submission.accepted().await,
        Err(vec![(0, Verdict::Unanswered)])
    );
    assert!(
        pool.blocks
            .path()
            .join(format!("blocks/{hash}.hex"))
            .exists()
    );
}

#[tokio::test]
async fn a36_a_disk_that_refuses_does_not_keep_a_block_back() {
    let fake = Fake::start();
    let blocks = tempfile::tempdir().unwrap();
    std::fs::write(
        blocks.path().join("blocks"),
        "a file where the folder should be",
    )
    .unwrap();
    let pool = Pool::on(vec![config(&fake)], Network::Main, blocks);
    let mut submission = pool.daemons.submit(block_on(fake.tip()), Hash([3; 32]));
    assert_eq!(submission.accepted().await, Ok(0));
}

#[tokio::test]
async fn a42_the_status_of_a_block_comes_from_fit_daemons_only() {
    let (first, second) = (Fake::start(), Fake::start());
    let mut pool = Pool::of(&[&first, &second]);
    assert_eq!(
        pool.daemons.block_status(Hash([9; 32])).await,
        Err(Unanswered::NoneFit)
    );
    pool.from(0).await;
    eventually("both fit", || {
        pool.daemons.health().iter().all(|h| h.fit.is_ok())
    })
    .await;
    let status = |height, confirmations| {
        Ok(Some(BlockStatus {
            height,
            confirmations,
        }))
    };
    assert_eq!(
        pool.daemons.block_status(block_id(1, 991)).await,
        status(991, 10)
    );
    assert_eq!(pool.daemons.block_status(Hash([9; 32])).await, Ok(None));
    second.set(|state| state.known.insert(Hash([9; 32]), -1));
    assert_eq!(
        pool.daemons.block_status(Hash([9; 32])).await,
        status(1000, -1)
    );
    second.set(|state| state.peers = 0);
    eventually("unfit", || pool.daemons.health()[1].fit.is_err()).await;
    assert_eq!(pool.daemons.block_status(Hash([9; 32])).await, Ok(None));
}

#[tokio::test]
async fn a39_a_proposal_is_checked_by_the_daemon_mined_with() {
    let fake = Fake::start();
    let mut pool = Pool::of(&[&fake]);
    pool.from(0).await;
    assert_eq!(pool.daemons.propose("00").await, Ok(Proposal::Good));
    fake.set(|state| {
        state
            .always
            .insert("getblocktemplate", Play::Result(json!("bad-cb-amount")));
    });
    assert_eq!(
        pool.daemons.propose("00").await,
        Ok(Proposal::Bad("bad-cb-amount".into()))
    );
    fake.set(|state| {
        let stale = Play::Result(json!("inconclusive-not-best-prevblk"));
        state.always.insert("getblocktemplate", stale);
    });
    assert_eq!(pool.daemons.propose("00").await, Ok(Proposal::Stale));
}

#[test]
fn a_configuration_that_cannot_work_is_refused() {
    let (tasks, _failures) = Tasks::new();
    let refused = |configs: Vec<Config>, coin: &'static Coin, network| {
        let started = start(
            configs,
            coin,
            network,
            "",
            "blocks".into(),
            FirstBlock::any(),
            &tasks,
        );
        format!("{:#}", started.map(|_| ()).unwrap_err())
    };
    let one = || Config::at("http://127.0.0.1:1");
    assert!(refused(vec![], bitcoin(), Network::Main).contains("no daemon"));
    assert!(refused(vec![one(), one()], bitcoin(), Network::Main).contains("twice"));
    let dogecoin: &'static Coin = "dogecoin".parse().unwrap();
    assert!(refused(vec![one()], dogecoin, Network::Signet).contains("no network signet"));
}
