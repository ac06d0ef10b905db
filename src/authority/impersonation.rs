//! The decision over one request: which mode serves it, as whom, and whether that identity may make it
//! (`pkg/endpoints/filters/impersonation/{constrained_impersonation,mode,impersonation}.go`).
//!
//! Answers are those of a server with cold caches: the mode that served a requestor last is not tried first. That
//! changes which mode serves a request, never whether it is allowed.

use std::collections::BTreeMap;

use super::{
    AUTHENTICATION_GROUP, Attributes, Authorizer, Mode, SYSTEM_ANONYMOUS, SYSTEM_AUTHENTICATED, SYSTEM_MASTERS,
    SYSTEM_NODES, SYSTEM_SERVICE_ACCOUNTS, SYSTEM_UNAUTHENTICATED, User, Username, Witness, is_domain_prefixed_path,
};

/// From how many groups, or extra keys or values, on the server first asks for all at once
/// (`manyAuthorizationChecksInLoop`).
const MANY: usize = 4;

/// The extra of a service account's token that names the node of its pod.
pub const NODE_NAME_EXTRA: &str = "authentication.kubernetes.io/node-name";

/// Whether the server has the feature gate `ConstrainedImpersonation` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Feature {
    /// It has: 1.36 and later by default.
    #[default]
    Constrained,
    /// It has not: constrained verbs are inert.
    LegacyOnly,
}

/// The impersonation headers of a request, as the client sends them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Headers {
    /// `Impersonate-User`; empty for none.
    pub user: String,
    /// `Impersonate-Uid`; empty for none.
    pub uid: String,
    /// `Impersonate-Group`, each.
    pub groups: Vec<String>,
    /// `Impersonate-Extra-<key>`, percent-encoding undone.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl Headers {
    /// What the server makes of the headers: keys of extras in lower case, the values of keys that meet joined, keys
    /// without values not seen at all.
    fn received(&self) -> Headers {
        let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (key, values) in self.extra.iter().filter(|(_, values)| !values.is_empty()) {
            extra.entry(key.to_ascii_lowercase()).or_default().extend(values.iter().cloned());
        }
        Headers { extra, ..self.clone() }
    }

    /// `onlyUsernameSet`.
    fn only_user(&self) -> bool {
        self.uid.is_empty() && self.groups.is_empty() && self.extra.is_empty()
    }
}

/// A request: who asks, as whom, for what.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The requestor, with all its groups.
    pub requestor: &'a User,
    /// Whom it asks to be.
    pub headers: &'a Headers,
    /// What it asks for.
    pub attributes: Attributes<'a>,
}

/// One authorization check that the server makes for the requestor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// The verb.
    pub verb: String,
    /// The API group.
    pub api_group: String,
    /// The resource.
    pub resource: String,
    /// The subresource.
    pub subresource: String,
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// The path, for a non-resource request.
    pub path: String,
    /// What allowed it; none if it was refused.
    pub witness: Option<Witness>,
}

impl Check {
    /// The question as an authorizer sees it.
    pub fn attributes(&self) -> Attributes<'_> {
        Attributes {
            verb: &self.verb,
            api_group: &self.api_group,
            resource: &self.resource,
            subresource: &self.subresource,
            namespace: &self.namespace,
            name: &self.name,
            path: &self.path,
        }
    }
}

/// What became of the impersonation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Impersonation {
    /// No header asks for it.
    None,
    /// A header asks for it, but no user is named: the server answers 400.
    Invalid,
    /// No mode allows it.
    Denied,
    /// A mode allows it.
    Allowed {
        /// Which.
        mode: Mode,
        /// The identity with which the request goes on.
        user: User,
    },
}

/// Why a mode that applies refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// RBAC does not allow the check of this index.
    Check(usize),
    /// The server refuses it whatever RBAC says.
    Outright(String),
}

/// The server's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What became of the impersonation.
    pub impersonation: Impersonation,
    /// The checks that were made for it, in their order.
    pub checks: Vec<Check>,
    /// Why each mode that was tried and failed did so, in their order.
    pub refusals: Vec<(Mode, Refusal)>,
    /// What allows the request itself; none if it is refused.
    pub request: Option<Witness>,
}

