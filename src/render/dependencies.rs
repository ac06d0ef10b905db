//! Which charts in a chart count, under which names, and what values they give it.

use std::rc::Rc;

use super::chart::{Chart, Dependency};
use super::coalesce::{coalesce_tables, coalesce_values, merge_values};
use super::semver::{Constraints, Version};
use super::text::Origin;
use super::value::{Kind, Map, Value};

/// Which dependencies are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dependencies {
    /// Those that conditions and tags enable.
    Enabled,
    /// All of them.
    All,
}

/// Removes disabled dependencies and imports values. Returns whether any dependency was removed.
pub(super) fn process(chart: &mut Chart, values: &Map, which: Dependencies) -> Result<bool, String> {
    let disabled = enable(chart, values, "", which)?;
    import(chart)?;
    Ok(disabled)
}

/// Whether a version satisfies a constraint; an empty or malformed one fits as Helm has it.
pub(super) fn is_compatible(constraint: &str, version: &str) -> bool {
    let Ok(version) = Version::parse(version) else { return false };
    Constraints::parse(constraint).is_ok_and(|constraints| constraints.check(&version)) || constraint.is_empty()
}

fn enable(chart: &mut Chart, values: &Map, path: &str, which: Dependencies) -> Result<bool, String> {
    if chart.metadata.dependencies.is_empty() {
        return Ok(false);
    }
    let loaded = std::mem::take(&mut chart.dependencies);
    let required = &mut chart.metadata.dependencies;
    let fits = |dependency: &Dependency, chart: &Chart| {
        chart.metadata.name == dependency.name && is_compatible(&dependency.version, &chart.metadata.version)
    };
    let mut kept: Vec<Chart> =
        loaded.iter().filter(|chart| !required.iter().any(|dependency| fits(dependency, chart))).cloned().collect();
    for dependency in required.iter_mut() {
        if let Some(found) = loaded.iter().find(|chart| fits(dependency, chart)) {
            let mut found = found.clone();
            if !dependency.alias.is_empty() {
                found.metadata.name.clone_from(&dependency.alias);
                found.metadata.name_origin = super::chart::Origin0::default();
            }
            kept.push(found);
        }
        if !dependency.alias.is_empty() {
            dependency.name.clone_from(&dependency.alias);
        }
        dependency.enabled = true;
    }
    chart.dependencies = kept;
    let all = coalesce_values(chart, values)?;
    if which == Dependencies::Enabled {
        tags(&mut chart.metadata.dependencies, &all);
        conditions(&mut chart.metadata.dependencies, &all, path);
    }
    let disabled: Vec<String> = chart
        .metadata
        .dependencies
        .iter()
        .filter(|dependency| !dependency.enabled)
        .map(|dependency| dependency.name.clone())
        .collect();
    chart.dependencies.retain(|chart| !disabled.contains(&chart.metadata.name));
    chart.metadata.dependencies.retain(|dependency| !disabled.contains(&dependency.name));
    let mut some = !disabled.is_empty();
    for dependency in &mut chart.dependencies {
        let inner = format!("{path}{}.", dependency.metadata.name);
        some |= enable(dependency, &all, &inner, which)?;
    }
    Ok(some)
}

fn tags(dependencies: &mut [Dependency], values: &Map) {
    let Some(Kind::Map(tags)) = values.get("tags").map(|value| value.kind) else { return };
    for dependency in dependencies {
        let flags = dependency.tags.iter().filter_map(|tag| match tags.get(tag)?.kind {
            Kind::Bool(flag) => Some(flag),
            _ => None,
        });
        let flags: Vec<bool> = flags.collect();
        dependency.enabled = flags.contains(&true) || !flags.contains(&false);
    }
}

fn conditions(dependencies: &mut [Dependency], values: &Map, path: &str) {
    for dependency in dependencies {
        for condition in dependency.condition.trim().split(',').filter(|condition| !condition.is_empty()) {
            if let Some(Kind::Bool(flag)) = at_path(values, &format!("{path}{condition}")).map(|value| value.kind) {
                dependency.enabled = flag;
                break;
            }
        }
    }
}

/// The value at a path of keys with dots between them.
fn at_path(values: &Map, path: &str) -> Option<Value> {
    let mut parts = path.split('.').peekable();
    let mut value = values.get(parts.next()?)?;
    for part in parts {
        value = value.as_map()?.get(part)?;
    }
    Some(value)
}

fn import(chart: &mut Chart) -> Result<(), String> {
    for dependency in &mut chart.dependencies {
        import(dependency)?;
    }
    if chart.metadata.dependencies.is_empty() {
        return Ok(());
    }
    let values = merge_values(chart, &Map::default())?;
    let imported = Rc::new(Map::default());
    for dependency in &chart.metadata.dependencies {
        for item in &dependency.import_values {
            let (child, parent) = match &item.kind {
                Kind::Text(name) => (format!("exports.{}", name.as_str()), ".".to_owned()),
                Kind::Map(map) => {
                    let text = |key: &str| map.get(key).and_then(|value| value.as_str().map(str::to_owned));
                    (text("child").unwrap_or_default(), text("parent").unwrap_or_default())
                }
                _ => continue,
            };
            let found = at_path(&values, &format!("{}.{child}", dependency.name));
            let Some(Kind::Map(table)) = found.map(|value| value.kind) else { continue };
            coalesce_tables(&imported, &nested(&parent, table), true);
        }
    }
    let merged = Rc::new(values.deep_copy());
    coalesce_tables(&merged, &imported, true);
    chart.values = merged;
    Ok(())
}

fn nested(path: &str, table: Rc<Map>) -> Rc<Map> {
    if path == "." {
        return table;
    }
    path.split('.').rev().fold(table, |inner, key| {
        let outer = Map::default();
        outer.insert(key, Origin::NONE, inner.into());
        Rc::new(outer)
    })
}

/// The charts that a chart names and does not hold.
pub(super) fn missing(chart: &Chart) -> Vec<String> {
    let held = |name: &str| chart.dependencies.iter().any(|chart| chart.metadata.name == name);
    let missing = chart.metadata.dependencies.iter().filter(|dependency| !held(&dependency.name));
    missing.map(|dependency| dependency.name.clone()).collect()
}
