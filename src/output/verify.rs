//! What a verification has found, for people and as JSON.

use std::io::{self, Write};

use serde::Serialize;

use super::escape;
use super::evidence::{RequestLine, request_line};
use super::human::count;
use super::json::{IdentityShape, RequestShape, Subject, request_shape, write_document};
use super::trace::{describe_request, rule_lines, rule_place};
use crate::inventory::{PolicyRule, Text};
use crate::migrate::{Denial, Mend, Verification, VerifiedRequest, Widening};

/// How many items of a kind are shown to people.
const MAX_SHOWN: usize = 100;

#[derive(Debug, Serialize)]
struct VerifyShape<'a> {
    schema: &'static str,
    summary: SummaryShape,
    requests: Vec<VerifiedShape<'a>>,
    widened: Vec<WidenedShape<'a>>,
    reviews: Vec<ReviewShape<'a>>,
    denials: Vec<DenialShape<'a>>,
}

/// A review for the verb `impersonate` that is no longer answered with yes.
#[derive(Debug, Serialize)]
struct ReviewShape<'a> {
    asker: &'a str,
    user: &'a str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SummaryShape {
    requests: usize,
    kept: usize,
    legacy_only: usize,
    lost: usize,
    widened: usize,
}

#[derive(Debug, Serialize)]
struct VerifiedShape<'a> {
    #[serde(flatten)]
    request: RequestShape<'a>,
    mend: Vec<MendShape<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct MendShape<'a> {
    /// Of the Role in which the rule has to stand; null for a ClusterRole.
    namespace: Option<&'a str>,
    api_groups: Vec<&'a str>,
    resources: Vec<&'a str>,
    resource_names: Option<Vec<&'a str>>,
    #[serde(rename = "nonResourceURLs")]
    non_resource_urls: Vec<&'a str>,
    verbs: Vec<&'a str>,
}

#[derive(Debug, Serialize)]
struct WidenedShape<'a> {
    subject: Subject<'a>,
    mode: &'static str,
    identity: IdentityShape<'a>,
    why: &'a str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct DenialShape<'a> {
    request: RequestLine<'a>,
    check: &'a str,
    count: u64,
    allowed_now: bool,
    mend: Option<MendShape<'a>>,
}

/// Writes everything as one document.
///
/// # Errors
/// When `out` does.
pub fn write_json(out: &mut dyn Write, verification: &Verification<'_>) -> io::Result<()> {
    let requests = verification.requests.iter().map(|verified| VerifiedShape {
        request: request_shape(&verified.planned),
        mend: verified.mend.iter().map(mend_shape).collect(),
    });
    write_document(
        out,
        &VerifyShape {
            schema: "deputize.verify/v1",
            summary: summary(verification),
            requests: requests.collect(),
            widened: verification.widened.iter().map(widened_shape).collect(),
            reviews: verification.reviews.iter().map(|(asker, user)| ReviewShape { asker, user }).collect(),
            denials: verification.denials.iter().map(denial_shape).collect(),
        },
    )
}

fn summary(verification: &Verification<'_>) -> SummaryShape {
    let requests = || verification.requests.iter();
    SummaryShape {
        requests: requests().count(),
        kept: requests().filter(|request| request.is_kept()).count(),
        legacy_only: requests().filter(|request| request.is_legacy_only()).count(),
        lost: requests().filter(|request| request.is_lost()).count(),
        widened: verification.widened.len(),
    }
}

fn mend_shape(mend: &Mend) -> MendShape<'_> {
    let PolicyRule { verbs, api_groups, resources, resource_names, non_resource_urls } = &mend.rule;
    fn texts(texts: &[Text]) -> Vec<&str> {
        texts.iter().map(Text::as_str).collect()
    }
    MendShape {
        namespace: mend.namespace.as_deref(),
        api_groups: texts(api_groups),
        resources: texts(resources),
        resource_names: (!resource_names.is_empty()).then(|| texts(resource_names)),
        non_resource_urls: texts(non_resource_urls),
        verbs: texts(verbs),
    }
}

