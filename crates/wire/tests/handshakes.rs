//! What firmware really sends, line by line, and what must come of it.

use wire::sv1::{
    Authorize, ClientMessage, Configure, Difficulty, Extranonce2, Fault, JobId, Method, Request,
    Submit, Subscribe,
};

fn case(line: &str, id: &str, message: ClientMessage<'_>) {
    let request = Request::parse(line.as_bytes()).unwrap_or_else(|error| panic!("{line}: {error}"));
    assert_eq!(
        (request.id.as_str(), request.message),
        (id, message),
        "{line}"
    );
}

fn subscribe(agent: &str) -> ClientMessage<'_> {
    ClientMessage::Subscribe(Subscribe {
        agent: Some(agent.into()),
        session: None,
    })
}

fn authorize<'a>(user: &'a str, password: &'a str) -> ClientMessage<'a> {
    ClientMessage::Authorize(Authorize {
        user: user.into(),
        password: Some(password.into()),
    })
}

fn version_rolling(mask: u32) -> ClientMessage<'static> {
    ClientMessage::Configure(Configure {
        version_rolling: Some(mask),
        ..Configure::default()
    })
}

fn suggest(difficulty: f64) -> ClientMessage<'static> {
    ClientMessage::SuggestDifficulty(Difficulty::new(difficulty).unwrap())
}

const USER: &str = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080.rig";

