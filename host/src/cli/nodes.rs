//! `corovan nodes`: which nodes are in the mesh of a running one, and what becomes of them. `corovan peer`: a new way in.

use super::at::{At, peer};
use super::{credentials, exit, node::runtime};
use crate::modules::names;
use anyhow::bail;
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use corovan_client::{News, Node};
use corovan_core::wire::nodes::NodeInfo;
use serde_json::{Value, json};
use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::signal::unix::{SignalKind, signal};

/// List the nodes of a mesh, as one of them knows them.
///
/// A tenant sees who is there; where, and with what, is shown to operators. Nodes that went are shown for an hour.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  corovan nodes --node 127.0.0.1:4433 --certs certs/dev
  corovan nodes --certs certs/dev --json | jq -r 'select(.state == \"alive\").name'
  corovan nodes --certs certs/dev --watch")]
pub struct Args {
    #[command(flatten)]
    at: At,
    /// One JSON object a line and node
    #[arg(long)]
    json: bool,
    /// Go on telling what changes, until interrupted
    #[arg(long)]
    watch: bool,
}

/// Have a running node join the mesh that another is in.
///
/// Takes an operator's certificate. The node goes on trying; `corovan nodes` tells when it has joined.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Example:
  corovan peer 10.0.0.6:4433 --node 127.0.0.1:4433 --certs certs/dev")]
pub struct PeerArgs {
    /// A node of the mesh to join
    #[arg(value_name = "HOST:PORT", value_parser = peer)]
    peer: String,
    #[command(flatten)]
    at: At,
}

/// Have a running node take no new jobs; those that run go on.
///
/// Takes an operator's certificate. Holds until `corovan undrain`, or until the node is started again.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Example:
  corovan drain --node 127.0.0.1:4433 --certs certs/dev && corovan ps --certs certs/dev")]
pub struct DrainArgs {
    #[command(flatten)]
    at: At,
}

/// Have a drained node take jobs again.
#[derive(clap::Args, Debug)]
pub struct UndrainArgs {
    #[command(flatten)]
    at: At,
}

pub fn drain(args: DrainArgs) -> anyhow::Result<ExitCode> {
    ask_to_drain(&args.at, false)
}

pub fn undrain(args: UndrainArgs) -> anyhow::Result<ExitCode> {
    ask_to_drain(&args.at, true)
}

fn ask_to_drain(at: &At, undo: bool) -> anyhow::Result<ExitCode> {
    let (name, jobs) = at.ask(async |node| {
        node.drain(undo).await?;
        Ok((node.name().to_owned(), node.jobs(None).await?.len()))
    })?;
    let takes = if undo { "takes jobs again" } else { "takes no new jobs" };
    writeln!(std::io::stdout(), "{name} {takes}; {jobs} of its clients' are open")?;
    Ok(ExitCode::SUCCESS)
}

pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let credentials = args.at.credentials()?;
    let code = runtime()?.block_on(async {
        let node = args.at.connect(&credentials).await?;
        if args.watch {
            return watch(&node, args.json).await;
        }
        let mut nodes = node.nodes().await?;
        nodes.sort_by(|a, b| (&a.name, a.node).cmp(&(&b.name, b.node)));
        let mut out = std::io::stdout().lock();
        if args.json {
            nodes.iter().try_for_each(|info| writeln!(out, "{}", to_json(info)))?;
        } else {
            writeln!(out, "{}", table(&nodes, now()).set_content_arrangement(ContentArrangement::Dynamic))?;
        }
        drop(out);
        node.close().await;
        Ok::<u8, anyhow::Error>(exit::DONE)
    })?;
    Ok(ExitCode::from(code))
}

pub fn run_peer(args: PeerArgs) -> anyhow::Result<ExitCode> {
    let credentials = credentials::load(&args.at.certs, "operator", args.at.operator.as_deref())?;
    if args.at.tenant.is_some() {
        bail!("--tenant: only an operator changes the mesh");
    }
    runtime()?.block_on(async {
        let node = args.at.connect(&credentials).await?;
        node.join_peer(&args.peer).await?;
        node.close().await;
        writeln!(std::io::stdout(), "{} asks {} for a way into its mesh", node.name(), args.peer)?;
        Ok(ExitCode::SUCCESS)
    })
}

/// Tells all that there is and then what changes, until a signal or the node's end.
async fn watch(node: &Node, json: bool) -> anyhow::Result<u8> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut nodes = node.watch_nodes().await?;
    let mut first = Some(Vec::new());
    let mut out = std::io::stdout();
    loop {
        let news = tokio::select! {
            news = nodes.next() => news?,
            _ = interrupt.recv() => return Ok(exit::INTERRUPTED),
            _ = terminate.recv() => return Ok(exit::TERMINATED),
        };
        match (news, &mut first) {
            (Some(News::Node(info)), _) if json => writeln!(out, "{}", to_json(&info))?,
            (Some(News::Node(info)), Some(all)) => all.push(info),
            (Some(News::Node(info)), None) => writeln!(out, "{}", line(&info))?,
            (Some(News::Told), all) => {
                if let Some(all) = all.take().filter(|_| !json) {
                    writeln!(out, "{}", table(&all, now()).set_content_arrangement(ContentArrangement::Dynamic))?;
                }
            }
            (None, _) => bail!("the node has ended the watch"),
        }
        out.flush()?;
    }
}

