//! The rows of `bench ipc`.

use super::super::figures::{Goal, Measurement, Row};

/// The D-Bus daemon with its session bus's configuration.
pub const DBUS: &str = "dbus-daemon";
/// The same with the system bus's.
pub const DBUS_SYSTEM: &str = "dbus-daemon, system policy";
/// The other implementation.
pub const BROKER: &str = "dbus-broker";
/// A stream socket between two ordinary processes.
pub const STREAM: &str = "stream";
/// A packet socket between two ordinary processes.
pub const SEQPACKET: &str = "seqpacket";
/// The same with a service in Session 0 as its server.
pub const STREAM_INSIDE: &str = "stream, in Session 0";
/// The same with a service in Session 0 as its server.
pub const SEQPACKET_INSIDE: &str = "seqpacket, in Session 0";
/// A host with few pipes beside one with many.
pub const FEW: &str = "session0, ten pipes";

/// At most 1.1 x the latency of a raw stream, and of one whose server is as isolated as ours.
const LATENCY: Goal = Goal::Each(&[(1.1, STREAM), (1.1, STREAM_INSIDE)]);
/// The same also of raw packet sockets, which are what carries messages without us.
const LATENCY_MESSAGE: Goal =
    Goal::Each(&[(1.1, SEQPACKET), (1.1, SEQPACKET_INSIDE), (1.1, STREAM), (1.1, STREAM_INSIDE)]);
/// At least 0.95 x the throughput: at most 1 / 0.95 of the time.
const BULK: Goal = Goal::Each(&[(1.053, STREAM), (1.053, STREAM_INSIDE)]);
/// The same for messages that a packet socket takes.
const BULK_MESSAGE: Goal =
    Goal::Each(&[(1.053, SEQPACKET), (1.053, SEQPACKET_INSIDE), (1.053, STREAM), (1.053, STREAM_INSIDE)]);
/// A call to the host, on one processor.
const CALL: Goal = Goal::Each(&[(1.0, BROKER), (0.5, DBUS)]);
/// Many pipes cost no call more than this.
const MANY: Goal = Goal::Times(2.0, FEW);

const PINNED: &str = "The same, every process of both sides (client, server, daemon, bus) on processor 0.";

const fn row(
    id: &'static str,
    title: &'static str,
    unit: &'static str,
    goal: Goal,
    measurement: Measurement,
    definition: &'static str,
) -> Row {
    Row { id, title, unit, definition, goal, measurement }
}

use Measurement::{Bulk, Call, Connect, ManyPipes, RoundTrip};

