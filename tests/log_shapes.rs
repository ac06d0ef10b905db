//! Logs in the shapes that platforms, shippers and archives give them. The same requests are written in each shape, and
//! what `evidence` condenses must be the same, byte for byte; what cannot be read must be named.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;
use std::io::Write;
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use common::{Run, deputize_in};
use serde_json::{Map, Value, json};

/// Seven impersonated requests, one of them refused, between others. Names and reasons have quotes, commas, brackets,
/// and letters that are not ASCII.
fn events() -> Vec<Value> {
    let event = |index: usize, user: &str, uri: &str, more: Value| {
        let mut event = json!({
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata",
            "auditID": format!("0c1d2e3f-0000-4000-8000-{index:012}"), "stage": "ResponseComplete",
            "requestURI": uri, "verb": "list", "user": {"username": user, "uid": "u-1", "groups": ["devs", "system:authenticated"]},
            "sourceIPs": ["10.0.0.1"], "userAgent": "shop/v1.0 (linux/amd64) kubernetes/$Format",
            "objectRef": {"resource": "pods", "namespace": "shop", "apiVersion": "v1"},
            "responseStatus": {"metadata": {}, "code": 200},
            "requestReceivedTimestamp": format!("2026-03-01T08:00:{index:02}.000001Z"),
            "stageTimestamp": format!("2026-03-01T08:00:{index:02}.000002Z"),
            "annotations": {"authorization.k8s.io/decision": "allow",
                "authorization.k8s.io/reason": "RBAC: allowed by ClusterRoleBinding \"shop\" of ClusterRole \"shop\" to Group \"devs\""},
        });
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event
    };
    let pods = "/api/v1/namespaces/shop/pods?limit=500&labelSelector=app%3Dweb";
    let target = |user: &str, groups: Value, extra: Value| {
        let mut target = json!({"username": user, "groups": groups});
        if !extra.is_null() {
            target["extra"] = extra;
        }
        json!({"impersonatedUser": target})
    };
    let agent = "system:serviceaccount:proxy:agent";
    let mut all = vec![
        event(0, "system:apiserver", "/readyz", json!({"responseStatus": {"code": 500}})),
        event(1, agent, pods, target("panda", json!(["devs", "ops", "system:authenticated"]), Value::Null)),
        event(2, agent, pods, target("größe", json!(["a,b", "x \"y\"", "{z}", "system:authenticated"]), Value::Null)),
        event(3, "admin", "/openapi/v3", json!({})),
        event(
            4,
            agent,
            pods,
            target(
                "joe@example.com",
                json!(["system:authenticated"]),
                json!({"acme.com/original.user": ["alice"], "scopes": ["view", "edit"]}),
            ),
        ),
        event(
            5,
            "alice",
            "/api/v1/namespaces",
            target(
                "system:serviceaccount:shop:web",
                json!(["system:serviceaccounts", "system:serviceaccounts:shop", "system:authenticated"]),
                Value::Null,
            ),
        ),
        event(
            6,
            "alice",
            "/api/v1/namespaces/shop/pods/web/exec?command=sh&stdin=true",
            target("panda", json!(["ops", "system:authenticated"]), Value::Null),
        ),
        event(7, "admin", "/readyz", json!({})),
        event(8, agent, pods, target("wéb", json!(["x", "y", "system:authenticated"]), Value::Null)),
        event(
            9,
            "jane",
            pods,
            json!({"responseStatus": {"metadata": {}, "status": "Failure", "reason": "Forbidden", "code": 403,
            "message": "serviceaccounts \"ci\" is forbidden: User \"jane\" cannot impersonate resource \"serviceaccounts\" in API group \"\" in the namespace \"shop\""}}),
        ),
    ];
    all[8]["authenticationMetadata"] = json!({"impersonationConstraint": "impersonate:user-info"});
    all
}

fn lines() -> Vec<String> {
    events().iter().map(Value::to_string).collect()
}

fn plain() -> String {
    lines().join("\n") + "\n"
}

/// What `evidence` says to a file of this name with this content.
fn evidence(name: &str, content: &[u8]) -> Run {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join(name), content).unwrap();
    deputize_in(directory.path(), &["evidence", name])
}

/// What is right for all.
fn expected() -> String {
    let run = evidence("plain.log", plain().as_bytes());
    assert_eq!((run.status, run.stdout.lines().count()), (0, 7), "{}", run.stderr);
    assert!(run.stderr.starts_with("plain.log: JSON: 10 events, 7 impersonated\n"), "{}", run.stderr);
    run.stdout
}

