//! `/api/v1/operator/config`: the settings in force, as `adit config` prints them.

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    operator::Operator,
    problem::{OperatorProblems, Problem},
};
use crate::config::{Config, Layers};

/// The settings in force.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Settings {
    /// In the order of the configuration.
    pub(crate) settings: Vec<Setting>,
}

/// A setting.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Setting {
    /// Its key, with the number of each entry of a list.
    pub key: String,
    /// Its value as TOML; `"***"` if it is a secret.
    pub value: String,
    /// Where it came from.
    pub source: String,
}

impl Setting {
    /// All of a configuration.
    pub fn all(layers: &Layers, config: &Config) -> Vec<Self> {
        let settings = layers.describe(config).into_iter();
        settings
            .map(|(key, value, source)| Self {
                key,
                value,
                source: source.to_string(),
            })
            .collect()
    }
}

/// The settings in force
///
/// Those with which the program was started, and where each came from. Secrets are `***`.
#[utoipa::path(
    get, path = "/api/v1/operator/config", operation_id = "config", tag = "operator",
    security(("key" = []), ()),
    responses((status = 200, description = "The answer.", body = Settings), OperatorProblems)
)]
pub(crate) async fn show(operator: Operator) -> Result<Json<Settings>, Problem> {
    let settings = operator.settings().to_vec();
    Ok(Json(Settings { settings }))
}
