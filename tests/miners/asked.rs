//! Questions.

use serde_json::Value;

use super::{code, number, only, path, refusal, told, wait_for_balance};
use crate::{
    money::{Mint, OTHER, PAYING, miner, on_chain},
    support::{ADDRESS, Miner, Rig, wait_for},
};

/// What two blocks and their maturity leave, asked in every way, against the books.
#[test]
fn what_is_said_of_a_miner_is_what_the_books_say() {
    let mint = Mint::new("maturity = 3\n");
    let pool = &mint.pool;
    mint.find_block(OTHER);
    mint.find_block(ADDRESS);
    let amount = 2_437_500_000;
    wait_for_balance(&mint, &miner(ADDRESS), (0, amount));
    assert_balance(&mint, [amount, 0, 0, 0, 0]);
    wait_for("the chain to have it", || {
        let credits = told(pool, ADDRESS, "/credits");
        (credits["items"][0]["state"] == "immature").then_some(())
    });
    assert_balance(&mint, [amount, 0, 0, 0, 0]);
    mint.bury(4);
    wait_for_balance(&mint, &miner(ADDRESS), (amount, 0));
    assert_balance(&mint, [0, amount, 0, 0, 0]);
    // The same in capitals, as it stands in QR codes, and for the coin alone by name or ticker.
    let balances = told(pool, ADDRESS, "/balances");
    let capitals = ADDRESS.to_ascii_uppercase();
    assert_eq!(told(pool, &capitals, "/balances"), balances);
    for coin in ["bitcoin", "BTC", "btc"] {
        let what = format!("/balance/{coin}");
        assert_eq!(told(pool, ADDRESS, &what), balances, "{coin}");
    }
    let mine = only(&balances);
    assert_eq!(balances["address"], ADDRESS);
    for (name, value) in [
        ("pool", "main"),
        ("coin", "bitcoin"),
        ("ticker", "BTC"),
        ("network", "regtest"),
        ("unit", "satoshis"),
    ] {
        assert_eq!(mine[name], value);
    }
    let summary = told(pool, ADDRESS, "");
    let summary = only(&summary);
    for key in [
        "immature",
        "available",
        "pending",
        "in_flight",
        "paid",
        "earned",
    ] {
        assert_eq!(summary["balance"][key], mine[key], "{key}");
    }
}

/// The books' own lines add up to the balance, page by page too.
#[test]
fn a_statement_adds_up_to_the_balance() {
    let mint = Mint::new(PAYING);
    let pool = &mint.pool;
    mint.find_block(ADDRESS);
    mint.bury(4);
    wait_for("a payment", || {
        (mint.balance(&miner(ADDRESS)).0 == 0).then_some(())?;
        told(pool, ADDRESS, "/payouts")["items"].get(0).map(|_| ())
    });
    mint.find_block(ADDRESS);
    wait_for("more to come", || {
        (mint.balance(&miner(ADDRESS)).1 > 0).then_some(())
    });
    let mut lines: Vec<Value> = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = told(pool, ADDRESS, &format!("/statement?limit=1{cursor}"));
        lines.extend(page["items"].as_array().unwrap().iter().cloned());
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let sum = |state: &str| -> i64 {
        let lines = lines.iter().filter(|line| line["state"] == state);
        let amounts = lines.map(|line| line["amount"].as_str().unwrap());
        amounts.map(|amount| amount.parse::<i64>().unwrap()).sum()
    };
    let books = mint.balance(&miner(ADDRESS));
    assert_eq!((sum("posted"), sum("pending")), books);
    let entries: Vec<_> = lines.iter().map(|line| &line["entry"]).collect();
    let statement = mint.ask(&["ledger", "statement", &miner(ADDRESS)]);
    let told_to_operator = statement.as_array().unwrap().iter();
    let told_to_operator: Vec<_> = told_to_operator.map(|line| &line["entry"]).collect();
    assert_eq!(entries, told_to_operator);
    assert!(lines.len() >= 3, "{lines:?}");
}

