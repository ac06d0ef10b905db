//! Templates to tokens, as Go's `text/template` takes them apart.

use super::ast::Span;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenKind {
    Text,
    Comment,
    Open,
    Close,
    Space,
    Assign,
    Declare,
    Pipe,
    OpenParen,
    CloseParen,
    /// Another printable ASCII character.
    Character,
    CharacterConstant,
    Number,
    Quoted,
    RawText,
    Bool,
    Dot,
    Nil,
    Field,
    Variable,
    Identifier,
    Block,
    Break,
    Continue,
    Define,
    Else,
    End,
    If,
    Range,
    Template,
    With,
    Eof,
}

/// A token and its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) span: Span,
}

/// Why a template cannot be read, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateError {
    /// What is wrong.
    pub message: String,
    /// Where.
    pub span: Span,
}

/// The characters that the marks `{{-` and `-}}` trim.
const SPACES: [char; 4] = [' ', '\t', '\r', '\n'];

pub(super) struct Lexer<'s> {
    text: &'s str,
    at: usize,
    inside: bool,
    parens: usize,
}

type Lexed = Result<Token, TemplateError>;

impl<'s> Lexer<'s> {
    pub(super) fn new(text: &'s str) -> Self {
        Self { text, at: 0, inside: false, parens: 0 }
    }

    /// The next token; `Eof` again and again at the end.
    pub(super) fn next(&mut self) -> Lexed {
        if self.inside { self.inside_action() } else { self.outside() }
    }

