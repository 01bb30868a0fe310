//! What of a request's head goes on: to the primary all but what concerns one connection; to a follower also no
//! credentials, and a mark.

use std::net::{IpAddr, SocketAddr};

use hyper::header::{self, HeaderName, HeaderValue};
use hyper::http::uri::{Authority, InvalidUriParts, Parts, PathAndQuery, Scheme};
use hyper::{HeaderMap, Uri};
use schemas::Role;

use crate::stage::{Protocol, Upstream};

/// The header that marks a copy with the role of who sees it.
pub(crate) const MARK: HeaderName = HeaderName::from_static("x-foreshadow-role");

/// Where clients came from, each proxy's client behind those before.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Headers of one connection, beside those that `Connection` itself names (RFC 9110, section 7.6.1). `Expect` is met here:
/// a client is told to continue as soon as its body is read.
const OF_ONE_CONNECTION: [HeaderName; 6] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::EXPECT,
];

/// Leaves out what concerns the connection that a message came over.
pub(crate) fn keep_end_to_end(headers: &mut HeaderMap) {
    let named = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let named: Vec<HeaderName> =
        named.flat_map(|value| value.split(',')).filter_map(|name| name.trim().parse().ok()).collect();
    named.iter().chain(&OF_ONE_CONNECTION).for_each(|name| while headers.remove(name).is_some() {});
    // That trailers are understood holds for the way as a whole, and gRPC insists on it.
    if headers.get(header::TE).is_some_and(|value| value != "trailers") {
        headers.remove(header::TE);
    }
}

/// Says whom a request came from.
pub(crate) fn add_client(headers: &mut HeaderMap, client: IpAddr) {
    let before = headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
    let all: Vec<String> = before.map(str::to_owned).chain([client.to_string()]).collect();
    if let Ok(all) = all.join(", ").parse() {
        headers.insert(FORWARDED_FOR, all);
    }
}

/// Leaves out what would let a follower act for a user.
pub(crate) fn strip(headers: &mut HeaderMap, credentials: &[HeaderName]) {
    credentials.iter().for_each(|name| while headers.remove(name).is_some() {});
}

/// Marks a copy.
pub(crate) fn mark(headers: &mut HeaderMap, role: Role) {
    headers.insert(MARK, HeaderValue::from_static(role.name()));
}

/// The target of a request as the upstream's protocol wants it: with HTTP/1.1 the path, and the host in a header; with
/// HTTP/2 both in one.
///
/// # Errors
/// When the target has no path that HTTP/2 can carry, such as `*`.
pub(crate) fn aim(uri: &Uri, headers: &mut HeaderMap, upstream: Upstream) -> Result<Uri, InvalidUriParts> {
    let mut parts = Parts::default();
    parts.path_and_query = Some(uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/")));
    let host = host(uri, headers, upstream.address);
    match upstream.protocol {
        Protocol::Http1 => {
            headers.insert(header::HOST, host);
            join_cookies(headers);
        }
        Protocol::Http2 => {
            headers.remove(header::HOST);
            parts.scheme = Some(Scheme::HTTP);
            parts.authority = Authority::try_from(host.as_bytes()).ok();
        }
    }
    Uri::from_parts(parts)
}

/// Cookies in one field: clients of HTTP/2 may send several, which many servers of HTTP/1.1 do not take (RFC 9113, 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let crumbs: Vec<&[u8]> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if crumbs.len() > 1
        && let Ok(all) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..]))
    {
        headers.insert(header::COOKIE, all);
    }
}

/// Whom the client meant: what stands in the target counts before the header, and where neither does, the upstream.
fn host(uri: &Uri, headers: &HeaderMap, upstream: SocketAddr) -> HeaderValue {
    let authority = uri.authority().and_then(|authority| authority.as_str().parse().ok());
    let given = authority.or_else(|| headers.get(header::HOST).cloned());
    given.unwrap_or_else(|| upstream.to_string().parse().expect("an address is a header's value"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")));
        pairs.collect::<Vec<(HeaderName, HeaderValue)>>().into_iter().fold(
            HeaderMap::new(),
            |mut all, (name, value)| {
                all.append(name, value);
                all
            },
        )
    }

    #[test]
    fn what_concerns_one_connection_stays_on_it() {
        let mut of = headers(&[
            ("connection", "close, x-private"),
            ("connection", "x-other"),
            ("x-private", "1"),
            ("x-other", "1"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("te", "gzip"),
            ("expect", "100-continue"),
            ("authorization", "the primary decides on it"),
        ]);
        keep_end_to_end(&mut of);
        assert_eq!(of, headers(&[("authorization", "the primary decides on it")]));
        let mut of = headers(&[("te", "trailers")]);
        keep_end_to_end(&mut of);
        assert_eq!(of, headers(&[("te", "trailers")]));
    }

    #[test]
    fn a_client_stands_behind_those_before() {
        let mut of = headers(&[("x-forwarded-for", "10.0.0.1"), ("x-forwarded-for", "10.0.0.2")]);
        add_client(&mut of, IpAddr::from([10, 0, 0, 3]));
        assert_eq!(of, headers(&[("x-forwarded-for", "10.0.0.1, 10.0.0.2, 10.0.0.3")]));
    }

    #[test]
    fn every_value_of_a_credential_is_left_out() {
        let mut of = headers(&[("cookie", "a=1"), ("cookie", "b=2"), ("accept", "*/*")]);
        strip(&mut of, &[header::COOKIE]);
        assert_eq!(of, headers(&[("accept", "*/*")]));
    }

    #[test]
    fn the_host_travels_in_the_form_of_the_protocol() {
        let address = SocketAddr::from(([127, 0, 0, 1], 80));
        let (http1, http2) = (Upstream::from(address), Upstream { address, protocol: Protocol::Http2 });
        let aimed = |uri: &'static str, pairs: &[(&str, &str)], upstream| {
            let mut headers = headers(pairs);
            let uri = aim(&Uri::from_static(uri), &mut headers, upstream).map(|uri| uri.to_string());
            (uri.ok(), headers.get(header::HOST).map(|host| host.to_str().expect("text").to_owned()))
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(aimed("/a?b", &[("host", "shop")], http1), (some("/a?b"), some("shop")));
        assert_eq!(aimed("http://shop/a", &[("host", "other")], http1), (some("/a"), some("shop")));
        assert_eq!(aimed("/a", &[], http1), (some("/a"), some("127.0.0.1:80")));
        assert_eq!(aimed("/a?b", &[("host", "shop")], http2), (some("http://shop/a?b"), None));
    }
}
