//! What `packaging/umbrel` and `packaging/startos` say: the program understands each setting, and ports,
//! folders and versions are those of the program.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::Value;
use yaml_rust2::{Yaml, YamlLoader};

use crate::support::adit;

const UMBREL: &str = "packaging/umbrel";
const STARTOS: &str = "packaging/startos";

#[track_caller]
fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[track_caller]
fn yaml(path: &str) -> Yaml {
    let mut documents = YamlLoader::load_from_str(&read(path)).unwrap();
    assert_eq!(documents.len(), 1, "{path}");
    documents.remove(0)
}

/// What the program makes of this file and these variables.
#[track_caller]
fn settings(config: &str, variables: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("adit.toml");
    fs::write(&file, config).unwrap();
    let mut command = adit(&["config", "--json", "-c", file.to_str().unwrap()]);
    let output = command.envs(variables).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    let shown = shown["settings"].as_array().unwrap().iter();
    let text = |setting: &Value, key: &str| setting[key].as_str().unwrap().to_owned();
    shown
        .map(|setting| {
            let value = text(setting, "value");
            (text(setting, "key"), value.trim_matches('"').to_owned())
        })
        .collect()
}

/// The ports of the program's defaults: that of miners and that of HTTP.
fn ports() -> (i64, i64) {
    let defaults = settings("[[pool]]\n[[pool.listener]]\n", &BTreeMap::new());
    (
        port(&defaults, "pool.0.listener.0.listen"),
        port(&defaults, "http.listen"),
    )
}

#[track_caller]
fn port(settings: &BTreeMap<String, String>, key: &str) -> i64 {
    let (_, port) = settings[key].rsplit_once(':').unwrap();
    port.parse().unwrap()
}

#[test]
fn umbrel_is_told_what_the_program_is() {
    let app = yaml(&format!("{UMBREL}/umbrel-app.yml"));
    let (_, http) = ports();
    assert_eq!(app["manifestVersion"], Yaml::Integer(1));
    // The name of containers begins with it, and it may have small letters and hyphens alone.
    assert_eq!(app["id"].as_str(), Some("adit"));
    assert_eq!(app["version"].as_str(), Some(env!("CARGO_PKG_VERSION")));
    assert_eq!(app["port"], Yaml::Integer(http));
    assert_eq!(
        app["dependencies"],
        Yaml::Array(vec![Yaml::String("bitcoin".into())])
    );
    for key in ["category", "name", "tagline", "description"] {
        assert!(!app[key].as_str().unwrap().is_empty(), "{key}");
    }
    // A publisher fills these in; what is not known is not invented.
    for key in ["developer", "website", "repo", "support", "submission"] {
        assert_eq!(app[key].as_str(), Some(""), "{key}");
    }
}

