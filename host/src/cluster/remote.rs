//! The way to coroutines of other nodes: each call becomes a frame in the lane of caller and target, under credit where it goes
//! into a mailbox, and an answer, or the loss of the node.

use super::channels;
use super::grants::Grants;
use super::jobs::Jobs;
use super::link::{Answer, Links, NotSent, Pass, Session, Watcher};
use super::mesh::Handle;
use super::offers;
use super::values;
use crate::runtime::abroad::Ear;
use crate::runtime::ports::{
    Ask, Became, End, EndFollower, Guard, Made, Mesh, Observer, Pending, SpawnAway, Sprout, Way,
};
use crate::runtime::{Group, Refusal};
use crate::tasks::Tasks;
use bytes::Bytes;
use corovan_core::code::Code;
use corovan_core::ids::{Address, ModuleHash, NodeId};
use corovan_core::limits;
use corovan_core::link::call::{self, Call};
use corovan_core::link::calls;
use corovan_core::link::channel::ChannelCall;
use corovan_core::link::frame::{Header, Kind, Local};
use corovan_core::membership::member::Member;
use corovan_core::membership::presence::Presence;
use corovan_core::placement::Facts;
use corovan_core::tenancy::identity::{Principal, Role};
use corovan_core::tenancy::quota::Permit;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::oneshot;

/// Other nodes, as coroutines of this one see them.
pub struct Remote {
    links: Links,
    grants: Arc<dyn Grants>,
    members: Handle,
    /// Of this name, which is part of its nodes'.
    cluster: String,
    /// Where the next goes that may go anywhere.
    turn: AtomicUsize,
    jobs: Jobs,
}

/// The way to one address, in one session and for one computation.
#[derive(Clone, Debug)]
pub(super) struct To {
    pub(super) session: Arc<Session>,
    pub(super) pass: Arc<Pass>,
    to: Local,
}

/// Flag of an exit frame: the record is not kept any more, or it was never there.
pub(super) const EXPIRED: u8 = 1;
/// Flag of an exit frame: its value is not in it.
pub(super) const CUT: u8 = 2;

impl Remote {
    pub fn new(links: Links, grants: Arc<dyn Grants>, members: Handle, cluster: &str, tasks: Tasks) -> Remote {
        let jobs = Jobs::new(links.node(), tasks);
        Remote { links, grants, members, cluster: cluster.to_owned(), turn: AtomicUsize::new(0), jobs }
    }

    /// Where modules are to be had: a node, for a computation that it has shown.
    pub(super) fn back(session: &Arc<Session>, grant: &Bytes) -> To {
        To { session: Arc::clone(session), pass: session.pass(grant), to: Local::default() }
    }

    /// The way to a node itself, for a computation. Errors: node-lost, denied.
    pub(super) fn node(&self, group: &Arc<Group>, to: &Address) -> Result<To, Refusal> {
        let session = self.links.session(to.node).map_err(|why| Refusal::new(Code::NodeLost, why.to_string()))?;
        if session.incarnation().is_some_and(|present| present > to.incarnation) && to.incarnation != 0 {
            let text = format!("node {} has been started again since: {to} has ended", to.node);
            return Err(Refusal::new(Code::NodeLost, text));
        }
        let grant = self.grants.of(group).ok_or_else(|| {
            let text = "its computation has no grant, which the client signs: it is at home on this node only";
            Refusal::new(Code::Denied, text)
        })?;
        let pass = session.pass(&grant);
        Ok(To { session, pass, to: Local::from(*to) })
    }
}

impl Mesh for Remote {
    fn way(&self, group: &Arc<Group>, to: &Address) -> Result<Arc<dyn Way>, Refusal> {
        Ok(Arc::new(self.node(group, to)?))
    }

