//! What a fresh machine lacks, and how it gets it: system packages, tools from PyPI in a folder of our own, and the
//! Rust target of guests. Each is asked for only when something needs it, and looked for before it is installed.

pub mod apt;
pub mod browser;
pub mod guest;
pub mod python;
pub mod rust;