fn each(line: impl Fn(&str) -> String) -> String {
    lines().iter().map(|event| line(event) + "\n").collect()
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

fn doubled(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap()
}

/// A JSON value for each event.
fn values(value: impl Fn(&Value, &str) -> Value) -> Vec<Value> {
    events().iter().map(|event| value(event, &event.to_string())).collect()
}

fn json_lines(values: &[Value]) -> String {
    values.iter().map(|value| format!("{value}\n")).collect()
}

fn text_shapes() -> Vec<(&'static str, String)> {
    const TIME: &str = "2026-03-01T08:00:00.123456789Z";
    let csv = |line: &dyn Fn(&str) -> String| format!("time,message\r\n{}", each(|event| line(event) + "\r"));
    vec![
        ("timestamps", each(|event| format!("{TIME} {event}"))),
        ("node name", each(|event| format!("ip-10-0-1-2.ec2.internal {event}"))),
        ("stern", each(|event| format!("kube-apiserver-1 kube-apiserver \u{1b}[32m›\u{1b}[0m {event}"))),
        ("kubectl --prefix", each(|event| format!("[pod/kube-apiserver-1/kube-apiserver] {event}"))),
        ("syslog", each(|event| format!("<13>1 {TIME} host audit - - [x@1 key=\"a]b\"] {event}"))),
        ("syslog, counted", each(|event| format!("{} <13>1 {TIME} host audit - - - {event}", event.len()))),
        ("aws logs tail", each(|event| format!("{TIME} kube-apiserver-audit-1 {event}"))),
        ("aws text", each(|event| format!("EVENTS\t1764497731000\t{event}\t1764497730123"))),
        ("CEF", each(|event| format!("CEF:0|K8s|audit|1|x|x|1|msg={event}"))),
        ("fluent-bit", each(|event| format!("[0] audit: [[1764497730.1, {{}}], {{\"log\"=>\"{event}\"}}]"))),
        ("logcli", each(|event| format!("{TIME} {{app=\"audit\", node=\"n1\"}} {event}"))),
        ("logfmt", each(|event| format!("time={TIME} level=info msg={} n=1", quoted(event)))),
        (
            "klog between",
            each(|event| format!("I0301 08:00:00 1 x.go:1] cannot impersonate {{\n{event}\nW0301 [x] {{}}")),
        ),
        (
            "XML",
            each(|event| format!("<v xml:space='preserve'>{}</v>", event.replace('&', "&amp;").replace('"', "&quot;"))),
        ),
        ("no line ends", lines().concat()),
        ("carriage returns", lines().join("\r")),
        ("CRLF and blank lines", lines().join("\r\n\r\n")),
        ("record separators", lines().iter().map(|event| format!("\u{1e}{event}\n")).collect()),
        ("trailing commas", each(|event| format!("{event},"))),
        ("array lines", format!("[{}]\n", lines().join("\n,"))),
        ("array with a comma too many", format!("[{},]", lines().join(","))),
        ("array in one line", format!("[{}]", lines().join(","))),
        ("comment and array", format!("# exported\n\n{}", pretty(&json!(events())))),
        ("mark and array", format!("\u{feff}{}", pretty(&json!(events())))),
        ("laid out", events().iter().map(|event| pretty(event) + "\n").collect()),
        ("laid out, no line ends between", events().iter().map(pretty).collect()),
        ("laid out, with a prefix", format!("var events = {};", pretty(&json!(events())))),
        ("CSV", csv(&|event| format!("{TIME},{}", doubled(event)))),
        ("CSV, semicolons", csv(&|event| format!("{};x;1", doubled(event)))),
        ("CSV, escaped", csv(&|event| format!("{TIME},{}", quoted(event)))),
        ("CSV of JSON in JSON", csv(&|event| format!("{TIME},{}", doubled(&json!({"log": event}).to_string())))),
        ("CSV, laid out", events().iter().map(|event| format!("{TIME},{}\n", doubled(&pretty(event)))).collect()),
        ("CRI", each(|event| format!("{TIME} stdout F {event}"))),
        (
            "CRI in pieces",
            each(|event| {
                let (start, rest) = event.split_at(event.find("\"verb\"").unwrap());
                format!("{TIME} stdout P {start}\n{TIME} stderr F klog\n{TIME} stdout F {rest}")
            }),
        ),
        (
            "Docker in pieces",
            each(|event| {
                let line = |text: &str| json!({"log": text, "stream": "stdout", "time": TIME});
                let (start, rest) = event.split_at(event.find("\"verb\"").unwrap());
                format!("{}\n{}", line(start), line(&format!("{rest}\n")))
            }),
        ),
        ("Docker", each(|event| json!({"log": format!("{event}\n"), "stream": "stdout", "time": TIME}).to_string())),
        ("escaped keys", plain().replace("impersonatedUser", "\\u0069mpersonated\\u0055ser")),
        (
            "lower case",
            plain()
                .replace("impersonatedUser", "impersonateduser")
                .replace("requestURI", "requesturi")
                .replace("objectRef", "objectref")
                .replace("responseStatus", "responsestatus")
                .replace("requestReceivedTimestamp", "requestreceivedtimestamp")
                .replace("authenticationMetadata", "authenticationmetadata")
                .replace("impersonationConstraint", "impersonationconstraint"),
        ),
    ]
}

fn json_shapes() -> Vec<(&'static str, String)> {
    let messages = values(|_, text| json!({"id": "1", "timestamp": 1, "message": text}));
    let envelope = json!({"messageType": "DATA_MESSAGE", "owner": "1", "logEvents": messages});
    let azure =
        values(|_, text| json!({"category": "kube-audit", "properties": {"log": format!("{text}\n"), "pod": "x"}}));
    let as_string = values(|_, text| json!({"category": "kube-audit", "properties": json!({"log": text}).to_string()}));
    let doubly = values(|_, text| json!({"message": json!({"log": json!({"log": text}).to_string()}).to_string()}));
    let decoded =
        values(|event, text| json!({"message": text, "event": {"original": text}, "kubernetes": {"audit": event}}));
    let rows: Vec<Value> = values(|_, text| json!(["t", "kube-audit", text]));
    let insights =
        values(|_, text| json!([{"field": "@timestamp", "value": "t"}, {"field": "@message", "value": text}]));
    let bytes = values(|_, text| json!({"MESSAGE": text.as_bytes()}));
    let base64 = values(|_, text| json!({"data": BASE64_STANDARD.encode(text), "recordId": "1"}));
    let payload = BASE64_STANDARD.encode(gzip(envelope.to_string().as_bytes()));
    let otlp = values(|event, _| json!({"body": typed(event)}));
    let flat = values(|event, _| json!({"_id": "1", "fields": flattened(event)}));
    vec![
        ("EventList", json!({"kind": "EventList", "items": events()}).to_string()),
        ("Datadog", json_lines(&values(|event, text| json!({"attributes": event, "message": text})))),
        ("Datadog's own names", json!({"data": values(|event, _| json!({"attributes": {"attributes": moved(event)}}))}).to_string()),
        ("structures as strings", json_lines(&values(|event, _| stringly(event)))),
        ("CloudWatch", envelope.to_string()),
        ("CloudWatch, concatenated", json_lines(&values(|_, text| json!({"logEvents": [{"message": text}]}))).replace('\n', "")),
        ("filter-log-events", pretty(&json!({"events": messages, "searchedLogStreams": []}))),
        ("Insights", pretty(&json!({"results": insights}))),
        ("Kinesis", pretty(&json!({"Records": [{"Data": payload}]}))),
        ("Lambda", json!({"awslogs": {"data": payload}}).to_string()),
        ("Pub/Sub", json!({"receivedMessages": base64}).to_string()),
        ("CloudEvents", json_lines(&values(|_, text| json!({"specversion": "1.0", "data_base64": BASE64_STANDARD.encode(text)})))),
        ("Azure storage", json_lines(&azure)),
        ("Event Hubs", json!({"records": azure}).to_string()),
        ("Event Hubs, strings", json!({"records": as_string}).to_string()),
        ("Log Analytics", json!({"tables": [{"columns": [{"name": "log_s"}], "rows": rows}]}).to_string()),
        ("escaped four times", json_lines(&doubly)),
        ("decoded and not", json_lines(&decoded)),
        ("Elasticsearch", json!({"hits": {"hits": values(|event, text| json!({"_source": {"message": text}, "fields": flattened(event)}))}}).to_string()),
        ("Elasticsearch, fields", pretty(&json!({"took": 1, "hits": {"hits": flat}}))),
        ("journal", json_lines(&bytes)),
        ("Loki", json!({"streams": [{"stream": {}, "values": values(|_, text| json!(["1", text]))}]}).to_string()),
        ("OpenTelemetry", json!({"resourceLogs": [{"scopeLogs": [{"logRecords": otlp}]}]}).to_string()),
        ("fields with dots", json_lines(&values(|event, _| dotted(event)))),
        ("a summary and all", json_lines(&values(|_, text| json!({"short": text[..90], "full": text})))),
        ("Splunk", json_lines(&values(|_, text| json!({"result": {"_raw": text}})))),
    ]
}

/// A value as OpenTelemetry writes it.
fn typed(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields: Vec<Value> =
                fields.iter().map(|(key, value)| json!({"key": key, "value": typed(value)})).collect();
            json!({"kvlistValue": {"values": fields}})
        }
        Value::Array(items) => json!({"arrayValue": {"values": items.iter().map(typed).collect::<Vec<_>>()}}),
        Value::String(text) => json!({"stringValue": text}),
        other => json!({"intValue": other.to_string()}),
    }
}

