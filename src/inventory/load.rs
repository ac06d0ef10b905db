//! Paths to an inventory: discovery, reading and parsing side by side, collected and sorted once.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::str;
use std::sync::Arc;

use rayon::prelude::*;

use super::blocks::{BlockCall, BlockIn, Blocks};
use super::charts::{self, ChartInput};
use super::documents::{Parsed, line_separator, parse_piece};
use super::embedded::{self, Mention, Use};
use super::follow::{self, Follower};
use super::read::{Contents, PartialBinding, append, read_document, read_template};
use super::template::{TemplateView, Unknown};
use super::{Aside, Inventory, Suppression, abbreviate, link, suppression};
use crate::problem::{Problem, ProblemKind};
use crate::source::{
    FileText, Input, LeaveOut, Limits, Piece, ReadError, Skipped, TemplateLanguage, discover, is_kustomization,
    line_breaks_of_go, may_become_rbac, may_hold_rbac, may_read_files, read_file, split_documents, template_language,
};
use crate::syntax::{Departure, Place, line_breaks, parse_documents};
use crate::template::{
    Call, Chart, Charts, Part, Template, Unseen, chart_file, defined_in, is_rendered_otherwise, is_ytt, may_grant,
    written_in_comments,
};

/// How many places of the verb in one part of a template are listed.
const MAX_WORDS: usize = 100;
/// A file is parsed on several threads from this size on.
const PARALLEL_FROM: usize = 1 << 20;

/// How input is read.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// Bounds on what is read.
    pub limits: Limits,
    /// What is not read, even if it stands below a directory that is.
    pub leave_out: LeaveOut,
    /// Texts that take the place of what files hold, by the names of these.
    pub instead: BTreeMap<Arc<str>, Arc<[u8]>>,
}

/// What was looked at, and what was not.
#[derive(Debug, Clone, Default)]
pub struct Coverage {
    /// Files read.
    pub files: usize,
    /// Of these, the files whose bytes rule out an RBAC object. Only the code of templates is looked at there.
    pub files_without_rbac: usize,
    /// Documents parsed.
    pub documents: usize,
    /// RBAC objects found, copies included.
    pub objects: usize,
    /// RBAC found in other objects, copies included: manifests, lists of rules, and bindings that a controller makes.
    pub embedded: usize,
    /// Not regular files, below the directories given.
    pub skipped: Skipped,
    /// Documents that were not understood, in the order of their places.
    pub unread: Vec<Unread>,
    /// Verbs of impersonation that stand in no rule, in the order of their places.
    pub mentions: Vec<Mention>,
    /// What else was not looked at, in the order of its places.
    pub aside: Vec<Aside>,
}

/// A part of a template that was not looked at: a document, or what a directive fills in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// The file.
    pub path: Arc<str>,
    /// Line on which the document or the part starts.
    pub line: u32,
    /// The template's language.
    pub language: TemplateLanguage,
    /// Lines of the document on which the word `impersonate` stands.
    pub mentions: Vec<u32>,
    /// Why: what is not known, in words.
    pub reason: String,
    /// The block of the template that says it, if there is one.
    pub(super) block: Option<String>,
}

/// Reads everything that `paths` stand for.
pub fn load(paths: &[PathBuf], options: &LoadOptions) -> Inventory {
    let found = discover(paths, &options.leave_out);
    let known_charts = Charts::default();
    let rendered: Vec<_> =
        charts::charts(&found.inputs).par_iter().map(|chart: &ChartInput| chart.read(options)).collect();
    let is_rendered: HashSet<Arc<str>> =
        rendered.iter().flatten().flat_map(|(_, names)| names.iter().cloned()).collect();
    let archives: Vec<&Input> = found.archives.iter().filter(|input| !is_rendered.contains(&input.name)).collect();
    let packed = follow::packed_charts(&archives, &options.limits);
    // None of a file that cannot hold RBAC, as most of them.
    let read = |inputs: &[Input], may_be_cluster: bool| -> Vec<Option<Box<FileResult>>> {
        let read = |buffer: &mut FileText, input: &Input| {
            if is_rendered.contains(&input.name) {
                return Some(Box::new(FileResult { read: true, parsed: true, ..FileResult::default() }));
            }
            read_input(input, may_be_cluster && input.explicit, options, &known_charts, buffer)
        };
        inputs.par_iter().map_init(FileText::default, read).collect()
    };
    let mut results = read(&found.inputs, paths.len() == 1);
    let mut inventory = Inventory { problems: found.problems, ..Inventory::default() };
    inventory.coverage.skipped = found.skipped;
    inventory.coverage.aside = packed;
    let is =
        |result: &Option<Box<FileResult>>, question: fn(&FileResult) -> bool| result.as_deref().is_some_and(question);
    let parsed: Vec<bool> = results.iter().map(|result| is(result, |result| result.parsed || !result.read)).collect();
    let templates = found.inputs.iter().zip(&results).filter(|(_, result)| is(result, |result| result.reads_files));
    let templates: Vec<&Input> = templates.map(|(input, _)| input).collect();
    let mut follower = None;
    let mut left = Left::default();
    for result in rendered {
        match result {
            Ok((result, _)) => absorb(&mut inventory, result, &mut left),
            Err(aside) => inventory.coverage.aside.push(aside),
        }
    }
    loop {
        let mut references = Vec::new();
        for result in results {
            let Some(mut result) = result else {
                inventory.coverage.files += 1;
                inventory.coverage.files_without_rbac += 1;
                continue;
            };
            append(&mut references, std::mem::take(&mut result.contents.references));
            absorb(&mut inventory, *result, &mut left);
        }
        if references.is_empty() && templates.is_empty() {
            break;
        }
        // Each file is read once, so that this ends.
        let follower: &mut Follower<'_> =
            follower.get_or_insert_with(|| Follower::new(paths, &found.inputs, &parsed, options));
        let more = follower.follow(&references);
        if more.is_empty() {
            follower.search_charts(&templates);
            break;
        }
        results = read(&more, false);
        // What is read once more is counted already.
        let is_known = |input: &Input| found.inputs.binary_search_by(|known| known.name.cmp(&input.name)).is_ok();
        let known = more.iter().zip(&mut results).filter(|(input, _)| is_known(input));
        for result in known.filter_map(|(_, result)| result.as_deref_mut()) {
            inventory.coverage.files_without_rbac -= usize::from(std::mem::take(&mut result.read));
        }
    }
    inventory.coverage.aside.extend(follower.into_iter().flat_map(|follower| follower.aside));
    finish(inventory, left)
}

