//! An engine of a test's own, and its containers, gone at the test's end whatever happens.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::cgroup::group::Group;
use crate::cgroup::hierarchy::Hierarchy;
use crate::docker::engine::group_of;

const IMAGE: &str = "localhost/foreshadow-test:1";

/// On a machine of both versions of control groups `crun` refuses; limits above what a machine may set refuse too.
const SETTINGS: &str = "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=4096:4096\"]\n\
    [engine]\nruntime = \"runc\"\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n";

/// Podman's service, on a socket and a store of its own.
pub(super) struct Podman {
    pub(super) socket: PathBuf,
    folder: tempfile::TempDir,
    service: Option<Child>,
}

impl Podman {
    /// An engine with an image of one program; none, loudly, where it cannot be had.
    pub(super) fn new() -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let mut podman = Self { socket: folder.path().join("engine.sock"), folder, service: None };
        match podman.begin() {
            Ok(()) => Some(podman),
            Err(reason) => {
                eprintln!("SKIPPED: no Podman to test with ({reason}): apt-get install podman runc busybox-static");
                None
            }
        }
    }

    /// A workload's name that no other test has.
    pub(super) fn name(&self, workload: &str) -> String {
        let own = self.folder.path().file_name().expect("a folder's name").to_string_lossy().to_lowercase();
        format!("{workload}-{}", own.trim_start_matches('.'))
    }

    /// Starts a container of a workload with 64 MiB; its id.
    pub(super) fn run(&self, workload: &str, role: &str, cores: &str, command: &[&str]) -> String {
        let labels = [format!("foreshadow.workload={workload}"), format!("foreshadow.role={role}")];
        let mut run = vec!["run", "-d", "--network", "none", "--cpus", cores, "--memory", "64m"];
        labels.iter().for_each(|label| run.extend(["--label", label]));
        run.push(IMAGE);
        run.extend(command);
        self.podman(&run).expect("it starts")
    }

    /// Ends a container.
    pub(super) fn remove(&self, id: &str) {
        self.podman(&["rm", "-f", "-t", "0", id]).expect("it ends");
    }

    /// The control group of a container.
    pub(super) fn group(&self, id: &str) -> Group {
        let pid = self.podman(&["inspect", "--format", "{{.State.Pid}}", id]).expect("it runs");
        let path = group_of(pid.parse().expect("a number")).expect("in a group");
        Group::new(&Hierarchy::of_machine("").expect("this machine's"), Path::new(&path))
    }

    fn begin(&mut self) -> Result<(), String> {
        std::fs::write(self.folder.path().join("containers.conf"), SETTINGS).map_err(|error| error.to_string())?;
        self.image()?;
        let address = format!("unix://{}", self.socket.display());
        let mut service = self.command(&["system", "service", "--time=0", &address]);
        let service = service.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        self.service = Some(service.map_err(|error| error.to_string())?);
        for _ in 0..1_000 {
            if self.answers().is_ok_and(|answers| answers) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err("its service does not begin".to_owned())
    }

    /// On a busy machine the socket is there seconds before anybody answers, and the first answer is the slowest.
    fn answers(&self) -> std::io::Result<bool> {
        let mut stream = UnixStream::connect(&self.socket)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        stream.write_all(b"GET /version HTTP/1.0\r\nHost: engine\r\n\r\n")?;
        let mut answer = [0; 16];
        Ok(stream.read(&mut answer)? > 0)
    }

    /// A root of one static program and its usual names.
    fn image(&self) -> Result<(), String> {
        let bin = self.folder.path().join("root/bin");
        std::fs::create_dir_all(&bin).map_err(|error| error.to_string())?;
        std::fs::copy("/bin/busybox", bin.join("busybox")).map_err(|error| format!("/bin/busybox: {error}"))?;
        for name in ["sh", "sleep", "head", "tail"] {
            std::os::unix::fs::symlink("busybox", bin.join(name)).map_err(|error| error.to_string())?;
        }
        let (root, tar) = (self.folder.path().join("root"), self.folder.path().join("root.tar"));
        let packed = Command::new("tar").arg("-cf").arg(&tar).arg("-C").arg(root).arg(".").status();
        packed.map_err(|error| error.to_string())?;
        self.podman(&["import", &tar.display().to_string(), IMAGE]).map(|_| ())
    }

    fn podman(&self, arguments: &[&str]) -> Result<String, String> {
        let output = self.command(arguments).output().map_err(|error| error.to_string())?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let path = |name: &str| self.folder.path().join(name);
        let mut command = Command::new("podman");
        command.env("CONTAINERS_CONF", path("containers.conf"));
        command.arg("--root").arg(path("store")).arg("--runroot").arg(path("run"));
        command.args(["--storage-driver", "vfs"]).args(arguments);
        command
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        let _ended = self.podman(&["rm", "-f", "-a", "-t", "0"]);
        if let Some(service) = &mut self.service {
            let _killed = service.kill();
            let _reaped = service.wait();
        }
    }
}
