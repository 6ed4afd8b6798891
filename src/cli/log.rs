//! `loquic log`: what is in the data directory of a node that is not running.

use std::{
    io::{self, BufWriter, IsTerminal, Write},
    path::PathBuf,
};

use loquic_wire::{Offset, RoomName};
use serde::Serialize;

use super::{Exit, Failed, output::Output};
use crate::{
    config::unit,
    log::inspect::{self, Finding, Summary, Verified},
    notation::time,
};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// List the rooms
    Rooms {
        #[command(flatten)]
        place: Place,
    },
    /// Print the records of a room
    Cat {
        /// The room
        room: RoomName,
        /// Start with this offset
        #[arg(long, value_name = "OFFSET", default_value = "1", value_parser = offset)]
        from: Offset,
        /// Stop after this offset [default: the head]
        #[arg(long, value_name = "OFFSET", value_parser = offset)]
        to: Option<Offset>,
        #[command(flatten)]
        place: Place,
    },
    /// Prove that nothing is missing, changed or out of order; exit 1 with what is wrong and where
    Verify {
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct Place {
    /// The node's data directory; the node must not be running
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// Print JSON, one line each
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct RoomLine<'a> {
    tenant: &'a str,
    room: &'a str,
    epoch: u64,
    floor: u64,
    head: u64,
    time: Option<u64>,
    bytes: u64,
}

#[derive(Serialize)]
struct VerifiedLine<'a> {
    good: bool,
    rooms: u64,
    records: u64,
    bytes: u64,
    producers: u64,
    findings: Vec<FindingLine<'a>>,
}

#[derive(Serialize)]
struct FindingLine<'a> {
    room: Option<&'a str>,
    offset: Option<u64>,
    what: &'a str,
}

pub(super) fn offset(text: &str) -> Result<Offset, String> {
    let number = text.parse().ok().and_then(Offset::new);
    number.filter(|offset| *offset != Offset::ZERO).ok_or_else(|| "an offset is a number from 1 to 2^53 - 1".into())
}

impl Command {
    pub(super) fn run(self) -> Result<Exit, Failed> {
        let mut out = BufWriter::new(io::stdout().lock());
        let exit = match self {
            Self::Rooms { place } => {
                let rooms = inspect::rooms(&place.data_dir).map_err(Failed::new)?;
                print_rooms(&mut out, &rooms, place.json)?;
                Exit::Success
            }
            Self::Cat { room, from, to, place } => cat(&mut out, &room, from, to.unwrap_or(Offset::MAX), &place)?,
            Self::Verify { place } => {
                let verified = inspect::verify(&place.data_dir).map_err(Failed::new)?;
                print_verified(&mut out, &verified, place.json)?;
                if verified.findings.is_empty() { Exit::Success } else { Exit::Failure }
            }
        };
        out.flush()?;
        Ok(exit)
    }
}

fn cat(out: &mut impl Write, room: &RoomName, from: Offset, to: Offset, place: &Place) -> Result<Exit, Failed> {
    let mut output = Output { out, json: place.json, colour: io::stdout().is_terminal() };
    let mut written = Ok(());
    inspect::cat(&place.data_dir, room, from..=to, &mut |entry| {
        written = output.record(room, entry.epoch, &entry.record);
        written.is_ok()
    })
    .map_err(Failed::new)?;
    written?;
    Ok(Exit::Success)
}

fn print_rooms(out: &mut impl Write, rooms: &[Summary], json: bool) -> io::Result<()> {
    if !json {
        return print_table(out, rooms);
    }
    for room in rooms {
        let line = RoomLine {
            tenant: room.tenant.as_str(),
            room: room.room.as_str(),
            epoch: room.epoch.get(),
            floor: room.floor.get(),
            head: room.head.get(),
            time: room.time.map(|time| time.get()),
            bytes: room.bytes,
        };
        serde_json::to_writer(&mut *out, &line)?;
        writeln!(out)?;
    }
    Ok(())
}

