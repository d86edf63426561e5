//! `corovan run`: ship a module, run jobs, show what they say, exit as they did.

mod embedded;
pub(super) mod escape;
mod options;
mod printer;
pub(super) mod report;
mod stdin;

use super::node::runtime;
use super::what::JobArguments;
use super::{credentials, exit};
use anyhow::Context;
use corovan_client::{Computation, ConnectOptions, Event, Job, Jobs, Node, Spec, SubmitOptions};
use embedded::{Embedded, Who};
pub use options::Args;
use options::Plan;
use printer::Printer;
use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// One node with the spec ready on it.
struct Target {
    node: Node,
    computation: Computation,
    spec: Spec,
    open: usize,
}

/// Jobs in flight for each node: enough to keep it busy, few enough to show progress soon.
const WINDOW: usize = 10_000;
/// Longer than most modules take to be compiled; who waits longer wants to know for what.
const NOTICE: Duration = Duration::from_secs(2);
/// How long the exits of cancelled jobs are waited for.
const CANCEL_WAIT: Duration = Duration::from_secs(3);

pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let plan = args.plan()?;
    let runtime = runtime()?;
    let code = runtime.block_on(execute(plan))?;
    // Whatever still runs in the background may not hold the command back.
    runtime.shutdown_background();
    Ok(ExitCode::from(code))
}

async fn execute(plan: Plan) -> anyhow::Result<u8> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    // Nothing runs before all nodes are ready, so nothing needs to be ended.
    let (embedded, targets) = tokio::select! {
        biased;
        _ = interrupt.recv() => return Ok(before_the_start("interrupted", exit::INTERRUPTED)),
        _ = terminate.recv() => return Ok(before_the_start("terminated", exit::TERMINATED)),
        never = patience(&plan) => match never {},
        ready = prepare(&plan) => ready?,
    };
    let mut session = Session {
        printer: Printer::new(&plan),
        jobs: Jobs::new(),
        targets,
        code: None,
        where_: Default::default(),
        mute: None,
    };
    let code = session.follow(&plan, &mut interrupt, &mut terminate).await;
    session.printer.finish();
    for target in &session.targets {
        target.node.close().await;
    }
    if let Some(embedded) = embedded {
        embedded.shut_down().await;
    }
    code
}

fn before_the_start(why: &str, code: u8) -> u8 {
    eprintln!("corovan: {why} while the node made ready: nothing has run");
    code
}

/// Says once what takes so long, where a person waits, and goes on for ever. Into a file it says nothing: how long a node takes
/// is no part of what a job says.
async fn patience(plan: &Plan) -> std::convert::Infallible {
    tokio::time::sleep(NOTICE).await;
    if !plan.json && !plan.quiet && std::io::stderr().is_terminal() {
        eprintln!("corovan: making ready; a node compiles a module when it first has it, and keeps the result");
    }
    std::future::pending().await
}

async fn prepare(plan: &Plan) -> anyhow::Result<(Option<Embedded>, Vec<Target>)> {
    let (embedded, connected) = connect(plan).await?;
    let mut targets = Vec::new();
    for node in connected {
        let computation = node.open("corovan run").await?;
        let spec = computation.prepare(plan.prepare.clone()).await?;
        targets.push(Target { node, computation, spec, open: 0 });
    }
    Ok((embedded, targets))
}

async fn connect(plan: &Plan) -> anyhow::Result<(Option<Embedded>, Vec<Node>)> {
    let options = ConnectOptions { agent: crate::api::AGENT.into(), ..ConnectOptions::default() };
    if plan.nodes.is_empty() {
        let embedded = Embedded::start(plan.data.as_deref(), Who::of(plan)?).await?;
        if plan.mesh.as_ref().is_some_and(|mesh| mesh.discover || !mesh.peers.is_empty()) {
            embedded.meet().await;
        }
        let node = Node::connect(&embedded.address(), embedded.credentials(), options).await?;
        return Ok((Some(embedded), vec![node]));
    }
    let dir = plan.certs.as_deref().context(
        "--node needs --certs DIR (or COROVAN_CERTS): the directory with ca.crt and your tenant's certificate, \
         as `corovan cert tenant NAME --dir DIR` makes it; for a development node, DATA/dev-ca",
    )?;
    let credentials = credentials::load(dir, "tenant", plan.tenant.as_deref())?;
    let mut nodes = Vec::new();
    for address in &plan.nodes {
        nodes.push(Node::connect(address, &credentials, options.clone()).await?);
    }
    Ok((None, nodes))
}

/// Jobs on their way.
struct Session {
    printer: Printer,
    jobs: Jobs,
    targets: Vec<Target>,
    /// The exit code of the first job that did not succeed.
    code: Option<u8>,
    /// Number and target of each open job, by its key in `jobs`.
    where_: std::collections::HashMap<u64, (u64, usize)>,
    /// Why nothing can be printed any more.
    mute: Option<std::io::Error>,
}

