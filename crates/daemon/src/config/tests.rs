use super::*;
use session0_model::launch::plan::Elevation;
use session0_model::pipe::settings::{self as pipe, Opening};
use session0_model::service::definition::{Kind, StartType};

fn read(files: &[(&str, &str)]) -> (Services, Vec<String>) {
    let accounts = Accounts::parse(
        "root:x:0:0::/root:/bin/bash\nredis:x:101:105::/var/lib/redis:/bin/false\n",
        "tty:x:5:redis\n",
    );
    let machine = Machine { lang: Some("C.UTF-8".into()), zone: None };
    let context = Context { accounts: &accounts, machine: &machine, programs: RefCell::default() };
    let mut services = Services::default();
    let mut problems = Vec::new();
    for (file, text) in files {
        let name = match name_of(Path::new(file)) {
            Ok(name) => name,
            Err(why) => {
                problems.push(Problem::of_file(Path::new(file), why));
                continue;
            }
        };
        let source = Source { path: file.into(), text: (*text).to_owned() };
        let before = problems.len();
        let written =
            reader::read_file(&source, &mut problems, |reader| service::read(reader, name.clone(), &context));
        if let (Some(written), true) = (written, before == problems.len()) {
            services.written.insert(name, (source, written));
        }
    }
    problems.extend(graph::problems(&services.written));
    (services, problems.iter().map(Problem::render).collect())
}

fn one(text: &str) -> String {
    let (_, problems) = read(&[("web.toml", text)]);
    problems.join("\n")
}

#[test]
fn a_whole_service_file() {
    let (services, problems) = read(&[(
        "Redis.toml",
        r#"
        description = "keys"
        command = "sh -c 'echo a b'"
        environment = { KEY = "v", PATH = "/bin" }
        account = "redis"
        start = "auto"
        kind = "notify"
        watchdog = "30s"
        runtime_directory = ["redis"]
        expose = ["redis"]
        state_directory = true
        capabilities = ["net_bind_service"]
        limits = { memory = "512M", tasks = 64, open_files = 4096, cpu = "50%" }
        "#,
    )]);
    assert_eq!(problems, Vec::<String>::new());
    let definition = &services.written.values().next().unwrap().1.definition;
    assert_eq!((definition.start, definition.kind), (StartType::Auto, Kind::Notify));
    let plan = &definition.plan;
    assert_eq!((plan.program.as_str(), plan.arguments.len()), ("/bin/sh", 3));
    assert_eq!((plan.uid, plan.gid, plan.groups.as_slice()), (101, 105, &[5][..]));
    assert_eq!((plan.capabilities, plan.elevation), (1 << 10, Elevation::Deny));
    let environment: Vec<String> = plan.environment.iter().map(str::to_owned).collect();
    assert_eq!(
        environment,
        [
            "PATH=/bin",
            "HOME=/var/lib/redis",
            "USER=redis",
            "LOGNAME=redis",
            "SHELL=/bin/false",
            "LANG=C.UTF-8",
            "NOTIFY_SOCKET=/run/session0/notify",
            "WATCHDOG_USEC=30000000",
            "RUNTIME_DIRECTORY=/run/redis",
            "STATE_DIRECTORY=/run/session0/state/redis",
            "KEY=v",
        ]
    );
}

#[test]
fn all_errors_of_a_file_are_told_with_carets() {
    let text = "comand = [\"/bin/true\"]\nstart = \"later\"\nlimits = { memory = 5, tasks = 0, nice = 1 }\n";
    assert_eq!(
        one(text),
        "error: web.toml:1:1: `command` is missing\n   |\n 1 | comand = [\"/bin/true\"]\n   | ^\n  \
         = for example: command = [\"/usr/sbin/program\", \"--option\"]\n\
         error: web.toml:1:1: unknown key `comand`\n   |\n 1 | comand = [\"/bin/true\"]\n   | ^^^^^^\n  \
         = did you mean `command`?\n\
         error: web.toml:2:9: `start` cannot be \"later\"\n   |\n 2 | start = \"later\"\n   |         ^^^^^^^\n  \
         = allowed: \"auto\", \"demand\"\n\
         error: web.toml:3:21: `limits.memory` must be a string, not an integer\n   |\n \
         3 | limits = { memory = 5, tasks = 0, nice = 1 }\n   |                     ^\n\
         error: web.toml:3:32: `limits.tasks` must be from 1 to 4000000\n   |\n \
         3 | limits = { memory = 5, tasks = 0, nice = 1 }\n   |                                ^\n\
         error: web.toml:3:35: unknown key `nice` in `limits`\n   |\n \
         3 | limits = { memory = 5, tasks = 0, nice = 1 }\n   |                                   ^^^^\n  \
         = allowed: memory, tasks, cpu, open_files"
    );
}

