//! Puts the demo page into the binary, if Vite has built it and the feature `demo` is on: a list of its files for
//! `src/api/page.rs`. Without it there is a plain page, so nobody needs Node.js to build the server.

use std::{
    env, fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

/// Where Vite puts the page.
const PAGE: &str = "clients/web/demo/dist";

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={PAGE}");
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let page = root.join(PAGE);
    // Cargo takes a path that is not there for one that has changed, and would build everything anew each time. A
    // checkout that cannot be written only pays for that.
    let _ = fs::create_dir_all(&page);
    let mut files = Vec::new();
    if env::var_os("CARGO_FEATURE_DEMO").is_some() {
        walk(&page, &mut files)?;
    }
    files.sort();
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("page_files.rs");
    let mut list = fs::File::create(out)?;
    writeln!(list, "&[")?;
    for file in files {
        let name = file.strip_prefix(&page).unwrap_or(&file).display().to_string();
        writeln!(list, "    ({name:?}, include_bytes!({file:?})),")?;
    }
    writeln!(list, "]")
}

fn walk(directory: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        match entry.file_type()? {
            kind if kind.is_dir() => walk(&entry.path(), files)?,
            kind if kind.is_file() => files.push(entry.path()),
            _ => {}
        }
    }
    Ok(())
}
