//! Futures dropped half way, as `select` and time-outs do.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use netloom_core::Duration;

use crate::world::World;

/// Polls `future` at most `polls` times. `None` if it was not done by then; it is then dropped, at the await
/// where it was. With no polls at all it is dropped before it began.
pub async fn cancel_after_polls<F: Future>(polls: u64, future: F) -> Option<F::Output> {
    if polls == 0 {
        return None;
    }
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|cx| {
        left -= 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Drops `future` after a few polls or a little while, as the seed has it.
pub async fn cancel_at_random<F: Future>(world: &World, future: F) -> Option<F::Output> {
    match world.chance(50) {
        true => {
            // Something else must wake the task, or it might never be polled again.
            let (polls, wait) = (world.below(5), world.up_to(Duration::from_millis(20)));
            world.timeout(wait, cancel_after_polls(polls, future)).await.flatten()
        }
        false => {
            let wait = world.up_to(Duration::from_millis(5));
            world.timeout(wait, future).await
        }
    }
}
