//! Profiles that have a name.

/// A profile that has a name.
#[derive(Clone, Copy, Debug)]
pub struct Named {
    /// As in `--profile`.
    pub name: &'static str,
    /// What it means.
    pub words: &'static str,
}

/// All of them. Those that begin with `interop` have the parameters of the QUIC interop runner's scenarios, except that
/// its blackhole comes once and this one again and again. Its `--delay` is one way, so its long round trip is 1.5 s.
pub const NAMED: [Named; 25] = [
    named("clean", ""),
    named("loss-1", "loss=1%"),
    named("loss-2", "loss=2%"),
    named("loss-5", "loss=5%"),
    named("loss-10", "loss=10%"),
    named("loss-20", "loss=20%"),
    // 1 / (1 + 30) of the packets, three and a third at a time.
    named("burst-loss", "burst=1%/30%/100%"),
    named("reordering", "jitter=10ms,reorder=20%/100ms"),
    named("duplication", "jitter=10ms,duplicate=5%"),
    named("duplication-reordering", "jitter=10ms,duplicate=5%,reorder=20%/100ms"),
    named("rtt-100ms", "delay=50ms"),
    named("rtt-750ms", "delay=375ms"),
    named("blackouts", "blackout=5s/2s"),
    named("rebind-5s", "rebind=port/1s/5s"),
    named("rebind-address-5s", "rebind=address/1s/5s"),
    named("interop-clean", "delay=15ms,rate=10Mbit,queue=25"),
    named("interop-long-rtt", "delay=750ms,rate=10Mbit,queue=25"),
    named("interop-handshake-loss", "delay=15ms,rate=10Mbit,queue=25,loss=30%,run=3"),
    named("interop-transfer-loss", "delay=15ms,rate=10Mbit,queue=25,loss=2%,run=3"),
    named("interop-handshake-corruption", "delay=15ms,rate=10Mbit,queue=25,corrupt=30%,run=3"),
    named("interop-transfer-corruption", "delay=15ms,rate=10Mbit,queue=25,corrupt=2%,run=3"),
    named("interop-blackhole", "delay=15ms,rate=10Mbit,queue=25,blackout=5s/2s"),
    named("interop-rebind-port", "delay=15ms,rate=10Mbit,queue=25,rebind=port/1s/5s"),
    named("interop-rebind-address", "delay=15ms,rate=10Mbit,queue=25,rebind=address/1s/5s"),
    named("interop-amplification", "delay=15ms,rate=10Mbit,queue=25,up.drop=2-7"),
];

const fn named(name: &'static str, words: &'static str) -> Named {
    Named { name, words }
}
