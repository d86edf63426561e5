//! echo: gives back what it was given. Shows that arguments of every kind reach a job and return unchanged.

use corovan_guest::{Error, Value, args_cbor, finish_cbor};

/// Returns the list of its arguments, byte for byte as it came.
#[corovan_guest::coroutine]
fn echo(#[rest] _values: Vec<Value>) -> Result<(), Error> {
    finish_cbor(&args_cbor())
}

/// Returns its one argument.
#[corovan_guest::coroutine]
fn same(value: Value) -> Value {
    value
}

/// Returns its name and address as the node gave them.
#[corovan_guest::coroutine]
fn who() -> (String, corovan_guest::Address) {
    (corovan_guest::entry(), corovan_guest::self_address())
}