fn print_table(out: &mut impl Write, rooms: &[Summary]) -> io::Result<()> {
    let width = rooms.iter().map(|room| room.room.as_str().len()).max().unwrap_or(0).max("ROOM".len());
    writeln!(out, "{:width$}  {:>12}  {:>12}  {:>16}  LAST RECORD", "ROOM", "FLOOR", "HEAD", "BYTES")?;
    for room in rooms {
        let (floor, head, bytes) = (room.floor.get(), room.head.get(), unit::grouped(room.bytes));
        let last = room.time.map_or_else(|| "-".into(), time::rfc3339);
        writeln!(out, "{:width$}  {floor:>12}  {head:>12}  {bytes:>16}  {last}", room.room.as_str())?;
    }
    Ok(())
}

fn print_verified(out: &mut impl Write, verified: &Verified, json: bool) -> io::Result<()> {
    let Verified { rooms, records, bytes, producers, findings } = verified;
    if json {
        let (good, findings) = (findings.is_empty(), findings.iter().map(finding_line).collect());
        let (rooms, records, bytes, producers) = (*rooms, *records, *bytes, *producers);
        serde_json::to_writer(&mut *out, &VerifiedLine { good, rooms, records, bytes, producers, findings })?;
        return writeln!(out);
    }
    for finding in findings {
        let room = finding.room.as_ref().map_or("the node", |room| room.as_str());
        let offset = finding.offset.map(|offset| format!(" at {offset}")).unwrap_or_default();
        writeln!(out, "{room}{offset}: {}", finding.what)?;
    }
    let verdict = match findings.len() {
        0 => "good".into(),
        count => format!("{count} wrong"),
    };
    let [rooms, records, producers, bytes] = [rooms, records, producers, bytes].map(|number| unit::grouped(*number));
    writeln!(out, "{verdict}: {rooms} rooms, {records} records, {bytes} bytes, {producers} producers")
}

fn finding_line(finding: &Finding) -> FindingLine<'_> {
    FindingLine {
        room: finding.room.as_ref().map(|room| room.as_str()),
        offset: finding.offset.map(Offset::get),
        what: &finding.what,
    }
}

#[cfg(test)]
mod tests {
    use loquic_wire::{Epoch, TenantName, Time};

    use super::*;

    fn printed(print: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        print(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn summary() -> Summary {
        Summary {
            tenant: TenantName::main(),
            room: RoomName::new("chat:a").unwrap(),
            epoch: Epoch::saturating(5),
            floor: Offset::FIRST,
            head: Offset::saturating(9),
            time: Some(Time::saturating(1000)),
            bytes: 1234,
        }
    }

    #[test]
    fn rooms() {
        assert_eq!(
            printed(|out| print_rooms(out, &[summary()], true)),
            "{\"tenant\":\"main\",\"room\":\"chat:a\",\"epoch\":5,\"floor\":1,\"head\":9,\"time\":1000,\"bytes\":1234}\n"
        );
        let empty = Summary { time: None, ..summary() };
        assert_eq!(
            printed(|out| print_rooms(out, &[summary(), empty], false)),
            "ROOM           FLOOR          HEAD             BYTES  LAST RECORD\n\
             chat:a             1             9             1,234  1970-01-01T00:00:01.000Z\n\
             chat:a             1             9             1,234  -\n"
        );
    }

    #[test]
    fn verdicts() {
        let good = Verified { rooms: 1, records: 9, bytes: 1234, producers: 2, findings: Vec::new() };
        assert_eq!(
            printed(|out| print_verified(out, &good, false)),
            "good: 1 rooms, 9 records, 1,234 bytes, 2 producers\n"
        );
        let finding = Finding {
            room: Some(RoomName::new("chat:a").unwrap()),
            offset: Some(Offset::saturating(4)),
            what: "the checksum does not match".into(),
        };
        let bad = Verified { findings: vec![finding], ..good };
        assert_eq!(
            printed(|out| print_verified(out, &bad, false)),
            "chat:a at 4: the checksum does not match\n1 wrong: 1 rooms, 9 records, 1,234 bytes, 2 producers\n"
        );
        assert_eq!(
            printed(|out| print_verified(out, &bad, true)),
            "{\"good\":false,\"rooms\":1,\"records\":9,\"bytes\":1234,\"producers\":2,\"findings\":[{\"room\":\"chat:a\",\
             \"offset\":4,\"what\":\"the checksum does not match\"}]}\n"
        );
    }

    #[test]
    fn offsets_start_at_one() {
        assert_eq!(offset("1"), Ok(Offset::FIRST));
        assert!(offset("0").is_err() && offset("x").is_err() && offset("-1").is_err());
    }
}
