//! What has been agreed with a peer, as an enum whose variants carry what exists in that state, and
//! what each Stratum V1 line does to it.
//!
//! ```text
//! Connected --subscribe--> Subscribed --authorize--> Authorized
//! ```
//!
//! A line that asks for something the state does not have gets the field's own error. Nothing is
//! sent before it is asked for: some firmware reads exactly one line after `mining.subscribe`.

use std::{net::SocketAddr, sync::Arc};

use mining::{Difficulty, device::CoinbaseClass, extranonce::Prefix, username::Username};
use tokio::time::Instant;
use wire::sv1::{
    Authorize, ClientMessage, Configure, Granted, Id, Method, Request, Subscribe,
    reply::{self, ErrorReply},
};

use super::{Context, End, miner::Miner};
use crate::{
    bans::Tally,
    clock,
    mailbox::Mailbox,
    share_log::Entry,
    template_feed::{Newest, Offer},
};

/// One peer's session.
pub(super) struct Session {
    peer: SocketAddr,
    context: Arc<Context>,
    mailbox: Arc<Mailbox>,
    tally: Arc<Tally>,
    options: Options,
    state: State,
}

enum State {
    Connected,
    Subscribed(Subscription),
    Authorized(Box<Miner>),
}

/// What a miner may say at any time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Options {
    /// The version bits it may roll; zero if that was not agreed.
    pub(super) version_mask: u32,
    /// The difficulty it asked for last.
    pub(super) suggested: Option<Difficulty>,
}

/// What `mining.subscribe` gives.
pub(super) struct Subscription {
    /// The connection's extranonce1.
    pub(super) prefix: Prefix,
    /// What the device calls itself.
    pub(super) agent: String,
    /// How large its coinbase may be.
    pub(super) class: CoinbaseClass,
}

/// What remains to be done after a line.
pub(super) enum Handled {
    /// Nothing.
    Done,
    /// It made no sense; it has been answered.
    Malformed,
    /// An accepted share is to be logged.
    Share(Entry),
}

const NOT_SUBSCRIBED: ErrorReply<'_> = ErrorReply {
    code: 25,
    text: "Not subscribed",
};
pub(super) const UNAUTHORIZED: ErrorReply<'_> = ErrorReply {
    code: 24,
    text: "Unauthorized worker",
};

impl Session {
    pub(super) fn new(
        peer: SocketAddr,
        context: Arc<Context>,
        mailbox: Arc<Mailbox>,
        tally: Arc<Tally>,
    ) -> Self {
        Self {
            peer,
            context,
            mailbox,
            tally,
            options: Options::default(),
            state: State::Connected,
        }
    }

    pub(super) fn is_authorized(&self) -> bool {
        matches!(self.state, State::Authorized(_))
    }

    /// The shares that wait for their commit.
    pub(super) fn in_flight(&self) -> usize {
        match &self.state {
            State::Authorized(miner) => miner.in_flight(),
            _ => 0,
        }
    }

    /// The first worker that was authorized, for logs.
    pub(super) fn worker(&self) -> Option<String> {
        match &self.state {
            State::Authorized(miner) => Some(miner.first_worker().to_string()),
            _ => None,
        }
    }

