//! Impersonation headers that known clients send.
//!
//! An audit event shows the groups of the impersonated user after the server has added its own: `system:authenticated`,
//! and for a service account `system:serviceaccounts` and `system:serviceaccounts:<namespace>`. It does not show whether
//! the client has sent them, too. The source code of the client does; each entry was read in the source that it names.
//! A name only suggests a client, so a plan never assumes that a profile applies. `docs/client-profiles.md` is the page
//! for users.

use std::collections::BTreeSet;

use super::plan::PlannedGrant;
use super::recognise::{Program, recognised};
use super::warnings::shortened;
use crate::evidence::Impersonator;
use crate::grants::Grants;

/// A client, and the headers that it sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientProfile {
    /// What people call it.
    pub name: &'static str,
    /// What it sends.
    pub sends: Sends,
    /// The headers in one sentence without a subject, with the keys of extras.
    pub what: &'static str,
    /// Where the source code says so: the repository, then the path in it.
    pub source: &'static str,
    /// Names that give it away, in lower case.
    pub names: &'static [&'static str],
}

/// What a client sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sends {
    /// The user name of a service account, and no other header.
    AccountAlone,
    /// A user name that is no service account, and no group.
    UserAlone,
    /// A user name, and none of the groups that the server adds. Other groups may be among the headers.
    OtherGroups,
    /// Groups that the server would add.
    ServerGroups(ServerGroups),
}

/// Which groups of those that the server would add.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerGroups {
    /// `system:authenticated`.
    Authenticated,
    /// Those of a service account.
    OfAccount,
    /// All of them.
    All,
}

impl Sends {
    /// Returns the word for it in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AccountAlone => "account-alone",
            Self::UserAlone => "user-alone",
            Self::OtherGroups => "other-groups",
            Self::ServerGroups(_) => "server-groups",
        }
    }

    /// Returns what a person would say of the client with `--implicit-groups`.
    pub fn implicit_groups(self) -> &'static str {
        match self {
            Self::AccountAlone | Self::UserAlone | Self::OtherGroups => "not-sent",
            Self::ServerGroups(_) => "sent",
        }
    }

    /// Returns the groups that the client sends although the server would add them.
    pub fn server_groups(self) -> &'static [&'static str] {
        const ALL: [&str; 3] = ["system:authenticated", "system:serviceaccounts", "system:serviceaccounts:<namespace>"];
        match self {
            Self::AccountAlone | Self::UserAlone | Self::OtherGroups => &[],
            Self::ServerGroups(ServerGroups::Authenticated) => &[ALL[0]],
            Self::ServerGroups(ServerGroups::OfAccount) => &[ALL[1], ALL[2]],
            Self::ServerGroups(ServerGroups::All) => &ALL,
        }
    }
}

impl Program for ClientProfile {
    fn name(&self) -> &'static str {
        self.name
    }

    fn names(&self) -> &'static [&'static str] {
        self.names
    }
}

