//! The API against its own description: schemathesis, which others wrote, makes thousands of requests
//! from what `/api/openapi.json` says, good ones and broken ones, and compares the answers with it.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::{
    money::{Mint, PAYING, miner},
    support::{ADDRESS, wait_for},
};

/// That an address has a right checksum, or that a text is signed, cannot be said in a schema.
const ACCEPTED: &str = r#"
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "400", "401", "403", "404", "409", "422", "429"]
"#;

/// With every address there is, and with one that has credits and a payment.
#[test]
fn the_api_does_what_its_description_says() {
    let mint = Mint::new(PAYING);
    mint.find_block(ADDRESS);
    mint.bury(4);
    wait_for("a payment", || {
        let (balance, immature) = mint.balance(&miner(ADDRESS));
        (balance == 0 && immature == 0).then_some(())
    });
    let known =
        format!("[parameters]\n\"path.address\" = \"{ADDRESS}\"\n\"path.pool\" = \"main\"\n");
    for (parameters, examples) in [("", "15"), (&known[..], "25")] {
        let folder = TempDir::new().unwrap();
        let config = folder.path().join("schemathesis.toml");
        std::fs::write(&config, format!("{parameters}{ACCEPTED}")).unwrap();
        let url = format!("http://127.0.0.1:{}", mint.pool.http);
        let mut command = Command::new(schemathesis());
        command
            .current_dir(&folder)
            .arg("--config-file")
            .arg(&config)
            .arg("run")
            .arg(format!("{url}/api/openapi.json"))
            .args(["--url", &url, "--max-examples", examples])
            // The same requests each time: a failure is one that can be looked at.
            .args(["--seed", "1", "--generation-deterministic", "--no-color"])
            // Events never end.
            .args(["--exclude-path", "/api/v1/events"])
            // Figures change while they are compared with themselves.
            .args(["--workers", "1"]);
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}");
        assert!(
            said.contains("generated") && said.contains("passed"),
            "{said}"
        );
    }
    // It is as well as before.
    assert_eq!(mint.pool.get("/ready").unwrap().0, 200);
}

fn schemathesis() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/openapi/venv/bin");
    let program = folder.join("schemathesis");
    assert!(program.exists(), "make tests/openapi/venv/installed");
    program
}
