//! Calls that end as something else than a call, within tokio.

use std::os::fd::AsFd;
use std::path::Path;

use session0_api::interface::Method;
use tokio::io::{AsyncWriteExt, Interest};
use tokio::time::timeout_at;

use crate::pipe::call::{Answered, Failed, Manner, Retry, answered, silent, unanswered};
use crate::pipe::error::Error;
use crate::wire::{self, Input};

/// Makes a call, and makes it again while that can help and there is time.
pub(super) async fn call<M: Method>(
    path: &Path,
    manner: Manner,
    parameters: impl Fn() -> M,
) -> Result<Answered<M::Reply>, Error> {
    let mut retry = Retry::new(manner.end);
    loop {
        let parameters = parameters();
        let attempt = attempt(path, manner, &parameters);
        let result = match manner.end {
            Some(end) => timeout_at(end.into(), attempt)
                .await
                .unwrap_or_else(|_| Err(Failed::Lasting(silent(M::NAME)))),
            None => attempt.await,
        };
        match result {
            Ok(answered) => return Ok(answered),
            Err(failed) => tokio::time::sleep(retry.after(failed)?).await,
        }
    }
}

async fn attempt<M: Method>(
    path: &Path,
    manner: Manner,
    parameters: &M,
) -> Result<Answered<M::Reply>, Failed> {
    let lasting = |error: crate::Error| Failed::Lasting(error.into());
    let mut stream = crate::connect::asynchronous(path).await.map_err(lasting)?;
    let call = wire::call(parameters, manner.answers).map_err(lasting)?;
    let lost = |error: std::io::Error| unanswered(path, &error, M::NAME);
    match stream.write_all(&call).await {
        Ok(()) => {}
        // A host that refuses a connection says why before it closes: that is still to be read.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
        Err(error) => return Err(lost(error)),
    }
    let mut input = Input::accepting(manner.descriptors);
    loop {
        if let Some(message) = input.take() {
            let stream = stream.into_std().map_err(lost)?;
            return answered::<M>(&message, stream.into(), input);
        }
        stream.readable().await.map_err(lost)?;
        match stream.try_io(Interest::READABLE, || input.fill(stream.as_fd())) {
            Ok(0) => return Err(lost(std::io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(lost(error)),
        }
    }
}
