//! What is counted, in Prometheus' text form at `/metrics`. Labels are few and fixed: nothing a
//! miner types becomes one.

use std::{net::SocketAddr, sync::atomic::AtomicU64};

use mining::share::Reject;
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};

/// The counters of one pool.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    connections: Family<Door, Gauge>,
    /// Connections refused at the door: a limit, a ban, or not what the port is for.
    pub turned_away: Counter,
    /// Connections that ended in a fault of this program.
    pub panics: Counter,
    /// Addresses banned.
    pub bans: Counter,
    /// Lines that made no sense.
    pub malformed: Counter,
    /// Sessions that a miner may come back to.
    pub kept_sessions: Gauge,
    /// Jobs sent.
    pub jobs_sent: Counter,
    /// Blocks of miners' own nodes that are mined.
    pub templates_taken: Counter,
    /// Those that are not.
    pub templates_refused: Counter,
    /// Shares accepted and written down.
    pub accepted: Counter,
    /// Good shares that could not be written down.
    pub not_stored: Counter,
    /// Blocks solved.
    pub blocks: Counter,
    /// Mature blocks that their chain left.
    pub mature_left: Counter,
    /// Whether too many of the last blocks are orphans: 1 if so.
    pub orphan_alarm: Gauge,
    /// Accounts that find far fewer blocks than their work should.
    pub suspects: Gauge,
    /// What stands in the way of payouts.
    pub payouts_waiting: Gauge,
    /// Unsolved blocks that the daemon judged.
    pub proposals: Counter,
    /// Those among them that it would not take.
    pub proposals_refused: Counter,
    /// Schemes whose shares wait to be credited: the reserve has too little.
    pub schemes_waiting: Gauge,
    /// What the reserve has, in the smallest unit; below zero it is a debt.
    pub reserve: Gauge,
    /// Shares that wait to be verified, where that is costly.
    pub shares_verifying: Gauge,
    /// Those that were verified, and were what they claimed.
    pub shares_verified: Counter,
    /// Those that were not.
    pub shares_forged: Counter,
    /// Those that were credited without it.
    pub shares_believed: Counter,
    /// Those that were turned away because too many waited.
    pub shares_throttled: Counter,
    /// How many of them can be verified in a minute.
    pub verifications_per_minute: Gauge,
    /// The height that is mined.
    pub height: Gauge,
    /// The age of the newest template, in seconds.
    pub template_age: Gauge<f64, AtomicU64>,
    /// Work per second over ten minutes.
    pub hashrate: Gauge<f64, AtomicU64>,
    rejected: [Counter; Reject::ALL.len()],
}

/// Where miners come in, and how they speak.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Door {
    listener: String,
    protocol: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

