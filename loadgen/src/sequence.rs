//! Numbers that should come densely and in order, and what came instead. Pure.

use std::collections::BTreeMap;

use crate::limits::HOLES_MAX;

/// How a number came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// As it should.
    Next,
    /// Before others that are now missing.
    Ahead,
    /// After a later one.
    Late,
    /// A second time.
    Again,
}

/// Invariant: `missing` is the sum of all holes, remembered ones and forgotten ones; holes lie below `next`.
#[derive(Debug, Clone)]
pub(crate) struct Sequence {
    next: u64,
    missing: u64,
    /// First and last number of each hole; the oldest are forgotten past [`HOLES_MAX`].
    holes: BTreeMap<u64, u64>,
}

impl Sequence {
    /// `first` is what should come first.
    pub(crate) fn from(first: u64) -> Self {
        Self { next: first, missing: 0, holes: BTreeMap::new() }
    }

    /// What should come next.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Numbers below the next one that have not come.
    pub(crate) fn missing(&self) -> u64 {
        self.missing
    }

    pub(crate) fn arrive(&mut self, number: u64) -> Arrival {
        if number == self.next {
            self.next += 1;
            return Arrival::Next;
        }
        if number > self.next {
            self.skip_to(number);
            self.next += 1;
            return Arrival::Ahead;
        }
        if self.fill(number) { Arrival::Late } else { Arrival::Again }
    }

    /// Everything below `number` that has not come will not come.
    pub(crate) fn skip_to(&mut self, number: u64) {
        if number <= self.next {
            return;
        }
        self.missing += number - self.next;
        self.holes.insert(self.next, number - 1);
        if self.holes.len() > HOLES_MAX {
            self.holes.pop_first();
        }
        self.next = number;
    }

    /// Goes back: numbers from `number` on will be given anew. Says how many that had come are void.
    pub(crate) fn rewind(&mut self, number: u64) -> u64 {
        if number >= self.next {
            return 0;
        }
        let mut void = self.next - number;
        for (first, last) in self.holes.split_off(&number) {
            self.missing -= last - first + 1;
            void -= last - first + 1;
        }
        if let Some((_, last)) = self.holes.iter_mut().next_back()
            && *last >= number
        {
            self.missing -= *last - number + 1;
            void -= *last - number + 1;
            *last = number - 1;
        }
        self.next = number;
        void
    }

    fn fill(&mut self, number: u64) -> bool {
        let Some((&first, &last)) = self.holes.range(..=number).next_back() else { return false };
        if number > last {
            return false;
        }
        self.holes.remove(&first);
        if first < number {
            self.holes.insert(first, number - 1);
        }
        if number < last {
            self.holes.insert(number + 1, last);
        }
        self.missing -= 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against the plain way: a set of everything that came.
        #[test]
        fn it_remembers_what_came(numbers in prop::collection::vec(1u64..40, 0..80)) {
            let (mut sequence, mut came, mut highest) = (Sequence::from(1), HashSet::new(), 0);
            for number in numbers {
                let expected = match () {
                    () if came.contains(&number) => Arrival::Again,
                    () if number < highest => Arrival::Late,
                    () if number == highest + 1 => Arrival::Next,
                    () => Arrival::Ahead,
                };
                prop_assert_eq!(sequence.arrive(number), expected);
                came.insert(number);
                highest = highest.max(number);
                prop_assert_eq!(sequence.next(), highest + 1);
                prop_assert_eq!(sequence.missing(), highest - came.len() as u64);
            }
        }

        #[test]
        fn going_back_forgets_what_lies_ahead(numbers in prop::collection::vec(1u64..40, 0..40), to in 1u64..40) {
            let mut sequence = Sequence::from(1);
            for number in &numbers {
                sequence.arrive(*number);
            }
            let came: HashSet<_> = numbers.iter().copied().collect();
            let void = came.iter().filter(|number| **number >= to).count() as u64;
            let kept = came.len() as u64 - void;
            let next = sequence.next();
            prop_assert_eq!(sequence.rewind(to), void);
            prop_assert_eq!(sequence.next(), next.min(to));
            prop_assert_eq!(sequence.missing(), next.min(to) - 1 - kept);
        }
    }

    #[test]
    fn too_many_holes_are_still_counted() {
        let mut sequence = Sequence::from(1);
        let holes = HOLES_MAX as u64 + 10;
        for number in 1..=holes {
            sequence.arrive(2 * number);
        }
        assert_eq!(sequence.missing(), holes);
        assert_eq!((sequence.arrive(1), sequence.arrive(2 * holes - 1)), (Arrival::Again, Arrival::Late));
        assert_eq!(sequence.missing(), holes - 1);
    }
}
