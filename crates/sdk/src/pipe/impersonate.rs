//! Being the client for a moment.
//!
//! Only this thread changes, and only its effective ids: the real and saved ones stay, so that the way back is open and the client's programs
//! get no hold of it.

use rustix::io::Errno;
use rustix::process::{Gid, Uid, getegid, geteuid, getgroups};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, get_keep_capabilities, set_capabilities,
    set_keep_capabilities, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};
use session0_api::pipe::Impersonation;

use super::error::{Code, Error};
use super::facts::Facts;
use super::peer::Client;

/// The capabilities without which one cannot become somebody else.
const NEEDED: CapabilitySet = CapabilitySet::SETUID.union(CapabilitySet::SETGID);

pub(super) fn run<T>(client: &Client, facts: &Facts, act: impl FnOnce() -> T) -> Result<T, Error> {
    match client.impersonation() {
        Impersonation::Impersonation => {}
        Impersonation::Anonymous | Impersonation::Identification | Impersonation::Unknown => {
            let message = "the client does not let the server act as it";
            return Err(Error::new(Code::BadImpersonationLevel, message)
                .with_hint("it opens the pipe with `impersonation(Impersonation::Impersonation)`"));
        }
    }
    facts.is_open()?;
    if !facts.was_heard() {
        let message = "nothing was read from the client yet, so there is nothing to do as it";
        return Err(Error::new(Code::CannotImpersonate, message));
    }
    let own = Identity::current()?;
    if !own.capabilities.effective.contains(NEEDED) {
        let message = "this process cannot act as its client: it lacks CAP_SETUID or CAP_SETGID";
        return Err(Error::new(Code::PrivilegeNotHeld, message)
            .with_hint("a service gets them with `capabilities = [\"setuid\", \"setgid\"]` in its file"));
    }
    // Dropping it makes this thread itself again, also while a panic unwinds.
    let _way_back = WayBack(own);
    become_client(client).map_err(|error| {
        let why = crate::connect::text(&error.into());
        Error::new(
            Code::CannotImpersonate,
            format!("the kernel does not let this thread be its client: {why}"),
        )
    })?;
    Ok(act())
}

/// Groups first: without the uid that may change them they could not be changed. Capabilities last, also where the uid stays 0.
fn become_client(client: &Client) -> Result<(), Errno> {
    let (uid, gid) = (Uid::from_raw(client.uid()), Gid::from_raw(client.gid()));
    let groups: Vec<Gid> = client.groups().iter().copied().map(Gid::from_raw).collect();
    set_thread_groups(&groups)?;
    set_thread_res_gid(None, gid, None)?;
    set_thread_res_uid(None, uid, None)?;
    let sets = capabilities(None)?;
    set_capabilities(None, CapabilitySets { effective: CapabilitySet::empty(), ..sets })?;
    let lowered = capabilities(None)?.effective.is_empty();
    if geteuid() == uid && getegid() == gid && same(getgroups()?, groups) && lowered {
        Ok(())
    } else {
        Err(Errno::PERM)
    }
}

/// The kernel sorts groups.
fn same(mut one: Vec<Gid>, mut other: Vec<Gid>) -> bool {
    one.sort_unstable_by_key(|group| group.as_raw());
    other.sort_unstable_by_key(|group| group.as_raw());
    one == other
}

/// Whom this thread is to be again.
struct Identity {
    uid: Uid,
    gid: Gid,
    groups: Vec<Gid>,
    capabilities: CapabilitySets,
}

impl Identity {
    fn current() -> Result<Identity, Error> {
        let read = || Ok((getgroups()?, capabilities(None)?));
        let (groups, capabilities) =
            read().map_err(|error| Error::system("read this thread's identity", error))?;
        Ok(Identity { uid: geteuid(), gid: getegid(), groups, capabilities })
    }

    /// The other way round, and each change of the uid may have changed the effective capabilities.
    fn restore(&self) -> Result<(), Errno> {
        self.raise()?;
        // Where the client is uid 0 and this process is not, the kernel would take all capabilities away with it.
        let kept = get_keep_capabilities()?;
        if !kept {
            set_keep_capabilities(true)?;
        }
        set_thread_res_uid(None, self.uid, None)?;
        if !kept {
            set_keep_capabilities(false)?;
        }
        self.raise()?;
        set_thread_res_gid(None, self.gid, None)?;
        set_thread_groups(&self.groups)?;
        self.raise()?;
        let restored = geteuid() == self.uid
            && getegid() == self.gid
            && same(getgroups()?, self.groups.clone())
            && capabilities(None)? == self.capabilities;
        if restored { Ok(()) } else { Err(Errno::PERM) }
    }

    fn raise(&self) -> Result<(), Errno> {
        set_capabilities(None, self.capabilities)
    }
}

/// Where this thread comes from.
struct WayBack(Identity);

impl Drop for WayBack {
    fn drop(&mut self) {
        // A thread that stays somebody else would do everything after as him.
        if self.0.restore().is_err() {
            std::process::abort();
        }
    }
}
