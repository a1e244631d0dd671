//! Lines that no honest peer sends: each gives a message or a typed error, and nothing panics.

use proptest::prelude::*;
use wire::sv1::{ClientMessage, Fault, Id, Malformed, Request, ServerMessage};

/// A value of each type, and one of each too long.
fn values() -> Vec<String> {
    let long = "x".repeat(100_000);
    let digits = "0".repeat(100_000);
    let mut values: Vec<String> = [
        "null",
        "true",
        "false",
        "0",
        "1",
        "-1",
        "1.5",
        "1e400",
        "1e-400",
        r#""""#,
        r#""x""#,
        r#""+1""#,
        r#""\u0000""#,
        r#""\ud800""#,
        r#""\"""#,
        "[]",
        "[[]]",
        "[null]",
        "{}",
        r#"{"a":1}"#,
    ]
    .map(String::from)
    .into();
    values.push(format!("\"{long}\""));
    values.push(format!("\"{digits}\""));
    values.push(digits.replace('0', "1"));
    values.push(format!("[{}1]", "1,".repeat(100_000)));
    values.push(format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)));
    values.push(format!("{}1{}", r#"{"a":"#.repeat(1000), "}".repeat(1000)));
    values
}

const REQUESTS: [(&str, &[&str]); 11] = [
    ("mining.subscribe", &[r#""agent""#, r#""1a""#]),
    ("mining.authorize", &[r#""name""#, r#""x""#]),
    (
        "mining.configure",
        &[
            r#"["version-rolling","minimum-difficulty"]"#,
            r#"{"version-rolling.mask":"1fffe000","minimum-difficulty.value":1}"#,
        ],
    ),
    ("mining.suggest_difficulty", &["1"]),
    (
        "mining.suggest_target",
        &[r#""00000000ffff0000000000000000000000000000000000000000000000000000""#],
    ),
    (
        "mining.submit",
        &[
            r#""name""#,
            r#""1a""#,
            r#""00000000""#,
            r#""67aabbcc""#,
            r#""0""#,
            r#""00002000""#,
        ],
    ),
    ("mining.extranonce.subscribe", &[]),
    ("mining.get_transactions", &[r#""1a""#]),
    ("mining.ping", &[]),
    ("mining.multi_version", &["1"]),
    ("mining.unheard_of", &["1"]),
];

const MESSAGES: [(&str, &[&str]); 8] = [
    (
        "mining.notify",
        &[
            r#""1a""#,
            r#""0000000000000000000000000000000000000000000000000000000000000000""#,
            r#""00""#,
            r#""00""#,
            "[]",
            r#""20000000""#,
            r#""1d00ffff""#,
            r#""67aabbcc""#,
            "true",
        ],
    ),
    ("mining.set_difficulty", &["1"]),
    ("mining.set_extranonce", &[r#""00""#, "8"]),
    ("mining.set_version_mask", &[r#""1fffe000""#]),
    ("client.show_message", &[r#""hello""#]),
    ("client.reconnect", &[r#""host""#, "3333", "1"]),
    ("mining.ping", &[]),
    ("client.get_version", &[]),
];

/// The lines that come of putting each value in the place of each field.
fn confused(methods: &[(&str, &[&str])]) -> Vec<String> {
    let mut lines = Vec::new();
    let values = values();
    for (method, params) in methods {
        lines.push(format!(
            r#"{{"id":1,"method":"{method}","params":[{}]}}"#,
            params.join(",")
        ));
        for value in &values {
            let params_text = params.join(",");
            lines.push(format!(
                r#"{{"id":{value},"method":"{method}","params":[{params_text}]}}"#
            ));
            lines.push(format!(
                r#"{{"id":1,"method":{value},"params":[{params_text}]}}"#
            ));
            lines.push(format!(
                r#"{{"id":1,"method":"{method}","params":{value}}}"#
            ));
            for position in 0..params.len() {
                let mut params: Vec<&str> = params.to_vec();
                params[position] = value;
                let params = params.join(",");
                lines.push(format!(
                    r#"{{"id":1,"method":"{method}","params":[{params}]}}"#
                ));
            }
        }
    }
    lines
}

#[test]
fn a_request_with_a_field_of_another_type_is_an_answerable_error() {
    for line in confused(&REQUESTS) {
        let short: String = line.chars().take(200).collect();
        match (
            Request::parse(line.as_bytes()),
            Request::parse_any(line.as_bytes()),
        ) {
            (Ok(one), Ok(other)) => assert_eq!(one, other, "{short}"),
            (Err(one), Err(other)) => {
                assert_eq!(one, other, "{short}");
                let Malformed { id, fault, .. } = one;
                let early = matches!(fault, Fault::Json | Fault::Id);
                assert_eq!(
                    id == Id::NULL,
                    early || short.starts_with(r#"{"id":null"#),
                    "{short}"
                );
            }
            (one, other) => panic!("{short}: {one:?} but {other:?}"),
        }
    }
}

#[test]
fn each_field_takes_its_own_type_only() {
    let case = |method: &str, position: usize, accepted: &[&str]| {
        let (_, params) = REQUESTS.iter().find(|(name, _)| *name == method).unwrap();
        for value in [
            "null",
            "true",
            "1",
            r#""""#,
            "[]",
            "{}",
            &format!("\"{}\"", "x".repeat(100_000)),
        ] {
            let mut params = params.to_vec();
            params[position] = value;
            let line = format!(
                r#"{{"id":1,"method":"{method}","params":[{}]}}"#,
                params.join(",")
            );
            let parsed = Request::parse(line.as_bytes());
            let wanted = accepted.iter().any(|accepted| value.starts_with(accepted));
            let value: String = value.chars().take(9).collect();
            assert_eq!(parsed.is_ok(), wanted, "{method} {position} {value}");
        }
    };
    case("mining.subscribe", 0, &["null", r#""""#]);
    case("mining.subscribe", 1, &["null", r#""""#]);
    case("mining.authorize", 0, &[r#""""#]);
    case("mining.authorize", 1, &["null", r#""""#]);
    case("mining.configure", 0, &["[]"]);
    case("mining.configure", 1, &[]);
    case("mining.suggest_difficulty", 0, &["1"]);
    case("mining.suggest_target", 0, &[]);
    case("mining.submit", 0, &[r#""""#]);
    // A text that is no id of ours is an unknown job.
    case("mining.submit", 1, &[r#"""#]);
    case("mining.submit", 2, &[r#""""#]);
    case("mining.submit", 3, &[]);
    case("mining.submit", 4, &[]);
    case("mining.submit", 5, &["null"]);
}

#[test]
fn a_line_that_means_two_things_or_none_is_refused() {
    let case = |line: &[u8], expected: Fault| {
        let error = Request::parse(line).unwrap_err();
        assert_eq!(
            (error.id, error.fault),
            (Id::NULL, expected),
            "{}",
            line.escape_ascii()
        );
        assert!(
            ServerMessage::parse(line).is_err(),
            "{}",
            line.escape_ascii()
        );
    };
    case(b"", Fault::Json);
    case(b"\0", Fault::Json);
    case(b"GET / HTTP/1.1", Fault::Json);
    case(b"\xff\xfe", Fault::Json);
    case(
        b"\xef\xbb\xbf{\"id\":1,\"method\":\"mining.ping\"}",
        Fault::Json,
    );
    case(
        b"{\"id\":1,\"method\":\"mining.\xc0\xafping\"}",
        Fault::Json,
    );
    case(br#"[{"id":1,"method":"mining.ping"}]"#, Fault::Json);
    case(br#"{"id":1,"id":2,"method":"mining.ping"}"#, Fault::Json);
    case(
        br#"{"method":"mining.submit","method":"mining.authorize"}"#,
        Fault::Json,
    );
    case(
        br#"{"method":"mining.ping","params":[],"params":[]}"#,
        Fault::Json,
    );
    case(br#"{"id":1,"method":"mining.ping"}{"#, Fault::Json);
    case(br#"{}"#, Fault::Method);
    case(br#"{"params":[]}"#, Fault::Method);
    let line = format!("{{{}\"id\":1}}", r#""id":1,"#.repeat(100_000));
    case(line.as_bytes(), Fault::Json);
}

#[test]
fn an_option_given_twice_is_refused() {
    let line = br#"{"id":1,"method":"mining.configure","params":[["version-rolling"],{"version-rolling.mask":"00","version-rolling.mask":"01"}]}"#;
    assert_eq!(
        Request::parse(line).unwrap_err().fault,
        Fault::Field("options")
    );
}

#[test]
fn a_hundred_thousand_unknown_keys_take_no_time() {
    let line = format!(
        r#"{{{}"id":1,"method":"mining.ping"}}"#,
        r#""x":[[[{}]]],"#.repeat(100_000)
    );
    // A busy machine may be late now and then.
    let times = [(); 3].map(|()| {
        let started = std::time::Instant::now();
        let request = Request::parse(line.as_bytes()).unwrap();
        assert_eq!(request.message, ClientMessage::Ping);
        started.elapsed()
    });
    assert!(
        times.iter().any(|time| time.as_millis() < 1000),
        "{times:?}"
    );
}

#[test]
fn a_hostile_pool_gets_no_further_than_an_error() {
    for line in confused(&MESSAGES) {
        if let Ok(ServerMessage::Response(response)) = ServerMessage::parse(line.as_bytes()) {
            panic!("{response:?}");
        }
    }
    for value in values() {
        for line in [
            format!(r#"{{"id":{value},"result":{value},"error":{value}}}"#),
            format!(r#"{{"id":1,"result":[{value},{value},{value}]}}"#),
            format!(r#"{{"id":1,"result":[[],"00",{value}],"error":[{value},{value}]}}"#),
            format!(
                r#"{{"id":1,"result":{{"version-rolling":true,"version-rolling.mask":{value}}},"error":{{"code":{value},"message":{value}}}}}"#
            ),
        ] {
            let Ok(ServerMessage::Response(response)) = ServerMessage::parse(line.as_bytes())
            else {
                panic!("{}", &line[..200.min(line.len())]);
            };
            let _ = (
                response.accepted(),
                response.subscribed(),
                response.version_mask(),
            );
        }
    }
}

/// Something between JSON and noise, so that each depth of a reader is reached.
fn almost_json() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just(r#""id""#),
        Just(r#""method""#),
        Just(r#""params""#),
        Just(r#""result""#),
        Just(r#""error""#),
        Just(r#""mining.submit""#),
        Just(r#""mining.notify""#),
        Just(r#""mining.configure""#),
        Just(r#""mining.set_extranonce""#),
        Just("{"),
        Just("}"),
        Just("["),
        Just("]"),
        Just(":"),
        Just(","),
        Just("null"),
        Just("true"),
        Just("1"),
        Just("-1"),
        Just("1e9"),
        Just(r#""00000000""#),
        Just(r#""name""#),
        Just("\\"),
        Just("\""),
        Just(" "),
        Just("\u{1}"),
    ];
    proptest::collection::vec(word, 0..40).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn any_bytes_give_a_message_or_an_error(line: Vec<u8>) {
        let _ = (Request::parse(&line), ServerMessage::parse(&line));
    }

    #[test]
    fn any_json_gives_a_message_or_an_error(line in almost_json()) {
        let _ = (Request::parse(line.as_bytes()), ServerMessage::parse(line.as_bytes()));
    }
}
