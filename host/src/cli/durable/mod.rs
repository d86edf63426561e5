//! Durable jobs on the command line: one file for each thing that is done with them.

pub mod change;
pub mod logs;
pub mod result;
pub mod shown;
pub mod submit;