impl Session {
    /// Submits and follows until all have ended; the command's exit code.
    async fn follow(&mut self, plan: &Plan, interrupt: &mut Signal, terminate: &mut Signal) -> anyhow::Result<u8> {
        let mut arguments = plan.arguments();
        let mut next = arguments.next();
        let mut number = 0;
        let window = WINDOW * self.targets.len();
        let mut stopped = None;
        let mut lost = None;
        let deadline = tokio::time::sleep(Duration::MAX);
        let mut deadline = std::pin::pin!(deadline);
        loop {
            let may_submit = next.is_some() && self.jobs.len() < window && stopped.is_none() && lost.is_none();
            if self.jobs.is_empty() && !may_submit {
                break;
            }
            tokio::select! {
                biased;
                _ = interrupt.recv() => if self.stop("interrupted", &mut stopped, exit::INTERRUPTED, deadline.as_mut()) { break },
                _ = terminate.recv() => if self.stop("terminated", &mut stopped, exit::TERMINATED, deadline.as_mut()) { break },
                () = &mut deadline, if stopped.is_some() => break,
                Some((key, event, ended)) = self.jobs.next_event(), if !self.jobs.is_empty() => {
                    if let Err(error) = self.event(key, event, ended) {
                        // Nobody reads our output any more, as in `corovan run ... | head`, or the disk is full.
                        self.mute = Some(error);
                        self.stop("its output cannot be written", &mut stopped, exit::BROKEN_PIPE, deadline.as_mut());
                    }
                }
                () = std::future::ready(()), if may_submit => {
                    if let Some(job) = next.take() {
                        number += 1;
                        // A node that takes nothing more makes this wait; a signal does not wait with it.
                        let signal = tokio::select! {
                            submitted = self.submit(plan, number, job) => match submitted {
                                Ok(()) => None,
                                // The jobs that were lost with it are told of first, each by its event.
                                Err(error) if self.targets.iter().all(|target| target.node.failure().is_some()) => {
                                    lost = Some(error);
                                    None
                                }
                                Err(error) => return Err(error),
                            },
                            _ = interrupt.recv() => Some(("interrupted", exit::INTERRUPTED)),
                            _ = terminate.recv() => Some(("terminated", exit::TERMINATED)),
                        };
                        if let Some((why, code)) = signal {
                            self.stop(why, &mut stopped, code, deadline.as_mut());
                        }
                    }
                    next = arguments.next();
                }
            }
        }
        if let Some(error) = self.mute.take_if(|error| error.kind() != std::io::ErrorKind::BrokenPipe) {
            return Err(anyhow::Error::new(error).context("standard output cannot be written"));
        }
        if let Some(code) = stopped {
            return Ok(code);
        }
        if let Some(error) = lost {
            return Err(error);
        }
        for target in &self.targets {
            target.computation.close().await.or_else(|error| if self.code.is_some() { Ok(()) } else { Err(error) })?;
        }
        Ok(self.code.unwrap_or(exit::DONE))
    }

    async fn submit(&mut self, plan: &Plan, number: u64, arguments: JobArguments) -> anyhow::Result<()> {
        // The least loaded of the nodes that are still there.
        let alive = self.targets.iter_mut().enumerate().filter(|(_, target)| target.node.failure().is_none());
        let Some((index, target)) = alive.min_by_key(|(_, target)| target.open) else {
            let lost = self.targets.first().and_then(|target| target.node.failure());
            return Err(lost.map_or_else(|| anyhow::anyhow!("there is no node"), anyhow::Error::new));
        };
        let options = SubmitOptions { argv: arguments.argv, stdin: plan.stdin, at: plan.at.clone() };
        let shown = self.printer.is_plural().then(|| report::arguments(&arguments.values, &options.argv));
        let mut job = target.computation.submit(&target.spec, arguments.values, options).await?;
        if plan.stdin {
            stdin::forward(job.stdin().await?);
        }
        target.open += 1;
        let name = target.computation.node_name().to_owned();
        let key = self.jobs.insert(job);
        self.where_.insert(key, (number, index));
        self.printer.submitted(number, &name, shown);
        Ok(())
    }

    fn event(&mut self, key: u64, event: Event, ended: Option<Job>) -> std::io::Result<()> {
        let Some(&(number, index)) = self.where_.get(&key) else { return Ok(()) };
        if let Event::Exit(record) = &event {
            self.where_.remove(&key);
            self.targets[index].open -= 1;
            let code = exit::of_outcome(&record.outcome);
            if code != exit::DONE {
                self.code.get_or_insert(code);
            }
            let lost = ended.and_then(|job| job.failure());
            return if self.mute.is_some() { Ok(()) } else { self.printer.exit(number, record, lost.as_ref()) };
        }
        if self.mute.is_some() { Ok(()) } else { self.printer.event(number, event) }
    }

    /// Cancels everything; `true` if that was done before, and the user will not wait.
    fn stop(
        &mut self,
        why: &str,
        stopped: &mut Option<u8>,
        code: u8,
        deadline: std::pin::Pin<&mut tokio::time::Sleep>,
    ) -> bool {
        if stopped.replace(code).is_some() {
            return true;
        }
        if self.mute.is_none() {
            self.printer.note(&format!("{why}: terminating {} job(s); once more to leave at once", self.jobs.len()));
        }
        self.jobs.cancel_all(why);
        deadline.reset(tokio::time::Instant::now() + CANCEL_WAIT);
        false
    }
}
