//! `adit backup` and `adit restore`: a pool in one file, and back.

use std::path::PathBuf;

use clap::Parser;

use super::config::SettingsArguments;
use crate::backup;

/// Copy the database of a running pool, and what lies beside it, into one file
#[derive(Debug, Parser)]
pub(crate) struct Backup {
    #[command(flatten)]
    settings: SettingsArguments,
    /// The file to write; it must not be there
    file: PathBuf,
}

/// Put a backup back into an empty data directory
#[derive(Debug, Parser)]
pub(crate) struct Restore {
    #[command(flatten)]
    settings: SettingsArguments,
    /// The backup
    file: PathBuf,
    /// Check the backup, and put nothing back
    #[arg(long)]
    check: bool,
}

impl Backup {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let (_, config) = self.settings.read()?;
        let made = backup::make(&config, &self.file).await?;
        println!(
            "{}: {} files, {} bytes. The books of {} pools balance.",
            self.file.display(),
            made.files,
            made.size,
            made.pools
        );
        Ok(())
    }
}

impl Restore {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let (_, config) = self.settings.read()?;
        let restored = backup::restore(&config, &self.file, self.check).await?;
        for name in &restored.missing {
            println!("Pool {name} is not in it, and would begin from nothing.");
        }
        let file = self.file.display();
        let made = &restored.made;
        if self.check {
            println!("{file}, made {made}, is good: {} files.", restored.files);
        } else {
            println!("The pool is as it was at {made}: {} files.", restored.files);
            println!("Payouts that were sent since are not in it. See docs/operating.md, Restore.");
        }
        Ok(())
    }
}
