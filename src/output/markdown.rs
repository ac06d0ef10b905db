//! Markdown for the terminal: the pages of rules. In a pipe the same without colours.

use std::io::{self, Write};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

use super::paint::{Paint, Style};
use super::table::{Cell, Column, write_any_table};
use super::text::wrap;

/// Columns by which what stands below a heading is indented.
const INDENT: &str = "  ";
/// A code span longer than this may be broken at its blanks.
const MAX_UNBROKEN: usize = 60;
/// Stands for a blank at which no line is broken.
const UNBREAKABLE: &str = "\u{a0}";

/// Writes Markdown as text: headings, paragraphs and lists wrapped, code as it is.
pub(super) fn write_markdown(out: &mut dyn Write, markdown: &str, style: Style) -> io::Result<()> {
    let mut writer = Writer {
        out,
        style,
        paint: Paint::new(style),
        inline: String::new(),
        lists: Vec::new(),
        code: None,
        cells: Vec::new(),
        is_first: true,
    };
    Parser::new_ext(markdown, Options::ENABLE_TABLES).try_for_each(|event| writer.event(event))
}

struct Writer<'o> {
    out: &'o mut dyn Write,
    style: Style,
    paint: Paint,
    /// The text of the block so far.
    inline: String,
    /// The lists around it: the number of the next item, where they are numbered.
    lists: Vec<Option<u64>>,
    /// The code block so far, in one.
    code: Option<String>,
    /// The rows of the table so far.
    cells: Vec<Vec<String>>,
    is_first: bool,
}

impl Writer<'_> {
    fn event(&mut self, event: Event<'_>) -> io::Result<()> {
        match event {
            Event::Text(text) => match &mut self.code {
                Some(code) => code.push_str(&text),
                None => self.inline.push_str(&text),
            },
            Event::Code(code) if self.cells.is_empty() => self.push_code(&code),
            // Cells are painted as a whole.
            Event::Code(code) => self.inline.push_str(&format!("`{code}`")),
            Event::SoftBreak | Event::HardBreak => self.inline.push(' '),
            Event::Start(Tag::List(first)) => {
                if self.lists.is_empty() {
                    self.gap()?;
                }
                self.lists.push(first);
            }
            Event::End(TagEnd::List(_)) => {
                self.lists.pop();
            }
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(_) | CodeBlockKind::Indented)) => {
                self.code = Some(String::new());
            }
            Event::End(TagEnd::CodeBlock) => self.code_block()?,
            Event::End(TagEnd::Heading(_)) => {
                self.gap()?;
                let text = std::mem::take(&mut self.inline);
                writeln!(self.out, "{}", self.paint.bold(&text))?;
            }
            Event::End(TagEnd::Paragraph) if self.lists.is_empty() => {
                self.gap()?;
                self.lines(INDENT, INDENT)?;
            }
            // An item is one text.
            Event::End(TagEnd::Paragraph) => self.inline.push(' '),
            Event::End(TagEnd::Item) => self.item()?,
            Event::Start(Tag::TableHead | Tag::TableRow) => self.cells.push(Vec::new()),
            Event::End(TagEnd::TableCell) => {
                let text = std::mem::take(&mut self.inline);
                if let Some(row) = self.cells.last_mut() {
                    row.push(text);
                }
            }
            Event::End(TagEnd::Table) => self.table()?,
            _ => {}
        }
        Ok(())
    }

    fn push_code(&mut self, code: &str) {
        let code = if code.len() > MAX_UNBROKEN { code.to_owned() } else { code.replace(' ', UNBREAKABLE) };
        let words: Vec<String> = code.split(' ').map(|word| self.paint.blue(word)).collect();
        self.inline.push_str(&format!("`{}`", words.join(" ")));
    }

    /// Separates blocks.
    fn gap(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.is_first) { Ok(()) } else { writeln!(self.out) }
    }

    fn lines(&mut self, first: &str, rest: &str) -> io::Result<()> {
        for line in wrap(&std::mem::take(&mut self.inline), self.style.width, first, rest) {
            writeln!(self.out, "{}", line.replace(UNBREAKABLE, " "))?;
        }
        Ok(())
    }

    fn item(&mut self) -> io::Result<()> {
        let depth = INDENT.repeat(self.lists.len());
        let mark = match self.lists.last_mut() {
            Some(Some(number)) => {
                let mark = format!("{number}. ");
                *number += 1;
                mark
            }
            _ => "- ".to_owned(),
        };
        let rest = format!("{depth}{:width$}", "", width = mark.len());
        self.lines(&format!("{depth}{mark}"), &rest)
    }

    fn code_block(&mut self) -> io::Result<()> {
        self.gap()?;
        for line in self.code.take().unwrap_or_default().lines() {
            if line.is_empty() {
                writeln!(self.out)?;
            } else {
                writeln!(self.out, "{INDENT}{INDENT}{}", self.paint.dim(line))?;
            }
        }
        Ok(())
    }

    fn table(&mut self) -> io::Result<()> {
        self.gap()?;
        let mut rows = std::mem::take(&mut self.cells).into_iter();
        let columns: Vec<Column> = rows.next().unwrap_or_default().into_iter().map(Column::new).collect();
        let rows = rows.map(|row| row.into_iter().map(Cell::from).collect()).collect();
        let columns_left = self.style.columns.map(|columns| columns.saturating_sub(INDENT.len()));
        let mut table = Vec::new();
        write_any_table(&mut table, Style { columns: columns_left, ..self.style }, &columns, rows)?;
        for line in String::from_utf8_lossy(&table).lines() {
            writeln!(self.out, "{INDENT}{line}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "\
# a-rule

Finds `impersonate` on the user *panda*, which is
a bear.

## Bad

```yaml
verbs:

- \"impersonate\"
```

1. Collect, with `deputize evidence logs`, what is done.
2. Migrate.

| verb | resources |
| --- | --- |
| `a` | `users`, `groups` |
";

    fn shown(style: Style) -> String {
        let mut out = Vec::new();
        write_markdown(&mut out, PAGE, style).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn pages_are_wrapped_text() {
        let expected = "\
a-rule

  Finds `impersonate` on the user panda,
  which is a bear.

Bad

    verbs:

    - \"impersonate\"

  1. Collect, with
     `deputize evidence logs`, what is
     done.
  2. Migrate.

  verb   resources
  `a`    `users`, `groups`
";
        assert_eq!(shown(Style { width: 40, ..Style::default() }), expected);
    }

    #[test]
    fn colours_do_not_move_words() {
        let plain = shown(Style { width: 40, ..Style::default() });
        let painted = shown(Style { width: 40, colour: true, ..Style::default() });
        assert_eq!(anstream::adapter::strip_str(&painted).to_string(), plain);
        assert!(painted.contains("`\u{1b}[34mimpersonate\u{1b}[0m`"), "{painted}");
    }
}
