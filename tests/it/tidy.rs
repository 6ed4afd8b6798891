//! The shape of the sources: which module may know which (ARCHITECTURE), which library is named where, what is pure,
//! and how long files, functions and lines are.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

const LINE_CHARACTERS_MAX: usize = 120;
/// Past it a file is split, or says in its first lines why not.
const FILE_LINES_MAX: usize = 1_000;
const FUNCTION_LINES_MAX: usize = 70;

/// Which modules of `src` each of them may name. `cli` prints what `log::inspect` finds in a stopped directory: there
/// is no server to ask.
const MODULES: &[(&str, &[&str])] = &[
    ("main", &["cli"]),
    ("cli", &["server", "config", "log::inspect", "notation", "token"]),
    ("server", &["api", "metrics", "session", "presence", "token", "transport", "room", "journal", "log", "config"]),
    ("metrics", &["api", "session", "presence", "transport", "room", "journal"]),
    ("api", &["session", "presence", "room", "transport::websocket", "config", "notation"]),
    ("notation", &[]),
    ("session", &["presence", "room", "token", "transport", "config"]),
    ("presence", &["room", "config::limits"]),
    ("room", &["journal", "log", "config::limits"]),
    ("journal", &["log", "config::limits"]),
    ("log", &["config::limits"]),
    ("token", &["config::limits"]),
    ("transport", &["config::limits", "config::origin"]),
    ("config", &[]),
    ("failpoint", &[]),
];

/// Where tests die on purpose; any module may have such a place.
const EVERYWHERE: &[&str] = &["failpoint"];

/// The only files that name a library, in what is shipped.
const NAMED_IN: &[(&str, &[&str])] = &[
    ("rocksdb", &["src/log/rocks.rs"]),
    (
        "quinn",
        &[
            "src/transport/endpoint.rs",
            "src/transport/quic.rs",
            "src/transport/webtransport.rs",
            "crates/client/src/quic.rs",
            "crates/client/src/webtransport.rs",
            "crates/client/src/endpoint.rs",
        ],
    ),
    ("web_transport_quinn", &["src/transport/webtransport.rs", "crates/client/src/webtransport.rs"]),
    ("bincode", &[]),
    ("tokio", &["src", "crates/client/src", "crates/impair/src", "loadgen/src"]),
    ("loquic_client", &["src/cli", "loadgen/src"]),
    (
        "clap",
        &[
            "src/cli",
            "src/main.rs",
            "crates/impair/src/main.rs",
            "loadgen/src/cli.rs",
            "loadgen/src/plan.rs",
            "loadgen/src/main.rs",
        ],
    ),
    ("toml", &["src/config", "loadgen/src/scenario.rs"]),
    ("hdrhistogram", &["loadgen/src/meter.rs"]),
    ("axum", &["src/api"]),
    ("tower_http", &["src/api/origin.rs"]),
    ("http_body_util", &["src/api/request.rs", "loadgen/src/scrape.rs"]),
    ("hyper", &["src/api/listener.rs", "src/api/websocket.rs", "loadgen/src/network.rs", "loadgen/src/scrape.rs"]),
    ("hyper_util", &["src/api/listener.rs", "src/api/websocket.rs", "loadgen/src/scrape.rs"]),
    ("jsonwebtoken", &["src/token.rs"]),
    ("tokio_rustls", &["src/api/listener.rs", "crates/client/src/websocket"]),
    ("qmux", &["src/transport/websocket", "crates/client/src/websocket"]),
    ("tokio_tungstenite", &["src/transport/websocket", "crates/client/src/websocket"]),
];

/// No task, no clock, no input and output.
const PURE: &[&str] = &[
    "crates/wire/src",
    "crates/check/src",
    "crates/impair/src/conditions.rs",
    "crates/impair/src/lane.rs",
    "crates/impair/src/schedule.rs",
    "src/room/apply.rs",
    "src/room/apply",
    "src/room/tail.rs",
    "src/room/floor.rs",
    "src/room/start.rs",
    "src/session/state.rs",
    "src/presence/board.rs",
    "src/presence/roster.rs",
    "loadgen/src/schedule.rs",
    "loadgen/src/payload.rs",
    "loadgen/src/sequence.rs",
    "loadgen/src/verdict.rs",
    "loadgen/src/slo.rs",
    "loadgen/src/health.rs",
    "loadgen/src/metrics.rs",
];

