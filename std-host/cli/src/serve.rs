//! `netloom serve`: the demo application, and a table of where it is.

use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use netloom::http::{self, Files, Http1, Request, Sent};
use netloom::quic::QuicServer;
use netloom::tls::TlsServer;
use netloom::{Builder, Ended, Framing, Server, ServerSession, StartError, Stopper};
use netloom_demo::web::{self, Web};
use serde::Serialize;

use crate::exit::{self, Failure};
use crate::identity::{IdentityArgs, Secured};
use crate::secure::pin_in_words;
use crate::url::{By, Scheme, Url};
use crate::{files, units};

/// The port of HTTP unless told otherwise: 80 takes privileges.
const HTTP_PORT: u16 = 8080;

/// The ports over TLS.
const TLS_PORT: u16 = 7443;
const HTTPS_PORT: u16 = 8443;

/// Serve the demo application: a page and WebSockets over HTTP, and an echo of messages over TCP, with and without TLS; the echo
/// and a room over QUIC.
#[derive(clap::Args)]
#[command(after_help = format!("\
Examples:
  netloom serve                              on 127.0.0.1:7000 and http://127.0.0.1:8080/
  netloom serve --bind 0.0.0.0 --bind ::     for everybody, by IPv4 and IPv6
  netloom serve --tcp 0 --http 0 --json      on free ports, which are in the one line on stdout
  netloom serve --files public               the folder at http://127.0.0.1:8080/
  netloom serve --no-tcp -v                  HTTP only; each request is a line on stderr
  netloom serve --cert cert.pem --key key.pem
                                             over TLS too, by that certificate

Everything is also there over TLS, and the framed echo over QUIC, with a room beside it (/chat). Without --cert the certificate is made for the moment, and nobody vouches for it; clients \
know it by its pin, which is told at the start.

With --files, the demo's routes (/plaintext, /json, /status, /events, /stream/N, /echo, /ws, /chat) stay where they are, and its \
page at / if the folder has no index.html. Names that begin with a dot, and symbolic links, are not served.

Ctrl-C lets sessions finish for --grace seconds; a second one ends them at once.

{}", exit::CODES))]
pub(crate) struct Args {
    /// Listen on this address; may be given several times.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1", value_parser = ip)]
    bind: Vec<IpAddr>,
    /// The port of framed echo over TCP; 0 picks a free one.
    #[arg(long, value_name = "PORT", default_value_t = netloom_demo::TCP_PORT)]
    tcp: u16,
    /// No framed echo.
    #[arg(long, conflicts_with = "tcp")]
    no_tcp: bool,
    /// The port of HTTP; 0 picks a free one.
    #[arg(long, value_name = "PORT", default_value_t = HTTP_PORT)]
    http: u16,
    /// No HTTP.
    #[arg(long, conflicts_with_all = ["http", "no_tcp"])]
    no_http: bool,
    /// The port of framed echo over TLS; 0 picks a free one [default: 7443, or 0 if --tcp is]
    #[arg(long, value_name = "PORT", conflicts_with = "no_tcp")]
    tls: Option<u16>,
    /// The port of HTTP over TLS; 0 picks a free one [default: 8443, or 0 if --http is]
    #[arg(long, value_name = "PORT", conflicts_with = "no_http")]
    https: Option<u16>,
    /// The port of framed echo over QUIC, which is UDP's; 0 picks a free one [default: 7443, or 0 if --tcp is]
    #[arg(long, value_name = "PORT", conflicts_with = "no_tcp")]
    quic: Option<u16>,
    /// Nothing over QUIC.
    #[arg(long, conflicts_with = "quic")]
    no_quic: bool,
    /// Nothing over TLS or QUIC.
    #[arg(long, conflicts_with_all = ["tls", "https", "quic", "cert", "client_ca", "crl"])]
    no_tls: bool,
    #[command(flatten)]
    identity: IdentityArgs,
    /// Serve the files beneath this folder over HTTP too; index.html stands for its folder.
    #[arg(long, value_name = "DIR", conflicts_with = "no_http")]
    files: Option<PathBuf>,
    /// Threads, each with its own sessions [default: one per processor]
    #[arg(long, value_name = "N", value_parser = units::count)]
    workers: Option<NonZeroUsize>,
    /// Most sessions of a service at a time [default: 65536]
    #[arg(long, value_name = "N")]
    max_sessions: Option<usize>,
    /// Most sessions of a service at a time from one address [default: 16384]
    #[arg(long, value_name = "N")]
    max_sessions_per_address: Option<usize>,
    /// Longest message that is taken [default: 1M]
    #[arg(long, value_name = "BYTES", value_parser = units::bytes)]
    max_message: Option<usize>,
    /// How long sessions may take to finish when the server is stopped.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = units::seconds)]
    grace: Duration,
    /// Print the endpoints as one line of JSON, and nothing else.
    #[arg(long)]
    json: bool,
}

