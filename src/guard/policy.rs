//! The policy and its binding.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use smol_str::SmolStr;

use super::{Exception, Holders, cel};
use crate::inventory::{ObjectKey, ObjectKind};
use crate::syntax::Value;

/// The name of both.
pub const NAME: &str = "deputize-guard";

/// What becomes of a request that adds a legacy grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// It is noted in its audit event.
    Audit,
    /// Its client is warned, too.
    Warn,
    /// It is refused, and noted.
    Deny,
}

impl Mode {
    fn actions(self) -> &'static [&'static str] {
        match self {
            Self::Audit => &["Audit"],
            Self::Warn => &["Warn", "Audit"],
            Self::Deny => &["Deny", "Audit"],
        }
    }
}

/// Which new bindings to the default roles that hold legacy impersonation count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DefaultRoles {
    /// None.
    Ignore,
    /// ClusterRoleBindings.
    ClusterWide,
    /// RoleBindings too.
    All,
}

/// Longest text of names in one expression. The API server's parser takes 100,000 characters.
const MAX_EXPRESSION: usize = 60_000;
/// Longest text of names in all. An object is to be stored in 1.5 MB.
const MAX_NAMES: usize = 600_000;

/// A policy that would have to name more roles, or more exceptions, than one can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TooMany {
    /// The roles that hold legacy impersonation.
    Holders,
    /// The exceptions of one kind.
    Exceptions,
}

impl fmt::Display for TooMany {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Holders => {
                "there are more roles with legacy impersonation than a policy can name: give the manifests of one cluster"
            }
            Self::Exceptions => "there are more exceptions than a policy can name",
        })
    }
}

impl std::error::Error for TooMany {}

/// A ValidatingAdmissionPolicy that lets no new legacy grant through unnoticed, and its binding.
#[derive(Debug, Clone)]
pub struct Guard {
    mode: Mode,
    variables: Vec<(SmolStr, String)>,
    conditions: Vec<(&'static str, String)>,
    bound: String,
}

impl Guard {
    /// Writes the policy.
    ///
    /// # Errors
    /// If it would have to name more than a policy can.
    pub fn new(
        mut holders: Holders,
        default_roles: DefaultRoles,
        exceptions: &BTreeSet<Exception>,
        mode: Mode,
    ) -> Result<Self, TooMany> {
        // What is allowed to hold legacy impersonation is taken to do so: who gets it is another question.
        for exception in exceptions {
            if let Exception::Object(key) = exception {
                holders.add_unseen(key);
            }
        }
        let labels = holders.aggregating_labels.iter().map(SmolStr::as_str);
        if size_of(labels.clone()) > MAX_EXPRESSION {
            return Err(TooMany::Holders);
        }
        let mut variables: Vec<(SmolStr, String)> = Vec::new();
        variables.extend(cel::variables(labels).into_iter().map(|(name, text)| (name.into(), text)));
        let bound = bound_variables(&holders, default_roles)?;
        let any: Vec<String> = bound.iter().map(|(name, _)| format!("variables.{name}")).collect();
        variables.extend(bound);
        Ok(Self {
            mode,
            variables,
            conditions: conditions(exceptions)?,
            bound: if any.is_empty() { "false".to_owned() } else { any.join(" || ") },
        })
    }

    /// The policy and its binding, as the API server takes them.
    pub fn to_values(&self) -> [Value; 2] {
        [self.policy(), self.binding()]
    }

    fn policy(&self) -> Value {
        let rule = Value::map([
            ("apiGroups", Value::texts(["rbac.authorization.k8s.io"])),
            ("apiVersions", Value::texts(["v1"])),
            ("operations", Value::texts(["CREATE", "UPDATE"])),
            ("resources", Value::texts(["clusterroles", "roles", "clusterrolebindings", "rolebindings"])),
        ]);
        let named = |name: &str, expression: &str| {
            Value::map([("name", Value::text(name)), ("expression", Value::text(expression))])
        };
        let validation = |expression: String, message: &str, expressed: String| {
            Value::map([
                ("expression", Value::text(expression)),
                ("messageExpression", Value::text(expressed)),
                ("message", Value::text(message)),
                ("reason", Value::text("Forbidden")),
            ])
        };
        let validations = [
            validation(cel::ADDS_NOTHING.to_owned(), "the role newly grants legacy impersonation", cel::role_message()),
            validation(
                cel::binds_nobody_new(&self.bound),
                "the binding newly gives someone a role that holds legacy impersonation",
                cel::binding_message(&self.bound),
            ),
        ];
        object(
            "ValidatingAdmissionPolicy",
            [
                // What cannot be judged counts as refused, as the mode has it.
                ("failurePolicy", Value::text("Fail")),
                ("matchConstraints", Value::map([("resourceRules", Value::List(vec![rule]))])),
                (
                    "matchConditions",
                    Value::List(self.conditions.iter().map(|(name, text)| named(name, text)).collect()),
                ),
                ("variables", Value::List(self.variables.iter().map(|(name, text)| named(name, text)).collect())),
                ("validations", Value::List(validations.into())),
            ],
        )
    }

