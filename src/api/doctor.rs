//! `/api/v1/miners/{address}/doctor`: why a miner was not paid yet, from facts alone. Luck, or a fault,
//! or only patience.

use axum::{
    Json,
    extract::{FromRequestParts, Query},
    http::request::Parts,
};
use mining::{Scheme, Work, luck::Effort, share::Reject};
use serde::{Deserialize, Serialize};
use store::MinerBalance;
use utoipa::{IntoParams, ToSchema};

use super::{
    miner::{Miner, OfPool, Place},
    problem::{MinerProblems, Problem},
    rate::Stretch,
    sessions,
    settings::MinerSettings,
};
use crate::{clock, display, pool::Pool, template_feed::Newest};

/// A miner whose last share is older than that is not mining.
const SILENT_S: u64 = 600;
/// More rejected shares than that, in percent, are a fault.
const REJECTS_BAD: u64 = 5;
/// More than that are worth a word.
const REJECTS_MUCH: u64 = 1;
/// Few shares say nothing about the part that was rejected.
const SHARES_ENOUGH: u64 = 20;
/// Credits that are looked through for those that are not mature.
const CREDITS: u32 = 500;

/// Which pool.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DoctorQuery {
    /// The pool; the first that knows the miner if none is named.
    pub(crate) pool: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for DoctorQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = Query::from_request_parts(parts, state).await;
        let Query(query) =
            query.map_err(|rejection| Problem::bad("bad_query", rejection.body_text()))?;
        Ok(query)
    }
}

/// What was found.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Diagnosis {
    /// The miner's address, in the form that it is kept in.
    pub(crate) address: String,
    #[serde(flatten)]
    pub(crate) of: OfPool,
    /// `fault` (something is to be mended), `luck` (blocks have yet to be found), `waiting` (what was
    /// earned is on its way) or `fine`.
    pub(crate) verdict: &'static str,
    /// The verdict, for people.
    pub(crate) told: String,
    /// What it is made of, the most important first.
    pub(crate) findings: Vec<Finding>,
}

/// A fact.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Finding {
    /// Which one; the list is in docs/api.md.
    pub(crate) code: &'static str,
    /// `fault`, `note` or `fine`.
    pub(crate) level: &'static str,
    /// The fact, for people.
    pub(crate) told: String,
}

/// Why was I not paid yet?
///
/// Looked up now: the last share, what was rejected, the part of the pool's work, how long blocks take,
/// what is not mature, the threshold.
#[utoipa::path(
    get, path = "/api/v1/miners/{address}/doctor", operation_id = "miner_doctor", tag = "miners",
    params(("address" = String, Path, description = "An address of a pool's coin"), DoctorQuery),
    responses((status = 200, description = "The answer.", body = Diagnosis), MinerProblems)
)]
pub(crate) async fn show(miner: Miner, query: DoctorQuery) -> Result<Json<Diagnosis>, Problem> {
    let place = match &query.pool {
        None => miner.places.first(),
        Some(name) => miner.places.iter().find(|place| place.pool.name == *name),
    };
    let place = place.ok_or_else(Problem::no_pool)?;
    let mut findings = Findings {
        coin: place.pool.coin,
        list: Vec::new(),
    };
    findings.look_at_pool(&place.pool);
    findings.look_at_shares(place).await?;
    findings.look_at_rejects(place);
    let by_blocks = findings.look_at_work(place).await?;
    let balance = place
        .pool
        .store
        .miner_balance(place.pool.id, &place.account)
        .await?;
    findings.look_at_credits(place, &balance).await?;
    findings.look_at_payouts(place, &balance).await?;
    let (verdict, told) = findings.verdict(&balance, by_blocks);
    let mut findings = findings.list;
    findings.sort_by_key(|finding| match finding.level {
        "fault" => 0,
        "note" => 1,
        _ => 2,
    });
    Ok(Json(Diagnosis {
        address: miner.address.clone(),
        of: OfPool::new(&place.pool),
        verdict,
        told,
        findings,
    }))
}

/// Facts as they are gathered.
struct Findings {
    coin: &'static mining::Coin,
    list: Vec<Finding>,
}

impl Findings {
    fn note(&mut self, code: &'static str, level: &'static str, told: String) {
        self.list.push(Finding { code, level, told });
    }

    fn coins(&self, amount: mining::Amount) -> String {
        let coins = display::coins(&amount.to_string(), self.coin.decimals);
        format!("{coins} {}", self.coin.ticker)
    }

    fn look_at_pool(&mut self, pool: &Pool) {
        if let Newest::Nothing(reason) = &*pool.newest.borrow() {
            let told = format!("The pool has no work for miners now: {reason}.");
            self.note("no_work", "fault", told);
        }
    }

