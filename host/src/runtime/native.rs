//! Coroutines without a guest: the node runs them for a client, who has a mailbox by one, and a caller for each call that waits. To
//! others they are coroutines like any other.

use super::blank::{self, Nobody};
use super::control::{Birth, Control};
use super::exit::ExitGuard;
use super::group::Group;
use super::launch::{Program, Runtime};
use super::mail::{self, Room};
use super::message::{Filter, Kind, Payload, ReplyTo};
use super::own::Route;
use super::ports::Observer;
use super::refusal::Refusal;
use super::registry::Resident;
use super::stdio::Output;
use super::tree::Tree;
use bytes::Bytes;
use corovan_core::code::Code;
use corovan_core::ids::Address;
use corovan_core::limits;
use corovan_core::tenancy::quota::Resource;
use corovan_core::wire::{ExitRecord, Outcome};
use parking_lot::Mutex;
use std::sync::Arc;
use std::task::{Context, Poll};

/// One of them; dropped, it has ended.
pub struct Native {
    pub runtime: Arc<Runtime>,
    pub control: Arc<Control>,
    guard: Mutex<Option<ExitGuard>>,
}

/// A message as it was received.
#[derive(Debug)]
pub struct Received {
    pub kind: Kind,
    pub from: Address,
    pub tag: u64,
    pub bytes: Bytes,
    /// It is a request.
    pub reply: Option<ReplyTo>,
}

/// Its end is of no interest to anybody but those who monitor it.
#[derive(Default)]
struct Unrecorded(Nobody);

/// As exit records name it.
const FUNCTION: &str = "client";

impl Runtime {
    /// Makes one in a computation, which it does not keep open. Errors: overloaded (the tenant's quota), shutting-down.
    pub fn native(self: &Arc<Self>, group: &Arc<Group>) -> Result<Native, Refusal> {
        let held = group.tenant.ledger.take(Resource::Coroutines, 1)?;
        let program = self.native_program()?;
        if !group.enter(true) {
            return Err(Refusal::new(
                Code::ShuttingDown,
                "its computation is being ended and makes no more coroutines",
            ));
        }
        let address = self.new_address();
        let control = Arc::new(Control::new(Birth {
            address,
            group: Arc::clone(group),
            tree: Arc::new(Tree::new(None)),
            daemon: true,
            program,
            input: None,
            made: self.scheduler.about(),
        }));
        self.registry.insert(address.counter, Resident::Coroutine(Arc::clone(&control)));
        let guard = ExitGuard {
            observer: Arc::new(Unrecorded::default()),
            control: Arc::clone(&control),
            attempt: 1,
            runtime: Arc::clone(self),
            held: Some(held),
        };
        Ok(Native { runtime: Arc::clone(self), control, guard: Mutex::new(Some(guard)) })
    }

    fn native_program(&self) -> Result<Arc<Program>, Refusal> {
        let made = self.native.get_or_init(|| blank::program(&self.engine, FUNCTION).map(Arc::new));
        made.as_ref().map(Arc::clone).map_err(|error| Refusal::new(Code::Internal, format!("{error:#}")))
    }
}

impl Native {
    pub fn address(&self) -> Address {
        self.control.address
    }

    /// The next message; `None`: it was terminated, and is to be dropped. For one poller.
    pub fn poll_receive(&self, cx: &mut Context<'_>) -> Poll<Option<Received>> {
        self.control.set_waker(cx.waker());
        loop {
            if self.is_over() {
                return Poll::Ready(None);
            }
            // What it is interrupted for is its client's business.
            drop(self.control.take_interrupt());
            let room = Room { buffer: limits::MESSAGE_BYTES, token: false };
            let received = mail::try_receive(&self.control, &Filter::ANY, room, |letter, held| {
                let mut reply = letter.body.reply.take();
                reply.iter_mut().for_each(|reply| reply.read = true);
                let payload = std::mem::take(&mut letter.body.payload);
                (
                    Received { kind: letter.kind, from: letter.sender, tag: letter.tag, bytes: payload.into(), reply },
                    held,
                )
            });
            match received {
                None => return Poll::Pending,
                Some(Ok((received, _held))) => return Poll::Ready(Some(received)),
                Some(Err(refusal)) if refusal.code == Code::Interrupted => {}
                // Nothing else is refused to one that takes everything.
                Some(Err(_)) => return Poll::Ready(None),
            }
        }
    }

    /// Runs a call of this coroutine: woken with it, and given up when it is terminated. Errors: those of the call, cancelled.
    pub async fn call<T>(&self, call: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
        let mut call = std::pin::pin!(call);
        std::future::poll_fn(|cx| {
            self.control.set_waker(cx.waker());
            if self.is_over() {
                return Poll::Ready(Err(Refusal::new(Code::Cancelled, "the computation is being ended")));
            }
            call.as_mut().poll(cx)
        })
        .await
    }

    /// Sends a message, or has it delivered: for one poller at a time. Errors: gone, denied, overloaded, timeout, node-lost.
    pub async fn send(
        &self,
        to: &Address,
        (tag, bytes): (u64, Bytes),
        deliver: bool,
        timeout: u64,
    ) -> Result<(), Refusal> {
        let (runtime, control) = (&self.runtime, &self.control);
        match runtime.route(control, to)? {
            Route::Here(target) => {
                let letter = mail::letter(control.address, tag, Payload::from(bytes));
                match mail::try_send(control, &target, letter.size, || letter)? {
                    None => Ok(()),
                    Some(unsent) => unsent.wait(control, runtime.patience(timeout)).await,
                }
            }
            Route::Away(_, way) => {
                if !deliver && way.send_now(&control.address, tag, &bytes)? {
                    control.sent(bytes.len());
                    return Ok(());
                }
                runtime.send_away(control, &*way, (tag, bytes, deliver), runtime.patience(timeout)).await
            }
        }
    }

