//! Ways into the mesh: what an operator gave by name, looked up again and again, and what was found on the network. Says
//! which addresses membership is to ask; whether anybody is there, and may be believed, is seen when they are dialled.

use super::mesh;
use corovan_client::Error as AddressError;
use corovan_core::limits;
use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval};

/// What it begins with.
pub struct Config {
    /// `HOST:PORT` each.
    pub peers: Vec<String>,
    /// Where this node itself is reached: the same list of peers may be given to all nodes.
    pub own: Vec<SocketAddr>,
}

/// Asked to try addresses, and to stop trying them.
pub trait Ways: Send + Sync {
    fn announce(&self, seed: SocketAddr);
    fn forget(&self, seed: SocketAddr);
}

/// The name service.
pub trait Resolve: Send + Sync {
    fn resolve<'a>(
        &'a self,
        peer: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<Vec<SocketAddr>, AddressError>> + Send + 'a>>;
}

/// That of the machine.
pub struct System;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Address(#[from] AddressError),
    #[error("{0} is this node itself")]
    Itself(String),
    #[error("a node is given {} others at most (SEED_NAMES)", limits::SEED_NAMES)]
    Full,
    #[error("the node is shutting down")]
    Closed,
}

pub struct Service {
    own: Vec<SocketAddr>,
    given: Vec<Given>,
    found: VecDeque<SocketAddr>,
    ways: Arc<dyn Ways>,
    names: Arc<dyn Resolve>,
    commands: mpsc::Receiver<Command>,
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Handle(mpsc::Sender<Command>);

struct Given {
    peer: String,
    /// It stands in the node's configuration, and may be gone from there.
    configured: bool,
    addresses: Vec<SocketAddr>,
    /// Why it could not be looked up the last time; logged when it changes.
    fault: Option<String>,
}

enum Command {
    Add(String, oneshot::Sender<Result<Vec<SocketAddr>, Error>>),
    Found(SocketAddr),
    Configured(Vec<String>),
}

impl Handle {
    /// Tries this peer from now on; the addresses it has at present.
    pub async fn add(&self, peer: &str) -> Result<Vec<SocketAddr>, Error> {
        let (told, answer) = oneshot::channel();
        self.0.send(Command::Add(peer.to_owned(), told)).await.map_err(|_| Error::Closed)?;
        answer.await.map_err(|_| Error::Closed)?
    }

    /// These are configured from now on, and no others; what an operator has added stays.
    pub async fn configure(&self, peers: Vec<String>) {
        // Where the node is shutting down, nobody looks for a way in any more.
        let _ = self.0.send(Command::Configured(peers)).await;
    }

    /// Something on the network says that it is a node of this cluster. Dropped where too many say so at once: it is said again.
    pub fn found(&self, address: SocketAddr) {
        let _ = self.0.try_send(Command::Found(address));
    }
}

impl Service {
    pub fn new(config: Config, ways: Arc<dyn Ways>, names: Arc<dyn Resolve>) -> Result<(Service, Handle), Error> {
        if config.peers.len() > limits::SEED_NAMES {
            return Err(Error::Full);
        }
        let (sender, commands) = mpsc::channel(limits::DISCOVERED_SEEDS);
        let given = config.peers.into_iter().map(|peer| Given::new(peer, true)).collect();
        let service = Service { own: config.own, given, found: VecDeque::new(), ways, names, commands };
        Ok((service, Handle(sender)))
    }

