//! What a peer's first bytes say it speaks. They are looked at and left where they are: whoever
//! understands them reads them.

use std::{io, time::Duration};

use crate::stream::Stream;

/// How soon bytes that can still become two things are looked at again. It doubles each time, so
/// that a peer that never goes on costs nothing.
const AGAIN: Duration = Duration::from_millis(10);
/// And at most this long after.
const AGAIN_MAX: Duration = Duration::from_millis(500);

/// What a peer speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speech {
    /// A TLS handshake.
    Tls,
    /// A request of HTTP that a browser or a probe would make.
    Http,
    /// A PROXY header, of either version.
    Proxy,
    /// Anything else, which is for Stratum to make sense of.
    Stratum,
}

/// The starts that are known, and what they mean.
const STARTS: [(&[u8], Speech); 6] = [
    (&wire::proxy::SIGNATURE, Speech::Proxy),
    (b"PROXY ", Speech::Proxy),
    (&[0x16, 0x03], Speech::Tls),
    (b"GET ", Speech::Http),
    (b"HEAD ", Speech::Http),
    (b"POST ", Speech::Http),
];

/// Waits for a peer's first bytes, until they leave no doubt. Nothing if it ends before that. The
/// caller sets the limit of time.
pub(super) async fn speech(stream: &mut Stream) -> io::Result<Option<Speech>> {
    let mut pause = AGAIN;
    loop {
        let mut bytes = [0; wire::proxy::SIGNATURE.len()];
        let count = stream.peek(&mut bytes).await?;
        if count == 0 {
            return Ok(None);
        }
        if let Some(speech) = of(&bytes[..count]) {
            return Ok(Some(speech));
        }
        // Under TLS only the first record is looked at; no client cuts a word in two there.
        if stream.is_tls() {
            return Ok(Some(Speech::Stratum));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(AGAIN_MAX);
    }
}

/// What bytes begin; nothing while that is open.
fn of(bytes: &[u8]) -> Option<Speech> {
    let known = STARTS.iter().find(|(start, _)| bytes.starts_with(start));
    if let Some((_, speech)) = known {
        return Some(*speech);
    }
    let is_open = STARTS.iter().any(|(start, _)| start.starts_with(bytes));
    (!is_open).then_some(Speech::Stratum)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn first_bytes_are_told_apart() {
        #[track_caller]
        fn case(bytes: &[u8], expected: Option<Speech>) {
            assert_eq!(of(bytes), expected);
        }
        case(b"{\"id\":1", Some(Speech::Stratum));
        case(b"{", Some(Speech::Stratum));
        case(b"\n", Some(Speech::Stratum));
        case(b"\r\n{", Some(Speech::Stratum));
        case(b" {", Some(Speech::Stratum));
        case(b"GET /", Some(Speech::Http));
        case(b"GET", None);
        case(b"GETX", Some(Speech::Stratum));
        case(b"HEAD / HTTP/1.1", Some(Speech::Http));
        case(b"POST /x", Some(Speech::Http));
        case(b"PUT /", Some(Speech::Stratum));
        case(b"P", None);
        case(b"PROXY TCP4", Some(Speech::Proxy));
        case(b"\r", None);
        case(&wire::proxy::SIGNATURE[..11], None);
        case(&wire::proxy::SIGNATURE, Some(Speech::Proxy));
        case(&[0x16], None);
        case(&[0x16, 3, 1], Some(Speech::Tls));
        case(&[0x16, 2], Some(Speech::Stratum));
    }

    proptest! {
        /// More bytes never change what was said, and twelve always say something.
        #[test]
        fn what_was_said_stays(bytes in prop::collection::vec(any::<u8>(), 1..20), at in 0_usize..6) {
            let bytes = [&STARTS[at].0[..STARTS[at].0.len() - 1], &bytes].concat();
            let mut said = None;
            for length in 1..=bytes.len() {
                let now = of(&bytes[..length]);
                prop_assert!(said.is_none() || said == now);
                said = now;
            }
            prop_assert!(said.is_some() || bytes.len() < 12);
        }
    }
}
