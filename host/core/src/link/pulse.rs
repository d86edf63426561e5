//! When a session is taken for lost, when a sign of life is due, and when a connection that nobody uses is closed.
//!
//! A session is *busy* while something waits for the other side: a monitor, a call, a job, a frame not acknowledged, a sender
//! without credit. Only then is silence a sign of anything, and only then are signs of life sent and asked for: a session
//! that holds nothing costs nothing.

use crate::limits;
use std::time::Duration;

/// Times of one session, in nanoseconds.
#[derive(Debug)]
pub struct Pulse {
    heard: u64,
    sent: u64,
    used: u64,
    /// Since when the other side must be heard; `None`: it may be silent.
    expecting: Option<u64>,
    busy: bool,
    connected: bool,
    /// The other side asked for a sign of life.
    asked: bool,
}

/// What is to be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Nothing before this time, unless something happens.
    Wait(u64),
    /// Send [`super::lane::Mark::Alive`], asking for one in return if so; then [`Pulse::sent`].
    KeepAlive { answer: bool },
    /// Nobody uses the connection: close it. The session is held for a while, so that what the other side sends at this very
    /// moment is resumed, not lost.
    Close,
    /// The other side is silent: the session has ended, with all that waits in it.
    End,
}

impl Pulse {
    /// Of a session that has no connection yet; who makes one has something to send.
    pub fn new(now: u64) -> Pulse {
        let (busy, connected, asked) = (true, false, false);
        Pulse { heard: now, sent: now, used: now, expecting: Some(now), busy, connected, asked }
    }

    /// Anything came from the other side.
    pub fn heard(&mut self, now: u64) {
        self.heard = self.heard.max(now);
    }

    /// When anything came last.
    pub fn last_heard(&self) -> u64 {
        self.heard
    }

    /// The other side sent a sign of life and wants one.
    pub fn asked(&mut self, now: u64) {
        self.heard(now);
        self.asked = true;
    }

    /// Anything was sent.
    pub fn sent(&mut self, now: u64) {
        self.sent = self.sent.max(now);
        self.asked = false;
    }

    /// A frame was sent or received; signs of life and acknowledgements do not count.
    pub fn used(&mut self, now: u64) {
        self.used = self.used.max(now);
    }

    /// Whether something waits for the other side.
    pub fn set_busy(&mut self, now: u64, busy: bool) {
        self.busy = busy;
        self.expect(now);
        if busy {
            self.used(now);
        }
    }

    /// A connection is in use.
    pub fn connected(&mut self, now: u64) {
        self.connected = true;
        self.heard(now);
        self.used(now);
        self.expect(now);
    }

    /// No connection is in use: the session waits to be resumed.
    pub fn disconnected(&mut self, now: u64) {
        (self.connected, self.asked) = (false, false);
        self.expect(now);
    }

    /// What is to be done now. After `Close` and `End` call nothing but [`Pulse::disconnected`].
    pub fn poll(&self, now: u64) -> Action {
        let ends = self.expecting.map(|since| after(since.max(self.heard), limits::SILENCE));
        if ends.is_some_and(|ends| now >= ends) {
            return Action::End;
        }
        let closes = (self.connected && !self.busy).then(|| after(self.used, limits::LINK_IDLE));
        if closes.is_some_and(|closes| now >= closes) {
            return Action::Close;
        }
        let speaks = (self.connected && (self.busy || self.asked)).then(|| after(self.sent, limits::KEEP_ALIVE));
        if speaks.is_some_and(|speaks| now >= speaks) {
            return Action::KeepAlive { answer: self.busy };
        }
        Action::Wait([ends, closes, speaks].into_iter().flatten().min().unwrap_or(u64::MAX))
    }

    fn expect(&mut self, now: u64) {
        let expecting = self.busy || !self.connected;
        self.expecting = expecting.then(|| self.expecting.unwrap_or(now));
    }
}

fn after(time: u64, wait: Duration) -> u64 {
    time.saturating_add(wait.as_nanos() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn connected() -> Pulse {
        let mut pulse = Pulse::new(0);
        pulse.connected(0);
        pulse
    }

    #[test]
    fn a_busy_session_asks_for_signs_of_life_and_ends_without_them() {
        const ALIVE: u64 = limits::KEEP_ALIVE.as_nanos() as u64;
        let mut pulse = connected();
        assert_eq!(pulse.poll(0), Action::Wait(ALIVE));
        assert_eq!(pulse.poll(ALIVE), Action::KeepAlive { answer: true });
        pulse.sent(ALIVE);
        assert_eq!(pulse.poll(ALIVE), Action::Wait(2 * ALIVE));
        assert_eq!(pulse.poll(2_500 * MS), Action::End);
        pulse.heard(2_499 * MS);
        assert_ne!(pulse.poll(2_500 * MS), Action::End);
    }

    #[test]
    fn one_that_holds_nothing_answers_but_does_not_ask_and_may_be_silent_for_a_minute() {
        let mut pulse = connected();
        pulse.set_busy(0, false);
        assert_eq!(pulse.poll(3_000 * MS), Action::Wait(60_000 * MS));
        pulse.asked(3_000 * MS);
        assert_eq!(pulse.poll(3_000 * MS), Action::KeepAlive { answer: false });
        pulse.sent(3_000 * MS);
        assert_eq!(pulse.poll(3_000 * MS), Action::Wait(60_000 * MS), "signs of life are not use");
        assert_eq!(pulse.poll(60_000 * MS), Action::Close);
        pulse.disconnected(60_000 * MS);
        assert_eq!(pulse.poll(60_000 * MS), Action::Wait(62_500 * MS));
        assert_eq!(pulse.poll(62_500 * MS), Action::End);
    }

    #[test]
    fn silence_counts_from_when_something_is_expected() {
        let mut pulse = connected();
        pulse.set_busy(0, false);
        pulse.set_busy(50_000 * MS, true);
        assert_eq!(pulse.poll(50_000 * MS), Action::KeepAlive { answer: true });
        pulse.sent(50_000 * MS);
        assert_eq!(pulse.poll(52_499 * MS), Action::KeepAlive { answer: true });
        assert_eq!(pulse.poll(52_500 * MS), Action::End);
    }

    #[test]
    fn a_lost_connection_leaves_what_is_left_of_the_silence() {
        let mut pulse = connected();
        pulse.heard(1_000 * MS);
        pulse.disconnected(2_000 * MS);
        assert_eq!(pulse.poll(2_000 * MS), Action::Wait(3_500 * MS));
        pulse.connected(3_000 * MS);
        assert_eq!(pulse.poll(5_499 * MS), Action::KeepAlive { answer: true });
        assert_eq!(pulse.poll(5_500 * MS), Action::End);
    }
}
