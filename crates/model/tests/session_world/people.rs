//! Who is in this world, and by which rules.

use std::time::Duration;

use session0_model::access::{Administrators, Caller, Origin};
use session0_model::launch::plan::Size;
use session0_model::logon::name::AccountName;
use session0_model::logon::wire::{Source, User};
use session0_model::logon::{Wanted, Wish};
use session0_model::session::program::Client;
use session0_model::session::{HangUp, Isolation, Policy};
use session0_model::system::{Configuration, LogonRequest, Request};

pub const ALICE: u32 = 1000;
pub const BOB: u32 = 1001;

pub fn account(uid: u32) -> AccountName {
    let name = match uid {
        ALICE => String::from("alice"),
        BOB => String::from("bob"),
        other => format!("user{other}"),
    };
    AccountName::new(&name).expect("tests use good names")
}

pub fn user(uid: u32) -> User {
    let name = account(uid);
    User {
        home: format!("/home/{name}"),
        name,
        uid,
        gid: uid,
        groups: vec![uid],
        shell: String::from("/bin/sh"),
        source: Source::Builtin,
    }
}

pub fn caller(uid: u32) -> Caller {
    Caller { origin: Origin::Outside, uid, groups: vec![uid], pid: 7 }
}

pub fn root() -> Caller {
    caller(0)
}

pub fn policy(isolation: Isolation, per_user: u32, hang_up: HangUp) -> Policy {
    Policy { isolation, per_user, hang_up }
}

pub fn vista() -> Policy {
    policy(Isolation::Vista, 1, HangUp::Disconnect)
}

pub fn configuration(sessions: Policy) -> Configuration {
    Configuration {
        pipes_max: None,
        services: Vec::new(),
        administrators: Administrators::default(),
        shutdown_wait: Duration::from_secs(90),
        sessions,
        ..Configuration::default()
    }
}

/// A logon that root asks for.
pub fn begin_request(uid: u32) -> Request {
    let wanted = Wanted {
        client: Client { name: String::from("tty1"), uid: 0 },
        size: Size { rows: 25, columns: 80 },
        environment: Vec::new(),
        wish: Wish::Any,
    };
    Request::Logon(LogonRequest::Begin { account: account(uid), wanted: Box::new(wanted) })
}
