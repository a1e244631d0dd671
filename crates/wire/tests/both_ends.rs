//! What one end writes the other reads, and every line is JSON to a reader that is not ours.

use proptest::prelude::*;
use serde_json::{Value, json};
use wire::sv1::reply::{self, ErrorReply};
use wire::sv1::{
    Authorize, ClientMessage, Configure, Difficulty, Extranonce2, Granted, Id, JobId, Notify,
    NotifyLine, Refusal, Request, Response, ServerMessage, Submit, Subscribe, Subscribed, Work,
    client,
};

/// The line without its newline, of which there is one.
fn line(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    let text = String::from_utf8(out).unwrap();
    let line = text.strip_suffix('\n').unwrap();
    assert!(!line.contains(['\n', '\r']), "{line}");
    serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    line.to_owned()
}

fn id(text: &str) -> wire::sv1::OwnedId {
    let line = format!(r#"{{"id":{text},"method":"mining.ping"}}"#);
    Request::parse(line.as_bytes()).unwrap().id.to_owned()
}

#[test]
fn answers_are_written_as_firmware_expects_them() {
    let case = |write: &dyn Fn(&mut Vec<u8>), expected: &str| assert_eq!(line(write), expected);
    let stale = ErrorReply {
        code: 21,
        text: "Stale",
    };
    case(
        &|out| reply::subscribed(out, id("1").as_id(), "5a1b", &[0xde, 0xad, 0, 1], 8),
        r#"{"id":1,"result":[[["mining.set_difficulty","5a1b"],["mining.notify","5a1b"]],"dead0001",8],"error":null}"#,
    );
    case(
        &|out| reply::boolean(out, id(r#""xnsub""#).as_id(), true),
        r#"{"id":"xnsub","result":true,"error":null}"#,
    );
    case(
        &|out| reply::boolean(out, Id::NULL, false),
        r#"{"id":null,"result":false,"error":null}"#,
    );
    case(
        &|out| reply::reject(out, id("4").as_id(), &stale),
        r#"{"id":4,"result":false,"error":[21,"Stale",null],"reject-reason":"Stale"}"#,
    );
    case(
        &|out| {
            reply::error(
                out,
                id("4").as_id(),
                &ErrorReply {
                    code: -32601,
                    text: "a\"b\n",
                },
            )
        },
        r#"{"id":4,"result":null,"error":[-32601,"a\"b\u000a",null]}"#,
    );
    case(
        &|out| reply::pong(out, id("4").as_id()),
        r#"{"id":4,"result":"pong","error":null}"#,
    );
    case(
        &|out| reply::no_transactions(out, id("4").as_id()),
        r#"{"id":4,"result":[],"error":null}"#,
    );
}

#[test]
fn extensions_are_answered_if_they_were_asked_for() {
    let case = |granted: Granted, expected: &str| {
        let expected = format!(r#"{{"id":1,"result":{expected},"error":null}}"#);
        assert_eq!(
            line(|out| reply::configured(out, id("1").as_id(), &granted)),
            expected
        );
    };
    case(Granted::default(), "{}");
    case(
        Granted {
            version_rolling: Some(0x1fff_e000),
            ..Granted::default()
        },
        r#"{"version-rolling":true,"version-rolling.mask":"1fffe000"}"#,
    );
    case(
        Granted {
            version_rolling: Some(0),
            minimum_difficulty: Some(true),
            subscribe_extranonce: Some(true),
            info: Some(false),
        },
        r#"{"minimum-difficulty":true,"subscribe-extranonce":true,"info":false,"version-rolling":false,"version-rolling.mask":"00000000"}"#,
    );
}

#[test]
fn orders_are_written_as_firmware_expects_them() {
    let case = |write: &dyn Fn(&mut Vec<u8>), expected: &str| assert_eq!(line(write), expected);
    let difficulty = |value| Difficulty::new(value).unwrap();
    case(
        &|out| reply::set_difficulty(out, difficulty(0.00015)),
        r#"{"id":null,"method":"mining.set_difficulty","params":[0.00015]}"#,
    );
    case(
        &|out| reply::set_difficulty(out, difficulty(4096.0)),
        r#"{"id":null,"method":"mining.set_difficulty","params":[4096]}"#,
    );
    case(
        &|out| reply::set_version_mask(out, 0x00ff_e000),
        r#"{"id":null,"method":"mining.set_version_mask","params":["00ffe000"]}"#,
    );
    case(
        &|out| reply::set_extranonce(out, &[1, 2, 3, 4], 4),
        r#"{"id":null,"method":"mining.set_extranonce","params":["01020304",4]}"#,
    );
    case(
        &|out| reply::show_message(out, "a \"record\"!"),
        r#"{"id":null,"method":"client.show_message","params":["a \"record\"!"]}"#,
    );
    case(
        &reply::reconnect,
        r#"{"id":null,"method":"client.reconnect","params":[]}"#,
    );
    case(
        &|out| reply::reconnect_to(out, "b.pool.example", 3333, 5),
        r#"{"id":null,"method":"client.reconnect","params":["b.pool.example",3333,5]}"#,
    );
    case(
        &|out| reply::ping(out, 7),
        r#"{"id":7,"method":"mining.ping","params":[]}"#,
    );
    case(
        &|out| reply::get_version(out, 8),
        r#"{"id":8,"method":"client.get_version","params":[]}"#,
    );
}

/// The genesis block's hash as it stands in the header of block 1.
const GENESIS: [u8; 32] = [
    0x6f, 0xe2, 0x8c, 0x0a, 0xb6, 0xf1, 0xb3, 0x72, 0xc1, 0xa6, 0xa2, 0x46, 0xae, 0x63, 0xf7, 0x4f,
    0x93, 0x1e, 0x83, 0x65, 0xe1, 0x5a, 0x08, 0x9c, 0x68, 0xd6, 0x19, 0x00, 0x00, 0x00, 0x00, 0x00,
];

#[test]
fn a_job_is_the_line_of_its_template_with_its_own_id_salt_and_flag() {
    let work = Work {
        previous_block: GENESIS,
        coinbase1: vec![1, 0, 0, 0],
        coinbase2: vec![0xff],
        branch: vec![[0x11; 32], [0x22; 32]],
        version: 0x2000_0000,
        bits: 0x1d00_ffff,
        ntime: 0x0496_6bc6,
    };
    let template = NotifyLine::new(&work);
    let first = line(|out| template.write(out, JobId(0x1a), [0, 0, 0, 9], true));
    let branch = format!(r#"["{}","{}"]"#, "11".repeat(32), "22".repeat(32));
    let previous = "0a8ce26f72b3f1b646a2a6c14ff763ae65831e939c085ae10019d66800000000";
    assert_eq!(
        first,
        format!(
            r#"{{"id":null,"method":"mining.notify","params":["1a","{previous}","0100000000000009","ff",{branch},"20000000","1d00ffff","04966bc6",true]}}"#
        )
    );
    let second = line(|out| template.write(out, JobId(u32::MAX), [0xff; 4], false));
    assert_eq!(second.len() + 1, template.max_len());
    assert!(second.ends_with(",false]}"));

    let none = NotifyLine::new(&Work {
        branch: vec![],
        ..work
    });
    let alone = line(|out| none.write(out, JobId(0), [0; 4], true));
    let params = &serde_json::from_str::<Value>(&alone).unwrap()["params"];
    assert_eq!((&params[0], &params[4]), (&json!("0"), &json!([])));
}

#[test]
fn a_miner_understands_what_pools_answer() {
    let case = |line: &str, id, result: &str, error: Option<(i32, &str)>| {
        let error = error.map(|(code, text)| Refusal {
            code,
            text: text.into(),
        });
        let expected = ServerMessage::Response(Response { id, result, error });
        assert_eq!(
            ServerMessage::parse(line.as_bytes()),
            Ok(expected),
            "{line}"
        );
    };
    case(
        r#"{"id":4,"result":true,"error":null}"#,
        Some(4),
        "true",
        None,
    );
    case(
        r#"{"id":4,"result":true,"error":[]}"#,
        Some(4),
        "true",
        None,
    );
    case(r#"{"id":4,"result":true}"#, Some(4), "true", None);
    case(
        r#"{"id":4,"result":null,"error":null}"#,
        Some(4),
        "null",
        None,
    );
    case(
        r#"{"id":4,"result":false,"error":[21,"Stale",null],"reject-reason":"Stale"}"#,
        Some(4),
        "false",
        Some((21, "Stale")),
    );
    case(
        r#"{"id":4,"jsonrpc":"2.0","error":{"code":-1,"message":"bad"}}"#,
        Some(4),
        "null",
        Some((-1, "bad")),
    );
    case(
        r#"{"id":4,"error":"banned"}"#,
        Some(4),
        "null",
        Some((0, "banned")),
    );
    case(
        r#"{"id":null,"result":null,"error":[20,null]}"#,
        None,
        "null",
        Some((20, "")),
    );
    case(r#"{"id":"4","result":true}"#, None, "true", None);
    case(
        r#"{"id":4,"result":null,"error":[1e9,7]}"#,
        Some(4),
        "null",
        Some((0, "")),
    );
}

#[test]
fn a_miner_learns_its_extranonce() {
    let case = |result: &str, expected: Option<(&[u8], usize)>| {
        let line = format!(r#"{{"id":1,"result":{result},"error":null}}"#);
        let Ok(ServerMessage::Response(response)) = ServerMessage::parse(line.as_bytes()) else {
            panic!("{line}");
        };
        let expected = expected.map(|(bytes, size)| Subscribed {
            extranonce1: bytes.into(),
            extranonce2_size: size,
        });
        assert_eq!(response.subscribed().ok(), expected, "{line}");
    };
    case(
        r#"[[["mining.notify","1"]],"08000002",4]"#,
        Some((&[8, 0, 0, 2], 4)),
    );
    case(r#"[null,"",2]"#, Some((&[], 2)));
    case(r#"[[],"00",16,"more"]"#, Some((&[0], 16)));
    case(r#"[[],"00",1]"#, None);
    case(r#"[[],"00",0]"#, None);
    case(r#"[[],"00",-1]"#, None);
    case(r#"[[],"00",17]"#, None);
    case(r#"[[],"00",4.0]"#, None);
    case(r#"[[],"00","4"]"#, None);
    case(r#"[[],"0",4]"#, None);
    case(r#"[[],8,4]"#, None);
    case(r#"[[],null,4]"#, None);
    case(&format!(r#"[[],"{}",4]"#, "00".repeat(33)), None);
    case("null", None);
    case("true", None);
    case("{}", None);
}

#[test]
fn a_miner_learns_which_bits_it_may_roll() {
    let case = |result: &str, expected| {
        let line = format!(r#"{{"id":1,"result":{result},"error":null}}"#);
        let Ok(ServerMessage::Response(response)) = ServerMessage::parse(line.as_bytes()) else {
            panic!("{line}");
        };
        assert_eq!(response.version_mask().ok(), expected, "{line}");
    };
    case(
        r#"{"version-rolling":true,"version-rolling.mask":"1fffe000"}"#,
        Some(0x1fff_e000),
    );
    case(
        r#"{"version-rolling":false,"version-rolling.mask":"1fffe000"}"#,
        Some(0),
    );
    case(r#"{"version-rolling":"not here"}"#, Some(0));
    case("{}", Some(0));
    case(
        r#"{"version-rolling":true,"version-rolling.mask":536862720}"#,
        None,
    );
    case(r#"{"version-rolling":true}"#, Some(0));
    case("null", None);
}

#[test]
fn a_miner_understands_orders() {
    let case = |line: &str, expected: Option<ServerMessage<'_>>| {
        assert_eq!(
            ServerMessage::parse(line.as_bytes()).ok(),
            expected,
            "{line}"
        );
    };
    let home = ServerMessage::Reconnect {
        host: None,
        port: None,
        wait: 0,
    };
    case(
        r#"{"id":null,"method":"client.reconnect","params":[]}"#,
        Some(home.clone()),
    );
    case(
        r#"{"id":null,"method":"client.reconnect"}"#,
        Some(home.clone()),
    );
    case(
        r#"{"method":"client.reconnect","params":["",0,0]}"#,
        Some(home),
    );
    let away = ServerMessage::Reconnect {
        host: Some("b.example".into()),
        port: Some(3333),
        wait: 5,
    };
    case(
        r#"{"method":"client.reconnect","params":["b.example","3333","5"]}"#,
        Some(away),
    );
    case(
        r#"{"method":"client.reconnect","params":["b.example",65536]}"#,
        None,
    );
    case(r#"{"method":"client.reconnect","params":[1]}"#, None);
    case(r#"{"method":"mining.set_difficulty","params":[0]}"#, None);
    case(
        r#"{"method":"mining.set_difficulty","params":[1e400]}"#,
        None,
    );
    case(r#"{"method":"mining.set_difficulty","params":[]}"#, None);
    let unknown = ServerMessage::Unknown {
        id: Id::NULL,
        method: "mining.set_goal".into(),
    };
    case(
        r#"{"id":null,"method":"mining.set_goal","params":["x"]}"#,
        Some(unknown),
    );
    let message = ServerMessage::ShowMessage("hello".into());
    case(
        r#"{"id":1,"method":"client.show_message","params":["hello"]}"#,
        Some(message),
    );
}

fn parsed(line: &str) -> ClientMessage<'_> {
    Request::parse(line.as_bytes()).unwrap().message
}

fn work() -> impl Strategy<Value = Work> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..200);
    let branch = proptest::collection::vec(any::<[u8; 32]>(), 0..=32);
    (
        any::<[u8; 32]>(),
        bytes(),
        bytes(),
        branch,
        any::<[u32; 3]>(),
    )
        .prop_map(
            |(previous_block, coinbase1, coinbase2, branch, [version, bits, ntime])| Work {
                previous_block,
                coinbase1,
                coinbase2,
                branch,
                version,
                bits,
                ntime,
            },
        )
}

proptest! {
    #[test]
    fn a_job_survives_the_round_trip(work in work(), job: u32, salt: [u8; 4], clean: bool) {
        let template = NotifyLine::new(&work);
        let line = line(|out| template.write(out, JobId(job), salt, clean));
        let mut work = work;
        work.coinbase1.extend(salt);
        let expected = Notify { job_id: format!("{job:x}"), work, clean };
        prop_assert_eq!(
            ServerMessage::parse(line.as_bytes()),
            Ok(ServerMessage::Notify(expected))
        );
    }

    #[test]
    fn a_share_survives_the_round_trip(
        worker in "\\PC{0,40}",
        job: u32,
        extranonce2 in proptest::collection::vec(any::<u8>(), 0..=8),
        ntime: u32,
        nonce: u32,
        version_bits: Option<u32>,
    ) {
        let job_id = JobId(job).to_string();
        let share = client::Share {
            worker: &worker,
            job_id: &job_id,
            extranonce2: &extranonce2,
            ntime,
            nonce,
            version_bits,
        };
        let line = line(|out| client::submit(out, 4, &share));
        let expected = Submit {
            worker: worker.as_str().into(),
            job_id: Some(JobId(job)),
            extranonce2: Extranonce2::new(&extranonce2).unwrap(),
            ntime,
            nonce,
            version_bits,
        };
        prop_assert_eq!(parsed(&line), ClientMessage::Submit(expected));
    }

    #[test]
    fn a_handshake_survives_the_round_trip(
        agent in "\\PC{0,60}", session in proptest::option::of("[ -~]{0,20}"),
        user in any::<String>(), password in "[ -~]{0,20}", mask: u32,
    ) {
        prop_assume!(user.len() <= 191);
        let text = line(|out| client::subscribe(out, 1, &agent, session.as_deref()));
        let expected = Subscribe {
            agent: Some(agent.as_str().into()),
            session: session.as_deref().map(Into::into),
        };
        prop_assert_eq!(parsed(&text), ClientMessage::Subscribe(expected));

        let text = line(|out| client::authorize(out, 2, &user, &password));
        let expected =
            Authorize { user: user.as_str().into(), password: Some(password.as_str().into()) };
        prop_assert_eq!(parsed(&text), ClientMessage::Authorize(expected));

        let text = line(|out| client::configure(out, 3, mask));
        let expected = Configure { version_rolling: Some(mask), ..Configure::default() };
        prop_assert_eq!(parsed(&text), ClientMessage::Configure(expected));

        let text = line(|out| client::extranonce_subscribe(out, 4));
        prop_assert_eq!(parsed(&text), ClientMessage::ExtranonceSubscribe);
        let text = line(|out| client::pong(out, Id::NULL));
        prop_assert_eq!(parsed(&text), ClientMessage::Response);
        let text = line(|out| client::version(out, Id::NULL, &agent));
        prop_assert_eq!(parsed(&text), ClientMessage::Response);
    }

    #[test]
    fn a_difficulty_survives_both_ways(value in 1e-9..1e18_f64) {
        let difficulty = Difficulty::new(value).unwrap();
        let text = line(|out| client::suggest_difficulty(out, 1, difficulty));
        prop_assert_eq!(parsed(&text), ClientMessage::SuggestDifficulty(difficulty));
        let text = line(|out| reply::set_difficulty(out, difficulty));
        prop_assert_eq!(
            ServerMessage::parse(text.as_bytes()),
            Ok(ServerMessage::SetDifficulty(difficulty))
        );
    }

    #[test]
    fn an_extranonce_survives_both_ways(
        extranonce1 in proptest::collection::vec(any::<u8>(), 0..=32), size in 2..=16_usize,
    ) {
        let expected = Subscribed { extranonce1: extranonce1.clone(), extranonce2_size: size };
        let text = line(|out| reply::set_extranonce(out, &extranonce1, size));
        prop_assert_eq!(
            ServerMessage::parse(text.as_bytes()),
            Ok(ServerMessage::SetExtranonce(expected.clone()))
        );
        let text = line(|out| reply::subscribed(out, Id::NULL, "s", &extranonce1, size));
        let Ok(ServerMessage::Response(response)) = ServerMessage::parse(text.as_bytes()) else {
            panic!("{text}");
        };
        prop_assert_eq!(response.subscribed(), Ok(expected));
    }

    #[test]
    fn a_refusal_survives_the_round_trip(code: i32, text in "\\PC{0,60}") {
        let line = line(|out| reply::reject(out, Id::NULL, &ErrorReply { code, text: &text }));
        let Ok(ServerMessage::Response(response)) = ServerMessage::parse(line.as_bytes()) else {
            panic!("{line}");
        };
        prop_assert!(!response.accepted());
        prop_assert_eq!(response.error, Some(Refusal { code, text: text.into() }));
    }
}
