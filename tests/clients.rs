//! Clients that others wrote: what they make of our words is not our own reading of the protocol.

use std::{
    io::ErrorKind,
    path::Path,
    process::{Command, Stdio},
};

use bitcoin::{CompactTarget, block};
use stratum::{
    Difficulty, Extranonce, Nonce, Notify, Version,
    client::{Client, Event, EventReceiver},
    merkle_root,
};

use crate::support::{ADDRESS, PATIENCE, Rig, runtime};

/// How many shares each client has to bring home.
const SHARES: u32 = 24;
/// The bits that it rolls in every other share.
const ROLLED: i32 = 0x0155_4000;

/// The newest work as the client understood it.
struct Work {
    notify: Option<Notify>,
    difficulty: Option<Difficulty>,
}

impl Work {
    fn take(&mut self, event: Event) {
        match event {
            Event::Notify(notify) => self.notify = Some(notify),
            Event::SetDifficulty(difficulty) => self.difficulty = Some(difficulty),
            other => panic!("{other:?}"),
        }
    }

    async fn first(&mut self, events: &mut EventReceiver) {
        while self.notify.is_none() || self.difficulty.is_none() {
            let event = tokio::time::timeout(PATIENCE, events.recv()).await;
            self.take(event.expect("work comes").unwrap());
        }
    }
}

/// The first nonce that solves a job by the client's own rules.
fn solve(
    notify: &Notify,
    difficulty: Difficulty,
    extranonces: [&Extranonce; 2],
    rolled: i32,
) -> Nonce {
    let [first, second] = extranonces;
    let root = merkle_root(
        &notify.coinb1,
        &notify.coinb2,
        first,
        second,
        &notify.merkle_branches,
    )
    .unwrap();
    let version = notify.version.0.to_consensus() | rolled;
    let mut header = block::Header {
        version: block::Version::from_consensus(version),
        prev_blockhash: notify.prevhash.clone().into(),
        merkle_root: bitcoin::TxMerkleNode::from_raw_hash(root.to_raw_hash()),
        time: notify.ntime.into(),
        bits: CompactTarget::from(notify.nbits),
        nonce: 0,
    };
    let target = difficulty.to_target();
    while !target.is_met_by(header.block_hash()) {
        header.nonce += 1;
    }
    Nonce::from(header.nonce)
}

#[test]
fn the_stratum_crate_mines_here() {
    let rig = Rig::new();
    let user = format!("{ADDRESS}.crate");
    let runtime = runtime();
    let client = runtime.block_on(async {
        let client = Client::new(
            format!("127.0.0.1:{}", rig.pool.miners),
            user.parse().unwrap(),
            None,
            "stratum/0.0.7".into(),
            PATIENCE,
        );
        let mut events = client.connect().await.unwrap();
        let wanted = vec!["version-rolling".to_owned()];
        let (configured, ..) = client
            .configure(wanted, Some(Version::from(0x1fff_e000)))
            .await
            .unwrap();
        assert!(configured.version_rolling, "{configured:?}");
        let (subscribed, ..) = client.subscribe().await.unwrap();
        client.authorize().await.unwrap();
        let mut work = Work {
            notify: None,
            difficulty: None,
        };
        work.first(&mut events).await;
        let mut extranonce2 = Extranonce::zeros(subscribed.enonce2_size);
        for share in 0..SHARES {
            while let Some(event) = events.try_recv() {
                work.take(event.unwrap());
            }
            let notify = work.notify.clone().unwrap();
            let rolled = if share % 2 == 0 { 0 } else { ROLLED };
            let nonce = solve(
                &notify,
                work.difficulty.unwrap(),
                [&subscribed.enonce1, &extranonce2],
                rolled,
            );
            let bits = (rolled != 0).then(|| Version::from(rolled));
            let submitted = client
                .submit(
                    notify.job_id,
                    extranonce2.clone(),
                    notify.ntime,
                    nonce,
                    bits,
                )
                .await;
            submitted.unwrap_or_else(|error| panic!("share {share}: {error}"));
            if share == 0 {
                let again = client
                    .submit(
                        notify.job_id,
                        extranonce2.clone(),
                        notify.ntime,
                        nonce,
                        bits,
                    )
                    .await;
                let error = again.expect_err("it counts once").to_string();
                assert!(error.contains("Duplicate share"), "{error}");
            }
            extranonce2.increment_wrapping();
        }
        client
    });
    let session = rig.session(&user, SHARES.into());
    assert_eq!(session["agent"], "stratum/0.0.7", "{session}");
    assert_eq!(session["rejected"], 1, "{session}");
    runtime.block_on(client.disconnect());
}

#[test]
fn a_client_in_javascript_with_texts_for_ids_mines_here() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
    assert!(
        folder.join("node_modules/stratum-client").is_dir(),
        "the clients written in JavaScript are missing: run `make clients`"
    );
    let rig = Rig::new();
    let user = format!("{ADDRESS}.node");
    let output = Command::new("node")
        .arg(folder.join("mine.js"))
        .args([&rig.pool.miners.to_string(), &user, &SHARES.to_string()])
        .stdin(Stdio::null())
        .output();
    let output = match output {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            panic!("node is missing: run `make packages`")
        }
        output => output.unwrap(),
    };
    let (said, complained) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{said}{complained}");
    assert_eq!(said.trim(), format!("{SHARES} accepted, then a duplicate"));
    let status = rig.pool.status();
    assert_eq!(status["shares"]["stored"], SHARES, "{status}");
}
