//! Finds legacy Kubernetes impersonation grants.
pub mod inventory;
pub mod problem;
pub mod source;
pub mod syntax;
