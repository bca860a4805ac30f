//! System calls nothing in a session may make, and the filter against user namespaces.
//!
//! The session's filter is installed once, in init, and inherited. The one against user namespaces is installed in
//! each child, because init itself needs clone3; it is written by hand to be short (a filter is translated to
//! machine code at every installation).

use std::collections::BTreeMap;
use std::io;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};

/// Refused with EPERM whatever their arguments are.
const DENIED: &[libc::c_long] = &[
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_reboot,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_open_by_handle_at,
    // User keyrings are per uid, not per session: a key of one session can be read in another.
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_userfaultfd,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    // Setting the clock. adjtimex and clock_adjtime are also how it is read; the kernel itself asks for
    // CAP_SYS_TIME, which nothing here has, before they set anything.
    libc::SYS_clock_settime,
    libc::SYS_settimeofday,
    libc::SYS_syslog,
    libc::SYS_acct,
    libc::SYS_quotactl,
    // What io_uring does is not seen by any filter.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
];

/// The kernel looks at the low 32 bits of an ioctl's number only, so only those are compared.
const DENIED_IOCTLS: &[u64] = &[TIOCSTI, TIOCLINUX];
const TIOCSTI: u64 = 0x5412;
const TIOCLINUX: u64 = 0x541c;

/// A filter, translated and ready to be installed.
#[derive(Clone, Debug)]
pub struct Filter(Vec<libc::sock_filter>);

/// The session's filter.
pub fn session_filter() -> io::Result<Filter> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        DENIED.iter().map(|number| (*number, Vec::new())).collect();
    let ioctls: Result<Vec<_>, _> = DENIED_IOCTLS.iter().map(|number| equal(1, *number)).collect();
    rules.insert(libc::SYS_ioctl, ioctls.map_err(io::Error::other)?);
    let vsock = equal(0, libc::AF_VSOCK as u64).map_err(io::Error::other)?;
    rules.insert(libc::SYS_socket, vec![vsock]);
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        SeccompAction::Errno(libc::EPERM as u32),
        ARCHITECTURE,
    );
    let program: BpfProgram = filter.and_then(TryInto::try_into).map_err(io::Error::other)?;
    Ok(with_x32_killed(&program))
}

// linux/unistd.h; the libc crate does not have it everywhere.
const SYS_FCHMODAT2: libc::c_long = 452;
/// O_CREAT, and what makes O_TMPFILE of O_DIRECTORY: without them open has no mode.
const CREATING: [u64; 2] = [libc::O_CREAT as u64, (libc::O_TMPFILE & !libc::O_DIRECTORY) as u64];
const SET_ID: [u64; 2] = [libc::S_ISUID as u64, libc::S_ISGID as u64];

/// Calls that give a file its mode, and which argument that is. mkdir's has no such bits: the kernel cuts them off.
const MODES: &[(libc::c_long, u8)] = &[
    (libc::SYS_fchmod, 1),
    (libc::SYS_fchmodat, 2),
    (SYS_FCHMODAT2, 2),
    (libc::SYS_mknodat, 2),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_chmod, 1),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_creat, 1),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_mknod, 1),
];

/// Calls that give a file its mode if their flags say that there is to be one: flags, mode.
const OPENS: &[(libc::c_long, u8, u8)] = &[
    (libc::SYS_openat, 2, 3),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_open, 1, 2),
];

/// For programs that may become root of their session: no file becomes a set-user-id or set-group-id one, because outside the
/// session, where the same file is, it would make whoever runs it root there. openat2, whose mode is in memory, out of a filter's
/// reach, does not exist, so that programs fall back to openat.
pub(crate) fn set_id_filter() -> io::Result<Filter> {
    let has = |argument: u8, bits: u64| {
        SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(bits), bits)
    };
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for (call, mode) in MODES {
        let each = SET_ID.iter().map(|bit| SeccompRule::new(vec![has(*mode, *bit)?]));
        rules.insert(*call, each.collect::<Result<_, _>>().map_err(io::Error::other)?);
    }
    for (call, flags, mode) in OPENS {
        let pairs = CREATING.iter().flat_map(|flag| SET_ID.iter().map(move |bit| (flag, bit)));
        let each = pairs.map(|(flag, bit)| SeccompRule::new(vec![has(*flags, *flag)?, has(*mode, *bit)?]));
        rules.insert(*call, each.collect::<Result<_, _>>().map_err(io::Error::other)?);
    }
    let denied = SeccompAction::Errno(libc::EPERM as u32);
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, denied, ARCHITECTURE);
    let program: BpfProgram = filter.and_then(TryInto::try_into).map_err(io::Error::other)?;
    let no_openat2 = [
        statement(LOAD, NUMBER),
        jump(JUMP_EQUAL, libc::SYS_openat2 as u32, 0, 1),
        statement(RETURN, libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32),
    ];
    Ok(Filter(no_openat2.into_iter().chain(program.iter().map(instruction)).collect()))
}

