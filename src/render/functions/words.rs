//! Functions on text that make another text of it.

use super::{Arguments, Outcome, text_of};

/// Whether a word ends with a character, as Go's `strings.Title` sees it.
fn separates(c: char) -> bool {
    if c.is_ascii() { !c.is_ascii_alphanumeric() && c != '_' } else { c.is_whitespace() }
}

pub(super) fn title(arguments: &Arguments<'_>) -> Outcome {
    let mut begins = true;
    let text = arguments.str(0)?.chars().map(|c| {
        let changed = if begins { c.to_uppercase().next().unwrap_or(c) } else { c };
        begins = separates(c);
        changed
    });
    Ok(text.collect::<String>().into())
}

pub(super) fn untitle(arguments: &Arguments<'_>) -> Outcome {
    let mut begins = true;
    let text = arguments.str(0)?.chars().map(|c| {
        let changed = if begins && !c.is_whitespace() { c.to_lowercase().next().unwrap_or(c) } else { c };
        begins = c == ' ';
        changed
    });
    Ok(text.collect::<String>().into())
}

pub(super) fn swapcase(arguments: &Arguments<'_>) -> Outcome {
    let text = arguments.str(0)?.chars().map(|c| {
        let swapped = if c.is_uppercase() { c.to_lowercase().next() } else { c.to_uppercase().next() };
        swapped.unwrap_or(c)
    });
    Ok(text.collect::<String>().into())
}

pub(super) fn nospace(arguments: &Arguments<'_>) -> Outcome {
    Ok(arguments.str(0)?.chars().filter(|c| !c.is_whitespace()).collect::<String>().into())
}

pub(super) fn initials(arguments: &Arguments<'_>) -> Outcome {
    let words = arguments.str(0)?.split_whitespace();
    Ok(words.filter_map(|word| word.chars().next()).collect::<String>().into())
}

pub(super) fn abbrev(arguments: &Arguments<'_>) -> Outcome {
    let width = arguments.int(0)?;
    let text = arguments.str(1)?;
    Ok(abbreviated(text, 0, width).into())
}

pub(super) fn abbrevboth(arguments: &Arguments<'_>) -> Outcome {
    let (left, right) = (arguments.int(0)?, arguments.int(1)?);
    let text = arguments.str(2)?;
    if right < 4 || left > 0 && right < 7 {
        return Ok(text.into());
    }
    Ok(abbreviated(text, left, right).into())
}

fn abbreviated(text: &str, offset: i64, width: i64) -> String {
    let length = i64::try_from(text.len()).unwrap_or(i64::MAX);
    let slice = |from: i64, to: i64| {
        let at = |at: i64| usize::try_from(at).unwrap_or_default().min(text.len());
        text.get(at(from)..at(to)).unwrap_or_default().to_owned()
    };
    if width < 4 || length <= width {
        return text.to_owned();
    }
    let mut offset = offset.min(length);
    if length - offset < width - 3 {
        offset = length - (width - 3);
    }
    if offset <= 4 {
        return format!("{}...", slice(0, width - 3));
    }
    if width < 7 {
        return text.to_owned();
    }
    if offset + width - 3 < length {
        return format!("...{}", abbreviated(&slice(offset, length), 0, width - 3));
    }
    format!("...{}", slice(length - (width - 3), length))
}

/// Words with something between them: where case changes, at blanks and punctuation, and before numbers with a unit.
fn connected(text: &str, connector: char) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut result = String::new();
    let mut in_number = false;
    for (index, &c) in chars.iter().enumerate() {
        let previous = index.checked_sub(1).and_then(|index| chars.get(index)).copied();
        let next = chars.get(index + 1).copied();
        if matches!(c, '_' | '-' | '.') || c.is_whitespace() {
            if !result.is_empty() && !result.ends_with(connector) {
                result.push(connector);
            }
            in_number = false;
            continue;
        }
        let begins = if c.is_uppercase() {
            let after_other = previous.is_some_and(|p| p.is_lowercase() || p.is_ascii_digit());
            after_other || previous.is_some_and(char::is_uppercase) && next.is_some_and(char::is_lowercase)
        } else {
            let unit = chars[index..].iter().find(|c| !c.is_ascii_digit());
            c.is_ascii_digit()
                && !in_number
                && previous.is_some_and(char::is_alphabetic)
                && unit.is_some_and(|c| c.is_lowercase())
        };
        if begins && !result.ends_with(connector) {
            result.push(connector);
        }
        in_number = if begins || result.is_empty() { c.is_ascii_digit() } else { in_number };
        result.extend(c.to_lowercase());
    }
    result
}

pub(super) fn snakecase(arguments: &Arguments<'_>) -> Outcome {
    Ok(connected(arguments.str(0)?, '_').into())
}

pub(super) fn kebabcase(arguments: &Arguments<'_>) -> Outcome {
    Ok(connected(arguments.str(0)?, '-').into())
}

pub(super) fn camelcase(arguments: &Arguments<'_>) -> Outcome {
    let mut result = String::new();
    let mut previous = ' ';
    for c in arguments.str(0)?.chars() {
        let is_between = |c: char| matches!(c, '_' | '-' | '.') || c.is_whitespace();
        if !is_between(c) {
            if is_between(previous) {
                result.extend(c.to_uppercase());
            } else if previous.is_uppercase() {
                result.extend(c.to_lowercase());
            } else {
                result.push(c);
            }
        }
        previous = c;
    }
    Ok(result.into())
}

