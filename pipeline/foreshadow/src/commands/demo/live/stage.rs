//! What the live demonstration runs: one service with its shadow, and who pays.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use anyhow::Context;
use orchestrators::Services;
use schemas::WorkloadId;

use crate::commands::mirror::Arguments;

/// The workload: a name of its own, for `actuate` without a suffix would take another's groups of that name for its own.
pub(super) const WORKLOAD: &str = "demo-web";

/// The 99th percentile that it has to meet, in seconds.
pub(super) const SLO_S: f64 = 0.25;

/// Where everybody listens, on this machine alone.
pub(super) struct Stage {
    /// Where the load goes: the mirror.
    pub(super) front: SocketAddr,
    primary: SocketAddr,
    /// None where the workload runs without one.
    shadow: Option<SocketAddr>,
}

impl Stage {
    /// On ports that nobody has now, with a shadow or without.
    ///
    /// # Errors
    /// When there are none.
    pub(super) fn on_free_ports(shadow: bool) -> anyhow::Result<Self> {
        let listeners = [(); 3].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
        let mut addresses = Vec::new();
        for listener in &listeners {
            let listener = listener.as_ref().map_err(|error| anyhow::anyhow!("no free port: {error}"))?;
            addresses.push(listener.local_addr()?);
        }
        Ok(Self { front: addresses[0], primary: addresses[1], shadow: shadow.then_some(addresses[2]) })
    }

    /// The services file: this binary serves, with a quarter of a core, and a shadow of a quarter of that under half of its
    /// requests, which is at twice its load.
    ///
    /// # Errors
    /// When this binary cannot be found.
    pub(super) fn services(&self) -> anyhow::Result<Services> {
        let program = std::env::current_exe().context("the path of this binary")?;
        let program = program.to_str().context("the path of this binary is no UTF-8: move it")?;
        let primary = self.primary;
        let listen =
            self.shadow.map(|shadow| format!("shadow_environment = {{ LISTEN = \"{shadow}\" }}")).unwrap_or_default();
        let shadow = self.shadow.map_or("", |_| "shadow = { size_ratio = 0.25, mirrored_share = 0.5 }");
        let text = format!(
            r#"
            [[pool]]
            pool = "machine"
            [[pool.offers]]
            offer = "own"
            kind = "committed"
            capacity = {{ cpu_cores = 1.5, memory_bytes = 1073741824 }}
            core_hour = 0.04
            gib_hour = 0.004
            [[service]]
            command = [{program:?}, "service"]
            environment = {{ LISTEN = "{primary}" }}
            {listen}
            output = "/dev/null"
            shadow_lives = "1h"
            shadow_rests = "1s"
            [service.workload]
            workload = "{WORKLOAD}"
            orchestrator = "cgroup"
            pool = "machine"
            mode = "act"
            allocation = {{ cpu_cores = 0.25, memory_bytes = 134217728 }}
            min = {{ cpu_cores = 0.25, memory_bytes = 67108864 }}
            max = {{ cpu_cores = 1.25, memory_bytes = 268435456 }}
            step = {{ cpu_cores = 0.05, memory_bytes = 16777216 }}
            slo_latency_p99 = {SLO_S}
            unmet_cost = 0.95
            idle_cost = 0.05
            {shadow}
            "#
        );
        Services::parse(&text, "cgroup").map_err(|faults| anyhow::anyhow!(faults.join("; ")))
    }

    /// What the mirror is asked for.
    pub(super) fn mirror(&self) -> Arguments {
        Arguments {
            workload: WorkloadId::new(WORKLOAD).expect("a plain name"),
            listen: self.front,
            primary: self.primary.into(),
            shadow: self.shadow.map(Into::into),
            canary: None,
            baseline: None,
            replica: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_services_can_be_used_and_all_listen_elsewhere() {
        let stage = Stage::on_free_ports(true).expect("free ports");
        let services = stage.services().expect("no fault");
        let shadow = services.services[0].workload.shadow.expect("a shadow");
        // Half of the requests on a quarter of the resources.
        assert_eq!(shadow.amplification(), 2.0);
        let ports = [stage.front, stage.primary, stage.shadow.expect("asked for")].map(|address| address.port());
        assert!(ports[0] != ports[1] && ports[1] != ports[2] && ports[0] != ports[2], "{ports:?}");
        let alone = Stage::on_free_ports(false).expect("free ports").services().expect("no fault");
        assert_eq!(alone.services[0].workload.shadow, None);
    }
}
