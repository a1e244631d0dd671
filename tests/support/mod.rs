//! What tests need to start the program and to talk to it.

pub(crate) mod asked;
pub(crate) mod heavy;
pub(crate) mod key;
pub(crate) mod miner;
pub(crate) mod node;
pub(crate) mod receiver;
pub(crate) mod rig;
pub(crate) mod stored;
pub(crate) mod terminal;
pub(crate) mod tls;
pub(crate) mod transport;

use std::{
    fs::File,
    net::{SocketAddr, TcpListener, TcpStream},
    ops::Range,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) use miner::Miner;
pub(crate) use node::Node;
pub(crate) use rig::Rig;

/// Long enough for a busy machine; whatever takes longer is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// An address of regtest without a known key.
pub(crate) const ADDRESS: &str = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";

/// What devices call themselves: one of each class of coinbase sizes.
pub(crate) const DEVICES: [&str; 6] = [
    "NiceHash/1.0.0",
    "NerdMinerV2/1.8.3",
    "cgminer/4.12",
    "Antminer S21/1",
    "bitaxe/BM1370",
    "xminer-1.2",
];

/// A port that nothing listens on, and that nobody gets by chance: whoever asks the system for any port
/// gets one from 32768 on. Nor is one given twice here.
pub(crate) fn free_port() -> u16 {
    /// Above those that nodes and browsers have a use of their own for.
    const PORTS: Range<u32> = 20_000..32_768;
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    let count = PORTS.end - PORTS.start;
    // Tests that run beside these begin elsewhere.
    let first = std::process::id() % count * 1_009;
    loop {
        let nth = GIVEN.fetch_add(1, Ordering::Relaxed);
        assert!(nth < count, "all ports were given");
        let port = u16::try_from(PORTS.start + (first + nth) % count).unwrap();
        if TcpListener::bind(loopback(port)).is_ok() {
            return port;
        }
    }
}

/// A port that refuses connections as long as the socket is held: bound, but not listening, so that no
/// other test can get it.
pub(crate) fn refusing_port() -> (tokio::net::TcpSocket, u16) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(loopback(0)).unwrap();
    let port = socket.local_addr().unwrap().port();
    (socket, port)
}

pub(crate) fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// A connection to a port of loopback from another address of loopback.
pub(crate) fn connect_from(address: &str, port: u16) -> TcpStream {
    runtime().block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket
            .bind(format!("{address}:0").parse().unwrap())
            .unwrap();
        let stream = socket.connect(loopback(port)).await.unwrap();
        let stream = stream.into_std().unwrap();
        stream.set_nonblocking(false).unwrap();
        stream
    })
}

/// Waits until `ready` gives something.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, ready: impl FnMut() -> Option<T>) -> T {
    wait_within(PATIENCE, what, ready)
}

/// The same for what takes long by itself.
#[track_caller]
pub(crate) fn wait_within<T>(
    time: Duration,
    what: &str,
    mut ready: impl FnMut() -> Option<T>,
) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = ready() {
            return found;
        }
        assert!(start.elapsed() < time, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A command of the program under test.
pub(crate) fn adit(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_adit"));
    command.args(arguments).stdin(Stdio::null());
    without_settings(&mut command);
    command
}

/// What is set for the tests is no setting of the program.
fn without_settings(command: &mut Command) {
    for (name, _) in std::env::vars() {
        if name.starts_with("ADIT_") {
            command.env_remove(name);
        }
    }
}

/// Runs a command to its end.
pub(crate) fn run(arguments: &[&str]) -> Output {
    adit(arguments).output().unwrap()
}

/// A process that ends with the test.
pub(crate) struct Process {
    child: Child,
    pub(crate) log: PathBuf,
}

impl Process {
    /// Starts a command with its output in `log`.
    pub(crate) fn start(mut command: Command, log: PathBuf) -> Self {
        let file = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .unwrap();
        command.stdout(file.try_clone().unwrap()).stderr(file);
        Self {
            child: command.spawn().unwrap(),
            log,
        }
    }

    /// The same with other standard files, for a command that writes its log by itself.
    pub(crate) fn start_with(
        mut command: Command,
        log: PathBuf,
        [input, output, errors]: [Stdio; 3],
    ) -> Self {
        command.stdin(input).stdout(output).stderr(errors);
        Self {
            child: command.spawn().unwrap(),
            log,
        }
    }

    /// SIGKILL: no chance to tidy up.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to end, and waits.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.wait()
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        wait_for("the end of the process", || self.child.try_wait().unwrap())
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &pid])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    pub(crate) fn id(&self) -> String {
        self.child.id().to_string()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// The memory it has, in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let kib = line.unwrap().split_whitespace().nth(1).unwrap();
        kib.parse().unwrap()
    }

    pub(crate) fn log_text(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("---- {}\n{}", self.log.display(), self.log_text());
        }
    }
}

