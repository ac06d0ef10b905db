//! Patterns for files of charts: those of `.Files.Glob`, and those of `.helmignore`.

/// A pattern as `gobwas/glob` reads it, with `/` between the parts of a path.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Glob {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    /// `?`: one character that is no slash.
    One,
    /// `*`: characters that are no slashes.
    Many,
    /// `**`: any characters.
    Any,
    /// `[a-z]`, `[!abc]`: whether it is negated, and the ranges.
    Class(bool, Vec<(char, char)>),
    /// `{a,b}`
    Either(Vec<Glob>),
}

impl Glob {
    /// Parses a pattern; none if it is no valid one.
    pub fn new(pattern: &str) -> Option<Self> {
        let chars: Vec<char> = pattern.chars().collect();
        let mut at = 0;
        let glob = parse(&chars, &mut at, 0)?;
        (at == chars.len()).then_some(glob)
    }

    /// Whether all of a path fits.
    pub fn matches(&self, path: &str) -> bool {
        let mut budget = 100_000;
        fits(&self.parts, &[], path, &mut budget)
    }
}

fn parse(chars: &[char], at: &mut usize, depth: usize) -> Option<Glob> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    while let Some(&c) = chars.get(*at) {
        if depth > 0 && (c == ',' || c == '}') {
            break;
        }
        *at += 1;
        let part = match c {
            '\\' => {
                literal.push(*chars.get(*at)?);
                *at += 1;
                continue;
            }
            '?' => Part::One,
            '*' if chars.get(*at) == Some(&'*') => {
                *at += 1;
                Part::Any
            }
            '*' => Part::Many,
            '[' => class(chars, at)?,
            '{' if depth < 8 => {
                let mut either = Vec::new();
                loop {
                    either.push(parse(chars, at, depth + 1)?);
                    let end = *chars.get(*at)?;
                    *at += 1;
                    if end == '}' {
                        break;
                    }
                }
                Part::Either(either)
            }
            '{' => return None,
            c => {
                literal.push(c);
                continue;
            }
        };
        if !literal.is_empty() {
            parts.push(Part::Literal(std::mem::take(&mut literal)));
        }
        parts.push(part);
    }
    if !literal.is_empty() {
        parts.push(Part::Literal(literal));
    }
    Some(Glob { parts })
}

fn class(chars: &[char], at: &mut usize) -> Option<Part> {
    let negated = matches!(chars.get(*at), Some('!' | '^'));
    *at += usize::from(negated);
    let mut ranges = Vec::new();
    loop {
        let mut take = || {
            let mut c = *chars.get(*at)?;
            *at += 1;
            if c == '\\' {
                c = *chars.get(*at)?;
                *at += 1;
            }
            Some(c)
        };
        let low = take()?;
        if low == ']' && !ranges.is_empty() {
            return Some(Part::Class(negated, ranges));
        }
        let mut high = low;
        if chars.get(*at) == Some(&'-') && chars.get(*at + 1).is_some_and(|c| *c != ']') {
            *at += 1;
            high = *chars.get(*at)?;
            *at += 1;
        }
        ranges.push((low, high));
    }
}

/// Whether the parts, and then those after them, fit all of a text.
fn fits(parts: &[Part], after: &[&[Part]], text: &str, budget: &mut u32) -> bool {
    if *budget == 0 {
        return false;
    }
    *budget -= 1;
    let Some((part, rest)) = parts.split_first() else {
        return match after.split_last() {
            Some((next, before)) => fits(next, before, text, budget),
            None => text.is_empty(),
        };
    };
    match part {
        Part::Literal(literal) => {
            text.strip_prefix(literal.as_str()).is_some_and(|text| fits(rest, after, text, budget))
        }
        Part::One | Part::Class(..) => {
            let Some(c) = text.chars().next() else { return false };
            let fit = match part {
                Part::Class(negated, ranges) => {
                    ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated
                }
                _ => c != '/',
            };
            fit && fits(rest, after, &text[c.len_utf8()..], budget)
        }
        Part::Many | Part::Any => {
            let mut end = 0;
            loop {
                if fits(rest, after, &text[end..], budget) {
                    return true;
                }
                match text[end..].chars().next() {
                    Some('/') if *part == Part::Many => return false,
                    Some(c) => end += c.len_utf8(),
                    None => return false,
                }
            }
        }
        Part::Either(globs) => globs.iter().any(|glob| {
            let mut stack = after.to_vec();
            stack.push(rest);
            fits(&glob.parts, &stack, text, budget)
        }),
    }
}

/// Whether all of a name fits a pattern of Go's `filepath.Match`; none if the pattern is malformed.
pub(super) fn file_match(pattern: &str, name: &str) -> Option<bool> {
    let chars: Vec<char> = pattern.chars().collect();
    let mut parts = Vec::new();
    let mut at = 0;
    while let Some(&c) = chars.get(at) {
        at += 1;
        parts.push(match c {
            '*' => Part::Many,
            '?' => Part::One,
            '[' => match class(&chars, &mut at)? {
                // Go knows only `^`.
                Part::Class(negated, ranges) => Part::Class(negated, ranges),
                _ => return None,
            },
            '\\' => {
                let c = *chars.get(at)?;
                at += 1;
                Part::Literal(c.to_string())
            }
            c => Part::Literal(c.to_string()),
        });
    }
    let mut budget = 100_000;
    Some(fits(&parts, &[], name, &mut budget))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_fit_whole_paths() {
        for (pattern, path, expected) in [
            ("dashboards/*.json", "dashboards/a.json", true),
            ("dashboards/*.json", "dashboards/b/a.json", false),
            ("dashboards/**.json", "dashboards/b/a.json", true),
            ("**", "a/b", true),
            ("{a,b}/*.{yaml,yml}", "b/c.yml", true),
            ("{a,b}/*.{yaml,yml}", "c/c.yml", false),
            ("a[0-9].txt", "a7.txt", true),
            ("a[!0-9].txt", "a7.txt", false),
            ("a?.txt", "a/.txt", false),
        ] {
            assert_eq!(Glob::new(pattern).unwrap().matches(path), expected, "{pattern} {path}");
        }
        assert_eq!(Glob::new("[a"), None);
        assert_eq!(file_match("*.tgz", "a.tgz"), Some(true));
        assert_eq!(file_match("*", "a/b"), Some(false));
        assert_eq!(file_match("[a", "a"), None);
    }
}
