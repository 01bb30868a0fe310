//! Many samples as columns: the form in which they travel inside the pipeline.
//!
//! A column of readings is a vector of doubles in which NaN stands for "not taken"; a decoded reading is always finite, so
//! nothing else can be NaN. Names are kept once: a row holds the place of its [`Identity`].

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::batch::Heads;
use crate::{EventTime, InstanceId, Metric, Role, Sample, TenantId, WorkloadId};

/// What a row is a reading of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// A hash of the rest: the same within one build of the program, and good for looking names up quickly.
    pub hash: u64,
    /// Who owns the workload.
    pub tenant: TenantId,
    /// The workload.
    pub workload: WorkloadId,
    /// The running copy, where one was named.
    pub instance: Option<InstanceId>,
    /// What the instance is for.
    pub role: Role,
}

impl Identity {
    /// The running copy's name: the workload's where none was given.
    #[must_use]
    pub fn instance_name(&self) -> &str {
        self.instance.as_ref().map_or(self.workload.as_str(), InstanceId::as_str)
    }
}

/// Samples as columns.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Samples {
    times_ms: Vec<u64>,
    columns: Arc<Columns>,
}

/// What stays when the times change.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Columns {
    /// For each row, the place of its identity.
    who: Vec<u32>,
    identities: Vec<Arc<Identity>>,
    /// One column a metric, by its index: as long as the rows, or empty where no row has a reading.
    readings: [Vec<f64>; Metric::COUNT],
}

impl Samples {
    /// How many rows there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.times_ms.len()
    }

    /// Whether there is no row.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.times_ms.is_empty()
    }

    /// When each row was taken, in milliseconds.
    #[must_use]
    pub fn times_ms(&self) -> &[u64] {
        &self.times_ms
    }

    /// For each row, its place in [`Samples::identities`].
    #[must_use]
    pub fn who(&self) -> &[u32] {
        &self.columns.who
    }

    /// The identities of the rows, each once.
    #[must_use]
    pub fn identities(&self) -> &[Arc<Identity>] {
        &self.columns.identities
    }

    /// A metric's readings, NaN where none was taken; `None` where no row has one.
    #[must_use]
    pub fn column(&self, metric: Metric) -> Option<&[f64]> {
        Some(self.columns.readings[metric.index()].as_slice()).filter(|column| !column.is_empty())
    }

    /// The same samples, as if each had been taken `by_ms` later.
    #[must_use]
    pub fn later(&self, by_ms: u64) -> Self {
        let times_ms = self.times_ms.iter().map(|time_ms| time_ms + by_ms).collect();
        Self { times_ms, columns: Arc::clone(&self.columns) }
    }

    /// Some of the rows, in their order, with the names that they need.
    ///
    /// # Panics
    /// If there is no such row.
    #[must_use]
    pub fn select(&self, rows: &[u32]) -> Self {
        let Columns { who, identities, readings } = &*self.columns;
        let mut places = vec![None; identities.len()];
        let mut own = Columns::default();
        for &row in rows {
            let name = who[row as usize] as usize;
            let place = *places[name].get_or_insert_with(|| {
                own.identities.push(Arc::clone(&identities[name]));
                own.identities.len() as u32 - 1
            });
            own.who.push(place);
        }
        for (own, column) in own.readings.iter_mut().zip(readings).filter(|(_, column)| !column.is_empty()) {
            own.extend(rows.iter().map(|&row| column[row as usize]));
        }
        Self { times_ms: rows.iter().map(|&row| self.times_ms[row as usize]).collect(), columns: Arc::new(own) }
    }

    /// One row as a sample.
    ///
    /// # Panics
    /// If there is no such row.
    #[must_use]
    pub fn sample(&self, row: usize) -> Sample {
        let identity = &self.columns.identities[self.columns.who[row] as usize];
        let mut sample = Sample::new(EventTime::from_millis(self.times_ms[row]), identity.workload.clone());
        (sample.tenant, sample.role) = (identity.tenant.clone(), identity.role);
        sample.instance.clone_from(&identity.instance);
        for &metric in Metric::ALL {
            let reading = self.column(metric).map(|column| column[row]);
            sample.set(metric, reading.filter(|value| !value.is_nan()));
        }
        sample
    }
}

