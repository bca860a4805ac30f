//! `s0 pipe show`.

use session0::api::pipe::{Direction, Peer, PipeClient, PipeStatus};

use crate::context::Context;
use crate::describe;
use crate::failure::Failure;
use crate::output::{Output, Paint};
use crate::page::Page;
use crate::progress::Progress;
use crate::time;
use crate::words::count;

/// One pipe: who serves it, who may use it and who does
///
/// Its clients are shown to its owner and to administrators; those from before the daemon was started again are not among them.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  s0 pipe show spooler\n  s0 pipe show spooler --json | jq -r '.clients[]?.peer.account'"
)]
pub struct Args {
    /// The pipe's name
    #[arg(value_name = "NAME")]
    name: String,
}

/// Runs it.
pub fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    let tried = format!("ask how pipe {} is", describe::one_line(&args.name));
    let mut client = context.client(&tried)?;
    let progress = Progress::answer(&context.output);
    let answer = client.pipe(&args.name);
    drop(progress);
    let pipe = answer.map_err(|error| context.failure(&tried, error).or_hint(|| all(context)))?;
    if context.output.json {
        context.output.json(&pipe);
    } else {
        context.output.line(text(context, &pipe, time::now_ms()));
    }
    Ok(())
}

/// The command that helps who mistook a name.
pub fn all(context: &Context) -> String {
    format!("`s0 {}pipe list` shows all pipes", context.root.flag())
}

fn text(context: &Context, pipe: &PipeStatus, now: i64) -> String {
    let output = &context.output;
    let mut page = Page::new(output);
    let title = output.paint(Paint::Strong, &format!("pipe {}", describe::one_line(&pipe.name)));
    page.line(format!("{title}: {}", nature(pipe)));
    page.row("instances", instances(pipe));
    let waiting = count(pipe.waiting.into(), "client");
    page.some("waiting", (pipe.waiting > 0).then_some(waiting));
    rows(&mut page, "served by", servers(output, pipe));
    page.some("reserved", pipe.reserved_for.as_deref().map(|service| reserved(service, pipe.starts_service)));
    rows(&mut page, "access", access(pipe));
    page.some(
        "outside",
        pipe.refuse_outside.then(|| "programs outside every session are refused".to_owned()),
    );
    page.row("patience", format!("clients wait {} unless they say otherwise", wait(pipe.default_timeout_ms)));
    page.some("socket", pipe.socket.as_deref().map(|inside| socket(context, inside)));
    let describing = || {
        let name = describe::one_line(&pipe.name);
        format!("varlink: `s0 {}rpc describe {name}` shows it", context.root.flag())
    };
    page.some("speaks", pipe.rpc.then(describing));
    page.row("opened", format!("{}, {} refused", count(pipe.opened, "time"), count(pipe.refused, "client")));
    rows(&mut page, "clients", clients(output, pipe, now));
    page.text()
}

/// Where it is in every session, and where it is for who asks from outside.
fn socket(context: &Context, inside: &str) -> String {
    let name = inside.rsplit('/').next().unwrap_or_default();
    let here = context.socket.with_file_name("pipe").join(name);
    let inside = describe::one_line(inside);
    match here.to_str() {
        Some(here) if here != inside => {
            format!("{inside} in every session, {} outside", describe::one_line(here))
        }
        _ => inside,
    }
}

/// Several lines of which the first has the word.
fn rows(page: &mut Page, what: &str, lines: Vec<String>) {
    let mut what = what;
    for line in lines {
        page.row(what, line);
        what = "";
    }
}

fn nature(pipe: &PipeStatus) -> String {
    let way = match pipe.direction {
        Direction::Inbound => "from its clients to its server",
        Direction::Outbound => "from its server to its clients",
        Direction::Duplex => "both ways",
        Direction::Unknown => "in a direction unknown to this version",
    };
    format!("{}s, {way}", describe::pipe_type(pipe.kind))
}

fn instances(pipe: &PipeStatus) -> String {
    let most =
        pipe.instances_max.map_or_else(|| "without limit".to_owned(), |most| format!("at most {most}"));
    format!("{} connected, {} listening, {most}", pipe.connected, pipe.listening)
}

