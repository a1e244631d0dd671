//! Whoever runs the pool, with a key and without one, and whoever would like to be taken for him.

use std::time::Instant;

use serde_json::{Value, json};

use crate::support::{
    Pool, Rig,
    asked::{Answer, Question},
    run,
};

/// Whoever comes from here comes through a proxy, and from elsewhere.
const PROXY: &str = "proxy_from = [\"127.0.0.2\"]\n";

/// Makes a key of this name.
pub(crate) fn make_key(pool: &Pool, name: &str) -> String {
    let output = key_command(pool, &["create", name]);
    assert!(output.0, "{}", output.1);
    output.1.trim().to_owned()
}

/// Whether a command of keys went well, and what it said.
fn key_command(pool: &Pool, arguments: &[&str]) -> (bool, String) {
    let config = pool.config.to_str().unwrap();
    let output = run(&[&["key", "-c", config], arguments].concat());
    let said = match output.status.success() {
        true => output.stdout,
        false => output.stderr,
    };
    (output.status.success(), String::from_utf8(said).unwrap())
}

/// A question from elsewhere.
fn from_elsewhere<'a>(pool: &'a Pool, method: &'a str, path: &'a str) -> Question<'a> {
    let question = pool.question(method, path).from("127.0.0.2");
    question.header("x-forwarded-for", "203.0.113.7")
}

/// What was done, as `who: what: on what`, the newest first.
fn acts(pool: &Pool) -> Vec<String> {
    let log = pool.question("GET", "/api/v1/operator/log").ask().json();
    let line = |act: &Value| {
        let text = |name: &str| act[name].as_str().unwrap().to_owned();
        format!("{}: {}: {}", text("who"), text("what"), text("subject"))
    };
    log["items"].as_array().unwrap().iter().map(line).collect()
}

#[test]
fn a_key_opens_from_anywhere_what_this_machine_may_and_nothing_once_it_is_revoked() {
    let rig = Rig::http(PROXY);
    let pool = &rig.pool;
    let key = make_key(pool, "ops");
    assert!(key.starts_with("adit_") && key.len() == 69, "{key}");
    let calls = [
        ("GET", "/api/v1/luck", 200),
        ("GET", "/api/v1/operator/log", 200),
        ("GET", "/api/v1/operator/config", 200),
        ("GET", "/api/v1/operator/payouts", 200),
        ("POST", "/api/v1/blocknotify", 204),
        ("POST", "/api/v1/pools/main/daemons/0/reset", 204),
        ("POST", "/api/v1/pools/main/daemons/7/reset", 404),
        ("POST", "/api/v1/pools/main/payouts/resume", 204),
        ("POST", "/api/v1/pools/other/payouts/resume", 404),
        ("DELETE", "/api/v1/bans/9.9.9.9", 404),
        ("DELETE", "/api/v1/bans/nowhere", 400),
        ("DELETE", "/api/v1/luck/nobody", 404),
    ];
    for (method, path, wanted) in calls {
        let none = from_elsewhere(pool, method, path).ask();
        assert_eq!(
            (none.status, none.code().as_str()),
            (401, "no_key"),
            "{path}"
        );
        assert_eq!(none.header("www-authenticate"), "Bearer");
        assert_eq!(pool.question(method, path).status(), wanted, "{path}");
        let shown = from_elsewhere(pool, method, path).key(&key);
        assert_eq!(shown.status(), wanted, "{method} {path}");
    }
    let (_, list) = key_command(pool, &["list"]);
    assert!(list.contains("ops") && !list.contains("never"), "{list}");
    assert!(!list.contains(&key[5..]), "{list}");
    // The database and the log know no key.
    let database = std::fs::read(pool.database()).unwrap();
    let has = |bytes: &[u8], text: &str| {
        bytes
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    };
    assert!(!has(&database, &key[5..]) && !pool.process.log_text().contains(&key[5..]));
    assert!(
        !key_command(pool, &["create", "ops"]).0,
        "the name is taken"
    );
    assert!(!key_command(pool, &["create", "Not plain"]).0);
    assert!(!key_command(pool, &["revoke", "other"]).0);
    assert!(key_command(pool, &["revoke", "ops"]).0);
    let gone = from_elsewhere(pool, "GET", "/api/v1/luck").key(&key).ask();
    assert_eq!((gone.status, gone.code().as_str()), (401, "wrong_key"));
    // Also on this machine a wrong key is worse than none.
    assert_eq!(pool.question("GET", "/api/v1/luck").key(&key).status(), 401);
    assert_eq!(
        acts(pool)[..3],
        [
            "this machine: key revoked: ops",
            "key ops: payouts resumed: main",
            "this machine: payouts resumed: main",
        ]
    );
}

