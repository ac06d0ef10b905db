//! Whom names mean: users, groups and service accounts; which of them one requestor surely is, and may be at once.
//!
//! A binding names a user, a group or a service account, and one requestor is often several of them. The API server gives
//! a service account two groups of its own, and `system:authenticated` to every user it knows
//! (`pkg/authentication/serviceaccount`, `pkg/authentication/group`). All other groups come from an identity provider,
//! which may put a user in any group, but not in those of service accounts. A group that only looks like one of these
//! (`system:serviceaccounts-team`) is a group like any other.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use smol_str::SmolStr;

use super::attributes::service_account_groups;
use super::identity::service_account_username;
use super::{
    SYSTEM_ANONYMOUS, SYSTEM_AUTHENTICATED, SYSTEM_MASTERS, SYSTEM_SERVICE_ACCOUNTS, SYSTEM_UNAUTHENTICATED, User,
    Username, is_dns_label, subject_matches_someone,
};
use crate::inventory::{Subject, SubjectKind, abbreviate};
use crate::template::is_templated;

/// Someone who holds something, or whom one can be. One username is one principal, however a manifest spells it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Principal {
    /// A user.
    User(SmolStr),
    /// Everyone in a group.
    Group(SmolStr),
    /// A service account.
    ServiceAccount {
        /// Its namespace.
        namespace: SmolStr,
        /// Its name.
        name: SmolStr,
    },
    /// A service account, whichever: of a namespace, or of any.
    SomeServiceAccount(Option<SmolStr>),
}

impl Principal {
    /// Returns whom a binding's subject means; none if it matches no one.
    pub fn of_subject(subject: &Subject) -> Option<Self> {
        if !subject_matches_someone(subject) {
            return None;
        }
        Self::named(&subject.kind, subject.namespace.as_ref(), &subject.name.value)
    }

    /// Returns whom a kind, a namespace and a name mean; none for a kind that RBAC does not know.
    pub fn named(kind: &SubjectKind, namespace: Option<&SmolStr>, name: &SmolStr) -> Option<Self> {
        match (kind, namespace) {
            (SubjectKind::User, _) => Some(Self::of_username(name)),
            (SubjectKind::Group, _) => Some(Self::Group(name.clone())),
            // A name that no service account can have is compared all the same; a template fills in one that it can.
            (SubjectKind::ServiceAccount, Some(namespace)) if is_templated(namespace) || is_templated(name) => {
                Some(Self::ServiceAccount { namespace: namespace.clone(), name: name.clone() })
            }
            (SubjectKind::ServiceAccount, Some(namespace)) => {
                Some(Self::of_username(&service_account_username(namespace, name)))
            }
            (SubjectKind::ServiceAccount, None) | (SubjectKind::Unknown(_), _) => None,
        }
    }

    /// Returns whom a username means.
    pub fn of_username(username: &str) -> Self {
        match Username::parse(username) {
            Username::ServiceAccount { namespace, name } => {
                Self::ServiceAccount { namespace: namespace.into(), name: name.into() }
            }
            Username::Node(_) | Username::Generic => Self::User(username.into()),
        }
    }

    /// Lists the principals that a requestor is, the most specific first: itself, ordinary groups, those of service
    /// accounts, and the group of all.
    pub fn all_of(username: &str, groups: &[String]) -> Vec<Self> {
        let mut groups: Vec<&str> = groups.iter().map(String::as_str).collect();
        groups.sort_unstable_by_key(|group| (breadth(group), *group));
        groups.dedup();
        let groups = groups.into_iter().map(|group| Self::Group(group.into()));
        std::iter::once(Self::of_username(username)).chain(groups).collect()
    }

    /// `ServiceAccount "apps/deputy"`, `Group "devs"`, `any service account of namespace "apps"`.
    pub fn describe(&self) -> String {
        match self {
            Self::User(name) => format!("User \"{}\"", abbreviate(name)),
            Self::Group(name) => format!("Group \"{}\"", abbreviate(name)),
            Self::ServiceAccount { namespace, name } => {
                format!("ServiceAccount \"{}/{}\"", abbreviate(namespace), abbreviate(name))
            }
            Self::SomeServiceAccount(Some(namespace)) => {
                format!("any service account of namespace \"{}\"", abbreviate(namespace))
            }
            Self::SomeServiceAccount(None) => "any service account".to_owned(),
        }
    }

