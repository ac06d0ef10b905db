//! What stays legacy, as entries for `deputize.toml`.

use std::fmt::Write as _;
use std::io::{self, Write};

use crate::migrate::LegacyException;
use crate::output::escape::to_escape;
use crate::output::report::why_kept;

/// Writes one `[[accept]]` entry for each exception.
///
/// # Errors
/// When `out` does.
pub fn write_accept<'e>(out: &mut dyn Write, exceptions: impl Iterator<Item = &'e LegacyException>) -> io::Result<()> {
    for (index, exception) in exceptions.enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        let object = &exception.object;
        writeln!(out, "[[accept]]")?;
        let table = table(object.kind.as_str(), object.namespace.as_deref(), &object.name);
        writeln!(out, "object = {table}")?;
        if let Some(subject) = &exception.subject {
            let table = self::table(subject.kind.as_str(), subject.namespace.as_deref(), &subject.name);
            writeln!(out, "subject = {table}")?;
        }
        let reason = format!("{}: {}", exception.reason.as_str(), why_kept(exception.reason));
        writeln!(out, "reason = {}", text(&reason))?;
    }
    Ok(())
}

/// `{ kind = "Role", namespace = "apps", name = "deputy" }`.
fn table(kind: &str, namespace: Option<&str>, name: &str) -> String {
    let namespace = namespace.map(|namespace| format!("namespace = {}, ", text(namespace))).unwrap_or_default();
    format!("{{ kind = {}, {namespace}name = {} }}", text(kind), text(name))
}

/// A basic string of TOML. What may deceive a reader is escaped.
fn text(value: &str) -> String {
    let mut out = String::from("\"");
    let mut from = 0;
    let quoted = value.char_indices().filter(|(_, c)| matches!(c, '"' | '\\'));
    let mut escaped: Vec<(usize, char)> = to_escape(value).chain(quoted).collect();
    escaped.sort_unstable();
    escaped.dedup();
    for (at, c) in escaped {
        out.push_str(&value[from..at]);
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            _ => {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\U{:08X}", u32::from(c));
            }
        }
        from = at + c.len_utf8();
    }
    out.push_str(&value[from..]);
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Impersonator;
    use crate::inventory::{ObjectKey, ObjectKind};
    use crate::migrate::Kept;

    #[test]
    fn entries_are_toml() {
        let exception = LegacyException {
            object: ObjectKey { kind: ObjectKind::Role, namespace: Some("apps".into()), name: "a\"b".into() },
            subject: Some(Impersonator::parse("User/x\n\\y").unwrap()),
            reason: Kept::NoConstrainedForm,
        };
        let mut out = Vec::new();
        write_accept(&mut out, [&exception].into_iter()).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "[[accept]]\nobject = { kind = \"Role\", namespace = \"apps\", name = \"a\\\"b\" }\n\
             subject = { kind = \"User\", name = \"x\\U0000000A\\\\y\" }\n\
             reason = \"no-constrained-form: only legacy allows a part of it\"\n"
        );
    }
}
