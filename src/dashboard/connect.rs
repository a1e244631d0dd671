//! `/connect`: what to type into a miner, for each kind of device, with the light that goes on when its
//! first share comes.

use std::net::{IpAddr, SocketAddr};

use askama::Template;
use axum::{
    extract::{Query, State, rejection::QueryRejection},
    http::{HeaderMap, header},
    response::Response,
};
use mining::{Address, address::ADDRESS_LEN_MAX};
use serde::Deserialize;

use super::{ENGLISH, Shell, page as answer, qr};
use crate::{
    api::{pools::PoolSummary, problem::Problem},
    display,
    listener::Fingerprint,
    networks,
    pool::Pool,
};

/// The longest of what a visitor fills in.
pub(super) const TYPED_MAX: usize = ADDRESS_LEN_MAX;
/// What stands in the place of an address until one is filled in.
pub(super) const YOUR_ADDRESS: &str = "YOUR-ADDRESS";
/// What a machine is called until it has a name.
const WORKER: &str = "worker1";

/// What was filled in.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Filled {
    #[serde(default)]
    address: String,
    #[serde(default)]
    worker: String,
}

#[derive(Template)]
#[template(path = "connect.html")]
struct Page {
    shell: Shell,
    pools: Vec<Shown>,
    /// What was filled in, as it was.
    address: String,
    worker: String,
    /// The user name that comes of it.
    user: String,
    /// The address that is waited for, if what was filled in is one.
    awaited: Option<String>,
    /// What is wrong with what was filled in.
    wrong: Option<String>,
}

struct Shown {
    pool: PoolSummary,
    places: Vec<Where>,
    devices: Vec<Device>,
}

/// A way to reach a port for miners.
#[derive(Clone, Debug)]
pub(super) struct Where {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) url: String,
    /// Whether only this machine can reach it.
    pub(super) loopback: bool,
    pub(super) tls: &'static str,
    pub(super) fingerprint: Option<String>,
    pub(super) scheme: &'static str,
    pub(super) start_difficulty: String,
    pub(super) qr: String,
}

/// What to type into a kind of device.
struct Device {
    name: &'static str,
    lines: Vec<(&'static str, String)>,
    note: &'static str,
}

/// `/connect`
pub(super) async fn page(
    State(pools): State<Vec<Pool>>,
    headers: HeaderMap,
    filled: Result<Query<Filled>, QueryRejection>,
) -> Response {
    let filled = filled.map(|Query(filled)| filled).unwrap_or_default();
    answer(Page::new(&pools, &headers, filled).await)
}

impl Page {
    async fn new(pools: &[Pool], headers: &HeaderMap, filled: Filled) -> Result<Self, Problem> {
        let cut = |text: &str| text.trim().chars().take(TYPED_MAX).collect::<String>();
        let (address, worker) = (cut(&filled.address), cut(&filled.worker));
        let mut awaited = None;
        let mut wrong = None;
        if !address.is_empty() {
            for pool in pools {
                match Address::parse(pool.coin, pool.network, &address) {
                    Ok(parsed) => awaited = Some(parsed.as_str().to_owned()),
                    Err(error) => wrong = Some(error.to_string()),
                }
            }
        }
        let user = format!(
            "{}.{}",
            if address.is_empty() {
                YOUR_ADDRESS
            } else {
                &address
            },
            if worker.is_empty() { WORKER } else { &worker }
        );
        let mut shown = Vec::new();
        for pool in pools {
            let summary = PoolSummary::of(pool).await?;
            let places = Where::all(&summary, headers);
            let devices = places
                .first()
                .map(|place| devices(place, &user, summary.algorithm));
            shown.push(Shown {
                devices: devices.unwrap_or_default(),
                places,
                pool: summary,
            });
        }
        Ok(Self {
            shell: Shell::new("connect", ENGLISH.connect),
            pools: shown,
            user,
            wrong: wrong.filter(|_| awaited.is_none()),
            awaited,
            address,
            worker,
        })
    }
}

impl Where {
    /// How miners reach the ports of a pool: the address in the local network first, then the name by
    /// which the visitor came.
    pub(super) fn all(pool: &PoolSummary, headers: &HeaderMap) -> Vec<Self> {
        let mut all = Vec::new();
        for door in &pool.doors {
            let Ok(address) = door.address.parse::<SocketAddr>() else {
                continue;
            };
            let mut hosts = Vec::new();
            if address.ip().is_unspecified() {
                hosts.extend(networks::of_this_machine().map(|ip| ip.to_string()));
                hosts.extend(named(headers));
                hosts.dedup();
            } else {
                hosts.push(address.ip().to_string());
            }
            for host in hosts {
                let host = match host.parse::<IpAddr>() {
                    Ok(IpAddr::V6(ip)) => format!("[{ip}]"),
                    _ => host,
                };
                let protocol = match (pool.algorithm, door.tls) {
                    ("visionx", "only") => "https",
                    ("visionx", _) => "http",
                    (_, "only") => "stratum+ssl",
                    _ => "stratum+tcp",
                };
                let port = address.port();
                let url = format!("{protocol}://{host}:{port}");
                all.push(Self {
                    qr: qr::svg(&url, ENGLISH.qr).unwrap_or_default(),
                    url,
                    host,
                    port,
                    loopback: address.ip().to_canonical().is_loopback(),
                    tls: door.tls,
                    fingerprint: door.tls_fingerprint.clone(),
                    scheme: door.scheme,
                    start_difficulty: display::difficulty(door.start_difficulty),
                });
            }
        }
        all
    }
}

/// The name by which the visitor came, unless it is this machine's for itself. It is what the visitor
/// sent, so that it is shown to nobody else.
fn named(headers: &HeaderMap) -> Option<String> {
    let host = headers.get(header::HOST)?.to_str().ok()?;
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':');
    let is_own = name == "localhost" || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    let fits = !name.is_empty() && name.len() <= 253 && name.bytes().all(is_plain);
    (fits && !is_own).then(|| name.to_owned())
}

