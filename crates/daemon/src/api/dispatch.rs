//! What each method does.

use std::os::fd::OwnedFd;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use session0_api::interface::{Method, Nothing};
use session0_api::{account, host, logon, pipe, service, session};
use session0_model::access::Caller;
use session0_model::id::ServiceName;
use session0_model::system::{HostRequest, Refusal, Reply, Request, ServiceRequest};
use zlink::varlink_service;

use super::client::Place;
use super::connection::{DESCRIPTORS_MAX, Taken};
use super::fault;
use super::host::{Host, Subscription};
use super::{pipes, translate, users};

/// A call as it comes. Its parameters are read once its method is known.
#[derive(Debug, Deserialize)]
pub struct Call {
    pub(super) method: String,
    #[serde(default)]
    parameters: Option<Value>,
    #[serde(default)]
    oneway: Option<bool>,
    #[serde(default)]
    more: Option<bool>,
    #[serde(default)]
    upgrade: Option<bool>,
}

impl Call {
    /// Whether no answer is wanted.
    pub fn oneway(&self) -> bool {
        self.oneway.unwrap_or(false)
    }

    /// Whether the connection is to become something else.
    pub fn upgrades(&self) -> bool {
        self.upgrade.unwrap_or(false)
    }

    /// Whether more than one answer is wanted.
    pub fn more(&self) -> bool {
        self.more.unwrap_or(false)
    }

    pub(super) fn parameters<M: Method>(&self) -> Result<M, Answer> {
        self.read_parameters()
    }

    fn read_parameters<P: DeserializeOwned>(&self) -> Result<P, Answer> {
        let parameters = match &self.parameters {
            None | Some(Value::Null) => Value::Object(serde_json::Map::new()),
            Some(Value::Object(parameters)) => Value::Object(parameters.clone()),
            // serde would take a list for the fields in their order.
            Some(_) => {
                let parameter = "parameters".into();
                return Err(varlink_error(&varlink_service::Error::InvalidParameter { parameter }));
            }
        };
        serde_json::from_value(parameters).map_err(|error| invalid_parameter(&error))
    }
}

/// What comes of a call.
pub enum Answer {
    /// One message.
    Reply(Vec<u8>),
    /// One message that may be long, and its place.
    Long(Vec<u8>, Option<Place>),
    /// One message with descriptors.
    Files(Vec<u8>, Vec<OwnedFd>),
    /// One message, after which the connection is something else.
    Upgraded(Vec<u8>, Box<dyn Taken>),
    /// A snapshot and what happens from now on.
    Subscribed(Box<Subscription>),
}

/// Whether further replies come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Continues {
    /// Yes.
    Yes,
    /// No; nothing is said about it.
    No,
}

/// A reply as bytes, with its zero byte.
pub fn reply<R: Serialize>(parameters: &R, continues: Continues) -> Vec<u8> {
    #[derive(Serialize)]
    struct Message<'a, R> {
        parameters: &'a R,
        #[serde(skip_serializing_if = "Option::is_none")]
        continues: Option<bool>,
    }
    let continues = (continues == Continues::Yes).then_some(true);
    message(&Message { parameters, continues })
}

/// A message as bytes, with its zero byte.
pub(super) fn message<M: Serialize>(message: &M) -> Vec<u8> {
    let mut bytes = match serde_json::to_vec(message) {
        Ok(bytes) => bytes,
        Err(error) => {
            let fault = host::Error::InternalError(fault::report("write an answer as JSON", &error));
            serde_json::to_vec(&fault).unwrap_or_default()
        }
    };
    bytes.push(0);
    bytes
}

/// The one reply of a method.
pub(super) fn one<M: Method>(reply: &M::Reply) -> Answer {
    Answer::Reply(self::reply(reply, Continues::No))
}