const IMPURE: &[&str] = &[
    "tokio",
    "quinn",
    "async",
    "await",
    "SystemTime",
    "Instant",
    "std::net",
    "net::",
    "std::fs",
    "fs::",
    "std::thread",
    "thread::",
    "std::process",
];

/// A source file: as it is, without comments and texts, and that without tests as well.
struct Source {
    path: String,
    text: String,
    bare: String,
    code: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file under a directory of the repository.
fn sources(directory: &str) -> Vec<Source> {
    let mut paths = Vec::new();
    walk(&root().join(directory), &mut paths);
    let mut sources: Vec<_> =
        paths.into_iter().filter(|path| path.extension().is_some_and(|end| end == "rs")).map(source).collect();
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

fn walk(directory: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => walk(&entry.path(), paths),
            _ => paths.push(entry.path()),
        }
    }
}

fn source(path: PathBuf) -> Source {
    // Somebody may be saving it right now.
    let text = fs::read_to_string(&path).unwrap_or_default();
    let bare = bare(&text);
    let code = without_tests(&bare);
    let path = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
    Source { path, text, bare, code }
}

/// Everything that is shipped.
fn shipped() -> Vec<Source> {
    let directories =
        ["src", "crates/wire/src", "crates/client/src", "crates/check/src", "crates/impair/src", "loadgen/src"];
    let all = directories.iter().flat_map(|directory| sources(directory));
    all.filter(|source| !is_test(&source.path)).collect()
}

fn is_test(path: &str) -> bool {
    path.contains("/tests") || path.ends_with("_tests.rs") || path.ends_with("/testing.rs")
}

/// The same lines with comments and the contents of texts and characters taken out.
fn bare(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let end = match bytes[at..] {
            [b'/', b'/', ..] => at + line_length(&bytes[at..]),
            [b'/', b'*', ..] => at + block_length(&bytes[at..]),
            [b'"', ..] => at + text_length(&bytes[at..]),
            [b'r', b'"' | b'#', ..] if at == 0 || !is_word(bytes[at - 1]) => at + raw_length(&bytes[at..]),
            [b'\'', b'\\', ..] => at + 2 + length_to(&bytes[at + 2..], b"'"),
            // A character; a lifetime has no second quote there.
            [b'\'', _, b'\'', ..] => at + 3,
            _ => at,
        };
        if end == at {
            out.push(bytes[at]);
            at += 1;
        } else {
            let end = end.min(bytes.len());
            out.extend(bytes[at..end].iter().filter(|byte| **byte == b'\n'));
            at = end;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn line_length(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len())
}

fn block_length(bytes: &[u8]) -> usize {
    2 + length_to(&bytes[2..], b"*/")
}

fn text_length(bytes: &[u8]) -> usize {
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    at
}

fn raw_length(bytes: &[u8]) -> usize {
    let hashes = bytes[1..].iter().take_while(|byte| **byte == b'#').count();
    if bytes.get(1 + hashes) != Some(&b'"') {
        return 0;
    }
    let end = ["\"", &"#".repeat(hashes)].concat();
    2 + hashes + length_to(&bytes[2 + hashes..], end.as_bytes())
}

/// How many bytes until behind `end`.
fn length_to(bytes: &[u8], end: &[u8]) -> usize {
    bytes.windows(end.len()).position(|window| window == end).map_or(bytes.len(), |at| at + end.len())
}

/// Takes out every item behind `#[cfg(test)]`.
fn without_tests(bare: &str) -> String {
    let mut out = String::new();
    let mut rest = bare;
    while let Some((before, behind)) = rest.split_once("#[cfg(test)]") {
        out.push_str(before);
        rest = &behind[item_length(behind)..];
    }
    out + rest
}

/// How long an item is: to its semicolon, or to the end of its braces.
fn item_length(code: &str) -> usize {
    let mut depth = 0usize;
    for (at, byte) in code.bytes().enumerate() {
        match byte {
            b'{' | b'(' | b'[' => depth += 1,
            b')' | b']' => depth -= 1,
            b'}' if depth <= 1 => return at + 1,
            b'}' => depth -= 1,
            b';' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    code.len()
}

/// Whether `word` stands in `code` as a word.
fn names(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        let (before, behind) = (code[..at].bytes().last(), code[at + word.len()..].bytes().next());
        !before.is_some_and(is_word) && (word.ends_with(':') || !behind.is_some_and(is_word))
    })
}

/// The paths behind `crate::`, with groups taken apart one level deep: `config::limits`.
fn crate_paths(code: &str) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    for (at, start) in code.match_indices("crate::") {
        if code[..at].bytes().last().is_some_and(|byte| is_word(byte) || byte == b'$') {
            continue;
        }
        for entry in entries(&code[at + start.len()..]) {
            let (head, tail) = entry.split_once("::").map_or((entry.as_str(), ""), |(head, tail)| (head.trim(), tail));
            let head = identifier(head);
            match tail {
                "" => _ = paths.insert(head.into()),
                tail => paths.extend(entries(tail).iter().map(|next| format!("{head}::{}", identifier(next)))),
            }
        }
    }
    paths
}

