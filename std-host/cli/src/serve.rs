//! `netloom serve`: the demo application, and a table of where it is.

use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::time::Duration;

use clap::builder::{PossibleValue, TypedValueParser};
use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use netloom::{Ended, Framing, Server};
use serde::Serialize;

use crate::exit::{self, Failure};
use crate::url::{Scheme, Url};
use crate::{files, units};
