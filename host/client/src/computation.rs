//! A computation on one node: prepares specs, submits jobs, ends. One control stream, one task reading it, one writing.

use crate::arguments::Arguments;
use crate::durable::AwaitsAcceptance;
use crate::error::{Error, Peer};
use crate::framed::{Mark, Outbox};
use crate::job::{Cell, Job};
use crate::mailbox::MailState;
use crate::node::{self, Control, Registry};
use crate::options::{check_nodes, check_selector};
use crate::reader;
use crate::spec::{Prepare, Prepared, Spec};
use crate::transport;
use corovan_core::code::Code;
use corovan_core::ids::{ComputationId, JobId, NodeId};
use corovan_core::limits;
use corovan_core::wire::ExitRecord;
use corovan_core::wire::frame::{self, Kind};
use corovan_core::wire::jobs::{Allocate, NodeAllocation};
use corovan_core::wire::records::{self, Blob, BlobKind, Refused, Submit};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinHandle;

/// A computation. Cheap to clone. Dropped with all its jobs and without [`Computation::close`], it is cancelled.
#[derive(Clone, Debug)]
pub struct Computation(pub(crate) Arc<Handle>);

/// How one job differs from the others of its spec.
#[derive(Clone, Default, Debug)]
pub struct SubmitOptions {
    /// Command-line arguments of a WASI program, without its own name.
    pub argv: Vec<String>,
    /// Standard input will be written ([`Job::stdin`]); without it the program finds its input empty.
    pub stdin: bool,
    /// Which nodes may run it: a selector, as a node's name or `gpu=1,memory>=2GiB` (`docs/computations.md`); `""` for any that the
    /// computation uses. `None`: the node of this computation. Another node is reached through that, and runs what the computation's
    /// grant lets it (discoro's `run_at`).
    pub at: Option<String>,
}

/// Keeps the connection and the two tasks alive; the tasks hold only [`Shared`].
#[derive(Debug)]
pub(crate) struct Handle {
    pub shared: Arc<Shared>,
    pub node: Arc<node::Inner>,
    registry: Registry,
    tasks: [JoinHandle<()>; 2],
}

/// What handles, jobs and the two tasks share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub id: ComputationId,
    pub node: NodeId,
    pub peer: Peer,
    pub outbox: Outbox,
    pub mail: MailState,
    /// Jobs the node takes at a time.
    pub slots: Arc<Semaphore>,
    table: Mutex<Table>,
    /// How it ended, once it has.
    end: watch::Sender<Option<Result<(), Error>>>,
}

#[derive(Debug, Default)]
struct Table {
    jobs: HashMap<JobId, Arc<Cell>>,
    /// Those that are to last and are not accepted yet.
    durable: HashMap<JobId, AwaitsAcceptance>,
    specs: HashMap<u64, mpsc::Sender<SpecAnswer>>,
    last_job: JobId,
    last_spec: u64,
    closing: bool,
    /// The connection brings no more streams.
    streams_over: bool,
}

#[derive(Debug)]
pub(crate) enum SpecAnswer {
    NeedModule,
    Prepared,
    Refused(Refused),
}

impl Computation {
    pub(crate) fn start(node: Arc<node::Inner>, control: Control, registry: &Registry) -> Computation {
        let Control { opened, reader, mut writer } = control;
        let jobs = usize::try_from(opened.jobs).unwrap_or(usize::MAX).clamp(1, limits::COMPUTATION_JOBS);
        let shared = Arc::new(Shared {
            id: opened.computation,
            node: opened.node,
            peer: node.peer.clone(),
            outbox: Outbox::new(limits::CLIENT_OUTBOX_BYTES),
            mail: MailState::default(),
            slots: Arc::new(Semaphore::new(jobs)),
            table: Mutex::default(),
            end: watch::Sender::new(None),
        });
        registry.lock().insert(shared.id, Arc::downgrade(&shared));
        let reading = tokio::spawn(reader::read_frames(shared.clone(), node.connection.clone(), reader));
        let outbox = shared.outbox.clone();
        let writing = tokio::spawn(async move {
            // A failed write needs no report: the reader learns of the same connection's end, with the reason.
            if outbox.write_to(&mut writer).await.is_ok() {
                let _ = writer.finish();
            }
        });
        let registry = registry.clone();
        Computation(Arc::new(Handle { shared, node, registry, tasks: [reading, writing] }))
    }

    /// The node's number for it.
    pub fn id(&self) -> ComputationId {
        self.0.shared.id
    }

    pub fn node_id(&self) -> NodeId {
        self.0.shared.node
    }

    pub fn node_name(&self) -> &str {
        &self.0.shared.peer.node
    }

