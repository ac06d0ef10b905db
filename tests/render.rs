//! The renderer of charts, judged by Go and Helm: the functions, the trees of templates, and every document of real charts.
//!
//! Needs Go (`tests/helm/build`) and charts: `DEPUTIZE_CHARTS` names a directory with some. Nothing of them is kept.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use deputize::render::ast::{Branch, Expression, ExpressionKind, Node, Pipe};
use deputize::render::{Document, Limits, Marked, Rendered, Role, Settings, function_names, parse, read_chart, render};
use serde_json::{Value, json};

fn built(what: &str) -> PathBuf {
    let build = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/helm/build");
    let output = Command::new(build).arg(what).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{what} could not be built; it needs Go");
    String::from_utf8(output.stdout).unwrap().lines().last().unwrap().into()
}

fn collections() -> PathBuf {
    PathBuf::from(std::env::var_os("DEPUTIZE_CHARTS").expect("DEPUTIZE_CHARTS names a directory with charts"))
}

/// The charts below a directory that are in no other chart.
fn charts() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    for entry in walkdir::WalkDir::new(collections()).sort_by_file_name() {
        let path = entry.unwrap().into_path();
        if path.ends_with("Chart.yaml") {
            let chart = path.parent().unwrap();
            if !found.iter().any(|known| chart.starts_with(known)) {
                found.push(chart.to_owned());
            }
        }
    }
    found
}

/// A typo in a name, or a function that Helm has and the table has not, would make a chart unreadable.
#[test]
#[ignore = "needs Go"]
fn the_functions_are_those_of_helm() {
    let output = Command::new(built("judge")).arg("functions").output().unwrap();
    let helm = String::from_utf8(output.stdout).unwrap();
    let helm: Vec<&str> = helm.lines().collect();
    let own: Vec<&str> = function_names().collect();
    assert!(helm.len() > 200, "{helm:?}");
    assert_eq!(own, helm);
}

fn list(nodes: &[Node], text: &str) -> Value {
    nodes.iter().map(|node| statement(node, text)).collect()
}

fn statement(node: &Node, text: &str) -> Value {
    let branch = |kind: &str, branch: &Branch| {
        let otherwise = branch.otherwise.as_ref().map(|nodes| list(nodes, text));
        json!([kind, pipe(&branch.pipe), list(&branch.body, text), otherwise])
    };
    match node {
        Node::Text(span) => json!(["text", span.start, span.end - span.start]),
        Node::Comment(span) => json!(["comment", span.start, span.end - span.start]),
        Node::Action(own) => json!(["action", pipe(own)]),
        Node::If(own) => branch("if", own),
        Node::With(own) => branch("with", own),
        Node::Range(own) => branch("range", own),
        Node::Template { name, pipe: own, .. } => json!(["template", name.as_str(), own.as_ref().map(pipe)]),
        Node::Break(_) => json!(["break"]),
        Node::Continue(_) => json!(["continue"]),
    }
}

fn pipe(pipe: &Pipe) -> Value {
    let variables: Vec<&str> = pipe.variables.iter().map(|(name, _)| name.as_str()).collect();
    let commands = pipe.commands.iter().map(|command| command.words.iter().map(expression).collect::<Value>());
    json!([pipe.assigns, variables, commands.collect::<Value>()])
}

fn expression(word: &Expression) -> Value {
    let start = word.span.start;
    match &word.kind {
        ExpressionKind::Function(function) => json!(["function", start, function.name]),
        ExpressionKind::Dot => json!(["dot", start]),
        ExpressionKind::Nil => json!(["nil", start]),
        ExpressionKind::Field(names) => json!(["field", names.join(".")]),
        ExpressionKind::Variable(names) => json!(["variable", names.join(".")]),
        ExpressionKind::Chain(base, names) => json!(["chain", expression(base), names.join(".")]),
        ExpressionKind::Bool(value) => json!(["bool", start, value]),
        ExpressionKind::Int(value) => json!(["int", start, value]),
        ExpressionKind::Float(value) => json!(["float", start, value.to_bits()]),
        ExpressionKind::Text(value, _) => json!(["string", start, value.as_str()]),
        ExpressionKind::Pipe(own) => json!(["pipe", pipe(own)]),
    }
}

fn own_trees(text: &str) -> Value {
    match parse("main", text) {
        Ok(templates) => {
            let trees = templates.iter().map(|template| (template.name.clone(), list(&template.body, text)));
            Value::Object(trees.collect())
        }
        Err(_) => Value::String("error".to_owned()),
    }
}

