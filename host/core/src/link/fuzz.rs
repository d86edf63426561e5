//! Every decoder of this folder as a plain function over any bytes, for the fuzz targets and for proptest alike. Each
//! checks what must hold of whatever was decoded; it panics only if that does not.

use super::frame::{self, Decoded, Decoder, HEADER};
use super::lane::Mark;
use super::session::Hello;
use bytes::{Bytes, BytesMut};

/// The frame decoder: the same frames however the bytes are cut, each within its limit, and encoded again to the same.
pub fn frames(data: &[u8]) {
    let whole = all(data, data.len().max(1));
    for piece in [1, 7, HEADER, 100] {
        assert_eq!(all(data, piece), whole, "in pieces of {piece}");
    }
    let mut taken = 0;
    for decoded in whole.0 {
        match decoded {
            Decoded::Frame(frame) => {
                assert!(frame.payload.len() <= frame.header.kind.payload_max());
                assert!(usize::from(frame.header.lane()) < frame::LANES);
                let mut again = BytesMut::new();
                assert_eq!(frame::encode(&mut again, &frame.header, &[&frame.payload]), Ok(()));
                // What is zero now is not looked at.
                let mut sent = data[taken..taken + again.len()].to_vec();
                sent[6..8].fill(0);
                sent[12..16].fill(0);
                assert_eq!(sent, again);
                taken += again.len();
            }
            Decoded::Ignored(size) => taken += size,
        }
    }
    assert!(taken <= data.len());
}

/// Hello: what decodes encodes, and decodes again to the same.
pub fn hello(data: &[u8]) {
    if let Ok(Some(hello)) = Hello::decode(&mut BytesMut::from(data)) {
        let mut bytes = BytesMut::new();
        if hello.encode(&mut bytes).is_ok() {
            assert_eq!(Hello::decode(&mut bytes), Ok(Some(hello)));
        }
    }
}

/// Marks: the same.
pub fn marks(data: &[u8]) {
    let mut bytes = BytesMut::from(data);
    while let Ok(Some(mark)) = Mark::decode(&mut bytes) {
        let mut again = BytesMut::new();
        mark.encode(&mut again);
        assert_eq!(Mark::decode(&mut again), Ok(Some(mark)));
    }
}

fn all(data: &[u8], piece: usize) -> (Vec<Decoded>, Option<frame::Error>) {
    let mut decoder = Decoder::default();
    let mut decoded = Vec::new();
    for piece in data.chunks(piece) {
        decoder.feed(Bytes::copy_from_slice(piece));
        loop {
            match decoder.next() {
                Ok(Some(frame)) => decoded.push(frame),
                Ok(None) => break,
                Err(error) => return (decoded, Some(error)),
            }
        }
    }
    (decoded, None)
}
