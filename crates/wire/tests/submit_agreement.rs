//! The short way to read a submit and the general one always say the same.

use proptest::prelude::*;
use wire::sv1::Request;

fn agree(line: &[u8]) {
    let short = format!("{:?}", Request::parse(line));
    let general = format!("{:?}", Request::parse_any(line));
    assert_eq!(short, general, "{}", line.escape_ascii());
}

#[test]
fn in_any_order_and_with_every_oddity() {
    let params = r#""params":["name","1a","00000000","67aabbcc","c0ad31ee""#;
    for tail in [
        "]",
        "] ",
        r#","00002000"]"#,
        ",null]",
        ", null ]",
        ",]",
        ",,]",
        r#","00002000","more"]"#,
        r#","00002000",]"#,
        ",true]",
        r#",""]"#,
        "}",
        "",
        r#","\u0030"]"#,
        ",nul]",
        ",nullnull]",
    ] {
        for id in [
            "4",
            "0",
            "-1",
            "04",
            "1.5",
            "1e3",
            "1x",
            "null",
            "nullx",
            r#""xnsub""#,
            "true",
            "[]",
            "",
            " 4 ",
            "18446744073709551616",
            &"1".repeat(64),
            &"1".repeat(65),
        ] {
            for method in [
                r#""mining.submit""#,
                r#""mining.ping""#,
                "1",
                r#""mining\u002esubmit""#,
            ] {
                for line in [
                    format!(r#"{{{params}{tail},"id":{id},"method":{method}}}"#),
                    format!(r#"{{"id":{id},{params}{tail},"method":{method}}}"#),
                    format!(r#" {{ "method" : {method} , "id":{id}, {params}{tail} }} "#),
                    format!(r#"{{"method":{method},"id":{id},"id":{id},{params}{tail}}}"#),
                    format!(r#"{{"method":{method},"id":{id},"x":1,{params}{tail}}}"#),
                    format!(r#"{{"method":{method},"id":{id},{params}{tail},}}"#),
                    format!(r#"{{"method":{method},"id":{id},{params}{tail}}}}}"#),
                    format!(r#"{{"method":{method},"id":{id},{params}{tail}}}{{}}"#),
                    format!(r#"{{"method":{method},{params}{tail}}}"#),
                    format!("{{\"method\":{method},\t\"id\":{id},{params}{tail}}}"),
                ] {
                    agree(line.as_bytes());
                }
            }
        }
    }
}

fn field() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => "[0-9a-fA-F]{0,17}".prop_map(|digits| format!("\"{digits}\"")),
        4 => "[0-9a-f]{8}".prop_map(|digits| format!("\"{digits}\"")),
        1 => "[ -~]{0,8}".prop_map(|text| format!("\"{text}\"")),
        1 => "\\PC{0,8}".prop_map(|text| format!("\"{text}\"")),
        1 => Just("null".to_owned()),
        1 => Just("1".to_owned()),
    ]
}

fn submit() -> impl Strategy<Value = String> {
    let id = prop_oneof![any::<u32>().prop_map(|id| id.to_string()), field()];
    let fields = proptest::collection::vec(field(), 4..8);
    let space = prop_oneof![3 => Just(""), 1 => Just(" "), 1 => Just("\t")];
    (id, fields, space, Just([0, 1, 2]).prop_shuffle()).prop_map(|(id, fields, space, order)| {
        let parts = [
            format!("\"id\":{space}{id}"),
            format!("\"method\":{space}\"mining.submit\""),
            format!("\"params\":{space}[{}]", fields.join(&format!(",{space}"))),
        ];
        let parts = order.map(|part| parts[part].as_str());
        format!("{{{}}}", parts.join(&format!(",{space}")))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn of_any_submit(line in submit()) {
        agree(line.as_bytes());
    }

    #[test]
    fn of_a_submit_with_some_bytes_changed(
        line in submit(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut line = line.into_bytes();
        for (at, byte) in changes {
            let at = at.index(line.len());
            line[at] = byte;
        }
        agree(&line);
    }

    #[test]
    fn of_a_submit_cut_anywhere(line in submit(), at in any::<prop::sample::Index>()) {
        agree(&line.as_bytes()[..at.index(line.len())]);
    }
}
