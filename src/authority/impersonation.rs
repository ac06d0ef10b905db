//! The decision over one request: which mode serves it, as whom, and whether that identity may make it
//! (`pkg/endpoints/filters/impersonation/{constrained_impersonation,mode,impersonation}.go`).
//!
//! Answers are those of a server with cold caches: the mode that served a requestor last is not tried first. That
//! changes which mode serves a request, never whether it is allowed.

use std::borrow::Cow;
use std::fmt;

use super::attributes::service_account_groups;
use super::authorizer::{Question, UserHoldings};
use super::compiled::VerbNumber;
use super::{
    AUTHENTICATION_GROUP, Attributes, Authorizer, Extra, IdentityKind, ImpersonatedUser, Mode, SYSTEM_ANONYMOUS,
    SYSTEM_AUTHENTICATED, SYSTEM_MASTERS, SYSTEM_NODES, SYSTEM_UNAUTHENTICATED, User, Username, Witness,
    is_domain_prefixed_path,
};

/// From how many groups, or extra keys or values, on the server first asks for all at once
/// (`manyAuthorizationChecksInLoop`).
pub const MANY: usize = 4;

/// The extra of a service account's token that names the node of its pod.
pub const NODE_NAME_EXTRA: &str = "authentication.kubernetes.io/node-name";

/// Whether the server has the feature gate `ConstrainedImpersonation` on (`pkg/features/kube_features.go`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Feature {
    /// It has: 1.36 and later by default.
    #[default]
    Constrained,
    /// It has not: constrained verbs are inert.
    LegacyOnly,
}

/// The impersonation headers of a request, as the server sees them (`processImpersonationHeaders`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Headers {
    user: String,
    uid: String,
    groups: Vec<String>,
    extra: Extra,
}

impl Headers {
    /// What the server makes of the headers that a client sends: keys of extras in lower case (ASCII), the values of
    /// keys that meet joined, keys without values not seen at all. An empty user or UID is none.
    pub fn received(user: String, uid: String, groups: Vec<String>, mut extra: Extra) -> Self {
        extra.retain(|_, values| !values.is_empty());
        if extra.keys().any(|key| key.bytes().any(|byte| byte.is_ascii_uppercase())) {
            let mut lower = Extra::new();
            for (key, values) in extra {
                lower.entry(key.to_ascii_lowercase()).or_default().extend(values);
            }
            extra = lower;
        }
        Self { user, uid, groups, extra }
    }

    /// `Impersonate-User`; empty for none.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// `Impersonate-Uid`; empty for none.
    pub fn uid(&self) -> &str {
        &self.uid
    }

    /// `Impersonate-Group`, each.
    pub fn groups(&self) -> &[String] {
        &self.groups
    }

    /// `Impersonate-Extra-<key>`, percent-encoding undone.
    pub fn extra(&self) -> &Extra {
        &self.extra
    }

    /// The same headers with other groups.
    pub fn with_groups(&self, groups: Vec<String>) -> Self {
        Self { user: self.user.clone(), uid: self.uid.clone(), groups, extra: self.extra.clone() }
    }

    /// `onlyUsernameSet`.
    fn only_user(&self) -> bool {
        self.uid.is_empty() && self.groups.is_empty() && self.extra.is_empty()
    }
}

/// A request: who asks, as whom, for what (`filters.GetAuthorizerAttributes`).
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The requestor, with all its groups.
    pub requestor: &'a User,
    /// Whom it asks to be.
    pub headers: &'a Headers,
    /// What it asks for.
    pub attributes: Attributes<'a>,
}

/// The verb of a check (`impersonateOnAttributes` and `impersonationModeState`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckVerb<'a> {
    /// Whom: `impersonate` or `impersonate:<mode>`.
    Identity(Mode),
    /// What for: `impersonate-on:<mode>:<verb>`.
    Action(Mode, &'a str),
}

impl fmt::Display for CheckVerb<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Identity(mode) => f.write_str(mode.identity_verb()),
            Self::Action(mode, verb) => write!(f, "impersonate-on:{mode}:{verb}"),
        }
    }
}

/// One authorization check that the server makes for the requestor (`checkAuthorization`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Check<'a> {
    /// The verb.
    pub verb: CheckVerb<'a>,
    /// What is asked about; the verb in it is empty.
    pub object: Attributes<'a>,
    /// What allowed it; none if it was refused.
    pub witness: Option<Witness>,
}

