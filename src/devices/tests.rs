//! The built-in table, tables of operators, and a file that changes while it is followed.

use tempfile::TempDir;

use super::*;

const ONE: &str = "[[device]]\nname = \"One\"\nagents = [\"one\"]\nclass = \"toy\"\n";

fn built_in() -> Profiles {
    parse(BUILT_IN).unwrap()
}

#[test]
fn the_built_in_table_knows_the_devices_of_the_field() {
    let profiles = built_in();
    #[track_caller]
    fn case(profiles: &Profiles, agent: &str, class: CoinbaseClass, start: Option<&str>) {
        let profile = profiles.of_any(agent);
        let start = start.map(|start| start.parse().unwrap());
        assert_eq!((profile.class, profile.start), (class, start), "{agent}");
    }
    use CoinbaseClass::{Huge, Large, Medium, Rental, Stock, Toy};
    for (agent, class, start) in [
        ("NiceHash/1.0.0", Rental, Some("524288")),
        ("MiningRigRentals/1", Rental, Some("1000000")),
        ("NerdMinerV2/1.8.3", Toy, Some("0.00015")),
        ("HAN_SOLOminer/1", Toy, Some("0.00015")),
        ("bitaxe/BM1397/v2", Large, Some("256")),
        ("bitaxe/BM1370/v2.9", Large, Some("1000")),
        ("NerdQAxe++/BM1370/v1.0.36", Large, Some("4000")),
        ("cgminer/4.11.1", Stock, Some("10000")),
        ("Antminer S19j Pro/1.0", Stock, None),
        ("Antminer S21/Fri", Medium, Some("500000")),
        ("whatsminer/v1.1", Large, Some("500000")),
        ("bosminer-plus-tuner 0.2.0", Medium, Some("500000")),
        ("LUXminer", Medium, Some("500000")),
        ("xminer-1.2.6", Huge, Some("500000")),
        ("PowerPlay-BM/1", Huge, Some("500000")),
        ("cpuminer/2.5.1", Large, Some("0.1")),
        ("cpuminer-multi/1.3", Large, Some("0.1")),
        ("adit/0.1.0", Large, None),
        ("something else", Stock, None),
    ] {
        case(&profiles, agent, class, start);
    }
    let nicehash = profiles.of_any("NiceHash");
    assert!(nicehash.harder_only);
    assert_eq!(nicehash.min, Some("524288".parse().unwrap()));
    let users = ["cgminer", "whatsminer", "bitaxe"].map(|agent| profiles.of_any(agent).user_max);
    assert_eq!(users, [Some(63), Some(127), None]);
}

#[test]
fn devices_are_known_by_the_start_of_their_name() {
    let profiles = built_in();
    let case = |agent: &str, expected: CoinbaseClass| {
        assert_eq!(profiles.of_any(agent).class, expected, "{agent}");
    };
    case("NiceHash/1.0.0", CoinbaseClass::Rental);
    case("NerdMinerV2/1.8.3", CoinbaseClass::Toy);
    case("cgminer/4.11.1", CoinbaseClass::Stock);
    case("Antminer S19j Pro/1.0", CoinbaseClass::Stock);
    case("Antminer S21/Fri", CoinbaseClass::Medium);
    case("bitaxe/BM1370/v2.9", CoinbaseClass::Large);
    case("xminer-1.2.6", CoinbaseClass::Huge);
    case("", CoinbaseClass::Stock);
    case("ä", CoinbaseClass::Stock);
    let known = [
        (CoinbaseClass::Rental, &["nicehash", "miningrigrentals"][..]),
        (
            CoinbaseClass::Toy,
            &[
                "nerdminer",
                "han_solominer",
                "leafminer",
                "nmminer",
                "sparkminer",
            ],
        ),
        (
            CoinbaseClass::Medium,
            &["antminer s21", "bosminer", "luxminer"],
        ),
        (
            CoinbaseClass::Large,
            &[
                "whatsminer",
                "bitaxe",
                "nerdnos",
                "nerdaxe",
                "nerdqaxe",
                "nerdoctaxe",
                "nerdeko",
                "0xaxe",
                "piaxe",
                "qaxe",
                "cpuminer",
                "cpuminer-multi",
                "minerd",
                "adit",
            ],
        ),
        (CoinbaseClass::Huge, &["xminer-1.", "powerplay-bm"]),
    ];
    for (class, agents) in known {
        for agent in agents {
            case(agent, class);
        }
    }
    // And nothing else is of another class than everything unknown.
    for profile in profiles.list() {
        for agent in &profile.agents {
            let agent = agent.to_ascii_lowercase();
            let begins = |(_, starts): &&(_, &[&str])| starts.iter().any(|s| agent.starts_with(s));
            let class = known.iter().find(begins).map(|(class, _)| *class);
            let class = class.unwrap_or(CoinbaseClass::Stock);
            assert_eq!(profile.class, class, "{agent}");
        }
    }
}

