//! What each reader does with what it gets, as of 2026.

use serde_json::{Value, json};

use super::{Answer, Kind::*, ask, ask_at, assert_open_and_kept, assert_reads, told};
use crate::{
    money::{Mint, OTHER},
    support::{ADDRESS, Miner, wait_for},
};

/// A pool with a block of each of two miners, and one of them connected.
fn pool() -> (Mint, Miner) {
    let mint = Mint::new("maturity = 3\n");
    mint.find_block(OTHER);
    mint.find_block(ADDRESS);
    let mut miner = Miner::connect(mint.pool.miners);
    miner.log_in_as("bitaxe/BM1370/v2.13", &format!("{ADDRESS}.rig"));
    // Figures of the best shares are seconds late.
    wait_for("the shares to be rolled up", || {
        told(&mint.pool, "/api/info")["highScores"].get(1).map(drop)
    });
    (mint, miner)
}

/// ckstats joins the lines of a status and makes numbers of all fields; of a user it makes `BigInt`s, and
/// one that is none ends its reading of that user.
#[test]
fn ckstats_reads_the_status_and_the_users() {
    let (mint, _miner) = pool();
    let pool = &mint.pool;
    let status = ask(pool, "/pool/pool.status");
    assert_open_and_kept("status", &status);
    let lines: Vec<Value> = status
        .text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 3, "{}", status.text);
    assert_reads(
        &lines[0],
        &[
            ("runtime", Whole),
            ("lastupdate", Whole),
            ("Users", Whole),
            ("Workers", Whole),
            ("Idle", Whole),
            ("Disconnected", Whole),
        ],
    );
    assert_reads(
        &lines[1],
        &["1m", "5m", "15m", "1hr", "6hr", "1d", "7d"].map(|stretch| {
            let name: &'static str = Box::leak(format!("hashrate{stretch}").into_boxed_str());
            (name, Rate)
        }),
    );
    assert_reads(
        &lines[2],
        &[
            ("diff", Number),
            ("accepted", Whole),
            ("rejected", Whole),
            ("bestshare", Whole),
            ("SPS1m", Number),
            ("SPS5m", Number),
            ("SPS15m", Number),
            ("SPS1h", Number),
        ],
    );
    assert_eq!(
        (&lines[0]["Users"], &lines[0]["Workers"]),
        (&json!(1), &json!(1))
    );
    // OTHER came and went; the session of ADDRESS has had no share since.
    assert_eq!(lines[0]["Disconnected"], 2, "{}", lines[0]);
    let user = told(pool, &format!("/users/{ADDRESS}"));
    let own = [
        ("hashrate1m", Rate),
        ("hashrate5m", Rate),
        ("hashrate1hr", Rate),
        ("hashrate1d", Rate),
        ("hashrate7d", Rate),
        ("lastshare", Whole),
        ("shares", Whole),
        ("bestshare", Number),
        ("bestever", Whole),
    ];
    assert_reads(&user, &own);
    assert_reads(&user["worker"][0], &own);
    assert_reads(
        &user,
        &[("workers", Whole), ("authorised", Whole), ("worker", List)],
    );
    assert_eq!(user["worker"][0]["workername"], format!("{ADDRESS}.rig"));
    assert_eq!(user["worker"][0]["useragent"], "bitaxe/BM1370/v2.13");
    // Its word for a user that is gone.
    let unknown = "bcrt1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqdku202";
    assert_eq!(ask(pool, &format!("/users/{unknown}")).status, 404);
    for bad in ["/users/..%2Fpool.status", "/users/nobody", "/users/%00"] {
        assert_eq!(ask(pool, bad).status, 400, "{bad}");
    }
}

/// A NerdMiner asks for its address, without the worker, and adds up the rates.
#[test]
fn a_nerdminer_reads_its_client() {
    let (mint, _miner) = pool();
    let answer = ask(&mint.pool, &format!("/api/client/{ADDRESS}"));
    assert!(answer.text.len() <= 2_048);
    assert_reads(
        &answer.json(),
        &[
            ("bestDifficulty", Number),
            ("workersCount", Whole),
            ("workers", List),
            ("workers.*.sessionId", Text),
            ("workers.*.hashRate", Number),
        ],
    );
    // One that has not had a share yet is no error on the screen.
    let unknown = "bcrt1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqdku202";
    let nobody = told(&mint.pool, &format!("/api/client/{unknown}"));
    assert_eq!(
        nobody,
        json!({"bestDifficulty": 0.0, "workersCount": 0, "workers": []})
    );
    assert_eq!(ask(&mint.pool, "/api/client/nobody").status, 400);
}