/// Distinct names that are remembered at once; bounds what changing names can cost.
const NAMES_MAX: usize = 1 << 20;

/// For maps whose keys are hashes already.
pub type Hashed = BuildHasherDefault<Same>;

/// Builds [`Samples`], and remembers names from one to the next: each is checked and allocated once. Rows that come in the
/// order of those before find their names without a hash.
#[derive(Debug, Default)]
pub struct Builder {
    times_ms: Vec<u64>,
    columns: Columns,
    known: Vec<Known>,
    /// Places among the known, by the hash of the names.
    places: HashMap<u64, u32, Hashed>,
    /// The known of the row placed last.
    last: Option<u32>,
    /// Heads of messages.
    heads: Heads,
    /// Counts the blocks that were built.
    block: u64,
}

#[derive(Debug)]
struct Known {
    identity: Arc<Identity>,
    /// Who came after it the last time that anybody else did.
    next: Option<u32>,
    /// In which block it was last used, and its place there.
    used: (u64, u32),
}

/// Names as they stand in a message.
pub(crate) struct Names<'a> {
    pub(crate) tenant: &'a str,
    pub(crate) workload: &'a str,
    pub(crate) instance: Option<&'a str>,
    pub(crate) role: Role,
}

impl Builder {
    /// Adds a sample.
    pub fn push(&mut self, sample: &Sample) {
        let names = Names {
            tenant: sample.tenant.as_str(),
            workload: sample.workload.as_str(),
            instance: sample.instance.as_ref().map(InstanceId::as_str),
            role: sample.role,
        };
        let who = self.place(&names).expect("a sample's names were checked");
        self.push_row(sample.time.millis(), who);
        for &metric in Metric::ALL {
            if let Some(value) = sample.reading(metric) {
                let rows = self.times_ms.len();
                let column = &mut self.columns.readings[metric.index()];
                column.resize(rows - 1, f64::NAN);
                column.push(value);
            }
        }
    }

    /// The rows so far; a column may still be shorter than they are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.times_ms.len()
    }

    /// Whether there is no row yet.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.times_ms.is_empty()
    }

    /// When a row was taken, in milliseconds.
    ///
    /// # Panics
    /// If there is no such row.
    #[must_use]
    pub fn time_ms(&self, row: usize) -> u64 {
        self.times_ms[row]
    }

    /// Takes back the rows from `rows` on.
    pub(crate) fn truncate(&mut self, rows: usize) {
        self.times_ms.truncate(rows);
        self.columns.who.truncate(rows);
        self.columns.readings.iter_mut().for_each(|column| column.truncate(rows));
    }

    /// Hands out what was built and begins anew.
    #[must_use]
    pub fn take(&mut self) -> Samples {
        let rows = self.times_ms.len();
        for column in &mut self.columns.readings {
            if !column.is_empty() {
                column.resize(rows, f64::NAN);
            }
        }
        self.block += 1;
        if self.known.len() > NAMES_MAX {
            self.known.clear();
            self.places.clear();
            self.last = None;
        }
        let columns = Arc::new(std::mem::take(&mut self.columns));
        Samples { times_ms: std::mem::take(&mut self.times_ms), columns }
    }

    /// The place of names among the block's identities.
    pub(crate) fn place(&mut self, names: &Names<'_>) -> Result<u32, String> {
        let at = match self.guess(names) {
            Some(at) => at,
            None => self.look_up(names)?,
        };
        let last = self.last.replace(at).filter(|last| *last != at);
        if let Some(last) = last {
            self.known[last as usize].next = Some(at);
        }
        let known = &mut self.known[at as usize];
        if known.used.0 != self.block {
            let place = u32::try_from(self.columns.identities.len()).expect("names are bounded");
            self.columns.identities.push(Arc::clone(&known.identity));
            known.used = (self.block, place);
        }
        Ok(known.used.1)
    }

    /// The row placed last is of these names, or the one that came after it before is.
    fn guess(&self, names: &Names<'_>) -> Option<u32> {
        let last = self.last?;
        let next = self.known[last as usize].next;
        [Some(last), next].into_iter().flatten().find(|at| names.are(&self.known[*at as usize].identity))
    }

    /// The known of names, by their hash; new names become known.
    fn look_up(&mut self, names: &Names<'_>) -> Result<u32, String> {
        let mut hash = names.hash();
        loop {
            match self.places.get(&hash) {
                Some(&at) if names.are(&self.known[at as usize].identity) => return Ok(at),
                // Two names with one hash: the next place is as good.
                Some(_) => hash = hash.wrapping_add(1),
                None => {
                    let at = u32::try_from(self.known.len()).expect("names are bounded");
                    self.known.push(Known { identity: Arc::new(names.identity()?), next: None, used: (u64::MAX, 0) });
                    self.places.insert(hash, at);
                    return Ok(at);
                }
            }
        }
    }

    /// Heads of messages, as they were read with this builder.
    pub(crate) const fn heads(&mut self) -> &mut Heads {
        &mut self.heads
    }

    /// Adds a row; its readings follow, by column.
    pub(crate) fn push_row(&mut self, time_ms: u64, who: u32) {
        self.times_ms.push(time_ms);
        self.columns.who.push(who);
    }

    /// Adds readings of a metric for the rows from `first` on.
    pub(crate) fn extend(&mut self, metric: Metric, first: usize, values: impl Iterator<Item = f64>) {
        let column = &mut self.columns.readings[metric.index()];
        column.resize(first, f64::NAN);
        column.extend(values);
    }
}

