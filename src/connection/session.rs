//! What has been agreed with a peer, as an enum whose variants carry what exists in that state, and
//! what each Stratum V1 line does to it.
//!
//! ```text
//! Connected --subscribe--> Subscribed --authorize--> Authorized
//! ```
//!
//! A line that asks for something the state does not have gets the field's own error. Nothing is
//! sent before it is asked for: some firmware reads exactly one line after `mining.subscribe`.

mod handover;

use std::{net::SocketAddr, sync::Arc};

use mining::{
    Address, Difficulty,
    extranonce::Prefix,
    password,
    username::{Alias, Login, Username},
};
use tokio::time::Instant;
use wire::sv1::{
    Authorize, ClientMessage, Configure, Granted, Id, Method, OwnedId, Request, Subscribe,
    reply::{self, ErrorReply},
};

use super::{
    Context, End,
    miner::Miner,
    wishes::{Device, Wishes},
};
use crate::{
    bans::Tally,
    clock,
    kept_sessions::{Kept, SessionId},
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
    wishes: Wishes,
    /// The version bits it may roll; nothing before that was agreed.
    version_mask: Option<u32>,
    state: State,
}

enum State {
    Connected,
    Subscribed(Subscription),
    Authorized(Box<Miner>),
}

/// What `mining.subscribe` gives.
pub(super) struct Subscription {
    /// What the session is called, should the miner come back.
    pub(super) session: SessionId,
    /// The connection's extranonce1.
    pub(super) prefix: Prefix,
    /// What the device calls itself.
    pub(super) agent: String,
    /// What it can bear.
    pub(super) device: Device,
    /// What it left behind when it was here before.
    pub(super) resumed: Option<Kept>,
}

/// What remains to be done after a line.
pub(super) enum Handled {
    /// Nothing.
    Done,
    /// It made no sense; it has been answered.
    Malformed,
    /// An accepted share is to be logged.
    Share(Entry),
    /// The address that an alias stands for is to be looked up.
    Alias(Box<AliasLogin>),
}

/// A login whose address the store knows.
pub(super) struct AliasLogin {
    /// The alias's number.
    pub(super) number: u64,
    worker: String,
    user: String,
    wishes: password::Options,
    id: OwnedId,
}