/// Something that is served: a row of the table for each of its addresses.
struct Service {
    scheme: Scheme,
    application: &'static str,
    does: &'static str,
    /// Choose its ports: without TLS, with it, over QUIC.
    options: [&'static str; 3],
    /// A line for a shell, but for the URL.
    example: &'static str,
}

const FRAMED_ECHO: Service = Service {
    scheme: Scheme::Tcp,
    application: "echo",
    does: "sends every message back",
    options: ["--tcp", "--tls", "--quic"],
    example: "echo hello | netloom connect",
};

const DEMO: Service = Service {
    scheme: Scheme::Http,
    application: "demo",
    does: "a page, JSON, events, echo, /ws, /chat",
    options: ["--http", "--https", ""],
    example: "netloom connect",
};

const FILES: Service = Service { application: "files", does: "a folder's files, and the demo", ..DEMO };

/// A service that accepts connections.
struct Running {
    service: &'static Service,
    server: Server,
    /// So many of its addresses are not secured; they come first. As many are over TLS, the rest over QUIC.
    plain: usize,
}

#[derive(Serialize)]
struct Report {
    endpoints: Vec<Endpoint>,
    /// What a certificate made for the moment is known by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pin: Option<String>,
    workers: usize,
    pid: u32,
}

#[derive(Serialize)]
struct Endpoint {
    protocol: &'static str,
    url: String,
    application: &'static str,
    #[serde(skip)]
    does: &'static str,
    #[serde(skip)]
    example: &'static str,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    files::raise_limit();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(format!("cannot start: {error}")))?;
    runtime.block_on(async {
        // Before anybody can know that we are there.
        let mut signals = Signals::new().map_err(|error| Failure::new(format!("no signals: {error}")))?;
        let secured = match args.no_tls {
            true => None,
            false => Some(args.identity.secure(&args.bind)?),
        };
        // Once in the life of the process.
        let host = format!("{} {}", std::env::consts::OS, std::env::consts::ARCH).leak();
        let web = Arc::new(Web::new(host, netloom::hub::of(ROOM)));
        let mut running = Vec::new();
        if !args.no_tcp {
            running.push(start_echo(args, secured.as_ref(), web.clone())?);
        }
        if !args.no_http {
            running.push(start_demo(args, secured.as_ref(), web)?);
        }
        let _reloading = secured
            .as_ref()
            .map(|secured| Reloading::start(secured.tls.clone()))
            .transpose()
            .map_err(|error| Failure::new(format!("no signals: {error}")))?;
        announce(args, &running, secured.as_ref())
            .map_err(|error| Failure::new(format!("cannot print: {error}")))?;
        signals.next().await;
        let ended = drain(running, args.grace, &mut signals).await;
        eprintln!("drained {}, aborted {}", ended.drained, ended.aborted);
        Ok(())
    })
}

/// Who comes to the room by QUIC asks for that (ALPN), as the end of a URL says; everybody else for the first.
const PROTOCOLS: [&str; 2] = ["netloom", "netloom-chat"];

fn start_echo(args: &Args, secured: Option<&Secured>, web: Arc<DesktopWeb>) -> Result<Running, Failure> {
    let free = |port| if args.tcp == 0 { 0 } else { port };
    let quic_port = args.quic.unwrap_or(free(TLS_PORT));
    let ports = [args.tcp, args.tls.unwrap_or(free(TLS_PORT)), quic_port];
    let mut builder = builder(args, ports, secured);
    if let Some(secured) = secured.filter(|_| !args.no_quic) {
        let quic = QuicServer::builder(secured.tls.clone()).protocols(PROTOCOLS).build();
        let quic = quic.map_err(|error| Failure::usage(error.to_string()))?;
        for address in &args.bind {
            builder = builder.quic((*address, quic_port), quic.clone());
        }
    }
    let serve = async move |session: &mut ServerSession<Framing>| {
        let Some(stream) = session.transport().quic() else { return netloom_demo::echo(session).await };
        let connection = stream.connection().clone();
        if connection.secured().protocol == Some(PROTOCOLS[1].as_bytes()) {
            return netloom_demo::chat::framed(web.room(), session).await;
        }
        tokio::select! {
            biased;
            ended = netloom_demo::echo(session) => ended,
            lost = echo_datagrams(&connection) => Err(lost),
        }
    };
    Running::new(&FRAMED_ECHO, args, ports, builder.start(Framing::new, serve))
}

/// Sends every datagram back while the connection lives.
async fn echo_datagrams(connection: &netloom::quic::Connection) -> netloom::Error {
    loop {
        match connection.receive_datagram().await {
            // One that cannot be sent is lost, as any may be.
            Ok(datagram) => _ = connection.send_datagram(datagram),
            Err(lost) => return lost,
        }
    }
}

/// The demo with a room for all threads.
type DesktopWeb = Web<netloom::hub::Locked>;

/// Bytes of messages that the demo's room keeps.
const ROOM: usize = 64 * 1024;

fn start_demo(args: &Args, secured: Option<&Secured>, web: Arc<DesktopWeb>) -> Result<Running, Failure> {
    let ports = [args.http, args.https.unwrap_or(if args.http == 0 { 0 } else { HTTPS_PORT }), 0];
    let builder = builder(args, ports, secured);
    match &args.files {
        None => {
            let serve = async move |session: &mut ServerSession<Http1>| {
                let app = http::log(http::compress(web.routes(web::page)));
                web.count(session, &app).await
            };
            Running::new(&DEMO, args, ports, builder.start(codec, serve))
        }
        Some(folder) => {
            let files = Files::new(folder)
                .map_err(|error| Failure::usage(format!("--files {}: {error}", folder.display())))?;
            let serve = async move |session: &mut ServerSession<Http1>| {
                let files = async |request: Request<'_>| file_or_page(&files, request).await;
                let app = http::log(http::compress(web.routes(files)));
                web.count(session, &app).await
            };
            Running::new(&FILES, args, ports, builder.start(codec, serve))
        }
    }
}

fn codec() -> Http1 {
    Http1::new().date(http::date)
}

/// A file; where there is none, the demo's page is there.
async fn file_or_page(files: &Files, mut request: Request<'_>) -> netloom::Result<Sent> {
    match files.serve(request.lend()).await {
        Err(error) if error.wire() == 404 => web::page(request).await,
        sent => sent,
    }
}

/// On those ports, without TLS and with it.
fn builder(args: &Args, [port, secured_port, _]: [u16; 3], secured: Option<&Secured>) -> Builder {
    let mut builder = Server::builder().workers(workers(args));
    for address in &args.bind {
        builder = builder.tcp((*address, port));
    }
    for (address, secured) in args.bind.iter().zip(secured.into_iter().cycle()) {
        builder = builder.tls((*address, secured_port), secured.tls.clone());
    }
    if let Some(sessions) = args.max_sessions {
        builder = builder.sessions_max(sessions);
    }
    if let Some(sessions) = args.max_sessions_per_address {
        builder = builder.sessions_per_address_max(sessions);
    }
    if let Some(bytes) = args.max_message {
        builder = builder.message_max(bytes);
    }
    builder
}

fn workers(args: &Args) -> usize {
    args.workers.or_else(|| std::thread::available_parallelism().ok()).map_or(1, usize::from)
}

impl Running {
    fn new(
        service: &'static Service,
        args: &Args,
        ports: [u16; 3],
        started: Result<Server, StartError>,
    ) -> Result<Self, Failure> {
        let server = started.map_err(|error| {
            let is = |port| error.address().ends_with(&format!(":{port}"));
            // The port of TLS may be that of QUIC too: one option, or the other.
            let option = match () {
                () if ports[1] == ports[2] && is(ports[1]) => "--tls or --quic",
                () if is(ports[1]) => service.options[1],
                () if is(ports[2]) && ports[2] != 0 => service.options[2],
                () => service.options[0],
            };
            Failure::start(&error, option)
        })?;
        // One for each address that is bound to.
        Ok(Self { service, server, plain: args.bind.len() })
    }

