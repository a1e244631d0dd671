//! The sentences about the architecture that can be checked, checked by reading the source tree:
//! who depends on whom, who names what, what a file looks like, and whether the documents and the
//! example configuration tell the truth. Each test collects all faults before it fails.

mod source;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use serde_json::Value as Json;
use toml::{Table, Value};

use self::source::Source;
use super::support::run;

/// A file that passes it is asked what second noun it hides.
const LINES_MAX: usize = 600;
/// What the rules may use: numbers, encodings, errors. Nothing that waits, listens or stores.
const GUESTS_OF_MINING: [&str; 6] = [
    "bitcoin",
    "curve25519-dalek",
    "ruint",
    "serde",
    "sha3",
    "thiserror",
];
/// Files that belong to no one who reads the tree: built, fetched or made by a run.
const NOT_OURS: [&str; 7] = [
    ".git",
    ".adit",
    "target",
    "corpus",
    "artifacts",
    "node_modules",
    "venv",
];

#[test]
fn arrows_between_crates_point_down_only() {
    let arrows = BTreeMap::from([
        ("adit", &["mining", "pow", "simnet", "store", "wire"][..]),
        (
            "benches",
            &["adit", "mining", "pow", "simnet", "store", "wire"],
        ),
        (
            "judge",
            &["adit", "mining", "pow", "simnet", "store", "wire"],
        ),
        ("mining", &["pow"]),
        ("pow", &[]),
        ("simnet", &["pow"]),
        ("store", &["mining", "pow"]),
        ("wire", &[]),
    ]);
    let manifests = manifests();
    let ours: BTreeSet<&str> = manifests.keys().map(String::as_str).collect();
    let mut faults = Vec::new();
    for (name, manifest) in &manifests {
        let Some(allowed) = arrows.get(name.as_str()) else {
            faults.push(format!("{name} has no arrows here: say whom it may know"));
            continue;
        };
        for dependency in dependencies(manifest, true) {
            if ours.contains(dependency.as_str()) && !allowed.contains(&dependency.as_str()) {
                faults.push(format!("{name} depends on {dependency}"));
            }
        }
    }
    none(&faults);
}

#[test]
fn the_rules_know_nothing_that_waits_listens_or_stores() {
    let dependencies = dependencies(&manifests()["mining"], false);
    let faults: Vec<_> = dependencies
        .iter()
        .filter(|name| *name != "pow" && !GUESTS_OF_MINING.contains(&name.as_str()))
        .map(|name| format!("mining depends on {name}"))
        .collect();
    none(&faults);
}

#[test]
fn sql_stands_in_the_store_alone() {
    let mut faults = Vec::new();
    for (name, manifest) in manifests() {
        if name != "store" && dependencies(&manifest, false).contains("sqlx") {
            faults.push(format!("{name} depends on sqlx"));
        }
    }
    for source in Source::program() {
        if !source.path.starts_with("crates/store/") {
            faults.extend(source.naming(&["sqlx"]));
        }
    }
    none(&faults);
}

#[test]
fn the_connection_names_nothing_that_comes_after_it() {
    let program = Source::program();
    let mut faults = Vec::new();
    let connection = program
        .iter()
        .filter(|source| source.path.starts_with("src/connection"));
    let mut count = 0;
    for source in connection {
        count += 1;
        faults.extend(source.naming(&["accounting", "payout", "api"]));
    }
    assert!(count > 1, "the connection has files");
    none(&faults);
}

/// Nobody who takes shares or pays waits for somebody to be told.
#[test]
fn whoever_takes_shares_or_pays_knows_of_no_alert() {
    let mut faults = Vec::new();
    let names = [
        "connection",
        "share_log",
        "listener",
        "accounting",
        "payout",
        "block",
        "daemon",
    ];
    for source in Source::program() {
        let is_on_the_way = names.iter().any(|name| {
            source.path == format!("src/{name}.rs")
                || source.path.starts_with(&format!("src/{name}/"))
        });
        if is_on_the_way {
            faults.extend(source.naming(&["alert", "alerts"]));
        }
    }
    none(&faults);
}

