//! A server of HTTP that others post to: it keeps what it was sent, and answers as it is told.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::Value;

/// How a request is answered.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    /// With this status.
    Status(u16),
    /// With a redirect to this port of loopback.
    Redirect(u16),
    /// Not at all; the connection stays open.
    Never,
}

/// A request with a body.
#[derive(Clone, Debug)]
pub(crate) struct Posted {
    pub(crate) path: String,
    /// By names in small letters.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
    /// The status that it was answered with.
    pub(crate) status: u16,
}

/// The server. It ends with the test.
pub(crate) struct Receiver {
    pub(crate) port: u16,
    posted: Arc<Mutex<Vec<Posted>>>,
    connections: Arc<AtomicUsize>,
    ended: Arc<AtomicBool>,
}

impl Posted {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

impl Receiver {
    /// Answers the first requests so, and all others with 200.
    pub(crate) fn start(first: &[Answer]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let receiver = Self {
            port: listener.local_addr().unwrap().port(),
            posted: Arc::default(),
            connections: Arc::default(),
            ended: Arc::default(),
        };
        let answers: Arc<Mutex<Vec<Answer>>> =
            Arc::new(Mutex::new(first.iter().rev().copied().collect()));
        let (posted, ended) = (Arc::clone(&receiver.posted), Arc::clone(&receiver.ended));
        let connections = Arc::clone(&receiver.connections);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                connections.fetch_add(1, Ordering::Relaxed);
                let (posted, answers) = (Arc::clone(&posted), Arc::clone(&answers));
                let ended = Arc::clone(&ended);
                std::thread::spawn(move || {
                    let answer = || answers.lock().unwrap().pop().unwrap_or(Answer::Status(200));
                    // A peer that goes away in between is no fault of the test.
                    let _ = serve(stream.unwrap(), &posted, answer, &ended);
                });
            }
        });
        receiver
    }

    /// All that was posted so far.
    pub(crate) fn posted(&self) -> Vec<Posted> {
        self.posted.lock().unwrap().clone()
    }

    /// What was posted and answered with 200, as JSON.
    pub(crate) fn taken(&self) -> Vec<Value> {
        let posted = self.posted().into_iter();
        posted
            .filter(|posted| posted.status == 200)
            .map(|posted| posted.json())
            .collect()
    }

    /// How often somebody connected.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // Its thread waits for a connection.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn serve(
    stream: TcpStream,
    posted: &Mutex<Vec<Posted>>,
    answer: impl FnOnce() -> Answer,
    ended: &AtomicBool,
) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = BTreeMap::new();
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length");
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    reader.read_exact(&mut body)?;
    let answer = answer();
    let (status, more) = match answer {
        Answer::Status(status) => (status, String::new()),
        Answer::Redirect(port) => (302, format!("location: http://127.0.0.1:{port}/\r\n")),
        Answer::Never => (0, String::new()),
    };
    posted.lock().unwrap().push(Posted {
        path,
        headers,
        body,
        status,
    });
    if status == 0 {
        while !ended.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(50));
        }
        return Ok(());
    }
    let mut stream = stream;
    write!(
        stream,
        "HTTP/1.1 {status} X\r\n{more}content-length: 0\r\n\r\n"
    )
}
