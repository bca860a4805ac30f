//! What a command says when it does not do what was asked: what was tried, why not, and the command that helps.

use std::fmt;

use serde::Serialize;

/// Whose fault it is. The number is the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The host understood and said no.
    Refused = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// The caller lacks the right.
    NotPermitted = 3,
    /// The host or the system failed.
    Fault = 4,
}

/// A command that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// Whose fault it is.
    pub kind: Kind,
    /// What was tried; completes "could not".
    pub tried: String,
    /// Why it did not work.
    pub reason: String,
    /// The command that helps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Windows' error number, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<u32>,
    /// What was printed already explains it; only the exit code is left to give.
    #[serde(skip)]
    pub told: Told,
}

/// Whether the caller knows already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// Another program or the command itself has printed it.
    Already,
    /// It is still to be printed.
    NotYet,
}

impl Failure {
    /// A failure of this kind.
    pub fn new(kind: Kind, tried: impl Into<String>, reason: impl fmt::Display) -> Failure {
        let reason = reason.to_string();
        Failure { kind, tried: tried.into(), reason, hint: None, code: None, told: Told::NotYet }
    }

    /// The host said no.
    pub fn refused(tried: impl Into<String>, reason: impl fmt::Display) -> Failure {
        Failure::new(Kind::Refused, tried, reason)
    }

    /// The command line makes no sense.
    pub fn usage(tried: impl Into<String>, reason: impl fmt::Display) -> Failure {
        Failure::new(Kind::Usage, tried, reason)
    }

    /// The system or the host failed.
    pub fn fault(tried: impl Into<String>, reason: impl fmt::Display) -> Failure {
        Failure::new(Kind::Fault, tried, reason)
    }

    /// Nothing more to print: only the exit code.
    pub fn told(kind: Kind) -> Failure {
        let mut failure = Failure::new(kind, String::new(), String::new());
        failure.told = Told::Already;
        failure
    }

    /// Adds the command that helps.
    pub fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the command that helps, unless a better one is known.
    pub fn or_hint(mut self, hint: impl FnOnce() -> String) -> Failure {
        self.hint = self.hint.or_else(|| Some(hint()));
        self
    }

    /// Adds Windows' error number.
    pub fn code(mut self, code: u32) -> Failure {
        self.code = (code != 0).then_some(code);
        self
    }

    /// The process's exit code.
    pub fn exit_code(&self) -> u8 {
        self.kind as u8
    }

    /// One JSON object, for `--json`.
    pub fn to_json(&self) -> String {
        serde_json::json!({ "error": self }).to_string()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "could not {}: {}", self.tried, self.reason)?;
        match self.code {
            Some(code) => write!(f, " ({code})"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_was_tried_and_why_not() {
        let failure =
            Failure::refused("start web", "it runs already").code(1056).hint("s0 service status web");
        assert_eq!(failure.to_string(), "could not start web: it runs already (1056)");
        assert_eq!(failure.exit_code(), 1);
        let json: serde_json::Value = serde_json::from_str(&failure.to_json()).unwrap();
        assert_eq!(json["error"]["kind"], "refused");
        assert_eq!(json["error"]["code"], 1056);
        assert_eq!(json["error"]["hint"], "s0 service status web");
    }

    #[test]
    fn a_hint_that_is_there_stays() {
        let failure = Failure::refused("start web", "no").or_hint(|| "first".to_owned());
        assert_eq!(failure.or_hint(|| "second".to_owned()).hint.as_deref(), Some("first"));
    }
}
