//! Memory that is free: given back, or wiped.

use std::alloc::{GlobalAlloc, Layout, System};

/// The system's allocator, which wipes every block before it is freed: for a process that holds secrets. What a library copied
/// on its way (a parser's scratch space, a buffer that grew) is wiped like the rest.
#[derive(Debug)]
pub struct Wiping;

// SAFETY: every call is passed on to the system's allocator as it came. `realloc` is the trait's own: allocate, copy, free, so
// that no block grows in place or moves without being wiped. What is wiped is the caller's block, still allocated, `size` long.
unsafe impl GlobalAlloc for Wiping {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's layout.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's layout.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller gives back a block of `layout.size()` bytes that nothing uses any more. explicit_bzero, because the
        // compiler may leave out a write to memory that is freed next.
        unsafe {
            libc::explicit_bzero(block.cast(), layout.size());
            System.dealloc(block, layout);
        }
    }
}

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
    use super::*;

    #[test]
    fn a_block_is_wiped_before_it_is_freed() {
        // What was freed is handed out again soon, as it was left but for the first words, which are the allocator's own.
        let layout = Layout::from_size_align(512, 16).unwrap();
        // SAFETY: the layout is not empty; the block is read after its end only through the same address handed out again.
        unsafe {
            let mut blocks = Vec::with_capacity(10_000);
            let first = Wiping.alloc(layout);
            first.write_bytes(0xAA, 512);
            Wiping.dealloc(first, layout);
            while blocks.len() < 10_000 && blocks.last() != Some(&first) {
                blocks.push(System.alloc(layout));
            }
            assert_eq!(blocks.last(), Some(&first), "malloc hands out what was freed");
            let bytes = std::slice::from_raw_parts(first.add(32), 480);
            assert!(bytes.iter().all(|byte| *byte != 0xAA));
            blocks.into_iter().for_each(|block| System.dealloc(block, layout));
        }
    }

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
