//! The conditions under which text is written.

use smol_str::SmolStr;

use super::ast::{Branch, Node};
use super::text::{GuardId, Origin};

/// A condition, and the one around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guard {
    /// The guard around it; guard 0 is no condition, and its own parent.
    pub parent: GuardId,
    /// The directive.
    pub kind: GuardKind,
    /// Its pipeline.
    pub condition: Origin,
    /// Whether what is guarded is the body, and not what stands after `else`.
    pub holds: bool,
    /// Whether it is known that it is so.
    pub certain: bool,
    /// Whether the branch is taken with the chart's own values, if known.
    pub by_default: Option<bool>,
    /// Number of iterations with the chart's own values.
    pub count: Option<u32>,
}

/// The directives that make text conditional.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GuardKind {
    /// None.
    Always,
    /// `if`
    If,
    /// `with`
    With,
    /// `range`
    Range,
}

impl Default for Guard {
    fn default() -> Self {
        Self {
            parent: GuardId(0),
            kind: GuardKind::Always,
            condition: Origin::NONE,
            holds: true,
            certain: true,
            by_default: Some(true),
            count: None,
        }
    }
}

/// Collects the variables that a list of nodes sets.
pub(super) fn assigned(nodes: &[Node], names: &mut Vec<SmolStr>) {
    let mut branch_of = |branch: &Branch| {
        if branch.pipe.assigns {
            names.extend(branch.pipe.variables.iter().map(|(name, _)| name.clone()));
        }
        assigned(&branch.body, names);
        if let Some(otherwise) = &branch.otherwise {
            assigned(otherwise, names);
        }
    };
    for node in nodes {
        match node {
            Node::If(branch) | Node::With(branch) | Node::Range(branch) => branch_of(branch),
            _ => {}
        }
    }
    for node in nodes {
        if let Node::Action(pipe) = node
            && pipe.assigns
        {
            names.extend(pipe.variables.iter().map(|(name, _)| name.clone()));
        }
    }
}
