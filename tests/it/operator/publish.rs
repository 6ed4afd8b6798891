//! `loquic pub`.

use std::path::Path;

use loquic_client::{Format, Range};

use super::{client, keys, loquic, run, run_with};
use crate::support::Site;

#[tokio::test]
async fn an_ack_is_one_line_of_json() {
    let site = Site::new("");
    let node = site.start().await;
    let ran = run(client(&site, "pub", &["chat:a", "hello"])).await;
    ran.says(0, &[]);
    assert_eq!(ran.out.lines().count(), 1);
    assert_eq!(keys(&ran.out), ["room", "epoch", "offset", "time", "duplicate"]);
    let ack = &ran.json()[0];
    assert_eq!((&ack["room"], &ack["offset"], &ack["duplicate"]), (&"chat:a".into(), &1.into(), &false.into()));
    assert!(ack["epoch"].as_u64() > Some(1_700_000_000_000) && ack["time"].as_u64() > Some(1_700_000_000_000));
    // For people, without --json.
    let mut words = loquic(Path::new("/"), &["pub", "chat:a", "hello", "--insecure", "--url", &site.url()]);
    words.env("USER", "somebody");
    let words = run(words).await;
    assert!(words.says(0, &[]).out.starts_with("chat:a  ") && words.out.contains("-2  "), "{words:#?}");
    node.terminate().await;
}

#[tokio::test]
async fn a_server_is_known_by_its_authority() {
    let site = Site::new("");
    let node = site.start().await;
    let (url, home) = (site.url(), site.home());
    std::fs::write(home.join("rubbish.pem"), "rubbish").unwrap();
    run(loquic(home, &["certs", "dev", "--dir", "others"])).await.says(0, &[]);
    let publish = |ca: &str, transport: &str| {
        let command = ["pub", "chat:a", "hello", "--url", &url, "--ca", ca, "--transport", transport];
        run(loquic(home, &command))
    };
    for transport in ["quic", "webtransport", "websocket", "auto"] {
        publish("certs/dev.pem", transport).await.says(0, &[]);
        publish("others/dev.pem", transport).await.says(1, &["certificate", "--ca"]);
    }
    publish("nowhere.pem", "quic").await.says(1, &["--ca", "nowhere.pem"]);
    publish("rubbish.pem", "quic").await.says(1, &["PEM"]);
    let both = ["pub", "chat:a", "hello", "--url", &url, "--ca", "certs/dev.pem", "--insecure"];
    run(loquic(home, &both)).await.says(2, &["--ca", "--insecure"]);
    node.terminate().await;
}

#[tokio::test]
async fn the_format_is_text_unless_it_is_asked_for() {
    let site = Site::new("");
    let node = site.start().await;
    run(client(&site, "pub", &["a", "text ü"])).await.says(0, &[]);
    run(client(&site, "pub", &["a", "[1]", "--json-payload"])).await.says(0, &[]);
    run_with(client(&site, "pub", &["a", "-", "--bytes"]), vec![0xff, 0, b'\n']).await.says(0, &[]);
    // What is not what it should be is a usage error where it was an argument, and names the line where it was not.
    run(client(&site, "pub", &["a", "{", "--json-payload"])).await.says(2, &["not JSON"]);
    let bad = run_with(client(&site, "pub", &["a", "-"]), b"good\n\xff\nnever\n".to_vec()).await;
    bad.says(1, &["line 2", "UTF-8", "--bytes"]);
    assert_eq!(bad.json().len(), 1, "what was good before it is acked");
    run(client(&site, "pub", &["a", "x", "--json-payload", "--bytes"])).await.says(2, &["--bytes"]);

    let reader = site.connect("reader").await;
    let records = reader.history("a", Range::Newest, 10).await.unwrap().records;
    let formats: Vec<_> = records.iter().map(|record| record.format).collect();
    assert_eq!(formats, [Format::Text, Format::Json, Format::Bytes, Format::Text]);
    assert_eq!(records[0].sender.as_str(), "tester");
    assert_eq!(records[2].payload[..], [0xff, 0]);
    reader.close().await;
    node.terminate().await;
}

