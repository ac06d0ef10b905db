//! Files that are used because others name them, whatever they are called: what kustomizations take, and what templates
//! read of their chart. Nothing outside of the paths that were given is opened.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;
use walkdir::WalkDir;

use super::Aside;
use super::embedded::beside;
use super::load::LoadOptions;
use crate::source::{FileText, Input, Limits, is_named_like_a_manifest, read_file, unpack};
use crate::syntax::line_breaks;
use crate::template::{chart_root, granting_word};

const WORD: &[u8] = b"impersonate";
/// How much of a packed chart is looked at, in bytes.
const MAX_UNPACKED: usize = 32 << 20;
/// How many names are told of what was not read for one reason.
const MAX_NAMES: usize = 3;

/// A file, a directory or something else that a file names.
#[derive(Debug)]
pub(super) struct Reference {
    /// The file that names it.
    pub path: Arc<str>,
    /// The line there.
    pub line: u32,
    /// What it names, as it is written there.
    pub target: String,
    /// What that is.
    pub what: Named,
}

/// What a file is to the one that names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    /// Manifests, or a directory of them.
    Manifest,
    /// A patch, which need not say what it changes.
    Patch,
    /// Data of an object.
    Data,
}

/// Why something that is named is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Why {
    Outside,
    Remote,
    Missing,
    Special,
    Excluded,
}

impl Why {
    fn describe(self) -> &'static str {
        match self {
            Self::Outside => "lies outside of what was given",
            Self::Remote => "is fetched from elsewhere",
            Self::Missing => "is not there",
            Self::Special => "is no regular file",
            Self::Excluded => "is excluded by the configuration",
        }
    }
}

/// What is known of the files that were found.
pub(super) struct Follower<'o> {
    /// The paths that were given, without links on the way.
    roots: Vec<PathBuf>,
    /// The files that were found, sorted by name, and whether each was parsed.
    found: &'o [Input],
    parsed: &'o [bool],
    /// Those that are read because they are named, by their names.
    named: BTreeMap<Arc<str>, Option<PathBuf>>,
    options: &'o LoadOptions,
    /// What was not looked at.
    pub(super) aside: Vec<Aside>,
}

impl<'o> Follower<'o> {
    /// What was given, the files that were found there, and whether each was parsed.
    pub(super) fn new(paths: &[PathBuf], found: &'o [Input], parsed: &'o [bool], options: &'o LoadOptions) -> Self {
        let roots = paths.iter().filter_map(|path| path.canonicalize().ok()).collect();
        Self { roots, found, parsed, named: BTreeMap::new(), options, aside: Vec::new() }
    }

    /// Where a file is that is read, and whether it was parsed.
    fn file(&self, name: &str) -> Option<(Option<&Path>, bool)> {
        if let Some(file) = self.named.get(name) {
            return Some((file.as_deref(), true));
        }
        let at = self.found.binary_search_by(|input| (*input.name).cmp(name)).ok()?;
        Some((self.found.get(at)?.file.as_deref(), *self.parsed.get(at)?))
    }

    /// The files that are named, and were not found by their own names. Data is only searched; what is neither is said.
    pub(super) fn follow(&mut self, references: &[Reference]) -> Vec<Input> {
        let (mut inputs, mut data) = (Vec::new(), Vec::new());
        let mut left: BTreeMap<(&Arc<str>, Why), Vec<&Reference>> = BTreeMap::new();
        for reference in references {
            match self.look_up(reference) {
                Ok(None) => {}
                Ok(Some(input)) => {
                    self.named.insert(Arc::clone(&input.name), input.file.clone());
                    if reference.what == Named::Data { &mut data } else { &mut inputs }.push(input);
                }
                Err(why) => left.entry((&reference.path, why)).or_default().push(reference),
            }
        }
        for ((path, why), references) in left {
            let names: Vec<&str> = references.iter().take(MAX_NAMES).map(|it| it.target.as_str()).collect();
            let more = references.len() - names.len();
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let reason = format!("what it names {}: {}{more}", why.describe(), names.join(", "));
            let line = references.iter().map(|it| it.line).min().unwrap_or_default();
            self.aside.push(Aside::at(path, line, reason));
        }
        self.search(&data, "a kustomization puts it into a ConfigMap or Secret");
        inputs
    }

    fn look_up(&self, Reference { path, target, what, .. }: &Reference) -> Result<Option<Input>, Why> {
        let name = beside(path, target);
        match self.file(&name) {
            Some((Some(file), false)) if *what == Named::Patch => {
                return Ok(Some(Input::of_another(file.to_owned(), &name)));
            }
            Some(_) => return Ok(None),
            None if self.reads_below(&name) => return Ok(None),
            None => {}
        }
        let Some((Some(by), _)) = self.file(path) else { return Ok(None) };
        let file = by.parent().unwrap_or(Path::new("")).join(target);
        let Ok(metadata) = std::fs::metadata(&file) else {
            // Secrets are made of files that are kept elsewhere.
            let why = if is_remote(target) { Why::Remote } else { Why::Missing };
            return if *what == Named::Data { Ok(None) } else { Err(why) };
        };
        let real = file.canonicalize().ok().filter(|real| self.is_given(real));
        let Some(real) = real else { return Err(Why::Outside) };
        if metadata.is_dir() || is_named_like_a_manifest(&file) {
            // What is to be read there was found, or said to be left out.
            Ok(None)
        } else if self.is_excluded(&real) {
            Err(Why::Excluded)
        } else if metadata.is_file() {
            Ok(Some(Input::of_another(file, &name)))
        } else {
            Err(Why::Special)
        }
    }

