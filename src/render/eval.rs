//! Templates to text: the evaluator of Go's `text/template`, with Helm's additions.

use std::collections::HashMap;
use std::rc::Rc;

use smol_str::SmolStr;

use super::ast::{Branch, Command, Expression, ExpressionKind, Node, Pipe, Span};
use super::fields;
use super::functions::{self, Arguments, Function, Run, Special};
use super::guard::{Guard, GuardKind, assigned};
use super::limits::{Limits, too_long};
use super::parse;
use super::source::{Compiled, Source};
use super::text::{GuardId, Marked, Origin, Shape};
use super::value::{IntType, Kind, Value};

/// What Go writes for nil, and Helm takes out again.
const NO_VALUE: &str = "<no value>";

/// The name of what is given to `tpl`.
const TPL_NAME: &str = "gotpl";

/// Why a template could not be rendered, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderError {
    /// What is wrong.
    pub message: String,
    /// The call or field that failed.
    pub origin: Origin,
    /// Whether a bound was reached; then the chart may well be all right.
    pub is_limit: bool,
}

type Evaluated<T> = Result<T, RenderError>;

/// How a list of nodes ended.
#[derive(PartialEq, Eq)]
enum Flow {
    On,
    Break,
    Continue,
}

/// Evaluates the templates of one chart with its subcharts.
pub(super) struct Machine {
    /// Templates by name. Those that a text given to `tpl` defines are known in it only.
    templates: Vec<HashMap<SmolStr, Rc<Compiled>>>,
    limits: Limits,
    steps: u64,
    bytes: u64,
    depth: u32,
    pub(super) guards: Vec<Guard>,
}

/// What a template is evaluated with.
struct Frame {
    source: Rc<Source>,
    variables: Vec<(SmolStr, Value)>,
    guard: GuardId,
}