    /// Lists the parts of its name.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        let (name, namespace) = match self {
            Self::User(name) | Self::Group(name) => (Some(name), None),
            Self::ServiceAccount { namespace, name } => (Some(name), Some(namespace)),
            Self::SomeServiceAccount(namespace) => (None, namespace.as_ref()),
        };
        name.into_iter().chain(namespace).map(SmolStr::as_str)
    }

    /// Reports whether it passes every check.
    pub fn is_superuser(&self) -> bool {
        matches!(self, Self::Group(group) if group == SYSTEM_MASTERS)
    }

    /// Reports whether a user is it, or in this group.
    pub fn includes(&self, user: &User) -> bool {
        match self {
            Self::Group(group) => user.groups.iter().any(|own| own == group),
            Self::SomeServiceAccount(_) => false,
            Self::User(_) | Self::ServiceAccount { .. } => *self == Self::of_username(&user.name),
        }
    }

    /// Lists by what bindings can name it, whoever of it asks: itself, and the groups that the server gives to all of it.
    pub fn surely(&self) -> Vec<Self> {
        let own = (!matches!(self, Self::SomeServiceAccount(_))).then(|| self.clone());
        own.into_iter().chain(self.given_groups().into_iter().map(|group| Self::Group(group.into()))).collect()
    }

    /// The same, where members of a group count as authenticated: only a proxy could name an anonymous user in one.
    pub fn names(&self) -> Vec<Self> {
        let mut names = self.surely();
        if matches!(self, Self::Group(group) if group != SYSTEM_UNAUTHENTICATED) {
            let authenticated = Self::Group(SmolStr::new_static(SYSTEM_AUTHENTICATED));
            if !names.contains(&authenticated) {
                names.push(authenticated);
            }
        }
        names
    }

    fn given_groups(&self) -> Vec<Cow<'static, str>> {
        let authenticated = Cow::Borrowed(SYSTEM_AUTHENTICATED);
        match (self, self.circle()) {
            (Self::Group(group), Some(Circle::Accounts(_))) if group == SYSTEM_SERVICE_ACCOUNTS => vec![authenticated],
            (Self::Group(_), Some(Circle::Accounts(_))) | (_, Some(Circle::Accounts(None))) => {
                vec![Cow::Borrowed(SYSTEM_SERVICE_ACCOUNTS), authenticated]
            }
            (_, Some(Circle::Accounts(Some(namespace)))) => {
                service_account_groups(namespace).into_iter().chain([authenticated]).collect()
            }
            (Self::User(name), _) if name != SYSTEM_ANONYMOUS => vec![authenticated],
            _ => Vec::new(),
        }
    }

    /// Returns the circle that all of it belong to; none for a group of which both people and service accounts may be.
    fn circle(&self) -> Option<Circle<'_>> {
        match self {
            Self::User(_) => Some(Circle::People),
            Self::ServiceAccount { namespace, .. } => Some(Circle::Accounts(Some(namespace))),
            Self::SomeServiceAccount(namespace) => Some(Circle::Accounts(namespace.as_deref())),
            Self::Group(group) if group == SYSTEM_SERVICE_ACCOUNTS => Some(Circle::Accounts(None)),
            Self::Group(group) => namespace_of_accounts(group).map(|namespace| Circle::Accounts(Some(namespace))),
        }
    }
}

/// How many a group holds, as a rank.
fn breadth(group: &str) -> u8 {
    match group {
        SYSTEM_AUTHENTICATED | SYSTEM_UNAUTHENTICATED => 3,
        SYSTEM_SERVICE_ACCOUNTS => 2,
        _ => u8::from(namespace_of_accounts(group).is_some()),
    }
}

/// Returns the namespace whose service accounts are in the group; none for other groups, those included that only look
/// like it.
pub fn namespace_of_accounts(group: &str) -> Option<&str> {
    let namespace = group.strip_prefix(SYSTEM_SERVICE_ACCOUNTS)?.strip_prefix(':')?;
    (is_dns_label(namespace) || is_templated(namespace)).then_some(namespace)
}

/// Reports whether only service accounts are in the group.
pub fn is_of_accounts(group: &str) -> bool {
    group == SYSTEM_SERVICE_ACCOUNTS || namespace_of_accounts(group).is_some()
}

