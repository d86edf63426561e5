//! Membership (and names on top of it) of whole clusters.

mod cluster;
mod ledger;
mod members;
mod names;
mod scale;
