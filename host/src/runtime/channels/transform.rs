//! A function that sees each message of a channel before it is sent on. It runs as a coroutine of its own for each message,
//! in the computation that owns the channel, while the channel's turn is held: in order, one at a time.

use super::message::{Message, Way};
use super::publish;
use super::turn::Turn;
use crate::runtime::control::Control;
use crate::runtime::group::Group;
use crate::runtime::launch::{Launch, Program, Runtime};
use crate::runtime::message::Payload;
use crate::runtime::ports::Observer;
use crate::runtime::refusal::Refusal;
use crate::runtime::stdio::Output;
use crate::runtime::tree::Tree;
use bytes::Bytes;
use corovan_core::code::Code;
use corovan_core::ids::Address;
use corovan_core::limits;
use corovan_core::text::cut;
use corovan_core::wire::records::Log;
use corovan_core::wire::{ExitRecord, Outcome};
use parking_lot::Mutex;
use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::task::{Poll, Waker};
use std::time::Duration;

/// What runs for each message, and with how much.
pub struct Transform {
    pub program: Arc<Program>,
    /// Bytes of memory that it may have at most.
    pub memory: u64,
    /// That of the coroutine that set it, whose CPU time it uses.
    pub tree: Arc<Tree>,
    /// Who follows the coroutine that set it, as long as somebody does: gets its log lines.
    pub follower: Weak<dyn Observer>,
}

/// Follows one run.
struct Run {
    group: Arc<Group>,
    transform: Arc<Transform>,
    output: Output,
    end: Mutex<End>,
    /// A coroutine that the function made, of which others may ask.
    is_child: bool,
}

#[derive(Default)]
struct End {
    outcome: Option<Outcome>,
    waker: Option<Waker>,
}

/// Stops a run that nobody waits for any more, and what it made.
struct Running<'a>(&'a Arc<Runtime>, Arc<Control>);

impl Runtime {
    /// Has a function see each message from here on, or none any more. Errors: gone, denied.
    pub fn set_transform(
        &self,
        control: &Control,
        channel: &Address,
        transform: Option<Transform>,
    ) -> Result<(), Refusal> {
        let channel = self.find_channel(control, channel)?;
        channel.check_owner(control, "have a function see its messages")?;
        let before = {
            let mut state = channel.state.lock();
            if state.closed {
                return Err(channel.gone());
            }
            std::mem::replace(&mut state.transform, transform.map(Arc::new))
        };
        drop(before);
        Ok(())
    }
}

/// What is to be sent on: the message as it is where there is no transform, else what that makes of it. Errors: invalid (it
/// failed), overloaded, gone, timeout, interrupted: the message goes nowhere.
pub(super) async fn apply(turn: &Turn, message: Message, way: &mut Way<'_>) -> Result<Option<Message>, Refusal> {
    let channel = &turn.channel;
    let Some(transform) = channel.state.lock().transform.clone() else { return Ok(Some(message)) };
    let group = channel.owner().ok_or_else(|| channel.gone())?;
    let ran = match way.is_hasty() {
        false => run(&turn.runtime, group, &transform, &message, way).await,
        true => {
            let text =
                format!("channel {:?} has a transform, which takes time, and this call waits not at all", channel.name);
            Err(Refusal::new(Code::Overloaded, text))
        }
    };
    let outcome = ran.inspect_err(|_| {
        channel.counts.failed.fetch_add(1, Ordering::Relaxed);
    })?;
    let made = read(outcome).and_then(|made| match made {
        Some(bytes) => {
            let state = channel.state.lock();
            publish::shared_beside(&state.held, Payload::from(bytes)).map(Some).map_err(|error| error.to_string())
        }
        None => Ok(None),
    });
    match made {
        Ok(Some(payload)) => Ok(Some(Message { payload, ..message })),
        Ok(None) => {
            channel.counts.withheld.fetch_add(1, Ordering::Relaxed);
            Ok(None)
        }
        Err(why) => {
            channel.counts.failed.fetch_add(1, Ordering::Relaxed);
            let why = cut(why, limits::TEXT_BYTES);
            tracing::debug!(channel = %channel.address, why, "a message was dropped: its transform failed");
            let text =
                format!("the transform of channel {:?} failed, and the message was dropped: {why}", channel.name);
            transform.follower.upgrade().into_iter().for_each(|follower| follower.log(Log::WARNING, text.clone()));
            Err(Refusal::new(Code::Invalid, text))
        }
    }
}

