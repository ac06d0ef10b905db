//! Rendered charts as text: the documents, and where each line comes from.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Write};

use super::escape::{escape, escape_except};
use crate::render::{Document, Failure, Marked, Origin, Rendered, Role, SourceFile};

/// How a rendered chart is printed.
#[derive(Debug, Clone, Copy, Default)]
pub struct RenderOptions {
    /// Whether every line is preceded by the places that it comes from.
    pub origins: bool,
    /// Whether custom resource definitions in `crds/` are left out.
    pub skip_crds: bool,
    /// Whether a person looks at it right away: then nothing that a terminal obeys is printed as it is.
    pub is_terminal: bool,
}

/// Prints the documents in the order in which Helm installs them, each with the template that it comes from.
///
/// # Errors
/// When it cannot be written.
pub fn write_documents(out: &mut impl Write, rendered: &Rendered, options: RenderOptions) -> io::Result<()> {
    let places = Places::new(&rendered.files);
    let documents: Vec<&Document> =
        rendered.documents.iter().filter(|document| !options.skip_crds || document.role != Role::Crd).collect();
    for (index, document) in documents.iter().enumerate() {
        writeln!(out, "---\n# Source: {}", escape(&document.source))?;
        // Helm trims what it installs as a whole, and then adds the hooks.
        let ends = document.role != Role::Hook && documents.get(index + 1).is_none_or(|next| next.role == Role::Hook);
        let text = if ends { document.text.text.trim_end() } else { document.text.text.as_str() };
        if options.origins {
            write_with_origins(out, &document.text, text.trim_end_matches('\n').len(), &places)?;
        } else {
            let shown = shown(&document.text, 0..text.len(), &places);
            let shown = if options.is_terminal { escape_except(&shown, "\n\t") } else { without_controls(&shown) };
            writeln!(out, "{shown}")?;
        }
    }
    Ok(())
}

/// A text without the control characters that YAML forbids; everything else of it is as it is.
fn without_controls(text: &str) -> Cow<'_, str> {
    let is_forbidden = |c: char| c.is_control() && !matches!(c, '\n' | '\t' | '\r' | '\u{85}');
    if !text.contains(is_forbidden) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(
        text.chars().map(|c| if is_forbidden(c) { c.escape_default().to_string() } else { c.to_string() }).collect(),
    )
}

/// Prints why something could not be rendered, and where.
///
/// # Errors
/// When it cannot be written.
pub fn write_failure(out: &mut impl Write, failure: &Failure, rendered: &Rendered) -> io::Result<()> {
    let places = Places::new(&rendered.files);
    let place = places.line(failure.origin).unwrap_or_else(|| failure.template.clone());
    let through = match places.path(failure.origin) {
        Some(path) if !failure.template.ends_with(path) => format!(" (rendering {})", escape(&failure.template)),
        _ => String::new(),
    };
    let bound = if failure.is_limit { "; what follows was not rendered" } else { "" };
    writeln!(out, "{}: {}{through}{bound}", escape(&place), escape(&failure.message))
}

/// The lines of files, found by offset.
struct Places<'f> {
    files: &'f [SourceFile],
    lines: Vec<Vec<u32>>,
}

impl<'f> Places<'f> {
    fn new(files: &'f [SourceFile]) -> Self {
        let breaks = |file: &SourceFile| {
            let found = file.data.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
            found.map(|(at, _)| u32::try_from(at).unwrap_or(u32::MAX)).collect()
        };
        Self { files, lines: files.iter().map(breaks).collect() }
    }

    fn path(&self, origin: Origin) -> Option<&'f str> {
        self.files.get(origin.file as usize).map(|file| file.path.as_str())
    }

    /// `path:line`
    fn line(&self, origin: Origin) -> Option<String> {
        match origin {
            Origin::RELEASE_NAME => return Some("--release-name".to_owned()),
            Origin::RELEASE_NAMESPACE => return Some("--namespace".to_owned()),
            _ => {}
        }
        let path = self.path(origin)?;
        let breaks = self.lines.get(origin.file as usize)?;
        Some(format!("{path}:{}", breaks.partition_point(|at| *at < origin.start) + 1))
    }

    /// What stands for a text that is not known.
    fn placeholder(&self, origin: Origin) -> String {
        const LONGEST: usize = 60;
        match origin {
            Origin::RELEASE_NAME => return "{{ .Release.Name }}".to_owned(),
            Origin::RELEASE_NAMESPACE => return "{{ .Release.Namespace }}".to_owned(),
            _ => {}
        }
        let file = self.files.get(origin.file as usize);
        let bytes = file.and_then(|file| file.data.get(origin.start as usize..origin.end as usize)).unwrap_or_default();
        let text = String::from_utf8_lossy(bytes);
        let words: Vec<&str> = text.split_whitespace().collect();
        let mut text = words.join(" ");
        if text.len() > LONGEST {
            let end = (0..LONGEST).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
            text.truncate(end);
            text.push('…');
        }
        if text.is_empty() { "{{ … }}".to_owned() } else { format!("{{{{ {text} }}}}") }
    }
}

/// Whether the bytes of a mark only stand for something.
fn stands_for(origin: Origin, is_unknown: bool) -> bool {
    is_unknown || matches!(origin, Origin::RELEASE_NAME | Origin::RELEASE_NAMESPACE)
}

