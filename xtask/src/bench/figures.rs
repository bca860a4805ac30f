//! Rows of the table, what was measured for them, and the arithmetic.

use super::Outcome;

/// One row: what it measures, from when to when, and the goal.
pub struct Row {
    /// What `--only` calls it.
    pub id: &'static str,
    /// What the table calls it.
    pub title: &'static str,
    /// `ms`, `KiB` ...
    pub unit: &'static str,
    /// When the clock starts, when it stops, what lies between; in Markdown.
    pub definition: &'static str,
    /// What design.md asks of us.
    pub goal: Goal,
    /// What produces it.
    pub measurement: Measurement,
}

impl Row {
    /// What is asked, one by one.
    pub fn goals(&self) -> Vec<Goal> {
        match self.goal {
            Goal::Each(peers) => peers.iter().map(|(factor, peer)| Goal::Times(*factor, peer)).collect(),
            Goal::None => Vec::new(),
            one @ (Goal::Times(..) | Goal::AtMost(_)) => vec![one],
        }
    }
}

/// A goal.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Goal {
    /// At most this part of the named peer's figure.
    Times(f64, &'static str),
    /// At most these parts of the figures of these peers.
    Each(&'static [(f64, &'static str)]),
    /// At most this much.
    AtMost(f64),
    /// It is measured to be known.
    None,
}

/// A run that fills one or several rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measurement {
    /// A manager without services, then with the whole fleet.
    Fleet,
    /// Services started and killed one by one.
    Single,
    /// Our daemon killed below many services.
    DaemonKilled,
    /// Sessions made and ended one by one.
    Logon,
    /// The same with a password.
    Password,
    /// Many sessions at a time.
    Crowd,
    /// Programs run in a session.
    Run,
    /// A few bytes there and back.
    RoundTrip,
    /// Many bytes one way.
    Bulk,
    /// Connections made and closed.
    Connect,
    /// Calls and their answers.
    Call,
    /// Calls beside many pipes.
    ManyPipes,
}

/// The rows of `bench services`, in the table's order.
pub const ROWS: [Row; 7] = [
    Row {
        id: "start-500",
        title: "500 services started",
        unit: "ms",
        definition: "**Start:** before the control command is spawned that tells a running, empty manager to start \
            500 services whose files have just been put in place (runit: before `runsvdir` itself is spawned). \
            **End:** the first instruction of the service that is last. **Included:** the control \
            command's own start, reading 500 definitions, 500 launches with whatever the manager does for each.",
        goal: Goal::Times(0.6, "dinit"),
        measurement: Measurement::Fleet,
    },
    Row {
        id: "start-one",
        title: "start of one",
        unit: "ms",
        definition: "**Start:** before the control command is spawned that starts one known, stopped service. \
            **End:** its first instruction. **Included:** the control command's own start, one \
            launch. The other services of the fleet are stopped or asleep; the other managers are idle.",
        goal: Goal::Times(0.8, "dinit"),
        measurement: Measurement::Single,
    },
    Row {
        id: "restart",
        title: "SIGKILL to running again",
        unit: "ms",
        definition: "**Start:** before SIGKILL is sent to a service that has run for more than 2 s. **End:** the \
            first instruction of its next instance. **Included:** the kernel ending the process, the \
            manager learning of it, one launch. Restart delay 0 where there is such a setting; each service is \
            killed once, so that no throttle acts.",
        goal: Goal::Times(0.8, "dinit"),
        measurement: Measurement::Single,
    },
    Row {
        id: "memory-service",
        title: "memory kept for a service",
        unit: "KiB",
        definition: "PSS of all the manager's processes (ours: keeper, `session0d`, `session0-init`, \
            `session0-log`) with 500 services that have run for two seconds, less the same without services, \
            divided by 500. Memory of the services themselves and of the kernel is not in it.",
        goal: Goal::AtMost(4.0),
        measurement: Measurement::Fleet,
    },
    Row {
        id: "memory-idle",
        title: "memory, no services",
        unit: "MiB",
        definition: "PSS of all the manager's processes without services, two seconds after it answers.",
        goal: Goal::AtMost(10.0),
        measurement: Measurement::Fleet,
    },
    Row {
        id: "daemon-killed",
        title: "daemon killed and back, 1 000 services",
        unit: "ms",
        definition: "**Start:** before SIGKILL is sent to `session0d`, which has 1 000 running services. **End:** a \
            client that connected to the API socket right after the kill has its answer from the new daemon. \
            **Included:** the keeper learning of it, the new daemon reading its configuration and what the inits \
            kept for it.",
        goal: Goal::AtMost(300.0),
        measurement: Measurement::DaemonKilled,
    },
    Row {
        id: "disturbed",
        title: "services disturbed by that",
        unit: "of 1 000",
        definition: "Services that after the kill are not the same process as before it (pid and start time), or \
            had one more instance.",
        goal: Goal::AtMost(0.0),
        measurement: Measurement::DaemonKilled,
    },
];

