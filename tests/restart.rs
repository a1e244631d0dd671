//! What systemd does with a pool, done by hand: it is told when the pool runs and that it is alive, keeps
//! its listening sockets, and gives them to the next run. Who connects in between waits.

use std::{
    fs,
    io::{Read as _, Write as _},
    mem::MaybeUninit,
    net::{TcpListener, TcpStream},
    os::{fd::OwnedFd, unix::net::UnixDatagram},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, recvmsg};
use tempfile::TempDir;

use crate::support::{Miner, Node, Pool, PoolSettings, Process, adit, loopback, wait_for};

/// A socket that is told things, as systemd's is.
struct Notified {
    socket: UnixDatagram,
    /// What was told, and what was handed over with it.
    told: Vec<(String, Option<OwnedFd>)>,
}

impl Notified {
    fn at(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_millis(100)))
            .unwrap();
        Self {
            socket,
            told: Vec::new(),
        }
    }

    /// Waits until something is told that has this in it.
    #[track_caller]
    fn wait(&mut self, text: &str) {
        wait_for(text, || {
            self.hear();
            let mut told = self.told.iter();
            told.any(|(told, _)| told.contains(text)).then_some(())
        });
    }

    fn hear(&mut self) {
        let mut text = [0; 4096];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut handed = RecvAncillaryBuffer::new(&mut space);
        let heard = recvmsg(
            &self.socket,
            &mut [std::io::IoSliceMut::new(&mut text)],
            &mut handed,
            RecvFlags::CMSG_CLOEXEC,
        );
        let Ok(heard) = heard else { return };
        assert!(!heard.flags.contains(ReturnFlags::TRUNC));
        let mut file = None;
        for message in handed.drain() {
            if let RecvAncillaryMessage::ScmRights(files) = message {
                file = files.into_iter().next();
            }
        }
        let text = String::from_utf8(text[..heard.bytes].to_vec()).unwrap();
        self.told.push((text, file));
    }

    /// The socket that was handed over under this name.
    fn kept(&self, name: &str) -> TcpListener {
        let name = format!("FDNAME={name}\n");
        let kept = self.told.iter().find(|(told, file)| {
            told.contains("FDSTORE=1") && told.contains(&name) && file.is_some()
        });
        let (_, file) = kept.unwrap_or_else(|| panic!("{name}: {:?}", self.told));
        TcpListener::from(file.as_ref().unwrap().try_clone().unwrap())
    }
}

/// A pool that systemd has started, with these sockets of the run before.
fn start(config: &Path, notify: &Path, log: &Path, sockets: Option<[TcpListener; 2]>) -> Process {
    let program = adit(&["pool", "-c", config.to_str().unwrap()]);
    let mut command = Command::new("sh");
    let count = sockets.as_ref().map_or(0, |sockets| sockets.len());
    // Standard input and output bring the sockets; as systemd has it, they become 3 and 4. The shell
    // becomes the program, whose process they are for.
    let script = match count {
        0 => "exec \"$@\"",
        _ => "exec 3<&0 4<&1 0</dev/null 1>&2; export LISTEN_FDS=2 LISTEN_PID=$$; exec \"$@\"",
    };
    command
        .args(["-c", script, "sh"])
        .arg(program.get_program())
        .args(program.get_args())
        .env("NOTIFY_SOCKET", notify)
        .env("WATCHDOG_USEC", "400000");
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ADIT_")) {
        command.env_remove(name);
    }
    match sockets {
        None => {
            command.stdin(Stdio::null());
            Process::start(command, log.to_owned())
        }
        Some([first, second]) => {
            let log = log.to_owned();
            Process::start_with(
                command,
                log,
                Stdio::from(OwnedFd::from(first)),
                Stdio::from(OwnedFd::from(second)),
            )
        }
    }
}

#[test]
fn a_restart_by_systemd_refuses_nobody_and_a_miner_goes_on_with_its_session() {
    let folder = TempDir::new().unwrap();
    let node = Node::simnet(&folder);
    let settings = PoolSettings {
        daemons: node.rpc.daemon(),
        ..PoolSettings::default()
    };
    // Only to have a configuration and free ports.
    let mut pool = Pool::start(&folder, &settings);
    pool.process.stop();
    let (config, notify) = (
        folder.path().join("adit.toml"),
        folder.path().join("notify"),
    );
    let log = folder.path().join("systemd.log");
    let mut systemd = Notified::at(&notify);
    let mut process = start(&config, &notify, &log, None);
    systemd.wait("READY=1");
    systemd.wait("WATCHDOG=1");
    let mut names = [pool.miners, pool.http].map(|port| format!("tcp-127.0.0.1_{port}"));
    names.sort();
    let sockets = [systemd.kept(&names[0]), systemd.kept(&names[1])];
    process.signal("HUP");
    systemd.wait("RELOADING=1\nMONOTONIC_USEC=");

    assert!(process.stop().success());
    systemd.wait("STOPPING=1");
    // The process is gone, and its ports are not: who comes now waits.
    let mut page = TcpStream::connect(loopback(pool.http)).unwrap();
    page.write_all(b"GET /ready HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .unwrap();
    let waiting = TcpStream::connect(loopback(pool.miners)).unwrap();

    systemd.told.clear();
    let mut process = start(&config, &notify, &log, Some(sockets));
    systemd.wait("READY=1");
    let mut answer = String::new();
    page.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
    let mut miner = Miner::on(waiting);
    miner.log_in(&format!("{}.test", crate::support::ADDRESS));
    let share = miner.share(1);
    assert_eq!(miner.submit(&share)["result"], true);
    let text = fs::read_to_string(&log).unwrap();
    let goes_on = "goes on listening with the socket of the run before";
    assert_eq!(text.matches(goes_on).count(), 2, "{text}");
    let stored_again = systemd
        .told
        .iter()
        .any(|(told, _)| told.contains("FDSTORE=1"));
    assert!(!stored_again, "they are kept already");
    assert!(process.stop().success());
}

#[test]
fn a_socket_of_a_port_that_is_configured_no_longer_is_given_up() {
    let folder = TempDir::new().unwrap();
    let node = Node::simnet(&folder);
    let settings = PoolSettings {
        daemons: node.rpc.daemon(),
        ..PoolSettings::default()
    };
    let mut pool = Pool::start(&folder, &settings);
    pool.process.stop();
    let (config, notify) = (
        folder.path().join("adit.toml"),
        folder.path().join("notify"),
    );
    let log = folder.path().join("systemd.log");
    let mut systemd = Notified::at(&notify);
    let old = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let ports = old.each_ref().map(|old| old.local_addr().unwrap().port());
    let mut process = start(&config, &notify, &log, Some(old));
    systemd.wait("READY=1");
    for port in ports {
        systemd.wait(&format!("FDSTOREREMOVE=1\nFDNAME=tcp-127.0.0.1_{port}"));
        assert!(TcpStream::connect(loopback(port)).is_err(), "it is closed");
    }
    assert!(process.stop().success());
}
