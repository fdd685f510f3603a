//! What the metrics said, as SVG that follows the reader's colour scheme: bands over one axis of time.

use std::fmt::Write as _;

use super::Story;
use super::daemon::Sample;

const WIDTH: f64 = 860.0;
const LEFT: f64 = 120.0;
const RIGHT: f64 = 20.0;
const BAND: f64 = 34.0;
const GAP: f64 = 14.0;
const STYLE: &str = "<style>
text{font:12px sans-serif;fill:#1f2328}.paper{fill:#fff}.tick{stroke:#d8dee4}
.c0{fill:#d8dee4}.c1{fill:#54aeff}.c2{fill:#d4a72c}.c3{fill:#fa4549}.c4{fill:#4ac26b}
@media (prefers-color-scheme: dark){text{fill:#e6edf3}.paper{fill:#0d1117}.tick{stroke:#30363d}.c0{fill:#30363d}
.c1{fill:#1f6feb}.c2{fill:#9e6a03}.c3{fill:#da3633}.c4{fill:#238636}}
</style>\n";

/// A word for each sample and its colour.
type Word = fn(&Sample, &[String]) -> (String, u8);

const BANDS: [(&str, Word); 5] = [
    ("phase", |sample, _| {
        let colour = match sample.phase.as_str() {
            "staged" => 1,
            "promoted" => 2,
            _ => 0,
        };
        (sample.phase.clone(), colour)
    }),
    ("signs", |sample, signers| {
        let number = signers.iter().position(|kid| *kid == sample.signer).unwrap_or_default();
        (sample.signer.chars().take(8).collect(), [0, 4, 1][number % 3])
    }),
    ("keys published", |sample, _| (sample.published.to_string(), if sample.published > 1 { 1 } else { 0 })),
    ("held", |sample, _| (if sample.held { "held" } else { "" }.to_owned(), if sample.held { 3 } else { 0 })),
    ("proxies", |sample, _| {
        let states =
            [("ready", sample.ready), ("wait", sample.waiting), ("lag", sample.lagging), ("gone", sample.unreachable)];
        let words: Vec<String> =
            states.iter().filter(|(_, count)| *count > 0).map(|(name, count)| format!("{count} {name}")).collect();
        let colour = match (sample.unreachable, sample.lagging, sample.waiting) {
            (1.., ..) => 3,
            (0, 1.., _) => 2,
            (0, 0, 1..) => 1,
            (0, 0, 0) => 4,
        };
        (words.join(", "), colour)
    }),
];

pub(super) fn svg(story: &Story) -> String {
    let end = story.samples.last().map_or(1.0, |sample| sample.at);
    let x = |at: f64| LEFT + at / end * (WIDTH - LEFT - RIGHT);
    let height = BANDS.iter().map(|_| BAND + GAP).sum::<f64>() + 50.0;
    let mut signers: Vec<String> = Vec::new();
    for sample in &story.samples {
        if !signers.contains(&sample.signer) {
            signers.push(sample.signer.clone());
        }
    }
    let mut svg = format!("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\">\n{STYLE}");
    let _ = writeln!(svg, "<rect class=\"paper\" width=\"{WIDTH}\" height=\"{height}\"/>");
    let mut second = 0.0;
    while second <= end {
        let at = x(second);
        let _ =
            writeln!(svg, "<line class=\"tick\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"10\" y2=\"{:.1}\"/>", height - 34.0);
        let _ =
            writeln!(svg, "<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{second} s</text>", height - 18.0);
        second += 10.0;
    }
    for (number, (name, word)) in (0_u32..).zip(BANDS) {
        let top = 16.0 + f64::from(number) * (BAND + GAP);
        let _ = writeln!(svg, "<text x=\"8\" y=\"{:.1}\">{name}</text>", top + 21.0);
        for (from, to, (text, colour)) in runs(&story.samples, end, |sample| word(sample, &signers)) {
            let (left, width) = (x(from), x(to) - x(from));
            let _ = writeln!(
                svg,
                "<rect class=\"c{colour}\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{BAND}\"/>"
            );
            let needs = 7.0 * f64::from(u32::try_from(text.len()).unwrap_or_default());
            if width > needs {
                let _ = writeln!(svg, "<text x=\"{:.1}\" y=\"{:.1}\">{text}</text>", left + 4.0, top + 21.0);
            }
        }
    }
    svg + "</svg>\n"
}

/// Neighbours that say the same are one.
fn runs<T: PartialEq>(samples: &[Sample], end: f64, word: impl Fn(&Sample) -> T) -> Vec<(f64, f64, T)> {
    let mut runs: Vec<(f64, f64, T)> = Vec::new();
    for sample in samples {
        let now = word(sample);
        match runs.last_mut() {
            Some(last) if last.2 == now => last.1 = sample.at,
            last => {
                if let Some(last) = last {
                    last.1 = sample.at;
                }
                runs.push((sample.at, end, now));
            }
        }
    }
    runs
}
