//! The files that a kustomization names. Kustomize reads them whatever their names are.

use std::sync::Arc;

use crate::inventory::fields::fields;
use crate::inventory::follow::{Named, Reference};
use crate::inventory::{Aside, abbreviate};
use crate::syntax::Node;

/// How many files are followed that one kustomization names.
pub(super) const MAX_REFERENCES: usize = 10_000;

/// Lists of manifests and of what makes them; of directories too.
const LISTS: [&str; 7] = ["resources", "bases", "components", "crds", "generators", "transformers", "validators"];
/// Lists of patches; `paths` is that of a transformer.
const PATCHES: [&str; 2] = ["patchesStrategicMerge", "paths"];
/// Lists of mappings with a `path`.
const WITH_PATH: [&str; 3] = ["patches", "patchesJson6902", "replacements"];
/// Lists of what makes a ConfigMap or a Secret of `files`.
const WITH_FILES: [&str; 2] = ["configMapGenerator", "secretGenerator"];

/// Lists of charts that are rendered.
const WITH_CHARTS: [&str; 2] = ["helmCharts", "helmChartInflationGenerator"];
/// The generator that renders one.
const CHART_GENERATOR: &str = "HelmChartInflationGenerator";

/// What a kustomization names, or the configuration of one of Kustomize's own transformers.
pub(super) fn references(node: Node<'_>, path: &Arc<str>) -> Vec<Reference> {
    let lists = fields(node, LISTS).into_iter().flat_map(items);
    let mappings = fields(node, WITH_PATH).into_iter().flat_map(items);
    let paths = mappings.chain([node]).filter_map(|item| fields(item, ["path"])[0]);
    let makers = fields(node, WITH_FILES).into_iter().flat_map(items);
    let files = makers.chain([node]).flat_map(|item| items(fields(item, ["files"])[0]));
    let patches = fields(node, PATCHES).into_iter().flat_map(items).chain(paths);
    let named = lists.map(|node| (node, Named::Manifest)).chain(patches.map(|node| (node, Named::Patch)));
    let named = named.chain(files.map(|node| (node, Named::Data)));
    named.filter_map(|(node, what)| reference(node, what, path)).collect()
}

/// The charts that Kustomize renders, with values that may be others than theirs.
pub(super) fn rendered_charts(node: Node<'_>, path: &Arc<str>) -> Vec<Aside> {
    let is_generator = fields(node, ["kind"])[0].and_then(Node::as_str).is_some_and(|kind| kind == CHART_GENERATOR);
    let charts = fields(node, WITH_CHARTS).into_iter().flat_map(items).chain(is_generator.then_some(node));
    let rendered = charts.map(|chart| {
        let name = fields(chart, ["name", "chartName"]).into_iter().flatten().find_map(Node::as_str);
        let name = name.map_or_else(|| "a chart".to_owned(), |name| format!("chart {:?}", abbreviate(&name)));
        Aside::at(
            path,
            chart.place().line,
            format!("{name} is rendered here, with values that may be others than its own"),
        )
    });
    rendered.collect()
}

fn items(list: Option<Node<'_>>) -> impl Iterator<Item = Node<'_>> {
    list.into_iter().flat_map(Node::items)
}

fn reference(node: Node<'_>, what: Named, path: &Arc<str>) -> Option<Reference> {
    let text = node.as_str()?;
    // Data may have a key before it. What is written there itself names nothing.
    let target = if what == Named::Data { text.rsplit('=').next()? } else { &text };
    let names_something = !target.is_empty() && !target.contains('\n') && !target.contains(": ");
    let (path, line) = (Arc::clone(path), node.place().line);
    names_something.then(|| Reference { path, line, target: target.to_owned(), what })
}

/// Whether a mapping says what fills in fields of other objects.
pub(super) fn is_replacement(node: Node<'_>) -> bool {
    let [source, value, targets] = fields(node, ["source", "sourceValue", "targets"]);
    source.or(value).is_some() && targets.is_some()
}

/// The fields of rules and roleRefs that a replacement fills in.
pub(super) fn replaced_fields(replacement: Node<'_>) -> impl Iterator<Item = Node<'_>> {
    let targets = items(fields(replacement, ["targets"])[0]);
    let paths = targets.flat_map(|target| items(fields(target, ["fieldPaths"])[0]));
    paths.filter(|path| {
        path.as_str().is_some_and(|path| ["rules", "roleRef", "*"].iter().any(|field| path.starts_with(field)))
    })
}
