//! Grants that never take effect, one rule a reason.

use std::collections::BTreeSet;

use super::prelude::*;
use crate::authority::{AUTHENTICATION_GROUP, Username};
use crate::inventory::{Text, abbreviate};

/// A rule for one reason; see `rules/<reason>.md`.
#[derive(Debug)]
pub struct DeadGrant {
    reason: Reason,
    page: Page,
}

macro_rules! dead_grant {
    ($name:ident, $reason:ident, $page:literal) => {
        #[doc = concat!("See `rules/", $page, ".md`.")]
        pub const $name: DeadGrant =
            DeadGrant { reason: Reason::$reason, page: Page(include_str!(concat!("../../../rules/", $page, ".md"))) };
    };
}

dead_grant!(MISSING_ROLE, MissingRole, "missing-role");
dead_grant!(NAMESPACED_BINDING, NamespacedBinding, "namespaced-binding");
dead_grant!(WRONG_API_GROUP, WrongApiGroup, "wrong-api-group");
dead_grant!(BARE_USEREXTRAS, BareUserextras, "bare-userextras");
dead_grant!(NO_SUCH_RESOURCE, NoSuchResource, "no-such-resource");
dead_grant!(NO_SUCH_VERB, NoSuchVerb, "no-such-verb");
dead_grant!(NAME_NEVER_MATCHES, NameNeverMatches, "name-never-matches");
dead_grant!(SUBJECT_NEVER_MATCHES, SubjectNeverMatches, "subject-never-matches");

impl Rule for DeadGrant {
    fn id(&self) -> &'static str {
        self.reason.as_str()
    }

    fn page(&self) -> Page {
        self.page
    }

    fn severities(&self) -> &'static [Severity] {
        match self.reason {
            Reason::NoSuchVerb => &[Severity::Warning],
            _ => &[Severity::Warning, Severity::Note],
        }
    }

    fn fix(&self) -> Fix {
        match self.reason {
            // Who or what was meant has to be known.
            Reason::MissingRole | Reason::SubjectNeverMatches => Fix::None,
            _ => Fix::Safe,
        }
    }

    fn mend(&self, site: &Site<'_>) -> Option<Mend> {
        if self.fix() == Fix::None {
            return None;
        }
        let resources = self.dead(site).0.iter().map(|grant| grant.resource).collect();
        without_dead(site, &Dead { resources, ..Dead::default() })
    }

    fn check(&self, site: &Site<'_>) -> Option<Diagnosis> {
        // `*` is written for other verbs, and owes nothing to impersonation.
        if site.is_any_verb() {
            return None;
        }
        if self.reason == Reason::NoSuchVerb && site.actions.iter().any(|action| action.reason == Some(self.reason)) {
            return Some(Diagnosis {
                severity: Severity::Warning,
                message: format!("no API server knows the verb {:?}", abbreviate(site.verb().as_str())),
                help: "write `impersonate-on:<mode>:<verb>` with associated-node, arbitrary-node, serviceaccount or \
                       user-info as the mode, and one verb of a request"
                    .to_owned(),
                resources: Vec::new(),
                label: "allows nothing".to_owned(),
                holders: site.everyone(),
            });
        }
        let (grants, holders) = self.dead(site);
        let first = grants.first()?;
        // A legacy grant that does nothing harms nobody; a constrained one was meant to work.
        let severity = if first.mode == Some(Mode::Legacy) { Severity::Note } else { Severity::Warning };
        let (message, help) = self.words(site, &grants, &holders);
        Some(Diagnosis {
            severity,
            message,
            help,
            resources: resources_of(&grants),
            label: "grants nothing".to_owned(),
            holders,
        })
    }
}

