//! What `adit verify` checks: files that a pool exported, by themselves and against each other, and
//! nothing is believed but arithmetic and signatures. Called by the subcommand.
//!
//! A file that is refused is refused for one reason, the first that was found. What two files together
//! cannot both be right about refuses the later one.

mod books;
mod json;
mod log;

use std::{
    collections::{BTreeMap, HashMap, HashSet, btree_map::Entry, hash_map},
    io::{self, BufRead, BufReader, Read as _},
    path::PathBuf,
    sync::Arc,
};

use mining::{
    Work,
    date::Date,
    receipt::{Digest, Issuer, Log, LoggedShare, PublicKey, Salt, SignedStatement, Sum, climb},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use self::{books::Books, log::Logged};
use crate::receipts::export::{
    self, Day, MinerSum, Promise, Proof, Receipt, Split, Wrong, digest, form,
};

/// The longest file that is not a log: a page of 500 receipts has 2 MB.
const FILE_MAX: u64 = 64 << 20;
/// The longest line of a log.
const LINE_MAX: u64 = 8 << 10;

/// What came of it.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The files, in the order in which they were named.
    pub files: Vec<FileReport>,
    /// Whether all of them are right.
    pub accepted: bool,
    /// The keys that signed, by pool. Compare them with what the pool shows.
    pub keys: BTreeMap<String, String>,
}

/// What came of one file.
#[derive(Debug, Serialize)]
pub struct FileReport {
    /// Its path.
    pub file: PathBuf,
    /// What is shown by it.
    pub shown: Vec<String>,
    /// Why it is refused.
    pub refused: Option<String>,
}

/// A log that shares are in.
type LogOf = (Issuer, Date);

/// What is known from the files so far.
#[derive(Default)]
struct Verifier {
    trusted: Option<PublicKey>,
    keys: BTreeMap<Issuer, PublicKey>,
    statements: BTreeMap<LogOf, SignedStatement>,
    /// The leaves that receipts show.
    leaves: HashMap<LogOf, BTreeMap<u64, Digest>>,
    /// The hashes of shares, and where they stand.
    places: HashMap<(Issuer, pow::Hash), (Date, u64)>,
    /// What receipts show of each account.
    received: HashMap<(LogOf, Digest), (u64, Work)>,
    sums: HashMap<(LogOf, Digest), SumAt>,
    /// The salts of addresses, as files say them and accounts show.
    salts: HashMap<(Issuer, String), Salt>,
    books: Books,
    /// The logs that were read: each share counts on one day.
    logs: Vec<Logged>,
}

/// What a file shows a miner to have done, and where it stands among the miners of that day.
#[derive(Clone, Copy, PartialEq, Eq)]
struct SumAt {
    index: u64,
    shares: u64,
    work: Work,
}

/// Where what is verified comes from.
#[derive(Clone)]
enum File {
    Path(PathBuf),
    Bytes(Arc<[u8]>),
}

/// Checks one file by itself, which was read already.
pub fn verify_bytes(bytes: &[u8], trusted: Option<PublicKey>) -> Report {
    verify_all(vec![("-".into(), File::Bytes(bytes.into()))], trusted)
}

/// Checks files. With a key, nothing that another one signed is accepted.
pub fn verify(paths: &[PathBuf], trusted: Option<PublicKey>) -> Report {
    let files = paths
        .iter()
        .map(|path| (path.clone(), File::Path(path.clone())));
    verify_all(files.collect(), trusted)
}

fn verify_all(files: Vec<(PathBuf, File)>, trusted: Option<PublicKey>) -> Report {
    let mut verifier = Verifier {
        trusted,
        ..Verifier::default()
    };
    let (mut files, sources): (Vec<FileReport>, Vec<File>) = files
        .into_iter()
        .map(|(path, source)| (report(path), source))
        .unzip();
    // Logs last: they are held against all that the others show.
    let all = files.iter_mut().zip(&sources);
    let (logs, others): (Vec<_>, Vec<_>) = all.partition(|(_, source)| source.is_log());
    for (file, source) in others {
        let read = source
            .read()
            .and_then(|value| verifier.value(&value, &mut file.shown));
        file.refused = read.err().map(|wrong| wrong.0);
    }
    for (file, source) in logs {
        let read = verifier.log(source, &mut file.shown);
        file.refused = read.err().map(|wrong| wrong.0);
    }
    if let Some(last) = files.last_mut().filter(|file| file.refused.is_none()) {
        let together = verifier.together(&mut last.shown);
        last.refused = together
            .err()
            .map(|wrong| format!("all together: {}", wrong.0));
    }
    let keys = verifier.keys.iter();
    Report {
        accepted: files.iter().all(|file| file.refused.is_none()),
        files,
        keys: keys
            .map(|(issuer, key)| (name(issuer), key.to_string()))
            .collect(),
    }
}

