//! dbus-broker without its launcher, which needs systemd: this does what the launcher does, without reading any configuration. The broker
//! is given a socket to listen at and a policy that lets everybody do everything, which is the least work for it.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

use super::Connection;
use super::message::{self, Body, Method, Writer};
use crate::Outcome;
use crate::channel::stream_listener;

/// What the broker wants to know of the machine; any will do.
const MACHINE: &str = "0123456789abcdef0123456789abcdef";
/// Who may connect, own names, send and receive: for one uid or one range of groups.
const BATCH: &str = "bta(btbs)a(btssssuutt)a(btssssuutt)";
const ADD_LISTENER: Method<'static> = Method {
    destination: "",
    path: "/org/bus1/DBus/Broker",
    interface: "org.bus1.DBus.Broker",
    member: "AddListener",
};

/// Starts it at a path and stays with it: the broker ends when its controller does.
pub fn run(path: &Path) -> Outcome<()> {
    let listener = stream_listener(path)?;
    // It accepts until there is nobody left, and would wait for the next one in vain.
    listener.set_nonblocking(true).map_err(|e| format!("making {} not wait: {e}", path.display()))?;
    let pair = UnixStream::pair().map_err(|e| format!("making a socket pair: {e}"))?;
    let mut broker = Command::new("dbus-broker")
        .args(["--controller", "0", "--machine-id", MACHINE])
        .stdin(Stdio::from(OwnedFd::from(pair.1)))
        .spawn()
        .map_err(|e| format!("starting dbus-broker: {e}"))?;
    let mut controller = Connection::over(pair.0);
    let told = tell(&mut controller, &listener);
    if told.is_err() {
        let _ = broker.kill();
    }
    let ended = broker.wait().map_err(|e| format!("waiting for dbus-broker: {e}"))?;
    told.and_then(|()| Err(format!("dbus-broker ended with {ended}")))
}

/// Hands the listener over, with the policy.
fn tell(controller: &mut Connection, listener: impl AsFd) -> Outcome<()> {
    controller.begin("NEGOTIATE_UNIX_FD\r\n", &[])?;
    controller.line("AGREE_UNIX_FD")?;
    let mut body = Writer::default();
    body.text("/org/bus1/DBus/Listener/0");
    body.number(0);
    policy(&mut body);
    let serial = controller.next_serial();
    let call = message::call(serial, ADD_LISTENER, Body { signature: "ohv", bytes: &body.0, descriptors: 1 });
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = [listener.as_fd()];
    control.push(SendAncillaryMessage::ScmRights(&descriptors));
    let sent = sendmsg(&controller.stream, &[IoSlice::new(&call)], &mut control, SendFlags::NOSIGNAL)
        .map_err(|e| format!("telling dbus-broker where to listen: {e}"))?;
    if sent != call.len() {
        return Err(format!("dbus-broker took {sent} of {} bytes", call.len()));
    }
    controller.answer_to(serial).map(drop)
}

/// Everybody may do everything: one batch for every uid, none for groups, no SELinux, no AppArmor.
fn policy(to: &mut Writer) {
    const YES: u32 = 1;
    to.signature(&format!("(a(u({BATCH}))a(buu({BATCH}))a(ss)bs)"));
    to.align(8);
    to.array(|users| {
        users.align(8);
        users.number(u32::MAX);
        users.align(8);
        users.number(YES);
        users.long(1);
        users.array(|names| {
            names.number(YES);
            names.long(1);
            names.number(YES);
            names.text("");
        });
        for _send_then_receive in 0..2 {
            users.array(|messages| {
                messages.number(YES);
                messages.long(1);
                (0..4).for_each(|_| messages.text(""));
                messages.number(0);
                messages.number(0);
                messages.long(0);
                messages.long(u64::MAX);
            });
        }
    });
    to.array(|_groups| {});
    to.array(|_selinux| {});
    to.number(0);
    to.text("session");
}
