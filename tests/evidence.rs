//! `evidence`: audit logs in, distinct requests out, whatever way the logs are cut up.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::io::Write;

use common::{deputize_in, deputize_with};
use serde_json::{Value, json};

const LIKE_A_HASH: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

/// A log of a few clients: impersonated requests in every stage, refusals, and requests that are nobody's concern.
fn log(seed: u64) -> Vec<String> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut lines = Vec::new();
    for index in 0..400 {
        let time = format!("2026-01-{:02}T00:00:{:02}.000000Z", rng.u32(1..29), rng.u32(0..60));
        let user = ["alice", "system:serviceaccount:apps:deputy"][rng.usize(0..2)];
        let target = ["panda", "system:serviceaccount:shop:app", "system:node:n1"][rng.usize(0..3)];
        let groups = match target {
            "panda" => json!(["devs", "system:authenticated"]),
            "system:node:n1" => json!(["system:nodes", "system:authenticated"]),
            _ => json!(["system:serviceaccounts", "system:serviceaccounts:shop", "system:authenticated"]),
        };
        let mut event = json!({
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "auditID": format!("id-{index}"), "verb": "watch",
            "requestURI": "/api/v1/namespaces/shop/pods?watch=true", "user": {"username": user, "groups": ["b", "a"]},
            "objectRef": {"resource": "pods", "namespace": "shop"}, "requestReceivedTimestamp": time,
        });
        match rng.u32(0..10) {
            0 => {
                event["responseStatus"] =
                    json!({"code": 403, "message": format!("User \"{user}\" cannot impersonate resource \"users\"")})
            }
            1 => {}
            2 => {
                event["verb"] = json!("create");
                event["objectRef"] = json!({"resource": "subjectaccessreviews", "apiGroup": "authorization.k8s.io"});
                event["requestObject"] = json!({"spec": {"user": target, "groups": groups, "resourceAttributes":
                    {"verb": "impersonate", "resource": "users", "name": "\u{202e}panda"}}});
            }
            _ => {
                event["impersonatedUser"] = json!({"username": target, "groups": groups});
                if rng.bool() {
                    // The last is a value, although it looks like a hash.
                    let values = ["t-1", "", "t-2", LIKE_A_HASH];
                    let values: Vec<&str> = (0..rng.usize(1..3)).map(|_| values[rng.usize(0..values.len())]).collect();
                    event["impersonatedUser"]["extra"] = json!({"acme.com/token": values});
                }
            }
        }
        if target == "system:node:n1" {
            event["authenticationMetadata"] = json!({"impersonationConstraint": "impersonate:arbitrary-node"});
        }
        for stage in ["ResponseStarted", "ResponseComplete"].iter().take(rng.usize(1..3)) {
            event["stage"] = json!(stage);
            lines.push(event.to_string());
        }
    }
    rng.shuffle(&mut lines);
    lines
}

fn condense(input: &str) -> String {
    let run = deputize_with(&["evidence"], input.as_bytes());
    assert_eq!(run.status, 0, "{}", run.stderr);
    run.stdout
}

/// Of a request Google Cloud logs who made it as whom, and no more. That is kept, condensed and merged, and is no request.
#[test]
fn what_google_cloud_shows_is_kept() {
    let entry = |requestor: &str, user: &str, time: &str| {
        json!({"logName": "x", "timestamp": time, "protoPayload": {
            "@type": "type.googleapis.com/google.cloud.audit.AuditLog", "serviceName": "k8s.io",
            "methodName": "io.k8s.core.v1.pods.list", "resourceName": "core/v1/namespaces/shop/pods",
            "authenticationInfo": {"principalEmail": requestor, "authoritySelector": user}}})
        .to_string()
    };
    let proxy = "system:serviceaccount:apps:proxy";
    let log = [entry(proxy, "panda", "b"), entry("\u{202e}x@example.com", "panda", "c"), entry(proxy, "panda", "a")];
    let condensed = condense(&log.join("\n"));
    let expected = [
        r#"{"schema":"deputize.evidence/v1","glimpse":{"user":"system:serviceaccount:apps:proxy","impersonate":{"user":"panda"}},"count":2,"first":"a","last":"b"}"#,
        r#"{"schema":"deputize.evidence/v1","glimpse":{"user":"\u202ex@example.com","impersonate":{"user":"panda"}},"count":1,"first":"c","last":"c"}"#,
        "",
    ];
    assert_eq!(condensed, expected.join("\n"));
    let shards = [condense(&log[2]), condense(&log[..2].join("\n"))];
    assert_eq!(condense(&shards.concat()), condensed);
    let simulated = deputize_with(&["simulate", "testdata/platform"], condensed.as_bytes());
    assert_eq!((simulated.status, simulated.stdout.as_str()), (0, ""));
}

