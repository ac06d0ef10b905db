//! What the metrics of the API servers say: whether they limit impersonation, and how often they allowed it.
//!
//! Several API servers may share one address. The time at which a process started tells them apart, so the metrics are read
//! on new connections until the same servers answer again and again.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use k8s_openapi::jiff::Timestamp;
use smol_str::SmolStr;
use tokio::time::{Instant, timeout_at};

use super::client::Client;
use crate::authority::KubeVersion;
use crate::inventory::{Attempts, ImpersonationCount};

/// The most bytes of one answer. The metrics of a large cluster have some tens of megabytes.
const MAX_ANSWER: usize = 256 << 20;
/// No further answers are asked for once they would have more bytes than this together.
const MAX_TOGETHER: usize = 128 << 20;
/// How long all of it may take.
const MAX_TIME: Duration = Duration::from_secs(20);
/// The most answers.
const MAX_ANSWERS: usize = 33;
/// How many answers are asked for at once, after the first.
const AT_ONCE: usize = 4;
/// How many answers in a row must be of known servers, for each of these, before it is taken that there are no others.
const REPEATS: usize = 4;
/// The longest line that is looked at, in bytes.
const MAX_LINE: usize = 64 << 10;
const SECONDS_PER_HOUR: u64 = 60 * 60;
/// The most modes. There are five.
const MAX_MODES: usize = 32;

/// What the servers that answered say.
#[derive(Debug, Default)]
pub(super) struct ServerMetrics {
    /// By the time at which the server started, as it writes it.
    servers: BTreeMap<SmolStr, ImpersonationCount>,
    /// Whether the feature gate was on, as far as answers say so.
    gates: Vec<bool>,
    answers: usize,
    /// How many answers in a row were of known servers.
    repeats: usize,
    bytes: usize,
}

/// Reads the metrics of the servers, where they may be read.
pub(super) async fn read(client: &Client) -> ServerMetrics {
    let mut found = ServerMetrics::default();
    let deadline = Instant::now() + MAX_TIME;
    let Ok(Some(first)) = timeout_at(deadline, read_one(client)).await else { return found };
    found.add(first);
    while found.wants_more() {
        let round = async { tokio::join!(read_one(client), read_one(client), read_one(client), read_one(client)) };
        let Ok((a, b, c, d)) = timeout_at(deadline, round).await else { break };
        let answers: [_; AT_ONCE] = [a, b, c, d];
        let complete = answers.iter().all(Option::is_some);
        answers.into_iter().flatten().for_each(|answer| found.add(answer));
        if !complete {
            break;
        }
    }
    found
}

async fn read_one(client: &Client) -> Option<Answer> {
    let mut answer = Answer::default();
    let mut lines = Lines::default();
    client.stream("/metrics", MAX_ANSWER, |piece| lines.push(piece, |line| answer.line(line))).await.ok()?;
    lines.end(|line| answer.line(line));
    answer.bytes = lines.bytes;
    Some(answer)
}

impl ServerMetrics {
    /// Whether constrained impersonation is on in all servers that say so; none if none does.
    pub(super) fn gate(&self) -> Option<bool> {
        (!self.gates.is_empty()).then(|| self.gates.iter().all(|gate| *gate))
    }

    /// What each server has counted, the one that has run longest first.
    pub(super) fn into_counts(self) -> Vec<ImpersonationCount> {
        let mut counts: Vec<ImpersonationCount> = self.servers.into_values().collect();
        counts.sort_by(|a, b| (b.hours, &a.started).cmp(&(a.hours, &b.started)));
        counts
    }

    fn add(&mut self, answer: Answer) {
        self.answers += 1;
        self.bytes = self.bytes.saturating_add(answer.bytes);
        self.gates.extend(answer.gate);
        let Some((key, count)) = answer.into_count() else { return };
        // Counters only grow: the last answer of a server holds the others.
        let known = self.servers.insert(key, count).is_some();
        self.repeats = if known { self.repeats + 1 } else { 0 };
    }

    /// Whether there may be servers that have not answered yet, and asking for them costs little enough.
    fn wants_more(&self) -> bool {
        let mean = self.bytes / self.answers.max(1);
        !self.servers.is_empty()
            && self.repeats < REPEATS * self.servers.len()
            && self.answers + AT_ONCE <= MAX_ANSWERS
            && self.bytes.saturating_add(AT_ONCE * mean) <= MAX_TOGETHER
    }
}

/// What the metrics of one server say.
#[derive(Debug, Default)]
struct Answer {
    gate: Option<bool>,
    /// When the process started, as it writes it: seconds since 1970.
    started: Option<SmolStr>,
    /// The version of the program.
    version: Option<KubeVersion>,
    /// Whether metrics were disabled.
    hides_metrics: bool,
    attempts: Attempts,
    bytes: usize,
}

