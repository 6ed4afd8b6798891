//! The demo page: files that Vite has built, from the binary or from a directory.
//!
//! A request's path is compared with the names of the files that there are, and never made into a path of the file
//! system, so there is no way out of the directory.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use axum::{
    body::Bytes,
    extract::{Request, State},
    http::{Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use loquic_wire::Code;

use super::problem::Problem;
use crate::config::limits;

/// The files of the page by their names; none if the page was not built when the binary was.
const BUILT_IN: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/page_files.rs"));

/// What a browser gets at `/`.
const INDEX: &str = "index.html";

/// What a browser gets there if the page was not built: what this is, and how to have the page.
const PLAIN: &str = include_str!("plain.html");

/// Where the page comes from.
#[derive(Debug, Clone)]
pub enum Page {
    /// The binary.
    BuiltIn,
    /// A directory, which is read for each request: what was built a moment ago is there.
    Directory(PathBuf),
}

impl Page {
    /// A page from this directory, which has to be there; without one, the page that is built in.
    pub fn open(directory: Option<PathBuf>) -> io::Result<Self> {
        let Some(directory) = directory else { return Ok(Self::BuiltIn) };
        fs::read_dir(&directory)?;
        Ok(Self::Directory(directory))
    }

    fn find(&self, name: &str) -> io::Result<Option<Bytes>> {
        match self {
            Self::BuiltIn => {
                let file = BUILT_IN.iter().find(|(known, _)| *known == name);
                Ok(file.map(|(_, bytes)| Bytes::from_static(bytes)))
            }
            Self::Directory(directory) => {
                let mut left = limits::PAGE_FILES_MAX;
                match find_below(directory, name, &mut left)? {
                    Some(path) if fs::metadata(&path)?.len() > limits::PAGE_FILE_BYTES_MAX => {
                        Err(io::Error::other("the file is too large for a page"))
                    }
                    Some(path) => fs::read(path).map(|bytes| Some(bytes.into())),
                    None => Ok(None),
                }
            }
        }
    }
}

/// The file of this name, `assets/app.js` for example. Links are not followed: they may lead anywhere.
fn find_below(directory: &Path, name: &str, left: &mut usize) -> io::Result<Option<PathBuf>> {
    let (first, rest) = name.split_once('/').map_or((name, None), |(first, rest)| (first, Some(rest)));
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        *left = left.checked_sub(1).ok_or_else(|| io::Error::other("there are too many files for a page"))?;
        if entry.file_name() == first {
            return match (entry.file_type()?, rest) {
                (kind, Some(rest)) if kind.is_dir() => find_below(&entry.path(), rest, left),
                (kind, None) if kind.is_file() => Ok(Some(entry.path())),
                _ => Ok(None),
            };
        }
    }
    Ok(None)
}

/// Whatever no route of the API has taken.
pub(super) async fn get(State(page): State<Arc<Page>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let name = match path.strip_prefix('/') {
        Some("") => INDEX.to_owned(),
        name => name.unwrap_or(&path).to_owned(),
    };
    let is_index = name == INDEX;
    let content_type = content_type(&name);
    let found = tokio::task::spawn_blocking(move || page.find(&name)).await;
    let file = match found {
        Ok(Ok(file)) => file,
        failed => {
            tracing::warn!(?failed, "the demo page cannot be read");
            let detail = "the demo page cannot be read; the server's log says why";
            return Problem::new(StatusCode::INTERNAL_SERVER_ERROR, Code::INTERNAL, detail).into_response();
        }
    };
    // A name with a hash in it could be kept for ever, but from this machine to itself that gains nothing.
    let headers = |content_type| [(header::CONTENT_TYPE, content_type), (header::CACHE_CONTROL, "no-cache")];
    match file {
        Some(_) if !matches!(*request.method(), Method::GET | Method::HEAD) => {
            Problem::bad_method(request.method().as_str(), &path).into_response()
        }
        Some(file) => (headers(content_type), file).into_response(),
        None if is_index => (headers("text/html; charset=utf-8"), PLAIN).into_response(),
        None => Problem::not_found(&path).into_response(),
    }
}

/// By the end of the name; these are what Vite puts out. A browser does nothing with the rest but save it.
fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, end)| end) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "wasm" => "application/wasm",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_the_directory_and_each_by_its_name() {
        let home = tempfile::tempdir().unwrap();
        let dist = home.path().join("dist");
        fs::create_dir_all(dist.join("assets")).unwrap();
        fs::write(home.path().join("secret"), "secret").unwrap();
        fs::write(dist.join("index.html"), "index").unwrap();
        fs::write(dist.join("assets/app.js"), "app").unwrap();
        std::os::unix::fs::symlink(home.path().join("secret"), dist.join("link")).unwrap();
        std::os::unix::fs::symlink(home.path(), dist.join("links")).unwrap();
        let page = Page::open(Some(dist.clone())).unwrap();
        assert_eq!(page.find("index.html").unwrap().unwrap(), "index");
        assert_eq!(page.find("assets/app.js").unwrap().unwrap(), "app");
        for none in ["", ".", "..", "../secret", "assets", "assets/", "assets/../index.html", "link", "links/secret"] {
            assert_eq!(page.find(none).unwrap(), None, "{none}");
        }
        let absolute = dist.join("index.html").display().to_string();
        assert_eq!(page.find(&absolute).unwrap(), None);
        fs::write(dist.join("index.html"), "built anew").unwrap();
        assert_eq!(page.find("index.html").unwrap().unwrap(), "built anew");
        fs::remove_dir_all(&dist).unwrap();
        assert!(page.find("index.html").is_err());
        assert!(Page::open(Some(dist)).is_err());
    }

    #[test]
    fn there_is_an_end_to_how_much_is_looked_through() {
        let dist = tempfile::tempdir().unwrap();
        for number in 0..=limits::PAGE_FILES_MAX {
            fs::write(dist.path().join(number.to_string()), "").unwrap();
        }
        assert!(Page::open(Some(dist.path().into())).unwrap().find("nothing").is_err());
    }
}