#[test]
fn unsafe_code_stands_in_pow_alone() {
    let mining = read("crates/mining/src/lib.rs");
    assert!(mining.lines().any(|line| line == "#![forbid(unsafe_code)]"));
    let mut faults = Vec::new();
    for source in Source::all() {
        if !source.path.starts_with("crates/pow/") {
            faults.extend(source.naming(&["unsafe"]));
        }
    }
    none(&faults);
}

#[test]
fn every_file_says_first_what_it_is() {
    let faults: Vec<_> = Source::all()
        .iter()
        .filter(|source| source.is_in_src() && source.path != "src/main.rs")
        .filter(|source| !source.text.starts_with("//!"))
        .map(|source| format!("{} does not begin with //!", source.path))
        .collect();
    none(&faults);
}

#[test]
fn no_file_is_too_long_to_read() {
    let faults: Vec<_> = Source::program()
        .iter()
        .map(|source| (source.text.lines().count(), &source.path))
        .filter(|(lines, _)| *lines > LINES_MAX)
        .map(|(lines, path)| format!("{path} has {lines} lines"))
        .collect();
    none(&faults);
}

#[test]
fn nothing_is_left_undone_or_unwrapped_in_the_program() {
    let mut faults = Vec::new();
    for source in Source::program() {
        for (number, line) in source.code.lines().enumerate() {
            for word in ["todo!", "unimplemented!", "dbg!", ".unwrap()"] {
                if line.contains(word) {
                    faults.push(format!("{}:{}: {word}", source.path, number + 1));
                }
            }
        }
    }
    for source in Source::all() {
        for (number, line) in source.text.lines().enumerate() {
            // Said in halves, or this line would be found.
            for word in [concat!("TO", "DO"), concat!("FIX", "ME")] {
                if line.contains(word) {
                    faults.push(format!("{}:{}: {word}", source.path, number + 1));
                }
            }
        }
    }
    none(&faults);
}

#[test]
fn a_file_is_named_by_a_noun_of_the_field() {
    let nobody = [
        "manager", "service", "helper", "helpers", "handler", "utils", "util",
    ];
    let faults: Vec<_> = Source::all()
        .iter()
        .filter(|source| {
            let stem = Path::new(&source.path).file_stem().unwrap();
            let stem = stem.to_str().unwrap();
            stem.split(['-', '_']).any(|word| nobody.contains(&word))
        })
        .map(|source| source.path.clone())
        .collect();
    none(&faults);
}

#[test]
fn the_documents_name_files_that_exist() {
    let tree = tree();
    let exists = |name: &str| {
        let name = name.trim_start_matches("./").trim_end_matches('/');
        let under = format!("/{name}");
        tree.iter()
            .any(|path| path == name || path.ends_with(&under))
    };
    let mut faults = Vec::new();
    for document in ["README.md", "ARCHITECTURE.md"] {
        let text = read(document);
        let named: Vec<_> = quoted(&text)
            .into_iter()
            .filter(|name| is_file_name(name, &tree))
            .collect();
        let is_map = document == "ARCHITECTURE.md";
        assert!(
            !(is_map && named.is_empty()),
            "{document} names no file at all"
        );
        for name in named {
            if !exists(name) {
                faults.push(format!("{document} names {name}"));
            }
        }
        for link in links(&text) {
            if !exists(link) {
                faults.push(format!("{document} links to {link}"));
            }
        }
    }
    none(&faults);
}

#[test]
fn every_case_of_the_attacks_has_its_test_and_every_such_test_its_case() {
    let document = read("docs/attacks.md");
    let (held, not_ours) = document.split_once("## Not of this pool").unwrap();
    let cases = |text: &str| -> BTreeSet<String> {
        let rows = text.lines().filter_map(|line| line.strip_prefix("| A"));
        rows.map(|row| format!("a{}", &row[..2])).collect()
    };
    let tests: BTreeSet<String> = Source::all()
        .iter()
        .flat_map(|source| source.code.lines())
        .filter_map(|line| line.split_once("fn a")?.1.get(..3))
        .filter(|number| number.ends_with('_') && number[..2].parse::<u8>().is_ok())
        .map(|number| format!("a{}", &number[..2]))
        .collect();
    assert!(held.contains("| A01") && not_ours.contains("| A08"));
    assert_eq!(cases(held), tests);
}

