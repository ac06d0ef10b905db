//! The files of a git revision, for comparing two states of a repository.
//!
//! The repository may be hostile, and its configuration names commands. Only plumbing is run that reads objects: no hook,
//! no filter, no textconv, no pager, no file system monitor and no fetch.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Component, Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// The most that is written of a revision, in bytes.
const MAX_BYTES: u64 = 4 << 30;
/// Variables that git needs; all others could change what it does.
const ENVIRONMENT: [&str; 8] =
    ["PATH", "HOME", "XDG_CONFIG_HOME", "USERPROFILE", "SYSTEMROOT", "TMPDIR", "TEMP", "GIT_CEILING_DIRECTORIES"];

/// A git repository on disk.
#[derive(Debug, Clone)]
pub struct Repository {
    root: PathBuf,
}

/// A file, link or directory of a revision.
struct TreeEntry {
    mode: String,
    object: String,
    path: PathBuf,
}

impl Repository {
    /// Returns the repository that holds a path, which has no links in it: the nearest directory with `.git`.
    pub fn of(path: &Path) -> Option<Self> {
        let root = path.ancestors().find(|directory| directory.join(".git").symlink_metadata().is_ok())?;
        Some(Self { root: root.to_owned() })
    }

    /// The repository's directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Writes the files that a revision has at and below some paths, which are relative to the root, into an empty
    /// directory. Files larger than `max_file_bytes` are left out.
    ///
    /// # Errors
    /// In words, when git cannot be run, or does not have the revision or an object of it.
    pub fn write_revision(
        &self,
        revision: &str,
        paths: &[PathBuf],
        max_file_bytes: u64,
        into: &Path,
    ) -> Result<(), String> {
        let tree = self.tree_of(revision)?;
        let mut objects = Objects::start(self)?;
        let (mut links, mut written) = (Vec::new(), 0u64);
        for entry in self.entries(&tree, paths)? {
            let is_link = entry.mode == "120000";
            // A submodule is another repository.
            if entry.mode == "160000" || !is_inside(&entry.path) {
                continue;
            }
            let Some(bytes) = objects.read(&entry.object, max_file_bytes).map_err(|error| missing(revision, &error))?
            else {
                continue;
            };
            written += bytes.len() as u64;
            if written > MAX_BYTES {
                return Err(format!("{revision} has more than {MAX_BYTES} bytes at the paths given"));
            }
            let target = into.join(&entry.path);
            if is_link {
                links.push((target, bytes));
                continue;
            }
            let write = || {
                fs::create_dir_all(target.parent().unwrap_or(into))?;
                File::create_new(&target)?.write_all(&bytes)
            };
            write().map_err(|error| format!("the files of {revision} cannot be written: {error}"))?;
        }
        // Last, so that nothing is written through them.
        for (link, target) in links {
            make_link(&link, &target).map_err(|error| format!("the files of {revision} cannot be written: {error}"))?;
        }
        Ok(())
    }

    /// The tree of a revision.
    fn tree_of(&self, revision: &str) -> Result<String, String> {
        let name = format!("{revision}^{{tree}}");
        let output = self.run(&["rev-parse", "--verify", "--quiet", "--end-of-options", &name])?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.trim();
        Err(match said.is_empty() {
            true => format!(
                "there is no revision {revision:?} in this repository; in a shallow clone fetch it first, as in \
                 `git fetch --depth=1 origin main`, and compare with FETCH_HEAD"
            ),
            false => format!("git cannot read the repository: {said}"),
        })
    }

