//! Directives to the blocks that they open and close: what stands where under which condition.

use std::ops::Range;

use super::lex::{Action, Block, Directive};

/// How deep blocks may be nested. Real templates stay below ten; whoever asks under which conditions something stands
/// walks this far.
const MAX_DEPTH: usize = 64;

/// How many conditions of earlier branches a later one remembers. Whether one with so many is there is not certain.
pub(super) const MAX_FAILS: usize = 8;

/// A stretch of the text that is there under a condition only, or that is there several times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Guard<'t> {
    /// What is inside, without the directives.
    pub range: Range<usize>,
    /// The guard around it.
    pub parent: Option<usize>,
    /// The block of which this is a branch.
    pub chain: usize,
    /// Which branch.
    pub branch: usize,
    /// What it says.
    pub kind: GuardKind<'t>,
}

/// What a guard says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum GuardKind<'t> {
    /// The condition holds, and none of the others does.
    Only {
        /// What must hold; none for the branch that is left.
        holds: Option<&'t str>,
        /// What must not.
        fails: Vec<&'t str>,
        /// Whether `.` is the value inside.
        with: bool,
    },
    /// Once for each element.
    Each(&'t str),
    /// Where the name is called.
    Define(&'t str),
    /// Something else.
    Other,
}

/// A directive that does not fit the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Misfit {
    /// Where it stands.
    pub offset: usize,
    /// What is wrong with it.
    pub what: &'static str,
}

/// All guards of a text, sorted by their beginnings.
#[derive(Debug, Default)]
pub(super) struct Scopes<'t> {
    guards: Vec<Guard<'t>>,
    /// The branches of each chain; chains are counted from 1.
    chains: Vec<Vec<usize>>,
    /// From which offset on which guard is the innermost.
    changes: Vec<(usize, Option<usize>)>,
    /// What does not fit.
    pub misfits: Vec<Misfit>,
}

struct Open<'t> {
    guard: usize,
    block: Block<'t>,
    fails: Vec<&'t str>,
}

impl<'t> Scopes<'t> {
    pub(super) fn new(directives: &[Directive<'t>], length: usize) -> Self {
        let mut scopes = Self::default();
        let mut open: Vec<Open<'t>> = Vec::new();
        // Blocks that are too deep are not followed, but their ends are.
        let mut ignored = 0usize;
        for directive in directives {
            let (start, end) = (directive.range.start, directive.range.end);
            match directive.action {
                Action::Open(_) if open.len() >= MAX_DEPTH => {
                    if ignored == 0 {
                        scopes.misfit(start, "blocks are nested too deep here");
                    }
                    ignored += 1;
                }
                Action::Open(block) => {
                    scopes.chains.push(Vec::new());
                    let chain = scopes.chains.len();
                    let parent = open.last().map(|open| open.guard);
                    let kind = match block {
                        Block::If(holds) => GuardKind::Only { holds: Some(holds), fails: Vec::new(), with: false },
                        Block::With(holds) => GuardKind::Only { holds: Some(holds), fails: Vec::new(), with: true },
                        Block::Unless(fails) => GuardKind::Only { holds: None, fails: vec![fails], with: false },
                        Block::Each(list) => GuardKind::Each(list),
                        Block::Define(name) => GuardKind::Define(name),
                        Block::Other => GuardKind::Other,
                    };
                    let fails = match block {
                        Block::If(holds) | Block::With(holds) | Block::Each(holds) => vec![holds],
                        _ => Vec::new(),
                    };
                    let guard = scopes.begin(end, parent, chain, 0, kind);
                    open.push(Open { guard, block, fails });
                }
                Action::Else(_) | Action::Close if ignored > 0 => {
                    ignored -= usize::from(directive.action == Action::Close);
                }
                Action::Else(condition) => {
                    let Some(last) = open.last_mut() else {
                        scopes.misfit(start, "this branch belongs to no condition");
                        continue;
                    };
                    let Some(guard) = scopes.guards.get_mut(last.guard) else { continue };
                    guard.range.end = start;
                    let (parent, chain, branch) = (guard.parent, guard.chain, guard.branch + 1);
                    // As many branches as a chain has, each would list all those before it.
                    let fails: Vec<&str> = last.fails.iter().copied().take(MAX_FAILS).collect();
                    let kind = match last.block {
                        Block::Unless(holds) if last.fails.is_empty() => {
                            GuardKind::Only { holds: Some(holds), fails, with: false }
                        }
                        _ => {
                            let with = directive.body.starts_with("else with");
                            GuardKind::Only { holds: condition, fails, with }
                        }
                    };
                    last.fails.extend(condition.filter(|_| last.fails.len() < MAX_FAILS));
                    last.guard = scopes.begin(end, parent, chain, branch, kind);
                }
                Action::Close => match open.pop() {
                    Some(last) => scopes.end(last.guard, start, end),
                    None => scopes.misfit(start, "this ends a block that nothing began"),
                },
                Action::Output | Action::Comment | Action::Silent => {}
            }
        }
        for last in open.iter().rev() {
            if let Some(guard) = scopes.guards.get(last.guard) {
                let offset = guard.range.start;
                scopes.misfit(offset, "the block that begins here has no end");
            }
            scopes.end(last.guard, length, length);
        }
        scopes
    }

    fn misfit(&mut self, offset: usize, what: &'static str) {
        // One is enough to know that the text is not what it seems.
        if self.misfits.len() < MAX_DEPTH {
            self.misfits.push(Misfit { offset, what });
        }
    }

    fn begin(
        &mut self,
        start: usize,
        parent: Option<usize>,
        chain: usize,
        branch: usize,
        kind: GuardKind<'t>,
    ) -> usize {
        let index = self.guards.len();
        if let Some(branches) = chain.checked_sub(1).and_then(|at| self.chains.get_mut(at)) {
            branches.push(index);
        }
        self.guards.push(Guard { range: start..start, parent, chain, branch, kind });
        self.changes.push((start, Some(index)));
        index
    }

    fn end(&mut self, guard: usize, end: usize, after: usize) {
        let Some(guard) = self.guards.get_mut(guard) else { return };
        guard.range.end = end;
        let parent = guard.parent;
        self.changes.push((after, parent));
    }

    /// The guards, sorted by their beginnings.
    pub(super) fn all(&self) -> &[Guard<'t>] {
        &self.guards
    }

    /// The branches of a chain.
    pub(super) fn branches_of(&self, chain: usize) -> impl Iterator<Item = &Guard<'t>> {
        let branches = chain.checked_sub(1).and_then(|at| self.chains.get(at));
        branches.into_iter().flatten().filter_map(|index| self.guards.get(*index))
    }

