//! The ways in which a daemon tells of a new tip by itself: ZMQ, a long poll, `waitfornewblock`.
//!
//! One task for each of them and each daemon. None is needed and none is trusted: what they say is
//! passed to [`follow`](super::follow), which asks the daemon. All of them slow down when they
//! return at once with nothing new, as a long poll does after a restart of the daemon.

use std::{sync::Arc, time::Duration};

use pow::Hash;
use tokio::time::{Instant, sleep, timeout};
use tracing::debug;
use zeromq::{Socket, SocketRecv, SubSocket, ZmqMessage};

use super::{
    bitcoind::{Bitcoind, NoTemplate},
    node::{Node, Notice, Source},
    pause::Pause,
    reply::ZmqNotification,
    rpc::CallError,
};

/// Between attempts of a source that fails or brings nothing new: the poll covers the time.
const AGAIN: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));

/// A wait that returned the same tip within this time did not wait.
const AT_ONCE: Duration = Duration::from_secs(5);

/// Before a daemon is asked again for something that it does not offer.
const NOT_OFFERED: Duration = Duration::from_secs(600);

/// A ZMQ connection silent for so long is made anew: no chain here rests for that long often.
const ZMQ_SILENCE: Duration = Duration::from_secs(600);

/// To connect and shake hands.
const ZMQ_CONNECT: Duration = Duration::from_secs(5);

/// "Method not found".
const METHOD_NOT_FOUND: i64 = -32601;

/// Waits for templates.
pub(super) async fn long_poll(daemon: Arc<Node>) -> anyhow::Result<()> {
    let mut newest = daemon.newest.subscribe();
    let mut pause = Pause::new(AGAIN.0, AGAIN.1);
    let mut given_up: Option<Arc<str>> = None;
    let Some(bitcoind) = daemon.client.bitcoind() else {
        return Ok(());
    };
    loop {
        let before = newest.borrow_and_update().clone();
        let waited = before
            .as_ref()
            .and_then(|before| before.long_poll_id.clone());
        let (Some(before), Some(id)) = (before, waited.filter(|id| Some(id) != given_up.as_ref()))
        else {
            newest.changed().await?;
            continue;
        };
        if !answers(&daemon).await {
            continue;
        }
        let begun = Instant::now();
        match bitcoind.next_template(&id).await {
            Ok(received) => {
                let same = received.template.previous() == before.template.previous();
                // Told here already, so that the next wait is for what comes after it.
                daemon.newest.send_replace(Some(received.clone()));
                daemon.notice(Notice::Template(received));
                if same && begun.elapsed() < AT_ONCE {
                    sleep(pause.next()).await;
                } else {
                    pause.reset();
                }
            }
            // Unlike us the daemon goes on waiting, with one of its few threads, until this handle
            // is out of date. Another wait with it would take another thread.
            Err(NoTemplate::Call(CallError::TimedOut(_))) => given_up = Some(id),
            Err(_) => sleep(pause.next()).await,
        }
    }
}

/// Waits for tips.
pub(super) async fn wait_for_new_block(daemon: Arc<Node>) -> anyhow::Result<()> {
    let mut pause = Pause::new(AGAIN.0, AGAIN.1);
    let mut before = None;
    let Some(bitcoind) = daemon.client.bitcoind() else {
        return Ok(());
    };
    loop {
        if !answers(&daemon).await {
            continue;
        }
        let begun = Instant::now();
        match bitcoind.wait_for_new_block().await {
            Ok(block) => {
                let same = before.replace(block.hash) == Some(block.hash);
                daemon.notice(Notice::Tip(Source::WaitForNewBlock, block.hash));
                if same && begun.elapsed() < AT_ONCE {
                    sleep(pause.next()).await;
                } else {
                    pause.reset();
                }
            }
            Err(CallError::Rpc {
                code: METHOD_NOT_FOUND,
                ..
            }) => sleep(NOT_OFFERED).await,
            Err(_) => sleep(pause.next()).await,
        }
    }
}

/// What a family of daemons publishes of new tips.
#[derive(Clone, Copy)]
pub(super) struct Publication {
    /// What messages begin with.
    pub(super) topic: &'static str,
    /// The tip that a message tells of.
    pub(super) tip_of: fn(&ZmqMessage) -> Option<Hash>,
}

/// That of Core's family.
pub(super) const HASHBLOCK: Publication = Publication {
    topic: "hashblock",
    tip_of: hash_of,
};

/// Listens to what the daemon publishes of new tips.
pub(super) async fn zmq(daemon: Arc<Node>) -> anyhow::Result<()> {
    let mut pause = Pause::new(AGAIN.0, AGAIN.1);
    loop {
        if !answers(&daemon).await {
            continue;
        }
        let endpoint = match zmq_endpoint(&daemon).await {
            Ok(Some(endpoint)) => endpoint,
            Ok(None)
            | Err(CallError::Rpc {
                code: METHOD_NOT_FOUND,
                ..
            }) => {
                sleep(NOT_OFFERED).await;
                continue;
            }
            Err(_) => {
                sleep(pause.next()).await;
                continue;
            }
        };
        let publication = daemon.client.publication();
        listen(&daemon.name, &endpoint, publication, |hash| {
            pause.reset();
            if let Some(hash) = hash {
                daemon.notice(Notice::Tip(Source::Zmq, hash));
            }
        })
        .await;
        sleep(pause.next()).await;
    }
}