fn servers(output: &Output, pipe: &PipeStatus) -> Vec<String> {
    if pipe.servers.is_empty() {
        return vec![output.paint(Paint::Faint, "nobody")];
    }
    pipe.servers.iter().map(who).collect()
}

fn who(peer: &Peer) -> String {
    if describe::is_anonymous(peer) {
        return describe::peer(peer);
    }
    let account = peer.account.as_deref().filter(|_| peer.service.is_some()).map(describe::one_line);
    let account = account.map(|account| format!("account {account}, ")).unwrap_or_default();
    format!("{} ({account}uid {}, pid {})", describe::peer(peer), peer.uid, peer.pid)
}

fn reserved(service: &str, starts: bool) -> String {
    let service = describe::one_line(service);
    if starts {
        format!("for service {service}; opening it starts the service")
    } else {
        format!("for service {service}")
    }
}

fn access(pipe: &PipeStatus) -> Vec<String> {
    if pipe.access.is_empty() {
        return vec!["its owner and administrators".to_owned()];
    }
    pipe.access.iter().map(|entry| describe::one_line(entry)).collect()
}

fn wait(ms: u32) -> String {
    time::short(std::time::Duration::from_millis(ms.into()))
}

fn clients(output: &Output, pipe: &PipeStatus, now: i64) -> Vec<String> {
    let line = |client: &PipeClient| {
        let since = time::stamp_and_ago(client.since_ms, now);
        format!("{}, since {since}, instance {}", who(&client.peer), client.instance)
    };
    match &pipe.clients {
        Some(clients) => clients.iter().map(line).collect(),
        None if pipe.connected > 0 => {
            vec![output.paint(Paint::Faint, "shown to its owner and to administrators")]
        }
        None => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake;

    fn shown(pipe: &PipeStatus) -> String {
        text(&fake::context(), pipe, fake::NOW)
    }

    #[test]
    fn all_that_is_known_is_shown() {
        let mut pipe = fake::pipe("spooler");
        (pipe.rpc, pipe.refuse_outside, pipe.waiting) = (true, true, 1);
        let text = shown(&pipe);
        for part in [
            "pipe spooler: messages, both ways",
            "1 connected, 2 listening, at most 10",
            "1 client\n",
            "service spooler (account LocalSystem, uid 0, pid 42)",
            "opening it starts the service",
            "allow interactive read write\n",
            "deny user mallory read write",
            "outside every session are refused",
            "clients wait 50ms",
            "/run/session0/pipe/spooler",
            "rpc describe spooler`",
            "12 times, 3 clients refused",
            "alice in session 3 (uid 1001, pid 77), since 2026-11-23 01:01:03Z (1min ago), instance 7",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
    }

    #[test]
    fn what_is_not_there_is_not_shown() {
        let mut pipe = fake::unserved_pipe("spooler");
        (pipe.socket, pipe.reserved_for, pipe.access) = (None, None, Vec::new());
        let text = shown(&pipe);
        for part in ["clients  ", "socket", "reserved", "speaks", "waiting", "outside"] {
            assert!(!text.contains(part), "{part} is in\n{text}");
        }
        assert!(text.contains("nobody") && text.contains("its owner and administrators"), "{text}");
    }

    #[test]
    fn clients_that_may_not_be_seen_are_not_taken_for_none() {
        let pipe = PipeStatus { clients: None, ..fake::pipe("spooler") };
        assert!(shown(&pipe).contains("shown to its owner and to administrators"));
    }

    #[test]
    fn an_anonymous_client_has_no_number_of_a_process() {
        let mut pipe = fake::pipe("spooler");
        let nobody =
            Peer { session: None, uid: 65534, gid: 65534, pid: 0, account: None, ..fake::user(3, "") };
        pipe.clients = Some(vec![PipeClient { instance: 1, peer: nobody, since_ms: fake::NOW }]);
        assert!(shown(&pipe).contains("anonymous, since"), "{}", shown(&pipe));
    }
}
