//! The stand-in for session0-logon: it asks nobody and checks nothing, so that a figure begins where the account is known. A copy of
//! this program with that name does it.
//!
//! Who is logged on is in the name: `bench-7` is the user with the slot 7.

use std::fs::File;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};

use serde_json::json;

use super::client::receive;
use crate::bench::Outcome;
use crate::bench::stamps::now;

/// The uid of slot 0, within the host's default range.
pub const FIRST_UID: u32 = 64_001;
/// Beside the program: the shell, and where the times are written.
pub const SHELL: &str = "stamp";
/// See [`SHELL`]: eight bytes for each slot.
pub const BEGUN: &str = "begun";
/// What the program is called.
pub const NAME: &str = "session0-logon";

/// Of an account with a slot.
pub fn account(slot: usize) -> String {
    format!("bench-{slot}")
}

/// Whether this program is started under that name.
pub fn is_called() -> bool {
    std::env::args_os().next().is_some_and(|name| name == NAME)
}

/// What the daemon starts.
pub fn run() -> Outcome<()> {
    let me = std::env::current_exe().map_err(|e| format!("finding this program: {e}"))?;
    let begun = me.with_file_name(BEGUN);
    let begun =
        File::options().write(true).open(&begun).map_err(|e| format!("opening {}: {e}", begun.display()))?;
    let (daemon, client) = (given(3)?, given(4)?);
    let (begin, _) = receive(&daemon).map_err(|e| format!("hearing the daemon: {e}"))?;
    let (name, slot) = whom(&begin).ok_or("the daemon wants something else than a logon")?;
    let said = authenticated(&name, slot, &me.with_file_name(SHELL).to_string_lossy());
    begun
        .write_all_at(&now().to_ne_bytes(), u64::from(slot) * 8)
        .map_err(|e| format!("writing the time: {e}"))?;
    rustix::net::send(&daemon, &said, SendFlags::NOSIGNAL).map_err(|e| format!("telling the daemon: {e}"))?;
    let (concluded, streams) = receive(&daemon).map_err(|e| format!("hearing the daemon: {e}"))?;
    let word = match concluded.split_first() {
        Some((&CONCLUDED, rest)) => {
            let session = number(&mut &*rest).unwrap_or(0);
            json!({ "logged_on": { "session": session, "entry": "new" } })
        }
        _ => json!({ "refused": { "code": 0, "message": String::from_utf8_lossy(&concluded) } }),
    };
    pass_on(&client, word.to_string().as_bytes(), &streams)
}

/// A descriptor the daemon gave us, to be waited at. Only its number is known, and to believe a number would be unsafe: it is
/// asked of the kernel.
fn given(number: i32) -> Outcome<OwnedFd> {
    let me = pidfd_open(getpid(), PidfdFlags::empty()).map_err(|e| format!("opening ourselves: {e}"))?;
    let given = pidfd_getfd(&me, number, PidfdGetfdFlags::empty());
    given
        .and_then(|given| rustix::io::ioctl_fionbio(&given, false).map(|()| given))
        .map_err(|e| format!("taking descriptor {number}: {e}"))
}

fn pass_on(client: &OwnedFd, word: &[u8], streams: &[OwnedFd]) -> Outcome<()> {
    let streams: Vec<_> = streams.iter().map(AsFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&streams));
    sendmsg(client, &[IoSlice::new(word)], &mut control, SendFlags::NOSIGNAL)
        .map(drop)
        .map_err(|e| format!("telling the client: {e}"))
}

// The language of crates/model/src/logon/wire.rs in postcard's encoding: numbers seven bits at a time, texts and lists with
// their length before them, variants by their number. Written out here, because this program knows no crate of the product.

/// `ToLogon::Begin` and `Task::Logon`.
const BEGIN_LOGON: [u8; 2] = [0, 0];
/// `ToLogon::Concluded`.
const CONCLUDED: u8 = 3;
/// `FromLogon::Authenticated`.
const AUTHENTICATED: u8 = 2;
/// `Source::Builtin`.
const BUILTIN: u8 = 0;

/// Who is to be logged on, with his slot.
fn whom(begin: &[u8]) -> Option<(String, u32)> {
    let mut rest = begin.strip_prefix(&BEGIN_LOGON)?;
    let length = number(&mut rest)?;
    let name = std::str::from_utf8(rest.get(..length as usize)?).ok()?;
    Some((name.to_owned(), name.strip_prefix("bench-")?.parse().ok()?))
}

/// `User` of a slot: name, uid, gid, no other groups, home, shell, source.
fn authenticated(name: &str, slot: u32, shell: &str) -> Vec<u8> {
    let mut packet = vec![AUTHENTICATED];
    let text = |packet: &mut Vec<u8>, text: &str| {
        put(packet, u32::try_from(text.len()).unwrap_or(0));
        packet.extend_from_slice(text.as_bytes());
    };
    text(&mut packet, name);
    put(&mut packet, FIRST_UID + slot);
    put(&mut packet, FIRST_UID + slot);
    put(&mut packet, 0);
    text(&mut packet, &format!("/home/{name}"));
    text(&mut packet, shell);
    packet.push(BUILTIN);
    packet
}

fn put(packet: &mut Vec<u8>, mut number: u32) {
    while number >= 0x80 {
        packet.push(0x80 | (number & 0x7f) as u8);
        number >>= 7;
    }
    packet.push(number as u8);
}

fn number(from: &mut &[u8]) -> Option<u32> {
    let mut number = 0;
    for place in 0..5 {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        number |= u32::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        for value in [0, 1, 127, 128, 64_001, u32::MAX] {
            let mut packet = Vec::new();
            put(&mut packet, value);
            assert_eq!(number(&mut &*packet), Some(value));
        }
        assert_eq!(number(&mut &[0x80][..]), None);
    }

    #[test]
    fn only_a_logon_of_the_benchs_own_accounts_is_carried_out() {
        assert_eq!(whom(b"\0\0\x07bench-7rest"), Some(("bench-7".to_owned(), 7)));
        assert_eq!(whom(b"\0\0\x05alice"), None);
        assert_eq!(whom(b"\0\x01\x07bench-7"), None);
        assert_eq!(whom(b"\0\0\x7fbench-7"), None);
    }
}
