//! Goal: a data directory is used by one process, in one format, and is told apart from other people's files; the mark
//! file is believed whole or not at all.
//!
//! Method: each case on a directory of its own; for the mark file every cut and every flipped bit.

use std::{fs, path::Path};

use loquic_wire::slot::PARTITIONS;

use crate::log::{Directory, DirectoryError, MarkFile};

fn open(path: &Path) -> Result<Directory, DirectoryError> {
    Directory::open(path, || "node-1".into())
}

fn edit(path: &Path, edit: impl FnOnce(&mut serde_json::Value)) {
    let meta = path.join("META");
    let mut value = serde_json::from_str(&fs::read_to_string(&meta).unwrap()).unwrap();
    edit(&mut value);
    fs::write(meta, value.to_string()).unwrap();
}

#[test]
fn a_directory_is_new_then_unclean_then_clean_as_it_was_left() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("a/b");
    let directory = open(&path).unwrap();
    assert!(!directory.was_clean());
    assert_eq!(directory.meta().node, "node-1");
    drop(directory);
    let directory = Directory::open(&path, || unreachable!("it has a name")).unwrap();
    assert!(!directory.was_clean(), "it was not closed");
    directory.close_clean().unwrap();
    let inspected = Directory::inspect(&path).unwrap();
    assert!(inspected.was_clean());
    drop(inspected);
    let directory = open(&path).unwrap();
    assert!(directory.was_clean(), "looking at it changes nothing");
    drop(directory);
    assert!(!open(&path).unwrap().was_clean());
}

#[test]
fn a_directory_has_one_owner() {
    let temp = tempfile::tempdir().unwrap();
    let directory = open(temp.path()).unwrap();
    assert!(matches!(open(temp.path()), Err(DirectoryError::InUse { .. })));
    assert!(matches!(Directory::inspect(temp.path()), Err(DirectoryError::InUse { .. })));
    drop(directory);
    open(temp.path()).unwrap();
}

#[test]
fn other_formats_and_damage_are_refused_and_left_alone() {
    let temp = tempfile::tempdir().unwrap();
    drop(open(temp.path()).unwrap());
    let good = fs::read_to_string(temp.path().join("META")).unwrap();
    type Edit = fn(&mut serde_json::Value);
    let formats: [Edit; 6] = [
        |meta| meta["format"] = 2.into(),
        |meta| meta["format"] = "1".into(),
        |meta| meta["partitions"] = 8.into(),
        |meta| meta["feature"] = 2.into(),
        |meta| meta["slots"] = 512.into(),
        |meta| meta["slot_hash"] = "fnv".into(),
    ];
    for format in formats {
        edit(temp.path(), format);
        assert!(matches!(open(temp.path()), Err(DirectoryError::Format { .. })));
        assert!(matches!(Directory::inspect(temp.path()), Err(DirectoryError::Format { .. })));
        fs::write(temp.path().join("META"), &good).unwrap();
    }
    // Another format may have other fields; within this one they are damage.
    edit(temp.path(), |meta| meta["more"] = 1.into());
    assert!(matches!(open(temp.path()), Err(DirectoryError::Meta { .. })));
    for length in 0..good.trim_end().len() {
        fs::write(temp.path().join("META"), &good[..length]).unwrap();
        assert!(matches!(open(temp.path()), Err(DirectoryError::Meta { .. })), "cut to {length}");
        assert_eq!(fs::read_to_string(temp.path().join("META")).unwrap(), good[..length]);
    }
    fs::write(temp.path().join("META"), good).unwrap();
    open(temp.path()).unwrap();
}

#[test]
fn files_of_something_else_are_not_taken_over() {
    let temp = tempfile::tempdir().unwrap();
    fs::write(temp.path().join("holiday.jpg"), "").unwrap();
    assert!(matches!(open(temp.path()), Err(DirectoryError::Foreign { .. })));
    assert!(Directory::inspect(temp.path()).is_err());
    fs::remove_file(temp.path().join("holiday.jpg")).unwrap();
    fs::create_dir(temp.path().join("certs")).unwrap();
    open(temp.path()).unwrap();
}

/// The first start died between writing META and giving it its name.
#[test]
fn a_first_start_that_was_cut_short_can_be_repeated() {
    let temp = tempfile::tempdir().unwrap();
    fs::write(temp.path().join("META.new"), "{").unwrap();
    assert!(!open(temp.path()).unwrap().was_clean());
}

fn counts(start: u64) -> Vec<u64> {
    (start..).take(usize::from(PARTITIONS)).collect()
}

#[test]
fn a_mark_file_is_believed_whole_or_not_at_all() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("MARK");
    assert_eq!(MarkFile::read(temp.path()), None);
    let (mut mark, held) = MarkFile::open(temp.path()).unwrap();
    assert_eq!(held, vec![0; usize::from(PARTITIONS)]);
    mark.update(&counts(5)).unwrap();
    mark.update(&counts(7)).unwrap();
    assert_eq!(MarkFile::read(temp.path()), Some(counts(7)));
    let good = fs::read(&path).unwrap();
    for bit in 0..good.len() * 8 {
        let mut damaged = good.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, damaged).unwrap();
        assert_eq!(MarkFile::read(temp.path()), None, "bit {bit}");
    }
    for length in 0..good.len() {
        fs::write(&path, &good[..length]).unwrap();
        assert_eq!(MarkFile::read(temp.path()), None, "cut to {length}");
        let (mut mark, held) = MarkFile::open(temp.path()).unwrap();
        assert_eq!(held, vec![0; usize::from(PARTITIONS)]);
        mark.update(&counts(7)).unwrap();
        assert_eq!(MarkFile::read(temp.path()), Some(counts(7)));
    }
}

/// A mark of a later version is not understood, and does not keep this one from being written.
#[test]
fn a_longer_mark_is_not_believed_and_is_replaced() {
    let temp = tempfile::tempdir().unwrap();
    fs::write(temp.path().join("MARK"), [b"LQMARK02".as_slice(), &[1; 500]].concat()).unwrap();
    let (mut mark, held) = MarkFile::open(temp.path()).unwrap();
    assert_eq!(held, vec![0; usize::from(PARTITIONS)]);
    mark.update(&counts(3)).unwrap();
    assert_eq!(MarkFile::read(temp.path()), Some(counts(3)));
}
