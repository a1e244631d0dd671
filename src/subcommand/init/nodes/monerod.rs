//! The ways to a monerod on this machine, by its folders and its configuration file. Called by `nodes`. It
//! leaves no cookie: it lets in everybody on this machine, or who knows its `rpc-login`.

use std::path::{Path, PathBuf};

use mining::Network;

use super::Conf;
use crate::daemon::{self, Secret};

/// Under the user's home.
const FOLDER: &str = ".bitmonero";
/// Where packages put its chain and its configuration.
const ELSEWHERE: [&str; 4] = [
    "/var/lib/monero",
    "/var/lib/monero/.bitmonero",
    "/etc/monero",
    "/etc",
];
/// Its own name for its configuration file, and that of packages.
const CONFS: [&str; 2] = ["bitmonero.conf", "monerod.conf"];
/// Where it keeps the chain: it has run there.
const CHAIN: &str = "lmdb";
/// Networks and their folders.
const NETWORKS: [(Network, &str); 3] = [
    (Network::Main, ""),
    (Network::Test, "testnet"),
    (Network::Stage, "stagenet"),
];
/// The settings that choose another network than the main one.
const SETTINGS: [(&str, Network); 3] = [
    ("testnet", Network::Test),
    ("stagenet", Network::Stage),
    ("regtest", Network::Regtest),
];

/// Where it listens unless it was told otherwise.
pub(super) fn default_port(network: Network) -> u16 {
    match network {
        Network::Test => 28081,
        Network::Stage => 38081,
        _ => 18081,
    }
}

/// How one could be reached, by the files that are there.
pub(super) fn candidates(home: Option<&Path>) -> Vec<(Network, daemon::Config)> {
    let under_home = home.map(|home| home.join(FOLDER));
    let folders = under_home
        .into_iter()
        .chain(ELSEWHERE.iter().map(PathBuf::from));
    let mut all: Vec<_> = folders.flat_map(|folder| in_folder(&folder)).collect();
    // Of two ways to one daemon the first is taken: a chain's folder knows less than a configuration.
    all.sort_by_key(|(_, config)| config.zmq.is_none());
    all
}

fn in_folder(folder: &Path) -> Vec<(Network, daemon::Config)> {
    let mut all = Vec::new();
    for (network, under) in NETWORKS {
        let folder = folder.join(under);
        let file = CONFS
            .map(|name| folder.join(name))
            .into_iter()
            .find(|file| file.is_file());
        if file.is_none() && !folder.join(CHAIN).is_dir() {
            continue;
        }
        let conf = file.map_or(Conf::default(), |file| Conf::read(&file));
        let network = SETTINGS
            .iter()
            .find(|(key, _)| is_on(&conf, key))
            .map_or(network, |(_, network)| *network);
        all.push((network, config(&conf, network)));
    }
    all
}

fn config(conf: &Conf, network: Network) -> daemon::Config {
    let port = conf.get("", "rpc-bind-port");
    let port = port.and_then(|port| port.parse().ok());
    let port = port.unwrap_or_else(|| default_port(network));
    let mut config = daemon::Config::at(format!("http://127.0.0.1:{port}"));
    let login = conf.get("", "rpc-login");
    if let Some((user, password)) = login.and_then(|login| login.split_once(':')) {
        config.user = Some(user.to_owned());
        config.password = Some(Secret::from(password));
    }
    config.zmq = conf.get("", "zmq-pub").and_then(on_loopback);
    config
}

fn is_on(conf: &Conf, key: &str) -> bool {
    let value = conf.get("", key);
    value.is_some_and(|value| ["1", "true", "yes", "on"].contains(&value))
}

/// Where this machine hears what is published at an address; nothing if it is not on loopback.
fn on_loopback(address: &str) -> Option<String> {
    let (host, port) = address.strip_prefix("tcp://")?.rsplit_once(':')?;
    let port: u16 = port.parse().ok()?;
    let is_here = ["127.0.0.1", "0.0.0.0", "*"].contains(&host);
    is_here.then(|| format!("tcp://127.0.0.1:{port}"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_monerod_is_looked_for_where_its_chain_or_its_configuration_is() {
        let folder = tempfile::tempdir().unwrap();
        assert!(in_folder(folder.path()).is_empty());
        fs::create_dir_all(folder.path().join("lmdb")).unwrap();
        fs::create_dir_all(folder.path().join("stagenet/lmdb")).unwrap();
        let [main, stage] = &in_folder(folder.path())[..] else {
            panic!("a chain in two folders");
        };
        let usual = |port: u16| daemon::Config::at(format!("http://127.0.0.1:{port}"));
        assert_eq!(*main, (Network::Main, usual(18081)));
        assert_eq!(*stage, (Network::Stage, usual(38081)));

        let testnet = folder.path().join("testnet");
        fs::create_dir(&testnet).unwrap();
        fs::write(testnet.join("bitmonero.conf"), "rpc-login = me:a:b # x\n").unwrap();
        let all = in_folder(folder.path());
        let (_, test) = all.iter().find(|(of, _)| *of == Network::Test).unwrap();
        assert_eq!(test.url, "http://127.0.0.1:28081");
        assert_eq!(test.user.as_deref(), Some("me"));
        assert_eq!(test.password, Some(Secret::from("a:b")));
    }

    #[test]
    fn the_configuration_of_a_monerod_says_network_and_ports() {
        #[track_caller]
        fn case(conf: &str, network: Network, url: &str, zmq: Option<&str>) {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join("monerod.conf"), conf).unwrap();
            let all = in_folder(folder.path());
            let [(of, config)] = &all[..] else {
                panic!("{all:?}");
            };
            assert_eq!((*of, config.url.as_str()), (network, url), "{conf}");
            assert_eq!(config.zmq.as_deref(), zmq, "{conf}");
            assert_eq!(config.user, None, "{conf}");
        }
        let zmq = Some("tcp://127.0.0.1:18084");
        case("", Network::Main, "http://127.0.0.1:18081", None);
        case(
            "stagenet=1\nzmq-pub=tcp://0.0.0.0:18084",
            Network::Stage,
            "http://127.0.0.1:38081",
            zmq,
        );
        case(
            "testnet = 1\nrpc-bind-port=5\nzmq-pub=tcp://192.0.2.1:18084",
            Network::Test,
            "http://127.0.0.1:5",
            None,
        );
        case(
            "regtest=true\n#rpc-bind-port=5\nzmq-pub=ipc:///tmp/x",
            Network::Regtest,
            "http://127.0.0.1:18081",
            None,
        );
        // Without a password there is no login that could be used.
        case(
            "testnet=0\nrpc-login=me",
            Network::Main,
            "http://127.0.0.1:18081",
            None,
        );
    }
}
