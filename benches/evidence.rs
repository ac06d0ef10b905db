//! How long `evidence` takes, side by side with what it cannot beat by much.
//!
//! `cargo bench --bench evidence` makes six logs (6 GB): 1 GB of which 2 % are impersonated requests, a million
//! impersonated requests of which a hundred thousand are distinct, the first one compressed with gzip and with zstd, and
//! some of it with a prefix in each line and laid out over many. It runs `deputize evidence` and `rg -c impersonatedUser`
//! over each in turn, with a warm cache. Medians are printed; nothing is asserted, since a timing is no test.
//!
//! Of the first log it is also measured how long it takes to copy the file into memory and do nothing with it: ripgrep maps
//! files instead, which a program must not do whose logs may be cut meanwhile. And `jq`, on the beginning of the log, since
//! all of it would take too long; what that says of the whole is reckoned by bytes.
//!
//! How the kernel holds the file matters more than anything else: what was just written lies there in small pieces, what
//! came from the disk in large ones, which ripgrep maps in half the time. So only figures of one run can be compared.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod common;

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::{median, run};
use flate2::Compression;
use flate2::write::GzEncoder;

const RUNS: usize = 7;
/// Of the log that is mostly of no concern.
const EVENTS: usize = 800_000;
/// What `jq` is given of the log.
const START: u64 = 64 << 20;
/// What is copied at a time, as `deputize` does.
const BLOCK: usize = 1 << 20;
const PAGE: usize = 4096;

fn main() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let sparse = made(directory.join("sparse.log"), |out| write_log(out, EVENTS, 50, 5_000));
    let dense = made(directory.join("dense.log"), |out| write_log(out, 1_000_000, 1, 100_000));
    let gzip = made(directory.join("sparse.log.gz"), |out| {
        let mut out = GzEncoder::new(out, Compression::fast());
        write_log(&mut out, EVENTS, 50, 5_000);
        out.finish().unwrap();
    });
    let zstd = made(directory.join("sparse.log.zst"), |out| {
        let mut out = zstd::Encoder::new(out, 3).unwrap();
        write_log(&mut out, EVENTS, 50, 5_000);
        out.finish().unwrap();
    });
    let prefixed = made(directory.join("prefixed.log"), |out| {
        let mut lines = Vec::new();
        write_log(&mut lines, EVENTS / 4, 50, 5_000);
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            out.write_all(b"2026-01-01T00:00:00.000000000Z node-1 ").unwrap();
            out.write_all(line).unwrap();
        }
    });
    let laid_out = made(directory.join("laid-out.json"), |out| {
        let mut lines = Vec::new();
        write_log(&mut lines, EVENTS / 8, 50, 5_000);
        let events: Vec<serde_json::Value> =
            lines.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
        serde_json::to_writer_pretty(out, &events).unwrap();
    });
    let text = std::fs::metadata(&sparse).unwrap().len();
    println!("median of {RUNS}, warm cache");
    let ours = compare("1 event in 50 impersonated", &sparse, text, RUNS, &[]);
    row("floor: reading alone", median(&mut (0..RUNS).map(|_| copy(&sparse)).collect::<Vec<_>>()), text);
    compare_jq(&sparse, directory, text, ours);
    compare("1,000,000 impersonated, 100,000 distinct", &dense, std::fs::metadata(&dense).unwrap().len(), 3, &[]);
    compare("gzip of the first, one thread", &gzip, text, 3, &["--search-zip"]);
    compare("zstd of the first, one thread", &zstd, text, 3, &["--search-zip"]);
    for (what, log) in [("a prefix in each line", &prefixed), ("laid out over many lines", &laid_out)] {
        compare(what, log, std::fs::metadata(log).unwrap().len(), 3, &[]);
    }
}

/// Prints how long both programs take; `bytes` is the size of the text. The time of ours.
fn compare(what: &str, log: &Path, bytes: u64, runs: usize, rg_options: &[&str]) -> Duration {
    println!("{what}, {:.2} GB", bytes as f64 / 1e9);
    let deputize = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_deputize"));
        if !rg_options.is_empty() {
            command.env("RAYON_NUM_THREADS", "1");
        }
        run(command.arg("evidence").arg(log))
    };
    let rg = || run(Command::new("rg").args(rg_options).args(["-c", "impersonatedUser"]).arg(log));
    deputize();
    let has_rg = rg().is_some();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        ours.extend(deputize());
        theirs.extend(rg());
    }
    let ours = median(&mut ours);
    row("deputize evidence", ours, bytes);
    if has_rg {
        let theirs = median(&mut theirs);
        row("rg -c impersonatedUser", theirs, bytes);
        println!("  {:<24} {:8.2} x", "speed beside rg", theirs.as_secs_f64() / ours.as_secs_f64());
    } else {
        println!("  rg is not installed, so there is nothing to compare with");
    }
    ours
}

fn row(name: &str, time: Duration, bytes: u64) {
    let seconds = time.as_secs_f64();
    println!("  {name:<24} {:8.1} ms {:7.2} GB/s", seconds * 1e3, bytes as f64 / 1e9 / seconds);
}

