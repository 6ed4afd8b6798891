//! Records, acks and events as lines: JSON for programs, text for people. The same in `pub`, `sub` and `log cat`.

use std::io::{self, Write};

use loquic_client::Presence;
use loquic_wire::{
    Epoch, Flags, Format, Kind, Offset, Record, RoomName, Time,
    join::{Gap, Reset},
};
use serde::Serialize;

use crate::notation::{json, time};

/// The answer to a publish.
#[derive(Debug, Clone, Copy)]
pub(super) struct Acked {
    pub(super) epoch: Epoch,
    pub(super) offset: Offset,
    pub(super) time: Time,
    pub(super) duplicate: bool,
}

/// Writes lines of one form.
pub(super) struct Output<W> {
    pub(super) out: W,
    /// JSON for programs; otherwise text for people.
    pub(super) json: bool,
    /// Whether the text may have colours.
    pub(super) colour: bool,
}

impl<W: Write> Output<W> {
    pub(super) fn ack(&mut self, room: &RoomName, acked: Acked) -> io::Result<()> {
        let Acked { epoch, offset, time, duplicate } = acked;
        if self.json {
            return self.line(&json::Ack::new(room, epoch, offset, time, duplicate));
        }
        let note = if duplicate { "  (was there already)" } else { "" };
        writeln!(self.out, "{room}  {epoch}-{offset}  {}{note}", time::rfc3339(time))
    }

    pub(super) fn record(&mut self, room: &RoomName, epoch: Epoch, record: &Record) -> io::Result<()> {
        if !self.json {
            return self.human_record(record);
        }
        self.line(&json::Record::new(room, epoch, record))
    }

    /// `12  2026-11-22T14:54:49.123Z  alice  hello`, with a word for what is not a message.
    fn human_record(&mut self, record: &Record) -> io::Result<()> {
        let (dim, bold, plain) = if self.colour { ("\x1b[2m", "\x1b[1m", "\x1b[0m") } else { ("", "", "") };
        let kind = match (record.kind, record.kind.name()) {
            (Kind::MESSAGE, _) => String::new(),
            (_, Some(name)) => format!("[{name}] "),
            (Kind(number), None) => format!("[kind {number}] "),
        };
        let refers = record.refers.map(|offset| format!("[about {offset}] ")).unwrap_or_default();
        writeln!(
            self.out,
            "{dim}{:>6}  {}{plain}  {bold}{}{plain}  {kind}{refers}{}",
            record.offset.get(),
            time::rfc3339(record.time),
            record.sender,
            shown(record)
        )
    }

    pub(super) fn gap(&mut self, room: &RoomName, gap: &Gap) -> io::Result<()> {
        if self.json {
            return self.line(&json::Event::gap(room, gap));
        }
        let reason = json::reason(gap.reason);
        let Gap { from, to, .. } = gap;
        writeln!(self.out, "gap: records {from} to {to} of {room} will not come ({reason})")
    }

    pub(super) fn reset(&mut self, room: &RoomName, reset: &Reset) -> io::Result<()> {
        if self.json {
            return self.line(&json::Event::reset(room, reset));
        }
        let Reset { epoch, valid_to, head } = reset;
        writeln!(
            self.out,
            "reset: {room} goes on in epoch {epoch}; what came behind record {valid_to} does not hold, the head is {head}"
        )
    }

    pub(super) fn presence(&mut self, room: &RoomName, presence: &Presence) -> io::Result<()> {
        let Presence { count, members, .. } = presence;
        if self.json {
            let members = members
                .as_ref()
                .map(|members| members.iter().map(|(user, sessions)| (user.as_str(), *sessions)).collect());
            return self.line(&json::Event::Presence { room: room.as_str(), count: *count, members });
        }
        writeln!(self.out, "presence: {count} in {room}")
    }

    pub(super) fn line(&mut self, line: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, line)?;
        self.out.write_all(b"\n")
    }
}