#[test]
fn umbrel_runs_the_program_as_it_wants_to_be_run() {
    let compose = yaml(&format!("{UMBREL}/docker-compose.yml"));
    let pool = &compose["services"]["pool"];
    let (miners, http) = ports();
    let proxy = &compose["services"]["app_proxy"]["environment"];
    assert_eq!(proxy["APP_HOST"].as_str(), Some("adit_pool_1"));
    assert_eq!(proxy["APP_PORT"], Yaml::Integer(http));
    let image = format!("adit:{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(pool["image"].as_str(), Some(image.as_str()));
    // The page is behind the proxy's login, and not let out beside it.
    assert_eq!(
        pool["ports"],
        Yaml::Array(vec![Yaml::String(format!("{miners}:{miners}"))])
    );
    assert_eq!(
        pool["volumes"],
        Yaml::Array(vec![Yaml::String("${APP_DATA_DIR}/data:/data".into())])
    );
    let command = pool["command"].as_vec().unwrap();
    let command: Vec<&str> = command.iter().map(|word| word.as_str().unwrap()).collect();
    assert_eq!(command, ["pool", "-c", "/data/adit.toml"]);
    let variables = pool["environment"].as_hash().unwrap().iter();
    let given = |text: &str| {
        // As Umbrel's Bitcoin app exports them.
        let text = text.replace("${APP_BITCOIN_NODE_IP}", "10.21.21.8");
        let text = text.replace("${APP_BITCOIN_RPC_PORT}", "8332");
        let text = text.replace("${APP_BITCOIN_RPC_USER}", "umbrel");
        let text = text.replace("${APP_BITCOIN_RPC_PASS}", "secret");
        let text = text.replace("${APP_BITCOIN_ZMQ_HASHBLOCK_PORT}", "28334");
        assert!(!text.contains('$'), "{text}");
        text
    };
    let variables: BTreeMap<String, String> = variables
        .map(|(name, value)| {
            let name = name.as_str().unwrap();
            (name.to_owned(), given(value.as_str().unwrap()))
        })
        .collect();
    let shown = settings(&read(&format!("{UMBREL}/data/adit.toml")), &variables);
    assert_eq!(port(&shown, "pool.0.listener.0.listen"), miners);
    assert_eq!(port(&shown, "http.listen"), http);
    for (key, value) in [
        ("data", "/data/pool"),
        ("pool.0.coin", "bitcoin"),
        ("pool.0.network", "main"),
        ("pool.0.scheme", "solo"),
        ("pool.0.daemon.0.url", "http://10.21.21.8:8332"),
        ("pool.0.daemon.0.user", "umbrel"),
        ("pool.0.daemon.0.zmq", "tcp://10.21.21.8:28334"),
    ] {
        assert_eq!(shown[key], value, "{key}");
    }
    // Longer than the four stages of a shutdown.
    assert_eq!(pool["stop_grace_period"].as_str(), Some("1m"));
}

#[test]
fn startos_runs_the_program_as_it_wants_to_be_run() {
    let pool: Value = serde_json::from_str(&read(&format!("{STARTOS}/startos/pool.json"))).unwrap();
    let (miners, http) = ports();
    let image = format!("adit:{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(pool["image"], image.as_str());
    assert_eq!(pool["minersPort"], miners);
    assert_eq!(pool["httpPort"], http);
    assert!(pool["shutdownSeconds"].as_u64().unwrap() > 40);
    let variables = pool["environment"].as_object().unwrap().iter();
    let mut variables: BTreeMap<String, String> = variables
        .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
        .collect();
    // What `main.ts` adds to it.
    let main = read(&format!("{STARTOS}/startos/main.ts"));
    for (name, value) in [
        (
            "ADIT_POOL__PAYOUT_ADDRESS",
            "1BitcoinEaterAddressDontSendf59kuE",
        ),
        ("ADIT_POOL__DAEMON__URL", "http://10.0.3.1:8332"),
    ] {
        assert!(main.contains(&format!("{name}:")), "{name}");
        variables.insert(name.to_owned(), value.to_owned());
    }
    let index = read(&format!("{STARTOS}/startos/index.ts"));
    let config = "[[pool]]\\n[[pool.listener]]\\n[[pool.daemon]]\\n";
    assert!(index.contains(&format!("\"{config}\"")), "{config}");
    let version = format!("version: \"{}:0\"", env!("CARGO_PKG_VERSION"));
    assert!(index.contains(&version), "{version}");

    let shown = settings(&config.replace("\\n", "\n"), &variables);
    assert_eq!(port(&shown, "pool.0.listener.0.listen"), miners);
    assert_eq!(port(&shown, "http.listen"), http);
    let data = pool["data"].as_str().unwrap();
    assert!(Path::new(&shown["data"]).starts_with(data), "{shown:?}");
    let node = &pool["bitcoind"];
    let text = |key: &str| node[key].as_str().unwrap();
    let cookie = format!("{}/{}", text("mountpoint"), text("cookie"));
    for (key, value) in [
        ("pool.0.coin", "bitcoin"),
        ("pool.0.network", "main"),
        (
            "pool.0.payout_address",
            "1BitcoinEaterAddressDontSendf59kuE",
        ),
        ("pool.0.scheme", "solo"),
        ("pool.0.daemon.0.url", "http://10.0.3.1:8332"),
        ("pool.0.daemon.0.cookie", &cookie),
    ] {
        assert_eq!(shown[key], value, "{key}");
    }
    let package: Value = serde_json::from_str(&read(&format!("{STARTOS}/package.json"))).unwrap();
    assert!(package["dependencies"]["@start9labs/start-sdk"].is_string());
}
