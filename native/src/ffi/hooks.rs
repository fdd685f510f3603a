//! What Envoy calls. Envoy 1.37.0 to 1.40.0 refuse a module that lacks one of these; most have nothing to do.
//!
//! Nothing unwinds out of here: each hook with anything in it runs it in [`guard`].

use std::ffi::c_char;
use std::ptr;
use std::rc::Rc;
use std::slice;

use super::abi::{
    CONTINUE, EnvoyBytes, EnvoyConfig, EnvoyField, EnvoyStream, HeadersStatus, ModuleConfig, ModuleFilter,
    ModuleRouteConfig,
};
use super::loading::MainThread;
use super::optional::abi_version;
use super::stream::Stream;
use crate::filter::Filter;
use crate::guard::{self, guard};
use crate::loaded::Loaded;
use crate::plugin::RouteConfig;

/// Main thread, once, when the module is loaded. The text is static.
#[unsafe(no_mangle)]
pub(super) extern "C" fn envoy_dynamic_module_on_program_init() -> *const c_char {
    guard(guard::install).unwrap_or_default();
    abi_version().as_ptr()
}

/// Main thread. Null refuses the configuration; else Envoy owns the result until `config_destroy`.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn envoy_dynamic_module_on_http_filter_config_new(
    config: EnvoyConfig,
    _name: EnvoyBytes,
    text: EnvoyBytes,
) -> ModuleConfig {
    // SAFETY: the hook's configuration and text, on the main thread; neither is kept.
    let loaded = guard(|| unsafe { Loaded::load(&MainThread::new(config), bytes(text)) });
    ModuleConfig(loaded.flatten().map_or(ptr::null(), |config| Box::into_raw(Box::new(config)).cast_const().cast()))
}

/// Any of Envoy's threads: whichever lets go of it last.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn envoy_dynamic_module_on_http_filter_config_destroy(config: ModuleConfig) {
    if !config.0.is_null() {
        // SAFETY: made by `config_new`, given back once, and no filter of it is left. It is `Send`.
        guard(|| unsafe { drop(Box::from_raw(config.0.cast::<Loaded>().cast_mut())) });
    }
}

/// Main thread. Null refuses the route; else Envoy owns the result until `per_route_config_destroy`.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn envoy_dynamic_module_on_http_filter_per_route_config_new(
    _name: EnvoyBytes,
    text: EnvoyBytes,
) -> ModuleRouteConfig {
    // SAFETY: the hook's text, which is not kept.
    let loaded = guard(|| RouteConfig::load(unsafe { bytes(text) }));
    ModuleRouteConfig(
        loaded.flatten().map_or(ptr::null(), |config| Box::into_raw(Box::new(config)).cast_const().cast()),
    )
}

/// Any of Envoy's threads: whichever lets go of it last.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn envoy_dynamic_module_on_http_filter_per_route_config_destroy(
    config: ModuleRouteConfig,
) {
    if !config.0.is_null() {
        // SAFETY: made by `per_route_config_new`, given back once, and no request is on the route. It is `Send`.
        guard(|| unsafe { drop(Box::from_raw(config.0.cast::<RouteConfig>().cast_mut())) });
    }
}

/// The request's worker. Envoy owns the result until `destroy`; all other hooks of the request are on this thread.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn envoy_dynamic_module_on_http_filter_new(
    config: ModuleConfig,
    _stream: EnvoyStream,
) -> ModuleFilter {
    // SAFETY: made by `config_new`, and not destroyed before the last of its filters.
    let filter = guard(|| unsafe { config.0.cast::<Loaded>().as_ref() }.map(Filter::new));
    ModuleFilter(filter.flatten().map_or(ptr::null(), |filter| Rc::into_raw(Rc::new(filter)).cast()))
}

/// The request's worker, perhaps while another hook of the request runs, which then holds the filter.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn envoy_dynamic_module_on_http_filter_destroy(filter: ModuleFilter) {
    if !filter.0.is_null() {
        // SAFETY: made by `filter_new` on this thread, and given back once.
        let filter = unsafe { Rc::from_raw(filter.0.cast::<Filter>()) };
        guard(|| filter.end());
        guard(|| drop(filter));
    }
}

/// The request's worker.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn envoy_dynamic_module_on_http_filter_request_headers(
    stream: EnvoyStream,
    filter: ModuleFilter,
    _is_last: bool,
) -> HeadersStatus {
    // SAFETY: the hook's filter and request.
    unsafe { with(stream, filter, HeadersStatus::StopIteration, |filter, stream| filter.on_headers(stream)) }
}

/// The request's worker.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn envoy_dynamic_module_on_http_filter_request_trailers(
    stream: EnvoyStream,
    filter: ModuleFilter,
) -> u32 {
    // SAFETY: the hook's filter and request.
    unsafe { with(stream, filter, (), |filter, stream| filter.on_trailers(stream)) };
    CONTINUE
}

/// The request's worker.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn envoy_dynamic_module_on_http_filter_response_headers(
    _stream: EnvoyStream,
    filter: ModuleFilter,
    _is_last: bool,
) -> u32 {
    // SAFETY: made by `filter_new` on this thread, and not given back yet. Nothing in this hook lets Envoy do that.
    guard(|| unsafe { filter.0.cast::<Filter>().as_ref() }.map(Filter::on_response));
    CONTINUE
}

/// The request's worker.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn envoy_dynamic_module_on_http_filter_stream_complete(
    _stream: EnvoyStream,
    filter: ModuleFilter,
) {
    // SAFETY: made by `filter_new` on this thread, or null once it is given back. Nothing in this hook lets Envoy do that.
    guard(|| unsafe { filter.0.cast::<Filter>().as_ref() }.map(Filter::on_complete));
}