/// Reads a live cluster: the text of its snapshot, under the given name. The text is kept for whoever quotes it.
pub fn load_live(name: &str, text: String) -> Inventory {
    let mut inventory = Inventory { live: true, ..Inventory::default() };
    let (name, bytes): (_, Arc<[u8]>) = (Arc::from(name), Arc::from(text.into_bytes()));
    let source = Source::named(&name);
    let mut left = Left::default();
    absorb(&mut inventory, read_bytes(&source, &bytes), &mut left);
    inventory.streams.insert(name, bytes);
    finish(inventory, left)
}

/// Reads the text of one file that is not on disk, under the given name.
pub fn load_bytes(name: &str, bytes: &[u8]) -> Inventory {
    let mut inventory = Inventory::default();
    let mut left = Left::default();
    absorb(&mut inventory, read_bytes(&Source::named(&Arc::from(name)), bytes), &mut left);
    finish(inventory, left)
}

/// What can be told once all files are read.
#[derive(Default)]
struct Left {
    blocks: Blocks,
    uses: Vec<Use>,
    partial: Vec<PartialBinding>,
}

fn finish(mut inventory: Inventory, left: Left) -> Inventory {
    embedded::resolve(&mut inventory, &left.uses, left.partial);
    inventory
        .problems
        .sort_by(|a, b| (&a.path, a.place, a.kind, &a.message).cmp(&(&b.path, b.place, b.kind, &b.message)));
    let unread = std::mem::take(&mut inventory.coverage.unread);
    let mut unread = left.blocks.settle(&inventory, unread);
    unread.extend(unknown_roles(&inventory));
    unread.sort_by(|a, b| (&a.path, a.line, &a.reason).cmp(&(&b.path, b.line, &b.reason)));
    inventory.coverage.unread = unread;
    let is_own = |embedded: bool| usize::from(!embedded);
    inventory.roles.sort_by_key(|role| role.meta.stands_apart());
    inventory.bindings.sort_by_key(|binding| binding.meta.stands_apart());
    let roles = inventory.roles.iter().map(|role| is_own(role.meta.embedded.is_some()));
    let bindings = inventory.bindings.iter().map(|binding| is_own(binding.meta.embedded.is_some()));
    inventory.coverage.objects = roles.chain(bindings).sum();
    inventory.coverage.embedded = inventory.roles.len() + inventory.bindings.len() - inventory.coverage.objects;
    inventory.coverage.mentions.sort();
    inventory.coverage.mentions.dedup();
    inventory.coverage.aside.sort();
    inventory.coverage.aside.dedup();
    inventory.suppressions.sort_by(|a, b| (&a.path, a.place).cmp(&(&b.path, b.place)));
    link::merge_copies(&mut inventory);
    inventory
}

/// Bindings in templates whose role is filled in by what is not known, and is none that is here.
fn unknown_roles(inventory: &Inventory) -> Vec<Unread> {
    let known: HashSet<&str> = inventory.roles.iter().map(|role| role.meta.name.as_str()).collect();
    let unknown = inventory.bindings.iter().filter_map(|binding| {
        let (meta, name) = (&binding.meta, &binding.role_ref.name);
        let language =
            meta.template.as_ref().filter(|_| name.is_templated() && !known.contains(name.as_str()))?.language;
        let reason = format!("the role of {} is filled in by {}", meta.describe(), abbreviate(name.as_str()));
        Some(unread(&meta.path, &[], 0, name.place.line, language, &reason))
    });
    unknown.collect()
}

