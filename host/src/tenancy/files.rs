//! Files that hold keys: private from their first byte, complete or absent, never overwritten by accident.

use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

/// Makes a directory that only its owner may enter. One that exists keeps its permissions: it is somebody's choice.
pub fn private_dir(dir: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// Writes a file under its name in one step. Without `replace`, a file of that name is an error of kind `AlreadyExists`.
pub fn write(path: &Path, bytes: &[u8], mode: u32, replace: bool) -> io::Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Made with mode 0600, and beside its final place, so that the rename is atomic.
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(bytes)?;
    file.as_file().set_permissions(std::fs::Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    let persisted = if replace { file.persist(path) } else { file.persist_noclobber(path) };
    persisted.map_err(|error| error.error)?;
    std::fs::File::open(dir)?.sync_all()
}

/// For its owner alone.
pub const PRIVATE: u32 = 0o600;
/// For all to read.
pub const PUBLIC: u32 = 0o644;
