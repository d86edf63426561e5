//! foca's records as bytes, fixed and little-endian: a member is 42 bytes, so that a datagram carries two dozen.
//!
//! presence: `node 12, incarnation u32, generation u32, flags u8 (1: dial-out), ip 16 (IPv4 mapped), port u16`
//! member: `presence, foca's incarnation u16, state u8`. header: `kind u8, sender, its u16, receiver, [third], [probe u8]`

use super::presence::Presence;
use crate::ids::NodeId;
use bytes::{Buf, BufMut};
use foca::{Codec, Header, Member, Message, State};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Encodes for foca and for the comparison of views.
#[derive(Clone, Copy, Debug)]
pub struct Binary;

/// The bytes are not what they should be, or there is no room for them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed;

pub const PRESENCE: usize = 39;
pub const MEMBER: usize = PRESENCE + 3;

pub fn put_presence(presence: &Presence, mut out: impl BufMut) -> Result<(), Malformed> {
    room(&out, PRESENCE)?;
    let ip = match presence.address.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    out.put_slice(&presence.node.0);
    out.put_u32_le(presence.incarnation);
    out.put_u32_le(presence.generation);
    out.put_u8(u8::from(presence.dial_out));
    out.put_slice(&ip.octets());
    out.put_u16_le(presence.address.port());
    Ok(())
}

pub fn take_presence(mut data: impl Buf) -> Result<Presence, Malformed> {
    let mut node = NodeId::default();
    data.try_copy_to_slice(&mut node.0).map_err(|_| Malformed)?;
    let incarnation = data.try_get_u32_le().map_err(|_| Malformed)?;
    let generation = data.try_get_u32_le().map_err(|_| Malformed)?;
    let flags = data.try_get_u8().map_err(|_| Malformed)?;
    let mut ip = [0; 16];
    data.try_copy_to_slice(&mut ip).map_err(|_| Malformed)?;
    let port = data.try_get_u16_le().map_err(|_| Malformed)?;
    let address = SocketAddr::new(Ipv6Addr::from(ip).to_canonical(), port);
    Ok(Presence { node, incarnation, generation, address, dial_out: flags & 1 != 0 })
}

pub fn put_member(member: &Member<Presence>, mut out: impl BufMut) -> Result<(), Malformed> {
    room(&out, MEMBER)?;
    put_presence(member.id(), &mut out)?;
    out.put_u16_le(member.incarnation());
    out.put_u8(match member.state() {
        State::Alive => 0,
        State::Suspect => 1,
        State::Down => 2,
    });
    Ok(())
}

pub fn take_member(mut data: impl Buf) -> Result<Member<Presence>, Malformed> {
    let presence = take_presence(&mut data)?;
    let incarnation = data.try_get_u16_le().map_err(|_| Malformed)?;
    let state = match data.try_get_u8().map_err(|_| Malformed)? {
        0 => State::Alive,
        1 => State::Suspect,
        2 => State::Down,
        _ => return Err(Malformed),
    };
    // Nobody has the id zero: it stands for whoever is asked.
    if presence.node == NodeId::default() {
        return Err(Malformed);
    }
    Ok(Member::new(presence, incarnation, state))
}

impl Codec<Presence> for Binary {
    type Error = Malformed;

    fn encode_header(&mut self, header: &Header<Presence>, mut out: impl BufMut) -> Result<(), Malformed> {
        let (kind, third, probe) = match &header.message {
            Message::Ping(probe) => (0, None, Some(*probe)),
            Message::Ack(probe) => (1, None, Some(*probe)),
            Message::PingReq { target, probe_number } => (2, Some(target), Some(*probe_number)),
            Message::IndirectPing { origin, probe_number } => (3, Some(origin), Some(*probe_number)),
            Message::IndirectAck { target, probe_number } => (4, Some(target), Some(*probe_number)),
            Message::ForwardedAck { origin, probe_number } => (5, Some(origin), Some(*probe_number)),
            Message::Announce => (6, None, None),
            Message::Feed => (7, None, None),
            Message::Gossip => (8, None, None),
            Message::Broadcast => (9, None, None),
            Message::TurnUndead => (10, None, None),
        };
        room(&out, 3 + 3 * PRESENCE + 1)?;
        out.put_u8(kind);
        put_presence(&header.src, &mut out)?;
        out.put_u16_le(header.src_incarnation);
        put_presence(&header.dst, &mut out)?;
        if let Some(third) = third {
            put_presence(third, &mut out)?;
        }
        if let Some(probe) = probe {
            out.put_u8(probe);
        }
        Ok(())
    }

