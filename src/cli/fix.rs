//! `deputize check --fix` and `--diff`: findings are mended, or it is shown how they would be.

use std::io::{self, Write};
use std::sync::Arc;

use deputize::fix::{Fixes, broken_promise};
use deputize::inventory::Inventory;
use deputize::output::diff::write_diff;
use deputize::output::{escape, human};
use deputize::rewrite::FileChange;

use super::check::{Output, World};
use super::files::{Files, not_editable};
use super::input::InputArgs;
use super::output::Destination;
use super::{Failure, Status, terminal};

/// How often findings are mended: what one round takes away may show that something else is there twice.
const MAX_ROUNDS: usize = 10;

#[derive(Debug, clap::Args)]
pub(super) struct FixArgs {
    /// Mend what can be mended without changing what anybody may do: the manifests themselves are edited
    #[arg(long, help_heading = "Fixing")]
    fix: bool,
    /// Print what --fix would change, and change nothing
    #[arg(long, help_heading = "Fixing")]
    diff: bool,
    /// With --fix or --diff, also mend what takes permissions away
    #[arg(long, help_heading = "Fixing")]
    unsafe_fixes: bool,
}

/// What was done.
pub(super) struct Fixed {
    fixes: Fixes,
    diff: bool,
}

impl FixArgs {
    /// Whether only differences are printed.
    pub(super) fn prints_diff(&self) -> bool {
        self.diff
    }

    /// Sees to it that there are files to edit, if any are to be. Says whether.
    pub(super) fn check(&self, input: &InputArgs, output: &[Destination<Output>]) -> Result<bool, Failure> {
        let wrong = |message: &str| Err(Failure::Message(message.to_owned()));
        if !self.fix && !self.diff {
            return if self.unsafe_fixes {
                wrong("--unsafe-fixes says how much --fix and --diff may change: give one of them")
            } else {
                Ok(false)
            };
        }
        if input.is_live() {
            return wrong("a cluster is never written to: check the manifests from which it is made");
        }
        if input.reads_stdin() {
            return wrong("standard input cannot be edited: give the files or directories");
        }
        let is_default = |to: &Destination<Output>| to.format == Output::Human && to.file.is_none();
        if self.diff && !output.iter().all(is_default) {
            return wrong("--diff prints differences and no findings: leave --output out");
        }
        Ok(true)
    }

    /// Mends what was found in a world, and leaves the world as it is then. Files are written last, when it is known that
    /// the edits keep their promise.
    pub(super) fn run<'i>(
        &self,
        input: &InputArgs,
        world: &mut World<'i>,
        check: &dyn Fn(&'i Inventory) -> World<'i>,
    ) -> Result<Fixed, Failure> {
        if !world.inventory.clusters.is_empty() {
            let message = "a snapshot shows a cluster as it was, and is not edited: check the manifests from which the cluster is \
                           made";
            return Err(Failure::Message(message.to_owned()));
        }
        let mut fixes = Fixes::new(self.unsafe_fixes);
        let mut files = Files::new(&input.paths);
        let streams = &world.inventory.streams;
        let mut read = |name: &Arc<str>| {
            if streams.contains_key(name) {
                return Err(not_editable(name, "is a pipe and cannot be edited", "give the file that it is made from"));
            }
            files.read(name)
        };
        let mut last: Option<World<'i>> = None;
        for _ in 0..MAX_ROUNDS {
            let now = last.as_ref().unwrap_or(world);
            if !fixes.round(&now.grants, &now.triage.reported, &mut read) {
                break;
            }
            last = Some(check(Box::leak(Box::new(input.load_with(fixes.texts())))));
        }
        if let Some(last) = last {
            let (before, after) = ((&world.grants, &*world.triage.reported), (&last.grants, &*last.triage.reported));
            if let Some(why) = broken_promise(before, after, self.unsafe_fixes) {
                return Err(Failure::Message(format!("nothing was fixed, as {}", escape(&why))));
            }
            *world = last;
        }
        let changes = fixes.changes();
        if self.diff {
            let mut out = terminal::stdout();
            let mut write = |change: &FileChange| {
                write_diff(&mut out, &change.path, &change.before, &change.after, terminal::style())
            };
            let printed = changes.iter().try_for_each(&mut write);
            terminal::unless_closed(printed.and_then(|()| out.flush()))?;
        } else {
            files.write(&changes.iter().collect::<Vec<_>>())?;
        }
        Ok(Fixed { fixes, diff: self.diff })
    }
}

impl Fixed {
    /// Says on standard error what was done, and what is left.
    pub(super) fn conclude(&self, world: &World<'_>) -> io::Result<Status> {
        let mut err = terminal::stderr();
        for problem in self.fixes.left_alone() {
            let (path, message) = (escape(&problem.path), escape(&problem.message));
            let help = problem.help.as_deref().map(|help| format!("; {}", escape(help))).unwrap_or_default();
            writeln!(err, "not fixed: {path} {message}{help}")?;
        }
        let changes = self.fixes.changes();
        for change in &changes {
            let verb = if self.diff { "would change" } else { "changed" };
            writeln!(err, "{verb} {}", escape(&change.path))?;
        }
        let (fixed, remain) = if self.diff { ("would fix", "would remain") } else { ("fixed", "remain") };
        let more = match self.fixes.only_unsafe(&world.grants, &world.triage.reported) {
            0 => String::new(),
            more => format!(" ({more} fixable with --unsafe-fixes)"),
        };
        let remaining = world.triage.reported.len();
        writeln!(err, "{fixed} {}, {remaining} {remain}{more}", human::count(self.fixes.fixed(), "finding"))?;
        err.flush()?;
        Ok(if self.diff && !changes.is_empty() { Status::Reported } else { Status::Clean })
    }
}
