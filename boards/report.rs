//! A board that reports: it connects to a server by TLS, tells it each second how it is, as framed JSON, and comes back when
//! the connection ends. What it knows of its server is in the image: see `report_settings.rs`.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use embassy_executor::Spawner;
use embassy_futures::select::{Either, select};
use embassy_net::StackResources;
use embassy_time::{Duration, Instant, Timer};
use netloom_board_drivers::entropy::Entropy;
use netloom_board_drivers::{console, network};
use netloom_embedded::tls::{self, Authorities, Pin, Pins, ServerName, Time, TlsConfig, TlsMemory, Trust};
use netloom_embedded::{ClientMemory, Code, Connector, Result, Stack};
use netloom_protocols::Framing;
use serde::Serialize;
use static_cell::{ConstStaticCell, StaticCell};

use crate::HOST;

include!(concat!(env!("OUT_DIR"), "/report_settings.rs"));

/// It listens to nobody.
pub const PORT: u16 = 0;

/// Between reports.
const PERIOD: Duration = Duration::from_secs(1);

/// Between attempts to connect: after the first that fails, and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(60));

/// Queues of 512 bytes each way; 1 KB each way for the socket.
static MEMORY: ConstStaticCell<ClientMemory<512, 1024>> = ConstStaticCell::new(ClientMemory::new());

/// The server's certificates must fit, and whatever it sends at once.
static RECORDS: ConstStaticCell<TlsMemory<{ tls::record(4096) }, 1024>> =
    ConstStaticCell::new(TlsMemory::new());

/// What the network stack needs for the socket.
pub fn resources() -> &'static mut StackResources<{ 1 + network::SOCKETS }> {
    static RESOURCES: StaticCell<StackResources<{ 1 + network::SOCKETS }>> = StaticCell::new();
    RESOURCES.init_with(StackResources::new)
}

/// Spawns the one task.
pub fn start(spawner: Spawner, stack: Stack<'static>) {
    spawner.spawn(reports(stack).expect("spawned here only"));
}

/// How the board is.
#[derive(Serialize)]
struct Report {
    host: &'static str,
    /// In seconds.
    uptime: u64,
    /// How many sessions there have been, with this one.
    sessions: u32,
}

#[embassy_executor::task]
async fn reports(stack: Stack<'static>) {
    let mut rng = Entropy::open();
    let (memory, records) = (MEMORY.take(), RECORDS.take());
    let (mut sessions, mut pause) = (0, PAUSE.0);
    loop {
        let before = sessions;
        let ended = visit(stack, &mut rng, &mut *memory, &mut *records, &mut sessions).await;
        match ended {
            Ok(()) => console::print(format_args!("the server has ended the session")),
            Err(error) => console::print(format_args!("{error}")),
        }
        if sessions > before {
            pause = PAUSE.0;
        }
        Timer::after(pause).await;
        pause = (pause * 2).min(PAUSE.1);
    }
}

/// One connection: reports until it ends.
async fn visit<const QUEUE: usize, const SOCKET: usize, const RECORD: usize, const SEND: usize>(
    stack: Stack<'_>,
    rng: &mut Entropy,
    memory: &mut ClientMemory<QUEUE, SOCKET>,
    records: &mut TlsMemory<RECORD, SEND>,
    sessions: &mut u32,
) -> Result<()> {
    let (authorities, pins) = (Authorities::new(AUTHORITIES), Pins(PINS));
    let both = authorities.pinned(PINS);
    let trust: &dyn Trust = match (AUTHORITIES, PINS) {
        ([], _) => &pins,
        (_, []) => &authorities,
        _ => &both,
    };
    let config = TlsConfig::new(NAME, trust, Time::NotBefore(BUILT));
    let connecting =
        Connector::DEFAULT.connect_tls(stack, SERVER, Framing::new(), memory, &config, rng, records);
    let mut session = connecting.await?;
    *sessions += 1;
    loop {
        let report = Report { host: HOST, uptime: Instant::now().as_secs(), sessions: *sessions };
        let mut text = [0; 96];
        let len = serde_json_core::to_slice(&report, &mut text).map_err(|_| Code::BufferFull)?;
        session.send(text.get(..len).unwrap_or_default()).await?;
        let next = Instant::now() + PERIOD;
        // What the server answers is not for us; that it ends is.
        loop {
            match select(session.receive(), Timer::at(next)).await {
                Either::First(Ok(Some(_))) => {}
                Either::First(Ok(None)) => return session.close().await,
                Either::First(Err(error)) => return Err(error),
                Either::Second(()) => break,
            }
        }
    }
}
