//! One `GET` at a time: who is asked, how often, and what comes back.

use std::error::Error;
use std::panic::{self, AssertUnwindSafe};
use std::time::Duration;

use http::header::{ACCEPT, CONNECTION, RETRY_AFTER, USER_AGENT};
use http::{HeaderValue, Request, Response, StatusCode, request};
use http_body_util::BodyExt;
use kube::client::{AuthError, Body};
use serde::Deserialize;
use tokio::time::{sleep, timeout};

use super::error::ClusterError;
use super::target::Target;

/// How long it may take to get a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a server may be silent.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// How long one answer may take, however slowly it comes.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
/// How often the same is asked again.
const RETRIES: u32 = 5;
/// The first wait, where the server does not say how long; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// The longest wait, whatever the server says.
const MAX_WAIT: Duration = Duration::from_secs(30);
/// How much of a refusal is read, in bytes.
const MAX_REFUSAL: usize = 64 << 10;
/// How much of a server's words is repeated, in characters.
const MAX_MESSAGE: usize = 500;

/// The API server of a cluster.
pub(super) struct Client {
    client: kube::Client,
    server: String,
}

/// Why a request had no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CallError {
    /// The server refused it.
    Refused {
        /// The HTTP status.
        code: StatusCode,
        /// The server's words.
        message: String,
        /// How long to wait before it is asked again.
        retry_after: Option<Duration>,
    },
    /// There is no connection, and there would be none next time.
    Unreachable(String),
    /// The server's certificate is not accepted, or the server does not accept ours.
    Tls(String),
    /// No credential could be got.
    Credential(String),
    /// The connection broke, or the server fell silent.
    Broken(String),
    /// What came is no answer to what was asked.
    Malformed(String),
}

impl CallError {
    /// How long to wait before asking again; none where that would not help.
    fn wait(&self, attempt: u32) -> Option<Duration> {
        let backoff = FIRST_WAIT * 2_u32.pow(attempt);
        let wait = match self {
            Self::Refused { code, retry_after, .. }
                if *code == StatusCode::TOO_MANY_REQUESTS || code.is_server_error() =>
            {
                retry_after.unwrap_or(backoff)
            }
            Self::Broken(_) => backoff,
            _ => return None,
        };
        (attempt < RETRIES).then(|| wait.min(MAX_WAIT))
    }

    /// What to tell a person, with the host of the server.
    pub(super) fn describe(&self, server: &str) -> ClusterError {
        match self {
            Self::Refused { code, message, .. } => {
                let said = if message.is_empty() { String::new() } else { format!(": {message}") };
                match *code {
                    StatusCode::UNAUTHORIZED => ClusterError::with_help(
                        format!("{server} does not accept the credentials (401){said}"),
                        "they may have expired: log in anew, and try `kubectl auth whoami`",
                    ),
                    StatusCode::FORBIDDEN => ClusterError::with_help(
                        if message.is_empty() { "forbidden".to_owned() } else { message.clone() },
                        "docs/cluster.md has the ClusterRole that is needed; --namespace reads one namespace only",
                    ),
                    StatusCode::NOT_FOUND => ClusterError::with_help(
                        format!("{server} does not know it (404){said}"),
                        "is it the API server of a cluster, and is RBAC among its APIs? `kubectl api-versions` lists them",
                    ),
                    code => ClusterError::new(format!("{server} answered {code}{said}")),
                }
            }
            Self::Unreachable(reason) => ClusterError::with_help(
                format!("{server} cannot be reached: {reason}"),
                "is the cluster up, and is this the right context?",
            ),
            Self::Tls(reason) => ClusterError::with_help(
                format!("there is no secure connection to {server}: {reason}"),
                "check `certificate-authority`, `tls-server-name` and the client certificate of the context",
            ),
            Self::Credential(reason) => ClusterError::with_help(
                reason.clone(),
                "`kubectl auth whoami` with the same context shows what kubectl says to it",
            ),
            Self::Broken(reason) => ClusterError::new(format!("the connection to {server} breaks: {reason}")),
            Self::Malformed(reason) => {
                ClusterError::new(format!("what {server} answers is no answer of an API server: {reason}"))
            }
        }
    }
}

