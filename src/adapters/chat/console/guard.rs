//! Who may talk to the web server at all: pages that it served itself, under a name that is its.
//!
//! A page of somebody else can make a browser send requests here. It cannot forge the Origin header
//! (so a deed needs ours), and a name of its own that it points at this machine is not in the list.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};

use super::web::Declined;

const POLICY: &str = "default-src 'self'; object-src 'none'; base-uri 'none'; \
                      form-action 'self'; frame-ancestors 'none'";

pub(super) fn layer(router: Router, hosts: &[String]) -> Router {
    let hosts: Arc<[String]> = hosts.into();
    router.layer(middleware::from_fn(move |request: Request, next: Next| {
        let hosts = Arc::clone(&hosts);
        async move {
            let response = match check(&request, &hosts) {
                Ok(()) => next.run(request).await,
                Err(declined) => declined.into_response(),
            };
            with_headers(response)
        }
    }))
}

fn check(request: &Request, hosts: &[String]) -> Result<(), Declined> {
    let headers = request.headers();
    let host = request.uri().authority().map(|authority| authority.as_str().to_owned());
    let host = host.or_else(|| text(headers, header::HOST)).unwrap_or_default();
    if !is_ours(&host, hosts) {
        let why = format!(
            "This console does not answer to the name `{host}`. Open it as localhost, or add the \
             name to the console's settings."
        );
        return Err(Declined(StatusCode::MISDIRECTED_REQUEST, why));
    }
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return Ok(());
    }
    check_origin(headers, &host)?;
    check_content(headers)
}

fn check_origin(headers: &HeaderMap, host: &str) -> Result<(), Declined> {
    let origin = text(headers, header::ORIGIN).unwrap_or_default();
    let from = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    if from.is_some_and(|from| from.eq_ignore_ascii_case(host)) {
        return Ok(());
    }
    let why = "Only the console's own page may do this: the Origin header does not match the Host.";
    Err(Declined(StatusCode::FORBIDDEN, why.to_owned()))
}

/// A form of another page cannot send JSON without asking first.
fn check_content(headers: &HeaderMap) -> Result<(), Declined> {
    let kind = text(headers, header::CONTENT_TYPE).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let why = "Send JSON, with the content type application/json.";
    Err(Declined(StatusCode::UNSUPPORTED_MEDIA_TYPE, why.to_owned()))
}

fn is_ours(host: &str, hosts: &[String]) -> bool {
    let name = without_port(host);
    let is_loopback = name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    is_loopback || hosts.iter().any(|known| without_port(known).eq_ignore_ascii_case(name))
}

fn without_port(host: &str) -> &str {
    if let Some((address, _)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return address;
    }
    host.split_once(':').map_or(host, |(name, _)| name)
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

fn with_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    let mut set = |name, value| headers.insert(name, HeaderValue::from_static(value));
    set(header::CONTENT_SECURITY_POLICY, POLICY);
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::REFERRER_POLICY, "no-referrer");
    set(header::X_FRAME_OPTIONS, "DENY");
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_and_configured_names_are_ours() {
        let hosts = ["Tminus.Example:8080".to_owned()];
        for host in ["localhost", "LOCALHOST:80", "127.0.0.1:4", "127.9.9.9", "[::1]:80"] {
            assert!(is_ours(host, &[]), "{host}");
        }
        assert!(is_ours("tminus.example", &hosts));
        for host in ["", "evil.example", "127.0.0.1.evil.example:80", "10.0.0.1", "[fe80::1]:1"] {
            assert!(!is_ours(host, &hosts), "{host}");
        }
    }
}
