//! Entries of a pipe's access list, as people write them:
//!
//! ```text
//!   [allow|deny] WHO [read] [write] [instance]
//!   WHO: everyone, interactive, services, administrators, owner, outside,
//!        user NAME, group NAME, service NAME, session N
//! ```

use session0_model::id::{ServiceName, SessionId};
use session0_model::limit;
use session0_model::pipe::access::{AccessList, Effect, Entry, Rights, Who};

use super::account::{Accounts, LOCAL_SYSTEM};

const FORM: &str = "an entry is written [allow|deny] WHO [read] [write] [instance]";
const WHO: &str = "WHO is everyone, interactive, services, administrators, owner, outside, user NAME, group NAME, service NAME \
     or session N";
const RIGHTS: [(&str, Rights); 3] =
    [("read", Rights::READ), ("write", Rights::WRITE), ("instance", Rights::INSTANCE)];

/// A whole list, as a program gives it. The error is the first entry's that is wrong, or that there are too many.
pub fn list(texts: &[String], accounts: &Accounts) -> Result<AccessList, String> {
    check_count(texts.len())?;
    texts.iter().map(|text| parse(text, accounts)).collect::<Result<_, _>>().map(AccessList)
}

/// Whether a list may have so many entries.
pub fn check_count(entries: usize) -> Result<(), String> {
    if limit::PIPE_ACCESS_MAX < entries {
        return Err(format!("an access list has at most {} entries", limit::PIPE_ACCESS_MAX));
    }
    Ok(())
}

/// Reads one entry. Words are separated by spaces; keywords in any case, names as they are; no word about rights means to read and
/// to write. The entry's text is the same with nothing left out. The error says what was written, why not, and what is possible.
pub fn parse(text: &str, accounts: &Accounts) -> Result<Entry, String> {
    if limit::PIPE_ACCESS_TEXT_MAX < text.chars().count() {
        return Err(format!("an entry has at most {} characters; {FORM}", limit::PIPE_ACCESS_TEXT_MAX));
    }
    let wrong = |why: String| format!("`{}`: {why}", text.escape_debug());
    let mut words = text.split(' ').filter(|word| !word.is_empty()).peekable();
    let effect = match words.peek() {
        Some(word) if word.eq_ignore_ascii_case("allow") => words.next().map(|_| Effect::Allow),
        Some(word) if word.eq_ignore_ascii_case("deny") => words.next().map(|_| Effect::Deny),
        _ => None,
    };
    let effect = effect.unwrap_or(Effect::Allow);
    let (who, whom) = who(&mut words, accounts).map_err(wrong)?;
    let rights = rights(words).map_err(wrong)?;
    Ok(Entry { text: written(effect, &whom, rights), effect, who, rights })
}

/// Whom, and how that is written.
fn who<'a>(words: &mut impl Iterator<Item = &'a str>, accounts: &Accounts) -> Result<(Who, String), String> {
    let Some(word) = words.next() else { return Err(format!("it says nobody; {FORM}, {WHO}")) };
    let keyword = word.to_ascii_lowercase();
    let alone = match keyword.as_str() {
        "everyone" => Some(Who::Everyone),
        "interactive" => Some(Who::Interactive),
        "services" => Some(Who::Services),
        "administrators" => Some(Who::Administrators),
        "owner" => Some(Who::Owner),
        "outside" => Some(Who::Outside),
        "user" | "group" | "service" | "session" => None,
        _ => return Err(format!("`{}` is nobody; {WHO}", word.escape_debug())),
    };
    if let Some(who) = alone {
        return Ok((who, keyword));
    }
    let Some(name) = words.next() else {
        let example = if keyword == "session" { "session 1" } else { "user alice" };
        return Err(format!("`{keyword}` needs one word after it, as in `{example}`"));
    };
    let (who, name) = match keyword.as_str() {
        "user" => user(name, accounts)?,
        "group" => (Who::Group(group(name, accounts)?), name.to_owned()),
        "service" => {
            let service = ServiceName::new(name).map_err(|bad| bad.to_string())?;
            (Who::Service(service), name.to_owned())
        }
        _ => {
            let id: u32 = number(name).ok_or_else(|| {
                format!(
                    "`{}` is no session's number; `s0 session list` shows those that are",
                    name.escape_debug()
                )
            })?;
            (Who::Session(SessionId(id)), id.to_string())
        }
    };
    Ok((who, format!("{keyword} {name}")))
}

