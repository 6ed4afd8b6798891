//! The store on disk. The only file that names RocksDB.
//!
//! One database per node, so there is one write-ahead log and one sync for all rooms. One thread writes. Spaces are
//! column families; a window of a retention class is dropped whole.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use rocksdb::{
    BlockBasedOptions, BoundColumnFamily, Cache, ColumnFamilyDescriptor, DBCompressionType, DBRecoveryMode,
    DBWithThreadMode, Direction, Error, ErrorKind, IteratorMode, MultiThreaded, Options, ReadOptions, WriteBatch,
    WriteOptions,
};

use super::store::{Batch, Next, Space, Store, StoreError, Write};

type Db = DBWithThreadMode<MultiThreaded>;

/// What an operator may set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RocksOptions {
    /// Bytes of the block cache, shared by all spaces.
    pub cache_bytes: usize,
    /// Bytes of a memtable before it is written to a file; there may be four per space.
    pub write_buffer_bytes: usize,
    /// Bytes of all memtables together.
    pub write_buffers_bytes_max: usize,
}

impl Default for RocksOptions {
    fn default() -> Self {
        Self {
            cache_bytes: 128 * 1024 * 1024,
            write_buffer_bytes: 64 * 1024 * 1024,
            write_buffers_bytes_max: 256 * 1024 * 1024,
        }
    }
}

/// The store on disk.
pub struct Rocks {
    path: PathBuf,
    options: RocksOptions,
    cache: Cache,
    /// The column families that there are.
    spaces: Mutex<BTreeSet<Space>>,
    /// `None` only while it is being reopened, or after that failed.
    db: RwLock<Option<Arc<Db>>>,
}

impl Rocks {
    /// Opens or creates the database.
    pub fn open(path: &Path, options: RocksOptions) -> Result<Self, StoreError> {
        let cache = Cache::new_lru_cache(options.cache_bytes);
        let (db, spaces) = open_db(path, options, &cache)?;
        let db = RwLock::new(Some(Arc::new(db)));
        Ok(Self { path: path.into(), options, cache, spaces: Mutex::new(spaces), db })
    }

    /// Opens the database of a stopped node for reading; nothing on disk is changed.
    pub fn open_read_only(path: &Path) -> Result<Self, StoreError> {
        let options = RocksOptions::default();
        let cache = Cache::new_lru_cache(options.cache_bytes);
        let names = Db::list_cf(&Options::default(), path).map_err(store_error)?;
        let families = names.iter().map(|name| ColumnFamilyDescriptor::new(name, family_options(options, &cache)));
        let db = Db::open_cf_descriptors_read_only(&db_options(options), path, families, false).map_err(store_error)?;
        let spaces = names.iter().filter_map(|name| Space::parse(name)).collect();
        let db = RwLock::new(Some(Arc::new(db)));
        Ok(Self { path: path.into(), options, cache, spaces: Mutex::new(spaces), db })
    }

    fn db(&self) -> Result<Arc<Db>, StoreError> {
        self.db.read().clone().ok_or_else(|| StoreError::Failed("it could not be opened again".into()))
    }

    /// The column family of a space; made if it is not there.
    fn family<'a>(&self, db: &'a Db, space: Space) -> Result<Arc<BoundColumnFamily<'a>>, StoreError> {
        let name = space.to_string();
        if let Some(family) = db.cf_handle(&name) {
            return Ok(family);
        }
        db.create_cf(&name, &family_options(self.options, &self.cache)).map_err(store_error)?;
        self.spaces.lock().insert(space);
        db.cf_handle(&name).ok_or_else(|| StoreError::Failed(format!("the new column family {name} is not there")))
    }

    fn scan_towards(
        &self,
        space: Space,
        (from, until): (&[u8], &[u8]),
        direction: Direction,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Next,
    ) -> Result<(), StoreError> {
        let db = self.db()?;
        let Some(family) = db.cf_handle(&space.to_string()) else { return Ok(()) };
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound(from);
        options.set_iterate_upper_bound(until);
        let start = match direction {
            Direction::Forward => IteratorMode::From(from, direction),
            Direction::Reverse => IteratorMode::End,
        };
        let mut entries = db.raw_iterator_cf_opt(&family, options);
        match start {
            IteratorMode::From(key, _) => entries.seek(key),
            _ => entries.seek_to_last(),
        }
        while let Some((key, value)) = entries.item() {
            if visit(key, value) == Next::Stop {
                return Ok(());
            }
            match direction {
                Direction::Forward => entries.next(),
                Direction::Reverse => entries.prev(),
            }
        }
        entries.status().map_err(store_error)
    }
}

