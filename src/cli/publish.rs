//! `loquic pub`: one record from the command line, or one for each line of standard input.

use std::io::{self, BufRead, Read, Write};

use bytes::Bytes;
use futures::{FutureExt, StreamExt, stream::FuturesOrdered};
use loquic_client::{Ack, Client, Duplicate, Message};
use loquic_wire::{Format, Offset, RoomName, limits};
use serde::de::IgnoredAny;
use tokio::sync::mpsc;

use super::{
    Exit, Failed,
    connect::{self, Connect},
    logging::Logging,
    output::{Acked, Output},
};

/// Lines that are read ahead of what is sent.
const LINES_AHEAD: usize = 1024;

/// Publishes that wait for their acks at once: enough to fill a batch of the server's log on a slow disk.
const IN_FLIGHT: usize = 4096;

/// Publish into a room.
///
/// Prints an ack for each record when it is as safe as the room promises, in the order of the records.
#[derive(Debug, clap::Args)]
pub(crate) struct Publish {
    /// The room
    room: RoomName,
    /// What to publish; `-` or nothing publishes each line of standard input
    text: Option<String>,
    /// Delete this record in place of publishing one: its content goes, its offset stays
    #[arg(long, value_name = "OFFSET", value_parser = super::log::offset, conflicts_with_all = ["text", "json_payload", "bytes"])]
    delete: Option<Offset>,
    /// The payload is a JSON document
    #[arg(long, conflicts_with = "bytes")]
    json_payload: bool,
    /// The payload is bytes, not text
    #[arg(long)]
    bytes: bool,
    /// Print acks as JSON, one line each
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    logging: Logging,
    #[command(flatten)]
    connect: Connect,
}

/// What is published: checked, so that the reader of a record gets what its format says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Content {
    format: Format,
    payload: Bytes,
}

impl Content {
    fn new(format: Format, payload: Bytes) -> Result<Self, String> {
        match format {
            Format::Bytes => {}
            Format::Text => {
                std::str::from_utf8(&payload)
                    .map_err(|error| format!("this is not UTF-8 ({error}); publish it with --bytes"))?;
            }
            Format::Json => {
                serde_json::from_slice::<IgnoredAny>(&payload).map_err(|error| format!("this is not JSON: {error}"))?;
            }
        }
        Ok(Self { format, payload })
    }
}

impl Publish {
    pub(super) fn run(self) -> Result<Exit, Failed> {
        self.logging.start("error")?;
        let mut output = Output { out: io::stdout().lock(), json: self.json, colour: false };
        super::client_runtime()?.block_on(async {
            // What is published is checked before there is a connection.
            let contents = if self.delete.is_none() { Some(self.contents()?) } else { None };
            let client = self.connect.open().await?;
            let result = tokio::select! {
                never = connect::tell(&client) => match never {},
                published = self.publish(&client, contents, &mut output) => published,
            };
            client.close().await;
            result
        })?;
        Ok(Exit::Success)
    }

    async fn publish(
        &self,
        client: &Client,
        contents: Option<mpsc::Receiver<Result<Content, Failed>>>,
        output: &mut Output<impl Write>,
    ) -> Result<(), Failed> {
        let publisher = client.publisher(self.room.as_str())?;
        if let Some(offset) = self.delete {
            output.ack(&self.room, Acked::from(publisher.delete(offset).await?))?;
        }
        let Some(mut contents) = contents else { return Ok(()) };
        let publish = async |content: Content| {
            let pending = publisher.enqueue(Message::new(content.payload).format(content.format)).await?;
            Ok(async { Ok(Acked::from(pending.await?)) })
        };
        pipeline(&mut contents, publish, &self.room, output).await
    }

    fn format(&self) -> Format {
        match (self.json_payload, self.bytes) {
            (true, _) => Format::Json,
            (_, true) => Format::Bytes,
            _ => Format::Text,
        }
    }

    /// What to publish, one after the other.
    fn contents(&self) -> Result<mpsc::Receiver<Result<Content, Failed>>, Failed> {
        let (sender, receiver) = mpsc::channel(LINES_AHEAD);
        let format = self.format();
        match self.text.as_deref() {
            None | Some("-") => {
                // Standard input cannot be read without blocking. The thread ends with the process at the latest.
                std::thread::spawn(move || read_lines(io::stdin().lock(), format, &sender));
            }
            Some(text) => {
                let payload = Bytes::copy_from_slice(text.as_bytes());
                let content = Content::new(format, payload).map_err(Failed::usage)?;
                sender.try_send(Ok(content)).map_err(Failed::new)?;
            }
        }
        Ok(receiver)
    }
}

