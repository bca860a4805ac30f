//! Where a server is, as the bench names it: `KIND:WHERE`, and for what belongs to a host outside of which the bench is, `KIND:NAME@ROOT`.

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
    /// A byte pipe of a host.
    Byte(Place),
    /// A message pipe of one.
    Message(Place),
    /// A pipe of one that speaks varlink.
    Rpc(Place),
    /// A service of one, to be started.
    Service(Place),
    /// A host itself; no name.
    Host(Place),
}

/// Something of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The pipe or service.
    pub name: String,
    /// The host's root directory; none within a session, and for the machine's own host.
    pub root: Option<PathBuf>,
}

impl Place {
    /// The host's socket.
    pub fn socket(&self) -> PathBuf {
        match &self.root {
            Some(root) => session0::path::below(root),
            None => session0::path::socket(None),
        }
    }
}

impl From<&str> for Place {
    fn from(text: &str) -> Self {
        match text.split_once('@') {
            Some((name, root)) => Self { name: name.to_owned(), root: Some(root.into()) },
            None => Self { name: text.to_owned(), root: None },
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.name)?;
        self.root.iter().try_for_each(|root| write!(to, "@{}", root.display()))
    }
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
            "byte" => Self::Byte(place.into()),
            "message" => Self::Message(place.into()),
            "rpc" => Self::Rpc(place.into()),
            "service" => Self::Service(place.into()),
            "host" => Self::Host(place.into()),
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
            Self::Byte(place) => write!(to, "byte:{place}"),
            Self::Message(place) => write!(to, "message:{place}"),
            Self::Rpc(place) => write!(to, "rpc:{place}"),
            Self::Service(place) => write!(to, "service:{place}"),
            Self::Host(place) => write!(to, "host:{place}"),
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
