//! What has been agreed with a peer that speaks CryptoNote's Stratum, and what each of its lines does.
//!
//! ```text
//! connected --login--> logged in
//! ```
//!
//! A login brings the first job with its answer. Whoever is refused is hung up on after the answer: the
//! miners of this dialect stay on and do nothing otherwise. What an authorized miner does is in
//! [`miner`].

mod miner;
mod self_select;

use std::{net::SocketAddr, sync::Arc, task};

use mining::{Address, cryptonote, password::Options, username::Username};
use pow::randomx::Variant;
use tokio::time::Instant;
use wire::cryptonote::{
    ClientMessage, Extensions, Id, Login, Method, Reason, Request, Submit, reply,
};

pub(super) use self::miner::Miner;
use self::self_select::SelfSelect;
use super::{
    Context, End, Handled,
    wishes::{Device, Wishes},
};
use crate::{
    bans::Tally,
    clock,
    mailbox::Mailbox,
    template_feed::{Newest, Offer},
    verifier::{Origin, Verifier},
};

/// What the pool knows of this dialect beyond its first version.
const EXTENSIONS: Extensions = Extensions {
    algorithm: true,
    keep_alive: true,
    nicehash: false,
    connect: false,
};
/// In this mode a miner brings work of a node of its own.
const SELF_SELECT: &str = "self-select";

/// One peer's session.
pub(super) struct Session {
    peer: SocketAddr,
    origin: Origin,
    context: Arc<Context>,
    verifier: Verifier,
    mailbox: Arc<Mailbox>,
    tally: Arc<Tally>,
    /// Nothing before the login.
    miner: Option<Box<Miner>>,
}

/// Why a login is refused: a text that miners and their users know, and what else there is to say.
struct Refused {
    reason: Reason,
    detail: Option<String>,
}

impl From<Reason> for Refused {
    fn from(reason: Reason) -> Self {
        Self {
            reason,
            detail: None,
        }
    }
}

impl Session {
    pub(super) fn new(
        peer: SocketAddr,
        origin: Origin,
        context: Arc<Context>,
        verifier: Verifier,
        mailbox: Arc<Mailbox>,
        tally: Arc<Tally>,
    ) -> Self {
        Self {
            peer,
            origin,
            context,
            verifier,
            mailbox,
            tally,
            miner: None,
        }
    }

