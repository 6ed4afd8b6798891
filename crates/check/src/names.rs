//! The names behind a history's small integers.

use std::collections::HashMap;

use crate::history::{Node, Process, Producer, Room, Subscriber};

/// One list of names; a name's index is its id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interner {
    names: Vec<String>,
    ids: HashMap<String, u32>,
}

impl Interner {
    /// The id of a name, new if it is new.
    pub fn intern(&mut self, name: &str) -> u32 {
        if let Some(id) = self.ids.get(name) {
            return *id;
        }
        let id = self.names.len() as u32;
        self.names.push(name.to_owned());
        self.ids.insert(name.to_owned(), id);
        id
    }

    /// The name of an id.
    pub fn name(&self, id: u32) -> Option<&str> {
        self.names.get(id as usize).map(String::as_str)
    }

    /// All names in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    fn absorb(&mut self, other: &Self) -> Vec<u32> {
        other.iter().map(|name| self.intern(name)).collect()
    }
}

/// All names of a history.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// Rooms.
    pub rooms: Interner,
    /// Producers.
    pub producers: Interner,
    /// Nodes.
    pub nodes: Interner,
    /// Recording processes.
    pub processes: Interner,
    /// Subscribers.
    pub subscribers: Interner,
}

impl Names {
    /// A room's name, or its number if it has none.
    pub fn room(&self, id: Room) -> String {
        named(&self.rooms, id.0)
    }

    /// A producer's name.
    pub fn producer(&self, id: Producer) -> String {
        named(&self.producers, id.0)
    }

    /// A node's name.
    pub fn node(&self, id: Node) -> String {
        named(&self.nodes, id.0.into())
    }

    /// A subscriber's name.
    pub fn subscriber(&self, id: Subscriber) -> String {
        named(&self.subscribers, id.0)
    }

    /// A process's name.
    pub fn process(&self, id: Process) -> String {
        named(&self.processes, id.0.into())
    }

    pub(crate) fn absorb(&mut self, other: &Self) -> Renumbering {
        Renumbering {
            rooms: self.rooms.absorb(&other.rooms),
            producers: self.producers.absorb(&other.producers),
            nodes: self.nodes.absorb(&other.nodes),
            processes: self.processes.absorb(&other.processes),
            subscribers: self.subscribers.absorb(&other.subscribers),
        }
    }
}

fn named(interner: &Interner, id: u32) -> String {
    interner.name(id).map_or_else(|| format!("#{id}"), str::to_owned)
}

/// From the ids of an absorbed history to ours. An id without a name keeps its number.
pub(crate) struct Renumbering {
    rooms: Vec<u32>,
    producers: Vec<u32>,
    nodes: Vec<u32>,
    processes: Vec<u32>,
    subscribers: Vec<u32>,
}

impl Renumbering {
    pub(crate) fn room(&self, id: Room) -> Room {
        Room(mapped(&self.rooms, id.0))
    }

    pub(crate) fn producer(&self, id: Producer) -> Producer {
        Producer(mapped(&self.producers, id.0))
    }

    pub(crate) fn node(&self, id: Node) -> Node {
        Node(mapped(&self.nodes, id.0.into()) as u16)
    }

    pub(crate) fn process(&self, id: Process) -> Process {
        Process(mapped(&self.processes, id.0.into()) as u16)
    }

    pub(crate) fn subscriber(&self, id: Subscriber) -> Subscriber {
        Subscriber(mapped(&self.subscribers, id.0))
    }
}

fn mapped(ids: &[u32], id: u32) -> u32 {
    ids.get(id as usize).copied().unwrap_or(id)
}