/// Requestors that may be in the same groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Circle<'n> {
    /// Everyone but service accounts; nodes too.
    People,
    /// The service accounts of a namespace; some service account, if none is named.
    Accounts(Option<&'n str>),
}

impl<'n> Circle<'n> {
    /// Returns the circle of a requestor.
    pub fn of_username(username: &'n str) -> Self {
        match Username::parse(username) {
            Username::ServiceAccount { namespace, .. } => Self::Accounts(Some(namespace)),
            Username::Node(_) | Username::Generic => Self::People,
        }
    }

    /// Reports whether someone of the circle may be in a group: people in any but those of service accounts, and a service
    /// account in its own alone.
    pub fn may_be_in(self, group: &str) -> bool {
        match self {
            Self::People => !is_of_accounts(group),
            Self::Accounts(_) if [SYSTEM_AUTHENTICATED, SYSTEM_SERVICE_ACCOUNTS].contains(&group) => true,
            Self::Accounts(own) => {
                namespace_of_accounts(group).is_some_and(|namespace| own.is_none_or(|own| own == namespace))
            }
        }
    }
}

/// Which principals one requestor may be at once: what names tell, and who was seen in groups beyond that.
#[derive(Debug, Clone, Default)]
pub struct Memberships {
    seen: BTreeSet<(Principal, SmolStr)>,
    /// By group, the circles of those who were seen in it.
    circles: BTreeMap<SmolStr, Circles>,
}

/// A set of circles.
#[derive(Debug, Clone, Default)]
struct Circles {
    people: bool,
    namespaces: BTreeSet<SmolStr>,
}

impl Circles {
    fn iter(&self) -> impl Iterator<Item = Circle<'_>> {
        let namespaces = self.namespaces.iter().map(|namespace| Circle::Accounts(Some(namespace)));
        self.people.then_some(Circle::People).into_iter().chain(namespaces)
    }
}

