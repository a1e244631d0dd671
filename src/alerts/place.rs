//! Where a miner wants to be told: checked when it asks, and again when something is sent. What is kept
//! is the one form of it, so that the same place is known again.

use bitcoin::hashes::{Hash as _, sha256};
use lettre::Address as Mailbox;
use mining::alert::Sink;
use reqwest::Url;

use super::{discord, reach::Reach, telegram};

/// The longest place: a URL with a long token fits, and the text that is signed keeps within its limit.
const LENGTH_MAX: usize = 400;
/// Ports below this are those of the machine's own services: only the two of the web are spoken to.
const PORT_MIN: u16 = 1024;

/// Why nobody can be told there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadPlace {
    /// Of no length that it can have.
    #[error("target: 1 to {LENGTH_MAX} printable ASCII characters")]
    Text,
    /// A page needs no place.
    #[error("target: a page has none; leave it empty")]
    NotNeeded,
    /// No URL that is spoken to.
    #[error("target: a URL that begins with https:// or http://, without a name, password or #")]
    Url,
    /// A port of something else.
    #[error("target: port 80, 443, or from 1024 on")]
    Port,
    /// An address that is not public.
    #[error("target: the address is not a public one")]
    NotPublic,
    /// No webhook of Discord.
    #[error("target: a webhook of Discord: https://discord.com/api/webhooks/...")]
    Discord,
    /// No chat.
    #[error("target: the number of a chat, or @channel")]
    Chat,
    /// No mailbox.
    #[error("target: an address of e-mail")]
    Mailbox,
    /// Only the operator has such a place.
    #[error("sink: not one that miners can ask for")]
    Sink,
}

/// The one form of a place of this kind. What a name leads to is not looked up here: that is done when
/// something is sent.
pub(crate) fn parse(sink: Sink, text: &str, reach: &Reach) -> Result<String, BadPlace> {
    if sink == Sink::Page {
        return if text.is_empty() {
            Ok(String::new())
        } else {
            Err(BadPlace::NotNeeded)
        };
    }
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic());
    if text.is_empty() || text.len() > LENGTH_MAX || !is_plain {
        return Err(BadPlace::Text);
    }
    match sink {
        Sink::Webhook | Sink::Ntfy => Ok(url(text, reach)?.into()),
        Sink::Discord => {
            let url = url(text, reach)?;
            let is_discord = url.scheme() == "https"
                && url.port().is_none()
                && url.path().starts_with(discord::PATH)
                && url
                    .host_str()
                    .is_some_and(|host| discord::HOSTS.contains(&host));
            is_discord.then(|| url.into()).ok_or(BadPlace::Discord)
        }
        Sink::Telegram if telegram::is_chat(text) => Ok(text.to_owned()),
        Sink::Telegram => Err(BadPlace::Chat),
        Sink::Email => {
            let mailbox: Mailbox = text.parse().map_err(|_| BadPlace::Mailbox)?;
            let domain = mailbox.domain();
            // An address in brackets would be a machine of the neighbourhood.
            if domain.starts_with('[') || !domain.contains('.') {
                return Err(BadPlace::Mailbox);
            }
            Ok(format!(
                "{}@{}",
                mailbox.user(),
                domain.to_ascii_lowercase()
            ))
        }
        Sink::Page | Sink::Mqtt => Err(BadPlace::Sink),
    }
}

/// A URL that a miner may have spoken to.
fn url(text: &str, reach: &Reach) -> Result<Url, BadPlace> {
    let url = Url::parse(text).map_err(|_| BadPlace::Url)?;
    let is_web = ["http", "https"].contains(&url.scheme());
    let has_login = !url.username().is_empty() || url.password().is_some();
    if !is_web || has_login || url.fragment().is_some() || url.as_str().len() > LENGTH_MAX {
        return Err(BadPlace::Url);
    }
    match url.port_or_known_default() {
        Some(80 | 443 | PORT_MIN..) => {}
        _ => return Err(BadPlace::Port),
    }
    // Whatever way it was written, a number is an address here.
    let host = url.host_str().ok_or(BadPlace::Url)?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if host.parse().is_ok_and(|address| !reach.allows(address)) {
        return Err(BadPlace::NotPublic);
    }
    Ok(url)
}

