//! Channels between nodes: what is asked of another node about one, and what other nodes ask.

use super::link::{Fault, Granted, Session};
use super::receive::{answer, sender, tell};
use super::remote::{Monitoring, To, encode, not_begun};
use crate::runtime::ports::{Answers, EndFollower, Guard};
use crate::runtime::{ChannelCaller, Group, Refusal, Runtime, owned};
use bytes::Bytes;
use corovan_core::code::Code;
use corovan_core::ids::Address;
use corovan_core::link::call::{self, Call};
use corovan_core::link::channel::ChannelCall;
use corovan_core::link::frame::{Header, Kind};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

impl To {
    /// A call about a channel; dropped before its answer has come, the other node is told.
    pub(super) async fn ask_channel(
        self,
        from: Address,
        tag: u64,
        call: ChannelCall,
        bytes: Bytes,
    ) -> Result<Bytes, Refusal> {
        let record = encode(&Call::Channel(call))?;
        self.call_for(self.header(Kind::Call, &from, tag), [record, bytes], true).await
    }

    pub(super) fn tell_channel(&self, from: &Address, call: ChannelCall) {
        if let Ok(payload) = encode(&Call::Channel(call)) {
            self.session.queue(Some(&self.pass), self.header(Kind::Call, from, 0), &payload);
        }
    }

    /// Asks that `from` may stand for the channel, until the result is dropped.
    pub(super) async fn branch(self, from: Address, over: Box<dyn EndFollower>) -> Result<Guard, Refusal> {
        let over = self.session.begin_monitor(self.follows(over)).map_err(not_begun)?;
        let header = Header { call: over, ..self.header(Kind::Call, &from, 0) };
        let branching = Monitoring { session: Arc::clone(&self.session), header };
        self.ask_channel(from, over, ChannelCall::Branch, Bytes::new()).await?;
        Ok(Box::new(branching))
    }
}

/// Does what another node asks about a channel, under a grant that lets it; `is` says whether that is the grant of a
/// computation. What it does that no honest node does ends the session.
pub(super) fn serve(
    runtime: &Arc<Runtime>,
    session: &Arc<Session>,
    (header, granted): (&Header, &Arc<Granted>),
    is: &dyn Fn(&Group) -> bool,
    (call, bytes): (ChannelCall, Bytes),
) -> Result<(), Fault> {
    let caller = ChannelCaller {
        tenant: &granted.tenant,
        is,
        from: sender(session, header),
        to: header.to.at(runtime.node, runtime.incarnation),
    };
    match call {
        ChannelCall::Branch => {
            let outcome = branch(runtime, session, header, &caller)?;
            answer(session, header.call, outcome.map(|()| Bytes::new()));
        }
        // Told, and not asked.
        ChannelCall::Cut { .. } | ChannelCall::Leaves { .. } if header.call == 0 => {
            runtime.serve_channel(&caller, call, (header.tag, bytes), Box::new(Nobody));
        }
        _ => {
            let answering = Answering::new(session, header.call);
            runtime.serve_channel(&caller, call, (header.tag, owned(bytes)), Box::new(answering));
        }
    }
    Ok(())
}

/// Has a channel's messages go to the other node for as long as that wants them.
fn branch(
    runtime: &Arc<Runtime>,
    session: &Arc<Session>,
    header: &Header,
    caller: &ChannelCaller<'_>,
) -> Result<Result<(), Refusal>, Fault> {
    let over = header.tag;
    let branch: Arc<Mutex<Option<Guard>>> = Arc::default();
    let stop = Arc::clone(&branch);
    // Not watched any more means that nobody wants them.
    if let Err(refused) = session.watch(over, Box::new(move || drop(stop.lock().take())))? {
        return Ok(Err(Refusal::new(Code::Overloaded, refused.to_string())));
    }
    let (at, monitor) = (Arc::clone(session), Header { call: over, ..*header });
    let told = move |record: &Arc<_>| {
        if at.unwatch(over) {
            tell(&at, &monitor, record, 0);
        }
    };
    match runtime.serve_branch(caller, Box::new(told)) {
        Ok(guard) => {
            *branch.lock() = Some(guard);
            // The session may have ended before there was anything to stop.
            if session.has_ended() {
                let guard = branch.lock().take();
                drop(guard);
            }
            Ok(Ok(()))
        }
        Err(refusal) => {
            session.unwatch(over);
            Ok(Err(refusal))
        }
    }
}

/// Answers a call, once.
pub(super) struct Answering {
    session: Arc<Session>,
    call: u64,
    over: AtomicBool,
}

impl Answers for Answering {
    fn answer(self: Box<Self>, outcome: Result<Bytes, Refusal>) {
        self.give(outcome);
    }

    fn on_abandon(&self, stop: Box<dyn FnOnce() + Send>) {
        self.session.serve(self.call, stop);
    }
}

impl Answering {
    pub fn new(session: &Arc<Session>, call: u64) -> Answering {
        Answering { session: Arc::clone(session), call, over: AtomicBool::new(false) }
    }

    fn give(&self, outcome: Result<Bytes, Refusal>) {
        if !self.over.swap(true, Ordering::AcqRel) {
            self.session.served(self.call);
            answer(&self.session, self.call, outcome);
        }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.give(Err(Refusal::new(Code::ShuttingDown, "the node ended before it was done")));
    }
}

/// Where nobody asked.
struct Nobody;

impl Answers for Nobody {
    fn answer(self: Box<Self>, _: Result<Bytes, Refusal>) {}

    fn on_abandon(&self, _: Box<dyn FnOnce() + Send>) {}
}

/// The frame that says that nobody waits for an answer any more: in the lane of what asked.
pub(super) fn abandon(session: &Arc<Session>, asked: &Header) {
    if let Ok(payload) = call::encode(&Call::Abandon) {
        let header = Header { grant: 0, tag: 0, ..*asked };
        session.queue(None, header, &payload);
    }
}
