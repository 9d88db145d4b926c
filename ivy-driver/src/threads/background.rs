//! Futures in the background.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::task::Poll;

use async_task::{Builder, Runnable};
use futures_channel::mpsc::{self, UnboundedSender};
use futures_util::future::FutureExt;
use futures_util::stream::StreamExt;

use super::block_on::Waiter;
use super::helping;
use super::pool::spawn;

/// Runs a future in the threads that wake it, and in a thread of this name, which keeps the time
/// for it and polls it when the others do not. The thread ends with the future.
///
/// # Errors
/// If the system cannot start the thread.
pub(super) fn in_background(
    name: &str,
    future: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let waiter = Waiter::new();
    let timers = waiter.timers().clone();
    let kept = async move {
        let mut future = pin!(future);
        poll_fn(|context| timers.keep(|| future.as_mut().poll(context))).await;
    };
    let (home, mut handed_over) = mpsc::unbounded();
    // A panic ends the future and its own thread, but not another thread that polls it.
    let (first, mut task) =
        Builder::new().propagate_panic(true).spawn(|()| kept, move |woken| schedule(woken, &home));
    let keep = poll_fn(move |context| {
        while let Poll::Ready(Some(woken)) = handed_over.poll_next_unpin(context) {
            helping::keep(woken);
        }
        task.poll_unpin(context)
    });
    spawn(name, move || waiter.wait_for(keep))?;
    first.schedule();
    Ok(())
}