/// Keys that have no default: what is said in the example is an example.
const WITHOUT_DEFAULT: [&str; 56] = [
    "coin.name",
    "coin.like",
    "coin.ticker",
    "coin.unit",
    "coin.decimals",
    "coin.maturity",
    "coin.block_time_s",
    "coin.algorithm",
    "coin.block_versions",
    "coin.seed_blocks",
    "coin.seed_lag_blocks",
    "coin.template_rules",
    "coin.message_magic",
    "coin.retarget_blocks",
    "coin.finds_coins",
    "coin.network.network",
    "coin.network.chain",
    "coin.network.genesis",
    "coin.network.hrp",
    "coin.network.p2pkh",
    "coin.network.p2sh",
    "coin.network.halving",
    "coin.network.standard_tag",
    "coin.network.integrated_tag",
    "coin.network.subaddress_tag",
    "compat.ckpool_logdir",
    "alerts.ca_file",
    "alerts.webhook.url",
    "alerts.webhook.secret",
    "alerts.ntfy.url",
    "alerts.ntfy.token",
    "alerts.discord.url",
    "alerts.telegram.token",
    "alerts.telegram.chat",
    "alerts.email.host",
    "alerts.email.user",
    "alerts.email.password",
    "alerts.email.from",
    "alerts.mqtt.url",
    "alerts.mqtt.user",
    "alerts.mqtt.password",
    "pool.listener.default_address",
    "pool.listener.scheme",
    "devices",
    "pool.payout_address",
    "pool.randomx.trust_after",
    "pool.view_key",
    "pool.daemon.url",
    "pool.daemon.user",
    "pool.daemon.password",
    "pool.daemon.cookie",
    "pool.daemon.zmq",
    "pool.daemon.min_peers",
    "pool.listener.tls_certificate",
    "pool.listener.tls_key",
    "http.url",
];

#[test]
fn the_example_configuration_says_the_defaults() {
    let folder = tempfile::tempdir().unwrap();
    let bare = folder.path().join("adit.toml");
    // A daemon's other keys have defaults only once there is a daemon.
    std::fs::write(&bare, "[[pool]]\n[[pool.daemon]]\nurl = \"http://x:1\"\n").unwrap();
    let defaults = settings(&bare);
    let example = root().join("adit.example.toml");
    let mut faults = Vec::new();
    for (key, value) in settings(&example) {
        match defaults.get(&key) {
            _ if WITHOUT_DEFAULT.contains(&key.as_str()) => {}
            Some(default) if *default == value => {}
            Some(default) => faults.push(format!("{key} = {value}, but the default is {default}")),
            None => faults.push(format!("{key} = {value} is no default")),
        }
    }
    let told = keys_told(&std::fs::read_to_string(&example).unwrap());
    for key in defaults
        .keys()
        .map(String::as_str)
        .chain(WITHOUT_DEFAULT)
        .collect::<BTreeSet<_>>()
    {
        match told.get(key) {
            None => faults.push(format!("{key} is not told")),
            Some(value) if !WITHOUT_DEFAULT.contains(&key) && *value != defaults[key] => {
                faults.push(format!(
                    "{key} is told as {value}, but is {}",
                    defaults[key]
                ));
            }
            Some(_) => {}
        }
    }
    none(&faults);
}

/// The manifests of the workspace by the name of their crate.
fn manifests() -> BTreeMap<String, Table> {
    let manifests: BTreeMap<_, _> = tree()
        .into_iter()
        .filter(|path| path.ends_with("Cargo.toml") && !path.starts_with("fuzz/"))
        .map(|path| {
            let manifest: Table = read(&path).parse().unwrap();
            let name = manifest["package"]["name"].as_str().unwrap().to_owned();
            (name, manifest)
        })
        .collect();
    assert!(manifests.len() >= 7, "{:?}", manifests.keys());
    manifests
}

