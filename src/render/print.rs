//! Values as Go prints them: `%v`, `%q` and the other verbs of `printf`.

use std::fmt::Write as _;

use super::text::{GuardId, Marked, Origin, Shape, quote};
use super::value::{Certainty, IntType, Kind, Value};

/// How deep a value is printed. Deeper ones are no honest ones.
const MAX_DEPTH: usize = 200;

/// A float with as few digits as it takes, as `strconv.FormatFloat(f, 'g', -1, 64)` writes it.
pub(super) fn float_g(value: f64) -> String {
    if let Some(special) = special(value) {
        return special.to_owned();
    }
    let (negative, digits, exponent) = shortest(value);
    let sign = if negative { "-" } else { "" };
    if !(-4..6).contains(&exponent) {
        format!("{sign}{}", scientific(&digits, exponent))
    } else {
        format!("{sign}{}", positional(&digits, exponent))
    }
}

fn special(value: f64) -> Option<&'static str> {
    match value {
        v if v.is_nan() => Some("NaN"),
        f64::INFINITY => Some("+Inf"),
        f64::NEG_INFINITY => Some("-Inf"),
        _ => None,
    }
}

/// Sign, digits and decimal exponent of the shortest text that reads as the same number.
fn shortest(value: f64) -> (bool, String, i32) {
    let text = format!("{:e}", value.abs());
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let trimmed = digits.trim_end_matches('0');
    let digits = if trimmed.is_empty() { "0" } else { trimmed };
    (value.is_sign_negative(), digits.to_owned(), exponent.parse().unwrap_or_default())
}

fn scientific(digits: &str, exponent: i32) -> String {
    let (first, rest) = digits.split_at(1);
    let point = if rest.is_empty() { "" } else { "." };
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{first}{point}{rest}e{sign}{:02}", exponent.abs())
}

fn positional(digits: &str, exponent: i32) -> String {
    let length = digits.len() as i32;
    if exponent < 0 {
        return format!("0.{}{digits}", "0".repeat((-exponent - 1) as usize));
    }
    if length <= exponent + 1 {
        return format!("{digits}{}", "0".repeat((exponent + 1 - length) as usize));
    }
    let (whole, fraction) = digits.split_at((exponent + 1) as usize);
    format!("{whole}.{fraction}")
}

/// A float as `encoding/json` writes it.
pub(super) fn float_json(value: f64) -> Option<String> {
    if !value.is_finite() {
        return None;
    }
    let (negative, digits, exponent) = shortest(value);
    let size = value.abs();
    let text = if size != 0.0 && !(1e-6..1e21).contains(&size) {
        // Exponents have no leading zero there.
        scientific(&digits, exponent).replace("e-0", "e-")
    } else {
        positional(&digits, exponent)
    };
    Some(if negative { format!("-{text}") } else { text })
}

/// Writes text into a marked one. Text that has no place gets that of the writer.
pub(super) struct Printer<'m> {
    pub(super) into: &'m mut Marked,
    pub(super) origin: Origin,
    pub(super) guard: GuardId,
    /// Set for what is in a value that is not known.
    pub(super) shape: Option<Shape>,
}