impl Answer {
    /// Takes a line in Prometheus' text format.
    fn line(&mut self, line: &[u8]) {
        // Most lines are of other metrics.
        let is_other = !line.starts_with(b"apiserver_impersonation_attempts_total{")
            && !line.starts_with(b"kubernetes_")
            && !line.starts_with(b"process_start_time_seconds ")
            && !line.starts_with(b"disabled_metrics_total ");
        let Some(Sample { name, labels, value }) = (!is_other).then(|| Sample::read(line)).flatten() else { return };
        let label = |name: &str| labels.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str());
        match name {
            "kubernetes_feature_enabled" if label("name") == Some("ConstrainedImpersonation") => {
                self.gate = Some(value == "1");
            }
            "kubernetes_build_info" => self.version = label("git_version").and_then(|version| version.parse().ok()),
            "process_start_time_seconds" => self.started = Some(SmolStr::new(value)),
            "disabled_metrics_total" => self.hides_metrics = value != "0",
            "apiserver_impersonation_attempts_total" => {
                let Some(count) = number(value) else { return };
                match (label("decision"), label("mode")) {
                    (Some("allowed"), Some(mode)) if self.attempts.allowed.len() < MAX_MODES => {
                        self.attempts.allowed.insert(SmolStr::new(mode), count);
                    }
                    (Some("denied"), _) => self.attempts.denied = self.attempts.denied.saturating_add(count),
                    _ => {}
                }
            }
            _ => {}
        }
    }

    /// What tells the server from others, and what it has counted; none if it does not say when it started.
    fn into_count(self) -> Option<(SmolStr, ImpersonationCount)> {
        let started = number(self.started.as_deref()?)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map(|passed| passed.as_secs()).unwrap_or_default();
        let time = Timestamp::from_second(i64::try_from(started).ok()?).ok()?;
        // A metric without a sample is not printed at all: that is 0 where it would be counted.
        let is_counted =
            self.gate == Some(true) && self.version >= Some(KubeVersion::CONSTRAINED) && !self.hides_metrics;
        let attempts = (is_counted || self.attempts != Attempts::default()).then_some(self.attempts);
        let count = ImpersonationCount {
            started: SmolStr::new(time.to_string()),
            hours: now.saturating_sub(started) / SECONDS_PER_HOUR,
            attempts,
        };
        Some((self.started?, count))
    }
}

/// A number that counts something, as a metric writes it.
fn number(text: &str) -> Option<u64> {
    let value: f64 = text.parse().ok()?;
    // Too large a number is the largest there is.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
    (value >= 0.0).then_some(value as u64)
}

/// A line of a metric.
struct Sample<'l> {
    name: &'l str,
    labels: Vec<(&'l str, String)>,
    value: &'l str,
}

impl<'l> Sample<'l> {
    /// Reads `name{label="value",…} value`, or the same without labels; none if it is anything else.
    fn read(line: &'l [u8]) -> Option<Self> {
        let line = std::str::from_utf8(line).ok()?.trim_end();
        let end = line.find(['{', ' '])?;
        let (name, mut rest) = line.split_at(end);
        let mut labels = Vec::new();
        if let Some(inside) = rest.strip_prefix('{') {
            rest = inside;
            while !rest.starts_with('}') {
                let (key, quoted) = rest.split_once("=\"")?;
                let (value, after) = unquote(quoted)?;
                labels.push((key, value));
                rest = after.strip_prefix(',').unwrap_or(after);
            }
            rest = rest.strip_prefix('}')?;
        }
        // A time may follow the value.
        let value = rest.split_ascii_whitespace().next()?;
        Some(Self { name, labels, value })
    }
}

/// The value of a label up to its closing quote, and what follows that.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((value, text.get(at + 1..)?)),
            '\\' => value.push(match chars.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
    None
}

/// Lines of a text that comes in pieces. Lines that are too long are left out.
#[derive(Default)]
struct Lines {
    /// The beginning of a line whose end is still to come.
    rest: Vec<u8>,
    /// Whether that line is too long.
    is_too_long: bool,
    bytes: usize,
}

impl Lines {
    fn push(&mut self, mut piece: &[u8], mut take: impl FnMut(&[u8])) {
        self.bytes += piece.len();
        while let Some(end) = memchr::memchr(b'\n', piece) {
            let (line, after) = piece.split_at(end);
            piece = after.get(1..).unwrap_or_default();
            if self.rest.is_empty() && !self.is_too_long {
                take(line);
            } else {
                self.keep(line);
                self.end(&mut take);
            }
        }
        self.keep(piece);
    }

    /// Ends the last line.
    fn end(&mut self, mut take: impl FnMut(&[u8])) {
        if !self.is_too_long {
            take(&self.rest);
        }
        self.rest.clear();
        self.is_too_long = false;
    }

