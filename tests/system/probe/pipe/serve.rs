//! `pipe-serve NAME [WORD ...]`: serves a pipe by the library, each client in a thread of its own, and prints who each is.
//!
//! Words: `message`, `inbound`, `outbound`, `first`, `refuse-outside`, `descriptors`, `rpc`, `instances=N`, `timeout=MS`, `allow=ENTRY`,
//! and `do=`: `echo`, `who` (tells the client who it is), `hold` (reads until the end), `sum` (the same and what it was), `deaf` (reads
//! nothing), `half` (begins a message), `messages` (prints the length of each), `open=PATH,PATH` (reads once, then opens them as the client and as itself).

use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use serde_json::{Value, json};
use session0::pipe::{Direction, Instance, PipeServer, PipeType, ServerBuilder};

use super::{Sum, refused, say};

/// Serves until it is killed, or the host ends it.
pub fn serve(arguments: &[String]) -> String {
    let Some((name, words)) = arguments.split_first() else { return "usage".into() };
    let mut access = Vec::new();
    let mut act = "echo".to_owned();
    let mut builder = PipeServer::builder(name);
    for word in words {
        match word.split_once('=') {
            Some(("allow", entry)) => access.push(entry.to_owned()),
            Some(("do", what)) => what.clone_into(&mut act),
            _ => builder = with(builder, word),
        }
    }
    if !access.is_empty() {
        builder = builder.access(access);
    }
    let server = match builder.create() {
        Ok(server) => server,
        Err(error) => return refused(&error),
    };
    say(&format!("listening {}", server.name()));
    loop {
        match server.accept() {
            Ok(instance) => {
                let act = act.clone();
                std::thread::spawn(move || attend(&instance, &act));
            }
            Err(error) => return refused(&error),
        }
    }
}

fn with(builder: ServerBuilder, word: &str) -> ServerBuilder {
    let number = |text: &str| text.parse().unwrap_or(0);
    match word.split_once('=').unwrap_or((word, "")) {
        ("message", _) => builder.kind(PipeType::Message),
        ("inbound", _) => builder.direction(Direction::Inbound),
        ("outbound", _) => builder.direction(Direction::Outbound),
        ("first", _) => builder.first_instance(true),
        ("refuse-outside", _) => builder.refuse_outside(true),
        ("descriptors", _) => builder.descriptors(true),
        ("rpc", _) => builder.rpc(true),
        ("instances", count) => builder.instances(number(count)),
        ("timeout", ms) => builder.default_timeout(Duration::from_millis(number(ms).into())),
        _ => {
            say(&format!("no such word {word}"));
            builder
        }
    }
}

fn attend(instance: &Instance, act: &str) {
    let client = identity(instance);
    say(&format!("client {client}"));
    let ended = match act.split_once('=').unwrap_or((act, "")) {
        ("who", _) => {
            write(instance, client.to_string().as_bytes());
            let _ = instance.flush();
            "told".to_owned()
        }
        ("hold", _) => read_on(instance, |_| {}),
        ("sum", _) => {
            let mut sum = Sum::new();
            let ended = read_on(instance, |bytes| sum.add(bytes));
            say(&format!("sum {}", sum.text()));
            ended
        }
        ("messages", _) => loop {
            match instance.read_message() {
                Ok(message) => say(&format!("message {}", message.len())),
                Err(error) => break refused(&error),
            }
        },
        ("deaf", _) => crate::load::sleep(),
        ("half", _) => {
            say(&format!("half {}", super::half(instance.as_fd()).is_ok()));
            read_on(instance, |_| {})
        }
        ("open", paths) => {
            let answer = as_client(instance, paths);
            write(instance, answer.as_bytes());
            let _ = instance.flush();
            answer
        }
        _ => echo(instance),
    };
    say(&format!("ended {}: {ended}", instance.number()));
}

/// Who the client is by the host's word, and by the kernel's.
fn identity(instance: &Instance) -> Value {
    let client = instance.client();
    let socket = instance.as_fd().as_raw_fd();
    let kernel: [u32; 3] = option(socket, libc::SO_PEERCRED).try_into().unwrap_or([u32::MAX; 3]);
    json!({
        "instance": instance.number(),
        "session": client.session(),
        "uid": client.uid(),
        "gid": client.gid(),
        "groups": client.groups(),
        "pid": client.pid(),
        "account": client.account(),
        "service": client.service(),
        "level": format!("{:?}", client.impersonation()),
        "alive": client.is_alive(),
        "kernel": { "uid": kernel[1], "gid": kernel[2], "groups": option(socket, libc::SO_PEERGROUPS) },
    })
}

/// What the kernel says of who is at the other end: process, uid and gid, or the groups. The library for sockets takes no answer in
/// which the process is of a namespace that we do not see.
fn option(socket: i32, name: i32) -> Vec<u32> {
    let mut found = [0_u32; 64];
    let mut length = libc::socklen_t::try_from(size_of_val(&found)).unwrap_or(0);
    // SAFETY: the pointers are to `found` and its length in bytes, which the kernel writes no further than.
    let code = unsafe {
        libc::getsockopt(socket, libc::SOL_SOCKET, name, found.as_mut_ptr().cast(), &raw mut length)
    };
    let count = if code == 0 { length as usize / size_of::<u32>() } else { 0 };
    found[..count].to_vec()
}

fn write(instance: &Instance, bytes: &[u8]) {
    let written = match instance.kind() {
        PipeType::Message => instance.write_message(bytes),
        PipeType::Byte | PipeType::Unknown => instance.write(bytes).map(drop),
    };
    if let Err(error) = written {
        say(&refused(&error));
    }
}

fn read_on(instance: &Instance, mut each: impl FnMut(&[u8])) -> String {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match instance.read(&mut buffer) {
            Ok(read) => each(&buffer[..read.bytes]),
            Err(error) => return refused(&error),
        }
    }
}

fn echo(instance: &Instance) -> String {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let done = match instance.kind() {
            PipeType::Message => instance.read_message().and_then(|message| instance.write_message(&message)),
            PipeType::Byte | PipeType::Unknown => {
                instance.read(&mut buffer).and_then(|read| instance.write(&buffer[..read.bytes]).map(drop))
            }
        };
        if let Err(error) = done {
            return refused(&error);
        }
    }
}

/// Reads once, then opens each path as the client, and the last as itself.
fn as_client(instance: &Instance, paths: &str) -> String {
    let mut buffer = [0; 4096];
    if let Err(error) = instance.read(&mut buffer) {
        return refused(&error);
    }
    let paths: Vec<&str> = paths.split(',').collect();
    let tried = instance.impersonate(|| {
        let opened = paths.iter().map(|path| format!("{path} {}", crate::attempt::open(path)));
        opened.collect::<Vec<_>>().join(", ")
    });
    let own = paths.last().map_or("usage".into(), |path| crate::attempt::open(path));
    match tried {
        Ok(tried) => format!("as client {tried}; as itself {own}"),
        Err(error) => format!("{}; as itself {own}", refused(&error)),
    }
}
