//! What a filter of system calls does not see: an operation handed over through io_uring.

use std::io::Error;

use crate::attempt::name_of;

const SUBMISSIONS: i64 = 0;
const COMPLETIONS: i64 = 0x800_0000;
const ENTRIES: i64 = 0x1000_0000;
const OP_SOCKET: u8 = 45;

/// struct io_uring_params, as words: counts, then the offsets of both rings.
type Parameters = [u32; 30];

fn mapped(ring: i64, length: usize, offset: i64) -> Result<*mut u8, Error> {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping, where the kernel likes.
    let address =
        unsafe { libc::mmap(std::ptr::null_mut(), length, access, libc::MAP_SHARED, ring as i32, offset) };
    if address == libc::MAP_FAILED { Err(Error::last_os_error()) } else { Ok(address.cast()) }
}

/// Makes a socket to the hypervisor, which the filter denies, by way of the ring.
pub fn socket() -> String {
    made(libc::AF_VSOCK)
        .or_else(|_| made(libc::AF_UNIX))
        .map_or_else(|error| name_of(&error), |()| "ok".into())
}

fn made(family: i32) -> Result<(), Error> {
    let mut parameters: Parameters = [0; 30];
    // SAFETY: the parameters have the size the kernel expects (120 bytes) and outlive the call.
    let ring = unsafe { libc::syscall(libc::SYS_io_uring_setup, 1, parameters.as_mut_ptr()) };
    if ring < 0 {
        return Err(Error::last_os_error());
    }
    let submissions = mapped(ring, 4096, SUBMISSIONS)?;
    let completions = mapped(ring, 4096, COMPLETIONS)?;
    let entries = mapped(ring, 4096, ENTRIES)?;
    // io_sqring_offsets { head, tail, mask, entries, flags, dropped, array }, io_cqring_offsets { .., cqes at the sixth word }
    let (tail, array, answers) = (parameters[11], parameters[16], parameters[25]);
    // SAFETY: the offsets are the kernel's own and lie in the pages mapped above; one entry, one thread.
    let (result, entered) = unsafe {
        *entries = OP_SOCKET;
        entries.add(4).cast::<i32>().write(family);
        entries.add(8).cast::<u64>().write(libc::SOCK_STREAM as u64);
        submissions.add(array as usize).cast::<u32>().write(0);
        submissions.add(tail as usize).cast::<u32>().write_volatile(1);
        let entered = libc::syscall(libc::SYS_io_uring_enter, ring, 1, 1, 1, std::ptr::null::<u8>(), 0);
        (completions.add(answers as usize + 8).cast::<i32>().read_volatile(), entered)
    };
    if entered < 0 {
        return Err(Error::last_os_error());
    }
    println!("a socket of family {family} by the ring: {result}");
    if result < 0 { Err(Error::from_raw_os_error(-result)) } else { Ok(()) }
}
