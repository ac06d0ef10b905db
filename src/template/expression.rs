//! Expressions between marks: one spelling for those that say the same, and the value of those that say it outright.
//!
//! A handful of functions that pass on, choose or compare what they are given is known. Everything else has no value
//! here. Nothing is executed.

use std::borrow::Cow;

use super::chart::{Chart, Literal};

/// How deep expressions are followed.
const MAX_DEPTH: usize = 16;
/// Longer expressions have no value.
const MAX_TOKENS: usize = 256;

/// What `.` or a variable stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Bound {
    /// The values that the whole chart is given.
    Root,
    /// This value.
    Value(Literal),
    /// Something unknown.
    Unknown,
}

/// A piece of an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token<'e> {
    /// A word, a path, a variable or a number.
    Word(&'e str),
    /// A string without its quotes.
    Text(String),
    /// `(`, `)` or `|`.
    Mark(char),
}

/// The spelling that all expressions share which say the same: blanks, `$` for the whole, and quoting do not matter.
/// Where `.` is something else inside of a block, two that are not the same may get one spelling.
pub(super) fn canonical(body: &str) -> String {
    let Some(tokens) = tokens(body) else { return body.split_whitespace().collect::<Vec<_>>().join(" ") };
    let mut words: Vec<String> = Vec::new();
    for token in &tokens {
        words.push(match token {
            Token::Word("$") => ".".to_owned(),
            Token::Word("template") if words.is_empty() => "include".to_owned(),
            Token::Word(word) => word.strip_prefix('$').filter(|rest| rest.starts_with('.')).unwrap_or(word).to_owned(),
            Token::Text(text) => format!("{text:?}"),
            Token::Mark(mark) => mark.to_string(),
        });
    }
    loop {
        // Neither quoting nor indentation changes what is said.
        let dropped = match words.as_slice() {
            [.., bar, last] if bar == "|" && matches!(last.as_str(), "quote" | "squote" | "toString") => 2,
            [_, .., bar, last, _] if bar == "|" && matches!(last.as_str(), "indent" | "nindent") => 3,
            _ => break,
        };
        words.truncate(words.len() - dropped);
    }
    let mut text = String::new();
    for word in words {
        if !text.is_empty() && !text.ends_with('(') && word != ")" {
            text.push(' ');
        }
        text.push_str(&word);
    }
    text
}

/// Whether the expression is nothing but a path such as `.Values.a.b`.
pub(super) fn is_path(body: &str) -> bool {
    let allowed = |c: char| c.is_alphanumeric() || "._$-".contains(c);
    body.strip_prefix('$').unwrap_or(body).starts_with('.') && body.chars().all(allowed)
}

/// What stands behind the last `|`, those in brackets aside.
pub(super) fn last_command<'a, 't>(tokens: &'a [Token<'t>]) -> &'a [Token<'t>] {
    let (mut depth, mut start) = (0usize, 0);
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Mark('(') => depth += 1,
            Token::Mark(')') => depth = depth.saturating_sub(1),
            Token::Mark(_) if depth == 0 => start = at + 1,
            _ => {}
        }
    }
    tokens.get(start..).unwrap_or_default()
}

/// The function that is called last, and its first argument if that is a word.
pub(super) fn last_call(body: &str) -> Option<(String, Option<String>)> {
    let body = with_blanks_before_fields(body);
    let tokens = tokens(&body)?;
    let word = |token: &Token<'_>| if let Token::Word(word) = token { Some((*word).to_owned()) } else { None };
    let command = last_command(&tokens);
    Some((command.first().and_then(word)?, command.get(1).and_then(word)))
}

