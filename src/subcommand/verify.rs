//! `adit verify`: whether what a pool exported is right. It needs no pool, no network and no
//! configuration.

use std::path::PathBuf;

use clap::Parser;
use mining::receipt::PublicKey;

use crate::verify::{FileReport, verify};

/// Check what a pool exported, without trusting it
#[derive(Debug, Parser)]
pub(crate) struct Verify {
    /// Files of the API: receipts, sums, days, logs, splits, statements, balances
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The pool's public key: nothing that another one signed is accepted
    #[arg(long, value_name = "HEX", value_parser = key)]
    key: Option<PublicKey>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Verify {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let report = verify(&self.files, self.key);
        if self.json {
            println!("{}", serde_json::to_string_pretty(&report)?);
        } else {
            for file in &report.files {
                tell(file);
            }
            for (pool, key) in &report.keys {
                let trusted = match self.key {
                    Some(_) => "as you said",
                    None => "compare it with what the pool shows",
                };
                println!("{pool}: signed by {key}, {trusted}");
            }
        }
        let refused = report.files.iter().filter(|file| file.refused.is_some());
        let (refused, all) = (refused.count(), report.files.len());
        anyhow::ensure!(report.accepted, "{refused} of {all} files refused");
        Ok(())
    }
}

fn tell(file: &FileReport) {
    let path = plain(&file.file.display().to_string());
    for text in &file.shown {
        println!("{path}: {}", plain(text));
    }
    match &file.refused {
        Some(why) => println!("{path}: REFUSED: {}", plain(why)),
        None => println!("{path}: right"),
    }
}

/// A file may be anybody's: what a terminal would obey, or write from right to left, is shown by its
/// number.
fn plain(text: &str) -> String {
    let is_shown = |c: char| c == ' ' || c.is_alphanumeric() || c.is_ascii_graphic();
    let mut shown = String::new();
    for c in text.chars() {
        match c {
            c if is_shown(c) => shown.push(c),
            c => shown.extend(c.escape_unicode()),
        }
    }
    shown
}

fn key(text: &str) -> Result<PublicKey, &'static str> {
    PublicKey::from_hex(text).ok_or("a key has 64 of 0-9 and a-f")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_shown_by_its_number() {
        assert_eq!(plain("a/b-c_1: \"é\""), "a/b-c_1: \"é\"");
        assert_eq!(plain("\u{1b}[2J\r\n"), "\\u{1b}[2J\\u{d}\\u{a}");
        assert_eq!(plain("\u{202e}abc\u{9b}"), "\\u{202e}abc\\u{9b}");
    }
}
