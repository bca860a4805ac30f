//! `[pipe."NAME"]` of a service file: the pipes that are the service's own.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use session0_model::limit;
use session0_model::pipe::access::AccessList;
use session0_model::pipe::name::PipeName;
use session0_model::pipe::settings::{Declared, Direction, InstancesMax, Kind, Opening, Settings, Timeout};
use toml::Spanned;

use super::account::Accounts;
use super::reader::{NumberOrWord, Reader};
use super::{access, value};

/// A pipe as read, and where its name is written.
pub type Written = (Declared, Range<usize>);

/// Reads all of a service's pipes. What is wrong goes to the reader.
pub fn read(file: &mut Reader<'_>, accounts: &Accounts) -> Vec<Written> {
    let tables = file.tables("pipe", |section| pipe(section, accounts)).unwrap_or_default();
    let mut pipes: Vec<Written> = Vec::new();
    for (index, (written, (settings, opening))) in tables.into_iter().enumerate() {
        let name = match PipeName::new(written.get_ref()) {
            Ok(name) => name,
            Err(why) => {
                let message = format!("`{}`: {why}", written.get_ref().escape_debug());
                file.problem(written.span(), message, None);
                continue;
            }
        };
        if pipes.iter().any(|(other, _)| other.name == name) {
            let message = format!("`{name}` is written twice: case does not count");
            file.problem(written.span(), message, None);
        }
        if index == limit::PIPES_PER_SERVICE_MAX {
            let message = format!("a service has at most {} pipes", limit::PIPES_PER_SERVICE_MAX);
            file.problem(written.span(), message, None);
            break;
        }
        pipes.push((Declared { name, settings: Arc::new(settings), opening }, written.span()));
    }
    pipes
}

fn pipe(section: &mut Reader<'_>, accounts: &Accounts) -> (Settings, Opening) {
    let kind =
        section.choice("type", &[("byte", Kind::Byte), ("message", Kind::Message)]).unwrap_or_default();
    let directions =
        [("inbound", Direction::Inbound), ("outbound", Direction::Outbound), ("duplex", Direction::Duplex)];
    let direction = section.choice("direction", &directions).unwrap_or_default();
    let starts = section.truth("starts").unwrap_or(false);
    let settings = Settings {
        kind,
        direction,
        instances_max: instances(section),
        default_timeout: timeout(section),
        buffer: section.parsed("buffer", value::SIZE_FORM, buffer),
        access: access_list(section, accounts),
        refuse_outside: section.truth("refuse_outside").unwrap_or(false),
        descriptors: section.truth("descriptors").unwrap_or(false),
        rpc: rpc(section, kind, direction),
    };
    (settings, if starts { Opening::Starts } else { Opening::Nothing })
}

fn instances(section: &mut Reader<'_>) -> InstancesMax {
    let number = match section.number_or_word("instances", 1..=254, "unlimited") {
        Some(NumberOrWord::Number(number)) => u8::try_from(number).ok(),
        Some(NumberOrWord::Word) | None => None,
    };
    number.map_or(InstancesMax::Unlimited, InstancesMax::Limited)
}

/// No time means the usual one, as on Windows (windows-semantics 6.2).
fn timeout(section: &mut Reader<'_>) -> Timeout {
    match section.parsed("default_timeout", value::DURATION_FORM, value::duration) {
        None | Some(Duration::ZERO) => Timeout::default(),
        Some(time) => Timeout(time),
    }
}

fn buffer(text: &str) -> Result<u32, String> {
    match value::size(text)? {
        0 => Err("nothing could be written into a buffer of no bytes".into()),
        bytes => u32::try_from(bytes)
            .ok()
            .filter(|bytes| *bytes <= limit::PIPE_BUFFER_MAX)
            .ok_or_else(|| format!("`{text}` is more than {} bytes", limit::PIPE_BUFFER_MAX)),
    }
}

fn access_list(section: &mut Reader<'_>, accounts: &Accounts) -> AccessList {
    let Some(written) = section.texts("access") else { return AccessList::default() };
    if let Err(why) = access::check_count(written.get_ref().len()) {
        section.problem(written.span(), why, None);
        return AccessList::default();
    }
    let read = |section: &mut Reader<'_>, text: Spanned<String>| match access::parse(text.get_ref(), accounts)
    {
        Ok(entry) => Some(entry),
        Err(why) => {
            section.problem(text.span(), why, None);
            None
        }
    };
    AccessList(written.into_inner().into_iter().filter_map(|text| read(section, text)).collect())
}

/// varlink is asked and answered in bytes that its own zero bytes divide.
fn rpc(section: &mut Reader<'_>, kind: Kind, direction: Direction) -> bool {
    let rpc = section.truth("rpc").unwrap_or(false);
    if rpc && kind != Kind::Byte {
        section.problem_at_key("rpc", "`rpc` needs type = \"byte\"", None);
    }
    if rpc && direction != Direction::Duplex {
        section.problem_at_key("rpc", "`rpc` needs direction = \"duplex\"", None);
    }
    rpc
}