/// What became of the impersonation (`constrainedImpersonationHandler`, `ServeHTTP`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Impersonation<'a> {
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
        user: ImpersonatedUser<'a>,
    },
}

/// Why a mode that applies refused (`ForbiddenStatusError`, or the authorizer's answer).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// RBAC does not allow the check of this index.
    Check(usize),
    /// The server refuses it whatever RBAC says.
    Outright(String),
}

/// The server's answer (`getImpersonatedUser`, and the authorizer's for the request itself).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision<'a> {
    /// What became of the impersonation.
    pub impersonation: Impersonation<'a>,
    /// The checks that were made for it, in their order.
    pub checks: Vec<Check<'a>>,
    /// Why each mode that was tried and failed did so, in their order.
    pub refusals: Vec<(Mode, Refusal)>,
    /// What allows the request itself; none if it is refused.
    pub request: Option<Witness>,
}

impl Decision<'_> {
    /// The mode that serves the request; none if nothing does, or no other identity is asked for.
    pub fn mode(&self) -> Option<Mode> {
        match self.impersonation {
            Impersonation::Allowed { mode, .. } => Some(mode),
            _ => None,
        }
    }
}

/// Decides a request as a server with or without the feature would, with cold caches.
pub fn decide<'a>(authorizer: &Authorizer<'_>, request: &Request<'a>, feature: Feature) -> Decision<'a> {
    decide_remembering(authorizer, request, feature, None)
}

/// Decides a request as a server would that served the requestor's last impersonated request by the mode `remembered`,
/// and therefore tries that one first (`impersonationModesTracker`).
pub fn decide_remembering<'a>(
    authorizer: &Authorizer<'_>,
    request: &Request<'a>,
    feature: Feature,
    remembered: Option<Mode>,
) -> Decision<'a> {
    let headers = request.headers;
    let mut decision =
        Decision { impersonation: Impersonation::None, checks: Vec::new(), refusals: Vec::new(), request: None };
    if headers.user.is_empty() {
        if headers.only_user() {
            let User { name, groups, .. } = request.requestor;
            decision.request = authorizer.authorize(name, groups, &request.attributes);
        } else {
            decision.impersonation = Impersonation::Invalid;
        }
        return decision;
    }
    decision.impersonation = Impersonation::Denied;
    let modes = if feature == Feature::Constrained { &Mode::ALL[..] } else { &[Mode::Legacy] };
    let first = remembered.filter(|mode| modes.contains(mode));
    let others = modes.iter().copied().filter(|mode| Some(*mode) != first);
    let mut attempt = Attempt::new(authorizer, request);
    for mode in first.into_iter().chain(others) {
        if !applies(mode, request.requestor, request.headers) {
            continue;
        }
        match attempt.run(mode, feature) {
            Ok(user) => {
                let who = authorizer.holdings_of(user.name, &user.groups);
                let verb = authorizer.verb(request.attributes.verb);
                decision.request = authorizer.ask(&who, verb, &attempt.question);
                decision.impersonation = Impersonation::Allowed { mode, user };
                break;
            }
            Err(refusal) => decision.refusals.push((mode, refusal)),
        }
    }
    decision.checks = attempt.checks;
    decision
}

/// The constrained modes that could serve such headers if RBAC allowed it, in the order in which they are tried: those
/// that apply and refuse nothing outright.
pub fn constrained_modes(requestor: &User, headers: &Headers) -> impl Iterator<Item = Mode> {
    let refused = refused_groups(headers.groups()).is_some()
        || headers.extra().iter().any(|(key, values)| refused_extra(key, values).is_some());
    let modes = Mode::CONSTRAINED.into_iter().filter(move |_| !refused && !headers.user.is_empty());
    modes.filter(move |mode| applies(*mode, requestor, headers))
}

/// The checks of a mode that nothing allows, each of which a rule would have to allow for the mode to serve the request:
/// all groups and extras are asked for one by one. None if the mode refuses the request outright.
pub fn missing_checks<'a>(authorizer: &Authorizer<'_>, request: &Request<'a>, mode: Mode) -> Vec<Check<'a>> {
    let mut attempt = Attempt::new(authorizer, request);
    attempt.goes_on = true;
    if attempt.run(mode, Feature::Constrained).is_err() {
        return Vec::new();
    }
    attempt.checks.into_iter().filter(|check| check.witness.is_none()).collect()
}

