//! A tick's rows, gathered workload by workload into series.

use std::collections::BTreeMap;

use schemas::{EventTime, Metric, Role};

use super::block::Block;
use super::roster::Roster;
use crate::records::{Pair, Pairs};

/// What gathering needs, kept from tick to tick so that nothing is allocated anew.
#[derive(Default)]
pub(super) struct Gather {
    /// For each slot, where its rows begin among `places`.
    starts: Vec<usize>,
    /// Every row of the tick as (block, row), slot by slot.
    places: Vec<(u32, u32)>,
    /// The rows of the workload at hand, in canonical order.
    readings: Vec<Reading>,
}

/// The columns of a tick's blocks, by metric: of those that any of them has.
pub(super) struct Columns<'a>(Vec<(Metric, Vec<Option<&'a [f64]>>)>);

/// One row of the workload at hand.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Reading {
    role: Role,
    time_ms: u64,
    member: usize,
    block: u32,
    row: u32,
}

impl Gather {
    /// Counts the rows of a tick, with so many slots given, into place.
    pub(super) fn place(&mut self, blocks: &[Block], slots: usize) {
        // Slot `s` is counted at `s + 2`, so that the sums give its start at `s + 1`, and its end once it was filled.
        self.starts.clear();
        self.starts.resize(slots + 2, 0);
        for block in blocks {
            for owner in block.rows().iter().filter_map(|&row| block.owner(row)) {
                self.starts[owner.slot + 2] += 1;
            }
        }
        for slot in 1..self.starts.len() {
            self.starts[slot] += self.starts[slot - 1];
        }
        self.places.clear();
        self.places.resize(self.starts[self.starts.len() - 1], (0, 0));
        for (number, block) in (0..).zip(blocks) {
            for &row in block.rows() {
                if let Some(owner) = block.owner(row) {
                    let place = &mut self.starts[owner.slot + 1];
                    self.places[*place] = (number, row);
                    *place += 1;
                }
            }
        }
    }

    /// Brings the rows of a workload into canonical order; none where it has none.
    pub(super) fn begin(&mut self, slot: usize, blocks: &[Block], roster: &Roster) -> Option<Pair> {
        let places = &self.places[self.starts[slot]..self.starts[slot + 1]];
        if places.is_empty() {
            return None;
        }
        self.readings.clear();
        self.readings.extend(places.iter().filter_map(|&(block, row)| {
            let of = &blocks[block as usize];
            let member = of.owner(row)?.member;
            let role = roster.member(member).identity.role;
            Some(Reading { role, time_ms: of.samples().times_ms()[row as usize], member, block, row })
        }));
        let key = |reading: &Reading| (reading.role, reading.time_ms);
        if !self.readings.is_sorted_by(|a, b| key(a) < key(b)) {
            self.sort(blocks, roster);
        }
        let identity = &roster.member(self.readings[0].member).identity;
        let mut pair = Pair::new(slot, identity.tenant.clone(), identity.workload.clone());
        let primary = self.readings.iter().filter(|reading| reading.role == Role::Primary);
        pair.read_at = primary.map(|reading| EventTime::from_millis(reading.time_ms)).max();
        Some(pair)
    }

    /// Drops the rows of the workload at hand beyond a bound; whether there were such.
    pub(super) fn bound(&mut self, most: usize) -> bool {
        let beyond = self.readings.len() > most;
        self.readings.truncate(most);
        beyond
    }

    /// Adds the workload at hand to the tick's pairs.
    pub(super) fn fold(&self, pair: Pair, columns: &Columns<'_>, roster: &Roster, into: &mut Pairs) {
        into.begin(pair);
        for own in self.readings.chunk_by(|a, b| a.role == b.role) {
            if own.iter().all(|reading| reading.member == own[0].member) {
                fold_one(own, columns, into);
            } else {
                fold_many(own, columns, roster, into);
            }
        }
    }

