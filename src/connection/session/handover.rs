//! A session that goes on in the next run of the process, on the same socket: what was agreed is written
//! down by one run and taken up by the other.

use std::{net::SocketAddr, sync::Arc};

use mining::{Address, Difficulty, jobs::Jobs, username::Username};
use tokio::time::Instant;

use super::{Session, State, Subscription};
use crate::{
    clock,
    connection::{
        miner::Miner,
        wishes::{Device, Wishes},
    },
    kept_sessions::{Kept, LeftOpen, SessionId},
};

impl Session {
    /// What the next run needs to go on with this session on the same socket; nothing if it has not come
    /// so far.
    pub(in super::super) fn left_open(
        &self,
        ends: (SocketAddr, SocketAddr),
        unread: &[u8],
    ) -> Option<LeftOpen> {
        let State::Authorized(miner) = &self.state else {
            return None;
        };
        Some(LeftOpen {
            ends,
            peer: self.peer,
            session: miner.session().to_string(),
            extranonce1: miner.extranonce1(),
            extranonce2_size: self.context.rules.extranonce2_size,
            agent: miner.agent().to_owned(),
            version_mask: self.version_mask,
            difficulty: miner.difficulty().steps(),
            wishes: self.wishes.steps(),
            workers: miner.left_workers(),
            unread: hex::encode(unread),
        })
    }

    /// Goes on where the run before has left a connection. False if it cannot be: the settings are others.
    pub(in super::super) fn take_up(&mut self, left: &LeftOpen, now: Instant) -> bool {
        let context = Arc::clone(&self.context);
        let (coin, network, rules) = (context.coin, context.network, &context.rules);
        let usernames = left.workers.iter().map(|worker| {
            let address = Address::parse(coin, network, &worker.address).ok()?;
            let username = Username {
                address,
                worker: worker.worker.clone(),
            };
            Some((worker.user.as_str(), username))
        });
        let Some(usernames) = usernames.collect::<Option<Vec<_>>>() else {
            return false;
        };
        let Some(session) = SessionId::parse(&left.session) else {
            return false;
        };
        if usernames.is_empty() || left.extranonce2_size != rules.extranonce2_size {
            return false;
        }
        let device = Device::new(context.devices.current().of_any(&left.agent), &context);
        let sessions = &context.kept_sessions;
        let kept = sessions.take_restored(session, &context.newest.borrow(), &context.prefixes);
        let kept = kept.filter(|kept| kept.class == device.class && kept.solo == rules.is_solo());
        // On another tip its jobs are no work any more, but all else holds.
        let mut kept = kept.unwrap_or_else(|| Kept {
            prefix: None,
            class: device.class,
            solo: rules.is_solo(),
            version_mask: left.version_mask,
            difficulty: Difficulty::from_steps(left.difficulty.into()),
            jobs: Jobs::default(),
        });
        let prefix = kept.prefix.take();
        let Some(prefix) = prefix.or_else(|| context.prefixes.claim(left.extranonce1)) else {
            return false;
        };
        self.version_mask = left.version_mask;
        self.wishes = Wishes::of_steps(left.wishes);
        let subscription = Subscription {
            session,
            prefix,
            agent: left.agent.clone(),
            device,
            resumed: Some(kept),
        };
        let mut miner = Miner::new(
            Arc::clone(&context),
            Arc::clone(&self.mailbox),
            subscription,
            &self.wishes,
            now,
            Arc::clone(&self.tally),
        );
        for (user, username) in usernames {
            let (agent, now_ms) = (left.agent.clone(), clock::now_ms());
            let entry = context.sessions.enter(username, agent, self.peer, now_ms);
            miner.add_worker(user, entry);
        }
        self.state = State::Authorized(Box::new(miner));
        true
    }
}
