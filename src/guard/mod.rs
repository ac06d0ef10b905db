//! An admission policy that keeps new legacy grants out of a cluster.
//!
//! [`Holders`] are the roles that are known to hold legacy impersonation: a policy sees one object at a time, so of a
//! binding it can judge only the name of the role. [`Guard`] is the policy with its binding: what it compares is
//! written in `cel`, in the language of the API server, by what [`crate::authority`] knows.

mod cel;
mod exception;
mod holders;
mod policy;

pub use exception::{Exception, NotAnException};
pub use holders::Holders;
pub use policy::{DefaultRoles, Guard, Mode, NAME, TooMany};

/// Alert rules for Prometheus on what API servers count of impersonation.
pub const PROMETHEUS_RULES: &str = include_str!("prometheus.yaml");
