//! Whether the host has room for shadows.
//!
//! ```text
//! busy = (used + stolen − shadows' own) ÷ all CPU time        over at least a second
//! ```
//!
//! Shadows go when `busy` reaches a limit, or little memory is available; they come back once both have been well below
//! for a while. What a hypervisor stole counts: the host wanted it. What cannot be read is no room: no shadow runs then.
//!
//! Why not the kernel's pressure (PSI): it counts whoever waits for CPU, and a saturated shadow, which is what shadows are
//! for, waits nearly always. One loop under a quota of a tenth of a core on an idle machine makes `some` 0.92. It would stop itself
//! by its own success. Version 2 has pressure without the shadows, by group; version 1, which most of these machines still
//! have, has not.

use std::path::{Path, PathBuf};

use schemas::EventTime;

use super::controls::read;

/// When shadows go, and when they come back.
#[derive(Clone, Debug, PartialEq)]
pub struct HostLimits {
    /// Where the host's counters are: `/proc`.
    pub proc_root: PathBuf,
    /// Shadows go when this share of all CPU time is taken by others. Above 1: never.
    pub stop_busy_ratio: f64,
    /// Below this share they may come back.
    pub resume_busy_ratio: f64,
    /// Shadows go when less than this share of memory is available; twice as much lets them come back.
    pub stop_available_ratio: f64,
    /// How long there must be room before they come back, in milliseconds.
    pub calm_ms: u64,
}

/// How full the host is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// Not read yet, or it cannot be.
    Unknown,
    /// Shadows may run.
    Enough,
    /// They may not, for now.
    Short,
}

/// What is remembered of the host between two looks.
#[derive(Debug)]
pub(super) struct Host {
    limits: HostLimits,
    last: Option<Counters>,
    looked: EventTime,
    room: Room,
    /// Since when there has been room again; none while there is not.
    calm_since: Option<EventTime>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Counters {
    /// Used and stolen, in nanoseconds.
    busy_ns: u64,
    all_ns: u64,
    shadows_ns: u64,
}

/// What one look says.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Look {
    busy_ratio: f64,
    available_ratio: f64,
}

/// Between two looks: ticks are 10 ms, so that shares are true to 1 % a processor.
const LOOK_MS: u64 = 1_000;

/// The kernel's unit here on every Linux: hundredths of a second.
const TICK_NS: u64 = 10_000_000;

impl Default for HostLimits {
    /// Nine tenths busy, or less than a twentieth of memory left; back below three quarters for half a minute.
    fn default() -> Self {
        Self {
            proc_root: "/proc".into(),
            stop_busy_ratio: 0.9,
            resume_busy_ratio: 0.75,
            stop_available_ratio: 0.05,
            calm_ms: 30_000,
        }
    }
}

impl Host {
    /// A host that was not looked at.
    pub(super) fn new(limits: HostLimits) -> Self {
        Self { limits, last: None, looked: EventTime::default(), room: Room::Unknown, calm_since: None }
    }

    /// How full it is, with `shadows_ns` of CPU time used by shadows so far; looks again where a second has passed.
    pub(super) fn room(&mut self, shadows_ns: Option<u64>, now: EventTime) -> Room {
        if now.millis().abs_diff(self.looked.millis()) < LOOK_MS {
            return self.room;
        }
        self.looked = now;
        let counters = Counters::read(&self.limits.proc_root, shadows_ns);
        let look = counters.zip(self.last).and_then(|(now, last)| Look::over(&self.limits.proc_root, last, now));
        self.last = counters;
        let room = self.judge(look, now);
        if room != self.room {
            tracing::info!(before = ?self.room, ?room, ?look, "room for shadows");
        }
        self.room = room;
        room
    }

    fn judge(&mut self, look: Option<Look>, now: EventTime) -> Room {
        let Some(look) = look else {
            self.calm_since = None;
            return Room::Unknown;
        };
        let HostLimits { stop_busy_ratio, resume_busy_ratio, stop_available_ratio, calm_ms, .. } = self.limits;
        if look.busy_ratio >= stop_busy_ratio || look.available_ratio < stop_available_ratio {
            self.calm_since = None;
            return Room::Short;
        }
        if self.room != Room::Short {
            return Room::Enough;
        }
        let is_calm = look.busy_ratio < resume_busy_ratio && look.available_ratio >= 2.0 * stop_available_ratio;
        self.calm_since = is_calm.then(|| self.calm_since.unwrap_or(now));
        let has_lasted = self.calm_since.is_some_and(|since| now >= since.plus(calm_ms));
        if has_lasted { Room::Enough } else { Room::Short }
    }
}

impl Counters {
    fn read(proc_root: &Path, shadows_ns: Option<u64>) -> Option<Self> {
        let (busy, all) = ticks(&read(&proc_root.join("stat")).ok()?)?;
        Some(Self { busy_ns: busy.checked_mul(TICK_NS)?, all_ns: all.checked_mul(TICK_NS)?, shadows_ns: shadows_ns? })
    }
}

