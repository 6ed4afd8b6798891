//! What one direction of a path does to packets.

use std::{ops::RangeInclusive, str::FromStr, time::Duration};

use crate::{
    limits,
    units::{self, Chance, Rate},
};

/// What one direction of a path does to packets; the crate's documentation has a word on each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conditions {
    /// One way.
    pub delay: Duration,
    /// Up to so much more, evenly spread.
    pub jitter: Duration,
    /// Of a packet by itself; with `burst`, in its good state.
    pub loss: Chance,
    /// Losses that come together.
    pub burst: Option<Burst>,
    /// Packets in a row that may be lost, or corrupted.
    pub run_max: Option<u32>,
    /// One bit flipped.
    pub corrupt: Chance,
    /// Sent twice.
    pub duplicate: Chance,
    /// Held back, so that later ones overtake.
    pub reorder: Option<Reorder>,
    /// Of payload.
    pub rate: Option<Rate>,
    /// Packets that may wait for the rate, beside the one that is on the line.
    pub queue_packets_max: u32,
    /// Times at which nothing passes.
    pub blackout: Option<Blackout>,
    /// Packets of each client that are dropped, counted from 1.
    pub drop: Option<RangeInclusive<u64>>,
}

/// The two-state model of Gilbert and Elliott. The state changes before a packet is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Burst {
    /// From the good state into the bad one.
    pub enter: Chance,
    /// And back.
    pub leave: Chance,
    /// In the bad state.
    pub loss: Chance,
}

/// How packets are overtaken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reorder {
    /// That a packet is held back.
    pub chance: Chance,
    /// For up to so long, evenly spread.
    pub hold_max: Duration,
}

/// Passes first, then drops, and again, from when the profile was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blackout {
    /// How long packets pass.
    pub light: Duration,
    /// How long none does.
    pub dark: Duration,
}

impl Blackout {
    /// So long after the beginning: whether it is dark, and how long that stays so.
    pub(crate) fn at(&self, since: Duration) -> (bool, Duration) {
        let period = (self.light + self.dark).max(limits::PERIOD_MIN).as_nanos();
        let phase = since.as_nanos() % period;
        let rest = |end: u128| Duration::from_nanos(u64::try_from(end - phase).unwrap_or(u64::MAX));
        let light = self.light.as_nanos();
        if phase < light { (false, rest(light)) } else { (!self.dark.is_zero(), rest(period)) }
    }
}

impl Conditions {
    /// Everything passes at once, and as it is.
    pub const CLEAN: Self = Self {
        delay: Duration::ZERO,
        jitter: Duration::ZERO,
        loss: Chance::NEVER,
        burst: None,
        run_max: None,
        corrupt: Chance::NEVER,
        duplicate: Chance::NEVER,
        reorder: None,
        rate: None,
        queue_packets_max: limits::QUEUE_PACKETS_DEFAULT,
        blackout: None,
        drop: None,
    };

