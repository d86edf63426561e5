//! A call that did not do what was asked, in a way its caller can handle.

use corovan_core::code::Code;

/// The code, and for a person the detail: which limit, grant or name, and what to do.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{detail}")]
pub struct Refusal {
    pub code: Code,
    pub detail: String,
}

impl Refusal {
    pub fn new(code: Code, detail: impl Into<String>) -> Refusal {
        Refusal { code, detail: detail.into() }
    }

    pub fn gone(what: impl std::fmt::Display) -> Refusal {
        Refusal::new(Code::Gone, format!("{what} has ended, or was never there"))
    }

    pub fn timeout(what: &str) -> Refusal {
        Refusal::new(Code::Timeout, what)
    }
}

impl From<corovan_core::tenancy::quota::Exhausted> for Refusal {
    fn from(exhausted: corovan_core::tenancy::quota::Exhausted) -> Refusal {
        Refusal::new(Code::Overloaded, exhausted.to_string())
    }
}
