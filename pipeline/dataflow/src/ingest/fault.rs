//! What cannot be used, as a dead letter.

use schemas::{Reject, RejectReason, V1};

use crate::Delivery;

/// What is wrong with a delivery, or with a row of it.
pub(super) struct Fault {
    pub(super) row: Option<usize>,
    pub(super) reason: RejectReason,
    pub(super) detail: String,
}

impl Fault {
    /// The dead letter; it holds the bytes where they could not be read at all.
    pub(super) fn about(self, delivery: &Delivery) -> Reject {
        let value = delivery.value.as_deref().unwrap_or_default();
        Reject {
            version: V1,
            time: delivery.time,
            source: delivery.key.clone(),
            topic: delivery.topic.name().to_owned(),
            partition: delivery.partition,
            offset: delivery.offset,
            row: self.row.map(|row| row as u64),
            reason: self.reason,
            detail: self.detail,
            length_bytes: value.len() as u64,
            excerpt_base64: if self.row.is_none() { Reject::excerpt(value) } else { String::new() },
        }
    }
}
