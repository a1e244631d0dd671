//! Lists of a miner, page by page, through all pools that know it: one pool after the other, in the
//! order of the configuration.

use axum::{
    extract::{FromRequestParts, Query},
    http::request::Parts,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    miner::{Miner, Place},
    problem::Problem,
};
use crate::pool::Pool;

/// Entries on a page, unless more are asked for.
const LIMIT: u32 = 50;
/// The most entries on a page: below what the store gives at once, as one more is asked for.
const LIMIT_MAX: u32 = 500;

const BAD_CURSOR: &str = "a cursor is the `next` of the page before";

/// Which page of a list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// How many entries, from 1 to 500; 50 if nothing is said.
    #[param(minimum = 1, maximum = 500)]
    pub(crate) limit: Option<u32>,
    /// The `next` of the page before.
    pub(crate) cursor: Option<String>,
    /// Only this pool.
    pub(crate) pool: Option<String>,
}

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Page<T: ToSchema> {
    /// The miner's address, in the form that it is kept in.
    pub(crate) address: String,
    /// The entries.
    pub(crate) items: Vec<T>,
    /// The `cursor` of the next page; null on the last one.
    pub(crate) next: Option<String>,
}

/// Which page of a pool's list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct NumberQuery {
    /// How many entries, from 1 to 500; 50 if nothing is said.
    #[param(minimum = 1, maximum = 500)]
    pub(crate) limit: Option<u32>,
    /// The `next` of the page before.
    pub(crate) cursor: Option<String>,
}

/// A page of a pool's list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PoolPage<T: ToSchema> {
    /// The pool's name.
    pub(crate) pool: String,
    /// The entries.
    pub(crate) items: Vec<T>,
    /// The `cursor` of the next page; null on the last one.
    pub(crate) next: Option<String>,
}

/// The entries of one, before they are told.
pub(super) struct Rows<T> {
    pub(crate) pool: String,
    pub(crate) items: Vec<T>,
    pub(crate) next: Option<String>,
}

/// The way through the pools.
pub(super) struct Walk<'m> {
    pub(crate) places: &'m [Place],
    /// The entry after which it goes on, in the first of the pools.
    pub(crate) after: Option<u64>,
    pub(crate) left: usize,
    pub(crate) next: Option<String>,
}

/// One step of it: what to ask a pool for.
pub(super) struct Step<'m> {
    pub(crate) place: &'m Place,
    /// After which entry.
    pub(crate) after: Option<u64>,
    /// How many: one more than are shown, to know whether there are more.
    pub(crate) limit: u32,
}

impl<S: Send + Sync> FromRequestParts<S> for PageQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = Query::from_request_parts(parts, state).await;
        let Query(query): Query<Self> =
            query.map_err(|rejection| Problem::bad("bad_query", rejection.body_text()))?;
        match query.limit {
            None | Some(1..=LIMIT_MAX) => Ok(query),
            Some(_) => Err(Problem::bad("bad_limit", "limit: 1 to 500")),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for NumberQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = Query::from_request_parts(parts, state).await;
        let Query(query): Query<Self> =
            query.map_err(|rejection| Problem::bad("bad_query", rejection.body_text()))?;
        match query.limit {
            None | Some(1..=LIMIT_MAX) => Ok(query),
            Some(_) => Err(Problem::bad("bad_limit", "limit: 1 to 500")),
        }
    }
}

impl NumberQuery {
    /// The page after this cursor.
    pub(crate) fn after(cursor: Option<String>) -> Self {
        Self {
            limit: None,
            cursor,
        }
    }

    /// Before which entry it begins.
    pub(super) fn before(&self) -> Result<Option<u64>, Problem> {
        let bad = || Problem::bad("bad_cursor", BAD_CURSOR);
        let parse = |cursor: &String| number(cursor).ok_or_else(bad);
        self.cursor.as_ref().map(parse).transpose()
    }

