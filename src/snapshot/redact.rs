//! Names to hashes that say nothing, and still mean the same to RBAC: one name has one hash wherever it stands, and a
//! name that the server takes for that of a service account, a node or neither stays one.

use sha2::{Digest, Sha256};
use smol_str::{SmolStr, format_smolstr};

use super::object::{ListedObject, Part};
use crate::authority::{is_dns_label, is_dns_subdomain};
use crate::inventory::{ClusterFacts, NotRead};
use crate::syntax::Value;

/// Names that every cluster has.
const COMMON: [&str; 9] =
    ["*", "admin", "cluster-admin", "default", "edit", "kube-node-lease", "kube-public", "kube-system", "view"];

/// The value of the label by which the API server marks its own roles.
const BOOTSTRAPPED: &str = "rbac-defaults";

/// What names begin with that the server makes itself (`bootstrappolicy`, `pkg/authentication/user`); of others that begin
/// with `system:`, the rest is hashed.
const OF_SYSTEM: [&str; 29] = [
    "aggregate-to-admin",
    "aggregate-to-edit",
    "aggregate-to-view",
    "anonymous",
    "apiserver",
    "auth-delegator",
    "authenticated",
    "basic-user",
    "bootstrappers",
    "certificates.k8s.io:",
    "controller:",
    "coredns",
    "discovery",
    "heapster",
    "kube-",
    "kubelet-api-admin",
    "masters",
    "metrics-server",
    "monitoring",
    "node-bootstrapper",
    "node-problem-detector",
    "node-proxier",
    "nodes",
    "persistent-volume-provisioner",
    "public-info-viewer",
    "service-account-issuer-discovery",
    "serviceaccounts",
    "unauthenticated",
    "volume-scheduler",
];

/// What hashes depend on: who does not have it cannot try names out.
#[derive(Clone)]
pub struct Key([u8; 32]);

impl Key {
    /// A key that nobody has: hashes are comparable within one snapshot only.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub fn random() -> Result<Self, String> {
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(|error| format!("no random key can be made: {error}"))?;
        Ok(Self(key))
    }

    /// A key from a secret: whoever has it makes the same hashes.
    pub fn of_secret(secret: &[u8]) -> Self {
        Self(Sha256::digest(secret).into())
    }
}

/// Replaces names by hashes.
///
/// Kept are the names that every cluster has, those of Kubernetes itself that begin with `system:` (not the names in them
/// of service accounts, namespaces and nodes), API groups, resources, verbs, paths, and the keys of extras: what RBAC is about.
pub struct Redactor {
    key: Key,
}

impl Redactor {
    /// One that hashes with this key.
    pub fn new(key: Key) -> Self {
        Self { key }
    }

    /// What stands for a name.
    pub fn name(&self, name: &str) -> SmolStr {
        if name.is_empty() || COMMON.contains(&name) {
            return SmolStr::new(name);
        }
        if let Some(account) = name.strip_prefix("system:serviceaccount:") {
            // Malformed ones are users to the server, and stay malformed.
            return match account.split_once(':') {
                Some((namespace, account)) => {
                    format_smolstr!("system:serviceaccount:{}:{}", self.name(namespace), self.name(account))
                }
                None => format_smolstr!("system:serviceaccount:{}", self.hash(account)),
            };
        }
        for prefix in ["system:serviceaccounts:", "system:node:"] {
            if let Some(rest) = name.strip_prefix(prefix) {
                return format_smolstr!("{prefix}{}", self.name(rest));
            }
        }
        match name.strip_prefix("system:") {
            Some("node") => SmolStr::new(name),
            Some(rest) => {
                let is_known = |known: &&str| rest == *known || known.ends_with([':', '-']) && rest.starts_with(*known);
                if OF_SYSTEM.iter().any(is_known) {
                    SmolStr::new(name)
                } else {
                    format_smolstr!("system:{}", self.hash(rest))
                }
            }
            None => self.hash(name),
        }
    }

    /// A hash that is a DNS label, a DNS subdomain only, or neither, as the name is.
    fn hash(&self, name: &str) -> SmolStr {
        let mut hasher = Sha256::new();
        hasher.update(self.key.0);
        hasher.update(name.as_bytes());
        let digest = hasher.finalize();
        let number = digest.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        let mark = match (is_dns_label(name), is_dns_subdomain(name)) {
            (true, _) => "n-",
            (false, true) => "n.",
            (false, false) => "N-",
        };
        format_smolstr!("{mark}{number:016x}")
    }

    /// A label's key or value: those that say nothing about anyone stay.
    fn label(&self, text: &str) -> SmolStr {
        let of_kubernetes = |key: &str| {
            let domain = key.split_once('/').map_or("", |(domain, _)| domain);
            let is_below =
                |parent| domain.strip_suffix(parent).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
            is_below("k8s.io") || is_below("kubernetes.io")
        };
        let is_common = ["", "true", "false", BOOTSTRAPPED].contains(&text);
        if is_common || of_kubernetes(text) { SmolStr::new(text) } else { self.hash(text) }
    }

    /// Redacts an object. Annotations, owners and finalizers, on which no grant depends, are dropped.
    pub(super) fn redact(&self, object: &mut ListedObject) {
        let metadata = &mut object.metadata;
        metadata.name = self.name(&metadata.name);
        metadata.namespace = metadata.namespace.as_deref().map(|namespace| self.name(namespace));
        let labels = std::mem::take(&mut metadata.labels).into_iter();
        metadata.labels = labels.map(|(key, value)| (self.label(&key), self.label(&value))).collect();
        metadata.annotations.clear();
        metadata.owner_references = Part(None);
        metadata.finalizers = Part(None);
        for part in [&mut object.aggregation_rule, &mut object.rules, &mut object.role_ref, &mut object.subjects] {
            if let Some(value) = &mut part.0 {
                self.redact_part(value);
            }
        }
    }

