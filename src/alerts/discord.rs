//! Alerts to a channel of Discord, by a webhook of it.

use serde_json::json;
use store::Delivery;

use super::post::Post;

/// The hosts of such webhooks.
pub(super) const HOSTS: [&str; 2] = ["discord.com", "discordapp.com"];
/// What their paths begin with.
pub(super) const PATH: &str = "/api/webhooks/";

/// The request for a copy of an alert. Nobody is called by name, whatever a worker is called.
pub(super) fn post(delivery: &Delivery) -> Post {
    let alert = &delivery.alert;
    let (pool, title) = (&alert.pool, alert.kind.title(alert.phase));
    let content = format!("**{pool}: {title}**\n{}", alert.text);
    Post {
        content_type: "application/json",
        headers: Vec::new(),
        body: json!({"content": content, "allowed_mentions": {"parse": []}})
            .to_string()
            .into_bytes(),
    }
}
