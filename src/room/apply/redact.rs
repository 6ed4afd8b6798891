//! What a delete does to the record that it refers to: its content goes, its place stays.
//!
//! The chunk that holds the record is written anew, under the key that it has. What dedupe rows and cursors say of it
//! stays true.

use loquic_wire::{Code, Offset, Time};

use super::Room;
use crate::log::{Chunk, Space, rows::ProducerKey};

impl Room<'_> {
    /// Takes the content from the record that a delete of `producer` refers to, or says why not. A record without
    /// content stays as it is, so that who deletes twice is told that it is gone and not that something is wrong.
    pub(super) fn redact(
        &mut self,
        producer: &ProducerKey,
        refers: Option<Offset>,
        moderates: bool,
        time: Time,
    ) -> Result<(), Code> {
        let target = refers.filter(|offset| self.row.floor <= *offset && *offset <= self.row.head);
        let target = target.ok_or(Code::BAD_RECORD)?;
        if self.open.as_ref().is_some_and(|open| open.first <= target) {
            self.close_chunk();
        }
        // A window that is over may be dropped at any time, and writing into it would bring it back.
        let space = self.row.space_of(target).filter(|space| !space.is_over(time)).ok_or(Code::BAD_RECORD)?;
        let chunk = self.holding(target)?;
        let record = chunk.record(target).ok_or(Code::BAD_RECORD)?;
        if !record.kind.is_deletable() {
            return Err(Code::BAD_RECORD);
        }
        if record.sender != producer.user && !moderates {
            return Err(Code::FORBIDDEN);
        }
        if let Some(redacted) = chunk.redact(target) {
            let bytes_less = chunk.frames.len().saturating_sub(redacted.frames.len()) as u64;
            self.replace(space, redacted, bytes_less);
        }
        Ok(())
    }

    /// The chunk that holds an offset, as the batch has left it so far.
    fn holding(&self, offset: Offset) -> Result<&Chunk, Code> {
        let holds = |chunk: &Chunk| chunk.first <= offset && offset <= chunk.last();
        let fresh = self.chunks.iter().map(|new| &new.chunk);
        let written = self.rewritten.iter().map(|(_, chunk)| chunk);
        if let Some(chunk) = fresh.chain(written).find(|chunk| holds(chunk)) {
            return Ok(chunk);
        }
        match self.before.and_then(|before| before.targets.get(&offset)) {
            Some(Ok(chunk)) if holds(chunk) => Ok(chunk),
            Some(Ok(_)) => Err(Code::BAD_RECORD),
            Some(Err(code)) => Err(*code),
            None => {
                debug_assert!(false, "a delete whose target was not brought into memory");
                Err(Code::INTERNAL)
            }
        }
    }

    /// Puts a chunk in the place of the one that begins at the same offset.
    fn replace(&mut self, space: Space, redacted: Chunk, bytes_less: u64) {
        if let Some(segment) = self.row.segments.iter_mut().rev().find(|segment| segment.first <= redacted.first) {
            segment.bytes = segment.bytes.saturating_sub(bytes_less);
        }
        let fresh = self.chunks.iter_mut().map(|new| &mut new.chunk);
        let rewritten = self.rewritten.iter_mut().map(|(_, chunk)| chunk);
        match fresh.chain(rewritten).find(|chunk| chunk.first == redacted.first) {
            Some(chunk) => *chunk = redacted,
            None => self.rewritten.push((space, redacted)),
        }
    }
}
