//! `voxtrunk health`: asks a running server for its health; for container health checks and scripts.

use super::exit;
use crate::config::settings::Settings;
use crate::net::socket;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A healthy server answers at once.
const PATIENCE: Duration = Duration::from_secs(2);
/// The answer is one short text.
const MAX_ANSWER: u64 = 4096;

/// Where a running server answers questions about itself.
#[derive(Debug, clap::Args)]
pub struct Address {
    /// Settings file of the server, for its `observe.listen`.
    #[arg(long, short, env = "VOXTRUNK_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Ask this address instead.
    #[arg(long, alias = "url", value_name = "ADDR:PORT")]
    pub address: Option<String>,
}

impl Address {
    /// The error is a sentence for the operator; `command` begins it.
    pub fn resolve(&self, command: &str) -> Result<SocketAddr, String> {
        if let Some(given) = &self.address {
            let bare = given.strip_prefix("http://").unwrap_or(given).split('/').next().unwrap_or_default();
            let hint = || format!("voxtrunk {command}: \"{given}\" is no address: write it as 127.0.0.1:9090");
            return bare.parse().map_err(|_| hint());
        }
        let settings = Settings::load(self.config.as_deref())
            .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
        settings
            .observe
            .listen
            .ok_or_else(|| format!("voxtrunk {command}: observe.listen is off in the settings; give --address"))
    }
}

/// Arguments of `health`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub address: Address,
}

/// Runs it: exit code 0 when the server says it is well.
pub fn run(args: Args) -> ExitCode {
    let address = match args.address.resolve("health") {
        Ok(address) => address,
        Err(why) => {
            eprintln!("{why}");
            return exit::code(exit::USAGE);
        }
    };
    exit::block_on("health", report(address))
}

async fn report(address: SocketAddr) -> ExitCode {
    match get(address, "/healthz", MAX_ANSWER).await {
        Ok(text) => {
            println!("{text}");
            exit::code(exit::OK)
        }
        Err(why) => {
            eprintln!("voxtrunk health: http://{address}/healthz: {why}");
            exit::code(exit::FAILURE)
        }
    }
}

/// The body of a page of the server's, or why there is none.
pub(super) async fn get(address: SocketAddr, path: &str, most: u64) -> Result<String, String> {
    let answer = tokio::time::timeout(PATIENCE, ask(address, path, most)).await;
    answer.unwrap_or_else(|_| Err(format!("no answer within {} s", PATIENCE.as_secs())))
}

/// One HTTP/1.0 request: the status line decides.
async fn ask(address: SocketAddr, path: &str, most: u64) -> Result<String, String> {
    let mut stream = socket::tcp(address).await.map_err(|e| format!("{e}; is the server running?"))?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(|e| e.to_string())?;
    let mut answer = String::new();
    stream.take(most).read_to_string(&mut answer).await.map_err(|e| e.to_string())?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split_whitespace().nth(1).unwrap_or("no status");
    if status == "200" { Ok(body.trim().to_owned()) } else { Err(format!("{status} {}", body.trim())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Serves one canned answer and returns what was asked.
    async fn answering(answer: &'static str) -> Result<String, String> {
        let listener = socket::tcp_listen(([127, 0, 0, 1], 0).into()).await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let serve = async {
            let (mut stream, _) = listener.accept().await.expect("a client");
            let mut request = vec![0; 512];
            let length = stream.read(&mut request).await.expect("a request");
            assert!(request[..length].starts_with(b"GET /healthz HTTP/1.0\r\n"));
            stream.write_all(answer.as_bytes()).await.expect("written");
        };
        tokio::join!(ask(address, "/healthz", MAX_ANSWER), serve).0
    }

    #[tokio::test]
    async fn the_status_decides() {
        assert_eq!(answering("HTTP/1.0 200 OK\r\n\r\nok\n").await, Ok("ok".into()));
        let page = Address { config: None, address: Some("http://127.0.0.1:9090/trunks".into()) };
        assert_eq!(page.resolve("trunks"), Ok(([127, 0, 0, 1], 9090).into()));
        assert_eq!(answering("HTTP/1.0 503 no\r\n\r\ndraining").await, Err("503 draining".into()));
    }
}
