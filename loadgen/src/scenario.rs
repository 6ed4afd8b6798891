//! Runs that were described before: TOML files, some of them built in.

use std::{fs, path::Path};

use serde::Deserialize;

/// What a file may say; flags override it.
#[derive(Debug, Default, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    /// For people.
    #[serde(default)]
    pub(crate) description: String,
    pub(crate) rooms: Option<u64>,
    pub(crate) subscribers: Option<u64>,
    pub(crate) publishers: Option<u64>,
    pub(crate) sessions: Option<u64>,
    pub(crate) rate: Option<f64>,
    /// In bytes.
    pub(crate) size: Option<usize>,
    /// With a unit: `"10s"`.
    pub(crate) duration: Option<String>,
    pub(crate) warmup: Option<String>,
    #[serde(default)]
    pub(crate) slo: Vec<String>,
}

/// In the binary, so that it runs anywhere.
pub(crate) const BUILT_IN: &[(&str, &str)] = &[
    ("broadcast", include_str!("../scenarios/broadcast.toml")),
    ("chat", include_str!("../scenarios/chat.toml")),
    ("many-rooms", include_str!("../scenarios/many-rooms.toml")),
];

/// Reads the one with this name, or else the file.
pub(crate) fn load(name: &str) -> Result<Scenario, String> {
    if let Some((_, text)) = BUILT_IN.iter().find(|(built_in, _)| *built_in == name) {
        return parse(name, text);
    }
    if !Path::new(name).exists() {
        let names: Vec<_> = BUILT_IN.iter().map(|(name, _)| *name).collect();
        return Err(format!("{name:?} is neither a file nor a scenario that is built in ({})", names.join(", ")));
    }
    let text = fs::read_to_string(name).map_err(|error| format!("cannot read {name}: {error}"))?;
    parse(name, &text)
}

fn parse(name: &str, text: &str) -> Result<Scenario, String> {
    toml::from_str(text).map_err(|error| format!("{name}: {}", error.to_string().trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_in_is_sound() {
        for (name, _) in BUILT_IN {
            let scenario = load(name).unwrap();
            assert!(!scenario.description.is_empty(), "{name} says what it is");
        }
    }

    #[test]
    fn mistakes_have_a_place() {
        let error = parse("mine.toml", "rooms = 3\nspeed = 9\n").unwrap_err();
        assert!(error.contains("mine.toml") && error.contains("line 2") && error.contains("speed"), "{error}");
        let error = load("chatt").unwrap_err();
        assert!(error.contains("broadcast, chat, many-rooms"), "{error}");
    }
}