/// What a path or a group begins with, one entry each.
fn entries(code: &str) -> Vec<String> {
    let code = code.trim_start();
    if !code.starts_with('{') {
        let end = code.find(|character: char| !character.is_ascii_alphanumeric() && !"_:".contains(character));
        let end = end.unwrap_or(code.len());
        let end = if code[end..].starts_with('{') { end + item_length(&code[end..]) } else { end };
        return vec![code[..end].to_owned()];
    }
    let inner = &code[1..item_length(code) - 1];
    let (mut entries, mut depth) = (vec![String::new()], 0);
    for character in inner.chars() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                entries.push(String::new());
                continue;
            }
            _ => {}
        }
        entries.last_mut().unwrap().push(character);
    }
    entries.iter().map(|entry| entry.trim().to_owned()).filter(|entry| !entry.is_empty()).collect()
}

fn identifier(code: &str) -> &str {
    let code = code.trim();
    let end = code.bytes().position(|byte| !is_word(byte)).unwrap_or(code.len());
    &code[..end]
}

#[track_caller]
fn none(what: &str, found: Vec<String>) {
    assert!(found.is_empty(), "{what}:\n  {}", found.join("\n  "));
}

#[test]
fn the_reader_of_sources_reads() {
    let text = "use crate::{config::{limits, Config}, room::Room}; // crate::a\nfn f() { let _ = \"crate::b\"; 'c' }\n";
    let bare = bare(text);
    assert_eq!(bare.lines().count(), 2);
    let paths: Vec<_> = crate_paths(&bare).into_iter().collect();
    assert_eq!(paths, ["config::Config", "config::limits", "room::Room"]);
    let paths: Vec<_> = crate_paths("crate::log::{self, Store}; crate::log::inspect::rooms(x)").into_iter().collect();
    assert_eq!(paths, ["log::Store", "log::inspect", "log::self"]);
    assert_eq!(without_tests("a #[cfg(test)] mod tests { { } } b #[cfg(test)] mod c; d"), "a  b  d");
    assert!(names("use tokio::x", "tokio") && !names("my_tokio", "tokio") && !names("tokios", "tokio"));
    assert_eq!(functions("fn a() {\n}\nimpl B { fn c(&self)\n{\n}\n fn d(); }"), [("a".into(), 2), ("c".into(), 3)]);
}

#[test]
fn modules_know_only_what_is_below_them() {
    let allowed: BTreeMap<_, _> = MODULES.iter().copied().collect();
    let mut found = Vec::new();
    for source in sources("src").iter().filter(|source| !is_test(&source.path) && source.path != "src/lib.rs") {
        let module = identifier(source.path.trim_start_matches("src/"));
        let Some(allowed) = allowed.get(module) else {
            found.push(format!("{}: the module {module} is not in the table", source.path));
            continue;
        };
        let code = source.code.replace("loquic::", "crate::");
        for path in crate_paths(&code) {
            let head = path.split("::").next().unwrap();
            let is_own = head == module || EVERYWHERE.contains(&head) || !allowed_names(head);
            if !is_own && !allowed.iter().any(|rule| *rule == head || path == *rule) {
                found.push(format!("{} names crate::{path}", source.path));
            }
        }
    }
    none("dependencies in the wrong direction", found);
}

/// Whether it is a module; macros at the root are not.
fn allowed_names(head: &str) -> bool {
    MODULES.iter().any(|(module, _)| *module == head)
}