/// Handles one call. Dropping the future abandons it.
pub async fn handle<H: Host>(host: &H, caller: &Caller, call: &Call) -> Answer {
    if call.upgrades() && !pipes::upgrades(call) {
        return varlink_error(&varlink_service::Error::InvalidParameter { parameter: "upgrade".into() });
    }
    let interface = call.method.rsplit_once('.').map_or("", |(interface, _)| interface);
    let result = match interface {
        host::NAME => host_call(host, caller, call).await,
        service::NAME => service_call(host, caller, call).await,
        session::NAME => users::session_call(host, caller, call).await,
        logon::NAME => users::logon_call(host, caller, call).await,
        account::NAME => users::account_call(host, caller, call).await,
        pipe::NAME => pipes::pipe_call(host, caller, call).await,
        _ => about(call),
    };
    match result {
        Ok(answer) | Err(answer) => answer,
    }
}

/// `io.session0.Host`.
async fn host_call<H: Host>(host: &H, caller: &Caller, call: &Call) -> Result<Answer, Answer> {
    let refused = |tried: &str, refusal| Answer::Reply(message(&translate::refusal::host(tried, refusal)));
    let ask = async |tried: &str, request| {
        host.request(caller.clone(), Request::Host(request)).await.map_err(|refusal| refused(tried, refusal))
    };
    match call.method.as_str() {
        host::Version::NAME => {
            call.parameters::<host::Version>()?;
            Ok(one::<host::Version>(&host::VersionInfo {
                product: session0_api::PRODUCT.to_owned(),
                version: session0_api::VERSION.to_owned(),
                interface: session0_api::INTERFACE_VERSION,
            }))
        }
        host::Status::NAME => {
            call.parameters::<host::Status>()?;
            match ask("ask the host for its status", HostRequest::Status).await? {
                Reply::Host(status) => {
                    Ok(one::<host::Status>(&host::Host { host: translate::host::status(host, &status) }))
                }
                other => Err(unexpected(call, &other)),
            }
        }
        host::Reload::NAME => {
            call.parameters::<host::Reload>()?;
            match ask("read the configuration again", HostRequest::Reload).await? {
                Reply::Reloaded(report) => Ok(one::<host::Reload>(&translate::host::reload_report(&report))),
                other => Err(unexpected(call, &other)),
            }
        }
        host::Shutdown::NAME => {
            call.parameters::<host::Shutdown>()?;
            done::<host::Shutdown>(call, &ask("shut the host down", HostRequest::Shutdown).await?)
        }
        host::Upgrade::NAME => {
            call.parameters::<host::Upgrade>()?;
            done::<host::Upgrade>(call, &ask("replace the daemon", HostRequest::Upgrade).await?)
        }
        host::Events::NAME => {
            call.parameters::<host::Events>()?;
            // Who may not ask for the status may not be told what happens either.
            ask("follow what happens", HostRequest::Status).await?;
            Ok(Answer::Subscribed(Box::new(host.subscribe(caller))))
        }
        _ => Err(method_not_found(call)),
    }
}

/// The reply of a method that says only that it is done.
pub(super) fn done<M: Method<Reply = Nothing>>(call: &Call, reply: &Reply) -> Result<Answer, Answer> {
    match reply {
        Reply::Done => Ok(one::<M>(&Nothing {})),
        other => Err(unexpected(call, other)),
    }
}

