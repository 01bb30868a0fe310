//! The binary that users run, and that of the tests' services, as processes of their own.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Between two looks at whether a process has ended.
const PAUSE: Duration = Duration::from_millis(20);

/// A command that starts the binary.
///
/// # Panics
/// When it cannot be built.
pub fn foreshadow() -> Command {
    Command::new(path())
}

/// Where the binary lies. The first call of a test process builds it, so that it is never older than the test, with the
/// profile that the test itself was built with.
///
/// # Panics
/// When it cannot be built.
pub fn path() -> PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| build("foreshadow")).clone()
}

/// Where the services lie, likewise.
///
/// # Panics
/// When they cannot be built.
pub fn services_path() -> PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| build("services")).clone()
}

/// A running process of the binary. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    child: Child,
    told: PathBuf,
}

impl Process {
    /// Starts the command; what it tells goes to the file `told`.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(mut command: Command, told: &Path) -> Self {
        let file = File::options().create(true).append(true).open(told).expect("the folder can be written");
        let errors = file.try_clone().expect("a file can be shared");
        let child = command.stdin(Stdio::null()).stdout(file).stderr(errors).spawn().expect("the binary is there");
        Self { child, told: told.to_owned() }
    }

    /// Kills it at once, as a crash would.
    pub fn kill(&mut self) {
        // A child that has ended already cannot be killed, which is as good.
        let _ = self.child.kill();
        self.child.wait().expect("a child can be waited for");
    }

    /// Kills a process that it has started, if there is one.
    pub fn kill_a_child(&mut self) {
        let pid = self.child.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        let last = children.split_whitespace().last().and_then(|pid| Pid::from_raw(pid.parse().ok()?));
        // It may have ended by itself.
        _ = last.map(|child| kill_process(child, Signal::KILL));
    }

    /// Asks it to end, as an operator's `kill` does, and waits; false when it failed or took longer than `timeout`.
    pub fn terminate(&mut self, timeout: Duration) -> bool {
        // Fails when it has ended already; how, is seen below.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        self.ends_within(timeout).is_some_and(|status| status.success())
    }

    /// Waits until it ends by itself; none when it took longer than `timeout`.
    pub fn ends_within(&mut self, timeout: Duration) -> Option<ExitStatus> {
        let begun = Instant::now();
        while begun.elapsed() < timeout {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                return Some(status);
            }
            thread::sleep(PAUSE);
        }
        None
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_none()
    }

    /// Everything that it has told so far.
    pub fn told(&self) -> String {
        let mut text = String::new();
        let read = File::open(&self.told).and_then(|mut file| file.read_to_string(&mut text));
        read.map_or_else(|error| error.to_string(), |_| text)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn build(name: &str) -> PathBuf {
    let tests = std::env::current_exe().expect("a running program has a path");
    // target/<profile>/deps/<test>: the binary lies two folders up.
    let folder = tests.parent().and_then(Path::parent).expect("tests lie below the profile's folder").to_owned();
    let mut cargo = Command::new(env!("CARGO"));
    // From the workspace's root, so that features are those of this build and nothing is compiled twice.
    cargo.args(["build", "--quiet", "--bin", name, "--target-dir"]);
    cargo.arg(folder.parent().expect("the profile's folder lies in the target folder"));
    if folder.ends_with("release") {
        cargo.arg("--release");
    }
    let built = cargo.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).status().expect("cargo runs the tests");
    assert!(built.success(), "{name} does not build");
    let binary = folder.join(name);
    assert!(fs::exists(&binary).is_ok_and(|there| there), "cargo built {}", binary.display());
    binary
}
