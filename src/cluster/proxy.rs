//! Which proxy a server is asked through: that of the kubeconfig, else that of the environment, by the rules of Go's
//! `net/http` as kubectl has them.

use std::env;
use std::net::IpAddr;

use http::Uri;

use super::error::ClusterError;

/// What can be spoken to a proxy.
const SCHEMES: [&str; 3] = ["http", "https", "socks5"];

/// The proxy for a server; `configured` is the kubeconfig's `proxy-url`.
///
/// # Errors
/// When it is no URL, or of a kind that we cannot speak to. What is said does not hold the URL, which may hold a password.
pub(super) fn proxy_for(server: &Uri, configured: Option<&str>) -> Result<Option<Uri>, ClusterError> {
    let variable =
        |names: [&str; 2]| names.into_iter().find_map(|name| env::var(name).ok().filter(|it| !it.is_empty()));
    let from_environment = || {
        let host = server.host()?.trim_start_matches('[').trim_end_matches(']');
        let is_tls = server.scheme_str() != Some("http");
        let proxy = variable(if is_tls { ["HTTPS_PROXY", "https_proxy"] } else { ["HTTP_PROXY", "http_proxy"] })?;
        let exceptions = variable(["NO_PROXY", "no_proxy"]).unwrap_or_default();
        (!is_excepted(host, server.port_u16().unwrap_or(if is_tls { 443 } else { 80 }), &exceptions)).then_some(proxy)
    };
    let Some(proxy) = configured.filter(|url| !url.is_empty()).map(str::to_owned).or_else(from_environment) else {
        return Ok(None);
    };
    let wrong = |what: &str| {
        ClusterError::with_help(
            format!("the proxy {what}"),
            "write http://HOST:PORT, https://HOST:PORT or socks5://HOST:PORT, in `proxy-url` or in HTTPS_PROXY",
        )
    };
    let uri: Uri = proxy.parse().map_err(|_| wrong("is no URL"))?;
    match uri.scheme_str() {
        Some(scheme) if SCHEMES.contains(&scheme) => Ok(Some(uri)),
        Some(scheme) => Err(wrong(&format!("speaks {scheme}, and that is not supported"))),
        None => Err(wrong("has no scheme")),
    }
}

/// Whether `NO_PROXY` has a host in it, or it is this machine.
fn is_excepted(host: &str, port: u16, exceptions: &str) -> bool {
    let address: Option<IpAddr> = host.parse().ok();
    if host == "localhost" || address.is_some_and(|address| address.is_loopback()) {
        return true;
    }
    exceptions.split(',').map(str::trim).filter(|exception| !exception.is_empty()).any(|exception| {
        if exception == "*" {
            return true;
        }
        if let (Some((network, bits)), Some(address)) = (exception.split_once('/'), address) {
            return is_in_network(address, network, bits);
        }
        let (name, only) = match exception.rsplit_once(':') {
            Some((name, only)) if !name.contains(':') => (name, only.parse().ok()),
            _ => (exception, None),
        };
        if only.is_some_and(|only: u16| only != port) {
            return false;
        }
        if let Ok(excepted) = name.parse::<IpAddr>() {
            return address == Some(excepted);
        }
        // `.a.b` is what is below it; `a.b` is itself too.
        let domain = name.trim_start_matches('*').trim_start_matches('.');
        let is_below = host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
        is_below || !name.starts_with(['.', '*']) && host.eq_ignore_ascii_case(domain)
    })
}

fn is_in_network(address: IpAddr, network: &str, bits: &str) -> bool {
    let (Ok(network), Ok(bits)) = (network.parse::<IpAddr>(), bits.parse::<u32>()) else { return false };
    let same = |a: &[u8], b: &[u8]| {
        (0..bits).all(|bit| {
            let (byte, mask) = (bit as usize / 8, 0x80 >> (bit % 8));
            a.get(byte).zip(b.get(byte)).is_some_and(|(a, b)| a & mask == b & mask)
        })
    };
    match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(b)) => bits <= 32 && same(&a.octets(), &b.octets()),
        (IpAddr::V6(a), IpAddr::V6(b)) => bits <= 128 && same(&a.octets(), &b.octets()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exceptions_are_those_of_go() {
        for (host, exceptions) in [
            ("localhost", ""),
            ("127.0.0.1", ""),
            ("::1", ""),
            ("api.acme.com", "*"),
            ("api.acme.com", "other.com, acme.com"),
            ("api.acme.com", ".acme.com"),
            ("api.acme.com", "*.acme.com"),
            ("acme.com", "acme.com"),
            ("acme.com", "acme.com:6443"),
            ("10.1.2.3", "10.1.2.3"),
            ("10.1.2.3", "10.0.0.0/8,"),
            ("fd00::1", "fd00::/8"),
        ] {
            assert!(is_excepted(host, 6443, exceptions), "{host} in {exceptions:?}");
        }
        for (host, exceptions) in [
            ("api.acme.com", ""),
            ("api.acme.com", ","),
            ("acme.com", ".acme.com"),
            ("evilacme.com", "acme.com"),
            ("acme.com", "acme.com:443"),
            ("11.1.2.3", "10.0.0.0/8"),
            ("10.1.2.3", "10.0.0.0/x"),
        ] {
            assert!(!is_excepted(host, 6443, exceptions), "{host} in {exceptions:?}");
        }
    }

    #[test]
    fn what_is_said_of_a_proxy_holds_no_password() {
        let server = Uri::from_static("https://10.0.0.1:6443");
        for wrong in ["socks5h://bob:secret@proxy:1080", "bob:secret@proxy:1080", "ftp://bob:secret@proxy", ":::secret"]
        {
            let error = proxy_for(&server, Some(wrong)).unwrap_err();
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        assert!(proxy_for(&server, Some("socks5://bob:secret@proxy:1080")).unwrap().is_some());
    }
}
