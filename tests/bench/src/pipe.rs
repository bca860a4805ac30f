//! Pipes of a host, as channels.

use std::thread;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use session0::pipe::{Code, Instance, Pipe, PipeClient, PipeServer, PipeType};

use crate::Outcome;
use crate::address::Place;
use crate::channel::{Channel, Listener};

/// How long a client waits for an instance.
const BUSY: Duration = Duration::from_secs(30);

/// A client's end.
pub struct Client(PipeClient);

/// A server's end of an instance.
pub struct Server(Instance);

/// Opens a pipe.
pub fn open(pipe: &Place) -> Outcome<Client> {
    connect(pipe).map(Client)
}

fn connect(pipe: &Place) -> Outcome<PipeClient> {
    // The server may be about to say that one more listens.
    let opened = PipeClient::builder(&pipe.name).socket(pipe.socket()).wait(BUSY).open();
    opened.map_err(|e| format!("opening the pipe {pipe}: {e}"))
}

/// Serves one that everybody may open.
pub fn listen(pipe: &Place, kind: PipeType) -> Outcome<PipeServer> {
    let server = PipeServer::builder(&pipe.name)
        .socket(pipe.socket())
        .kind(kind)
        .access(["everyone read write"])
        .create();
    server.map_err(|e| format!("serving the pipe {pipe}: {e}"))
}

/// Pipes that are there only to be many: `NAME-0`, `NAME-1` ...
#[derive(Debug, Clone)]
pub struct Many {
    /// What they are called, without the number.
    pub pipe: Place,
    /// The first number.
    pub first: usize,
    /// How many.
    pub count: usize,
}

impl Many {
    fn each(&self) -> impl Iterator<Item = Place> {
        let name =
            |number| Place { name: format!("{}-{number}", self.pipe.name), root: self.pipe.root.clone() };
        (self.first..self.first + self.count).map(name)
    }

    /// Serves them all until killed, and keeps every client.
    pub fn keep(&self) -> Outcome<()> {
        room_for_descriptors()?;
        let mut keepers = Vec::new();
        for pipe in self.each() {
            keepers.push(listen(&pipe, PipeType::Byte)?);
        }
        thread::scope(|threads| {
            for server in &keepers {
                threads.spawn(move || {
                    let mut clients = Vec::new();
                    loop {
                        match server.accept() {
                            Ok(client) => clients.push(client),
                            Err(error) => return eprintln!("accepting a client: {error}"),
                        }
                    }
                });
            }
        });
        Ok(())
    }

    /// Serves them all until killed; nobody comes.
    pub fn serve(&self) -> Outcome<()> {
        room_for_descriptors()?;
        let servers: Vec<PipeServer> =
            self.each().map(|pipe| listen(&pipe, PipeType::Byte)).collect::<Outcome<_>>()?;
        println!("{} pipes are served", servers.len());
        wait_for_ever()
    }

    /// Opens each so many times, says so, and stays with them until stdin ends.
    pub fn open(&self, times: usize) -> Outcome<()> {
        room_for_descriptors()?;
        let mut clients = Vec::new();
        for pipe in self.each() {
            for _ in 0..times {
                clients.push(connect(&pipe)?);
            }
        }
        println!("{} are open", clients.len());
        let mut word = String::new();
        std::io::stdin().read_line(&mut word).map(drop).map_err(|e| format!("waiting for the end: {e}"))
    }
}

/// As many open files as this process may have.
fn room_for_descriptors() -> Outcome<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
        .map_err(|e| format!("raising the limit of open files to {:?}: {e}", limit.maximum))
}

fn wait_for_ever() -> ! {
    loop {
        thread::park();
    }
}

impl Channel for Client {
    fn send(&mut self, bytes: &[u8]) -> Outcome<()> {
        send(&self.0, bytes)
    }

    fn receive(&mut self, into: &mut [u8]) -> Outcome<usize> {
        receive(&self.0, into)
    }
}

impl Channel for Server {
    fn send(&mut self, bytes: &[u8]) -> Outcome<()> {
        send(&self.0, bytes)
    }

    fn receive(&mut self, into: &mut [u8]) -> Outcome<usize> {
        receive(&self.0, into)
    }
}

impl Listener for PipeServer {
    fn accept(&mut self) -> Outcome<Box<dyn Channel>> {
        let instance = PipeServer::accept(self).map_err(|e| format!("accepting a client: {e}"))?;
        Ok(Box::new(Server(instance)))
    }
}

fn send(pipe: &Pipe, bytes: &[u8]) -> Outcome<()> {
    match pipe.write(bytes) {
        Ok(written) if written == bytes.len() => Ok(()),
        Ok(written) => Err(format!("only {written} of {} bytes were written to a pipe", bytes.len())),
        Err(error) => Err(format!("writing to a pipe: {error}")),
    }
}

fn receive(pipe: &Pipe, into: &mut [u8]) -> Outcome<usize> {
    match pipe.read(into) {
        Ok(read) => Ok(read.bytes),
        Err(error) if error.code() == Code::BrokenPipe => Ok(0),
        Err(error) => Err(format!("reading from a pipe: {error}")),
    }
}