#[tokio::test]
async fn a_record_is_deleted_by_its_offset() {
    let site = Site::new("");
    let node = site.start().await;
    run(client(&site, "pub", &["a", "a slip of the tongue"])).await.says(0, &[]);
    let ran = run(client(&site, "pub", &["a", "--delete", "1"])).await;
    assert_eq!(ran.says(0, &[]).json()[0]["offset"], 2);
    let reader = site.connect("reader").await;
    assert!(reader.history("a", Range::Newest, 10).await.unwrap().records[0].payload.is_empty());
    run(client(&site, "pub", &["a", "--delete", "7"])).await.says(3, &["bad_record"]);
    run(client(&site, "pub", &["a", "--delete", "0"])).await.says(2, &["an offset is a number"]);
    reader.close().await;
    node.terminate().await;
}

#[tokio::test]
async fn standard_input_is_published_line_by_line_in_order() {
    const LINES: u64 = 20_000;
    let site = Site::new("");
    let node = site.start().await;
    let input = (1..=LINES).map(|number| format!("line {number}\n")).collect::<String>();
    let ran = run_with(client(&site, "pub", &["a", "-"]), input.into_bytes()).await;
    ran.says(0, &[]);
    let offsets: Vec<_> = ran.json().iter().map(|ack| ack["offset"].as_u64().unwrap()).collect();
    assert_eq!(offsets, (1..=LINES).collect::<Vec<_>>());
    let read = run(client(&site, "sub", &["a", "--from", "oldest", "--until-caught-up"])).await;
    read.says(0, &[]);
    for (number, record) in (1..).zip(read.json()) {
        assert_eq!(record["payload"], format!("line {number}"));
    }
    // The last line needs no end, an empty one is a record, no input is none.
    let few = run_with(client(&site, "pub", &["b"]), b"one\n\nthree".to_vec()).await;
    assert_eq!(few.says(0, &[]).json().len(), 3);
    assert_eq!(run_with(client(&site, "pub", &["c", "-"]), vec![]).await.says(0, &[]).out, "");
    node.terminate().await;
}

#[tokio::test]
async fn exit_codes_say_whose_fault_it_is() {
    let site = Site::new("limits.payload_bytes_max = '1KiB'\n");
    let node = site.start().await;
    // 2: the command line.
    run(client(&site, "pub", &["not a room", "x"])).await.says(2, &["not a room"]);
    run(client(&site, "pub", &["a", "x", "--frobnicate"])).await.says(2, &["--frobnicate"]);
    run(loquic(Path::new("/"), &["pub", "a", "x", "--url", "ftp://nowhere"])).await.says(2, &["ftp://nowhere"]);
    run(client(&site, "pub", &["a", "x", "--transport", "pigeon"])).await.says(2, &["pigeon", "quic"]);
    run(loquic(Path::new("/"), &["pub"])).await.says(2, &["ROOM"]);
    // 3: the server said no.
    run(client(&site, "pub", &["a", &"x".repeat(1_025)])).await.says(3, &["1025", "1024"]);
    let mut token = loquic(Path::new("/"), &["pub", "a", "x", "--insecure", "--url", &site.url()]);
    token.env("LOQUIC_TOKEN", "a token");
    run(token).await.says(3, &["not_offered"]);
    // 1: it did not work. A certificate that nobody vouches for.
    let trusting = loquic(Path::new("/"), &["pub", "a", "x", "--url", &site.url()]);
    run(trusting).await.says(1, &["--insecure"]);
    // What was not said is in no room.
    let reader = site.connect("reader").await;
    assert_eq!(reader.peek(&["a"]).await.unwrap()[0].as_ref().unwrap().head.get(), 0);
    reader.close().await;
    node.terminate().await;
}
