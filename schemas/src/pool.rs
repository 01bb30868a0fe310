//! A dynamic resource pool: what may be granted, at what price, to whom.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use arrow::datatypes::SchemaRef;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::columns::{Column, schema};
use crate::{Allocation, EventTime, Money, Noun, PoolId, TenantId, Topic, V1};

/// Bytes of a GiB, the unit in which memory is priced.
const GIB: f64 = (1_u64 << 30) as f64;

/// How capacity is bought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OfferKind {
    /// Paid for in advance.
    Committed,
    /// Paid while used.
    OnDemand,
    /// Cheap, and taken away at short notice.
    Spot,
}

/// A priced resource type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// The resource type's name.
    pub offer: String,
    /// How it is bought.
    pub kind: OfferKind,
    /// How much of it there is.
    pub capacity: Allocation,
    /// Price of one core for an hour.
    pub core_hour: Money,
    /// Price of one GiB of memory for an hour.
    pub gib_hour: Money,
}

impl Offer {
    /// What an amount costs in an hour.
    #[must_use]
    pub fn price_per_hour(&self, amount: &Allocation) -> Money {
        let memory_gib = amount.memory_bytes.get() / GIB;
        Money::new(amount.cpu_cores.get() * self.core_hour.get() + memory_gib * self.gib_hour.get())
    }
}

/// What may be granted. The newest record of a key counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    /// Version of the record.
    #[serde(default)]
    pub version: V1,
    /// When the record takes effect; the log's time where none is given.
    #[serde(default)]
    pub time: EventTime,
    /// The pool.
    pub pool: PoolId,
    /// The resource types, in the pool's order.
    pub offers: Vec<Offer>,
    /// Most that a tenant may hold; a tenant that is not named has no limit but the pool's.
    #[serde(default)]
    pub quotas: BTreeMap<TenantId, Allocation>,
}

impl Pool {
    /// The capacity of all offers together.
    #[must_use]
    pub fn capacity(&self) -> Allocation {
        self.offers.iter().fold(Allocation::ZERO, |sum, offer| sum.plus(offer.capacity))
    }

    /// What is wrong with the record: every fault, each with its mend. Empty when it can be used.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.offers.is_empty() {
            faults.push("no offers: a pool needs at least one resource type".to_owned());
        }
        for offer in &self.offers {
            let amounts = [
                offer.capacity.cpu_cores.get(),
                offer.capacity.memory_bytes.get(),
                offer.core_hour.get(),
                offer.gib_hour.get(),
            ];
            if !amounts.iter().all(|amount| amount.is_finite() && *amount >= 0.0) {
                faults.push(format!("offer {}: capacity and prices must be finite and not negative", offer.offer));
            }
        }
        faults
    }
}

impl Noun for Pool {
    const TOPIC: Topic = Topic::Pools;

    fn key(&self) -> &str {
        self.pool.as_str()
    }

    fn time(&self) -> EventTime {
        self.time
    }

    /// One row an offer would need a join to count pools; the offers and quotas are JSON text instead.
    fn arrow_schema() -> SchemaRef {
        static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
            schema(
                Topic::Pools,
                &[
                    ("time", Column::Time, false),
                    ("pool", Column::Text, false),
                    ("offers", Column::Text, false),
                    ("quotas", Column::Text, false),
                    ("capacity_cpu_cores", Column::Number, false),
                    ("capacity_memory_bytes", Column::Number, false),
                    ("version", Column::Count, false),
                ],
            )
        });
        Arc::clone(&SCHEMA)
    }

    fn to_batch(records: &[Self]) -> Result<arrow::record_batch::RecordBatch, crate::NounError> {
        #[derive(Serialize)]
        struct Row<'a> {
            time: EventTime,
            pool: &'a PoolId,
            offers: &'a [Offer],
            quotas: String,
            capacity: Allocation,
            version: V1,
        }
        let rows: Vec<Row<'_>> = records
            .iter()
            .map(|p| Row {
                time: p.time,
                pool: &p.pool,
                offers: &p.offers,
                quotas: serde_json::to_string(&p.quotas).expect("quotas are amounts under text keys"),
                capacity: p.capacity(),
                version: V1,
            })
            .collect();
        crate::columns::flatten(Self::TOPIC, &Self::arrow_schema(), &rows)
    }
}
