//! What `packaging/` says: every path and port that it names exists, and its numbers are the program's own.

use std::{fs, path::Path};

use toml::{Table, Value};

use crate::support::adit;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[track_caller]
fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The values of a key of the unit.
fn unit(key: &str) -> Vec<String> {
    let text = read("packaging/adit.service");
    let lines = text.lines().filter_map(|line| line.split_once('='));
    let found = lines.filter(|(name, _)| *name == key);
    found.map(|(_, value)| value.to_owned()).collect()
}

fn only(key: &str) -> String {
    let values = unit(key);
    assert_eq!(values.len(), 1, "{key}: {values:?}");
    values[0].clone()
}

fn deb() -> Table {
    let manifest: Table = read("Cargo.toml").parse().unwrap();
    let deb = &manifest["package"]["metadata"]["deb"];
    deb.as_table().unwrap().clone()
}

/// Where the Debian package puts each file, by where it comes from.
fn assets() -> Vec<(String, String)> {
    let assets = deb()["assets"].as_array().unwrap().clone();
    let text = |asset: &Value, index: usize| asset[index].as_str().unwrap().to_owned();
    let assets = assets.iter();
    assets
        .map(|asset| (text(asset, 0), text(asset, 1)))
        .collect()
}

/// The defaults of the program, with these variables set.
fn settings(variables: &[(&str, &str)]) -> Vec<(String, String)> {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("adit.toml");
    fs::write(&config, "[[pool]]\n[[pool.listener]]\n").unwrap();
    let mut command = adit(&["config", "--json", "-c", config.to_str().unwrap()]);
    command.envs(variables.iter().copied());
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let shown: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let shown = shown["settings"].as_array().unwrap().iter();
    let text = |setting: &serde_json::Value, key: &str| setting[key].as_str().unwrap().to_owned();
    shown
        .map(|setting| (text(setting, "key"), text(setting, "value")))
        .collect()
}

#[track_caller]
fn port(settings: &[(String, String)], key: &str) -> String {
    let (_, value) = settings.iter().find(|(name, _)| name == key).expect(key);
    let (_, port) = value.trim_matches('"').rsplit_once(':').unwrap();
    port.to_owned()
}

#[test]
fn the_debian_package_has_files_that_are_there() {
    for (from, to) in assets() {
        assert!(!to.starts_with('/'), "{to}");
        let folder = from.strip_suffix("*.md");
        match folder {
            _ if from == "target/release/adit" => {}
            None => assert!(root().join(&from).is_file(), "{from}"),
            Some(folder) => assert!(root().join(folder).is_dir(), "{from}"),
        }
    }
    let deb = deb();
    let scripts = deb["maintainer-scripts"].as_str().unwrap();
    let postinst = read(&format!("{scripts}/postinst"));
    let units = &deb["systemd-units"];
    let unit = format!(
        "{}/{}.service",
        units["unit-scripts"].as_str().unwrap(),
        units["unit-name"].as_str().unwrap()
    );
    assert!(root().join(&unit).is_file(), "{unit}");
    // What it calls is there by then.
    for (command, folder) in [
        ("systemd-sysusers", "sysusers.d"),
        ("systemd-tmpfiles", "tmpfiles.d"),
    ] {
        let line = postinst.lines().find(|line| line.contains(command));
        let name = line.expect(command).split_whitespace().last().unwrap();
        let path = format!("usr/lib/{folder}/{name}");
        let asset = assets().into_iter().find(|(_, to)| *to == path);
        let (from, _) = asset.expect(&path);
        // What cargo-deb adds to the script calls it by the name that it has here.
        assert_eq!(Path::new(&from).file_name().unwrap(), name);
    }
}

#[test]
fn the_unit_starts_what_the_package_installs_as_whom_it_makes() {
    let start = only("ExecStart");
    let words: Vec<&str> = start.split_whitespace().collect();
    let [program, "pool", "-c", config] = words[..] else {
        panic!("{start}");
    };
    let binary = assets()
        .into_iter()
        .find(|(from, _)| from == "target/release/adit");
    let (_, to) = binary.expect("the program is in the package");
    assert_eq!(program, format!("/{to}adit"));
    assert_eq!(only("ConditionPathExists"), config);

    let (user, group) = (only("User"), only("Group"));
    let made = read("packaging/sysusers/adit.conf");
    let home = format!("/var/lib/{}", only("StateDirectory"));
    let line = made
        .lines()
        .find(|line| line.starts_with(&format!("u {user} ")));
    assert!(line.expect("the user is made").ends_with(&home));
    assert_eq!(only("WorkingDirectory"), home);
    let folder = Path::new(config).parent().unwrap().to_str().unwrap();
    let made = read("packaging/tmpfiles/adit.conf");
    let line = format!("d {folder} 0750 {user} {group} -");
    assert!(
        made.lines().any(|made| made == line),
        "{line} is not in {made}"
    );

    // EX_USAGE, and four stages of 10 s.
    assert_eq!(only("RestartPreventExitStatus"), "64");
    assert!(only("TimeoutStopSec").parse::<u32>().unwrap() > 40);
    let sockets: u32 = only("FileDescriptorStoreMax").parse().unwrap();
    assert!(
        sockets >= 10_016,
        "each miner has a socket, each listener, and HTTP"
    );
    assert_eq!(only("Type"), "notify");
    assert_eq!(only("ExecReload"), "/bin/kill -HUP $MAINPID");
}

#[test]
fn the_container_opens_the_ports_that_the_program_has_and_sets_what_it_knows() {
    let file = read("packaging/Containerfile");
    let defaults = settings(&[]);
    let miners = port(&defaults, "pool.0.listener.0.listen");
    let http = port(&defaults, "http.listen");
    let exposed = format!("EXPOSE {miners} {http}");
    assert!(file.lines().any(|line| line == exposed), "{exposed}");
    let variables: Vec<(&str, &str)> = file
        .split_whitespace()
        .filter_map(|word| word.split_once('='))
        .filter(|(name, _)| name.starts_with("ADIT_"))
        .collect();
    assert_eq!(variables.len(), 3, "{variables:?}");
    let within = settings(&variables);
    for (key, value) in [
        ("data", "/data".to_owned()),
        ("http.listen", format!("0.0.0.0:{http}")),
        ("pool.0.listener.0.listen", format!("0.0.0.0:{miners}")),
    ] {
        let shown = within.iter().find(|(name, _)| name == key).unwrap();
        assert_eq!(shown.1.trim_matches('"'), value, "{key}");
    }
    // No older compiler than the workspace wants.
    let manifest: Table = read("Cargo.toml").parse().unwrap();
    let rust = manifest["workspace"]["package"]["rust-version"]
        .as_str()
        .unwrap();
    assert!(file.contains(&format!("/rust:{rust}-")), "{rust}");

    let compose = read("packaging/compose.yml");
    for published in [
        format!("\"{miners}:{miners}\""),
        format!("\"127.0.0.1:{http}:{http}\""),
    ] {
        assert!(compose.contains(&published), "{published}");
    }
    let value = |key: &str| {
        let line = compose
            .lines()
            .find_map(|line| line.trim().strip_prefix(key));
        line.unwrap_or_else(|| panic!("{key}")).trim().to_owned()
    };
    let context = root().join("packaging").join(value("context:"));
    assert!(context.join(value("dockerfile:")).is_file());
}
