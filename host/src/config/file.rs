//! A configuration file: TOML, each key of which is known, or told with its place and the nearest that is. All that is wrong is
//! told at once; but where the text is no TOML, that alone.

use super::keys::{self, Key, Kind};
use super::layers::{Given, Layer, Problem, Source};
use super::value::Value;
use crate::modules::names;
use corovan_core::limits;
use std::io::Read;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What a file says. Relative paths are from where the file is.
pub fn read(file: &Path) -> Result<Layer, Vec<Problem>> {
    let name = file.display().to_string();
    let failed = |text: String| vec![Problem { at: name.clone(), text }];
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(file).and_then(|open| open.take(limits::CONFIG_BYTES + 1).read_to_end(&mut bytes));
    opened.map_err(|error| failed(format!("cannot be read: {error}")))?;
    if bytes.len() as u64 > limits::CONFIG_BYTES {
        return Err(failed(format!("it is longer than {} bytes (CONFIG_BYTES)", limits::CONFIG_BYTES)));
    }
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let good = String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()]).into_owned();
            let (line, column) = place(&good, good.len());
            return Err(vec![Problem { at: format!("{name}:{line}:{column}"), text: "here it is not UTF-8".into() }]);
        }
    };
    parse(&name, file.parent().unwrap_or(Path::new("")), &text)
}

/// The same of a text. `name`: as it is told; `dir`: where relative paths begin.
pub fn parse(name: &str, dir: &Path, text: &str) -> Result<Layer, Vec<Problem>> {
    let mut reader = Reader { name: name.into(), dir, text, layer: Layer::new(), problems: Vec::new() };
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let message = error.message().trim_end().replace('\n', "; ");
        reader.wrong(error.span().unwrap_or(0..0), message);
    }
    if errors.is_empty() {
        reader.root(document.get_ref());
    }
    let Reader { layer, mut problems, .. } = reader;
    if problems.is_empty() {
        return Ok(layer);
    }
    // By place; a table's keys come in the order of their names.
    problems.sort_by_key(|(at, _)| *at);
    Err(problems.into_iter().map(|(_, problem)| problem).collect())
}

struct Reader<'a> {
    name: Arc<str>,
    dir: &'a Path,
    text: &'a str,
    layer: Layer,
    problems: Vec<(usize, Problem)>,
}

impl Reader<'_> {
    fn root(&mut self, document: &DeTable) {
        for (name, value) in document {
            match keys::tables().find(|table| *table == name.get_ref()) {
                None => self.unknown("", name),
                Some(table) => match value.get_ref().as_table() {
                    Some(content) => self.table(table, content),
                    None => self.wrong(name.span(), format!("`{table}` is a table: write [{table}]")),
                },
            }
        }
    }

    fn table(&mut self, table: &'static str, content: &DeTable) {
        for (name, value) in content {
            match keys::find(&format!("{table}.{}", name.get_ref())) {
                None => self.unknown(table, name),
                Some(key) => self.key(key, name.span(), value),
            }
        }
    }

    fn key(&mut self, key: &'static Key, at: Range<usize>, value: &Spanned<DeValue>) {
        match self.value(key.kind, value) {
            Ok(value) => {
                let (line, column) = place(self.text, at.start);
                let value = match value {
                    Value::Path(path) => Value::Path(self.dir.join(path)),
                    other => other,
                };
                let source = Source::File { file: Arc::clone(&self.name), line, column };
                self.layer.insert(key.path, Given { value, source });
            }
            Err(wrong) => wrong.into_iter().for_each(|(at, text)| self.wrong(at, format!("`{}`: {text}", key.name()))),
        }
    }

    /// A value, or each part of it that is wrong.
    fn value(&self, kind: Kind, given: &Spanned<DeValue>) -> Result<Value, Vec<(Range<usize>, String)>> {
        let at = |result: Result<Value, String>| result.map_err(|text| vec![(given.span(), text)]);
        match (kind, given.get_ref()) {
            (Kind::Number { .. } | Kind::Size { .. }, DeValue::Integer(number)) => {
                let digits = number.as_str().trim_start_matches('+');
                // What is too large or negative is told as it is written.
                let decimal = u64::from_str_radix(digits, number.radix()).map_or(digits.to_owned(), |n| n.to_string());
                at(kind.one(&decimal))
            }
            (Kind::Switch, DeValue::Boolean(is)) => Ok(Value::Switch(*is)),
            (Kind::Peers | Kind::Windows, DeValue::Array(list)) => {
                let (mut texts, mut wrong) = (Vec::new(), Vec::new());
                for element in list.iter() {
                    let text = element.get_ref().as_str().ok_or_else(|| mismatch(kind, element.get_ref()));
                    match text.and_then(|text| kind.element(text).map(|()| text)) {
                        Ok(text) => texts.push(text.to_owned()),
                        Err(text) => wrong.push((element.span(), text)),
                    }
                }
                if wrong.is_empty() { at(kind.list(texts)) } else { Err(wrong) }
            }
            (Kind::Labels, DeValue::Table(table)) => {
                let (mut pairs, mut wrong) = (Vec::new(), Vec::new());
                for (name, value) in table {
                    match value.get_ref().as_str() {
                        Some(text) => pairs.push((name.get_ref().to_string(), text.to_owned())),
                        None => wrong.push((value.span(), mismatch(kind, value.get_ref()))),
                    }
                }
                if wrong.is_empty() { at(kind.labels(pairs)) } else { Err(wrong) }
            }
            (Kind::Number { .. } | Kind::Switch | Kind::Peers | Kind::Windows | Kind::Labels, other) => {
                at(Err(mismatch(kind, other)))
            }
            (_, DeValue::String(text)) => at(kind.one(text)),
            (_, other) => at(Err(mismatch(kind, other))),
        }
    }

    fn unknown(&mut self, table: &str, name: &Spanned<std::borrow::Cow<'_, str>>) {
        let quoted = names::quote(name.get_ref());
        let place = if table.is_empty() { String::new() } else { format!(" in [{table}]") };
        let text = format!("{quoted} is not a key{place}: {}", keys::advice(table, name.get_ref()));
        self.wrong(name.span(), text);
    }

    fn wrong(&mut self, at: Range<usize>, text: String) {
        let (line, column) = place(self.text, at.start);
        self.problems.push((at.start, Problem { at: format!("{}:{line}:{column}", self.name), text }));
    }
}