impl Printer<'_> {
    fn push(&mut self, text: &str) {
        self.into.push(text, self.origin, self.guard, self.shape);
    }

    /// Prints a value as `%v` does.
    pub(super) fn value(&mut self, value: &Value) {
        self.value_at(value, 0);
    }

    fn value_at(&mut self, value: &Value, depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        let (origin, shape) = (self.origin, self.shape);
        self.origin = value.origin.or(origin);
        if let Certainty::Unknown(unknown) = value.certainty {
            self.shape = Some(self.shape.map_or(unknown, |shape| shape.max(unknown)));
        }
        match &value.kind {
            Kind::Nil | Kind::Null => self.push("<nil>"),
            Kind::Bool(value) => self.push(if *value { "true" } else { "false" }),
            Kind::Int(value, IntType::Duration) => self.push(&duration(*value)),
            Kind::Int(value, _) => self.push(&value.to_string()),
            Kind::Float(value) => self.push(&float_g(*value)),
            Kind::Text(text) => match self.shape {
                Some(_) => self.push(text.as_str()),
                None => value.append_to(self.into, self.origin, self.guard),
            },
            Kind::Bytes(bytes) => {
                let numbers: Vec<String> = bytes.iter().map(u8::to_string).collect();
                self.push(&format!("[{}]", numbers.join(" ")));
            }
            Kind::List(list) => {
                self.push("[");
                for (index, item) in list.items.iter().enumerate() {
                    if index > 0 {
                        self.push(" ");
                    }
                    self.value_at(item, depth + 1);
                }
                self.push("]");
            }
            Kind::Map(map) => {
                self.push("map[");
                for (index, (key, entry)) in map.snapshot().into_iter().enumerate() {
                    if index > 0 {
                        self.push(" ");
                    }
                    self.into.push(&key, entry.key.or(self.origin), self.guard, self.shape);
                    self.push(":");
                    self.value_at(&entry.value, depth + 1);
                }
                self.push("]");
            }
            Kind::Object(object) => self.push(&object.display()),
        }
        (self.origin, self.shape) = (origin, shape);
    }

    /// Prints a text in double quotes, as `%q` does.
    pub(super) fn quoted(&mut self, text: &Marked) {
        let mut walker = super::text::Walker::new(text);
        quote(&text.text, &mut |piece, range| {
            if range.is_empty() {
                self.push(piece);
            } else if text.text.get(range.clone()) == Some(piece) {
                walker.copy(range.len(), self.into);
            } else {
                let mark = walker.skip(range.len());
                self.into.push(piece, mark.origin, mark.guard, mark.shape);
            }
        });
    }

    /// Prints values as `printf` does.
    pub(super) fn format(&mut self, format: &Marked, arguments: &[Value]) {
        let mut walker = super::text::Walker::new(format);
        let text = format.text.as_str();
        let mut next = 0;
        let mut at = 0;
        while let Some(found) = text[at..].find('%') {
            walker.copy(found, self.into);
            let start = at + found;
            let (directive, length) = Directive::parse(&text[start..]);
            at = start + length;
            walker.skip(length);
            let Some(verb) = directive.verb else {
                self.push("%!(NOVERB)");
                break;
            };
            if verb == '%' {
                self.push("%");
                continue;
            }
            let mut directive = directive;
            if directive.star {
                if let Some(Kind::Int(width, _)) = arguments.get(next).map(|value| &value.kind) {
                    directive.minus |= *width < 0;
                    directive.width = usize::try_from(width.unsigned_abs()).ok().filter(|width| *width < 10_000);
                }
                next += 1;
            }
            match arguments.get(next) {
                Some(argument) => self.directive(&directive, verb, argument),
                None => self.push(&format!("%!{verb}(MISSING)")),
            }
            next += 1;
        }
        walker.copy(text.len() - at.min(text.len()), self.into);
        if next < arguments.len() {
            self.push("%!(EXTRA ");
            for (index, argument) in arguments[next..].iter().enumerate() {
                if index > 0 {
                    self.push(", ");
                }
                self.push(argument.type_name());
                if !argument.is_nil() {
                    self.push("=");
                    self.value(argument);
                }
            }
            self.push(")");
        }
    }

    fn directive(&mut self, directive: &Directive, verb: char, value: &Value) {
        let mut printed = Marked::default();
        let mut printer = Printer { into: &mut printed, origin: self.origin, guard: self.guard, shape: self.shape };
        if !printer.verb(directive, verb, value) {
            let mut bad = Marked::default();
            Printer { into: &mut bad, origin: self.origin, guard: self.guard, shape: self.shape }.value(value);
            self.push(&format!("%!{verb}("));
            if value.is_nil() {
                self.push("<nil>)");
                return;
            }
            self.push(&format!("{}=", value.type_name()));
            self.into.append(&bad, self.origin, self.guard);
            self.push(")");
            return;
        }
        let length = printed.text.chars().count();
        let padding = directive.width.unwrap_or_default().saturating_sub(length);
        if padding == 0 {
            self.into.append(&printed, self.origin, self.guard);
            return;
        }
        if directive.minus {
            self.into.append(&printed, self.origin, self.guard);
            self.push(&" ".repeat(padding));
        } else if directive.zero && matches!(value.kind, Kind::Int(..) | Kind::Float(_)) {
            let digits = printed.text.strip_prefix(['-', '+']);
            let sign = if digits.is_some() { &printed.text[..1] } else { "" };
            let text = format!("{sign}{}{}", "0".repeat(padding), digits.unwrap_or(&printed.text));
            self.into.push(&text, value.origin.or(self.origin), self.guard, value.shape());
        } else {
            self.push(&" ".repeat(padding));
            self.into.append(&printed, self.origin, self.guard);
        }
    }

    /// Prints one value without padding; whether the verb is one for its type.
    fn verb(&mut self, directive: &Directive, verb: char, value: &Value) -> bool {
        self.origin = value.origin.or(self.origin);
        if let Certainty::Unknown(shape) = value.certainty {
            self.shape = Some(shape);
        }
        let plus = if directive.plus { "+" } else { "" };
        match (verb, &value.kind) {
            ('v', Kind::Int(number, _)) if directive.plus && *number >= 0 => self.push(&format!("+{number}")),
            ('v', _) => self.value(value),
            ('T', _) => self.push(value.type_name()),
            (_, Kind::Nil | Kind::Null) => return false,
            ('t', Kind::Bool(_)) => self.value(value),
            ('s', Kind::Bytes(bytes)) => self.push(&String::from_utf8_lossy(bytes)),
            ('s', Kind::Text(_)) => match directive.precision {
                Some(precision) => {
                    let text: String = value.as_str().unwrap_or_default().chars().take(precision).collect();
                    self.push(&text);
                }
                None => self.value(value),
            },
            ('s' | 'd', Kind::List(list)) => {
                self.push("[");
                for (index, item) in list.items.iter().enumerate() {
                    if index > 0 {
                        self.push(" ");
                    }
                    self.directive(&Directive::default(), verb, item);
                }
                self.push("]");
            }
            ('s' | 'd', Kind::Map(map)) => {
                self.push("map[");
                for (index, (key, entry)) in map.snapshot().into_iter().enumerate() {
                    if index > 0 {
                        self.push(" ");
                    }
                    self.directive(&Directive::default(), verb, &key.into());
                    self.push(":");
                    self.directive(&Directive::default(), verb, &entry.value);
                }
                self.push("]");
            }
            ('s', Kind::Object(object)) => self.push(&object.display()),
            ('q', Kind::Text(_)) => {
                let marked = value.marked();
                self.quoted(&marked);
            }
            ('q', Kind::Int(number, _)) => {
                let c = u32::try_from(*number).ok().and_then(char::from_u32).unwrap_or('\u{fffd}');
                self.push(&format!("'{c}'"));
            }
            ('d', Kind::Int(number, _)) => {
                let plus = if *number < 0 { "" } else { plus };
                self.push(&format!("{plus}{number}"));
            }
            ('x', Kind::Int(number, _)) => self.push(&format!("{number:x}")),
            ('X', Kind::Int(number, _)) => self.push(&format!("{number:X}")),
            ('o', Kind::Int(number, _)) => self.push(&format!("{number:o}")),
            ('b', Kind::Int(number, _)) => self.push(&format!("{number:b}")),
            ('c', Kind::Int(number, _)) => {
                let c = u32::try_from(*number).ok().and_then(char::from_u32).unwrap_or('\u{fffd}');
                self.push(&c.to_string());
            }
            ('x', Kind::Text(text)) => {
                let hex = text.as_str().bytes().fold(String::new(), |mut hex, byte| {
                    let _ = write!(hex, "{byte:02x}");
                    hex
                });
                self.push(&hex);
            }
            ('f' | 'F', Kind::Float(number)) => {
                let precision = directive.precision.unwrap_or(6);
                self.push(&special(*number).map_or_else(|| format!("{number:.precision$}"), str::to_owned));
            }
            ('e', Kind::Float(number)) => {
                let precision = directive.precision.unwrap_or(6);
                let text = format!("{number:.precision$e}");
                let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
                let exponent: i32 = exponent.parse().unwrap_or_default();
                let sign = if exponent < 0 { '-' } else { '+' };
                self.push(&format!("{mantissa}e{sign}{:02}", exponent.abs()));
            }
            ('g', Kind::Float(number)) => match directive.precision {
                None => self.push(&float_g(*number)),
                Some(precision) => self.push(&float_g_with(*number, precision)),
            },
            _ => return false,
        }
        true
    }
}

