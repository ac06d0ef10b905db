//! Where findings are: paths below the root of a repository, and objects of live clusters.

use std::path::{Component, Path, PathBuf};

use super::{CheckRun, Checked};
use crate::lint::Finding;
use crate::problem::Problem;
use crate::source::STDIN;
use crate::syntax::Place;

/// The directory to which paths in reports are relative, since CI systems know files by their place in the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    current: PathBuf,
    root: PathBuf,
}

/// A path as reports name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ReportedPath {
    /// Relative to the root, with `/` between its parts.
    Inside(String),
    /// Outside of the repository: absolute.
    Outside(PathBuf),
    /// Standard input.
    Stdin,
    /// What a live cluster has instead of a file.
    Object(String),
}

impl Repository {
    /// Finds the repository of the current directory: the nearest ancestor with `.git`, or else that directory itself.
    pub fn of(current: PathBuf) -> Self {
        let root = current.ancestors().find(|directory| directory.join(".git").exists()).unwrap_or(&current);
        Self { root: root.to_owned(), current }
    }

    /// Returns the root as text.
    pub(super) fn root_text(&self) -> String {
        slashes(&self.root)
    }

    /// Returns how reports name a file that the user knows as `path`.
    pub(super) fn locate(&self, path: &str) -> ReportedPath {
        if path == STDIN {
            return ReportedPath::Stdin;
        }
        let whole = normalize(&self.current.join(path));
        // An absolute path may lead to the repository through a link.
        let below = |whole: &Path| whole.strip_prefix(&self.root).ok().map(slashes);
        let inside = below(&whole).or_else(|| below(&whole.canonicalize().ok()?));
        inside.map_or(ReportedPath::Outside(whole), ReportedPath::Inside)
    }
}

impl ReportedPath {
    /// Returns the path as text.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Inside(path) | Self::Object(path) => path.clone(),
            Self::Outside(path) => slashes(path),
            Self::Stdin => "stdin".to_owned(),
        }
    }
}

/// Resolves `.` and `..` by the names alone: the file may be gone.
fn normalize(path: &Path) -> PathBuf {
    let mut whole = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                whole.pop();
            }
            other => whole.push(other),
        }
    }
    whole
}

fn slashes(path: &Path) -> String {
    path.to_string_lossy().replace(std::path::MAIN_SEPARATOR, "/")
}

/// A place as reports name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spot {
    /// The file, or what is named instead of one.
    pub(super) path: ReportedPath,
    /// The range in the file; none for the whole of it.
    pub(super) region: Option<Place>,
}

impl CheckRun<'_> {
    /// Returns where a finding is.
    pub(super) fn spot(&self, world: &Checked<'_>, finding: &Finding) -> Spot {
        match live_object(world, finding) {
            Some(object) => Spot { path: ReportedPath::Object(object), region: None },
            None => self.spot_in_file(&finding.path, finding.place),
        }
    }

    /// Returns where a range of a file is.
    pub(super) fn spot_in_file(&self, path: &str, place: Place) -> Spot {
        Spot { path: self.repository.locate(path), region: Some(place) }
    }

    /// Returns where a problem is.
    pub(super) fn spot_of_problem(&self, world: &Checked<'_>, problem: &Problem) -> Spot {
        if world.inventory().live {
            return Spot { path: ReportedPath::Object(world.context().to_owned()), region: None };
        }
        Spot { path: self.repository.locate(&problem.path), region: problem.place }
    }
}

/// Returns `path:line:column` as the user knows the file, or the context and the object for a live cluster.
pub(super) fn position(world: &Checked<'_>, finding: &Finding) -> String {
    live_object(world, finding)
        .unwrap_or_else(|| format!("{}:{}:{}", finding.path, finding.place.line, finding.place.column))
}

/// Returns `context/Kind/namespace/name` for a finding about an object of a live cluster.
fn live_object(world: &Checked<'_>, finding: &Finding) -> Option<String> {
    let meta = finding.about.meta(world.inventory()).filter(|_| world.inventory().live)?;
    let parts = [Some(world.context()), Some(meta.kind.as_str()), meta.namespace.as_deref(), Some(meta.name.as_str())];
    Some(parts.into_iter().flatten().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_relative_to_the_repository() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("repository/.git")).unwrap();
        std::fs::create_dir_all(root.join("repository/deploy")).unwrap();
        let repository = Repository::of(root.join("repository/deploy"));
        assert_eq!(repository.root, root.join("repository"));
        let inside = |path: &str| ReportedPath::Inside(path.to_owned());
        for (path, expected) in [
            ("a.yaml", inside("deploy/a.yaml")),
            ("./b/../a b.yaml", inside("deploy/a b.yaml")),
            ("../c.yaml", inside("c.yaml")),
            (&format!("{}/repository/d.yaml", root.display()), inside("d.yaml")),
            ("../../e.yaml", ReportedPath::Outside(root.join("e.yaml"))),
            ("-", ReportedPath::Stdin),
        ] {
            assert_eq!(repository.locate(path), expected, "{path}");
        }
        let none = Repository::of(root.clone());
        assert_eq!(none.locate("x/y.yaml"), inside("x/y.yaml"));
    }
}
