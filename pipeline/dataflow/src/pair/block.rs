//! Rows as they have come, and whose they are.
//!
//! Who is known is looked up when the rows come, while their tick is open: at its close, when a decision waits for it, only
//! strangers are left.

use std::sync::Arc;

use schemas::{Identity, Samples};

use super::roster::Roster;
use crate::records::Rows;

/// Some rows of one tick.
pub(super) struct Block {
    rows: Rows,
    /// By the identity's place in the block; none for who is not known, was turned away, or has no row here: a block serves
    /// other ticks and workers too, and holds what was refused.
    owners: Vec<Option<Owner>>,
    /// Who was not known, by place.
    strangers: Vec<usize>,
    /// The roster's, see [`Roster::issue`].
    issue: u64,
}

/// Whose a row is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner {
    /// The instance's number with the roster.
    pub(super) member: usize,
    /// The workload's.
    pub(super) slot: usize,
}

impl Block {
    pub(super) fn new(rows: Rows, roster: &Roster) -> Self {
        let mut block = Self { owners: Vec::new(), strangers: Vec::new(), issue: roster.issue(), rows };
        block.look_up_all(roster);
        block
    }

    /// Takes everybody for a stranger where the roster was begun anew since they were looked up.
    pub(super) fn follow(&mut self, roster: &Roster) {
        if self.issue != roster.issue() {
            self.issue = roster.issue();
            self.look_up_all(roster);
        }
    }

    fn look_up_all(&mut self, roster: &Roster) {
        let places = self.rows.samples.identities().len();
        let mut here = vec![false; places];
        for &row in &self.rows.rows {
            here[self.rows.samples.who()[row as usize] as usize] = true;
        }
        self.owners.clear();
        self.owners.resize(places, None);
        self.strangers.clear();
        self.strangers.extend((0..places).filter(|&place| here[place]));
        self.look_up(roster);
    }

    /// Looks up those who were not known.
    pub(super) fn look_up(&mut self, roster: &Roster) {
        let (samples, owners) = (&self.rows.samples, &mut self.owners);
        let mut last = None;
        self.strangers.retain(|&place| {
            let member = roster.place_after(last, &samples.identities()[place]);
            last = member.or(last);
            owners[place] = member.map(|member| Owner { member, slot: roster.member(member).slot });
            member.is_none()
        });
    }

    pub(super) fn strangers(&self) -> impl Iterator<Item = &Arc<Identity>> {
        self.strangers.iter().map(|&place| &self.rows.samples.identities()[place])
    }

    pub(super) fn samples(&self) -> &Samples {
        &self.rows.samples
    }

    pub(super) fn rows(&self) -> &[u32] {
        &self.rows.rows
    }

    pub(super) fn owner(&self, row: u32) -> Option<Owner> {
        self.owners[self.rows.samples.who()[row as usize] as usize]
    }
}
