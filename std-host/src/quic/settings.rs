//! What a connection may use, and how it behaves.

use std::sync::Arc;

use netloom_core::Duration;
use quinn_proto::congestion::{BbrConfig, ControllerFactory, CubicConfig, NewRenoConfig};
use quinn_proto::{IdleTimeout, MtuDiscoveryConfig, TransportConfig, VarInt};

/// How connections of a server or a client behave. Every one has a default.
///
/// What a peer can make us keep is `receive_window` for what it sends and `send_window` for what it does not acknowledge,
/// with 21 KB for the connection itself, or 41 KB if it has had as many streams as the defaults allow: so that many bytes
/// times the most connections.
///
/// ```
/// use netloom::Duration;
/// use netloom::quic::Settings;
///
/// let settings = Settings { idle: Duration::from_secs(10), streams_max: 1_000, ..Settings::DEFAULT };
/// assert_eq!(settings.send_window, 1024 * 1024);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Without a packet from the peer the connection ends; the shorter of both ends' counts (RFC 9000, 10.1). Default 30 s.
    pub idle: Duration,
    /// Without a packet from the peer we say something that it answers, so that neither it nor what lies between forgets
    /// us. Default never: that is the client's to choose.
    pub keep_alive: Duration,
    /// Most streams in each direction that the peer may have open at a time (RFC 9000, 4.6). A connection begins with 16, and
    /// has twice as many whenever half of them are open: places take memory. Default 128 that both ends write to, and
    pub streams_max: u32,
    /// 128 that only the peer writes to, of which a connection begins with 4.
    pub one_way_streams_max: u32,
    /// Most bytes of one stream that were not read yet (RFC 9000, 4.1). Default 512 KiB.
    pub stream_window: u32,
    /// Most bytes of all streams together that were not read yet. Default 1 MiB.
    pub receive_window: u32,
    /// Most bytes that are kept because the peer has not acknowledged them. Default 1 MiB.
    pub send_window: u32,
    /// Most bytes of received datagrams that wait for the application, the oldest are lost first, and as many that wait to be
    /// sent. Zero refuses datagrams (RFC 9221). Default 64 KiB.
    pub datagram_buffer: usize,
    /// How fast is sent. Default Cubic.
    pub congestion: Congestion,
    /// Whether larger packets are tried than the 1,200 bytes that every path takes (RFC 8899): 1,452, or 1,325 where that is too
    /// many. Default yes.
    pub discovers_mtu: bool,
}

/// A congestion controller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Congestion {
    /// RFC 9438.
    #[default]
    Cubic,
    /// RFC 9002, 7.
    NewReno,
    /// Bottleneck bandwidth and round-trip time; experimental.
    Bbr,
}

impl Settings {
    /// The defaults, as a constant.
    pub const DEFAULT: Self = Self {
        idle: Duration::from_secs(30),
        keep_alive: Duration::MAX,
        streams_max: 128,
        one_way_streams_max: 128,
        stream_window: 512 * 1024,
        receive_window: 1024 * 1024,
        send_window: 1024 * 1024,
        datagram_buffer: 64 * 1024,
        congestion: Congestion::Cubic,
        discovers_mtu: true,
    };

    pub(super) fn transport(&self) -> Arc<TransportConfig> {
        let mut config = TransportConfig::default();
        let controller: Arc<dyn ControllerFactory + Send + Sync> = match self.congestion {
            Congestion::Cubic => Arc::new(CubicConfig::default()),
            Congestion::NewReno => Arc::new(NewRenoConfig::default()),
            Congestion::Bbr => Arc::new(BbrConfig::default()),
        };
        config
            .max_concurrent_bidi_streams(self.streams_max.min(STREAMS).into())
            .max_concurrent_uni_streams(self.one_way_streams_max.min(ONE_WAY_STREAMS).into())
            .stream_receive_window(self.stream_window.into())
            .receive_window(self.receive_window.into())
            .send_window(self.send_window.into())
            .datagram_receive_buffer_size((self.datagram_buffer > 0).then_some(self.datagram_buffer))
            .datagram_send_buffer_size(self.datagram_buffer)
            .congestion_controller_factory(controller)
            .max_idle_timeout(milliseconds(self.idle).map(IdleTimeout::from))
            .keep_alive_interval(milliseconds(self.keep_alive).map(|_| self.keep_alive))
            .mtu_discovery_config(self.discovers_mtu.then(discovery));
        Arc::new(config)
    }
}

/// How many streams a connection begins with.
const STREAMS: u32 = 16;
const ONE_WAY_STREAMS: u32 = 4;

/// The largest packet is tried first, and found by one probe on most paths. A search by halves takes four, which is more than many
/// a connection sends otherwise.
fn discovery() -> MtuDiscoveryConfig {
    /// More than half of the way from the smallest to the largest.
    const STEP: u16 = 127;
    let mut config = MtuDiscoveryConfig::default();
    config.minimum_change(STEP);
    config
}

/// `None` for what is for ever: anything above 49 days, as elsewhere.
fn milliseconds(duration: Duration) -> Option<VarInt> {
    u32::try_from(duration.as_millis()).ok().map(VarInt::from_u32)
}

impl Default for Settings {
    fn default() -> Self {
        Self::DEFAULT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_above_49_days_is_for_ever() {
        assert_eq!(milliseconds(Duration::MAX), None);
        assert_eq!(milliseconds(Duration::from_secs(50 * 86_400)), None);
        assert_eq!(milliseconds(Duration::from_secs(30)), Some(VarInt::from_u32(30_000)));
    }
}
