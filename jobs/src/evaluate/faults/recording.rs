//! A labelled recording: what was measured of each entity, and what was wrong with which, when.

/// One file of labelled data.
#[derive(Clone, Debug)]
pub struct Recording {
    /// The file's name.
    pub name: String,
    /// Seconds between two rows of an entity.
    pub step_s: i64,
    /// Pods, containers or machines: one alarm is one entity's, whichever of its signals raised it.
    pub entities: Vec<Entity>,
    /// The labelled faults.
    pub events: Vec<Event>,
    /// Faults that name nobody who was recorded: their runs are not judged.
    pub left_out: Vec<String>,
}

/// One pod, container or machine.
#[derive(Clone, Debug, Default)]
pub struct Entity {
    /// Its name.
    pub name: String,
    /// For each signal the aspect that it tells of.
    pub aspects: Vec<usize>,
    /// Times of the rows, seconds, ascending.
    pub times_s: Vec<i64>,
    /// The rows: one value a signal.
    pub rows: Vec<Vec<Option<f64>>>,
}

/// One labelled fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The place of the entity that it was done to.
    pub entity: usize,
    /// When it began, seconds.
    pub start_s: i64,
    /// The last second at which an alarm on the entity still finds it.
    pub end_s: i64,
    /// Up to when alarms anywhere are its consequence: neighbours suffer with it, and recovery is a change as well.
    pub settled_s: i64,
}
