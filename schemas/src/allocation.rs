//! What a workload is given: CPU and memory, together.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Bytes, Cores};

/// One of the two resources that are sized.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    /// CPU, in cores.
    Cpu,
    /// Memory, in bytes.
    Memory,
}

impl Resource {
    /// Both resources, in the order in which they are settled.
    pub const ALL: [Self; 2] = [Self::Cpu, Self::Memory];

    /// The name in records and tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
        }
    }
}

/// An amount of each resource: what is requested for all instances of one role of a workload together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Allocation {
    /// CPU, in cores.
    pub cpu_cores: Cores,
    /// Memory, in bytes.
    pub memory_bytes: Bytes,
}

impl Allocation {
    /// Nothing of either.
    pub const ZERO: Self = Self::new(0.0, 0.0);

    /// An amount from bare numbers: cores and bytes.
    #[must_use]
    pub const fn new(cpu_cores: f64, memory_bytes: f64) -> Self {
        Self { cpu_cores: Cores::new(cpu_cores), memory_bytes: Bytes::new(memory_bytes) }
    }

    /// The amount of one resource, in its base unit.
    #[must_use]
    pub const fn get(&self, resource: Resource) -> f64 {
        match resource {
            Resource::Cpu => self.cpu_cores.get(),
            Resource::Memory => self.memory_bytes.get(),
        }
    }

    /// The same amount with one resource replaced.
    #[must_use]
    pub const fn with(self, resource: Resource, amount: f64) -> Self {
        match resource {
            Resource::Cpu => Self { cpu_cores: Cores::new(amount), ..self },
            Resource::Memory => Self { memory_bytes: Bytes::new(amount), ..self },
        }
    }

    /// Applies `f` to each resource of the two amounts.
    #[must_use]
    pub fn zip(self, other: Self, f: impl Fn(f64, f64) -> f64) -> Self {
        Self::new(f(self.cpu_cores.get(), other.cpu_cores.get()), f(self.memory_bytes.get(), other.memory_bytes.get()))
    }

    /// The sum.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }

    /// The difference, which may be negative.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        self.zip(other, |a, b| a - b)
    }

    /// The larger of each resource.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        self.zip(other, f64::max)
    }

    /// The smaller of each resource.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        self.zip(other, f64::min)
    }

    /// The amount times a factor.
    #[must_use]
    pub fn times(self, factor: f64) -> Self {
        self.zip(Self::ZERO, |a, _| a * factor)
    }

    /// Whether both resources are at most the other's.
    #[must_use]
    pub fn fits(&self, other: &Self) -> bool {
        Resource::ALL.iter().all(|&r| self.get(r) <= other.get(r))
    }
}
