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
    let path = file.file.display();
    for text in &file.shown {
        println!("{path}: {text}");
    }
    match &file.refused {
        Some(why) => println!("{path}: REFUSED: {why}"),
        None => println!("{path}: right"),
    }
}

fn key(text: &str) -> Result<PublicKey, &'static str> {
    PublicKey::from_hex(text).ok_or("a key has 64 of 0-9 and a-f")
}
