//! Where control groups are mounted, by controller.
//!
//! A machine has one tree for all controllers (version 2), one tree each (version 1), or both: a hybrid machine keeps
//! its controllers in version 1 and mounts version 2 for the rest. So each reading asks for its own controller.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// The roots of the trees; none where a controller is not in version 1, or version 2 is not mounted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mounts {
    pub(crate) v1_cpu: Option<PathBuf>,
    pub(crate) v1_cpuacct: Option<PathBuf>,
    pub(crate) v1_memory: Option<PathBuf>,
    pub(crate) v1_blkio: Option<PathBuf>,
    pub(crate) v2: Option<PathBuf>,
}

impl Mounts {
    /// Reads the machine's table of mounts; those below `cgroup_root` count.
    pub(crate) fn of_machine(table: &Path, cgroup_root: &Path) -> io::Result<Self> {
        Ok(Self::parse(&std::fs::read(table)?, cgroup_root))
    }

    /// Every root once, in a fixed order.
    pub(crate) fn roots(&self) -> Vec<&Path> {
        let all = [&self.v2, &self.v1_cpu, &self.v1_cpuacct, &self.v1_memory, &self.v1_blkio];
        let mut roots: Vec<&Path> = Vec::new();
        for root in all.into_iter().flatten() {
            if !roots.contains(&root.as_path()) {
                roots.push(root);
            }
        }
        roots
    }

    fn parse(table: &[u8], cgroup_root: &Path) -> Self {
        let mut mounts = Self::default();
        for mount in table.split(|&byte| byte == b'\n').filter_map(Mount::parse) {
            if !mount.place.starts_with(cgroup_root) {
                continue;
            }
            let keep = |root: &mut Option<PathBuf>| _ = root.get_or_insert_with(|| mount.place.clone());
            match mount.kind {
                b"cgroup2" => keep(&mut mounts.v2),
                b"cgroup" => mount.options.split(|&byte| byte == b',').for_each(|controller| match controller {
                    b"cpu" => keep(&mut mounts.v1_cpu),
                    b"cpuacct" => keep(&mut mounts.v1_cpuacct),
                    b"memory" => keep(&mut mounts.v1_memory),
                    b"blkio" => keep(&mut mounts.v1_blkio),
                    _ => {}
                }),
                _ => {}
            }
        }
        mounts
    }
}

struct Mount<'t> {
    place: PathBuf,
    kind: &'t [u8],
    options: &'t [u8],
}

impl<'t> Mount<'t> {
    /// A line `36 31 0:33 / /sys/fs/cgroup/cpu rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct`: the place is the
    /// fifth field; kind, source and options follow the dash, before which any number of fields may stand.
    fn parse(line: &'t [u8]) -> Option<Self> {
        let mut fields = line.split(|&byte| byte == b' ');
        let place = unescaped(fields.nth(4)?);
        let mut after_dash = fields.skip_while(|field| *field != b"-").skip(1);
        Some(Self { place, kind: after_dash.next()?, options: after_dash.nth(1)? })
    }
}

/// Blanks and backslashes stand as `\040` in the table.
fn unescaped(field: &[u8]) -> PathBuf {
    let mut path = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, after)) = rest.split_first() {
        let octal = after.get(..3).filter(|_| first == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                path.push(byte);
                rest = &after[3..];
            }
            None => {
                path.push(first);
                rest = after;
            }
        }
    }
    OsString::from_vec(path).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::tests::kernel_like;

    proptest::proptest! {
        #[test]
        fn no_table_panics(text in kernel_like()) {
            let _ = parse(&text);
        }
    }

    fn parse(table: &str) -> Mounts {
        Mounts::parse(table.as_bytes(), Path::new("/sys/fs/cgroup"))
    }

    #[test]
    fn a_hybrid_machine_has_both() {
        let mounts = parse(
            "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard\n\
             31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n\
             32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n\
             35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
             41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n",
        );
        let at = |place: &str| Some(PathBuf::from(place));
        assert_eq!(mounts.v1_cpu, at("/sys/fs/cgroup/cpu,cpuacct"));
        assert_eq!(mounts.v1_cpuacct, mounts.v1_cpu);
        assert_eq!(mounts.v1_memory, at("/sys/fs/cgroup/memory"));
        assert_eq!(mounts.v1_blkio, None);
        assert_eq!(mounts.v2, at("/sys/fs/cgroup/unified"));
        assert_eq!(mounts.roots().len(), 3, "cpu and cpuacct share one tree");
    }

    #[test]
    fn a_unified_machine_has_one() {
        let mounts = parse("30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n");
        assert_eq!(mounts, Mounts { v2: Some("/sys/fs/cgroup".into()), ..Mounts::default() });
    }

    #[test]
    fn mounts_elsewhere_and_torn_lines_do_not_count() {
        assert_eq!(
            parse("30 23 0:26 / /mnt/other rw - cgroup2 cgroup2 rw\n30 23 0:26 / /sys/fs/cgroup rw -"),
            Mounts::default()
        );
    }

    #[test]
    fn blanks_in_a_place_are_read() {
        assert_eq!(unescaped(br"/mnt/my\040disk\134x"), PathBuf::from(r"/mnt/my disk\x"));
        assert_eq!(unescaped(br"/mnt/a\9"), PathBuf::from(r"/mnt/a\9"));
    }
}
