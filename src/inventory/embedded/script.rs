//! Manifests in shell scripts: the bodies of here-documents (POSIX shell, 2.7.4).

use std::ops::Range;

/// How many here-documents of one script are read.
const MAX_BODIES: usize = 1_000;

/// Returns the bodies of the here-documents in a script, and the line of each, from 1. A body that does not end is none.
pub(super) fn here_documents(script: &str) -> Vec<(Range<usize>, u32)> {
    let mut bodies = Vec::new();
    if !script.contains("<<") {
        return bodies;
    }
    // The delimiters that were announced on a line, in order.
    let mut waiting: Vec<(String, bool)> = Vec::new();
    let mut open: Option<(usize, u32)> = None;
    let mut offset = 0;
    for (line, number) in script.split_inclusive('\n').zip(1u32..) {
        let text = line.trim_end_matches(['\n', '\r']);
        if let Some((delimiter, strips_tabs)) = waiting.first() {
            let (start, first) = *open.get_or_insert((offset, number));
            // In a block of YAML the delimiter may be indented with the rest.
            let is_end = match strips_tabs {
                true => text.trim_start_matches('\t') == delimiter,
                false => text.trim_start() == delimiter,
            };
            if is_end {
                bodies.push((start..offset, first));
                waiting.remove(0);
                open = None;
                if bodies.len() == MAX_BODIES {
                    break;
                }
            }
        } else {
            waiting = delimiters(text);
        }
        offset += line.len();
    }
    bodies
}

/// Returns the delimiters of the here-documents that begin on a line, and whether tabs before their lines are stripped.
fn delimiters(line: &str) -> Vec<(String, bool)> {
    let mut found = Vec::new();
    for part in line.split("<<").skip(1) {
        // `<<<` is a string.
        if part.starts_with('<') {
            continue;
        }
        let (word, strips_tabs) = part.strip_prefix('-').map_or((part, false), |rest| (rest, true));
        let word: String = word
            .trim_start()
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '\'' | '"' | '\\'))
            .filter(|c| !matches!(c, '\'' | '"' | '\\'))
            .collect();
        if !word.is_empty() {
            found.push((word, strips_tabs));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bodies(script: &str) -> Vec<(&str, u32)> {
        here_documents(script).into_iter().map(|(range, line)| (&script[range], line)).collect()
    }

    #[test]
    fn bodies_end_at_their_delimiters() {
        assert_eq!(bodies("cat <<EOF | kubectl apply -f -\na: b\nEOF\nls\n"), [("a: b\n", 2)]);
        assert_eq!(bodies("cat <<-'E O'\n\ta\n\tE\n"), [("\ta\n", 2)]);
        assert_eq!(bodies("x <<A <<\"B\"\n1\nA\n2\nB\n"), [("1\n", 2), ("2\n", 4)]);
        assert_eq!(bodies("  cat << EOF\n  a: b\n  EOF\n"), [("  a: b\n", 2)]);
        assert_eq!(bodies("x <<EOF\n"), []);
        assert_eq!(bodies("x <<EOF\na: b\n"), []);
        assert_eq!(bodies("x <<< EOF\nEOF\n"), []);
        assert_eq!(bodies("1 << 2\n3\n"), []);
        assert_eq!(bodies(&"x <<E\na\nE\n".repeat(2 * MAX_BODIES)).len(), MAX_BODIES);
    }
}
