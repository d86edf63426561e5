//! What a person may type, and what they are told when it does not fit.

use super::*;
use serde::Deserialize;
use std::collections::BTreeMap;

fn bytes(json_like: &[Value]) -> Vec<u8> {
    encode(&Value::Array(json_like.to_vec())).unwrap()
}

const ONE: Signature = Signature { name: "one", parameters: &[Parameter { text: "n: T", kind: Kind::Required }] };

fn one<T: DeserializeOwned>(value: impl Into<Value>) -> Result<T, String> {
    Arguments::parse(&ONE, &bytes(&[value.into()]))?.take()
}

fn list(items: impl IntoIterator<Item = Value>) -> Value {
    Value::Array(items.into_iter().collect())
}

fn map<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::Map(entries.map(|(key, value)| (key.into(), value)).into())
}

#[test]
fn numbers_are_taken_by_value_and_not_by_form() {
    assert_eq!(one::<f64>(2), Ok(2.0));
    assert_eq!(one::<f32>(0.5), Ok(0.5));
    assert_eq!(one::<u32>(2.0), Ok(2));
    assert_eq!(one::<i8>(-3.0), Ok(-3));
    assert_eq!(one::<u64>(u64::MAX), Ok(u64::MAX));
    assert_eq!(one::<i64>(i64::MIN), Ok(i64::MIN));
    assert_eq!(one::<u128>(Value::Tag(2, Box::new(Value::Bytes(vec![1, 0, 0, 0, 0, 0, 0, 0, 0])))), Ok(1 << 64));
    assert_eq!(one::<i128>(Value::Tag(3, Box::new(Value::Bytes(vec![1, 0, 0, 0, 0, 0, 0, 0, 0])))), Ok(-(1 << 64) - 1));
    assert_eq!(one::<Vec<u8>>(list([1.into(), 2.0.into()])), Ok(vec![1, 2]));
    assert_eq!(one::<BTreeMap<String, f64>>(map([("a", 1.into())])), Ok(BTreeMap::from([("a".to_owned(), 1.0)])));
}