/// The filter of a mode: whether it can serve such headers at all.
fn applies(mode: Mode, requestor: &User, headers: &Headers) -> bool {
    match (mode, Username::parse(&headers.user)) {
        (Mode::Legacy, _) => true,
        (Mode::AssociatedNode, Username::Node(node)) => headers.only_user() && runs_on(requestor, node),
        (Mode::ArbitraryNode, Username::Node(_)) | (Mode::ServiceAccount, Username::ServiceAccount { .. }) => {
            headers.only_user()
        }
        (Mode::UserInfo, Username::Generic) => true,
        _ => false,
    }
}

/// `requesterAssociatedWithRequestedNodeUsername`.
fn runs_on(requestor: &User, node: &str) -> bool {
    let nodes = requestor.extra.get(NODE_NAME_EXTRA).map(Vec::as_slice);
    matches!(Username::parse(&requestor.name), Username::ServiceAccount { .. })
        && matches!(nodes, Some([own]) if own == node)
}

struct Attempt<'q, 'a, 'i> {
    authorizer: &'q Authorizer<'i>,
    request: &'q Request<'a>,
    headers: &'a Headers,
    target: Username<'a>,
    requestor: UserHoldings<'q>,
    /// What the request itself is about.
    question: Question<'a>,
    action_verbs: [VerbNumber; Mode::CONSTRAINED.len()],
    checks: Vec<Check<'a>>,
    /// Whether the checks go on after one that failed.
    goes_on: bool,
}

impl<'q, 'a, 'i> Attempt<'q, 'a, 'i> {
    fn new(authorizer: &'q Authorizer<'i>, request: &'q Request<'a>) -> Self {
        let User { name, groups, .. } = request.requestor;
        Self {
            authorizer,
            request,
            headers: request.headers,
            target: Username::parse(&request.headers.user),
            requestor: authorizer.holdings_of(name, groups),
            question: authorizer.question(request.attributes),
            action_verbs: authorizer.action_verbs(request.attributes.verb),
            checks: Vec::with_capacity(4),
            goes_on: false,
        }
    }