/// What one file yields.
#[derive(Default)]
pub(super) struct FileResult {
    pub(super) contents: Contents,
    pub(super) documents: usize,
    parsed: bool,
    read: bool,
    pub(super) unread: Vec<Unread>,
    blocks: Blocks,
    /// Whether a document that does not parse is a template.
    has_templates: bool,
    /// Whether it is a template that may read other files.
    reads_files: bool,
    pub(super) suppressions: Vec<Suppression>,
    stream: Option<(Arc<str>, Arc<[u8]>)>,
}

fn absorb(inventory: &mut Inventory, result: FileResult, left: &mut Left) {
    let coverage = &mut inventory.coverage;
    coverage.files += usize::from(result.read);
    coverage.files_without_rbac += usize::from(result.read && !result.parsed);
    coverage.documents += result.documents;
    coverage.unread.extend(result.unread);
    append(&mut inventory.roles, result.contents.roles);
    append(&mut inventory.bindings, result.contents.bindings);
    append(&mut inventory.problems, result.contents.problems);
    append(&mut inventory.clusters, result.contents.clusters);
    append(&mut inventory.coverage.mentions, result.contents.mentions);
    append(&mut inventory.coverage.aside, result.contents.aside);
    inventory.streams.extend(result.stream);
    append(&mut inventory.suppressions, result.suppressions);
    left.blocks.append(result.blocks);
    append(&mut left.uses, result.contents.uses);
    append(&mut left.partial, result.contents.partial);
}

/// A file that is read.
struct Source<'s> {
    path: &'s Arc<str>,
    /// Whether the user named it.
    explicit: bool,
    /// Whether it is all that the user named, so that it may say of which cluster the input is a snapshot.
    may_be_cluster: bool,
    /// The file on disk.
    file: Option<&'s Path>,
    /// Charts that are known.
    charts: Option<&'s Charts>,
    chart: OnceCell<Option<(Arc<Chart>, bool)>>,
    /// Whether it stands below a directory of templates.
    in_templates: bool,
    /// Whether it is read only because it is a template by its place or its name: it may be no YAML at all.
    is_template: bool,
}

impl<'s> Source<'s> {
    /// Text that has a name and is no file.
    fn named(path: &'s Arc<str>) -> Self {
        Self {
            path,
            explicit: true,
            may_be_cluster: true,
            file: None,
            charts: None,
            chart: OnceCell::new(),
            in_templates: false,
            is_template: false,
        }
    }

    /// The chart that it belongs to, looked up where it matters, and whether Helm renders the file.
    fn in_chart(&self) -> Option<&(Arc<Chart>, bool)> {
        self.chart.get_or_init(|| self.charts?.of(self.file?)).as_ref()
    }

    fn is_rendered(&self) -> bool {
        self.in_chart().is_some_and(|(_, is_rendered)| *is_rendered)
    }

    /// A block that stands there, or is called.
    fn block(&self, block: String) -> BlockIn {
        let chart = self.in_chart().map(|(chart, _)| Arc::clone(chart.outermost()));
        BlockIn { block, path: Arc::clone(self.path), chart: chart.unwrap_or_else(|| Arc::from("")) }
    }

    /// That what the values of its chart write is not known, if it is not.
    fn unknown_values(&self) -> Option<Aside> {
        let (chart, is_rendered) = self.in_chart()?;
        if !is_rendered || chart.has_known_values() {
            return None;
        }
        let described = self.file.and_then(chart_file).map(|file| Input::found(file, false).name);
        let reason = "the values of this chart cannot be told (`import-values`, `alias`, or no YAML), nor what they write within \
                      a line";
        let path = described.unwrap_or_else(|| Arc::clone(self.path));
        Some(Aside { path, line: None, reason: reason.to_owned() })
    }

    /// Whether Helm takes no more from the file than the blocks that are defined there: it prints notes, and does not render
    /// files such as `_helpers.tpl`.
    fn has_blocks_only(&self) -> bool {
        if !self.in_templates {
            return false;
        }
        let name = self.path.rsplit('/').next().unwrap_or_default();
        (name == "NOTES.txt" || name.starts_with('_')) && self.is_rendered()
    }

    /// Whether it is a template that Helm renders, so that code may write there what stands nowhere.
    fn has_code(&self, bytes: &[u8]) -> bool {
        self.in_templates && memchr::memmem::find(bytes, b"{{").is_some() && self.is_rendered()
    }

    /// The language of a text that is a template though it may parse: Helm fills in what strings hold too, and ytt what
    /// comments say.
    fn language(&self, text: &str) -> Option<TemplateLanguage> {
        if is_rendered_otherwise(text) && self.is_rendered() {
            Some(TemplateLanguage::DoubleBraces)
        } else {
            is_ytt(text).then_some(TemplateLanguage::Ytt)
        }
    }
}

