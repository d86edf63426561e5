//! What a node is told about its mesh on the command line.

use crate::config;
use anyhow::{Context, bail};
use corovan_client::{check_address, resolve_address};
use corovan_core::limits;
use corovan_core::membership::member::About;
use std::collections::BTreeMap;

/// How a node finds others, and what it tells them of itself.
#[derive(clap::Args, Debug)]
pub struct MeshArgs {
    /// A node of the mesh to join; may be given several times
    #[arg(long = "peer", value_name = "HOST:PORT", value_parser = peer)]
    peers: Vec<String>,
    /// Also look for nodes of the same cluster on the local network, and be found there
    #[arg(long)]
    discover: bool,
    /// Where others reach this node, if that is not where it listens
    #[arg(long, value_name = "HOST:PORT", value_parser = peer)]
    external: Option<String>,
    /// Accept no connections of other nodes, only dial them; such a node is home to no name
    #[arg(long, conflicts_with = "external")]
    dial_out: bool,
    /// Shown to others, for example zone=a; may be given several times
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
}

impl MeshArgs {
    pub async fn checked(self) -> anyhow::Result<config::Mesh> {
        if self.peers.len() > limits::SEED_NAMES {
            bail!("--peer: at most {} (SEED_NAMES); any one that is there is enough", limits::SEED_NAMES);
        }
        let mut labels = BTreeMap::new();
        for (key, value) in self.labels {
            if let Some(before) = labels.insert(key.clone(), value.clone()) {
                bail!("--label: {key} is given twice, as {before:?} and as {value:?}");
            }
        }
        About { labels: labels.clone(), ..About::default() }.check().context("--label")?;
        let external = match self.external {
            Some(given) => resolve_address(&given).await.context("--external")?.first().copied(),
            None => None,
        };
        let MeshArgs { peers, discover, dial_out, .. } = self;
        Ok(config::Mesh { peers, discover, external, dial_out, labels, ..config::Mesh::default() })
    }
}

fn peer(text: &str) -> Result<String, corovan_client::Error> {
    check_address(text).map(|()| text.to_owned())
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE, for example zone=a".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser, Debug)]
    struct Line {
        #[command(flatten)]
        mesh: MeshArgs,
    }

    async fn parse(words: &[&str]) -> Result<config::Mesh, String> {
        let line = Line::try_parse_from(["node"].iter().chain(words)).map_err(|error| error.to_string())?;
        line.mesh.checked().await.map_err(|error| format!("{error:#}"))
    }

    #[tokio::test]
    async fn what_is_said_about_the_mesh_reaches_the_node() {
        let words =
            "--peer a:1 --peer [::1]:2 --discover --external 192.0.2.1:3 --label zone=a --label gpu= --label x=a=b";
        let mesh = parse(&words.split(' ').collect::<Vec<_>>()).await.unwrap();
        assert_eq!((&mesh.peers[..], mesh.discover), (&["a:1".to_owned(), "[::1]:2".into()][..], true));
        assert_eq!((mesh.external, mesh.dial_out), (Some("192.0.2.1:3".parse().unwrap()), false));
        let labels: Vec<_> = mesh.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(labels, ["gpu=", "x=a=b", "zone=a"]);
        assert!(parse(&["--dial-out"]).await.unwrap().dial_out);
    }

    #[tokio::test]
    async fn what_cannot_be_meant_is_refused_with_what_to_write() {
        let long = format!("key={}", "v".repeat(limits::LABEL_BYTES + 1));
        let many: Vec<String> = (0..=limits::MEMBER_LABELS).map(|n| format!("--label=k{n}=v")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let peers = vec!["--peer=a:1"; limits::SEED_NAMES + 1];
        for (words, part) in [
            (&["--peer", "a"][..], "no port"),
            (&["--external", "a:0"], "the port is a number"),
            (&["--label", "zone"], "KEY=VALUE"),
            (&["--label", "=a"], "KEY=VALUE"),
            (&["--label", "z=a", "--label", "z=b"], "given twice"),
            (&["--label", &long], "LABEL_BYTES"),
            (&many[..], "MEMBER_LABELS"),
            (&peers[..], "SEED_NAMES"),
            (&["--dial-out", "--external", "192.0.2.1:3"], "cannot be used with"),
        ] {
            let refused = parse(words).await.unwrap_err();
            assert!(refused.contains(part), "{words:?}: {refused}");
        }
    }
}
