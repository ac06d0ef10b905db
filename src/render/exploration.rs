//! Renders a template with other branches taken than the chart's values take: first as it is, then once for each set of
//! assumptions that leads into an untaken branch.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;
use std::rc::Rc;

use smol_str::SmolStr;

use super::condition::{Assumed, Assumption, Requirements};
use super::eval::{Machine, RenderError};
use super::text::{Marked, Origin, Shape};
use super::value::{Kind, Map, Value};

/// Renderings of one template.
const MAX_RENDERINGS: usize = 200;

/// Sets of assumptions waiting to be rendered.
const MAX_QUEUED: usize = 5_000;
/// Bytes that one template may produce with the chart's values, intermediate results included.
const MAX_BYTES: u64 = 32 << 20;
/// Bytes that all other renderings of it may produce.
const MAX_BYTES_EXPLORED: u64 = 4 << 20;

/// The state of an exploring rendering.
#[derive(Default)]
pub(super) struct Exploration {
    /// The scope with the chart's own values, to tell what conditions are by default.
    pub(super) defaults: Option<Value>,
    /// Keys of conditions whose result is inverted.
    pub(super) flipped: BTreeSet<SmolStr>,
    /// Untaken branches by condition key.
    pub(super) untaken: BTreeMap<SmolStr, Untaken>,
    /// Whether an untaken branch is being evaluated.
    pub(super) is_speculative: bool,
    /// Whether there were too many untaken branches.
    pub(super) cut: bool,
}

/// An untaken branch.
pub(super) struct Untaken {
    /// Its condition.
    pub(super) condition: Origin,
    /// What leads into it; empty if unknown.
    pub(super) requirements: Requirements,
    /// Its output, as far as it could be evaluated.
    pub(super) text: Marked,
    /// Whether leaving out the taken branch could widen a rule.
    pub(super) limits: bool,
}

/// One rendering of a template.
#[derive(Debug, Clone)]
pub struct Rendering {
    /// The template.
    pub template: String,
    /// Its file, as an index of [`super::Rendered::files`].
    pub file: u32,
    /// Assumptions beyond the chart's values, with the template code that they are about. Empty for the default rendering.
    pub assumptions: Vec<(Assumption, Origin)>,
    /// The text.
    pub text: Marked,
}

/// All renderings of a template.
#[derive(Default)]
pub(super) struct Explored {
    pub(super) renderings: Vec<(Vec<(Assumption, Origin)>, Marked)>,
    /// Whether some sets of assumptions were not tried.
    pub(super) cut: bool,
}

/// Assumptions with the template code that they are about.
type Assumptions = BTreeMap<Assumption, Origin>;

/// A set of assumptions to render with.
struct Variant {
    assumptions: Assumptions,
    /// Branches that earlier renderings did not take.
    known: Rc<BTreeSet<SmolStr>>,
    /// Whether it only combines assumptions that were already rendered one by one.
    combines: bool,
}

