//! Arithmetic and conversions, as `spf13/cast` makes them.

use std::rc::Rc;

use super::super::literal::parse_int;
use super::super::value::{Element, Kind, List, Value};
use super::{Arguments, Outcome, text_of};

/// Any value as a whole number; 0 if it is none.
pub(super) fn to_int(value: &Value) -> i64 {
    match &value.kind {
        Kind::Int(number, _) => *number,
        Kind::Float(number) => float_to_int(*number),
        Kind::Bool(flag) => i64::from(*flag),
        Kind::Text(text) => text_to_int(text.as_str()),
        _ => 0,
    }
}

#[expect(clippy::cast_possible_truncation, reason = "Go truncates, too")]
fn float_to_int(number: f64) -> i64 {
    number as i64
}

fn text_to_int(text: &str) -> i64 {
    // `trimZeroDecimal`: "1.0" is 1.
    let trimmed = match text.split_once('.') {
        Some((whole, fraction)) if fraction.bytes().all(|b| b == b'0') && !fraction.is_empty() => whole,
        _ => text,
    };
    parse_int(trimmed).unwrap_or_default()
}

/// Any value as a float; 0 if it is none.
#[expect(clippy::cast_precision_loss, reason = "Go converts in the same way")]
pub(super) fn to_float(value: &Value) -> f64 {
    match &value.kind {
        Kind::Int(number, _) => *number as f64,
        Kind::Float(number) => *number,
        Kind::Bool(flag) => f64::from(u8::from(*flag)),
        Kind::Text(text) => text.as_str().parse().unwrap_or_default(),
        _ => 0.0,
    }
}

pub(super) fn int(arguments: &Arguments<'_>) -> Outcome {
    Ok(Value::int(to_int(arguments.value(0))))
}

pub(super) fn int64(arguments: &Arguments<'_>) -> Outcome {
    Ok(Value::int64(to_int(arguments.value(0))))
}

pub(super) fn float64(arguments: &Arguments<'_>) -> Outcome {
    Ok(to_float(arguments.value(0)).into())
}

pub(super) fn atoi(arguments: &Arguments<'_>) -> Outcome {
    Ok(Value::int(arguments.str(0)?.parse().unwrap_or_default()))
}

pub(super) fn to_decimal(arguments: &Arguments<'_>) -> Outcome {
    Ok(Value::int64(i64::from_str_radix(&text_of(arguments.value(0)).text, 8).unwrap_or_default()))
}

fn folded(arguments: &Arguments<'_>, start: i64, from: usize, step: impl Fn(i64, i64) -> i64) -> Outcome {
    Ok(Value::int64(arguments.from(from).iter().map(to_int).fold(start, step)))
}

pub(super) fn add(arguments: &Arguments<'_>) -> Outcome {
    folded(arguments, 0, 0, i64::wrapping_add)
}

pub(super) fn add1(arguments: &Arguments<'_>) -> Outcome {
    folded(arguments, 1, 0, i64::wrapping_add)
}

pub(super) fn sub(arguments: &Arguments<'_>) -> Outcome {
    folded(arguments, to_int(arguments.value(0)), 1, i64::wrapping_sub)
}

pub(super) fn mul(arguments: &Arguments<'_>) -> Outcome {
    folded(arguments, to_int(arguments.value(0)), 1, i64::wrapping_mul)
}

pub(super) fn div(arguments: &Arguments<'_>) -> Outcome {
    divided(arguments, i64::wrapping_div)
}

pub(super) fn modulo(arguments: &Arguments<'_>) -> Outcome {
    divided(arguments, i64::wrapping_rem)
}

fn divided(arguments: &Arguments<'_>, divide: impl Fn(i64, i64) -> i64) -> Outcome {
    match to_int(arguments.value(1)) {
        0 => Err("runtime error: integer divide by zero".to_owned()),
        divisor => Ok(Value::int64(divide(to_int(arguments.value(0)), divisor))),
    }
}

pub(super) fn max(arguments: &Arguments<'_>) -> Outcome {
    folded(arguments, to_int(arguments.value(0)), 1, i64::max)
}

pub(super) fn min(arguments: &Arguments<'_>) -> Outcome {
    folded(arguments, to_int(arguments.value(0)), 1, i64::min)
}

fn folded_floats(arguments: &Arguments<'_>, step: impl Fn(f64, f64) -> f64) -> Outcome {
    let start = to_float(arguments.value(0));
    Ok(arguments.from(1).iter().map(to_float).fold(start, step).into())
}

