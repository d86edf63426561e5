//! SIGHUP: the configuration is read again. What may change does, what cannot is told, and with a file that is not good all stays.

use crate::config::Live;
use crate::config::layers::{Effective, Problem};
use crate::config::sources::Sources;
use crate::node::Node;
use crate::telemetry::Filter;

/// What a node was started with, and what holds for it now.
pub struct Reload {
    sources: Sources,
    running: Effective,
    /// Where it joined.
    asked: Option<String>,
    filter: Filter,
}

impl Reload {
    pub fn new(sources: Sources, running: Effective, asked: Option<String>, filter: Filter) -> Reload {
        Reload { sources, running, asked, filter }
    }

    /// Reads it, and tells the log and the node.
    pub async fn again(&mut self, node: &Node) {
        let sources = self.sources.clone();
        // The file may be on a disk that does not answer.
        let loaded = tokio::task::spawn_blocking(move || sources.load()).await;
        let fault =
            |error| vec![Problem { at: "SIGHUP".into(), text: format!("the configuration was not read: {error}") }];
        let loaded = match loaded.unwrap_or_else(|error| Err(fault(error))) {
            Ok(loaded) => loaded,
            Err(problems) => {
                problems.iter().for_each(|problem| tracing::error!("{problem}"));
                tracing::error!("SIGHUP: the configuration is not good, and all stays as it was");
                return;
            }
        };
        let next = loaded.with_fixed_of(&self.running);
        for key in loaded.differences(&next) {
            let ((wanted, at), (stays, _)) = (loaded.shown(key), next.shown(key));
            tracing::warn!("{}: {wanted} ({at}) needs a restart; it stays {stays}", key.path);
        }
        // Told by the old filter, which may be the one that lets it through.
        for key in next.differences(&self.running) {
            let ((value, at), (before, _)) = (next.shown(key), self.running.shown(key));
            tracing::info!("{}: {value} ({at}), was {before}", key.path);
        }
        if let Err(error) = self.filter.set(next.text("node.log").unwrap_or(super::NODE_LOG)) {
            tracing::error!("the log filter stays as it was: {error}");
        }
        let live = next.live();
        node.change(Live { peers: peers(live.peers, self.asked.as_ref()), ..live });
        self.running = next;
        tracing::info!("SIGHUP: the configuration was read again");
    }
}

/// Where a node joined it also finds the others.
pub fn peers(mut peers: Vec<String>, asked: Option<&String>) -> Vec<String> {
    peers.extend(asked.filter(|at| !peers.contains(at)).cloned());
    peers
}
