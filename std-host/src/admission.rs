//! Who may come in: the limits on sessions, and what was counted at the door.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use netloom_core::Code;

/// Shared by the workers of a server. The map is locked when a session comes and goes, never between.
#[derive(Debug)]
pub(crate) struct Admission {
    sessions_max: usize,
    per_address_max: usize,
    active: AtomicUsize,
    addresses: Mutex<HashMap<IpAddr, usize>>,
    pub(crate) accepted: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) refused_from_address: AtomicU64,
    pub(crate) accept_errors: AtomicU64,
    #[cfg(feature = "tls")]
    pub(crate) handshakes_failed: AtomicU64,
}

impl Admission {
    pub(crate) fn new(sessions_max: usize, per_address_max: usize) -> Arc<Self> {
        Arc::new(Self {
            sessions_max,
            per_address_max,
            active: AtomicUsize::new(0),
            addresses: Mutex::default(),
            accepted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            refused_from_address: AtomicU64::new(0),
            accept_errors: AtomicU64::new(0),
            #[cfg(feature = "tls")]
            handshakes_failed: AtomicU64::new(0),
        })
    }

    /// Counts one more session from `address`, if it may come in. [`leave`](Self::leave) must follow.
    pub(crate) fn admit(&self, address: IpAddr) -> Result<(), Code> {
        // An IPv4 client of an IPv6 socket is the IPv4 client.
        let address = address.to_canonical();
        let mut addresses = self.addresses();
        let here = addresses.get(&address).copied().unwrap_or(0);
        if self.active.load(Relaxed) >= self.sessions_max {
            self.refused.fetch_add(1, Relaxed);
            return Err(Code::TooManySessions);
        }
        if here >= self.per_address_max {
            self.refused_from_address.fetch_add(1, Relaxed);
            return Err(Code::TooManyFromAddress);
        }
        addresses.insert(address, here + 1);
        self.active.fetch_add(1, Relaxed);
        self.accepted.fetch_add(1, Relaxed);
        Ok(())
    }

    /// A session from `address` has ended.
    pub(crate) fn leave(&self, address: IpAddr) {
        let address = address.to_canonical();
        let mut addresses = self.addresses();
        if let Some(count) = addresses.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                addresses.remove(&address);
            }
        }
        // Under the lock, so that `admit` never counts one too few.
        self.active.fetch_sub(1, Relaxed);
    }

    pub(crate) fn active(&self) -> usize {
        self.active.load(Relaxed)
    }

    fn addresses(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        // Nothing under the lock can panic half way.
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_hold_in_all_and_per_address_and_who_leaves_makes_room() {
        let admission = Admission::new(3, 2);
        let (a, b) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2]));
        admission.admit(a).unwrap();
        let mapped: IpAddr = "::ffff:127.0.0.1".parse().unwrap();
        admission.admit(mapped).unwrap();
        assert_eq!(admission.admit(a).unwrap_err(), Code::TooManyFromAddress);
        admission.admit(b).unwrap();
        assert_eq!(admission.admit(b).unwrap_err(), Code::TooManySessions);
        admission.leave(mapped);
        assert_eq!((admission.active(), admission.addresses().len()), (2, 2));
        admission.admit(a).unwrap();
        let counts = [&admission.accepted, &admission.refused, &admission.refused_from_address];
        assert_eq!(counts.map(|count| count.load(Relaxed)), [4, 1, 1]);
    }
}
