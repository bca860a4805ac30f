//! What the programs of the false world do.

use std::time::Duration;

use crate::Random;

/// How one started program behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Program {
    /// When it says READY=1; never, if it hangs.
    pub ready: Option<Duration>,
    /// How and when it ends by itself.
    pub end: Option<(Duration, End)>,
    /// What it does about its stop signal: ends after this long, or nothing.
    pub stops: Option<Duration>,
    /// Processes beside the main one, which survive it.
    pub children: Children,
    /// Whether it hands its work to another process (MAINPID=).
    pub hands_over: HandsOver,
}

/// How a program ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// With this status.
    Exit(u8),
    /// By SIGSEGV.
    Crash,
    /// It says STOPPING=1 and exits with 0 a little later.
    Goodbye,
}

/// Whether it has other processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Children {
    /// It is alone.
    None,
    /// It has some.
    Some,
}

/// Whether it says MAINPID=.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HandsOver {
    /// It does.
    Yes,
    /// It does not.
    No,
}

impl Program {
    /// One that does what it should.
    pub fn good() -> Program {
        Program {
            ready: Some(Duration::from_millis(20)),
            end: None,
            stops: Some(Duration::from_millis(5)),
            children: Children::None,
            hands_over: HandsOver::No,
        }
    }

    /// One of any kind.
    pub fn any(random: &mut Random) -> Program {
        let second = Duration::from_secs(1);
        let mut program = Program::good();
        program.ready = match random.below(10) {
            0 => None,
            1 => Some(random.span(20 * second)),
            _ => Some(random.span(second / 10)),
        };
        let life = if random.percent(50) { random.span(second) } else { random.span(60 * second) };
        program.end = match random.below(10) {
            0 => Some((life, End::Exit(0))),
            1 => Some((life, End::Exit(3))),
            2 => Some((life, End::Crash)),
            3 => Some((life, End::Goodbye)),
            _ => None,
        };
        program.stops = if random.percent(20) { None } else { Some(random.span(2 * second)) };
        program.children = if random.percent(25) { Children::Some } else { Children::None };
        program.hands_over = if random.percent(20) { HandsOver::Yes } else { HandsOver::No };
        program
    }
}
