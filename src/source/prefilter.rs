//! Which files cannot hold RBAC, told from their bytes alone.
//!
//! Most files of a repository are no RBAC. Parsing them would make the program an order of
//! magnitude slower than a text search; not parsing them must never change what is found.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, MatchKind};

/// What is looked for, in one pass.
const WORDS: [(&str, Word); 14] = [
    // Every RBAC kind has this in its name: `Role`, `ClusterRole`, the bindings and their lists.
    ("Role", Word::Rbac),
    // A rule has this key, whatever object it is written in.
    ("verbs", Word::Rbac),
    // The verb itself, where it stands in no rule: that is said too.
    ("impersonate", Word::Rbac),
    // What stands encoded in an object does so in this field of a ConfigMap, or in a Secret.
    ("binaryData", Word::Rbac),
    // What calls itself a snapshot is a problem, unless it is the input.
    ("deputize.dev/v1", Word::Rbac),
    ("Secret", Word::Secret),
    // What is packed and encoded begins like that, as releases of Helm do in a ConfigMap.
    ("H4sI", Word::Rbac),
    // Catalogs of OLM hold encoded objects.
    ("olm.bundle.object", Word::Rbac),
    // What begins a directive of a template.
    ("{{", Word::Mark),
    ("{%", Word::Mark),
    ("${", Word::Mark),
    ("<%", Word::Mark),
    ("(@", Word::Mark),
    ("#@", Word::Mark),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    /// Where it stands, RBAC may.
    Rbac,
    /// Likewise, if it stands alone.
    Secret,
    /// Something may be filled in.
    Mark,
}

/// It is built of a few short words, which cannot fail; without it, everything would be parsed. No word begins like another,
/// and with leftmost matches the vectorised search is used.
static FINDER: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(WORDS.map(|(word, _)| word)).ok()
});

/// Whether some reader could see an RBAC object, a rule of one, or data that may encode one in these bytes: the words are
/// written out in them, or may be hidden.
pub fn may_hold_rbac(bytes: &[u8]) -> bool {
    says_rbac(bytes).0 || may_hide(bytes)
}

/// The same of a file that may be a template: something of what it becomes may be filled in.
pub fn may_become_rbac(bytes: &[u8]) -> bool {
    let (says_rbac, is_template) = says_rbac(bytes);
    says_rbac || may_hide(bytes) || is_template && may_fill_in_rbac(bytes)
}

/// Whether words of RBAC are written out; if not, whether marks of a template are.
fn says_rbac(bytes: &[u8]) -> (bool, bool) {
    let Some(finder) = &*FINDER else { return (true, true) };
    let mut is_template = false;
    for found in finder.find_iter(bytes) {
        let says = match WORDS.get(found.pattern().as_usize()) {
            Some((_, Word::Mark)) => {
                is_template = true;
                false
            }
            Some((word, Word::Secret)) => is_kind(bytes, found.start(), word.len()),
            _ => true,
        };
        if says {
            return (true, is_template);
        }
    }
    (false, is_template)
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
    let mut marks = memchr::memchr3_iter(b'\\', b'!', b'%', bytes);
    let is_mark = |at: usize| {
        let rest = bytes.get(at..).unwrap_or_default();
        match rest {
            // The last two begin line breaks that are longer than a byte.
            [b'\\', next, ..] => matches!(next, b'x' | b'u' | b'U' | b'\n' | b'\r' | 0xc2 | 0xe2),
            [b'!', next, ..] => matches!(next, b'!' | b'<'),
            _ => rest.starts_with(b"%TAG"),
        }
    };
    matches!(bytes.first(), Some(0xFE | 0xFF | 0x00)) || marks.any(is_mark)
}

/// Whether a template could become an RBAC object though it does not say so, or change a part of one: its kind may be filled
/// in, its keys, or all of it, a word may be put together, and an overlay names what it changes in code, or what becomes of it.
fn may_fill_in_rbac(bytes: &[u8]) -> bool {
    let is_overlay = || {
        memchr::memmem::find(bytes, b"#@overlay").is_some()
            && ["rules", "roleRef", "subjects", "via="]
                .iter()
                .any(|key| memchr::memmem::find(bytes, key.as_bytes()).is_some())
    };
    memchr::memmem::find_iter(bytes, b"kind").any(|at| is_filled_in(bytes, at))
        || [("{{", "}}"), ("(@", "@)")]
            .iter()
            .any(|(open, close)| memchr::memmem::find_iter(bytes, open).any(|at| splits_word(bytes, at, close)))
        || is_overlay()
        || WRITING.iter().any(|mark| memchr::memmem::find_iter(bytes, mark).any(|at| may_write_key(bytes, at)))
        || memchr::memmem::find(bytes, b"--- #@ ").is_some()
}

