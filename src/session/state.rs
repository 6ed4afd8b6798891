//! What a session may do next: the order of the greeting, and how many streams of which sort are open.
//!
//! Pure: no link, no clock, no task. The session's own task drives it, with what has happened, and does what it says.

use std::borrow::Cow;

use loquic_wire::{
    Code, Frame,
    control::{Hello, SessionLimits},
    join::Join,
    publish::Open,
    read::Read,
    watch::Watch,
    who::Who,
};

use crate::config::limits;

/// What ends a session, and what the peer is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) code: Code,
    pub(super) reason: Cow<'static, str>,
}

impl Fault {
    pub(super) fn new(code: Code, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { code, reason: reason.into() }
    }
}

/// What a stream is for, from its first frame.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Purpose {
    Join(Join),
    Open(Open),
    Read(Read),
    Watch(Watch),
    Who(Who),
}

/// The sorts of streams that are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    /// Joins and watches.
    Room,
    Publish,
    /// Reads and whos.
    Read,
}

impl Purpose {
    pub(super) fn sort(&self) -> Sort {
        match self {
            Self::Join(_) | Self::Watch(_) => Sort::Room,
            Self::Open(_) => Sort::Publish,
            Self::Read(_) | Self::Who(_) => Sort::Read,
        }
    }
}

/// What to do with a stream whose first frame is there.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum First {
    /// It is the control stream; [`State::welcome`] follows, or the session's end.
    Greet(Hello),
    /// Keep it until the welcome.
    Park(Purpose),
    /// Serve it.
    Serve(Purpose),
    /// Too many of its sort are open.
    Refuse,
}

/// quinn announces a higher limit of streams when it is more than this part of the limit above the last one announced.
const QUINN_KEEPS: u32 = 8;

/// Invariant: `parked <= STREAMS_PARKED_MAX` and 0 once welcomed, `counts[sort] <= maxima[sort]`,
/// `parked + counts <= streams_open <= streams_max <= STREAMS_MAX`, the last two unless a link lets more through than
/// it was told, which is a fault.
#[derive(Debug)]
pub(super) struct State {
    phase: Phase,
    /// Accepted and not ended, whatever they are for; the control stream is one.
    streams_open: u32,
    /// What the peer may have open.
    streams_max: u32,
    parked: usize,
    counts: [u32; 3],
    maxima: [u32; 3],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// No `Hello` yet.
    Silent,
    /// A `Hello`, which is being answered.
    Greeted,
    Welcome,
}

impl State {
    pub(super) fn new(session: &SessionLimits) -> Self {
        let mut maxima = [0; 3];
        maxima[Sort::Room as usize] = session.rooms_max;
        maxima[Sort::Publish as usize] = session.publish_max;
        maxima[Sort::Read as usize] = session.reads_max;
        let streams_max = limits::STREAMS_START;
        Self { phase: Phase::Silent, streams_open: 0, streams_max, parked: 0, counts: [0; 3], maxima }
    }

    /// A stream was accepted; its first frame is not there yet.
    pub(super) fn handle_accepted(&mut self) -> Result<(), Fault> {
        self.streams_open += 1;
        // Before the welcome one of them is, or becomes, the control stream.
        let may_be_open = match self.phase {
            Phase::Welcome => limits::STREAMS_MAX,
            Phase::Silent | Phase::Greeted => limits::STREAMS_PARKED_MAX as u32 + 1,
        };
        if self.streams_open > may_be_open {
            return Err(Fault::new(Code::TOO_MANY_STREAMS, "more streams than may be open"));
        }
        Ok(())
    }

