//! A request to a server of HTTP, its data from the command line, a file or standard input; the response to standard
//! output or a file. Both are streams, and both go on at once.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use ::http::{Method, Response};
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use netloom::http::{Body, Client, RequestBody};
use tokio::sync::mpsc;

use super::Args;
use crate::exit::Failure;
use crate::request::{self, Data, FORM, HTTP, RequestArgs};
use crate::units;

#[derive(clap::Args)]
pub(super) struct HttpArgs {
    #[command(flatten)]
    request: RequestArgs,
    /// Send this: text, @FILE, or @- for standard input; several are joined by &.
    #[arg(short, long, value_name = "DATA", value_parser = request::data, help_heading = HTTP)]
    data: Vec<Data>,
    /// Print the response's head too.
    #[arg(short, long, help_heading = HTTP)]
    include: bool,
    /// Ask for the head only, and print it.
    #[arg(short = 'I', long, conflicts_with = "data", help_heading = HTTP)]
    head: bool,
    /// Write to this file instead of standard output.
    #[arg(short, long, value_name = "FILE", help_heading = HTTP)]
    output: Option<PathBuf>,
    /// Follow redirects, at most ten.
    #[arg(short = 'L', long, help_heading = HTTP)]
    location: bool,
    /// Ask for a compressed response, and decode it.
    #[arg(long, help_heading = HTTP)]
    compressed: bool,
    /// A status of 400 or more is a failure, and its body is not printed.
    #[arg(short, long, help_heading = HTTP)]
    fail: bool,
    /// How long it may take in all.
    #[arg(long, value_name = "SECONDS", value_parser = units::seconds, help_heading = HTTP)]
    max_time: Option<Duration>,
}

impl HttpArgs {
    /// Whether something is asked that only HTTP knows.
    pub(super) fn is_given(&self) -> bool {
        let flags = [self.include, self.head, self.location, self.compressed, self.fail];
        let values = [!self.data.is_empty(), self.output.is_some(), self.max_time.is_some()];
        self.request.is_given() || flags.contains(&true) || values.contains(&true)
    }

    /// The same, but for what WebSocket's handshake knows too.
    pub(super) fn is_given_but_fields(&self) -> bool {
        let flags = [self.include, self.head, self.compressed, self.fail, self.request.is_given_but_fields()];
        flags.contains(&true) || !self.data.is_empty() || self.output.is_some() || self.max_time.is_some()
    }

    pub(super) fn fields(&self) -> &[request::Field] {
        self.request.fields()
    }

    /// Most redirects that are followed.
    pub(super) fn redirects(&self) -> u32 {
        if self.location { 10 } else { 0 }
    }

    fn method(&self) -> &str {
        self.request.method(match (self.head, self.data.is_empty()) {
            (true, _) => "HEAD",
            (false, true) => "GET",
            (false, false) => "POST",
        })
    }
}

/// A person may wait for an event as long as they like; a day is that.
const SILENCE: Duration = Duration::from_secs(86_400);

