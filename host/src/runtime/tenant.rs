//! The owner of coroutines on this node: what all its computations share.

use super::channels::Channels;
use super::names::Names;
use corovan_core::sync::fair_queue::Share;
use corovan_core::tenancy::quota::Ledger;
use std::sync::Arc;

/// One tenant; one value of it as long as anything of it is there, so that two are the same when their pointers are.
#[derive(Debug)]
pub struct Tenant {
    name: String,
    pub ledger: Arc<Ledger>,
    pub share: Arc<Share>,
    pub names: Names,
    pub channels: Channels,
}

impl Tenant {
    pub fn new(name: impl Into<String>, ledger: Arc<Ledger>, share: Arc<Share>) -> Tenant {
        Tenant { name: name.into(), ledger, share, names: Names::default(), channels: Channels::default() }
    }

    pub fn name(&self) -> &str {
        &self.name
    }
}
