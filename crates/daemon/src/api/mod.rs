//! The API server.
pub mod host;
