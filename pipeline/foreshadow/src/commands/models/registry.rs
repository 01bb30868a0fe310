//! The registry: the newest record of each model, and who serves.

use forecast::lstm::Card;
use jobs::retrain::record::Record;
use schemas::{EventTime, Model, ModelId};
use topics::{Delivery, Log, Producer};

/// How far ahead of now a swap is set: its record has to be read before its tick closes.
const LEAD_MS: u64 = 10_000;

/// Digits of an artifact's hash that name its model: one in four billion is named alike.
const ID_DIGITS: usize = 8;

/// The records, newest first: of equal times the later id, as good an order as any.
pub(crate) struct Registry {
    models: Vec<Model>,
}

impl Registry {
    /// Reads it.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub(crate) fn read(log: &dyn Log) -> anyhow::Result<Self> {
        let latest = topics::latest::<Model>(log)?;
        for (record, error) in &latest.undecodable {
            tracing::warn!(model = record.source(), "passed over a record of models: {error}");
        }
        Ok(Self::of(latest.nouns.into_values().collect()))
    }

    fn of(mut models: Vec<Model>) -> Self {
        models.sort_by(|a, b| (b.time, &b.model).cmp(&(a.time, &a.model)));
        Self { models }
    }

    /// All of them, newest first.
    pub(crate) fn models(&self) -> &[Model] {
        &self.models
    }

    /// Who serves, or will at its tick; none is the shipped champion.
    pub(crate) fn serving(&self) -> Option<&Model> {
        self.champions().next()
    }

    /// Who served before: the newest champion of another artifact; none is the shipped one.
    pub(crate) fn former(&self) -> Option<&Model> {
        let serving = self.serving()?;
        self.champions().find(|model| model.sha256 != serving.sha256)
    }

    fn champions(&self) -> impl Iterator<Item = &Model> {
        self.models.iter().filter(|model| model.champion)
    }

    /// The tick of a swap: what was asked for, or soon; in any case after the newest champion's, or it would not count.
    ///
    /// # Errors
    /// A time that was asked for and lies before the newest champion's.
    pub(crate) fn swap_time(&self, asked: Option<EventTime>, now: EventTime) -> anyhow::Result<EventTime> {
        let least = self.serving().map_or(EventTime::default(), |model| model.time.plus(1));
        let time = asked.unwrap_or(now.plus(LEAD_MS).max(least));
        anyhow::ensure!(
            time >= least,
            "{time} is too early: the champion serves from {} on, name a later time",
            least.minus(1)
        );
        Ok(time)
    }
}

/// Publishes a record.
///
/// # Errors
/// When the log does not take it.
pub(crate) fn publish(log: &dyn Log, model: Model) -> anyhow::Result<()> {
    Ok(Producer::new(log, Delivery::Idempotent)?.send(&[model])?)
}

/// The record of an artifact that is to serve from `time` on, with what its training left beside it.
///
/// # Errors
/// An artifact that is too large for a record.
pub(crate) fn champion(
    name: &str,
    artifact: &[u8],
    card: &Card,
    record: Option<&Record>,
    time: EventTime,
) -> anyhow::Result<Model> {
    let mut model = challenger(name, artifact, card, record, time);
    model.champion = true;
    model.carry(artifact)?;
    Ok(model)
}

/// The record of an artifact that lost: without its bytes, for the verdict to be known.
pub(crate) fn challenger(name: &str, artifact: &[u8], card: &Card, record: Option<&Record>, time: EventTime) -> Model {
    let settings = serde_json::to_value(&card.settings).expect("settings are plain data");
    let sha256 = schemas::sha256(artifact);
    let id = format!("lstm-{}", &sha256[..ID_DIGITS]);
    Model {
        version: Default::default(),
        time,
        model: ModelId::new(&id).expect("letters and digits are a name"),
        artifact: name.to_owned(),
        sha256,
        artifact_base64: None,
        input_version: Some(card.input_version),
        trained_from: EventTime::from_millis(card.data.from_ms).min(EventTime::MAX),
        trained_to: EventTime::from_millis(card.data.to_ms).min(EventTime::MAX),
        data_sha256: Some(card.data.sha256.clone()).filter(|hash| !hash.is_empty()),
        settings: serde_json::from_value(settings).expect("settings are an object"),
        scores: card.scores.clone(),
        verdict: record.map(|record| record.verdict.sentence.clone()),
        champion: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(id: &str, time: u64, champion: bool) -> Model {
        Model {
            version: Default::default(),
            time: EventTime::from_millis(time),
            model: ModelId::new(id).expect("a name"),
            artifact: id.to_owned(),
            sha256: id.to_owned(),
            artifact_base64: None,
            input_version: None,
            trained_from: EventTime::default(),
            trained_to: EventTime::default(),
            data_sha256: None,
            settings: Default::default(),
            scores: Default::default(),
            verdict: None,
            champion,
        }
    }

    #[test]
    fn the_newest_champion_serves_and_the_one_before_is_the_former() {
        let registry = Registry::of(vec![model("a", 10, true), model("b", 30, false), model("c", 20, true)]);
        assert_eq!(registry.serving().map(|model| model.model.as_str()), Some("c"));
        assert_eq!(registry.former().map(|model| model.model.as_str()), Some("a"));
        let alone = Registry::of(vec![model("a", 10, true)]);
        assert!(alone.former().is_none() && Registry::of(Vec::new()).serving().is_none());
    }

    #[test]
    fn a_swap_comes_after_the_last_one() {
        let registry = Registry::of(vec![model("a", 50_000, true)]);
        let at = EventTime::from_millis;
        assert_eq!(registry.swap_time(None, at(60_000)).ok(), Some(at(70_000)));
        assert_eq!(registry.swap_time(None, at(1_000)).ok(), Some(at(50_001)));
        assert_eq!(registry.swap_time(Some(at(55_000)), at(1_000)).ok(), Some(at(55_000)));
        let error = registry.swap_time(Some(at(50_000)), at(1_000)).expect_err("no later than the champion's");
        assert!(error.to_string().contains("too early"), "{error}");
    }
}
