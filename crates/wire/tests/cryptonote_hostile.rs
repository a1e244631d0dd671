//! Whatever comes, there is a message or an error, and an answer that is JSON.

use proptest::prelude::*;
use wire::cryptonote::{Id, Request, ServerMessage, reply};

/// All that a line can be made of, with each end's readers.
fn read_both(line: &[u8]) {
    let id = match Request::parse(line) {
        Ok(request) => request.id,
        Err(malformed) => {
            assert!(!malformed.to_string().is_empty());
            malformed.id
        }
    };
    let mut out = Vec::new();
    reply::error(&mut out, id, "no");
    let answer = out.strip_suffix(b"\n").unwrap();
    match ServerMessage::parse(answer) {
        Ok(ServerMessage::Response(response)) => {
            assert_eq!(response.error.unwrap().text, "no");
        }
        other => panic!("{other:?}"),
    }
    if let Ok(ServerMessage::Response(response)) = ServerMessage::parse(line) {
        let _ = (response.accepted(), response.logged_in(), response.job());
    }
}

/// Values of every type and of absurd sizes.
fn values() -> Vec<String> {
    let mut values: Vec<String> = [
        "null",
        "true",
        "0",
        "-1",
        "1.5",
        "1e999",
        "18446744073709551616",
        "\"\"",
        "\"x\"",
        "\"\\u0000\"",
        "\"\\ud800\"",
        "[]",
        "[[]]",
        "{}",
        "{\"a\":1}",
        "nul",
        "",
    ]
    .map(String::from)
    .into();
    values.push(format!("\"{}\"", "0".repeat(100_000)));
    values.push("1".repeat(100_000));
    values.push(format!("[{}1]", "1,".repeat(100_000)));
    values.push(format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)));
    values.push(format!("{}1{}", r#"{"a":"#.repeat(1000), "}".repeat(1000)));
    values
}

#[test]
fn each_field_of_another_type_is_an_answerable_error() {
    let hash = "0a".repeat(32);
    let fields = [
        "login",
        "pass",
        "agent",
        "rigid",
        "algo",
        "algo-perf",
        "algo-min-time",
        "mode",
        "id",
        "job_id",
        "nonce",
        "result",
        "commitment",
        "blob",
        "target",
        "height",
        "seed_hash",
        "next_seed_hash",
    ];
    let good = |name: &str| match name {
        "algo" => r#"["rx/0"]"#.to_owned(),
        "algo-perf" => r#"{"rx/0":1}"#.to_owned(),
        "algo-min-time" | "height" => "1".to_owned(),
        "nonce" | "target" => "\"00000001\"".to_owned(),
        "result" | "commitment" | "seed_hash" | "next_seed_hash" => format!("\"{hash}\""),
        "blob" => format!("\"{}\"", "00".repeat(76)),
        _ => "\"1\"".to_owned(),
    };
    for method in [
        "login",
        "submit",
        "keepalived",
        "getjob",
        "job",
        "client.reconnect",
        "x",
    ] {
        for value in values() {
            for odd in fields {
                let params: Vec<_> = fields
                    .iter()
                    .map(|name| {
                        let value = if *name == odd {
                            value.clone()
                        } else {
                            good(name)
                        };
                        format!("\"{name}\":{value}")
                    })
                    .collect();
                let params = params.join(",");
                read_both(
                    format!(r#"{{"id":1,"method":"{method}","params":{{{params}}}}}"#).as_bytes(),
                );
                read_both(
                    format!(r#"{{"id":1,"result":{{{params},"job":{{{params}}}}}}}"#).as_bytes(),
                );
            }
            read_both(format!(r#"{{"id":{value},"method":"{method}","params":{{}}}}"#).as_bytes());
            read_both(format!(r#"{{"id":1,"method":{value},"params":{{}}}}"#).as_bytes());
            read_both(format!(r#"{{"id":1,"method":"{method}","params":{value}}}"#).as_bytes());
            read_both(format!(r#"{{"id":1,"result":{value},"error":{value}}}"#).as_bytes());
        }
    }
}

#[test]
fn an_error_without_an_id_is_answered_with_null() {
    for line in ["", "[]", "{", "login", "\u{feff}{}", "{\"id\":[]}"] {
        assert_eq!(
            Request::parse(line.as_bytes()).unwrap_err().id,
            Id::NULL,
            "{line}"
        );
    }
    assert_eq!(Request::parse(b"\xff{}").unwrap_err().id, Id::NULL);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn any_bytes_give_a_message_or_an_error(line: Vec<u8>) {
        read_both(&line);
    }

    #[test]
    fn a_line_with_some_bytes_changed_does_too(
        which in 0usize..4,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
    ) {
        let hash = "0a".repeat(32);
        let blob = "00".repeat(76);
        let mut line = [
            r#"{"id":1,"jsonrpc":"2.0","method":"login","params":{"login":"4","pass":"x","agent":"a","algo":["rx/0"],"algo-perf":{"rx/0":1.5}}}"#.to_owned(),
            format!(r#"{{"id":2,"method":"submit","params":{{"id":"s","job_id":"1f","nonce":"00000001","result":"{hash}","commitment":"{hash}"}}}}"#),
            format!(r#"{{"method":"job","params":{{"blob":"{blob}","job_id":"1f","target":"b88d0600","height":1,"seed_hash":"{hash}"}}}}"#),
            format!(r#"{{"id":1,"error":null,"result":{{"id":"s","job":{{"blob":"{blob}","job_id":"1f","target":"b88d0600"}},"extensions":["algo"],"status":"OK"}}}}"#),
        ][which].clone().into_bytes();
        for (at, byte) in changes {
            let at = at.index(line.len());
            line[at] = byte;
        }
        read_both(&line);
    }
}