/// Decides a request as a server with or without the feature would.
pub fn decide(authorizer: &Authorizer<'_>, request: &Request<'_>, feature: Feature) -> Decision {
    let headers = request.headers.received();
    let mut decision =
        Decision { impersonation: Impersonation::None, checks: Vec::new(), refusals: Vec::new(), request: None };
    if headers.user.is_empty() {
        if headers.only_user() {
            decision.request = authorizer.authorize(request.requestor, &request.attributes);
        } else {
            decision.impersonation = Impersonation::Invalid;
        }
        return decision;
    }
    let mut attempt = Attempt { authorizer, request, headers: &headers, checks: Vec::new() };
    decision.impersonation = Impersonation::Denied;
    let modes = if feature == Feature::Constrained { &Mode::ALL[..] } else { &[Mode::Legacy] };
    for &mode in modes {
        if !attempt.applies(mode) {
            continue;
        }
        match attempt.run(mode, feature) {
            Ok(user) => {
                decision.request = authorizer.authorize(&user, &request.attributes);
                decision.impersonation = Impersonation::Allowed { mode, user };
                break;
            }
            Err(refusal) => decision.refusals.push((mode, refusal)),
        }
    }
    decision.checks = attempt.checks;
    decision
}

struct Attempt<'a, 'i> {
    authorizer: &'a Authorizer<'i>,
    request: &'a Request<'a>,
    headers: &'a Headers,
    checks: Vec<Check>,
}

impl Attempt<'_, '_> {
    /// The filter of a mode: whether it can serve such headers at all.
    fn applies(&self, mode: Mode) -> bool {
        let username = Username::parse(&self.headers.user);
        match (mode, username) {
            (Mode::Legacy, _) => true,
            (Mode::AssociatedNode, Username::Node(node)) => self.headers.only_user() && self.runs_on(node),
            (Mode::ArbitraryNode, Username::Node(_)) | (Mode::ServiceAccount, Username::ServiceAccount { .. }) => {
                self.headers.only_user()
            }
            (Mode::UserInfo, Username::Generic) => true,
            _ => false,
        }
    }

    /// `requesterAssociatedWithRequestedNodeUsername`.
    fn runs_on(&self, node: &str) -> bool {
        let requestor = self.request.requestor;
        let nodes = requestor.extra.get(NODE_NAME_EXTRA).map(Vec::as_slice);
        matches!(Username::parse(&requestor.name), Username::ServiceAccount { .. })
            && matches!(nodes, Some([own]) if own == node)
    }

    /// Makes the checks of a mode. Returns the resulting user.
    fn run(&mut self, mode: Mode, feature: Feature) -> Result<User, Refusal> {
        if let Some(verb) = mode.action_verb(self.request.attributes.verb) {
            self.check(Attributes { verb: &verb, ..self.request.attributes })?;
        }
        let groups = self.username(mode)?;
        // A server without the feature walks the headers in another order.
        if feature == Feature::Constrained {
            self.uid(mode)?;
        }
        self.groups(mode)?;
        self.extras(mode)?;
        if feature == Feature::LegacyOnly {
            self.uid(mode)?;
        }
        let mut user = User {
            name: self.headers.user.clone(),
            groups,
            uid: self.headers.uid.clone(),
            extra: self.headers.extra.clone(),
        };
        let marker = if user.name == SYSTEM_ANONYMOUS { SYSTEM_UNAUTHENTICATED } else { SYSTEM_AUTHENTICATED };
        if !user.is_in(SYSTEM_UNAUTHENTICATED) && !user.is_in(marker) {
            user.groups.push(marker.to_owned());
        }
        Ok(user)
    }

    /// `authorizeUsername`. Returns the groups of the resulting user, before the server marks it as authenticated.
    fn username(&mut self, mode: Mode) -> Result<Vec<String>, Refusal> {
        let headers = self.headers;
        let group = if mode == Mode::Legacy { "" } else { AUTHENTICATION_GROUP };
        let mut check = Attributes {
            verb: mode.identity_verb(),
            api_group: group,
            resource: "users",
            name: &headers.user,
            ..Attributes::default()
        };
        let mut groups = headers.groups.clone();
        match Username::parse(&headers.user) {
            Username::ServiceAccount { namespace, name } => {
                check = Attributes { resource: "serviceaccounts", namespace, name, ..check };
                if groups.is_empty() {
                    groups = vec![SYSTEM_SERVICE_ACCOUNTS.to_owned(), format!("{SYSTEM_SERVICE_ACCOUNTS}:{namespace}")];
                }
            }
            Username::Node(name) if mode != Mode::Legacy => {
                let name = if mode == Mode::AssociatedNode { "*" } else { name };
                check = Attributes { resource: "nodes", name, ..check };
                groups = vec![SYSTEM_NODES.to_owned()];
            }
            Username::Node(_) | Username::Generic => {}
        }
        self.check(check)?;
        Ok(groups)
    }

