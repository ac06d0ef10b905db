//! Legacy grants to constrained ones: a [`Plan`], and the objects that it asks for.
//!
//! *Whom* comes from the grants, *what for* from evidence. Nothing here writes anything anywhere.

mod existing;
mod manifest;
mod name;
mod plan;
mod target;

pub use manifest::{Body, GeneratedRule, LABEL_MODE, Manifest};
pub use plan::{Kept, Outcome, Plan, PlannedGrant, plan};
