//! Amounts for people: a few digits and a unit.

use schemas::{Allocation, Resource};

/// Units of memory, largest first.
const UNITS: [(&str, f64); 4] = [
    ("TiB", (1_u64 << 40) as f64),
    ("GiB", (1_u64 << 30) as f64),
    ("MiB", (1_u64 << 20) as f64),
    ("KiB", (1_u64 << 10) as f64),
];

/// An amount of a resource, given in cores or bytes.
pub(crate) fn amount(resource: Resource, value: f64) -> String {
    match resource {
        Resource::Cpu => format!("{} cores", cores(value)),
        Resource::Memory => bytes(value),
    }
}

/// Both amounts.
pub(crate) fn both(allocation: &Allocation) -> String {
    Resource::ALL.map(|resource| amount(resource, allocation.get(resource))).join(", ")
}

/// What changes of a resource; none where nothing does.
pub(crate) fn change(resource: Resource, before: &Allocation, after: &Allocation) -> Option<String> {
    let [from, to] = [before, after].map(|of| of.get(resource));
    (from != to).then(|| format!("{} {} -> {}", resource.name(), amount(resource, from), amount(resource, to)))
}

/// Cores without their unit: thousandths below a tenth.
pub(crate) fn cores(value: f64) -> String {
    if value != 0.0 && value.abs() < 0.1 { format!("{value:.3}") } else { format!("{value:.2}") }
}

/// Bytes in the largest unit of which there is a whole one.
pub(crate) fn bytes(value: f64) -> String {
    match UNITS.iter().find(|(_, unit)| value.abs() >= *unit) {
        Some((name, unit)) => format!("{:.2} {name}", value / unit),
        None => format!("{value:.0} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_amounts_keep_their_digits() {
        assert_eq!([2.25, 0.1, 0.042, 0.0, -0.5].map(cores), ["2.25", "0.10", "0.042", "0.00", "-0.50"]);
        // 1.5 GiB = 1 610 612 736; 40 MiB = 41 943 040; 2 KiB = 2048.
        let shown = [1_610_612_736.0, 41_943_040.0, 2_048.0, 17.0, 0.0, -41_943_040.0].map(bytes);
        assert_eq!(shown, ["1.50 GiB", "40.00 MiB", "2.00 KiB", "17 B", "0 B", "-40.00 MiB"]);
        let held = Allocation::new(2.0, 4_294_967_296.0);
        assert_eq!(both(&held), "2.00 cores, 4.00 GiB");
        let raised = held.with(Resource::Cpu, 3.0);
        assert_eq!(change(Resource::Cpu, &held, &raised).as_deref(), Some("cpu 2.00 cores -> 3.00 cores"));
        assert_eq!(change(Resource::Memory, &held, &raised), None);
    }
}