/// A part of a text as it is shown: with expressions for what is not known.
fn shown<'t>(marked: &'t Marked, range: std::ops::Range<usize>, places: &Places<'_>) -> Cow<'t, str> {
    let plain = marked.text.get(range.clone()).unwrap_or_default();
    if !marked.marks.iter().any(|mark| stands_for(mark.origin, mark.shape.is_some())) {
        return Cow::Borrowed(plain);
    }
    let mut result = String::with_capacity(plain.len());
    let mut at = 0;
    let mut previous = None;
    for mark in &marked.marks {
        let (start, end) = (at.max(range.start), (at + mark.length as usize).min(range.end));
        at += mark.length as usize;
        if start >= end {
            continue;
        }
        if stands_for(mark.origin, mark.shape.is_some()) {
            // Pieces of one value are shown once.
            if previous != Some(mark.origin) {
                result.push_str(&places.placeholder(mark.origin));
            }
            previous = Some(mark.origin);
        } else {
            result.push_str(marked.text.get(start..end).unwrap_or_default());
            previous = None;
        }
    }
    Cow::Owned(result)
}

fn write_with_origins(out: &mut impl Write, marked: &Marked, end: usize, places: &Places<'_>) -> io::Result<()> {
    let text = marked.text.get(..end).unwrap_or_default();
    let origins = line_origins(marked, text, places);
    let width = origins.values().map(|origin| origin.chars().count()).max().unwrap_or_default();
    let mut at = 0;
    for (index, line) in text.split('\n').enumerate() {
        let origin = origins.get(&index).map_or("", String::as_str);
        let shown = shown(marked, at..at + line.len(), places);
        let separated = format!("{:width$} │ {}", escape(origin), escape(&shown));
        writeln!(out, "{}", separated.trim_end())?;
        at += line.len() + 1;
    }
    Ok(())
}

/// The places of each line that says something: first that of its beginning, then those of what is filled in.
fn line_origins(marked: &Marked, text: &str, places: &Places<'_>) -> BTreeMap<usize, String> {
    const MOST: usize = 3;
    let mut found: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    let breaks: Vec<usize> = text.match_indices('\n').map(|(at, _)| at).collect();
    let mut at = 0;
    for mark in &marked.marks {
        let (start, end) = (at, (at + mark.length as usize).min(text.len()));
        at += mark.length as usize;
        let mut from = start;
        while from < end {
            let line = breaks.partition_point(|at| *at < from);
            let to = breaks.get(line).map_or(end, |at| (at + 1).min(end));
            let piece = text.get(from..to).unwrap_or_default();
            if !piece.trim().is_empty() {
                let mut origin = mark.origin;
                let is_verbatim = (origin.end.saturating_sub(origin.start)) == mark.length;
                if is_verbatim && places.path(origin).is_some() {
                    origin.start += u32::try_from(from - start).unwrap_or_default();
                    // Blanks before it may be those of the line before.
                    origin.start += u32::try_from(piece.len() - piece.trim_start().len()).unwrap_or_default();
                }
                if let Some(place) = places.line(origin) {
                    let known = found.entry(line).or_default();
                    if !known.contains(&place) {
                        known.push(place);
                    }
                }
            }
            from = to;
        }
    }
    let joined = |places: Vec<String>| {
        let more = if places.len() > MOST { " …" } else { "" };
        format!("{}{more}", places[..places.len().min(MOST)].join(" + "))
    };
    found.into_iter().map(|(line, places)| (line, joined(places))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::{Settings, render};

    fn printed(files: &[(&str, &str)], options: RenderOptions) -> String {
        let files = files.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect();
        let rendered = render(files, &Settings::default()).unwrap();
        let mut out = Vec::new();
        write_documents(&mut out, &rendered, options).unwrap();
        String::from_utf8(out).unwrap()
    }

    const CHART: (&str, &str) = ("Chart.yaml", "apiVersion: v2\nname: c\nversion: 1.0.0\n");

    #[test]
    fn each_line_has_its_places() {
        let files = [
            CHART,
            ("values.yaml", "verbs:\n- get\n- impersonate\n"),
            ("templates/_h.tpl", "{{ define \"n\" }}{{ .Release.Name }}-x{{ end }}"),
            (
                "templates/a.yaml",
                "kind: ClusterRole\nname: {{ include \"n\" . }}\nverbs:\n{{- toYaml .Values.verbs | nindent 2 }}\npw: {{ randAlpha 4 | quote }}\n",
            ),
        ];
        let expected = "\
---
# Source: c/templates/a.yaml
templates/a.yaml:1                                       │ kind: ClusterRole
templates/a.yaml:2 + --release-name + templates/_h.tpl:1 │ name: {{ .Release.Name }}-x
templates/a.yaml:3                                       │ verbs:
templates/a.yaml:4 + values.yaml:2                       │   - get
templates/a.yaml:4 + values.yaml:3                       │   - impersonate
templates/a.yaml:5                                       │ pw: \"{{ randAlpha 4 }}\"
";
        assert_eq!(printed(&files, RenderOptions { origins: true, ..RenderOptions::default() }), expected);
    }

    #[test]
    fn a_terminal_gets_no_control_characters() {
        let files = [CHART, ("templates/a.yaml", "kind: A\nb: \"\u{1b}[31m\u{202e}\"\n")];
        let raw = printed(&files, RenderOptions::default());
        assert!(!raw.contains('\u{1b}') && raw.contains('\u{202e}'), "{raw:?}");
        let escaped = printed(&files, RenderOptions { is_terminal: true, ..RenderOptions::default() });
        assert!(!escaped.contains(['\u{1b}', '\u{202e}']), "{escaped:?}");
    }
}
