//! The rules there are.

use std::fmt;

use super::rule::Rule;
use super::rules;

/// All rules, in the order in which they are listed.
pub fn catalogue() -> &'static [&'static dyn Rule] {
    rules::ALL
}

/// The rule of that name.
pub fn find_rule(id: &str) -> Result<&'static dyn Rule, UnknownRule> {
    let found = catalogue().iter().find(|rule| rule.id() == id);
    found
        .copied()
        .ok_or_else(|| UnknownRule { id: id.to_owned(), close: closest(id, catalogue().iter().map(|rule| rule.id())) })
}

/// A name that no rule has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownRule {
    /// The name.
    pub id: String,
    /// A rule's name that looks like it.
    pub close: Option<&'static str>,
}

impl fmt::Display for UnknownRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is no rule {:?}", self.id)?;
        match self.close {
            Some(close) => write!(f, "; did you mean {close}?"),
            None => write!(f, "; `deputize rules` lists them"),
        }
    }
}

impl std::error::Error for UnknownRule {}

/// Returns the name that looks most like `name`, if one does.
pub(crate) fn closest<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let scored = known.into_iter().map(|known| (strsim::jaro_winkler(name, known), known));
    scored.filter(|(score, _)| *score > 0.8).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, known)| known)
}

/// Which rules are applied.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    select: Vec<&'static str>,
    ignore: Vec<&'static str>,
    mends: bool,
}

impl Selection {
    /// The rules of `select`, or all if there are none, without those of `ignore`.
    ///
    /// # Errors
    /// When there is no rule of such a name.
    pub fn new(select: &[String], ignore: &[String]) -> Result<Self, UnknownRule> {
        let ids = |names: &[String]| -> Result<Vec<_>, _> {
            names.iter().map(|name| find_rule(name).map(|rule| rule.id())).collect()
        };
        Ok(Self { select: ids(select)?, ignore: ids(ignore)?, mends: false })
    }

    /// The same, and findings say how they can be mended. That takes time.
    pub fn with_mends(self) -> Self {
        Self { mends: true, ..self }
    }

    /// Whether findings say how they can be mended.
    pub(super) fn has_mends(&self) -> bool {
        self.mends
    }

    /// Whether a rule is applied.
    pub fn has(&self, id: &str) -> bool {
        (self.select.is_empty() || self.select.contains(&id)) && !self.ignore.contains(&id)
    }
}
