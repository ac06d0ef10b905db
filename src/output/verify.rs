//! What a verification has found, for people and as JSON.

use std::io::{self, Write};

use serde::Serialize;

use super::escape;
use super::evidence::{RequestLine, request_line};
use super::human::{Style, count};
use super::json::{IdentityShape, Subject, write_document};
use super::paint::Paint;
use super::plan::{RequestShape, request_shape};
use super::trace::{describe_request, rule_lines, rule_place};
use crate::inventory::{PolicyRule, Text};
use crate::migrate::{Advice, Denial, MissingRule, RequestorGap, Unserved, Verification, Widening};

/// How many items of a kind are shown to people.
const MAX_SHOWN: usize = 100;
/// How many requests of one requestor are shown to people.
const MAX_REQUESTS: usize = 5;

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct VerifyShape<'a> {
    schema: &'static str,
    summary: SummaryShape,
    requests: Vec<VerifiedShape<'a>>,
    requestors: Vec<GapShape<'a>>,
    widened: Vec<WidenedShape<'a>>,
    reviews: Vec<ReviewShape<'a>>,
    denials: Vec<DenialShape<'a>>,
}

/// What a requestor lacks.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct GapShape<'a> {
    user: &'a str,
    requests: usize,
    /// The smallest role with which constrained modes serve what has a constrained form.
    role: Vec<RuleShape<'a>>,
}

/// A review for the verb `impersonate` that is no longer answered with yes.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct ReviewShape<'a> {
    asker: &'a str,
    user: &'a str,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
struct SummaryShape {
    requests: usize,
    constrained: usize,
    legacy: usize,
    accepted: usize,
    lost: usize,
    widened: usize,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct VerifiedShape<'a> {
    #[serde(flatten)]
    request: RequestShape<'a>,
    missing: Vec<RuleShape<'a>>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
struct RuleShape<'a> {
    /// Of the Role that needs the rule; null for a ClusterRole.
    namespace: Option<&'a str>,
    api_groups: Vec<&'a str>,
    resources: Vec<&'a str>,
    resource_names: Option<Vec<&'a str>>,
    #[serde(rename = "nonResourceURLs")]
    non_resource_urls: Vec<&'a str>,
    verbs: Vec<&'a str>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct WidenedShape<'a> {
    subject: Subject<'a>,
    mode: &'static str,
    identity: IdentityShape<'a>,
    why: &'a str,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
struct DenialShape<'a> {
    request: RequestLine<'a>,
    check: &'a str,
    count: u64,
    allowed_now: bool,
    /// The rules that would allow it, if it should have worked.
    missing: Vec<RuleShape<'a>>,
    /// Why no rule would.
    impossible: Option<&'static str>,
}

/// Writes everything as one document.
///
/// # Errors
/// When `out` does.
pub fn write_json(out: &mut dyn Write, verification: &Verification<'_>) -> io::Result<()> {
    let requests = verification.requests.iter().map(|verified| VerifiedShape {
        request: request_shape(&verified.planned),
        missing: verified.missing.iter().map(rule_shape).collect(),
    });
    let gaps = verification.gaps();
    let requestors = gaps.iter().map(|gap| GapShape {
        user: gap.user,
        requests: gap.requests.len(),
        role: gap.role.iter().map(rule_shape).collect(),
    });
    write_document(
        out,
        &VerifyShape {
            schema: "deputize.verify/v2",
            summary: summary(verification),
            requests: requests.collect(),
            requestors: requestors.collect(),
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
        constrained: requests().filter(|request| request.is_constrained()).count(),
        legacy: requests().filter(|request| request.is_legacy_only() && !request.is_accepted).count(),
        accepted: requests().filter(|request| request.is_accepted).count(),
        lost: requests().filter(|request| request.is_lost()).count(),
        widened: verification.widened.len(),
    }
}

fn rule_shape(missing: &MissingRule) -> RuleShape<'_> {
    let PolicyRule { verbs, api_groups, resources, resource_names, non_resource_urls } = &missing.rule;
    fn texts(texts: &[Text]) -> Vec<&str> {
        texts.iter().map(Text::as_str).collect()
    }
    RuleShape {
        namespace: missing.namespace.as_deref(),
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
    let (rules, impossible) = match &denial.advice {
        Advice::Rules(rules) => (rules.as_slice(), None),
        Advice::Impossible(why) => (&[][..], Some(*why)),
        Advice::Unknown => (&[][..], None),
    };
    DenialShape {
        request: request_line(denial.request),
        check: denial.check,
        count: denial.count,
        allowed_now: denial.allowed_now,
        missing: rules.iter().map(rule_shape).collect(),
        impossible,
    }
}

/// Writes what does not work any more, by requestor, and the totals.
///
/// # Errors
/// When `out` does.
pub fn write_human(out: &mut dyn Write, verification: &Verification<'_>, style: Style) -> io::Result<()> {
    let paint = Paint::new(style);
    let mut text = Report { out, paint };
    let gaps = verification.gaps();
    for gap in gaps.iter().take(MAX_SHOWN) {
        text.gap(verification, gap)?;
    }
    if gaps.len() > MAX_SHOWN {
        text.line(0, &format!("… and {} more", count(gaps.len() - MAX_SHOWN, "requestor")))?;
    }
    let title = paint.red("widened: this was not allowed before");
    text.list(&title, verification.widened.iter(), |text, widening| {
        let resource = &widening.identity.resource;
        let names = widening.names.as_ref().map_or_else(|| "any".to_owned(), |names| names.join(", "));
        let (who, mode) = (widening.subject.describe(), widening.mode);
        text.line(2, &format!("{who}, mode {mode}, {resource} {names}: {}", widening.why))
    })?;
    let title = paint.red("SubjectAccessReviews for the verb impersonate that are now answered with no");
    text.list(&title, verification.reviews.iter(), |text, (asker, user)| {
        text.line(2, &format!("{asker} asks whether {user} may impersonate"))
    })?;
    let title = paint.yellow("refused in the log");
    text.list(&title, verification.denials.iter(), |text, denial| text.denial(denial))?;
    text.totals(&summary(verification))
}

fn times(count: u64) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

struct Report<'o> {
    out: &'o mut dyn Write,
    paint: Paint,
}

impl Report<'_> {
    fn line(&mut self, indent: usize, text: &str) -> io::Result<()> {
        writeln!(self.out, "{:indent$}{}", "", escape(text))
    }