impl DeadGrant {
    /// The grants of the site that are dead for the reason, and for whom.
    fn dead<'a>(&self, site: &Site<'a>) -> (Vec<&'a RuleGrant>, Rc<Holders>) {
        let (mut grants, holders) = site.dead(site.found, self.reason);
        // What the rule itself spoils is worth saying whoever holds it.
        for grant in site.found.iter().filter(|grant| grant.reason == Some(self.reason)) {
            if !grants.contains(&grant) {
                grants.push(grant);
            }
        }
        (grants, holders)
    }

    /// What to write instead of names that are never asked for.
    fn help_for_names(&self, site: &Site<'_>, grants: &[&RuleGrant]) -> String {
        let name = site.names().into_iter().flatten().map(Text::as_str).next().unwrap_or_default();
        let kind = grants.first().and_then(|grant| grant.identity.kind);
        match (kind, Username::parse(name)) {
            (_, Username::ServiceAccount { namespace, name }) => {
                format!("a service account is asked for as `serviceaccounts` {name:?} in namespace {namespace:?}")
            }
            (Some(IdentityKind::Nodes), Username::Node(name)) => {
                format!("a node is asked for by its name alone: {name:?}")
            }
            (_, Username::Node(name)) => {
                format!("a node is asked for as `nodes` {name:?} by the verb impersonate:arbitrary-node")
            }
            (Some(IdentityKind::Nodes), _) if grants.iter().any(|grant| grant.mode == Some(Mode::AssociatedNode)) => {
                "the name that this mode asks for is `*`, whatever the node".to_owned()
            }
            _ => "write the name as the server asks for it, or remove the rule".to_owned(),
        }
    }

    fn words(&self, site: &Site<'_>, grants: &[&RuleGrant], holders: &Holders) -> (String, String) {
        let verb = site.verb().as_str();
        let resources =
            || {
                let spelled: BTreeSet<String> = grants.iter().map(|grant| resource_of(grant)).collect();
                words::list(spelled.into_iter().map(|resource| {
                    if resource.is_empty() { "no resource".to_owned() } else { format!("`{resource}`") }
                }))
            };
        let mode = grants.first().and_then(|grant| grant.mode);
        match self.reason {
            Reason::MissingRole => (
                format!(
                    "a binding means {}, but names another kind or namespace and binds nothing",
                    site.role.meta.describe()
                ),
                "correct the roleRef (delete and create: it is immutable), or remove the binding".to_owned(),
            ),
            Reason::NamespacedBinding => (
                format!("`{verb}` on {} does nothing behind a RoleBinding", resources()),
                "the server asks for these without a namespace: use a ClusterRole and a ClusterRoleBinding, or remove \
                 the rule"
                    .to_owned(),
            ),
            Reason::WrongApiGroup => (
                format!("`{verb}` on {} does nothing in this API group", resources()),
                match mode {
                    Some(Mode::Legacy) => format!(
                        "users, groups and serviceaccounts are in the core group \"\", uids and userextras in \
                         {AUTHENTICATION_GROUP}"
                    ),
                    _ => format!("constrained modes ask in {AUTHENTICATION_GROUP} only"),
                },
            ),
            Reason::BareUserextras => (
                format!("`{verb}` on `userextras` without a key does nothing"),
                "write `userextras/<key>`, one for each key".to_owned(),
            ),
            Reason::NoSuchResource => (
                format!("`{verb}` on {} does nothing: the server never asks for that", resources()),
                match mode {
                    Some(mode) if mode != Mode::Legacy => format!("mode {mode} asks for {}", asked_by(mode)),
                    _ => "`impersonate` asks for users, groups, serviceaccounts, uids and userextras/<key>".to_owned(),
                },
            ),
            Reason::NoSuchVerb => (
                format!("no API server knows the verb {verb:?}"),
                "write `impersonate`, or `impersonate:` with associated-node, arbitrary-node, serviceaccount or \
                 user-info behind it"
                    .to_owned(),
            ),
            Reason::NameNeverMatches => (
                format!("the server never asks `{verb}` on {} for {}", resources(), names_of(site)),
                self.help_for_names(site, grants),
            ),
            Reason::SubjectNeverMatches => (
                format!("{} is nobody, so nobody gets `{verb}` by it", holders.words),
                "give the service account its namespace, or use the kind User, Group or ServiceAccount".to_owned(),
            ),
            // These have rules of their own.
            Reason::Unbound | Reason::IgnoredByServer => (String::new(), String::new()),
        }
    }
}

fn names_of(site: &Site<'_>) -> String {
    words::list(site.names().into_iter().flatten().map(|name| format!("{:?}", abbreviate(name.as_str()))))
}

fn resource_of(grant: &RuleGrant) -> String {
    match &grant.identity.extra_key {
        Some(key) => format!("{}/{key}", grant.identity.resource),
        None => grant.identity.resource.to_string(),
    }
}

fn asked_by(mode: Mode) -> String {
    let kinds = IdentityKind::ALL.into_iter().filter(|kind| kind.asked_in(mode).is_some());
    words::list(kinds.map(|kind| kind.resource().to_owned()))
}
