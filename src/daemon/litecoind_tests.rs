//! Against a real `litecoind`, where one is installed.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use mining::{Coin, Network, Template, template::TemplateKind};
use pow::{Algorithm, Hash, sha256d};
use serde_json::{Value, json};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

use super::{
    Config, Daemons, Feed, FirstBlock, Proposal, Source, Verdict,
    rpc::{Lane, Rpc},
    start,
};
use crate::{free_port::free_port, tasks::Tasks};

const LIMIT: Duration = Duration::from_secs(60);

/// The binary itself; Debian's `/usr/bin/litecoind` is a script around it.
fn litecoind() -> Option<PathBuf> {
    let found = std::env::var_os("LITECOIND").map(PathBuf::from);
    let usual = ["/usr/lib/litecoin/litecoind", "/usr/local/bin/litecoind"].map(PathBuf::from);
    found.into_iter().chain(usual).find(|path| path.is_file())
}

struct Node {
    process: Child,
    folder: tempfile::TempDir,
    rpc: u16,
    peer: u16,
}

impl Node {
    fn start(binary: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (rpc, peer) = (free_port(), free_port());
        let process = run(binary, folder.path(), rpc, peer);
        Self {
            process,
            folder,
            rpc,
            peer,
        }
    }

    /// Ends it and starts it again with the same data and a new cookie.
    async fn start_again(&mut self, binary: &Path) {
        self.call("stop", json!([])).await;
        let begun = Instant::now();
        while self.process.try_wait().unwrap().is_none() {
            // It waits for half a minute for connections that are idle.
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "we hold on to it"
            );
            sleep(Duration::from_millis(50)).await;
        }
        self.process = run(binary, self.folder.path(), self.rpc, self.peer);
    }

    fn config(&self) -> Config {
        let mut config = Config::at(format!("http://127.0.0.1:{}", self.rpc));
        config.cookie = Some(self.folder.path().join("regtest/.cookie"));
        config
    }

    async fn call(&self, method: &str, params: Value) -> Value {
        let rpc = Rpc::new(&self.config()).unwrap();
        let begun = Instant::now();
        loop {
            match rpc.call(Lane::Wait, method, &params).await {
                Ok(result) => return result,
                Err(failure) => assert!(begun.elapsed() < LIMIT, "{method}: {failure}"),
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    async fn generate(&self) {
        // Anybody can spend from it: no wallet is needed.
        self.call("generatetodescriptor", json!([1, "raw(51)#8lvh9jxk"]))
            .await;
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn run(binary: &Path, folder: &Path, rpc: u16, peer: u16) -> Child {
    Command::new(binary)
        .args([
            "-regtest",
            "-server",
            "-listen=1",
            "-dnsseed=0",
            "-listenonion=0",
        ])
        .args([
            "-rpcbind=127.0.0.1",
            "-rpcallowip=127.0.0.1",
            "-disablewallet",
        ])
        .arg(format!("-datadir={}", folder.display()))
        .arg(format!("-rpcport={rpc}"))
        .arg(format!("-bind=127.0.0.1:{peer}"))
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

async fn until<T>(
    feed: &mut watch::Receiver<Feed>,
    daemons: &Daemons,
    wanted: impl Fn(&Feed) -> Option<T>,
) -> T {
    let found = timeout(LIMIT, async {
        loop {
            if let Some(found) = wanted(&feed.borrow_and_update()) {
                return found;
            }
            feed.changed().await.unwrap();
        }
    });
    match found.await {
        Ok(found) => found,
        Err(_) => panic!("still {:?}, {:?}", *feed.borrow(), daemons.health()),
    }
}

fn bitcoin(feed: &Feed) -> Option<Arc<Template>> {
    match feed {
        Feed::Template { template, .. } => template.bitcoin().cloned(),
        _ => None,
    }
}

fn template_at(height: u32) -> impl Fn(&Feed) -> Option<Arc<Template>> {
    move |feed| {
        bitcoin(feed)
            .filter(|template| template.height == height && template.kind == TemplateKind::Full)
    }
}

/// The block of a template: header, one coinbase with the commitment, nothing else.
fn block(template: &Template, solved: bool) -> (Arc<str>, Hash) {
    assert_eq!(template.transactions.count(), 0);
    let height = i64::from(template.height);
    let mut script = bitcoin::script::Builder::new()
        .push_int(height)
        .push_int(0)
        .into_bytes();
    script.extend(&template.coinbase_flags);
    let mut outputs = vec![(template.value.units(), vec![0x51])];
    outputs.extend(
        template
            .witness_commitment
            .clone()
            .map(|script| (0, script)),
    );
    let input_and_outputs = {
        let mut bytes = vec![1];
        bytes.extend([0; 32]);
        bytes.extend([0xff; 4]);
        bytes.push(u8::try_from(script.len()).unwrap());
        bytes.extend(&script);
        bytes.extend([0xff; 4]);
        bytes.push(u8::try_from(outputs.len()).unwrap());
        for (value, script) in outputs {
            bytes.extend(value.to_le_bytes());
            bytes.push(u8::try_from(script.len()).unwrap());
            bytes.extend(script);
        }
        bytes
    };
    let id = sha256d(&[&[2, 0, 0, 0], &*input_and_outputs, &[0; 4]].concat());
    // A witness stands only where the outputs commit to it (BIP 141).
    let (marker, witness): (&[u8], &[u8]) = match template.witness_commitment {
        Some(_) => (&[0, 1], &[&[1, 32][..], &[0; 32]].concat()),
        None => (&[], &[]),
    };
    let version = [2, 0, 0, 0];
    let coinbase = [&version, marker, &*input_and_outputs, witness, &[0; 4]].concat();
    let mut header = [0; 80];
    header[..4].copy_from_slice(&template.version.to_le_bytes());
    header[4..36].copy_from_slice(&template.previous.to_bytes());
    header[36..68].copy_from_slice(&template.transactions.branch().root(id));
    header[68..72].copy_from_slice(&template.time.to_le_bytes());
    header[72..76].copy_from_slice(&template.bits.to_le_bytes());
    let is_solved = |header: &[u8; 80]| template.target.is_met_by(&Algorithm::Scrypt.hash(header));
    let nonce = (0u32..).find(|nonce| {
        header[76..].copy_from_slice(&nonce.to_le_bytes());
        is_solved(&header) == solved
    });
    assert!(nonce.is_some());
    let block = format!(
        "{}01{}{}",
        hex::encode(header),
        hex::encode(coinbase),
        template.tail
    );
    (block.into(), sha256d(&header))
}

/// One pool with a real daemon: its reasons at the start, its blocks, its restart.
#[tokio::test]
async fn litecoind_is_followed_and_takes_our_blocks() {
    let Some(binary) = litecoind() else {
        eprintln!("skipped: no litecoind at /usr/lib/litecoin; LITECOIND names another place");
        return;
    };
    let (mut node, peer) = (Node::start(&binary), Node::start(&binary));
    let litecoin: &'static Coin = "litecoin".parse().unwrap();
    let blocks = tempfile::tempdir().unwrap();
    let (tasks, _failures) = Tasks::new();
    let mut config = node.config();
    config.poll_ms = 200;
    let folder = blocks.path().to_owned();
    let (daemons, mut feed) = start(
        vec![config],
        litecoin,
        Network::Regtest,
        "",
        folder,
        FirstBlock::any(),
        &tasks,
    )
    .unwrap();
    let stopped = |feed: &Feed| match feed {
        Feed::Stopped { reason, .. } => reason.contains("not connected").then_some(()),
        _ => None,
    };
    until(&mut feed, &daemons, stopped).await;
    node.call(
        "addnode",
        json!([format!("127.0.0.1:{}", peer.peer), "add"]),
    )
    .await;
    node.generate().await;
    let template = until(&mut feed, &daemons, template_at(2)).await;

    let (proposal, _) = block(&template, false);
    assert_eq!(daemons.propose(&proposal).await, Ok(Proposal::Good));
    let (solved, hash) = block(&template, true);
    let mut submission = daemons.submit(Arc::clone(&solved), hash);
    assert_eq!(submission.next().await, Some((0, Verdict::Accepted)));
    let template = until(&mut feed, &daemons, template_at(3)).await;
    assert_eq!(template.previous, hash);
    let status = daemons.block_status(hash).await.unwrap().unwrap();
    assert_eq!((status.height, status.confirmations), (2, 1));
    assert_eq!(daemons.block_status(Hash([9; 32])).await, Ok(None));
    let again = daemons.submit(Arc::clone(&solved), hash).accepted().await;
    assert_eq!(again, Ok(0), "duplicate");
    let (unsolved, wrong) = block(&template, false);
    let refused = daemons
        .submit(unsolved, wrong)
        .accepted()
        .await
        .unwrap_err();
    assert_eq!(refused, [(0, Verdict::Rejected("high-hash".into()))]);

    // A block without transactions, mined before the daemon's own template came.
    node.generate().await;
    until(&mut feed, &daemons, template_at(4)).await;
    assert_ne!(daemons.health()[0].notified_by, None);
    let made_for = |feed: &Feed| bitcoin(feed).filter(|template| template.height == 5);
    node.generate().await;
    let first = until(&mut feed, &daemons, made_for).await;
    let (solved, hash) = block(&first, true);
    assert_eq!(
        daemons.submit(solved, hash).accepted().await,
        Ok(0),
        "{first:?}"
    );
    until(&mut feed, &daemons, template_at(6)).await;

    // Down, and up again with another cookie; blocks are taken as soon as it is back.
    node.start_again(&binary).await;
    node.call(
        "addnode",
        json!([format!("127.0.0.1:{}", peer.peer), "add"]),
    )
    .await;
    node.generate().await;
    until(&mut feed, &daemons, template_at(7)).await;
    let by = daemons.health()[0].notified_by;
    assert!(
        matches!(
            by,
            Some(Source::LongPoll | Source::WaitForNewBlock | Source::Poll)
        ),
        "{by:?}"
    );
    assert!(tasks.shut_down().await);
}
