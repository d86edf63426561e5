//! Watches over one session: signs of life, silence, idleness, connections that are to be made again.

use super::links::Links;
use super::peer::Peer;
use super::session::Session;
use corovan_core::limits;
use corovan_core::link::pulse::Action;
use std::sync::Arc;
use std::time::Duration;

/// Runs until the session has ended.
pub(super) async fn watch(links: Links, peer: Arc<Peer>, session: Arc<Session>) {
    while !session.has_ended() {
        let over = session.over.notified();
        tokio::pin!(over);
        over.as_mut().enable();
        let wait = step(&links, &peer, &session);
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = over => {}
        }
    }
    // Ended by what its connection brought: that connection goes as well.
    peer.end(&session, "the session has ended");
}

/// One look; how long until the next.
fn step(links: &Links, peer: &Arc<Peer>, session: &Arc<Session>) -> Duration {
    session.return_credit();
    session.grant_credit();
    let (busy, now) = (session.is_busy(), session.clock.now());
    let action = {
        let mut pulse = session.pulse.lock();
        pulse.set_busy(now, busy);
        pulse.poll(now)
    };
    let mut wait = TICK;
    match action {
        Action::Wait(until) => wait = Duration::from_nanos(until.saturating_sub(now)).clamp(SHORTEST, TICK),
        Action::KeepAlive { answer } => {
            *session.alive.lock() = Some(answer);
            session.pulse.lock().sent(now);
            session.soon.notify_one();
            session.now.notify_one();
        }
        Action::Close if peer.state.lock().kept => {}
        Action::Close => peer.rest(),
        Action::End => {
            if busy {
                tracing::info!(peer = %peer.node, "nothing is heard of this node: the session with it ends");
            }
            peer.end(session, "nothing is heard");
            return Duration::ZERO;
        }
    }
    if busy && peer.live().is_none() && links.reach(peer) {
        wait = wait.min(REDIAL);
    }
    wait
}

/// What waits for the other side is noticed after so long.
const TICK: Duration = Duration::from_millis(limits::KEEP_ALIVE.as_millis() as u64 / 2);
const SHORTEST: Duration = Duration::from_millis(1);
/// Between two looks at a connection that is to be made again; dialling has a back-off of its own.
const REDIAL: Duration = Duration::from_millis(50);