/// The server adds groups to every user, so that lines with and without them are of one request.
#[test]
fn what_differs_only_in_what_is_added_is_one_request() {
    let line = |groups: &[&str], first: &str| {
        let request = json!({"user": "alice", "groups": groups, "impersonate": {"user": "panda"}, "verb": "get"});
        json!({"schema": "deputize.evidence/v1", "request": request, "mode": "legacy", "count": 2, "first": first,
            "last": "b"})
        .to_string()
    };
    let added = ["devs", "system:authenticated"];
    let condensed = condense(&[line(&["devs"], "b"), line(&added, "a")].join("\n"));
    let expected = condense(&line(&added, "a")).replace("\"count\":2", "\"count\":4");
    assert_eq!(condensed, expected);
}

#[test]
fn shards_condensed_anywhere_and_merged_in_any_order_are_the_whole() {
    for seed in 0..8 {
        let lines = log(seed);
        let whole = condense(&lines.join("\n"));
        assert!(whole.lines().count() > 5);
        // What was exported on Windows begins with a byte order mark.
        assert_eq!(condense(&format!("\u{feff}{}", lines.join("\n"))), whole);
        let mut shards: Vec<String> = lines.chunks(37).map(|shard| condense(&shard.join("\n"))).collect();
        assert_eq!(condense(&shards.concat()), whole);
        shards.reverse();
        let (left, right) = shards.split_at(shards.len() / 2);
        assert_eq!(condense(&(condense(&right.concat()) + &condense(&left.concat()))), whole);
        assert_eq!(condense(&whole), whole);
    }
}

/// Values of extras are hashed wherever they come from: a log, evidence with hashes, or evidence with values.
#[test]
fn logs_and_evidence_with_and_without_values_are_merged_in_any_order() {
    let keep = |input: &str| deputize_with(&["evidence", "--keep-extra-values"], input.as_bytes()).stdout;
    for seed in 0..8 {
        let lines = log(seed);
        let whole = condense(&lines.join("\n"));
        let kept = keep(&lines.join("\n"));
        assert!(kept.contains("\"t-1\"") && !whole.contains("\"t-1\"") && whole.contains("[\"\"]"));
        // What looks like a hash is hashed, so that it cannot be taken for the value whose hash it is.
        assert!(!kept.contains(LIKE_A_HASH) && !whole.contains(LIKE_A_HASH));
        assert_eq!((condense(&kept), keep(&kept)), (whole.clone(), kept));
        let mut shards: Vec<String> = lines
            .chunks(23)
            .enumerate()
            .map(|(index, shard)| match (index % 3, shard.join("\n")) {
                (0, shard) => shard + "\n",
                (1, shard) => condense(&shard),
                (_, shard) => keep(&shard),
            })
            .collect();
        assert_eq!(condense(&shards.concat()), whole);
        let mixed = keep(&shards.concat());
        assert_eq!(condense(&mixed), whole);
        shards.reverse();
        let (left, right) = shards.split_at(shards.len() / 2);
        assert_eq!(condense(&(condense(&right.concat()) + &keep(&left.concat()))), whole);
        assert_eq!(keep(&(keep(&right.concat()) + &keep(&left.concat()))), mixed);
    }
}

