//! What a program finds on itself when it starts, and should not.

/// `leaked`: a descriptor besides the three.
pub fn leaked() -> String {
    let own = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let numbers: Vec<u32> = own.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    // One of them was the directory itself, which is closed by now.
    let open = |number: &u32| std::fs::read_link(format!("/proc/self/fd/{number}")).is_ok();
    let more: Vec<u32> = numbers.into_iter().filter(|number| *number > 2 && open(number)).collect();
    match more.is_empty() {
        true => "nothing".into(),
        false => {
            println!("open: {more:?}");
            "ok".into()
        }
    }
}

/// `injected`: a variable that changes what programs do or what sessions are taken for.
pub fn injected() -> String {
    let named =
        ["BASH_ENV", "ENV", "IFS", "PYTHONSTARTUP", "PERL5LIB", "XDG_SEAT", "XDG_SESSION_ID", "XDG_VTNR"];
    let found: Vec<String> = std::env::vars()
        .filter(|(name, value)| {
            name.starts_with("LD_") || named.contains(&name.as_str()) || value.contains("injected")
        })
        .map(|(name, _)| name)
        .collect();
    match found.is_empty() {
        true => "nothing".into(),
        false => {
            println!("injected: {}", found.join(" "));
            "ok".into()
        }
    }
}

/// `elevated`: whether this program, which is a set-user-id one then, is root.
pub fn elevated() -> String {
    // SAFETY: no preconditions.
    let uid = unsafe { libc::geteuid() };
    if uid == 0 { "ok".into() } else { format!("uid {uid}") }
}

/// `drop-to UID`: gives up root the careless way, looking at no result, and says whether it is still root.
pub fn drop_to(uid: &str) -> String {
    let uid = uid.parse().unwrap_or(65534);
    // SAFETY: no preconditions.
    let now = unsafe {
        libc::setuid(uid);
        libc::getuid()
    };
    if now == 0 { "ok".into() } else { format!("uid {now}") }
}

/// `forks COUNT`: that many children at once, which wait.
pub fn forks(count: &str) -> String {
    let mut children = Vec::new();
    let wanted: usize = count.parse().unwrap_or(0);
    while children.len() < wanted {
        // SAFETY: one thread; the child waits to be killed.
        match unsafe { libc::fork() } {
            0 => loop {
                // SAFETY: no preconditions.
                unsafe { libc::pause() };
            },
            child if child < 0 => break,
            child => children.push(child),
        }
    }
    let reached = children.len();
    for child in children {
        // SAFETY: our own children.
        unsafe {
            libc::kill(child, libc::SIGKILL);
            libc::waitpid(child, std::ptr::null_mut(), 0);
        }
    }
    if reached == wanted { "ok".into() } else { format!("refused after {reached}") }
}

/// `takes MIB`: that much memory, touched.
pub fn takes(mib: &str) -> String {
    let mut taken: Vec<Vec<u8>> = Vec::new();
    for _ in 0..mib.parse().unwrap_or(0) {
        taken.push(vec![1; 1 << 20]);
    }
    std::hint::black_box(&taken);
    "ok".into()
}
