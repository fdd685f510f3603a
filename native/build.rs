//! How the module is linked.

use std::path::PathBuf;

fn main() {
    let here = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default();
    // `gcc/libgcc_s.so` stands in for the shared library of that name, which the smallest images do not have, and links
    // the unwinder into the module.
    println!("cargo:rustc-link-search=native={}", here.join("gcc").display());
    println!("cargo:rerun-if-changed=gcc/libgcc_s.so");
    // Threads of Envoy's run destructors of the module's thread-local data when they end. The module stays mapped until
    // then, also after Envoy has closed it.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,now");
    println!("cargo:rerun-if-changed=build.rs");
}