    /// Until `stop` is done or its sender is gone.
    pub async fn run(mut self, stop: oneshot::Receiver<()>) {
        let work = async {
            let mut again = interval(limits::SEED_PERIOD);
            again.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    _ = again.tick() => self.look_up().await,
                    command = self.commands.recv() => match command {
                        Some(Command::Add(peer, told)) => {
                            let added = self.add(peer).await;
                            // Whoever asked may be gone; what it asked for is done all the same.
                            let _ = told.send(added);
                        }
                        Some(Command::Found(address)) => self.discovered(address),
                        Some(Command::Configured(peers)) => self.configured(peers).await,
                        None => std::future::pending().await,
                    },
                }
            }
        };
        tokio::select! {
            () = work => {}
            _ = stop => {}
        }
    }

    async fn look_up(&mut self) {
        for index in 0..self.given.len() {
            let Some(peer) = self.given.get(index).map(|given| given.peer.clone()) else { continue };
            match self.names.resolve(&peer).await {
                Ok(addresses) => self.moved(index, addresses),
                Err(error) => {
                    let fault = error.to_string();
                    if let Some(given) = self.given.get_mut(index).filter(|given| given.fault.as_ref() != Some(&fault))
                    {
                        tracing::warn!(peer, "no way into the mesh, tried again: {fault}");
                        given.fault = Some(fault);
                    }
                }
            }
        }
    }

    async fn add(&mut self, peer: String) -> Result<Vec<SocketAddr>, Error> {
        let addresses = self.names.resolve(&peer).await?;
        if addresses.iter().all(|address| self.own.contains(address)) {
            return Err(Error::Itself(peer));
        }
        let index = match self.given.iter().position(|given| given.peer == peer) {
            Some(index) => index,
            None if self.given.len() >= limits::SEED_NAMES => return Err(Error::Full),
            None => {
                self.given.push(Given::new(peer, false));
                self.given.len() - 1
            }
        };
        self.moved(index, addresses.clone());
        Ok(addresses)
    }

    /// Forgets those that are configured no more, and looks up those that are new.
    async fn configured(&mut self, peers: Vec<String>) {
        let (gone, kept): (Vec<Given>, Vec<Given>) = std::mem::take(&mut self.given)
            .into_iter()
            .partition(|given| given.configured && !peers.contains(&given.peer));
        self.given = kept;
        let wanted = self.wanted();
        let gone: BTreeSet<SocketAddr> = gone.into_iter().flat_map(|given| given.addresses).collect();
        gone.difference(&wanted).for_each(|address| self.ways.forget(*address));
        for peer in peers {
            let room = self.given.len() < limits::SEED_NAMES;
            match self.given.iter_mut().find(|given| given.peer == peer) {
                Some(given) => given.configured = true,
                None if room => self.given.push(Given::new(peer, true)),
                None => tracing::warn!(peer, "no way into the mesh: {}", Error::Full),
            }
        }
        self.look_up().await;
    }

    /// A peer has these addresses now.
    fn moved(&mut self, index: usize, mut addresses: Vec<SocketAddr>) {
        addresses.retain(|address| !self.own.contains(address));
        // Of one name, so that all that is asked stays within MESH_SEEDS.
        addresses.truncate(ADDRESSES_OF_ONE);
        let wanted = self.wanted();
        let Some(given) = self.given.get_mut(index) else { return };
        let before = std::mem::replace(&mut given.addresses, addresses.clone());
        if given.fault.take().is_some() {
            tracing::info!(peer = given.peer, "found again");
        }
        addresses.iter().filter(|address| !wanted.contains(address)).for_each(|address| self.ways.announce(*address));
        let wanted = self.wanted();
        before.iter().filter(|address| !wanted.contains(address)).for_each(|address| self.ways.forget(*address));
    }

    fn discovered(&mut self, address: SocketAddr) {
        if self.own.contains(&address) || self.wanted().contains(&address) {
            return;
        }
        if self.found.len() >= limits::DISCOVERED_SEEDS
            && let Some(oldest) = self.found.pop_front()
        {
            self.ways.forget(oldest);
        }
        self.found.push_back(address);
        tracing::info!(%address, "a node was found on the network");
        self.ways.announce(address);
    }

    fn wanted(&self) -> BTreeSet<SocketAddr> {
        self.given.iter().flat_map(|given| &given.addresses).chain(&self.found).copied().collect()
    }
}

impl Given {
    fn new(peer: String, configured: bool) -> Given {
        Given { peer, configured, addresses: Vec::new(), fault: None }
    }
}

impl Ways for mesh::Handle {
    fn announce(&self, seed: SocketAddr) {
        if !mesh::Handle::announce(self, seed) {
            tracing::warn!(%seed, "not asked for a way into the mesh: the queue of membership is full (MESH_COMMANDS)");
        }
    }

    fn forget(&self, seed: SocketAddr) {
        self.forget_seed(seed);
    }
}

impl Resolve for System {
    fn resolve<'a>(
        &'a self,
        peer: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<Vec<SocketAddr>, AddressError>> + Send + 'a>> {
        Box::pin(corovan_client::resolve_address(peer))
    }
}

