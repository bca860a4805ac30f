//! The attack suite as a program, for `cargo xtask demo attacks`: one JSON object a line for each attack, in the table's order.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use serde_json::{Value, json};
use session0_system_tests::attack::{self, Attack, Outcome, Proof, Report, Verdict};

/// How many attacks run at a time.
const WORKERS: usize = 2;

fn main() -> ExitCode {
    if !rustix::process::geteuid().is_root() {
        eprintln!("error: the attacks need root, to make hosts and to attack as others without them");
        return ExitCode::from(3);
    }
    let table: Vec<(&str, &Attack)> = attack::all().collect();
    let next = AtomicUsize::new(0);
    let (sender, results) = mpsc::channel();
    let broken = std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            let (sender, next, table) = (sender.clone(), &next, &table);
            scope.spawn(move || {
                while let Some((family, attack)) = table.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let number = attack::all().position(|(_, one)| one.name == attack.name).unwrap_or(0);
                    let _ = sender.send((number, result(family, attack)));
                }
            });
        }
        drop(sender);
        in_order(&results)
    });
    ExitCode::from(u8::from(broken))
}

/// Prints them in the table's order, each as soon as all before it are there. Whether one is not as it should be.
fn in_order(results: &mpsc::Receiver<(usize, Value)>) -> bool {
    let mut waiting = BTreeMap::new();
    let mut next = 0;
    let mut broken = false;
    for (number, value) in results {
        waiting.insert(number, value);
        while let Some(value) = waiting.remove(&next) {
            broken |= !matches!(value["verdict"].as_str(), Some("holds" | "skipped"));
            println!("{value}");
            next += 1;
        }
    }
    broken
}

fn result(family: &str, attack: &Attack) -> Value {
    let began = std::time::Instant::now();
    let report = std::panic::catch_unwind(|| attack.run());
    let mut value = json!({
        "family": family,
        "name": attack.name,
        "about": attack.about,
        "known": attack.known,
        "kind": match attack.proof() {
            Proof::Xp => "boundary",
            Proof::Bare => "hygiene",
        },
        "ms": u64::try_from(began.elapsed().as_millis()).unwrap_or(0),
    });
    let (verdict, why) = match &report {
        Ok(report) => {
            outcomes(&mut value, report);
            match attack.verdict(report) {
                Verdict::Holds => ("holds", None),
                Verdict::Skipped(why) => ("skipped", Some(why)),
                Verdict::Broken(how) => ("broken", Some(how)),
                Verdict::Unproven(why) => ("unproven", Some(why)),
            }
        }
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            ("failed", Some(text.unwrap_or_else(|| "it could not be run; see above".into())))
        }
    };
    value["verdict"] = verdict.into();
    value["why"] = why.into();
    value
}

fn outcomes(value: &mut Value, report: &Report) {
    let one = |outcome: &Outcome| json!({ "outcome": outcome.word(), "detail": outcome.detail() });
    value["vista"] = one(&report.vista);
    value["xp"] = one(&report.xp);
    value["bare"] = report.bare.as_ref().map(one).into();
}
