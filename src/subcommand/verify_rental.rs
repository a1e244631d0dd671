//! `adit verify-rental`: a table of what sellers of hashrate look at, and status 1 if they would refuse.

use std::time::Duration;

use clap::{
    Parser,
    builder::{PossibleValuesParser, TypedValueParser as _},
};
use pow::Algorithm;

use crate::{
    config::BadConfig,
    rental::{self, Finding, Verdict, Wishes},
};

/// Look at a pool as sellers of hashrate do before they let a buyer mine there
#[derive(Debug, Parser)]
pub(crate) struct VerifyRental {
    /// The pool: stratum+tcp://host:port, or stratum+ssl:// for TLS
    url: String,
    /// Whom the pool would pay: ADDRESS.WORKER
    #[arg(short, long, value_name = "ADDRESS.WORKER")]
    user: String,
    /// Password, of which most pools read nothing
    #[arg(short, long, default_value = "x")]
    password: String,
    /// The pool's proof of work
    #[arg(short, long, default_value = "sha256d", value_parser = algorithm())]
    algorithm: Algorithm,
    /// What the machine calls itself
    #[arg(long, default_value = "NiceHash/1.0.0", value_name = "NAME")]
    agent: String,
    /// The least difficulty that your seller allows [default: 500000 for sha256d]
    #[arg(long, value_name = "DIFFICULTY")]
    min_difficulty: Option<f64>,
    /// Watch so many seconds for the next job
    #[arg(long, default_value_t = 0, value_name = "SECONDS",
        value_parser = clap::value_parser!(u64).range(0..=600))]
    watch: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl VerifyRental {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let target = self.url.parse();
        let target =
            target.map_err(|error: rental::NoTarget| BadConfig::Value(error.to_string()))?;
        let wishes = Wishes {
            target,
            user: self.user,
            password: self.password,
            algorithm: self.algorithm,
            agent: self.agent,
            min_difficulty: self.min_difficulty,
            watch: Duration::from_secs(self.watch),
        };
        let findings = tokio::task::spawn_blocking(move || rental::verify(&wishes)).await?;
        if self.json {
            println!("{}", serde_json::to_string_pretty(&findings)?);
        } else {
            print(&findings);
        }
        let is_bad = |finding: &&Finding| finding.verdict == Verdict::Fail;
        let failed = findings.iter().filter(is_bad).count();
        anyhow::ensure!(
            failed == 0,
            "{failed} of {} checks failed: a seller may refuse this pool",
            findings.len()
        );
        Ok(())
    }
}

fn print(findings: &[Finding]) {
    let width = findings.iter().map(|finding| finding.check.len()).max();
    let width = width.unwrap_or(0);
    for Finding {
        check,
        verdict,
        found,
    } in findings
    {
        let verdict = match verdict {
            Verdict::Pass => "pass",
            Verdict::Warn => "warn",
            Verdict::Fail => "FAIL",
            Verdict::Skipped => "-",
        };
        println!("{verdict:4}  {check:width$}  {found}");
    }
}

fn algorithm() -> impl clap::builder::TypedValueParser<Value = Algorithm> {
    PossibleValuesParser::new(["sha256d", "scrypt"]).map(|name| match name.as_str() {
        "scrypt" => Algorithm::Scrypt,
        _ => Algorithm::Sha256d,
    })
}
