//! The data directory: one owner at a time, one format, and whether it was left in good order.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
};

use loquic_wire::slot::{PARTITIONS, SLOTS};
use serde::{Deserialize, Serialize};

/// The format of the directory that this build writes.
const FORMAT: u32 = 1;

/// The highest level of changes to applying that this build knows.
const FEATURE: u32 = 1;

/// The name of the hash that spreads rooms over slots.
const SLOT_HASH: &str = "xxh3-64";

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// Another process has it.
    #[error(
        "the data directory {path} is in use by another process; stop that process, or choose another directory with --data-dir"
    )]
    InUse {
        /// Which directory.
        path: PathBuf,
    },
    /// It is of another format.
    #[error(
        "the data directory {path} has {what}; this build reads {wanted}. Use the version of loquic that wrote it, or another directory"
    )]
    Format {
        /// Which directory.
        path: PathBuf,
        /// What META says.
        what: String,
        /// What this build reads.
        wanted: String,
    },
    /// META is not readable as what it should be.
    #[error("{path} is damaged: {error}")]
    Meta {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        error: String,
    },
    /// The directory has no META, but files of something else.
    #[error("{path} is not empty and not a data directory of loquic; choose an empty or a new one")]
    Foreign {
        /// Which directory.
        path: PathBuf,
    },
    /// It is not a data directory, or not there.
    #[error(
        "{path} is not a data directory of loquic: it has no META file; name the directory that `loquic serve` used"
    )]
    NoData {
        /// Which directory.
        path: PathBuf,
    },
    /// The file system refused.
    #[error("cannot {action} {path}: {error}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

/// The META file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Meta {
    /// The format of everything in the directory.
    pub format: u32,
    /// The node's identity, chosen at random once.
    pub node: String,
    /// How many partitions.
    pub partitions: u16,
    /// How many slots.
    pub slots: u16,
    /// Which hash spreads rooms over slots.
    pub slot_hash: String,
    /// Which changes to applying this directory may hold.
    pub feature: u32,
    /// Whether the last process ended in good order.
    pub clean: bool,
    /// The kernel's boot in which the directory was last opened.
    pub boot: String,
}

/// An open data directory. Holds its lock until dropped.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    meta: Meta,
    was_clean: bool,
    _lock: File,
}

impl Directory {
    /// Locks the directory, creates it if need be, checks its format, and notes that it is in use. `node` names a new
    /// directory's node.
    pub fn open(path: &Path, node: impl FnOnce() -> String) -> Result<Self, DirectoryError> {
        create(path)?;
        let lock = lock(path)?;
        let known = read_meta(path)?;
        let was_clean = known.as_ref().is_some_and(|meta| meta.clean);
        let mut meta = match known {
            Some(meta) => meta,
            None => {
                refuse_foreign(path)?;
                Meta::new(node())
            }
        };
        meta.clean = false;
        meta.boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().into();
        write_meta(path, &meta)?;
        Ok(Self { path: path.into(), meta, was_clean, _lock: lock })
    }

    /// Locks a stopped directory for reading.
    pub fn inspect(path: &Path) -> Result<Self, DirectoryError> {
        if !path.join("META").exists() {
            return Err(DirectoryError::NoData { path: path.into() });
        }
        let lock = lock(path)?;
        let meta = read_meta(path)?.ok_or_else(|| DirectoryError::NoData { path: path.into() })?;
        let was_clean = meta.clean;
        Ok(Self { path: path.into(), meta, was_clean, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the store is.
    pub fn store_path(&self) -> PathBuf {
        self.path.join("log")
    }

    /// Whether the process before ended in good order; also false for a new directory.
    pub fn was_clean(&self) -> bool {
        self.was_clean
    }

    /// What META says.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Notes that the process ends in good order: nothing that was applied is missing from the store.
    pub fn close_clean(mut self) -> Result<(), DirectoryError> {
        self.meta.clean = true;
        write_meta(&self.path, &self.meta)
    }
}

impl Meta {
    fn new(node: String) -> Self {
        Self {
            format: FORMAT,
            node,
            partitions: PARTITIONS,
            slots: SLOTS,
            slot_hash: SLOT_HASH.into(),
            feature: FEATURE,
            clean: false,
            boot: String::new(),
        }
    }
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DirectoryError {
    let path = path.to_path_buf();
    move |error| DirectoryError::Io { action, path, error }
}

fn create(path: &Path) -> Result<(), DirectoryError> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(io_error("create", path))
}

fn lock(path: &Path) -> Result<File, DirectoryError> {
    let file = path.join("LOCK");
    let lock = OpenOptions::new().write(true).create(true).truncate(false).open(&file);
    let lock = lock.map_err(io_error("write to", &file))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(DirectoryError::InUse { path: path.into() }),
        Err(TryLockError::Error(error)) => Err(io_error("lock", &file)(error)),
    }
}

fn read_meta(path: &Path) -> Result<Option<Meta>, DirectoryError> {
    let file = path.join("META");
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error("read", &file)(error)),
    };
    let damaged = |error: serde_json::Error| DirectoryError::Meta { path: file.clone(), error: error.to_string() };
    let value: serde_json::Value = serde_json::from_str(&text).map_err(damaged)?;
    // The format is looked at before the rest, because another format may have other fields.
    let format = value.get("format").and_then(serde_json::Value::as_u64);
    if format != Some(u64::from(FORMAT)) {
        let what = format.map_or("no format".into(), |format| format!("format {format}"));
        return Err(DirectoryError::Format { path: path.into(), what, wanted: format!("format {FORMAT}") });
    }
    let meta: Meta = serde_json::from_value(value).map_err(damaged)?;
    let shape = |meta: &Meta| format!("{} partitions, {} slots by {}", meta.partitions, meta.slots, meta.slot_hash);
    let wanted = Meta::new(String::new());
    if shape(&meta) != shape(&wanted) {
        return Err(DirectoryError::Format { path: path.into(), what: shape(&meta), wanted: shape(&wanted) });
    }
    if meta.feature > FEATURE {
        let what = format!("feature level {}", meta.feature);
        return Err(DirectoryError::Format {
            path: path.into(),
            what,
            wanted: format!("up to feature level {FEATURE}"),
        });
    }
    Ok(Some(meta))
}

fn refuse_foreign(path: &Path) -> Result<(), DirectoryError> {
    let entries = fs::read_dir(path).map_err(io_error("read", path))?;
    // META.new is left by a first start that was cut short.
    let ours = ["LOCK", "META.new", "certs", "lost+found"];
    let foreign = entries.flatten().any(|entry| ours.iter().all(|name| entry.file_name() != *name));
    if foreign { Err(DirectoryError::Foreign { path: path.into() }) } else { Ok(()) }
}

/// Replaces META so that a crash leaves the old one or the new one.
fn write_meta(path: &Path, meta: &Meta) -> Result<(), DirectoryError> {
    let (file, fresh) = (path.join("META"), path.join("META.new"));
    let text = serde_json::to_string_pretty(meta)
        .map_err(|error| DirectoryError::Meta { path: file.clone(), error: error.to_string() })?;
    let write = || -> io::Result<()> {
        let mut out = File::create(&fresh)?;
        out.write_all(text.as_bytes())?;
        out.write_all(b"\n")?;
        out.sync_all()?;
        fs::rename(&fresh, &file)?;
        File::open(path)?.sync_all()
    };
    write().map_err(io_error("write", &file))
}
