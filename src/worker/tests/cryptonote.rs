//! The worker against pools of Monero's family: RandomX is hashed on both sides, light and in few hashes.

mod hostile;
mod pool;

use mining::cryptonote::ShareTarget;
use wire::cryptonote::{Extensions, Reason, reply};

use self::pool::{Job, Login, Miner, OTHER_SEED, SESSION, Share};
use super::*;

const ADDRESS: &str = "41yTY1oyTkuFzX4LWNkaVVapycdakhy6uU6cZKZN4twVdZao2tJaWzCW8gPhY6hJ5GSfARM7GjY5B76svoM3dkDZFFrxKKg";

/// One that mines RandomX, light.
fn start(pool: &Pool, waits: Waits, change: impl FnOnce(&mut Config)) -> Worker {
    Worker::start(pool, waits, |config| {
        config.user = format!("{ADDRESS}.rig1");
        config.randomx = Mode::Light;
        change(config);
    })
}

/// One that has logged in and has its first job, of this difficulty.
async fn mining(pool: &Pool, difficulty: u64) -> (Miner, Job) {
    let mut miner = pool::accept(pool).await;
    let job = miner.next_job(difficulty);
    miner.let_in(&job).await;
    (miner, job)
}

#[tokio::test]
async fn a_worker_logs_in_mines_and_counts_its_shares() {
    let pool = Pool::new().await;
    let (events, mut told) = mpsc::channel(64);
    let mut worker = start(&pool, quick(), |config| {
        config.password = "rig1:mail@example".into();
        config.threads = 2;
        config.events = Some(events);
    });
    let mut miner = pool::accept(&pool).await;
    let job = miner.next_job(2);
    let login: Login = miner.let_in(&job).await;
    assert_eq!(login.login, format!("{ADDRESS}.rig1"));
    assert_eq!(login.password.as_deref(), Some("rig1:mail@example"));
    assert!(login.agent.unwrap().starts_with("adit/"));
    assert_eq!(login.rig.as_deref(), Some("rig1"));
    assert_eq!(login.algorithms, ["rx/0"]);

    let mut nonces = std::collections::HashSet::new();
    for count in 1..=8 {
        let share = miner.share().await;
        job.verify(&share);
        assert_eq!(share.algorithm.as_deref(), Some("rx/0"));
        assert!(nonces.insert(share.nonce), "no nonce comes twice");
        match count {
            1..=5 => miner.accept(&share),
            6 => miner.refuse(&share, Reason::LowDifficulty),
            7 => miner.refuse(&share, Reason::BlockExpired),
            _ => miner
                .line
                .send(json!({"id": 0, "result": null, "error": null})),
        }
    }
    let figures = worker
        .until(|figures| figures.accepted == 5 && figures.rejected_total() == 2)
        .await;
    assert_eq!(figures.rejected["Low difficulty share"], 1);
    assert_eq!(figures.rejected["Block expired"], 1);
    assert_eq!(figures.job_id.as_deref(), Some("1"));
    assert_eq!(figures.difficulty, Some(2.0));
    assert!(figures.best.unwrap() >= 2.0);
    worker.until(|figures| figures.hashrate > 0).await;
    assert_eq!(worker.figures.borrow().connections, 1, "it has stayed");
    worker.end().await;

    let pool = pool.url();
    assert_eq!(told.recv().await, Some(Event::Connected { pool }));
    let job = Event::Job {
        job_id: "1".into(),
        difficulty: 2.0,
        clean: true,
    };
    assert_eq!(told.recv().await, Some(job));
    let Some(Event::Accepted { best, .. }) = told.recv().await else {
        panic!("the first share was accepted");
    };
    assert!(best >= 2.0);
}

#[tokio::test]
async fn a_new_job_and_a_new_seed_are_taken_up_without_losing_the_connection() {
    let pool = Pool::new().await;
    let mut worker = start(&pool, quick(), |_| {});
    let (mut miner, job) = mining(&pool, 1).await;
    let share = miner.share_of(&job).await;
    miner.accept(&share);

    let mut announced = miner.next_job(1);
    announced.next = Some(OTHER_SEED);
    miner.send(&announced);
    let share = miner.share_of(&announced).await;
    miner.accept(&share);

    let mut other = miner.next_job(1);
    other.seed = OTHER_SEED;
    other.blob[10] = 0x99;
    miner.send(&other);
    for _ in 0..3 {
        let share = miner.share_of(&other).await;
        miner.accept(&share);
    }
    let figures = worker.until(|figures| figures.accepted == 5).await;
    assert_eq!((figures.connections, figures.discarded), (1, 0));
    worker.end().await;
}

