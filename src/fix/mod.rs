//! Findings mended by edits of the manifests, and whether the edits keep their promise.
//!
//! Rules say what goes ([`Mend`](crate::lint::Mend)); here it is weighed who else may look at it, the texts are edited,
//! and the states before and after are compared. Nothing here reads or writes files; see `docs/fixing.md`.

mod bystanders;
mod promise;
mod replacement;

use std::collections::BTreeMap;
use std::sync::Arc;

use bystanders::Bystanders;
pub use promise::broken_promise;
pub use replacement::{Replacement, replacements};

use crate::grants::Grants;
use crate::inventory::{Object, ObjectMeta, PolicyRule, RoleId};
use crate::lint::{About, Cut, Finding, Fix};
use crate::problem::{Problem, ProblemKind};
use crate::rewrite::{Change, FileChange, Manifests, Works, Writing, change, rewrite};
use crate::syntax::edit::CommentsAbove;

/// Edited texts. Each round mends what the findings of the last state say can be mended.
#[derive(Debug)]
pub struct Fixes {
    /// Whether permissions may be taken away as well.
    with_unsafe: bool,
    /// The files that were read, as they are after the last round.
    now: BTreeMap<Arc<str>, Arc<[u8]>>,
    /// What those were that are changed.
    before: BTreeMap<Arc<str>, Vec<u8>>,
    left_alone: BTreeMap<Arc<str>, Problem>,
    fixed: usize,
}

impl Fixes {
    /// Nothing is mended yet. What changes permissions on purpose is only mended `with_unsafe`.
    pub fn new(with_unsafe: bool) -> Self {
        Self { with_unsafe, now: BTreeMap::new(), before: BTreeMap::new(), left_alone: BTreeMap::new(), fixed: 0 }
    }

    /// Mends what can be mended of the findings, and says whether anything was. `read` gives the bytes of a file by the
    /// name that it has in the inventory, which is that of the texts as they are now.
    pub fn round(&mut self, grants: &Grants<'_>, findings: &[Finding], read: &mut dyn Manifests) -> bool {
        let mut bystanders = Bystanders::new(grants);
        let mut cuts: BTreeMap<RoleId, BTreeMap<usize, Cut>> = BTreeMap::new();
        let mut mended: BTreeMap<RoleId, usize> = BTreeMap::new();
        for finding in findings {
            let (Some(mend), About::Rule(role, index)) = (&finding.mend, finding.about) else { continue };
            let safety = bystanders.weigh(role, index, mend);
            if safety == Fix::Safe || self.with_unsafe {
                cuts.entry(role).or_default().entry(index).or_default().extend(&mend.cut);
                *mended.entry(role).or_default() += 1;
            }
        }
        let mut rules = self.rules(grants, &cuts);
        loop {
            let files = |role: RoleId| files_of(&grants.inventory().role(role).meta);
            rules.retain(|role, _| !files(*role).any(|path| self.left_alone.contains_key(path)));
            let mut works = Works::new();
            for (role, rules) in &rules {
                let role = grants.inventory().role(*role);
                change(&mut works, &role.meta, Change::Rules(role, rules, CommentsAbove::Stay));
            }
            let mut current = |path: &Arc<str>| {
                if let Some(bytes) = self.now.get(path) {
                    return Ok(bytes.to_vec());
                }
                let bytes = read.read(path)?;
                self.now.insert(Arc::clone(path), Arc::from(bytes.as_slice()));
                Ok(bytes)
            };
            let (changes, problems) =
                rewrite(&works, &mut current, Writing { to_value: Object::to_value, keeps_comments: false });
            let templates = changes.iter().filter_map(template);
            let refused: Vec<Problem> = problems.into_iter().chain(templates).collect();
            if refused.is_empty() {
                if changes.is_empty() {
                    return false;
                }
                self.fixed += rules.keys().filter_map(|role| mended.get(role)).sum::<usize>();
                changes.into_iter().for_each(|change| self.keep(change));
                return true;
            }
            // What stands in several files is mended in all of them, or in none.
            self.left_alone.extend(refused.into_iter().map(|problem| (Arc::clone(&problem.path), problem)));
        }
    }

    /// What becomes of the rules of each role.
    fn rules(
        &self,
        grants: &Grants<'_>,
        cuts: &BTreeMap<RoleId, BTreeMap<usize, Cut>>,
    ) -> BTreeMap<RoleId, BTreeMap<usize, Vec<PolicyRule>>> {
        let of_role = |(role, cuts): (&RoleId, &BTreeMap<usize, Cut>)| {
            let rules = &grants.inventory().role(*role).rules;
            let left = |(index, cut): (&usize, &Cut)| Some((*index, cut.of(rules.get(*index)?).into_iter().collect()));
            (*role, cuts.iter().filter_map(left).collect())
        };
        cuts.iter().map(of_role).collect()
    }

    fn keep(&mut self, change: FileChange) {
        let FileChange { path, before, after, .. } = change;
        self.before.entry(Arc::clone(&path)).or_insert(before);
        self.now.insert(path, Arc::from(after));
    }

    /// The changed texts, with those of which they are made.
    fn changed(&self) -> impl Iterator<Item = (&Arc<str>, &Vec<u8>, &Arc<[u8]>)> {
        self.before.iter().filter_map(|(path, before)| Some((path, before, self.now.get(path)?)))
    }

    /// The texts that take the place of files.
    pub fn texts(&self) -> BTreeMap<Arc<str>, Arc<[u8]>> {
        self.changed().map(|(path, _, after)| (Arc::clone(path), Arc::clone(after))).collect()
    }

    /// What becomes of the files, sorted by path.
    pub fn changes(&self) -> Vec<FileChange> {
        let change = |(path, before, after): (&Arc<str>, &Vec<u8>, &Arc<[u8]>)| FileChange {
            path: Arc::clone(path),
            before: before.clone(),
            after: after.to_vec(),
            template: None,
            is_empty: false,
            is_new: false,
            added: Vec::new(),
        };
        self.changed().map(change).collect()
    }

    /// How many findings were mended.
    pub fn fixed(&self) -> usize {
        self.fixed
    }

    /// Why files with findings that could be mended are left alone, sorted by path.
    pub fn left_alone(&self) -> impl Iterator<Item = &Problem> {
        self.left_alone.values()
    }

    /// How many of the findings could be mended, but for what they would take away.
    pub fn only_unsafe(&self, grants: &Grants<'_>, findings: &[Finding]) -> usize {
        let mut bystanders = Bystanders::new(grants);
        let is_left =
            |role: RoleId| files_of(&grants.inventory().role(role).meta).any(|path| self.left_alone.contains_key(path));
        let mut is_unsafe = |finding: &&Finding| match (&finding.mend, finding.about) {
            (Some(mend), About::Rule(role, index)) => {
                !self.with_unsafe && !is_left(role) && bystanders.weigh(role, index, mend) == Fix::Unsafe
            }
            _ => false,
        };
        findings.iter().filter(|finding| is_unsafe(finding)).count()
    }
}

fn files_of(meta: &ObjectMeta) -> impl Iterator<Item = &Arc<str>> {
    std::iter::once(&meta.path).chain(meta.copies.iter().map(|(path, _)| path))
}

fn template(change: &FileChange) -> Option<Problem> {
    let language = change.template?;
    Some(Problem {
        path: Arc::clone(&change.path),
        place: None,
        kind: ProblemKind::NotEditable,
        message: format!("is a template ({}) and is left alone", language.as_str()),
        help: Some("make the change by hand".to_owned()),
    })
}