pub(super) fn wrap(arguments: &Arguments<'_>) -> Outcome {
    let width = arguments.int(0)?;
    Ok(wrapped(arguments.str(1)?, width, "\n", false).into())
}

pub(super) fn wrap_with(arguments: &Arguments<'_>) -> Outcome {
    let width = arguments.int(0)?;
    Ok(wrapped(arguments.str(2)?, width, arguments.str(1)?, true).into())
}

fn wrapped(text: &str, width: i64, separator: &str, breaks_words: bool) -> String {
    let width = usize::try_from(width).unwrap_or(1).max(1);
    let separator = if separator.is_empty() { "\n" } else { separator };
    let chars: Vec<char> = text.chars().collect();
    let mut result = String::new();
    let mut at = 0;
    while chars.len() - at > width {
        if chars[at] == ' ' {
            at += 1;
            continue;
        }
        let end = at + width;
        let space = (at..=end).rev().find(|index| chars.get(*index) == Some(&' '));
        if let Some(space) = space.filter(|space| *space >= at) {
            result.extend(&chars[at..space]);
            result.push_str(separator);
            at = space + 1;
        } else if breaks_words {
            result.extend(&chars[at..end]);
            result.push_str(separator);
            at = end;
        } else if let Some(space) = (end..chars.len()).find(|index| chars[*index] == ' ') {
            result.extend(&chars[at..space]);
            result.push_str(separator);
            at = space + 1;
        } else {
            break;
        }
    }
    result.extend(&chars[at.min(chars.len())..]);
    result
}

pub(super) fn plural(arguments: &Arguments<'_>) -> Outcome {
    let index = if arguments.int(2)? == 1 { 0 } else { 1 };
    arguments.str(index)?;
    Ok(arguments.value(index).clone())
}

/// `html`, `js` and `urlquery` of Go's own.
pub(super) fn html(arguments: &Arguments<'_>) -> Outcome {
    let text = joined(arguments);
    let mut result = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => result.push_str("&#34;"),
            '\'' => result.push_str("&#39;"),
            '&' => result.push_str("&amp;"),
            '<' => result.push_str("&lt;"),
            '>' => result.push_str("&gt;"),
            '\0' => result.push('\u{fffd}'),
            c => result.push(c),
        }
    }
    Ok(result.into())
}

pub(super) fn js(arguments: &Arguments<'_>) -> Outcome {
    let mut result = String::new();
    for c in joined(arguments).chars() {
        match c {
            '\\' => result.push_str("\\\\"),
            '\'' => result.push_str("\\'"),
            '"' => result.push_str("\\\""),
            '<' | '>' | '&' | '=' => result.push_str(&format!("\\u{:04X}", u32::from(c))),
            c if u32::from(c) < 0x20 => result.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => result.push(c),
        }
    }
    Ok(result.into())
}

pub(super) fn urlquery(arguments: &Arguments<'_>) -> Outcome {
    let mut result = String::new();
    for byte in joined(arguments).bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => result.push(char::from(byte)),
            b' ' => result.push('+'),
            byte => result.push_str(&format!("%{byte:02X}")),
        }
    }
    Ok(result.into())
}

fn joined(arguments: &Arguments<'_>) -> String {
    if let [value] = arguments.all() {
        return text_of(value).text;
    }
    let printed = super::strings::print(arguments);
    printed.ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

pub(super) fn hello(_: &Arguments<'_>) -> Outcome {
    Ok("Hello!".into())
}

pub(super) fn empty(_: &Arguments<'_>) -> Outcome {
    Ok("".into())
}

#[cfg(test)]
mod tests {
    use super::super::super::text::Origin;
    use super::super::super::value::Value;
    use super::*;

    fn run(function: fn(&Arguments<'_>) -> Outcome, text: &str) -> String {
        let values = [Value::from(text)];
        let result = function(&Arguments::new(&values, Origin::NONE, 1 << 20)).unwrap();
        result.as_str().unwrap().to_owned()
    }

    #[test]
    fn words_are_those_that_helm_finds() {
        assert_eq!(run(title, "a-b c_d e.f it's"), "A-B C_d E.F It'S");
        assert_eq!(run(snakecase, "FirstName HTTPServer a1B2 fooBar9x"), "first_name_http_server_a1_b2_foo_bar_9x");
        assert_eq!(run(snakecase, "Duration2m3s Bld4Floor3rd"), "duration_2m3s_bld4_floor_3rd");
        assert_eq!(run(kebabcase, "FirstName HTTPServer a1B2 foo_bar"), "first-name-http-server-a1-b2-foo-bar");
        assert_eq!(run(camelcase, "http_server-x foo bar9x HTTPServer"), "HttpServerXFooBar9xHttpserver");
        assert_eq!(run(swapcase, "aBc Def"), "AbC dEF");
    }

    #[test]
    fn texts_are_wrapped_and_abbreviated() {
        let values = [Value::int(5), "one two three".into()];
        let arguments = Arguments::new(&values, Origin::NONE, 1 << 20);
        assert_eq!(wrap(&arguments).unwrap().as_str(), Some("one\ntwo\nthree"));
        assert_eq!(abbrev(&arguments).unwrap().as_str(), Some("on..."));
    }
}
