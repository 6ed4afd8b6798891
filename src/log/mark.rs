//! The mark file: how many batches of each partition had been synced, written beside the store and not by it. If the
//! store comes back with less, it lost what it had promised, and somebody has to be told.

use std::{
    fs::{File, OpenOptions},
    io::{self, Seek, SeekFrom, Write},
    path::Path,
};

use loquic_wire::slot::PARTITIONS;

const BYTES: usize = 8 + 8 * PARTITIONS as usize + 4;
const MAGIC: &[u8; 8] = b"LQMARK01";

/// The open mark file.
#[derive(Debug)]
pub struct MarkFile {
    file: File,
    last: Vec<u64>,
}

impl MarkFile {
    /// Opens or creates the file and returns what it holds; zeros if it is new or was torn by a crash.
    pub fn open(directory: &Path) -> io::Result<(Self, Vec<u64>)> {
        let path = directory.join("MARK");
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
        let marks = parse(&std::fs::read(&path)?).unwrap_or_else(|| vec![0; usize::from(PARTITIONS)]);
        Ok((Self { file, last: marks.clone() }, marks))
    }

    /// What the file of a stopped directory holds; `None` if there is none or it is torn.
    pub fn read(directory: &Path) -> Option<Vec<u64>> {
        parse(&std::fs::read(directory.join("MARK")).ok()?)
    }

    /// Writes and syncs the numbers of synced batches, if they have changed.
    pub fn update(&mut self, applied: &[u64]) -> io::Result<()> {
        if self.last == applied {
            return Ok(());
        }
        let mut bytes = Vec::with_capacity(BYTES);
        bytes.extend_from_slice(MAGIC);
        applied.iter().for_each(|count| bytes.extend_from_slice(&count.to_le_bytes()));
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&bytes)?;
        self.file.set_len(BYTES as u64)?;
        self.file.sync_data()?;
        self.last = applied.to_vec();
        Ok(())
    }
}

fn parse(bytes: &[u8]) -> Option<Vec<u64>> {
    let (body, crc) = bytes.split_last_chunk::<4>()?;
    if bytes.len() != BYTES || crc32c::crc32c(body) != u32::from_le_bytes(*crc) {
        return None;
    }
    let counts = body.strip_prefix(MAGIC)?;
    Some(counts.chunks_exact(8).filter_map(|chunk| chunk.try_into().ok().map(u64::from_le_bytes)).collect())
}
