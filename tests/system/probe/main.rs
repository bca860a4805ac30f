//! A program that tries what it is told to try, and says what came of it: `probe TRY [ARGUMENT] [then TRY ...]`.
//!
//! Prints one line a try: `TRY ARGUMENT: ok`, `TRY ARGUMENT: EPERM` ... The tests run it as a service, where
//! it must fail, and outside, where it must succeed, so that the test itself is proven.

mod attempt;
mod load;
mod report;

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
    let argument = arguments.first().map_or("", String::as_str);
    match name {
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
        "pids" => report::pids(),
        "fds" => report::descriptors(),
        "environment" => report::environment(),
        "credentials" => report::credentials(),
        "list" => report::list(argument),
        "read" => report::read(argument),
        "lines" => load::lines(argument),
        "fork-bomb" => load::fork_bomb(),
        "memory-hog" => load::memory_hog(),
        "descriptor-hog" => load::descriptor_hog(),
        "notify" => load::notify(arguments),
        "main-process-flood" => load::main_process_flood(),
        "leave-child" => load::leave_child(),
        "ignore-term" => load::ignore_term(),
        "sleep" => load::sleep(),
        "exit" => std::process::exit(argument.parse().unwrap_or(1)),
        "abort" => std::process::abort(),
        other => format!("no such try {other}"),
    }
}
