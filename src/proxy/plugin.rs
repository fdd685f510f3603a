//! proxy-wasm's callbacks.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, BufferType, ContextType, LogLevel, MapType};
use zeroize::Zeroizing;

use super::envoy::{Envoy, HttpRequest, declare_filter_state, header_map, send};
use super::wire;
use crate::attester::{Attester, Changes, Decision, MAX_WAITING, Worker};
use crate::config::{Config, ConfigError, Platform};
use crate::host::{Expected, Level, ProcessHost as _, SharedData as _};
use crate::http::endpoint::Response;
use crate::keys::active::ActiveKeyring;
use crate::keys::feed::{Answer, KeyFeed, ListenerFeed};

/// What this module is, for whoever looks into a log or at the bytes.
const VERSION: &str = concat!("attestation-filter ", env!("CARGO_PKG_VERSION"));
/// When the key file is first asked for: not while Envoy is still putting its configuration together.
const FIRST_TICK: Duration = Duration::from_millis(20);
/// How many requests are decided on in one call of Envoy's: with some hundreds, the stack of the VM would not do.
const MAX_DECIDED_AT_ONCE: usize = 32;
/// When to go on with the others.
const NEXT_REQUESTS: Duration = Duration::from_millis(1);

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Trace);
    proxy_wasm::set_root_context(|_| Box::new(Plugin::default()));
}}

thread_local! {
    /// One for all configurations of a VM: what Envoy keeps of a metric that is defined again is never given back.
    static ENVOY: Rc<Envoy> = Rc::default();
}

/// The plugin under one configuration in one VM.
struct Plugin {
    envoy: Rc<Envoy>,
    filter: Option<Rc<Filter>>,
    feed: Option<ListenerFeed>,
    serves_requests: Rc<Cell<bool>>,
    waiting: Waiting,
}

impl Default for Plugin {
    fn default() -> Self {
        Self {
            envoy: ENVOY.with(Rc::clone),
            filter: None,
            feed: None,
            serves_requests: Rc::default(),
            waiting: Waiting::default(),
        }
    }
}

/// The requests that wait for a key: their contexts, and until when.
type Waiting = Rc<RefCell<Vec<(u32, Duration)>>>;

/// The filter under one configuration.
struct Filter {
    attester: Attester,
    worker: Worker,
}

impl Plugin {
    fn configure(&mut self, size: usize) -> Result<(), ConfigError> {
        let bytes = match size {
            0 => Vec::new(),
            _ => hostcalls::get_buffer(BufferType::PluginConfiguration, 0, size).ok().flatten().unwrap_or_default(),
        };
        let config = Config::read(Platform::Wasm, &bytes, |name| {
            std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
        })?;
        let attester = Attester::new(config, &*self.envoy)?;
        declare_filter_state(attester.kept_as());
        self.feed =
            attester.key_file().map(|file| ListenerFeed::new(file.clone(), attester.signer_choice(), self.envoy.now()));
        self.filter = Some(Rc::new(Filter { worker: attester.worker(), attester }));
        if self.feed.is_some() {
            warn_without_vm_id(&self.envoy);
            let adopted = self.feed.as_mut().and_then(|feed| feed.adopt(&*self.envoy));
            self.use_keys(adopted);
            let _ = hostcalls::set_tick_period(FIRST_TICK);
        }
        Ok(())
    }

    fn use_keys(&self, keyring: Option<ActiveKeyring>) {
        if let (Some(keyring), Some(filter)) = (keyring, &self.filter) {
            filter.attester.use_keys(keyring);
        }
    }

    /// Has the feed do something, and looks again when it wants to.
    fn with_feed(&mut self, act: impl FnOnce(&mut ListenerFeed, &Envoy) -> Option<ActiveKeyring>) {
        let Some(feed) = &mut self.feed else { return };
        if self.serves_requests.get() {
            feed.serves_requests();
        }
        let keyring = act(feed, &self.envoy);
        self.use_keys(keyring);
        self.decide_again();
        self.tick_again();
    }

    /// How many of the requests that wait, the oldest first, need not wait longer: there are keys, or their time is over.
    fn due(&self) -> usize {
        let has_keys = self.filter.as_ref().is_some_and(|filter| filter.attester.has_keys());
        let now = self.envoy.now();
        self.waiting.borrow().iter().take_while(|(_, until)| has_keys || *until <= now).count()
    }

    /// Decides on requests that are due; a few, and the others soon after. What Envoy does for each of them, it does on top
    /// of what it does for the one before.
    fn decide_again(&self) {
        let Some(filter) = &self.filter else { return };
        let count = self.due().min(MAX_DECIDED_AT_ONCE);
        let due: Vec<_> = self.waiting.borrow_mut().drain(..count).collect();
        for (context, _) in due {
            if hostcalls::set_effective_context(context).is_err() {
                continue;
            }
            match filter.attester.on_request(&filter.worker, &HttpRequest::new(&self.envoy)) {
                Decision::Forward(changes) => {
                    apply(&changes);
                    let _ = hostcalls::resume_http_request();
                }
                Decision::Respond(response) => send(&response),
                Decision::Wait => send(&filter.attester.give_up(&*self.envoy)),
            }
        }
    }