/// Runs it to its end. Errors: overloaded, gone, timeout, interrupted.
async fn run(
    runtime: &Arc<Runtime>,
    group: Arc<Group>,
    transform: &Arc<Transform>,
    message: &Message,
    way: &mut Way<'_>,
) -> Result<Outcome, Refusal> {
    let mut args = Vec::with_capacity(message.payload.len() + 16);
    // Writing to memory cannot fail.
    let _ = ciborium::into_writer(&(message.tag, serde_bytes::Bytes::new(&message.payload)), &mut args);
    let run = Arc::new(Run {
        group: Arc::clone(&group),
        transform: Arc::clone(transform),
        output: detached(),
        end: Mutex::default(),
        is_child: false,
    });
    group.spawn.admit(&group)?;
    let launched = runtime.launch(Launch {
        program: Arc::clone(&transform.program),
        args: args.into(),
        wasi: Default::default(),
        input: None,
        memory: transform.program.memory_wanted.min(transform.memory),
        deadline: limits::TRANSFORM_TIME,
        cpu: None,
        attempt: 1,
        group: Arc::clone(&group),
        // Its own: what it makes ends with it, and before its setter's does.
        tree: Some(Arc::new(transform.tree.beside())),
        // It does not keep its computation open.
        daemon: true,
        held: None,
        observer: Arc::clone(&run) as Arc<dyn Observer>,
    });
    let control = launched.map_err(|refusal| {
        group.spawn.give_back(&group);
        match refusal.code {
            Code::ShuttingDown => Refusal::new(Code::Gone, refusal.detail),
            _ => refusal,
        }
    })?;
    // A run that has ended is not harmed by it.
    let _running = Running(runtime, control);
    std::future::poll_fn(|cx| {
        {
            let mut end = run.end.lock();
            if let Some(outcome) = end.outcome.take() {
                return Poll::Ready(Ok(outcome));
            }
            end.waker = Some(cx.waker().clone());
        }
        match way.given_up(cx) {
            None => Poll::Pending,
            Some(refusal) => Poll::Ready(Err(Refusal::new(
                refusal.code,
                format!("the channel's transform was stopped, and the message was not sent: {}", refusal.detail),
            ))),
        }
    })
    .await
}

/// The bytes it gave, `None` for nothing, or why there are none.
fn read(outcome: Outcome) -> Result<Option<Bytes>, String> {
    const NULL: u8 = 0xf6;
    let value = match outcome {
        Outcome::Finished(value) => value,
        Outcome::Exited(0) => return Ok(None),
        Outcome::Exited(code) => return Err(format!("exited with code {code}")),
        Outcome::Failed { kind, text } => return Err(format!("{kind}: {text}")),
        Outcome::Trapped { kind, backtrace } => return Err(format!("trapped: {kind}\n{backtrace}")),
        Outcome::Deadline { .. } => {
            return Err(format!("it did not end in {:?} (TRANSFORM_TIME)", limits::TRANSFORM_TIME));
        }
        other => return Err(other.name().to_owned()),
    };
    match value.first() {
        None | Some(&NULL) => Ok(None),
        // A byte string.
        Some(first) if first >> 5 == 2 => {
            let bytes: serde_bytes::ByteBuf =
                ciborium::from_reader(&value[..]).map_err(|error| format!("its result cannot be read: {error}"))?;
            if bytes.len() > limits::MESSAGE_BYTES {
                let most = limits::MESSAGE_BYTES;
                return Err(format!("its result of {} bytes is over the limit of {most} (MESSAGE_BYTES)", bytes.len()));
            }
            Ok(Some(bytes.into_vec().into()))
        }
        Some(_) => Err("its result is neither bytes nor null".to_owned()),
    }
}

impl Observer for Run {
    fn started(&self, _: Address) {}

    fn progress(&self, _: u64, _: u64, _: String) {}

    fn log(&self, level: u8, text: String) {
        if let Some(follower) = self.transform.follower.upgrade() {
            follower.log(level, text);
        }
    }

    fn output(&self) -> &Output {
        &self.output
    }

    fn output_ready(&self) {}

    fn ended(&self, record: &Arc<ExitRecord>) {
        self.group.spawn.give_back(&self.group);
        let waker = {
            let mut end = self.end.lock();
            end.outcome = Some(record.outcome.clone());
            end.waker.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }

    fn is_recorded(&self) -> bool {
        self.is_child
    }

    fn set_daemon(&self, _: bool) {}

    fn child(&self, _: bool) -> Arc<dyn Observer> {
        Arc::new(Run {
            group: Arc::clone(&self.group),
            transform: Arc::clone(&self.transform),
            output: detached(),
            end: Mutex::default(),
            is_child: true,
        })
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        const WHY: &str = "its message has been sent on, or is no longer to be";
        self.0.terminate_tree(&self.1.tree, "channel", WHY, Duration::ZERO);
        self.0.terminate(&self.1, "channel", WHY, Duration::ZERO);
    }
}

impl fmt::Debug for Transform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Transform({:?})", self.program)
    }
}

/// Output that nobody reads.
fn detached() -> Output {
    let output = Output::default();
    output.detach();
    output
}
