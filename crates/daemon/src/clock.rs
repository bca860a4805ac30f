//! The wall clock beside the model's monotonic one.

use session0_model::time::Time;

/// Milliseconds since 1970, now.
pub fn wall_now_ms() -> i64 {
    milliseconds(wall_now())
}

/// Milliseconds since 1970 of a monotonic time, by what the wall clock says now: a clock that was set right is right
/// for times before that as well. Cut to milliseconds once, at the end: else the same time would be told differently each time.
pub fn wall_ms(at: Time) -> i64 {
    let now = session0_sys::process::now();
    let ns = |span: std::time::Duration| i128::try_from(span.as_nanos()).unwrap_or(i128::MAX);
    milliseconds(wall_now() - ns(now.since(at)) + ns(at.since(now)))
}

/// Nanoseconds since 1970, now.
fn wall_now() -> i128 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec)
}

fn milliseconds(ns: i128) -> i64 {
    i64::try_from(ns.div_euclid(1_000_000)).unwrap_or(i64::MAX)
}
