//! What others tell a connection: that there is newer work, that shares were committed, that it
//! has to end. A connection waits for its socket, its clock and its mailbox, and for nothing else.
//!
//! Written by the share log, the listener and whoever ends a connection; read by `connection`. A
//! notice is a bit, so that a thousand of them are one, and posting never waits.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    ops::Bound,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use futures_util::task::AtomicWaker;

/// How many connections are woken before they run.
const WOKEN_AT_A_TIME: usize = 32;

/// Something to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Notice {
    /// There is newer work.
    Work = 1,
    /// Shares were committed, or could not be.
    Answers = 2,
    /// The pool is stopping.
    Stop = 4,
    /// The peer's address is banned.
    Banned = 8,
}

/// Some notices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notices(u8);

/// What became of a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is on the disk.
    Accepted,
    /// It could not be written.
    Failed,
    /// It may have been written or not: it must not be taken again.
    Unknown,
}

/// One connection's mailbox.
#[derive(Debug, Default)]
pub struct Mailbox {
    notices: AtomicU8,
    waker: AtomicWaker,
    /// How many of the connection's shares have been answered. They are in its order.
    answered: AtomicU64,
    /// Those of them that were not accepted, by their number.
    others: Mutex<Vec<(u64, Outcome)>>,
}

/// The mailboxes of all connections. Clones share the list.
#[derive(Clone, Debug, Default)]
pub struct Mailboxes(Arc<Mutex<List>>);

#[derive(Debug, Default)]
struct List {
    next: u64,
    /// Whoever comes now is told at once.
    stopping: bool,
    /// In the order in which they came.
    boxes: BTreeMap<u64, (IpAddr, Arc<Mailbox>)>,
}

/// Keeps a mailbox on the list.
#[derive(Debug)]
pub struct Listed {
    mailbox: Arc<Mailbox>,
    number: u64,
    list: Mailboxes,
}

impl Notices {
    /// Whether this one is among them.
    pub fn has(self, notice: Notice) -> bool {
        self.0 & notice as u8 != 0
    }
}

impl Mailbox {
    /// Leaves a notice and wakes the connection.
    pub fn post(&self, notice: Notice) {
        self.notices.fetch_or(notice as u8, Ordering::AcqRel);
        self.waker.wake();
    }

    /// Tells what became of the connection's next share.
    pub fn answer(&self, outcome: Outcome) {
        let number = self.answered.load(Ordering::Relaxed);
        if outcome != Outcome::Accepted {
            self.others().push((number, outcome));
        }
        // Only the share log answers, one share after the other.
        self.answered.store(number + 1, Ordering::Release);
        self.post(Notice::Answers);
    }

    /// The outcomes of the shares from number `from` on that were answered.
    pub fn answers(&self, from: u64) -> impl Iterator<Item = Outcome> {
        let answered = self.answered.load(Ordering::Acquire);
        let mut others = Vec::new();
        if from < answered {
            let mut list = self.others();
            if !list.is_empty() {
                // Each is asked for once.
                others = list
                    .extract_if(.., |(number, _)| *number < answered)
                    .collect();
            }
        }
        (from..answered).map(move |number| {
            let other = others.iter().find(|(other, _)| *other == number);
            other.map_or(Outcome::Accepted, |(_, outcome)| *outcome)
        })
    }

    /// Takes the notices that are there, or has the task woken by the next.
    pub fn poll_take(&self, context: &mut Context<'_>) -> Poll<Notices> {
        for _ in 0..2 {
            let notices = self.notices.swap(0, Ordering::AcqRel);
            if notices != 0 {
                return Poll::Ready(Notices(notices));
            }
            // One may have come before the waker was there to hear it.
            self.waker.register(context.waker());
        }
        Poll::Pending
    }