#[test]
fn a_missing_program_is_told_where_it_is_written() {
    assert_eq!(
        one("command = [\"/no/such\", \"x\"]"),
        "error: web.toml:1:12: `/no/such` does not exist\n   |\n 1 | command = [\"/no/such\", \"x\"]\n   \
         |            ^^^^^^^^^^"
    );
    assert!(one("command = \"no-such-program\"").contains("there is no program `no-such-program`"));
    assert!(one("command = \"/tmp/x\"").contains("below /tmp, which is private in Session 0"));
    assert!(one("command = \"/etc\"").contains("is not a file"));
    assert!(one("command = \"/etc/passwd\"").contains("is not executable"));
    assert!(one("command = \"bin/sh\"").contains("neither an absolute path nor a name"));
    assert!(one("command = []").contains("empty") && one("command = 3").contains("a string or an array"));
}

#[test]
fn other_mistakes() {
    let with = |line: &str| one(&format!("command = \"/bin/sh\"\n{line}\n"));
    assert_eq!(with(""), "");
    assert!(with("account = \"ghost\"").contains("web.toml:2:11: there is no account `ghost`"));
    assert!(with("stop_timeout = \"20\"").contains("web.toml:2:16: `20` has no unit"));
    assert!(with("watchdog = \"1s\"").contains("`watchdog` needs kind = \"notify\""));
    assert!(with("expose = [\"x\"]").contains("`x` is not a runtime directory"));
    assert!(with("runtime_directory = [\"a/b\"]").contains("cannot be a directory in /run"));
    assert!(with("runtime_directory = [\"session0\"]").contains("cannot be a directory in /run"));
    assert!(
        with("capabilities = [\"sys_admin\"]").contains("not a capability a program in a session can have")
    );
    assert!(with("write = [\"/etc/../etc\"]").contains("not an absolute path without `..`"));
    assert!(with("write = [\"/no/such\"]").contains("`/no/such` does not exist"));
    assert!(with("depends = [\"a/b\"]").contains("web.toml:2:12: a service name cannot contain '/'"));
    assert!(with("depends = [\"WEB\"]").contains("depends on itself"));
    assert!(with("directory = \"here\"").contains("must be an absolute path"));
    assert!(with("environment = { \"A=B\" = \"x\" }").contains("cannot be empty or contain"));
    assert!(with("environment = { A = 1 }").contains("write numbers in quotes"));
    assert!(with("description = \"a\\u0000b\"").contains("a zero byte"));
    assert!(with("a = [").contains("web.toml:"));
    assert!(
        with(&format!("environment = {{ A = \"{}\" }}", "x".repeat(40_000)))
            .contains("bytes, more than 32768")
    );
}

#[test]
fn names() {
    let text = "command = \"/bin/sh\"";
    assert_eq!(
        read(&[("a b.toml", text)]).1,
        ["error: a b.toml: a service name cannot contain ' '; allowed are A-Z a-z 0-9 . _ - @ +"]
    );
    assert!(read(&[("session0-log.toml", text)]).1[0].contains("for our own services"));
}

#[test]
fn circles_and_missing_dependencies_are_told_and_the_services_stay() {
    let file = |depends: &str| format!("command = \"/bin/sh\"\ndepends = [{depends}]\n");
    let (services, problems) = read(&[
        ("a.toml", &file("\"B\"")),
        ("b.toml", &file("\"c\"")),
        ("c.toml", &file("\"d\", \"a\"")),
        ("d.toml", &file("\"ghost\"")),
    ]);
    assert_eq!(services.written.len(), 4);
    assert_eq!(problems.len(), 2);
    assert!(problems[0].starts_with("error: d.toml:2:12: `ghost` is not configured"), "{}", problems[0]);
    assert!(
        problems[1].starts_with("error: c.toml:2:17: circular dependency: a -> b -> c -> a"),
        "{}",
        problems[1]
    );
}

#[test]
fn a_long_chain_of_dependencies_is_no_problem() {
    let files: Vec<(String, String)> = (0..4000)
        .map(|n| (format!("s{n:04}.toml"), format!("command = \"/bin/sh\"\ndepends = [\"s{:04}\"]\n", n + 1)))
        .collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    assert_eq!(read(&files).1.len(), 1, "only the last one's dependency is missing");
}

