//! A function over many inputs (discoro's `run_results`), and at every node once: jobs of one spec, a bounded number of them open
//! at a time, their ends in the order of the inputs or as they come.

use crate::arguments::Arguments;
use crate::computation::{Computation, SubmitOptions};
use crate::error::Error;
use crate::event::Event;
use crate::job::Job;
use crate::jobs::Jobs;
use crate::node::Node;
use crate::spec::Spec;
use corovan_core::wire::ExitRecord;
use corovan_core::wire::nodes::{NodeInfo, NodeState};
use std::collections::{BTreeMap, HashMap};
use std::iter::Fuse;
use std::sync::Arc;

/// How inputs become jobs.
#[derive(Clone, Debug)]
pub struct MapOptions {
    /// Jobs that are open at a time, at least 1; in order, also those that have ended and wait for one before them. 100 by default.
    pub in_flight: usize,
    /// Ends come in the order of the inputs, which is the default, and not as soon as they are there.
    pub in_order: bool,
    /// Where each is to run, as for [`SubmitOptions::at`].
    pub at: Option<String>,
}

/// The ends of a function over many inputs. Inputs are taken when there is room for their jobs; output of these is dropped.
/// Dropped, it cancels the jobs that are open.
#[derive(Debug)]
pub struct Map<I: Iterator> {
    computation: Computation,
    spec: Spec,
    options: MapOptions,
    inputs: Fuse<I>,
    taken: u64,
    given: u64,
    jobs: Jobs,
    /// Numbers of inputs, by their jobs' keys in the set.
    numbers: HashMap<u64, u64>,
    /// Ends that came before their turn.
    early: BTreeMap<u64, Mapped>,
}

/// The end of one input's job.
#[derive(Clone, Debug)]
pub struct Mapped {
    /// Counts the inputs from 0.
    pub number: u64,
    pub record: Arc<ExitRecord>,
    /// Why the node is lost, where that is how it ended.
    pub failure: Option<Error>,
}

impl Default for MapOptions {
    fn default() -> MapOptions {
        MapOptions { in_flight: 100, in_order: true, at: None }
    }
}

impl Computation {
    /// Runs a spec once for each input, of which there may be any number. Nothing begins before [`Map::next`] is called.
    pub fn map<I: IntoIterator<Item = Arguments>>(
        &self,
        spec: &Spec,
        inputs: I,
        options: MapOptions,
    ) -> Map<I::IntoIter> {
        Map {
            computation: self.clone(),
            spec: spec.clone(),
            options: MapOptions { in_flight: options.in_flight.max(1), ..options },
            inputs: inputs.into_iter().fuse(),
            taken: 0,
            given: 0,
            jobs: Jobs::new(),
            numbers: HashMap::new(),
            early: BTreeMap::new(),
        }
    }

    /// The nodes of the mesh that this computation's node is in, as that knows them.
    pub async fn nodes(&self) -> Result<Vec<NodeInfo>, Error> {
        Node(self.0.node.clone()).nodes().await
    }

    /// Runs a spec once at every node that is there now (discoro's `run_at` in a loop over `nodes()`). A node that goes meanwhile
    /// ends its job as lost, or refused.
    pub async fn run_each(&self, spec: &Spec, arguments: Arguments) -> Result<Vec<(NodeInfo, Job)>, Error> {
        let mut jobs = Vec::new();
        for node in self.nodes().await?.into_iter().filter(|node| node.state == NodeState::Alive) {
            let options = SubmitOptions { at: Some(node.name.clone()), ..SubmitOptions::default() };
            let job = self.submit(spec, arguments.clone(), options).await?;
            jobs.push((node, job));
        }
        Ok(jobs)
    }
}

impl<I: Iterator<Item = Arguments>> Map<I> {
    /// The next end; `None` after the last. An error is of the computation, and no more come then: a job that fails ends with a
    /// record that says so. Not cancel-safe: dropped, it may have taken an input whose job was not submitted.
    pub async fn next(&mut self) -> Result<Option<Mapped>, Error> {
        loop {
            if let Some(mapped) = self.early.remove(&self.given) {
                self.given += 1;
                return Ok(Some(mapped));
            }
            while self.has_room() {
                let Some(arguments) = self.inputs.next() else { break };
                let options = SubmitOptions { at: self.options.at.clone(), ..SubmitOptions::default() };
                let job = self.computation.submit(&self.spec, arguments, options).await?;
                self.numbers.insert(self.jobs.insert(job), self.taken);
                self.taken += 1;
            }
            let Some((key, event, job)) = self.jobs.next_event().await else { return Ok(None) };
            let Event::Exit(record) = event else { continue };
            let Some(number) = self.numbers.remove(&key) else { continue };
            let mapped = Mapped { number, record, failure: job.and_then(|job| job.failure()) };
            if !self.options.in_order {
                return Ok(Some(mapped));
            }
            self.early.insert(number, mapped);
        }
    }

    fn has_room(&self) -> bool {
        let open = match self.options.in_order {
            true => self.taken - self.given,
            false => self.jobs.len() as u64,
        };
        open < self.options.in_flight as u64
    }
}
