//! The documented defaults as a file: every key with its words, its default and what it takes.

use std::fmt::Write;

use super::{
    rooms,
    sections::{Key, SECTIONS},
    setting::Documented,
};

const HEAD: &str = "\
# Configuration of `loquic serve`: every key with its default. Take away the # in front of a key to change it.
#
# What decides, weakest first: these defaults, the file, the environment, flags. In the environment a key is written
# LOQUIC_SECTION__KEY, with two underscores: LOQUIC_LIMITS__ROOMS_MAX=64, LOQUIC_LISTEN__QUIC=127.0.0.1:4433,[::1]:4433.
# [[rooms]] stands in the file only. `loquic config check FILE` says what is wrong with a file.
";

const ROOMS: &str = "
# Promises and retention by room name. The first pattern that matches decides; a room that none matches has level
# \"disk\" and class \"keep\". What follows is an example.
#[[rooms]]
";

/// The whole file. Keys are written as comments, so that a copy of it changes nothing, keeps no default alive that a
/// later version improves, and leaves `--dev` its own.
pub fn print() -> String {
    let mut out = String::from(HEAD);
    for section in SECTIONS {
        out.push('\n');
        put_doc(&mut out, section.doc);
        put(&mut out, format_args!("[{}]", section.name));
        section.keys.iter().for_each(|key| put_key(&mut out, key));
    }
    out.push_str(ROOMS);
    for (name, example, doc) in rooms::KEYS {
        put(&mut out, format_args!("\n# {doc}\n#{name} = {example}"));
    }
    out
}

fn put_key(out: &mut String, key: &Key) {
    let setting: &dyn Documented = key.setting;
    out.push('\n');
    put_doc(out, key.doc);
    let example = if setting.has_default() { "" } else { " No default; for example:" };
    put(out, format_args!("# Takes {}.{example}", setting.allowed()));
    put(out, format_args!("#{} = {}", key.name, setting.example()));
}

fn put_doc(out: &mut String, lines: &[&str]) {
    lines.iter().for_each(|line| put(out, format_args!("#{line}")));
}

fn put(out: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a String does not fail.
    let _ = writeln!(out, "{line}");
}
