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
use super::pool::spawn;
use super::woken_futures;

/// Runs a future in the threads that wake it, and in a thread of this name, which runs its timers
/// and polls it when the others do not. The thread ends with the future.
///
/// # Errors
/// If the system cannot start the thread.
pub(super) fn in_background(
    name: &str,
    future: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let waiter = Waiter::new();
    let timers = waiter.timers().clone();
    let with_timers = async move {
        let mut future = pin!(future);
        poll_fn(|context| timers.poll_with(|| future.as_mut().poll(context))).await;
    };
    let (own_thread, mut handed_over) = mpsc::unbounded();
    // A panic ends the future and its own thread, but not another thread that polls it.
    let (first, mut task) = Builder::new()
        .propagate_panic(true)
        .spawn(|()| with_timers, move |woken| schedule(woken, &own_thread));
    let poll_all = poll_fn(move |context| {
        while let Poll::Ready(Some(woken)) = handed_over.poll_next_unpin(context) {
            woken_futures::enqueue(woken);
        }
        task.poll_unpin(context)
    });
    spawn(name, move || waiter.wait_for(poll_all))?;
    first.schedule();
    Ok(())
}

fn schedule(woken: Runnable, own_thread: &UnboundedSender<Runnable>) {
    if let Err(woken) = woken_futures::try_enqueue(woken) {
        // The thread does not end before the future, so the receiver exists.
        let _ = own_thread.unbounded_send(woken);
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
    use crate::threads::{block_on, run_woken_by};

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
    fn responder() -> UnboundedSender<oneshot::Sender<ThreadId>> {
        let (request, mut requests) = mpsc::unbounded::<oneshot::Sender<ThreadId>>();
        let responding = async move {
            while let Some(reply) = requests.next().await {
                let _ = reply.send(thread::current().id());
            }
        };
        in_background("test", responding).unwrap();
        request
    }

    fn request(
        responder: &UnboundedSender<oneshot::Sender<ThreadId>>,
    ) -> oneshot::Receiver<ThreadId> {
        let (reply_sender, reply) = oneshot::channel();
        responder.unbounded_send(reply_sender).unwrap();
        reply
    }

    fn send_thread(sender: &Sender<ThreadId>) {
        sender.send(thread::current().id()).unwrap();
    }

    fn next<T>(receiver: &Receiver<T>) -> T {
        receiver.recv_timeout(PATIENCE).expect("it arrives soon")
    }

    #[test]
    fn a_waiting_thread_runs_the_futures_it_woke() {
        let polled_in = block_on(async {
            let responder = responder();
            for _ in 0..10 {
                assert_eq!(request(&responder).await, Ok(thread::current().id()));
            }
            request(&responder).await
        });
        assert_eq!(polled_in, Ok(thread::current().id()));
    }

    #[test]
    fn a_future_woken_by_a_busy_thread_runs_elsewhere() {
        let responder = responder();
        let reply = request(&responder);
        let (sender, receiver) = channel();
        thread::spawn(move || sender.send(block_on(reply)));
        assert_ne!(next(&receiver).unwrap(), thread::current().id());
    }

    #[test]
    fn a_helping_thread_runs_the_futures_it_woke_before_it_continues() {
        let mut reply = run_woken_by(|| request(&responder()));
        assert_eq!(reply.try_recv(), Ok(Some(thread::current().id())));
    }

    #[test]
    fn a_busy_future_continues_after_its_helper_has_left() {
        let (sender, receiver) = channel();
        let busy = async move {
            send_thread(&sender);
            turns(1000).await;
            send_thread(&sender);
        };
        run_woken_by(|| in_background("test", busy).unwrap());
        assert_eq!(next(&receiver), thread::current().id());
        assert_ne!(next(&receiver), thread::current().id());
    }

    #[test]
    fn a_waiting_thread_is_not_held_up_by_a_busy_future() {
        let (end, is_ended) = oneshot::channel::<()>();
        let busy = select(is_ended, Box::pin(turns(u32::MAX)));
        let (reply_sender, reply) = oneshot::channel();
        block_on(async {
            in_background("test", busy.map(drop)).unwrap();
            Sleep::new(Instant::now() + Duration::from_millis(1)).await;
            in_background("test", async move { reply_sender.send(()).unwrap() }).unwrap();
            reply.await.unwrap();
        });
        drop(end);
    }

    #[test]
    fn a_sleep_ends_after_the_thread_that_began_it_has_left() {
        let (sender, receiver) = channel();
        let begun = Instant::now();
        let sleeping = async move {
            Sleep::new(begun + Duration::from_millis(20)).await;
            send_thread(&sender);
        };
        run_woken_by(|| in_background("test", sleeping).unwrap());
        assert_ne!(next(&receiver), thread::current().id());
        assert!(begun.elapsed() >= Duration::from_millis(20));
    }

    #[test]
    fn a_sleep_shorter_than_the_previous_one_ends_on_time() {
        let (sender, receiver) = channel();
        let (interrupt, interrupted) = oneshot::channel();
        let sleeping = async move {
            let long = Sleep::new(Instant::now() + 100 * PATIENCE);
            select(interrupted, long).await;
            Sleep::new(Instant::now() + Duration::from_millis(1)).await;
            send_thread(&sender);
        };
        in_background("test", sleeping).unwrap();
        // By now, its thread is usually parked.
        thread::sleep(Duration::from_millis(20));
        run_woken_by(|| interrupt.send(()).unwrap());
        next(&receiver);
    }

    #[test]
    fn a_panic_does_not_affect_the_helper_and_drops_the_future() {
        let (held, lost) = oneshot::channel::<()>();
        let panicking = async move {
            let _held = held;
            panic!("out of cheese");
        };
        run_woken_by(|| in_background("test", panicking).unwrap());
        assert!(block_on(lost).is_err());
    }

    /// Reports when its thread has ended.
    struct ThreadEnd(Sender<()>);

    impl Drop for ThreadEnd {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }

    thread_local! {
        static THREAD_END: RefCell<Option<ThreadEnd>> = const { RefCell::new(None) };
    }

    /// A future that is first polled in its own thread, ended by the sender, and watched.
    fn watched_future(last: impl FnOnce() + Send + 'static) -> (oneshot::Sender<()>, Receiver<()>) {
        let (thread_ended, has_thread_ended) = channel();
        let (end, is_ended) = oneshot::channel::<()>();
        let (begun, has_begun) = channel();
        let watched = async move {
            THREAD_END.set(Some(ThreadEnd(thread_ended)));
            begun.send(()).unwrap();
            let _ = is_ended.await;
            last();
        };
        in_background("test", watched).unwrap();
        next(&has_begun);
        (end, has_thread_ended)
    }

    #[test]
    fn the_thread_of_a_future_ends_with_it() {
        let (end, has_thread_ended) = watched_future(|| ());
        run_woken_by(|| end.send(()).unwrap());
        next(&has_thread_ended);
        let (end, has_thread_ended) = watched_future(|| panic!("out of cheese"));
        run_woken_by(|| end.send(()).unwrap());
        next(&has_thread_ended);
        let (end, has_thread_ended) = watched_future(|| ());
        end.send(()).unwrap();
        next(&has_thread_ended);
    }

    /// Adds one to each number and passes it on.
    fn adder(next: UnboundedSender<u64>) -> UnboundedSender<u64> {
        let (input, mut numbers) = mpsc::unbounded();
        let adding = async move {
            while let Some(number) = numbers.next().await {
                if next.unbounded_send(number + 1).is_err() {
                    return;
                }
            }
        };
        in_background("test", adding).unwrap();
        input
    }

    #[test]
    fn no_wake_is_lost_among_many_threads() {
        const THREADS: u64 = 8;
        const NUMBERS: u64 = 2000;
        let (last, mut sums) = mpsc::unbounded();
        let chain = (0..4).fold(last, |next, _| adder(next));
        let (sender, receiver) = channel();
        for thread in 0..THREADS {
            let (chain, sender) = (chain.clone(), sender.clone());
            thread::spawn(move || {
                for number in 0..NUMBERS {
                    let send = || chain.unbounded_send(thread * NUMBERS + number).unwrap();
                    match number % 3 {
                        0 => send(),
                        1 => run_woken_by(send),
                        _ => block_on(async { send() }),
                    }
                }
                sender.send(0).unwrap();
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
            sender.send(sum).unwrap();
        });
        let all = THREADS * NUMBERS;
        let sum: u64 = (0..=THREADS).map(|_| next(&receiver)).sum();
        assert_eq!(sum, all * (all - 1) / 2 + 4 * all);
    }
}
