//! Which files cannot hold RBAC, told from their bytes alone.
//!
//! Most files of a repository are no RBAC. Parsing them would make the program an order of
//! magnitude slower than a text search; not parsing them must never change what is found.

use std::sync::LazyLock;

use memchr::memmem::Finder;

/// Every RBAC kind has this in its name: `Role`, `ClusterRole`, the bindings and their lists.
static ROLE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("Role"));
/// A rule has this key, whatever object it is written in.
static VERBS: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("verbs"));
/// The verb itself, where it stands in no rule: that is said too.
static IMPERSONATE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("impersonate"));
/// What stands encoded in an object does so in a Secret, or in this field of a ConfigMap.
static SECRET: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("Secret"));
static BINARY_DATA: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("binaryData"));

/// What begins a directive of the commonest template languages.
static MARK: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("{{"));

/// Whether some reader could see an RBAC object, a rule of one, or data that may encode one in these bytes: the words are
/// written out in them, or may be hidden.
pub fn may_hold_rbac(bytes: &[u8]) -> bool {
    matches!(bytes.first(), Some(0xFE | 0xFF | 0x00))
        || [&ROLE, &VERBS, &IMPERSONATE, &BINARY_DATA].into_iter().any(|word| word.find(bytes).is_some())
        || SECRET.find_iter(bytes).any(|at| is_kind(bytes, at, "Secret".len()))
        || may_hide(bytes)
}

/// Whether a word stands alone, or is the kind of a list of its objects. Most files that speak of secrets have
/// `secretKeyRef`, `imagePullSecrets` or `ExternalSecret`.
fn is_kind(bytes: &[u8], at: usize, length: usize) -> bool {
    let rest = bytes.get(at + length..).unwrap_or_default();
    let before = at.checked_sub(1).and_then(|before| bytes.get(before));
    let is_word = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    !is_word(before) && (!is_word(rest.first()) || rest.starts_with(b"List"))
}

/// Whether words may be written in these bytes in a way that only parsing can tell: a double-quoted escape (`"\u0052ole"`,
/// or a line continued by a backslash), a tag (`!!binary`), or an encoding in which the bytes differ (UTF-16 and UTF-32,
/// which YAML readers recognise by their byte order mark).
pub fn may_hide(bytes: &[u8]) -> bool {
    memchr::memchr3_iter(b'\\', b'!', b'%', bytes).any(|at| {
        let rest = bytes.get(at..).unwrap_or_default();
        match rest {
            [b'\\', next, ..] => matches!(next, b'x' | b'u' | b'U' | b'\n' | b'\r'),
            [b'!', next, ..] => matches!(next, b'!' | b'<'),
            _ => rest.starts_with(b"%TAG"),
        }
    })
}

/// Whether a template could become an RBAC object though [`may_hold_rbac`] does not say so, or holds a part of one: its
/// kind may be filled in, and its rules may stand elsewhere.
pub fn may_hold_templated_rbac(bytes: &[u8]) -> bool {
    let mentions = || memchr::memmem::find(bytes, b"impersonate").is_some();
    MARK.find(bytes).is_some()
        && (mentions()
            || memchr::memmem::find_iter(bytes, b"kind").any(|at| is_filled_in(bytes, at))
            || MARK.find_iter(bytes).any(|at| splits_word(bytes, at)))
}

/// Whether a directive that begins at `at` stands in the middle of a word.
fn splits_word(bytes: &[u8], at: usize) -> bool {
    let is_letter = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_alphabetic);
    // The mark may stand in a string of the directive too; then a later one counts.
    let rest = bytes.get(at..bytes.len().min(at + 1024)).unwrap_or_default();
    is_letter(at.checked_sub(1)) && memchr::memmem::find_iter(rest, b"}}").any(|end| is_letter(Some(at + end + 2)))
}

/// Whether a template may read other files of its chart, as `.Files.Get` does.
pub fn may_read_files(bytes: &[u8]) -> bool {
    MARK.find(bytes).is_some() && memchr::memmem::find(bytes, b"Files").is_some()
}

/// Whether a directive stands on a line behind `at`, or begins the next.
fn is_filled_in(bytes: &[u8], at: usize) -> bool {
    // Kinds are short.
    let rest = bytes.get(at..bytes.len().min(at + 256)).unwrap_or_default();
    let (line, next) = rest.iter().position(|byte| *byte == b'\n').map_or((rest, &[][..]), |end| rest.split_at(end));
    memchr::memmem::find(line, b"{{").is_some() || next.trim_ascii_start().starts_with(b"{{")
}

#[cfg(test)]
mod tests {
    use super::{may_hold_rbac, may_hold_templated_rbac};

    #[test]
    fn only_files_without_any_way_to_write_a_kind_are_left_out() {
        for bytes in [
            &b"kind: ClusterRole\n"[..],
            b"kind: \"\\u0052ole\"\n",
            b"kind: \"\\x52ole\"\n",
            b"kind: \"Ro\\\n  le\"\n",
            b"kind: !!binary Um9sZQ==\n",
            b"kind: !<tag:yaml.org,2002:binary> Um9sZQ==\n",
            b"%TAG ! tag:yaml.org,2002:\n---\nkind: !binary Um9sZQ==\n",
            b"\xff\xfek\0i\0n\0d\0",
            b"\xfe\xff\0k\0i\0n\0d",
            b"spec: {rules: [{\"verbs\": [x]}]}\n",
            b"kind: Secret\ndata: {a: aGk=}\n",
            b"{\"kind\":\"SecretList\"}",
            b"binaryData: {a: aGk=}\n",
        ] {
            assert!(may_hold_rbac(bytes), "{bytes:?}");
        }
        for bytes in [&b"kind: Deployment\n"[..], b"a: \"tab\\t\"\nb: 50%\nc: hi!\n", b"imagePullSecrets: []\n", b""] {
            assert!(!may_hold_rbac(bytes), "{bytes:?}");
        }
    }

    #[test]
    fn templates_that_only_become_rbac() {
        for bytes in [
            &b"kind: {{ .Values.kind }}\n"[..],
            b"kind: Cluster{{ .x }}\n",
            b"kind: Clus\n{{- \"terRo\" -}}\nle\n",
            b"kind:\n  {{ .x }}\n",
            b"kin{{/**/}}d: ClusterRo{{/**/}}le\n",
            b"{\"kind\": {{ .x | quote }}}",
            b"{{ define \"rules\" }}\n- verbs: [impersonate]\n{{ end }}\n",
        ] {
            assert!(may_hold_templated_rbac(bytes), "{bytes:?}");
        }
        for bytes in [&b"kind: Service\nname: {{ .x }}\n"[..], b"verbs: [impersonate]\n", b"kind: x"] {
            assert!(!may_hold_templated_rbac(bytes), "{bytes:?}");
        }
    }
}
