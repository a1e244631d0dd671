//! Whether a wallet would sign for anybody: it is not on this machine's loopback, and asks no password.
//! Whoever reaches it has the coins, so nothing is paid from it until that is mended.

use std::net::IpAddr;

use serde_json::value::RawValue;

use crate::daemon::rpc::{CallError, Lane, Rpc, parse, request};

/// Asked before each batch, by a method that every wallet has: one that was closed at the start may be
/// open later.
pub(in crate::daemon) async fn is_exposed(rpc: &Rpc, method: &str) -> Result<bool, CallError> {
    if is_loopback(rpc) {
        return Ok(false);
    }
    let call = request(0, method, [(); 0]);
    let (status, body) = rpc.post_as(None, Lane::Quick, call).await?;
    let told: Result<Box<RawValue>, CallError> = parse(&body);
    // Also an error of the call itself is the wallet's own answer.
    let answers = matches!(told, Ok(_) | Err(CallError::Rpc { .. }));
    Ok(answers && status.as_u16() != 401 && status.as_u16() != 403)
}

fn is_loopback(rpc: &Rpc) -> bool {
    let host = rpc.url().host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

#[cfg(test)]
mod tests {
    use mining::{Address, Amount, Coin, Network};
    use serde_json::json;

    use crate::daemon::{
        Config,
        fake::{Fake, Play},
        monero_wallet::{self, MoneroWallet},
        wallet::{SignError, Wallet},
    };

    const LOGIN: &str = "dXNlcjpwYXNz";

    /// A wallet at this host, of a daemon that knows one login.
    fn wallet(fake: &Fake, host: &str) -> Wallet {
        let coin: &'static Coin = "bitcoin".parse().unwrap();
        let mut config = Config::at(format!("http://{host}:{}", fake.address.port()));
        config.user = Some("user".into());
        config.password = Some("pass".into());
        Wallet::new(&config, None, coin).unwrap()
    }

    async fn sign(wallet: &Wallet) -> Result<(), SignError> {
        let coin: &'static Coin = "bitcoin".parse().unwrap();
        let text = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";
        let address = Address::parse(coin, Network::Regtest, text).unwrap();
        let payments = [(address, Amount::from_units(1_000))];
        let fee = Amount::from_units(1_000);
        wallet.sign(&payments, None, fee).await.map(|_| ())
    }

    /// 0.0.0.0 reaches this machine on Linux, and is no address of loopback.
    #[tokio::test(flavor = "multi_thread")]
    async fn a72_a_wallet_that_answers_anybody_pays_nothing() {
        let fake = Fake::start();
        fake.set(|state| state.always.insert("getbalance", Play::Result(json!(1))));
        let open = sign(&wallet(&fake, "0.0.0.0")).await;
        assert_eq!(open, Err(SignError::Exposed));
        assert_eq!(fake.calls("createrawtransaction"), 0, "nothing was begun");
        assert!(wallet(&fake, "0.0.0.0").look().await.is_err());
        // One that has an error for strangers has an ear for them.
        let busy = Play::Error(-18, "no wallet is loaded");
        fake.set(|state| state.always.insert("getbalance", busy));
        assert_eq!(
            sign(&wallet(&fake, "0.0.0.0")).await,
            Err(SignError::Exposed)
        );
        // A password is enough, and on loopback nobody else can ask.
        fake.set(|state| state.login = Some(LOGIN.into()));
        for (host, begun) in [("0.0.0.0", 1), ("127.0.0.1", 2), ("localhost", 3)] {
            if begun > 1 {
                fake.set(|state| state.login = None);
            }
            let signed = sign(&wallet(&fake, host)).await;
            assert_ne!(signed, Err(SignError::Exposed), "{host}");
            assert_eq!(fake.calls("createrawtransaction"), begun, "{host}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a72_a_wallet_of_monero_that_answers_anybody_is_found_out() {
        let fake = Fake::start();
        fake.set(|state| {
            let version = Play::Result(json!({"version": 65_561}));
            state.always.insert("get_version", version)
        });
        let wallet = |host: &str| {
            let url = format!("http://{host}:{}", fake.address.port());
            let config = monero_wallet::config(&url, Some("user"), Some(&"pass".into()));
            MoneroWallet::new(&config).unwrap()
        };
        assert_eq!(wallet("0.0.0.0").is_exposed().await, Ok(true));
        assert_eq!(wallet("127.0.0.1").is_exposed().await, Ok(false));
        fake.set(|state| state.login = Some(LOGIN.into()));
        assert_eq!(wallet("0.0.0.0").is_exposed().await, Ok(false));
    }
}
