//! A mail server and a broker that others wrote: Debian's python3-aiosmtpd and mosquitto.

use std::{
    net::TcpStream,
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{APART, now_ms, send, text};
use crate::{
    money::Mint,
    support::{
        FIXED_DIFFICULTY, Miner, Node, Pool, PoolSettings, Process, free_port, key::Key, loopback,
        tls::write_certificate, wait_for,
    },
};

/// A pool on a node of its own, with these lines for `[http]` and behind `[[pool]]`.
fn mint(folder: TempDir, http: &str, settings: &str) -> Mint {
    let node = Node::start(&folder, "node", &["--rules", "regtest", "--maturity", "3"]);
    let address = node.rpc.call("getnewaddress", json!([]));
    let pool = Pool::start(
        &folder,
        &PoolSettings {
            address: address.as_str().unwrap(),
            http,
            pool: settings,
            listener: FIXED_DIFFICULTY,
            daemons: node.rpc.daemon(),
            ..PoolSettings::default()
        },
    );
    Mint { pool, node, folder }
}

fn wait_for_port(port: u16) {
    wait_for("a server", || TcpStream::connect(loopback(port)).ok());
}

/// The messages that the server has printed to their end, with lines that were cut for the way put
/// together.
fn messages(server: &Process) -> Vec<String> {
    let log = server.log_text().replace("=\n", "").replace("=3D", "=");
    let messages = log.split("---------- MESSAGE FOLLOWS ----------").skip(1);
    let whole = messages.filter(|message| message.contains("END MESSAGE"));
    whole.map(str::to_owned).collect()
}

/// The path of a link with these words before it.
fn link(message: &str, page: &str, what: &str) -> Option<String> {
    let begin = format!("{page}/alerts/{what}/");
    let at = message.find(&begin)? + page.len();
    let path = &message[at..];
    let end = path.find(|c: char| !c.is_ascii_alphanumeric() && c != '/');
    Some(path[..end.unwrap_or(path.len())].to_owned())
}

/// Posts to a page of the pool, as its button does, and gives the status.
fn press(pool: &Pool, path: &str) -> u16 {
    pool.post(path)
}

/// Over a connection that becomes TLS: a miner's mailbox is asked, and only what says yes is told.
#[test]
fn a_mailbox_says_yes_before_it_is_told_and_can_end_it() {
    let folder = TempDir::new().unwrap();
    write_certificate(folder.path());
    let path = |name: &str| folder.path().join(name).display().to_string();
    let port = free_port();
    let mut command = Command::new("/usr/bin/python3");
    command
        .args([
            "-u",
            "-m",
            "aiosmtpd",
            "-n",
            "-l",
            &format!("localhost:{port}"),
        ])
        .args([
            "--tlscert",
            &path("certificate.pem"),
            "--tlskey",
            &path("key.pem"),
        ])
        .stdin(Stdio::null());
    let server = Process::start(command, folder.path().join("mail.log"));
    wait_for_port(port);
    let page = "https://pool.example";
    let settings = format!(
        "maturity = 3\n[alerts]\nca_file = {:?}\n[alerts.email]\nhost = \"localhost\"\nport = {port}\n\
         from = \"The pool <pool@pool.example>\"\nto = [\"operator@pool.example\"]\n",
        path("certificate.pem")
    );
    let mint = mint(folder, &format!("url = \"{page}/\"\n"), &settings);
    let (pool, key) = (&mint.pool, Key::new(51));
    mint.find_block(&key.address);
    let to = |mailbox: &'static str| {
        let messages = messages(&server).into_iter();
        messages.filter(move |message| message.contains(&format!("To: {mailbox}\n")))
    };
    let found = wait_for("the operator's message", || {
        to("operator@pool.example").next()
    });
    assert!(found.contains("Subject: main: Block found\n"), "{found}");
    assert!(
        found.contains("The pool has found block 1, worth 50.00000000 BTC."),
        "{found}"
    );
    assert!(
        found.contains("From: \"The pool\" <pool@pool.example>\n"),
        "{found}"
    );

    let body = json!({
        "sink": "email", "target": "me@miner.example", "kinds": ["block_found"],
    });
    let (status, made) = super::wish(pool, &key, "", &body);
    assert_eq!(
        (status, &made["state"]),
        (201, &json!("unconfirmed")),
        "{made}"
    );
    assert_eq!(made["secret"], Value::Null);
    let asked = wait_for("the question", || to("me@miner.example").next());
    assert!(
        asked.contains("Subject: main: Confirm your alerts\n"),
        "{asked}"
    );
    assert!(asked.contains(&key.address), "{asked}");
    let confirm = link(&asked, page, "confirm").expect(&asked);
    // Nothing else goes there, and a link that was only looked at says nothing.
    mint.find_block(&key.address);
    let (status, shown) = pool.get(&confirm).unwrap();
    assert_eq!(status, 200, "{shown}");
    assert!(shown.contains("<form method=\"post\">"), "{shown}");
    wait_for("the operator's second message", || {
        (to("operator@pool.example").count() == 2).then_some(())
    });
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(to("me@miner.example").count(), 1);
    // A token that is another one is none, and one that confirms does not end.
    let (rest, last) = confirm.split_at(confirm.len() - 1);
    let wrong = format!("{rest}{}", if last == "0" { '1' } else { '0' });
    let own = format!("/{}/", made["id"]);
    assert!(confirm.contains(&own) && own != "/1/", "{confirm}");
    for path in [
        wrong,
        confirm.replace(&own, "/1/"),
        confirm.replace(&own, "/9/"),
        confirm.replace("confirm", "stop"),
        "/alerts/confirm/1/".to_owned() + &"0".repeat(32),
    ] {
        assert_eq!(press(pool, &path), 404, "{path}");
    }
    assert_eq!(press(pool, &confirm), 200);
    mint.find_block(&key.address);
    let told = wait_for("the third block", || to("me@miner.example").nth(1));
    assert!(told.contains("block 3"), "{told}");
    assert!(
        told.contains("List-Unsubscribe-Post: List-Unsubscribe=One-Click\n"),
        "{told}"
    );
    let stop = link(&told, page, "stop").expect(&told);
    assert_eq!(press(pool, &stop), 200);
    assert_eq!(press(pool, &stop), 404, "there is nothing to end any more");
    mint.find_block(&key.address);
    wait_for("the operator's message of the fourth", || {
        to("operator@pool.example").find(|message| message.contains("found block 4"))
    });
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(to("me@miner.example").count(), 2);
    // Two more questions to that mailbox may be asked today, and no third one.
    for expected in [201, 201, 429] {
        std::thread::sleep(APART);
        let number = now_ms();
        let mut wish = body.clone();
        let words = text(pool, &key.address, "subscribe", number, &body);
        wish["number"] = json!(number);
        wish["signature"] = json!(key.sign(&words));
        let (status, answer) = send(pool, &key.address, "", &wish);
        assert_eq!(status, expected, "{answer}");
        if expected == 201 {
            std::thread::sleep(APART);
            let id = json!({"subscription": answer["id"]});
            assert_eq!(super::wish(pool, &key, "/remove", &id).0, 204);
        }
    }
}