/// What a crate depends on, by the name of the package.
fn dependencies(manifest: &Table, for_tests_too: bool) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let targets = manifest.get("target").and_then(Value::as_table);
    let tables = targets
        .into_iter()
        .flat_map(Table::values)
        .filter_map(Value::as_table)
        .chain([manifest]);
    for table in tables {
        for (section, needed) in [
            ("dependencies", true),
            ("build-dependencies", true),
            ("dev-dependencies", for_tests_too),
        ] {
            let Some(section) = table.get(section).and_then(Value::as_table) else {
                continue;
            };
            for (name, how) in section.iter().filter(|_| needed) {
                let package = how.get("package").and_then(Value::as_str);
                found.insert(package.unwrap_or(name).to_owned());
            }
        }
    }
    found
}

/// What stands in single backticks, outside of code blocks.
fn quoted(text: &str) -> Vec<&str> {
    prose(text)
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .collect()
}

/// The targets of links into this tree.
fn links(text: &str) -> Vec<&str> {
    prose(text)
        .flat_map(|line| line.split("](").skip(1))
        .filter_map(|rest| rest.split([')', '#', ' ']).next())
        .filter(|target| !target.is_empty() && !target.contains(':'))
        .collect()
}

fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut in_block = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        in_block ^= fence;
        !in_block && !fence
    })
}

/// Whether a quoted text is meant as a file of this tree: it has a file's ending, or begins in a
/// folder that is there. The operator's own `adit.toml` is not.
fn is_file_name(name: &str, tree: &BTreeSet<String>) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    if name.starts_with('/') || name == "adit.toml" || !name.chars().all(plain) {
        return false;
    }
    let ending = Path::new(name)
        .extension()
        .and_then(|ending| ending.to_str());
    let is_ours = matches!(
        ending,
        Some("rs" | "toml" | "md" | "sh" | "html" | "css" | "sql" | "lock")
    );
    let begins_here = name
        .split_once('/')
        .is_some_and(|(first, _)| tree.contains(first));
    is_ours || begins_here
}

/// What the program makes of a configuration file, by keys without the numbers of entries.
fn settings(file: &Path) -> BTreeMap<String, String> {
    let output = run(&["config", "-c", file.to_str().unwrap(), "--json"]);
    assert!(
        output.status.success(),
        "{}: {}",
        file.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    let settings: Json = serde_json::from_slice(&output.stdout).unwrap();
    let settings = settings["settings"].as_array().unwrap();
    let text = |setting: &Json, name: &str| setting[name].as_str().unwrap().to_owned();
    settings
        .iter()
        .map(|setting| {
            let key = text(setting, "key");
            let parts = key.split('.');
            let parts = parts.filter(|part| part.parse::<usize>().is_err());
            (parts.collect::<Vec<_>>().join("."), text(setting, "value"))
        })
        .collect()
}

/// The keys of a file with their values, those in comments included.
fn keys_told(text: &str) -> BTreeMap<String, String> {
    let mut section = String::new();
    let mut told = BTreeMap::new();
    for line in text.lines() {
        let line = line.trim_start_matches(['#', ' ']);
        if let Some(header) = line.strip_prefix('[') {
            section = header.trim_matches(['[', ']', ' ']).to_owned();
        } else if let Some((key, _)) = line.split_once(" = ")
            && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && let Ok(table) = line.parse::<Table>()
        {
            let path = if section.is_empty() {
                key.to_owned()
            } else {
                format!("{section}.{key}")
            };
            told.insert(path, table[key].to_string());
        }
    }
    told
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[track_caller]
fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Each file and folder of the tree, from its root.
fn tree() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if NOT_OURS.contains(&name) {
                continue;
            }
            let relative = path.strip_prefix(root()).unwrap();
            found.insert(relative.to_str().unwrap().to_owned());
            if path.is_dir() {
                folders.push(path);
            }
        }
    }
    found
}

#[track_caller]
fn none(faults: &[String]) {
    assert!(
        faults.is_empty(),
        "{} faults:\n{}",
        faults.len(),
        faults.join("\n")
    );
}
