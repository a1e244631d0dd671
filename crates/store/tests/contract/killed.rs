//! Killed at any instant, a store has all it ever promised, and each share once.

use std::{
    collections::HashSet,
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
    time::Duration,
};

use store::Integrity;

use super::{Place, hash, pool, share, worker};

const WRITER: &str = "ADIT_TEST_WRITER";
const KILLS: u64 = 20;
const BATCH: u64 = 64;

#[test]
fn what_was_answered_survives_kill_9() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    if let Ok(range) = std::env::var(WRITER) {
        runtime.block_on(write_until_killed(&range));
        return;
    }
    let place = Place::sqlite();
    let mut answered = HashSet::new();
    // Any seed will do: the instants have to differ, also within a commit.
    let mut chance = 0x9e37_79b9_7f4a_7c15_u64;
    for kill in 0..KILLS {
        chance = chance
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let time = Duration::from_micros((chance >> 40) % 90_000);
        let kill_at = if kill.is_multiple_of(5) {
            Kill::AfterStart(time)
        } else {
            Kill::AfterFirstAnswer(time)
        };
        answered.extend(killed(&place, kill * 10_000_000, kill_at));
    }
    runtime.block_on(async {
        let store = place.open().await;
        assert_eq!(store.integrity_check().await.unwrap(), Integrity::Whole);
        let pool = pool(&store).await;
        let stored = store.pool_total(pool).await.unwrap().shares;
        assert!(
            answered.len() > 1000,
            "too few to mean anything: {}",
            answered.len()
        );
        let count = u64::try_from(answered.len()).unwrap();
        assert!(stored >= count, "{count} answered, {stored} stored");
        // All those answered are there, each once.
        let hashes = store.newest_hashes(pool).await.unwrap();
        let there: HashSet<_> = hashes.iter().collect();
        assert_eq!(there.len(), hashes.len());
        assert_eq!(hashes.len(), usize::try_from(stored).unwrap());
        assert!(answered.iter().all(|number| there.contains(&hash(*number))));
    });
}

/// When a writer is killed.
enum Kill {
    AfterStart(Duration),
    AfterFirstAnswer(Duration),
}

/// Starts a writer of shares from `first` on and kills it. Gives what it answered.
fn killed(place: &Place, first: u64, kill: Kill) -> Vec<u64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "killed::what_was_answered_survives_kill_9",
            "--nocapture",
        ])
        .env(WRITER, format!("{first} {}", place.url()))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let (answer, first_answer) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        let mut answered = Vec::new();
        for line in output.lines().map_while(Result::ok) {
            if let Some(first) = line.strip_prefix("written ") {
                let first: u64 = first.parse().unwrap();
                answered.extend(first..first + BATCH);
                let _ = answer.send(());
            }
        }
        answered
    });
    let wait = match kill {
        Kill::AfterStart(time) => time,
        Kill::AfterFirstAnswer(time) => {
            first_answer
                .recv_timeout(Duration::from_secs(60))
                .expect("a writer that answers");
            time
        }
    };
    std::thread::sleep(wait);
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap()
}

#[test]
fn a_database_killed_while_it_is_made_opens() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for instant in 0..12 {
        let place = Place::sqlite();
        let answered = killed(
            &place,
            0,
            Kill::AfterStart(Duration::from_millis(4 + 2 * instant)),
        );
        runtime.block_on(async {
            let (store, pool) = place.pool().await;
            assert_eq!(store.integrity_check().await.unwrap(), Integrity::Whole);
            let stored = store.pool_total(pool).await.unwrap().shares;
            assert!(stored >= u64::try_from(answered.len()).unwrap());
        });
    }
}

/// Writes batches from several tasks, and says each that is written.
async fn write_until_killed(range: &str) {
    let (first, url) = range.split_once(' ').unwrap();
    let first: u64 = first.parse().unwrap();
    let store = store::Store::open(url).await.unwrap();
    let pool = pool(&store).await;
    let rig = worker("rig");
    for task in 0..3 {
        let (store, rig) = (store.clone(), rig.clone());
        tokio::spawn(async move {
            for batch in 0.. {
                let start = first + task * 1_000_000 + batch * BATCH;
                let rows: Vec<_> = (start..start + BATCH).map(|i| share(i, &rig)).collect();
                store.append_shares(pool, &rows).await.unwrap();
                // One write to the pipe, so that a line is whole or is not there.
                std::io::stdout()
                    .write_all(format!("\nwritten {start}\n").as_bytes())
                    .unwrap();
            }
        });
    }
    loop {
        store.roll_up(pool).await.unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
