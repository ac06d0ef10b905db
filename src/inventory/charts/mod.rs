//! Reads Helm charts by rendering them: with the chart's own values, and with other branches taken where that can add a grant.
//! The rendered documents are read like manifests; every place points into the template.

mod conditions;
mod document;
mod gaps;
mod merge;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use document::{Document, File, shown};
use gaps::Position;
use merge::{From, Objects};
use smol_str::SmolStr;

use super::load::{FileResult, LoadOptions, Unread};
use super::read::{Contents, read_document};
use super::template::Unknown;
use super::{Aside, PolicyRule, suppression};
use crate::problem::ProblemKind;
use crate::render::{
    Assumed, Assumption, Limits, Marked, Origin, Rendering, Settings, SourceFile, Survey, documents, read_chart, survey,
};
use crate::source::{Input, TemplateLanguage, may_hold_rbac};
use crate::syntax::{Departure, Tree};
use crate::template::{Condition, may_grant};

/// A directory with this file is a chart.
const CHART: &str = "Chart.yaml";
/// The default values. Only their use in templates matters.
const VALUES: &str = "values.yaml";
/// The directory of a chart's dependencies.
const SUBCHARTS: &str = "charts";
/// The directory of a chart's templates.
const TEMPLATES: &str = "templates";
/// Origins described for one rule.
const MAX_ORIGINS: usize = 3;
/// Texts with the same origin that a note lists.
const MAX_TEXTS: usize = 3;
/// Parent directories searched for the `Chart.yaml` of a template.
const MAX_LEVELS: usize = 64;

/// A chart with at least one template in the input.
#[derive(Debug)]
pub(super) struct ChartInput {
    /// Its directory.
    root: PathBuf,
    /// Its templates in the input, by path inside the chart.
    files: BTreeMap<String, Input>,
}

/// Groups the templates of the input by outermost chart.
pub(super) fn charts(inputs: &[Input]) -> Vec<ChartInput> {
    let mut roots: BTreeMap<PathBuf, Option<PathBuf>> = BTreeMap::new();
    let mut charts: BTreeMap<PathBuf, BTreeMap<String, Input>> = BTreeMap::new();
    for input in inputs.iter().filter(|input| input.in_templates && !input.is_stream) {
        let Some(file) = input.file.as_deref().and_then(|file| std::path::absolute(file).ok()) else { continue };
        let Some(directory) = file.parent() else { continue };
        let root = roots.entry(directory.to_owned()).or_insert_with(|| root_of(directory)).clone();
        let Some(root) = root else { continue };
        let Some(inside) = file.strip_prefix(&root).ok().map(slashed) else { continue };
        charts.entry(root).or_default().insert(inside, input.clone());
    }
    charts.into_iter().map(|(root, files)| ChartInput { root, files }).collect()
}

fn slashed(path: &Path) -> String {
    path.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}

/// Returns the outermost chart that contains a directory of templates.
fn root_of(directory: &Path) -> Option<PathBuf> {
    let templates = directory.ancestors().take(MAX_LEVELS).filter(|directory| directory.ends_with(TEMPLATES));
    let chart = templates.into_iter().filter_map(Path::parent).find(|chart| chart.join(CHART).is_file())?;
    let mut outermost = chart;
    while let Some(around) = outermost.parent().filter(|parent| parent.ends_with(SUBCHARTS)).and_then(Path::parent)
        && around.join(CHART).is_file()
    {
        outermost = around;
    }
    Some(outermost.to_owned())
}

impl ChartInput {
    /// Returns a file's name as reports show it.
    fn name_of(&self, inside: &str) -> Arc<str> {
        if let Some(input) = self.files.get(inside) {
            return Arc::clone(&input.name);
        }
        let prefix = self.files.iter().find_map(|(path, input)| input.name.strip_suffix(path.as_str()));
        Arc::from(format!("{}{inside}", prefix.unwrap_or_default()))
    }

