//! What a run says of itself: what could not be read, and what was left out.

use super::shape::{DescriptorReference, Location, Notification};
use super::{CheckRun, Checked, MAX_RESULTS, location, sentence, text};
use crate::output::check::place::Spot;
use crate::output::human::count;
use crate::output::json::ContextFailure;
use crate::problem::ProblemKind;

/// Notifications of one kind of a run; further ones are counted.
const MAX_NOTIFICATIONS: usize = 1_000;

const CONTEXT: &str = "context-not-read";
const NOT_LOOKED_AT: &str = "not-looked-at";
const LEFT_OUT: &str = "results-left-out";

/// What a run can say of itself.
pub(super) struct Kind {
    pub(super) id: &'static str,
    pub(super) description: &'static str,
    /// What to do. GitHub asks for it.
    pub(super) help: &'static str,
}

const fn kind(id: &'static str, description: &'static str, help: &'static str) -> Kind {
    Kind { id, description, help }
}

/// All kinds of notifications.
pub(super) const KINDS: [Kind; 16] = [
    kind(CONTEXT, "A cluster could not be read.", "Check the context and its credentials, and run it again."),
    kind(NOT_LOOKED_AT, "Part of the input was not looked at.", "Review this part yourself, or render it first."),
    kind(
        LEFT_OUT,
        "There are more results than a reader takes.",
        "Use `--output json`, or check fewer paths in a run.",
    ),
    kind("unreadable", "A file or directory could not be read.", "Check the path and its permissions."),
    kind("too-large", "A file is larger than the bound.", "Raise the bound with `--max-file-size`."),
    kind("not-utf-8", "Text is not UTF-8.", "Save the file as UTF-8."),
    kind("syntax", "A document is neither YAML nor a template.", "Correct the document at the line given."),
    kind(
        "expansion",
        "Aliases or aggregation rules stand for too much.",
        "Write out what the aliases or selectors stand for.",
    ),
    kind(
        "wrong-type",
        "A field of an RBAC object has the wrong type or no value.",
        "Correct the field: the API server refuses the object.",
    ),
    kind("duplicate-key", "A mapping has a key twice.", "Remove one of the two."),
    kind(
        "ambiguous",
        "Readers may read a document differently.",
        "Write the document as the message says, so that all readers agree.",
    ),
    kind(
        "untrusted-snapshot",
        "A file among others says that it is a snapshot of a cluster.",
        "Give the snapshot as the only path, or remove it.",
    ),
    kind("null", "A null is where a list or a string belongs.", "Give the field a value, or remove it."),
    kind("not-editable", "A file cannot be edited.", "Edit it yourself."),
    kind(
        "not-listed",
        "The API server did not list some objects.",
        "Allow listing roles and bindings, or limit the run with `--namespace`.",
    ),
    kind("limited", "Part of a cluster was left out on purpose.", "Run without `--namespace` to read all of it."),
];

/// Returns what is said of the reading of a world, and of results that are left out.
pub(super) fn notifications(run: &CheckRun<'_>, world: &Checked<'_>, left_out: usize) -> Vec<Notification> {
    let mut notifications = Vec::new();
    if left_out > 0 {
        let message = format!(
            "{} left out, the least severe ones: GitHub takes {MAX_RESULTS}. `--output json` has all of them.",
            count(left_out, "result")
        );
        notifications.push(notification(LEFT_OUT, "warning", &message, None));
    }
    let mut problems = 0;
    for problem in world.problems() {
        problems += 1;
        if problems > MAX_NOTIFICATIONS {
            continue;
        }
        let level = if problem.kind.is_warning() { "warning" } else { "error" };
        let mut message = sentence(&problem.message);
        if let Some(help) = &problem.help {
            message.push_str(&format!(" Help: {}", sentence(help)));
        }
        let at = location(&run.spot_of_problem(world, problem));
        notifications.push(notification(problem.kind.as_str(), level, &message, Some(at)));
    }
    if problems > MAX_NOTIFICATIONS {
        let message = format!("{} not listed here.", count(problems - MAX_NOTIFICATIONS, "more problem"));
        notifications.push(notification(ProblemKind::Unreadable.as_str(), "error", &message, None));
    }
    let parts = not_looked_at(world);
    for (path, line, reason) in parts.iter().take(MAX_NOTIFICATIONS) {
        let line = line.map(|line| format!(" on line {line}")).unwrap_or_default();
        let spot = Spot { path: run.repository.locate(path), region: None };
        let message = format!("not looked at{line}: {}", sentence(reason));
        notifications.push(notification(NOT_LOOKED_AT, "note", &message, Some(location(&spot))));
    }
    if parts.len() > MAX_NOTIFICATIONS {
        let message = format!("{} that was not looked at.", count(parts.len() - MAX_NOTIFICATIONS, "more part"));
        notifications.push(notification(NOT_LOOKED_AT, "note", &message, None));
    }
    notifications
}

/// Returns what is said where a cluster could not be read.
pub(super) fn of_failure(failure: &ContextFailure) -> Notification {
    let message = format!("the cluster of context {:?} could not be read: {}", failure.name, sentence(&failure.error));
    notification(CONTEXT, "error", &message, None)
}

/// The parts of the input that were not looked at: path, line and reason.
fn not_looked_at<'a>(world: &Checked<'a>) -> Vec<(&'a str, Option<u32>, String)> {
    let coverage = &world.inventory().coverage;
    let templates = coverage.unread.iter().map(|unread| {
        let reason = format!("template ({}): {}", unread.language.as_str(), unread.reason);
        (&*unread.path, Some(unread.line), reason)
    });
    let mentions = coverage.mentions.iter().map(|mention| {
        let reason = mention.reason.describe().to_owned();
        (&*mention.path, Some(mention.place.line), reason)
    });
    let others = coverage.aside.iter().map(|aside| (&*aside.path, aside.line, aside.reason.clone()));
    let links = coverage.skipped.symlinks.iter().map(|path| (&**path, None, "symbolic link".to_owned()));
    let special = coverage.skipped.special.iter().map(|path| (&**path, None, "special file".to_owned()));
    templates.chain(mentions).chain(others).chain(links).chain(special).collect()
}

fn notification(id: &'static str, level: &'static str, message: &str, at: Option<Location>) -> Notification {
    Notification {
        descriptor: DescriptorReference { id },
        level,
        message: text(message),
        locations: at.into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_problem_is_described() {
        for kind in [
            ProblemKind::Unreadable,
            ProblemKind::TooLarge,
            ProblemKind::NotUtf8,
            ProblemKind::Syntax,
            ProblemKind::Expansion,
            ProblemKind::WrongType,
            ProblemKind::DuplicateKey,
            ProblemKind::Ambiguous,
            ProblemKind::UntrustedSnapshot,
            ProblemKind::Null,
            ProblemKind::NotEditable,
            ProblemKind::NotListed,
            ProblemKind::Limited,
        ] {
            assert!(KINDS.iter().any(|known| known.id == kind.as_str()), "{kind:?}");
        }
    }
}
