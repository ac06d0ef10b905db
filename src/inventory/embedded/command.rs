//! Commands that create roles and bindings: `kubectl create clusterrole`, `kubectl create rolebinding`, `oc adm policy
//! add-cluster-role-to-user` and their kind (`k8s.io/kubectl/pkg/cmd/create`, `oc/pkg/cli/admin/policy`).

use std::ops::Range;

use smol_str::SmolStr;

use crate::inventory::object::{PolicyRule, Subject, SubjectKind, Text};

/// How many commands of one script are read.
const MAX_COMMANDS: usize = 1_000;

/// A word of a script, without its quotes, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) range: Range<usize>,
}

/// What a command creates.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// A role with one rule.
    Role {
        is_cluster: bool,
        name: Word,
        namespace: Option<Word>,
        verbs: Vec<Word>,
        resources: Vec<Word>,
        names: Vec<Word>,
        urls: Vec<Word>,
    },
    /// A binding of a role to subjects.
    Binding {
        is_cluster: bool,
        name: Word,
        namespace: Option<Word>,
        role: Word,
        is_cluster_role: bool,
        users: Vec<Word>,
        groups: Vec<Word>,
        accounts: Vec<Word>,
    },
}

/// Reports whether a text may hold such a command.
pub(super) fn may_create(text: &str) -> bool {
    (text.contains("kubectl") && text.contains("create") || text.contains("oc ")) && text.contains("role")
}

/// Returns the commands of a script that create roles or bindings.
pub(super) fn commands(script: &str) -> Vec<Command> {
    simple_commands(script).iter().filter_map(|words| command(words)).take(MAX_COMMANDS).collect()
}

/// Splits a script into simple commands. Quotes and backslashes are understood, expansions are not.
fn simple_commands(script: &str) -> Vec<Vec<Word>> {
    let mut all = Vec::new();
    let mut words: Vec<Word> = Vec::new();
    let mut word: Option<Word> = None;
    let mut quote = None;
    let mut chars = script.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let end = at + c.len_utf8();
        let mut push = |c: char| {
            let word = word.get_or_insert_with(|| Word { text: String::new(), range: at..end });
            word.text.push(c);
            word.range.end = end;
        };
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (Some(_), _) => push(c),
            (None, '\'' | '"') => quote = Some(c),
            (None, '\\') => match chars.next() {
                // A line goes on.
                Some((_, '\n')) | None => {}
                Some((_, '\r')) => drop(chars.next_if(|(_, c)| *c == '\n')),
                Some((_, escaped)) => push(escaped),
            },
            (None, ' ' | '\t') => words.extend(word.take()),
            (None, '\n' | '\r' | ';' | '|' | '&' | '(' | ')' | '`') => {
                words.extend(word.take());
                all.push(std::mem::take(&mut words));
            }
            (None, _) => push(c),
        }
    }
    words.extend(word);
    all.push(words);
    all
}

/// The flags and arguments of a command.
struct Arguments {
    flags: Vec<(String, Word)>,
    positional: Vec<Word>,
}

impl Arguments {
    /// Reads the words after a command's name. Flags have values, but for those that `switches` lists.
    fn new(words: &[Word]) -> Self {
        const SWITCHES: [&str; 6] =
            ["--save-config", "--validate", "--dry-run", "-A", "--all-namespaces", "--rolebinding-name"];
        let mut this = Self { flags: Vec::new(), positional: Vec::new() };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if !word.text.starts_with('-') || word.text == "-" {
                this.positional.push(word.clone());
                continue;
            }
            match word.text.split_once('=') {
                Some((flag, value)) => {
                    let start = word.range.end - value.len().min(word.range.len());
                    this.flags.push((flag.to_owned(), Word { text: value.to_owned(), range: start..word.range.end }));
                }
                None if SWITCHES.contains(&word.text.as_str()) => {}
                None => this.flags.extend(words.next().map(|value| (word.text.clone(), value.clone()))),
            }
        }
        this
    }

    /// The values of a flag, which may be repeated and have commas.
    fn values(&self, names: &[&str]) -> Vec<Word> {
        let given = self.flags.iter().filter(|(flag, _)| names.contains(&flag.as_str()));
        let parts = given.flat_map(|(_, value)| {
            let mut start = value.range.start;
            value.text.split(',').map(move |part| {
                let range = start..start + part.len();
                start = range.end + 1;
                Word { text: part.to_owned(), range }
            })
        });
        parts.filter(|part| !part.text.is_empty()).collect()
    }

    fn value(&self, names: &[&str]) -> Option<Word> {
        self.flags.iter().find(|(flag, _)| names.contains(&flag.as_str())).map(|(_, value)| value.clone())
    }

    fn namespace(&self) -> Option<Word> {
        self.value(&["-n", "--namespace"])
    }
}