/// Where the visitor found this pool, with its port; nothing if that is no plain name.
pub(super) fn came_to(headers: &HeaderMap) -> Option<&str> {
    let host = headers.get(header::HOST)?.to_str().ok()?;
    let is_plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':' | b'[' | b']');
    let fits = !host.is_empty() && host.len() <= 260 && host.bytes().all(is_plain);
    fits.then_some(host)
}

/// What to type, in the words of each device's own page.
fn devices(place: &Where, user: &str, algorithm: &str) -> Vec<Device> {
    match algorithm {
        "randomx" => return randomx(place, user),
        "visionx" => return visionx(place, user),
        _ => {}
    }
    let (host, port, url) = (&place.host, place.port, &place.url);
    let bare = format!("{host}:{port}");
    let row = |name: &'static str, value: &str| (name, value.to_owned());
    let three = || vec![row("URL", url), row("Worker", user), row("Password", "x")];
    let mut all = Vec::new();
    if algorithm == "sha256d" {
        all.extend([
            Device {
                name: "Bitaxe, NerdAxe, NerdQAxe (AxeOS)",
                lines: vec![
                    row("Stratum Host", host),
                    row("Stratum Port", &port.to_string()),
                    row("Stratum User", user),
                    row("Stratum Password", "x"),
                ],
                note: "On the page Pool of the device. The host stands alone, without stratum+tcp://. Save, then restart.",
            },
            Device {
                name: "NerdMiner, NMMiner",
                lines: vec![
                    row("Pool url", host),
                    row("Pool port", &port.to_string()),
                    row("Your BTC address", user),
                    row("Pool password", "x"),
                ],
                note: "On the page that the device opens as a Wi-Fi network of its own.",
            },
            Device {
                name: "Avalon Nano 3, Mini 3, Q",
                lines: vec![row("Pool 1", url), row("Worker 1", user), row("Password 1", "x")],
                note: "In the Avalon app or on the device's page. A user name has at most 63 characters there.",
            },
            Device {
                name: "Antminer S and T series, Whatsminer, Braiins OS, LuxOS, Vnish",
                lines: three(),
                note: "On the page of the pools; take the first of the three, and leave another pool as the second.",
            },
            Device {
                name: "cgminer, bfgminer",
                lines: vec![row("Command", &format!("cgminer -o {url} -u {user} -p x"))],
                note: "",
            },
        ]);
    } else {
        all.extend([
            Device {
                name: "Antminer L7 and L9, Elphapex, Goldshell, VolcMiner",
                lines: three(),
                note: "On the page of the pools; take the first of the three, and leave another pool as the second.",
            },
            Device {
                name: "cpuminer",
                lines: vec![row("Command", &format!("minerd -a scrypt -o {url} -u {user} -p x"))],
                note: "To try it out: a CPU finds no block here.",
            },
        ]);
    }
    all.extend([
        Device {
            name: "NiceHash, Mining Rig Rentals",
            lines: vec![
                row("Stratum host", host),
                row("Port", &port.to_string()),
                row("Username", user),
                row("Password", "x"),
                row("Algorithm", algorithm),
            ],
            note: "The pool speaks extranonce.subscribe, and begins high enough for them.",
        },
        Device {
            name: "adit",
            lines: vec![row(
                "Command",
                &format!("adit mine --url {url} --user {user}"),
            )],
            note: "The CPU worker of this program, on any machine.",
        },
        Device {
            name: "Anything else that speaks Stratum V1",
            lines: vec![row("Pool", &bare), row("User", user), row("Password", "x")],
            note: "",
        },
    ]);
    all
}

