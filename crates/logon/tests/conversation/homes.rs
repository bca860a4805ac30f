use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode};
use session0_api::conversation::Said;
use session0_model::logon::wire::{AccountChange, HomeFate};

use crate::rig::{Corner, FIRST, add, changed, remove, skip};

fn mode(path: &Path) -> u32 {
    std::fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_skeleton_is_copied_as_what_it_is() {
    let corner = Corner::new();
    let skel = corner.top.join("skel");
    std::fs::create_dir_all(skel.join("bin")).unwrap();
    std::fs::write(skel.join("bin/tool"), "#!").unwrap();
    set_mode(&skel.join("bin/tool"), 0o6755);
    set_mode(&skel.join("bin"), 0o3750);
    std::fs::write(corner.top.join("outside"), "precious").unwrap();
    symlink(corner.top.join("outside"), skel.join("link")).unwrap();
    symlink("loop", skel.join("loop")).unwrap();
    symlink(".", skel.join("bin/self")).unwrap();
    rustix::fs::mknodat(CWD, skel.join("fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    // A device, where the sandbox lets one be made.
    let _ = rustix::fs::mknodat(
        CWD,
        skel.join("null"),
        FileType::CharacterDevice,
        Mode::RUSR,
        rustix::fs::makedev(1, 3),
    );
    corner.add("alice", "long enough");
    let home = corner.home("alice");
    assert_eq!(mode(&home.join("bin/tool")), 0o755, "no set-id bits");
    assert_eq!(mode(&home.join("bin")), 0o750);
    assert_eq!(std::fs::read_link(home.join("link")).unwrap(), corner.top.join("outside"));
    assert_eq!(std::fs::read_link(home.join("bin/self")).unwrap(), Path::new("."));
    assert_eq!(std::fs::read_link(home.join("loop")).unwrap(), Path::new("loop"));
    assert!(!home.join("fifo").exists() && !home.join("null").exists());
    for path in ["bin", "bin/tool", "link", "loop", "bin/self"] {
        let found = std::fs::symlink_metadata(home.join(path)).unwrap();
        assert_eq!((found.uid(), found.gid()), (FIRST, FIRST), "{path}");
    }
    assert_eq!(std::fs::metadata(corner.top.join("outside")).unwrap().uid(), 0, "the link was not followed");
}

/// Adding fails with a fault, and leaves no account and no home.
fn fails(corner: &Corner, code: u32) {
    let talk = corner.start(add("alice"));
    talk.new_password("long enough");
    talk.refused(code);
    drop(talk);
    assert!(corner.names().is_empty());
}

#[test]
fn a_skeleton_without_end_is_refused_and_nothing_is_left() {
    let corner = Corner::new();
    let skel = corner.top.join("skel");
    let deep = (0..40).fold(skel.clone(), |at, _| at.join("d"));
    std::fs::create_dir_all(&deep).unwrap();
    fails(&corner, 1359);
    assert!(corner.homes().is_empty(), "{:?}", corner.homes());
    std::fs::remove_dir_all(skel.join("d")).unwrap();
    std::fs::File::create(skel.join("large")).unwrap().set_len(1 << 40).unwrap();
    fails(&corner, 1359);
    assert!(corner.homes().is_empty());
    std::fs::remove_file(skel.join("large")).unwrap();
    (0..4200).for_each(|number| std::fs::write(skel.join(number.to_string()), "").unwrap());
    fails(&corner, 1359);
    assert!(corner.homes().is_empty());
}

#[test]
fn what_stands_in_a_homes_place_is_not_taken() {
    let corner = Corner::new();
    std::fs::create_dir_all(corner.top.join("home")).unwrap();
    let precious = corner.top.join("precious");
    std::fs::create_dir(&precious).unwrap();
    symlink(&precious, corner.home("alice")).unwrap();
    fails(&corner, 183);
    assert_eq!(std::fs::metadata(&precious).unwrap().uid(), 0);
    std::fs::remove_file(corner.home("alice")).unwrap();
    std::fs::create_dir(corner.home("alice")).unwrap();
    fails(&corner, 183);
    assert_eq!(std::fs::metadata(corner.home("alice")).unwrap().uid(), 0);
    // One that is the very uid's is his.
    std::os::unix::fs::chown(corner.home("alice"), Some(FIRST), Some(FIRST)).unwrap();
    std::fs::write(corner.home("alice").join("mine"), "").unwrap();
    corner.add("alice", "long enough");
    assert!(corner.home("alice").join("mine").exists());
}

#[test]
fn what_a_killed_add_left_is_removed_by_the_next() {
    let corner = Corner::new();
    let left = corner.top.join("home/.alice.session0-new");
    std::fs::create_dir_all(left.join("d")).unwrap();
    corner.add("alice", "long enough");
    assert_eq!(corner.homes(), ["alice"]);
    assert!(!corner.home("alice").join("d").exists());
}

#[test]
fn a_home_that_cannot_be_recorded_is_taken_back() {
    let corner = Corner::with("bob", "long enough");
    // The accounts cannot be replaced: a directory stands where the new file is made.
    std::fs::create_dir_all(corner.top.join("etc/.accounts.toml.new/x")).unwrap();
    let talk = corner.start(add("alice"));
    talk.new_password("long enough");
    talk.refused(1359);
    drop(talk);
    assert_eq!((corner.names(), corner.homes()), (vec!["bob".to_owned()], vec!["bob".to_owned()]));
}

#[test]
fn a_home_is_removed_however_deep_and_no_link_is_followed() {
    let corner = Corner::with("alice", "long enough");
    let precious = corner.top.join("precious");
    std::fs::create_dir(&precious).unwrap();
    std::fs::write(precious.join("file"), "kept").unwrap();
    let home = corner.home("alice");
    symlink(&precious, home.join("link")).unwrap();
    std::fs::create_dir(home.join(".session0-1")).unwrap();
    std::fs::write(home.join(".session0-2"), "in the way").unwrap();
    (0..3000).for_each(|number| std::fs::write(home.join(format!("f{number}")), "").unwrap());
    let mut at = std::fs::File::open(&home).map(std::os::fd::OwnedFd::from).unwrap();
    for _ in 0..3000 {
        rustix::fs::mkdirat(&at, "deep", Mode::RWXU).unwrap();
        rustix::fs::symlinkat(&precious, &at, "link2").unwrap();
        let flags = rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
        at = rustix::fs::openat(&at, "deep", flags, Mode::empty()).unwrap();
    }
    let talk = corner.start(remove("alice", HomeFate::Removed));
    assert_eq!(talk.heard(), changed("alice", AccountChange::Removed));
    talk.done();
    assert!(corner.homes().is_empty());
    assert_eq!(std::fs::read(precious.join("file")).unwrap(), b"kept");
}

#[test]
fn a_home_that_is_not_the_accounts_own_stays() {
    let corner = Corner::with("alice", "long enough");
    let precious = corner.top.join("precious");
    std::fs::create_dir(&precious).unwrap();
    std::fs::write(precious.join("file"), "kept").unwrap();
    std::fs::remove_dir_all(corner.home("alice")).unwrap();
    symlink(&precious, corner.home("alice")).unwrap();
    let talk = corner.start(remove("alice", HomeFate::Removed));
    assert_eq!(talk.heard(), changed("alice", AccountChange::Removed));
    assert!(matches!(talk.said(), Said::Message { text } if text.contains("it stays")));
    talk.done();
    assert!(precious.join("file").exists() && corner.home("alice").is_symlink());
}

#[test]
fn what_is_mounted_in_a_home_stays() {
    let corner = Corner::with("alice", "long enough");
    let mounted = corner.home("alice").join("mounted");
    std::fs::create_dir(&mounted).unwrap();
    let precious = corner.top.join("precious");
    std::fs::create_dir(&precious).unwrap();
    std::fs::write(precious.join("file"), "kept").unwrap();
    if let Err(error) = rustix::mount::mount_bind(&precious, &mounted) {
        return skip("what_is_mounted_in_a_home_stays", &format!("no right to mount: {error}"));
    }
    let talk = corner.start(remove("alice", HomeFate::Removed));
    assert_eq!(talk.heard(), changed("alice", AccountChange::Removed));
    let said = talk.said();
    let kept = precious.join("file").exists();
    rustix::mount::unmount(&mounted, rustix::mount::UnmountFlags::DETACH).unwrap();
    assert!(matches!(said, Said::Message { text } if text.contains("its home is not")));
    assert!(kept);
}