/// `io.session0.Service`.
async fn service_call<H: Host>(host: &H, caller: &Caller, call: &Call) -> Result<Answer, Answer> {
    match call.method.as_str() {
        service::List::NAME => {
            call.parameters::<service::List>()?;
            let request = Request::Service(ServiceRequest::List);
            match host.request(caller.clone(), request).await {
                Ok(Reply::Services(services)) => {
                    let services = translate::service::all(host, &services);
                    Ok(one::<service::List>(&service::Services { services }))
                }
                Ok(other) => Err(unexpected(call, &other)),
                Err(refusal) => Err(service_refusal(&Tried::new("list", "the services"), refusal)),
            }
        }
        service::Status::NAME => {
            let service::Status { name } = call.parameters()?;
            control::<H, service::Status>(host, caller, call, "query", &name, ServiceRequest::Status).await
        }
        service::Start::NAME => {
            let service::Start { name, wait } = call.parameters()?;
            let wait = translate::service::wait(wait);
            let request = |name| ServiceRequest::Start { name, wait };
            control::<H, service::Start>(host, caller, call, "start", &name, request).await
        }
        service::Stop::NAME => {
            let service::Stop { name, wait, dependents } = call.parameters()?;
            let wait = translate::service::wait(wait);
            let dependents = translate::service::dependents(dependents);
            let request = |name| ServiceRequest::Stop { name, wait, dependents };
            control::<H, service::Stop>(host, caller, call, "stop", &name, request).await
        }
        service::Restart::NAME => {
            let service::Restart { name, wait } = call.parameters()?;
            let wait = translate::service::wait(wait);
            let request = |name| ServiceRequest::Restart { name, wait };
            control::<H, service::Restart>(host, caller, call, "restart", &name, request).await
        }
        service::OpenLog::NAME => {
            let service::OpenLog { name } = call.parameters()?;
            open_log(host, caller, &name).await
        }
        _ => Err(method_not_found(call)),
    }
}

/// What was tried with which service, for refusals.
pub struct Tried<'a> {
    /// `start`, `stop` ...
    pub verb: &'a str,
    /// The service's name as it was given.
    pub name: &'a str,
}

impl<'a> Tried<'a> {
    fn new(verb: &'a str, name: &'a str) -> Tried<'a> {
        Tried { verb, name }
    }
}

fn service_name(tried: &Tried<'_>) -> Result<ServiceName, Answer> {
    let error = |bad| Answer::Reply(message(&translate::refusal::bad_name(tried, bad)));
    ServiceName::new(tried.name).map_err(error)
}

fn service_refusal(tried: &Tried<'_>, refusal: Refusal) -> Answer {
    Answer::Reply(message(&translate::refusal::service(tried, refusal)))
}

/// A method about one service that answers with the service.
async fn control<H: Host, M: Method<Reply = service::Service>>(
    host: &H,
    caller: &Caller,
    call: &Call,
    verb: &str,
    name: &str,
    request: impl FnOnce(ServiceName) -> ServiceRequest,
) -> Result<Answer, Answer> {
    let tried = Tried::new(verb, name);
    let request = request(service_name(&tried)?);
    match host.request(caller.clone(), Request::Service(request)).await {
        Ok(Reply::Service(status)) => {
            let service = translate::service::in_full(host, &status);
            Ok(one::<M>(&service::Service { service }))
        }
        Ok(other) => Err(unexpected(call, &other)),
        Err(refusal) => Err(service_refusal(&tried, refusal)),
    }
}

async fn open_log<H: Host>(host: &H, caller: &Caller, name: &str) -> Result<Answer, Answer> {
    let tried = Tried::new("read the output of", name);
    let name = service_name(&tried)?;
    let request = Request::Service(ServiceRequest::ReadLog(name.clone()));
    if let Err(refusal) = host.request(caller.clone(), request).await {
        return Err(service_refusal(&tried, refusal));
    }
    let mut files = host.open_log(&name).map_err(|error| {
        let fault = fault::report(&format!("open the output of {name}"), &error);
        Answer::Reply(message(&service::Error::InternalError(fault)))
    })?;
    // The newest ones are what is wanted.
    files.drain(..files.len().saturating_sub(DESCRIPTORS_MAX));
    let count = u32::try_from(files.len()).unwrap_or(u32::MAX);
    Ok(Answer::Files(self::reply(&service::LogFiles { files: count }, Continues::No), files))
}

