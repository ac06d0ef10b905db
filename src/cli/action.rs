//! What a request asks for, in the grammar of `kubectl auth can-i`.

use clap::Parser;
use deputize::authority::Attributes;

/// `VERB TYPE`, `VERB TYPE/NAME` or `VERB /PATH`.
#[derive(Debug, Parser)]
#[command(no_binary_name = false, disable_version_flag = true)]
pub(super) struct Action {
    /// Verb of the request, such as get, list or create
    verb: String,
    /// Type of the object, as `pods`, `deployments.apps` or `deployments.v1.apps`, with `/NAME` for one; or a path, as
    /// `/version`
    #[arg(value_name = "TYPE[/NAME] | /PATH")]
    what: String,
    /// Name of the object
    name: Option<String>,
    /// Namespace of the request; `default` where the type has one and none is given
    #[arg(long, short)]
    namespace: Option<String>,
    /// In all namespaces at once
    #[arg(long, short = 'A')]
    all_namespaces: bool,
    /// Subresource, such as `log` or `exec`
    #[arg(long, default_value = "")]
    subresource: String,
}

/// Types that every API server has: name, short names, group, and whether objects are in namespaces.
const TYPES: [(&str, &[&str], &str, bool); 58] = [
    ("configmaps", &["cm", "configmap"], "", true),
    ("endpoints", &["ep"], "", true),
    ("events", &["ev", "event"], "", true),
    ("limitranges", &["limits", "limitrange"], "", true),
    ("namespaces", &["ns", "namespace"], "", false),
    ("nodes", &["no", "node"], "", false),
    ("persistentvolumeclaims", &["pvc", "persistentvolumeclaim"], "", true),
    ("persistentvolumes", &["pv", "persistentvolume"], "", false),
    ("pods", &["po", "pod"], "", true),
    ("podtemplates", &["podtemplate"], "", true),
    ("replicationcontrollers", &["rc", "replicationcontroller"], "", true),
    ("resourcequotas", &["quota", "resourcequota"], "", true),
    ("secrets", &["secret"], "", true),
    ("serviceaccounts", &["sa", "serviceaccount"], "", true),
    ("services", &["svc", "service"], "", true),
    ("mutatingadmissionpolicies", &["mutatingadmissionpolicy"], "admissionregistration.k8s.io", false),
    ("mutatingwebhookconfigurations", &["mutatingwebhookconfiguration"], "admissionregistration.k8s.io", false),
    ("validatingadmissionpolicies", &["validatingadmissionpolicy"], "admissionregistration.k8s.io", false),
    ("validatingadmissionpolicybindings", &["validatingadmissionpolicybinding"], "admissionregistration.k8s.io", false),
    ("validatingwebhookconfigurations", &["validatingwebhookconfiguration"], "admissionregistration.k8s.io", false),
    ("customresourcedefinitions", &["crd", "crds", "customresourcedefinition"], "apiextensions.k8s.io", false),
    ("apiservices", &["apiservice"], "apiregistration.k8s.io", false),
    ("controllerrevisions", &["controllerrevision"], "apps", true),
    ("daemonsets", &["ds", "daemonset"], "apps", true),
    ("deployments", &["deploy", "deployment"], "apps", true),
    ("replicasets", &["rs", "replicaset"], "apps", true),
    ("statefulsets", &["sts", "statefulset"], "apps", true),
    ("selfsubjectreviews", &["selfsubjectreview"], "authentication.k8s.io", false),
    ("tokenreviews", &["tokenreview"], "authentication.k8s.io", false),
    ("localsubjectaccessreviews", &["localsubjectaccessreview"], "authorization.k8s.io", true),
    ("selfsubjectaccessreviews", &["selfsubjectaccessreview"], "authorization.k8s.io", false),
    ("selfsubjectrulesreviews", &["selfsubjectrulesreview"], "authorization.k8s.io", false),
    ("subjectaccessreviews", &["subjectaccessreview"], "authorization.k8s.io", false),
    ("horizontalpodautoscalers", &["hpa", "horizontalpodautoscaler"], "autoscaling", true),
    ("cronjobs", &["cj", "cronjob"], "batch", true),
    ("jobs", &["job"], "batch", true),
    ("certificatesigningrequests", &["csr", "certificatesigningrequest"], "certificates.k8s.io", false),
    ("leases", &["lease"], "coordination.k8s.io", true),
    ("endpointslices", &["endpointslice"], "discovery.k8s.io", true),
    ("flowschemas", &["flowschema"], "flowcontrol.apiserver.k8s.io", false),
    ("prioritylevelconfigurations", &["prioritylevelconfiguration"], "flowcontrol.apiserver.k8s.io", false),
    ("ingressclasses", &["ingressclass"], "networking.k8s.io", false),
    ("ingresses", &["ing", "ingress"], "networking.k8s.io", true),
    ("networkpolicies", &["netpol", "networkpolicy"], "networking.k8s.io", true),
    ("runtimeclasses", &["runtimeclass"], "node.k8s.io", false),
    ("poddisruptionbudgets", &["pdb", "poddisruptionbudget"], "policy", true),
    ("clusterrolebindings", &["clusterrolebinding"], "rbac.authorization.k8s.io", false),
    ("clusterroles", &["clusterrole"], "rbac.authorization.k8s.io", false),
    ("rolebindings", &["rolebinding"], "rbac.authorization.k8s.io", true),
    ("roles", &["role"], "rbac.authorization.k8s.io", true),
    ("deviceclasses", &["deviceclass"], "resource.k8s.io", false),
    ("resourceclaims", &["resourceclaim"], "resource.k8s.io", true),
    ("resourceslices", &["resourceslice"], "resource.k8s.io", false),
    ("priorityclasses", &["pc", "priorityclass"], "scheduling.k8s.io", false),
    ("csidrivers", &["csidriver"], "storage.k8s.io", false),
    ("csinodes", &["csinode"], "storage.k8s.io", false),
    ("storageclasses", &["sc", "storageclass"], "storage.k8s.io", false),
    ("volumeattachments", &["volumeattachment"], "storage.k8s.io", false),
];

