//! SMSC LAN9118 (and 9115, 9218, 9220): an Ethernet controller behind a 32-bit bus, as on Arm's MPS2 boards.
//!
//! ```text
//! stack -> tx staging -> TX_DATA fifo -> MAC -> PHY -> wire
//! stack <- rx staging <- RX_DATA fifo <- MAC <- PHY <- wire
//! ```
//! Frames are copied word by word; there is no DMA. The chip says "RX_STATUS holds a frame" on an *edge*, so nothing may
//! fall between the look and the wait: the interrupt masks itself and wakes the task; the task acknowledges, looks, and
//! only an empty FIFO unmasks. Invariant: whenever the task sleeps, the interrupt is unmasked and was acknowledged
//! before the last look.
//!
//! Registers and their bits have the names of the LAN9118 data sheet.

use core::task::Context;

use embassy_net::Runner;
use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState};
use embassy_sync::waitqueue::AtomicWaker;

use crate::frame::{Buffers, MAX_FRAME, MIN_FRAME, Staging};
use crate::registers::{Block, Register};

/// Receive data FIFO.
const RX_DATA: Register = Register(0x00);
/// Transmit data FIFO: two command words, then the frame.
const TX_DATA: Register = Register(0x20);
/// Receive status FIFO: one word for each frame, taken by reading.
const RX_STATUS: Register = Register(0x40);
/// Interrupt pin: enabled, polarity, driver.
const IRQ_CFG: Register = Register(0x54);
/// Interrupts that have come; writing a one acknowledges.
const INT_STS: Register = Register(0x58);
/// Interrupts let through to the pin.
const INT_EN: Register = Register(0x5c);
/// Reads as [`BYTE_ORDER`] once the chip is awake and the bus is wired in the right order.
const BYTE_TEST: Register = Register(0x64);
/// Fill levels at which the FIFOs interrupt.
const FIFO_INT: Register = Register(0x68);
/// Receive alignment.
const RX_CFG: Register = Register(0x6c);
/// Transmitter on; what a full status FIFO does.
const TX_CFG: Register = Register(0x70);
/// Reset, and the split of the chip's 16 KB between the FIFOs.
const HW_CFG: Register = Register(0x74);
/// Frames and bytes in the receive FIFOs.
const RX_FIFO_INF: Register = Register(0x7c);
/// Bytes free in the transmit FIFO.
const TX_FIFO_INF: Register = Register(0x80);
/// Command to the MAC's own registers, which are not on the bus.
const MAC_CSR_CMD: Register = Register(0xa4);
/// Data for that command.
const MAC_CSR_DATA: Register = Register(0xa8);

/// What `BYTE_TEST` reads.
const BYTE_ORDER: u32 = 0x8765_4321;
/// `HW_CFG`: soft reset, clears itself.
const SRST: u32 = 1 << 0;
/// `HW_CFG`: store and forward, "must be one", and 5 KB of the chip's memory for sending.
const STORE_AND_FORWARD: u32 = 1 << 20 | 5 << 16;
/// `IRQ_CFG`: enabled, active high, push-pull. Otherwise the line is upside down and never silent.
const LINE_HIGH: u32 = 1 << 8 | 1 << 4 | 1;
/// `FIFO_INT`: a transmit level that is never reached, a receive status level of 0: more than none, one frame, counts.
const ONE_FRAME: u32 = 0x4800_0000;
/// `TX_CFG`: transmitter on; a full status FIFO, which nobody reads, does not stop it.
const TX_ON: u32 = 1 << 1 | 1 << 2;
/// `INT_STS`, `INT_EN`: the receive status FIFO is past its level.
const RSFL: u32 = 1 << 3;
/// `INT_STS`, `INT_EN`: the PHY has something to say.
const PHY_INT: u32 = 1 << 18;
/// `RX_STATUS`: the frame was damaged.
const ERROR_SUMMARY: u32 = 1 << 15;
/// Transmit command A: first and last piece of a frame.
const WHOLE_FRAME: u32 = 1 << 13 | 1 << 12;
/// `MAC_CSR_CMD`: busy (and: go), read.
const CSR_BUSY: u32 = 1 << 31;
const CSR_READ: u32 = 1 << 30;

/// MAC register: control.
const MAC_CR: u32 = 1;
/// MAC registers: the address, from the board's EEPROM.
const ADDRH: u32 = 2;
const ADDRL: u32 = 3;
/// MAC registers: the way to the PHY's registers.
const MII_ACC: u32 = 6;
const MII_DATA: u32 = 7;
/// `MAC_CR`: full duplex, all multicast, transmit, receive. Not promiscuous, which is the default.
const MAC_ON: u32 = 1 << 20 | 1 << 19 | 1 << 3 | 1 << 2;
/// `MII_ACC`: the internal PHY has address 1; write; busy (and: go).
const PHY_ADDRESS: u32 = 1 << 11;
const MII_WRITE: u32 = 1 << 1;
const MII_BUSY: u32 = 1 << 0;

