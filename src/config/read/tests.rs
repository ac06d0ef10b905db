//! What is read of a configuration, and what is said of errors in it.

use super::*;

fn config(text: &str) -> Result<Config, Vec<String>> {
    let shown = |problem: &Problem| {
        let place = problem.place.unwrap();
        let help = problem.help.as_deref().map(|help| format!(" ({help})")).unwrap_or_default();
        format!("{}:{}: {}{help}", place.line, place.column, problem.message)
    };
    read(text, &Arc::from("deputize.toml"), PathBuf::from("/repo")).map_err(|errors| errors.iter().map(shown).collect())
}

#[test]
fn everything_is_read() {
    let config = config(
        r#"
exclude = ["vendor/"]
include = ["deploy/"]
select = ["unrestricted-users", "unbound-role"]
ignore = ["unbound-role"]
fail-on = "note"
kube-version = "1.35"
require-reason = true

[severity]
unrestricted-users = "note"

[[overrides]]
paths = ["tests/"]
ignore = ["unbound-role"]
severity = { system-masters = "error" }

[[accept]]
rule = "unrestricted-users"
object = { kind = "ClusterRole", name = "deputy" }
subject = { kind = "ServiceAccount", namespace = "apps", name = "deputy" }
reason = "the proxy needs it"
until = 2027-01-31

[[accept]]
rule = ["unbound-role", "system-masters"]
fingerprint = "0123456789abcdef0123456789abcdef"
reason = "x"
until = "2027-02-28"
"#,
    )
    .unwrap();
    assert_eq!(config.exclude.unwrap().value.as_written(), ["vendor/"]);
    assert_eq!(config.include.unwrap().value.as_written(), ["deploy/"]);
    assert_eq!(config.rules.select.as_ref().unwrap().value, ["unrestricted-users", "unbound-role"]);
    assert_eq!(config.rules.leaves_out("unbound-role").unwrap().line, 5);
    assert_eq!(config.rules.leaves_out("system-masters").unwrap().line, 4);
    assert_eq!(config.rules.leaves_out("unrestricted-users"), None);
    assert_eq!(config.rules.severity_of("unrestricted-users"), Some(Severity::Note));
    assert_eq!(config.fail_on.unwrap().value, FailOn::Note);
    assert_eq!(config.kube_version.unwrap().value.to_string(), "1.35");
    assert!(config.require_reason.unwrap().value);
    assert_eq!(config.overrides[0].rules.severity_of("system-masters"), Some(Severity::Error));
    let [first, second] = config.accept.as_slice() else { panic!("two") };
    assert_eq!((first.place.line, first.rules.as_slice()), (18, &["unrestricted-users"][..]));
    assert_eq!(first.until, "2027-01-31".parse().ok());
    assert_eq!(first.describe(), "unrestricted-users, ClusterRole \"deputy\", for ServiceAccount \"apps/deputy\"");
    assert_eq!((second.place.line, second.rules.len(), second.until), (25, 2, "2027-02-28".parse().ok()));
    assert!(first.counts_on("2027-01-31".parse().unwrap()) && !first.counts_on("2027-02-01".parse().unwrap()));
}

#[test]
fn nothing_is_needed() {
    let config = config("").unwrap();
    assert_eq!((config.exclude, config.fail_on, config.accept.len()), (None, None, 0));
}

#[test]
fn errors_have_places_and_suggestions() {
    let keys = "exclude, include, select, ignore, severity, fail-on, kube-version, require-reason, overrides, accept";
    for (text, expected) in [
        ("\nexcludes = []\n", &format!("2:1: unknown key `excludes`; did you mean `exclude`? (keys here: {keys})")[..]),
        ("zzz = 1", &format!("1:1: unknown key `zzz` (keys here: {keys})")),
        (
            "fail-on = 'warn'",
            "1:11: unknown value `warn`; did you mean `warning`? (values here: error, warning, note, never)",
        ),
        ("fail-on = 3", "1:11: wanted string or table"),
        ("exclude = 'a'", "1:11: invalid type: string \"a\", expected a sequence"),
        ("exclude = ['a', '']", "1:17: the pattern is empty (patterns are those of .gitignore)"),
        (
            "select = ['unbound-rol']",
            "1:11: unknown rule `unbound-rol`; did you mean `unbound-role`? (`deputize rules` lists all rules)",
        ),
        (
            "kube-version = 'latest'",
            "1:16: \"latest\" is no version of Kubernetes, such as 1.37 (write it as \"1.37\")",
        ),
        ("[severity]\nx = 'note'", "2:1: unknown rule `x` (`deputize rules` lists all rules)"),
        ("[severity]\nunbound-role = 'off'", "2:16: unknown value `off` (values here: error, warning, note)"),
        ("a = 1\na = 2", "2:1: duplicate key"),
        ("a = ", "1:5: string values must be quoted, expected literal string"),
        ("\n[[accept]]\nrule = 'unbound-role'", "2:1: an exception needs a `reason` (say why the grant stays)"),
        (
            "[[accept]]\nreason = 'x'",
            "1:1: this exception would accept everything (name at least one of rule, object, subject and fingerprint)",
        ),
        (
            "[[accept]]\nrule = ['unbound-role', 'y']\nreason = 'x'",
            "2:25: unknown rule `y` (`deputize rules` lists all rules)",
        ),
        ("[[accept]]\nrule = 'unbound-role'\nreason = ' '", "3:10: the reason is empty (say why the grant stays)"),
        (
            "[[accept]]\nrule = 'unbound-role'\nreason = 'x'\nuntil = '2027-02-30'",
            "4:9: `2027-02-30` is not a date (write it as YYYY-MM-DD)",
        ),
        (
            "[[accept]]\nrule = 'unbound-role'\nreason = 'x'\nuntil = 2027-02-03T00:00:00Z",
            "4:9: `2027-02-03T00:00:00Z` is not a date (write it as YYYY-MM-DD)",
        ),
        (
            "[[accept]]\nfingerprint = 'x'\nreason = 'x'",
            "2:15: this is not a fingerprint (copy it from `check -o json`: 32 hexadecimal digits)",
        ),
        (
            "[[accept]]\nsubject = {kind = 'ServiceAccount', name = 'x'}\nreason = 'x'",
            "2:11: a service account needs a namespace",
        ),
        (
            "[[accept]]\nsubject = {kind = 'User', namespace = 'a', name = 'x'}\nreason = 'x'",
            "2:11: only service accounts have a namespace",
        ),
        ("[[accept]]\nobject = {name = 'x'}\nreason = 'x'", "2:10: the key `kind` is missing"),
    ] {
        assert_eq!(config(text).unwrap_err(), [expected], "{text}");
    }
}

#[test]
fn all_wrong_values_are_named_at_once() {
    let errors = config("ignore = ['a-rule']\nkube-version = '2'\n[[accept]]\nreason = ''").unwrap_err();
    assert_eq!(errors.len(), 4, "{errors:?}");
}

/// The published schema is made from the types. `UPDATE=1 cargo test --lib config` writes it anew.
#[test]
fn the_published_schema_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema/config.json");
    let mut schema = schemars::schema_for!(RawConfig);
    schema.insert("title".to_owned(), "deputize.toml".into());
    let expected = serde_json::to_string_pretty(&schema).unwrap() + "\n";
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &expected).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
}
