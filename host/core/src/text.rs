//! Texts made to fit.

/// Cuts a text to `max` bytes at a character, and says so.
pub fn cut(mut text: String, max: usize) -> String {
    const MARK: &str = " [cut]";
    if text.len() > max {
        let end = (0..=max.saturating_sub(MARK.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text.push_str(MARK);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn long_texts_are_cut_at_a_character() {
        assert_eq!(cut("short".into(), 10), "short");
        assert_eq!(cut("ééééééééé".into(), 11), "éé [cut]");
    }
}
