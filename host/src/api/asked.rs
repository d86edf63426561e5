//! Questions, each on a stream of its own: its first frame asks, the answers follow, and a `Closed` says that this was all.

use super::connection::Client;
use super::session::Error;
use super::{durable, jobs, nodes};
use crate::net::framed::{FrameReader, FrameWriter};
use crate::net::{RecvStream, SendStream};
use corovan_core::wire::records::Closed;
use corovan_core::wire::{Frame, Kind};

/// Answers the first frame of a stream.
pub(super) async fn serve(
    client: &Client,
    asked: Frame,
    reader: FrameReader<RecvStream>,
    send: SendStream,
) -> Result<(), Error> {
    let mut writer = FrameWriter::new(send);
    let result = match asked.kind {
        Kind::ListNodes => nodes::list(client, &asked, reader, &mut writer).await,
        Kind::AskDurable => durable::answer(client, &asked, reader, &mut writer).await,
        Kind::AskJobs => jobs::list(client, &asked, &mut writer).await,
        Kind::Drain => nodes::drain(client, &asked),
        _ => nodes::ask_peer(client, &asked).await,
    };
    let closed = match &result {
        Ok(()) => Closed::done(),
        Err(error) => error.closed(),
    };
    // A client that reads no more is gone, and hears of nothing.
    if writer.queue(Kind::Closed, 0, &closed, &[]).is_ok() && writer.flush().await.is_ok() {
        let mut send = writer.into_inner();
        if send.finish().is_ok() {
            let _ = send.stopped().await;
        }
    }
    result
}
