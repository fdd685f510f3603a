//! What Envoys after 1.37.0 export, looked up when the module is loaded. Up to 1.39 a missing symbol crashes Envoy when
//! it is called, from 1.40 on it keeps the module from being loaded; so none of this is imported.

use std::ffi::{CStr, c_char, c_void};
use std::mem::transmute_copy;
use std::ptr;
use std::sync::OnceLock;

use super::abi::{Attribute, EnvoyBytes, EnvoyConfig, EnvoyStream, MetricResult, ModuleBytes};

type GetList = unsafe extern "C" fn(EnvoyStream, u32, ModuleBytes, ModuleBytes, *mut usize) -> bool;
type GetListString = unsafe extern "C" fn(EnvoyStream, u32, ModuleBytes, ModuleBytes, usize, *mut EnvoyBytes) -> bool;
type SetMetric = unsafe extern "C" fn(EnvoyConfig, usize, *const ModuleBytes, usize, u64) -> MetricResult;

/// The newer callbacks of the Envoy that this is, in the order of the versions that brought them.
pub(super) struct Optional {
    /// 1.38: `connection.mtls`. Without, a certificate's digest says that there is one.
    pub(super) get_attribute_bool: Option<unsafe extern "C" fn(EnvoyStream, Attribute, *mut bool) -> bool>,
    /// 1.38: the cluster that the route leads to.
    pub(super) get_cluster_name: Option<unsafe extern "C" fn(EnvoyStream, *mut EnvoyBytes) -> bool>,
    /// 1.38: whether this Envoy only checks its configuration. Without, it is treated as if it served.
    pub(super) is_validation_mode: Option<unsafe extern "C" fn() -> bool>,
    /// 1.38: flat dynamic metadata. Without, a `metadata` source is refused.
    pub(super) metadata: Option<Metadata>,
    /// 1.39: metrics without a request. Without, they wait for the next request.
    pub(super) metrics: Option<Metrics>,
    /// 1.40: SDS. Without, `signing_key_secret` is refused.
    pub(super) secrets: Option<Secrets>,
}

/// Reading a namespace of metadata.
pub(super) struct Metadata {
    pub(super) keys_count: unsafe extern "C" fn(EnvoyStream, u32, ModuleBytes) -> usize,
    pub(super) keys: unsafe extern "C" fn(EnvoyStream, u32, ModuleBytes, *mut EnvoyBytes) -> bool,
    pub(super) string: unsafe extern "C" fn(EnvoyStream, u32, ModuleBytes, ModuleBytes, *mut EnvoyBytes) -> bool,
    pub(super) number: unsafe extern "C" fn(EnvoyStream, u32, ModuleBytes, ModuleBytes, *mut f64) -> bool,
    pub(super) bool: unsafe extern "C" fn(EnvoyStream, u32, ModuleBytes, ModuleBytes, *mut bool) -> bool,
    pub(super) list_size: GetList,
    pub(super) list_string: GetListString,
}

/// Metrics of a configuration.
pub(super) struct Metrics {
    pub(super) increment_counter: SetMetric,
    pub(super) set_gauge: SetMetric,
}

/// Secrets of a configuration. IDs begin at 1.
pub(super) struct Secrets {
    /// Only while `on_http_filter_config_new` runs. The name, and how to get it: nothing for a static one.
    pub(super) subscribe: unsafe extern "C" fn(EnvoyConfig, ModuleBytes, ModuleBytes) -> usize,
    /// Only on the main thread; the bytes live until it does something else.
    pub(super) get: unsafe extern "C" fn(EnvoyConfig, usize, *mut EnvoyBytes) -> bool,
}

/// What this Envoy has.
pub(super) fn optional() -> &'static Optional {
    static FOUND: OnceLock<Optional> = OnceLock::new();
    FOUND.get_or_init(Optional::find)
}

/// The version of the ABI that this Envoy wants to hear: 1.37.0 the hash of its header, later ones a version, by which
/// they decide whether to warn.
pub(super) fn abi_version() -> &'static CStr {
    if is_exported(c"envoy_dynamic_module_callback_log_v2") {
        c"v0.2.0"
    } else if is_exported(c"envoy_dynamic_module_callback_is_validation_mode") {
        c"v0.1.0"
    } else {
        c"4dae397a7c9ff0238d318d57ea656ce8b3fbff595787dcd7ee2ff5b79c9fe10f"
    }
}

macro_rules! find {
    ($name:literal) => {
        // SAFETY: the fields that this is put into have the types that Envoy's header gives to these names.
        unsafe { find(concat!("envoy_dynamic_module_callback_", $name, "\0")) }
    };
}

impl Optional {
    fn find() -> Self {
        Self {
            get_attribute_bool: find!("http_filter_get_attribute_bool"),
            get_cluster_name: find!("http_get_cluster_name"),
            is_validation_mode: find!("is_validation_mode"),
            metadata: Metadata::find(),
            metrics: Metrics::find(),
            secrets: Secrets::find(),
        }
    }
}

impl Metadata {
    fn find() -> Option<Self> {
        Some(Self {
            keys_count: find!("http_get_metadata_keys_count")?,
            keys: find!("http_get_metadata_keys")?,
            string: find!("http_get_metadata_string")?,
            number: find!("http_get_metadata_number")?,
            bool: find!("http_get_metadata_bool")?,
            list_size: find!("http_get_metadata_list_size")?,
            list_string: find!("http_get_metadata_list_string")?,
        })
    }
}

impl Metrics {
    fn find() -> Option<Self> {
        Some(Self {
            increment_counter: find!("http_filter_config_increment_counter")?,
            set_gauge: find!("http_filter_config_set_gauge")?,
        })
    }
}

impl Secrets {
    fn find() -> Option<Self> {
        Some(Self {
            subscribe: find!("http_filter_config_generic_secret_subscribe")?,
            get: find!("http_filter_config_get_generic_secret")?,
        })
    }
}

unsafe extern "C" {
    fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
}

/// Looks among everything that is loaded, the program first.
const RTLD_DEFAULT: *mut c_void = ptr::null_mut();

fn is_exported(name: &CStr) -> bool {
    // SAFETY: the name ends with a zero byte; `dlsym` only reads it.
    !unsafe { dlsym(RTLD_DEFAULT, name.as_ptr()) }.is_null()
}

/// The function of this name, which ends with a zero byte.
///
/// # Safety
/// `F` is the type of a function pointer, and that of the function with this name.
unsafe fn find<F: Copy>(name: &'static str) -> Option<F> {
    const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
    let name = CStr::from_bytes_with_nul(name.as_bytes()).ok()?;
    // SAFETY: the name ends with a zero byte; `dlsym` only reads it.
    let symbol = unsafe { dlsym(RTLD_DEFAULT, name.as_ptr()) };
    // SAFETY: it is not null, and of that type, as the caller promises.
    (!symbol.is_null()).then(|| unsafe { transmute_copy(&symbol) })
}
