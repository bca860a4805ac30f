//! Memory that is free but not given back.

/// Gives memory that this process does not use at the moment back to the machine. What a burst of work leaves free
/// between things that stay would otherwise be kept for good: a daemon that loaded a thousand services keeps a third
/// of its heap that way.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim(3) has no preconditions; it takes a number and touches only free memory.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Gives the pages of a buffer back; what was in it reads as zeros. For a large one that is rarely used.
pub fn empty(buffer: &mut [u8]) {
    const PAGE: usize = 4096;
    let offset = buffer.as_ptr().align_offset(PAGE);
    let Some(pages) = buffer.get_mut(offset..) else { return };
    let length = pages.len() / PAGE * PAGE;
    // SAFETY: whole pages inside the buffer, which is borrowed exclusively; zeros are as good as any bytes. If it fails,
    // nothing has changed.
    unsafe { libc::madvise(pages.as_mut_ptr().cast(), length, libc::MADV_DONTNEED) };
}

#[cfg(test)]
mod tests {
    #[test]
    fn memory_in_use_stays() {
        let text = "x".repeat(1 << 20);
        super::give_back();
        assert!(text.bytes().all(|byte| byte == b'x'));
    }

    #[test]
    fn an_emptied_buffer_can_be_used_again_and_its_neighbours_are_whole() {
        let mut all = vec![7_u8; 64 * 1024];
        super::empty(&mut all[1..60_000]);
        assert_eq!((all[0], all[60_000]), (7, 7));
        all[1..60_000].fill(9);
        assert!(all[1..60_000].iter().all(|byte| *byte == 9));
        super::empty(&mut all[..3]);
        assert_eq!(all[..2], [7, 9]);
    }
}