/// By what the same place is known, of one kind and pool or of another.
pub(crate) fn digest(sink: Sink, target: &str) -> [u8; 32] {
    sha256::Hash::hash(format!("{} {target}", sink.name()).as_bytes()).to_byte_array()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::networks::Networks;

    #[track_caller]
    fn case(sink: Sink, text: &str, expected: Result<&str, BadPlace>) {
        let reach = Reach::Public(Networks::default());
        let parsed = parse(sink, text, &reach);
        assert_eq!(parsed.as_deref(), expected.as_deref(), "{text}");
    }

    #[test]
    fn a_webhook_is_a_url_of_the_web() {
        let good = |text, kept| case(Sink::Webhook, text, Ok(kept));
        good("https://example.org", "https://example.org/");
        good("HTTPS://EXAMPLE.org:443/a?b=c", "https://example.org/a?b=c");
        good("http://example.org:8080/x", "http://example.org:8080/x");
        good("http://8.8.8.8/", "http://8.8.8.8/");
        let bad = |text: &str, error| case(Sink::Webhook, text, Err(error));
        for text in [
            "example.org",
            "ftp://example.org/",
            "file:///etc/passwd",
            "gopher://example.org/",
            "https://a:b@example.org/",
            "https://a@example.org/",
            "https://example.org/#x",
            "https://",
        ] {
            bad(text, BadPlace::Url);
        }
        for text in [
            "http://example.org:22/",
            "https://example.org:25/",
            "http://example.org:1023",
        ] {
            bad(text, BadPlace::Port);
        }
        for text in [
            "",
            "https://example.org/a b",
            "https://example.org/\n",
            "https://exämple.org",
        ] {
            bad(text, BadPlace::Text);
        }
        bad(
            &format!("https://example.org/{}", "a".repeat(400)),
            BadPlace::Text,
        );
    }

    /// Every way to write an address is one way.
    #[test]
    fn an_address_that_is_not_public_is_refused_however_it_is_written() {
        for text in [
            "http://127.0.0.1/",
            "http://127.1/",
            "http://2130706433/",
            "http://0x7f000001/",
            "http://0177.0.0.1/",
            "http://0/",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::ffff:7f00:1]/",
            "http://169.254.169.254/latest/meta-data/",
            "http://192.168.1.1:8080/",
            "http://[fd00::1]/",
            "http://100.64.0.1/",
        ] {
            case(Sink::Webhook, text, Err(BadPlace::NotPublic));
            case(Sink::Ntfy, text, Err(BadPlace::NotPublic));
        }
    }

    #[test]
    fn a_discord_webhook_is_one_of_discord() {
        let good = "https://discord.com/api/webhooks/1/abc";
        case(Sink::Discord, good, Ok(good));
        for text in [
            "http://discord.com/api/webhooks/1/abc",
            "https://discord.com.example.org/api/webhooks/1/abc",
            "https://example.org/api/webhooks/1/abc",
            "https://discord.com/api/users/1",
            "https://discord.com/api/webhooks/../users/1",
            "https://discord.com:8443/api/webhooks/1/abc",
        ] {
            case(Sink::Discord, text, Err(BadPlace::Discord));
        }
    }

    #[test]
    fn a_mailbox_is_one_of_the_internet() {
        case(
            Sink::Email,
            "Some.One+x@Example.ORG",
            Ok("Some.One+x@example.org"),
        );
        for text in [
            "a",
            "a@",
            "@example.org",
            "a@localhost",
            "a@[127.0.0.1]",
            "a@example.org,b@example.org",
            "a@example.org>",
        ] {
            case(Sink::Email, text, Err(BadPlace::Mailbox));
        }
        case(
            Sink::Email,
            "a@example.org\r\nBcc:b@example.org",
            Err(BadPlace::Text),
        );
    }

    #[test]
    fn a_page_has_no_place_and_a_broker_is_the_operator_s() {
        case(Sink::Page, "", Ok(""));
        case(Sink::Page, "x", Err(BadPlace::NotNeeded));
        case(Sink::Mqtt, "x", Err(BadPlace::Sink));
        assert_ne!(digest(Sink::Page, ""), digest(Sink::Ntfy, ""));
    }
}
