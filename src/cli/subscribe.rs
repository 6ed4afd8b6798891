//! `loquic sub`: the records of a room, as they come.

use std::io::{self, BufWriter, IsTerminal, Write};

use futures::FutureExt;
use loquic_client::{Client, Event};
use loquic_wire::{
    Epoch, RoomName,
    join::{From, PresenceLevel},
};

use super::{
    Exit, Failed,
    connect::{self, Connect},
    logging::Logging,
    output::Output,
};
use crate::notation::start;

/// Print the records of a room as they come.
///
/// Ends with code 4 if records were missing or history has changed.
#[derive(Debug, clap::Args)]
pub(crate) struct Subscribe {
    /// The room
    room: RoomName,
    /// Where to start: oldest, live, OFFSET (with that record), EPOCH-OFFSET (behind that position), last:N,
    /// at:RFC3339
    #[arg(long, default_value = "live", value_parser = start::parse, value_name = "PLACE", allow_hyphen_values = true)]
    from: From,
    /// End after this many records
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// End when everything that was there at the start is printed
    #[arg(long)]
    until_caught_up: bool,
    /// Print gaps, resets and presence as JSON lines among the records, not as words on standard error
    #[arg(long)]
    events: bool,
    /// Say who is in the room whenever that changes, or with `count` how many
    #[arg(long, value_name = "LEVEL", num_args = 0..=1, require_equals = true, default_missing_value = "changes")]
    presence: Option<Level>,
    /// Print records as JSON, one line each
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    logging: Logging,
    #[command(flatten)]
    connect: Connect,
}

/// How much to say of who is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Level {
    Count,
    Changes,
}

impl Subscribe {
    pub(super) fn run(self) -> Result<Exit, Failed> {
        self.logging.start("error")?;
        let colour = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let mut printer = Printer {
            output: Output { out: BufWriter::new(io::stdout().lock()), json: self.json, colour },
            notes: Output { out: io::stderr(), json: false, colour: false },
            events: self.events,
            presence: match self.presence {
                None => PresenceLevel::None,
                Some(Level::Count) => PresenceLevel::Count,
                Some(Level::Changes) => PresenceLevel::Changes,
            },
            until_caught_up: self.until_caught_up,
            left: self.count,
            incomplete: false,
            room: self.room,
        };
        super::client_runtime()?.block_on(async {
            let client = self.connect.open().await?;
            let result = tokio::select! {
                // Whoever interrupts wants to know with which code it ends.
                interrupted = tokio::signal::ctrl_c() => interrupted.map_err(Failed::new),
                never = connect::tell(&client) => match never {},
                followed = printer.follow(&client, self.from) => followed,
            };
            // What was printed is shown and the server is told, also where it went wrong.
            let flushed = printer.output.out.flush();
            client.close().await;
            result.and_then(|()| Ok(flushed?))
        })?;
        Ok(printer.exit())
    }
}

/// Prints events and knows when it is enough.
struct Printer<W, E> {
    room: RoomName,
    output: Output<W>,
    /// For people; where gaps and resets go without `--events`.
    notes: Output<E>,
    events: bool,
    presence: PresenceLevel,
    until_caught_up: bool,
    /// Records that are still wanted; `None` for no end.
    left: Option<u64>,
    /// Whether a gap or a reset has come.
    incomplete: bool,
}

impl<W: Write, E: Write> Printer<W, E> {
    /// Prints until it is enough or the room ends. What is printed is written out whenever nothing more is at hand.
    async fn follow(&mut self, client: &Client, from: From) -> Result<(), Failed> {
        let mut room = client.room(self.room.as_str()).from(from).presence(self.presence).open().await?;
        loop {
            let event = match room.next().now_or_never() {
                Some(event) => event,
                None => {
                    self.output.out.flush()?;
                    room.next().await
                }
            };
            let Some(event) = event else { return Ok(()) };
            let event = event?;
            let epoch = room.position().map_or(Epoch::ZERO, |position| position.epoch);
            if !self.handle(epoch, &event)? {
                return Ok(());
            }
        }
    }

    /// Prints one event, with its epoch if it is a record. Returns whether more are wanted.
    fn handle(&mut self, epoch: Epoch, event: &Event) -> io::Result<bool> {
        match event {
            Event::Record(record) => {
                self.output.record(&self.room, epoch, record)?;
                self.left = self.left.map(|left| left.saturating_sub(1));
            }
            Event::Gap(gap) => {
                self.incomplete = true;
                match self.events {
                    true => self.as_json(|output, room| output.gap(room, gap))?,
                    false => self.notes.gap(&self.room, gap)?,
                }
            }
            Event::Reset(reset) => {
                self.incomplete = true;
                match self.events {
                    true => self.as_json(|output, room| output.reset(room, reset))?,
                    false => self.notes.reset(&self.room, reset)?,
                }
            }
            Event::Presence(presence) => match self.events {
                true => self.as_json(|output, room| output.presence(room, presence))?,
                false => self.notes.presence(&self.room, presence)?,
            },
            Event::CaughtUp(_) => return Ok(!self.until_caught_up),
            _ => {}
        }
        Ok(self.left != Some(0))
    }