/// The clients that are known. The first one whose name fits is taken.
pub const CLIENT_PROFILES: &[ClientProfile] = &[
    ClientProfile {
        name: "Argo CD",
        sends: Sends::AccountAlone,
        what: "Sends the service account of the destination alone.",
        source: "github.com/argoproj/argo-cd controller/sync.go",
        names: &["argocd-application-controller", "argocd-server", "argocd-manager"],
    },
    ClientProfile {
        name: "Capsule Proxy",
        sends: Sends::ServerGroups(ServerGroups::All),
        what: "Sends the user and all groups of the TokenReview, no UID and no extras.",
        source: "github.com/projectcapsule/capsule-proxy internal/webserver/webserver.go",
        names: &["capsule-proxy"],
    },
    ClientProfile {
        name: "Capsule",
        sends: Sends::AccountAlone,
        what: "Sends the service account that it applies a resource as alone.",
        source: "github.com/projectcapsule/capsule pkg/users/serviceaccounts.go",
        names: &["capsule"],
    },
    ClientProfile {
        name: "Fleet agent",
        sends: Sends::AccountAlone,
        what: "Sends the service account of the bundle alone.",
        source: "github.com/rancher/fleet internal/helmdeployer/impersonate.go",
        names: &["fleet-agent"],
    },
    ClientProfile {
        name: "Flux helm-controller",
        sends: Sends::AccountAlone,
        what: "Sends the service account of the HelmRelease alone.",
        source: "github.com/fluxcd/helm-controller internal/kube/impersonate.go",
        names: &["helm-controller"],
    },
    ClientProfile {
        name: "Flux kustomize-controller",
        sends: Sends::AccountAlone,
        what: "Sends the service account of the Kustomization alone.",
        source: "github.com/fluxcd/pkg runtime/client/impersonator.go",
        names: &["kustomize-controller"],
    },
    ClientProfile {
        name: "Kluctl controller",
        sends: Sends::AccountAlone,
        what: "Sends the service account of the KluctlDeployment alone.",
        source: "github.com/kluctl/kluctl pkg/controllers/kluctl_project.go",
        names: &["kluctl-controller"],
    },
    ClientProfile {
        name: "Open Cluster Management work agent",
        sends: Sends::AccountAlone,
        what: "Sends the service account of the executor alone.",
        source: "github.com/open-cluster-management-io/ocm pkg/work/spoke/auth/basic/auth.go",
        names: &["klusterlet-work"],
    },
    ClientProfile {
        name: "Sveltos addon-controller",
        sends: Sends::AccountAlone,
        what: "Sends the service account of the profile's administrator alone.",
        source: "github.com/projectsveltos/addon-controller controllers/handlers_utils.go",
        names: &["addon-controller", "projectsveltos"],
    },
    ClientProfile {
        name: "Amazon EKS Connector",
        sends: Sends::UserAlone,
        what: "Sends the caller's IAM ARN as the user, and no other header.",
        source: "github.com/aws/amazon-eks-connector pkg/proxy/proxy.go",
        names: &["eks-connector"],
    },
    ClientProfile {
        name: "Clusternet",
        sends: Sends::UserAlone,
        what: "Sends the user clusternet with the extra clusternet-token, which holds a token of the child cluster.",
        source: "github.com/clusternet/clusternet pkg/utils/kubeconfig.go",
        names: &["clusternet"],
    },
    ClientProfile {
        name: "KubeSphere",
        sends: Sends::UserAlone,
        what: "Sends the user that created or asks for an application release, and no other header.",
        source: "github.com/kubesphere/kubesphere pkg/controller/application/apprelease_controller.go",
        names: &["kubesphere"],
    },
    ClientProfile {
        name: "Armada",
        sends: Sends::OtherGroups,
        what: "Sends the owner of a job and the owner's groups, as Armada's own login gave them.",
        source: "github.com/armadaproject/armada internal/common/cluster/kubernetes_client.go",
        names: &["armada-executor", "armada-binoculars"],
    },
    ClientProfile {
        name: "azad-kube-proxy",
        sends: Sends::OtherGroups,
        what: "Sends the user and the groups of Azure AD, by name or object id.",
        source: "github.com/XenitAB/azad-kube-proxy internal/proxy/handlers.go",
        names: &["azad-kube-proxy"],
    },
    ClientProfile {
        name: "Botkube",
        sends: Sends::OtherGroups,
        what: "Sends the user and the groups that its configuration names for a plugin.",
        source: "github.com/kubeshop/botkube pkg/plugin/kubeconfig.go",
        names: &["botkube"],
    },
    ClientProfile {
        name: "Flux Operator",
        sends: Sends::OtherGroups,
        what: "Its web UI sends the user and the groups of the OIDC claims or of its configuration.",
        source: "github.com/controlplaneio-fluxcd/flux-operator internal/web/kubeclient/client.go",
        names: &["flux-operator"],
    },
    ClientProfile {
        name: "GitLab agent",
        sends: Sends::OtherGroups,
        what: "Sends gitlab:user:NAME with the groups gitlab:user, gitlab:project_role:… and gitlab:group_role:…, and \
               extras below agent.gitlab.com/.",
        source: "github.com/gitlabhq/gitlabhq doc/user/clusters/agent/user_access.md",
        names: &["gitlab-agent"],
    },
    ClientProfile {
        name: "KubeVela",
        sends: Sends::OtherGroups,
        what: "Sends the user or the service account of an application's annotations, and the groups there that match \
               the group pattern (kubevela:* by default).",
        source: "github.com/kubevela/kubevela pkg/auth/userinfo.go",
        names: &["kubevela", "vela-core"],
    },
    ClientProfile {
        name: "Pomerium",
        sends: Sends::OtherGroups,
        what: "Sends the user's email address, and the user's groups in one header, joined by commas.",
        source: "github.com/pomerium/pomerium authorize/evaluator/headers_evaluator_evaluation.go",
        names: &["pomerium"],
    },
    ClientProfile {
        name: "Tailscale operator",
        sends: Sends::OtherGroups,
        what: "Sends the login name, or the name of a tagged device, and the groups of the tailnet's grants or the tags.",
        source: "github.com/tailscale/tailscale k8s-operator/api-proxy/proxy.go",
        names: &["tailscale", "kube-apiserver-auth-proxy"],
    },
    ClientProfile {
        name: "Weave GitOps",
        sends: Sends::OtherGroups,
        what: "Sends the user and the groups of the session, with the configured prefixes.",
        source: "github.com/weaveworks/weave-gitops pkg/kube/config_getter.go",
        names: &["weave-gitops"],
    },
    ClientProfile {
        name: "Karmada",
        sends: Sends::ServerGroups(ServerGroups::OfAccount),
        what: "Sends the user and the groups that its API server knows, without system:authenticated.",
        source: "github.com/karmada-io/karmada pkg/util/proxy/proxy.go",
        names: &["karmada-impersonator"],
    },
    ClientProfile {
        name: "kube-oidc-proxy",
        sends: Sends::ServerGroups(ServerGroups::Authenticated),
        what: "Adds system:authenticated to the user's groups. Extras: those of the user, remote-client-ip and others if \
               configured, and originaluser.jetstack.io-user, -groups, -uid and -extra in the fork of Tremolo Security.",
        source: "github.com/TremoloSecurity/kube-oidc-proxy pkg/proxy/handlers.go",
        names: &["kube-oidc-proxy"],
    },
    ClientProfile {
        name: "mcp-kubernetes",
        sends: Sends::ServerGroups(ServerGroups::Authenticated),
        what: "In its own cluster it sends the user and the group system:authenticated, and no extras.",
        source: "github.com/giantswarm/mcp-kubernetes internal/server/oauth_http.go",
        names: &["mcp-kubernetes"],
    },
    ClientProfile {
        name: "Open Cluster Management cluster-proxy",
        sends: Sends::ServerGroups(ServerGroups::Authenticated),
        what: "Sends the user and all groups of the hub's TokenReview; a service account of the hub is the user \
               cluster:hub:system:serviceaccount:NAMESPACE:NAME.",
        source: "github.com/open-cluster-management-io/cluster-proxy pkg/serviceproxy/hub_auth_provider.go",
        names: &["cluster-proxy"],
    },
    ClientProfile {
        name: "Open Cluster Management search-api",
        sends: Sends::ServerGroups(ServerGroups::All),
        what: "Sends the user, all groups and the UID of the TokenReview. Extras: those below \
               authentication.kubernetes.io/ and scopes.authorization.openshift.io/.",
        source: "github.com/stolostron/search-v2-api pkg/rbac/userData.go",
        names: &["search-api"],
    },
    ClientProfile {
        name: "OpenUnison",
        sends: Sends::ServerGroups(ServerGroups::Authenticated),
        what: "Sends the user, the group system:authenticated first, and the user's groups.",
        source: "github.com/TremoloSecurity/OpenUnison \
                 unison/unison-applications-k8s/src/main/java/com/tremolosecurity/proxy/filters/K8sInjectImpersonation.java",
        names: &["openunison"],
    },
    ClientProfile {
        name: "Pinniped Concierge",
        sends: Sends::ServerGroups(ServerGroups::All),
        what: "Sends the user, all groups and all extras that authentication gave. For a client that impersonates \
               through it, the extra original-user-info.impersonation-proxy.concierge.pinniped.dev holds who the client is.",
        source: "github.com/vmware-tanzu/pinniped internal/concierge/impersonator/impersonator.go",
        names: &["pinniped"],
    },
    ClientProfile {
        name: "Rancher",
        sends: Sends::ServerGroups(ServerGroups::Authenticated),
        what: "Sends the user, the user's groups, system:authenticated and system:cattle:authenticated. Extras: \
               principalid, username, requesttokenid and requesthost.",
        source: "github.com/rancher/rancher pkg/auth/requests/authenticate.go",
        names: &["rancher", "cattle-impersonation"],
    },
    ClientProfile {
        name: "Teleport",
        sends: Sends::ServerGroups(ServerGroups::Authenticated),
        what: "Sends the user, and all groups of the user's roles and system:authenticated, or those of these that the \
               client chooses.",
        source: "github.com/gravitational/teleport lib/kube/proxy/forwarder.go",
        names: &["teleport"],
    },
];

