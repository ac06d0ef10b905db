//! A server that answers as a script says, over TLS: what a real API server does when it fails.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, LazyLock, Mutex};
use std::thread;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

/// What was asked.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    /// With its query.
    pub path: String,
    /// By lower-cased name.
    pub headers: BTreeMap<String, String>,
}

/// What is answered.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
    /// How many bytes of the body are sent before the connection is cut.
    pub cut: Option<usize>,
}

impl Answer {
    pub fn json(body: &Value) -> Self {
        Self { status: 200, headers: Vec::new(), body: body.to_string(), cut: None }
    }

    pub fn text(body: &str) -> Self {
        Self { status: 200, headers: Vec::new(), body: body.to_owned(), cut: None }
    }

    /// A refusal as an API server words it.
    pub fn refusal(status: u16, message: &str) -> Self {
        let body =
            json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": status});
        Self { status, headers: Vec::new(), body: body.to_string(), cut: None }
    }

    /// The path is not known.
    pub fn unknown() -> Self {
        Self::refusal(404, "the server could not find the requested resource")
    }
}

/// What all servers identify themselves by: a certificate that vouches for itself, in PEM, and how to use it.
static IDENTITY: LazyLock<(String, Arc<ServerConfig>)> = LazyLock::new(|| {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    (made.cert.pem(), Arc::new(config))
});

type Script = dyn Fn(&Asked, usize) -> Answer + Send + Sync;

/// The server. It goes on until the process ends.
pub struct ApiServer {
    pub address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl ApiServer {
    /// Starts one. The script is also told how often the same path was asked for before.
    pub fn start(script: impl Fn(&Asked, usize) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (script, log): (Arc<Script>, _) = (Arc::new(script), Arc::clone(&asked));
        thread::spawn(move || {
            for connection in listener.incoming() {
                let (script, log) = (Arc::clone(&script), Arc::clone(&log));
                // Where the client has gone away, there is nobody to answer.
                thread::spawn(move || drop(serve(connection.unwrap(), &*script, &log)));
            }
        });
        Self { address, asked }
    }

    /// A server of that version with these objects in its lists, a hundred a page. What `script` has no answer to, it
    /// answers itself.
    pub fn of_cluster(
        version: &'static str,
        objects: &[Value],
        script: impl Fn(&Asked, usize) -> Option<Answer> + Send + Sync + 'static,
    ) -> Self {
        let objects = objects.to_vec();
        Self::start(move |asked, before| script(asked, before).unwrap_or_else(|| answer(version, &objects, asked)))
    }

    /// All that was asked.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// A kubeconfig with one context, which has the name of the user.
    pub fn kubeconfig(&self, user: &str, credentials: &Value) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": user,
            "clusters": [{"name": user, "cluster": {
                "server": format!("https://{}", self.address), "certificate-authority-data": STANDARD.encode(&IDENTITY.0),
            }}],
            "users": [{"name": user, "user": credentials}],
            "contexts": [{"name": user, "context": {"cluster": user, "user": user}}],
        })
    }
}

/// The resource of RBAC that a path lists.
pub fn listed(path: &str) -> Option<&str> {
    path.strip_prefix(RBAC)?.split('?').next()?.rsplit('/').next()
}

fn answer(version: &str, objects: &[Value], asked: &Asked) -> Answer {
    let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
    if path == "/version" {
        let minor = version.trim_start_matches("v1.").split('.').next().unwrap();
        return Answer::json(&json!({"major": "1", "minor": minor, "gitVersion": version}));
    }
    let Some(resource) = listed(path) else { return Answer::unknown() };
    let of_kind = |object: &&Value| format!("{}s", object["kind"].as_str().unwrap().to_lowercase()) == resource;
    let parameter = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    let from: usize = parameter("continue").map_or(0, |token| token.parse().unwrap());
    let limit: usize = parameter("limit").unwrap().parse::<usize>().unwrap().min(100);
    let all: Vec<&Value> = objects.iter().filter(of_kind).collect();
    let items: Vec<&&Value> = all.iter().skip(from).take(limit).collect();
    let next = if from + limit < all.len() { (from + limit).to_string() } else { String::new() };
    Answer::json(&json!({"kind": "List", "metadata": {"resourceVersion": "1", "continue": next}, "items": items}))
}

fn serve(stream: TcpStream, script: &Script, log: &Mutex<Vec<Asked>>) -> std::io::Result<()> {
    let connection = ServerConnection::new(Arc::clone(&IDENTITY.1)).unwrap();
    let mut reader = BufReader::new(StreamOwned::new(connection, stream));
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let mut words = line.split_whitespace().map(str::to_owned);
        let (Some(method), Some(path)) = (words.next(), words.next()) else { return Ok(()) };
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            headers.insert(name.to_lowercase(), value.trim().to_owned());
        }
        let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
        std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink())?;
        let asked = Asked { method, path, headers };
        let before = {
            let mut log = log.lock().unwrap();
            let before = log.iter().filter(|other| other.path == asked.path).count();
            log.push(asked.clone());
            before
        };
        let answer = script(&asked, before);
        let mut head = format!("HTTP/1.1 {} Scripted\r\nContent-Length: {}\r\n", answer.status, answer.body.len());
        head.push_str("Content-Type: application/json\r\n");
        answer.headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
        let stream = reader.get_mut();
        stream.write_all(format!("{head}\r\n").as_bytes())?;
        stream.write_all(&answer.body.as_bytes()[..answer.cut.unwrap_or(answer.body.len())])?;
        stream.flush()?;
        if answer.cut.is_some() {
            return stream.sock.shutdown(std::net::Shutdown::Both);
        }
    }
}
