//! Finds legacy Kubernetes impersonation grants and says what replaces them (KEP-5284, constrained impersonation).
//!
//! Data flows one way, and each room knows only those above it:
//!
//! - [`source`]: paths and streams to bytes, files to documents
//! - [`syntax`]: bytes to trees in which every scalar knows its place
//! - [`render`]: charts as Helm renders them, with the origin of every byte
//! - `template`: unrendered templates to trees
//! - [`inventory`]: documents to roles and bindings
//! - `cluster`, `snapshot`: live clusters to the same documents
//! - [`authority`]: what the API server answers; the one place that knows its semantics
//! - [`grants`]: who may impersonate whom
//! - [`lint`]: findings, one file a rule
//! - [`config`]: the configuration file
//! - [`triage`]: which of them are reported, and what hides the others
//! - [`evidence`]: what impersonators do
//! - [`migrate`]: what replaces their grants
//! - [`rewrite`]: manifests, some objects of which change
//! - [`fix`]: findings mended by edits
//! - [`guard`]: an admission policy that keeps new ones out
//! - [`report`]: what a person needs to know who decides about an upgrade
//! - [`output`]: all of this as text and JSON
pub mod about;
pub mod authority;
#[cfg(feature = "cluster")]
pub mod cluster;
pub mod config;
pub mod evidence;
pub mod fix;
mod go_string;
pub mod grants;
pub mod guard;
pub mod inventory;
pub mod kustomize;
pub mod lint;
pub mod migrate;
pub mod output;
pub mod problem;
pub mod render;
pub mod report;
pub mod rewrite;
#[cfg(feature = "cluster")]
pub mod snapshot;
pub mod source;
pub mod syntax;
mod template;
pub mod triage;
