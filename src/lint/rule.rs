//! What a rule is.

use std::fmt;

use super::finding::Diagnosis;
use super::severity::Severity;
use super::site::Site;

/// A rule: its name, its page and its judgement.
pub trait Rule: Sync + fmt::Debug {
    /// The name, in kebab case; also that of its page and, in snake case, of its file.
    fn id(&self) -> &'static str;
    /// The page below `rules/`.
    fn page(&self) -> Page;
    /// The severities that its findings may have, the gravest first.
    fn severities(&self) -> &'static [Severity];
    /// What it has to say of a site, if anything.
    fn check(&self, site: &Site<'_>) -> Option<Diagnosis>;
}

/// A rule's page: Markdown with fixed headings.
#[derive(Debug, Clone, Copy)]
pub struct Page(pub(super) &'static str);

impl Page {
    /// The whole page.
    pub fn text(self) -> &'static str {
        self.0
    }

    /// The sentence under the title.
    pub fn summary(self) -> String {
        let body = self.0.lines().skip_while(|line| line.starts_with("# ") || line.is_empty());
        body.take_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
    }

    /// The text under a heading of the second level.
    pub fn section(self, heading: &str) -> Option<&'static str> {
        let mut sections = self.0.split("\n## ").skip(1);
        sections.find_map(|section| section.strip_prefix(heading)?.strip_prefix('\n')).map(str::trim)
    }
}
