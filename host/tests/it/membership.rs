//! Membership as a part of nodes, several in one process on virtual time: who is told of whom, in which order, and what links
//! are told with it. Faults of networks are in the core's simulation.

use bytes::Bytes;
use corovan::cluster::link::Place;
use corovan::cluster::mesh::{Carrier, Config, Follower, Handle, Service};
use corovan::runtime::{Clock, VirtualClock};
use corovan_core::directory::message::{Message, Name};
use corovan_core::ids::{Address, NodeId};
use corovan_core::limits;
use corovan_core::membership::member::About;
use corovan_core::membership::presence::Presence;
use corovan_core::membership::swim::Unconnected;
use corovan_core::membership::watch::Change;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

/// Who is reached at which address; datagrams to others are lost.
#[derive(Default)]
struct Wire {
    ends: Mutex<BTreeMap<SocketAddr, Handle>>,
    /// Whose connections a node keeps, and who was told to dial whom.
    kept: Mutex<BTreeSet<(SocketAddr, NodeId)>>,
    called: Mutex<Vec<(SocketAddr, NodeId)>>,
    /// Where a node may be dialled, as a node was told.
    places: Mutex<BTreeMap<(SocketAddr, NodeId), Place>>,
}

struct End {
    wire: Arc<Wire>,
    address: SocketAddr,
    node: NodeId,
}

#[derive(Default)]
struct Diary(Mutex<Vec<String>>);

struct Member {
    service: Option<Service>,
    handle: Handle,
    diary: Arc<Diary>,
}

struct Cluster {
    clock: Arc<VirtualClock>,
    wire: Arc<Wire>,
    members: BTreeMap<u8, Member>,
}

impl Carrier for End {
    fn datagram(&self, to: SocketAddr, _: Option<NodeId>, bytes: Bytes, _: Unconnected) {
        let there = self.wire.ends.lock().get(&to).cloned();
        if let Some(there) = there {
            there.datagram(self.address, self.node, bytes);
        }
    }

    fn place(&self, node: NodeId, place: Place) {
        self.wire.places.lock().insert((self.address, node), place);
    }

    fn keep(&self, node: NodeId, keeps: bool) {
        let mut kept = self.wire.kept.lock();
        if keeps {
            kept.insert((self.address, node))
        } else {
            kept.remove(&(self.address, node))
        };
    }

    fn call_back(&self, node: NodeId) {
        self.wire.called.lock().push((self.address, node));
    }

    fn names(&self, _: NodeId, _: Message) {}
    fn name_lost(&self, _: &Name, _: &Address) {}
}

impl Follower for Diary {
    fn changed(&self, change: &Change) {
        let (word, member) = match change {
            Change::Came(member) => ("came", member),
            Change::Changed(member) => ("changed", member),
            Change::Failed(member) => ("failed", member),
            Change::Left(member) => ("left", member),
        };
        let name = member.about.as_ref().map_or("?", |about| &about.name);
        self.0.lock().push(format!("{word} {}.{} {name}", member.presence.node.0[0], member.presence.incarnation));
    }
}

impl Diary {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock())
    }
}

impl Cluster {
    fn new() -> Cluster {
        Cluster { clock: Arc::new(VirtualClock::new(0)), wire: Arc::default(), members: BTreeMap::new() }
    }

    /// A node that asks node 1 for the way in.
    fn start(&mut self, n: u8, incarnation: u32) {
        let (node, address) = (NodeId([n; 12]), at(n));
        let me = Presence { dial_out: n == DIAL_OUT, ..Presence::new(node, incarnation, address) };
        let external = (n == BEHIND_NAT).then(|| at(n + 100));
        let about = About { name: format!("n{n}"), external, ..About::default() };
        let config =
            Config { me, about, cluster: "test".into(), seed: u64::from(n), clock: Arc::clone(&self.clock) as _ };
        let carrier = End { wire: Arc::clone(&self.wire), address, node };
        let (service, handle) = Service::new(config, Arc::new(carrier)).unwrap();
        let diary = Arc::new(Diary::default());
        assert!(handle.follow(Arc::clone(&diary) as _) && (n == 1 || handle.announce(at(1))));
        self.wire.ends.lock().insert(address, handle.clone());
        self.members.insert(n, Member { service: Some(service), handle, diary });
    }

    /// It is there no more, and says nothing.
    fn kill(&mut self, n: u8) {
        self.wire.ends.lock().remove(&at(n));
        self.members.remove(&n);
    }

    /// Goes on until it is so; how long is bounded by virtual time only.
    #[track_caller]
    fn until(&mut self, what: &str, is_so: impl Fn(&Cluster) -> bool) {
        let end = self.clock.now() + 60_000_000_000;
        while !is_so(self) {
            let next = self.members.values_mut().filter_map(|member| {
                let next = member.service.as_mut()?.turn();
                if next.is_none() {
                    member.service = None;
                }
                next
            });
            let next = next.min().unwrap_or(end);
            assert!(self.clock.now() < end, "never came: {what}");
            // Datagrams take a millisecond.
            self.clock.advance_to(next.min(self.clock.now() + 1_000_000));
        }
    }

    fn knows(&self, n: u8, expected: &[(u8, u32)]) -> bool {
        let members = self.members[&n].handle.members();
        let known: BTreeSet<(u8, u32)> = members
            .values()
            .filter(|it| it.about.is_some())
            .map(|it| (it.presence.node.0[0], it.presence.incarnation))
            .collect();
        known == expected.iter().copied().collect() && members.len() == expected.len()
    }