/// Asks, and writes what is answered.
pub(super) async fn fetch(all: &Args) -> Result<(), Failure> {
    let (args, url) = (&all.http, &all.url);
    let mut client = Client::builder()
        .connect_timeout(all.timeout)
        .head_timeout(SILENCE)
        .body_timeout(SILENCE)
        .redirects(args.redirects())
        .decode(args.compressed);
    // Also where the URL is not: it may redirect to one that is.
    if let Some(tls) = all.tls.client(url)? {
        client = client.tls(tls);
    }
    let client = client.build();
    let method = Method::from_bytes(args.method().as_bytes());
    let method = method.map_err(|error| Failure::usage(error.to_string()))?;
    let mut request = client.method(method, &url.to_string());
    for field in args.request.fields() {
        request = request.header(&*field.name, &*field.value);
    }
    if !args.data.is_empty() {
        if args.request.field("content-type").is_none() {
            request = request.header("content-type", FORM);
        }
        request = request.body(payload(&args.data)?);
    }
    if let Some(within) = args.max_time {
        request = request.timeout(within);
    }
    let response = request.send().await.map_err(|error| Failure::client(&error))?;
    let status = response.status();
    tracing::debug!(%status, url = %response.body().url(), "answered");
    if args.fail && status.as_u16() >= 400 {
        return Err(Failure::new(format!("{}: {status}", response.body().url())));
    }
    let (output, name): (Box<dyn Write>, _) = match &args.output {
        Some(path) => (Box::new(create(path)?), path.display().to_string()),
        None => (Box::new(io::stdout().lock()), "standard output".to_owned()),
    };
    match print(response, args.include || args.head, output).await {
        // Who reads our output has seen enough: `| head`.
        Err(Broken::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(Broken::Output(error)) => Err(Failure::new(format!("cannot write to {name}: {error}"))),
        Err(Broken::Response(failure)) => Err(failure),
        Ok(()) => Ok(()),
    }
}

fn create(path: &Path) -> Result<File, Failure> {
    File::create(path).map_err(|error| Failure::new(format!("cannot write to {}: {error}", path.display())))
}

enum Broken {
    Output(io::Error),
    Response(Failure),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// Every piece is out before the next is waited for.
async fn print(response: Response<Body>, include: bool, mut output: impl Write) -> Result<(), Broken> {
    let (parts, mut body) = response.into_parts();
    if include {
        write!(output, "{:?} {}", parts.version, parts.status.as_u16())?;
        write!(output, " {}\r\n", parts.status.canonical_reason().unwrap_or_default())?;
        for (name, value) in &parts.headers {
            output.write_all(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat())?;
        }
        output.write_all(b"\r\n")?;
        output.flush()?;
    }
    while let Some(piece) = body.chunk().await.map_err(|error| Broken::Response(Failure::client(&error)))? {
        output.write_all(&piece)?;
        output.flush()?;
    }
    Ok(())
}

/// One piece of data is a stream if it is no text; several are joined, as the fields of a form.
fn payload(data: &[Data]) -> Result<RequestBody, Failure> {
    match data {
        [stdin @ Data::Stdin] => stream(stdin, io::stdin(), None),
        [data @ Data::File(name)] => {
            let file = File::open(name).map_err(|error| data.unreadable(&error))?;
            // What is no plain file tells no length.
            let metadata = file.metadata().ok().filter(std::fs::Metadata::is_file);
            stream(data, file, metadata.map(|metadata| metadata.len()))
        }
        _ => {
            let parts: Result<Vec<_>, _> = data.iter().map(Data::read).collect();
            Ok(parts?.join(&b'&').into())
        }
    }
}

/// A piece of what is sent.
const PIECE: usize = 64 * 1024;

/// Pieces on their way. Two, so that one is read while the other is sent.
const PIECES: usize = 2;

/// Reads with a thread of its own: reading a terminal cannot be cancelled.
fn stream(
    data: &Data,
    mut input: impl Read + Send + 'static,
    length: Option<u64>,
) -> Result<RequestBody, Failure> {
    let (sender, pieces) = mpsc::channel(PIECES);
    let name = match data {
        Data::File(name) => name.clone(),
        Data::Text(_) | Data::Stdin => "the input".to_owned(),
    };
    let reader = move || {
        let mut piece = vec![0; PIECE];
        // Not more than was promised: the file may have grown.
        let mut left = length.unwrap_or(u64::MAX);
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
            let read = match input.read(&mut piece[..most]) {
                Ok(0) => return,
                Ok(n) => {
                    left -= n as u64;
                    Ok(Bytes::copy_from_slice(&piece[..n]))
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(io::Error::new(error.kind(), format!("cannot read {name}: {error}"))),
            };
            let failed = read.is_err();
            // Nobody wants more once the request is over.
            if sender.blocking_send(read).is_err() || failed {
                return;
            }
        }
    };
    let thread = thread::Builder::new().name("input".to_owned()).spawn(reader);
    thread.map_err(|error| Failure::new(format!("cannot start: {error}")))?;
    Ok(RequestBody::stream(Pieces { pieces, length }))
}

/// What the thread reads, as a body.
struct Pieces {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    length: Option<u64>,
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.pieces.poll_recv(cx).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
