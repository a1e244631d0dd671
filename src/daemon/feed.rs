//! Chooses the daemon to mine with and publishes what it wants mined.
//!
//! Daemons stand in the operator's order: the first fit one is used whose template is not below another one's,
//! and again as soon as it has caught up. When none is fit, work stops and the reason is published in its place.

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
    standing: Standing,
    /// How long it may be behind.
    grace: Duration,
}

/// How a daemon stands to the others, by height.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It is not fit by itself, or was not heard.
    Out,
    /// It came back below the highest one, and has not caught up yet.
    Returning { highest: u32 },
    /// No fit one is above it.
    Level,
    /// It was level, and another one is above it since then.
    Behind { since: Instant, highest: u32 },
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
        let highest = match self.standing {
            Standing::Returning { highest } => highest,
            Standing::Behind { since, highest } if now - since > self.grace => highest,
            _ => return Ok(()),
        };
        let height = height(self.status).unwrap_or(0);
        Err(format!(
            "its template is for block {height}, others' are for {highest}"
        ))
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
    let mut standings = vec![Standing::Out; daemons.len()];
    loop {
        let now = Instant::now();
        let statuses: Vec<Status> = daemons.iter().map(|d| d.status.borrow().clone()).collect();
        compare_heights(&mut standings, &statuses, now);
        let candidates: Vec<Candidate<'_>> = daemons
            .iter()
            .zip(&statuses)
            .zip(&standings)
            .map(|((daemon, status), &standing)| Candidate {
                name: &daemon.name,
                status,
                standing,
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

/// The height of a daemon's template, if the daemon is fit by itself. Its tip may be ahead of that for a
/// moment, but is of no use to miners yet.
fn height(status: &Status) -> Option<u32> {
    status.fit.as_ref().ok()?;
    let (template, _) = status.current.as_ref()?;
    Some(template.height())
}

/// Notes which of the fit daemons are below the highest one.
///
/// One that was level may be late for a while, as blocks reach daemons one after the other, before that is
/// said to be a fault. It is not mined with meanwhile: miners would work on a block that is found already.
fn compare_heights(standings: &mut [Standing], statuses: &[Status], now: Instant) {
    let heights = statuses.iter().map(height);
    let Some(highest) = heights.clone().flatten().max() else {
        standings.fill(Standing::Out);
        return;
    };
    for (standing, height) in standings.iter_mut().zip(heights) {
        *standing = match (height, *standing) {
            (None, _) => Standing::Out,
            (Some(height), _) if height == highest => Standing::Level,
            (Some(_), Standing::Level) => Standing::Behind {
                since: now,
                highest,
            },
            (Some(_), Standing::Behind { since, .. }) => Standing::Behind { since, highest },
            (Some(_), Standing::Out | Standing::Returning { .. }) => {
                Standing::Returning { highest }
            }
        };
    }
}

fn choose(candidates: &[Candidate<'_>], now: Instant) -> Choice {
    if let Some(index) = candidates
        .iter()
        .position(|candidate| candidate.standing == Standing::Level)
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
    use mining::Template;

    use super::*;
    use crate::daemon::subsidy_only;

    fn template_at(height: u32) -> AnyTemplate {
        AnyTemplate::Bitcoin(Arc::new(Template {
            height,
            ..subsidy_only::tests::before()
        }))
    }

    fn status(fit: Result<(), &str>, height: u32) -> Status {
        Status {
            fit: fit.map_err(str::to_owned),
            settled: true,
            current: Some((template_at(height + 1), Instant::now())),
            height: Some(height),
            peers: None,
            version: None,
            genesis: None,
            notified_by: None,
        }
    }

    /// Two daemons and what was noted of them so far.
    struct Pair {
        standings: [Standing; 2],
        statuses: [Status; 2],
        now: Instant,
    }

    impl Pair {
        fn at(first: u32, second: u32) -> Self {
            Self {
                standings: [Standing::Out; 2],
                statuses: [first, second].map(|height| status(Ok(()), height)),
                now: Instant::now(),
            }
        }

        fn candidates(&self) -> Vec<Candidate<'_>> {
            let candidate = |(status, standing)| Candidate {
                name: "d",
                status,
                standing,
                grace: Duration::from_secs(2),
            };
            let candidates = self.statuses.iter().zip(self.standings);
            candidates.map(candidate).collect()
        }

        /// What is said of them.
        fn fit(&self) -> Vec<bool> {
            let candidates = self.candidates().into_iter();
            candidates.map(|it| it.fit(self.now).is_ok()).collect()
        }

        /// Which one is used, after as many milliseconds.
        fn chosen_after(&mut self, ms: u64) -> Result<usize, String> {
            self.now += Duration::from_millis(ms);
            compare_heights(&mut self.standings, &self.statuses, self.now);
            match choose(&self.candidates(), self.now) {
                Choice::Use(index) => Ok(index),
                Choice::None(reason) => Err(reason),
                Choice::Wait => Err("wait".into()),
            }
        }
    }

    #[test]
    fn the_first_fit_one_is_used_and_reasons_are_joined() {
        let mut pair = Pair::at(5, 5);
        assert_eq!(pair.chosen_after(0), Ok(0));
        pair.statuses[0] = status(Err("down"), 5);
        assert_eq!(pair.chosen_after(0), Ok(1));
        pair.statuses[1] = status(Err("down"), 5);
        assert_eq!(pair.chosen_after(0), Err("d: down; d: down".into()));
    }

    #[test]
    fn one_that_is_behind_is_not_used_and_is_unfit_only_if_it_stays_so() {
        let mut pair = Pair::at(5, 5);
        assert_eq!(pair.chosen_after(0), Ok(0));
        pair.statuses[1] = status(Ok(()), 6);
        assert_eq!(pair.chosen_after(0), Ok(1));
        assert_eq!(pair.fit(), [true, true]);
        assert_eq!(pair.chosen_after(2000), Ok(1));
        assert_eq!(pair.fit(), [true, true]);
        pair.statuses[1] = status(Ok(()), 7);
        assert_eq!(pair.chosen_after(1), Ok(1));
        assert_eq!(pair.fit(), [false, true]);
        pair.statuses[0] = status(Ok(()), 7);
        assert_eq!(pair.chosen_after(0), Ok(0));
        // The time it may be late begins anew.
        pair.statuses[1] = status(Ok(()), 8);
        assert_eq!(pair.chosen_after(0), Ok(1));
        assert_eq!(pair.fit(), [true, true]);
        assert_eq!(pair.chosen_after(2001), Ok(1));
        assert_eq!(pair.fit(), [false, true]);
        // In a reorganisation both may go back.
        pair.statuses = [7, 6].map(|height| status(Ok(()), height));
        assert_eq!(pair.chosen_after(0), Ok(0));
        assert_eq!(pair.fit(), [true, true]);
    }

    #[test]
    fn one_that_comes_back_below_the_others_is_not_used_for_a_moment() {
        let mut pair = Pair::at(5, 5);
        assert_eq!(pair.chosen_after(0), Ok(0));
        pair.statuses[0] = status(Err("down"), 5);
        pair.statuses[1] = status(Ok(()), 9);
        assert_eq!(pair.chosen_after(0), Ok(1));
        for height in [5, 8] {
            pair.statuses[0] = status(Ok(()), height);
            assert_eq!(pair.chosen_after(0), Ok(1), "{height}");
        }
        pair.statuses[0] = status(Ok(()), 9);
        assert_eq!(pair.chosen_after(0), Ok(0));
        // Alone it is good enough at any height.
        pair.statuses[0] = status(Ok(()), 7);
        pair.statuses[1] = status(Err("down"), 9);
        assert_eq!(pair.chosen_after(0), Ok(0));
    }

    #[test]
    fn a_tip_without_its_template_is_not_caught_up() {
        let mut pair = Pair::at(5, 9);
        pair.statuses[0].height = Some(9);
        assert_eq!(pair.chosen_after(0), Ok(1));
        pair.statuses[0] = status(Ok(()), 9);
        assert_eq!(pair.chosen_after(0), Ok(0));
    }

    #[test]
    fn an_unfit_one_ahead_makes_nobody_lag() {
        let mut pair = Pair::at(5, 900);
        pair.statuses[1] = status(Err("wrong chain"), 900);
        assert_eq!(pair.chosen_after(0), Ok(0));
        assert_eq!(pair.chosen_after(5000), Ok(0));
        assert_eq!(pair.standings, [Standing::Level, Standing::Out]);
    }
}
