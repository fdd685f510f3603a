//! What may differ between the hosts, and nothing else.

use std::collections::BTreeMap;

use serde_json::Value;

/// How often each has been met.
#[derive(Default)]
pub struct Allowed {
    empty_headers: usize,
    orders: usize,
    signed_elsewhere: usize,
}

impl Allowed {
    /// A claim header without a value: Envoy drops an empty value that a native module sets. With Wasm it is sent empty.
    pub fn empty_headers(&mut self, wasm: &mut Value, native: &Value) {
        let empty = |name: &Value| name.as_str().is_some_and(|name| CLAIM_HEADERS.contains(&name));
        let is_there = |line: &Value| native["seen"]["headers"].as_array().is_some_and(|lines| lines.contains(line));
        let Some(lines) = wasm.pointer_mut("/seen/headers").and_then(Value::as_array_mut) else { return };
        let count = lines.len();
        lines.retain(|line| !(line[1] == "" && empty(&line[0]) && !is_there(line)));
        self.empty_headers += count - lines.len();
    }

    /// The order of the headers that Envoy makes of an answer to gRPC. It means nothing (RFC 9110, section 5.3).
    pub fn order_for_grpc(&mut self, wasm: &mut Value, native: &mut Value) {
        let lines = [wasm, native].map(|outcome| outcome.pointer_mut("/headers").and_then(Value::as_array_mut));
        let [Some(wasm), Some(native)] = lines else { return };
        if wasm != native && wasm.iter().any(|line| line[0] == "grpc-status") {
            self.orders += 1;
            for lines in [wasm, native] {
                lines.sort_by_key(|line| line[0].as_str().map(str::to_owned));
            }
        }
    }

    /// Who signs has a statistic of its own: Envoy's function for Wasm, or the native module. The other does not move.
    /// So has what only a native module counts, and which does not move at all.
    pub fn statistics(&mut self, mut statistics: BTreeMap<String, u64>) -> BTreeMap<String, u64> {
        let mut signed = 0;
        for name in ["signed.host", "signed.wasm", "signed.native"] {
            let moved = statistics.remove(name).unwrap_or_default();
            self.signed_elsewhere += usize::from(moved > 0);
            assert!(signed == 0 || moved == 0, "{name}: signed in two places");
            signed += moved;
        }
        statistics.insert("signed".into(), signed);
        assert_eq!(statistics.remove("panics").unwrap_or_default(), 0, "a panic");
        statistics
    }

    /// That each of them is still needed, but for the order, which a few requests may not have met.
    pub fn assert_met(&self) {
        println!("{} claim headers without a value, {} orders for gRPC", self.empty_headers, self.orders);
        assert!(self.empty_headers > 0, "no claim header was without a value");
        assert!(self.signed_elsewhere > 0, "nothing was signed");
    }
}

/// Those of the configurations.
const CLAIM_HEADERS: [&str; 8] = [
    "x-email",
    "x-own.dept",
    "x-groups-out",
    "x-org",
    "x-pomerium-claim-email",
    "x-pomerium-claim-dept",
    "x-pomerium-claim-sid",
    "x-pomerium-claim-level",
];
