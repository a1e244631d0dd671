//! Pools of HTTP that are broken or hostile: the worker leaves them, waits and comes back.

use super::*;

/// What is said of a pool that answers the first question for a job so.
async fn case(answer: impl FnOnce(&Question), told: &str) -> String {
    let mut pool = Pool::new().await;
    let worker = start(&pool, quick(), |config| {
        config.fail_fast = true;
        config.algorithm = Some(Algorithm::VisionX);
    });
    pool.register("t").await;
    let question = pool.asked("/pool/job").await;
    answer(&question);
    let ended = worker.task;
    // A pool that has not said all it wants is not waited for, and one whose connection broke is asked again.
    let failure = tokio::select! {
        ended = ended => ended.unwrap().unwrap_err(),
        () = async {
            drop(question);
            loop {
                drop(pool.asked("/pool/job").await);
            }
        } => unreachable!("a loop without an end"),
    };
    let failure = format!("{failure:#}");
    assert!(failure.contains(told), "{told:?} is not in {failure:?}");
    failure
}

/// Of a job with this field.
async fn field(name: &str, value: Value, told: &str) -> String {
    let mut work = job("7-1", 1, ONE_IN);
    work[name] = value;
    case(|question| question.answer(200, &work), told).await
}

/// It ends in a log, and on a terminal.
#[tokio::test]
async fn a_job_s_own_words_in_what_is_told_of_it_are_few_and_plain() {
    for key in ["epoch", "visionx"] {
        let words = "\u{1b}[2J\u{202e}".repeat(5_000);
        let told = field(key, json!(words), "cannot read the job").await;
        assert!(told.len() < 4_000, "{} bytes", told.len());
        assert!(!told.chars().any(char::is_control), "{told:?}");
    }
}

#[tokio::test]
async fn a_job_that_cannot_be_right_is_not_begun() {
    case(
        |question| question.answer(200, &json!("nonsense")),
        "cannot read the job",
    )
    .await;
    case(
        |question| question.answer(200, &json!("")),
        "cannot read the job",
    )
    .await;
    case(
        |question| question.answer(200, &json!([])),
        "cannot read the job",
    )
    .await;
    case(
        |question| question.answer(200, &json!("[".repeat(10_000))),
        "cannot read the job",
    )
    .await;
    case(|question| question.answer(200, &json!({})), "missing field").await;
    field("job_id", json!(7), "invalid type").await;
    field("job_id", json!(""), "name of 0").await;
    field("job_id", json!("x".repeat(1_000)), "name of 1000").await;
    field("algorithm", json!("x11"), "known are").await;
    field("algorithm", json!("rx/wow"), "cannot compute").await;
    field("algorithm", Value::Null, "says nothing").await;
    field(
        "algorithm",
        json!("sha256d"),
        "is for sha256d, and we mine visionx",
    )
    .await;
    field("share_target", json!("ff"), "share_target").await;
    field("share_target", json!("zz".repeat(32)), "share_target").await;
    field("message", json!(""), "empty message").await;
    field("message", json!("0"), "message").await;
    field("message", json!("00".repeat(2_000)), "message").await;
    field("epoch", json!(-1), "invalid value").await;
    field("epoch_seed", json!("00"), "epoch_seed").await;
    for (figure, value) in [
        ("dataset_mib", 4_000_000_000_u32),
        ("scratch_mib", 129),
        ("mix_iters", 1_000_001),
        ("reads_per_iter", 9),
        ("epoch_blocks", 0),
        ("mix_iters", 0),
    ] {
        let mut figures = json!(Params::LITE.figures());
        figures[figure] = json!(value);
        field(
            "visionx",
            figures,
            &format!("{figure} = {value} is not within"),
        )
        .await;
    }
}

