//! The built-in accounts: what is in accounts.toml.

pub mod published;
mod read;
pub mod store;
#[cfg(test)]
pub mod tests;

use toml_edit::{ArrayOfTables, Document, DocumentMut, Item, Table, Value};

pub use read::{Problem, valid_full_name, valid_name, valid_path};

/// One account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// Its uid and gid.
    pub uid: u32,
    /// The person's name.
    pub full_name: String,
    /// Login shell.
    pub shell: String,
    /// Home directory, as sessions see it.
    pub home: String,
    /// Whether it may log on.
    pub enabled: bool,
    /// The password's hash.
    pub password: String,
}

/// All accounts, and the file they are in: it is changed in place, so that an administrator's comments survive.
#[derive(Debug, Clone)]
pub struct Accounts {
    list: Vec<Account>,
    next_uid: u32,
    document: DocumentMut,
}

/// How a new file begins.
const HEADER: &str = "# Accounts of session0. Changed with `s0 account`, or by hand; comments stay. Mode 0600: it has password hashes.\n\
    # A mistake in here stops all logons until it is mended, and is named in the host's log.\n\n\
    # No uid below this is given to a new account: who had it before may have left files.\n";

const NEXT_UID: &str = "next_uid";
const ACCOUNT: &str = "account";

impl Accounts {
    /// Reads a file's text. `uids` are those that accounts can have.
    pub fn parse(text: &str, uids: (u32, u32)) -> Result<Accounts, Problem> {
        let document = Document::parse(text).map_err(|error| read::syntax(text, &error))?;
        let (list, next_uid) = read::file(text, document.as_table(), uids)?;
        Ok(Accounts { list, next_uid, document: document.into_mut() })
    }

    /// No accounts, and no file yet.
    pub fn none(uids: (u32, u32)) -> Accounts {
        let next_uid = first(uids);
        let document = format!("{HEADER}next_uid = {next_uid}\n").parse().unwrap_or_default();
        Accounts { list: Vec::new(), next_uid, document }
    }

    /// The file's text.
    pub fn text(&self) -> String {
        self.document.to_string()
    }

    /// All of them, in the order of the file.
    pub fn list(&self) -> &[Account] {
        &self.list
    }

    /// One by name.
    pub fn find(&self, name: &str) -> Option<&Account> {
        self.list.iter().find(|account| account.name == name)
    }

    /// The lowest uid in `uids` that is nobody's and never was an account's. `taken` says whether the machine has it.
    pub fn free_uid<E>(
        &self,
        uids: (u32, u32),
        taken: impl Fn(u32) -> Result<bool, E>,
    ) -> Result<Option<u32>, E> {
        for uid in self.next_uid.max(first(uids))..=uids.1 {
            if !taken(uid)? {
                return Ok(Some(uid));
            }
        }
        Ok(None)
    }

    /// Adds one. Its uid, and every lower one, is never given again.
    pub fn add(&mut self, account: Account) -> Option<()> {
        self.next_uid = self.next_uid.max(account.uid.saturating_add(1));
        set(self.document.as_table_mut(), NEXT_UID, Value::from(i64::from(self.next_uid)));
        let mut table = Table::new();
        table.insert("name", text(&account.name));
        table.insert("uid", Item::Value(Value::from(i64::from(account.uid))));
        if !account.full_name.is_empty() {
            table.insert("full_name", text(&account.full_name));
        }
        table.insert("shell", text(&account.shell));
        table.insert("home", text(&account.home));
        table.insert("enabled", Item::Value(Value::from(account.enabled)));
        table.insert("password", text(&account.password));
        table.decor_mut().set_prefix("\n");
        self.tables_or_new()?.push(table);
        self.list.push(account);
        Some(())
    }

    /// Removes one and the comments that stand above it. The high-water mark keeps its uid from the next.
    pub fn remove(&mut self, name: &str) -> Option<Account> {
        let index = self.index(name)?;
        set(self.document.as_table_mut(), NEXT_UID, Value::from(i64::from(self.next_uid)));
        self.tables_or_new()?.remove(index);
        Some(self.list.remove(index))
    }

    /// Gives one another password.
    pub fn set_password(&mut self, name: &str, hash: String) -> Option<()> {
        let index = self.index(name)?;
        set(self.tables_or_new()?.get_mut(index)?, "password", Value::from(hash.as_str()));
        self.list[index].password = hash;
        Some(())
    }

    /// Lets one log on, or not.
    pub fn set_enabled(&mut self, name: &str, logons: crate::change::Logons) -> Option<()> {
        let index = self.index(name)?;
        let enabled = logons == crate::change::Logons::Allowed;
        set(self.tables_or_new()?.get_mut(index)?, "enabled", Value::from(enabled));
        self.list[index].enabled = enabled;
        Some(())
    }

    fn index(&self, name: &str) -> Option<usize> {
        self.list.iter().position(|account| account.name == name)
    }

    fn tables_or_new(&mut self) -> Option<&mut ArrayOfTables> {
        let item = self.document.entry(ACCOUNT).or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()));
        item.as_array_of_tables_mut()
    }
}

/// The first uid an account can have: the one before it is the logger's.
fn first(uids: (u32, u32)) -> u32 {
    uids.0.saturating_add(1)
}

/// Sets a value and leaves what stands around it, a comment behind it among that.
fn set(table: &mut Table, key: &str, mut value: Value) {
    if let Some(old) = table.get(key).and_then(Item::as_value) {
        *value.decor_mut() = old.decor().clone();
    }
    match table.get_mut(key) {
        Some(item) => *item = Item::Value(value),
        None => {
            table.insert(key, Item::Value(value));
        }
    }
}

fn text(text: &str) -> Item {
    Item::Value(Value::from(text))
}
