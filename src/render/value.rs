//! Values as templates compute with them: those of Go, and how much is known of them.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use smol_str::SmolStr;

use super::object::Object;
use super::text::{GuardId, Marked, Origin, Shape, Text};

/// Placeholder text of unknown values.
pub(super) const NOT_KNOWN: &str = "x";

/// A value, where it was written, and how much is known of it.
///
/// A value that is not known still is one: that of `helm template`, or one of its kind in its place. So everything can be
/// computed with it, and what was computed with it is not known either.
#[derive(Debug, Clone)]
pub struct Value {
    /// What it is.
    pub kind: Kind,
    /// Where it was written.
    pub origin: Origin,
    /// How much is known of it.
    pub certainty: Certainty,
}

/// How much is known of a value.
#[derive(Debug, Clone, Default)]
pub enum Certainty {
    /// It is this one.
    #[default]
    Known,
    /// It is this one, or one of these.
    OneOf(Rc<[Value]>),
    /// It may be any of a shape.
    Unknown(Shape),
}

/// The types of values.
#[derive(Debug, Clone)]
pub enum Kind {
    /// No value at all.
    Nil,
    /// An entry without a value: fields of it are errors.
    Null,
    /// A boolean.
    Bool(bool),
    /// A whole number.
    Int(i64, IntType),
    /// Any other number, and every number of a values file.
    Float(f64),
    /// A string.
    Text(Text),
    /// Bytes of a file.
    Bytes(Arc<[u8]>),
    /// A list.
    List(Rc<List>),
    /// A mapping, shared by all that hold it.
    Map(Rc<Map>),
    /// Something with methods.
    Object(Object),
}

/// The types of whole numbers, which are told apart by functions that take one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntType {
    /// `int`
    Int,
    /// `int64`
    Int64,
    /// `uint8`, an item of bytes
    Byte,
    /// `time.Duration`
    Duration,
}

/// The type of the items of a list or the values of a mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Element {
    /// `interface{}`
    #[default]
    Any,
    /// `string`
    Text,
    /// `int`
    Int,
}

/// A list, which never changes.
#[derive(Debug, Default)]
pub struct List {
    /// What it consists of.
    pub items: Vec<Value>,
    /// Their type.
    pub element: Element,
}

/// A mapping. Functions change it where it is.
#[derive(Debug, Default)]
pub struct Map {
    entries: RefCell<BTreeMap<SmolStr, Entry>>,
    /// The type of its values.
    pub element: Element,
    /// Whether some work is going on in it, so that a mapping in itself is no endless one.
    pub(super) visited: Cell<bool>,
}

/// A value in a mapping.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Where its key was written.
    pub key: Origin,
    /// The value.
    pub value: Value,
}

impl Map {
    /// A mapping of a type.
    pub fn of(element: Element) -> Self {
        Self { element, ..Self::default() }
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<Value> {
        self.entries.borrow().get(key).map(|entry| entry.value.clone())
    }

    /// The entry of a key.
    pub fn entry(&self, key: &str) -> Option<Entry> {
        self.entries.borrow().get(key).cloned()
    }

    /// Sets a key.
    pub fn insert(&self, key: impl Into<SmolStr>, origin: Origin, value: Value) {
        let mut entries = self.entries.borrow_mut();
        let key = key.into();
        if let Some(entry) = entries.get_mut(&key) {
            entry.value = value;
            entry.key = origin.or(entry.key);
        } else {
            entries.insert(key, Entry { key: origin, value });
        }
    }

    /// Sets a key that has no place.
    pub fn set(&self, key: impl Into<SmolStr>, value: impl Into<Value>) {
        self.insert(key, Origin::NONE, value.into());
    }

    /// Removes a key.
    pub fn remove(&self, key: &str) {
        self.entries.borrow_mut().remove(key);
    }

    /// How many entries it has.
    pub fn len(&self) -> usize {
        self.entries.borrow().len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.entries.borrow().is_empty()
    }

    /// Whether it has a key.
    pub fn contains(&self, key: &str) -> bool {
        self.entries.borrow().contains_key(key)
    }

    /// What it holds now, in the order of its keys.
    pub fn snapshot(&self) -> Vec<(SmolStr, Entry)> {
        self.entries.borrow().iter().map(|(key, entry)| (key.clone(), entry.clone())).collect()
    }

    /// Its keys, in order.
    pub fn keys(&self) -> Vec<SmolStr> {
        self.entries.borrow().keys().cloned().collect()
    }

    /// A mapping with the same values.
    pub fn shallow(&self) -> Self {
        Self { entries: RefCell::new(self.entries.borrow().clone()), element: self.element, visited: Cell::default() }
    }
}

impl Map {
    /// A mapping with the same values, to which values of any type may be added.
    pub fn shallow_any(&self) -> Self {
        Self { element: Element::Any, ..self.shallow() }
    }
}

impl From<Kind> for Value {
    fn from(kind: Kind) -> Self {
        Self { kind, origin: Origin::NONE, certainty: Certainty::Known }
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Kind::Bool(value).into()
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Kind::Float(value).into()
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Kind::Text(value.into()).into()
    }
}

impl From<SmolStr> for Value {
    fn from(value: SmolStr) -> Self {
        Kind::Text(Text::Plain(value)).into()
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Kind::Text(value.into()).into()
    }
}

impl From<Marked> for Value {
    fn from(value: Marked) -> Self {
        Kind::Text(Text::Marked(Rc::new(value))).into()
    }
}

impl From<Map> for Value {
    fn from(value: Map) -> Self {
        Kind::Map(Rc::new(value)).into()
    }
}

impl From<Rc<Map>> for Value {
    fn from(value: Rc<Map>) -> Self {
        Kind::Map(value).into()
    }
}

impl From<Vec<Value>> for Value {
    fn from(items: Vec<Value>) -> Self {
        Kind::List(Rc::new(List { items, element: Element::Any })).into()
    }
}

impl Value {
    /// No value.
    pub const NIL: Self = Self { kind: Kind::Nil, origin: Origin::NONE, certainty: Certainty::Known };

