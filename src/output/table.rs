//! Tables that fit the terminal. Where nothing limits them (a pipe, a file), they are whole and look the same everywhere.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io::{self, Write};

use unicode_width::UnicodeWidthStr;

use super::escape;
use super::paint::{Paint, Style};
use super::text::wrap as wrap_text;
use crate::lint::Severity;

/// Blanks between columns, as `kubectl` has them.
const GAP: usize = 3;
/// Blanks before the rows below a heading.
const INDENT: usize = 2;

/// A column of a table.
#[derive(Debug, Clone)]
pub(super) struct Column {
    name: Cow<'static, str>,
    /// How early it goes where there is no room for all: the highest first, those with 0 never.
    rank: u8,
    /// Columns that it takes at least, if its cells are longer; never less than its longest word.
    least: usize,
    /// Whether its cells may be headings, with the rows that share one below it.
    is_heading: bool,
}

impl Column {
    /// Creates a column that is never left out.
    pub fn new(name: impl Into<Cow<'static, str>>) -> Self {
        Self { name: name.into(), rank: 0, least: 0, is_heading: false }
    }

    /// Leaves the column out where there is no room for it, before those of a lower rank.
    pub fn optional(self, rank: u8) -> Self {
        Self { rank, ..self }
    }

    /// Makes the column one of prose, which needs that much room to be readable.
    pub fn prose(self, least: usize) -> Self {
        Self { least, ..self }
    }

    /// Makes headings of the column's cells where there is no room for all columns side by side.
    pub fn heading(self) -> Self {
        Self { is_heading: true, ..self }
    }
}

/// What a cell means, which decides its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Tone {
    /// Nothing in particular.
    #[default]
    Plain,
    /// Dangerous.
    Danger,
    /// Needs attention.
    Attention,
    /// Only informs.
    Info,
    /// Matters less.
    Quiet,
}

impl Tone {
    /// Returns the meaning of a severity.
    pub fn of(severity: Severity) -> Self {
        match severity {
            Severity::Error => Self::Danger,
            Severity::Warning => Self::Attention,
            Severity::Note => Self::Info,
        }
    }
}

/// A cell: its text and what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cell {
    text: String,
    tone: Tone,
    address: Option<String>,
}

impl Cell {
    /// Creates a cell with a meaning.
    pub fn new(text: impl Into<String>, tone: Tone) -> Self {
        Self { text: text.into(), tone, address: None }
    }

    /// Makes the cell lead to an address, if there is one.
    pub fn linked(self, address: Option<String>) -> Self {
        Self { address, ..self }
    }

    fn escape(&mut self) {
        if let Cow::Owned(escaped) = escape(&self.text) {
            self.text = escaped;
        }
    }

    fn paint(&self, paint: Paint, line: &str) -> String {
        let linked = paint.link(self.address.as_deref(), line);
        match self.tone {
            Tone::Plain => linked,
            Tone::Danger => paint.red(&linked),
            Tone::Attention => paint.yellow(&linked),
            Tone::Info => paint.blue(&linked),
            Tone::Quiet => paint.dim(&linked),
        }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::new(text, Tone::Plain)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::new(text, Tone::Plain)
    }
}

/// Writes a table: a header and its rows. Where it does not fit, cells are wrapped between words and entries of lists, then rows
/// are put below headings, then columns are left out, which is said. Words are never broken.
pub(super) fn write_table<const N: usize>(
    out: &mut dyn Write,
    style: Style,
    columns: [Column; N],
    mut rows: Vec<[Cell; N]>,
) -> io::Result<()> {
    rows.iter_mut().flatten().for_each(Cell::escape);
    let table = Table { columns: &columns, rows: rows.iter().map(|row| &row[..]).collect(), paint: Paint::new(style) };
    table.write(out, style.columns)
}

