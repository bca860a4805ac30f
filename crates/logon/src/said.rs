//! What is said on the conversation's socket. The same words as in `session0_api::conversation`, written once more: this program
//! parses a hostile client's bytes with a type that accepts exactly one thing. A test holds the two together.

use serde::{Deserialize, Serialize};
use session0_model::limit::CONVERSATION_PACKET_MAX;
use session0_model::logon::wire;

use crate::secret::Secret;

/// What we say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    /// To be answered.
    Prompt {
        /// What to show.
        text: String,
        /// Whether the answer is not to be shown.
        secret: bool,
    },
    /// To be shown.
    Message {
        /// One line.
        text: String,
    },
    /// Nothing happens for so long.
    Wait {
        /// Milliseconds.
        ms: u64,
    },
    /// It is over.
    Refused {
        /// Windows' error code.
        code: u32,
        /// In a sentence.
        message: String,
        /// What helps.
        #[serde(skip_serializing_if = "Option::is_none")]
        hint: Option<String>,
    },
    /// The user is in his session.
    LoggedOn {
        /// Which.
        session: u32,
        /// How he came into it.
        entry: Entry,
        /// To be shown first.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        notices: Vec<String>,
    },
    /// Some of the accounts that were asked for: as many as fit into a packet.
    Accounts {
        /// By name; more follow.
        accounts: Vec<Account>,
    },
    /// It was done.
    Done {
        /// The accounts, or the last of them.
        #[serde(skip_serializing_if = "Option::is_none")]
        accounts: Option<Vec<Account>>,
    },
}

/// How a user came into a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// It is new.
    New,
    /// It was disconnected.
    Reconnected,
    /// It was active elsewhere.
    TakenOver,
}

impl From<wire::Entry> for Entry {
    fn from(entry: wire::Entry) -> Entry {
        match entry {
            wire::Entry::New => Entry::New,
            wire::Entry::Reconnected => Entry::Reconnected,
            wire::Entry::TakenOver => Entry::TakenOver,
        }
    }
}

/// An account as it is listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// Its uid and gid.
    pub uid: u32,
    /// The person's name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub full_name: String,
    /// Its home.
    pub home: String,
    /// Its shell.
    pub shell: String,
    /// Whether it may log on.
    pub enabled: bool,
}

/// What the client says: this and nothing else.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// To a prompt.
    Answer(Secret),
}

impl Answer {
    /// Out of a packet; `None`: this is not what a client says.
    pub fn parse(packet: &[u8]) -> Option<Secret> {
        serde_json::from_slice(packet).ok().map(|Answer::Answer(secret)| secret)
    }
}

impl Said {
    /// As a packet.
    pub fn packet(&self) -> Vec<u8> {
        // Texts and numbers: there is nothing in it that JSON cannot say.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The accounts in as many packets as they need: all but the last are [`Said::Accounts`].
    pub fn list(accounts: Vec<Account>) -> Vec<Said> {
        let mut said = Vec::new();
        let mut fitting: Vec<Account> = Vec::new();
        let mut length = FRAME;
        for account in accounts {
            let own = serde_json::to_vec(&account).unwrap_or_default().len() + 1;
            if length + own > CONVERSATION_PACKET_MAX {
                said.push(Said::Accounts { accounts: std::mem::take(&mut fitting) });
                length = FRAME;
            }
            length += own;
            fitting.push(account);
        }
        said.push(Said::Done { accounts: Some(fitting) });
        said
    }
}

/// What is around the accounts in a packet, and a little more.
const FRAME: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use session0_api::conversation as api;

    fn account(number: u32) -> Account {
        Account {
            name: format!("user{number}"),
            uid: number,
            full_name: "\u{1b}\"ä".repeat(20),
            home: "/home/x".into(),
            shell: "/bin/sh".into(),
            enabled: number.is_multiple_of(2),
        }
    }