/// Nobody can try many keys, and whoever has one is heard all the same.
#[test]
fn wrong_keys_are_slowed_down() {
    let rig = Rig::http(PROXY);
    let key = make_key(&rig.pool, "ops");
    let try_key = |key: &str| -> Answer {
        from_elsewhere(&rig.pool, "GET", "/api/v1/operator/payouts")
            .key(key)
            .ask()
    };
    assert_eq!(try_key(&key).status, 200);
    let wrong = format!("adit_{}", "0".repeat(64));
    let begun = Instant::now();
    let tried: Vec<u16> = (0..8).map(|_| try_key(&wrong).status).collect();
    assert_eq!(tried[..4], [401; 4]);
    assert_eq!(tried[7], 429);
    // One more each ten seconds, which a busy machine may take.
    let more = tried[5..].iter().filter(|status| **status == 401).count();
    assert!(
        more <= usize::try_from(begun.elapsed().as_secs() / 10).unwrap(),
        "{tried:?}"
    );
    let refused = try_key("no key at all");
    assert_eq!((refused.status, refused.code().as_str()), (429, "too_fast"));
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=11).contains(&wait), "{wait}");
    assert_eq!(try_key(&key).status, 200);
    let other = rig.pool.question("GET", "/api/v1/luck").from("127.0.0.2");
    let other = other.header("x-forwarded-for", "203.0.113.8").key(&wrong);
    assert_eq!(other.status(), 401);
}

/// A page that somebody made a browser on this machine open cannot act for the operator: neither under a
/// name that points here, nor straight at loopback, nor with a form.
#[test]
fn a71_no_page_of_somebody_else_makes_this_machine_act() {
    let rig = Rig::http("url = \"https://pool.example/\"\nproxy_from = [\"127.0.0.2\"]\n");
    let pool = &rig.pool;
    let key = make_key(pool, "ops");
    let pause = "/api/v1/pools/main/payouts/pause";
    let host = format!("127.0.0.1:{}", pool.http);
    let ask = |headers: &[(&'static str, &str)]| {
        let mut question = pool.question("POST", pause);
        for (name, value) in headers {
            question = question.header(name, *value);
        }
        question.json(&json!({"reason": "a71"})).status()
    };
    for foreign in [
        "evil.example",
        "evil.example:3334",
        "localhost.evil.example",
        "",
    ] {
        assert_eq!(ask(&[("host", foreign)]), 403, "{foreign}");
    }
    for origin in [
        "http://evil.example",
        "null",
        "http://127.0.0.1:1",
        "http://localhost",
    ] {
        assert_eq!(ask(&[("origin", origin)]), 403, "{origin}");
    }
    for site in ["cross-site", "same-site"] {
        assert_eq!(ask(&[("sec-fetch-site", site)]), 403, "{site}");
    }
    // It may not read either, and is not told that it may.
    let read = pool
        .question("GET", "/api/v1/luck")
        .header("host", "evil.example");
    let read = read.ask();
    assert_eq!(
        (read.status, read.header("access-control-allow-origin")),
        (403, "")
    );
    // What a form can send without being asked is refused, whoever sends it.
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "",
    ] {
        let body = json!({"reason": "a71"}).to_string();
        for key in [None, Some(&key)] {
            let mut question = pool.question("POST", pause).body(kind, body.clone());
            if let Some(key) = key {
                question = question.key(key);
            }
            let answer = question.ask();
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (415, "not_json"),
                "{kind}"
            );
        }
    }
    // Whoever comes through a proxy is not this machine, also where nobody named the proxy.
    for name in ["x-forwarded-for", "via", "forwarded", "x-real-ip"] {
        assert_eq!(ask(&[(name, "127.0.0.1")]), 401, "{name}");
    }
    assert_eq!(from_elsewhere(pool, "GET", "/api/v1/luck").status(), 401);
    let payouts = || {
        pool.question("GET", "/api/v1/operator/payouts")
            .ask()
            .json()
    };
    assert_eq!(payouts()["pools"][0]["paused"], Value::Null);
    assert_eq!(acts(pool), ["this machine: key made: ops"]);
    // And what is as it should be goes through.
    let own = format!("http://{host}");
    assert_eq!(
        ask(&[("origin", &own), ("sec-fetch-site", "same-origin")]),
        204
    );
    assert_eq!(
        ask(&[("host", "pool.example"), ("origin", "https://pool.example")]),
        204
    );
    assert_eq!(ask(&[("host", "localhost:3334")]), 204);
    assert_eq!(payouts()["pools"][0]["paused"], "a71");
    assert_eq!(acts(pool)[0], "this machine: payouts paused: main: a71");
}

