//! Which control group is which unit's.

use std::collections::HashMap;
use std::rc::Rc;

/// Who a process of a session is, by its control group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Member {
    /// The session's init.
    Init,
    /// A unit's.
    Unit(Rc<str>),
}

/// Groups by id and by unit.
#[derive(Debug)]
pub struct Units {
    init: u64,
    by_group: HashMap<u64, Rc<str>>,
    by_unit: HashMap<Rc<str>, u64>,
}

impl Units {
    /// Only init is there.
    pub fn new(init: u64) -> Units {
        Units { init, by_group: HashMap::new(), by_unit: HashMap::new() }
    }

    /// A unit has this group now.
    pub fn insert(&mut self, group: u64, unit: &str) {
        if self.by_unit.get(unit) == Some(&group) {
            return;
        }
        self.remove(unit);
        let unit: Rc<str> = unit.into();
        self.by_unit.insert(unit.clone(), group);
        self.by_group.insert(group, unit);
    }

    /// A unit has no group any more. Ids are never used again while the machine is up.
    pub fn remove(&mut self, unit: &str) {
        if let Some(group) = self.by_unit.remove(unit) {
            self.by_group.remove(&group);
        }
    }

    /// Whose group this is.
    pub fn member(&self, group: u64) -> Option<Member> {
        if group == self.init {
            return Some(Member::Init);
        }
        self.by_group.get(&group).cloned().map(Member::Unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_has_one_group_at_a_time() {
        let mut units = Units::new(1);
        units.insert(7, "web");
        units.insert(8, "web");
        assert_eq!(units.member(7), None);
        assert_eq!(units.member(8), Some(Member::Unit("web".into())));
        assert_eq!(units.member(1), Some(Member::Init));
        units.remove("web");
        assert_eq!(units.member(8), None);
    }
}
