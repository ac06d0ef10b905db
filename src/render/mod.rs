//! Charts rendered as Helm renders them, with the origin of every byte.
//!
//! [`render`] takes the files of a chart and what a user sets, and returns the documents of the release. Nothing is read
//! beyond these files, nothing is executed, and every loop, text and recursion is bounded. Each byte of a document knows
//! the byte of the template, helper or values file that it comes from, and the conditions under which it is written.

mod api_versions;
mod archive;
pub mod ast;
mod capabilities;
mod chart;
mod coalesce;
mod condition;
mod dependencies;
mod eval;
mod exploration;
mod fields;
mod functions;
mod glob;
mod guard;
mod ignore;
mod json;
mod lex;
mod limits;
mod literal;
mod object;
mod parse;
mod print;
mod read;
mod release;
mod semver;
mod set_values;
mod source;
mod text;
mod toml;
mod value;
mod yaml_read;
mod yaml_scalar;
mod yaml_write;

use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;

use smol_str::SmolStr;

pub use capabilities::Capabilities;
pub use chart::SourceFile;
pub use condition::{Assumed, Assumption};
pub use exploration::Rendering;
pub use guard::{Guard, GuardKind};
pub use lex::TemplateError;
pub use limits::Limits;
pub use parse::parse;
pub use read::{Files, read_chart};
pub use release::{Broken, Document, Role, split as documents};
pub use set_values::SetKind;
pub use text::{GuardId, Mark, Marked, Origin, Shape};

use chart::{Chart, Loader};
use dependencies::Dependencies;
use eval::Machine;
use object::{FileData, Object};
use source::Source;
use value::{Kind, Map, Value};

/// What a user sets.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Values files, later ones over earlier ones: their paths, and what is in them.
    pub values: Vec<(String, Vec<u8>)>,
    /// Single values, in the order in which they count.
    pub set: Vec<(SetKind, String)>,
    /// The name of the release; without one, a name stands for it that nothing else is taken for.
    pub release_name: Option<String>,
    /// The namespace of the release; `default` without one.
    pub namespace: Option<String>,
    /// What the cluster can do.
    pub capabilities: Capabilities,
    /// Bounds.
    pub limits: Limits,
}

/// A chart as it was rendered.
#[derive(Debug, Clone, Default)]
pub struct Rendered {
    /// The name of the chart.
    pub name: String,
    /// Every file that was read: those of the chart, and then the values files.
    pub files: Vec<SourceFile>,
    /// The documents, in the order in which Helm installs them.
    pub documents: Vec<Document>,
    /// The conditions that the marks of texts name.
    pub guards: Vec<Guard>,
    /// What could not be rendered. The rest was.
    pub failures: Vec<Failure>,
    /// Charts that this one names and does not hold.
    pub missing: Vec<String>,
    /// `NOTES.txt`, which a user is shown.
    pub notes: Option<Marked>,
}

/// All renderings of a chart's templates.
#[derive(Debug, Clone, Default)]
pub struct Survey {
    /// The name of the chart.
    pub name: String,
    /// Every file that was read: those of the chart, and then the values files.
    pub files: Vec<SourceFile>,
    /// The renderings: with the chart's values and, where it matters, with assumptions.
    pub renderings: Vec<Rendering>,
    /// The conditions that the marks of texts name.
    pub guards: Vec<Guard>,
    /// What could not be rendered. The rest was.
    pub failures: Vec<Failure>,
    /// Charts that this one names and does not hold.
    pub missing: Vec<String>,
    /// Templates that are defined but never used, with their ranges.
    pub unused: Vec<(SmolStr, Origin)>,
    /// Files whose combinations of branches were not all tried.
    pub cut: Vec<u32>,
}

/// The names of all functions that templates may call, in order.
pub fn function_names() -> impl Iterator<Item = &'static str> {
    functions::TABLE.iter().map(|function| function.name)
}

/// Something that could not be rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The template that was being rendered.
    pub template: String,
    /// What is wrong.
    pub message: String,
    /// Where.
    pub origin: Origin,
    /// Whether a bound was reached.
    pub is_limit: bool,
}

/// The stack that templates may use: they are nested as deep as [`Limits::depth`] allows.
const STACK: usize = 256 << 20;

/// The file that describes a chart.
const CHART: &str = "Chart.yaml";

/// The name that stands for that of a release: Helm's own.
const RELEASE_NAME: &str = "release-name";

/// Renders a chart.
///
/// # Errors
/// When the files are no chart, or values cannot be read.
pub fn render(files: Files, settings: &Settings) -> Result<Rendered, String> {
    on_own_stack(|| render_here(files, settings))
}