/// Where shares are paid for as they come, they are earned without a block.
#[test]
fn shares_that_are_paid_for_are_earned_without_a_block() {
    let settings = "maturity = 3\nscheme = \"fpps\"\n[pool.reserve]\ncredit_every_s = 1\n";
    let mint = Mint::new(settings);
    let pool = &mint.pool;
    mint.say(&["ledger", "deposit", "200", "--reason", "a test"]);
    mint.find_block(ADDRESS);
    let earned = wait_for("shares to be paid for", || {
        (mint.balance(&miner(ADDRESS)).0 > 0).then(|| mint.balance(&miner(ADDRESS)).0)
    });
    assert_balance(&mint, [0, earned, 0, 0, 0]);
    let statement = told(pool, ADDRESS, "/statement");
    let entry = statement["items"][0]["entry"].as_str().unwrap();
    assert!(entry.starts_with("bitcoin:shares:fpps:"), "{statement}");
    assert_eq!(
        told(pool, ADDRESS, "/credits")["items"],
        serde_json::json!([])
    );
    let estimate = told(pool, ADDRESS, "/estimate");
    let scheme = &only(&estimate)["schemes"][0];
    assert_eq!(scheme["scheme"], "fpps");
    // There are no transactions: the subsidy alone.
    assert_eq!(number(&scheme["reward"]), 5_000_000_000);
    assert_eq!(number(&scheme["miners_part"]), 4_875_000_000);
}

/// Immature, available, pending, in flight and paid, as the API and the operator's command say it.
#[track_caller]
fn assert_balance(mint: &Mint, expected: [i64; 5]) {
    let balances = told(&mint.pool, ADDRESS, "/balances");
    let mine = only(&balances);
    let names = ["immature", "available", "pending", "in_flight", "paid"];
    let found = names.map(|name| i64::try_from(number(&mine[name])).unwrap());
    assert_eq!(found, expected);
    let (posted, pending) = mint.balance(&miner(ADDRESS));
    assert_eq!((found[1], found[0]), (posted, pending));
    let earned: i64 = found[1..].iter().sum();
    assert_eq!(number(&mine["earned"]), u128::try_from(earned).unwrap());
}

#[test]
fn every_credit_can_be_calculated_again() {
    let mint = Mint::new("maturity = 3\n");
    let pool = &mint.pool;
    for _ in 0..2 {
        mint.find_block(OTHER);
    }
    mint.find_block(ADDRESS);
    wait_for("three blocks in the books", || {
        (mint.balance("reward").1 == -15_000_000_000).then_some(())
    });
    let mut sums: Vec<u128> = Vec::new();
    for address in [OTHER, ADDRESS] {
        let credits = told(pool, address, "/credits");
        let list = credits["items"].as_array().unwrap();
        assert_eq!(list.len(), if address == OTHER { 3 } else { 1 });
        for credit in list {
            let block = credit["block"].as_str().unwrap();
            let why = told(pool, address, &format!("/credits/{block}"));
            for (key, value) in credit.as_object().unwrap() {
                assert_eq!(why[key], *value, "{key}");
            }
            assert_explained(&why);
        }
        sums.push(list.iter().map(|credit| number(&credit["amount"])).sum());
        let books = mint.balance(&miner(address)).1;
        assert_eq!(Some(&u128::try_from(books).unwrap()), sums.last());
    }
    // Miners and fees together have all of three rewards.
    let fees = mint.balance("fee:pool").1 + mint.balance("fee:foundation").1;
    let all = sums.iter().sum::<u128>() + u128::try_from(fees).unwrap();
    assert_eq!(all, 15_000_000_000);
    // A credit of another miner's block is nobody's.
    let first = &told(pool, OTHER, "/credits")["items"][2];
    let block = first["block"].as_str().unwrap();
    let missing = path(ADDRESS, &format!("/credits/{block}"));
    assert_eq!(refusal(pool, 404, &missing), "unknown_credit");
}

/// Everything that a credit says of itself fits together.
#[track_caller]
fn assert_explained(why: &Value) {
    let of = |key: &str| number(&why[key]);
    assert_eq!(why["scheme"], "pplns");
    let mut fees = 0;
    for (fee, (name, percent, amount)) in why["fee_list"]
        .as_array()
        .unwrap()
        .iter()
        .zip([("pool", "1.5", 75_000_000), ("foundation", "1", 50_000_000)])
    {
        assert_eq!(fee["name"], name);
        assert_eq!(fee["percent"], percent);
        assert_eq!(number(&fee["amount"]), amount);
        fees += amount;
    }
    assert_eq!(of("fees"), fees);
    assert_eq!(of("miners_part"), of("reward") - fees);
    let product = of("miners_part") * of("work");
    assert_eq!(of("whole_units"), product / of("window_work"));
    let rest = number(&why["fraction"]["numerator"]);
    assert_eq!(rest, product % of("window_work"));
    assert_eq!(why["fraction"]["denominator"], why["window_work"]);
    assert_eq!(of("whole_units") + of("left_units"), of("amount"));
    assert!(of("left_units") <= 1 && of("window_work") <= of("window_length"));
    let full = of("window_work") == of("window_length");
    assert_eq!(why["window_full"], full);
    assert_eq!(why["matures_after"], 3);
    let entry = why["entry"].as_str().unwrap();
    let block = why["block"].as_str().unwrap();
    assert_eq!(entry, format!("bitcoin:block:{block}:credit:1"));
}