/// Fields of an event, each a list, as Elasticsearch gives them.
fn flattened(event: &Value) -> Value {
    fn flatten(prefix: &str, value: &Value, out: &mut Map<String, Value>) {
        match value {
            Value::Object(fields) => {
                fields.iter().for_each(|(key, value)| flatten(&format!("{prefix}.{key}"), value, out))
            }
            Value::Array(_) => drop(out.insert(prefix.to_owned(), value.clone())),
            _ => drop(out.insert(prefix.to_owned(), json!([value]))),
        }
    }
    let mut out = Map::new();
    flatten("kubernetes.audit", event, &mut out);
    Value::Object(out)
}

/// Fields of an event, those of structures with dots.
fn dotted(event: &Value) -> Value {
    let prefix = "kubernetes.audit.";
    let flat = flattened(event).as_object().unwrap().clone();
    let one = |value: Value| match value {
        Value::Array(mut items) if items.len() == 1 => items.remove(0),
        other => other,
    };
    flat.into_iter().map(|(key, value)| (key[prefix.len()..].to_owned(), one(value))).collect::<Map<_, _>>().into()
}

/// Fields where Datadog puts them.
fn moved(event: &Value) -> Value {
    let mut event = event.as_object().unwrap().clone();
    let (verb, uri) = (event.remove("verb").unwrap(), event["requestURI"].clone());
    let user = event.remove("user").unwrap();
    event.insert("http".to_owned(), json!({"method": verb, "url_details": {"path": uri}}));
    event.insert("usr".to_owned(), json!({"id": user["username"], "groups": user["groups"]}));
    Value::Object(event)
}