    fn place(&self, selector: &str) -> Result<NodeId, Refusal> {
        let wanted = offers::selector(selector)?;
        let members = self.members.members();
        // A node is known by its certificate before it has said anything of itself, and whoever names one gets that very node:
        // that it drains, or cannot be reached, it is told then.
        let named = Principal::new(&self.cluster, Role::Node, selector).map(|named| named.node_id()).ok();
        if let Some(named) = named.filter(|named| members.contains_key(named)) {
            return Ok(named);
        }
        let takes = |member: &&Member| {
            let Presence { node, dial_out, .. } = member.presence;
            let own = node == self.links.node();
            let reached = own || !dial_out || !self.links.is_dial_out();
            // One that drains takes nothing of others, but from itself it does.
            let about = member.about.as_ref().is_some_and(|about| own || !about.draining);
            let fits = || wanted.is_any() || wanted.takes(&Facts::of(&offers::offer(member, &self.cluster)));
            about && reached && fits()
        };
        let found: Vec<NodeId> = members.values().filter(takes).map(|member| member.presence.node).collect();
        if found.is_empty() {
            let (shown, known) = (offers::shown(selector), members.len());
            let text = format!("no node of the mesh is {shown:?}: {known} known (`corovan nodes` lists them)");
            return Err(Refusal::new(Code::NodeLost, text));
        }
        Ok(found[self.turn.fetch_add(1, Ordering::Relaxed) % found.len()])
    }

    fn name(&self, node: NodeId) -> Option<String> {
        let members = self.members.members();
        members.get(&node).and_then(|member| member.about.as_ref()).map(|about| about.name.clone())
    }

    fn spawn(
        &self,
        group: &Arc<Group>,
        to: NodeId,
        from: &Address,
        what: SpawnAway,
        over: Box<dyn EndFollower>,
    ) -> Pending<Result<Made, Refusal>> {
        let to = self.node(group, &Address { node: to, ..Address::default() });
        let from = *from;
        Box::pin(async move {
            let to = to?;
            let over = to.follows(over);
            let (address, sprout) = to.make(from, what, over, 0, drop).await?;
            Ok((address, sprout as Arc<dyn Sprout>))
        })
    }

    fn run(
        &self,
        group: &Arc<Group>,
        to: NodeId,
        what: SpawnAway,
        observer: Arc<dyn Observer>,
        over: Box<dyn FnOnce(Became) + Send + Sync>,
    ) -> Arc<dyn Sprout> {
        let to = self.node(group, &Address { node: to, ..Address::default() });
        self.jobs.run(to, (group, observer), what, over)
    }
}

impl Way for To {
    fn is_over(&self) -> bool {
        self.session.has_ended() || self.pass.is_retired()
    }

    fn send_now(&self, from: &Address, tag: u64, bytes: &[u8]) -> Result<bool, Refusal> {
        self.pass_now(from, 0, tag, bytes)
    }

    fn send(&self, from: &Address, tag: u64, bytes: Bytes) -> Pending<Result<(), Refusal>> {
        self.pass(from, 0, tag, bytes)
    }

    fn deliver(&self, from: &Address, tag: u64, bytes: Bytes) -> Pending<Result<(), Refusal>> {
        let answered = self.clone().call(self.header(Kind::Deliver, from, tag), [bytes, Bytes::new()]);
        Box::pin(async move { answered.await.map(drop) })
    }

    fn request(&self, from: &Address, tag: u64, bytes: Bytes) -> Pending<Result<Bytes, Refusal>> {
        Box::pin(self.clone().call(self.header(Kind::Request, from, tag), [bytes, Bytes::new()]))
    }

    fn ask(&self, from: &Address, ask: Ask) -> Pending<Result<Bytes, Refusal>> {
        let (record, bytes) = match ask {
            Ask::Terminate { by, reason } => (Call::Terminate { by, reason }, Bytes::new()),
            Ask::Interrupt { reason } => (Call::Interrupt { reason }, Bytes::new()),
            Ask::Resume { bytes } => (Call::Resume, bytes),
            Ask::Status => (Call::Status, Bytes::new()),
        };
        self.ask_for(from, &record, bytes)
    }

    fn swap(&self, from: &Address, module: Option<ModuleHash>, function: String) -> Pending<Result<(), Refusal>> {
        let (to, header) = (self.clone(), self.header(Kind::Call, from, 0));
        Box::pin(async move {
            let record = encode(&Call::Swap { module, function })?;
            to.call_for(header, [record, Bytes::new()], true).await.map(drop)
        })
    }

    fn pass_now(&self, from: &Address, hops: u8, tag: u64, bytes: &[u8]) -> Result<bool, Refusal> {
        let header = Header { flags: hops, ..self.header(Kind::Message, from, tag) };
        self.session.send_now(Some(&self.pass), &header, &[bytes]).map_err(refusal)
    }

