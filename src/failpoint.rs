//! Places at which tests kill the process. Without the feature `failpoints` they are nothing.

/// Kills the process when the environment's `FAILPOINTS` says so: `FAILPOINTS='journal::before_ack=100*off->return'`
/// dies at the 101st time.
#[macro_export]
macro_rules! failpoint {
    ($name:literal) => {
        #[cfg(feature = "failpoints")]
        {
            let reached = || {
                fail::fail_point!($name, |_| true);
                false
            };
            if reached() {
                $crate::failpoint::kill($name);
            }
        }
    };
}

/// Arms what the environment's `FAILPOINTS` names, for as long as the process lives.
#[cfg(feature = "failpoints")]
pub fn arm() {
    std::mem::forget(fail::FailScenario::setup());
}

/// Ends the process as `kill -9` would: nothing is flushed, nothing is unwound.
#[cfg(feature = "failpoints")]
pub fn kill(name: &str) -> ! {
    eprintln!("failpoint {name}: killing the process");
    let own = rustix::process::getpid();
    let _ = rustix::process::kill_process(own, rustix::process::Signal::KILL);
    std::process::abort()
}