/// Structures as strings.
fn stringly(event: &Value) -> Value {
    let string = |(key, value): (&String, &Value)| {
        let value = if value.is_object() || value.is_array() { json!(value.to_string()) } else { value.clone() };
        (key.clone(), value)
    };
    event.as_object().unwrap().iter().map(string).collect::<Map<_, _>>().into()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

fn tar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, content) in members {
        let mut header = [0; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
        header[156] = b'0';
        header[257..262].copy_from_slice(b"ustar");
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        out.extend_from_slice(&header);
        out.extend_from_slice(content);
        out.resize(out.len().next_multiple_of(512), 0);
    }
    out.resize(out.len() + 1024, 0);
    out
}

/// A zip file with one member that is deflated.
fn zip(name: &str, content: &[u8]) -> Vec<u8> {
    let mut deflate = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    deflate.write_all(content).unwrap();
    let deflated = deflate.finish().unwrap();
    let mut sum = flate2::Crc::new();
    sum.update(content);
    let mut out = b"PK\x03\x04\x14\0\0\0\x08\0\0\0\0\0".to_vec();
    out.extend(sum.sum().to_le_bytes());
    out.extend((deflated.len() as u32).to_le_bytes());
    out.extend((content.len() as u32).to_le_bytes());
    out.extend((name.len() as u16).to_le_bytes());
    out.extend([0, 0]);
    out.extend(name.as_bytes());
    out.extend(deflated);
    out.extend(b"PK\x01\x02");
    out
}