impl Verifier {
    fn value(&mut self, value: &Value, shown: &mut Vec<String>) -> Result<(), Wrong> {
        if let Some(form) = value.get("form").and_then(Value::as_str) {
            return match form {
                export::DAY => {
                    let signed = self.day(&parsed(value)?)?;
                    shown.push(said(&signed));
                    Ok(())
                }
                export::RECEIPT => self.receipt(&parsed(value)?).map(|text| shown.push(text)),
                export::SUM => self.sum(&parsed(value)?).map(|text| shown.push(text)),
                export::SPLIT => self.split(&parsed(value)?).map(|text| shown.push(text)),
                other => Err(Wrong(format!("form: {other:?} is not known"))),
            };
        }
        let is_page = value.get("next").is_some();
        if let Some(items) = value
            .get("items")
            .and_then(Value::as_array)
            .filter(|_| is_page)
        {
            return self.page(value, items, shown);
        }
        if let Some(lines) = value.as_array() {
            return self.books.lines(None, lines).map(|text| shown.push(text));
        }
        if value.get("pools").is_some() {
            return self.books.balances(value).map(|text| shown.push(text));
        }
        Err(Wrong("it is nothing that a pool exports".into()))
    }

    /// A page of the API: receipts, statements, or lines of the books.
    fn page(
        &mut self,
        page: &Value,
        items: &[Value],
        shown: &mut Vec<String>,
    ) -> Result<(), Wrong> {
        let address = page.get("address").and_then(Value::as_str);
        if items.iter().any(|item| item.get("entry").is_some()) {
            let address = address.ok_or_else(|| Wrong("address: there is none".into()))?;
            let lines = self.books.lines(Some(address), items)?;
            shown.push(lines);
            return Ok(());
        }
        let mut before: Option<SignedStatement> = None;
        for item in items {
            match item.get("form").and_then(Value::as_str) {
                Some(export::DAY) => {
                    let signed = self.day(&parsed(item)?)?;
                    if let Some(newer) = before
                        && newer.statement.previous != Some(signed.statement.digest())
                    {
                        return Err(Wrong(format!(
                            "{} does not follow {}",
                            newer.statement.date, signed.statement.date
                        )));
                    }
                    shown.push(said(&signed));
                    before = Some(signed);
                }
                Some(export::RECEIPT) => {
                    let receipt: Receipt = parsed(item)?;
                    if Some(receipt.address.as_str()) != address {
                        return Err(Wrong("address: the page is of another one".into()));
                    }
                    shown.push(self.receipt(&receipt)?);
                }
                _ => return Err(Wrong("items: one is nothing that a pool exports".into())),
            }
        }
        Ok(())
    }

    fn day(&mut self, day: &Day) -> Result<SignedStatement, Wrong> {
        let signed = day.parse()?;
        let of = signed.statement.date;
        signed.verify().map_err(|error| said_of(of, &error))?;
        self.key(&signed.statement.issuer, signed.key)?;
        let statement = &signed.statement;
        if statement.shares == 0 || statement.accounts == 0 || statement.accounts > statement.shares
        {
            return Err(said_of(of, &"a day without shares has no statement"));
        }
        match self.statements.entry((statement.issuer.clone(), of)) {
            Entry::Vacant(place) => drop(place.insert(signed.clone())),
            Entry::Occupied(other) if other.get().statement == signed.statement => {}
            Entry::Occupied(_) => {
                return Err(said_of(
                    of,
                    &"the pool has signed two statements of this day",
                ));
            }
        }
        Ok(signed)
    }

    /// One key signs for a pool.
    fn key(&mut self, issuer: &Issuer, key: PublicKey) -> Result<(), Wrong> {
        if self.trusted.is_some_and(|trusted| trusted != key) {
            return Err(Wrong(format!("key: {key} signed, which is not trusted")));
        }
        let first = *self.keys.entry(issuer.clone()).or_insert(key);
        if first != key {
            return Err(Wrong(format!(
                "key: {key} signed here, and {first} elsewhere"
            )));
        }
        Ok(())
    }

