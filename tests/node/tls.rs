//! A pool that signed its certificate itself is joined by who knows that certificate, and by nobody else.

use bitcoin::hashes::{Hash as _, sha256};
use serde_json::json;
use tempfile::TempDir;

use super::{do_it, node, refused, say, state};
use crate::{
    support::{tls, wait_for},
    work::{HARD, ONE_IN_4, Vision},
};

#[test]
fn a_pool_that_signed_its_certificate_itself_is_joined_by_its_fingerprint() {
    let folder = TempDir::new().unwrap();
    let certificate = tls::write_certificate(folder.path());
    let listener = format!("{ONE_IN_4}{}", tls::settings("on", folder.path()));
    let other = Vision::start(HARD, "", &listener);
    let own = node("solo", "", HARD);
    let url = format!("https://127.0.0.1:{}", other.pool.miners);
    let join = |print: &str| {
        let wish = json!({"mode": "join", "url": url, "tls_fingerprint": print});
        do_it(&own.pool, "/pool/mode", wish)
    };
    let wrong = "5a".repeat(32);
    join(&wrong);
    let error = wait_for("a refusal", || {
        let worker = &state(&own.pool)["worker"];
        assert_ne!(worker["connected"], true, "{worker}");
        Some(worker["last_error"].as_str()?.to_owned())
    });
    assert!(error.contains("not the one that was named"), "{error}");
    join(&sha256::Hash::hash(&certificate).to_string());
    let state = wait_for("what the pool says of itself, and a share", || {
        let state = state(&own.pool);
        let worker = &state["worker"];
        (worker["accepted"].as_u64()? > 0 && worker["pool_workers"] == 1).then_some(state)
    });
    assert_eq!(state["worker"]["pool_name"], "main");
    assert_ne!(state["settings"]["tls_fingerprint"], wrong);
    let answer = say(
        &own.pool,
        "/pool/configure",
        json!({"tls_fingerprint": "5a"}),
    );
    refused(&answer, 400, "tls_fingerprint: ");
}