impl Memberships {
    /// Notes the groups of requestors.
    pub fn of<'r>(requestors: impl Iterator<Item = &'r User>) -> Self {
        let mut this = Self::default();
        let mut last: Option<&User> = None;
        for user in requestors {
            // Those of one requestor mostly come one after the other.
            if last.is_some_and(|last| last.name == user.name && last.groups == user.groups) {
                continue;
            }
            last = Some(user);
            let circle = Circle::of_username(&user.name);
            for group in user.groups.iter().filter(|group| !circle.may_be_in(group)) {
                this.seen.insert((Principal::of_username(&user.name), group.into()));
                let circles = this.circles.entry(group.into()).or_default();
                match circle {
                    Circle::Accounts(Some(namespace)) => drop(circles.namespaces.insert(namespace.into())),
                    Circle::People | Circle::Accounts(None) => circles.people = true,
                }
            }
        }
        this
    }

    /// As [`Principal::surely`], but for a group of service accounts in which others were seen: they have its name alone.
    pub fn surely(&self, who: &Principal) -> Vec<Principal> {
        match who {
            Principal::Group(group) if self.circles.get(group).is_some_and(|circles| circles.people) => {
                vec![who.clone()]
            }
            _ => who.surely(),
        }
    }

    /// Reports whether one requestor may be both.
    pub fn may_be_one(&self, a: &Principal, b: &Principal) -> bool {
        use Principal::{Group, ServiceAccount, SomeServiceAccount};
        match (a, b) {
            (Group(a), Group(b)) => a == b || self.may_share(a, b),
            (Group(group), who) | (who, Group(group)) => self.may_be_in(who, group),
            (SomeServiceAccount(some), ServiceAccount { namespace, .. })
            | (ServiceAccount { namespace, .. }, SomeServiceAccount(some)) => {
                some.as_ref().is_none_or(|some| some == namespace)
            }
            (SomeServiceAccount(a), SomeServiceAccount(b)) => a.is_none() || b.is_none() || a == b,
            _ => a == b,
        }
    }

    /// Reports whether someone who is no group may be in one.
    fn may_be_in(&self, who: &Principal, group: &SmolStr) -> bool {
        who.circle().is_some_and(|circle| circle.may_be_in(group))
            || (!self.seen.is_empty() && self.seen.contains(&(who.clone(), group.clone())))
    }

    /// Reports whether one requestor may be in both groups.
    fn may_share(&self, a: &str, b: &str) -> bool {
        let account = Circle::Accounts(namespace_of_accounts(a).or_else(|| namespace_of_accounts(b)));
        let usual = [Circle::People, account].into_iter().any(|circle| circle.may_be_in(a) && circle.may_be_in(b));
        let [of_a, of_b] = [a, b].map(|group| self.circles.get(group));
        let seen = |seen: Option<&Circles>, in_other: Option<&Circles>, other: &str| {
            seen.is_some_and(|seen| {
                seen.iter().any(|circle| {
                    circle.may_be_in(other) || in_other.is_some_and(|others| others.iter().any(|own| own == circle))
                })
            })
        };
        usual || seen(of_a, of_b, b) || seen(of_b, of_a, a)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(name: &str) -> Principal {
        Principal::Group(name.into())
    }

    fn user(name: &str) -> Principal {
        Principal::of_username(name)
    }

    fn named(principals: &[Principal]) -> Vec<String> {
        let bare = |principal: &Principal| principal.describe().replace(['"'], "");
        principals.iter().map(bare).collect()
    }

    #[test]
    fn one_username_is_one_principal() {
        let of = |kind: SubjectKind, namespace: Option<&str>, name: &str| {
            Principal::named(&kind, namespace.map(SmolStr::new).as_ref(), &name.into())
        };
        let account = of(SubjectKind::ServiceAccount, Some("apps"), "deputy");
        assert_eq!(account, of(SubjectKind::User, None, "system:serviceaccount:apps:deputy"));
        assert_eq!(account.unwrap().describe(), "ServiceAccount \"apps/deputy\"");
        // No service account has such a name, so that only a user can.
        let odd = of(SubjectKind::ServiceAccount, Some("Apps"), "deputy");
        assert_eq!(odd, of(SubjectKind::User, None, "system:serviceaccount:Apps:deputy"));
        assert_eq!(odd, Some(Principal::User("system:serviceaccount:Apps:deputy".into())));
        let templated = of(SubjectKind::ServiceAccount, Some("{{ .Release.Namespace }}"), "deputy");
        assert!(matches!(templated, Some(Principal::ServiceAccount { .. })));
        assert_eq!(of(SubjectKind::ServiceAccount, None, "deputy"), None);
        assert_eq!(of(SubjectKind::Unknown("Robot".into()), Some("apps"), "deputy"), None);
    }

    #[test]
    fn groups_that_only_look_like_the_servers_own() {
        assert_eq!(namespace_of_accounts("system:serviceaccounts:apps"), Some("apps"));
        for group in [
            "system:serviceaccounts",
            "system:serviceaccounts:",
            "system:serviceaccounts:Apps",
            "system:serviceaccounts:a:b",
            "system:serviceaccounts-team",
            "system:serviceaccountsx",
            "system:serviceaccount:apps",
            "system:nodesx",
        ] {
            assert_eq!(namespace_of_accounts(group), None, "{group}");
            assert_eq!(Circle::People.may_be_in(group), group != "system:serviceaccounts", "{group}");
            assert_eq!(Circle::Accounts(Some("apps")).may_be_in(group), group == "system:serviceaccounts", "{group}");
        }
    }

    #[test]
    fn what_a_principal_surely_is() {
        let accounts = ["Group system:serviceaccounts", "Group system:authenticated"];
        for (who, surely) in [
            (user("alice"), vec!["User alice", "Group system:authenticated"]),
            (user("system:node:n1"), vec!["User system:node:n1", "Group system:authenticated"]),
            (user("system:anonymous"), vec!["User system:anonymous"]),
            (group("devs"), vec!["Group devs"]),
            (group("system:serviceaccounts"), accounts.to_vec()),
            (group("system:serviceaccounts:apps"), [&["Group system:serviceaccounts:apps"], &accounts[..]].concat()),
            (group("system:serviceaccounts-team"), vec!["Group system:serviceaccounts-team"]),
            (
                user("system:serviceaccount:apps:a"),
                vec![
                    "ServiceAccount apps/a",
                    "Group system:serviceaccounts",
                    "Group system:serviceaccounts:apps",
                    "Group system:authenticated",
                ],
            ),
            (Principal::SomeServiceAccount(None), accounts.to_vec()),
            (
                Principal::SomeServiceAccount(Some("apps".into())),
                vec!["Group system:serviceaccounts", "Group system:serviceaccounts:apps", "Group system:authenticated"],
            ),
        ] {
            assert_eq!(named(&who.surely()), surely);
        }
        assert_eq!(named(&group("devs").names()), ["Group devs", "Group system:authenticated"]);
        assert_eq!(named(&group("system:unauthenticated").names()), ["Group system:unauthenticated"]);
        assert_eq!(named(&group("system:authenticated").names()), ["Group system:authenticated"]);
        assert_eq!(group("system:serviceaccounts").names(), group("system:serviceaccounts").surely());
    }

    #[test]
    fn a_user_is_itself_and_in_its_groups() {
        let alice = User { name: "alice".to_owned(), groups: vec!["devs".to_owned()], ..User::default() };
        let account = User { name: "system:serviceaccount:apps:a".to_owned(), ..User::default() };
        let all = [user("alice"), user("bob"), group("devs"), group("alice"), user("system:serviceaccount:apps:a")];
        assert_eq!(all.each_ref().map(|who| who.includes(&alice)), [true, false, true, false, false]);
        assert_eq!(all.each_ref().map(|who| who.includes(&account)), [false, false, false, false, true]);
        assert!(!Principal::SomeServiceAccount(None).includes(&account));
    }

    #[test]
    fn the_most_specific_comes_first() {
        let groups = [
            "system:authenticated",
            "system:serviceaccounts",
            "z",
            "system:serviceaccounts:apps",
            "system:serviceaccounts-team",
            "a",
            "z",
        ];
        assert_eq!(
            named(&Principal::all_of("alice", &groups.map(str::to_owned))),
            [
                "User alice",
                "Group a",
                "Group system:serviceaccounts-team",
                "Group z",
                "Group system:serviceaccounts:apps",
                "Group system:serviceaccounts",
                "Group system:authenticated",
            ]
        );
    }

    #[test]
    fn who_may_be_one() {
        let none = Memberships::default();
        let account = || user("system:serviceaccount:apps:a");
        let some = |namespace: Option<&str>| Principal::SomeServiceAccount(namespace.map(SmolStr::new));
        for (a, b, expected) in [
            (user("alice"), user("alice"), true),
            (user("alice"), user("bob"), false),
            (user("alice"), group("devs"), true),
            (user("alice"), group("system:serviceaccounts-team"), true),
            (user("alice"), group("system:serviceaccounts"), false),
            (user("alice"), group("system:serviceaccounts:apps"), false),
            (account(), group("devs"), false),
            (account(), group("system:authenticated"), true),
            (account(), group("system:serviceaccounts"), true),
            (account(), group("system:serviceaccounts:apps"), true),
            (account(), group("system:serviceaccounts:ap"), false),
            (account(), some(Some("apps")), true),
            (account(), some(Some("shop")), false),
            (account(), some(None), true),
            (user("alice"), some(None), false),
            (some(Some("apps")), some(None), true),
            (some(Some("apps")), some(Some("shop")), false),
            (some(Some("apps")), group("system:serviceaccounts:apps"), true),
            (some(None), group("system:serviceaccounts:apps"), true),
            (some(None), group("devs"), false),
            (group("devs"), group("ops"), true),
            (group("devs"), group("system:authenticated"), true),
            (group("devs"), group("system:serviceaccounts"), false),
            (group("devs"), group("system:serviceaccounts:"), true),
            (group("system:serviceaccounts"), group("system:authenticated"), true),
            (group("system:serviceaccounts"), group("system:serviceaccounts:apps"), true),
            (group("system:serviceaccounts:shop"), group("system:serviceaccounts:apps"), false),
        ] {
            assert_eq!(none.may_be_one(&a, &b), expected, "{a:?} {b:?}");
            assert_eq!(none.may_be_one(&b, &a), expected, "{b:?} {a:?}");
        }
    }

    #[test]
    fn who_was_seen_in_a_group_may_be_in_it() {
        let seen = |name: &str, groups: &[&str]| User {
            name: name.to_owned(),
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
            ..User::default()
        };
        let seen = [
            seen("system:serviceaccount:apps:a", &["devs", "ops", "system:authenticated"]),
            seen("alice", &["system:serviceaccounts:shop", "team"]),
        ];
        let memberships = Memberships::of(seen.iter());
        for (a, b, expected) in [
            (user("system:serviceaccount:apps:a"), group("devs"), true),
            (user("system:serviceaccount:apps:b"), group("devs"), false),
            (user("alice"), group("system:serviceaccounts:shop"), true),
            (user("bob"), group("system:serviceaccounts:shop"), false),
            (group("devs"), group("system:serviceaccounts"), true),
            (group("devs"), group("system:serviceaccounts:apps"), true),
            (group("devs"), group("system:serviceaccounts:shop"), true),
            (group("team"), group("system:serviceaccounts:shop"), true),
            (group("team"), group("system:serviceaccounts:apps"), false),
            (group("system:serviceaccounts"), group("team"), false),
        ] {
            assert_eq!(memberships.may_be_one(&a, &b), expected, "{a:?} {b:?}");
            assert_eq!(memberships.may_be_one(&b, &a), expected, "{b:?} {a:?}");
        }
        // Not everyone in these groups is a service account, so they say nothing of other groups.
        assert_eq!(
            named(&memberships.surely(&group("system:serviceaccounts:shop"))),
            ["Group system:serviceaccounts:shop"]
        );
        let of_apps = group("system:serviceaccounts:apps");
        assert_eq!(memberships.surely(&of_apps), of_apps.surely());
        // What is not unusual is not kept.
        assert_eq!(memberships.seen.len(), 3);
    }

    #[test]
    fn everyone_who_was_seen_in_a_group_counts() {
        let seen = |name: &str, groups: &[&str]| User {
            name: name.to_owned(),
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
            ..User::default()
        };
        let account = |namespace: &str| format!("system:serviceaccount:{namespace}:a");
        // Neighbours that differ in the name alone, and in the groups alone.
        let all = [
            seen(&account("apps"), &["devs"]),
            seen(&account("shop"), &["devs"]),
            seen(&account("shop"), &["devs"]),
            seen(&account("shop"), &["ops"]),
        ];
        let memberships = Memberships::of(all.iter());
        for (who, group_name, expected) in [
            ("apps", "devs", true),
            ("apps", "ops", false),
            ("shop", "devs", true),
            ("shop", "ops", true),
            ("prod", "devs", false),
        ] {
            let is_in = memberships.may_be_one(&user(&account(who)), &group(group_name));
            assert_eq!(is_in, expected, "{who} {group_name}");
        }
    }

    #[test]
    fn groups_share_those_who_were_seen_in_both() {
        let [apps, shop] = ["system:serviceaccounts:apps", "system:serviceaccounts:shop"];
        let seen =
            |name: &str, group: &str| User { name: name.to_owned(), groups: vec![group.to_owned()], ..User::default() };
        for (in_apps, in_shop, expected) in [
            // Both are of one namespace, so that one of them may be in both groups.
            ("system:serviceaccount:prod:a", "system:serviceaccount:prod:b", true),
            ("system:serviceaccount:prod:a", "system:serviceaccount:test:b", false),
            ("alice", "bob", true),
            ("alice", "system:serviceaccount:prod:b", false),
            // A service account of the one namespace in the other's group.
            ("system:serviceaccount:shop:a", "system:serviceaccount:prod:b", true),
        ] {
            let all = [seen(in_apps, apps), seen(in_shop, shop)];
            let memberships = Memberships::of(all.iter());
            assert_eq!(memberships.may_be_one(&group(apps), &group(shop)), expected, "{in_apps} {in_shop}");
            assert_eq!(memberships.may_be_one(&group(shop), &group(apps)), expected, "{in_shop} {in_apps}");
        }
    }

    #[test]
    fn the_words_of_a_principal_are_those_that_bindings_write() {
        let some = |namespace: Option<&str>| Principal::SomeServiceAccount(namespace.map(SmolStr::new));
        for (who, words) in [
            (user("alice"), &["alice"][..]),
            (group("devs"), &["devs"]),
            (user("system:serviceaccount:apps:a"), &["a", "apps"]),
            (some(Some("apps")), &["apps"]),
            (some(None), &[]),
        ] {
            assert_eq!(who.words().collect::<Vec<_>>(), words);
        }
    }
}
