//! Names against a naive reading of their grammar, patterns against a naive matcher, and how rooms spread over slots.

use loquic_wire::{Partition, RoomName, RoomPattern, Slot, TenantName, UserName, slot};
use proptest::{collection::vec, prelude::*, sample::select};

/// The grammar as PROTOCOL.md states it, without care for speed.
fn is_room(text: &str) -> bool {
    let is_segment = |segment: &str| {
        (1..=64).contains(&segment.len())
            && segment.chars().all(|c| matches!(c, 'A'..='Z' | 'a'..='z' | '0'..='9' | '_' | '~' | '@' | '.' | '-'))
            && segment != "."
            && segment != ".."
    };
    let segments: Vec<&str> = text.split(':').collect();
    text.len() <= 200 && (1..=8).contains(&segments.len()) && segments.into_iter().all(is_segment)
}

/// Whether the segments of a room are among those that the pattern's stand for.
fn is_match(pattern: &[&str], room: &[&str]) -> bool {
    match (pattern, room) {
        ([], []) => true,
        (["**"], [_, ..]) => true,
        (["*", pattern @ ..], [_, room @ ..]) => is_match(pattern, room),
        ([literal, pattern @ ..], [segment, room @ ..]) => literal == segment && is_match(pattern, room),
        _ => false,
    }
}

fn joined(segments: Vec<&'static str>) -> String {
    segments.join(":")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn a_room_name_is_what_the_grammar_says(
        text in prop_oneof![
            vec(select(vec!['a', 'Z', '0', '_', '~', '@', '.', '-', ':', ' ', '/', '*', 'é', '\0']), 0..20)
                .prop_map(|chars| chars.into_iter().collect::<String>()),
            vec(select(vec!['a', 'b', '.', ':', ':']), 0..30).prop_map(|chars| chars.into_iter().collect()),
            vec((select(vec!["a", "..", "b.c"]), 0_usize..70), 1..9).prop_map(|parts| {
                parts.into_iter().map(|(text, times)| text.repeat(times)).collect::<Vec<_>>().join(":")
            }),
        ],
    ) {
        prop_assert_eq!(RoomName::new(&text).is_ok(), is_room(&text));
        if let Ok(name) = RoomName::new(&text) {
            prop_assert_eq!(name.as_str(), text.as_str());
            let pattern = RoomPattern::new(&text).expect("each name is a pattern");
            prop_assert!(pattern.matches(&name));
        }
    }

    #[test]
    fn a_pattern_matches_as_a_naive_matcher_does(
        pattern in vec(select(vec!["a", "b", "*", "**"]), 1..9).prop_map(joined),
        room in vec(select(vec!["a", "b"]), 1..9).prop_map(joined),
    ) {
        let split = |text: &'_ str| text.split(':').map(str::to_owned).collect::<Vec<_>>();
        let (pattern_segments, room_segments) = (split(&pattern), split(&room));
        let inner = pattern_segments[..pattern_segments.len() - 1].iter().any(|segment| segment == "**");
        let parsed = RoomPattern::new(&pattern);
        prop_assert_eq!(parsed.is_err(), inner);
        if let Ok(parsed) = parsed {
            let name = RoomName::new(&room).expect("a name");
            let pattern: Vec<&str> = pattern_segments.iter().map(String::as_str).collect();
            let room: Vec<&str> = room_segments.iter().map(String::as_str).collect();
            prop_assert_eq!(parsed.matches(&name), is_match(&pattern, &room));
        }
    }

    #[test]
    fn a_user_name_is_what_the_grammar_says(text in vec(any::<char>(), 0..60)) {
        let text: String = text.into_iter().collect();
        let is_user = (1..=128).contains(&text.len())
            && !text.chars().any(|c| matches!(c as u32, 0..=0x1f | 0x7f..=0x9f));
        prop_assert_eq!(UserName::new(&text).is_ok(), is_user);
    }

    #[test]
    fn names_are_never_normalised(tenant in crate::arbitrary::tenant(), room in crate::arbitrary::room()) {
        let same = |text: &str| RoomName::new(text).map(|name| name == room);
        prop_assert_eq!(same(room.as_str()), Ok(true));
        let upper = room.as_str().to_ascii_uppercase();
        prop_assert_eq!(same(&upper), Ok(upper == room.as_str()));
        let slot = Slot::of(&tenant, &room);
        prop_assert_eq!(u16::from(slot.partition().get()), slot.get() * slot::PARTITIONS / slot::SLOTS);
    }
}

/// 64 rooms a slot on the average: a slot's count has a standard deviation of 8, so 6 of them are 48.
#[test]
fn rooms_spread_evenly() {
    let tenant = TenantName::main();
    for scheme in ["room-", "game:", "user:alice:inbox."] {
        let mut slots = vec![0_u32; slot::SLOTS.into()];
        let mut partitions = vec![0_u32; slot::PARTITIONS.into()];
        for number in 0..65_536 {
            let slot = Slot::of(&tenant, &RoomName::new(&format!("{scheme}{number}")).expect("a name"));
            slots[usize::from(slot.get())] += 1;
            partitions[usize::from(slot.partition().get())] += 1;
        }
        assert!(slots.iter().all(|count| (16..=112).contains(count)), "{scheme} {slots:?}");
        assert!(partitions.iter().all(|count| (3_700..=4_500).contains(count)), "{scheme} {partitions:?}");
    }
}

#[test]
fn slots_and_partitions_are_what_they_say() {
    assert!((0..slot::SLOTS).all(|number| Slot::new(number).is_some_and(|slot| slot.get() == number)));
    assert_eq!(Slot::new(slot::SLOTS), None);
    assert_eq!(Partition::new(16), None);
    assert!(Partition::all().map(Partition::get).eq(0..16));
    assert_eq!(Slot::new(63).map(Slot::partition), Partition::new(0));
    assert_eq!(Slot::new(64).map(Slot::partition), Partition::new(1));
    assert_eq!(Slot::new(1_023).map(Slot::partition), Partition::new(15));
}
