//! What foca asks for while it handles something, kept in order until the call is over.

use super::presence::Presence;
use foca::{Notification, Runtime, Timer};
use std::time::Duration;

#[derive(Default)]
pub(super) struct Effects {
    pub sends: Vec<(Presence, Vec<u8>)>,
    pub timers: Vec<(Duration, Timer<Presence>)>,
    pub notes: Vec<Note>,
}

/// A change of what foca holds to be so.
#[derive(Clone, Copy, Debug)]
pub(super) enum Note {
    Up(Presence),
    Down(Presence),
    /// A later life of the same node, as alive or not as the one before until a note that follows.
    Replaced(Presence, Presence),
    /// Somebody knows this node.
    Connected,
    /// Nobody is left.
    Alone,
    /// This node was given up by others and has begun a new life.
    Renewed,
}

impl Runtime<Presence> for Effects {
    fn notify(&mut self, notification: Notification<'_, Presence>) {
        self.notes.push(match notification {
            Notification::MemberUp(who) => Note::Up(*who),
            Notification::MemberDown(who) => Note::Down(*who),
            Notification::Rename(old, new) => Note::Replaced(*old, *new),
            Notification::Active => Note::Connected,
            Notification::Rejoin(_) => Note::Renewed,
            Notification::Idle | Notification::Defunct => Note::Alone,
        });
    }

    fn send_to(&mut self, to: Presence, data: &[u8]) {
        self.sends.push((to, data.to_vec()));
    }

    fn submit_after(&mut self, event: Timer<Presence>, after: Duration) {
        self.timers.push((after, event));
    }
}