    /// Writes a list under a painted title.
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
        writeln!(self.out, "{title}")?;
        items.iter().take(MAX_SHOWN).try_for_each(|item| write(self, item))?;
        if items.len() > MAX_SHOWN {
            self.line(2, &format!("… and {} more", items.len() - MAX_SHOWN))?;
        }
        writeln!(self.out)
    }

    /// What one requestor lacks: how many requests, the first of them, and one role that would serve them.
    fn gap(&mut self, verification: &Verification<'_>, gap: &RequestorGap<'_>) -> io::Result<()> {
        let of = || gap.requests.iter().map(|index| &verification.requests[*index]);
        let lost = of().filter(|request| request.is_lost()).count();
        let legacy = gap.requests.len() - lost;
        let mut parts = Vec::new();
        if lost > 0 {
            parts.push(self.paint.red(&format!("{} lost", count(lost, "request"))));
        }
        if legacy > 0 {
            parts.push(self.paint.yellow(&format!("{} served only by legacy", count(legacy, "request"))));
        }
        let user = self.paint.bold(&escape(&format!("{:?}", gap.user)));
        writeln!(self.out, "{user}: {}", parts.join(", "))?;
        // The lost ones first.
        let sorted = of().filter(|request| request.is_lost()).chain(of().filter(|request| !request.is_lost()));
        for request in sorted.take(MAX_REQUESTS) {
            let reason = request.planned.reason.map_or("", |reason| reason.as_str());
            let seen = times(request.planned.count);
            self.line(2, &format!("{}, {seen} ({reason})", describe_request(request.planned.request)))?;
        }
        if gap.requests.len() > MAX_REQUESTS {
            self.line(2, &format!("… and {} more", gap.requests.len() - MAX_REQUESTS))?;
        }
        if !gap.role.is_empty() {
            self.line(2, "the smallest role with which constrained modes serve them:")?;
            self.rules(4, &gap.role)?;
        }
        let unknown = of().filter(|request| request.planned.reason == Some(Unserved::NotGrantedByInput)).count();
        if unknown > 0 {
            self.line(
                2,
                "these manifests never allowed it. Another authorizer may (EKS access entries, GKE IAM, Azure RBAC, a \
                 webhook): if so, leave this requestor out with --ignore-requestor",
            )?;
        }
        writeln!(self.out)
    }

    fn denial(&mut self, denial: &Denial<'_>) -> io::Result<()> {
        let now = if denial.allowed_now { " (allowed by these manifests)" } else { "" };
        let who = &denial.request.requestor.name;
        self.line(2, &format!("{who:?} cannot {}, {}{now}", denial.check, times(denial.count)))?;
        match &denial.advice {
            _ if denial.allowed_now => Ok(()),
            Advice::Rules(rules) => {
                self.line(4, "only if this should have worked, add:")?;
                self.rules(6, rules)
            }
            Advice::Impossible(why) => self.line(4, &format!("no rule allows this: {why}")),
            Advice::Unknown => Ok(()),
        }
    }

    /// Rules by the role that needs them.
    fn rules(&mut self, indent: usize, rules: &[MissingRule]) -> io::Result<()> {
        let mut place = None;
        for missing in rules {
            if place != Some(&missing.namespace) {
                self.line(indent, &format!("{}:", rule_place(missing.namespace.as_deref())))?;
                place = Some(&missing.namespace);
            }
            rule_lines(&missing.rule).iter().try_for_each(|line| self.line(indent + 2, line))?;
        }
        Ok(())
    }

    fn totals(&mut self, summary: &SummaryShape) -> io::Result<()> {
        let SummaryShape { requests, constrained, legacy, accepted, lost, widened } = *summary;
        let bad = |number: usize, text: String| if number > 0 { self.paint.red(&text) } else { text };
        let lost = bad(lost, format!("{lost} lost"));
        let widened = bad(widened, format!("{widened} widened"));
        let legacy =
            if legacy > 0 { self.paint.yellow(&format!("{legacy} legacy")) } else { format!("{legacy} legacy") };
        let accepted = if accepted > 0 { format!(", {accepted} accepted") } else { String::new() };
        writeln!(
            self.out,
            "{}: {constrained} constrained, {legacy}{accepted}, {lost}; {widened}",
            count(requests, "distinct request"),
        )
    }
}