#[test]
fn directories_and_links_are_refused_and_the_others_load() {
    let top = std::env::temp_dir().join(format!("session0-config-{}", std::process::id()));
    let services = top.join("etc/session0/services");
    std::fs::create_dir_all(services.join("folder.toml")).unwrap();
    std::fs::write(services.join("good.toml"), "command = \"/bin/sh\"").unwrap();
    std::fs::write(services.join("open.toml"), "command = \"/bin/sh\"").unwrap();
    std::fs::write(services.join("notes.txt"), "not a service").unwrap();
    std::fs::write(services.join("bad.toml"), b"\xff").unwrap();
    std::fs::write(services.join("big.toml"), "#".repeat(300 * 1024)).unwrap();
    std::os::unix::fs::symlink("good.toml", services.join("link.toml")).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    std::fs::set_permissions(services.join("open.toml"), mode).unwrap();
    let loaded = load(&Paths::new(&top));
    let problems: Vec<String> = loaded
        .problems
        .iter()
        .map(|problem| format!("{}: {}", problem.file.file_name().unwrap().display(), problem.message))
        .collect();
    assert_eq!(
        problems,
        [
            "bad.toml: cannot be read: it is not UTF-8 text",
            "big.toml: cannot be read: it has more than 262144 bytes",
            "folder.toml: cannot be read: it is a directory, not a regular file",
            "link.toml: cannot be read: it is a symbolic link, which is refused",
            "open.toml: cannot be read: everybody may write it: it could be changed by somebody who is not root",
        ]
    );
    assert_eq!(loaded.configuration.services.len(), 1);
    assert_eq!((loaded.configuration.errors, loaded.configuration.broken.len()), (5, 5));

    let other = top.join("other/etc/session0");
    std::fs::create_dir_all(&other).unwrap();
    std::os::unix::fs::symlink(&services, other.join("services")).unwrap();
    let loaded = load(&Paths::new(&top.join("other")));
    assert!(loaded.problems[0].message.contains("symbolic link"));
    std::fs::remove_dir_all(top).unwrap();
}

#[test]
fn a_reload_tells_settings_that_are_in_effect_from_those_that_wait() {
    let old = Settings::built_in();
    let mut new = old.clone();
    assert_eq!(old.changes(&new), Default::default());
    new.administrators.0.uids.push(7);
    new.terminals += 1;
    let changes = old.changes(&new);
    assert_eq!(changes.now, ["administrators"]);
    assert_eq!(changes.next_session, ["session0.terminals"]);
}

/// A service with this of a pipe called Echo in its file.
fn with_pipe(lines: &str) -> (Services, Vec<String>) {
    read(&[("web.toml", &format!("command = \"/bin/sh\"\n[pipe.Echo]\n{lines}\n"))])
}

#[test]
fn a_pipe_is_read_whole_and_without_a_word_is_as_windows_makes_it() {
    let (services, problems) = with_pipe(
        "type = \"message\"\ndirection = \"inbound\"\ninstances = 254\ndefault_timeout = \"2s\"\nbuffer = \"1M\"\n\
         access = [\"interactive write\", \"deny user redis\"]\nrefuse_outside = true\ndescriptors = true\n\
         starts = true\n[pipe.'mojo.{1}']\nrpc = true\ninstances = \"unlimited\"\ndefault_timeout = \"0\"",
    );
    assert_eq!(problems, Vec::<String>::new());
    let pipes = &services.written.values().next().unwrap().1.definition.pipes;
    let [echo, mojo] = &pipes[..] else { panic!("{pipes:?}") };
    assert_eq!((echo.name.as_str(), echo.opening), ("Echo", Opening::Starts));
    let texts: Vec<&str> = echo.settings.access.0.iter().map(|entry| entry.text.as_str()).collect();
    assert_eq!(texts, ["allow interactive write", "deny user redis read write"]);
    assert_eq!(
        *echo.settings,
        pipe::Settings {
            kind: pipe::Kind::Message,
            direction: pipe::Direction::Inbound,
            instances_max: pipe::InstancesMax::Limited(254),
            default_timeout: pipe::Timeout(std::time::Duration::from_secs(2)),
            buffer: Some(1 << 20),
            access: echo.settings.access.clone(),
            refuse_outside: true,
            descriptors: true,
            rpc: false,
        }
    );
    assert_eq!((mojo.name.as_str(), mojo.opening), ("mojo.{1}", Opening::Nothing));
    assert_eq!(*mojo.settings, pipe::Settings { rpc: true, ..pipe::Settings::default() });
}

