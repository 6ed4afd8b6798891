use std::collections::BTreeSet;

use loquic_wire::{Decoder, Frame, SessionId, who::Members};
use proptest::prelude::*;

use super::*;

const GRACE: Duration = Duration::from_secs(10);

fn session(number: u32) -> SessionId {
    let mut id = [0; 16];
    id[..4].copy_from_slice(&number.to_be_bytes());
    SessionId(id)
}

fn user(number: u32) -> UserName {
    UserName::new(&format!("user-{number:05}")).unwrap()
}

/// What a client knows that follows the rules of PROTOCOL section 17.
struct Client {
    place: Place,
    count: Option<u64>,
    /// `None` while the list is not known.
    members: Option<BTreeMap<UserName, u32>>,
    frames: usize,
    entries: usize,
    bytes_max: usize,
}

impl Client {
    fn follow(board: &mut Board, level: PresenceLevel) -> Self {
        Self { place: board.follow(level), count: None, members: None, frames: 0, entries: 0, bytes_max: 0 }
    }

    /// Takes what there is, at most `frames_max` frames of it.
    fn hear(&mut self, board: &mut Board, frames_max: usize) {
        for _ in 0..frames_max {
            let Some(bytes) = board.next(&mut self.place) else { return };
            self.bytes_max = self.bytes_max.max(bytes.len());
            let mut decoder = Decoder::new();
            decoder.push(&bytes).unwrap();
            let Ok(Some(Frame::Presence(presence))) = decoder.next_frame() else { panic!("not one Presence") };
            assert!(decoder.is_empty());
            self.take(presence);
        }
    }

    fn take(&mut self, Presence { count, snapshot, members }: Presence) {
        self.frames += 1;
        self.entries += members.len();
        self.count = Some(count);
        if snapshot {
            self.members = (count == 0 || !members.is_empty()).then(BTreeMap::new);
        }
        let Some(known) = &mut self.members else { return assert!(members.is_empty(), "changes of an unknown list") };
        for Member { user, sessions } in members {
            if sessions > 0 {
                known.insert(user, sessions);
            } else {
                assert!(known.remove(&user).is_some(), "{user} leaves who was not there");
            }
        }
    }
}

/// Lets time pass until `until`, as the driver does; returns when rounds began.
fn pass(board: &mut Board, until: Duration) -> Vec<Duration> {
    let mut rounds = Vec::new();
    while let Some(due) = board.deadline().filter(|due| *due <= until) {
        if board.settle(due) {
            rounds.push(due);
        }
        assert!(board.deadline() != Some(due), "what was due is done");
    }
    rounds
}

/// Who is there, said in the simplest way.
#[derive(Default)]
struct Truth {
    seats: Vec<Sitting>,
}

struct Sitting {
    session: u32,
    number: u64,
    user: u32,
    streams: u32,
    until: Option<Duration>,
}

impl Truth {
    fn users(&self) -> BTreeMap<UserName, u32> {
        let mut users = BTreeMap::new();
        self.seats.iter().for_each(|seat| *users.entry(user(seat.user)).or_default() += 1);
        users
    }

    fn expire(&mut self, now: Duration) {
        self.seats.retain(|seat| seat.until.is_none_or(|until| until > now));
    }
}

#[derive(Debug, Clone)]
enum Step {
    Enter { session: u32, previous: Option<u32> },
    Leave(u32),
    Vanish(u32),
    Pass(u64),
    Follow(bool),
    Hear { follower: usize, frames_max: usize },
    Unfollow(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..10_u32, proptest::option::of(0..10_u32)).prop_map(|(session, previous)| Step::Enter { session, previous }),
        4 => (0..10_u32).prop_map(Step::Leave),
        2 => (0..10_u32).prop_map(Step::Vanish),
        5 => prop_oneof![0..600_u64, 0..12_000_u64].prop_map(Step::Pass),
        2 => any::<bool>().prop_map(Step::Follow),
        5 => (0..6_usize, 1..4_usize).prop_map(|(follower, frames_max)| Step::Hear { follower, frames_max }),
        1 => (0..6_usize).prop_map(Step::Unfollow),
    ];
    proptest::collection::vec(step, 0..120)
}

