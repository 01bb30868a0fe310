//! Starts a program in its control group.
//!
//! A shell writes its own number into the group and becomes the program. So the program runs in its group from its first
//! instruction, and nothing here needs code that is not safe.
//!
//! A shadow is started under `timeout`, which kills it at its end even where this adapter is long gone, and is the first
//! that the kernel kills when the machine is short of memory.

use std::fs::OpenOptions;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use schemas::Role;

use super::group::Group;
use crate::Error;
use crate::services::ServiceSpec;

/// What is started beside the service's own command.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) role: Role,
    pub(super) index: usize,
    /// How long it may live at most; for ever where none is given.
    pub(super) lives: Option<Duration>,
}

/// Its arguments are a score for the kernel's killer (only a shadow must have it: to lower one takes a right), the group's files, `--`, and the program with its arguments.
const PLACE: &str = r#"
echo "$1" > /proc/self/oom_score_adj || [ "$1" = 0 ] || exit 125
shift
while [ "$1" != -- ]; do
    echo $$ > "$1" || exit 125
    shift
done
shift
exec "$@"
"#;

/// The kernel's highest: killed before everything else.
const KILLED_FIRST: &str = "1000";

const KILLED_AS_USUAL: &str = "0";

/// The variable that says what was started; see [`ServiceSpec::revision`].
pub(super) const REVISION: &str = "FORESHADOW_REVISION";

/// Where programs are looked for when the adapter has no path of its own.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Starts one part of a service in `group`.
pub(super) fn start(service: &ServiceSpec, part: Part, group: &Group) -> Result<Child, Error> {
    let mut command = Command::new("/bin/sh");
    let is_shadow = part.role == Role::Shadow;
    command.args(["-c", PLACE, "place", if is_shadow { KILLED_FIRST } else { KILLED_AS_USUAL }]);
    command.args(group.doors()).arg("--");
    if let Some(lives) = part.lives {
        command.args(["timeout", "--signal=KILL", &format!("{:.3}", lives.as_secs_f64())]);
    }
    command.args(&service.command);
    environment(&mut command, service, part);
    output(&mut command, service)?;
    if let Some(directory) = &service.directory {
        command.current_dir(directory);
    }
    // A group of its own, so that an interrupt at the terminal reaches the adapter alone, which then stops things in order.
    command.stdin(Stdio::null()).process_group(0);
    let fault = |source| Error::Start { workload: service.name().to_owned(), program: program(service), source };
    command.spawn().map_err(fault)
}

fn environment(command: &mut Command, service: &ServiceSpec, part: Part) {
    command.env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap_or_else(|| PATH.into()));
    command.envs(&service.environment);
    if part.role == Role::Shadow {
        command.envs(&service.shadow_environment);
    }
    command.env(REVISION, service.revision().unwrap_or_default());
    command.env("FORESHADOW_ROLE", part.role.name()).env("FORESHADOW_INSTANCE", part.index.to_string());
}

fn output(command: &mut Command, service: &ServiceSpec) -> Result<(), Error> {
    let Some(path) = &service.output else { return Ok(()) };
    let opened = OpenOptions::new().create(true).append(true).open(path).and_then(|file| Ok((file.try_clone()?, file)));
    let (out, err) = opened.map_err(|source| Error::File { path: path.clone(), source })?;
    command.stdout(out).stderr(err);
    Ok(())
}

fn program(service: &ServiceSpec) -> PathBuf {
    service.command.first().map(PathBuf::from).unwrap_or_default()
}
