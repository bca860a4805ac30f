//! The client's side: exchanges with several servers in turns, so that what the machine does besides hits all alike.

use std::time::Instant;

use crate::Outcome;
use crate::channel::Channel;
use crate::serve::{DONE, ORDER, Order};

/// Exchanges with one server before it is the next one's turn.
const TURN: usize = 50;
/// As many before them do not count: the caches are the last one's.
const WARM: usize = 10;

/// Something to be measured again and again.
pub trait Exchange {
    /// Once.
    fn exchange(&mut self) -> Outcome<()>;

    /// Makes it possible again; not in the time.
    fn restore(&mut self) -> Outcome<()> {
        Ok(())
    }
}

/// There and back over a channel.
pub struct RoundTrip {
    channel: Box<dyn Channel>,
    out: Vec<u8>,
    back: Vec<u8>,
}

impl RoundTrip {
    /// Tells the server to send back what comes.
    pub fn new(mut channel: Box<dyn Channel>, size: u32) -> Outcome<RoundTrip> {
        order(channel.as_mut(), Order::Echo(size))?;
        let size = size as usize;
        Ok(RoundTrip { channel, out: vec![7; size], back: vec![0; size] })
    }
}

impl Exchange for RoundTrip {
    fn exchange(&mut self) -> Outcome<()> {
        self.channel.send(&self.out)?;
        match self.channel.fill(&mut self.back)? {
            true => Ok(()),
            false => Err("the server has left".to_owned()),
        }
    }
}

/// Many bytes one way, in writes of one size, and the word that all have come.
pub struct Bulk {
    channel: Box<dyn Channel>,
    out: Vec<u8>,
    writes: u64,
}

impl Bulk {
    /// Tells the server how much comes; `total` is a multiple of `size`.
    pub fn new(mut channel: Box<dyn Channel>, size: u32, total: u64) -> Outcome<Bulk> {
        order(channel.as_mut(), Order::Sink { size, total })?;
        Ok(Bulk { channel, out: vec![7; size as usize], writes: total / u64::from(size) })
    }
}

impl Exchange for Bulk {
    fn exchange(&mut self) -> Outcome<()> {
        for _ in 0..self.writes {
            self.channel.send(&self.out)?;
        }
        done(self.channel.as_mut())
    }
}

/// A connection made anew each time, until the server's first byte has come, and closed.
pub struct Connect<F>(pub F);

impl<F: FnMut() -> Outcome<Box<dyn Channel>>> Exchange for Connect<F> {
    fn exchange(&mut self) -> Outcome<()> {
        let mut channel = (self.0)()?;
        order(channel.as_mut(), Order::Echo(1))
    }
}

fn order(channel: &mut dyn Channel, order: Order) -> Outcome<()> {
    let bytes: [u8; ORDER] = order.bytes();
    channel.send(&bytes)?;
    done(channel)
}

fn done(channel: &mut dyn Channel) -> Outcome<()> {
    let mut word = [0];
    match channel.fill(&mut word)? {
        true if word == [DONE] => Ok(()),
        true => Err(format!("the server answers with {}", word[0])),
        false => Err("the server has left".to_owned()),
    }
}

/// How much is measured of each.
#[derive(Debug, Clone, Copy)]
pub enum Amount {
    /// So many exchanges, in turns of fifty after ten that do not count.
    Many(usize),
    /// So many long ones, in turns of one.
    Few(usize),
}

/// Microseconds of each exchange, by server.
pub fn in_turns(servers: &mut [Box<dyn Exchange>], amount: Amount) -> Outcome<Vec<Vec<f64>>> {
    let (turns, turn, warm) = match amount {
        Amount::Many(count) => (count.div_ceil(TURN), TURN, WARM),
        Amount::Few(count) => (count, 1, 0),
    };
    let mut samples = vec![Vec::with_capacity(turns * turn); servers.len()];
    for _ in 0..turns {
        for (server, samples) in servers.iter_mut().zip(&mut samples) {
            for _ in 0..warm {
                server.exchange()?;
                server.restore()?;
            }
            for _ in 0..turn {
                let begun = Instant::now();
                server.exchange()?;
                samples.push(begun.elapsed().as_secs_f64() * 1e6);
                server.restore()?;
            }
        }
    }
    Ok(samples)
}