    /// The first frame of an accepted stream is there.
    pub(super) fn handle_first_frame(&mut self, frame: Frame) -> Result<First, Fault> {
        let purpose = match frame {
            Frame::Hello(hello) => return self.handle_hello(hello),
            Frame::Join(join) => Purpose::Join(join),
            Frame::Open(open) => Purpose::Open(open),
            Frame::Read(read) => Purpose::Read(read),
            Frame::Watch(watch) => Purpose::Watch(watch),
            Frame::Who(who) => Purpose::Who(who),
            frame => return Err(unexpected(&frame, "as the first frame of a stream")),
        };
        if self.phase == Phase::Welcome {
            return Ok(self.admit(purpose));
        }
        if self.parked == limits::STREAMS_PARKED_MAX {
            return Err(Fault::new(Code::TOO_MANY_STREAMS, "too many streams before the welcome"));
        }
        self.parked += 1;
        Ok(First::Park(purpose))
    }

    /// The `Hello` was accepted. Parked streams come back through [`State::unpark`].
    pub(super) fn welcome(&mut self) {
        debug_assert_eq!(self.phase, Phase::Greeted);
        self.phase = Phase::Welcome;
    }

    /// What to do with a parked stream after the welcome: [`First::Serve`] or [`First::Refuse`].
    pub(super) fn unpark(&mut self, purpose: Purpose) -> First {
        debug_assert!(self.parked > 0 && self.phase == Phase::Welcome);
        self.parked -= 1;
        self.admit(purpose)
    }

    /// A stream has ended in both directions. `sort` is what it was served as, if it was.
    pub(super) fn handle_ended(&mut self, sort: Option<Sort>) {
        self.streams_open -= 1;
        if let Some(sort) = sort {
            self.counts[sort as usize] -= 1;
        }
        self.assert_invariants();
    }

    /// What the peer may have open from now on, if that has to change: always `STREAMS_AHEAD` and a quarter more than
    /// are open. Moves in large steps, because each costs a frame and the connection's lock, and because quinn keeps
    /// a rise to itself that is no more than an eighth of the sum: a peer that has used up what it knows of must be
    /// told more. Near the maximum the step is the whole rest, or the last one would be too small.
    pub(super) fn poll_streams_max(&mut self) -> Option<u32> {
        let room = limits::STREAMS_AHEAD + self.streams_open / 4;
        let ahead = self.streams_max.saturating_sub(self.streams_open);
        if ahead > (limits::STREAMS_AHEAD / 2 - 1).max(self.streams_max / QUINN_KEEPS) && ahead <= 2 * room {
            return None;
        }
        let wanted = match self.streams_open + room {
            wanted if wanted > limits::STREAMS_MAX / 4 * 3 => limits::STREAMS_MAX,
            wanted => wanted.max(limits::STREAMS_START),
        };
        (std::mem::replace(&mut self.streams_max, wanted) != wanted).then_some(wanted)
    }

    fn handle_hello(&mut self, hello: Hello) -> Result<First, Fault> {
        if self.phase != Phase::Silent {
            return Err(Fault::new(Code::ALREADY_GREETED, "a second Hello"));
        }
        self.phase = Phase::Greeted;
        Ok(First::Greet(hello))
    }

    fn admit(&mut self, purpose: Purpose) -> First {
        let sort = purpose.sort() as usize;
        if self.counts[sort] >= self.maxima[sort] {
            return First::Refuse;
        }
        self.counts[sort] += 1;
        self.assert_invariants();
        First::Serve(purpose)
    }

    fn assert_invariants(&self) {
        debug_assert!(self.parked <= limits::STREAMS_PARKED_MAX);
        debug_assert!(self.counts.iter().zip(self.maxima).all(|(count, max)| *count <= max));
        debug_assert!(self.counts.iter().sum::<u32>() + self.parked as u32 <= self.streams_open);
    }
}

/// A frame that is not allowed where it came.
pub(super) fn unexpected(frame: &Frame, place: &str) -> Fault {
    if let Frame::Hello(_) = frame {
        return Fault::new(Code::ALREADY_GREETED, "a second Hello");
    }
    Fault::new(Code::UNEXPECTED_FRAME, format!("{} {place}", frame.name()))
}

#[cfg(test)]
mod tests {
    use loquic_wire::{
        RoomName, UserName,
        control::{Auth, Ping},
        read::Range,
    };
    use proptest::prelude::*;

    use super::*;

