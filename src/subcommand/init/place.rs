//! Where the pool listens, and where it keeps its data.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    path::PathBuf,
};

use super::{Init, ask::Ask};
use crate::{data, listener};

const MINERS: u16 = 3333;
const HTTP: u16 = 3334;

enum Reach {
    Loopback,
    All(Option<IpAddr>),
}

impl Init {
    /// A port for miners that is free.
    pub(super) fn miners_port(&self, ask: Ask) -> anyhow::Result<SocketAddr> {
        if let Some(listen) = self.listen {
            refuse_taken(ask, listen)?;
            return Ok(listen);
        }
        let options = vec![Reach::Loopback, Reach::All(lan_address())];
        // Nothing listens beyond loopback unless somebody says so.
        let first = usize::from(ask == Ask::Terminal);
        let reach = ask.choose("Where are the miners?", options, first)?;
        let address = match reach {
            Reach::Loopback => Ipv4Addr::LOCALHOST,
            Reach::All(_) => Ipv4Addr::UNSPECIFIED,
        };
        free_port(
            ask,
            address.into(),
            MINERS,
            "The port for miners:",
            "--listen",
        )
    }

    /// A port for the status page that is free. It has no login, so it stays on this machine unless
    /// the flag says otherwise.
    pub(super) fn http_port(&self, ask: Ask, miners: SocketAddr) -> anyhow::Result<SocketAddr> {
        if let Some(listen) = self.http_listen {
            refuse_taken(ask, listen)?;
            return Ok(listen);
        }
        let usual = SocketAddr::from((Ipv4Addr::LOCALHOST, HTTP));
        if miners.port() != HTTP && listener::is_free(usual).is_ok() {
            return Ok(usual);
        }
        println!("  Port {HTTP}, where the status page usually is, is taken.");
        let question = "Another port for the status page:";
        let ip = Ipv4Addr::LOCALHOST.into();
        loop {
            let port = free_port(ask, ip, 8334, question, "--http-listen")?;
            if port.port() != miners.port() {
                return Ok(port);
            }
            ask.refuse("that one is the miners'")?;
        }
    }

    /// A folder that can be written, and that no other pool has.
    pub(super) fn data(&self, ask: Ask) -> anyhow::Result<PathBuf> {
        let mut flag = self.data.clone();
        let usual = std::path::absolute("adit-data")?;
        loop {
            let typed = match flag.take() {
                Some(path) => path,
                None => PathBuf::from(ask.text(
                    "The folder of the database:",
                    Some(&usual.to_string_lossy()),
                    "on a local disk",
                    "--data",
                )?),
            };
            let path = std::path::absolute(typed)?;
            match data::lock(&path) {
                Ok(_) => return Ok(path),
                Err(error) => ask.refuse(&format!("{error:#}"))?,
            }
        }
    }
}

fn refuse_taken(ask: Ask, address: SocketAddr) -> anyhow::Result<()> {
    match listener::is_free(address) {
        Ok(()) => Ok(()),
        // The flag said it, so there is nothing to ask.
        Err(error) => {
            ask.refuse(&format!("cannot listen at {address}: {error}"))?;
            anyhow::bail!("cannot listen at {address}")
        }
    }
}

fn free_port(
    ask: Ask,
    ip: IpAddr,
    usual: u16,
    question: &str,
    flag: &str,
) -> anyhow::Result<SocketAddr> {
    loop {
        let typed = ask.text(question, Some(&usual.to_string()), "", flag)?;
        let Ok(port @ 1..) = typed.parse::<u16>() else {
            ask.refuse("a port is a number from 1 to 65535")?;
            continue;
        };
        let address = SocketAddr::new(ip, port);
        match listener::is_free(address) {
            Ok(()) => return Ok(address),
            Err(error) => ask.refuse(&format!("cannot listen at {address}: {error}"))?,
        }
    }
}

/// This machine's address for its neighbours, by the route to an address of documentation (RFC 5737).
/// Nothing is sent.
pub(super) fn lan_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loopback => f.write_str("on this machine alone"),
            Self::All(None) => f.write_str("on other machines too"),
            Self::All(Some(lan)) => write!(f, "on other machines too: they connect to {lan}"),
        }
    }
}
