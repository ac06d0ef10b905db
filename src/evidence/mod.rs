//! What impersonators do while they impersonate: "any action" cannot be granted, so a migration needs to know.

mod archive;
mod audit;
mod collect;
mod condense;
mod container;
mod declared;
mod derived;
mod encoded;
mod escapes;
mod event;
mod extras;
mod find;
mod foreign;
mod framing;
mod json;
mod lines;
mod logs;
mod normal;
mod quoted;
mod records;
mod refused;
mod report;
mod request;
mod text;

pub(crate) use condense::take_in;
pub use condense::{Evidence, Glimpse, Observation, Review, Tally};
pub use declared::{
    ActionRule, DeclaredAction, DeclaredActions, HeaderHint, Impersonator, ImplicitGroups, read_declared,
};
pub use derived::{Derived, derive_actions};
pub use extras::{ExtraNames, ExtraValues};
pub use logs::{LogError, LogReport, Logs, LogsRead, find_logs, read_log, read_logs};
pub use refused::RefusedCheck;
pub use request::{OwnedRequest, asks_nothing, read_request, read_request_with};