fn user(name: &str, accounts: &Accounts) -> Result<(Who, String), String> {
    let Some(account) = accounts.find(name) else {
        return Err(format!(
            "there is no account `{}`; accounts are those in /etc/passwd, built-in ones (`s0 account list`), or {LOCAL_SYSTEM}",
            name.escape_debug()
        ));
    };
    let system = name.eq_ignore_ascii_case(LOCAL_SYSTEM);
    Ok((Who::User(account.uid), if system { LOCAL_SYSTEM } else { name }.to_owned()))
}

fn group(name: &str, accounts: &Accounts) -> Result<u32, String> {
    accounts
        .group(name)
        .ok_or_else(|| format!("there is no group `{}`; groups are those in /etc/group", name.escape_debug()))
}

/// Digits alone: `parse` would take a sign.
fn number(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn rights<'a>(words: impl Iterator<Item = &'a str>) -> Result<Rights, String> {
    let mut rights = Rights::empty();
    for word in words {
        let Some((keyword, right)) = RIGHTS.iter().find(|(known, _)| word.eq_ignore_ascii_case(known)) else {
            return Err(format!(
                "`{}` is no right; rights are read, write and instance, and {FORM}",
                word.escape_debug()
            ));
        };
        if rights.contains(*right) {
            return Err(format!("`{keyword}` is written twice; once is enough"));
        }
        rights |= *right;
    }
    Ok(if rights.is_empty() { Rights::READ | Rights::WRITE } else { rights })
}

