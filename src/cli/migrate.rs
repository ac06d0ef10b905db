//! `deputize migrate`.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use clap::ValueEnum;
use deputize::authority::{Feature, KubeVersion};
use deputize::evidence::{DeclaredActions, read_declared};
use deputize::grants::Grants;
use deputize::migrate::{Outcome as GrantOutcome, plan};
use deputize::output::{escape, human, json, yaml};
use deputize::source::{FileText, Input, Limits, STDIN, read_file};

use super::input::{DuplicatesArg, InputArgs, one_world, say_coverage, status_of};
use super::{Failure, Outcome, Status, terminal};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    input: InputArgs,
    /// File that declares what impersonators do; `-` is standard input
    #[arg(long, value_name = "FILE")]
    actions: Option<PathBuf>,
    #[command(flatten)]
    duplicates: DuplicatesArg,
    /// What is printed
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
    /// Version of the API server that the result is for
    #[arg(long, value_name = "X.Y", default_value_t)]
    kube_version: KubeVersion,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Output {
    /// The new roles and bindings, as one stream
    #[default]
    Yaml,
    /// The plan: what becomes of each legacy grant
    Json,
}

pub(super) fn run(args: &Args) -> Outcome {
    let stdin = |path: &PathBuf| path.as_os_str() == STDIN;
    if args.actions.as_ref().is_some_and(stdin) && args.input.paths.iter().any(stdin) {
        return Err(Failure::Message("standard input cannot be both the manifests and the actions".to_owned()));
    }
    // A file of actions that cannot be used is said before anything else is read.
    let declared = args.actions.as_deref().map(|path| read_actions(path.to_owned())).transpose()?;
    let mut inventory = args.input.load()?;
    args.duplicates.resolve(&mut inventory);
    let inventory = inventory;
    say_coverage(&inventory)?;
    let mut err = terminal::stderr();
    let Some(declared) = declared else {
        writeln!(
            err,
            "nothing says what the impersonators do, so nothing was rewritten. There are three ways to say it: what they \
             did (--audit-log, in a later release), what they are meant to do (--actions FILE), and what their targets \
             may do (--from-target, in a later release)"
        )?;
        return Ok(status_of(&Grants::new(&inventory))?.max(Status::Reported));
    };
    let grants = Grants::new(&inventory);
    one_world(&grants)?;
    let plan = plan(&grants, &declared);
    human::write_plan(&mut err, &grants, &plan)?;
    if args.kube_version.feature() == Feature::LegacyOnly {
        writeln!(
            err,
            "warning: a server of version {} ignores constrained verbs unless its feature gate is on: keep the legacy \
             grants until every API server is at 1.36 or later",
            args.kube_version
        )?;
    }
    err.flush()?;
    let mut out = terminal::stdout();
    let printed = match args.output {
        Output::Yaml => yaml::write_manifests(&mut out, &plan.manifests),
        Output::Json => json::write_plan(&mut out, &grants, &plan, args.kube_version),
    };
    terminal::unless_closed(printed.and_then(|()| out.flush()))?;
    let kept = plan.grants.iter().any(|planned| matches!(planned.outcome, GrantOutcome::Kept(_)));
    Ok(status_of(&grants)?.max(if kept { Status::Reported } else { Status::Clean }))
}

fn read_actions(path: PathBuf) -> Result<DeclaredActions, Failure> {
    let name: Arc<str> = Arc::from(path.to_string_lossy());
    let mut text = FileText::default();
    let input = if name.as_ref() == STDIN { Input::stdin() } else { Input::named(path, false) };
    read_file(&input, &Limits::default(), &mut text)
        .map_err(|error| Failure::Message(format!("{} {error}", escape(&name))))?;
    read_declared(&name, text.bytes()).map_err(|problems| {
        // Where standard error is closed, the exit status still tells.
        let _ = human::write_problems(&mut terminal::stderr(), &problems);
        Failure::Message(format!("the declared actions in {} cannot be used", escape(&name)))
    })
}
