//! What a pool pays from, made of its settings: a wallet, a descriptor, or a wallet of Monero's. Called by
//! `pool::plan`, and by an operator's commands. And the key by which it sees what it is paid.

use std::sync::Arc;

use mining::{
    Coin, Network,
    coin::AddressRules,
    cryptonote::{self, ViewKey, address::Tags, payment::DESTINATIONS_MAX},
};

use crate::{
    config,
    daemon::{
        self,
        coins::Coins,
        monero_wallet::{self, MoneroWallet},
        monerod::transactions::Transactions,
        wallet::Wallet,
    },
    payout::{Depth, Descriptor, Key, Monero, Purse},
};

/// A transaction of more payments is more than nodes relay: 100,000 bytes.
pub(super) const PAYMENTS_MAX: usize = 2_000;
/// Monero's wallet knows no higher one.
const PRIORITY_MAX: u8 = 4;

/// The most payments that a transaction of the coin has room for.
pub(super) fn payments_max(coin: &Coin) -> usize {
    match coin.cryptonote() {
        Some(_) => DESTINATIONS_MAX,
        None => PAYMENTS_MAX,
    }
}

/// What a pool pays from, from its settings.
pub(in crate::pool) fn purse(
    settings: &config::Pool,
    coin: &'static Coin,
) -> Result<Purse, String> {
    // The wallet is the first daemon's: its coins are where blocks were paid to.
    let daemon = settings
        .daemon
        .first()
        .ok_or("a pool needs a [[pool.daemon]]")?;
    if let Some(tags) = tags(coin, settings.network) {
        return Ok(Purse::Monero(Box::new(monero(settings, daemon, tags)?)));
    }
    if settings.payout.wallet_url.is_some() || settings.payout.priority != 0 {
        return Err(format!(
            "payout.wallet_url and payout.priority: {} is not of Monero's family",
            coin.name
        ));
    }
    let wallet = settings.payout.wallet.as_deref();
    let wallet = || Wallet::new(daemon, wallet, coin).map_err(|error| format!("{error:#}"));
    let from = settings.payout.from;
    if from != config::PaidFrom::Key && settings.payout.descriptor_file.is_some() {
        return Err("payout.descriptor_file goes with payout.from = \"key\"".into());
    }
    Ok(match from {
        config::PaidFrom::Wallet => Purse::Wallet(wallet()?),
        config::PaidFrom::Psbt => Purse::Psbt(wallet()?),
        config::PaidFrom::Key => Purse::Key(Box::new(key(settings, daemon, coin)?)),
    })
}

/// The private view key of the address that blocks pay, from the settings; nothing if none is set.
pub(super) fn view_key(
    settings: &config::Pool,
    coin: &Coin,
) -> Result<Option<Arc<ViewKey>>, String> {
    let Some(secret) = &settings.view_key else {
        return Ok(None);
    };
    let tags = tags(coin, settings.network);
    let tags = tags.ok_or("view_key: only a coin of Monero's family has one")?;
    let address = cryptonote::Address::parse(&tags, &settings.payout_address);
    let address = address.map_err(|error| format!("payout_address: {error}"))?;
    let bytes = wire::hex::array(secret.expose()).ok_or("view_key: 64 hexadecimal digits")?;
    let key = ViewKey::new(bytes, address);
    let key = key.map_err(|error| format!("view_key: {error} (payout_address)"))?;
    Ok(Some(Arc::new(key)))
}

/// What addresses of a coin of Monero's family begin with; nothing for other coins.
fn tags(coin: &Coin, network: Network) -> Option<Tags> {
    match coin.on(network)?.addresses {
        AddressRules::CryptoNote(tags) => Some(tags),
        AddressRules::Script(_) => None,
    }
}

/// The wallet of Monero's that pays, from the settings.
fn monero(settings: &config::Pool, daemon: &daemon::Config, tags: Tags) -> Result<Monero, String> {
    let config::Payout {
        from,
        wallet,
        fee_rate,
        wallet_url,
        wallet_user,
        wallet_password,
        priority,
        ..
    } = &settings.payout;
    if *from != config::PaidFrom::Wallet || wallet.is_some() {
        return Err(
            "payout.from and payout.wallet: Monero is paid by the wallet at wallet_url, and in no \
             other way"
                .into(),
        );
    }
    if fee_rate.is_some() {
        return Err("payout.fee_rate: Monero's wallet has a priority instead".into());
    }
    if *priority > PRIORITY_MAX {
        return Err(format!("payout.priority: 0 to {PRIORITY_MAX}"));
    }
    let url = wallet_url
        .as_deref()
        .ok_or("payout.wallet_url: where monero-wallet-rpc listens")?;
    let config = monero_wallet::config(url, wallet_user.as_deref(), wallet_password.as_ref());
    let wallet =
        MoneroWallet::new(&config).map_err(|error| format!("payout.wallet_url: {error:#}"))?;
    let chain = Transactions::new(daemon).map_err(|error| format!("{error:#}"))?;
    let blocks_pay = cryptonote::Address::parse(&tags, &settings.payout_address).ok();
    Ok(Monero::new(wallet, chain, tags, *priority).with_blocks_that_pay(blocks_pay))
}