    fn pass(&self, from: &Address, hops: u8, tag: u64, bytes: Bytes) -> Pending<Result<(), Refusal>> {
        let header = Header { flags: hops, ..self.header(Kind::Message, from, tag) };
        let mut sending = self.session.send(Some(Arc::clone(&self.pass)), header, [bytes, Bytes::new()]);
        Box::pin(async move { poll_fn(|cx| sending.poll(cx)).await.map_err(refusal) })
    }

    fn ask_channel(
        &self,
        from: &Address,
        tag: u64,
        call: ChannelCall,
        bytes: Bytes,
    ) -> Pending<Result<Bytes, Refusal>> {
        Box::pin(self.clone().ask_channel(*from, tag, call, bytes))
    }

    fn tell_channel(&self, from: &Address, call: ChannelCall) {
        self.tell_channel(from, call);
    }

    fn branch(&self, from: &Address, over: Box<dyn EndFollower>) -> Pending<Result<Guard, Refusal>> {
        Box::pin(self.clone().branch(*from, over))
    }

    fn monitor(&self, from: &Address, follower: Box<dyn EndFollower>) -> Result<Guard, Refusal> {
        Ok(Box::new(self.begin_monitor(from, 0, follower)?))
    }

    fn join(&self, from: &Address, held: Permit) -> Result<Pending<Result<Option<End>, Refusal>>, Refusal> {
        values::join(self, from, held)
    }
}

impl To {
    /// A monitor of it, with these flags.
    pub(super) fn begin_monitor(
        &self,
        from: &Address,
        flags: u8,
        follower: Box<dyn EndFollower>,
    ) -> Result<Monitoring, Refusal> {
        let payload = encode(&Call::Monitor)?;
        // It needs no room on the way, so that it never waits; but one who monitors without end is to end no session.
        if self.session.is_jammed(&self.header(Kind::Call, from, 0)) {
            return Err(Refusal::new(Code::Overloaded, "calls to that node wait for it to take them: try again"));
        }
        let number = self.session.begin_monitor(self.follows(follower)).map_err(not_begun)?;
        let header = Header { call: number, flags, ..self.header(Kind::Call, from, 0) };
        self.session.queue(Some(&self.pass), header, &payload);
        Ok(Monitoring { session: Arc::clone(&self.session), header })
    }

    /// The head of a monitor of this number.
    pub(super) fn monitored(&self, from: &Address, number: u64) -> Header {
        Header { call: number, ..self.header(Kind::Call, from, 0) }
    }

    /// The same to this address of that node.
    pub(super) fn at(self, to: Local) -> To {
        To { to, ..self }
    }

    /// A call with this record, and bytes it speaks of.
    pub(super) fn ask_for(&self, from: &Address, record: &Call, bytes: Bytes) -> Pending<Result<Bytes, Refusal>> {
        match encode(record) {
            Ok(record) => Box::pin(self.clone().call(self.header(Kind::Call, from, 0), [record, bytes])),
            Err(refusal) => Box::pin(std::future::ready(Err(refusal))),
        }
    }

    /// The same, again while so much is on its way to that node that nothing more is taken, and nothing tells when it is not.
    pub(super) async fn ask_until_room(&self, from: &Address, record: &Call, bytes: Bytes) -> Result<Bytes, Refusal> {
        loop {
            match self.ask_for(from, record, bytes.clone()).await {
                Err(refusal) if refusal.code == Code::Overloaded && !self.session.has_ended() => {
                    tokio::time::sleep(limits::KEEP_ALIVE / 10).await;
                }
                outcome => return outcome,
            }
        }
    }

    /// Tells a follower what the frame of an end says.
    pub(super) fn follows(&self, follower: Box<dyn EndFollower>) -> Box<dyn Watcher> {
        Box::new(Follows { follower, peer: self.session.peer })
    }

    pub(super) fn header(&self, kind: Kind, from: &Address, tag: u64) -> Header {
        Header { tag, to: self.to, from: Local::from(*from), ..Header::new(kind) }
    }

    /// Sends what is answered, and waits for the answer. Dropped before, the answer is not waited for.
    async fn call(self, header: Header, payload: [Bytes; 2]) -> Result<Bytes, Refusal> {
        self.call_for(header, payload, false).await
    }

