//! Programs that need the literal verb `impersonate` for other reasons than to impersonate.
//!
//! The API server asks for constrained verbs first and for `impersonate` last, so a client does not notice which of them
//! let it pass. These programs do: they ask for the verb themselves, or hand it on and so must hold it (RBAC's escalation
//! check, `k8s.io/kubernetes/pkg/registry/rbac/escalation_check.go`). No role or binding says that they do; each entry
//! was read in the source that it names. `docs/literal-verb.md` explains it to people.

use super::recognise::Program;

/// A program that needs the literal verb for other reasons than to impersonate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiteralUser {
    /// What people call it.
    pub name: &'static str,
    /// What it needs the verb for.
    pub why: Why,
    /// Whose grant is at stake.
    pub who: Who,
    /// What it does, in one sentence.
    pub what: &'static str,
    /// Where that can be read: the repository, then the path in it.
    pub source: &'static str,
    /// Names that tell it, in lower case; found in those of its service accounts, roles, bindings and labels.
    pub names: &'static [&'static str],
}

/// What a program needs the literal verb for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It creates access reviews that ask for the verb.
    AsksForIt,
    /// It writes roles that hold the verb.
    GrantsItOn,
}

impl Why {
    /// The reason as output has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AsksForIt => "asks-for-it",
            Self::GrantsItOn => "grants-it-on",
        }
    }
}

/// Whose legacy grant a program looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// The grant of its own service account.
    Itself,
    /// The grants of others: of those who send it requests, or to whom it grants the verb.
    ItsClients,
    /// Both.
    Both,
}

impl Who {
    /// Whose grant it is, as output has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Itself => "itself",
            Self::ItsClients => "its-clients",
            Self::Both => "both",
        }
    }
}

/// The programs that are known.
pub const LITERAL_USERS: &[LiteralUser] = &[
    LiteralUser {
        name: "Capsule Proxy",
        why: Why::AsksForIt,
        who: Who::ItsClients,
        what: "Asks whether a requestor that sends impersonation headers may impersonate that user and those groups, \
               unless the feature gate SkipImpersonationReview is on.",
        source: "github.com/projectcapsule/capsule-proxy internal/request/http.go",
        names: &["capsule-proxy"],
    },
    LiteralUser {
        name: "kube-oidc-proxy (Tremolo Security)",
        why: Why::AsksForIt,
        who: Who::ItsClients,
        what: "Asks whether a requestor may impersonate the users, groups, UIDs and extras of its headers; for UIDs in \
               the core API group, where the API server does not look.",
        source: "github.com/TremoloSecurity/kube-oidc-proxy pkg/proxy/subjectaccessreview/subjectaccessreview.go",
        names: &["kube-oidc-proxy"],
    },
    LiteralUser {
        name: "KubeArchive",
        why: Why::AsksForIt,
        who: Who::ItsClients,
        what: "With AUTH_IMPERSONATE=true its API asks whether a requestor may impersonate what its headers say; a \
               service account by its whole user name, where the API server asks for the bare name.",
        source: "github.com/kubearchive/kubearchive cmd/api/auth/impersonation.go",
        names: &["kubearchive"],
    },
    LiteralUser {
        name: "OpenShift console",
        why: Why::AsksForIt,
        who: Who::ItsClients,
        what: "Offers to impersonate a user or group only to those who may; it asks in the API group \
               authorization.k8s.io, where the API server does not look.",
        source: "github.com/openshift/console frontend/public/components/group.tsx",
        names: &["openshift-console"],
    },
    LiteralUser {
        name: "Pinniped Concierge",
        why: Why::AsksForIt,
        who: Who::ItsClients,
        what: "Its impersonation proxy has the cluster authorize the impersonation headers that clients send through it, \
               by the filter of the Kubernetes version that it is built with (0.33, literal verb only).",
        source: "github.com/vmware-tanzu/pinniped internal/concierge/impersonator/impersonator.go",
        names: &["pinniped"],
    },
    LiteralUser {
        name: "Rancher",
        why: Why::AsksForIt,
        who: Who::ItsClients,
        what: "Asks the cluster in which it runs whether a user that sends it impersonation headers may impersonate the \
               user, service account, groups and extras in them.",
        source: "github.com/rancher/rancher pkg/auth/requests/sar/sar.go",
        names: &["rancher"],
    },
    LiteralUser {
        name: "Tekton Results",
        why: Why::AsksForIt,
        who: Who::ItsClients,
        what: "With AUTH_IMPERSONATE=true its API asks whether a requestor, without its groups, may impersonate what its \
               headers say.",
        source: "github.com/tektoncd/results pkg/api/server/v1alpha2/auth/impersonation/impersonation.go",
        names: &["tekton-results"],
    },
    LiteralUser {
        name: "vCluster",
        why: Why::AsksForIt,
        who: Who::ItsClients,
        what: "The server in front of a virtual cluster asks that cluster whether a requestor may impersonate; the \
               grants are those inside the virtual cluster.",
        source: "github.com/loft-sh/vcluster pkg/authorization/impersonationauthorizer/authorizer.go",
        names: &["vcluster"],
    },
    LiteralUser {
        name: "Agents at Scale (ARK)",
        why: Why::AsksForIt,
        who: Who::Both,
        what: "Admits a Query that names a service account only if its controller and the requestor may both \
               impersonate that account.",
        source: "github.com/mckinsey/agents-at-scale-ark ark/internal/validation/impersonation.go",
        names: &["ark-controller"],
    },
    LiteralUser {
        name: "Teleport",
        why: Why::AsksForIt,
        who: Who::Itself,
        what: "Tests at its start whether it may impersonate any user, group and service account, and warns if not.",
        source: "github.com/gravitational/teleport lib/kube/proxy/auth.go",
        names: &["teleport"],
    },
    LiteralUser {
        name: "Armada Operator",
        why: Why::GrantsItOn,
        who: Who::Itself,
        what: "Creates the roles of Armada's executor and binoculars, which may impersonate users and groups, and is \
               given no verb escalate.",
        source: "github.com/armadaproject/armada-operator internal/controller/install/binoculars_controller.go",
        names: &["armada-operator"],
    },
    LiteralUser {
        name: "Search operator (Open Cluster Management)",
        why: Why::GrantsItOn,
        who: Who::Itself,
        what: "Up to August 2026 it created the role of search-api, and held the verb only to pass the escalation \
               check.",
        source: "github.com/stolostron/search-v2-operator config/rbac/search_api_clusterrole.yaml",
        names: &["search-v2-operator"],
    },
    LiteralUser {
        name: "Karmada",
        why: Why::GrantsItOn,
        who: Who::ItsClients,
        what: "Keeps a role in each member cluster that may impersonate the users of its cluster proxy, and puts the \
               verb back where it is taken out.",
        source: "github.com/karmada-io/karmada pkg/controllers/unifiedauth/unified_auth_controller.go",
        names: &["karmada-impersonator"],
    },
    LiteralUser {
        name: "Kubermatic Kubernetes Platform",
        why: Why::GrantsItOn,
        who: Who::ItsClients,
        what: "Its operator keeps the role of its API, which may impersonate anyone, and puts the verb back where it is \
               taken out.",
        source: "github.com/kubermatic/kubermatic pkg/controller/operator/master/resources/kubermatic/api.go",
        names: &["kubermatic-api"],
    },
    LiteralUser {
        name: "Rancher's impersonation roles",
        why: Why::GrantsItOn,
        who: Who::ItsClients,
        what: "Keeps a role for each user that may impersonate that user, and puts the verb back where it is taken out.",
        source: "github.com/rancher/rancher pkg/impersonation/impersonation.go",
        names: &["cattle-impersonation"],
    },
];

