//! One table of settings over another, with the source of each value.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use mining::Scheme;
use toml::{Table, Value};

use super::Config;

/// The prefix of environment variables: `ADIT_HTTP__LISTEN`, `ADIT_POOL__0__NAME`. Without a
/// number the first entry of a list is meant.
const PREFIX: &str = "ADIT_";

/// These belong to `adit simnet`.
const SIMNET_PREFIX: &str = "ADIT_SIMNET_";

/// Keys whose values are shown as `***`.
const SECRETS: [&str; 2] = ["database", "password"];

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nobody said otherwise.
    Default,
    /// The configuration file.
    File(PathBuf),
    /// This environment variable.
    Environment(String),
    /// This flag.
    Flag(&'static str),
}

/// Settings in the making.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    table: Table,
    sources: BTreeMap<String, Source>,
}

/// A configuration that cannot be used. The process ends with code 64.
#[derive(Debug, thiserror::Error)]
pub enum BadConfig {
    /// The file cannot be read.
    #[error("cannot read {path}; adit.example.toml is one to start from")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no TOML. The line itself is not shown: it may hold a password.
    #[error("{path} is not valid TOML")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: BrokenLine,
    },
    /// A key or value is wrong.
    #[error("{0}")]
    Value(String),
}

/// A line of a file that is no TOML.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct BrokenLine {
    /// From one.
    line: usize,
    /// What is wrong with it.
    message: String,
}

impl Layers {
    /// Lays a file over what is there.
    pub fn file(&mut self, path: &std::path::Path) -> Result<(), BadConfig> {
        let text = std::fs::read_to_string(path).map_err(|source| BadConfig::Unreadable {
            path: path.into(),
            source,
        })?;
        let table: Table = text.parse().map_err(|error: toml::de::Error| {
            let at = error.span().map_or(0, |span| span.start.min(text.len()));
            let line = text[..at].matches('\n').count() + 1;
            let source = BrokenLine {
                line,
                message: error.message().to_owned(),
            };
            BadConfig::Syntax {
                path: path.into(),
                source,
            }
        })?;
        let mut keys = Vec::new();
        flatten(&Value::Table(table.clone()), String::new(), &mut keys);
        for (key, _) in keys {
            self.sources.insert(key, Source::File(path.into()));
        }
        self.table.extend(table);
        Ok(())
    }