/// How long it takes to copy a file into memory, and nothing else: on all processors, into the same memory again and again.
fn copy(log: &Path) -> Duration {
    let start = Instant::now();
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                let file = File::open(log).unwrap();
                // From the beginning of a page on, as it lies in the file.
                let mut buffer = vec![0; BLOCK + PAGE];
                let page = buffer.as_ptr().align_offset(PAGE);
                let buffer = &mut buffer[page..page + BLOCK];
                while read_at(&file, next.fetch_add(BLOCK as u64, Ordering::Relaxed), buffer) > 0 {}
            });
        }
    });
    start.elapsed()
}

#[cfg(unix)]
fn read_at(file: &File, offset: u64, buffer: &mut [u8]) -> usize {
    std::os::unix::fs::FileExt::read_at(file, buffer, offset).unwrap()
}

#[cfg(not(unix))]
fn read_at(mut file: &File, offset: u64, buffer: &mut [u8]) -> usize {
    std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(offset)).unwrap();
    std::io::Read::read(&mut file, buffer).unwrap()
}

/// Prints how long `jq` takes to find the impersonated requests, reckoned from the beginning of the log.
fn compare_jq(log: &Path, directory: &Path, bytes: u64, ours: Duration) {
    let start = made(directory.join("sparse-start.log"), |out| {
        let mut lines = BufReader::new(File::open(log).unwrap().take(START));
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).unwrap() > 0 && line.ends_with(b"\n") {
            out.write_all(&line).unwrap();
            line.clear();
        }
    });
    let some = std::fs::metadata(&start).unwrap().len();
    let jq = || run(Command::new("jq").args(["-c", "select(.impersonatedUser) | .user.username"]).arg(&start));
    if jq().is_none() {
        return println!("  jq is not installed, so there is nothing to compare with");
    }
    let theirs = median(&mut (0..3).filter_map(|_| jq()).collect::<Vec<_>>()).mul_f64(bytes as f64 / some as f64);
    row(&format!("jq (reckoned from {} MB)", some / 1_000_000), theirs, bytes);
    println!("  {:<24} {:8.1} x", "speed beside jq", theirs.as_secs_f64() / ours.as_secs_f64());
}

/// Makes a file once.
fn made(path: PathBuf, write: impl FnOnce(&mut dyn Write)) -> PathBuf {
    if !path.exists() {
        let unfinished = path.with_extension("unfinished");
        let mut out = BufWriter::new(File::create(&unfinished).unwrap());
        write(&mut out);
        out.flush().unwrap();
        std::fs::rename(unfinished, &path).unwrap();
    }
    path
}

/// Events as API servers write them, every so many of them impersonated.
fn write_log(mut out: &mut (impl Write + ?Sized), events: usize, every: usize, distinct: usize) {
    let mut rng = fastrand::Rng::with_seed(1);
    for index in 0..events {
        let kind = rng.usize(0..distinct);
        let (team, user, time) = (kind % 300, kind % 5000, index % 86_400);
        let time = format!(
            "2026-01-01T{:02}:{:02}:{:02}.{:06}Z",
            time / 3600,
            time / 60 % 60,
            time % 60,
            rng.u32(..1_000_000)
        );
        let impersonated = if index % every == 0 {
            format!(
                r#""impersonatedUser":{{"username":"user-{user}@example.com","groups":["devs","team-{team}","system:authenticated"]}},"#
            )
        } else {
            String::new()
        };
        writeln!(
            &mut out,
            r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"{index:08x}-9c1d-4a5e-b0f2-{:012x}","stage":"ResponseComplete","requestURI":"/apis/apps/v1/namespaces/team-{team}/deployments/web-{kind}?timeout=30s","verb":"get","user":{{"username":"system:serviceaccount:team-{team}:controller","uid":"5b1d8d0e-{kind:08x}","groups":["system:serviceaccounts","system:serviceaccounts:team-{team}","system:authenticated"],"extra":{{"authentication.kubernetes.io/credential-id":["JTI={:016x}"],"authentication.kubernetes.io/node-name":["node-{}"],"authentication.kubernetes.io/node-uid":["0c8f7a52-3b7e-4b7d-8b2e-0e6d3b2f4a11"],"authentication.kubernetes.io/pod-name":["controller-6d4b75cb6d-hwt5g"],"authentication.kubernetes.io/pod-uid":["{kind:08x}-3b7e-4b7d-8b2e-0e6d3b2f4a11"]}}}},{impersonated}"sourceIPs":["10.0.{}.{}"],"userAgent":"controller-manager/v1.36.2 (linux/amd64) kubernetes/3b7e4b7","objectRef":{{"resource":"deployments","namespace":"team-{team}","name":"web-{kind}","apiGroup":"apps","apiVersion":"v1"}},"responseStatus":{{"metadata":{{}},"code":200}},"requestReceivedTimestamp":"{time}","stageTimestamp":"{time}","annotations":{{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":"RBAC: allowed by ClusterRoleBinding \"controller\" of ClusterRole \"controller\" to ServiceAccount \"controller/team-{team}\""}}}}"#,
            rng.u64(..1 << 48),
            rng.u64(..),
            kind % 50,
            rng.u8(..),
            rng.u8(..)
        )
        .unwrap();
    }
}