impl Look {
    fn over(proc_root: &Path, last: Counters, now: Counters) -> Option<Self> {
        let passed = |field: fn(&Counters) -> u64| field(&now).checked_sub(field(&last));
        let (busy, all) = (passed(|counters| counters.busy_ns)?, passed(|counters| counters.all_ns)?);
        let others = busy.saturating_sub(passed(|counters| counters.shadows_ns)?);
        let memory = read(&proc_root.join("meminfo")).ok()?;
        let available_ratio = kib(&memory, "MemAvailable:")? / kib(&memory, "MemTotal:")?;
        (all > 0).then(|| Self { busy_ratio: others as f64 / all as f64, available_ratio })
    }
}

/// Busy and all ticks of the line `cpu user nice system idle iowait irq softirq steal guest guest_nice`; guests are in
/// user too.
fn ticks(text: &str) -> Option<(u64, u64)> {
    let fields = text.lines().next()?.strip_prefix("cpu ")?.split_whitespace().take(8);
    let fields: Vec<u64> = fields.map(|field| field.parse().ok()).collect::<Option<_>>()?;
    let [user, nice, system, idle, iowait, irq, softirq, steal] = fields.try_into().ok()?;
    let busy = user + nice + system + irq + softirq + steal;
    Some((busy, busy + idle + iowait))
}

fn kib(text: &str, key: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(busy_ratio: f64) -> Option<Look> {
        Some(Look { busy_ratio, available_ratio: 0.5 })
    }

    fn at(second: u64) -> EventTime {
        EventTime::from_millis(second * 1_000)
    }

    fn judge(host: &mut Host, look: Option<Look>, second: u64) -> Room {
        host.room = host.judge(look, at(second));
        host.room
    }

    #[test]
    fn what_goes_comes_back_only_after_it_has_been_calm_for_a_while() {
        let mut host = Host::new(HostLimits::default());
        assert_eq!(judge(&mut host, look(0.89), 1), Room::Enough);
        assert_eq!(judge(&mut host, look(0.9), 2), Room::Short);
        // Below the upper limit, above the lower one: not calm.
        assert_eq!(judge(&mut host, look(0.8), 3), Room::Short);
        assert_eq!(judge(&mut host, look(0.7), 10), Room::Short);
        assert_eq!(judge(&mut host, look(0.7), 39), Room::Short, "29 s");
        assert_eq!(judge(&mut host, look(0.8), 40), Room::Short, "it begins anew");
        assert_eq!(judge(&mut host, look(0.7), 50), Room::Short);
        assert_eq!(judge(&mut host, look(0.7), 80), Room::Enough);
    }

    #[test]
    fn little_memory_is_no_room_and_neither_is_what_cannot_be_read() {
        let mut host = Host::new(HostLimits::default());
        let little = Some(Look { busy_ratio: 0.1, available_ratio: 0.04 });
        assert_eq!(judge(&mut host, look(0.1), 1), Room::Enough);
        assert_eq!(judge(&mut host, little, 2), Room::Short);
        assert_eq!(judge(&mut host, None, 3), Room::Unknown);
    }

    #[test]
    fn a_shadow_does_not_count_against_itself() {
        let folder = tempfile::tempdir().expect("a folder");
        let put = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
        put("meminfo", "MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: 500 kB\n");
        let limits = HostLimits { proc_root: folder.path().into(), ..HostLimits::default() };
        let mut host = Host::new(limits.clone());
        put("stat", "cpu  0 0 0 0 0 0 0 0 0 0\n");
        assert_eq!(host.room(Some(0), at(1)), Room::Unknown, "rates need a second look");
        // 95 of 100 ticks are taken, five of them stolen, and the shadow has 50 of them: 0.45 are others'.
        put("stat", "cpu  60 20 10 5 0 0 0 5 0 0\n");
        assert_eq!(host.room(Some(50 * TICK_NS), at(2)), Room::Enough);
        let mut blind = Host::new(limits);
        put("stat", "cpu  0 0 0 0 0 0 0 0 0 0\n");
        blind.room(Some(0), at(1));
        put("stat", "cpu  60 20 10 5 0 0 0 5 0 0\n");
        assert_eq!(blind.room(Some(0), at(2)), Room::Short, "0.95 without the shadow's part");
        assert_eq!(blind.room(None, at(3)), Room::Unknown);
    }

    #[test]
    fn torn_counters_are_none() {
        assert_eq!(ticks("cpu  1 2 3 4 5 6 7 8 9 10\n"), Some((1 + 2 + 3 + 6 + 7 + 8, 36)));
        assert_eq!(ticks("cpu  1 2 3\n"), None);
        assert_eq!(ticks(""), None);
    }
}
