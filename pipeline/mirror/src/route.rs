//! Which requests may be mirrored at all: a method and a path, or all paths that begin so.

use std::fmt;
use std::str::FromStr;

use hyper::Method;

/// One method on one path (`POST /search`), or on all paths that begin alike (`GET /shop/*`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    method: Method,
    path: String,
    /// Whether the path is only a beginning.
    open: bool,
}

impl Route {
    /// Whether a request is meant.
    #[must_use]
    pub fn covers(&self, method: &Method, path: &str) -> bool {
        let same = || if self.open { path.starts_with(&self.path) } else { path == self.path };
        *method == self.method && same()
    }
}

impl FromStr for Route {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mend = "no route: write a method and a path, such as \"POST /search\" or \"GET /*\"";
        let (method, path) = text.split_once(' ').ok_or(mend)?;
        let (path, open) = path.strip_suffix('*').map_or((path, false), |beginning| (beginning, true));
        let sound = path.starts_with('/') && !path.contains(['*', ' ', '?']);
        let upper = !method.is_empty() && method.chars().all(|letter| letter.is_ascii_uppercase());
        let method = method.parse().ok().filter(|_| sound && upper).ok_or(mend)?;
        Ok(Self { method, path: path.to_owned(), open })
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}{}", self.method, self.path, if self.open { "*" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(text: &str) -> Route {
        text.parse().expect("a route")
    }

    #[test]
    fn a_route_is_one_path_or_all_that_begin_alike() {
        assert!(route("GET /*").covers(&Method::GET, "/"));
        assert!(!route("GET /*").covers(&Method::POST, "/"));
        assert!(route("POST /search").covers(&Method::POST, "/search"));
        assert!(!route("POST /search").covers(&Method::POST, "/search/all"));
        assert!(route("POST /search/*").covers(&Method::POST, "/search/all"));
    }

    #[test]
    fn a_route_reads_what_it_writes_and_refuses_the_rest_with_the_mend() {
        for text in ["GET /*", "POST /search", "PUT /a/b*"] {
            assert_eq!(route(text).to_string(), text);
        }
        for wrong in ["", "GET", "/search", "GET search", "get /search", "* /", "GET /a*b", "GET /a?b=c"] {
            assert!(wrong.parse::<Route>().expect_err(wrong).contains("POST /search"));
        }
    }
}
