//! netloom beside its peers: the parts of the program `compare`.
//!
//! Every server runs in a process and on a core of its own, so its CPU time and memory are its alone; one load
//! generator, the same for all, runs on another core. The servers take turns within each round, and ratios are
//! taken pair by pair within a round, because a machine's speed drifts more between rounds than servers differ.
//!
//! | part | what it does |
//! |---|---|
//! | [`command`] | the command line |
//! | [`machine`] | cores, limits |
//! | [`servers`] | every server that is compared, by protocol |
//! | [`process`] | a server as a child process; its CPU time and memory |
//! | [`load`] | many connections, each with requests in flight, every answer compared |
//! | [`rounds`] | turns, samples, medians |
//! | [`report`] | tables, JSON, progress |
//! | [`cases`], [`figures`] | rows of servers beside a reference; the same in units that are usual for them |
//! | [`dial`] | thousands of plain connections from many source addresses |
//! | [`answer`] | an HTTP answer, of which only the Date may change |
//! | [`handshake`] | a client's side of a WebSocket |
//! | [`deflated`] | its compressed messages |
//! | [`secure`] | a client's side of TLS |
//! | [`tcp`], [`http`], [`ws`] | the rows of echoed frames, of answered requests, of echoed WebSocket messages |
//! | [`tls`] | what it costs to secure them |
//! | [`quic`] | streams, connections and datagrams over QUIC |
//! | [`fanout`] | what it costs to tell a thousand what one says |
//! | [`instructions`] | instructions per request or stream, by valgrind |
//! | [`idle`], [`many`], [`churn`] | what connections cost that do nothing, all at once, one after another |
//! | [`slow`] | what clients cost others that never finish a request |
//!
//! A further protocol is an enum of servers that implements [`servers::Contender`], a module of rows like [`tcp`]
//! and a subcommand; the other parts do not know what is spoken. It runs on Linux: the meters read `/proc`.

#![forbid(unsafe_code)]

pub mod answer;
pub mod cases;
pub mod churn;
pub mod command;
pub mod deflated;
pub mod dial;
pub mod fanout;
pub mod figures;
pub mod handshake;
pub mod http;
pub mod idle;
pub mod instructions;
pub mod load;
pub mod machine;
pub mod many;
pub mod process;
pub mod quic;
pub mod report;
pub mod rounds;
pub mod secure;
pub mod servers;
pub mod slow;
pub mod tcp;
pub mod tls;
pub mod ws;
