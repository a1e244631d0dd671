//! A day's log: read line by line, however long it is, and made again from its shares.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
};

use mining::{
    Work,
    receipt::{Digest, Edge, Statement, Sum, Tree},
};

use super::{LINE_MAX, Verifier, plausible};
use crate::receipts::export::{LOG, LogHead, Share, Wrong, form};

impl Verifier {
    /// Whether the shares of a log are those that were signed.
    pub(super) fn log(&mut self, path: &Path, shown: &mut Vec<String>) -> Result<(), Wrong> {
        let unreadable = |error: std::io::Error| Wrong(format!("it cannot be read: {error}"));
        let mut lines = Lines {
            file: BufReader::new(File::open(path).map_err(unreadable)?),
            number: 0,
        };
        let head: LogHead = lines.next()?.ok_or_else(|| Wrong("it is empty".into()))?;
        form(&head.form, LOG)?;
        let signed = self.day(&head.day)?;
        let statement = &signed.statement;
        let mut made = Made::default();
        while let Some(share) = lines.next::<Share>()? {
            let wrong = |wrong: Wrong| lines.wrong(&wrong.0);
            self.logged(statement, &share, &mut made).map_err(wrong)?;
        }
        made.compare(statement)?;
        shown.push(format!(
            "log of {}: {} shares of {} miners, work {}, as signed",
            statement.date,
            statement.shares,
            statement.accounts,
            statement.work.hashes()
        ));
        Ok(())
    }

    fn logged(
        &mut self,
        statement: &Statement,
        share: &Share,
        made: &mut Made,
    ) -> Result<(), Wrong> {
        let share = share.parse()?;
        plausible(&share, statement.date)?;
        let index = made.edge.count();
        if index >= statement.shares {
            return Err(Wrong("more shares than were signed".into()));
        }
        let mut short = [0; 16];
        short.copy_from_slice(&share.hash.0[..16]);
        if !self.logged.insert((statement.issuer.clone(), short)) {
            return Err(Wrong("the share stands in a log already".into()));
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
        made.add(leaf, share.account, share.work)
    }
}

/// What the shares of a log are together.
#[derive(Default)]
struct Made {
    edge: Edge,
    accounts: BTreeMap<Digest, (u64, Work)>,
    work: Work,
}

impl Made {
    fn add(&mut self, leaf: Digest, account: Digest, work: Work) -> Result<(), Wrong> {
        let much = || Wrong("work: more than any".into());
        self.edge.push(leaf);
        self.work = self.work.checked_add(work).ok_or_else(much)?;
        let (shares, sum) = self.accounts.entry(account).or_default();
        *shares += 1;
        *sum = sum.checked_add(work).ok_or_else(much)?;
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

struct Lines {
    file: BufReader<File>,
    number: u64,
}

impl Lines {
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
