//! The client against a node in the same process: a real QUIC endpoint with the node's own TLS settings, that answers
//! with whatever frames a test tells it to.
#![allow(clippy::unwrap_used, reason = "the helpers of tests may panic as well")]

mod errors;
mod fake;
mod jobs;
mod lost;

// The node's own files, so that both sides of the handshake are what ships, without building a node for it.
#[path = "../../../src/tenancy/mod.rs"]
#[allow(dead_code, reason = "a test uses a part of it")]
mod tenancy;
#[path = "../../../src/net/tls.rs"]
mod tls;