    fn session_limits() -> SessionLimits {
        SessionLimits { rooms_max: 3, reads_max: 2, publish_max: 2, payload_bytes_max: 1 }
    }

    fn hello() -> Frame {
        let auth = Auth::Anonymous { name: UserName::new("ada").unwrap() };
        Hello { versions: vec![1], auth, client: "test".into(), previous: None }.into()
    }

    fn read() -> Frame {
        Read { room: RoomName::new("a").unwrap(), range: Range::Newest, limit: 1 }.into()
    }

    fn watch() -> Frame {
        Watch::Rooms(vec![]).into()
    }

    fn open_stream(state: &mut State, frame: Frame) -> Result<First, Fault> {
        state.handle_accepted()?;
        state.handle_first_frame(frame)
    }

    #[test]
    fn streams_wait_for_the_welcome() {
        let mut state = State::new(&session_limits());
        let First::Park(parked) = open_stream(&mut state, read()).unwrap() else { panic!("not parked") };
        assert!(matches!(open_stream(&mut state, hello()), Ok(First::Greet(_))));
        assert!(matches!(open_stream(&mut state, read()), Ok(First::Park(_))));
        state.welcome();
        assert!(matches!(state.unpark(parked.clone()), First::Serve(_)));
        assert!(matches!(state.unpark(parked), First::Serve(_)));
        assert_eq!(open_stream(&mut state, read()), Ok(First::Refuse));
        state.handle_ended(None);
        state.handle_ended(Some(Sort::Read));
        assert!(matches!(open_stream(&mut state, read()), Ok(First::Serve(_))));
    }

    #[test]
    fn the_seventeenth_parked_stream_is_a_fault() {
        let mut state = State::new(&session_limits());
        for _ in 0..limits::STREAMS_PARKED_MAX {
            assert!(matches!(open_stream(&mut state, read()), Ok(First::Park(_))));
        }
        assert_eq!(open_stream(&mut state, read()).unwrap_err().code, Code::TOO_MANY_STREAMS);
    }

    #[test]
    fn silent_streams_count_before_the_welcome() {
        let mut state = State::new(&session_limits());
        for _ in 0..=limits::STREAMS_PARKED_MAX {
            state.handle_accepted().unwrap();
        }
        assert_eq!(state.handle_accepted().unwrap_err().code, Code::TOO_MANY_STREAMS);
    }

    #[test]
    fn a_second_hello_is_a_fault() {
        let mut state = State::new(&session_limits());
        open_stream(&mut state, hello()).unwrap();
        assert_eq!(open_stream(&mut state, hello()).unwrap_err().code, Code::ALREADY_GREETED);
    }

    #[test]
    fn a_stream_does_not_begin_in_the_middle() {
        let mut state = State::new(&session_limits());
        let fault = open_stream(&mut state, Ping { token: 1 }.into()).unwrap_err();
        assert_eq!(fault, Fault::new(Code::UNEXPECTED_FRAME, "Ping as the first frame of a stream"));
    }

    #[test]
    fn an_idle_session_keeps_the_first_allowance() {
        let mut state = State::new(&session_limits());
        open_stream(&mut state, hello()).unwrap();
        state.welcome();
        open_stream(&mut state, watch()).unwrap();
        assert_eq!(state.poll_streams_max(), None);
    }

    #[test]
    fn a_peer_that_uses_what_it_knows_of_is_told_more_until_the_maximum() {
        // Whatever the number was when streams began to stay.
        for first in 0..limits::STREAMS_MAX {
            let mut state = State::new(&session_limits());
            state.phase = Phase::Welcome;
            state.streams_open = first;
            let mut told = limits::STREAMS_START;
            loop {
                if let Some(allowed) = state.poll_streams_max()
                    && allowed > told + allowed / QUINN_KEEPS
                {
                    told = allowed;
                }
                if state.streams_open == limits::STREAMS_MAX {
                    break;
                }
                assert!(told > state.streams_open, "stuck with {told} from {first} on");
                state.handle_accepted().unwrap();
            }
        }
    }

