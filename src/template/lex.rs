//! A text to its directives: where each begins and ends, what it does, and whether it eats the blanks around it.
//!
//! Only the marks are understood here, not the code between them. Nothing is executed.

use std::ops::Range;

use crate::source::TemplateLanguage;

/// Something between marks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Directive<'t> {
    /// All of it, marks included.
    pub range: Range<usize>,
    /// The code between the marks, without blanks around it.
    pub body: &'t str,
    /// Whether it eats the blanks before it.
    pub trims_left: bool,
    /// Whether it eats the blanks behind it.
    pub trims_right: bool,
    /// What it does.
    pub action: Action<'t>,
}

/// What a directive does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action<'t> {
    /// Writes something.
    Output,
    /// Nothing.
    Comment,
    /// Changes variables, and writes nothing.
    Silent,
    /// Begins a block.
    Open(Block<'t>),
    /// Begins another branch of a condition: with a condition of its own, or without.
    Else(Option<&'t str>),
    /// Ends a block.
    Close,
}

/// The kinds of blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Block<'t> {
    /// What is inside stands there if the condition holds.
    If(&'t str),
    /// The same if it does not hold.
    Unless(&'t str),
    /// The same if the value is not empty; inside, `.` is that value.
    With(&'t str),
    /// Once for each element of something.
    Each(&'t str),
    /// What is inside stands where the name is called.
    Define(&'t str),
    /// Anything else that has an end.
    Other,
}

/// A directive that does not end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unclosed {
    /// Where it begins.
    pub offset: usize,
}

/// The marks of a language: what begins and what ends a directive.
type Marks = &'static [(&'static str, &'static str)];

fn marks_of(language: TemplateLanguage) -> Marks {
    match language {
        TemplateLanguage::DoubleBraces => &[("{{", "}}")],
        TemplateLanguage::Jinja => &[("{{", "}}"), ("{%", "%}"), ("{#", "#}")],
        TemplateLanguage::Ytt => &[("(@", "@)")],
        TemplateLanguage::Erb => &[("<%", "%>")],
        TemplateLanguage::Substitution => &[("${", "}")],
    }
}

/// The directives of a text, in their order.
///
/// # Errors
/// When one of them does not end: nobody can tell then what follows.
pub(super) fn directives(text: &str, language: TemplateLanguage) -> Result<Vec<Directive<'_>>, Unclosed> {
    if language == TemplateLanguage::Ytt {
        return ytt_directives(text);
    }
    marked_directives(text, language)
}

fn marked_directives(text: &str, language: TemplateLanguage) -> Result<Vec<Directive<'_>>, Unclosed> {
    let bytes = text.as_bytes();
    let marks = marks_of(language);
    let lead = marks[0].0.as_bytes()[0];
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(next) = memchr::memchr(lead, bytes.get(at..).unwrap_or_default()) {
        let start = at + next;
        let rest = text.get(start..).unwrap_or_default();
        let Some((open, close)) = marks.iter().find(|(open, _)| rest.starts_with(open)) else {
            at = start + 1;
            continue;
        };
        let end = end_of(rest, open, close).ok_or(Unclosed { offset: start })? + start;
        found.push(directive(text, start..end, open, close, language));
        at = end;
    }
    Ok(found)
}

/// ytt's directives are comments to YAML (`#@`), and marks in strings.
fn ytt_directives(text: &str) -> Result<Vec<Directive<'_>>, Unclosed> {
    let mut found: Vec<Directive<'_>> = Vec::new();
    for at in memchr::memmem::find_iter(text.as_bytes(), YTT) {
        if found.last().is_some_and(|last| last.range.end > at) || !is_comment(text, at) {
            continue;
        }
        let rest = text.get(at + YTT.len()..).unwrap_or_default();
        let line = rest.split(['\n', '\r']).next().unwrap_or_default();
        let before = text.get(..at).unwrap_or_default().rsplit(['\n', '\r']).next().unwrap_or_default();
        let body = line.trim();
        let action = if !line.starts_with(' ') {
            // An annotation: it says how something is put elsewhere.
            Action::Comment
        } else if before.trim().is_empty() {
            ytt_action(body)
        } else {
            Action::Output
        };
        let range = at..at + YTT.len() + line.len();
        found.push(Directive { range, body, trims_left: false, trims_right: false, action });
    }
    let in_comment = |at: usize| {
        let after = found.partition_point(|comment| comment.range.start <= at);
        after.checked_sub(1).and_then(|index| found.get(index)).is_some_and(|comment| comment.range.end > at)
    };
    let marked = marked_directives(text, TemplateLanguage::Ytt)?;
    let marked: Vec<Directive<'_>> = marked.into_iter().filter(|it| !in_comment(it.range.start)).collect();
    found.extend(marked);
    found.sort_by_key(|directive| directive.range.start);
    Ok(found)
}

/// What begins one of ytt's comments.
const YTT: &str = "#@";

/// Whether what stands there is a comment to YAML, unless it stands in a string.
fn is_comment(text: &str, at: usize) -> bool {
    at == 0 || text.as_bytes().get(at - 1).is_some_and(u8::is_ascii_whitespace)
}

/// What ytt's annotations begin with.
const NAMESPACES: [&str; 7] = [" ", "yaml/", "overlay/", "data/", "schema/", "template/", "library/"];

/// Whether code or annotations of ytt's stand in a text.
pub(super) fn has_ytt_code(text: &str) -> bool {
    let is_known = |at: usize| {
        text.get(at + YTT.len()..).is_some_and(|rest| NAMESPACES.iter().any(|namespace| rest.starts_with(namespace)))
    };
    memchr::memmem::find_iter(text.as_bytes(), YTT).any(|at| is_known(at) && is_comment(text, at))
}

fn ytt_action(body: &str) -> Action<'_> {
    let (word, rest) = first_word(body);
    let head = rest.trim_end_matches(':').trim();
    match word {
        // A condition of the next node alone.
        "if" | "for" if rest.starts_with("/end") => Action::Output,
        "if" => Action::Open(Block::If(head)),
        "for" | "while" => Action::Open(Block::Each(head)),
        "def" => Action::Open(Block::Define(head)),
        "elif" => Action::Else(Some(head)),
        "else" => Action::Else(None),
        "end" => Action::Close,
        _ => Action::Silent,
    }
}

