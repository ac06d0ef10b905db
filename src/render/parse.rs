//! Tokens to trees, as Go's `text/template/parse` builds them.

use smol_str::SmolStr;

use super::ast::{Branch, Command, Expression, ExpressionKind, Node, Pipe, Span, Template};
use super::functions;
use super::lex::{Lexer, TemplateError, Token, TokenKind};
use super::literal;

/// How deep parentheses and bodies may be nested.
const MAX_DEPTH: usize = 500;

/// Parses a text: the template that it is, and those that it defines, in the order in which they end.
///
/// # Errors
/// Where Go's parser would find one.
pub fn parse(name: &str, text: &str) -> Result<Vec<Template>, TemplateError> {
    let mut parser = Parser {
        text,
        lexer: Lexer::new(text),
        pending: Vec::new(),
        variables: vec![SmolStr::new_static("$")],
        ranges: 0,
        closed: 0,
        depth: 0,
        defined: Vec::new(),
    };
    let body = parser.file()?;
    parser.define(name.to_owned(), body, Span::new(text.len(), text.len()))?;
    Ok(parser.defined)
}

/// Whether a body says nothing: such a template does not replace another one.
pub fn is_empty(body: &[Node], text: &str) -> bool {
    body.iter().all(|node| match node {
        Node::Comment(_) => true,
        Node::Text(span) => span.slice(text).trim().is_empty(),
        _ => false,
    })
}

struct Parser<'s> {
    text: &'s str,
    lexer: Lexer<'s>,
    /// Tokens that were taken and put back, the next one last.
    pending: Vec<Token>,
    variables: Vec<SmolStr>,
    ranges: usize,
    /// End of the last pipeline, closing delimiter included.
    closed: u32,
    depth: usize,
    defined: Vec<Template>,
}

type Parsed<T> = Result<T, TemplateError>;

/// What ends a list of nodes.
enum End {
    End,
    Else(Token),
}

enum Step {
    Node(Node),
    End(End),
}