    fn binding(&self) -> Value {
        object(
            "ValidatingAdmissionPolicyBinding",
            [
                ("policyName", Value::text(NAME)),
                ("validationActions", Value::texts(self.mode.actions().iter().copied())),
            ],
        )
    }
}

fn object<const N: usize>(kind: &str, spec: [(&str, Value); N]) -> Value {
    let labels = Value::map([("app.kubernetes.io/managed-by", Value::text("deputize"))]);
    Value::map([
        ("apiVersion", Value::text("admissionregistration.k8s.io/v1")),
        ("kind", Value::text(kind)),
        ("metadata", Value::map([("name", Value::text(NAME)), ("labels", labels)])),
        ("spec", Value::map(spec)),
    ])
}

/// Variables that say whether a binding is to a role that holds legacy impersonation; the names in each are as many as
/// an expression can hold.
fn bound_variables(holders: &Holders, default_roles: DefaultRoles) -> Result<Vec<(SmolStr, String)>, TooMany> {
    let with_defaults = |names: &BTreeSet<SmolStr>, least: DefaultRoles| -> Vec<String> {
        let defaults = holders.defaults.iter().filter(|_| default_roles >= least);
        names.iter().chain(defaults).map(SmolStr::to_string).collect::<BTreeSet<_>>().into_iter().collect()
    };
    let roles = holders.roles.iter().map(|(namespace, name)| format!("{namespace}/{name}")).collect();
    let mut left = MAX_NAMES;
    let mut variables = Vec::new();
    for (variable, resource, kind, names) in [
        (
            "bindsInCluster",
            "clusterrolebindings",
            "ClusterRole",
            with_defaults(&holders.in_cluster, DefaultRoles::ClusterWide),
        ),
        ("bindsInNamespace", "rolebindings", "ClusterRole", with_defaults(&holders.in_namespace, DefaultRoles::All)),
        ("bindsRole", "rolebindings", "Role", roles),
    ] {
        for (index, names) in in_parts(&names).enumerate() {
            let names = || names.iter().map(String::as_str);
            left = left.checked_sub(size_of(names())).ok_or(TooMany::Holders)?;
            let name = if index == 0 { variable.to_owned() } else { format!("{variable}{}", index + 1) };
            variables.push((name.into(), cel::binds(resource, kind, names())));
        }
    }
    Ok(variables)
}

/// The names in parts that fit into an expression. A single name that does not is left to whoever counts the whole.
fn in_parts(names: &[String]) -> impl Iterator<Item = &[String]> {
    let mut rest = names;
    std::iter::from_fn(move || {
        let mut size = 0;
        let fitting = rest.iter().take_while(|name| {
            size += size_of([name.as_str()]);
            size <= MAX_EXPRESSION
        });
        let count = fitting.count().max(1).min(rest.len());
        let (part, others) = rest.split_at(count);
        rest = others;
        (!part.is_empty()).then_some(part)
    })
}

fn size_of<'a>(names: impl IntoIterator<Item = &'a str>) -> usize {
    names.into_iter().map(|name| cel::literal(name).len() + ",\n  ".len()).sum()
}

