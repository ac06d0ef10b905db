//! Condensed evidence, a line a request.

use std::collections::BTreeMap;
use std::io;

use rayon::prelude::*;
use serde::Serialize;

use super::json::write_line;
use super::{escape, human};
use crate::authority::{Extra, Mode};
use crate::evidence::{Evidence, Glimpse, LogReport, Observation, OwnedRequest, Review, Tally};

const SCHEMA: &str = "deputize.evidence/v1";
/// Lines that one thread writes at a time.
const CHUNK: usize = 256;
/// How many logs are listed; more are summed up by their format.
const MAX_LOGS: usize = 20;
/// Lines that are kept until they are printed.
const STRETCH: usize = 64 * CHUNK;

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct EvidenceLine<'a> {
    schema: &'static str,
    request: RequestLine<'a>,
    mode: Option<&'static str>,
    count: u64,
    first: &'a str,
    last: &'a str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    open: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<&'a str>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct RequestLine<'a> {
    user: &'a str,
    groups: &'a [String],
    extra: &'a Extra,
    impersonate: ImpersonateLine<'a>,
    verb: &'a str,
    api_group: &'a str,
    resource: &'a str,
    subresource: &'a str,
    namespace: &'a str,
    name: &'a str,
    path: &'a str,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct ImpersonateLine<'a> {
    user: &'a str,
    uid: &'a str,
    groups: &'a [String],
    extra: &'a Extra,
}

/// What is no request.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct AsideLine<'a> {
    schema: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    review: Option<ReviewOf<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    glimpse: Option<GlimpseOf<'a>>,
    count: u64,
    first: &'a str,
    last: &'a str,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
struct ReviewOf<'a> {
    asker: &'a str,
    user: &'a str,
    groups: &'a [String],
    /// By which the line is found, too: only lines with the word are looked at.
    verb: &'static str,
    api_group: &'a str,
    resource: &'a str,
    subresource: &'a str,
    namespace: &'a str,
    name: &'a str,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct GlimpseOf<'a> {
    user: &'a str,
    impersonate: GlimpsedUser<'a>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct GlimpsedUser<'a> {
    user: &'a str,
}

/// Writes all requests in a fixed order, then all reviews, then all glimpses.
///
/// # Errors
/// When `out` does.
pub fn write_evidence(out: &mut dyn io::Write, evidence: &Evidence) -> io::Result<()> {
    let observed: Vec<(&Observation, &Tally)> = evidence.iter().collect();
    for stretch in observed.chunks(STRETCH) {
        let written: Vec<Vec<u8>> = stretch.par_chunks(CHUNK).map(lines).collect();
        written.iter().try_for_each(|lines| out.write_all(lines))?;
    }
    evidence
        .reviews()
        .try_for_each(|(review, tally)| write_line(&mut *out, &aside_line(Some(review_of(review)), None, tally)))?;
    evidence
        .glimpses()
        .try_for_each(|(glimpse, tally)| write_line(&mut *out, &aside_line(None, Some(glimpse_of(glimpse)), tally)))
}

fn aside_line<'a>(review: Option<ReviewOf<'a>>, glimpse: Option<GlimpseOf<'a>>, tally: &'a Tally) -> AsideLine<'a> {
    AsideLine { schema: SCHEMA, review, glimpse, count: tally.count(), first: &tally.first, last: &tally.last }
}

fn glimpse_of(glimpse: &Glimpse) -> GlimpseOf<'_> {
    GlimpseOf { user: &glimpse.requestor, impersonate: GlimpsedUser { user: &glimpse.user } }
}

fn lines(observed: &[(&Observation, &Tally)]) -> Vec<u8> {
    let mut text = Vec::new();
    for (observation, tally) in observed {
        // Writing to a vector cannot fail.
        let _ = write_line(&mut text, &line(observation, tally));
    }
    text
}

fn review_of(review: &Review) -> ReviewOf<'_> {
    ReviewOf {
        asker: &review.asker,
        user: &review.user,
        groups: &review.groups,
        verb: "impersonate",
        api_group: &review.api_group,
        resource: &review.resource,
        subresource: &review.subresource,
        namespace: &review.namespace,
        name: &review.name,
    }
}

fn line<'a>(observation: &'a Observation, tally: &'a Tally) -> EvidenceLine<'a> {
    EvidenceLine {
        schema: SCHEMA,
        request: request_line(&observation.request),
        mode: observation.mode.map(Mode::as_str),
        count: tally.count(),
        first: &tally.first,
        last: &tally.last,
        open: tally.is_open(),
        refused: observation.refused.as_deref(),
    }
}

/// A request as `simulate` takes it.
pub(super) fn request_line(request: &OwnedRequest) -> RequestLine<'_> {
    let headers = &request.headers;
    RequestLine {
        user: &request.requestor.name,
        groups: &request.requestor.groups,
        extra: &request.requestor.extra,
        impersonate: ImpersonateLine {
            user: headers.user(),
            uid: headers.uid(),
            groups: headers.groups(),
            extra: headers.extra(),
        },
        verb: &request.verb,
        api_group: &request.api_group,
        resource: &request.resource,
        subresource: &request.subresource,
        namespace: &request.namespace,
        name: &request.name,
        path: &request.path,
    }
}

/// Writes what each log is and holds. Many logs are summed up by their format.
///
/// # Errors
/// When `out` does.
pub fn write_logs(out: &mut dyn io::Write, logs: &[LogReport]) -> io::Result<()> {
    let counts = |events: u64, impersonated: u64| {
        let events = human::count(usize::try_from(events).unwrap_or(usize::MAX), "event");
        format!("{events}, {impersonated} impersonated")
    };
    let format =
        |log: &LogReport| if log.format.is_empty() { "unknown format" } else { log.format.as_str() }.to_owned();
    if logs.len() <= MAX_LOGS {
        for log in logs {
            writeln!(out, "{}: {}: {}", escape(&log.path), format(log), counts(log.events, log.impersonated))?;
        }
        return Ok(());
    }
    let mut sums: BTreeMap<String, (usize, u64, u64)> = BTreeMap::new();
    for log in logs {
        let (files, events, impersonated) = sums.entry(format(log)).or_default();
        *files += 1;
        *events += log.events;
        *impersonated += log.impersonated;
    }
    for (format, (files, events, impersonated)) in sums {
        writeln!(out, "{}: {format}: {}", human::count(files, "log"), counts(events, impersonated))?;
    }
    Ok(())
}
