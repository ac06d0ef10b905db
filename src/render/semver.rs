//! Versions and constraints, as `Masterminds/semver` reads them.

use std::cmp::Ordering;
use std::fmt;
use std::sync::LazyLock;

use regex::Regex;

/// A semantic version.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Version {
    /// The first number.
    pub major: u64,
    /// The second one.
    pub minor: u64,
    /// The third one.
    pub patch: u64,
    /// What follows a hyphen.
    pub pre: String,
    /// What follows a plus sign.
    pub metadata: String,
    /// As it was written.
    pub original: String,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)?;
        if !self.pre.is_empty() {
            write!(f, "-{}", self.pre)?;
        }
        if !self.metadata.is_empty() {
            write!(f, "+{}", self.metadata)?;
        }
        Ok(())
    }
}

fn is_identifiers(text: &str) -> bool {
    text.split('.').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))
}

impl Version {
    /// Parses a version: with or without `v`, with one to three numbers.
    ///
    /// # Errors
    /// The message that Helm gives.
    pub fn parse(text: &str) -> Result<Self, String> {
        let invalid = || "invalid semantic version".to_owned();
        let bare = text.strip_prefix('v').unwrap_or(text);
        let (rest, metadata) = bare.split_once('+').map_or((bare, None), |(rest, metadata)| (rest, Some(metadata)));
        let (numbers, pre) = rest.split_once('-').map_or((rest, None), |(numbers, pre)| (numbers, Some(pre)));
        if metadata.is_some_and(|metadata| !is_identifiers(metadata)) || pre.is_some_and(|pre| !is_identifiers(pre)) {
            return Err(invalid());
        }
        let mut parsed = [0; 3];
        let parts: Vec<&str> = numbers.split('.').collect();
        if parts.len() > 3 {
            return Err(invalid());
        }
        for (slot, part) in parsed.iter_mut().zip(parts) {
            if part.is_empty() || !part.bytes().all(|b| b.is_ascii_digit()) {
                return Err(invalid());
            }
            *slot = part.parse().map_err(|_| invalid())?;
        }
        let [major, minor, patch] = parsed;
        let text_of = |part: Option<&str>| part.unwrap_or_default().to_owned();
        Ok(Self { major, minor, patch, pre: text_of(pre), metadata: text_of(metadata), original: text.to_owned() })
    }

    /// The order of releases. What follows a plus sign does not count.
    pub fn cmp_precedence(&self, other: &Self) -> Ordering {
        (self.major, self.minor, self.patch)
            .cmp(&(other.major, other.minor, other.patch))
            .then_with(|| compare_pre(&self.pre, &other.pre))
    }
}

fn compare_pre(a: &str, b: &str) -> Ordering {
    match (a.is_empty(), b.is_empty()) {
        (true, true) => return Ordering::Equal,
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    let (mut a, mut b) = (a.split('.'), b.split('.'));
    loop {
        let order = match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some(a), Some(b)) => match (a.parse::<u64>(), b.parse::<u64>()) {
                (Ok(a), Ok(b)) => a.cmp(&b),
                (Ok(_), Err(_)) => Ordering::Less,
                (Err(_), Ok(_)) => Ordering::Greater,
                (Err(_), Err(_)) => a.cmp(b),
            },
        };
        if order.is_ne() {
            return order;
        }
    }
}

/// What a version must satisfy: one of several groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Constraints {
    groups: Vec<Vec<Constraint>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Constraint {
    operator: String,
    version: Version,
    /// Whether some number is left out or a wildcard, and which.
    dirty: bool,
    minor_dirty: bool,
    patch_dirty: bool,
}

const OPERATORS: &str = r"=||!=|>|<|>=|=>|<=|=<|~|~>|\^";
const VERSION: &str = r"v?([0-9|x|X|\*]+)(\.[0-9|x|X|\*]+)?(\.[0-9|x|X|\*]+)?(-([0-9A-Za-z\-]+(\.[0-9A-Za-z\-]+)*))?(\+([0-9A-Za-z\-]+(\.[0-9A-Za-z\-]+)*))?";

struct Patterns {
    one: Regex,
    range: Regex,
    find: Regex,
    valid: Regex,
}

static PATTERNS: LazyLock<Option<Patterns>> = LazyLock::new(|| {
    Some(Patterns {
        one: Regex::new(&format!(r"^\s*({OPERATORS})\s*({VERSION})\s*$")).ok()?,
        range: Regex::new(&format!(r"\s*({VERSION})\s+-\s+({VERSION})\s*")).ok()?,
        find: Regex::new(&format!(r"({OPERATORS})\s*({VERSION})")).ok()?,
        valid: Regex::new(&format!(
            r"^(\s*({OPERATORS})\s*({VERSION})\s*)((?:\s+|,\s*)({OPERATORS})\s*({VERSION})\s*)*$"
        ))
        .ok()?,
    })
});

impl Constraints {
    /// Parses constraints, such as `>=1.2 <2 || ^3`.
    ///
    /// # Errors
    /// The message that Helm gives.
    pub fn parse(text: &str) -> Result<Self, String> {
        const LONGEST: usize = 512;
        let Some(patterns) = PATTERNS.as_ref() else { return Err("improper constraint".to_owned()) };
        if text.len() > LONGEST {
            return Err(format!("constraint string is too long (max {LONGEST} bytes)"));
        }
        let text = patterns.range.replace_all(text, ">= $1, <= $11 ");
        let mut groups = Vec::new();
        for group in text.split("||") {
            if !patterns.valid.is_match(group) {
                return Err(format!("improper constraint: {group:?}"));
            }
            let found: Vec<&str> = patterns.find.find_iter(group).map(|found| found.as_str()).collect();
            let found = if found.is_empty() { vec![group] } else { found };
            groups.push(found.into_iter().map(|one| Constraint::parse(one, patterns)).collect::<Result<_, _>>()?);
        }
        Ok(Self { groups })
    }

