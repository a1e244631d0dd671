//! A pool with up to two miners, and beside each session what it should be. Every step writes a
//! line, reads what comes back, and says so where that is not what was due.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    task::{self, Poll, Waker},
    time::Duration,
};

use mining::{
    Amount, AnyTemplate, Difficulty, Network, Scheme, Target, Template,
    ban::Rule,
    bucket::Limit,
    coinbase::Payees,
    extranonce::Allocator,
    seen::Seen,
    template::{Room, TemplateKind, Transactions},
    vardiff::Limits,
};
use pow::{Algorithm, Hash};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    due::{After, Checked, Due, Told, is_due},
    heard::{self, Heard, target_of, work_of},
    house::House,
    peer::{Device, Kept, Peer, Setup, Shot},
};
use crate::{
    bans::{Bans, Settings},
    clock,
    connection::{
        Context, Rules,
        session::{Handled, Session},
    },
    daemon::Feed,
    kept_sessions::KeptSessions,
    mailbox::{Listed, Mailboxes, Notice, Outcome},
    networks::Networks,
    sessions::Sessions,
    share_log::Entry,
    systemd::Sockets,
    template_feed::{Follower, Headers, JobIds, Newest, Offer, Recipe},
};

/// Miners at a time.
pub(super) const MINERS: usize = 2;
const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
/// Few enough that sequences reach it now and then.
const BAN: Rule = Rule {
    invalid_percent: 60,
    shares_min: 8,
    window_ms: 3_600_000,
};

pub(super) struct Live {
    pub(super) number: u64,
    pub(super) session: Session,
    pub(super) mailbox: Listed,
    pub(super) peer: Peer,
}

/// The newest work, as it was published.
pub(super) struct Published {
    pub(super) offer: Arc<Offer>,
    pub(super) template: Arc<Template>,
    pub(super) tip: u64,
}

pub(super) struct Rig<'a> {
    pub(super) house: &'a House,
    pub(super) context: Arc<Context>,
    publish: watch::Sender<Newest>,
    feed: Follower,
    base: Instant,
    pub(super) now_ms: u64,
    pub(super) setup: Setup,
    pub(super) miners: [Option<Live>; MINERS],
    pub(super) connections: u64,
    pub(super) newest: Option<Published>,
    pub(super) tips: u64,
    height: u32,
    /// The shares that wait for a commit, with their connections, oldest first.
    pub(super) log: VecDeque<(u64, Entry)>,
    /// The proofs that may not come again.
    pub(super) taken: HashSet<[u8; 32]>,
    /// The newest tip that a good share came for, from whichever miner.
    pub(super) shared_tip: u64,
    pub(super) kept: HashMap<String, Kept>,
    pub(super) ended: Vec<(String, Device)>,
    pub(super) works: HashSet<Vec<u8>>,
    pub(super) extranonces: HashSet<[u8; 4]>,
    pub(super) sessions: HashSet<String>,
    pub(super) valid: u64,
    pub(super) invalid: u64,
    pub(super) is_ban_due: bool,
    /// Good shares, for those who send them again.
    pub(super) sent: Vec<Shot>,
    pub(super) transcript: Option<Vec<String>>,
    pub(super) counts: BTreeMap<&'static str, u64>,
}

impl<'a> Rig<'a> {
    pub(super) fn new(house: &'a House, setup: Setup, is_told: bool) -> Self {
        let job_ids = JobIds::new();
        let mailboxes = Mailboxes::default();
        let (publish, newest) = watch::channel(Newest::Nothing("no template yet".into()));
        let prefixes = Allocator::default();
        prefixes.lease(0..1 << 20);
        let bans = Settings {
            rule: Some(BAN),
            lasts: Duration::from_secs(3600),
            exempt: Networks::parse(&[]).unwrap(),
        };
        let steps = |steps: u64| Difficulty::from_steps(steps.into());
        let rules = Rules {
            vardiff: Limits {
                min: steps(setup.min),
                max: steps(setup.max),
                share_time_ms: setup.share_time_ms,
                harder_only: false,
            },
            start_difficulty: steps(setup.start),
            extranonce2_size: setup.extranonce2_size,
            version_mask: setup.mask,
            handshake: Duration::from_secs(10),
            idle: Duration::from_secs(600),
            shareless: Duration::from_secs(600),
            messages: Limit {
                per_second: 0,
                burst: 0,
            },
            shares_per_second: setup.per_second,
            heed_suggestions: setup.heeds,
            default_address: None,
            scheme: Scheme::Pplns,
            only_address: None,
        };
        let recipe = Recipe {
            tag: b"/model/".to_vec(),
            split: None,
            payees: Payees {
                outputs: vec![],
                keeper: house.address.script().unwrap().to_vec(),
            },
            extranonce2_size: setup.extranonce2_size,
            header: Headers::Bitcoin(Algorithm::Sha256d),
            mark: None,
        };
        let recipe = Some(recipe);
        let context = Arc::new(Context {
            coin: house.coin,
            network: Network::Regtest,
            newest,
            recipe: recipe.clone(),
            verifier: None,
            view_key: None,
            job_ids: job_ids.clone(),
            prefixes,
            seen: Arc::new(Seen::default()),
            share_log: house.share_log.clone(),
            blocks: house.blocks.clone(),
            kept_sessions: KeptSessions::default(),
            store: house.store.clone(),
            pool: house.pool,
            bans: Bans::new(bans, mailboxes.clone(), Arc::clone(&house.metrics)),
            mailboxes,
            sessions: Sessions::default(),
            connected: prometheus_client::metrics::gauge::Gauge::default(),
            metrics: Arc::clone(&house.metrics),
            devices: house.devices.clone(),
            sockets: Sockets::default(),
            stopping: CancellationToken::new(),
            rules,
        });
        Self {
            house,
            context,
            publish,
            // Each template is new work here.
            feed: Follower::new(recipe, Duration::ZERO, job_ids),
            base: Instant::now(),
            now_ms: 0,
            setup,
            miners: [None, None],
            connections: 0,
            newest: None,
            tips: 0,
            height: 100,
            log: VecDeque::new(),
            taken: HashSet::new(),
            shared_tip: 0,
            kept: HashMap::new(),
            ended: Vec::new(),
            works: HashSet::new(),
            extranonces: HashSet::new(),
            sessions: HashSet::new(),
            valid: 0,
            invalid: 0,
            is_ban_due: false,
            sent: Vec::new(),
            transcript: is_told.then(Vec::new),
            counts: BTreeMap::new(),
        }
    }