/// What begins directives that write something.
const WRITING: [&[u8]; 5] = [b"{{", b"{%", b"(@", b"<%=", b"${"];
/// Statements of Jinja's that write another file.
const INCLUDING: [&[u8]; 3] = [b"include", b"extends", b"import"];

/// Whether something is written where a document or a key of its own may begin: only blanks, quotes and directives stand
/// before it on its line.
fn may_write_key(bytes: &[u8], at: usize) -> bool {
    let rest = bytes.get(at..).unwrap_or_default();
    if let Some(statement) = rest.strip_prefix(b"{%") {
        let statement = statement.strip_prefix(b"-").or(statement.strip_prefix(b"+")).unwrap_or(statement);
        let statement = statement.trim_ascii_start();
        if !INCLUDING.iter().any(|word| statement.starts_with(word)) {
            return false;
        }
    }
    // Keys are short.
    let before = bytes.get(at.saturating_sub(256)..at).unwrap_or_default();
    let line = before.rsplit(|byte| matches!(byte, b'\n' | b'\r')).next().unwrap_or_default();
    let line = line.strip_prefix(b"--- ").unwrap_or(line).trim_ascii();
    let line = line.strip_prefix(b"?").unwrap_or(line).trim_ascii();
    matches!(line, b"" | b"\"" | b"'") || line.ends_with(b"}")
}

/// Whether a directive that begins at `at` stands in the middle of a word.
fn splits_word(bytes: &[u8], at: usize, close: &str) -> bool {
    let is_letter = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_alphabetic);
    // The mark may stand in a string of the directive too; then a later one counts.
    let rest = bytes.get(at..bytes.len().min(at + 1024)).unwrap_or_default();
    is_letter(at.checked_sub(1))
        && memchr::memmem::find_iter(rest, close).any(|end| is_letter(Some(at + end + close.len())))
}

/// Whether a template may read other files of its chart, as `.Files.Get` does.
pub fn may_read_files(bytes: &[u8]) -> bool {
    memchr::memmem::find(bytes, b"{{").is_some() && memchr::memmem::find(bytes, b"Files").is_some()
}

/// Whether a directive stands on a line behind `at`, or begins the next.
fn is_filled_in(bytes: &[u8], at: usize) -> bool {
    // Kinds are short.
    let rest = bytes.get(at..bytes.len().min(at + 256)).unwrap_or_default();
    let (line, next) = rest.iter().position(|byte| *byte == b'\n').map_or((rest, &[][..]), |end| rest.split_at(end));
    let marks = || WORDS.iter().filter(|(_, word)| *word == Word::Mark).map(|(mark, _)| mark.as_bytes());
    let next = next.trim_ascii_start();
    // ytt writes what stands before its code on the line.
    marks().any(|mark| memchr::memmem::find(line, mark).is_some() || mark != b"#@" && next.starts_with(mark))
}

#[cfg(test)]
mod tests {
    use super::{may_become_rbac, may_hold_rbac};

    #[test]
    fn only_files_without_any_way_to_write_a_kind_are_left_out() {
        for bytes in [
            &b"kind: ClusterRole\n"[..],
            b"kind: \"\\u0052ole\"\n",
            b"kind: \"\\x52ole\"\n",
            b"kind: \"Ro\\\n  le\"\n",
            b"kind: \"Ro\\\xe2\x80\xa8le\"\n",
            b"kind: !!binary Um9sZQ==\n",
            b"kind: !<tag:yaml.org,2002:binary> Um9sZQ==\n",
            b"%TAG ! tag:yaml.org,2002:\n---\nkind: !binary Um9sZQ==\n",
            b"\xff\xfek\0i\0n\0d\0",
            b"\xfe\xff\0k\0i\0n\0d",
            b"spec: {rules: [{\"verbs\": [x]}]}\n",
            b"kind: Secret\ndata: {a: aGk=}\n",
            b"{\"kind\":\"SecretList\"}",
            b"binaryData: {a: aGk=}\n",
            b"apiVersion: deputize.dev/v1\nkind: Snapshot\n",
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
            b"kind: #@ kind()\n",
            b"kind: ${KIND}\n",
            b"kind: <%= kind %>\n",
            b"\"ki(@= 'n' @)d\": x\n",
            b"#@overlay/match by=all\n---\nrules: []\n",
            b"--- #@ role()\n",
        ] {
            assert!(!may_hold_rbac(bytes), "{bytes:?}");
            assert!(may_become_rbac(bytes), "{bytes:?}");
        }
        for bytes in
            [&b"kind: Service\nname: {{ .x }}\n"[..], b"kind: x", b"kind: x\n#@overlay/match by=all\n---\nspec: {}\n"]
        {
            assert!(!may_become_rbac(bytes), "{bytes:?}");
        }
    }
}
