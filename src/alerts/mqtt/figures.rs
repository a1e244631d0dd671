//! What a broker is told again and again: how the pools and some workers do, and, for Home Assistant,
//! that there are such figures.

use std::{collections::HashMap, sync::Arc, time::Duration};

use mining::Address;
use serde_json::{Value, json};
use store::Worker;
use tracing::warn;

use super::{Broker, Message};
use crate::{
    alerts::config::Mqtt,
    api::rate::Stretch,
    clock, display,
    pool::Pool,
    tasks::{Stage, Tasks},
    template_feed::Newest,
};

/// Workers of an address that are published.
const WORKERS_MAX: u32 = 200;
/// Addresses whose workers are.
const ADDRESSES_MAX: usize = 20;
/// Figures of so many minutes.
const MINUTES: u32 = 10;
/// What Home Assistant shows of a pool that is silent for so many times as long as usual is not
/// believed any more.
const SILENT_MAX: u32 = 3;

/// Starts to publish. The error names an address that is none.
pub(in crate::alerts) fn start(
    broker: Arc<Broker>,
    settings: &Mqtt,
    pools: &[Pool],
    tasks: &Tasks,
) -> Result<(), String> {
    if settings.addresses.len() > ADDRESSES_MAX {
        return Err(format!("alerts.mqtt.addresses: at most {ADDRESSES_MAX}"));
    }
    let mut published = Vec::new();
    for pool in pools {
        let parse = |text: &String| Address::parse(pool.coin, pool.network, text).ok();
        let addresses: Vec<Address> = settings.addresses.iter().filter_map(parse).collect();
        published.push((pool.clone(), addresses));
    }
    for text in &settings.addresses {
        let is_one = |(pool, _): &(Pool, _)| Address::parse(pool.coin, pool.network, text).is_ok();
        if !published.iter().any(is_one) {
            return Err(format!(
                "alerts.mqtt.addresses: {text:?} is none of any pool's coin"
            ));
        }
    }
    let settings = settings.clone();
    let ending = tasks.ending(Stage::Books);
    tasks.spawn(Stage::Books, "figures for mqtt", async move {
        let every = Duration::from_secs(settings.every_s.into());
        let mut failed = false;
        loop {
            let told = tell(&broker, &settings, &published);
            let Some(told) = ending.run_until_cancelled(told).await else {
                return Ok(());
            };
            match &told {
                Err(error) if !failed => {
                    let error = format!("{error:#}");
                    warn!(error, "figures are not published");
                }
                _ => {}
            }
            failed = told.is_err();
            tokio::select! {
                () = tokio::time::sleep(every) => {}
                () = ending.cancelled() => return Ok(()),
            }
        }
    });
    Ok(())
}

async fn tell(
    broker: &Broker,
    settings: &Mqtt,
    pools: &[(Pool, Vec<Address>)],
) -> anyhow::Result<()> {
    let mut messages = Vec::new();
    for (pool, addresses) in pools {
        of_pool(pool, settings, &mut messages).await?;
        for address in addresses {
            of_workers(pool, address, settings, &mut messages).await?;
        }
    }
    Ok(broker.publish(&messages).await?)
}

/// Where figures stand, and what they are.
struct Device<'a> {
    settings: &'a Mqtt,
    /// Its id among all of Home Assistant's.
    id: String,
    name: String,
    topic: String,
}

impl Device<'_> {
    /// Says that there is a figure: `kind` is a component of Home Assistant, `field` is that of the JSON.
    fn discover(&self, kind: &str, field: &str, name: &str, more: &Value) -> Option<Message> {
        let settings = self.settings;
        if settings.discovery.is_empty() {
            return None;
        }
        let id = format!("{}_{field}", self.id);
        let mut config = json!({
            "name": name,
            "unique_id": id,
            "state_topic": self.topic,
            "value_template": format!("{{{{ value_json.{field} }}}}"),
            "expire_after": settings.every_s.saturating_mul(SILENT_MAX),
            "device": {"identifiers": [self.id], "name": self.name, "manufacturer": "adit"},
            "origin": {"name": "adit", "sw_version": env!("CARGO_PKG_VERSION")},
        });
        let more = more.as_object().into_iter().flatten();
        for (key, value) in more {
            config[key] = value.clone();
        }
        Some(Message {
            topic: format!("{}/{kind}/{id}/config", settings.discovery),
            payload: config.to_string().into_bytes(),
            retained: true,
        })
    }

    fn state(&self, state: &Value) -> Message {
        Message {
            topic: self.topic.clone(),
            payload: state.to_string().into_bytes(),
            retained: true,
        }
    }
}