    /// Takes a value as it is written in a profile. On a mistake: what would have been right, or `None` for a key that
    /// does not exist.
    pub(crate) fn set(&mut self, key: &str, value: &str) -> Result<(), Option<&'static str>> {
        let is_set = match key {
            "delay" => put(&mut self.delay, units::duration(value)),
            "jitter" => put(&mut self.jitter, units::duration(value)),
            "loss" => put(&mut self.loss, value.parse()),
            "burst" => put(&mut self.burst, burst(value).map(Some)),
            "run" => put(&mut self.run_max, number(value, 1, u32::MAX).map(Some)),
            "corrupt" => put(&mut self.corrupt, value.parse()),
            "duplicate" => put(&mut self.duplicate, value.parse()),
            "reorder" => put(&mut self.reorder, reorder(value).map(Some)),
            "rate" => put(&mut self.rate, value.parse().map(Some)),
            "queue" => put(&mut self.queue_packets_max, number(value, 0, limits::QUEUE_PACKETS_MAX)),
            "blackout" => put(&mut self.blackout, blackout(value).map(Some)),
            "drop" => put(&mut self.drop, range(value).map(Some)),
            _ => return Err(None),
        };
        let expected = KEYS.iter().find(|(name, _)| *name == key).map(|(_, expected)| *expected);
        is_set.map_err(|()| expected)
    }

    /// What differs from clean, as `set` takes it.
    pub(crate) fn pairs(&self) -> Vec<(&'static str, String)> {
        let duration = |duration: Duration| humantime::format_duration(duration).to_string().replace(' ', "");
        let clean = Self::CLEAN;
        let values = [
            (self.delay != clean.delay).then(|| duration(self.delay)),
            (self.jitter != clean.jitter).then(|| duration(self.jitter)),
            (self.loss != clean.loss).then(|| self.loss.to_string()),
            self.burst.map(|burst| format!("{}/{}/{}", burst.enter, burst.leave, burst.loss)),
            self.run_max.map(|run| run.to_string()),
            (self.corrupt != clean.corrupt).then(|| self.corrupt.to_string()),
            (self.duplicate != clean.duplicate).then(|| self.duplicate.to_string()),
            self.reorder.map(|reorder| format!("{}/{}", reorder.chance, duration(reorder.hold_max))),
            self.rate.map(|rate| rate.to_string()),
            (self.queue_packets_max != clean.queue_packets_max).then(|| self.queue_packets_max.to_string()),
            self.blackout.map(|blackout| format!("{}/{}", duration(blackout.light), duration(blackout.dark))),
            self.drop.as_ref().map(|drop| format!("{}-{}", drop.start(), drop.end())),
        ];
        KEYS.iter().zip(values).filter_map(|((key, _), value)| Some((*key, value?))).collect()
    }
}

/// In the order of `pairs`.
const KEYS: [(&str, &str); 12] = [
    ("delay", "a time such as 15ms, at most 1h"),
    ("jitter", "a time such as 20ms, at most 1h"),
    ("loss", "a percentage such as 2%, with at most 4 decimals"),
    ("burst", "three percentages: enter, leave and loss, such as 1%/30%/100%"),
    ("run", "a number from 1"),
    ("corrupt", "a percentage such as 2%, with at most 4 decimals"),
    ("duplicate", "a percentage such as 5%, with at most 4 decimals"),
    ("reorder", "a percentage and a time, such as 20%/30ms"),
    ("rate", "a rate from 1kbit, such as 10Mbit"),
    ("queue", "a number of packets, at most 65536"),
    ("blackout", "two times of at least 10ms, light and dark, such as 5s/2s"),
    ("drop", "a range of packets from 1, such as 2-7"),
];

fn put<T>(place: &mut T, value: Result<T, ()>) -> Result<(), ()> {
    *place = value?;
    Ok(())
}

fn number<T: FromStr + PartialOrd>(text: &str, min: T, max: T) -> Result<T, ()> {
    text.parse().ok().filter(|number| (min..=max).contains(number)).ok_or(())
}

fn burst(text: &str) -> Result<Burst, ()> {
    let mut parts = text.split('/').map(str::parse);
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(enter), Some(leave), Some(loss), None) => Ok(Burst { enter: enter?, leave: leave?, loss: loss? }),
        _ => Err(()),
    }
}

fn reorder(text: &str) -> Result<Reorder, ()> {
    let (chance, hold_max) = text.split_once('/').ok_or(())?;
    Ok(Reorder { chance: chance.parse()?, hold_max: units::duration(hold_max)? })
}

fn blackout(text: &str) -> Result<Blackout, ()> {
    let (light, dark) = text.split_once('/').ok_or(())?;
    let (light, dark) = (units::duration(light)?, units::duration(dark)?);
    if light.min(dark) < limits::PERIOD_MIN { Err(()) } else { Ok(Blackout { light, dark }) }
}

fn range(text: &str) -> Result<RangeInclusive<u64>, ()> {
    let (first, last) = text.split_once('-').ok_or(())?;
    let first = number(first, 1, u64::MAX)?;
    Ok(first..=number(last, first, u64::MAX)?)
}
