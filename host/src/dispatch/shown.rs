//! A job as people are shown it: where it is, or what keeps it from each node.

use super::job::{Job, State};
use corovan_core::ids::NodeId;
use corovan_core::limits;
use corovan_core::placement::{Refusals, Why};
use corovan_core::text::cut;
use corovan_core::wire::jobs::{JobInfo, JobState, JobWhy, NodeRefusal};

/// Of a job that is only there for what its client has not read.
pub const ENDED: &str = "it has ended, and its client has not taken all that it printed or gave";

impl Job {
    /// The same with what it knows itself; `tells`: with the reasons, which costs a look at all nodes.
    pub fn show(&self, info: JobInfo, tells: bool) -> JobInfo {
        let state = match &*self.state.lock() {
            State::Waiting { .. } => JobState::Waiting,
            State::Away(..) | State::Running(_) => JobState::Running,
            State::Ended => JobState::Ended,
        };
        let here = (state == JobState::Running).then_some(self.dispatch.runtime().node);
        let node = self.node.lock().or(here);
        JobInfo {
            module: self.spec.program.module,
            function: self.spec.program.function.to_string(),
            state,
            at: self.at.clone(),
            node: node
                .filter(|_| state != JobState::Waiting || !self.dispatch.placing().is_waiting(self.key()))
                .map(|node| self.name_of(node)),
            attempt: u32::from(node.is_some()),
            why: tells.then(|| self.why(state)),
            ..info
        }
    }

    fn why(&self, state: JobState) -> JobWhy {
        let here = || match state {
            JobState::Waiting => {
                let (running, waiting) = self.dispatch.load();
                format!("it is for this node, where it waits for a slot: {running} are taken, and {waiting} jobs wait")
            }
            JobState::Running => "it is for this node, and runs".to_owned(),
            JobState::Ended => ENDED.to_owned(),
        };
        let refused = self.refused.lock().clone();
        let refused = refused.map(|(node, text)| format!("; {} refused it last: {text}", self.name_of(node)));
        let why = self.dispatch.placing().why(self.key());
        let (text, refusals) = match why {
            None => (here(), Refusals::default()),
            Some(Why::Waiting { ahead: 0, refusals }) => {
                ("it waits for a node, the first of its kind".into(), refusals)
            }
            Some(Why::Waiting { ahead, refusals }) => {
                (format!("it waits for a node, with at most {ahead} of its computation and kind before it"), refusals)
            }
            Some(why @ Why::Placed { .. }) => (why.to_string(), Refusals::default()),
        };
        let told = |refusal: &corovan_core::placement::Refusal| NodeRefusal {
            node: refusal.node,
            name: refusal.name.clone(),
            rules: refusal.rules.iter().map(ToString::to_string).collect(),
        };
        JobWhy {
            text: cut(text + &refused.unwrap_or_default(), limits::TEXT_BYTES),
            nodes: refusals.nodes.iter().map(told).collect(),
            more: refusals.more as u64,
        }
    }

    /// What the node is called, or its id.
    fn name_of(&self, node: NodeId) -> String {
        let known = self.dispatch.runtime().mesh.get().and_then(|mesh| mesh.name(node));
        known.filter(|name| !name.is_empty()).unwrap_or_else(|| node.to_string())
    }
}