/// Renders a template with the chart's values and with other branches taken. `may_matter` decides whether a text is worth
/// exploring.
///
/// # Errors
/// The default rendering fails.
pub(super) fn explore(
    machine: &mut Machine,
    name: &str,
    scope: &Rc<Map>,
    may_matter: &dyn Fn(&[u8]) -> bool,
) -> Result<Explored, RenderError> {
    machine.limit_bytes(MAX_BYTES);
    let mut explored = Explored::default();
    let mut seen: BTreeSet<Vec<Assumption>> = BTreeSet::new();
    let mut queue =
        VecDeque::from([Variant { assumptions: Assumptions::new(), known: Rc::default(), combines: false }]);
    // Assumptions that change part of a list item, with its lines. Only those of one item are combined.
    let mut partial: BTreeMap<Assumption, Range<usize>> = BTreeMap::new();
    let mut renderings = 0;
    let mut original: Option<(String, bool)> = None;
    while let Some(variant) = queue.pop_front() {
        if variant.combines && !go_together(&variant.assumptions, &partial) {
            continue;
        }
        renderings += 1;
        if renderings > MAX_RENDERINGS {
            explored.cut = true;
            break;
        }
        let (text, untaken) = match render_in(machine, name, scope, &variant.assumptions) {
            Ok((text, exploration)) => {
                explored.cut |= exploration.cut;
                (text, exploration.untaken)
            }
            Err(error) if variant.assumptions.is_empty() => return Err(error),
            Err(error) => {
                explored.cut |= error.is_limit;
                continue;
            }
        };
        let holds = may_matter(text.text.as_bytes());
        if let Some((base, _)) = &original
            && !variant.combines
            && changes_more_than_names(base, &text.text)
        {
            let item = changed_item(base, &text.text);
            partial.extend(variant.assumptions.keys().map(|assumption| (assumption.clone(), item.clone())));
        }
        // List items could be any object.
        let holds = holds || text.text.contains("kind: List");
        let matters = original.as_ref().map_or(holds, |(_, matters)| *matters) || holds;
        let known: Rc<BTreeSet<SmolStr>> = Rc::new(untaken.keys().chain(variant.known.iter()).cloned().collect());
        let mut next = Vec::new();
        for (key, branch) in untaken {
            let is_new = !variant.known.contains(&key);
            let is_blank = branch.text.text.trim().is_empty() && !branch.limits && !may_be_object(&branch.text);
            if is_blank || !(matters || may_matter(branch.text.text.as_bytes()) || may_be_object(&branch.text)) {
                continue;
            }
            let is_whole = is_whole(&branch.text.text);
            // Its requirements did not lead into the branch.
            let is_satisfied = !branch.requirements.is_empty()
                && branch.requirements.iter().all(|(requirements, _)| variant.assumptions.contains_key(requirements));
            let requirements = if branch.requirements.is_empty() || is_satisfied {
                vec![(Assumption::Condition(key), branch.condition)]
            } else {
                branch.requirements
            };
            let is_partial = |assumption| partial.contains_key(assumption);
            let combines = !is_whole && variant.assumptions.keys().all(is_partial);
            let contradicts =
                requirements.iter().any(|(own, _)| variant.assumptions.keys().any(|known| known.contradicts(own)));
            if !is_new && !combines || contradicts {
                continue;
            }
            let mut assumptions = variant.assumptions.clone();
            assumptions.extend(requirements);
            next.push((assumptions, !is_new));
        }
        if original.is_none() {
            machine.limit_bytes(MAX_BYTES_EXPLORED);
            original = Some((text.text.clone(), holds));
        }
        if holds || variant.assumptions.is_empty() || may_be_object(&text) {
            explored.renderings.push((variant.assumptions.into_iter().collect(), text));
        }
        for (assumptions, combines) in next {
            if queue.len() >= MAX_QUEUED {
                explored.cut = true;
                break;
            }
            if seen.insert(assumptions.keys().cloned().collect()) {
                queue.push_back(Variant { assumptions, known: Rc::clone(&known), combines });
            }
        }
    }
    Ok(explored)
}

/// Renders a template with assumptions.
fn render_in(
    machine: &mut Machine,
    name: &str,
    scope: &Rc<Map>,
    assumptions: &Assumptions,
) -> Result<(Marked, Exploration), RenderError> {
    let mut exploration = Exploration::default();
    let mut own: Value = Rc::clone(scope).into();
    if !assumptions.is_empty() {
        exploration.defaults = Some(own.clone());
        own = assume(scope, assumptions);
        exploration.flipped = assumptions
            .keys()
            .filter_map(|assumption| match assumption {
                Assumption::Condition(key) => Some(key.clone()),
                Assumption::Value { .. } | Assumption::Enabled(_) => None,
            })
            .collect();
    }
    machine.exploration = Some(exploration);
    let result = machine.run(name, &own);
    let exploration = machine.exploration.take().unwrap_or_default();
    Ok((result?, exploration))
}

/// Returns a scope with the assumed values.
fn assume(scope: &Rc<Map>, assumptions: &Assumptions) -> Value {
    let own = scope.shallow();
    let values = scope.get("Values").map(|values| values.deep_copy());
    let values = values.and_then(|values| values.as_map().cloned()).unwrap_or_default();
    for (assumption, origin) in assumptions {
        let Assumption::Value { path, to } = assumption else { continue };
        let Some((last, around)) = path.split_last() else { continue };
        let mut map = Rc::clone(&values);
        for name in around {
            let inner = map.get(name).and_then(|inner| inner.as_map().cloned()).unwrap_or_else(|| {
                let inner = Rc::new(Map::default());
                map.insert(name.clone(), *origin, Rc::clone(&inner).into());
                inner
            });
            map = inner;
        }
        let known = map.get(last).unwrap_or(Value::NIL);
        let assumed = match (to, &known.kind) {
            (Assumed::Text(text), _) => Value::from(text.clone()).at(*origin),
            (Assumed::Set, _) if known.truth() => known,
            (Assumed::Set, Kind::Bool(_)) => Value::from(true).at(known.origin.or(*origin)),
            (Assumed::Set, _) => Value::not_known(*origin),
            (Assumed::Unset, Kind::Bool(_)) => Value::from(false).at(known.origin.or(*origin)),
            (Assumed::Unset, Kind::List(_)) => Value::from(Vec::new()).at(*origin),
            (Assumed::Unset, Kind::Map(_)) => Value::from(Map::default()).at(*origin),
            (Assumed::Unset, Kind::Text(_)) => Value::from("").at(*origin),
            (Assumed::Unset, _) => Value::NIL,
        };
        map.insert(last.clone(), *origin, assumed);
    }
    own.set("Values", values);
    own.into()
}