/// A payload for a terminal. Control characters are spelled out: a record must not move the cursor or ring a bell.
fn shown(record: &Record) -> String {
    if record.flags.contains(Flags::REDACTED) {
        return "<deleted>".into();
    }
    match std::str::from_utf8(&record.payload) {
        Ok(text) if record.format != Format::Bytes => {
            let spelled = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
            text.chars().map(spelled).collect()
        }
        _ => format!("<{} bytes>", record.payload.len()),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use bytes::Bytes;
    use loquic_wire::{ProducerTag, UserName, join::GapReason};

    use super::*;

    pub(crate) fn record(format: Format, payload: &'static str) -> Record {
        Record {
            offset: Offset::saturating(7),
            time: Time::saturating(1000),
            kind: Kind::MESSAGE,
            format,
            flags: Flags::NONE,
            sender: UserName::new("alice").unwrap(),
            producer: ProducerTag([0xab, 1, 2, 3]),
            id: 3,
            refers: None,
            payload: Bytes::from_static(payload.as_bytes()),
        }
    }

    fn printed(json: bool, print: impl FnOnce(&mut Output<Vec<u8>>, &RoomName) -> io::Result<()>) -> String {
        let mut output = Output { out: Vec::new(), json, colour: false };
        print(&mut output, &RoomName::new("chat:a").unwrap()).unwrap();
        String::from_utf8(output.out).unwrap()
    }

    fn json(record: &Record) -> String {
        printed(true, |output, room| output.record(room, Epoch::saturating(5), record))
    }

    fn human(record: &Record) -> String {
        printed(false, |output, room| output.record(room, Epoch::saturating(5), record))
    }

    #[test]
    fn acks() {
        let acked = Acked {
            epoch: Epoch::saturating(5),
            offset: Offset::saturating(7),
            time: Time::saturating(1000),
            duplicate: true,
        };
        assert_eq!(
            printed(true, |output, room| output.ack(room, acked)),
            "{\"room\":\"chat:a\",\"epoch\":5,\"offset\":7,\"time\":1000,\"duplicate\":true}\n"
        );
        let text = printed(false, |output, room| output.ack(room, acked));
        assert_eq!(text, "chat:a  5-7  1970-01-01T00:00:01.000Z  (was there already)\n");
    }

    #[test]
    fn records_as_json() {
        const HEAD: &str = "{\"room\":\"chat:a\",\"epoch\":5,\"offset\":7,\"time\":1000,\"sender\":\"alice\",";
        assert_eq!(
            json(&record(Format::Text, "h\"i\n")),
            format!(
                "{HEAD}\"kind\":\"message\",\"refers\":null,\"producer\":\"ab010203\",\"id\":3,\"payload\":\"h\\\"i\\n\"}}\n"
            )
        );
        let mut edit = record(Format::Json, " {\"b\": 1.10,\n \"a\": 18446744073709551616} ");
        edit.kind = Kind::EDIT;
        edit.refers = Some(Offset::FIRST);
        assert_eq!(
            json(&edit),
            format!(
                "{HEAD}\"kind\":\"edit\",\"refers\":1,\"producer\":\"ab010203\",\"id\":3,\"payload\":{{\"b\": 1.10,  \"a\": 18446744073709551616}}}}\n"
            )
        );
        let mut custom = record(Format::Bytes, "hi");
        custom.kind = Kind(40);
        let text = json(&custom);
        assert!(text.contains("\"kind\":40,") && text.ends_with("\"payload_base64\":\"aGk=\"}\n"), "{text}");
    }

    #[test]
    fn what_is_not_what_it_says_goes_out_as_bytes() {
        let mut bad = record(Format::Text, "");
        bad.payload = Bytes::from_static(&[0xff]);
        assert!(json(&bad).contains("\"payload_base64\":\"/w==\""));
        assert!(json(&record(Format::Json, "{")).contains("\"payload_base64\":\"ew==\""));
        assert!(json(&record(Format::Json, "")).contains("\"payload_base64\":\"\""));
    }

    #[test]
    fn records_for_people() {
        let mut text = record(Format::Text, "ring\x07 \x1b[2J é\n");
        assert_eq!(human(&text), "     7  1970-01-01T00:00:01.000Z  alice  ring\\u{7} \\u{1b}[2J é\\n\n");
        text.kind = Kind::REACTION;
        text.refers = Some(Offset::FIRST);
        assert!(human(&text).contains("alice  [reaction] [about 1] ring"));
        let redacted = record(Format::Json, "{}").redacted();
        assert!(human(&redacted).ends_with("alice  <deleted>\n"));
        assert!(json(&redacted).ends_with("\"id\":3,\"redacted\":true,\"payload_base64\":\"\"}\n"));
        assert!(human(&record(Format::Bytes, "hi")).ends_with("alice  <2 bytes>\n"));
    }

    #[test]
    fn events() {
        let gap = Gap { from: Offset::FIRST, to: Offset::saturating(9), reason: GapReason::Retention };
        let reset = Reset { epoch: Epoch::saturating(6), valid_to: Offset::saturating(3), head: Offset::saturating(4) };
        assert_eq!(
            printed(true, |output, room| output.gap(room, &gap)),
            "{\"event\":\"gap\",\"room\":\"chat:a\",\"from\":1,\"to\":9,\"reason\":\"retention\"}\n"
        );
        assert_eq!(
            printed(true, |output, room| output.reset(room, &reset)),
            "{\"event\":\"reset\",\"room\":\"chat:a\",\"epoch\":6,\"valid_to\":3,\"head\":4}\n"
        );
        assert!(printed(false, |output, room| output.gap(room, &gap)).starts_with("gap: records 1 to 9 of chat:a"));
        assert!(printed(false, |output, room| output.reset(room, &reset)).contains("epoch 6"));
    }
}
