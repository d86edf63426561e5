//! Every shape of function that `#[corovan_guest::coroutine]` takes compiles, and stays an ordinary function.

use corovan_guest::{Address, Value};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[corovan_guest::coroutine]
fn nothing() {}

#[corovan_guest::coroutine]
#[expect(clippy::unused_unit, reason = "written out, it is still no result")]
fn unit() -> () {}

/// Never returns.
#[corovan_guest::coroutine]
fn never() -> ! {
    corovan_guest::fail("as-asked", "never");
}

#[corovan_guest::coroutine]
pub fn changes_its_argument(mut n: u64) -> u64 {
    n += 1;
    n
}

#[derive(Serialize, Deserialize)]
struct Point<T> {
    x: T,
    y: T,
}

#[corovan_guest::coroutine]
#[inline]
fn many(
    point: Point<f64>,
    names: Vec<String>,
    table: BTreeMap<String, (u8, bool)>,
    whom: Option<Address>,
    #[rest] more: Vec<Value>,
) -> Result<(Point<f64>, usize), Box<dyn std::error::Error>> {
    let count = names.len() + table.len() + whom.iter().count() + more.len();
    if count == 0 { Err("nothing to count".into()) } else { Ok((point, count)) }
}

#[corovan_guest::coroutine]
fn unit_or_error(_ignored: bool) -> Result<(), corovan_guest::Error> {
    Ok(())
}

mod inner {
    /// A function of a module has the name of its own alone.
    #[corovan_guest::coroutine]
    pub fn deep(r#type: String) -> std::result::Result<String, std::fmt::Error> {
        Ok(r#type)
    }
}

corovan_guest::manifest! {
    memory: 1_048_576,
    wants: ["net.connect"],
}

#[test]
fn they_can_be_called_as_what_they_are() {
    nothing();
    unit();
    assert_eq!(changes_its_argument(1), 2);
    let (point, count) = many(Point { x: 1.0, y: 2.0 }, vec![], BTreeMap::new(), None, vec![Value::Null]).unwrap();
    assert_eq!((point.x, point.y, count), (1.0, 2.0, 1));
    assert!(unit_or_error(true).is_ok());
    assert_eq!(inner::deep("x".to_owned()), Ok("x".to_owned()));
}

#[test]
fn elsewhere_than_on_a_node_a_call_says_so() {
    let told = std::panic::catch_unwind(corovan_guest::self_address).unwrap_err();
    let text = told.downcast_ref::<String>().cloned().or_else(|| told.downcast_ref::<&str>().map(|s| s.to_string()));
    assert_eq!(text.as_deref(), Some("corovan_guest: `own_address` works only inside a Corovan node"));
}
