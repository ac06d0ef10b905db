//! Telling a template from a broken manifest.

use memchr::memmem;

/// The languages whose marks are recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TemplateLanguage {
    /// `{{ … }}`: Go templates (Helm), Jinja (Ansible), mustache.
    DoubleBraces,
    /// `{% … %}`: Jinja statements.
    Jinja,
    /// `#@` and `(@ … @)`: ytt.
    Ytt,
    /// `<% … %>`: ERB.
    Erb,
    /// `${…}`: shell-like substitution.
    Substitution,
}

impl TemplateLanguage {
    /// The language as reports name it, by its marks where several share them.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DoubleBraces => "{{ }}",
            Self::Jinja => "{% %}",
            Self::Ytt => "ytt",
            Self::Erb => "<% %>",
            Self::Substitution => "${ }",
        }
    }
}

/// The template language whose marks `text` holds, if any. Meaningful only for a document that does not parse: one
/// that parses is a manifest, whatever its strings hold.
pub fn template_language(text: &[u8]) -> Option<TemplateLanguage> {
    let has = |mark: &str| memmem::find(text, mark.as_bytes()).is_some();
    if has("{%") {
        Some(TemplateLanguage::Jinja)
    } else if has("{{") {
        Some(TemplateLanguage::DoubleBraces)
    } else if has("#@") || has("(@") {
        Some(TemplateLanguage::Ytt)
    } else if has("<%") {
        Some(TemplateLanguage::Erb)
    } else if has("${") {
        Some(TemplateLanguage::Substitution)
    } else {
        None
    }
}