    /// Canonical order: role, time, instance; a sample sent twice with other readings is ordered by its readings, and one that
    /// two tenants sent by them. Of one
    /// reading that was sent twice the first counts.
    fn sort(&mut self, blocks: &[Block], roster: &Roster) {
        let instance = |reading: &Reading| roster.member(reading.member).identity.instance_name();
        let tenant = |reading: &Reading| &roster.member(reading.member).identity.tenant;
        let key = |reading: &Reading| (reading.role, reading.time_ms);
        self.readings.sort_by(|a, b| {
            let by_key = key(a).cmp(&key(b)).then_with(|| instance(a).cmp(instance(b)));
            let by_readings = by_key.then_with(|| bits(a, blocks).cmp(bits(b, blocks)));
            by_readings.then_with(|| tenant(a).cmp(tenant(b)))
        });
        self.readings.dedup_by(|later, first| key(later) == key(first) && instance(later) == instance(first));
    }
}

impl<'a> Columns<'a> {
    pub(super) fn of(blocks: &'a [Block]) -> Self {
        let of_metric = |&metric: &Metric| (metric, blocks.iter().map(|of| of.samples().column(metric)).collect());
        let all = Metric::ALL.iter().map(of_metric);
        Self(all.filter(|(_, columns): &(_, Vec<_>)| columns.iter().any(Option::is_some)).collect())
    }
}

/// A reading of a metric, of which these are the blocks' columns; `None` when it was not taken.
#[inline]
fn taken(of: &Reading, columns: &[Option<&[f64]>]) -> Option<f64> {
    columns[of.block as usize].map(|column| column[of.row as usize]).filter(|value| !value.is_nan())
}

fn bits<'a>(of: &'a Reading, blocks: &'a [Block]) -> impl Iterator<Item = Option<u64>> + use<'a> {
    let column = |metric| blocks[of.block as usize].samples().column(metric);
    let reading = move |metric| Some(column(metric)?[of.row as usize]).filter(|value| !value.is_nan());
    Metric::ALL.iter().map(move |&metric| reading(metric).map(f64::to_bits))
}

/// One instance: its readings are the role's. Rows that lie one after the other are taken over as they are.
fn fold_one(own: &[Reading], columns: &Columns<'_>, into: &mut Pairs) {
    let (role, times) = (own[0].role, into.add_times(own.iter().map(|reading| reading.time_ms)));
    let together = own.iter().all(|reading| reading.block == own[0].block);
    let first = own[0].row as usize;
    let in_a_row = together && (first..).zip(own).all(|(row, of)| of.row as usize == row);
    for &(metric, ref columns) in &columns.0 {
        if !together {
            let values = own.iter().map(|of| taken(of, columns).unwrap_or(f64::NAN));
            into.add(role, metric, times.clone(), values);
            continue;
        }
        let Some(column) = columns[own[0].block as usize] else { continue };
        if in_a_row {
            into.add(role, metric, times.clone(), column[first..first + own.len()].iter().copied());
        } else {
            into.add(role, metric, times.clone(), own.iter().map(|of| column[of.row as usize]));
        }
    }
}

/// Many instances: at each reading, the total over them as last known within the tick.
fn fold_many(own: &[Reading], columns: &Columns<'_>, roster: &Roster, into: &mut Pairs) {
    let instance = |of: &Reading| roster.member(of.member).identity.instance_name();
    for &(metric, ref columns) in &columns.0 {
        let taken: Vec<(&Reading, f64)> = own.iter().filter_map(|of| Some((of, taken(of, columns)?))).collect();
        // Instances that have not been read yet in this tick count with their first reading of it.
        let mut last: BTreeMap<&str, f64> = taken.iter().rev().map(|(of, value)| (instance(of), *value)).collect();
        let times_ms = into.add_times(taken.iter().map(|(of, _)| of.time_ms));
        let totals = taken.iter().map(|(of, value)| {
            last.insert(instance(of), *value);
            combined(metric, &last)
        });
        into.add(own[0].role, metric, times_ms, totals);
    }
}

/// Amounts add up over instances, ratios are averaged, of latencies and machines the worst counts.
fn combined(metric: Metric, last: &BTreeMap<&str, f64>) -> f64 {
    let sum: f64 = last.values().sum();
    match metric {
        Metric::CpuThrottled | Metric::CpuPressure | Metric::MemoryPressure | Metric::IoPressure => {
            sum / last.len() as f64
        }
        Metric::LatencyP99 | Metric::HostCpuUsed | Metric::HostCpuStolen => last.values().copied().fold(0.0, f64::max),
        _ => sum,
    }
}
