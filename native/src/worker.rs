//! What one of Envoy's threads remembers for a configuration.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::{Arc, Weak};

use attestation_filter::attester::{self, MAX_WAITING};

use crate::plugin::Plugin;

/// One thread's part of a configuration.
pub(crate) struct Worker {
    pub(crate) core: attester::Worker,
    held: Cell<usize>,
}

thread_local! {
    /// This thread's part of each configuration that it has served.
    static WORKERS: RefCell<Vec<(Weak<Plugin>, Rc<Worker>)>> = const { RefCell::new(Vec::new()) };
}

impl Worker {
    /// This thread's part of a configuration.
    pub(crate) fn current(plugin: &Arc<Plugin>) -> Rc<Self> {
        WORKERS.with_borrow_mut(|workers| {
            let known = workers.iter().find(|(of, _)| Weak::as_ptr(of) == Arc::as_ptr(plugin));
            if let Some((_, worker)) = known {
                return Rc::clone(worker);
            }
            workers.retain(|(of, _)| of.strong_count() > 0);
            let worker = Rc::new(Self { core: plugin.attester.worker(), held: Cell::default() });
            workers.push((Arc::downgrade(plugin), Rc::clone(&worker)));
            worker
        })
    }

    /// Counts a request that is held; false if there are too many.
    pub(crate) fn take_place(&self) -> bool {
        let is_free = self.held.get() < MAX_WAITING;
        if is_free {
            self.held.set(self.held.get() + 1);
        }
        is_free
    }

    /// Counts a request that is no longer held.
    pub(crate) fn give_back_place(&self) {
        self.held.set(self.held.get().saturating_sub(1));
    }
}
