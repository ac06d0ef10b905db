//! Functions on text that keep the places of its bytes where they can.

use super::super::text::{GuardId, Marked, Origin, Shape};
use super::super::value::{Element, Kind, Map, Value};
use super::{Arguments, Outcome, printer, text_of};

/// A part of a text, with its marks.
fn part(text: &Marked, range: std::ops::Range<usize>) -> Value {
    let mut marked = Marked::default();
    marked.append_range(text, range);
    marked.into()
}

/// Bytes as Go slices them: not in the middle of a character here, since text is UTF-8.
fn boundary(text: &str, mut at: usize) -> usize {
    at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

pub(super) fn print(arguments: &Arguments<'_>) -> Outcome {
    let mut into = Marked::default();
    let mut printer = printer(&mut into, arguments.origin);
    let mut previous_is_text = true;
    for (index, value) in arguments.all().iter().enumerate() {
        let is_text = value.as_str().is_some();
        // Blanks are added between operands when neither is a string.
        if index > 0 && !is_text && !previous_is_text {
            printer.value(&" ".into());
        }
        printer.value(value);
        previous_is_text = is_text;
    }
    Ok(into.into())
}

pub(super) fn println(arguments: &Arguments<'_>) -> Outcome {
    let mut into = Marked::default();
    let mut printer = printer(&mut into, arguments.origin);
    for (index, value) in arguments.all().iter().enumerate() {
        if index > 0 {
            printer.value(&" ".into());
        }
        printer.value(value);
    }
    printer.value(&"\n".into());
    Ok(into.into())
}

pub(super) fn printf(arguments: &Arguments<'_>) -> Outcome {
    let format = arguments.marked(0)?;
    let mut into = Marked::default();
    printer(&mut into, arguments.origin).format(&format, arguments.from(1));
    Ok(into.into())
}

pub(super) fn to_string(arguments: &Arguments<'_>) -> Outcome {
    Ok(text_of(arguments.value(0)).into())
}

pub(super) fn quote(arguments: &Arguments<'_>) -> Outcome {
    join_quoted(arguments, |into, value| {
        let text = text_of(value);
        printer(into, value.origin).quoted(&text);
    })
}

pub(super) fn squote(arguments: &Arguments<'_>) -> Outcome {
    join_quoted(arguments, |into, value| {
        into.push("'", Origin::NONE, GuardId::default(), None);
        printer(into, value.origin).value(value);
        into.push("'", Origin::NONE, GuardId::default(), None);
    })
}

fn join_quoted(arguments: &Arguments<'_>, quote: impl Fn(&mut Marked, &Value)) -> Outcome {
    let mut into = Marked::default();
    for value in arguments.all().iter().filter(|value| !value.is_nil()) {
        if !into.text.is_empty() {
            into.push(" ", Origin::NONE, GuardId::default(), None);
        }
        quote(&mut into, value);
    }
    Ok(into.into())
}

pub(super) fn cat(arguments: &Arguments<'_>) -> Outcome {
    let mut into = Marked::default();
    for (index, value) in arguments.all().iter().filter(|value| !value.is_nil()).enumerate() {
        if index > 0 {
            into.push(" ", Origin::NONE, GuardId::default(), None);
        }
        printer(&mut into, arguments.origin).value(value);
    }
    Ok(into.into())
}

fn indented(arguments: &Arguments<'_>) -> Result<Marked, String> {
    let spaces = arguments.count(0)?;
    let text = arguments.marked(1)?;
    let lines = text.text.bytes().filter(|b| *b == b'\n').count() + 1;
    arguments.charge(text.text.len().saturating_add(lines.saturating_mul(spaces)))?;
    Ok(text.indent(&" ".repeat(spaces)))
}

pub(super) fn indent(arguments: &Arguments<'_>) -> Outcome {
    Ok(indented(arguments)?.into())
}

pub(super) fn nindent(arguments: &Arguments<'_>) -> Outcome {
    let mut into = Marked::default();
    into.push("\n", Origin::NONE, GuardId::default(), None);
    into.append(&indented(arguments)?, Origin::NONE, GuardId::default());
    Ok(into.into())
}

pub(super) fn trim(arguments: &Arguments<'_>) -> Outcome {
    trimmed(arguments, 0, |text| (text.len() - text.trim_start().len(), text.trim_end().len()))
}

/// Takes from both ends; the function says where what stays begins and ends.
fn trimmed(arguments: &Arguments<'_>, index: usize, ends: impl Fn(&str) -> (usize, usize)) -> Outcome {
    let text = arguments.marked(index)?;
    let (start, end) = ends(&text.text);
    Ok(part(&text, start..end.max(start)))
}

pub(super) fn trim_all(arguments: &Arguments<'_>) -> Outcome {
    let set = arguments.str(0)?;
    trimmed(arguments, 1, |text| {
        let start = text.len() - text.trim_start_matches(|c| set.contains(c)).len();
        (start, text.trim_end_matches(|c| set.contains(c)).len())
    })
}

pub(super) fn trim_suffix(arguments: &Arguments<'_>) -> Outcome {
    let suffix = arguments.str(0)?;
    trimmed(arguments, 1, |text| (0, text.strip_suffix(suffix).unwrap_or(text).len()))
}

pub(super) fn trim_prefix(arguments: &Arguments<'_>) -> Outcome {
    let prefix = arguments.str(0)?;
    trimmed(arguments, 1, |text| (text.len() - text.strip_prefix(prefix).unwrap_or(text).len(), text.len()))
}

pub(super) fn trunc(arguments: &Arguments<'_>) -> Outcome {
    let count = arguments.int(0)?;
    trimmed(arguments, 1, |text| {
        let size = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
        if count < 0 && text.len() > size {
            (boundary(text, text.len() - size), text.len())
        } else if count >= 0 && text.len() > size {
            (0, boundary(text, size))
        } else {
            (0, text.len())
        }
    })
}

pub(super) fn substr(arguments: &Arguments<'_>) -> Outcome {
    let (start, end) = (arguments.int(0)?, arguments.int(1)?);
    let text = arguments.marked(2)?;
    let length = i64::try_from(text.text.len()).unwrap_or(i64::MAX);
    let (start, end) = if start < 0 {
        (0, end)
    } else if end < 0 || end > length {
        (start, length)
    } else {
        (start, end)
    };
    if end < start || end > length || end < 0 {
        return Err("slice bounds out of range".to_owned());
    }
    let at = |at: i64| boundary(&text.text, usize::try_from(at).unwrap_or_default());
    Ok(part(&text, at(start)..at(end)))
}

pub(super) fn replace(arguments: &Arguments<'_>) -> Outcome {
    let (old, new) = (arguments.str(0)?, arguments.str(1)?);
    let text = arguments.marked(2)?;
    if let Some(shape) = arguments.all().iter().filter_map(Value::shape).max() {
        // What is replaced in a part that is not known is not known either.
        let replaced = text.text.replace(old, new);
        let shape = if new.contains('\n') { Shape::Text } else { shape };
        return Ok(Value::from(replaced).at(arguments.value(2).origin).unknown(shape));
    }
    let found = text.text.matches(old).count();
    arguments.charge(text.text.len().saturating_add(found.saturating_mul(new.len())))?;
    if old.is_empty() {
        return Ok(Value::from(text.text.replace(old, new)).at(arguments.value(2).origin));
    }
    Ok(text.replace(old, new).into())
}

pub(super) fn repeat(arguments: &Arguments<'_>) -> Outcome {
    let count = arguments.count(0)?;
    let text = arguments.str(1)?;
    arguments.charge(text.len().saturating_mul(count))?;
    Ok(text.repeat(count).into())
}

fn cased(arguments: &Arguments<'_>, change: impl Fn(&str) -> String) -> Outcome {
    let text = arguments.marked(0)?;
    Ok(match text.map(&change) {
        Some(text) => text.into(),
        None => {
            let value = Value::from(change(&text.text)).at(arguments.value(0).origin);
            match arguments.value(0).shape() {
                Some(shape) => value.unknown(shape),
                None => value,
            }
        }
    })
}

pub(super) fn upper(arguments: &Arguments<'_>) -> Outcome {
    cased(arguments, str::to_uppercase)
}

pub(super) fn lower(arguments: &Arguments<'_>) -> Outcome {
    cased(arguments, str::to_lowercase)
}

/// The texts of a list, as Sprig's `toStrings` makes them.
pub(super) fn texts_of(value: &Value) -> Vec<Marked> {
    match super::list_of(value) {
        Some(list) => list.items.iter().filter(|item| !item.is_nil()).map(text_of).collect(),
        None if value.is_nil() => Vec::new(),
        None => vec![text_of(value)],
    }
}

pub(super) fn join(arguments: &Arguments<'_>) -> Outcome {
    let separator = arguments.marked(0)?;
    let mut into = Marked::default();
    let unknown = arguments.value(1).shape().filter(|_| arguments.value(1).as_str().is_none());
    for (index, text) in texts_of(arguments.value(1)).iter().enumerate() {
        if index > 0 {
            into.append(&separator, arguments.origin, GuardId::default());
        }
        arguments.charge(into.text.len().saturating_add(text.text.len()))?;
        into.append(text, arguments.origin, GuardId::default());
    }
    let value = Value::from(into);
    Ok(match unknown {
        Some(shape) => value.at(arguments.origin).unknown(shape),
        None => value,
    })
}

pub(super) fn to_strings(arguments: &Arguments<'_>) -> Outcome {
    Ok(Value::texts(texts_of(arguments.value(0)).into_iter().map(Value::from)))
}

fn pieces(text: &Marked, separator: &str, most: Option<usize>) -> Vec<Value> {
    let mut found = Vec::new();
    if separator.is_empty() {
        for (at, c) in text.text.char_indices() {
            found.push(part(text, at..at + c.len_utf8()));
        }
        return found;
    }
    let mut at = 0;
    for (start, _) in text.text.match_indices(separator) {
        if most.is_some_and(|most| found.len() + 1 >= most) {
            break;
        }
        found.push(part(text, at..start));
        at = start + separator.len();
    }
    found.push(part(text, at..text.text.len()));
    found
}

pub(super) fn split_list(arguments: &Arguments<'_>) -> Outcome {
    let list = Value::texts(pieces(&arguments.marked(1)?, arguments.str(0)?, None));
    Ok(unknown_extent(list, arguments.value(1)))
}

/// A list that was cut out of a text, some of which is not known, may be longer.
fn unknown_extent(list: Value, text: &Value) -> Value {
    if text.shape().is_some() { list.unknown(Shape::Any) } else { list }
}

fn numbered(pieces: Vec<Value>) -> Value {
    let map = Map::of(Element::Text);
    for (index, piece) in pieces.into_iter().enumerate() {
        map.insert(format!("_{index}"), Origin::NONE, piece);
    }
    map.into()
}

pub(super) fn split(arguments: &Arguments<'_>) -> Outcome {
    let map = numbered(pieces(&arguments.marked(1)?, arguments.str(0)?, None));
    Ok(unknown_extent(map, arguments.value(1)))
}

pub(super) fn splitn(arguments: &Arguments<'_>) -> Outcome {
    let most = arguments.int(1)?;
    let found = match usize::try_from(most) {
        Ok(0) => Vec::new(),
        Ok(most) => pieces(&arguments.marked(2)?, arguments.str(0)?, Some(most)),
        Err(_) => pieces(&arguments.marked(2)?, arguments.str(0)?, None),
    };
    Ok(unknown_extent(numbered(found), arguments.value(2)))
}

pub(super) fn contains(arguments: &Arguments<'_>) -> Outcome {
    Ok(arguments.str(1)?.contains(arguments.str(0)?).into())
}

pub(super) fn has_prefix(arguments: &Arguments<'_>) -> Outcome {
    Ok(arguments.str(1)?.starts_with(arguments.str(0)?).into())
}

pub(super) fn has_suffix(arguments: &Arguments<'_>) -> Outcome {
    Ok(arguments.str(1)?.ends_with(arguments.str(0)?).into())
}

/// `len`
pub(super) fn length(arguments: &Arguments<'_>) -> Outcome {
    let value = arguments.value(0);
    let length = match &value.kind {
        Kind::Text(text) => text.as_str().len(),
        Kind::Map(map) => map.len(),
        Kind::Object(super::super::object::Object::Files(files)) => files.len(),
        Kind::Nil | Kind::Null => return Err("len of nil pointer".to_owned()),
        _ => match super::list_of(value) {
            Some(list) => list.items.len(),
            None => return Err(format!("len of type {}", value.type_name())),
        },
    };
    Ok(Value::int(i64::try_from(length).unwrap_or(i64::MAX)))
}
