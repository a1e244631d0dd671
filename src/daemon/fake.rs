//! A scripted daemon for tests: a real server on a real socket that has a chain of its own and does
//! wrong what it is told to do wrong.

use std::{
    collections::{HashMap, VecDeque},
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use pow::Hash;
use serde_json::{Value, json};

use crate::free_port::free_port;

/// What to answer.
#[derive(Clone, Debug)]
pub(super) enum Play {
    Result(Value),
    Error(i64, &'static str),
    /// A status line and a body.
    Http(u16, &'static str),
    /// Nothing, with the connection open.
    Hang,
    /// Nothing, with the connection closed.
    Close,
    /// The start of a reply, with the connection closed behind it.
    Half,
    /// A whole reply that announces more.
    WrongLength,
    /// A head that announces this many bytes, and as many.
    Huge(usize),
    /// What would have been answered, later.
    Slow(Duration),
}

/// A daemon. Stops when dropped.
pub(super) struct Fake {
    pub(super) address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// Everything a test may turn.
pub(super) struct State {
    pub(super) chain: &'static str,
    pub(super) genesis: Hash,
    /// The hashes by height.
    pub(super) blocks: Vec<Hash>,
    pub(super) headers_ahead: u32,
    pub(super) initial_download: bool,
    pub(super) peers: u32,
    pub(super) version: u64,
    pub(super) tip_time: u32,
    pub(super) bits: &'static str,
    pub(super) subsidy: u64,
    pub(super) fee: u64,
    /// Whether templates have a handle for long polls and `waitfornewblock` is there.
    pub(super) waits: bool,
    /// Long polls return at once, as after a restart.
    pub(super) restless: bool,
    pub(super) zmq: Option<String>,
    /// `user:password` in base64.
    pub(super) login: Option<String>,
    /// Once each, in this order, before the usual answers.
    pub(super) script: HashMap<&'static str, VecDeque<Play>>,
    /// Always.
    pub(super) always: HashMap<&'static str, Play>,
    pub(super) calls: HashMap<String, usize>,
    pub(super) submitted: Vec<String>,
    /// Statuses of blocks beside the chain.
    pub(super) known: HashMap<Hash, i64>,
    /// Instead of the usual one.
    pub(super) transactions: Option<Value>,
    /// Connections so far.
    pub(super) accepted: usize,
    running: bool,
    connections: Vec<TcpStream>,
}

pub(super) const GENESIS: &str = "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f";

pub(super) fn now() -> u32 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
        .try_into()
        .unwrap()
}

/// The id of the block of this number on a branch.
pub(super) fn block_id(branch: u8, height: usize) -> Hash {
    let mut hash = Hash([branch; 32]);
    hash.0[..8].copy_from_slice(&u64::try_from(height).unwrap().to_le_bytes());
    hash
}

impl Fake {
    /// A healthy Bitcoin main network daemon at height 1000.
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", free_port())).unwrap();
        let address = listener.local_addr().unwrap();
        let state = State {
            chain: "main",
            genesis: GENESIS.parse().unwrap(),
            blocks: (0..=1000).map(|height| block_id(1, height)).collect(),
            headers_ahead: 0,
            initial_download: false,
            peers: 8,
            version: 290_000,
            tip_time: now(),
            bits: "1d00ffff",
            subsidy: 5_000_000_000,
            fee: 1000,
            waits: false,
            restless: false,
            zmq: None,
            login: None,
            script: HashMap::new(),
            always: HashMap::new(),
            calls: HashMap::new(),
            submitted: Vec::new(),
            known: HashMap::new(),
            transactions: None,
            accepted: 0,
            running: true,
            connections: Vec::new(),
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            changed: Condvar::new(),
        });
        accept(listener, Arc::clone(&shared));
        Self { address, shared }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Changes something.
    pub(super) fn set<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut self.state());
        self.shared.changed.notify_all();
        changed
    }

    /// Answers `method` with these, once each.
    pub(super) fn script(&self, method: &'static str, plays: impl IntoIterator<Item = Play>) {
        self.set(|state| state.script.entry(method).or_default().extend(plays));
    }

    /// A new block on the tip.
    pub(super) fn mine(&self) -> Hash {
        self.set(|state| {
            let hash = block_id(1, state.blocks.len());
            state.blocks.push(hash);
            state.tip_time = now();
            hash
        })
    }

    pub(super) fn tip(&self) -> Hash {
        *self.state().blocks.last().unwrap()
    }

    pub(super) fn calls(&self, method: &str) -> usize {
        self.state().calls.get(method).copied().unwrap_or(0)
    }

    /// Goes down, connections and all.
    pub(super) fn stop(&self) {
        self.set(|state| {
            state.running = false;
            for connection in state.connections.drain(..) {
                let _ = connection.shutdown(Shutdown::Both);
            }
        });
        // Wakes the listener, so that the port is free.
        let _ = TcpStream::connect(self.address);
    }

    /// Comes up again at the same address.
    pub(super) fn start_again(&self) {
        let listener = (0..200)
            .find_map(|_| {
                thread::sleep(Duration::from_millis(5));
                TcpListener::bind(self.address).ok()
            })
            .expect("the port is free again");
        self.set(|state| state.running = true);
        accept(listener, Arc::clone(&self.shared));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.stop();
    }
}