/// Writes a table of which the number of columns is only known at run time. Each row has a cell for each column.
pub(super) fn write_any_table(
    out: &mut dyn Write,
    style: Style,
    columns: &[Column],
    mut rows: Vec<Vec<Cell>>,
) -> io::Result<()> {
    rows.iter_mut().flatten().for_each(Cell::escape);
    let rows = rows.iter().map(Vec::as_slice).filter(|row| row.len() == columns.len()).collect();
    Table { columns, rows, paint: Paint::new(style) }.write(out, style.columns)
}

struct Table<'t> {
    columns: &'t [Column],
    rows: Vec<&'t [Cell]>,
    paint: Paint,
}

/// The columns that are shown, each with its width.
type Layout = Vec<(usize, usize)>;

impl Table<'_> {
    fn write(&self, out: &mut dyn Write, limit: Option<usize>) -> io::Result<()> {
        let all: Vec<usize> = (0..self.columns.len()).collect();
        let Some(limit) = limit else {
            let widths = all.iter().map(|column| (*column, self.natural(*column, &self.rows))).collect();
            return self.write_rows(out, &widths, 0, &self.rows);
        };
        if let Some(layout) = self.fit(&all, &self.rows, limit) {
            return self.write_rows(out, &layout, 0, &self.rows);
        }
        let left_out = match self.columns.iter().position(|column| column.is_heading) {
            None => self.write_without(out, all, &self.rows, limit, 0)?,
            Some(heading) => self.write_below_headings(out, heading, limit)?,
        };
        if left_out.is_empty() {
            return Ok(());
        }
        let names = left_out.iter().map(|column| &*self.columns[*column].name).collect::<Vec<_>>().join(", ");
        let s = if left_out.len() == 1 { "" } else { "s" };
        let note = format!("column{s} left out: {names} (a wider terminal or a pipe shows all)");
        wrap_text(&note, limit, "", "").iter().try_for_each(|line| writeln!(out, "{}", self.paint.dim(line)))
    }

    /// Writes the rows below the cells of one column, each group as it fits. Returns the columns that some of them lack.
    fn write_below_headings(&self, out: &mut dyn Write, heading: usize, limit: usize) -> io::Result<BTreeSet<usize>> {
        let mut rows = self.rows.clone();
        rows.sort_by(|a, b| a[heading].text.cmp(&b[heading].text));
        let columns: Vec<usize> = (0..self.columns.len()).filter(|column| *column != heading).collect();
        let mut left_out = BTreeSet::new();
        for (index, rows) in rows.chunk_by(|a, b| a[heading].text == b[heading].text).enumerate() {
            if index > 0 {
                writeln!(out)?;
            }
            let text = match rows[0][heading].text.as_str() {
                "-" => format!("(no {})", self.columns[heading].name.to_lowercase()),
                text => text.to_owned(),
            };
            writeln!(out, "{}", self.paint.bold(&text))?;
            left_out.extend(self.write_without(out, columns.clone(), rows, limit, INDENT)?);
        }
        Ok(left_out)
    }

    /// Writes rows without the columns for which there is no room, and returns these.
    fn write_without(
        &self,
        out: &mut dyn Write,
        mut columns: Vec<usize>,
        rows: &[&[Cell]],
        limit: usize,
        indent: usize,
    ) -> io::Result<BTreeSet<usize>> {
        let all = columns.clone();
        let mut left_out = BTreeSet::new();
        loop {
            if let Some(layout) = self.fit(&columns, rows, limit.saturating_sub(indent)) {
                self.write_rows(out, &layout, indent, rows)?;
                return Ok(left_out);
            }
            let optional = columns.iter().copied().filter(|column| self.columns[*column].rank > 0);
            let Some(least) = optional.max_by_key(|column| self.columns[*column].rank) else {
                self.write_records(out, &all, indent, rows)?;
                return Ok(BTreeSet::new());
            };
            columns.retain(|column| *column != least);
            left_out.insert(least);
        }
    }

    /// Returns the width that a column needs to show its cells on one line each.
    fn natural(&self, column: usize, rows: &[&[Cell]]) -> usize {
        let cells = rows.iter().map(|row| row[column].text.width());
        cells.max().unwrap_or_default().max(self.columns[column].name.width())
    }

    /// Returns the least width of a column: that of its longest word.
    fn least(&self, column: usize, rows: &[&[Cell]]) -> usize {
        let words = rows.iter().flat_map(|row| pieces(&row[column].text)).map(|piece| piece.trim_end().width());
        words.max().unwrap_or_default().max(self.columns[column].name.width())
    }

    /// Returns widths with which the columns fit side by side, if there are any.
    fn fit(&self, columns: &[usize], rows: &[&[Cell]], limit: usize) -> Option<Layout> {
        let gaps = GAP * columns.len().saturating_sub(1);
        let mut widths: Vec<usize> = columns.iter().map(|column| self.natural(*column, rows)).collect();
        let mut excess = (widths.iter().sum::<usize>() + gaps).saturating_sub(limit);
        if excess > 0 {
            let least: Vec<usize> = columns
                .iter()
                .zip(&widths)
                .map(|(column, natural)| self.least(*column, rows).max(self.columns[*column].least.min(*natural)))
                .collect();
            if least.iter().sum::<usize>() + gaps > limit {
                return None;
            }
            while excess > 0 {
                let widest = (0..widths.len())
                    .filter(|index| widths[*index] > least[*index])
                    .max_by_key(|index| widths[*index])?;
                widths[widest] -= 1;
                excess -= 1;
            }
        }
        Some(columns.iter().copied().zip(widths).collect())
    }

    fn write_rows(&self, out: &mut dyn Write, layout: &Layout, indent: usize, rows: &[&[Cell]]) -> io::Result<()> {
        let names: Vec<Cell> = self.columns.iter().map(|column| Cell::from(&*column.name)).collect();
        self.write_row(out, layout, indent, &names, true)?;
        rows.iter().try_for_each(|row| self.write_row(out, layout, indent, row, false))
    }

    fn write_row(
        &self,
        out: &mut dyn Write,
        layout: &Layout,
        indent: usize,
        row: &[Cell],
        is_header: bool,
    ) -> io::Result<()> {
        let wrapped: Vec<Vec<&str>> = layout.iter().map(|(column, width)| wrap(&row[*column].text, *width)).collect();
        let height = wrapped.iter().map(Vec::len).max().unwrap_or_default();
        for index in 0..height {
            let mut line = " ".repeat(indent);
            // Blanks are written before what comes after them, so that no line ends with one.
            let mut blanks = 0;
            for ((column, width), lines) in layout.iter().zip(&wrapped) {
                let text = lines.get(index).copied().unwrap_or_default();
                if !text.is_empty() {
                    line.extend(std::iter::repeat_n(' ', blanks));
                    blanks = 0;
                    line.push_str(&if is_header {
                        self.paint.bold(text)
                    } else {
                        row[*column].paint(self.paint, text)
                    });
                }
                blanks += (width + GAP).saturating_sub(text.width());
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }

    /// Writes a block of lines for each row: its columns below each other.
    fn write_records(&self, out: &mut dyn Write, columns: &[usize], indent: usize, rows: &[&[Cell]]) -> io::Result<()> {
        let width = columns.iter().map(|column| self.columns[*column].name.width()).max().unwrap_or_default();
        for (index, row) in rows.iter().enumerate() {
            if index > 0 {
                writeln!(out)?;
            }
            for column in columns {
                let name = format!("{:<width$}", self.columns[*column].name);
                let cell = &row[*column];
                writeln!(out, "{:indent$}{}  {}", "", self.paint.bold(&name), cell.paint(self.paint, &cell.text))?;
            }
        }
        Ok(())
    }
}

/// Returns the parts of a text that may go to lines of their own: words, and entries of lists with the comma after them.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive([' ', ','])
}