/// `org.varlink.service`, and interfaces that are not there.
fn about(call: &Call) -> Result<Answer, Answer> {
    #[derive(Serialize)]
    struct Info<'a> {
        vendor: &'a str,
        product: &'a str,
        version: &'a str,
        url: &'a str,
        interfaces: Vec<&'a str>,
    }
    #[derive(Deserialize)]
    struct Wanted {
        interface: String,
    }
    #[derive(Serialize)]
    struct Description {
        description: String,
    }
    match call.method.as_str() {
        "org.varlink.service.GetInfo" => {
            let interfaces = session0_api::INTERFACES.iter().map(|interface| interface.name().as_str());
            let info = Info {
                vendor: session0_api::VENDOR,
                product: session0_api::PRODUCT,
                version: session0_api::VERSION,
                url: session0_api::URL,
                interfaces: interfaces.chain(["org.varlink.service"]).collect(),
            };
            Ok(Answer::Reply(reply(&info, Continues::No)))
        }
        "org.varlink.service.GetInterfaceDescription" => {
            let wanted: Wanted = call.read_parameters()?;
            let known = session0_api::INTERFACES.into_iter().chain([varlink_service::DESCRIPTION]);
            match known.into_iter().find(|interface| interface.name().as_str() == wanted.interface) {
                Some(interface) => {
                    let description = session0_api::describe(interface);
                    Ok(Answer::Reply(reply(&Description { description }, Continues::No)))
                }
                None => Err(interface_not_found(&wanted.interface)),
            }
        }
        method if method.starts_with("org.varlink.service.") => Err(method_not_found(call)),
        method => {
            Err(interface_not_found(method.rsplit_once('.').map_or(method, |(interface, _)| interface)))
        }
    }
}

pub(super) fn varlink_error(error: &varlink_service::Error<'_>) -> Answer {
    Answer::Reply(message(error))
}

/// There is no such method.
pub(super) fn method_not_found(call: &Call) -> Answer {
    varlink_error(&varlink_service::Error::MethodNotFound { method: call.method.as_str().into() })
}

fn interface_not_found(interface: &str) -> Answer {
    varlink_error(&varlink_service::Error::InterfaceNotFound { interface: interface.into() })
}

/// The parameter's name, where serde says it (``missing field `name` ``); else what is wrong.
fn invalid_parameter(error: &serde_json::Error) -> Answer {
    let text = error.to_string();
    let named = text.contains("field `").then(|| text.split('`').nth(1)).flatten();
    let parameter = named.unwrap_or(&text).into();
    varlink_error(&varlink_service::Error::InvalidParameter { parameter })
}

/// The model answered something else than was asked: a bug of ours.
pub(super) fn unexpected(call: &Call, reply: &Reply) -> Answer {
    let kind = match reply {
        Reply::Done => "done",
        Reply::Service(_) => "a service",
        Reply::Services(_) => "services",
        Reply::Sessions(_) => "sessions",
        Reply::Session(_) => "a session",
        Reply::Running(_) => "a program",
        Reply::Conversation(_) => "a conversation",
        Reply::Host(_) => "the host",
        Reply::Reloaded(_) => "a reload",
        Reply::Pipes(_) => "pipes",
        Reply::Pipe(_) => "a pipe",
        Reply::PipeOpened(_) => "an instance of a pipe",
        Reply::PipeListening(_) => "a served pipe",
    };
    let fault = fault::report(&format!("answer {}", call.method), &format!("the model answered with {kind}"));
    Answer::Reply(match call.method.rsplit_once('.') {
        Some((service::NAME, _)) => message(&service::Error::InternalError(fault)),
        Some((session::NAME, _)) => message(&session::Error::InternalError(fault)),
        Some((logon::NAME, _)) => message(&logon::Error::InternalError(fault)),
        Some((account::NAME, _)) => message(&account::Error::InternalError(fault)),
        Some((pipe::NAME, _)) => message(&pipe::Error::InternalError(fault)),
        _ => message(&host::Error::InternalError(fault)),
    })
}
