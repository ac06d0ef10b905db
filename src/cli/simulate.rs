//! `deputize simulate`.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::PathBuf;

use clap::Parser;
use deputize::authority::{Authorizer, Extra, Feature, Headers, Request, User, decide};
use deputize::evidence::{ExtraNames, asks_nothing, read_request_with};
use deputize::grants::Grants;
use deputize::inventory::Inventory;
use deputize::output::{escape, simulate, trace};
use deputize::source::STDIN;
use rayon::prelude::*;

use super::action::Action;
use super::input::{DuplicatesArg, InputArgs, leave_out_apart, one_world, status_of};
use super::settings::VersionArg;
use super::{Failure, Outcome, Status, terminal};

/// Lines that one thread answers at a time.
const CHUNK: usize = 256;
/// Longest line that is read, in bytes.
const MAX_LINE: usize = 4 << 20;

const AFTER_HELP: &str = "\
Exit status: 0 every request is allowed, 1 one is denied, 2 something could not be read.";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    duplicates: DuplicatesArg,
    /// File with requests, one JSON object a line; without it and without --user, standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["user", "action"])]
    requests: Option<PathBuf>,
    /// Answer as a server without the feature gate ConstrainedImpersonation
    #[arg(long)]
    no_constrained: bool,
    #[command(flatten)]
    version: VersionArg,
    /// Who makes the request
    #[arg(long, value_name = "NAME", requires = "action", help_heading = "One request")]
    user: Option<String>,
    /// A group that the requestor is in, beside those that authentication adds; repeatable
    #[arg(long, value_name = "GROUP", requires = "user", help_heading = "One request")]
    group: Vec<String>,
    /// An extra of the requestor, such as authentication.kubernetes.io/node-name=NODE; repeatable
    #[arg(long, value_name = "KEY=VALUE", requires = "user", value_parser = pair, help_heading = "One request")]
    user_extra: Vec<(String, String)>,
    /// Whom the request asks to be
    #[arg(long = "as", value_name = "NAME", requires = "user", help_heading = "One request")]
    as_user: Option<String>,
    /// A group that it asks to be in; repeatable
    #[arg(long, value_name = "GROUP", requires = "user", help_heading = "One request")]
    as_group: Vec<String>,
    /// The UID that it asks to have
    #[arg(long, value_name = "UID", requires = "user", help_heading = "One request")]
    as_uid: Option<String>,
    /// An extra that it asks to have; repeatable
    #[arg(long, value_name = "KEY=VALUE", requires = "user", value_parser = pair, help_heading = "One request")]
    as_user_extra: Vec<(String, String)>,
    /// What is asked for, behind `--`: VERB TYPE[/NAME] or VERB /PATH, with -n, -A and --subresource, as in
    /// `kubectl auth can-i`
    #[arg(last = true, value_name = "VERB …", requires = "user", help_heading = "One request")]
    action: Vec<String>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

impl Args {
    fn feature(&self, inventory: &Inventory) -> Feature {
        if self.no_constrained { Feature::LegacyOnly } else { self.version.over(&self.input).feature(inventory) }
    }
}

pub(super) fn run(args: &Args) -> Outcome {
    // What is wrong with the request is said before anything is read.
    let action = match &args.user {
        Some(_) => {
            let words = std::iter::once("VERB").chain(args.action.iter().map(String::as_str));
            Some(Action::try_parse_from(words).map_err(|error| Failure::Message(error.render().to_string()))?)
        }
        None => None,
    };
    let reads_stdin = args.user.is_none() && args.requests.as_ref().is_none_or(|path| path.as_os_str() == STDIN);
    if reads_stdin && args.input.reads_stdin() {
        return Err(Failure::Message(
            "standard input cannot be both the manifests and the requests; use --requests FILE".to_owned(),
        ));
    }
    let mut inventory = args.input.load()?;
    args.duplicates.resolve(&mut inventory);
    leave_out_apart(&mut inventory)?;
    let grants = Grants::new(&inventory);
    one_world(&grants)?;
    let status = status_of(&grants)?;
    let authorizer = Authorizer::new(&inventory, grants.rules(), grants.links());
    let answered = match (&args.user, action) {
        (Some(user), Some(action)) => one(args, &authorizer, user, &action)?,
        _ => many(args, &authorizer)?,
    };
    args.input.say_coverage(&inventory)?;
    Ok(status.max(answered))
}