    /// Why it ended, if it ended otherwise than by [`Computation::close`].
    pub fn failure(&self) -> Option<Error> {
        self.0.shared.failure()
    }

    /// Makes the node ready to run a function of a module. The module's bytes are sent only if the node asks for them.
    pub async fn prepare(&self, prepare: Prepare) -> Result<Spec, Error> {
        let shared = &self.0.shared;
        let request = records::Prepare {
            module: prepare.module.hash(),
            size: prepare.module.bytes().len() as u64,
            function: prepare.function.clone(),
            limits: prepare.limits,
            env: prepare.env,
            terminals: prepare.terminals,
        };
        let (id, mut answers) = shared.new_spec()?;
        let _forget = ForgetSpec(shared, id);
        shared.outbox.push(Kind::Prepare, id, &request, b"").map_err(head_too_large)?;
        loop {
            match answers.recv().await {
                None => return Err(shared.end_error()),
                Some(SpecAnswer::Prepared) => break,
                Some(SpecAnswer::Refused(refused)) => return Err(shared.refused(refused)),
                Some(SpecAnswer::NeedModule) => {
                    let upload = self.upload(BlobKind::Module, id, prepare.module.bytes());
                    tokio::select! {
                        // The node may refuse before it has all bytes.
                        biased;
                        early = answers.recv() => match early {
                            Some(SpecAnswer::Refused(refused)) => return Err(shared.refused(refused)),
                            Some(SpecAnswer::Prepared) => break,
                            _ => return Err(shared.end_error()),
                        },
                        // A stream that the node stopped is followed by its refusal.
                        sent = upload => sent?,
                    }
                }
            }
        }
        Ok(Spec(Arc::new(Prepared {
            id,
            computation: shared.id,
            module: prepare.module.hash(),
            function: prepare.function.unwrap_or_else(|| "_start".into()),
        })))
    }

    /// Other nodes for its jobs from now on (discoro's `node_allocate`); those that are placed stay. None: any node.
    pub async fn allocate(&self, nodes: Vec<NodeAllocation>) -> Result<(), Error> {
        check_nodes(&nodes)?;
        let shared = &self.0.shared;
        shared.outbox.room().await;
        shared.outbox.push(Kind::Allocate, 0, &Allocate { nodes }, b"").map(drop).map_err(head_too_large)
    }

    /// Runs a spec once. Waits while the node has as many open jobs as it takes, or the connection is behind; returns
    /// when the request is queued (and large arguments are sent), not when the job runs.
    pub async fn submit(&self, spec: &Spec, arguments: Arguments, options: SubmitOptions) -> Result<Job, Error> {
        let shared = &self.0.shared;
        self.check(spec, &options.argv, options.at.as_deref())?;
        let stdin =
            match options.stdin {
                true => Some(self.0.node.stdin.clone().try_acquire_owned().map_err(|_| Error::TooMany {
                    what: "jobs with standard input",
                    max: limits::STDIN_STREAMS as u64,
                })?),
                false => None,
            };
        shared.outbox.room().await;
        let slot = shared.slots.clone().acquire_owned().await.map_err(|_| shared.end_error())?;
        let cell = Arc::new(Cell::new(spec.clone(), slot));
        let id = shared.new_job(&cell)?;
        let (argv, at) = (options.argv, options.at);
        let request = Submit { spec: spec.0.id, argv, stdin: options.stdin, blob: None, at, keep: None };
        let mark = self.request(id, request, &arguments).inspect_err(|_| drop(shared.forget_job(id)))?;
        let job = Job::new(id, self.0.clone(), cell, stdin);
        self.send_arguments(id, mark, &arguments).await?;
        Ok(job)
    }

    /// Queues a job's frame, with its arguments if they are small.
    pub(crate) fn request(&self, id: JobId, request: Submit, arguments: &Arguments) -> Result<Mark, Error> {
        let bytes = arguments.as_bytes();
        let large = bytes.len() > limits::INLINE_PAYLOAD;
        let request = Submit { blob: large.then_some(bytes.len() as u64), ..request };
        let inline: &[u8] = if large { b"" } else { bytes };
        self.0.shared.outbox.push(Kind::Submit, id, &request, inline).map_err(head_too_large)
    }

    /// Sends large arguments, after the frame that tells of them: their stream's bytes take room in the connection's window until
    /// that has come.
    pub(crate) async fn send_arguments(&self, id: JobId, mark: Mark, arguments: &Arguments) -> Result<(), Error> {
        let bytes = arguments.as_bytes();
        if bytes.len() <= limits::INLINE_PAYLOAD {
            return Ok(());
        }
        self.0.shared.outbox.written(mark).await;
        self.upload(BlobKind::Arguments, id, bytes).await
    }