#[test]
fn difficulties_are_read_as_they_are_written() {
    for (written, steps) in [
        ("1", 1 << 32),
        ("1_000_000", 1_000_000 << 32),
        ("0.000_15", 644_245),
        ("\"0.00015\"", 644_245),
        // The nearest float is 2,097,152.
        ("2097151.9999999999", (1 << 53) - 1),
    ] {
        let profiles = parse(&format!("{ONE}start = {written}")).unwrap();
        let start = profiles.list()[0].start.map(Difficulty::steps);
        assert_eq!(start, Some(steps), "{written}");
    }
}

#[test]
fn a_table_that_makes_no_sense_is_told_by_line_entry_and_field() {
    #[track_caller]
    fn case(text: &str, told: &[&str]) {
        let error = parse(text).unwrap_err().to_string();
        for part in told {
            assert!(error.contains(part), "{part:?} in {error:?}");
        }
    }
    case("", &["line 1", "device"]);
    case("# nothing yet\n", &["device"]);
    case("[[device]\n", &["line 1"]);
    case("x = 1\n", &["unknown field `x`"]);
    case("device = 3\n", &["line 1"]);
    let second = |entry: &str| format!("{ONE}\n[[device]]\n{entry}");
    case(&second("name = \"x\"\n"), &["device 2", "agents"]);
    for (line, told) in [
        ("clas = \"toy\"", &["line 6", "device 1", "clas"][..]),
        ("start = true", &["device 1 (\"One\"), start", "boolean"]),
        ("start = [1]", &["device 1 (\"One\"), start", "array"]),
        (
            "start = 1e3",
            &["device 1 (\"One\"), start", "not a decimal"],
        ),
        (
            "start = inf",
            &["device 1 (\"One\"), start", "not a decimal"],
        ),
        (
            "start = nan",
            &["device 1 (\"One\"), start", "not a decimal"],
        ),
        (
            "start = 0x10",
            &["device 1 (\"One\"), start", "not a decimal"],
        ),
        (
            "start = +5",
            &["device 1 (\"One\"), start", "not a decimal"],
        ),
        (
            "start = -5",
            &["device 1 (\"One\"), start", "not a decimal"],
        ),
        (
            "start = \"1e3\"",
            &["device 1 (\"One\"), start", "not a decimal"],
        ),
        (
            "start = \"1_0\"",
            &["device 1 (\"One\"), start", "not a decimal"],
        ),
        ("min = 0", &["device 1 (\"One\"), min", "zero"]),
        ("min = 0.0", &["device 1 (\"One\"), min", "zero"]),
        (
            "start = 1\nmin = 2",
            &["device 1 (\"One\"), start", "easier"],
        ),
        ("harder_only = 1", &["line 6", "device 1, harder_only"]),
        (
            "min = 0.12345678901234567890",
            &["device 1 (\"One\"), min", "more than 19 digits"],
        ),
        ("user_max = -1", &["line 6", "device 1, user_max"]),
        ("user_max = 0", &["device 1 (\"One\"), user_max"]),
        (
            "extranonce2_max = 9",
            &["device 1 (\"One\"), extranonce2_max"],
        ),
    ] {
        case(&format!("{ONE}\n{line}\n"), told);
    }
    case(
        &second("name = \"x\"\nagents = [\"x\"]\nclass = \"giant\""),
        &["line 9", "device 2, class", "giant"],
    );
    case(
        &second("name = \"x\"\nagents = [\"x\", 3]\nclass = \"toy\""),
        &["line 8", "device 2, agents"],
    );
    case(
        &second("name = \"x\"\nagents = [\"ONE\"]\nclass = \"toy\""),
        &["device 2 (\"x\"), agents", "said of device 1 too"],
    );
}

