//! Documents as `kubectl` reads them: its own reader, built by `tests/upstream/build yaml`, gets millions of random files, and
//! reads the same values as this program, unless that says that they may be read differently.
//!
//! Run with `cargo test --release --test yaml -- --ignored --nocapture`. `DEPUTIZE_SEED` chooses other files, `DEPUTIZE_DOCUMENTS`
//! how many.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod common;

use std::collections::BTreeMap;
use std::io::{BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc;

use common::number;
use common::upstream::build;
use deputize::inventory::documents;
use deputize::syntax::{FieldOrigin, Node, NodeKind, ScalarType};
use fastrand::Rng;
use serde_json::{Map, Value};

const DOCUMENTS: usize = 300_000;
/// Differences that are shown.
const SHOWN: usize = 20;

/// `kubectl`'s reader.
struct Kubectl {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

/// What it made of a file.
#[derive(Debug)]
struct Answer {
    values: Vec<Value>,
    error: Option<String>,
}

impl Kubectl {
    fn start() -> Self {
        let program = build(&["yaml"]).join("yaml");
        let mut child = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take(), BufReader::with_capacity(1 << 20, child.stdout.take().unwrap()));
        Self { child, input, output }
    }

    /// Reads files while the next ones are made.
    fn read_all(&mut self, files: &[Vec<u8>], each: &mut dyn FnMut(&[u8], Answer)) {
        let (input, output) = (self.input.as_mut().unwrap(), &mut self.output);
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let mut frames = Vec::new();
                for file in files {
                    frames.extend(u32::try_from(file.len()).unwrap().to_le_bytes());
                    frames.extend(file);
                }
                input.write_all(&frames).unwrap();
                input.flush().unwrap();
            });
            for file in files {
                let mut length = [0; 4];
                output.read_exact(&mut length).unwrap();
                let mut frame = vec![0; u32::from_le_bytes(length) as usize];
                output.read_exact(&mut frame).unwrap();
                let mut answer: Value = serde_json::from_slice(&frame).unwrap();
                let error = answer["error"].as_str().map(str::to_owned);
                let Value::Array(values) = answer["values"].take() else { panic!("{answer}") };
                each(file, Answer { values, error });
            }
        });
    }

    fn read(&mut self, file: &[u8]) -> Answer {
        let mut read = None;
        self.read_all(&[file.to_vec()], &mut |_, answer| read = Some(answer));
        read.unwrap()
    }
}

impl Drop for Kubectl {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

/// The documents of a file that are not null; none if it is said that it may be read differently.
fn own_values(file: &[u8]) -> Option<Vec<Value>> {
    let mut values = Vec::new();
    for document in documents(file) {
        for tree in document.trees? {
            let value = tree.root().map_or(Value::Null, value_of);
            if tree.exhausted() {
                return None;
            }
            values.extend((!value.is_null()).then_some(value));
        }
    }
    Some(values)
}

fn value_of(node: Node<'_>) -> Value {
    match node.kind() {
        NodeKind::String(text) => Value::from(text),
        NodeKind::Other(ScalarType::Boolean) => Value::from(node.is_yes()),
        NodeKind::Other(ScalarType::Number) => Value::from(0),
        NodeKind::Other(_) => Value::Null,
        NodeKind::Sequence => node.items().map(value_of).collect(),
        NodeKind::Mapping => {
            let mut map = Map::new();
            node.visit_fields(&mut |key, entry, origin| {
                if origin == FieldOrigin::Own || !map.contains_key(key) {
                    map.insert(key.to_owned(), value_of(entry.value));
                }
            });
            Value::Object(map)
        }
    }
}

/// What differs, in words, if something does.
fn difference(file: &[u8], kubectl: &Answer) -> Option<&'static str> {
    let own = own_values(file)?;
    match &kubectl.error {
        Some(_) => Some("read, but refused by kubectl"),
        None if own != kubectl.values => Some("read differently"),
        None => None,
    }
}

