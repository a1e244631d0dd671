//! The nodes on this machine: found by the files that they leave, and kept if they answer. Called by
//! `adit init`. Whatever cannot be read or does not answer is no find, and no error.

mod monerod;

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use mining::{Coin, Network};

use crate::daemon::{self, Secret, Seen};

/// A configuration file of a node is smaller.
const CONF_MAX: u64 = 1 << 20;

/// A node that answered.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) coin: &'static Coin,
    pub(super) network: Network,
    pub(super) config: daemon::Config,
    seen: Seen,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { network, seen, .. } = self;
        let agent = crate::display::plain(&seen.agent);
        write!(
            f,
            "{agent} at {} ({network}, height {})",
            self.config.name(),
            seen.height
        )
    }
}

/// Where the node of a coin of Core's family keeps its files and listens.
struct Home {
    coin: &'static str,
    /// Under the user's home.
    folder: &'static str,
    /// Where packages put it.
    elsewhere: &'static [&'static str],
    conf: &'static str,
    /// Network, its folder, its section, its port.
    networks: &'static [(Network, &'static str, &'static str, u16)],
}

const HOMES: [Home; 3] = [
    Home {
        coin: "bitcoin",
        folder: ".bitcoin",
        elsewhere: &["/var/lib/bitcoind", "/var/lib/bitcoin", "/etc/bitcoin"],
        conf: "bitcoin.conf",
        networks: &[
            (Network::Main, "", "main", 8332),
            (Network::Test, "testnet3", "test", 18332),
            (Network::Testnet4, "testnet4", "testnet4", 48332),
            (Network::Signet, "signet", "signet", 38332),
            (Network::Regtest, "regtest", "regtest", 18443),
        ],
    },
    Home {
        coin: "litecoin",
        folder: ".litecoin",
        elsewhere: &["/var/lib/litecoind", "/var/lib/litecoin", "/etc/litecoin"],
        conf: "litecoin.conf",
        networks: &[
            (Network::Main, "", "main", 9332),
            (Network::Test, "testnet4", "test", 19332),
            (Network::Regtest, "regtest", "regtest", 19443),
        ],
    },
    Home {
        coin: "dogecoin",
        folder: ".dogecoin",
        elsewhere: &["/var/lib/dogecoind", "/var/lib/dogecoin", "/etc/dogecoin"],
        conf: "dogecoin.conf",
        networks: &[
            (Network::Main, "", "main", 22555),
            (Network::Test, "testnet3", "test", 44555),
            (Network::Regtest, "regtest", "regtest", 18332),
        ],
    },
];

/// Where the node of a coin listens unless it was told otherwise.
pub(super) fn default_url(coin: &Coin, network: Network) -> String {
    let port = if coin.cryptonote().is_some() {
        monerod::default_port(network)
    } else {
        let home = HOMES.iter().find(|home| home.coin == coin.name);
        let networks = home.map_or(&[][..], |home| home.networks);
        let port = networks.iter().find(|(of, ..)| *of == network);
        port.map_or(8332, |(.., port)| *port)
    };
    format!("http://127.0.0.1:{port}")
}

/// The nodes that answer on this machine, whatever their coin.
pub(super) async fn find(home: Option<&Path>) -> Vec<Found> {
    let mut found: Vec<Found> = Vec::new();
    for (coin, network, config) in candidates(home) {
        let known = |other: &Found| other.config.url == config.url;
        if found.iter().any(known) {
            continue;
        }
        let rules = coin.on(network);
        match daemon::look(&config, coin).await {
            Ok(Ok(seen)) if rules.is_some_and(|rules| rules.chain == seen.chain) => {
                found.push(Found {
                    coin,
                    network,
                    config,
                    seen,
                });
            }
            _ => {}
        }
    }
    found
}

/// How nodes could be reached, by the files that are there.
fn candidates(home: Option<&Path>) -> Vec<(&'static Coin, Network, daemon::Config)> {
    let mut all = Vec::new();
    for place in &HOMES {
        let Ok(coin) = place.coin.parse::<&Coin>() else {
            continue;
        };
        let under_home = home.map(|home| home.join(place.folder));
        let elsewhere = place.elsewhere.iter().map(PathBuf::from);
        for folder in under_home.into_iter().chain(elsewhere) {
            let conf = Conf::read(&folder.join(place.conf));
            let data = conf.get("main", "datadir").map_or(folder, PathBuf::from);
            for (network, under, section, usual) in place.networks {
                let cookie = data.join(under).join(".cookie");
                let port = conf.get(section, "rpcport");
                let port = port.and_then(|port| port.parse().ok()).unwrap_or(*usual);
                for mut config in logins(&cookie, &conf, section) {
                    config.url = format!("http://127.0.0.1:{port}");
                    all.push((coin, *network, config));
                }
            }
        }
    }
    if let Ok(monero) = "monero".parse::<&Coin>() {
        let found = monerod::candidates(home).into_iter();
        all.extend(found.map(|(network, config)| (monero, network, config)));
    }
    all
}

