//! What an image weighs: flash and static RAM, against its budget.
//!
//! Flash is every section whose bytes are in the file and loaded: code, constants, and the first values of variables.
//! RAM is every section that is writable: variables, whether they start as something (`.data`), as zero (`.bss`) or as
//! nothing (`.uninit`). The stack is not counted: it grows into what is left.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use object::elf::{FileHeader32, SHF_ALLOC, SHF_WRITE, SHT_NOBITS};
use object::read::elf::{ElfFile, FileHeader, SectionHeader};
use object::{Endianness, Object, ObjectSymbol};
use serde::Serialize;

use crate::board::{Bytes, Image};
use crate::firmware::{self, Console};
use crate::report::Settings;
use crate::table::{self, Align, thousands};

/// An image on the scales.
#[derive(Debug, Serialize)]
pub(crate) struct Weight {
    /// The board's name.
    name: String,
    /// The application's, if it is not the board's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    app: Option<String>,
    flash: u64,
    ram: u64,
    flash_budget: u64,
    ram_budget: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    goal: Option<Bytes>,
    ok: bool,
    #[serde(skip)]
    symbols: Vec<Symbol>,
}

/// A function or a variable.
#[derive(Debug)]
struct Symbol {
    name: String,
    bytes: u64,
    place: Place,
}

/// Where its bytes count. Variables with a first value count in both; they are listed as RAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Flash,
    Ram,
}

impl Weight {
    fn new(image: &Image<'_>, used: Bytes, symbols: Vec<Symbol>) -> Self {
        let Bytes { flash, ram } = used;
        let Bytes { flash: flash_budget, ram: ram_budget } = image.budget();
        let ok = flash <= flash_budget && ram <= ram_budget;
        let (name, app) = (image.board.name.clone(), image.app.map(|(app, _)| app.to_string()));
        Self { name, app, flash, ram, flash_budget, ram_budget, goal: image.goal(), ok, symbols }
    }

    /// For people.
    fn title(&self) -> String {
        [Some(self.name.as_str()), self.app.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(" ")
    }

    /// Whether its budget holds.
    pub(crate) fn is_within_budget(&self) -> bool {
        self.ok
    }
}

/// Builds and weighs images, without a console: what goes on a device.
///
/// # Errors
/// When one does not build.
pub(crate) fn weigh(images: &[Image<'_>], symbols: usize) -> Result<Vec<Weight>> {
    images
        .iter()
        .map(|image| {
            let settings = match image.reports() {
                true => Settings::sample(&firmware::target_folder(image.board)?)?,
                false => Settings::NONE,
            };
            let elf = firmware::build(image, Console::Silent, &settings)?;
            let (used, biggest) =
                read(&elf, symbols).with_context(|| format!("cannot read {}", elf.display()))?;
            Ok(Weight::new(image, used, biggest))
        })
        .collect()
}

/// A section that is loaded, or made when the program starts.
#[derive(Clone, Copy)]
struct Section {
    bytes: u64,
    in_file: bool,
    writable: bool,
}

fn sum(sections: impl IntoIterator<Item = Section>) -> Bytes {
    let mut used = Bytes { flash: 0, ram: 0 };
    for Section { bytes, in_file, writable } in sections {
        used.flash += if in_file { bytes } else { 0 };
        used.ram += if writable { bytes } else { 0 };
    }
    used
}

fn read(elf: &Path, symbols: usize) -> Result<(Bytes, Vec<Symbol>)> {
    let data = fs::read(elf)?;
    let header = FileHeader32::<Endianness>::parse(&*data)?;
    let endian = header.endian()?;
    let sections: Vec<Option<Section>> = header
        .sections(endian, &*data)?
        .iter()
        .map(|section| {
            let flags = section.sh_flags(endian);
            flags.contains(SHF_ALLOC).then(|| Section {
                bytes: section.sh_size(endian).into(),
                in_file: section.sh_type(endian) != SHT_NOBITS,
                writable: flags.contains(SHF_WRITE),
            })
        })
        .collect();
    let mut found: Vec<Symbol> = ElfFile::<FileHeader32<Endianness>>::parse(&*data)?
        .symbols()
        .filter_map(|symbol| {
            let section = (*sections.get(symbol.section_index()?.0)?)?;
            Some(Symbol {
                name: format!("{:#}", rustc_demangle::demangle(symbol.name().ok()?)),
                bytes: symbol.size(),
                place: if section.writable { Place::Ram } else { Place::Flash },
            })
        })
        .collect();
    found.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.name.cmp(&b.name)));
    found.truncate(symbols);
    Ok((sum(sections.into_iter().flatten()), found))
}

