//! Two nodes that talk to each other: frames, lanes, sessions, credit, and what waits for the other side. `docs/mesh.md` says
//! how they fit together. No I/O: time is an argument in nanoseconds, and what is to be sent or woken is returned.

pub mod call;
pub mod calls;
pub mod channel;
pub mod contact;
pub mod credit;
pub mod frame;
pub mod fuzz;
pub mod lane;
pub mod pulse;
pub mod session;
