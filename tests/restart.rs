//! What systemd does with a pool, done by hand: it is told when the pool runs and that it is alive, keeps
//! its sockets, and gives them to the next run. Who connects in between waits, and a miner that was
//! connected notices nothing.

use std::{
    fs,
    io::{Read as _, Write as _},
    mem::MaybeUninit,
    net::{TcpListener, TcpStream},
    os::{fd::OwnedFd, unix::net::UnixDatagram},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, recvmsg};
use serde_json::json;
use tempfile::TempDir;

use crate::support::{
    ADDRESS, FIXED_DIFFICULTY, Miner, Node, Pool, PoolSettings, Process, adit, assert_rejected,
    heavy::HeavyNode, loopback, wait_for,
};

/// What was told, and what was handed over with it.
type Told = Vec<(String, Option<OwnedFd>)>;

/// A socket that is told things, as systemd's is. It is always read: whoever tells may wait for that.
struct Notified(Arc<Mutex<Told>>);

impl Notified {
    fn at(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_millis(100)))
            .unwrap();
        let told = Arc::new(Mutex::new(Told::new()));
        let listening = Arc::downgrade(&told);
        std::thread::spawn(move || {
            while let Some(told) = listening.upgrade() {
                let heard = hear(&socket);
                told.lock().unwrap().extend(heard);
            }
        });
        Self(told)
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap()
    }

    /// Whether something was told that has this in it.
    fn has(&self, text: &str) -> bool {
        self.told().iter().any(|(told, _)| told.contains(text))
    }

    /// Waits until something is told that has this in it.
    #[track_caller]
    fn wait(&self, text: &str) {
        wait_for(text, || self.has(text).then_some(()));
    }

    /// The socket that was handed over under this name.
    #[track_caller]
    fn kept(&self, name: &str) -> OwnedFd {
        let name = format!("FDSTORE=1\nFDNAME={name}\n");
        wait_for(&name, || {
            let told = self.told();
            let kept = told.iter().find(|(told, _)| told.contains(&name));
            kept.and_then(|(_, file)| Some(file.as_ref()?.try_clone().unwrap()))
        })
    }
}

fn hear(socket: &UnixDatagram) -> Option<(String, Option<OwnedFd>)> {
    let mut text = [0; 4096];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut handed = RecvAncillaryBuffer::new(&mut space);
    let heard = recvmsg(
        socket,
        &mut [std::io::IoSliceMut::new(&mut text)],
        &mut handed,
        RecvFlags::CMSG_CLOEXEC,
    );
    let heard = heard.ok()?;
    assert!(!heard.flags.contains(ReturnFlags::TRUNC));
    let mut file = None;
    for message in handed.drain() {
        if let RecvAncillaryMessage::ScmRights(files) = message {
            file = files.into_iter().next();
        }
    }
    let text = String::from_utf8(text[..heard.bytes].to_vec()).unwrap();
    Some((text, file))
}

/// A pool that systemd has started, with room for so many sockets and at most three of the run before.
fn start(config: &Path, notify: &Path, log: &Path, room: usize, sockets: Vec<OwnedFd>) -> Process {
    let program = adit(&["pool", "-c", config.to_str().unwrap()]);
    let mut command = Command::new("sh");
    // The standard files bring the sockets; as systemd has it, they become 3 to 5. The shell becomes the
    // program, whose process they are for.
    let count = sockets.len();
    let script = match count {
        0 => "exec \"$@\" 2>>\"$LOG\"".to_owned(),
        _ => format!(
            "exec 3<&0 4<&1 5<&2 0</dev/null 1>/dev/null 2>>\"$LOG\"
             export LISTEN_FDS={count} LISTEN_PID=$$; exec \"$@\""
        ),
    };
    command
        .args(["-c", &script, "sh"])
        .arg(program.get_program())
        .args(program.get_args())
        .env("LOG", log)
        .env("NOTIFY_SOCKET", notify)
        .env("FDSTORE", room.to_string())
        .env("WATCHDOG_USEC", "400000");
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ADIT_")) {
        command.env_remove(name);
    }
    let mut sockets = sockets.into_iter();
    let mut next = || sockets.next().map_or_else(Stdio::null, Stdio::from);
    let (input, output, errors) = (next(), next(), next());
    Process::start_with(command, log.to_owned(), [input, output, errors])
}