const NOT_SUBSCRIBED: ErrorReply<'_> = ErrorReply {
    code: 25,
    text: "Not subscribed",
};
pub(super) const UNAUTHORIZED: ErrorReply<'_> = ErrorReply {
    code: 24,
    text: "Unauthorized worker",
};
const SUGGESTIONS_OFF: ErrorReply<'_> = ErrorReply {
    code: 20,
    text: "Suggest difficulty is disabled for this connection",
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
            wishes: Wishes::default(),
            version_mask: None,
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

    /// When the last share was accepted, or the miner was.
    pub(super) fn last_share_at(&self) -> Option<Instant> {
        match &self.state {
            State::Authorized(miner) => Some(miner.last_share_at()),
            _ => None,
        }
    }

    /// The first worker that was authorized, for logs.
    pub(super) fn worker(&self) -> Option<String> {
        match &self.state {
            State::Authorized(miner) => Some(miner.first_worker().to_string()),
            _ => None,
        }
    }

    /// Keeps what the miner would need to go on where it was. Nothing comes after it.
    pub(super) fn keep(&mut self, now: Instant) {
        let (session, kept) = match std::mem::replace(&mut self.state, State::Connected) {
            State::Connected => return,
            // It came back and left before it said who it is.
            State::Subscribed(subscription) => match subscription.resumed {
                Some(resumed) => {
                    let prefix = Some(subscription.prefix);
                    (subscription.session, Kept { prefix, ..resumed })
                }
                None => return,
            },
            State::Authorized(miner) => miner.leave(self.version_mask),
        };
        self.context.kept_sessions.keep(session, kept, now);
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
                let text = malformed.fault.to_string();
                let error = ErrorReply {
                    code: 20,
                    text: &text,
                };
                let is_share = malformed.method == Some(Method::Submit);
                match is_share {
                    true => reply::reject(out, malformed.id, &error),
                    false => reply::error(out, malformed.id, &error),
                }
                return Ok(self.context.malformed(&self.tally, is_share));
            }
        };
        let id = request.id;
        if self.context.coin.vision().is_some() {
            // Nothing that can be said here leads to work.
            let text = self.context.is_for();
            reply::error(
                out,
                id,
                &ErrorReply {
                    code: 20,
                    text: &text,
                },
            );
            return Err(End::LoginRefused);
        }
        match request.message {
            ClientMessage::Submit(submit) => {
                return Ok(match &mut self.state {
                    State::Authorized(miner) => {
                        miner.submit(&submit, id, self.version_mask.unwrap_or(0), now, out)
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
            ClientMessage::Subscribe(subscribe) => self.subscribe(&subscribe, id, now, out)?,
            ClientMessage::Authorize(authorize) => {
                return self.authorize(&authorize, id, now, out);
            }
            ClientMessage::SuggestDifficulty(wanted) => {
                self.suggest(Difficulty::from_f64(wanted.get()), id, now, out);
            }
            ClientMessage::SuggestTarget(target) => {
                let target = mining::Target::from_bytes(target).ok();
                let algorithm = self.context.coin.algorithm();
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
            // bfgminer tells its capabilities, and would take an answer for that to the next.
            ClientMessage::Unknown(_) if id == Id::NULL => {}
            // Monero's miners read answers of their own dialect, and stay on if nobody hangs up.
            ClientMessage::Unknown(method) if method == "login" => {
                wire::cryptonote::reply::error(out, id, &self.context.is_for());
                return Err(End::LoginRefused);
            }
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
        self.version_mask = mask.or(self.version_mask);
        if let Some(least) = asked.minimum_difficulty {
            self.wishes.least = least.and_then(|least| Difficulty::from_f64(least.get()));
            self.wish(now, out);
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
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<(), End> {
        let agent = asked.agent.as_deref().unwrap_or_default();
        match &self.state {
            State::Connected => {
                let profiles = self.context.devices.current();
                let profile = profiles.of_any(agent);
                let device = Device::new(profile, &self.context);
                let session = asked.session.as_deref().and_then(SessionId::parse);
                let kept = session.and_then(|session| {
                    let Context {
                        kept_sessions,
                        newest,
                        prefixes,
                        ..
                    } = &*self.context;
                    let kept = kept_sessions.take(session, now).or_else(|| {
                        kept_sessions.take_restored(session, &newest.borrow(), prefixes)
                    })?;
                    let is_like =
                        kept.class == device.class && kept.solo == self.context.rules.is_solo();
                    is_like.then_some((session, kept))
                });
                let (session, prefix, resumed) = match kept {
                    Some((session, mut kept)) => (session, kept.prefix.take(), Some(kept)),
                    None => (self.context.kept_sessions.new_id(), None, None),
                };
                let prefix = match prefix {
                    Some(prefix) => prefix,
                    None => {
                        let allocated = self.context.prefixes.allocate();
                        allocated.map_err(|_| End::NoExtranonce)?
                    }
                };
                if let Some(kept) = &resumed {
                    self.version_mask = self.version_mask.or(kept.version_mask);
                }
                self.subscribed(id, session, prefix.bytes(), out);
                self.state = State::Subscribed(Subscription {
                    session,
                    prefix,
                    agent: agent.to_owned(),
                    device,
                    resumed,
                });
            }
            // Asked again, the answer is the same: its jobs are made for this extranonce.
            State::Subscribed(Subscription {
                session, prefix, ..
            }) => self.subscribed(id, *session, prefix.bytes(), out),
            State::Authorized(miner) => {
                self.subscribed(id, miner.session(), miner.extranonce1(), out);
            }
        }
        Ok(())
    }

    fn subscribed(&self, id: Id<'_>, session: SessionId, extranonce1: [u8; 4], out: &mut Vec<u8>) {
        let size = self.context.rules.extranonce2_size;
        reply::subscribed(out, id, &session.to_string(), &extranonce1, size);
    }

    fn authorize(
        &mut self,
        asked: &Authorize<'_>,
        id: Id<'_>,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<Handled, End> {
        if matches!(self.state, State::Connected) {
            reply::reject(out, id, &NOT_SUBSCRIBED);
            return Ok(Handled::Done);
        }
        let (coin, network) = (self.context.coin, self.context.network);
        let default = self.context.rules.default_address.as_ref();
        let wishes = password::Options::parse(asked.password.as_deref().unwrap_or_default());
        match Login::parse(coin, network, &asked.user, default) {
            Ok(Login::Address { username, .. }) => {
                self.log_in(username, &asked.user, &wishes, id, now, out)?;
                Ok(Handled::Done)
            }
            Ok(Login::Alias { number, worker }) => Ok(Handled::Alias(Box::new(AliasLogin {
                number,
                worker,
                user: asked.user.clone().into_owned(),
                wishes,
                id: id.to_owned(),
            }))),
            Err(error) => {
                self.refuse_login(id, &error.to_string(), out);
                Ok(Handled::Done)
            }
        }
    }

    /// Goes on with a login when the store has said whose alias it is.
    pub(super) fn alias_found(
        &mut self,
        login: AliasLogin,
        address: Option<Address>,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<(), End> {
        let AliasLogin {
            number,
            mut worker,
            user,
            wishes,
            id,
        } = login;
        let Some(address) = address else {
            let alias = Alias::new(number).map_or_else(String::new, |alias| alias.to_string());
            let reason = format!("nobody here is called u/{alias}");
            self.refuse_login(id.as_id(), &reason, out);
            return Ok(());
        };
        if let Some(name) = &wishes.worker {
            worker.clone_from(name);
        }
        let username = Username { address, worker };
        self.log_in(username, &user, &wishes, id.as_id(), now, out)
    }

    /// The text is one that AxeOS explains to its user; what is wrong comes as a message.
    fn refuse_login(&self, id: Id<'_>, reason: &str, out: &mut Vec<u8>) {
        let text = format!("Invalid {} address", self.context.coin.title());
        let error = ErrorReply {
            code: 24,
            text: &text,
        };
        reply::reject(out, id, &error);
        reply::show_message(out, &format!("{text}: {reason}"));
    }

    fn log_in(
        &mut self,
        mut username: Username,
        user: &str,
        wishes: &password::Options,
        id: Id<'_>,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<(), End> {
        if let Some(name) = &wishes.worker {
            username.worker.clone_from(name);
        }
        if let (State::Subscribed(_), Newest::Nothing(reason)) =
            (&self.state, &*self.context.newest.borrow())
        {
            let text = format!("No work: {reason}");
            let error = ErrorReply {
                code: 20,
                text: &text,
            };
            reply::reject(out, id, &error);
            return Err(End::NoWork(Arc::clone(reason)));
        }
        let address = username.address.clone();
        let enter = |agent: &str| {
            let (sessions, peer) = (&self.context.sessions, self.peer);
            sessions.enter(username, agent.to_owned(), peer, clock::now_ms())
        };
        match std::mem::replace(&mut self.state, State::Connected) {
            State::Connected => reply::reject(out, id, &NOT_SUBSCRIBED),
            State::Subscribed(subscription) => {
                let entry = enter(&subscription.agent);
                self.wishes.of_password(wishes, &self.context);
                let device = subscription.device;
                let mut miner = Miner::new(
                    Arc::clone(&self.context),
                    Arc::clone(&self.mailbox),
                    subscription,
                    &self.wishes,
                    now,
                    Arc::clone(&self.tally),
                );
                miner.add_worker(user, entry);
                self.state = State::Authorized(Box::new(miner));
                reply::boolean(out, id, true);
                if let Some(mask) = self.version_mask {
                    reply::set_version_mask(out, mask);
                }
                device.tell(user, &wishes.ignored, out);
            }
            State::Authorized(mut miner) => {
                let is_other = miner.first_worker().address != address;
                let entry = enter(miner.agent());
                if self.context.rules.is_solo() && is_other {
                    let text = "One address for each connection";
                    reply::reject(out, id, &ErrorReply { code: 24, text });
                } else if miner.add_worker(user, entry) {
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
        let heeded = self.context.rules.heed_suggestions;
        // Sent as a notification it gets no answer.
        if id != Id::NULL {
            match heeded {
                true => reply::boolean(out, id, wanted.is_some()),
                false => reply::reject(out, id, &SUGGESTIONS_OFF),
            }
        }
        // NerdMiner repeats its wish every 30 seconds to stay alive; vardiff knows better by then.
        if heeded && wanted.is_some() && wanted != self.wishes.suggested {
            self.wishes.suggested = wanted;
            self.wish(now, out);
        }
    }

    fn wish(&mut self, now: Instant, out: &mut Vec<u8>) {
        if let State::Authorized(miner) = &mut self.state {
            miner.wish(&self.wishes, now, out);
        }
    }
}
