//! Which configuration file a run uses.

use std::path::{Path, PathBuf};

use super::FILE_NAME;

/// Returns the configuration file of the nearest directory at or above `path`, a file or a directory. The search ends at
/// the root of the repository: the first directory with `.git`. Outside of a repository it ends at the current
/// directory, or at `path` itself if that is elsewhere. A link that leads out of the searched directories does not count.
pub fn find(path: &Path) -> Option<PathBuf> {
    let real = path.canonicalize().ok()?;
    let start = if real.is_dir() { real.as_path() } else { real.parent()? };
    let top = top_of(start);
    let candidates = start.ancestors().take_while(|directory| directory.starts_with(&top));
    candidates
        .map(|directory| directory.join(FILE_NAME))
        .find(|file| file.canonicalize().is_ok_and(|target| target.is_file() && target.starts_with(&top)))
}

/// The last directory to look into.
fn top_of(start: &Path) -> PathBuf {
    let is_repository = |directory: &&Path| directory.join(".git").symlink_metadata().is_ok();
    if let Some(root) = start.ancestors().find(is_repository) {
        return root.to_owned();
    }
    let current = std::env::current_dir().ok().and_then(|current| current.canonicalize().ok());
    current.filter(|current| start.starts_with(current)).unwrap_or_else(|| start.to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_search_ends_at_the_root_of_the_repository() {
        let directory = tempfile::tempdir().unwrap();
        let top = directory.path().canonicalize().unwrap();
        let (repository, deep) = (top.join("repository"), top.join("repository/a/b"));
        fs::create_dir_all(&deep).unwrap();
        fs::write(top.join(FILE_NAME), "").unwrap();
        fs::write(deep.join("role.yaml"), "").unwrap();
        // Without a repository only the path's own directory counts.
        assert_eq!(find(&deep), None);
        assert_eq!(find(&top), Some(top.join(FILE_NAME)));
        fs::create_dir(repository.join(".git")).unwrap();
        assert_eq!(find(&deep), None);
        fs::write(repository.join(FILE_NAME), "").unwrap();
        assert_eq!(find(&deep), Some(repository.join(FILE_NAME)));
        assert_eq!(find(&deep.join("role.yaml")), Some(repository.join(FILE_NAME)));
        fs::write(repository.join("a").join(FILE_NAME), "").unwrap();
        assert_eq!(find(&deep.join("role.yaml")), Some(repository.join("a").join(FILE_NAME)));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_out_of_the_repository_does_not_count() {
        let directory = tempfile::tempdir().unwrap();
        let top = directory.path().canonicalize().unwrap();
        let repository = top.join("repository");
        fs::create_dir_all(repository.join(".git")).unwrap();
        fs::write(top.join("secret"), "").unwrap();
        std::os::unix::fs::symlink(top.join("secret"), repository.join(FILE_NAME)).unwrap();
        assert_eq!(find(&repository), None);
    }
}