#[test]
fn crates_know_only_what_is_below_them() {
    let of = |krate: &str| {
        let manifest = fs::read_to_string(root().join(krate).join("Cargo.toml")).unwrap();
        let lines = manifest.lines().skip_while(|line| *line != "[dependencies]").skip(1);
        let lines = lines.take_while(|line| !line.starts_with('['));
        lines.filter_map(|line| Some(line.split_once(['.', ' ', '='])?.0.to_owned())).collect::<BTreeSet<String>>()
    };
    let ours = |krate: &str| of(krate).into_iter().filter(|name| name.starts_with("loquic")).collect::<Vec<_>>();
    assert_eq!(ours("crates/wire"), [""; 0]);
    assert_eq!(ours("crates/check"), [""; 0]);
    assert_eq!(ours("crates/client"), ["loquic-wire"]);
    assert_eq!(ours("crates/impair"), [""; 0]);
    assert_eq!(ours("loadgen"), ["loquic-client", "loquic-impair"]);
    for krate in [".", "crates/wire", "crates/check", "crates/client", "crates/impair", "loadgen"] {
        assert!(!of(krate).contains("bincode"), "{krate} ships bincode, which nobody maintains");
    }
}

#[test]
fn libraries_are_named_where_they_belong() {
    let mut found = Vec::new();
    for source in shipped() {
        for (library, places) in NAMED_IN {
            if names(&source.code, library) && !places.iter().any(|place| source.path.starts_with(place)) {
                found.push(format!("{} names {library}", source.path));
            }
        }
    }
    none("libraries out of place", found);
    for (library, places) in NAMED_IN {
        for place in places.iter().filter(|place| place.ends_with(".rs") && !place.ends_with("main.rs")) {
            let source = source(root().join(place));
            assert!(names(&source.code, library), "{place} does not name {library} any more: strike it from the list");
        }
    }
}

#[test]
fn what_is_pure_stays_pure() {
    let mut found = Vec::new();
    for source in shipped().iter().filter(|source| PURE.iter().any(|place| source.path.starts_with(place))) {
        let impure = IMPURE.iter().filter(|word| names(&source.code, word));
        found.extend(impure.map(|word| format!("{} names {word}", source.path)));
    }
    none("no longer pure", found);
    for place in PURE {
        assert!(root().join(place).exists(), "{place} is not there any more: strike it from the list");
    }
}

#[test]
fn the_client_and_the_load_generator_are_built_without_rocksdb() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let mut needs: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in lock.split("[[package]]") {
        // "name version" where several versions are in the build.
        let name = package.lines().find_map(|line| line.strip_prefix("name = \"")?.split('"').next());
        let on = package.lines().filter_map(|line| line.strip_prefix(" \"")?.split(['"', ' ']).next());
        needs.entry(name.unwrap_or_default()).or_default().extend(on);
    }
    // Development dependencies are in there as well: more than what is looked for, never less.
    let mut reached = BTreeSet::new();
    let mut next = vec!["loquic-client", "loquic-loadgen"];
    while let Some(name) = next.pop() {
        if reached.insert(name) {
            next.extend(needs.get(name).into_iter().flatten());
        }
    }
    assert!(reached.contains("quinn"), "the lock file was not read");
    let heavy = reached.into_iter().filter(|name| name.contains("rocksdb") || *name == "loquic");
    let heavy = heavy.map(str::to_owned).collect();
    none("the client or the load generator needs", heavy);
}

#[test]
fn every_file_is_part_of_the_build() {
    for directory in
        ["src", "crates/wire/src", "crates/client/src", "crates/check/src", "crates/impair/src", "loadgen/src"]
    {
        let files: BTreeMap<_, _> =
            sources(directory).into_iter().map(|source| (source.path.clone(), source)).collect();
        let mut reached = BTreeSet::new();
        let mut next: Vec<String> = ["lib.rs", "main.rs"].map(|name| format!("{directory}/{name}")).into();
        while let Some(path) = next.pop() {
            let Some(source) = files.get(&path) else { continue };
            if reached.insert(path.clone()) {
                next.extend(modules_of(source));
            }
        }
        none("in no module", files.into_keys().filter(|path| !reached.contains(path)).collect());
    }
}

