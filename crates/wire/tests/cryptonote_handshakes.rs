//! What Monero's miners and pools really send, line by line, and what must come of it.

use wire::cryptonote;
use wire::cryptonote::client::{self, Credentials, Share};
use wire::cryptonote::{
    AlgorithmSpeed, BlockTemplate, ClientMessage, Extensions, Fault, Id, Job, JobId, Login,
    MAX_BLOCK, Method, Notice, Reason, Request, ServerMessage, Submit, TargetBytes, Work, reply,
};

const ADDRESS: &str = "41yTY1oyTkuFzX4LWNkaVVapycdakhy6uU6cZKZN4twVdZao2tJaWzCW8gPhY6hJ5GSfARM7GjY5B76svoM3dkDZFFrxKKg";
const HASH: &str = "e2aa0b7b55042cd48b02e395d78fa66a29815ccc1584e38db2d1f0e8485cd44f";
const BLOB: &str = "1010f4bae0b4069d648e741d85ca0e7acb4501f051b27e9b107d3cd7a3f03aa7f776089117c81a00000000e0c20372be23d356347091025c5b5e8f2abf83ab618378565cce2b703491523401";

fn case(line: &str, id: &str, message: ClientMessage<'_>) {
    let request = Request::parse(line.as_bytes()).unwrap_or_else(|error| panic!("{line}: {error}"));
    assert_eq!(
        (request.id.as_str(), request.message),
        (id, message),
        "{line}"
    );
}

fn refused(line: &str, method: Option<Method>, fault: Fault) {
    let malformed = Request::parse(line.as_bytes()).unwrap_err();
    assert_eq!(
        (malformed.method, malformed.fault),
        (method, fault),
        "{line}"
    );
}

fn login<'a>(login: &'a str, password: &'a str, agent: &'a str) -> Login<'a> {
    Login {
        login: login.into(),
        password: Some(password.into()),
        agent: Some(agent.into()),
        rig: None,
        algorithms: Vec::new(),
        speeds: Vec::new(),
        min_time: None,
        mode: None,
    }
}

fn names<'a>(names: &[&'a str]) -> Vec<std::borrow::Cow<'a, str>> {
    names.iter().map(|name| (*name).into()).collect()
}

fn bytes<const N: usize>(digits: &str) -> [u8; N] {
    wire::hex::array(digits).unwrap()
}

fn a_job(blob: &[u8]) -> Job<'_> {
    Job {
        work: Work::Blob(blob),
        job_id: JobId(0x1f),
        target: &[0x51, 0xb8, 0x1e, 0x05],
        algorithm: "rx/0",
        height: 3_195_018,
        seed_hash: bytes(HASH),
        next_seed_hash: None,
    }
}

#[test]
fn xmrig_logs_in_submits_and_keeps_alive() {
    let agent = "XMRig/6.26.0 (Linux x86_64) libuv/1.52.1 gcc/16.2.0";
    let line = format!(
        r#"{{"id":1,"jsonrpc":"2.0","method":"login","params":{{"login":"{ADDRESS}.rig+5000","pass":"x","agent":"{agent}","rigid":"rig1","algo":["cn/0","cn/1","rx/0","rx/2","rx/wow","argon2/chukwav2"]}}}}"#
    );
    let name = format!("{ADDRESS}.rig+5000");
    let expected = Login {
        rig: Some("rig1".into()),
        algorithms: names(&["cn/0", "cn/1", "rx/0", "rx/2", "rx/wow", "argon2/chukwav2"]),
        ..login(&name, "x", agent)
    };
    case(&line, "1", ClientMessage::Login(expected));
    let submit = Submit {
        session: Some("4f2b".into()),
        job_id: Some(JobId(1)),
        nonce: [0x1b, 0, 0, 0],
        result: bytes(HASH),
        algorithm: Some("rx/0".into()),
        commitment: None,
    };
    let line = format!(
        r#"{{"id":2,"jsonrpc":"2.0","method":"submit","params":{{"id":"4f2b","job_id":"1","nonce":"1b000000","result":"{HASH}","algo":"rx/0"}}}}"#
    );
    case(&line, "2", ClientMessage::Submit(submit.clone()));
    // `rx/2` brings RandomX's own hash along.
    let line = format!(
        r#"{{"id":3,"jsonrpc":"2.0","method":"submit","params":{{"id":"4f2b","job_id":"1","nonce":"1b000000","result":"{HASH}","algo":"rx/2","commitment":"{}"}}}}"#,
        "0a".repeat(32)
    );
    let with_commitment = Submit {
        algorithm: Some("rx/2".into()),
        commitment: Some([10; 32]),
        ..submit
    };
    case(&line, "3", ClientMessage::Submit(with_commitment));
    let session = Some("4f2b".into());
    case(
        r#"{"id":4,"jsonrpc":"2.0","method":"keepalived","params":{"id":"4f2b"}}"#,
        "4",
        ClientMessage::KeepAlive { session },
    );
}