/// Renders the templates of a chart with its values and, where `may_matter` accepts the text, with other branches taken.
/// Expressions that fail become unknown values.
///
/// # Errors
/// When the files are no chart, or values cannot be read.
pub fn survey(
    files: Files,
    settings: &Settings,
    may_matter: &(dyn Fn(&[u8]) -> bool + Sync),
) -> Result<Survey, String> {
    on_own_stack(|| survey_here(files, settings, may_matter))
}

fn on_own_stack<T: Send>(work: impl FnOnce() -> Result<T, String> + Send) -> Result<T, String> {
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().stack_size(STACK);
        let thread = builder.spawn_scoped(scope, work);
        let thread = thread.map_err(|error| format!("no thread could be started: {error}"))?;
        thread.join().map_err(|_| "the renderer failed".to_owned())?
    })
}

/// A loaded chart.
struct Loaded {
    chart: Chart,
    loader: Loader,
    missing: Vec<String>,
    scopes: Scopes,
    /// The same with disabled dependencies, if there are any.
    all: Option<Scopes>,
    capabilities: Rc<Capabilities>,
}

fn load(files: Files, settings: &Settings, is_strict: bool) -> Result<Loaded, String> {
    let mut loader = Loader { files: Vec::new(), budget: settings.limits.chart_bytes, is_strict, refused: Vec::new() };
    let mut chart = loader.load(files, "", 0)?;
    let given = given_values(settings, &mut loader)?;
    let missing = dependencies::missing(&chart);
    let capabilities = Rc::new(settings.capabilities.clone());
    let scopes_of = |chart: &Chart| {
        let values = coalesce::coalesce_values(chart, &given)?;
        let capabilities = Rc::clone(&capabilities);
        let mut scopes = Scopes { release: release(settings), capabilities, templates: Vec::new(), crds: Vec::new() };
        scopes.gather(chart, &chart.metadata.name, values, true);
        Ok::<_, String>(scopes)
    };
    let mut whole = chart.clone();
    let some_are_off = dependencies::process(&mut chart, &given, Dependencies::Enabled)?;
    let all = if some_are_off && !is_strict {
        dependencies::process(&mut whole, &given, Dependencies::All)?;
        Some(scopes_of(&whole)?)
    } else {
        None
    };
    let scopes = scopes_of(&chart)?;
    Ok(Loaded { chart, loader, missing, scopes, all, capabilities })
}

fn render_here(files: Files, settings: &Settings) -> Result<Rendered, String> {
    let Loaded { chart, loader, missing, scopes, capabilities, .. } = load(files, settings, true)?;
    let mut rendered = Rendered { name: chart.metadata.name.clone(), missing, ..Rendered::default() };
    check_chart(&chart, &capabilities, &mut rendered);
    evaluate(scopes, settings.limits, &mut rendered);
    rendered.files = loader.files;
    Ok(rendered)
}

fn survey_here(
    files: Files,
    settings: &Settings,
    may_matter: &(dyn Fn(&[u8]) -> bool + Sync),
) -> Result<Survey, String> {
    let Loaded { chart, loader, missing, mut scopes, all, .. } = load(files, settings, false)?;
    let mut survey = Survey { name: chart.metadata.name.clone(), missing, files: loader.files, ..Survey::default() };
    let mut machine = Machine::new(settings.limits);
    let refused = loader.refused.into_iter().map(|message| Failure {
        template: CHART.to_owned(),
        message,
        origin: Origin::NONE,
        is_limit: false,
    });
    survey.failures.extend(refused);
    survey.failures.extend(scopes.define_all(&mut machine));
    let known: HashSet<String> = scopes.templates.iter().map(|template| template.name.clone()).collect();
    scopes.survey(&mut machine, None, &mut survey, may_matter);
    // Files are not definitions.
    survey.unused = machine.unused().into_iter().filter(|(name, _)| !known.contains(name.as_str())).collect();
    survey.guards = machine.guards;
    if let Some(mut all) = all {
        let mut machine = Machine::new(settings.limits);
        machine.guards = std::mem::take(&mut survey.guards);
        survey.failures.extend(all.define_all(&mut machine).into_iter().filter(|it| !known.contains(&it.template)));
        all.survey(&mut machine, Some(&known), &mut survey, may_matter);
        survey.guards = machine.guards;
    }
    Ok(survey)
}

