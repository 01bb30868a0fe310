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
        let mut block = Self { owners: vec![None; rows.samples.identities().len()], strangers: Vec::new(), rows };
        let mut here = vec![false; block.owners.len()];
        for &row in &block.rows.rows {
            here[block.rows.samples.who()[row as usize] as usize] = true;
        }
        block.strangers.extend((0..here.len()).filter(|&place| here[place]));
        block.look_up(roster);
        block
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
