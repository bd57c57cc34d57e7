//! The laboratory itself: what it promises to those who test with it.

use std::cell::Cell;
use std::future::{pending, poll_fn};
use std::task::Poll;

use netloom_core::{Clock, Code, Duration, Error, Transport};
use netloom_lab::{Faults, World, cancel_after_polls, link};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_task_nobody_wakes_is_named() {
    let world = World::new(1);
    let mut lab = world.tasks();
    lab.spawn("fine", async {});
    lab.spawn("forgotten", pending());
    lab.spawn_background("network", pending());
    let report = lab.run(SECOND);
    assert_eq!((report.stuck, report.elapsed), (vec!["forgotten".to_owned()], Duration::ZERO));
}

#[test]
#[should_panic(expected = "seed 7: task \"spinner\" spins")]
fn a_task_that_wakes_itself_for_ever_is_named() {
    let world = World::new(7);
    let mut lab = world.tasks();
    lab.spawn(
        "spinner",
        poll_fn(|cx| {
            cx.waker().wake_by_ref();
            Poll::Pending
        }),
    );
    lab.run(SECOND).assert_done();
}

#[test]
fn a_run_ends_when_its_time_is_over_and_goes_on_in_the_next() {
    let world = World::new(1);
    let mut lab = world.tasks();
    lab.spawn("sleeper", world.sleep(3 * SECOND));
    let report = lab.run_for(2 * SECOND);
    assert_eq!((report.is_done(), report.elapsed), (false, 2 * SECOND));
    let report = lab.run_for(2 * SECOND);
    assert_eq!((report.is_done(), report.elapsed), (true, 3 * SECOND));
}

#[test]
fn time_passes_in_order_and_only_the_last_question_to_a_clock_counts() {
    let world = World::new(5);
    let order = Cell::new(0);
    let mut lab = world.tasks();
    for i in (0..10u32).rev() {
        let (world, order) = (&world, &order);
        lab.spawn(format!("{i}"), async move {
            world.sleep(i * SECOND).await;
            assert_eq!(order.replace(i + 1), i);
        });
    }
    lab.spawn("clock", async {
        let mut clock = world.clock();
        let (near, far) = (world.now() + SECOND, world.now() + 9 * SECOND);
        let mut polls = 0;
        poll_fn(|cx| {
            polls += 1;
            _ = clock.poll_until(near, cx);
            clock.poll_until(far, cx)
        })
        .await;
        assert_eq!(polls, 2, "the first moment was asked for no more");
        assert_eq!(world.timeout(SECOND, pending::<()>()).await, None);
        assert_eq!(world.timeout(SECOND, async { 4 }).await, Some(4));
    });
    lab.run(20 * SECOND).assert_done();
}

#[test]
fn a_future_is_dropped_after_so_many_polls() {
    let world = World::new(1);
    let mut lab = world.tasks();
    lab.spawn("canceller", async {
        assert_eq!(cancel_after_polls(0, async { 1 }).await, None);
        assert_eq!(cancel_after_polls(1, async { 1 }).await, Some(1));
        assert_eq!(cancel_after_polls(1, world.sleep(SECOND)).await, None);
        assert_eq!(cancel_after_polls(2, world.sleep(SECOND)).await, Some(()));
    });
    lab.run(2 * SECOND).assert_done();
}

async fn write(pipe: &mut impl Transport, bytes: &[u8]) -> Result<usize, Error> {
    poll_fn(|cx| pipe.poll_write(cx, bytes)).await
}

async fn read(pipe: &mut impl Transport) -> Result<Vec<u8>, Error> {
    let mut bytes = [0; 100];
    let n = poll_fn(|cx| pipe.poll_read(cx, &mut bytes)).await?;
    Ok(bytes[..n].to_vec())
}

/// Runs one task on a link, to its end.
fn on_link<F: Future<Output = ()>>(
    faults: Faults,
    test: impl FnOnce(World, netloom_lab::Pipe, netloom_lab::Pipe) -> F,
) {
    let world = World::new(1);
    let (a, b) = link(&world, faults);
    let mut lab = world.tasks();
    lab.spawn("test", test(world.clone(), a, b));
    lab.run(1000 * SECOND).assert_done();
}