    /// The same; the other node is told if the answer is not waited for, where it is to be.
    pub(super) async fn call_for(&self, header: Header, payload: [Bytes; 2], abandons: bool) -> Result<Bytes, Refusal> {
        call_at(&self.session, Some(&self.pass), header, payload, abandons).await
    }
}

/// The same, also of what is asked for no computation.
pub(super) async fn call_at(
    session: &Arc<Session>,
    pass: Option<&Arc<Pass>>,
    header: Header,
    payload: [Bytes; 2],
    abandons: bool,
) -> Result<Bytes, Refusal> {
    let (number, answer) = session.begin_call().map_err(not_begun)?;
    let header = Header { call: number, ..header };
    let _asked = Asked { session: Arc::clone(session), header, abandons };
    let mut sending = session.send(pass.cloned(), header, payload);
    poll_fn(|cx| sending.poll(cx)).await.map_err(refusal)?;
    drop(sending);
    answered(answer).await
}

/// What the other node answers.
async fn answered(answer: oneshot::Receiver<Answer>) -> Result<Bytes, Refusal> {
    let lost = || Refusal::new(Code::NodeLost, "the other node was lost before it answered: it may have been done");
    match answer.await {
        Err(_) | Ok(Answer::Lost) => Err(lost()),
        Ok(Answer::Given { kind: Kind::Reply, payload, .. }) => Ok(payload),
        Ok(Answer::Given { tag: 0, payload, .. }) => Ok(payload),
        Ok(Answer::Given { tag, payload, .. }) => {
            let code = u16::try_from(tag).ok().and_then(Code::from_number).unwrap_or(Code::Internal);
            let text = String::from_utf8_lossy(&payload).into_owned();
            Err(Refusal::new(code, text))
        }
    }
}

/// A call that waits for its answer; nobody waits any more when dropped.
struct Asked {
    session: Arc<Session>,
    header: Header,
    abandons: bool,
}

impl Drop for Asked {
    fn drop(&mut self) {
        if self.session.give_up_call(self.header.call) && self.abandons {
            channels::abandon(&self.session, &self.header);
        }
    }
}

/// A monitor of a coroutine of another node, until dropped.
pub(super) struct Monitoring {
    pub session: Arc<Session>,
    pub header: Header,
}

impl Drop for Monitoring {
    fn drop(&mut self) {
        // In the monitor's lane: before it, it would take back nothing.
        if self.session.give_up_monitor(self.header.call).is_some() {
            self.take_back();
        }
    }
}

impl Monitoring {
    /// Says that nobody wants to be told, or told more.
    pub fn take_back(&self) {
        if let Ok(payload) = call::encode(&Call::Demonitor) {
            self.session.queue(None, self.header, &payload);
        }
    }
}

struct Follows {
    follower: Box<dyn EndFollower>,
    peer: NodeId,
}

impl Watcher for Follows {
    fn ended(self: Box<Self>, exit: Option<(u8, Bytes)>) {
        let Follows { follower, peer } = *self;
        let end = exit.and_then(|(flags, payload)| match call::decode_exit(payload) {
            Ok(record) => Some(End { record, expired: flags & EXPIRED != 0, cut: flags & CUT != 0 }),
            Err(error) => {
                tracing::warn!(%peer, "an exit record that cannot be read: {error}");
                None
            }
        });
        follower.ended(end);
    }

    fn ear(&self) -> Option<Arc<Ear>> {
        self.follower.ear()
    }

    fn arguments(&self) -> Option<Bytes> {
        self.follower.arguments()
    }
}

pub(super) fn encode(record: &Call) -> Result<Bytes, Refusal> {
    call::encode(record).map_err(|error| Refusal::new(Code::TooLarge, error.to_string()))
}

fn refusal(not_sent: NotSent) -> Refusal {
    let code = match not_sent {
        NotSent::Gone => Code::Gone,
        NotSent::Overloaded => Code::Overloaded,
        NotSent::Lost => Code::NodeLost,
        NotSent::Frame(_) => Code::TooLarge,
    };
    Refusal::new(code, not_sent.to_string())
}

pub(super) fn not_begun(refused: calls::Refused) -> Refusal {
    let code = match refused {
        calls::Refused::TooMany(_) => Code::Overloaded,
        calls::Refused::Ended => Code::NodeLost,
    };
    Refusal::new(code, refused.to_string())
}
