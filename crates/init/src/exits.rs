//! Exits that no daemon has recorded yet.

use std::collections::VecDeque;

use session0_model::id::LaunchId;
use session0_model::launch::exit::{ExitStatus, Usage};
use session0_model::launch::wire::{FromInit, Remains};
use session0_model::limit::EXITS_MAX;
use session0_model::time::Time;

/// How one launch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// Its number, for acknowledging.
    pub sequence: u64,
    /// Which.
    pub launch: LaunchId,
    /// How.
    pub status: ExitStatus,
    /// When it was reaped.
    pub at: Time,
    /// Whether others of its group are left.
    pub remains: Remains,
    /// What it used.
    pub usage: Usage,
}

impl Exit {
    /// In the words of the peer's protocol version.
    pub fn message(&self, protocol: u16) -> FromInit {
        let Exit { sequence, launch, status, at, remains, usage } = *self;
        if protocol >= 2 {
            FromInit::ExitedWithUsage { sequence, launch, status, at, remains, usage }
        } else {
            FromInit::Exited { sequence, launch, status, at, remains }
        }
    }
}

/// The exits, oldest first. As many as there are launches at most, and launches are refused beyond the maximum.
#[derive(Default)]
pub struct Exits {
    last: u64,
    list: VecDeque<Exit>,
}

impl Exits {
    /// Records an exit; the sequence number is given here.
    pub fn record(&mut self, exit: Exit) -> Exit {
        self.last += 1;
        let exit = Exit { sequence: self.last, ..exit };
        self.list.push_back(exit);
        exit
    }

    /// Forgets what is recorded elsewhere.
    pub fn acknowledge(&mut self, through: u64) {
        while self.list.front().is_some_and(|exit| exit.sequence <= through) {
            self.list.pop_front();
        }
    }

    /// Whether so many are unacknowledged that nothing more may be launched.
    pub fn full(&self) -> bool {
        self.list.len() >= EXITS_MAX
    }

    /// Those not acknowledged.
    pub fn iter(&self) -> impl Iterator<Item = &Exit> {
        self.list.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exits_stay_until_acknowledged() {
        let exit = Exit {
            sequence: 0,
            launch: LaunchId(5),
            status: ExitStatus::Exited(1),
            at: Time(1),
            remains: Remains::Nothing,
            usage: Usage::default(),
        };
        let mut exits = Exits::default();
        for _ in 0..3 {
            exits.record(exit);
        }
        exits.acknowledge(2);
        assert_eq!(exits.iter().map(|exit| exit.sequence).collect::<Vec<_>>(), [3]);
        assert!(matches!(exits.iter().next().unwrap().message(1), FromInit::Exited { .. }));
        assert!(matches!(exits.iter().next().unwrap().message(2), FromInit::ExitedWithUsage { .. }));
    }
}
