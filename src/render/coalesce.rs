//! Values of charts and of those in them, as Helm brings them together.

use std::rc::Rc;

use smol_str::SmolStr;

use super::chart::Chart;
use super::text::Origin;
use super::value::{Kind, Map, Value};

const GLOBAL: &str = "global";

/// The values of a chart: those that are given, over its own, over those of the charts in it.
pub(super) fn coalesce_values(chart: &Chart, given: &Map) -> Result<Rc<Map>, String> {
    let values = Rc::new(given.deep_copy());
    coalesce(chart, &values, false)?;
    Ok(values)
}

/// The same, in which an empty value stays one.
pub(super) fn merge_values(chart: &Chart, given: &Map) -> Result<Rc<Map>, String> {
    let values = Rc::new(given.deep_copy());
    coalesce(chart, &values, true)?;
    Ok(values)
}

fn coalesce(chart: &Chart, values: &Rc<Map>, merge: bool) -> Result<(), String> {
    own_values(chart, values, merge);
    for dependency in &chart.dependencies {
        let name = dependency.name();
        let entry = values.entry(&name);
        let inner = match entry.as_ref().map(|entry| &entry.value.kind) {
            None => {
                let inner = Rc::new(Map::default());
                values.set(name, Rc::clone(&inner));
                inner
            }
            Some(Kind::Map(inner)) => Rc::clone(inner),
            Some(_) => return Err(format!("type mismatch on {name}: it is no mapping")),
        };
        globals(&inner, values);
        coalesce(dependency, &inner, merge)?;
    }
    Ok(())
}

fn globals(inner: &Rc<Map>, outer: &Rc<Map>) {
    let of = |map: &Rc<Map>| match map.get(GLOBAL).map(|value| value.kind) {
        None => Some(None),
        Some(Kind::Map(global)) => Some(Some(global)),
        Some(_) => None,
    };
    let (Some(own), Some(given)) = (of(inner), of(outer)) else { return };
    let own = own.unwrap_or_default();
    for (key, entry) in given.unwrap_or_default().snapshot() {
        let known = own.get(&key);
        match (&entry.value.kind, known.as_ref().map(|known| &known.kind)) {
            (Kind::Map(value), None) => own.insert(key, entry.key, Value::from(value.shallow())),
            (Kind::Map(value), Some(Kind::Map(known))) => {
                let merged = Rc::new(value.shallow());
                coalesce_tables(&merged, known, true);
                own.insert(key, entry.key, merged.into());
            }
            (Kind::Map(_), Some(_)) => {}
            (_, Some(Kind::Map(_))) => {}
            _ => own.insert(key, entry.key, entry.value),
        }
    }
    inner.insert(GLOBAL, Origin::NONE, own.into());
}

fn own_values(chart: &Chart, values: &Rc<Map>, merge: bool) {
    let own = chart.values.deep_copy();
    for (key, entry) in own.snapshot() {
        let Some(known) = values.get(&key) else {
            if !merge {
                if entry.value.is_nil() {
                    continue;
                }
                if let Kind::Map(map) = &entry.value.kind {
                    clean_nil(map);
                }
            }
            values.insert(key, entry.key, entry.value);
            continue;
        };
        match (&known.kind, &entry.value.kind) {
            (Kind::Nil | Kind::Null, _) if !merge => values.remove(&key),
            (Kind::Map(known), Kind::Map(own)) => {
                let merge = merge || chart.dependencies.iter().any(|dependency| dependency.name() == key);
                if !merge {
                    clean_nil(own);
                }
                coalesce_tables(known, own, merge);
            }
            _ => {}
        }
    }
}

fn clean_nil(map: &Rc<Map>) {
    for (key, entry) in map.snapshot() {
        match &entry.value.kind {
            Kind::Nil | Kind::Null => map.remove(&key),
            Kind::Map(inner) => clean_nil(inner),
            _ => {}
        }
    }
}

/// Merges a mapping into another one, which counts more.
pub(super) fn coalesce_tables(target: &Rc<Map>, source: &Rc<Map>, merge: bool) {
    let given: Vec<SmolStr> =
        source.snapshot().into_iter().filter(|(_, entry)| !entry.value.is_nil()).map(|(key, _)| key).collect();
    for (key, entry) in target.snapshot() {
        if entry.value.is_nil() {
            source.insert(key, entry.key, Value::NIL);
        }
    }
    for (key, entry) in source.snapshot() {
        let Some(known) = target.get(&key) else {
            target.insert(key, entry.key, entry.value);
            continue;
        };
        if !merge && known.is_nil() && given.contains(&key) {
            target.remove(&key);
            continue;
        }
        if let (Kind::Map(own), Kind::Map(known)) = (&entry.value.kind, &known.kind) {
            coalesce_tables(known, own, merge);
        }
    }
}