    fn rest(&self) -> &'s str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn token(&self, kind: TokenKind, start: usize) -> Token {
        Token { kind, span: Span::new(start, self.at) }
    }

    fn fail<T>(&self, start: usize, message: impl Into<String>) -> Result<T, TemplateError> {
        Err(TemplateError { message: message.into(), span: Span::new(start, self.at.max(start)) })
    }

    fn outside(&mut self) -> Lexed {
        let start = self.at;
        let Some(found) = opening(self.rest().as_bytes()) else {
            self.at = self.text.len();
            let kind = if self.at > start { TokenKind::Text } else { TokenKind::Eof };
            return Ok(self.token(kind, start));
        };
        let open = start + found;
        let trims = trims_before(&self.text[open + 2..]);
        let text = &self.text[start..open];
        let kept = if trims { text.trim_end_matches(SPACES) } else { text };
        self.at = open;
        if !kept.is_empty() {
            return Ok(Token { kind: TokenKind::Text, span: Span::new(start, start + kept.len()) });
        }
        let mark = if trims { 2 } else { 0 };
        let after = open + 2 + mark;
        if self.text[after..].starts_with("/*") {
            return self.comment(after);
        }
        self.at = open + 2;
        let token = self.token(TokenKind::Open, open);
        self.at = after;
        self.inside = true;
        self.parens = 0;
        Ok(token)
    }

    fn comment(&mut self, start: usize) -> Lexed {
        self.at = start;
        let Some(length) = memchr::memmem::find(&self.rest().as_bytes()[2..], b"*/") else {
            return self.fail(start, "unclosed comment");
        };
        self.at = start + 2 + length + 2;
        let token = self.token(TokenKind::Comment, start);
        if !self.close() {
            return self.fail(start, "comment ends before closing delimiter");
        }
        Ok(token)
    }

    /// Takes the closing delimiter, with its trim mark and what that trims.
    fn close(&mut self) -> bool {
        let trims = trims_after(self.rest());
        if trims {
            self.at += 2;
        } else if !self.rest().starts_with("}}") {
            return false;
        }
        self.at += 2;
        if trims {
            let rest = self.rest();
            self.at += rest.len() - rest.trim_start_matches(SPACES).len();
        }
        true
    }

    fn inside_action(&mut self) -> Lexed {
        let start = self.at;
        if trims_after(self.rest()) || self.rest().starts_with("}}") {
            if self.parens > 0 {
                return self.fail(start, "unclosed left paren");
            }
            let mark = if trims_after(self.rest()) { 2 } else { 0 };
            let token = Token { kind: TokenKind::Close, span: Span::new(start + mark, start + mark + 2) };
            self.close();
            self.inside = false;
            return Ok(token);
        }
        let Some(first) = self.peek() else { return self.fail(start, "unclosed action") };
        let kind = match first {
            c if SPACES.contains(&c) => return Ok(self.space()),
            '=' => self.take(1, TokenKind::Assign),
            ':' if self.rest().starts_with(":=") => self.take(2, TokenKind::Declare),
            ':' => return self.fail(start, "expected :="),
            '|' => self.take(1, TokenKind::Pipe),
            '"' => return self.quoted('"', TokenKind::Quoted, "unterminated quoted string"),
            '`' => {
                let Some(length) = self.rest()[1..].find('`') else {
                    return self.fail(start, "unterminated raw quoted string");
                };
                self.take(length + 2, TokenKind::RawText)
            }
            '$' => {
                self.at += 1;
                return self.name(start, TokenKind::Variable);
            }
            '\'' => return self.quoted('\'', TokenKind::CharacterConstant, "unterminated character constant"),
            '.' if !self.rest()[1..].starts_with(|c: char| c.is_ascii_digit()) => {
                self.at += 1;
                return self.name(start, TokenKind::Field);
            }
            '.' | '+' | '-' | '0'..='9' => return self.number(),
            c if is_alphanumeric(c) => return self.identifier(),
            '(' => {
                self.parens += 1;
                self.take(1, TokenKind::OpenParen)
            }
            ')' => {
                if self.parens == 0 {
                    return self.fail(start, "unexpected right paren");
                }
                self.parens -= 1;
                self.take(1, TokenKind::CloseParen)
            }
            c if c.is_ascii_graphic() => self.take(1, TokenKind::Character),
            c => return self.fail(start, format!("unrecognized character in action: {c:?}")),
        };
        Ok(self.token(kind, start))
    }

    fn take(&mut self, length: usize, kind: TokenKind) -> TokenKind {
        self.at += length;
        kind
    }

    /// A run of blanks. The last one may belong to a closing delimiter with a trim mark.
    fn space(&mut self) -> Token {
        let start = self.at;
        let rest = self.rest();
        let mut length = rest.len() - rest.trim_start_matches(SPACES).len();
        if trims_after(&rest[length - 1..]) {
            length -= 1;
            if length == 0 {
                // Nothing but the delimiter, which `inside_action` takes before it comes here.
                length = 1;
            }
        }
        self.at += length;
        self.token(TokenKind::Space, start)
    }

    fn quoted(&mut self, quote: char, kind: TokenKind, unterminated: &str) -> Lexed {
        let start = self.at;
        let mut chars = self.rest().char_indices().skip(1);
        while let Some((offset, c)) = chars.next() {
            match c {
                '\\' => match chars.next() {
                    None | Some((_, '\n')) => break,
                    Some(_) => {}
                },
                '\n' => break,
                c if c == quote => {
                    self.at += offset + 1;
                    return Ok(self.token(kind, start));
                }
                _ => {}
            }
        }
        self.fail(start, unterminated)
    }

    /// Takes letters, digits and underscores, and says whether something may end there.
    fn word(&mut self) -> bool {
        let rest = self.rest();
        self.at += rest.find(|c| !is_alphanumeric(c)).unwrap_or(rest.len());
        self.ends()
    }

    /// Whether a name may end here.
    fn ends(&self) -> bool {
        match self.peek() {
            None => true,
            Some(c) if SPACES.contains(&c) => true,
            Some('.' | ',' | '|' | ':' | ')' | '(') => true,
            Some(_) => self.rest().starts_with("}}"),
        }
    }

    /// A field or a variable, the first character of which is taken.
    fn name(&mut self, start: usize, kind: TokenKind) -> Lexed {
        if self.ends() {
            let kind = if kind == TokenKind::Field { TokenKind::Dot } else { kind };
            return Ok(self.token(kind, start));
        }
        if !self.word() {
            return self.bad_character(start);
        }
        Ok(self.token(kind, start))
    }

    fn bad_character(&self, start: usize) -> Lexed {
        let character = self.peek().unwrap_or_default();
        self.fail(start, format!("bad character {character:?}"))
    }

    fn identifier(&mut self) -> Lexed {
        let start = self.at;
        if !self.word() {
            return self.bad_character(start);
        }
        let kind = match &self.text[start..self.at] {
            "block" => TokenKind::Block,
            "break" => TokenKind::Break,
            "continue" => TokenKind::Continue,
            "define" => TokenKind::Define,
            "else" => TokenKind::Else,
            "end" => TokenKind::End,
            "if" => TokenKind::If,
            "range" => TokenKind::Range,
            "nil" => TokenKind::Nil,
            "template" => TokenKind::Template,
            "with" => TokenKind::With,
            "true" | "false" => TokenKind::Bool,
            _ => TokenKind::Identifier,
        };
        Ok(self.token(kind, start))
    }

    fn accept(&mut self, set: &str) -> bool {
        let found = self.peek().is_some_and(|c| set.contains(c));
        self.at += usize::from(found);
        found
    }

    fn accept_run(&mut self, set: &str) {
        while self.accept(set) {}
    }

    fn number(&mut self) -> Lexed {
        let start = self.at;
        self.accept("+-");
        let mut digits = "0123456789_";
        if self.accept("0") {
            if self.accept("xX") {
                digits = "0123456789abcdefABCDEF_";
            } else if self.accept("oO") {
                digits = "01234567_";
            } else if self.accept("bB") {
                digits = "01_";
            }
        }
        self.accept_run(digits);
        if self.accept(".") {
            self.accept_run(digits);
        }
        if digits.len() == 11 && self.accept("eE") || digits.len() == 23 && self.accept("pP") {
            self.accept("+-");
            self.accept_run("0123456789_");
        }
        // Complex numbers are no part of any chart.
        if self.accept("i") || self.peek().is_some_and(|c| is_alphanumeric(c) || c == '+' || c == '-') {
            return self.fail(start, format!("bad number syntax: {:?}", &self.text[start..self.at]));
        }
        Ok(self.token(TokenKind::Number, start))
    }
}