fn packed_shapes() -> Vec<(&'static str, Vec<u8>)> {
    let text = plain();
    let text = text.as_bytes();
    let (first, rest) = text.split_at(text.len() / 2);
    let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bzip2.write_all(text).unwrap();
    let mut xz = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1)).unwrap();
    xz.write_all(text).unwrap();
    let xz = xz.finish().unwrap();
    let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
    lz4.write_all(text).unwrap();
    let mut snappy = snap::write::FrameEncoder::new(Vec::new());
    snappy.write_all(text).unwrap();
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    zlib.write_all(text).unwrap();
    let all = lines();
    let (some, others) = all.split_at(4);
    let (some, others) = (some.join("\n"), others.join("\n"));
    let wide = |mark: &str, text: &str, big: bool| -> Vec<u8> {
        let units = format!("{mark}{text}").encode_utf16().collect::<Vec<_>>();
        units.iter().flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
    };
    let base64 = BASE64_STANDARD.encode(gzip(text));
    let wrapped: Vec<&[u8]> = base64.as_bytes().chunks(76).collect();
    let laid_out = pretty(&json!(events()));
    vec![
        ("gzip", gzip(text)),
        ("gzip of gzip", gzip(&gzip(text))),
        ("gzip members", [gzip(first), gzip(rest), vec![0; 300]].concat()),
        ("zstd", zstd(text)),
        ("zstd frames", [zstd(first), zstd(rest)].concat()),
        ("bzip2", bzip2.finish().unwrap()),
        ("xz", xz.clone()),
        ("lz4", lz4.finish().unwrap()),
        ("snappy", snappy.into_inner().unwrap()),
        ("zlib", zlib.finish().unwrap()),
        ("zip", zip("logs/audit.log", text)),
        ("zip of zstd", zip("audit.log.zst", &zstd(text))),
        ("tar", tar(&[("a/audit-1.log", some.as_bytes()), ("a/audit-2.log", others.as_bytes())])),
        ("tar of gzip and xz in gzip", gzip(&tar(&[("1", &gzip(some.as_bytes())), ("2", &zstd(others.as_bytes()))]))),
        ("UTF-16", wide("\u{feff}", &plain(), false)),
        ("UTF-16, big-endian, no mark", wide("", &plain(), true)),
        ("UTF-16, laid out, gzip", gzip(&wide("\u{feff}", &laid_out, false))),
        ("base64 of gzip", wrapped.join(&b'\n')),
        ("base64 in lines", each(|event| BASE64_STANDARD.encode(event)).into_bytes()),
        ("base64 of gzip in lines", each(|event| BASE64_STANDARD.encode(gzip(event.as_bytes()))).into_bytes()),
    ]
}

#[test]
fn every_shape_shows_the_same_requests() {
    let expected = expected();
    let texts = text_shapes().into_iter().chain(json_shapes()).map(|(name, text)| (name, text.into_bytes()));
    for (name, content) in texts.chain(packed_shapes()) {
        // The name of the file says nothing.
        let run = evidence("log", &content);
        assert_eq!(run.stdout, expected, "{name}: {}", run.stderr);
        assert_eq!(run.status, 0, "{name}: {}", run.stderr);
        assert!(run.stderr.contains(": 10 events, 7 impersonated\n"), "{name}: {}", run.stderr);
    }
}

/// What takes another way through the program as it is larger: the events are far behind other ones.
#[test]
fn large_logs_show_the_same_as_small_ones() {
    let expected = expected();
    let other = events()[0].clone();
    let many = |index: usize| {
        let mut event = other.clone();
        event["auditID"] = json!(format!("many-{index}"));
        event
    };
    let padding: Vec<Value> = (0..6_000).map(many).collect();
    let all: Vec<Value> = padding.iter().cloned().chain(events()).chain(padding.iter().cloned()).collect();
    let lines = json_lines(&all);
    let shapes = [
        ("plain", lines.clone().into_bytes()),
        ("a prefix", lines.lines().map(|line| format!("node-1 {line}\n")).collect::<String>().into_bytes()),
        ("zstd", zstd(lines.as_bytes())),
        ("an array", json!({"took": 1, "hits": {"hits": all}}).to_string().into_bytes()),
        ("laid out", pretty(&json!({"items": all})).into_bytes()),
        (
            "CRI",
            lines
                .lines()
                .map(|line| format!("2026-03-01T08:00:00.1Z stdout F {line}\n"))
                .collect::<String>()
                .into_bytes(),
        ),
        ("UTF-16", lines.encode_utf16().flat_map(u16::to_le_bytes).collect()),
    ];
    for (name, content) in shapes {
        let run = evidence("log", &content);
        assert_eq!((run.status, run.stdout.as_str()), (0, expected.as_str()), "{name}: {}", run.stderr);
        assert!(run.stderr.contains(": 12010 events, 7 impersonated\n"), "{name}: {}", run.stderr);
    }
    let cut = &lines[..lines.len() - 100];
    let run = evidence("log", cut.as_bytes());
    assert_eq!((run.status, run.stdout.as_str()), (2, expected.as_str()), "{}", run.stderr);
    assert!(run.stderr.contains("log: error: an event is cut off"), "{}", run.stderr);
}