/// A pool, started by hand and stopped again to have a configuration and free ports; and what systemd
/// hears.
struct Unit {
    pool: Pool,
    config: PathBuf,
    notify: PathBuf,
    log: PathBuf,
    systemd: Notified,
    _nodes: (Node, HeavyNode),
    _folder: TempDir,
}

impl Unit {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let node = Node::regtest(&folder);
        // No share is a block, which would make the others stale.
        let heavy = HeavyNode::before(&node.rpc);
        let settings = PoolSettings {
            listener: FIXED_DIFFICULTY,
            daemons: heavy.rpc.daemon() + "subsidy_only = false\n",
            ..PoolSettings::default()
        };
        let mut pool = Pool::start(&folder, &settings);
        pool.process.stop();
        let path = |name: &str| folder.path().join(name);
        let (config, notify, log) = (path("adit.toml"), path("notify"), path("systemd.log"));
        Self {
            pool,
            systemd: Notified::at(&notify),
            config,
            notify,
            log,
            _nodes: (node, heavy),
            _folder: folder,
        }
    }

    fn start(&mut self, sockets: Vec<OwnedFd>) -> Process {
        self.start_with_room(16, sockets)
    }

    fn start_with_room(&mut self, room: usize, sockets: Vec<OwnedFd>) -> Process {
        self.systemd.told().clear();
        let process = start(&self.config, &self.notify, &self.log, room, sockets);
        self.systemd.wait("READY=1");
        process
    }

    /// Waits until all is read that was told up to now.
    fn hear_all(&self) {
        let socket = UnixDatagram::unbound().unwrap();
        socket.send_to(b"X_OVER=1", &self.notify).unwrap();
        self.systemd.wait("X_OVER=1");
    }

    /// The listening sockets that systemd was given.
    fn listeners(&self) -> Vec<OwnedFd> {
        let names = [self.pool.miners, self.pool.http].map(|port| format!("tcp-127.0.0.1_{port}"));
        names.iter().map(|name| self.systemd.kept(name)).collect()
    }
}