/// A smaller file that differs in the same way.
fn shrink(kubectl: &mut Kubectl, file: &[u8], kind: &str) -> Vec<u8> {
    let mut file = file.to_vec();
    let mut length = file.len().div_ceil(2);
    while length > 0 {
        let mut at = 0;
        while at < file.len() {
            let mut smaller = file.clone();
            smaller.drain(at..(at + length).min(file.len()));
            let answer = kubectl.read(&smaller);
            if difference(&smaller, &answer) == Some(kind) {
                file = smaller;
            } else {
                at += length;
            }
        }
        length /= 2;
    }
    file
}

#[test]
#[ignore = "needs Go; see tests/upstream/README.md"]
fn kubectl_reads_the_same() {
    let total = number("DEPUTIZE_DOCUMENTS", DOCUMENTS);
    let seed = number("DEPUTIZE_SEED", 1) as u64;
    let mut kubectl = Kubectl::start();
    let mut differences: BTreeMap<&str, (usize, Vec<Vec<u8>>)> = BTreeMap::new();
    let (mut read, mut same, mut refused_by_both) = (0, 0, 0);
    let (sender, receiver) = mpsc::sync_channel::<Vec<Vec<u8>>>(2);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut generator = Generator::new(seed);
            let mut left = total;
            while left > 0 {
                let count = left.min(20_000);
                left -= count;
                if sender.send((0..count).map(|_| generator.file()).collect()).is_err() {
                    return;
                }
            }
        });
        for files in receiver {
            kubectl.read_all(&files, &mut |file, answer| {
                read += 1;
                let own = own_values(file);
                same += usize::from(own.as_ref().is_some_and(|own| answer.error.is_none() && *own == answer.values));
                refused_by_both += usize::from(own.is_none() && answer.error.is_some());
                if let Some(kind) = difference(file, &answer) {
                    let (count, files) = differences.entry(kind).or_default();
                    *count += 1;
                    if files.len() < SHOWN {
                        files.push(file.to_vec());
                    }
                }
            });
        }
    });
    println!(
        "{read} files: {same} read alike, {refused_by_both} refused by both, {} by deputize only",
        read - same - refused_by_both - differences.values().map(|(count, _)| count).sum::<usize>()
    );
    for (kind, (count, files)) in &differences {
        println!("{count} {kind}:");
        let mut shown: Vec<Vec<u8>> = files.iter().map(|file| shrink(&mut kubectl, file, kind)).collect();
        shown.sort();
        shown.dedup();
        for file in shown {
            let answer = kubectl.read(&file);
            println!("  {:?}", String::from_utf8_lossy(&file));
            println!("    kubectl {}", answer.error.unwrap_or(Value::from(answer.values).to_string()));
            println!("    own     {}", own_values(&file).map_or("?".to_owned(), |own| Value::from(own).to_string()));
        }
    }
    assert!(differences.is_empty(), "{} kinds of differences", differences.len());
    // Most files have to be in the plain subset, or this says nothing.
    assert!(same > read / 4, "{same} of {read}");
}

/// Makes files that are nearly YAML.
struct Generator {
    rng: Rng,
    /// Files that are mutated.
    pool: Vec<Vec<u8>>,
    anchors: usize,
    /// Whether the file is made of what is usual, mostly.
    is_calm: bool,
}

