//! A PostgreSQL database, copied and put back by PostgreSQL's own programs, which must be installed
//! and not older than the server. A password goes to them by their environment, where other users of
//! the machine do not see it.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail};
use reqwest::Url;

/// The name of a dump in a backup.
pub(super) const DUMP: &str = "adit.pgdump";

/// Writes the database at this URL, as of one commit, to a new file.
pub(super) fn dump(url: &str, file: &Path) -> anyhow::Result<()> {
    let mut command = program("pg_dump", url)?;
    command
        .args(["--format=custom", "--no-owner", "--no-privileges"])
        .arg(format!("--file={}", file.display()));
    run(command)
}

/// Puts a dump into the empty database at this URL: all of it, or nothing.
pub(super) fn restore(url: &str, file: &Path) -> anyhow::Result<()> {
    let mut command = program("pg_restore", url)?;
    command
        .args(["--single-transaction", "--exit-on-error"])
        .args(["--no-owner", "--no-privileges"])
        .arg(file);
    run(command)
}

/// One of PostgreSQL's programs for the database at this URL.
fn program(name: &'static str, url: &str) -> anyhow::Result<Command> {
    let (url, password) = split(url).context("the URL of the database cannot be read")?;
    let mut command = Command::new(name);
    command.arg(format!("--dbname={url}")).stdin(Stdio::null());
    // Nobody is there to ask.
    command.arg("--no-password");
    if let Some(password) = password {
        command.env("PGPASSWORD", password);
    }
    Ok(command)
}

fn run(mut command: Command) -> anyhow::Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .with_context(|| format!("{name} does not start; install PostgreSQL's client programs"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{name} failed: {}", said.trim());
    }
    Ok(())
}

/// A URL without its password, and that.
fn split(url: &str) -> Option<(String, Option<String>)> {
    let mut url = Url::parse(url).ok()?;
    let mut password = match url.password() {
        Some(password) => Some(decoded(password)?),
        None => None,
    };
    // It may be a parameter too.
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let mut others = Vec::new();
    for (name, value) in pairs {
        match name.as_str() {
            "password" => password = Some(value),
            _ => others.push((name, value)),
        }
    }
    // A URL without a host has no place for one.
    let _ = url.set_password(None);
    match others.is_empty() {
        true => url.set_query(None),
        false => {
            url.query_pairs_mut().clear().extend_pairs(&others);
        }
    }
    Some((url.into(), password))
}

/// A text in which a percent sign and two digits stand for a byte.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next()?, rest.next()?];
        bytes.extend(hex::decode(digits).ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_taken_out_of_the_url() {
        #[track_caller]
        fn case(url: &str, shown: &str, password: Option<&str>) {
            let (url, found) = split(url).unwrap();
            assert_eq!((url.as_str(), found.as_deref()), (shown, password));
        }
        case(
            "postgres://adit:p%40ss%C3%A4@db:5432/pool?sslmode=require",
            "postgres://adit@db:5432/pool?sslmode=require",
            Some("p@ssä"),
        );
        case("postgres://adit@db/pool", "postgres://adit@db/pool", None);
        case(
            "postgres:///pool?host=%2Frun&password=a%26b&user=adit",
            "postgres:///pool?host=%2Frun&user=adit",
            Some("a&b"),
        );
        case(
            "postgres://db/pool?password=x",
            "postgres://db/pool",
            Some("x"),
        );
        assert_eq!(split("postgres://a:%4@db/pool"), None);
    }
}
