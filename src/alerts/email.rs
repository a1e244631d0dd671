//! Alerts to a mailbox, by the operator's mail server. What goes to a miner's mailbox bears a link that
//! ends it, also in the headers that mail programs make a button of (RFC 8058).

use std::time::Duration;

use lettre::{
    AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor,
    message::{
        Mailbox,
        header::{HeaderName, HeaderValue},
    },
    transport::smtp::{
        authentication::Credentials,
        client::{Certificate, Tls, TlsParameters},
    },
};
use mining::alert::Kind;
use store::Delivery;
use tokio::time::timeout;

use super::{
    config::{Config, EmailTls},
    token::Token,
};

/// How long one answer of the server, and all of it, may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
const WITHIN: Duration = Duration::from_secs(30);
/// The operator's mailboxes.
const TO_MAX: usize = 16;

/// Writes to mailboxes.
pub(super) struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    /// The operator's.
    to: Vec<Mailbox>,
    /// Where links lead, without a slash at the end.
    page: Option<String>,
}

/// Why a message was not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum MailError {
    /// The place is no mailbox.
    #[error("no mailbox")]
    NoMailbox,
    /// No message can be made of it.
    #[error("no message: {0}")]
    Message(#[from] lettre::error::Error),
    /// The server did not take it.
    #[error("the mail server: {0}")]
    Server(#[from] lettre::transport::smtp::Error),
    /// The server took too long.
    #[error("no answer of the mail server within 30 seconds")]
    Slow,
}

impl Mailer {
    /// From the settings; nothing if there is no server. The error names the key that is wrong.
    pub(super) fn new(config: &Config, page: Option<&str>) -> Result<Option<Self>, String> {
        let email = &config.email;
        let Some(host) = &email.host else {
            return if email.to.is_empty() {
                Ok(None)
            } else {
                Err("alerts.email.to goes with host".into())
            };
        };
        let mailbox = |key: &str, text: &String| {
            let parsed = text.parse::<Mailbox>();
            parsed.map_err(|_| format!("alerts.email.{key}: {text:?} is no mailbox"))
        };
        let from = email.from.as_ref();
        let from = from.ok_or("alerts.email.host goes with from")?;
        if email.to.len() > TO_MAX {
            return Err(format!("alerts.email.to: at most {TO_MAX}"));
        }
        let is_here = ["localhost", "127.0.0.1", "::1"].contains(&host.as_str());
        let tls = match email.tls {
            EmailTls::Off if !is_here => {
                return Err("alerts.email.tls: \"off\" is for a server on this machine".into());
            }
            EmailTls::Off => Tls::None,
            EmailTls::StartTls => Tls::Required(parameters(config, host)?),
            EmailTls::On => Tls::Wrapper(parameters(config, host)?),
        };
        let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host.as_str())
            .port(email.port)
            .tls(tls)
            .timeout(Some(ANSWER_WITHIN));
        match (&email.user, &email.password) {
            (Some(user), Some(password)) => {
                let password = password.expose().to_owned();
                transport = transport.credentials(Credentials::new(user.clone(), password));
            }
            (None, None) => {}
            _ => return Err("alerts.email: user and password go together".into()),
        }
        let to = email.to.iter().map(|text| mailbox("to", text));
        Ok(Some(Self {
            transport: transport.build(),
            from: mailbox("from", from)?,
            to: to.collect::<Result<_, _>>()?,
            page: page.map(|page| page.trim_end_matches('/').to_owned()),
        }))
    }

    /// Whether the operator has a mailbox.
    pub(super) fn has_operator(&self) -> bool {
        !self.to.is_empty()
    }

    /// Sends a copy to a miner's mailbox.
    pub(super) async fn send_to(&self, delivery: &Delivery, target: &str) -> Result<(), MailError> {
        let mailbox = target.parse().map_err(|_| MailError::NoMailbox)?;
        self.send(delivery, &[mailbox]).await
    }

    /// Sends a copy to the operator's.
    pub(super) async fn send_to_operator(&self, delivery: &Delivery) -> Result<(), MailError> {
        self.send(delivery, &self.to).await
    }

    async fn send(&self, delivery: &Delivery, to: &[Mailbox]) -> Result<(), MailError> {
        let message = self.message(delivery, to)?;
        let sent = timeout(WITHIN, self.transport.send(message)).await;
        sent.map_err(|_| MailError::Slow)??;
        Ok(())
    }

    fn message(&self, delivery: &Delivery, to: &[Mailbox]) -> Result<Message, MailError> {
        let alert = &delivery.alert;
        let (pool, title) = (&alert.pool, alert.kind.title(alert.phase));
        let domain = self.from.email.domain();
        let of = delivery.subscription.id;
        let mut message = Message::builder()
            .from(self.from.clone())
            .subject(format!("{pool}: {title}"))
            // The same at each attempt, so that a copy that came twice is known.
            .message_id(Some(format!("<alert-{}-{of}@{domain}>", alert.id)));
        for mailbox in to {
            message = message.to(mailbox.clone());
        }
        let mut body = format!("{}\n", alert.text);
        let secret = &delivery.subscription.secret;
        let is_miners = !delivery.subscription.address.is_empty();
        if let Some(page) = self.page.as_ref().filter(|_| is_miners) {
            let link = Token::Stop.link(page, of, secret);
            // Who has not confirmed it has nothing to end.
            if alert.kind != Kind::Confirmation {
                body += &format!("\nNo more of these: {link}\n");
            }
            message = message
                .raw_header(header("List-Unsubscribe", format!("<{link}>")))
                .raw_header(header(
                    "List-Unsubscribe-Post",
                    "List-Unsubscribe=One-Click".to_owned(),
                ));
        }
        Ok(message.body(body)?)
    }
}

fn header(name: &'static str, value: String) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value)
}

/// Whom we believe to be the server: by the known authorities, and the operator's own.
fn parameters(config: &Config, host: &str) -> Result<TlsParameters, String> {
    let mut parameters = TlsParameters::builder(host.to_owned());
    if let Some(path) = &config.ca_file {
        let wrong = |error: String| format!("alerts.ca_file: {}: {error}", path.display());
        let pem = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
        let certificate = Certificate::from_pem(&pem).map_err(|error| wrong(error.to_string()))?;
        parameters = parameters.add_root_certificate(certificate);
    }
    parameters.build_rustls().map_err(|error| error.to_string())
}
