//! Who stands where: the primary that is served, and who sees copies.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use schemas::{InstanceId, Role, TenantId, WorkloadId};

use crate::Error;

/// What a mirror stands before.
#[derive(Clone, Debug)]
pub struct Stage {
    /// The workload that is served.
    pub workload: WorkloadId,
    /// Who owns it.
    pub tenant: TenantId,
    /// Under which instance the mirror's readings are published: another than those that the profiler reads, as two
    /// readings of one instance at one instant would be taken for one sent twice.
    pub instance: InstanceId,
    /// Where clients come; with port 0, any that is free.
    pub listen: SocketAddr,
    /// Whether other mirrors, under instances of their own, may listen at the same address: the kernel shares clients out, and
    /// those of one that is gone come to the others.
    pub is_replica: bool,
    /// Who answers.
    pub primary: Upstream,
    /// Who sees a share of the requests; none where the workload runs without a shadow.
    pub shadow: Option<Upstream>,
    /// A canary and its baseline, which see the same requests; none where no new version is tried.
    pub pair: Option<(Upstream, Upstream)>,
}

/// Who sees copies under one share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// The shadow.
    Shadow,
    /// Canary and baseline: each copy goes to both, or to none.
    Pair,
}

/// A server and how it is spoken to. Written `127.0.0.1:8080`, or `h2c://127.0.0.1:8080`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// Where it listens.
    pub address: SocketAddr,
    /// How it is spoken to.
    pub protocol: Protocol,
}

/// A version of HTTP, without TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2 from the first byte on (prior knowledge).
    Http2,
}

impl Stage {
    /// A workload's primary without an audience, as instance `mirror` of the default tenant.
    #[must_use]
    pub fn new(workload: WorkloadId, listen: SocketAddr, primary: Upstream) -> Self {
        let instance = InstanceId::new("mirror").expect("a plain name");
        let tenant = TenantId::default();
        Self { workload, tenant, instance, listen, is_replica: false, primary, shadow: None, pair: None }
    }

    /// Whether everybody who sees copies is somebody else than the primary and the mirror: a copy that came to either would be
    /// one more request of the primary's, or of the mirror's without end.
    pub(crate) fn check_followers(&self) -> Result<(), Error> {
        let canary_and_baseline = self.pair.map(|(canary, baseline)| [canary, baseline]);
        for follower in self.shadow.into_iter().chain(canary_and_baseline.into_iter().flatten()) {
            let address = follower.address;
            if address == self.primary.address {
                return Err(Error::Follower(address, "the primary listens"));
            }
            if address == self.listen {
                return Err(Error::Follower(address, "the mirror listens"));
            }
        }
        Ok(())
    }

    /// Those that see an audience's copies, with their roles; empty where it has none.
    pub(crate) fn followers(&self, audience: Audience) -> Vec<(Role, Upstream)> {
        match audience {
            Audience::Shadow => self.shadow.map(|shadow| (Role::Shadow, shadow)).into_iter().collect(),
            Audience::Pair => {
                let pair = self.pair.map(|(canary, baseline)| [(Role::Canary, canary), (Role::Baseline, baseline)]);
                pair.into_iter().flatten().collect()
            }
        }
    }
}

impl From<SocketAddr> for Upstream {
    fn from(address: SocketAddr) -> Self {
        Self { address, protocol: Protocol::Http1 }
    }
}

impl FromStr for Upstream {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (protocol, address) = match text.split_once("://") {
            None => (Protocol::Http1, text),
            Some(("http", address)) => (Protocol::Http1, address),
            Some(("h2c", address)) => (Protocol::Http2, address),
            Some((other, _)) => return Err(format!("{other}:// is not spoken here: http:// and h2c:// are")),
        };
        let mend = |_| format!("\"{address}\": write an IP address and a port, such as 127.0.0.1:8080");
        Ok(Self { address: address.parse().map_err(mend)?, protocol })
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.protocol {
            Protocol::Http1 => "http",
            Protocol::Http2 => "h2c",
        };
        write!(f, "{scheme}://{}", self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_reads_what_it_writes() {
        for (text, protocol) in [("127.0.0.1:80", Protocol::Http1), ("h2c://[::1]:80", Protocol::Http2)] {
            let upstream: Upstream = text.parse().expect("an upstream");
            assert_eq!(upstream.protocol, protocol);
            assert_eq!(upstream.to_string().parse(), Ok(upstream));
        }
        assert!("https://127.0.0.1:443".parse::<Upstream>().expect_err("TLS").contains("not spoken"));
        assert!("localhost:80".parse::<Upstream>().expect_err("a name").contains("127.0.0.1:8080"));
    }
}
