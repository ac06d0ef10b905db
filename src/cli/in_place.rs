//! `deputize migrate --in-place`: the manifests themselves are edited.

use std::collections::BTreeSet;
use std::io::{self, Write};

use clap::ValueEnum;
use deputize::grants::Grants;
use deputize::inventory::Inventory;
use deputize::migrate::{Plan, Stage, in_place, not_in_place};
use deputize::output::diff::write_diff;
use deputize::output::{escape, human};
use deputize::rewrite::FileChange;

use super::input::InputArgs;
use super::surroundings::Surroundings;
use super::{Failure, Outcome, Status, terminal};

#[derive(Debug, clap::Args)]
pub(super) struct InPlaceArgs {
    /// Edit the manifests themselves; every byte that need not change stays
    #[arg(long, requires = "stage", group = "written", conflicts_with = "output", help_heading = "Output")]
    in_place: bool,
    /// Which of the two stages --in-place does
    #[arg(long, value_enum, value_name = "STAGE", requires = "in_place", help_heading = "Output")]
    stage: Option<StageArg>,
    /// Print what --in-place would change, and change nothing
    #[arg(long, requires = "in_place", help_heading = "Output")]
    diff: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum StageArg {
    /// Add the constrained roles and bindings
    Grant,
    /// Take the legacy verb away
    Cutover,
}

impl InPlaceArgs {
    /// The stage, if the manifests are to be edited.
    pub(super) fn stage(&self) -> Option<Stage> {
        self.stage.filter(|_| self.in_place).map(|stage| match stage {
            StageArg::Grant => Stage::Grant,
            StageArg::Cutover => Stage::Cutover,
        })
    }

    /// Sees to it that there are files to edit.
    pub(super) fn check(&self, input: &InputArgs) -> Result<(), Failure> {
        if self.in_place && input.reads_stdin() {
            let message = "standard input cannot be edited: give the files or directories, or leave --in-place out";
            return Err(Failure::Message(message.to_owned()));
        }
        Ok(())
    }
}

/// Does a stage, or prints what it would do. `force` allows the cut-over without the first stage.
pub(super) fn run(
    args: &InPlaceArgs,
    (stage, force): (Stage, bool),
    input: &InputArgs,
    grants: &Grants<'_>,
    plan: &Plan<'_>,
) -> Outcome {
    if stage == Stage::Cutover && !force {
        require_first_stage(grants.inventory(), plan)?;
    }
    let mut surroundings = Surroundings::new(&input.paths, grants.inventory())?;
    let mut planned = in_place(grants, plan, stage, &mut surroundings);
    let checked = surroundings.check(plan, stage, &planned.changes);
    planned.problems.extend(checked.problems);
    let mut err = terminal::stderr();
    for warning in &checked.warnings {
        writeln!(err, "{}: {}", terminal::warning(), escape(warning))?;
    }
    if !planned.problems.is_empty() {
        human::write_problems(&mut err, &planned.problems, terminal::remarks())?;
        writeln!(err, "no file was changed")?;
        err.flush()?;
        return Ok(Status::Failed);
    }
    let (by_hand, edited): (Vec<&FileChange>, Vec<&FileChange>) =
        planned.changes.iter().partition(|change| change.template.is_some());
    let shown = if args.diff { planned.changes.iter().collect() } else { by_hand.clone() };
    let mut out = terminal::stdout();
    let style = terminal::style();
    let print = |change: &&FileChange| write_diff(&mut out, &change.path, &change.before, &change.after, style);
    let printed = shown.iter().try_for_each(print);
    terminal::unless_closed(printed.and_then(|()| out.flush()))?;
    if !args.diff {
        surroundings.files.write(&edited)?;
    }
    say_what_was_done(&mut err, args.diff, &edited, &by_hand)?;
    if !args.diff && !planned.changes.is_empty() {
        say_what_is_next(&mut err, stage, plan)?;
    }
    if stage == Stage::Grant {
        warn_of_copies(&mut err, grants, plan)?;
    }
    err.flush()?;
    Ok(if by_hand.is_empty() { Status::Clean } else { Status::Reported })
}

fn say_what_was_done(
    err: &mut dyn Write,
    diff: bool,
    edited: &[&FileChange],
    by_hand: &[&FileChange],
) -> io::Result<()> {
    if edited.is_empty() && by_hand.is_empty() {
        return writeln!(err, "there is nothing to change");
    }
    for change in edited {
        let verb = match (change.is_new, diff) {
            (true, true) => "would add",
            (true, false) => "added",
            (false, true) => "would change",
            (false, false) => "changed",
        };
        writeln!(err, "{verb} {}", escape(&change.path))?;
    }
    for change in edited.iter().filter(|change| change.is_empty) {
        let holds = if diff { "would hold" } else { "holds" };
        writeln!(err, "{} {holds} no object any more: remove it, and what names it", escape(&change.path))?;
    }
    for change in by_hand {
        let language = change.template.map_or("", |language| language.as_str());
        writeln!(err, "not changed, a template ({language}); make the change above by hand: {}", escape(&change.path))?;
    }
    if !by_hand.is_empty() {
        writeln!(err, "{} to change by hand", human::count(by_hand.len(), "template"))?;
    }
    Ok(())
}

fn say_what_is_next(err: &mut dyn Write, stage: Stage, plan: &Plan<'_>) -> io::Result<()> {
    match stage {
        Stage::Grant => writeln!(
            err,
            "next: review the files and apply them as always; nothing is taken away by it. Once every API server is at 1.36 \
             or later, run this again with --stage cutover"
        ),
        Stage::Cutover => {
            writeln!(
                err,
                "next: review the files and apply them as always. To go back, restore the files and apply them again"
            )?;
            if !plan.cutover.deleted.is_empty() {
                writeln!(err, "these are in no file any more; applying does not delete them unless it prunes:")?;
            }
            let deleted = plan.cutover.deleted.iter();
            deleted.map(|object| object.meta().reference()).try_for_each(|name| writeln!(err, "  {}", escape(&name)))
        }
    }
}

/// A role that stands in several files is one; where these are for several clusters, each needs what is added.
fn warn_of_copies(err: &mut dyn Write, grants: &Grants<'_>, plan: &Plan<'_>) -> io::Result<()> {
    let replaced = plan.grants.iter().filter(|planned| !planned.replaced_by.is_empty());
    let roles: BTreeSet<_> = replaced.map(|planned| planned.from).collect();
    for meta in roles.into_iter().map(|role| &grants.inventory().role(role).meta) {
        if let Some((copy, _)) = meta.copies.iter().find(|(copy, _)| *copy != meta.path) {
            writeln!(
                err,
                "{}: {} stands in {} and in {}; what replaces it is added to the first only: where they are for \
                 different clusters, migrate each by itself",
                terminal::warning(),
                escape(&meta.describe()),
                escape(&meta.path),
                escape(copy)
            )?;
        }
    }
    Ok(())
}

/// Refuses a cut-over without the first stage: without the legacy grants, nothing tells what to add.
fn require_first_stage(inventory: &Inventory, plan: &Plan<'_>) -> Result<(), Failure> {
    let missing = not_in_place(inventory, plan);
    let (Some(first), more) = (missing.first(), missing.len().saturating_sub(1)) else { return Ok(()) };
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let message = format!(
        "the first stage is not in place, so nothing was changed: {}{more} {} missing from the manifests or out of date. Run \
         --stage grant, apply what it adds, then cut over; --force cuts over all the same",
        escape(&first.meta().reference()),
        if missing.len() == 1 { "is" } else { "are" },
    );
    Err(Failure::Message(message))
}