fn accept(listener: TcpListener, shared: Arc<Shared>) {
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let mut state = shared.state.lock().unwrap();
            if !state.running {
                return;
            }
            state.accepted += 1;
            state.connections.push(connection.try_clone().unwrap());
            drop(state);
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let _ = serve(&connection, &shared);
                let _ = connection.shutdown(Shutdown::Both);
            });
        }
    });
}

fn serve(connection: &TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut reader = BufReader::new(connection);
    loop {
        let (mut length, mut login) = (0, None);
        let mut request = String::new();
        if reader.read_line(&mut request)? == 0 {
            return Ok(());
        }
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let Some((key, value)) = line.trim_end().split_once(": ") else {
                if line == "\r\n" {
                    break;
                }
                continue;
            };
            match key.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse().unwrap(),
                "authorization" => login = value.strip_prefix("Basic ").map(str::to_owned),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let call: Value = serde_json::from_slice(&body).unwrap();
        // What is asked without a method is asked by its path.
        let path = request.split(' ').nth(1).unwrap();
        let method = call["method"].as_str().unwrap_or(path);
        if !answer(connection, shared, method, &call["params"], login)? {
            return Ok(());
        }
    }
}

/// False to close the connection.
fn answer(
    mut connection: &TcpStream,
    shared: &Shared,
    method: &str,
    params: &Value,
    login: Option<String>,
) -> std::io::Result<bool> {
    let mut state = shared.state.lock().unwrap();
    *state.calls.entry(method.to_owned()).or_default() += 1;
    if state.login.is_some() && state.login != login {
        write(connection, 401, "")?;
        return Ok(true);
    }
    if method == "submitblock" {
        state.submitted.push(params[0].as_str().unwrap().to_owned());
    }
    let scripted = state.script.get_mut(method).and_then(VecDeque::pop_front);
    let scripted = scripted.or_else(|| state.always.get(method).cloned());
    drop(state);
    let play = match scripted {
        Some(Play::Slow(pause)) => {
            thread::sleep(pause);
            usual(shared, method, params)
        }
        Some(play) => play,
        None => usual(shared, method, params),
    };
    match play {
        Play::Result(result) => {
            let reply = json!({ "result": result, "error": null, "id": 1 });
            write(connection, 200, &reply.to_string())?;
        }
        Play::Error(code, message) => {
            let error = json!({ "code": code, "message": message });
            let reply = json!({ "result": null, "error": error, "id": 1 });
            write(connection, 500, &reply.to_string())?;
        }
        Play::Http(status, body) => write(connection, status, body)?,
        Play::Hang => {
            let mut state = shared.state.lock().unwrap();
            while state.running {
                state = shared.changed.wait(state).unwrap();
            }
            return Ok(false);
        }
        Play::Close => return Ok(false),
        Play::Half => {
            connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"result\":nu")?;
            return Ok(false);
        }
        Play::WrongLength => {
            let body = "{\"result\":null,\"error\":null,\"id\":1}";
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
                body.len() + 7
            );
            connection.write_all((head + body).as_bytes())?;
            return Ok(false);
        }
        Play::Huge(size) => {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n");
            connection.write_all(head.as_bytes())?;
            connection.write_all(&vec![b' '; size])?;
        }
        Play::Slow(_) => unreachable!("played above"),
    }
    Ok(true)
}