impl Metrics {
    /// All at zero, for the pool of this coin.
    pub fn new(pool: &str, coin: &str) -> Self {
        let labels = [("pool", pool), ("coin", coin)]
            .map(|(name, value)| (name.to_owned().into(), value.to_owned().into()));
        let mut registry = Registry::with_prefix_and_labels("adit", labels.into_iter());
        let r = &mut registry;
        let connections = registered(r, "connections", "Miners connected");
        let turned_away = registered(r, "connections_refused", "Connections refused at the door");
        let panics = registered(r, "panics", "Connections ended by a fault of this program");
        let bans = registered(r, "bans", "Addresses banned for invalid shares");
        let malformed = registered(r, "lines_malformed", "Lines that made no sense");
        let kept_sessions = registered(r, "kept_sessions", "Sessions a miner may come back to");
        let jobs_sent = registered(r, "jobs_sent", "Jobs sent to miners");
        let templates_taken = registered(
            r,
            "own_templates_accepted",
            "Templates of miners' own nodes that are mined",
        );
        let templates_refused = registered(
            r,
            "own_templates_refused",
            "Templates of miners' own nodes that are not mined",
        );
        let accepted = registered(r, "shares_accepted", "Shares accepted and stored");
        let not_stored = registered(r, "shares_not_stored", "Good shares the store did not take");
        let blocks = registered(r, "blocks_solved", "Blocks solved");
        let mature_left = registered(r, "mature_blocks_left", "Mature blocks their chain left");
        let orphan_alarm = registered(r, "orphan_alarm", "1 while too many blocks are orphans");
        let suspects = registered(
            r,
            "luck_suspects",
            "Accounts that find far fewer blocks than their work should",
        );
        let payouts_waiting = registered(
            r,
            "payouts_waiting",
            "Payouts and addresses that something stands in the way of",
        );
        let proposals = registered(r, "proposals", "Unsolved blocks that the daemon judged");
        let proposals_refused = registered(
            r,
            "proposals_refused",
            "Unsolved blocks that the daemon would refuse",
        );
        let schemes_waiting = registered(
            r,
            "schemes_waiting",
            "Schemes whose shares wait to be credited",
        );
        let reserve = registered(
            r,
            "reserve_units",
            "Balance of the reserve, in smallest units",
        );
        let shares_verifying = registered(r, "shares_verifying", "Shares that wait for RandomX");
        let shares_verified = registered(r, "shares_verified", "RandomX shares that were true");
        let shares_forged = registered(r, "shares_forged", "RandomX shares that were not");
        let shares_believed = registered(
            r,
            "shares_believed",
            "RandomX shares credited without verifying",
        );
        let shares_throttled = registered(
            r,
            "shares_throttled",
            "RandomX shares turned away because too many waited",
        );
        let verifications_per_minute = registered(
            r,
            "verifications_per_minute",
            "RandomX shares that can be verified in a minute",
        );
        let height = registered(r, "template_height", "Height of the block being mined");
        let template_age = Gauge::default();
        r.register_with_unit(
            "template_age",
            "Age of the newest template",
            Unit::Seconds,
            template_age.clone(),
        );
        let hashrate = registered(
            r,
            "hashrate_hashes_per_second",
            "Work per second over ten minutes",
        );
        let family: Family<Reason, Counter> =
            registered(r, "shares_rejected", "Shares refused, by reason");
        let rejected = Reject::ALL.map(|reject| {
            family
                .get_or_create(&Reason {
                    reason: reject.name(),
                })
                .clone()
        });
        Self {
            registry,
            connections,
            turned_away,
            panics,
            bans,
            malformed,
            kept_sessions,
            jobs_sent,
            templates_taken,
            templates_refused,
            accepted,
            not_stored,
            blocks,
            mature_left,
            orphan_alarm,
            suspects,
            payouts_waiting,
            proposals,
            proposals_refused,
            schemes_waiting,
            reserve,
            height,
            shares_verifying,
            shares_verified,
            shares_forged,
            shares_believed,
            shares_throttled,
            verifications_per_minute,
            template_age,
            hashrate,
            rejected,
        }
    }

    /// The gauge of the miners connected at a port.
    pub fn connections(&self, listener: SocketAddr) -> Gauge {
        let door = Door {
            listener: listener.to_string(),
            protocol: "sv1",
        };
        self.connections.get_or_create(&door).clone()
    }

    /// The counter of shares refused for this reason.
    pub fn rejected(&self, reject: Reject) -> &Counter {
        let index = Reject::ALL.iter().position(|other| *other == reject);
        &self.rejected[index.expect("ALL holds every reason")]
    }

    /// All of it in OpenMetrics' text form. What several pools count stands together under one
    /// description, as the form demands.
    pub fn text_of<'a>(pools: impl Iterator<Item = &'a Self>) -> String {
        let mut families: Vec<(String, String)> = Vec::new();
        for pool in pools {
            let mut text = String::new();
            encode(&mut text, &pool.registry).expect("writing to a string cannot fail");
            let mut place = 0;
            for line in text.lines().filter(|line| *line != "# EOF") {
                let is_description = line.starts_with('#');
                if is_description && line.starts_with("# HELP ") {
                    let known = families.iter().position(|(help, _)| help == line);
                    place = known.unwrap_or_else(|| {
                        families.push((line.to_owned(), String::new()));
                        families.len() - 1
                    });
                }
                let family = &mut families[place].1;
                if !(is_description && family.contains(line)) {
                    family.push_str(line);
                    family.push('\n');
                }
            }
        }
        let mut text: String = families.into_iter().map(|(_, family)| family).collect();
        text.push_str("# EOF\n");
        text
    }
}

fn registered<M>(registry: &mut Registry, name: &str, help: &str) -> M
where
    M: Clone + Default + prometheus_client::registry::Metric,
{
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_stand_together_under_one_description() {
        let (one, two) = (
            Metrics::new("one", "bitcoin"),
            Metrics::new("two", "litecoin"),
        );
        one.accepted.inc_by(7);
        two.rejected(Reject::Stale).inc();
        let text = Metrics::text_of([&one, &two].into_iter());
        assert_eq!(
            text.matches("# TYPE adit_shares_accepted counter").count(),
            1
        );
        assert!(text.contains("adit_shares_accepted_total{pool=\"one\",coin=\"bitcoin\"} 7\n"));
        assert!(text.contains("adit_shares_accepted_total{pool=\"two\",coin=\"litecoin\"} 0\n"));
        assert!(text.contains("pool=\"two\",coin=\"litecoin\",reason=\"stale\"} 1\n"));
        assert!(text.ends_with("# EOF\n") && text.matches("# EOF").count() == 1);
    }
}
