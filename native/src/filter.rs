//! One request and its response, on its worker's thread.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use attestation_filter::attester::{Changes, Decision};
use attestation_filter::http::endpoint::Response;
use attestation_filter::http::fields::Fields;

use crate::ffi::{HeadersStatus, Map, Stream};
use crate::held::Place;
use crate::loaded::Loaded;
use crate::plugin::Plugin;
use crate::request::HttpRequest;
use crate::unanswered::Unanswered;
use crate::worker::Worker;

/// `INTERNAL` of gRPC.
const GRPC_INTERNAL: u32 = 13;

/// The filter of one request. Hooks of a request can run within each other, as an answer runs those of the response; so
/// nothing here is borrowed while Envoy is called.
pub(crate) struct Filter {
    plugin: Arc<Plugin>,
    worker: Rc<Worker>,
    wait: RefCell<Option<Place>>,
    /// Until when it may wait.
    deadline: Cell<Option<Instant>>,
    is_answered: Cell<bool>,
    unanswered: Unanswered,
}

impl Filter {
    /// A filter for a new request.
    pub(crate) fn new(loaded: &Loaded) -> Self {
        let plugin = Arc::clone(loaded.plugin());
        let worker = Worker::current(&plugin);
        let unanswered = Unanswered::begin(plugin.attester.kept_as());
        Self {
            plugin,
            worker,
            wait: RefCell::default(),
            deadline: Cell::default(),
            is_answered: Cell::default(),
            unanswered,
        }
    }

    /// Decides on the request, or holds it.
    pub(crate) fn on_headers(&self, stream: &mut Stream<'_>) -> HeadersStatus {
        self.plugin.metrics.flush(stream);
        let response = match self.decide(stream) {
            Decision::Forward(changes) => {
                apply(stream, &changes);
                return HeadersStatus::Continue;
            }
            Decision::Wait if self.hold(stream) => return HeadersStatus::StopAllIterationAndWatermark,
            Decision::Wait => self.plugin.attester.give_up(&self.plugin.process_of(stream)),
            Decision::Respond(response) => response,
        };
        self.respond(stream, &response);
        HeadersStatus::StopIteration
    }

    fn decide(&self, stream: &Stream<'_>) -> Decision {
        let process = self.plugin.process_of(stream);
        let request = HttpRequest::new(stream, process, &self.plugin.kinds, &self.unanswered);
        self.plugin.attester.on_request(&self.worker.core, &request)
    }

    /// Holds the request until there are keys or its time is over; false if that is so, or too many are held already.
    fn hold(&self, stream: &Stream<'_>) -> bool {
        let now = Instant::now();
        let first = || now.checked_add(self.plugin.attester.key_wait()).unwrap_or(now);
        let deadline = self.deadline.get().unwrap_or_else(first);
        self.deadline.set(Some(deadline));
        if deadline <= now || !self.worker.take_place() {
            return false;
        }
        *self.wait.borrow_mut() = Some(self.plugin.held.add(deadline, stream.scheduler()));
        if self.plugin.attester.has_keys() {
            // They have come before anybody could know of this request.
            self.plugin.held.wake_all();
        }
        true
    }

    /// Gives up the place among the requests that wait; false if it had none.
    fn give_up_place(&self) -> bool {
        let place = self.wait.borrow_mut().take();
        let had_one = place.is_some();
        if had_one {
            self.worker.give_back_place();
        }
        had_one
    }

    /// Decides on a request that was held.
    pub(crate) fn on_wake(&self, stream: &mut Stream<'_>) {
        if self.give_up_place() && self.on_headers(stream) == HeadersStatus::Continue {
            stream.go_on();
        }
    }

    /// Removes what a client must not send in its trailers either.
    pub(crate) fn on_trailers(&self, stream: &mut Stream<'_>) {
        let names: Vec<Vec<u8>> = {
            let trailers = Fields::new(stream.fields(Map::RequestTrailers));
            let names = self.plugin.attester.spoofed_trailers(&trailers, &self.plugin.process_of(stream));
            names.into_iter().map(|name| name.as_bytes().to_vec()).collect()
        };
        names.iter().for_each(|name| stream.remove_field(Map::RequestTrailers, name));
    }

    /// A response comes.
    pub(crate) fn on_response(&self) {
        self.unanswered.answer();
    }

    /// The request is over. If it begins anew, that comes next.
    pub(crate) fn on_complete(&self) {
        self.unanswered.end(self.plugin.attester.kept_as());
    }

    /// The end of the filter.
    pub(crate) fn end(&self) {
        self.give_up_place();
        self.on_complete();
    }

    /// Answers a request whose hook has panicked, unless it has an answer.
    pub(crate) fn after_panic(&self, stream: &mut Stream<'_>) {
        self.plugin.metrics.count_panic(stream);
        let response = Response::refusal(500, "attestation_panic", "this request cannot be handled");
        self.respond(stream, &Response { grpc_status: Some(GRPC_INTERNAL), ..response });
    }

    fn respond(&self, stream: &mut Stream<'_>, response: &Response) {
        if self.is_answered.replace(true) {
            return;
        }
        // Envoy makes an answer of gRPC of it, and would have it say that all is well.
        let is_grpc = is_answered_in_grpc(&Fields::new(stream.fields(Map::RequestHeaders)));
        let grpc_status = response.grpc_status.filter(|_| is_grpc).map(|status| status.to_string());
        let fields = response.headers.iter().map(|(name, value)| (*name, value.as_str()));
        let fields: Vec<_> = fields.chain(grpc_status.as_deref().map(|status| ("grpc-status", status))).collect();
        stream.respond(response.status, &fields, &response.body, response.details);
    }
}

/// Whether Envoy answers in gRPC's manner: `application/grpc` and `application/grpc+…`, in this letter case, and no other.
fn is_answered_in_grpc(request: &Fields<'_>) -> bool {
    let subtype = request.first("content-type").strip_prefix(b"application/grpc");
    subtype.is_some_and(|rest| matches!(rest.first(), None | Some(b'+')))
}

fn apply(stream: &mut Stream<'_>, changes: &Changes) {
    for name in &changes.remove {
        stream.remove_field(Map::RequestHeaders, name.as_bytes());
    }
    // Envoy takes an empty value for none.
    for (name, value) in changes.set.iter().filter(|(_, value)| !value.is_empty()) {
        stream.set_field(Map::RequestHeaders, name.as_bytes(), value.as_bytes());
    }
}
