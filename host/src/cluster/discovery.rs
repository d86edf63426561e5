//! Nodes of this cluster on the local network, by multicast DNS: this one makes itself known there, and others are passed on
//! as ways into the mesh, nothing more. Anyone can say anything there, so whoever is dialled proves who it is as always.

use super::seeds;
use corovan_core::ids::NodeId;
use corovan_core::limits;
use corovan_core::membership::datagram;
use mdns_sd::{IfKind, Receiver, ResolvedService, ServiceDaemon, ServiceEvent, ServiceInfo};
use std::net::{IpAddr, SocketAddr};
use tokio::sync::oneshot;

/// What it begins with.
pub struct Config {
    pub node: NodeId,
    /// The cluster's name; a hash of it is shown.
    pub cluster: String,
    /// Where this node is reached; `None`: it accepts no connections, and only looks for others.
    pub own: Option<SocketAddr>,
    /// On loopback only: for nodes that listen nowhere else.
    pub loopback: bool,
}

#[derive(Debug, thiserror::Error)]
#[error("--discover: this machine has no multicast DNS for us: {0}")]
pub struct Error(#[from] mdns_sd::Error);

pub struct Service {
    daemon: ServiceDaemon,
    events: Receiver<ServiceEvent>,
    filter: Filter,
    seeds: seeds::Handle,
}

/// Who is let through.
struct Filter {
    me: String,
    cluster: String,
}

impl Service {
    /// The library's thread runs from now on.
    pub fn new(config: Config, seeds: seeds::Handle) -> Result<Service, Error> {
        let daemon = ServiceDaemon::new()?;
        if config.loopback {
            daemon.disable_interface(IfKind::All)?;
            daemon.enable_interface(IfKind::LoopbackV4)?;
        }
        let filter = Filter::new(config.node, &config.cluster);
        let events = daemon.browse(SERVICE)?;
        if let Some(own) = config.own {
            daemon.register(filter.shown(own)?)?;
        }
        Ok(Service { daemon, events, filter, seeds })
    }

    /// Until `stop` is done or its sender is gone; then it takes back what it has made known.
    pub async fn run(self, stop: oneshot::Receiver<()>) {
        let listen = async {
            while let Ok(event) = self.events.recv_async().await {
                let ServiceEvent::ServiceResolved(found) = event else { continue };
                let addresses = self.filter.addresses(&found);
                if addresses.is_empty() {
                    tracing::debug!(name = found.fullname, "not a node of this cluster, or without an address");
                }
                addresses.into_iter().for_each(|address| self.seeds.found(address));
            }
            tracing::warn!("multicast DNS has ended: no more nodes are found on the network");
            std::future::pending().await
        };
        tokio::select! {
            () = listen => {}
            _ = stop => {}
        }
        // Others are told by this; if it comes to nothing, what they know of this node ends in two minutes.
        if let Ok(done) = self.daemon.shutdown() {
            let _ = tokio::time::timeout(limits::CONNECT_TIME, done.recv_async()).await;
        }
    }
}

impl Filter {
    fn new(node: NodeId, cluster: &str) -> Filter {
        Filter { me: node.to_string(), cluster: format!("{:016x}", datagram::cluster_number(cluster)) }
    }

    /// What this node makes known.
    fn shown(&self, own: SocketAddr) -> Result<ServiceInfo, Error> {
        let host = format!("{}.local.", self.me);
        let properties = [(CLUSTER, self.cluster.as_str())];
        let shown = |ip: String| ServiceInfo::new(SERVICE, &self.me, &host, ip, own.port(), &properties[..]);
        if own.ip().is_unspecified() {
            return Ok(shown(String::new())?.enable_addr_auto());
        }
        Ok(shown(own.ip().to_string())?)
    }

    /// Where it is, if it says that it is another node of this cluster.
    fn addresses(&self, found: &ResolvedService) -> Vec<SocketAddr> {
        let instance = found.fullname.split('.').next().unwrap_or_default();
        let ours = found.txt_properties.get_property_val_str(CLUSTER) == Some(&self.cluster);
        if !ours || instance == self.me || found.port == 0 {
            return Vec::new();
        }
        let mut addresses: Vec<IpAddr> =
            found.addresses.iter().map(|ip| ip.to_ip_addr()).filter(can_be_dialled).collect();
        addresses.sort();
        addresses.truncate(limits::MEMBER_ADDRESSES);
        addresses.into_iter().map(|ip| SocketAddr::new(ip, found.port)).collect()
    }
}

/// An address of the link alone needs an interface besides.
fn can_be_dialled(ip: &IpAddr) -> bool {
    let link = matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
    !ip.is_unspecified() && !ip.is_multicast() && !link
}

const SERVICE: &str = "_corovan._udp.local.";
const CLUSTER: &str = "cluster";

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(n: u8, cluster: &str) -> Filter {
        Filter::new(NodeId([n; 12]), cluster)
    }

    /// What others hear of this node.
    fn heard(filter: &Filter, address: &str) -> ResolvedService {
        filter.shown(address.parse().unwrap()).unwrap().as_resolved_service()
    }

    #[test]
    fn other_nodes_of_the_same_cluster_are_let_through_and_nobody_else() {
        let me = filter(1, "dev");
        for (other, address, expected) in [
            (filter(2, "dev"), "10.0.0.2:4433", &["10.0.0.2:4433"][..]),
            (filter(2, "dev"), "[fd00::2]:4433", &["[fd00::2]:4433"]),
            (filter(2, "prod"), "10.0.0.2:4433", &[]),
            (filter(1, "dev"), "10.0.0.1:4433", &[]),
            (filter(2, "dev"), "[fe80::2]:4433", &[]),
            (filter(2, "dev"), "10.0.0.2:0", &[]),
        ] {
            let found: Vec<String> = me.addresses(&heard(&other, address)).iter().map(ToString::to_string).collect();
            assert_eq!(found, expected, "{address}");
        }
    }
}
