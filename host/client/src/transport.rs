//! What both sides of a connection agree on: ALPN, cryptography, QUIC's numbers, and what closing a connection says.

use corovan_core::code::Code;
use corovan_core::limits;
use quinn::{IdleTimeout, TransportConfig, VarInt};
use rustls::crypto::CryptoProvider;
use std::sync::Arc;

/// The protocol as TLS negotiates it. Versions within it are negotiated by the first frame of a stream.
pub const ALPN: &[u8] = b"corovan/1";
/// What nodes speak with each other, on the same port.
pub const ALPN_PEER: &[u8] = b"corovan-peer/1";
/// What a node to be speaks with one that is, to get a certificate or a later one; on the same port. Without a certificate.
pub const ALPN_JOIN: &[u8] = b"corovan-join/1";

/// Streams that the other side may open towards us.
#[derive(Clone, Copy, Debug)]
pub struct Accepts {
    pub bidi: u32,
    pub uni: u32,
    /// And datagrams.
    pub datagrams: bool,
    /// Bytes it may have sent that nobody has read yet.
    pub window: u32,
}

impl Accepts {
    /// What a node accepts from a client: control streams, and modules, arguments and stdin. Datagrams are for other nodes, and who
    /// comes is not known yet when this is settled; what a client sends in some is never looked at.
    pub const NODE: Accepts = Accepts {
        bidi: limits::CLIENT_BIDI_STREAMS,
        uni: limits::CLIENT_UNI_STREAMS,
        datagrams: true,
        window: limits::CONNECTION_WINDOW,
    };
    /// What a node accepts from whoever comes, until it is known who that is; and so the streams of a client, as QUIC takes
    /// back no stream it has allowed.
    pub const STRANGER: Accepts = Accepts { window: limits::STRANGER_WINDOW, ..Accepts::NODE };
    /// What a client accepts from a node: large results.
    pub const CLIENT: Accepts =
        Accepts { bidi: 0, uni: limits::NODE_UNI_STREAMS, datagrams: false, window: limits::CONNECTION_WINDOW };
    /// What is accepted by whoever asks a question: nothing but the answer.
    pub const JOIN: Accepts = Accepts { bidi: 0, uni: 0, datagrams: false, window: limits::STRANGER_WINDOW };
    /// What nodes accept from each other: the stream of hellos and acknowledgements, a stream for each lane, and transfers.
    pub const PEER: Accepts = Accepts {
        bidi: limits::PEER_BIDI_STREAMS,
        uni: limits::PEER_UNI_STREAMS,
        datagrams: true,
        window: limits::CONNECTION_WINDOW,
    };
}

/// QUIC's settings. Left alone, quinn waits 30 s for a silent peer, sends no keep-alives and takes any amount of data.
pub fn transport_config(accepts: Accepts) -> Arc<TransportConfig> {
    let mut config = TransportConfig::default();
    let idle = IdleTimeout::try_from(limits::SILENCE).unwrap_or_else(|_| VarInt::from_u32(2_500).into());
    config
        .max_idle_timeout(Some(idle))
        .keep_alive_interval(Some(limits::KEEP_ALIVE))
        .receive_window(VarInt::from_u32(accepts.window))
        .stream_receive_window(VarInt::from_u32(limits::STREAM_WINDOW))
        .send_window(limits::SEND_WINDOW)
        .max_concurrent_bidi_streams(VarInt::from_u32(accepts.bidi))
        .max_concurrent_uni_streams(VarInt::from_u32(accepts.uni))
        // Membership alone travels in datagrams, and each buffer is a megabyte by default.
        .datagram_receive_buffer_size(accepts.datagrams.then_some(limits::DATAGRAM_BUFFER))
        .datagram_send_buffer_size(if accepts.datagrams { limits::DATAGRAM_BUFFER } else { 0 });
    Arc::new(config)
}

/// The cryptography of both sides: aws-lc-rs, whose first choice of key exchange is X25519MLKEM768 (feature
/// `prefer-post-quantum`). Given explicitly everywhere: a process-wide default could be another crate's choice.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// The application code of a closed connection: 0 for an ordinary end, else the number of a [`Code`]. The reason phrase
/// beside it is text for a person.
pub fn close_code(code: Option<Code>) -> VarInt {
    VarInt::from_u32(code.map_or(0, |code| u32::from(code.number())))
}

/// Reads what [`close_code`] wrote; `None` for an ordinary end.
pub fn closed_with(code: VarInt) -> Option<Code> {
    match code.into_inner() {
        0 => None,
        number => Some(u16::try_from(number).ok().and_then(Code::from_number).unwrap_or(Code::Internal)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn post_quantum_key_exchange_is_the_first_choice() {
        assert_eq!(provider().kx_groups[0].name(), rustls::NamedGroup::X25519MLKEM768);
    }

    #[test]
    fn close_codes_read_back_and_unknown_ones_are_still_an_error() {
        assert_eq!(closed_with(close_code(None)), None);
        for code in Code::ALL {
            assert_eq!(closed_with(close_code(Some(*code))), Some(*code));
        }
        assert_eq!(closed_with(VarInt::from_u32(60_000)), Some(Code::Internal));
        assert_eq!(closed_with(VarInt::MAX), Some(Code::Internal));
    }

    #[test]
    fn unread_stdin_leaves_most_of_the_window_to_the_rest() {
        let held = limits::STDIN_STREAMS as u32 * limits::STREAM_WINDOW;
        assert!(held * 2 <= limits::CONNECTION_WINDOW);
    }
}