    fn others(&self) -> MutexGuard<'_, Vec<(u64, Outcome)>> {
        self.others.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Mailboxes {
    /// A new mailbox of a connection from `party`, on the list for as long as the value lives.
    pub fn enter(&self, party: IpAddr) -> Listed {
        let mailbox = Arc::new(Mailbox::default());
        let mut list = self.list();
        if list.stopping {
            mailbox.post(Notice::Stop);
        }
        let number = list.next;
        list.next += 1;
        list.boxes.insert(number, (party, Arc::clone(&mailbox)));
        Listed {
            mailbox,
            number,
            list: self.clone(),
        }
    }

    /// Leaves a notice in each that is there now, some at a time: between them those that were woken
    /// run. So the first miner of a thousand need not wait until all are woken, and what waking one
    /// has brought into the cache is still there when it runs.
    pub async fn post(&self, notice: Notice) {
        let mut woken = Vec::with_capacity(WOKEN_AT_A_TIME);
        let (mut after, end) = {
            let mut list = self.list();
            list.stopping |= notice == Notice::Stop;
            (Bound::Unbounded, list.next)
        };
        loop {
            {
                let list = self.list();
                let next = list.boxes.range((after, Bound::Excluded(end)));
                for (number, (_, mailbox)) in next.take(WOKEN_AT_A_TIME) {
                    after = Bound::Excluded(*number);
                    woken.push(Arc::clone(mailbox));
                }
            }
            if woken.is_empty() {
                return;
            }
            for mailbox in woken.drain(..) {
                mailbox.post(notice);
            }
            tokio::task::yield_now().await;
        }
    }

    /// Leaves a notice with all connections from `party`.
    pub fn post_to(&self, party: IpAddr, notice: Notice) {
        for (from, mailbox) in self.list().boxes.values() {
            if *from == party {
                mailbox.post(notice);
            }
        }
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listed {
    /// A number that no other connection has.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The mailbox itself, for those who answer.
    pub fn share(&self) -> Arc<Mailbox> {
        Arc::clone(&self.mailbox)
    }
}

impl std::ops::Deref for Listed {
    type Target = Mailbox;

    fn deref(&self) -> &Mailbox {
        &self.mailbox
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.list.list().boxes.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::poll_fn,
        sync::atomic::{AtomicUsize, Ordering::Relaxed},
        task::{Wake, Waker},
    };

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    #[tokio::test]
    async fn all_who_are_there_hear_of_a_notice_once() {
        let boxes = Mailboxes::default();
        let here = IpAddr::from([127, 0, 0, 1]);
        let all: Vec<_> = (0..3 * WOKEN_AT_A_TIME + 1)
            .map(|_| boxes.enter(here))
            .collect();
        let mut all: Vec<_> = all.into_iter().map(Some).collect();
        // Some have gone in between.
        all[WOKEN_AT_A_TIME - 1] = None;
        all[0] = None;
        boxes.post(Notice::Work).await;
        let woken = Waker::from(Arc::new(Woken::default()));
        let mut context = Context::from_waker(&woken);
        for mailbox in all.iter().flatten() {
            assert!(mailbox.poll_take(&mut context).is_ready());
            assert!(mailbox.poll_take(&mut context).is_pending());
        }
        boxes.post(Notice::Work).await;
        drop(all);
        boxes.post(Notice::Work).await;
    }

    #[tokio::test]
    async fn a_notice_wakes_once_it_is_waited_for_and_is_taken_once() {
        let boxes = Mailboxes::default();
        let here = IpAddr::from([127, 0, 0, 1]);
        let there = IpAddr::from([127, 0, 0, 2]);
        let (first, second) = (boxes.enter(here), boxes.enter(there));
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let mut context = Context::from_waker(&waker);
        assert_eq!(first.poll_take(&mut context), Poll::Pending);
        boxes.post(Notice::Work).await;
        boxes.post(Notice::Work).await;
        boxes.post_to(here, Notice::Banned);
        assert_eq!(woken.0.load(Relaxed), 1);
        let Poll::Ready(notices) = first.poll_take(&mut context) else {
            panic!("two notices were left");
        };
        assert!(notices.has(Notice::Work) && notices.has(Notice::Banned));
        assert!(!notices.has(Notice::Answers));
        assert_eq!(first.poll_take(&mut context), Poll::Pending);
        let Poll::Ready(notices) = second.poll_take(&mut context) else {
            panic!("one notice was left");
        };
        assert!(notices.has(Notice::Work) && !notices.has(Notice::Banned));
        drop(second);
        assert_eq!(boxes.list().boxes.len(), 1);
        boxes.post(Notice::Stop).await;
        let late = boxes.enter(here);
        assert!(
            late.poll_take(&mut context).is_ready(),
            "the pool is stopping"
        );
    }

    #[test]
    fn answers_come_in_order_each_once() {
        let mailbox = Mailbox::default();
        let outcomes = [
            Outcome::Accepted,
            Outcome::Failed,
            Outcome::Accepted,
            Outcome::Unknown,
        ];
        for outcome in outcomes {
            mailbox.answer(outcome);
        }
        assert_eq!(mailbox.answers(0).collect::<Vec<_>>(), outcomes);
        mailbox.answer(Outcome::Failed);
        assert_eq!(mailbox.answers(4).collect::<Vec<_>>(), [Outcome::Failed]);
        assert_eq!(mailbox.answers(5).count(), 0);
        assert!(mailbox.others().is_empty());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_notice_is_lost_between_two_threads() {
        let boxes = Mailboxes::default();
        let mailbox = boxes.enter(IpAddr::from([127, 0, 0, 1]));
        let shared = mailbox.share();
        let poster = tokio::task::spawn_blocking(move || {
            for _ in 0..20_000 {
                shared.answer(Outcome::Accepted);
            }
        });
        let mut answered = 0;
        while answered < 20_000 {
            poll_fn(|context| mailbox.poll_take(context)).await;
            answered += u64::try_from(mailbox.answers(answered).count()).unwrap();
        }
        poster.await.unwrap();
    }
}
