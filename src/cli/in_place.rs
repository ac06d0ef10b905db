//! `deputize migrate --in-place`: the manifests themselves are edited.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::Arc;

use clap::ValueEnum;
use deputize::grants::Grants;
use deputize::inventory::ObjectKey;
use deputize::migrate::{Plan, Stage, in_place};
use deputize::output::diff::write_diff;
use deputize::output::{escape, human};
use deputize::rewrite::FileChange;

use super::files::{Files, not_editable};
use super::input::InputArgs;
use super::{Failure, Outcome, Status, terminal};

#[derive(Debug, clap::Args)]
pub(super) struct InPlaceArgs {
    /// Edit the manifests themselves; every byte that need not change stays
    #[arg(long, requires = "stage", conflicts_with_all = ["output_dir", "output"], help_heading = "Output")]
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

/// Does a stage, or prints what it would do.
pub(super) fn run(
    args: &InPlaceArgs,
    stage: Stage,
    input: &InputArgs,
    grants: &Grants<'_>,
    plan: &Plan<'_>,
) -> Outcome {
    let streams = &grants.inventory().streams;
    let mut files = Files::new(&input.paths);
    let mut read = |name: &Arc<str>| {
        if streams.contains_key(name) {
            return Err(not_editable(name, "is a pipe and cannot be edited", "give the file that it is made from"));
        }
        files.read(name)
    };
    let planned = in_place(grants, plan, stage, &mut read);
    let mut err = terminal::stderr();
    if !planned.problems.is_empty() {
        human::write_problems(&mut err, &planned.problems)?;
        writeln!(err, "no file was changed")?;
        err.flush()?;
        return Ok(Status::Failed);
    }
    let (by_hand, edited): (Vec<&FileChange>, Vec<&FileChange>) =
        planned.changes.iter().partition(|change| change.template.is_some());
    let shown = if args.diff { planned.changes.iter().collect() } else { by_hand.clone() };
    let mut out = terminal::stdout();
    let printed = shown.iter().try_for_each(|change| write_diff(&mut out, &change.path, &change.before, &change.after));
    terminal::unless_closed(printed.and_then(|()| out.flush()))?;
    if !args.diff {
        files.write(&edited)?;
    }
    say_what_was_done(&mut err, args.diff, &edited, &by_hand)?;
    if !args.diff && !planned.changes.is_empty() {
        say_what_is_next(&mut err, stage, plan)?;
    }
    if stage == Stage::Grant {
        warn_of_copies(&mut err, grants, plan)?;
    }
    let edited = !args.diff && !edited.is_empty();
    let missing = stage == Stage::Cutover && warn_of_missing(&mut err, edited, grants, plan)?;
    err.flush()?;
    Ok(if by_hand.is_empty() && !missing { Status::Clean } else { Status::Reported })
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
        let verb = if diff { "would change" } else { "changed" };
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
                "warning: {} stands in {} and in {}; what replaces it is added to the first only: where they are for \
                 different clusters, migrate each by itself",
                escape(&meta.describe()),
                escape(&meta.path),
                escape(copy)
            )?;
        }
    }
    Ok(())
}

/// The cut-over counts on what the first stage adds. Whether any of it is missing.
fn warn_of_missing(err: &mut dyn Write, edited: bool, grants: &Grants<'_>, plan: &Plan<'_>) -> io::Result<bool> {
    let inventory = grants.inventory();
    let known: std::collections::HashSet<ObjectKey> = inventory
        .roles
        .iter()
        .map(|role| role.meta.key())
        .chain(inventory.bindings.iter().map(|binding| binding.meta.key()))
        .collect();
    let missing = plan.added.iter().filter(|object| !known.contains(&object.meta().key())).count();
    if missing == 0 {
        return Ok(false);
    }
    writeln!(
        err,
        "warning: {} that the impersonators need instead {} in no manifest: {}run --stage grant, and apply what it adds before \
         the cut-over",
        human::count(missing, "constrained object"),
        if missing == 1 { "is" } else { "are" },
        // Without the legacy grants there is nothing left to tell what to add.
        if edited { "restore the files, " } else { "" },
    )?;
    Ok(true)
}