const WORDS: &[&str] = &[
    "a",
    "b",
    "c",
    "verbs",
    "kind",
    "Role",
    "x y",
    "impersonate",
    "a.b/c",
    "-x",
    "x-",
    "é",
    "日本",
    "a#b",
    "a:b",
    "it's",
    "a\"b",
    "<<",
    "=",
    "http://x:80",
    "a=b",
    "a&b",
    "a*b",
    "a!b",
    "a|b",
    "a>b",
    "a%b",
    "a@b",
    "x,y",
    "x]y",
    "a?b",
    "?x",
    ":x",
    "--",
    "-",
    ".",
    "..",
    "~x",
];
const TYPED: &[&str] = &[
    "~",
    "null",
    "Null",
    "",
    "true",
    "yes",
    "No",
    "on",
    "OFF",
    "y",
    "N",
    "TRUE",
    "1",
    "0",
    "-1",
    "+1",
    "012",
    "08",
    "0x1F",
    "0X1f",
    "0o7",
    "0b1",
    "1_000",
    "1.5",
    ".5",
    "1.",
    "1e3",
    "1e400",
    ".inf",
    "-.Inf",
    ".nan",
    "1:30",
    "2001-01-01",
    "0b-1",
    "_1",
    "+_1",
    ".5_0",
    "1e",
    "0x",
    "18446744073709551616",
    "0.1.2",
    "1,2",
    "<<",
];
const NOISE: &[&str] = &[
    " ",
    "  ",
    "\t",
    "\n",
    "\n\n",
    "\r\n",
    "\r",
    "\u{85}",
    "\u{2028}",
    "\u{2029}",
    "\u{a0}",
    "\u{3000}",
    "\u{2003}",
    "\u{feff}",
    "\u{0}",
    "\u{7f}",
    "\u{b}",
    "\u{c}",
    "\u{9f}",
    "\u{fffe}",
    "?",
    "? ",
    ":",
    ": ",
    "-",
    "- ",
    ",",
    ", ",
    "[",
    "]",
    "{",
    "}",
    "[]",
    "{}",
    "&a ",
    "&b ",
    "*a",
    "*b",
    "*a ",
    "!",
    "! ",
    "!x ",
    "!!str ",
    "!!binary ",
    "!!int ",
    "!!null ",
    "!!float ",
    "!!map ",
    "!!seq ",
    "!!set ",
    "!<x> ",
    "!<tag:yaml.org,2002:str> ",
    "!x!y ",
    "%",
    "%YAML 1.1\n",
    "%TAG ! x\n",
    "\n---\n",
    "\n--- ",
    "\n---#",
    "\n---\u{a0}\n",
    "---",
    "--- ",
    "\n...\n",
    "...",
    "\"",
    "'",
    "''",
    "\\",
    "\\\n",
    "\\n",
    "\\x41",
    "\\u0041",
    "\\ud83d",
    "\\U0001F600",
    "\\/",
    "\\'",
    "\\ ",
    "\\\t",
    "\\e",
    "\\N",
    "|",
    ">",
    "|-",
    ">+",
    "|2",
    ">-1",
    "|\n",
    "|\n  ",
    "#",
    " #",
    "#x",
    " # x\n",
    "\n# x\n",
    "\n\t# x\n",
    "<<: ",
    "<<: *a",
    "<<: *a\n",
    "\"<<\": ",
    "a: ",
    "a: b\n",
    "\na: b",
    "\n  a: b",
    "\n- a",
    "\n  - a",
    "`",
    "@",
    "|",
    "a",
    "b",
    "1",
    "~",
    "kind: Role\n",
];

impl Generator {
    fn new(seed: u64) -> Self {
        Self { rng: Rng::with_seed(seed), pool: Vec::new(), anchors: 0, is_calm: false }
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        // What is usual comes first.
        let draws = if self.is_calm { 4 } else { 1 };
        of[(0..draws).map(|_| self.rng.usize(..of.len())).min().unwrap_or_default()]
    }

    fn chance(&mut self, one_in: usize) -> bool {
        self.rng.usize(..one_in) == 0
    }

    fn file(&mut self) -> Vec<u8> {
        self.is_calm = !self.chance(6);
        let mut file = match self.rng.u8(..20) {
            0..=13 => self.documents(),
            14..=15 => self.json_stream(),
            16 => (0..self.rng.usize(1..12)).map(|_| self.one(NOISE)).collect(),
            _ if self.pool.is_empty() => self.documents(),
            _ => String::from_utf8(self.pool[self.rng.usize(..self.pool.len())].clone()).unwrap(),
        };
        for _ in 0..[0, 0, 0, 0, 1, 1, 2][self.rng.usize(..7)] {
            self.mutate(&mut file);
        }
        let bytes = file.into_bytes();
        if bytes.len() < 400 {
            if self.pool.len() < 512 {
                self.pool.push(bytes.clone());
            } else {
                let at = self.rng.usize(..512);
                self.pool[at] = bytes.clone();
            }
        }
        bytes
    }

