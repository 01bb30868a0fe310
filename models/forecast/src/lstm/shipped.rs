//! The champion that ships with the product: it serves until a record of the registry names another.

use super::weights::{ArtifactError, Card, Weights};

/// Its artifact, `models/champion/lstm.safetensors`.
pub const SHIPPED: &[u8] = include_bytes!("../../../champion/lstm.safetensors");

/// Its weights, and what it says of itself.
///
/// # Errors
/// When the file is of another version of the inputs than this build, or damaged.
pub fn shipped() -> Result<(Weights, Card), ArtifactError> {
    Weights::from_bytes(SHIPPED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_champion_can_serve() {
        let (weights, card) = shipped().expect("it is of this build's inputs");
        assert_eq!(weights.hidden(), card.hidden);
        // The range that forward passes and records were laid out for; a record of the registry holds 512 KiB.
        assert!((10_000..60_000).contains(&weights.parameters()), "{} parameters", weights.parameters());
    }
}
