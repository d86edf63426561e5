//! The three lists of host functions agree: `corovan.wit`, which is normative, `corovan.h`, and this crate's imports.
#![expect(
    clippy::unwrap_used,
    reason = "a file that is not as described fails the test, and its helpers are part of it"
)]

use std::collections::{BTreeMap, BTreeSet};
use wit_parser::{InterfaceId, Resolve, Stability, TypeDefKind, WorldItem};

const HEADER: &str = include_str!("../abi/corovan.h");
const WIT: &str = include_str!("../abi/corovan.wit");
const README: &str = include_str!("../abi/README.md");
const GO: &str = include_str!("../go/error.go");
const IMPORTS: &[&str] = &[
    include_str!("../src/sys/lifecycle.rs"),
    include_str!("../src/sys/messaging.rs"),
    include_str!("../src/sys/shared.rs"),
    include_str!("../src/sys/time.rs"),
];

/// Interfaces that the SDK has all of.
const OF_THE_SDK: &[&str] =
    &["lifecycle", "time", "log", "messaging", "channels", "names", "services", "node", "locks"];

/// Interfaces whose imports carry a word before the function's name, since others have functions of the same name.
const PREFIXES: &[(&str, &str)] =
    &[("channels", "channel"), ("locks", "lock"), ("sockets", "socket"), ("streams", "stream"), ("files", "file")];

/// A function as one of the lists has it: interface and name, and whether it is available now.
type Functions = BTreeMap<(String, String), bool>;

#[test]
fn header_and_wit_have_the_same_functions_with_the_same_availability() {
    let header: Functions = header().into_iter().map(|f| ((f.interface, f.name), f.available)).collect();
    assert_eq!(header, wit_functions());
}

#[test]
fn without_the_planned_feature_the_wit_has_what_is_available_and_resolves() {
    let available: Vec<_> = wit_functions().into_iter().filter(|(_, available)| *available).collect();
    let found: Vec<_> = functions_of(&resolve(false)).into_iter().collect();
    assert_eq!(found, available);
}

#[test]
fn an_import_is_named_by_its_function_and_no_two_are_alike() {
    let mut seen = BTreeSet::new();
    for function in header() {
        let name = function.name.replace('-', "_");
        let prefix = PREFIXES.iter().find(|(interface, _)| *interface == function.interface);
        let expected = prefix.map_or(name.clone(), |(_, prefix)| format!("{prefix}_{name}"));
        assert_eq!(function.import, expected);
        assert!(seen.insert(function.import), "two functions are imported as {expected}");
    }
}

#[test]
fn every_function_of_the_header_names_its_errors_and_traps() {
    let known: BTreeSet<&str> = corovan_core::code::Code::ALL.iter().map(|code| code.name()).collect();
    for function in header() {
        let doc = &function.doc;
        let after = |word: &str| {
            let (_, rest) =
                doc.split_once(word).unwrap_or_else(|| panic!("{}: no {word:?} in {doc:?}", function.import));
            rest.split_once('.').unwrap().0.to_owned()
        };
        for (list, known) in
            [(after("Errors: "), &known), (after("Traps: "), &BTreeSet::from(["pointer", "text", "handle", "options"]))]
        {
            for word in without_parentheses(&list).split(',').map(str::trim).filter(|word| *word != "none") {
                assert!(known.contains(word), "{}: {word:?} is neither a code nor a trap", function.import);
            }
        }
    }
}

#[test]
fn header_and_wit_name_the_same_errors_of_what_is_available() {
    let resolve = resolve(true);
    let errors = |doc: &str| -> BTreeSet<String> {
        let list = doc.split_once("Errors: ").map_or("none", |(_, rest)| rest.split_once('.').unwrap().0);
        let list = without_parentheses(list);
        list.split(',').map(|code| code.trim().to_owned()).filter(|code| code != "none").collect()
    };
    for function in header().iter().filter(|function| function.available) {
        let (_, interface) =
            resolve.interfaces.iter().find(|(_, i)| i.name.as_deref() == Some(&function.interface)).unwrap();
        let doc = interface.functions[&function.name].docs.contents.clone().unwrap_or_default();
        assert_eq!(errors(&doc), errors(&function.doc), "{}", function.import);
    }
}

#[test]
fn codes_are_the_same_everywhere() {
    let core: Vec<(u16, &str)> =
        corovan_core::code::Code::ALL.iter().map(|code| (code.number(), code.name())).collect();

    let (_, list) = HEADER.split_once("enum corovan_code {").unwrap();
    let (list, _) = list.split_once('}').unwrap();
    let header: Vec<(u16, String)> = list
        .lines()
        .filter_map(|line| line.trim().strip_prefix("COROVAN_"))
        .map(|line| {
            let (name, rest) = line.split_once(" = ").unwrap();
            (rest.split_once(',').unwrap().0.parse().unwrap(), name.to_lowercase().replace('_', "-"))
        })
        .collect();
    assert_eq!(header, core.iter().map(|(number, name)| (*number, (*name).to_owned())).collect::<Vec<_>>());

    let resolve = resolve(true);
    let (_, code) = resolve.types.iter().find(|(_, ty)| ty.name.as_deref() == Some("code")).unwrap();
    let TypeDefKind::Enum(code) = &code.kind else { panic!("code is an enum") };
    let wit: Vec<(u16, &str)> = (1..).zip(code.cases.iter().map(|case| case.name.as_str())).collect();
    assert_eq!(wit, core);

    let (_, list) = GO.split_once("var codeNames = [...]string{").unwrap();
    let (list, _) = list.split_once('}').unwrap();
    let go: Vec<&str> = list.split('"').skip(1).step_by(2).collect();
    assert_eq!(go, core.iter().map(|(_, name)| *name).collect::<Vec<_>>());

    for (number, name) in &core {
        assert!(README.contains(&format!("| {number} | `{name}` |")), "README.md: code {number} {name}");
    }
}

