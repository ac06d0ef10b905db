//! The texts of templates, and where they come from.

use super::ast::{Node, Span};
use super::text::{GuardId, Marked, Origin};

/// The text of a template.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) text: String,
    from: From,
}

#[derive(Debug)]
enum From {
    /// A file of the chart.
    File(u32),
    /// A text that was given to `tpl`.
    Text(Marked),
}

/// A template that can be evaluated.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) source: std::rc::Rc<Source>,
    pub(super) body: Vec<Node>,
    pub(super) name: String,
}

impl Source {
    pub(super) fn file(file: u32, text: String) -> Self {
        Self { text, from: From::File(file) }
    }

    pub(super) fn text(marked: Marked) -> Self {
        Self { text: marked.text.clone(), from: From::Text(marked) }
    }

    /// The place of some of its bytes.
    pub(super) fn origin(&self, span: Span) -> Origin {
        match &self.from {
            From::File(file) => Origin { file: *file, start: span.start, end: span.end },
            From::Text(marked) => {
                let mut part = Marked::default();
                part.append_range(marked, span.start as usize..span.end as usize);
                let mut places = part.marks.iter().map(|mark| mark.origin).filter(|origin| origin.is_some());
                let Some(mut joined) = places.next() else { return Origin::NONE };
                for origin in places {
                    if origin.file == joined.file && origin.start >= joined.end {
                        joined.end = origin.end;
                    }
                }
                joined
            }
        }
    }

    /// Adds some of its bytes to what is written.
    pub(super) fn write(&self, span: Span, into: &mut Marked, guard: GuardId) {
        match &self.from {
            From::File(_) => into.push(span.slice(&self.text), self.origin(span), guard, None),
            From::Text(marked) => {
                let mut part = Marked::default();
                part.append_range(marked, span.start as usize..span.end as usize);
                into.append(&part, Origin::NONE, guard);
            }
        }
    }
}
