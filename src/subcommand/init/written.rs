//! What `adit init` writes, and what it says at the end.

use std::{fmt::Write as _, net::SocketAddr, path::Path, path::PathBuf};

use mining::{Coin, Network, Scheme, accounting::Percent};
use pow::{Algorithm, ProofOfWork};
use toml::Value;

use super::{
    money::{Fees, Payee},
    place::lan_address,
    wallet::Payer,
};
use crate::daemon;

/// All that was asked.
pub(super) struct Answers {
    pub(super) coin: &'static Coin,
    pub(super) network: Network,
    pub(super) daemon: daemon::Config,
    pub(super) payee: Payee,
    pub(super) scheme: Scheme,
    /// Nothing with solo.
    pub(super) fees: Option<Fees>,
    pub(super) listen: SocketAddr,
    pub(super) http: SocketAddr,
    pub(super) data: PathBuf,
}

impl Answers {
    /// The file.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let mut line = |what: &str| {
            text.push_str(what);
            text.push('\n');
        };
        line(
            "# Written by `adit init`. adit.example.toml has every other setting with its default;",
        );
        line("# `adit config` prints what is in force, and `adit config --check` tries it.");
        line("# It may hold a password, so only its owner can read it.");
        line("");
        line("# The database, and solved blocks on their way to the node. On a local disk.");
        line(&set("data", &self.data.to_string_lossy()));
        line("");
        line("[http]");
        line(
            "# Status page, API and metrics. There is no login: a proxy or a tunnel leads there from",
        );
        line("# elsewhere.");
        line(&set("listen", &self.http.to_string()));
        line("");
        line("[[pool]]");
        line(&set("coin", self.coin.name));
        line(&set("network", &self.network.to_string()));
        line("# Who is paid by the blocks.");
        line(&set("payout_address", self.payee.address.as_str()));
        line(match self.scheme {
            Scheme::Pplns => "# Miners share each block by their work of the last while.",
            Scheme::Prop => "# Miners share each block by their work since the block before.",
            Scheme::Pps | Scheme::Fpps => {
                "# Each share is paid for from the reserve. Fill it with `adit ledger deposit`."
            }
            Scheme::Solo if self.is_monero() => {
                "# Blocks pay payout_address whoever finds them, and only its miners are let in."
            }
            Scheme::Solo => "# Who finds a block is paid by it, and nobody else.",
        });
        line(&set("scheme", self.scheme.name()));
        if let Some(fees) = &self.fees {
            line("# Which fee gets what cannot be split.");
            let has_foundation = fees.foundation != Percent::default();
            let remainder = if has_foundation { "foundation" } else { "pool" };
            line(&set("remainder", remainder));
            line("");
            line(
                "# What is taken before the miners. Add `address = \"...\"` to have it paid; without, it",
            );
            line("# stays in the pool's wallet, and in the books.");
            line("[[pool.fee]]");
            line(&set("name", "pool"));
            line(&format!("percent = {}", fees.pool));
            if has_foundation {
                line("");
                line("[[pool.fee]]");
                line(&set("name", "foundation"));
                line(&format!("percent = {}", fees.foundation));
            }
        }
        line("");
        line("[pool.payout]");
        match &self.payee.wallet {
            Some(Payer::OfNode(name, _)) => {
                line("# Miners are paid by the node's wallet. Keep no other money in it.");
                line("enabled = true");
                if !name.is_empty() {
                    line(&set("wallet", name));
                }
            }
            Some(Payer::OfMonero(wallet, _)) => {
                line("# Miners are paid by monero-wallet-rpc. Keep no other money in its wallet.");
                line("enabled = true");
                line(&set("wallet_url", &wallet.url));
                if let (Some(user), Some(password)) = (&wallet.user, &wallet.password) {
                    line(&set("wallet_user", user));
                    line(&set("wallet_password", password.expose()));
                }
            }
            None => {
                line("# No wallet pays miners: what they earn stays in the books.");
                line("enabled = false");
            }
        }
        line("");
        line("[[pool.daemon]]");
        line(&set("url", &self.daemon.url));
        if let Some(cookie) = &self.daemon.cookie {
            line(&set("cookie", &cookie.to_string_lossy()));
        }
        if let (Some(user), Some(password)) = (&self.daemon.user, &self.daemon.password) {
            line(&set("user", user));
            line(&set("password", password.expose()));
        }
        match &self.daemon.zmq {
            Some(zmq) => line(&set("zmq", zmq)),
            None if self.is_monero() => {
                line("# New blocks are heard of at once if monerod runs with --zmq-pub and this.");
                line("# zmq = \"tcp://127.0.0.1:18084\"");
            }
            None => {}
        }
        line("");
        line("[[pool.listener]]");
        line("# Where miners connect.");
        line(&set("listen", &self.listen.to_string()));
        line("# The difficulty of a miner nothing is known of; vardiff corrects it.");
        line(&format!("start_difficulty = {}", self.start_difficulty()));
        text
    }

    fn is_monero(&self) -> bool {
        self.coin.cryptonote().is_some()
    }

    /// That of a small ASIC, or of a few processors. A chain of one's own has processors.
    fn start_difficulty(&self) -> &'static str {
        use ProofOfWork::{Header, RandomX, VisionX};

        match (self.network, self.coin.algorithm()) {
            (Network::Regtest, Header(Algorithm::Sha256d)) => "0.001",
            (Network::Regtest, Header(Algorithm::Scrypt)) => "0.000001",
            (Network::Regtest, RandomX | VisionX) => "1.0",
            (_, Header(Algorithm::Sha256d)) => "1024.0",
            (_, Header(Algorithm::Scrypt)) => "65536.0",
            (_, RandomX) => "10000.0",
            (_, VisionX) => "100.0",
        }
    }

    /// Says what to type next, and what to type into a miner.
    pub(super) fn tell_next(&self, config: &Path) {
        let mut text = String::from("\nNext:\n");
        let mut line = |what: String| {
            // Writing to a string does not fail.
            let _ = writeln!(text, "    {what}");
        };
        line(format!("adit pool -c {}", config.display()));
        let host = match self.listen.ip() {
            ip if ip.is_unspecified() => lan_address().unwrap_or(ip),
            ip => ip,
        };
        let miners = SocketAddr::new(host, self.listen.port());
        line(String::new());
        if self.is_monero() {
            let (whom, told) = match self.scheme {
                Scheme::Solo => (self.payee.address.as_str(), "no other address is let in"),
                _ => ("ADDRESS", "ADDRESS is the miner's own, rig1 any name"),
            };
            line(format!(
                "miners:      xmrig -a rx/0 -o {miners} -u {whom}.rig1 -p x"
            ));
            line(format!("             {told}"));
        } else {
            let title = self.coin.title();
            line(format!("miners:      stratum+tcp://{miners}"));
            line(format!(
                "user:        a {title} address, a dot and a name, such as ADDRESS.rig1; password x"
            ));
        }
        line(format!("status page: http://{}/", self.http));
        if self.scheme.pays_for_shares() {
            let name = self.scheme.name();
            line(format!(
                "{name} pays from a reserve: fill it first, with `adit ledger deposit`"
            ));
        }
        print!("{text}");
    }
}

/// `key = "value"`, with what TOML wants escaped.
fn set(key: &str, value: &str) -> String {
    format!("{key} = {}", Value::String(value.to_owned()))
}