/// Returns one sentence for each known client that an impersonator may be. `unclear` are the usernames of requestors of
/// which neither the evidence nor a person says which headers they send.
pub(super) fn suggestions(grants: &Grants<'_>, planned: &[PlannedGrant], unclear: &BTreeSet<&str>) -> Vec<String> {
    if unclear.is_empty() {
        return Vec::new();
    }
    let clients = recognised(CLIENT_PROFILES, grants, planned, |who| unclear.contains(who.username().as_str()));
    clients.into_iter().map(|(client, who)| suggestion(client, &who)).collect()
}

fn suggestion(client: &ClientProfile, who: &BTreeSet<Impersonator>) -> String {
    let ClientProfile { name, what, source, sends, .. } = client;
    let who_looks = shortened(&who.iter().map(Impersonator::describe).collect::<Vec<_>>());
    let look = if who.len() == 1 { "looks" } else { "look" };
    let value = sends.implicit_groups();
    format!(
        "{who_looks} {look} like {name} by name. {what} ({source}) If it is that client, declare `implicitGroups: {value}` \
         for it in the file for --actions, or pass --implicit-groups {value} if that is true of all impersonators; see \
         docs/client-profiles.md"
    )
}

#[cfg(test)]
mod tests {
    use super::super::recognise::tests::{check_examples, check_names, check_page, name_of};
    use super::*;

