//! What a subscription's owner can do by a link: confirm it, and stop it. A token is made of the
//! subscription's secret, so that nobody can guess it and nothing more has to be kept.

use bitcoin::{
    hashes::{Hash as _, HashEngine as _, Hmac, HmacEngine, sha256},
    secp256k1::rand,
};
use store::SubscriptionSecret;

/// What a link is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// To say that a place wants alerts.
    Confirm,
    /// To say that it wants none any more.
    Stop,
}

/// A secret for a new subscription, of the system's random numbers.
pub(crate) fn new_secret() -> [u8; 32] {
    rand::random()
}

impl Token {
    /// The part of its path that says what it is for.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Confirm => "confirm",
            Self::Stop => "stop",
        }
    }

    /// The token of a subscription.
    pub(crate) fn of(self, secret: &SubscriptionSecret) -> String {
        let mut engine = HmacEngine::<sha256::Hash>::new(&secret.0);
        engine.input(b"adit alerts ");
        engine.input(self.name().as_bytes());
        hex::encode(&Hmac::from_engine(engine).to_byte_array()[..16])
    }

    /// Whether this is the token of a subscription. How long that takes tells nothing of it.
    pub(crate) fn is(self, token: &str, secret: &SubscriptionSecret) -> bool {
        let right = self.of(secret);
        let differ = right.bytes().zip(token.bytes());
        right.len() == token.len() && differ.fold(0, |all, (a, b)| all | (a ^ b)) == 0
    }

    /// The link, below the pool's pages.
    pub(crate) fn link(self, page: &str, subscription: u64, secret: &SubscriptionSecret) -> String {
        let token = self.of(secret);
        format!("{page}/alerts/{}/{subscription}/{token}", self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_of_one_subscription_and_for_one_thing() {
        let (a, b) = (SubscriptionSecret([1; 32]), SubscriptionSecret([2; 32]));
        let token = Token::Confirm.of(&a);
        assert_eq!(token.len(), 32);
        assert!(Token::Confirm.is(&token, &a));
        assert!(!Token::Confirm.is(&token, &b) && !Token::Stop.is(&token, &a));
        for wrong in ["", &token[1..], &format!("{token}0"), &token.to_uppercase()] {
            let is_same = wrong == token;
            assert_eq!(Token::Confirm.is(wrong, &a), is_same, "{wrong}");
        }
        assert_ne!(new_secret(), new_secret());
        let link = Token::Stop.link("https://pool.example", 7, &a);
        assert!(link.starts_with("https://pool.example/alerts/stop/7/"));
    }
}
