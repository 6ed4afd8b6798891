//! What is wrong with a configuration, where, and what to do about it.

use std::{fmt, sync::Arc};

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Nobody wrote it: the default, or the default of `--dev`.
    Default,
    /// A line of a file, counted from 1.
    File(Arc<str>, usize),
    /// An environment variable.
    Environment(Arc<str>),
    /// A command-line flag.
    Flag(&'static str),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path, line) => write!(f, "{path}:{line}"),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => write!(f, "{name}"),
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// What is wrong; names the key.
    pub what: String,
    /// What to do.
    pub advice: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Place::Default => f.write_str(&self.what)?,
            _ => write!(f, "{}: {}", self.place, self.what)?,
        }
        match self.advice.as_str() {
            "" => Ok(()),
            advice => write!(f, "\n    {advice}"),
        }
    }
}

/// Everything that is wrong, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        self.0.iter().try_for_each(|problem| {
            f.write_str(std::mem::replace(&mut separator, "\n"))?;
            problem.fmt(f)
        })
    }
}

/// The candidate that `word` most likely stands for: at most a third of its letters are different.
pub(crate) fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len() / 3).max(2))
        .min()
        .map(|(_, candidate)| candidate)
}

/// How many letters have to be added, removed or replaced to get from `a` to `b` (Levenshtein). A swap counts two.
fn distance(a: &str, b: &str) -> usize {
    // Keys are short; a hostile one is cut so that this stays cheap.
    let a: Vec<char> = a.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=a.len()).collect();
    for (j, letter) in b.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], j + 1);
        for i in 0..a.len() {
            let replaced = diagonal + usize::from(a[i] != letter);
            diagonal = row[i + 1];
            row[i + 1] = replaced.min(row[i] + 1).min(diagonal + 1);
        }
    }
    row[a.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_finds_slips_and_nothing_else() {
        let keys = ["sessions_max", "rooms_max", "reads_max"];
        assert_eq!(nearest("sesions_max", keys.into_iter()), Some("sessions_max"));
        assert_eq!(nearest("roms_max", keys.into_iter()), Some("rooms_max"));
        assert_eq!(nearest("read_max", keys.into_iter()), Some("reads_max"));
        assert_eq!(nearest("port", keys.into_iter()), None);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
