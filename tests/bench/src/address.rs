//! Where a server is, as the bench names it: `KIND:WHERE`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// A server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A SOCK_STREAM socket at a path.
    Stream(PathBuf),
    /// A SOCK_SEQPACKET socket at a path.
    Seqpacket(PathBuf),
    /// The service on the D-Bus bus at a path.
    Dbus(PathBuf),
    /// That bus itself.
    Bus(PathBuf),
    /// A byte pipe of the host of `SESSION0_ROOT`.
    Byte(String),
    /// A message pipe of it.
    Message(String),
    /// A pipe of it that speaks varlink.
    Rpc(String),
    /// The host itself.
    Host,
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, place) = text.split_once(':').ok_or_else(|| format!("{text} is not KIND:WHERE"))?;
        Ok(match kind {
            "stream" => Self::Stream(place.into()),
            "seqpacket" => Self::Seqpacket(place.into()),
            "dbus" => Self::Dbus(place.into()),
            "bus" => Self::Bus(place.into()),
            "byte" => Self::Byte(place.to_owned()),
            "message" => Self::Message(place.to_owned()),
            "rpc" => Self::Rpc(place.to_owned()),
            "host" => Self::Host,
            _ => return Err(format!("there is no kind of address {kind}")),
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream(path) => write!(to, "stream:{}", path.display()),
            Self::Seqpacket(path) => write!(to, "seqpacket:{}", path.display()),
            Self::Dbus(path) => write!(to, "dbus:{}", path.display()),
            Self::Bus(path) => write!(to, "bus:{}", path.display()),
            Self::Byte(name) => write!(to, "byte:{name}"),
            Self::Message(name) => write!(to, "message:{name}"),
            Self::Rpc(name) => write!(to, "rpc:{name}"),
            Self::Host => to.write_str("host:"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_it_is_written() {
        for text in
            ["stream:/a", "seqpacket:/b", "dbus:/c:d", "bus:/e", "byte:f", "message:g", "rpc:h", "host:"]
        {
            assert_eq!(text.parse::<Address>().map(|address| address.to_string()), Ok(text.to_owned()));
        }
        assert!("stream".parse::<Address>().is_err());
        assert!("tcp:1".parse::<Address>().is_err());
    }
}