impl Parser<'_> {
    fn next(&mut self) -> Parsed<Token> {
        match self.pending.pop() {
            Some(token) => Ok(token),
            None => self.lexer.next(),
        }
    }

    fn back(&mut self, token: Token) {
        self.pending.push(token);
    }

    fn peek(&mut self) -> Parsed<Token> {
        let token = self.next()?;
        self.back(token);
        Ok(token)
    }

    fn next_word(&mut self) -> Parsed<Token> {
        loop {
            let token = self.next()?;
            if token.kind != TokenKind::Space {
                return Ok(token);
            }
        }
    }

    fn peek_word(&mut self) -> Parsed<Token> {
        let token = self.next_word()?;
        self.back(token);
        Ok(token)
    }

    fn fail<T>(&self, span: Span, message: impl Into<String>) -> Parsed<T> {
        Err(TemplateError { message: message.into(), span })
    }

    fn unexpected<T>(&self, token: Token, context: &str) -> Parsed<T> {
        let found = match token.kind {
            TokenKind::Eof => "EOF".to_owned(),
            _ => format!("{:?}", token.span.slice(self.text)),
        };
        self.fail(token.span, format!("unexpected {found} in {context}"))
    }

    fn expect(&mut self, kind: TokenKind, context: &str) -> Parsed<Token> {
        let token = self.next_word()?;
        if token.kind == kind { Ok(token) } else { self.unexpected(token, context) }
    }

    fn deeper(&mut self, span: Span) -> Parsed<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH { self.fail(span, "nested too deeply") } else { Ok(()) }
    }

    fn file(&mut self) -> Parsed<Vec<Node>> {
        let mut body = Vec::new();
        loop {
            let token = self.peek()?;
            match token.kind {
                TokenKind::Eof => return Ok(body),
                TokenKind::Open => {
                    let open = self.next()?;
                    let word = self.next_word()?;
                    if word.kind == TokenKind::Define {
                        self.definition()?;
                        continue;
                    }
                    self.back(word);
                    self.back(open);
                }
                _ => {}
            }
            match self.text_or_action()? {
                Step::Node(node) => body.push(node),
                Step::End(End::End) => return self.fail(token.span, "unexpected {{end}}"),
                Step::End(End::Else(token)) => return self.fail(token.span, "unexpected {{else}}"),
            }
        }
    }

    fn define(&mut self, name: String, body: Vec<Node>, span: Span) -> Parsed<()> {
        let text = self.text;
        match self.defined.iter_mut().find(|known| known.name == name) {
            Some(known) if is_empty(&known.body, text) => known.body = body,
            Some(_) if is_empty(&body, text) => {}
            Some(_) => {
                return self.fail(span, format!("template: multiple definition of template {name:?}"));
            }
            None => self.defined.push(Template { name, body }),
        }
        Ok(())
    }

    fn template_name(&mut self, context: &str) -> Parsed<(Token, String)> {
        let token = self.next_word()?;
        match token.kind {
            TokenKind::Quoted | TokenKind::RawText => Ok((token, self.unquoted(token)?)),
            _ => self.unexpected(token, context),
        }
    }

    fn unquoted(&self, token: Token) -> Parsed<String> {
        match literal::unquote(token.span.slice(self.text)) {
            Some(text) => Ok(text),
            None => self.fail(token.span, "invalid syntax"),
        }
    }

    /// Parses the body of a template of its own, in which only `$` is known.
    fn body_apart(&mut self, context: &str) -> Parsed<Vec<Node>> {
        let variables = std::mem::replace(&mut self.variables, vec![SmolStr::new_static("$")]);
        let ranges = std::mem::take(&mut self.ranges);
        let (body, end) = self.list()?;
        if let End::Else(token) = end {
            return self.fail(token.span, format!("unexpected {{{{else}}}} in {context}"));
        }
        self.variables = variables;
        self.ranges = ranges;
        Ok(body)
    }

    fn definition(&mut self) -> Parsed<()> {
        const CONTEXT: &str = "define clause";
        let (token, name) = self.template_name(CONTEXT)?;
        self.expect(TokenKind::Close, CONTEXT)?;
        let body = self.body_apart(CONTEXT)?;
        self.define(name, body, token.span)
    }

    fn list(&mut self) -> Parsed<(Vec<Node>, End)> {
        let mut list = Vec::new();
        loop {
            let token = self.peek_word()?;
            if token.kind == TokenKind::Eof {
                return self.fail(token.span, "unexpected EOF");
            }
            match self.text_or_action()? {
                Step::Node(node) => list.push(node),
                Step::End(end) => return Ok((list, end)),
            }
        }
    }

    fn text_or_action(&mut self) -> Parsed<Step> {
        let token = self.next_word()?;
        match token.kind {
            TokenKind::Text => Ok(Step::Node(Node::Text(token.span))),
            TokenKind::Comment => Ok(Step::Node(Node::Comment(token.span))),
            TokenKind::Open => {
                self.deeper(token.span)?;
                let step = self.action();
                self.depth -= 1;
                step
            }
            _ => self.unexpected(token, "input"),
        }
    }

    fn action(&mut self) -> Parsed<Step> {
        let token = self.next_word()?;
        let node = match token.kind {
            TokenKind::Block => self.block()?,
            TokenKind::Break | TokenKind::Continue => {
                let (name, node) = match token.kind {
                    TokenKind::Break => ("{{break}}", Node::Break(token.span)),
                    _ => ("{{continue}}", Node::Continue(token.span)),
                };
                let close = self.next_word()?;
                if close.kind != TokenKind::Close {
                    return self.unexpected(close, name);
                }
                if self.ranges == 0 {
                    return self.fail(token.span, format!("{name} outside {{{{range}}}}"));
                }
                node
            }
            TokenKind::Else => {
                let next = self.peek_word()?;
                if !matches!(next.kind, TokenKind::If | TokenKind::With) {
                    self.expect(TokenKind::Close, "else")?;
                }
                return Ok(Step::End(End::Else(token)));
            }
            TokenKind::End => {
                self.expect(TokenKind::Close, "end")?;
                return Ok(Step::End(End::End));
            }
            TokenKind::If => Node::If(self.branch("if")?),
            TokenKind::Range => Node::Range(self.branch("range")?),
            TokenKind::With => Node::With(self.branch("with")?),
            TokenKind::Template => self.template()?,
            _ => {
                self.back(token);
                Node::Action(self.pipeline("command", TokenKind::Close)?)
            }
        };
        Ok(Step::Node(node))
    }

    fn branch(&mut self, context: &'static str) -> Parsed<Branch> {
        let known = self.variables.len();
        let pipe = self.pipeline(context, TokenKind::Close)?;
        let is_range = context == "range";
        self.ranges += usize::from(is_range);
        let (body, end) = self.list()?;
        self.ranges -= usize::from(is_range);
        let otherwise = match end {
            End::End => None,
            End::Else(token) => {
                let next = self.peek_word()?;
                match (context, next.kind) {
                    // The same `end` ends both.
                    ("if", TokenKind::If) | ("with", TokenKind::With) => {
                        self.next_word()?;
                        self.deeper(token.span)?;
                        let node = if context == "if" {
                            Node::If(self.branch("if")?)
                        } else {
                            Node::With(self.branch("with")?)
                        };
                        self.depth -= 1;
                        Some(vec![node])
                    }
                    _ => {
                        let (list, end) = self.list()?;
                        if let End::Else(token) = end {
                            return self.fail(token.span, "expected end; found {{else}}");
                        }
                        Some(list)
                    }
                }
            }
        };
        self.variables.truncate(known);
        Ok(Branch { pipe, body, otherwise })
    }

    fn block(&mut self) -> Parsed<Node> {
        const CONTEXT: &str = "block clause";
        let (token, name) = self.template_name(CONTEXT)?;
        let pipe = self.pipeline(CONTEXT, TokenKind::Close)?;
        let span = Span { start: token.span.start, end: pipe.span.end };
        let body = self.body_apart(CONTEXT)?;
        self.define(name.clone(), body, token.span)?;
        Ok(Node::Template { span, name: name.into(), pipe: Some(pipe) })
    }

    fn template(&mut self) -> Parsed<Node> {
        const CONTEXT: &str = "template clause";
        let (token, name) = self.template_name(CONTEXT)?;
        let mut span = token.span;
        let next = self.next_word()?;
        let mut pipe = None;
        if next.kind != TokenKind::Close {
            self.back(next);
            let given = self.pipeline(CONTEXT, TokenKind::Close)?;
            span.end = given.span.end;
            pipe = Some(given);
        }
        Ok(Node::Template { span, name: name.into(), pipe })
    }

    fn pipeline(&mut self, context: &str, end: TokenKind) -> Parsed<Pipe> {
        let first = self.peek_word()?;
        let mut pipe = Pipe {
            span: Span { start: first.span.start, end: first.span.start },
            assigns: false,
            variables: Vec::new(),
            commands: Vec::new(),
        };
        self.declarations(context, &mut pipe)?;
        loop {
            let token = self.next_word()?;
            if token.kind == end {
                self.closed = token.span.end;
                break;
            }
            if !starts_operand(token.kind) {
                return self.unexpected(token, context);
            }
            self.back(token);
            pipe.commands.push(self.command()?);
        }
        let Some(last) = pipe.commands.last() else {
            return self.fail(first.span, format!("missing value for {context}"));
        };
        pipe.span.end = last.span.end;
        for (index, command) in pipe.commands.iter().enumerate().skip(1) {
            let Some(word) = command.words.first() else { continue };
            if !matches!(
                word.kind,
                ExpressionKind::Function(_)
                    | ExpressionKind::Field(_)
                    | ExpressionKind::Variable(_)
                    | ExpressionKind::Chain(..)
                    | ExpressionKind::Pipe(_)
            ) {
                let message = format!("non executable command in pipeline stage {}", index + 1);
                return self.fail(word.span, message);
            }
        }
        Ok(pipe)
    }

    fn declarations(&mut self, context: &str, pipe: &mut Pipe) -> Parsed<()> {
        loop {
            let variable = self.peek_word()?;
            if variable.kind != TokenKind::Variable {
                return Ok(());
            }
            self.next_word()?;
            let after = self.next()?;
            let next = if after.kind == TokenKind::Space { self.next_word()? } else { after };
            let name = SmolStr::new(variable.span.slice(self.text));
            match next.kind {
                TokenKind::Assign | TokenKind::Declare => {
                    pipe.assigns = next.kind == TokenKind::Assign;
                    pipe.variables.push((name.clone(), variable.span));
                    self.variables.push(name);
                    return Ok(());
                }
                TokenKind::Character if next.span.slice(self.text) == "," => {
                    pipe.variables.push((name.clone(), variable.span));
                    self.variables.push(name);
                    if context != "range" || pipe.variables.len() >= 2 {
                        return self.fail(next.span, format!("too many declarations in {context}"));
                    }
                    let following = self.peek_word()?;
                    if !matches!(following.kind, TokenKind::Variable | TokenKind::Close | TokenKind::CloseParen) {
                        return self.fail(following.span, "range can only initialize variables");
                    }
                }
                _ => {
                    self.back(next);
                    if after.kind == TokenKind::Space {
                        self.back(after);
                    }
                    self.back(variable);
                    return Ok(());
                }
            }
        }
    }

    fn command(&mut self) -> Parsed<Command> {
        let first = self.peek_word()?;
        let mut words = Vec::new();
        loop {
            self.peek_word()?;
            if let Some(operand) = self.operand()? {
                words.push(operand);
            }
            let token = self.next()?;
            match token.kind {
                TokenKind::Space => continue,
                TokenKind::Close | TokenKind::CloseParen => self.back(token),
                TokenKind::Pipe => {}
                _ => return self.unexpected(token, "operand"),
            }
            break;
        }
        match words.last() {
            Some(last) => Ok(Command { span: Span { start: first.span.start, end: last.span.end }, words }),
            None => self.fail(first.span, "empty command"),
        }
    }

    fn operand(&mut self) -> Parsed<Option<Expression>> {
        let Some(mut expression) = self.term()? else { return Ok(None) };
        let mut fields = Vec::new();
        while self.peek()?.kind == TokenKind::Field {
            let token = self.next()?;
            fields.push(SmolStr::new(&token.span.slice(self.text)[1..]));
            expression.span.end = token.span.end;
        }
        if fields.is_empty() {
            return Ok(Some(expression));
        }
        let span = expression.span;
        expression.kind = match expression.kind {
            ExpressionKind::Field(mut own) => {
                own.append(&mut fields);
                ExpressionKind::Field(own)
            }
            ExpressionKind::Variable(mut own) => {
                own.append(&mut fields);
                ExpressionKind::Variable(own)
            }
            kind @ (ExpressionKind::Function(_) | ExpressionKind::Pipe(_)) => {
                ExpressionKind::Chain(Box::new(Expression { span, kind }), fields)
            }
            _ => return self.fail(span, "unexpected . after term"),
        };
        Ok(Some(expression))
    }

    fn term(&mut self) -> Parsed<Option<Expression>> {
        let token = self.next_word()?;
        let text = token.span.slice(self.text);
        let kind = match token.kind {
            TokenKind::Identifier => match functions::find(text) {
                Some(function) => ExpressionKind::Function(function),
                None => return self.fail(token.span, format!("function {text:?} not defined")),
            },
            TokenKind::Dot => ExpressionKind::Dot,
            TokenKind::Nil => ExpressionKind::Nil,
            TokenKind::Variable => {
                if !self.variables.iter().any(|known| known == text) {
                    return self.fail(token.span, format!("undefined variable {text:?}"));
                }
                ExpressionKind::Variable(vec![SmolStr::new(text)])
            }
            TokenKind::Field => ExpressionKind::Field(vec![SmolStr::new(&text[1..])]),
            TokenKind::Bool => ExpressionKind::Bool(text == "true"),
            TokenKind::CharacterConstant | TokenKind::Number => match literal::number(text) {
                Some(literal::Number::Int(value)) => ExpressionKind::Int(value),
                Some(literal::Number::Float(value)) => ExpressionKind::Float(value),
                None => return self.fail(token.span, format!("illegal number syntax: {text:?}")),
            },
            TokenKind::OpenParen => {
                self.deeper(token.span)?;
                let pipe = self.pipeline("parenthesized pipeline", TokenKind::CloseParen)?;
                self.depth -= 1;
                let span = Span { start: token.span.start, end: self.closed };
                return Ok(Some(Expression { span, kind: ExpressionKind::Pipe(Box::new(pipe)) }));
            }
            TokenKind::Quoted | TokenKind::RawText => {
                let value = self.unquoted(token)?;
                let verbatim = text.get(1..text.len() - 1) == Some(value.as_str());
                ExpressionKind::Text(value.into(), verbatim)
            }
            _ => {
                self.back(token);
                return Ok(None);
            }
        };
        Ok(Some(Expression { span: token.span, kind }))
    }
}

fn starts_operand(kind: TokenKind) -> bool {
    matches!(
        kind,
        TokenKind::Bool
            | TokenKind::CharacterConstant
            | TokenKind::Dot
            | TokenKind::Field
            | TokenKind::Identifier
            | TokenKind::Number
            | TokenKind::Nil
            | TokenKind::RawText
            | TokenKind::Quoted
            | TokenKind::Variable
            | TokenKind::OpenParen
    )
}
