//! A clone whose child gets only the low numbers of our descriptor table.
//!
//! clone copies the table of whoever calls it, and exec closes what is in the copy: beside thirty thousand descriptors that is most
//! of a launch. `close_range` with CLOSE_RANGE_UNSHARE makes a table without what it closes, but it does so for the calling thread.
//! So one is made that shares everything with us, takes the short table, clones the child, and ends; we wait for it. It does not
//! wait for the child, which may be born into a frozen group.
//!
//! A thread and not a process: there is no second process in our control group for anybody to wonder about, no exit to be reaped,
//! and its children are ours as soon as it has ended.

use std::ffi::{c_int, c_void};
use std::io;
use std::os::fd::RawFd;
use std::ptr::NonNull;

/// What is done in the child.
pub(crate) trait Child {
    /// It never comes back from there.
    fn run(&self) -> !;
}

/// More than a child needs between clone and exec. Only what it touches is ever memory.
const STACK_BYTES: usize = 256 * 1024;
/// At its end, nothing: who needs more dies of it. The largest page there is on the machines we run on.
const GUARD_BYTES: usize = 64 * 1024;

/// Where such a thread has its variables, and the child its copy of them.
pub(crate) struct Stack(NonNull<c_void>);

impl Stack {
    /// Of a fixed size.
    pub(crate) fn new() -> io::Result<Stack> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK;
        let bytes = GUARD_BYTES + STACK_BYTES;
        // SAFETY: new memory wherever the kernel likes; nothing that exists is touched.
        let start = unsafe {
            libc::mmap(std::ptr::null_mut(), bytes, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0)
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let stack = Stack(NonNull::new(start).ok_or(io::ErrorKind::OutOfMemory)?);
        // SAFETY: the beginning of what was just mapped, which nobody uses yet.
        if unsafe { libc::mprotect(start, GUARD_BYTES, libc::PROT_NONE) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(stack)
    }

    /// Stacks grow downwards. Page-aligned, which is more than any of our processors asks for.
    fn top(&self) -> *mut c_void {
        // SAFETY: one past the end of the mapping made in `new`.
        unsafe { self.0.as_ptr().byte_add(GUARD_BYTES + STACK_BYTES) }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `new`, whole. No thread runs on it: `clone` waits for the only one there ever is.
        unsafe { libc::munmap(self.0.as_ptr(), GUARD_BYTES + STACK_BYTES) };
    }
}

/// What the thread is to do, and what became of it.
struct Errand<'a, C> {
    end: RawFd,
    args: &'a mut libc::clone_args,
    child: &'a C,
    outcome: io::Result<i32>,
}

/// clone3 with `args`, whose child gets a copy of our descriptors below `end` only, and runs `child`. Returns its number. `None`:
/// there can be no such thread (a limit of tasks is reached, or the C library refuses: musl's does), and nothing was cloned.
///
/// # Safety
/// We have one thread, and `args` has neither CLONE_VM nor CLONE_FILES: the child has memory and descriptors of its own.
pub(crate) unsafe fn clone<C: Child>(
    stack: &Stack,
    end: RawFd,
    args: &mut libc::clone_args,
    child: &C,
) -> Option<io::Result<i32>> {
    let mut errand = Errand { end, args, child, outcome: Err(io::ErrorKind::Other.into()) };
    let flags =
        libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_FILES | libc::CLONE_SIGHAND | libc::CLONE_THREAD;
    // SAFETY: the stack is unused, as no other such thread is alive: with CLONE_VFORK we wait until this one does not use our memory
    // any more, so that `errand` outlives it, too. It shares our thread-local variables, which we do not touch meanwhile.
    let thread = unsafe { libc::clone(go::<C>, stack.top(), flags, (&raw mut errand).cast::<c_void>()) };
    (thread >= 0).then_some(errand.outcome)
}

/// The thread. What it returns is nobody's to see.
extern "C" fn go<C: Child>(errand: *mut c_void) -> c_int {
    // SAFETY: `clone` passed a pointer to its own, and does not look at it before we have ended.
    let errand = unsafe { &mut *errand.cast::<Errand<'_, C>>() };
    let unshare = libc::CLOSE_RANGE_UNSHARE;
    // SAFETY: close_range with integers. It closes nothing of our process: the table that ends there is new and this thread's.
    if unsafe { libc::syscall(libc::SYS_close_range, errand.end, u32::MAX, unshare) } != 0 {
        errand.outcome = Err(io::Error::last_os_error());
        return 0;
    }
    let args: *mut libc::clone_args = errand.args;
    // SAFETY: by the contract of `clone` the child has its own copy of memory, which is whole: our only other thread waits. It
    // returns here with 0, on its copy of this stack, and never leaves `run`. `args` lives for the call.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, args, size_of::<libc::clone_args>()) };
    match pid {
        0 => errand.child.run(),
        pid if pid > 0 => errand.outcome = Ok(pid as i32),
        _ => errand.outcome = Err(io::Error::last_os_error()),
    }
    // We go on before this thread has closed its table by ending, which may take until after the child's end; and by then nobody
    // but the child may hold what tells us of its exec.
    // SAFETY: close_range with integers; the table is this thread's alone, and nothing in it is used any more.
    unsafe { libc::syscall(libc::SYS_close_range, 0, u32::MAX, 0) };
    0
}