impl From<Ack> for Acked {
    fn from(ack: Ack) -> Self {
        Self {
            epoch: ack.position.epoch,
            offset: ack.position.offset,
            time: ack.time,
            duplicate: ack.duplicate != Duplicate::No,
        }
    }
}

/// Sends each line until the end, the first line that cannot be published, or nobody listens.
fn read_lines(mut input: impl BufRead, format: Format, sender: &mpsc::Sender<Result<Content, Failed>>) {
    for number in 1u64.. {
        let line = match read_line(&mut input) {
            Ok(None) => return,
            Ok(Some(line)) => {
                Content::new(format, line).map_err(|what| Failed::new(format_args!("line {number}: {what}")))
            }
            Err(error) => Err(Failed::new(format_args!("line {number}: {error}"))),
        };
        let ends = line.is_err();
        if sender.blocking_send(line).is_err() || ends {
            return;
        }
    }
}

/// One line without its end; `None` behind the last one. No line is held that no server would take.
fn read_line(input: &mut impl BufRead) -> io::Result<Option<Bytes>> {
    const MAX: usize = limits::PAYLOAD_BYTES_MAX_HARD;
    let mut line = Vec::new();
    input.take(MAX as u64 + 1).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    } else if line.len() > MAX {
        return Err(io::Error::other(format!("it is longer than the {MAX} bytes a record may have")));
    }
    Ok(Some(line.into()))
}

