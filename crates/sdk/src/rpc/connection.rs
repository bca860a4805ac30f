//! One client: reads its calls, has the service handle them, and writes the answers, in the order the calls came.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;

use futures_util::StreamExt;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use session0_api::error::Refused;
use tokio::io::Interest;
use tokio::time::Instant;
use zlink::service::{MethodReply, ReplyStreamItem, Service};
use zlink::{Call, Reply};

use super::frames::{Frames, Message, Next, is_object};
use super::gone::unless_gone;
use super::shape::{Known, Unknown};
use super::socket::{Link, Socket};
use super::{Limits, TIMED_OUT};

/// Descriptors of one answer (the kernel takes no more).
const DESCRIPTORS_MAX: usize = 253;

/// Why the serving of a client ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum End {
    /// The client hung up.
    Closed,
    /// The client sent what is no call.
    Garbage(String),
    /// A call was longer than [`Limits::call_bytes`].
    TooLong,
    /// A call that had begun was not whole within [`Limits::call_time`].
    HalfACall,
    /// Nothing was asked for [`Limits::idle_time`].
    Idle,
    /// The client did not take its answer within [`Limits::write_time`].
    NeverReads,
    /// The service's answer cannot be sent, or its stream ended with an answer that says that another follows.
    Service(String),
    /// The socket failed.
    Socket(io::Error),
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            End::Closed => f.write_str("it hung up"),
            End::Garbage(what) => write!(f, "it sent what is no call: {what}"),
            End::TooLong => f.write_str("it sent a call that is too long"),
            End::HalfACall => f.write_str("it sent half a call and no more"),
            End::Idle => f.write_str("it asked for nothing"),
            End::NeverReads => f.write_str("it did not read its answer"),
            End::Service(what) => write!(f, "the service has a fault: {what}"),
            End::Socket(error) => write!(f, "its socket failed: {error}"),
        }
    }
}

/// What every call has, whatever the method.
#[derive(Deserialize)]
struct Head<'a> {
    method: String,
    #[serde(borrow, default)]
    parameters: Option<&'a RawValue>,
    #[serde(default)]
    oneway: bool,
    #[serde(default)]
    more: bool,
}

/// What becomes of a call.
enum Outcome<Stream> {
    /// An answer, and the descriptors that go with it.
    Answer(Vec<u8>, Vec<OwnedFd>),
    /// Answers.
    Stream(Stream),
    /// The client is gone; the method was dropped.
    Gone,
}

/// One client and the service that is made for it.
pub(super) struct Connection<S> {
    service: S,
    link: zlink::Connection<Socket>,
    known: Rc<Known>,
    input: Frames,
    output: Output,
}

/// The side that is written to.
struct Output {
    link: Arc<Link>,
    limits: Rc<Limits>,
}

impl<S: Service<Socket, Upgrade = ()>> Connection<S> {
    pub fn new(link: Arc<Link>, service: S, known: Rc<Known>, limits: Rc<Limits>) -> Self {
        let input = Frames::new(limits.call_bytes, limits.descriptors);
        let output = Output { link: link.clone(), limits };
        Connection { service, link: zlink::Connection::new(Socket::new(link)), known, input, output }
    }

    /// Serves it to its end.
    pub async fn run(mut self) -> End {
        match self.serve().await {
            Ok(never) => match never {},
            Err(end) => end,
        }
    }

    async fn serve(&mut self) -> Result<std::convert::Infallible, End> {
        loop {
            let call = self.next_call().await?;
            if !is_object(&call.bytes) {
                return Err(End::Garbage("a message that is no JSON object".to_owned()));
            }
            let head: Head<'_> =
                serde_json::from_slice(&call.bytes).map_err(|error| End::Garbage(error.to_string()))?;
            match self.handle(&head, &call.bytes, call.descriptors).await? {
                // Further calls that it sent before it hung up may want no answer.
                Outcome::Gone => {}
                _ if head.oneway => {}
                Outcome::Answer(bytes, descriptors) => self.output.write(bytes, &descriptors).await?,
                Outcome::Stream(stream) => self.output.forward::<S>(stream, head.more).await?,
            }
            // Whoever sends many calls at once must not keep others waiting.
            tokio::task::yield_now().await;
        }
    }

