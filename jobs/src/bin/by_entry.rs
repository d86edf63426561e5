//! by_entry: a module that exports no coroutine function and has two all the same: its manifest lists them, and `main` asks the node
//! which one to run. Shows the way of languages that cannot export functions.

use corovan_guest::{Error, args, entry, fail, finish, report_panics};

corovan_guest::manifest! { functions: ["sum", "join"] }

fn main() -> Result<(), Error> {
    report_panics();
    match entry().as_str() {
        "sum" => finish(&arguments::<Vec<f64>>().iter().sum::<f64>()),
        "join" => finish(&arguments::<Vec<String>>().join(" ")),
        other => fail("unknown-function", other),
    }
}

fn arguments<T: serde::de::DeserializeOwned>() -> T {
    args().unwrap_or_else(|text| fail("bad-argument", &text))
}
