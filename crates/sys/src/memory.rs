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

#[cfg(test)]
mod tests {
    #[test]
    fn memory_in_use_stays() {
        let text = "x".repeat(1 << 20);
        super::give_back();
        assert!(text.bytes().all(|byte| byte == b'x'));
    }
}
