//! The server behind a false host.