fn command(words: &[Word]) -> Option<Command> {
    let is_program = |word: &Word| {
        let name = word.text.rsplit('/').next().unwrap_or_default();
        matches!(name, "kubectl" | "oc")
    };
    let at = words.iter().position(is_program)?;
    let words = words.get(at + 1..)?;
    // Flags of the program itself come before or between the names of the command.
    let text = |index: usize| words.get(index).map_or("", |word| word.text.as_str());
    if let Some(create) = words.iter().position(|word| word.text == "create") {
        let arguments = Arguments::new(words.get(create + 1..)?);
        return created(&arguments);
    }
    if text(0) == "adm" && text(1) == "policy" {
        return added(text(2), &Arguments::new(words.get(3..)?));
    }
    None
}

/// `create clusterrole NAME …`
fn created(arguments: &Arguments) -> Option<Command> {
    let [kind, name, ..] = arguments.positional.as_slice() else { return None };
    let (name, namespace) = (name.clone(), arguments.namespace());
    let is_cluster = kind.text.starts_with("cluster");
    match kind.text.as_str() {
        "role" | "clusterrole" => Some(Command::Role {
            is_cluster,
            name,
            namespace,
            verbs: arguments.values(&["--verb"]),
            resources: arguments.values(&["--resource"]),
            names: arguments.values(&["--resource-name"]),
            urls: arguments.values(&["--non-resource-url"]),
        }),
        "rolebinding" | "clusterrolebinding" => {
            let of_cluster = arguments.value(&["--clusterrole"]);
            let is_cluster_role = of_cluster.is_some();
            Some(Command::Binding {
                is_cluster,
                name,
                namespace,
                role: of_cluster.or_else(|| arguments.value(&["--role"]))?,
                is_cluster_role,
                users: arguments.values(&["--user"]),
                groups: arguments.values(&["--group"]),
                accounts: arguments.values(&["--serviceaccount"]),
            })
        }
        _ => None,
    }
}

/// `adm policy add-cluster-role-to-user ROLE USER…`
fn added(command: &str, arguments: &Arguments) -> Option<Command> {
    let rest = command.strip_prefix("add-")?;
    let (is_cluster, rest) = rest.strip_prefix("cluster-").map_or((false, rest), |rest| (true, rest));
    let is_user = match rest {
        "role-to-user" => true,
        "role-to-group" => false,
        _ => return None,
    };
    let (role, subjects) = arguments.positional.split_first()?;
    let namespace = arguments.namespace();
    // The account may be of the namespace that is given.
    let accounts = arguments.values(&["-z", "--serviceaccount"]).into_iter().filter_map(|account| {
        let namespace = &namespace.as_ref()?.text;
        Some(Word { text: format!("{namespace}:{}", account.text), ..account })
    });
    let (users, groups) = if is_user { (subjects.to_vec(), Vec::new()) } else { (Vec::new(), subjects.to_vec()) };
    let accounts = accounts.collect();
    Some(Command::Binding {
        is_cluster,
        name: role.clone(),
        role: role.clone(),
        is_cluster_role: arguments.value(&["--role-namespace"]).is_none(),
        users,
        groups,
        accounts,
        namespace,
    })
}

/// Returns the rules of a role that is created with some verbs: one for each API group of the resources.
pub(super) fn rules(verbs: Vec<Text>, resources: Vec<Text>, names: Vec<Text>, urls: Vec<Text>) -> Vec<PolicyRule> {
    let mut by_group: Vec<(SmolStr, Vec<Text>)> = Vec::new();
    for resource in resources {
        let (group, name) = split_resource(resource.as_str());
        let resource = Text { value: name, ..resource };
        match by_group.iter_mut().find(|(known, _)| *known == group) {
            Some((_, resources)) => resources.push(resource),
            None => by_group.push((group, vec![resource])),
        }
    }
    let rule = |(group, resources): (SmolStr, Vec<Text>)| {
        let place = resources.first().map(|resource| resource.place).unwrap_or_default();
        PolicyRule {
            verbs: verbs.clone(),
            api_groups: vec![Text { value: group, place }],
            resources,
            resource_names: names.clone(),
            non_resource_urls: Vec::new(),
        }
    };
    let mut rules: Vec<PolicyRule> = by_group.into_iter().map(rule).collect();
    if !urls.is_empty() {
        rules.push(PolicyRule { verbs: verbs.clone(), non_resource_urls: urls, ..PolicyRule::default() });
    }
    rules
}

