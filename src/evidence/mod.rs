//! What impersonators do while they impersonate: "any action" cannot be granted, so a migration needs to know.

mod audit;
mod collect;
mod condense;
mod declared;
mod derived;
mod event;
mod logs;
mod refused;
mod request;

pub use audit::{LogError, read_log};
pub(crate) use condense::take_in;
pub use condense::{Evidence, Glimpse, Observation, Review, Tally};
pub use declared::{
    ActionRule, DeclaredAction, DeclaredActions, HeaderHint, Impersonator, ImplicitGroups, read_declared,
};
pub use derived::{Derived, derive_actions};
pub use logs::{Logs, find_logs, read_logs};
pub use refused::RefusedCheck;
pub use request::{OwnedRequest, asks_nothing, read_request};