/// The ways to log in that the files give.
fn logins(cookie: &Path, conf: &Conf, section: &str) -> Vec<daemon::Config> {
    let mut logins = Vec::new();
    if fs::File::open(cookie).is_ok() {
        let mut config = daemon::Config::at("");
        config.cookie = Some(cookie.to_owned());
        logins.push(config);
    }
    let (user, password) = (
        conf.get(section, "rpcuser"),
        conf.get(section, "rpcpassword"),
    );
    if let (Some(user), Some(password)) = (user, password) {
        let mut config = daemon::Config::at("");
        config.user = Some(user.to_owned());
        config.password = Some(Secret::from(password));
        logins.push(config);
    }
    logins
}

/// What a node's configuration file says: section, key and value. The section of what stands above
/// all sections has no name.
#[derive(Default)]
struct Conf(Vec<(String, String, String)>);

impl Conf {
    fn read(path: &Path) -> Self {
        let mut text = String::new();
        if let Ok(file) = fs::File::open(path) {
            // What is no text says nothing.
            let _ = io::Read::read_to_string(&mut io::Read::take(file, CONF_MAX), &mut text);
        }
        Self::parse(&text)
    }

    fn parse(text: &str) -> Self {
        let mut section = String::new();
        let mut lines = Vec::new();
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default().trim();
            let header = line
                .strip_prefix('[')
                .and_then(|line| line.strip_suffix(']'));
            if let Some(header) = header {
                section = header.trim().to_owned();
            } else if let Some((key, value)) = line.split_once('=') {
                let (key, value) = (key.trim().to_owned(), value.trim().to_owned());
                lines.push((section.clone(), key, value));
            }
        }
        Self(lines)
    }

    /// The value in a section, or else above all sections. The first one counts, as it does for the
    /// node.
    fn get(&self, section: &str, key: &str) -> Option<&str> {
        let find = |section: &str| {
            let mut lines = self.0.iter();
            lines.find(|line| line.0 == section && line.1 == key)
        };
        let line = find(section).or_else(|| find(""))?;
        Some(line.2.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_looked_for_by_its_cookie_and_by_its_configuration() {
        let home = tempfile::tempdir().unwrap();
        let data = home.path().join(".litecoin/regtest");
        fs::create_dir_all(&data).unwrap();
        fs::write(data.join(".cookie"), "__cookie__:x").unwrap();
        let conf = "rpcuser = me # not you\nrpcpassword=a=b\n#rpcport=1\n[regtest]\nrpcport=1234\n";
        fs::write(home.path().join(".litecoin/litecoin.conf"), conf).unwrap();
        let all: Vec<_> = candidates(Some(home.path()))
            .into_iter()
            .filter(|(coin, ..)| coin.name == "litecoin")
            .collect();
        let on = |network| {
            let all = all.iter().filter(move |(_, on, _)| *on == network);
            all.map(|(.., config)| config).collect::<Vec<_>>()
        };
        let [by_cookie, by_password] = on(Network::Regtest)[..] else {
            panic!("{all:?}");
        };
        assert_eq!(by_cookie.url, "http://127.0.0.1:1234");
        assert_eq!(by_cookie.cookie, Some(data.join(".cookie")));
        assert_eq!(by_password.user.as_deref(), Some("me"));
        assert_eq!(by_password.password, Some(Secret::from("a=b")));
        let [main] = on(Network::Main)[..] else {
            panic!("{all:?}");
        };
        assert_eq!(main.url, "http://127.0.0.1:9332");
        assert_eq!(main.user.as_deref(), Some("me"));
    }

    #[tokio::test]
    async fn nothing_is_found_where_nothing_answers() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir_all(home.path().join(".bitcoin")).unwrap();
        // Port 1 is nobody's.
        let conf = "rpcuser=a\nrpcpassword=b\nrpcport=1\n";
        fs::write(home.path().join(".bitcoin/bitcoin.conf"), conf).unwrap();
        let found = find(Some(home.path())).await;
        let ours = found
            .iter()
            .filter(|found| found.config.url.ends_with(":1"));
        assert_eq!(ours.count(), 0);
    }
}
