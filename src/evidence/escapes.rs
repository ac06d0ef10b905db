//! JSON that is written as part of another text: with escaped quotes, with doubled ones as in CSV, or as in XML.

/// How far after a bracket the first quote may be, in bytes.
const MAX_BLANK: usize = 64;

/// What a piece of text says without its escapes.
pub(super) struct Unescaped {
    pub(super) text: String,
    /// Whether quotes were doubled.
    pub(super) is_csv: bool,
}

/// Removes one layer of escapes from what starts at a bracket, to the quote that ends it. Returns that and where it ends;
/// none if nothing is escaped there.
pub(super) fn unescape(text: &str, start: usize) -> Option<(Unescaped, usize)> {
    let inner = text.get(start..)?;
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b'[' | b'{');
    let blank = inner.bytes().take(MAX_BLANK).take_while(is_blank).count();
    let first = inner.get(blank..)?;
    let (unescaped, length) = if is_escaped(first) {
        without_backslashes(inner)
    } else if let Some(key) = first.strip_prefix("\"\"") {
        // An empty key is followed by a colon.
        if !key.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '@')) {
            return None;
        }
        let (text, length) = without_doubled_quotes(inner);
        return Some((Unescaped { text, is_csv: true }, start + length));
    } else if first.starts_with("&quot;") || first.starts_with("&#34;") {
        without_entities(inner)
    } else {
        return None;
    };
    Some((Unescaped { text: unescaped, is_csv: false }, start + length))
}

/// Reports whether a quote follows with backslashes before it, or line breaks that are escaped.
fn is_escaped(text: &str) -> bool {
    let rest = text.trim_start_matches('\\');
    rest.len() < text.len() && rest.starts_with(['"', 'n', 'r', 't', 'u'])
}

fn without_backslashes(text: &str) -> (String, usize) {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['\\', '"']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let mut chars = rest.chars();
        if chars.next() == Some('"') {
            break;
        }
        let escaped = chars.next();
        rest = chars.as_str();
        match escaped {
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('u') => rest = push_unicode(rest, &mut out),
            Some(other) => out.push(other),
            None => {}
        }
    }
    if !rest.starts_with('"') {
        out.push_str(rest);
        rest = "";
    }
    (out, text.len() - rest.len())
}

/// Appends the character of the four digits after `\u`, and of a second escape if it takes two. Returns what follows.
fn push_unicode<'t>(rest: &'t str, out: &mut String) -> &'t str {
    let unit = |text: &str| text.get(..4).and_then(|digits| u16::from_str_radix(digits, 16).ok());
    let Some(first) = unit(rest) else { return rest };
    let rest = rest.get(4..).unwrap_or_default();
    let second = rest.strip_prefix("\\u").and_then(unit);
    match char::decode_utf16([first]).next() {
        Some(Ok(c)) => out.push(c),
        _ => {
            if let Some(Ok(c)) = second.and_then(|second| char::decode_utf16([first, second]).next()) {
                out.push(c);
                return rest.get(6..).unwrap_or_default();
            }
            out.push(char::REPLACEMENT_CHARACTER);
        }
    }
    rest
}

fn without_doubled_quotes(text: &str) -> (String, usize) {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('"') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        match rest.strip_prefix("\"\"") {
            Some(after) => {
                out.push('"');
                rest = after;
            }
            None => return (out, text.len() - rest.len()),
        }
    }
    out.push_str(rest);
    (out, text.len())
}

fn without_entities(text: &str) -> (String, usize) {
    let (inner, _) = text.split_once('<').unwrap_or((text, ""));
    let entities = [("&quot;", "\""), ("&#34;", "\""), ("&lt;", "<"), ("&gt;", ">"), ("&apos;", "'"), ("&#39;", "'")];
    let plain = entities.iter().fold(inner.to_owned(), |text, (entity, char)| text.replace(entity, char));
    (plain.replace("&amp;", "&"), inner.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unescaped(text: &str) -> Option<(String, &str)> {
        let start = text.find('{').unwrap();
        unescape(text, start).map(|(inner, end)| (inner.text, &text[end..]))
    }

    #[test]
    fn one_layer_is_removed() {
        let json = "{\"a\":\"x\\\"y\\n\",\"b\":\"größe 🐼\"}";
        let escaped = serde_json::to_string(json).unwrap();
        assert_eq!(unescaped(&format!("msg={escaped} more")), Some((json.to_owned(), "\" more")));
        let twice = serde_json::to_string(&escaped).unwrap();
        assert_eq!(unescaped(&twice).unwrap().0, escaped[1..]);
        let csv = format!("x,\"{}\",y", json.replace('"', "\"\""));
        assert_eq!(unescaped(&csv), Some((json.to_owned(), "\",y")));
        let xml = format!("<v>{}</v>", json.replace('"', "&quot;"));
        assert_eq!(unescaped(&xml), Some((json.to_owned(), "</v>")));
        assert_eq!(unescaped("{\\u0022a\\u0022:\\u0022\\ud83d\\udc3c\\u0022}").unwrap().0, "{\"a\":\"🐼\"}");
    }

    #[test]
    fn what_is_not_escaped_stays() {
        for text in ["{\"a\":1}", "{}", "{\"\":1}", "{", "{x\\", "{\n  \"a\": \"\\\"\"}"] {
            assert!(unescaped(text).is_none(), "{text}");
        }
    }
}
