//! Changes of the built-in accounts. Each reads, decides and writes under one lock; what takes a person's time comes before it.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use session0_model::limit::ACCOUNTS_MAX;
use session0_model::logon::name::AccountName;
use session0_model::logon::wire::{
    AccountChange, AccountPlace, FromLogon, HomeFate, LogonFailure, OldPassword,
};
use session0_sys::account as machine;
use session0_sys::lock::Lock;

use crate::accounts::{Account, Accounts, published, store, valid_full_name, valid_name, valid_path};
use crate::home::{self, Fate, Made};
use crate::over::{NO_RESOURCES, Over};
use crate::peers::Peers;
use crate::said::{self, Said};
use crate::{check, logon, password};

/// Whether an account may log on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Logons {
    /// It may.
    Allowed,
    /// It may not.
    Refused,
}

/// ERROR_INVALID_PARAMETER.
const INVALID_PARAMETER: u32 = 87;
/// ERROR_INVALID_ACCOUNT_NAME.
const INVALID_NAME: u32 = 1315;
/// ERROR_USER_EXISTS.
const EXISTS: u32 = 1316;

/// Shells that are tried when none is named.
const SHELLS: [&str; 2] = ["/bin/bash", "/bin/sh"];

/// Shows all accounts.
pub fn list(peers: &mut Peers, place: &AccountPlace) -> Result<(), Over> {
    let accounts = store::load(place)?;
    let mut shown: Vec<said::Account> = accounts.list().iter().map(shown).collect();
    shown.sort_by(|one, other| one.name.cmp(&other.name));
    Said::list(shown).iter().try_for_each(|said| peers.say(said))
}

fn shown(account: &Account) -> said::Account {
    said::Account {
        name: account.name.clone(),
        uid: account.uid,
        full_name: account.full_name.clone(),
        home: account.home.clone(),
        shell: account.shell.clone(),
        enabled: account.enabled,
    }
}

/// Adds an account and its home.
pub fn add(
    peers: &mut Peers,
    place: &AccountPlace,
    name: &AccountName,
    full_name: &str,
    shell: Option<&str>,
) -> Result<(), Over> {
    valid_name(name.as_str()).map_err(|reason| Over::refused(INVALID_NAME, reason))?;
    valid_full_name(full_name)
        .map_err(|reason| Over::refused(INVALID_PARAMETER, format!("the person's name: {reason}")))?;
    let shell = usable_shell(shell)?;
    refuse_another(&store::load(place)?, name)?;
    refuse_machines(name)?;
    let hash = password::new(peers, name.as_str(), OldPassword::NotNeeded)?;

    let lock = store::lock(peers, place)?;
    let mut accounts = store::load(place)?;
    refuse_another(&accounts, name)?;
    let uid = free_uid(&accounts, place)?;
    let added = accounts.add(Account {
        name: name.as_str().to_owned(),
        uid,
        full_name: full_name.to_owned(),
        shell,
        home: format!("{}/{name}", place.homes_inside),
        enabled: true,
        password: hash,
    });
    added.ok_or_else(|| Over::Broken(format!("{}: accounts are written as [[account]]", place.accounts)))?;
    let made = home::make(place, name.as_str(), uid)?;
    if let Err(over) = store::save(place, &accounts, &lock) {
        if made == Made::New {
            home::unmake(place, name.as_str()).unwrap_or_else(|second| complain!("{second}"));
        }
        return Err(over);
    }
    publish_change(place, &accounts, &lock);
    done(peers, name, AccountChange::Added)
}

fn usable_shell(shell: Option<&str>) -> Result<String, Over> {
    let Some(shell) = shell else {
        let usual = SHELLS.iter().find(|shell| Path::new(shell).exists());
        return Ok((*usual.unwrap_or(&SHELLS[1])).to_owned());
    };
    valid_path(shell).map_err(|reason| Over::refused(INVALID_PARAMETER, format!("the shell: {reason}")))?;
    let program = std::fs::metadata(shell)
        .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0);
    match program {
        true => Ok(shell.to_owned()),
        false => Err(Over::refused(INVALID_PARAMETER, format!("the shell {shell} is not a program"))),
    }
}

/// There is room for one more, and the name is free.
fn refuse_another(accounts: &Accounts, name: &AccountName) -> Result<(), Over> {
    if accounts.find(name.as_str()).is_some() {
        return Err(Over::refused(EXISTS, format!("there is an account {name} already")));
    }
    // The next to read a file with one more would call it broken, and nobody could log on.
    match accounts.list().len() >= ACCOUNTS_MAX {
        true => {
            Err(Over::refused(NO_RESOURCES, format!("there are {ACCOUNTS_MAX} accounts, no more can be")))
        }
        false => Ok(()),
    }
}

/// A name means one account, whichever way it is looked up.
fn refuse_machines(name: &AccountName) -> Result<(), Over> {
    let broken = |error| Over::system("look for the name on the machine", error);
    let kind = if machine::by_name(name.as_str()).map_err(broken)?.is_some() {
        "an account"
    } else if machine::group(name.as_str()).map_err(broken)?.is_some() {
        "a group"
    } else {
        return Ok(());
    };
    Err(Over::refused(EXISTS, format!("the machine has {kind} {name} already")))
}

