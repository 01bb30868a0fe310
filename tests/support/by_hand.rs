//! An engine that is fed by hand: deliveries in, all that it says and cuts out.

use std::collections::BTreeMap;

use dataflow::snapshot::{Cut, Restore};
use dataflow::{Delivery, Engine, EngineSettings, OutputRecord, Start};
use schemas::{EventTime, Topic};

use crate::replay::said;

/// What an engine is fed with.
pub struct Feed {
    /// The control plane's records, which go first.
    pub control: Vec<Delivery>,
    /// The samples' partitions, each in order: offsets are given by their places.
    pub partitions: Vec<Vec<Delivery>>,
}

/// Which delivery of the samples goes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turns {
    /// Partitions take turns.
    InTurn,
    /// One partition after the other.
    OneByOne,
}

/// Feeds an engine of so many workers in all, from the snapshot's offsets on where it begins from one; what it says, topic by
/// topic, and the snapshots that it makes.
///
/// # Panics
/// When the settings cannot be used.
pub fn run(
    settings: &EngineSettings,
    feed: Feed,
    turns: Turns,
    workers_in_all: usize,
    start: Start,
) -> (Vec<OutputRecord>, Vec<Restore>) {
    let resumes = start.restore.as_ref().map(Restore::resumes).unwrap_or_default();
    let (snapshots, cuts) = crossbeam_channel::unbounded();
    let start = Start { partitions: feed.partitions.len(), snapshots: Some(snapshots), ..start };
    // No worker may come to the end of its feed, after which it cuts nothing, before the others have begun.
    let settings = EngineSettings { deliveries_max: 16, ..settings.clone() };
    let mut engine = Engine::start_with(&settings, start).expect("the settings are sound");
    let commits = engine.commits().clone();
    let reader = std::thread::spawn(move || said(&commits));
    feed.control.into_iter().for_each(|delivery| engine.deliver(delivery).expect("the workers run"));
    let deliver = |(offset, delivery): (i64, Delivery)| {
        let resume = resumes.iter().find(|resume| resume.is_of(Topic::Samples, delivery.partition));
        if resume.is_none_or(|resume| offset >= resume.offset) {
            engine.deliver(Delivery { offset, ..delivery }).expect("the workers run");
        }
    };
    let mut queues: Vec<_> = feed.partitions.into_iter().map(|queue| (0..).zip(queue)).collect();
    match turns {
        Turns::OneByOne => queues.into_iter().flatten().for_each(deliver),
        Turns::InTurn => {
            while queues.iter_mut().fold(false, |left, queue| queue.next().map(deliver).is_some() | left) {}
        }
    }
    engine.finish();
    let records = reader.join().expect("the reader only collects");
    // Before the engine goes, with which cuts on their way would go too.
    let cuts: Vec<_> = cuts.iter().collect();
    drop(engine);
    (records, whole(&cuts, workers_in_all))
}

/// The snapshots of which every worker has given all pieces, oldest first.
fn whole(cuts: &[Cut], workers: usize) -> Vec<Restore> {
    let mut complete = BTreeMap::<EventTime, usize>::new();
    let wholes = cuts.iter().filter_map(|cut| if let Cut::Whole(at) = cut { Some(*at) } else { None });
    wholes.for_each(|at| *complete.entry(at).or_default() += 1);
    let of = |at: EventTime| {
        let pieces = cuts.iter().filter_map(move |cut| match cut {
            Cut::Piece(of, piece) if *of == at => Some(piece.clone()),
            Cut::Piece(..) | Cut::Whole(..) => None,
        });
        Restore::new(at, pieces)
    };
    complete.into_iter().filter(|(_, given)| *given == workers).map(|(at, _)| of(at)).collect()
}
