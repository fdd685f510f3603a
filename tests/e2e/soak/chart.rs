//! The graph: three panels over one axis of time, as SVG that follows the reader's colour scheme.

use std::fmt::Write as _;

use super::rotation::Step;
use super::sample::Sample;

const WIDTH: f64 = 860.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 150.0;
const PANEL: f64 = 130.0;
const GAP: f64 = 46.0;
const STYLE: &str = "<style>
text{font:12px sans-serif;fill:#1f2328}.paper{fill:#fff}.grid{stroke:#d8dee4}.step{stroke:#8c959f}
.a{stroke:#0969da}.b{stroke:#bf8700}polyline{fill:none;stroke-width:1.5}
text.a{fill:#0969da;stroke:none}text.b{fill:#9a6700;stroke:none}
@media (prefers-color-scheme: dark){text{fill:#e6edf3}.paper{fill:#0d1117}.grid{stroke:#30363d}.step{stroke:#6e7681}
.a{stroke:#58a6ff}.b{stroke:#d29922}text.a{fill:#58a6ff}text.b{fill:#d29922}}
</style>\n";

/// A number of each sample, with its name.
type Line = (&'static str, fn(&Sample) -> f64);

/// The lower line of each panel comes first, but for the memory's, which are far apart.
const PANELS: [(&str, &[Line]); 3] = [
    ("Memory of Envoy, MiB", &[("resident", |s| s.resident), ("allocated", |s| s.allocated)]),
    ("CPU of Envoy, % of a core", &[("CPU", |s| s.cpu)]),
    ("Latency, ms", &[("p50", |s| s.p50), ("p99", |s| s.p99)]),
];

/// The whole graph; a tick below each panel is a step of a rotation.
pub(super) fn svg(samples: &[Sample], steps: &[Step]) -> String {
    let height = PANELS.iter().map(|_| PANEL + GAP).sum::<f64>() + 10.0;
    let end = samples.last().map_or(1.0, |sample| sample.at.as_secs_f64());
    let mut svg = format!("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\">\n{STYLE}");
    let _ = writeln!(svg, "<rect class=\"paper\" width=\"{WIDTH}\" height=\"{height}\"/>");
    for (number, (title, lines)) in (0_u32..).zip(PANELS) {
        let area = Area { top: 30.0 + f64::from(number) * (PANEL + GAP), end, most: most(samples, lines) };
        area.draw(&mut svg, title, steps);
        let last = |line: &Line| samples.last().map_or(0.0, line.1);
        let is_close = lines.len() == 2 && (area.y(last(&lines[0])) - area.y(last(&lines[1]))).abs() < 14.0;
        let shifts = if is_close { [8.0, -6.0] } else { [0.0; 2] };
        for ((class, shift), (name, value)) in ["a", "b"].iter().zip(shifts).zip(lines.iter()) {
            area.draw_line(&mut svg, class, samples, *value);
            let end = last(&(*name, *value));
            area.draw_label(&mut svg, class, &format!("{name}, {end:.1}"), end, shift);
        }
    }
    svg + "</svg>\n"
}

/// The top of the axis: a round number above every sample but the worst hundredth, which may leave the panel.
fn most(samples: &[Sample], lines: &[Line]) -> f64 {
    let mut values: Vec<f64> = lines.iter().flat_map(|(_, value)| samples.iter().map(value)).collect();
    values.sort_by(f64::total_cmp);
    let value = values.get(values.len().saturating_sub(1 + values.len() / 100)).copied().unwrap_or(1.0).max(0.1) * 1.1;
    let unit = 10_f64.powf(value.log10().floor());
    [1.0, 1.2, 1.6, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0]
        .iter()
        .map(|step| step * unit)
        .find(|top| *top >= value)
        .unwrap_or(value)
}

/// A panel's place on the paper.
struct Area {
    top: f64,
    end: f64,
    most: f64,
}

impl Area {
    fn x(&self, seconds: f64) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * seconds / self.end
    }

    fn y(&self, value: f64) -> f64 {
        self.top + PANEL * (1.0 - value.min(self.most) / self.most)
    }

    fn draw(&self, svg: &mut String, title: &str, steps: &[Step]) {
        let (right, bottom) = (WIDTH - RIGHT, self.top + PANEL);
        let _ = writeln!(svg, "<text x=\"{LEFT}\" y=\"{}\">{title}</text>", self.top - 10.0);
        for share in [0.0, 0.25, 0.5, 0.75, 1.0] {
            let (value, y) = (share * self.most, self.y(share * self.most));
            let _ = writeln!(svg, "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{right}\"/>");
            let label = (value * 100.0).round() / 100.0;
            let _ = writeln!(svg, "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>", LEFT - 6.0, y + 4.0);
        }
        for step in steps {
            let x = self.x(step.at.as_secs_f64());
            let _ = writeln!(svg, "<path class=\"step\" d=\"M{x:.1} {bottom}v5\"/>");
        }
        for share in [0.0, 0.25, 0.5, 0.75, 1.0] {
            let (x, label) = (self.x(share * self.end), clock(share * self.end));
            let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{label}</text>", bottom + 18.0);
        }
    }

    fn draw_line(&self, svg: &mut String, class: &str, samples: &[Sample], value: fn(&Sample) -> f64) {
        let point = |sample: &Sample| format!("{:.1},{:.1}", self.x(sample.at.as_secs_f64()), self.y(value(sample)));
        let points: Vec<String> = samples.iter().map(point).collect();
        let _ = writeln!(svg, "<polyline class=\"{class}\" points=\"{}\"/>", points.join(" "));
    }

    fn draw_label(&self, svg: &mut String, class: &str, label: &str, value: f64, shift: f64) {
        let (x, y) = (WIDTH - RIGHT + 8.0, self.y(value) + 4.0 + shift);
        let _ = writeln!(svg, "<text class=\"{class}\" x=\"{x}\" y=\"{y:.1}\">{label}</text>");
    }
}

fn clock(seconds: f64) -> String {
    let (minutes, seconds) = ((seconds / 60.0 + 0.005).floor(), seconds.round() % 60.0);
    if seconds < 1.0 { format!("{minutes} min") } else { format!("{minutes}:{seconds:02}") }
}
