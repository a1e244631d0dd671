//! People who have a page open: each listens to the stream of events and reads all of it.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpSocket, TcpStream},
    runtime::Runtime,
    task::JoinHandle,
};

use super::PROXY;
use crate::support::loopback;

/// All come within this time.
const ARRIVAL: Duration = Duration::from_secs(2);

/// All of them.
pub(super) struct Viewers {
    tasks: Vec<JoinHandle<()>>,
    /// The events that each has heard.
    heard: Vec<Arc<AtomicU64>>,
    board: Arc<Board>,
}

#[derive(Default)]
struct Board {
    listening: AtomicUsize,
    leaving: AtomicBool,
    faults: Mutex<Vec<String>>,
}

impl Viewers {
    pub(super) fn open(crowd: &Runtime, port: u16, path: &str, count: usize) -> Self {
        let board = Arc::new(Board::default());
        let heard: Vec<Arc<AtomicU64>> = (0..count).map(|_| Arc::default()).collect();
        let tasks = heard.iter().enumerate().map(|(number, heard)| {
            let (heard, board) = (Arc::clone(heard), Arc::clone(&board));
            let request = format!(
                "GET {path} HTTP/1.1\r\nHost: pool\r\nAccept: text/event-stream\r\n\
                 X-Forwarded-For: 100.64.{}.{}\r\n\r\n",
                number / 100,
                number % 100
            );
            let wait = ARRIVAL * u32::try_from(number).unwrap() / u32::try_from(count).unwrap();
            crowd.spawn(async move {
                tokio::time::sleep(wait).await;
                let fault = listen(port, &request, &heard, &board).await;
                if !board.leaving.load(Ordering::SeqCst) {
                    let fault = fault.unwrap_or_else(|error| error.to_string());
                    let mut faults = board.faults.lock().unwrap();
                    faults.push(format!("viewer {number}: {fault}"));
                }
            })
        });
        Self {
            tasks: tasks.collect(),
            heard: heard.clone(),
            board,
        }
    }

    /// Whether each has been answered.
    pub(super) fn all_listen(&self) -> Option<()> {
        self.check();
        (self.board.listening.load(Ordering::SeqCst) == self.heard.len()).then_some(())
    }

    /// How many events each has heard.
    pub(super) fn heard(&self) -> Vec<u64> {
        let heard = self.heard.iter();
        heard.map(|heard| heard.load(Ordering::Relaxed)).collect()
    }

    /// How many events each has heard since, the fewest first.
    pub(super) fn news_since(&self, before: &[u64]) -> Vec<u64> {
        let heard = self.heard();
        let mut news: Vec<u64> = heard
            .iter()
            .zip(before)
            .map(|(now, then)| now - then)
            .collect();
        news.sort_unstable();
        news
    }

    /// Fails if one was not let in or was cut off.
    pub(super) fn check(&self) {
        let faults = self.board.faults.lock().unwrap();
        assert!(
            faults.is_empty(),
            "{} of them: {:#?}",
            faults.len(),
            &faults[..1]
        );
    }

    pub(super) fn close(self) {
        self.board.leaving.store(true, Ordering::SeqCst);
        for task in self.tasks {
            task.abort();
        }
    }
}

/// Listens until the stream ends, and says how it did.
async fn listen(
    port: u16,
    request: &str,
    heard: &AtomicU64,
    board: &Board,
) -> std::io::Result<String> {
    let mut stream = connect(port).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut lines = BufReader::new(stream).lines();
    let status = lines.next_line().await?.unwrap_or_default();
    if status != "HTTP/1.1 200 OK" {
        return Ok(status);
    }
    board.listening.fetch_add(1, Ordering::SeqCst);
    // The sizes of chunks stand on lines of their own.
    while let Some(line) = lines.next_line().await? {
        if line.starts_with("event:") {
            heard.fetch_add(1, Ordering::Relaxed);
        }
    }
    Ok("the stream ended".to_owned())
}

async fn connect(port: u16) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(
        format!("{PROXY}:0")
            .parse()
            .map_err(std::io::Error::other)?,
    )?;
    socket.connect(loopback(port)).await
}
