//! The threads of HTTP. They are few, and give way to those that answer miners: a page may come a little
//! later, the answer to a share may not.

use std::{num::NonZero, sync::OnceLock, thread::available_parallelism};

use anyhow::Context as _;
use tokio::runtime::{Builder, Handle, Runtime};
use tracing::debug;

/// By how much they give way, of 19.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

/// One for the process. It ends with it; what runs there ends with its stage.
static THREADS: OnceLock<Runtime> = OnceLock::new();

/// The threads, which are started by the first call.
pub(crate) fn threads() -> anyhow::Result<Handle> {
    if let Some(threads) = THREADS.get() {
        return Ok(threads.handle().clone());
    }
    let cores = available_parallelism().map_or(1, NonZero::get);
    let threads = Builder::new_multi_thread()
        .worker_threads(cores.div_ceil(2))
        .thread_name("http")
        .on_thread_start(give_way)
        .enable_all()
        .build()
        .context("no threads for HTTP")?;
    Ok(THREADS.get_or_init(|| threads).handle().clone())
}

#[cfg(target_os = "linux")]
fn give_way() {
    let thread = Some(rustix::thread::gettid());
    // Where it may not be, pages cost miners a little more, and that is all.
    if let Err(error) = rustix::process::setpriority_process(thread, NICE) {
        debug!(%error, "HTTP has the priority of miners");
    }
}

#[cfg(not(target_os = "linux"))]
fn give_way() {
    debug!("HTTP has the priority of miners");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::{Stage, Tasks};

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn what_is_spawned_there_runs_on_threads_that_give_way() {
        let (tasks, _failures) = Tasks::new();
        let (say, said) = tokio::sync::oneshot::channel();
        let there = tasks.on(threads().unwrap());
        there.spawn(Stage::Doors, "look", async move {
            let stat = std::fs::read_to_string("/proc/thread-self/stat")?;
            let _ = say.send(stat);
            Ok(())
        });
        let stat = said.await.unwrap();
        let (name, fields) = stat.rsplit_once(')').unwrap();
        assert!(name.ends_with("(http"), "{stat}");
        assert_eq!(fields.split_whitespace().nth(16), Some("10"), "{stat}");
        // They are waited for as all others.
        assert!(tasks.shut_down().await);
    }
}