    /// Lays environment variables over what is there.
    pub fn environment(
        &mut self,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<(), BadConfig> {
        let mut variables: Vec<_> = variables
            .into_iter()
            .filter(|(name, _)| name.starts_with(PREFIX) && !name.starts_with(SIMNET_PREFIX))
            .collect();
        // Lists grow by the order of their numbers.
        variables.sort();
        for (name, text) in variables {
            let path: Vec<String> = name[PREFIX.len()..]
                .split("__")
                .map(str::to_ascii_lowercase)
                .collect();
            self.set(&path, &text, Source::Environment(name))?;
        }
        Ok(())
    }

    /// Lays a flag over what is there.
    pub fn flag(&mut self, flag: &'static str, key: &str, text: &str) -> Result<(), BadConfig> {
        let path: Vec<String> = key.split('.').map(str::to_owned).collect();
        self.set(&path, text, Source::Flag(flag))
    }

    fn set(&mut self, path: &[String], text: &str, source: Source) -> Result<(), BadConfig> {
        let unknown = || BadConfig::Value(format!("{source} names no setting: {}", path.join(".")));
        let defaults = Value::try_from(example()).expect("the default settings are valid TOML");
        let mut known = &defaults;
        let mut place = PlaceOf::Table(&mut self.table);
        let mut key = String::new();
        let mut parts = path.iter().peekable();
        while let Some(part) = parts.next() {
            known = known.get(part).ok_or_else(unknown)?;
            push_key(&mut key, part);
            let PlaceOf::Table(table) = place else {
                return Err(unknown());
            };
            let entry = table.entry(part.clone());
            place = match known {
                Value::Array(items) if items.iter().any(Value::is_table) => {
                    let list = entry.or_insert_with(|| Value::Array(Vec::new()));
                    let index = parts.peek().and_then(|next| next.parse::<usize>().ok());
                    if index.is_some() {
                        parts.next();
                    }
                    let index = index.unwrap_or(0);
                    let Value::Array(list) = list else {
                        return Err(unknown());
                    };
                    if index > list.len() {
                        return Err(BadConfig::Value(format!(
                            "{source} is entry {index} of {key}, which has {}",
                            list.len()
                        )));
                    }
                    if index == list.len() {
                        list.push(Value::Table(Table::new()));
                    }
                    known = items.first().ok_or_else(unknown)?;
                    push_key(&mut key, &index.to_string());
                    match &mut list[index] {
                        Value::Table(table) => PlaceOf::Table(table),
                        _ => return Err(unknown()),
                    }
                }
                Value::Table(_) => match entry.or_insert_with(|| Value::Table(Table::new())) {
                    Value::Table(table) => PlaceOf::Table(table),
                    _ => return Err(unknown()),
                },
                _ => PlaceOf::Value(entry.or_insert(Value::Boolean(false))),
            };
        }
        let PlaceOf::Value(value) = place else {
            return Err(unknown());
        };
        *value = parse_like(known, text).ok_or_else(|| {
            BadConfig::Value(format!("{source}: {text:?} is no {}", known.type_str()))
        })?;
        self.sources.insert(key, source);
        Ok(())
    }

    /// The settings in force. Their coins are known from then on.
    pub fn config(&self) -> Result<Config, BadConfig> {
        Config::deserialize_table(self.table.clone()).map_err(BadConfig::Value)
    }

    /// Each setting in force, as `key = value`, with its source.
    pub fn describe(&self, config: &Config) -> Vec<(String, String, Source)> {
        let value = Value::try_from(config).expect("settings are valid TOML");
        let mut keys = Vec::new();
        flatten(&value, String::new(), &mut keys);
        keys.into_iter()
            .map(|(key, value)| {
                let secret = SECRETS
                    .iter()
                    .any(|name| key.rsplit('.').next() == Some(name));
                let source = self.sources.get(&key).cloned().unwrap_or(Source::Default);
                (
                    key,
                    if secret {
                        "\"***\"".into()
                    } else {
                        value.to_string()
                    },
                    source,
                )
            })
            .collect()
    }
}

enum PlaceOf<'a> {
    Table(&'a mut Table),
    Value(&'a mut Value),
}

impl Config {
    fn deserialize_table(table: Table) -> Result<Self, String> {
        let mut config: Self = serde_path_to_error::deserialize(Value::Table(table))
            .map_err(|error| with_key(&error))?;
        if config.pool.is_empty() {
            config.pool.push(super::Pool::default());
        }
        let mut names: Vec<&str> = config.pool.iter().map(|pool| pool.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        if names.len() < config.pool.len() {
            return Err("two pools have the same name".into());
        }
        super::Coin::add(&config.coin)?;
        Ok(config)
    }
}

/// The default settings with an entry in each list, so that every key is there.
fn example() -> Config {
    let mut daemon = crate::daemon::Config::at("http://127.0.0.1:8332");
    daemon.user = Some(String::new());
    daemon.password = Some("".into());
    daemon.cookie = Some(PathBuf::new());
    daemon.zmq = Some(String::new());
    daemon.min_peers = Some(0);
    let listener = super::Listener {
        default_address: Some(String::new()),
        tls_certificate: Some(PathBuf::new()),
        tls_key: Some(PathBuf::new()),
        scheme: Some(Scheme::default()),
        ..super::Listener::default()
    };
    let payout = super::Payout {
        wallet: Some(String::new()),
        wallet_url: Some("http://127.0.0.1:18083".into()),
        wallet_user: Some(String::new()),
        wallet_password: Some("".into()),
        descriptor_file: Some(PathBuf::new()),
        fee_rate: Some(String::new()),
        ..super::Payout::default()
    };
    let randomx = crate::verifier::Config {
        trust_after: Some(1),
        ..crate::verifier::Config::default()
    };
    let pool = super::Pool {
        title: Some(String::new()),
        view_key: Some("".into()),
        maturity: Some(1),
        randomx,
        payout,
        daemon: vec![daemon],
        listener: vec![listener],
        ..super::Pool::default()
    };
    let http = super::Http {
        url: Some(String::new()),
        ..super::Http::default()
    };
    let node = super::Node {
        address: Some(String::new()),
        url: Some(String::new()),
        tls_fingerprint: Some(String::new()),
        ..super::Node::default()
    };
    let compat = super::Compat {
        ckpool_logdir: Some(PathBuf::new()),
        ..super::Compat::default()
    };
    let network = super::CoinNetwork {
        chain: Some(String::new()),
        genesis: Some(String::new()),
        hrp: Some(String::new()),
        p2pkh: Some(0),
        p2sh: Some(0),
        halving: Some(1),
        standard_tag: Some(0),
        integrated_tag: Some(0),
        subaddress_tag: Some(0),
        ..super::CoinNetwork::default()
    };
    let coin = super::Coin {
        unit: Some(String::new()),
        decimals: Some(0),
        maturity: Some(1),
        block_time_s: Some(1),
        algorithm: Some(String::new()),
        block_versions: Some(String::new()),
        seed_blocks: Some(2),
        seed_lag_blocks: Some(1),
        template_rules: Some(Vec::new()),
        message_magic: Some(String::new()),
        retarget_blocks: Some(1),
        finds_coins: Some(false),
        network: vec![network],
        ..super::Coin::default()
    };
    Config {
        coin: vec![coin],
        database: Some(String::new()),
        devices: Some(PathBuf::new()),
        http,
        node,
        compat,
        alerts: crate::alerts::config::Config::with_every_key(),
        pool: vec![pool],
        ..Config::default()
    }
}

fn push_key(key: &mut String, part: &str) {
    if !key.is_empty() {
        key.push('.');
    }
    key.push_str(part);
}

fn flatten(value: &Value, key: String, keys: &mut Vec<(String, Value)>) {
    let under = |part: &str| {
        let mut key = key.clone();
        push_key(&mut key, part);
        key
    };
    match value {
        Value::Table(table) => {
            for (part, value) in table {
                flatten(value, under(part), keys);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_table) => {
            for (index, value) in items.iter().enumerate() {
                flatten(value, under(&index.to_string()), keys);
            }
        }
        value => keys.push((key, value.clone())),
    }
}

/// Reads a text as the type that the default has.
fn parse_like(known: &Value, text: &str) -> Option<Value> {
    Some(match known {
        Value::String(_) => Value::String(text.into()),
        Value::Integer(_) => Value::Integer(text.parse().ok()?),
        Value::Float(_) => Value::Float(
            text.parse()
                .ok()
                .filter(|number: &f64| number.is_finite())?,
        ),
        Value::Boolean(_) => Value::Boolean(text.parse().ok()?),
        // All lists of settings are lists of texts.
        Value::Array(_) => {
            let items = text
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty());
            Value::Array(items.map(|item| Value::String(item.into())).collect())
        }
        _ => return None,
    })
}

/// What is wrong, and with which key.
fn with_key(error: &serde_path_to_error::Error<toml::de::Error>) -> String {
    let message = error.inner().message();
    if message.starts_with("unknown field") {
        return with_nearest(message);
    }
    format!("{}: {message}", error.path())
}

/// serde lists the known keys in backticks; the nearest one to the unknown key is named.
fn with_nearest(message: &str) -> String {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    match quoted.split_first() {
        Some((unknown, known)) if message.starts_with("unknown field") => {
            let nearest = known.iter().min_by_key(|name| distance(unknown, name));
            match nearest {
                Some(nearest) => format!("unknown key {unknown:?}; the nearest is {nearest:?}"),
                None => format!("unknown key {unknown:?}"),
            }
        }
        _ => message.to_owned(),
    }
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.iter().enumerate() {
            let changed = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => path.display().fmt(f),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layers(text: &str) -> Layers {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let mut layers = Layers::default();
        layers.file(file.path()).unwrap();
        layers
    }

    #[test]
    fn an_unknown_key_is_named_with_the_nearest_one() {
        let error = layers("[http]\nlissten = \"x\"").config().unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown key \"lissten\"; the nearest is \"listen\""
        );
        let error = layers("[[pool]]\ncoinbase_tga = \"x\"")
            .config()
            .unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("the nearest is \"coinbase_tag\""),
            "{error}"
        );
    }

    #[test]
    fn the_environment_goes_over_the_file_and_flags_over_both() {
        let mut layers = layers("data = \"a\"\n[[pool]]\nname = \"one\"\n[[pool]]\nname = \"two\"");
        layers
            .environment(
                [
                    ("ADIT_DATA", "b"),
                    ("ADIT_POOL__NAME", "first"),
                    ("ADIT_POOL__1__REFRESH_S", "7"),
                    ("ADIT_POOL__BANS__EXEMPT", "10.0.0.0/8, ::1"),
                    ("ADIT_POOL__1__LISTENER__PROXY_FROM", ""),
                    ("ADIT_POOL__LISTENER__TLS_KEY", "k"),
                    ("ADIT_POOL__1__LISTENER__0__MIN_DIFFICULTY", "0.5"),
                    ("ADIT_POOL__0__DAEMON__PASSWORD", "secret"),
                    ("ADIT_POOL__0__DAEMON__URL", "http://127.0.0.1:1"),
                    ("ADIT_POOL__0__VIEW_KEY", "secret"),
                    ("ADIT_POOL__PAYOUT__WALLET_PASSWORD", "secret"),
                    ("ADIT_POOL__1__MATURITY", "9"),
                    ("ADIT_POOL__1__LISTENER__SCHEME", "solo"),
                    ("PATH", "x"),
                ]
                .map(|(name, value)| (name.to_owned(), value.to_owned())),
            )
            .unwrap();
        layers.flag("--data", "data", "c").unwrap();
        let config = layers.config().unwrap();
        assert_eq!(config.data, PathBuf::from("c"));
        assert_eq!(config.pool[0].name, "first");
        assert_eq!(config.pool[1].refresh_s, 7);
        assert_eq!(config.pool[0].bans.exempt, ["10.0.0.0/8", "::1"]);
        assert!(config.pool[1].listener[0].proxy_from.is_empty());
        assert_eq!(config.pool[0].listener[0].tls_key, Some("k".into()));
        assert_eq!(config.pool[1].listener[0].min_difficulty, 0.5);
        assert_eq!(config.pool[0].view_key, Some("secret".into()));
        assert_eq!(config.pool[0].payout.wallet_password, Some("secret".into()));
        assert_eq!(config.pool[1].maturity, Some(9));
        assert_eq!(config.pool[1].listener[0].scheme, Some(Scheme::Solo));
        let described = layers.describe(&config);
        let find = |key: &str| described.iter().find(|(name, ..)| name == key).unwrap();
        assert_eq!(find("data").2, Source::Flag("--data"));
        assert_eq!(
            find("pool.0.name").2,
            Source::Environment("ADIT_POOL__NAME".into())
        );
        assert!(matches!(find("pool.1.name").2, Source::File(_)));
        assert_eq!(find("http.listen").2, Source::Default);
        assert_eq!(find("pool.0.daemon.0.password").1, "\"***\"");
        assert!(
            described
                .iter()
                .all(|(_, value, _)| !value.contains("secret"))
        );
    }

    #[test]
    fn a_broken_line_is_told_by_its_number_and_not_shown() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(
            file.path(),
            "data = 1\n[[pool.daemon]]\npassword = \"topsecret\n",
        )
        .unwrap();
        let error = anyhow::Error::new(Layers::default().file(file.path()).unwrap_err());
        let error = format!("{error:#}");
        assert!(
            error.contains("line 3") && !error.contains("topsecret"),
            "{error}"
        );
    }

    #[test]
    fn wrong_variables_are_errors() {
        for (name, value) in [
            ("ADIT_NOTHING", "1"),
            ("ADIT_POOL__REFRESH_S", "soon"),
            ("ADIT_POOL__3__NAME", "x"),
            ("ADIT_HTTP", "x"),
            ("ADIT_DATA__X", "x"),
            ("ADIT_POOL__LISTENER__MIN_DIFFICULTY", "nan"),
        ] {
            let set = Layers::default().environment([(name.to_owned(), value.to_owned())]);
            assert!(set.is_err(), "{name}={value}");
        }
    }
}
