//! Requests that wait for the first keys, each with a deadline.
//!
//! A request is held on its worker and woken from another thread: when keys have come, or when its time is over. It may
//! end before either, and with it, soon, the worker. So each has a lock of its own: whoever wakes it holds that lock, and
//! the request's end waits for it. Waking only queues an event, so that nobody waits for long.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::ffi::StreamScheduler;

/// What wakes a request.
pub(crate) trait Wake: Send {
    /// Has the request's worker look at it again.
    fn wake(&self);
}

impl Wake for StreamScheduler {
    fn wake(&self) {
        StreamScheduler::wake(self);
    }
}

/// The requests of one configuration that wait, on all workers.
#[derive(Default)]
pub(crate) struct Held {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    is_closed: bool,
    last: u64,
    /// By deadline; the number tells those of the same deadline from each other.
    requests: BTreeMap<(Instant, u64), Arc<Request>>,
}

/// What wakes the request; none once it has ended.
type Request = Mutex<Option<Box<dyn Wake>>>;

/// A request's place among those that wait. Dropping it gives it up.
pub(crate) struct Place {
    held: Arc<Held>,
    key: (Instant, u64),
    request: Arc<Request>,
}

impl Held {
    /// Adds a request, until `deadline`.
    pub(crate) fn add(self: &Arc<Self>, deadline: Instant, wake: impl Wake + 'static) -> Place {
        let request = Arc::new(Mutex::new(Some(Box::new(wake) as Box<dyn Wake>)));
        let mut waiting = self.lock();
        waiting.last = waiting.last.wrapping_add(1);
        let key = (deadline, waiting.last);
        waiting.requests.insert(key, Arc::clone(&request));
        drop(waiting);
        self.changed.notify_all();
        Place { held: Arc::clone(self), key, request }
    }

    /// Wakes all of them.
    pub(crate) fn wake_all(&self) {
        let requests = std::mem::take(&mut self.lock().requests);
        requests.into_values().for_each(|request| wake(&request));
    }

    /// Wakes those whose time is over by `now`.
    pub(crate) fn wake_overdue(&self, now: Instant) {
        let mut waiting = self.lock();
        let later = waiting.requests.split_off(&(now, u64::MAX));
        let overdue = std::mem::replace(&mut waiting.requests, later);
        drop(waiting);
        overdue.into_values().for_each(|request| wake(&request));
    }

    /// Sleeps for a time, or until the next deadline, or until it is closed; false if that is so.
    pub(crate) fn sleep(&self, time: Duration) -> bool {
        let now = Instant::now();
        let end = now.checked_add(time);
        let mut waiting = self.lock();
        loop {
            let deadline = waiting.requests.keys().next().map(|(deadline, _)| *deadline);
            let until = [deadline, end].into_iter().flatten().min();
            let left = until.map(|until| until.saturating_duration_since(Instant::now())).unwrap_or(time);
            if waiting.is_closed || left.is_zero() {
                return !waiting.is_closed;
            }
            waiting = self.changed.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Ends the sleep, for good.
    pub(crate) fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wake(request: &Request) {
    if let Some(wake) = &*request.lock().unwrap_or_else(PoisonError::into_inner) {
        wake.wake();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.held.lock().requests.remove(&self.key);
        // From here on, or after the one that is about to wake it, nobody does.
        *self.request.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};
    use std::thread;

    use super::*;

    struct Bell(u32, Sender<u32>);

    impl Wake for Bell {
        fn wake(&self) {
            self.1.send(self.0).unwrap();
        }
    }

    #[test]
    fn only_the_overdue_are_woken_and_once() {
        let held = Arc::new(Held::default());
        let (sender, woken) = channel();
        let now = Instant::now();
        let _places: Vec<_> =
            (0..3).map(|n| held.add(now + Duration::from_secs(n.into()), Bell(n, sender.clone()))).collect();
        held.wake_overdue(now + Duration::from_secs(1));
        held.wake_overdue(now + Duration::from_secs(1));
        assert_eq!(woken.try_iter().collect::<Vec<_>>(), [0, 1]);
        held.wake_all();
        held.wake_all();
        assert_eq!(woken.try_iter().collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn request_that_has_ended_is_not_woken() {
        let held = Arc::new(Held::default());
        let (sender, woken) = channel();
        let now = Instant::now();
        let place = held.add(now, Bell(0, sender.clone()));
        drop(held.add(now, Bell(1, sender)));
        held.wake_all();
        assert_eq!(woken.try_iter().collect::<Vec<_>>(), [0]);
        drop(place);
        held.wake_all();
        assert_eq!(woken.try_iter().count(), 0);
    }

    #[test]
    fn sleep_ends_at_a_deadline_and_when_closed() {
        let held = Arc::new(Held::default());
        let (sender, _woken) = channel();
        let long = Duration::from_secs(3600);
        let place = held.add(Instant::now() + Duration::from_millis(5), Bell(0, sender.clone()));
        assert!(held.sleep(long));
        drop(place);
        let sleeper = thread::spawn({
            let held = Arc::clone(&held);
            move || (held.sleep(long), held.sleep(long))
        });
        let _place = held.add(Instant::now() + Duration::from_millis(5), Bell(1, sender));
        held.close();
        assert!(!sleeper.join().unwrap().1);
    }
}
