//! A text with its directives masked: what is left parses as YAML, at the very same bytes.
//!
//! A directive that writes something in the middle of a line becomes letters, so that what it writes is a part of a
//! scalar. One that has its lines for itself becomes blanks: it writes whole lines, or nothing. Blanks that a directive
//! eats are followed where they join what stands on both sides of it.

use std::ops::Range;

use super::expression::last_call;
use super::lex::{Action, Block, Directive};
use super::scope::{GuardKind, Misfit, Scopes};

/// What stands for a byte of what is written into a line. No YAML in it.
const LETTER: u8 = b'T';

/// How many troubles of one text are remembered.
const MAX_TROUBLES: usize = 64;

/// A place at which a directive writes lines of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hole {
    /// Where the directive stands.
    pub offset: usize,
    /// The column in which its lines begin, from 0.
    pub column: usize,
    /// Its index among the directives.
    pub directive: usize,
}

/// A masked text.
#[derive(Debug)]
pub(super) struct Masked {
    /// As many bytes as the text has.
    pub text: String,
    /// Where lines are missing, in their order.
    pub holes: Vec<Hole>,
    /// Where what is read is not what would be rendered.
    pub troubles: Vec<Misfit>,
}

pub(super) fn mask(text: &str, directives: &[Directive<'_>], scopes: &Scopes<'_>) -> Masked {
    let mut masker = Masker {
        text,
        scopes,
        bytes: text.as_bytes().to_vec(),
        holes: Vec::new(),
        troubles: Vec::new(),
        known: 0,
        line: (0, 0),
    };
    let mut from = 0;
    while from < directives.len() {
        let until = end_of_run(text, directives, from);
        masker.run(directives, from..until);
        from = until;
    }
    let Masker { bytes, holes, troubles, .. } = masker;
    // Whole directives and blanks were replaced, by ASCII, so it is UTF-8 still.
    let text = String::from_utf8(bytes).unwrap_or_default();
    Masked { text, holes, troubles }
}

/// The directives from `from` on with nothing but blanks between them.
fn end_of_run(text: &str, directives: &[Directive<'_>], from: usize) -> usize {
    let gap = |pair: &[Directive<'_>]| text.get(pair[0].range.end..pair[1].range.start).unwrap_or("?");
    let blank = |pair: &&[Directive<'_>]| gap(pair).bytes().all(|byte| byte.is_ascii_whitespace());
    let rest = directives.get(from..).unwrap_or_default();
    from + 1 + rest.windows(2).take_while(blank).count()
}

struct Masker<'m, 't> {
    text: &'t str,
    scopes: &'m Scopes<'t>,
    bytes: Vec<u8>,
    holes: Vec<Hole>,
    troubles: Vec<Misfit>,
    /// The end of the run before: what is masked is no literal text.
    known: usize,
    /// A place, and where its line starts.
    line: (usize, usize),
}

/// Blanks beside or between directives.
struct Gap {
    range: Range<usize>,
    has_break: bool,
    eaten: bool,
}

impl Masker<'_, '_> {
    fn run(&mut self, directives: &[Directive<'_>], indices: Range<usize>) {
        let Some(run) = directives.get(indices.clone()).filter(|run| !run.is_empty()) else { return };
        let (first, last) = (&run[0], &run[run.len() - 1]);
        let bytes = self.text.as_bytes();
        let blanks_before = bytes[self.known..first.range.start].iter().rev().take_while(|b| b.is_ascii_whitespace());
        let before = first.range.start - blanks_before.count();
        let after = bytes[last.range.end..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let after = last.range.end + after;
        let mut gaps = vec![self.gap(before..first.range.start, first.trims_left)];
        gaps.extend(run.windows(2).map(|pair| {
            let eaten = pair[0].trims_right || pair[1].trims_left;
            self.gap(pair[0].range.end..pair[1].range.start, eaten)
        }));
        gaps.push(self.gap(last.range.end..after, last.trims_right));
        let left = before.checked_sub(1).filter(|_| before > self.known).and_then(|at| bytes.get(at)).copied();
        let right = bytes.get(after).copied();
        self.known = last.range.end;

        let is_boundary = run.iter().any(|directive| self.is_boundary(directive));
        let writes_break = run.iter().any(|it| indentation(it).is_some_and(|indent| indent.on_new_line));
        let break_stays = writes_break || gaps.iter().any(|gap| gap.has_break && !gap.eaten);
        let first_break = gaps.iter().position(|gap| gap.has_break);
        let last_break = gaps.iter().rposition(|gap| gap.has_break);
        let break_was = first_break.is_some();
        let has_blocks = run.iter().any(|it| matches!(it.action, Action::Open(_) | Action::Else(_) | Action::Close));
        let has_else = run.iter().any(|it| matches!(it.action, Action::Else(_)));
        let writes = run.iter().any(|it| it.action == Action::Output);
        let all_eaten = gaps.iter().all(|gap| gap.eaten || gap.range.is_empty());
        let words = left.is_some_and(is_word) && right.is_some_and(is_word);
        if break_was && !break_stays && left.is_some() && right.is_some() && !is_boundary {
            if !has_blocks {
                let glued = writes || (words && all_eaten);
                return self.fill(before..after, if glued { LETTER } else { b' ' });
            }
            if !has_else && words && all_eaten {
                self.trouble(first.range.start, "directives join the text before and behind them here");
            }
        }
        if !has_blocks && !writes && words && all_eaten {
            return self.fill(before..after, LETTER);
        }
        for (at, directive) in run.iter().enumerate() {
            let on_new_line = indentation(directive).is_some_and(|indent| indent.on_new_line);
            // What is written on lines of its own behind a key is all that this has, or begins it.
            let is_value = on_new_line && left == Some(b':');
            let beside_left = left.is_some() && first_break.is_none_or(|gap| gap > at) && !is_value;
            let beside_right = right.is_some() && last_break.is_none_or(|gap| gap <= at);
            let range = directive.range.clone();
            if directive.action == Action::Output
                && indentation(directive).is_none()
                && directive.body.contains("indent ")
            {
                self.trouble(range.start, "how far lines are indented is not known here");
            }
            if directive.action != Action::Output {
                self.fill(range, b' ');
                continue;
            }
            // What is eaten joins what is written to the text beside it.
            let joins_left = at == 0 && gaps[0].eaten && left.is_some_and(is_word) && !on_new_line && !is_boundary;
            let joins_right = at + 1 == run.len() && directive.trims_right && right.is_some() && !is_boundary;
            if beside_left || beside_right || joins_left || joins_right {
                let start = if joins_left { before } else { range.start };
                let end = if joins_right && (gaps[at + 1].has_break || right.is_some_and(is_word)) {
                    after
                } else {
                    range.end
                };
                self.fill(start..end, LETTER);
            } else {
                // What stands before it on its line and writes nothing takes no room.
                let on_line = (1..=at).rev().take_while(|gap| !gaps.get(*gap).is_some_and(|gap| gap.has_break));
                let first = run.get(at - on_line.count()).unwrap_or(directive);
                let column = self.column(first.range.start);
                let column = match indentation(directive) {
                    Some(Indentation { on_new_line: true, by }) => by,
                    Some(Indentation { by, .. }) => column + by,
                    None => column,
                };
                self.holes.push(Hole { offset: range.start, column, directive: indices.start + at });
                self.fill(range, b' ');
            }
        }
        self.check_column(run, &gaps, before, after, right.is_some() && !is_boundary);
    }

    /// Text behind directives on its line is rendered where they begin: further left than it stands.
    fn check_column(&mut self, run: &[Directive<'_>], gaps: &[Gap], before: usize, after: usize, is_text: bool) {
        let Some((first_on_line, _)) = gaps.iter().enumerate().rev().find(|(_, gap)| gap.has_break) else {
            let starts_file = before == 0 && !gaps.is_empty();
            if starts_file && is_text && gaps.iter().all(|gap| !gap.has_break) && run.iter().all(is_silent) {
                self.trouble(run[0].range.start, SHIFTED);
            }
            return;
        };
        if !is_text {
            return;
        }
        let on_line = run.get(first_on_line..).unwrap_or_default();
        // Either directives stand before the text on its line, or the blanks before it are eaten.
        let rendered = gaps.iter().skip(first_on_line).filter(|gap| !gap.eaten);
        let rendered: usize = rendered.map(|gap| self.width_after_break(gap)).sum();
        if run.iter().skip(first_on_line.saturating_sub(1)).all(is_silent) && rendered != self.column(after) {
            let at = on_line.first().or(run.last()).map_or(after, |directive| directive.range.start);
            self.trouble(at, SHIFTED);
        }
    }

    fn width_after_break(&self, gap: &Gap) -> usize {
        let blanks = self.text.get(gap.range.clone()).unwrap_or_default();
        blanks.len() - blanks.rfind('\n').map_or(0, |at| at + 1)
    }

    fn gap(&self, range: Range<usize>, eaten: bool) -> Gap {
        let has_break = self.text.as_bytes().get(range.clone()).unwrap_or_default().contains(&b'\n');
        Gap { range, has_break, eaten }
    }

    /// Whether nothing that is rendered on one side of the directive stands beside what is on its other side.
    fn is_boundary(&self, directive: &Directive<'_>) -> bool {
        match directive.action {
            Action::Open(Block::Define(_)) => true,
            Action::Close => {
                let around = self.scopes.around(directive.range.start.saturating_sub(1)).next();
                around.is_some_and(|(_, guard)| matches!(guard.kind, GuardKind::Define(_)))
            }
            _ => false,
        }
    }

    /// Bytes before a place on its line. Places mostly come in their order, and a line may be very long.
    fn column(&mut self, offset: usize) -> usize {
        let (known, line_start) = self.line;
        let from = if known <= offset { known } else { 0 };
        let found = self.text.get(from..offset).unwrap_or_default().rfind('\n').map(|at| from + at + 1);
        let line_start = found.unwrap_or(if from == known { line_start } else { 0 });
        self.line = (offset, line_start);
        offset - line_start
    }

    fn fill(&mut self, range: Range<usize>, with: u8) {
        if let Some(bytes) = self.bytes.get_mut(range) {
            bytes.fill(with);
        }
    }

    fn trouble(&mut self, offset: usize, what: &'static str) {
        if self.troubles.len() < MAX_TROUBLES {
            self.troubles.push(Misfit { offset, what });
        }
    }
}

const SHIFTED: &str = "directives move the text behind them to another column here";

fn is_silent(directive: &Directive<'_>) -> bool {
    directive.action != Action::Output
}

/// Whether a byte beside another one would make one word with it.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || !byte.is_ascii() || b"-_.*/:".contains(&byte) && byte != b':'
}

/// How what a directive writes is indented.
pub(super) struct Indentation {
    pub on_new_line: bool,
    pub by: usize,
}

/// The argument of `indent` or `nindent`, if nothing is done with the text behind it.
pub(super) fn indentation(directive: &Directive<'_>) -> Option<Indentation> {
    if directive.action != Action::Output {
        return None;
    }
    let (function, number) = last_call(directive.body)?;
    let on_new_line = function == "nindent";
    if !on_new_line && function != "indent" {
        return None;
    }
    Some(Indentation { on_new_line, by: number?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::super::lex::directives;
    use super::*;
    use crate::source::TemplateLanguage::DoubleBraces;

    fn masked(text: &str) -> Masked {
        let directives = directives(text, DoubleBraces).unwrap();
        let masked = mask(text, &directives, &Scopes::new(&directives, text.len()));
        assert_eq!(masked.text.len(), text.len());
        masked
    }

    /// The masked text with each run of letters as one, and of blanks as few as there may be.
    fn show(text: &str) -> String {
        let masked = masked(text).text;
        let mut shown = String::new();
        for c in masked.chars() {
            if !(c == 'T' && shown.ends_with('T')) {
                shown.push(c);
            }
        }
        shown.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn what_is_written_into_a_line_is_a_part_of_it() {
        assert_eq!(show("name: {{ .x }}-a\n"), "name: T-a");
        assert_eq!(show("name: \"{{ .x }}\"\n"), "name: \"T\"");
        assert_eq!(show("{{ .key }}: b\n"), "T: b");
        assert_eq!(show("- {{ .x | quote }}\n- b\n"), "- T\n- b");
    }

    #[test]
    fn lines_of_directives_are_blank() {
        assert_eq!(show("a:\n{{- if .x }}\n- b\n{{- end }}\nc: d\n"), "a:\n\n- b\n\nc: d");
        let text = "a:\n  {{- toYaml .x | nindent 4 }}\n  {{ toYaml .y | indent 2 }}\n";
        assert_eq!(show(text), "a:\n\n");
        let columns: Vec<usize> = masked(text).holes.iter().map(|hole| hole.column).collect();
        assert_eq!(columns, [4, 4]);
    }

    #[test]
    fn eaten_blanks_join_words() {
        assert_eq!(show("kind: Cluster\n{{- \"Role\" }}\nb: c\n"), "kind: ClusterT\nb: c");
        assert_eq!(show("[imper\n{{- /* c */ -}}\nsonate]\n"), "[imperTsonate]");
        assert_eq!(show("[a,\n{{- /* c */ -}}\nb]\n").trim_end(), "[a,                 b]");
        assert_eq!(show("a: b{{ .x -}}\nc\n"), "a: bTc");
        // Labels are written on lines of their own.
        assert_eq!(masked("labels:\n  {{- include \"x\" . }}\nb: c\n").holes.len(), 1);
        assert!(!masked("[imper\n{{- if .x -}}\nsonate\n{{- end }}]").troubles.is_empty());
    }

    #[test]
    fn text_that_moves_is_said() {
        assert_eq!(masked("{{ if .x }}kind: Role{{ end }}\n").troubles.len(), 1);
        assert_eq!(masked("a:\n{{ if .x }}  b: c{{ end }}\n").troubles.len(), 1);
        assert_eq!(masked("a:\n{{ if .x -}}\n  b: c\n{{ end }}\n").troubles.len(), 1);
        for fine in [
            "{{- if .x -}}\nkind: Role\n{{- end -}}\n",
            "a:\n  {{- if .x }}\n  b: c\n  {{- end }}\n",
            "a: [{{ if .x }}b,{{ end }} c]\n",
            "{{/* c */}}\n{{ if .x }}\na: b\n{{ end }}\n",
            "{{ .k }}: b\n",
        ] {
            assert_eq!(masked(fine).troubles, [], "{fine}");
        }
    }

    #[test]
    fn many_directives_on_one_line_are_understood() {
        let masked = masked(&format!("a: {}\n", "{{ .x }} b ".repeat(50_000)));
        assert_eq!(masked.troubles, []);
    }
}
