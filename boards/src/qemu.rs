//! A board in QEMU: booted, reachable through a port of this machine, and gone when the [`Guest`] is dropped.
//!
//! QEMU's user networking accepts connections on the host whether or not the guest listens, so neither the port nor a
//! connect tells that the board is up: its own line `up ADDRESS:PORT` does.

use std::ffi::OsString;
use std::fmt::Write;
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

use crate::board::Image;

/// A board that has found no address by then will not: QEMU's DHCP answers at once.
const BOOT: Duration = Duration::from_secs(30);

/// The one QEMU that runs, where the handler of Ctrl-C finds it.
static RUNNING: Mutex<Option<Child>> = Mutex::new(None);

fn running() -> MutexGuard<'static, Option<Child>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A booted board. There is one at a time.
#[derive(Debug)]
pub(crate) struct Guest {
    echo: Option<SocketAddrV4>,
    http: Option<SocketAddrV4>,
    console: Receiver<String>,
}

impl Guest {
    /// Boots the firmware and waits until it is up. The ports of this machine lead to the board's framed echo and to its
    /// HTTP, as far as it has them. Port 0 picks a free one.
    ///
    /// # Errors
    /// When the port is taken, QEMU is not installed or ends, or the board does not come up in time.
    pub(crate) fn boot(
        image: &Image<'_>,
        elf: &Path,
        bind: Ipv4Addr,
        (port, http): (u16, u16),
    ) -> Result<Self> {
        let echo = image.port().map(|_| free_address(bind, port, "--port")).transpose()?;
        let http = image.http().map(|_| free_address(bind, http, "--http")).transpose()?;
        end_on_interrupt()?;
        let program = &image.board.qemu.program;
        // Held until the handler of Ctrl-C can find the new process.
        let mut slot = running();
        let mut child = Command::new(program)
            .args(arguments(image, elf, &[(echo, image.port()), (http, image.http())]))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {program}: apt-get install {program}, or see qemu.org"))?;
        let (sender, console) = mpsc::channel();
        forward(child.stdout.take(), &sender);
        forward(child.stderr.take(), &sender);
        *slot = Some(child);
        drop(slot);
        let guest = Self { echo, http, console };
        guest.wait_until_up(image)?;
        Ok(guest)
    }

    /// Where this machine forwards to the board's framed echo.
    pub(crate) fn echo(&self) -> Option<SocketAddr> {
        self.echo.map(SocketAddr::from)
    }

    /// Where this machine forwards to the board's HTTP.
    pub(crate) fn http(&self) -> Option<SocketAddr> {
        self.http.map(SocketAddr::from)
    }

    /// The lines that the board has printed since this was last asked.
    pub(crate) fn said(&self) -> impl Iterator<Item = String> {
        self.console.try_iter()
    }

    /// Prints what the board prints, until it ends.
    ///
    /// # Errors
    /// When it ends in failure.
    pub(crate) fn follow(&mut self) -> Result<()> {
        for line in &self.console {
            println!("{line}");
        }
        let status = end()?.context("QEMU is gone")?;
        if status.success() { Ok(()) } else { Err(anyhow!("QEMU ended with {status}")) }
    }

    fn wait_until_up(&self, image: &Image<'_>) -> Result<()> {
        let deadline = Instant::now() + BOOT;
        let mut said = Vec::new();
        loop {
            match self.console.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) if is_up(&line) => return Ok(()),
                Ok(line) => said.push(line),
                Err(RecvTimeoutError::Timeout) => {
                    bail!(
                        "{} is not up after {} s; it said: {}",
                        image.name(),
                        BOOT.as_secs(),
                        said.join("\n")
                    )
                }
                Err(RecvTimeoutError::Disconnected) => {
                    bail!("QEMU ended before {} was up; it said: {}", image.name(), said.join("\n"))
                }
            }
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if let Some(child) = running().as_mut() {
            // It may have ended by itself.
            let _ = child.kill();
        }
        let _ = end();
    }
}

/// Waits for QEMU to end, so that no zombie stays.
fn end() -> Result<Option<ExitStatus>> {
    let child = running().take();
    child.map(|mut child| child.wait().context("cannot wait for QEMU")).transpose()
}

/// Ends QEMU with this program on SIGINT, SIGTERM and SIGHUP, none of which run destructors.
fn end_on_interrupt() -> Result<()> {
    static HANDLER: Once = Once::new();
    let mut result = Ok(());
    HANDLER.call_once(|| {
        result = ctrlc::set_handler(|| {
            if let Some(child) = running().as_mut() {
                // It may have ended by itself, and there is nobody left to tell.
                let _ = child.kill();
                let _ = child.wait();
            }
            // What a shell reports for a program that SIGINT ended.
            std::process::exit(130);
        });
    });
    result.context("cannot handle Ctrl-C")
}

fn arguments(
    image: &Image<'_>,
    elf: &Path,
    forwards: &[(Option<SocketAddrV4>, Option<u16>)],
) -> Vec<OsString> {
    let qemu = &image.board.qemu;
    let mut network = String::from("user");
    for (host, guest) in forwards.iter().filter_map(|(host, guest)| host.zip(*guest)) {
        // Writing to a string cannot fail.
        let _ = write!(network, ",hostfwd=tcp:{}:{}-:{guest}", host.ip(), host.port());
    }
    let fixed = ["-M", &qemu.machine, "-nographic", "-monitor", "none", "-serial", "none"];
    let console = ["-semihosting-config", "enable=on,target=native", "-nic", &network];
    let mut arguments: Vec<OsString> = fixed.into_iter().chain(console).map(OsString::from).collect();
    arguments.extend(qemu.arguments.iter().map(OsString::from));
    arguments.extend([OsString::from("-kernel"), elf.into()]);
    arguments
}

/// The address to forward from, free a moment ago.
fn free_address(bind: Ipv4Addr, port: u16, option: &str) -> Result<SocketAddrV4> {
    let listener = TcpListener::bind((bind, port)).with_context(|| {
        format!("cannot listen on {bind}:{port}: end what does, or choose another with {option} (0 picks a free one)")
    })?;
    let port = listener.local_addr().context("cannot tell the port")?.port();
    Ok(SocketAddrV4::new(bind, port))
}

/// Sends the stream's lines on, from a thread of its own, until the stream ends.
fn forward(stream: Option<impl Read + Send + 'static>, lines: &Sender<String>) {
    let Some(stream) = stream else { return };
    let lines = lines.clone();
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                return;
            }
        }
    });
}

/// Whether the line is a board's `up ADDRESS:PORT`.
fn is_up(line: &str) -> bool {
    line.strip_prefix("up ").is_some_and(|address| address.trim().parse::<SocketAddrV4>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_boards_own_line_says_that_it_is_up() {
        assert!(is_up("up 10.0.2.15:7000"));
        assert!(!is_up("up 10.0.2.15"));
        assert!(!is_up("up"));
        assert!(!is_up("Timer with period zero, disabling"));
    }

    #[test]
    fn port_0_picks_a_free_one() {
        let address = free_address(Ipv4Addr::LOCALHOST, 0, "--port").unwrap();
        assert_ne!(address.port(), 0);
    }

    #[test]
    fn a_taken_port_is_an_error_that_names_the_way_out() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = free_address(Ipv4Addr::LOCALHOST, port, "--port").unwrap_err().to_string();
        assert!(error.contains(&port.to_string()) && error.contains("--port"), "{error}");
    }
}
