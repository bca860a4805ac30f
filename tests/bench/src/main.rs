//! Both ends of what `cargo xtask bench ipc` measures: servers and clients of pipes and calls, ours and the peers'. One program, called
//! with what it is to be; `xtask` starts it and writes the page.

mod address;
mod channel;
mod dbus;
mod host;
mod measure;
mod pipe;
mod rpc;
mod serve;

use std::path::PathBuf;
use std::process::ExitCode;

use lexopt::prelude::*;
use rustix::thread::{CpuSet, sched_setaffinity};
use session0::pipe::PipeType;

use address::Address;
use channel::{Channel, Seqpacket, SeqpacketListener, stream, stream_listener};
use measure::{Amount, Bulk, Connect, Exchange, RoundTrip, in_turns};

/// What went wrong, as one sentence: what was tried, on what, why not.
pub type Outcome<T> = Result<T, String>;

const HELP: &str = "\
usage: session0-bench serve ADDRESS        serves, one client after another
       session0-bench serve-many NAME FIRST COUNT
                                           serves the pipes NAME-FIRST and following, to which nobody comes
       session0-bench keep-many NAME FIRST COUNT
                                           the same, and keeps whoever comes
       session0-bench open-many NAME FIRST COUNT TIMES
                                           opens each of them so many times, says so, and stays until stdin ends
       session0-bench broker PATH          starts dbus-broker at PATH and stays with it
       session0-bench measure WHAT [options] NAME=ADDRESS...
                                           measures these servers in turns; microseconds as JSON

WHAT is round-trip, bulk, connect or call; ADDRESS is stream:PATH, seqpacket:PATH, byte:PIPE, message:PIPE, rpc:PIPE, service:NAME
(called to be started), host:, dbus:PATH (the service on the bus there) or bus:PATH (that bus itself). PIPE, NAME and host: are of the
host whose root is behind them, as in host:@ROOT.

  --size BYTES    of one write
  --total BYTES   of one sample of bulk
  --count N       samples of each server
  --cpu N         run on this processor only";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Outcome<()> {
    let mut parser = lexopt::Parser::from_env();
    match word(&mut parser)?.as_str() {
        "serve" => serve(&word(&mut parser)?.parse()?),
        "serve-many" => many(&mut parser)?.serve(),
        "keep-many" => many(&mut parser)?.keep(),
        "open-many" => {
            let many = many(&mut parser)?;
            many.open(number(&mut parser)?)
        }
        "broker" => dbus::broker::run(&PathBuf::from(word(&mut parser)?)),
        "measure" => measure(parser),
        other => Err(format!("there is no command {other:?}\n\n{HELP}")),
    }
}

fn many(parser: &mut lexopt::Parser) -> Outcome<pipe::Many> {
    let name = word(parser)?;
    Ok(pipe::Many { pipe: name.as_str().into(), first: number(parser)?, count: number(parser)? })
}

fn number(parser: &mut lexopt::Parser) -> Outcome<usize> {
    let word = word(parser)?;
    word.parse().map_err(|_| format!("{word} is not a number"))
}

fn word(parser: &mut lexopt::Parser) -> Outcome<String> {
    match parser.next().map_err(|e| e.to_string())? {
        Some(Value(word)) => word.string().map_err(|e| e.to_string()),
        Some(Short('h') | Long("help")) | None => Err(format!("a word is missing\n\n{HELP}")),
        Some(other) => Err(other.unexpected().to_string()),
    }
}

fn serve(address: &Address) -> Outcome<()> {
    match address {
        Address::Stream(path) => serve::serve(&mut stream_listener(path)?),
        Address::Seqpacket(path) => serve::serve(&mut SeqpacketListener::at(path)?),
        Address::Dbus(path) => dbus::serve(path),
        Address::Byte(name) => serve::serve(&mut pipe::listen(name, PipeType::Byte)?),
        Address::Message(name) => serve::serve(&mut pipe::listen(name, PipeType::Message)?),
        Address::Rpc(place) => rpc::serve(place),
        Address::Service(_) | Address::Bus(_) | Address::Host(_) => {
            Err(format!("{address} is not served by the bench"))
        }
    }
}