    fn receipt(&mut self, receipt: &Receipt) -> Result<String, Wrong> {
        let Receipt { index, address, .. } = receipt;
        form(&receipt.form, export::RECEIPT)?;
        let issuer = export::issuer(&receipt.pool, &receipt.coin, &receipt.network)?;
        let date = export::date(&receipt.date)?;
        let share = receipt.share.parse()?;
        let log = Log::new(&issuer, date);
        let salt = Salt(digest("salt", &receipt.salt)?);
        if log.account(salt, address) != share.account {
            return Err(Wrong("account: it is not that of the address".into()));
        }
        plausible(&share, date)?;
        let leaf = share.leaf(log);
        let shown = match (&receipt.promise, &receipt.proof) {
            (Some(promise), None) => self.promise(promise, &issuer, *index, leaf)?,
            (None, Some(proof)) => self.proof(proof, &issuer, date, *index, leaf)?,
            _ => return Err(Wrong("either a promise or a proof".into())),
        };
        self.salts.insert((issuer.clone(), address.clone()), salt);
        self.place(&issuer, date, *index, leaf, &share)?;
        Ok(format!(
            "share {} of {address}: work {}, {shown} {index} of {date}",
            share.hash,
            share.work.hashes()
        ))
    }

    fn promise(
        &mut self,
        promise: &Promise,
        issuer: &Issuer,
        index: u64,
        leaf: Digest,
    ) -> Result<&'static str, Wrong> {
        let (key, signature) = promise.parse()?;
        key.verify_promise(index, leaf, signature)
            .map_err(|error| Wrong(format!("promise: {error}")))?;
        self.key(issuer, key)?;
        Ok("is promised place")
    }

    fn proof(
        &mut self,
        proof: &Proof,
        issuer: &Issuer,
        date: Date,
        index: u64,
        leaf: Digest,
    ) -> Result<&'static str, Wrong> {
        let signed = self.day(&proof.day)?;
        let statement = &signed.statement;
        if (&statement.issuer, statement.date) != (issuer, date) {
            return Err(Wrong("day: it is another one".into()));
        }
        let reached = climb(&leaf, index, statement.shares, &proof.path()?);
        if reached != Some(statement.root) {
            return Err(Wrong(
                "path: it does not lead to the root that was signed".into(),
            ));
        }
        Ok("is in place")
    }

    /// Notes where a share stands: there once, and nothing else there.
    fn place(
        &mut self,
        issuer: &Issuer,
        date: Date,
        index: u64,
        leaf: Digest,
        share: &LoggedShare,
    ) -> Result<(), Wrong> {
        let of = (issuer.clone(), date);
        let known = self.leaves.entry(of.clone()).or_default();
        match known.insert(index, leaf) {
            None => {}
            Some(other) if other == leaf => return Ok(()),
            Some(_) => {
                return Err(Wrong(format!(
                    "the pool gave place {index} of {date} to two shares"
                )));
            }
        }
        let hash = (issuer.clone(), share.hash);
        if let Some((date, index)) = self.places.insert(hash, (date, index)) {
            return Err(Wrong(format!(
                "the share has another place too: {index} of {date}"
            )));
        }
        let sum = self.received.entry((of, share.account)).or_default();
        sum.0 = sum.0.saturating_add(1);
        let work = sum.1.checked_add(share.work);
        sum.1 = work.ok_or_else(|| Wrong("work: more than any".into()))?;
        Ok(())
    }

    fn sum(&mut self, of_miner: &MinerSum) -> Result<String, Wrong> {
        let MinerSum {
            address, shares, ..
        } = of_miner;
        form(&of_miner.form, export::SUM)?;
        let signed = self.day(&of_miner.day)?;
        let statement = &signed.statement;
        let account = digest("account", &of_miner.account)?;
        let salt = Salt(digest("salt", &of_miner.salt)?);
        if statement.log().account(salt, address) != account {
            return Err(Wrong("account: it is not that of the address".into()));
        }
        let work = export::work(&of_miner.work)?;
        let leaf = Sum::leaf(account, *shares, work);
        let path: Result<Vec<Sum>, Wrong> = of_miner.path.iter().map(|node| node.parse()).collect();
        let reached = climb(&leaf, of_miner.index, statement.accounts, &path?);
        if reached != Some(statement.sum()) {
            return Err(Wrong(
                "path: it does not lead to the sums that were signed".into(),
            ));
        }
        let of = (statement.issuer.clone(), statement.date);
        self.salts.insert((of.0.clone(), address.clone()), salt);
        let at = SumAt {
            index: of_miner.index,
            shares: *shares,
            work,
        };
        match self.sums.entry((of, account)) {
            hash_map::Entry::Vacant(place) => drop(place.insert(at)),
            hash_map::Entry::Occupied(other) if *other.get() == at => {}
            hash_map::Entry::Occupied(_) => {
                return Err(Wrong("account: it stands among the sums twice".into()));
            }
        }
        Ok(format!(
            "{address} did {} in {shares} shares on {}",
            work.hashes(),
            statement.date
        ))
    }

    fn split(&mut self, split: &Split) -> Result<String, Wrong> {
        let (split, key, signature) = split.parse()?;
        split
            .verify(key, signature)
            .map_err(|error| Wrong(error.to_string()))?;
        self.key(&split.issuer, key)?;
        self.books.one_split(&split)?;
        split.check().map_err(|error| Wrong(error.to_string()))?;
        let text = format!(
            "block {}: {} split by {} among {} miners and {} fees, to the unit",
            split.block,
            split.reward,
            split.scheme.name(),
            split.miners.len(),
            split.fees.len()
        );
        self.books.splits.push(split);
        Ok(text)
    }

    /// What no file shows by itself.
    fn together(&self, shown: &mut Vec<String>) -> Result<(), Wrong> {
        for (of, leaves) in &self.leaves {
            let (Some(signed), Some((index, _))) =
                (self.statements.get(of), leaves.last_key_value())
            else {
                continue;
            };
            if *index >= signed.statement.shares {
                return Err(said_of(
                    of.1,
                    &format_args!("the pool promised place {index}, and signed fewer shares"),
                ));
            }
        }
        let digests: HashSet<Digest> = self
            .statements
            .values()
            .map(|signed| signed.statement.digest())
            .collect();
        let mut linked = 0;
        for (((issuer, date), older), ((next_issuer, next_date), newer)) in
            self.statements.iter().zip(self.statements.iter().skip(1))
        {
            if issuer != next_issuer {
                continue;
            }
            let previous = newer.statement.previous;
            if previous == Some(older.statement.digest()) {
                linked += 1;
            } else if previous.is_none()
                || date.next() == *next_date
                || previous.is_some_and(|previous| digests.contains(&previous))
            {
                // Between others there may be days that no file has.
                return Err(Wrong(format!("{next_date} does not follow {date}")));
            }
        }
        if linked > 0 {
            shown.push(format!("{linked} days follow the one before them"));
        }
        for (of, sum) in &self.sums {
            let (seen, done) = self.received.get(of).copied().unwrap_or_default();
            if seen > sum.shares || done > sum.work {
                let ((_, date), _) = of;
                return Err(Wrong(format!("receipts of {date} show more than its sum")));
            }
        }
        self.books.together(&self.salts, shown)
    }
}

