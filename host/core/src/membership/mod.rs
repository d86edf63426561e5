//! Who is in the mesh: SWIM as a state machine with datagrams in and out, what is known of each member, and where by its
//! members a name is at home.

mod changes;
mod codec;
pub mod datagram;
mod doubt;
mod effects;
mod gateways;
pub mod home;
pub mod member;
pub mod presence;
mod records;
pub mod rng;
pub mod swim;
mod sync;
pub mod view;
pub mod watch;

#[cfg(test)]
mod tests;