    fn tick_again(&self) {
        let period = match &self.feed {
            _ if self.due() > 0 => NEXT_REQUESTS,
            Some(feed) => KeyFeed::<Envoy>::period(feed),
            None => return,
        };
        let _ = hostcalls::set_tick_period(period);
    }
}

impl Context for Plugin {
    fn on_http_call_response(&mut self, _: u32, num_headers: usize, body_size: usize, _: usize) {
        // Without headers there was no answer, and asking for them would be an error.
        let status = (num_headers > 0).then(status_of_answer).flatten();
        let body = match body_size {
            0 => None,
            _ => hostcalls::get_buffer(BufferType::HttpCallResponseBody, 0, body_size).ok().flatten(),
        };
        let answer = Answer { status, body: Zeroizing::new(body.unwrap_or_default()) };
        self.with_feed(|feed, envoy| feed.answered(envoy, &answer));
    }
}

/// The first VM to find out says so.
fn warn_without_vm_id(envoy: &Envoy) {
    let vm_id = hostcalls::get_property(vec!["plugin_vm_id"]).ok().flatten().unwrap_or_default();
    if vm_id.is_empty() && envoy.set_shared_data("attestation.told.vm_id", b"", Expected::Absent) {
        envoy.log(Level::Warn, "vm_config.vm_id is empty: every module without one can write the shared keys; set it");
    }
}

fn status_of_answer() -> Option<u32> {
    let status = hostcalls::get_map_value_bytes(MapType::HttpCallResponseHeaders, ":status").ok()??;
    str::from_utf8(&status).ok()?.parse().ok()
}

impl RootContext for Plugin {
    fn on_configure(&mut self, size: usize) -> bool {
        match self.configure(size) {
            Ok(()) => {
                self.envoy.log(Level::Debug, VERSION);
                true
            }
            Err(error) => {
                self.envoy.log(Level::Error, &format!("configuration rejected: {error}"));
                false
            }
        }
    }

    fn on_tick(&mut self) {
        if self.due() > 0 {
            self.decide_again();
            self.tick_again();
        } else {
            self.with_feed(|feed, envoy| feed.look(envoy));
        }
    }

    fn create_http_context(&self, context: u32) -> Option<Box<dyn HttpContext>> {
        self.serves_requests.set(true);
        let (envoy, waiting) = (Rc::clone(&self.envoy), Rc::clone(&self.waiting));
        Some(Box::new(Exchange { context, envoy, filter: self.filter.clone(), waiting }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

/// One request and its response.
struct Exchange {
    context: u32,
    envoy: Rc<Envoy>,
    filter: Option<Rc<Filter>>,
    waiting: Waiting,
}

impl Context for Exchange {}

/// A client that goes away waits no longer.
impl Drop for Exchange {
    fn drop(&mut self) {
        self.waiting.borrow_mut().retain(|(context, _)| *context != self.context);
    }
}

impl Exchange {
    fn decide(&self) -> Decision {
        let Some(filter) = &self.filter else {
            return Decision::Respond(Response::refusal(
                500,
                "attestation_not_configured",
                "the filter is not configured",
            ));
        };
        match filter.attester.on_request(&filter.worker, &HttpRequest::new(&self.envoy)) {
            Decision::Wait if self.waiting.borrow().len() >= MAX_WAITING => {
                Decision::Respond(filter.attester.give_up(&*self.envoy))
            }
            Decision::Wait => {
                let until = self.envoy.now() + filter.attester.key_wait();
                self.waiting.borrow_mut().push((self.context, until));
                Decision::Wait
            }
            decision => decision,
        }
    }
}

impl HttpContext for Exchange {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        match self.decide() {
            Decision::Forward(changes) => {
                apply(&changes);
                Action::Continue
            }
            Decision::Respond(response) => {
                send(&response);
                Action::Pause
            }
            Decision::Wait => Action::Pause,
        }
    }

    fn on_http_request_trailers(&mut self, _: usize) -> Action {
        if let Some(filter) = &self.filter {
            let trailers = header_map(MapType::HttpRequestTrailers);
            for name in filter.attester.spoofed_trailers(&wire::fields(&trailers), &*self.envoy) {
                let _ = hostcalls::remove_map_value(MapType::HttpRequestTrailers, name);
            }
        }
        Action::Continue
    }
}

fn apply(changes: &Changes) {
    for name in &changes.remove {
        let _ = hostcalls::remove_map_value(MapType::HttpRequestHeaders, name);
    }
    for (name, value) in &changes.set {
        let _ = hostcalls::set_map_value(MapType::HttpRequestHeaders, name, Some(value));
    }
}
