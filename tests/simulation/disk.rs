//! A disk that forgets what was not made durable.
//!
//! A file's bytes outlast a crash up to its last sync, a name in a folder once the folder was synced; of the rest chance keeps
//! some. The power may fail at any write.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Error, ErrorKind, Result, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use wire::{Disk, DiskFile};

use crate::dice::Dice;

/// The name of the file without which a snapshot does not count.
const MANIFEST: &str = "manifest";

/// A simulated disk; clones are the same one.
#[derive(Clone, Debug, Default)]
pub(crate) struct SimulatedDisk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    nodes: Vec<Node>,
    /// Files by name as they are seen, and as they would be found after a crash.
    seen: BTreeMap<PathBuf, usize>,
    durable: BTreeMap<PathBuf, usize>,
    /// Folders, and whether they would be found after a crash.
    folders: BTreeMap<PathBuf, bool>,
    /// Folders that the disk has promised to keep: with a manifest, made durable from the bottom up.
    promised: BTreeSet<PathBuf>,
    /// Folders in which a bit has turned: nothing is promised of them any more.
    rotten: BTreeSet<PathBuf>,
    /// The first file of this life: no manifest of an earlier one is promised anew.
    life_began: usize,
    /// Whether it has no room.
    full: bool,
    /// Changes until the power fails; none while it does not.
    power_fails_in: Option<u64>,
    /// The planted bug: how many syncs of files there were, of which one in so many is only said to be done.
    syncs: u64,
    skips_one_in: Option<u64>,
}

/// A file's bytes.
#[derive(Debug, Default)]
struct Node {
    bytes: Vec<u8>,
    synced: usize,
}

impl SimulatedDisk {
    pub(crate) fn new(skips_one_in: Option<u64>) -> Self {
        Self(Arc::new(Mutex::new(State { skips_one_in, ..State::default() })))
    }

    pub(crate) fn set_full(&self, full: bool) {
        self.state().full = full;
    }

    pub(crate) fn fail_power_in(&self, changes: Option<u64>) {
        self.state().power_fails_in = changes;
    }

    /// Forgets what a crash takes; the power is back.
    pub(crate) fn crash(&self, dice: &mut Dice) {
        let mut state = self.state();
        let state = &mut *state;
        let names: BTreeSet<PathBuf> = state.seen.keys().chain(state.durable.keys()).cloned().collect();
        for name in names {
            if state.seen.get(&name) != state.durable.get(&name) && dice.once_in(2) {
                match state.durable.get(&name) {
                    Some(node) => _ = state.seen.insert(name, *node),
                    None => _ = state.seen.remove(&name),
                }
            }
        }
        for (folder, durable) in std::mem::take(&mut state.folders) {
            if durable || dice.once_in(2) {
                state.folders.insert(folder, true);
            } else {
                state.seen.retain(|name, _| !name.starts_with(&folder));
            }
        }
        for node in &mut state.nodes {
            let unsynced = node.bytes.len() - node.synced;
            if unsynced > 0 {
                let kept = node.synced + dice.below(unsynced as u64 + 1) as usize;
                if dice.once_in(2) {
                    node.bytes[kept..].fill(0);
                } else {
                    node.bytes.truncate(kept);
                }
                node.synced = node.bytes.len();
            }
        }
        state.durable = state.seen.clone();
        state.life_began = state.nodes.len();
        state.power_fails_in = None;
    }

    /// Snapshots that must be whole: the names of their folders.
    pub(crate) fn promised(&self) -> Vec<String> {
        self.state().promised.iter().filter_map(|folder| Some(folder.file_name()?.to_str()?.to_owned())).collect()
    }

    /// Flips a bit of a file of a snapshot, which is then no longer promised; false where there is none.
    pub(crate) fn rot(&self, dice: &mut Dice) -> bool {
        let mut state = self.state();
        let files: Vec<(PathBuf, usize)> = state.seen.iter().map(|(name, node)| (name.clone(), *node)).collect();
        if files.is_empty() {
            return false;
        }
        let (name, node) = &files[dice.below(files.len() as u64) as usize];
        let bytes = &mut state.nodes[*node].bytes;
        if bytes.is_empty() {
            return false;
        }
        let at = dice.below(bytes.len() as u64) as usize;
        bytes[at] ^= 1 << dice.below(8);
        if let Some(folder) = name.parent() {
            state.promised.remove(folder);
            state.rotten.insert(folder.to_owned());
        }
        true
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no holder panics")
    }
}

