//! What a template says, as a tree: every node knows its bytes.

use smol_str::SmolStr;

pub use super::functions::Function;

/// A range of bytes in the text of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Span {
    /// The first byte.
    pub start: u32,
    /// The byte after the last one.
    pub end: u32,
}

impl Span {
    /// A range of bytes.
    pub fn new(start: usize, end: usize) -> Self {
        Self { start: u32::try_from(start).unwrap_or(u32::MAX), end: u32::try_from(end).unwrap_or(u32::MAX) }
    }

    /// The bytes of a text.
    pub fn slice(self, text: &str) -> &str {
        text.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

/// One template: a file, or a `define` in one.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Template {
    /// Its name; of a file, its path.
    pub name: String,
    /// What it consists of.
    pub body: Vec<Node>,
}

/// A part of a template.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// Text, trimmed as the directives around it say.
    Text(Span),
    /// A comment, without its delimiters.
    Comment(Span),
    /// A pipeline whose value is written, unless it only sets a variable.
    Action(Pipe),
    /// `if`, with the value of its pipeline as the condition.
    If(Branch),
    /// `with`: the same, and the value becomes the dot.
    With(Branch),
    /// `range`
    Range(Branch),
    /// `template`, and `block` where it is used.
    Template {
        /// The directive without its delimiters and the word `template`.
        span: Span,
        /// The template that is used.
        name: SmolStr,
        /// What becomes its dot.
        pipe: Option<Pipe>,
    },
    /// `break`
    Break(Span),
    /// `continue`
    Continue(Span),
}

/// A directive with a body.
#[derive(Debug, Clone, PartialEq)]
pub struct Branch {
    /// Its condition, or what it ranges over.
    pub pipe: Pipe,
    /// What stands before `else` or `end`.
    pub body: Vec<Node>,
    /// What stands after `else`.
    pub otherwise: Option<Vec<Node>>,
}

/// `$x := a | b`
#[derive(Debug, Clone, PartialEq)]
pub struct Pipe {
    /// All of it.
    pub span: Span,
    /// Whether existing variables are set (`=`), instead of new ones (`:=`).
    pub assigns: bool,
    /// The variables that are set, with their dollar signs.
    pub variables: Vec<(SmolStr, Span)>,
    /// The commands, each of which is given the value of the one before it.
    pub commands: Vec<Command>,
}

impl Pipe {
    /// Returns the range without the variables that it sets.
    pub fn value_span(&self) -> Span {
        match (self.commands.first(), self.commands.last()) {
            (Some(first), Some(last)) => Span { start: first.span.start, end: last.span.end },
            _ => self.span,
        }
    }
}

/// A function with its arguments, or a value.
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    /// All of it.
    pub span: Span,
    /// What is called, or the value; then the arguments.
    pub words: Vec<Expression>,
}

/// A value, or what is computed to one.
#[derive(Debug, Clone, PartialEq)]
pub struct Expression {
    /// All of it.
    pub span: Span,
    /// What it is.
    pub kind: ExpressionKind,
}

/// The kinds of expressions.
#[derive(Debug, Clone, PartialEq)]
pub enum ExpressionKind {
    /// The name of a function.
    Function(&'static Function),
    /// `.`
    Dot,
    /// `nil`
    Nil,
    /// `.a.b`
    Field(Vec<SmolStr>),
    /// `$x.a.b`; the first word is the variable, with its dollar sign.
    Variable(Vec<SmolStr>),
    /// `(…).a.b`
    Chain(Box<Expression>, Vec<SmolStr>),
    /// `true` or `false`
    Bool(bool),
    /// A whole number, a character among them.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A string, and whether its bytes in the template are what it says.
    Text(SmolStr, bool),
    /// A pipeline in parentheses.
    Pipe(Box<Pipe>),
}
