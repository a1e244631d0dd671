//! `adit key`: keys with which an operator is heard from anywhere.

use clap::{Parser, Subcommand};
use mining::api_key::{ApiKey, KEY_BYTES, KeyName};
use serde::Serialize;
use store::{Act, KeptKey, Store};

use super::config::SettingsArguments;
use crate::{clock, data, display};

/// Make, list and revoke keys with which an operator is heard from anywhere
#[derive(Debug, Parser)]
pub(crate) struct Key {
    #[command(flatten)]
    settings: SettingsArguments,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Make a key and print it, this once
    Create {
        /// By which you know it: small letters, digits, `.`, `_` and `-`
        name: KeyName,
    },
    /// List the keys, without what opens anything
    List,
    /// Make a key worthless, at once and for ever
    Revoke {
        /// Its name
        name: KeyName,
    },
}

#[derive(Serialize)]
struct Made<'a> {
    name: &'a str,
    key: String,
}

#[derive(Serialize)]
struct Line {
    name: String,
    made: String,
    last_used: Option<String>,
}

impl Key {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let (_, config) = self.settings.read()?;
        // Also before the first start of the pool.
        let store = data::open_store(&config.data, config.database.as_deref()).await?;
        let done = match &self.what {
            What::Create { name } => self.create(&store, name).await,
            What::List => self.list(&store).await,
            What::Revoke { name } => self.revoke(&store, name).await,
        };
        store.close().await;
        done
    }

    async fn create(&self, store: &Store, name: &KeyName) -> anyhow::Result<()> {
        let mut chance = [0; KEY_BYTES];
        getrandom::fill(&mut chance)
            .map_err(|error| anyhow::anyhow!("the system has no randomness: {error}"))?;
        let key = ApiKey::of_chance(chance);
        let act = act("key made", name);
        store.keep_key(name, key.hash(), &act).await?;
        if self.json {
            let made = Made {
                name: name.as_str(),
                key: key.text(),
            };
            println!("{}", serde_json::to_string_pretty(&made)?);
        } else {
            println!("{}", key.text());
            eprintln!("This is the key {name}. It is not shown again, and kept nowhere.");
        }
        Ok(())
    }

    async fn list(&self, store: &Store) -> anyhow::Result<()> {
        let line = |key: KeptKey| Line {
            name: key.name.to_string(),
            made: display::time(key.made_ms),
            last_used: key.used_ms.map(display::time),
        };
        let lines: Vec<Line> = store.keys().await?.into_iter().map(line).collect();
        if self.json {
            println!("{}", serde_json::to_string_pretty(&lines)?);
            return Ok(());
        }
        for line in &lines {
            let used = line.last_used.as_deref().unwrap_or("never");
            println!("{:<32}  made {}  last used {used}", line.name, line.made);
        }
        Ok(())
    }

    async fn revoke(&self, store: &Store, name: &KeyName) -> anyhow::Result<()> {
        let gone = store.revoke_key(name, &act("key revoked", name)).await?;
        anyhow::ensure!(gone, "there is no key named {name}");
        println!("The key {name} opens nothing any more.");
        Ok(())
    }
}

fn act(what: &str, name: &KeyName) -> Act {
    Act {
        time_ms: clock::now_ms(),
        who: "this machine".to_owned(),
        what: what.to_owned(),
        subject: name.to_string(),
    }
}
