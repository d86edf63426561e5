//! What a client may ask about the mesh: which nodes there are, what becomes of them, and to join another.

use crate::error::{Error, Lost, Peer, printable};
use crate::framed::{FrameReader, FrameWriter};
use crate::node::Node;
use corovan_core::code::Code;
use corovan_core::limits;
use corovan_core::wire::frame::{Frame, Kind};
use corovan_core::wire::nodes::{AskPeer, Drain, ListNodes, NodeInfo};
use corovan_core::wire::records::Closed;
use serde::Serialize;
use tokio::time::timeout;

/// The nodes of a mesh, told one by one: first all that are known, then each that changes.
#[derive(Debug)]
pub struct Nodes {
    stream: Stream,
    /// As long as it is open the node goes on telling.
    _open: quinn::SendStream,
}

/// What comes next.
#[derive(Clone, PartialEq, Debug)]
pub enum News {
    /// A node as it is now; it takes the place of what was told of it before.
    Node(NodeInfo),
    /// That was all there is; what follows has changed.
    Told,
}

/// Where answers come.
#[derive(Debug)]
pub(crate) struct Stream {
    reader: FrameReader<quinn::RecvStream>,
    connection: quinn::Connection,
    pub(crate) peer: Peer,
}

impl Node {
    /// The nodes of this node's mesh as it knows them, itself among them; those that went are told for an hour or so.
    pub async fn nodes(&self) -> Result<Vec<NodeInfo>, Error> {
        let (mut send, mut stream) = self.ask(Kind::ListNodes, &ListNodes { watch: false }).await?;
        let _ = send.finish();
        let mut all = Vec::new();
        while let Some(frame) = self.in_time(stream.next()).await? {
            match stream.news(&frame)? {
                News::Node(info) if all.len() >= limits::MESH_NODES => {
                    return Err(stream
                        .peer
                        .protocol(format!("it told more nodes than there can be, {} too", info.node)));
                }
                News::Node(info) => all.push(info),
                News::Told => {}
            }
        }
        Ok(all)
    }

    /// The same, and then every change.
    pub async fn watch_nodes(&self) -> Result<Nodes, Error> {
        let (open, stream) = self.ask(Kind::ListNodes, &ListNodes { watch: true }).await?;
        Ok(Nodes { stream, _open: open })
    }

    /// Has the node take part in the mesh of the node at this address, which it resolves itself, and tries again until
    /// somebody is there. Returns when it has begun to.
    pub async fn join_peer(&self, address: &str) -> Result<(), Error> {
        crate::check_address(address)?;
        self.tell(Kind::AskPeer, &AskPeer { address: address.to_owned() }).await
    }

    /// Has the node take no new work while what runs goes on (discoro's `suspend_node`), or take it again (`undo`). Holds until it
    /// is undone or the node is started anew. For operators. Errors: refused (denied).
    pub async fn drain(&self, undo: bool) -> Result<(), Error> {
        self.tell(Kind::Drain, &Drain { undo }).await
    }

    /// Has the node do something, and hears that it was taken.
    async fn tell<T: Serialize>(&self, kind: Kind, told: &T) -> Result<(), Error> {
        let (mut send, mut stream) = self.ask(kind, told).await?;
        let _ = send.finish();
        match self.in_time(stream.next()).await? {
            None => Ok(()),
            Some(frame) => Err(stream.peer.protocol(format!("unexpected {:?} frame", frame.kind))),
        }
    }

    pub(crate) async fn ask<T: Serialize>(&self, kind: Kind, asked: &T) -> Result<(quinn::SendStream, Stream), Error> {
        self.ask_with(kind, asked, b"").await
    }

    pub(crate) async fn ask_with<T: Serialize>(
        &self,
        kind: Kind,
        asked: &T,
        payload: &[u8],
    ) -> Result<(quinn::SendStream, Stream), Error> {
        let (connection, peer) = (self.0.connection.clone(), self.0.peer.clone());
        let opened = self.in_time(async { connection.open_bi().await.map_err(|error| peer.lost_error(&error)) });
        let (send, recv) = opened.await?;
        let mut writer = FrameWriter::new(send);
        writer.queue(kind, 0, asked, payload).map_err(|error| peer.protocol(error))?;
        // What a node that refuses says counts more than a failed write.
        let _ = writer.flush().await;
        Ok((writer.into_inner(), Stream { reader: FrameReader::new(recv), connection, peer }))
    }

    pub(crate) async fn in_time<T>(&self, answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let silent = || Error::Connect { address: self.address(), why: "the node does not answer a question".into() };
        timeout(self.0.timeout * 2, answer).await.map_err(|_| silent())?
    }
}

impl Nodes {
    /// What comes next; `None` when the node has ended it. Cancel-safe.
    pub async fn next(&mut self) -> Result<Option<News>, Error> {
        match self.stream.next().await? {
            Some(frame) => self.stream.news(&frame).map(Some),
            None => Ok(None),
        }
    }
}

impl Stream {
    /// The next frame; `None` when the node has said all. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Result<Option<Frame>, Error> {
        match self.reader.next().await {
            Ok(Some(frame)) if frame.kind == Kind::Closed => {
                let closed: Closed = frame.record().map_err(|error| self.peer.protocol(error))?;
                match closed.code {
                    None => Ok(None),
                    Some(Code::Protocol) => Err(self.peer.lost(Lost::Closed { code: closed.code, text: closed.text })),
                    Some(code) => {
                        let (node, text) = (self.peer.node.clone(), printable(&closed.text));
                        Err(Error::Refused { node, code, text })
                    }
                }
            }
            Ok(Some(frame)) => Ok(Some(frame)),
            Ok(None) => Err(self.peer.protocol("it ended the stream without saying why")),
            Err(error) => Err(match self.connection.close_reason() {
                Some(reason) => self.peer.lost_error(&reason),
                None => self.peer.protocol(error),
            }),
        }
    }

    fn news(&self, frame: &Frame) -> Result<News, Error> {
        match frame.kind {
            Kind::NodeInfo => Ok(News::Node(frame.record().map_err(|error| self.peer.protocol(error))?)),
            Kind::NodesTold => Ok(News::Told),
            other => Err(self.peer.protocol(format!("unexpected {other:?} frame"))),
        }
    }
}