fn write(mut connection: &TcpStream, status: u16, body: &str) -> std::io::Result<()> {
    let length = body.len();
    let reply = format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n\r\n{body}");
    connection.write_all(reply.as_bytes())
}

/// What a healthy daemon answers.
fn usual(shared: &Shared, method: &str, params: &Value) -> Play {
    let mut state = shared.state.lock().unwrap();
    let height = state.blocks.len() - 1;
    let tip = *state.blocks.last().unwrap();
    Play::Result(match method {
        "getblockchaininfo" => json!({
            "chain": state.chain, "blocks": height, "headers": height + state.headers_ahead as usize,
            "bestblockhash": tip, "initialblockdownload": state.initial_download,
            "verificationprogress": 0.99999, "warnings": [],
        }),
        "getnetworkinfo" => json!({
            "version": state.version, "subversion": "/Fake:1/", "connections": state.peers,
        }),
        "getblockhash" => json!(state.genesis),
        "getblockheader" => {
            let hash: Hash = params[0].as_str().unwrap().parse().unwrap();
            let header = |height: usize, confirmations: i64, previous: Hash| {
                json!({
                    "hash": hash, "confirmations": confirmations, "height": height,
                    "time": state.tip_time, "mediantime": state.tip_time - 3600,
                    "bits": state.bits, "previousblockhash": previous,
                })
            };
            match state.blocks.iter().position(|block| *block == hash) {
                Some(at) => {
                    let confirmations = i64::try_from(height - at + 1).unwrap();
                    header(at, confirmations, state.blocks[at - 1])
                }
                None => match state.known.get(&hash) {
                    Some(confirmations) => header(height, *confirmations, state.blocks[height - 1]),
                    None => return Play::Error(-5, "Block not found"),
                },
            }
        }
        "getblocktemplate" if params[0]["mode"] == "proposal" => Value::Null,
        "getblocktemplate" => {
            if let Some(id) = params[0]["longpollid"].as_str() {
                while state.running
                    && !state.restless
                    && id == state.blocks.last().unwrap().to_string()
                {
                    state = shared.changed.wait(state).unwrap();
                }
            }
            template(&state)
        }
        "waitfornewblock" if state.waits => {
            let limit = Duration::from_millis(params[0].as_u64().unwrap());
            let waiting = |state: &mut State| {
                state.running && !state.restless && *state.blocks.last().unwrap() == tip
            };
            state = shared
                .changed
                .wait_timeout_while(state, limit, waiting)
                .unwrap()
                .0;
            json!({ "hash": state.blocks.last().unwrap(), "height": state.blocks.len() - 1 })
        }
        "getzmqnotifications" if state.zmq.is_some() => {
            json!([{ "type": "pubhashblock", "address": state.zmq, "hwm": 1000 }])
        }
        "submitblock" => Value::Null,
        "getchaintips" => {
            json!([{ "height": height, "hash": tip, "branchlen": 0, "status": "active" }])
        }
        _ => return Play::Error(-32601, "Method not found"),
    })
}

fn template(state: &State) -> Value {
    let tip = state.blocks.last().unwrap();
    let mut template = json!({
        "capabilities": ["proposal"], "version": 0x2000_0000, "rules": ["csv", "!segwit"],
        "vbavailable": {}, "vbrequired": 0, "previousblockhash": tip,
        "transactions": [{
            "data": "0102", "txid": Hash([5; 32]), "hash": Hash([6; 32]), "depends": [],
            "fee": state.fee, "sigops": 4, "weight": 400,
        }],
        "coinbaseaux": {}, "coinbasevalue": state.subsidy + state.fee,
        "target": mining::Target::from_compact(crate::daemon::template::compact(state.bits).unwrap())
            .unwrap().to_string(),
        "mintime": state.tip_time - 3599, "mutable": ["time"], "noncerange": "00000000ffffffff",
        "sigoplimit": 80_000, "sizelimit": 4_000_000, "weightlimit": 4_000_000,
        "curtime": now(), "bits": state.bits, "height": state.blocks.len(),
        "default_witness_commitment": format!("6a24aa21a9ed{}", "11".repeat(32)),
    });
    if let Some(transactions) = &state.transactions {
        template["transactions"] = transactions.clone();
    }
    if state.waits {
        template["longpollid"] = json!(tip);
    }
    template
}
