//! Templates to text: the evaluator of Go's `text/template`, with Helm's additions.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use smol_str::SmolStr;

use super::ast::{Branch, Command, Expression, ExpressionKind, Node, Pipe, Span};
use super::condition;
use super::exploration::{Exploration, Untaken};
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

/// Steps that each of them may take.
const MAX_SPECULATIVE_STEPS: u64 = 20_000;

/// Untaken branches that one rendering evaluates.
const MAX_UNTAKEN: usize = 256;

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
    /// Templates executed while exploring.
    used: HashSet<SmolStr>,
    /// Set while exploring. Errors then become unknown values.
    pub(super) exploration: Option<Exploration>,
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
            used: HashSet::new(),
            exploration: None,
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

    fn template(&mut self, name: &str) -> Option<Rc<Compiled>> {
        let found = self.templates.iter().rev().find_map(|known| known.get(name)).cloned();
        if found.is_some() && self.exploration.is_some() && !self.used.contains(name) {
            self.used.insert(SmolStr::new(name));
        }
        found
    }

    /// Returns templates that are defined but were not executed, with the range of their text.
    pub(super) fn unused(&self) -> Vec<(SmolStr, Origin)> {
        let defined = self.templates.iter().flatten().filter(|(name, _)| !self.used.contains(*name));
        let mut unused: Vec<_> = defined
            .filter_map(|(name, template)| Some((name.clone(), template.source.origin(span_of(&template.body)?))))
            .collect();
        unused.sort_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
        unused
    }

    /// Sets the bytes that may be produced from here on.
    pub(super) fn limit_bytes(&mut self, bytes: u64) {
        self.bytes = bytes.min(self.limits.bytes);
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
                        let before = into.text.len();
                        self.write(&value, pipe.span, frame, into)?;
                        let written = into.text.get(before..).unwrap_or_default();
                        self.record_empty_value(pipe, written, frame);
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
                        let origin = frame.source.origin(*span);
                        let value = self.or_unknown(Err(fail(message, origin)))?;
                        self.write(&value, *span, frame, into)?;
                        continue;
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

    /// The guard of what is written under a condition.
    fn guarded(&mut self, guard: Guard) -> GuardId {
        let id = GuardId(super::text::to_u32(self.guards.len()));
        self.guards.push(guard);
        id
    }

    /// Turns an error into an unknown value while exploring.
    fn or_unknown(&self, result: Evaluated<Value>) -> Evaluated<Value> {
        match result {
            Err(error) if self.exploration.is_some() && !error.is_limit => Ok(Value::not_known(error.origin)),
            result => result,
        }
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
        let mut value = self.pipeline(&branch.pipe, dot, frame)?;
        let certain = value.is_certain() || is_certainly_true(&value);
        let truth = value.truth();
        if self.exploration.as_ref().is_some_and(|exploration| exploration.is_speculative) {
            // All its branches count.
            let inner = if !sets_dot {
                dot.clone()
            } else if truth {
                value
            } else {
                presumed(&branch.pipe, &value, frame)
            };
            let flow = self.walk(&branch.body, &inner, frame, into)?;
            frame.variables.truncate(known);
            return match &branch.otherwise {
                Some(otherwise) => self.walk(otherwise, dot, frame, into),
                None => Ok(flow),
            };
        }
        let taken = truth != self.is_flipped(&branch.pipe, frame);
        let outer = frame.guard;
        let guard = Guard {
            parent: outer,
            kind: if sets_dot { GuardKind::With } else { GuardKind::If },
            condition: frame.source.origin(branch.pipe.value_span()),
            holds: taken,
            certain,
            by_default: self.by_default(&branch.pipe, truth, certain, frame).map(|by_default| by_default == taken),
            count: None,
        };
        self.evaluate_untaken(branch, !taken, sets_dot, dot, frame)?;
        frame.guard = self.guarded(guard);
        if taken && !truth {
            value = presumed(&branch.pipe, &value, frame);
        }
        let flow = match (taken, &branch.otherwise) {
            (true, _) if sets_dot => self.walk(&branch.body, &value, frame, into)?,
            (true, _) => self.walk(&branch.body, dot, frame, into)?,
            (false, Some(otherwise)) => self.walk(otherwise, dot, frame, into)?,
            (false, None) => Flow::On,
        };
        let inner = std::mem::replace(&mut frame.guard, outer);
        frame.variables.truncate(known);
        // An exploring rendering takes the other branch another time.
        if !certain && self.exploration.is_none() {
            // The other branch might have written something, and set variables.
            into.push_gap(frame.source.origin(branch.pipe.span), inner, Shape::Any);
            self.forget(branch, frame);
        }
        Ok(flow)
    }

    /// Reports whether the result of a condition is inverted.
    fn is_flipped(&self, pipe: &Pipe, frame: &Frame) -> bool {
        let flipped = self.exploration.as_ref().map(|exploration| &exploration.flipped);
        flipped.is_some_and(|flipped| {
            !flipped.is_empty()
                && flipped.contains(&condition::key(pipe, &frame.source.text, frame.source.origin(pipe.value_span())))
        })
    }

    /// Returns whether a condition holds with the chart's own values, if known.
    fn by_default(&mut self, pipe: &Pipe, truth: bool, certain: bool, frame: &Frame) -> Option<bool> {
        let defaults = self.exploration.as_ref().and_then(|exploration| exploration.defaults.clone());
        let Some(defaults) = defaults.filter(|_| condition::is_global(pipe)) else { return certain.then_some(truth) };
        let mut own = Frame {
            source: Rc::clone(&frame.source),
            variables: vec![(SmolStr::new_static("$"), defaults.clone())],
            guard: GuardId::default(),
        };
        let value = self.commands(pipe, &defaults, &mut own).ok()?;
        value.is_certain().then(|| value.truth())
    }

    /// Records that a directive writes nothing because its values are empty.
    fn record_empty_value(&mut self, pipe: &Pipe, written: &str, frame: &Frame) {
        const EMPTY: [&str; 6] = ["", NO_VALUE, "null", "[]", "{}", "\"\""];
        let Some(exploration) = self.exploration.as_mut().filter(|exploration| !exploration.is_speculative) else {
            return;
        };
        if !EMPTY.contains(&written.trim()) || exploration.untaken.len() >= MAX_UNTAKEN {
            return;
        }
        let requirements = condition::values(pipe, &frame.source);
        let Some((_, origin)) = requirements.first() else { return };
        let mut text = Marked::default();
        text.push(".", *origin, frame.guard, Some(Shape::Any));
        let key = condition::key_of_place(frame.source.origin(pipe.value_span()));
        let condition = *origin;
        let untaken = || Untaken { condition, requirements, text, limits: false };
        exploration.untaken.entry(key).or_insert_with(untaken);
    }

    /// Evaluates the untaken branch and records its output.
    fn evaluate_untaken(
        &mut self,
        branch: &Branch,
        body: bool,
        sets_dot: bool,
        dot: &Value,
        frame: &mut Frame,
    ) -> Evaluated<()> {
        let Some(exploration) = &mut self.exploration else { return Ok(()) };
        let nodes = match (body, &branch.otherwise) {
            (true, _) => branch.body.as_slice(),
            (false, Some(otherwise)) => otherwise.as_slice(),
            (false, None) => &[],
        };
        // The left-out branch may be a limit, or part of a word.
        let limits = nodes.is_empty() && !body && is_limit(&branch.body, &frame.source.text);
        if exploration.is_speculative {
            return Ok(());
        }
        let origin = frame.source.origin(branch.pipe.value_span());
        let key = condition::key(&branch.pipe, &frame.source.text, origin);
        if exploration.untaken.contains_key(&key) {
            return Ok(());
        }
        if exploration.untaken.len() >= MAX_UNTAKEN {
            exploration.cut = true;
            return Ok(());
        }
        exploration.is_speculative = true;
        let known = frame.variables.len();
        let mut names = Vec::new();
        assigned(nodes, &mut names);
        let numbered = frame.variables.iter().enumerate();
        let saved = numbered.filter(|(_, (name, _))| names.contains(name)).map(|(at, it)| (at, it.clone()));
        let saved: Vec<_> = saved.collect();
        let inner = if body && sets_dot { Value::not_known(origin) } else { dot.clone() };
        let mut text = Marked::default();
        let (steps, depth) = (self.steps, self.depth);
        self.steps = steps.min(MAX_SPECULATIVE_STEPS);
        let budget = self.steps;
        let result = self.walk(nodes, &inner, frame, &mut text);
        self.steps = steps - (budget - self.steps);
        self.depth = depth;
        if result.is_err() {
            // The rest is unknown.
            text.push_gap(origin, frame.guard, Shape::Any);
        }
        frame.variables.truncate(known);
        for (at, variable) in saved {
            if let Some(known) = frame.variables.get_mut(at) {
                *known = variable;
            }
        }
        let requirements = condition::requirements(&branch.pipe, body, &frame.source);
        if let Some(exploration) = &mut self.exploration {
            exploration.is_speculative = false;
            exploration.untaken.insert(key, Untaken { condition: origin, requirements, text, limits });
        }
        Ok(())
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
        let mut value = self.commands(pipe, dot, frame)?;
        let origin = frame.source.origin(pipe.value_span());
        let mut items = match fields::items(&value) {
            Ok(items) => items,
            Err(message) => {
                value = self.or_unknown(Err(fail(message, origin)))?;
                Vec::new()
            }
        };
        let count = items.len();
        let is_speculative = self.exploration.as_ref().is_some_and(|exploration| exploration.is_speculative);
        let presumes = is_speculative || value.shape().is_some() || self.is_flipped(pipe, frame);
        if self.exploration.is_some() && items.is_empty() && presumes {
            items.push((Value::not_known(origin), Value::not_known(origin)));
        }
        if pipe.variables.len() > 1 && matches!(value.kind, Kind::Int(..)) {
            let message = format!("can't use {} to iterate over more than one variable", value.type_name());
            return Err(fail(message, frame.source.origin(pipe.span)));
        }
        let certain = value.is_certain();
        let guard = Guard {
            parent: frame.guard,
            kind: GuardKind::Range,
            condition: origin,
            holds: !items.is_empty(),
            certain,
            by_default: self
                .by_default(pipe, count > 0, certain, frame)
                .map(|by_default| by_default != items.is_empty()),
            count: Some(super::text::to_u32(count)).filter(|_| certain),
        };
        self.evaluate_untaken(branch, items.is_empty(), true, dot, frame)?;
        frame.guard = self.guarded(guard);
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
        if !certain && self.exploration.is_none() {
            into.push_gap(origin, frame.guard, Shape::Any);
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
            let found = fields::field(&value, name, own).map_err(|message| fail(message, frame.source.origin(span)));
            value = self.or_unknown(found)?;
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
        let result = self.call(function, given, span, origin, frame);
        match result {
            // `fail` writes nothing.
            Err(error) if function.name == "fail" && self.exploration.is_some() && !error.is_limit => Ok("".into()),
            result => self.or_unknown(result),
        }
    }

    fn call(
        &mut self,
        function: &'static Function,
        mut given: Vec<Value>,
        span: Span,
        origin: Origin,
        frame: &Frame,
    ) -> Evaluated<Value> {
        let is_speculative = self.exploration.as_ref().is_some_and(|exploration| exploration.is_speculative);
        if is_speculative
            && function.changes_its_first()
            && let Some(first) = given.first_mut()
        {
            // An untaken branch must not change values.
            *first = first.deep_copy();
        }
        if function.name == "ternary" && self.exploration.is_some() {
            return Ok(self.ternary(&given, origin));
        }
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

    /// Evaluates `ternary` like a branch.
    fn ternary(&mut self, given: &[Value], origin: Origin) -> Value {
        let [yes, no, condition] = given else { return Value::not_known(origin) };
        let key = condition::key_of_place(origin);
        let flipped = self.exploration.as_ref().is_some_and(|exploration| exploration.flipped.contains(&key));
        let (taken, other) = if condition.truth() == flipped { (no, yes) } else { (yes, no) };
        if let Some(exploration) = self.exploration.as_mut().filter(|exploration| !exploration.is_speculative) {
            let text = functions::text_of(other);
            let untaken = || Untaken { condition: origin, requirements: Vec::new(), text, limits: false };
            exploration.untaken.entry(key).or_insert_with(untaken);
        }
        taken.clone()
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

/// Returns the range from the first to the last literal text.
fn span_of(nodes: &[Node]) -> Option<Span> {
    let spans = nodes.iter().filter_map(|node| match node {
        Node::Text(span) => Some(*span),
        Node::If(branch) | Node::With(branch) | Node::Range(branch) => span_of(&branch.body),
        _ => None,
    });
    spans.reduce(|a, b| Span { start: a.start.min(b.start), end: a.end.max(b.end) })
}

/// Reports whether nodes write `resourceNames` or only part of a line.
fn is_limit(nodes: &[Node], text: &str) -> bool {
    let texts = nodes.iter().filter_map(|node| match node {
        Node::Text(span) => Some(span.slice(text)),
        _ => None,
    });
    let mut lines = false;
    for text in texts {
        if text.contains("resourceNames") {
            return true;
        }
        lines |= text.contains('\n');
    }
    !lines
}

/// Returns a true value for a condition that is assumed to hold, and assigns it to the pipeline's variables.
fn presumed(pipe: &Pipe, value: &Value, frame: &mut Frame) -> Value {
    let origin = frame.source.origin(pipe.value_span());
    let presumed =
        if matches!(value.kind, Kind::Bool(_)) { Value::from(true).at(origin) } else { Value::not_known(origin) };
    for (name, _) in &pipe.variables {
        set(frame, name, &presumed);
    }
    presumed
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
