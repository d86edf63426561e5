//! `corovan cert`: a development CA, and certificates for nodes, tenants and operators, as files.

use crate::tenancy::ca::Authority;
use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use corovan_core::limits;
use corovan_core::tenancy::identity::{self, Role};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

/// Make a cluster's CA, and certificates signed by it.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    corovan cert init --dir certs-dev --cluster dev\n  \
    corovan cert node a --dir certs-dev\n  \
    corovan cert tenant me --dir certs-dev")]
pub struct CertArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Make a CA: ca.crt, which everybody gets, and ca.key, which nobody gets.
    Init {
        #[command(flatten)]
        place: Place,
        /// Name of the cluster. Certificates of one cluster mean nothing in another.
        #[arg(long, default_value = "dev", value_parser = name)]
        cluster: String,
    },
    /// Issue a node's certificate.
    Node(Issue),
    /// Issue a tenant's certificate: for clients that run jobs.
    Tenant(Issue),
    /// Issue an operator's certificate: for making join tokens, and later for seeing and stopping everything.
    Operator(Issue),
    /// Make an issuing CA for a node: it certifies nodes, and the cluster's key stays here. For 90 days.
    Issuer {
        /// 1 to 63 of a-z, 0-9 and '-'.
        #[arg(value_parser = name)]
        name: String,
        #[command(flatten)]
        place: Place,
        /// Days until it expires.
        #[arg(long, default_value_t = limits::ISSUER_LIFE.as_secs() / DAY,
              value_parser = clap::value_parser!(u64).range(1..=MAX_DAYS))]
        days: u64,
    },
}

#[derive(Args, Debug)]
struct Issue {
    /// 1 to 63 of a-z, 0-9 and '-'.
    #[arg(value_parser = name)]
    name: String,
    #[command(flatten)]
    place: Place,
    /// Days until it expires.
    #[arg(long, default_value_t = limits::CERTIFICATE_LIFE.as_secs() / DAY,
          value_parser = clap::value_parser!(u64).range(1..=MAX_DAYS))]
    days: u64,
}

#[derive(Args, Debug)]
struct Place {
    /// Directory of the CA and of what it issues.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Replace files that are there.
    #[arg(long)]
    force: bool,
}

/// Does what was asked and prints the files written, one a line.
pub fn run(args: CertArgs) -> anyhow::Result<ExitCode> {
    let now = SystemTime::now();
    let dir = &args.command.place().dir;
    if dir.exists() && !dir.is_dir() {
        bail!("--dir {} is not a directory", shown(dir));
    }
    let written = match args.command {
        Command::Init { place, cluster } => Authority::generate(&cluster, now)?.save(&place.dir, place.force)?,
        Command::Node(issue) => issue.make(Role::Node, now)?,
        Command::Tenant(issue) => issue.make(Role::Tenant, now)?,
        Command::Operator(issue) => issue.make(Role::Operator, now)?,
        Command::Issuer { name, place, days } => {
            let life = Duration::from_secs(days * DAY);
            Authority::load(&place.dir)?.save_issuer(&name, now, life, &place.dir, place.force)?
        }
    };
    let lines: String = written.iter().map(|path| format!("{}\n", shown(path))).collect();
    std::io::stdout().write_all(lines.as_bytes()).context("the files are written; standard output cannot be")?;
    Ok(ExitCode::SUCCESS)
}

impl Command {
    fn place(&self) -> &Place {
        match self {
            Command::Init { place, .. } | Command::Issuer { place, .. } => place,
            Command::Node(issue) | Command::Tenant(issue) | Command::Operator(issue) => &issue.place,
        }
    }
}

impl Issue {
    fn make(self, role: Role, now: SystemTime) -> anyhow::Result<[PathBuf; 2]> {
        let authority = Authority::load(&self.place.dir)?;
        let life = Duration::from_secs(self.days * DAY);
        let issued = authority
            .issue(role, &self.name, now, life)
            .with_context(|| format!("no certificate for {role} {}", self.name))?;
        Ok(issued.save(&self.place.dir, self.place.force)?)
    }
}

fn name(text: &str) -> Result<String, identity::Error> {
    identity::check_name(text).map(str::to_owned)
}

/// A path as a terminal may show it.
fn shown(path: &Path) -> String {
    path.display().to_string().chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

const DAY: u64 = 24 * 3600;
/// As long as a CA itself.
const MAX_DAYS: u64 = limits::AUTHORITY_LIFE.as_secs() / DAY;

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        cert: CertArgs,
    }

    fn cert(dir: &Path, line: &str) -> anyhow::Result<ExitCode> {
        let words = ["cert"].into_iter().chain(line.split_whitespace()).map(str::to_owned);
        let dir = ["--dir".to_owned(), dir.display().to_string()];
        run(Cli::try_parse_from(words.chain(dir))?.cert)
    }

    #[test]
    fn a_directory_gets_a_ca_and_certificates_of_every_role() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("certs");
        for line in ["init --cluster test", "node a", "tenant me", "operator root --days 1"] {
            cert(&dir, line).unwrap();
        }
        let mut names: Vec<_> =
            std::fs::read_dir(&dir).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        let expected = ["ca.crt", "ca.key", "node-a.crt", "node-a.key", "operator-root.crt", "operator-root.key"];
        assert_eq!(names[..6], expected);
        let me =
            corovan_client::Credentials::load(dir.join("tenant-me.crt"), dir.join("tenant-me.key"), dir.join("ca.crt"));
        assert_eq!(me.unwrap().identity.principal().to_string(), "spiffe://test/tenant/me");
    }

    #[test]
    fn a_file_is_no_directory_for_certificates() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for line in ["init", "init --force", "node a"] {
            let error = format!("{:#}", cert(file.path(), line).unwrap_err());
            assert!(error.contains("is not a directory"), "{line}: {error}");
        }
    }

    #[test]
    fn every_refusal_says_what_to_do() {
        let temp = tempfile::tempdir().unwrap();
        for (line, part) in [
            ("node a", "corovan cert init"),
            ("node A", "1 to 63 of a-z"),
            ("node a/b", "1 to 63 of a-z"),
            ("init --cluster x.y", "1 to 63 of a-z"),
            ("tenant me --days 0", "not in 1..="),
        ] {
            let error = format!("{:#}", cert(temp.path(), line).unwrap_err());
            assert!(error.contains(part), "{line}: {error}");
        }
        cert(temp.path(), "init").unwrap();
        let error = format!("{:#}", cert(temp.path(), "init").unwrap_err());
        assert!(error.contains("--force"), "{error}");
        cert(temp.path(), "init --force").unwrap();
    }
}
