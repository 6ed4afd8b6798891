//! How profiles are written.

use std::time::Duration;

use loquic_impair::{Chance, Conditions, NAMED, ParseError, Profile, Rate, Rebind, Rebinding};
use proptest::prelude::*;

use crate::lane::conditions;

fn rebind() -> impl Strategy<Value = Option<Rebind>> {
    let what = prop_oneof![Just(Rebinding::Address), Just(Rebinding::Port)];
    let rebind = (what, 0..9_000u64, 10..9_000u64).prop_map(|(what, first, every)| Rebind {
        what,
        first: Duration::from_millis(first),
        every: Duration::from_millis(every),
    });
    prop::option::of(rebind)
}

proptest! {
    #[test]
    fn what_is_written_is_read(up in conditions(), down in conditions(), is_same: bool, rebind in rebind()) {
        let down = if is_same { up.clone() } else { down };
        let profile = Profile { up, down, rebind };
        let text = profile.to_string();
        prop_assert_eq!(text.parse::<Profile>(), Ok(profile.clone()), "{}", text);
        let json = serde_json::to_string(&profile).unwrap();
        prop_assert_eq!(serde_json::from_str::<Profile>(&json).unwrap(), profile);
    }

    #[test]
    fn no_text_is_too_bad(text in "[a-z.=0-9%/,-]{0,40}|(up.|down.)?(delay|loss|burst|rate|blackout|drop)=[0-9a-z%/.-]{0,20}") {
        if let Ok(profile) = text.parse::<Profile>() {
            prop_assert_eq!(profile.to_string().parse::<Profile>(), Ok(profile));
        }
    }
}

#[test]
fn names_mean_what_they_say() {
    for named in NAMED {
        let profile: Profile = named.name.parse().unwrap();
        assert_eq!(profile.to_string().parse(), Ok(profile.clone()), "{}", named.name);
        assert_eq!(named.name == "clean", profile == Profile::CLEAN, "{}", named.name);
    }
    let both = |conditions: Conditions| Profile { up: conditions.clone(), down: conditions, rebind: None };
    let interop = Conditions {
        delay: Duration::from_millis(15),
        rate: Some(Rate::bits_per_second(10_000_000)),
        queue_packets_max: 25,
        ..Conditions::CLEAN
    };
    assert_eq!("interop-clean".parse(), Ok(both(interop.clone())));
    let loss = Conditions { loss: Chance::percent(30), run_max: Some(3), ..interop };
    assert_eq!("interop-handshake-loss".parse(), Ok(both(loss)));
    assert_eq!("loss-2".parse(), Ok(both(Conditions { loss: Chance::percent(2), ..Conditions::CLEAN })));
    let rtt: Profile = "rtt-750ms".parse().unwrap();
    assert_eq!(rtt.up.delay + rtt.down.delay, Duration::from_millis(750));
}

#[test]
fn a_name_may_be_changed_and_a_direction_chosen() {
    let profile: Profile = "loss-20, down.loss=0.5%, up.delay=1s500ms".parse().unwrap();
    assert_eq!((profile.up.loss, profile.down.loss), (Chance::percent(20), Chance::parts_per_million(5_000)));
    assert_eq!((profile.up.delay, profile.down.delay), (Duration::from_millis(1_500), Duration::ZERO));
    assert_eq!(profile.to_string(), "up.delay=1s500ms,up.loss=20%,down.loss=0.5%");
}

#[test]
fn mistakes_are_named() {
    let error = |text: &str| text.parse::<Profile>().unwrap_err();
    assert!(matches!(error("bad"), ParseError::UnknownName { known, .. } if known.contains("loss-20")));
    assert!(matches!(error("delay=1ms,clean"), ParseError::UnknownName { .. }));
    assert_eq!(error("up.speed=1"), ParseError::UnknownKey("up.speed".into()));
    for text in [
        "loss=2",
        "loss=101%",
        "loss=0.00001%",
        "delay=2h",
        "rate=1bit",
        "rate=10",
        "burst=1%/2%",
        "burst=1%/2%/3%/4%",
        "blackout=5s/1ms",
        "drop=0-3",
        "drop=3-2",
        "run=0",
        "queue=65537",
        "rebind=port/1s/1ms",
        "rebind=port/1s",
        "rebind=host/1s/1s",
        "reorder=5%",
    ] {
        assert!(matches!(error(text), ParseError::BadValue { .. }), "{text}");
    }
    assert_eq!(
        error("down.loss=2").to_string(),
        "down.loss=2: must be a percentage such as 2%, with at most 4 decimals"
    );
}
