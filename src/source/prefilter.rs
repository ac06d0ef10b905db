//! Which files cannot hold an RBAC object, told from their bytes alone.
//!
//! Most files of a repository are no RBAC. Parsing them would make the program an order of
//! magnitude slower than a text search; not parsing them must never change what is found.

use std::sync::LazyLock;

use memchr::memmem::Finder;

/// Every RBAC kind has this in its name: `Role`, `ClusterRole`, the bindings and their lists.
static ROLE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("Role"));

/// Whether some reader could see an RBAC kind in these bytes.
///
/// The kind is written out in them, or in a way that only parsing can tell: a double-quoted escape
/// (`"\u0052ole"`, or a line continued by a backslash), a tag (`!!binary`), or an encoding in which the bytes
/// differ (UTF-16 and UTF-32, which YAML readers recognise by their byte order mark).
pub fn may_hold_rbac(bytes: &[u8]) -> bool {
    if matches!(bytes.first(), Some(0xFE | 0xFF | 0x00)) || ROLE.find(bytes).is_some() {
        return true;
    }
    memchr::memchr3_iter(b'\\', b'!', b'%', bytes).any(|at| {
        let rest = bytes.get(at..).unwrap_or_default();
        match rest {
            [b'\\', next, ..] => matches!(next, b'x' | b'u' | b'U' | b'\n' | b'\r'),
            [b'!', next, ..] => matches!(next, b'!' | b'<'),
            _ => rest.starts_with(b"%TAG"),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::may_hold_rbac;

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
        ] {
            assert!(may_hold_rbac(bytes), "{bytes:?}");
        }
        for bytes in [&b"kind: Deployment\n"[..], b"a: \"tab\\t\"\nb: 50%\nc: hi!\n", b""] {
            assert!(!may_hold_rbac(bytes), "{bytes:?}");
        }
    }
}
