//! How much room a disk has.

use std::{io, path::Path};

/// Bytes that an ordinary user may still write where `path` is.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}