/// PHY register: basic control (IEEE 802.3, 22.2.4).
const BMCR: u32 = 0;
/// PHY register: basic status.
const BMSR: u32 = 1;
/// PHY register: what we offer in auto-negotiation.
const ANAR: u32 = 4;
/// PHY registers: interrupts that have come (reading acknowledges), and those wanted.
const PHY_INT_SOURCE: u32 = 29;
const PHY_INT_MASK: u32 = 30;
/// `BMCR`: auto-negotiation on, and now.
const NEGOTIATE: u32 = 1 << 12 | 1 << 9;
/// `BMSR`: the link is up. Latches low: the first reading may tell of the past.
const LINK: u32 = 1 << 2;
/// `ANAR`: 10 and 100 Mbit/s, half and full duplex.
const ANY_SPEED: u32 = 0x01e1;
/// PHY interrupts: negotiation complete, link down.
const LINK_CHANGED: u32 = 1 << 6 | 1 << 4;

/// The checksum that the chip leaves behind a received frame.
const CRC: usize = 4;

static WAKER: AtomicWaker = AtomicWaker::new();

/// Where a board has its LAN9118.
#[derive(Clone, Copy)]
pub struct Port(Block);

impl Port {
    /// The chip at `address`.
    ///
    /// # Safety
    /// A LAN9118's registers are there, 256 bytes of them, and one [`Lan9118`] at most uses them.
    pub const unsafe fn at(address: usize) -> Self {
        // SAFETY: the caller promises the registers; every offset above is below 256.
        Self(unsafe { Block::at(address) })
    }

    /// To be called by the board's vector for this chip. Masks the chip's interrupt and wakes the network task, which
    /// unmasks it when it has taken what there is.
    pub fn on_interrupt(self) {
        self.0.write(INT_EN, 0);
        WAKER.wake();
    }
}

/// The driver.
pub struct Lan9118 {
    registers: Block,
    buffers: &'static mut Buffers,
    address: [u8; 6],
    link: LinkState,
    /// Bytes that the transmit FIFO had room for when it was last asked, less what was written since: at least so many.
    room: usize,
    /// Frames that the receive FIFO held when it was last asked, less those taken since.
    waiting: u8,
}

/// Room for the largest frame with its commands.
const WHOLE_ROOM: usize = MAX_FRAME + 16;

impl Lan9118 {
    /// Resets the chip and starts receiving. The board enables the interrupt afterwards.
    ///
    /// # Panics
    /// When there is no such chip, or its bus is wired in another byte order.
    pub fn new(port: Port, buffers: &'static mut Buffers) -> Self {
        let registers = port.0;
        assert!(registers.read(BYTE_TEST) == BYTE_ORDER, "no LAN9118 answers at this address");
        registers.write(HW_CFG, SRST);
        while registers.read(HW_CFG) & SRST != 0 {}
        registers.write(HW_CFG, STORE_AND_FORWARD);
        registers.write(IRQ_CFG, LINE_HIGH);
        registers.write(INT_EN, 0);
        registers.write(INT_STS, u32::MAX);
        registers.write(FIFO_INT, ONE_FRAME);
        registers.write(RX_CFG, 0);
        registers.write(TX_CFG, TX_ON);

        let mac = Mac(registers);
        let [a, b, c, d] = mac.read(ADDRL).to_le_bytes();
        let [e, f, ..] = mac.read(ADDRH).to_le_bytes();
        mac.write_phy(ANAR, ANY_SPEED);
        mac.write_phy(PHY_INT_MASK, LINK_CHANGED);
        mac.write_phy(BMCR, NEGOTIATE);
        mac.write(MAC_CR, MAC_ON);
        let link = mac.link();
        registers.write(INT_EN, RSFL | PHY_INT);
        Self { registers, buffers, address: [a, b, c, d, e, f], link, room: 0, waiting: 0 }
    }

    /// The hardware address, as the chip loaded it from the board's EEPROM.
    pub fn address(&self) -> [u8; 6] {
        self.address
    }

    /// Takes the next good frame out of the FIFO; its length, if there was one.
    fn take_frame(&mut self) -> Option<usize> {
        loop {
            if self.waiting == 0 {
                self.registers.write(INT_STS, RSFL);
                self.waiting = (self.registers.read(RX_FIFO_INF) >> 16) as u8;
            }
            self.waiting = self.waiting.checked_sub(1)?;
            let status = self.registers.read(RX_STATUS);
            let len = ((status >> 16) & 0x3fff) as usize;
            // Exactly these words: RX_DP_CTRL's fast-forward would save the reads but QEMU's leaks FIFO space.
            self.buffers.rx.fill(len.div_ceil(4), || self.registers.read(RX_DATA));
            if status & ERROR_SUMMARY == 0 && (MIN_FRAME + CRC..=MAX_FRAME + CRC).contains(&len) {
                return Some(len - CRC);
            }
        }
    }

