//! A pool's settings, parsed and checked before anything is started. Made by `pool` at the start
//! and by `adit config --check`.

mod payee;
mod purse;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use mining::{
    Address, Amount, Coin, Difficulty, Network, Scheme,
    accounting::{Fee, Fees, Split},
    ban::Rule,
    bucket::Limit,
    coinbase::Payees,
    cryptonote::ViewKey,
    payout::Policy,
    vardiff,
};
use pow::ProofOfWork;
use tokio::sync::{Semaphore, watch};

pub(super) use self::purse::purse;
use self::purse::{PAYMENTS_MAX, payments_max};

use crate::{
    accounting, bans,
    config::{self, BadConfig, TlsMode},
    connection::Rules,
    listener::{Certificate, Limits, Port, Tls},
    networks::Networks,
    payout::{self, Purse},
    template_feed::{Headers, Recipe},
    verifier,
};

/// A reply must not wait longer for company.
const COMMIT_WAIT_MAX_MS: u64 = 1_000;
/// A longer ban is a matter for a firewall.
const BAN_MAX_S: u32 = 30 * 24 * 60 * 60;
/// The longest time that shares count towards a ban.
const BAN_WINDOW_MAX_S: u32 = 24 * 60 * 60;
/// So many seconds' worth of messages may come at once: what a proxy sends after a pause.
const MESSAGES_BURST_S: u32 = 4;
/// A miner should see each day what it has earned.
const CREDIT_EVERY_MAX_S: u64 = 24 * 60 * 60;
/// The longest title.
const TITLE_MAX: usize = 50;
/// The longest tag that leaves room in every coinbase.
const TAG_MAX: usize = 38;

/// Settings that make sense: parsed and checked before anything is started.
pub(super) struct Plan {
    pub(super) coin: &'static Coin,
    /// Where blocks pay.
    pub(super) operator: Address,
    /// How coinbases are made; nothing where the daemon makes them.
    pub(super) recipe: Option<Recipe>,
    /// After which unchanged work is offered again.
    pub(super) refresh: Duration,
    /// How shares are verified whose hash is costly; nothing where connections hash by themselves.
    pub(super) verifier: Option<verifier::Plan>,
    /// By which miners' own blocks are seen to pay the pool; nothing where they may not bring any.
    pub(super) view_key: Option<Arc<ViewKey>>,
    /// What each listener allows, in the order of the settings.
    pub(super) rules: Vec<Rules>,
    /// Their ports, likewise.
    pub(super) ports: Vec<Port>,
    pub(super) bans: bans::Settings,
    pub(super) accounting: accounting::Config,
    /// The confirmations after which a block is paid for.
    pub(super) maturity: u32,
    /// How the pool pays; nothing if it does not.
    pub(super) payout: Option<(Purse, payout::Config)>,
}

pub(super) fn bad(settings: &config::Pool, text: &str) -> BadConfig {
    BadConfig::Value(format!("pool {:?}: {text}", settings.name))
}

impl Plan {
    pub(super) fn new(settings: &config::Pool) -> Result<Self, BadConfig> {
        Self::within(settings, verifier::free())
    }

    /// The same for a pool that is started: where memory is short it is not refused, since the other pools of
    /// the process are to be started all the same. It has no work until there is enough for it.
    pub(super) fn for_start(settings: &config::Pool) -> Result<Self, BadConfig> {
        Self::for_start_within(settings, verifier::free())
    }

    fn for_start_within(settings: &config::Pool, free: Option<u64>) -> Result<Self, BadConfig> {
        let error = match Self::within(settings, free) {
            Ok(plan) => return Ok(plan),
            Err(error) => error,
        };
        let mut plan = Self::within(settings, None)?;
        tracing::warn!(pool = settings.name, %error, "this pool waits for memory");
        if let Some(verifier) = &mut plan.verifier {
            verifier.waits_for_memory = true;
        }
        Ok(plan)
    }

