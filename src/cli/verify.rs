//! `deputize verify`.

use std::io::Write;
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};

use deputize::authority::{Authorizer, Feature, decide};
use deputize::evidence::Impersonator;
use deputize::grants::Grants;
use deputize::inventory::{Inventory, Object};
use deputize::lint::{self, Selection};
use deputize::migrate::{Verification, VerifiedRequest, VerifyOptions, verify};
use deputize::output::verify as output;
use deputize::source::STDIN;
use deputize::triage::{Options, accepted_grants, triage};

use super::input::{DuplicatesArg, ImplicitGroupsArg, InputArgs, leave_out_apart, load_quietly, one_world, status_of};
use super::output_dir::{CUTOVER, DELETE, GRANT};
use super::settings::{TodayArg, VersionArg};
use super::terminal::Output;
use super::{Failure, Outcome, Status, logs, terminal};

const AFTER_HELP: &str = "\
Exit status: 0 a constrained mode serves every request and nothing is widened, 1 otherwise, 2 something could not be read.";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    #[command(flatten)]
    input: InputArgs,
    /// Audit log, or evidence condensed from one, with the requests that must keep working: a file, a directory, or `-`;
    /// repeatable
    #[arg(long, value_name = "LOG", required = true)]
    audit_log: Vec<PathBuf>,
    /// Directory with the migrated manifests: as `migrate` wrote it (both stages are applied), or any other (its objects
    /// replace their namesakes)
    #[arg(long, value_name = "DIR")]
    with: Option<PathBuf>,
    /// Leave out the requests of this user, for example because another authorizer than RBAC admits it; repeatable
    #[arg(long, value_name = "USERNAME")]
    ignore_requestor: Vec<String>,
    /// Verify only the requests of this subject: ServiceAccount/NAMESPACE/NAME, User/NAME or Group/NAME; repeatable
    #[arg(long, value_name = "SUBJECT", value_parser = Impersonator::parse)]
    only: Vec<Impersonator>,
    #[command(flatten)]
    implicit_groups: ImplicitGroupsArg,
    #[command(flatten)]
    duplicates: DuplicatesArg,
    /// How the result is printed
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
    #[command(flatten)]
    version: VersionArg,
    #[command(flatten)]
    today: TodayArg,
}

pub(super) fn run(args: &Args) -> Outcome {
    if args.input.reads_stdin() && args.audit_log.iter().any(|path| path.as_os_str() == STDIN) {
        return Err(Failure::Message("standard input cannot be both the manifests and an audit log".to_owned()));
    }
    let mut before = args.input.load_originals(args.with.as_deref())?;
    args.duplicates.resolve(&mut before);
    leave_out_apart(&mut before)?;
    // All of it lives until the process ends: to take a large inventory apart would only take time.
    let before: &Inventory = Box::leak(Box::new(before));
    let grants = ManuallyDrop::new(Grants::new(before));
    one_world(&grants)?;
    let mut status = status_of(&grants)?;
    let migrated = match &args.with {
        Some(directory) => {
            let (after, read) = migrated(directory, before)?;
            status = status.max(read);
            Some(&*Box::leak(Box::new(after)))
        }
        None => None,
    };
    let after = migrated.unwrap_or(before);
    let read = logs::read(&args.audit_log, &[before, after])?;
    status = status.max(read.status);
    args.input.say_coverage(before)?;
    let read = ManuallyDrop::new(read);
    let options = VerifyOptions {
        feature: args.version.over(&args.input).feature(before),
        implicit_groups: args.implicit_groups.value(),
        ignored: &args.ignore_requestor,
        only: &args.only,
    };
    let mut verification = ManuallyDrop::new(verify(before, after, &read.evidence, &options));
    accept(args, after, options.feature, &mut verification)?;
    let printed = match args.output {
        Output::Human => {
            let mut out = terminal::text();
            output::write_human(&mut out, &verification, terminal::style()).and_then(|()| out.flush())
        }
        Output::Json => {
            let mut out = terminal::stdout();
            output::write_json(&mut out, &verification).and_then(|()| out.flush())
        }
    };
    terminal::unless_closed(printed)?;
    let mut err = terminal::stderr();
    if !read.evidence.is_empty() {
        read.say_reviews(&mut err)?;
    }
    read.say_left_out(&mut err)?;
    if before.coverage.objects == 0 {
        writeln!(err, "{}: there is no RBAC object here, so nothing is allowed: check the paths", terminal::warning())?;
    }
    if verification.requests.is_empty() {
        let nothing = read.nothing_seen().unwrap_or_else(|| "no request that was allowed is in the logs".to_owned());
        writeln!(err, "{}: {nothing}: nothing was shown to work", terminal::warning())?;
    }
    err.flush()?;
    let fine = verification.requests.iter().all(VerifiedRequest::is_served)
        && verification.widened.is_empty()
        && verification.reviews.is_empty();
    Ok(status.max(if fine { Status::Clean } else { Status::Reported }))
}