fn read_input(
    input: &Input,
    may_be_cluster: bool,
    options: &LoadOptions,
    charts: &Charts,
    buffer: &mut FileText,
) -> Option<Box<FileResult>> {
    let source = Source {
        may_be_cluster,
        path: &input.name,
        explicit: input.explicit,
        file: input.file.as_deref(),
        charts: Some(charts),
        chart: OnceCell::new(),
        in_templates: input.in_templates,
        is_template: input.is_template,
    };
    if let Some(bytes) = options.instead.get(&input.name) {
        return Some(Box::new(read_bytes(&source, bytes)));
    }
    if let Err(error) = read_file(input, &options.limits, buffer) {
        let (kind, message, help) = match error {
            ReadError::Io(error) => (
                ProblemKind::Unreadable,
                format!("cannot be read: {error}"),
                "check that the file exists and may be read".to_owned(),
            ),
            ReadError::TooLarge => (
                ProblemKind::TooLarge,
                format!("is larger than {} bytes and was not read", options.limits.max_file_bytes),
                "raise the bound with --max-file-size".to_owned(),
            ),
        };
        let problem = Problem { path: Arc::clone(&input.name), place: None, kind, message, help: Some(help) };
        let contents = Contents { problems: vec![problem], ..Contents::default() };
        return Some(Box::new(FileResult { contents, ..FileResult::default() }));
    }
    let mut result = read_bytes(&source, buffer.bytes());
    result.reads_files = input.in_templates && may_read_files(buffer.bytes());
    if input.is_stream {
        result.stream = Some((Arc::clone(&input.name), Arc::from(std::mem::take(buffer).into_bytes())));
    }
    let says_something = || !(result.blocks.is_empty() && result.unread.is_empty() && result.contents.aside.is_empty());
    let matters = result.parsed || result.reads_files || result.stream.is_some() || says_something();
    matters.then(|| Box::new(result))
}

fn read_bytes(source: &Source<'_>, bytes: &[u8]) -> FileResult {
    let mut result = read_contents(source, bytes);
    if !source.may_be_cluster {
        // Any file may call itself a snapshot, and so set the version for all others.
        let snapshots = std::mem::take(&mut result.contents.clusters);
        result.contents.problems.extend(snapshots.iter().map(|_| untrusted_snapshot(source.path)));
    }
    // Most files are not parsed, and their comments are about nothing.
    let suppressions = if result.parsed { suppression::find(source.path, bytes) } else { Vec::new() };
    FileResult { suppressions, ..result }
}

fn read_contents(source: &Source<'_>, bytes: &[u8]) -> FileResult {
    let path = source.path;
    let mut result = FileResult { read: true, ..FileResult::default() };
    let has_blocks = || ["define", "block"].iter().any(|word| memchr::memmem::find(bytes, word.as_bytes()).is_some());
    if source.has_blocks_only() && !has_blocks() {
        return result;
    }
    // A kustomization need not say what the files are about that it names.
    let is_named = source.explicit || is_kustomization(path);
    let may_be_rbac = is_named || may_become_rbac(bytes);
    if !may_be_rbac && !source.has_code(bytes) {
        if source.in_templates {
            result.blocks.defined = defined_in(bytes).map(|name| source.block(name)).collect();
        }
        return result;
    }
    if source.is_template {
        // Whatever its name is, it is rendered.
        result.parsed = may_be_rbac;
        let language = template_language(bytes).unwrap_or(TemplateLanguage::DoubleBraces);
        match str::from_utf8(bytes).ok().and_then(|text| read_template_file(source, text, language)) {
            Some(parts) => merge_parts(&mut result, parts),
            // A mark that is never closed may be none: what parses is a manifest.
            None => {
                let mut is_broken = false;
                for piece in &split_documents(bytes) {
                    is_broken |= read_piece_that_may_be_no_yaml(path, bytes, piece, &mut result);
                }
                if is_broken {
                    result.unread.push(unread(path, bytes, 1, 1, language, "it is no template that can be read"));
                }
            }
        }
        return result;
    }
    result.parsed = may_be_rbac;
    if let Ok(text) = str::from_utf8(bytes)
        && let Some(language) = source.language(text)
        && let Some(parts) = read_template_file(source, text, language)
    {
        merge_parts(&mut result, parts);
        return result;
    }
    let pieces = split_documents(bytes);
    if bytes.len() < PARALLEL_FROM || pieces.len() < 2 {
        for piece in &pieces {
            read_piece(path, bytes, piece, piece.range.start == 0, &mut result);
        }
        return with_templates(source, bytes, result);
    }
    // Chunks rather than single pieces: a piece may be a few bytes long.
    let chunk = pieces.len().div_ceil(8 * rayon::current_num_threads()).max(16);
    let parts: Vec<FileResult> = pieces
        .par_chunks(chunk)
        .map(|pieces| {
            let mut part = FileResult::default();
            for piece in pieces {
                read_piece(path, bytes, piece, piece.range.start == 0, &mut part);
            }
            part
        })
        .collect();
    for part in parts {
        merge_parts(&mut result, part);
    }
    with_templates(source, bytes, result)
}

