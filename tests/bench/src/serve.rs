//! A server: one connection after another, each begun by an order. The same for all kinds of channels.

use crate::Outcome;
use crate::channel::{Channel, Listener};

/// Bytes of an order.
pub const ORDER: usize = 16;
/// What answers an order, and tells that everything has come.
pub const DONE: u8 = 1;

/// What a server does on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Sends everything back, so many bytes at a time.
    Echo(u32),
    /// Reads so many bytes at a time and answers when `total` have come, again and again.
    Sink {
        /// Bytes of one read.
        size: u32,
        /// Bytes between two answers.
        total: u64,
    },
}

impl Order {
    /// As it is sent.
    pub fn bytes(self) -> [u8; ORDER] {
        let (kind, size, total) = match self {
            Order::Echo(size) => (0u32, size, 0),
            Order::Sink { size, total } => (1, size, total),
        };
        let mut bytes = [0; ORDER];
        bytes[..4].copy_from_slice(&kind.to_ne_bytes());
        bytes[4..8].copy_from_slice(&size.to_ne_bytes());
        bytes[8..].copy_from_slice(&total.to_ne_bytes());
        bytes
    }

    /// As it is read.
    pub fn read(bytes: [u8; ORDER]) -> Outcome<Order> {
        let [a, b, c, d, e, f, g, h, rest @ ..] = bytes;
        let size = u32::from_ne_bytes([e, f, g, h]);
        match u32::from_ne_bytes([a, b, c, d]) {
            0 => Ok(Order::Echo(size)),
            1 => Ok(Order::Sink { size, total: u64::from_ne_bytes(rest) }),
            kind => Err(format!("there is no order {kind}")),
        }
    }
}

/// Serves one client after another, for ever. A client that fails is said on stderr.
pub fn serve(listener: &mut dyn Listener) -> Outcome<()> {
    loop {
        let mut channel = listener.accept()?;
        if let Err(error) = connection(channel.as_mut()) {
            eprintln!("a client: {error}");
        }
    }
}

/// Serves one client until it leaves.
pub fn connection(channel: &mut dyn Channel) -> Outcome<()> {
    let mut order = [0; ORDER];
    if !channel.fill(&mut order)? {
        return Ok(());
    }
    let order = Order::read(order)?;
    channel.send(&[DONE])?;
    match order {
        Order::Echo(size) => echo(channel, size as usize),
        Order::Sink { size, total } => sink(channel, size as usize, total),
    }
}

fn echo(channel: &mut dyn Channel, size: usize) -> Outcome<()> {
    let mut buffer = vec![0; size];
    while channel.fill(&mut buffer)? {
        channel.send(&buffer)?;
    }
    Ok(())
}

fn sink(channel: &mut dyn Channel, size: usize, total: u64) -> Outcome<()> {
    let mut buffer = vec![0; size];
    loop {
        let mut come = 0;
        while come < total {
            match channel.receive(&mut buffer)? {
                0 => return Ok(()),
                read => come += read as u64,
            }
        }
        channel.send(&[DONE])?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;
    use std::thread;

    #[test]
    fn an_order_is_read_as_it_is_sent() {
        for order in [Order::Echo(64), Order::Sink { size: 65536, total: 1 << 40 }] {
            assert_eq!(Order::read(order.bytes()), Ok(order));
        }
        assert!(Order::read([9; ORDER]).is_err());
    }

    #[test]
    fn a_server_sends_back_what_comes_and_ends_with_its_client() -> Outcome<()> {
        let (mut client, mut server) = UnixStream::pair().map_err(|e| e.to_string())?;
        let serving = thread::spawn(move || connection(&mut server));
        Channel::send(&mut client, &Order::Echo(3).bytes())?;
        let mut done = [0];
        assert!(client.fill(&mut done)?);
        for word in [b"one", b"two"] {
            Channel::send(&mut client, word)?;
            let mut back = [0; 3];
            assert!(client.fill(&mut back)?);
            assert_eq!(&back, word);
        }
        drop(client);
        assert_eq!(serving.join().ok(), Some(Ok(())));
        Ok(())
    }

    #[test]
    fn a_sink_answers_after_every_total_and_not_before() -> Outcome<()> {
        let (mut client, mut server) = UnixStream::pair().map_err(|e| e.to_string())?;
        let serving = thread::spawn(move || connection(&mut server));
        Channel::send(&mut client, &Order::Sink { size: 4, total: 10 }.bytes())?;
        let mut done = [0];
        assert!(client.fill(&mut done)?);
        for _ in 0..2 {
            Channel::send(&mut client, &[7; 10])?;
            assert!(client.fill(&mut done)?);
        }
        Channel::send(&mut client, &[7; 9])?;
        drop(client);
        assert_eq!(serving.join().ok(), Some(Ok(())));
        Ok(())
    }
}
