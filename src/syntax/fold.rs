//! Keys as Go matches them with the fields of its types.

/// Reports whether Go's `encoding/json` takes a key for a field with this name, which has ASCII letters only: it ignores case, by
/// Unicode's simple folding, for which two other characters are ASCII letters too.
pub fn folds_to(key: &str, name: &str) -> bool {
    let folded = |c: char| match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        c => c.to_ascii_lowercase(),
    };
    key.chars().map(folded).eq(name.chars().map(folded))
}

#[cfg(test)]
mod tests {
    use super::folds_to;

    #[test]
    fn case_does_not_matter() {
        for key in ["resources", "Resources", "RESOURCES", "re\u{17f}ources"] {
            assert!(folds_to(key, "resources"), "{key}");
        }
        assert!(folds_to("\u{212a}ind", "kind"));
        for key in ["resource", "resourceſs", "resourceß", "ressources"] {
            assert!(!folds_to(key, "resources"), "{key}");
        }
    }
}
