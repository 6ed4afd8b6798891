//! What do encoding and decoding cost of a publish's way through a node?
//!
//! Payloads of 16, 128 and 1,024 bytes. A record is encoded once when it is applied; a publish is decoded once, through
//! `Decoder`, from pieces of 1,200 bytes, which is what packets bring; records are decoded by clients and by
//! `log verify`. Throughput is in frames.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use loquic_wire::{
    Decoder, Flags, Format, Kind, Offset, ProducerTag, Record, Time,
    coding::{Decode, Encode, Reader},
    frame::put_frame,
    publish::Publish,
};

const SIZES: [usize; 3] = [16, 128, 1024];
const FRAMES: usize = 256;
const PIECE: usize = 1_200;

fn record(size: usize) -> Record {
    Record {
        offset: Offset::saturating(1_000_000),
        time: Time::saturating(1_800_000_000_000),
        kind: Kind::MESSAGE,
        format: Format::Bytes,
        flags: Flags::NONE,
        sender: "ada".parse().expect("a name"),
        producer: ProducerTag([1, 2, 3, 4]),
        id: 70_000,
        refers: None,
        payload: vec![7; size].into(),
    }
}

fn publish(size: usize) -> Publish {
    let (kind, format, flags) = (Kind::MESSAGE, Format::Bytes, Flags::NONE);
    Publish { id: 70_000, kind, format, flags, refers: None, payload: vec![7; size].into() }
}

fn bodies(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("body");
    group.throughput(Throughput::Elements(1));
    for size in SIZES {
        let record = record(size);
        let mut out = Vec::with_capacity(2 * size + 64);
        group.bench_function(BenchmarkId::new("record encode", size), |bencher| {
            bencher.iter(|| {
                out.clear();
                black_box(&record).put_frame(&mut out);
                out.len()
            })
        });
        let mut body = Vec::new();
        record.encode(&mut body);
        let body = Bytes::from(body);
        group.bench_function(BenchmarkId::new("record decode", size), |bencher| {
            bencher.iter(|| Record::decode(&mut Reader::new(black_box(&body).clone())))
        });
        let mut body = Vec::new();
        publish(size).encode(&mut body);
        let body = Bytes::from(body);
        group.bench_function(BenchmarkId::new("publish decode", size), |bencher| {
            bencher.iter(|| Publish::decode(&mut Reader::new(black_box(&body).clone())))
        });
    }
    group.finish();
}

fn streams(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("stream");
    group.throughput(Throughput::Elements(FRAMES as u64));
    for size in SIZES {
        let mut stream = Vec::new();
        (0..FRAMES).for_each(|_| put_frame(&mut stream, &publish(size)));
        group.bench_function(BenchmarkId::new("publishes through Decoder", size), |bencher| {
            bencher.iter(|| {
                let (mut decoder, mut count) = (Decoder::new(), 0);
                for piece in stream.chunks(PIECE) {
                    decoder.push(black_box(piece)).expect("frames");
                    while let Some(frame) = decoder.next_frame().expect("frames") {
                        black_box(frame);
                        count += 1;
                    }
                }
                assert_eq!(count, FRAMES);
            })
        });
    }
    group.finish();
}

criterion_group!(benches, bodies, streams);
criterion_main!(benches);