    fn decode_header(&mut self, mut data: impl Buf) -> Result<Header<Presence>, Malformed> {
        let kind = data.try_get_u8().map_err(|_| Malformed)?;
        let src = take_presence(&mut data)?;
        let src_incarnation = data.try_get_u16_le().map_err(|_| Malformed)?;
        let dst = take_presence(&mut data)?;
        let third = if (2..=5).contains(&kind) { take_presence(&mut data)? } else { dst };
        if third.node == NodeId::default() && (2..=5).contains(&kind) {
            return Err(Malformed);
        }
        let probe_number = if kind <= 5 { data.try_get_u8().map_err(|_| Malformed)? } else { 0 };
        let message = match kind {
            0 => Message::Ping(probe_number),
            1 => Message::Ack(probe_number),
            2 => Message::PingReq { target: third, probe_number },
            3 => Message::IndirectPing { origin: third, probe_number },
            4 => Message::IndirectAck { target: third, probe_number },
            5 => Message::ForwardedAck { origin: third, probe_number },
            6 => Message::Announce,
            7 => Message::Feed,
            8 => Message::Gossip,
            9 => Message::Broadcast,
            10 => Message::TurnUndead,
            _ => return Err(Malformed),
        };
        if src.node == NodeId::default() {
            return Err(Malformed);
        }
        Ok(Header { src, src_incarnation, dst, message })
    }

    fn encode_member(&mut self, member: &Member<Presence>, out: impl BufMut) -> Result<(), Malformed> {
        put_member(member, out)
    }

    fn decode_member(&mut self, data: impl Buf) -> Result<Member<Presence>, Malformed> {
        take_member(data)
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not what membership sends")
    }
}

impl std::error::Error for Malformed {}

fn room(out: &impl BufMut, bytes: usize) -> Result<(), Malformed> {
    if out.remaining_mut() < bytes { Err(Malformed) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_survives_its_bytes() {
        let of = |n: u8, address: &str| Presence::new(NodeId([n; 12]), n.into(), address.parse().unwrap());
        let (src, dst, third) = (of(1, "10.0.0.1:1"), of(2, "[2001:db8::1]:2"), of(3, "10.0.0.3:3"));
        let messages = [
            Message::Ping(1),
            Message::Ack(2),
            Message::PingReq { target: third, probe_number: 3 },
            Message::IndirectPing { origin: third, probe_number: 4 },
            Message::IndirectAck { target: third, probe_number: 5 },
            Message::ForwardedAck { origin: third, probe_number: 6 },
            Message::Announce,
            Message::Feed,
            Message::Gossip,
            Message::Broadcast,
            Message::TurnUndead,
        ];
        for message in messages {
            let header = Header { src, src_incarnation: 9, dst, message };
            let mut bytes = Vec::new();
            Binary.encode_header(&header, &mut bytes).unwrap();
            let mut rest = &bytes[..];
            let back = Binary.decode_header(&mut rest).unwrap();
            assert_eq!((&back, rest.len()), (&header, 0));
            assert_eq!((back.src.address, back.dst.address), (src.address, dst.address));
            for cut in 0..bytes.len() {
                assert_eq!(Binary.decode_header(&bytes[..cut]), Err(Malformed));
            }
        }
    }

    #[test]
    fn a_member_is_written_whole_or_not_at_all() {
        let member = Member::new(Presence::new(NodeId([1; 12]), 2, "[::1]:1".parse().unwrap()), 3, State::Suspect);
        let mut small = [0u8; MEMBER - 1];
        assert_eq!(put_member(&member, &mut small[..]), Err(Malformed));
        assert_eq!(small, [0; MEMBER - 1]);
        let mut bytes = Vec::new();
        put_member(&member, &mut bytes).unwrap();
        assert_eq!((bytes.len(), take_member(&bytes[..])), (MEMBER, Ok(member)));
    }
}