/// Nothing on this wire says that a job is over.
#[tokio::test]
async fn a_share_of_an_older_job_of_the_connection_is_sent() {
    let pool = Pool::new().await;
    let mut worker = start(&pool, quick(), |config| config.threads = 2);
    let (mut miner, old) = mining(&pool, 1).await;
    // While nothing is answered, what is found waits.
    let first = miner.share_of(&old).await;
    for _ in 1..32 {
        miner.share_of(&old).await;
    }
    worker.until(|figures| figures.hashes > 40).await;
    let new = miner.next_job(1);
    miner.send(&new);
    worker
        .until(|figures| figures.job_id.as_deref() == Some("2"))
        .await;
    miner.accept(&first);
    let share = miner.share().await;
    old.verify(&share);
    assert_eq!(worker.figures.borrow().discarded, 0);
    worker.end().await;
}

#[tokio::test]
async fn nonces_keep_nicehash_s_byte_and_go_on_when_the_same_blob_comes_again() {
    let pool = Pool::new().await;
    let worker = start(&pool, quick(), |config| config.threads = 2);
    let mut miner = pool::accept(&pool).await;
    let mut job = miner.next_job(3);
    job.blob[42] = 5;
    miner.let_in(&job).await;
    let mut nonces = std::collections::HashSet::new();
    let mut take = |job: &Job, share: &Share| {
        job.verify(share);
        assert_eq!(share.nonce[3], 5);
        assert!(nonces.insert(share.nonce), "no nonce comes twice");
    };
    for _ in 0..4 {
        let share = miner.share().await;
        take(&job, &share);
        miner.accept(&share);
    }
    // The very same job, which changes nothing, and the same blob at another difficulty.
    miner.send(&job);
    let mut again = job.clone();
    (again.id, again.target) = (9, ShareTarget::new(2.try_into().unwrap()));
    miner.send(&again);
    let mut of_new = 0;
    while of_new < 4 {
        let share = miner.share().await;
        let is_new = share.job == 9;
        take(if is_new { &again } else { &job }, &share);
        of_new += u32::from(is_new);
        miner.accept(&share);
    }
    worker.end().await;
}

#[tokio::test]
async fn the_extension_keeps_the_byte_too_and_four_bytes_of_target_are_expanded() {
    let pool = Pool::new().await;
    let mut worker = start(&pool, quick(), |_| {});
    let mut miner = pool::accept(&pool).await;
    miner.extensions = Extensions {
        nicehash: true,
        ..Extensions::default()
    };
    let mut job = miner.next_job(1);
    job.target = ShareTarget::compact(3.try_into().unwrap());
    assert_eq!(job.target.as_bytes().len(), 4);
    miner.let_in(&job).await;
    for _ in 0..3 {
        let share = miner.share().await;
        job.verify(&share);
        assert_eq!((share.nonce[3], &share.algorithm), (0, &None));
        miner.accept(&share);
    }
    let figures = worker.until(|figures| figures.accepted == 3).await;
    assert_eq!(figures.difficulty, Some(3.0));
    worker.end().await;
}