    fn diary(&self, n: u8) -> Vec<String> {
        self.members[&n].diary.take()
    }

    fn place(&self, of: u8, at_node: u8) -> Option<Place> {
        self.wire.places.lock().get(&(at(at_node), NodeId([of; 12]))).copied()
    }
}

fn at(n: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, n], 1))
}

const BEHIND_NAT: u8 = 2;
const DIAL_OUT: u8 = 3;

#[test]
fn members_are_told_of_those_who_come_change_leave_fail_and_come_back_each_once_and_in_order() {
    let mut cluster = Cluster::new();
    (1..=4).for_each(|n| cluster.start(n, 1));
    let all = [(1, 1), (2, 1), (3, 1), (4, 1)];
    cluster.until("all know all", |cluster| (1..=4).all(|n| cluster.knows(n, &all)));
    let told = cluster.diary(4);
    assert_eq!(told[0], "came 4.1 n4", "itself first");
    for n in 1..=3 {
        let of: Vec<_> = told.iter().filter(|line| line.contains(&format!(" {n}.1 "))).collect();
        let (came, rest) = of.split_first().unwrap();
        assert!(
            came.starts_with("came") && rest.len() <= 1 && rest.iter().all(|line| line.starts_with("changed")),
            "{told:?}"
        );
    }
    assert_eq!(cluster.place(BEHIND_NAT, 4), Some(Place::At(at(102))), "dialled from outside");
    assert_eq!((cluster.place(DIAL_OUT, 4), cluster.place(1, 4)), (Some(Place::DialOut), Some(Place::At(at(1)))));
    for (one, other) in [(DIAL_OUT, 1), (1, DIAL_OUT)] {
        cluster.until("the connection is kept, by both ends", |cluster| {
            cluster.wire.kept.lock().contains(&(at(one), NodeId([other; 12])))
        });
    }
    cluster.members[&4].handle.call_back(NodeId([DIAL_OUT; 12]));
    cluster.until("who asks to be dialled is", |cluster| {
        cluster.wire.called.lock().as_slice() == [(at(DIAL_OUT), NodeId([4; 12]))]
    });

    let about = About { name: "new".into(), ..About::default() };
    assert!(cluster.members[&1].handle.update(about));
    cluster.until("a name has changed", |cluster| {
        let members = cluster.members[&4].handle.members();
        members[&NodeId([1; 12])].about.as_ref().is_some_and(|about| about.name == "new")
    });
    assert_eq!(
        (cluster.diary(4), cluster.diary(1).last().unwrap().as_str()),
        (vec!["changed 1.1 new".into()], "changed 1.1 new")
    );

    let leaving = cluster.members[&2].handle.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let left = runtime.block_on(async {
        let leave = leaving.leave();
        tokio::pin!(leave);
        // The command is in the queue after the first poll.
        assert!(std::future::poll_fn(|cx| std::task::Poll::Ready(leave.as_mut().poll(cx).is_pending())).await);
        cluster.until("one has left", |cluster| cluster.members[&2].service.is_none());
        leave.await;
        leaving.is_over()
    });
    assert!(left);
    cluster.kill(2);
    cluster.until("others know", |cluster| [1, 3, 4].iter().all(|n| cluster.knows(*n, &[(1, 1), (3, 1), (4, 1)])));
    assert_eq!(cluster.diary(4).last().unwrap(), "left 2.1 n2");

    cluster.kill(3);
    cluster.until("it has failed", |cluster| [1, 4].iter().all(|n| cluster.knows(*n, &[(1, 1), (4, 1)])));
    assert_eq!(cluster.diary(4), ["failed 3.1 n3"]);
    cluster.start(3, 2);
    let back = [(1, 1), (3, 2), (4, 1)];
    cluster.until("it is back", |cluster| [1, 3, 4].iter().all(|n| cluster.knows(*n, &back)));
    let told = cluster.diary(4);
    assert!(told[0].starts_with("came 3.2") && told.iter().all(|line| !line.contains("failed")), "{told:?}");

    // Started anew before anybody noticed: the old one is told as failed first.
    cluster.kill(4);
    cluster.start(4, 2);
    cluster.until("the new one is known", |cluster| {
        [1, 3, 4].iter().all(|n| cluster.knows(*n, &[(1, 1), (3, 2), (4, 2)]))
    });
    let told = cluster.diary(3);
    let failed = told.iter().position(|line| line == "failed 4.1 n4").unwrap();
    let came = told.iter().position(|line| line.starts_with("came 4.2")).unwrap();
    assert!(failed < came, "{told:?}");
    assert_eq!(cluster.place(4, 1), Some(Place::At(at(4))));
}

#[test]
fn datagrams_beyond_what_the_queue_takes_are_dropped_and_counted() {
    let mut cluster = Cluster::new();
    cluster.start(1, 1);
    let handle = cluster.members[&1].handle.clone();
    let room = limits::MESH_COMMANDS - 1;
    (0..room + 5).for_each(|_| handle.datagram(at(9), NodeId([9; 12]), Bytes::from_static(b"?")));
    assert_eq!(handle.dropped(), 5);
    cluster.until("it goes on", |cluster| cluster.knows(1, &[(1, 1)]));
    cluster.members.get_mut(&1).unwrap().service.as_mut().unwrap().turn();
    handle.datagram(at(9), NodeId([9; 12]), Bytes::from_static(b"?"));
    assert_eq!(handle.dropped(), 5, "there is room again");
}