    /// How many to ask for: one more than are shown, to know whether there are more.
    pub(super) fn one_more(&self) -> u32 {
        self.limit.unwrap_or(LIMIT) + 1
    }

    /// What was found, by the number that is its cursor.
    pub(super) fn page<T>(
        &self,
        pool: &Pool,
        items: Vec<T>,
        number: impl Fn(&T) -> u64,
    ) -> Rows<T> {
        let (items, next) = self.cut(items, number);
        Rows {
            pool: pool.name.clone(),
            items,
            next,
        }
    }

    /// What was found without the one more, and the cursor of the next page.
    pub(super) fn cut<T>(
        &self,
        mut items: Vec<T>,
        number: impl Fn(&T) -> u64,
    ) -> (Vec<T>, Option<String>) {
        let limit = usize::try_from(self.limit.unwrap_or(LIMIT)).unwrap_or(usize::MAX);
        let more = items.len() > limit;
        items.truncate(limit);
        let last = items.last().filter(|_| more);
        let next = last.map(|last| number(last).to_string());
        (items, next)
    }
}

impl PageQuery {
    /// So many entries after this cursor, in all pools.
    pub(crate) fn of(limit: u32, cursor: Option<String>) -> Self {
        Self {
            limit: Some(limit),
            cursor,
            pool: None,
        }
    }

    /// The way of this page.
    pub(super) fn walk<'m>(&self, miner: &'m Miner) -> Result<Walk<'m>, Problem> {
        let mut places = &miner.places[..];
        let find = |name: &str| {
            let mut places = miner.places.iter();
            places.position(|place| place.pool.name == name)
        };
        if let Some(name) = &self.pool {
            let place = find(name).ok_or_else(|| {
                Problem::unknown(
                    "unknown_pool",
                    "this pool is not here or knows no such miner",
                )
            })?;
            places = &miner.places[place..=place];
        }
        let mut after = None;
        if let Some(cursor) = &self.cursor {
            let bad = || Problem::bad("bad_cursor", BAD_CURSOR);
            let (name, after_which) = cursor.rsplit_once(':').ok_or_else(bad)?;
            let place = find(name).ok_or_else(bad)?;
            match &self.pool {
                Some(pool) if pool != name => return Err(bad()),
                Some(_) => {}
                None => places = &miner.places[place..],
            }
            if !after_which.is_empty() {
                after = Some(number(after_which).ok_or_else(bad)?);
            }
        }
        Ok(Walk {
            places,
            after,
            left: usize::try_from(self.limit.unwrap_or(LIMIT)).unwrap_or(usize::MAX),
            next: None,
        })
    }
}

impl<'m> Walk<'m> {
    /// What to ask next; nothing when the page is full or all was asked for.
    pub(super) fn step(&mut self) -> Option<Step<'m>> {
        let (place, rest) = self.places.split_first()?;
        if self.next.is_some() {
            return None;
        }
        if self.left == 0 {
            self.next = Some(format!("{}:", place.pool.name));
            return None;
        }
        self.places = rest;
        Some(Step {
            place,
            after: self.after.take(),
            limit: u32::try_from(self.left + 1).unwrap_or(LIMIT_MAX + 1),
        })
    }

    /// Takes what a step brought, by the number that is its cursor.
    pub(super) fn take<T>(
        &mut self,
        step: &Step<'_>,
        mut found: Vec<T>,
        number: impl Fn(&T) -> u64,
    ) -> Vec<T> {
        if found.len() > self.left {
            found.truncate(self.left);
            let last = found.last().map(number);
            let last = last.map_or(String::new(), |number| number.to_string());
            self.next = Some(format!("{}:{last}", step.place.pool.name));
        }
        self.left -= found.len();
        found
    }

    /// The page, once there is no step any more.
    pub(super) fn end<T: ToSchema>(self, miner: &Miner, items: Vec<T>) -> Page<T> {
        Page {
            address: miner.address.clone(),
            items,
            next: self.next,
        }
    }
}

/// A number of digits alone.
fn number(text: &str) -> Option<u64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_plain)
}
