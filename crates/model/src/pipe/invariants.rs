//! What is true of pipes between two turns.

use alloc::collections::BTreeSet;
use core::cmp::Reverse;

use super::id::ServerId;
use super::table::{Count, Due, Pipe, Pipes, Server, Tally};
use super::waiter::{Patience, Place};
use crate::limit;

impl Pipes {
    /// Panics if the table is impossible.
    pub fn check_invariants(&self) {
        assert!(self.servers.len() <= limit::PIPES_MAX, "too many servers");
        assert!(self.alarms.len() <= limit::PIPE_ALARMS_MAX, "too many alarms");
        let mut places = BTreeSet::new();
        for (name, pipe) in &self.table {
            assert_eq!(*name, pipe.name, "a name leads to another pipe");
            self.check_pipe(pipe);
            assert!(pipe.waiters.keys().all(|place| places.insert(*place)), "{name}: a place is taken twice");
        }
        assert!(places.iter().all(|place| place.0 <= self.last), "a place may be given again");
        assert_eq!(places.len(), self.requests.len(), "a request waits that its pipe does not know");
        let mut tally = Tally::default();
        let mut instances = BTreeSet::new();
        for (id, server) in &self.servers {
            self.check_server(*id, server);
            for instance in server.clients.keys() {
                assert!(instance.0 <= self.last, "{instance:?} may be given again");
                assert!(instances.insert(*instance), "{instance:?} was given twice");
            }
            tally.put_in(server);
        }
        assert_eq!(tally, self.tally, "servers are not counted against who has them");
        assert!(
            tally.all().all(|held| held.servers <= limit::PIPES_PER_UID_MAX),
            "a uid has too many servers"
        );
        self.check_deadlines();
        self.check_called();
    }

    fn check_pipe(&self, pipe: &Pipe) {
        let name = &pipe.name;
        let servers = || pipe.servers.iter().map(|id| (*id, self.servers.get(id).expect("a server")));
        let listening: u32 = servers().map(|(_, server)| server.listening).sum();
        let connected: u32 = servers().map(|(_, server)| server.connected()).sum();
        let recounting = servers().filter(|(_, server)| server.recounting()).count();
        assert_eq!((pipe.listening, pipe.connected), (listening, connected), "{name}: its sums are wrong");
        assert_eq!(pipe.recounting as usize, recounting, "{name}: others are asked");
        // What was connected before a recount is there; what was given since has to fit.
        let given: u32 = servers().map(|(_, server)| server.connected() - server.uncounted).sum();
        assert!(listening + given <= pipe.most(), "{name}: more instances than there may be");
        assert!(servers().all(|(_, server)| server.uncounted <= pipe.most()), "{name}: nobody has so many");
        let ready: BTreeSet<(Reverse<u32>, ServerId)> =
            servers().filter(|(_, s)| s.listening > 0).map(|(id, s)| (Reverse(s.listening), id)).collect();
        assert_eq!(pipe.ready, ready, "{name}: others listen");
        assert!(pipe.served() || pipe.reserved.is_some(), "{name}: nobody serves it and it stays");
        assert!(!pipe.bound || pipe.exists(), "{name}: it has a socket that leads nowhere");
        assert!(!pipe.served() || pipe.bound || name.socket_name().is_none(), "{name}: it has no socket");
        if let Some(reserved) = &pipe.reserved {
            let own = |server: &Server| server.caller.is_service(&reserved.service);
            assert!(servers().all(|(_, server)| own(server)), "{name}: served by somebody else");
        }
        self.check_waiters(pipe);
    }

    fn check_waiters(&self, pipe: &Pipe) {
        let name = &pipe.name;
        if pipe.waiters.is_empty() {
            assert!(!pipe.hasty, "{name}: nobody waits, and somebody is in haste");
            return;
        }
        assert_eq!(pipe.listening, 0, "{name}: one listens, and somebody waits");
        assert!(pipe.waiters.len() <= limit::PIPE_WAITERS_MAX, "{name}: too many wait");
        assert!(pipe.exists(), "{name}: somebody waits for nothing");
        let hasty = pipe.waiters.values().any(|waiter| waiter.patience == Patience::None);
        assert!(!hasty || !pipe.settled(), "{name}: it is known that none listens, and somebody is not told");
        assert!(!hasty || pipe.hasty, "{name}: somebody in haste is forgotten");
        for (place, waiter) in &pipe.waiters {
            let found: Option<(_, Place)> =
                self.requests.get(&waiter.id).map(|(name, place)| (name.clone(), *place));
            assert_eq!(found, Some((name.clone(), *place)), "{name}: a waiter is not indexed");
            let due = (waiter.deadline, Due::Answer(waiter.id));
            assert!(self.deadlines.contains(&due), "{name}: somebody may wait for ever");
        }
        if !pipe.served() {
            let service = pipe.starts().map(|reserved| &reserved.service).expect("its service");
            let called = self.called.get(service).expect("its service is called");
            assert!(called.pipes.contains(name), "{name}: its service was not called for it");
        }
    }

    fn check_server(&self, id: ServerId, server: &Server) {
        assert!(id.0 <= self.last, "{id:?} may be given again");
        let pipe = self.table.get(&server.pipe).expect("a server has a pipe");
        assert!(pipe.servers.contains(&id), "{id:?} is not known to its pipe");
        assert!(server.listening <= limit::PIPE_LISTENING_MAX, "{id:?}: too many listen");
        assert!(!server.stopped || server.listening == 0, "{id:?}: it stopped, and some listen");
        match server.count {
            Count::Known => {
                assert!(!server.stopped || server.connected() > 0, "{id:?}: nothing is left of it")
            }
            Count::Asked { until } => {
                assert!(
                    self.deadlines.contains(&(until, Due::Count(id))),
                    "{id:?} may be waited for for ever"
                );
                assert_eq!((server.listening, server.connected()), (0, 0));
            }
            Count::Overdue => assert_eq!((server.listening, server.connected()), (0, 0)),
        }
    }

    fn check_deadlines(&self) {
        for (time, due) in &self.deadlines {
            match due {
                Due::Answer(id) => assert!(self.requests.contains_key(id), "a deadline leads nowhere"),
                Due::Count(id) => {
                    let count = self.servers.get(id).map(|server| server.count);
                    assert_eq!(count, Some(Count::Asked { until: *time }), "a deadline leads nowhere");
                }
            }
        }
    }

    fn check_called(&self) {
        for (service, called) in &self.called {
            assert!(!called.pipes.is_empty(), "{service} was called for nothing");
            for name in &called.pipes {
                let pipe = self.table.get(name).expect("a service was called for a pipe");
                assert!(
                    !pipe.served() && !pipe.waiters.is_empty(),
                    "{service} was called for {name} in vain"
                );
                assert_eq!(pipe.starts().map(|reserved| &reserved.service), Some(service));
            }
        }
    }
}
