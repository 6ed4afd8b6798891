//! Packets on their way, by the time at which they arrive.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
    time::Duration,
};

/// Gives back at its time whatever was put in; what has the same time in the order in which it came.
pub struct Schedule<T> {
    heap: BinaryHeap<Reverse<Entry<T>>>,
    next: u64,
    /// One past the latest that was given back.
    passed: u64,
}

/// Something whose time has come.
#[derive(Debug, PartialEq, Eq)]
pub struct Due<T> {
    /// What was put in.
    pub item: T,
    /// Whether something was given back before it that was put in after it.
    pub is_overtaken: bool,
}

impl<T> Schedule<T> {
    /// Puts something in.
    pub fn push(&mut self, at: Duration, item: T) {
        self.heap.push(Reverse(Entry { at, number: self.next, item }));
        self.next += 1;
    }

    /// Takes out what is due, the earliest first.
    pub fn pop(&mut self, now: Duration) -> Option<Due<T>> {
        if self.next_at()? > now {
            return None;
        }
        let Reverse(Entry { number, item, .. }) = self.heap.pop()?;
        let is_overtaken = number < self.passed;
        self.passed = self.passed.max(number + 1);
        Some(Due { item, is_overtaken })
    }

    /// When something will be due.
    pub fn next_at(&self) -> Option<Duration> {
        self.heap.peek().map(|Reverse(entry)| entry.at)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }
}

impl<T> Default for Schedule<T> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), next: 0, passed: 0 }
    }
}

struct Entry<T> {
    at: Duration,
    number: u64,
    item: T,
}

impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<T> Eq for Entry<T> {}
