//! Runs of the false world. `SESSION0_SIM_SEED=<number>` replays one.

use session0_sim::Simulation;

fn seeds(count: u64) -> Vec<u64> {
    match std::env::var("SESSION0_SIM_SEED") {
        Ok(seed) => vec![seed.parse().expect("SESSION0_SIM_SEED is a number")],
        Err(_) => (1..=count).collect(),
    }
}

#[test]
fn after_faults_end_every_service_is_as_its_configuration_demands() {
    let steps: u64 = seeds(300)
        .into_iter()
        .map(|seed| {
            let mut simulation = Simulation::new(seed);
            simulation.run();
            simulation.steps
        })
        .sum();
    assert!(steps > 300, "only {steps} steps");
}

#[test]
fn a_seed_replays() {
    let steps = |seed| {
        let mut simulation = Simulation::new(seed);
        simulation.run();
        simulation.steps
    };
    assert_eq!(steps(7), steps(7));
}

#[test]
#[ignore = "takes minutes: for a night, or after a change of a rule"]
fn many_seeds() {
    for seed in seeds(20_000) {
        Simulation::new(seed).run();
    }
}
