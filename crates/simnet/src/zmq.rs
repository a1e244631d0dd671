//! New tips on a ZMQ publisher, as Bitcoin Core's `-zmqpubhashblock`.
//!
//! A message is three frames: `hashblock`, the 32 bytes of the hash as it is printed, and a sequence
//! number of four bytes, little-endian (doc/zmq.md in Bitcoin Core).

use std::net::SocketAddr;

use anyhow::Context;
use bitcoin::{BlockHash, hashes::Hash as _};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use zeromq::{PubSocket, Socket, SocketSend, ZmqMessage};

/// Hashes waiting to be sent; Bitcoin Core's default high-water mark.
pub(crate) const QUEUE: usize = 1_000;

/// Binds the socket; gives its address with the real port.
pub(crate) async fn bind(address: SocketAddr) -> anyhow::Result<(PubSocket, String)> {
    let mut socket = PubSocket::new();
    let endpoint = socket
        .bind(&format!("tcp://{address}"))
        .await
        .with_context(|| format!("cannot publish blocks on {address}"))?;
    Ok((socket, endpoint.to_string()))
}

/// Sends every hash of the queue until the token is cancelled.
pub(crate) async fn publish(
    mut socket: PubSocket,
    mut hashes: mpsc::Receiver<BlockHash>,
    cancel: CancellationToken,
) {
    let mut sequence = 0_u32;
    loop {
        let hash = tokio::select! {
            () = cancel.cancelled() => break,
            hash = hashes.recv() => match hash {
                Some(hash) => hash,
                None => break,
            },
        };
        let mut printed = hash.to_byte_array();
        printed.reverse();
        let mut message = ZmqMessage::from("hashblock");
        message.push_back(printed.to_vec().into());
        message.push_back(sequence.to_le_bytes().to_vec().into());
        sequence = sequence.wrapping_add(1);
        if let Err(error) = socket.send(message).await {
            tracing::warn!(%error, %hash, "a block was not announced");
        }
    }
    for error in socket.close().await {
        tracing::debug!(%error, "closing the ZMQ socket");
    }
}
