//! Exit codes. Stable: scripts depend on them. `docs/cli.md` has the table.

use crate::enrol;
use corovan_client::Error;
use corovan_core::wire::Outcome;
use std::io;

pub const DONE: u8 = 0;
/// A guest's own codes go up to this one.
pub const GUEST_MAX: u32 = 119;
/// The job failed, trapped, ran out of memory, or exited with a code over [`GUEST_MAX`].
pub const FAILED: u8 = 120;
/// The job was stopped: terminated, or out of its CPU budget.
pub const STOPPED: u8 = 121;
/// The node refused: the module, the function, an argument, a quota, the certificate.
pub const REFUSED: u8 = 122;
/// A node cannot be reached, or was lost.
pub const NODE: u8 = 123;
/// A job's deadline, `--timeout`, has passed.
pub const TIMEOUT: u8 = 124;
/// Wrong usage, an unreadable file, or another fault on this machine.
pub const USAGE: u8 = 125;
/// Interrupted by SIGINT, as shells have it; SIGTERM is 143; a closed standard output 141.
pub const INTERRUPTED: u8 = 130;
pub const TERMINATED: u8 = 143;
pub const BROKEN_PIPE: u8 = 141;

/// The code for how a job ended.
pub fn of_outcome(outcome: &Outcome) -> u8 {
    match outcome {
        Outcome::Finished(_) => DONE,
        Outcome::Exited(code) if *code <= GUEST_MAX => u8::try_from(*code).unwrap_or(FAILED),
        Outcome::Failed { kind, .. } if kind == "bad-argument" => REFUSED,
        Outcome::Exited(_) | Outcome::Failed { .. } | Outcome::Trapped { .. } | Outcome::OutOfMemory { .. } => FAILED,
        Outcome::OutOfBudget { .. } | Outcome::Terminated { .. } => STOPPED,
        Outcome::Deadline { .. } => TIMEOUT,
        Outcome::NodeLost(_) => NODE,
        Outcome::Refused { .. } => REFUSED,
    }
}

/// The code for an error that ends the command.
pub fn of_error(error: &anyhow::Error) -> u8 {
    if error.downcast_ref().map(io::Error::kind) == Some(io::ErrorKind::BrokenPipe) {
        return BROKEN_PIPE;
    }
    let asking = match error.downcast_ref() {
        Some(enrol::Error::Asking(source) | enrol::Error::OtherCa { source, .. }) => Some(source),
        _ => None,
    };
    match error.downcast_ref::<Error>().or(asking) {
        Some(Error::Refused { .. } | Error::ClientCertificate { .. } | Error::Version { .. }) => REFUSED,
        Some(
            Error::Resolve { .. }
            | Error::NothingListens { .. }
            | Error::NoAnswer { .. }
            | Error::NotCorovan { .. }
            | Error::NoJoining { .. }
            | Error::Connect { .. }
            | Error::NodeCertificate { .. }
            | Error::NodeLost { .. },
        ) => NODE,
        _ => USAGE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use corovan_core::code::Code;

    #[test]
    fn every_outcome_has_its_code() {
        let failed = |kind: &str| Outcome::Failed { kind: kind.into(), text: String::new() };
        for (outcome, code) in [
            (Outcome::Finished(Default::default()), 0),
            (Outcome::Exited(0), 0),
            (Outcome::Exited(7), 7),
            (Outcome::Exited(119), 119),
            (Outcome::Exited(120), 120),
            (Outcome::Exited(u32::MAX), 120),
            (failed("panic"), 120),
            (failed("bad-argument"), 122),
            (Outcome::OutOfMemory { limit: 1 }, 120),
            (Outcome::OutOfBudget { limit: 1 }, 121),
            (Outcome::Deadline { limit: 1 }, 124),
            (Outcome::NodeLost(Default::default()), 123),
            (Outcome::Refused { code: Code::Overloaded, why: String::new() }, 122),
        ] {
            assert_eq!(of_outcome(&outcome), code, "{outcome:?}");
        }
    }

    #[test]
    fn nobody_who_reads_is_told_apart_from_other_faults() {
        assert_eq!(of_error(&io::Error::from(io::ErrorKind::BrokenPipe).into()), BROKEN_PIPE);
        assert_eq!(of_error(&io::Error::from(io::ErrorKind::NotFound).into()), USAGE);
        assert_eq!(of_error(&anyhow::anyhow!("text")), USAGE);
    }
}
