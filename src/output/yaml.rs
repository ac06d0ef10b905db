//! Kubernetes objects as YAML.

use std::io::{self, Write};

use crate::inventory::Object;
use crate::migrate::to_value;
use crate::syntax::{Style, Value, scalar};

/// Writes the objects as one stream of documents.
///
/// # Errors
/// When `out` does.
pub fn write_objects<'o>(out: &mut dyn Write, objects: impl IntoIterator<Item = &'o Object>) -> io::Result<()> {
    write_values(out, objects.into_iter().map(to_value))
}

/// The same, for objects of any kind.
///
/// # Errors
/// When `out` does.
pub fn write_values(out: &mut dyn Write, values: impl IntoIterator<Item = Value>) -> io::Result<()> {
    let style = Style::default();
    values.into_iter().try_for_each(|value| write!(out, "---\n{}", style.block(&value, 0)))
}

/// Writes a kustomization that applies these files in their order.
///
/// # Errors
/// When `out` does.
pub fn write_kustomization(out: &mut dyn Write, files: impl IntoIterator<Item = String>) -> io::Result<()> {
    writeln!(out, "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization")?;
    // What comes first must be there before what follows: what stays legacy, before the roles that lose it.
    writeln!(out, "sortOptions:\n  order: fifo\nresources:")?;
    files.into_iter().try_for_each(|file| writeln!(out, "- {}", scalar(&file)))
}