impl Client {
    /// Gets ready to ask; the first request makes the connection.
    pub(super) async fn connect(target: &Target) -> Result<Self, ClusterError> {
        let mut config = target.config().await?;
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        config.read_timeout = Some(READ_TIMEOUT);
        // We wait as the server says.
        config.default_retry = false;
        let agent = HeaderValue::from_static(concat!("deputize/", env!("CARGO_PKG_VERSION")));
        config.headers.push((USER_AGENT, agent));
        // Without what may stand before the host: a password.
        let host = config.cluster_url.host().unwrap_or_default();
        let server = match config.cluster_url.port_u16() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        match client_of(config) {
            Ok(client) => Ok(Self { client, server }),
            Err(error) => Err(error.describe(&server)),
        }
    }

    /// Host and port of the server.
    pub(super) fn server(&self) -> &str {
        &self.server
    }

    /// The body of the answer. Asked again where that may help: as often, and after as long, as is reasonable.
    pub(super) async fn get(&self, path: &str, limit: usize) -> Result<Vec<u8>, CallError> {
        let mut attempt = 0;
        loop {
            let error = match timeout(ANSWER_TIMEOUT, self.get_once(path, limit)).await {
                Ok(Ok(body)) => return Ok(body),
                Ok(Err(error)) => error,
                Err(_) => CallError::Broken(format!("no whole answer in {} s", ANSWER_TIMEOUT.as_secs())),
            };
            let Some(wait) = error.wait(attempt) else { return Err(error) };
            sleep(wait).await;
            attempt += 1;
        }
    }

    /// The same, without a second try.
    async fn get_once(&self, path: &str, limit: usize) -> Result<Vec<u8>, CallError> {
        body(self.ask(Request::get(path).header(ACCEPT, "application/json")).await?, limit).await
    }

    /// Shows the answer to `take` as it comes, piece by piece. The connection is not used again, so that the next request
    /// may reach another server.
    pub(super) async fn stream(&self, path: &str, limit: usize, mut take: impl FnMut(&[u8])) -> Result<(), CallError> {
        let mut read = 0;
        let request = Request::get(path).header(ACCEPT, "*/*").header(CONNECTION, "close");
        let response = self.ask(request).await?;
        pieces(response, |piece| {
            read += piece.len();
            if read > limit {
                return Err(too_long(limit));
            }
            take(piece);
            Ok(true)
        })
        .await
    }

    /// An answer that is no refusal.
    async fn ask(&self, request: request::Builder) -> Result<Response<Body>, CallError> {
        let request = request.body(Body::empty());
        let request = request.map_err(|error| CallError::Malformed(error.to_string()))?;
        let response = self.client.send(request).await.map_err(|error| transport(&error))?;
        if response.status().is_success() { Ok(response) } else { Err(refusal(response).await) }
    }
}

/// Shows the body of an answer, piece by piece, as long as there is more to be seen.
async fn pieces(
    response: Response<Body>,
    mut show: impl FnMut(&[u8]) -> Result<bool, CallError>,
) -> Result<(), CallError> {
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame.map_err(|error| broken(&error))?.into_data() else { continue };
        if !show(&piece)? {
            break;
        }
    }
    Ok(())
}

async fn body(response: Response<Body>, limit: usize) -> Result<Vec<u8>, CallError> {
    let mut bytes = Vec::new();
    pieces(response, |piece| {
        if bytes.len() + piece.len() > limit {
            return Err(too_long(limit));
        }
        bytes.extend_from_slice(piece);
        Ok(true)
    })
    .await?;
    Ok(bytes)
}

fn too_long(limit: usize) -> CallError {
    CallError::Malformed(format!("it has more than {limit} bytes"))
}

