//! The wall clock beside the model's monotonic one.

use session0_model::time::Time;

/// Milliseconds since 1970, now.
pub fn wall_now_ms() -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    now.tv_sec.saturating_mul(1000).saturating_add(now.tv_nsec / 1_000_000)
}

/// Milliseconds since 1970 of a monotonic time, by what the wall clock says now: a clock that was set right is right
/// for times before that as well.
pub fn wall_ms(at: Time) -> i64 {
    let now = session0_sys::process::now();
    let ms = |span: std::time::Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    wall_now_ms().saturating_sub(ms(now.since(at))).saturating_add(ms(at.since(now)))
}