/// Which requests are looked at: each condition with its name.
fn conditions(exceptions: &BTreeSet<Exception>) -> Result<Vec<(&'static str, String)>, TooMany> {
    let mut users = Vec::new();
    let mut groups = Vec::new();
    let mut objects: BTreeMap<ObjectKind, Vec<String>> = BTreeMap::new();
    for exception in exceptions {
        match exception {
            Exception::User(name) => users.push(name.to_string()),
            Exception::Group(name) => groups.push(name.to_string()),
            Exception::Object(ObjectKey { kind, namespace, name }) => {
                let name = namespace.as_ref().map_or_else(|| name.to_string(), |there| format!("{there}/{name}"));
                objects.entry(*kind).or_default().push(name);
            }
        }
    }
    let is_too_long = |names: &Vec<String>| size_of(names.iter().map(String::as_str)) > MAX_EXPRESSION;
    if objects.values().chain([&users, &groups]).any(is_too_long) {
        return Err(TooMany::Exceptions);
    }
    let mut conditions = vec![("not-the-api-server", cel::not_the_server())];
    for (kind, names) in objects {
        let (condition, resource) = match kind {
            ObjectKind::ClusterRole => ("not-an-allowed-clusterrole", "clusterroles"),
            ObjectKind::Role => ("not-an-allowed-role", "roles"),
            ObjectKind::ClusterRoleBinding => ("not-an-allowed-clusterrolebinding", "clusterrolebindings"),
            ObjectKind::RoleBinding => ("not-an-allowed-rolebinding", "rolebindings"),
        };
        conditions
            .push((condition, cel::not_the_objects(resource, kind.is_namespaced(), names.iter().map(String::as_str))));
    }
    if !users.is_empty() {
        conditions.push(("not-an-allowed-user", cel::not_the_users(users.iter().map(String::as_str))));
    }
    if !groups.is_empty() {
        conditions.push(("not-in-an-allowed-group", cel::not_in_the_groups(groups.iter().map(String::as_str))));
    }
    Ok(conditions)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(holders: Holders, default_roles: DefaultRoles, exceptions: &[&str]) -> Result<Guard, TooMany> {
        let exceptions = exceptions.iter().map(|text| text.parse().unwrap()).collect();
        Guard::new(holders, default_roles, &exceptions, Mode::Warn)
    }

    fn variable<'g>(guard: &'g Guard, name: &str) -> Option<&'g str> {
        guard.variables.iter().find(|(known, _)| known == name).map(|(_, text)| text.as_str())
    }

    #[test]
    fn default_roles_are_bound_as_is_asked_for() {
        let holders = Holders { defaults: ["edit".into()].into(), ..Holders::default() };
        for (which, cluster, namespace) in [
            (DefaultRoles::Ignore, false, false),
            (DefaultRoles::ClusterWide, true, false),
            (DefaultRoles::All, true, true),
        ] {
            let guard = guard(holders.clone(), which, &[]).unwrap();
            assert_eq!(variable(&guard, "bindsInCluster").is_some(), cluster, "{which:?}");
            assert_eq!(variable(&guard, "bindsInNamespace").is_some(), namespace, "{which:?}");
            assert_eq!(guard.bound == "false", !cluster, "{which:?}");
        }
    }

    #[test]
    fn allowed_roles_are_taken_to_hold_it() {
        let holders = Holders { in_cluster: ["users".into()].into(), ..Holders::default() };
        let exceptions = ["ClusterRole/users", "ClusterRole/new", "Role/n/new", "ClusterRoleBinding/b"];
        let guard = guard(holders, DefaultRoles::Ignore, &exceptions).unwrap();
        assert!(variable(&guard, "bindsInCluster").unwrap().ends_with("in [\n  'new',\n  'users']"));
        assert!(variable(&guard, "bindsInNamespace").unwrap().ends_with("in ['new']"));
        assert!(variable(&guard, "bindsRole").unwrap().ends_with("in ['n/new']"));
        assert_eq!(guard.conditions.len(), 1 + 3);
    }

    #[test]
    fn names_are_spread_over_expressions() {
        let many = |count: usize| Holders {
            in_cluster: (0..count).map(|index| SmolStr::from(format!("{index:0100}"))).collect(),
            ..Holders::default()
        };
        let guard_of = |count: usize| guard(many(count), DefaultRoles::Ignore, &[]);
        let guard = guard_of(1_000).unwrap();
        assert_eq!(guard.bound, "variables.bindsInCluster || variables.bindsInCluster2");
        assert!(guard.variables.iter().all(|(_, text)| text.len() < 100_000));
        let named: usize = guard.variables.iter().map(|(_, text)| text.matches("'0000").count()).sum();
        assert_eq!(named, 1_000);
        assert_eq!(guard_of(20_000).unwrap_err(), TooMany::Holders);
        let long = Holders { in_cluster: ["a".repeat(MAX_NAMES).into()].into(), ..Holders::default() };
        assert_eq!(
            super::Guard::new(long, DefaultRoles::Ignore, &BTreeSet::new(), Mode::Deny).unwrap_err(),
            TooMany::Holders
        );
    }
}