fn widened_shape(widening: &Widening) -> WidenedShape<'_> {
    let subject = &widening.subject;
    WidenedShape {
        subject: Subject { kind: subject.kind.as_str(), namespace: subject.namespace.as_deref(), name: &subject.name },
        mode: widening.mode.as_str(),
        identity: IdentityShape {
            api_group: &widening.identity.api_group,
            resource: &widening.identity.resource,
            extra_key: widening.identity.extra_key.as_deref(),
            namespace: widening.namespace.as_deref(),
            names: widening.names.as_ref().map(|names| names.iter().map(|name| name.as_str()).collect()),
        },
        why: &widening.why,
    }
}

fn denial_shape<'a>(denial: &'a Denial<'_>) -> DenialShape<'a> {
    DenialShape {
        request: request_line(denial.request),
        check: denial.check,
        count: denial.count,
        allowed_now: denial.allowed_now,
        mend: denial.mend.as_ref().map(mend_shape),
    }
}

/// Writes what is not as it should be, and the totals.
///
/// # Errors
/// When `out` does.
pub fn write_human(out: &mut dyn Write, verification: &Verification<'_>) -> io::Result<()> {
    let mut text = Report { out };
    let lost = verification.requests.iter().filter(|request| request.is_lost());
    text.requests("lost: nothing allows these", lost)?;
    let legacy = verification.requests.iter().filter(|request| request.is_legacy_only());
    text.requests("legacy only: these break when the verb impersonate is removed", legacy)?;
    text.list("widened: this was not allowed before", verification.widened.iter(), |text, widening| {
        let resource = &widening.identity.resource;
        let names = widening.names.as_ref().map_or_else(|| "any".to_owned(), |names| names.join(", "));
        let (who, mode) = (widening.subject.describe(), widening.mode);
        text.line(2, &format!("{who}, mode {mode}, {resource} {names}: {}", widening.why))
    })?;
    let reviews = verification.reviews.iter();
    text.list("told no: these ask for the verb impersonate in reviews", reviews, |text, (asker, user)| {
        text.line(2, &format!("{asker} asks whether {user} may impersonate"))
    })?;
    text.list("refused in the log, by the check that failed", verification.denials.iter(), |text, denial| {
        let now = if denial.allowed_now { " (allowed by these manifests)" } else { "" };
        let who = &denial.request.requestor.name;
        text.line(2, &format!("{who:?} cannot {}, {}{now}", denial.check, times(denial.count)))?;
        if !denial.allowed_now {
            text.mends(denial.mend.as_slice())?;
        }
        Ok(())
    })?;
    let SummaryShape { requests, kept, legacy_only, lost, widened } = summary(verification);
    text.line(
        0,
        &format!(
            "{}: {kept} served by a constrained mode, {legacy_only} by legacy only, {lost} lost; {widened} widened",
            count(requests, "distinct request"),
        ),
    )
}

fn times(count: u64) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

struct Report<'o> {
    out: &'o mut dyn Write,
}

impl Report<'_> {
    fn line(&mut self, indent: usize, text: &str) -> io::Result<()> {
        writeln!(self.out, "{:indent$}{}", "", escape(text))
    }

    fn list<'i, T: 'i>(
        &mut self,
        title: &str,
        items: impl Iterator<Item = &'i T>,
        mut write: impl FnMut(&mut Self, &'i T) -> io::Result<()>,
    ) -> io::Result<()> {
        let items: Vec<&T> = items.collect();
        if items.is_empty() {
            return Ok(());
        }
        self.line(0, title)?;
        items.iter().take(MAX_SHOWN).try_for_each(|item| write(self, item))?;
        match items.len().saturating_sub(MAX_SHOWN) {
            0 => Ok(()),
            more => self.line(2, &format!("… and {more} more")),
        }
    }

    fn requests<'i>(&mut self, title: &str, requests: impl Iterator<Item = &'i VerifiedRequest<'i>>) -> io::Result<()> {
        self.list(title, requests, |text, request| {
            let reason = request.planned.reason.map_or("", |reason| reason.as_str());
            let seen = times(request.planned.count);
            text.line(2, &format!("{}, {seen} ({reason})", describe_request(request.planned.request)))?;
            text.mends(&request.mend)
        })
    }

    fn mends(&mut self, mends: &[Mend]) -> io::Result<()> {
        for mend in mends {
            self.line(6, &format!("{}:", rule_place(mend.namespace.as_deref())))?;
            rule_lines(&mend.rule).iter().try_for_each(|line| self.line(8, line))?;
        }
        Ok(())
    }
}
