//! `s0 rpc`: what there is, what it says of itself, and calls.

use std::io::Write;
use std::process::Output;

use serde_json::{Value, json};
use session0::pipe::Instance;

use crate::host::{Host, read_object};

const GREETER: &str = "# Greets.\ninterface org.example.Greeter\n\nerror NoName(code: int)\n\nmethod Greet(name: string) -> (text: string)\nmethod Count() -> (number: int)\n";
const OTHER: &str = "interface org.example.Other\nmethod Greet() -> ()\nmethod Wait() -> ()\n";

fn pipe(name: &str, served: bool) -> Value {
    let server = json!({ "session": 0, "uid": 0, "gid": 0, "pid": 42, "service": "greeter" });
    json!({
        "name": name, "kind": "byte", "direction": "duplex", "listening": 1, "connected": 0, "waiting": 0,
        "default_timeout_ms": 50, "refuse_outside": false, "rpc": name != "plain", "access": [],
        "starts_service": !served, "reserved_for": "greeter", "opened": 0, "refused": 0,
        "servers": if served { vec![server] } else { Vec::new() },
    })
}

/// A host with the pipe `greeter`, which has these interfaces.
fn host(interfaces: &'static [&'static str]) -> Host {
    let host = Host::with(
        vec![
            pipe("dead", true),
            pipe("greeter", true),
            pipe("plain", true),
            pipe("secret", true),
            pipe("sleeper", false),
        ],
        vec!["secret"],
    );
    let dead = host.server("dead").create().unwrap();
    std::thread::spawn(move || {
        let mut silent = Vec::new();
        while let Ok(instance) = dead.accept() {
            silent.push(instance);
        }
    });
    let server = host.server("greeter").create().unwrap();
    std::thread::spawn(move || {
        while let Ok(instance) = server.accept() {
            std::thread::spawn(move || serve(&instance, interfaces));
        }
    });
    host
}

fn serve(instance: &Instance, interfaces: &[&str]) {
    let name =
        |text: &&str| text.lines().find_map(|line| line.strip_prefix("interface ")).unwrap().to_owned();
    while let Some(call) = read_object(&mut &**instance) {
        let parameters = &call["parameters"];
        let answers = match call["method"].as_str().unwrap() {
            "org.varlink.service.GetInfo" => {
                let mut names: Vec<String> = interfaces.iter().map(name).collect();
                names.push("org.varlink.service".to_owned());
                vec![json!({ "parameters": { "interfaces": names } })]
            }
            "org.varlink.service.GetInterfaceDescription" => {
                let text = interfaces.iter().find(|text| parameters["interface"] == name(text));
                vec![match text {
                    Some(text) => json!({ "parameters": { "description": text } }),
                    None => {
                        json!({ "error": "org.varlink.service.InterfaceNotFound", "parameters": parameters })
                    }
                }]
            }
            "org.example.Greeter.Greet" => vec![match parameters["name"].as_str() {
                Some(name) => json!({ "parameters": { "text": format!("hello {name}") } }),
                None => {
                    json!({ "error": "org.example.Greeter.NoName", "parameters": { "code": 7, "why": "\u{9b}" } })
                }
            }],
            "org.example.Greeter.Count" if call["more"] == true => (0..3)
                .map(|number| json!({ "parameters": { "number": number }, "continues": number < 2 }))
                .collect(),
            "org.example.Other.Wait" => Vec::new(),
            other => vec![
                json!({ "error": "org.varlink.service.MethodNotFound", "parameters": { "method": other } }),
            ],
        };
        for answer in answers {
            (&mut &**instance).write_all(format!("{answer}\0").as_bytes()).unwrap();
        }
    }
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn interfaces_are_listed_and_pipes_that_could_not_be_asked_say_why() {
    let host = host(&[GREETER, OTHER]);
    let text = out(&host.run(&["rpc", "list"], b""));
    let line = |start: &str| text.lines().find(|line| line.starts_with(start)).unwrap_or_default().to_owned();
    assert!(line("host ").contains("io.session0.Host"), "{text}");
    assert!(line("greeter ").contains("org.example.Greeter") && text.contains("org.example.Other"), "{text}");
    assert!(line("dead ").contains("no answer within 2s"), "{text}");
    assert!(line("secret ").contains("AccessDenied"), "{text}");
    assert!(line("sleeper ").contains("--start"), "{text}");
    assert!(!text.contains("plain") && !text.contains("org.varlink.service"), "{text}");
    let rows: Vec<Value> = serde_json::from_slice(&host.run(&["rpc", "list", "--json"], b"").stdout).unwrap();
    let greeter = rows.iter().find(|row| row["pipe"] == "greeter").unwrap();
    assert_eq!(greeter["interfaces"], json!(["org.example.Greeter", "org.example.Other"]));
    assert!(rows.iter().any(|row| row["pipe"] == "dead" && row["reason"].is_string()));
}

#[test]
fn an_interface_is_described_in_its_own_words() {
    let host = host(&[GREETER, OTHER]);
    let one = host.run(&["rpc", "describe", "greeter", "org.example.Greeter"], b"");
    assert_eq!(out(&one), GREETER, "{}", err(&one));
    let all = host.run(&["rpc", "describe", "greeter"], b"");
    assert_eq!(out(&all), format!("{GREETER}\n{OTHER}"), "{}", err(&all));
    let json = out(&host.run(&["rpc", "describe", "greeter", "--json"], b""));
    let objects: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        objects[1],
        json!({ "pipe": "greeter", "interface": "org.example.Other", "description": OTHER })
    );
    let own = out(&host.run(&["rpc", "describe", "host"], b""));
    assert!(own.contains("method Version()"), "{own}");
    let none = host.run(&["rpc", "describe", "greeter", "org.example.None"], b"");
    assert!(none.status.code() == Some(1) && err(&none).contains("org.example.None"), "{}", err(&none));
}