    fn position(&mut self, text: &str) -> usize {
        let mut at = self.rng.usize(..=text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    }

    fn mutate(&mut self, text: &mut String) {
        let at = self.position(text);
        match self.rng.u8(..8) {
            0..=2 => text.insert_str(at, self.one(NOISE)),
            3 => {
                let removed: usize = text[at..].chars().take(self.rng.usize(1..4)).map(char::len_utf8).sum();
                text.replace_range(at..at + removed, "");
            }
            4 => {
                if let Some(c) = text[at..].chars().next() {
                    let with = self.one(NOISE);
                    text.replace_range(at..at + c.len_utf8(), with);
                }
            }
            5 => {
                let lines: Vec<&str> = text.split_inclusive('\n').collect();
                let line =
                    lines.get(self.rng.usize(..lines.len().max(1))).map_or(String::new(), |line| (*line).to_owned());
                text.insert_str(at, &line);
            }
            6 => {
                // A long key, or a wide gap.
                let filler = [" ", "k", "é", "\n"][self.rng.usize(..4)];
                let count = [900, 990, 1010, 1030, 1100][self.rng.usize(..5)];
                if self.chance(8) {
                    text.insert_str(at, &filler.repeat(count));
                }
            }
            _ => {
                let ends: Vec<usize> = text.match_indices('\n').map(|(at, _)| at).collect();
                if !ends.is_empty() {
                    let end = ends[self.rng.usize(..ends.len())];
                    let with = self.one(&["", "\r\n", " \n", "\t\n", " #\n", "\n\n", "\n ", "\n\t"]);
                    text.replace_range(end..=end, with);
                }
            }
        }
    }

    fn documents(&mut self) -> String {
        let mut text = String::new();
        for index in 0..[1, 1, 1, 2, 3][self.rng.usize(..5)] {
            if index > 0 || self.chance(4) {
                text += self.one(&[
                    "---\n",
                    "---\n",
                    "---\n",
                    "--- \n",
                    "--- # x\n",
                    "---\t\n",
                    "---\r\n",
                    "---#x\n",
                    "...\n",
                    "...\n---\n",
                ]);
            }
            self.anchors = 0;
            if self.chance(12) {
                text += self.one(&["# x\n", "\n", " \n", "\u{feff}", "\u{a0}", "%YAML 1.1\n---\n", "\t\n"]);
            }
            text += &self.block(0, 3);
            if !text.ends_with('\n') && !self.chance(10) {
                text += "\n";
            }
        }
        text
    }

    fn json_stream(&mut self) -> String {
        let mut text = self.one(&["", "", "", " ", "\n", "\u{a0}", "\u{b}", "\u{feff}", "---\n"]).to_owned();
        for _ in 0..[1, 1, 2, 3][self.rng.usize(..4)] {
            text += &self.json(2, true);
            text += self.one(&["\n", "\n", "", " ", "\n\n", "\n---\n", "\r\n", "\n...\n"]);
        }
        text
    }

    fn json(&mut self, depth: usize, is_object: bool) -> String {
        let space = self.one(&["", "", " ", "\n", "\t", "\n  "]);
        match self.rng.u8(..6) {
            0 | 1 if depth > 0 && !is_object => {
                let items: Vec<String> = (0..self.rng.usize(..3)).map(|_| self.json(depth - 1, false)).collect();
                format!("[{space}{}{space}]", items.join(&format!(",{space}")))
            }
            _ if is_object || depth > 0 && self.chance(3) => {
                let entries: Vec<String> = (0..self.rng.usize(..4))
                    .map(|_| {
                        format!("{}{space}:{space}{}", self.json_string(), self.json(depth.saturating_sub(1), false))
                    })
                    .collect();
                format!("{{{space}{}{space}}}", entries.join(&format!("{space},")))
            }
            2 => self.one(&["1", "-2", "0", "1.5e3", "1E5", "0.1"]).to_owned(),
            3 => self.one(&["true", "false", "null"]).to_owned(),
            _ => self.json_string(),
        }
    }

    fn json_string(&mut self) -> String {
        let text = self.one(&[
            "a",
            "b",
            "verbs",
            "a b",
            "\\n",
            "\\u0041",
            "\\/",
            "\\ud83d\\ude00",
            "\\ud800",
            "\\\"",
            "é",
            "\u{2028}",
            "\u{7f}",
            "1",
            "true",
            "",
            "\\t",
            "x: y",
            "#",
            "items",
            "kind",
        ]);
        format!("\"{text}\"")
    }

    fn properties(&mut self) -> String {
        let mut text = String::new();
        if self.chance(14) {
            text += self.one(&[
                "!!str ",
                "!x ",
                "! ",
                "!!binary ",
                "!!int ",
                "!!map ",
                "!!seq ",
                "!<x> ",
                "!a.b/c ",
                "!a,b ",
                "!!null ",
            ]);
        }
        if self.chance(10) {
            self.anchors += 1;
            text += self.one(&["&a ", "&b ", "&a ", "&a1 ", "&a-b ", "&a.b ", "&é ", "&a: ", "&a\n "]);
        }
        text
    }

    fn alias(&mut self) -> Option<&'static str> {
        (self.anchors > 0 && self.chance(5)).then(|| self.one(&["*a", "*b", "*a ", "*a1", "*a-b"]))
    }