/// Where a directive ends that begins with `rest`.
fn end_of(rest: &str, open: &str, close: &str) -> Option<usize> {
    let bytes = rest.as_bytes();
    let inside = rest.get(open.len()..)?;
    if open == "{#" {
        return Some(open.len() + inside.find(close)? + close.len());
    }
    // A Go comment ends with its own mark, whatever stands in it.
    let first = inside.strip_prefix('-').unwrap_or(inside).trim_start();
    if open == "{{" && first.starts_with("/*") {
        let comment = rest.find("/*")? + 2;
        let end = comment + rest.get(comment..)?.find("*/")? + 2;
        return Some(end + rest.get(end..)?.find(close)? + close.len());
    }
    let is_code = matches!(open, "{{" | "{%");
    let mut depth = 0usize;
    let mut at = open.len();
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' | b'\'' if is_code => at = end_of_string(bytes, at, *byte)?,
            b'`' if open == "{{" => at += 1 + memchr::memchr(b'`', bytes.get(at + 1..)?)? + 1,
            b'$' if open == "${" && bytes.get(at + 1) == Some(&b'{') => {
                depth += 1;
                at += 2;
            }
            b'}' if open == "${" && depth > 0 => {
                depth -= 1;
                at += 1;
            }
            _ if bytes.get(at..)?.starts_with(close.as_bytes()) => return Some(at + close.len()),
            _ => at += 1,
        }
    }
    None
}

