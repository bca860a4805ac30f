//! The attack suite: each file is a family, each entry an attack and the test of that name. How they are run and judged is in
//! `src/attack/`; what the attacker and its target do is in `probe/`. `cargo xtask demo attacks` shows them as a table.
//!
//! The numbers are those of known attacks on what separates sessions, collected from the history of other systems:
//!
//! | | attack | here |
//! |---|---|---|
//! | 1, 2 | keys and screen of another session | sockets of a display: `display.rs` |
//! | 3 | `xhost +` | not applicable: there are no X sessions yet |
//! | 4 | escape sequences in what others are shown | `names.rs` |
//! | 5 | ptrace, process_vm_readv, /proc/PID | `processes.rs` |
//! | 6 | signals | `processes.rs` |
//! | 7 | TIOCSTI, TIOCLINUX | `terminals.rs` |
//! | 8 | abstract sockets | `memory.rs`, `display.rs` |
//! | 9 | /tmp: links, files made before | `files.rs`; pipes' sockets: `pipes.rs` |
//! | 10 | /dev/shm, System V, POSIX queues | `memory.rs` |
//! | 11, 12 | bus names and sockets | the session bus: `display.rs`; names of pipes: `pipes.rs` |
//! | 13 | set-user-id helpers, a mighty program that acts for others | `gains.rs`, `pipes.rs` |
//! | 14 | session facts from the environment | `gains.rs` |
//! | 15 | rights by process number | `clients.rs`, `pipes.rs` |
//! | 16 | a privilege drop that fails open | `gains.rs`; impersonation: `pipes.rs` |
//! | 17, 18 | leaked descriptors, injected variables | `gains.rs`; descriptors sent: `pipes.rs` |
//! | 19 | names that are paths | `names.rs`, `pipes.rs` |
//! | 20 | fork bomb, memory, descriptors | `resources.rs`, `pipes.rs` |
//! | 21 | core files | `processes.rs`, `machine.rs` |
//! | 22 | kernel keyrings | `keyrings.rs` |
//! | 23 | restart of the daemon | `crash.rs`, `pipe_crash.rs`, outside this suite |
//! | 25 | out to the machine, from uid 0 | `machine.rs`, `kernel.rs` |
//! | 29 | the host itself, flooded | `resources.rs`, `pipes.rs` |
//! | 24, 26-28, 30 | lock screen, printing, drivers, backup, clipboard | not applicable: they are not there yet |

pub mod clients;
pub mod display;
pub mod files;
pub mod gains;
pub mod kernel;
pub mod keyrings;
pub mod machine;
pub mod memory;
pub mod names;
pub mod pipes;
pub mod processes;
pub mod resources;
pub mod terminals;