/// All rows, in the table's order.
pub const ROWS: [Row; 34] = [
    row(
        "byte-64",
        "byte pipe, 64 bytes there and back",
        "µs",
        LATENCY,
        RoundTrip,
        "**Start:** before the client writes. **End:** its read has given all of it. **Included:** the library on both sides, the kernel, \
         the server's wake. The connection is there; one after another. The pipe's server is a service in Session 0, the client outside; the \
         peers' are two ordinary processes. *, in Session 0* is a raw socket whose server is such a service: what the isolation (seccomp) \
         costs without us.",
    ),
    row("byte-64-pinned", "byte pipe, 64 bytes there and back, pinned", "µs", LATENCY, RoundTrip, PINNED),
    row("byte-4k", "byte pipe, 4 KiB there and back", "µs", LATENCY, RoundTrip, "As the first row."),
    row("byte-4k-pinned", "byte pipe, 4 KiB there and back, pinned", "µs", LATENCY, RoundTrip, PINNED),
    row(
        "message-64",
        "message pipe, 64 bytes there and back",
        "µs",
        LATENCY_MESSAGE,
        RoundTrip,
        "As the first row, on a message pipe; the packet socket (SOCK_SEQPACKET) keeps the bounds of messages in the kernel, the stream \
         keeps none.",
    ),
    row(
        "message-64-pinned",
        "message pipe, 64 bytes there and back, pinned",
        "µs",
        LATENCY_MESSAGE,
        RoundTrip,
        PINNED,
    ),
    row("message-4k", "message pipe, 4 KiB there and back", "µs", LATENCY_MESSAGE, RoundTrip, "The same."),
    row(
        "message-4k-pinned",
        "message pipe, 4 KiB there and back, pinned",
        "µs",
        LATENCY_MESSAGE,
        RoundTrip,
        PINNED,
    ),
    row(
        "bulk-64k",
        "byte pipe, 64 MiB in writes of 64 KiB",
        "ms",
        BULK,
        Bulk,
        "**Start:** before the first write. **End:** the client has read the byte that the server writes when everything has come. The server \
         reads into a buffer as large as a write. 0.95 x the throughput is 1.053 x the time. The sockets' buffers are the kernel's own.",
    ),
    row("bulk-64k-pinned", "byte pipe, 64 MiB in writes of 64 KiB, pinned", "ms", BULK, Bulk, PINNED),
    row("bulk-1m", "byte pipe, 64 MiB in writes of 1 MiB", "ms", BULK, Bulk, "The same."),
    row("bulk-1m-pinned", "byte pipe, 64 MiB in writes of 1 MiB, pinned", "ms", BULK, Bulk, PINNED),
    row(
        "bulk-message-64k",
        "message pipe, 64 MiB in messages of 64 KiB",
        "ms",
        BULK_MESSAGE,
        Bulk,
        "The same in messages, each written and read as one.",
    ),
    row(
        "bulk-message-64k-pinned",
        "message pipe, 64 MiB in messages of 64 KiB, pinned",
        "ms",
        BULK_MESSAGE,
        Bulk,
        PINNED,
    ),
    row(
        "bulk-message-1m",
        "message pipe, 64 MiB in messages of 1 MiB",
        "ms",
        BULK,
        Bulk,
        "The same; a packet socket with the kernel's own buffer refuses a message of this size, so the peer is the stream.",
    ),
    row(
        "bulk-message-1m-pinned",
        "message pipe, 64 MiB in messages of 1 MiB, pinned",
        "ms",
        BULK,
        Bulk,
        PINNED,
    ),
    row(
        "connect",
        "connect",
        "µs",
        Goal::None,
        Connect,
        "**Start:** before the client opens. **End:** it is closed again after the first byte of the server has come. **Included:** ours: \
         connecting to the API socket, the call Pipe.Open, the daemon looking at who it is and handing the end to the server, the server \
         taking it; the peer's: `connect` and `accept` at a path. D-Bus: connecting, proving the uid, Hello and its answer, closed; no \
         service takes part. The one before is closed already; who serves does so in one thread, one after another.",
    ),
    row("connect-pinned", "connect, pinned", "µs", Goal::None, Connect, PINNED),
    row(
        "call-host",
        "call to the host",
        "µs",
        Goal::None,
        Call,
        "`io.session0.Host.Version` by the library, against a call through the bus to a service there that answers with a text as long. \
         **Start:** before the call is encoded. **End:** the answer is decoded. *itself*: a call to the bus (GetId), which goes through \
         nobody. The bus's client and service are written by hand, blocking, with one write and one or two reads a message, the call encoded \
         beforehand; ours is the library with JSON.",
    ),
    row("call-host-pinned", "call to the host, pinned", "µs", CALL, Call, PINNED),
    row(
        "call-service",
        "call to a service",
        "µs",
        Goal::None,
        Call,
        "A varlink method of a service in Session 0, through a pipe, by the library on both sides (zlink's macro, tokio); a text there and \
         back. The peers as in the row above, with the same text.",
    ),
    row("call-service-pinned", "call to a service, pinned", "µs", Goal::None, Call, PINNED),
    row(
        "version-connected",
        "Host.Version, 10 000 clients connected",
        "µs",
        MANY,
        ManyPipes,
        "As the call to the host, on a host with 10 000 clients connected at 100 further pipes, in turns with a host of ten pipes. Pinned, \
         as are the following.",
    ),
    row(
        "version-named",
        "Host.Version, many pipes served",
        "µs",
        MANY,
        ManyPipes,
        "The same with many further pipes, which nobody has opened: 10 000, or as many as the machine's limit of open files leaves room for (below).",
    ),
    row(
        "open-connected",
        "Pipe.Open, 10 000 clients connected",
        "µs",
        MANY,
        ManyPipes,
        "As the row *connect*, on those hosts.",
    ),
    row("open-named", "Pipe.Open, many pipes served", "µs", MANY, ManyPipes, "The same."),
    row(
        "trip-connected",
        "64 bytes there and back, 10 000 clients connected",
        "µs",
        MANY,
        ManyPipes,
        "As the first row, on those hosts.",
    ),
    row("trip-named", "64 bytes there and back, many pipes served", "µs", MANY, ManyPipes, "The same."),
    row(
        "start-connected",
        "Service.Start, 10 000 clients connected",
        "µs",
        MANY,
        ManyPipes,
        "**Start:** before the call. **End:** the answer that the service (`/bin/sleep`, simple) runs. It is stopped between.",
    ),
    row("start-named", "Service.Start, many pipes served", "µs", MANY, ManyPipes, "The same."),
    row(
        "daemon-connected",
        "memory of session0d for a connected client",
        "KiB",
        Goal::None,
        ManyPipes,
        "PSS with 10 000 clients connected at 100 pipes, less that before (pipes and clients), divided by 10 000. The kernel's memory for the \
         sockets is not in it, nor what clients and servers keep.",
    ),
    row(
        "init-connected",
        "memory of session0-init for a connected client",
        "KiB",
        Goal::None,
        ManyPipes,
        "The same of Session 0's init.",
    ),
    row(
        "daemon-named",
        "memory of session0d for a served pipe",
        "KiB",
        Goal::None,
        ManyPipes,
        "PSS with many pipes served, less that before, divided by their number.",
    ),
    row(
        "init-named",
        "memory of session0-init for a served pipe",
        "KiB",
        Goal::None,
        ManyPipes,
        "The same of Session 0's init.",
    ),
];
