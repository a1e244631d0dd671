//! Where alerts go.

/// A kind of place that alerts are sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sink {
    /// Nowhere: they stand on a page.
    Page,
    /// A program, by HTTP.
    Webhook,
    /// A server of ntfy, by HTTP.
    Ntfy,
    /// A channel of Discord.
    Discord,
    /// A chat of Telegram.
    Telegram,
    /// A mailbox.
    Email,
    /// A broker of MQTT; the operator's own alone.
    Mqtt,
}

impl Sink {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Page,
        Self::Webhook,
        Self::Ntfy,
        Self::Discord,
        Self::Telegram,
        Self::Email,
        Self::Mqtt,
    ];

    /// The name in the store, the API, the configuration and signed texts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::Webhook => "webhook",
            Self::Ntfy => "ntfy",
            Self::Discord => "discord",
            Self::Telegram => "telegram",
            Self::Email => "email",
            Self::Mqtt => "mqtt",
        }
    }

    /// The kind with this name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|sink| sink.name() == name)
    }

    /// Whether its owner has to say first that it wants alerts: whoever signs for an address of a coin
    /// need not own the mailbox.
    pub fn is_confirmed_first(self) -> bool {
        self == Self::Email
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back() {
        for sink in Sink::ALL {
            assert_eq!(Sink::of_name(sink.name()), Some(sink));
        }
        assert_eq!(Sink::of_name("Webhook"), None);
    }
}