    /// The same with so much memory; where nobody knows how much, any amount is enough.
    pub(super) fn within(settings: &config::Pool, free: Option<u64>) -> Result<Self, BadConfig> {
        let bad = |text: String| bad(settings, &text);
        let coin: &'static Coin = settings
            .coin
            .parse()
            .map_err(|error| bad(format!("{error}")))?;
        let on_network = coin
            .on(settings.network)
            .ok_or_else(|| bad(format!("{} has no network {}", coin.name, settings.network)))?;
        if let Some(because) = on_network.unminable {
            return Err(bad(format!(
                "{} cannot be mined on {}: {because}",
                coin.name, settings.network
            )));
        }
        if settings.payout_address.is_empty() {
            return Err(bad(
                "payout_address is not set: it is where rewards go".into()
            ));
        }
        let address = Address::parse(coin, settings.network, &settings.payout_address)
            .map_err(|error| bad(format!("payout_address: {error}")))?;
        let tag = settings.coinbase_tag.as_bytes();
        if tag.len() > TAG_MAX
            || !settings
                .coinbase_tag
                .chars()
                .all(|c| c == ' ' || c.is_ascii_graphic())
        {
            return Err(bad(format!(
                "coinbase_tag: at most {TAG_MAX} printable ASCII characters"
            )));
        }
        let version_mask = wire::hex::u32_padded(&settings.version_mask)
            .ok_or_else(|| bad("version_mask: eight hexadecimal digits".into()))?;
        let sizes = mining::coinbase::EXTRANONCE2_SIZE_MIN..=mining::coinbase::EXTRANONCE2_SIZE_MAX;
        if !sizes.contains(&settings.extranonce2_size) {
            return Err(bad("extranonce2_size: 2 to 8".into()));
        }
        if settings.refresh_s == 0 {
            return Err(bad("refresh_s: at least 1".into()));
        }
        let is_name = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        // It is a folder's name too.
        if !settings.name.chars().all(is_name) || settings.name.trim_matches('.').is_empty() {
            return Err(bad(
                "name: letters, digits, '.', '_' and '-', not dots alone".into(),
            ));
        }
        if settings.daemon.is_empty() {
            return Err(bad("a pool needs a [[pool.daemon]]".into()));
        }
        for daemon in &settings.daemon {
            daemon.check().map_err(|error| bad(format!("{error:#}")))?;
        }
        let title = settings.title.as_deref().unwrap_or("pool");
        if !(1..=TITLE_MAX).contains(&title.chars().count()) || title.chars().any(char::is_control)
        {
            return Err(bad(format!("title: 1 to {TITLE_MAX} characters")));
        }
        let shares = &settings.shares;
        // Figures of a day are made of minutes, those of a week of hours.
        for (key, days, least) in [
            ("keep_shares_days", shares.keep_shares_days, 1),
            ("keep_minutes_days", shares.keep_minutes_days, 2),
            ("keep_hours_days", shares.keep_hours_days, 8),
        ] {
            if days < least {
                return Err(bad(format!("{key}: at least {least}")));
            }
        }
        if shares.commit_wait_ms > COMMIT_WAIT_MAX_MS {
            return Err(bad(format!("commit_wait_ms: at most {COMMIT_WAIT_MAX_MS}")));
        }
        let rules = settings
            .listener
            .iter()
            .map(|listener| rules(listener, settings, coin, &address, version_mask).map_err(bad))
            .collect::<Result<Vec<_>, _>>()?;
        let ports = settings
            .listener
            .iter()
            .map(|listener| port(listener).map_err(bad))
            .collect::<Result<_, _>>()?;
        let bans = ban_settings(&settings.bans).map_err(bad)?;
        let mut accounting = accounting(settings, coin, &rules).map_err(bad)?;
        let keeper = address.script().map(<[u8]>::to_vec);
        let (sender, splits) = watch::channel(None);
        accounting.split = split(settings, coin, &rules, keeper.as_deref(), sender).map_err(bad)?;
        let maturity = maturity(settings, coin).map_err(bad)?;
        let payout = payout(settings, coin).map_err(bad)?;
        let headers = headers(coin, &settings.payout_address).map_err(bad)?;
        let recipe = headers.zip(keeper).map(|(header, keeper)| Recipe {
            tag: tag.to_vec(),
            payees: Payees {
                outputs: Vec::new(),
                keeper,
            },
            split: accounting.split.is_some().then_some(splits),
            extranonce2_size: settings.extranonce2_size,
            header,
            mark: None,
        });
        // The mark of the receipts needs a coinbase of the pool's own.
        if recipe.is_none() && settings.receipts_in_coinbase {
            return Err(bad(
                "receipts_in_coinbase: the daemon makes the coinbases of this coin".into(),
            ));
        }
        Ok(Self {
            coin,
            operator: address,
            recipe,
            refresh: Duration::from_secs(settings.refresh_s),
            verifier: verifier(settings, coin, free).map_err(bad)?,
            view_key: purse::view_key(settings, coin).map_err(bad)?,
            rules,
            ports,
            bans,
            accounting,
            maturity,
            payout,
        })
    }
}

