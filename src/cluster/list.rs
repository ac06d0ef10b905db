//! Whole lists, a page at a time.

use std::collections::BTreeSet;
use std::fmt::Write;

use http::StatusCode;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::client::{CallError, Client};

/// How many objects a page has, as in `kubectl`.
const PAGE: usize = 500;
/// The largest page that is read, in bytes: roles are some kilobytes large, and at most a megabyte and a half.
const MAX_PAGE: usize = 64 << 20;
/// The most pages of one list.
const MAX_PAGES: usize = 10_000;
/// How often a list that became too old is begun anew.
const RESTARTS: usize = 3;

/// A page of a list.
#[derive(Deserialize)]
struct Page<T> {
    kind: String,
    metadata: PageMetadata,
    /// None is how a server says that there are none.
    items: Option<Vec<T>>,
}

#[derive(Deserialize)]
struct PageMetadata {
    #[serde(default, rename = "continue")]
    next: String,
}

/// What objects are put into as soon as they are there.
pub(super) trait Sink<T> {
    /// One more.
    fn push(&mut self, object: T);
    /// All over again.
    fn clear(&mut self);
}

/// Puts all objects of a list into a sink.
///
/// A list that takes long may become too old to be continued (`410 Gone`). What was read of it is thrown away then, since
/// the rest would be of another time, and it is read from its beginning.
///
/// # Errors
/// When one page could not be had. What is in the sink then is half a list, and is not to be used.
pub(super) async fn list<T: DeserializeOwned>(
    client: &Client,
    path: &str,
    sink: &mut impl Sink<T>,
    progress: &dyn Fn(usize),
) -> Result<(), CallError> {
    let mut restarts = 0;
    loop {
        match list_once(client, path, sink, progress).await {
            Err(CallError::Refused { code: StatusCode::GONE, .. }) if restarts < RESTARTS => {
                sink.clear();
                restarts += 1;
            }
            other => return other,
        }
    }
}

async fn list_once<T: DeserializeOwned>(
    client: &Client,
    path: &str,
    sink: &mut impl Sink<T>,
    progress: &dyn Fn(usize),
) -> Result<(), CallError> {
    let mut next = String::new();
    let mut seen = BTreeSet::new();
    for _ in 0..MAX_PAGES {
        let mut page = format!("{path}?limit={PAGE}");
        if !next.is_empty() {
            // Writing to a string cannot fail.
            let _ = write!(page, "&continue={}", utf8_percent_encode(&next, NON_ALPHANUMERIC));
        }
        let body = client.get(&page, MAX_PAGE).await?;
        let page: Page<T> = serde_json::from_slice(&body).map_err(|error| {
            // Where, not what: the message of a parser may quote what it has read.
            let place = format!("line {}, column {}", error.line(), error.column());
            CallError::Malformed(format!("{path} is no list ({place})"))
        })?;
        if !page.kind.ends_with("List") {
            return Err(CallError::Malformed(format!("{path} is no list, but of the kind {:?}", page.kind)));
        }
        let items = page.items.unwrap_or_default();
        progress(items.len());
        items.into_iter().for_each(|item| sink.push(item));
        if page.metadata.next.is_empty() {
            return Ok(());
        }
        next = page.metadata.next;
        if !seen.insert(next.clone()) {
            return Err(CallError::Malformed(format!("{path} goes round in a circle")));
        }
    }
    Err(CallError::Malformed(format!("{path} has no end")))
}
