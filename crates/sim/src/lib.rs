//! A false world around the model: a kernel with one init, programs that crash, hang, fork and dawdle, clients, a clock,
//! and faults: the daemon killed between any two effects, the init killed, launches that fail, a record table that is full.
//!
//! Everything that happens comes from one random sequence, so a seed replays a run exactly. After a while the faults end
//! and the world comes to rest; then every service must be in the state its configuration demands, no launch may be lost
//! or doubled, and every request must have got exactly one answer.
//!
//! ```text
//!   Simulation ── Input ──▶ System (the model) ── Effect ──▶ Simulation
//!       │  ▲                                                    │
//!       │  └── what comes of it, later ── Kernel ◀── to do ─────┘
//!       └── faults, clients
//! ```

mod kernel;
mod program;
mod random;
mod services;
mod simulation;

pub use random::Random;
pub use simulation::{Plan, Simulation};
