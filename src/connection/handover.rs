//! A connection that outlives the process: its socket waits with systemd, and the next run goes on where
//! this one ended. The miner notices nothing of it.

use std::sync::Arc;

use tokio::time::Instant;
use tracing::debug;
use wire::sv1::reply;

use super::{Connection, End};
use crate::kept_sessions::LeftOpen;

impl Connection {
    /// Takes up what the run before has agreed with the miner, and what it had read of it.
    pub(super) async fn take_up(&mut self, left: LeftOpen) -> Result<(), End> {
        let now = Instant::now();
        let mut out = Vec::new();
        let session = self.session.v1();
        if !session.is_some_and(|session| session.take_up(&left, now)) {
            reply::reconnect(&mut out);
            let sent = self.send_now(&out);
            self.finish(sent).await?;
            return Err(End::OtherSettings);
        }
        debug!(peer = %self.peer, "a connection of the run before goes on");
        self.lines
            .push(&hex::decode(&left.unread).unwrap_or_default());
        self.welcome(now, &mut out)?;
        self.take_lines(now, &mut out)?;
        let sent = self.send_now(&out);
        self.finish(sent).await
    }

    /// Leaves the connection to the next run of the process, if there is somebody to keep it. Then the
    /// miner must hear nothing of the end.
    pub(super) fn leave_open(&mut self) -> bool {
        let context = Arc::clone(&self.context);
        if !context.sockets.keeps() || self.alias.is_some() {
            return false;
        }
        let Some(socket) = self.stream.plain_socket() else {
            return false;
        };
        let (Ok(local), Ok(remote)) = (socket.local_addr(), socket.peer_addr()) else {
            return false;
        };
        let unread = self.lines.take_rest();
        let session = self.session.v1();
        let left = session.and_then(|session| session.left_open((local, remote), &unread));
        let Some(left) = left else {
            return false;
        };
        if let Err(error) = context.sockets.keep_connection(socket) {
            debug!(peer = %self.peer, %error, "a connection cannot be kept");
            return false;
        }
        context.kept_sessions.leave_open(left)
    }
}
