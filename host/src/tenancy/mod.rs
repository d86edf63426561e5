//! Certificates and the identities they prove.
