//! Validity of names, as far as the server's decisions depend on it (`k8s.io/apimachinery/pkg/util/validation`).

/// The longest name of a service account or node.
pub const DNS_SUBDOMAIN_LENGTH: usize = 253;
/// What [`is_dns_subdomain`] checks but for the length, as a regular expression (RE2), for whoever has the server check it.
pub const DNS_SUBDOMAIN: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";

/// Whether `name` is a DNS label (RFC 1123): a valid namespace.
pub fn is_dns_label(name: &str) -> bool {
    name.len() <= 63 && is_label(name.as_bytes())
}

/// Whether `name` is a DNS subdomain (RFC 1123): a valid name of a service account or node.
pub fn is_dns_subdomain(name: &str) -> bool {
    name.len() <= DNS_SUBDOMAIN_LENGTH && name.as_bytes().split(|byte| *byte == b'.').all(is_label)
}

fn is_label(label: &[u8]) -> bool {
    let alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    label.first().is_some_and(alphanumeric)
        && label.last().is_some_and(alphanumeric)
        && label.iter().all(|byte| alphanumeric(byte) || *byte == b'-')
}

/// Whether `key` is a domain, a slash and a path: what constrained impersonation demands of the key of an extra
/// (`IsDomainPrefixedPath`).
pub fn is_domain_prefixed_path(key: &str) -> bool {
    let path_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&byte);
    key.split_once('/')
        .is_some_and(|(domain, path)| is_dns_subdomain(domain) && !path.is_empty() && path.bytes().all(path_byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["a", "a-b", "0a", &"a".repeat(63)] {
            assert!(is_dns_label(good), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a.b", "a_b", "a:b", &"a".repeat(64)] {
            assert!(!is_dns_label(bad), "{bad}");
        }
        // The length of a single label of a subdomain is not checked.
        for good in ["a", "a.b", &"a".repeat(253)] {
            assert!(is_dns_subdomain(good), "{good}");
        }
        for bad in ["", ".", "a.", ".a", "a..b", "a/b", &"a".repeat(254)] {
            assert!(!is_dns_subdomain(bad), "{bad}");
        }
    }

    #[test]
    fn keys_of_extras() {
        for good in ["acme.com/project", "a/b", "a/B", "a/b/c", "a/%2f"] {
            assert!(is_domain_prefixed_path(good), "{good}");
        }
        for bad in ["", "scopes", "/b", "a/", "A/b", "a_b/c", "a/b c", "a/ü", "originaluser.jetstack.io-user"] {
            assert!(!is_domain_prefixed_path(bad), "{bad}");
        }
    }
}