/// The integration of Home Assistant, and public-pool's own pages.
#[test]
fn home_assistant_and_public_pools_pages_read_pool_network_and_client() {
    let (mint, _miner) = pool();
    let pool = &mint.pool;
    let info = told(pool, "/api/pool");
    assert_reads(
        &info,
        &[
            ("totalHashRate", Number),
            ("totalMiners", Whole),
            ("blocksFound", List),
            ("blocksFound.*.height", Whole),
            ("blocksFound.*.minerAddress", Text),
            ("blocksFound.*.worker", Text),
            ("blocksFound.*.sessionId", Text),
            ("blockHeight", Whole),
            ("fee", Number),
        ],
    );
    assert_eq!(info["blocksFound"].as_array().unwrap().len(), 2);
    assert_eq!(info["blockHeight"], mint.node.rpc.height());
    let network = told(pool, "/api/network");
    assert_reads(
        &network,
        &[
            ("difficulty", Number),
            ("networkhashps", Number),
            ("blocks", Whole),
            ("currentblockweight", Number),
            ("chain", Text),
        ],
    );
    assert_eq!(network["chain"], "regtest");
    let path = format!("/api/client/{ADDRESS}");
    let client = told(pool, &path);
    assert_reads(
        &client,
        &[
            ("workers.*.name", Text),
            ("workers.*.bestDifficulty", NumberText),
            ("workers.*.startTime", Time),
            ("workers.*.lastSeen", Time),
        ],
    );
    let worker = &client["workers"][0];
    assert_eq!(worker["name"], "rig");
    let group = told(pool, &format!("{path}/rig"));
    assert_reads(
        &group,
        &[
            ("name", Text),
            ("bestDifficulty", Whole),
            ("chartData", List),
        ],
    );
    let id = worker["sessionId"].as_str().unwrap();
    let session = told(pool, &format!("{path}/rig/{id}"));
    assert_reads(
        &session,
        &[
            ("sessionId", Text),
            ("startTime", Time),
            ("chartData", List),
        ],
    );
    for missing in ["/nobody", "/rig/00000000", "/nobody/chart"] {
        assert_eq!(
            ask(pool, &format!("{path}{missing}")).status,
            404,
            "{missing}"
        );
    }
    assert_reads(
        &told(pool, "/api/info"),
        &[
            ("blockData.*.height", Whole),
            ("userAgents.*.userAgent", Text),
            ("userAgents.*.count", Whole),
            ("userAgents.*.bestDifficulty", Number),
            ("userAgents.*.totalHashRate", Number),
            ("highScores.*.updatedAt", Time),
            ("highScores.*.bestDifficulty", Number),
            ("highScores.*.bestDifficultyUserAgent", Text),
            ("uptime", Time),
        ],
    );
    assert_reads(
        &told(pool, "/api/share/top-difficulties"),
        &[
            ("*.difficulty", Number),
            ("*.time", Whole),
            ("*.userAgent", Text),
        ],
    );
    for chart in ["/api/info/chart".to_owned(), format!("{path}/chart")] {
        // All shares are of the ten minutes that are not over.
        assert!(told(pool, &chart).is_array());
        assert!(told(pool, &format!("{chart}/payout-modes?payoutMode=all")).is_array());
    }
    let solo = told(pool, &format!("{path}?payoutMode=solo"));
    assert_eq!(solo["workersCount"], 0, "this pool has nobody who is");
}

#[test]
fn umbrel_reads_four_texts() {
    let (mint, _miner) = pool();
    for (path, kind, items) in [
        ("/widgets/pool", "four-stats", 4),
        ("/umbrel-api", "three-stats", 3),
        ("/umbrel-api?pool=nobody", "three-stats", 3),
    ] {
        let widget = told(&mint.pool, path);
        assert_reads(
            &widget,
            &[
                ("type", Text),
                ("refresh", Text),
                ("link", Text),
                ("items.*.title", Text),
                ("items.*.text", Text),
                ("items.*.subtext", Text),
            ],
        );
        assert_eq!(widget["type"], kind);
        assert_eq!(widget["items"].as_array().unwrap().len(), items);
    }
    let widget = told(&mint.pool, "/widgets/pool");
    let texts: Vec<_> = widget["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["text"])
        .collect();
    assert_eq!(texts[1..3], ["1", "2"]);
}

/// Devices have links to a pool's page of their owner in the forms of several pools.
#[test]
fn a_link_of_a_device_leads_to_the_miners_page() {
    let (mint, _miner) = pool();
    let browser = |path: &str| -> Answer {
        let accept = "text/html,application/xhtml+xml,*/*;q=0.8";
        ask_at("127.0.0.1", mint.pool.http, path, accept)
    };
    for form in ["app", "user", "stats", "users"] {
        let answer = browser(&format!("/{form}/{ADDRESS}"));
        assert_eq!(answer.status, 307, "{form}");
        assert_eq!(answer.headers["location"], format!("/miners/{ADDRESS}"));
    }
    assert_eq!(
        browser(&format!("/users/{ADDRESS}")).headers["vary"],
        "accept"
    );
    for bad in [
        "/app/%2F%2Fexample.org",
        "/user/a%0d%0ab",
        "/stats/a.b",
        "/app/%3Cscript%3E",
    ] {
        assert_eq!(browser(bad).status, 400, "{bad}");
    }
}