#[tokio::test]
async fn a_sign_of_life_is_given_where_the_pool_heeds_it() {
    let waits = Waits {
        keep_alive: Duration::from_millis(50),
        answer: Duration::from_millis(1500),
        ..quick()
    };
    let pool = Pool::new().await;
    let mut worker = start(&pool, waits, |_| {});
    let mut miner = pool::accept(&pool).await;
    miner.extensions.keep_alive = true;
    let job = miner.next_job(u64::MAX);
    miner.let_in(&job).await;
    for _ in 0..3 {
        let request = miner.line.request("keepalived").await;
        assert_eq!(request["params"], json!({"id": SESSION}));
        let id = request["id"].clone();
        miner
            .line
            .send(json!({"id": id, "jsonrpc": "2.0", "error": null,
            "result": {"status": "KEEPALIVED"}}));
    }
    // Not answered, and then the pool is left.
    miner.line.request("keepalived").await;
    miner.line.gone().await;
    let left = worker.until(|figures| figures.last_error.is_some()).await;
    let told = left.last_error.unwrap();
    assert_eq!(told, "no answer to keepalived in 1.5s");

    // Without the extension nothing is said.
    let (mut miner, _) = mining(&pool, u64::MAX).await;
    let said = timeout(Duration::from_millis(300), miner.line.next_line()).await;
    assert!(said.is_err(), "{said:?}");
    worker.end().await;
}

#[tokio::test]
async fn a_pool_may_send_its_workers_to_another_port_of_its_host_and_nowhere_else() {
    let (pool, other) = (Pool::new().await, Pool::new().await);
    let mut worker = start(&pool, quick(), |_| {});
    let (mut miner, _) = mining(&pool, u64::MAX).await;
    miner.write(|out| reply::reconnect_to(out, "elsewhere.example", 3333));
    let job = miner.next_job(1);
    miner.send(&job);
    miner.share_of(&job).await;
    let port = other.port();
    miner.write(|out| reply::reconnect_to(out, "127.0.0.1", port));
    let (mut miner, job) = mining(&other, 1).await;
    miner.share_of(&job).await;
    drop(miner);
    // That connection is gone, and home is the first pool.
    let (mut miner, job) = mining(&pool, 1).await;
    miner.share_of(&job).await;
    worker.until(|figures| figures.connections == 3).await;
    worker.end().await;
}

#[tokio::test]
async fn where_no_algorithm_is_named_the_pool_s_first_words_decide() {
    let pool = Pool::new().await;
    let mut worker = start(&pool, quick(), |config| config.user = "somebody".into());
    let mut miner = pool::accept(&pool).await;
    let configure = miner.line.request("mining.configure").await;
    miner
        .line
        .send(json!({"id": configure["id"], "jsonrpc": "2.0",
        "error": {"code": -1, "message": "Unauthenticated"}}));
    let (mut miner, job) = mining(&pool, 1).await;
    let share = miner.share_of(&job).await;
    miner.accept(&share);
    worker.until(|figures| figures.accepted == 1).await;
    worker.end().await;

    // A pool that refuses in its own words stays what it is.
    let mut worker = Worker::start(&pool, quick(), |_| {});
    for _ in 0..2 {
        let mut miner = pool.accept().await;
        let configure = miner.request("mining.configure").await;
        miner.answer(&configure, json!({}));
        let subscribe = miner.request("mining.subscribe").await;
        miner.refuse(&subscribe, 20, "full");
    }
    worker.until(|figures| figures.last_error.is_some()).await;
    worker.end().await;
}

#[tokio::test]
async fn the_next_pool_is_mined_for_while_the_first_is_away_and_left_when_it_is_back() {
    let (first, second) = (Pool::at(free_port()).await, Pool::new().await);
    let waits = Waits {
        home: Duration::from_millis(300),
        ..quick()
    };
    let urls = vec![first.url(), second.url()];
    let mut worker = start(&first, waits, |config| config.urls = urls.clone());
    let (mut miner, job) = mining(&first, 1).await;
    let share = miner.share_of(&job).await;
    miner.accept(&share);
    worker.until(|figures| figures.accepted == 1).await;
    let port = first.port();
    drop((first, miner));

    let (mut miner, job) = mining(&second, 1).await;
    let share = miner.share_of(&job).await;
    miner.accept(&share);
    let figures = worker.until(|figures| figures.accepted == 2).await;
    assert_eq!(figures.pool, urls[1]);

    let first = Pool::at(port).await;
    // Only looked at, and then really.
    drop(first.accept().await);
    let (mut back, job) = mining(&first, 1).await;
    back.share_of(&job).await;
    let figures = worker.until(|figures| figures.connections == 3).await;
    assert_eq!(figures.pool, urls[0]);
    while miner.line.next_line().await.is_some() {}
    worker.end().await;
}
