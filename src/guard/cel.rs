//! What the guard's expressions say, in CEL as the API server reads it.
//!
//! Only what every version with ValidatingAdmissionPolicy v1 knows is used (1.30 and later). CEL has no functions of
//! one's own: the functions here write the same condition for different variables. That they answer like
//! [`crate::authority`] is shown by a live API server (`tests/live_guard.rs`).

use std::fmt::Write as _;

use crate::authority::{
    AGGREGATE_TO_DEFAULT, API_SERVER_USER, DNS_SUBDOMAIN, DNS_SUBDOMAIN_LENGTH, IdentityKind, Mode,
    SERVICE_ACCOUNT_USERNAME, SYSTEM_MASTERS, default_legacy_rules,
};
use crate::inventory::PolicyRule;
use crate::syntax::to_escape;

/// The variables of the policy, in an order in which each knows those before it, without those about whom bindings
/// bind.
pub(super) fn variables<'a>(labels: impl IntoIterator<Item = &'a str>) -> Vec<(&'static str, String)> {
    vec![
        // The types of the four kinds differ, and whoever checks expressions by one would miss the fields of the others.
        ("now", "dyn(object)".to_owned()),
        ("before", "dyn(oldObject)".to_owned()),
        ("isUpdate", "request.operation == 'UPDATE'".to_owned()),
        ("isClusterRole", "request.resource.resource == 'clusterroles'".to_owned()),
        ("relabelled", relabelled(labels)),
        ("rules", rules()),
        ("serverOwned", server_owned()),
        (
            "oldRules",
            "variables.serverOwned + (\n  \
             variables.isUpdate && !variables.relabelled && !has(variables.before.aggregationRule) &&\n  \
             has(variables.before.rules) && variables.before.rules != null\n  \
             ? variables.before.rules : [])"
                .to_owned(),
        ),
        ("coreKinds", core_kinds()),
        ("held", grants_of(&format!("variables.oldRules.filter(r,\n  {})", may_impersonate("r")))),
        (
            "suspects",
            grants_of(&format!(
                "variables.rules.filter(r,\n  {} &&\n  !(r in variables.oldRules))",
                may_impersonate("r")
            )),
        ),
        ("adding", adding()),
        ("oldSubjects", format!("variables.isUpdate ? {}\n: []", subjects("variables.before"))),
        (
            "newSubjects",
            format!(
                "variables.isUpdate && has(variables.before.subjects) && has(variables.now.subjects) &&\n  \
                 variables.before.subjects == variables.now.subjects\n\
                 ? [] : ({}).filter(s, !(s in variables.oldSubjects))",
                subjects("variables.now"),
            ),
        ),
    ]
}

/// The rules to look at: those of a role, unless they are what they were.
///
/// A controller writes the rules of aggregated ClusterRoles, and those that it copies are judged where they are written.
/// But what it wrote may not be kept by taking the aggregation away.
fn rules() -> String {
    format!(
        "!({is_role} &&\n  has(variables.now.rules) && variables.now.rules != null) ||\n\
         variables.isUpdate && !variables.relabelled && (\n  \
         has(variables.before.aggregationRule) ? has(variables.now.aggregationRule)\n  \
         : has(variables.before.rules) && variables.before.rules == variables.now.rules)\n\
         ? [] : variables.now.rules",
        is_role = is_one_of(["roles", "clusterroles"]),
    )
}

/// What each of some rules grants: the kinds of identities, and the names if not any.
fn grants_of(rules: &str) -> String {
    format!(
        "{rules}.map(r, {{\n  \
         'rule': r,\n  \
         'names': has(r.resourceNames) ? r.resourceNames : dyn([]),\n  \
         'kinds': dyn(\n    {})}})",
        indented(&reached("r"), 4),
    )
}

/// Whether a rule has the verb, or one that includes it, on resources of a group that has identities. All that follows
/// costs more.
fn may_impersonate(rule: &str) -> String {
    let verb = literal(Mode::Legacy.identity_verb());
    let [core, other] = groups();
    format!(
        "({verb} in {rule}.verbs || '*' in {rule}.verbs) && has({rule}.resources) &&\n  \
         has({rule}.apiGroups) && {rule}.apiGroups.exists(a, a in {})",
        list([core, other, "*"])
    )
}

