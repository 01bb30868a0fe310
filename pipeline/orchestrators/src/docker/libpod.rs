//! Podman's own update, for versions before 5, which have none under Docker's name: one request over the same socket.
//!
//! The request is plain HTTP/1.1 with the connection closed after it; of the answer only the status line counts, and the
//! first bytes of what it says where it refuses.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use crate::Error;
use crate::limits::Limits;

/// What is read of an answer at most: an error's sentence.
const ANSWER_BYTES_MAX: u64 = 4_096;

/// Sets limits of a container, and its weight where one is given.
///
/// # Errors
/// When nobody answers in time, or with what Podman says.
pub(super) fn update(
    socket: &Path,
    id: &str,
    limits: &Limits,
    shares: Option<i64>,
    most: Duration,
) -> Result<(), Error> {
    let fault = |reason: String| Error::Engine { call: "libpod update", what: id.to_owned(), reason };
    let answer = exchange(socket, &request(id, limits, shares), most).map_err(|error| fault(error.to_string()))?;
    let status = answer.split_whitespace().nth(1).unwrap_or_default();
    if status.starts_with('2') { Ok(()) } else { Err(fault(answer)) }
}

fn request(id: &str, limits: &Limits, shares: Option<i64>) -> String {
    let Limits { quota_us, period_us, memory_bytes } = limits;
    let shares = shares.map(|shares| format!(r#","shares":{shares}"#)).unwrap_or_default();
    let body = format!(
        r#"{{"cpu":{{"quota":{quota_us},"period":{period_us}{shares}}},"memory":{{"limit":{memory_bytes},"swap":{memory_bytes}}}}}"#
    );
    format!(
        "POST /v4.3.0/libpod/containers/{id}/update HTTP/1.1\r\nHost: libpod\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn exchange(socket: &Path, request: &str, most: Duration) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(most))?;
    stream.set_write_timeout(Some(most))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    const LIMITS: Limits = Limits { quota_us: 60_000, period_us: 100_000, memory_bytes: 1 << 20 };

    /// What comes of an update that is answered so, and what was asked.
    fn answered(answer: &'static str) -> (Result<(), Error>, String) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("socket");
        let listener = UnixListener::bind(&path).expect("bound");
        let engine = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("asked");
            let mut asked = vec![0; 1_024];
            let length = stream.read(&mut asked).expect("read");
            stream.write_all(answer.as_bytes()).expect("written");
            String::from_utf8_lossy(&asked[..length]).into_owned()
        });
        let told = update(&path, "abc", &LIMITS, Some(2), Duration::from_secs(5));
        (told, engine.join().expect("answered"))
    }

    #[test]
    fn a_request_says_its_limits() {
        let (told, asked) = answered("HTTP/1.1 201 Created\r\n\r\n");
        told.expect("201");
        assert!(asked.starts_with("POST /v4.3.0/libpod/containers/abc/update HTTP/1.1\r\n"), "{asked}");
        assert!(
            asked.ends_with(
                r#"{"cpu":{"quota":60000,"period":100000,"shares":2},"memory":{"limit":1048576,"swap":1048576}}"#
            ),
            "{asked}"
        );
    }

    #[test]
    fn a_refusal_is_told_in_its_own_words() {
        let (told, _) = answered("HTTP/1.1 404 Not Found\r\n\r\nno such container");
        assert!(told.expect_err("404").to_string().ends_with("no such container"));
        assert!(update(Path::new("/nowhere/socket"), "abc", &LIMITS, None, Duration::from_secs(1)).is_err());
    }
}