/// The headers of a coin whose coinbases the pool makes. Those of Vision name who is paid.
fn headers(coin: &Coin, payout_address: &str) -> Result<Option<Headers>, String> {
    Ok(match coin.algorithm() {
        ProofOfWork::Header(algorithm) => Some(Headers::Bitcoin(algorithm)),
        ProofOfWork::VisionX => {
            let miner = payout_address.parse();
            let miner = miner.map_err(|error| format!("payout_address: {error}"))?;
            Some(Headers::Vision(miner))
        }
        ProofOfWork::RandomX => None,
    })
}

/// How shares are verified whose hash is costly, from the settings; nothing where connections hash by
/// themselves.
fn verifier(
    settings: &config::Pool,
    coin: &Coin,
    free: Option<u64>,
) -> Result<Option<verifier::Plan>, String> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let plan = match coin.algorithm() {
        ProofOfWork::Header(_) => return Ok(None),
        // Nobody comes, and nothing is to be verified.
        _ if settings.listener.is_empty() => return Ok(None),
        ProofOfWork::RandomX => settings.randomx.plan(cores, free),
        ProofOfWork::VisionX => verifier::Plan::without_seeds(settings.visionx.threads, cores),
    };
    let name = coin.algorithm().name();
    plan.map(Some).map_err(|error| format!("{name}: {error}"))
}

/// How the pool is paid, from its settings.
fn accounting(
    settings: &config::Pool,
    coin: &'static Coin,
    rules: &[Rules],
) -> Result<accounting::Config, String> {
    let mut schemes: Vec<Scheme> = Vec::new();
    // Without a listener its books go on.
    if rules.is_empty() {
        schemes.push(settings.scheme);
    }
    let of_listeners = rules.iter().map(|rules| rules.scheme);
    for scheme in of_listeners.chain(settings.open_schemes.iter().copied()) {
        if !schemes.contains(&scheme) {
            schemes.push(scheme);
        }
    }
    let fee = |fee: &config::Fee| {
        Ok::<_, String>(Fee {
            name: fee.name.clone(),
            percent: fee.percent,
        })
    };
    let list = settings
        .fee
        .iter()
        .map(fee)
        .collect::<Result<_, String>>()?;
    Ok(accounting::Config {
        coin,
        schemes,
        fees: Fees::new(list, &settings.remainder).map_err(|error| error.to_string())?,
        window: settings.window,
        reserve: reserve(&settings.reserve, coin)?,
        split: None,
    })
}

/// How coinbases pay miners by themselves, from the settings; nothing if they do not.
fn split(
    settings: &config::Pool,
    coin: &Coin,
    rules: &[Rules],
    keeper: Option<&[u8]>,
    splits: watch::Sender<Option<Arc<Split>>>,
) -> Result<Option<accounting::SplitConfig>, String> {
    if !settings.payout.coinbase {
        return Ok(None);
    }
    let keeper = keeper.ok_or("payout.coinbase: the daemon makes the coinbases of this coin")?;
    // A solo listener's blocks pay their finder; all others have one coinbase.
    let other = rules
        .iter()
        .find(|rules| !matches!(rules.scheme, Scheme::Pplns | Scheme::Solo));
    if let Some(other) = other {
        return Err(format!(
            "payout.coinbase: goes with pplns, and a listener is {}",
            other.scheme.name()
        ));
    }
    Ok(Some(accounting::SplitConfig {
        network: settings.network,
        keeper: keeper.to_vec(),
        least: amount(coin, "least", &settings.payout.least)?,
        splits,
    }))
}

/// How shares are paid for as they come, from the settings.
fn reserve(settings: &config::Reserve, coin: &Coin) -> Result<accounting::ReserveConfig, String> {
    let every_s = settings.credit_every_s;
    if !(1..=CREDIT_EVERY_MAX_S).contains(&every_s) {
        return Err(format!("reserve.credit_every_s: 1 to {CREDIT_EVERY_MAX_S}"));
    }
    let units = |name: &str, text: &str| {
        let amount = coins(coin, name, text)?;
        i64::try_from(amount.units()).map_err(|_| format!("{name}: more than any coin has"))
    };
    let least = units("reserve.least", &settings.least)?;
    let debt_max = units("reserve.debt_max", &settings.debt_max)?;
    if least > 0 && debt_max > 0 {
        return Err("reserve.least, reserve.debt_max: one of them is 0".into());
    }
    Ok(accounting::ReserveConfig {
        every: Duration::from_secs(every_s),
        least: least - debt_max,
    })
}