#[test]
fn payments_are_listed_until_the_chain_has_paid_them() {
    let mint = Mint::new(PAYING);
    let pool = &mint.pool;
    mint.find_block(ADDRESS);
    mint.bury(4);
    let amount = 4_875_000_000;
    let on_its_way = wait_for("a payment on its way", || {
        let payments = told(pool, ADDRESS, "/payouts");
        payments["items"].get(0)?["txid"].as_str()?;
        Some(payments["items"][0].clone())
    });
    assert_eq!(number(&on_its_way["amount"]), amount);
    assert_eq!(on_its_way["pay_to"], ADDRESS);
    wait_for("the transaction to be sent", || {
        let payments = told(pool, ADDRESS, "/payouts");
        (payments["items"][0]["state"] == "broadcast").then_some(())
    });
    let amount = i64::try_from(amount).unwrap();
    assert_balance(&mint, [0, 0, 0, amount, 0]);
    wait_for("the confirmation", || {
        mint.bury(1);
        let payments = told(pool, ADDRESS, "/payouts");
        (payments["items"][0]["state"] == "confirmed").then_some(())
    });
    assert_balance(&mint, [0, 0, 0, 0, amount]);
    let paid = on_chain(&mint.node.rpc, ADDRESS);
    assert_eq!(i64::try_from(paid), Ok(amount));
}

/// A block solved solo is paid by its coinbase: never owed, and listed.
#[test]
fn a_block_solved_solo_is_paid_at_once() {
    let mint = Mint::new("maturity = 3\nscheme = \"solo\"\n");
    let pool = &mint.pool;
    mint.find_block(ADDRESS);
    let credit = wait_for("a credit", || {
        let credits = told(pool, ADDRESS, "/credits");
        credits["items"].get(0).cloned()
    });
    assert_balance(&mint, [0, 0, 0, 0, 0]);
    let block = credit["block"].as_str().unwrap();
    let why = told(pool, ADDRESS, &format!("/credits/{block}"));
    assert_eq!(why["scheme"], "solo");
    assert_eq!(number(&why["amount"]), 5_000_000_000);
    assert_eq!(why["whole_units"], why["amount"]);
    mint.bury(4);
    wait_for("the block to be mature", || {
        (mint.balance("paid").0 == 5_000_000_000).then_some(())
    });
    assert_balance(&mint, [0, 0, 0, 0, 5_000_000_000]);
    let estimate = told(pool, ADDRESS, "/estimate");
    let scheme = &only(&estimate)["schemes"][0];
    assert_eq!(scheme["scheme"], "solo");
    assert_eq!(scheme["miners_part"], only(&estimate)["block"]["reward"]);
}