    /// Whether shares come in.
    async fn look_at_shares(&mut self, place: &Place) -> Result<(), Problem> {
        let pool = &place.pool;
        let found = pool
            .store
            .miner(pool.id, place.address.as_str(), &[])
            .await?;
        let connected = sessions::of_address(pool, &place.address).len();
        let Some(last_ms) = found.last_share_ms else {
            let told = "No share ever came for this address.".to_owned();
            self.note("no_share", "fault", told);
            return Ok(());
        };
        let silent = u64::try_from(clock::now_ms() - last_ms).unwrap_or(0) / 1000;
        let ago = display::duration(silent.into());
        let (level, told) = match (silent > SILENT_S, connected) {
            (false, _) => ("fine", format!("Shares come in; the last one {ago} ago.")),
            (true, 0) => (
                "fault",
                format!(
                    "The last share came {ago} ago, and nothing is connected: the device is off, \
                     offline, or mines elsewhere. See that its pool, port and user are right."
                ),
            ),
            (true, _) => (
                "fault",
                format!(
                    "The last share came {ago} ago, though {connected} connections are open: the \
                     device does not hash, or its difficulty is far too high."
                ),
            ),
        };
        self.note("last_share", level, told);
        Ok(())
    }

    /// Whether shares are lost.
    fn look_at_rejects(&mut self, place: &Place) {
        let sessions = sessions::of_address(&place.pool, &place.address);
        let accepted: u64 = sessions
            .iter()
            .map(|session| session.accepted.load(std::sync::atomic::Ordering::Relaxed))
            .sum();
        let count = |reject: Reject| -> u64 {
            let rejects = sessions.iter().flat_map(|session| session.rejects());
            rejects
                .filter(|(known, _)| *known == reject)
                .map(|(_, count)| count)
                .sum()
        };
        let counts = Reject::ALL.map(|reject| (reject, count(reject)));
        let rejected: u64 = counts.iter().map(|(_, count)| count).sum();
        let all = accepted + rejected;
        if all < SHARES_ENOUGH {
            return;
        }
        let most = counts.iter().max_by_key(|(_, count)| *count);
        let most = most.map_or("", |(reject, _)| reject.name());
        let told = |much: &str| {
            format!("{rejected} of {all} shares were rejected since the device connected{much}.")
        };
        let (level, told) = if rejected * 100 > all * REJECTS_BAD {
            ("fault", told(&format!(", most as {most}: too many")))
        } else if rejected * 100 > all * REJECTS_MUCH {
            ("note", told(&format!(", most as {most}")))
        } else {
            ("fine", told(""))
        };
        self.note("rejects", level, told);
    }

    /// What part of the pool's work is this miner's, and how long blocks take. Gives whether the miner
    /// is paid by blocks.
    async fn look_at_work(&mut self, place: &Place) -> Result<bool, Problem> {
        let pool = &place.pool;
        let day = Stretch::all(pool, clock::now_ms())[5];
        let found = pool
            .store
            .miner(pool.id, place.address.as_str(), &[day.since])
            .await?;
        let own = found.windows.first().map_or(Work::ZERO, |sums| sums.work);
        let all = pool.store.pool_sums(pool.id, day.since).await?.work;
        if all > Work::ZERO {
            let told = format!(
                "This address did {} of the pool's work of the last day.",
                part(own, all)
            );
            self.note("part_of_work", "fine", told);
        }
        let schemes = &pool.terms.accounting.schemes;
        if !schemes.iter().any(|scheme| !scheme.pays_for_shares()) {
            let told = "Shares are paid for as they come, whatever blocks are found.".to_owned();
            self.note("paid_by_share", "fine", told);
            return Ok(false);
        }
        let network = match &*pool.newest.borrow() {
            Newest::Offer(offer) => offer.template.work(),
            Newest::Nothing(_) => return Ok(true),
        };
        let is_solo = schemes.contains(&Scheme::Solo) && schemes.len() == 1;
        let (done, whose) = if is_solo {
            (own, "this address alone")
        } else {
            (all, "the pool")
        };
        let seconds = |network: Work, done: Work| {
            let millis = network.hashes().checked_mul(u128::from(day.millis))?;
            Some(millis.checked_div(done.hashes())? / 1000)
        };
        if let Some(wait) = seconds(network, done) {
            // A wait of 4.61 times the average is passed once in a hundred times.
            let told = format!(
                "At the speed of the last day {whose} finds a block every {} on average; one time in \
                 a hundred it takes longer than {}.",
                display::duration(wait),
                display::duration(wait.saturating_mul(461) / 100)
            );
            self.note("block_time", "fine", told);
        }
        if !is_solo && let Some(round) = pool.store.round_work(pool.id).await? {
            self.look_at_round(round, network);
        }
        Ok(true)
    }

