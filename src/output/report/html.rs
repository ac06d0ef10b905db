//! The report as one HTML file that works without a network, and without its script too.
//!
//! The page is a template, so that it can be read as what it is. All values pass through one function on their way into
//! it, [`write_value`]; the policy in the page's head lets no style or script run but those whose hashes it names.

use std::io;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, Error, ErrorKind, Output, State, Value, context};
use sha2::{Digest, Sha256};

use super::shape::shape;
use super::{graph, text};
use crate::grants::Grants;
use crate::inventory::abbreviate;
use crate::output::escape;
use crate::output::human::count;
use crate::report::Report;

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Writes the report as HTML.
///
/// # Errors
/// When `out` does.
pub fn write_html(out: &mut dyn io::Write, grants: &Grants<'_>, report: &Report<'_>) -> io::Result<()> {
    let shape = shape(grants, report);
    let graph = graph::draw(&shape.cluster_admin.ways);
    let context = context! {
        report => Value::from(Serde(&shape)),
        graph => Value::from(Serde(&graph)),
        style => Value::from_safe_string(STYLE.to_owned()),
        script => Value::from_safe_string(SCRIPT.to_owned()),
        style_hash => hash(STYLE),
        script_hash => hash(SCRIPT),
    };
    environment()
        .and_then(|page| page.get_template("page.html")?.render_captured_to(context, out).map(drop))
        .map_err(into_io)
}

fn environment() -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    environment
        .set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true).build()?);
    environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
    environment.set_formatter(write_value);
    environment.add_filter("code", |text: &str| Value::from_safe_string(with_code(text)));
    environment.add_filter("minute", text::minute);
    environment.add_filter("count", |number: usize, what: &str| count(number, what));
    environment.add_filter(
        "percent",
        |part: f64, of: f64| if of > 0.0 { format!("{:.2}", 100.0 * part / of) } else { "0".to_owned() },
    );
    environment.add_template("page.html", PAGE)?;
    Ok(environment)
}

/// Writes a value so that it can only be text, between tags and in quoted attributes alike. Names that are longer than
/// any name should be are cut.
fn write_value(out: &mut Output<'_>, _: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    if value.is_safe() || value.is_number() {
        return write!(out, "{value}").map_err(Error::from);
    }
    let text = value.as_str().ok_or_else(|| Error::new(ErrorKind::BadEscape, "a value of the page is no text"))?;
    out.write_str(&text_as_html(text)).map_err(Error::from)
}

/// Text of which nothing can be taken for markup, or changes how what is around it is read.
fn text_as_html(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for c in escape(&abbreviate(text)).chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            c => html.push(c),
        }
    }
    html
}

/// Text of our own, in which backticks mark code.
fn with_code(text: &str) -> String {
    let parts = text.split('`').map(text_as_html).enumerate();
    parts.map(|(index, part)| if index % 2 == 1 { format!("<code>{part}</code>") } else { part }).collect()
}

/// A hash as policies name it.
fn hash(text: &str) -> Value {
    Value::from_safe_string(format!("'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(text))))
}

/// What went wrong with the writer, which stands at the end of the template's chain of errors.
fn into_io(error: Error) -> io::Error {
    let kind =
        std::error::Error::source(&error).and_then(|source| source.downcast_ref::<io::Error>()).map(io::Error::kind);
    io::Error::new(kind.unwrap_or(io::ErrorKind::Other), error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::load_bytes;
    use crate::report::Facts;

    fn page(manifests: &str) -> String {
        let inventory = load_bytes("<b>&.yaml", manifests.as_bytes());
        let grants = Grants::new(&inventory);
        let report = Report::new(&grants, Facts::default(), None);
        let mut out = Vec::new();
        write_html(&mut out, &grants, &report).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_empty_input_has_a_page() {
        assert!(page("").contains("</html>"));
    }

    #[test]
    fn hostile_names_stay_text() {
        let page = page(
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: '<script>alert(1)</script>', \
             labels: {app: '\"><img src=x onerror=alert(1)>'}}\n\
             rules: [{verbs: [impersonate], apiGroups: [''], resources: [users, groups], resourceNames: [\"a\\u202eb'\", 'system:masters']}]\n\
             ---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: '-->{{ 7 * 7 }}'}\n\
             roleRef: {kind: ClusterRole, name: '<script>alert(1)</script>'}\nsubjects: [{kind: User, name: '</style><b>'}]\n",
        );
        for part in ["<script>alert", "<img", "</style><b>", "\u{202e}"] {
            assert!(!page.contains(part), "{part}");
        }
        for part in ["&lt;script&gt;alert(1)&lt;/script&gt;", "{{ 7 * 7 }}", "&lt;/style&gt;&lt;b&gt;", "\\u{202e}"] {
            assert!(page.contains(part), "{part}");
        }
    }

    #[test]
    fn a_reader_that_leaves_is_told_from_other_errors() {
        struct Closed;
        impl io::Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let inventory = load_bytes("a.yaml", b"");
        let grants = Grants::new(&inventory);
        let report = Report::new(&grants, Facts::default(), None);
        let error = write_html(&mut Closed, &grants, &report).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}
