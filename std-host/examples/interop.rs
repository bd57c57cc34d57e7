//! HTTP/0.9 over QUIC, `hq-interop`: what implementations of QUIC try each other with.
//!
//! ```text
//! interop serve ADDRESS [--retry]          /N is N bytes; prints where it listens
//! interop get [OPTION...] ADDRESS /PATH... each on a stream of its own; prints how many bytes each has
//!     --moves                              to another local address, with each path
//!     --updates-keys                       with each path
//!     --early                              connects twice, the second time with early data
//! ```
//!
//! The server's certificate is made for the moment, and the client takes any.

use std::error::Error;
use std::net::SocketAddr;

use netloom::Duration;
use netloom::quic::{Connection, Endpoint, QuicClient, QuicServer, Retry, Stream};
use netloom::tls::{Identity, TlsClient, TlsServer};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const PROTOCOL: &str = "hq-interop";

/// Longest line that asks.
const LINE_MAX: usize = 1_000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (options, rest): (Vec<&str>, Vec<&str>) =
        arguments.iter().map(String::as_str).partition(|argument| argument.starts_with("--"));
    match rest.as_slice() {
        ["serve", address] => serve(parse(address)?, options.contains(&"--retry")).await,
        ["get", address, paths @ ..] => get(parse(address)?, paths, &options).await,
        _ => Err("interop serve ADDRESS [--retry], or interop get [OPTION...] ADDRESS /PATH...".into()),
    }
}

fn parse(address: &str) -> Result<SocketAddr> {
    Ok(address.parse()?)
}

async fn serve(address: SocketAddr, retry: bool) -> Result<()> {
    let identity = Identity::self_signed(["localhost"])?;
    let tls = TlsServer::builder(identity).protocols([PROTOCOL]).key_log().build()?;
    let retry = if retry { Retry::Always } else { Retry::UnderLoad };
    let server = QuicServer::builder(tls).retry(retry).early_data().build()?;
    let endpoint = Endpoint::server(address, server)?;
    println!("{}", endpoint.local_address());
    while let Some(connection) = endpoint.accept().await {
        tokio::spawn(async move {
            while let Ok(stream) = connection.accept().await {
                tokio::spawn(answer(stream));
            }
        });
    }
    Ok(())
}

/// Early data may ask too: reading a file twice does no harm.
async fn answer(mut stream: Stream) -> netloom::Result<()> {
    let mut asked = Vec::new();
    while !asked.ends_with(b"\n") && asked.len() < LINE_MAX {
        let mut some = [0; 256];
        match stream.read(&mut some).await? {
            0 => break,
            n => asked.extend_from_slice(&some[..n]),
        }
    }
    let path = std::str::from_utf8(&asked).unwrap_or_default().trim_end().strip_prefix("GET /");
    let mut left: usize = match path {
        Some("") => 100,
        Some(path) => path.parse().unwrap_or(0),
        None => {
            stream.reset(1);
            return Ok(());
        }
    };
    let piece = [b'n'; 16 * 1024];
    while left > 0 {
        let some = left.min(piece.len());
        stream.write_all(&piece[..some]).await?;
        left -= some;
    }
    stream.finish();
    Ok(())
}

async fn get(server: SocketAddr, paths: &[&str], options: &[&str]) -> Result<()> {
    let early = options.contains(&"--early");
    let tls = TlsClient::builder().dangerous_trust_anybody().protocols([PROTOCOL]).key_log();
    let client = QuicClient::builder(tls.server_name("localhost").build()?);
    let client = if early { client.early_data() } else { client };
    let client = client.build()?;
    let own = if server.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
    let endpoint = Endpoint::client_at(parse(own)?)?;
    let connection = match early {
        false => endpoint.connect(&client, server).await,
        true => {
            let first = endpoint.connect(&client, server).await?;
            // The ticket comes behind the handshake.
            fetch(&first, "/1").await?;
            tokio::time::sleep(Duration::from_millis(100)).await;
            first.close(0, b"");
            endpoint.connect_early(&client, server).await
        }
    };
    let connection = connection?;
    for path in paths {
        println!("{path}: {} bytes", fetch(&connection, path).await?);
        if options.contains(&"--moves") {
            endpoint.rebind(parse(own)?)?;
        }
        if options.contains(&"--updates-keys") {
            connection.update_keys();
        }
    }
    if early && !connection.established().await? {
        return Err("early data was not accepted".into());
    }
    connection.close(0, b"");
    endpoint.finish().await;
    Ok(())
}

async fn fetch(connection: &Connection, path: &str) -> netloom::Result<usize> {
    let mut stream = connection.open().await?;
    stream.write_all(format!("GET {path}\r\n").as_bytes()).await?;
    stream.finish();
    let (mut all, mut some) = (0, vec![0; 64 * 1024]);
    loop {
        match stream.read(&mut some).await? {
            0 => return Ok(all),
            n => all += n,
        }
    }
}