    #[test]
    fn clients_by_the_names_that_their_manifests_give() {
        check_examples(
            CLIENT_PROFILES,
            &[
                ("openshift-gitops-argocd-application-controller", "Argo CD"),
                ("argocd-manager-role", "Argo CD"),
                ("capsule-proxy:capsule-proxy", "Capsule Proxy"),
                ("capsule:capsule:controller", "Capsule"),
                ("fleet-agent", "Fleet agent"),
                ("system:serviceaccount:flux-system:helm-controller", "Flux helm-controller"),
                ("kustomize-controller", "Flux kustomize-controller"),
                ("kluctl-controller-role", "Kluctl controller"),
                ("open-cluster-management:klusterlet-work:agent", "Open Cluster Management work agent"),
                ("addon-controller-role-extra", "Sveltos addon-controller"),
                ("eks-connector-service", "Amazon EKS Connector"),
                ("clusternet:system:socketsproxy", "Clusternet"),
                ("kubesphere", "KubeSphere"),
                ("armada-executor", "Armada"),
                ("azad-kube-proxy", "azad-kube-proxy"),
                ("botkube-clusterrole", "Botkube"),
                ("flux-operator", "Flux Operator"),
                ("prod-gitlab-agent", "GitLab agent"),
                ("kubevela-vela-core:manager", "KubeVela"),
                ("pomerium-impersonation", "Pomerium"),
                ("tailscale-auth-proxy", "Tailscale operator"),
                ("ww-gitops-weave-gitops", "Weave GitOps"),
                ("karmada-impersonator", "Karmada"),
                ("kube-oidc-proxy-orchestra", "kube-oidc-proxy"),
                ("mcp-kubernetes-obo-impersonate", "mcp-kubernetes"),
                ("cluster-proxy-addon-agent-impersonator", "Open Cluster Management cluster-proxy"),
                ("search-api", "Open Cluster Management search-api"),
                ("openunison-orchestra", "OpenUnison"),
                ("pinniped-concierge-impersonation-proxy", "Pinniped Concierge"),
                ("cattle-impersonation-u-s857n", "Rancher"),
                ("teleport-kube-agent", "Teleport"),
            ],
        );
    }

    #[test]
    fn others_are_not_recognised() {
        for word in
            ["", "deputy", "argocd", "flux-system", "source-controller", "proxy", "kube-proxy", "gitlab", "xcapsule"]
        {
            assert_eq!(name_of(CLIENT_PROFILES, word), None, "{word}");
        }
    }

    #[test]
    fn entries_are_complete_and_on_the_page() {
        check_names(CLIENT_PROFILES);
        check_page(include_str!("../../docs/client-profiles.md"), CLIENT_PROFILES, |client| {
            assert!(client.what.ends_with('.'), "{client:?}");
            let (repository, path) = client.source.split_once(' ').expect(client.source);
            assert!(repository.starts_with("github.com/") && path.contains('/'), "{client:?}");
            let code = |words: &[&str]| words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
            let groups = client.sends.server_groups();
            let groups = if groups.is_empty() { "none".to_owned() } else { code(groups) };
            let cells = [client.sends.as_str(), client.what, repository, path].map(str::to_owned);
            cells.into_iter().chain([format!("| {} |", code(client.names)), format!("| {groups} |")]).collect()
        });
    }
}