impl Action {
    /// The request, and a remark where something had to be assumed.
    ///
    /// # Errors
    /// When the words contradict each other.
    pub(super) fn attributes(&self) -> Result<(Attributes<'_>, Option<String>), String> {
        let verb = self.verb.as_str();
        if self.what.starts_with('/') {
            if self.name.is_some() || self.namespace.is_some() || self.all_namespaces || !self.subresource.is_empty() {
                return Err("a path has no name, namespace or subresource".to_owned());
            }
            return Ok((Attributes { verb, path: &self.what, ..Attributes::default() }, None));
        }
        if self.all_namespaces && self.namespace.is_some() {
            return Err("a request is for one namespace or for all: use -n or -A".to_owned());
        }
        let (spelled, name) = match (self.what.split_once('/'), &self.name) {
            (Some(_), Some(_)) => return Err("write TYPE/NAME or TYPE NAME, not both".to_owned()),
            (Some((spelled, name)), None) => (spelled, name),
            (None, name) => (self.what.as_str(), name.as_deref().unwrap_or_default()),
        };
        let (word, group) = match spelled.split_once('.') {
            Some((word, rest)) => (word, Some(without_version(rest))),
            None => (spelled, None),
        };
        let known = TYPES.iter().find(|(name, short, of, _)| {
            (word == *name || short.contains(&word)) && group.is_none_or(|group| group == *of)
        });
        let (resource, api_group, namespaced) = match known {
            Some((name, _, group, namespaced)) => (*name, *group, *namespaced),
            None => (word, group.unwrap_or_default(), true),
        };
        let namespace = match &self.namespace {
            _ if self.all_namespaces => "",
            Some(namespace) => namespace.as_str(),
            // A namespace is in itself.
            None if resource == "namespaces" && api_group.is_empty() => name,
            None if namespaced => "default",
            None => "",
        };
        let remark = (known.is_none() && group.is_none()).then(|| {
            format!(
                "{word:?} is no type of every API server; taken to be in the core group (write TYPE.GROUP for another)"
            )
        });
        let subresource = self.subresource.as_str();
        Ok((Attributes { verb, api_group, resource, subresource, namespace, name, path: "" }, remark))
    }
}

/// The group in `v1.apps` or `apps`.
fn without_version(rest: &str) -> &str {
    let is_version =
        |word: &str| word.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    match rest.split_once('.') {
        Some((version, group)) if is_version(version) => group,
        None if is_version(rest) => "",
        _ => rest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<String, String> {
        let action =
            Action::try_parse_from(std::iter::once(&"VERB").chain(words)).map_err(|error| error.to_string())?;
        let (a, _) = action.attributes()?;
        Ok(format!(
            "{} {:?} {}/{} {:?} {:?} {}",
            a.verb, a.api_group, a.resource, a.subresource, a.namespace, a.name, a.path
        ))
    }

    #[test]
    fn the_grammar_of_can_i() {
        for (words, expected) in [
            (&["list", "pods"][..], "list \"\" pods/ \"default\" \"\" "),
            (&["list", "po", "-A"], "list \"\" pods/ \"\" \"\" "),
            (&["get", "deploy/web", "-n", "shop"], "get \"apps\" deployments/ \"shop\" \"web\" "),
            (&["get", "deployments.v1.apps", "web"], "get \"apps\" deployments/ \"default\" \"web\" "),
            (&["get", "pods", "--subresource=log"], "get \"\" pods/log \"default\" \"\" "),
            (&["get", "nodes"], "get \"\" nodes/ \"\" \"\" "),
            (&["get", "ns/shop"], "get \"\" namespaces/ \"shop\" \"shop\" "),
            (&["get", "virtualmachines.kubevirt.io/a"], "get \"kubevirt.io\" virtualmachines/ \"default\" \"a\" "),
            (&["get", "events.events.k8s.io"], "get \"events.k8s.io\" events/ \"default\" \"\" "),
            (&["get", "/version"], "get \"\" / \"\" \"\" /version"),
        ] {
            assert_eq!(read(words).as_deref(), Ok(expected), "{words:?}");
        }
        assert!(read(&["get", "/version", "-n", "a"]).is_err());
        assert!(read(&["get", "pods/a", "b"]).is_err());
        assert!(read(&["get", "pods", "-A", "-n", "a"]).is_err());
    }
}
