//! Hot swaps of coroutines of this node that other nodes ask for: the module is fetched where it is missing, the coroutine is
//! asked, and how it went is told; for as long as whoever asked waits.

use super::channels::Answering;
use super::hosting::Hosting;
use super::link::{Granted, Session};
use super::receive::sender;
use super::transfers::Asked;
use crate::runtime::ports::Answers;
use crate::runtime::swap::Waiting;
use crate::runtime::{Refusal, Runtime};
use crate::tasks::TaskKind;
use bytes::Bytes;
use corovan_core::code::Code;
use corovan_core::ids::ModuleHash;
use corovan_core::limits;
use corovan_core::link::frame::Header;
use corovan_core::tenancy::quota::Resource;
use std::convert::Infallible;
use std::sync::Arc;
use tokio::sync::oneshot;

impl Hosting {
    /// The other node asks that a coroutine go on as this function, under a grant that lets it send.
    pub(super) fn swap(
        &self,
        runtime: &Arc<Runtime>,
        session: &Arc<Session>,
        (header, granted): (&Header, &Arc<Granted>),
        (module, function): (Option<ModuleHash>, String),
    ) {
        let answering = Box::new(Answering::new(session, header.call));
        let Some(asked) = Asked::one_more(&self.swaps, session, limits::SWAPS_ASKED) else {
            let text = "so many swaps are asked of this node by that one already (SWAPS_ASKED)";
            return answering.answer(Err(Refusal::new(Code::Overloaded, text)));
        };
        let held = match granted.tenant.ledger.take(Resource::Held, (limits::JOB_BYTES + function.len()) as u64) {
            Ok(held) => held,
            Err(exhausted) => return answering.answer(Err(exhausted.into())),
        };
        let asker = sender(session, header);
        let target = header.to.at(runtime.node, runtime.incarnation);
        let (runtime, session, granted) = (Arc::clone(runtime), Arc::clone(session), Arc::clone(granted));
        let transfers = self.transfers.clone();
        let waiting = Arc::new(Waiting::default());
        let stops = Arc::clone(&waiting);
        let swapped = async move {
            let present = runtime.swap_target(&granted.tenant, &target)?;
            let module = module.unwrap_or(present);
            granted.runs(&module)?;
            if module != present {
                transfers.fetch(&session, &granted, module).await?;
            }
            runtime.serve_swap(&granted.tenant, (asker, &target), (module, &function), &waiting).await
        };
        let (stop, stopped) = oneshot::channel::<Infallible>();
        answering.on_abandon(Box::new(move || {
            // Here and now: what comes after it in the lane finds that the coroutine is not asked any more.
            stops.stop();
            drop(stop);
        }));
        self.tasks.spawn(TaskKind::Stream, "swap", async move {
            let _asked = (asked, held);
            let outcome = tokio::select! {
                outcome = swapped => outcome,
                _ = stopped => Err(Refusal::gone("who asked for it")),
            };
            answering.answer(outcome.map(|()| Bytes::new()));
            Ok::<(), Infallible>(())
        });
    }
}