    /// Returns an unknown value. It counts as true.
    pub fn not_known(origin: Origin) -> Self {
        Self::from(NOT_KNOWN).at(origin).unknown(Shape::Any)
    }

    /// An `int`.
    pub fn int(value: i64) -> Self {
        Kind::Int(value, IntType::Int).into()
    }

    /// An `int64`.
    pub fn int64(value: i64) -> Self {
        Kind::Int(value, IntType::Int64).into()
    }

    /// A list of strings.
    pub fn texts(items: impl IntoIterator<Item = Value>) -> Self {
        Kind::List(Rc::new(List { items: items.into_iter().collect(), element: Element::Text })).into()
    }

    /// The same value at a place, if it has none.
    #[must_use]
    pub fn at(mut self, origin: Origin) -> Self {
        self.origin = self.origin.or(origin);
        self
    }

    /// The same value, but not known.
    #[must_use]
    pub fn unknown(mut self, shape: Shape) -> Self {
        self.certainty = match self.certainty {
            Certainty::Unknown(known) => Certainty::Unknown(known.max(shape)),
            _ => Certainty::Unknown(shape),
        };
        self
    }

    /// The shape of a value that is not known, and of a text some of which is not.
    pub fn shape(&self) -> Option<Shape> {
        match (&self.certainty, &self.kind) {
            (Certainty::Unknown(shape), _) => Some(*shape),
            (_, Kind::Text(Text::Marked(marked))) => marked.marks.iter().filter_map(|mark| mark.shape).max(),
            _ => None,
        }
    }

    /// Whether it is this value and no other.
    pub fn is_certain(&self) -> bool {
        matches!(self.certainty, Certainty::Known) && self.shape().is_none()
    }

