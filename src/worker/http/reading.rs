//! A pool's answers as a worker reads them, without a connection. Only the fuzz target `http_upstream` sees it; an
//! error is what a user would be told.

use std::sync::Arc;

use anyhow::{anyhow, ensure};
use hyper::{StatusCode, header::HeaderValue};

use super::{
    Answer, Said, bearer, said,
    told::{Registered, Taken, Told},
};
use crate::worker::{
    algorithm::Algorithm,
    cryptonote,
    dialect::{self, Hasher as _, Supply},
    sv1::Extranonces,
    vision::Nonces,
};

/// A job that can be mined.
pub struct Job {
    /// As the pool calls it.
    pub id: String,
    /// In the terms of the algorithm.
    pub difficulty: f64,
}

/// What the worker shows from now on, if the pool has given it a token.
pub fn read_registration(status: u16, body: &[u8]) -> Result<Option<HeaderValue>, String> {
    text(body_of(status, body).and_then(|body| {
        let told = Registered::read(&body)?;
        told.token.as_deref().map(bearer).transpose()
    }))
}

/// The job that the pool tells.
pub fn read_job(status: u16, body: &[u8]) -> Result<Job, String> {
    text(body_of(status, body).and_then(|body| {
        let told = Told::new(body, 1)?;
        ensure!(told.names_algorithm(), "of no algorithm");
        match told.algorithm()? {
            Algorithm::Header(_) => {
                let supply = Extranonces::default();
                let job = supply.job(&told, None)?;
                // The first header, with an extranonce of the job's range.
                supply.hasher().begin(Arc::new(job.clone()));
                Ok(of(&job))
            }
            Algorithm::RandomX(_) => Ok(of(&cryptonote::read_job(&told)?)),
            Algorithm::VisionX => Ok(of(&Nonces::default().job(&told, None)?)),
        }
    }))
}

/// Whether a share was taken.
pub fn read_share(status: u16, body: &[u8]) -> Result<bool, String> {
    text(body_of(status, body).and_then(|body| Ok(Taken::read(&body)?.ok)))
}

fn of(job: &impl dialect::Job) -> Job {
    Job {
        id: job.id().to_owned(),
        difficulty: job.difficulty(),
    }
}

/// The body of an answer that says yes.
fn body_of(status: u16, body: &[u8]) -> anyhow::Result<Vec<u8>> {
    let answer = Answer {
        status: StatusCode::from_u16(status)?,
        body: body.to_vec(),
        is_second: false,
    };
    match said(answer)? {
        Said::Yes(body) => Ok(body),
        Said::No(reason) | Said::Later(_, reason) => Err(anyhow!("{reason}")),
    }
}

fn text<T>(read: anyhow::Result<T>) -> Result<T, String> {
    read.map_err(|failure| format!("{failure:#}"))
}
