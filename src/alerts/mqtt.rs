//! Alerts and figures for a broker of MQTT, as the operator wants them: for Home Assistant, which finds
//! the pool and its workers by itself.
//!
//! Whoever has something to say connects, says it, waits until the broker has it, and goes. So nothing is
//! kept open, and what the broker shows of a pool that is gone grows old by itself.

mod figures;
mod packet;

use std::{sync::Arc, time::Duration};

use reqwest::Url;
use rustls::pki_types::ServerName;
use serde_json::json;
use store::Delivery;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, BufStream},
    time::timeout,
};
use tokio_rustls::TlsConnector;

use self::packet::Packet;
use super::{
    config::Config,
    reach::{Reach, Unreached},
};
use crate::{daemon::Secret, display};

pub(super) use figures::start;

/// How long all of it may take.
const WITHIN: Duration = Duration::from_secs(20);
/// Messages that the broker has not acknowledged yet: fewer than any broker bears.
const UNACKNOWLEDGED_MAX: usize = 16;

/// A broker, and how it is spoken to.
pub(super) struct Broker {
    host: String,
    port: u16,
    tls: Option<Arc<rustls::ClientConfig>>,
    login: Option<(String, Secret)>,
    prefix: String,
}

/// Something to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) topic: String,
    pub(super) payload: Vec<u8>,
    /// Whether the broker shows it to whoever comes later.
    pub(super) retained: bool,
}

/// Why it was not said.
#[derive(Debug, thiserror::Error)]
pub(super) enum MqttError {
    /// Nobody was reached.
    #[error(transparent)]
    Unreached(#[from] Unreached),
    /// The connection ended, or its TLS is not good.
    #[error("the connection: {0}")]
    Io(#[from] std::io::Error),
    /// The broker does not speak MQTT as it should.
    #[error("the broker sent what is no answer")]
    NoAnswer,
    /// The broker wants another login, or none of us.
    #[error("the broker refuses us, with code {0}")]
    Refused(u8),
    /// A topic or payload is too long.
    #[error("a message is too long")]
    TooLong,
    /// It took too long.
    #[error("no answer of the broker within 20 seconds")]
    Slow,
}

impl Broker {
    /// From the settings; nothing if there is none. The error names the key that is wrong.
    pub(super) fn new(
        config: &Config,
        tls: &Arc<rustls::ClientConfig>,
    ) -> Result<Option<Self>, String> {
        let mqtt = &config.mqtt;
        let Some(text) = &mqtt.url else {
            return Ok(None);
        };
        let wrong = || "alerts.mqtt.url: like mqtt://127.0.0.1:1883 or mqtts://example.org";
        let url = Url::parse(text).map_err(|_| wrong())?;
        let (is_tls, default) = match url.scheme() {
            "mqtt" => (false, 1_883),
            "mqtts" => (true, 8_883),
            _ => return Err(wrong().into()),
        };
        let host = url.host_str().filter(|host| !host.is_empty());
        let has_more = !url.username().is_empty()
            || url.password().is_some()
            || !["", "/"].contains(&url.path())
            || url.query().is_some();
        let (Some(host), false) = (host, has_more) else {
            return Err(wrong().into());
        };
        let login = match (&mqtt.user, &mqtt.password) {
            (Some(user), Some(password)) => Some((user.clone(), password.clone())),
            (None, None) => None,
            _ => return Err("alerts.mqtt: user and password go together".into()),
        };
        for (key, topic, may_be_empty) in [
            ("prefix", &mqtt.prefix, false),
            ("discovery", &mqtt.discovery, true),
        ] {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
            if topic.len() > 100
                || !topic.chars().all(is_plain)
                || topic.starts_with('/')
                || topic.ends_with('/')
                || topic.is_empty() && !may_be_empty
            {
                return Err(format!(
                    "alerts.mqtt.{key}: letters, digits, '_', '-', '.', '/'"
                ));
            }
        }
        Ok(Some(Self {
            host: host
                .trim_start_matches('[')
                .trim_end_matches(']')
                .to_owned(),
            port: url.port().unwrap_or(default),
            tls: is_tls.then(|| Arc::clone(tls)),
            login,
            prefix: mqtt.prefix.clone(),
        }))
    }

    /// Says an alert, below `PREFIX/alerts`.
    pub(super) async fn tell(&self, delivery: &Delivery) -> Result<(), MqttError> {
        let alert = &delivery.alert;
        let payload = json!({
            "id": alert.id.to_string(),
            "pool": alert.pool,
            "kind": alert.kind.name(),
            "phase": alert.phase.name(),
            "severity": alert.kind.severity(alert.phase).name(),
            "title": alert.kind.title(alert.phase),
            "text": alert.text,
            "subject": alert.subject,
            "time": display::time(alert.made_ms),
        });
        let message = Message {
            topic: format!("{}/alerts", self.prefix),
            payload: payload.to_string().into_bytes(),
            retained: false,
        };
        self.publish(&[message]).await
    }

    /// Says all of that, and waits until the broker has it.
    pub(super) async fn publish(&self, messages: &[Message]) -> Result<(), MqttError> {
        let said = async {
            let stream = Reach::Anywhere.connect(&self.host, self.port).await?;
            let Some(tls) = &self.tls else {
                return self.converse(stream, messages).await;
            };
            let name = ServerName::try_from(self.host.clone())
                .map_err(|_| std::io::Error::other("no name for TLS"))?;
            let stream = TlsConnector::from(Arc::clone(tls)).connect(name, stream);
            self.converse(stream.await?, messages).await
        };
        timeout(WITHIN, said).await.map_err(|_| MqttError::Slow)?
    }

    async fn converse<S>(&self, stream: S, messages: &[Message]) -> Result<(), MqttError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut stream = BufStream::new(stream);
        let login = self.login.as_ref();
        let login = login.map(|(user, password)| (user.as_str(), password.expose()));
        stream.write_all(&packet::connect(login)?).await?;
        stream.flush().await?;
        match Packet::read(&mut stream).await? {
            Packet::Connected(0) => {}
            Packet::Connected(code) => return Err(MqttError::Refused(code)),
            Packet::Acknowledged(_) => return Err(MqttError::NoAnswer),
        }
        for some in messages.chunks(UNACKNOWLEDGED_MAX) {
            for (id, message) in (1_u16..).zip(some) {
                stream.write_all(&packet::publish(message, id)?).await?;
            }
            stream.flush().await?;
            for (id, _) in (1_u16..).zip(some) {
                match Packet::read(&mut stream).await? {
                    Packet::Acknowledged(acknowledged) if acknowledged == id => {}
                    _ => return Err(MqttError::NoAnswer),
                }
            }
        }
        stream.write_all(&packet::DISCONNECT).await?;
        stream.flush().await?;
        Ok(())
    }
}