#[tokio::test]
async fn a_header_that_cannot_be_right_is_not_begun() {
    async fn case(name: &str, value: Value, told: &str) {
        let mut work = json!({"job_id": "7-1", "height": 7, "prev_hash": "11".repeat(32),
            "share_target": "0f".repeat(32), "algorithm": "sha256d", "version": 536_870_912,
            "bits": "207fffff", "ntime": 1_700_000_000, "coinbase1": "00", "coinbase2": "00",
            "extranonce2_size": 4, "merkle_branch": ["22".repeat(32)],
            "extra_nonce_start": 5, "extra_nonce_end": 9});
        work[name] = value;
        let mut pool = Pool::new().await;
        let worker = start(&pool, quick(), |config| config.fail_fast = true);
        pool.register("t").await;
        drop(pool.give(&work).await);
        let failure = format!("{:#}", worker.ended().await.unwrap_err());
        assert!(failure.contains(told), "{told:?} is not in {failure:?}");
    }
    case("prev_hash", json!("11"), "cannot read").await;
    case("share_target", json!("00".repeat(32)), "target is zero").await;
    case("version", json!(-1), "cannot read").await;
    case("bits", json!("207ffff"), "bits").await;
    case("coinbase1", json!("0"), "coinbase").await;
    case("coinbase2", json!("00".repeat(40_000)), "coinbase").await;
    case("extranonce2_size", json!(0), "extranonce2 of 0").await;
    case(
        "extranonce2_size",
        json!(1_000_000_000),
        "extranonce2 of 1000000000",
    )
    .await;
    case(
        "merkle_branch",
        json!(vec!["22".repeat(32); 25]),
        "branch of 25",
    )
    .await;
    case("merkle_branch", json!(["22"]), "merkle_branch").await;
    case("extra_nonce_end", json!(5), "no extra nonces").await;
    case("extra_nonce_end", json!(4), "no extra nonces").await;
}

#[tokio::test]
async fn a_body_is_read_only_so_far() {
    let head = "HTTP/1.1 200 OK\r\n";
    let huge = format!(
        "{head}content-length: 10000000\r\n\r\n{}",
        "x".repeat(1 << 20)
    );
    case(
        |question| question.send(huge.into_bytes()),
        "an answer of more than",
    )
    .await;
    let mut endless = format!("{head}transfer-encoding: chunked\r\n\r\n");
    for _ in 0..200 {
        endless.push_str(&format!("1000\r\n{}\r\n", "x".repeat(0x1000)));
    }
    case(
        |question| question.send(endless.into_bytes()),
        "an answer of more than",
    )
    .await;
    let heads = format!("{head}{}", "a: b\r\n".repeat(10_000));
    case(
        |question| question.send(heads.into_bytes()),
        "connection lost",
    )
    .await;
    for nonsense in ["SSH-2.0-OpenSSH_9.2\r\n", "HTTP/1.1 999999 X\r\n\r\n"] {
        case(|question| question.send(nonsense.into()), "connection lost").await;
    }
}

#[tokio::test]
async fn an_answer_that_never_ends_is_not_waited_for() {
    let mut pool = Pool::new().await;
    let waits = Waits {
        answer: Duration::from_millis(400),
        ..quick()
    };
    let worker = start(&pool, waits, |config| config.fail_fast = true);
    let question = pool.asked("/pool/register").await;
    question.send(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{".to_vec());
    assert!(question.is_dropped().await);
    let failure = format!("{:#}", worker.ended().await.unwrap_err());
    assert_eq!(failure, "no answer in 400ms");
}

#[tokio::test]
async fn no_redirect_is_followed() {
    let mut elsewhere = Pool::new().await;
    let location = elsewhere.url();
    for status in [301, 302, 307, 308] {
        let answer = format!(
            "HTTP/1.1 {status} X\r\nlocation: {location}/pool/job\r\ncontent-length: 0\r\n\r\n"
        );
        let told = format!("HTTP {status}");
        case(|question| question.send(answer.into_bytes()), &told).await;
    }
    assert!(elsewhere.is_silent_of("/"));
}

#[tokio::test]
async fn what_else_a_pool_may_answer_is_told() {
    for (status, text, told) in [
        (404, "", "HTTP 404"),
        (500, "up\u{1b}[2J", "HTTP 500: up\\u{1b}[2J"),
        (200, "", "cannot read the job"),
        (
            400,
            "no worker_id given",
            "gives no job: no worker_id given",
        ),
        (403, "worker x is banned", "has banned us"),
    ] {
        case(|question| question.answer(status, &json!(text)), told).await;
    }
    // Of a registration.
    for (status, body, told) in [
        (
            400,
            json!("wallet_address: no address"),
            "does not register bcrt1qaddress.rig: wallet",
        ),
        (
            503,
            json!("as many workers as there may be"),
            "registers nobody now: as many",
        ),
        (200, json!("x"), "cannot read the registration"),
        (
            200,
            json!({"ok": true, "token": "a\nb"}),
            "token cannot be shown",
        ),
    ] {
        let mut pool = Pool::new().await;
        let worker = start(&pool, quick(), |config| config.fail_fast = true);
        pool.asked("/pool/register").await.answer(status, &body);
        let failure = format!("{:#}", worker.ended().await.unwrap_err());
        assert!(failure.contains(told), "{told:?} is not in {failure:?}");
    }
}