/// The byte behind a string with escapes that begins at `start`. A line does not end in a string.
fn end_of_string(bytes: &[u8], start: usize, quote: u8) -> Option<usize> {
    let mut at = start + 1;
    loop {
        match *bytes.get(at)? {
            b'\\' => at += 2,
            b'\n' => return None,
            byte if byte == quote => return Some(at + 1),
            _ => at += 1,
        }
    }
}

fn directive<'t>(
    text: &'t str,
    range: Range<usize>,
    open: &str,
    close: &str,
    language: TemplateLanguage,
) -> Directive<'t> {
    let mut inside = text.get(range.start + open.len()..range.end - close.len()).unwrap_or_default();
    // In Go a dash is a mark only with a blank beside it, so that `{{-3}}` is a number.
    let is_go = language == TemplateLanguage::DoubleBraces;
    let is_mark = |beside: Option<char>| !is_go || beside.is_none_or(char::is_whitespace);
    let mut trims_left = false;
    if let Some(rest) = inside.strip_prefix('-').filter(|rest| is_mark(rest.chars().next())) {
        (inside, trims_left) = (rest, true);
    }
    let mut trims_right = false;
    if let Some(rest) = inside.strip_suffix('-').filter(|rest| is_mark(rest.chars().next_back())) {
        (inside, trims_right) = (rest, true);
    }
    let body = inside.trim();
    let action = match (language, open) {
        (_, "{#") => Action::Comment,
        (TemplateLanguage::DoubleBraces, _) => go_action(body),
        (TemplateLanguage::Jinja, "{%") => jinja_action(body),
        (TemplateLanguage::Erb, _) => erb_action(body),
        _ => Action::Output,
    };
    let body = if language == TemplateLanguage::Erb { body.trim_start_matches('=').trim() } else { body };
    Directive { range, body, trims_left, trims_right, action }
}

/// The first word of some code, and what follows it.
fn first_word(body: &str) -> (&str, &str) {
    let end = body.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(body.len());
    let (word, rest) = body.split_at(end);
    (word, rest.trim())
}

fn go_action(body: &str) -> Action<'_> {
    if body.starts_with("/*") {
        return Action::Comment;
    }
    let (word, rest) = first_word(body);
    match word {
        "if" => Action::Open(Block::If(rest)),
        "with" => Action::Open(Block::With(rest)),
        "range" => Action::Open(Block::Each(rest)),
        "define" => Action::Open(Block::Define(rest)),
        // Defined and called in one place.
        "block" => Action::Open(Block::Other),
        "else" if rest.is_empty() => Action::Else(None),
        "else" => Action::Else(Some(rest.strip_prefix("if").or(rest.strip_prefix("with")).unwrap_or(rest).trim())),
        "end" => Action::Close,
        "break" | "continue" => Action::Silent,
        // Stops the rendering, or writes nothing.
        "fail" => Action::Silent,
        "" if is_assignment(body) => Action::Silent,
        _ => Action::Output,
    }
}

/// `$name := …` or `$name = …`, or several names.
pub(super) fn is_assignment(body: &str) -> bool {
    let Some(rest) = body.strip_prefix('$') else { return false };
    let rest = rest.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_').trim_start();
    rest.starts_with(":=") || (rest.starts_with('=') && !rest.starts_with("=="))
}

fn jinja_action(body: &str) -> Action<'_> {
    let (word, rest) = first_word(body.trim_start_matches('+'));
    match word {
        "if" => Action::Open(Block::If(rest)),
        "for" => Action::Open(Block::Each(rest)),
        "macro" | "block" => Action::Open(Block::Define(rest)),
        "elif" => Action::Else(Some(rest)),
        "else" => Action::Else(None),
        "set" if rest.contains('=') => Action::Silent,
        "set" | "filter" | "call" | "with" | "raw" | "autoescape" => Action::Open(Block::Other),
        "include" => Action::Output,
        _ if word.starts_with("end") => Action::Close,
        _ => Action::Silent,
    }
}

