//! Metrics, as Prometheus reads them (OpenMetrics text 1.0). All are read when they are asked for; nothing is sampled.

use super::Parts;
use corovan_core::membership::view::State;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::fmt;

pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub async fn text(parts: &Parts) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("corovan");
    let mut gauge = |name: &str, help: &str, value: u64| {
        let gauge: Gauge = Gauge::default();
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        registry.register(name, help, gauge);
    };
    let (running, waiting) = parts.dispatch.load();
    gauge("coroutine_slots_used", "Coroutines with an instance", running as u64);
    gauge("jobs_waiting_for_slot", "Jobs that wait for an instance on this node", waiting as u64);
    gauge("draining", "1 where the node takes no new jobs", u64::from(parts.dispatch.takes_work().is_err()));
    let (in_hand, on_disk) = parts.home.load();
    gauge("durable_jobs_in_hand", "Durable jobs that are placed or wait for a node", in_hand as u64);
    gauge("durable_jobs_on_disk", "Durable jobs that wait on disk", on_disk as u64);
    // A store that was not opened has nothing.
    if let Some(usage) = parts.home.usage().await {
        gauge("durable_jobs_kept", "Durable jobs of which anything is kept", usage.jobs);
        gauge("durable_bytes_kept", "Bytes kept of durable jobs, with what is set aside for their ends", usage.bytes);
    }
    let rows = parts.roster.all();
    let nodes = Family::<[(&str, &str); 1], Gauge>::default();
    for (name, state) in [("alive", State::Alive), ("failed", State::Failed), ("left", State::Left)] {
        let count = rows.iter().filter(|row| row.state == state).count();
        nodes.get_or_create(&[("state", name)]).set(i64::try_from(count).unwrap_or(i64::MAX));
    }
    registry.register("nodes", "Nodes of the mesh as this one knows them", nodes);
    let ended = Family::<[(&str, &str); 1], Counter>::default();
    for (outcome, count) in parts.dispatch.ended() {
        ended.get_or_create(&[("outcome", outcome)]).inc_by(count);
    }
    registry.register("jobs_ended", "Jobs that this node is home to, or ran for others, by how they ended", ended);
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}
