//! Lets miners in: one permit and one task for each connection, and limits that an attacker meets
//! before anything is allocated for him.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::Context as _;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tracing::{info, warn};

use crate::{
    connection::{self, Context},
    stream::Stream,
    tasks::{Stage, Tasks},
    template_feed::Newest,
};

/// How long to wait after the system refused to accept, most likely for want of file descriptors.
const ACCEPT_BACK_OFF: Duration = Duration::from_millis(100);

/// How long miners are kept waiting for the first template; then they are let in and told that
/// there is no work, so that they go to another pool.
const FIRST_TEMPLATE: Duration = Duration::from_secs(5);

/// How many connections there may be.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// In all.
    pub connections: usize,
    /// From one address, or from one /64 of IPv6.
    pub per_address: usize,
}

/// Opens a port for miners. It serves them until shutdown.
pub async fn open(
    address: SocketAddr,
    limits: Limits,
    context: Arc<Context>,
    tasks: &Tasks,
) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen for miners at {address}"))?;
    let address = listener.local_addr()?;
    info!(%address, "listening for miners");
    let door = Door {
        listener,
        permits: Arc::new(Semaphore::new(limits.connections)),
        addresses: Addresses {
            limit: limits.per_address,
            counts: Arc::default(),
        },
        context,
        tasks: tasks.clone(),
    };
    tasks.spawn(Stage::Doors, "listener", door.run());
    Ok(address)
}

struct Door {
    listener: TcpListener,
    permits: Arc<Semaphore>,
    addresses: Addresses,
    context: Arc<Context>,
    tasks: Tasks,
}

impl Door {
    async fn run(self) -> anyhow::Result<()> {
        let stopping = self.tasks.ending(Stage::Doors);
        // Miners that came before the first template would only be sent away again.
        let mut newest = self.context.newest.clone();
        tokio::select! {
            () = stopping.cancelled() => return Ok(()),
            // An error means that the process is stopping.
            _ = newest.wait_for(|newest| matches!(newest, Newest::Offer(_))) => {}
            () = tokio::time::sleep(FIRST_TEMPLATE) => {}
        }
        loop {
            let accepted = tokio::select! {
                () = stopping.cancelled() => return Ok(()),
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => self.let_in(stream, peer),
                Err(error) => {
                    warn!(%error, "cannot accept connections");
                    tokio::time::sleep(ACCEPT_BACK_OFF).await;
                }
            }
        }
    }

    /// Starts the connection's task, or drops the connection where a limit is reached.
    fn let_in(&self, stream: TcpStream, peer: SocketAddr) {
        let metrics = &self.context.metrics;
        let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else {
            metrics.turned_away.inc();
            return;
        };
        let Some(counted) = self.addresses.enter(peer.ip()) else {
            metrics.turned_away.inc();
            return;
        };
        let context = Arc::clone(&self.context);
        let metrics = Arc::clone(metrics);
        let served = async move {
            connection::serve(Stream::plain(stream), peer, context).await;
            drop((permit, counted));
        };
        let panicked = move || {
            metrics.panics.inc();
        };
        self.tasks.spawn_connection(Stage::Doors, served, panicked);
    }
}

/// Counts connections by where they come from.
#[derive(Clone)]
struct Addresses {
    limit: usize,
    counts: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// A counted connection; uncounted on drop.
struct Counted {
    address: IpAddr,
    counts: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Addresses {
    fn enter(&self, address: IpAddr) -> Option<Counted> {
        let address = network_of(address);
        let mut counts = self
            .counts
            .lock()
            .expect("nothing panics while holding this lock");
        let count = counts.entry(address).or_default();
        if *count >= self.limit {
            return None;
        }
        *count += 1;
        Some(Counted {
            address,
            counts: Arc::clone(&self.counts),
        })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self
            .counts
            .lock()
            .expect("nothing panics while holding this lock");
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

/// What one party is assumed to have: an IPv4 address, or a /64 of IPv6.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_number_of_connections_and_gets_them_back() {
        let addresses = Addresses {
            limit: 2,
            counts: Arc::default(),
        };
        let enter = |text: &str| addresses.enter(text.parse().unwrap());
        let first = enter("1.2.3.4");
        let second = enter("::ffff:1.2.3.4");
        assert!(first.is_some() && second.is_some());
        assert!(enter("1.2.3.4").is_none());
        assert!(enter("1.2.3.5").is_some());
        drop(first);
        assert!(enter("1.2.3.4").is_some());
        let _one = enter("2001:db8:1:1::1");
        let _two = enter("2001:db8:1:1:ffff::2");
        assert!(enter("2001:db8:1:1::3").is_none());
        assert!(enter("2001:db8:1:2::1").is_some());
        drop(second);
        let counts = addresses.counts.lock().unwrap();
        assert!(
            !counts.contains_key(&"1.2.3.4".parse::<IpAddr>().unwrap()),
            "no empty counts"
        );
    }
}