    async fn next_call(&mut self) -> Result<Message, End> {
        let limits = self.output.limits.clone();
        let mut begun_until = None;
        loop {
            let (until, late) = match self.input.take() {
                Next::Message(call) => return Ok(call),
                Next::TooLong => return Err(End::TooLong),
                Next::Nothing => (Instant::now() + limits.idle_time, End::Idle),
                Next::Begun => {
                    (*begun_until.get_or_insert_with(|| Instant::now() + limits.call_time), End::HalfACall)
                }
            };
            let (stream, input) = (self.output.link.stream(), &mut self.input);
            match stream.try_io(Interest::READABLE, || input.fill(stream.as_fd())) {
                Ok(0) => return Err(End::Closed),
                // Bytes that come one at a time must not keep others waiting.
                Ok(_) => tokio::task::consume_budget().await,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    match tokio::time::timeout_at(until, stream.readable()).await {
                        Ok(ready) => ready.map_err(End::Socket)?,
                        Err(_) => return Err(late),
                    }
                }
                Err(error) => return Err(ended(error)),
            }
        }
    }

    async fn handle(
        &mut self,
        head: &Head<'_>,
        bytes: &[u8],
        descriptors: Vec<OwnedFd>,
    ) -> Result<Outcome<S::ReplyStream>, End> {
        let unheard = |error: Value| Ok(Outcome::Answer(encode(&error)?, Vec::new()));
        match self.known.find(&head.method) {
            Ok(()) => {}
            Err(Unknown::Interface(interface)) => {
                return unheard(varlink_error("InterfaceNotFound", "interface", interface));
            }
            Err(Unknown::Method(method)) => {
                return unheard(varlink_error("MethodNotFound", "method", method));
            }
        }
        let parameters = head.parameters.map_or("null", RawValue::get);
        let call = serde_json::from_slice::<Call<S::MethodCall<'_>>>(bytes).ok();
        // zlink takes an array for parameters in their order, which varlink has not.
        let Some(call) = call.filter(|_| parameters == "null" || is_object(parameters.as_bytes())) else {
            let parameters = serde_json::from_str(parameters).unwrap_or_default();
            let wrong = self.known.blame(&head.method, &parameters);
            return unheard(varlink_error("InvalidParameter", "parameter", &wrong));
        };
        let handling = self.service.handle(&call, &mut self.link, descriptors);
        let limited = within(self.output.limits.handling_time, handling);
        let done = if head.oneway {
            // Who asks for no answer may hang up and still have it done.
            Some(limited.await)
        } else {
            unless_gone(self.output.link.stream().as_fd(), limited).await
        };
        let (reply, descriptors) = match done {
            None => return Ok(Outcome::Gone),
            Some(None) => return unheard(timed_out(&head.method)),
            Some(Some(result)) => result,
        };
        Ok(match reply {
            MethodReply::Single(parameters) => Outcome::Answer(encode(&Reply::new(parameters))?, descriptors),
            MethodReply::Error(error) => Outcome::Answer(encode(&error)?, descriptors),
            MethodReply::Multi(stream) => Outcome::Stream(stream),
            // There are no upgrades here (`Upgrade = ()`), and no other kind of reply today.
            _ => return unheard(varlink_error("MethodNotImplemented", "method", &head.method)),
        })
    }
}

/// Asks a service what it is. Empty if it does not say.
pub(super) async fn describe<S: Service<Socket>>(service: &mut S, link: Arc<Link>) -> Known {
    let mut link = zlink::Connection::new(Socket::new(link));
    let mut known = Known::default();
    let info = json!({"method": "org.varlink.service.GetInfo"});
    let info = ask(service, &mut link, &info).await.unwrap_or_default();
    let interfaces = info.get("interfaces").and_then(Value::as_array);
    for name in interfaces.into_iter().flatten().filter_map(Value::as_str) {
        let method = "org.varlink.service.GetInterfaceDescription";
        let call = json!({"method": method, "parameters": {"interface": name}});
        let answer = ask(service, &mut link, &call).await.unwrap_or_default();
        let description = answer.get("description").and_then(Value::as_str);
        known.add(name, description.unwrap_or_default());
    }
    known
}

