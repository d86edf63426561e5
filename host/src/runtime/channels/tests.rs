//! Channels in the runtime, without guests.
