//! The lines around a place, made safe to show.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;

use super::escape::escape_except;
use crate::inventory::Inventory;
use crate::syntax::Place;

/// Lines kept before and after a marked one.
const CONTEXT: usize = 1;
/// Places this many lines apart are shown together.
const NEAR: u32 = 6;
/// Bytes that places on one line may be apart to be shown together.
const SAME_LINE: u64 = 120;
/// Longest line that is shown whole, in bytes; of a longer one, the surroundings of the marks.
const LONG_LINE: usize = 200;
/// How much is shown of a long line before and after its marks, in bytes.
const SURROUNDINGS: usize = 50;
/// Bytes read before and after a place. What does not fit is cut: a line may be as long as the file.
const WINDOW: u64 = 600;

/// A few lines of a file with marked places in them. The text is escaped, so its offsets are not those of the file.
#[derive(Debug)]
pub(super) struct Excerpt {
    /// The lines.
    pub(super) text: String,
    /// Line of the first character, from 1.
    pub(super) line: u32,
    /// The range in `text` of each marked place, in the order of the places asked for.
    pub(super) marks: Vec<Range<usize>>,
}

/// Cuts the lines around `places` out of a file, together where they are near each other. Yields the indices of the
/// places that each excerpt shows. A file that cannot be read any more has none.
pub(super) fn excerpts(inventory: &Inventory, path: &str, places: &[Place]) -> Vec<(Excerpt, Vec<usize>)> {
    let mut order: Vec<usize> = (0..places.len()).collect();
    order.sort_by_key(|index| places[*index]);
    let together = |a: &usize, b: &usize| {
        let (a, b) = (&places[*a], &places[*b]);
        // On a long line, few lines may be many bytes.
        let apart = u64::from(b.offset.saturating_sub(a.end()));
        b.line.saturating_sub(a.end_line) <= NEAR && apart <= if a.line == b.line { SAME_LINE } else { WINDOW }
    };
    order
        .chunk_by(together)
        .filter_map(|group| {
            let chosen: Vec<Place> = group.iter().map(|index| places[*index]).collect();
            Some((excerpt(inventory, path, &chosen)?, group.to_vec()))
        })
        .collect()
}

/// Cuts out the lines around places that are sorted and near each other.
fn excerpt(inventory: &Inventory, path: &str, places: &[Place]) -> Option<Excerpt> {
    let (first, last) = (places.first()?, places.iter().max_by_key(|place| place.end())?);
    let start = u64::from(first.offset).saturating_sub(WINDOW);
    // A place may be a whole document; its beginning is what is shown.
    let end = u64::from(last.end().min(last.offset.saturating_add(WINDOW as u32))) + WINDOW;
    let bytes = window(inventory, path, start, end)?;
    let at = |offset: u32| (u64::from(offset) - start) as usize;
    let (from, lines_before) = first_shown(&bytes, at(first.offset).min(bytes.len()), start == 0);
    let until = last_shown(&bytes, at(last.offset).min(bytes.len()));
    let (from, until, lines_before) = match cut(&bytes, from, until, at(first.offset), at(last.end())) {
        Some((from, until)) => (from, until, 0),
        None => (from, until, lines_before),
    };
    let shown = bytes.get(from..until)?;
    let mut text = String::new();
    let cut_before = from > 0 && !is_break(&bytes, from - 1);
    if cut_before {
        text.push('…');
    }
    let mut marks = Vec::new();
    let mut done = 0;
    for place in places {
        // Places may overlap where an alias stands for them.
        let (begin, finish) =
            (at(place.offset).checked_sub(from)?.max(done), at(place.end()).checked_sub(from)?.max(done));
        text.push_str(&safe(shown.get(done..begin)?));
        let offset = text.len();
        let finish = finish.min(shown.len());
        text.push_str(&safe(shown.get(begin..finish)?));
        done = finish;
        marks.push(offset..text.len());
    }
    text.push_str(&safe(shown.get(done..)?));
    if bytes.get(until).is_some_and(|_| !is_break(&bytes, until) && bytes.get(until) != Some(&b'\r')) {
        text.push('…');
    }
    Some(Excerpt { text, line: first.line - lines_before, marks })
}

/// What to show instead of `from..until` if there is a long line in it: the surroundings of the marks, which begin at
/// `first` and end at `last`, on their own lines.
fn cut(bytes: &[u8], from: usize, until: usize, first: usize, last: usize) -> Option<(usize, usize)> {
    let shown = bytes.get(from..until)?;
    if shown.split(|byte| *byte == b'\n').all(|line| line.len() <= LONG_LINE) {
        return None;
    }
    let last = last.clamp(first, until);
    let starts = |index: &usize| bytes.get(*index).is_none_or(|byte| byte & 0xC0 != 0x80);
    let line_start = (from..first).rev().find(|index| is_break(bytes, *index)).map_or(from, |index| index + 1);
    let line_end = (last..until).find(|index| is_break(bytes, *index)).unwrap_or(until);
    let before = first.saturating_sub(SURROUNDINGS).max(line_start);
    let after = (last + SURROUNDINGS).min(line_end);
    // Not in the middle of a character.
    let before = (before..=first).find(starts)?;
    let after = (after..=line_end).find(starts)?;
    Some((before, after))
}

/// Bytes `start..end` of a file, or of what was read from a stream.
fn window(inventory: &Inventory, path: &str, start: u64, end: u64) -> Option<Vec<u8>> {
    if let Some(bytes) = inventory.streams.get(path) {
        let end = bytes.len().min(usize::try_from(end).ok()?);
        return bytes.get(usize::try_from(start).ok()?..end).map(<[u8]>::to_vec);
    }
    let mut file = File::open(path).ok()?;
    file.seek(SeekFrom::Start(start)).ok()?;
    let mut bytes = Vec::new();
    file.take(end - start).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// Where to start showing before `at`: at the line break before the context, or where the window was cut. Also how many
/// line breaks lie between.
fn first_shown(bytes: &[u8], at: usize, whole: bool) -> (usize, u32) {
    let mut breaks = 0;
    let mut from = 0;
    for index in (0..at).rev() {
        if is_break(bytes, index) {
            if breaks as usize == CONTEXT {
                from = index + 1;
                break;
            }
            breaks += 1;
        }
    }
    if from == 0 && !whole {
        // The first line of the window may be cut in the middle of a character.
        from = (0..at).find(|index| bytes.get(*index).is_some_and(|byte| byte & 0xC0 != 0x80)).unwrap_or(at);
    }
    (from, breaks)
}

fn last_shown(bytes: &[u8], at: usize) -> usize {
    let mut breaks = (at..bytes.len()).filter(|index| is_break(bytes, *index));
    breaks.nth(CONTEXT).unwrap_or(bytes.len())
}

/// Whether a line ends at this byte: LF, or CR without LF behind it.
fn is_break(bytes: &[u8], index: usize) -> bool {
    match bytes.get(index) {
        Some(b'\n') => true,
        Some(b'\r') => bytes.get(index + 1) != Some(&b'\n'),
        _ => false,
    }
}

fn safe(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes).replace("\r\n", "\n").replace('\r', "\n");
    escape_except(&text, "\n\t").into_owned()
}