#[test]
fn work_is_counted_by_miner_and_by_worker() {
    let rig = Rig::heavy(crate::support::FIXED_DIFFICULTY);
    let pool = &rig.pool;
    for (worker, shares) in [("a", 3), ("b", 2)] {
        let mut miner = Miner::connect(pool.miners);
        miner.log_in(&format!("{ADDRESS}.{worker}"));
        for nth in 0..shares {
            let share = miner.share(nth);
            let params = Miner::params(&format!("{ADDRESS}.{worker}"), &share);
            assert_eq!(miner.ask("mining.submit", params)["result"], true);
            if nth == 0 {
                // Once more: it is refused.
                let params = Miner::params(&format!("{ADDRESS}.{worker}"), &share);
                assert_eq!(miner.ask("mining.submit", params)["result"], false);
            }
        }
        let stats = told(pool, ADDRESS, "/stats");
        let stats = only(&stats);
        assert_eq!(
            (&stats["connected"], &stats["rejected"]),
            (&1.into(), &1.into())
        );
        drop(miner);
        wait_for("the miner to be gone", || {
            let stats = told(pool, ADDRESS, "/stats");
            (only(&stats)["connected"] == 0).then_some(())
        });
    }
    let stats = told(pool, ADDRESS, "/stats");
    let stats = only(&stats);
    assert_eq!(
        (&stats["shares"], &stats["workers"]),
        (&5.into(), &2.into())
    );
    assert_eq!(number(&stats["work"]), rig.work());
    for window in ["1m", "5m", "15m", "1h", "6h", "1d", "7d"] {
        assert!(stats["hashrate"][window].as_f64().unwrap() > 0.0, "{stats}");
    }
    let workers = told(pool, ADDRESS, "/workers");
    let list = workers["items"].as_array().unwrap();
    let shares = list.iter().map(|worker| worker["shares"].as_u64().unwrap());
    assert_eq!(shares.collect::<Vec<_>>(), [3, 2]);
    let work = list.iter().map(|worker| number(&worker["work"]));
    assert_eq!(work.sum::<u128>(), rig.work());
    // Page by page.
    let first = told(pool, ADDRESS, "/workers?limit=1");
    assert_eq!(first["items"].as_array().unwrap().len(), 1);
    let next = first["next"].as_str().unwrap();
    let second = told(pool, ADDRESS, &format!("/workers?limit=1&cursor={next}"));
    assert_eq!(second["items"][0]["name"], "b");
    assert_eq!(
        (&second["next"], &workers["next"]),
        (&Value::Null, &Value::Null)
    );
    // What is expected is what the fields say, calculated again.
    let estimate = told(pool, ADDRESS, "/estimate");
    let estimate = only(&estimate);
    assert!(estimate["assumptions"].as_array().unwrap().len() > 3);
    let network = number(&estimate["block"]["network_work"]);
    let scheme = &estimate["schemes"][0];
    let part = number(&scheme["miners_part"]);
    let fees = scheme["fees"].as_array().unwrap().iter();
    let fees: u128 = fees.map(|fee| number(&fee["amount"])).sum();
    assert_eq!(part + fees, number(&estimate["block"]["reward"]));
    for expected in scheme["expected"].as_array().unwrap() {
        let seconds = u128::from(expected["seconds"].as_u64().unwrap());
        let most = part * number(&expected["work"]) * 86_400;
        let per_day = number(&expected["per_day"]);
        // It counts in milliseconds.
        assert!(per_day <= most / (network * seconds.max(1)), "{expected}");
        assert!(per_day >= most / (network * (seconds + 1)), "{expected}");
    }
}

#[test]
fn a_question_without_sense_is_refused_with_its_reason() {
    let mint = Mint::new("maturity = 3\n");
    let pool = &mint.pool;
    mint.find_block(ADDRESS);
    wait_for_balance(&mint, &miner(ADDRESS), (0, 4_875_000_000));
    let block = "0".repeat(64);
    let credit = format!("/credits/{block}");
    let every = [
        "",
        "/stats",
        "/statement",
        "/workers",
        "/balances",
        "/balance/bitcoin",
        "/credits",
        &credit,
        "/estimate",
        "/payouts",
        "/payout-settings",
    ];
    let long = "b".repeat(91);
    for what in every {
        for address in [
            "x",
            "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
            "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt081",
            "%00",
            "%2e%2e%2f",
            "'%20OR%201=1--",
            &long,
            &"9".repeat(5000),
        ] {
            let code = refusal(pool, 400, &path(address, what));
            assert_eq!(code, "bad_address", "{address} {what}");
        }
        assert_eq!(refusal(pool, 400, &path("%ff", what)), "bad_path");
        assert_eq!(refusal(pool, 404, &path(OTHER, what)), "unknown_miner");
        let answer = pool.send("DELETE", &path(ADDRESS, what), None, "");
        assert_eq!(code(405, what, answer), "wrong_method");
    }
    #[track_caller]
    fn case(mint: &Mint, status: u16, what: &str, expected: &str) {
        let code = refusal(&mint.pool, status, &path(ADDRESS, what));
        assert_eq!(code, expected, "{what}");
    }
    case(&mint, 404, "/balance/litecoin", "unknown_coin");
    case(&mint, 404, "/balance/x", "unknown_coin");
    case(&mint, 404, &credit, "unknown_credit");
    case(&mint, 404, "/nothing", "not_found");
    case(&mint, 400, "/credits/%ff", "bad_path");
    case(&mint, 400, "/balance/%ff", "bad_path");
    for block in ["x", "0x12", &block[1..], &"g".repeat(64)] {
        case(&mint, 400, &format!("/credits/{block}"), "bad_block");
    }
    for list in ["/workers", "/credits", "/payouts", "/statement"] {
        for (query, expected) in [
            ("limit=0", "bad_limit"),
            ("limit=501", "bad_limit"),
            ("limit=-1", "bad_query"),
            ("limit=x", "bad_query"),
            ("limit=1&limit=2", "bad_query"),
            ("page=1", "bad_query"),
            ("cursor=", "bad_cursor"),
            ("cursor=7", "bad_cursor"),
            ("cursor=main:x", "bad_cursor"),
            ("cursor=main:%2b1", "bad_cursor"),
            ("cursor=main:-1", "bad_cursor"),
            ("cursor=main:99999999999999999999", "bad_cursor"),
            ("cursor=other:1", "bad_cursor"),
        ] {
            case(&mint, 400, &format!("{list}?{query}"), expected);
        }
        case(&mint, 404, &format!("{list}?pool=other"), "unknown_pool");
        // Beyond the end there is nothing.
        let most = format!("{list}?limit=500&cursor=main:{}", u64::MAX);
        told(pool, ADDRESS, &most);
    }
}

