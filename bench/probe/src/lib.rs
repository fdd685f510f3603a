//! A filter made with the SDK that does nothing; or, if it is configured, has the host sign its configuration.
//!
//! The one shows what any Wasm filter costs, the other what the host's signature costs, with nothing around it.
#![cfg(target_family = "wasm")]

use std::rc::Rc;

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, BufferType, ContextType, LogLevel};

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Warn);
    proxy_wasm::set_root_context(|_| Box::new(Plugin::default()));
}}

#[derive(Default)]
struct Plugin {
    /// What the foreign function `sign` takes.
    request: Option<Rc<Vec<u8>>>,
}

impl Context for Plugin {}

impl RootContext for Plugin {
    fn on_configure(&mut self, size: usize) -> bool {
        if size > 0 {
            self.request = hostcalls::get_buffer(BufferType::PluginConfiguration, 0, size).ok().flatten().map(Rc::new);
        }
        true
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Exchange { request: self.request.clone() }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

struct Exchange {
    request: Option<Rc<Vec<u8>>>,
}

impl Context for Exchange {}

impl HttpContext for Exchange {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        if let Some(request) = &self.request {
            let signed = hostcalls::call_foreign_function("sign", Some(request.as_slice()));
            if !matches!(signed, Ok(Some(_))) {
                hostcalls::send_http_response(500, Vec::new(), Some(b"the host did not sign")).ok();
                return Action::Pause;
            }
        }
        Action::Continue
    }
}
