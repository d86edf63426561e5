//! QUIC: endpoints, and TLS for both sides of a connection.

pub mod tls;
