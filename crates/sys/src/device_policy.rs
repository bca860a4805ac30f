//! The device policy: a BPF program on a session's group that lets nothing but the harmless nodes be opened or
//! made, by root with mknod as well. It lives exactly as long as the group (BPF_PROG_ATTACH, no link).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Whether `/dev/tty` (5:0) may be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnTerminal {
    /// No: services have no terminal.
    Denied,
    /// Yes: it only ever means the caller's own terminal.
    Allowed,
}

/// Puts the policy on a v2 group. Needs CAP_SYS_ADMIN.
pub fn attach(group: BorrowedFd<'_>, terminal: OwnTerminal) -> io::Result<()> {
    let program = load(&program(terminal))?;
    let attributes = Attach {
        target_fd: group.as_raw_fd() as u32,
        attach_bpf_fd: program.as_raw_fd() as u32,
        attach_type: BPF_CGROUP_DEVICE,
        attach_flags: BPF_F_ALLOW_MULTI,
    };
    // SAFETY: `attributes` is the part of union bpf_attr that BPF_PROG_ATTACH reads, and lives for the call.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_ATTACH, &raw const attributes, size_of::<Attach>()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_ATTACH: libc::c_int = 8;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
const BPF_F_ALLOW_MULTI: u32 = 2;
const BPF_DEVCG_DEV_CHAR: i32 = 2;

/// struct bpf_insn.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    immediate: i32,
}

/// The part of union bpf_attr that BPF_PROG_LOAD needs.
#[repr(C)]
struct Load {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
}

/// The part of union bpf_attr that BPF_PROG_ATTACH needs.
#[repr(C)]
struct Attach {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
}

fn load(program: &[Instruction]) -> io::Result<OwnedFd> {
    let attributes = Load {
        prog_type: BPF_PROG_TYPE_CGROUP_DEVICE,
        insn_cnt: program.len() as u32,
        insns: program.as_ptr() as u64,
        license: c"GPL".as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log_buf: 0,
        kern_version: 0,
        prog_flags: 0,
    };
    // SAFETY: `attributes` is the part of union bpf_attr that BPF_PROG_LOAD reads; the pointers in it are to
    // `program` and a static string, alive for the call, and the count is `program`'s.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_LOAD, &raw const attributes, size_of::<Load>()) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for us (close-on-exec, as all BPF descriptors).
    Ok(unsafe { OwnedFd::from_raw_fd(result as i32) })
}

/// What a device's minor number may be.
enum Minor {
    Any,
    Is(i32),
}

/// struct bpf_cgroup_dev_ctx { u32 access_type; u32 major; u32 minor; }, low half of access_type: the kind.
fn program(terminal: OwnTerminal) -> Vec<Instruction> {
    use Minor::{Any, Is};
    let mut rules = vec![(1, Is(3)), (1, Is(5)), (1, Is(7)), (1, Is(8)), (1, Is(9)), (5, Is(2))];
    rules.extend((136..=143).map(|major| (major, Any)));
    match terminal {
        OwnTerminal::Allowed => rules.push((5, Is(0))),
        OwnTerminal::Denied => {}
    }
    // r2 = kind, r3 = major, r4 = minor; anything that is not a character device is denied.
    let mut program = vec![
        Instruction { code: 0x61, registers: 0x12, offset: 0, immediate: 0 },
        Instruction { code: 0x57, registers: 0x02, offset: 0, immediate: 0xffff },
        Instruction { code: 0x61, registers: 0x13, offset: 4, immediate: 0 },
        Instruction { code: 0x61, registers: 0x14, offset: 8, immediate: 0 },
        jump_equal(2, BPF_DEVCG_DEV_CHAR, 2),
        RETURN[0](0),
        RETURN[1](0),
    ];
    for (major, minor) in rules {
        match minor {
            // Not this major: over the two instructions that allow.
            Any => program.push(jump_unless(3, major, 2)),
            Is(number) => {
                program.push(jump_unless(3, major, 3));
                program.push(jump_unless(4, number, 2));
            }
        }
        program.push(RETURN[0](1));
        program.push(RETURN[1](1));
    }
    program.push(RETURN[0](0));
    program.push(RETURN[1](0));
    program
}

/// `r0 = value` and `exit`.
const RETURN: [fn(i32) -> Instruction; 2] = [
    |value| Instruction { code: 0xb7, registers: 0x00, offset: 0, immediate: value },
    |_| Instruction { code: 0x95, registers: 0x00, offset: 0, immediate: 0 },
];

fn jump_equal(register: u8, value: i32, over: i16) -> Instruction {
    Instruction { code: 0x15, registers: register, offset: over, immediate: value }
}

fn jump_unless(register: u8, value: i32, over: i16) -> Instruction {
    Instruction { code: 0x55, registers: register, offset: over, immediate: value }
}
