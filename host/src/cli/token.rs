//! `corovan token`: lets one new node join. The secret is made here and printed; the issuing node never sees it.

use super::{credentials, node};
use crate::node::SystemRandom;
use crate::runtime::ports::Random;
use anyhow::{Context, bail};
use corovan_client::join::{Caller, Visit};
use corovan_core::limits;
use corovan_core::tenancy::identity::{self, check_name};
use corovan_core::tenancy::token::{Token, ca_hash};
use corovan_core::wire::join::{Ask, Mint};
use serde_bytes::ByteArray;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Make a one-time token, with which a new node joins.
///
/// Whoever has the token can join as the node that it is for, once, until it expires: hand it over as you would a password.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Example:
  corovan token --at 10.0.0.5:4433 --certs certs/dev --node b
  corovan node --name b --data data/b --listen 10.0.0.6:4433 --join 10.0.0.5:4433 --token corovan1.ABC")]
pub struct Args {
    /// A node that issues certificates (`corovan node --issuer`)
    #[arg(long, value_name = "HOST:PORT")]
    at: String,
    /// Directory with ca.crt, operator-NAME.crt and operator-NAME.key
    #[arg(long, value_name = "DIR", env = "COROVAN_CERTS")]
    certs: PathBuf,
    /// Whose certificate, where the directory has several operators
    #[arg(long, value_name = "NAME")]
    operator: Option<String>,
    /// The only node that it is good for (default: any whose name the issuing node has not certified)
    #[arg(long, value_name = "NAME", value_parser = name)]
    node: Option<String>,
    /// How long it is good for, 7 days at most
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = humantime::parse_duration)]
    expires: Duration,
}

pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    if args.expires > limits::TOKEN_LIFE_MAX || args.expires < Duration::from_secs(1) {
        bail!("--expires: from 1s to {}", humantime::format_duration(limits::TOKEN_LIFE_MAX));
    }
    let credentials = credentials::load(&args.certs, "operator", args.operator.as_deref())?;
    let ca = credentials.roots.certificates().first().context("ca.crt holds no certificate")?;
    let expires = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock")? + args.expires;
    let mut random = [0; 24];
    SystemRandom.fill(&mut random);
    let token = Token::new(ca_hash(ca), random, expires.as_secs(), args.node);
    let mint = Mint {
        token: ByteArray::new(token.id),
        key: ByteArray::new(token.key()),
        expires: token.expires,
        name: token.name.clone(),
    };
    node::runtime()?.block_on(async {
        let visit = Visit::connect(&args.at, Caller::Known(&credentials)).await?;
        visit.ask(Ask::Mint(mint)).await
    })?;
    writeln!(std::io::stdout(), "{token}").context("the token is made; standard output cannot be written")?;
    Ok(ExitCode::SUCCESS)
}

fn name(text: &str) -> Result<String, identity::Error> {
    check_name(text).map(str::to_owned)
}
