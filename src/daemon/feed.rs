//! Chooses the daemon to mine with and publishes what it wants mined.
//!
//! Daemons stand in the operator's order: the first one that is fit is used, and again as soon as
//! it is fit again. When none is, work stops and the reason is published in its place.

use std::{sync::Arc, time::Duration};

use mining::AnyTemplate;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep},
};
use tracing::{info, warn};

use super::{
    first_block::FirstBlock,
    node::{Node, Status, UNKNOWN},
};

/// What to mine.
#[derive(Clone, Debug)]
pub enum Feed {
    /// The daemons were not heard yet.
    Waiting,
    /// Nothing: no daemon is fit.
    Stopped {
        /// Each daemon with its reason, for people.
        reason: String,
        /// Since when.
        since: Instant,
    },
    /// This.
    Template {
        /// What.
        template: AnyTemplate,
        /// When it came; its `time` was right then.
        received: Instant,
        /// Which daemon it came from, by its place in the configuration.
        daemon: usize,
    },
}

/// How long the first answers are waited for before their lack is told.
const START: Duration = Duration::from_secs(10);

/// The choice depends on the time too, so it is made anew at least so often.
const TICK: Duration = Duration::from_millis(500);

/// What the choice is made from.
struct Candidate<'a> {
    name: &'a str,
    status: &'a Status,
    /// How long it has been below the highest of the fit ones.
    behind: Option<Behind>,
    /// How long it may be.
    grace: Duration,
}

/// A daemon below another one.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Behind {
    since: Instant,
    highest: u32,
}

/// What came of it.
enum Choice {
    Use(usize),
    None(String),
    Wait,
}

impl Candidate<'_> {
    fn fit(&self, now: Instant) -> Result<(), String> {
        self.status.fit.clone()?;
        match &self.behind {
            Some(behind) if now - behind.since > self.grace => Err(format!(
                "it is at block {}, others are at {}",
                self.status.height.unwrap_or(0),
                behind.highest
            )),
            _ => Ok(()),
        }
    }
}

/// Publishes for ever.
pub(super) async fn feed(
    daemons: Arc<[Arc<Node>]>,
    changed: Arc<Notify>,
    first_block: FirstBlock,
    published: watch::Sender<Feed>,
) -> anyhow::Result<()> {
    let started = Instant::now();
    let mut behind: Vec<Option<Behind>> = vec![None; daemons.len()];
    loop {
        let now = Instant::now();
        let statuses: Vec<Status> = daemons.iter().map(|d| d.status.borrow().clone()).collect();
        compare_heights(&mut behind, &statuses, now);
        let candidates: Vec<Candidate<'_>> = daemons
            .iter()
            .zip(&statuses)
            .zip(&behind)
            .map(|((daemon, status), behind)| Candidate {
                name: &daemon.name,
                status,
                behind: behind.clone(),
                grace: daemon.pace.poll * 2,
            })
            .collect();
        for (daemon, candidate) in daemons.iter().zip(&candidates) {
            say_fit(daemon, candidate.fit(now));
        }
        match choose(&candidates, now) {
            Choice::Use(index) => {
                // A daemon of another chain is unfit as soon as it has heard of ours.
                if let Some((template, received)) = &statuses[index].current
                    && first_block.may_be(statuses[index].genesis)
                {
                    publish(&published, &daemons, index, template, *received);
                }
            }
            Choice::Wait if now - started < START => {}
            Choice::Wait => stop(&published, reasons(&candidates, now), now),
            Choice::None(reason) => stop(&published, reason, now),
        }
        tokio::select! {
            () = changed.notified() => {}
            () = first_block.changed() => {}
            () = sleep(TICK) => {}
        }
    }
}

/// Makes it known whether a daemon is fit; a change is worth a line.
fn say_fit(daemon: &Node, fit: Result<(), String>) {
    let before = daemon.say_fit(fit.clone());
    let was_unknown = before.as_ref().is_err_and(|reason| reason == UNKNOWN);
    let daemon = &daemon.name;
    match fit {
        Ok(()) if before.is_err() => info!(daemon, "daemon is fit"),
        Err(reason) if before.is_ok() || (was_unknown && reason != UNKNOWN) => {
            warn!(daemon, reason, "daemon is not fit");
        }
        _ => {}
    }
}

/// Notes which of the fit daemons are below the highest one.
fn compare_heights(behind: &mut [Option<Behind>], statuses: &[Status], now: Instant) {
    let heights = statuses.iter().map(|s| s.fit.as_ref().ok().and(s.height));
    let Some(highest) = heights.clone().flatten().max() else {
        return;
    };
    for (behind, height) in behind.iter_mut().zip(heights) {
        *behind = match (behind.take(), height) {
            (before, Some(height)) if height < highest => Some(Behind {
                since: before.map_or(now, |b| b.since),
                highest,
            }),
            _ => None,
        };
    }
}