/// A pool under test with its directory.
pub(crate) struct Pool {
    /// `pool`, or `node` for one with modes.
    subcommand: &'static str,
    pub(crate) process: Process,
    pub(crate) miners: u16,
    pub(crate) http: u16,
    pub(crate) folder: PathBuf,
    open_files: Option<u32>,
    pub(crate) config: PathBuf,
}

/// What differs between pools under test.
pub(crate) struct PoolSettings<'a> {
    /// `pool`, or `node` for one with modes.
    pub(crate) subcommand: &'static str,
    pub(crate) coin: &'a str,
    pub(crate) address: &'a str,
    /// Where it listens for miners, without the port.
    pub(crate) host: &'a str,
    /// The files it may open; nothing for as many as the tests may.
    pub(crate) open_files: Option<u32>,
    /// The URL of its database; nothing for a file.
    pub(crate) database: Option<&'a str>,
    /// Lines for `[http]`.
    pub(crate) http: &'a str,
    /// Lines for `[log]`.
    pub(crate) log: &'a str,
    /// Lines for `[[pool]]`.
    pub(crate) pool: &'a str,
    /// Lines for `[[pool.listener]]`.
    pub(crate) listener: &'a str,
    /// The `[[pool.daemon]]` tables.
    pub(crate) daemons: String,
}

impl Default for PoolSettings<'_> {
    fn default() -> Self {
        Self {
            subcommand: "pool",
            coin: "bitcoin",
            address: ADDRESS,
            host: "127.0.0.1",
            open_files: None,
            database: None,
            http: "",
            log: "filter = \"debug,hyper=info,reqwest=info\"",
            pool: "",
            listener: FIXED_DIFFICULTY,
            daemons: String::new(),
        }
    }
}

/// One hash in 16 is a share, always.
pub(crate) const FIXED_DIFFICULTY: &str = "start_difficulty = 3.725290298461914e-09
min_difficulty = 3.725290298461914e-09
max_difficulty = 3.725290298461914e-09
share_time_s = 3600
messages_per_second_max = 0
shares_per_second_max = 0
";

impl Pool {
    /// Writes its configuration into `folder`, starts it and waits until it listens.
    pub(crate) fn start(folder: &TempDir, settings: &PoolSettings<'_>) -> Self {
        let pool = Self::start_without_waiting(folder, settings);
        pool.wait_until_ready();
        pool
    }

    pub(crate) fn start_without_waiting(folder: &TempDir, settings: &PoolSettings<'_>) -> Self {
        let (miners, http) = (free_port(), free_port());
        let PoolSettings {
            subcommand,
            coin,
            address,
            host,
            open_files,
            database,
            http: http_lines,
            log,
            pool,
            listener,
            daemons,
        } = settings;
        let config = folder.path().join("adit.toml");
        let data = folder.path().join("data");
        let database = database.map_or_else(String::new, |url| format!("database = {url:?}\n"));
        std::fs::write(
            &config,
            format!(
                "data = {data:?}\n{database}[log]\n{log}\n\
                 [http]\nlisten = \"127.0.0.1:{http}\"\n{http_lines}\
                 [[pool]]\ncoin = \"{coin}\"\nnetwork = \"regtest\"\n\
                 payout_address = \"{address}\"\n{pool}\n\
                 [[pool.listener]]\nlisten = \"{host}:{miners}\"\n{listener}\n{daemons}"
            ),
        )
        .unwrap();
        let process = Self::process(subcommand, &config, folder.path(), *open_files);
        Self {
            subcommand,
            process,
            miners,
            http,
            folder: folder.path().to_owned(),
            open_files: *open_files,
            config,
        }
    }

