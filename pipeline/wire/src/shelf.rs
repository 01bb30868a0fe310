//! Snapshots on disk: written piece by piece, believed only as a whole.
//!
//! ```text
//! FOLDER/1767225600000/pieces      the pieces of all workers, one after the other
//! FOLDER/1767225600000/manifest    written last: whose they are, where each lies, its length and its checksum
//! ```
//!
//! Every file is written under another name, synced and renamed, and the folder synced after it, so a file is there whole
//! or not at all. The manifest begins with its own checksum. What cannot be believed is passed over, loudly,
//! for the snapshot before it, and without one the inputs are read from their oldest records: slower, and the same.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use dataflow::EngineSettings;
use dataflow::snapshot::{FORMAT, Piece, Restore, Stage};
use schemas::EventTime;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::disk::{Disk, DiskFile};

const MANIFEST: &str = "manifest";
const PIECES: &str = "pieces";

/// Where snapshots are, and what they must belong to.
#[derive(Clone, Debug)]
pub struct Shelf {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    owner: Owner,
}

/// What a snapshot belongs to: another owner must not begin from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Owner {
    format: u32,
    group: String,
    /// A checksum of the settings that the state depends on.
    settings: u32,
}

#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    owner: Owner,
    at: EventTime,
    places: Vec<Place>,
}

/// Where a piece lies.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Place {
    stage: Stage,
    range: u32,
    offset: u64,
    length: u64,
    checksum: u32,
}

impl Shelf {
    /// Opens the folder; makes it if it is not there.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(disk: Arc<dyn Disk>, folder: &Path, group: &str, settings: &EngineSettings) -> anyhow::Result<Self> {
        let made = disk.make_folder(folder).and_then(|()| {
            // A folder is there after a crash once the one above it knows it.
            let above = folder.parent().filter(|above| !above.as_os_str().is_empty());
            disk.sync_folder(above.unwrap_or_else(|| Path::new(".")))
        });
        made.with_context(|| format!("snapshots cannot be kept in {}", folder.display()))?;
        let owner = Owner { format: FORMAT, group: group.to_owned(), settings: fingerprint(settings) };
        Ok(Self { disk, folder: folder.to_owned(), owner })
    }

    /// The newest snapshot that can be believed, no later than the published outputs reach and than `latest`; none without
    /// one. What had to be passed over is told.
    #[must_use]
    pub fn newest(&self, published: EventTime, latest: EventTime) -> Option<Restore> {
        for at in self.kept().into_iter().rev() {
            if at > published {
                tracing::warn!(%at, %published, "a snapshot lies beyond the published outputs: it is of another log");
                continue;
            }
            if at > latest {
                continue;
            }
            match self.read(at) {
                Ok(restore) => return Some(restore),
                Err(error) => {
                    let folder = self.folder_of(at);
                    tracing::warn!(folder = %folder.display(), "a snapshot is passed over: {error:#}");
                }
            }
        }
        None
    }

    /// The ticks of the snapshots that have a manifest, oldest first.
    #[must_use]
    pub fn kept(&self) -> Vec<EventTime> {
        let all = self.ticks();
        all.into_iter().filter(|at| self.disk.holds(&self.folder_of(*at).join(MANIFEST))).collect()
    }

    /// Those of them that a restart under these settings could begin from.
    pub(crate) fn own(&self) -> Vec<EventTime> {
        let manifest = |at: &EventTime| read_checked(self.disk.as_ref(), &self.folder_of(*at).join(MANIFEST));
        let is_own = |at: &EventTime| manifest(at).is_ok_and(|manifest: Manifest| manifest.owner == self.owner);
        self.kept().into_iter().filter(is_own).collect()
    }

    /// Begins a snapshot.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn begin(&self, at: EventTime) -> anyhow::Result<Draft> {
        let path = self.folder_of(at).join(PIECES);
        self.disk.make_folder(&self.folder_of(at))?;
        let file = self.disk.create(&path.with_extension("tmp"))?;
        Ok(Draft { disk: Arc::clone(&self.disk), path, file, offset: 0, places: Vec::new() })
    }

    /// Writes the manifest: from now on the snapshot counts.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn seal(&self, at: EventTime, places: Vec<Place>) -> anyhow::Result<()> {
        let manifest = Manifest { owner: self.owner.clone(), at, places };
        write_checked(self.disk.as_ref(), &self.folder_of(at).join(MANIFEST), &manifest)?;
        Ok(self.disk.sync_folder(&self.folder)?)
    }

    /// Removes a snapshot, whole or not: its manifest first.
    pub(crate) fn remove(&self, at: EventTime) {
        let folder = self.folder_of(at);
        // What cannot be removed now is removed with the next: it is never believed without its manifest.
        let _ = self.disk.remove_file(&folder.join(MANIFEST));
        if let Err(error) = self.disk.remove_folder(&folder) {
            tracing::warn!(folder = %folder.display(), %error, "an old snapshot cannot be removed");
        }
    }

    /// The ticks of all snapshots, also of unfinished ones, oldest first.
    pub(crate) fn ticks(&self) -> Vec<EventTime> {
        let names = self.disk.names(&self.folder);
        let mut ticks: Vec<_> =
            names.iter().filter_map(|name| Some(EventTime::from_millis(name.parse().ok()?))).collect();
        ticks.sort_unstable();
        ticks
    }

    fn folder_of(&self, at: EventTime) -> PathBuf {
        self.folder.join(at.millis().to_string())
    }

    /// Reads a snapshot.
    ///
    /// # Errors
    /// Why it cannot be believed.
    pub fn read(&self, at: EventTime) -> anyhow::Result<Restore> {
        let folder = self.folder_of(at);
        let manifest: Manifest = read_checked(self.disk.as_ref(), &folder.join(MANIFEST))?;
        let Owner { format, group, settings } = &manifest.owner;
        ensure!(*format == self.owner.format, "it is of format {format}, this is {}", self.owner.format);
        ensure!(*group == self.owner.group, "it is of group {group}, this is {}", self.owner.group);
        ensure!(*settings == self.owner.settings, "it was made under other settings of the dataflow");
        ensure!(manifest.at == at, "its manifest is of {}", manifest.at);
        let path = folder.join(PIECES);
        let pieces = manifest.places.iter().map(|place| read_piece(self.disk.as_ref(), &path, place));
        let pieces: Vec<Piece> = pieces.collect::<anyhow::Result<_>>().with_context(|| path.display().to_string())?;
        Ok(Restore::new(at, pieces))
    }
}