fn choose(candidates: &[Candidate<'_>], now: Instant) -> Choice {
    if let Some(index) = candidates
        .iter()
        .position(|candidate| candidate.fit(now).is_ok())
    {
        Choice::Use(index)
    } else if candidates.iter().any(|candidate| !candidate.status.settled) {
        Choice::Wait
    } else {
        Choice::None(reasons(candidates, now))
    }
}

fn reasons(candidates: &[Candidate<'_>], now: Instant) -> String {
    let reasons: Vec<String> = candidates
        .iter()
        .filter_map(|c| Some(format!("{}: {}", c.name, c.fit(now).err()?)))
        .collect();
    reasons.join("; ")
}

fn publish(
    published: &watch::Sender<Feed>,
    daemons: &[Arc<Node>],
    index: usize,
    template: &AnyTemplate,
    received: Instant,
) {
    published.send_if_modified(|feed| {
        let daemon = &daemons[index].name;
        match feed {
            Feed::Template {
                template: known,
                daemon: from,
                ..
            } if known.is_same(template) && *from == index => {
                return false;
            }
            Feed::Template { daemon: from, .. } if *from == index => {}
            Feed::Template { .. } => info!(daemon, "mining with another daemon"),
            Feed::Waiting => info!(
                daemon,
                height = template.height(),
                "mining with this daemon"
            ),
            Feed::Stopped { since, .. } => {
                info!(
                    daemon,
                    stopped_s = since.elapsed().as_secs(),
                    "work goes on"
                );
            }
        }
        *feed = Feed::Template {
            template: template.clone(),
            received,
            daemon: index,
        };
        true
    });
}

fn stop(published: &watch::Sender<Feed>, why: String, now: Instant) {
    published.send_if_modified(|feed| match feed {
        Feed::Stopped { reason, .. } => {
            let is_new = *reason != why;
            *reason = why;
            is_new
        }
        Feed::Waiting | Feed::Template { .. } => {
            *feed = Feed::Stopped {
                reason: why,
                since: now,
            };
            true
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(fit: Result<(), &str>, height: u32) -> Status {
        Status {
            fit: fit.map_err(str::to_owned),
            settled: true,
            current: None,
            height: Some(height),
            peers: None,
            version: None,
            genesis: None,
            notified_by: None,
        }
    }

    fn chosen(
        statuses: &[Status],
        behind: &[Option<Behind>],
        now: Instant,
    ) -> Result<usize, String> {
        let candidates: Vec<_> = statuses
            .iter()
            .zip(behind)
            .map(|(status, behind)| Candidate {
                name: "d",
                status,
                behind: behind.clone(),
                grace: Duration::from_secs(2),
            })
            .collect();
        match choose(&candidates, now) {
            Choice::Use(index) => Ok(index),
            Choice::None(reason) => Err(reason),
            Choice::Wait => Err("wait".into()),
        }
    }

    #[test]
    fn the_first_fit_one_is_used_and_reasons_are_joined() {
        let now = Instant::now();
        let none = [None, None];
        let (fit, unfit) = (status(Ok(()), 5), status(Err("down"), 5));
        assert_eq!(chosen(&[fit.clone(), fit.clone()], &none, now), Ok(0));
        assert_eq!(chosen(&[unfit.clone(), fit], &none, now), Ok(1));
        assert_eq!(
            chosen(&[unfit.clone(), unfit], &none, now),
            Err("d: down; d: down".into())
        );
    }

    #[test]
    fn one_that_stays_behind_is_left_until_it_has_caught_up() {
        let mut now = Instant::now();
        let mut behind = vec![None, None];
        let mut statuses = [status(Ok(()), 5), status(Ok(()), 6)];
        compare_heights(&mut behind, &statuses, now);
        assert_eq!(chosen(&statuses, &behind, now), Ok(0));
        now += Duration::from_secs(3);
        statuses[1].height = Some(7);
        compare_heights(&mut behind, &statuses, now);
        assert_eq!(chosen(&statuses, &behind, now), Ok(1));
        statuses[0].height = Some(7);
        compare_heights(&mut behind, &statuses, now);
        assert_eq!(chosen(&statuses, &behind, now), Ok(0));
    }

    #[test]
    fn an_unfit_one_ahead_makes_nobody_lag() {
        let now = Instant::now();
        let mut behind = vec![None, None];
        let statuses = [status(Ok(()), 5), status(Err("wrong chain"), 900)];
        compare_heights(&mut behind, &statuses, now);
        assert_eq!(behind, [None, None]);
    }
}