/// Answers the request of the command line, for people.
fn one(args: &Args, authorizer: &Authorizer<'_>, user: &str, action: &Action) -> Outcome {
    let extra = |pairs: &[(String, String)]| {
        let mut extra = Extra::new();
        for (key, value) in pairs {
            extra.entry(key.clone()).or_default().push(value.clone());
        }
        extra
    };
    let mut requestor = User { name: user.to_owned(), groups: args.group.clone(), extra: extra(&args.user_extra) };
    requestor.complete_groups();
    let headers = Headers::received(
        args.as_user.clone().unwrap_or_default(),
        args.as_uid.clone().unwrap_or_default(),
        args.as_group.clone(),
        extra(&args.as_user_extra),
    );
    let (attributes, remark) = action.attributes().map_err(Failure::Message)?;
    if let Some(remark) = remark.filter(|_| !terminal::is_quiet()) {
        writeln!(terminal::stderr(), "note: {}", escape(&remark))?;
    }
    let request = Request { requestor: &requestor, headers: &headers, attributes };
    let decision = decide(authorizer, &request, args.feature(authorizer.inventory()));
    let mut out = terminal::text();
    trace::write_trace(&mut out, authorizer.inventory(), &request, &decision, terminal::style())?;
    out.flush()?;
    Ok(if decision.request.is_some() { Status::Clean } else { Status::Reported })
}

/// Answers one request a line, in their order.
fn many(args: &Args, authorizer: &Authorizer<'_>) -> Outcome {
    let input: Box<dyn Read> = match &args.requests {
        Some(path) if path.as_os_str() != STDIN => {
            let file = File::open(path)
                .map_err(|error| Failure::Message(format!("{} cannot be read: {error}", path.to_string_lossy())))?;
            Box::new(file)
        }
        _ => {
            terminal::announce_stdin("requests, one JSON object a line,")?;
            Box::new(io::stdin().lock())
        }
    };
    let mut input = BufReader::with_capacity(1 << 20, input);
    let feature = args.feature(authorizer.inventory());
    let names = ExtraNames::of([authorizer.inventory()]);
    let mut out = terminal::stdout();
    let mut worst = Status::Clean;
    let mut number = 0;
    let mut block = Vec::new();
    loop {
        read_block(&mut input, &mut block)
            .map_err(|error| Failure::Message(format!("requests cannot be read: {error}")))?;
        if block.is_empty() {
            break;
        }
        let block = block.strip_suffix(b"\n").unwrap_or(&block);
        let lines: Vec<&[u8]> = block.split(|byte| *byte == b'\n').collect();
        let answers: Vec<Answers> = lines
            .par_chunks(CHUNK)
            .enumerate()
            .map(|(index, lines)| answer((authorizer, &names), feature, number + index * CHUNK, lines))
            .collect();
        for answers in answers {
            worst = worst.max(answers.status);
            for (number, error) in answers.errors {
                terminal::print_error(&format!("line {number}: {error}"))?;
            }
            out.write_all(&answers.text)?;
        }
        // Who asks one thing at a time waits for the answer.
        out.flush()?;
        number += lines.len();
    }
    Ok(worst)
}

/// Reads whole lines: what is there already, one at least. Of a line that is too long, more than may be is read.
fn read_block(input: &mut BufReader<Box<dyn Read>>, block: &mut Vec<u8>) -> io::Result<()> {
    block.clear();
    let there = input.fill_buf()?;
    match memchr::memrchr(b'\n', there) {
        Some(last) => {
            block.extend_from_slice(&there[..=last]);
            input.consume(last + 1);
        }
        None => {
            input.by_ref().take(MAX_LINE as u64 + 1).read_until(b'\n', block)?;
            if block.len() > MAX_LINE {
                input.skip_until(b'\n')?;
            }
        }
    }
    Ok(())
}

/// The answers to some lines.
#[derive(Debug)]
struct Answers {
    text: Vec<u8>,
    status: Status,
    /// What was wrong, by the number of the line.
    errors: Vec<(usize, String)>,
}

/// Answers lines, of which the first has the number after `before`.
fn answer(
    (authorizer, names): (&Authorizer<'_>, &ExtraNames),
    feature: Feature,
    before: usize,
    lines: &[&[u8]],
) -> Answers {
    let mut answers =
        Answers { text: Vec::with_capacity(512 * lines.len()), status: Status::Clean, errors: Vec::new() };
    for (line, number) in lines.iter().zip(before + 1..) {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let read = if line.len() > MAX_LINE {
            Err(format!("the line is longer than {MAX_LINE} bytes"))
        } else {
            read_request_with(line, names)
        };
        let status = match read {
            Ok(owned) => {
                let request = owned.as_request();
                let decision = decide(authorizer, &request, feature);
                simulate::write_decision(&mut answers.text, &request, &decision);
                if decision.request.is_some() { Status::Clean } else { Status::Reported }
            }
            // Condensed evidence has lines that ask for nothing.
            Err(_) if asks_nothing(line) => continue,
            Err(error) => {
                simulate::write_error(&mut answers.text, number, &error);
                answers.errors.push((number, error));
                Status::Failed
            }
        };
        answers.status = answers.status.max(status);
    }
    answers
}
