//! What the metrics page shows: the form of a family, and how families become text.

use prometheus::TextEncoder;
use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram as ProtoHistogram, LabelPair, Metric, MetricFamily, MetricType,
};

use super::table::GROUPS;
use super::{Journal, Numbers};

/// What kind of number a family holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It only grows, until a restart or CONFIG RESETSTAT.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Counts of durations, or of sizes.
    Histogram,
}

impl Kind {
    const fn proto(self) -> MetricType {
        match self {
            Kind::Counter => MetricType::COUNTER,
            Kind::Gauge => MetricType::GAUGE,
            Kind::Histogram => MetricType::HISTOGRAM,
        }
    }
}

/// Where a family's numbers come from, and so when it is there.
#[derive(Clone, Copy)]
pub(super) enum Source {
    /// The process: during recovery too.
    Process(fn(&mut Samples)),
    /// The data thread.
    Engine(fn(&Numbers, &mut Samples)),
    /// The journal: not with `appendonly no`.
    Journal(fn(&Journal, &mut Samples)),
}

/// One family of metrics.
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// The names of its labels.
    pub(super) labels: &'static [&'static str],
    pub(super) help: &'static str,
    pub(super) source: Source,
}

/// Which powers of two a histogram shows, and what the values are.
#[derive(Clone, Copy)]
pub(super) struct Scale {
    first: usize,
    last: usize,
    step: usize,
    unit: Unit,
}

#[derive(Clone, Copy)]
enum Unit {
    Microseconds,
    Count,
}

/// From 16 µs to 16.8 s, doubling.
pub(super) const FINE: Scale = Scale { first: 4, last: 24, step: 1, unit: Unit::Microseconds };
/// From 1 µs to 4.2 s, fourfold: there is one such histogram for each command.
pub(super) const COARSE: Scale = Scale { first: 0, last: 22, step: 2, unit: Unit::Microseconds };
/// Up to 1, 3, 7 … 65,535.
pub(super) const COUNTS: Scale = Scale { first: 1, last: 16, step: 1, unit: Unit::Count };

impl Unit {
    /// The bound that values of `bits` bits are within. Microseconds were cut, so that the true duration is below 2^bits.
    fn bound(self, bits: usize) -> f64 {
        match self {
            Unit::Microseconds => (1_u64 << bits) as f64 / 1e6,
            Unit::Count => ((1_u64 << bits) - 1) as f64,
        }
    }

    fn sum(self, sum: u64) -> f64 {
        match self {
            Unit::Microseconds => sum as f64 / 1e6,
            Unit::Count => sum as f64,
        }
    }
}

/// The samples of one family.
pub(super) struct Samples {
    family: &'static Family,
    metrics: Vec<Metric>,
}

impl Samples {
    /// The only sample.
    pub(super) fn one(&mut self, value: f64) {
        self.add(&[], value);
    }

    /// A sample with the values of the family's labels.
    pub(super) fn add(&mut self, labels: &[&str], value: f64) {
        let mut metric = self.labelled(labels);
        match self.family.kind {
            Kind::Counter => {
                let mut counter = Counter::default();
                counter.set_value(value);
                metric.set_counter(counter);
            }
            Kind::Histogram => unreachable!("a histogram has more than a value"),
            Kind::Gauge => {
                let mut gauge = Gauge::default();
                gauge.set_value(value);
                metric.set_gauge(gauge);
            }
        }
        self.metrics.push(metric);
    }

    /// Counts by number of bits, as the engine and the journal keep them.
    pub(super) fn histogram(&mut self, labels: &[&str], counts: &[u64; 32], sum: u64, scale: Scale) {
        let mut buckets = Vec::new();
        for bits in (scale.first..=scale.last).step_by(scale.step) {
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(scale.unit.bound(bits));
            bucket.set_cumulative_count(counts[..=bits].iter().sum());
            buckets.push(bucket);
        }
        let mut histogram = ProtoHistogram::default();
        histogram.set_bucket(buckets);
        histogram.set_sample_count(counts.iter().sum());
        histogram.set_sample_sum(scale.unit.sum(sum));
        let mut metric = self.labelled(labels);
        metric.set_histogram(histogram);
        self.metrics.push(metric);
    }