    fn comment(&mut self) -> &'static str {
        if self.chance(12) { self.one(&[" # x", " #", "\t# x", "#x", " #\u{2028}x: y"]) } else { "" }
    }

    /// A node in block style, at this indentation; ends with a line feed in most cases.
    fn block(&mut self, indent: usize, depth: usize) -> String {
        let pad = " ".repeat(indent);
        if depth == 0 || self.chance(6) {
            return format!("{pad}{}{}\n", self.scalar(indent, false), self.comment());
        }
        let mut text = String::new();
        let count = self.rng.usize(1..4);
        if self.chance(3) {
            for _ in 0..count {
                let dash = self.one(&["- ", "- ", "- ", "-  ", "-\t", "-\n "]);
                text += &format!("{pad}{dash}{}", self.inline(indent + 2, depth - 1));
            }
            return text;
        }
        for _ in 0..count {
            let key = self.key(indent);
            let colon = self.one(&[":", ":", ":", ":", ":", " :", "\t:"]);
            text += &format!("{pad}{key}{colon}");
            if self.chance(2) {
                let step = self.one(&[" ", " ", " ", "  ", "\t", " \t"]);
                text += &format!("{step}{}", self.inline(indent + 2, 0));
            } else {
                text += self.comment();
                text += "\n";
                if self.chance(10) {
                    text += self.one(&["\n", "# x\n", "  # x\n", "\t\n", " \n", "\t# x\n"]);
                }
                let step = [0, 1, 2, 2, 2, 4][self.rng.usize(..6)];
                text += &self.block(indent + step, depth - 1);
            }
        }
        text
    }

    fn key(&mut self, indent: usize) -> String {
        match self.rng.u8(..24) {
            0 => self.one(TYPED).to_owned(),
            1 => self.one(&["<<", "\"<<\"", "!!merge <<", "! <<"]).to_owned(),
            2 => format!("? {}\n{}", self.one(WORDS), " ".repeat(indent)),
            3 => self.properties() + "k",
            4 => self.alias().map_or("k".to_owned(), |alias| alias.to_owned() + " "),
            5 => self.quoted(),
            6 => self.one(WORDS).to_owned(),
            _ => self.one(&["a", "b", "c", "verbs", "kind", "d", "e"]).to_owned(),
        }
    }

    /// A node behind a key or a dash.
    fn inline(&mut self, indent: usize, depth: usize) -> String {
        match self.rng.u8(..10) {
            0..=1 if depth > 0 => self.block(indent, depth).trim_start_matches(' ').to_owned(),
            2 => format!("{}{}{}\n", self.properties(), self.flow(2), self.comment()),
            3 => self.block_scalar(indent),
            4 => format!("{}\n", self.alias().unwrap_or("x")),
            _ => format!("{}{}\n", self.scalar(indent, false), self.comment()),
        }
    }

    fn block_scalar(&mut self, indent: usize) -> String {
        let mut text = self.properties()
            + self.one(&["|", ">", "|-", ">-", "|+", ">+", "|2", "|1-", ">2+", "| # x", "|\t"])
            + "\n";
        for _ in 0..self.rng.usize(..5) {
            let step = self.rng.usize(..3);
            let line =
                self.one(&["a", "b: c", "# x", "", "", " a", "\ta", "a ", "a\t", "- a", "\t", "a\u{2028}b", "a\u{85}"]);
            let pad = if line.is_empty() { self.rng.usize(..indent + 3) } else { indent + step };
            text += &format!("{}{line}\n", " ".repeat(pad));
        }
        text
    }

    fn scalar(&mut self, indent: usize, in_flow: bool) -> String {
        let properties = self.properties();
        let text = match self.rng.u8(..12) {
            0..=2 => self.one(TYPED).to_owned(),
            3..=5 => self.quoted(),
            6 if !in_flow => {
                let (first, second) = (self.one(WORDS), self.one(WORDS));
                let gap = self.one(&["\n", "\n\n", " \n", "\n\t", "\r\n", "\n \t"]);
                format!("{first}{gap}{}{second}", " ".repeat(indent + 1))
            }
            _ => self.one(WORDS).to_owned(),
        };
        properties + &text
    }

    fn quoted(&mut self) -> String {
        let quote = self.one(&["\"", "\"", "'"]);
        let mut text = String::new();
        for _ in 0..self.rng.usize(..4) {
            text += match self.rng.u8(..4) {
                0 => self.one(&[
                    "\\n", "\\x41", "\\u00e9", "\\\\", "\\\"", "\\ ", "\\\t", "\\/", "\\e", "\\N", "\\_", "\\L", "\\P",
                    "\\0", "\\a", "\\v", "\\'", "\\ud800", "''",
                ]),
                1 => self.one(&[
                    "\n ",
                    "\n",
                    "\n\n  ",
                    " \n  ",
                    "\t\n\t",
                    "\\\n  ",
                    "\\\n",
                    "\u{2028}",
                    "\u{85}",
                    "\\\u{2028}",
                    " ",
                    "\t",
                    "\r\n  ",
                    "\n \t",
                ]),
                _ => self.one(WORDS),
            };
        }
        if quote == "'" {
            text = text.replace("it's", "it''s");
        } else {
            text = text.replace("a\"b", "a\\\"b");
        }
        format!("{quote}{text}{quote}")
    }

    fn flow(&mut self, depth: usize) -> String {
        let space = |this: &mut Self| this.one(&["", "", "", " ", " ", "\n  ", "\n", "\t", " # x\n ", "\n\t"]);
        let (open, close, is_mapping) = if self.chance(2) { ("[", "]", false) } else { ("{", "}", true) };
        let mut text = format!("{open}{}", space(self));
        for _ in 0..self.rng.usize(..4) {
            if is_mapping || self.chance(8) {
                let key = match self.rng.u8(..16) {
                    0 => format!("? {}", self.one(WORDS)),
                    1 => format!("?{}", self.one(WORDS)),
                    2 => String::new(),
                    3 => self.one(TYPED).to_owned(),
                    4 => "<<".to_owned(),
                    5 => self.properties() + "k",
                    6..=8 => self.quoted(),
                    9 => self.alias().unwrap_or("k").to_owned() + " ",
                    10 => self.one(WORDS).to_owned(),
                    _ => self.one(&["a", "b", "c", "verbs"]).to_owned(),
                };
                text += &key;
                text += self.one(&[": ", ": ", ": ", ": ", ":", " : ", " :", "", ":\n ", "\n: ", ":\t"]);
            }
            text += &if depth > 0 && self.chance(3) {
                self.properties() + &self.flow(depth - 1)
            } else if let Some(alias) = self.alias() {
                alias.to_owned()
            } else {
                self.scalar(0, true)
            };
            text += space(self);
            text += self.one(&[",", ",", ", ", ", ", ",\n ", " ,", "", ",,"]);
            text += space(self);
        }
        text + close
    }
}