impl Machine {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            templates: vec![HashMap::new()],
            steps: limits.steps,
            bytes: limits.bytes,
            limits,
            depth: 0,
            guards: vec![Guard::default()],
        }
    }

    /// Parses a file, so that its templates can be used.
    pub(super) fn add(&mut self, name: &str, source: Source) -> Evaluated<()> {
        self.define(name, Rc::new(source)).map(|_| ())
    }

    fn define(&mut self, name: &str, source: Rc<Source>) -> Evaluated<Option<Rc<Compiled>>> {
        let parsed = parse::parse(name, &source.text).map_err(|error| RenderError {
            message: error.message,
            origin: source.origin(error.span),
            is_limit: false,
        })?;
        let mut main = None;
        for template in parsed {
            let empty = parse::is_empty(&template.body, &source.text);
            let key = SmolStr::new(&template.name);
            let compiled = Rc::new(Compiled { source: Rc::clone(&source), body: template.body, name: template.name });
            if compiled.name == name {
                main = Some(Rc::clone(&compiled));
            }
            let Some(known) = self.templates.last_mut() else { continue };
            // Nothing replaces something.
            if !empty || !known.contains_key(&key) {
                known.insert(key, compiled);
            }
        }
        Ok(main)
    }

    fn template(&self, name: &str) -> Option<Rc<Compiled>> {
        self.templates.iter().rev().find_map(|known| known.get(name)).cloned()
    }

    /// Renders a file.
    pub(super) fn run(&mut self, name: &str, dot: &Value) -> Evaluated<Marked> {
        let Some(template) = self.template(name) else { return Ok(Marked::default()) };
        self.depth = 0;
        let mut into = Marked::default();
        self.execute(&template, dot, GuardId::default(), &mut into)?;
        Ok(without_no_value(into))
    }

    fn execute(&mut self, template: &Rc<Compiled>, dot: &Value, guard: GuardId, into: &mut Marked) -> Evaluated<()> {
        let start = Span { start: 0, end: 0 };
        if self.depth >= self.limits.depth {
            return Err(limit("templates are nested too deeply", template.source.origin(start)));
        }
        self.depth += 1;
        let mut frame = Frame {
            source: Rc::clone(&template.source),
            variables: vec![(SmolStr::new_static("$"), dot.clone())],
            guard,
        };
        let result = self.walk(&template.body, dot, &mut frame, into);
        self.depth -= 1;
        result.map(|_| ())
    }

    fn step(&mut self, frame: &Frame, span: Span) -> Evaluated<()> {
        self.steps = self.steps.saturating_sub(1);
        if self.steps == 0 { Err(limit("the chart takes too many steps", frame.source.origin(span))) } else { Ok(()) }
    }

    fn charge(&mut self, length: usize, frame: &Frame, span: Span) -> Evaluated<()> {
        self.bytes = self.bytes.saturating_sub(length as u64);
        if self.bytes == 0 { Err(limit(&too_long(), frame.source.origin(span))) } else { Ok(()) }
    }

    fn walk(&mut self, nodes: &[Node], dot: &Value, frame: &mut Frame, into: &mut Marked) -> Evaluated<Flow> {
        for node in nodes {
            match node {
                Node::Text(span) => {
                    self.charge((span.end - span.start) as usize, frame, *span)?;
                    frame.source.write(*span, into, frame.guard);
                }
                Node::Comment(_) => {}
                Node::Action(pipe) => {
                    self.step(frame, pipe.span)?;
                    let value = self.pipeline(pipe, dot, frame)?;
                    if pipe.variables.is_empty() {
                        self.write(&value, pipe.span, frame, into)?;
                    }
                }
                Node::If(branch) => match self.branch(branch, false, dot, frame, into)? {
                    Flow::On => {}
                    flow => return Ok(flow),
                },
                Node::With(branch) => match self.branch(branch, true, dot, frame, into)? {
                    Flow::On => {}
                    flow => return Ok(flow),
                },
                Node::Range(branch) => {
                    let known = frame.variables.len();
                    let guard = frame.guard;
                    let flow = self.range(branch, dot, frame, into);
                    frame.variables.truncate(known);
                    frame.guard = guard;
                    if let flow @ (Flow::Break | Flow::Continue) = flow? {
                        return Ok(flow);
                    }
                }
                Node::Template { span, name, pipe } => {
                    self.step(frame, *span)?;
                    let Some(template) = self.template(name) else {
                        let message = format!("template {name:?} not defined");
                        return Err(fail(message, frame.source.origin(*span)));
                    };
                    let value = match pipe {
                        Some(pipe) => self.pipeline(pipe, dot, frame)?,
                        None => Value::NIL,
                    };
                    self.execute(&template, &value, frame.guard, into)?;
                }
                Node::Break(_) => return Ok(Flow::Break),
                Node::Continue(_) => return Ok(Flow::Continue),
            }
        }
        Ok(Flow::On)
    }

    fn write(&mut self, value: &Value, span: Span, frame: &Frame, into: &mut Marked) -> Evaluated<()> {
        let origin = frame.source.origin(span);
        let before = into.text.len();
        if value.is_nil() {
            into.push(NO_VALUE, origin, frame.guard, value.shape());
        } else {
            let mut printer = super::print::Printer { into, origin, guard: frame.guard, shape: None };
            printer.value(value);
        }
        let written = into.text.len() - before;
        if written == 0
            && let Some(shape) = value.shape()
        {
            into.push_gap(origin, frame.guard, shape);
        }
        self.charge(written, frame, span)
    }

    /// The guard of what stands under a condition.
    fn guarded(&mut self, kind: GuardKind, holds: bool, certain: bool, pipe: &Pipe, frame: &Frame) -> GuardId {
        let id = GuardId(super::text::to_u32(self.guards.len()));
        let condition = frame.source.origin(pipe.span);
        self.guards.push(Guard { parent: frame.guard, kind, condition, holds, certain });
        id
    }

    fn branch(
        &mut self,
        branch: &Branch,
        sets_dot: bool,
        dot: &Value,
        frame: &mut Frame,
        into: &mut Marked,
    ) -> Evaluated<Flow> {
        let known = frame.variables.len();
        self.step(frame, branch.pipe.span)?;
        let value = self.pipeline(&branch.pipe, dot, frame)?;
        let (truth, certain) = (value.truth(), value.is_certain() || is_certainly_true(&value));
        let outer = frame.guard;
        let kind = if sets_dot { GuardKind::With } else { GuardKind::If };
        frame.guard = self.guarded(kind, truth, certain, &branch.pipe, frame);
        let flow = match (truth, &branch.otherwise) {
            (true, _) if sets_dot => self.walk(&branch.body, &value, frame, into)?,
            (true, _) => self.walk(&branch.body, dot, frame, into)?,
            (false, Some(otherwise)) => self.walk(otherwise, dot, frame, into)?,
            (false, None) => Flow::On,
        };
        let inner = std::mem::replace(&mut frame.guard, outer);
        frame.variables.truncate(known);
        if !certain {
            // The other branch might have written something, and set variables.
            into.push_gap(frame.source.origin(branch.pipe.span), inner, Shape::Any);
            self.forget(branch, frame);
        }
        Ok(flow)
    }

    /// Variables that a branch sets are not known after it, if it is not known whether it is taken.
    fn forget(&self, branch: &Branch, frame: &mut Frame) {
        let mut names = Vec::new();
        assigned(&branch.body, &mut names);
        if let Some(otherwise) = &branch.otherwise {
            assigned(otherwise, &mut names);
        }
        for (name, value) in &mut frame.variables {
            if names.contains(name) {
                *value = value.clone().unknown(Shape::Any);
            }
        }
    }

    fn range(&mut self, branch: &Branch, dot: &Value, frame: &mut Frame, into: &mut Marked) -> Evaluated<Flow> {
        let pipe = &branch.pipe;
        self.step(frame, pipe.span)?;
        let value = self.commands(pipe, dot, frame)?;
        let items = fields::items(&value).map_err(|message| fail(message, frame.source.origin(pipe.span)))?;
        if pipe.variables.len() > 1 && matches!(value.kind, Kind::Int(..)) {
            let message = format!("can't use {} to iterate over more than one variable", value.type_name());
            return Err(fail(message, frame.source.origin(pipe.span)));
        }
        let certain = value.is_certain();
        frame.guard = self.guarded(GuardKind::Range, !items.is_empty(), certain, pipe, frame);
        let known = frame.variables.len();
        let shape = value.shape();
        let is_empty = items.is_empty();
        for (index, mut item) in items {
            self.step(frame, pipe.span)?;
            if let Some(shape) = shape {
                item = item.unknown(shape);
            }
            match (&pipe.variables[..], pipe.assigns) {
                ([(name, _)], true) => set(frame, name, &item),
                ([(first, _), (second, _)], true) => {
                    set(frame, first, &index);
                    set(frame, second, &item);
                }
                ([(name, _)], false) => frame.variables.push((name.clone(), item.clone())),
                ([(first, _), (second, _)], false) => {
                    frame.variables.push((first.clone(), index));
                    frame.variables.push((second.clone(), item.clone()));
                }
                _ => {}
            }
            let flow = self.walk(&branch.body, &item, frame, into)?;
            frame.variables.truncate(known);
            if flow == Flow::Break {
                break;
            }
        }
        let mut flow = Flow::On;
        if is_empty && let Some(otherwise) = &branch.otherwise {
            flow = self.walk(otherwise, dot, frame, into)?;
        }
        if !certain {
            into.push_gap(frame.source.origin(pipe.span), frame.guard, Shape::Any);
            self.forget(branch, frame);
        }
        Ok(flow)
    }

    /// The value of a pipeline, which its variables get.
    fn pipeline(&mut self, pipe: &Pipe, dot: &Value, frame: &mut Frame) -> Evaluated<Value> {
        let value = self.commands(pipe, dot, frame)?;
        for (name, _) in &pipe.variables {
            if pipe.assigns {
                set(frame, name, &value);
            } else {
                frame.variables.push((name.clone(), value.clone()));
            }
        }
        Ok(value)
    }

    fn commands(&mut self, pipe: &Pipe, dot: &Value, frame: &mut Frame) -> Evaluated<Value> {
        let mut last: Option<Value> = None;
        for command in &pipe.commands {
            let mut value = self.command(command, last.take(), dot, frame)?;
            if matches!(value.kind, Kind::Null) {
                value.kind = Kind::Nil;
            }
            last = Some(value);
        }
        Ok(last.unwrap_or(Value::NIL))
    }

    fn command(&mut self, command: &Command, last: Option<Value>, dot: &Value, frame: &mut Frame) -> Evaluated<Value> {
        let Some((first, arguments)) = command.words.split_first() else { return Ok(Value::NIL) };
        match &first.kind {
            ExpressionKind::Function(function) => self.function(function, command.span, arguments, last, dot, frame),
            ExpressionKind::Field(names) => self.chain(dot.clone(), names, first.span, arguments, last, dot, frame),
            ExpressionKind::Chain(base, names) => {
                let base = self.expression(base, dot, frame)?;
                let base = if matches!(base.kind, Kind::Null) { Value::NIL } else { base };
                self.chain(base, names, first.span, arguments, last, dot, frame)
            }
            ExpressionKind::Variable(names) => {
                let (value, rest) = variable(frame, names);
                if rest.is_empty() {
                    self.no_arguments(first, arguments, last.is_some(), frame)?;
                    return Ok(value);
                }
                self.chain(value, rest, first.span, arguments, last, dot, frame)
            }
            _ => {
                self.no_arguments(first, arguments, last.is_some(), frame)?;
                if first.kind == ExpressionKind::Nil {
                    return Err(fail("nil is not a command", frame.source.origin(first.span)));
                }
                self.expression(first, dot, frame)
            }
        }
    }

    fn no_arguments(&self, word: &Expression, arguments: &[Expression], piped: bool, frame: &Frame) -> Evaluated<()> {
        if arguments.is_empty() && !piped {
            return Ok(());
        }
        let text = word.span.slice(&frame.source.text);
        Err(fail(format!("can't give argument to non-function {text}"), frame.source.origin(word.span)))
    }

    /// The value of a word that is no command.
    fn expression(&mut self, word: &Expression, dot: &Value, frame: &mut Frame) -> Evaluated<Value> {
        let origin = |frame: &Frame| frame.source.origin(word.span);
        Ok(match &word.kind {
            ExpressionKind::Function(function) => return self.function(function, word.span, &[], None, dot, frame),
            ExpressionKind::Dot => dot.clone(),
            ExpressionKind::Nil => Value::NIL,
            ExpressionKind::Field(names) => return self.chain(dot.clone(), names, word.span, &[], None, dot, frame),
            ExpressionKind::Variable(names) => {
                let (value, rest) = variable(frame, names);
                if rest.is_empty() {
                    return Ok(value);
                }
                return self.chain(value, rest, word.span, &[], None, dot, frame);
            }
            ExpressionKind::Chain(base, names) => {
                let base = self.expression(base, dot, frame)?;
                let base = if matches!(base.kind, Kind::Null) { Value::NIL } else { base };
                return self.chain(base, names, word.span, &[], None, dot, frame);
            }
            ExpressionKind::Bool(value) => Value::from(*value).at(origin(frame)),
            ExpressionKind::Int(value) => Value::from(Kind::Int(*value, IntType::Int)).at(origin(frame)),
            ExpressionKind::Float(value) => Value::from(*value).at(origin(frame)),
            ExpressionKind::Text(text, verbatim) => {
                let span =
                    if *verbatim { Span { start: word.span.start + 1, end: word.span.end - 1 } } else { word.span };
                Value::from(text.clone()).at(frame.source.origin(span))
            }
            ExpressionKind::Pipe(pipe) => return self.pipeline(pipe, dot, frame),
        })
    }

    /// The fields of a value, the last of which may be a method with arguments.
    #[expect(clippy::too_many_arguments, reason = "what a call consists of")]
    fn chain(
        &mut self,
        mut value: Value,
        names: &[SmolStr],
        span: Span,
        arguments: &[Expression],
        last: Option<Value>,
        dot: &Value,
        frame: &mut Frame,
    ) -> Evaluated<Value> {
        let mut given = Vec::new();
        for argument in arguments {
            given.push(self.expression(argument, dot, frame)?);
        }
        given.extend(last);
        for (index, name) in names.iter().enumerate() {
            let own: &[Value] = if index + 1 == names.len() { &given } else { &[] };
            value = fields::field(&value, name, own).map_err(|message| fail(message, frame.source.origin(span)))?;
        }
        Ok(value)
    }

    fn function(
        &mut self,
        function: &'static Function,
        span: Span,
        arguments: &[Expression],
        last: Option<Value>,
        dot: &Value,
        frame: &mut Frame,
    ) -> Evaluated<Value> {
        self.step(frame, span)?;
        let count = arguments.len() + usize::from(last.is_some());
        if count < function.least || function.most.is_some_and(|most| count > most) {
            let wanted = match function.most {
                Some(most) if most == function.least => most.to_string(),
                _ => format!("at least {}", function.least),
            };
            let message = format!("wrong number of args for {}: want {wanted} got {count}", function.name);
            return Err(fail(message, frame.source.origin(span)));
        }
        if let Run::Special(special @ (Special::And | Special::Or)) = function.run {
            return self.and_or(special, arguments, last, dot, frame);
        }
        let mut given = Vec::with_capacity(count);
        for argument in arguments {
            given.push(self.expression(argument, dot, frame)?);
        }
        given.extend(last);
        let origin = frame.source.origin(span);
        match function.run {
            Run::Special(Special::Include) => self.include(&given, origin, frame),
            Run::Special(Special::Tpl) => self.tpl(&given, origin, frame),
            Run::Special(_) => Err(fail("there is nothing to call", origin)),
            _ => {
                let budget = usize::try_from(self.bytes).unwrap_or(usize::MAX);
                let arguments = Arguments::new(&given, origin, budget);
                let value = functions::call(function, &arguments).map_err(|message| RenderError {
                    is_limit: message == too_long(),
                    message: error_of(function, message),
                    origin,
                })?;
                if let Kind::Text(text) = &value.kind {
                    self.charge(text.as_str().len(), frame, span)?;
                }
                Ok(value)
            }
        }
    }

    fn and_or(
        &mut self,
        special: Special,
        arguments: &[Expression],
        last: Option<Value>,
        dot: &Value,
        frame: &mut Frame,
    ) -> Evaluated<Value> {
        let mut result = Value::NIL;
        let mut unknown = false;
        let ends = |value: &Value| value.truth() == (special == Special::Or);
        for argument in arguments {
            result = self.expression(argument, dot, frame)?;
            if ends(&result) && (result.is_certain() || !unknown) {
                return Ok(if unknown { result.unknown(Shape::Any) } else { result });
            }
            if ends(&result) {
                return Ok(result.unknown(Shape::Any));
            }
            unknown |= !result.is_certain();
        }
        if let Some(last) = last {
            result = last;
        }
        Ok(if unknown && result.is_certain() { result.unknown(Shape::Any) } else { result })
    }

    fn include(&mut self, given: &[Value], origin: Origin, frame: &Frame) -> Evaluated<Value> {
        let name = Arguments::new(given, origin, 0).str(0).map_err(|message| fail(message, origin))?;
        let Some(template) = self.template(name) else {
            return Err(fail(
                format!("error calling include: template: no template {name:?} associated with template \"gotpl\""),
                origin,
            ));
        };
        let mut into = Marked::default();
        let dot = given.get(1).cloned().unwrap_or(Value::NIL);
        self.execute(&template, &dot, frame.guard, &mut into)?;
        Ok(into.into())
    }

    fn tpl(&mut self, given: &[Value], origin: Origin, frame: &Frame) -> Evaluated<Value> {
        let arguments = Arguments::new(given, origin, 0);
        let marked = arguments.marked(0).map_err(|message| fail(message, origin))?;
        if !marked.text.contains("{{") {
            return Ok(without_no_value(marked).into());
        }
        if let Some(shape) = marked.marks.iter().filter_map(|mark| mark.shape).max()
            && shape > Shape::Word
        {
            // What is not known may hold directives.
            return Ok(Value::from(marked.text).at(origin).unknown(Shape::Any));
        }
        let dot = given.get(1).cloned().unwrap_or(Value::NIL);
        self.templates.push(HashMap::new());
        let result = self.tpl_in_scope(marked, &dot, frame);
        self.templates.pop();
        result
    }

    fn tpl_in_scope(&mut self, marked: Marked, dot: &Value, frame: &Frame) -> Evaluated<Value> {
        let source = Rc::new(Source::text(marked));
        let mut into = Marked::default();
        if let Some(template) = self.define(TPL_NAME, source)? {
            self.execute(&template, dot, frame.guard, &mut into)?;
        }
        Ok(without_no_value(into).into())
    }
}