#[test]
fn a_restart_by_systemd_refuses_nobody_who_comes_meanwhile() {
    let mut unit = Unit::new();
    let mut process = unit.start(Vec::new());
    unit.systemd.wait("WATCHDOG=1");
    let sockets = unit.listeners();
    process.signal("HUP");
    unit.systemd.wait("RELOADING=1\nMONOTONIC_USEC=");

    assert!(process.stop().success());
    unit.systemd.wait("STOPPING=1");
    // The process is gone, and its ports are not: who comes now waits.
    let mut page = TcpStream::connect(loopback(unit.pool.http)).unwrap();
    page.write_all(b"GET /ready HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .unwrap();
    let waiting = TcpStream::connect(loopback(unit.pool.miners)).unwrap();

    let mut process = unit.start(sockets);
    let mut answer = String::new();
    page.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
    // Before there is work, whoever logs in is told that there is none.
    unit.pool.wait_until_ready();
    let mut miner = Miner::on(waiting);
    miner.log_in(&format!("{ADDRESS}.test"));
    let share = miner.share(1);
    assert_eq!(miner.submit(&share)["result"], true);
    let text = fs::read_to_string(&unit.log).unwrap();
    let goes_on = "goes on listening with the socket of the run before";
    assert_eq!(text.matches(goes_on).count(), 2, "{text}");
    assert!(!unit.systemd.has("FDSTORE=1"), "they are kept already");
    assert!(process.stop().success());
}

#[test]
fn a_restart_by_systemd_drops_no_connection_and_loses_no_share() {
    let mut unit = Unit::new();
    let mut process = unit.start(Vec::new());
    let mut sockets = unit.listeners();
    unit.pool.wait_until_ready();
    let mut miner = Miner::connect(unit.pool.miners);
    let mask = miner.configure()["result"]["version-rolling.mask"].clone();
    miner.log_in(&format!("{ADDRESS}.test"));
    let second = format!("{ADDRESS}.second");
    assert_eq!(
        miner.ask("mining.authorize", json!([second, "x"]))["result"],
        true
    );
    let shares: Vec<_> = (1..=4)
        .map(|extranonce2| miner.share(extranonce2))
        .collect();
    assert_eq!(miner.submit(&shares[0])["result"], true);
    // Asked again, the answer is the same as at first.
    let subscribed =
        |miner: &mut Miner| miner.ask("mining.subscribe", json!(["test/1"]))["result"].clone();
    let before = subscribed(&mut miner);

    // The beginning of a line has been read when the process ends.
    miner.say_part(b"{\"id\": 900, \"method\": ");
    assert!(process.stop().success());
    sockets.push(unit.systemd.kept("miners"));
    // What is sent while nobody runs is answered by whoever runs next.
    miner.say_part(b"\"mining.ping\", \"params\": []}\n");
    let id = miner.send_share(&shares[1]);

    let mut process = unit.start(sockets);
    assert!(
        unit.systemd.has("FDSTOREREMOVE=1\nFDNAME=miners"),
        "{:?}",
        unit.systemd.told()
    );
    assert_eq!(miner.answer_to(900)["result"], "pong");
    assert_eq!(miner.answer_to(id)["result"], true);
    assert_rejected(&miner.submit(&shares[0]), 22, "Duplicate share");
    let params = Miner::params(&second, &shares[2]);
    assert_eq!(miner.ask("mining.submit", params)["result"], true);
    assert_eq!(subscribed(&mut miner), before);
    // New work comes, and is for the same extranonce.
    miner.hear_new_job();
    let share = miner.share(5);
    assert_eq!(miner.submit(&share)["result"], true);
    assert!(mask.is_string(), "{mask}");
    let target = miner.target();
    let rolled = miner.solve(6, Some(0x2000), |hash| target.is_met_by(hash));
    assert_eq!(miner.submit(&rolled)["result"], true);
    let stored = unit.pool.status()["shares"]["stored"].clone();
    assert_eq!(stored, 5, "one before it, one in between, three after it");
    assert!(process.stop().success());
}

/// What systemd has no room for it would close, and the miner would not know why.
#[test]
fn miners_that_systemd_has_no_room_for_are_told_to_come_back() {
    let mut unit = Unit::new();
    let is_told = |mut miner: Miner| {
        let lines = std::iter::from_fn(|| miner.line());
        lines
            .last()
            .is_some_and(|line| line.contains("client.reconnect"))
    };
    // The two listeners, and one miner.
    for (room, kept) in [(3, 1), (0, 0)] {
        let mut process = unit.start_with_room(room, Vec::new());
        unit.pool.wait_until_ready();
        let miners = [(); 2].map(|()| Miner::ready(unit.pool.miners));
        assert!(process.stop().success());
        let handed = |told: &Told| {
            told.iter()
                .filter(|(text, _)| text.contains("=miners"))
                .count()
        };
        unit.hear_all();
        assert_eq!(handed(&unit.systemd.told()), kept);
        // Whoever keeps a socket closes it now.
        unit.systemd.told().clear();
        let told = miners.into_iter().map(is_told).filter(|told| *told).count();
        assert_eq!(told, 2 - kept);
    }
}

#[test]
fn a_connection_whose_settings_have_changed_is_told_to_come_back() {
    let mut unit = Unit::new();
    let mut process = unit.start(Vec::new());
    let mut sockets = unit.listeners();
    unit.pool.wait_until_ready();
    let mut miner = Miner::ready(unit.pool.miners);
    assert!(process.stop().success());
    sockets.push(unit.systemd.kept("miners"));
    let text = fs::read_to_string(&unit.config).unwrap();
    let changed = text.replacen("[[pool]]\n", "[[pool]]\nextranonce2_size = 6\n", 1);
    assert_ne!(changed, text);
    fs::write(&unit.config, changed).unwrap();
    let mut process = unit.start(sockets);
    let mut said = Vec::new();
    while let Some(line) = miner.line() {
        said.push(line);
    }
    assert!(
        said.last().unwrap().contains("client.reconnect"),
        "{said:?}"
    );
    assert!(process.stop().success());
}

#[test]
fn a_socket_of_a_port_that_is_configured_no_longer_is_given_up() {
    let mut unit = Unit::new();
    let old = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let ports = old.each_ref().map(|old| old.local_addr().unwrap().port());
    // A connection that nothing was written down of.
    let mut stranger = TcpStream::connect(loopback(ports[0])).unwrap();
    let (strange, _) = old[0].accept().unwrap();
    let mut sockets: Vec<OwnedFd> = old.into_iter().map(OwnedFd::from).collect();
    sockets.push(strange.into());
    let mut process = unit.start(sockets);
    for port in ports {
        let forget = format!("FDSTOREREMOVE=1\nFDNAME=tcp-127.0.0.1_{port}");
        unit.systemd.wait(&forget);
        assert!(TcpStream::connect(loopback(port)).is_err(), "it is closed");
    }
    assert_eq!(stranger.read(&mut [0]).unwrap(), 0, "it is closed");
    assert!(process.stop().success());
}
