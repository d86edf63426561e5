//! Coroutines that other nodes make for this one: asked for, and ended with whoever asked.

use super::link::Watcher;
use super::remote::{To, encode, not_begun};
use crate::runtime::Refusal;
use crate::runtime::ports::{SpawnAway, SpawnOf, Sprout};
use bytes::Bytes;
use corovan_core::code::Code;
use corovan_core::ids::{Address, ModuleHash};
use corovan_core::limits;
use corovan_core::link::call::{self, Call};
use corovan_core::link::frame::{Header, Kind};
use corovan_core::text::cut;
use std::sync::Arc;
use std::time::Duration;

/// A coroutine that another node has made, or makes, and all that it makes there.
pub(super) struct Remotely {
    to: To,
    over: u64,
}

impl Sprout for Remotely {
    fn cancel(&self, by: &str, reason: &str, grace: Duration) {
        let record = Call::Cancel {
            by: cut(by.to_owned(), limits::TEXT_BYTES),
            reason: cut(reason.to_owned(), limits::TEXT_BYTES),
            grace: u64::try_from(grace.as_nanos()).ok(),
        };
        if let Ok(payload) = encode(&record) {
            let header = Header { call: self.over, ..Header::new(Kind::Call) };
            self.to.session.queue(Some(&self.to.pass), header, &payload);
        }
    }
}

/// One that is being made; ended when this is dropped before it is.
struct Making(Option<Arc<Remotely>>);

impl Making {
    fn made(mut self) {
        self.0 = None;
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        if let Some(sprout) = self.0.take()
            && sprout.to.session.give_up_monitor(sprout.over).is_some()
        {
            sprout.cancel("node", "whoever made it has given up", limits::TERMINATE_GRACE);
        }
    }
}

impl To {
    /// Has a coroutine made there. `over` is told of the end under a number that is given to `numbered`; `flags` say how. Dropped
    /// before it is made, it is ended there at once.
    pub(super) async fn make(
        self,
        from: Address,
        what: SpawnAway,
        over: Box<dyn Watcher>,
        flags: u8,
        numbered: impl FnOnce(u64) + Send,
    ) -> Result<(Address, Arc<Remotely>), Refusal> {
        // Where whoever follows it has them as well.
        let large = over.arguments().is_some();
        let over = self.session.begin_monitor(over).map_err(not_begun)?;
        numbered(over);
        let sprout = Arc::new(Remotely { to: self.clone(), over });
        let (module, function, service, command) = match what.of {
            SpawnOf::Function(module, function) => (module, function, None, None),
            SpawnOf::Command(module, command) => (module, String::new(), None, Some(command)),
            SpawnOf::Service(service) => (ModuleHash([0; 32]), String::new(), Some(service), None),
        };
        let call = Call::Spawn(call::Spawn {
            module,
            service,
            function,
            memory: what.memory,
            most: what.most,
            deadline: what.deadline,
            over,
            cpu: what.cpu,
            command,
            large: large.then_some(what.args.len() as u64),
            stdin: what.input.is_some(),
        });
        let args = if large { Bytes::new() } else { what.args };
        // Given up before it is made, it is ended as soon as it is.
        let making = Making(Some(Arc::clone(&sprout)));
        let header = Header { flags, ..self.header(Kind::Call, &from, 0) };
        let peer = self.session.peer;
        let answer = self.call_for(header, [encode(&call)?, args], false).await?;
        let wrong = |text| Refusal::new(Code::Internal, text);
        let address: [u8; Address::SIZE] =
            answer[..].try_into().map_err(|_| wrong("the other node did not answer with an address"))?;
        let address = Address::from_bytes(address);
        if address.node != peer {
            return Err(wrong("the other node answered with an address that is not its own"));
        }
        making.made();
        Ok((address, sprout))
    }
}