/// For people. What nodes say of themselves cannot control it.
fn table(nodes: &[NodeInfo], now: u64) -> Table {
    let detailed = nodes.iter().any(|info| info.details.is_some());
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let mut head = vec!["NAME", "STATE", "SINCE"];
    if detailed {
        head.extend(["ADDRESS", "CORES", "MEMORY", "LABELS", "VERSION"]);
    }
    head.push("ID");
    table.set_header(head);
    for info in nodes {
        let star = if info.asked { "*" } else { "" };
        let since = humantime::format_duration(Duration::from_secs(now.saturating_sub(info.since) / 1_000_000_000));
        let mut row = vec![
            Cell::new(format!("{}{star}", shown(&info.name))),
            Cell::new(info.state.name()),
            Cell::new(since).set_alignment(CellAlignment::Right),
        ];
        if detailed {
            let details = info.details.clone().unwrap_or_default();
            let labels: Vec<String> = details.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
            let marks = [(details.dial_out, "dial-out"), (details.draining, "draining")];
            let marks = marks.into_iter().filter(|(is, _)| *is).map(|(_, mark)| mark.to_owned());
            let labels: Vec<String> = marks.chain(labels).collect();
            let known = info.details.as_ref().filter(|details| details.cores > 0);
            let number = |text: Option<String>| Cell::new(text.unwrap_or_default()).set_alignment(CellAlignment::Right);
            row.push(Cell::new(shown(details.addresses.first().map_or("", String::as_str))));
            row.push(number(known.map(|details| details.cores.to_string())));
            row.push(number(known.map(|details| format!("{:.1} GiB", details.memory as f64 / f64::from(1 << 30)))));
            row.push(Cell::new(shown(&labels.join(" "))));
            row.push(Cell::new(shown(&details.version)));
        }
        row.push(Cell::new(info.node));
        table.add_row(row);
    }
    table
}

fn line(info: &NodeInfo) -> String {
    let address = info.details.as_ref().and_then(|details| details.addresses.first());
    let address = address.map(|address| format!(" at {}", shown(address))).unwrap_or_default();
    format!("{} {} is {}{address}", info.node, shown(&info.name), info.state.name())
}

fn to_json(info: &NodeInfo) -> Value {
    let mut value = json!({
        "name": info.name, "state": info.state.name(), "node": info.node.to_string(), "asked": info.asked,
        "incarnation": info.incarnation, "since": rfc3339(info.since),
    });
    if let (Some(details), Some(fields)) = (&info.details, value.as_object_mut()) {
        fields.insert("addresses".into(), json!(details.addresses));
        fields.insert("labels".into(), json!(details.labels));
        fields.insert("cores".into(), json!(details.cores));
        fields.insert("memory_bytes".into(), json!(details.memory));
        fields.insert("version".into(), json!(details.version));
        fields.insert("dial_out".into(), json!(details.dial_out));
        fields.insert("draining".into(), json!(details.draining));
    }
    value
}

fn rfc3339(nanos: u64) -> String {
    humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_nanos(nanos)).to_string()
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn shown(text: &str) -> String {
    names::escape(text, SHOWN)
}

/// Of a name or the labels of a node.
const SHOWN: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use corovan_core::ids::NodeId;
    use corovan_core::wire::nodes::{NodeDetails, NodeState};

    fn info(name: &str, details: Option<NodeDetails>) -> NodeInfo {
        let (node, state) = (NodeId([0xab; 12]), NodeState::Failed);
        NodeInfo { node, name: name.into(), state, asked: true, incarnation: 3, since: 1_000_000_000, details }
    }

    #[test]
    fn a_tenant_sees_who_is_there_and_an_operator_where_and_with_what() {
        let details = NodeDetails {
            addresses: vec!["10.0.0.1:4433".into()],
            labels: [("zone".into(), "a".into())].into(),
            cores: 2,
            memory: 3 << 29,
            version: "0.1.0".into(),
            dial_out: true,
            draining: false,
        };
        let (few, all) = (info("b\u{1b}[2J", None), info("b", Some(details)));
        let text = table(std::slice::from_ref(&few), 62_000_000_000).to_string();
        assert!(text.contains("NAME") && text.contains("failed") && text.contains("1m 1s"), "{text}");
        assert!(
            text.contains(&few.node.to_string()) && !text.contains("ADDRESS") && !text.contains('\u{1b}'),
            "{text}"
        );
        let text = table(std::slice::from_ref(&all), 0).to_string();
        for part in ["b*", "10.0.0.1:4433", "1.5 GiB", "dial-out zone=a", "0.1.0"] {
            assert!(text.contains(part), "{part:?} is not in\n{text}");
        }
        assert_eq!(line(&all), format!("{} b is failed at 10.0.0.1:4433", all.node));
        let value = to_json(&all);
        assert_eq!((&value["since"], &value["labels"]["zone"]), (&json!("1970-01-01T00:00:01.000Z"), &json!("a")));
        assert_eq!((&value["state"], value.get("cores")), (&json!("failed"), Some(&json!(2))));
        assert_eq!(to_json(&few).get("cores"), None);
    }
}