#[test]
fn a_large_file_shows_what_its_stream_shows() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.log");
    for seed in 0..6 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut text = String::new();
        for line in log(seed) {
            // Padding in the line or behind it moves ends of lines over the ends of blocks; one line is longer than two.
            let length = if rng.u32(0..100) == 0 { rng.usize(1 << 20..3 << 20) } else { rng.usize(0..8 << 10) };
            let padding = "x".repeat(length);
            if rng.bool() {
                text += &line.replacen('{', &format!("{{\"padding\":\"{padding}\","), 1);
            } else {
                text += &format!("{line}\n{{\"padding\":\"{padding}\"}}");
            }
            text.push('\n');
        }
        // Ends of lines right at the end of a block, and behind it.
        for end in [4 << 20, (6 << 20) + 1] {
            let begin = text[..end].rfind('\n').unwrap() + 1;
            text.replace_range(begin..end - 1, &" ".repeat(end - 1 - begin));
            text.replace_range(end - 1..end, "\n");
        }
        // The last line is cut off.
        text.truncate(text.len() - rng.usize(0..30));
        std::fs::write(&path, &text).unwrap();
        let file = deputize_in(directory.path(), &["evidence", "audit.log"]);
        let stream = deputize_with(&["evidence"], text.as_bytes());
        assert_eq!((&file.stdout, file.status), (&stream.stdout, stream.status), "{seed}");
        let counts = |stderr: &str| {
            stderr.lines().find_map(|line| line.split_once(": JSON").map(|(_, counts)| counts.to_owned()))
        };
        assert_eq!(counts(&file.stderr), counts(&stream.stderr), "{seed}");
        assert!(file.stdout.lines().count() > 5);
    }
}

#[test]
fn values_over_many_lines_are_read() {
    let lines = log(5);
    let expected = condense(&lines.join("\n"));
    let events: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let stream: Vec<String> = events.iter().map(|event| serde_json::to_string_pretty(event).unwrap()).collect();
    assert_eq!(condense(&stream.join("\n")), expected);
    assert_eq!(condense(&serde_json::to_string_pretty(&events).unwrap()), expected);
    assert_eq!(condense(&serde_json::to_string_pretty(&json!({"items": events})).unwrap()), expected);
}

#[test]
fn a_directory_of_rotated_logs_is_one_log() {
    let lines = log(7);
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("audit.log"), lines[..200].join("\n")).unwrap();
    let file = std::fs::File::create(directory.path().join("audit-1.log.gz")).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    gzip.write_all(lines[200..].join("\n").as_bytes()).unwrap();
    gzip.finish().unwrap();
    let run = deputize_in(directory.path(), &["evidence", "."]);
    assert_eq!(run.stdout, condense(&lines.join("\n")));
    assert!(run.stderr.contains("\nread 2 logs: "), "{}", run.stderr);
}

#[test]
fn a_log_that_breaks_off_is_read_as_far_as_it_goes() {
    let lines = log(3);
    let directory = tempfile::tempdir().unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(lines.join("\n").as_bytes()).unwrap();
    let mut bytes = gzip.finish().unwrap();
    bytes.truncate(bytes.len() / 2);
    std::fs::write(directory.path().join("audit.log.gz"), bytes).unwrap();
    let run = deputize_in(directory.path(), &["evidence", "audit.log.gz"]);
    assert_eq!(run.status, 2);
    assert!(run.stdout.lines().count() > 1);
    assert!(run.stderr.contains("audit.log.gz: error: cannot be read: gzip: "), "{}", run.stderr);
    let cut = &lines[0][..lines[0].len() - 1];
    let run = deputize_with(&["evidence"], format!("{}\n{cut}", lines[1]).as_bytes());
    assert_eq!((run.status, run.stdout.lines().count()), (2, 1));
    assert!(run.stderr.starts_with("-: error: an event is cut off, in line 2\n"), "{}", run.stderr);
    assert_eq!(deputize_in(directory.path(), &["evidence", "nowhere"]).status, 2);
}

