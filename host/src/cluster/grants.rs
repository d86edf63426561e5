//! Whose work other nodes may ask for: a node proves itself by its certificate, and a tenant by the grant that its client
//! signed.

use crate::runtime::{Group, Refusal, Tenant};
use bytes::Bytes;
use corovan_core::tenancy::grant::Grant;
use std::sync::Arc;

/// Grants of computations.
pub trait Grants: Send + Sync {
    /// What a computation shows to other nodes; `None`: it may not go there.
    fn of(&self, group: &Group) -> Option<Bytes>;
    /// The same, and what it says, where that counts now.
    fn read(&self, group: &Group) -> Option<(Bytes, Arc<Grant>)>;
    /// For whom the node of this name, which shows it, may speak, and for what. Errors: denied.
    fn verify(&self, shown_by: &str, grant: &Bytes) -> Result<(Arc<Tenant>, Arc<Grant>), Refusal>;
}