/// The kinds of identities that the server asks for in an API group.
fn kinds_in(group: &str) -> impl Iterator<Item = IdentityKind> {
    IdentityKind::ALL.into_iter().filter(move |kind| kind.asked_in(Mode::Legacy) == Some(group))
}

/// The API groups in which the server asks for identities, that of service accounts first.
fn groups() -> [&'static str; 2] {
    let group = |kind: IdentityKind| kind.asked_in(Mode::Legacy).unwrap_or_default();
    [group(IdentityKind::ServiceAccounts), group(IdentityKind::Uids)]
}

/// Those of the core group; of a Role, only what is asked for in a namespace.
fn core_kinds() -> String {
    let [core, _] = groups();
    let all = list(kinds_in(core).map(IdentityKind::resource));
    let namespaced = list(kinds_in(core).filter(|kind| kind.is_namespaced()).map(IdentityKind::resource));
    format!("variables.isClusterRole ? {all} : {namespaced}")
}

/// The identities that a rule reaches: resources as the server asks for them; `userextras` for those of every key.
fn reached(rule: &str) -> String {
    let [core, other] = groups();
    let has_group = |group: &str| format!("({} in {rule}.apiGroups || '*' in {rule}.apiGroups)", literal(group));
    let extras = IdentityKind::UserExtras.resource();
    let all = list(kinds_in(other).map(IdentityKind::resource));
    format!(
        "({in_core}\n ? \
           variables.coreKinds.filter(k, k in {rule}.resources || '*' in {rule}.resources) : []) +\n\
         (variables.isClusterRole && {in_other}\n ? \
           {all}.filter(k, k != '{extras}' && k in {rule}.resources || '*' in {rule}.resources) +\n   \
             {rule}.resources.filter(x, x.startsWith('{extras}/') && x != '{extras}/') +\n   \
             {rule}.resources.filter(x, x.startsWith('*/') && x != '*/').map(x, '{extras}/' + x.substring(2)) : [])",
        in_core = has_group(core),
        in_other = has_group(other),
    )
}

/// Whether the server ever asks for a name of a kind: [`crate::authority::Requestable::asks_for`].
fn is_asked_for(kind: &str, name: &str) -> String {
    let mut text = String::new();
    for one in IdentityKind::ALL {
        let condition = match one {
            IdentityKind::Users => format!(
                "{name} != '' &&\n  !({name}.matches({}) &&\n    size({name}) - {name}.lastIndexOf(':') <= {})",
                literal(SERVICE_ACCOUNT_USERNAME),
                DNS_SUBDOMAIN_LENGTH + 1,
            ),
            IdentityKind::ServiceAccounts => {
                format!("{name}.matches({}) &&\n  size({name}) <= {DNS_SUBDOMAIN_LENGTH}", literal(DNS_SUBDOMAIN))
            }
            IdentityKind::Uids => format!("{name} != ''"),
            IdentityKind::Groups | IdentityKind::UserExtras | IdentityKind::Nodes => continue,
        };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{kind} == '{}' ? {condition} :", one.resource());
    }
    format!("({text}true)")
}

/// What grants something that nothing held before does: for some kind any name, or some name.
fn adding() -> String {
    let extras = IdentityKind::UserExtras.resource();
    let covers = format!("(k in h.kinds || k.startsWith('{extras}/') && '{extras}' in h.kinds)");
    format!(
        "variables.suspects.filter(g, g.kinds.exists(k,\n  \
         size(g.names) == 0\n  \
         ? !variables.held.exists(h, {covers} && size(h.names) == 0)\n  \
         : g.names.exists(n,\n    \
             {asked} &&\n    \
             !variables.held.exists(h, {covers} &&\n      \
             (size(h.names) == 0 || n in h.names)))))",
        asked = indented(&is_asked_for("k", "n"), 4),
    )
}

/// Whether a ClusterRole has a label that it had not, and that makes its rules flow into another.
fn relabelled<'a>(labels: impl IntoIterator<Item = &'a str>) -> String {
    format!(
        "variables.isUpdate && variables.isClusterRole && has(variables.now.metadata.labels) &&\n\
         variables.now.metadata.labels.exists(k,\n  \
         (k.startsWith({prefix}) || k in {labels}) &&\n  \
         !(has(variables.before.metadata.labels) && k in variables.before.metadata.labels &&\n    \
         variables.before.metadata.labels[k] == variables.now.metadata.labels[k]))",
        prefix = literal(AGGREGATE_TO_DEFAULT),
        labels = indented(&names(labels), 4),
    )
}