    /// Makes the checks of a mode. Returns the resulting user.
    fn run(&mut self, mode: Mode, feature: Feature) -> Result<ImpersonatedUser<'a>, Refusal> {
        // Legacy is the last of all modes, and has no actions.
        if let Some(verb) = self.action_verbs.get(mode as usize).copied() {
            let Attributes { verb: action, .. } = self.request.attributes;
            let witness = self.authorizer.ask(&self.requestor, verb, &self.question);
            self.record(CheckVerb::Action(mode, action), self.request.attributes, witness)?;
        }
        let mut groups = self.username(mode)?;
        // A server without the feature walks the headers in another order.
        if feature == Feature::Constrained {
            self.uid(mode)?;
        }
        self.groups(mode)?;
        self.extras(mode)?;
        if feature == Feature::LegacyOnly {
            self.uid(mode)?;
        }
        let Headers { user, uid, extra, .. } = self.headers;
        let marker = if user == SYSTEM_ANONYMOUS { SYSTEM_UNAUTHENTICATED } else { SYSTEM_AUTHENTICATED };
        if !groups.iter().any(|group| group == SYSTEM_UNAUTHENTICATED || group == marker) {
            groups.push(Cow::Borrowed(marker));
        }
        Ok(ImpersonatedUser { name: user, groups, uid, extra })
    }

    /// `authorizeUsername`. Returns the groups of the resulting user, before the server marks it as authenticated.
    fn username(&mut self, mode: Mode) -> Result<Vec<Cow<'a, str>>, Refusal> {
        let headers = self.headers;
        let api_group = core_group(mode);
        let mut kind = IdentityKind::Users;
        let mut check = Attributes { api_group, name: &headers.user, ..Attributes::default() };
        let mut groups: Vec<Cow<'a, str>> = Vec::with_capacity(headers.groups.len() + 3);
        groups.extend(headers.groups.iter().map(|group| Cow::Borrowed(group.as_str())));
        match self.target {
            Username::ServiceAccount { namespace, name } => {
                kind = IdentityKind::ServiceAccounts;
                check = Attributes { namespace, name, ..check };
                if groups.is_empty() {
                    groups.extend(service_account_groups(namespace));
                }
            }
            Username::Node(name) if mode != Mode::Legacy => {
                let name = if mode == Mode::AssociatedNode { "*" } else { name };
                kind = IdentityKind::Nodes;
                check = Attributes { name, ..check };
                groups = vec![Cow::Borrowed(SYSTEM_NODES)];
            }
            Username::Node(_) | Username::Generic => {}
        }
        self.check(mode, kind, check)?;
        Ok(groups)
    }

    /// `authorizeUID`.
    fn uid(&mut self, mode: Mode) -> Result<(), Refusal> {
        let uid = self.headers.uid.as_str();
        if uid.is_empty() {
            return Ok(());
        }
        self.check(mode, IdentityKind::Uids, Attributes { name: uid, ..AUTHENTICATION })
    }

    /// `authorizeGroups`.
    fn groups(&mut self, mode: Mode) -> Result<(), Refusal> {
        let groups = self.headers.groups.as_slice();
        let constrained = mode != Mode::Legacy;
        let api_group = core_group(mode);
        let check = |name| Attributes { api_group, name, ..Attributes::default() };
        if let Some(reason) = refused_groups(groups).filter(|_| constrained) {
            return Err(Refusal::Outright(reason.to_owned()));
        }
        let many = constrained && groups.len() >= MANY && !self.goes_on;
        if many && self.check(mode, IdentityKind::Groups, check("*")).is_ok() {
            return Ok(());
        }
        groups.iter().try_for_each(|name| self.check(mode, IdentityKind::Groups, check(name)))
    }

    /// `authorizeExtra`. The server walks the keys in no fixed order; here they are sorted.
    fn extras(&mut self, mode: Mode) -> Result<(), Refusal> {
        let extra = &self.headers.extra;
        if mode != Mode::Legacy {
            if let Some(reason) = extra.iter().find_map(|(key, values)| refused_extra(key, values)) {
                return Err(Refusal::Outright(reason));
            }
            let values: usize = extra.values().map(Vec::len).sum();
            let all = Attributes { subresource: "*", name: "*", ..AUTHENTICATION };
            let many = (extra.len() >= MANY || values >= MANY) && !self.goes_on;
            if many && self.check(mode, IdentityKind::UserExtras, all).is_ok() {
                return Ok(());
            }
        }
        for (key, values) in extra {
            for value in values {
                let check = Attributes { subresource: key, name: value, ..AUTHENTICATION };
                self.check(mode, IdentityKind::UserExtras, check)?;
            }
        }
        Ok(())
    }

    /// Asks for an identity.
    fn check(&mut self, mode: Mode, kind: IdentityKind, object: Attributes<'a>) -> Result<(), Refusal> {
        let object = Attributes { resource: kind.resource(), ..object };
        let question = if object.subresource.is_empty() {
            self.authorizer.identity_question(kind, object)
        } else {
            self.authorizer.question(object)
        };
        let witness = self.authorizer.ask(&self.requestor, self.authorizer.identity_verb(mode), &question);
        self.record(CheckVerb::Identity(mode), object, witness)
    }

    fn record(&mut self, verb: CheckVerb<'a>, object: Attributes<'a>, witness: Option<Witness>) -> Result<(), Refusal> {
        self.checks.push(Check { verb, object: Attributes { verb: "", ..object }, witness });
        if witness.is_some() || self.goes_on { Ok(()) } else { Err(Refusal::Check(self.checks.len() - 1)) }
    }
}

/// The group in which a mode asks for users, groups and service accounts.
fn core_group(mode: Mode) -> &'static str {
    if mode == Mode::Legacy { "" } else { AUTHENTICATION_GROUP }
}

/// The part that all checks in the authentication group share.
const AUTHENTICATION: Attributes<'static> = Attributes {
    verb: "",
    api_group: AUTHENTICATION_GROUP,
    resource: "",
    subresource: "",
    namespace: "",
    name: "",
    path: "",
};

/// Whether the constrained modes refuse a group whatever RBAC says.
pub fn is_refused_group(group: &str) -> bool {
    refused_groups(&[group]).is_some()
}

/// Whether the constrained modes refuse an extra of this key, whatever its values are and RBAC says.
pub fn is_refused_key(key: &str) -> bool {
    refused_extra(key, &[]).is_some()
}

/// Why a constrained mode refuses groups whatever RBAC says (`authorizeGroups`).
fn refused_groups(groups: &[impl AsRef<str>]) -> Option<&'static str> {
    if groups.iter().any(|group| group.as_ref().is_empty()) {
        Some("impersonating the empty string group is not allowed")
    } else if groups.iter().any(|group| group.as_ref() == SYSTEM_MASTERS) {
        Some("impersonating the system:masters group is not allowed")
    } else {
        None
    }
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
