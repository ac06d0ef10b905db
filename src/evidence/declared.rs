//! Actions that a person has declared in a file (`docs/migrating.md`).

use std::sync::Arc;

use smol_str::SmolStr;

use crate::authority::{Mode, Principal, User, Username, is_dns_label, service_account_username};
use crate::inventory::{FieldReader, Subject, SubjectKind, Text};
use crate::problem::{Problem, ProblemKind};
use crate::source::{Piece, split_documents};
use crate::syntax::{Node, NodeKind, Place, parse_documents};

/// The declared actions of one file.
#[derive(Debug, Default)]
pub struct DeclaredActions {
    /// In the order of the file.
    pub actions: Vec<DeclaredAction>,
    /// What is said of headers, in the order of the file.
    pub header_hints: Vec<HeaderHint>,
}

/// Whether clients send the groups themselves that the server adds to an impersonated user (`system:authenticated`, the
/// groups of a service account). An audit event looks the same either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ImplicitGroups {
    /// Not known: both must keep working.
    #[default]
    Unknown,
    /// They are sent wherever they may be.
    Sent,
    /// They are never sent.
    NotSent,
}

impl ImplicitGroups {
    /// Parses `sent`, `not-sent` or `unknown`.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "sent" => Some(Self::Sent),
            "not-sent" => Some(Self::NotSent),
            "unknown" => Some(Self::Unknown),
            _ => None,
        }
    }
}

/// What a person says of the headers of an impersonator.
#[derive(Debug, Clone)]
pub struct HeaderHint {
    /// The impersonator; none for every one.
    pub impersonator: Option<Impersonator>,
    /// Whether it sends the groups itself that the server adds.
    pub implicit_groups: ImplicitGroups,
}

/// One entry: who does what, in which mode, where.
#[derive(Debug, Clone)]
pub struct DeclaredAction {
    /// The impersonator; none for every one.
    pub impersonator: Option<Impersonator>,
    /// The constrained mode; none for every mode the impersonator has.
    pub mode: Option<Mode>,
    /// The namespace of the requests; none for all, and for requests without one.
    pub namespace: Option<SmolStr>,
    /// What is done.
    pub rules: Vec<ActionRule>,
    /// Where the entry stands.
    pub place: Place,
}

impl DeclaredAction {
    /// Whether it is done in this mode.
    pub fn applies_in(&self, mode: Mode) -> bool {
        self.mode.is_none_or(|own| own == mode)
    }
}

/// A subject that impersonates.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Impersonator {
    /// What the name names.
    pub kind: SubjectKind,
    /// Namespace of a service account.
    pub namespace: Option<SmolStr>,
    /// The name.
    pub name: SmolStr,
}

impl From<&Principal> for Impersonator {
    fn from(principal: &Principal) -> Self {
        let (kind, namespace, name) = match principal {
            Principal::User(name) => (SubjectKind::User, None, name.clone()),
            Principal::Group(name) => (SubjectKind::Group, None, name.clone()),
            Principal::ServiceAccount { namespace, name } => {
                (SubjectKind::ServiceAccount, Some(namespace.clone()), name.clone())
            }
            Principal::SomeServiceAccount(namespace) => {
                (SubjectKind::ServiceAccount, namespace.clone(), SmolStr::default())
            }
        };
        Self { kind, namespace, name }
    }
}

/// Plain verbs on resources, or on URLs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ActionRule {
    /// API groups.
    pub api_groups: Vec<SmolStr>,
    /// Resources, with subresources as `resource/subresource`.
    pub resources: Vec<SmolStr>,
    /// Paths of non-resource requests.
    pub non_resource_urls: Vec<SmolStr>,
    /// Verbs of the requests, without any `impersonate-on:`.
    pub verbs: Vec<SmolStr>,
}

impl Impersonator {
    /// The impersonator behind a binding's subject.
    pub fn of_subject(subject: &Subject) -> Self {
        Self { kind: subject.kind.clone(), namespace: subject.namespace.clone(), name: subject.name.value.clone() }
    }

    /// The name by which the server knows it: a service account has a username too.
    pub fn username(&self) -> SmolStr {
        match &self.namespace {
            Some(namespace) if self.kind == SubjectKind::ServiceAccount => {
                service_account_username(namespace, &self.name).into()
            }
            _ => self.name.clone(),
        }
    }