/// Of one name.
const ADDRESSES_OF_ONE: usize = (limits::MESH_SEEDS - limits::DISCOVERED_SEEDS) / limits::SEED_NAMES;

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;
    use std::collections::HashMap;

    #[derive(Default)]
    struct Heard(Mutex<Vec<String>>);

    #[derive(Default)]
    struct Names(Mutex<HashMap<String, Vec<SocketAddr>>>);

    impl Ways for Heard {
        fn announce(&self, seed: SocketAddr) {
            self.0.lock().push(format!("+{seed}"));
        }
        fn forget(&self, seed: SocketAddr) {
            self.0.lock().push(format!("-{seed}"));
        }
    }

    impl Resolve for Names {
        fn resolve<'a>(
            &'a self,
            peer: &'a str,
        ) -> Pin<Box<dyn Future<Output = Result<Vec<SocketAddr>, AddressError>> + Send + 'a>> {
            let why = || AddressError::Resolve { host: peer.into(), why: "unknown".into() };
            let found = self.0.lock().get(peer).cloned().ok_or_else(why);
            Box::pin(async { found })
        }
    }

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    struct Bench {
        service: Service,
        heard: Arc<Heard>,
        names: Arc<Names>,
    }

    impl Bench {
        fn new(peers: &[&str]) -> Bench {
            let (heard, names) = (Arc::new(Heard::default()), Arc::new(Names::default()));
            let peers = peers.iter().map(|peer| (*peer).to_owned()).collect();
            let config = Config { peers, own: vec![address("10.0.0.9:1")] };
            let made = Service::new(config, Arc::clone(&heard) as _, Arc::clone(&names) as _);
            let (service, _) = made.ok().unwrap();
            Bench { service, heard, names }
        }

        fn point(&self, name: &str, at: &[&str]) {
            self.names.0.lock().insert(name.into(), at.iter().map(|text| address(text)).collect());
        }

        fn heard(&self) -> Vec<String> {
            std::mem::take(&mut *self.heard.0.lock())
        }
    }

    #[tokio::test]
    async fn names_are_looked_up_again_and_only_what_changed_is_said_and_never_this_node_itself() {
        let mut bench = Bench::new(&["a:1", "b:1"]);
        bench.point("a:1", &["10.0.0.1:1", "10.0.0.9:1"]);
        bench.service.look_up().await;
        assert_eq!(bench.heard(), ["+10.0.0.1:1"]);
        bench.point("b:1", &["10.0.0.1:1", "10.0.0.2:1"]);
        bench.service.look_up().await;
        assert_eq!(bench.heard(), ["+10.0.0.2:1"]);
        bench.point("a:1", &["10.0.0.3:1"]);
        bench.service.look_up().await;
        assert_eq!(bench.heard(), ["+10.0.0.3:1"], "another name still has its old address");
        bench.point("b:1", &["10.0.0.2:1"]);
        bench.service.look_up().await;
        assert_eq!(bench.heard(), ["-10.0.0.1:1"]);
        bench.names.0.lock().clear();
        bench.service.look_up().await;
        assert_eq!(bench.heard(), Vec::<String>::new(), "what was known is kept while the name service is silent");
    }

    #[tokio::test]
    async fn a_peer_given_later_is_looked_up_at_once_or_refused_with_a_reason() {
        let mut bench = Bench::new(&[]);
        bench.point("me:1", &["10.0.0.9:1"]);
        for (peer, why) in [("nobody:1", "cannot be resolved"), ("me:1", "this node itself")] {
            let refused = bench.service.add(peer.into()).await.unwrap_err().to_string();
            assert!(refused.contains(why), "{refused}");
        }
        for n in 0..limits::SEED_NAMES {
            bench.point(&format!("{n}"), &[&format!("10.1.0.{n}:1")]);
            bench.service.add(format!("{n}")).await.unwrap();
        }
        bench.service.add("0".into()).await.unwrap();
        assert_eq!(bench.heard().len(), limits::SEED_NAMES, "a peer that is known is not asked twice");
        bench.point("more", &["10.2.0.1:1"]);
        assert!(matches!(bench.service.add("more".into()).await, Err(Error::Full)));
    }

    #[tokio::test]
    async fn configured_peers_may_change_and_what_an_operator_added_stays() {
        let mut bench = Bench::new(&["a:1", "b:1"]);
        for (name, at) in [("a:1", "10.0.0.1:1"), ("b:1", "10.0.0.2:1"), ("c:1", "10.0.0.3:1"), ("d:1", "10.0.0.1:1")] {
            bench.point(name, &[at]);
        }
        bench.service.look_up().await;
        bench.service.add("c:1".into()).await.unwrap();
        assert_eq!(bench.heard(), ["+10.0.0.1:1", "+10.0.0.2:1", "+10.0.0.3:1"]);
        bench.service.configured(vec!["d:1".into()]).await;
        assert_eq!(bench.heard(), ["-10.0.0.1:1", "-10.0.0.2:1", "+10.0.0.1:1"]);
        bench.service.configured(vec!["c:1".into()]).await;
        assert_eq!(bench.heard(), ["-10.0.0.1:1"]);
        bench.service.configured(Vec::new()).await;
        assert_eq!(bench.heard(), ["-10.0.0.3:1"], "once it was configured, it goes with the configuration");
    }

    #[test]
    fn what_is_found_on_the_network_is_bounded_and_the_oldest_makes_room() {
        let mut bench = Bench::new(&[]);
        bench.service.discovered(address("10.0.0.9:1"));
        for _ in 0..2 {
            for n in 0..limits::DISCOVERED_SEEDS {
                bench.service.discovered(address(&format!("10.1.0.{n}:1")));
            }
        }
        assert_eq!(bench.heard().len(), limits::DISCOVERED_SEEDS);
        bench.service.discovered(address("10.2.0.1:1"));
        assert_eq!(bench.heard(), ["-10.1.0.0:1", "+10.2.0.1:1"]);
    }
}
