//! public-pool's charts: a point for each ten minutes of the last day that are over. Those without a
//! share are zero, not left out, so that no line runs over a pause.

use axum::response::Response;
use mining::Scheme;
use serde::{Deserialize, Serialize};
use store::{Minute, Of, ReadError, Sums};

use super::super::{Asked, Kept, Owner, answer};
use crate::{api::problem::Problem, clock, display, pool::Pool};

/// A point is of so many minutes.
const STEP: u32 = 10;
const STEP_MS: u64 = 10 * 60 * 1000;
const DAY: u32 = 24 * 60;

/// `?payoutMode=solo`
#[derive(Debug, Default, Deserialize)]
pub(super) struct ModeQuery {
    #[serde(rename = "payoutMode")]
    payout_mode: Option<String>,
}

/// A point: when its ten minutes began, and the H/s in them.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(in crate::api::compat) struct Point {
    label: String,
    data: u128,
}

#[derive(Serialize)]
struct PointOfMode {
    #[serde(flatten)]
    point: Point,
    #[serde(rename = "payoutMode")]
    payout_mode: &'static str,
}

pub(super) async fn of_pool(Asked(pool): Asked) -> Result<Response, Problem> {
    Ok(answer(Kept::Long, chart(&pool, Of::Pool).await?))
}

pub(super) async fn of_pool_by_mode(
    Asked(pool): Asked,
    axum::extract::Query(query): axum::extract::Query<ModeQuery>,
) -> Result<Response, Problem> {
    let points = chart(&pool, Of::Pool).await?;
    Ok(answer(Kept::Long, by_mode(&pool, &query, points)))
}

pub(super) async fn of_client(owner: Owner) -> Result<Response, Problem> {
    let points = chart(&owner.pool, Of::Miner(owner.address.as_str())).await?;
    Ok(answer(Kept::Long, points))
}

pub(super) async fn of_client_by_mode(
    owner: Owner,
    axum::extract::Query(query): axum::extract::Query<ModeQuery>,
) -> Result<Response, Problem> {
    let points = chart(&owner.pool, Of::Miner(owner.address.as_str())).await?;
    Ok(answer(Kept::Long, by_mode(&owner.pool, &query, points)))
}

impl ModeQuery {
    /// Whether a pool's work is meant.
    pub(super) fn means(&self, pool: &Pool) -> bool {
        let asked = self.payout_mode.as_deref();
        asked.is_none_or(|mode| mode == "all" || mode == mode_of(pool))
    }
}

/// public-pool knows two ways of paying: whoever solves a block, or all who worked.
fn mode_of(pool: &Pool) -> &'static str {
    let schemes = &pool.terms.accounting.schemes;
    let is_solo = schemes.iter().all(|scheme| *scheme == Scheme::Solo);
    if is_solo { "solo" } else { "pplns" }
}

fn by_mode(pool: &Pool, query: &ModeQuery, points: Vec<Point>) -> Vec<PointOfMode> {
    if !query.means(pool) {
        return Vec::new();
    }
    let payout_mode = mode_of(pool);
    let of_mode = |point| PointOfMode { point, payout_mode };
    points.into_iter().map(of_mode).collect()
}

/// The points of the last day, from the first with a share on.
pub(super) async fn chart(pool: &Pool, of: Of<'_>) -> Result<Vec<Point>, ReadError> {
    let now = Minute::of_ms(clock::now_ms()).number();
    let to = Minute::from_number(now - now % i64::from(STEP));
    let steps = pool
        .store
        .history(pool.id, of, to.back(DAY), to, STEP)
        .await?;
    Ok(points(&steps, to))
}

pub(in crate::api::compat) fn points(steps: &[(Minute, Sums)], to: Minute) -> Vec<Point> {
    let Some((first, _)) = steps.first() else {
        return Vec::new();
    };
    let mut steps = steps.iter().peekable();
    let mut points = Vec::new();
    let mut minute = *first;
    while minute < to {
        let step = steps.next_if(|(start, _)| *start == minute);
        let work = step.map(|(_, sums)| sums.work).unwrap_or_default();
        points.push(Point {
            label: display::time(minute.start_ms()),
            data: work.per_second(STEP_MS),
        });
        minute = Minute::from_number(minute.number() + i64::from(STEP));
    }
    points
}

#[cfg(test)]
mod tests {
    use mining::Work;

    use super::*;

    #[test]
    fn a_pause_is_a_line_of_zeros() {
        let minute = |number| Minute::from_number(number);
        let sums = |work| Sums {
            shares: 1,
            work: Work::from_hashes(work),
        };
        let steps = [(minute(30), sums(6000)), (minute(60), sums(599))];
        let told: Vec<_> = points(&steps, minute(80))
            .iter()
            .map(|point| (point.label.clone(), point.data))
            .collect();
        let expected = [
            ("1970-01-01T00:30:00Z", 10),
            ("1970-01-01T00:40:00Z", 0),
            ("1970-01-01T00:50:00Z", 0),
            ("1970-01-01T01:00:00Z", 0),
            ("1970-01-01T01:10:00Z", 0),
        ];
        assert_eq!(told, expected.map(|(label, data)| (label.to_owned(), data)));
        assert_eq!(points(&[], minute(80)), []);
    }
}