#[test]
fn payouts_are_paused_with_a_reason_alone_and_all_that_is_done_is_listed_page_by_page() {
    let rig = Rig::new();
    let pool = &rig.pool;
    let pause = |body: Value| {
        let question = pool.question("POST", "/api/v1/pools/main/payouts/pause");
        question.json(&body).status()
    };
    for wrong in [
        json!({"reason": ""}),
        json!({"reason": "  "}),
        json!({"reason": "two\nlines"}),
        json!({"reason": "x".repeat(501)}),
        json!({"reason": 1}),
        json!({"reason": "x", "until": "tomorrow"}),
        json!({}),
    ] {
        assert_eq!(pause(wrong.clone()), 422, "{wrong}");
    }
    assert_eq!(acts(pool), [""; 0]);
    assert_eq!(pause(json!({"reason": "the wallet moves"})), 204);
    let terms = pool.question("GET", "/api/v1/pools/main").ask().json();
    assert_eq!(terms["terms"]["paused"], "the wallet moves");
    // What a command does stands in the same log.
    let config = pool.config.to_str().unwrap();
    assert!(run(&["payout", "-c", config, "resume"]).status.success());
    assert_eq!(
        acts(pool),
        [
            "this machine: payouts resumed: main",
            "this machine: payouts paused: main: the wallet moves",
        ]
    );
    let page = |path: &str| pool.question("GET", path).ask();
    let first = page("/api/v1/operator/log?limit=1").json();
    assert_eq!(first["items"][0]["what"], "payouts resumed");
    let next = first["next"].as_str().unwrap();
    let second = page(&format!("/api/v1/operator/log?limit=1&cursor={next}")).json();
    assert_eq!(second["items"][0]["what"], "payouts paused");
    assert_eq!(second["next"], Value::Null);
    assert_eq!(page("/api/v1/operator/log?cursor=x").status, 400);
    // Settings are those of `adit config`, without what is secret.
    let config = page("/api/v1/operator/config").json();
    let settings = config["settings"].as_array().unwrap();
    let value = |key: &str| {
        let found = settings.iter().find(|setting| setting["key"] == key);
        found.unwrap_or_else(|| panic!("{key}"))["value"].clone()
    };
    assert_eq!(value("http.burst"), "200");
    assert_eq!(value("pool.0.daemon.0.password"), "\"***\"");
}

/// A form of the page, as a browser sends it.
fn form<'a>(pool: &'a Pool, path: &'a str, cookie: &str, body: &str) -> Question<'a> {
    let origin = format!("http://127.0.0.1:{}", pool.http);
    let question = pool.question("POST", path).header("origin", origin);
    let question = question.header("sec-fetch-site", "same-origin");
    let question = question.header("cookie", cookie);
    question.body("application/x-www-form-urlencoded", body)
}

