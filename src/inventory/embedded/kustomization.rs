//! The files that a kustomization names. Kustomize reads them whatever their names are.

use std::sync::Arc;

use crate::inventory::fields::fields;
use crate::inventory::follow::{Named, Reference};
use crate::inventory::{Aside, abbreviate};
use crate::syntax::{Node, NodeKind, folds_to};

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

/// Fields of a kustomization, and of what its lists hold, that say what is read and what becomes of it.
const KNOWN: [&str; 50] = [
    "apiVersion",
    "kind",
    "metadata",
    "resources",
    "bases",
    "components",
    "crds",
    "generators",
    "transformers",
    "validators",
    "configurations",
    "patches",
    "patchesStrategicMerge",
    "patchesJson6902",
    "replacements",
    "vars",
    "images",
    "replicas",
    "labels",
    "commonLabels",
    "commonAnnotations",
    "namePrefix",
    "nameSuffix",
    "namespace",
    "configMapGenerator",
    "secretGenerator",
    "generatorOptions",
    "helmCharts",
    "helmChartInflationGenerator",
    "helmGlobals",
    "openapi",
    "buildMetadata",
    "sortOptions",
    "path",
    "patch",
    "target",
    "options",
    "name",
    "group",
    "version",
    "labelSelector",
    "annotationSelector",
    "files",
    "literals",
    "envs",
    "source",
    "targets",
    "select",
    "fieldPaths",
    "pairs",
];

/// What a kustomization names, or the configuration of one of Kustomize's own transformers.
pub(super) fn references(node: Node<'_>, path: &Arc<str>) -> Vec<Reference> {
    let lists = folded(node, &LISTS).flat_map(Node::items);
    let mappings = folded(node, &WITH_PATH).flat_map(Node::items);
    let paths = mappings.chain([node]).flat_map(|item| folded(item, &["path"]));
    let makers = folded(node, &WITH_FILES).flat_map(Node::items);
    let files = makers.chain([node]).flat_map(|item| folded(item, &["files"])).flat_map(Node::items);
    let patches = folded(node, &PATCHES).flat_map(Node::items).chain(paths);
    let named = lists.map(|node| (node, Named::Manifest)).chain(patches.map(|node| (node, Named::Patch)));
    let named = named.chain(files.map(|node| (node, Named::Data)));
    named.filter_map(|(node, what)| reference(node, what, path)).collect()
}

/// The charts that Kustomize renders, with values that may be others than theirs.
pub(super) fn rendered_charts(node: Node<'_>, path: &Arc<str>) -> Vec<Aside> {
    let is_generator = fields(node, ["kind"])[0].and_then(Node::as_str).is_some_and(|kind| kind == CHART_GENERATOR);
    let charts = folded(node, &WITH_CHARTS).flat_map(Node::items).chain(is_generator.then_some(node));
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

/// The fields with these names in any spelling that Kustomize takes for them.
fn folded<'t>(node: Node<'t>, names: &[&str]) -> impl Iterator<Item = Node<'t>> {
    let mut found = Vec::new();
    node.visit_fields(&mut |key, entry, _| {
        if names.iter().any(|name| folds_to(key, name)) {
            found.push(entry.value);
        }
    });
    found.into_iter()
}

/// The keys of a kustomization that Kustomize takes for fields though they are spelled otherwise, with the names of these.
/// Nothing else reads them so.
pub(super) fn misspelled(node: Node<'_>) -> Vec<(Node<'_>, &'static str)> {
    let mut keys = Vec::new();
    collect_misspelled(node, 0, &mut keys);
    keys
}

fn collect_misspelled<'t>(node: Node<'t>, depth: usize, found: &mut Vec<(Node<'t>, &'static str)>) {
    let mut inner = Vec::new();
    node.visit_fields(&mut |key, entry, _| {
        let known = KNOWN.iter().find(|name| folds_to(key, name));
        if let Some(name) = known.filter(|name| **name != key) {
            found.push((entry.key, name));
        }
        let is_list = entry.value.kind() == NodeKind::Sequence;
        // Labels and annotations may have any name.
        if is_list || depth > 0 && known.is_some_and(|name| *name != "pairs") {
            inner.push(entry.value);
        }
    });
    if depth < 2 {
        for value in inner {
            match value.kind() {
                NodeKind::Mapping => collect_misspelled(value, depth + 1, found),
                _ => value.items().for_each(|item| collect_misspelled(item, depth + 1, found)),
            }
        }
    }
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
