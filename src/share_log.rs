//! placeholder
use crate::tasks::Tasks;
use std::{sync::Arc, time::Duration};
use store::{PoolId, ShareRecord, Store, WorkerName};
use tokio::sync::mpsc;
#[derive(Debug)]
pub struct Entry {
    pub share: ShareRecord,
    pub worker: Arc<WorkerName>,
    pub tag: u64,
    pub reply: mpsc::Sender<Committed>,
}
#[derive(Debug)]
pub struct Committed {
    pub tag: u64,
    pub outcome: Outcome,
}
#[derive(Debug)]
pub enum Outcome {
    Accepted,
    Duplicate,
    Failed,
}
#[derive(Clone, Debug)]
pub struct ShareLog;
#[derive(Clone, Debug, Default)]
pub struct Config {
    pub keep_days: u32,
    pub roll_up: Duration,
}
impl ShareLog {
    pub async fn append(&self, _: Entry) {}
}
pub fn start(_: Store, _: PoolId, _: Config, _: &Tasks) -> ShareLog {
    ShareLog
}
