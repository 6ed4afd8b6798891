//! All mutations caught, no clean history flagged, files read back as written, and how long a million events take.

use std::time::Instant;

use crate::{
    History, Level, Outcome, Promise, check,
    mutate::{Mutation, Random, Shape, generate, mutations},
};

const CLEAN: u64 = 3_000;
const SEEDS: u64 = 200;

/// Seeds tried for one kind before it counts as not applicable.
const SEEDS_MAX: u64 = 8_000;

#[test]
fn clean_histories_are_not_flagged() {
    let (mut events, mut losses, mut resets, mut resumes, mut gapped) = (0, 0, 0, 0, 0);
    for seed in 0..CLEAN {
        let mut random = Random::new(seed);
        let shape = Shape::random(&mut random);
        let report = check(&generate(&shape, seed), &shape.promise());
        assert!(report.is_clean(), "seed {seed}, {shape:?}\n{report}");
        assert_eq!(report.sent, report.acked + report.refused + report.unknown);
        assert_eq!(
            [report.lost, report.duplicated, report.reordered, report.corrupt, report.phantom],
            [0; 5],
            "seed {seed}"
        );
        (events, losses) = (events + report.events, losses + report.lost_allowed);
        (resets, resumes, gapped) = (resets + report.resets, resumes + report.resumes, gapped + report.gapped);
    }
    println!(
        "{CLEAN} clean histories, {events} events: {losses} allowed losses, {resets} resets, {resumes} resumes, {gapped} records in gaps"
    );
    assert!(losses > 0 && resets > 0 && resumes > 0 && gapped > 0);
}

/// Breaks seeds until enough could be broken, and returns how many were.
fn caught(mutation: &Mutation) -> (u64, u64) {
    let mut applied = 0;
    for seed in 0..SEEDS_MAX {
        let mut random = Random::new(seed);
        let shape = mutation.shape(&mut random);
        let mut history = generate(&shape, seed);
        if !mutation.apply(&mut history, &mut random) {
            continue;
        }
        applied += 1;
        let report = check(&history, &shape.promise());
        assert!(report.count(mutation.expects) > 0, "{}: seed {seed}, {shape:?}\n{report}", mutation.name);
        if applied == SEEDS {
            return (applied, seed + 1);
        }
    }
    (applied, SEEDS_MAX)
}

#[test]
fn every_mutation_is_flagged() {
    for mutation in mutations() {
        let (applied, tried) = caught(&mutation);
        println!("{:48} {:?} caught {applied} of {applied}, {tried} seeds", mutation.name, mutation.expects);
        assert_eq!(applied, SEEDS, "{} applied too rarely", mutation.name);
    }
}

/// Deletes that do what they should are no violation, and are in the file.
#[test]
fn deleted_records_are_no_violation() {
    let mut deleted = 0;
    for seed in 0..50 {
        let random = &mut Random::new(seed);
        let shape = Shape { trims: false, final_logs: true, ..Shape::random(random) };
        let mut history = generate(&shape, seed);
        deleted += u32::from(super::log::delete(&mut history, random).is_some());
        let report = check(&history, &shape.promise());
        assert!(report.is_clean(), "seed {seed}: {report}");
        let mut file = Vec::new();
        history.write(&mut file).unwrap();
        assert_eq!(History::read(file.as_slice()).unwrap(), history);
    }
    assert!(deleted > 25);
}

#[test]
fn a_file_reads_back_as_it_was_written() {
    for seed in 0..50 {
        let shape = Shape::random(&mut Random::new(seed));
        let history = generate(&shape, seed);
        let mut file = Vec::new();
        history.write(&mut file).unwrap();
        assert_eq!(History::read(file.as_slice()).unwrap(), history, "seed {seed}");
    }
    assert!(History::read(&b"{\"op\":\"nonsense\"}\n"[..]).is_err());
    assert!(History::read(&b"{\"op\":\"room\",\"id\":7,\"name\":\"lobby\"}\n"[..]).is_err());
}

/// The same run written by two processes whose names got other numbers.
#[test]
fn files_of_several_processes_merge_by_name() {
    for seed in 0..100 {
        let shape = Shape { final_logs: true, ..Shape::random(&mut Random::new(seed)) };
        let whole = generate(&shape, seed);
        let mut readers = History { publishes: Vec::new(), ..whole.clone() };
        let mut writers = History::default();
        for room in (0..shape.rooms).rev() {
            writers.names.rooms.intern(&format!("room-{room}"));
        }
        writers.names.absorb(&whole.names);
        writers.publishes = whole.publishes.clone();
        for publish in &mut writers.publishes {
            publish.room.0 = shape.rooms - 1 - publish.room.0;
        }
        readers.merge(writers);
        assert_eq!(readers.publishes, whole.publishes);
        let (merged, alone) = (check(&readers, &shape.promise()), check(&whole, &shape.promise()));
        assert_eq!(merged, alone, "seed {seed}");
    }
}

#[test]
fn a_report_reads_back_and_names_what_is_wrong() {
    let shape = Shape { losses: false, trims: false, final_logs: true, ..Shape::random(&mut Random::new(7)) };
    let mut history = generate(&Shape { steps: 400, ..shape }, 7);
    let acked = |p: &&mut crate::Publish| matches!(p.outcome, Outcome::Acked { .. });
    let publish = history.publishes.iter_mut().find(acked).unwrap();
    publish.outcome = Outcome::Acked { epoch: 1, offset: 0, duplicate: false };
    let report = check(&history, &Promise::new(Level::Disk));
    let json = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<crate::Report>(&json).unwrap(), report);
    let text = report.to_string();
    assert!(text.contains("BROKEN") && text.contains("was acked at offset 0"), "{text}");
}

/// Prints the time and asserts nothing about it: run with `--release -- --nocapture`.
#[test]
fn a_million_events() {
    let million = if cfg!(debug_assertions) { 100_000 } else { 1_000_000 };
    let random = &mut Random::new(1);
    let shape = Shape { rooms: 20, subscribers: 4, producers: 4, losses: false, trims: false, ..Shape::random(random) };
    let shape = Shape { steps: million * 2 / 3, final_logs: true, nodes: 3, ..shape };
    let history = generate(&shape, 1);
    let start = Instant::now();
    let report = check(&history, &shape.promise());
    println!("{} events checked in {:?}", report.events, start.elapsed());
    assert!(report.is_clean(), "{report}");
}
