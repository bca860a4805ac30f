//! Reads accounts.toml strictly: what is not understood is a mistake, and a mistake stops all logons.

use std::collections::HashSet;
use std::fmt;
use std::ops::Range;

use session0_model::limit::ACCOUNTS_MAX;
use toml_edit::{Item, Table, TomlError};

use super::{ACCOUNT, Account, NEXT_UID, first};
use crate::hash;

/// What is wrong, and where. Line and column count from 1; columns are characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    line: usize,
    column: usize,
    message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)
    }
}

impl Problem {
    fn at(text: &str, span: Option<Range<usize>>, message: impl Into<String>) -> Problem {
        let mut start = span.map_or(0, |span| span.start).min(text.len());
        while !text.is_char_boundary(start) {
            start -= 1;
        }
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        Problem {
            line: text[..start].matches('\n').count() + 1,
            column: text[line_start..start].chars().count() + 1,
            message: message.into(),
        }
    }
}

/// It is not TOML.
pub fn syntax(text: &str, error: &TomlError) -> Problem {
    // The parser's own words may quote the file: no control characters.
    let message: String =
        error.message().trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    Problem::at(text, error.span(), message)
}

const KEYS: [&str; 7] = ["name", "uid", "full_name", "shell", "home", "enabled", "password"];

/// Reads the whole file: the accounts, and the first uid that none of them ever had.
pub fn file(text: &str, top: &Table, uids: (u32, u32)) -> Result<(Vec<Account>, u32), Problem> {
    only(text, top, &[NEXT_UID, ACCOUNT])?;
    let mut next_uid = match top.get(NEXT_UID) {
        None => first(uids),
        Some(item) => {
            let allowed = first(uids)..=uids.1.saturating_add(1);
            let next = item.as_integer().and_then(|number| u32::try_from(number).ok());
            next.filter(|next| allowed.contains(next)).ok_or_else(|| {
                let message = format!("`next_uid` must be from {} to {}", allowed.start(), allowed.end());
                Problem::at(text, item.span(), message)
            })?
        }
    };
    let mut accounts = Vec::new();
    let Some(item) = top.get(ACCOUNT) else { return Ok((accounts, next_uid)) };
    let Some(tables) = item.as_array_of_tables() else {
        return Err(Problem::at(text, key_span(top, ACCOUNT), "accounts are written as [[account]]"));
    };
    if tables.len() > ACCOUNTS_MAX {
        return Err(Problem::at(text, tables.span(), format!("more than {ACCOUNTS_MAX} accounts")));
    }
    let (mut names, mut taken) = (HashSet::new(), HashSet::new());
    for table in tables {
        let account = Reader { text, table }.account(uids)?;
        if !names.insert(account.name.clone()) {
            let message = format!("there are two accounts named `{}`", account.name);
            return Err(Problem::at(text, value_span(table, "name"), message));
        }
        if !taken.insert(account.uid) {
            let message = format!("there are two accounts with uid {}", account.uid);
            return Err(Problem::at(text, value_span(table, "uid"), message));
        }
        next_uid = next_uid.max(account.uid.saturating_add(1));
        accounts.push(account);
    }
    Ok((accounts, next_uid))
}

fn only(text: &str, table: &Table, known: &[&str]) -> Result<(), Problem> {
    match table.iter().map(|(key, _)| key).find(|key| !known.contains(key)) {
        None => Ok(()),
        Some(key) => {
            let message = format!("unknown key `{}`; allowed: {}", key.escape_debug(), known.join(", "));
            Err(Problem::at(text, key_span(table, key), message))
        }
    }
}

fn key_span(table: &Table, key: &str) -> Option<Range<usize>> {
    table.key(key).and_then(toml_edit::Key::span).or_else(|| value_span(table, key))
}

fn value_span(table: &Table, key: &str) -> Option<Range<usize>> {
    table.get(key).and_then(Item::span)
}

/// One account's table.
struct Reader<'a> {
    text: &'a str,
    table: &'a Table,
}

impl Reader<'_> {
    fn account(&self, uids: (u32, u32)) -> Result<Account, Problem> {
        only(self.text, self.table, &KEYS)?;
        let name = self.needed("name", valid_name)?;
        let uid = self.uid(uids)?;
        let enabled = match self.table.get("enabled") {
            None => true,
            Some(item) => item
                .as_bool()
                .ok_or_else(|| Problem::at(self.text, item.span(), "`enabled` must be true or false"))?,
        };
        Ok(Account {
            uid,
            full_name: self.text_of("full_name", valid_full_name)?.unwrap_or_default(),
            shell: self.needed("shell", valid_path)?,
            home: self.needed("home", valid_path)?,
            enabled,
            password: self.needed("password", hash::validate)?,
            name,
        })
    }

    fn uid(&self, uids: (u32, u32)) -> Result<u32, Problem> {
        let Some(item) = self.table.get("uid") else { return Err(self.missing("uid")) };
        let allowed = first(uids)..=uids.1;
        let uid = item.as_integer().and_then(|number| u32::try_from(number).ok());
        uid.filter(|uid| allowed.contains(uid)).ok_or_else(|| {
            let message = format!("`uid` must be from {} to {}", allowed.start(), allowed.end());
            Problem::at(self.text, item.span(), message)
        })
    }

    fn needed(&self, key: &str, valid: impl Fn(&str) -> Result<(), String>) -> Result<String, Problem> {
        self.text_of(key, valid)?.ok_or_else(|| self.missing(key))
    }

    fn text_of(
        &self,
        key: &str,
        valid: impl Fn(&str) -> Result<(), String>,
    ) -> Result<Option<String>, Problem> {
        let Some(item) = self.table.get(key) else { return Ok(None) };
        let problem = |message: String| Problem::at(self.text, item.span(), message);
        let text = item.as_str().ok_or_else(|| problem(format!("`{key}` must be a string")))?;
        valid(text).map_err(|reason| problem(format!("`{key}`: {reason}")))?;
        Ok(Some(text.to_owned()))
    }

    fn missing(&self, key: &str) -> Problem {
        Problem::at(self.text, self.table.span(), format!("`{key}` is missing"))
    }
}

/// Whether this can be a built-in account's name: as useradd(8) has it, so that no program on the machine stumbles over it.
pub fn valid_name(name: &str) -> Result<(), String> {
    let first = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    let rest = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-');
    match first && rest && name.len() <= 32 {
        true => Ok(()),
        false => Err("a name has at most 32 of a-z 0-9 _ -, and begins with a letter or _".into()),
    }
}

/// Whether this can be a person's name: it becomes a field of a passwd(5) line.
pub fn valid_full_name(text: &str) -> Result<(), String> {
    match text.len() <= 256 && !text.contains(|c: char| c == ':' || c.is_control()) {
        true => Ok(()),
        false => Err("at most 256 bytes, without colons and control characters".into()),
    }
}

/// Whether this can be a home or a shell.
pub fn valid_path(text: &str) -> Result<(), String> {
    let plain = text.len() <= 1024 && !text.contains(|c: char| c == ':' || c.is_control());
    match plain && text.starts_with('/') && !text.split('/').any(|part| part == "..") {
        true => Ok(()),
        false => Err("an absolute path without `..`, colons and control characters".into()),
    }
}
