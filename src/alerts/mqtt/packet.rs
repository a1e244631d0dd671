//! The packets of MQTT 3.1.1 that somebody needs who only publishes, with acknowledgement (QoS 1).
//! Brokers of version 5 speak it too. <https://docs.oasis-open.org/mqtt/mqtt/v3.1.1/mqtt-v3.1.1.html>

use bitcoin::secp256k1::rand;
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::{Message, MqttError};

/// The end of a connection, section 3.14.
pub(super) const DISCONNECT: [u8; 2] = [0xe0, 0];
/// The connection is closed by the broker after 1.5 times so many seconds of silence.
const KEEP_ALIVE_S: u16 = 60;
/// The most bytes after a header that can be said in four bytes, section 2.2.3.
const LENGTH_MAX: usize = 268_435_455;
/// The longest packet that is answered to somebody who only publishes.
const ANSWER_MAX: usize = 16;

/// What a broker answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packet {
    /// With zero we are connected.
    Connected(u8),
    /// It has the message with this number.
    Acknowledged(u16),
}

impl Packet {
    /// Reads the next one. One that is neither is an error.
    pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Self, MqttError> {
        let kind = stream.read_u8().await?;
        let length = usize::from(stream.read_u8().await?);
        if length > ANSWER_MAX {
            return Err(MqttError::NoAnswer);
        }
        let mut body = [0; ANSWER_MAX];
        let body = &mut body[..length];
        stream.read_exact(body).await?;
        match (kind, &*body) {
            (0x20, [_, code]) => Ok(Self::Connected(*code)),
            (0x40, [high, low]) => Ok(Self::Acknowledged(u16::from_be_bytes([*high, *low]))),
            _ => Err(MqttError::NoAnswer),
        }
    }
}

/// Who we are, section 3.1: nobody whom the broker should remember.
pub(super) fn connect(login: Option<(&str, &str)>) -> Result<Vec<u8>, MqttError> {
    const CLEAN: u8 = 0x02;
    const WITH_LOGIN: u8 = 0xc0;
    let mut body = Vec::new();
    text(&mut body, "MQTT")?;
    body.push(4);
    body.push(CLEAN | login.map_or(0, |_| WITH_LOGIN));
    body.extend(KEEP_ALIVE_S.to_be_bytes());
    text(&mut body, &format!("adit-{:08x}", rand::random::<u32>()))?;
    if let Some((user, password)) = login {
        text(&mut body, user)?;
        text(&mut body, password)?;
    }
    packet(0x10, &body)
}

/// A message that is acknowledged by this number, section 3.3.
pub(super) fn publish(message: &Message, id: u16) -> Result<Vec<u8>, MqttError> {
    let mut body = Vec::new();
    text(&mut body, &message.topic)?;
    body.extend(id.to_be_bytes());
    body.extend(&message.payload);
    packet(0x32 | u8::from(message.retained), &body)
}

/// A text with its length before it.
fn text(body: &mut Vec<u8>, text: &str) -> Result<(), MqttError> {
    let length = u16::try_from(text.len()).map_err(|_| MqttError::TooLong)?;
    body.extend(length.to_be_bytes());
    body.extend(text.as_bytes());
    Ok(())
}

/// A packet: its kind, its length in groups of seven bits, its body.
fn packet(kind: u8, body: &[u8]) -> Result<Vec<u8>, MqttError> {
    let mut length = body.len();
    if length > LENGTH_MAX {
        return Err(MqttError::TooLong);
    }
    let mut packet = vec![kind];
    loop {
        let group = u8::try_from(length & 0x7f).expect("seven bits");
        length >>= 7;
        packet.push(group | if length > 0 { 0x80 } else { 0 });
        if length == 0 {
            break;
        }
    }
    packet.extend(body);
    Ok(packet)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(payload: usize, retained: bool) -> Message {
        Message {
            topic: "a/b".into(),
            payload: vec![b'x'; payload],
            retained,
        }
    }

    #[test]
    fn packets_are_as_the_standard_draws_them() {
        let short = publish(&message(1, true), 7).unwrap();
        assert_eq!(short, b"\x33\x08\x00\x03a/b\x00\x07x");
        for (payload, length) in [
            (120, &[0x7f][..]),
            (121, &[0x80, 0x01]),
            (16_376, &[0xff, 0x7f]),
            (16_377, &[0x80, 0x80, 0x01]),
        ] {
            let packet = publish(&message(payload, false), 1).unwrap();
            assert_eq!(packet[0], 0x32);
            assert_eq!(&packet[1..=length.len()], length, "{payload}");
            assert_eq!(packet.len(), 1 + length.len() + 7 + payload);
        }
        let plain = connect(None).unwrap();
        assert_eq!(&plain[..12], b"\x10\x19\x00\x04MQTT\x04\x02\x00\x3c");
        let login = connect(Some(("user", "secret"))).unwrap();
        assert_eq!(login[9], 0xc2);
        assert!(login.ends_with(b"\x00\x04user\x00\x06secret"));
        let long = "x".repeat(65_536);
        assert!(matches!(
            connect(Some((&long, ""))),
            Err(MqttError::TooLong)
        ));
    }

    #[tokio::test]
    async fn only_answers_are_read() {
        async fn read(mut bytes: &[u8]) -> Result<Packet, MqttError> {
            Packet::read(&mut bytes).await
        }
        let connected = read(&[0x20, 2, 0, 5]).await;
        assert!(matches!(connected, Ok(Packet::Connected(5))));
        let acknowledged = read(&[0x40, 2, 1, 2]).await;
        assert!(matches!(acknowledged, Ok(Packet::Acknowledged(258))));
        for wrong in [
            &[0x20, 3, 0, 0, 0][..],
            &[0x30, 2, 0, 0],
            &[0x40, 0xff, 0xff, 0xff, 0x7f],
            &[0x40, 17],
        ] {
            assert!(
                matches!(read(wrong).await, Err(MqttError::NoAnswer)),
                "{wrong:?}"
            );
        }
        for cut in [&[][..], &[0x40], &[0x40, 2, 1]] {
            assert!(matches!(read(cut).await, Err(MqttError::Io(_))), "{cut:?}");
        }
    }
}