    /// How unlucky the pool is just now.
    fn look_at_round(&mut self, round: Work, network: Work) {
        let Some(effort) = Effort::new(round, network) else {
            return;
        };
        let blocks = display::to_f64(round.hashes()) / display::to_f64(network.hashes());
        // The chance that a round takes as long: that of no block in a Poisson process.
        let chance = (-blocks).exp();
        let level = if chance < 0.01 { "note" } else { "fine" };
        let told = format!(
            "The pool has done {effort} % of a block's work since its last block. As much or more is \
             needed {}.",
            if chance > 0.5 {
                "more often than not".to_owned()
            } else {
                format!("once in {:.0} times: luck", 1.0 / chance)
            }
        );
        self.note("effort", level, told);
    }

    /// What was credited and does not count yet, or never.
    async fn look_at_credits(
        &mut self,
        place: &Place,
        balance: &MinerBalance,
    ) -> Result<(), Problem> {
        let pool = &place.pool;
        let credits = pool
            .store
            .credits_of(pool.id, &place.account, None, CREDITS)
            .await?;
        let waits = credits
            .iter()
            .filter(|credit| credit.state.name() == "immature")
            .count();
        if waits > 0 {
            let after = pool.blocks.maturity();
            let minutes = u128::from(after) * u128::from(pool.coin.spacing_s);
            let told = format!(
                "{} of {waits} blocks wait: a block counts after {after} confirmations, some {} after \
                 it was found.",
                self.coins(balance.immature),
                display::duration(minutes)
            );
            self.note("immature", "note", told);
        }
        let orphans = credits
            .iter()
            .filter(|credit| credit.state.name() == "orphaned")
            .count();
        if orphans > 0 {
            let told = format!(
                "{orphans} blocks that would have paid this address are not in the chain. Nobody is \
                 paid for those."
            );
            self.note("orphaned", "note", told);
        }
        if pool.blocks.orphan_alarm().is_some() {
            let told = "Many blocks of late are not in the chain: all wait for twice the usual \
                        confirmations.";
            self.note("many_orphans", "note", told.to_owned());
        }
        Ok(())
    }

    /// What stands between a balance and a payment.
    async fn look_at_payouts(
        &mut self,
        place: &Place,
        balance: &MinerBalance,
    ) -> Result<(), Problem> {
        let zero = mining::Amount::ZERO;
        let settings = MinerSettings::of(place).await?;
        if balance.pending > zero || balance.in_flight > zero {
            let told = format!(
                "{} is being paid and {} is sent and waits for confirmations.",
                self.coins(balance.pending),
                self.coins(balance.in_flight)
            );
            self.note("on_its_way", "note", told);
        }
        if balance.paid > zero {
            let told = format!("{} was paid so far.", self.coins(balance.paid));
            self.note("paid", "fine", told);
        }
        match settings.payouts {
            "off" => {
                let told = "This pool pays no balances; its blocks pay by themselves.".to_owned();
                self.note("payouts_off", "fine", told);
                return Ok(());
            }
            "paused" => {
                let told =
                    "The operator has paused payouts. Balances stay what they are.".to_owned();
                self.note("payouts_paused", "note", told);
            }
            _ => {}
        }
        if balance.available > zero {
            let told = match &settings.waits_for {
                _ if settings.due => format!(
                    "{} is ready and goes out with the next payout.",
                    self.coins(balance.available)
                ),
                Some(why) => format!(
                    "{} is ready but not paid: {why}.",
                    self.coins(balance.available)
                ),
                None => format!("{} is ready.", self.coins(balance.available)),
            };
            self.note("balance", "note", told);
        }
        Ok(())
    }

    /// What it comes to.
    fn verdict(&self, balance: &MinerBalance, by_blocks: bool) -> (&'static str, String) {
        let zero = mining::Amount::ZERO;
        if let Some(fault) = self.list.iter().find(|finding| finding.level == "fault") {
            return ("fault", fault.told.clone());
        }
        let waits = [
            balance.immature,
            balance.available,
            balance.pending,
            balance.in_flight,
        ];
        if waits.iter().any(|amount| *amount > zero) {
            let told = "All is well: what was earned is on its way, see below what it waits for.";
            return ("waiting", told.to_owned());
        }
        if balance.paid > zero {
            return (
                "fine",
                "All is well: everything that was earned was paid.".to_owned(),
            );
        }
        let told = if by_blocks {
            "All is well with the shares; no block has paid this address yet. That is luck."
        } else {
            "All is well with the shares; they are credited within minutes."
        };
        ("luck", told.to_owned())
    }
}

/// A part in percent, with two decimals.
fn part(part: Work, whole: Work) -> String {
    let percent = display::to_f64(part.hashes()) / display::to_f64(whole.hashes()) * 100.0;
    format!("{percent:.2} %")
}