fn written(effect: Effect, whom: &str, rights: Rights) -> String {
    let effect = match effect {
        Effect::Allow => "allow",
        Effect::Deny => "deny",
    };
    let rights = RIGHTS.iter().filter(|(_, right)| rights.contains(*right)).map(|(word, _)| *word);
    [effect, whom].into_iter().chain(rights).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts() -> Accounts {
        Accounts::parse(
            "root:x:0:0::/root:/bin/sh\nAnna:x:1000:1000::/home/anna:/bin/sh\n",
            "staff:x:50:Anna\n",
        )
    }

    #[test]
    fn every_kind_of_entry_is_read_and_written_out_whole() {
        let both = Rights::READ | Rights::WRITE;
        let service = ServiceName::new("Web").unwrap();
        for (text, written, effect, who, rights) in [
            ("everyone", "allow everyone read write", Effect::Allow, Who::Everyone, both),
            ("  Deny  INTERACTIVE  ", "deny interactive read write", Effect::Deny, Who::Interactive, both),
            ("allow services read", "allow services read", Effect::Allow, Who::Services, Rights::READ),
            (
                "administrators instance WRITE",
                "allow administrators write instance",
                Effect::Allow,
                Who::Administrators,
                Rights::WRITE | Rights::INSTANCE,
            ),
            (
                "owner read write instance",
                "allow owner read write instance",
                Effect::Allow,
                Who::Owner,
                Rights::all(),
            ),
            ("deny outside write", "deny outside write", Effect::Deny, Who::Outside, Rights::WRITE),
            ("user Anna read", "allow user Anna read", Effect::Allow, Who::User(1000), Rights::READ),
            ("user localsystem", "allow user LocalSystem read write", Effect::Allow, Who::User(0), both),
            ("group staff write", "allow group staff write", Effect::Allow, Who::Group(50), Rights::WRITE),
            ("service Web", "allow service Web read write", Effect::Allow, Who::Service(service), both),
            ("Session 07", "allow session 7 read write", Effect::Allow, Who::Session(SessionId(7)), both),
        ] {
            let entry = Entry { text: written.into(), effect, who, rights };
            assert_eq!(parse(text, &accounts()), Ok(entry.clone()), "{text:?}");
            assert_eq!(parse(written, &accounts()), Ok(entry), "{written:?}");
        }
    }

    #[test]
    fn what_is_no_entry_says_what_why_and_what_is_possible() {
        for (text, parts) in [
            ("", ["`", "nobody", "WHO is everyone"]),
            ("allow", ["`allow`", "nobody", "WHO is everyone"]),
            ("deny allow everyone", ["`deny allow everyone`", "`allow` is nobody", "session N"]),
            ("evryone read", ["`evryone read`", "`evryone` is nobody", "WHO is everyone"]),
            ("user", ["`user`", "needs one word", "`user alice`"]),
            ("deny session", ["`deny session`", "needs one word", "`session 1`"]),
            // Names keep their case.
            ("user anna", ["`user anna`", "no account `anna`", "s0 account list"]),
            ("group wheel", ["`group wheel`", "no group `wheel`", "/etc/group"]),
            ("service a/b", ["`service a/b`", "cannot contain '/'", "allowed are"]),
            ("session one", ["`session one`", "no session's number", "s0 session list"]),
            ("session -1", ["`session -1`", "no session's number", "s0 session list"]),
            ("session +1", ["`session +1`", "no session's number", "s0 session list"]),
            ("session 4294967296", ["`session 4294967296`", "no session's number", "s0 session list"]),
            ("everyone execute", ["`everyone execute`", "`execute` is no right", "read, write and instance"]),
            ("everyone read READ", ["`everyone read READ`", "`read` is written twice", "once is enough"]),
            ("everyone\tread", [r"`everyone\tread`", "is nobody", "WHO is everyone"]),
        ] {
            let error = parse(text, &accounts()).unwrap_err();
            assert!(parts.iter().all(|part| error.contains(part)), "{text:?}: {error}");
        }
        let long = format!("user {}", "x".repeat(limit::PIPE_ACCESS_TEXT_MAX));
        assert!(parse(&long, &accounts()).unwrap_err().starts_with("an entry has at most 256 characters"));
    }

    #[test]
    fn a_list_keeps_its_order_and_has_an_end() {
        let texts = |text: &str, count| vec![text.to_owned(); count];
        let both = [texts("deny outside", 1), texts("everyone", 1)].concat();
        let read = list(&both, &accounts()).unwrap();
        assert_eq!(
            read.0.iter().map(|entry| &entry.who).collect::<Vec<_>>(),
            [&Who::Outside, &Who::Everyone]
        );
        assert!(
            list(&[both, texts("nobody", 1)].concat(), &accounts()).unwrap_err().starts_with("`nobody`:")
        );
        assert!(list(&texts("owner", limit::PIPE_ACCESS_MAX), &accounts()).is_ok());
        let many = list(&texts("owner", limit::PIPE_ACCESS_MAX + 1), &accounts());
        assert_eq!(many, Err("an access list has at most 64 entries".to_owned()));
    }

    #[test]
    fn any_text_is_an_entry_that_reads_again_or_an_error_that_can_be_shown() {
        const PIECES: [&str; 24] = [
            "allow",
            "DENY",
            "everyone",
            "Interactive",
            "services",
            "administrators",
            "owner",
            "outside",
            "user",
            "group",
            "service",
            "session",
            "Anna",
            "staff",
            "Web",
            "7",
            "read",
            "write",
            "instance",
            "\t",
            "\u{202e}é",
            "\0",
            "-",
            "4294967296",
        ];
        let mut seed = 0x5e55_1001_u64;
        let mut random = move |below: usize| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            (seed % below as u64) as usize
        };
        let accounts = accounts();
        let mut entries = 0;
        for _ in 0..20_000 {
            let count = random(8);
            let text: String = (0..count)
                .map(|_| [PIECES[random(PIECES.len())], [" ", "  ", ""][random(3)]].concat())
                .collect();
            match parse(&text, &accounts) {
                Ok(entry) => {
                    entries += 1;
                    assert_eq!(parse(&entry.text, &accounts), Ok(entry), "{text:?}");
                }
                Err(error) => assert!(!error.contains(char::is_control), "{text:?}: {error:?}"),
            }
        }
        assert!(200 < entries, "{entries} of them were entries");
    }
}