/// Returns the lines of a text, none wider than `width` unless it is one word.
fn wrap(text: &str, width: usize) -> Vec<&str> {
    if text.width() <= width {
        return vec![text];
    }
    let mut lines = Vec::new();
    let (mut start, mut end) = (0, 0);
    for piece in pieces(text) {
        let next = end + piece.len();
        if end > start && text[start..next].trim_end().width() > width {
            lines.push(text[start..end].trim_end());
            start = end;
        }
        end = next;
    }
    lines.push(text[start..].trim_end());
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: fn() -> [Column; 4] = || {
        [
            Column::new("EFFECTIVE"),
            Column::new("SUBJECT").heading(),
            Column::new("IDENTITY"),
            Column::new("PLACE").optional(1),
        ]
    };

    fn rows() -> Vec<[Cell; 4]> {
        let row = |cells: [&str; 4]| cells.map(Cell::from);
        vec![
            row(["yes", "User/a", "users one,two,three", "deploy/rbac.yaml:1"]),
            row(["no: not bound", "User/b", "any users", "deploy/rbac.yaml:22"]),
            row(["yes", "User/a", "any groups", "deploy/rbac.yaml:3"]),
        ]
    }

    fn table(columns: Option<usize>) -> String {
        let mut out = Vec::new();
        write_table(&mut out, Style { columns, ..Style::default() }, COLUMNS(), rows()).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_pipe_gets_everything_on_one_line_a_row() {
        let expected = "\
EFFECTIVE       SUBJECT   IDENTITY              PLACE
yes             User/a    users one,two,three   deploy/rbac.yaml:1
no: not bound   User/b    any users             deploy/rbac.yaml:22
yes             User/a    any groups            deploy/rbac.yaml:3
";
        assert_eq!([table(None), table(Some(200))], [expected, expected]);
    }

    #[test]
    fn cells_are_wrapped_before_anything_is_left_out() {
        let expected = "\
EFFECTIVE    SUBJECT   IDENTITY     PLACE
yes          User/a    users one,   deploy/rbac.yaml:1
                       two,three
no: not      User/b    any users    deploy/rbac.yaml:22
bound
yes          User/a    any groups   deploy/rbac.yaml:3
";
        assert_eq!(table(Some(55)), expected);
    }

    #[test]
    fn narrow_tables_have_headings_and_leave_out_what_matters_least() {
        let expected = "\
User/a
  EFFECTIVE   IDENTITY
  yes         users one,
              two,three
  yes         any groups

User/b
  EFFECTIVE     IDENTITY
  no: not       any users
  bound
column left out: PLACE (a
wider terminal or a pipe
shows all)
";
        assert_eq!(table(Some(25)), expected);
    }

    #[test]
    fn names_are_never_broken() {
        let name = "system:node:cold-a1.prod-eu.tidewater.example";
        let rows = vec![["yes", "User/a", name, "a.yaml:1"].map(Cell::from)];
        let mut out = Vec::new();
        write_table(&mut out, Style::of_terminal(40), COLUMNS(), rows).unwrap();
        let out = String::from_utf8(out).unwrap();
        assert_eq!(out, format!("User/a\n  EFFECTIVE  yes\n  IDENTITY   {name}\n  PLACE      a.yaml:1\n"));
    }

    #[test]
    fn colours_and_wide_characters_do_not_move_columns() {
        let rows = vec![
            [Cell::new("yes", Tone::Danger), Cell::from("字")],
            [Cell::new("no", Tone::Quiet), Cell::from("b").linked(Some("https://example.com".to_owned()))],
        ];
        let style = Style { colour: true, links: true, ..Style::of_terminal(80) };
        let mut out = Vec::new();
        write_table(&mut out, style, [Column::new("A"), Column::new("B")], rows).unwrap();
        let plain = anstream::adapter::strip_bytes(&out).into_vec();
        assert_eq!(String::from_utf8(plain).unwrap(), "A     B\nyes   字\nno    b\n");
        assert!(String::from_utf8(out).unwrap().contains("\u{1b}[31myes\u{1b}[0m"));
    }
}