    fn process(subcommand: &str, config: &Path, folder: &Path, open_files: Option<u32>) -> Process {
        let mut command = adit(&[subcommand, "-c", config.to_str().unwrap()]);
        if let Some(open_files) = open_files {
            let program = command;
            command = Command::new("sh");
            // The shell becomes the program, so that signals reach it.
            command
                .args(["-c", "ulimit -n \"$0\" && exec \"$@\""])
                .arg(open_files.to_string())
                .arg(program.get_program())
                .args(program.get_args())
                .stdin(Stdio::null());
            without_settings(&mut command);
        }
        Process::start(command, folder.join("pool.log"))
    }

    /// Starts it again with the same configuration and data.
    pub(crate) fn start_again(&mut self) {
        self.process = Self::process(self.subcommand, &self.config, &self.folder, self.open_files);
    }

    pub(crate) fn wait_until_ready(&self) {
        wait_for("the pool to have work", || {
            let (status, _) = self.get("/ready")?;
            (status == 200).then_some(())
        });
    }

    /// A page's status and text; nothing if it does not answer.
    pub(crate) fn get(&self, path: &str) -> Option<(u16, String)> {
        http_get(self.http, path)
    }

    /// The status of an answer to an empty POST.
    pub(crate) fn post(&self, path: &str) -> u16 {
        let url = format!("http://127.0.0.1:{}{path}", self.http);
        runtime().block_on(async {
            reqwest::Client::new()
                .post(url)
                .send()
                .await
                .unwrap()
                .status()
                .as_u16()
        })
    }

    /// The status and JSON of an answer to a request with a body of this type, if it has one.
    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        kind: Option<&str>,
        body: impl Into<Vec<u8>>,
    ) -> (u16, Value) {
        let url = format!("http://127.0.0.1:{}{path}", self.http);
        let method = method.parse().unwrap();
        let mut request = reqwest::Client::new()
            .request(method, url)
            .body(body.into());
        if let Some(kind) = kind {
            request = request.header("content-type", kind);
        }
        runtime().block_on(async {
            let response = request.send().await.unwrap();
            let status = response.status().as_u16();
            let text = response.text().await.unwrap();
            let json = serde_json::from_str(&text);
            (status, json.unwrap_or_else(|_| panic!("no JSON: {text}")))
        })
    }

    /// The status of an answer to a DELETE.
    pub(crate) fn delete(&self, path: &str) -> u16 {
        let url = format!("http://127.0.0.1:{}{path}", self.http);
        let client = reqwest::Client::new();
        let sent = runtime().block_on(async { client.delete(url).send().await });
        sent.unwrap().status().as_u16()
    }

    /// `/api/v1/status` of the only pool.
    pub(crate) fn status(&self) -> Value {
        let (status, body) = self.get("/api/v1/status").expect("the pool answers");
        assert_eq!(status, 200, "{body}");
        let status: Value = serde_json::from_str(&body).unwrap();
        status["pools"][0].clone()
    }

    /// The newest block the pool found.
    pub(crate) fn last_block(&self) -> Option<Value> {
        self.status()["blocks"]["last"].get(0).cloned()
    }

    /// How many shares were refused for the reason with this name.
    pub(crate) fn rejected(&self, reason: &str) -> u64 {
        let status = self.status();
        let rejected = status["shares"]["rejected"].as_array().unwrap();
        let found = rejected.iter().find(|entry| entry["reason"] == reason);
        found.map_or(0, |entry| entry["count"].as_u64().unwrap())
    }

    /// The value of a counter or gauge of the only pool without labels of its own.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let (_, text) = self.get("/metrics").expect("the pool answers");
        let mut lines = text.lines();
        let line = lines.find(|line| line.starts_with(&format!("{name}{{")));
        let (_, value) = line.expect(name).rsplit_once(' ').unwrap();
        value.parse().unwrap()
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.folder.join("data").join("adit.db")
    }
}

/// Checks that an answer refuses a share with this code and text.
#[track_caller]
pub(crate) fn assert_rejected(reply: &Value, code: i64, text: &str) {
    assert_eq!(reply["result"], false, "{reply}");
    assert_eq!(reply["error"], json!([code, text, null]), "{reply}");
    assert_eq!(reply["reject-reason"], text, "{reply}");
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// The status and text of a page on this machine; nothing if it does not answer.
pub(crate) fn http_get(port: u16, path: &str) -> Option<(u16, String)> {
    runtime().block_on(async {
        let response = reqwest::get(format!("http://127.0.0.1:{port}{path}"))
            .await
            .ok()?;
        let status = response.status().as_u16();
        Some((status, response.text().await.ok()?))
    })
}
