//! Does `docs/PROTOCOL.md` name the same frames and codes as the code?

use std::{fs, path::PathBuf};

use loquic_wire::{Code, Frame};

use crate::{samples, tables};

fn document() -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/PROTOCOL.md");
    fs::read_to_string(path).expect("the document is there")
}

/// The rows of the table under a heading, cells trimmed, without its head.
fn table(document: &str, heading: &str) -> Vec<Vec<String>> {
    let (_, rest) = document.split_once(&format!("\n{heading}\n")).expect("the heading is there");
    let rows = rest.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    rows.skip(2).map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

fn plain(cell: &str) -> String {
    cell.replace('`', "")
}

#[test]
fn the_table_of_frames_agrees() {
    let rows: Vec<Vec<String>> = table(&document(), "## 5. Table of frames");
    let stated: Vec<(String, String, String)> =
        rows.iter().map(|row| (plain(&row[0]), plain(&row[1]), row[2].replace(',', ""))).collect();
    let known: Vec<(String, String, String)> = Frame::ALL
        .iter()
        .map(|(kind, name, max)| (format!("0x{kind:02x}"), (*name).to_owned(), max.to_string()))
        .collect();
    assert_eq!(stated, known);
}

#[test]
fn the_table_of_codes_agrees() {
    let stated: Vec<(String, String, String)> =
        table(&document(), "## 14. Codes").iter().map(|row| (row[0].clone(), plain(&row[1]), plain(&row[2]))).collect();
    let known: Vec<(String, String, String)> = Code::ALL
        .iter()
        .map(|(code, name, meaning)| (code.0.to_string(), (*name).to_owned(), plain(meaning)))
        .collect();
    assert_eq!(stated, known);
}

/// Each frame has a table of its own, and the fields there are the fields of its body, in order.
#[test]
fn the_layout_of_each_frame_agrees() {
    let document = document();
    let mut seen = Vec::new();
    for frame in samples::groups().into_iter().flat_map(|(_, frames)| frames).map(|(_, frame)| frame) {
        if seen.contains(&frame.kind()) {
            continue;
        }
        seen.push(frame.kind());
        let heading = format!("#### `{}` 0x{:02x}", frame.name(), frame.kind());
        let stated: Vec<String> = table(&document, &heading).iter().map(|row| plain(&row[0])).collect();
        let known: Vec<&str> = crate::render::fields(&frame).iter().map(|field| field.name).collect();
        assert_eq!(stated, known, "{heading}");
    }
    assert_eq!(seen.len(), Frame::ALL.len());
}

/// Every file of vectors is named, so that somebody who writes a client finds it.
#[test]
fn the_files_of_vectors_are_named() {
    let document = document();
    let tables = tables::tables();
    let names = samples::groups().into_iter().map(|(name, _)| name).chain(tables.iter().map(|(name, _)| *name));
    for name in names.chain(["datagram"]) {
        assert!(document.contains(&format!("`{name}.json`")), "{name}.json");
    }
}
