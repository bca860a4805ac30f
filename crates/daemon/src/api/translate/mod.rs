//! From the model's types to those of the public interface.
//!
//! The model has numbers and kinds; people get sentences here, in one place. Times become milliseconds since 1970.

pub mod event;
pub mod failure;
pub mod host;
pub mod pipe;
pub mod refusal;
pub mod service;
pub mod session;
pub mod words;

fn ms(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