/// The descriptor that pays, from the settings.
fn key(
    settings: &config::Pool,
    daemon: &daemon::Config,
    coin: &'static Coin,
) -> Result<Key, String> {
    if coin.bitcoin().is_some_and(|rules| !rules.finds_coins) {
        let coin = coin.title();
        return Err(format!(
            "payout.from = \"key\": the daemon of {coin} cannot search for coins (scantxoutset)"
        ));
    }
    if settings.payout.wallet.is_some() {
        return Err("payout.wallet: there is none with payout.from = \"key\"".into());
    }
    let file = settings.payout.descriptor_file.as_deref();
    let file = file.ok_or("payout.from = \"key\" needs payout.descriptor_file")?;
    let descriptor = Descriptor::read(file, settings.network)
        .map_err(|error| format!("payout.descriptor_file: {} {error}", file.display()))?;
    let depth = Depth {
        coinbase: super::maturity(settings, coin)?,
        other: settings.payout.confirmations,
    };
    let coins = Coins::new(daemon, coin).map_err(|error| format!("{error:#}"))?;
    Ok(Key::new(coins, descriptor, depth))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a pool of this coin, whose blocks pay this address.
    fn view_key_of(coin: &str, address: &str, secret: &str) -> Result<bool, String> {
        let settings = config::Pool {
            payout_address: address.into(),
            view_key: Some(secret.into()),
            ..settings(coin)
        };
        let key = view_key(&settings, coin.parse().unwrap());
        key.map(|key| key.is_some())
    }

    #[test]
    fn a_view_key_is_that_of_the_address_that_blocks_pay() {
        // The keys of the number one: to see and to spend.
        let one = format!("01{}", "00".repeat(31));
        let point = [&[0x58][..], &[0x66; 31]].concat();
        let payload = [&[18][..], &point, &point].concat();
        let sum = mining::cryptonote::keccak::keccak256(&[&payload]);
        let address = mining::cryptonote::base58::encode(&[&payload, &sum[..4]].concat());
        assert_eq!(view_key_of("monero", &address, &one), Ok(true));
        let bare = config::Pool {
            payout_address: address.clone(),
            ..settings("monero")
        };
        assert!(
            view_key(&bare, "monero".parse().unwrap())
                .unwrap()
                .is_none()
        );
        #[track_caller]
        fn refused(coin: &str, address: &str, secret: &str, why: &str) {
            let told = view_key_of(coin, address, secret).unwrap_err();
            assert!(told.contains(why) && !told.contains(secret), "{told}");
        }
        let other = format!("02{}", "00".repeat(31));
        refused("monero", &address, &other, "not the private view key");
        refused("monero", &address, &one[1..], "64 hexadecimal digits");
        refused("monero", &address, &"ff".repeat(32), "no private key");
        refused("bitcoin", &address, &one, "Monero's family");
    }

    fn settings(coin: &str) -> config::Pool {
        let mut settings = config::Pool {
            coin: coin.into(),
            network: Network::Regtest,
            daemon: vec![daemon::Config::at("http://127.0.0.1:18081")],
            ..config::Pool::default()
        };
        if coin == "monero" {
            settings.payout.wallet_url = Some("http://127.0.0.1:18083".into());
            settings.payout.wallet_user = Some("pool".into());
            settings.payout.wallet_password = Some("secret".into());
        }
        settings
    }

    #[track_caller]
    fn refused(coin: &str, change: impl Fn(&mut config::Payout), expected: &str) {
        let mut settings = settings(coin);
        change(&mut settings.payout);
        let told = purse(&settings, coin.parse().unwrap()).unwrap_err();
        assert!(told.contains(expected), "{told}");
        assert!(!told.contains("secret"), "{told}");
    }

    #[test]
    fn a_coin_is_paid_by_a_wallet_of_its_family() {
        let purse_of = |coin: &str| purse(&settings(coin), coin.parse().unwrap()).unwrap();
        assert!(matches!(purse_of("monero"), Purse::Monero(_)));
        assert!(matches!(purse_of("bitcoin"), Purse::Wallet(_)));
    }

    #[test]
    fn monero_s_wallet_is_told_the_priority_of_the_settings() {
        for priority in 0..=4 {
            let mut settings = settings("monero");
            settings.payout.priority = priority;
            let purse = purse(&settings, "monero".parse().unwrap()).unwrap();
            let told = format!("{purse:?}");
            assert!(told.contains(&format!("priority: {priority},")), "{told}");
            assert!(!told.contains("secret"), "{told}");
        }
    }

    #[test]
    fn settings_of_the_other_family_are_refused() {
        let url = |url: &str| Some(url.to_owned());
        refused(
            "bitcoin",
            |p| p.wallet_url = url("http://x:1"),
            "wallet_url",
        );
        refused("bitcoin", |p| p.priority = 1, "priority");
        refused(
            "monero",
            |p| p.wallet_url = None,
            "payout.wallet_url: where",
        );
        refused("monero", |p| p.wallet_url = url("x:1"), "http://");
        let with_login = url("http://pool:secret@x:1");
        refused("monero", |p| p.wallet_url = with_login.clone(), "own keys");
        refused("monero", |p| p.wallet_password = None, "without password");
        refused("monero", |p| p.priority = 5, "0 to 4");
        refused("monero", |p| p.from = config::PaidFrom::Key, "in no other");
        refused("monero", |p| p.wallet = Some("x".into()), "in no other");
        refused("monero", |p| p.fee_rate = Some("1".into()), "priority");
    }

    #[test]
    fn a_transaction_has_room_for_as_many_as_its_coin_allows() {
        let of = |coin: &str| payments_max(coin.parse().unwrap());
        assert_eq!(of("monero"), 15);
        assert_eq!(of("wownero"), 15);
        assert_eq!(of("bitcoin"), 2_000);
    }
}
