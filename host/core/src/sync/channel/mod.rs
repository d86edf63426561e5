//! Channels as plain state: which channel feeds which, who is subscribed, whose turn it is to send. Nothing here wakes,
//! waits or sends: methods return whom to wake.

pub mod attempt;
pub mod audience;
pub mod fuzz;
pub mod graph;
pub mod subscriptions;
pub mod turn;
pub mod walk;

/// What is done for a subscriber that has its fill; the numbers are those of the host interface.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u32)]
pub enum Policy {
    #[default]
    DropOldest = 0,
    DropNewest = 1,
    /// Whoever sends waits for room.
    HoldPublisher = 2,
}

impl Policy {
    pub fn from_number(number: u32) -> Option<Policy> {
        [Policy::DropOldest, Policy::DropNewest, Policy::HoldPublisher]
            .into_iter()
            .find(|policy| *policy as u32 == number)
    }
}