fn free_uid(accounts: &Accounts, place: &AccountPlace) -> Result<u32, Over> {
    // The number is the account's gid too: with one of the machine's groups it would be in that group.
    let taken = |uid| Ok(machine::by_uid(uid)?.is_some() || machine::group_by_gid(uid)?.is_some());
    let free = accounts.free_uid(place.uids, taken);
    free.map_err(|error: std::io::Error| Over::system("look for a free uid", error))?.ok_or_else(|| {
        Over::refused_with(
            NO_RESOURCES,
            format!("no uid is left from {} to {}", place.uids.0, place.uids.1),
            "a uid is not given twice; widen `uid_range`, or lower `next_uid` in accounts.toml if no files of removed \
             accounts are left",
        )
    })
}

/// Gives an account another password.
pub fn password(
    peers: &mut Peers,
    place: &AccountPlace,
    name: &AccountName,
    old: OldPassword,
) -> Result<(), Over> {
    let before = find(&store::load(place)?, name)?.password.clone();
    if old == OldPassword::Asked {
        logon::tries(peers, "Old password: ", |password| {
            let accounts = store::load(place)?;
            Ok(match accounts.find(name.as_str()) {
                Some(account) if account.password == before => check::builtin(account, password),
                _ => Err(LogonFailure::UnknownAccount),
            })
        })?;
    }
    let hash = password::new(peers, name.as_str(), old)?;
    let lock = store::lock(peers, place)?;
    let mut accounts = store::load(place)?;
    // Since the old one was checked an administrator may have set another: his stays.
    if find(&accounts, name)?.password != before && old == OldPassword::Asked {
        let code = LogonFailure::WrongPassword.code();
        return Err(Over::refused(code, "the password was changed meanwhile"));
    }
    accounts.set_password(name.as_str(), hash).ok_or_else(|| no_such(name))?;
    store::save(place, &accounts, &lock)?;
    publish_change(place, &accounts, &lock);
    done(peers, name, AccountChange::Password)
}

/// Lets an account log on, or not any more.
pub fn enabled(
    peers: &mut Peers,
    place: &AccountPlace,
    name: &AccountName,
    logons: Logons,
) -> Result<(), Over> {
    let lock = store::lock(peers, place)?;
    let mut accounts = store::load(place)?;
    let (wanted, change) = match logons {
        Logons::Allowed => (true, AccountChange::Enabled),
        Logons::Refused => (false, AccountChange::Disabled),
    };
    if find(&accounts, name)?.enabled == wanted {
        return peers.say(&Said::Done { accounts: None });
    }
    accounts.set_enabled(name.as_str(), logons).ok_or_else(|| no_such(name))?;
    store::save(place, &accounts, &lock)?;
    publish_change(place, &accounts, &lock);
    done(peers, name, change)
}

/// Removes an account, and its home if that is wanted.
pub fn remove(
    peers: &mut Peers,
    place: &AccountPlace,
    name: &AccountName,
    fate: HomeFate,
) -> Result<(), Over> {
    let lock = store::lock(peers, place)?;
    let mut accounts = store::load(place)?;
    let removed = accounts.remove(name.as_str()).ok_or_else(|| no_such(name))?;
    store::save(place, &accounts, &lock)?;
    publish_change(place, &accounts, &lock);
    peers.tell(&FromLogon::Changed { account: name.clone(), change: AccountChange::Removed })?;
    drop(lock);
    if fate == HomeFate::Removed {
        // A large home takes what it takes; nobody is asked anything any more.
        session0_sys::process::end_after(0);
        let text = match home::remove(place, name.as_str(), &removed.home, removed.uid) {
            Ok(Fate::Removed | Fate::Missing) => None,
            Ok(Fate::NotTheirs) => {
                Some(format!("its home {} is no directory of its own: it stays", removed.home))
            }
            Err(fault) => Some(format!("the account is gone, its home is not: {fault}")),
        };
        if let Some(text) = text {
            complain!("{name}: {text}");
            peers.say(&Said::Message { text })?;
        }
    }
    peers.say(&Said::Done { accounts: None })
}

/// Writes the public list.
pub fn publish(peers: &mut Peers, place: &AccountPlace) -> Result<(), Over> {
    peers.dismiss_client();
    logon::renew(peers, place)
}

fn find<'a>(accounts: &'a Accounts, name: &AccountName) -> Result<&'a Account, Over> {
    accounts.find(name.as_str()).ok_or_else(|| no_such(name))
}

fn no_such(name: &AccountName) -> Over {
    Over::refused_with(
        LogonFailure::UnknownAccount.code(),
        format!("there is no built-in account {name}"),
        "accounts of the machine are kept with its own tools: passwd, usermod",
    )
}

/// The change is made, whatever becomes of the list: the next change or logon makes the list anew.
fn publish_change(place: &AccountPlace, accounts: &Accounts, _lock: &Lock) {
    published::write(place, accounts)
        .unwrap_or_else(|fault| complain!("the public list of accounts is old: {fault}"));
}

fn done(peers: &mut Peers, name: &AccountName, change: AccountChange) -> Result<(), Over> {
    peers.tell(&FromLogon::Changed { account: name.clone(), change })?;
    peers.say(&Said::Done { accounts: None })
}