/// For each piece of an expression whether it stands behind the call of a block, up to the brackets around that or what is made
/// of it: it is the block's name, or what the block gets.
pub(super) fn given_to_blocks(tokens: &[Token<'_>]) -> Vec<bool> {
    let (mut depth, mut from) = (0usize, None);
    let given = tokens.iter().map(|token| {
        if let Token::Mark(mark) = token {
            let is_end = *mark != '(' && from == Some(depth);
            from = from.filter(|_| !is_end);
            match mark {
                '(' => depth += 1,
                ')' => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        let is_given = from.is_some();
        if matches!(token, Token::Word("include" | "template")) {
            from = from.or(Some(depth));
        }
        is_given
    });
    given.collect()
}

/// An expression in which fields of what stands in brackets stand by themselves, for those who ask what is named there and not
/// what it is: `(f .x).y` has no value here.
pub(super) fn with_blanks_before_fields(body: &str) -> Cow<'_, str> {
    if body.contains(").") { Cow::Owned(body.replace(").", ") .")) } else { Cow::Borrowed(body) }
}

/// The strings that are written in an expression.
pub(super) fn texts_in(body: &str) -> Vec<String> {
    let text = |token| if let Token::Text(text) = token { Some(text) } else { None };
    tokens(body).unwrap_or_default().into_iter().filter_map(text).collect()
}

/// An expression in pieces; none if it is too long or holds what is not known.
pub(super) fn tokens(body: &str) -> Option<Vec<Token<'_>>> {
    let mut tokens = Vec::new();
    let mut rest = body.trim_start();
    while let Some(first) = rest.chars().next() {
        if tokens.len() >= MAX_TOKENS {
            return None;
        }
        let end = match first {
            '(' | ')' | '|' => {
                // A field of what stands in brackets.
                if first == ')' && rest.get(1..).is_some_and(|rest| rest.starts_with('.')) {
                    return None;
                }
                tokens.push(Token::Mark(first));
                1
            }
            '"' => {
                let (text, end) = quoted(rest)?;
                tokens.push(Token::Text(text));
                end
            }
            '`' => {
                let text = rest.get(1..)?.split('`').next()?;
                tokens.push(Token::Text(text.to_owned()));
                text.len() + 2
            }
            ':' | '=' | ',' => {
                let end = if rest.starts_with(":=") { 2 } else { 1 };
                tokens.push(Token::Word(rest.get(..end)?));
                end
            }
            _ => {
                // What is given a value may stand glued to that.
                let glued = if first == '$' { ":=," } else { "" };
                let ends = |c: char| c.is_whitespace() || "()|\"`".contains(c) || glued.contains(c);
                let end = rest.find(ends).unwrap_or(rest.len());
                tokens.push(Token::Word(rest.get(..end)?));
                end
            }
        };
        rest = rest.get(end..)?.trim_start();
    }
    Some(tokens)
}

/// A string of Go without its quotes and escapes, and where it ends. None if an escape is none, or stands for a byte that
/// is no character.
fn quoted(text: &str) -> Option<(String, usize)> {
    let mut value = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        if c == '"' {
            return Some((value, at + 1));
        }
        if c != '\\' {
            value.push(c);
            continue;
        }
        let (at, escape) = chars.next()?;
        let mut code = |from: usize, digits: usize, radix: u32| {
            for _ in 1..digits + from - at {
                chars.next();
            }
            let code = u32::from_str_radix(text.get(from..from + digits)?, radix).ok()?;
            char::from_u32(code).filter(|_| code < 0x80 || escape == 'u' || escape == 'U')
        };
        value.push(match escape {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'v' => '\u{b}',
            '"' | '\\' => escape,
            'x' => code(at + 1, 2, 16)?,
            'u' => code(at + 1, 4, 16)?,
            'U' => code(at + 1, 8, 16)?,
            '0'..='7' => code(at, 3, 8)?,
            _ => return None,
        });
    }
    None
}

/// Whence values come: the chart's defaults, and what is bound inside of blocks.
pub(super) struct Scope<'s> {
    pub chart: Option<&'s Chart>,
    /// What `$` is.
    pub root: Bound,
    /// What `.` is.
    pub dot: Bound,
    /// What variables are.
    pub variables: &'s [Variable<'s>],
}