fn given_values(settings: &Settings, loader: &mut Loader) -> Result<Rc<Map>, String> {
    let mut given = Map::default();
    for (path, data) in &settings.values {
        let number = text::to_u32(loader.files.len());
        loader.files.push(SourceFile { path: path.clone(), data: data.as_slice().into() });
        let data = data.strip_prefix(b"\xef\xbb\xbf").unwrap_or(data);
        let values = yaml_read::read_values(&String::from_utf8_lossy(data), number);
        given = yaml_read::merge_maps(&given, &values.map_err(|message| format!("{path}: {message}"))?);
    }
    let given = Rc::new(given);
    // As Helm does: JSON first, then what has a type, then text.
    for kind in [SetKind::Json, SetKind::Typed, SetKind::Text] {
        for (_, argument) in settings.set.iter().filter(|(own, _)| *own == kind) {
            set_values::set(&given, argument, kind)?;
        }
    }
    Ok(given)
}

/// Records why Helm would install nothing of the chart.
fn check_chart(chart: &Chart, capabilities: &Capabilities, rendered: &mut Rendered) {
    let mut record = |message: String| {
        let template = CHART.to_owned();
        rendered.failures.push(Failure { template, message, origin: Origin::NONE, is_limit: false });
    };
    if chart.metadata.is_library() {
        record("library charts are not installable".to_owned());
    }
    if semver::Version::parse(&chart.metadata.version).is_err() {
        record(format!("chart.metadata.version {:?} is invalid", chart.metadata.version));
    }
    let wanted = &chart.metadata.kube_version;
    if !wanted.is_empty() && !dependencies::is_compatible(wanted, &capabilities.normalized) {
        let version = &capabilities.kube_version;
        record(format!("chart requires kubeVersion: {wanted} which is incompatible with Kubernetes {version}"));
    }
}

fn release(settings: &Settings) -> Value {
    let map = Map::default();
    let name = match &settings.release_name {
        Some(name) => Value::from(name.as_str()),
        None => Value::from(RELEASE_NAME).at(Origin::RELEASE_NAME),
    };
    map.set("Name", name);
    let namespace = match &settings.namespace {
        Some(namespace) => Value::from(namespace.as_str()),
        None => Value::from("default").at(Origin::RELEASE_NAMESPACE),
    };
    map.set("Namespace", namespace);
    map.set("IsUpgrade", false);
    map.set("IsInstall", true);
    map.set("Revision", Value::int(1));
    map.set("Service", "Helm");
    map.into()
}

/// A file of templates, and what it is rendered with.
struct Template {
    name: String,
    base_path: String,
    file: u32,
    data: Arc<[u8]>,
    scope: Rc<Map>,
}

/// What the templates of a chart and of those in it see.
struct Scopes {
    release: Value,
    capabilities: Rc<Capabilities>,
    templates: Vec<Template>,
    crds: Vec<(String, u32, Arc<[u8]>)>,
}

impl Scopes {
    fn gather(&mut self, chart: &Chart, path: &str, values: Rc<Map>, is_root: bool) -> Rc<Map> {
        let scope = Rc::new(Map::default());
        scope.set("Chart", chart.metadata.to_value(is_root));
        let files: BTreeMap<SmolStr, FileData> = chart
            .files
            .iter()
            .map(|file| (SmolStr::new(&file.name), FileData { file: file.file, data: Arc::clone(&file.data) }))
            .collect();
        scope.set("Files", Kind::Object(Object::Files(Rc::new(object::Files::new(files)))));
        scope.set("Release", self.release.clone());
        scope.set("Capabilities", Kind::Object(Object::Capabilities(Rc::clone(&self.capabilities))));
        scope.set("Values", Rc::clone(&values));
        let subcharts = Rc::new(Map::default());
        scope.set("Subcharts", Rc::clone(&subcharts));
        for file in &chart.files {
            let extension = file.name.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
            if file.name.starts_with("crds/") && matches!(extension.as_str(), "yaml" | "yml" | "json") {
                self.crds.push((format!("{path}/{}", file.name), file.file, Arc::clone(&file.data)));
            }
        }
        for dependency in &chart.dependencies {
            let name = dependency.name();
            let own = values.get(&name).and_then(|value| value.as_map().cloned()).unwrap_or_default();
            let inner = self.gather(dependency, &format!("{path}/charts/{name}"), own, false);
            subcharts.set(name, inner);
        }
        for template in &chart.templates {
            let base = template.name.rsplit('/').next().unwrap_or(&template.name);
            if chart.metadata.is_library() && !base.starts_with('_') {
                continue;
            }
            self.templates.push(Template {
                name: format!("{path}/{}", template.name),
                base_path: format!("{path}/templates"),
                file: template.file,
                data: Arc::clone(&template.data),
                scope: Rc::clone(&scope),
            });
        }
        scope
    }
}