#[test]
fn a_call_prints_its_reply_on_one_line_where_no_person_looks() {
    let host = host(&[GREETER, OTHER]);
    let file = host.path("arguments.json");
    std::fs::write(&file, "{\"name\": \"you\"}").unwrap();
    let at = format!("@{}", file.display());
    for arguments in ["{\"name\": \"you\"}", &at, "-"] {
        let call = ["rpc", "call", "greeter", "org.example.Greeter.Greet", arguments];
        let output = host.run(&call, b"{\"name\": \"you\"}");
        assert_eq!(out(&output), "{\"text\":\"hello you\"}\n", "{}", err(&output));
        assert_eq!(output.status.code(), Some(0));
    }
    assert_eq!(
        out(&host.run(&["rpc", "call", "host", "io.session0.Host.Version"], b"")),
        "{\"version\":\"1\"}\n"
    );
    assert_eq!(out(&host.run(&["rpc", "call", "host", "Version"], b"")), "{\"version\":\"1\"}\n");
}

#[test]
fn a_method_may_be_short_where_only_one_interface_has_it() {
    let host = host(&[GREETER, OTHER]);
    let output = host.run(&["rpc", "call", "greeter", "Count", "--more"], b"");
    assert_eq!(out(&output), "{\"number\":0}\n{\"number\":1}\n{\"number\":2}\n", "{}", err(&output));
    let output = host.run(&["rpc", "call", "greeter", "Greet"], b"");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(err(&output).contains("org.example.Greeter.Greet, org.example.Other.Greet"), "{}", err(&output));
    let output = host.run(&["rpc", "call", "greeter", "Nothing"], b"");
    assert!(output.status.code() == Some(1) && err(&output).contains("rpc describe greeter"), "{output:?}");
}

#[test]
fn an_error_that_is_replied_has_its_name_and_parameters_and_exit_code_1() {
    let host = host(&[GREETER]);
    let output = host.run(&["rpc", "call", "greeter", "Greet"], b"");
    let text = err(&output);
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), &b""[..]), "{text}");
    assert!(text.starts_with("error: could not call org.example.Greeter.Greet of greeter: "), "{text}");
    assert!(text.contains("(7)\norg.example.Greeter.NoName {\n  \"why\": "), "{text}");
    assert!(
        text.contains("\\u009b") && !text.contains('\u{9b}'),
        "a service draws on the terminal: {text:?}"
    );
    let output = host.run(&["--json", "rpc", "call", "greeter", "Greet"], b"");
    let value: Value = serde_json::from_slice(&output.stderr).unwrap();
    let error = &value["error"];
    assert_eq!((&error["kind"], &error["name"]), (&json!("refused"), &json!("org.example.Greeter.NoName")));
    assert_eq!((&error["parameters"]["code"], &error["code"]), (&json!(7), &json!(7)));
}

#[test]
fn a_service_that_does_not_answer_is_given_up_on() {
    let host = host(&[OTHER]);
    let output = host.run(&["rpc", "call", "greeter", "Wait", "--timeout", "200ms"], b"");
    assert!(output.status.code() == Some(4) && err(&output).contains("in time"), "{output:?}");
}

#[test]
fn arguments_that_are_no_object_are_a_usage_error() {
    let host = host(&[GREETER]);
    for arguments in ["[]", "7", "{", "", "@/nonexistent/file"] {
        let output = host.run(&["rpc", "call", "greeter", "Greet", arguments], b"");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
        assert!(err(&output).contains("could not call Greet of greeter"), "{}", err(&output));
    }
}

#[test]
fn a_pipe_that_cannot_be_opened_has_the_hosts_reason() {
    let host = host(&[GREETER]);
    for (pipe, code) in [("nobody", 1), ("secret", 3)] {
        let output = host.run(&["rpc", "call", pipe, "Greet"], b"");
        assert_eq!(output.status.code(), Some(code), "{output:?}");
    }
    let messages = host.server("messages").kind(session0::pipe::PipeType::Message).create().unwrap();
    let output = host.run(&["rpc", "describe", "messages"], b"");
    assert!(output.status.code() == Some(1) && err(&output).contains("(230)"), "{}", err(&output));
    drop(messages);
}