    /// Does what a line asks for and writes the answer.
    pub(super) fn line(
        &mut self,
        line: &[u8],
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<Handled, End> {
        let request = match Request::parse(line) {
            Ok(request) => request,
            Err(malformed) => {
                self.context.metrics.malformed.inc();
                let text = malformed.fault.to_string();
                let error = ErrorReply {
                    code: 20,
                    text: &text,
                };
                match malformed.method {
                    Some(Method::Submit) => {
                        // A ban ends the connection with its next turn.
                        self.tally.invalid(clock::now_ms());
                        reply::reject(out, malformed.id, &error);
                    }
                    _ => reply::error(out, malformed.id, &error),
                }
                return Ok(Handled::Malformed);
            }
        };
        let id = request.id;
        match request.message {
            ClientMessage::Submit(submit) => {
                return Ok(match &mut self.state {
                    State::Authorized(miner) => {
                        miner.submit(&submit, id, self.options.version_mask, now, out)
                    }
                    State::Subscribed(_) => {
                        reply::reject(out, id, &UNAUTHORIZED);
                        Handled::Done
                    }
                    State::Connected => {
                        reply::reject(out, id, &NOT_SUBSCRIBED);
                        Handled::Done
                    }
                });
            }
            ClientMessage::Configure(configure) => self.configure(&configure, id, now, out),
            ClientMessage::Subscribe(subscribe) => self.subscribe(&subscribe, id, out)?,
            ClientMessage::Authorize(authorize) => self.authorize(&authorize, id, now, out)?,
            ClientMessage::SuggestDifficulty(wanted) => {
                self.suggest(Difficulty::from_f64(wanted.get()), id, now, out);
            }
            ClientMessage::SuggestTarget(target) => {
                let target = mining::Target::from_bytes(target).ok();
                let algorithm = self.context.coin.algorithm;
                self.suggest(
                    target.map(|target| Difficulty::at_most(target, algorithm)),
                    id,
                    now,
                    out,
                );
            }
            ClientMessage::ExtranonceSubscribe => reply::boolean(out, id, true),
            ClientMessage::Ping => reply::pong(out, id),
            ClientMessage::GetTransactions => reply::no_transactions(out, id),
            ClientMessage::MultiVersion => reply::boolean(out, id, true),
            ClientMessage::Response => {}
            ClientMessage::Unknown(_) => {
                reply::error(
                    out,
                    id,
                    &ErrorReply {
                        code: 20,
                        text: "Method not found",
                    },
                );
                return Ok(Handled::Malformed);
            }
        }
        Ok(Handled::Done)
    }

    /// Sends newer work.
    pub(super) fn offer(&mut self, offer: &Offer, out: &mut Vec<u8>) {
        if let State::Authorized(miner) = &mut self.state {
            miner.offer(offer, out);
        }
    }

    /// Answers the shares that were committed.
    pub(super) fn answers(&mut self, mailbox: &Mailbox, out: &mut Vec<u8>) {
        if let State::Authorized(miner) = &mut self.state {
            miner.answers(mailbox, out);
        }
    }

    /// Time went by.
    pub(super) fn tick(&mut self, now: Instant, out: &mut Vec<u8>) {
        if let State::Authorized(miner) = &mut self.state {
            miner.tick(now, out);
        }
    }

    fn configure(&mut self, asked: &Configure, id: Id<'_>, now: Instant, out: &mut Vec<u8>) {
        let mask = asked
            .version_rolling
            .map(|mask| mask & self.context.rules.version_mask);
        if let Some(mask) = mask {
            self.options.version_mask = mask;
        }
        if let Some(Some(minimum)) = asked.minimum_difficulty {
            self.take_suggestion(Difficulty::from_f64(minimum.get()), now, out);
        }
        let granted = Granted {
            version_rolling: mask,
            minimum_difficulty: asked.minimum_difficulty.map(|_| true),
            subscribe_extranonce: asked.subscribe_extranonce.then_some(true),
            info: asked.info.then_some(true),
        };
        reply::configured(out, id, &granted);
    }

    fn subscribe(
        &mut self,
        asked: &Subscribe<'_>,
        id: Id<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), End> {
        let agent = asked.agent.as_deref().unwrap_or_default();
        match &self.state {
            State::Connected => {
                let prefix = self
                    .context
                    .prefixes
                    .allocate()
                    .map_err(|_| End::NoExtranonce)?;
                let class = CoinbaseClass::of_agent(agent);
                self.subscribed(id, prefix.bytes(), out);
                let agent = agent.to_owned();
                self.state = State::Subscribed(Subscription {
                    prefix,
                    agent,
                    class,
                });
            }
            // Asked again, the answer is the same: its jobs are made for this extranonce.
            State::Subscribed(subscription) => {
                self.subscribed(id, subscription.prefix.bytes(), out);
            }
            State::Authorized(miner) => self.subscribed(id, miner.extranonce1(), out),
        }
        Ok(())
    }

    fn subscribed(&self, id: Id<'_>, extranonce1: [u8; 4], out: &mut Vec<u8>) {
        let session = u32::from_be_bytes(extranonce1);
        let size = self.context.rules.extranonce2_size;
        reply::subscribed(out, id, &format!("{session:08x}"), &extranonce1, size);
    }

    fn authorize(
        &mut self,
        asked: &Authorize<'_>,
        id: Id<'_>,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<(), End> {
        let (coin, network) = (self.context.coin, self.context.network);
        let worker = match Username::parse(coin, network, &asked.user) {
            Ok(worker) => worker,
            Err(error) => {
                let text = format!("Invalid {} address: {error}", coin.name);
                reply::reject(
                    out,
                    id,
                    &ErrorReply {
                        code: 24,
                        text: &text,
                    },
                );
                return Ok(());
            }
        };
        match std::mem::replace(&mut self.state, State::Connected) {
            State::Connected => reply::reject(out, id, &NOT_SUBSCRIBED),
            State::Subscribed(subscription) => {
                if let Newest::Nothing(reason) = &*self.context.newest.borrow() {
                    let text = format!("No work: {reason}");
                    reply::reject(
                        out,
                        id,
                        &ErrorReply {
                            code: 20,
                            text: &text,
                        },
                    );
                    return Err(End::NoWork(Arc::clone(reason)));
                }
                let entry = self.context.sessions.enter(
                    worker,
                    subscription.agent.clone(),
                    self.peer,
                    clock::now_ms(),
                );
                let mut miner = Miner::new(
                    Arc::clone(&self.context),
                    Arc::clone(&self.mailbox),
                    subscription,
                    self.options.suggested,
                    now,
                    Arc::clone(&self.tally),
                );
                miner.add_worker(&asked.user, entry);
                self.state = State::Authorized(Box::new(miner));
                reply::boolean(out, id, true);
            }
            State::Authorized(mut miner) => {
                let entry = self.context.sessions.enter(
                    worker,
                    miner.agent().to_owned(),
                    self.peer,
                    clock::now_ms(),
                );
                if miner.add_worker(&asked.user, entry) {
                    reply::boolean(out, id, true);
                } else {
                    let text = "Too many workers on one connection";
                    reply::reject(out, id, &ErrorReply { code: 24, text });
                }
                self.state = State::Authorized(miner);
            }
        }
        Ok(())
    }

    fn suggest(&mut self, wanted: Option<Difficulty>, id: Id<'_>, now: Instant, out: &mut Vec<u8>) {
        // Sent as a notification it gets no answer.
        if id != Id::NULL {
            reply::boolean(out, id, wanted.is_some());
        }
        self.take_suggestion(wanted, now, out);
    }

    fn take_suggestion(&mut self, wanted: Option<Difficulty>, now: Instant, out: &mut Vec<u8>) {
        // NerdMiner repeats its wish every 30 seconds to stay alive; vardiff knows better by then.
        if wanted.is_none() || wanted == self.options.suggested {
            return;
        }
        self.options.suggested = wanted;
        if let (State::Authorized(miner), Some(wanted)) = (&mut self.state, wanted) {
            miner.suggest(wanted, now, out);
        }
    }
}
