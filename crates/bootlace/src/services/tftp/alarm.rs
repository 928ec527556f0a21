//! A deadline that moves with every packet.

use std::pin::Pin;

use tokio::time::{Instant, Sleep, sleep_until};

/// One timer for many deadlines. Setting a timer costs more than one that goes off too early now and then, and
/// deadlines nearly always move away before they come.
#[derive(Default)]
pub(super) struct Alarm {
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Alarm {
    /// Waits until `deadline`.
    pub(super) async fn wait(&mut self, deadline: Instant) {
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if deadline < sleep.deadline() {
            sleep.as_mut().reset(deadline);
        }
        loop {
            sleep.as_mut().await;
            if sleep.deadline() >= deadline {
                return;
            }
            sleep.as_mut().reset(deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_goes_off_at_the_deadline_that_is_waited_for() {
        let (mut alarm, start) = (Alarm::default(), Instant::now());
        for secs in [10, 5, 30, 20] {
            let deadline = Instant::now() + Duration::from_secs(secs);
            // A wait that is given up, as when a packet comes, leaves its deadline behind.
            assert!(tokio::time::timeout(Duration::from_secs(1), alarm.wait(deadline)).await.is_err());
            alarm.wait(deadline).await;
            assert_eq!(Instant::now(), deadline, "{secs} s");
        }
        assert_eq!(start.elapsed(), Duration::from_secs(65));
        alarm.wait(start).await;
        assert_eq!(start.elapsed(), Duration::from_secs(65), "what has passed is not waited for");
    }
}