#[test]
fn the_sdk_imports_all_functions_of_its_interfaces_and_nothing_else() {
    let wanted: BTreeMap<String, usize> = header()
        .into_iter()
        .filter(|f| OF_THE_SDK.contains(&f.interface.as_str()))
        .map(|f| (f.import, f.parameters))
        .collect();
    let mut imports = BTreeMap::new();
    for text in IMPORTS {
        let (_, list) = text.split_once("\nimports! {").unwrap();
        let (list, _) = list.split_once("\n}").unwrap();
        imports.extend(list.lines().filter_map(|line| line.trim().strip_prefix("fn ")).map(|line| {
            let (name, rest) = line.split_once('(').unwrap();
            let name = name.split_once(" as ").map_or(name, |(_, import)| import.trim_matches('"'));
            (name.to_owned(), count(rest.split_once(')').unwrap().0))
        }));
    }
    assert_eq!(imports, wanted);
}

#[test]
fn whatever_is_available_is_of_an_interface_that_the_sdk_has() {
    for function in header().iter().filter(|function| function.available) {
        assert!(OF_THE_SDK.contains(&function.interface.as_str()), "{}", function.import);
    }
}

#[test]
fn the_readme_names_every_interface() {
    for (interface, _) in wit_functions().into_keys() {
        assert!(README.contains(&format!("`{interface}`")), "README.md: {interface}");
    }
}

struct Function {
    interface: String,
    name: String,
    import: String,
    doc: String,
    available: bool,
    parameters: usize,
}

/// Reads `/* ... */ COROVAN_IMPORT(name) type corovan_interface_name(...);`, which is all that the header has of functions.
fn header() -> Vec<Function> {
    let mut functions = Vec::new();
    for (before, after) in pieces() {
        let doc = before.rsplit_once("/*").unwrap().1.split_once("*/").unwrap().0;
        let doc = doc.lines().map(|line| line.trim().trim_start_matches("* ")).collect::<Vec<_>>().join(" ");
        let (import, rest) = after.split_once(')').unwrap();
        let (declaration, _) = rest.split_once(';').unwrap();
        let (_, declaration) = declaration.split_once("corovan_").unwrap();
        let (name, parameters) = declaration.split_once('(').unwrap();
        let (interface, name) = name.split_once('_').unwrap();
        let available = match doc.trim() {
            doc if doc.ends_with("since 1") => true,
            doc if doc.ends_with("planned") => false,
            doc => panic!("{import}: neither `since 1` nor `planned` ends {doc:?}"),
        };
        functions.push(Function {
            interface: interface.to_owned(),
            name: name.replace('_', "-"),
            import: import.to_owned(),
            doc,
            available,
            parameters: count(parameters.trim_end().strip_suffix(')').unwrap()),
        });
    }
    assert!(functions.len() > 50, "the header is read to its end");
    functions
}

/// What stands before and after each `COROVAN_IMPORT(`, its definition left out.
fn pieces() -> impl Iterator<Item = (&'static str, &'static str)> {
    HEADER.match_indices("\nCOROVAN_IMPORT(").map(|(at, word)| (&HEADER[..at], &HEADER[at + word.len()..]))
}

fn count(parameters: &str) -> usize {
    match parameters.trim() {
        "" | "void" => 0,
        list => list.split(',').count(),
    }
}

fn without_parentheses(text: &str) -> String {
    let mut depth = 0;
    text.chars()
        .filter(|c| {
            depth += i32::from(*c == '(');
            let keep = depth == 0;
            depth -= i32::from(*c == ')');
            keep
        })
        .collect()
}

/// With planned functions or without; that the package resolves is itself a test of it.
fn resolve(planned: bool) -> Resolve {
    let mut resolve = Resolve { all_features: planned, ..Resolve::default() };
    resolve.push_str("corovan.wit", WIT).unwrap_or_else(|error| panic!("corovan.wit: {error:?}"));
    resolve
}

fn wit_functions() -> Functions {
    functions_of(&resolve(true))
}

fn functions_of(resolve: &Resolve) -> Functions {
    let (_, world) = resolve.worlds.iter().find(|(_, world)| world.name == "coroutine").unwrap();
    let imported: BTreeSet<InterfaceId> = world
        .imports
        .values()
        .filter_map(|item| match item {
            WorldItem::Interface { id, .. } => Some(*id),
            _ => None,
        })
        .collect();

    let mut functions = Functions::new();
    for (id, interface) in resolve.interfaces.iter() {
        let name = interface.name.clone().unwrap();
        assert!(imported.contains(&id), "the world imports {name}");
        for function in interface.functions.values() {
            let available = match function.stability {
                Stability::Stable { .. } => true,
                Stability::Unstable { .. } => false,
                Stability::Unknown => panic!("{name}.{}: neither @since nor @unstable", function.name),
            };
            functions.insert((name.clone(), function.name.clone()), available);
        }
    }
    functions
}
