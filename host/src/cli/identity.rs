//! Who a node is: where its certificate comes from. Given in a directory; kept from before; made with its own issuing CA;
//! got by joining; or, for a node of its own on loopback, of a development CA.

use super::credentials;
use crate::config::Enrolment;
use crate::enrol;
use crate::tenancy::ca::Authority;
use crate::tenancy::chain;
use crate::tenancy::kept::Kept;
use anyhow::{Context, bail};
use corovan_client::Credentials;
use corovan_core::limits;
use corovan_core::tenancy::identity::Role;
use corovan_core::tenancy::token::{Token, ca_hash};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

/// Where a node's certificate comes from; with `join` there is neither `certs` nor `issuer`, and no `token` without it.
#[derive(Debug)]
pub struct Identity {
    pub certs: Option<PathBuf>,
    pub issuer: Option<PathBuf>,
    pub join: Option<String>,
    pub token: Option<Token>,
}

/// Directory of a node's own CA within its data.
const DEV_CA: &str = "dev-ca";
const DEV_CLUSTER: &str = "dev";
const DEV_USER: &str = "dev";

/// The credentials of the node of this name, and how it gets the next ones.
pub async fn find(
    args: Identity,
    name: &str,
    data: &Path,
    listen: SocketAddr,
) -> anyhow::Result<(Credentials, Enrolment)> {
    let now = SystemTime::now();
    let issuer = args.issuer.as_ref().map(|dir| Authority::load_issuer(dir, now)).transpose().context("--issuer")?;
    let issuer = issuer.map(Arc::new);
    if let Some(dir) = &args.certs {
        return Ok((credentials::load(dir, "node", Some(name))?, Enrolment { issuer, ..Enrolment::default() }));
    }
    let kept = Kept::new(data, name);
    let credentials = match (usable(&kept, &args, now)?, &issuer) {
        (Some(credentials), _) => credentials,
        (None, Some(issuer)) => kept.keep_own(issuer, now)?,
        (None, None) => match (&args.join, &args.token, kept.other()) {
            (Some(target), Some(token), _) => {
                let credentials = enrol::join(&kept, name, target, token, now).await?;
                tracing::info!(node = %credentials.identity.principal(), at = target, "joined; the token is used up");
                credentials
            }
            (Some(_), None, _) => bail!(
                "--join needs --token (or COROVAN_TOKEN) the first time: an operator makes one with \
                 `corovan token --node {name}`"
            ),
            (None, _, Some(other)) => bail!(
                "the node of {} has joined as {other}: start it with --name {other}, or give this one another --data",
                data.display()
            ),
            (None, _, None) => return Ok((alone(name, data, listen)?, Enrolment::default())),
        },
    };
    let ask = args.join.or_else(|| kept.asked());
    Ok((credentials, Enrolment { issuer, kept: Some(kept), ask }))
}

/// What was kept, if it is still good for something.
fn usable(kept: &Kept, args: &Identity, now: SystemTime) -> anyhow::Result<Option<Credentials>> {
    let Some(credentials) = kept.load()? else { return Ok(None) };
    let principal = credentials.identity.principal();
    let ours = |token: &Token| credentials.roots.certificates().iter().any(|ca| ca_hash(ca) == token.ca);
    if args.token.as_ref().is_some_and(|token| !ours(token)) {
        bail!(
            "the token is of another cluster than this node, which is {principal}: to move it, delete {}",
            kept.dir().display()
        );
    }
    let ended = match credentials.identity.chain().first().map(chain::validity) {
        Some(Ok(validity)) => validity.until <= now,
        _ => true,
    };
    if !ended {
        if args.token.is_some() {
            tracing::info!(node = %principal, "this node has joined already; the token is not used");
        }
        return Ok(Some(credentials));
    }
    if args.token.is_none() && args.issuer.is_none() {
        bail!("the certificate of {principal} has ended: join again with --join and a token for {}", principal.name());
    }
    Ok(None)
}

/// A node of no cluster but its own.
fn alone(name: &str, data: &Path, listen: SocketAddr) -> anyhow::Result<Credentials> {
    if !listen.ip().is_loopback() {
        bail!(
            "{listen} is not a loopback address, and a node that others can reach needs a CA of its cluster: join one with \
             --join and --token, or make it with `corovan cert init --dir DIR` and `corovan cert node {name} --dir DIR`, \
             then give --certs DIR"
        );
    }
    let dir = data.join(DEV_CA);
    development(&dir, name).with_context(|| format!("no development CA in {}", dir.display()))
}

/// A node without certificates has a CA of its own, and a tenant and an operator `dev` to use it with.
fn development(dir: &Path, name: &str) -> anyhow::Result<Credentials> {
    let now = SystemTime::now();
    let authority = Authority::load_or_generate(dir, DEV_CLUSTER, now)?;
    // Issued anew at every start: it never expires while the node is in use, and nobody else needs it.
    authority.issue(Role::Node, name, now, limits::CERTIFICATE_LIFE)?.save(dir, true)?;
    authority.issue(Role::Tenant, DEV_USER, now, limits::CERTIFICATE_LIFE)?.save(dir, true)?;
    authority.issue(Role::Operator, DEV_USER, now, limits::CERTIFICATE_LIFE)?.save(dir, true)?;
    tracing::info!(dir = %dir.display(), "no --certs: using a development CA; clients use --certs with this directory");
    credentials::load(dir, "node", Some(name))
}