#[test]
fn what_does_not_fit_is_said_in_words() {
    let told = |told: Result<(), String>| told.unwrap_err();
    assert_eq!(told(one::<f64>("abc").map(drop)), r#"argument 1 (n: T): expected a number, found "abc""#);
    assert_eq!(told(one::<u8>(256).map(drop)), "argument 1 (n: T): expected a whole number from 0 to 255, found 256");
    assert_eq!(
        told(one::<u32>(-1).map(drop)),
        "argument 1 (n: T): expected a whole number from 0 to 4294967295, found -1"
    );
    assert_eq!(told(one::<i64>(2.5).map(drop)), "argument 1 (n: T): expected a whole number, found 2.5");
    assert_eq!(told(one::<i64>(f64::NAN).map(drop)), "argument 1 (n: T): expected a whole number, found NaN");
    assert_eq!(told(one::<String>(42).map(drop)), "argument 1 (n: T): expected text, found 42");
    assert_eq!(told(one::<bool>(Value::Null).map(drop)), "argument 1 (n: T): expected true or false, found null");
    assert_eq!(
        told(one::<(u8, u8)>(list([1.into()])).map(drop)),
        "argument 1 (n: T): expected a list of 2, found one of 1"
    );
}

#[derive(Deserialize, Debug, PartialEq)]
struct Point {
    x: f64,
    y: f64,
}

#[test]
fn the_place_inside_a_value_is_named() {
    let points = list([map([("x", 1.into()), ("y", 2.into())]), map([("x", 1.into()), ("y", "?".into())])]);
    let text = one::<Vec<Point>>(points).unwrap_err();
    assert_eq!(text, r#"argument 1 (n: T): at [1].y: expected a number, found "?""#);
    let text = one::<Point>(map([("x", 1.into())])).unwrap_err();
    assert_eq!(text, r#"argument 1 (n: T): field "y" is missing"#);
}

#[derive(Deserialize, Debug, PartialEq)]
enum Shape {
    Nothing,
    Circle(f64),
    Line(Point, Point),
    Box { from: Point, to: Point },
}

#[test]
fn enums_are_a_name_or_a_map_with_one_entry() {
    let point = || map([("x", 1.into()), ("y", 2.into())]);
    let same = || Point { x: 1.0, y: 2.0 };
    assert_eq!(one::<Shape>("Nothing"), Ok(Shape::Nothing));
    assert_eq!(one::<Shape>(map([("Circle", 3.into())])), Ok(Shape::Circle(3.0)));
    assert_eq!(one::<Shape>(map([("Line", list([point(), point()]))])), Ok(Shape::Line(same(), same())));
    let boxed = map([("Box", map([("from", point()), ("to", point())]))]);
    assert_eq!(one::<Shape>(boxed), Ok(Shape::Box { from: same(), to: same() }));
    let text = one::<Shape>("Cube").unwrap_err();
    assert_eq!(text, r#"argument 1 (n: T): expected one of "Nothing", "Circle", "Line", "Box", found "Cube""#);
    let text = one::<Shape>("Circle").unwrap_err();
    assert_eq!(text, r#"argument 1 (n: T): "Circle" needs a content"#);
    let text = one::<Shape>(map([("Circle", "round".into())])).unwrap_err();
    assert_eq!(text, r#"argument 1 (n: T): at Circle: expected a number, found "round""#);
}

#[test]
fn a_value_of_any_kind_comes_through_unchanged() {
    let nested = list([
        Value::Null,
        Value::Bytes(vec![0, 255]),
        1.5.into(),
        2.0.into(),
        (-7).into(),
        Value::Tag(32, Box::new("https://example.org".into())),
        Value::Map(vec![(1.into(), list([])), (list([true.into()]), "key of any kind".into())]),
    ]);
    assert_eq!(one::<Value>(nested.clone()), Ok(nested));
}

#[test]
fn the_number_of_arguments_is_checked_and_named() {
    const TWO_OR_THREE: Signature = Signature {
        name: "copy",
        parameters: &[
            Parameter { text: "from: String", kind: Kind::Required },
            Parameter { text: "to: String", kind: Kind::Required },
            Parameter { text: "limit: Option<u64>", kind: Kind::Optional },
        ],
    };
    const NONE: Signature = Signature { name: "tick", parameters: &[] };
    const ANY: Signature =
        Signature { name: "echo", parameters: &[Parameter { text: "values: Vec<Value>", kind: Kind::Rest }] };
    let parse = |signature, count: usize| Arguments::parse(signature, &bytes(&vec![Value::Null; count])).map(drop);

    let told = "copy takes 2 to 3 arguments (from: String, to: String, limit: Option<u64>), found ";
    assert_eq!(parse(&TWO_OR_THREE, 1), Err(format!("{told}1")));
    assert_eq!(parse(&TWO_OR_THREE, 2), Ok(()));
    assert_eq!(parse(&TWO_OR_THREE, 3), Ok(()));
    assert_eq!(parse(&TWO_OR_THREE, 4), Err(format!("{told}4")));
    assert_eq!(parse(&ONE, 2), Err("one takes 1 argument (n: T), found 2".to_owned()));
    assert_eq!(parse(&NONE, 1), Err("tick takes no arguments, found 1".to_owned()));
    assert_eq!(parse(&NONE, 0), Ok(()));
    assert_eq!(parse(&ANY, 0), Ok(()));
    assert_eq!(Arguments::parse(&ANY, &bytes(&[1.into(), "x".into()])).unwrap().take_rest(), Ok((1, "x".to_owned())));
}

#[test]
fn a_missing_optional_argument_is_none() {
    const OPTIONAL: Signature =
        Signature { name: "f", parameters: &[Parameter { text: "n: Option<u8>", kind: Kind::Optional }] };
    assert_eq!(Arguments::parse(&OPTIONAL, &bytes(&[])).unwrap().take(), Ok(None::<u8>));
    assert_eq!(Arguments::parse(&OPTIONAL, &bytes(&[5.into()])).unwrap().take(), Ok(Some(5_u8)));
}

#[test]
fn what_is_not_an_array_of_cbor_is_refused() {
    assert_eq!(Arguments::parse(&ONE, &[0x01]).unwrap_err(), "the arguments are not a CBOR array");
    assert!(Arguments::parse(&ONE, &[0x82, 0x01]).unwrap_err().starts_with("the arguments are not valid CBOR"));
    assert!(
        Arguments::parse(&ONE, &[0x9b, 255, 255, 255, 255, 255, 255, 255, 255]).is_err(),
        "no room is reserved by a claim"
    );
}
