//! `.helmignore`: which files of a directory are no part of the chart.

use super::glob::file_match;

/// The rules of a `.helmignore` file.
#[derive(Debug, Default)]
pub struct Rules {
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    pattern: String,
    negated: bool,
    directories_only: bool,
    /// Whether the pattern is for the last part of a path, whatever is before it.
    name_only: bool,
}

impl Rules {
    /// Reads a `.helmignore` file. What Helm adds to every one is added.
    ///
    /// # Errors
    /// When Helm would refuse it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut rules = Self::default();
        for line in text.strip_prefix('\u{feff}').unwrap_or(text).lines() {
            rules.add(line)?;
        }
        rules.add("templates/.?*")?;
        Ok(rules)
    }

    fn add(&mut self, line: &str) -> Result<(), String> {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            return Ok(());
        }
        if line.contains("**") {
            return Err("double-star (**) syntax is not supported in .helmignore".to_owned());
        }
        if file_match(line, "abc").is_none() {
            return Err(format!("syntax error in pattern {line:?} of .helmignore"));
        }
        let (negated, rule) = line.strip_prefix('!').map_or((false, line), |rule| (true, rule));
        let (directories_only, rule) = rule.strip_suffix('/').map_or((false, rule), |rule| (true, rule));
        let (pattern, name_only) = match rule.strip_prefix('/') {
            Some(rule) => (rule, false),
            None => (rule, !rule.contains('/')),
        };
        self.rules.push(Rule { pattern: pattern.to_owned(), negated, directories_only, name_only });
        Ok(())
    }

    /// Whether a path in the chart is ignored. A directory that is takes all in it along.
    pub fn ignores(&self, path: &str, is_directory: bool) -> bool {
        for rule in &self.rules {
            let name = if rule.name_only { path.rsplit('/').next().unwrap_or(path) } else { path };
            let fits = file_match(&rule.pattern, name).unwrap_or(false);
            if rule.negated {
                if rule.directories_only && !is_directory || !fits {
                    return true;
                }
            } else if (!rule.directories_only || is_directory) && fits {
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_those_of_helm() {
        let rules = Rules::parse("# c\n*.swp\n/top.txt\ndocs/\na/*.md\n").unwrap();
        for (path, is_directory, expected) in [
            ("x/y.swp", false, true),
            ("top.txt", false, true),
            ("x/top.txt", false, false),
            ("docs", true, true),
            ("docs", false, false),
            ("x/docs", true, true),
            ("a/b.md", false, true),
            ("x/a/b.md", false, false),
            ("templates/.hidden", false, true),
            ("templates/a.yaml", false, false),
        ] {
            assert_eq!(rules.ignores(path, is_directory), expected, "{path}");
        }
        assert!(Rules::parse("a/**").is_err());
        assert!(Rules::parse("[a").is_err());
    }
}
