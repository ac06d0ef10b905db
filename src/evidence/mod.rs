//! What impersonators do while they impersonate: "any action" cannot be granted, so a migration needs to know.

mod declared;

pub use declared::{ActionRule, DeclaredAction, DeclaredActions, Impersonator, read_declared};