/// Two pools of one process, of one coin: a list goes through both, and each can be asked alone.
#[test]
fn a_list_goes_through_all_pools_that_know_the_miner() {
    let port = crate::support::free_port();
    let folder = tempfile::TempDir::new().unwrap();
    // A share is no block there, which would make the next one stale.
    let node = crate::support::Node::simnet(&folder);
    let daemon = node.rpc.daemon();
    let second = format!(
        "{daemon}\n[[pool]]\nname = \"second\"\nnetwork = \"regtest\"\npayout_address = \"{ADDRESS}\"\n\
         [[pool.listener]]\nlisten = \"127.0.0.1:{port}\"\n{}\n{daemon}",
        crate::support::FIXED_DIFFICULTY
    );
    let settings = crate::support::PoolSettings {
        daemons: second,
        ..Default::default()
    };
    let pool = crate::support::Pool::start(&folder, &settings);
    for (port, workers) in [(pool.miners, ["a", "b"]), (port, ["c", "d"])] {
        for worker in workers {
            let user = format!("{ADDRESS}.{worker}");
            let mut miner = Miner::connect(port);
            miner.log_in(&user);
            let params = Miner::params(&user, &miner.share(1));
            assert_eq!(miner.ask("mining.submit", params)["result"], true);
        }
    }
    let names = |what: &str| {
        let (mut names, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = told(&pool, ADDRESS, &format!("/workers?{what}{cursor}"));
            for worker in page["items"].as_array().unwrap() {
                let text = |key: &str| worker[key].as_str().unwrap().to_owned();
                names.push(format!("{}/{}", text("pool"), text("name")));
            }
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return names,
            }
        }
    };
    let all = ["main/a", "main/b", "second/c", "second/d"];
    for limit in 1..=5 {
        assert_eq!(names(&format!("limit={limit}")), all, "{limit}");
    }
    assert_eq!(names("limit=1&pool=second"), all[2..]);
    assert_eq!(names("limit=2&pool=main"), all[..2]);
    let across = path(ADDRESS, "/workers?pool=main&cursor=second:1");
    assert_eq!(refusal(&pool, 400, &across), "bad_cursor");
    let stats = told(&pool, ADDRESS, "/stats");
    assert_eq!(stats["pools"].as_array().unwrap().len(), 2);
    // A wish is for one pool, and says which.
    let wish = serde_json::json!({"number": 1, "signature": ""});
    let answer = super::ask_for_payout(&pool, ADDRESS, &wish);
    assert_eq!(code(400, "no pool", answer), "no_pool");
    let wish = serde_json::json!({"pool": "third", "number": 1, "signature": ""});
    let answer = super::ask_for_payout(&pool, ADDRESS, &wish);
    assert_eq!(code(404, "another pool", answer), "unknown_pool");
}

#[test]
fn the_description_that_is_served_is_the_one_in_the_tree() {
    let rig = Rig::new();
    let (status, served) = rig.pool.get("/api/openapi.json").unwrap();
    assert_eq!(status, 200);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");
    assert!(served == std::fs::read_to_string(path).unwrap());
}

/// The status page is for everyone, and says nothing of anybody's money.
#[test]
fn the_status_page_says_nothing_of_balances() {
    let mint = Mint::new("maturity = 3\n");
    mint.find_block(ADDRESS);
    wait_for_balance(&mint, &miner(ADDRESS), (0, 4_875_000_000));
    let (_, page) = mint.pool.get("/").unwrap();
    assert!(
        !page.contains("48.75") && !page.contains("4875000000"),
        "{page}"
    );
}