/// A variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Variable<'s> {
    /// Its name, with the dollar sign.
    pub name: &'s str,
    /// Where it gets its value.
    pub offset: usize,
    /// What it stands for.
    pub bound: Bound,
}

/// The value of an expression by default; none if it has none that is written out.
pub(super) fn evaluate(body: &str, scope: &Scope<'_>) -> Option<Literal> {
    let tokens = tokens(body)?;
    let mut parser = Evaluator { tokens: &tokens, at: 0, scope };
    let value = parser.pipeline(0)?;
    (parser.at == tokens.len()).then_some(value)
}

struct Evaluator<'e> {
    tokens: &'e [Token<'e>],
    at: usize,
    scope: &'e Scope<'e>,
}

impl Evaluator<'_> {
    fn pipeline(&mut self, depth: usize) -> Option<Literal> {
        if depth > MAX_DEPTH {
            return None;
        }
        let mut value = self.command(None, depth)?;
        while self.tokens.get(self.at) == Some(&Token::Mark('|')) {
            self.at += 1;
            value = self.command(Some(value), depth)?;
        }
        Some(value)
    }

    /// A function with its arguments, of which the last may come from the left; or one value.
    fn command(&mut self, piped: Option<Literal>, depth: usize) -> Option<Literal> {
        let function = match self.tokens.get(self.at)? {
            Token::Word(word) if word.starts_with(|c: char| c.is_ascii_alphabetic()) && !is_word_value(word) => {
                self.at += 1;
                Some(*word)
            }
            _ => None,
        };
        let mut arguments = Vec::new();
        while let Some(token) = self.tokens.get(self.at)
            && !matches!(token, Token::Mark('|' | ')'))
        {
            arguments.push(self.operand(depth)?);
        }
        arguments.extend(piped);
        match function {
            Some(name) => call(name, arguments),
            None if arguments.len() == 1 => arguments.pop(),
            None => None,
        }
    }

    fn operand(&mut self, depth: usize) -> Option<Literal> {
        let token = self.tokens.get(self.at)?;
        self.at += 1;
        match token {
            Token::Text(text) => Some(Literal::Text(text.as_str().into())),
            Token::Mark('(') => {
                let value = self.pipeline(depth + 1)?;
                let closed = self.tokens.get(self.at) == Some(&Token::Mark(')'));
                self.at += 1;
                closed.then_some(value)
            }
            Token::Word("true") => Some(Literal::Bool(true)),
            Token::Word("false") => Some(Literal::Bool(false)),
            Token::Word("nil") => Some(Literal::Null),
            Token::Word(word) if word.starts_with('.') || word.starts_with('$') => self.path(word),
            Token::Word(word) => word.parse::<i64>().is_ok().then(|| Literal::Number((*word).into())),
            Token::Mark(_) => None,
        }
    }

    fn path(&self, word: &str) -> Option<Literal> {
        let (head, rest) = word.split_once('.').unwrap_or((word, ""));
        let steps: Vec<&str> = if rest.is_empty() { Vec::new() } else { rest.split('.').collect() };
        let bound = match head {
            "" => &self.scope.dot,
            "$" => &self.scope.root,
            name => self.scope.variables.iter().find(|known| known.name == name).map(|known| &known.bound)?,
        };
        match bound {
            Bound::Root => match steps.split_first()? {
                (&"Values", path) => self.scope.chart?.default(path),
                _ => None,
            },
            Bound::Value(value) => {
                let mut at = value;
                for step in steps {
                    match at {
                        Literal::Map(map) => match map.get(step) {
                            Some(next) => at = next,
                            None => return Some(Literal::Null),
                        },
                        _ => return None,
                    }
                }
                (*at != Literal::Unknown).then(|| at.clone())
            }
            Bound::Unknown => None,
        }
    }
}

fn all_same(values: &[Literal]) -> bool {
    values.windows(2).all(|pair| pair[0] == pair[1])
}

fn is_word_value(word: &str) -> bool {
    matches!(word, "true" | "false" | "nil")
}

