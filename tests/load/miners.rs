//! Miners with one connection each, whose shares are due at times that no answer changes: a pool that
//! stalls is seen by every share that became due meanwhile.

use std::{
    io::Write as _,
    net::TcpStream,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use pow::{Algorithm, Hash};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    sync::oneshot,
};
use wire::sv1::{Notify, ServerMessage, client};

use crate::support::{DEVICES, connect_from, miner, runtime, wait_for};

const SUBSCRIBE: u64 = 1;
const AUTHORIZE: u64 = 2;
const FIRST_SHARE: u64 = 10;
/// An answer that takes longer is none.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// All of them.
pub(super) struct Miners {
    seats: Vec<Arc<Seat>>,
    board: Arc<Board>,
    next: u64,
    accepted: Vec<Hash>,
    /// What hears the pool, and ends with this.
    ears: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

/// What one turn showed, each list beginning with the shortest time.
pub(super) struct Turn {
    /// From when a share was due until its answer was read.
    pub(super) waits: Vec<Duration>,
    /// From when a share was due until it was sent, which is none of the pool's doing.
    pub(super) late: Vec<Duration>,
}

/// A connection.
struct Seat {
    user: String,
    socket: TcpStream,
    work: Mutex<Work>,
}

#[derive(Default)]
struct Work {
    extranonce1: Vec<u8>,
    extranonce2_size: usize,
    target: Option<mining::Target>,
    job: Option<Arc<Notify>>,
}

/// What all of them hear.
#[derive(Default)]
struct Board {
    ready: AtomicUsize,
    ending: AtomicBool,
    answers: Mutex<Vec<(u64, Instant)>>,
    faults: Mutex<Vec<String>>,
}

impl Miners {
    /// Connects so many, which mine for these addresses in turn, and waits until each has a job.
    pub(super) fn log_in(port: u16, count: usize, addresses: &[String]) -> Self {
        let seats = (0..count).map(|number| Arc::new(Seat::new(port, number, addresses)));
        let seats: Vec<Arc<Seat>> = seats.collect();
        let board = Arc::new(Board::default());
        let (stop, stopped) = oneshot::channel();
        let (heard, told) = (seats.clone(), Arc::clone(&board));
        let ears = thread::spawn(move || {
            runtime().block_on(async {
                for (number, seat) in heard.into_iter().enumerate() {
                    let told = Arc::clone(&told);
                    tokio::spawn(async move {
                        let fault = seat.hear(&told).await;
                        if !told.ending.load(Ordering::SeqCst) {
                            told.fault(format!("miner {number}: {fault}"));
                        }
                    });
                }
                // It ends when the miners are no longer wanted, whatever the sender did.
                let _ = stopped.await;
            });
        });
        for (number, seat) in seats.iter().enumerate() {
            let mut hello = Vec::new();
            client::subscribe(&mut hello, SUBSCRIBE, DEVICES[number % DEVICES.len()], None);
            client::authorize(&mut hello, AUTHORIZE, &seat.user, "x");
            (&seat.socket).write_all(&hello).unwrap();
        }
        wait_for("all miners to have a job", || {
            assert_eq!(board.faults(), [""; 0]);
            (board.ready.load(Ordering::SeqCst) == count).then_some(())
        });
        Self {
            seats,
            board,
            next: FIRST_SHARE,
            accepted: Vec::new(),
            ears: Some((stop, ears)),
        }
    }

    /// Submits so many shares a second for this time, and waits for the answers to all.
    pub(super) fn mine(&mut self, per_second: u32, time: Duration) -> Turn {
        let first = self.next;
        let every = Duration::from_secs(1) / per_second;
        let start = Instant::now() + Duration::from_millis(100);
        let due = |id: u64| start + every * u32::try_from(id - first).unwrap();
        let mut late = Vec::new();
        while due(self.next) < start + time {
            let place = usize::try_from(self.next).unwrap() % self.seats.len();
            let seat = &self.seats[place];
            let (line, hash) = seat.share(self.next);
            thread::sleep(due(self.next).saturating_duration_since(Instant::now()));
            late.push(due(self.next).elapsed());
            // A pool that leaves a kilobyte unread is none that is measured.
            if let Err(error) = (&seat.socket).write_all(&line) {
                self.board.fault(format!("miner {place}: {error}"));
            }
            self.accepted.push(hash);
            self.next += 1;
        }
        let count = late.len();
        let until = Instant::now() + ANSWER_WITHIN;
        while self.board.answered() < count && Instant::now() < until {
            thread::sleep(Duration::from_millis(10));
        }
        let answers = std::mem::take(&mut *self.board.answers.lock().unwrap());
        assert_eq!(answers.len(), count, "answers; {:?}", self.board.faults());
        let waits = answers.iter();
        let mut waits: Vec<_> = waits.map(|(id, at)| *at - due(*id)).collect();
        waits.sort_unstable();
        late.sort_unstable();
        Turn { waits, late }
    }