/// Tells `said` of each message, and of its tip if it has one, until none comes any more.
pub(super) async fn listen(
    daemon: &str,
    endpoint: &str,
    publication: Publication,
    mut said: impl FnMut(Option<Hash>),
) {
    let topic = publication.topic;
    match timeout(ZMQ_CONNECT, connect(endpoint, topic)).await {
        Ok(Ok(mut socket)) => {
            debug!(daemon, endpoint, topic, "listening");
            while let Ok(Ok(message)) = timeout(ZMQ_SILENCE, socket.recv()).await {
                said((publication.tip_of)(&message));
            }
            debug!(daemon, endpoint, topic, "nothing is published any more");
        }
        Ok(Err(failure)) => debug!(daemon, endpoint, %failure, "no ZMQ"),
        Err(_) => debug!(daemon, endpoint, "no ZMQ in time"),
    }
}

/// Whether the daemon can be asked; waits a little if not.
async fn answers(daemon: &Node) -> bool {
    let answers = daemon.breaker(|breaker| breaker.is_closed());
    if !answers {
        sleep(AGAIN.0).await;
    }
    answers
}

async fn connect(endpoint: &str, topic: &str) -> zeromq::ZmqResult<SubSocket> {
    let mut socket = SubSocket::new();
    socket.connect(endpoint).await?;
    socket.subscribe(topic).await?;
    Ok(socket)
}

/// `hashblock`, the hash as it is printed, a sequence number.
fn hash_of(message: &ZmqMessage) -> Option<Hash> {
    if message.get(0)?.as_ref() != b"hashblock" {
        return None;
    }
    let mut bytes: [u8; 32] = message.get(1)?.as_ref().try_into().ok()?;
    bytes.reverse();
    Some(Hash(bytes))
}

/// The configured one, or the daemon's own if both are on this machine.
async fn zmq_endpoint(daemon: &Node) -> Result<Option<String>, CallError> {
    let on_loopback = |bitcoind: &&Bitcoind| bitcoind.is_on_loopback();
    let Some(bitcoind) = daemon.client.bitcoind().filter(on_loopback) else {
        return Ok(daemon.zmq.clone());
    };
    if daemon.zmq.is_some() {
        return Ok(daemon.zmq.clone());
    }
    let offered = bitcoind.zmq_notifications().await?;
    Ok(offered.iter().find_map(endpoint_on_loopback))
}

fn endpoint_on_loopback(offered: &ZmqNotification) -> Option<String> {
    let address = offered.address.strip_prefix("tcp://")?;
    if offered.kind != "pubhashblock" {
        return None;
    }
    let port = match address.rsplit_once(':')? {
        ("0.0.0.0" | "*", port) => port,
        (host, port) if host.parse::<std::net::Ipv4Addr>().ok()?.is_loopback() => port,
        _ => return None,
    };
    let _: u16 = port.parse().ok()?;
    Some(format!("tcp://127.0.0.1:{port}"))
}

#[cfg(test)]
mod tests {
    use axum::body::Bytes;

    use super::*;

    #[test]
    fn only_hashblock_on_this_machine_is_listened_to() {
        #[track_caller]
        fn case(kind: &str, address: &str, expected: Option<&str>) {
            let offered = ZmqNotification {
                kind: kind.into(),
                address: address.into(),
            };
            assert_eq!(endpoint_on_loopback(&offered).as_deref(), expected);
        }
        let local = Some("tcp://127.0.0.1:28332");
        case("pubhashblock", "tcp://127.0.0.1:28332", local);
        case("pubhashblock", "tcp://0.0.0.0:28332", local);
        case("pubhashblock", "tcp://*:28332", local);
        case("pubrawblock", "tcp://127.0.0.1:28332", None);
        case("pubhashblock", "tcp://192.0.2.1:28332", None);
        case("pubhashblock", "ipc:///tmp/zmq", None);
        case("pubhashblock", "tcp://127.0.0.1:99999", None);
        case("pubhashblock", "tcp://127.0.0.1", None);
    }

    #[test]
    fn a_message_of_another_shape_says_nothing() {
        let message = |frames: Vec<Vec<u8>>| {
            let frames: Vec<Bytes> = frames.into_iter().map(Bytes::from).collect();
            ZmqMessage::try_from(frames).unwrap()
        };
        let mut printed = vec![0; 32];
        printed[31] = 1;
        let told = message(vec![b"hashblock".to_vec(), printed, vec![0; 4]]);
        let mut one = [0; 32];
        one[0] = 1;
        assert_eq!(hash_of(&told), Some(Hash(one)));
        assert_eq!(hash_of(&message(vec![b"hashblock".to_vec()])), None);
        assert_eq!(
            hash_of(&message(vec![b"hashblock".to_vec(), vec![0; 31]])),
            None
        );
        assert_eq!(
            hash_of(&message(vec![b"hashtx".to_vec(), vec![0; 32]])),
            None
        );
    }
}