fn merge_parts(result: &mut FileResult, part: FileResult) {
    result.documents += part.documents;
    result.unread.extend(part.unread);
    result.has_templates |= part.has_templates;
    result.blocks.append(part.blocks);
    result.contents.append(part.contents);
}

/// What a file yields if those of its documents that are templates are read as such.
fn with_templates(source: &Source<'_>, bytes: &[u8], plain: FileResult) -> FileResult {
    if !plain.has_templates {
        return plain;
    }
    let read = str::from_utf8(bytes).ok().and_then(|text| {
        // The whole file tells its language, unless it only looks like one of the others.
        let languages = [template_language(bytes)?, TemplateLanguage::DoubleBraces];
        languages.into_iter().find_map(|language| read_template_file(source, text, language))
    });
    match read {
        Some(read) => FileResult {
            contents: read.contents,
            documents: read.documents,
            unread: read.unread,
            blocks: read.blocks,
            ..plain
        },
        None => plain,
    }
}

/// Reads a file in which templates stand. None if its directives cannot be told from the rest.
fn read_template_file(source: &Source<'_>, text: &str, language: TemplateLanguage) -> Option<FileResult> {
    let separated = line_breaks_of_go(text);
    let line_separator = line_separator(text, matches!(separated, Cow::Owned(_)));
    let text = &*separated;
    let chart = source.in_chart().map(|(chart, _)| Arc::clone(chart));
    let path = source.path;
    // In a chart nothing else is a template, whatever strings hold.
    let language = if chart.is_some() { TemplateLanguage::DoubleBraces } else { language };
    let template = Template::new(text, language, chart).ok()?;
    let mut result = FileResult::default();
    if let Some(departure) = line_separator {
        let piece = Piece { range: 0..text.len(), line: 1 };
        result.contents.problems.push(ambiguous(path, text.as_bytes(), &piece, departure));
    }
    let blocks_only = source.has_blocks_only();
    let mut masked = Vec::new();
    result.contents.aside.extend(source.unknown_values());
    result.blocks.defined = template.block_names().map(|name| source.block(name.to_owned())).collect();
    for part in template.parts() {
        if part.block.is_none() && blocks_only {
            continue;
        }
        // It is read where it stands, unless nobody renders that.
        if part.in_place && !blocks_only {
            say_lines(&template, &part, source, &mut Vec::new(), &mut result);
            continue;
        }
        let raw = template.text_of(&part);
        let (line, _) = template.position(part.range.start);
        let piece = Piece { range: part.range.clone(), line };
        if template.is_manifest(&part) {
            if !source.is_template {
                read_piece(path, text.as_bytes(), &piece, piece.range.start == 0, &mut result);
            } else if read_piece_that_may_be_no_yaml(path, text.as_bytes(), &piece, &mut result) {
                result.unread.push(unread(path, raw.as_bytes(), line, line, language, "it is no YAML"));
            }
            continue;
        }
        let mut unknown = Vec::new();
        result.blocks.altered.extend(template.altered_blocks(part.range.clone()).into_iter().map(
            |(offset, block, shown)| {
                let (line, _) = template.position(offset);
                let reason = format!("what {shown} makes of block {block:?} is not known");
                Unread { block: Some(block), ..unread(path, &[], 0, line, language, &reason) }
            },
        ));
        let may_hold_kind = template.may_hold_kind(&part);
        if !may_hold_rbac(raw.as_bytes()) && !may_hold_kind && !template.has_overlays() {
            say_lines(&template, &part, source, &mut unknown, &mut result);
            say_unknown(&template, path, language, unknown, &mut result);
            continue;
        }
        let (trees, error) = template.parse(&part);
        result.documents += trees.len();
        let known = result.contents.roles.len() + result.contents.bindings.len();
        for tree in &trees {
            let mut view = TemplateView::new(&template, language);
            view.block = part.block;
            unknown.extend(read_template(tree, path, view, part.range.clone(), &mut result.contents));
        }
        // What happens to the text of something else is of no interest.
        let objects = result.contents.roles.len() + result.contents.bindings.len();
        if objects > known || error.is_some() || may_hold_kind || may_grant(raw) {
            let troubles = template.troubles(part.range.clone()).into_iter();
            unknown.extend(troubles.map(|(offset, what)| Unknown::new(offset as u32, what)));
            result.blocks.called.extend(template.blocks_in(part.range.clone()).map(|(offset, block)| {
                let (line, _) = template.position(offset);
                let reason =
                    format!("block {block:?} is defined in another place too, which may be the one that counts");
                Unread { block: Some(block.to_owned()), ..unread(path, &[], 0, line, language, &reason) }
            }));
        }
        if let Some(error) = error {
            // Nothing that parses as it stands may be hidden by marks.
            if parse_documents(raw, 0, 1).1.is_none() {
                read_piece(path, text.as_bytes(), &piece, piece.range.start == 0, &mut result);
            }
            let what = format!("it is no YAML once its directives are left out: {}", error.message);
            result.unread.push(unread(path, raw.as_bytes(), line, error.place.line, language, &what));
        }
        masked.push(part.range.clone());
        say_lines(&template, &part, source, &mut unknown, &mut result);
        say_unknown(&template, path, language, unknown, &mut result);
    }
    let words = words_left(&template, text, &masked, &result);
    for (at, line) in words.iter().copied().enumerate().take(MAX_WORDS + 1) {
        let reason = match words.len() - at {
            more if at == MAX_WORDS => format!("the verb stands on {more} more lines where nothing was understood"),
            _ => "the verb stands where nothing was understood".to_owned(),
        };
        result.unread.push(Unread { mentions: vec![line], ..unread(path, &[], 0, line, language, &reason) });
    }
    // Blocks that are called from elsewhere were read last.
    result.contents.roles.sort_by_key(|role| role.meta.name.place);
    result.contents.bindings.sort_by_key(|binding| binding.meta.name.place);
    Some(result)
}