/// No share is worth more than its hash, and none came after the day that it is of.
fn plausible(share: &LoggedShare, date: Date) -> Result<(), Wrong> {
    if !share.is_proven() {
        return Err(Wrong("work: more than the hash is worth".into()));
    }
    if Date::of_ms(share.time_ms) > date {
        return Err(Wrong("time_ms: after the day".into()));
    }
    Ok(())
}

fn said(signed: &SignedStatement) -> String {
    let statement = &signed.statement;
    format!(
        "{}: {} shares of {} miners, work {}, signed as {}",
        statement.date,
        statement.shares,
        statement.accounts,
        statement.work.hashes(),
        statement.digest()
    )
}

fn said_of(date: Date, what: &dyn std::fmt::Display) -> Wrong {
    Wrong(format!("{date}: {what}"))
}

fn name(issuer: &Issuer) -> String {
    format!("{} {} {}", issuer.pool(), issuer.coin(), issuer.network())
}

fn report(file: PathBuf) -> FileReport {
    FileReport {
        file,
        shown: Vec::new(),
        refused: None,
    }
}

fn parsed<T: DeserializeOwned>(value: &Value) -> Result<T, Wrong> {
    T::deserialize(value).map_err(|error| Wrong(error.to_string()))
}

impl File {
    fn open(&self) -> io::Result<Box<dyn BufRead + '_>> {
        Ok(match self {
            Self::Path(path) => Box::new(BufReader::new(std::fs::File::open(path)?)),
            Self::Bytes(bytes) => Box::new(&bytes[..]),
        })
    }

    fn is_log(&self) -> bool {
        let Ok(file) = self.open() else {
            return false;
        };
        let mut line = String::new();
        let read = file.take(LINE_MAX).read_line(&mut line);
        let head = serde_json::from_str::<Value>(&line)
            .ok()
            .filter(|_| read.is_ok());
        head.is_some_and(|head| head.get("form").and_then(Value::as_str) == Some(export::LOG))
    }

    /// What is not a log, whole.
    fn read(&self) -> Result<Value, Wrong> {
        let unreadable = |error: io::Error| Wrong(format!("it cannot be read: {error}"));
        let mut bytes = Vec::new();
        let file = self.open().map_err(unreadable)?;
        let read = file.take(FILE_MAX + 1).read_to_end(&mut bytes);
        if u64::try_from(read.map_err(unreadable)?).unwrap_or(u64::MAX) > FILE_MAX {
            return Err(Wrong("it has more than 64 MiB".into()));
        }
        json::read(&bytes).map_err(|error| Wrong(format!("it is no JSON: {error}")))
    }
}

#[cfg(test)]
mod tests;