async fn ask<S: Service<Socket>>(
    service: &mut S,
    link: &mut zlink::Connection<Socket>,
    call: &Value,
) -> Option<Value> {
    let bytes = serde_json::to_vec(call).ok()?;
    let call: Call<S::MethodCall<'_>> = serde_json::from_slice(&bytes).ok()?;
    match service.handle(&call, link, Vec::new()).await.0 {
        MethodReply::Single(Some(parameters)) => serde_json::to_value(&parameters).ok(),
        _ => None,
    }
}

/// `None` if it takes longer.
async fn within<T>(time: Option<std::time::Duration>, work: impl Future<Output = T>) -> Option<T> {
    match time {
        None => Some(work.await),
        Some(time) => tokio::time::timeout(time, work).await.ok(),
    }
}

fn varlink_error(name: &str, field: &str, value: &str) -> Value {
    json!({"error": format!("org.varlink.service.{name}"), "parameters": {field: value}})
}

fn timed_out(method: &str) -> Value {
    /// ERROR_TIMEOUT.
    const TIMEOUT: u32 = 1460;
    let parameters = Refused {
        code: TIMEOUT,
        message: format!("{method} took longer than the service allows, and was given up"),
        hint: None,
    };
    json!({"error": TIMED_OUT, "parameters": parameters})
}

fn encode(message: &impl Serialize) -> Result<Vec<u8>, End> {
    let mut bytes = serde_json::to_vec(message)
        .map_err(|error| End::Service(format!("its answer is no JSON: {error}")))?;
    bytes.push(0);
    Ok(bytes)
}

impl Output {
    /// Sends what a stream gives, up to the answer that says that none follows. Who did not ask for `more` gets one.
    async fn forward<S: Service<Socket>>(&self, mut stream: S::ReplyStream, more: bool) -> Result<(), End> {
        loop {
            let item: ReplyStreamItem<_, _> =
                match unless_gone(self.link.stream().as_fd(), stream.next()).await {
                    None => return Err(End::Closed),
                    Some(None) => {
                        return Err(End::Service("its stream ended without a last answer".to_owned()));
                    }
                    Some(Some(item)) => item,
                };
            let (bytes, last) = match item.0 {
                Err(error) => (encode(&error)?, true),
                Ok(reply) => {
                    let continues = more && reply.continues() == Some(true);
                    (encode(&reply.set_continues(continues.then_some(true)))?, !continues)
                }
            };
            self.write(bytes, &item.1).await?;
            if last {
                return Ok(());
            }
            // A stream that always has something must not keep others waiting.
            tokio::task::yield_now().await;
        }
    }

    /// Writes one whole message; descriptors go with its first byte.
    async fn write(&self, bytes: Vec<u8>, descriptors: &[OwnedFd]) -> Result<(), End> {
        if descriptors.len() > DESCRIPTORS_MAX {
            let what = format!("its answer has {} descriptors, {DESCRIPTORS_MAX} can go", descriptors.len());
            return Err(End::Service(what));
        }
        let descriptors: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
        let mut sent = 0;
        let mut until = None;
        while sent < bytes.len() {
            let with = if sent == 0 { &descriptors[..] } else { &[] };
            let stream = self.link.stream();
            let attempt = || send(stream.as_fd(), &bytes[sent..], with);
            match stream.try_io(Interest::WRITABLE, attempt) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let until = *until.get_or_insert_with(|| Instant::now() + self.limits.write_time);
                    match tokio::time::timeout_at(until, stream.writable()).await {
                        Ok(ready) => ready.map_err(End::Socket)?,
                        Err(_) => return Err(End::NeverReads),
                    }
                }
                Err(error) => return Err(ended(error)),
            }
        }
        Ok(())
    }
}

fn send(socket: BorrowedFd<'_>, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::other("too many descriptors for one answer"));
    }
    let slices = [io::IoSlice::new(bytes)];
    Ok(rustix::io::retry_on_intr(|| sendmsg(socket, &slices, &mut control, flags))?)
}

fn ended(error: io::Error) -> End {
    match error.kind() {
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => End::Closed,
        _ => End::Socket(error),
    }
}