    fn endpoints(&self) -> impl Iterator<Item = Endpoint> {
        let service = self.service;
        self.server.addresses().iter().enumerate().map(|(n, address)| {
            let by = match n / self.plain {
                0 => By::Plain,
                1 => By::Tls,
                _ => By::Quic,
            };
            let url = Url::new(service.scheme, reachable(*address)).carried(by);
            Endpoint {
                protocol: url.scheme_name(),
                url: url.to_string(),
                application: service.application,
                does: service.does,
                example: service.example,
            }
        })
    }
}

/// Where a client on this machine finds `address`: "any address" is none to connect to.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => IpAddr::from([127, 0, 0, 1]),
            SocketAddr::V6(_) => IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]),
        });
    }
    address
}

fn announce(args: &Args, running: &[Running], secured: Option<&Secured>) -> io::Result<()> {
    let pin = secured.and_then(|secured| secured.pin.as_ref()).map(pin_in_words);
    let endpoints: Vec<Endpoint> = running.iter().flat_map(Running::endpoints).collect();
    let mut out = io::stdout().lock();
    match args.json {
        true => {
            let report = Report { endpoints, pin, workers: workers(args), pid: std::process::id() };
            serde_json::to_writer(&mut out, &report)?;
            writeln!(out)?;
        }
        false => {
            writeln!(out, "{}", table(&endpoints))?;
            for (n, line) in examples(&endpoints, pin.as_deref()).iter().enumerate() {
                writeln!(out, "{}{line}", if n == 0 { "try: " } else { "     " })?;
            }
            if pin.is_some() {
                writeln!(out, "The certificate was made for the moment: clients know it by that pin.")?;
            }
            writeln!(out, "{} workers, process {}; Ctrl-C ends", workers(args), std::process::id())?;
        }
    }
    out.flush()
}

