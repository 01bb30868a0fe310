//! Laws of the ensemble.
