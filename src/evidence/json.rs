//! Where a JSON value ends, without reading it. The grammar is followed closely enough that what is no JSON is seen at
//! once, and nothing but a few numbers is kept.

/// How deep values may be nested. It is the bound of the parser that reads them, too.
const MAX_DEPTH: usize = 127;

/// How far a value goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// To here.
    Closed(usize),
    /// On, after the end of the text.
    Open {
        /// Whether it is an audit event, by its own keys so far.
        is_event: bool,
        /// Where the string begins that is open, too.
        string: Option<usize>,
    },
    /// It is no JSON from here on.
    Broken {
        at: usize,
        /// Whether it is an audit event, by its own keys so far.
        is_event: bool,
    },
}

/// What may come next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Value,
    ValueOrEnd,
    Key,
    KeyOrEnd,
    Colon,
    CommaOrEnd,
}

/// Open objects and arrays: a bit each.
#[derive(Default)]
struct Open {
    objects: u128,
    depth: usize,
}

impl Open {
    fn push(&mut self, is_object: bool) {
        self.objects = self.objects << 1 | u128::from(is_object);
        self.depth += 1;
    }

    fn pop(&mut self) {
        self.objects >>= 1;
        self.depth -= 1;
    }

    fn in_object(&self) -> bool {
        self.objects & 1 == 1
    }
}

/// Finds the end of the object or array that starts at `start`.
pub(super) fn extent(text: &[u8], start: usize) -> Extent {
    let mut open = Open::default();
    let mut next = Next::Value;
    let mut at = start;
    let mut is_event = false;
    loop {
        let Some(&byte) = text.get(at) else { return Extent::Open { is_event, string: None } };
        let broken = Extent::Broken { at, is_event };
        match (byte, next) {
            (b' ' | b'\t' | b'\n' | b'\r', _) => at += 1,
            (b'{' | b'[', Next::Value | Next::ValueOrEnd) => {
                if open.depth >= MAX_DEPTH {
                    return broken;
                }
                open.push(byte == b'{');
                next = if byte == b'{' { Next::KeyOrEnd } else { Next::ValueOrEnd };
                at += 1;
            }
            (b'}', Next::KeyOrEnd | Next::CommaOrEnd) if open.in_object() => {
                at += 1;
                next = Next::CommaOrEnd;
                open.pop();
            }
            (b']', Next::ValueOrEnd | Next::CommaOrEnd) if open.depth > 0 && !open.in_object() => {
                at += 1;
                next = Next::CommaOrEnd;
                open.pop();
            }
            (b',', Next::CommaOrEnd) => {
                next = if open.in_object() { Next::Key } else { Next::Value };
                at += 1;
            }
            (b':', Next::Colon) => {
                next = Next::Value;
                at += 1;
            }
            (b'"', Next::Key | Next::KeyOrEnd | Next::Value | Next::ValueOrEnd) => {
                let end = match string_end(text, at) {
                    Ok(Some(end)) => end,
                    Ok(None) => return Extent::Open { is_event, string: Some(at) },
                    Err(at) => return Extent::Broken { at, is_event },
                };
                let is_key = matches!(next, Next::Key | Next::KeyOrEnd);
                if is_key && open.depth == 1 {
                    is_event |= is_event_key(text.get(at + 1..end - 1).unwrap_or_default());
                }
                next = if is_key { Next::Colon } else { Next::CommaOrEnd };
                at = end;
            }
            (b't' | b'f' | b'n' | b'-' | b'0'..=b'9', Next::Value | Next::ValueOrEnd) => {
                let scalar = text.get(at..).unwrap_or_default();
                let is_part = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.');
                let length = scalar.iter().take_while(is_part).count();
                let scalar = scalar.get(..length).unwrap_or_default();
                if at + length < text.len() && !is_scalar(scalar) {
                    return broken;
                }
                next = Next::CommaOrEnd;
                at += length;
            }
            _ => return broken,
        }
        if open.depth == 0 {
            return if next == Next::CommaOrEnd { Extent::Closed(at) } else { broken };
        }
    }
}

fn is_scalar(text: &[u8]) -> bool {
    match text {
        b"true" | b"false" | b"null" => true,
        _ => std::str::from_utf8(text).is_ok_and(|text| text.parse::<f64>().is_ok()),
    }
}

/// Finds the end of a string that starts at `start`. None if the text ends before; an error is where a line ends in it,
/// which JSON does not allow.
fn string_end(text: &[u8], start: usize) -> Result<Option<usize>, usize> {
    let mut at = start + 1;
    loop {
        let Some(found) = text.get(at..).and_then(|rest| memchr::memchr3(b'"', b'\\', b'\n', rest)) else {
            return Ok(None);
        };
        at += found;
        match text.get(at) {
            Some(b'"') => return Ok(Some(at + 1)),
            Some(b'\\') => at += 2,
            _ => return Err(at),
        }
    }
}

/// Reports whether a key is one that audit events have, and little else.
fn is_event_key(key: &[u8]) -> bool {
    [b"auditID".as_slice(), b"requestURI"].into_iter().any(|known| key.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed(text: &str) -> Option<usize> {
        match extent(text.as_bytes(), 0) {
            Extent::Closed(end) => Some(end),
            _ => None,
        }
    }

    #[test]
    fn values_end_where_the_parser_says() {
        for text in [
            "{}",
            "[]",
            r#"{"a":[1,-2.5e3,true,null,"x\"}\\"],"b":{"c":{}}}"#,
            "[\n  {\"a\": 1}\r\n]",
            r#"[[[]],[{}]]"#,
        ] {
            assert!(serde_json::from_str::<serde_json::Value>(text).is_ok());
            assert_eq!(closed(&format!("{text} , rest")), Some(text.len()), "{text}");
            for cut in 1..text.len() {
                assert!(matches!(extent(&text.as_bytes()[..cut], 0), Extent::Open { .. }), "{}", &text[..cut]);
            }
        }
    }

    #[test]
    fn what_is_no_json_is_seen_where_it_begins() {
        for (text, at) in [
            ("{a:1}", 1),
            ("[2026-01-01] x", 1),
            ("[INFO]", 1),
            (r#"{"log"=>"{}"}"#, 6),
            (r#"{""kind""}"#, 3),
            (r#"{\"kind\"}"#, 1),
            ("{\"a\":\"x\ny\"}", 7),
            (r#"{"a":1{"b":2}}"#, 6),
            ("[1,]", 3),
            ("[}", 1),
            ("{]", 1),
        ] {
            let extent = extent(text.as_bytes(), 0);
            assert_eq!(extent, Extent::Broken { at, is_event: false }, "{text}");
        }
        assert!(matches!(extent("[".repeat(500).as_bytes(), 0), Extent::Broken { .. }));
    }

    #[test]
    fn an_event_is_known_by_its_own_keys() {
        let is_event = |text: &str| matches!(extent(text.as_bytes(), 0), Extent::Open { is_event: true, .. });
        assert!(is_event(r#"{"kind":"Event","auditID":"x","#) && is_event(r#"{"RequestUri":"/","#));
        assert!(!is_event(r#"{"kind":"Event","a":{"auditID":"x","#) && !is_event(r#"[{"auditID":"x","#));
    }
}