    /// What can be refused of a job before anything is sent.
    pub(crate) fn check(&self, spec: &Spec, argv: &[String], at: Option<&str>) -> Result<(), Error> {
        if spec.0.computation != self.0.shared.id {
            return Err(Error::Value { what: "the spec", why: "it belongs to another computation".into() });
        }
        at.map_or(Ok(()), check_selector)?;
        let argv: usize = argv.iter().map(String::len).sum();
        if argv > limits::ARGV_BYTES {
            let (size, max) = (argv as u64, limits::ARGV_BYTES as u64);
            return Err(Error::TooLarge { what: "the command-line arguments together", size, max });
        }
        Ok(())
    }

    /// Submits and waits for the end; output is read and dropped.
    pub async fn run(&self, spec: &Spec, arguments: Arguments) -> Result<Arc<ExitRecord>, Error> {
        Ok(self.submit(spec, arguments, SubmitOptions::default()).await?.result().await)
    }

    /// Takes no more jobs, waits until the open ones have ended, and hears the node confirm it. Jobs whose output nobody
    /// takes do not end.
    pub async fn close(&self) -> Result<(), Error> {
        let shared = &self.0.shared;
        let first = !std::mem::replace(&mut shared.table.lock().closing, true);
        if first {
            shared.outbox.push_bare(Kind::Close, 0, b"").map_err(|error| shared.peer.protocol(error))?;
            shared.slots.close();
        }
        let mut end = shared.end.subscribe();
        match end.wait_for(Option::is_some).await {
            Ok(result) => result.clone().unwrap_or(Err(Error::Closed)),
            Err(_) => Err(Error::Closed),
        }
    }

    /// Sends raw bytes on a stream of their own. That the node stops reading is not an error here: it says why elsewhere.
    async fn upload(&self, kind: BlobKind, id: u64, bytes: &[u8]) -> Result<(), Error> {
        let mut stream = open_blob(&self.0, kind, id, Some(bytes.len() as u64)).await?;
        match stream.0.write_all(bytes).await {
            Ok(()) => stream.finish(),
            Err(quinn::WriteError::Stopped(_)) => {}
            Err(_) => return Err(self.0.shared.connection_error(&self.0.node.connection)),
        }
        Ok(())
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        self.registry.lock().remove(&self.shared.id);
        self.shared.end(Err(Error::Closed));
    }
}

impl Shared {
    pub fn job(&self, id: JobId) -> Option<Arc<Cell>> {
        self.table.lock().jobs.get(&id).cloned()
    }

    pub fn forget_job(&self, id: JobId) -> Option<Arc<Cell>> {
        self.table.lock().jobs.remove(&id)
    }

    pub fn failure(&self) -> Option<Error> {
        self.end.borrow().as_ref().and_then(|end| end.as_ref().err().cloned())
    }

    pub fn answer_spec(&self, id: u64, answer: SpecAnswer) -> Result<(), Error> {
        let sender = self.table.lock().specs.get(&id).cloned();
        // A spec that is not waited for was given up here.
        let Some(sender) = sender else { return Ok(()) };
        match sender.try_send(answer) {
            Err(mpsc::error::TrySendError::Full(_)) => Err(self.peer.protocol(format!("it answered spec {id} again"))),
            _ => Ok(()),
        }
    }

    /// Ends everything: each open job gets its one exit. Only the first call counts.
    pub fn end(&self, result: Result<(), Error>) {
        let first = self.end.send_if_modified(|end| {
            let first = end.is_none();
            if first {
                *end = Some(result.clone());
            }
            first
        });
        if !first {
            return;
        }
        self.slots.close();
        self.outbox.close();
        let (specs, durable) = {
            let mut table = self.table.lock();
            table.closing = true;
            (std::mem::take(&mut table.specs), std::mem::take(&mut table.durable))
        };
        drop(specs);
        self.mail.end();
        let error = result.err().unwrap_or(Error::Closed);
        durable.into_values().for_each(|waiting| waiting.answer(Err(error.clone())));
        self.lose_jobs(&error);
    }

    /// Waits until it has ended.
    pub async fn ended(&self) {
        // The sender is ours, so this cannot fail.
        let _ = self.end.subscribe().wait_for(Option::is_some).await;
    }

    /// The connection brings no more streams: a value that is not being read yet never comes.
    pub fn streams_ended(&self) {
        self.table.lock().streams_over = true;
        if self.end.borrow().is_some() {
            self.lose_jobs(&self.end_error());
        }
    }

    /// A value could not be read to its end.
    pub fn lose_job(&self, id: JobId) {
        if let Some(cell) = self.forget_job(id) {
            cell.lost(self.node, &self.end_error());
        }
    }

