//! The configuration file `deputize.toml` (`docs/configuration.md`): found, read and validated.
//!
//! The file may belong to a hostile repository. It is bounded in size, it names no command and no other file, and every
//! error in it is a [`Problem`](crate::problem::Problem) with its place.

mod accept;
mod date;
mod find;
mod raw;
mod read;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use accept::{Accept, AcceptedObject, AcceptedSubject};
pub use date::Date;
pub use find::find;
pub use read::{read, read_file};

use crate::authority::KubeVersion;
use crate::lint::{FailOn, Severity};
use crate::source::{PathFilter, Patterns};
use crate::syntax::Place;

/// The name of the configuration file.
pub const FILE_NAME: &str = "deputize.toml";

/// A validated configuration file. The default is that of a run without a file.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// The file, as the user knows it; none without a file.
    pub path: Option<Arc<str>>,
    /// The directory to which patterns are relative, without links on the way.
    pub root: PathBuf,
    /// Files that are not read.
    pub exclude: Option<Setting<Patterns>>,
    /// The only files that are read, if there are any.
    pub include: Option<Setting<Patterns>>,
    /// The rules of which findings are reported.
    pub rules: RuleFilter,
    /// The severity from which findings make the exit status 1.
    pub fail_on: Option<Setting<FailOn>>,
    /// The Kubernetes version to check against.
    pub kube_version: Option<Setting<KubeVersion>>,
    /// Whether a suppression needs a reason.
    pub require_reason: Option<Setting<bool>>,
    /// Settings for some paths, in the order of the file; later ones win.
    pub overrides: Vec<Override>,
    /// Exceptions, in the order of the file.
    pub accept: Vec<Accept>,
}

/// A value and where the file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting<T> {
    /// The value.
    pub value: T,
    /// The place of the value.
    pub place: Place,
}

/// Which findings are reported, and how severe they are.
#[derive(Debug, Clone, Default)]
pub struct RuleFilter {
    /// The rules that are reported; all if it is absent.
    pub select: Option<Setting<Vec<&'static str>>>,
    /// Rules that are not reported.
    pub ignore: Option<Setting<Vec<&'static str>>>,
    /// Severities by rule.
    pub severity: Vec<(&'static str, Setting<Severity>)>,
}

impl RuleFilter {
    /// Returns the place of the setting that leaves out a rule, if one does.
    pub fn leaves_out(&self, rule: &str) -> Option<Place> {
        let ignore = self.ignore.as_ref().filter(|ignore| ignore.value.contains(&rule));
        let select = || self.select.as_ref().filter(|select| !select.value.contains(&rule));
        ignore.or_else(select).map(|setting| setting.place)
    }

    /// Returns the severity that the file gives to a rule, if it does.
    pub fn severity_of(&self, rule: &str) -> Option<Severity> {
        self.severity.iter().find(|(known, _)| *known == rule).map(|(_, severity)| severity.value)
    }
}

/// Settings for some paths.
#[derive(Debug, Clone)]
pub struct Override {
    /// The paths.
    pub paths: Patterns,
    /// What holds for findings there.
    pub rules: RuleFilter,
}

impl Config {
    /// Returns which files are read, if the configuration limits that.
    pub fn path_filter(&self) -> Option<PathFilter> {
        let exclude = self.exclude.as_ref().map(|setting| setting.value.clone());
        let include = self.include.as_ref().map(|setting| setting.value.clone());
        (exclude.is_some() || include.is_some()).then(|| PathFilter::new(self.root.clone(), exclude, include))
    }

    /// Returns a file's path relative to the configuration's directory; none if it is elsewhere.
    pub fn relative(&self, file: &str) -> Option<PathBuf> {
        let file = Path::new(file);
        let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let real = parent.canonicalize().ok()?.join(file.file_name()?);
        real.strip_prefix(&self.root).ok().map(Path::to_owned)
    }
}
