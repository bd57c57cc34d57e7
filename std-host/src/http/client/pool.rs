//! Connections that wait for their next exchange.
//!
//! A connection is either lent to one exchange or here, and what is here is idle. It is looked at before it is lent
//! again: one that its server has ended, or said something on that nobody asked for, is dropped.

use std::collections::VecDeque;
use std::mem::MaybeUninit;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Waker};

use ::http::Uri;
use ::http::uri::Scheme;
use netloom_core::Duration;
use netloom_protocols::http1::Http1Client;
use socket2::SockRef;
use tokio::runtime::{Handle, Id};
use tokio::time::{Instant, sleep_until};

use crate::client::ClientSession;

pub(super) type Connection = Box<ClientSession<Http1Client>>;

/// Where a connection leads: RFC 9110, 4.3.1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) is_secure: bool,
    /// In lower case, an IPv6 address in its brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Origin {
    /// The origin of an http or https URL that has a host.
    pub(crate) fn of(url: &Uri) -> Option<Self> {
        let is_secure = match url.scheme()? {
            scheme if *scheme == Scheme::HTTP => false,
            scheme if *scheme == Scheme::HTTPS => true,
            _ => return None,
        };
        let (authority, host) = (url.authority()?.as_str(), url.host().filter(|host| !host.is_empty())?);
        // The parser takes what stands behind a bracket for nothing.
        let behind =
            authority.rsplit_once('@').map_or(authority, |(_, authority)| authority).strip_prefix(host)?;
        if host == "[]" || !(behind.is_empty() || behind.starts_with(':')) {
            return None;
        }
        let host = host.to_ascii_lowercase();
        let port = url.port_u16().unwrap_or(if is_secure { 443 } else { 80 });
        Some(Self { is_secure, host, port })
    }
}

/// How many connections wait, and for how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) per_host: usize,
    pub(super) total: usize,
    pub(super) idle: Duration,
}

pub(super) struct Pool {
    limits: Limits,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The one that has waited longest first.
    idle: VecDeque<Idle>,
    /// A task drops connections when their time is over.
    reaped: bool,
}

struct Idle {
    origin: Origin,
    connection: Connection,
    until: Instant,
    /// Whose driver wakes the connection: another runtime may outlive it.
    runtime: Id,
}

impl Pool {
    pub(super) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self { limits, state: Mutex::default() })
    }

    /// A connection to `origin` that is alive as far as can be known: the one last used, because it is the likeliest
    /// to be.
    pub(super) fn take(&self, origin: &Origin) -> Option<Connection> {
        let runtime = Handle::try_current().ok()?.id();
        loop {
            let idle = {
                let mut state = self.lock();
                let fits = |idle: &Idle| idle.runtime == runtime && idle.origin == *origin;
                let at = state.idle.iter().rposition(fits)?;
                state.idle.remove(at)?
            };
            let mut connection = idle.connection;
            if idle.until > Instant::now() && is_alive(&mut connection) {
                return Some(connection);
            }
        }
    }

    /// Lets a connection wait. Where there are too many, the one that has waited longest goes.
    pub(super) fn put(self: &Arc<Self>, origin: Origin, connection: Connection) {
        let Limits { per_host, total, idle } = self.limits;
        let Ok(runtime) = Handle::try_current() else { return };
        let Some(until) = Instant::now().checked_add(idle) else { return };
        if per_host == 0 || total == 0 || idle.is_zero() {
            return;
        }
        // Dropped behind the lock.
        let mut gone = Vec::new();
        let mut state = self.lock();
        let same = state.idle.iter().filter(|idle| idle.origin == origin).count();
        if same >= per_host {
            let first = state.idle.iter().position(|idle| idle.origin == origin);
            gone.extend(first.and_then(|at| state.idle.remove(at)));
        }
        if state.idle.len() >= total {
            gone.extend(state.idle.pop_front());
        }
        state.idle.push_back(Idle { origin, connection, until, runtime: runtime.id() });
        let reap = !std::mem::replace(&mut state.reaped, true);
        drop(state);
        if reap {
            runtime.spawn(reap_idle(Reaper { pool: Arc::downgrade(self), is_over: false }));
        }
    }

    /// How many connections wait.
    pub(super) fn len(&self) -> usize {
        self.lock().idle.len()
    }

    /// Drops what has waited too long, and says when to ask again; `None` if nothing waits.
    fn expire(&self) -> Option<Instant> {
        let mut gone = Vec::new();
        let mut state = self.lock();
        let now = Instant::now();
        while state.idle.front().is_some_and(|idle| idle.until <= now) {
            gone.extend(state.idle.pop_front());
        }
        let next = state.idle.front().map(|idle| idle.until);
        state.reaped = next.is_some();
        drop(state);
        next
    }

    /// Nothing that holds the lock panics half way, so a poisoned one is as good.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task's end is noted even if its runtime ends first.
struct Reaper {
    pool: Weak<Pool>,
    is_over: bool,
}

impl Drop for Reaper {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.upgrade().filter(|_| !self.is_over) {
            pool.lock().reaped = false;
        }
    }
}

async fn reap_idle(mut reaper: Reaper) {
    while let Some(next) = reaper.pool.upgrade().and_then(|pool| pool.expire()) {
        sleep_until(next).await;
    }
    reaper.is_over = true;
}

/// Whether nothing came while nothing was asked: neither bytes nor the end.
fn is_alive(connection: &mut Connection) -> bool {
    // The system is asked, because the runtime may not have noticed yet.
    let mut byte = [MaybeUninit::uninit()];
    if let Some(tcp) = connection.transport().tcp() {
        let peeked = SockRef::from(tcp).peek(&mut byte);
        if !peeked.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock) {
            return false;
        }
    }
    // What was received before is the session's to look at.
    let mut cx = Context::from_waker(Waker::noop());
    let is_silent = pin!(connection.find()).poll(&mut cx).is_pending();
    is_silent && connection.reason().is_none()
}