/// A broker that wants a login and TLS: it has what Home Assistant looks for, the figures, and alerts.
#[test]
fn a_broker_has_figures_discovery_and_alerts() {
    let folder = TempDir::new().unwrap();
    write_certificate(folder.path());
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (tls, plain) = (free_port(), free_port());
    let made = Command::new("mosquitto_passwd")
        .args(["-b", "-c", &path("passwords"), "adit", "s3cret"])
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    std::fs::write(
        folder.path().join("broker.conf"),
        format!(
            "user root\nper_listener_settings false\nallow_anonymous false\npassword_file {}\n\
             listener {plain} 127.0.0.1\n\
             listener {tls} 127.0.0.1\ncertfile {}\nkeyfile {}\n",
            path("passwords"),
            path("certificate.pem"),
            path("key.pem")
        ),
    )
    .unwrap();
    let mut command = Command::new("/usr/sbin/mosquitto");
    command
        .args(["-c", &path("broker.conf"), "-v"])
        .stdin(Stdio::null());
    let _broker = Process::start(command, folder.path().join("broker.log"));
    wait_for_port(plain);
    // Somebody who hears all, in the newer version of the protocol.
    let mut command = Command::new("mosquitto_sub");
    command
        .args(["-h", "127.0.0.1", "-p", &plain.to_string(), "-V", "mqttv5"])
        .args(["-u", "adit", "-P", "s3cret", "-t", "#", "-F", "%r %t %p"])
        .stdin(Stdio::null());
    let listener = Process::start(command, folder.path().join("heard.log"));
    let key = Key::new(52);
    let settings = format!(
        "maturity = 3\n[alerts]\nca_file = {:?}\n[alerts.mqtt]\nurl = \"mqtts://localhost:{tls}\"\n\
         user = \"adit\"\npassword = \"s3cret\"\nevery_s = 1\naddresses = [\"{}\"]\n",
        path("certificate.pem"),
        key.address
    );
    let mint = mint(folder, "", &settings);
    let heard = |topic: &str| -> Vec<Value> {
        let log = listener.log_text();
        let lines = log
            .lines()
            .filter_map(|line| line.split_once(' ')?.1.split_once(' '));
        let of_topic = lines.filter(|(heard, _)| *heard == topic);
        of_topic
            .map(|(_, payload)| serde_json::from_str(payload).unwrap())
            .collect()
    };
    let config = wait_for("discovery of the pool", || {
        heard("homeassistant/sensor/adit_main_hashrate/config").pop()
    });
    assert_eq!(config["state_topic"], "adit/main/state");
    assert_eq!(config["value_template"], "{{ value_json.hashrate }}");
    assert_eq!(config["unit_of_measurement"], "H/s");
    assert_eq!(config["unique_id"], "adit_main_hashrate");
    assert_eq!(config["device"]["identifiers"], json!(["adit_main"]));
    assert_eq!(config["expire_after"], 3);
    let mut miner = Miner::connect(mint.pool.miners);
    let name = format!("{}.rig", key.address);
    miner.log_in(&name);
    let block = miner.block(1, None);
    let params = Miner::params(&name, &block);
    assert_eq!(miner.ask("mining.submit", params)["result"], true);
    let state = wait_for("the worker's figures", || {
        let states = heard("adit/main/workers/1").into_iter();
        states.rev().find(|state| state["connected"] == "yes")
    });
    assert_eq!(
        (&state["worker"], &state["shares"]),
        (&json!("rig"), &json!(1))
    );
    assert_eq!(state["address"], key.address.as_str());
    let config = heard("homeassistant/binary_sensor/adit_main_worker_1_connected/config").pop();
    assert_eq!(config.unwrap()["device"]["name"], "Worker rig");
    drop(miner);
    wait_for("the worker's end", || {
        let mut states = heard("adit/main/workers/1").into_iter();
        states
            .next_back()
            .filter(|state| state["connected"] == "no")
    });
    let alert = wait_for("the block", || heard("adit/alerts").pop());
    assert_eq!(alert["kind"], "block_found");
    assert_eq!(alert["pool"], "main");
    wait_for("the pool's figures", || {
        let state = heard("adit/main/state").pop()?;
        (state["blocks"] == 1 && state["height"] == 2 && state["working"] == "yes").then_some(())
    });
    let log = mint.pool.process.log_text();
    assert!(!log.contains("s3cret"), "{log}");
    // Who comes later finds figures and discovery, and no alert of before.
    let late = |arguments: &[&str]| {
        let late = Command::new("mosquitto_sub")
            .args(["-h", "127.0.0.1", "-p", &plain.to_string()])
            .args(["-u", "adit", "-P", "s3cret", "-F", "%r %t"])
            .arg("--retained-only")
            .args(arguments)
            .output()
            .unwrap();
        String::from_utf8_lossy(&late.stdout).into_owned()
    };
    let first = ["-t", "adit/alerts/#", "-t", "adit/main/state", "-C", "1"];
    let first = late(&[&first[..], &["-W", "60"]].concat());
    assert_eq!(first, "1 adit/main/state\n");
    let all = late(&["-t", "#", "-W", "1"]);
    assert!(!all.contains("adit/alerts"), "{all}");
}