    /// The hash of each share; all were accepted, or [`Miners::check`] fails.
    pub(super) fn accepted(&self) -> &[Hash] {
        &self.accepted
    }

    /// Fails if a share was refused or a miner cut off.
    pub(super) fn check(&self) {
        assert_eq!(self.board.faults(), [""; 0]);
    }

    /// From now on the pool may hang up.
    pub(super) fn end(&self) {
        self.board.ending.store(true, Ordering::SeqCst);
    }
}

impl Drop for Miners {
    fn drop(&mut self) {
        if let Some((stop, ears)) = self.ears.take() {
            // It may have ended by itself, which `join` tells.
            let _ = stop.send(());
            let ended = ears.join();
            if !thread::panicking() {
                ended.unwrap();
            }
        }
    }
}

impl Board {
    fn fault(&self, fault: String) {
        self.faults.lock().unwrap().push(fault);
    }

    fn faults(&self) -> Vec<String> {
        let faults = self.faults.lock().unwrap();
        faults.iter().take(20).cloned().collect()
    }

    fn answered(&self) -> usize {
        self.answers.lock().unwrap().len()
    }
}

impl Seat {
    fn new(port: u16, number: usize, addresses: &[String]) -> Self {
        let from = format!("127.1.{}.{}", number % 8, 1 + number / 8 % 50);
        let socket = connect_from(&from, port);
        socket.set_nodelay(true).unwrap();
        Self {
            user: format!("{}.rig{number}", addresses[number % addresses.len()]),
            socket,
            work: Mutex::default(),
        }
    }

    /// Hears the pool until it hangs up, and says why it hears no more.
    async fn hear(&self, board: &Board) -> String {
        let socket = self.socket.try_clone().unwrap();
        socket.set_nonblocking(true).unwrap();
        let mut lines = BufReader::new(tokio::net::TcpStream::from_std(socket).unwrap()).lines();
        loop {
            let line = match lines.next_line().await {
                Ok(Some(line)) => line,
                Ok(None) => return "the pool hung up".to_owned(),
                Err(error) => return error.to_string(),
            };
            let now = Instant::now();
            let message = match ServerMessage::parse(line.as_bytes()) {
                Ok(message) => message,
                Err(fault) => return format!("{fault}: {line}"),
            };
            let mut work = self.work.lock().unwrap();
            match message {
                ServerMessage::Notify(notify) => {
                    let before = work.job.replace(Arc::new(notify));
                    if before.is_none() {
                        board.ready.fetch_add(1, Ordering::SeqCst);
                    }
                }
                ServerMessage::SetDifficulty(difficulty) => {
                    let difficulty = mining::Difficulty::from_f64(difficulty.get()).unwrap();
                    work.target = Some(difficulty.target(Algorithm::Sha256d));
                }
                ServerMessage::Response(answer) if answer.id == Some(SUBSCRIBE) => {
                    let given = answer.subscribed().unwrap();
                    work.extranonce1 = given.extranonce1;
                    work.extranonce2_size = given.extranonce2_size;
                }
                ServerMessage::Response(answer) if answer.accepted() => match answer.id {
                    Some(id) if id >= FIRST_SHARE => {
                        board.answers.lock().unwrap().push((id, now));
                    }
                    _ => {}
                },
                ServerMessage::Response(_) => return format!("refused: {line}"),
                _ => {}
            }
        }
    }

    /// A share of the job in hand with this number, as a line, and its hash.
    fn share(&self, id: u64) -> (Vec<u8>, Hash) {
        let work = self.work.lock().unwrap();
        let job = work.job.as_ref().expect("there is a job");
        let target = work.target.expect("the difficulty comes before the job");
        let extranonce2 = &id.to_be_bytes()[8 - work.extranonce2_size..];
        let extranonce = [&work.extranonce1, extranonce2].concat();
        let ntime = job.work.ntime;
        let mut header = miner::header(job, &extranonce, None, ntime, 0);
        let mut solve = |nonce: u32| {
            header[76..].copy_from_slice(&nonce.to_le_bytes());
            Algorithm::Sha256d.hash(&header)
        };
        let (nonce, hash) = (0..=u32::MAX)
            .map(|nonce| (nonce, solve(nonce)))
            .find(|(_, hash)| target.is_met_by(hash))
            .expect("one hash in sixteen is a share");
        let share = client::Share {
            worker: &self.user,
            job_id: &job.job_id,
            extranonce2,
            ntime,
            nonce,
            version_bits: None,
        };
        let mut line = Vec::new();
        client::submit(&mut line, id, &share);
        (line, hash)
    }
}
