//! How often something changed that should stay: the layer in a slot, or who is in it.

use engine::clock::Micros;

use super::Span;

const MINUTE: Micros = Micros::from_millis(60_000);

/// How steady it was.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Steadiness {
    /// Changes.
    pub changes: usize,
    /// The same, a minute.
    pub per_minute: f64,
    /// The most within any minute.
    pub worst_minute: usize,
    /// Changes back to what it had been before the last change: the mark of oscillation.
    pub returns: usize,
}

impl Steadiness {
    /// Of a series of times and values (layers, sources) in order, all of it or what lies within `span`. The first
    /// value is no change, and neither is the same value again.
    #[must_use]
    pub fn of<V: PartialEq>(series: impl IntoIterator<Item = (Micros, V)>, span: Span) -> Self {
        let mut values: Vec<V> = Vec::new();
        let mut changes: Vec<Micros> = Vec::new();
        let mut returns = 0;
        for (at, value) in series {
            if values.last() == Some(&value) {
                continue;
            }
            if !values.is_empty() && span.contains(at) {
                changes.push(at);
                returns += usize::from(values.len() > 1 && values[values.len() - 2] == value);
            }
            values.push(value);
        }
        let within_a_minute =
            |from: &Micros| changes.iter().filter(|at| **at >= *from && at.since(*from) < MINUTE).count();
        Self {
            changes: changes.len(),
            per_minute: changes.len() as f64 * MINUTE.0 as f64 / span.length().0.max(1) as f64,
            worst_minute: changes.iter().map(within_a_minute).max().unwrap_or(0),
            returns,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Micros {
        Micros::from_millis(seconds * 1_000)
    }

    fn of(series: &[(u64, u8)]) -> Steadiness {
        let series = series.iter().map(|(at, layer)| (seconds(*at), *layer));
        Steadiness::of(series, Span::new(seconds(0), seconds(120)))
    }

    #[test]
    fn one_layer_all_the_time_is_steady_however_often_it_is_said() {
        assert_eq!(of(&[(0, 2), (10, 2), (100, 2)]), Steadiness::default());
        assert_eq!(of(&[]), Steadiness::default());
    }

    #[test]
    fn going_up_and_down_again_is_oscillation() {
        let found = of(&[(0, 2), (10, 1), (20, 2), (30, 1), (110, 2)]);
        assert_eq!(found, Steadiness { changes: 4, per_minute: 2.0, worst_minute: 3, returns: 3 });
    }

    #[test]
    fn a_staircase_changes_but_does_not_return() {
        let found = of(&[(0, 0), (10, 1), (90, 2)]);
        assert_eq!(found, Steadiness { changes: 2, per_minute: 1.0, worst_minute: 1, returns: 0 });
    }

    #[test]
    fn what_changed_before_the_span_counts_for_nothing() {
        let series = [(0, 2), (1, 0), (50, 1)].map(|(at, layer)| (seconds(at), layer));
        let found = Steadiness::of(series, Span::new(seconds(30), seconds(60)));
        assert_eq!((found.changes, found.worst_minute), (1, 1));
    }
}
