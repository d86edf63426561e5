//! Membership (and names on top of it) of whole clusters.

mod cluster;
mod dial_out;
mod ledger;
mod members;
mod names;
mod nat;
mod scale;
