//! What every refusal carries, whatever its name.
//!
//! The name says what it is to a program (`io.session0.Service.NotActive`), `code` is Windows' number for
//! it, `message` says it to a person, `hint` says what helps.

use serde::{Deserialize, Serialize};
use zlink::introspect::Type;

use crate::failure::Failure;

/// A refusal without anything particular to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct Refused {
    /// Windows' error code.
    pub code: u32,
    /// What was asked and why not, in a sentence.
    pub message: String,
    /// What helps, if something does: often a command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// Refused because services that run depend on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct DependentsRefused {
    /// Windows' error code.
    pub code: u32,
    /// What was asked and why not, in a sentence.
    pub message: String,
    /// What helps, if something does: often a command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The services that depend on it and run.
    pub names: Vec<String>,
}

/// Refused because of a service it depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct DependencyRefused {
    /// Windows' error code.
    pub code: u32,
    /// What was asked and why not, in a sentence.
    pub message: String,
    /// What helps, if something does: often a command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The service it depends on.
    pub dependency: String,
}

/// It was started and failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct StartRefused {
    /// Windows' error code.
    pub code: u32,
    /// What was asked and why not, in a sentence.
    pub message: String,
    /// What helps, if something does: often a command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// How it failed.
    pub failure: Failure,
}

/// A fault of the host, not of the caller. The daemon's log has the details under `id`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct Fault {
    /// Windows' error code.
    pub code: u32,
    /// What was tried and what went wrong, in a sentence.
    pub message: String,
    /// What helps, if something does: often a command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// What to look for in the daemon's log.
    pub id: String,
}
