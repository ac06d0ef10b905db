//! `eq`, `lt` and the others of Go's own: what may be compared, and how.

use std::cmp::Ordering;
use std::rc::Rc;

use super::super::object::Object;
use super::super::value::{Kind, Value};
use super::{Arguments, Outcome};

#[derive(PartialEq, Eq, Clone, Copy)]
enum Basic {
    Bool,
    Int,
    Float,
    Text,
    Other,
    Nil,
}

fn basic(value: &Value) -> Basic {
    match value.kind {
        Kind::Bool(_) => Basic::Bool,
        Kind::Int(..) => Basic::Int,
        Kind::Float(_) => Basic::Float,
        Kind::Text(_) => Basic::Text,
        Kind::Nil | Kind::Null => Basic::Nil,
        _ => Basic::Other,
    }
}

fn incompatible(a: &Value, b: &Value) -> String {
    format!("incompatible types for comparison: {} and {}", a.type_name(), b.type_name())
}

fn equal(a: &Value, b: &Value) -> Result<bool, String> {
    match (basic(a), basic(b)) {
        (Basic::Nil, Basic::Nil) => Ok(true),
        (Basic::Nil, _) | (_, Basic::Nil) => Ok(false),
        (Basic::Other, Basic::Other) => match (&a.kind, &b.kind) {
            (Kind::Object(Object::Version(a)), Kind::Object(Object::Version(b))) => Ok(Rc::ptr_eq(a, b)),
            _ => Err(format!("non-comparable type {}", b.type_name())),
        },
        (x, y) if x == y => Ok(order(a, b).is_some_and(Ordering::is_eq)),
        _ => Err(incompatible(a, b)),
    }
}

fn order(a: &Value, b: &Value) -> Option<Ordering> {
    match (&a.kind, &b.kind) {
        (Kind::Bool(a), Kind::Bool(b)) => Some(a.cmp(b)),
        (Kind::Int(a, _), Kind::Int(b, _)) => Some(a.cmp(b)),
        (Kind::Float(a), Kind::Float(b)) => a.partial_cmp(b),
        (Kind::Text(a), Kind::Text(b)) => Some(a.as_str().cmp(b.as_str())),
        _ => None,
    }
}

pub(super) fn eq(arguments: &Arguments<'_>) -> Outcome {
    if arguments.len() < 2 {
        return Err("missing argument for comparison".to_owned());
    }
    for other in arguments.from(1) {
        if equal(arguments.value(0), other)? {
            return Ok(true.into());
        }
    }
    Ok(false.into())
}

pub(super) fn ne(arguments: &Arguments<'_>) -> Outcome {
    Ok((!equal(arguments.value(0), arguments.value(1))?).into())
}

fn compared(arguments: &Arguments<'_>, holds: impl Fn(Ordering) -> bool) -> Outcome {
    let (a, b) = (arguments.value(0), arguments.value(1));
    let kinds = (basic(a), basic(b));
    if matches!(kinds.0, Basic::Other | Basic::Nil) || matches!(kinds.1, Basic::Other | Basic::Nil) {
        return Err("invalid type for comparison".to_owned());
    }
    if kinds.0 != kinds.1 {
        return Err(incompatible(a, b));
    }
    if kinds.0 == Basic::Bool {
        return Err("invalid type for comparison".to_owned());
    }
    Ok(order(a, b).is_some_and(holds).into())
}

pub(super) fn lt(arguments: &Arguments<'_>) -> Outcome {
    compared(arguments, Ordering::is_lt)
}

pub(super) fn le(arguments: &Arguments<'_>) -> Outcome {
    compared(arguments, Ordering::is_le)
}

pub(super) fn gt(arguments: &Arguments<'_>) -> Outcome {
    compared(arguments, Ordering::is_gt)
}

pub(super) fn ge(arguments: &Arguments<'_>) -> Outcome {
    compared(arguments, Ordering::is_ge)
}

pub(super) fn not(arguments: &Arguments<'_>) -> Outcome {
    Ok((!arguments.value(0).truth()).into())
}

pub(super) fn deep_equal(arguments: &Arguments<'_>) -> Outcome {
    Ok(arguments.value(0).equals(arguments.value(1)).into())
}

#[cfg(test)]
mod tests {
    use super::super::super::text::Origin;
    use super::*;

    fn run(function: fn(&Arguments<'_>) -> Outcome, values: &[Value]) -> Result<bool, String> {
        function(&Arguments::new(values, Origin::NONE, 1 << 20)).map(|value| value.truth())
    }

    #[test]
    fn numbers_of_different_types_cannot_be_compared() {
        assert_eq!(run(eq, &[Value::int(1), Value::int64(1)]), Ok(true));
        let message = "incompatible types for comparison: float64 and int";
        assert_eq!(run(eq, &[1.0.into(), Value::int(1)]), Err(message.to_owned()));
        assert_eq!(run(eq, &[Value::NIL, "a".into()]), Ok(false));
        assert_eq!(run(eq, &["a".into(), "b".into(), "a".into()]), Ok(true));
        assert_eq!(run(lt, &["a".into(), "b".into()]), Ok(true));
        assert!(run(lt, &[Value::NIL, Value::int(1)]).is_err());
    }
}
