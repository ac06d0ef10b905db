//! What a rule is.

use std::fmt;

use super::finding::Diagnosis;
use super::mend::Mend;
use super::severity::Severity;
use super::site::{BindingSite, Site};
use crate::authority::KubeVersion;

/// A rule: its name, its page and its judgement.
pub trait Rule: Sync + fmt::Debug {
    /// The name, in kebab case; also that of its page and, in snake case, of its file.
    fn id(&self) -> &'static str;
    /// The page below `rules/`.
    fn page(&self) -> Page;
    /// The severities that its findings may have, the gravest first.
    fn severities(&self) -> &'static [Severity];
    /// The versions of Kubernetes on which it can find anything.
    fn versions(&self) -> Versions {
        Versions::default()
    }
    /// How safely the best of what it finds can be mended by editing the manifest, see [`Rule::mend`].
    fn fix(&self) -> Fix {
        Fix::None
    }
    /// Whether it is about grants. The others are about what hides findings: the configuration, comments.
    fn is_about_grants(&self) -> bool {
        true
    }
    /// What it has to say of a site, if anything. Rules about the configuration and about comments say nothing of sites:
    /// [`crate::triage`] finds what they are about.
    fn check(&self, _site: &Site<'_>) -> Option<Diagnosis> {
        None
    }
    /// What an edit takes out of the site's rule, so that what `check` found there goes; none if that cannot be edited.
    /// Asked for sites at which it found something.
    fn mend(&self, _site: &Site<'_>) -> Option<Mend> {
        None
    }
    /// What it has to say of a binding to a default role that the input does not define, if anything.
    fn check_binding(&self, _site: &BindingSite<'_>) -> Option<Diagnosis> {
        None
    }
}

/// The versions of Kubernetes that a rule is about; a default server is meant, without feature gates of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Versions {
    /// The first; none for every version there was.
    pub since: Option<KubeVersion>,
    /// The last; none for every version there will be.
    pub until: Option<KubeVersion>,
}

impl Versions {
    /// Servers that know constrained impersonation.
    pub const CONSTRAINED: Self = Self { since: Some(KubeVersion::CONSTRAINED), until: None };
    /// Servers that do not.
    pub const LEGACY_ONLY: Self = Self { since: None, until: Some(KubeVersion::LAST_LEGACY_ONLY) };
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.since, self.until) {
            (None, None) => f.write_str("all"),
            (Some(since), None) => write!(f, "from {since}"),
            (None, Some(until)) => write!(f, "up to {until}"),
            (Some(since), Some(until)) => write!(f, "{since} to {until}"),
        }
    }
}

/// How what a rule finds can be mended without anyone's judgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fix {
    /// It cannot: evidence or a decision is needed.
    None,
    /// By an edit that takes permissions away or gives them, or may do so where the input is not all there is.
    Unsafe,
    /// By an edit that changes no permission.
    Safe,
}

impl Fix {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Unsafe => "unsafe",
            Self::Safe => "safe",
        }
    }
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