/// How the pool pays, from its settings.
fn payout(
    settings: &config::Pool,
    coin: &'static Coin,
) -> Result<Option<(Purse, payout::Config)>, String> {
    let config::Payout {
        enabled,
        every_s,
        fee_rate,
        confirmations,
        unclear_s,
        ..
    } = &settings.payout;
    let amount = |name: &str, text: &str| amount(coin, name, text);
    let policy = policy(&settings.payout, coin)?;
    let fee_rate = fee_rate
        .as_ref()
        .map(|rate| amount("fee_rate", rate))
        .transpose()?;
    if *every_s == 0 || *confirmations == 0 {
        return Err("payout.every_s and payout.confirmations: at least 1".into());
    }
    let mut fee_addresses = Vec::new();
    for fee in &settings.fee {
        if let Some(address) = &fee.address {
            let address = Address::parse(coin, settings.network, address)
                .map_err(|error| format!("fee {}: {error}", fee.name))?;
            fee_addresses.push((fee.name.clone(), address));
        }
    }
    if !enabled {
        return Ok(None);
    }
    let config = payout::Config {
        coin,
        network: settings.network,
        policy,
        confirmations: *confirmations,
        every: Duration::from_secs(*every_s),
        fee_rate,
        fee_addresses,
        unclear_after: Duration::from_secs(*unclear_s),
        shared_wallet: settings.payout.shared_wallet,
    };
    let purse = purse(settings, coin)?;
    if let (Purse::Key(key), Ok(address)) = (
        &purse,
        Address::parse(coin, settings.network, &settings.payout_address),
    ) && !key.is_paid_by(&address)
    {
        let pool = &settings.name;
        tracing::warn!(
            pool,
            "payout_address is not script 0 of the descriptor: blocks pay to somewhere else than \
             payouts are paid from"
        );
    }
    Ok(Some((purse, config)))
}

/// Who is due, from the settings.
pub(super) fn policy(settings: &config::Payout, coin: &Coin) -> Result<Policy, String> {
    if !(1..=PAYMENTS_MAX).contains(&settings.payments_max) {
        return Err(format!("payout.payments_max: 1 to {PAYMENTS_MAX}"));
    }
    Ok(Policy {
        threshold: amount(coin, "threshold", &settings.threshold)?,
        least: amount(coin, "least", &settings.least)?,
        batch_min: amount(coin, "batch_min", &settings.batch_min)?,
        payments_max: settings.payments_max.min(payments_max(coin)),
        fee_max: settings.fee_max_percent,
    })
}

fn amount(coin: &Coin, name: &str, text: &str) -> Result<Amount, String> {
    coins(coin, &format!("payout.{name}"), text)
}

fn coins(coin: &Coin, name: &str, text: &str) -> Result<Amount, String> {
    Amount::from_coins(text, coin.decimals).map_err(|error| format!("{name}: {error}"))
}

/// The confirmations after which a block is paid for. Coins that the chain does not let go yet
/// cannot be promised; a chain of one's own may have other rules than the coin.
fn maturity(settings: &config::Pool, coin: &Coin) -> Result<u32, String> {
    match settings.maturity {
        None => Ok(coin.maturity),
        Some(0) => Err("maturity: at least 1".into()),
        Some(less) if less < coin.maturity && settings.network != Network::Regtest => Err(format!(
            "maturity: at least {}, as {} has it",
            coin.maturity, coin.name
        )),
        Some(maturity) => Ok(maturity),
    }
}