pub(super) fn maxf(arguments: &Arguments<'_>) -> Outcome {
    folded_floats(arguments, f64::max)
}

pub(super) fn minf(arguments: &Arguments<'_>) -> Outcome {
    folded_floats(arguments, f64::min)
}

/// The result of decimal arithmetic: floats with few digits add up as people expect.
fn decimal(value: f64) -> f64 {
    format!("{value:.15e}")
        .parse()
        .map_or(value, |rounded: f64| if (rounded - value).abs() < 1e-9 { rounded } else { value })
}

pub(super) fn add1f(arguments: &Arguments<'_>) -> Outcome {
    Ok(decimal(to_float(arguments.value(0)) + 1.0).into())
}

pub(super) fn addf(arguments: &Arguments<'_>) -> Outcome {
    Ok(decimal(arguments.all().iter().map(to_float).sum()).into())
}

pub(super) fn subf(arguments: &Arguments<'_>) -> Outcome {
    folded_floats(arguments, |a, b| decimal(a - b))
}

pub(super) fn mulf(arguments: &Arguments<'_>) -> Outcome {
    folded_floats(arguments, |a, b| decimal(a * b))
}

pub(super) fn divf(arguments: &Arguments<'_>) -> Outcome {
    if arguments.from(1).iter().any(|value| to_float(value) == 0.0) {
        return Err("decimal division by 0".to_owned());
    }
    folded_floats(arguments, |a, b| decimal(a / b))
}

pub(super) fn floor(arguments: &Arguments<'_>) -> Outcome {
    Ok(to_float(arguments.value(0)).floor().into())
}

pub(super) fn ceil(arguments: &Arguments<'_>) -> Outcome {
    Ok(to_float(arguments.value(0)).ceil().into())
}

pub(super) fn round(arguments: &Arguments<'_>) -> Outcome {
    let places = i32::try_from(arguments.int(1)?).unwrap_or_default();
    let limit = if arguments.len() > 2 { to_float(arguments.value(2)) } else { 0.5 };
    let power = 10_f64.powi(places);
    let digit = power * to_float(arguments.value(0));
    let rounded = if digit.fract() >= limit { digit.ceil() } else { digit.floor() };
    Ok((rounded / power).into())
}

fn steps(arguments: &Arguments<'_>, start: i64, stop: i64, step: i64) -> Result<Vec<i64>, String> {
    let mut found = Vec::new();
    if stop < start && step >= 0 || stop >= start && step <= 0 {
        return Ok(found);
    }
    let count = (stop.abs_diff(start)) / step.unsigned_abs() + 1;
    arguments.charge(usize::try_from(count).unwrap_or(usize::MAX).saturating_mul(16))?;
    let mut at = start;
    while if step > 0 { at < stop } else { at > stop } {
        found.push(at);
        at = at.saturating_add(step);
    }
    Ok(found)
}

fn ints(numbers: Vec<i64>) -> Value {
    let items = numbers.into_iter().map(Value::int).collect();
    Kind::List(Rc::new(List { items, element: Element::Int })).into()
}

pub(super) fn until(arguments: &Arguments<'_>) -> Outcome {
    let count = arguments.int(0)?;
    Ok(ints(steps(arguments, 0, count, if count < 0 { -1 } else { 1 })?))
}

pub(super) fn until_step(arguments: &Arguments<'_>) -> Outcome {
    Ok(ints(steps(arguments, arguments.int(0)?, arguments.int(1)?, arguments.int(2)?)?))
}

pub(super) fn seq(arguments: &Arguments<'_>) -> Outcome {
    let numbers: Vec<i64> = (0..arguments.len()).map(|index| arguments.int(index)).collect::<Result<_, _>>()?;
    let found = match numbers[..] {
        [end] => {
            let step = if end < 1 { -1 } else { 1 };
            steps(arguments, 1, end.saturating_add(step), step)?
        }
        [start, end] => {
            let step = if end < start { -1 } else { 1 };
            steps(arguments, start, end.saturating_add(step), step)?
        }
        [start, step, end] if end < start => {
            if step > 0 {
                return Ok("".into());
            }
            steps(arguments, start, end.saturating_sub(1), step)?
        }
        [start, step, end] => steps(arguments, start, end.saturating_add(1), step)?,
        _ => Vec::new(),
    };
    Ok(found.iter().map(i64::to_string).collect::<Vec<_>>().join(" ").into())
}
