//! What the report says, in words.

use crate::grants::{Means, Reason};
use crate::migrate::{Kept, Outcome};
use crate::output::human::count;
use crate::report::TaskKind;

/// What legacy and constrained grants do on servers of some versions (KEP-5284, "Graduation Criteria").
pub(super) struct Version {
    pub versions: &'static str,
    /// The minor versions from and to which this holds.
    pub minors: (u32, u32),
    pub legacy: &'static str,
    pub constrained: &'static str,
}

pub(super) const VERSIONS: [Version; 4] = [
    Version {
        versions: "1.34 and earlier",
        minors: (0, 34),
        legacy: "works",
        constrained: "ignored: there is no such feature. Without legacy, clients break",
    },
    Version {
        versions: "1.35",
        minors: (35, 35),
        legacy: "works",
        constrained: "ignored, unless the alpha feature gate ConstrainedImpersonation is turned on",
    },
    Version {
        versions: "1.36 and 1.37",
        minors: (36, 37),
        legacy: "works, after the constrained modes were tried",
        constrained: "count: the feature gate is on by default",
    },
    Version {
        versions: "1.38 (planned)",
        minors: (38, u32::MAX),
        legacy: "works: upstream says that it stays",
        constrained: "count: the feature is planned to be stable",
    },
];

/// A task as a heading, and what to do.
pub(super) fn task(kind: TaskKind, grants: usize) -> (String, &'static str) {
    let n = |what: &str| count(grants, what);
    match kind {
        TaskKind::RemoveDead => (
            format!("Remove {} that reach nobody", n("grant")),
            "As far as the input shows, nobody loses anything by it. `deputize check` says of each why it is dead, and what was \
             probably meant.",
        ),
        TaskKind::RemoveUnused => (
            format!("Remove {} that nobody was seen to use", n("legacy grant")),
            "Make sure that the logs cover the rare jobs too: what runs once a quarter is not in a week of logs.",
        ),
        TaskKind::Narrow => (
            format!("Look first at {} one step from cluster-admin", n("legacy grant")),
            "Whoever holds them can become cluster-admin with one request. Name whom they need to be, or migrate them first.",
        ),
        TaskKind::Observe => (
            format!("Find out what {} are used for", n("legacy grant")),
            "A constrained grant names the actions. Take them from audit logs (`--audit-log`), or declare them \
             (`deputize migrate --actions`).",
        ),
        TaskKind::Replace => (
            format!("Migrate {}", n("legacy grant")),
            "`deputize migrate --output-dir` writes both stages: add the constrained grants now, remove legacy once every \
             API server is at 1.36 or later.",
        ),
        TaskKind::ChangeClients => (
            format!("Change the clients behind {}", n("legacy grant")),
            "What they send has no constrained form, or they are asked about by the literal verb. Until the client changes, \
             legacy stays; that is supported.",
        ),
        TaskKind::SpellOut => (
            format!("Spell out the verb `*` of {}", n("grant")),
            "The verb `*` holds impersonation too. Where that is not meant, list the verbs that are; `deputize migrate` says \
             which these would be.",
        ),
        TaskKind::ByHand => (
            format!("Change {} by hand", n("legacy grant")),
            "A template fills in a part of them, or nothing in the input binds them.",
        ),
        TaskKind::Leave => (
            format!("Leave {} of default roles", n("grant")),
            "The API server keeps `edit` and `admin` itself. Bind narrower roles where service accounts matter.",
        ),
    }
}

/// What becomes of a grant: a word, and why.
pub(super) fn outcome(outcome: Outcome) -> (&'static str, &'static str) {
    match outcome {
        Outcome::Replaced => ("replaced", "constrained grants can take its place"),
        Outcome::Dropped(None) => ("unused", "not seen in use, though its holder was seen"),
        Outcome::Dropped(Some(_)) => ("dead", "reaches nobody"),
        Outcome::Kept(kept @ (Kept::NoEvidence | Kept::OnlyGlimpsed)) => ("needs-evidence", stays(kept)),
        Outcome::Kept(kept) | Outcome::Narrowed(kept) => ("stays", stays(kept)),
    }
}

/// Why a grant stays legacy.
pub(in crate::output) fn stays(kept: Kept) -> &'static str {
    match kept {
        Kept::Unbound => "nothing in the input binds it",
        Kept::ServerOwned => "the API server keeps this role",
        Kept::WildcardVerb => "it comes from the verb `*`, which cannot be cut down to all but impersonation",
        Kept::NotEditable => "a template fills in a part of it, or a part of it cannot be read",
        Kept::Unproven => "the proof of its migration fails",
        Kept::NoConstrainedForm => "only legacy allows a part of it",
        Kept::AmbiguousHeaders => "the log cannot tell whether groups are sent that only legacy allows",
        Kept::NotSelected => "its subject is not among those that are migrated",
        Kept::OnlyGlimpsed => "the log shows a part of what it is used for",
        Kept::LiteralVerb => "another program asks for the literal verb impersonate",
        Kept::WouldWiden => "a constrained grant beside the ones that are there would allow more than is allowed",
        Kept::NoEvidence => "nothing says what it is used for",
    }
}

/// Why a grant is dead.
pub(super) fn dead(reason: Reason) -> &'static str {
    match reason {
        Reason::Unbound => "nothing binds the role",
        Reason::MissingRole => "the binding names a role that does not exist",
        Reason::NamespacedBinding => "a RoleBinding cannot grant it",
        Reason::WrongApiGroup => "the server asks in another API group",
        Reason::BareUserextras => "userextras without a key",
        Reason::NoSuchResource => "the server never asks for this resource",
        Reason::NoSuchVerb => "no server knows the verb",
        Reason::NameNeverMatches => "the server never asks for the name",
        Reason::SubjectNeverMatches => "the subject is nobody",
        Reason::IgnoredByServer => "servers of this version do not know it",
    }
}

/// How a step is made.
pub(super) fn means(means: Means) -> &'static str {
    match means {
        Means::Impersonate => "impersonate",
        Means::Token => "token",
        Means::Workload(_) => "workload",
    }
}

/// The time of an event as people read it, to the minute; as the log writes it, if that is in another form.
pub(super) fn minute(time: &str) -> String {
    let digits =
        |range: std::ops::Range<usize>| time.get(range).is_some_and(|part| part.bytes().all(|b| b.is_ascii_digit()));
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    let is_utc = time.ends_with('Z') && marks.iter().all(|(at, mark)| time.as_bytes().get(*at) == Some(mark));
    match (time.get(..10), time.get(11..16)) {
        (Some(day), Some(minute)) if is_utc && digits(0..4) && digits(14..16) => format!("{day} {minute} UTC"),
        _ => time.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::minute;

    #[test]
    fn times() {
        assert_eq!(minute("2026-09-14T08:30:07.000000Z"), "2026-09-14 08:30 UTC");
        for other in ["", "yesterday", "2026-09-14T08:30:07+02:00", "2026-09-14"] {
            assert_eq!(minute(other), other);
        }
    }
}
