//! Which shapes there are, and where.

use tempfile::TempDir;

use super::{ask, ask_at, told};
use crate::support::{ADDRESS, FIXED_DIFFICULTY, Miner, Node, Pool, PoolSettings};

fn pool(folder: &TempDir, node: &Node, host: &str, compat: &str) -> Pool {
    let settings = PoolSettings {
        host,
        // The tables of the file follow each other.
        log: &format!("filter = \"info\"\n[compat]\n{compat}"),
        listener: FIXED_DIFFICULTY,
        daemons: node.rpc.daemon(),
        ..PoolSettings::default()
    };
    Pool::start(folder, &settings)
}

/// An address of loopback that no other test listens at, so that the ports may be those that devices
/// know.
const HOST: &str = "127.0.20.18";

#[test]
fn a_nerdminer_finds_miners_at_2018_and_the_api_at_2019() {
    let folder = TempDir::new().unwrap();
    let node = Node::simnet(&folder);
    let pool = pool(&folder, &node, HOST, "public_pool_ports = true");
    let stream = std::net::TcpStream::connect((HOST, 2018)).unwrap();
    let mut miner = Miner::on(stream);
    miner.log_in_as("NerdMinerV2/1.8.3", &format!("{ADDRESS}.nerd"));
    let client = ask_at(HOST, 2019, &format!("/api/client/{ADDRESS}"), "*/*");
    assert_eq!(client.status, 200);
    assert_eq!(client.json()["workersCount"], 0);
    assert_eq!(
        ask_at(HOST, 2019, "/api/pool", "*/*").json()["totalMiners"],
        1
    );
    // Nothing else is answered there, and nothing of this beside the port that is configured.
    for path in [
        "/",
        "/api/v1/status",
        "/metrics",
        "/pool/pool.status",
        "/widgets/pool",
    ] {
        assert_eq!(ask_at(HOST, 2019, path, "*/*").status, 404, "{path}");
    }
    assert_eq!(ask(&pool, "/metrics").status, 200);
}

#[test]
fn each_shape_can_be_turned_off() {
    let shapes = [
        ("ckpool", "/pool/pool.status"),
        ("public_pool", "/api/pool"),
        ("umbrel", "/widgets/pool"),
        ("miningcore", "/api/pools"),
        ("nodejs_pool", "/pool/stats"),
        ("stats_mod", "/api/stats_mod"),
        ("nomp", "/api/stats"),
    ];
    let folder = TempDir::new().unwrap();
    let node = Node::simnet(&folder);
    for (off, _) in shapes {
        let folder = TempDir::new().unwrap();
        let pool = pool(&folder, &node, "127.0.0.1", &format!("{off} = false"));
        for (name, path) in shapes {
            let status = ask(&pool, path).status;
            assert_eq!(
                status,
                if name == off { 404 } else { 200 },
                "{name} without {off}"
            );
        }
        let link = ask(&pool, &format!("/app/{ADDRESS}")).status;
        assert_eq!(link, if off == "public_pool" { 404 } else { 307 });
    }
}

/// Several pools run in one process: a name chooses, and without one the first.
#[test]
fn a_pool_is_chosen_by_its_name() {
    let folder = TempDir::new().unwrap();
    let node = Node::simnet(&folder);
    let second = crate::support::free_port();
    let daemons = node.rpc.daemon();
    let settings = PoolSettings {
        listener: FIXED_DIFFICULTY,
        daemons: format!(
            "{daemons}[[pool]]\nname = \"second\"\ncoin = \"bitcoin\"\nnetwork = \"regtest\"\n\
             payout_address = \"{ADDRESS}\"\n[[pool.listener]]\n\
             listen = \"127.0.0.1:{second}\"\n{FIXED_DIFFICULTY}{daemons}"
        ),
        ..PoolSettings::default()
    };
    let pool = Pool::start(&folder, &settings);
    let mut miner = Miner::connect(second);
    miner.log_in(&format!("{ADDRESS}.rig"));
    for (path, miners) in [
        ("/api/pool", 0),
        ("/api/pool?pool=main", 0),
        ("/api/pool?pool=second&_=1795746840267", 1),
    ] {
        assert_eq!(told(&pool, path)["totalMiners"], miners, "{path}");
    }
    assert_eq!(ask(&pool, "/api/pool?pool=third").status, 404);
    // Of a miner the pool is told that knows it.
    let params = Miner::params(&format!("{ADDRESS}.rig"), &miner.share(1));
    assert_eq!(miner.ask("mining.submit", params)["result"], true);
    let client = format!("/api/client/{ADDRESS}");
    assert_eq!(told(&pool, &client)["workersCount"], 1);
    assert_eq!(
        told(&pool, &format!("{client}?pool=main"))["workersCount"],
        0
    );
}