async fn refusal(response: Response<Body>) -> CallError {
    #[derive(Deserialize)]
    struct Status {
        message: String,
    }
    let code = response.status();
    let seconds = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let bytes = body(response, MAX_REFUSAL).await.unwrap_or_default();
    let message = serde_json::from_slice::<Status>(&bytes).map(|status| status.message).unwrap_or_default();
    // A proxy that repeats the request would have us show what it holds.
    let message = if message.contains("Bearer ") || message.contains("Basic ") { String::new() } else { message };
    let message = message.chars().take(MAX_MESSAGE).collect();
    CallError::Refused { code, message, retry_after: seconds.map(Duration::from_secs) }
}

fn broken(error: &Cause) -> CallError {
    CallError::Broken(chain(error).last().cloned().unwrap_or_default())
}

type Cause = dyn Error + 'static;

/// An error and its causes.
fn causes(error: &Cause) -> impl Iterator<Item = &Cause> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let error = next?;
        next = error.source();
        Some(error)
    })
}

/// The same, in words.
fn chain(error: &Cause) -> Vec<String> {
    causes(error).map(ToString::to_string).collect()
}

/// Runs the credential plugin, if there is one, and makes the client.
fn client_of(config: kube::Config) -> Result<kube::Client, CallError> {
    // A credential that does not go into a header makes a library panic: nobody is to see that, least of all with the
    // other clusters of a run.
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let client = panic::catch_unwind(AssertUnwindSafe(|| kube::Client::try_from(config)));
    panic::set_hook(hook);
    match client {
        Ok(Ok(client)) => Ok(client),
        Ok(Err(error)) => Err(transport(&error)),
        Err(_) => Err(CallError::Credential("the credentials of the context do not go into a request".to_owned())),
    }
}

/// Why there is no answer. Of what the transport says only what is deepest is told; of all else, our own words: they may
/// hold a password, and what a credential plugin has printed.
fn transport(error: &kube::Error) -> CallError {
    if let Some(auth) = causes(error).find_map(|cause| cause.downcast_ref::<AuthError>()) {
        return CallError::Credential(credential(auth));
    }
    match error {
        kube::Error::Service(_) | kube::Error::HyperError(_) | kube::Error::ReadEvents(_) => {}
        kube::Error::RustlsTls(_) => {
            return CallError::Tls("the certificates of the context cannot be used".to_owned());
        }
        _ => return CallError::Unreachable("the context does not say how".to_owned()),
    }
    let chain = chain(error);
    let deepest = chain.last().cloned().unwrap_or_default();
    let says = |words: &[&str]| chain.iter().any(|cause| words.iter().any(|word| cause.contains(word)));
    if says(&["certificate", "received fatal alert", "InvalidContentType", "corrupt message", "tls handshake"]) {
        CallError::Tls(deepest)
    } else if says(&["client error (Connect)", "tunnel", "Connect timed out"]) {
        CallError::Unreachable(deepest)
    } else {
        CallError::Broken(deepest)
    }
}

fn credential(error: &AuthError) -> String {
    match error {
        AuthError::AuthExecStart(error) => format!("the credential plugin of the context cannot be run: {error}"),
        AuthError::AuthExecRun { out, .. } => {
            format!("the credential plugin of the context failed ({})", out.status)
        }
        AuthError::AuthExecParse(_) | AuthError::ExecPluginFailed | AuthError::MalformedTokenExpirationDate(_) => {
            "the credential plugin of the context printed no credential".to_owned()
        }
        AuthError::MissingCommand => "the credential plugin of the context has no command".to_owned(),
        AuthError::ReadTokenFile(error, path) => {
            format!("the token file {} cannot be read: {error}", path.to_string_lossy())
        }
        AuthError::Oidc(_) => "the OIDC token of the context has expired and cannot be renewed".to_owned(),
        _ => "the credentials of the context cannot be used".to_owned(),
    }
}
