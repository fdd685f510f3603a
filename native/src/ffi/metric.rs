/// A counter of one configuration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CounterId(pub(super) usize);

/// A counter of one configuration that has a label.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LabelledCounterId(pub(super) usize);

/// A gauge of one configuration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GaugeId(pub(super) usize);

/// A histogram of one configuration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HistogramId(pub(super) usize);
