//! When a job is tried again: its policy, how the attempt ended, and nothing else. Time and chance are arguments.

use crate::limits;
use crate::wire::Outcome;
use crate::wire::durable::Retry;
use std::time::Duration;

/// Why a policy is none.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Error {
    #[error("a job is tried at most {max} times, not {0}", max = limits::DURABLE_ATTEMPTS)]
    Attempts(u32),
    #[error("a retry policy names at most {max} exit codes, not {0}", max = limits::DURABLE_EXITS)]
    Exits(usize),
}

pub fn check(retry: &Retry) -> Result<(), Error> {
    match retry {
        Retry { attempts, .. } if *attempts > limits::DURABLE_ATTEMPTS => Err(Error::Attempts(*attempts)),
        Retry { exits, .. } if exits.len() > limits::DURABLE_EXITS => Err(Error::Exits(exits.len())),
        _ => Ok(()),
    }
}

/// How long to wait before the next attempt, after the one of this number (from 1) ended so; `None`: it was the last. `random`: any
/// number, for the jitter.
pub fn next(retry: &Retry, attempt: u32, outcome: &Outcome, random: u64) -> Option<Duration> {
    if attempt >= retry.attempts || !covers(retry, outcome) {
        return None;
    }
    let lost = matches!(outcome, Outcome::NodeLost(_)) && !retry.overlap;
    let least = if lost { limits::DURABLE_LEASE + limits::DURABLE_LEASE_MARGIN } else { Duration::ZERO };
    Some(least.max(back_off(retry, attempt, random)))
}

fn covers(retry: &Retry, outcome: &Outcome) -> bool {
    match outcome {
        Outcome::NodeLost(_) => retry.node_loss,
        Outcome::Failed { .. } | Outcome::Trapped { .. } | Outcome::OutOfMemory { .. } => retry.trap,
        Outcome::Exited(code) => *code != 0 && (retry.any_exit || retry.exits.contains(code)),
        // Somebody wanted it to end, or would not have it; and time that has run out runs out again.
        Outcome::Finished(_)
        | Outcome::OutOfBudget { .. }
        | Outcome::Deadline { .. }
        | Outcome::Terminated { .. }
        | Outcome::Refused { .. } => false,
    }
}

/// From half of what it says to all of it: those that failed together do not come back together.
fn back_off(retry: &Retry, attempt: u32, random: u64) -> Duration {
    let or = |nanos: u64, default: Duration| if nanos == 0 { default } else { Duration::from_nanos(nanos) };
    let most = or(retry.most, limits::RETRY_WAIT_MAX).min(limits::RETRY_WAIT_MAX);
    let whole = or(retry.wait, limits::RETRY_WAIT).saturating_mul(1 << (attempt - 1).min(20)).min(most);
    let half = whole / 2;
    let nanos = u64::try_from(half.as_nanos()).unwrap_or(u64::MAX);
    half + Duration::from_nanos(random % nanos.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::NodeId;
    use proptest::prelude::*;

    #[test]
    fn a_policy_covers_what_it_names_and_nothing_is_tried_again_by_itself() {
        let lost = Outcome::NodeLost(NodeId::default());
        let trap = Outcome::Trapped { kind: "unreachable".into(), backtrace: String::new() };
        let panic = Outcome::Failed { kind: "panic".into(), text: String::new() };
        let ended = Outcome::Terminated { by: "client".into(), reason: String::new(), value: None };
        let all = [&lost, &trap, &panic, &Outcome::Exited(75), &Outcome::Exited(1), &Outcome::Exited(0), &ended];
        let covered = |retry: Retry| all.map(|outcome| next(&retry, 1, outcome, 0).is_some());
        let some = Retry { attempts: 2, ..Retry::default() };
        for (retry, expected) in [
            (Retry::default(), [false; 7]),
            (some.clone(), [false; 7]),
            (Retry { node_loss: true, ..some.clone() }, [true, false, false, false, false, false, false]),
            (Retry { trap: true, ..some.clone() }, [false, true, true, false, false, false, false]),
            (Retry { exits: vec![75], ..some.clone() }, [false, false, false, true, false, false, false]),
            (Retry { any_exit: true, ..some.clone() }, [false, false, false, true, true, false, false]),
        ] {
            assert_eq!(covered(retry.clone()), expected, "{retry:?}");
            assert!(all.iter().all(|outcome| next(&retry, 2, outcome, 0).is_none()), "two attempts are two");
        }
    }

    #[test]
    fn what_was_lost_is_tried_again_when_the_other_attempt_has_certainly_ended() {
        let lost = Outcome::NodeLost(NodeId::default());
        let retry = Retry { attempts: 2, node_loss: true, wait: 1, ..Retry::default() };
        let wait = next(&retry, 1, &lost, 7).unwrap();
        assert_eq!(wait, limits::DURABLE_LEASE + limits::DURABLE_LEASE_MARGIN);
        assert!(next(&Retry { overlap: true, ..retry }, 1, &lost, 7).unwrap() <= Duration::from_nanos(1));
    }

    #[test]
    fn a_policy_is_bounded() {
        assert!(check(&Retry { attempts: limits::DURABLE_ATTEMPTS, ..Retry::default() }).is_ok());
        assert!(check(&Retry { attempts: limits::DURABLE_ATTEMPTS + 1, ..Retry::default() }).is_err());
        assert!(check(&Retry { exits: vec![1; limits::DURABLE_EXITS + 1], ..Retry::default() }).is_err());
    }

    proptest! {
        #[test]
        fn each_wait_is_at_most_twice_the_one_before_and_never_over_the_most(
            attempt in 1..999_u32, wait: u64, most: u64, random: u64,
        ) {
            let retry = Retry { attempts: 1_000, trap: true, wait, most, ..Retry::default() };
            let trap = Outcome::OutOfMemory { limit: 1 };
            let waited = next(&retry, attempt, &trap, random).unwrap();
            prop_assert!(waited <= limits::RETRY_WAIT_MAX);
            prop_assert!(most == 0 || waited <= Duration::from_nanos(most));
            let later = next(&retry, attempt + 1, &trap, u64::MAX - 1).unwrap();
            prop_assert!(later.as_nanos() * 4 + 4 >= waited.as_nanos());
        }
    }
}