    /// Redacts the fields of a rule, a selector, a reference or a subject that hold names.
    fn redact_part(&self, value: &mut Value) {
        match value {
            Value::List(items) => items.iter_mut().for_each(|item| self.redact_part(item)),
            Value::Map(entries) => {
                for (key, value) in entries {
                    match (key.as_str(), value) {
                        ("name" | "namespace", Value::Text(name)) => *name = self.name(name),
                        ("resourceNames", Value::List(names)) => {
                            let texts = names.iter_mut().filter_map(|name| match name {
                                Value::Text(name) => Some(name),
                                _ => None,
                            });
                            texts.for_each(|name| *name = self.name(name));
                        }
                        ("matchLabels", Value::Map(labels)) => {
                            for (key, value) in labels {
                                *key = self.label(key);
                                self.redact_label(value);
                            }
                        }
                        ("key" | "values", value) => self.redact_label(value),
                        (_, value) => self.redact_part(value),
                    }
                }
            }
            Value::Commented(_, value) => self.redact_part(value),
            Value::Text(_) | Value::Bool(_) => {}
        }
    }

    fn redact_label(&self, value: &mut Value) {
        match value {
            Value::Text(text) => *text = self.label(text),
            Value::List(items) => items.iter_mut().for_each(|item| self.redact_label(item)),
            Value::Commented(_, value) => self.redact_label(value),
            Value::Bool(_) | Value::Map(_) => {}
        }
    }

    /// Redacts what is known of the cluster. A server's own words name who asked, so they are dropped.
    pub fn redact_facts(&self, facts: &mut ClusterFacts) {
        facts.name = self.name(&facts.name);
        facts.namespace = facts.namespace.as_deref().map(|namespace| self.name(namespace));
        for NotRead { reason, help, .. } in &mut facts.not_read {
            *reason = SmolStr::new_static("the reason is redacted");
            *help = SmolStr::default();
        }
        let accounts = std::mem::take(&mut facts.service_accounts).into_iter();
        let redacted = accounts.map(|(namespace, names)| {
            let mut names: Vec<SmolStr> = names.iter().map(|name| self.name(name)).collect();
            names.sort();
            (self.name(&namespace), names)
        });
        facts.service_accounts = redacted.collect();
        if let Some(namespaces) = &mut facts.namespaces {
            *namespaces = namespaces.iter().map(|namespace| self.name(namespace)).collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor() -> Redactor {
        Redactor::new(Key::of_secret(b"secret"))
    }

    #[test]
    fn names_keep_their_kind_and_say_nothing() {
        let name = |name| redactor().name(name).to_string();
        for kept in ["", "*", "edit", "kube-system", "system:masters", "system:aggregate-to-edit"] {
            assert_eq!(name(kept), kept);
        }
        assert_eq!(name("system:controller:job-controller"), "system:controller:job-controller");
        assert!(name("system:acme-ceo").starts_with("system:n-"));
        for (key, is_kept) in
            [("rbac.authorization.k8s.io/x", true), ("kubernetes.io/x", true), ("acme-k8s.io/x", false)]
        {
            assert_eq!(redactor().label(key) == key, is_kept, "{key}");
        }
        for hidden in ["payments", "a.b", "jane@acme.com", "Ä"] {
            let hash = name(hidden);
            assert!(!hash.contains(hidden), "{hash}");
            assert_eq!(is_dns_label(&hash), is_dns_label(hidden), "{hash}");
            assert_eq!(is_dns_subdomain(&hash), is_dns_subdomain(hidden), "{hash}");
        }
        let (apps, deputy) = (name("apps"), name("deputy"));
        assert_eq!(name("system:serviceaccount:apps:deputy"), format!("system:serviceaccount:{apps}:{deputy}"));
        assert_eq!(name("system:serviceaccounts:apps"), format!("system:serviceaccounts:{apps}"));
        // A third part makes it a user like any other, and goes on doing so.
        let malformed = name("system:serviceaccount:apps:deputy:x");
        let account = malformed.rsplit_once(':').unwrap().1;
        assert!(!is_dns_subdomain(account) && !malformed.contains("deputy"), "{malformed}");
        assert_ne!(Redactor::new(Key::of_secret(b"other")).name("apps"), apps);
    }

    #[test]
    fn an_object_means_the_same_to_rbac() {
        let mut object: ListedObject = serde_json::from_str(
            r#"{"metadata": {"name": "a", "namespace": "b", "annotations": {"who": "jane"},
                 "labels": {"rbac.authorization.k8s.io/aggregate-to-edit": "true", "team": "pay"}},
               "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"team": "pay"},
                 "matchExpressions": [{"key": "team", "operator": "In", "values": ["pay"]}]}]},
               "rules": [{"verbs": ["impersonate"], "apiGroups": [""], "resources": ["users"], "resourceNames": ["jane"]}],
               "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "a"},
               "subjects": [{"kind": "User", "name": "jane"}]}"#,
        )
        .unwrap();
        redactor().redact(&mut object);
        let hash = |text| redactor().hash(text);
        let value = format!("{object:?}");
        for leak in ["jane", "\"pay\"", "team", "\"a\"", "\"b\""] {
            assert!(!value.contains(leak), "{leak} in {value}");
        }
        for kept in ["aggregate-to-edit", "impersonate", "users", "rbac.authorization.k8s.io", "\"In\""] {
            assert!(value.contains(kept), "{kept} not in {value}");
        }
        assert_eq!(value.matches(hash("jane").as_str()).count(), 2);
        assert_eq!(value.matches(hash("team").as_str()).count(), 3);
        assert_eq!(value.matches(hash("pay").as_str()).count(), 3);
    }
}
