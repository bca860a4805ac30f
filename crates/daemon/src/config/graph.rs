//! What is wrong between services: dependencies that are missing or go in a circle, and pipes that two of them have. The model
//! refuses to start the first, and gives a pipe to one; here it is said where in which file that is written.

use std::collections::{BTreeMap, HashMap};

use session0_model::id::ServiceName;
use session0_model::pipe::name::PipeName;

use super::problem::{Problem, Source};
use super::service::Written;

type Services = BTreeMap<ServiceName, (Source, Written)>;

/// All of them.
pub fn problems(services: &Services) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (source, written) in services.values() {
        for (dependency, place) in written.definition.depends.iter().zip(&written.depends) {
            if !services.contains_key(dependency) {
                let message = format!("`{dependency}` is not configured, or its file has errors");
                let help = Some("this service can never start like this".to_owned());
                problems.push(source.problem(place.clone(), message, help));
            }
        }
    }
    problems.extend(circles(services));
    problems.extend(pipes(services));
    problems
}

/// Pipes that more than one service declares: the first by name has it.
fn pipes(services: &Services) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut owners: BTreeMap<&PipeName, &ServiceName> = BTreeMap::new();
    for (service, (source, written)) in services {
        for (pipe, place) in written.definition.pipes.iter().zip(&written.pipes) {
            match owners.get(&pipe.name) {
                Some(owner) => {
                    let message = format!("the pipe `{}` is {owner}'s already", pipe.name);
                    let help = format!("this service can never serve it: the first by name has it, {owner}");
                    problems.push(source.problem(place.clone(), message, Some(help)));
                }
                None => {
                    owners.insert(&pipe.name, service);
                }
            }
        }
    }
    problems
}

/// Where a service stands in the search.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    /// On the way that is being followed.
    Open,
    /// Followed to the end.
    Done,
}

/// Every edge that closes a circle, found by following dependencies depth first. The way is kept on a list of our
/// own: four thousand services in a row must not end the program's stack.
fn circles(services: &Services) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut marks: HashMap<&str, Mark> = HashMap::with_capacity(services.len());
    for start in services.keys() {
        let mut way: Vec<(&ServiceName, usize)> = Vec::new();
        if !marks.contains_key(start.as_str()) {
            marks.insert(start.as_str(), Mark::Open);
            way.push((start, 0));
        }
        while let Some((name, next)) = way.last_mut() {
            let Some((source, written)) = services.get(*name) else { break };
            let index = *next;
            *next += 1;
            let Some(dependency) = written.definition.depends.get(index) else {
                marks.insert(name.as_str(), Mark::Done);
                way.pop();
                continue;
            };
            // Names compare without case; the table's own spelling is the one that is marked.
            let Some((dependency, _)) = services.get_key_value(dependency) else { continue };
            match marks.get(dependency.as_str()) {
                None => {
                    marks.insert(dependency.as_str(), Mark::Open);
                    way.push((dependency, 0));
                }
                Some(Mark::Open) => {
                    let message = format!("circular dependency: {}", circle(&way, dependency));
                    let help = Some("none of these can ever start".to_owned());
                    problems.push(source.problem(written.depends[index].clone(), message, help));
                }
                Some(Mark::Done) => {}
            }
        }
    }
    problems
}

fn circle(way: &[(&ServiceName, usize)], back_to: &ServiceName) -> String {
    let names = way.iter().map(|(name, _)| *name).skip_while(|name| *name != back_to);
    names.chain([back_to]).map(ServiceName::as_str).collect::<Vec<_>>().join(" -> ")
}