/// Returns the API group and the resource of `RESOURCE.GROUP/SUBRESOURCE`. Without a group kubectl asks the server; of those
/// that can be impersonated the group is known.
fn split_resource(written: &str) -> (SmolStr, SmolStr) {
    let (resource, subresource) = written.split_once('/').map_or((written, None), |(left, right)| (left, Some(right)));
    let (name, group) = match resource.split_once('.') {
        Some((name, group)) => (name, group),
        None if matches!(resource, "userextras" | "uids") => (resource, "authentication.k8s.io"),
        None => (resource, if resource == "*" { "*" } else { "" }),
    };
    let name =
        subresource.map_or_else(|| SmolStr::new(name), |subresource| SmolStr::from(format!("{name}/{subresource}")));
    (SmolStr::new(group), name)
}

/// Returns the subjects of a binding: users, groups, and accounts as `NAMESPACE:NAME`.
pub(super) fn subjects(users: Vec<Text>, groups: Vec<Text>, accounts: Vec<Text>) -> Vec<Subject> {
    let subject = |kind, namespace, name| Subject { kind, namespace, name, in_own_namespace: false };
    let users = users.into_iter().map(|name| subject(SubjectKind::User, None, name));
    let groups = groups.into_iter().map(|name| subject(SubjectKind::Group, None, name));
    let accounts = accounts.into_iter().filter_map(|account| {
        let (namespace, name) = account.as_str().split_once(':')?;
        let (namespace, value) = (SmolStr::new(namespace), SmolStr::new(name));
        Some(subject(SubjectKind::ServiceAccount, Some(namespace), Text { value, ..account }))
    });
    users.chain(groups).chain(accounts).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(script: &str) -> Vec<String> {
        let join = |words: &[Word]| words.iter().map(|word| &script[word.range.clone()]).collect::<Vec<_>>().join(" ");
        let show = |command: &Command| match command {
            Command::Role { is_cluster, name, namespace, verbs, resources, names, urls } => format!(
                "{is_cluster} {} {:?}: {} | {} | {} | {}",
                name.text,
                namespace.as_ref().map(|word| &word.text),
                join(verbs),
                join(resources),
                join(names),
                join(urls)
            ),
            Command::Binding { is_cluster, name, role, is_cluster_role, users, groups, accounts, .. } => format!(
                "{is_cluster} {} {} {is_cluster_role}: {} | {} | {}",
                name.text,
                role.text,
                join(users),
                join(groups),
                accounts.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ")
            ),
        };
        commands(script).iter().map(show).collect()
    }

    #[test]
    fn roles_and_bindings_are_read_from_commands() {
        assert_eq!(
            shown("kubectl create clusterrole a --verb=get,impersonate --resource=users,groups --verb list\nls"),
            ["true a None: get impersonate list | users groups |  | "]
        );
        assert_eq!(
            shown(
                "sudo /usr/bin/kubectl -n x create role 'a' \\\n  --verb \"impersonate\" --resource=serviceaccounts --resource-name=b -n apps && true"
            ),
            ["false a Some(\"apps\"): impersonate | serviceaccounts | b | "]
        );
        assert_eq!(
            shown("oc create clusterrolebinding b --clusterrole=a --serviceaccount=apps:deputy --user=u --group=g"),
            ["true b a true: u | g | apps:deputy"]
        );
        assert_eq!(shown("oc adm policy add-cluster-role-to-user a -z sa -n apps"), ["true a a true:  |  | apps:sa"]);
        assert_eq!(shown("oc adm policy add-cluster-role-to-group a g1 g2"), ["true a a true:  | g1 g2 | "]);
        for none in [
            "kubectl create deployment a --image=b",
            "kubectl get clusterrole a",
            "echo create clusterrole a --verb=impersonate",
            "kubectl create clusterrole",
            "kubectl create clusterrolebinding a",
            "oc adm policy remove-cluster-role-from-user a b",
        ] {
            assert_eq!(shown(none), [] as [&str; 0], "{none}");
        }
    }
}