/// A snapshot while it is written.
pub(crate) struct Draft {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    file: Box<dyn DiskFile>,
    offset: u64,
    places: Vec<Place>,
}

impl Draft {
    /// Adds a piece.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn add(&mut self, piece: &Piece) -> anyhow::Result<()> {
        self.file.write_all(&piece.bytes)?;
        let length = piece.bytes.len() as u64;
        let checksum = crc32fast::hash(&piece.bytes);
        let Piece { stage, range, .. } = *piece;
        self.places.push(Place { stage, range, offset: self.offset, length, checksum });
        self.offset += length;
        Ok(())
    }

    /// Makes the pieces durable; where they lie.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn finish(mut self) -> anyhow::Result<Vec<Place>> {
        self.file.sync()?;
        self.disk.rename(&self.path.with_extension("tmp"), &self.path)?;
        Ok(self.places)
    }
}

fn read_piece(disk: &dyn Disk, file: &Path, place: &Place) -> anyhow::Result<Piece> {
    let Place { stage, range, offset, length, checksum } = *place;
    let bytes = disk.read(file, offset, length)?;
    ensure!(bytes.len() as u64 == length, "the piece of {stage:?} {range} is cut short");
    ensure!(crc32fast::hash(&bytes) == checksum, "the piece of {stage:?} {range} is damaged");
    Ok(Piece { stage, range, bytes })
}

/// JSON behind a line with its checksum, whole or not at all.
fn write_checked<T: Serialize>(disk: &dyn Disk, path: &Path, value: &T) -> anyhow::Result<()> {
    let json = serde_json::to_vec(value)?;
    let temporary = path.with_extension("tmp");
    let mut file = disk.create(&temporary)?;
    writeln!(file, "{:08x}", crc32fast::hash(&json))?;
    file.write_all(&json)?;
    file.sync()?;
    disk.rename(&temporary, path)?;
    Ok(disk.sync_folder(path.parent().expect("a snapshot's files lie in its folder"))?)
}

fn read_checked<T: DeserializeOwned>(disk: &dyn Disk, path: &Path) -> anyhow::Result<T> {
    let bytes = disk.read(path, 0, u64::MAX).with_context(|| path.display().to_string())?;
    let text = String::from_utf8(bytes).with_context(|| path.display().to_string())?;
    let Some((checksum, json)) = text.split_once('\n') else { bail!("{} is cut short", path.display()) };
    let intact = u32::from_str_radix(checksum, 16).is_ok_and(|checksum| checksum == crc32fast::hash(json.as_bytes()));
    ensure!(intact, "{} is damaged", path.display());
    Ok(serde_json::from_str(json)?)
}

