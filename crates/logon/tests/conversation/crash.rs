use std::time::Duration;

use session0_model::logon::wire::Task;

use crate::rig::{Corner, Talk, add, name};

/// Kills a conversation that goes on by itself after `wait`.
fn kill_after(talk: &Talk, wait: Duration) {
    // Not to wait for something, but to hit any moment.
    std::thread::sleep(wait);
    talk.kill();
}

#[test]
fn killed_at_any_moment_a_change_leaves_the_old_file_or_the_new() {
    let corner = Corner::with("alice", "long enough");
    std::fs::write(corner.top.join("skel/.profile"), "hello").unwrap();
    for round in 0..60_u64 {
        let task = match round % 2 {
            0 => Task::Disable { account: name("alice") },
            _ => Task::Enable { account: name("alice") },
        };
        kill_after(&corner.start(task), Duration::from_micros(round * 151 % 6000));
        let list = corner.list();
        assert_eq!((list.len(), list[0].name.as_str()), (1, "alice"), "round {round}");
        assert!(corner.accounts().ends_with("\"\n"), "round {round}");
    }
    assert!(corner.accounts().contains("$argon2id$"));
}

#[test]
fn killed_at_any_moment_an_add_can_be_done_again() {
    let corner = Corner::with("alice", "long enough");
    std::fs::write(corner.top.join("skel/.profile"), "hello").unwrap();
    for round in 0..24_u64 {
        let account = format!("user{round}");
        let talk = corner.start(add(&account));
        talk.new_password("long enough");
        kill_after(&talk, Duration::from_millis(40) + Duration::from_micros(round * 1571 % 40_000));
        if !corner.names().contains(&account) {
            corner.add(&account, "long enough");
        }
        assert!(corner.names().contains(&account), "round {round}");
        assert!(corner.home(&account).join(".profile").exists(), "round {round}");
    }
    let homes = corner.homes();
    assert!(homes.iter().all(|home| !home.starts_with('.')), "{homes:?}");
    let mut uids: Vec<u32> = corner.list().iter().map(|account| account.uid).collect();
    uids.sort_unstable();
    uids.dedup();
    assert_eq!(uids.len(), 25);
}