fn table(endpoints: &[Endpoint]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header(["URL", "what it does"]);
    for row in endpoints {
        let does = format!("{}: {}", row.application, row.does);
        table.add_row([&row.url, &does]);
    }
    table
}

/// Lines for a shell: one for each application, and one with TLS for what is trusted only if it is told.
fn examples(endpoints: &[Endpoint], pin: Option<&str>) -> Vec<String> {
    let first = |protocol: &str| endpoints.iter().find(|endpoint| endpoint.protocol == protocol);
    let plain = ["tcp", "http"].into_iter().filter_map(first);
    let mut lines: Vec<_> = plain.map(|endpoint| format!("{} {}", endpoint.example, endpoint.url)).collect();
    if let (Some(pin), Some(endpoint)) = (pin, first("https").or_else(|| first("tls"))) {
        lines.push(format!("{} {} --pin {pin}", endpoint.example, endpoint.url));
    }
    lines
}

/// Lets sessions finish for `grace`, or until the next signal.
async fn drain(running: Vec<Running>, grace: Duration, signals: &mut Signals) -> Ended {
    let active: usize = running.iter().map(|running| running.server.stats().active).sum();
    eprintln!("draining {active} sessions");
    let stoppers: Vec<Stopper> = running.iter().map(|running| running.server.stopper()).collect();
    stoppers.iter().for_each(|stopper| stopper.stop(grace));
    let mut waiting = tokio::task::spawn_blocking(move || {
        running.into_iter().map(|running| running.server.wait()).fold(Ended::default(), |sum, ended| Ended {
            drained: sum.drained + ended.drained,
            aborted: sum.aborted + ended.aborted,
        })
    });
    loop {
        tokio::select! {
            ended = &mut waiting => match ended {
                Ok(ended) => return ended,
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            },
            () = signals.next() => stoppers.iter().for_each(|stopper| stopper.stop(Duration::ZERO)),
        }
    }
}

/// Reads the certificate again when the terminal hangs up, as servers do; until it is dropped.
struct Reloading(tokio::task::JoinHandle<()>);

impl Reloading {
    #[cfg(unix)]
    fn start(tls: TlsServer) -> io::Result<Self> {
        let mut hang_up = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup())?;
        Ok(Self(tokio::spawn(async move {
            while hang_up.recv().await.is_some() {
                match tls.reload() {
                    Ok(()) => eprintln!("the certificate was read again"),
                    Err(error) => eprintln!("the certificate stays as it was: {error}"),
                }
            }
        })))
    }

    #[cfg(windows)]
    fn start(_: TlsServer) -> io::Result<Self> {
        Ok(Self(tokio::spawn(async {})))
    }
}

impl Drop for Reloading {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What asks the server to end.
struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(windows)]
    interrupt: tokio::signal::windows::CtrlC,
}

impl Signals {
    #[cfg(unix)]
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    #[cfg(unix)]
    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    #[cfg(windows)]
    fn new() -> io::Result<Self> {
        Ok(Self { interrupt: tokio::signal::windows::ctrl_c()? })
    }

    #[cfg(windows)]
    async fn next(&mut self) {
        self.interrupt.recv().await;
    }
}

/// An IP address, also as in a URL: `[::1]`.
fn ip(text: &str) -> Result<IpAddr, String> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse().map_err(|_| "not an IP address, like 127.0.0.1 or ::1".to_owned())
}