impl Store for Rocks {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let db = self.db()?;
        let Some(family) = db.cf_handle(&space.to_string()) else { return Ok(None) };
        Ok(db.get_cf(&family, key).map_err(store_error)?.map(Bytes::from))
    }

    fn scan(
        &self,
        space: Space,
        from: &[u8],
        until: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Next,
    ) -> Result<(), StoreError> {
        self.scan_towards(space, (from, until), Direction::Forward, visit)
    }

    fn scan_back(
        &self,
        space: Space,
        from: &[u8],
        until: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Next,
    ) -> Result<(), StoreError> {
        self.scan_towards(space, (from, until), Direction::Reverse, visit)
    }

    fn write(&self, batch: &Batch) -> Result<(), StoreError> {
        let db = self.db()?;
        let mut out = WriteBatch::default();
        let mut last: Option<(Space, Arc<BoundColumnFamily>)> = None;
        for write in batch.writes() {
            let (Write::Put(space, ..) | Write::Delete(space, ..) | Write::DeleteRange(space, ..)) = write;
            let handle = match &last {
                Some((known, handle)) if known == space => handle.clone(),
                _ => self.family(&db, *space)?,
            };
            match write {
                Write::Put(_, key, value) => out.put_cf(&handle, key, value),
                Write::Delete(_, key) => out.delete_cf(&handle, key),
                Write::DeleteRange(_, from, until) => out.delete_range_cf(&handle, from, until),
            }
            last = Some((*space, handle));
        }
        let mut options = WriteOptions::default();
        options.set_sync(false);
        db.write_opt(out, &options).map_err(store_error)
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.db()?.flush_wal(true).map_err(store_error)
    }

    fn spaces(&self) -> Vec<Space> {
        self.spaces.lock().iter().copied().collect()
    }

    fn drop_space(&self, space: Space) -> Result<(), StoreError> {
        self.db()?.drop_cf(&space.to_string()).map_err(store_error)?;
        self.spaces.lock().remove(&space);
        Ok(())
    }

    fn reopen(&self) -> Result<(), StoreError> {
        let mut held = self.db.write();
        // The lock file is held until the last reader has dropped the old database.
        drop(held.take());
        let (db, spaces) = open_db(&self.path, self.options, &self.cache)?;
        *self.spaces.lock() = spaces;
        *held = Some(Arc::new(db));
        Ok(())
    }

    fn flush(&self) -> Result<(), StoreError> {
        let db = self.db()?;
        for space in self.spaces() {
            if let Some(family) = db.cf_handle(&space.to_string()) {
                db.flush_cf(&family).map_err(store_error)?;
            }
        }
        db.flush_wal(true).map_err(store_error)
    }
}

fn open_db(path: &Path, options: RocksOptions, cache: &Cache) -> Result<(Db, BTreeSet<Space>), StoreError> {
    let known = if path.join("CURRENT").exists() {
        Db::list_cf(&Options::default(), path).map_err(store_error)?
    } else {
        Vec::new()
    };
    let always = ["default".to_owned(), Space::Meta.to_string(), Space::Keep.to_string()];
    let missing = always.into_iter().filter(|name| !known.contains(name));
    let names: Vec<String> = missing.chain(known.iter().cloned()).collect();
    let families = names.iter().map(|name| ColumnFamilyDescriptor::new(name, family_options(options, cache)));
    let db = Db::open_cf_descriptors(&db_options(options), path, families).map_err(store_error)?;
    Ok((db, names.iter().filter_map(|name| Space::parse(name)).collect()))
}

fn db_options(options: RocksOptions) -> Options {
    let mut db = Options::default();
    db.create_if_missing(true);
    db.create_missing_column_families(true);
    db.set_db_write_buffer_size(options.write_buffers_bytes_max);
    db.set_max_background_jobs(2);
    db.set_max_open_files(1024);
    db.set_keep_log_file_num(4);
    db.set_max_log_file_size(4 * 1024 * 1024);
    // An idle window must not keep old write-ahead logs alive.
    db.set_max_total_wal_size(4 * options.write_buffer_bytes as u64);
    // What is recovered is a prefix of what was written. That it is not a shorter one than was synced is checked with
    // the mark file, because this mode stops at the first damaged record without a word.
    db.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
    db.set_track_and_verify_wals_in_manifest(true);
    // One thread writes, so the machinery for many writers only costs.
    db.set_allow_concurrent_memtable_write(false);
    db.set_enable_write_thread_adaptive_yield(false);
    db
}

fn family_options(options: RocksOptions, cache: &Cache) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    table.set_block_size(16 * 1024);
    table.set_format_version(6);
    table.set_bloom_filter(10.0, false);
    table.set_cache_index_and_filter_blocks(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    let mut family = Options::default();
    family.set_block_based_table_factory(&table);
    family.set_compression_type(DBCompressionType::Lz4);
    family.set_write_buffer_size(options.write_buffer_bytes);
    family.set_max_write_buffer_number(4);
    // Keys come in ascending order per room and are hardly ever overwritten.
    family.set_level_compaction_dynamic_level_bytes(true);
    family
}

fn store_error(error: Error) -> StoreError {
    let text = error.to_string();
    match error.kind() {
        _ if text.contains("No space left on device") => StoreError::Full(text),
        ErrorKind::Corruption => StoreError::Corrupt(text),
        _ => StoreError::Failed(text),
    }
}