/// `%.3g`
fn float_g_with(value: f64, precision: usize) -> String {
    let precision = precision.max(1);
    let rounded: f64 = format!("{value:.*e}", precision - 1).parse().unwrap_or(value);
    let (negative, digits, exponent) = shortest(rounded);
    let sign = if negative { "-" } else { "" };
    let limit = i32::try_from(precision).unwrap_or(i32::MAX);
    if exponent < -4 || exponent >= limit {
        format!("{sign}{}", scientific(&digits, exponent))
    } else {
        format!("{sign}{}", positional(&digits, exponent))
    }
}

#[derive(Debug, Default, Clone)]
struct Directive {
    minus: bool,
    plus: bool,
    zero: bool,
    star: bool,
    width: Option<usize>,
    precision: Option<usize>,
    verb: Option<char>,
}

impl Directive {
    /// Reads a directive, which begins with a percent sign; it, and its length.
    fn parse(text: &str) -> (Self, usize) {
        let mut directive = Self::default();
        let mut chars = text.char_indices().skip(1).peekable();
        while let Some((_, c)) = chars.peek() {
            match c {
                '-' => directive.minus = true,
                '+' => directive.plus = true,
                '0' => directive.zero = true,
                '#' | ' ' => {}
                _ => break,
            }
            chars.next();
        }
        if chars.peek().is_some_and(|(_, c)| *c == '*') {
            directive.star = true;
            chars.next();
        }
        let width = {
            let mut value = None;
            while let Some(digit) = chars.peek().and_then(|(_, c)| c.to_digit(10)) {
                value = Some((value.unwrap_or(0) * 10 + digit as usize).min(10_000));
                chars.next();
            }
            value
        };
        directive.width = width;
        if chars.peek().is_some_and(|(_, c)| *c == '.') {
            chars.next();
            let mut value = 0;
            while let Some(digit) = chars.peek().and_then(|(_, c)| c.to_digit(10)) {
                value = (value * 10 + digit as usize).min(1000);
                chars.next();
            }
            directive.precision = Some(value);
        }
        match chars.next() {
            Some((at, verb)) => {
                directive.verb = Some(verb);
                (directive, at + verb.len_utf8())
            }
            None => (directive, text.len()),
        }
    }
}

