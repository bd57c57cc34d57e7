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
}

/// The right to be a session; given back when dropped.
#[derive(Debug)]
pub(crate) struct Ticket {
    admission: Arc<Admission>,
    address: IpAddr,
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
        })
    }

    pub(crate) fn admit(self: &Arc<Self>, address: IpAddr) -> Result<Ticket, Code> {
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
        Ok(Ticket { admission: self.clone(), address })
    }

    pub(crate) fn active(&self) -> usize {
        self.active.load(Relaxed)
    }

    fn addresses(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        // Nothing under the lock can panic half way.
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut addresses = self.admission.addresses();
        if let Some(count) = addresses.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                addresses.remove(&self.address);
            }
        }
        // Under the lock, so that `admit` never counts one too few.
        self.admission.active.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_hold_in_all_and_per_address_and_tickets_come_back() {
        let admission = Admission::new(3, 2);
        let (a, b) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2]));
        let first = admission.admit(a).unwrap();
        let mapped = "::ffff:127.0.0.1".parse().unwrap();
        let _second = admission.admit(mapped).unwrap();
        assert_eq!(admission.admit(a).unwrap_err(), Code::TooManyFromAddress);
        let _third = admission.admit(b).unwrap();
        assert_eq!(admission.admit(b).unwrap_err(), Code::TooManySessions);
        drop(first);
        assert_eq!((admission.active(), admission.addresses().len()), (2, 2));
        let _fourth = admission.admit(a).unwrap();
        let counts = [&admission.accepted, &admission.refused, &admission.refused_from_address];
        assert_eq!(counts.map(|count| count.load(Relaxed)), [4, 1, 1]);
    }
}