    /// Parses `ServiceAccount/NAMESPACE/NAME`, `User/NAME` or `Group/NAME`. The username of a service account is one,
    /// too, as is `User/` with it.
    ///
    /// # Errors
    /// When the text is none of these.
    pub fn parse(text: &str) -> Result<Self, String> {
        let account = |namespace: &str, name: &str| Self {
            kind: SubjectKind::ServiceAccount,
            namespace: Some(namespace.into()),
            name: name.into(),
        };
        let of_kind = |kind| move |name: &str| Self { kind, namespace: None, name: name.into() };
        let username = text.strip_prefix("User/").unwrap_or(text);
        if let Username::ServiceAccount { namespace, name } = Username::parse(username) {
            return Ok(account(namespace, name));
        }
        let named = match text.split_once('/').filter(|(_, name)| !name.is_empty()) {
            Some(("User", name)) => Some(of_kind(SubjectKind::User)(name)),
            Some(("Group", name)) => Some(of_kind(SubjectKind::Group)(name)),
            Some(("ServiceAccount", rest)) => rest
                .split_once('/')
                .filter(|(namespace, name)| !namespace.is_empty() && !name.is_empty())
                .map(|(namespace, name)| account(namespace, name)),
            _ => None,
        };
        named.ok_or_else(|| "write ServiceAccount/NAMESPACE/NAME, User/NAME or Group/NAME".to_owned())
    }

    /// Whether a user is this subject, or in this group.
    pub fn includes(&self, user: &User) -> bool {
        self.principal().is_some_and(|principal| principal.includes(user))
    }

    /// Whether it is a group.
    pub fn is_group(&self) -> bool {
        self.kind == SubjectKind::Group
    }

    /// Returns whom it means; none if it matches no one.
    pub fn principal(&self) -> Option<Principal> {
        Principal::named(&self.kind, self.namespace.as_ref(), &self.name)
    }

    /// `ServiceAccount apps/deputy`, `Group devs`.
    pub fn describe(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{} {namespace}/{}", self.kind.as_str(), self.name),
            None => format!("{} {}", self.kind.as_str(), self.name),
        }
    }
}

/// Reads declared actions.
///
/// # Errors
/// Everything that is wrong with the file, each with its place. Nothing is read in part: a missing action would break a
/// client.
pub fn read_declared(path: &Arc<str>, bytes: &[u8]) -> Result<DeclaredActions, Vec<Problem>> {
    let mut reader = Reader { fields: FieldReader::new(path), actions: Vec::new(), header_hints: Vec::new() };
    match std::str::from_utf8(bytes) {
        Ok(text) => {
            for Piece { range, line } in split_documents(bytes) {
                let (trees, error) = parse_documents(text.get(range.clone()).unwrap_or_default(), range.start, line);
                for root in trees.iter().filter_map(|tree| tree.root()) {
                    reader.document(root);
                }
                if let Some(departure) = trees.first().and_then(|tree| tree.departure()) {
                    let place = trees.first().and_then(|tree| tree.root()).map(Node::place).unwrap_or_default();
                    let message = format!("readers may read this document differently: {}", departure.what);
                    reader.wrong(place.start(), message, departure.help);
                }
                if let Some(error) = error {
                    reader.wrong(error.place, format!("this is not valid YAML: {}", error.message), "correct the file");
                }
            }
        }
        Err(_) => reader.wrong(Place::default(), "this file is not UTF-8".to_owned(), "save the file as UTF-8"),
    }
    if reader.fields.problems.is_empty() {
        Ok(DeclaredActions { actions: reader.actions, header_hints: reader.header_hints })
    } else {
        Err(reader.fields.problems)
    }
}

struct Reader<'p> {
    fields: FieldReader<'p>,
    actions: Vec<DeclaredAction>,
    header_hints: Vec<HeaderHint>,
}