/// Publishes everything that comes, with many on their way at once, and prints the acks in order.
///
/// `publish` is called in the order of the contents. After the first that fails nothing more is begun, and the acks of
/// those before it are still printed.
async fn pipeline<W, F, P>(
    contents: &mut mpsc::Receiver<Result<Content, Failed>>,
    mut publish: F,
    room: &RoomName,
    output: &mut Output<W>,
) -> Result<(), Failed>
where
    W: Write,
    F: AsyncFnMut(Content) -> Result<P, Failed>,
    P: Future<Output = Result<Acked, Failed>>,
{
    let mut waiting = FuturesOrdered::new();
    let mut end = None;
    while end.is_none() || !waiting.is_empty() {
        tokio::select! {
            // Acks first: they make room for what is next.
            biased;
            Some(acked) = waiting.next() => {
                output.ack(room, acked?)?;
                while let Some(Some(acked)) = waiting.next().now_or_never() {
                    output.ack(room, acked?)?;
                }
                output.out.flush()?;
            }
            content = contents.recv(), if end.is_none() && waiting.len() < IN_FLIGHT => match content {
                None => end = Some(Ok(())),
                Some(Err(failed)) => end = Some(Err(failed)),
                Some(Ok(content)) => match publish(content).await {
                    Ok(acked) => waiting.push_back(acked),
                    Err(failed) => end = Some(Err(failed)),
                },
            },
        }
    }
    end.unwrap_or(Ok(()))
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use loquic_wire::{Epoch, Offset, Time};

    use super::*;
    use crate::cli::{Cli, Command};

    fn parse(arguments: &[&str]) -> Publish {
        let arguments = ["loquic", "pub"].iter().chain(arguments);
        match Cli::try_parse_from(arguments).unwrap().command {
            Command::Pub(publish) => publish,
            other => panic!("{other:?}"),
        }
    }

    fn acked(offset: u64) -> Acked {
        Acked { epoch: Epoch::saturating(1), offset: Offset::saturating(offset), time: Time::ZERO, duplicate: false }
    }

    #[test]
    fn what_is_published() {
        let first = |arguments: &[&str]| parse(arguments).contents().map(|mut contents| contents.try_recv().unwrap());
        let content =
            |format, payload: &'static str| Content { format, payload: Bytes::from_static(payload.as_bytes()) };
        assert_eq!(first(&["a", "hi"]).unwrap().unwrap(), content(Format::Text, "hi"));
        assert_eq!(first(&["a", "hi", "--bytes"]).unwrap().unwrap(), content(Format::Bytes, "hi"));
        assert_eq!(first(&["a", "[1]", "--json-payload"]).unwrap().unwrap(), content(Format::Json, "[1]"));
        let failed = first(&["a", "[1", "--json-payload"]).unwrap_err();
        assert!(failed.exit == Exit::Usage && failed.message.starts_with("this is not JSON: "), "{failed:?}");
    }

    #[test]
    fn what_the_command_line_refuses() {
        for arguments in [
            &["a/b", "hi"][..],
            &["a", "hi", "--bytes", "--json-payload"],
            &["a", "hi", "--delete", "1"],
            &["a", "--delete", "0"],
            &["a", "hi", "--transport", "pigeon"],
            &["a", "hi", "--name", "x", "--token", "y"],
        ] {
            let error = Cli::try_parse_from(["loquic", "pub"].iter().chain(arguments)).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{error}");
        }
        let error = Cli::try_parse_from(["loquic", "pub", "a/b", "hi"]).unwrap_err().to_string();
        assert!(error.contains("'/' is not allowed in a room name"), "{error}");
    }

    fn lines(input: &[u8], format: Format) -> Vec<Result<Content, String>> {
        let (sender, mut receiver) = mpsc::channel(100);
        read_lines(input, format, &sender);
        std::iter::from_fn(|| receiver.try_recv().ok()).map(|line| line.map_err(|failed| failed.message)).collect()
    }

    #[test]
    fn lines_of_input() {
        let payloads =
            |input, format| lines(input, format).into_iter().map(|line| line.unwrap().payload).collect::<Vec<_>>();
        assert_eq!(payloads(b"a\n\nb", Format::Text), ["a", "", "b"]);
        assert_eq!(payloads(b"a\r\n", Format::Text), ["a\r"], "bytes are not changed");
        assert_eq!(payloads(b"", Format::Text), [""; 0]);
        let bad = lines(b"a\n\xff\nc\n", Format::Text);
        assert_eq!(bad.len(), 2, "nothing after a line that cannot be published");
        assert!(bad[1].as_ref().unwrap_err().starts_with("line 2: this is not UTF-8"));
        let largest = vec![b'x'; limits::PAYLOAD_BYTES_MAX_HARD];
        assert_eq!(payloads(&largest, Format::Bytes), std::slice::from_ref(&largest));
        let larger = [&largest[..], b"x"].concat();
        assert_eq!(
            lines(&larger, Format::Bytes)[0].as_ref().unwrap_err(),
            "line 1: it is longer than the 131072 bytes a record may have"
        );
    }

    /// Publishes `inputs`; acks come in reverse order, the one of "bad" is a refusal. Returns what was printed and how
    /// it ended.
    async fn run(inputs: Vec<Result<Content, Failed>>) -> (String, Result<(), Failed>) {
        let (sender, mut contents) = mpsc::channel(100);
        let total = inputs.len() as u64;
        for input in inputs {
            sender.try_send(input).unwrap();
        }
        drop(sender);
        let mut output = Output { out: Vec::new(), json: true, colour: false };
        let mut next = 0;
        let publish = async |content: Content| {
            next += 1;
            let offset = next;
            Ok(async move {
                tokio::time::sleep(std::time::Duration::from_millis(total - offset)).await;
                match &content.payload[..] {
                    b"bad" => Err(Failed { exit: Exit::Refused, message: "no".into() }),
                    _ => Ok(acked(offset)),
                }
            })
        };
        let result = pipeline(&mut contents, publish, &RoomName::new("a").unwrap(), &mut output).await;
        (String::from_utf8(output.out).unwrap(), result)
    }

    fn text(text: &'static str) -> Result<Content, Failed> {
        Ok(Content::new(Format::Text, Bytes::from_static(text.as_bytes())).unwrap())
    }

    fn offsets(printed: &str) -> Vec<u64> {
        let offset = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["offset"].as_u64().unwrap();
        printed.lines().map(offset).collect()
    }

    #[tokio::test]
    async fn acks_are_printed_in_order() {
        let (printed, result) = run((0..50).map(|_| text("x")).collect()).await;
        assert_eq!(offsets(&printed), (1..=50).collect::<Vec<_>>());
        assert!(result.is_ok());
    }

    #[tokio::test]
    async fn a_bad_line_ends_it_after_the_acks_before() {
        let (printed, result) = run(vec![text("x"), text("y"), Err(Failed::new("line 3: bad")), text("z")]).await;
        assert_eq!(offsets(&printed), [1, 2]);
        assert_eq!(result.unwrap_err().message, "line 3: bad");
    }

    #[tokio::test]
    async fn a_refusal_ends_it() {
        let (printed, result) = run(vec![text("x"), text("bad"), text("y")]).await;
        assert_eq!(offsets(&printed), [1]);
        assert_eq!(result.unwrap_err().exit, Exit::Refused);
    }
}
