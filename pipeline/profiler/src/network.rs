//! Bytes received and sent, by network namespace.
//!
//! The kernel counts traffic by interface, not by process. Where an instance has a namespace of its own, as a
//! container has, all traffic of that namespace is its; where it shares the machine's, its traffic is not known.

use std::fs;
use std::path::{Path, PathBuf};

use crate::kernel_file::{Buffer, KernelFile};
use crate::parse::{fields, lines, number};

/// Bytes so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    pub(crate) receive_bytes: u64,
    pub(crate) transmit_bytes: u64,
}

/// A network namespace, by its link: `net:[4026531833]`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Namespace(PathBuf);

impl Namespace {
    /// The namespace of a process (`self` for our own); none when it ended or is another user's.
    pub(crate) fn of(proc_root: &Path, process: &str) -> Option<Self> {
        fs::read_link(proc_root.join(process).join("ns/net")).ok().map(Self)
    }
}

/// The interfaces of one namespace.
///
/// The open file keeps the namespace alive after its last process: discovery closes it within its interval.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) namespace: Namespace,
    interfaces: KernelFile,
}

impl Network {
    /// Opens the table of the namespace that process `pid` is in.
    pub(crate) fn open(proc_root: &Path, pid: u32, namespace: Namespace) -> Self {
        Self { namespace, interfaces: KernelFile::open(&proc_root.join(format!("{pid}/net/dev"))) }
    }

    pub(crate) fn read(&self, buffer: &mut Buffer) -> Option<Traffic> {
        self.interfaces.read_table(buffer).ok().flatten().and_then(|table| traffic(table, is_outward))
    }
}

/// Whether an interface leads out of an instance's namespace: all but the loopback.
fn is_outward(interface: &[u8]) -> bool {
    interface != b"lo"
}

/// Whether an interface leads out of the machine, by its name.
///
/// Bridges, bonds, tunnels, VLANs (`eth0.100`) and the machine's ends of containers' links carry what a network card carries
/// again.
pub(crate) fn is_card(interface: &[u8]) -> bool {
    const INNER: [&[u8]; 20] = [
        b"bond",
        b"br",
        b"cali",
        b"cilium_",
        b"cni",
        b"docker",
        b"dummy",
        b"flannel",
        b"ifb",
        b"kube-ipvs",
        b"lxc",
        b"tap",
        b"team",
        b"tun",
        b"veth",
        b"virbr",
        b"vlan",
        b"vnet",
        b"vxlan",
        b"wg",
    ];
    is_outward(interface) && !interface.contains(&b'.') && !INNER.iter().any(|prefix| interface.starts_with(prefix))
}

/// Sums `net/dev` over the interfaces that count. The name ends at the first colon; bytes received are the first
/// column after it and bytes sent the ninth.
pub(crate) fn traffic(text: &[u8], counts: fn(&[u8]) -> bool) -> Option<Traffic> {
    const HEADER_LINES: usize = 2;
    let mut sum = Traffic::default();
    for line in lines(text).filter(|_| !text.is_empty())?.skip(HEADER_LINES) {
        let colon = line.iter().position(|&byte| byte == b':')?;
        let (name, columns) = (fields(&line[..colon]).next()?, &line[colon + 1..]);
        if counts(name) {
            let mut columns = fields(columns);
            sum.receive_bytes = sum.receive_bytes.checked_add(number(columns.next()?)?)?;
            sum.transmit_bytes = sum.transmit_bytes.checked_add(number(columns.nth(7)?)?)?;
        }
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::tests::kernel_like;

    proptest::proptest! {
        #[test]
        fn no_table_panics(text in kernel_like()) {
            let _ = traffic(text.as_bytes(), is_card);
        }
    }

    const NET_DEV: &[u8] = b"Inter-|   Receive                                                |  Transmit\n \
        face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n    \
        lo: 121600411  130605    0    0    0     0          0         0 121600411  130605    0    0    0     0       0          0\n  \
        eth0: 213686078    9853    0    0    0     0          0         0  1067835    6590    0    0    0     0       0          0\n\
        vethab1:5 1 0 0 0 0 0 0 7 1 0 0 0 0 0 0\n";

    #[test]
    fn the_loopback_is_not_traffic() {
        let outward = Traffic { receive_bytes: 213_686_083, transmit_bytes: 1_067_842 };
        assert_eq!(traffic(NET_DEV, is_outward), Some(outward), "eth0 + vethab1, without a blank after the colon");
    }

    #[test]
    fn the_machine_counts_its_cards_only() {
        let cards = Traffic { receive_bytes: 213_686_078, transmit_bytes: 1_067_835 };
        assert_eq!(traffic(NET_DEV, is_card), Some(cards));
    }

    #[test]
    fn a_torn_table_is_missing() {
        assert_eq!(traffic(b"", is_outward), None);
        assert_eq!(traffic(&NET_DEV[..NET_DEV.len() - 3], is_outward), None);
        assert_eq!(traffic(b"Inter-|\n face |\n  eth0: 5 1\n", is_outward), None);
    }

    #[test]
    fn our_own_namespace_is_known() {
        let own = Namespace::of(Path::new("/proc"), "self");
        assert!(own.is_some());
        assert_eq!(own, Namespace::of(Path::new("/proc"), &std::process::id().to_string()));
        assert_eq!(Namespace::of(Path::new("/proc"), "0"), None);
    }
}