impl Program for LiteralUser {
    fn name(&self) -> &'static str {
        self.name
    }

    fn names(&self) -> &'static [&'static str] {
        self.names
    }
}

#[cfg(test)]
mod tests {
    use super::super::recognise::tests::{check_examples, check_names, check_page, name_of};
    use super::*;

    #[test]
    fn programs_by_the_names_that_they_have() {
        // As their charts and manifests, or they themselves, name roles and service accounts.
        let known = [
            ("capsule-proxy:capsule-proxy", "Capsule Proxy"),
            ("capsule-proxy-0.9.11", "Capsule Proxy"),
            ("kube-oidc-proxy-orchestra", "kube-oidc-proxy (Tremolo Security)"),
            ("system:serviceaccount:kubearchive:kubearchive-api-server", "KubeArchive"),
            ("openshift-console", "OpenShift console"),
            ("pinniped-concierge-impersonation-proxy", "Pinniped Concierge"),
            ("rancher", "Rancher"),
            ("tekton-results-api", "Tekton Results"),
            ("vcluster-team-a", "vCluster"),
            ("ark-controller-role", "Agents at Scale (ARK)"),
            ("teleport-kube-agent", "Teleport"),
            ("armada-operator-manager-role", "Armada Operator"),
            ("search-v2-operator.v0.0.1-abc", "Search operator (Open Cluster Management)"),
            ("karmada-impersonator", "Karmada"),
            ("kubermatic:kubermatic-api", "Kubermatic Kubernetes Platform"),
            ("cattle-impersonation-u-s857n", "Rancher's impersonation roles"),
        ];
        check_examples(LITERAL_USERS, &known);
    }

    #[test]
    fn others_are_not_recognised() {
        for word in [
            "",
            "-",
            "deputy",
            "proxy",
            "kube-proxy",
            "archive",
            "search",
            "operator",
            "argocd-application-controller",
            "flux-reconciler",
            "capsule",
            "capsule-proxies",
            "my-capsuleproxy",
            "xcapsule-proxy",
            "vclusters",
            "shark-controller",
            "ranchers",
            "cattle-system",
            "console",
            "tekton-pipelines-controller",
            "karmada-controller-manager",
            "ü-rancherü",
        ] {
            assert_eq!(name_of(LITERAL_USERS, word), None, "{word}");
        }
    }

    #[test]
    fn entries_are_complete_and_on_the_page() {
        check_names(LITERAL_USERS);
        check_page(include_str!("../../docs/literal-verb.md"), LITERAL_USERS, |user| {
            assert!(user.what.ends_with('.'), "{user:?}");
            let (repository, path) = user.source.split_once(' ').expect(user.source);
            assert!(repository.starts_with("github.com/") && path.contains('/'), "{user:?}");
            [user.why.as_str(), user.who.as_str(), repository, path].map(str::to_owned).to_vec()
        });
    }
}