/// What a listener allows, from its settings.
fn rules(
    listener: &config::Listener,
    settings: &config::Pool,
    coin: &Coin,
    operator: &Address,
    version_mask: u32,
) -> Result<Rules, String> {
    let default_address = listener
        .default_address
        .as_ref()
        .map(|address| Address::parse(coin, settings.network, address))
        .transpose()
        .map_err(|error| format!("default_address: {error}"))?;
    let scheme = listener.scheme.unwrap_or(settings.scheme);
    let only_address = payee::only_address(scheme, coin, operator, default_address.as_ref())?;
    let difficulty = |name: &str, number: f64| {
        Difficulty::from_f64(number).ok_or_else(|| format!("{name}: a number above zero"))
    };
    let min = difficulty("min_difficulty", listener.min_difficulty)?;
    let max = difficulty("max_difficulty", listener.max_difficulty)?;
    let start_difficulty = difficulty("start_difficulty", listener.start_difficulty)?;
    if min > max || start_difficulty < min || start_difficulty > max {
        return Err("min_difficulty <= start_difficulty <= max_difficulty must hold".into());
    }
    for (name, value) in [
        ("connections_max", listener.connections_max),
        (
            "connections_per_address_max",
            listener.connections_per_address_max,
        ),
        (
            "connections_per_network_max",
            listener.connections_per_network_max,
        ),
    ] {
        if value == 0 || value > Semaphore::MAX_PERMITS {
            return Err(format!("{name}: 1 to {}", Semaphore::MAX_PERMITS));
        }
    }
    for (name, value) in [
        ("share_time_s", listener.share_time_s),
        ("handshake_s", listener.handshake_s),
        ("idle_s", listener.idle_s),
        ("shareless_s", listener.shareless_s),
    ] {
        if value == 0 || value > 86_400 {
            return Err(format!("{name}: 1 to 86400"));
        }
    }
    Ok(Rules {
        vardiff: vardiff::Limits {
            min,
            max,
            share_time_ms: listener.share_time_s * 1000,
            harder_only: false,
        },
        start_difficulty,
        extranonce2_size: settings.extranonce2_size,
        version_mask,
        handshake: Duration::from_secs(listener.handshake_s),
        idle: Duration::from_secs(listener.idle_s),
        shareless: Duration::from_secs(listener.shareless_s),
        messages: Limit {
            per_second: listener.messages_per_second_max,
            burst: listener
                .messages_per_second_max
                .saturating_mul(MESSAGES_BURST_S),
        },
        shares_per_second: listener.shares_per_second_max,
        heed_suggestions: listener.heed_suggestions,
        default_address,
        scheme,
        only_address,
    })
}

/// A listener's port, from its settings. Reads the certificate.
fn port(listener: &config::Listener) -> Result<Port, String> {
    let proxy_from =
        Networks::parse(&listener.proxy_from).map_err(|error| format!("proxy_from: {error}"))?;
    let files = (&listener.tls_certificate, &listener.tls_key);
    let tls = match (listener.tls, files) {
        (TlsMode::Off, _) => None,
        (mode, (Some(certificate), Some(key))) => Some(Tls {
            certificate: Certificate::load(certificate, key)
                .map_err(|error| format!("TLS at {}: {error}", listener.listen))?,
            only: mode == TlsMode::Only,
        }),
        (TlsMode::On | TlsMode::Only, _) => {
            return Err("TLS needs tls_certificate and tls_key".into());
        }
    };
    Ok(Port {
        address: listener.listen,
        limits: Limits {
            connections: listener.connections_max,
            per_address: listener.connections_per_address_max,
            per_network: listener.connections_per_network_max,
        },
        proxy_from,
        tls,
    })
}

fn ban_settings(settings: &config::Bans) -> Result<bans::Settings, String> {
    // All of a hundred would ban nobody: that is what `enabled` is for.
    if settings.invalid_percent > 99 {
        return Err("bans.invalid_percent: 0 to 99".into());
    }
    for (name, value, most) in [
        ("shares_min", settings.shares_min, u32::MAX),
        ("window_s", settings.window_s, BAN_WINDOW_MAX_S),
        ("ban_s", settings.ban_s, BAN_MAX_S),
    ] {
        if value == 0 || value > most {
            return Err(format!("bans.{name}: 1 to {most}"));
        }
    }
    let rule = Rule {
        invalid_percent: settings.invalid_percent,
        shares_min: settings.shares_min.into(),
        window_ms: i64::from(settings.window_s) * 1000,
    };
    Ok(bans::Settings {
        rule: settings.enabled.then_some(rule),
        lasts: Duration::from_secs(settings.ban_s.into()),
        exempt: Networks::parse(&settings.exempt)
            .map_err(|error| format!("bans.exempt: {error}"))?,
    })
}
