//! Guest output on a terminal: control characters are shown, not obeyed. A job must not move the cursor, retitle the
//! window or hide what it wrote before.

/// Escapes one stream, across the chunks it comes in.
#[derive(Debug, Default)]
pub struct Escaper {
    /// A carriage return, or the first byte of a two-byte character that may be a control.
    pending: Option<u8>,
}

const CR: u8 = b'\r';
/// First byte, in UTF-8, of U+0080 to U+00BF; the controls among them (C1) have a second byte below 0xA0.
const C1_LEAD: u8 = 0xC2;

impl Escaper {
    /// The chunk as a terminal may see it.
    pub fn escape(&mut self, chunk: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(chunk.len());
        for &byte in chunk {
            match (self.pending.take(), byte) {
                (Some(CR), b'\n') => {
                    out.extend_from_slice(b"\r\n");
                    continue;
                }
                (Some(C1_LEAD), 0x80..=0x9F) => {
                    out.extend_from_slice(format!("\\u{{{byte:02x}}}").as_bytes());
                    continue;
                }
                (pending, _) => out.extend(pending.into_iter().flat_map(plain)),
            }
            match byte {
                CR | C1_LEAD => self.pending = Some(byte),
                byte => out.extend(plain(byte)),
            }
        }
        out
    }

    /// What was held back, at the end of the stream.
    pub fn finish(&mut self) -> Vec<u8> {
        self.pending.take().into_iter().flat_map(plain).collect()
    }
}

/// Escapes a text that stands alone, such as a failure's.
pub fn text(text: &str) -> String {
    let mut escaper = Escaper::default();
    let mut bytes = escaper.escape(text.as_bytes());
    bytes.extend(escaper.finish());
    String::from_utf8_lossy(&bytes).into_owned()
}

fn plain(byte: u8) -> Vec<u8> {
    match byte {
        b'\n' | b'\t' | 0x20..=0x7E | 0x80.. => vec![byte],
        control => format!("\\x{control:02x}").into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controls_are_shown_however_the_stream_is_cut() {
        let input = "a\tb\r\nc\rd\x1b[31m\u{9b}é\u{a0}\x07\x7f€\n".as_bytes();
        let expected = "a\tb\r\nc\\x0dd\\x1b[31m\\u{9b}é\u{a0}\\x07\\x7f€\n".as_bytes();
        for cut in 1..=input.len() {
            let mut escaper = Escaper::default();
            let mut out: Vec<u8> = input.chunks(cut).flat_map(|chunk| escaper.escape(chunk)).collect();
            out.extend(escaper.finish());
            assert_eq!(String::from_utf8_lossy(&out), String::from_utf8_lossy(expected), "in chunks of {cut}");
        }
        let mut escaper = Escaper::default();
        assert_eq!(escaper.escape(b"x\r"), b"x");
        assert_eq!(escaper.finish(), b"\\x0d");
    }
}