#[test]
fn esp_miner_configures_first_and_suggests_when_authorized() {
    case(
        r#"{"id": 1, "method": "mining.configure", "params": [["version-rolling"], {"version-rolling.mask": "ffffffff"}]}"#,
        "1",
        version_rolling(u32::MAX),
    );
    case(
        r#"{"id": 2, "method": "mining.subscribe", "params": ["bitaxe/BM1370/v2.13.0"]}"#,
        "2",
        subscribe("bitaxe/BM1370/v2.13.0"),
    );
    let line = format!(r#"{{"id": 3, "method": "mining.authorize", "params": ["{USER}", "x"]}}"#);
    case(&line, "3", authorize(USER, "x"));
    case(
        r#"{"id": 4, "method": "mining.suggest_difficulty", "params": [1000]}"#,
        "4",
        suggest(1000.0),
    );
    case(
        r#"{"id": 5, "method": "mining.extranonce.subscribe", "params": []}"#,
        "5",
        ClientMessage::ExtranonceSubscribe,
    );
    let line = format!(
        r#"{{"id": 6, "method": "mining.submit", "params": ["{USER}", "1a", "0000000000000001", "67000000", "c0ad31ee", "00002000"]}}"#
    );
    let submit = Submit {
        worker: USER.into(),
        job_id: Some(JobId(0x1a)),
        extranonce2: Extranonce2::new(&[0, 0, 0, 0, 0, 0, 0, 1]).unwrap(),
        ntime: 0x6700_0000,
        nonce: 0xc0ad_31ee,
        version_bits: Some(0x2000),
    };
    case(&line, "6", ClientMessage::Submit(submit));
    case(r#"{"id":7,"method":"pong"}"#, "7", ClientMessage::Response);
}

#[test]
fn nerdqaxe_subscribes_first() {
    case(
        r#"{"id": 1, "method": "mining.subscribe", "params": ["NerdQAxe++/BM1370/v1.0.36"]}"#,
        "1",
        subscribe("NerdQAxe++/BM1370/v1.0.36"),
    );
    case(
        r#"{"id": 2, "method": "mining.configure", "params": [["version-rolling"], {"version-rolling.mask": "1fffe000"}]}"#,
        "2",
        version_rolling(0x1fff_e000),
    );
    let line = format!(r#"{{"id": 3, "method": "mining.authorize", "params": ["{USER}", "d=5"]}}"#);
    case(&line, "3", authorize(USER, "d=5"));
    case(
        r#"{"id": 4, "method": "mining.suggest_difficulty", "params": [4000]}"#,
        "4",
        suggest(4000.0),
    );
}

#[test]
fn nerdminer_suggests_a_tiny_difficulty_and_does_not_pad_its_nonce() {
    case(
        r#"{"id": 1, "method": "mining.subscribe", "params": ["NerdMinerV2/1.8.3"]}"#,
        "1",
        subscribe("NerdMinerV2/1.8.3"),
    );
    case(
        r#"{"params": ["name", "x"], "id": 2, "method": "mining.authorize"}"#,
        "2",
        authorize("name", "x"),
    );
    case(
        r#"{"id": 3, "method": "mining.suggest_difficulty", "params": [0.00015]}"#,
        "3",
        suggest(0.00015),
    );
    case(
        r#"{"id":4,"method":"mining.suggest_difficulty","params":[1.5e-04]}"#,
        "4",
        suggest(0.00015),
    );
    let submit = Submit {
        worker: "name".into(),
        job_id: Some(JobId(0xb)),
        extranonce2: Extranonce2::new(&[0, 0, 0, 2]).unwrap(),
        ntime: 0x67aa_bbcc,
        nonce: 0x3f1,
        version_bits: None,
    };
    case(
        r#"{"id":5,"method":"mining.submit","params":["name","b","00000002","67aabbcc","3f1"]}"#,
        "5",
        ClientMessage::Submit(submit),
    );
}

#[test]
fn cgminer_resumes_a_session_and_answers_our_requests() {
    case(
        r#"{"id": 0, "method": "mining.subscribe", "params": ["cgminer/4.12.1"]}"#,
        "0",
        subscribe("cgminer/4.12.1"),
    );
    let resumed = Subscribe {
        agent: Some("cgminer/4.12.1".into()),
        session: Some("5a1b2c3d".into()),
    };
    case(
        r#"{"id": 1, "method": "mining.subscribe", "params": ["cgminer/4.12.1", "5a1b2c3d"]}"#,
        "1",
        ClientMessage::Subscribe(resumed),
    );
    for line in [
        r#"{"id": 2, "method": "mining.subscribe", "params": []}"#,
        r#"{"id": 2, "method": "mining.subscribe", "params": [null, null]}"#,
        r#"{"id": 2, "method": "mining.subscribe", "params": null}"#,
        r#"{"id": 2, "method": "mining.subscribe"}"#,
    ] {
        case(line, "2", ClientMessage::Subscribe(Subscribe::default()));
    }
    case(
        r#"{"id": 3, "result": "cgminer/4.12.1", "error": null}"#,
        "3",
        ClientMessage::Response,
    );
    case(
        r#"{"id": 4, "result": "pong", "error": null}"#,
        "4",
        ClientMessage::Response,
    );
    case(r#"{"result": true, "id": 5}"#, "5", ClientMessage::Response);
    case(
        r#"{"id": 6, "error": [-3, "no", null]}"#,
        "6",
        ClientMessage::Response,
    );
}

#[test]
fn a_password_may_be_missing() {
    for line in [
        r#"{"id": 2, "method": "mining.authorize", "params": ["name"]}"#,
        r#"{"id": 2, "method": "mining.authorize", "params": ["name", null]}"#,
    ] {
        let message = ClientMessage::Authorize(Authorize {
            user: "name".into(),
            password: None,
        });
        case(line, "2", message);
    }
}

#[test]
fn bfgminer_uses_strings_and_null_as_ids() {
    let mut target = [0xff; 32];
    target[..4].fill(0);
    let line = format!(
        r#"{{"id": null, "method": "mining.suggest_target", "params": ["{}{}"]}}"#,
        "0".repeat(8),
        "f".repeat(56)
    );
    case(&line, "null", ClientMessage::SuggestTarget(target));
    case(
        r#"{"id": null, "method": "mining.suggest_difficulty", "params": [1]}"#,
        "null",
        suggest(1.0),
    );
    case(
        r#"{"id": "xnsub", "method": "mining.extranonce.subscribe", "params": []}"#,
        r#""xnsub""#,
        ClientMessage::ExtranonceSubscribe,
    );
    case(
        r#"{"method": "mining.get_transactions", "params": ["1a"]}"#,
        "null",
        ClientMessage::GetTransactions,
    );
}

#[test]
fn nicehash_subscribes_with_four_parameters() {
    case(
        r#"{"id":1,"method":"mining.subscribe","params":["NiceHash/1.0.0",null,1718000000,"b1f0"]}"#,
        "1",
        subscribe("NiceHash/1.0.0"),
    );
    case(
        r#"{"id":2,"method":"mining.extranonce.subscribe"}"#,
        "2",
        ClientMessage::ExtranonceSubscribe,
    );
}

#[test]
fn braiins_os_may_send_any_min_bit_count() {
    for count in [
        "2", r#""02""#, r#""2""#, "-1", "null", "[]", "{}", "1e99", r#""zz""#,
    ] {
        let line = format!(
            r#"{{"id":0,"method":"mining.configure","params":[["version-rolling"],{{"version-rolling.mask":"1fffe000","version-rolling.min-bit-count":{count}}}]}}"#
        );
        case(&line, "0", version_rolling(0x1fff_e000));
    }
}

#[test]
fn each_extension_is_asked_for_by_its_name() {
    case(
        r#"{"id":1,"method":"mining.configure","params":[["minimum-difficulty","version-rolling","subscribe-extranonce","info","x"],{"minimum-difficulty.value":2048,"version-rolling.mask":"ffe000","info.hw-version":"1"}]}"#,
        "1",
        ClientMessage::Configure(Configure {
            version_rolling: Some(0x00ff_e000),
            minimum_difficulty: Some(Difficulty::new(2048.0)),
            subscribe_extranonce: true,
            info: true,
        }),
    );
    case(
        r#"{"id":1,"method":"mining.configure","params":[["minimum-difficulty"],{"minimum-difficulty.value":0,"version-rolling.mask":"ffe000"}]}"#,
        "1",
        ClientMessage::Configure(Configure {
            minimum_difficulty: Some(None),
            ..Configure::default()
        }),
    );
    case(
        r#"{"id":1,"method":"mining.configure","params":[["version-rolling"]]}"#,
        "1",
        version_rolling(u32::MAX),
    );
    case(
        r#"{"id":1,"method":"mining.configure","params":[[],{}]}"#,
        "1",
        ClientMessage::Configure(Configure::default()),
    );
}

#[test]
fn rental_proxies_ask_for_versions_and_are_answered() {
    case(
        r#"{"id":1,"method":"mining.multi_version","params":[1]}"#,
        "1",
        ClientMessage::MultiVersion,
    );
    case(
        r#"{"id":2,"method":"mining.ping","params":[]}"#,
        "2",
        ClientMessage::Ping,
    );
    case(
        r#"{"id":3,"method":"mining.capabilities","params":[{}]}"#,
        "3",
        ClientMessage::Unknown("mining.capabilities".into()),
    );
}

#[test]
fn a_foreign_job_id_is_unknown_and_not_malformed() {
    for job in [
        "",
        "00",
        "1A",
        "../../x",
        "18446744073709551616",
        "-1",
        &"1".repeat(10_000),
    ] {
        let line = format!(
            r#"{{"id":4,"method":"mining.submit","params":["name","{job}","00000000","67aabbcc","00000000"]}}"#
        );
        let Ok(Request {
            message: ClientMessage::Submit(submit),
            ..
        }) = Request::parse(line.as_bytes())
        else {
            panic!("{line}");
        };
        assert_eq!(submit.job_id, None, "{job}");
    }
}

#[test]
fn a_share_with_a_field_out_of_shape_says_which() {
    let case = |params: &str, expected: &'static str| {
        let line = format!(r#"{{"id":4,"method":"mining.submit","params":[{params}]}}"#);
        let error = Request::parse(line.as_bytes()).unwrap_err();
        assert_eq!(error.fault, Fault::Field(expected), "{params}");
        assert_eq!(
            (error.id.as_str(), error.method),
            ("4", Some(Method::Submit))
        );
    };
    case("", "worker");
    case(r#""n""#, "job id");
    case(r#""n","1","00","67aabbcc""#, "nonce");
    case(r#""n","1","0000000g","67aabbcc","0""#, "extranonce2");
    case(r#""n","1","000","67aabbcc","0""#, "extranonce2");
    case(
        r#""n","1","000000000000000000","67aabbcc","0""#,
        "extranonce2",
    );
    case(r#""n","1","00","7aabbcc","0""#, "ntime");
    case(r#""n","1","00","+7aabbcc","0""#, "ntime");
    case(r#""n","1","00","067aabbcc","0""#, "ntime");
    case(r#""n","1","00","67aabbcc","""#, "nonce");
    case(r#""n","1","00","67aabbcc","+1""#, "nonce");
    case(r#""n","1","00","67aabbcc","000000001""#, "nonce");
    case(r#""n","1","00","67aabbcc","0","""#, "version bits");
    case(r#""n","1","00","67aabbcc","0","2000""#, "version bits");
    case(r#""n","1","00","67aabbcc","0",8192"#, "version bits");
}

#[test]
fn user_names_are_read_up_to_their_limit_as_they_are() {
    let case = |user: &str, expected: Result<&str, Fault>| {
        let line = format!(r#"{{"id":2,"method":"mining.authorize","params":["{user}","x"]}}"#);
        match (Request::parse(line.as_bytes()), expected) {
            (Ok(request), Ok(expected)) => {
                assert_eq!(request.message, authorize(expected, "x"), "{user}");
            }
            (Err(error), Err(fault)) => assert_eq!(error.fault, fault, "{user}"),
            (result, _) => panic!("{user}: {result:?}"),
        }
    };
    for length in [63, 127, 191] {
        case(&"a".repeat(length), Ok(&"a".repeat(length)));
    }
    case(&"a".repeat(192), Err(Fault::Field("user")));
    case("", Ok(""));
    case(".worker", Ok(".worker"));
    case("name%2Eworker", Ok("name%2Eworker"));
    case("name_worker", Ok("name_worker"));
    case("ltc1q,DOGE.worker", Ok("ltc1q,DOGE.worker"));
    case("4abc+25000", Ok("4abc+25000"));
    case(r"a\u0000\n\u001b[2J", Ok("a\0\n\u{1b}[2J"));
    case("\u{e9}\u{1f4a9}", Ok("\u{e9}\u{1f4a9}"));
    case(r"\ud800", Err(Fault::Field("user")));
    case("a\nb", Err(Fault::Json));
}