/// The rules that the server itself writes into the role, if it is a default one: to put them back adds nothing.
fn server_owned() -> String {
    let mut text = "!variables.isClusterRole ? []".to_owned();
    for (names, rule) in default_legacy_rules() {
        let names = list(names.iter().copied());
        let _ = write!(text, "\n: variables.now.metadata.name in {names}\n  ? [{}]", map_of(&rule));
    }
    format!("{text}\n: []")
}

fn map_of(rule: &PolicyRule) -> String {
    let lists = rule.lists().into_iter().filter(|(_, texts)| !texts.is_empty());
    let fields: Vec<String> =
        lists.map(|(key, texts)| format!("'{key}': {}", list(texts.iter().map(|text| text.as_str())))).collect();
    format!("dyn({{{}}})", fields.join(", "))
}

/// Whether no rule of a role adds anything.
pub(super) const ADDS_NOTHING: &str = "size(variables.adding) == 0";

/// Why a role is refused.
pub(super) fn role_message() -> String {
    let rule = "variables.adding[0].rule";
    let page =
        |kind: IdentityKind, page: &str| format!("'{}' in variables.adding[0].kinds ? '{page}'", kind.resource());
    format!(
        "{ADDS_NOTHING} ? '' :\n\
         request.kind.kind + ' \"' + object.metadata.name + '\" newly grants legacy impersonation: rules[' +\n\
         string(variables.rules.indexOf({rule})) + '] (verb ' +\n\
         ({verb} in {rule}.verbs ? {verb} : '*') + ') reaches ' + variables.adding[0].kinds.join(', ') +\n\
         (size(variables.adding) > 1 ? ', and ' + string(size(variables.adding) - 1) + ' more of its rules do so' : '') +\n\
         '. Whoever holds it can do all that those can. Grant constrained impersonation instead (verbs impersonate:MODE' +\n\
         ' and impersonate-on:MODE:VERB): \"deputize migrate\" writes it, \"deputize explain ' +\n\
         (!({verb} in {rule}.verbs) ? 'wildcard-verb'\n\
         : size(variables.adding[0].names) > 0 ? 'named-identities'\n\
         : '*' in {rule}.resources ? 'wildcard-resource'\n\
         : {users}\n: {groups}\n: {accounts}\n: {uids}\n: 'unrestricted-extras') +\n\
         '\" says more. If it has to be, make an exception: deputize guard --allow ' +\n{REFERENCE}",
        verb = literal(Mode::Legacy.identity_verb()),
        users = page(IdentityKind::Users, "unrestricted-users"),
        groups = page(IdentityKind::Groups, "unrestricted-groups"),
        accounts = page(IdentityKind::ServiceAccounts, "unrestricted-serviceaccounts"),
        uids = page(IdentityKind::Uids, "unrestricted-uids"),
    )
}

/// The object as [`super::Exception`] reads it.
const REFERENCE: &str = "request.kind.kind + '/' +\n\
     (has(object.metadata.namespace) ? object.metadata.namespace + '/' : '') + object.metadata.name";

/// The subjects of a binding. A service account is the user of that name.
fn subjects(object: &str) -> String {
    format!(
        "(has({object}.subjects) && {object}.subjects != null ? {object}.subjects : []).map(s,\n  \
         s.kind == 'ServiceAccount'\n  \
         ? 'User \"system:serviceaccount:' + (has(s.namespace) ? s.namespace : request.namespace) + ':' + s.name + '\"'\n  \
         : s.kind + ' \"' + s.name + '\"')"
    )
}

/// Whether a binding of these objects is to a role of that kind and one of the names; with the namespace before them, for
/// Roles.
pub(super) fn binds<'a>(resource: &str, kind: &str, roles: impl IntoIterator<Item = &'a str>) -> String {
    let namespace = if kind == "Role" { "request.namespace + '/' + " } else { "" };
    format!(
        "request.resource.resource == {} && variables.now.roleRef.kind == '{kind}' &&\n\
         {namespace}variables.now.roleRef.name in {}",
        literal(resource),
        names(roles),
    )
}

/// Whether a binding adds nothing, where `bound` says whether it is to a role that holds legacy impersonation.
pub(super) fn binds_nobody_new(bound: &str) -> String {
    format!("!({bound}) || size(variables.newSubjects) == 0")
}

