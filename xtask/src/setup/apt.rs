//! System packages of Debian and Ubuntu. Installed only when missing, as root or through `sudo` where it asks nothing.

use std::path::Path;
use std::sync::Once;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::cmd::{Cmd, say};

/// Installs what is missing of `packages`; `why` ends the sentence "needed ...".
pub fn install(packages: &[&str], why: &str) -> Result<()> {
    let missing: Vec<&str> = packages.iter().copied().filter(|package| !installed(package)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    say(&format!("installing {list} (needed {why})"));
    let advice = || format!("{list} needed {why}: install it by hand, for example `sudo apt-get install {list}`");
    refresh().with_context(advice)?;
    if let Some(unknown) = missing.iter().find(|package| !known(package)) {
        bail!("this system has no package {unknown}; {}", advice());
    }
    apt_get()
        .and_then(|apt| apt.args(["install", "-y", "-q", "--no-install-recommends"]).args(&missing).run())
        .with_context(advice)
}

/// Whether the package is there, configured.
pub fn installed(package: &str) -> bool {
    Cmd::new("dpkg-query")
        .args(["-W", "-f=${db:Status-Status}", package])
        .answer()
        .is_some_and(|status| status == "installed")
}

/// Whether the package lists name a version to install. Virtual packages have none.
pub fn known(package: &str) -> bool {
    let policy = Cmd::new("apt-cache").args(["policy", package]).env("LC_ALL", "C").answer().unwrap_or_default();
    policy.lines().any(|line| line.trim().strip_prefix("Candidate:").is_some_and(|version| version.trim() != "(none)"))
}

/// Fetches the package lists, once a run: on a fresh machine they are empty.
pub fn refresh() -> Result<()> {
    static ONCE: Once = Once::new();
    let mut done = Ok(());
    ONCE.call_once(|| done = apt_get().and_then(|apt| apt.args(["update", "-q"]).run()));
    done
}

fn apt_get() -> Result<Cmd> {
    if !Path::new("/usr/bin/apt-get").exists() {
        bail!("this is neither Debian nor Ubuntu (no apt-get), so system packages are up to you");
    }
    // A lock held by an unattended upgrade is waited for, with a limit.
    let options = ["-o", "DPkg::Lock::Timeout=120"];
    let limit = Duration::from_secs(900);
    if rustix::process::geteuid().is_root() {
        return Ok(Cmd::new("apt-get").args(options).env("DEBIAN_FRONTEND", "noninteractive").limit(limit));
    }
    if Cmd::new("sudo").args(["-n", "true"]).works() {
        let sudo = Cmd::new("sudo").args(["-n", "DEBIAN_FRONTEND=noninteractive", "apt-get"]);
        return Ok(sudo.args(options).limit(limit));
    }
    bail!("system packages need root: run this as root, or run `sudo -v` first")
}
