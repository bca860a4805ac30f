//! Packets of JSON with descriptors: what conversations and viewers are spoken with (`SOCK_SEQPACKET`).

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendFlags, recvmsg, send,
};
use serde::de::DeserializeOwned;
use tokio::io::Interest;
use tokio::net::UnixDatagram;

use crate::error::Error;

/// The longest packet of the interface.
pub(crate) const PACKET_MAX: usize = 16 * 1024;
/// No packet has more descriptors; what comes beyond is closed by the kernel.
const DESCRIPTORS_MAX: usize = 8;

/// One packet and what came with it.
pub(crate) struct Packet {
    pub(crate) bytes: Vec<u8>,
    pub(crate) descriptors: Vec<OwnedFd>,
}

/// The next packet; `None` is the end.
pub(crate) fn receive(socket: BorrowedFd<'_>) -> io::Result<Option<Packet>> {
    let mut bytes = vec![0; PACKET_MAX];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut slices = [IoSliceMut::new(&mut bytes)];
    let received =
        rustix::io::retry_on_intr(|| recvmsg(socket, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC))?;
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    if received.flags.contains(ReturnFlags::TRUNC) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a packet is longer than any of the interface",
        ));
    }
    // An empty packet means nothing in the interface; it cannot be told from the end.
    if received.bytes == 0 {
        return Ok(None);
    }
    bytes.truncate(received.bytes);
    Ok(Some(Packet { bytes, descriptors }))
}

/// The socket within tokio. To tokio it is one of datagrams: it only waits for it to be readable.
pub(crate) fn asynchronous(socket: OwnedFd) -> io::Result<UnixDatagram> {
    let socket = std::os::unix::net::UnixDatagram::from(socket);
    socket.set_nonblocking(true)?;
    UnixDatagram::from_std(socket)
}

/// The next packet; `None` is the end.
pub(crate) async fn receive_asynchronously(socket: &UnixDatagram) -> io::Result<Option<Packet>> {
    socket.async_io(Interest::READABLE, || receive(socket.as_fd())).await
}

/// Sends one packet, and waits until there is room for it.
pub(crate) fn transmit(socket: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<()> {
    rustix::io::retry_on_intr(|| send(socket.as_fd(), bytes, SendFlags::NOSIGNAL))?;
    Ok(())
}

/// An object of an enumeration of the interface, whose variant `unknown` stands for those this reader does not know: serde
/// itself takes an unknown name for it only if nothing is said with it.
pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8], who: &str) -> Result<T, Error> {
    let error = match serde_json::from_slice(bytes) {
        Ok(read) => return Ok(read),
        Err(error) => error,
    };
    let unknown = match serde_json::from_slice(bytes) {
        Ok(serde_json::Value::Object(object)) if object.len() == 1 => object.keys().next().cloned(),
        _ => None,
    };
    let bare = unknown.map(|name| serde_json::json!({ name: null }));
    bare.and_then(|bare| serde_json::from_value(bare).ok())
        .ok_or_else(|| Error::Protocol { what: format!("what {who} says is not understood: {error}") })
}

/// Overwrites bytes that held a secret, in a way that the compiler does not leave out.
///
/// ```
/// let mut password = b"secret".to_vec();
/// session0::logon::wipe(&mut password);
/// assert!(password.is_empty());
/// ```
pub fn wipe(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.capacity(), 0);
    bytes.fill(0);
    std::hint::black_box(bytes.as_mut_slice());
    bytes.clear();
}

#[cfg(test)]
mod tests {
    use super::*;
    use session0_api::conversation::{Said, View};

    #[test]
    fn what_a_newer_host_says_is_unknown_and_nonsense_is_an_error() {
        for bytes in
            [&br#"{"fingerprint":{"finger":3}}"#[..], br#"{"fingerprint":null}"#, br#""fingerprint""#]
        {
            assert_eq!(read::<Said>(bytes, "it"), Ok(Said::Unknown));
        }
        assert_eq!(read::<View>(br#"{"repaint":{"rows":3}}"#, "it"), Ok(View::Unknown));
        for bytes in [&br#"{"prompt":{"text":3}}"#[..], b"\xff", b"{}", br#"{"a":1,"b":2}"#] {
            assert!(matches!(read::<Said>(bytes, "it"), Err(Error::Protocol { .. })), "{bytes:?}");
        }
    }
}
