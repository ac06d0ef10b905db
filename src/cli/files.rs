//! Files that are edited: read once more, written by one rename each, and never if they have changed meanwhile.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use deputize::output::escape;
use deputize::problem::{Problem, ProblemKind};
use deputize::rewrite::FileChange;
use deputize::source::{FileText, Input, Limits, read_file};

use super::Failure;

/// The files that are edited, and where they really are.
pub(super) struct Files {
    /// The directories that were given, and the directories of the files that were, without links on the way.
    roots: Vec<PathBuf>,
    real: BTreeMap<Arc<str>, PathBuf>,
}

impl Files {
    /// Nothing outside of these paths is edited.
    pub(super) fn new(paths: &[PathBuf]) -> Self {
        let real = |path: &PathBuf| {
            let real = path.canonicalize().ok()?;
            if real.is_dir() {
                return Some(real);
            }
            // A link that is given stands for nothing outside of its directory.
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            Some(parent.canonicalize().ok()?.join(path.file_name()?))
        };
        Self { roots: paths.iter().filter_map(real).collect(), real: BTreeMap::new() }
    }

    /// The bytes of a file, by the name it has in the inventory.
    pub(super) fn read(&mut self, name: &Arc<str>) -> Result<Vec<u8>, Problem> {
        let path = PathBuf::from(name.as_ref());
        let unreadable = |error: &dyn std::fmt::Display| {
            not_editable(
                name,
                &format!("cannot be read again: {error}"),
                "check that it is still there, then run again",
            )
        };
        let real = path.canonicalize().map_err(|error| unreadable(&error))?;
        if !self.roots.iter().any(|root| real.starts_with(root)) {
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let plain = parent.canonicalize().map(|parent| parent.join(path.file_name().unwrap_or_default()));
            let (message, help) = if plain.is_ok_and(|plain| plain == real) {
                ("is outside of the paths given", "give its directory, too")
            } else {
                ("is a symbolic link that leads out of the paths given", "give the file to which it leads instead")
            };
            return Err(not_editable(name, message, help));
        }
        if let Some((other, _)) = self.real.iter().find(|(_, known)| **known == real) {
            let message = format!("is the same file as {other}");
            return Err(not_editable(name, &message, "give it once, under one name"));
        }
        let mut text = FileText::default();
        let limits = Limits { max_file_bytes: Limits::MAX_FILE_BYTES };
        read_file(&Input::named(real.clone(), false), &limits, &mut text).map_err(|error| unreadable(&error))?;
        self.real.insert(Arc::clone(name), real);
        Ok(text.into_bytes())
    }

    /// Where a new file goes: inside of the paths given.
    fn new_path(&self, name: &Arc<str>) -> Result<PathBuf, Failure> {
        let path = Path::new(name.as_ref());
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let real = parent.canonicalize().map_err(|error| failed(name, &error))?;
        if !self.roots.iter().any(|root| real.starts_with(root)) {
            let error = io::Error::other("it is outside of the paths given; give its directory");
            return Err(failed(name, &error));
        }
        Ok(real.join(path.file_name().unwrap_or_default()))
    }

    /// Writes all files, or none if one of them has changed meanwhile or cannot be written.
    pub(super) fn write(&self, changes: &[&FileChange]) -> Result<(), Failure> {
        let mut ready = Vec::with_capacity(changes.len());
        for change in changes {
            let real = match self.real.get(&change.path) {
                Some(real) => real.clone(),
                None if change.is_new => self.new_path(&change.path)?,
                None => continue,
            };
            ready.push(Replacement::prepare(real, change).map_err(|error| failed(&change.path, &error))?);
        }
        for replacement in &ready {
            replacement.check().map_err(|error| failed(&replacement.change.path, &error))?;
        }
        for replacement in ready {
            let path = Arc::clone(&replacement.change.path);
            replacement.finish().map_err(|error| failed(&path, &error))?;
        }
        Ok(())
    }
}