    fn entries(&self, tree: &str, paths: &[PathBuf]) -> Result<Vec<TreeEntry>, String> {
        let mut arguments = vec!["ls-tree", "-r", "-z", "--full-tree", tree, "--"];
        let names: Vec<String> = paths.iter().map(|path| path.to_string_lossy().into_owned()).collect();
        arguments.extend(names.iter().map(String::as_str).filter(|name| !name.is_empty()));
        let output = self.run(&arguments)?;
        if !output.status.success() {
            return Err(missing(tree, &io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned())));
        }
        let entry = |line: &[u8]| {
            let at = memchr::memchr(b'\t', line)?;
            let (head, path) = (str::from_utf8(line.get(..at)?).ok()?, line.get(at + 1..)?);
            let mut head = head.split(' ');
            let (mode, _, object) = (head.next()?.to_owned(), head.next()?, head.next()?.to_owned());
            Some(TreeEntry { mode, object, path: path_of(path) })
        };
        Ok(output.stdout.split(|byte| *byte == 0).filter_map(entry).collect())
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        command.env_clear();
        for variable in ENVIRONMENT {
            if let Some(value) = std::env::var_os(variable) {
                command.env(variable, value);
            }
        }
        command
            .env("GIT_NO_LAZY_FETCH", "1")
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_ALLOW_PROTOCOL", "none")
            .env("LC_ALL", "C")
            .args(["--no-pager", "--literal-pathspecs"])
            .args(["-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "protocol.allow=never"])
            .args(["-c", "core.attributesFile=/dev/null", "-c", "core.sshCommand=false"])
            .arg("-C")
            .arg(&self.root)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn run(&self, arguments: &[&str]) -> Result<std::process::Output, String> {
        self.command(arguments).output().map_err(|error| not_run(&error))
    }
}

fn not_run(error: &io::Error) -> String {
    format!("git cannot be run: {error}; --diff-base needs it")
}

fn missing(revision: &str, error: &io::Error) -> String {
    format!(
        "{revision} cannot be read: {error}; this clone may lack its objects (a shallow or partial one): fetch them first, \
         as in `git fetch --depth=1 origin main`"
    )
}

/// Whether a path of a tree stays below the directory that it is written into.
fn is_inside(path: &Path) -> bool {
    let mut parts = path.components();
    path.components().next().is_some() && parts.all(|part| matches!(part, Component::Normal(name) if name != ".git"))
}

#[cfg(unix)]
fn path_of(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    PathBuf::from(std::ffi::OsStr::from_bytes(bytes))
}

#[cfg(not(unix))]
fn path_of(bytes: &[u8]) -> PathBuf {
    PathBuf::from(String::from_utf8_lossy(bytes).into_owned())
}

#[cfg(unix)]
fn make_link(link: &Path, target: &[u8]) -> io::Result<()> {
    if let Some(parent) = link.parent() {
        fs::create_dir_all(parent)?;
    }
    std::os::unix::fs::symlink(path_of(target), link)
}

#[cfg(not(unix))]
fn make_link(_: &Path, _: &[u8]) -> io::Result<()> {
    Ok(())
}

/// A running `git cat-file --batch`.
struct Objects {
    child: Child,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Objects {
    fn start(repository: &Repository) -> Result<Self, String> {
        let mut command = repository.command(&["cat-file", "--batch"]);
        let mut child = command.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().map_err(|error| not_run(&error))?;
        let (requests, answers) = (child.stdin.take(), child.stdout.take());
        let answers = answers.ok_or_else(|| not_run(&io::Error::other("no output")))?;
        Ok(Self { child, requests, answers: BufReader::new(answers) })
    }

    /// Returns the bytes of an object; none if there are more than `max`.
    fn read(&mut self, object: &str, max: u64) -> io::Result<Option<Vec<u8>>> {
        let requests = self.requests.as_mut().ok_or_else(|| io::Error::other("git has ended"))?;
        writeln!(requests, "{object}")?;
        requests.flush()?;
        let mut head = String::new();
        self.answers.read_line(&mut head)?;
        // `<object> blob <size>`, or `<object> missing`.
        let size: u64 = head
            .trim_end()
            .rsplit_once(" blob ")
            .and_then(|(_, size)| size.parse().ok())
            .ok_or_else(|| io::Error::other(format!("the object {object} is missing")))?;
        // The object ends with a line break of its own.
        let mut content = self.answers.by_ref().take(size + 1);
        if size > max {
            io::copy(&mut content, &mut io::sink())?;
            return Ok(None);
        }
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes)?;
        bytes.truncate(usize::try_from(size).unwrap_or(usize::MAX));
        Ok(Some(bytes))
    }
}

impl Drop for Objects {
    fn drop(&mut self) {
        // Without more requests it ends by itself.
        self.requests = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
