//! The limit on pending results, and which ones are dropped beyond it.

use super::*;

/// An ivy without workers whose producer keeps at most `results` pending results.
fn waiting_for(results: usize) -> Ivy<Tokio> {
    let mut ivy = with_fates([]);
    let shared = Arc::get_mut(&mut ivy.shared).expect("there is no clone of it");
    shared.producer_config = shared.producer_config.clone().with_waiting(results);
    ivy
}

#[tokio::test(start_paused = true)]
async fn tasks_are_sent_regardless_of_how_many_results_a_callback_awaits() {
    let ivy = waiting_for(2);
    ivy.on_result(&DOUBLE, |_, _| panic!("no result arrives")).unwrap();
    let mut events = ivy.events();
    for n in 0..5 {
        ivy.send(&DOUBLE, (n,)).await.unwrap();
        drop(ivy.call(&DOUBLE, (n,)).await.unwrap());
    }
    drop(ivy);
    let mut evicted = 0;
    while let Some(event) = events.next().await {
        evicted += u32::from(matches!(event, Event::CallbackEvicted { .. }));
    }
    assert_eq!(evicted, 8);
}

#[tokio::test(start_paused = true)]
async fn live_handles_occupy_the_limit_and_dropped_ones_free_it() {
    for with_callback in [false, true] {
        let ivy = waiting_for(2);
        if with_callback {
            ivy.on_result(&DOUBLE, |_, _| ()).unwrap();
        }
        let handles = ivy.call_many(&DOUBLE, [(1,), (2,)]).await;
        assert!(handles.iter().all(Result::is_ok), "{handles:?}");
        let error = ivy.call(&DOUBLE, (3,)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Full);
        assert!(error.to_string().contains("drop the handles"), "{error}");
        drop(handles);
        ivy.call(&DOUBLE, (4,)).await.unwrap();
    }
}