/// What one manager did in one row: a list of samples for each round.
#[derive(Debug, Clone, Default)]
pub struct Series {
    /// The manager.
    pub manager: String,
    /// Samples by round.
    pub rounds: Vec<Vec<f64>>,
    /// Why there is no figure, or not as many as asked for.
    pub failures: Vec<String>,
}

impl Series {
    fn sorted(&self) -> Vec<f64> {
        let mut all: Vec<f64> = self.rounds.iter().flatten().copied().collect();
        all.sort_by(f64::total_cmp);
        all
    }

    /// Samples in all rounds.
    pub fn count(&self) -> usize {
        self.rounds.iter().map(Vec::len).sum()
    }

    /// The nearest-rank percentile, 1 to 100.
    pub fn percentile(&self, percent: usize) -> Option<f64> {
        let sorted = self.sorted();
        let rank = (sorted.len() * percent).div_ceil(100).max(1);
        sorted.get(rank - 1).copied()
    }

    /// The smallest sample.
    pub fn min(&self) -> Option<f64> {
        self.sorted().first().copied()
    }

    /// The median of the rounds' ratios of medians to another series, which ran in the same rounds.
    pub fn ratio(&self, to: &Self) -> Option<f64> {
        let ratios = self
            .rounds
            .iter()
            .zip(&to.rounds)
            .filter_map(|(ours, theirs)| Some(median(ours)? / median(theirs).filter(|value| *value > 0.0)?))
            .collect::<Vec<_>>();
        median(&ratios)
    }
}

/// The middle value, or the mean of the two middle ones.
fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    Some(if sorted.len() % 2 == 1 { upper } else { f64::midpoint(sorted[middle - 1], upper) })
}

/// What was measured: a series for each row and manager.
#[derive(Debug, Default)]
pub struct Figures {
    series: Vec<(&'static str, Series)>,
}

impl Figures {
    /// Adds the samples of one round.
    pub fn add(&mut self, row: &'static str, manager: &str, samples: Vec<f64>) {
        self.of(row, manager).rounds.push(samples);
    }

    /// Adds the samples of one round, or why it has none, and says so on stderr.
    pub fn note(&mut self, row: &'static str, who: &str, round: Outcome<Vec<f64>>) {
        match round {
            Ok(samples) => {
                self.add(row, who, samples);
                let series = self.row(row).find(|series| series.manager == who);
                let median = series.and_then(|series| series.percentile(50)).unwrap_or(0.0);
                eprintln!("  {row} {who:24} {median:8.2} so far");
            }
            Err(error) => {
                eprintln!("  {row} {who:24} {error}");
                self.fail(row, who, &error);
            }
        }
    }

    /// Notes why a round has no samples. An empty round keeps the rounds of all managers side by side.
    pub fn fail(&mut self, row: &'static str, manager: &str, reason: &str) {
        let series = self.of(row, manager);
        series.rounds.push(Vec::new());
        series.failures.push(reason.to_owned());
    }

    /// The series of a row in the order in which they were first added.
    pub fn row(&self, row: &str) -> impl Iterator<Item = &Series> {
        self.series.iter().filter(move |(id, _)| *id == row).map(|(_, series)| series)
    }