/// Remembers what directives write in a part, nobody has read, and may be RBAC. Of blocks, it depends on their callers.
fn say_lines(
    template: &Template<'_>,
    part: &Part<'_>,
    source: &Source<'_>,
    unknown: &mut Vec<Unknown>,
    result: &mut FileResult,
) {
    let (unseen, calls) = template.unseen(part);
    let line = |offset: usize| template.position(offset).0;
    // One reason is enough for a directive.
    let said: BTreeSet<u32> = unknown.iter().map(|known| known.offset).collect();
    for Unseen { offset, shown, level } in unseen {
        let reason = format!("{shown} may write RBAC");
        match part.block.zip(level).filter(|_| source.is_rendered()) {
            Some((block, level)) => {
                let unread = unread(source.path, &[], 0, line(offset), template.language(), &reason);
                result.blocks.unseen.push((source.block(block.to_owned()), level, unread));
            }
            None if said.contains(&(offset as u32)) => {}
            None => unknown.push(Unknown::new(offset as u32, reason)),
        }
    }
    if !source.is_rendered() {
        return;
    }
    if let Some(block) = part.block {
        let place = || source.block(block.to_owned());
        result.blocks.escaped.extend(template.has_escapes(part).then(place));
        result.blocks.of_lines.extend(template.ends_line(part).then(place));
        result.blocks.with_breaks.extend(template.writes_line_break(part).then(place));
    }
    result.blocks.calls.extend(calls.into_iter().map(|Call { offset, shown, block, level, kind, goes_on }| {
        let (to, caller) = (source.block(block), part.block.map(str::to_owned));
        BlockCall { to, caller, line: line(offset), shown, level, kind, goes_on }
    }));
}

/// Lists what is not known of a part.
fn say_unknown(
    template: &Template<'_>,
    path: &Arc<str>,
    language: TemplateLanguage,
    mut unknown: Vec<Unknown>,
    result: &mut FileResult,
) {
    unknown.sort();
    unknown.dedup();
    result.unread.extend(unknown.into_iter().map(|Unknown { offset, what, block }| {
        let (line, _) = template.position(offset as usize);
        let mentions = if template.has_word_at(offset as usize) { vec![line] } else { Vec::new() };
        Unread { path: Arc::clone(path), line, language, mentions, reason: what, block }
    }));
}

/// The lines in parts of a template on which the verb stands as a word by itself, and nothing else is said of it: in the
/// text of another object, say.
fn words_left(template: &Template<'_>, text: &str, parts: &[Range<usize>], result: &FileResult) -> BTreeSet<u32> {
    const WORD: &str = "impersonate";
    let verbs = result.contents.roles.iter().flat_map(|role| role.rules.iter().flat_map(|rule| &rule.verbs));
    let mut said: BTreeSet<u32> = verbs.map(|verb| verb.place.line).collect();
    said.extend(result.unread.iter().map(|unread| unread.line));
    // A line may be as long as the file: whether it is a comment is asked once.
    let (mut known, mut in_comment) = (0, false);
    let stands_alone = |at: &usize| {
        let passed = text.get(known..*at).unwrap_or_default();
        if known == 0 || passed.contains('\n') {
            in_comment = passed.rsplit('\n').next().unwrap_or_default().trim_start().starts_with('#');
        }
        known = *at;
        let before = passed.chars().next_back();
        let after = text.get(at + WORD.len()..).and_then(|text| text.chars().next());
        let ends = |c: Option<char>| c.is_none_or(|c| c.is_whitespace() || "\"'[],:{}".contains(c));
        ends(before) && ends(after) && !in_comment
    };
    let found = memchr::memmem::find_iter(text.as_bytes(), WORD).filter(stands_alone);
    let found = found.filter(|at| !template.is_in_comment(*at) && parts.iter().any(|part| part.contains(at)));
    found.map(|at| template.position(at).0).filter(|line| !said.contains(line)).collect()
}