impl Template {
    /// Reports whether Helm uses only its definitions.
    fn is_helper(&self) -> bool {
        self.name.rsplit('/').next().unwrap_or(&self.name).starts_with('_')
    }

    /// Returns the name of its chart.
    fn chart_name(&self) -> SmolStr {
        let chart = self.base_path.strip_suffix("/templates").unwrap_or(&self.base_path);
        SmolStr::new(chart.rsplit('/').next().unwrap_or_default())
    }

    /// Returns the data that it is executed with.
    fn own_scope(&self) -> Rc<Map> {
        let own = Map::default();
        own.set("Name", self.name.as_str());
        own.set("BasePath", self.base_path.as_str());
        self.scope.set("Template", own);
        Rc::clone(&self.scope)
    }
}

impl Scopes {
    /// Parses all templates and returns the errors.
    fn define_all(&mut self, machine: &mut Machine) -> Vec<Failure> {
        // The deepest ones first, so that what a chart defines counts more than what those in it define.
        let depth = |template: &Template| template.name.matches('/').count();
        self.templates.sort_by(|a, b| (depth(b), &b.name).cmp(&(depth(a), &a.name)));
        let mut failures = Vec::new();
        for template in &self.templates {
            let text = String::from_utf8_lossy(&template.data).into_owned();
            if let Err(error) = machine.add(&template.name, Source::file(template.file, text)) {
                failures.push(failure(&template.name, error));
            }
        }
        failures
    }
}

impl Scopes {
    /// Explores all templates; with `known`, only those of disabled dependencies, which are not in it.
    fn survey(
        &self,
        machine: &mut Machine,
        known: Option<&HashSet<String>>,
        survey: &mut Survey,
        may_matter: &(dyn Fn(&[u8]) -> bool + Sync),
    ) {
        let rendered = |template: &&Template| !template.is_helper() && !template.name.ends_with("NOTES.txt");
        for template in self
            .templates
            .iter()
            .filter(rendered)
            .filter(|template| !known.is_some_and(|known| known.contains(&template.name)))
        {
            let enabled = known.map(|_| Assumption::Enabled(template.chart_name()));
            match exploration::explore(machine, &template.name, &template.own_scope(), may_matter) {
                Ok(explored) => {
                    survey.cut.extend(explored.cut.then_some(template.file));
                    let renderings = explored.renderings.into_iter().map(|(mut assumptions, text)| {
                        assumptions.extend(enabled.clone().map(|enabled| (enabled, Origin::NONE)));
                        Rendering { template: template.name.clone(), file: template.file, assumptions, text }
                    });
                    survey.renderings.extend(renderings);
                }
                Err(error) => {
                    let is_limit = error.is_limit;
                    survey.failures.push(failure(&template.name, error));
                    if is_limit {
                        break;
                    }
                }
            }
        }
    }
}

fn evaluate(mut scopes: Scopes, limits: Limits, rendered: &mut Rendered) {
    let mut machine = Machine::new(limits);
    rendered.failures.extend(scopes.define_all(&mut machine));
    let mut written = Vec::new();
    for template in scopes.templates.iter().filter(|template| !template.is_helper()) {
        match machine.run(&template.name, &template.own_scope().into()) {
            Ok(text) if template.name.ends_with("NOTES.txt") => {
                if template.name == format!("{}/templates/NOTES.txt", rendered.name) {
                    rendered.notes = Some(text);
                }
            }
            Ok(text) => written.push((template.name.clone(), text)),
            Err(error) => {
                let is_limit = error.is_limit;
                rendered.failures.push(failure(&template.name, error));
                if is_limit {
                    break;
                }
            }
        }
    }
    let mut documents = release::documents(written);
    let crds = scopes.crds.iter().map(|(source, file, data)| {
        let data_text = String::from_utf8_lossy(data);
        let mut text = Marked::default();
        let origin = Origin { file: *file, start: 0, end: text::to_u32(data.len()) };
        text.push(&data_text, origin, GuardId::default(), None);
        Document { source: source.clone(), kind: "CustomResourceDefinition".to_owned(), role: Role::Crd, text }
    });
    documents.splice(0..0, crds);
    rendered.documents = documents;
    rendered.guards = std::mem::take(&mut machine.guards);
}

fn failure(template: &str, error: eval::RenderError) -> Failure {
    Failure { template: template.to_owned(), message: error.message, origin: error.origin, is_limit: error.is_limit }
}