    pub(super) fn now(&self) -> Instant {
        self.base + Duration::from_millis(self.now_ms)
    }

    pub(super) fn tell(&mut self, what: impl FnOnce() -> String) {
        if let Some(transcript) = &mut self.transcript {
            transcript.push(what());
        }
    }

    pub(super) fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// A new template from the daemon, on another tip or on the same.
    pub(super) fn publish(&mut self, new_tip: bool, version: u32, age_s: u32) -> Checked {
        if new_tip || self.tips == 0 {
            self.tips += 1;
            self.height += 1;
        }
        let time = clock::now_s() - age_s;
        let mut previous = [7; 32];
        previous[..8].copy_from_slice(&self.tips.to_le_bytes());
        let transactions: Vec<Hash> = (1..=age_s % 4)
            .map(|number| Hash([u8::try_from(number).unwrap(); 32]))
            .collect();
        let template = Arc::new(Template {
            height: self.height,
            version,
            previous: Hash(previous),
            bits: 0x1700_ffff,
            target: Target::from_compact(0x1700_ffff).unwrap(),
            time,
            min_time: time - 600,
            value: Amount::from_units(2_500_000_000),
            fees: Amount::ZERO,
            witness_commitment: None,
            coinbase_flags: vec![],
            transactions: Transactions::new(String::new(), &transactions),
            tail: String::new(),
            room: Room::EMPTY_BLOCK,
            kind: TemplateKind::Full,
        });
        let feed = Feed::Template {
            template: AnyTemplate::Bitcoin(Arc::clone(&template)),
            received: Instant::now(),
            daemon: 0,
        };
        let tips = self.tips;
        self.tell(|| format!("-- work on tip {tips}"));
        match self.feed.newest(&feed) {
            Some(Newest::Offer(offer)) => {
                self.publish.send_replace(Newest::Offer(Arc::clone(&offer)));
                let tip = self.tips;
                self.newest = Some(Published {
                    offer,
                    template,
                    tip,
                });
                Ok(())
            }
            other => Err(format!("a template became {other:?}")),
        }
    }

    /// No daemon is fit; the caller ends the connections.
    pub(super) fn publish_nothing(&mut self) -> Checked {
        let feed = Feed::Stopped {
            reason: "no daemon".to_owned(),
            since: Instant::now(),
        };
        self.tell(|| "-- no work".to_owned());
        match self.feed.newest(&feed) {
            Some(nothing @ Newest::Nothing(_)) => {
                self.publish.send_replace(nothing);
                self.newest = None;
                Ok(())
            }
            other => Err(format!("a stop became {other:?}")),
        }
    }

    pub(super) fn connect(&mut self) -> Checked<Live> {
        self.connections += 1;
        let number = self.connections;
        self.tell(|| format!("-- connection {number}"));
        if self.context.bans.is_banned(ADDRESS) {
            return Err("banned, and nobody knows why".to_owned());
        }
        let mailbox = self.context.mailboxes.enter(ADDRESS);
        let peer = SocketAddr::new(ADDRESS, 1024);
        let tally = self.context.bans.tally(ADDRESS);
        let session = Session::new(peer, Arc::clone(&self.context), mailbox.share(), tally);
        Ok(Live {
            number,
            session,
            mailbox,
            peer: Peer::new(self.setup),
        })
    }

