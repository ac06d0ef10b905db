//! The arguments that all commands share which read RBAC.

use std::path::PathBuf;

use deputize::grants::Grants;
use deputize::inventory::{Inventory, LoadOptions, load};
use deputize::output::human;
use deputize::source::Limits;

use super::{Failure, Status, terminal};

#[derive(Debug, clap::Args)]
pub(super) struct InputArgs {
    /// Files or directories with manifests; `-` is standard input
    ///
    /// Of a directory, every `.yaml`, `.yml` and `.json` file below it is read, hidden and git-ignored ones too; `.git`
    /// is not, and symbolic links are not followed.
    #[arg(value_name = "PATH", default_value = ".")]
    pub(super) paths: Vec<PathBuf>,
    /// Largest file that is read, in bytes; larger ones are reported
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().max_file_bytes,
          value_parser = clap::value_parser!(u64).range(1..=Limits::MAX_FILE_BYTES), help_heading = "Input")]
    max_file_size: u64,
    /// Number of threads; 0 for one a processor
    #[arg(long, short = 'j', value_name = "N", default_value_t = 0, help_heading = "Input")]
    threads: usize,
}

impl InputArgs {
    /// Reads the input, and says on standard error what could not be read.
    pub(super) fn load(&self) -> Result<Inventory, Failure> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(self.threads).build_global();
        pool.map_err(|error| Failure::Message(format!("threads cannot be started: {error}")))?;
        let options = LoadOptions { limits: Limits { max_file_bytes: self.max_file_size } };
        let inventory = load(&self.paths, &options);
        let mut out = terminal::stderr();
        human::write_problems(&mut out, &inventory.problems)?;
        human::write_coverage(&mut out, &inventory)?;
        Ok(inventory)
    }
}

/// Whether everything could be read and understood; says on standard error what could not be understood.
pub(super) fn status_of(grants: &Grants<'_>) -> Result<Status, Failure> {
    let problem = grants.problem();
    human::write_problems(&mut terminal::stderr(), problem.as_slice())?;
    let failed = grants.inventory().problems.iter().chain(&problem).any(|problem| !problem.kind.is_warning());
    Ok(if failed { Status::Failed } else { Status::Clean })
}
