//! `deputize migrate`.

use std::io::Write;
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::ValueEnum;
use deputize::authority::Feature;
use deputize::evidence::{DeclaredActions, Derived, Impersonator, derive_actions, read_declared};
use deputize::grants::Grants;
use deputize::inventory::Inventory;
use deputize::migrate::{
    ActionScope, Identities, Kept, ObjectOptions, Options, Plan, Sources, Stage, exceptions, keep_apart, plan,
};
use deputize::output::{escape, human, plan as plan_output, yaml};
use deputize::source::{FileText, Input, Limits, STDIN, read_file};

use super::input::{DuplicatesArg, ImplicitGroupsArg, InputArgs, leave_out_apart, one_world, status_of};
use super::objects::ObjectArgs;
use super::settings::VersionArg;
use super::{Failure, Outcome, Status, accept, in_place, logs, output_dir, terminal};

const AFTER_HELP: &str = "\
Examples:
  deputize migrate manifests --audit-log audit.log --output-dir migrated
  deputize migrate manifests --audit-log audit.log --in-place --stage grant --diff

Exit status: 0 every legacy grant is replaced or dropped, 1 some are kept or something is left to do by hand, 2 something \
could not be read or written.";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    #[command(flatten)]
    input: InputArgs,
    /// Audit log, or evidence condensed from one, that shows what impersonators did: a file, a directory, or `-`;
    /// repeatable
    #[arg(long, value_name = "LOG", help_heading = "Evidence")]
    audit_log: Vec<PathBuf>,
    /// File that declares what impersonators do; `-` is standard input
    #[arg(long, value_name = "FILE", help_heading = "Evidence")]
    actions: Option<PathBuf>,
    /// Take what the impersonated identities themselves may do, as far as the input shows it: an upper bound
    #[arg(long, help_heading = "Evidence")]
    from_target: bool,
    /// Identities that an impersonator has afterwards
    #[arg(long, value_enum, value_name = "WHICH", default_value_t, help_heading = "Least privilege")]
    identities: IdentitiesArg,
    /// Namespaces in which an impersonator may do what it was seen to do
    #[arg(long, value_enum, value_name = "WHERE", default_value_t, help_heading = "Least privilege")]
    action_scope: ActionScopeArg,
    #[command(flatten)]
    implicit_groups: ImplicitGroupsArg,
    /// Migrate only this subject: ServiceAccount/NAMESPACE/NAME, User/NAME or Group/NAME; repeatable
    #[arg(long, value_name = "SUBJECT", value_parser = Impersonator::parse, help_heading = "Input")]
    only: Vec<Impersonator>,
    /// Keep unused legacy grants of impersonators that were seen
    #[arg(long, help_heading = "Least privilege")]
    keep_unused: bool,
    #[command(flatten)]
    duplicates: DuplicatesArg,
    /// Directory to write: what to apply first (1-grant), what to apply then (2-cutover), how to go back (rollback), and
    /// the plan
    #[arg(long, value_name = "DIR", group = "written", help_heading = "Output")]
    output_dir: Option<PathBuf>,
    /// With --output-dir: replace what an earlier run wrote, every .yaml file in 1-grant, 2-cutover and rollback, and the
    /// plan. With --in-place --stage cutover: cut over although the first stage is missing
    #[arg(long, requires = "written", help_heading = "Output")]
    force: bool,
    /// What is printed; with --output-dir nothing is, unless this says what
    #[arg(long, short, value_enum, help_heading = "Output")]
    output: Option<Output>,
    /// Add what stays legacy to this configuration file, as [[accept]] entries for `check` and `verify`: review them
    #[arg(long, value_name = "FILE", conflicts_with = "diff", help_heading = "Output")]
    write_accept: Option<PathBuf>,
    #[command(flatten)]
    in_place: in_place::InPlaceArgs,
    #[command(flatten)]
    objects: ObjectArgs,
    #[command(flatten)]
    version: VersionArg,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// The new roles and bindings, as one stream
    Yaml,
    /// The plan: what becomes of each legacy grant and of each observed request
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum IdentitiesArg {
    /// All that its legacy grants name
    #[default]
    Granted,
    /// Only those in the evidence
    Observed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum ActionScopeArg {
    /// Those in the evidence; all if these are more than 20
    #[default]
    Auto,
    /// Those in the evidence
    Namespace,
    /// All
    Cluster,
}

/// What the user gave as evidence.
#[derive(Debug, Default)]
struct Given {
    declared: DeclaredActions,
    derived: Derived,
    logs: Option<logs::LogsRead>,
    objects: ObjectOptions,
}

pub(super) fn run(args: &Args) -> Outcome {
    args.in_place.check(&args.input)?;
    one_stdin(args)?;
    if let Some(directory) = &args.output_dir {
        output_dir::check(directory, args.force)?;
    }
    // What cannot be used is said before anything else is read.
    let declared = args.actions.as_deref().map(|path| read_actions(path.to_owned())).transpose()?;
    let has_evidence = declared.is_some() || args.from_target || !args.audit_log.is_empty();
    let mut given = Given { declared: declared.unwrap_or_default(), ..Given::default() };
    let mut inventory = args.input.load_originals(args.output_dir.as_deref())?;
    args.duplicates.resolve(&mut inventory);
    // All of it lives until the process ends: to take a large inventory apart would only take time.
    let is_apart = inventory.roles.iter().any(|role| role.meta.stands_apart())
        || inventory.bindings.iter().any(|binding| binding.meta.stands_apart());
    let everything = is_apart.then(|| &*Box::leak(Box::new(inventory.with(&[], &[]))));
    leave_out_apart(&mut inventory)?;
    let inventory: &Inventory = Box::leak(Box::new(inventory));
    let grants = ManuallyDrop::new(Grants::new(inventory));
    let mut err = terminal::stderr();
    if !has_evidence {
        args.input.say_coverage(inventory)?;
        writeln!(
            err,
            "nothing says what the impersonators do, so nothing was rewritten. There are three ways to say it: what they \
             did (--audit-log LOG), what they are meant to do (--actions FILE), and what their targets may do \
             (--from-target)"
        )?;
        return Ok(status_of(&grants)?.max(Status::Reported));
    }
    one_world(&grants)?;
    let mut status = status_of(&grants)?;
    if !args.audit_log.is_empty() {
        let read = logs::read(&args.audit_log, &[inventory])?;
        if read.status == Status::Failed {
            // What is not seen would count as unused, and be taken away.
            let message = "a log could not be read, so nothing is written: give logs that can be read";
            return Err(Failure::Message(message.to_owned()));
        }
        status = status.max(read.status);
        given.logs = Some(read);
    }
    if args.from_target {
        given.derived = derive_actions(&grants);
    }
    args.input.say_coverage(inventory)?;
    given.objects = args.objects.options(inventory, args.in_place.stage().is_some());
    let given = ManuallyDrop::new(given);
    let mut plan = ManuallyDrop::new(make_plan(args, &grants, &given)?);
    // The ids of what was planned are the same there.
    let all = everything.map(|everything| ManuallyDrop::new(Grants::new(everything)));
    if let Some(all) = &all {
        keep_apart(&mut plan, all);
    }
    let shown = all.as_ref().unwrap_or(&grants);
    let exceptions = exceptions(shown, &plan);
    // They are printed unless a file has them. Before the cut-over nothing has to be accepted.
    let has_file = args.output_dir.is_some() || args.write_accept.is_some();
    let is_cut_over = !has_file && args.in_place.stage() != Some(Stage::Grant);
    let listed = if is_cut_over { exceptions.as_slice() } else { &[] };
    plan_output::write_human(&mut err, shown, &plan, listed, terminal::stderr_style())?;
    say_warnings(&mut err, args, inventory, &given)?;
    if let Some(directory) = &args.output_dir {
        let version = args.version.over(&args.input).version(shown.inventory());
        output_dir::write(directory, shown, &plan, &exceptions, version)?;
        print_next_steps(&mut err, directory, args, &plan, exceptions.len())?;
    }
    err.flush()?;
    if let Some(file) = &args.write_accept {
        accept::add_to(file, &exceptions)?;
    }
    match args.in_place.stage() {
        Some(stage) => {
            status = status.max(in_place::run(&args.in_place, (stage, args.force), &args.input, &grants, &plan)?)
        }
        None => print(args, shown, &plan)?,
    }
    let kept = plan.grants.iter().filter_map(|planned| planned.outcome.kept()).any(|kept| kept != Kept::NotSelected);
    Ok(status.max(if kept { Status::Reported } else { Status::Clean }))
}

fn make_plan<'p>(args: &'p Args, grants: &'p Grants<'p>, given: &'p Given) -> Result<Plan<'p>, Failure> {
    let sources = Sources {
        declared: &given.declared.actions,
        derived: &given.derived.actions,
        evidence: given.logs.as_ref().map(|read| &read.evidence),
    };
    let options = Options {
        identities: match args.identities {
            IdentitiesArg::Granted => Identities::Granted,
            IdentitiesArg::Observed => Identities::Observed,
        },
        action_scope: match args.action_scope {
            ActionScopeArg::Auto => ActionScope::Auto,
            ActionScopeArg::Namespace => ActionScope::Namespace,
            ActionScopeArg::Cluster => ActionScope::Cluster,
        },
        keep_unused: args.keep_unused,
        implicit_groups: args.implicit_groups.value(),
        header_hints: &given.declared.header_hints,
        only: &args.only,
        objects: Some(&given.objects),
    };
    plan(grants, &sources, options).map_err(|unproven| {
        let mut err = terminal::stderr();
        for reason in &unproven.0 {
            // Where standard error is closed, the exit status still tells.
            let _ = writeln!(err, "{}", escape(reason));
        }
        let message = "it cannot be proved that the migration loses and widens nothing, so nothing is written";
        Failure::Message(message.to_owned())
    })
}

fn say_warnings(err: &mut dyn Write, args: &Args, inventory: &Inventory, given: &Given) -> Result<(), Failure> {
    let warning = terminal::warning();
    if inventory.coverage.objects == 0 {
        writeln!(err, "{warning}: there is no RBAC object here, so there is nothing to migrate: check the paths")?;
    }
    if let Some(read) = &given.logs {
        read.say_left_out(err)?;
        if let Some(nothing) = read.nothing_seen() {
            writeln!(err, "{warning}: {nothing}: that says nothing about what the impersonators do")?;
        }
    }
    for message in &given.derived.warnings {
        writeln!(err, "{warning}: {}", escape(message))?;
    }
    if args.version.over(&args.input).feature(inventory) == Feature::LegacyOnly {
        writeln!(
            err,
            "{warning}: a server of version {} ignores constrained verbs unless its feature gate is on: keep the legacy \
             grants until every API server is at 1.36 or later",
            args.version.over(&args.input).version(inventory)
        )?;
    }
    Ok(())
}

/// Prints what to do with the directory, in order.
fn print_next_steps(
    err: &mut dyn Write,
    directory: &Path,
    args: &Args,
    plan: &Plan<'_>,
    exceptions: usize,
) -> Result<(), Failure> {
    let shown = for_shell(directory);
    let cluster = args.input.kubectl_flags();
    if !plan.added.is_empty() {
        writeln!(err, "1. add the constrained grants; this removes nothing:")?;
        writeln!(err, "     kubectl{cluster} apply -k {shown}/{}", output_dir::GRANT)?;
        writeln!(err, "   then check it against audit logs of the next days:")?;
        writeln!(err, "     deputize verify {} --audit-log LOG --with {shown}", args.input.for_shell())?;
    }
    let cutover = &plan.cutover;
    if !cutover.changed.is_empty() || !cutover.remainders.is_empty() || !cutover.deleted.is_empty() {
        writeln!(err, "2. when every API server is at 1.36 or later, remove legacy:")?;
        if !cutover.changed.is_empty() || !cutover.remainders.is_empty() {
            writeln!(err, "     kubectl{cluster} apply -k {shown}/{}", output_dir::CUTOVER)?;
        }
        if !cutover.deleted.is_empty() {
            writeln!(err, "     kubectl{cluster} delete -f {shown}/{}/{}", output_dir::CUTOVER, output_dir::DELETE)?;
        }
        writeln!(err, "   to go back: kubectl{cluster} apply -f {shown}/rollback")?;
    }
    if exceptions > 0 && args.write_accept.is_none() {
        writeln!(
            err,
            "3. accept what stays legacy: review {shown}/{} and append it to deputize.toml",
            output_dir::ACCEPT
        )?;
    }
    Ok(())
}

/// A path as a shell takes it, as far as it can be shown.
pub(super) fn for_shell(path: &Path) -> String {
    let path = path.to_string_lossy();
    let shown = escape(&path);
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@+,".contains(c);
    if shown.chars().all(plain) { shown.into_owned() } else { format!("'{}'", shown.replace('\'', "'\\''")) }
}

fn print(args: &Args, grants: &Grants<'_>, plan: &Plan<'_>) -> Result<(), Failure> {
    let output = match (args.output, &args.output_dir) {
        (Some(output), _) => output,
        (None, None) => Output::Yaml,
        (None, Some(_)) => return Ok(()),
    };
    let mut out = terminal::stdout();
    let printed = match output {
        Output::Yaml => yaml::write_objects(&mut out, &plan.added),
        Output::Json => {
            plan_output::write_json(&mut out, grants, plan, args.version.over(&args.input).version(grants.inventory()))
        }
    };
    Ok(terminal::unless_closed(printed.and_then(|()| out.flush()))?)
}

/// Standard input can be one thing only.
fn one_stdin(args: &Args) -> Result<(), Failure> {
    let stdin = |path: &&PathBuf| path.as_os_str() == STDIN;
    let logs = args.audit_log.iter().filter(stdin).count();
    let users = [
        (args.input.reads_stdin(), "the manifests"),
        (args.actions.iter().any(|path| stdin(&path)), "the actions"),
        (logs > 0, "an audit log"),
    ];
    let users: Vec<&str> = users.iter().filter(|(reads, _)| *reads).map(|(_, what)| *what).collect();
    match users.as_slice() {
        [one, other, ..] => Err(Failure::Message(format!("standard input cannot be both {one} and {other}"))),
        _ => Ok(()),
    }
}

fn read_actions(path: PathBuf) -> Result<DeclaredActions, Failure> {
    let name: Arc<str> = Arc::from(path.to_string_lossy());
    let mut text = FileText::default();
    let input = if name.as_ref() == STDIN { Input::stdin() } else { Input::named(path, false) };
    read_file(&input, &Limits::default(), &mut text)
        .map_err(|error| Failure::Message(format!("{} {error}", escape(&name))))?;
    read_declared(&name, text.bytes()).map_err(|problems| {
        // Where standard error is closed, the exit status still tells.
        let _ = human::write_problems(&mut terminal::stderr(), &problems, terminal::remarks());
        Failure::Message(format!("the declared actions in {} cannot be used", escape(&name)))
    })
}
