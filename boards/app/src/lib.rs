//! The demo: the application that `netloom serve` runs on a desktop and every board in flash.
//!
//! It names no host. Whatever platform it is compiled for, this is all of it.
//!
//! | module | what it does |
//! |---|---|
//! | [`assets`] | the page's files |
//! | [`mod@chat`] | a room, over WebSocket |
//! | [`mod@echo`] | sends framed messages back |
//! | [`web`] | answers HTTP: a page, and one route for everything that the library does |
#![no_std]
#![forbid(unsafe_code)]

pub mod assets;
pub mod chat;
pub mod echo;
pub mod web;

pub use echo::echo;

/// The port the framed echo listens on unless told otherwise.
pub const TCP_PORT: u16 = 7000;

/// The port of the pages on boards; a desktop, where that one takes privileges, chooses another.
pub const HTTP_PORT: u16 = 80;