    /// What we say, read by the public type and written again by it, is the same.
    fn agrees(said: &Said) -> api::Said {
        let read: api::Said = serde_json::from_slice(&said.packet()).unwrap();
        assert_ne!(read, api::Said::Unknown);
        let (ours, theirs): (serde_json::Value, serde_json::Value) =
            (serde_json::from_slice(&said.packet()).unwrap(), serde_json::to_value(&read).unwrap());
        assert_eq!(ours, theirs);
        read
    }

    #[test]
    fn we_speak_the_public_language() {
        agrees(&Said::Prompt { text: "Password: ".into(), secret: true });
        agrees(&Said::Message { text: "\u{7}".into() });
        agrees(&Said::Wait { ms: 7 });
        agrees(&Said::Refused { code: 1326, message: "no".into(), hint: None });
        agrees(&Said::Refused { code: 5, message: "no".into(), hint: Some("yes".into()) });
        for entry in [wire::Entry::New, wire::Entry::Reconnected, wire::Entry::TakenOver] {
            let said = Said::LoggedOn { session: 3, entry: entry.into(), notices: vec!["a".into()] };
            assert!(!matches!(agrees(&said), api::Said::LoggedOn { entry: api::Entry::Unknown, .. }));
        }
        agrees(&Said::Done { accounts: None });
        agrees(&Said::Done { accounts: Some(vec![account(1), account(2)]) });
        agrees(&Said::Accounts { accounts: vec![account(1)] });
        let answer = serde_json::to_vec(&api::Answer::Answer("p\"ä\n".into())).unwrap();
        assert_eq!(Answer::parse(&answer), Some(Secret::from("p\"ä\n")));
    }

    #[test]
    fn a_long_list_comes_in_packets_that_a_client_can_take() {
        let accounts: Vec<Account> = (0..1000).map(account).collect();
        let said = Said::list(accounts.clone());
        assert!(said.iter().all(|said| said.packet().len() <= CONVERSATION_PACKET_MAX));
        let mut all = Vec::new();
        for said in &said {
            match said {
                Said::Accounts { accounts } | Said::Done { accounts: Some(accounts) } => {
                    all.extend(accounts.clone());
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(all, accounts);
        assert!(matches!(said.last(), Some(Said::Done { .. })));
        assert_eq!(Said::list(Vec::new()), [Said::Done { accounts: Some(Vec::new()) }]);
    }

    #[test]
    fn only_an_answer_is_an_answer() {
        for bad in [
            "",
            "null",
            "[]",
            "{}",
            "\"answer\"",
            "{\"answer\":1}",
            "{\"answer\":null}",
            "{\"answer\":\"a\"}x",
            "{\"answer\":\"a\",\"answer\":\"b\"}",
            "{\"other\":\"a\"}",
            "{\"answer\":\"\\ud800\"}",
            "{\"answer\":{\"a\":1}}",
        ] {
            assert_eq!(Answer::parse(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(Answer::parse(b"{\"answer\":\"\xff\"}"), None);
        let deep = "[".repeat(8000);
        assert_eq!(Answer::parse(deep.as_bytes()), None);
        assert_eq!(Answer::parse(b" {\"answer\":\"\"} "), Some(Secret::from("")));
    }

    /// Bytes from a fixed seed, mutated answers among them: nothing but text comes out, and nothing panics.
    #[test]
    fn random_packets_do_no_harm() {
        let mut random = crate::hash::tests::Random(7);
        for _ in 0..50_000 {
            let mut packet = b"{\"answer\":\"pass\\u00e4word\"}".to_vec();
            for _ in 0..random.below(6) {
                let at = random.below(packet.len() as u64 + 1) as usize;
                match random.below(3) {
                    0 => packet.insert(at, random.below(256) as u8),
                    1 if at < packet.len() => packet[at] = random.below(256) as u8,
                    _ => packet.truncate(at),
                }
            }
            if let Some(secret) = Answer::parse(&packet) {
                assert!(std::str::from_utf8(secret.bytes()).is_ok() && secret.bytes().len() <= packet.len());
            }
        }
    }
}
