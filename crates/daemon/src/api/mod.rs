//! The API server.
pub mod host;

/// Placeholder until the API server is here.
pub fn serve<H: host::Host>(_host: H, _door: host::Door, _listener: std::os::fd::OwnedFd) {}
