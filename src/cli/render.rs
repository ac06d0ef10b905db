//! `deputize render`.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

use deputize::output::{escape, human, render as output};
use deputize::render::{Capabilities, Document, Limits, Rendered, SetKind, Settings, read_chart, render};

use super::{Failure, Outcome, Status, terminal};

const AFTER_HELP: &str = "\
Examples:
  deputize render charts/proxy
  deputize render charts/proxy --set rbac.create=true --origins

Exit status: 0 the chart was rendered, 2 some of it could not be.";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// Chart: a directory with a `Chart.yaml`, or a packed chart (`.tgz`)
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Print the file and line that each line comes from
    #[arg(long)]
    origins: bool,
    /// Values file; of several, the later ones count
    #[arg(long, short = 'f', value_name = "FILE", help_heading = "Values")]
    values: Vec<PathBuf>,
    /// Set values, as `a.b=1,c[0]=x`
    #[arg(long, value_name = "KEY=VALUE", help_heading = "Values")]
    set: Vec<String>,
    /// Set values that are text whatever they look like
    #[arg(long, value_name = "KEY=VALUE", help_heading = "Values")]
    set_string: Vec<String>,
    /// Set values that are JSON
    #[arg(long, value_name = "KEY=JSON", help_heading = "Values")]
    set_json: Vec<String>,
    /// Name of the release [default: printed as `{{ .Release.Name }}`]
    #[arg(long, value_name = "NAME", help_heading = "Release")]
    release_name: Option<String>,
    /// Namespace of the release [default: printed as `{{ .Release.Namespace }}`]
    #[arg(long, short, value_name = "NAMESPACE", help_heading = "Release")]
    namespace: Option<String>,
    /// Kubernetes version that the chart is told
    #[arg(long, value_name = "VERSION", help_heading = "Release")]
    kube_version: Option<String>,
    /// API version that the chart is told of besides the usual ones, as `monitoring.coreos.com/v1`
    #[arg(long, short, value_name = "VERSION", value_delimiter = ',', help_heading = "Release")]
    api_versions: Vec<String>,
    /// Leave out the custom resource definitions in `crds/`
    #[arg(long, help_heading = "Release")]
    skip_crds: bool,
}

impl Args {
    fn settings(&self) -> Result<Settings, Failure> {
        let mut capabilities = Capabilities::default();
        if let Some(version) = &self.kube_version {
            capabilities.set_kube_version(version).map_err(Failure::Message)?;
        }
        capabilities.api_versions.extend(self.api_versions.iter().cloned());
        let mut values = Vec::new();
        for path in &self.values {
            let name = path.display().to_string();
            let read = fs::read(path).map_err(|error| Failure::Message(format!("{name}: {error}")))?;
            values.push((name, read));
        }
        let of = |kind: SetKind, arguments: &[String]| {
            arguments.iter().map(|argument| (kind, argument.clone())).collect::<Vec<_>>()
        };
        let set =
            [of(SetKind::Json, &self.set_json), of(SetKind::Typed, &self.set), of(SetKind::Text, &self.set_string)];
        Ok(Settings {
            values,
            set: set.concat(),
            release_name: self.release_name.clone(),
            namespace: self.namespace.clone(),
            capabilities,
            limits: Limits::default(),
        })
    }
}

pub(super) fn run(args: &Args) -> Outcome {
    let settings = args.settings()?;
    let files = read_chart(&args.path, &settings.limits).map_err(Failure::Message)?;
    let rendered = render(files, &settings).map_err(Failure::Message)?;
    let options = output::RenderOptions {
        origins: args.origins,
        skip_crds: args.skip_crds,
        is_terminal: io::stdout().is_terminal(),
    };
    let mut out = terminal::stdout();
    terminal::unless_closed(output::write_documents(&mut out, &rendered, options).and_then(|()| out.flush()))?;
    print_failures(&rendered)
}

/// Prints on standard error what could not be rendered, and how much was.
fn print_failures(rendered: &Rendered) -> Outcome {
    let mut err = terminal::stderr();
    let mut failed = false;
    for failure in &rendered.failures {
        failed = true;
        write!(err, "error: ")?;
        output::write_failure(&mut err, failure, rendered)?;
    }
    for broken in rendered.documents.iter().filter_map(Document::broken) {
        failed = true;
        writeln!(err, "error: {}: a document is not valid: {}", escape(&broken.source), escape(&broken.message))?;
    }
    if !rendered.missing.is_empty() {
        failed = true;
        let names = rendered.missing.join(", ");
        writeln!(err, "error: charts that this one needs are not in charts/: {}", escape(&names))?;
    }
    writeln!(err, "rendered {}", human::count(rendered.documents.len(), "document"))?;
    err.flush()?;
    Ok(if failed { Status::Failed } else { Status::Clean })
}