fn equal(argument: u8, value: u64) -> Result<SeccompRule, seccompiler::BackendError> {
    let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)?;
    SeccompRule::new(vec![condition])
}

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: TargetArch = TargetArch::x86_64;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: TargetArch = TargetArch::aarch64;

/// seccompiler kills foreign architectures, but x32 has our own architecture and numbers with bit 30: a rule by
/// number would not meet it.
fn with_x32_killed(program: &BpfProgram) -> Filter {
    let mut all = vec![
        statement(LOAD, NUMBER),
        jump(JUMP_GREATER_EQUAL, 0x4000_0000, 0, 1),
        statement(RETURN, libc::SECCOMP_RET_KILL_PROCESS),
    ];
    all.extend(program.iter().map(instruction));
    Filter(all)
}

fn instruction(one: &seccompiler::sock_filter) -> libc::sock_filter {
    libc::sock_filter { code: one.code, jt: one.jt, jf: one.jf, k: one.k }
}

/// Installs a filter in this process, for good. Needs CAP_SYS_ADMIN (no_new_privs stays off, so that set-user-id
/// programs work).
pub fn install(filter: &Filter) -> io::Result<()> {
    install_raw(&filter.0)
}

/// As [`install`]; makes one system call and nothing else.
pub(crate) fn install_raw(filters: &[libc::sock_filter]) -> io::Result<()> {
    let program =
        libc::sock_fprog { len: filters.len() as libc::c_ushort, filter: filters.as_ptr().cast_mut() };
    // SAFETY: `program` describes `filters`, which the kernel only reads and copies.
    let result =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// User namespaces: clone and unshare with CLONE_NEWUSER are EPERM, clone3 (whose flags are in memory, out of a
/// filter's reach) is ENOSYS, so that libc falls back to clone. Architecture and x32 are the session filter's.
pub(crate) fn user_namespace_filter() -> [libc::sock_filter; 9] {
    [
        statement(LOAD, NUMBER),
        jump(JUMP_EQUAL, libc::SYS_clone3 as u32, 5, 0),
        jump(JUMP_EQUAL, libc::SYS_clone as u32, 1, 0),
        jump(JUMP_EQUAL, libc::SYS_unshare as u32, 0, 2),
        statement(LOAD, FIRST_ARGUMENT_LOW),
        jump(JUMP_SET, libc::CLONE_NEWUSER as u32, 2, 0),
        statement(RETURN, libc::SECCOMP_RET_ALLOW),
        statement(RETURN, libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32),
        statement(RETURN, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
    ]
}

// linux/bpf_common.h: BPF_LD|BPF_W|BPF_ABS, BPF_JMP|BPF_J*|BPF_K, BPF_RET|BPF_K
const LOAD: u16 = 0x20;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_GREATER_EQUAL: u16 = 0x35;
const JUMP_SET: u16 = 0x45;
const RETURN: u16 = 0x06;
// struct seccomp_data { int nr; u32 arch; u64 ip; u64 args[6]; }, little-endian on all we build for.
const NUMBER: u32 = 0;
const FIRST_ARGUMENT_LOW: u32 = 16;

fn statement(code: u16, k: u32) -> libc::sock_filter {
    libc::sock_filter { code, jt: 0, jf: 0, k }
}

fn jump(code: u16, k: u32, jt: u8, jf: u8) -> libc::sock_filter {
    libc::sock_filter { code, jt, jf, k }
}
