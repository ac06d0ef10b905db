//! Legacy grants to constrained ones: a [`Plan`], and the objects that it asks for.
//!
//! *Whom* comes from the grants, *what for* from evidence. Nothing here writes anything anywhere.

mod actions;
mod apart;
mod candidate;
mod credit;
mod cutover;
mod decide;
mod draft;
mod exceptions;
#[cfg(test)]
mod fixture;
mod glimpsed;
mod in_place;
mod literal;
mod manifest;
mod missing;
mod name;
mod observed;
mod plan;
mod profile;
mod proof;
mod recognise;
mod span;
mod target;
mod usage;
mod verify;
mod warnings;
mod widen;

pub use apart::keep_apart;
pub use cutover::{Cutover, RoleEdit};
pub use exceptions::{LegacyException, exceptions};
pub use in_place::{Concerned, InPlace, Stage, concerned, in_place, not_in_place};
pub use literal::{LITERAL_USERS, LiteralUser, Who, Why};
pub use manifest::{CopiedLabel, LABEL_MODE, ObjectOptions, to_value};
pub use missing::{Advice, MissingRule};
pub use name::{NameTemplate, short_hash};
pub use plan::{
    ActionScope, Identities, Kept, MAX_NAMESPACES, Options, Outcome, Plan, PlannedGrant, PlannedImpersonator,
    PlannedRequest, Sources, Unproven, Unserved, plan,
};
pub use profile::{CLIENT_PROFILES, ClientProfile, Sends, ServerGroups};
pub use recognise::{Program, recognise, words_of};
pub use span::{EvidenceSpan, FEW_DAYS, FEW_REQUESTS, days_covered};
pub use usage::{HeldRule, Use, uses};
pub use verify::{Denial, RequestorGap, Verification, VerifiedRequest, VerifyOptions, verify};
pub use widen::{Widening, widened};