#[test]
fn what_is_cut_counts_as_far_as_it_goes() {
    let expected = expected();
    let (text, laid_out) = (plain(), pretty(&json!(events())));
    let cut = |text: &[u8]| text[..text.len() - 120].to_vec();
    let hole = text.replacen('\n', &format!("\n{}", "\0".repeat(4096)), 1);
    let shapes = [
        ("plain", cut(text.as_bytes()), "an event is cut off, in line 10"),
        ("laid out", cut(laid_out.as_bytes()), "an event is cut off"),
        (
            "UTF-16",
            cut(&text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>()),
            "an event is cut off, in line 10",
        ),
        ("gzip", cut(&gzip(text.repeat(20).as_bytes())), "cannot be read: gzip: "),
        ("zstd", cut(&zstd(text.repeat(20).as_bytes())), "cannot be read: zstd: "),
        ("tar", cut(&tar(&[("a", text.as_bytes())])[..512 + text.len()]), "cut off"),
        ("a hole", hole.into_bytes(), "zeros instead of text, in line 2"),
        (
            "in the middle",
            text.replacen("\"verb\":\"list\"", "\"verb\":\"li\n", 1).into_bytes(),
            "an event is cut off, in line 1",
        ),
    ];
    for (name, content, message) in shapes {
        let run = evidence("log", &content);
        assert_eq!(run.status, 2, "{name}: {}", run.stderr);
        assert!(run.stderr.contains(message), "{name}: {}", run.stderr);
        let known = |line: &str| {
            let (request, _) = line.split_once(",\"mode\"").unwrap();
            expected.contains(request)
        };
        assert!(run.stdout.lines().all(known), "{name}: {}", run.stdout);
        assert!(run.stdout.lines().count() >= if ["gzip", "zstd"].contains(&name) { 0 } else { 6 }, "{name}");
    }
}