impl Names<'_> {
    fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.tenant, self.workload, self.instance, self.role).hash(&mut hasher);
        hasher.finish()
    }

    fn are(&self, identity: &Identity) -> bool {
        identity.workload.as_str() == self.workload
            && identity.role == self.role
            && identity.instance.as_ref().map(InstanceId::as_str) == self.instance
            && identity.tenant.as_str() == self.tenant
    }

    fn identity(&self) -> Result<Identity, String> {
        let instance = self.instance.map(InstanceId::new).transpose();
        Ok(Identity {
            hash: self.hash(),
            tenant: TenantId::new(self.tenant).map_err(|error| error.to_string())?,
            workload: WorkloadId::new(self.workload).map_err(|error| error.to_string())?,
            instance: instance.map_err(|error| error.to_string())?,
            role: self.role,
        })
    }
}

/// A hasher for keys that are hashes already.
#[derive(Clone, Copy, Debug, Default)]
pub struct Same(u64);

impl Hasher for Same {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("only whole hashes are keys");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(workload: &str, time_ms: u64) -> Sample {
        Sample::new(EventTime::from_millis(time_ms), WorkloadId::new(workload).expect("a name"))
    }

    #[test]
    fn rows_come_back_and_missing_readings_stay_missing() {
        let mut builder = Builder::default();
        let mut samples = vec![sample("a", 1), sample("b", 2), sample("a", 3)];
        samples[1].set(Metric::CpuUsed, Some(0.5));
        samples[2].set(Metric::MemoryLimit, Some(7.0));
        samples.iter().for_each(|sample| builder.push(sample));
        let columns = builder.take();
        assert_eq!((0..3).map(|row| columns.sample(row)).collect::<Vec<_>>(), samples);
        assert_eq!(columns.identities().len(), 2, "names are kept once");
        assert_eq!(columns.column(Metric::Requests), None);
    }

    #[test]
    fn names_are_remembered_from_block_to_block() {
        let mut builder = Builder::default();
        builder.push(&sample("a", 1));
        let first = builder.take();
        builder.push(&sample("b", 2));
        builder.push(&sample("a", 3));
        let second = builder.take();
        assert_eq!(second.who(), [0, 1]);
        assert!(Arc::ptr_eq(&first.identities()[0], &second.identities()[1]));
        assert!(builder.take().is_empty());
    }
}