    /// Sends a request and waits for its reply, which comes to `caller`, so that several may wait at a time. Whoever is asked sees it
    /// come from this one, behind what this one sent before. Errors: gone, closed, denied, overloaded, timeout, node-lost.
    pub async fn request(
        &self,
        caller: &Native,
        to: &Address,
        (tag, bytes): (u64, Bytes),
        timeout: u64,
    ) -> Result<Bytes, Refusal> {
        let (runtime, control) = (&self.runtime, &caller.control);
        match runtime.route(&self.control, to)? {
            Route::Here(target) => {
                let mut letter = mail::request(control, tag, Payload::from(bytes));
                letter.sender = self.address();
                if let Some(unsent) = mail::try_send(&self.control, &target, letter.size, || letter)? {
                    unsent.wait(control, runtime.patience(timeout)).await?;
                }
                drop(target);
                let room = Room { buffer: limits::MESSAGE_BYTES, token: false };
                let (payload, _held) = mail::await_reply(control, room, runtime.patience(timeout)).await?;
                Ok(payload.into())
            }
            // In the same lane as what it sends.
            Route::Away(_, way) => {
                runtime.request_away(&self.control, &*way, tag, bytes, runtime.patience(timeout)).await
            }
        }
    }

    fn is_over(&self) -> bool {
        self.control.is_stopping() || self.control.termination().is_some()
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        let guard = self.guard.lock().take();
        guard.into_iter().for_each(|guard| guard.finish(Outcome::Finished(Bytes::new()), 0));
    }
}

impl Observer for Unrecorded {
    fn started(&self, _: Address) {}
    fn progress(&self, _: u64, _: u64, _: String) {}
    fn log(&self, _: u8, _: String) {}
    fn output(&self) -> &Output {
        self.0.output()
    }
    fn output_ready(&self) {}
    fn ended(&self, _: &Arc<ExitRecord>) {}
    fn child(&self, _: bool) -> Arc<dyn Observer> {
        Arc::new(Unrecorded::default())
    }
    fn is_recorded(&self) -> bool {
        false
    }
    fn set_daemon(&self, _: bool) {}
}

/// The program of one that has none.
pub type NativeProgram = std::sync::OnceLock<wasmtime::Result<Arc<Program>>>;

#[cfg(test)]
mod tests {
    use super::super::blank::blank_controls;
    use super::*;
    use std::pin::pin;
    use std::task::Waker;

    fn cx() -> Context<'static> {
        Context::from_waker(Waker::noop())
    }

    fn ready<T>(future: impl Future<Output = T>) -> Poll<T> {
        pin!(future).poll(&mut cx())
    }

    #[test]
    fn one_without_a_guest_sends_receives_asks_and_answers_like_any_other() {
        let (runtime, controls) = blank_controls(1);
        let group = &controls[0].group;
        let (one, other) = (runtime.native(group).unwrap(), runtime.native(group).unwrap());
        assert!(other.poll_receive(&mut cx()).is_pending());
        let message = (7, Bytes::from_static(b"hello"));
        assert!(matches!(ready(one.send(&other.address(), message, false, 0)), Poll::Ready(Ok(()))));
        let Poll::Ready(Some(received)) = other.poll_receive(&mut cx()) else { panic!("it was sent") };
        assert_eq!((received.from, received.tag, &received.bytes[..]), (one.address(), 7, &b"hello"[..]));
        assert!(received.reply.is_none());
        let address = other.address();
        let caller = runtime.native(group).unwrap();
        let question = (8, Bytes::from_static(b"?"));
        let mut asked = pin!(caller.call(one.request(&caller, &address, question, mail::FOREVER)));
        assert!(asked.as_mut().poll(&mut cx()).is_pending());
        let Poll::Ready(Some(received)) = other.poll_receive(&mut cx()) else { panic!("it was asked") };
        assert_eq!(received.from, one.address());
        let answered = received.reply.unwrap().answer(Payload::from(Bytes::from_static(b"!")), None);
        assert!(matches!(answered, Ok(true)));
        assert!(matches!(asked.as_mut().poll(&mut cx()), Poll::Ready(Ok(bytes)) if &bytes[..] == b"!"));
    }

    #[test]
    fn one_that_is_dropped_has_ended_and_one_that_is_terminated_receives_no_more() {
        let (runtime, controls) = blank_controls(1);
        let group = &controls[0].group;
        let used = group.tenant.ledger.used(Resource::Coroutines);
        let (one, other) = (runtime.native(group).unwrap(), runtime.native(group).unwrap());
        let gone = other.address();
        runtime.terminate(&other.control, "me", "enough", std::time::Duration::ZERO);
        assert!(matches!(other.poll_receive(&mut cx()), Poll::Ready(None)));
        let call = other.call(std::future::pending::<Result<(), Refusal>>());
        assert!(matches!(ready(call), Poll::Ready(Err(refusal)) if refusal.code == Code::Cancelled));
        drop(other);
        let sent = ready(one.send(&gone, (0, Bytes::new()), false, 0));
        assert!(matches!(sent, Poll::Ready(Err(refusal)) if refusal.code == Code::Gone));
        drop(one);
        assert_eq!(group.tenant.ledger.used(Resource::Coroutines), used);
    }
}
