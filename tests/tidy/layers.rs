//! The crates' layers: who may use whom, and which crate owns which heavy dependency.

use cargo_metadata::{DependencyKind, Metadata};

use crate::{Fault, fault};

/// What a crate says of itself.
pub(crate) struct Crate {
    name: String,
    /// What its code uses; what only its tests use is not of interest.
    uses: Vec<String>,
    features: usize,
}

/// Most cargo features in the workspace: split crates rather than add features. `default` is not counted.
const FEATURES_MAX: usize = 5;

/// Our crates, lowest layer first, and which of ours each may use.
const LAYERS: [(&str, &[&str]); 17] = [
    ("schemas", &[]),
    ("elementary", &[]),
    ("features", &["schemas"]),
    ("anomaly", &["schemas", "elementary"]),
    ("forecast", &["schemas", "elementary"]),
    ("plant", &["schemas", "elementary"]),
    ("scaling", &["schemas", "features"]),
    ("shadow", &["schemas", "features", "elementary"]),
    ("dataflow", &["schemas", "features", "anomaly", "forecast", "scaling", "shadow"]),
    ("topics", &["schemas"]),
    ("wire", &["schemas", "dataflow", "topics"]),
    ("profiler", &["schemas"]),
    ("mirror", &["schemas"]),
    ("query", &["schemas"]),
    ("services", &[]),
    ("orchestrators", &["schemas", "plant"]),
    (
        "jobs",
        &[
            "schemas",
            "features",
            "anomaly",
            "forecast",
            "plant",
            "scaling",
            "shadow",
            "dataflow",
            "query",
            "orchestrators",
        ],
    ),
];
/// Crates at the top, which may use all of ours.
const TOPS: [&str; 2] = ["foreshadow", "end-to-end"];
/// One heavy dependency, one crate.
const OWNERS: [(&str, &str); 7] = [
    ("rdkafka", "topics"),
    ("timely", "dataflow"),
    ("differential-dataflow", "dataflow"),
    ("burn", "forecast"),
    ("datafusion", "query"),
    ("kube", "orchestrators"),
    ("bollard", "orchestrators"),
];

/// The workspace's crates.
pub(crate) fn crates(metadata: &Metadata) -> Vec<Crate> {
    let packages = metadata.workspace_packages();
    let uses = |package: &cargo_metadata::Package| {
        let normal = package.dependencies.iter().filter(|dependency| dependency.kind == DependencyKind::Normal);
        normal.map(|dependency| dependency.name.clone()).collect()
    };
    let crates = packages.into_iter().map(|package| Crate {
        name: package.name.to_string(),
        uses: uses(package),
        features: package.features.keys().filter(|feature| *feature != "default").count(),
    });
    crates.collect()
}

/// Dependencies that point the wrong way, and heavy ones outside their owner.
pub(crate) fn faults(crates: &[Crate]) -> Vec<Fault> {
    let ours: Vec<&str> = crates.iter().map(|krate| krate.name.as_str()).collect();
    let mut faults = Vec::new();
    for Crate { name, uses, .. } in crates {
        let allowed = LAYERS.iter().find(|(layer, _)| layer == name).map(|(_, allowed)| *allowed);
        if allowed.is_none() && !TOPS.contains(&name.as_str()) {
            faults.push(fault(name, 1, "a crate without a layer: give it one in tests/tidy/layers.rs"));
        }
        for used in uses {
            let upward =
                ours.contains(&used.as_str()) && allowed.is_some_and(|allowed| !allowed.contains(&used.as_str()));
            if upward {
                faults.push(fault(name, 1, format!("uses {used}, which is not below it: move what they share down")));
            }
            if let Some((_, owner)) = OWNERS.iter().find(|(heavy, owner)| heavy == used && owner != name) {
                faults.push(fault(name, 1, format!("uses {used}, which only {owner} may: go through {owner}")));
            }
        }
    }
    faults
}

/// Too many features.
pub(crate) fn feature_faults(crates: &[Crate]) -> Option<Fault> {
    let count: usize = crates.iter().map(|krate| krate.features).sum();
    (count > FEATURES_MAX).then(|| {
        fault("Cargo.toml", 1, format!("{count} cargo features, at most {FEATURES_MAX}: split crates instead"))
    })
}

/// A crate that does not take the workspace's lints.
pub(crate) fn lint_faults(path: &str, manifest: &str) -> Option<Fault> {
    let mend = "add `[lints] workspace = true`: the house rules hold for every crate";
    (!manifest.contains("[lints]\nworkspace = true")).then(|| fault(path, 1, mend))
}

mod tests {
    use super::*;

    fn krate(name: &str, uses: &[&str]) -> Crate {
        Crate { name: name.to_owned(), uses: uses.iter().map(ToString::to_string).collect(), features: 0 }
    }

    fn mends(crates: &[Crate]) -> Vec<String> {
        faults(crates).into_iter().map(|fault| fault.to_string()).collect()
    }

    #[test]
    fn a_layered_workspace_passes() {
        let crates = [krate("schemas", &["serde"]), krate("scaling", &["schemas"]), krate("topics", &["rdkafka"])];
        assert_eq!(mends(&crates), Vec::<String>::new());
    }

    #[test]
    fn an_upward_dependency_is_found() {
        let crates =
            [krate("schemas", &["scaling"]), krate("scaling", &[]), krate("foreshadow", &["schemas", "scaling"])];
        assert_eq!(mends(&crates), ["schemas:1: uses scaling, which is not below it: move what they share down"]);
    }

    #[test]
    fn a_heavy_dependency_outside_its_owner_is_found() {
        let crates = [krate("foreshadow", &["rdkafka"])];
        assert_eq!(mends(&crates), ["foreshadow:1: uses rdkafka, which only topics may: go through topics"]);
    }

    #[test]
    fn a_crate_without_a_layer_is_found() {
        assert_eq!(faults(&[krate("newcomer", &[])]).len(), 1);
    }

    #[test]
    fn too_many_features_are_found() {
        let of = |features| [Crate { features, ..krate("query", &[]) }];
        assert!(feature_faults(&of(FEATURES_MAX)).is_none());
        assert!(feature_faults(&of(FEATURES_MAX + 1)).is_some());
    }

    #[test]
    fn a_crate_without_the_lints_is_found() {
        assert!(lint_faults("jobs/Cargo.toml", "[package]\nname = \"jobs\"\n").is_some());
        assert!(lint_faults("jobs/Cargo.toml", "[lints]\nworkspace = true\n").is_none());
    }
}