/// The functions that are known. They pass on, choose or compare.
fn call(name: &str, arguments: Vec<Literal>) -> Option<Literal> {
    let last = || arguments.last().cloned();
    match name {
        // Of several, each gets its own quotes.
        "quote" | "squote" | "toString" if arguments.len() == 1 => {
            last()?.text().map(|text| Literal::Text(text.into()))
        }
        "toYaml" | "toJson" | "required" => last(),
        "indent" | "nindent" if arguments.len() == 2 => last(),
        "default" if arguments.len() == 2 => {
            if arguments[1].is_true() {
                last()
            } else {
                arguments.first().cloned()
            }
        }
        "coalesce" => arguments.iter().find(|value| value.is_true()).cloned(),
        "ternary" if arguments.len() == 3 => arguments.get(if arguments[2].is_true() { 0 } else { 1 }).cloned(),
        "list" | "tuple" => Some(Literal::List(arguments.into())),
        "not" if arguments.len() == 1 => Some(Literal::Bool(!arguments[0].is_true())),
        "and" => arguments.iter().find(|value| !value.is_true()).cloned().or_else(last),
        "or" => arguments.iter().find(|value| value.is_true()).cloned().or_else(last),
        // A number may be spelled in several ways.
        "eq" | "ne" if arguments.iter().any(|value| matches!(value, Literal::Number(_))) && !all_same(&arguments) => {
            None
        }
        "eq" if arguments.len() > 1 => Some(Literal::Bool(arguments[1..].contains(&arguments[0]))),
        "ne" if arguments.len() == 2 => Some(Literal::Bool(arguments[0] != arguments[1])),
        "empty" if arguments.len() == 1 => Some(Literal::Bool(!arguments[0].is_true())),
        "print" | "printf" if arguments.len() == 1 => {
            last().filter(|value| matches!(value, Literal::Text(text) if !text.contains('%')))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling_for_what_says_the_same() {
        for (a, b) in [
            ("include \"x\" .", "template  \"x\" $"),
            ("$.Values.a | quote", ".Values.a"),
            ("( .a )", "(.a)"),
            ("include `x` .", "include \"x\" ."),
            ("include \"\\x78\" .", "include \"\\u0078\" ."),
            ("include \"\\170\" .", "include \"\\U00000078\" ."),
            ("$a:=.b", "$a := .b"),
        ] {
            assert_eq!(canonical(a), canonical(b));
        }
        assert_ne!(canonical(".a"), canonical(".b"));
    }

    #[test]
    fn values_that_are_written_out() {
        let chart = Chart::of_values("a: x\nb: [p, q]\nc: {d: true}\ne: ''\n");
        let dot = Bound::Root;
        let variables = [Variable { name: "$v", offset: 0, bound: Bound::Value(Literal::Bool(false)) }];
        let scope = Scope { chart: Some(&chart), root: Bound::Root, dot, variables: &variables };
        let value = |body: &str| evaluate(body, &scope);
        let text = |text: &str| Some(Literal::Text(text.into()));
        assert_eq!(value(".Values.a | quote"), text("x"));
        assert_eq!(value("default \"y\" .Values.e"), text("y"));
        assert_eq!(value(".Values.e | default (printf \"z\")"), text("z"));
        assert_eq!(value("toYaml .Values.b | nindent 4").unwrap().texts().unwrap(), ["p", "q"]);
        assert_eq!(value("and .Values.c.d (not $v)"), Some(Literal::Bool(true)));
        assert_eq!(value("eq .Values.a \"x\""), Some(Literal::Bool(true)));
        assert_eq!(value("ternary \"p\" \"q\" .Values.c.d"), text("p"));
        for unknown in [
            "include \"x\" .",
            "squote \"a\" \"\"",
            ".Release.Name",
            "lookup \"v1\"",
            "printf \"%s\" .Values.a",
            "a b",
            "(",
            "",
            "$w",
        ] {
            assert_eq!(value(unknown), None, "{unknown}");
        }
        assert_eq!(value(&"(".repeat(200)), None);
    }
}
