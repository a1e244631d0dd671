//! `adit verify-rental`: our own pool is one that sellers take, over TLS too, and a bad one is found out
//! in each of its faults.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    process::Output,
    thread,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{ADDRESS, Rig, refusing_port, run, tls};

fn verify(url: &str, more: &[&str]) -> Output {
    let user = format!("{ADDRESS}.rented");
    let words = ["verify-rental", url, "--user", &user];
    run(&[&words[..], more].concat())
}

/// The verdict and the finding of each check.
fn findings(output: &Output) -> BTreeMap<String, (String, String)> {
    let findings: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let findings = findings.as_array().unwrap().iter();
    findings
        .map(|finding| {
            let told = (text(&finding["verdict"]), text(&finding["found"]));
            (text(&finding["check"]), told)
        })
        .collect()
}

#[test]
fn our_own_pool_is_one_that_sellers_of_hashrate_take() {
    let folder = TempDir::new().unwrap();
    tls::write_certificate(folder.path());
    let rig = Rig::heavy(&tls::settings("on", folder.path()));
    for scheme in ["stratum+tcp", "stratum+ssl"] {
        let url = format!("{scheme}://127.0.0.1:{}", rig.pool.miners);
        let is_good = |check: &str, (verdict, found): &(String, String)| match check {
            "TLS" if scheme == "stratum+tcp" => verdict == "warn",
            "minimum difficulty" => verdict == "pass" && found.starts_with("provided 524 k"),
            _ => verdict == "pass",
        };
        // What is slow on a busy machine is asked again: each check passes in one of three tries.
        let (mut bad, mut is_taken) = (None::<BTreeMap<_, _>>, false);
        for _ in 0..3 {
            let output = verify(&url, &["--json"]);
            is_taken |= output.status.success();
            let mut told = findings(&output);
            assert!(told.contains_key("minimum difficulty"), "{told:#?}");
            let before = bad.take();
            let still = |check: &String| before.as_ref().is_none_or(|bad| bad.contains_key(check));
            told.retain(|check, finding| !is_good(check, finding) && still(check));
            let is_over = is_taken && told.is_empty();
            bad = Some(told);
            if is_over {
                break;
            }
        }
        let bad = bad.unwrap();
        assert!(is_taken && bad.is_empty(), "{bad:#?}");
    }
    // As a table, for people.
    let url = format!("127.0.0.1:{}", rig.pool.miners);
    let output = verify(&url, &[]);
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(
        table.contains("pass  extranonce.subscribe       true"),
        "{table}"
    );
    // Another seller asks for more than this pool gives.
    let output = verify(&url, &["--json", "--min-difficulty", "1000000"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(findings(&output)["minimum difficulty"].0, "fail");
    // A user that the pool does not pay.
    let output = run(&["verify-rental", &url, "--user", "nobody", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(findings(&output)["authorize"].0, "fail");
    assert_eq!(
        findings(&output)["first job"],
        ("skipped".into(), "not reached".into())
    );
}

/// A server that answers one connection by a script: the method of a request, and the lines that it
/// gets; `ID` stands for the id of the request.
fn serve(script: &'static [(&'static str, &'static [&'static str])]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let _ = answer(stream, script);
    });
    port
}

fn answer(mut stream: TcpStream, script: &[(&str, &[&str])]) -> std::io::Result<()> {
    for line in BufReader::new(stream.try_clone()?).lines() {
        let request: Value = serde_json::from_str(&line?)?;
        let lines = script
            .iter()
            .find(|(method, _)| request["method"] == *method);
        for line in lines.map_or(&[][..], |(_, lines)| lines) {
            let line = line.replace("ID", &request["id"].to_string());
            if line == "CLOSE" {
                return Ok(());
            }
            stream.write_all(line.as_bytes())?;
            stream.write_all(b"\n")?;
        }
    }
    Ok(())
}

const JOB: &str = r#"{"id":null,"method":"mining.notify","params":["1","0000000000000000000000000000000000000000000000000000000000000000","01","02",[],"20000000","1d00ffff","65000000",false]}"#;

#[test]
fn a_bad_pool_is_found_out_in_each_of_its_faults() {
    let port = serve(&[
        (
            "mining.configure",
            &[r#"{"id":ID,"result":{"version-rolling":false},"error":null}"#],
        ),
        (
            "mining.subscribe",
            &[
                r#"{"id":null,"method":"mining.set_difficulty","params":[1]}"#,
                r#"{"id":ID,"result":[[],"00",2],"error":null}"#,
            ],
        ),
        (
            "mining.authorize",
            &[JOB, r#"{"id":ID,"result":true,"error":null}"#],
        ),
        (
            "mining.extranonce.subscribe",
            &["{\"id\":ID,\"result\":false,\"error\":[20,\"Not \\u001b[31msupported.\",null]}"],
        ),
        (
            "mining.suggest_difficulty",
            &[r#"{"id":null,"method":"mining.set_difficulty","params":[0.5]}"#],
        ),
        (
            "mining.submit",
            &[r#"{"id":ID,"result":true,"error":null}"#],
        ),
    ]);
    let output = verify(&format!("127.0.0.1:{port}"), &["--json"]);
    assert_eq!(output.status.code(), Some(1));
    let findings = findings(&output);
    #[track_caller]
    fn is(findings: &BTreeMap<String, (String, String)>, check: &str, verdict: &str, text: &str) {
        let (found, why) = &findings[check];
        assert!(
            found == verdict && why.contains(text),
            "{check}: {found} {why}"
        );
    }
    is(&findings, "connection", "pass", "127.0.0.1");
    is(&findings, "version rolling", "fail", "0 of the 16 bits");
    is(
        &findings,
        "subscribe",
        "warn",
        "sends before it has answered",
    );
    is(&findings, "extranonce2", "fail", "2 bytes behind 1");
    is(
        &findings,
        "minimum difficulty",
        "fail",
        "provided 1, minimum 500 k",
    );
    is(&findings, "first job", "fail", "without clean_jobs");
    is(
        &findings,
        "extranonce.subscribe",
        "fail",
        "refused (Not ?[31msupported. (code 20))",
    );
    is(
        &findings,
        "big difficulty",
        "fail",
        "went down from 1 to 0.5",
    );
    is(&findings, "share answered", "fail", "does not look");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("a seller may refuse this pool"), "{said}");
}

#[test]
fn a_pool_that_is_silent_breaks_off_or_talks_nonsense_is_told_as_that() {
    let case = |script, check: &str, text: &str| {
        let port = serve(script);
        let output = verify(&format!("127.0.0.1:{port}"), &["--json"]);
        assert_eq!(output.status.code(), Some(1), "{check}");
        let (verdict, found) = &findings(&output)[check];
        assert!(
            verdict == "fail" && found.contains(text),
            "{check}: {verdict} {found}"
        );
    };
    case(
        &[("mining.configure", &["CLOSE"])],
        "version rolling",
        "closed the connection",
    );
    case(
        &[("mining.configure", &["<html>"])],
        "version rolling",
        "a line that is none of Stratum's",
    );
    case(&[], "version rolling", "no answer to mining.configure");
    let (_held, nobody) = refusing_port();
    let output = verify(&format!("127.0.0.1:{nobody}"), &["--json"]);
    assert_eq!(findings(&output)["connection"].0, "fail");
    let output = verify("stratum2+tcp://127.0.0.1:1", &[]);
    assert_eq!(output.status.code(), Some(64));
}