    /// The guards around a place, the innermost first.
    pub(super) fn around(&self, offset: usize) -> impl Iterator<Item = (usize, &Guard<'t>)> {
        let after = self.changes.partition_point(|(from, _)| *from <= offset);
        let mut next = after.checked_sub(1).and_then(|at| self.changes.get(at)).and_then(|(_, guard)| *guard);
        std::iter::from_fn(move || {
            let index = next?;
            let guard = self.guards.get(index)?;
            next = guard.parent;
            Some((index, guard))
        })
    }

    /// The guards that begin between two places.
    pub(super) fn beginning_in(&self, range: Range<usize>) -> &[Guard<'t>] {
        let from = self.guards.partition_point(|guard| guard.range.start < range.start);
        let until = self.guards.partition_point(|guard| guard.range.start < range.end);
        self.guards.get(from..until).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::lex::directives;
    use super::*;
    use crate::source::TemplateLanguage::DoubleBraces;

    fn around(text: &str, what: &str) -> Vec<String> {
        let scopes = Scopes::new(&directives(text, DoubleBraces).unwrap(), text.len());
        assert_eq!(scopes.misfits, []);
        scopes.around(text.find(what).unwrap()).map(|(_, guard)| format!("{:?}", guard.kind)).collect()
    }

    #[test]
    fn what_stands_under_which_condition() {
        let text = "a{{ if .x }}b{{ range .y }}c{{ end }}d{{ else if .z }}e{{ else }}f{{ end }}G";
        let only = |holds: &str, fails: &str| format!("Only {{ holds: {holds}, fails: [{fails}], with: false }}");
        assert_eq!(around(text, "a"), [""; 0]);
        assert_eq!(around(text, "c"), ["Each(\".y\")".to_owned(), only("Some(\".x\")", "")]);
        assert_eq!(around(text, "d{"), [only("Some(\".x\")", "")]);
        assert_eq!(around(text, "e{{"), [only("Some(\".z\")", "\".x\"")]);
        assert_eq!(around(text, "f{{"), [only("None", "\".x\", \".z\"")]);
        assert_eq!(around(text, "G"), [""; 0]);
    }

    #[test]
    fn what_does_not_fit_is_said() {
        for (text, expected) in [
            ("{{ end }}", 1),
            ("{{ else }}", 1),
            ("{{ if .x }}", 1),
            (&"{{ if .x }}".repeat(100), 65),
            (&format!("{}{}", "{{ if .x }}".repeat(100), "{{ end }}".repeat(100)), 1),
        ] {
            let scopes = Scopes::new(&directives(text, DoubleBraces).unwrap(), text.len());
            assert_eq!(scopes.misfits.len(), expected.min(MAX_DEPTH), "{}", text.len());
        }
    }
}