#[test]
fn dropping_an_end_that_has_read_everything_ends_in_order() {
    on_link(Faults::none(), |_, mut a, mut b| async move {
        assert_eq!(write(&mut a, b"goodbye").await, Ok(7));
        drop(a);
        assert_eq!(read(&mut b).await.as_deref(), Ok(&b"goodbye"[..]));
        assert_eq!(read(&mut b).await.as_deref(), Ok(&b""[..]));
    });
}

#[test]
fn dropping_an_end_with_unread_bytes_destroys_what_it_said() {
    on_link(Faults::none(), |_, mut a, mut b| async move {
        assert_eq!(write(&mut a, b"goodbye").await, Ok(7));
        assert_eq!(write(&mut b, b"more").await, Ok(4));
        drop(a);
        assert_eq!(read(&mut b).await, Err(Code::ConnectionClosed.into()));
    });
}

#[test]
fn sending_to_an_end_that_was_dropped_destroys_what_it_said() {
    on_link(Faults::none(), |_, mut a, mut b| async move {
        assert_eq!(write(&mut a, b"goodbye").await, Ok(7));
        drop(a);
        assert_eq!(write(&mut b, b"more").await, Err(Code::ConnectionClosed.into()));
        assert_eq!(read(&mut b).await, Err(Code::ConnectionClosed.into()));
    });
}

#[test]
fn an_abort_is_seen_as_a_reset() {
    on_link(Faults::none(), |_, mut a, mut b| async move {
        assert_eq!(write(&mut a, b"lost").await, Ok(4));
        a.abort(Code::WriteStalled.into());
        assert_eq!(read(&mut b).await, Err(Code::ConnectionClosed.into()));
        assert_eq!(b.reset_by(), Some(Code::WriteStalled.into()));
    });
}

#[test]
fn a_half_closed_direction_ends_behind_its_bytes_and_the_other_goes_on() {
    on_link(Faults { latency: SECOND, ..Faults::none() }, |world, mut a, mut b| async move {
        assert_eq!(write(&mut a, b"last").await, Ok(4));
        poll_fn(|cx| a.poll_finish(cx)).await.unwrap();
        assert_eq!(read(&mut b).await.as_deref(), Ok(&b"last"[..]));
        assert_eq!(read(&mut b).await.as_deref(), Ok(&b""[..]));
        assert_eq!(world.elapsed(), SECOND);
        assert_eq!(write(&mut b, b"still").await, Ok(5));
        assert_eq!(read(&mut a).await.as_deref(), Ok(&b"still"[..]));
        assert_eq!((a.peer().unwrap().port(), b.unread()), (b.peer().unwrap().port(), 0));
    });
}

#[test]
fn a_link_breaks_stalls_and_is_parted_when_it_should() {
    on_link(Faults::none().reset_after(5), |_, mut a, mut b| async move {
        assert_eq!(write(&mut a, b"abc").await, Ok(3));
        assert_eq!(write(&mut b, b"abc").await, Ok(2));
        assert_eq!(write(&mut a, b"abc").await, Err(Code::ConnectionClosed.into()));
        assert_eq!(read(&mut b).await, Err(Code::ConnectionClosed.into()));
    });
    on_link(Faults::none().stall(3, 5 * SECOND), |world, mut a, b| async move {
        assert_eq!(write(&mut a, b"abcdef").await, Ok(3));
        assert_eq!(write(&mut a, b"def").await, Ok(3));
        assert_eq!((world.elapsed(), b.unread()), (5 * SECOND, 6));
    });
    on_link(Faults::none().partition(SECOND, 9 * SECOND), |world, mut a, mut b| async move {
        world.sleep(2 * SECOND).await;
        assert_eq!(write(&mut a, b"abc").await, Ok(3));
        assert_eq!(read(&mut b).await.as_deref(), Ok(&b"abc"[..]));
        assert_eq!(world.elapsed(), 10 * SECOND);
    });
    on_link(Faults::none().capacity(2), |_, mut a, mut b| async move {
        assert_eq!(write(&mut a, b"abc").await, Ok(2));
        assert_eq!(cancel_after_polls(1, write(&mut a, b"c")).await, None);
        assert_eq!(read(&mut b).await.as_deref(), Ok(&b"ab"[..]));
        assert_eq!(write(&mut a, b"c").await, Ok(1));
    });
}