/// A checksum of what the state depends on: not of how it is divided, queued or published.
fn fingerprint(settings: &EngineSettings) -> u32 {
    let aside = EngineSettings::default();
    let state = EngineSettings {
        workers: aside.workers,
        features_every: aside.features_every,
        forecasts_every: aside.forecasts_every,
        ticks_in_flight_max: aside.ticks_in_flight_max,
        deliveries_max: aside.deliveries_max,
        commits_max: aside.commits_max,
        snapshot_every: aside.snapshot_every,
        ..settings.clone()
    };
    crc32fast::hash(&serde_json::to_vec(&state).expect("settings are JSON"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::disk::LocalDisk;

    const SECOND: EventTime = EventTime::from_millis(60_000);

    fn shelf(folder: &Path) -> Shelf {
        of(folder, "main", &EngineSettings::default())
    }

    fn of(folder: &Path, group: &str, settings: &EngineSettings) -> Shelf {
        Shelf::open(Arc::new(LocalDisk), folder, group, settings).expect("the temporary folder can be written")
    }

    /// Keeps a snapshot at each of two ticks.
    fn two(shelf: &Shelf) {
        for at in [EventTime::from_millis(30_000), SECOND] {
            let mut draft = shelf.begin(at).expect("room");
            for (range, bytes) in [(3, b"three".to_vec()), (5, b"five".to_vec())] {
                draft.add(&Piece { stage: Stage::Pair, range, bytes }).expect("room");
            }
            let places = draft.finish().expect("room");
            shelf.seal(at, places).expect("room");
        }
    }

    /// The tick that a restart begins from, after something was done to the newer snapshot's folder.
    fn begins_from(act: impl FnOnce(&Path)) -> Option<u64> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let shelf = shelf(folder.path());
        two(&shelf);
        act(&shelf.folder_of(SECOND));
        shelf.newest(SECOND, EventTime::MAX).map(|restore| restore.at().millis())
    }

    fn spoil(path: &Path, at: usize) {
        let mut bytes = fs::read(path).expect("it was written");
        bytes[at] ^= 1;
        fs::write(path, bytes).expect("it can be written");
    }

    #[test]
    fn what_cannot_be_believed_is_passed_over_for_the_one_before() {
        assert_eq!(begins_from(|_| ()), Some(60_000), "nothing was done");
        assert_eq!(begins_from(|folder| spoil(&folder.join(PIECES), 6)), Some(30_000), "a bit is wrong");
        assert_eq!(begins_from(|folder| spoil(&folder.join(MANIFEST), 30)), Some(30_000), "a bit of the manifest is");
        let cut_short = |folder: &Path| fs::write(folder.join(PIECES), b"thr").expect("it can be written");
        assert_eq!(begins_from(cut_short), Some(30_000));
        assert_eq!(begins_from(|folder| fs::remove_file(folder.join(PIECES)).expect("it is there")), Some(30_000));
        assert_eq!(begins_from(|folder| fs::remove_file(folder.join(MANIFEST)).expect("it is there")), Some(30_000));
    }

    #[test]
    fn a_snapshot_of_another_format_group_or_setting_is_not_used() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        two(&shelf(folder.path()));
        let newest = |shelf: &Shelf| shelf.newest(SECOND, EventTime::MAX).is_some();
        let old = Shelf { owner: Owner { format: FORMAT - 1, ..shelf(folder.path()).owner }, ..shelf(folder.path()) };
        assert!(!newest(&old));
        let settings = EngineSettings { workers: 4, ..EngineSettings::default() };
        assert!(newest(&of(folder.path(), "main", &settings)), "workers may change");
        let settings = EngineSettings { dwell: schemas::Span::from_secs(90), ..EngineSettings::default() };
        assert!(!newest(&of(folder.path(), "main", &settings)));
        assert!(!newest(&of(folder.path(), "other", &EngineSettings::default())));
    }

    #[test]
    fn nothing_later_than_the_published_outputs_is_used() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let shelf = shelf(folder.path());
        two(&shelf);
        let at = |published: u64, latest: u64| {
            let restore = shelf.newest(EventTime::from_millis(published), EventTime::from_millis(latest));
            restore.map(|restore| restore.at().millis())
        };
        assert_eq!(at(59_999, 90_000), Some(30_000));
        assert_eq!(at(90_000, 45_000), Some(30_000));
        assert_eq!(at(29_999, 90_000), None);
    }
}
