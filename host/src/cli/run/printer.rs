//! What the user sees: a single job's bytes unchanged, several jobs' prefixed, or JSON lines; a bar on a terminal.

use super::escape::Escaper;
use super::options::Plan;
use super::{exit, report};
use corovan_client::{Error, Event};
use corovan_core::wire::{ExitRecord, Outcome};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::{self, IsTerminal, Write};

pub struct Printer {
    style: Style,
    quiet: bool,
    /// Escape what goes to standard output, and to standard error.
    escape: [bool; 2],
    bar: ProgressBar,
    /// Node and arguments of open jobs, and what their streams hold back.
    open: HashMap<u64, Open>,
    /// The last byte of standard output, so that a result starts on a line of its own.
    last: u8,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    One,
    Many,
    Json,
}

#[derive(Default)]
struct Open {
    node: String,
    arguments: Option<String>,
    escapers: [Escaper; 2],
    /// Beginnings of lines whose rest has not come.
    partial: [Vec<u8>; 2],
}

/// A line longer than this is printed in parts.
const MAX_LINE: usize = 64 << 10;
const LEVELS: [&str; 5] = ["error", "warning", "info", "debug", "trace"];

impl Printer {
    pub fn new(plan: &Plan) -> Printer {
        let style = match (plan.json, plan.jobs) {
            (true, _) => Style::Json,
            (false, 1) => Style::One,
            _ => Style::Many,
        };
        let bar = if style == Style::Many && !plan.quiet && io::stderr().is_terminal() {
            let bar = ProgressBar::with_draw_target(Some(plan.jobs), ProgressDrawTarget::stderr());
            let template = "{elapsed_precise} {wide_bar} {pos}/{len} jobs, {eta} left";
            bar.with_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()))
        } else {
            ProgressBar::hidden()
        };
        let terminals = [io::stdout().is_terminal(), io::stderr().is_terminal()];
        Printer {
            style,
            quiet: plan.quiet,
            escape: terminals.map(|is| is && !plan.raw),
            bar,
            open: HashMap::new(),
            last: b'\n',
        }
    }

    /// More than one job, so that they must be told apart.
    pub fn is_plural(&self) -> bool {
        self.style != Style::One
    }

    pub fn submitted(&mut self, job: u64, node: &str, arguments: Option<String>) {
        self.open.insert(job, Open { node: node.to_owned(), arguments, ..Open::default() });
    }

    /// Anything but the exit.
    pub fn event(&mut self, job: u64, event: Event) -> io::Result<()> {
        match event {
            Event::Stdout(bytes) => self.output(job, 0, &bytes),
            Event::Stderr(bytes) => self.output(job, 1, &bytes),
            Event::Placed { node, name, attempt, why } => {
                let name = if name.is_empty() { node.to_string() } else { name };
                if let Some(open) = self.open.get_mut(&job) {
                    open.node = name.clone();
                }
                if self.style != Style::Json {
                    return Ok(());
                }
                self.json(&json!({ "event": "placed", "job": job, "node": name, "attempt": attempt, "why": why }))
            }
            other if self.style == Style::Json => self.json(&event_json(job, self.node(job), &other)),
            Event::Started { .. } if self.style == Style::Many && !self.quiet => {
                let open = self.open.get(&job);
                let (node, arguments) =
                    open.map_or(("", ""), |open| (&open.node[..], open.arguments.as_deref().unwrap_or_default()));
                let line = format!("job {job}: {node} processing {arguments}");
                self.line(1, &line)
            }
            Event::Progress { done, total, text } if !self.quiet => {
                let of = if total == 0 { String::new() } else { format!(" of {total}") };
                let line = format!("{}{done}{of} {}", self.prefix(job), super::escape::text(&text));
                self.line(1, line.trim_end())
            }
            Event::Log { level, text, dropped } if !self.quiet || level <= 2 => {
                if dropped > 0 {
                    self.line(1, &format!("{}{dropped} log lines were dropped here", self.prefix(job)))?;
                }
                let level = LEVELS.get(usize::from(level).saturating_sub(1)).unwrap_or(&"log");
                self.line(1, &format!("{}{level}: {}", self.prefix(job), super::escape::text(&text)))
            }
            _ => Ok(()),
        }
    }

    /// A job's last word.
    pub fn exit(&mut self, job: u64, record: &ExitRecord, lost: Option<&Error>) -> io::Result<()> {
        let mut open = self.open.remove(&job).unwrap_or_default();
        self.bar.inc(1);
        if self.style == Style::Json {
            return self.json(&report::to_json(job, &open.node, record, lost));
        }
        for stream in 0..2 {
            let mut rest = std::mem::take(&mut open.partial[stream]);
            rest.extend(open.escapers[stream].finish());
            if !rest.is_empty() && self.style == Style::Many {
                self.prefixed(job, stream, &rest)?;
            } else {
                self.write(stream, &rest)?;
            }
        }
        let succeeded = matches!(record.outcome, Outcome::Finished(_) | Outcome::Exited(0));
        match (self.style, &record.outcome) {
            (Style::One, Outcome::Finished(value)) if value.is_empty() => Ok(()),
            (Style::One, Outcome::Finished(_)) => {
                if self.last != b'\n' {
                    self.write(0, b"\n")?;
                }
                self.line(0, &report::value_of(&record.outcome).to_string())
            }
            // A program that exits says itself why; so does one that succeeds.
            (Style::One, Outcome::Exited(code)) if *code <= exit::GUEST_MAX => Ok(()),
            (Style::One, _) => self.line(1, &format!("corovan: the job {}", report::describe(record, lost))),
            _ => {
                let on = if open.node.is_empty() { String::new() } else { format!(" on {}", open.node) };
                let line = format!("job {job}{on}: {}", report::describe(record, lost));
                self.line(usize::from(!succeeded), &line)
            }
        }
    }

    /// Something about the command itself.
    pub fn note(&mut self, text: &str) {
        if self.style != Style::Json {
            // A closed standard error leaves nobody to tell.
            let _ = self.line(1, &format!("corovan: {text}"));
        }
    }

    pub fn finish(&mut self) {
        self.bar.finish_and_clear();
    }

    fn output(&mut self, job: u64, stream: usize, bytes: &[u8]) -> io::Result<()> {
        if self.style == Style::Json {
            let name = ["stdout", "stderr"][stream];
            let value = match std::str::from_utf8(bytes) {
                Ok(text) => json!({ "event": name, "job": job, "text": text }),
                // Bytes as an array of numbers: rare, and every reader understands it.
                Err(_) => json!({ "event": name, "job": job, "bytes": bytes }),
            };
            return self.json(&value);
        }
        let Some(open) = self.open.get_mut(&job) else { return Ok(()) };
        let escaped = if self.escape[stream] { Some(open.escapers[stream].escape(bytes)) } else { None };
        let bytes = escaped.as_deref().unwrap_or(bytes);
        if self.style == Style::One {
            return self.write(stream, bytes);
        }
        open.partial[stream].extend_from_slice(bytes);
        let end = open.partial[stream].iter().rposition(|byte| *byte == b'\n').map(|at| at + 1);
        let end = end.or((open.partial[stream].len() >= MAX_LINE).then_some(open.partial[stream].len()));
        let Some(end) = end else { return Ok(()) };
        let rest = open.partial[stream].split_off(end);
        let lines = std::mem::replace(&mut open.partial[stream], rest);
        self.prefixed(job, stream, &lines)
    }

    /// Whole lines of one of several jobs.
    fn prefixed(&mut self, job: u64, stream: usize, lines: &[u8]) -> io::Result<()> {
        let mut out = Vec::with_capacity(lines.len() + 16);
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            out.extend_from_slice(format!("[{job}] ").as_bytes());
            out.extend_from_slice(line);
        }
        if out.last() != Some(&b'\n') {
            out.push(b'\n');
        }
        self.write(stream, &out)
    }

    fn prefix(&self, job: u64) -> String {
        if self.style == Style::Many { format!("job {job}: ") } else { String::new() }
    }

    fn node(&self, job: u64) -> &str {
        self.open.get(&job).map_or("", |open| &open.node)
    }

    fn json(&mut self, value: &Value) -> io::Result<()> {
        self.line(0, &value.to_string())
    }

    fn line(&mut self, stream: usize, line: &str) -> io::Result<()> {
        self.write(stream, format!("{line}\n").as_bytes())
    }

    /// Writes at once: output is live. The bar steps aside.
    fn write(&mut self, stream: usize, bytes: &[u8]) -> io::Result<()> {
        let Some(last) = bytes.last() else { return Ok(()) };
        if stream == 0 {
            self.last = *last;
        }
        self.bar.suspend(|| {
            if stream == 0 {
                let mut out = io::stdout().lock();
                out.write_all(bytes)?;
                out.flush()
            } else {
                // What standard error is for is said by the exit code too; that nobody reads it at all is a reason to end.
                io::stderr().lock().write_all(bytes).or_else(|error| match error.kind() {
                    io::ErrorKind::BrokenPipe => Err(error),
                    _ => Ok(()),
                })
            }
        })
    }
}

fn event_json(job: u64, node: &str, event: &Event) -> Value {
    match event {
        Event::Queued { position } => json!({ "event": "queued", "job": job, "position": position }),
        Event::Started { address } => {
            json!({ "event": "started", "job": job, "node": node, "address": address.to_string() })
        }
        Event::Progress { done, total, text } => {
            json!({ "event": "progress", "job": job, "done": done, "total": total, "text": text })
        }
        Event::Log { level, text, dropped } => {
            json!({ "event": "log", "job": job, "level": level, "text": text, "dropped": dropped })
        }
        _ => Value::Null,
    }
}
