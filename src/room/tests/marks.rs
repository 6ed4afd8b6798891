//! Read marks: never back, never past the head, told when they are safe, and there after a restart.

use loquic_wire::{Time, UserName};

use super::{node::Node, *};
use crate::config::limits;

fn ann() -> UserName {
    "ann".parse().unwrap()
}

fn offset(number: u64) -> Offset {
    Offset::saturating(number)
}

fn node(store: &Arc<Memory>) -> Node {
    Node::open(store.clone(), &Options::default(), Time::saturating(1_700_000_000_000))
}

/// A room with ten records.
fn filled(node: &mut Node) -> Arc<Room> {
    let room = node.attach("chat:1");
    let mut publisher = node.open_producer(&room, producer(1)).unwrap();
    publisher.offer((1..=10).map(|id| publish(id, "x")).collect());
    node.turn();
    room
}

fn mark(node: &Node, room: &Room) -> Option<u64> {
    node.context.mark(room, &ann()).map(Offset::get)
}

#[test]
fn a_mark_goes_forward_only_and_not_past_the_head() {
    let mut node = node(&Arc::default());
    let room = filled(&mut node);
    assert_eq!(mark(&node, &room), None);
    for (said, then) in [(4, 4), (2, 4), (7, 7), (99, 10), (1, 10)] {
        assert!(room.mark(&ann(), offset(said)));
        node.housekeep();
        assert_eq!(mark(&node, &room), Some(then), "after {said}");
    }
    // An empty room has nothing to read.
    let empty = node.attach("chat:2");
    assert!(empty.mark(&ann(), offset(5)));
    node.housekeep();
    assert_eq!(mark(&node, &empty), None);
}

#[test]
fn a_mark_is_told_once_it_is_safe_and_survives() {
    let store = Arc::new(Memory::default());
    let mut first = node(&store);
    let room = filled(&mut first);
    let marked = first.context.marks.listen(&TenantName::main(), &ann());
    let other = first.context.marks.listen(&TenantName::main(), &"bob".parse().unwrap());
    for said in [3, 5, 4] {
        room.mark(&ann(), offset(said));
    }
    assert_eq!(mark(&first, &room), Some(5), "known before it is written");
    assert_eq!(marked.take(), None);
    first.housekeep();
    assert_eq!(marked.take(), Some(vec![("chat:1".into(), 5)]));
    // What is no news is not told.
    room.mark(&ann(), offset(5));
    first.housekeep();
    assert_eq!((marked.take(), other.take()), (None, None));
    drop((room, first));
    let mut second = node(&Arc::new(store.after_power_loss()));
    let room = second.attach("chat:1");
    assert_eq!(mark(&second, &room), Some(5));
    // Nobody attached it: the row is brought for the mark, and goes again.
    room.mark(&ann(), offset(6));
    second.housekeep();
    assert_eq!(mark(&second, &room), Some(6));
}

#[test]
fn so_many_marks_wait_and_one_more_is_refused() {
    let mut node = node(&Arc::default());
    let room = filled(&mut node);
    let user = |number: usize| -> UserName { format!("user {number}").parse().unwrap() };
    for number in 0..limits::MARKS_WAITING_MAX {
        assert!(room.mark(&user(number), offset(1)));
    }
    assert!(!room.mark(&ann(), offset(1)));
    assert!(room.mark(&user(0), offset(2)), "one that waits may move");
    node.housekeep();
    assert!(room.mark(&ann(), offset(1)));
}
