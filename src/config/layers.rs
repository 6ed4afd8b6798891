//! What was written where: the layers of a configuration under one another, and the unknown keys in them.
//!
//! Later layers win: defaults, `--dev`, file, environment, flags. Problems are collected, not thrown, so that one run
//! shows all of them.

use std::{collections::BTreeMap, sync::Arc};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    problem::{Place, Problem, nearest},
    sections::SECTIONS,
    setting::{Raw, Setting},
};

/// The prefix of environment variables; `LOQUIC_LIMITS__ROOMS_MAX` is `limits.rooms_max`.
const ENVIRONMENT: &str = "LOQUIC_";

/// One `[[rooms]]` entry before it is checked.
#[derive(Debug)]
pub(crate) struct RawRooms {
    pub(crate) place: Place,
    pub(crate) values: BTreeMap<String, (Raw, Place)>,
}

/// Everything that was written, by key, weakest layer first.
#[derive(Debug, Default)]
pub(crate) struct Layers {
    values: BTreeMap<String, Vec<(Raw, Place)>>,
    pub(crate) rooms: Vec<RawRooms>,
    pub(crate) problems: Vec<Problem>,
}

impl Layers {
    /// Puts one value on top.
    pub(crate) fn set(&mut self, key: &str, raw: Raw, place: Place) {
        self.values.entry(key.to_owned()).or_default().push((raw, place));
    }

    /// Puts a file on top. Fails if it is not TOML: nothing can be said about what is in it then.
    pub(crate) fn add_file(&mut self, path: &str, text: &str) -> Result<(), Problem> {
        let file = Text { path: path.into(), text };
        let table = match DeTable::parse(text) {
            Ok(table) => table.into_inner(),
            Err(error) => {
                let place = file.place(error.span().map_or(0, |span| span.start));
                let what = format!("this is not TOML: {}", error.message().replace('\n', ", "));
                return Err(Problem { place, what, advice: "TOML is described at https://toml.io".into() });
            }
        };
        // In the order of the file, so that problems are read from the top down.
        let mut sections: Vec<_> = table.into_iter().collect();
        sections.sort_by_key(|(name, _)| name.span().start);
        for (name, value) in sections {
            let place = file.place(name.span().start);
            match (name.get_ref().as_ref(), value.into_inner()) {
                ("rooms", DeValue::Array(entries)) => self.add_rooms(&file, entries),
                ("rooms", _) => self.problem(
                    place,
                    "rooms is not a list of tables".into(),
                    "Write [[rooms]] with two brackets, once for each pattern.".into(),
                ),
                (section, value) => self.add_section(&file, section, value, place),
            }
        }
        Ok(())
    }

    fn add_section(&mut self, file: &Text<'_>, section: &str, value: DeValue<'_>, place: Place) {
        let names = SECTIONS.iter().map(|section| section.name);
        if !names.clone().any(|name| name == section) {
            let what = match value {
                DeValue::Table(_) => format!("[{section}] is not a section"),
                _ => format!("{section} is not a key; every key is in a section"),
            };
            return self.problem(place, what, suggest_section(section));
        }
        let DeValue::Table(table) = value else {
            return self.problem(
                place,
                format!("{section} is a section, not a key"),
                format!("Write [{section}] and its keys below it."),
            );
        };
        for (key, value, place) in in_order(file, table) {
            match is_key(section, &key) {
                true => self.set(&format!("{section}.{key}"), raw(value), place),
                false => self.unknown_key(section, &key, place),
            }
        }
    }

    fn add_rooms(&mut self, file: &Text<'_>, entries: toml::de::DeArray<'_>) {
        for entry in entries {
            let place = file.place(entry.span().start);
            match entry.into_inner() {
                DeValue::Table(table) => {
                    let entries = in_order(file, table).into_iter();
                    let values = entries.map(|(key, value, place)| (key, (raw(value), place))).collect();
                    self.rooms.push(RawRooms { place, values });
                }
                _ => self.problem(place, "rooms holds something that is not a table".into(), "Write [[rooms]].".into()),
            }
        }
    }

    /// Puts the process's environment on top.
    pub(crate) fn add_environment(&mut self, variables: impl Iterator<Item = (String, String)>) {
        let mut variables: Vec<_> = variables.filter(|(name, _)| name.starts_with(ENVIRONMENT)).collect();
        variables.sort();
        for (name, value) in variables {
            let place = Place::Environment(name.as_str().into());
            let path = name[ENVIRONMENT.len()..].to_ascii_lowercase();
            match path.split_once("__") {
                Some((section, key)) if is_key(section, key) => {
                    self.set(&format!("{section}.{key}"), Raw::Text(value), place);
                }
                Some(("rooms", _)) => self.problem(
                    place,
                    "rooms cannot be set in the environment".into(),
                    "Write [[rooms]] in the configuration file.".into(),
                ),
                Some((section, key)) => self.unknown_key(section, key, place),
                // With a single underscore there are variables of other people: of Kubernetes, for a service of our
                // name. Only what clearly means a key is refused.
                None => {
                    if let Some((section, key)) = keys().find(|(section, key)| path == format!("{section}_{key}")) {
                        let right = format!("{ENVIRONMENT}{section}__{key}").to_ascii_uppercase();
                        let what = format!("{name} has no effect: the section ends with two underscores");
                        self.problem(place, what, format!("Write {right}."));
                    }
                }
            }
        }
    }

