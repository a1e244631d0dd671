//! A day's log: read line by line, however long it is, and made again from its shares. Eight bytes of
//! memory are kept for each share, and a sum for each miner.

use std::{
    collections::{BTreeMap, HashSet},
    io::{BufRead, Read as _},
};

use mining::{
    Work,
    receipt::{Digest, Edge, Issuer, LoggedShare, Statement, Sum, Tree},
};
use pow::Hash;

use super::{File, LINE_MAX, Verifier, plausible};
use crate::receipts::export::{LOG, LogHead, Share, Wrong, form};

/// A log that was read.
pub(super) struct Logged {
    issuer: Issuer,
    file: File,
    /// Some of each hash, in order.
    hashes: Vec<u64>,
}

impl Verifier {
    /// Whether the shares of a log are those that were signed.
    pub(super) fn log(&mut self, file: &File, shown: &mut Vec<String>) -> Result<(), Wrong> {
        let mut lines = Lines::open(file)?;
        let head: LogHead = lines.next()?.ok_or_else(|| Wrong("it is empty".into()))?;
        form(&head.form, LOG)?;
        let signed = self.day(&head.day)?;
        let statement = &signed.statement;
        let mut made = Made::default();
        while let Some(share) = lines.next::<Share>()? {
            let added = self.logged(statement, &share, &mut made);
            added.map_err(|wrong| lines.wrong(&wrong.0))?;
        }
        made.compare(statement)?;
        made.hashes.sort_unstable();
        let log = Logged {
            issuer: statement.issuer.clone(),
            file: file.clone(),
            hashes: made.hashes,
        };
        self.once(&log)?;
        self.logs.push(log);
        shown.push(format!(
            "log of {}: {} shares of {} miners, work {}, as signed",
            statement.date,
            statement.shares,
            statement.accounts,
            statement.work.hashes()
        ));
        Ok(())
    }

    fn logged(&self, statement: &Statement, share: &Share, made: &mut Made) -> Result<(), Wrong> {
        let share = share.parse()?;
        plausible(&share, statement.date)?;
        let index = made.edge.count();
        if index >= statement.shares {
            return Err(Wrong("more shares than were signed".into()));
        }
        let leaf = share.leaf(statement.log());
        let known = self.leaves.get(&(statement.issuer.clone(), statement.date));
        if known
            .and_then(|leaves| leaves.get(&index))
            .is_some_and(|known| *known != leaf)
        {
            return Err(Wrong(format!(
                "the pool gave place {index} to another share"
            )));
        }
        made.add(leaf, &share)
    }

    /// Whether each share stands once in all logs of the pool. Where two have the same eight bytes the
    /// logs are read again, to compare all of them.
    fn once(&self, log: &Logged) -> Result<(), Wrong> {
        let others = self.logs.iter().filter(|other| other.issuer == log.issuer);
        let mut like: HashSet<u64> = alike(&log.hashes).collect();
        for other in others.clone() {
            let found = log.hashes.iter().copied();
            like.extend(found.filter(|hash| other.hashes.binary_search(hash).is_ok()));
        }
        if like.is_empty() {
            return Ok(());
        }
        let mut seen = HashSet::new();
        for read in others.chain([log]) {
            let mut lines = Lines::open(&read.file)?;
            lines.next::<LogHead>()?;
            while let Some(share) = lines.next::<Share>()? {
                let hash = share.parse()?.hash;
                if like.contains(&some_of(hash)) && !seen.insert(hash) {
                    return Err(lines.wrong("the share stands in a log already"));
                }
            }
        }
        Ok(())
    }
}

/// Those that stand there twice.
fn alike(sorted: &[u64]) -> impl Iterator<Item = u64> {
    let pairs = sorted.iter().zip(sorted.iter().skip(1));
    pairs.filter(|(one, next)| one == next).map(|(one, _)| *one)
}

/// Eight bytes of a hash: the last ones as it is printed, as the first are zeros.
fn some_of(hash: Hash) -> u64 {
    let (bytes, _) = hash.0.as_chunks::<8>();
    u64::from_le_bytes(bytes[0])
}

/// What the shares of a log are together.
#[derive(Default)]
struct Made {
    edge: Edge,
    accounts: BTreeMap<Digest, (u64, Work)>,
    work: Work,
    hashes: Vec<u64>,
}

impl Made {
    fn add(&mut self, leaf: Digest, share: &LoggedShare) -> Result<(), Wrong> {
        let much = || Wrong("work: more than any".into());
        self.edge.push(leaf);
        self.work = self.work.checked_add(share.work).ok_or_else(much)?;
        let (shares, sum) = self.accounts.entry(share.account).or_default();
        *shares += 1;
        *sum = sum.checked_add(share.work).ok_or_else(much)?;
        self.hashes.push(some_of(share.hash));
        Ok(())
    }

    fn compare(&self, statement: &Statement) -> Result<(), Wrong> {
        let leaf = |(account, (shares, work)): (&Digest, &(u64, Work))| {
            Sum::leaf(*account, *shares, *work)
        };
        let sums = Tree::new(self.accounts.iter().map(leaf).collect()).map(|tree| tree.root());
        let count = self.edge.count();
        let same = [
            ("shares", count == statement.shares),
            ("work", self.work == statement.work),
            ("root", self.edge.root() == Some(statement.root)),
            (
                "accounts",
                u64::try_from(self.accounts.len()) == Ok(statement.accounts),
            ),
            ("accounts_root", sums == Some(statement.sum())),
        ];
        match same.iter().find(|(_, same)| !same) {
            None => Ok(()),
            Some((what, _)) => Err(Wrong(format!(
                "{what}: that of the {count} shares is not what was signed"
            ))),
        }
    }
}

struct Lines<'a> {
    file: Box<dyn BufRead + 'a>,
    number: u64,
}

impl<'a> Lines<'a> {
    fn open(file: &'a File) -> Result<Self, Wrong> {
        let opened = file.open();
        let opened = opened.map_err(|error| Wrong(format!("it cannot be read: {error}")));
        Ok(Self {
            file: opened?,
            number: 0,
        })
    }

    fn next<T: serde::de::DeserializeOwned>(&mut self) -> Result<Option<T>, Wrong> {
        let mut line = Vec::new();
        let read = (&mut self.file).take(LINE_MAX).read_until(b'\n', &mut line);
        self.number += 1;
        match read {
            Err(error) => Err(self.wrong(&format!("it cannot be read: {error}"))),
            Ok(0) => Ok(None),
            Ok(_) if line.last() != Some(&b'\n') => Err(self.wrong("it is cut off, or too long")),
            Ok(_) => serde_json::from_slice(&line)
                .map(Some)
                .map_err(|error| self.wrong(&error.to_string())),
        }
    }

    fn wrong(&self, text: &str) -> Wrong {
        Wrong(format!("line {}: {text}", self.number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_that_are_alike_in_eight_bytes_are_found() {
        let mut hash = [7; 32];
        let one = some_of(Hash(hash));
        hash[31] = 0;
        assert_eq!(
            some_of(Hash(hash)),
            one,
            "the zeros of a good hash are no part of it"
        );
        hash[0] = 8;
        assert_ne!(some_of(Hash(hash)), one);
        assert_eq!(alike(&[]).count(), 0);
        assert_eq!(alike(&[1, 2, 3]).count(), 0);
        assert!(alike(&[1, 1, 2, 3, 3, 3]).eq([1, 3, 3]));
    }
}
