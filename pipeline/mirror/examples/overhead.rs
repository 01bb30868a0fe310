//! What a mirror adds to latency beside nginx as a plain proxy: `make overhead`.
//!
//! The same open load, at equal distances, goes to a service directly, through nginx, through a mirror of nothing and
//! through a mirror of everything, in turn, so that what else the machine does meets all alike. Told is the median over
//! the rounds of each round's p50 and p99; the must is 0.2 ms of p99 beyond nginx at 2000 requests/s.
#![allow(clippy::disallowed_methods, reason = "latency is measured in real time")]
#![allow(clippy::print_stdout, reason = "what it prints is its result")]

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mirror::{Audience, Mirror, MirrorSettings, Stage};
use schemas::{EventTime, Ratio, Span, WorkloadId};
use services::{Arrivals, Cpu, Load, Server, Shape, Spacing, load};

/// Each way is measured so often; the median of nine is not moved by four bad ones.
const ROUNDS: usize = 9;
const ROUND: Duration = Duration::from_secs(4);
const REQUESTS_PER_SECOND: &str = "2000";

/// Hashing of a request: 15 µs, so that the service is not what is measured.
const ROUNDS_OF_HASHING: u64 = 10_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let service = || Server::start(any(), NonZero::<usize>::MIN, Arc::new(Cpu::new(ROUNDS_OF_HASHING)));
    let (primary, shadow) = (service()?, service()?);
    let nginx = Nginx::before(primary.address())?;
    let (idle, busy) = (mirror(&primary, &shadow, 0.0)?, mirror(&primary, &shadow, 1.0)?);
    let ways = [
        ("directly", primary.address()),
        ("nginx", nginx.address),
        ("mirror, p = 0", idle.address()),
        ("mirror, p = 1", busy.address()),
    ];
    let mut latencies: [Vec<(Duration, Duration)>; 4] = Default::default();
    for _ in 0..ROUNDS {
        for ((_, address), latencies) in ways.iter().zip(&mut latencies) {
            latencies.push(round(*address)?);
        }
    }
    for ((name, _), latencies) in ways.iter().zip(&latencies) {
        let (p50, p99) = (median(latencies, |of| of.0), median(latencies, |of| of.1));
        println!("{name:14} p50 {p50:.3} ms   p99 {p99:.3} ms");
    }
    let beyond: Vec<f64> = (0..ROUNDS).map(|at| (ms(latencies[3][at].1)) - ms(latencies[1][at].1)).collect();
    println!("mirror, p = 1, beyond nginx, p99 of each round: {}", shown(beyond));
    println!("copies: {:?}", busy.handle().counts(Audience::Shadow));
    Ok(())
}

fn any() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn mirror(primary: &Server, shadow: &Server, share: f64) -> Result<Mirror, Box<dyn std::error::Error>> {
    let mut stage = Stage::new(WorkloadId::new("web")?, any(), primary.address().into());
    stage.shadow = Some(shadow.address().into());
    let settings = MirrorSettings { lasting_max: Span::from_secs(3_600), ..MirrorSettings::default() };
    let mirror = Mirror::start(settings, stage, |_| {})?;
    let now_ms = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
    mirror.handle().set_share(Audience::Shadow, Ratio::new(share), EventTime::from_millis(now_ms + 3_600_000))?;
    Ok(mirror)
}

/// The p50 and p99 of one round.
fn round(address: SocketAddr) -> Result<(Duration, Duration), Box<dyn std::error::Error>> {
    let shape: Shape = REQUESTS_PER_SECOND.parse()?;
    let outcome = load::run(&Load::new(address, "/work")?, Arrivals::new(&shape, ROUND, Spacing::Even), |_| {})?;
    if outcome.failures.total() > 0 {
        return Err(format!("{address}: {:?}", outcome.failures).into());
    }
    let latency = |quantile| outcome.whole.latency(quantile).ok_or("no answers");
    Ok((latency(0.5)?, latency(0.99)?))
}

fn ms(span: Duration) -> f64 {
    span.as_secs_f64() * 1e3
}

fn median(latencies: &[(Duration, Duration)], of: impl Fn(&(Duration, Duration)) -> Duration) -> f64 {
    let mut sorted: Vec<Duration> = latencies.iter().map(of).collect();
    sorted.sort();
    ms(sorted[sorted.len() / 2])
}

fn shown(mut differences_ms: Vec<f64>) -> String {
    differences_ms.sort_by(f64::total_cmp);
    let all: Vec<String> = differences_ms.iter().map(|difference| format!("{difference:+.3}")).collect();
    format!("{} ms; the median is {}", all.join(" "), all[all.len() / 2])
}

/// nginx as a plain proxy, with its files in a folder of its own. Dropping it ends it.
struct Nginx {
    address: SocketAddr,
    folder: PathBuf,
    child: Child,
}

impl Nginx {
    fn before(primary: SocketAddr) -> io::Result<Self> {
        let address = TcpListener::bind(any())?.local_addr()?;
        let folder = std::env::temp_dir().join(format!("mirror-overhead-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join("nginx.conf"), configuration(&folder, address, primary))?;
        let missing =
            |error: io::Error| io::Error::new(error.kind(), format!("nginx: {error}: apt-get install nginx-light"));
        let child = Command::new("nginx").arg("-c").arg(folder.join("nginx.conf")).spawn().map_err(missing)?;
        let nginx = Self { address, folder, child };
        while TcpStream::connect(address).is_err() {
            thread::sleep(Duration::from_millis(20));
        }
        Ok(nginx)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // The master ends its workers when it is told to terminate, which `kill` here would not let it.
        _ = Command::new("nginx").arg("-c").arg(self.folder.join("nginx.conf")).args(["-s", "stop"]).status();
        _ = self.child.wait();
        _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A plain proxy that keeps its connections and its access log to itself.
fn configuration(folder: &Path, address: SocketAddr, primary: SocketAddr) -> String {
    let folder = folder.display();
    format!(
        "daemon off; worker_processes 2; pid {folder}/pid; error_log {folder}/errors;\n\
         events {{ worker_connections 2048; }}\n\
         http {{\n\
         access_log off; keepalive_requests 1000000;\n\
         client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;\n\
         uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;\n\
         upstream primary {{ server {primary}; keepalive 512; keepalive_requests 1000000; }}\n\
         server {{ listen {address}; location / {{ proxy_pass http://primary; proxy_http_version 1.1;\n\
         proxy_set_header Connection \"\"; }} }}\n\
         }}\n"
    )
}