/// For people.
pub(crate) fn to_table(weights: &[Weight]) -> String {
    let columns = [
        ("image", Align::Left),
        ("memory", Align::Left),
        ("used", Align::Right),
        ("budget", Align::Right),
        ("share", Align::Right),
        ("", Align::Left),
    ];
    let rows = weights.iter().flat_map(|weight| {
        let row = |memory: &str, used: u64, budget: u64, goal: Option<u64>| {
            let verdict = match goal {
                _ if used > budget => "OVER BUDGET".to_string(),
                Some(goal) if used > goal => format!("ok, {} over its goal", thousands(used - goal)),
                _ => "ok".to_string(),
            };
            let share = format!("{} %", percent(used, budget));
            let (used, budget) = (thousands(used), thousands(budget));
            vec![weight.title(), memory.to_string(), used, budget, share, verdict]
        };
        let goal = weight.goal;
        [
            row("flash", weight.flash, weight.flash_budget, goal.map(|goal| goal.flash)),
            row("static RAM", weight.ram, weight.ram_budget, goal.map(|goal| goal.ram)),
        ]
    });
    let mut text = table::render(&columns, rows);
    for weight in weights.iter().filter(|weight| !weight.symbols.is_empty()) {
        text.push_str(&format!("\n\n{}\n{}", weight.title(), symbol_table(&weight.symbols)));
    }
    text
}

fn symbol_table(symbols: &[Symbol]) -> String {
    let columns = [("bytes", Align::Right), ("in", Align::Left), ("function or variable", Align::Left)];
    let rows = symbols.iter().map(|symbol| {
        let place = match symbol.place {
            Place::Flash => "flash",
            Place::Ram => "RAM",
        };
        vec![thousands(symbol.bytes), place.to_string(), symbol.name.clone()]
    });
    table::render(&columns, rows)
}

/// For programs.
pub(crate) fn to_json(weights: &[Weight]) -> Result<String> {
    Ok(serde_json::to_string_pretty(&serde_json::json!({ "boards": weights }))?)
}

/// Rounded up: 100 % means full, and more means over.
fn percent(used: u64, budget: u64) -> u64 {
    (used * 100).div_ceil(budget.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_values_of_variables_count_in_both_memories() {
        let text = Section { bytes: 1_000, in_file: true, writable: false };
        let data = Section { bytes: 20, in_file: true, writable: true };
        let bss = Section { bytes: 300, in_file: false, writable: true };
        assert_eq!(sum([text, data, bss]), Bytes { flash: 1_020, ram: 320 });
    }

    #[test]
    fn one_byte_over_is_over() {
        assert_eq!(percent(40_960, 40_960), 100);
        assert_eq!(percent(40_961, 40_960), 101);
    }

    #[test]
    fn the_json_has_what_ci_reads() {
        let weight = Weight {
            name: "evb".to_string(),
            app: Some("hello".to_string()),
            flash: 5,
            ram: 3,
            flash_budget: 4,
            ram_budget: 4,
            goal: None,
            ok: false,
            symbols: Vec::new(),
        };
        let json: serde_json::Value = serde_json::from_str(&to_json(&[weight]).unwrap()).unwrap();
        let expected = serde_json::json!({
            "boards": [{
                "name": "evb", "app": "hello", "flash": 5, "ram": 3, "flash_budget": 4, "ram_budget": 4, "ok": false
            }]
        });
        assert_eq!(json, expected);
    }
}