fn mismatch(kind: Kind, found: &DeValue) -> String {
    format!("write {}; here is: {}", kind.wanted(), found.type_str())
}

/// Line and column of a byte, both from 1; the column in characters.
fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.rsplit('\n').next().unwrap_or_default();
    (before.matches('\n').count() + 1, line.chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Vec<String> {
        parse("f", Path::new("/etc"), text).unwrap_err().iter().map(Problem::to_string).collect()
    }

    #[test]
    fn a_file_says_what_it_says_and_where() {
        let text = "# é\n[node]\ndata = 'd'\ncerts = '/c'\npeer = ['a:1', '[::1]:2']\nslots = 0x20\ndiscover = true\n\
                    grace = '2s'\n[node.labels]\nzone = 'a'\n[capacity]\nmemory = 1_073_741_824\n[hours]\nwindows = ['Sat-Sun']\n";
        let layer = parse("f", Path::new("/etc"), text).unwrap();
        let shown: Vec<String> =
            layer.iter().map(|(path, given)| format!("{path}={} {}", given.value.to_toml(), given.source)).collect();
        assert_eq!(
            shown,
            [
                "capacity.memory=\"1GiB\" f:12:1",
                "hours.windows=[\"Sat-Sun\"] f:14:1",
                "node.certs=\"/c\" f:4:1",
                "node.data=\"/etc/d\" f:3:1",
                "node.discover=true f:7:1",
                "node.grace=\"2s\" f:8:1",
                "node.labels={ \"zone\" = \"a\" } f:9:7",
                "node.peer=[\"a:1\", \"[::1]:2\"] f:5:1",
                "node.slots=32 f:6:1",
            ]
        );
        assert!(parse("f", Path::new(""), "").unwrap().is_empty());
    }

    #[test]
    fn all_that_is_wrong_is_told_in_order_with_its_place() {
        let text = "lisen = 1\n[node]\nlistne = '127.0.0.1:1'\nslots = '20'\nworkers = 65\npeer = ['a:1', 7, 'b']\n\
                    dial_out = true\nlabels = { zone = 1 }\ntoken = 'x'\n[capacity]\nmemory = -5\n[hours]\nwindows = []\n";
        let expected = [
            "f:1:1: `lisen` is not a key: known are node, capacity, hours",
            "f:3:1: `listne` is not a key in [node]: did you mean `listen`?",
            "f:4:9: `slots`: write a whole number; here is: string",
            "f:5:11: `workers`: 65 is not a whole number from 1 to 64",
            "f:6:16: `peer`: write a list of strings \"HOST:PORT\"; here is: integer",
            "f:6:19: `peer`: ",
            "f:7:1: `dial_out` is not a key in [node]: did you mean `dial-out`?",
            "f:8:19: `labels`: write a table of strings",
            "f:9:1: `token` is not a key in [node]: a token is a secret",
            "f:11:10: `memory`: \"-5\" is not a size",
            "f:13:11: `windows`: there is no window",
        ];
        let told = told(text);
        assert_eq!(told.len(), expected.len(), "{told:#?}");
        for (told, expected) in told.iter().zip(expected) {
            assert!(told.starts_with(expected), "{told}\n{expected}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics_and_what_is_wrong_has_a_place(text: String, at in 0..EXAMPLE.len(), c: char) {
            let mut near = EXAMPLE.to_owned();
            near.insert(near.floor_char_boundary(at), c);
            for text in [text, near] {
                let problems = parse("f", Path::new(""), &text).err().unwrap_or_default();
                proptest::prop_assert!(problems.iter().all(|problem| problem.at.starts_with("f:")));
            }
        }
    }

    const EXAMPLE: &str = include_str!("../../../docs/corovan.example.toml");

    #[test]
    fn what_is_no_toml_is_told_with_its_places() {
        for (text, at) in [
            ("[node\nname = 'a'\n", "f:1:6"),
            ("[node]\nname = \n", "f:2:"),
            ("[node]\nname = 'a'\nname = 'b'\n", "f:3:1"),
            ("[node]\n\u{0}", "f:2:1"),
        ] {
            let told = told(text);
            assert!(told[0].starts_with(at), "{text:?}: {told:?}");
        }
        assert!(told("[node]\nname = 'a\nslots = \n").len() >= 2);
        assert!(told("node = 1")[0].contains("write [node]"));
    }
}