fn schedule(woken: Runnable, home: &UnboundedSender<Runnable>) {
    if let Err(woken) = helping::take(woken) {
        // The thread does not end before the future, so the receiver exists.
        let _ = home.unbounded_send(woken);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::task::Context;
    use std::thread::{self, ThreadId};
    use std::time::{Duration, Instant};

    use futures_channel::oneshot;
    use futures_util::future::select;

    use super::*;
    use crate::threads::sleep_timers::Sleep;
    use crate::threads::{block_on, helping};

    /// How long to wait for something that happens soon.
    const PATIENCE: Duration = Duration::from_secs(60);

    /// Yields this many times.
    async fn turns(mut turns: u32) {
        poll_fn(|context: &mut Context<'_>| {
            if turns == 0 {
                return Poll::Ready(());
            }
            turns -= 1;
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    /// Replies to each request with the id of the thread that polled it.
    fn answerer() -> UnboundedSender<oneshot::Sender<ThreadId>> {
        let (ask, mut asked) = mpsc::unbounded::<oneshot::Sender<ThreadId>>();
        let answering = async move {
            while let Some(answer) = asked.next().await {
                let _ = answer.send(thread::current().id());
            }
        };
        in_background("test", answering).unwrap();
        ask
    }

    fn ask(answerer: &UnboundedSender<oneshot::Sender<ThreadId>>) -> oneshot::Receiver<ThreadId> {
        let (give, given) = oneshot::channel();
        answerer.unbounded_send(give).unwrap();
        given
    }

    fn tell_thread(told: &Sender<ThreadId>) {
        told.send(thread::current().id()).unwrap();
    }

    fn next<T>(told: &Receiver<T>) -> T {
        told.recv_timeout(PATIENCE).expect("it arrives soon")
    }

    #[test]
    fn a_waiting_thread_runs_the_futures_it_woke() {
        let answered_in = block_on(async {
            let answerer = answerer();
            for _ in 0..10 {
                assert_eq!(ask(&answerer).await, Ok(thread::current().id()));
            }
            ask(&answerer).await
        });
        assert_eq!(answered_in, Ok(thread::current().id()));
    }

    #[test]
    fn a_future_woken_by_a_busy_thread_runs_elsewhere() {
        let answerer = answerer();
        let given = ask(&answerer);
        let (told, tell) = channel();
        thread::spawn(move || told.send(block_on(given)));
        assert_ne!(next(&tell).unwrap(), thread::current().id());
    }

    #[test]
    fn a_helping_thread_runs_the_futures_it_woke_before_it_continues() {
        let mut given = helping(|| ask(&answerer()));
        assert_eq!(given.try_recv(), Ok(Some(thread::current().id())));
    }

    #[test]
    fn a_busy_future_continues_after_its_helper_has_left() {
        let (told, tell) = channel();
        let much = async move {
            tell_thread(&told);
            turns(1000).await;
            tell_thread(&told);
        };
        helping(|| in_background("test", much).unwrap());
        assert_eq!(next(&tell), thread::current().id());
        assert_ne!(next(&tell), thread::current().id());
    }

    #[test]
    fn a_waiting_thread_is_not_held_up_by_a_busy_future() {
        let (end, is_ended) = oneshot::channel::<()>();
        let restless = select(is_ended, Box::pin(turns(u32::MAX)));
        let (give, given) = oneshot::channel();
        block_on(async {
            in_background("test", restless.map(drop)).unwrap();
            Sleep::new(Instant::now() + Duration::from_millis(1)).await;
            in_background("test", async move { give.send(()).unwrap() }).unwrap();
            given.await.unwrap();
        });
        drop(end);
    }

    #[test]
    fn a_sleep_ends_after_the_thread_that_began_it_has_left() {
        let (told, tell) = channel();
        let begun = Instant::now();
        let sleeping = async move {
            Sleep::new(begun + Duration::from_millis(20)).await;
            tell_thread(&told);
        };
        helping(|| in_background("test", sleeping).unwrap());
        assert_ne!(next(&tell), thread::current().id());
        assert!(begun.elapsed() >= Duration::from_millis(20));
    }

    #[test]
    fn a_sleep_shorter_than_the_previous_one_ends_on_time() {
        let (told, tell) = channel();
        let (hurry, is_hurried) = oneshot::channel();
        let sleeping = async move {
            let long = Sleep::new(Instant::now() + 100 * PATIENCE);
            select(is_hurried, long).await;
            Sleep::new(Instant::now() + Duration::from_millis(1)).await;
            tell_thread(&told);
        };
        in_background("test", sleeping).unwrap();
        // By now, its thread is usually parked.
        thread::sleep(Duration::from_millis(20));
        helping(|| hurry.send(()).unwrap());
        next(&tell);
    }

    #[test]
    fn a_panic_does_not_affect_the_helper_and_drops_the_future() {
        let (held, lost) = oneshot::channel::<()>();
        let panicking = async move {
            let _held = held;
            panic!("out of cheese");
        };
        helping(|| in_background("test", panicking).unwrap());
        assert!(block_on(lost).is_err());
    }

    /// Reports when its thread has ended.
    struct Witness(Sender<()>);

    impl Drop for Witness {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }

    thread_local! {
        static WITNESS: RefCell<Option<Witness>> = const { RefCell::new(None) };
    }

    /// A future that is first polled in its own thread, ended by the sender, and watched.
    fn watched(last: impl FnOnce() + Send + 'static) -> (oneshot::Sender<()>, Receiver<()>) {
        let (gone, is_gone) = channel();
        let (end, is_ended) = oneshot::channel::<()>();
        let (begun, has_begun) = channel();
        let watched = async move {
            WITNESS.set(Some(Witness(gone)));
            begun.send(()).unwrap();
            let _ = is_ended.await;
            last();
        };
        in_background("test", watched).unwrap();
        next(&has_begun);
        (end, is_gone)
    }

    #[test]
    fn the_thread_of_a_future_ends_with_it() {
        let (end, is_gone) = watched(|| ());
        helping(|| end.send(()).unwrap());
        next(&is_gone);
        let (end, is_gone) = watched(|| panic!("out of cheese"));
        helping(|| end.send(()).unwrap());
        next(&is_gone);
        let (end, is_gone) = watched(|| ());
        end.send(()).unwrap();
        next(&is_gone);
    }

    /// Adds one to each number and passes it on.
    fn adder(next: UnboundedSender<u64>) -> UnboundedSender<u64> {
        let (give, mut given) = mpsc::unbounded();
        let adding = async move {
            while let Some(number) = given.next().await {
                if next.unbounded_send(number + 1).is_err() {
                    return;
                }
            }
        };
        in_background("test", adding).unwrap();
        give
    }

    #[test]
    fn no_wake_is_lost_among_many_threads() {
        const THREADS: u64 = 8;
        const NUMBERS: u64 = 2000;
        let (last, mut sums) = mpsc::unbounded();
        let chain = (0..4).fold(last, |next, _| adder(next));
        let (told, tell) = channel();
        for thread in 0..THREADS {
            let (chain, told) = (chain.clone(), told.clone());
            thread::spawn(move || {
                for number in 0..NUMBERS {
                    let send = || chain.unbounded_send(thread * NUMBERS + number).unwrap();
                    match number % 3 {
                        0 => send(),
                        1 => helping(send),
                        _ => block_on(async { send() }),
                    }
                }
                told.send(0).unwrap();
            });
        }
        drop(chain);
        thread::spawn(move || {
            let sum = block_on(async {
                let mut sum = 0;
                while let Some(number) = sums.next().await {
                    sum += number;
                }
                sum
            });
            told.send(sum).unwrap();
        });
        let all = THREADS * NUMBERS;
        let sum: u64 = (0..=THREADS).map(|_| next(&tell)).sum();
        assert_eq!(sum, all * (all - 1) / 2 + 4 * all);
    }
}
