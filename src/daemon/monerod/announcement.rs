//! What the daemon says over ZMQ of new blocks: `json-minimal-chain_main`.
//!
//! Listened to by [`notify`](super::super::notify). One frame has the topic, a colon and JSON with the ids
//! of all blocks that came into the chain, lowest first; after a reorganisation they are several.

use pow::Hash;
use serde::Deserialize;
use zeromq::ZmqMessage;

use crate::daemon::notify::Publication;

/// The topic, and how it is read.
pub(in crate::daemon) const CHAIN_MAIN: Publication = Publication {
    topic: "json-minimal-chain_main",
    tip_of,
};

#[derive(Deserialize)]
struct ChainMain {
    ids: Vec<Hash>,
}

/// Longer ones are of a daemon that fetches the chain, which is looked at anyway: a thousand ids.
const LENGTH_LIMIT: usize = 70_000;

/// The newest block that a message tells.
fn tip_of(message: &ZmqMessage) -> Option<Hash> {
    let frame = message.get(0)?.as_ref();
    let body = frame
        .strip_prefix(CHAIN_MAIN.topic.as_bytes())?
        .strip_prefix(b":")?;
    if body.len() > LENGTH_LIMIT {
        return None;
    }
    let told: ChainMain = serde_json::from_slice(body).ok()?;
    told.ids.last().copied()
}

#[cfg(test)]
mod tests {
    use axum::body::Bytes;
    use serde_json::json;

    use super::*;

    fn told(frame: &str) -> Option<Hash> {
        tip_of(&ZmqMessage::from(Bytes::from(frame.to_owned())))
    }

    #[test]
    fn the_last_id_of_a_message_is_the_tip() {
        let (first, last) = (Hash([1; 32]), Hash([2; 32]));
        let body =
            json!({ "first_height": 7, "first_prev_id": Hash([3; 32]), "ids": [first, last] });
        let message = format!("json-minimal-chain_main:{body}");
        assert_eq!(told(&message), Some(last));
    }

    #[test]
    fn a_message_of_another_shape_says_nothing() {
        let ids = format!("{{\"ids\":[\"{}\"]}}", Hash([1; 32]));
        assert!(told(&format!("json-minimal-chain_main:{ids}")).is_some());
        for frame in [
            String::new(),
            "json-minimal-chain_main".to_owned(),
            "json-minimal-chain_main:".to_owned(),
            format!("json-minimal-chain_mainx:{ids}"),
            format!("json-full-chain_main:{ids}"),
            "json-minimal-chain_main:{\"ids\":[]}".to_owned(),
            "json-minimal-chain_main:{\"ids\":[\"00\"]}".to_owned(),
            format!("json-minimal-chain_main:{ids} {ids}"),
            format!("json-minimal-chain_main:{ids}{}", " ".repeat(LENGTH_LIMIT)),
        ] {
            assert_eq!(told(&frame), None, "{frame}");
        }
    }
}