/// Sessions 0 and 5 are of user 0, and so on.
fn user_of(session: u32) -> u32 {
    session % 5
}

/// The board, the truth, and those who listen to the board.
struct World {
    board: Board,
    truth: Truth,
    clients: Vec<Client>,
    /// Which session of those numbers sits there, by the number of its seat.
    held: Vec<(u32, u64)>,
    now: Duration,
    rounds: Vec<Duration>,
    /// The same session does not come twice.
    names: BTreeMap<u32, u32>,
}

impl World {
    fn new(list_max: usize) -> Self {
        let board = Board::new(list_max, GRACE);
        let (truth, names) = (Truth::default(), BTreeMap::new());
        Self { board, truth, clients: Vec::new(), held: Vec::new(), now: Duration::ZERO, rounds: Vec::new(), names }
    }

    /// What session `which` is called now; once vanished, its successor has another name.
    fn name(&self, which: u32) -> u32 {
        which + 10 * self.names.get(&which).copied().unwrap_or(0)
    }

    fn settle(&mut self) {
        let had_followers = !self.clients.is_empty();
        if self.board.settle(self.now) && had_followers {
            self.rounds.push(self.now);
        }
    }

    fn enter(&mut self, which: u32, previous: Option<u32>) {
        let (name, owner) = (self.name(which), user_of(which));
        // Their last name, so that hand-over after vanishing happens too.
        let previous = previous.map(|other| (self.name(other).saturating_sub(10 * (other & 1)), user_of(other)));
        let number = self.board.enter(session(name), &user(owner), previous.map(|(name, _)| session(name)));
        self.held.push((name, number));
        match self.truth.seats.iter_mut().find(|seat| seat.session == name) {
            Some(seat) => seat.streams += 1,
            None => {
                self.truth.seats.retain(|seat| {
                    let is_previous = previous.is_some_and(|(name, _)| name == seat.session);
                    !(is_previous && seat.user == owner)
                });
                self.truth.seats.push(Sitting { session: name, number, user: owner, streams: 1, until: None });
            }
        }
    }

    fn leave(&mut self, which: u32) {
        let name = self.name(which);
        let Some(at) = self.held.iter().position(|(session, _)| *session == name) else { return };
        let (_, number) = self.held.remove(at);
        self.board.leave(session(name), number);
        if let Some(seat) = self.truth.seats.iter_mut().find(|seat| (seat.session, seat.number) == (name, number)) {
            seat.streams -= 1;
        }
        self.truth.seats.retain(|seat| seat.streams > 0);
    }