    /// The value of a key; its default if nothing was written. What a stronger layer covers is checked as well: it
    /// is wrong all the same, and comes to light on another day.
    pub(crate) fn read<S: Setting>(&mut self, key: &str, setting: &S) -> S::Value {
        let mut value = setting.default();
        for (raw, place) in self.values.get(key).into_iter().flatten() {
            match setting.read(raw) {
                Ok(read) => value = read,
                Err(what) => self.problems.push(Problem {
                    place: place.clone(),
                    what: format!("{key} {what}"),
                    advice: String::new(),
                }),
            }
        }
        value
    }

    /// Where a key's value comes from.
    pub(crate) fn place(&self, key: &str) -> Place {
        self.values.get(key).and_then(|layers| layers.last()).map_or(Place::Default, |(_, place)| place.clone())
    }

    /// Takes down what is wrong.
    pub(crate) fn problem(&mut self, place: Place, what: String, advice: String) {
        self.problems.push(Problem { place, what, advice });
    }

    fn unknown_key(&mut self, section: &str, key: &str, place: Place) {
        let advice = match SECTIONS.iter().find(|known| known.name == section) {
            None => suggest_section(section),
            Some(known) => suggest_key(section, key, known.keys.iter().map(|key| key.name)),
        };
        self.problem(place, format!("{section}.{key} is not a key"), advice);
    }
}

/// What to write instead of an unknown key of a section.
pub(crate) fn suggest_key(section: &str, key: &str, known: impl Iterator<Item = &'static str> + Clone) -> String {
    if let Some(near) = nearest(key, known.clone()) {
        return format!("Did you mean {section}.{near}?");
    }
    match keys().find(|(_, name)| *name == key) {
        Some((other, _)) => format!("There is one in another section: {other}.{key}."),
        None => format!("[{section}] has {}.", known.collect::<Vec<_>>().join(", ")),
    }
}

fn suggest_section(section: &str) -> String {
    let names = SECTIONS.iter().map(|section| section.name).chain(["rooms"]);
    match nearest(section, names.clone()) {
        Some("rooms") => "Did you mean [[rooms]]?".into(),
        Some(near) => format!("Did you mean [{near}]?"),
        None => format!("The sections are {}.", names.collect::<Vec<_>>().join(", ")),
    }
}

fn keys() -> impl Iterator<Item = (&'static str, &'static str)> {
    SECTIONS.iter().flat_map(|section| section.keys.iter().map(|key| (section.name, key.name)))
}

fn is_key(section: &str, key: &str) -> bool {
    keys().any(|known| known == (section, key))
}

/// A file's text, to turn byte positions into lines.
struct Text<'a> {
    path: Arc<str>,
    text: &'a str,
}

impl Text<'_> {
    fn place(&self, position: usize) -> Place {
        let before = &self.text.as_bytes()[..position.min(self.text.len())];
        Place::File(self.path.clone(), 1 + before.iter().filter(|byte| **byte == b'\n').count())
    }
}

fn in_order<'a>(file: &Text<'_>, table: DeTable<'a>) -> Vec<(String, DeValue<'a>, Place)> {
    let mut entries: Vec<_> = table.into_iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    let entry = |(key, value): (Spanned<std::borrow::Cow<'a, str>>, Spanned<DeValue<'a>>)| {
        let place = file.place(key.span().start);
        (key.into_inner().into_owned(), value.into_inner(), place)
    };
    entries.into_iter().map(entry).collect()
}

fn raw(value: DeValue<'_>) -> Raw {
    match value {
        DeValue::String(text) => Raw::Text(text.into_owned()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Raw::Integer(number),
            Err(_) => Raw::Other("number past 64 bits"),
        },
        DeValue::Boolean(flag) => Raw::Flag(flag),
        DeValue::Array(items) => Raw::List(items.into_iter().map(|item| raw(item.into_inner())).collect()),
        DeValue::Float(_) => Raw::Other("number with a fraction"),
        DeValue::Datetime(_) => Raw::Other("date"),
        DeValue::Table(_) => Raw::Other("table"),
    }
}
