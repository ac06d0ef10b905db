//! Condensed evidence, a line a request.

use std::io;

use serde::Serialize;

use super::json::write_line;
use crate::authority::{Extra, Mode};
use crate::evidence::{Evidence, Observation, OwnedRequest, Tally};

#[derive(Debug, Serialize)]
struct EvidenceLine<'a> {
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
struct ImpersonateLine<'a> {
    user: &'a str,
    uid: &'a str,
    groups: &'a [String],
    extra: &'a Extra,
}

/// Writes all requests in a fixed order.
///
/// # Errors
/// When `out` does.
pub fn write_evidence(out: &mut dyn io::Write, evidence: &Evidence) -> io::Result<()> {
    evidence.iter().try_for_each(|(observation, tally)| write_line(&mut *out, &line(observation, tally)))
}

fn line<'a>(observation: &'a Observation, tally: &'a Tally) -> EvidenceLine<'a> {
    EvidenceLine {
        schema: "deputize.evidence/v1",
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
