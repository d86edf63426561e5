//! How a job ended, in words and as JSON.

use super::escape;
use corovan_client::{Arguments, Error, value};
use corovan_core::wire::{ExitRecord, Outcome, Usage};
use serde_json::{Value, json};
use std::time::Duration;

/// The value of a job as JSON; `null` where it gave none.
pub fn value_of(outcome: &Outcome) -> Value {
    let Some(bytes) = outcome.value().filter(|bytes| !bytes.is_empty()) else { return Value::Null };
    value::to_json(bytes).unwrap_or_else(|error| Value::String(format!("(not shown: {error})")))
}

/// What a job was given, for people.
pub fn arguments(values: &Arguments, argv: &[String]) -> String {
    if argv.is_empty() {
        match value::to_json(values.as_bytes()) {
            Ok(json) => shorten(json.to_string()),
            Err(_) => format!("({} bytes)", values.as_bytes().len()),
        }
    } else {
        shorten(argv.join(" "))
    }
}

/// One or more lines: what happened, where, and what to do.
pub fn describe(record: &ExitRecord, lost: Option<&Error>) -> String {
    let text = match &record.outcome {
        Outcome::Finished(_) => match value_of(&record.outcome) {
            Value::Null => "finished".to_owned(),
            value => format!("finished with {value}"),
        },
        Outcome::Exited(code) => format!("exited with code {code}"),
        Outcome::Failed { kind, text } if kind == "panic" => format!("panicked: {text}"),
        Outcome::Failed { kind, text } => format!("failed ({kind}): {text}"),
        Outcome::Trapped { kind, backtrace } => format!("trapped: {kind}\n{}", backtrace.trim_end()),
        Outcome::OutOfMemory { limit } => {
            format!("ran out of memory: its limit is {} MiB; ask for more with --memory", limit >> 20)
        }
        Outcome::OutOfBudget { limit } => format!("used up its CPU time of {:?} (--cpu)", Duration::from_nanos(*limit)),
        Outcome::Deadline { limit } => format!("was stopped at its deadline of {:?}", Duration::from_nanos(*limit)),
        Outcome::Terminated { by, reason, value } => {
            let value = match value {
                Some(_) => format!(", with the value {}", value_of(&record.outcome)),
                None => String::new(),
            };
            format!("was terminated by {by}: {reason}{value}")
        }
        Outcome::NodeLost(node) => match lost {
            Some(error) => format!("is lost: {error}"),
            None => format!("is lost with node {node}"),
        },
        Outcome::Refused { code, why } => format!("was refused ({code}): {why}"),
    };
    escape::text(&text)
}

/// The record as one JSON object.
pub fn to_json(job: u64, node: &str, record: &ExitRecord, lost: Option<&Error>) -> Value {
    let mut object = json!({
        "event": "exit",
        "job": job,
        "node": node,
        "address": record.address.to_string(),
        "module": record.module.to_string(),
        "function": &*record.function,
        "attempt": record.attempt,
        "outcome": record.outcome.name(),
        "usage": usage(&record.usage),
    });
    let detail = match &record.outcome {
        Outcome::Finished(_) => json!({ "value": value_of(&record.outcome) }),
        Outcome::Exited(code) => json!({ "code": code }),
        Outcome::Failed { kind, text } => json!({ "kind": kind, "text": text }),
        Outcome::Trapped { kind, backtrace } => json!({ "kind": kind, "backtrace": backtrace }),
        Outcome::OutOfMemory { limit } => json!({ "limit_bytes": limit }),
        Outcome::OutOfBudget { limit } | Outcome::Deadline { limit } => json!({ "limit_ns": limit }),
        Outcome::Terminated { by, reason, .. } => {
            json!({ "by": by, "reason": reason, "value": value_of(&record.outcome) })
        }
        Outcome::NodeLost(lost_node) => {
            json!({ "lost": lost_node.to_string(), "text": lost.map(ToString::to_string) })
        }
        Outcome::Refused { code, why } => json!({ "code": code.name(), "text": why }),
    };
    if let (Value::Object(object), Value::Object(detail)) = (&mut object, detail) {
        object.extend(detail);
    }
    object
}

fn usage(usage: &Usage) -> Value {
    json!({ "cpu_ns": usage.cpu, "wall_ns": usage.wall, "memory_peak_bytes": usage.memory_peak })
}

fn shorten(text: String) -> String {
    const MAX: usize = 120;
    if text.chars().count() <= MAX {
        return text;
    }
    text.chars().take(MAX).chain("...".chars()).collect()
}
