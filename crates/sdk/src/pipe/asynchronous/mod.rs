//! Named pipes within tokio: the same names, to be awaited. See [`super`] for what they mean.
//!
//! Reads and accepts may be dropped before they are done: nothing is lost. A write of a message that is dropped when part of it is written breaks the
//! pipe (the calls after it give 109), so that nobody takes the next message for its end.
//!
//! A server hears the host on a thread of the library here too, so that the host's questions are answered also while the runtime is busy.
//!
//! ```no_run
//! # async fn serve() -> Result<(), session0::pipe::Error> {
//! use session0::pipe::asynchronous::{PipeServer, call};
//! use session0::pipe::PipeType;
//!
//! let server = PipeServer::builder("greeter").kind(PipeType::Message).access(["interactive"]).create().await?;
//! let instance = server.accept().await?;
//! let request = instance.read_message().await?;
//! instance.write_message(&request).await?;
//!
//! // Elsewhere:
//! let answer = call("greeter", b"hello", std::time::Duration::from_secs(5)).await?;
//! # Ok(())
//! # }
//! ```

mod call;
mod client;
mod end;
mod server;

pub use client::{ClientBuilder, PipeClient, call_pipe as call, wait};
pub use end::{Pipe, Stream};
pub use server::{Instance, PipeServer, ServerBuilder};

/// The methods of a builder whose blocking twin has the same.
macro_rules! same {
    ($builder:ident: $( $(#[doc = $doc:literal])* $name:ident($($argument:ident: $type:ty),*); )*) => {
        $(
            $(#[doc = $doc])*
            pub fn $name(self, $($argument: $type),*) -> $builder {
                $builder(self.0.$name($($argument),*))
            }
        )*
    };
}
use same;
