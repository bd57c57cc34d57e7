//! The Ethernet controller inside Luminary's (later TI's) Stellaris LM3S6000 and LM3S8000 families.
//!
//! Both FIFOs hold two bytes of length before each frame, so the frame itself starts at byte 2 of the staging words:
//!
//! ```text
//! RX fifo | length: these 2 bytes + frame + CRC | frame ... | CRC 4 |
//! TX fifo | length: the frame less its header   | frame ... |
//! ```
//! The interrupt masks itself and wakes the network task; the task acknowledges, looks, and only an empty FIFO unmasks.
//!
//! Registers and their bits have the names of the LM3S6965 data sheet.

use core::task::Context;

use embassy_net::Runner;
use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState};
use embassy_sync::waitqueue::AtomicWaker;

use crate::frame::{Buffers, MAX_FRAME, MIN_FRAME, Staging};
use crate::registers::{Block, Register};

/// Interrupts that have come; writing a one acknowledges.
const MACRIS: Register = Register(0x00);
/// Interrupts let through to the processor.
const MACIM: Register = Register(0x04);
/// Receiver control.
const MACRCTL: Register = Register(0x08);
/// Transmitter control.
const MACTCTL: Register = Register(0x0c);
/// Both FIFOs: reading takes from the one, writing adds to the other.
const MACDATA: Register = Register(0x10);
/// The hardware address, bytes 0 to 3.
const MACIA0: Register = Register(0x14);
/// The hardware address, bytes 4 and 5.
const MACIA1: Register = Register(0x18);
/// Frames waiting in the receive FIFO.
const MACNP: Register = Register(0x34);
/// Writing a one sends what is in the transmit FIFO; reads as one until it is sent.
const MACTR: Register = Register(0x38);

/// `MACRIS`, `MACIM`: a frame has come.
const RXINT: u32 = 1 << 0;
/// `MACRIS`: all there are.
const ALL_INTERRUPTS: u32 = 0x7f;
/// `MACRCTL`: receiver on, all multicast.
const RX_ON: u32 = 1 << 0 | 1 << 1;
/// `MACRCTL`: empty the receive FIFO.
const RSTFIFO: u32 = 1 << 4;
/// `MACTCTL`: transmitter on, pad short frames, append the CRC, full duplex.
const TX_ON: u32 = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 4;
/// `MACTR`: a frame is being sent.
const NEWTX: u32 = 1 << 0;

/// The length before each frame.
const LENGTH: usize = 2;
/// The checksum behind a received one.
const CRC: usize = 4;
/// The Ethernet header, which the transmitter's length leaves out.
const HEADER: usize = 14;

static WAKER: AtomicWaker = AtomicWaker::new();

/// Where the chip has its controller.
#[derive(Clone, Copy)]
pub struct Port(Block);

impl Port {
    /// The controller at `address`.
    ///
    /// # Safety
    /// The controller's registers are there, 64 bytes of them, it is clocked, and one [`StellarisEnet`] at most uses
    /// them.
    pub const unsafe fn at(address: usize) -> Self {
        // SAFETY: the caller promises the registers; every offset above is below 64.
        Self(unsafe { Block::at(address) })
    }

    /// To be called by the board's vector for this controller. Masks its interrupt and wakes the network task, which
    /// unmasks it when it has taken what there is.
    pub fn on_interrupt(self) {
        self.0.write(MACIM, 0);
        WAKER.wake();
    }
}

/// The driver.
pub struct StellarisEnet {
    registers: Block,
    buffers: &'static mut Buffers,
    address: [u8; 6],
}

impl StellarisEnet {
    /// Starts receiving. The board enables the interrupt afterwards.
    ///
    /// The controller has no hardware address of its own: `address` is the board's.
    pub fn new(port: Port, address: [u8; 6], buffers: &'static mut Buffers) -> Self {
        let registers = port.0;
        let [a, b, c, d, e, f] = address;
        registers.write(MACIA0, u32::from_le_bytes([a, b, c, d]));
        registers.write(MACIA1, u32::from_le_bytes([e, f, 0, 0]));
        registers.write(MACIM, 0);
        registers.write(MACRIS, ALL_INTERRUPTS);
        registers.write(MACTCTL, TX_ON);
        registers.write(MACRCTL, RSTFIFO);
        registers.write(MACRCTL, RX_ON);
        registers.write(MACIM, RXINT);
        Self { registers, buffers, address }
    }

    /// Takes the next frame out of the FIFO; its length, if there was one.
    fn take_frame(&mut self) -> Option<usize> {
        while self.registers.read(MACNP) != 0 {
            let first = self.registers.read(MACDATA);
            let len = (first & 0xffff) as usize;
            let mut next = Some(first);
            let pop = || next.take().unwrap_or_else(|| self.registers.read(MACDATA));
            self.buffers.rx.fill(len.div_ceil(4), pop);
            let around = LENGTH + CRC;
            if (MIN_FRAME + around..=MAX_FRAME + around).contains(&len) {
                return Some(len - around);
            }
        }
        None
    }

    fn is_sending(&self) -> bool {
        self.registers.read(MACTR) & NEWTX != 0
    }
}

/// The task that runs the network stack on the controller: here, so that all of it is compiled as this package is, for speed.
#[embassy_executor::task]
pub async fn run(mut runner: Runner<'static, StellarisEnet>) -> ! {
    runner.run().await
}

impl Driver for StellarisEnet {
    type RxToken<'a> = Received<'a>;
    type TxToken<'a> = Sending<'a>;

    fn receive(&mut self, cx: &mut Context<'_>) -> Option<(Received<'_>, Sending<'_>)> {
        WAKER.register(cx.waker());
        if self.is_sending() {
            // A frame's time on the wire, and no interrupt tells its end: look again.
            cx.waker().wake_by_ref();
            return None;
        }
        self.registers.write(MACRIS, RXINT);
        let Some(len) = self.take_frame() else {
            self.registers.write(MACIM, RXINT);
            return None;
        };
        let Buffers { rx, tx } = &mut *self.buffers;
        Some((Received { frame: rx, len }, Sending { frame: tx, registers: self.registers }))
    }

    fn transmit(&mut self, cx: &mut Context<'_>) -> Option<Sending<'_>> {
        if self.is_sending() {
            cx.waker().wake_by_ref();
            return None;
        }
        Some(Sending { frame: &mut self.buffers.tx, registers: self.registers })
    }

    /// Always up: QEMU does not model the PHY behind this controller, and DHCP asks again until someone answers.
    fn link_state(&mut self, _cx: &mut Context<'_>) -> LinkState {
        LinkState::Up
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        // embassy-net counts the Ethernet header as well.
        capabilities.max_transmission_unit = MAX_FRAME;
        capabilities.max_burst_size = Some(1);
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ethernet(self.address)
    }
}

/// A frame that has come.
pub struct Received<'a> {
    frame: &'a mut Staging,
    len: usize,
}

impl embassy_net_driver::RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, read: F) -> R {
        read(self.frame.bytes(LENGTH, self.len))
    }
}

/// Room for a frame to send.
pub struct Sending<'a> {
    frame: &'a mut Staging,
    registers: Block,
}

impl embassy_net_driver::TxToken for Sending<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, write: F) -> R {
        let result = write(self.frame.bytes(LENGTH, len));
        let length = (len - HEADER) as u16;
        self.frame.bytes(0, LENGTH).copy_from_slice(&length.to_le_bytes());
        for &word in &self.frame.0[..(LENGTH + len).div_ceil(4)] {
            self.registers.write(MACDATA, word);
        }
        self.registers.write(MACTR, NEWTX);
        result
    }
}
