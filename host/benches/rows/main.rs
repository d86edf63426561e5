//! The rows of the table of targets, each against the bare library in the same run. Prints one JSON object a line; run it by
//! `cargo xtask bench`. It measures and never judges: a missed target is shown, not an error.

mod channels;
mod durable;
mod engine;
mod erlang;
mod jobs;
mod loss;
mod mesh;
mod messages;
mod process;
mod python;

use serde_json::json;
use std::time::Duration;

/// As in the binary, and for the baselines as well.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// One measured row.
pub struct Row {
    pub number: &'static str,
    pub measure: String,
    pub value: f64,
    pub unit: &'static str,
    pub baseline: Option<(f64, &'static str)>,
    pub target: &'static str,
    pub met: Option<bool>,
}

impl Row {
    fn print(&self) {
        let ratio = self.baseline.map(|(baseline, _)| self.value / baseline).filter(|ratio| ratio.is_finite());
        println!(
            "{}",
            json!({
                "row": self.number, "measure": self.measure, "value": self.value, "unit": self.unit,
                "baseline": self.baseline.map(|(value, _)| value), "baseline_name": self.baseline.map(|(_, name)| name),
                "ratio": ratio, "target": self.target, "met": self.met,
            })
        );
    }
}

type Measure = fn() -> anyhow::Result<Vec<Row>>;

const ROWS: &[(&str, Measure)] = &[
    ("1", engine::spawn),
    ("1", messages::spawn),
    ("2", messages::ping_pong),
    ("3", messages::one_way),
    ("4", engine::suspended),
    ("5", mesh::round_trips),
    ("6", mesh::one_way),
    ("6", channels::published),
    ("7", jobs::attached),
    ("7", jobs::relayed),
    ("7b", durable::accepted),
    ("8", jobs::first_run),
    ("9", engine::hard_stop),
    ("11", loss::noticed),
    ("13", jobs::idle),
];

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if arguments.first().is_some_and(|first| first == process::ECHO) {
        return process::serve_echo();
    }
    for (number, measure) in ROWS {
        if arguments.is_empty() || arguments.iter().any(|asked| asked == number) {
            measure()?.iter().for_each(Row::print);
        }
    }
    Ok(())
}

/// The value below which the given share of the samples lies.
pub fn percentile(samples: &mut [Duration], share: f64) -> Duration {
    samples.sort_unstable();
    let at = ((samples.len() as f64 * share) as usize).min(samples.len().saturating_sub(1));
    samples.get(at).copied().unwrap_or_default()
}