impl Reader<'_> {
    fn document(&mut self, root: Node<'_>) {
        if root.is_null() {
            return;
        }
        self.known(root, &["actions"]);
        let [actions] = self.fields.unique_fields(root, ["actions"]);
        let Some(actions) = actions.filter(|actions| actions.kind() == NodeKind::Sequence) else {
            let place = actions.unwrap_or(root).place();
            let message = "there is no list `actions` here".to_owned();
            return self.wrong(place, message, "write `actions:` and a list of entries below it");
        };
        for entry in actions.items() {
            self.entry(entry);
        }
    }

    fn entry(&mut self, node: Node<'_>) {
        if !self.known(node, &["impersonator", "mode", "namespace", "rules", "implicitGroups"]) {
            return;
        }
        let [impersonator, mode, namespace, rules, implicit_groups] =
            self.fields.unique_fields(node, ["impersonator", "mode", "namespace", "rules", "implicitGroups"]);
        let place = node.place();
        let impersonator = impersonator.map(|impersonator| self.impersonator(impersonator));
        let mode = self.fields.text("mode", mode).map(|text| self.mode(&text));
        let namespace = self.fields.text("namespace", namespace);
        if let Some(namespace) = namespace.as_ref().filter(|namespace| !is_dns_label(namespace.as_str())) {
            let message = format!("{:?} is no name of a namespace", namespace.as_str());
            self.wrong(namespace.place, message, "write one namespace, or leave it out for all");
        }
        let namespace = namespace.map(|text| text.value);
        let implicit_groups =
            self.fields.text("implicitGroups", implicit_groups).map(|text| self.implicit_groups(&text));
        let mut read = Vec::new();
        match rules {
            Some(rules) if rules.kind() == NodeKind::Sequence => {
                if rules.items().next().is_none() {
                    let help = "say what the impersonator does, or remove the entry";
                    self.wrong(rules.place(), "this list of rules is empty".to_owned(), help);
                }
                for rule in rules.items() {
                    read.extend(self.rule(rule, namespace.is_some()));
                }
            }
            Some(rules) => self.fields.wrong_type("rules", "a list of rules", rules),
            None if implicit_groups.is_some() => {}
            None => self.wrong(place, "this entry has no `rules`".to_owned(), "say what the impersonator does"),
        }
        // A part that could not be read is a problem, and the file is refused as a whole.
        let (Some(impersonator), Some(mode)) = (flatten(impersonator), flatten(mode)) else { return };
        if let Some(implicit_groups) = implicit_groups.flatten() {
            self.header_hints.push(HeaderHint { impersonator: impersonator.clone(), implicit_groups });
        }
        if rules.is_none() {
            return;
        }
        self.actions.push(DeclaredAction { impersonator, mode, namespace, rules: read, place });
    }

    fn impersonator(&mut self, node: Node<'_>) -> Option<Impersonator> {
        if !self.known(node, &["kind", "name", "namespace", "apiGroup"]) {
            return None;
        }
        let [kind, name, namespace] = self.fields.unique_fields(node, ["kind", "name", "namespace"]);
        let kind = self.fields.required_text("kind", kind, node, "an impersonator")?;
        let name = self.fields.required_text("name", name, node, "an impersonator")?;
        let namespace = self.fields.text("namespace", namespace).map(|text| text.value);
        let (kind, valid) = match kind.as_str() {
            "User" => (SubjectKind::User, namespace.is_none()),
            "Group" => (SubjectKind::Group, namespace.is_none()),
            "ServiceAccount" => (SubjectKind::ServiceAccount, namespace.is_some()),
            _ => {
                let message = format!("an impersonator is no {:?}", kind.as_str());
                self.wrong(kind.place, message, "use User, Group or ServiceAccount");
                return None;
            }
        };
        if !valid {
            let message = "a ServiceAccount has a namespace, a User and a Group have none".to_owned();
            self.wrong(node.place(), message, "correct the impersonator");
            return None;
        }
        Some(Impersonator { kind, namespace, name: name.value })
    }

    fn implicit_groups(&mut self, text: &Text) -> Option<ImplicitGroups> {
        let known = ImplicitGroups::parse(text.as_str());
        if known.is_none() {
            let message = format!("{:?} does not say whether groups are sent", text.as_str());
            self.wrong(text.place, message, "use sent, not-sent or unknown");
        }
        known
    }

    fn mode(&mut self, text: &Text) -> Option<Mode> {
        let mode = Mode::parse_constrained(text.as_str());
        if mode.is_none() {
            let modes = Mode::CONSTRAINED.map(Mode::as_str).join(", ");
            let message = format!("there is no constrained mode {:?}", text.as_str());
            self.wrong(text.place, message, &format!("use one of {modes}"));
        }
        mode
    }

    fn rule(&mut self, node: Node<'_>, namespaced: bool) -> Option<ActionRule> {
        if !self.known(node, &["apiGroups", "resources", "verbs", "nonResourceURLs"]) {
            return None;
        }
        let names = ["apiGroups", "resources", "verbs", "nonResourceURLs"];
        let [api_groups, resources, verbs, urls] = self.fields.unique_fields(node, names);
        let mut list = |name, node| self.fields.texts(name, node).0;
        let (api_groups, resources) = (list("apiGroups", api_groups), list("resources", resources));
        let (verbs, urls) = (list("verbs", verbs), list("nonResourceURLs", urls));
        for verb in &verbs {
            if verb.as_str() == "*" {
                let message = "the action `*` cannot be granted: `impersonate-on:<mode>:*` matches nothing".to_owned();
                self.wrong(verb.place, message, "list the verbs: get, list, watch, create, update, patch, delete, …");
            } else if verb.as_str().starts_with("impersonate") || !is_request_verb(verb.as_str()) {
                let message = format!("{:?} is no verb of a request", verb.as_str());
                self.wrong(verb.place, message, "write the plain verb, such as get; the mode is put before it");
            }
        }
        for url in urls.iter().filter(|url| !url.as_str().starts_with('/') && url.as_str() != "*") {
            let message = format!("{:?} is no path", url.as_str());
            self.wrong(url.place, message, "begin it with /");
        }
        let place = node.place();
        if verbs.is_empty() {
            self.wrong(place, "this rule has no verbs".to_owned(), "say what is done");
        }
        match (resources.is_empty(), urls.is_empty()) {
            (false, true) if api_groups.is_empty() => {
                self.wrong(
                    place,
                    "this rule has no `apiGroups`".to_owned(),
                    "name the groups, \"\" for the core group",
                );
            }
            (true, true) => {
                self.wrong(place, "this rule has no `resources`".to_owned(), "say on what the verbs are done");
            }
            (false, false) => self.wrong(
                place,
                "`resources` and `nonResourceURLs` cannot be in one rule".to_owned(),
                "write two rules",
            ),
            (true, false) if namespaced => self.wrong(
                place,
                "`nonResourceURLs` have no namespace".to_owned(),
                "put the rule into an entry without `namespace`",
            ),
            _ => {}
        }
        let values = |texts: Vec<Text>| texts.into_iter().map(|text| text.value).collect();
        Some(ActionRule {
            api_groups: values(api_groups),
            resources: values(resources),
            non_resource_urls: values(urls),
            verbs: values(verbs),
        })
    }

    /// Whether the node is a mapping. Keys that it should not have are problems: one that is misspelt would be a
    /// missing limit or a missing action.
    fn known(&mut self, node: Node<'_>, keys: &[&str]) -> bool {
        if node.kind() != NodeKind::Mapping {
            let message = format!("this must be a mapping, but is {}", node.describe());
            self.wrong(node.place(), message, "see the guide on migrating for the format");
            return false;
        }
        let mut unknown = Vec::new();
        node.visit_fields(&mut |key, entry, _| {
            if !keys.contains(&key) {
                unknown.push((key.to_owned(), entry.key.place()));
            }
        });
        for (key, place) in unknown {
            let help = match key.as_str() {
                "resourceNames" => "actions carry no names: the action is asked before it is known for whom".to_owned(),
                _ => format!("the keys here are {}", keys.join(", ")),
            };
            self.wrong(place, format!("there is no key `{key}` here"), &help);
        }
        true
    }

    fn wrong(&mut self, place: Place, message: String, help: &str) {
        self.fields.problem(ProblemKind::WrongType, place, message, help);
    }
}

