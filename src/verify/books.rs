//! What the books say of a miner: the lines of its statement, added up, against its balance and against
//! the splits of the blocks that they are for.

use std::collections::{HashMap, HashSet};

use mining::receipt::{BlockSplit, Issuer, Salt};
use serde::Deserialize;
use serde_json::Value;

use crate::receipts::export::{Wrong, amount, number};

/// Lines and balances, and the splits they are held against.
#[derive(Default)]
pub(super) struct Books {
    lines: Vec<(Option<String>, Line)>,
    entries: HashSet<(Option<String>, Option<String>, String)>,
    /// The sums of each miner in each pool. A statement that lacks its first or last page is known by
    /// its `next`, and by what is before it, by nothing: so balances are compared only if they are given.
    balances: Vec<(String, Balance)>,
    pub(super) splits: Vec<BlockSplit>,
}

/// A line of a statement: as the API has it, or `adit ledger statement --json`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    pool: Option<String>,
    #[serde(rename = "coin")]
    _coin: Option<String>,
    #[serde(rename = "ticker")]
    _ticker: Option<String>,
    #[serde(rename = "network")]
    _network: Option<String>,
    #[serde(rename = "unit")]
    _unit: Option<String>,
    entry: String,
    state: String,
    amount: String,
    #[serde(rename = "reason")]
    _reason: String,
    #[serde(rename = "time")]
    _time: String,
    #[serde(rename = "settled")]
    _settled: Option<String>,
}

/// A balance as `/balances` has it; other fields are not needed.
#[derive(Clone, Debug, Deserialize)]
struct Balance {
    pool: String,
    immature: String,
    available: String,
    pending: String,
    in_flight: String,
    paid: String,
    earned: String,
}

impl Books {
    /// The lines of one account, or a page of them.
    pub(super) fn lines(
        &mut self,
        address: Option<&str>,
        lines: &[Value],
    ) -> Result<String, Wrong> {
        let (mut posted, mut pending) = (0_i128, 0_i128);
        for value in lines {
            let line = Line::deserialize(value).map_err(|error| Wrong(error.to_string()))?;
            let units: i64 = number("amount", &line.amount)?;
            match line.state.as_str() {
                "posted" => posted += i128::from(units),
                "pending" => pending += i128::from(units),
                "voided" => {}
                other => return Err(Wrong(format!("state: {other:?} is none"))),
            }
            let address = address.map(str::to_owned);
            let entry = (address.clone(), line.pool.clone(), line.entry.clone());
            if !self.entries.insert(entry) {
                return Err(Wrong(format!("entry: {} stands there twice", line.entry)));
            }
            self.lines.push((address, line));
        }
        Ok(format!(
            "{} lines of a statement: {posted} posted, {pending} pending",
            lines.len()
        ))
    }

    /// The balances of a miner.
    pub(super) fn balances(&mut self, value: &Value) -> Result<String, Wrong> {
        let address = value.get("address").and_then(Value::as_str);
        let address = address.ok_or_else(|| Wrong("address: there is none".into()))?;
        let pools = value.get("pools").and_then(Value::as_array);
        let pools = pools.ok_or_else(|| Wrong("pools: no list".into()))?;
        for pool in pools {
            let balance = Balance::deserialize(pool).map_err(|error| Wrong(error.to_string()))?;
            let units =
                |name: &str, text: &str| amount(name, text).map(|of| u128::from(of.units()));
            let sum = units("available", &balance.available)?
                + units("pending", &balance.pending)?
                + units("in_flight", &balance.in_flight)?
                + units("paid", &balance.paid)?;
            units("immature", &balance.immature)?;
            if sum != units("earned", &balance.earned)? {
                return Err(Wrong("earned: it is not what its parts add up to".into()));
            }
            self.balances.push((address.to_owned(), balance));
        }
        Ok(format!("balances of {address}: earned is its parts"))
    }

    /// A block is split once.
    pub(super) fn one_split(&self, split: &BlockSplit) -> Result<(), Wrong> {
        let other = self.splits.iter().find(|other| {
            (&other.issuer, other.block) == (&split.issuer, split.block) && *other != split
        });
        match other {
            None => Ok(()),
            Some(_) => Err(Wrong(format!(
                "the pool has signed two splits of block {}",
                split.block
            ))),
        }
    }

    /// Statements against balances and splits.
    pub(super) fn together(
        &self,
        salts: &HashMap<(Issuer, String), Salt>,
        shown: &mut Vec<String>,
    ) -> Result<(), Wrong> {
        for (address, balance) in &self.balances {
            let own = |(of, line): &&(Option<String>, Line)| {
                of.as_ref() == Some(address) && line.pool.as_ref() == Some(&balance.pool)
            };
            if !self.lines.iter().any(|line| own(&line)) {
                continue;
            }
            for (state, name, told) in [
                ("posted", "available", &balance.available),
                ("pending", "immature", &balance.immature),
            ] {
                let lines = self.lines.iter().filter(own);
                let lines = lines.filter(|(_, line)| line.state == state);
                let units = lines.map(|(_, line)| number::<i64>("amount", &line.amount));
                let units: Result<Vec<i64>, Wrong> = units.collect();
                let sum: i128 = units?.into_iter().map(i128::from).sum();
                if sum.to_string() != *told {
                    let text =
                        format!("{address}: the lines add up to {sum}, and {name} is {told}");
                    return Err(Wrong(text));
                }
            }
            shown.push(format!("the statement of {address} adds up to its balance"));
        }
        for split in &self.splits {
            self.of_block(split, salts, shown)?;
        }
        Ok(())
    }

    /// Whether the books entered for a miner what the split gave it, where both are there.
    fn of_block(
        &self,
        split: &BlockSplit,
        salts: &HashMap<(Issuer, String), Salt>,
        shown: &mut Vec<String>,
    ) -> Result<(), Wrong> {
        let prefix = format!("{}:block:{}:credit:", split.issuer.coin(), split.block);
        for (address, line) in &self.lines {
            let Some(address) = address else { continue };
            let of_pool = line.pool.as_deref() == Some(split.issuer.pool());
            if !of_pool || !line.entry.starts_with(&prefix) {
                continue;
            }
            let Some(salt) = salts.get(&(split.issuer.clone(), address.clone())) else {
                continue;
            };
            let account = split.log().account(*salt, address);
            let part = split.miners.iter().find(|(of, ..)| *of == account);
            let part = part.map_or_else(|| "0".into(), |(.., amount)| amount.to_string());
            if part != line.amount {
                return Err(Wrong(format!(
                    "{}: {} was entered for {address}, and {part} was its part",
                    line.entry, line.amount
                )));
            }
            shown.push(format!("{}: {part} for {address}, as split", line.entry));
        }
        Ok(())
    }
}
