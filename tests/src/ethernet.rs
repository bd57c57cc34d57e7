//! Simulated Ethernet: a hub between real embassy-net stacks.
//!
//! Every frame goes to every other port, each copy with its own luck. A corrupted frame has one bit of its
//! IPv4 packet inverted, which the checksums find; headers of Ethernet and ARP are left alone, since real
//! hardware drops such frames by their CRC.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::task::{Context, Waker};

use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState, RxToken, TxToken};
use netloom_core::{Clock, Duration, Instant};

use crate::random::Random;
use crate::world::{VirtualClock, World, micros};

/// Header and payload of the largest frame.
const FRAME_MAX: usize = 1514;
const HEADER: usize = 14;
/// Frames a port holds; what comes then is lost, as in hardware.
const QUEUE_MAX: usize = 64;

/// What can happen to a frame on its way to one port. Probabilities are percentages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameFaults {
    /// It is lost.
    pub loss: u32,
    /// It arrives twice.
    pub duplication: u32,
    /// It arrives behind frames sent up to ten times [`jitter`](Self::jitter) and a millisecond later.
    pub reordering: u32,
    /// One bit is inverted.
    pub corruption: u32,
    /// How long it takes.
    pub latency: Duration,
    /// How much longer it may take.
    pub jitter: Duration,
}

impl FrameFaults {
    /// Every frame arrives at once.
    pub const fn none() -> Self {
        Self {
            loss: 0,
            duplication: 0,
            reordering: 0,
            corruption: 0,
            latency: Duration::ZERO,
            jitter: Duration::ZERO,
        }
    }

    /// A bad wireless link: 10 % lost, a few frames twice, late, or damaged.
    pub const fn rough() -> Self {
        Self {
            loss: 10,
            duplication: 3,
            reordering: 5,
            corruption: 2,
            latency: Duration::from_micros(300),
            jitter: Duration::from_micros(200),
        }
    }

    /// The same with another loss.
    pub const fn loss(self, percent: u32) -> Self {
        Self { loss: percent, ..self }
    }
}

/// Connects ports. Cheap to clone; all clones are the same hub.
#[derive(Clone)]
pub struct Hub(Rc<RefCell<State>>);

struct State {
    world: World,
    random: Random,
    faults: FrameFaults,
    ports: Vec<PortState>,
    frames: u64,
    sent: u64,
    lost: u64,
}

#[derive(Default)]
struct PortState {
    /// By arrival, then by number.
    queue: BTreeMap<(u64, u64), Vec<u8>>,
    waker: Option<Waker>,
    cut_off: bool,
}

impl Hub {
    /// A hub without ports.
    pub fn new(world: &World, faults: FrameFaults) -> Self {
        let (world, random, ports) = (world.clone(), world.fork(), Vec::new());
        Self(Rc::new(RefCell::new(State { world, random, faults, ports, frames: 0, sent: 0, lost: 0 })))
    }

    /// A new port; its number is in its hardware address.
    pub fn port(&self) -> Port {
        let mut state = self.0.borrow_mut();
        state.ports.push(PortState::default());
        Port { hub: self.clone(), index: state.ports.len() - 1, clock: state.world.clock() }
    }

    /// Changes what can happen from now on.
    pub fn set_faults(&self, faults: FrameFaults) {
        self.0.borrow_mut().faults = faults;
    }

    /// Pulls the cable of port `index` in the order of their making, or puts it back. Its link stays up, as
    /// behind a switch that lost power upstream.
    pub fn cut_off(&self, index: usize, cut: bool) {
        self.0.borrow_mut().ports[index].cut_off = cut;
    }

    /// Frames sent so far.
    pub fn sent(&self) -> u64 {
        self.0.borrow().sent
    }

    /// Copies of frames that did not arrive.
    pub fn lost(&self) -> u64 {
        self.0.borrow().lost
    }
}

impl State {
    fn send(&mut self, from: usize, frame: &[u8]) {
        self.sent += 1;
        self.world.note(frame.len() as u64);
        for to in (0..self.ports.len()).filter(|to| *to != from) {
            let copies = 1 + usize::from(self.random.chance(self.faults.duplication));
            for _ in 0..copies {
                let lost = self.random.chance(self.faults.loss);
                if lost || self.ports[from].cut_off || self.ports[to].cut_off {
                    self.lost += 1;
                } else {
                    self.deliver(to, frame.to_vec());
                }
            }
        }
    }

    fn deliver(&mut self, to: usize, mut frame: Vec<u8>) {
        let faults = self.faults;
        let is_ipv4 = frame.get(12..HEADER) == Some(&[0x08, 0x00]);
        if is_ipv4 && frame.len() > HEADER && self.random.chance(faults.corruption) {
            let at = HEADER + self.random.below((frame.len() - HEADER) as u64) as usize;
            frame[at] ^= 1 << self.random.below(8);
        }
        let mut wait = micros(faults.latency) + self.random.below(micros(faults.jitter) + 1);
        if self.random.chance(faults.reordering) {
            wait += self.random.below(10 * micros(faults.jitter) + 1000);
        }
        self.frames += 1;
        let port = &mut self.ports[to];
        if port.queue.len() >= QUEUE_MAX {
            self.lost += 1;
            return;
        }
        port.queue.insert((self.world.now().as_micros() + wait, self.frames), frame);
        if let Some(waker) = port.waker.take() {
            waker.wake();
        }
    }
}

/// One port of a [`Hub`]: the network hardware of one stack.
pub struct Port {
    hub: Hub,
    index: usize,
    clock: VirtualClock,
}

/// A frame that arrived.
pub struct Received(Vec<u8>);

/// Room for a frame to send.
pub struct Transmit<'a> {
    hub: &'a Hub,
    from: usize,
}

impl RxToken for Received {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(mut self, f: F) -> R {
        f(&mut self.0)
    }
}

impl TxToken for Transmit<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; len];
        let result = f(&mut frame);
        self.hub.0.borrow_mut().send(self.from, &frame);
        result
    }
}

impl Driver for Port {
    type RxToken<'a> = Received;
    type TxToken<'a> = Transmit<'a>;

    fn receive(&mut self, cx: &mut Context<'_>) -> Option<(Received, Transmit<'_>)> {
        let mut state = self.hub.0.borrow_mut();
        let now = state.world.now().as_micros();
        let port = &mut state.ports[self.index];
        let Some(first) = port.queue.first_entry() else {
            port.waker = Some(cx.waker().clone());
            return None;
        };
        let at = first.key().0;
        if at <= now {
            let frame = first.remove();
            drop(state);
            return Some((Received(frame), Transmit { hub: &self.hub, from: self.index }));
        }
        // An earlier frame may still come.
        port.waker = Some(cx.waker().clone());
        drop(state);
        _ = self.clock.poll_until(Instant::from_micros(at), cx);
        None
    }

    fn transmit(&mut self, _: &mut Context<'_>) -> Option<Transmit<'_>> {
        Some(Transmit { hub: &self.hub, from: self.index })
    }

    fn link_state(&mut self, _: &mut Context<'_>) -> LinkState {
        LinkState::Up
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.max_transmission_unit = FRAME_MAX;
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ethernet([0x02, 0, 0, 0, 0, self.index as u8 + 1])
    }
}