    /// Reports whether the configuration excludes a file, or a directory in which it is below the paths given.
    fn is_excluded(&self, real: &Path) -> bool {
        let Some(filter) = &self.options.leave_out.filter else { return false };
        let below_roots =
            real.ancestors().skip(1).take_while(|directory| !self.roots.iter().any(|root| root == directory));
        filter.excludes_file(real) || below_roots.into_iter().any(|directory| filter.excludes_directory(directory))
    }

    fn is_given(&self, real: &Path) -> bool {
        self.roots.iter().any(|root| real.starts_with(root))
    }

    /// Whether files are read below a directory.
    fn reads_below(&self, directory: &str) -> bool {
        let below = if directory.is_empty() { String::new() } else { format!("{directory}/") };
        let next = self.found.partition_point(|input| *input.name < *below);
        self.found.get(next).is_some_and(|input| input.name.starts_with(&below))
    }

    /// Searches the other files of the charts to which these templates belong: they read some of them.
    pub(super) fn search_charts(&mut self, templates: &[&Input]) {
        let mut charts: BTreeMap<PathBuf, &Input> = BTreeMap::new();
        for template in templates {
            let Some(file) = &template.file else { continue };
            if let Some(real) = file.canonicalize().ok().as_deref().and_then(chart_root) {
                charts.entry(real.to_owned()).or_insert(*template);
            }
        }
        for (real, template) in charts {
            // By the names that the user knows.
            let root = template.file.as_deref().and_then(chart_root).filter(|_| self.is_given(&real));
            let Some(root) = root else {
                let reason = "templates read files of their chart (`.Files`), which lie outside of what was given";
                let (path, reason) = (Arc::clone(&template.name), reason.to_owned());
                self.aside.push(Aside { path, line: None, reason });
                continue;
            };
            let root = if root.as_os_str().is_empty() { Path::new(".") } else { root };
            let entries = WalkDir::new(root).into_iter().filter_entry(|entry| entry.file_name() != ".git");
            let files = entries.filter_map(Result::ok).filter(|entry| entry.file_type().is_file());
            // What is read is known, but not what templates make of it.
            let is_applied = |file: &Path| {
                let inside = file.strip_prefix(root).unwrap_or(file);
                let is_named = |name: &str| inside.starts_with(name) || inside == Path::new(name);
                ["templates", "charts", "crds", "Chart.yaml", "values.yaml"].into_iter().any(is_named)
            };
            let files = files.map(|entry| (is_applied(entry.path()), Input::found(entry.into_path(), false)));
            let files = files.filter(|(is_applied, input)| !is_applied || self.file(&input.name).is_none());
            let files: Vec<Input> = files.map(|(_, input)| input).collect();
            self.search(&files, "templates of its chart read files (`.Files`)");
        }
    }

    /// Says which of these files hold the word, though nothing reads them.
    fn search(&mut self, files: &[Input], reason: &str) {
        let search = |text: &mut FileText, input: &Input| {
            let (line, reason) = match read_file(input, &self.options.limits, text) {
                Ok(()) => {
                    let (at, word) = granting_word(text.bytes())?;
                    let line = 1 + line_breaks(text.bytes().get(..at)?).0;
                    (Some(line), format!("{reason}, and it holds the word `{word}`"))
                }
                Err(error) => (None, error.to_string()),
            };
            Some(Aside { path: Arc::clone(&input.name), line, reason })
        };
        let found: Vec<Option<Aside>> = files.par_iter().map_init(FileText::default, search).collect();
        self.aside.extend(found.into_iter().flatten());
    }
}

/// Whether Kustomize may take it for a repository, a part of one, or something that it downloads.
fn is_remote(target: &str) -> bool {
    let (host, rest) = target.split_once('/').unwrap_or((target, ""));
    target.contains("://")
        || target.contains(['@', '?'])
        || !rest.is_empty() && !host.starts_with('.') && host.contains('.')
}

/// That charts are packed, and whether the word stands in them.
pub(super) fn packed_charts(archives: &[&Input], limits: &Limits) -> Vec<Aside> {
    let look = |text: &mut FileText, input: &&Input| {
        let reason = match read_file(input, limits, text).ok().and_then(|()| unpack(text.bytes(), MAX_UNPACKED).ok()) {
            Some(unpacked) if memchr::memmem::find(&unpacked, WORD).is_none() => "a packed chart is not read",
            Some(_) => "a packed chart is not read; it holds the word `impersonate`",
            None => "a packed chart is not read, and could not be searched for the word `impersonate`",
        };
        Aside { path: Arc::clone(&input.name), line: None, reason: reason.to_owned() }
    };
    archives.par_iter().map_init(FileText::default, look).collect()
}
