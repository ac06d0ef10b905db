//! `deputize guard`.

use std::collections::BTreeSet;
use std::io::Write;

use clap::ValueEnum;
use deputize::grants::Grants;
use deputize::guard::{self, Exception, Guard, Holders};
use deputize::output::{json, yaml};

use super::input::{InputArgs, leave_out_apart, status_of, whole_world};
use super::terminal;
use super::{Failure, Outcome, Status};

const AFTER_HELP: &str = "\
Examples:
  deputize guard --cluster > guard.yaml
  deputize guard --format prometheus > impersonation-rules.yaml

Exit status: 0 the policy or the rules were written, 2 something could not be read.";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    #[command(flatten)]
    input: InputArgs,
    /// What is written
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    format: Format,
    /// What becomes of a request that adds a legacy grant
    #[arg(long, value_enum, default_value_t)]
    mode: Mode,
    /// Let a role, a binding, or all that a requestor writes through, whatever it grants
    ///
    /// One of ClusterRole/NAME, ClusterRoleBinding/NAME, Role/NAMESPACE/NAME, RoleBinding/NAMESPACE/NAME, User/NAME,
    /// Group/NAME and ServiceAccount/NAMESPACE/NAME. To let a role through does not let its bindings through: name those
    /// that are to be.
    #[arg(long, value_name = "KIND/NAME")]
    allow: Vec<Exception>,
    /// Which new bindings to the default roles `admin`, `cluster-admin` and `edit` count
    #[arg(long, value_enum, value_name = "WHICH", default_value_t)]
    default_roles: DefaultRoles,
    /// How the policy and its binding are printed
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Format {
    /// An admission policy that keeps new legacy grants out
    #[default]
    Policy,
    /// Alert rules for Prometheus, on what API servers count of impersonation; they do not depend on the input
    Prometheus,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Mode {
    /// It is noted in its audit event
    Audit,
    /// Its client is warned, and it is noted
    #[default]
    Warn,
    /// It is refused, and noted
    Deny,
}

impl From<Mode> for guard::Mode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Audit => Self::Audit,
            Mode::Warn => Self::Warn,
            Mode::Deny => Self::Deny,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum DefaultRoles {
    /// None
    Ignore,
    /// ClusterRoleBindings: they reach every service account
    #[default]
    ClusterWide,
    /// RoleBindings too, though that is how tenants get their namespaces
    All,
}

impl From<DefaultRoles> for guard::DefaultRoles {
    fn from(which: DefaultRoles) -> Self {
        match which {
            DefaultRoles::Ignore => Self::Ignore,
            DefaultRoles::ClusterWide => Self::ClusterWide,
            DefaultRoles::All => Self::All,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Output {
    /// As one stream of documents
    #[default]
    Yaml,
    /// As one list
    Json,
}

pub(super) fn run(args: &Args) -> Outcome {
    match args.format {
        Format::Policy => write_policy(args),
        Format::Prometheus => write_rules(args),
    }
}

fn write_rules(args: &Args) -> Outcome {
    if args.input.is_given() || !args.allow.is_empty() {
        let message = "the rules for Prometheus do not depend on the input: leave out paths, cluster and --allow";
        return Err(Failure::Message(message.to_owned()));
    }
    let mut out = terminal::stdout();
    let written = out.write_all(guard::PROMETHEUS_RULES.as_bytes()).and_then(|()| out.flush());
    terminal::unless_closed(written)?;
    Ok(Status::Clean)
}

fn write_policy(args: &Args) -> Outcome {
    let mut inventory = args.input.load()?;
    whole_world(&inventory)?;
    // A policy names what there is.
    leave_out_apart(&mut inventory)?;
    let grants = Grants::new(&inventory);
    let holders = Holders::of(&grants);
    let seen = holders.seen();
    let exceptions: BTreeSet<Exception> = args.allow.iter().cloned().collect();
    let guard = Guard::new(holders, args.default_roles.into(), &exceptions, args.mode.into())
        .map_err(|error| Failure::Message(error.to_string()))?;
    let mut out = terminal::stdout();
    match args.output {
        Output::Yaml => yaml::write_values(&mut out, guard.to_values())?,
        Output::Json => json::write_list(&mut out, guard.to_values())?,
    }
    out.flush()?;
    args.input.say_coverage(&inventory)?;
    let what = match seen {
        0 => "no role here holds legacy impersonation: only bindings to default roles are known".to_owned(),
        1 => "1 role here holds legacy impersonation: new bindings to it count".to_owned(),
        _ => format!("{seen} roles here hold legacy impersonation: new bindings to them count"),
    };
    writeln!(terminal::stderr(), "{what}")?;
    status_of(&grants)
}
