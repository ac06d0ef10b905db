//! Settings that the command line, the environment and the configuration file share.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use clap::ValueEnum;
use clap::builder::FalseyValueParser;
use deputize::authority::{Feature, KubeVersion};
use deputize::config::{self, Config, Date};
use deputize::inventory::Inventory;
use deputize::lint::{FailOn, Selection};
use deputize::output::{escape, human};
use deputize::source::STDIN;

use super::input::InputArgs;
use super::{Failure, terminal};

/// Which configuration file is used.
#[derive(Debug, clap::Args)]
pub(super) struct ConfigArgs {
    /// Configuration file to use instead of the nearest deputize.toml
    ///
    /// Without it, deputize.toml is looked up from the first PATH upward, to the root of the repository.
    #[arg(long, value_name = "FILE", env = "DEPUTIZE_CONFIG", help_heading = "Configuration")]
    config: Option<PathBuf>,
    /// Use no configuration file
    #[arg(long, env = "DEPUTIZE_NO_CONFIG", value_parser = FalseyValueParser::new(), help_heading = "Configuration")]
    no_config: bool,
    #[arg(skip)]
    read: OnceLock<Config>,
}

impl ConfigArgs {
    /// Reads the configuration once; prints the errors in it.
    pub(super) fn read(&self, first_path: Option<&Path>) -> Result<&Config, Failure> {
        if let Some(known) = self.read.get() {
            return Ok(known);
        }
        let near = || config::find(first_path.filter(|path| path.as_os_str() != STDIN).unwrap_or(Path::new(".")));
        let read = match &self.config {
            _ if self.no_config => Config::default(),
            // The file may come from elsewhere; the paths that it names are here.
            Some(given) => read_file(given, Path::new("."))?,
            None => match near() {
                Some(found) => read_file(&found, found.parent().unwrap_or(Path::new(".")))?,
                None => Config::default(),
            },
        };
        Ok(self.read.get_or_init(|| read))
    }
}

pub(super) fn read_file(file: &Path, root: &Path) -> Result<Config, Failure> {
    let name = shown_name(file);
    config::read_file(file, &name, root).or_else(|problems| {
        human::write_problems(&mut terminal::stderr(), &problems, terminal::remarks())?;
        let errors = human::count(problems.len(), "error");
        Err(Failure::Message(format!("{errors} in the configuration {}: nothing was read", escape(&name))))
    })
}

/// The name of a file: as given, or as seen from the current directory, where it is there or above.
pub(super) fn shown_name(file: &Path) -> Arc<str> {
    if file.is_relative() {
        return Arc::from(file.to_string_lossy());
    }
    let seen = std::env::current_dir().ok().and_then(|current| current.canonicalize().ok()).and_then(|current| {
        if let Ok(below) = file.strip_prefix(&current) {
            return Some(below.to_string_lossy().into_owned());
        }
        let up = current.strip_prefix(file.parent()?).ok()?.components().count();
        Some(format!("{}{}", "../".repeat(up), file.file_name()?.to_string_lossy()))
    });
    seen.map_or_else(|| Arc::from(file.to_string_lossy()), Arc::from)
}

/// Which findings count.
#[derive(Debug, clap::Args)]
pub(super) struct RuleArgs {
    /// Exit with status 1 if any finding is at least this severe [default: warning]
    #[arg(long, value_name = "SEVERITY", value_enum, env = "DEPUTIZE_FAIL_ON")]
    fail_on: Option<FailOnArg>,
    /// Apply these rules only
    #[arg(long, value_name = "RULE", value_delimiter = ',', env = "DEPUTIZE_SELECT")]
    pub(super) select: Vec<String>,
    /// Do not apply these rules
    #[arg(long, value_name = "RULE", value_delimiter = ',', env = "DEPUTIZE_IGNORE")]
    pub(super) ignore: Vec<String>,
}

impl RuleArgs {
    /// The rules that are applied.
    pub(super) fn selection(&self) -> Result<Selection, Failure> {
        Selection::new(&self.select, &self.ignore).map_err(|error| Failure::Message(error.to_string()))
    }

    /// The severity from which findings count.
    pub(super) fn fail_on(&self, config: &Config) -> FailOn {
        let configured = config.fail_on.as_ref().map(|setting| setting.value);
        self.fail_on.map(FailOn::from).or(configured).unwrap_or_default()
    }

    /// The configuration without what the command line and the environment set themselves.
    pub(super) fn over(&self, config: &Config) -> Config {
        let mut config = config.clone();
        if !self.select.is_empty() {
            config.rules.select = None;
        }
        if !self.ignore.is_empty() {
            config.rules.ignore = None;
        }
        config
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FailOnArg {
    Error,
    Warning,
    Note,
    Never,
}

impl From<FailOnArg> for FailOn {
    fn from(arg: FailOnArg) -> Self {
        match arg {
            FailOnArg::Error => Self::Error,
            FailOnArg::Warning => Self::Warning,
            FailOnArg::Note => Self::Note,
            FailOnArg::Never => Self::Never,
        }
    }
}

/// Which day it is.
#[derive(Debug, clap::Args)]
pub(super) struct TodayArg {
    /// The day on which exceptions count, for tests
    #[arg(long, value_name = "DATE", env = "DEPUTIZE_TODAY", hide = true)]
    today: Option<Date>,
}

impl TodayArg {
    /// The day that is given, or today.
    pub(super) fn day(&self) -> Date {
        self.today.unwrap_or_else(Date::today)
    }
}

/// Which Kubernetes version a result is for.
#[derive(Debug, clap::Args)]
pub(super) struct VersionArg {
    /// Kubernetes version to check against [default: the configuration's, the cluster's or the snapshot's, otherwise the
    /// newest known]
    #[arg(long, value_name = "X.Y", env = "DEPUTIZE_KUBE_VERSION")]
    kube_version: Option<KubeVersion>,
}

impl VersionArg {
    /// The version that the command line, the environment or the configuration asks for.
    pub(super) fn over(&self, input: &InputArgs) -> VersionChoice {
        // Errors in it ended the command before.
        let configured = input.config().ok().and_then(|config| config.kube_version.as_ref()).map(|it| it.value);
        VersionChoice { given: self.kube_version.or(configured) }
    }
}

/// A version that was asked for, or not.
#[derive(Debug, Clone, Copy)]
pub(super) struct VersionChoice {
    /// The version.
    pub(super) given: Option<KubeVersion>,
}

impl VersionChoice {
    /// The version to check against.
    pub(super) fn version(self, inventory: &Inventory) -> KubeVersion {
        let of_cluster = || inventory.cluster()?.kube_version();
        self.given.or_else(of_cluster).unwrap_or_default()
    }

    /// What a server of that version does; what the cluster itself does, if no other version is asked for.
    pub(super) fn feature(self, inventory: &Inventory) -> Feature {
        let of_cluster = || inventory.cluster().filter(|_| self.given.is_none())?.feature();
        of_cluster().unwrap_or_else(|| self.version(inventory).feature())
    }
}

/// Prints which configuration is used, and what it does, on standard error.
pub(super) fn print_configuration(config: &Config, effects: &[String]) -> Result<(), Failure> {
    let Some(path) = config.path.as_ref().filter(|_| !terminal::is_quiet()) else { return Ok(()) };
    let effects = if effects.is_empty() { String::new() } else { format!(": {}", effects.join(", ")) };
    writeln!(terminal::stderr(), "configuration {}{effects}", escape(path))?;
    Ok(())
}