    /// Events are JSON also among records for people.
    fn as_json(&mut self, print: impl FnOnce(&mut Output<W>, &RoomName) -> io::Result<()>) -> io::Result<()> {
        let json = std::mem::replace(&mut self.output.json, true);
        let result = print(&mut self.output, &self.room);
        self.output.json = json;
        result
    }

    fn exit(&self) -> Exit {
        if self.incomplete { Exit::Incomplete } else { Exit::Success }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use loquic_wire::{
        Format, Offset,
        join::{CaughtUp, Gap, GapReason, Reset},
    };

    use super::*;
    use crate::cli::{Cli, Command, output::tests::record};

    fn printer(events: bool, json: bool) -> Printer<Vec<u8>, Vec<u8>> {
        let output = |json| Output { out: Vec::new(), json, colour: false };
        Printer {
            room: RoomName::new("a").unwrap(),
            output: output(json),
            notes: output(false),
            events,
            presence: PresenceLevel::None,
            until_caught_up: false,
            left: None,
            incomplete: false,
        }
    }

    fn text(bytes: &[u8]) -> &str {
        std::str::from_utf8(bytes).unwrap()
    }

    fn gap() -> Event {
        Event::Gap(Gap { from: Offset::FIRST, to: Offset::FIRST, reason: GapReason::Retention })
    }

    #[test]
    fn it_ends_after_the_count() {
        let mut printer = Printer { left: Some(2), ..printer(false, true) };
        let hello = Event::Record(record(Format::Text, "hello"));
        let caught_up = Event::CaughtUp(CaughtUp { head: Offset::FIRST });
        assert!(printer.handle(Epoch::ZERO, &hello).unwrap());
        assert!(printer.handle(Epoch::ZERO, &caught_up).unwrap());
        assert!(printer.handle(Epoch::ZERO, &gap()).unwrap(), "a gap is no record");
        assert!(!printer.handle(Epoch::ZERO, &hello).unwrap());
        assert_eq!(text(&printer.output.out).lines().count(), 2);
    }

    #[test]
    fn it_ends_when_caught_up() {
        let mut printer = Printer { until_caught_up: true, ..printer(false, true) };
        assert!(!printer.handle(Epoch::ZERO, &Event::CaughtUp(CaughtUp { head: Offset::ZERO })).unwrap());
        assert_eq!(printer.exit(), Exit::Success);
    }

    #[test]
    fn gaps_and_resets_are_told_and_remembered() {
        let reset = Event::Reset(Reset { epoch: Epoch::ZERO, valid_to: Offset::ZERO, head: Offset::ZERO });
        for event in [gap(), reset] {
            let mut words = printer(false, true);
            assert!(words.handle(Epoch::ZERO, &event).unwrap());
            assert!(words.output.out.is_empty() && text(&words.notes.out).contains(": "));
            assert_eq!(words.exit(), Exit::Incomplete);

            let mut lines = printer(true, false);
            assert!(lines.handle(Epoch::ZERO, &event).unwrap());
            assert!(lines.notes.out.is_empty() && text(&lines.output.out).starts_with("{\"event\":\""));
            assert!(!lines.output.json, "records stay as they were");
            assert_eq!(lines.exit(), Exit::Incomplete);
        }
    }

    #[test]
    fn arguments() {
        let parse = |arguments: &[&str]| Cli::try_parse_from(["loquic", "sub", "a"].iter().chain(arguments));
        let Command::Sub(sub) = parse(&["--from", "last:5", "--count", "3"]).unwrap().command else { panic!() };
        assert_eq!((sub.from, sub.count, sub.until_caught_up), (From::Last(5), Some(3), false));
        assert_eq!(sub.presence, None);
        for (flag, level) in [("--presence", Level::Changes), ("--presence=count", Level::Count)] {
            let Command::Sub(sub) = parse(&[flag]).unwrap().command else { panic!() };
            assert_eq!(sub.presence, Some(level));
        }
        let error = parse(&["--from", "yesterday"]).unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains("is no place to start"), "{error}");
        assert_eq!(parse(&["--count", "0"]).unwrap_err().exit_code(), 2);
        assert_eq!(parse(&["--from", "-1"]).unwrap_err().exit_code(), 2);
    }
}
