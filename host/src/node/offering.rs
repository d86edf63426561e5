//! What a node offers to others while it runs: labels, room for their jobs, service hours, and whom it asks for the way. All
//! of it may change; the mesh is told, and the node holds itself to it.

use super::mesh::jobs_at_a_time;
use crate::cluster::hosting::Hosted;
use crate::cluster::{mesh, seeds};
use crate::config::{Live, Offer};
use crate::dispatch::guests::{Guests, Room};
use crate::modules::Modules;
use crate::runtime::{Clock, engine};
use corovan_core::limits;
use corovan_core::membership::member::About;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};
use tokio::sync::watch;

/// Says what is offered; dropped, it ends that.
pub(super) struct Handle(watch::Sender<Live>);

/// Whom it has to tell.
pub(super) struct Parts {
    pub mesh: mesh::Handle,
    pub guests: Guests,
    /// What runs here for other nodes.
    pub hosted: Hosted,
    pub modules: Modules,
    pub seeds: seeds::Handle,
    /// An operator has it take no new work.
    pub drained: watch::Receiver<bool>,
}

pub(super) struct Offering {
    parts: Parts,
    /// What the mesh was told last.
    about: About,
    /// What was changed last.
    live: Live,
    out_of_hours: bool,
    drained: bool,
    /// Since when it is, by the node's clock, where jobs that were taken before may run.
    closed: Option<u64>,
    /// Cores and memory where nothing else is offered.
    machine: (u32, u64),
    /// Coroutines that fit.
    slots: u32,
    clock: Arc<dyn Clock>,
    wanted: watch::Receiver<Live>,
}

/// Whether a node takes no new jobs of others, by the wall clock in nanoseconds.
pub(super) fn is_draining(offer: &Offer, unix: u64) -> bool {
    offer.hours.as_ref().is_some_and(|hours| !hours.is_open(unix / NANOS))
}

impl Handle {
    pub fn change(&self, live: Live) {
        self.0.send_replace(live);
    }
}

impl Offering {
    /// `about` has been said already, and `live` is what it comes from.
    pub fn new(
        parts: Parts,
        about: About,
        live: Live,
        (workers, slots): (usize, u32),
        clock: Arc<dyn Clock>,
    ) -> (Offering, Handle) {
        let (sender, wanted) = watch::channel(live.clone());
        let (out_of_hours, drained) = (about.draining, false);
        let machine = (u32::try_from(workers).unwrap_or(u32::MAX), engine::machine_memory().unwrap_or_default());
        let offering =
            Offering { parts, about, live, out_of_hours, drained, closed: None, machine, slots, clock, wanted };
        offering.open();
        if out_of_hours {
            tracing::info!("{}", offering.told());
        }
        (offering, Handle(sender))
    }

    /// Until the handle is gone.
    pub async fn run(mut self) {
        loop {
            let again = self.look().await;
            tokio::select! {
                drained = self.parts.drained.changed() => if drained.is_err() {
                    return;
                },
                changed = self.wanted.changed() => if changed.is_err() {
                    return;
                },
                () = tokio::time::sleep(again) => {}
            }
        }
    }

    /// Does what is to be done now; how long until there may be more.
    async fn look(&mut self) -> Duration {
        let live = self.wanted.borrow_and_update().clone();
        if live.peers != self.live.peers {
            self.parts.seeds.configure(live.peers.clone()).await;
        }
        if live.offer.disk != self.live.offer.disk {
            self.parts.modules.set_store_bytes(live.offer.disk.unwrap_or(limits::STORE_BYTES)).await;
        }
        self.live = live;
        let unix = self.clock.unix();
        let closed = is_draining(&self.live.offer, unix);
        if closed != self.out_of_hours {
            self.out_of_hours = closed;
            self.closed = closed.then(|| self.clock.now());
            tracing::info!("{}", self.told());
        }
        let drained = *self.parts.drained.borrow_and_update();
        if drained != self.drained {
            self.drained = drained;
            tracing::info!("{}", if drained { "drained: no new jobs" } else { "undrained: jobs are taken" });
        }
        let draining = closed || drained;
        self.open();
        let offer = &self.live.offer;
        let about = About {
            labels: self.live.labels.clone(),
            cores: offer.cores.unwrap_or(self.machine.0),
            memory: offer.memory.unwrap_or(self.machine.1),
            disk: offer.disk.unwrap_or(limits::STORE_BYTES),
            slots: jobs_at_a_time(offer, self.slots),
            draining,
            ..self.about.clone()
        };
        if about != self.about {
            if !self.parts.mesh.update(about.clone()) {
                tracing::warn!("the mesh is told later what this node offers: its queue is full (MESH_COMMANDS)");
                return AGAIN;
            }
            self.about = about;
        }
        let next = offer.hours.as_ref().and_then(|hours| hours.next_change(unix / NANOS));
        let next = next.map(|next| Duration::from_nanos((next * NANOS).saturating_sub(unix)));
        next.unwrap_or(limits::HOURS_LOOK).min(limits::HOURS_LOOK).min(self.end().await)
    }

    /// Ends the jobs of others that have gone on long enough outside of its hours; how long until there may be some.
    async fn end(&mut self) -> Duration {
        let (Some(closed), Some(after)) = (self.closed, self.live.offer.end_after) else { return Duration::MAX };
        let open = Duration::from_nanos(self.clock.now().saturating_sub(closed));
        if let Some(left) = after.checked_sub(open).filter(|left| !left.is_zero()) {
            return left;
        }
        self.closed = None;
        tracing::info!("jobs of other nodes that still run are ended: service hours are over");
        self.parts.hosted.end("the node's service hours are over", limits::TERMINATE_GRACE * 2).await;
        Duration::MAX
    }

    /// As much room as is offered now.
    fn open(&self) {
        let Offer { jobs, memory, .. } = self.live.offer;
        self.parts.guests.set_room(Room { open: !self.out_of_hours && !self.drained, jobs, memory });
    }

    fn told(&self) -> String {
        let unix = self.clock.unix() / NANOS;
        let next = self.live.offer.hours.as_ref().and_then(|hours| hours.next_change(unix));
        let until = next.map(|next| UNIX_EPOCH + Duration::from_secs(next));
        let until =
            until.map(|until| format!(" until {}", humantime::format_rfc3339_seconds(until))).unwrap_or_default();
        match self.out_of_hours {
            true => format!("out of service hours: no new jobs of other nodes{until}"),
            false => format!("in service: jobs of other nodes are taken{until}"),
        }
    }
}

const NANOS: u64 = 1_000_000_000;
/// Before it is tried again to tell the mesh.
const AGAIN: Duration = Duration::from_secs(1);
