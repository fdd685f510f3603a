//! Wasm modules that are not ours, in WebAssembly's text format.

/// A module that traps at each request.
pub fn trapping() -> Vec<u8> {
    module("", "unreachable")
}

/// A module that writes a value into shared data at each request, whatever is there.
pub fn sharing(name: &str, value: &str) -> Vec<u8> {
    let import = r#"(import "env" "proxy_set_shared_data" (func $share (param i32 i32 i32 i32 i32) (result i32)))"#;
    let data = format!("(data (i32.const 1024) {name:?}) (data (i32.const 2048) {value:?})");
    let call = format!(
        "(drop (call $share (i32.const 1024) (i32.const {}) (i32.const 2048) (i32.const {}) (i32.const 0))) i32.const 0",
        name.len(),
        value.len()
    );
    module(&format!("{import} {data}"), &call)
}

/// What Envoy asks of any module, and this at each request.
fn module(declarations: &str, on_request: &str) -> Vec<u8> {
    let text = format!(
        r#"(module {declarations}
            (memory (export "memory") 1)
            (func (export "proxy_abi_version_0_2_1"))
            (func (export "malloc") (param i32) (result i32) i32.const 16384)
            (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) {on_request}))"#
    );
    wat::parse_str(text).expect("a module")
}
