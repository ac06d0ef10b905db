//! Types, defaults and choices.

use std::rc::Rc;

use super::super::object::Object;
use super::super::semver::{Constraints, Version};
use super::super::text::Shape;
use super::super::value::{Kind, Value};
use super::{Arguments, Outcome, either};

pub(super) fn type_of(arguments: &Arguments<'_>) -> Outcome {
    Ok(arguments.value(0).type_name().into())
}

pub(super) fn kind_of(arguments: &Arguments<'_>) -> Outcome {
    Ok(arguments.value(0).kind_name().into())
}

pub(super) fn type_is(arguments: &Arguments<'_>) -> Outcome {
    Ok((arguments.str(0)? == arguments.value(1).type_name()).into())
}

pub(super) fn type_is_like(arguments: &Arguments<'_>) -> Outcome {
    let (target, name) = (arguments.str(0)?, arguments.value(1).type_name());
    Ok((target == name || format!("*{target}") == name).into())
}

pub(super) fn kind_is(arguments: &Arguments<'_>) -> Outcome {
    Ok((arguments.str(0)? == arguments.value(1).kind_name()).into())
}

/// Whether Sprig takes a value for empty.
pub(super) fn is_empty(value: &Value) -> bool {
    !value.truth()
}

pub(super) fn empty(arguments: &Arguments<'_>) -> Outcome {
    Ok(is_empty(arguments.value(0)).into())
}

pub(super) fn default(arguments: &Arguments<'_>) -> Outcome {
    let (fallback, given) = (arguments.value(0), arguments.value(1));
    if arguments.len() < 2 || is_empty(given) {
        // What is not known need not be empty.
        return Ok(match given.shape() {
            Some(_) => fallback.clone().unknown(Shape::Any),
            None => fallback.clone(),
        });
    }
    Ok(given.clone())
}

pub(super) fn coalesce(arguments: &Arguments<'_>) -> Outcome {
    let mut unknown = false;
    for value in arguments.all() {
        if !is_empty(value) {
            return Ok(if unknown { value.clone().unknown(Shape::Any) } else { value.clone() });
        }
        unknown |= value.shape().is_some();
    }
    Ok(Value::NIL)
}

pub(super) fn all(arguments: &Arguments<'_>) -> Outcome {
    Ok((!arguments.all().iter().any(is_empty)).into())
}

pub(super) fn any(arguments: &Arguments<'_>) -> Outcome {
    Ok(arguments.all().iter().any(|value| !is_empty(value)).into())
}

pub(super) fn ternary(arguments: &Arguments<'_>) -> Outcome {
    let (yes, no) = (arguments.value(0), arguments.value(1));
    let (taken, other) = if arguments.bool(2)? { (yes, no) } else { (no, yes) };
    if arguments.value(2).shape().is_some() {
        return Ok(either(taken, other));
    }
    Ok(taken.clone())
}

pub(super) fn required(arguments: &Arguments<'_>) -> Outcome {
    let message = arguments.str(0)?;
    let value = arguments.value(1);
    if value.is_nil() || value.as_str() == Some("") {
        return Err(message.to_owned());
    }
    Ok(value.clone())
}

pub(super) fn fail(arguments: &Arguments<'_>) -> Outcome {
    Err(arguments.str(0)?.to_owned())
}

pub(super) fn semver(arguments: &Arguments<'_>) -> Outcome {
    let version = Version::parse(arguments.str(0)?)?;
    Ok(Kind::Object(Object::Version(Rc::new(version))).into())
}

pub(super) fn semver_compare(arguments: &Arguments<'_>) -> Outcome {
    let constraints = Constraints::parse(arguments.str(0)?)?;
    Ok(constraints.check(&Version::parse(arguments.str(1)?)?).into())
}
