//! One life of a service under test: an actix system on a paused clock, which ends as a crash does.

use std::time::Duration;

use super::FixedClock;

/// How long a condition may take on the paused clock before the test is given up.
const PATIENCE: Duration = Duration::from_secs(7 * 86_400);

/// Runs one life on this thread. When `story` returns, everything of this life is dropped where it stands.
///
/// # Panics
/// When the runtime cannot be built, and with `story`.
pub fn live<T>(clock: &FixedClock, story: impl Future<Output = T>) -> T {
    let system = actix::System::with_tokio_rt(|| {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .expect("a runtime for one thread can be built")
    });
    let outcome = system.block_on(async {
        clock.rebase();
        let outcome = story.await;
        clock.freeze();
        outcome
    });
    drop(system);
    outcome
}

/// Waits until the condition holds, step by step of the paused clock.
///
/// # Panics
/// When it does not hold after a week of that clock.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let given_up = tokio::time::Instant::now() + PATIENCE;
    let mut step = Duration::from_millis(1);
    while !holds().await {
        assert!(tokio::time::Instant::now() < given_up, "never happened: {what}");
        tokio::time::sleep(step).await;
        step = (step * 2).min(Duration::from_secs(1));
    }
}
