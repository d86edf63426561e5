//! What a job's client is told of the coroutines that the job made: those that failed while nobody need have looked, and who
//! waited for whom when it was cancelled. Without it a child's panic is silence, and so is a program that hangs.

use crate::runtime::{Control, Runtime, Tree};
use corovan_core::limits;
use corovan_core::text::cut;
use corovan_core::wire::{ExitRecord, Outcome};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How a coroutine that a job made failed; `None` where it did not, or where somebody wanted it to end.
pub(super) fn failure(record: &ExitRecord) -> Option<String> {
    let how = match &record.outcome {
        Outcome::Failed { kind, text } => format!("failed ({kind}): {text}"),
        Outcome::Trapped { kind, backtrace } => format!("trapped: {kind}\n{}", backtrace.trim_end()),
        Outcome::OutOfMemory { limit } => format!("ran out of memory: its limit is {limit} bytes"),
        Outcome::OutOfBudget { limit } => format!("used up its CPU time of {:?}", Duration::from_nanos(*limit)),
        Outcome::Exited(code) if *code != 0 => format!("exited with code {code}"),
        _ => return None,
    };
    Some(cut(format!("{}, which the job made, {how}", record.function), limits::TEXT_BYTES))
}

/// Who of a job waits for another to do something, and in which call; `None` where nobody does. `own`: the job's own
/// coroutine, while it runs. Daemons are left out: nobody waits for them.
pub(super) fn waits(runtime: &Runtime, tree: Option<&Arc<Tree>>, own: Option<&Arc<Control>>) -> Option<String> {
    let others = tree.map(|tree| runtime.made_in(tree)).unwrap_or_default();
    let mut counts: BTreeMap<(Arc<str>, &str), usize> = BTreeMap::new();
    let all = own.into_iter().chain(others.iter().filter(|other| own.is_none_or(|own| own.address != other.address)));
    for control in all.filter(|control| !control.is_daemon()) {
        if let Some(call) = control.waits_for_others() {
            *counts.entry((Arc::clone(&control.program().function), call)).or_default() += 1;
        }
    }
    let mut parts = counts.iter().map(|((function, call), count)| match count {
        1 => format!("{function} in {call}"),
        count => format!("{count} of {function} in {call}"),
    });
    let shown: Vec<String> = parts.by_ref().take(SHOWN).collect();
    let more = if parts.next().is_some() { ", and more" } else { "" };
    let told = || cut(format!("when it was ended, there waited: {}{more}", shown.join(", ")), limits::TEXT_BYTES);
    (!shown.is_empty()).then(told)
}

/// Enough to see who waits for whom.
const SHOWN: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use corovan_core::ids::{Address, ModuleHash};

    #[test]
    fn a_failure_is_told_and_an_end_that_was_wanted_is_not() {
        let told = |outcome| {
            failure(&ExitRecord {
                address: Address::default(),
                module: ModuleHash([0; 32]),
                function: "worker".into(),
                attempt: 0,
                outcome,
                usage: Default::default(),
            })
        };
        let begins = "worker, which the job made, ";
        for (outcome, rest) in [
            (Outcome::Failed { kind: "panic".into(), text: "no paper".into() }, "failed (panic): no paper"),
            (Outcome::Trapped { kind: "unreachable".into(), backtrace: "0: f\n".into() }, "trapped: unreachable\n0: f"),
            (Outcome::OutOfMemory { limit: 7 }, "ran out of memory: its limit is 7 bytes"),
            (Outcome::OutOfBudget { limit: 2_000_000 }, "used up its CPU time of 2ms"),
            (Outcome::Exited(3), "exited with code 3"),
        ] {
            assert_eq!(told(outcome), Some(format!("{begins}{rest}")));
        }
        for outcome in [
            Outcome::Finished(Default::default()),
            Outcome::Exited(0),
            Outcome::Deadline { limit: 1 },
            Outcome::Terminated { by: "client".into(), reason: "enough".into(), value: None },
        ] {
            assert_eq!(told(outcome), None);
        }
        let long = told(Outcome::Failed { kind: "error".into(), text: "x".repeat(2 * limits::TEXT_BYTES) });
        assert!(long.is_some_and(|text| text.len() <= limits::TEXT_BYTES));
    }
}
