//! Paths by pattern, as in `.gitignore`, relative to the configuration's directory.

use std::path::{Path, PathBuf};

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

/// Patterns as in `.gitignore`: `vendor/`, `*.generated.yaml`, `/deploy/**/test`, `!vendor/ours/`. The last one that
/// matches decides.
#[derive(Debug, Clone)]
pub struct Patterns {
    matcher: Gitignore,
    written: Vec<String>,
}

impl Patterns {
    /// Compiles patterns. Errors name the index of the pattern and what is wrong with it.
    pub fn new<'p>(patterns: impl IntoIterator<Item = &'p str>) -> Result<Self, Vec<(usize, String)>> {
        let mut builder = GitignoreBuilder::new("");
        let (mut written, mut errors) = (Vec::new(), Vec::new());
        for (index, pattern) in patterns.into_iter().enumerate() {
            written.push(pattern.to_owned());
            let error = match pattern {
                _ if pattern.trim().is_empty() => Some("the pattern is empty".to_owned()),
                // To `.gitignore` it would be a comment.
                _ if pattern.starts_with('#') => {
                    Some("a pattern that begins with # matches nothing: write \\#".to_owned())
                }
                _ => builder.add_line(None, pattern).err().map(|error| error.to_string()),
            };
            errors.extend(error.map(|error| (index, error)));
        }
        let matcher = match builder.build() {
            Ok(matcher) if errors.is_empty() => matcher,
            Ok(_) => return Err(errors),
            Err(error) => return Err(vec![(0, error.to_string())]),
        };
        Ok(Self { matcher, written })
    }

    /// Returns no pattern at all.
    pub fn empty() -> Self {
        Self { matcher: Gitignore::empty(), written: Vec::new() }
    }

    /// The patterns as written.
    pub fn as_written(&self) -> &[String] {
        &self.written
    }

    /// Reports whether they match this very path, which is relative to the configuration's directory.
    fn match_itself(&self, path: &Path, is_directory: bool) -> Match<()> {
        self.matcher.matched(path, is_directory).map(|_| ())
    }

    /// Reports whether they match a file, or a directory above it.
    pub fn match_file(&self, file: &Path) -> bool {
        let mut path = file;
        let mut is_directory = false;
        loop {
            match self.match_itself(path, is_directory) {
                Match::Ignore(()) => return true,
                Match::Whitelist(()) => return false,
                Match::None => {}
            }
            match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                Some(parent) => (path, is_directory) = (parent, true),
                None => return false,
            }
        }
    }
}

impl PartialEq for Patterns {
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written
    }
}

impl Eq for Patterns {}

/// Which files are read below the directories that are given.
#[derive(Debug, Clone)]
pub struct PathFilter {
    root: PathBuf,
    exclude: Option<Patterns>,
    include: Option<Patterns>,
}

impl PathFilter {
    /// Files below `root` are read unless `exclude` matches them, and only if `include` does, where there is one.
    pub fn new(root: PathBuf, exclude: Option<Patterns>, include: Option<Patterns>) -> Self {
        Self { root, exclude, include }
    }

    /// Reports whether nothing below a directory is read. Paths have no links in them.
    pub fn excludes_directory(&self, directory: &Path) -> bool {
        self.excludes(directory, true)
    }

    /// Reports whether a file is not read, though its directory is.
    pub fn excludes_file(&self, file: &Path) -> bool {
        let is_included = |include: &Patterns| {
            // What lies elsewhere is none of the configuration's business.
            file.strip_prefix(&self.root).map_or(true, |relative| include.match_file(relative))
        };
        self.excludes(file, false) || !self.include.as_ref().is_none_or(is_included)
    }

    fn excludes(&self, path: &Path, is_directory: bool) -> bool {
        let (Some(exclude), Ok(relative)) = (&self.exclude, path.strip_prefix(&self.root)) else { return false };
        !relative.as_os_str().is_empty() && exclude.match_itself(relative, is_directory).is_ignore()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(patterns: &[&str]) -> Patterns {
        Patterns::new(patterns.iter().copied()).unwrap()
    }

    #[test]
    fn patterns_are_those_of_gitignore() {
        let matches = |written: &[&str], file: &str| patterns(written).match_file(Path::new(file));
        assert!(matches(&["vendor/"], "vendor/a.yaml"));
        assert!(matches(&["vendor/"], "x/vendor/y/a.yaml"));
        assert!(!matches(&["/vendor/"], "x/vendor/a.yaml"));
        assert!(!matches(&["vendor/"], "vendor"));
        assert!(matches(&["*.gen.yaml"], "a/b.gen.yaml"));
        assert!(!matches(&["a/*.yaml"], "a/b/c.yaml"));
        assert!(matches(&["a/**/*.yaml"], "a/b/c.yaml"));
        assert!(!matches(&["vendor/", "!vendor/ours/"], "vendor/ours/a.yaml"));
        assert!(matches(&["vendor/", "!vendor/ours/"], "vendor/theirs/a.yaml"));
    }

    #[test]
    fn patterns_that_match_nothing_are_errors() {
        let errors = Patterns::new(["a", "", "#b", "{a"]).unwrap_err();
        assert_eq!(errors.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [1, 2, 3]);
    }

    #[test]
    fn a_filter_is_about_its_own_directory() {
        let filter = PathFilter::new(
            PathBuf::from("/repo"),
            Some(patterns(&["vendor/"])),
            Some(patterns(&["deploy/", "*.json"])),
        );
        assert!(filter.excludes_directory(Path::new("/repo/vendor")));
        assert!(filter.excludes_directory(Path::new("/repo/a/vendor")));
        assert!(!filter.excludes_directory(Path::new("/repo")) && !filter.excludes_directory(Path::new("/vendor")));
        assert!(!filter.excludes_file(Path::new("/repo/deploy/a/b.yaml")));
        assert!(!filter.excludes_file(Path::new("/repo/x/b.json")));
        assert!(filter.excludes_file(Path::new("/repo/x/b.yaml")));
        assert!(!filter.excludes_file(Path::new("/other/b.yaml")));
    }
}