fn erb_action(body: &str) -> Action<'_> {
    if body.starts_with('#') {
        return Action::Comment;
    }
    if body.starts_with('=') {
        return Action::Output;
    }
    let (word, rest) = first_word(body);
    match word {
        "if" => Action::Open(Block::If(rest)),
        "unless" => Action::Open(Block::Unless(rest)),
        "elsif" | "when" => Action::Else(Some(rest)),
        "else" => Action::Else(None),
        "end" => Action::Close,
        "for" | "while" | "until" => Action::Open(Block::Each(rest)),
        "case" | "begin" => Action::Open(Block::Other),
        _ if body.ends_with("do") || (body.contains(" do ") && body.ends_with('|')) => Action::Open(Block::Each(body)),
        _ => Action::Silent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn go(text: &str) -> Vec<(&str, bool, bool, Action<'_>)> {
        let found = directives(text, TemplateLanguage::DoubleBraces).unwrap();
        found.into_iter().map(|it| (it.body, it.trims_left, it.trims_right, it.action)).collect()
    }

    #[test]
    fn go_templates() {
        assert_eq!(go("a {{ .x }} b"), [(".x", false, false, Action::Output)]);
        assert_eq!(go("{{- if not .a -}}"), [("if not .a", true, true, Action::Open(Block::If("not .a")))]);
        assert_eq!(go("{{- else if .b }}"), [("else if .b", true, false, Action::Else(Some(".b")))]);
        assert_eq!(go("{{-3}}"), [("-3", false, false, Action::Output)]);
        assert_eq!(go("{{ $x := 1 }}{{ $x }}")[0].3, Action::Silent);
        assert_eq!(go("{{ $x }}")[0].3, Action::Output);
        assert_eq!(go("{{ endpoint }}")[0].3, Action::Output);
    }

    #[test]
    fn ends_are_not_looked_for_in_strings_and_comments() {
        assert_eq!(go("{{ \"}}\" }}x").len(), 1);
        assert_eq!(go("{{ `}}\"` }}x{{ '}' }}").len(), 2);
        assert_eq!(go("{{ \"\\\"}}\" }}").len(), 1);
        assert_eq!(go("{{- /* don't }} \" */ -}}")[0], ("/* don't }} \" */", true, true, Action::Comment));
        for unclosed in ["{{ .x", "{{ \"x }}", "{{/* }}", "{{ `x }}"] {
            assert!(directives(unclosed, TemplateLanguage::DoubleBraces).is_err(), "{unclosed}");
        }
    }

    #[test]
    fn other_languages() {
        let jinja = directives("{% if a %}{{ b }}{# {{ #}{%- endif %}", TemplateLanguage::Jinja).unwrap();
        let actions: Vec<_> = jinja.iter().map(|it| it.action).collect();
        assert_eq!(actions, [Action::Open(Block::If("a")), Action::Output, Action::Comment, Action::Close]);
        let erb = directives("<% if a %><%= b %><%# c %><% end -%>", TemplateLanguage::Erb).unwrap();
        assert_eq!(erb.iter().map(|it| it.body).collect::<Vec<_>>(), ["if a", "b", "# c", "end"]);
        let ytt = "#@ if data.a:\nb: #@ c(1)\n#@ end\n#@overlay/remove\nd: \"e(@= f @)\" #! g\n#@ h = i\nj: k#@ l\n";
        let ytt = directives(ytt, TemplateLanguage::Ytt).unwrap();
        assert_eq!(
            ytt.iter().map(|it| it.body).collect::<Vec<_>>(),
            ["if data.a:", "c(1)", "end", "overlay/remove", "= f", "h = i"]
        );
        assert_eq!(ytt[0].action, Action::Open(Block::If("data.a")));
        assert_eq!(ytt.iter().filter(|it| it.action == Action::Output).count(), 2);
        let shell = directives("${a:-${b}}x${c}", TemplateLanguage::Substitution).unwrap();
        assert_eq!(shell.iter().map(|it| it.body).collect::<Vec<_>>(), ["a:-${b}", "c"]);
    }
}
