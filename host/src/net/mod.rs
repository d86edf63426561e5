//! QUIC: endpoints, and TLS for both sides of a connection.

pub mod endpoint;
pub mod tls;

pub use corovan_client::framed::{self, FrameReader, Outbox};
pub use corovan_client::transport::{close_code, closed_with};
pub use endpoint::{Arrival, Connection, Endpoint};
pub use quinn::Connection as QuicConnection;
pub use quinn::{ConnectionError, RecvStream, SendStream, VarInt};
