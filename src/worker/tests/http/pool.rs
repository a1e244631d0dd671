//! A pool of HTTP that says what its test says: each question goes to the test, which answers it byte for byte.

use std::collections::VecDeque;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};

use super::PATIENCE;

/// Questions that wait for the test.
const QUESTIONS_MAX: usize = 64;

/// The listener, and what was asked so far.
pub(super) struct Pool {
    port: u16,
    questions: mpsc::Receiver<Question>,
    waiting: VecDeque<Question>,
}

/// What the worker has asked. Dropped, it hangs up.
pub(super) struct Question {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) token: Option<String>,
    pub(super) body: Value,
    /// Which connection of the worker it came on.
    pub(super) connection: usize,
    answer: mpsc::Sender<Vec<u8>>,
}

impl Pool {
    pub(super) async fn new() -> Self {
        Self::at(0).await
    }

    pub(super) async fn at(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (asked, questions) = mpsc::channel(QUESTIONS_MAX);
        tokio::spawn(async move {
            for connection in 0.. {
                let accepted = tokio::select! {
                    accepted = listener.accept() => accepted,
                    () = asked.closed() => return,
                };
                let asked = asked.clone();
                tokio::spawn(serve(accepted.unwrap().0, connection, asked));
            }
        });
        Self {
            port,
            questions,
            waiting: VecDeque::new(),
        }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The next question for this path, whatever else is asked before.
    pub(super) async fn asked(&mut self, path: &str) -> Question {
        let is_it = |question: &Question| question.path.split('?').next() == Some(path);
        if let Some(place) = self.waiting.iter().position(is_it) {
            return self.waiting.remove(place).unwrap();
        }
        let asked = timeout(PATIENCE, async {
            loop {
                let question = self.questions.recv().await.unwrap();
                if is_it(&question) {
                    return question;
                }
                self.waiting.push_back(question);
            }
        });
        asked.await.expect("the worker asks")
    }

    /// Nothing was asked for this path that was not answered.
    pub(super) fn is_silent_of(&mut self, path: &str) -> bool {
        while let Ok(question) = self.questions.try_recv() {
            self.waiting.push_back(question);
        }
        !self
            .waiting
            .iter()
            .any(|question| question.path.starts_with(path))
    }

    /// Registers whoever comes, with this token. What was asked before is of no use any more.
    pub(super) async fn register(&mut self, token: &str) -> Value {
        let question = self.asked("/pool/register").await;
        self.waiting.clear();
        let body = question.body.clone();
        question.answer(
            200,
            &json!({"ok": true, "message": "Welcome", "pool_fee_bps": 100,
                "foundation_fee_bps": 0, "token": token, "algorithm": "visionx"}),
        );
        body
    }

    /// Gives whoever asks this job.
    pub(super) async fn give(&mut self, job: &Value) -> Question {
        let question = self.asked("/pool/job").await;
        question.answer(200, job);
        question
    }
}

impl Question {
    /// A whole answer: of JSON, or of the text as it is.
    pub(super) fn answer(&self, status: u16, body: &Value) {
        let body = match body {
            Value::String(text) => text.clone(),
            body => body.to_string(),
        };
        let length = body.len();
        let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n\r\n");
        self.send([head.as_bytes(), body.as_bytes()].concat());
    }

    /// Any bytes. What the worker does not take any more is lost.
    pub(super) fn send(&self, bytes: Vec<u8>) {
        let _ = self.answer.try_send(bytes);
    }

    /// Whether the worker has hung up, or will in time.
    pub(super) async fn is_dropped(&self) -> bool {
        timeout(PATIENCE, self.answer.closed()).await.is_ok()
    }
}

/// Reads one question after the other from a connection, and sends what the test answers to it.
async fn serve(stream: TcpStream, connection: usize, asked: mpsc::Sender<Question>) {
    let mut stream = BufReader::new(stream);
    loop {
        let Some(mut question) = read(&mut stream).await else {
            return;
        };
        let (answer, mut answers) = mpsc::channel::<Vec<u8>>(QUESTIONS_MAX);
        question.answer = answer;
        question.connection = connection;
        if asked.send(question).await.is_err() {
            return;
        }
        let mut has_answered = false;
        loop {
            let mut byte = [0];
            tokio::select! {
                biased;
                bytes = answers.recv() => match bytes {
                    Some(bytes) => {
                        has_answered = true;
                        if stream.write_all(&bytes).await.is_err() {
                            return;
                        }
                    }
                    // Answered, and let go of.
                    None if has_answered => break,
                    None => return,
                },
                read = stream.get_ref().peek(&mut byte), if stream.buffer().is_empty() => {
                    match read {
                        Ok(1..) if has_answered => break,
                        Ok(1..) | Err(_) => return,
                        Ok(0) => return,
                    }
                }
            }
        }
    }
}

async fn read(stream: &mut BufReader<TcpStream>) -> Option<Question> {
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => head.push(line.to_owned()),
        }
    }
    let field = |name: &str| {
        let fields = head.iter().filter_map(|line| line.split_once(": "));
        let mut named = fields.filter(|(field, _)| field.eq_ignore_ascii_case(name));
        named.next().map(|(_, value)| value.to_owned())
    };
    let length = field("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    let mut words = head[0].split(' ');
    let (nobody, _) = mpsc::channel(1);
    Some(Question {
        method: words.next()?.to_owned(),
        path: words.next()?.to_owned(),
        token: field("authorization"),
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
        connection: 0,
        answer: nobody,
    })
}