    /// The miner, once it has logged in.
    pub(super) fn miner(&self) -> Option<&Miner> {
        self.miner.as_deref()
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
                reply::error(out, malformed.id, &malformed.fault.to_string());
                let is_share = malformed.method == Some(Method::Submit);
                return Ok(self.context.malformed(&self.tally, is_share));
            }
        };
        let id = request.id;
        match request.message {
            ClientMessage::Login(login) => {
                if let Err(refused) = self.log_in(&login, id, now, out) {
                    refuse_login(&refused, id, out);
                    return Err(End::LoginRefused);
                }
            }
            ClientMessage::Submit(submit) => return Ok(self.submit(&submit, id, now, out)),
            ClientMessage::BlockTemplate(template) => {
                let is_own = self.of_session(template.session.as_deref()).is_some();
                match self.miner.as_deref_mut().filter(|_| is_own) {
                    Some(miner) => miner.template(&template, id, now, out),
                    None => reply::refused(out, id, Reason::Unauthenticated),
                }
            }
            ClientMessage::KeepAlive { session } => {
                match self.of_session(session.as_deref()).is_some() {
                    true => reply::kept_alive(out, id),
                    false => reply::refused(out, id, Reason::Unauthenticated),
                }
            }
            // It has the newest: each is sent as soon as there is one.
            ClientMessage::GetJob { session } => {
                match self.of_session(session.as_deref()).is_some() {
                    true => reply::job(out, id, None),
                    false => reply::refused(out, id, Reason::Unauthenticated),
                }
            }
            ClientMessage::Response => {}
            ClientMessage::Unknown(method) => {
                match method.starts_with("mining.") {
                    // Bitcoin's miners read what their own dialect has.
                    true => wire::sv1::reply::error(
                        out,
                        id,
                        &wire::sv1::reply::ErrorReply {
                            code: 20,
                            text: &self.context.is_for(),
                        },
                    ),
                    false => reply::refused(out, id, Reason::InvalidMethod),
                }
                return Ok(Handled::Malformed);
            }
        }
        Ok(Handled::Done)
    }

    /// Sends newer work.
    pub(super) fn offer(&mut self, offer: &Offer, out: &mut Vec<u8>) {
        if let Some(miner) = &mut self.miner {
            miner.offer(offer, out);
        }
    }

    /// Answers the shares that were committed.
    pub(super) fn answers(&mut self, mailbox: &Mailbox, out: &mut Vec<u8>) {
        if let Some(miner) = &mut self.miner {
            miner.answers(mailbox, out);
        }
    }

    /// Time went by.
    pub(super) fn tick(&mut self, now: Instant, out: &mut Vec<u8>) {
        if let Some(miner) = &mut self.miner {
            miner.tick(now, out);
        }
    }

    /// Ready when at least one share has been verified.
    pub(super) fn poll_verified(&mut self, context: &mut task::Context<'_>) -> task::Poll<()> {
        match &mut self.miner {
            Some(miner) => miner.poll_verified(context),
            None => task::Poll::Pending,
        }
    }

    /// Judges the next share that was verified: a good one is to be logged.
    pub(super) fn verified(&mut self, now: Instant, out: &mut Vec<u8>) -> Option<Handled> {
        self.miner.as_mut()?.verified(now, out)
    }

    /// The miner, if it names its own session or none.
    fn of_session(&self, session: Option<&str>) -> Option<&Miner> {
        let miner = self.miner()?;
        let is_own = session.is_none_or(|session| session == miner.session());
        is_own.then_some(miner)
    }

    fn submit(
        &mut self,
        submit: &Submit<'_>,
        id: Id<'_>,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Handled {
        if self.of_session(submit.session.as_deref()).is_none() {
            reply::refused(out, id, Reason::Unauthenticated);
            return Handled::Done;
        }
        match &mut self.miner {
            Some(miner) => miner.submit(submit, id, now, out),
            None => Handled::Done,
        }
    }

    fn log_in(
        &mut self,
        asked: &Login<'_>,
        id: Id<'_>,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<(), Refused> {
        if self.miner.is_some() {
            return Err(Reason::DoubleLogin.into());
        }
        let context = &self.context;
        let own = match asked.mode.as_deref() {
            Some(SELF_SELECT) => Some(self.self_select()?),
            _ => None,
        };
        let offer = match &*context.newest.borrow() {
            Newest::Offer(offer) => Arc::clone(offer),
            Newest::Nothing(reason) => {
                return Err(Refused {
                    reason: Reason::NoTemplate,
                    detail: Some(reason.to_string()),
                });
            }
        };
        let template = offer.template.cryptonote();
        let variant = template.ok_or(Reason::NoTemplate)?.variant();
        let algorithms = &asked.algorithms;
        let is_it = |name: &str| Variant::called(name) == Some(variant);
        if !algorithms.is_empty() && !algorithms.iter().any(|name| is_it(name)) {
            return Err(Refused {
                reason: Reason::NoAlgorithm,
                detail: Some(format!("this pool mines {}", variant.name())),
            });
        }
        let options = Options::parse(asked.password.as_deref().unwrap_or_default());
        let (username, fixed) = self.username(asked, &options)?;
        let agent = asked.agent.as_deref().unwrap_or_default();
        let mut wishes = Wishes::default();
        wishes.of_password(&options, context);
        wishes.fix(fixed);
        let speed = asked.speeds.iter().find(|speed| is_it(&speed.algorithm));
        wishes.of_speed(speed.map(|speed| speed.hashes_per_second), context);
        let prefix = context.prefixes.allocate();
        let prefix = prefix.map_err(|_| Reason::NoExtranonce)?;
        let device = Device::new(context.devices.current().of_any(agent), context);
        let entry = context
            .sessions
            .enter(username, agent.to_owned(), self.peer, clock::now_ms());
        let miner = Miner::new(
            miner::Parts {
                context: Arc::clone(context),
                verifier: self.verifier.clone(),
                origin: self.origin,
                mailbox: Arc::clone(&self.mailbox),
                tally: Arc::clone(&self.tally),
                session: context.kept_sessions.new_id().to_string(),
                prefix,
            },
            own,
            (&device, &wishes),
            &asked.login,
            entry,
            now,
        );
        let miner = self.miner.insert(Box::new(miner));
        miner.first_job(&offer, |session, job| {
            reply::logged_in(out, id, session, job, EXTENSIONS);
        });
        Ok(())
    }

    /// The jobs of a miner whose own node makes the blocks.
    fn self_select(&self) -> Result<SelfSelect, Refused> {
        let Context { view_key, coin, .. } = &*self.context;
        let own = view_key.as_ref().zip(coin.cryptonote());
        let own = own.map(|(key, rules)| SelfSelect::new(Arc::clone(key), rules));
        // Nobody could say whom the miner's blocks pay.
        own.ok_or_else(|| Refused {
            reason: Reason::PermissionDenied,
            detail: Some(
                "the pool chooses the work here, not your node: for self-select its operator has \
                 to set view_key"
                    .into(),
            ),
        })
    }

    /// Whom to pay, as the login, the rig's name and the password say; and the difficulty that is fixed.
    fn username(
        &self,
        asked: &Login<'_>,
        options: &Options,
    ) -> Result<(Username, Option<mining::Difficulty>), Refused> {
        let (coin, network) = (self.context.coin, self.context.network);
        let invalid = |detail: String| Refused {
            reason: Reason::InvalidAddress,
            detail: Some(detail),
        };
        let tags = coin.on(network).and_then(|rules| rules.tags());
        let tags = tags.ok_or(Reason::NoLogin)?;
        // Where a name may be without an address, the pool's own stands before it.
        let default = self.context.rules.default_address.as_ref();
        let text = match default.filter(|_| asked.login.starts_with(['.', '+'])) {
            Some(default) => format!("{default}{}", asked.login),
            None => asked.login.clone().into_owned(),
        };
        let login = cryptonote::login::Login::parse(&tags, &text);
        let login = login.map_err(|error| invalid(error.to_string()))?;
        let address = Address::parse(coin, network, login.address.as_str());
        let address = address.map_err(|error| invalid(error.to_string()))?;
        let may_mine = self.context.rules.may_mine(&address);
        may_mine.map_err(|error| invalid(error.to_string()))?;
        let worker = login.worker(asked.rig.as_deref(), options);
        Ok((Username { address, worker }, login.fixed(options)))
    }
}

/// The address is banned. Nobody asked for it, so that it answers no request.
pub(super) fn tell_ban(out: &mut Vec<u8>) {
    reply::refused(out, Id::NULL, Reason::Banned);
}

fn refuse_login(refused: &Refused, id: Id<'_>, out: &mut Vec<u8>) {
    match &refused.detail {
        None => reply::refused(out, id, refused.reason),
        Some(detail) => reply::error(out, id, &format!("{}: {detail}", refused.reason.text())),
    }
}
