//! `/miners/{address}/why`: luck or fault?

use askama::Template;
use axum::{
    extract::{Query, rejection::QueryRejection},
    response::Response,
};
use serde::Deserialize;

use super::{ENGLISH, Shell, page as answer};
use crate::api::{
    doctor::{self, Diagnosis, DoctorQuery},
    miner::Miner,
    problem::Problem,
};

/// Which pool.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    pool: Option<String>,
}

#[derive(Template)]
#[template(path = "doctor.html")]
struct Page {
    shell: Shell,
    found: Diagnosis,
}

/// `/miners/{address}/why`
pub(super) async fn page(
    miner: Result<Miner, Problem>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Response {
    let asked = asked.map(|Query(asked)| asked).unwrap_or_default();
    answer(Page::new(miner, asked).await)
}

impl Page {
    async fn new(miner: Result<Miner, Problem>, asked: Asked) -> Result<Self, Problem> {
        let query = DoctorQuery { pool: asked.pool };
        Ok(Self {
            shell: Shell::new("check", ENGLISH.doctor_title),
            found: doctor::show(miner?, query).await?.0,
        })
    }
}
