//! Values to text: frozen JSON shapes, and words for people.
//!
//! Strings of the input are hostile. Whatever is printed goes through [`escape()`] or [`json::write_document`], so that no
//! control or bidirectional character reaches a terminal raw.

pub mod check;
pub mod config;
pub mod diff;
mod escape;
pub mod evidence;
mod excerpt;
pub mod human;
pub mod json;
mod markdown;
mod paint;
pub mod plan;
mod remarks;
pub mod render;
pub mod report;
#[cfg(test)]
mod schema;
pub mod simulate;
mod table;
mod text;
pub mod trace;
pub mod verify;
pub mod yaml;

pub use escape::{escape, is_deceptive};