    fn keep(&mut self, part: &[u8]) {
        if self.rest.len() + part.len() > MAX_LINE {
            self.is_too_long = true;
        } else if !self.is_too_long {
            self.rest.extend_from_slice(part);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of a real API server 1.37.2 that matter.
    const REAL: &str = "\
# HELP apiserver_impersonation_attempts_total [ALPHA] Total number of impersonation attempts split by mode and decision.
# TYPE apiserver_impersonation_attempts_total counter
apiserver_impersonation_attempts_total{decision=\"allowed\",mode=\"legacy\"} 4
apiserver_impersonation_attempts_total{decision=\"allowed\",mode=\"user-info\"} 1.2e+07
apiserver_impersonation_attempts_total{decision=\"denied\",mode=\"\"} 2
disabled_metrics_total 0
kubernetes_build_info{build_date=\"1970-01-01T00:00:00Z\",git_commit=\"$Format:%H$\",git_version=\"v1.37.2\",major=\"1\",minor=\"37\"} 1
kubernetes_feature_enabled{name=\"ConstrainedImpersonation\",stage=\"BETA\"} 1
process_start_time_seconds 1.79612898351e+09
";

    fn answer(text: &str, cut: usize) -> Answer {
        let mut answer = Answer::default();
        let mut lines = Lines::default();
        let (one, other) = text.as_bytes().split_at(cut);
        for piece in [one, other] {
            lines.push(piece, |line| answer.line(line));
        }
        lines.end(|line| answer.line(line));
        answer
    }

    #[test]
    fn a_real_answer_is_read_wherever_it_is_cut() {
        let allowed = BTreeMap::from([("legacy".into(), 4), ("user-info".into(), 12_000_000)]);
        for cut in 0..=REAL.len() {
            let answer = answer(REAL, cut);
            assert_eq!(answer.gate, Some(true), "{cut}");
            let (key, count) = answer.into_count().unwrap();
            assert_eq!((&*key, &*count.started), ("1.79612898351e+09", "2026-12-01T12:43:03Z"));
            assert_eq!(count.attempts, Some(Attempts { allowed: allowed.clone(), denied: 2 }));
        }
    }

    #[test]
    fn no_sample_is_zero_only_where_it_would_be_counted() {
        let rest = REAL.split_once("disabled").map(|(_, rest)| format!("disabled{rest}")).unwrap();
        let attempts = |text: &str| answer(text, 0).into_count().unwrap().1.attempts;
        assert_eq!(attempts(&rest), Some(Attempts::default()));
        for (from, to) in [
            ("BETA\"} 1", "BETA\"} 0"),
            ("kubernetes_feature_enabled", "other"),
            ("v1.37.2", "v1.35.4"),
            ("kubernetes_build_info", "other"),
            ("metrics_total 0", "metrics_total 1"),
        ] {
            assert_eq!(attempts(&rest.replace(from, to)), None, "{to}");
        }
        assert!(answer(&rest.replace("process_start", "other"), 0).into_count().is_none());
    }

    #[test]
    fn hostile_lines_cost_nothing() {
        let long = format!("{}\n{REAL}", "process_start_time_seconds 1".repeat(MAX_LINE));
        assert_eq!(answer(&long, 7).started.as_deref(), Some("1.79612898351e+09"));
        let attempts = "apiserver_impersonation_attempts_total";
        let text = format!(
            "{attempts}{{\n{attempts}{{mode=\"\n{attempts}{{mode=\"a\\\n{attempts}{{decision=\"allowed\",mode=\"a\\\"b\\nc\"}} 3\n\
             {attempts}{{decision=\"allowed\",mode=\"x\"}} -1\n{attempts}{{decision=\"allowed\",mode=\"y\"}} NaN\n\
             {attempts}{{decision=\"allowed\",mode=\"z\"}} 1e300\n{attempts}{{decision=\"allowed\"}} 1\n"
        );
        let expected = BTreeMap::from([("a\"b\nc".into(), 3), ("z".into(), u64::MAX)]);
        assert_eq!(answer(&text, 0).attempts, Attempts { allowed: expected, denied: 0 });
        let many: String = (0..999).map(|n| format!("{attempts}{{decision=\"allowed\",mode=\"{n}\"}} 1\n")).collect();
        assert_eq!(answer(&many, 0).attempts.allowed.len(), MAX_MODES);
        for started in ["-1", "1e300", "NaN", "soon"] {
            let text = format!("process_start_time_seconds {started}\n");
            assert!(answer(&text, 0).into_count().is_none(), "{started}");
        }
    }

    /// How many answers are read of servers behind one address that take turns, and how many servers are found.
    fn of_servers(servers: usize, bytes: usize) -> (usize, usize) {
        let mut found = ServerMetrics::default();
        let mut next = 0..;
        let mut ask = || Answer {
            started: Some(SmolStr::new((next.next().unwrap_or_default() % servers + 1).to_string())),
            bytes,
            ..Answer::default()
        };
        found.add(ask());
        while found.wants_more() {
            (0..AT_ONCE).for_each(|_| found.add(ask()));
        }
        (found.answers, found.servers.len())
    }

    #[test]
    fn as_many_are_asked_as_there_may_be() {
        assert_eq!(of_servers(1, 2 << 20), (5, 1));
        assert_eq!(of_servers(3, 2 << 20), (17, 3));
        // Bounded, however many answer, and however large their answers are.
        assert_eq!(of_servers(1_000, 1 << 20), (33, 33));
        assert_eq!(of_servers(3, 50 << 20), (1, 1));
    }
}