/// What `measure` was asked for.
#[derive(Debug, Default)]
struct Asked {
    what: String,
    size: u32,
    total: u64,
    count: usize,
    servers: Vec<(String, Address)>,
}

fn measure(mut parser: lexopt::Parser) -> Outcome<()> {
    let mut asked = Asked { what: word(&mut parser)?, count: 1000, ..Asked::default() };
    let text = |e: lexopt::Error| e.to_string();
    while let Some(argument) = parser.next().map_err(text)? {
        match argument {
            Long("size") => asked.size = parser.value().and_then(|value| value.parse()).map_err(text)?,
            Long("total") => asked.total = parser.value().and_then(|value| value.parse()).map_err(text)?,
            Long("count") => asked.count = parser.value().and_then(|value| value.parse()).map_err(text)?,
            Long("cpu") => pin(parser.value().and_then(|value| value.parse()).map_err(text)?)?,
            Value(server) => {
                let server = server.string().map_err(text)?;
                let (name, address) =
                    server.split_once('=').ok_or_else(|| format!("{server} is not NAME=ADDRESS"))?;
                asked.servers.push((name.to_owned(), address.parse()?));
            }
            other => return Err(other.unexpected().to_string()),
        }
    }
    let mut exchanges = Vec::new();
    for (name, address) in &asked.servers {
        exchanges.push(exchange(&asked, address).map_err(|error| format!("{name}: {error}"))?);
    }
    let amount = match asked.what.as_str() {
        "bulk" => Amount::Few(asked.count),
        _ if asked.servers.iter().any(|(_, address)| matches!(address, Address::Service(_))) => {
            Amount::Few(asked.count)
        }
        _ => Amount::Many(asked.count),
    };
    let samples = in_turns(&mut exchanges, amount)?;
    let names = asked.servers.into_iter().map(|(name, _)| name);
    let all: serde_json::Map<String, serde_json::Value> =
        names.zip(samples.into_iter().map(serde_json::Value::from)).collect();
    println!("{}", serde_json::Value::from(all));
    Ok(())
}

fn exchange(asked: &Asked, address: &Address) -> Outcome<Box<dyn Exchange>> {
    Ok(match asked.what.as_str() {
        "round-trip" => Box::new(RoundTrip::new(channel(address)?, asked.size)?),
        "bulk" => Box::new(Bulk::new(channel(address)?, asked.size, asked.total)?),
        "connect" => connect(address),
        "call" => call(address)?,
        other => return Err(format!("there is nothing called {other:?} to measure")),
    })
}

fn channel(address: &Address) -> Outcome<Box<dyn Channel>> {
    match address {
        Address::Stream(path) => Ok(Box::new(stream(path)?)),
        Address::Seqpacket(path) => Ok(Box::new(Seqpacket::connect(path)?)),
        Address::Byte(name) | Address::Message(name) => Ok(Box::new(pipe::open(name)?)),
        Address::Dbus(_) | Address::Bus(_) | Address::Rpc(_) | Address::Service(_) | Address::Host(_) => {
            Err(format!("{address} carries calls"))
        }
    }
}

fn connect(address: &Address) -> Box<dyn Exchange> {
    let address = address.clone();
    match address {
        Address::Bus(path) | Address::Dbus(path) => Box::new(dbus::Hello(path)),
        address => Box::new(Connect(move || channel(&address))),
    }
}

fn call(address: &Address) -> Outcome<Box<dyn Exchange>> {
    match address {
        Address::Dbus(path) => Ok(Box::new(dbus::Call::service(path)?)),
        Address::Bus(path) => Ok(Box::new(dbus::Call::bus(path)?)),
        Address::Host(place) => Ok(Box::new(host::Version::connect(place)?)),
        Address::Service(place) => Ok(Box::new(host::Start::connect(place)?)),
        Address::Rpc(place) => Ok(Box::new(rpc::Call::connect(place)?)),
        Address::Stream(_) | Address::Seqpacket(_) | Address::Byte(_) | Address::Message(_) => {
            Err(format!("{address} carries no calls"))
        }
    }
}

/// Keeps this process on one processor.
fn pin(processor: usize) -> Outcome<()> {
    let mut set = CpuSet::new();
    set.set(processor);
    sched_setaffinity(None, &set).map_err(|e| format!("keeping to processor {processor}: {e}"))
}