/// Vision's miners, which come by HTTP.
fn visionx(place: &Where, user: &str) -> Vec<Device> {
    let url = &place.url;
    vec![
        Device {
            name: "adit",
            lines: vec![("Command", format!("adit mine --url {url} --user {user}"))],
            note: "The CPU worker of this program, on any machine.",
        },
        Device {
            name: "A node that joins pools",
            lines: vec![("Pool URL", url.clone()), ("Wallet", user.to_owned())],
            note: "The wallet is the address before the point; what stands behind it is the worker's name.",
        },
    ]
}

/// Monero's miners: programs, all of them.
fn randomx(place: &Where, user: &str) -> Vec<Device> {
    let (host, port, url) = (&place.host, place.port, &place.url);
    let row = |name: &'static str, value: &str| (name, value.to_owned());
    let is_tls = url.starts_with("stratum+ssl");
    // Without the certificate's fingerprint XMRig believes any.
    let print = place.fingerprint.as_ref().and_then(|it| it.parse().ok());
    let tls = match print.map(|print: Fingerprint| print.digits()) {
        _ if !is_tls => String::new(),
        Some(print) => format!(" --tls --tls-fingerprint={print}"),
        None => " --tls".to_owned(),
    };
    let srbminer_tls = if is_tls { " --tls true" } else { "" };
    let command = |line: String| vec![("Command", line)];
    vec![
        Device {
            name: "XMRig",
            lines: command(format!("xmrig -o {host}:{port} -u {user} -k{tls}")),
            note: "A difficulty of your own stands behind the name: +5000.",
        },
        Device {
            name: "xmrig-proxy",
            lines: command(format!("xmrig-proxy -o {host}:{port} -u {user} -k{tls}")),
            note: "All that is behind it is one worker here.",
        },
        Device {
            name: "SRBMiner",
            lines: command(format!(
                "SRBMiner-MULTI --algorithm randomx --pool {host}:{port} --wallet {user}{srbminer_tls}"
            )),
            note: "",
        },
        Device {
            name: "adit",
            lines: command(format!("adit mine --url {url} --user {user}")),
            note: "The CPU worker of this program, on any machine.",
        },
        Device {
            name: "Anything else that speaks Monero's Stratum",
            lines: vec![
                row("Pool", &format!("{host}:{port}")),
                row("User", user),
                row("Algorithm", "rx/0"),
            ],
            note: "",
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_miner_of_monero_is_told_the_certificate_as_it_compares_it() {
        let place = |url: &str, fingerprint: Option<&str>| Where {
            host: "pool.example".into(),
            port: 3333,
            url: url.into(),
            loopback: false,
            tls: "only",
            fingerprint: fingerprint.map(str::to_owned),
            scheme: "pplns",
            start_difficulty: String::new(),
            qr: String::new(),
        };
        let lines = |place: &Where| -> Vec<String> {
            let devices = randomx(place, "ADDRESS.rig");
            devices
                .into_iter()
                .map(|it| it.lines[0].1.clone())
                .collect()
        };
        let print = ["AB"; 32].join(":");
        let told = lines(&place("stratum+ssl://pool.example:3333", Some(&print)));
        let xmrig = format!(" --tls --tls-fingerprint={}", "ab".repeat(32));
        assert!(
            told[0].ends_with(&xmrig) && told[1].ends_with(&xmrig),
            "{told:?}"
        );
        assert!(told[2].ends_with(" --tls true"), "{told:?}");
        // A port that speaks both is reached without.
        let told = lines(&place("stratum+tcp://pool.example:3333", Some(&print)));
        assert!(told.iter().all(|line| !line.contains("tls")), "{told:?}");
    }

    #[test]
    fn the_name_by_which_one_came_is_taken_only_if_it_is_a_name() {
        let of = |host: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            named(&headers)
        };
        assert_eq!(of("pool.example:3334").as_deref(), Some("pool.example"));
        assert_eq!(of("192.168.1.5:3334").as_deref(), Some("192.168.1.5"));
        assert_eq!(of("[2001:db8::1]:3334").as_deref(), Some("2001:db8::1"));
        for refused in [
            "localhost:3334",
            "127.0.0.1",
            "[::1]:80",
            "<script>",
            "a b",
            "",
        ] {
            assert_eq!(of(refused), None, "{refused}");
        }
    }
}