    /// Whether it is nil.
    pub fn is_nil(&self) -> bool {
        matches!(self.kind, Kind::Nil | Kind::Null)
    }

    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text(text) => Some(text.as_str()),
            _ => None,
        }
    }

    /// The mapping.
    pub fn as_map(&self) -> Option<&Rc<Map>> {
        match &self.kind {
            Kind::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The list.
    pub fn as_list(&self) -> Option<&Rc<List>> {
        match &self.kind {
            Kind::List(list) => Some(list),
            _ => None,
        }
    }

    /// Whether it counts as true: what is not zero, empty or nil.
    pub fn truth(&self) -> bool {
        match &self.kind {
            Kind::Nil | Kind::Null => false,
            Kind::Bool(value) => *value,
            Kind::Int(value, _) => *value != 0,
            Kind::Float(value) => *value != 0.0,
            Kind::Text(text) => !text.as_str().is_empty(),
            Kind::Bytes(bytes) => !bytes.is_empty(),
            Kind::List(list) => !list.items.is_empty(),
            Kind::Map(map) => !map.is_empty(),
            Kind::Object(object) => object.truth(),
        }
    }

    /// The name of its type in Go.
    pub fn type_name(&self) -> &'static str {
        match &self.kind {
            Kind::Nil => "<nil>",
            Kind::Null => "interface {}",
            Kind::Bool(_) => "bool",
            Kind::Int(_, IntType::Int) => "int",
            Kind::Int(_, IntType::Int64) => "int64",
            Kind::Int(_, IntType::Byte) => "uint8",
            Kind::Int(_, IntType::Duration) => "time.Duration",
            Kind::Float(_) => "float64",
            Kind::Text(_) => "string",
            Kind::Bytes(_) => "[]uint8",
            Kind::List(list) => match list.element {
                Element::Any => "[]interface {}",
                Element::Text => "[]string",
                Element::Int => "[]int",
            },
            Kind::Map(map) => match map.element {
                Element::Any => "map[string]interface {}",
                Element::Text => "map[string]string",
                Element::Int => "map[string]int",
            },
            Kind::Object(object) => object.type_name(),
        }
    }

    /// The name of its kind in Go.
    pub fn kind_name(&self) -> &'static str {
        match &self.kind {
            Kind::Nil | Kind::Null => "invalid",
            Kind::Bool(_) => "bool",
            Kind::Int(_, IntType::Int) => "int",
            Kind::Int(_, IntType::Int64 | IntType::Duration) => "int64",
            Kind::Int(_, IntType::Byte) => "uint8",
            Kind::Float(_) => "float64",
            Kind::Text(_) => "string",
            Kind::Bytes(_) | Kind::List(_) => "slice",
            Kind::Map(_) => "map",
            Kind::Object(object) => object.kind_name(),
        }
    }

    /// Whether both are deeply equal, types included.
    pub fn equals(&self, other: &Self) -> bool {
        self.equals_at(other, 0)
    }

    fn equals_at(&self, other: &Self, depth: usize) -> bool {
        if depth > 200 {
            return false;
        }
        match (&self.kind, &other.kind) {
            (Kind::Nil | Kind::Null, Kind::Nil | Kind::Null) => true,
            (Kind::Bool(a), Kind::Bool(b)) => a == b,
            (Kind::Int(a, x), Kind::Int(b, y)) => a == b && x == y,
            (Kind::Float(a), Kind::Float(b)) => a == b,
            (Kind::Text(a), Kind::Text(b)) => a.as_str() == b.as_str(),
            (Kind::Bytes(a), Kind::Bytes(b)) => a == b,
            (Kind::List(a), Kind::List(b)) => {
                a.element == b.element
                    && a.items.len() == b.items.len()
                    && a.items.iter().zip(&b.items).all(|(a, b)| a.equals_at(b, depth + 1))
            }
            (Kind::Map(a), Kind::Map(b)) => {
                if Rc::ptr_eq(a, b) {
                    return true;
                }
                let (a, b) = (a.snapshot(), b.snapshot());
                a.len() == b.len()
                    && a.iter().zip(&b).all(|((j, a), (k, b))| j == k && a.value.equals_at(&b.value, depth + 1))
            }
            _ => false,
        }
    }

    /// A copy that shares no mapping with it.
    pub fn deep_copy(&self) -> Self {
        let kind = match &self.kind {
            Kind::Map(map) => Kind::Map(Rc::new(map.deep_copy())),
            Kind::List(list) => Kind::List(Rc::new(List {
                items: list.items.iter().map(Value::deep_copy).collect(),
                element: list.element,
            })),
            other => other.clone(),
        };
        Self { kind, origin: self.origin, certainty: self.certainty.clone() }
    }

    /// The text of a string with its marks.
    pub fn marked(&self) -> Marked {
        let mut marked = Marked::default();
        self.append_to(&mut marked, Origin::NONE, GuardId::default());
        marked
    }

    /// The shape of what it prints.
    fn extent(&self) -> Shape {
        match self.as_str() {
            Some(text) if text.contains('\n') => Shape::Text,
            Some(text) if text.contains([' ', '\t']) => Shape::Line,
            None if self.as_map().is_some() || self.as_list().is_some() => Shape::Any,
            _ => Shape::Word,
        }
    }

    /// Adds the text of a string, with its marks, to another one; nothing for other values.
    pub fn append_to(&self, into: &mut Marked, origin: Origin, guard: GuardId) {
        let shape = match &self.certainty {
            Certainty::Known => None,
            Certainty::Unknown(shape) => Some(*shape),
            Certainty::OneOf(values) => values.iter().map(Value::extent).max(),
        };
        match &self.kind {
            Kind::Text(Text::Plain(text)) => into.push(text, self.origin.or(origin), guard, shape),
            Kind::Text(Text::Marked(marked)) => match shape {
                Some(shape) => into.push(&marked.text, self.origin.or(origin), guard, Some(shape)),
                None => into.append(marked, self.origin.or(origin), guard),
            },
            _ => {}
        }
    }
}

impl Map {
    /// A copy that shares no mapping with it. A mapping in itself ends there.
    pub fn deep_copy(&self) -> Map {
        let copy = Map::of(self.element);
        if self.visited.replace(true) {
            return copy;
        }
        for (key, entry) in self.snapshot() {
            copy.insert(key, entry.key, entry.value.deep_copy());
        }
        self.visited.set(false);
        copy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_shares_nothing() {
        let inner = Rc::new(Map::default());
        let outer = Map::default();
        outer.set("inner", Rc::clone(&inner));
        let copy = Value::from(outer).deep_copy();
        inner.set("a", 1.0);
        let copied = copy.as_map().unwrap().get("inner").unwrap();
        assert!(copied.as_map().unwrap().is_empty());
    }

    #[test]
    fn whole_numbers_of_other_types_are_not_deeply_equal() {
        assert!(Value::int(1).equals(&Value::int(1)));
        assert!(!Value::int(1).equals(&Value::int64(1)));
        assert!(!Value::int(1).equals(&Value::from(1.0)));
    }
}