    fn of(&mut self, row: &'static str, manager: &str) -> &mut Series {
        let at = self.series.iter().position(|(id, series)| *id == row && series.manager == manager);
        let at = at.unwrap_or_else(|| {
            self.series.push((row, Series { manager: manager.to_owned(), ..Series::default() }));
            self.series.len() - 1
        });
        &mut self.series[at].1
    }
}

/// Whether we reach a goal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The figure is within it.
    Met,
    /// It is not.
    Missed,
    /// We or the peer have no figure.
    Unknown,
    /// There is nothing to reach.
    NoGoal,
}

/// Our medians against all that a row's goal asks.
pub fn verdict(row: &Row, figures: &Figures, ours: &str) -> Verdict {
    let verdicts: Vec<Verdict> =
        row.goals().into_iter().map(|goal| verdict_of(row, goal, figures, ours)).collect();
    let has = |verdict| verdicts.contains(&verdict);
    match () {
        () if has(Verdict::Missed) => Verdict::Missed,
        () if has(Verdict::Unknown) => Verdict::Unknown,
        () if has(Verdict::Met) => Verdict::Met,
        () => Verdict::NoGoal,
    }
}

/// Our median against one of them.
pub fn verdict_of(row: &Row, goal: Goal, figures: &Figures, ours: &str) -> Verdict {
    let find = |name: &str| figures.row(row.id).find(|series| series.manager == name);
    let within = match goal {
        Goal::Times(factor, peer) => {
            find(ours).zip(find(peer)).and_then(|(ours, peer)| ours.ratio(peer)).map(|ratio| ratio <= factor)
        }
        Goal::AtMost(most) => find(ours).and_then(|ours| ours.percentile(50)).map(|value| value <= most),
        Goal::Each(_) | Goal::None => return Verdict::NoGoal,
    };
    match within {
        Some(true) => Verdict::Met,
        Some(false) => Verdict::Missed,
        None => Verdict::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(rounds: &[&[f64]]) -> Series {
        let rounds = rounds.iter().map(|round| round.to_vec()).collect();
        Series { rounds, ..Series::default() }
    }

    #[test]
    fn a_percentile_is_a_sample() {
        let series = series(&[&[3.0, 1.0], &[2.0, 4.0]]);
        assert_eq!(series.percentile(50), Some(2.0));
        assert_eq!(series.percentile(99), Some(4.0));
        assert_eq!(series.min(), Some(1.0));
        assert_eq!(Series::default().percentile(50), None);
    }

    #[test]
    fn a_ratio_compares_within_rounds() {
        // The machine became four times slower; the ratio did not.
        let ours = series(&[&[1.0], &[4.0], &[4.0]]);
        let theirs = series(&[&[2.0], &[8.0], &[16.0]]);
        assert_eq!(ours.ratio(&theirs), Some(0.5));
    }

    #[test]
    fn a_failed_round_keeps_the_others_side_by_side() {
        let mut figures = Figures::default();
        figures.fail("restart", "a", "broke");
        figures.add("restart", "a", vec![1.0]);
        figures.add("restart", "b", vec![9.0]);
        figures.add("restart", "b", vec![2.0]);
        let [a, b] = [0, 1].map(|at| figures.row("restart").nth(at).cloned().unwrap_or_default());
        assert_eq!(a.ratio(&b), Some(0.5));
    }

    #[test]
    fn a_goal_against_two_peers_is_met_when_both_are() {
        let goal = Goal::Each(&[(1.0, "a"), (0.5, "b")]);
        let row =
            Row { id: "call", title: "", unit: "", definition: "", goal, measurement: Measurement::Call };
        let of = |ours: f64, a: Option<f64>, b: f64| {
            let mut figures = Figures::default();
            for (who, sample) in [("ours", Some(ours)), ("a", a), ("b", Some(b))] {
                sample.into_iter().for_each(|sample| figures.add("call", who, vec![sample]));
            }
            verdict(&row, &figures, "ours")
        };
        assert_eq!(of(1.0, Some(1.0), 2.0), Verdict::Met);
        assert_eq!(of(1.0, Some(1.0), 1.9), Verdict::Missed);
        assert_eq!(of(1.0, None, 1.9), Verdict::Missed);
        assert_eq!(of(1.0, None, 2.0), Verdict::Unknown);
    }
}