    /// What may happen to a session.
    #[derive(Debug, Clone)]
    enum Step {
        Accept,
        First(u8),
        End,
        Welcome,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => Just(Step::Accept),
            4 => (0..4_u8).prop_map(Step::First),
            2 => Just(Step::End),
            1 => Just(Step::Welcome),
        ];
        prop::collection::vec(step, 0..600)
    }

    /// Streams by what the model thinks they are.
    #[derive(Default)]
    struct Model {
        silent: u32,
        parked: Vec<Purpose>,
        served: Vec<Sort>,
        other: u32,
        greeted: bool,
        welcome: bool,
    }

    impl Model {
        fn open(&self) -> u32 {
            self.silent + self.other + self.parked.len() as u32 + self.served.len() as u32
        }

        /// Returns whether the session goes on.
        fn step(&mut self, state: &mut State, step: Step) -> bool {
            match step {
                Step::Accept => {
                    let is_full = self.open() >= if self.welcome { limits::STREAMS_MAX } else { 17 };
                    self.silent += 1;
                    let accepted = state.handle_accepted();
                    assert_eq!(accepted.is_err(), is_full);
                    return accepted.is_ok();
                }
                Step::First(which) if self.silent > 0 => {
                    self.silent -= 1;
                    let frame = [hello(), read(), watch(), watch()][usize::from(which)].clone();
                    match state.handle_first_frame(frame) {
                        Ok(First::Greet(_)) => {
                            assert!(!std::mem::replace(&mut self.greeted, true));
                            self.other += 1;
                        }
                        Ok(First::Park(purpose)) => {
                            assert!(!self.welcome);
                            self.parked.push(purpose);
                        }
                        Ok(first) => self.admitted(first, state),
                        Err(fault) => {
                            let is_second = fault.code == Code::ALREADY_GREETED && self.greeted;
                            assert!(is_second || self.parked.len() == limits::STREAMS_PARKED_MAX);
                            return false;
                        }
                    }
                }
                Step::End => {
                    if let Some(sort) = self.served.pop() {
                        state.handle_ended(Some(sort));
                    }
                }
                Step::Welcome if self.greeted && !self.welcome => {
                    self.welcome = true;
                    state.welcome();
                    for purpose in std::mem::take(&mut self.parked) {
                        let first = state.unpark(purpose);
                        self.admitted(first, state);
                    }
                }
                Step::First(_) | Step::Welcome => {}
            }
            true
        }

        fn admitted(&mut self, first: First, state: &mut State) {
            match first {
                First::Serve(purpose) => self.served.push(purpose.sort()),
                First::Refuse => state.handle_ended(None),
                first => panic!("not after the welcome: {first:?}"),
            }
        }
    }

    proptest! {
        /// Whatever a peer does, the counts are those of a model, and an allowance leaves room until the maximum.
        #[test]
        fn counts_are_those_of_a_model(steps in steps()) {
            let (mut state, mut model) = (State::new(&session_limits()), Model::default());
            let (mut allowed, mut told) = (limits::STREAMS_START, limits::STREAMS_START);
            for step in steps {
                if !model.step(&mut state, step) {
                    break;
                }
                state.assert_invariants();
                prop_assert_eq!(state.streams_open, model.open());
                allowed = state.poll_streams_max().unwrap_or(allowed);
                prop_assert!((limits::STREAMS_START..=limits::STREAMS_MAX).contains(&allowed));
                prop_assert!(allowed >= (model.open() + limits::STREAMS_AHEAD / 2).min(limits::STREAMS_MAX));
                // What is announced does not go down, and goes up in steps that quinn finds worth a frame.
                if allowed > told + allowed / QUINN_KEEPS {
                    told = allowed;
                }
                prop_assert!(told > model.open() || model.open() >= limits::STREAMS_MAX);
                let rooms = model.served.iter().filter(|sort| **sort == Sort::Room).count();
                prop_assert!(rooms <= 3 && model.served.len() - rooms <= 2);
            }
        }
    }
}
