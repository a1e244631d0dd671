//! Sends one copy of an alert to its place: what the kinds of places have in common, and where the
//! operator's own are.

use std::sync::Arc;

use mining::alert::Sink;
use reqwest::Url;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use store::Delivery;

use super::{
    config::Config,
    discord,
    email::{MailError, Mailer},
    mqtt::{Broker, MqttError},
    ntfy, place,
    post::{Post, PostError, Poster},
    reach::Reach,
    telegram, webhook,
};
use crate::{clock, daemon::Secret};

/// How copies are sent.
pub(super) struct Sender {
    poster: Poster,
    /// Where miners' copies may go.
    reach: Reach,
    webhook: Option<(Url, Secret)>,
    ntfy: Option<(Url, Option<Secret>)>,
    discord: Option<Url>,
    /// Where the bot sends.
    telegram: Option<Url>,
    chat: Option<String>,
    mailer: Option<Mailer>,
    broker: Option<Arc<Broker>>,
}

/// Why a copy did not get through.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    /// It was not taken.
    #[error(transparent)]
    Post(#[from] PostError),
    /// The mail server did not take it.
    #[error(transparent)]
    Mail(#[from] MailError),
    /// The broker did not take it.
    #[error(transparent)]
    Mqtt(#[from] MqttError),
    /// The configuration says no more how such places are reached.
    #[error("alerts are no more sent to places of this kind")]
    NotOffered,
    /// The place is none any more: what may be reached has changed.
    #[error("{0}")]
    Place(#[from] place::BadPlace),
    /// The alert cannot be written down.
    #[error("no message can be made of it: {0}")]
    Message(String),
}

impl Sender {
    /// From the settings. The error names the key that is wrong.
    pub(super) fn new(config: &Config, reach: Reach, page: Option<&str>) -> Result<Self, String> {
        let tls = Arc::new(tls(config)?);
        let url = |key: &str, url: &Option<Secret>| {
            let parsed = url.as_ref().map(|url| Url::parse(url.expose()));
            let is_web = |url: &Url| ["http", "https"].contains(&url.scheme()) && url.has_host();
            match parsed {
                None => Ok(None),
                Some(Ok(url)) if is_web(&url) => Ok(Some(url)),
                Some(_) => Err(format!(
                    "alerts.{key}: a URL that begins with https:// or http://"
                )),
            }
        };
        let webhook = match (
            url("webhook.url", &config.webhook.url)?,
            &config.webhook.secret,
        ) {
            (Some(url), Some(secret)) if !secret.expose().is_empty() => Some((url, secret.clone())),
            (None, None) => None,
            _ => return Err("alerts.webhook: url and secret go together".into()),
        };
        let telegram = config.telegram.token.as_ref();
        let telegram = telegram.map(|token| telegram::url(&config.telegram.server, token));
        let chat = config.telegram.chat.clone();
        if let Some(chat) = &chat
            && (!telegram::is_chat(chat) || telegram.is_none())
        {
            return Err(
                "alerts.telegram.chat: the number of a chat, and it goes with token".into(),
            );
        }
        Ok(Self {
            mailer: Mailer::new(config, page)?,
            broker: Broker::new(config, &tls)?.map(Arc::new),
            poster: Poster::new(tls),
            reach,
            webhook,
            ntfy: url("ntfy.url", &config.ntfy.url)?.map(|url| (url, config.ntfy.token.clone())),
            discord: url("discord.url", &config.discord.url)?,
            telegram: telegram.transpose()?,
            chat,
        })
    }

    /// The kinds of places that the operator has.
    pub(super) fn operator_sinks(&self) -> Vec<Sink> {
        let sinks = [
            (Sink::Webhook, self.webhook.is_some()),
            (Sink::Ntfy, self.ntfy.is_some()),
            (Sink::Discord, self.discord.is_some()),
            (Sink::Telegram, self.chat.is_some()),
            (
                Sink::Email,
                self.mailer.as_ref().is_some_and(Mailer::has_operator),
            ),
            (Sink::Mqtt, self.broker.is_some()),
        ];
        let sinks = sinks.into_iter().filter(|(_, there)| *there);
        sinks.map(|(sink, _)| sink).collect()
    }

    /// The broker that figures are published by.
    pub(super) fn broker(&self) -> Option<Arc<Broker>> {
        self.broker.clone()
    }

    /// Whether miners can be told at places of this kind.
    pub(super) fn can_reach_miners(&self, sink: Sink) -> bool {
        match sink {
            Sink::Page | Sink::Webhook | Sink::Ntfy | Sink::Discord => true,
            Sink::Telegram => self.telegram.is_some(),
            Sink::Email => self.mailer.is_some(),
            Sink::Mqtt => false,
        }
    }

    /// Sends a copy. It may be sent again after `Ok`, if that is not written down in time.
    pub(super) async fn send(&self, delivery: &Delivery) -> Result<(), SendError> {
        let to = &delivery.subscription;
        if to.address.is_empty() {
            return self.send_to_operator(delivery).await;
        }
        // What may be reached can have changed since it was asked for.
        let target = place::parse(to.sink, &to.target, &self.reach)?;
        let url = || Url::parse(&target).map_err(|_| place::BadPlace::Url);
        match to.sink {
            Sink::Webhook => {
                let post = signed(delivery, &hex::encode(to.secret.0))?;
                self.post(&url()?, &self.reach, post).await
            }
            Sink::Ntfy => {
                self.post(&url()?, &self.reach, ntfy::post(delivery, None))
                    .await
            }
            Sink::Discord => {
                self.post(&url()?, &self.reach, discord::post(delivery))
                    .await
            }
            Sink::Telegram => {
                let bot = self.telegram.as_ref().ok_or(SendError::NotOffered)?;
                let post = telegram::post(delivery, &target);
                self.post(bot, &Reach::Anywhere, post).await
            }
            Sink::Page => Ok(()),
            Sink::Email => {
                let mailer = self.mailer.as_ref().ok_or(SendError::NotOffered)?;
                Ok(mailer.send_to(delivery, &target).await?)
            }
            Sink::Mqtt => Err(SendError::NotOffered),
        }
    }

    async fn send_to_operator(&self, delivery: &Delivery) -> Result<(), SendError> {
        let (url, post) = match delivery.subscription.sink {
            Sink::Webhook => {
                let (url, secret) = self.webhook.as_ref().ok_or(SendError::NotOffered)?;
                (url, signed(delivery, secret.expose())?)
            }
            Sink::Ntfy => {
                let (url, token) = self.ntfy.as_ref().ok_or(SendError::NotOffered)?;
                (url, ntfy::post(delivery, token.as_ref()))
            }
            Sink::Discord => {
                let url = self.discord.as_ref().ok_or(SendError::NotOffered)?;
                (url, discord::post(delivery))
            }
            Sink::Telegram => {
                let bot = self.telegram.as_ref().ok_or(SendError::NotOffered)?;
                let chat = self.chat.as_ref().ok_or(SendError::NotOffered)?;
                (bot, telegram::post(delivery, chat))
            }
            Sink::Email => {
                let mailer = self.mailer.as_ref().ok_or(SendError::NotOffered)?;
                return Ok(mailer.send_to_operator(delivery).await?);
            }
            Sink::Mqtt => {
                let broker = self.broker.as_ref().ok_or(SendError::NotOffered)?;
                return Ok(broker.tell(delivery).await?);
            }
            Sink::Page => return Err(SendError::NotOffered),
        };
        self.post(url, &Reach::Anywhere, post).await
    }

    async fn post(&self, url: &Url, reach: &Reach, post: Post) -> Result<(), SendError> {
        Ok(self.poster.post(url, reach, post).await?)
    }
}

fn signed(delivery: &Delivery, key: &str) -> Result<Post, SendError> {
    webhook::post(delivery, key, clock::now_ms())
        .map_err(|error| SendError::Message(error.to_string()))
}

/// Whom we believe to be who they say: the known authorities, and the operator's own.
fn tls(config: &Config) -> Result<rustls::ClientConfig, String> {
    let mut roots = rustls::RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    if let Some(path) = &config.ca_file {
        let wrong = |error: String| format!("alerts.ca_file: {}: {error}", path.display());
        let read = CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))?;
        for certificate in read {
            let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
            roots
                .add(certificate)
                .map_err(|error| wrong(error.to_string()))?;
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}
