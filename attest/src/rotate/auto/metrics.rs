//! What `--stay` knows, in the text format of Prometheus (version 0.0.4).

use std::fmt::Write as _;

use super::status::Known;

/// The phase of a rotation, by the step that it waits for.
const PHASES: [(&str, &str); 3] = [("settled", "stage"), ("staged", "promote"), ("promoted", "retire")];
const PROXY_STATES: [&str; 4] = ["ready", "waiting", "lagging", "unreachable"];
const RESULTS: [&str; 5] = ["done", "not_due", "held", "busy", "error"];

/// All metrics.
pub(super) fn text(known: &Known) -> String {
    let mut page = Page::default();
    keys(known, &mut page);
    steps(known, &mut page);
    proxies(known, &mut page);
    looks(known, &mut page);
    page.0
}

fn keys(known: &Known, page: &mut Page) {
    page.gauge("phase", "1 for the phase that the rotation is in.");
    for (phase, waits_for) in PHASES {
        page.sample("phase", &[("phase", phase)], flag(known.next.step == waits_for));
    }
    page.gauge("key_info", "1 for each published key; the one with the role `signs` signs.");
    for (place, kid) in known.kids.iter().enumerate() {
        let role = if place == 0 { "signs" } else { "published" };
        page.sample("key_info", &[("kid", kid), ("role", role)], 1.0);
    }
}

fn steps(known: &Known, page: &mut Page) {
    page.gauge("next_step_info", "1 for the step that comes next.");
    page.sample("next_step_info", &[("step", known.next.step)], 1.0);
    page.gauge("next_step_timestamp_seconds", "When the next step is due; absent while more than time is missing.");
    if let Some(due) = known.next.due {
        page.sample("next_step_timestamp_seconds", &[], due);
    }
    page.gauge("held", "1 while the next step is kept back by a proxy that lags or does not answer.");
    page.sample("held", &[], flag(known.next.held));
    page.counter("steps_total", "Steps that were done.");
    for (_, step) in PHASES {
        page.sample("steps_total", &[("step", step)], count(known.steps.get(step).map_or(0, |steps| steps.count)));
    }
    page.gauge("last_step_timestamp_seconds", "When the last step of each kind was done, since this was started.");
    for (step, steps) in &known.steps {
        page.sample("last_step_timestamp_seconds", &[("step", step)], steps.last_at);
    }
}

fn proxies(known: &Known, page: &mut Page) {
    page.gauge("proxies", "Proxies by how they stand: `lagging` do not show what the keyring says.");
    for state in PROXY_STATES {
        let is_so = |proxy: &&super::status::Proxy| if proxy.lags { state == "lagging" } else { state == proxy.state };
        let number = known.proxies.iter().filter(is_so).count();
        page.sample("proxies", &[("state", state)], count(u64::try_from(number).unwrap_or_default()));
    }
    page.gauge("proxy_info", "1 for each proxy and how it stands.");
    for proxy in &known.proxies {
        page.sample("proxy_info", &[("proxy", &proxy.name), ("state", proxy.state)], 1.0);
    }
}

fn looks(known: &Known, page: &mut Page) {
    page.counter("looks_total", "Looks at the keyring by how they ended.");
    for result in RESULTS {
        page.sample("looks_total", &[("result", result)], count(known.looks.get(result).copied().unwrap_or_default()));
    }
    page.gauge("last_look_success", "1 if the last look ended well; why it did not is at /readyz.");
    page.sample("last_look_success", &[], flag(known.error.is_none()));
    page.gauge("last_look_timestamp_seconds", "When the last look ended.");
    page.sample("last_look_timestamp_seconds", &[], known.looked_at);
    page.gauge("last_error_timestamp_seconds", "When a look last failed; absent if none has.");
    if let Some(at) = known.failed_at {
        page.sample("last_error_timestamp_seconds", &[], at);
    }
}

fn flag(is_so: bool) -> f64 {
    if is_so { 1.0 } else { 0.0 }
}

#[expect(clippy::cast_precision_loss, reason = "no daemon counts to 2^53")]
fn count(number: u64) -> f64 {
    number as f64
}

#[derive(Default)]
struct Page(String);

impl Page {
    fn gauge(&mut self, name: &str, help: &str) {
        self.family(name, help, "gauge");
    }

    fn counter(&mut self, name: &str, help: &str) {
        self.family(name, help, "counter");
    }

    fn family(&mut self, name: &str, help: &str, kind: &str) {
        let _ = writeln!(self.0, "# HELP attest_rotation_{name} {help}\n# TYPE attest_rotation_{name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let labels = if pairs.is_empty() { String::new() } else { format!("{{{}}}", pairs.join(",")) };
        let _ = writeln!(self.0, "attest_rotation_{name}{labels} {value}");
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', r#"\""#).replace('\n', r"\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rotate::auto::status::{Next, Proxy, Steps};

    fn known() -> Known {
        let proxy = |name: &str, state, lags| Proxy { name: name.to_owned(), state, lags };
        Known {
            kids: vec!["a".into(), "b".into()],
            next: Next { step: "promote", due: None, held: true },
            proxies: vec![proxy("http://p/", "missing", true), proxy("http://\"q\"/", "waiting", false)],
            steps: [("stage", Steps { count: 2, last_at: 1_700_000_000.5 })].into(),
            looks: [("held", 7)].into(),
            ..Known::default()
        }
    }

    #[test]
    fn every_sample_belongs_to_a_family() {
        let text = text(&known());
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let name = line.split(['{', ' ']).next().unwrap();
            assert!(text.contains(&format!("# TYPE {name} ")), "{line}");
        }
        for line in [
            "attest_rotation_phase{phase=\"staged\"} 1",
            "attest_rotation_key_info{kid=\"b\",role=\"published\"} 1",
            "attest_rotation_steps_total{step=\"stage\"} 2",
            "attest_rotation_last_step_timestamp_seconds{step=\"stage\"} 1700000000.5",
            "attest_rotation_proxies{state=\"lagging\"} 1",
            "attest_rotation_proxy_info{proxy=\"http://\\\"q\\\"/\",state=\"waiting\"} 1",
            "attest_rotation_looks_total{result=\"held\"} 7",
            "attest_rotation_held 1",
        ] {
            assert!(text.lines().any(|there| there == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn an_unknown_time_is_absent() {
        assert!(!text(&known()).contains("\nattest_rotation_next_step_timestamp_seconds"));
        let due = Known { next: Next { due: Some(5.0), ..known().next }, ..known() };
        assert!(text(&due).contains("\nattest_rotation_next_step_timestamp_seconds 5\n"));
    }
}