    /// `authorizeUID`.
    fn uid(&mut self, mode: Mode) -> Result<(), Refusal> {
        let uid = self.headers.uid.as_str();
        if uid.is_empty() {
            return Ok(());
        }
        self.check(Attributes { resource: "uids", name: uid, ..authentication(mode) })
    }

    /// `authorizeGroups`.
    fn groups(&mut self, mode: Mode) -> Result<(), Refusal> {
        let groups = self.headers.groups.as_slice();
        let constrained = mode != Mode::Legacy;
        let group = if constrained { AUTHENTICATION_GROUP } else { "" };
        let check = |name| Attributes { api_group: group, resource: "groups", name, ..authentication(mode) };
        if constrained && groups.iter().any(String::is_empty) {
            return Err(Refusal::Outright("impersonating the empty string group is not allowed".to_owned()));
        }
        if constrained && groups.iter().any(|group| group == SYSTEM_MASTERS) {
            return Err(Refusal::Outright("impersonating the system:masters group is not allowed".to_owned()));
        }
        if constrained && groups.len() >= MANY && self.check(check("*")).is_ok() {
            return Ok(());
        }
        groups.iter().try_for_each(|name| self.check(check(name)))
    }

    /// `authorizeExtra`. The server walks the keys in no fixed order; here they are sorted.
    fn extras(&mut self, mode: Mode) -> Result<(), Refusal> {
        let extra = &self.headers.extra;
        let constrained = mode != Mode::Legacy;
        if constrained {
            if let Some(reason) = extra.iter().find_map(|(key, values)| refused_extra(key, values)) {
                return Err(Refusal::Outright(reason));
            }
            let values: usize = extra.values().map(Vec::len).sum();
            let all = Attributes { resource: "userextras", subresource: "*", name: "*", ..authentication(mode) };
            if (extra.len() >= MANY || values >= MANY) && self.check(all).is_ok() {
                return Ok(());
            }
        }
        for (key, values) in extra {
            for value in values {
                self.check(Attributes {
                    resource: "userextras",
                    subresource: key,
                    name: value,
                    ..authentication(mode)
                })?;
            }
        }
        Ok(())
    }

    fn check(&mut self, attributes: Attributes<'_>) -> Result<(), Refusal> {
        let witness = self.authorizer.authorize(self.request.requestor, &attributes);
        self.checks.push(Check {
            verb: attributes.verb.to_owned(),
            api_group: attributes.api_group.to_owned(),
            resource: attributes.resource.to_owned(),
            subresource: attributes.subresource.to_owned(),
            namespace: attributes.namespace.to_owned(),
            name: attributes.name.to_owned(),
            path: attributes.path.to_owned(),
            witness,
        });
        witness.map(|_| ()).ok_or(Refusal::Check(self.checks.len() - 1))
    }
}

/// The part that all checks in the authentication group share.
fn authentication<'a>(mode: Mode) -> Attributes<'a> {
    Attributes { verb: mode.identity_verb(), api_group: AUTHENTICATION_GROUP, ..Attributes::default() }
}

/// `validateExtra`: why a constrained mode refuses an extra whatever RBAC says.
fn refused_extra(key: &str, values: &[String]) -> Option<String> {
    if key.is_empty() {
        Some("impersonating the empty string key in extra is not allowed".to_owned())
    } else if !is_domain_prefixed_path(key) {
        Some(format!("impersonating the key {key:?} in extra is not allowed: it is no domain-prefixed path"))
    } else if key.chars().any(char::is_uppercase) {
        Some(format!("impersonating a non-lowercase key in extra is not allowed: {key:?}"))
    } else if values.iter().any(String::is_empty) {
        Some("impersonating the empty string value in extra is not allowed".to_owned())
    } else {
        None
    }
}
