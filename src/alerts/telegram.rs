//! Alerts to a chat of Telegram, by the operator's bot.

use reqwest::Url;
use serde_json::json;
use store::Delivery;

use super::post::Post;
use crate::daemon::Secret;

/// Where a bot sends messages. Its token is part of that, so that the URL is never shown.
pub(super) fn url(server: &str, token: &Secret) -> Result<Url, &'static str> {
    let is_token = |c: char| c.is_ascii_alphanumeric() || ":_-".contains(c);
    let token = token.expose();
    if token.is_empty() || !token.chars().all(is_token) {
        return Err("alerts.telegram.token: the token of a bot, like 123456:ABC");
    }
    let server = server.trim_end_matches('/');
    Url::parse(&format!("{server}/bot{token}/sendMessage"))
        .map_err(|_| "alerts.telegram.server: a URL")
}

/// Whether this names a chat: a number, or a public channel.
pub(super) fn is_chat(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_number =
        (1..=19).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    let is_channel = text.strip_prefix('@').is_some_and(|name| {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        (5..=32).contains(&name.len()) && name.bytes().all(is_name)
    });
    is_number || is_channel
}

/// The request for a copy of an alert to this chat. The text is sent as it is, without marks.
pub(super) fn post(delivery: &Delivery, chat: &str) -> Post {
    let alert = &delivery.alert;
    let (pool, title) = (&alert.pool, alert.kind.title(alert.phase));
    let text = format!("{pool}: {title}\n{}", alert.text);
    Post {
        content_type: "application/json",
        headers: Vec::new(),
        body: json!({"chat_id": chat, "text": text, "disable_web_page_preview": true})
            .to_string()
            .into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chat_is_a_number_or_a_channel() {
        for chat in ["1", "-1001234567890", "@a_channel"] {
            assert!(is_chat(chat), "{chat}");
        }
        for chat in [
            "",
            "-",
            "+1",
            "1.5",
            "@abc",
            "@a channel",
            "chat",
            "1\n2",
            "@äöüßx",
        ] {
            assert!(!is_chat(chat), "{chat}");
        }
    }

    #[test]
    fn a_token_that_would_lead_elsewhere_is_none() {
        let server = "https://api.telegram.org";
        let good = url(server, &Secret::from("1:AB-c_9")).unwrap();
        assert_eq!(good.path(), "/bot1:AB-c_9/sendMessage");
        for token in ["", "a/b", "a?b", "a b", "../x"] {
            assert!(url(server, &Secret::from(token)).is_err(), "{token}");
        }
    }
}