/// A duration as Go prints it, such as `1h30m0s`.
pub(super) fn duration(nanoseconds: i64) -> String {
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let total = nanoseconds.unsigned_abs();
    let fraction = |value: u64, unit: u64, name: &str| {
        let (whole, rest) = (value / unit, value % unit);
        let digits = unit.to_string().len() - 1;
        let decimals = format!("{rest:0digits$}");
        let decimals = decimals.trim_end_matches('0');
        if decimals.is_empty() || unit == 1 { format!("{whole}{name}") } else { format!("{whole}.{decimals}{name}") }
    };
    let text = match total {
        0 => return "0s".to_owned(),
        1..1_000 => fraction(total, 1, "ns"),
        1_000..1_000_000 => fraction(total, 1_000, "µs"),
        1_000_000..1_000_000_000 => fraction(total, 1_000_000, "ms"),
        _ => {
            let minutes = total / 60_000_000_000;
            let seconds = fraction(total % 60_000_000_000, 1_000_000_000, "s");
            match (minutes / 60, minutes % 60) {
                (0, 0) => seconds,
                (0, minutes) => format!("{minutes}m{seconds}"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
            }
        }
    };
    format!("{sign}{text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printf(format: &str, arguments: &[Value]) -> String {
        let mut into = Marked::default();
        Printer { into: &mut into, origin: Origin::NONE, guard: GuardId::default(), shape: None }
            .format(&Value::from(format).marked(), arguments);
        into.text
    }

    #[test]
    fn floats_are_those_of_go() {
        for (value, expected) in [
            (1.0, "1"),
            (0.5, "0.5"),
            (1_000_000.0, "1e+06"),
            (123_456.0, "123456"),
            (1_234_567.0, "1.234567e+06"),
            (0.00001, "1e-05"),
            (1e21, "1e+21"),
            (-2.5, "-2.5"),
        ] {
            assert_eq!(float_g(value), expected);
        }
        assert_eq!(float_json(1e6).as_deref(), Some("1000000"));
        assert_eq!(float_json(1e-7).as_deref(), Some("1e-7"));
    }

    #[test]
    fn verbs_are_those_of_go() {
        assert_eq!(printf("%s-%d %v", &["a".into(), Value::int(3), true.into()]), "a-3 true");
        assert_eq!(
            printf("%q|%5d|%-4s|%03d", &["a\"".into(), Value::int(3), "b".into(), Value::int(7)]),
            "\"a\\\"\"|    3|b   |007"
        );
        assert_eq!(printf("%s", &[Value::int(3)]), "%!s(int=3)");
        assert_eq!(printf("%d", &[3.0.into()]), "%!d(float64=3)");
        assert_eq!(printf("%s", &[Value::NIL]), "%!s(<nil>)");
        assert_eq!(printf("%s", &[]), "%!s(MISSING)");
        assert_eq!(printf("a", &["b".into()]), "a%!(EXTRA string=b)");
        assert_eq!(printf("%.2f %g 100%%", &[1.5.into(), 2.0.into()]), "1.50 2 100%");
    }

    #[test]
    fn durations_are_those_of_go() {
        assert_eq!(duration(5_400_000_000_000), "1h30m0s");
        assert_eq!(duration(1_500_000_000), "1.5s");
        assert_eq!(duration(1_500_000), "1.5ms");
    }
}
