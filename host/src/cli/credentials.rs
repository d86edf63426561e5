//! Where commands find certificates: a directory as `corovan cert` writes it.

use anyhow::{Context, bail};
use corovan_client::Credentials;
use std::path::{Path, PathBuf};

/// The credentials of `ROLE-NAME` in a directory; without a name, of the only one there is.
pub fn load(dir: &Path, role: &str, name: Option<&str>) -> anyhow::Result<Credentials> {
    if !dir.is_dir() {
        bail!("there is no directory {}: --certs names the one that `corovan cert` has written to", dir.display());
    }
    let stem = match name {
        Some(name) => format!("{role}-{name}"),
        None => only(dir, role)?,
    };
    let file = |extension: &str| dir.join(format!("{stem}.{extension}"));
    if !file("crt").exists() {
        let name = stem.strip_prefix(&format!("{role}-")).unwrap_or(&stem);
        bail!("there is no {stem}.crt in {}: {}", dir.display(), made(dir, role, name));
    }
    Ok(Credentials::load(file("crt"), file("key"), dir.join("ca.crt"))?)
}

/// How such a certificate is made: here, or where the CA's key is.
fn made(dir: &Path, role: &str, name: &str) -> String {
    match dir.join("ca.crt").exists() && !dir.join("ca.key").exists() {
        true => format!(
            "make it with `corovan cert {role} {name}` where the CA's key is (ca.key, which is not here), and copy its two files"
        ),
        false => format!("make it with `corovan cert {role} {name} --dir {}`", dir.display()),
    }
}

/// Whether there is a certificate of this role at all.
pub fn has(dir: &Path, role: &str) -> bool {
    found(dir, role).is_ok_and(|found| !found.is_empty())
}

fn only(dir: &Path, role: &str) -> anyhow::Result<String> {
    let mut found = found(dir, role)?;
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => bail!("there is no {role}'s certificate in {}: {}", dir.display(), made(dir, role, "NAME")),
        _ => bail!(
            "there are several {role}s' certificates in {}: {}; choose one with --{}",
            dir.display(),
            found.join(", "),
            if role == "node" { "name" } else { role }
        ),
    }
}

/// The certificates of this role, by their names without ending.
fn found(dir: &Path, role: &str) -> anyhow::Result<Vec<String>> {
    let prefix = format!("{role}-");
    let entries =
        std::fs::read_dir(dir).with_context(|| format!("the certificates in {} cannot be read", dir.display()))?;
    let mut found: Vec<String> = entries
        .filter_map(|entry| PathBuf::from(entry.ok()?.file_name()).to_str().map(str::to_owned))
        .filter_map(|name| name.strip_suffix(".crt").filter(|stem| stem.starts_with(&prefix)).map(str::to_owned))
        .collect();
    found.sort();
    Ok(found)
}