#[test]
#[ignore = "needs Go and charts"]
fn the_trees_are_those_of_go() {
    let files = walkdir::WalkDir::new(collections()).sort_by_file_name().into_iter().map(|entry| entry.unwrap());
    let files = files.filter(|entry| entry.file_type().is_file()).map(walkdir::DirEntry::into_path);
    let files = files.filter(|path| path.components().any(|part| part.as_os_str() == "templates"));
    // Half of a template and broken ones, too: what is an error must be one here.
    let files: Vec<(PathBuf, String)> =
        files.filter_map(|path| Some((path.clone(), std::fs::read_to_string(&path).ok()?))).collect();
    assert!(!files.is_empty());
    let directory = tempfile::tempdir().unwrap();
    let mut texts: Vec<(String, String)> = Vec::new();
    for (index, (path, text)) in files.iter().enumerate() {
        let mut cut = text.len() / 3 * (1 + index % 2);
        while !text.is_char_boundary(cut) {
            cut += 1;
        }
        texts.push((path.display().to_string(), text.clone()));
        texts.push((format!("{} up to byte {cut}", path.display()), text[..cut].to_owned()));
    }
    let mut judge =
        Command::new(built("judge")).arg("trees").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut paths = String::new();
    for (index, (_, text)) in texts.iter().enumerate() {
        let path = directory.path().join(index.to_string());
        std::fs::write(&path, text).unwrap();
        paths += &format!("{}\n", path.display());
    }
    let mut stdin = judge.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(paths.as_bytes()).unwrap());
    let output = judge.wait_with_output().unwrap();
    writer.join().unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    let (mut same, mut errors) = (0, 0);
    let mut different = Vec::new();
    for ((name, text), line) in texts.iter().zip(lines.lines()) {
        let expected = match line {
            "error" => Value::String("error".to_owned()),
            line => serde_json::from_str(line).unwrap(),
        };
        errors += usize::from(line == "error");
        let own = own_trees(text);
        if own == expected {
            same += 1;
        } else {
            different.push(format!("{name}:\n  go   {expected}\n  here {own}"));
        }
    }
    println!("{same} of {} texts have the same trees; {errors} of them are errors", texts.len());
    assert_eq!(lines.lines().count(), texts.len());
    assert!(different.is_empty(), "{}", different[..different.len().min(3)].join("\n"));
}

/// The documents that helm printed, each with its `# Source:` line.
fn printed_documents(text: &str) -> Vec<&str> {
    let mut starts: Vec<usize> = text.match_indices("---\n# Source: ").map(|(at, _)| at).collect();
    starts.retain(|at| *at == 0 || text.as_bytes()[at - 1] == b'\n');
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    let ranges = starts.iter().copied().zip(ends);
    ranges.map(|(start, end)| text[start..end].trim_start_matches("---\n").trim_end()).collect()
}

/// The parts of a text that are known, with what is not known between them.
fn known_parts(document: &Document) -> Vec<String> {
    let mut parts = vec![format!("# Source: {}\n", document.source)];
    let mut at = 0;
    for mark in &document.text.marks {
        let end = at + mark.length as usize;
        match mark.shape {
            None => parts.last_mut().unwrap().push_str(&document.text.text[at..end]),
            Some(_) => parts.push(String::new()),
        }
        at = end;
    }
    // Blanks at the end do not count, whatever may follow them.
    for part in parts.iter_mut().rev() {
        part.truncate(part.trim_end().len());
        if !part.is_empty() {
            break;
        }
    }
    parts
}

/// Whether a text consists of the parts in their order, with anything between them.
fn fits(parts: &[String], text: &str) -> bool {
    let [first, middle @ .., last] = parts else { return parts.first().is_some_and(|only| only == text) };
    let Some(mut rest) = text.strip_prefix(first.as_str()) else { return false };
    for part in middle {
        match rest.find(part.as_str()) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last.as_str())
}

/// The bytes that are where their origin says, and all bytes that have one in a file.
fn placed(rendered: &Rendered, text: &Marked) -> (usize, usize) {
    let (mut exact, mut all, mut at) = (0, 0, 0);
    for mark in &text.marks {
        let range = at..at + mark.length as usize;
        at = range.end;
        let Some(file) = rendered.files.get(mark.origin.file as usize) else { continue };
        all += range.len();
        let written = file.data.get(mark.origin.start as usize..mark.origin.end as usize);
        if written == Some(&text.text.as_bytes()[range.clone()]) {
            exact += range.len();
        }
    }
    (exact, all)
}

#[derive(Default)]
struct Tally {
    charts: usize,
    documents: usize,
    equal: usize,
    with_unknown: usize,
    both_fail: usize,
    differences: Vec<String>,
    exact: usize,
    placed: usize,
    bytes: usize,
    own_time: Duration,
    helm_time: Duration,
}