impl State {
    /// Lets a change happen, or not.
    fn change(&mut self) -> Result<()> {
        match &mut self.power_fails_in {
            Some(0) => Err(Error::other("the power is gone")),
            Some(changes) => {
                *changes -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn node(&self, file: &Path) -> Result<usize> {
        self.seen.get(file).copied().ok_or_else(|| Error::from(ErrorKind::NotFound))
    }
}

impl Disk for SimulatedDisk {
    fn make_folder(&self, folder: &Path) -> Result<()> {
        let mut state = self.state();
        state.change()?;
        state.folders.entry(folder.to_owned()).or_insert(false);
        Ok(())
    }

    fn names(&self, folder: &Path) -> Vec<String> {
        let state = self.state();
        let names = state.seen.keys().chain(state.folders.keys()).filter(|name| name.parent() == Some(folder));
        names.filter_map(|name| Some(name.file_name()?.to_str()?.to_owned())).collect()
    }

    fn holds(&self, file: &Path) -> bool {
        self.state().seen.contains_key(file)
    }

    fn create(&self, file: &Path) -> Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        state.change()?;
        let node = state.nodes.len();
        state.nodes.push(Node::default());
        state.seen.insert(file.to_owned(), node);
        Ok(Box::new(SimulatedFile { disk: self.clone(), node }))
    }

    fn read(&self, file: &Path, offset: u64, length: u64) -> Result<Vec<u8>> {
        let state = self.state();
        let bytes = &state.nodes[state.node(file)?].bytes;
        let from = (offset as usize).min(bytes.len());
        let until = offset.saturating_add(length).min(bytes.len() as u64) as usize;
        Ok(bytes[from..until].to_vec())
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        let mut state = self.state();
        state.change()?;
        let node = state.node(from)?;
        state.seen.remove(from);
        state.seen.insert(to.to_owned(), node);
        Ok(())
    }

    fn sync_folder(&self, folder: &Path) -> Result<()> {
        let mut state = self.state();
        state.change()?;
        let state = &mut *state;
        let within = |name: &Path| name.parent() == Some(folder);
        state.durable.retain(|name, _| !within(name));
        state
            .durable
            .extend(state.seen.iter().filter(|(name, _)| within(name)).map(|(name, node)| (name.clone(), *node)));
        let own: Vec<PathBuf> = state.folders.keys().filter(|name| within(name)).cloned().collect();
        for folder in own {
            let manifest = folder.join(MANIFEST);
            // One that was taken away, in a folder that was not synced since, may come back and need not.
            let (seen, durable) = (state.seen.get(&manifest), state.durable.get(&manifest));
            let kept = seen == durable && durable.is_some_and(|node| *node >= state.life_began);
            if kept && !state.rotten.contains(&folder) {
                state.promised.insert(folder.clone());
            }
            state.folders.insert(folder, true);
        }
        Ok(())
    }

    fn remove_file(&self, file: &Path) -> Result<()> {
        let mut state = self.state();
        state.change()?;
        if let Some(folder) = file.parent() {
            state.promised.remove(folder);
        }
        state.seen.remove(file).map(drop).ok_or_else(|| Error::from(ErrorKind::NotFound))
    }

    fn remove_folder(&self, folder: &Path) -> Result<()> {
        let mut state = self.state();
        state.change()?;
        state.promised.remove(folder);
        state.rotten.remove(folder);
        state.seen.retain(|name, _| !name.starts_with(folder));
        state.folders.remove(folder);
        Ok(())
    }
}

struct SimulatedFile {
    disk: SimulatedDisk,
    node: usize,
}

impl Write for SimulatedFile {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        let mut state = self.disk.state();
        state.change()?;
        if state.full {
            return Err(Error::from(ErrorKind::StorageFull));
        }
        state.nodes[self.node].bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

impl DiskFile for SimulatedFile {
    fn sync(&mut self) -> Result<()> {
        let mut state = self.disk.state();
        state.change()?;
        state.syncs += 1;
        if state.skips_one_in.is_none_or(|many| !state.syncs.is_multiple_of(many)) {
            let node = &mut state.nodes[self.node];
            node.synced = node.bytes.len();
        }
        Ok(())
    }
}
