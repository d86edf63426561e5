//! Where commands find certificates: a directory as `corovan cert` writes it.

use anyhow::{Context, bail};
use corovan_client::Credentials;
use std::path::{Path, PathBuf};

/// The credentials of `ROLE-NAME` in a directory; without a name, of the only one there is.
pub fn load(dir: &Path, role: &str, name: Option<&str>) -> anyhow::Result<Credentials> {
    let stem = match name {
        Some(name) => format!("{role}-{name}"),
        None => only(dir, role)?,
    };
    let file = |extension: &str| dir.join(format!("{stem}.{extension}"));
    if !file("crt").exists() {
        let name = stem.strip_prefix(&format!("{role}-")).unwrap_or(&stem);
        bail!(
            "there is no {stem}.crt in {}: make it with `corovan cert {role} {name} --dir {}`",
            dir.display(),
            dir.display()
        );
    }
    Ok(Credentials::load(file("crt"), file("key"), dir.join("ca.crt"))?)
}

/// Whether there is a certificate of this role at all.
pub fn has(dir: &Path, role: &str) -> bool {
    found(dir, role).is_ok_and(|found| !found.is_empty())
}

fn only(dir: &Path, role: &str) -> anyhow::Result<String> {
    let mut found = found(dir, role)?;
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => bail!(
            "there is no {role}'s certificate in {}: make one with `corovan cert {role} NAME --dir {}`",
            dir.display(),
            dir.display()
        ),
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