#[test]
fn xmrig_6_22_names_no_rx_2_and_no_algorithm_where_the_pool_does_not_know_the_extension() {
    let agent = "XMRig/6.22.2 (Linux x86_64) libuv/1.50.0 gcc/14.2.0";
    let line = format!(
        r#"{{"id":1,"jsonrpc":"2.0","method":"login","params":{{"login":"{ADDRESS}","pass":"x","agent":"{agent}","algo":["rx/0","rx/wow"]}}}}"#
    );
    let expected = Login {
        algorithms: names(&["rx/0", "rx/wow"]),
        ..login(ADDRESS, "x", agent)
    };
    case(&line, "1", ClientMessage::Login(expected));
    let line = format!(
        r#"{{"id":2,"jsonrpc":"2.0","method":"submit","params":{{"id":"a","job_id":"1f","nonce":"00000005","result":"{HASH}"}}}}"#
    );
    let submit = Submit {
        session: Some("a".into()),
        job_id: Some(JobId(0x1f)),
        nonce: [0, 0, 0, 5],
        result: bytes(HASH),
        algorithm: None,
        commitment: None,
    };
    case(&line, "2", ClientMessage::Submit(submit));
}

#[test]
fn xmrig_proxy_is_one_login_for_many() {
    let agent = "xmrig-proxy/6.22.0 (Linux x86_64) libuv/1.49.2 gcc/13.2.1";
    let line = format!(
        r#"{{"id":1,"jsonrpc":"2.0","method":"login","params":{{"login":"{ADDRESS}","pass":"farm","agent":"{agent}","rigid":"farm","algo":["rx/0"]}}}}"#
    );
    let expected = Login {
        rig: Some("farm".into()),
        algorithms: names(&["rx/0"]),
        ..login(ADDRESS, "farm", agent)
    };
    case(&line, "1", ClientMessage::Login(expected));
    // What another proxy adds is passed over.
    let line = format!(
        r#"{{"id":7,"method":"submit","params":{{"id":"a","job_id":"1f","nonce":"00000005","result":"{HASH}","workerNonce":12,"poolNonce":34,"clientPoolLocation":134}}}}"#
    );
    let submit = Submit {
        session: Some("a".into()),
        job_id: Some(JobId(0x1f)),
        nonce: [0, 0, 0, 5],
        result: bytes(HASH),
        algorithm: None,
        commitment: None,
    };
    case(&line, "7", ClientMessage::Submit(submit));
}