/// A document that was not looked at. Its text starts on one line, and what is the matter stands on another.
fn unread(path: &Arc<str>, raw: &[u8], starts: u32, line: u32, language: TemplateLanguage, reason: &str) -> Unread {
    let (path, mentions, reason) = (Arc::clone(path), mentions(raw, starts), reason.to_owned());
    Unread { path, line, language, mentions, reason, block: None }
}

/// As [`read_piece`], of a file that need not be YAML. Reports whether it is not.
fn read_piece_that_may_be_no_yaml(path: &Arc<str>, bytes: &[u8], piece: &Piece, result: &mut FileResult) -> bool {
    let known = result.contents.problems.len();
    read_piece(path, bytes, piece, piece.range.start == 0, result);
    let found = result.contents.problems.split_off(known);
    let (syntax, others): (Vec<Problem>, Vec<Problem>) =
        found.into_iter().partition(|problem| matches!(problem.kind, ProblemKind::Syntax | ProblemKind::NotUtf8));
    result.contents.problems.extend(others);
    !syntax.is_empty()
}

/// Reads a piece of a file: `is_first` tells whether `kubectl`, which tells JSON by how a file begins, may take it for that.
fn read_piece(path: &Arc<str>, bytes: &[u8], piece: &Piece, is_first: bool, result: &mut FileResult) {
    let raw = bytes.get(piece.range.clone()).unwrap_or_default();
    let text = match str::from_utf8(raw) {
        Ok(text) => text,
        Err(error) => {
            result.documents += 1;
            let place = place_in(raw, error.valid_up_to(), piece);
            return result.contents.problems.push(not_utf8(path, raw, place));
        }
    };
    let separated = line_breaks_of_go(text);
    let Parsed { trees, error, values, departure } = parse_piece(&separated, bytes.len(), piece, is_first);
    // What is no RBAC, however it is read, may be read in any way.
    let departure = line_separator(text, matches!(separated, Cow::Owned(_))).or(departure);
    if let Some(departure) = departure.filter(|_| is_kustomization(path) || may_become_rbac(raw)) {
        result.contents.problems.push(ambiguous(path, raw, piece, departure));
    }
    if let Some(values) = values {
        return values.iter().for_each(|value| read_piece(path, bytes, value, is_first, result));
    }
    let text = &*separated;
    result.documents += trees.len();
    let known = result.contents.roles.len() + result.contents.bindings.len();
    for tree in &trees {
        read_document(tree, path, &mut result.contents);
        let unknown = std::mem::take(&mut result.contents.unknown);
        result.unread.extend(unknown.into_iter().map(|Unknown { offset, what, .. }| {
            let place = place_in(raw, (offset as usize).saturating_sub(piece.range.start), piece);
            let language = template_language(raw).unwrap_or(TemplateLanguage::Substitution);
            unread(path, &[], 0, place.line, language, &what)
        }));
    }
    if result.contents.roles.len() + result.contents.bindings.len() > known
        && memchr::memchr(b'#', raw).is_some()
        && let Some(language) = template_language(raw)
    {
        result.unread.extend(written_in_comments(text, language).into_iter().map(|(offset, what)| {
            let line = place_in(raw, offset, piece).line;
            unread(path, &[], 0, line, language, what)
        }));
    }
    let Some(error) = error else { return };
    if let Some(language) = template_language(raw) {
        result.has_templates = true;
        let reason = "one of its directives has no end";
        return result
            .unread
            .push(Unread { line: first_line(raw, piece), ..unread(path, raw, piece.line, 0, language, reason) });
    }
    result.documents += 1;
    result.contents.problems.push(Problem {
        path: Arc::clone(path),
        place: Some(error.place),
        kind: ProblemKind::Syntax,
        message: format!("this document is not valid YAML and was not read: {}", error.message),
        help: Some("correct the document; the others of the file were read".to_owned()),
    });
}

/// That readers may read a document differently. The place is one in its piece.
fn ambiguous(path: &Arc<str>, raw: &[u8], piece: &Piece, departure: Departure) -> Problem {
    let offset = departure.offset.checked_sub(piece.range.start).unwrap_or(departure.offset);
    Problem {
        path: Arc::clone(path),
        place: Some(place_in(raw, offset, piece)),
        kind: ProblemKind::Ambiguous,
        message: format!("readers may read this document differently: {}", departure.what),
        help: Some(departure.help.to_owned()),
    }
}

