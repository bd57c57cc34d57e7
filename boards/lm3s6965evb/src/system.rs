//! The chip's system control: its clock, power for the Ethernet controller, and the board's hardware address.
//!
//! Registers and their bits have the names of the LM3S6965 data sheet.

use netloom_board_drivers::registers::{Block, Register};

// SAFETY: the data sheet's memory map has system control here; nothing else in this firmware uses it.
const SYSTEM_CONTROL: Block = unsafe { Block::at(0x400f_e000) };

/// Raw interrupt status.
const RIS: Register = Register(0x050);
/// Run-mode clock configuration.
const RCC: Register = Register(0x060);
/// Run-mode clock gates, third word.
const RCGC2: Register = Register(0x108);
/// Words that the maker programs once: the hardware address, three bytes in each.
const USER_REG0: Register = Register(0x1e0);
const USER_REG1: Register = Register(0x1e4);

/// `RIS`: the PLL has locked.
const PLLLRIS: u32 = 1 << 6;
/// `RCC`: the PLL is off.
const PWRDN: u32 = 1 << 13;
/// `RCC`: the processor runs from the oscillator, not the PLL.
const BYPASS: u32 = 1 << 11;
/// `RCC`: the divider is in use.
const USESYSDIV: u32 = 1 << 22;
/// `RCC`: the divider's, the crystal's and the oscillator source's bits.
const SYSDIV: u32 = 0xf << 23;
const XTAL: u32 = 0xf << 6;
const OSCSRC: u32 = 0x3 << 4;
/// `RCC`: the PLL's 200 MHz divided by four.
const DIVIDE_BY_4: u32 = 3 << 23;
/// `RCC`: the board's crystal, 8 MHz.
const XTAL_8_MHZ: u32 = 0xe << 6;
/// `RCGC2`: the Ethernet controller's PHY and MAC.
const EPHY0: u32 = 1 << 30;
const EMAC0: u32 = 1 << 28;

/// The processor's clock after [`start_clock`], in hertz.
pub const FREQUENCY: u32 = 50_000_000;

/// Runs the processor from the crystal and the PLL: the internal oscillator, which it starts on, is 30 % off at worst.
/// In the data sheet's order: off the PLL, PLL on, divider set, PLL locked, onto the PLL.
pub fn start_clock() {
    let reset = SYSTEM_CONTROL.read(RCC);
    let bypassed = (reset | BYPASS) & !USESYSDIV;
    SYSTEM_CONTROL.write(RCC, bypassed);
    let powered = bypassed & !(XTAL | OSCSRC | PWRDN) | XTAL_8_MHZ;
    SYSTEM_CONTROL.write(RCC, powered);
    let divided = powered & !SYSDIV | DIVIDE_BY_4 | USESYSDIV;
    SYSTEM_CONTROL.write(RCC, divided);
    while SYSTEM_CONTROL.read(RIS) & PLLLRIS == 0 {}
    SYSTEM_CONTROL.write(RCC, divided & !BYPASS);
}

/// Clocks the Ethernet controller.
pub fn start_ethernet() {
    let gates = SYSTEM_CONTROL.read(RCGC2);
    SYSTEM_CONTROL.write(RCGC2, gates | EPHY0 | EMAC0);
    // The controller must not be touched for three cycles after that: this read takes as long.
    SYSTEM_CONTROL.read(RCGC2);
}

/// The hardware address that the board was made with.
pub fn hardware_address() -> [u8; 6] {
    let [a, b, c, _] = SYSTEM_CONTROL.read(USER_REG0).to_le_bytes();
    let [d, e, f, _] = SYSTEM_CONTROL.read(USER_REG1).to_le_bytes();
    [a, b, c, d, e, f]
}
