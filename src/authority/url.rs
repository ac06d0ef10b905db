//! What the server makes of a request's URL (`pkg/endpoints/request/requestinfo.go`, `NewRequestInfo`).

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use smallvec::SmallVec;

/// The URL of a request. The server decodes the path first and splits it then: an encoded slash separates, too.
#[derive(Debug, Clone)]
pub struct RequestUrl<'u> {
    path: Cow<'u, str>,
    query: &'u str,
}

impl<'u> RequestUrl<'u> {
    /// Reads a URL as a client sends it and audit events have it (`requestURI`).
    pub fn parse(uri: &'u str) -> Self {
        let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
        Self { path: percent_decode_str(path).decode_utf8_lossy(), query }
    }

    /// Returns the path about which an authorizer is asked, if the request is not for a resource.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the namespace and the name about which an authorizer is asked, each empty for none; none if the path is not
    /// one of a resource.
    pub fn namespace_and_name(&self, verb: &str) -> Option<(&str, Cow<'_, str>)> {
        let mut parts: SmallVec<[&str; 10]> = self.path.trim_matches('/').split('/').collect();
        let prefix = match parts.first().copied() {
            Some("api") => 2,
            Some("apis") => 3,
            _ => return None,
        };
        if parts.len() <= prefix {
            return None;
        }
        parts.drain(..prefix);
        let verb_in_path = parts.len() > 1 && ["watch", "proxy"].contains(&parts[0]);
        if verb_in_path {
            parts.remove(0);
        }
        let (namespace, name) = match parts.as_slice() {
            // A namespace is in itself, and so are its parts.
            ["namespaces", name] | ["namespaces", name, "status" | "finalize", ..] => (*name, *name),
            ["namespaces", namespace, _, rest @ ..] => (*namespace, rest.first().copied().unwrap_or_default()),
            [_, rest @ ..] => ("", rest.first().copied().unwrap_or_default()),
            [] => return None,
        };
        let selected = (name.is_empty() && !verb_in_path).then(|| self.selected_name(verb)).flatten();
        Some((namespace, selected.unwrap_or(Cow::Borrowed(name))))
    }

    /// Returns the name to which a list or watch is limited, by which rules with names allow it. The server does not look
    /// for it where a collection is deleted.
    fn selected_name(&self, verb: &str) -> Option<Cow<'u, str>> {
        if !["list", "watch"].contains(&verb) {
            return None;
        }
        let selector = self.query.split('&').find_map(|pair| pair.strip_prefix("fieldSelector="))?;
        let selector = percent_decode_str(selector).decode_utf8_lossy();
        let name = selector.split(',').find_map(|term| term.strip_prefix("metadata.name="))?;
        let name = name.strip_prefix('=').unwrap_or(name);
        let is_segment = !name.is_empty() && ![".", ".."].contains(&name) && !name.contains(['/', '%']);
        is_segment.then(|| name.to_owned().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_is_decoded_before_it_is_split() {
        for (uri, path) in [
            ("/foo%20bar/b%2Fc", "/foo bar/b/c"),
            ("/foo%20bar/b%2fc?x=%2F", "/foo bar/b/c"),
            ("/a+b/%25", "/a+b/%"),
            ("/%zz", "/%zz"),
            ("/%ff", "/\u{fffd}"),
            ("//api", "//api"),
            ("/", "/"),
        ] {
            assert_eq!(RequestUrl::parse(uri).path(), path, "{uri}");
        }
        for (uri, expected) in [
            ("/namespaces/shop%2Fpods", None),
            ("/foo%2Fbar/b%2Fc", None),
            ("/api%2Fv1%2Fpods", Some(("", ""))),
            ("/api/v1/namespaces/shop%2Fpods", Some(("shop", ""))),
            ("/api/v1/namespaces%2Fshop%2Fpods%2Fweb", Some(("shop", "web"))),
            ("/api/v1/namespaces/shop/pods/web%2Flog", Some(("shop", "web"))),
            ("/api/v1/namespaces/shop/services/a%3Ab/proxy", Some(("shop", "a:b"))),
            ("/apis/apps%2Fv1/deployments", Some(("", ""))),
            ("/api/v1/nodes/a%20b", Some(("", "a b"))),
        ] {
            let url = RequestUrl::parse(uri);
            let found = url.namespace_and_name("get");
            assert_eq!(found.as_ref().map(|(namespace, name)| (*namespace, &**name)), expected, "{uri}");
        }
    }

    #[test]
    fn namespaces_and_names() {
        for (verb, uri, expected) in [
            ("get", "/api", None),
            ("get", "/api/v1", None),
            ("get", "/api/v1/", None),
            ("get", "/apis/apps/v1", None),
            ("get", "/healthz", None),
            ("list", "/apis/apps/v1/deployments/", Some(("", ""))),
            ("get", "//api/v1/nodes/n1/", Some(("", "n1"))),
            ("create", "/api/v1/namespaces/shop/pods", Some(("shop", ""))),
            ("create", "/api/v1/namespaces/shop/pods/web/exec?command=sh", Some(("shop", "web"))),
            ("get", "/apis/apps/v1/namespaces/shop/deployments/web/scale", Some(("shop", "web"))),
            ("get", "/api/v1/namespaces/shop", Some(("shop", "shop"))),
            ("update", "/api/v1/namespaces/shop/finalize", Some(("shop", "shop"))),
            ("get", "/api/v1/namespaces/shop/status/x", Some(("shop", "shop"))),
            ("create", "/api/v1/namespaces", Some(("", ""))),
            ("get", "/api/v1/nodes/n1", Some(("", "n1"))),
            ("proxy", "/api/v1/proxy/namespaces/shop/pods/web/x", Some(("shop", "web"))),
            ("watch", "/api/v1/watch/namespaces/shop/pods/web", Some(("shop", "web"))),
            ("watch", "/api/v1/watch/pods?fieldSelector=metadata.name%3Dweb", Some(("", ""))),
            ("get", "/api/v1/watch", Some(("", ""))),
        ] {
            let url = RequestUrl::parse(uri);
            let found = url.namespace_and_name(verb);
            assert_eq!(found.as_ref().map(|(namespace, name)| (*namespace, &**name)), expected, "{verb} {uri}");
        }
        for (verb, selector, expected) in [
            ("list", "metadata.name=web", "web"),
            ("watch", "metadata.name%3Dweb", "web"),
            ("list", "a.b%3Dc%2Cmetadata.name%3D%3Dweb&limit=1", "web"),
            ("list", "metadata.name%21%3Dweb", ""),
            ("list", "metadata.name=a%2Fb", ""),
            ("list", "metadata.name=a%25b", ""),
            ("list", "metadata.name=..", ""),
            ("list", "metadata.name=", ""),
            ("deletecollection", "metadata.name=web", ""),
            ("create", "metadata.name=web", ""),
        ] {
            let uri = format!("/api/v1/namespaces/shop/secrets?watch=true&fieldSelector={selector}");
            let url = RequestUrl::parse(&uri);
            let (namespace, name) = url.namespace_and_name(verb).unwrap();
            assert_eq!((namespace, &*name), ("shop", expected), "{verb} {selector}");
        }
    }
}
