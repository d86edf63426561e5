//! A browser for the test that opens the status page.

use super::apt;
use crate::cmd::{Cmd, say};

/// As distributions call them.
const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// The program, installed where Debian has it as a package. `None`: there is none, and this system has none to install (Ubuntu
/// ships it as a snap, which needs a daemon that build machines do not run); then the page is not opened, and the test says so.
pub fn find() -> Option<&'static str> {
    let there = || BROWSERS.into_iter().find(|name| Cmd::new(name).args(["--version"]).quiet().works());
    if let Some(name) = there() {
        return Some(name);
    }
    if !is_debian() {
        say("there is no browser here, and no package of one: the test of the status page reads it without");
        return None;
    }
    if let Err(error) = apt::install(&["chromium"], "to open the status page in a test") {
        say(&format!("no browser: {error:#}; the test of the status page reads it without"));
    }
    there()
}

fn is_debian() -> bool {
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    release.lines().any(|line| line == "ID=debian")
}
