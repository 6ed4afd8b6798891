//! Which policy a room has: the first pattern that matches its name decides.

use std::{collections::BTreeMap, ops::RangeInclusive, time::Duration};

use loquic_wire::{RoomName, RoomPattern};

use super::{
    layers::{Layers, RawRooms, suggest_key},
    policy::{Class, Level, Policy},
    problem::Place,
    setting::{Count, Raw, Setting, Size, Span},
    unit,
};

/// The keys of `[[rooms]]` with what `config print` says about them.
pub(crate) const KEYS: &[(&str, &str, &str)] = &[
    ("pattern", "\"chat:*\"", "Names it is for: * stands for one segment, ** at the end for one or more."),
    ("level", "\"disk\"", "When a publish is acked: \"memory\" (applied), \"process\" (written) or \"disk\" (synced)."),
    ("class", "\"day\"", "How long records stay at most: \"hour\", \"day\", \"week\", \"month\" or \"keep\"."),
    ("age", "\"12h\"", "Removes older records sooner than the class does."),
    ("count", "100_000", "Keeps only this many of the newest records."),
    ("bytes", "\"64MiB\"", "Keeps this many bytes of the newest records, and not much more."),
];

/// Bounds of retention: a room may shrink to one record, and numbers stay exact in JSON.
const COUNT: RangeInclusive<u64> = 1..=1 << 53;
const BYTES: RangeInclusive<u64> = 1024..=1 << 53;
const AGE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// The patterns in the order of the file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rooms(pub Vec<(RoomPattern, Policy)>);

impl Rooms {
    /// The policy for a room of that name.
    pub fn policy(&self, room: &RoomName) -> Policy {
        let found = self.0.iter().find(|(pattern, _)| pattern.matches(room));
        found.map_or(Policy::DEFAULT, |(_, policy)| *policy)
    }

    pub(crate) fn read(layers: &mut Layers) -> Self {
        let mut rooms: Vec<(RoomPattern, Policy)> = Vec::new();
        for entry in std::mem::take(&mut layers.rooms) {
            let place = entry.place.clone();
            let Some((pattern, policy)) = read_entry(layers, entry) else { continue };
            if let Some((earlier, _)) = rooms.iter().find(|(earlier, _)| covers(earlier, &pattern)) {
                let what = format!("rooms.pattern {:?} is never reached", pattern.as_str());
                let advice =
                    format!("The first pattern that matches decides, and {:?} stands above it.", earlier.as_str());
                layers.problem(place, what, advice);
            }
            rooms.push((pattern, policy));
        }
        Self(rooms)
    }
}

/// Whether every room that `later` is for is one of `earlier`'s.
fn covers(earlier: &RoomPattern, later: &RoomPattern) -> bool {
    let mut later = later.as_str().split(':');
    for segment in earlier.as_str().split(':') {
        match (segment, later.next()) {
            ("**", Some(_)) => return true,
            (_, None | Some("**")) => return false,
            ("*", Some(_)) => {}
            (literal, Some(other)) if literal == other => {}
            _ => return false,
        }
    }
    later.next().is_none()
}

fn read_entry(layers: &mut Layers, entry: RawRooms) -> Option<(RoomPattern, Policy)> {
    let problems = layers.problems.len();
    let mut fields = Fields { layers, values: entry.values };
    let pattern = fields.pattern(&entry.place);
    let level = fields.choice("level", Level::NAMES).unwrap_or(Policy::DEFAULT.level);
    let class = fields.choice("class", Class::NAMES).unwrap_or(Policy::DEFAULT.class);
    let age_place = fields.place("age");
    let age = fields.optional("age", &Span(Duration::from_secs(12 * 60 * 60), AGE));
    let count = fields.optional("count", &Count(100_000, COUNT));
    let bytes = fields.optional("bytes", &Size(64 * 1024 * 1024, BYTES));
    fields.refuse_unknown();
    if let (Some(age), Some(span), Some(place)) = (age, class.span(), age_place)
        && age > span
    {
        let what =
            format!("rooms.age is {}, but class \"{class}\" ends after {}", unit::duration(age), unit::duration(span));
        layers.problem(place, what, "Choose a shorter age or a longer class.".into());
    }
    let policy = Policy { level, class, age: age.or(class.span()), count, bytes };
    // Problems would repeat themselves as "never reached" if a half-read entry stayed.
    (layers.problems.len() == problems).then_some(())?;
    Some((pattern?, policy))
}

/// The fields of one entry; what is read is taken out.
struct Fields<'a> {
    layers: &'a mut Layers,
    values: BTreeMap<String, (Raw, Place)>,
}

impl Fields<'_> {
    fn place(&self, key: &str) -> Option<Place> {
        self.values.get(key).map(|(_, place)| place.clone())
    }

    fn pattern(&mut self, entry: &Place) -> Option<RoomPattern> {
        match self.values.remove("pattern") {
            Some((Raw::Text(text), place)) => match RoomPattern::new(&text) {
                Ok(pattern) => return Some(pattern),
                Err(error) => {
                    let advice =
                        "A pattern is a room's name in which * stands for one segment and ** at the end for the rest.";
                    self.layers.problem(place, format!("rooms.pattern {text:?}: {error}"), advice.into());
                }
            },
            Some((_, place)) => self.layers.problem(place, "rooms.pattern is not a text".into(), "Quote it.".into()),
            None => self.layers.problem(
                entry.clone(),
                "rooms.pattern is missing".into(),
                "Say which rooms it is for: pattern = \"**\" means all.".into(),
            ),
        }
        None
    }

    fn choice<T: Copy>(&mut self, key: &str, names: &[(T, &str)]) -> Option<T> {
        let (raw, place) = self.values.remove(key)?;
        let text = if let Raw::Text(text) = &raw { text.as_str() } else { "" };
        let found = names.iter().find(|(_, name)| *name == text).map(|(value, _)| *value);
        if found.is_none() {
            let allowed: Vec<_> = names.iter().map(|(_, name)| format!("\"{name}\"")).collect();
            let what = format!("rooms.{key} is {text:?}, but must be one of {}", allowed.join(", "));
            self.layers.problem(place, what, String::new());
        }
        found
    }

    fn optional<S: Setting>(&mut self, key: &str, setting: &S) -> Option<S::Value> {
        let (raw, place) = self.values.remove(key)?;
        match setting.read(&raw) {
            Ok(value) => Some(value),
            Err(what) => {
                self.layers.problem(place, format!("rooms.{key} {what}"), String::new());
                None
            }
        }
    }

    fn refuse_unknown(self) {
        let known = KEYS.iter().map(|(name, ..)| *name);
        for (key, (_, place)) in self.values {
            self.layers.problem(place, format!("rooms.{key} is not a key"), suggest_key("rooms", &key, known.clone()));
        }
    }
}
