//! Two embassy-net stacks on a bad network.
#![cfg(feature = "embassy")]

use netloom_core::Duration;
use netloom_lab::FrameFaults;
use netloom_lab::scenarios::{self, tcp_transfer};

const LIMIT: Duration = Duration::from_secs(3600);

#[test]
fn a_hundred_kilobytes_are_exact_through_ten_percent_loss_and_the_same_twice() {
    for seed in 0..3 {
        let faults = FrameFaults::none().loss(10);
        let first = tcp_transfer(seed, 100_000, faults, LIMIT);
        first.assert_done();
        assert_eq!(tcp_transfer(seed, 100_000, faults, LIMIT), first, "seed {seed}");
        // Losses cost time: they took place.
        let calm = tcp_transfer(seed, 100_000, FrameFaults::none(), LIMIT);
        calm.assert_done();
        assert!(
            first.elapsed > calm.elapsed + Duration::from_secs(1),
            "{:?}, {:?}",
            first.elapsed,
            calm.elapsed
        );
    }
}

#[test]
fn nothing_arrives_where_every_frame_is_lost() {
    let report = tcp_transfer(1, 10, FrameFaults::none().loss(100), Duration::from_secs(60));
    assert_eq!(report.stuck, ["server", "client"]);
}

#[test]
fn tcp_is_exact_through_loss() {
    let (_, scenario) = scenarios::find("tcp_is_exact_through_loss").expect("it is in the table");
    (0..300).for_each(scenario);
}
