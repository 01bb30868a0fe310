//! The binary of Foreshadow, built once for a test run.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The binary, to be started: of this source and this profile, since what lies beside a test may be older than both.
///
/// Cargo builds a package's binary for the tests of that package alone, so the first call of a process asks it to:
/// a second when there is nothing to build.
///
/// # Panics
/// When it cannot be built, with the compiler's words.
pub fn foreshadow() -> Command {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    Command::new(BUILT.get_or_init(build))
}

fn build() -> PathBuf {
    // A test is at TARGET/PROFILE/deps/NAME-HASH, the binary at TARGET/PROFILE/foreshadow.
    let test = std::env::current_exe().expect("a test has a file");
    let folder = test.ancestors().nth(2).expect("a test lies in deps of its profile's folder");
    let target = folder.parent().expect("a profile's folder lies in the target folder");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--package", "foreshadow", "--target-dir"]).arg(target);
    command.args(["--profile", if cfg!(debug_assertions) { "dev" } else { "release" }]);
    let output = command.current_dir(workspace()).output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    folder.join("foreshadow")
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
