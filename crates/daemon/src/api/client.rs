//! How many connections there are, and whose.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::limits::Limits;

/// The open connections of one door.
#[derive(Clone, Default)]
pub struct Clients(Rc<RefCell<Counts>>);

#[derive(Default)]
struct Counts {
    all: usize,
    by_uid: HashMap<u32, usize>,
}

/// One open connection; dropping it closes it in the books.
pub struct Place {
    clients: Clients,
    uid: u32,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// Too many in all.
    All,
    /// Too many of this user.
    User,
}

impl Clients {
    /// Takes a place for a connection of this user.
    pub fn take(&self, uid: u32, limits: &Limits) -> Result<Place, Full> {
        let mut counts = self.0.borrow_mut();
        let reserved = if uid == 0 { 0 } else { limits.reserved };
        if counts.all + reserved >= limits.clients {
            return Err(Full::All);
        }
        let of_user = counts.by_uid.entry(uid).or_default();
        if uid != 0 && *of_user >= limits.clients_per_uid {
            return Err(Full::User);
        }
        *of_user += 1;
        counts.all += 1;
        Ok(Place { clients: self.clone(), uid })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.clients.0.borrow_mut();
        counts.all -= 1;
        if let Some(count) = counts.by_uid.get_mut(&self.uid) {
            *count -= 1;
            if *count == 0 {
                counts.by_uid.remove(&self.uid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_cannot_take_the_places_of_others_nor_of_root() {
        let limits = Limits { clients: 6, reserved: 2, clients_per_uid: 3, ..Limits::default() };
        let clients = Clients::default();
        let mut places = Vec::new();
        for _ in 0..3 {
            places.push(clients.take(1, &limits).expect("a place"));
        }
        assert_eq!(clients.take(1, &limits).err(), Some(Full::User));
        places.push(clients.take(2, &limits).expect("a place"));
        assert_eq!(clients.take(2, &limits).err(), Some(Full::All));
        places.push(clients.take(0, &limits).expect("a place of root's"));
        places.push(clients.take(0, &limits).expect("a place of root's"));
        assert_eq!(clients.take(0, &limits).err(), Some(Full::All));
        places.clear();
        assert!(clients.0.borrow().by_uid.is_empty());
        assert!(clients.take(1, &limits).is_ok());
    }
}
