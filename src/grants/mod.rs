//! Who may impersonate whom, and who may do what while impersonating.
//!
//! Two layers. A [`RuleGrant`] (or [`RuleAction`]) is what one verb of one rule says about one kind of identity,
//! whoever holds it. A [`Holder`] is one subject that a binding gives the role to. An [`Entry`] is the product of
//! both, with the answer whether it is effective; entries are made on the fly, since a large cluster has millions.

mod held;
mod reach;
mod reason;
mod rule;
mod subjects;

pub(crate) use held::HoldersOfRole;
pub use held::{Entry, Grants, Holder, Through};
pub use reach::{Means, Path, Power, Reach, Source, Step};
pub use reason::Reason;
pub use rule::{Identity, RuleAction, RuleGrant, actions_of_rule, default_roles, grants_of_rule, is_server_owned};
pub use subjects::{Abilities, HeldGrant, Pair, Subjects};