    /// Renders the chart and reads the result. Also returns the names of the files that need no reading of their own:
    /// templates, default values and unpacked dependencies.
    ///
    /// # Errors
    /// The chart cannot be loaded. Its files are then read one by one.
    pub(super) fn read(&self, options: &LoadOptions) -> Result<(FileResult, Vec<Arc<str>>), Aside> {
        let limits = Limits::default();
        let settings = Settings { limits, ..Settings::default() };
        let at = |message: String| Aside {
            path: self.name_of(CHART),
            line: None,
            reason: format!("the chart cannot be loaded, so its templates were read without rendering: {message}"),
        };
        let mut files = read_chart(&self.root, &limits).map_err(at)?;
        for (path, bytes) in &mut files {
            if let Some(instead) = options.instead.get(&self.name_of(path)) {
                *bytes = instead.to_vec();
            }
        }
        let survey = survey(files, &settings, &may_hold_rbac).map_err(at)?;
        let is_applied = |path: &str| {
            let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
            name == VALUES && (directory.is_empty() || directory.split('/').rev().nth(1) == Some(SUBCHARTS))
                || directory.split('/').any(|part| part == TEMPLATES)
        };
        let paths = survey.files.iter().map(|file| file.path.as_str()).filter(|path| is_applied(path));
        let archives =
            survey.files.iter().filter_map(|file| file.path.split_inclusive(".tgz/").next()?.strip_suffix('/'));
        let archives: BTreeSet<&str> = archives.filter(|path| path.ends_with(".tgz")).collect();
        let names = paths.chain(archives).map(|path| self.name_of(path)).collect();
        Ok((Reading::new(self, &survey).read(), names))
    }
}

/// Text from values files: by the offset of the directive that inserts it and the text, its file and line.
type ValueTexts = HashMap<(u32, SmolStr), (Arc<str>, u32)>;

/// Reads one rendered chart.
struct Reading<'r> {
    chart: &'r ChartInput,
    survey: &'r Survey,
    files: Vec<File<'r>>,
    result: FileResult,
    /// Values that are empty by default and can insert RBAC, with the first place that uses them.
    empty: BTreeMap<String, (Arc<str>, u32)>,
    /// Gaps already recorded.
    recorded: BTreeSet<(Arc<str>, u32, String)>,
}

impl<'r> Reading<'r> {
    fn new(chart: &'r ChartInput, survey: &'r Survey) -> Self {
        let files = survey.files.iter().map(|file| {
            let text = std::str::from_utf8(&file.data).unwrap_or_default();
            File::new(chart.name_of(&file.path), text)
        });
        let files = files.collect();
        let result = FileResult::default();
        Self { chart, survey, files, result, empty: BTreeMap::new(), recorded: BTreeSet::new() }
    }

    fn read(mut self) -> FileResult {
        let survey = self.survey;
        if !survey.missing.is_empty() {
            let path = self.chart.name_of(CHART);
            self.record(&path, 1, &format!("dependencies not found in charts/: {}", survey.missing.join(", ")));
        }
        for failure in &survey.failures {
            self.record_at(failure.origin, &format!("cannot be rendered: {}", failure.message));
        }
        let mut renderings: BTreeMap<u32, Vec<&Rendering>> = BTreeMap::new();
        for rendering in &survey.renderings {
            renderings.entry(rendering.file).or_default().push(rendering);
        }
        for (file, renderings) in renderings {
            let is_given = survey.files.get(file as usize).is_some_and(|file| self.is_given(&file.path));
            if is_given {
                self.read_template(&renderings);
            }
        }
        for file in &survey.cut {
            let mut texts = survey.renderings.iter().filter(|it| it.file == *file).map(|it| &it.text.text);
            let may_grant = texts.any(|text| text.contains("Role") && may_grant(text));
            if may_grant {
                let origin = Origin { file: *file, start: 0, end: 0 };
                self.record_at(origin, "too many combinations of conditions to try them all");
            }
        }
        for (name, origin) in &survey.unused {
            let file = survey.files.get(origin.file as usize);
            let text =
                file.and_then(|file| file.data.get(origin.start as usize..origin.end as usize)).unwrap_or_default();
            let says = |word: &str| memchr::memmem::find(text, word.as_bytes()).is_some();
            if says("impersonate") || says("verbs") && says("*") {
                self.record_at(
                    *origin,
                    &format!("template {name:?} contains RBAC rules but is never used in this chart"),
                );
            }
        }
        let mut places: BTreeMap<(Arc<str>, u32), Vec<String>> = BTreeMap::new();
        if let Some(first) = self.empty.values().next().cloned() {
            places.insert(first, std::mem::take(&mut self.empty).into_keys().collect());
        }
        for ((path, line), values) in places {
            self.record(
                &path,
                line,
                &format!("values that are empty by default can insert RBAC: {}", values.join(", ")),
            );
        }
        for input in self.chart.files.values() {
            let Some(file) = self.files.iter().zip(&survey.files).find(|(file, _)| file.name == input.name) else {
                continue;
            };
            self.result.suppressions.extend(suppression::find(&input.name, &file.1.data));
        }
        self.result
    }

    /// Reports whether a template is in the input. Packed dependencies belong to it as a wlines.
    fn is_given(&self, path: &str) -> bool {
        self.chart.files.contains_key(path) || path.contains(".tgz/")
    }