    fn vanish(&mut self, which: u32) {
        let name = self.name(which);
        let until = self.now + GRACE;
        for (_, number) in self.held.extract_if(.., |(session, _)| *session == name) {
            self.board.vanish(session(name), number, self.now);
            if let Some(seat) = self.truth.seats.iter_mut().find(|seat| (seat.session, seat.number) == (name, number)) {
                seat.until = Some(until);
            }
        }
        *self.names.entry(which).or_default() += 1;
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Enter { session, previous } => self.enter(session, previous),
            Step::Leave(session) => self.leave(session),
            Step::Vanish(session) => self.vanish(session),
            Step::Pass(millis) => {
                let until = self.now + Duration::from_millis(millis);
                let rounds = pass(&mut self.board, until);
                if !self.clients.is_empty() {
                    self.rounds.extend(rounds);
                }
                self.now = until;
                self.truth.expire(until);
            }
            Step::Follow(changes) => {
                let level = if changes { PresenceLevel::Changes } else { PresenceLevel::Count };
                self.clients.push(Client::follow(&mut self.board, level));
            }
            Step::Hear { follower, frames_max } => {
                if let Some(client) = self.clients.get_mut(follower) {
                    client.hear(&mut self.board, frames_max);
                }
            }
            Step::Unfollow(follower) if follower < self.clients.len() => {
                let client = self.clients.swap_remove(follower);
                self.board.unfollow(&client.place);
            }
            Step::Unfollow(_) => {}
        }
        self.settle();
    }

    /// Time passes until nothing is left to happen; then everybody must know the truth.
    fn check(mut self, list_max: usize) {
        self.step(Step::Pass(60_000));
        assert_eq!(self.board.deadline(), None);
        self.step(Step::Follow(true));
        self.step(Step::Follow(false));
        let truth = self.truth.users();
        assert_eq!(self.board.roster().members().map(|(user, n)| (user.clone(), n)).collect::<BTreeMap<_, _>>(), truth);
        for client in &mut self.clients {
            client.hear(&mut self.board, usize::MAX);
            assert_eq!(client.count, Some(truth.len() as u64));
            match client.place.level {
                PresenceLevel::Changes if truth.len() <= list_max => assert_eq!(client.members.as_ref(), Some(&truth)),
                _ => assert_eq!(client.members, None),
            }
        }
        for pair in self.rounds.windows(2) {
            assert!(pair[1] - pair[0] >= limits::PRESENCE_INTERVAL, "{pair:?}");
        }
        assert!(self.board.log.len() <= limits::PRESENCE_ROUNDS_MAX);
        assert!(self.board.moved.is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whatever happens, and however late and seldom a follower listens, it ends with what is true.
    #[test]
    fn a_follower_ends_with_the_truth(steps in steps(), list_max in 0..6_usize) {
        let mut world = World::new(list_max);
        for step in steps {
            world.step(step);
        }
        world.check(list_max);
    }
}

/// A full room in which somebody comes and goes all the time.
fn churn(list_max: usize, users: u32, seconds: u64) -> (usize, usize) {
    let mut board = Board::new(list_max, GRACE);
    let mut clients = Vec::new();
    let mut seats = Vec::new();
    let mut now = Duration::ZERO;
    for number in 0..users {
        seats.push(board.enter(session(number), &user(number), None));
        board.settle(now);
        clients.push(Client::follow(&mut board, PresenceLevel::Changes));
    }
    now += Duration::from_secs(60);
    pass(&mut board, now);
    clients.iter_mut().for_each(|client| client.hear(&mut board, usize::MAX));
    let (frames, entries): (Vec<_>, Vec<_>) = clients.iter().map(|client| (client.frames, client.entries)).unzip();
    let end = now + Duration::from_secs(seconds);
    let mut next = 0;
    while now < end {
        now += Duration::from_millis(10);
        for _ in 0..10 {
            // At most a thousand, so that a large room stays one.
            let which = next % users.min(1_000);
            next += 7;
            // Always away or back, so that something has moved whenever a round comes.
            let seat = &mut seats[which as usize];
            if *seat == 0 {
                *seat = board.enter(session(which), &user(which), None);
            } else {
                board.leave(session(which), std::mem::take(seat));
            }
            // One that has listened to all it was told is told again only in the next round.
            if board.settle(now) {
                clients.iter_mut().for_each(|client| client.hear(&mut board, usize::MAX));
            }
        }
        if pass(&mut board, now).is_empty() {
            continue;
        }
        clients.iter_mut().for_each(|client| client.hear(&mut board, usize::MAX));
    }
    pass(&mut board, now + Duration::from_secs(60));
    clients.iter_mut().for_each(|client| client.hear(&mut board, usize::MAX));
    let truth: BTreeMap<_, _> = board.roster().members().map(|(user, sessions)| (user.clone(), sessions)).collect();
    assert!(clients.iter().all(|client| client.count == Some(truth.len() as u64)));
    if truth.len() <= list_max {
        assert!(clients.iter().all(|client| client.members.as_ref() == Some(&truth)));
    }
    assert!(clients.iter().all(|client| client.bytes_max <= limits::PRESENCE_PAGE_BYTES_MAX + 64));
    let told = |before: Vec<usize>, of: fn(&Client) -> usize| -> usize {
        clients.iter().zip(before).map(|(client, before)| of(client) - before).sum()
    };
    (told(frames, |client| client.frames), told(entries, |client| client.entries))
}

#[test]
fn a_room_of_ten_thousand_does_not_storm() {
    let (frames, entries) = churn(limits::PRESENCE_LIST_MAX, 10_000, 60);
    println!("10,000 users, counts: {frames} frames, {entries} members in 60 s");
    // A round more, because the last one may come at the end.
    assert!(frames <= 60 * limits::PRESENCE_RATE_MAX as usize + 2 * 10_000, "{frames}");
    assert!(frames >= 5 * 10_000, "the room is told: {frames}");
    assert_eq!(entries, 0);
}

#[test]
fn changes_cost_as_much_as_they_say() {
    let (frames, entries) = churn(limits::PRESENCE_LIST_MAX, 500, 60);
    println!("500 users, changes: {frames} frames, {entries} members in 60 s");
    let rate = limits::PRESENCE_RATE_MAX as usize;
    assert!(frames <= 60 * rate + 2 * 500, "{frames}");
    assert!(entries <= (60 * rate + 2 * 500) * limits::PRESENCE_MEMBERS_PER_FRAME + 2 * 500 * 500, "{entries}");
    assert!(frames >= 10 * 500, "the room is told: {frames}");
}

#[test]
fn a_list_comes_in_pages_and_so_does_who() {
    let mut board = Board::new(10_000, GRACE);
    for number in 0..3_000 {
        board.enter(session(number), &user(number), None);
    }
    board.settle(Duration::ZERO);
    let mut client = Client::follow(&mut board, PresenceLevel::Changes);
    client.hear(&mut board, 1);
    let first = client.members.as_ref().map(BTreeMap::len);
    assert!(first < Some(3_000), "{first:?}");
    client.hear(&mut board, usize::MAX);
    assert!(client.frames > 3 && client.bytes_max <= limits::PRESENCE_PAGE_BYTES_MAX + 64);
    let mut found = BTreeSet::new();
    let mut after = None;
    loop {
        let Members { count, members, more } = board.roster().page(after.as_ref(), 700);
        assert_eq!(count, 3_000);
        assert!(members.len() <= 700 && members.is_sorted_by(|a, b| a.user < b.user));
        after = members.last().map(|member| member.user.clone());
        assert!(members.into_iter().all(|member| found.insert(member.user)));
        if !more {
            break;
        }
    }
    assert!(found.iter().eq(client.members.unwrap().keys()));
}

#[test]
fn a_page_of_the_longest_names_fits_its_frame() {
    let mut board = Board::new(10_000, GRACE);
    for number in 0..1_000 {
        let name = UserName::new(&format!("{number:0128}")).unwrap();
        board.enter(session(number), &name, None);
    }
    let page = board.roster().page(None, 1_000);
    assert!(page.more && page.members.len() > 200);
    let frame = to_bytes(&page);
    assert!(frame.len() <= loquic_wire::limits::LIST_FRAME_BODY_MAX + 4, "{}", frame.len());
}

#[test]
fn a_slow_follower_gets_a_list_in_place_of_what_it_missed() {
    let mut board = Board::new(100, GRACE);
    let mut now = Duration::ZERO;
    board.enter(session(0), &user(0), None);
    board.settle(now);
    let mut client = Client::follow(&mut board, PresenceLevel::Changes);
    client.hear(&mut board, usize::MAX);
    for number in 1..60 {
        now += limits::PRESENCE_INTERVAL;
        board.enter(session(number), &user(number), None);
        assert!(board.settle(now));
    }
    let before = client.frames;
    client.hear(&mut board, usize::MAX);
    assert_eq!((client.frames - before, client.members.unwrap().len()), (1, 60));
}

#[test]
fn past_the_bound_the_vanished_leave_at_once() {
    let mut board = Board::new(0, GRACE);
    let many = limits::PRESENCE_VANISHED_MAX as u32 + 1;
    for number in 0..many {
        let seat = board.enter(session(number), &user(number), None);
        board.vanish(session(number), seat, Duration::ZERO);
    }
    assert_eq!(board.roster().count(), many as usize - 1);
    board.settle(GRACE);
    assert!(board.is_vacant());
}