/// That a file among others calls itself a snapshot.
fn untrusted_snapshot(path: &Arc<str>) -> Problem {
    Problem {
        path: Arc::clone(path),
        place: None,
        kind: ProblemKind::UntrustedSnapshot,
        message: "says that it is a snapshot of a cluster, but is not the only path given: what it says of the cluster was not used"
            .to_owned(),
        help: Some("check a snapshot by itself, or remove the document of the kind Snapshot".to_owned()),
    }
}

fn not_utf8(path: &Arc<str>, raw: &[u8], place: Place) -> Problem {
    let utf16 = raw.starts_with(b"\xff\xfe") || raw.starts_with(b"\xfe\xff");
    let message =
        if utf16 { "this file is UTF-16 and was not read" } else { "this document is not UTF-8 and was not read" };
    Problem {
        path: Arc::clone(path),
        place: Some(place),
        kind: ProblemKind::NotUtf8,
        message: message.to_owned(),
        help: Some("save the file as UTF-8".to_owned()),
    }
}

/// The place of the byte at `offset` of a piece.
fn place_in(raw: &[u8], offset: usize, piece: &Piece) -> Place {
    let before = raw.get(..offset).unwrap_or_default();
    let (breaks, last_line) = line_breaks(before);
    let column = String::from_utf8_lossy(before.get(last_line..).unwrap_or_default()).chars().count() as u32 + 1;
    let line = piece.line + breaks;
    let offset = (piece.range.start + offset) as u32;
    Place { offset, length: 0, line, column, end_line: line, end_column: column }
}

/// The line of the first byte that is neither blank nor part of the document marker.
fn first_line(raw: &[u8], piece: &Piece) -> u32 {
    let body = raw.strip_prefix(b"---").unwrap_or(raw);
    let blank = body.len() - body.trim_ascii_start().len();
    place_in(raw, raw.len() - body.len() + blank, piece).line
}

fn mentions(raw: &[u8], line: u32) -> Vec<u32> {
    let mut lines = Vec::new();
    let (mut line, mut from) = (line, 0);
    for at in memchr::memmem::find_iter(raw, b"impersonate") {
        line += line_breaks(raw.get(from..at).unwrap_or_default()).0;
        from = at;
        if lines.last() != Some(&line) {
            lines.push(line);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::super::documents;
    use super::*;

    #[test]
    fn what_only_kubectl_sees_is_seen() {
        let role = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: a}\n";
        let verbs = |text: &str| {
            let inventory = load_bytes("a.yaml", format!("{role}{text}").as_bytes());
            let verbs = inventory.roles[0].rules[0].verbs.iter().map(|verb| verb.value.to_string()).collect::<Vec<_>>();
            (verbs, inventory.problems.len())
        };
        let rule = "rules:\n- apiGroups: [\"\"]\n  resources: [users]\n";
        for c in ['\u{85}', '\u{2028}', '\u{2029}'] {
            assert_eq!(verbs(&format!("{rule}  # a{c}  verbs: [impersonate]\n")), (vec!["impersonate".to_owned()], 1));
            let quoted = format!("{rule}  verbs: [\"imper\\{c}sonate\"]\n");
            assert_eq!(verbs(&quoted), (vec!["impersonate".to_owned()], 1));
            assert!(documents(quoted.as_bytes())[0].trees.is_none());
        }
        // Bits that are left over.
        assert_eq!(
            verbs(&format!("{rule}  verbs: [!!binary aW1wZXJzb25hdGV=]\n")),
            (vec!["impersonate".to_owned()], 0)
        );
        // A merge behind the key wins there, and here it stands twice.
        let merge = format!("x: &x {{verbs: [impersonate]}}\n{rule}  verbs: [get]\n  <<: *x\n");
        assert_eq!(verbs(&merge), (vec!["impersonate".to_owned()], 1));
        let before = format!("x: &x {{verbs: [impersonate]}}\n{rule}  <<: *x\n  verbs: [get]\n");
        assert_eq!(verbs(&before), (vec!["get".to_owned()], 0));
    }

    #[test]
    fn a_stream_of_json_is_several_documents() {
        let role = |name: &str| {
            format!(
                "{{\"apiVersion\": \"rbac.authorization.k8s.io/v1\", \"kind\": \"Role\",\n \"metadata\": {{\"name\": \"{name}\"}}}}"
            )
        };
        let inventory = load_bytes("a.json", format!("{}\n{}\n\n  {}\n", role("a"), role("b"), role("c")).as_bytes());
        assert_eq!(inventory.problems, []);
        let places: Vec<_> =
            inventory.roles.iter().map(|role| (role.meta.name.as_str(), role.meta.name.place.line)).collect();
        assert_eq!(places, [("a", 2), ("b", 4), ("c", 7)]);
        // A stream that breaks off is no stream.
        let inventory = load_bytes("a.json", format!("{}\n{{\"kind\": ", role("a")).as_bytes());
        assert_eq!(inventory.problems.len(), 1);
    }
}