#[test]
fn what_is_wrong_with_a_pipe_is_told_where_it_is_written() {
    for (lines, problem) in [
        ("type = \"stream\"", "3:8: `pipe.\"Echo\".type` cannot be \"stream\""),
        ("direction = \"both\"", "3:13: `pipe.\"Echo\".direction` cannot be \"both\""),
        ("instances = 0", "3:13: `pipe.\"Echo\".instances` must be from 1 to 254"),
        ("instances = 255", "3:13: `pipe.\"Echo\".instances` must be from 1 to 254"),
        ("instances = \"many\"", "3:13: `pipe.\"Echo\".instances` cannot be \"many\""),
        ("instances = true", "3:13: `pipe.\"Echo\".instances` must be a whole number, not true or false"),
        ("default_timeout = \"5\"", "3:19: `5` has no unit"),
        ("buffer = \"2M\"", "3:10: `2M` is more than 1048576 bytes"),
        ("buffer = \"0\"", "3:10: nothing could be written into a buffer of no bytes"),
        ("access = \"everyone\"", "3:10: `pipe.\"Echo\".access` must be an array of strings, not a string"),
        ("access = [\"owner\", \"user ghost\"]", "3:20: `user ghost`: there is no account `ghost`"),
        ("refuse_outside = 1", "3:18: `pipe.\"Echo\".refuse_outside` must be true or false"),
        ("descriptors = \"no\"", "3:15: `pipe.\"Echo\".descriptors` must be true or false"),
        ("rpc = true\ntype = \"message\"", "3:1: `rpc` needs type = \"byte\""),
        ("rpc = true\ndirection = \"inbound\"", "3:1: `rpc` needs direction = \"duplex\""),
        ("starts = 1", "3:10: `pipe.\"Echo\".starts` must be true or false"),
        ("start = true", "3:1: unknown key `start` in `pipe.\"Echo\"`"),
        ("[pipe.\"a/b\"]", "3:7: `a/b`: a pipe's name cannot contain '/'"),
        ("[pipe.\"a\\u0000\"]", "3:7: `a\\0`: a pipe's name cannot contain '\\0'"),
        ("[pipe.eCHO]", "3:7: `eCHO` is written twice: case does not count"),
        ("[pipe]\nother = 1", "4:9: `pipe.\"other\"` must be a table, not an integer"),
    ] {
        let (services, problems) = with_pipe(lines);
        let [found] = &problems[..] else { panic!("{lines}: {problems:?}") };
        assert!(found.starts_with(&format!("error: web.toml:{problem}")), "{lines}: {found}");
        assert!(services.written.is_empty(), "{lines}: such a service is none");
    }
    assert!(
        one("command = \"/bin/sh\"\npipe = 3").contains("web.toml:2:8: `pipe` must be a table of tables")
    );
}

#[test]
fn pipes_and_entries_of_their_access_lists_have_a_maximum() {
    let pipes = |count: usize| (1..count).map(|n| format!("[pipe.p{n}]\n")).collect::<String>();
    assert_eq!(with_pipe(&pipes(limit::PIPES_PER_SERVICE_MAX)).1, Vec::<String>::new());
    let problems = with_pipe(&pipes(limit::PIPES_PER_SERVICE_MAX + 3)).1;
    assert_eq!(problems.len(), 1, "once, and not for each that is too many");
    assert!(problems[0].starts_with("error: web.toml:66:7: a service has at most 64 pipes"), "{problems:?}");
    let access = |count: usize| format!("access = [{}]", "\"owner\", ".repeat(count));
    assert_eq!(with_pipe(&access(limit::PIPE_ACCESS_MAX)).1, Vec::<String>::new());
    let problems = with_pipe(&access(limit::PIPE_ACCESS_MAX + 1)).1;
    assert!(problems[0].starts_with("error: web.toml:3:10: an access list has at most 64 entries"));
}

#[test]
fn a_pipe_of_two_services_is_told_where_the_second_has_it_and_both_stay() {
    let file = |pipe: &str| format!("command = \"/bin/sh\"\n[pipe.{pipe}]\n");
    let (services, problems) =
        read(&[("b.toml", &file("ECHO")), ("a.toml", &file("echo")), ("c.toml", &file("other"))]);
    assert_eq!(services.written.len(), 3);
    let [problem] = &problems[..] else { panic!("{problems:?}") };
    assert!(problem.starts_with("error: b.toml:2:7: the pipe `ECHO` is a's already"), "{problem}");
}
