//! Questions about the mesh, each on a stream of its own: which nodes there are, and a new way in. A tenant sees who is there;
//! where, with what, and everything that changes the mesh is for operators.

use super::connection::Client;
use super::session::Error;
use crate::cluster::roster::{Roster, Row};
use crate::cluster::seeds;
use crate::net::framed::{FrameReader, FrameWriter};
use crate::net::{RecvStream, SendStream};
use corovan_core::code::Code;
use corovan_core::ids::NodeId;
use corovan_core::text::cut;
use corovan_core::wire::nodes::{AskPeer, Drain, ListNodes, NodeDetails, NodeInfo};
use corovan_core::wire::{Frame, Kind};
use std::sync::Arc;

/// What is known of the mesh.
pub struct Nodes {
    pub roster: Arc<Roster>,
    /// Absent: this node takes part in none.
    pub seeds: Option<seeds::Handle>,
    /// Has this node take no new work, or take it again.
    pub drain: Box<dyn Fn(bool) + Send + Sync>,
}

pub(super) async fn list(
    client: &Client,
    asked: &Frame,
    mut reader: FrameReader<RecvStream>,
    writer: &mut FrameWriter<SendStream>,
) -> Result<(), Error> {
    let ListNodes { watch } = asked.record()?;
    let roster = &nodes(client)?.roster;
    let mut watcher = roster.watch();
    let tell = |writer: &mut FrameWriter<SendStream>, row: Row| {
        writer.queue(Kind::NodeInfo, 0, &info(row, roster.me(), client.operator), &[])
    };
    let mut told = false;
    loop {
        // One who reads slowly is told the latest of each node when it has read.
        for rows in watcher.look().chunks(AT_A_TIME) {
            rows.iter().try_for_each(|row| tell(writer, row.clone()))?;
            writer.flush().await.map_err(crate::net::framed::Error::from)?;
        }
        if !told {
            writer.queue_bare(Kind::NodesTold, 0, &[])?;
            writer.flush().await.map_err(crate::net::framed::Error::from)?;
            told = true;
        }
        if !watch {
            return Ok(());
        }
        tokio::select! {
            () = watcher.changed() => {}
            end = reader.next() => match end? {
                None => return Ok(()),
                Some(frame) => return Err(Error::Protocol(format!("{:?} where nodes are watched", frame.kind))),
            },
        }
    }
}

pub(super) async fn ask_peer(client: &Client, asked: &Frame) -> Result<(), Error> {
    let AskPeer { address } = asked.record()?;
    let refused = |code, text: String| Err(Error::Refused { code, text });
    check_operator(client, "changes the mesh")?;
    let Some(seeds) = &nodes(client)?.seeds else {
        return refused(Code::Unsupported, "this node takes part in no mesh".into());
    };
    match seeds.add(&address).await {
        Ok(addresses) => {
            tracing::info!(by = client.tenant.name(), peer = address, ?addresses, "asked to join");
            Ok(())
        }
        Err(seeds::Error::Full) => refused(Code::Overloaded, seeds::Error::Full.to_string()),
        Err(seeds::Error::Closed) => refused(Code::ShuttingDown, seeds::Error::Closed.to_string()),
        Err(error) => refused(Code::Invalid, cut(error.to_string(), corovan_core::limits::TEXT_BYTES)),
    }
}

pub(super) fn drain(client: &Client, asked: &Frame) -> Result<(), Error> {
    let Drain { undo } = asked.record()?;
    check_operator(client, "drains a node")?;
    tracing::info!(by = client.tenant.name(), undo, "asked to drain");
    (nodes(client)?.drain)(!undo);
    Ok(())
}

fn check_operator(client: &Client, what: &str) -> Result<(), Error> {
    if client.operator {
        return Ok(());
    }
    let text = format!("only an operator {what}: use a certificate made with `corovan cert operator`");
    Err(Error::Refused { code: Code::Denied, text })
}

fn nodes(client: &Client) -> Result<&Nodes, Error> {
    let starting = || Error::Refused { code: Code::Retry, text: "this node is still starting".into() };
    client.service.nodes.get().ok_or_else(starting)
}

fn info(row: Row, me: NodeId, operator: bool) -> NodeInfo {
    let Row { member, state, since } = row;
    let presence = member.presence;
    let about = member.about.as_deref().cloned().unwrap_or_default();
    let mut addresses: Vec<String> = Vec::new();
    for address in about.external.into_iter().chain([presence.address]).chain(about.addresses) {
        if (!address.ip().is_unspecified() || addresses.is_empty()) && !addresses.contains(&address.to_string()) {
            addresses.push(address.to_string());
        }
    }
    let details = operator.then_some(NodeDetails {
        addresses,
        labels: about.labels,
        cores: about.cores,
        memory: about.memory,
        version: about.version,
        dial_out: presence.dial_out,
        draining: about.draining,
    });
    let (node, incarnation) = (presence.node, presence.incarnation);
    NodeInfo { node, name: about.name, state: state.into(), asked: node == me, incarnation, since, details }
}

/// Nodes that are encoded before they are written: about 64 KiB.
const AT_A_TIME: usize = 128;