/// The files that the `mod name;` lines of a file may mean.
fn modules_of(source: &Source) -> Vec<String> {
    let (directory, name) = source.path.rsplit_once('/').unwrap();
    let below = match name {
        "lib.rs" | "main.rs" | "mod.rs" => directory.to_owned(),
        name => format!("{directory}/{}", name.trim_end_matches(".rs")),
    };
    let mut files = Vec::new();
    let mut path = None;
    for (text, bare) in source.text.lines().zip(source.bare.lines()) {
        if let Some(quoted) = text.trim().strip_prefix("#[path = \"") {
            path = quoted.split('"').next();
        }
        let words: Vec<_> = bare.trim().trim_end_matches(';').split(' ').collect();
        if let [.., "mod", module] = words[..]
            && bare.trim().ends_with(';')
        {
            match path.take() {
                Some(path) => files.push(format!("{directory}/{path}")),
                None => files.extend([format!("{below}/{module}.rs"), format!("{below}/{module}/mod.rs")]),
            }
        }
    }
    files
}

#[test]
fn files_functions_and_lines_have_a_measure() {
    let mut found = Vec::new();
    let directories = ["src", "crates", "tests", "benches", "loadgen"];
    for source in directories.iter().flat_map(|directory| sources(directory)) {
        let lines = source.text.lines().count();
        if lines > FILE_LINES_MAX {
            found.push(format!("{} has {lines} lines", source.path));
        }
        // rustfmt has an eye on code, and none on comments.
        let comments = source.text.lines().enumerate().filter(|(_, line)| line.trim_start().starts_with("//"));
        let long = comments.filter(|(_, line)| line.chars().count() > LINE_CHARACTERS_MAX);
        found.extend(
            long.map(|(at, _)| format!("{}:{} has more than {LINE_CHARACTERS_MAX} characters", source.path, at + 1)),
        );
        if !is_test(&source.path) && !source.path.starts_with("tests") {
            let long = functions(&source.code).into_iter().filter(|(_, lines)| *lines > FUNCTION_LINES_MAX);
            found.extend(long.map(|(name, lines)| format!("{}: {name} has {lines} lines", source.path)));
        }
    }
    none("too long", found);
}

/// Every function that has a body, and its lines from `fn` to the last brace.
fn functions(code: &str) -> Vec<(String, usize)> {
    let mut functions = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        let is_start = !code[..at].bytes().last().is_some_and(|byte| is_word(byte) || byte == b'(' || byte == b'<');
        let rest = &code[at..];
        let item = &rest[..item_length(rest)];
        if is_start && item.ends_with('}') && !identifier(&rest[3..]).is_empty() {
            functions.push((identifier(&rest[3..]).to_owned(), item.lines().count()));
        }
    }
    functions
}

#[test]
fn nothing_is_left_over() {
    let mut found = Vec::new();
    for source in shipped() {
        let left = [".unwrap()", "todo!", "dbg!", "unimplemented!"];
        found.extend(
            left.iter().filter(|word| source.code.contains(*word)).map(|word| format!("{}: {word}", source.path)),
        );
        for (name, _) in NAMED_IN.iter().filter(|(name, _)| *name == "bincode") {
            assert!(!source.code.contains(&format!("use {name}")));
        }
    }
    none("not for shipping", found);
}

#[test]
fn nothing_of_one_machine_is_committed() {
    // Taken apart, so that this file does not hold what it looks for.
    let private =
        [["/ho", "me/"].concat(), ["/ro", "ot/"].concat(), ["/wo", "rk/"].concat(), ["regis", "try = \"http"].concat()];
    let mut files = Vec::new();
    for directory in ["src", "crates", "loadgen", "tests", "benches", "docs", "scripts", "certs", ".ci", ".cargo"] {
        walk(&root().join(directory), &mut files);
    }
    for file in ["Cargo.toml", "Cargo.lock", "Makefile", "README.md", "deny.toml", "clippy.toml", "rust-toolchain.toml"]
    {
        files.push(root().join(file));
    }
    let mut found = Vec::new();
    for file in files {
        let Ok(text) = fs::read_to_string(&file) else { continue };
        let hits = private.iter().filter(|word| text.contains(word.as_str()));
        found.extend(hits.map(|word| format!("{} holds {word}", file.display())));
        if file.ends_with("Cargo.lock") {
            let foreign = text
                .lines()
                .filter(|line| line.starts_with("source = "))
                .filter(|line| *line != "source = \"registry+https://github.com/rust-lang/crates.io-index\"");
            found.extend(foreign.map(|line| format!("Cargo.lock: {line}")));
        }
    }
    none("paths and hosts of one machine", found);
}