/// Why a binding is refused.
pub(super) fn binding_message(bound: &str) -> String {
    format!(
        "{} ? '' :\n\
         request.kind.kind + ' \"' + object.metadata.name + '\" newly gives ' + variables.now.roleRef.kind + ' \"' +\n\
         variables.now.roleRef.name + '\" to ' + variables.newSubjects[0] +\n\
         (size(variables.newSubjects) > 1 ? ' and ' + string(size(variables.newSubjects) - 1) + ' more' : '') +\n\
         '. The role holds legacy impersonation: whoever is bound to it can do all that those whom it reaches can. Bind a' +\n\
         ' role with constrained impersonation instead (\"deputize migrate\" writes one). If it has to be, make an' +\n\
         ' exception: deputize guard --allow ' +\n{REFERENCE}",
        binds_nobody_new(bound),
    )
}

/// Whether the request is not one of the API server's own.
pub(super) fn not_the_server() -> String {
    format!(
        "!(request.userInfo.username == {} &&\n  has(request.userInfo.groups) && {} in request.userInfo.groups)",
        literal(API_SERVER_USER),
        literal(SYSTEM_MASTERS),
    )
}

/// Whether the object is none of these, by name, or by namespace and name.
pub(super) fn not_the_objects<'a>(resource: &str, namespaced: bool, all: impl IntoIterator<Item = &'a str>) -> String {
    let name = if namespaced { "request.namespace + '/' + object.metadata.name" } else { "object.metadata.name" };
    format!("!(request.resource.resource == {} &&\n  {name} in {})", literal(resource), indented(&names(all), 2))
}

/// Whether the requestor is none of these users.
pub(super) fn not_the_users<'a>(users: impl IntoIterator<Item = &'a str>) -> String {
    format!("!(request.userInfo.username in {})", names(users))
}

/// Whether the requestor is in none of these groups.
pub(super) fn not_in_the_groups<'a>(groups: impl IntoIterator<Item = &'a str>) -> String {
    let groups = indented(&names(groups), 2);
    format!("!(has(request.userInfo.groups) &&\n  request.userInfo.groups.exists(g, g in {groups}))")
}

fn is_one_of<const N: usize>(resources: [&str; N]) -> String {
    format!("(request.resource.resource in {})", list(resources))
}

/// A list of names: each on its own line, so that a change of one is a change of one line.
fn names<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.into_iter().map(literal).collect();
    if names.len() < 2 { format!("[{}]", names.concat()) } else { format!("[\n  {}]", names.join(",\n  ")) }
}

/// A list of strings.
fn list<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    format!("[{}]", texts.into_iter().map(literal).collect::<Vec<_>>().join(", "))
}

/// A string. Names come from the input, and nothing in them ends it or deceives who reads it.
pub(super) fn literal(text: &str) -> String {
    let mut literal = String::with_capacity(text.len() + 2);
    literal.push('\'');
    let mut escaped = to_escape(text).peekable();
    for (at, c) in text.char_indices() {
        let is_escaped = escaped.next_if(|(next, _)| *next == at).is_some();
        match c {
            '\'' | '\\' => literal.extend(['\\', c]),
            _ if is_escaped => {
                let _ = write!(literal, "\\U{:08x}", u32::from(c));
            }
            _ => literal.push(c),
        }
    }
    literal.push('\'');
    literal
}

/// Text of which all lines but the first are indented further.
fn indented(text: &str, by: usize) -> String {
    text.replace('\n', &format!("\n{}", " ".repeat(by)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::find_rule;

    #[test]
    fn strings_stay_what_they_are() {
        assert_eq!(literal("a:b"), "'a:b'");
        assert_eq!(literal("'] || true || ['\\"), r"'\'] || true || [\'\\'");
        assert_eq!(literal("a\n\u{202e}ü"), "'a\\U0000000a\\U0000202eü'");
        assert_eq!(literal("::error::"), "'\\U0000003a:error::'");
        assert_eq!(list(["a", "b"]), "['a', 'b']");
        assert_eq!(list([]), "[]");
    }

    #[test]
    fn the_pages_that_messages_name_are_there() {
        let message = role_message();
        let quoted = message.split('\'').filter(|text| text.contains('-') && !text.contains([' ', '/']));
        let pages: Vec<&str> = quoted.collect();
        assert_eq!(pages.len(), 8, "{pages:?}");
        assert!(pages.iter().all(|page| find_rule(page).is_ok()), "{pages:?}");
    }
}
