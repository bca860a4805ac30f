//! The machine's own accounts: found by NSS, checked against the shadow file. PAM is not asked (docs/decisions/0007).

use std::time::{SystemTime, UNIX_EPOCH};

use session0_model::limit::GROUPS_MAX;
use session0_model::logon::name::AccountName;
use session0_model::logon::wire::{LogonFailure, Source, User};
use session0_sys::account::{self, Passwd, Shadow};

use crate::check::usable;
use crate::crypt::{self, Verdict};
use crate::hash;
use crate::over::Over;
use crate::secret::Secret;

const DAY_S: u64 = 24 * 60 * 60;

/// Whether a machine account's password is this one and may be used.
pub fn check(
    found: &Passwd,
    asked: &AccountName,
    password: &Secret,
) -> Result<Result<User, LogonFailure>, Over> {
    // Not compared at all: nobody is to find out root's password here. Group 0 is as good as root in a session.
    if found.uid == 0 || found.gid == 0 {
        hash::waste(password);
        return Ok(Err(LogonFailure::Root));
    }
    let shadow = account::shadow(&found.name).map_err(|error| Over::system("read the shadow file", error))?;
    if let Err(failure) = verdict(&found.name, shadow.as_ref(), password, today()) {
        return Ok(Err(failure));
    }
    user(found, asked).map(Ok)
}

fn verdict(name: &str, shadow: Option<&Shadow>, password: &Secret, today: i64) -> Result<(), LogonFailure> {
    let Some(shadow) = shadow else {
        hash::waste(password);
        return Err(LogonFailure::Disabled);
    };
    if !usable(password) {
        hash::waste(password);
        return Err(LogonFailure::WrongPassword);
    }
    match crypt::verify(&shadow.hash, password) {
        Verdict::Right if expired(shadow, today) => Err(LogonFailure::Expired),
        Verdict::Right => Ok(()),
        Verdict::Wrong => Err(LogonFailure::WrongPassword),
        Verdict::Locked => Err(LogonFailure::Disabled),
        Verdict::Unsupported => {
            complain!(
                "the password of {name} is of a kind that is not supported ($y$, $5$ and $6$ are): set it anew with passwd"
            );
            Err(LogonFailure::WrongPassword)
        }
    }
}

/// shadow(5): the account has ended, or its password must be changed first, which is for passwd(1).
fn expired(shadow: &Shadow, today: i64) -> bool {
    let account = shadow.expire >= 0 && today >= shadow.expire;
    let must_change = shadow.changed == 0;
    let password = shadow.changed > 0 && shadow.max >= 0 && today > shadow.changed.saturating_add(shadow.max);
    account || must_change || password
}

fn today() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs() / DAY_S).unwrap_or(i64::MAX)
}

fn user(found: &Passwd, asked: &AccountName) -> Result<User, Over> {
    let groups = account::groups(&found.name, found.gid);
    let groups = groups.map_err(|error| Over::system("look up an account's groups", error))?;
    let groups = supplementary(groups, found)?;
    let or = |text: &String, usual: &str| match text.starts_with('/') {
        true => text.clone(),
        false => usual.to_owned(),
    };
    Ok(User {
        // As the machine writes it: a directory may not care about case.
        name: AccountName::new(&found.name).unwrap_or_else(|_| asked.clone()),
        uid: found.uid,
        gid: found.gid,
        groups,
        home: or(&found.home, "/"),
        shell: or(&found.shell, "/bin/sh"),
        source: Source::Machine,
    })
}

/// Never group 0. With a part of his groups left out he might come where he is to be kept out: too many are none.
fn supplementary(mut groups: Vec<u32>, found: &Passwd) -> Result<Vec<u32>, Over> {
    groups.retain(|gid| *gid != 0 && *gid != found.gid);
    groups.sort_unstable();
    groups.dedup();
    match groups.len() {
        0..=GROUPS_MAX => Ok(groups),
        many => Err(Over::Broken(format!("{} is in {many} groups, more than {GROUPS_MAX}", found.name))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::tests::work;

    const TODAY: i64 = 20_000;
    /// `s3cret`.
    const HASH: &str = "$5$saltstring$9QqUIsp6bPD8uX5rHa8zB21q7JTr9i41vD3jA8fwv68";

    fn shadow(changed: i64, max: i64, expire: i64) -> Shadow {
        Shadow { hash: HASH.into(), changed, max, expire }
    }

    #[test]
    fn an_account_expires_as_shadow_says() {
        for (shadow, over) in [
            (shadow(-1, -1, -1), false),
            (shadow(19_000, 99_999, -1), false),
            (shadow(TODAY - 30, 30, -1), false),
            (shadow(TODAY - 31, 30, -1), true),
            (shadow(0, -1, -1), true),
            (shadow(TODAY, i64::MAX, -1), false),
            (shadow(19_000, -1, TODAY), true),
            (shadow(19_000, -1, TODAY + 1), false),
            (shadow(19_000, -1, 0), true),
        ] {
            assert_eq!(expired(&shadow, TODAY), over, "{} {} {}", shadow.changed, shadow.max, shadow.expire);
        }
    }

    #[test]
    fn that_it_expired_is_told_only_with_the_right_password() {
        let old = shadow(0, -1, -1);
        let verdict = |shadow, text: &str| verdict("x", shadow, &Secret::from(text), TODAY);
        assert_eq!(verdict(Some(&old), "s3cret"), Err(LogonFailure::Expired));
        assert_eq!(verdict(Some(&old), "wrong"), Err(LogonFailure::WrongPassword));
        let good = shadow(1, -1, -1);
        assert_eq!(verdict(Some(&good), "s3cret"), Ok(()));
        assert_eq!(verdict(None, "s3cret"), Err(LogonFailure::Disabled));
        let locked = Shadow { hash: format!("!{HASH}"), ..shadow(1, -1, -1) };
        assert_eq!(verdict(Some(&locked), "s3cret"), Err(LogonFailure::Disabled));
        let long = "x".repeat(2000);
        assert_eq!(work(|| verdict(Some(&old), &long)), (Err(LogonFailure::WrongPassword), 1));
    }

    #[test]
    fn root_is_refused_without_a_comparison_and_nobody_by_his_lock() {
        let password = Secret::from("");
        let check = |name: &str| {
            let name = AccountName::new(name).unwrap();
            let found = account::by_name(name.as_str()).unwrap().expect("every machine has it");
            work(|| super::check(&found, &name, &password).unwrap().unwrap_err())
        };
        assert_eq!(check("root"), (LogonFailure::Root, 1));
        assert_eq!(check("nobody"), (LogonFailure::Disabled, 1));
    }

    #[test]
    fn more_groups_than_a_session_can_have_are_refused_and_not_cut() {
        let root = account::by_uid(0).unwrap().unwrap();
        let of = |count: u32| supplementary((0..=count).collect(), &root).map(|groups| groups.len());
        assert_eq!(of(1024).unwrap(), 1024);
        assert!(matches!(of(1025), Err(Over::Broken(text)) if text.contains("1025 groups")));
    }

    #[test]
    fn a_user_never_is_in_group_0() {
        let root = account::by_uid(0).unwrap().unwrap();
        // Root's own groups, as if they were somebody's.
        let somebody = Passwd { uid: 1234, gid: 1234, shell: String::new(), home: "x".into(), ..root };
        let user = user(&somebody, &AccountName::new("x").unwrap()).unwrap();
        assert!(!user.groups.contains(&0) && !user.groups.contains(&1234), "{:?}", user.groups);
        assert_eq!((user.shell.as_str(), user.home.as_str()), ("/bin/sh", "/"));
    }
}
