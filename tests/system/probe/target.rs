//! The target of an attack: a program that holds a secret in the places its tests name, and reports what was done to it.
//!
//! `hold NAME PLACE[,PLACE ...]` prints one line a place and then `ready SECRET`. From outside it is told by signals:
//! SIGUSR1 to write its secret to its file in `/tmp`, SIGUSR2 to print what it has noticed (`effects: ...`). SIGURG, which
//! harms nobody who does not expect it, is what attackers send.

use std::ffi::CString;
use std::fs::File;
use std::io::{Error, Write};
use std::os::fd::{FromRawFd, IntoRawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::os::unix::process::CommandExt;

use crate::attempt::name_of;

/// The variable a target holds its secret in.
const VARIABLE: &str = "HELD_SECRET";

/// What stands before the secret in memory. An attacker looks for it.
pub const MARK: &str = "held-secret=";

/// `hold NAME PLACES`.
pub fn hold(arguments: &[String]) -> String {
    let [name, places] = arguments else { return "usage".into() };
    let secret = match std::env::var(VARIABLE) {
        Ok(secret) => secret,
        Err(_) => random(),
    };
    if places.split(',').any(|place| place == "environment") && std::env::var(VARIABLE).is_err() {
        let own = std::env::current_exe().unwrap_or_else(|_| "/proc/self/exe".into());
        let error = std::process::Command::new(own).arg("hold").args(arguments).env(VARIABLE, &secret).exec();
        return name_of(&error);
    }
    let signals = block();
    let held = format!("{MARK}{secret}");
    for place in places.split(',') {
        println!("place {place}: {}", answer(keep(place, name, &secret)));
    }
    println!("ready {secret}");
    let _ = std::io::stdout().flush();
    serve(name, &secret, &signals);
    // Read, so that it stays in memory for as long as the target lives.
    std::hint::black_box(held)
}

/// `clean NAME`: removes what a target leaves that does not go with its process.
pub fn clean(name: &str) -> String {
    for path in [
        display(name),
        bus(name),
        format!("{}.secret", bus(name)),
        format!("/dev/shm/{name}"),
        format!("/tmp/{name}"),
        format!("/tmp/{name}.taken"),
        format!("/var/tmp/{name}"),
    ] {
        let _ = std::fs::remove_file(path);
    }
    let queue = CString::new(format!("/{name}")).unwrap_or_default();
    // SAFETY: a C string and no other pointers; what is not there is not removed.
    unsafe {
        libc::mq_unlink(queue.as_ptr());
        libc::shmctl(libc::shmget(key(name), 0, 0), libc::IPC_RMID, std::ptr::null_mut());
        libc::semctl(libc::semget(key(name), 0, 0), 0, libc::IPC_RMID);
    }
    "ok".into()
}

fn answer(result: Result<(), Error>) -> String {
    result.map_or_else(|error| name_of(&error), |()| "ok".into())
}

fn random() -> String {
    let mut bytes = [0_u8; 16];
    // SAFETY: the pointer and the length are `bytes`'s.
    unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn keep(place: &str, name: &str, secret: &str) -> Result<(), Error> {
    match place {
        // Done already, by holding it at all.
        "memory" | "environment" | "nothing" => Ok(()),
        "descriptor" => in_descriptor(secret),
        "core" => may_dump_core(),
        "abstract" => listen_abstract(name, secret),
        "x11-abstract" => listen_abstract(&display(name), secret),
        "x11" => {
            let _ = std::fs::create_dir("/tmp/.X11-unix");
            listen(&display(name), secret)
        }
        "bus" => listen(&bus(name), secret),
        "bus-abstract" => listen_abstract(&format!("/tmp/dbus-{name}"), secret),
        "dev-shm" => write_new(&format!("/dev/shm/{name}"), secret),
        "tmp" => write_new(&format!("/tmp/{name}"), secret),
        "var-tmp" => write_new(&format!("/var/tmp/{name}"), secret),
        "run-user" => write_new(&format!("{}.secret", bus(name)), secret),
        "sysv-shm" => in_segment(name, secret),
        "sysv-sem" => semaphore(name),
        "queue" => in_queue(name, secret),
        "user-key" => crate::keyring::plant(name, secret, crate::keyring::USER),
        "persistent-key" => crate::keyring::plant_persistent(name, secret),
        "session-key" => crate::keyring::plant_named(name, secret),
        // When told.
        "planted" => Ok(()),
        _ => Err(Error::other("no such place")),
    }
}

/// A display number of its own for each target, where an X server would listen.
pub fn display(name: &str) -> String {
    format!("/tmp/.X11-unix/X{}", 1000 + key(name) % 30_000)
}

/// Where a session bus would listen.
pub fn bus(name: &str) -> String {
    // SAFETY: getuid has no preconditions.
    format!("/run/user/{}/bus-{name}", unsafe { libc::getuid() })
}

/// A key of System V IPC for a name.
pub fn key(name: &str) -> i32 {
    let hash =
        name.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    i32::try_from(hash >> 1).unwrap_or(1).max(1)
}

fn checked(value: i64) -> Result<i64, Error> {
    if value < 0 { Err(Error::last_os_error()) } else { Ok(value) }
}

fn write_new(path: &str, secret: &str) -> Result<(), Error> {
    std::fs::write(path, secret)
}

fn in_descriptor(secret: &str) -> Result<(), Error> {
    // SAFETY: a constant C string.
    let number = checked(i64::from(unsafe { libc::memfd_create(c"held".as_ptr(), 0) }))?;
    // SAFETY: the kernel has just made it for us.
    let mut file = unsafe { File::from_raw_fd(number as i32) };
    file.write_all(secret.as_bytes())?;
    // Stays open for good: it is what is held.
    let _ = file.into_raw_fd();
    Ok(())
}

/// A core file may be written, and lands in `/tmp`.
fn may_dump_core() -> Result<(), Error> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` outlives both calls.
    unsafe {
        checked(i64::from(libc::getrlimit(libc::RLIMIT_CORE, &mut limit)))?;
        limit.rlim_cur = limit.rlim_max;
        checked(i64::from(libc::setrlimit(libc::RLIMIT_CORE, &limit)))?;
    }
    std::env::set_current_dir("/tmp")
}

fn listen(path: &str, secret: &str) -> Result<(), Error> {
    serve_secret(UnixListener::bind(path)?, secret);
    Ok(())
}

fn listen_abstract(name: &str, secret: &str) -> Result<(), Error> {
    let address = SocketAddr::from_abstract_name(name)?;
    serve_secret(UnixListener::bind_addr(&address)?, secret);
    Ok(())
}

/// Whoever gets through is told: the wall is what protects it.
fn serve_secret(listener: UnixListener, secret: &str) {
    let secret = secret.to_owned();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.write_all(secret.as_bytes());
        }
    });
}

fn in_segment(name: &str, secret: &str) -> Result<(), Error> {
    // SAFETY: no pointers.
    let id = checked(i64::from(unsafe { libc::shmget(key(name), 4096, libc::IPC_CREAT | 0o600) }))?;
    // SAFETY: the kernel chooses where.
    let address = unsafe { libc::shmat(id as i32, std::ptr::null(), 0) };
    if address as isize == -1 {
        return Err(Error::last_os_error());
    }
    // SAFETY: the segment has 4096 bytes and the secret 32; marked for removal, it goes with the last process that has it.
    unsafe { std::ptr::copy_nonoverlapping(secret.as_ptr(), address.cast::<u8>(), secret.len()) };
    Ok(())
}

fn semaphore(name: &str) -> Result<(), Error> {
    // SAFETY: no pointers.
    checked(i64::from(unsafe { libc::semget(key(name), 1, libc::IPC_CREAT | 0o600) })).map(|_| ())
}

fn in_queue(name: &str, secret: &str) -> Result<(), Error> {
    let path = CString::new(format!("/{name}")).map_err(Error::other)?;
    // SAFETY: all-zero is a valid mq_attr.
    let mut attributes: libc::mq_attr = unsafe { std::mem::zeroed() };
    (attributes.mq_maxmsg, attributes.mq_msgsize) = (2, 64);
    // SAFETY: a C string and attributes that outlive the call.
    let queue = checked(i64::from(unsafe {
        libc::mq_open(path.as_ptr(), libc::O_RDWR | libc::O_CREAT, 0o600 as libc::mode_t, &attributes)
    }))?;
    // SAFETY: the pointer and the length are the secret's.
    checked(i64::from(unsafe { libc::mq_send(queue as i32, secret.as_ptr().cast(), secret.len(), 0) }))
        .map(|_| ())
}

const TOLD: [libc::c_int; 3] = [libc::SIGURG, libc::SIGUSR1, libc::SIGUSR2];

/// Before there is another thread: the signals wait until they are asked for.
fn block() -> libc::sigset_t {
    // SAFETY: all-zero is a valid set, and the set outlives the calls.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        for signal in TOLD {
            libc::sigaddset(&mut set, signal);
        }
        libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
        set
    }
}

fn serve(name: &str, secret: &str, signals: &libc::sigset_t) {
    let mut hits = 0_u32;
    loop {
        // SAFETY: the set outlives the call.
        match unsafe { libc::sigwaitinfo(signals, std::ptr::null_mut()) } {
            libc::SIGURG => hits += 1,
            libc::SIGUSR1 => {
                println!("wrote: {}", answer(write_new(&format!("/tmp/{name}"), secret)));
            }
            libc::SIGUSR2 => {
                // What was sent before this question counts.
                hits += u32::from(pending_hit());
                println!("effects: signals={hits} semaphore={}", semaphore_value(name));
            }
            _ => {}
        }
        let _ = std::io::stdout().flush();
    }
}

fn pending_hit() -> bool {
    let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the set and the time outlive the calls.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGURG);
        libc::sigtimedwait(&set, std::ptr::null_mut(), &now) == libc::SIGURG
    }
}

fn semaphore_value(name: &str) -> i32 {
    // SAFETY: no pointers; without the set both give -1, which counts as nothing.
    unsafe {
        let id = libc::semget(key(name), 1, 0);
        if id < 0 { 0 } else { libc::semctl(id, 0, libc::GETVAL).max(0) }
    }
}