    /// Whether a version satisfies them.
    pub fn check(&self, version: &Version) -> bool {
        self.groups.iter().any(|group| {
            let allows_pre = group.iter().any(|constraint| !constraint.version.pre.is_empty());
            (version.pre.is_empty() || allows_pre) && group.iter().all(|constraint| constraint.check(version))
        })
    }
}

impl Constraint {
    fn parse(text: &str, patterns: &Patterns) -> Result<Self, String> {
        let improper = || format!("improper constraint: {text:?}");
        let found = patterns.one.captures(text).ok_or_else(improper)?;
        let part = |index: usize| found.get(index).map_or("", |part| part.as_str());
        let is_open = |text: &str| matches!(text.trim_start_matches('.'), "" | "x" | "X" | "*");
        let pre = part(6);
        let (version, dirty, minor_dirty, patch_dirty) = if is_open(part(3)) {
            (format!("0.0.0{pre}"), true, false, false)
        } else if is_open(part(4)) {
            (format!("{}.0.0{pre}", part(3)), true, true, false)
        } else if is_open(part(5)) {
            (format!("{}{}.0{pre}", part(3), part(4)), true, false, true)
        } else {
            (part(2).to_owned(), false, false, false)
        };
        let version = Version::parse(&version).map_err(|_| "constraint parser error".to_owned())?;
        Ok(Self { operator: part(1).to_owned(), version, dirty, minor_dirty, patch_dirty })
    }

    fn check(&self, v: &Version) -> bool {
        let c = &self.version;
        let order = v.cmp_precedence(c);
        match self.operator.as_str() {
            "" | "=" if self.dirty => self.tilde(v),
            "" | "=" => order.is_eq(),
            "!=" => self.differs(v),
            ">" if !self.dirty => order.is_gt(),
            ">" => match v.major.cmp(&c.major) {
                Ordering::Greater => true,
                Ordering::Less => false,
                Ordering::Equal if self.minor_dirty => false,
                Ordering::Equal if self.patch_dirty => v.minor > c.minor,
                Ordering::Equal => order.is_gt(),
            },
            "<" => order.is_lt(),
            ">=" | "=>" => order.is_ge(),
            "<=" | "=<" if !self.dirty => order.is_le(),
            "<=" | "=<" => !(v.major > c.major || v.major == c.major && v.minor > c.minor && !self.minor_dirty),
            "~" | "~>" => self.tilde(v),
            "^" => self.caret(v),
            _ => false,
        }
    }

    fn differs(&self, v: &Version) -> bool {
        let c = &self.version;
        if self.dirty {
            if c.major != v.major || c.minor != v.minor && !self.minor_dirty {
                return true;
            }
            if self.minor_dirty {
                return false;
            }
            if c.patch != v.patch && !self.patch_dirty {
                return true;
            }
            if self.patch_dirty {
                return compare_pre(&v.pre, &c.pre).is_ne();
            }
        }
        v.cmp_precedence(c).is_ne()
    }

    fn tilde(&self, v: &Version) -> bool {
        let c = &self.version;
        if v.cmp_precedence(c).is_lt() {
            return false;
        }
        if (c.major, c.minor, c.patch) == (0, 0, 0) && !self.minor_dirty && !self.patch_dirty {
            return true;
        }
        v.major == c.major && (v.minor == c.minor || self.minor_dirty)
    }

    fn caret(&self, v: &Version) -> bool {
        let c = &self.version;
        if v.cmp_precedence(c).is_lt() {
            return false;
        }
        if c.major > 0 || self.minor_dirty {
            return v.major == c.major;
        }
        if v.major > 0 {
            return false;
        }
        if c.minor > 0 || self.patch_dirty {
            return v.minor == c.minor;
        }
        v.minor == 0 && c.patch == v.patch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constraints_are_those_of_helm() {
        for (constraint, version, expected) in [
            (">=1.19-0", "v1.37.0", true),
            (">=1.19", "1.37.0-beta.1", false),
            (">=1.19-0", "1.37.0-beta.1", true),
            ("<1.14-0", "1.13.9", true),
            ("^1.2", "1.9.0", true),
            ("^1.2", "2.0.0", false),
            ("~1.2.3", "1.2.9", true),
            ("~1.2.3", "1.3.0", false),
            ("1.x", "1.5.0", true),
            ("*", "3.0.0", true),
            (">1.2", "1.2.5", false),
            (">1.2", "1.3.0", true),
            ("1.2 - 1.4", "1.3.9", true),
            (">= 1.2, < 2 || >=3", "3.1.0", true),
            (">=1.2 <2", "2.0.0", false),
            ("!=1.2.x", "1.2.7", false),
            ("^0.2.3", "0.2.9", true),
            ("^0.2.3", "0.3.0", false),
            ("2.x.x", "2.31.4", true),
        ] {
            let constraints = Constraints::parse(constraint).unwrap();
            let version = Version::parse(version).unwrap();
            assert_eq!(constraints.check(&version), expected, "{constraint} {version}");
        }
        assert!(Constraints::parse("new").is_err());
        assert!(Version::parse("1.2.3.4").is_err());
    }
}