fn is_certainly_true(value: &Value) -> bool {
    // A text with a word that is not known is not empty.
    matches!(&value.kind, Kind::Text(text) if value.truth() && matches!(value.certainty, super::value::Certainty::Known) && !text.as_str().is_empty())
}

fn error_of(function: &Function, message: String) -> String {
    match function.name {
        "fail" | "required" => message,
        name => format!("error calling {name}: {message}"),
    }
}

fn set(frame: &mut Frame, name: &str, value: &Value) {
    if let Some((_, known)) = frame.variables.iter_mut().rev().find(|(known, _)| known == name) {
        *known = value.clone();
    }
}

/// The value of a variable, and the fields of it that follow.
fn variable<'n>(frame: &Frame, names: &'n [SmolStr]) -> (Value, &'n [SmolStr]) {
    let Some((name, rest)) = names.split_first() else { return (Value::NIL, &[]) };
    let found = frame.variables.iter().rev().find(|(known, _)| known == name);
    (found.map_or(Value::NIL, |(_, value)| value.clone()), rest)
}

fn without_no_value(text: Marked) -> Marked {
    if text.text.contains(NO_VALUE) { text.replace(NO_VALUE, "") } else { text }
}

fn fail(message: impl Into<String>, origin: Origin) -> RenderError {
    RenderError { message: message.into(), origin, is_limit: false }
}

fn limit(message: &str, origin: Origin) -> RenderError {
    RenderError { message: message.to_owned(), origin, is_limit: true }
}