    /// Sends a line and hands over what is left to do, as the connection does.
    pub(super) fn send(
        &mut self,
        live: &mut Live,
        line: &[u8],
    ) -> Checked<(After, Option<Handled>, Vec<Heard>)> {
        let mut out = Vec::new();
        let handled = live.session.line(line, self.now(), &mut out);
        let number = live.number;
        self.tell(|| format!("{number} > {}", String::from_utf8_lossy(line)));
        self.tell(|| format!("{number} < {}", String::from_utf8_lossy(&out).trim_end()));
        let heard = heard::read(&out)?;
        let (after, handled) = match handled {
            Ok(Handled::Done) => (After::Done, None),
            Ok(Handled::Malformed) => (After::Malformed, None),
            Ok(share @ Handled::Share(_)) => (After::Share, Some(share)),
            Ok(alias @ Handled::Alias(_)) => (After::Alias, Some(alias)),
            Err(_) => (After::End, None),
        };
        Ok((after, handled, heard))
    }

    /// Sends a line that is due this, and nothing more.
    pub(super) fn ask(
        &mut self,
        live: &mut Live,
        line: &[u8],
        due: &[Due],
        left: After,
    ) -> Checked {
        let (after, _, heard) = self.send(live, line)?;
        self.check(live, heard, due)?;
        is_due(after == left, || format!("{left:?} was due, not {after:?}"))
    }

    /// Offers the newest work, as the connection does when it is told of it.
    pub(super) fn offer(&mut self, live: &mut Live) -> Checked {
        let Some(published) = &self.newest else {
            return Ok(());
        };
        let offer = Arc::clone(&published.offer);
        let mut out = Vec::new();
        live.session.offer(&offer, &mut out);
        let heard = self.heard(live, &out)?;
        let steps = live.peer.steps;
        let due = Due::Job {
            difficulty: Told::Steps(steps),
            from_offer: true,
        };
        let due = live.peer.is_authorized().then_some(due);
        self.check(live, heard, due.as_slice())
    }

    pub(super) fn heard(&mut self, live: &Live, out: &[u8]) -> Checked<Vec<Heard>> {
        let number = live.number;
        self.tell(|| format!("{number} < {}", String::from_utf8_lossy(out).trim_end()));
        heard::read(out)
    }

    /// Takes a share in, as the share log does.
    pub(super) fn log(
        &mut self,
        live: &Live,
        handled: Option<Handled>,
        due: (Hash, u64, u32, &str),
    ) -> Checked {
        let Some(Handled::Share(entry)) = handled else {
            return Err("no share to be logged".to_owned());
        };
        let (hash, steps, height, name) = due;
        let work = work_of(target_of(steps));
        let is_right = entry.share.hash() == hash
            && entry.share.work().hashes() == work
            && entry.share.height() == height
            && entry.worker.to_string() == name;
        is_due(is_right, || {
            format!("{work} for {name} was due, not {entry:?}")
        })?;
        self.log.push_back((live.number, entry));
        Ok(())
    }

    /// Tells the miner what became of its shares.
    pub(super) fn answers(&mut self, live: &mut Live) -> Checked {
        let mut out = Vec::new();
        live.session.answers(&live.mailbox, &mut out);
        let heard = self.heard(live, &out)?;
        let mut due = Vec::new();
        while let Some(outcome) = live.peer.outcomes.pop_front() {
            let Some((id, hash)) = live.peer.waiting.pop_front() else {
                return Err("an answer to no share".to_owned());
            };
            due.push(match outcome {
                Outcome::Accepted => {
                    self.valid += 1;
                    Due::Answer(id, true.into())
                }
                Outcome::Failed | Outcome::Unknown => {
                    if outcome == Outcome::Failed {
                        self.taken.remove(&hash);
                    }
                    Due::Denied(id, 20, Some("Share not stored, try again"))
                }
            });
        }
        self.check(live, heard, &due)
    }

    /// An invalid share: only with one of them a ban can begin.
    pub(super) fn invalid(&mut self) {
        self.invalid += 1;
        let shares = self.valid + self.invalid;
        let percent = u64::from(BAN.invalid_percent);
        self.is_ban_due |= shares >= BAN.shares_min && self.invalid * 100 > shares * percent;
    }

    /// Whether a connection has been told that its address is banned.
    pub(super) fn is_told_of_ban(&self, live: &Live) -> bool {
        let mut context = task::Context::from_waker(Waker::noop());
        match live.mailbox.poll_take(&mut context) {
            Poll::Ready(notices) => notices.has(Notice::Banned),
            Poll::Pending => false,
        }
    }

    /// The operator lifts a ban; counting begins anew.
    pub(super) fn lift_ban(&mut self) -> Checked {
        (self.valid, self.invalid) = (0, 0);
        is_due(self.context.bans.lift(ADDRESS), || "no ban to lift".into())
    }
}