/// A new file beside the one whose place it takes.
struct Replacement<'c> {
    real: PathBuf,
    new: PathBuf,
    change: &'c FileChange,
}

impl<'c> Replacement<'c> {
    fn prepare(real: PathBuf, change: &'c FileChange) -> io::Result<Self> {
        let permissions = if change.is_new { None } else { Some(fs::metadata(&real)?.permissions()) };
        // A new file would take its place all the same.
        if permissions.as_ref().is_some_and(fs::Permissions::readonly) {
            return Err(io::Error::other("it is only for reading"));
        }
        let (mut file, new) = create_beside(&real)?;
        let replacement = Self { real, new, change };
        file.write_all(&change.after)?;
        if let Some(permissions) = permissions {
            file.set_permissions(permissions)?;
        }
        file.sync_all()?;
        Ok(replacement)
    }

    /// Sees to it that the file is what was edited.
    fn check(&self) -> io::Result<()> {
        let there = fs::symlink_metadata(&self.real);
        if self.change.is_new {
            return if there.is_err() {
                Ok(())
            } else {
                Err(io::Error::other("it is there by now; run the command again"))
            };
        }
        if there?.is_file() && fs::read(&self.real)? == self.change.before {
            return Ok(());
        }
        Err(io::Error::other("it has changed since it was read; run the command again"))
    }

    fn finish(self) -> io::Result<()> {
        self.check()?;
        fs::rename(&self.new, &self.real)?;
        // Where a directory cannot be synced, the rename is as safe as it gets.
        if let Some(directory) = self.real.parent().and_then(|parent| File::open(parent).ok()) {
            let _ = directory.sync_all();
        }
        Ok(())
    }
}

/// Whatever goes wrong, nothing is left behind.
impl Drop for Replacement<'_> {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.new);
    }
}

/// A new file in the same directory; what is there is never followed nor overwritten.
pub(super) fn create_beside(real: &Path) -> io::Result<(File, PathBuf)> {
    let name = real.file_name().unwrap_or_default().to_string_lossy();
    for attempt in 0..100 {
        let new = real.with_file_name(format!(".{name}.deputize-{}-{attempt}", std::process::id()));
        match OpenOptions::new().write(true).create_new(true).open(&new) {
            Ok(file) => return Ok((file, new)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("there is no free name for a temporary file beside it"))
}

fn failed(path: &str, error: &io::Error) -> Failure {
    Failure::Message(format!("{} cannot be written: {error}", escape(path)))
}

pub(super) fn not_editable(path: &Arc<str>, message: &str, help: &str) -> Problem {
    Problem {
        path: Arc::clone(path),
        place: None,
        kind: ProblemKind::NotEditable,
        message: message.to_owned(),
        help: Some(help.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_has_changed_meanwhile_keeps_all_of_them() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let name = |name: &str| -> Arc<str> { Arc::from(path(name).to_string_lossy()) };
        fs::write(path("a.yaml"), "a").unwrap();
        fs::write(path("b.yaml"), "b").unwrap();
        let mut files = Files::new(&[directory.path().to_owned()]);
        let changes: Vec<FileChange> = ["a.yaml", "b.yaml"]
            .into_iter()
            .map(|file| {
                let before = files.read(&name(file)).unwrap();
                FileChange {
                    path: name(file),
                    before,
                    after: b"new".to_vec(),
                    template: None,
                    is_empty: false,
                    is_new: false,
                    added: Vec::new(),
                }
            })
            .collect();
        fs::write(path("b.yaml"), "changed").unwrap();
        let changes: Vec<&FileChange> = changes.iter().collect();
        let Err(Failure::Message(message)) = files.write(&changes) else { unreachable!("it has changed") };
        assert!(message.contains("b.yaml cannot be written: it has changed since it was read"), "{message}");
        assert_eq!(fs::read(path("a.yaml")).unwrap(), b"a");
        assert_eq!(fs::read(path("b.yaml")).unwrap(), b"changed");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2, "nothing is left behind");
    }
}
