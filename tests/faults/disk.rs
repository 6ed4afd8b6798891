//! Disks of our own: an ext4 file system in a file. It can be copied as a power cut would leave it, and filled up.

use std::{
    fs::{self, File, OpenOptions},
    path::{Path, PathBuf},
    process::{Command, Output},
    thread,
    time::Duration,
};

use rustix::fs::{FallocateFlags, fallocate};
use tempfile::TempDir;

/// A mounted file system. Unmounted and removed when it is dropped, also by a panic.
pub struct Disk {
    home: TempDir,
}

impl Disk {
    /// Whether this machine lets us; if not, says why on standard error, loud enough to be seen.
    pub fn is_available(test: &str) -> bool {
        let problem = match () {
            () if !rustix::process::geteuid().is_root() => Some("it needs root to mount an image".to_owned()),
            () => Self::make(16).err(),
        };
        if let Some(problem) = &problem {
            crate::support::figure(format_args!("{test}: NOT RUN, {problem}"));
        }
        problem.is_none()
    }

    /// A new, empty one.
    pub fn new(megabytes: u64) -> Self {
        Self::make(megabytes).expect("make a disk")
    }

    fn make(megabytes: u64) -> Result<Self, String> {
        let disk = Self::unmounted()?;
        let image = File::create(disk.image()).map_err(|error| error.to_string())?;
        image.set_len(megabytes << 20).map_err(|error| error.to_string())?;
        // Without lazy initialisation nothing but the server writes to it; without reserve, full means full.
        let image = disk.image().display().to_string();
        run("mkfs.ext4", &["-q", "-F", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0", &image])?;
        disk.mount()?;
        Ok(disk)
    }

    fn unmounted() -> Result<Self, String> {
        let home = tempfile::Builder::new().prefix("loquic-disk-").tempdir().map_err(|error| error.to_string())?;
        let disk = Self { home };
        fs::create_dir(disk.path()).map_err(|error| error.to_string())?;
        Ok(disk)
    }

    fn mount(&self) -> Result<(), String> {
        run("mount", &["-o", "loop", &self.image().display().to_string(), &self.path().display().to_string()])
    }

    /// Where it is mounted.
    pub fn path(&self) -> PathBuf {
        self.home.path().join("mounted")
    }

    /// A data directory on it.
    pub fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    fn image(&self) -> PathBuf {
        self.home.path().join("image")
    }

    /// What is on the disk at this moment, as a disk of its own: what the file system still holds in memory is not
    /// there.
    pub fn copy(&self) -> Self {
        let copy = Self::unmounted().expect("make a directory");
        run("cp", &["--sparse=auto", &self.image().display().to_string(), &copy.image().display().to_string()])
            .expect("copy the image");
        copy.mount().expect("mount the copy, with what its journal says");
        copy
    }

    /// Nothing can be written any more.
    pub fn freeze(&self) {
        run("mount", &["-o", "remount,ro", &self.path().display().to_string()]).expect("mount it read-only");
    }

    /// Bytes that are free.
    pub fn free(&self) -> u64 {
        let stat = rustix::fs::statvfs(self.path()).expect("look at the disk");
        stat.f_bavail * stat.f_frsize
    }

    /// Fills it up, except for this much.
    pub fn fill(&self, leave: u64) -> Filler {
        let path = self.path().join("filler");
        let file = OpenOptions::new().create(true).truncate(true).write(true).open(&path).expect("make a file");
        let (mut taken, mut piece) = (0, 1 << 26);
        // The server takes space at the same time, so what is free is asked for again and again, in smaller pieces.
        while piece >= 4096 {
            let more = self.free().saturating_sub(leave).min(piece);
            if more > 0 && fallocate(&file, FallocateFlags::empty(), taken, more).is_ok() {
                taken += more;
            } else {
                piece /= 2;
            }
        }
        Filler { path }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let point = self.path().display().to_string();
        // A process that was just killed may still hold it for a moment.
        for _ in 0..100 {
            if !is_mounted(&self.path()) || run("umount", &[&point]).is_ok() {
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
        let _ = run("umount", &["-l", &point]);
    }
}

/// A file that takes space, until it is dropped.
pub struct Filler {
    path: PathBuf,
}

impl Drop for Filler {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn is_mounted(path: &Path) -> bool {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    mounts.lines().any(|line| line.split(' ').nth(1) == path.to_str())
}

fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(arguments).output();
    match output {
        Ok(Output { status, .. }) if status.success() => Ok(()),
        Ok(Output { stderr, .. }) => Err(format!("{program}: {}", String::from_utf8_lossy(&stderr).trim())),
        Err(error) => Err(format!("{program}: {error}")),
    }
}
