//! A program that tries what it is told to try, and says what came of it: `probe TRY [ARGUMENT] [then TRY ...]`.
//!
//! Prints one line a try: `TRY ARGUMENT: ok`, `TRY ARGUMENT: EPERM` ... The tests run it as a service, where
//! it must fail, and outside, where it must succeed, so that the test itself is proven.

mod attack;
mod attempt;
mod client;
mod hygiene;
mod keyring;
mod load;
mod machine;
mod pipe;
mod report;
mod rpc;
mod target;
mod uring;

use std::io::Write;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    for one in words.split(|word| word == "then") {
        let Some((name, arguments)) = one.split_first() else { continue };
        let result = run(name, arguments);
        println!("{}: {}", one.join(" "), result);
        let _ = std::io::stdout().flush();
    }
}

/// One try by name.
fn run(name: &str, arguments: &[String]) -> String {
    let tries = [attempted, attacked, piped, reported, loaded];
    tries.iter().find_map(|one| one(name, arguments)).unwrap_or_else(|| format!("no such try {name}"))
}

fn word(arguments: &[String], index: usize) -> &str {
    arguments.get(index).map_or("", String::as_str)
}

/// Single forbidden things.
fn attempted(name: &str, arguments: &[String]) -> Option<String> {
    let argument = word(arguments, 0);
    Some(match name {
        "abstract" => attempt::abstract_connect(argument),
        "connect" => attempt::connect(argument),
        "connect-and-wait" => attempt::connect_and_wait(argument),
        "open" => attempt::open(argument),
        "write" => attempt::write(argument),
        "mknod" => attempt::make_node(argument),
        "signal" => attempt::signal(argument),
        "ptrace" => attempt::ptrace(argument),
        "tiocsti" => attempt::terminal_ioctl(argument),
        "unshare-user" => attempt::unshare_user(),
        "clone3-user" => attempt::clone3_user(),
        "without-landlock" => attempt::without_landlock(arguments),
        "mount" => attempt::mount(),
        "umount" => attempt::umount(argument),
        "syscall" => attempt::syscall(argument),
        "vsock" => attempt::vsock(),
        "bpf-map" => attempt::bpf_map(),
        "uring" => uring::socket(),
        _ => return None,
    })
}

/// What the attack suite does.
fn attacked(name: &str, arguments: &[String]) -> Option<String> {
    let argument = word(arguments, 0);
    let (second, third) = (word(arguments, 1), word(arguments, 2));
    Some(match name {
        "hold" => target::hold(arguments),
        "clean" => target::clean(argument),
        "attack" => attack::run(arguments),
        "call" => client::call(argument, second),
        "call-on" => client::call_on(argument, second),
        "connect-exec" => client::connect_exec(argument, second, third),
        "reuse-pid" => client::reuse_pid(argument, second, third),
        "door-give" => client::door_give(argument),
        "door-take" => client::door_take(argument, second),
        "flood" => client::flood(argument, second),
        "write-any" => machine::write_any(arguments),
        "open-any" => machine::open_any(arguments),
        "mknod-any" => machine::make_any(arguments),
        "read-through" => machine::read_through(argument),
        "handle-of" => machine::handle_of(argument),
        "by-handle" => machine::by_handle(argument),
        "enter" => machine::enter(argument, second),
        "leave-group" => machine::leave_group(),
        _ => return None,
    })
}

/// Ends of named pipes.
fn piped(name: &str, arguments: &[String]) -> Option<String> {
    let (argument, second) = (word(arguments, 0), word(arguments, 1));
    Some(match name {
        "pipe-serve" => pipe::serve(arguments),
        "pipe-open" => pipe::open(arguments),
        "pipe-listen" => pipe::listen(arguments),
        "pipe-share" => pipe::attack::share(argument),
        "pipe-half" => pipe::attack::half(argument),
        "pipe-whole" => pipe::attack::whole(argument),
        "pipe-descriptors" => pipe::attack::descriptors(argument),
        "pipe-flood" => pipe::attack::flood(arguments),
        "pipe-hoard" => pipe::attack::hoard(arguments),
        "pipe-reuse" => pipe::attack::reuse(argument, second),
        "rpc-serve" => rpc::serve(argument),
        "rpc-flood" => rpc::flood(argument, second),
        "pipe-remove" => pipe::attack::remove(argument, second),
        _ => return None,
    })
}

/// What a program finds of itself and around it.
fn reported(name: &str, arguments: &[String]) -> Option<String> {
    let argument = word(arguments, 0);
    Some(match name {
        "pids" => report::pids(),
        "fds" => report::descriptors(),
        "environment" => report::environment(),
        "credentials" => report::credentials(),
        "list" => report::list(argument),
        "read" => report::read(argument),
        "leaked" => hygiene::leaked(),
        "injected" => hygiene::injected(),
        "elevated" => hygiene::elevated(),
        "drop-to" => hygiene::drop_to(argument),
        _ => return None,
    })
}

/// Load and bad behaviour.
fn loaded(name: &str, arguments: &[String]) -> Option<String> {
    let argument = word(arguments, 0);
    Some(match name {
        "forks" => hygiene::forks(argument),
        "takes" => hygiene::takes(argument),
        "lines" => load::lines(argument),
        "fork-bomb" => load::fork_bomb(),
        "memory-hog" => load::memory_hog(),
        "descriptor-hog" => load::descriptor_hog(),
        "notify" => load::notify(arguments),
        "notify-slow" => load::notify_slow(),
        "main-process-flood" => load::main_process_flood(),
        "leave-child" => load::leave_child(),
        "ignore-term" => load::ignore_term(),
        "sleep" => load::sleep(),
        "exit" => std::process::exit(argument.parse().unwrap_or(1)),
        "abort" => std::process::abort(),
        _ => return None,
    })
}