/// Reports whether a text consists of whole documents or list items, so that it leaves its surroundings unchanged.
fn is_whole(text: &str) -> bool {
    let text = text.trim_start();
    text.starts_with("- ") || text.starts_with("---") || text.starts_with("apiVersion:") || text.starts_with("kind:")
}

/// Reports whether unknown text starts an unindented line, so that it could be an object.
fn may_be_object(text: &Marked) -> bool {
    let mut at = 0;
    text.marks.iter().any(|mark| {
        let start = at;
        at += mark.length as usize;
        let begins_line = || start == 0 || text.text.as_bytes().get(start - 1) == Some(&b'\n');
        mark.shape.is_some_and(|shape| shape >= Shape::Text) && begins_line()
    })
}

/// Reports whether every assumption shares a list item with another one.
fn go_together(assumptions: &Assumptions, partial: &BTreeMap<Assumption, Range<usize>>) -> bool {
    let items: Vec<&Range<usize>> = assumptions.keys().filter_map(|assumption| partial.get(assumption)).collect();
    let meets = |(index, item): (usize, &&Range<usize>)| {
        let others = items.iter().enumerate().filter(|(other, _)| *other != index);
        others.into_iter().any(|(_, other)| item.start < other.end && other.start < item.end)
    };
    items.len() == assumptions.len() && items.iter().enumerate().all(meets)
}

/// Returns the lines of the list item or document that differs between two texts.
fn changed_item(base: &str, other: &str) -> Range<usize> {
    let lines: Vec<&str> = base.lines().collect();
    let others: Vec<&str> = other.lines().collect();
    let same = lines.iter().zip(&others).take_while(|(a, b)| a == b).count();
    let rest = lines.len().min(others.len()) - same;
    let after = lines.iter().rev().zip(others.iter().rev()).take(rest).take_while(|(a, b)| a == b).count();
    let begins = |line: &&str| {
        let text = line.trim_start();
        text.starts_with("- ") && text.contains(':') || line.starts_with("---")
    };
    let start = lines.get(..=same).unwrap_or(&lines).iter().rposition(begins).unwrap_or_default();
    let changed = (lines.len() - after).max(same + 1);
    let next = lines.get(changed..).unwrap_or_default().iter().position(begins);
    start..next.map_or(lines.len(), |at| changed + at).max(start + 1)
}

/// Reports whether two texts differ in RBAC fields, not only in names, labels and unknown lines.
fn changes_more_than_names(base: &str, other: &str) -> bool {
    const KEYS: [&str; 13] = [
        "verbs",
        "apiGroups",
        "resources",
        "resourceNames",
        "nonResourceURLs",
        "kind",
        "apiVersion",
        "rules",
        "subjects",
        "roleRef",
        "aggregationRule",
        "apiGroup",
        "items",
    ];
    let (lines, others): (Vec<&str>, Vec<&str>) = (base.lines().collect(), other.lines().collect());
    let same = lines.iter().zip(&others).take_while(|(a, b)| a == b).count();
    let rest = lines.len().min(others.len()) - same;
    let after = lines.iter().rev().zip(others.iter().rev()).take(rest).take_while(|(a, b)| a == b).count();
    let changed = |lines: &[&str]| {
        let changed = lines.get(same..lines.len() - after).unwrap_or_default().iter();
        changed.map(|line| line.trim()).any(|line| match line.split_once(':') {
            Some((key, _)) => KEYS.contains(&key.trim_start_matches("- ").trim_matches(['"', '\''])),
            None => !line.is_empty() && line != super::value::NOT_KNOWN,
        })
    };
    changed(&lines) || changed(&others)
}

#[cfg(test)]
mod tests {
    use super::super::{Settings, survey};
    use super::*;

    /// Returns assumptions and text of every rendering.
    fn renderings(values: &str, template: &str) -> Vec<(Vec<(Assumption, Origin)>, String)> {
        let file = |name: &str, text: &str| (name.to_owned(), text.as_bytes().to_vec());
        let chart = file("Chart.yaml", "apiVersion: v2\nname: c\nversion: 0.1.0\n");
        let files = vec![chart, file("templates/a.yaml", template), file("values.yaml", values)];
        let survey = survey(files, &Settings::default(), &|_| true).unwrap();
        assert_eq!(survey.failures, []);
        survey.renderings.into_iter().map(|it| (it.assumptions, it.text.text)).collect()
    }

    fn texts(values: &str, template: &str) -> Vec<String> {
        renderings(values, template).into_iter().map(|(_, text)| text.trim().to_owned()).collect()
    }

    #[test]
    fn each_branch_is_taken_once() {
        let template = "{{ if and .Values.a (not .Values.b) }}x: 1{{ else if .Values.b }}x: 2{{ else }}x: 3{{ end }}";
        assert_eq!(texts("b: false", template), ["x: 3", "x: 2", "x: 1"]);
    }
}