    /// Whether the FIFO has room for the largest frame with its commands. Registers are slow, so the chip is asked only
    /// when it may have none.
    fn has_room(&mut self) -> bool {
        if self.room < WHOLE_ROOM {
            self.room = (self.registers.read(TX_FIFO_INF) & 0xffff) as usize;
        }
        self.room >= WHOLE_ROOM
    }
}

/// The task that runs the network stack on the chip: here, so that all of it is compiled as this package is, for speed.
#[embassy_executor::task]
pub async fn run(mut runner: Runner<'static, Lan9118>) -> ! {
    runner.run().await
}

impl Driver for Lan9118 {
    type RxToken<'a> = Received<'a>;
    type TxToken<'a> = Sending<'a>;

    fn receive(&mut self, cx: &mut Context<'_>) -> Option<(Received<'_>, Sending<'_>)> {
        WAKER.register(cx.waker());
        if !self.has_room() {
            // The FIFO drains in microseconds and no interrupt tells: look again.
            cx.waker().wake_by_ref();
            return None;
        }
        let Some(len) = self.take_frame() else {
            self.registers.write(INT_EN, RSFL | PHY_INT);
            return None;
        };
        let Buffers { rx, tx } = &mut *self.buffers;
        let sending = Sending { frame: tx, registers: self.registers, room: &mut self.room };
        Some((Received { frame: rx, len }, sending))
    }

    fn transmit(&mut self, cx: &mut Context<'_>) -> Option<Sending<'_>> {
        if !self.has_room() {
            cx.waker().wake_by_ref();
            return None;
        }
        Some(Sending { frame: &mut self.buffers.tx, registers: self.registers, room: &mut self.room })
    }

    /// Asks the PHY only when it has said that something changed: the answer takes some twenty bus accesses, and the
    /// stack wants to know at every turn.
    fn link_state(&mut self, cx: &mut Context<'_>) -> LinkState {
        WAKER.register(cx.waker());
        if self.registers.read(INT_STS) & PHY_INT != 0 {
            let mac = Mac(self.registers);
            mac.read_phy(PHY_INT_SOURCE);
            self.registers.write(INT_STS, PHY_INT);
            self.link = mac.link();
        }
        self.link
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

/// The MAC's registers and, behind them, the PHY's: each access is a command and a wait of a few bus cycles.
struct Mac(Block);

impl Mac {
    fn wait(&self) {
        while self.0.read(MAC_CSR_CMD) & CSR_BUSY != 0 {}
    }

    fn read(&self, register: u32) -> u32 {
        self.wait();
        self.0.write(MAC_CSR_CMD, CSR_BUSY | CSR_READ | register);
        self.wait();
        self.0.read(MAC_CSR_DATA)
    }

    fn write(&self, register: u32, value: u32) {
        self.wait();
        self.0.write(MAC_CSR_DATA, value);
        self.0.write(MAC_CSR_CMD, CSR_BUSY | register);
        self.wait();
    }

    fn wait_phy(&self) {
        while self.read(MII_ACC) & MII_BUSY != 0 {}
    }

    fn read_phy(&self, register: u32) -> u32 {
        self.wait_phy();
        self.write(MII_ACC, PHY_ADDRESS | register << 6 | MII_BUSY);
        self.wait_phy();
        self.read(MII_DATA)
    }

    fn write_phy(&self, register: u32, value: u32) {
        self.wait_phy();
        self.write(MII_DATA, value);
        self.write(MII_ACC, PHY_ADDRESS | register << 6 | MII_WRITE | MII_BUSY);
        self.wait_phy();
    }

    fn link(&self) -> LinkState {
        self.read_phy(BMSR);
        if self.read_phy(BMSR) & LINK != 0 { LinkState::Up } else { LinkState::Down }
    }
}

/// A frame that has come.
pub struct Received<'a> {
    frame: &'a mut Staging,
    len: usize,
}

impl embassy_net_driver::RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, read: F) -> R {
        read(self.frame.bytes(0, self.len))
    }
}

/// Room for a frame to send.
pub struct Sending<'a> {
    frame: &'a mut Staging,
    registers: Block,
    room: &'a mut usize,
}

impl embassy_net_driver::TxToken for Sending<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, write: F) -> R {
        let result = write(self.frame.bytes(0, len));
        self.registers.write(TX_DATA, WHOLE_FRAME | len as u32);
        self.registers.write(TX_DATA, len as u32);
        for &word in &self.frame.0[..len.div_ceil(4)] {
            self.registers.write(TX_DATA, word);
        }
        *self.room -= 8 + len.next_multiple_of(4);
        result
    }
}