fn compare(name: &str, helm: &str, rendered: &Rendered, tally: &mut Tally) {
    let mut own: Vec<(Vec<String>, &Document)> =
        rendered.documents.iter().map(|document| (known_parts(document), document)).collect();
    let expected = printed_documents(helm);
    let sources = |text: &str| text.lines().next().unwrap_or_default().to_owned();
    let order: Vec<String> = expected.iter().map(|text| sources(text)).collect();
    let own_order: Vec<String> = own.iter().map(|(parts, _)| sources(&parts[0])).collect();
    if order != own_order && order.len() == own_order.len() {
        tally.differences.push(format!("{name}: the order of documents"));
    }
    for text in &expected {
        tally.documents += 1;
        let found = own.iter().position(|(parts, _)| parts.len() == 1 && parts[0] == *text);
        let found = found.or_else(|| own.iter().position(|(parts, _)| parts.len() > 1 && fits(parts, text)));
        match found {
            Some(index) => {
                let (parts, document) = own.remove(index);
                tally.equal += 1;
                tally.with_unknown += usize::from(parts.len() > 1);
                let (exact, placed) = placed(rendered, &document.text);
                tally.exact += exact;
                tally.placed += placed;
                tally.bytes += document.text.text.len();
            }
            None => {
                let source = sources(text);
                let nearest = own.iter().find(|(parts, _)| sources(&parts[0]) == source);
                let reason = match nearest {
                    None => "it is not here".to_owned(),
                    Some((parts, _)) => {
                        let joined = parts.join("\u{fffd}");
                        let differs = text
                            .lines()
                            .zip(joined.lines())
                            .find(|(helm, own)| helm != own && !own.contains('\u{fffd}'));
                        format!("{differs:?}")
                    }
                };
                tally.differences.push(format!("{name}: {source}: {reason}"));
            }
        }
    }
    for (parts, _) in own {
        tally.differences.push(format!("{name}: {}: helm does not have it", sources(&parts[0])));
    }
}

/// Each document as helm has it, byte for byte, but for what nobody can know before: chance, the clock, certificates.
#[test]
#[ignore = "needs Go and charts"]
fn charts_are_rendered_as_helm_renders_them() {
    let helm = built("helm");
    let mut tally = Tally::default();
    for chart in charts() {
        let name = chart.strip_prefix(collections()).unwrap().display().to_string();
        let start = Instant::now();
        let files = read_chart(&chart, &Limits::default());
        let own = files.and_then(|files| render(files, &Settings::default()));
        tally.own_time += start.elapsed();
        if own.as_ref().is_ok_and(|rendered| !rendered.missing.is_empty()) {
            println!("{name}: not compared: it needs charts that are not there");
            continue;
        }
        let start = Instant::now();
        let arguments = ["template", "--include-crds", "--skip-schema-validation"];
        let output = Command::new(&helm).args(arguments).arg(&chart).output().unwrap();
        tally.helm_time += start.elapsed();
        let own_fails = own.as_ref().map_or(true, |rendered| !rendered.failures.is_empty());
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        match (own, output.status.success()) {
            (Ok(rendered), true) if !own_fails => {
                tally.charts += 1;
                compare(&name, &String::from_utf8(output.stdout).unwrap(), &rendered, &mut tally);
            }
            (own, true) => {
                let failure = own.map(|rendered| rendered.failures[0].message.clone());
                tally.differences.push(format!("{name}: only helm renders it: {failure:?}"));
            }
            (Ok(rendered), false)
                if !own_fails && !rendered.documents.iter().any(|document| document.broken().is_some()) =>
            {
                tally.differences.push(format!("{name}: helm does not render it: {error}"));
            }
            _ => tally.both_fail += 1,
        }
    }
    for difference in &tally.differences {
        println!("{difference}");
    }
    let share = tally.equal as f64 / tally.documents.max(1) as f64;
    println!(
        "{} charts: {} of {} documents equal ({:.2} %), {} of them but for what is not known; {} charts fail in both",
        tally.charts,
        tally.equal,
        tally.documents,
        100.0 * share,
        tally.with_unknown,
        tally.both_fail,
    );
    println!(
        "{} bytes, {} of them from files, {} where their origin says the same bytes",
        tally.bytes, tally.placed, tally.exact
    );
    println!("here {:?}, helm {:?}", tally.own_time, tally.helm_time);
    assert!(tally.documents > 0 && share >= 0.99);
}

/// What no chart of others is needed for: where things come from, and under which conditions.
#[test]
fn a_document_knows_its_conditions() {
    let files = [
        ("Chart.yaml", "apiVersion: v2\nname: c\nversion: 1.0.0\n"),
        ("values.yaml", "rbac: true\nrules:\n- verbs: [impersonate]\n"),
        (
            "templates/a.yaml",
            "{{ if .Values.rbac }}kind: Role\nrules: {{ toYaml .Values.rules | nindent 2 }}\n{{ end }}",
        ),
    ];
    let files = files.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec())).to_vec();
    let rendered = render(files, &Settings::default()).unwrap();
    let [document] = rendered.documents.as_slice() else { panic!("{:?}", rendered.documents) };
    assert_eq!((document.kind.as_str(), document.role), ("Role", Role::Object));
    let at = document.text.text.find("impersonate").unwrap();
    let mut end = 0;
    let mark = document.text.marks.iter().find(|mark| {
        end += mark.length as usize;
        end > at
    });
    let mark = mark.unwrap();
    let values = &rendered.files[mark.origin.file as usize];
    assert_eq!(values.path, "values.yaml");
    assert_eq!(&values.data[mark.origin.start as usize..mark.origin.end as usize], b"impersonate");
    let guard = rendered.guards[mark.guard.0 as usize];
    let template = &rendered.files[guard.condition.file as usize];
    let condition = &template.data[guard.condition.start as usize..guard.condition.end as usize];
    assert_eq!((condition, guard.holds, guard.certain), (&b".Values.rbac"[..], true, true));
}