/// The request's worker, after a scheduler's `wake`.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn envoy_dynamic_module_on_http_filter_scheduled(
    stream: EnvoyStream,
    filter: ModuleFilter,
    _event: u64,
) {
    // SAFETY: the hook's filter and request.
    unsafe { with(stream, filter, (), |filter, stream| filter.on_wake(stream)) }
}

/// Main thread, after a scheduler's `wake`.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn envoy_dynamic_module_on_http_filter_config_scheduled(
    config: EnvoyConfig,
    module: ModuleConfig,
    _event: u64,
) {
    // SAFETY: the hook's configuration, on the main thread; ours is not destroyed before the hook returns.
    guard(|| unsafe {
        if let Some(module) = module.0.cast::<Loaded>().as_ref() {
            module.on_wake(&MainThread::new(config));
        }
    });
}

/// Runs a hook of a request. If it panics, the request is answered 500.
///
/// # Safety
/// Both pointers are those that Envoy gave to the hook.
pub(super) unsafe fn with<T>(
    envoy: EnvoyStream,
    filter: ModuleFilter,
    otherwise: T,
    hook: impl FnOnce(&Filter, &mut Stream<'_>) -> T,
) -> T {
    if filter.0.is_null() {
        return otherwise;
    }
    let filter = filter.0.cast::<Filter>();
    // SAFETY: made by `filter_new` on this thread, and not given back yet. The hook has a share of its own, as Envoy may
    // give back the other one before the hook has ended: an answer can be the end of its request.
    let filter = unsafe {
        Rc::increment_strong_count(filter);
        Rc::from_raw(filter)
    };
    // SAFETY: the hook's request; the reference ends with the hook.
    let mut stream = unsafe { Stream::new(envoy) };
    let result = guard(|| hook(&filter, &mut stream)).unwrap_or_else(|| {
        guard(|| filter.after_panic(&mut stream));
        otherwise
    });
    guard(|| drop(filter));
    result
}

/// Bytes of a hook's argument.
///
/// # Safety
/// They are Envoy's, and `'hook` ends before the hook does.
unsafe fn bytes<'hook>(bytes: EnvoyBytes) -> &'hook [u8] {
    if bytes.data.is_null() {
        return &[];
    }
    // SAFETY: as the caller promises.
    unsafe { slice::from_raw_parts(bytes.data, bytes.length) }
}

/// Hooks that Envoy requires and the filter has no use for: notices, and steps that go on.
macro_rules! unused {
    ($($result:ident: $($name:ident($($argument:ty),*),)*;)*) => {
        $($(
            #[unsafe(no_mangle)]
            extern "C" fn $name($(_: $argument),*) -> unused!(@type $result) {
                unused!(@value $result)
            }
        )*)*
    };
    (@type notice) => { () };
    (@type step) => { u32 };
    (@value notice) => { () };
    (@value step) => { CONTINUE };
}

unused! {
    step:
    envoy_dynamic_module_on_http_filter_request_body(EnvoyStream, ModuleFilter, bool),
    envoy_dynamic_module_on_http_filter_response_body(EnvoyStream, ModuleFilter, bool),
    envoy_dynamic_module_on_http_filter_response_trailers(EnvoyStream, ModuleFilter),
    envoy_dynamic_module_on_http_filter_local_reply(EnvoyStream, ModuleFilter, u32, EnvoyBytes, bool),
    ;

    notice:
    envoy_dynamic_module_on_http_filter_downstream_above_write_buffer_high_watermark(EnvoyStream, ModuleFilter),
    envoy_dynamic_module_on_http_filter_downstream_below_write_buffer_low_watermark(EnvoyStream, ModuleFilter),
    envoy_dynamic_module_on_http_filter_http_callout_done(
        EnvoyStream, ModuleFilter, u64, u32, *mut EnvoyField, usize, *mut EnvoyBytes, usize
    ),
    envoy_dynamic_module_on_http_filter_http_stream_headers(
        EnvoyStream, ModuleFilter, u64, *mut EnvoyField, usize, bool
    ),
    envoy_dynamic_module_on_http_filter_http_stream_data(
        EnvoyStream, ModuleFilter, u64, *const EnvoyBytes, usize, bool
    ),
    envoy_dynamic_module_on_http_filter_http_stream_trailers(EnvoyStream, ModuleFilter, u64, *mut EnvoyField, usize),
    envoy_dynamic_module_on_http_filter_http_stream_complete(EnvoyStream, ModuleFilter, u64),
    envoy_dynamic_module_on_http_filter_http_stream_reset(EnvoyStream, ModuleFilter, u64, u32),
    envoy_dynamic_module_on_http_filter_config_http_callout_done(
        EnvoyConfig, ModuleConfig, u64, u32, *mut EnvoyField, usize, *mut EnvoyBytes, usize
    ),
    envoy_dynamic_module_on_http_filter_config_http_stream_headers(
        EnvoyConfig, ModuleConfig, u64, *mut EnvoyField, usize, bool
    ),
    envoy_dynamic_module_on_http_filter_config_http_stream_data(
        EnvoyConfig, ModuleConfig, u64, *const EnvoyBytes, usize, bool
    ),
    envoy_dynamic_module_on_http_filter_config_http_stream_trailers(
        EnvoyConfig, ModuleConfig, u64, *mut EnvoyField, usize
    ),
    envoy_dynamic_module_on_http_filter_config_http_stream_complete(EnvoyConfig, ModuleConfig, u64),
    envoy_dynamic_module_on_http_filter_config_http_stream_reset(EnvoyConfig, ModuleConfig, u64, u32),
    ;
}