#[test]
fn srbminer_writes_digits_as_it_likes_and_one_algorithm() {
    let agent = "SRBMiner-MULTI/2.8.0";
    let line = format!(
        r#"{{"method":"login","params":{{"login":"{ADDRESS}","pass":"x","rigid":"","agent":"{agent}","algo":["rx/0"]}},"id":1,"jsonrpc":"2.0"}}"#
    );
    let expected = Login {
        algorithms: names(&["rx/0"]),
        ..login(ADDRESS, "x", agent)
    };
    case(&line, "1", ClientMessage::Login(expected.clone()));
    case(
        &line.replace(r#"["rx/0"]"#, r#""rx/0""#),
        "1",
        ClientMessage::Login(expected),
    );
    let line = format!(
        r#"{{"method":"submit","params":{{"id":"a","job_id":"1f","nonce":"DEADBEEF","result":"{}"}},"id":"17","jsonrpc":"2.0"}}"#,
        HASH.to_uppercase()
    );
    let submit = Submit {
        session: Some("a".into()),
        job_id: Some(JobId(0x1f)),
        nonce: [0xde, 0xad, 0xbe, 0xef],
        result: bytes(HASH),
        algorithm: None,
        commitment: None,
    };
    case(&line, r#""17""#, ClientMessage::Submit(submit));
}

#[test]
fn moneroocean_s_miner_says_how_fast_it_is() {
    let line = format!(
        r#"{{"id":1,"jsonrpc":"2.0","method":"login","params":{{"login":"{ADDRESS}","pass":"rig:me@example.org","agent":"XMRig/6.25.0-mo1","rigid":"","algo":["rx/0","cn/gpu"],"algo-perf":{{"rx/0":2345.67,"cn/gpu":1e3,"ghostrider":0}},"algo-min-time":60}}}}"#
    );
    let speed = |algorithm: &'static str, hashes_per_second| AlgorithmSpeed {
        algorithm: algorithm.into(),
        hashes_per_second,
    };
    let expected = Login {
        algorithms: names(&["rx/0", "cn/gpu"]),
        speeds: vec![
            speed("rx/0", 2345),
            speed("cn/gpu", 1000),
            speed("ghostrider", 0),
        ],
        min_time: Some(60),
        ..login(ADDRESS, "rig:me@example.org", "XMRig/6.25.0-mo1")
    };
    case(&line, "1", ClientMessage::Login(expected));
}

#[test]
fn a_miner_with_a_template_of_its_own_and_one_of_old_are_understood() {
    let line = format!(
        r#"{{"id":1,"method":"login","params":{{"login":"{ADDRESS}","pass":"x","agent":"monero-miner","mode":"self-select"}}}}"#
    );
    let expected = Login {
        mode: Some("self-select".into()),
        ..login(ADDRESS, "x", "monero-miner")
    };
    case(&line, "1", ClientMessage::Login(expected));
    case(
        r#"{"method":"getjob","params":{"id":"a"},"id":3}"#,
        "3",
        ClientMessage::GetJob {
            session: Some("a".into()),
        },
    );
    case(
        r#"{"method":"keepalive","id":3}"#,
        "3",
        ClientMessage::KeepAlive { session: None },
    );
    case(
        r#"{"method":"getjobtemplate","id":3}"#,
        "3",
        ClientMessage::Unknown("getjobtemplate".into()),
    );
    case(
        r#"{"id":3,"result":{"status":"OK"},"error":null}"#,
        "3",
        ClientMessage::Response,
    );
}

#[test]
fn params_by_position_are_refused_with_what_to_write() {
    let line = format!(r#"{{"id":1,"method":"login","params":["{ADDRESS}","x"]}}"#);
    refused(&line, Some(Method::Login), Fault::Positional);
    let text = Fault::Positional.to_string();
    assert!(text.contains("must be an object"), "{text}");
    for method in ["submit", "keepalived", "getjob"] {
        let line = format!(r#"{{"id":1,"method":"{method}","params":["a","1f"]}}"#);
        let malformed = Request::parse(line.as_bytes()).unwrap_err();
        assert_eq!(
            (malformed.id.as_str(), malformed.fault),
            ("1", Fault::Positional)
        );
    }
    // Bitcoin's dialect is another one.
    case(
        r#"{"id":1,"method":"mining.subscribe","params":["x"]}"#,
        "1",
        ClientMessage::Unknown("mining.subscribe".into()),
    );
}

#[test]
fn a_field_out_of_shape_is_named() {
    let login = |params: &str, fault| {
        let line = format!(r#"{{"id":1,"method":"login","params":{params}}}"#);
        refused(&line, Some(Method::Login), fault);
    };
    login("null", Fault::Params);
    login("17", Fault::Params);
    login("{}", Fault::Field("login"));
    login(r#"{"login":""}"#, Fault::Field("login"));
    login(r#"{"login":17}"#, Fault::Field("login"));
    login(
        &format!(r#"{{"login":"{}"}}"#, "4".repeat(513)),
        Fault::Field("login"),
    );
    login(r#"{"login":"4","login":"8"}"#, Fault::Params);
    login(r#"{"login":"4","pass":["x"]}"#, Fault::Field("pass"));
    login(r#"{"login":"4","agent":1}"#, Fault::Field("agent"));
    login(r#"{"login":"4","rigid":{}}"#, Fault::Field("rigid"));
    login(r#"{"login":"4","algo":[1]}"#, Fault::Field("algo"));
    login(r#"{"login":"4","algo":{}}"#, Fault::Field("algo"));
    let many = format!(
        r#"{{"login":"4","algo":["rx/0"{}]}}"#,
        r#","rx/0""#.repeat(128)
    );
    login(&many, Fault::Field("algo"));
    for odd in [
        "[]",
        r#"{"rx/0":-1}"#,
        r#"{"rx/0":"1"}"#,
        r#"{"rx/0":null}"#,
        r#"{"rx/0":1e999}"#,
    ] {
        login(
            &format!(r#"{{"login":"4","algo-perf":{odd}}}"#),
            Fault::Field("algo-perf"),
        );
    }
    login(
        r#"{"login":"4","algo-min-time":"60"}"#,
        Fault::Field("algo-min-time"),
    );
    let submit = |nonce: &str, result: &str, job_id: &str, more: &str, fault| {
        let line = format!(
            r#"{{"id":1,"method":"submit","params":{{"id":"a","job_id":{job_id},"nonce":{nonce},"result":{result}{more}}}}}"#
        );
        refused(&line, Some(Method::Submit), Fault::Field(fault));
    };
    let (nonce, result, job_id) = (r#""00000001""#, format!("\"{HASH}\""), r#""1f""#);
    for odd in [
        "null",
        "1",
        r#""""#,
        r#""1""#,
        r#""0000001""#,
        r#""000000001""#,
        r#""0000000g""#,
        r#""0x000001""#,
        r#""+0000001""#,
        r#"" 0000001""#,
    ] {
        submit(odd, &result, job_id, "", "nonce");
    }
    for odd in [
        "null".to_owned(),
        format!("\"{}\"", &HASH[1..]),
        format!("\"{HASH}0\""),
        format!("\"{}x\"", &HASH[1..]),
    ] {
        submit(nonce, &odd, job_id, "", "result");
        if odd != "null" {
            submit(
                nonce,
                &result,
                job_id,
                &format!(r#","commitment":{odd}"#),
                "commitment",
            );
        }
    }
    submit(nonce, &result, "31", "", "job_id");
    submit(nonce, &result, "null", "", "job_id");
    submit(nonce, &result, job_id, r#","algo":0"#, "algo");
}

#[test]
fn a_job_id_that_was_never_ours_is_no_job() {
    for odd in ["", "01f", "1F", "../../x", "job_1", "100000000", "-1"] {
        let line = format!(
            r#"{{"id":1,"method":"submit","params":{{"id":"a","job_id":"{odd}","nonce":"00000001","result":"{HASH}"}}}}"#
        );
        match Request::parse(line.as_bytes()).unwrap().message {
            ClientMessage::Submit(submit) => assert_eq!(submit.job_id, None, "{odd}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn the_pool_s_lines_are_those_that_xmrig_reads() {
    let blob = wire::hex::vec(BLOB, 407).unwrap();
    let job = a_job(&blob);
    let id = OwnId("1");
    let written = |write: &dyn Fn(&mut Vec<u8>)| {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    };
    let object = format!(
        r#"{{"blob":"{BLOB}","job_id":"1f","target":"51b81e05","algo":"rx/0","height":3195018,"seed_hash":"{HASH}"}}"#
    );
    assert_eq!(
        written(&|out| job.write(out)),
        format!("{{\"jsonrpc\":\"2.0\",\"method\":\"job\",\"params\":{object}}}\n")
    );
    let extensions = Extensions {
        algorithm: true,
        keep_alive: true,
        ..Extensions::default()
    };
    assert_eq!(
        written(&|out| id.with(|id| reply::logged_in(out, id, "4f2b", &job, extensions))),
        format!(
            "{{\"id\":1,\"jsonrpc\":\"2.0\",\"error\":null,\"result\":{{\"id\":\"4f2b\",\"job\":{object},\"extensions\":[\"algo\",\"keepalive\"],\"status\":\"OK\"}}}}\n"
        )
    );
    assert_eq!(
        written(&|out| id.with(|id| reply::accepted(out, id))),
        "{\"id\":1,\"jsonrpc\":\"2.0\",\"error\":null,\"result\":{\"status\":\"OK\"}}\n"
    );
    assert_eq!(
        written(&|out| id.with(|id| reply::kept_alive(out, id))),
        "{\"id\":1,\"jsonrpc\":\"2.0\",\"error\":null,\"result\":{\"status\":\"KEEPALIVED\"}}\n"
    );
    assert_eq!(
        written(&|out| id.with(|id| reply::refused(out, id, Reason::BlockExpired))),
        "{\"id\":1,\"jsonrpc\":\"2.0\",\"error\":{\"code\":-1,\"message\":\"Block expired\"}}\n"
    );
    assert_eq!(
        written(&|out| id.with(|id| reply::job(out, id, None))),
        "{\"id\":1,\"jsonrpc\":\"2.0\",\"error\":null,\"result\":null}\n"
    );
    assert_eq!(
        written(&|out| reply::reconnect_to(out, "pool.example", 3333)),
        "{\"jsonrpc\":\"2.0\",\"method\":\"client.reconnect\",\"params\":[\"pool.example\",\"3333\"]}\n"
    );
}

/// An id, as a request brings it.
struct OwnId(&'static str);

impl OwnId {
    fn with(&self, write: impl FnOnce(Id<'_>)) {
        let line = format!(r#"{{"id":{},"method":"getjob"}}"#, self.0);
        write(Request::parse(line.as_bytes()).unwrap().id);
    }
}

#[test]
fn both_ends_understand_each_other() {
    let blob = wire::hex::vec(BLOB, 407).unwrap();
    let job = Job {
        next_seed_hash: Some([7; 32]),
        target: &[1, 2, 3, 4, 5, 6, 7, 8],
        ..a_job(&blob)
    };
    let notice = Notice {
        job_id: "1f".to_owned(),
        blob: blob.clone(),
        target: TargetBytes::Eight([1, 2, 3, 4, 5, 6, 7, 8]),
        algorithm: Some("rx/0".to_owned()),
        height: Some(3_195_018),
        seed_hash: Some(bytes(HASH)),
        next_seed_hash: Some([7; 32]),
    };
    let (mut asked, mut answered) = (Vec::new(), Vec::new());
    let credentials = Credentials {
        login: ADDRESS,
        password: "x\"\n",
        agent: "adit/0.1",
        rig: Some("rig"),
        algorithms: &["rx/0", "rx/2"],
    };
    client::login(&mut asked, 1, &credentials);
    let request = Request::parse(asked.strip_suffix(b"\n").unwrap()).unwrap();
    let expected = Login {
        rig: Some("rig".into()),
        algorithms: names(&["rx/0", "rx/2"]),
        ..login(ADDRESS, "x\"\n", "adit/0.1")
    };
    assert_eq!(request.message, ClientMessage::Login(expected));
    let extensions = Extensions {
        algorithm: true,
        keep_alive: true,
        nicehash: true,
        connect: true,
    };
    reply::logged_in(&mut answered, request.id, "s", &job, extensions);
    let response = response(&answered);
    assert_eq!(response.id, Some(1));
    let logged_in = response.logged_in().unwrap();
    assert_eq!((logged_in.session.as_str(), &logged_in.job), ("s", &notice));
    assert_eq!(logged_in.extensions, extensions);

    let share = Share {
        session: "s",
        job_id: "1f",
        nonce: [1, 2, 3, 4],
        result: bytes(HASH),
        algorithm: Some("rx/2"),
        commitment: Some([9; 32]),
    };
    asked.clear();
    client::submit(&mut asked, 2, &share);
    let request = Request::parse(asked.strip_suffix(b"\n").unwrap()).unwrap();
    let submit = Submit {
        session: Some("s".into()),
        job_id: Some(JobId(0x1f)),
        nonce: [1, 2, 3, 4],
        result: bytes(HASH),
        algorithm: Some("rx/2".into()),
        commitment: Some([9; 32]),
    };
    assert_eq!(request.message, ClientMessage::Submit(submit));
    for reason in Reason::ALL {
        answered.clear();
        reply::refused(&mut answered, request.id, reason);
        let response = self::response(&answered);
        let refusal = response.error.clone().unwrap();
        assert!(!response.accepted());
        assert_eq!((refusal.code, &*refusal.text), (-1, reason.text()));
        assert_eq!(refusal.ends_connection(), reason.ends_connection());
    }
    for write in [reply::accepted, reply::kept_alive] {
        answered.clear();
        write(&mut answered, request.id);
        assert!(self::response(&answered).accepted());
    }
    for given in [Some(&job), None] {
        answered.clear();
        reply::job(&mut answered, request.id, given);
        let expected = given.map(|_| notice.clone());
        assert_eq!(self::response(&answered).job(), Ok(expected));
    }
    answered.clear();
    job.write(&mut answered);
    let line = answered.strip_suffix(b"\n").unwrap();
    assert_eq!(ServerMessage::parse(line), Ok(ServerMessage::Job(notice)));
    type Ask = fn(&mut Vec<u8>, u64, &str);
    for (ask, method) in [
        (client::keep_alive as Ask, "keep"),
        (client::get_job, "job"),
    ] {
        asked.clear();
        ask(&mut asked, 3, "s");
        let session = Some("s".into());
        let expected = match method {
            "keep" => ClientMessage::KeepAlive { session },
            _ => ClientMessage::GetJob { session },
        };
        let request = Request::parse(asked.strip_suffix(b"\n").unwrap()).unwrap();
        assert_eq!(request.message, expected);
    }
}

fn response(line: &[u8]) -> wire::cryptonote::Response<'_> {
    match ServerMessage::parse(line.strip_suffix(b"\n").unwrap()) {
        Ok(ServerMessage::Response(response)) => response,
        other => panic!("{other:?}"),
    }
}

#[test]
fn other_pools_jobs_are_read() {
    let job = |fields: &str| {
        let line = format!(r#"{{"jsonrpc":"2.0","method":"job","params":{{{fields}}}}}"#);
        match ServerMessage::parse(line.as_bytes()) {
            Ok(ServerMessage::Job(notice)) => Ok(notice),
            Ok(other) => panic!("{other:?}"),
            Err(fault) => Err(fault),
        }
    };
    let capitals = BLOB.to_uppercase();
    let read = job(&format!(
        r#""blob":"{capitals}","job_id":"1745433817138","target":"780D7F02F3220000","id":"s","height":3396494,"seed_hash":"{HASH}","next_seed_hash":"""#
    ))
    .unwrap();
    assert_eq!(read.job_id, "1745433817138");
    assert_eq!(
        read.target,
        TargetBytes::Eight([0x78, 0x0d, 0x7f, 0x02, 0xf3, 0x22, 0, 0])
    );
    assert_eq!((read.algorithm, read.next_seed_hash), (None, None));
    let bare = job(&format!(
        r#""blob":"{BLOB}","job_id":"x","target":"b88d0600""#
    ))
    .unwrap();
    assert_eq!(bare.target.as_slice(), [0xb8, 0x8d, 6, 0]);
    assert_eq!((bare.height, bare.seed_hash), (None, None));
    let case = |fields: &str, fault| assert_eq!(job(fields), Err(Fault::Field(fault)), "{fields}");
    case(&format!(r#""blob":"{BLOB}","target":"b88d0600""#), "job_id");
    case(
        &format!(r#""blob":"{BLOB}","job_id":"","target":"b88d0600""#),
        "job_id",
    );
    case(
        &format!(r#""blob":"{BLOB}0","job_id":"x","target":"b88d0600""#),
        "blob",
    );
    case(
        &format!(
            r#""blob":"{}","job_id":"x","target":"b88d0600""#,
            "00".repeat(42)
        ),
        "blob",
    );
    case(
        &format!(
            r#""blob":"{}","job_id":"x","target":"b88d0600""#,
            "00".repeat(408)
        ),
        "blob",
    );
    for target in [
        "",
        "b88d06",
        "b88d060000",
        "00000000",
        "0000000000000000",
        "b88d060g",
    ] {
        case(
            &format!(r#""blob":"{BLOB}","job_id":"x","target":"{target}""#),
            "target",
        );
    }
    let tail = format!(r#""blob":"{BLOB}","job_id":"x","target":"b88d0600""#);
    case(&format!(r#"{tail},"height":-1"#), "height");
    case(&format!(r#"{tail},"algo":7"#), "algo");
    case(&format!(r#"{tail},"seed_hash":"00""#), "seed_hash");
    case(
        &format!(r#"{tail},"next_seed_hash":"00""#),
        "next_seed_hash",
    );
    assert_eq!(
        ServerMessage::parse(br#"{"method":"job","params":["x"]}"#),
        Err(Fault::Positional)
    );
}

#[test]
fn a_refusal_tells_this_dialect_from_bitcoin_s() {
    let mut ours = Vec::new();
    reply::refused(&mut ours, Id::NULL, Reason::Unauthenticated);
    assert!(cryptonote::refuses(ours.trim_ascii_end()));
    for line in [
        r#"{"id":1,"jsonrpc":"2.0","error":[20,"Other",null],"result":null}"#,
        r#"{"id":1,"jsonrpc":"2.0","error":null,"result":true}"#,
        r#"{"id":1,"jsonrpc":"1.0","error":{"code":-1,"message":"no"}}"#,
        r#"{"id":1,"error":{"code":-1,"message":"no"}}"#,
        r#"{"id":1,"jsonrpc":"2.0"}"#,
        r#"["jsonrpc","2.0","error",{}]"#,
        "garbage",
        "",
    ] {
        assert!(!cryptonote::refuses(line.as_bytes()), "{line}");
    }
    assert!(!cryptonote::refuses(b"\xff"));
}

#[test]
fn other_pools_answers_are_read() {
    let read = |line: &'static str| match ServerMessage::parse(line.as_bytes()) {
        Ok(ServerMessage::Response(response)) => response,
        other => panic!("{other:?}"),
    };
    assert!(read(r#"{"id":2,"result":true,"error":null}"#).accepted());
    assert!(read(r#"{"id":2,"jsonrpc":"2.0","result":{"status":"OK","x":1}}"#).accepted());
    assert!(!read(r#"{"id":2,"result":{"status":"NO"}}"#).accepted());
    assert!(!read(r#"{"id":2,"result":null}"#).accepted());
    assert!(
        !read(r#"{"id":2,"result":{"status":"OK"},"error":{"code":-1,"message":"no"}}"#).accepted()
    );
    let refusal = |line| {
        let refusal = read(line).error.unwrap();
        (
            refusal.code,
            refusal.text.to_string(),
            refusal.ends_connection(),
        )
    };
    assert_eq!(
        refusal(r#"{"id":2,"error":{"code":-1,"message":"Unauthenticated"}}"#),
        (-1, "Unauthenticated".to_owned(), true)
    );
    assert_eq!(
        refusal(r#"{"id":2,"error":{"message":"Stale share"}}"#),
        (0, "Stale share".to_owned(), false)
    );
    assert_eq!(
        refusal(r#"{"id":2,"error":"no"}"#),
        (0, "no".to_owned(), false)
    );
    assert_eq!(refusal(r#"{"id":2,"error":[21,"x",null]}"#).1, "");
    let reconnect = |params: &str| {
        let line = format!(r#"{{"method":"client.reconnect","params":{params}}}"#);
        match ServerMessage::parse(line.as_bytes()) {
            Ok(ServerMessage::Reconnect { host, port }) => Some((host.into_owned(), port)),
            Ok(other) => panic!("{other:?}"),
            Err(_) => None,
        }
    };
    let there = Some(("pool.example".to_owned(), 3333));
    assert_eq!(reconnect(r#"["pool.example","3333"]"#), there);
    assert_eq!(reconnect(r#"["pool.example",3333]"#), there);
    for odd in [
        "[]",
        "{}",
        r#"["","3333"]"#,
        r#"["h","0"]"#,
        r#"["h","65536"]"#,
        r#"["h"]"#,
        r#"["h","x"]"#,
    ] {
        assert_eq!(reconnect(odd), None, "{odd}");
    }
}

/// XMRig with `self-select`: the job asks for a block, the miner's node makes it, and shares follow.
#[test]
fn a_miner_s_own_node_makes_the_block() {
    let job = Job {
        work: Work::Own {
            pool_wallet: ADDRESS,
            extra_nonce: &[1, 2, 3, 4, 0, 0, 0, 9],
        },
        ..a_job(&[])
    };
    let mut told = Vec::new();
    job.write(&mut told);
    let expected = format!(
        r#"{{"jsonrpc":"2.0","method":"job","params":{{"pool_wallet":"{ADDRESS}","extra_nonce":"0102030400000009","job_id":"1f","target":"51b81e05","algo":"rx/0","height":3195018,"seed_hash":"{HASH}"}}}}"#
    );
    assert_eq!(String::from_utf8(told).unwrap().trim_end(), expected);

    let line = |params: &str| {
        format!(r#"{{"id":2,"jsonrpc":"2.0","method":"block_template","params":{{{params}}}}}"#)
    };
    let whole = format!(
        r#""id":"4f2b","job_id":"1f","blob":"1010F4","height":101,"difficulty":400,"prev_hash":"{HASH}","seed_hash":"{HASH}","next_seed_hash":"""#
    );
    let template = BlockTemplate {
        session: Some("4f2b".into()),
        job_id: Some(JobId(0x1f)),
        block: vec![0x10, 0x10, 0xf4],
        height: 101,
        difficulty: 400,
        previous: bytes(HASH),
        seed: Some(bytes(HASH)),
    };
    case(
        &line(&whole),
        "2",
        ClientMessage::BlockTemplate(template.clone()),
    );
    let silent = whole.replace(&format!(r#","seed_hash":"{HASH}""#), "");
    let template = BlockTemplate {
        seed: None,
        ..template
    };
    case(&line(&silent), "2", ClientMessage::BlockTemplate(template));
    for (from, to, fault) in [
        (r#""job_id":"1f","#, "", Fault::Field("job_id")),
        ("1010F4", "1010f", Fault::Field("blob")),
        ("1010F4", "1010fg", Fault::Field("blob")),
        (r#""blob":"1010F4","#, "", Fault::Field("blob")),
        ("101,", "-1,", Fault::Field("height")),
        ("101,", "\"101\",", Fault::Field("height")),
        ("400", "4e2", Fault::Field("difficulty")),
        (r#""difficulty":400,"#, "", Fault::Field("difficulty")),
        (
            r#""prev_hash":"e2"#,
            r#""prev_hash":""#,
            Fault::Field("prev_hash"),
        ),
        (
            r#""seed_hash":"e2"#,
            r#""seed_hash":""#,
            Fault::Field("seed_hash"),
        ),
        (r#""4f2b""#, "7", Fault::Field("id")),
    ] {
        let line = line(&whole.replacen(from, to, 1));
        refused(&line, Some(Method::BlockTemplate), fault);
    }
    let longest = "00".repeat(MAX_BLOCK);
    let taken = line(&whole.replace("1010F4", &longest));
    assert!(Request::parse(taken.as_bytes()).is_ok());
    let longer = line(&whole.replace("1010F4", &(longest + "00")));
    refused(&longer, Some(Method::BlockTemplate), Fault::Field("blob"));
}