    fn labelled(&self, values: &[&str]) -> Metric {
        assert_eq!(values.len(), self.family.labels.len(), "the labels of {}", self.family.name);
        let pairs = self.family.labels.iter().zip(values).map(|(name, value)| {
            let mut pair = LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value((*value).to_owned());
            pair
        });
        Metric::from_label(pairs.collect())
    }
}

/// The page; without numbers what is known during recovery.
pub(super) fn render(numbers: Option<&Numbers>) -> prometheus::Result<String> {
    let mut families = Vec::new();
    for family in GROUPS.iter().flat_map(|(_, families)| families.iter()) {
        let mut samples = Samples { family, metrics: Vec::new() };
        match (family.source, numbers) {
            (Source::Process(fill), _) => fill(&mut samples),
            (Source::Engine(fill), Some(numbers)) => fill(numbers, &mut samples),
            (Source::Journal(fill), Some(Numbers { journal: Some(journal), .. })) => {
                fill(journal, &mut samples);
            }
            (Source::Engine(_) | Source::Journal(_), _) => {}
        }
        // A family without samples is no valid one: no error was replied yet, say.
        if !samples.metrics.is_empty() {
            let mut proto = MetricFamily::default();
            proto.set_name(family.name.to_owned());
            proto.set_help(family.help.to_owned());
            proto.set_field_type(family.kind.proto());
            proto.set_metric(samples.metrics);
            families.push(proto);
        }
    }
    TextEncoder::new().encode_to_string(&families)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    /// What stands above the tables of docs/METRICS.md.
    const HEAD: &str = "\
# Metrics

`metrics-port` (default 0: off) serves `/metrics` in Prometheus' text format on `metrics-bind` (default 127.0.0.1), beside
`/health/live` and `/health/ready`. There is no password: whoever can connect can read it. No key, value or client address is shown.

A thread of its own serves it, so that it answers while the journal is stuck and during recovery. Then only the families of the
group *Process* are there.

- `/health/live` is 200 while the process serves or is on its way to; 503 if the data thread has not answered for 5 s.
- `/health/ready` is 200 once everything is recovered and writes are taken; otherwise 503 with one sentence that says why: recovery,
  a full disk, a failed write or fsync, an fsync that takes longer than `journal-wait-max`, a `dump.rdb` that cannot be written
  under `stop-writes-on-bgsave-error`, a stop.

Counters start at 0 with the process; `CONFIG RESETSTAT` sets those of commands, clients, keys and errors back, which Prometheus
takes for a restart. A family without samples (no error yet, say) is left out.

This file is checked against the program by `cargo test -p sessile-server`; `UPDATE_DOCS=1` writes it.
";

    fn document() -> String {
        let mut text = HEAD.to_owned();
        for (group, families) in GROUPS {
            let _ = write!(
                text,
                "\n## {group}\n\n| metric | kind | labels | meaning |\n| --- | --- | --- | --- |\n"
            );
            for Family { name, kind, labels, help, .. } in *families {
                let kind = format!("{kind:?}").to_lowercase();
                let labels: Vec<_> = labels.iter().map(|label| format!("`{label}`")).collect();
                let _ = writeln!(text, "| `{name}` | {kind} | {} | {help} |", labels.join(", "));
            }
        }
        text
    }

    #[test]
    fn the_document_names_every_family() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/METRICS.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, document()).expect("docs can be written");
        }
        let found = std::fs::read_to_string(path).unwrap_or_default();
        assert!(found == document(), "docs/METRICS.md is not what the program shows: run with UPDATE_DOCS=1");
    }

    #[test]
    fn names_are_unique_and_say_kind_and_unit() {
        let mut seen = std::collections::HashSet::new();
        for Family { name, kind, help, .. } in GROUPS.iter().flat_map(|(_, families)| families.iter()) {
            assert!(seen.insert(name), "{name} is there twice");
            assert_eq!(*kind == Kind::Counter, name.ends_with("_total"), "{name}");
            assert!(help.ends_with('.') && !help.contains('|'), "{name}: {help}");
        }
    }

    #[test]
    fn during_recovery_the_process_is_shown() {
        let page = render(None).expect("it renders");
        assert!(page.contains("\nsessile_loading 1\n"), "{page}");
        assert!(page.contains("sessile_build_info{version="), "{page}");
        assert!(!page.contains("sessile_journal"), "{page}");
    }
}
