//! A simulated node in a process of its own, and calls to any node.

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Process, adit, free_port, runtime, wait_for};

/// A node with its JSON-RPC.
pub(crate) struct Node {
    pub(crate) rpc: Rpc,
    /// Ends with the node.
    process: Process,
    /// What it was started with, and where its output goes.
    start: (Vec<String>, std::path::PathBuf),
}

/// A JSON-RPC port with its login.
#[derive(Clone)]
pub(crate) struct Rpc {
    pub(crate) port: u16,
    pub(crate) user: &'static str,
    pub(crate) password: &'static str,
}

impl Node {
    /// Starts `adit simnet` with these flags more and waits for its answer.
    pub(crate) fn start(folder: &TempDir, name: &str, flags: &[&str]) -> Self {
        let port = free_port();
        let rpc = Rpc {
            port,
            user: "adit",
            password: "adit",
        };
        let listen = format!("127.0.0.1:{port}");
        let arguments = [&["simnet", "--listen", listen.as_str()], flags].concat();
        let log = folder.path().join(format!("{name}.log"));
        let node = Self {
            rpc,
            process: Process::start(adit(&arguments), log.clone()),
            start: (arguments.into_iter().map(str::to_owned).collect(), log),
        };
        node.rpc.wait();
        node
    }

    /// Kills it: its port is closed at once, and a chain in memory is gone.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again at the same port.
    pub(crate) fn start_again(&mut self) {
        let (arguments, log) = &self.start;
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.process = Process::start(adit(&arguments), log.clone());
        self.rpc.wait();
    }

    /// With Bitcoin's regtest rules: every second hash is a block.
    pub(crate) fn regtest(folder: &TempDir) -> Self {
        Self::start(folder, "node", &["--rules", "regtest"])
    }

    /// With real work, so that shares are no blocks.
    pub(crate) fn simnet(folder: &TempDir) -> Self {
        Self::start(folder, "node", &["--spacing", "600"])
    }
}

impl Rpc {
    /// Calls a method; the error object is the error.
    pub(crate) fn try_call(&self, method: &str, params: Value) -> Result<Value, Value> {
        runtime().block_on(async {
            let response = reqwest::Client::new()
                .post(format!("http://127.0.0.1:{}/", self.port))
                .basic_auth(self.user, Some(self.password))
                .json(&json!({"jsonrpc": "1.0", "id": "test", "method": method, "params": params}))
                .send()
                .await
                .map_err(|error| json!(error.to_string()))?;
            let mut reply: Value = response
                .json()
                .await
                .map_err(|error| json!(error.to_string()))?;
            if reply["error"].is_null() {
                Ok(reply["result"].take())
            } else {
                Err(reply["error"].take())
            }
        })
    }

    #[track_caller]
    pub(crate) fn call(&self, method: &str, params: Value) -> Value {
        self.try_call(method, params.clone())
            .unwrap_or_else(|error| panic!("{method} {params}: {error}"))
    }

    pub(crate) fn wait(&self) {
        wait_for("the node's JSON-RPC", || {
            self.try_call("getblockcount", json!([])).ok()
        });
    }

    pub(crate) fn height(&self) -> u64 {
        self.call("getblockcount", json!([])).as_u64().unwrap()
    }

    /// The `[[pool.daemon]]` table for it.
    pub(crate) fn daemon(&self) -> String {
        let Self {
            port,
            user,
            password,
        } = self;
        format!(
            "[[pool.daemon]]\nurl = \"http://127.0.0.1:{port}\"\nuser = \"{user}\"\n\
             password = \"{password}\"\npoll_ms = 100\ncheck_s = 1\nmin_peers = 0\n"
        )
    }
}