#[test]
fn what_is_no_short_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(read(folder.path()), Err(BadDevices::NotAFile)));
    let path = folder.path().join("devices.toml");
    assert!(matches!(read(&path), Err(BadDevices::Unreadable(_))));
    let comment = "#".repeat(usize::try_from(FILE_LEN_MAX).unwrap() - ONE.len());
    std::fs::write(&path, format!("{ONE}{comment}")).unwrap();
    assert!(read(&path).is_ok());
    std::fs::write(&path, format!("{ONE}{comment}#")).unwrap();
    assert!(matches!(read(&path), Err(BadDevices::TooLong)));
    std::fs::write(&path, b"\xff\xfe").unwrap();
    assert!(matches!(read(&path), Err(BadDevices::Unreadable(_))));
}

/// Waits until the table in force has a device of this name; false if that does not happen.
async fn is_in_force(devices: &Devices, name: &str) -> bool {
    let mut current = devices.current.clone();
    let there = current.wait_for(|profiles| profiles.list()[0].name == name);
    let there = tokio::time::timeout(Duration::from_secs(10), there).await;
    matches!(there, Ok(Ok(_)))
}

fn followed(folder: &TempDir, tasks: &Tasks) -> anyhow::Result<Devices> {
    let path = folder.path().join("devices.toml");
    Devices::follow(Some(path), Duration::from_millis(5), tasks)
}

#[tokio::test]
async fn a_file_that_changes_is_read_again_and_a_bad_one_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("devices.toml");
    let (tasks, _failures) = Tasks::new();
    let error = followed(&folder, &tasks).err().unwrap();
    assert!(error.is::<BadConfig>(), "{error}");
    std::fs::write(&path, ONE.replace("toy", "giant")).unwrap();
    let error = followed(&folder, &tasks).err().unwrap();
    assert!(error.to_string().contains("device 1, class"), "{error}");

    std::fs::write(&path, ONE).unwrap();
    let devices = followed(&folder, &tasks).unwrap();
    let clone = devices.clone();
    assert_eq!(devices.current().of_any("One/2").name, "One");

    std::fs::write(&path, ONE.replace("One", "Two")).unwrap();
    assert!(is_in_force(&devices, "Two").await);
    for bad in [Some("[[device]"), Some(""), None] {
        match bad {
            Some(text) => std::fs::write(&path, text).unwrap(),
            None => std::fs::remove_file(&path).unwrap(),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(clone.current().list()[0].name, "Two", "{bad:?}");
    }
    // As editors write: a new file that takes the old one's name.
    let new = folder.path().join("new");
    std::fs::write(&new, ONE.replace("One", "Six")).unwrap();
    std::fs::rename(&new, &path).unwrap();
    assert!(is_in_force(&clone, "Six").await);
    assert!(tasks.shut_down().await);
}

#[tokio::test]
async fn without_a_file_the_built_in_table_is_in_force() {
    let (tasks, _failures) = Tasks::new();
    let devices = Devices::start(None, &tasks).unwrap();
    assert_eq!(*devices.current(), built_in());
    assert!(tasks.shut_down().await);
    assert_eq!(*devices.current(), built_in());
}