/// Whether a request can have the verb: those of the API and the methods of HTTP are letters in lower case.
fn is_request_verb(verb: &str) -> bool {
    !verb.is_empty() && verb.bytes().all(|byte| byte.is_ascii_lowercase())
}

/// A value that may be absent, and may be wrong: none if it is wrong.
fn flatten<T>(value: Option<Option<T>>) -> Option<Option<T>> {
    match value {
        None => Some(None),
        Some(None) => None,
        Some(read) => Some(read),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<DeclaredActions, Vec<String>> {
        let problems = |problems: Vec<Problem>| {
            let show = |problem: Problem| {
                let place = problem.place.unwrap();
                format!("{}:{}: {}", place.line, place.column, problem.message)
            };
            problems.into_iter().map(show).collect()
        };
        read_declared(&Arc::from("a.yaml"), text.as_bytes()).map_err(problems)
    }

    #[test]
    fn the_documented_form() {
        let declared = read(
            "actions:\n- impersonator: {kind: ServiceAccount, namespace: deputy-ns, name: deputy}\n  mode: user-info\n  \
             namespace: default\n  rules:\n  - {apiGroups: [subresources.kubevirt.io], resources: [virtualmachines/console], \
             verbs: [get]}\n- rules:\n  - {nonResourceURLs: [/api, /apis], verbs: [get]}\n",
        )
        .unwrap();
        assert_eq!(declared.actions.len(), 2);
        let first = &declared.actions[0];
        assert_eq!(first.impersonator.as_ref().unwrap().describe(), "ServiceAccount deputy-ns/deputy");
        assert_eq!((first.mode, first.namespace.as_deref()), (Some(Mode::UserInfo), Some("default")));
        assert_eq!(declared.actions[1].impersonator, None);
        assert_eq!(declared.actions[1].rules[0].non_resource_urls, ["/api", "/apis"]);
    }

    #[test]
    fn subjects_are_parsed() {
        for (text, described) in [
            ("ServiceAccount/apps/deputy", "ServiceAccount apps/deputy"),
            ("system:serviceaccount:apps:deputy", "ServiceAccount apps/deputy"),
            ("User/system:serviceaccount:apps:deputy", "ServiceAccount apps/deputy"),
            ("User/https://issuer#alice", "User https://issuer#alice"),
            ("Group/devs", "Group devs"),
        ] {
            assert_eq!(Impersonator::parse(text).unwrap().describe(), described);
        }
        for text in ["alice", "User/", "ServiceAccount/deputy", "ServiceAccount//deputy", "Role/a/b", ""] {
            assert!(Impersonator::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn headers_are_declared_with_or_without_actions() {
        let declared = read(
            "actions:\n- {impersonator: {kind: Group, name: devs}, implicitGroups: not-sent}\n- implicitGroups: sent\n",
        );
        let declared = declared.unwrap();
        assert!(declared.actions.is_empty());
        let hints: Vec<_> =
            declared.header_hints.iter().map(|hint| (hint.impersonator.is_some(), hint.implicit_groups)).collect();
        assert_eq!(hints, [(true, ImplicitGroups::NotSent), (false, ImplicitGroups::Sent)]);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        for (text, expected) in [
            ("acts: []\n", vec!["1:1: there is no key `acts` here", "1:1: there is no list `actions` here"]),
            (
                "actions:\n- mode: legacy\n  rules: [{apiGroups: [\"\"], resources: [pods], verbs: [get]}]\n",
                vec!["2:9: there is no constrained mode \"legacy\""],
            ),
            (
                "actions:\n- rules: [{apiGroups: [\"\"], resources: [pods], verbs: [\"*\"]}]\n",
                vec!["2:57: the action `*` cannot be granted: `impersonate-on:<mode>:*` matches nothing"],
            ),
            (
                "actions:\n- rules: [{apiGroups: [\"\"], resources: [pods], resourceNames: [a], verbs: [get]}]\n",
                vec!["2:48: there is no key `resourceNames` here"],
            ),
            (
                "actions:\n- namespace: a\n  rules: [{nonResourceURLs: [/x], verbs: [get]}]\n",
                vec!["3:11: `nonResourceURLs` have no namespace"],
            ),
            (
                "actions:\n- impersonator: {kind: ServiceAccount, name: a}\n  rules: [{apiGroups: [\"\"], resources: [pods], verbs: [get]}]\n",
                vec!["2:17: a ServiceAccount has a namespace, a User and a Group have none"],
            ),
            ("actions:\n- rules: []\n", vec!["2:10: this list of rules is empty"]),
            (
                "actions:\n- namespace: Bad NS\n  rules: [{apiGroups: [\"\"], resources: [pods], verbs: [GET]}]\n",
                vec!["2:14: \"Bad NS\" is no name of a namespace", "3:56: \"GET\" is no verb of a request"],
            ),
            ("actions:\n- rules: [{nonResourceURLs: [livez], verbs: [get]}]\n", vec!["2:30: \"livez\" is no path"]),
            ("actions:\n- implicitGroups: maybe\n", vec!["2:19: \"maybe\" does not say whether groups are sent"]),
            ("actions: [\n", vec!["1:10: this is not valid YAML: unclosed bracket '['"]),
        ] {
            assert_eq!(read(text).unwrap_err(), expected, "{text}");
        }
    }
}