#[test]
fn what_cannot_be_read_is_named_with_what_to_use_instead() {
    let row = |event: &Value| {
        json!({"TenantId": "t", "AuditId": event["auditID"], "Stage": event["stage"], "RequestUri": event["requestURI"],
            "Verb": event["verb"], "User": event["user"], "StageReceivedTime": "t", "Type": "AKSAudit"})
    };
    let rows: Vec<Value> = events().iter().map(row).collect();
    let google = |user: &str| json!({"protopayload_auditlog": {"serviceName": "k8s.io", "authenticationInfo": {"principalEmail": "x", "authoritySelector": user}}});
    let yaml = "---\napiVersion: audit.k8s.io/v1\nkind: Event\nauditID: x\nimpersonatedUser:\n  username: panda\n";
    let legacy =
        "2026-03-01T08:00:00Z AUDIT: id=\"x\" ip=\"10.0.0.1\" method=\"GET\" user=\"a\" as=\"b\" uri=\"/api\"\n";
    let binary: Vec<u8> = (0..4096_u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let latin: Vec<u8> = plain().chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    let shapes: [(&str, Vec<u8>, &str, &str); 12] = [
        ("x.parquet", b"PAR1\x15\0".to_vec(), "Parquet is not read", "JSON lines"),
        ("x.gz", gzip(b"Obj\x01\x02"), "Avro is not read", "storage account"),
        ("rows.jsonl", json_lines(&rows).into_bytes(), "the table AKSAudit is not read", "AzureDiagnostics"),
        ("rows.json", pretty(&json!(rows)).into_bytes(), "the table AKSAudit is not read", "Event Hubs"),
        (
            "rows.csv",
            b"TenantId,AuditId,Stage,RequestUri,Verb,User,StageReceivedTime\n".to_vec(),
            "AKSAudit is not read",
            "storage",
        ),
        (
            "bq.json",
            json_lines(&[google("a"), google("b")]).into_bytes(),
            "a BigQuery table of Cloud Logging is not read",
            "gcloud",
        ),
        ("x.yaml", yaml.into(), "YAML is not read", "JSON"),
        ("x.log", legacy.into(), "the legacy audit format is not read", "--audit-log-format=json"),
        ("x", binary, "binary data of an unknown format is not read", "JSON lines"),
        (
            "x.py",
            plain().replace('"', "'").into_bytes(),
            "records cannot be read as an audit event, first in line 1",
            "JSON",
        ),
        ("latin", latin, "2 events are not UTF-8, first in line 3", "UTF-8"),
        ("x.7z", b"7z\xbc\xaf\x27\x1c".to_vec(), "7-Zip is not read", "unpack"),
    ];
    for (name, content, message, help) in shapes {
        let run = evidence(name, &content);
        assert_eq!(run.status, 2, "{name}: {}", run.stderr);
        assert!(run.stderr.contains(&format!("{name}: error: ")) && run.stderr.contains(message), "{}", run.stderr);
        let shown = run.stderr.lines().find_map(|line| line.strip_prefix("  help: ")).unwrap();
        assert!(shown.contains(help), "{name}: {shown}");
    }
}

#[test]
fn a_log_without_an_event_is_a_warning() {
    for content in [
        &b""[..],
        b"\n\n",
        b"Permission Check Successful",
        b"[]",
        b"{\"items\":[]}",
        b"cannot impersonate\n",
        &gzip(b""),
    ] {
        let run = evidence("log", content);
        assert_eq!((run.status, run.stdout.as_str()), (0, ""), "{}", run.stderr);
        assert!(run.stderr.starts_with("log: warning: no audit event in it\n"), "{}", run.stderr);
    }
    assert!(evidence("log", plain().as_bytes()).stderr.lines().all(|line| !line.contains("warning")));
}

#[test]
fn bombs_end_with_an_error() {
    // Each is small, and expands to more than memory has if it is not read as a stream.
    let zeros = vec![0; 8 << 20];
    let nested = (0..9).fold(plain().into_bytes(), |bytes, _| gzip(&bytes));
    let run = evidence("nested", &nested);
    assert_eq!(run.status, 2);
    assert!(run.stderr.contains("it is packed more than 8 times"), "{}", run.stderr);
    let run = evidence("zeros", &gzip(&gzip(&zeros)));
    assert_eq!((run.status, run.stdout.as_str()), (0, ""), "{}", run.stderr);
    let payload = BASE64_STANDARD.encode(zstd::encode_all(&vec![b' '; 70 << 20][..], 1).unwrap());
    let run = evidence("payload", json!({"awslogs": {"data": payload}}).to_string().as_bytes());
    assert_eq!(run.status, 2);
    assert!(run.stderr.contains("payload: error: a payload cannot be decoded"), "{}", run.stderr);
}

/// A grant whose only use is in a log that cannot be read must not be taken away.
#[test]
fn migrate_writes_nothing_without_the_whole_log() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &[u8]| fs::write(directory.path().join(name), content).unwrap();
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "proxy"},
        "rules": [{"apiGroups": [""], "resources": ["users"], "verbs": ["impersonate"]}]});
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "proxy"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "proxy"},
        "subjects": [{"kind": "ServiceAccount", "namespace": "proxy", "name": "agent"}]});
    write("rbac.json", json!({"apiVersion": "v1", "kind": "List", "items": [role, binding]}).to_string().as_bytes());
    fs::create_dir(directory.path().join("logs")).unwrap();
    write("logs/new.log", lines()[1].as_bytes());
    write("logs/old.log", &zstd(plain().repeat(20).as_bytes())[..400]);
    for more in [&[][..], &["--output-dir", "out"], &["--in-place", "--stage", "grant"]] {
        let run = deputize_in(directory.path(), &[&["migrate", "rbac.json", "--audit-log", "logs"], more].concat());
        assert_eq!((run.status, run.stdout.as_str()), (2, ""), "{}", run.stderr);
        assert!(run.stderr.contains("logs/old.log: error: cannot be read: zstd: "), "{}", run.stderr);
        assert!(!Path::new(&directory.path().join("out")).exists());
    }
}
