//! Mailboxes of one end: what comes into them, what is answered, and the end of their coroutines.

use super::end::{End, Ground, Waiting};
use corovan_core::ids::Address;
use corovan_core::limits;
use corovan_core::link::credit;
use corovan_core::link::frame::{Header, Kind, Local};
use corovan_core::sync::mailbox::{self, Letter};

impl End {
    pub fn message(&mut self, g: &mut Ground, header: Header, size: usize) {
        let session = self.session.as_mut().unwrap();
        g.oracle.arrived(self.id, &header);
        let arrived = session.arrived.entry(header.to).or_default();
        let first = credit::Amount::new(limits::FIRST_CONTACT_MESSAGES, limits::FIRST_CONTACT_BYTES);
        let limit = session.limits.get(&header.to).copied().unwrap_or(first);
        (arrived.messages, arrived.bytes) = (arrived.messages + 1, arrived.bytes + size as u64);
        let within = arrived.messages <= limit.messages && arrived.bytes < limit.bytes + limits::MESSAGE_BYTES as u64;
        assert!(within, "beyond its credit of {limit:?}: {arrived:?}");
        session.lender.arrived(header.to, size).unwrap();
        let sender = Address { counter: header.from.counter, ..Address::default() };
        let letter = Letter { kind: mailbox::Kind::Message, tag: header.tag, sender, via: 0, size, body: () };
        let waiting = Waiting { object: session.object, header, size };
        match self.mailboxes.get_mut(&header.to.counter).filter(|(local, _)| *local == header.to) {
            None => {
                session.lender.settled(header.to, size, credit::Amount::default());
                session.lender.gone(header.to);
                self.delivered(g, &waiting, false);
            }
            Some((_, inbox)) => match inbox.push(letter) {
                Ok(_) => self.accepted(g, waiting),
                Err(mailbox::Full(letter)) => drop(inbox.wait(letter, waiting)),
            },
        }
    }

    /// A message has found room.
    pub fn accepted(&mut self, g: &mut Ground, waiting: Waiting) {
        g.oracle.accepted(waiting.header.tag);
        let free = self.mailboxes.get(&waiting.header.to.counter).map_or(credit::Amount::default(), |(_, inbox)| {
            let taken = g.bounds.messages.min(inbox.len() + inbox.senders());
            credit::Amount::new((g.bounds.messages - taken) as u64, g.bounds.bytes.saturating_sub(inbox.bytes()) as u64)
        });
        if let Some(session) = self.session.as_mut().filter(|session| session.object == waiting.object) {
            session.lender.settled(waiting.header.to, waiting.size, free);
        }
        self.delivered(g, &waiting, true);
    }

    pub fn delivered(&mut self, g: &mut Ground, waiting: &Waiting, taken: bool) {
        let session = self.session.as_mut().filter(|session| session.object == waiting.object);
        if let Some(session) = session.filter(|_| waiting.header.kind == Kind::Deliver) {
            let header = Header { call: waiting.header.call, tag: u64::from(!taken), ..Header::new(Kind::Delivered) };
            session.push(g, self.id, header, &[]);
        }
    }

    /// Takes a letter.
    pub fn read(&mut self, g: &mut Ground, counter: u64) {
        let Some((_, inbox)) = self.mailboxes.get_mut(&counter) else { return };
        if let Some(place) = inbox.find(&mailbox::Filter::default())
            && let Some(((), senders)) = inbox.take(place, |_| ())
        {
            senders.into_iter().for_each(|waiting| self.accepted(g, waiting));
        }
    }

    /// The coroutine of a mailbox ends.
    pub fn exits(&mut self, g: &mut Ground, counter: u64) {
        let Some((local, mut inbox)) = self.mailboxes.remove(&counter) else { return };
        for (_, waiting) in inbox.close().waited {
            if let Some(session) = self.session.as_mut().filter(|session| session.object == waiting.object) {
                session.lender.settled(local, waiting.size, credit::Amount::default());
            }
            self.delivered(g, &waiting, false);
        }
        let Some(session) = &mut self.session else { return };
        session.lender.gone(local);
        let numbers = session.watchers.remove(&counter).unwrap_or_default();
        numbers.into_iter().for_each(|number| self.exit(g, number, local));
    }

    pub fn exit(&mut self, g: &mut Ground, number: u64, from: Local) {
        let session = self.session.as_mut().unwrap();
        if session.watched.take(number).is_some() {
            session.push(g, self.id, Header { call: number, from, ..Header::new(Kind::Exit) }, &[]);
        }
    }
}
