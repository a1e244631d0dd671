//! Every task of the process is spawned here, so that shutdown can wait for it and a failure is
//! never silent: a task that ends with an error or a panic stops the whole process.
//!
//! Shutdown has an order, because each stage feeds the next. First nothing new comes in
//! ([`Stage::Doors`]: listeners, connections, HTTP), then what was accepted is written down
//! ([`Stage::Books`]: share log, blocks), then the rest ends ([`Stage::Daemons`]), and at last the
//! database is closed ([`Stage::Database`]), so that one file holds all of it.

use std::{future::Future, sync::Arc, time::Duration};

use tokio::{runtime::Handle, sync::mpsc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, error};

/// How long one stage may take to end before it is left behind.
const GRACE: Duration = Duration::from_secs(10);

/// When a task ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// What lets miners and requests in.
    Doors,
    /// What writes down what was accepted.
    Books,
    /// What talks to daemons, and everything else.
    Daemons,
    /// What all of them read and write.
    Database,
}

/// The tasks of the process, by stage. Clones share them.
#[derive(Clone)]
pub struct Tasks {
    stages: Arc<[(TaskTracker, CancellationToken); 4]>,
    failures: mpsc::Sender<String>,
    /// Whose threads run what is spawned; nothing means those of the caller.
    threads: Option<Handle>,
}

/// The receiving end: tells that a task failed.
pub struct Failures(mpsc::Receiver<String>);

impl Tasks {
    /// No tasks yet.
    pub fn new() -> (Self, Failures) {
        // One is enough to stop the process; more are only logged.
        let (failures, received) = mpsc::channel(1);
        let stages = std::array::from_fn(|_| (TaskTracker::new(), CancellationToken::new()));
        (
            Self {
                stages: Arc::new(stages),
                failures,
                threads: None,
            },
            Failures(received),
        )
    }

    /// The same tasks; what is spawned through it runs on these threads.
    #[must_use]
    pub fn on(&self, threads: Handle) -> Self {
        Self {
            threads: Some(threads),
            ..self.clone()
        }
    }

    /// Cancelled when `stage` has to end. A task of that stage must watch it.
    pub fn ending(&self, stage: Stage) -> CancellationToken {
        self.stage(stage).1.clone()
    }

    /// Runs `task` until it ends by itself or, having watched [`ending`](Self::ending), at
    /// shutdown. An error or a panic stops the process.
    pub fn spawn(
        &self,
        stage: Stage,
        name: &'static str,
        task: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        let failures = self.failures.clone();
        self.start(stage, async move {
            let mut failing = Failing {
                name,
                failures: Some(failures),
            };
            if let Err(failure) = task.await {
                failing.tell(&format!("{failure:#}"));
            }
        });
    }

    /// Runs the task of one connection. A panic ends that connection alone; it is logged, and
    /// `panicked` is called.
    pub fn spawn_connection(
        &self,
        stage: Stage,
        task: impl Future<Output = ()> + Send + 'static,
        panicked: impl Fn() + Send + 'static,
    ) {
        self.start(stage, async move {
            let guard = OnPanic(panicked);
            task.await;
            drop(guard);
        });
    }

    /// Ends all tasks, stage after stage. False if one did not end in time.
    pub async fn shut_down(&self) -> bool {
        let mut in_time = true;
        for stage in [Stage::Doors, Stage::Books, Stage::Daemons, Stage::Database] {
            let (tracker, ending) = self.stage(stage);
            debug!(?stage, tasks = tracker.len(), "ending");
            ending.cancel();
            tracker.close();
            if tokio::time::timeout(GRACE, tracker.wait()).await.is_err() {
                error!(?stage, tasks = tracker.len(), "tasks did not end in time");
                in_time = false;
            }
        }
        in_time
    }

    fn start(&self, stage: Stage, task: impl Future<Output = ()> + Send + 'static) {
        let tracker = &self.stage(stage).0;
        match &self.threads {
            Some(threads) => tracker.spawn_on(task, threads),
            None => tracker.spawn(task),
        };
    }

    fn stage(&self, stage: Stage) -> &(TaskTracker, CancellationToken) {
        &self.stages[match stage {
            Stage::Doors => 0,
            Stage::Books => 1,
            Stage::Daemons => 2,
            Stage::Database => 3,
        }]
    }
}

/// Tells of a task that did not end well, also of one that panics.
struct Failing {
    name: &'static str,
    failures: Option<mpsc::Sender<String>>,
}

impl Failing {
    fn tell(&mut self, failure: &str) {
        if let Some(failures) = self.failures.take() {
            error!(task = self.name, failure, "task failed");
            // Full means that the process is stopping already.
            let _ = failures.try_send(format!("{}: {failure}", self.name));
        }
    }
}

impl Drop for Failing {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.tell("panicked");
        }
    }
}

struct OnPanic<F: Fn()>(F);

impl<F: Fn()> Drop for OnPanic<F> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            error!("a connection panicked");
            (self.0)();
        }
    }
}

impl Failures {
    /// The first failure of a task; pending for ever if there is none.
    pub async fn first(&mut self) -> String {
        match self.0.recv().await {
            Some(failure) => failure,
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn stages_end_in_order_and_each_is_waited_for() {
        let (tasks, _failures) = Tasks::new();
        let (ended, mut order) = mpsc::channel(3);
        for (stage, name) in [
            (Stage::Daemons, "daemons"),
            (Stage::Books, "books"),
            (Stage::Doors, "doors"),
        ] {
            let (ending, ended) = (tasks.ending(stage), ended.clone());
            tasks.spawn(stage, name, async move {
                ending.cancelled().await;
                tokio::time::sleep(Duration::from_millis(20)).await;
                Ok(ended.send(name).await?)
            });
        }
        assert!(tasks.shut_down().await);
        let order: Vec<_> = std::iter::from_fn(|| order.try_recv().ok()).collect();
        assert_eq!(order, ["doors", "books", "daemons"]);
    }

    #[tokio::test]
    async fn an_error_and_a_panic_are_told() {
        for panics in [false, true] {
            let (tasks, mut failures) = Tasks::new();
            tasks.spawn(Stage::Books, "share log", async move {
                assert!(!panics, "broken");
                anyhow::bail!("broken")
            });
            assert!(failures.first().await.starts_with("share log: "));
        }
    }
}