    /// Reads all renderings of one template.
    fn read_template(&mut self, renderings: &[&'r Rendering]) {
        let mut objects = Objects::default();
        for rendering in renderings {
            objects.begin();
            let assumed: Vec<String> = rendering.assumptions.iter().map(|it| self.words(it)).collect();
            for range in documents(&rendering.text.text) {
                let mut text = Marked::default();
                text.append_range(&rendering.text, range);
                let matters = may_hold_rbac(text.text.as_bytes()) || text.marks.iter().any(|mark| mark.shape.is_some());
                let written = (text.text.clone(), text.marks.iter().map(|mark| (mark.length, mark.origin)).collect());
                if matters && objects.begin_document(&written) {
                    self.read_text(&text, rendering, &assumed, &mut objects);
                    objects.end_document(written);
                }
            }
        }
        let (roles, bindings) = objects.finish();
        self.result.contents.roles.extend(roles);
        self.result.contents.bindings.extend(bindings);
    }

    fn read_text(&mut self, text: &Marked, rendering: &Rendering, assumed: &[String], objects: &mut Objects) {
        let survey = self.survey;
        let document = Document::new(text, rendering.file, survey, &self.files);
        let off = rendering.assumptions.iter().find_map(|(assumption, _)| match assumption {
            Assumption::Enabled(chart) => Some(chart),
            _ => None,
        });
        let by_default = rendering.assumptions.len() == usize::from(off.is_some());
        let Some(file) = self.files.get(document.main as usize) else { return };
        let path = Arc::clone(&file.name);
        let (trees, error, unknown_lines) = document.parse(&self.files);
        self.result.documents += if by_default { trees.len() } else { 0 };
        let mut contents = Contents::default();
        for tree in &trees {
            read_document(tree, &path, &mut contents);
        }
        for lines in &unknown_lines {
            let within = trees.iter().filter_map(|tree| tree.root()).rfind(|root| root.range().start <= lines.offset);
            self.record_unknown_lines(gaps::position(within, lines), lines.origin, lines.place.line, &path);
        }
        if let Some(error) = error.filter(|_| by_default && may_hold_rbac(text.text.as_bytes())) {
            self.record(
                &path,
                error.place.line,
                &format!("the rendered document is not valid YAML: {}", error.message),
            );
        }
        if by_default {
            let separator = text.text.find(['\u{85}', '\u{2028}', '\u{2029}']).map(Departure::line_separator);
            if let Some(departure) = trees.first().and_then(Tree::departure).or(separator) {
                let line = document.place(departure.offset).line;
                self.record(&path, line, &format!("readers may read this document differently: {}", departure.what));
            }
            // Null values are placeholders for user input.
            let problems = std::mem::take(&mut contents.problems);
            for problem in problems.into_iter().filter(|problem| problem.kind != ProblemKind::Null) {
                self.record(&problem.path, problem.place.map_or(1, |place| place.line), &problem.message);
            }
            self.result.contents.mentions.append(&mut contents.mentions);
            self.result.contents.aside.append(&mut contents.aside);
        }
        for Unknown { offset, what, .. } in std::mem::take(&mut contents.unknown) {
            let line = self.files.get(document.main as usize).map_or(1, |file| file.line(offset));
            self.record_unknown(&path, line, &what, text);
        }
        let mut conditions = conditions::conditions(&document, survey, &self.files);
        if let Some(chart) = off {
            let words = format!("only if chart {chart} is enabled (false by default)");
            conditions.insert(0, Condition { range: 0..usize::MAX, words, by_default: Some(false) });
        }
        let value_texts = self.value_texts(&document);
        let value_origins = |rule: &PolicyRule| value_origins(rule, &value_texts);
        let from = From {
            conditions: &conditions,
            assumed,
            value_origins: &value_origins,
            is_plain: document.is_plain && off.is_none(),
        };
        for role in contents.roles {
            objects.add_role(role, &from);
        }
        for binding in contents.bindings {
            objects.add_binding(binding, &from);
        }
    }

    /// Describes an assumption.
    fn words(&self, (assumption, origin): &(Assumption, Origin)) -> String {
        match assumption {
            Assumption::Value { path, to } => {
                let path: Vec<&str> = path.iter().map(|part| part.as_str()).collect();
                let value = format!(".Values.{}", path.join("."));
                match to {
                    Assumed::Set => format!("{value} is set"),
                    Assumed::Unset => format!("{value} is not set"),
                    Assumed::Text(text) => format!("{value} is {text:?}"),
                }
            }
            Assumption::Enabled(chart) => format!("chart {chart} is enabled"),
            Assumption::Condition(_) => {
                let code = self.files.get(origin.file as usize).map(|file| file.shown(*origin)).unwrap_or_default();
                format!("`{code}` does not have its default value")
            }
        }
    }

    /// Collects the text that comes from values files.
    fn value_texts(&self, document: &Document<'_>) -> ValueTexts {
        let mut found = ValueTexts::new();
        let mut at = 0;
        for mark in &document.text.marks {
            let range = at..at + mark.length as usize;
            at = range.end;
            let is_values = |file: &&SourceFile| file.path.ends_with(VALUES);
            if self.survey.files.get(mark.origin.file as usize).filter(is_values).is_none() {
                continue;
            }
            let Some(file) = self.files.get(mark.origin.file as usize) else { continue };
            let offset = document.place(range.start).offset;
            let text = document.text.text.get(range).unwrap_or_default().trim_matches(['"', '\'']);
            let origin = || (Arc::clone(&file.name), file.line(mark.origin.start));
            found.entry((offset, SmolStr::new(text))).or_insert_with(origin);
        }
        found
    }

    /// Records unknown lines where they could be RBAC.
    fn record_unknown_lines(&mut self, position: Position, origin: Origin, line: u32, path: &Arc<str>) {
        let Some(what) = position.describe() else { return };
        let code = shown(origin, &self.files);
        if self.is_of_missing(&code) {
            return;
        }
        if let Some(value) = empty_value(&code) {
            self.empty.entry(value).or_insert_with(|| (Arc::clone(path), line));
            return;
        }
        self.record(path, line, &format!("unknown {what} from {code}"));
    }

    /// Records an unknown part of an object; empty values are listed together.
    fn record_unknown(&mut self, path: &Arc<str>, line: u32, what: &str, text: &Marked) {
        let by = text.marks.iter().filter(|mark| mark.shape.is_some()).map(|mark| shown(mark.origin, &self.files));
        let by: Vec<String> = by.filter(|code| what.contains(code.as_str())).collect();
        if !by.is_empty() && by.iter().all(|code| self.is_of_missing(code)) {
            return;
        }
        let values: Vec<String> = by.iter().filter_map(|code| empty_value(code)).collect();
        if values.is_empty() {
            return self.record(path, line, what);
        }
        for value in values {
            self.empty.entry(value).or_insert_with(|| (Arc::clone(path), line));
        }
    }

    /// Reports whether an expression uses a missing dependency, which has its own gap.
    fn is_of_missing(&self, code: &str) -> bool {
        !self.survey.missing.is_empty() && code.starts_with("{{ include ")
    }

    fn record_at(&mut self, origin: Origin, reason: &str) {
        let Some(file) = self.files.get(origin.file as usize) else {
            let path = self.chart.name_of(CHART);
            return self.record(&path, 1, reason);
        };
        let (path, line) = (Arc::clone(&file.name), file.line(origin.start));
        self.record(&path, line, reason);
    }

    fn record(&mut self, path: &Arc<str>, line: u32, reason: &str) {
        if self.recorded.insert((Arc::clone(path), line, reason.to_owned())) {
            self.result.unread.push(Unread {
                path: Arc::clone(path),
                line,
                language: TemplateLanguage::DoubleBraces,
                mentions: Vec::new(),
                reason: reason.to_owned(),
                block: None,
            });
        }
    }
}

/// Returns the path of a value if the expression is nothing else.
fn empty_value(code: &str) -> Option<String> {
    let code = code.strip_prefix("{{ ")?.strip_suffix(" }}")?;
    let is_path = code
        .strip_prefix(".Values.")
        .is_some_and(|path| path.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')));
    is_path.then(|| code.to_owned())
}

/// Describes which texts of a rule come from values files.
fn value_origins(rule: &PolicyRule, value_texts: &ValueTexts) -> Vec<String> {
    let lists = [&rule.verbs, &rule.api_groups, &rule.resources, &rule.resource_names, &rule.non_resource_urls];
    let mut places: Vec<(&Arc<str>, u32, Vec<&str>)> = Vec::new();
    for text in lists.into_iter().flatten() {
        let Some((path, line)) = value_texts.get(&(text.place.offset, text.value.clone())) else { continue };
        let is_full = places.len() >= MAX_ORIGINS;
        match places.iter_mut().find(|(known, at, _)| *known == path && at == line) {
            Some((_, _, texts)) => texts.push(text.as_str()),
            None if !is_full => places.push((path, *line, vec![text.as_str()])),
            None => {}
        }
    }
    let notes = places.into_iter().map(|(path, line, texts)| {
        let shown: Vec<String> = texts.iter().take(MAX_TEXTS).map(|text| format!("{text:?}")).collect();
        let more = texts.len() - shown.len();
        match (shown.as_slice(), more) {
            ([one], 0) => format!("{one} is from {path}:{line}"),
            ([first @ .., last], 0) => format!("{} and {last} are from {path}:{line}", first.join(", ")),
            _ => format!("{} and {more} more are from {path}:{line}", shown.join(", ")),
        }
    });
    notes.collect()
}