/// What of a name can stand in an id of Home Assistant.
fn id(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let safe = |c: char| if is_plain(c) { c } else { '_' };
    name.chars().map(safe).collect()
}

async fn of_pool(pool: &Pool, settings: &Mqtt, messages: &mut Vec<Message>) -> anyhow::Result<()> {
    let device = Device {
        settings,
        id: format!("adit_{}", id(&pool.name)),
        name: format!("Pool {}", pool.name),
        topic: format!("{}/{}/state", settings.prefix, pool.name),
    };
    let hashrate = json!({"unit_of_measurement": "H/s", "state_class": "measurement"});
    let number = json!({"state_class": "measurement"});
    let total = json!({"state_class": "total_increasing"});
    let working = json!({"payload_on": "yes", "payload_off": "no", "device_class": "running"});
    messages.extend(device.discover("sensor", "hashrate", "Hashrate", &hashrate));
    messages.extend(device.discover("sensor", "miners", "Miners", &number));
    messages.extend(device.discover("sensor", "blocks", "Blocks found", &total));
    messages.extend(device.discover("sensor", "height", "Height", &number));
    messages.extend(device.discover("binary_sensor", "working", "Work for miners", &working));
    let stretch = Stretch::new(pool, MINUTES, clock::now_ms());
    let sums = pool.store.pool_sums(pool.id, stretch.since).await?;
    let blocks = pool.store.block_counts(pool.id).await?;
    let height = match &*pool.newest.borrow() {
        Newest::Offer(offer) => Some(offer.template.height()),
        Newest::Nothing(_) => None,
    };
    messages.push(device.state(&json!({
        "hashrate": stretch.rate(sums.work),
        "miners": pool.sessions.count(),
        "blocks": blocks.immature + blocks.mature,
        "height": height,
        "working": if height.is_some() { "yes" } else { "no" },
    })));
    Ok(())
}

async fn of_workers(
    pool: &Pool,
    address: &Address,
    settings: &Mqtt,
    messages: &mut Vec<Message>,
) -> anyhow::Result<()> {
    let stretch = Stretch::new(pool, MINUTES, clock::now_ms());
    let windows = [stretch.since];
    let workers = pool
        .store
        .workers(pool.id, Some(address.as_str()), &windows, None, WORKERS_MAX);
    let workers = workers.await?;
    let mut connected: HashMap<String, usize> = HashMap::new();
    for session in pool.sessions.list() {
        if session.worker.address == *address {
            *connected.entry(session.worker.worker.clone()).or_insert(0) += 1;
        }
    }
    for worker in workers {
        let is_connected = connected.contains_key(worker.who.name());
        of_worker(pool, &worker, is_connected, stretch, settings, messages);
    }
    Ok(())
}

fn of_worker(
    pool: &Pool,
    worker: &Worker,
    is_connected: bool,
    stretch: Stretch,
    settings: &Mqtt,
    messages: &mut Vec<Message>,
) {
    let number = worker.id.number();
    let name = match worker.who.name() {
        "" => "without a name",
        name => name,
    };
    let device = Device {
        settings,
        id: format!("adit_{}_worker_{number}", id(&pool.name)),
        name: format!("Worker {name}"),
        topic: format!("{}/{}/workers/{number}", settings.prefix, pool.name),
    };
    let hashrate = json!({"unit_of_measurement": "H/s", "state_class": "measurement"});
    let total = json!({"state_class": "total_increasing"});
    let time = json!({"device_class": "timestamp"});
    let online = json!({"payload_on": "yes", "payload_off": "no", "device_class": "connectivity"});
    messages.extend(device.discover("sensor", "hashrate", "Hashrate", &hashrate));
    messages.extend(device.discover("sensor", "shares", "Shares", &total));
    messages.extend(device.discover("sensor", "last_share", "Last share", &time));
    messages.extend(device.discover("binary_sensor", "connected", "Connected", &online));
    let recent = worker.windows.first().copied().unwrap_or_default();
    messages.push(device.state(&json!({
        "worker": worker.who.name(),
        "address": worker.who.address(),
        "hashrate": stretch.rate(recent.work),
        "shares": worker.total.shares,
        "last_share": display::time(worker.last_share_ms),
        "connected": if is_connected { "yes" } else { "no" },
    })));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_no_character_that_means_something() {
        assert_eq!(id("main"), "main");
        assert_eq!(id("a.b/c+#d-1_"), "a_b_c__d-1_");
    }
}