/// Marks the requests that only accepted legacy grants serve.
fn accept(
    args: &Args,
    after: &Inventory,
    feature: Feature,
    verification: &mut Verification<'_>,
) -> Result<(), Failure> {
    let config = args.input.config()?;
    if config.accept.is_empty() {
        return Ok(());
    }
    let version = args.version.over(&args.input);
    let grants = Grants::new(after).on_servers(version.version(after), feature);
    let selection = Selection::default();
    let findings = lint::check(&grants, &selection);
    let options = Options {
        config,
        selection: &selection,
        today: args.today.day(),
        suppressions: false,
        baseline: None,
        base: None,
        partial: None,
        whole: false,
    };
    let accepted = accepted_grants(after, &triage(after, findings, &options));
    let accepted = Grants::new(&accepted);
    let authorizer = Authorizer::new(accepted.inventory(), accepted.rules(), accepted.links());
    verification.accept(|planned| decide(&authorizer, &planned.request.as_request(), feature).mode().is_some());
    Ok(())
}

/// The state once everything in a directory is applied.
fn migrated(directory: &Path, before: &Inventory) -> Result<(Inventory, Status), Failure> {
    let stages = [directory.join(GRANT), directory.join(CUTOVER)];
    if !directory.is_dir() {
        let shown = directory.to_string_lossy();
        return Err(Failure::Message(format!(
            "{} is no directory: give the one that `migrate --output-dir` wrote",
            deputize::output::escape(&shown)
        )));
    }
    let delete = stages[1].join(DELETE);
    let (mut put, removed) = if stages.iter().any(|stage| stage.is_dir()) {
        let stages: Vec<PathBuf> = stages.into_iter().filter(|stage| stage.is_dir()).collect();
        let removed =
            if delete.is_file() { load_quietly(std::slice::from_ref(&delete))? } else { Inventory::default() };
        let mut put = load_quietly(&stages)?;
        // It stands among the files that are applied, and is not applied.
        let deleted = delete.to_string_lossy();
        put.roles.retain(|role| *role.meta.path != *deleted);
        put.bindings.retain(|binding| *binding.meta.path != *deleted);
        (put, removed)
    } else {
        (load_quietly(&[directory.to_owned()])?, Inventory::default())
    };
    leave_out_apart(&mut put)?;
    let grants = Grants::new(&put);
    one_world(&grants)?;
    let status = status_of(&grants)?.max(status_of(&Grants::new(&removed))?);
    let keys = removed.roles.iter().map(|role| role.meta.key());
    let removed: Vec<_> = keys.chain(removed.bindings.iter().map(|binding| binding.meta.key())).collect();
    let roles = std::mem::take(&mut put.roles).into_iter().map(Object::Role);
    let put: Vec<Object> = roles.chain(std::mem::take(&mut put.bindings).into_iter().map(Object::Binding)).collect();
    if put.is_empty() && removed.is_empty() {
        let shown = directory.to_string_lossy();
        writeln!(
            terminal::stderr(),
            "{}: {} holds no RBAC object: the manifests are judged as they are",
            terminal::warning(),
            deputize::output::escape(&shown)
        )?;
    }
    Ok((before.with(&put, &removed), status))
}