#[test]
fn the_operators_page_needs_a_login_and_does_without_script_what_the_api_does() {
    let rig = Rig::http(PROXY);
    let pool = &rig.pool;
    let key = make_key(pool, "anna");
    let page = |cookie: &str| {
        let question = pool.question("GET", "/operator");
        question.header("cookie", cookie).ask()
    };
    let none = page("");
    assert_eq!(none.status, 401);
    assert!(none.text.contains("type=\"password\"") && !none.text.contains("http.burst"));
    for path in [
        "/operator/pause",
        "/operator/resume",
        "/operator/lift",
        "/operator/reset",
    ] {
        let sent = form(pool, path, "", "pool=main&reason=x&address=9.9.9.9&index=0");
        assert_eq!(sent.status(), 401, "{path}");
    }
    let wrong = form(pool, "/operator/login", "", "key=adit_00").ask();
    assert_eq!(wrong.status, 401);
    assert!(wrong.text.contains("role=\"alert\"") && wrong.header("set-cookie").is_empty());
    let login = format!("key={key}");
    let entered = form(pool, "/operator/login", "", &login).ask();
    assert_eq!(
        (entered.status, entered.header("location")),
        (303, "/operator")
    );
    let set = entered.header("set-cookie");
    for part in [
        "HttpOnly",
        "SameSite=Strict",
        "Max-Age=43200",
        "Path=/operator",
    ] {
        assert!(set.contains(part), "{set}");
    }
    assert!(!set.contains("Secure") && !set.contains(&key), "{set}");
    let cookie = set.split(';').next().unwrap().to_owned();
    let shown = page(&cookie);
    assert_eq!(
        (shown.status, shown.header("cache-control")),
        (200, "no-store")
    );
    for part in [
        "http.burst",
        "daemon http://127.0.0.1",
        "key anna",
        "logged in",
        "&#34;***&#34;",
    ] {
        assert!(shown.text.contains(part), "{part}: {}", shown.text);
    }
    // The cookie opens the page alone, and never the API.
    let api = pool
        .question("POST", "/api/v1/pools/main/payouts/resume")
        .from("127.0.0.2");
    assert_eq!(api.header("cookie", cookie.as_str()).status(), 401);

    let pause = "pool=main&reason=%3Cscript%3Ealert(1)%3C%2Fscript%3E";
    assert_eq!(form(pool, "/operator/pause", &cookie, pause).status(), 303);
    let shown = page(&cookie).text;
    assert!(shown.contains("&#60;script&#62;alert(1)") && !shown.contains("<script>alert"));
    assert_eq!(
        form(pool, "/operator/pause", &cookie, "pool=main&reason=").status(),
        422
    );
    assert_eq!(
        form(pool, "/operator/pause", &cookie, "pool=x&reason=x").status(),
        404
    );
    assert_eq!(
        form(pool, "/operator/pause", &cookie, "pool=main").status(),
        400
    );
    assert_eq!(
        form(pool, "/operator/resume", &cookie, "pool=main").status(),
        303
    );
    assert_eq!(
        form(pool, "/operator/reset", &cookie, "pool=main&index=0").status(),
        303
    );
    assert_eq!(
        form(pool, "/operator/reset", &cookie, "pool=main&index=9").status(),
        404
    );
    assert_eq!(
        form(pool, "/operator/lift", &cookie, "address=9.9.9.9").status(),
        404
    );
    assert_eq!(
        form(pool, "/operator/count-anew", &cookie, "address=x").status(),
        404
    );
    let told = acts(pool);
    assert!(
        told[0].starts_with("key anna: daemon asked again: main: http://"),
        "{told:?}"
    );
    assert_eq!(told[1], "key anna: payouts resumed: main");

    // By TLS, as a proxy says that is believed, the cookie is for TLS alone.
    let by_tls = pool.question("POST", "/operator/login").from("127.0.0.2");
    let by_tls = by_tls
        .header("x-forwarded-for", "203.0.113.7")
        .header("x-forwarded-proto", "https");
    let by_tls = by_tls.header("sec-fetch-site", "same-origin");
    let by_tls = by_tls
        .body("application/x-www-form-urlencoded", login.clone())
        .ask();
    assert!(
        by_tls.header("set-cookie").ends_with("; Secure"),
        "{by_tls:?}"
    );

    assert_eq!(form(pool, "/operator/logout", &cookie, "").status(), 303);
    assert_eq!(page(&cookie).status, 401);
    // A key that is revoked takes its logins with it.
    let again = form(pool, "/operator/login", "", &login).ask();
    let cookie = again
        .header("set-cookie")
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    assert_eq!(page(&cookie).status, 200);
    assert!(key_command(pool, &["revoke", "anna"]).0);
    assert_eq!(page(&cookie).status, 401);
}

/// A71: a page elsewhere, also on another port of this host, cannot send a form with the operator's cookie.
#[test]
fn a71_a_form_of_another_origin_does_nothing() {
    let rig = Rig::new();
    let pool = &rig.pool;
    let key = make_key(pool, "ops");
    let login = format!("key={key}");
    let entered = form(pool, "/operator/login", "", &login).ask();
    let cookie = entered
        .header("set-cookie")
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    let own = format!("http://127.0.0.1:{}", pool.http);
    let sent = |headers: &[(&'static str, &str)]| {
        let mut question = pool
            .question("POST", "/operator/pause")
            .header("cookie", cookie.as_str());
        for (name, value) in headers {
            question = question.header(name, *value);
        }
        let body = "pool=main&reason=a71";
        question
            .body("application/x-www-form-urlencoded", body)
            .status()
    };
    assert_eq!(sent(&[]), 403, "nothing is said of where it comes from");
    for origin in ["http://127.0.0.1:1", "http://evil.example", "null"] {
        assert_eq!(sent(&[("origin", origin)]), 403, "{origin}");
        assert_eq!(
            sent(&[("origin", origin), ("sec-fetch-site", "same-origin")]),
            403
        );
    }
    for site in ["cross-site", "same-site"] {
        assert_eq!(
            sent(&[("origin", &own), ("sec-fetch-site", site)]),
            403,
            "{site}"
        );
    }
    assert_eq!(acts(pool)[0], "key ops: logged in: ");
    assert_eq!(sent(&[("origin", &own)]), 303);
    assert_eq!(acts(pool)[0], "key ops: payouts paused: main: a71");
}