#[test]
fn reviews_for_the_verb_itself_follow_the_requests() {
    let event = json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Request", "stage": "ResponseComplete",
        "verb": "create", "requestURI": "/apis/authorization.k8s.io/v1/subjectaccessreviews",
        "user": {"username": "system:serviceaccount:proxy:proxy", "groups": ["system:authenticated"]},
        "objectRef": {"resource": "subjectaccessreviews", "apiGroup": "authorization.k8s.io"},
        "responseStatus": {"code": 201}, "requestReceivedTimestamp": "2026-01-01T00:00:00.000000Z",
        "requestObject": {"kind": "SubjectAccessReview", "spec": {"user": "alice", "groups": ["devs"],
            "resourceAttributes": {"verb": "impersonate", "group": "authentication.k8s.io", "resource": "userextras",
                "subresource": "scopes", "name": "view"}}},
    });
    let run = deputize_with(&["evidence"], format!("{event}\n{event}").as_bytes());
    let expected = concat!(
        r#"{"schema":"deputize.evidence/v1","review":{"asker":"system:serviceaccount:proxy:proxy","user":"alice","#,
        r#""groups":["devs"],"verb":"impersonate","apiGroup":"authentication.k8s.io","resource":"userextras","subresource":"scopes","#,
        r#""namespace":"","name":"sha256:2bcb43cbc8f6b7ef66331532881143fcbae60a879db3a8fb853f645bb24c2b3c"},"count":2,"first":"2026-01-01T00:00:00.000000Z","#,
        r#""last":"2026-01-01T00:00:00.000000Z"}"#,
        "\n"
    );
    assert_eq!(run.stdout, expected);
    assert!(run.stderr.contains("\n1 distinct SubjectAccessReview for `impersonate` in the logs "), "{}", run.stderr);
    assert_eq!(condense(&run.stdout), run.stdout);
}

/// The server decodes a path, and splits it then; rules are compared with what it makes of it.
#[test]
fn paths_are_those_that_the_server_asks_about() {
    let directory = tempfile::tempdir().unwrap();
    let event = |uri: &str, object: Value| {
        json!({"kind": "Event", "stage": "ResponseComplete", "verb": "get", "requestURI": uri, "user": {"username": "alice"},
            "impersonatedUser": {"username": "panda", "groups": ["system:authenticated"]}, "objectRef": object})
        .to_string()
    };
    let log = [
        event("/foo%20bar/b%2Fc", Value::Null),
        event("/namespaces/shop%2Fpods", Value::Null),
        event("/api/v1/namespaces/shop%2Fpods%2Fweb", json!({"resource": "pods", "namespace": "shop", "name": "web"})),
    ];
    let condensed = condense(&log.join("\n"));
    let requests = condensed.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["request"].clone());
    let asked: Vec<Value> =
        requests.map(|request| json!([request["path"], request["namespace"], request["name"]])).collect();
    let expected =
        [json!(["/foo bar/b/c", "", ""]), json!(["/namespaces/shop/pods", "", ""]), json!(["", "shop", "web"])];
    assert_eq!(asked, expected);
    let rbac = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: a}\n\
        rules: [{apiGroups: [''], resources: [users], verbs: [impersonate]}]\n---\n\
        apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: a}\n\
        roleRef: {kind: ClusterRole, name: a}\nsubjects: [{kind: User, name: alice}]\n";
    std::fs::write(directory.path().join("rbac.yaml"), rbac).unwrap();
    std::fs::write(directory.path().join("audit.log"), log.join("\n")).unwrap();
    let run = deputize_in(directory.path(), &["migrate", "rbac.yaml", "--audit-log", "audit.log"]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert!(run.stdout.contains("/foo bar/b/c") && run.stdout.contains("/namespaces/shop/pods"), "{}", run.stdout);
    assert!(!run.stdout.contains('%'), "{}", run.stdout);
}

#[test]
fn simulate_takes_condensed_evidence() {
    let evidence = condense(&log(1).join("\n"));
    let run = deputize_with(&["simulate", "testdata/platform"], evidence.as_bytes());
    let requests = evidence.lines().filter(|line| !line.contains("\"review\":")).count();
    assert!(requests < evidence.lines().count());
    assert_eq!(run.stdout.lines().count(), requests);
    assert!(run.stdout.lines().all(|line| serde_json::from_str::<Value>(line).unwrap().get("error").is_none()));
}
