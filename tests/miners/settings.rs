//! Wishes.

use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};
use sqlx::Connection as _;

use super::{ask_for_payout, code, number, only, path, plain, put, send, told, wait_for_balance};
use crate::{
    coinbase,
    money::{Mint, OTHER, miner, on_chain},
    support::{Miner, Pool, key::Key, runtime, wait_for},
};

/// A block's worth after fees.
const EARNED: i64 = 4_875_000_000;
/// Longer than two changes have to be apart.
const APART: Duration = Duration::from_millis(1_100);

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap().as_millis().try_into().unwrap()
}

/// A pool whose miner has this key and a block's worth.
fn rich(settings: &str, key: &Key) -> Mint {
    let mint = Mint::new(settings);
    mint.find_block(&key.address);
    mint.bury(4);
    wait_for_balance(&mint, &miner(&key.address), (EARNED, 0));
    mint
}

/// The text of a wish as a miner writes it by hand: from what the pool says is to be signed, with
/// its own values in place of the pool's.
fn text(pool: &Pool, address: &str, which: &str, number: u64, wish: &Value) -> String {
    let settings = told(pool, address, "/payout-settings");
    let text = only(&settings)["to_sign"][which].as_str().unwrap();
    let lines = text.lines().map(|line| {
        let (name, _) = line.split_once(": ").unwrap_or((line, ""));
        match name {
            "number" => format!("number: {number}"),
            "threshold" | "schedule" | "pay_to" => {
                format!("{name}: {}", wish[name].as_str().unwrap())
            }
            "paused" => {
                let paused = wish["paused"].as_bool().unwrap();
                format!("paused: {}", if paused { "yes" } else { "no" })
            }
            _ => line.to_owned(),
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A wish with a number and a signature of it.
fn signed(wish: &Value, number: u64, signature: &str) -> Value {
    let mut wish = wish.clone();
    wish["number"] = json!(number);
    wish["signature"] = json!(signature);
    wish
}

/// Settings signed by a key, for the miner whose address it has.
fn settings(pool: &Pool, key: &Key, wish: &Value) -> Value {
    let number = now_ms();
    let text = text(pool, &key.address, "settings", number, wish);
    signed(wish, number, &key.sign(&text))
}

fn request(pool: &Pool, key: &Key) -> Value {
    let number = now_ms();
    let text = text(pool, &key.address, "payout", number, &json!({}));
    json!({"number": number, "signature": key.sign_bip322(&text)})
}

/// What a change of one field must not change.
fn settings_of(pool: &Pool, address: &str) -> Value {
    let mut settings = told(pool, address, "/payout-settings");
    let settings = settings["pools"][0].as_object_mut().unwrap();
    settings.remove("to_sign");
    Value::Object(settings.clone())
}

/// A70: settings without a proof, with a wrong one, and with one that was used.
#[test]
fn a70_settings_change_with_the_proof_of_the_address_alone_and_once() {
    let (key, thief) = (Key::new(1), Key::new(2));
    let mint = rich("maturity = 3\n", &key);
    let pool = &mint.pool;
    let before = settings_of(pool, &key.address);
    assert_eq!(before["proof"], Value::Null);
    let wish = json!({
        "threshold": "123456", "schedule": "weekly", "pay_to": thief.address, "paused": false,
    });
    let number = now_ms();
    let right = text(pool, &key.address, "settings", number, &wish);
    let refuse = |signature: &str| {
        let answer = put(pool, &key.address, &signed(&wish, number, signature));
        assert_eq!(code(403, signature, answer), "not_signed");
    };
    // Nothing, nonsense, the key of the address that is to be paid, and another key's.
    refuse("");
    refuse("c2lnbmVk");
    refuse(&"A".repeat(5_000));
    refuse(&thief.sign(&right));
    refuse(&thief.sign_bip322(&right));
    // The right key, but another pool, operator, coin, address, value, number or wish.
    for (line, other) in [
        ("pool: main", "pool: other"),
        ("coin: bitcoin regtest", "coin: bitcoin main"),
        ("threshold: 123456", "threshold: 123457"),
        ("threshold: 123456", "threshold: 0123456"),
        ("schedule: weekly", "schedule: daily"),
        ("paused: no", "paused: yes"),
        ("adit payout settings", "adit payout request"),
    ] {
        assert!(right.contains(line), "{right}");
        refuse(&key.sign(&right.replace(line, other)));
    }
    refuse(&key.sign(&right.replace(&thief.address, &key.address)));
    refuse(&key.sign(&right.replace(&key.address, &thief.address)));
    refuse(&key.sign(&right.replace(&number.to_string(), &(number + 1).to_string())));
    refuse(&key.sign(&(right.clone() + "\n")));
    let operator = right.lines().find(|line| line.starts_with("operator: "));
    refuse(&key.sign(&right.replace(operator.unwrap(), &format!("operator: {OTHER}"))));
    assert_eq!(settings_of(pool, &key.address), before);

    // Signed, it is done.
    let wish_signed = signed(&wish, number, &key.sign(&right));
    let (status, answer) = put(pool, &key.address, &wish_signed);
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["threshold"], "123456");
    assert_eq!(answer["schedule"], "weekly");
    assert_eq!(answer["pay_to"], thief.address);
    assert_eq!(answer["pay_to_default"], false);
    assert_eq!(answer["last_number"], number);
    assert_eq!(answer["proof"]["text"], right.as_str());
    assert_eq!(answer["due"], false);
    let from = answer["effective_from"].as_str().unwrap();
    assert_eq!(answer["waits_for"], from);
    let after = settings_of(pool, &key.address);

    // And not again: neither the same, nor with an older or the same number, nor by a request.
    std::thread::sleep(APART);
    let answer = put(pool, &key.address, &wish_signed);
    assert_eq!(code(409, "replayed", answer), "number_used");
    let older = text(pool, &key.address, "settings", number - 1, &wish);
    let older = signed(&wish, number - 1, &key.sign(&older));
    let answer = put(pool, &key.address, &older);
    assert_eq!(code(409, "older", answer), "number_used");
    // A number is of about now.
    for number in [number - 11 * 60 * 1000, now_ms() + 11 * 60 * 1000] {
        let late = text(pool, &key.address, "settings", number, &wish);
        let late = signed(&wish, number, &key.sign(&late));
        let (status, answer) = put(pool, &key.address, &late);
        let code = answer["error"]["code"].as_str().unwrap();
        match status {
            409 => assert_eq!(code, "number_used"),
            _ => assert_eq!((status, code), (422, "number_out_of_time")),
        }
    }
    assert_eq!(settings_of(pool, &key.address), after);

    // Two changes within a second cost the disk too much; the next one is done.
    let answer = wait_for("two changes within a second", || {
        let begun = Instant::now();
        let back = settings(pool, &key, &plain());
        assert_eq!(put(pool, &key.address, &back).0, 200);
        let soon = settings(pool, &key, &plain());
        let answer = put(pool, &key.address, &soon);
        // They are further apart where the machine is busy.
        let is_late = answer.0 == 200 && begun.elapsed() >= Duration::from_secs(1);
        if is_late {
            std::thread::sleep(APART);
        }
        (!is_late).then_some(answer)
    });
    assert_eq!(code(429, "too soon", answer), "too_soon");
    let now = settings_of(pool, &key.address);
    assert_eq!(
        (&now["pay_to"], &now["threshold"]),
        (&json!(key.address), &Value::Null)
    );
    // The way back is a change of the address too.
    assert!(now["effective_from"].as_str().unwrap() >= from, "{now}");
    mint.assert_balanced();
}

/// Nobody's settings but the signer's: a miner cannot sign for another.
#[test]
fn a70_a_signature_holds_for_its_own_address_alone() {
    let (key, other) = (Key::new(3), Key::new(4));
    let mint = rich("maturity = 3\n", &key);
    mint.find_block(&other.address);
    wait_for("the other miner in the books", || {
        (mint.balance(&miner(&other.address)).1 > 0).then_some(())
    });
    let pool = &mint.pool;
    let wish = settings(pool, &key, &plain());
    let answer = put(pool, &other.address, &wish);
    assert_eq!(code(403, "another's", answer), "not_signed");
    let answer = put(pool, OTHER, &wish);
    assert_eq!(code(404, "unknown", answer), "unknown_miner");
    // In capitals it is the same address, and the text has the one form.
    let capitals = key.address.to_ascii_uppercase();
    let (status, answer) = put(pool, &capitals, &wish);
    assert_eq!(status, 200, "{answer}");
}

#[test]
fn what_is_no_wish_is_refused_with_its_reason() {
    let key = Key::new(5);
    let mint = rich(PAYING_TOO_MUCH, &key);
    let pool = &mint.pool;
    let before = settings_of(pool, &key.address);
    let with = |field: &str, value: Value| {
        let mut wish = signed(&plain(), now_ms(), "");
        wish[field] = value;
        wish
    };
    for (field, value, expected) in [
        ("threshold", json!("-1"), "bad_threshold"),
        ("threshold", json!("+1"), "bad_threshold"),
        ("threshold", json!(""), "bad_threshold"),
        ("threshold", json!("0.1"), "bad_threshold"),
        ("threshold", json!("1e3"), "bad_threshold"),
        ("threshold", json!("9223372036854775808"), "bad_threshold"),
        ("threshold", json!(5), "bad_field"),
        ("schedule", json!("hourly"), "bad_schedule"),
        ("pay_to", json!("x"), "bad_pay_to"),
        ("pay_to", json!(""), "bad_pay_to"),
        (
            "pay_to",
            json!("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"),
            "bad_pay_to",
        ),
        ("paused", json!("no"), "bad_field"),
        ("number", json!(-1), "bad_field"),
        ("number", json!(1.5), "bad_field"),
        ("number", json!("1"), "bad_field"),
        ("number", json!(1), "number_out_of_time"),
        ("number", json!(u64::MAX), "number_out_of_time"),
        ("text", json!("signed"), "bad_field"),
        ("signature", Value::Null, "bad_field"),
    ] {
        let wish = with(field, value);
        let answer = put(pool, &key.address, &wish);
        assert_eq!(code(422, field, answer), expected, "{wish}");
    }
    for field in [
        "threshold",
        "schedule",
        "pay_to",
        "paused",
        "number",
        "signature",
    ] {
        let mut wish = signed(&plain(), now_ms(), "");
        wish.as_object_mut().unwrap().remove(field);
        let answer = put(pool, &key.address, &wish);
        assert_eq!(code(422, field, answer), "bad_field");
    }
    let answer = put(pool, &key.address, &with("number", json!(0)));
    assert_eq!(code(409, "zero", answer), "number_used");
    for (method, what) in [("PUT", "/payout-settings"), ("POST", "/payout")] {
        let path = path(&key.address, what);
        let json = Some("application/json");
        #[track_caller]
        fn case(status: u16, expected: &str, answer: (u16, Value)) {
            assert_eq!(code(status, expected, answer), expected);
        }
        case(400, "bad_json", pool.send(method, &path, json, "{"));
        case(400, "bad_json", pool.send(method, &path, json, ""));
        case(
            400,
            "bad_json",
            pool.send(method, &path, json, vec![0xff, 0xfe]),
        );
        let deep = "[".repeat(8_000);
        assert!([400, 422].contains(&pool.send(method, &path, json, deep).0));
        case(422, "bad_field", pool.send(method, &path, json, "[]"));
        case(415, "not_json", pool.send(method, &path, None, "{}"));
        let form = Some("application/x-www-form-urlencoded");
        case(415, "not_json", pool.send(method, &path, form, "a=b"));
        let large = format!("{{\"signature\": \"{}\"}}", "A".repeat(9_000));
        case(413, "too_large", pool.send(method, &path, json, large));
        let twice = "{\"number\": 1, \"number\": 2, \"signature\": \"\"}";
        case(422, "bad_field", pool.send(method, &path, json, twice));
    }
    let mut wish = request(pool, &key);
    wish["amount"] = json!("1000");
    let answer = ask_for_payout(pool, &key.address, &wish);
    assert_eq!(code(422, "an amount", answer), "amount_not_taken");
    let mut wish = request(pool, &key);
    wish["coin"] = json!("bitcoin");
    let answer = ask_for_payout(pool, &key.address, &wish);
    assert_eq!(code(422, "another field", answer), "bad_field");
    assert_eq!(settings_of(pool, &key.address), before);
    // No page of another origin is told that it may do this.
    let url = format!(
        "http://127.0.0.1:{}{}",
        pool.http,
        path(&key.address, "/payout")
    );
    let asked = reqwest::Client::new()
        .request(reqwest::Method::OPTIONS, url)
        .header("origin", "https://elsewhere.example")
        .header("access-control-request-method", "POST");
    let answer = runtime().block_on(async { asked.send().await.unwrap() });
    assert_eq!(answer.status(), 405);
    let names = answer.headers().keys();
    assert_eq!(
        names
            .filter(|name| name.as_str().starts_with("access-control"))
            .count(),
        0
    );
}

/// Pays, but nobody reaches the threshold.
const PAYING_TOO_MUCH: &str = "maturity = 3\n[pool.payout]\nenabled = true\nevery_s = 1\n\
                               confirmations = 2\nfee_rate = \"0.00005\"\nthreshold = \"1000\"\n";

/// A70: a payout that is asked for without a proof, with a wrong one, and with one that was used.
#[test]
fn a70_a_payout_is_asked_for_with_a_proof_and_once() {
    let (key, thief) = (Key::new(6), Key::new(7));
    let mint = rich(PAYING_TOO_MUCH, &key);
    let pool = &mint.pool;
    // It would be paid within a second if it were due.
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(mint.balance(&miner(&key.address)), (EARNED, 0));
    let number = now_ms();
    let right = text(pool, &key.address, "payout", number, &json!({}));
    for signature in [
        String::new(),
        thief.sign(&right),
        key.sign(&(right.clone() + " ")),
    ] {
        let wish = json!({"number": number, "signature": signature});
        let answer = ask_for_payout(pool, &key.address, &wish);
        assert_eq!(code(403, "a payout", answer), "not_signed");
    }
    assert_eq!(settings_of(pool, &key.address)["requested"], false);
    let wish = json!({"number": number, "signature": key.sign_bip322(&right)});
    let (status, answer) = ask_for_payout(pool, &key.address, &wish);
    assert_eq!(status, 202, "{answer}");
    assert_eq!(
        (&answer["requested"], &answer["due"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(answer["payouts"], "on");
    wait_for("the payout", || {
        (mint.balance(&miner(&key.address)).0 == 0).then_some(())
    });
    assert_eq!(settings_of(pool, &key.address)["requested"], false);
    // The same again asks for nothing, and there is nothing.
    let answer = ask_for_payout(pool, &key.address, &wish);
    assert_eq!(code(409, "replayed", answer), "too_little");
    let answer = put(pool, &key.address, &signed(&plain(), number, ""));
    assert_eq!(code(409, "the same number", answer), "number_used");
    wait_for("the confirmation", || {
        mint.bury(1);
        let payments = told(pool, &key.address, "/payouts");
        (payments["items"].get(0)?["state"] == "confirmed").then_some(())
    });
    let paid = on_chain(&mint.node.rpc, &key.address);
    assert_eq!(i64::try_from(paid), Ok(EARNED));
    mint.assert_balanced();
    // With money again, the old request is still used.
    mint.find_block(&key.address);
    mint.bury(4);
    wait_for("money again", || {
        (mint.balance(&miner(&key.address)).0 > 0).then_some(())
    });
    let answer = ask_for_payout(pool, &key.address, &wish);
    assert_eq!(code(409, "replayed", answer), "number_used");
    assert_eq!(settings_of(pool, &key.address)["requested"], false);
}

#[test]
fn where_nobody_is_paid_no_payout_can_be_asked_for() {
    let key = Key::new(8);
    let mint = rich("maturity = 3\n", &key);
    let wish = request(&mint.pool, &key);
    let answer = ask_for_payout(&mint.pool, &key.address, &wish);
    assert_eq!(code(409, "a payout", answer), "payouts_off");
    assert_eq!(settings_of(&mint.pool, &key.address)["payouts"], "off");
}

/// A70: whoever got at a key and changes the address that is paid is paid nothing for a day.
#[test]
fn a70_a_changed_address_is_paid_after_a_day_and_not_before() {
    let key = Key::new(9);
    let mint = rich(PAYING_TOO_MUCH, &key);
    let pool = &mint.pool;
    let mut wish = plain();
    wish["pay_to"] = json!(OTHER);
    wish["threshold"] = json!("1");
    let (status, answer) = put(pool, &key.address, &settings(pool, &key, &wish));
    assert_eq!(status, 200, "{answer}");
    std::thread::sleep(APART);
    // Asking does not help.
    let (status, answer) = ask_for_payout(pool, &key.address, &request(pool, &key));
    assert_eq!((status, &answer["due"]), (202, &json!(false)), "{answer}");
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(mint.balance(&miner(&key.address)), (EARNED, 0));
    assert_eq!(mint.ask(&["payout", "list"]), json!([]));
    let preview = mint.ask(&["payout", "preview"]);
    let lines = preview["owners"].as_array().unwrap().iter();
    let mut mine = lines.filter(|line| line["account"] == miner(&key.address).as_str());
    let because = mine.next().unwrap()["because"].as_str().unwrap().to_owned();
    let from = settings_of(pool, &key.address)["effective_from"].clone();
    assert_eq!(because, format!("not before {}", from.as_str().unwrap()));
    a_day_goes_by(pool);
    wait_for("the payment at the other address", || {
        mint.bury(1);
        let payments = told(pool, &key.address, "/payouts");
        (payments["items"].get(0)?["state"] == "confirmed").then_some(())
    });
    let payments = told(pool, &key.address, "/payouts");
    assert_eq!(payments["items"][0]["pay_to"], OTHER);
    assert_eq!(
        number(&payments["items"][0]["amount"]),
        EARNED.unsigned_abs().into()
    );
    let rpc = &mint.node.rpc;
    assert_eq!(i64::try_from(on_chain(rpc, OTHER)), Ok(EARNED));
    assert_eq!(on_chain(rpc, &key.address), 0);
    mint.assert_balanced();
}

fn a_day_goes_by(pool: &Pool) {
    runtime().block_on(async {
        let url = format!("sqlite:{}", pool.database().display());
        let mut database = sqlx::SqliteConnection::connect(&url).await.unwrap();
        let day = "UPDATE payout_settings SET pay_to_since_ms = pay_to_since_ms - 86400000";
        sqlx::query(day).execute(&mut database).await.unwrap();
    });
}

/// A70: a block that pays by itself pays as a payout would: not while payouts are paused or a changed
/// address is young, and then there.
#[test]
fn a70_a_coinbase_pays_a_changed_address_after_a_day_and_not_before() {
    const ELSEWHERE: &str = "bcrt1q5n2k3frgpxces3dsw4qfpqk4kksv0cz96pldxdwxrrw0d5ud5hcqzzx7zt";
    let key = Key::new(11);
    let mint = Mint::new(coinbase::SPLITTING);
    let pool = &mint.pool;
    mint.find_block(&key.address);
    mint.find_block(OTHER);
    let mut watcher = Miner::ready(pool.miners);
    coinbase::wait_for_split(&mut watcher, 3);
    let mut wish = plain();
    let mut change = |field: &str, value: Value| {
        wish[field] = value;
        std::thread::sleep(APART);
        let (status, answer) = put(pool, &key.address, &settings(pool, &key, &wish));
        assert_eq!(
            (status, &answer["coinbase_pays"]),
            (200, &json!(true)),
            "{answer}"
        );
    };
    change("pay_to", json!(ELSEWHERE));
    coinbase::wait_for_split(&mut watcher, 2);
    a_day_goes_by(pool);
    coinbase::wait_for_split(&mut watcher, 3);
    change("paused", json!(true));
    coinbase::wait_for_split(&mut watcher, 2);
    change("paused", json!(false));
    coinbase::wait_for_split(&mut watcher, 3);
    let paid = coinbase::paid_by(&mint, mint.find_block(OTHER));
    assert_eq!(paid.get(&key.address), None, "{paid:?}");
    assert!(paid[ELSEWHERE] > 0, "{paid:?}");
    mint.bury(4);
    wait_for("all to be mature", || {
        (mint.balance("reward") == (-3 * coinbase::REWARD, 0)).then_some(())
    });
    // It is the miner's, wherever it went.
    assert_eq!(mint.balance("paid"), (paid[ELSEWHERE] + paid[OTHER], 0));
    mint.assert_balanced();
}

/// What a miner wants is what the payer does: a threshold, and a pause.
#[test]
fn settings_are_heeded_by_whoever_pays() {
    let key = Key::new(10);
    let mint = rich(PAYING_TOO_MUCH, &key);
    let pool = &mint.pool;
    let mut wish = plain();
    wish["threshold"] = json!("1000000");
    wish["paused"] = json!(true);
    let (status, answer) = put(pool, &key.address, &settings(pool, &key, &wish));
    assert_eq!((status, &answer["paused"]), (200, &json!(true)), "{answer}");
    assert_eq!(answer["waits_for"], "the end of the miner's own pause");
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(mint.balance(&miner(&key.address)), (EARNED, 0));
    wish["paused"] = json!(false);
    assert_eq!(put(pool, &key.address, &settings(pool, &key, &wish)).0, 200);
    wait_for("the payout", || {
        (mint.balance(&miner(&key.address)).0 == 0).then_some(())
    });
    // To an operator's pause it is told.
    mint.say(&["payout", "pause", "--reason", "a look at the wallet"]);
    assert_eq!(settings_of(pool, &key.address)["payouts"], "paused");
}

/// A70: a hundred times the same at once is one change.
#[test]
fn a70_the_same_wish_sent_at_once_from_everywhere_is_done_once() {
    let key = Key::new(11);
    let mint = rich("maturity = 3\n", &key);
    let pool = &mint.pool;
    let wish = settings(pool, &key, &plain()).to_string();
    let url = format!(
        "http://127.0.0.1:{}{}",
        pool.http,
        path(&key.address, "/payout-settings")
    );
    let statuses = runtime().block_on(async {
        let client = reqwest::Client::new();
        let asked = (0..100).map(|_| {
            let asked = client.put(&url).header("content-type", "application/json");
            asked.body(wish.clone()).send()
        });
        let answers = futures_util::future::join_all(asked).await;
        let statuses = answers
            .into_iter()
            .map(|answer| answer.unwrap().status().as_u16());
        statuses.collect::<Vec<_>>()
    });
    let count = |status| statuses.iter().filter(|found| **found == status).count();
    assert_eq!((count(200), count(409)), (1, 99), "{statuses:?}");
}

/// The body must come, and in time.
#[test]
fn a_body_that_does_not_come_is_not_waited_for() {
    use std::io::{Read as _, Write as _};
    let key = Key::new(12);
    let mint = rich("maturity = 3\n", &key);
    let address = crate::support::loopback(mint.pool.http);
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    let path = path(&key.address, "/payout");
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
         content-length: 100\r\n\r\n{{"
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408");
    // An honest one is answered meanwhile and after.
    let (status, _) = send(&mint.pool, "POST", &path, &json!({}));
    assert_eq!(status, 422);
}