    /// Every open job gets its exit, but for those whose exit is here and whose value still comes: it may have arrived
    /// before the node said that this was all, and only wait to be read.
    fn lose_jobs(&self, error: &Error) {
        let lost: Vec<_> = {
            let mut table = self.table.lock();
            let over = table.streams_over;
            table.jobs.extract_if(|_, cell| !cell.expects_value(over)).collect()
        };
        lost.iter().for_each(|(_, cell)| cell.lost(self.node, error));
    }

    pub fn open_jobs(&self) -> usize {
        let table = self.table.lock();
        table.jobs.len() + table.durable.len()
    }

    pub fn take_durable(&self, id: JobId) -> Option<AwaitsAcceptance> {
        self.table.lock().durable.remove(&id)
    }

    pub fn new_durable(&self, waiting: AwaitsAcceptance) -> Result<JobId, Error> {
        let mut table = self.table.lock();
        if table.closing {
            drop(table);
            return Err(self.end_error());
        }
        table.last_job += 1;
        let id = table.last_job;
        table.durable.insert(id, waiting);
        Ok(id)
    }

    pub fn connection_error(&self, connection: &quinn::Connection) -> Error {
        match connection.close_reason() {
            Some(reason) => self.peer.lost_error(&reason),
            None => self.end_error(),
        }
    }

    pub fn end_error(&self) -> Error {
        self.failure().unwrap_or(Error::Closed)
    }

    fn refused(&self, refused: Refused) -> Error {
        Error::Refused { node: self.peer.node.clone(), code: refused.code, text: refused.text }
    }

    fn new_spec(&self) -> Result<(u64, mpsc::Receiver<SpecAnswer>), Error> {
        let mut table = self.table.lock();
        if table.closing {
            drop(table);
            return Err(self.end_error());
        }
        if table.last_spec >= limits::COMPUTATION_SPECS as u64 {
            return Err(Error::TooMany { what: "specs of a computation", max: limits::COMPUTATION_SPECS as u64 });
        }
        table.last_spec += 1;
        let id = table.last_spec;
        // `NeedModule`, then the answer.
        let (sender, receiver) = mpsc::channel(2);
        table.specs.insert(id, sender);
        Ok((id, receiver))
    }

    fn new_job(&self, cell: &Arc<Cell>) -> Result<JobId, Error> {
        let mut table = self.table.lock();
        if table.closing {
            drop(table);
            return Err(self.end_error());
        }
        table.last_job += 1;
        let id = table.last_job;
        table.jobs.insert(id, cell.clone());
        Ok(id)
    }
}

/// A one-way stream under way. Dropped before [`BlobStream::finish`] it is reset, so that a part is not taken for all.
#[derive(Debug)]
pub(crate) struct BlobStream(pub quinn::SendStream, bool);

impl BlobStream {
    pub fn finish(mut self) {
        self.1 = true;
        let _ = self.0.finish();
    }
}

impl Drop for BlobStream {
    fn drop(&mut self) {
        if !self.1 {
            let _ = self.0.reset(transport::close_code(Some(Code::Cancelled)));
        }
    }
}

/// Opens a one-way stream and writes the frame that says what its bytes are.
pub(crate) async fn open_blob(
    handle: &Handle,
    kind: BlobKind,
    id: u64,
    size: Option<u64>,
) -> Result<BlobStream, Error> {
    let (shared, connection) = (&handle.shared, &handle.node.connection);
    let stream = connection.open_uni().await.map_err(|error| shared.peer.lost_error(&error))?;
    let mut stream = BlobStream(stream, false);
    let mut first = bytes::BytesMut::new();
    let blob = Blob { computation: shared.id, kind, size };
    frame::encode(&mut first, Kind::Blob, id, &blob, b"").map_err(|error| shared.peer.protocol(error))?;
    match stream.0.write_all(&first).await {
        Ok(()) | Err(quinn::WriteError::Stopped(_)) => Ok(stream),
        Err(_) => Err(shared.connection_error(connection)),
    }
}

struct ForgetSpec<'a>(&'a Shared, u64);

impl Drop for ForgetSpec<'_> {
    fn drop(&mut self) {
        self.0.table.lock().specs.remove(&self.1);
    }
}

/// The only way an honest request does not fit its frame: what the user put in its head.
pub(crate) fn head_too_large(error: frame::Error) -> Error {
    match error {
        frame::Error::Head(size) | frame::Error::TooLarge(size) => Error::TooLarge {
            what: "the request (names, environment and command-line arguments together)",
            size,
            max: limits::FRAME_HEAD as u64,
        },
        other => Error::Value { what: "the request", why: other.to_string() },
    }
}
