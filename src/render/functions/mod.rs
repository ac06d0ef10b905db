//! The functions of Helm's templates: one table, and what each of them does.

mod compare;
mod dates;
mod dicts;
mod encoding;
mod lists;
mod merge;
mod numbers;
mod paths;
mod regexes;
mod strings;
mod table;
mod types;
mod words;

use std::fmt;
use std::rc::Rc;

use super::text::{GuardId, Marked, Origin, Shape};
use super::value::{Certainty, IntType, Kind, List, Map, Value};

pub(super) use table::TABLE;
pub(super) use table::find;

/// What a function returns, or why it fails.
pub(super) type Outcome = Result<Value, String>;

/// A function that templates may call.
pub struct Function {
    /// Its name.
    pub name: &'static str,
    /// The least number of arguments.
    pub least: usize,
    /// The greatest number of arguments; none if there is no limit.
    pub most: Option<usize>,
    /// What it does.
    pub run: Run,
}

impl Function {
    /// Reports whether it modifies its first argument.
    pub(super) fn changes_its_first(&self) -> bool {
        let names = ["set", "unset", "merge", "mergeOverwrite", "mustMerge", "mustMergeOverwrite"];
        names.contains(&self.name)
    }
}

/// What a function does.
pub enum Run {
    /// Its result is known if its arguments are.
    Pure(fn(&Arguments<'_>) -> Outcome),
    /// It passes its arguments on, and keeps what is known of each of them.
    Passing(fn(&Arguments<'_>) -> Outcome),
    /// Its result is not known: that of a clock, of chance, of a cluster. One of its kind stands for it.
    Unknown(Shape, fn(&Arguments<'_>) -> Outcome),
    /// The evaluator does it.
    Special(Special),
}

/// Functions that need the evaluator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Special {
    /// `and`, which ends at the first argument that is false
    And,
    /// `or`, which ends at the first one that is true
    Or,
    /// `include`
    Include,
    /// `tpl`
    Tpl,
    /// `call`, for which there is nothing to call
    Call,
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// The arguments of a call.
pub struct Arguments<'a> {
    values: &'a [Value],
    /// Where the call stands.
    pub(super) origin: Origin,
    /// How many bytes a result may have.
    pub(super) budget: usize,
}

fn wrong_type(expected: &str, value: &Value) -> String {
    match value.kind {
        Kind::Nil => format!("invalid value; expected {expected}"),
        _ => format!("wrong type for value; expected {expected}; got {}", value.type_name()),
    }
}

impl<'a> Arguments<'a> {
    /// Arguments at a place.
    pub(super) fn new(values: &'a [Value], origin: Origin, budget: usize) -> Self {
        Self { values, origin, budget }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    /// All of them.
    pub(super) fn all(&self) -> &'a [Value] {
        self.values
    }

    /// Those from one on.
    pub(super) fn from(&self, index: usize) -> &'a [Value] {
        self.values.get(index..).unwrap_or_default()
    }

    /// One of them; nil if it is not given.
    pub(super) fn value(&self, index: usize) -> &'a Value {
        static_nil(self.values.get(index))
    }

    /// A string.
    pub(super) fn str(&self, index: usize) -> Result<&'a str, String> {
        let value = self.value(index);
        value.as_str().ok_or_else(|| wrong_type("string", value))
    }

    /// A string with its marks.
    pub(super) fn marked(&self, index: usize) -> Result<Marked, String> {
        self.str(index)?;
        Ok(self.value(index).marked())
    }

    /// An `int`.
    pub(super) fn int(&self, index: usize) -> Result<i64, String> {
        let value = self.value(index);
        match value.kind {
            Kind::Int(number, IntType::Int) => Ok(number),
            _ => Err(wrong_type("int", value)),
        }
    }

    /// A count that is used to build a text or a list of that length.
    pub(super) fn count(&self, index: usize) -> Result<usize, String> {
        usize::try_from(self.int(index)?).map_err(|_| "negative count".to_owned())
    }

    /// A boolean.
    pub(super) fn bool(&self, index: usize) -> Result<bool, String> {
        let value = self.value(index);
        match value.kind {
            Kind::Bool(flag) => Ok(flag),
            _ => Err(wrong_type("bool", value)),
        }
    }

    /// A mapping from strings to anything. Nil is an empty one that cannot be changed.
    pub(super) fn map(&self, index: usize) -> Result<Rc<Map>, String> {
        map_of(self.value(index))
    }

    /// A list, or what counts as one.
    pub(super) fn list(&self, index: usize, what: &str) -> Result<Rc<List>, String> {
        list_of(self.value(index)).ok_or_else(|| {
            let value = self.value(index);
            match value.kind {
                Kind::Nil | Kind::Null => "runtime error: invalid memory address or nil pointer dereference".to_owned(),
                _ => format!("Cannot {what} on type {}", value.kind_name()),
            }
        })
    }

    /// An error if a result of that length is too long.
    pub(super) fn charge(&self, length: usize) -> Result<(), String> {
        if length > self.budget { Err(super::limits::too_long()) } else { Ok(()) }
    }
}

fn static_nil(value: Option<&Value>) -> &Value {
    const NIL: &Value = &Value::NIL;
    value.unwrap_or(NIL)
}

pub(super) fn map_of(value: &Value) -> Result<Rc<Map>, String> {
    match &value.kind {
        Kind::Map(map) => Ok(Rc::clone(map)),
        Kind::Nil => Ok(Rc::new(Map::default())),
        _ => Err(wrong_type("map[string]interface {}", value)),
    }
}

pub(super) fn list_of(value: &Value) -> Option<Rc<List>> {
    match &value.kind {
        Kind::List(list) => Some(Rc::clone(list)),
        Kind::Object(object) => object.as_list(),
        Kind::Bytes(bytes) => {
            let items = bytes.iter().map(|byte| Kind::Int(i64::from(*byte), IntType::Byte).into()).collect();
            Some(Rc::new(List { items, element: super::value::Element::Int }))
        }
        _ => None,
    }
}

/// A value as text, as Sprig's `toString` makes it; what is known of its parts is kept.
pub(super) fn text_of(value: &Value) -> Marked {
    if value.as_str().is_some() {
        return value.marked();
    }
    if let Kind::Bytes(bytes) = &value.kind {
        return Value::from(String::from_utf8_lossy(bytes).as_ref()).at(value.origin).marked();
    }
    let mut marked = Marked::default();
    printer(&mut marked, value.origin).value(value);
    marked
}

/// A printer into a text.
pub(super) fn printer(into: &mut Marked, origin: Origin) -> super::print::Printer<'_> {
    super::print::Printer { into, origin, guard: GuardId::default(), shape: None }
}

/// Calls a function, and works out how much is known of its result.
pub(super) fn call(function: &'static Function, arguments: &Arguments<'_>) -> Outcome {
    match &function.run {
        Run::Passing(run) => {
            let result = run(arguments)?;
            // What is one of several stays so in a text; collections keep it by themselves.
            if result.as_str().is_some() && result.is_certain() {
                alternatives(*run, arguments, result)
            } else {
                Ok(result)
            }
        }
        Run::Unknown(shape, run) => Ok(run(arguments)?.at(arguments.origin).unknown(*shape)),
        Run::Special(_) => Err(format!("{} cannot be called here", function.name)),
        Run::Pure(run) => {
            let result = run(arguments)?;
            if let Some(shape) = arguments.all().iter().filter_map(Value::shape).max() {
                return Ok(place(result, arguments).unknown(shape));
            }
            alternatives(*run, arguments, place(result, arguments))
        }
    }
}

/// A result that has no place gets that of the last argument that has one, else that of the call.
fn place(result: Value, arguments: &Arguments<'_>) -> Value {
    if result.origin.is_some() || matches!(&result.kind, Kind::Text(super::text::Text::Marked(_))) {
        return result;
    }
    let given = arguments.all().iter().rev().map(|value| value.origin).find(|origin| origin.is_some());
    result.at(given.unwrap_or(arguments.origin))
}

/// Where an argument is one of several values, so is the result.
fn alternatives(run: fn(&Arguments<'_>) -> Outcome, arguments: &Arguments<'_>, result: Value) -> Outcome {
    const MOST: usize = 4;
    let several = arguments.all().iter().enumerate().find_map(|(index, value)| match &value.certainty {
        Certainty::OneOf(values) => Some((index, Rc::clone(values))),
        _ => None,
    });
    let Some((index, values)) = several else { return Ok(result) };
    let mut results: Vec<Value> = Vec::new();
    for value in values.iter().take(MOST) {
        let mut own = arguments.all().to_vec();
        own[index] = value.clone();
        let own = Arguments::new(&own, arguments.origin, arguments.budget);
        match run(&own) {
            Ok(value) if !results.iter().any(|known| known.equals(&value)) => results.push(value),
            _ => {}
        }
    }
    if values.len() > MOST {
        return Ok(result.unknown(Shape::Any));
    }
    let mut result = result;
    result.certainty = Certainty::OneOf(results.into());
    Ok(result)
}

/// One of two values; the first one stands for both.
pub(super) fn either(first: &Value, second: &Value) -> Value {
    let mut result = first.clone();
    result.certainty = match (first.shape(), second.shape()) {
        (None, None) => Certainty::OneOf(Rc::from([plain(first), plain(second)])),
        (a, b) => Certainty::Unknown(a.max(b).unwrap_or(Shape::Any)),
    };
    result
}

fn plain(value: &Value) -> Value {
    Value { certainty: Certainty::Known, ..value.clone() }
}