/// Where the next opening delimiter is.
fn opening(text: &[u8]) -> Option<usize> {
    memchr::memchr_iter(b'{', text).find(|at| text.get(at + 1) == Some(&b'{'))
}

/// Letters, digits and underscores, in any script.
fn is_alphanumeric(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// Whether what follows the opening delimiter is a trim mark.
fn trims_before(rest: &str) -> bool {
    let mut chars = rest.chars();
    chars.next() == Some('-') && chars.next().is_some_and(|c| SPACES.contains(&c))
}

/// Whether a closing delimiter with a trim mark comes next.
fn trims_after(rest: &str) -> bool {
    rest.starts_with(SPACES) && rest[1..].starts_with("-}}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lex(text: &str) -> Result<Vec<(TokenKind, &str)>, String> {
        let mut lexer = Lexer::new(text);
        let mut found = Vec::new();
        loop {
            let token = lexer.next().map_err(|error| error.message)?;
            if token.kind == TokenKind::Eof {
                return Ok(found);
            }
            found.push((token.kind, token.span.slice(text)));
        }
    }

    #[test]
    fn trim_marks_trim_text_and_are_no_part_of_it() {
        use TokenKind::*;
        let found = lex("a \n{{- .x -}}\n b").unwrap();
        let expected = [(Text, "a"), (Open, "{{"), (Field, ".x"), (Close, "}}"), (Text, "b")];
        assert_eq!(found, expected);
        // A number, no mark.
        assert_eq!(lex("a {{-3}}").unwrap()[2], (Number, "-3"));
        assert_eq!(lex("{{/* a */ -}}  b").unwrap(), [(Comment, "/* a */"), (Text, "b")]);
    }

    #[test]
    fn errors_say_what_is_wrong() {
        for (text, expected) in [
            ("{{ \"a", "unterminated quoted string"),
            ("{{ (a }}", "unclosed left paren"),
            ("{{ a) }}", "unexpected right paren"),
            ("{{ a", "unclosed action"),
            ("{{/* a", "unclosed comment"),
            ("{{ 3x }}", "bad number syntax: \"3\""),
        ] {
            assert_eq!(lex(text).unwrap_err(), expected, "{text}");
        }
    }
}
